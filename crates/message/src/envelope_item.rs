//! IMAP's ENVELOPE (RFC 9051 §7.5.2), rendered from a message's header.
//!
//! Invariant: From, Sender and Reply-To are never NIL; strings are raw as in the header, only unfolded.

use std::borrow::Cow;

use crate::address_list::{self, HeaderAddress};
use crate::header::fields;
use crate::imap_string::{push_nstring, push_string};
use crate::limits::HEADER_FIELDS_MAX;

/// The fields ENVELOPE is made of, unfolded; of two with one name the first that is not empty counts.
///
/// ```
/// use message::envelope_item::EnvelopeFields;
/// let mut out = Vec::new();
/// EnvelopeFields::read(b"Subject: Hi\r\nFrom: Ann <ann@here.test>\r\n\r\n").render(&mut out);
/// let ann = r#"(("Ann" NIL "ann" "here.test"))"#;
/// assert_eq!(String::from_utf8(out).unwrap(), format!(r#"(NIL "Hi" {ann} {ann} {ann} NIL NIL NIL NIL NIL)"#));
/// ```
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct EnvelopeFields<'a> {
    pub date: Option<Cow<'a, [u8]>>,
    pub subject: Option<Cow<'a, [u8]>>,
    pub from: Option<Cow<'a, [u8]>>,
    pub sender: Option<Cow<'a, [u8]>>,
    pub reply_to: Option<Cow<'a, [u8]>>,
    pub to: Option<Cow<'a, [u8]>>,
    pub cc: Option<Cow<'a, [u8]>>,
    pub bcc: Option<Cow<'a, [u8]>>,
    pub in_reply_to: Option<Cow<'a, [u8]>>,
    pub message_id: Option<Cow<'a, [u8]>>,
}

impl<'a> EnvelopeFields<'a> {
    /// Reads them from a header.
    pub fn read(header: &'a [u8]) -> EnvelopeFields<'a> {
        let mut out = EnvelopeFields::default();
        for field in fields(header).take(HEADER_FIELDS_MAX) {
            let Some(slot) = out.slot(field.name) else { continue };
            if slot.as_ref().is_none_or(|v| v.is_empty()) {
                *slot = Some(field.value_cut());
            }
        }
        out
    }

    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<Cow<'a, [u8]>>> {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        Some(match name.len() {
            2 if is("to") => &mut self.to,
            2 if is("cc") => &mut self.cc,
            3 if is("bcc") => &mut self.bcc,
            4 if is("date") => &mut self.date,
            4 if is("from") => &mut self.from,
            6 if is("sender") => &mut self.sender,
            7 if is("subject") => &mut self.subject,
            8 if is("reply-to") => &mut self.reply_to,
            10 if is("message-id") => &mut self.message_id,
            11 if is("in-reply-to") => &mut self.in_reply_to,
            _ => return None,
        })
    }

    /// Renders the ENVELOPE with its parentheses.
    pub fn render(&self, out: &mut Vec<u8>) {
        out.push(b'(');
        push_nstring(out, self.date.as_deref());
        out.push(b' ');
        push_nstring(out, self.subject.as_deref());
        let [from, sender, reply_to] = [&self.from, &self.sender, &self.reply_to].map(|f| addresses(f.as_deref()));
        // RFC 9051 §7.5.2: Sender and Reply-To default to From, and none of the three is NIL.
        let author = [&from, &sender, &reply_to].into_iter().flatten().next().cloned();
        let author = author.unwrap_or_else(|| b"((NIL NIL \"\" \"\"))".to_vec());
        for list in [&from, &sender, &reply_to] {
            out.push(b' ');
            out.extend_from_slice(list.as_ref().unwrap_or(&author));
        }
        for field in [&self.to, &self.cc, &self.bcc] {
            out.push(b' ');
            out.extend_from_slice(addresses(field.as_deref()).as_deref().unwrap_or(b"NIL"));
        }
        for field in [&self.in_reply_to, &self.message_id] {
            out.push(b' ');
            push_nstring(out, field.as_deref());
        }
        out.push(b')');
    }
}

/// A list in its parentheses; `None` when there is no address in it.
fn addresses(value: Option<&[u8]>) -> Option<Vec<u8>> {
    let list = address_list::parse(value?);
    if list.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(list.len() * 40 + 2);
    out.push(b'(');
    for address in &list {
        push_address(&mut out, address);
    }
    out.push(b')');
    Some(out)
}

/// `address`: name, source route, mailbox, host. A host of NIL marks a group, so a missing one is `""`.
fn push_address(out: &mut Vec<u8>, address: &HeaderAddress<'_>) {
    match address {
        HeaderAddress::Mailbox { name, route, local, domain } => {
            out.push(b'(');
            push_nstring(out, name.as_deref());
            out.push(b' ');
            push_nstring(out, route.as_deref());
            out.push(b' ');
            push_string(out, local);
            out.push(b' ');
            push_string(out, domain);
            out.push(b')');
        }
        HeaderAddress::Group(name) => {
            out.extend_from_slice(b"(NIL NIL ");
            push_string(out, name);
            out.extend_from_slice(b" NIL)");
        }
        HeaderAddress::GroupEnd => out.extend_from_slice(b"(NIL NIL NIL NIL)"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn envelope(header: &str) -> String {
        let mut out = Vec::new();
        EnvelopeFields::read(header.as_bytes()).render(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc_9051_example() {
        let header = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\n\
            Subject: IMAP4rev2 WG mtg\r\n summary and minutes\r\nTo: imap@cac.washington.edu\r\n\
            cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\nMessage-Id: <B27397-0100000@cac.washington.edu>\r\n\r\n";
        assert_eq!(
            envelope(header),
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev2 WG mtg summary and minutes\" \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((NIL NIL \"imap\" \"cac.washington.edu\")) \
             ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
             \"<B27397-0100000@cac.washington.edu>\")"
        );
    }

    #[test]
    fn from_is_never_nil() {
        let someone = "((NIL NIL \"a\" \"b\"))";
        assert_eq!(envelope("Sender: a@b\r\n\r\n"), format!("(NIL NIL {someone} {someone} {someone} NIL NIL NIL NIL NIL)"));
        let nobody = "((NIL NIL \"\" \"\"))";
        assert_eq!(
            envelope("Subject:\r\nFrom: \r\nTo:\r\n"),
            format!("(NIL \"\" {nobody} {nobody} {nobody} NIL NIL NIL NIL NIL)")
        );
    }

    #[test]
    fn groups_and_eight_bits() {
        let shown = envelope(
            "From: a@b\r\nTo: Undisclosed recipients:;\r\nCc: Grüße: x@y.test, z;\r\nSubject: =?utf-8?Q?=C3=A4?= \"q\"\r\n",
        );
        assert!(shown.contains("\"=?utf-8?Q?=C3=A4?= \\\"q\\\"\""), "{shown}");
        assert!(shown.contains(" ((NIL NIL \"Undisclosed recipients\" NIL)(NIL NIL NIL NIL)) "), "{shown}");
        assert!(
            shown.contains(" ((NIL NIL {7}\r\nGrüße NIL)(NIL NIL \"x\" \"y.test\")(NIL NIL \"z\" \"\")(NIL NIL NIL NIL)) "),
            "{shown}"
        );
    }
}
