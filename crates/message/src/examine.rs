//! The whole defect list of a message: what only decoding every body and reading every field shows.
//!
//! Invariant: linear in the message; of each kind only the first in each part is told.
//! Must not know: how anything is repaired, that is where it is read.

use memchr::{memchr, memmem};

use crate::charset;
use crate::content::{ContentType, Disposition};
use crate::defect::{Defect, DefectKind};
use crate::encoded_word::word_at;
use crate::header::{Field, fields, unfold};
use crate::limits::{DEFECTS_MAX, FIELD_BYTES_MAX, HEADER_FIELDS_MAX, LINE_BYTES_MAX};
use crate::parameter::check_parameters;
use crate::part::{Message, Part, PartKind};
use crate::transfer::TransferEncoding;
use crate::{address_list, body_check, date};

impl Message<'_> {
    /// All defects in the order of the octets, of each kind the first in each part: those of [`Message::defects`], and those
    /// that only show when bodies are decoded and fields are read.
    ///
    /// ```
    /// use message::defect::DefectKind;
    /// let message = message::parse(b"Date: 17 Jul 96 02:23 EST\r\nContent-Transfer-Encoding: base64\r\n\r\naGk");
    /// let kinds: Vec<DefectKind> = message.examine().iter().map(|d| d.kind).collect();
    /// assert_eq!(kinds, [DefectKind::DateObsolete, DefectKind::Base64Padding]);
    /// ```
    pub fn examine(&self) -> Vec<Defect> {
        let mut all = self.defects.clone();
        for (index, part) in self.parts.iter().enumerate() {
            if all.len() >= DEFECTS_MAX {
                break;
            }
            let mut notes = Notes { found: Vec::new() };
            header(part, &mut notes);
            if part.kind == PartKind::Leaf {
                body_check::leaf(part, &mut notes);
            }
            all.extend(notes.found.into_iter().map(|(kind, at)| Defect { at, part: index, kind }));
        }
        all.sort_unstable_by_key(|d| (d.part, d.kind, d.at));
        all.dedup_by_key(|d| (d.part, d.kind));
        all.sort_unstable();
        all.truncate(DEFECTS_MAX);
        all
    }
}

/// The first of each kind in one part.
pub(crate) struct Notes {
    found: Vec<(DefectKind, usize)>,
}

impl Notes {
    pub(crate) fn add(&mut self, kind: DefectKind, at: usize) {
        if !self.found.iter().any(|(k, _)| *k == kind) {
            self.found.push((kind, at));
        }
    }

    pub(crate) fn add_if(&mut self, wrong: bool, kind: DefectKind, at: usize) {
        if wrong {
            self.add(kind, at);
        }
    }
}

/// What is wrong with lines, whatever they hold.
pub(crate) fn lines(bytes: &[u8], start: usize, notes: &mut Notes) {
    if let Some(at) = memchr(0, bytes) {
        notes.add(DefectKind::Nul, start + at);
    }
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|r| !r.is_empty()) {
        let end = memchr(b'\n', rest);
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let content = match line {
            [content @ .., b'\r'] if end.is_some() => content,
            _ => {
                notes.add_if(end.is_some(), DefectKind::BareLf, start + at + line.len());
                line
            }
        };
        if let Some(cr) = memchr(b'\r', content) {
            notes.add(DefectKind::BareCr, start + at + cr);
        }
        notes.add_if(content.len() > LINE_BYTES_MAX, DefectKind::LineTooLong, start + at);
        at += line.len() + 1;
    }
}

const ONCE: [&str; 13] = [
    "date",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "message-id",
    "in-reply-to",
    "references",
    "subject",
    "mime-version",
    "content-type",
];
const ADDRESSES: [&str; 6] = ["from", "sender", "reply-to", "to", "cc", "bcc"];

fn header(part: &Part<'_>, notes: &mut Notes) {
    let header = part.raw_header();
    let start = part.header.start;
    lines(header, start, notes);
    let mut once = [false; ONCE.len()];
    for (count, field) in fields(header).enumerate() {
        let at = start + field.start;
        if count >= HEADER_FIELDS_MAX {
            notes.add(DefectKind::TooManyFields, at);
            break;
        }
        notes.add_if(field.body.len() > FIELD_BYTES_MAX, DefectKind::FieldTooLong, at);
        notes.add_if(std::str::from_utf8(field.body).is_err(), DefectKind::EightBitHeader, at);
        let behind_name = header.get(field.start + field.name.len());
        notes.add_if(behind_name != Some(&b':'), DefectKind::BlankBeforeColon, at);
        let mut continuations = field.body.split(|b| *b == b'\n').skip(1);
        notes.add_if(continuations.any(|l| l.trim_ascii().is_empty()), DefectKind::EmptyContinuation, at);
        let which = ONCE.iter().position(|name| field.is(name));
        if let Some(seen) = which.and_then(|i| once.get_mut(i)) {
            let twice = std::mem::replace(seen, true);
            notes.add_if(twice, DefectKind::DuplicateField, at);
        }
        value(&field, at, part.is_entire_message, notes);
    }
}

