//! The ENVELOPE fetch item (RFC 9051 §7.5.2), as a client reads it; tolerant.
//!
//! ```abnf
//! envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP env-cc SP env-bcc SP
//!            env-in-reply-to SP env-message-id ")"
//! address  = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use bytes::Bytes;

/// Octets or NIL; encoded-words are left as they are.
pub type NString = Option<Bytes>;

/// ENVELOPE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct EnvelopeItem {
    pub date: NString,
    pub subject: NString,
    pub from: Vec<EnvelopeAddress>,
    pub sender: Vec<EnvelopeAddress>,
    pub reply_to: Vec<EnvelopeAddress>,
    pub to: Vec<EnvelopeAddress>,
    pub cc: Vec<EnvelopeAddress>,
    pub bcc: Vec<EnvelopeAddress>,
    pub in_reply_to: NString,
    pub message_id: NString,
}

/// One address; group syntax has NIL hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct EnvelopeAddress {
    pub name: NString,
    pub route: NString,
    pub mailbox: NString,
    pub host: NString,
}

/// `nstring` as owned octets.
pub(crate) fn nstring(c: &mut Cursor<'_>) -> Parsed<NString> {
    Ok(c.nstring()?.map(|octets| Bytes::from(octets.into_owned())))
}

impl EnvelopeItem {
    /// With its parentheses.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<EnvelopeItem> {
        c.open()?;
        let text = |c: &mut Cursor<'_>| -> Parsed<NString> {
            let value = nstring(c)?;
            c.skip_spaces();
            Ok(value)
        };
        let envelope = EnvelopeItem {
            date: text(c)?,
            subject: text(c)?,
            from: addresses(c)?,
            sender: addresses(c)?,
            reply_to: addresses(c)?,
            to: addresses(c)?,
            cc: addresses(c)?,
            bcc: addresses(c)?,
            in_reply_to: text(c)?,
            message_id: text(c)?,
        };
        c.close()?;
        Ok(envelope)
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("(");
        e.nstring(self.date.as_deref());
        e.raw(" ");
        e.nstring(self.subject.as_deref());
        for list in [&self.from, &self.sender, &self.reply_to, &self.to, &self.cc, &self.bcc] {
            e.raw(" ");
            if list.is_empty() {
                e.raw("NIL");
                continue;
            }
            e.raw("(");
            list.iter().for_each(|address| address.encode(e));
            e.raw(")");
        }
        e.raw(" ");
        e.nstring(self.in_reply_to.as_deref());
        e.raw(" ");
        e.nstring(self.message_id.as_deref());
        e.raw(")");
    }
}

/// `"(" 1*address ")" / nil`; `()` and spaces between addresses are tolerated.
fn addresses(c: &mut Cursor<'_>) -> Parsed<Vec<EnvelopeAddress>> {
    let mut list = Vec::new();
    if !c.eat_nil() {
        c.open()?;
        c.skip_spaces();
        while c.peek() == Some(b'(') {
            list.push(EnvelopeAddress::parse(c)?);
            c.skip_spaces();
        }
        c.close()?;
    }
    c.skip_spaces();
    Ok(list)
}

impl EnvelopeAddress {
    fn parse(c: &mut Cursor<'_>) -> Parsed<EnvelopeAddress> {
        c.open()?;
        let name = nstring(c)?;
        c.space()?;
        let route = nstring(c)?;
        c.space()?;
        let mailbox = nstring(c)?;
        c.space()?;
        let host = nstring(c)?;
        c.close()?;
        Ok(EnvelopeAddress { name, route, mailbox, host })
    }

    fn encode(&self, e: &mut Encoder) {
        e.list([&self.name, &self.route, &self.mailbox, &self.host], |e, field| e.nstring(field.as_deref()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_ways() {
        let wire =
            b"(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" {2}\r\n\xff\xfe ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
NIL NIL ((NIL NIL \"group\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)) NIL NIL NIL \"<B27397-0100000@cac.washington.edu>\")";
        let mut c = Cursor::new(wire);
        let envelope = EnvelopeItem::parse(&mut c).unwrap();
        assert!(c.at_end());
        assert_eq!(envelope.to.len(), 3);
        assert_eq!(envelope.from[0].mailbox.as_deref(), Some(&b"gray"[..]));
        let mut e = Encoder::server(Vec::new(), false);
        envelope.encode(&mut e);
        assert_eq!(e.bytes, wire);
    }

    #[test]
    fn tolerated_and_not() {
        let read = |text: &str| EnvelopeItem::parse(&mut Cursor::new(text.as_bytes()));
        assert!(read("(NIL NIL () ( (NIL NIL \"a\" \"b\") (NIL NIL \"c\" \"d\") ) NIL NIL NIL NIL NIL NIL )").is_ok());
        for bad in ["", "NIL", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL)", "(NIL NIL ((NIL)) NIL NIL NIL NIL NIL NIL NIL)"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
