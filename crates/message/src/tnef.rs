//! TNEF (MS-OXTNEF): winmail.dat, what Outlook sends when it thinks that Outlook reads.
//!
//! Subject, body, attachments with their long names, messages inside, appointments. Content borrows from the stream.
//! Invariant: never fails behind a good signature, at most [`TNEF_DEPTH_MAX`] streams inside one another; sums that are wrong
//! are told and what they are of is read all the same. Must not know: MIME.

use std::borrow::Cow;

use crate::charset;
use crate::compressed_rtf;
use crate::html_text;
use crate::limits::{TNEF_ATTRIBUTES_MAX, TNEF_DEPTH_MAX};
use crate::mapi::{self, Property, PropertyName, PropertyValue, Reader, until_nul};
use crate::rtf_text;

/// What was wrong with a TNEF stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The stream ends inside an attribute.
    Truncated,
    /// The sum behind an attribute is wrong.
    Checksum,
    /// A list of properties cannot be read to its end.
    Properties,
    /// The compressed RTF is damaged.
    Rtf,
    /// More attributes than are read, or streams too deep inside one another.
    TooMuch,
}

/// A message as Outlook keeps it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tnef<'a> {
    /// `IPM.Note`, `IPM.Schedule.Meeting.Request`, ...
    pub message_class: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Message-ID, with its brackets.
    pub message_id: Option<String>,
    /// Sender's name and address.
    pub from: (Option<String>, Option<String>),
    /// Plain text.
    pub body: Option<String>,
    /// HTML, in the charset that it or [`Tnef::html_charset`] names.
    pub html: Option<Cow<'a, [u8]>>,
    /// Charset of the HTML.
    pub html_charset: Option<&'static str>,
    /// RTF, decompressed.
    pub rtf: Option<Vec<u8>>,
    /// Start and end of an appointment, in seconds since 1970-01-01 UTC.
    pub start_secs: Option<i64>,
    /// See `start_secs`.
    pub end_secs: Option<i64>,
    /// Where the appointment is.
    pub location: Option<String>,
    /// In their order.
    pub attachments: Vec<TnefAttachment<'a>>,
    /// What was wrong, each once.
    pub troubles: Vec<Trouble>,
}

impl Tnef<'_> {
    /// What a person reads: the plain text, else the HTML as text, else the RTF as text.
    ///
    /// ```
    /// let stream = message::tnef::encode(&[(1, 0x0002_800c, b"Lunch?\0")]);
    /// assert_eq!(message::tnef::parse(&stream).unwrap().text().as_deref(), Some("Lunch?"));
    /// ```
    pub fn text(&self) -> Option<Cow<'_, str>> {
        if let Some(body) = &self.body {
            return Some(Cow::Borrowed(body));
        }
        if let Some(html) = &self.html {
            let charset = self.html_charset.unwrap_or("utf-8");
            return Some(Cow::Owned(html_text::text(&charset::decode(charset.as_bytes(), html))));
        }
        self.rtf.as_deref().map(|rtf| Cow::Owned(rtf_text::text(rtf)))
    }
}

/// A file inside.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TnefAttachment<'a> {
    /// The best name there is: long, else short, else the title. It may hold anything: it is no path.
    pub name: Option<String>,
    /// `image/png`, if the sender said it.
    pub media_type: Option<String>,
    /// What `cid:` names, without brackets.
    pub content_id: Option<String>,
    /// Shown inside the HTML, not beside it.
    pub is_hidden: bool,
    /// The content.
    pub content: &'a [u8],
    /// The message inside, when it is one.
    pub message: Option<Box<Tnef<'a>>>,
}

const SIGNATURE: [u8; 4] = [0x78, 0x9f, 0x3e, 0x22];
/// IID_IMessage: an object that is a message.
const MESSAGE_INTERFACE: [u8; 16] = [7, 3, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];
/// PSETID_Appointment (MS-OXPROPS §1.3.2).
const APPOINTMENT: [u8; 16] = [2, 0x20, 6, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];

