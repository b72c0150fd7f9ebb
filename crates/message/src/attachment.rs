//! The files of a message as a person means them: attachments, pictures inside the HTML apart, messages inside, signatures
//! named as such, and what is packed into other things (winmail.dat, uuencode, yEnc, BinHex, AppleSingle).
//!
//! Invariant: at most [`ATTACHMENTS_MAX`]; every one can be read again with [`content`]. A name may hold anything: it is no
//! path. Must not know: file systems.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::apple_single::{self, mac_text};
use crate::limits::{ATTACHMENTS_MAX, UNPACKED_BYTES_MAX};
use crate::part::{Message, Part, PartKind};
use crate::tnef::{self, Tnef};
use crate::{binhex, charset, encoded_word, uuencode, yenc};

/// What an attachment is to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttachmentKind {
    /// A file.
    File,
    /// A picture or the like that the HTML shows by its Content-ID.
    Inline,
    /// A message inside.
    Message,
    /// An invitation or another calendar.
    Calendar,
    /// A signature over other parts (RFC 1847, RFC 3156, RFC 8551).
    Signature,
    /// What only its key opens.
    Encrypted,
    /// The machine-readable halves of a report (RFC 6522).
    Report,
    /// winmail.dat itself; what is in it follows.
    Tnef,
}

/// Where the content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It is the content of the part.
    Part,
    /// The nth uuencoded file inside the part's text.
    Uuencode(usize),
    /// The nth yEnc part inside the part's text.
    Yenc(usize),
    /// A yEnc file in pieces: each by its part, and which of the yEnc parts there it is.
    YencPieces(Vec<(usize, usize)>),
    /// The nth BinHex file inside the part's text.
    BinHex(usize),
    /// The data fork of an AppleSingle.
    AppleSingle,
    /// In a TNEF: index of the attachment, and of one inside its message, and so on.
    Tnef(Vec<usize>),
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Index in [`Message::parts`].
    pub part: usize,
    /// What it is to a person.
    pub kind: AttachmentKind,
    /// Where its content is.
    pub place: Place,
    /// Name, decoded.
    pub name: Option<String>,
    /// `image/png`, as the sender said it.
    pub media_type: String,
    /// Octets of the content, decoded.
    pub size: u64,
    /// Content-ID without brackets.
    pub content_id: Option<String>,
}

/// All of them, in the order of the message.
///
/// ```
/// use message::attachment::{self, AttachmentKind};
/// let message = message::parse(b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nHi\r\n--a\r\nContent-Type: image/png; name=cat.png\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--a--\r\n");
/// let found = attachment::list(&message);
/// assert_eq!((found[0].kind, found[0].name.as_deref(), found[0].size), (AttachmentKind::File, Some("cat.png"), 2));
/// assert_eq!(attachment::content(&message, &found[0]).unwrap().as_ref(), b"hi");
/// ```
pub fn list(message: &Message<'_>) -> Vec<Attachment> {
    listed(message, true)
}

/// [`list`] without decoding what is a part by itself only for its size, which is that of the part as it stands.
///
/// ```
/// let message = message::parse(b"Content-Type: image/png; name=cat.png\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n");
/// let (named, listed) = (message::attachment::names(&message), message::attachment::list(&message));
/// assert_eq!((named[0].name.as_deref(), named[0].size, listed[0].size), (Some("cat.png"), 6, 2));
/// ```
pub fn names(message: &Message<'_>) -> Vec<Attachment> {
    listed(message, false)
}

fn listed(message: &Message<'_>, sizes: bool) -> Vec<Attachment> {
    let mut out = Vec::new();
    let mut pieces = Pieces::new();
    for (index, part) in message.parts.iter().enumerate() {
        if out.len() >= ATTACHMENTS_MAX {
            break;
        }
        match role(message, index, part) {
            Role::Body => inside_text(index, part, &mut out, &mut pieces),
            Role::Hidden => {}
            Role::Attachment(kind) => push(message, index, part, (kind, sizes), &mut out),
        }
    }
    join_pieces(pieces, &mut out);
    out.truncate(ATTACHMENTS_MAX);
    out
}

