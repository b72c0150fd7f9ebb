//! Sections of FETCH BODY[...] and BINARY[...] (RFC 9051 §6.4.5), from the facts alone.
//!
//! A range is over the stored bytes; nothing is parsed again.

use std::ops::Range;

use crate::facts::{Facts, PartFacts};
use crate::parse::PartKind;
use crate::transfer::{self, TransferEncoding};

/// What of a part (or, with an empty path, of the message).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// `BODY[]`, `BODY[1.2]`: all of the message, the content of a part.
    Whole,
    /// HEADER, of the message or of a message/rfc822 part. HEADER.FIELDS picks from it with
    /// [`crate::header::header_fields`].
    Header,
    /// TEXT, of the message or of a message/rfc822 part.
    Text,
    /// MIME: the header of a part.
    Mime,
}

/// The range of a section; `None` when there is no such part, or the part has no such section (answer NIL).
///
/// ```
/// use message::{facts::Facts, section::{SectionKind, range}};
/// let text = b"Subject: x\r\n\r\nhello";
/// let facts = Facts::compute(text);
/// assert_eq!(&text[range(&facts, &[1], SectionKind::Whole).unwrap()], b"hello");
/// assert_eq!(range(&facts, &[2], SectionKind::Whole), None);
/// ```
pub fn range(facts: &Facts, path: &[u32], kind: SectionKind) -> Option<Range<usize>> {
    let index = facts.part_index(path)?;
    let part = facts.parts.get(index)?;
    let top = path.is_empty();
    // HEADER and TEXT are a message's: of the whole one, or of the one inside the named part.
    let message = if top { Some(part) } else { facts.inner_message(index) };
    match kind {
        SectionKind::Whole if top => Some(part.whole()),
        SectionKind::Whole => Some(part.body()),
        SectionKind::Header => message.map(PartFacts::header),
        SectionKind::Text => message.map(PartFacts::body),
        SectionKind::Mime => (!top).then(|| part.header()),
    }
}

/// The range of `BINARY[path]` and how to decode it. A multipart, a message and the empty path go as they are.
/// With [`TransferEncoding::Other`] the answer is `NO [UNKNOWN-CTE]`.
pub fn binary(facts: &Facts, path: &[u32]) -> Option<(Range<usize>, TransferEncoding)> {
    let part = facts.part(path)?;
    if path.is_empty() {
        return Some((part.whole(), TransferEncoding::Binary));
    }
    let encoding = if part.kind == PartKind::Leaf { part.encoding } else { TransferEncoding::Binary };
    Some((part.body(), encoding))
}