/// Reads a stream; `None` without the signature.
///
/// ```
/// let stream = message::tnef::encode(&[(1, 0x0001_8004, b"Lunch\0")]);
/// assert_eq!(message::tnef::parse(&stream).unwrap().subject.as_deref(), Some("Lunch"));
/// assert_eq!(message::tnef::parse(b"no"), None);
/// ```
pub fn parse(stream: &[u8]) -> Option<Tnef<'_>> {
    parse_at(stream, 1)
}

fn parse_at(stream: &[u8], depth: usize) -> Option<Tnef<'_>> {
    let rest = stream.strip_prefix(&SIGNATURE)?.get(2..)?;
    let attributes = attributes(rest);
    let code_page =
        attributes.list.iter().find(|a| a.id == 0x9007).and_then(|a| Some(u32::from_le_bytes(a.data.get(..4)?.try_into().ok()?)));
    let mut builder =
        Builder { out: Tnef::default(), code_page: code_page.and_then(code_page_label).unwrap_or("windows-1252"), depth };
    builder.out.troubles = attributes.troubles;
    for attribute in attributes.list {
        match attribute.level {
            2 => builder.attachment(attribute.id, attribute.data),
            _ => builder.message(attribute.id, attribute.data),
        }
    }
    Some(builder.out)
}

struct Attribute<'a> {
    level: u8,
    id: u16,
    data: &'a [u8],
}

struct Attributes<'a> {
    list: Vec<Attribute<'a>>,
    troubles: Vec<Trouble>,
}

/// Level, number, length, data, sum: as far as they go.
fn attributes(rest: &[u8]) -> Attributes<'_> {
    let mut reader = Reader { rest };
    let mut out = Attributes { list: Vec::new(), troubles: Vec::new() };
    while !reader.rest.is_empty() {
        if out.list.len() >= TNEF_ATTRIBUTES_MAX {
            note(&mut out.troubles, Trouble::TooMuch);
            break;
        }
        let mut one = || {
            let (level, id, len) = (reader.u8()?, reader.u32()?, reader.u32()? as usize);
            let rest = reader.rest;
            let data = reader.take(len.min(rest.len()))?;
            Some((level, id, data, data.len() == len, reader.u16()))
        };
        let Some((level, id, data, whole, sum)) = one() else {
            note(&mut out.troubles, Trouble::Truncated);
            break;
        };
        match sum {
            Some(sum) if whole => {
                if data.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte))) != sum {
                    note(&mut out.troubles, Trouble::Checksum);
                }
            }
            _ => note(&mut out.troubles, Trouble::Truncated),
        }
        out.list.push(Attribute { level, id: id as u16, data });
    }
    out
}

fn note(troubles: &mut Vec<Trouble>, trouble: Trouble) {
    if !troubles.contains(&trouble) {
        troubles.push(trouble);
    }
}

struct Builder<'a> {
    out: Tnef<'a>,
    code_page: &'static str,
    depth: usize,
}

impl<'a> Builder<'a> {
    fn text(&self, data: &[u8]) -> Option<String> {
        let text = charset::decode(self.code_page.as_bytes(), until_nul(data)).into_owned();
        (!text.is_empty()).then_some(text)
    }

    fn message(&mut self, id: u16, data: &'a [u8]) {
        match id {
            0x8004 => self.out.subject = self.out.subject.take().or(self.text(data)),
            0x8008 => self.out.message_class = self.out.message_class.take().or(self.text(data)),
            0x800c => self.out.body = self.out.body.take().or(self.text(data)),
            0x0006 => self.out.start_secs = self.out.start_secs.or_else(|| date(data)),
            0x0007 => self.out.end_secs = self.out.end_secs.or_else(|| date(data)),
            0x9003 => {
                let (properties, whole) = mapi::parse(data);
                if !whole {
                    note(&mut self.out.troubles, Trouble::Properties);
                }
                properties.iter().for_each(|p| self.message_property(p));
            }
            _ => {}
        }
    }