/// True when a person would say that the message has an attachment. By structure alone: nothing is decoded, so files inside
/// a text do not count.
///
/// ```
/// assert!(!message::attachment::has_attachment(&message::parse(b"\r\nHi")));
/// assert!(message::attachment::has_attachment(&message::parse(b"Content-Type: application/pdf\r\n\r\n")));
/// ```
pub fn has_attachment(message: &Message<'_>) -> bool {
    use AttachmentKind::{File, Message as Inner, Tnef};
    let mut parts = message.parts.iter().enumerate().take(ATTACHMENTS_MAX);
    parts.any(|(index, part)| matches!(role(message, index, part), Role::Attachment(File | Inner | Tnef)))
}

/// The content; `None` when the message has no such attachment.
pub fn content<'a>(message: &Message<'a>, attachment: &Attachment) -> Option<Cow<'a, [u8]>> {
    let part = message.parts.get(attachment.part)?;
    if attachment.place == Place::Part {
        return Some(if part.kind == PartKind::Leaf { part.content() } else { Cow::Borrowed(part.raw_body()) });
    }
    if let Place::YencPieces(pieces) = &attachment.place {
        let one = |(part, nth): &(usize, usize)| yenc::find(&message.parts.get(*part)?.content()).into_iter().nth(*nth);
        let pieces: Vec<yenc::YencPart> = pieces.iter().filter_map(one).collect();
        return yenc::join(&pieces, UNPACKED_BYTES_MAX).map(|file| Cow::Owned(file.content));
    }
    let octets = part.content();
    let content = match &attachment.place {
        Place::Part | Place::YencPieces(_) => return None,
        Place::Uuencode(nth) => uuencode::find(&octets).into_iter().nth(*nth)?.content,
        Place::Yenc(nth) => yenc::find(&octets).into_iter().nth(*nth)?.content,
        Place::BinHex(nth) => binhex::find(&octets).into_iter().nth(*nth)?.data,
        Place::AppleSingle => apple_single::parse(&octets)?.data?.to_vec(),
        Place::Tnef(path) => {
            let (last, way) = path.split_last()?;
            let mut at = tnef::parse(&octets)?;
            for index in way {
                at = *at.attachments.into_iter().nth(*index)?.message?;
            }
            at.attachments.get(*last)?.content.to_vec()
        }
    };
    Some(Cow::Owned(content))
}

pub(crate) enum Role {
    /// What a person reads as the message.
    Body,
    /// Nothing by itself: a multipart, or what another part stands for.
    Hidden,
    Attachment(AttachmentKind),
}

/// What a part is, from itself and the multipart around it.
pub(crate) fn role(message: &Message<'_>, index: usize, part: &Part<'_>) -> Role {
    use AttachmentKind::*;
    if part.is_entire_message && index > 0 || part.kind == PartKind::Multipart {
        // A message inside is told once, by the part around it; what is in it is told too.
        return Role::Hidden;
    }
    let (main, sub) = (part.content_type.main.as_str(), part.content_type.sub.as_str());
    let around = part.parent.and_then(|p| message.parts.get(p)).filter(|p| p.kind == PartKind::Multipart);
    let place = around.and_then(|p| p.children.iter().position(|c| *c == index)).unwrap_or_default();
    let around = around.map(|p| p.content_type.sub.as_str()).unwrap_or_default();
    if part.kind == PartKind::Message {
        return Role::Attachment(if around == "report" && place > 0 { Report } else { Message });
    }
    match (main, sub) {
        ("application", "pgp-signature" | "pkcs7-signature" | "x-pkcs7-signature") => return Role::Attachment(Signature),
        ("application", "pgp-encrypted") => return Role::Hidden,
        ("application", "pkcs7-mime" | "x-pkcs7-mime") => return Role::Attachment(Encrypted),
        ("application", "ms-tnef" | "vnd.ms-tnef") => return Role::Attachment(Tnef),
        ("application", "applefile") if around == "appledouble" => return Role::Hidden,
        ("text", "calendar") => return Role::Attachment(Calendar),
        _ => {}
    }
    match around {
        "signed" if place == 1 => return Role::Attachment(Signature),
        "encrypted" if place == 1 => return Role::Attachment(Encrypted),
        "report" if place > 0 => return Role::Attachment(Report),
        "related" if place > 0 && !part.is_attachment() && (part.id.is_some() || part.location.is_some()) => {
            return Role::Attachment(Inline);
        }
        _ => {}
    }
    let is_body = main == "text" && matches!(sub, "plain" | "html" | "enriched" | "richtext" | "watch-html" | "x-amp-html");
    if is_body && !part.is_attachment() && (place == 0 || around == "alternative" || part.file_name().is_none()) {
        return Role::Body;
    }
    Role::Attachment(File)
}

