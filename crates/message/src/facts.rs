//! What is computed once about a message, at delivery, and kept beside it.
//!
//! Versioned: a value of an older version is recomputed from the bytes.
//! Invariant: `decode(encode(facts)) == facts`; ranges lie inside the message the facts are of.

use std::ops::Range;

use crate::address_list;
use crate::attachment;
use crate::body_structure;
use crate::date;
use crate::encoded_word;
use crate::envelope_item::EnvelopeFields;
use crate::limits::{DISPLAY_BYTES_MAX, PARTS_MAX, REFERENCE_KEYS_MAX};
use crate::list_fields::{self, Unsubscribe};
use crate::parse::{Message, PartKind, parse};
use crate::preview;
use crate::thread_keys;
use crate::transfer::TransferEncoding;

/// Grows with every change of what [`Facts::compute`] answers.
pub const FACTS_VERSION: u8 = 3;

/// Everything readers ask about a message without opening its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// IMAP ENVELOPE (RFC 9051 §7.5.2), rendered, with its parentheses; 8-bit strings as literals, so valid in every mode.
    pub envelope: Vec<u8>,
    /// IMAP BODYSTRUCTURE, rendered, extension data always.
    pub body_structure: Vec<u8>,
    /// IMAP BODY, rendered (no extension data).
    pub body: Vec<u8>,
    /// Message-ID with its angle brackets.
    pub message_id: Option<String>,
    /// Subject, decoded, for people.
    pub subject: String,
    /// First From, decoded, for people: `Ann <ann@here.test>`.
    pub from: String,
    /// The Date field as seconds since 1970-01-01 UTC.
    pub date_secs: Option<i64>,
    /// The Date field's day as written, whatever its zone, as days since 1970-01-01: what SENTBEFORE, SENTON and
    /// SENTSINCE compare (RFC 9051 §6.4.4).
    pub date_days: Option<i64>,
    /// The first words of the text (RFC 8970); empty when there are none to show.
    pub preview: String,
    /// The key of its own Message-ID ([`thread_keys::key`]).
    pub message_key: Option<u64>,
    /// The keys of its ancestors, oldest first: References, or else In-Reply-To.
    pub reference_keys: Vec<u64>,
    /// A person would say that it has an attachment.
    pub has_attachment: bool,
    /// How to leave the list it came from, if it says so.
    pub unsubscribe: UnsubscribeWay,
    /// The List-Id (RFC 2919), lower-case.
    pub list_id: Option<String>,
    /// Every entity, depth first, the message itself first. Never empty after [`Facts::compute`].
    pub parts: Vec<PartFacts>,
}

/// How a list can be left ([`list_fields::Unsubscribe`] has the address).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum UnsubscribeWay {
    /// The message names no way.
    #[default]
    None = 0,
    /// One POST, without asking (RFC 8058).
    OneClick = 1,
    /// A message to an address.
    Mail = 2,
    /// A page for a person.
    Page = 3,
}

/// Where one entity lies in the message, enough for every section of FETCH without parsing again.
///
/// ```
/// use message::Facts;
/// let text = b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nhello";
/// let facts = Facts::compute(text);
/// let inner = facts.inner_message(0).unwrap();
/// assert_eq!((&text[inner.header()], &text[inner.body()]), (&b"Subject: x\r\n\r\n"[..], &b"hello"[..]));
/// assert_eq!((facts.header_bytes(), facts.part(&[1]).unwrap().whole(), facts.part_index(&[2])), (32, 0..text.len(), None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartFacts {
    /// Index in [`Facts::parts`] of the entity around it; the message itself names itself (0).
    pub parent: u32,
    /// What is inside.
    pub kind: PartKind,
    /// The message itself, or a message inside a message/rfc822 part.
    pub is_entire_message: bool,
    /// `text/*`.
    pub is_text: bool,
    /// Content-Transfer-Encoding.
    pub encoding: TransferEncoding,
    start: u32,
    body_start: u32,
    end: u32,
}

impl PartFacts {
    /// Header with its empty line: MIME of a part, HEADER of a message.
    pub fn header(&self) -> Range<usize> {
        self.start as usize..self.body_start as usize
    }

