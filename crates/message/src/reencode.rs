//! Bodies in encodings that the next server takes: 8 bits into 7 (RFC 6152 §3), binary into lines (RFC 3030 §3).
//!
//! Only leaves are encoded, multiparts and messages inside merely say what they hold now (RFC 2045 §6.4).
//! Invariant: the tree stays the same, and the content of each leaf to the octet; what cannot be said so is an error, never a
//! guess. Must not know: servers, signatures over the whole message.

use crate::content::ContentFields;
use crate::defect::DefectKind;
use crate::limits::LINE_BYTES_MAX;
use crate::parse::{Message, Part, PartKind, parse};
use crate::transfer::{TransferEncoding, base64_encode, quoted_printable_encode};
use std::borrow::Cow;
use std::ops::Range;

/// Why a message stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconvertible {
    /// A header has octets beyond ASCII (RFC 6532): they have no other form here.
    Header,
    /// A part below multipart/signed would change, and its signature with it (RFC 1847 §2.1).
    Signed,
    /// A part that may not be encoded, or in a way nobody knows; too many parts; a header without an end.
    Structure,
    /// CR or LF on its own, or NUL, outside the content of parts.
    LineEnds,
}

impl std::fmt::Display for Unconvertible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unconvertible::Header => "its header has text beyond ASCII",
            Unconvertible::Signed => "that would break the signature of a part",
            Unconvertible::Structure => "a part of it cannot be encoded",
            Unconvertible::LineEnds => "it has a CR, LF or NUL on its own outside its parts",
        })
    }
}

/// The message in 7 bits and lines of at most 998 octets; borrowed where it is so already.
///
/// # Errors
/// See [`Unconvertible`].
///
/// ```
/// let message = "Subject: x\r\n\r\nGr\u{fc}\u{df}e\r\n".as_bytes();
/// let converted = message::reencode::to_seven_bit(message).unwrap();
/// assert_eq!(
///     converted.as_ref(),
///     b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
///       Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n"
/// );
/// ```
pub fn to_seven_bit(octets: &[u8]) -> Result<Cow<'_, [u8]>, Unconvertible> {
    convert(octets, Goal::SevenBit)
}

/// The message without binary parts: in lines of at most 998 octets that end in CRLF, 8 bits allowed.
///
/// # Errors
/// See [`Unconvertible`].
///
/// ```
/// let message = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\na\n\0b";
/// let converted = message::reencode::to_lines(message).unwrap();
/// assert!(converted.ends_with(b"Content-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\nYQoAYg==\r\n"));
/// ```
pub fn to_lines(octets: &[u8]) -> Result<Cow<'_, [u8]>, Unconvertible> {
    convert(octets, Goal::Lines)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    SevenBit,
    Lines,
}

impl Goal {
    /// These octets are as wanted.
    fn is_met(self, octets: &[u8]) -> bool {
        in_lines(octets) && (self == Goal::Lines || octets.is_ascii())
    }

    /// What a multipart or a message inside says of itself when its parts are as wanted.
    fn word(self) -> &'static str {
        if self == Goal::Lines { "8bit" } else { "7bit" }
    }

    /// That encoding may not stay.
    fn ends(self, encoding: TransferEncoding) -> bool {
        encoding == TransferEncoding::Binary || self == Goal::SevenBit && encoding == TransferEncoding::EightBit
    }
}

/// Octets of the message that go, and what comes instead.
type Edit = (Range<usize>, Vec<u8>);

fn convert(octets: &[u8], goal: Goal) -> Result<Cow<'_, [u8]>, Unconvertible> {
    let message = parse(octets);
    let mut edits: Vec<Edit> = Vec::new();
    for (index, part) in message.parts.iter().enumerate() {
        if goal == Goal::SevenBit && !part.raw_header().is_ascii() {
            return Err(Unconvertible::Header);
        }
        if part.kind != PartKind::Leaf {
            if goal.ends(part.encoding) && !is_signed(&message, index) {
                label(part, goal.word(), "", &mut edits);
            }
        } else if !goal.is_met(part.raw_body()) || goal == Goal::Lines && part.encoding == TransferEncoding::Binary {
            if is_signed(&message, index) {
                return Err(Unconvertible::Signed);
            }
            leaf(part, goal, &mut edits)?;
        }
    }
    let cut = |kind| matches!(kind, DefectKind::TooDeep | DefectKind::TooManyParts);
    if !edits.is_empty() && message.defects.iter().any(|defect| cut(defect.kind)) {
        return Err(Unconvertible::Structure);
    }
    let converted = if edits.is_empty() { Cow::Borrowed(octets) } else { Cow::Owned(edited(octets, edits)) };
    // What stands in no part, or in a header.
    if has_lone_ends(&converted) || converted.contains(&0) {
        return Err(Unconvertible::LineEnds);
    }
    if goal == Goal::SevenBit && !converted.is_ascii() {
        return Err(Unconvertible::Structure);
    }
    // A soft line break could bring forth what looks like a boundary.
    if matches!(converted, Cow::Owned(_)) && !is_same(&message, &parse(&converted)) {
        return Err(Unconvertible::Structure);
    }
    Ok(converted)
}