    /// Properties are newer than attributes and win.
    fn message_property(&mut self, property: &Property<'a>) {
        let value = property.value;
        let text = || value.text(self.code_page.as_bytes()).filter(|t| !t.is_empty());
        let keep = |slot: &mut Option<String>, text: Option<String>| *slot = text.or(slot.take());
        match property.name {
            PropertyName::Tag(0x0037) => keep(&mut self.out.subject, text()),
            PropertyName::Tag(0x001a) => keep(&mut self.out.message_class, text()),
            PropertyName::Tag(0x1035) => keep(&mut self.out.message_id, text()),
            PropertyName::Tag(0x0c1a) => keep(&mut self.out.from.0, text()),
            PropertyName::Tag(0x0c1f | 0x5d01) => keep(&mut self.out.from.1, text()),
            PropertyName::Tag(0x1000) => keep(&mut self.out.body, text()),
            PropertyName::Tag(0x3fde) => {
                if let PropertyValue::Number(number) = value {
                    self.out.html_charset = u32::try_from(number).ok().and_then(code_page_label);
                }
            }
            PropertyName::Tag(0x1013) => {
                self.out.html = match value {
                    PropertyValue::Text16(octets) => {
                        self.out.html_charset = Some("utf-8");
                        Some(Cow::Owned(mapi::utf_16(octets).into_bytes()))
                    }
                    _ => value.octets().map(Cow::Borrowed),
                };
            }
            PropertyName::Tag(0x1009) => self.rtf(value.octets().unwrap_or_default()),
            PropertyName::Tag(0x0060) | PropertyName::Named(APPOINTMENT, 0x820d) => {
                self.out.start_secs = time(value).or(self.out.start_secs)
            }
            PropertyName::Tag(0x0061) | PropertyName::Named(APPOINTMENT, 0x820e) => {
                self.out.end_secs = time(value).or(self.out.end_secs)
            }
            PropertyName::Named(APPOINTMENT, 0x8208) => keep(&mut self.out.location, text()),
            _ => {}
        }
    }

    fn rtf(&mut self, octets: &[u8]) {
        match compressed_rtf::decompress(octets) {
            Some(found) => {
                if !found.troubles.is_empty() {
                    note(&mut self.out.troubles, Trouble::Rtf);
                }
                self.out.rtf = Some(found.rtf);
            }
            None => note(&mut self.out.troubles, Trouble::Rtf),
        }
    }

    fn attachment(&mut self, id: u16, data: &'a [u8]) {
        // attAttachRenddata begins an attachment; some streams leave it out for the first.
        if id == 0x9002 || self.out.attachments.is_empty() {
            self.out.attachments.push(TnefAttachment::default());
        }
        let title = if id == 0x8010 { self.text(data) } else { None };
        let Some(attachment) = self.out.attachments.last_mut() else { return };
        match id {
            0x8010 if attachment.name.is_none() => attachment.name = title,
            0x800f => attachment.content = data,
            0x9005 => {
                let (properties, whole) = mapi::parse(data);
                if !whole {
                    note(&mut self.out.troubles, Trouble::Properties);
                }
                self.attachment_properties(&properties);
            }
            _ => {}
        }
    }

    fn attachment_properties(&mut self, properties: &[Property<'a>]) {
        let code_page = self.code_page.as_bytes();
        let find = |tag| properties.iter().find(|p| p.name == PropertyName::Tag(tag)).map(|p| p.value);
        let text = |tag| find(tag).and_then(|v| v.text(code_page)).filter(|t| !t.is_empty());
        let Some(attachment) = self.out.attachments.last_mut() else { return };
        let title = attachment.name.take();
        attachment.name = text(0x3707).or_else(|| text(0x3704)).or(title).or_else(|| text(0x3001));
        attachment.media_type = text(0x370e);
        attachment.content_id = text(0x3712).map(|id| id.trim_matches(['<', '>']).to_owned());
        attachment.is_hidden = matches!(find(0x7ffe), Some(PropertyValue::Number(n)) if n != 0);
        match find(0x3701) {
            Some(PropertyValue::Object(MESSAGE_INTERFACE, stream)) => {
                attachment.content = stream;
                if self.depth < TNEF_DEPTH_MAX {
                    attachment.message = parse_at(stream, self.depth + 1).map(Box::new);
                } else {
                    note(&mut self.out.troubles, Trouble::TooMuch);
                }
            }
            Some(value) if attachment.content.is_empty() => attachment.content = value.octets().unwrap_or_default(),
            _ => {}
        }
    }
}

fn time(value: PropertyValue<'_>) -> Option<i64> {
    match value {
        PropertyValue::Time(secs) => Some(secs),
        _ => None,
    }
}

/// Year, month, day, hour, minute, second as 16-bit numbers (MS-OXTNEF §2.1.3.3.2); in whose zone, it does not say.
fn date(data: &[u8]) -> Option<i64> {
    let mut reader = Reader { rest: data };
    let mut next = || reader.u16();
    let (year, month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?, next()?);
    let good = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    let days = crate::date::days_from_civil(i32::from(year), month as u8, day as u8);
    good.then(|| days * 86_400 + i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second))
}