/// What a field says.
fn value(field: &Field<'_>, at: usize, is_message: bool, notes: &mut Notes) {
    let is_addresses = ADDRESSES.iter().any(|name| field.is(name));
    if field.is("content-type") || field.is("content-disposition") {
        let body = field.body_cut();
        let main = if field.is("content-type") { ContentType::main_len(body) } else { Disposition::main_len(body) };
        check_parameters(body, main.unwrap_or(body.len()), &mut |kind| notes.add(kind, at));
    } else if is_addresses && is_message {
        let value = field.value_cut();
        address_list::check(&value, &mut |kind| notes.add(kind, at));
        words(&value, true, at, notes);
    } else if field.is("date") && is_message {
        let value = field.value_cut();
        match date::parse_rfc_5322(&value) {
            None => notes.add(DefectKind::DateUnreadable, at),
            Some(_) => notes.add_if(!date::is_strict_rfc_5322(&value), DefectKind::DateObsolete, at),
        }
    } else {
        words(&unfold(field.body_cut()), false, at, notes);
    }
}

/// The encoded-words of a field's body; quotes mean something only where there are `phrases` (RFC 2047 §5).
fn words(value: &[u8], phrases: bool, at: usize, notes: &mut Notes) {
    let (mut from, mut plain_start) = (0, 0);
    let mut quoted = false;
    // The word before this one, if only blanks are between: its charset, and whether it ends inside a character.
    let mut before: Option<(&[u8], bool)> = None;
    while let Some(start) = value.get(from..).and_then(|rest| memmem::find(rest, b"=?")).map(|i| from + i) {
        let Some((word, end)) = word_at(value, start) else {
            from = start + 2;
            continue;
        };
        let between = value.get(plain_start..start).unwrap_or_default();
        quoted ^= phrases && unescaped_quotes(between) % 2 == 1;
        notes.add_if(!word.closed, DefectKind::EncodedWordNotClosed, at);
        notes.add_if(end - start > 75, DefectKind::EncodedWordTooLong, at);
        notes.add_if(word.text.iter().any(|b| *b == b' ' || *b == b'\t'), DefectKind::EncodedWordBlank, at);
        notes.add_if(quoted, DefectKind::EncodedWordQuoted, at);
        let touches = |b: Option<&u8>| b.is_some_and(|b| !b.is_ascii_whitespace() && !b"()\"<>,;:".contains(b));
        let joined = touches(start.checked_sub(1).and_then(|i| value.get(i))) || touches(value.get(end));
        notes.add_if(joined && word.closed, DefectKind::EncodedWordJoined, at);
        let mut octets = Vec::new();
        word.octets(&mut octets);
        let good = charset::is_good(word.charset, &octets);
        notes.add_if(good.is_none(), DefectKind::EncodedWordCharset, at);
        let adjacent = before.is_some_and(|(label, cut)| {
            cut && between.trim_ascii().is_empty() && label.eq_ignore_ascii_case(word.charset) && good == Some(false)
        });
        notes.add_if(adjacent, DefectKind::EncodedWordCut, at);
        before = Some((word.charset, good == Some(false)));
        (from, plain_start) = (end, end);
    }
}

fn unescaped_quotes(text: &[u8]) -> usize {
    let mut count = 0;
    let mut escaped = false;
    for byte in text {
        count += usize::from(*byte == b'"' && !escaped);
        escaped = *byte == b'\\' && !escaped;
    }
    count
}

/// True for an encoding whose octets are not lines of text.
pub(crate) fn has_lines(encoding: TransferEncoding) -> bool {
    encoding != TransferEncoding::Binary
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::parse;
    use proptest::prelude::*;

    #[test]
    fn every_example_has_its_defect() {
        for kind in DefectKind::ALL {
            let example = kind.example();
            let found = parse(&example).examine();
            assert!(found.iter().any(|d| d.kind == *kind), "{}: {found:?}", kind.word());
        }
    }

    #[test]
    fn a_good_message_has_none() {
        let good = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: \"Ann B.\" <ann@here.test>\r\nTo: Bob <bob@here.test>,\r\n\
            \tTeam: c@here.test, d@here.test;\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?Q?_und?= mehr\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/mixed; boundary=\"a b\"\r\n\r\npreamble\r\n--a b\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n--a b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\
            Content-Disposition: attachment; filename*0*=utf-8''p%C3%A4; filename*1=x.png\r\n\r\naGVsbG8=\r\n--a b--\r\n";
        assert_eq!(parse(good.as_bytes()).examine(), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn defects_lie_inside_their_part(text in crate::test_messages::hostile()) {
            let message = parse(&text);
            for defect in message.examine() {
                let whole = message.parts[defect.part].whole();
                prop_assert!(whole.start <= defect.at && defect.at <= whole.end, "{defect:?} {whole:?}");
            }
        }
    }
}