/// Below a multipart/signed.
fn is_signed(message: &Message<'_>, index: usize) -> bool {
    let mut above = message.parts.get(index).and_then(|part| part.parent);
    while let Some(part) = above.and_then(|at| message.parts.get(at)) {
        if part.content_type.is("multipart", "signed") {
            return true;
        }
        above = part.parent;
    }
    false
}

fn leaf(part: &Part<'_>, goal: Goal, edits: &mut Vec<Edit>) -> Result<(), Unconvertible> {
    // What its own header calls it, which is not always what it could be read as.
    let named = ContentFields::read(part.raw_header()).content_type.flatten();
    let fixed = named
        .as_ref()
        .is_some_and(|named| named.main == "multipart" || named.main == "message" && !named.sub.as_str().starts_with("global"));
    let unknown = matches!(part.encoding, TransferEncoding::Other | TransferEncoding::Uuencode);
    let header = part.raw_header();
    if fixed || unknown || !(header.ends_with(b"\r\n\r\n") || header == b"\r\n") {
        return Err(Unconvertible::Structure);
    }
    let content = part.content();
    let charset = match (part.is_entire_message, &named) {
        (true, None) if std::str::from_utf8(&content).is_ok() => "Content-Type: text/plain; charset=utf-8\r\n",
        // RFC 1428 §3.
        (true, None) => "Content-Type: text/plain; charset=unknown-8bit\r\n",
        _ => "",
    };
    if part.encoding.is_identity() && goal.is_met(part.raw_body()) {
        let word = if part.raw_body().is_ascii() { "7bit" } else { "8bit" };
        label(part, word, "", edits);
        return Ok(());
    }
    let (word, body) = encoded(part.is_text(), &content);
    label(part, word, charset, edits);
    edits.push((part.body.clone(), body));
    Ok(())
}

/// Text that stays readable stays so; all else, and text of another script, is shorter in base64.
fn encoded(is_text: bool, content: &[u8]) -> (&'static str, Vec<u8>) {
    if is_text && !has_lone_ends(content) {
        let quoted = quoted_printable_encode(content);
        if quoted.len() <= content.len() / 3 * 4 + content.len() / 38 + 8 {
            return ("quoted-printable", quoted);
        }
    }
    ("base64", base64_encode(content))
}

/// Says the encoding; `more` are fields that are missing besides.
fn label(part: &Part<'_>, word: &str, more: &str, edits: &mut Vec<Edit>) {
    let start = part.header.start;
    let mut added = String::new();
    if part.is_entire_message && part.field("MIME-Version").is_none() {
        added.push_str("MIME-Version: 1.0\r\n");
    }
    added.push_str(more);
    let line = format!("Content-Transfer-Encoding: {word}\r\n");
    let mut found = part.fields().filter(|field| field.is("Content-Transfer-Encoding"));
    match found.next() {
        Some(first) => {
            edits.push((start + first.start..start + first.end, line.into_bytes()));
            edits.extend(found.map(|again| (start + again.start..start + again.end, Vec::new())));
        }
        None => added.push_str(&line),
    }
    if !added.is_empty() {
        let at = start + part.fields().last().map_or(0, |last| last.end);
        edits.push((at..at, added.into_bytes()));
    }
}

fn edited(octets: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 8);
    let mut at = 0;
    for (range, instead) in edits {
        out.extend_from_slice(octets.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(&instead);
        at = range.end;
    }
    out.extend_from_slice(octets.get(at..).unwrap_or_default());
    out
}

/// Neither CR nor LF on its own, no NUL, no line that is too long (RFC 2045 §2.7, §2.8).
fn in_lines(octets: &[u8]) -> bool {
    let short =
        octets.split(|octet| *octet == b'\n').all(|line| line.strip_suffix(b"\r").unwrap_or(line).len() <= LINE_BYTES_MAX);
    short && !octets.contains(&0) && !has_lone_ends(octets)
}

fn has_lone_ends(octets: &[u8]) -> bool {
    let mut before = 0;
    for octet in octets {
        if (before == b'\r') != (*octet == b'\n') {
            return true;
        }
        before = *octet;
    }
    before == b'\r'
}