/// The charset of a Windows code page.
///
/// ```
/// assert_eq!(message::tnef::code_page_label(932), Some("shift_jis"));
/// ```
pub fn code_page_label(number: u32) -> Option<&'static str> {
    Some(match number {
        866 => "ibm866",
        874 => "windows-874",
        932 => "shift_jis",
        936 | 54936 => "gb18030",
        949 | 51949 => "euc-kr",
        950 => "big5",
        1250 => "windows-1250",
        1251 => "windows-1251",
        1252 => "windows-1252",
        1253 => "windows-1253",
        1254 => "windows-1254",
        1255 => "windows-1255",
        1256 => "windows-1256",
        1257 => "windows-1257",
        1258 => "windows-1258",
        10000 => "macintosh",
        20866 => "koi8-r",
        21866 => "koi8-u",
        20127 => "us-ascii",
        28591 => "iso-8859-1",
        28592 => "iso-8859-2",
        28593 => "iso-8859-3",
        28594 => "iso-8859-4",
        28595 => "iso-8859-5",
        28596 => "iso-8859-6",
        28597 => "iso-8859-7",
        28598 => "iso-8859-8",
        28599 => "iso-8859-9",
        28605 => "iso-8859-15",
        50220..=50222 => "iso-2022-jp",
        51932 => "euc-jp",
        65000 => "utf-7",
        65001 => "utf-8",
        _ => return None,
    })
}