fn push(message: &Message<'_>, index: usize, part: &Part<'_>, (kind, sizes): (AttachmentKind, bool), out: &mut Vec<Attachment>) {
    let (main, sub) = (part.content_type.main.as_str(), part.content_type.sub.as_str());
    let mut attachment = Attachment {
        part: index,
        kind,
        place: Place::Part,
        name: part.file_name().filter(|n| !n.is_empty()),
        media_type: format!("{main}/{sub}"),
        size: sizes.then(|| part.content_len()).flatten().unwrap_or(part.body.len() as u64),
        content_id: part.content_id().map(|id| String::from_utf8_lossy(id).into_owned()),
    };
    match (main, sub) {
        _ if kind == AttachmentKind::Message => attachment.name = attachment.name.or_else(|| inner_subject(message, part)),
        ("application", "ms-tnef" | "vnd.ms-tnef") => {
            out.push(attachment);
            if let Some(tnef) = tnef::parse(&part.content()) {
                push_tnef(index, &tnef, &mut Vec::new(), out);
            }
            return;
        }
        ("application", "mac-binhex40" | "mac-binhex" | "x-binhex40") => {
            let files = binhex::find(&part.content());
            if !files.is_empty() {
                return out.extend(files.iter().enumerate().map(|(nth, file)| of_binhex(index, nth, file)));
            }
        }
        ("application", "applefile") => {
            let octets = part.content();
            if let Some((file, data)) = apple_single::parse(&octets).and_then(|file| file.data.map(|data| (file, data))) {
                attachment.place = Place::AppleSingle;
                attachment.size = data.len() as u64;
                attachment.name = file.name().or(attachment.name);
                attachment.media_type = "application/octet-stream".to_owned();
            }
        }
        _ if attachment.name.is_none() => attachment.name = apple_double_name(message, index, part),
        _ => {}
    }
    out.push(attachment);
}

/// The Subject of the message inside: what a person calls it.
fn inner_subject(message: &Message<'_>, part: &Part<'_>) -> Option<String> {
    let inner = part.children.first().and_then(|i| message.parts.get(*i))?;
    let subject = encoded_word::decode(&inner.field("subject")?.value());
    (!subject.trim().is_empty()).then_some(subject)
}

/// The data fork of an AppleDouble has its name in the part before it.
fn apple_double_name(message: &Message<'_>, index: usize, part: &Part<'_>) -> Option<String> {
    let around = message.parts.get(part.parent?).filter(|p| p.content_type.is("multipart", "appledouble"))?;
    let header = around.children.first().filter(|first| **first != index).and_then(|first| message.parts.get(*first))?;
    header.file_name().or_else(|| apple_single::parse(&header.content())?.name())
}

