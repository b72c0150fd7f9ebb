//! Text for search: what an index keeps of a message, decoded, HTML read as text, folded so that equal words are equal.
//!
//! Bounded by [`SEARCH_BYTES_MAX`] and linear. Must not know: any index.

use crate::address_list;
use crate::attachment;
use crate::encoded_word;
use crate::header::fields;
use crate::limits::{HEADER_FIELDS_MAX, SEARCH_BYTES_MAX};
use crate::part::Message;
use crate::search::{body_texts, case_fold};

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::tnef;

    #[test]
    fn words_that_are_only_in_rtf_and_none_that_are_in_files() {
        let rtf = b"{\\rtf1\\ansi Lunch at {\\b noon}\\par Ann}";
        let mut packed = ((rtf.len() + 12) as u32).to_le_bytes().to_vec();
        packed.extend_from_slice(&(rtf.len() as u32).to_le_bytes());
        packed.extend_from_slice(b"MELA\0\0\0\0");
        packed.extend_from_slice(rtf);
        let mut properties = b"\x01\0\0\0\x02\x01\x09\x10\x01\0\0\0".to_vec();
        properties.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        properties.extend_from_slice(&packed);
        properties.resize(properties.len().next_multiple_of(4), 0);
        let mut text = b"Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: binary\r\n\r\n".to_vec();
        text.extend_from_slice(&tnef::encode(&[(1, 0x0006_9003, &properties)]));
        let message = crate::parse(&text);
        assert_eq!(of(&message).body, "lunch at noon\nann\n");
        assert_eq!(crate::preview::of(&message), "Lunch at noon Ann");
        assert!(crate::search::body_contains(&text, &crate::search::Needle::new("NOON")));
        let files = b"\r\nHere:\r\nbegin 644 u.txt\r\n#0V%T\r\n`\r\nend\r\nBye\r\n";
        assert_eq!(of(&crate::parse(files)).body, "here:\r\nbye\n");
        assert_eq!(of(&crate::parse(files)).attachments, "u.txt\n");
    }

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