/// A stream of attributes (level, type and number, data): what tests write.
///
/// ```
/// assert!(message::tnef::encode(&[]).starts_with(b"\x78\x9f\x3e\x22"));
/// ```
pub fn encode(attributes: &[(u8, u32, &[u8])]) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.extend_from_slice(&[1, 0]);
    for (level, id, data) in attributes {
        out.push(*level);
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&(data.len() as u32).to_le_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(&data.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte))).to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn text16(tag: u16, text: &str) -> Vec<u8> {
        let octets: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        variable(0x001f, tag, &octets)
    }

    fn variable(kind: u16, tag: u16, octets: &[u8]) -> Vec<u8> {
        let mut out = [kind.to_le_bytes(), tag.to_le_bytes()].concat();
        out.extend_from_slice(&1u32.to_le_bytes());
        out.extend_from_slice(&(octets.len() as u32).to_le_bytes());
        out.extend_from_slice(octets);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn list(properties: &[Vec<u8>]) -> Vec<u8> {
        [(properties.len() as u32).to_le_bytes().to_vec(), properties.concat()].concat()
    }

    /// What Outlook sends: a message with RTF, two files, and a message inside.
    fn sample() -> Vec<u8> {
        let inner = encode(&[
            (1, 0x0001_8004, b"Inside\0"),
            (2, 0x0006_9002, &[0; 14]),
            (2, 0x0006_800f, b"deep"),
            (2, 0x0001_8010, b"d.txt\0"),
        ]);
        let object = [&MESSAGE_INTERFACE[..], &inner].concat();
        let rtf = compressed_rtf::stored(b"{\\rtf1 Dear Ann}");
        let message = list(&[
            text16(0x0037, "Grüße"),
            variable(0x0102, 0x1009, &rtf),
            variable(0x0102, 0x1013, b"<p>Dear Ann"),
            text16(0x1035, "<m@x>"),
        ]);
        let first = list(&[text16(0x3707, "ein langer Name ☺.txt"), text16(0x370e, "text/plain"), text16(0x3712, "<cid@x>")]);
        let second = list(&[variable(0x000d, 0x3701, &object), text16(0x3001, "Inside")]);
        encode(&[
            (1, 0x0008_9006, &0x0001_0000u32.to_le_bytes()),
            (1, 0x0006_9007, &[0xe4, 4, 0, 0, 0, 0, 0, 0]),
            (1, 0x0007_8008, b"IPM.Note\0"),
            (1, 0x0001_8004, b"Gr\xfc\xdfe\0"),
            (1, 0x0006_9003, &message),
            (2, 0x0006_9002, &[0; 14]),
            (2, 0x0001_8010, b"EINLAN~1.TXT\0"),
            (2, 0x0006_800f, b"Cat"),
            (2, 0x0006_9005, &first),
            (2, 0x0006_9002, &[0; 14]),
            (2, 0x0006_9005, &second),
        ])
    }

    #[test]
    fn everything_in_it() {
        let stream = sample();
        let found = parse(&stream).unwrap();
        assert_eq!((found.subject.as_deref(), found.message_class.as_deref()), (Some("Grüße"), Some("IPM.Note")));
        assert_eq!((found.rtf.as_deref(), found.html.as_deref()), (Some(&b"{\\rtf1 Dear Ann}"[..]), Some(&b"<p>Dear Ann"[..])));
        assert_eq!((found.message_id.as_deref(), found.troubles.len()), (Some("<m@x>"), 0));
        let [file, message] = &found.attachments[..] else { panic!("{found:?}") };
        assert_eq!(
            (file.name.as_deref(), file.content, file.media_type.as_deref()),
            (Some("ein langer Name ☺.txt"), &b"Cat"[..], Some("text/plain"))
        );
        assert_eq!(file.content_id.as_deref(), Some("cid@x"));
        let inner = message.message.as_ref().unwrap();
        assert_eq!((inner.subject.as_deref(), inner.attachments[0].content), (Some("Inside"), &b"deep"[..]));
        assert_eq!(inner.attachments[0].name.as_deref(), Some("d.txt"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let stream = sample();
        for len in 6..stream.len() {
            let found = parse(&stream[..len]).unwrap();
            let at_an_edge = found.troubles.is_empty();
            assert!(
                at_an_edge || found.troubles.iter().any(|t| matches!(t, Trouble::Truncated | Trouble::Properties | Trouble::Rtf)),
                "{len}"
            );
        }
        let mut flipped = stream.clone();
        let at = memchr::memmem::find(&flipped, b"Cat").unwrap();
        flipped[at] = b'c';
        assert_eq!(parse(&flipped).unwrap().troubles, [Trouble::Checksum]);
        let deep = (0..20).fold(encode(&[]), |inner, _| {
            let object = [&MESSAGE_INTERFACE[..], &inner].concat();
            encode(&[(2, 0x0006_9002, &[0; 14]), (2, 0x0006_9005, &list(&[variable(0x000d, 0x3701, &object)]))])
        });
        let mut at = parse(&deep).unwrap();
        let mut levels = 1;
        while let Some(inner) = at.attachments.first_mut().and_then(|a| a.message.take()) {
            at = *inner;
            levels += 1;
        }
        assert_eq!((levels, at.troubles), (TNEF_DEPTH_MAX, vec![Trouble::TooMuch]));
    }

    #[test]
    fn an_appointment() {
        let mut named = vec![0x40, 0, 0x0d, 0x82];
        named.extend_from_slice(&APPOINTMENT);
        named.extend_from_slice(&[0, 0, 0, 0, 0x0d, 0x82, 0, 0]);
        named.extend_from_slice(&((11_644_473_600u64 + 1_000) * 10_000_000).to_le_bytes());
        let date: Vec<u8> = [2026u16, 11, 23, 10, 30, 0, 1].iter().flat_map(|n| n.to_le_bytes()).collect();
        let properties = list(&[named]);
        let stream = encode(&[
            (1, 0x0003_0006, &date),
            (1, 0x0003_0007, &date),
            (1, 0x0006_9003, &properties),
            (1, 0x0007_8008, b"IPM.Microsoft Schedule.MtgReq\0"),
        ]);
        let found = parse(&stream).unwrap();
        assert_eq!((found.start_secs, found.end_secs), (Some(1_000), Some(1_795_429_800)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn never_panics(changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8)) {
            let mut stream = sample();
            let len = stream.len();
            for (at, octet) in changes {
                stream[at.index(len)] = octet;
            }
            let _ = parse(&stream);
        }
    }
}