fn push_tnef(index: usize, tnef: &Tnef<'_>, way: &mut Vec<usize>, out: &mut Vec<Attachment>) {
    for (nth, file) in tnef.attachments.iter().enumerate() {
        if out.len() >= ATTACHMENTS_MAX {
            return;
        }
        way.push(nth);
        let inner = file.message.as_deref();
        let kind = match inner {
            Some(_) => AttachmentKind::Message,
            None if file.is_hidden && file.content_id.is_some() => AttachmentKind::Inline,
            None => AttachmentKind::File,
        };
        let default_type = if inner.is_some() { "application/ms-tnef" } else { "application/octet-stream" };
        out.push(Attachment {
            part: index,
            kind,
            place: Place::Tnef(way.clone()),
            name: file.name.clone().or_else(|| inner.and_then(|m| m.subject.clone())),
            media_type: file.media_type.clone().unwrap_or_else(|| default_type.to_owned()),
            size: file.content.len() as u64,
            content_id: file.content_id.clone(),
        });
        if let Some(inner) = inner {
            push_tnef(index, inner, way, out);
        }
        way.pop();
    }
}

fn of_binhex(index: usize, nth: usize, file: &binhex::MacFile) -> Attachment {
    packed(index, Place::BinHex(nth), mac_text(&file.name), file.data.len())
}

fn packed(index: usize, place: Place, name: String, size: usize) -> Attachment {
    let media_type = "application/octet-stream".to_owned();
    Attachment {
        part: index,
        kind: AttachmentKind::File,
        place,
        name: Some(name),
        media_type,
        size: size as u64,
        content_id: None,
    }
}

/// Files inside a text part; only plain text is looked through.
fn inside_text(index: usize, part: &Part<'_>, out: &mut Vec<Attachment>, pieces: &mut Pieces) {
    if part.content_type.sub != "plain" || part.raw_body().len() > UNPACKED_BYTES_MAX {
        return;
    }
    let octets = part.content();
    let name = |octets: &[u8]| charset::guess(octets).into_owned();
    let mut found: Vec<(usize, Attachment)> = Vec::new();
    for (nth, file) in uuencode::find(&octets).iter().enumerate() {
        found.push((file.range.start, packed(index, Place::Uuencode(nth), name(&file.name), file.content.len())));
    }
    for (nth, file) in yenc::find(&octets).into_iter().enumerate() {
        found.push((file.range.start, packed(index, Place::Yenc(nth), name(&file.name), file.content.len())));
        if file.part.is_some() {
            pieces.entry((file.name, file.file_len)).or_default().push((index, nth, file.place));
        }
    }
    for (nth, file) in binhex::find(&octets).iter().enumerate() {
        found.push((file.range.start, of_binhex(index, nth, file)));
    }
    found.sort_by_key(|(start, _)| *start);
    out.extend(found.into_iter().map(|(_, attachment)| attachment));
}

/// yEnc files in pieces, by name and length: part, number there, place in the file.
type Pieces = BTreeMap<(Vec<u8>, u64), Vec<(usize, usize, Range<u64>)>>;

/// Pieces that make a whole become one file, where the first of them stood; others stay pieces.
fn join_pieces(pieces: Pieces, out: &mut Vec<Attachment>) {
    let mut gone: Vec<(usize, usize)> = Vec::new();
    for ((_, len), mut found) in pieces {
        found.sort_by_key(|(_, _, place)| place.start);
        let end = found.iter().try_fold(0, |at, (_, _, place)| (place.start <= at).then_some(place.end.max(at)));
        let whole = end == Some(len) && usize::try_from(len).is_ok_and(|len| len <= UNPACKED_BYTES_MAX);
        let mut places: Vec<(usize, usize)> = found.into_iter().map(|(part, nth, _)| (part, nth)).collect();
        let Some(first) = places.iter().min().copied().filter(|_| whole && places.len() > 1) else { continue };
        let Some(one) = out.iter_mut().find(|a| (a.part, &a.place) == (first.0, &Place::Yenc(first.1))) else { continue };
        one.size = len;
        one.place = Place::YencPieces(places.clone());
        places.retain(|place| *place != first);
        gone.append(&mut places);
    }
    gone.sort_unstable();
    out.retain(|a| !matches!(a.place, Place::Yenc(nth) if gone.binary_search(&(a.part, nth)).is_ok()));
}

