//! Text for search: what an index keeps of a message, decoded, HTML read as text, folded so that equal words are equal.
//!
//! Bounded by [`SEARCH_BYTES_MAX`] and linear. Must not know: any index.

use crate::address_list;
use crate::attachment;
use crate::encoded_word;
use crate::header::fields;
use crate::html_text;
use crate::limits::{HEADER_FIELDS_MAX, SEARCH_BYTES_MAX};
use crate::part::Message;
use crate::search::{body_texts, case_fold};
use crate::tnef;

/// What can be searched, each folded with [`case_fold`]; several of a kind on lines of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchText {
    /// From, Sender, Reply-To: names and addresses.
    pub from: String,
    /// To, Cc, Bcc: names and addresses.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// All text parts, those of messages inside and of winmail.dat too.
    pub body: String,
    /// Names of attachments.
    pub attachments: String,
}

/// All of a message.
///
/// ```
/// let message = message::parse(b"From: =?utf-8?Q?=C3=84nne?= <A@x.test>\r\nContent-Type: text/html\r\n\r\n<b>GR&Uuml;SSE</b>");
/// let text = message::search_text::of(&message);
/// assert_eq!((text.from.as_str(), text.body.as_str()), ("änne\na@x.test\n", "grüsse\n"));
/// ```
pub fn of(message: &Message<'_>) -> SearchText {
    let mut out = SearchText::default();
    for field in fields(message.root().raw_header()).take(HEADER_FIELDS_MAX) {
        let slot = match field.name.to_ascii_lowercase().as_slice() {
            b"from" | b"sender" | b"reply-to" => &mut out.from,
            b"to" | b"cc" | b"bcc" => &mut out.to,
            b"subject" => {
                push(&mut out.subject, &encoded_word::decode_in(&field.value_cut(), message.header_charset()));
                continue;
            }
            _ => continue,
        };
        for person in address_list::parse(&field.value_cut()) {
            [person.name(), person.address().map(Into::into)].into_iter().flatten().for_each(|text| push(slot, &text));
        }
    }
    for text in body_texts(message) {
        push(&mut out.body, &text);
    }
    for attachment in attachment::list(message) {
        attachment.name.iter().for_each(|name| push(&mut out.attachments, name));
        if attachment.kind == attachment::AttachmentKind::Tnef {
            tnef_text(message, attachment.part, &mut out.body);
        }
    }
    out
}

fn push(slot: &mut String, text: &str) {
    let room = SEARCH_BYTES_MAX.saturating_sub(slot.len());
    let text = text.get(..text.floor_char_boundary(room)).unwrap_or(text).trim();
    if !text.is_empty() {
        slot.push_str(&case_fold(text));
        slot.push('\n');
    }
}

/// The words that only Outlook would show.
fn tnef_text(message: &Message<'_>, part: usize, out: &mut String) {
    let Some(content) = message.parts.get(part).map(|p| p.content()) else { return };
    let mut open: Vec<tnef::Tnef<'_>> = tnef::parse(&content).into_iter().collect();
    while let Some(inner) = open.pop() {
        inner.subject.iter().chain(&inner.body).for_each(|text| push(out, text));
        if inner.body.is_none()
            && let Some(html) = &inner.html
        {
            push(out, &html_text::text(&crate::charset::decode(inner.html_charset.unwrap_or("utf-8").as_bytes(), html)));
        }
        open.extend(inner.attachments.into_iter().filter_map(|a| a.message).map(|m| *m));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn everything_that_can_be_looked_for() {
        let tnef = tnef::encode(&[
            (1, 0x0002_800c, b"Words For Outlook\0"),
            (2, 0x0006_9002, &[0; 14]),
            (2, 0x0001_8010, b"PLAN.TXT\0"),
        ]);
        let mut text = "From: \"Doe, Ann\" <Ann@X.test>\r\nTo: friends: b@x, c@x;\r\nCc: D <d@x>\r\nSubject: ＦＵＬＬ Ångström\r\n\
            Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nHello\r\n--a\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n\r\n"
            .as_bytes()
            .to_vec();
        text.extend_from_slice(&tnef);
        text.extend_from_slice(b"\r\n--a--\r\n");
        let found = of(&crate::parse(&text));
        assert_eq!(found.from, "doe, ann\nann@x.test\n");
        assert_eq!(found.to, "friends\nb@x\nc@x\nd\nd@x\n");
        assert_eq!(found.subject, "full ångström\n");
        assert_eq!(found.body, "hello\nwords for outlook\n");
        assert_eq!(found.attachments, "winmail.dat\nplan.txt\n");
        assert_eq!(case_fold("a\u{30a}"), case_fold("Å"), "composed and decomposed are one");
    }
}