/// `BINARY.SIZE[path]`: `None` without such a part, `Some(None)` when the encoding is unknown.
///
/// ```
/// use message::{Facts, section::{binary, binary_size}, transfer::TransferEncoding};
/// let text = b"Content-Transfer-Encoding: base64\r\n\r\naGk=";
/// let facts = Facts::compute(text);
/// assert_eq!(binary(&facts, &[1]), Some((37..41, TransferEncoding::Base64)));
/// assert_eq!((binary_size(&facts, text, &[1]), binary_size(&facts, text, &[2])), (Some(Some(2)), None));
/// ```
pub fn binary_size(facts: &Facts, message: &[u8], path: &[u32]) -> Option<Option<u64>> {
    let (range, encoding) = binary(facts, path)?;
    Some(transfer::decoded_len(encoding, message.get(range).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use SectionKind::{Header, Mime, Text, Whole};

    /// The example tree of RFC 9051 §6.4.5.1.
    const NESTED: &str = "From: top@x\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\npre\r\n\
--A\r\nContent-Type: text/plain\r\n\r\none\r\n\
--A\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\ndHdv\r\n\
--A\r\nContent-Type: message/rfc822\r\n\r\nFrom: three@x\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n\
--B\r\nContent-Type: text/plain\r\n\r\nthree one\r\n--B\r\nContent-Type: application/octet-stream\r\n\r\nthree two\r\n--B--\r\n\
--A\r\nContent-Type: multipart/mixed; boundary=C\r\nX: four\r\n\r\n\
--C\r\nContent-Type: image/gif\r\nContent-Transfer-Encoding: x-odd\r\n\r\nfour one\r\n\
--C\r\nContent-Type: message/rfc822\r\n\r\nFrom: four@two\r\nContent-Type: multipart/mixed; boundary=D\r\n\r\n\
--D\r\n\r\nfour two one\r\n--D\r\nContent-Type: multipart/alternative; boundary=E\r\n\r\n\
--E\r\n\r\nfour two two one\r\n--E\r\nContent-Type: text/richtext\r\n\r\nfour two two two\r\n--E--\r\n--D--\r\n--C--\r\n--A--\r\nepi\r\n";

    fn get(path: &[u32], kind: SectionKind) -> Option<&'static str> {
        range(&Facts::compute(NESTED.as_bytes()), path, kind).map(|r| &NESTED[r])
    }

    #[test]
    fn rfc_9051_example() {
        assert_eq!(get(&[], Whole), Some(NESTED));
        assert_eq!(get(&[], Header), Some("From: top@x\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n"));
        assert!(get(&[], Text).unwrap().starts_with("pre\r\n--A") && get(&[], Text).unwrap().ends_with("epi\r\n"));
        assert_eq!(get(&[], Mime), None);
        assert_eq!(get(&[1], Whole), Some("one"));
        assert_eq!(get(&[1], Mime), Some("Content-Type: text/plain\r\n\r\n"));
        assert_eq!(get(&[2], Whole), Some("dHdv"));
        assert!(get(&[3], Whole).unwrap().starts_with("From: three@x") && get(&[3], Whole).unwrap().ends_with("--B--"));
        assert_eq!(get(&[3], Header), Some("From: three@x\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"));
        assert!(get(&[3], Text).unwrap().starts_with("--B\r\n"));
        assert_eq!(get(&[3], Mime), Some("Content-Type: message/rfc822\r\n\r\n"));
        assert_eq!(get(&[3, 1], Whole), Some("three one"));
        assert_eq!(get(&[3, 2], Whole), Some("three two"));
        assert_eq!(get(&[4], Mime), Some("Content-Type: multipart/mixed; boundary=C\r\nX: four\r\n\r\n"));
        assert_eq!(get(&[4, 1], Whole), Some("four one"));
        assert_eq!(get(&[4, 1], Mime), Some("Content-Type: image/gif\r\nContent-Transfer-Encoding: x-odd\r\n\r\n"));
        assert_eq!(get(&[4, 2], Header), Some("From: four@two\r\nContent-Type: multipart/mixed; boundary=D\r\n\r\n"));
        assert_eq!(get(&[4, 2, 1], Whole), Some("four two one"));
        assert_eq!(get(&[4, 2, 2, 1], Whole), Some("four two two one"));
        assert_eq!(get(&[4, 2, 2, 2], Whole), Some("four two two two"));
        for missing in [&[0][..], &[5], &[1, 1], &[3, 3], &[4, 2, 2, 3], &[4, 2, 1, 1], &[u32::MAX]] {
            assert_eq!(get(missing, Whole), None, "{missing:?}");
        }
        assert_eq!(get(&[1], Header), None);
        assert_eq!(get(&[4], Text), None);
    }

    #[test]
    fn binary_decodes_leaves_only() {
        let facts = Facts::compute(NESTED.as_bytes());
        assert_eq!(binary_size(&facts, NESTED.as_bytes(), &[2]), Some(Some(3)));
        assert_eq!(binary_size(&facts, NESTED.as_bytes(), &[4, 1]), Some(None));
        assert_eq!(binary_size(&facts, NESTED.as_bytes(), &[9]), None);
        assert_eq!(binary_size(&facts, NESTED.as_bytes(), &[]), Some(Some(NESTED.len() as u64)));
        assert_eq!(binary(&facts, &[3]).unwrap().1, TransferEncoding::Binary);
    }

    proptest::proptest! {
        // What a header says of its own end, seen from however much of the message, is what the facts say.
        #[test]
        fn a_header_that_ends_well_ends_there(lines in proptest::collection::vec(0usize..11, 0..12), seen in 0usize..200) {
            const LINES: [&str; 11] = [
                "From: a@b\r\n", " more\r\n", "\r\n", "\n", "X:\n", "no field\r\n", "From ann\r\n", "--A\r\n", "\r", "http://x/\r\n",
                "Content-Type: multipart/mixed; boundary=A\r\n",
            ];
            let text: String = lines.iter().filter_map(|line| LINES.get(*line)).copied().collect();
            let seen = text.as_bytes().get(..seen).unwrap_or(text.as_bytes());
            if let Some(end) = crate::header::well_ended(seen) {
                let facts = Facts::compute(text.as_bytes());
                proptest::prop_assert_eq!(range(&facts, &[], Header), Some(0..end));
            }
        }
    }

    #[test]
    fn one_part_messages() {
        let text = "Content-Type: message/rfc822\r\n\r\nFrom: a@b\r\n\r\nbody";
        let facts = Facts::compute(text.as_bytes());
        let get = |path: &[u32], kind| range(&facts, path, kind).map(|r| &text[r]);
        assert_eq!(get(&[1], Whole), Some("From: a@b\r\n\r\nbody"));
        assert_eq!(get(&[1], Header), Some("From: a@b\r\n\r\n"));
        assert_eq!(get(&[1], Text), Some("body"));
        assert_eq!(get(&[1, 1], Whole), Some("body"));
        assert_eq!(get(&[1, 1, 1], Whole), None);
        assert_eq!(get(&[1], Mime), Some("Content-Type: message/rfc822\r\n\r\n"));
    }
}