    /// Body: the part's content, TEXT of a message.
    pub fn body(&self) -> Range<usize> {
        self.body_start as usize..self.end as usize
    }

    /// Header and body.
    pub fn whole(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Facts {
    /// It is a multipart/report (RFC 6522) by its own word: a delivery report, a receipt, a complaint.
    ///
    /// ```
    /// let report = b"Content-Type: multipart/report; boundary=b; Report-Type=delivery-status\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n";
    /// assert!(message::Facts::compute(report).is_report());
    /// assert!(!message::Facts::compute(b"Subject: report-type\r\n\r\nx").is_report());
    /// ```
    pub fn is_report(&self) -> bool {
        const NAME: &[u8] = b"report-type";
        let is_multipart = self.parts.first().is_some_and(|root| root.kind == PartKind::Multipart);
        is_multipart && self.body_structure.windows(NAME.len()).any(|some| some.eq_ignore_ascii_case(NAME))
    }

    /// Computes all facts of `message` (any bytes; linear in their number).
    ///
    /// ```
    /// let facts = message::facts::Facts::compute(b"From: Ann <ann@here.test>\r\nSubject: =?utf-8?Q?=E2=98=BA?=\r\n\r\nhi\r\n");
    /// assert_eq!((facts.subject.as_str(), facts.from.as_str()), ("☺", "Ann <ann@here.test>"));
    /// ```
    pub fn compute(message: &[u8]) -> Facts {
        let parsed = parse(message);
        let header = parsed.parts.first().map(|root| parsed.header(root)).unwrap_or_default();
        let fields = EnvelopeFields::read(header);
        let mut facts = Facts { parts: part_facts(&parsed), ..Facts::default() };
        fields.render(&mut facts.envelope);
        body_structure::render(&parsed, true, &mut facts.body_structure);
        body_structure::render(&parsed, false, &mut facts.body);
        facts.message_id = fields.message_id.as_deref().and_then(message_id);
        facts.subject = fields.subject.as_deref().map(|s| for_people(s, parsed.header_charset())).unwrap_or_default();
        facts.from = fields.from.as_deref().and_then(first_from).unwrap_or_default();
        let date = fields.date.as_deref().and_then(date::parse_rfc_5322);
        facts.date_secs = date.map(|d| d.unix_secs());
        facts.date_days = date.map(|d| d.days());
        facts.preview = preview::of(&parsed);
        facts.has_attachment = attachment::has_attachment(&parsed);
        facts.take_thread(header);
        facts.take_list(header);
        facts
    }

    fn take_thread(&mut self, header: &[u8]) {
        let keys = thread_keys::of_header(header);
        self.message_key = keys.message_id.as_deref().map(thread_keys::key);
        let all = keys.references.len();
        // Of too many the first and the newest.
        let kept = keys.references.iter().enumerate().filter(|(i, _)| *i == 0 || i + REFERENCE_KEYS_MAX > all);
        self.reference_keys = kept.map(|(_, id)| thread_keys::key(id)).collect();
    }

    fn take_list(&mut self, header: &[u8]) {
        let list = list_fields::of_header(header);
        self.unsubscribe = match list.way_out() {
            None => UnsubscribeWay::None,
            Some(Unsubscribe::OneClick(_)) => UnsubscribeWay::OneClick,
            Some(Unsubscribe::Mail(_)) => UnsubscribeWay::Mail,
            Some(Unsubscribe::Page(_)) => UnsubscribeWay::Page,
        };
        self.list_id = list.id.map(cut);
    }

    /// Length of the message's header with its empty line.
    pub fn header_bytes(&self) -> usize {
        self.parts.first().map_or(0, |root| root.body_start as usize)
    }

    /// The part of that number (RFC 9051 §6.4.5); the empty path is the message itself. A message that is no multipart
    /// has one part, number 1: its own body. Numbers below a message/rfc822 part count in the message inside.
    pub fn part(&self, path: &[u32]) -> Option<&PartFacts> {
        self.part_index(path).and_then(|index| self.parts.get(index))
    }

    /// As [`Facts::part`], but the index in [`Facts::parts`].
    pub fn part_index(&self, path: &[u32]) -> Option<usize> {
        let mut index = 0;
        // True where a number counts in a message: at the top, and inside a message/rfc822 part.
        let mut in_message = true;
        for number in path {
            let mut part = self.parts.get(index)?;
            if !in_message && part.kind == PartKind::Message {
                index = self.child(index, 0)?;
                part = self.parts.get(index)?;
                in_message = true;
            }
            let nth = usize::try_from(*number).ok()?.checked_sub(1)?;
            match part.kind {
                PartKind::Multipart => index = self.child(index, nth)?,
                _ if in_message && nth == 0 => {}
                _ => return None,
            }
            in_message = false;
        }
        self.parts.get(index).map(|_| index)
    }

    /// The message inside a message/rfc822 part.
    pub fn inner_message(&self, index: usize) -> Option<&PartFacts> {
        let part = self.parts.get(index)?;
        (part.kind == PartKind::Message).then(|| self.child(index, 0)).flatten().and_then(|i| self.parts.get(i))
    }

    /// The `nth` child of an entity.
    fn child(&self, index: usize, nth: usize) -> Option<usize> {
        let children = self.parts.iter().enumerate().skip(index + 1).filter(|(_, p)| p.parent as usize == index);
        children.map(|(i, _)| i).nth(nth)
    }

    /// For keeping; without version byte or checksum, those are the store's.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.envelope.len() + self.body_structure.len() + self.body.len() + 128);
        let texts = [
            &self.envelope[..],
            &self.body_structure,
            &self.body,
            self.subject.as_bytes(),
            self.from.as_bytes(),
            self.preview.as_bytes(),
        ];
        for text in texts {
            push_bytes(&mut out, text);
        }
        for text in [&self.message_id, &self.list_id] {
            match text {
                Some(text) => {
                    out.push(1);
                    push_bytes(&mut out, text.as_bytes());
                }
                None => out.push(0),
            }
        }
        out.push(self.unsubscribe as u8 | u8::from(self.has_attachment) << 2 | u8::from(self.message_key.is_some()) << 3);
        push_number(&mut out, self.reference_keys.len() as u64);
        for key in self.message_key.iter().chain(&self.reference_keys) {
            out.extend_from_slice(&key.to_le_bytes());
        }
        for number in [self.date_secs, self.date_days] {
            match number {
                Some(number) => {
                    out.push(1);
                    out.extend_from_slice(&number.to_le_bytes());
                }
                None => out.push(0),
            }
        }
        push_number(&mut out, self.parts.len() as u64);
        for part in &self.parts {
            out.push(part.kind as u8 | u8::from(part.is_entire_message) << 2 | u8::from(part.is_text) << 3);
            out.push(part.encoding as u8);
            push_number(&mut out, u64::from(part.parent));
            push_number(&mut out, u64::from(part.start));
            push_number(&mut out, u64::from(part.body_start.wrapping_sub(part.start)));
            push_number(&mut out, u64::from(part.end.wrapping_sub(part.body_start)));
        }
        out
    }

    /// Where in what `encode` gave the items of IMAP lie that are answered as they are: ENVELOPE, BODYSTRUCTURE, BODY.
    ///
    /// ```
    /// use message::Facts;
    /// let facts = Facts::compute(b"Subject: x\r\n\r\nhello");
    /// let kept = facts.encode();
    /// let [envelope, body_structure, body] = Facts::rendered(&kept).unwrap();
    /// assert_eq!((&kept[envelope], &kept[body_structure], &kept[body]), (&facts.envelope[..], &facts.body_structure[..], &facts.body[..]));
    /// assert_eq!(Facts::decode(&kept), Some(facts));
    /// ```
    pub fn rendered(bytes: &[u8]) -> Option<[Range<usize>; 3]> {
        let mut reader = Reader { rest: bytes };
        let mut next = || {
            let len = reader.bytes()?.len();
            let end = bytes.len() - reader.rest.len();
            Some(end - len..end)
        };
        Some([next()?, next()?, next()?])
    }

    /// `None` when the bytes are not what `encode` of this version gives.
    pub fn decode(bytes: &[u8]) -> Option<Facts> {
        let mut reader = Reader { rest: bytes };
        let mut facts = Facts {
            envelope: reader.bytes()?.to_vec(),
            body_structure: reader.bytes()?.to_vec(),
            body: reader.bytes()?.to_vec(),
            subject: reader.text()?,
            from: reader.text()?,
            preview: reader.text()?,
            message_id: reader.optional_text()?,
            list_id: reader.optional_text()?,
            ..Facts::default()
        };
        reader.marks(&mut facts)?;
        facts.date_secs = reader.optional_i64()?;
        facts.date_days = reader.optional_i64()?;
        let count = usize::try_from(reader.number()?).ok()?;
        if count > PARTS_MAX {
            return None;
        }
        for index in 0..count {
            facts.parts.push(reader.part(index)?);
        }
        reader.rest.is_empty().then_some(facts)
    }
}

fn part_facts(parsed: &Message<'_>) -> Vec<PartFacts> {
    // Messages are far smaller than 4 GB (the store counts octets in 32 bits too).
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let one = |part: &crate::parse::Part<'_>| PartFacts {
        parent: offset(part.parent.unwrap_or(0)),
        kind: part.kind,
        is_entire_message: part.is_entire_message,
        is_text: part.content_type.main == "text",
        encoding: part.encoding,
        start: offset(part.header.start),
        body_start: offset(part.header.end),
        end: offset(part.body.end),
    };
    parsed.parts.iter().map(one).collect()
}