/// A text without the files inside it, which nobody reads.
pub(crate) fn without_files(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let uuencoded = uuencode::find(&text).into_iter().map(|file| file.range);
    let yencoded = yenc::find(&text).into_iter().map(|file| file.range);
    let mut ranges: Vec<Range<usize>> = uuencoded.chain(yencoded).collect();
    ranges.extend(binhex::find(&text).into_iter().map(|file| file.range));
    if ranges.is_empty() {
        return text;
    }
    ranges.sort_by_key(|range| range.start);
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    for range in ranges {
        out.extend_from_slice(text.get(at..range.start).unwrap_or_default());
        at = range.end.max(at);
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::parse;
    use AttachmentKind::{Calendar, Encrypted, File, Inline, Report, Signature};

    fn seen(text: &[u8]) -> Vec<(AttachmentKind, String, u64)> {
        let message = parse(text);
        let all = list(&message);
        for attachment in &all {
            let content = content(&message, attachment).expect("every one can be read");
            assert_eq!(content.len() as u64, attachment.size, "{attachment:?}");
        }
        all.into_iter().map(|a| (a.kind, a.name.unwrap_or_default(), a.size)).collect()
    }

    fn is(kind: AttachmentKind, name: &str, size: u64) -> (AttachmentKind, String, u64) {
        (kind, name.to_owned(), size)
    }

    fn multipart(sub: &str, parts: &[&str]) -> String {
        let parts: String = parts.iter().map(|p| format!("--{sub}\r\n{p}\r\n")).collect();
        format!("Content-Type: multipart/{sub}; boundary={sub}\r\n\r\n{parts}--{sub}--\r\n")
    }

    #[test]
    fn pictures_of_the_html_are_apart() {
        let html = "Content-Type: text/html\r\n\r\n<img src=cid:a@x>";
        let picture = "Content-Type: image/png\r\nContent-ID: <a@x>\r\n\r\nPNG";
        let related = multipart("related", &[html, picture, "Content-Type: image/gif; name=b.gif\r\n\r\nGIF"]);
        let text = multipart(
            "mixed",
            &[&multipart("alternative", &["\r\nHi", &related]), "Content-Type: application/pdf; name=c.pdf\r\n\r\nPDF!"],
        );
        assert_eq!(seen(text.as_bytes()), [is(Inline, "", 3), is(File, "b.gif", 3), is(File, "c.pdf", 4)]);
        assert!(has_attachment(&parse(text.as_bytes())));
        let only_picture = multipart("related", &[html, picture]);
        assert!(!has_attachment(&parse(only_picture.as_bytes())));
    }

    #[test]
    fn signatures_reports_messages_and_calendars() {
        let signed = multipart("signed", &["\r\nHi", "Content-Type: application/pgp-signature; name=signature.asc\r\n\r\nSIG"]);
        assert_eq!(seen(signed.as_bytes()), [is(Signature, "signature.asc", 3)]);
        let encrypted = multipart(
            "encrypted",
            &["Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1", "Content-Type: application/octet-stream\r\n\r\nENC"],
        );
        assert_eq!(seen(encrypted.as_bytes()), [is(Encrypted, "", 3)]);
        let report = multipart(
            "report",
            &[
                "\r\nFailed",
                "Content-Type: message/delivery-status\r\n\r\nX: y",
                "Content-Type: message/rfc822\r\n\r\nSubject: z\r\n\r\n",
            ],
        );
        assert_eq!(seen(report.as_bytes()).iter().map(|a| a.0).collect::<Vec<_>>(), [Report, Report]);
        let forward =
            multipart("mixed", &["\r\nHi", "Content-Type: message/rfc822\r\n\r\nSubject: =?utf-8?Q?=C3=84?=\r\n\r\nbody"]);
        assert_eq!(seen(forward.as_bytes())[0].1, "Ä");
        let invitation =
            multipart("alternative", &["\r\nHi", "Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR"]);
        assert_eq!(seen(invitation.as_bytes()), [is(Calendar, "", 15)]);
    }

    #[test]
    fn pieces_of_a_yenc_file_are_one_file() {
        let content: Vec<u8> = (0..1_000u32).map(|i| (i * 7) as u8).collect();
        let piece = |number: usize, total: usize| {
            let (from, to) = (1_000 * (number - 1) / total, 1_000 * number / total);
            let alone = yenc::encode("film.bin", &content[from..to]);
            let body = &alone[memchr::memchr(b'\n', &alone).unwrap() + 1..memchr::memmem::rfind(&alone, b"\r\n=yend").unwrap()];
            let mut text = format!(
                "\r\n=ybegin part={number} total={total} line=128 size=1000 name=film.bin\r\n=ypart begin={} end={to}\r\n",
                from + 1
            )
            .into_bytes();
            text.extend_from_slice(body);
            text.extend_from_slice(format!("\r\n=yend size={} part={number}\r\n", to - from).as_bytes());
            text
        };
        let message = |order: &[usize]| {
            let mut text = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n".to_vec();
            for number in order {
                text.extend_from_slice(b"--a\r\nContent-Transfer-Encoding: binary\r\n");
                text.extend_from_slice(&piece(*number, 3));
            }
            text.extend_from_slice(b"--a--\r\n");
            text
        };
        let text = message(&[3, 1, 2]);
        assert_eq!(seen(&text), [is(File, "film.bin", 1_000)]);
        let parsed = parse(&text);
        let found = list(&parsed);
        assert_eq!(super::content(&parsed, &found[0]).unwrap().as_ref(), content);
        // Without one of them they stay what they are.
        assert_eq!(seen(&message(&[3, 1])), [is(File, "film.bin", 334), is(File, "film.bin", 333)]);
        let without = without_files(Cow::Owned([b"Hi\r\n".to_vec(), piece(1, 3), b"Bye".to_vec()].concat()));
        assert_eq!(without.as_ref(), b"Hi\r\n\r\nBye");
    }

    #[test]
    fn what_is_packed_into_texts_and_mac_files() {
        let mut text = b"Content-Type: text/plain\r\n\r\nHere:\r\n".to_vec();
        text.extend_from_slice(&yenc::encode("y.bin", b"yEnc!"));
        text.extend_from_slice(&uuencode::encode("u.txt", 0o644, b"Cat"));
        text.extend_from_slice(&binhex::encode("b.txt", *b"TEXT", *b"ttxt", b"data", b""));
        assert_eq!(seen(&text), [is(File, "y.bin", 5), is(File, "u.txt", 3), is(File, "b.txt", 4)]);
        let single =
            [&b"Content-Type: application/applefile\r\n\r\n"[..], &apple_single::encode(false, &[(1, b"Cat"), (3, b"cat.txt")])]
                .concat();
        assert_eq!(seen(&single), [is(File, "cat.txt", 3)]);
        let header = apple_single::encode(true, &[(3, b"real.txt")]);
        let mut double =
            b"Content-Type: multipart/appledouble; boundary=a\r\n\r\n--a\r\nContent-Type: application/applefile\r\n\r\n".to_vec();
        double.extend_from_slice(&header);
        double.extend_from_slice(b"\r\n--a\r\nContent-Type: application/x-word\r\n\r\nDOC\r\n--a--\r\n");
        assert_eq!(seen(&double), [is(File, "real.txt", 3)]);
        let tnef = tnef::encode(&[(2, 0x0006_9002, &[0; 14]), (2, 0x0001_8010, b"in.txt\0"), (2, 0x0006_800f, b"inside")]);
        let winmail =
            [&b"Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: binary\r\n\r\n"[..], &tnef]
                .concat();
        assert_eq!(seen(&winmail), [is(AttachmentKind::Tnef, "winmail.dat", tnef.len() as u64), is(File, "in.txt", 6)]);
    }
}