fn is_same(one: &Message<'_>, other: &Message<'_>) -> bool {
    let same = |(a, b): (&Part<'_>, &Part<'_>)| {
        a.kind == b.kind && a.parent == b.parent && (a.kind != PartKind::Leaf || a.content() == b.content())
    };
    one.parts.len() == other.parts.len() && one.parts.iter().zip(&other.parts).all(same)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn seven(text: &str) -> String {
        String::from_utf8(to_seven_bit(text.as_bytes()).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn what_fits_stays() {
        let plain = "Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n";
        assert!(matches!(to_seven_bit(plain.as_bytes()), Ok(Cow::Borrowed(_))));
        let eight = "Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e\r\n";
        assert!(matches!(to_lines(eight.as_bytes()), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn each_part_by_its_own_measure() {
        let message = "From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\
            Content-Transfer-Encoding: 8bit\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e = hier\r\n--x\r\nContent-Type: image/png\r\n\r\n\u{fe}\u{ff}\r\n\
            --x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\nContent-Type: text/plain\r\n\r\n\u{5d0}\u{5d1}\u{5d2}\u{5d3}\r\n\
            --x\r\n\r\nASCII\r\n--x--\r\n";
        assert_eq!(
            seven(message),
            "From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\
            Content-Transfer-Encoding: 7bit\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe =3D hier\r\n--x\r\nContent-Type: image/png\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nw77Dvw==\r\n\r\n\
            --x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\nContent-Type: text/plain\r\nMIME-Version: 1.0\r\n\
            Content-Transfer-Encoding: base64\r\n\r\n15DXkdeS15M=\r\n\r\n\
            --x\r\n\r\nASCII\r\n--x--\r\n"
        );
    }

    #[test]
    fn a_broken_encoding_is_made_whole() {
        let quoted = "Content-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\
            Content-Transfer-Encoding: 8bit\r\n\r\n\u{fc} =3D\r\n";
        assert_eq!(
            seven(quoted),
            "Content-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC =3D\r\n"
        );
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let no = |text: &str| to_seven_bit(text.as_bytes()).unwrap_err();
        assert_eq!(no("Subject: Gr\u{fc}\u{df}e\r\n\r\nx\r\n"), Unconvertible::Header);
        assert_eq!(
            no("Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\n\u{fc}\r\n--x\r\n\r\nsig\r\n--x--\r\n"),
            Unconvertible::Signed
        );
        assert_eq!(no("Content-Type: message/partial; id=1; number=1\r\n\r\n\u{fc}\r\n"), Unconvertible::Structure);
        assert_eq!(
            no("Content-Type: text/plain\r\nContent-Transfer-Encoding: x-own\r\n\r\n\u{fc}\r\n"),
            Unconvertible::Structure
        );
        assert_eq!(no("Content-Type: multipart/mixed\r\n\r\n\u{fc}\r\n"), Unconvertible::Structure);
        assert_eq!(
            no("Content-Type: multipart/mixed; boundary=x\r\n\r\n\u{fc}\r\n--x\r\n\r\nascii\r\n--x--\r\n"),
            Unconvertible::Structure,
            "what is in no part has no encoding"
        );
    }

    #[test]
    fn binary_becomes_lines() {
        let message = b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: binary\r\n\r\n--x\r\n\
            Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nlines only\r\n--x\r\n\
            Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\r\r\x01\r\n.\r\n\xff\r\n--x--\r\n";
        let out = to_lines(message).unwrap();
        let text = std::str::from_utf8(&out).unwrap();
        assert!(text.contains("Content-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\n\r\n--x"), "{text}");
        assert!(text.contains("Content-Transfer-Encoding: 7bit\r\n\r\nlines only\r\n--x"), "{text}");
        let parsed = parse(&out);
        assert_eq!(parsed.parts[2].content().as_ref(), b"\x00\r\r\x01\r\n.\r\n\xff");
        assert_eq!(to_lines(b"Subject: a\rb\r\n\r\nx\r\n").unwrap_err(), Unconvertible::LineEnds);
        let long = format!("Content-Transfer-Encoding: binary\r\n\r\n{}\r\n", "x".repeat(2_000));
        assert!(in_lines(&to_lines(long.as_bytes()).unwrap()));
    }

    proptest! {
        #[test]
        fn content_is_never_changed(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4), word in 0..4usize) {
            let word = ["7bit", "8bit", "binary", "quoted-printable"][word];
            let mut octets = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=boundary\r\n\r\n".to_vec();
            for (number, body) in bodies.iter().enumerate() {
                let kind = if number % 2 == 0 { "text/plain" } else { "application/x" };
                octets.extend_from_slice(format!("--boundary\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {word}\r\n\r\n").as_bytes());
                octets.extend_from_slice(body);
                octets.extend_from_slice(b"\r\n");
            }
            octets.extend_from_slice(b"--boundary--\r\n");
            for (goal, result) in [(Goal::SevenBit, to_seven_bit(&octets)), (Goal::Lines, to_lines(&octets))] {
                let Ok(out) = result else { continue };
                prop_assert!(!has_lone_ends(&out) && (goal == Goal::Lines || out.is_ascii()));
                prop_assert!(is_same(&parse(&octets), &parse(&out)));
            }
            // Bodies that are not cut short by their own octets always go.
            if parse(&octets).parts.len() == bodies.len() + 1 {
                prop_assert!(to_lines(&octets).is_ok());
                prop_assert!(to_seven_bit(&octets).is_ok());
            }
        }
    }
}