/// `<left@right>` out of a Message-ID field; what has no brackets is taken as it stands.
fn message_id(value: &[u8]) -> Option<String> {
    let open = memchr::memchr(b'<', value);
    let close = open.and_then(|o| memchr::memchr(b'>', value.get(o..)?).map(|c| o + c));
    let id = open.zip(close).and_then(|(o, c)| value.get(o..=c)).unwrap_or(value).trim_ascii();
    (!id.is_empty()).then(|| cut(String::from_utf8_lossy(id).chars().filter(|c| !c.is_control()).collect()))
}

fn first_from(value: &[u8]) -> Option<String> {
    address_list::parse(value).iter().find_map(address_list::HeaderAddress::display).map(one_line)
}

fn for_people(value: &[u8], raw_charset: Option<&[u8]>) -> String {
    one_line(encoded_word::decode_in(value, raw_charset))
}

/// Control characters become blanks: an encoded-word can hold a line end.
fn one_line(text: String) -> String {
    cut(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(DISPLAY_BYTES_MAX));
    text
}

/// LEB128.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn optional_text(&mut self) -> Option<Option<String>> {
        if self.flag()? { self.text().map(Some) } else { Some(None) }
    }

    fn key(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Attachment, unsubscribe and thread keys.
    fn marks(&mut self, facts: &mut Facts) -> Option<()> {
        use UnsubscribeWay::{Mail, OneClick, Page};
        let bits = self.byte()?;
        facts.unsubscribe = [UnsubscribeWay::None, OneClick, Mail, Page].into_iter().find(|way| *way as u8 == bits & 3)?;
        facts.has_attachment = bits & 4 != 0;
        let references = self.number()?;
        if bits > 15 || references > REFERENCE_KEYS_MAX as u64 {
            return None;
        }
        if bits & 8 != 0 {
            facts.message_key = Some(self.key()?);
        }
        for _ in 0..references {
            facts.reference_keys.push(self.key()?);
        }
        Some(())
    }

    fn optional_i64(&mut self) -> Option<Option<i64>> {
        if !self.flag()? {
            return Some(None);
        }
        let bytes = self.take(8)?.try_into().ok()?;
        Some(Some(i64::from_le_bytes(bytes)))
    }

    fn offset(&mut self, base: u32) -> Option<u32> {
        base.checked_add(u32::try_from(self.number()?).ok()?)
    }

    fn part(&mut self, index: usize) -> Option<PartFacts> {
        let bits = self.byte()?;
        let kind = match bits & 3 {
            0 => PartKind::Leaf,
            1 => PartKind::Multipart,
            2 => PartKind::Message,
            _ => return None,
        };
        let encoding = TransferEncoding::from_code(self.byte()?)?;
        let parent = u32::try_from(self.number()?).ok()?;
        if bits > 15 || parent as usize > index.saturating_sub(1) {
            return None;
        }
        let start = self.offset(0)?;
        let body_start = self.offset(start)?;
        let end = self.offset(body_start)?;
        let (is_entire_message, is_text) = (bits & 4 != 0, bits & 8 != 0);
        Some(PartFacts { parent, kind, is_entire_message, is_text, encoding, start, body_start, end })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn facts_of_a_simple_message() {
        let text = b"Message-ID: (c) <a@b> x\r\nDate: Wed, 17 Jul 1996 02:23:25 -0700\r\nFrom: =?utf-8?Q?=C3=84?= <a@b.test>, c@d\r\nSubject: =?utf-8?Q?a=0D=0Ab?=\r\n\r\nhi";
        let facts = Facts::compute(text);
        assert_eq!(facts.message_id.as_deref(), Some("<a@b>"));
        assert_eq!(facts.subject, "a  b");
        assert_eq!(facts.from, "Ä <a@b.test>");
        assert_eq!(facts.date_secs, Some(837_595_405));
        assert_eq!(facts.date_days, Some(9694));
        assert_eq!(facts.header_bytes(), text.len() - 2);
        let encoded = facts.encode();
        let [envelope, body_structure, body] = Facts::rendered(&encoded).unwrap();
        assert_eq!((&encoded[envelope], &encoded[body_structure]), (&facts.envelope[..], &facts.body_structure[..]));
        assert_eq!(&encoded[body], facts.body);
        assert_eq!(Facts::rendered(&encoded[..encoded.len() / 4]), None);
        assert_eq!(Facts::decode(&facts.encode()), Some(facts));
    }

    #[test]
    fn what_lists_and_threads_need() {
        let text = b"Message-ID: <c@x>\r\nReferences: <a@x> <b@x>\r\nList-Id: Friends <F.test>\r\nList-Unsubscribe: <https://x.test/u>\r\n\
            List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nHello there\r\n\
            --a\r\nContent-Type: image/png; name=a.png\r\n\r\nPNG\r\n--a--\r\n";
        let facts = Facts::compute(text);
        assert_eq!(
            (facts.preview.as_str(), facts.has_attachment, facts.unsubscribe),
            ("Hello there", true, UnsubscribeWay::OneClick)
        );
        assert_eq!((facts.list_id.as_deref(), facts.message_key), (Some("f.test"), Some(thread_keys::key("c@x"))));
        assert_eq!(facts.reference_keys, ["a@x", "b@x"].map(thread_keys::key));
        assert_eq!(Facts::decode(&facts.encode()), Some(facts));
        let many: String = (0..100).map(|i| format!(" <{i}@x>")).collect();
        let facts = Facts::compute(format!("References:{many}\r\n\r\n").as_bytes());
        assert_eq!((facts.reference_keys.len(), facts.reference_keys[0]), (REFERENCE_KEYS_MAX, thread_keys::key("0@x")));
        assert_eq!(facts.reference_keys.last(), Some(&thread_keys::key("99@x")));
    }

    #[test]
    fn damaged_bytes_are_not_facts() {
        let bytes = Facts::compute(b"Subject: x\r\n\r\n").encode();
        for len in 0..bytes.len() {
            assert_eq!(Facts::decode(&bytes[..len]), None, "{len}");
        }
        assert_eq!(Facts::decode(&[&bytes[..], b"x"].concat()), None);
        assert_eq!(Facts::decode(&[0xff; 40]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn encode_decode(text in crate::test_messages::hostile()) {
            let facts = Facts::compute(&text);
            prop_assert_eq!(Facts::decode(&facts.encode()), Some(facts));
        }
        #[test]
        fn decode_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Facts::decode(&bytes);
        }
    }
}
