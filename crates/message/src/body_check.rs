//! What is wrong with one leaf's body: its lines, its transfer encoding (RFC 2045 §6), its charset.
//!
//! Must not know: the tree, fields.

use crate::charset;
use crate::defect::DefectKind;
use crate::examine::{Notes, has_lines, lines};
use crate::part::Part;
use crate::transfer::{TransferEncoding, is_uuencode_line};

pub(crate) fn leaf(part: &Part<'_>, notes: &mut Notes) {
    let (body, start) = (part.raw_body(), part.body.start);
    if has_lines(part.encoding) {
        lines(body, start, notes);
    }
    match part.encoding {
        TransferEncoding::SevenBit => {
            if let Some(at) = body.iter().position(|b| *b >= 0x80) {
                notes.add(DefectKind::EightBitBody, start + at);
            }
        }
        TransferEncoding::Base64 => base64(body, start, notes),
        TransferEncoding::QuotedPrintable => quoted_printable(body, start, notes),
        TransferEncoding::Uuencode => uuencode(body, start, notes),
        TransferEncoding::EightBit | TransferEncoding::Binary | TransferEncoding::Other => {}
    }
    if part.is_text()
        && let Some(label) = part.charset()
    {
        match charset::is_good(label, &part.content()) {
            None => notes.add(DefectKind::CharsetUnknown, part.header.start),
            Some(good) => notes.add_if(!good, DefectKind::CharsetMismatch, start),
        }
    }
}

fn base64(body: &[u8], start: usize, notes: &mut Notes) {
    let (mut digits, mut padding) = (0usize, 0usize);
    for (i, byte) in body.iter().enumerate() {
        match byte {
            b'=' => {
                padding += 1;
                // More than the quantum lacks.
                notes.add_if(padding + digits % 4 > 4 || digits % 4 < 2, DefectKind::Base64Foreign, start + i);
            }
            b'+' | b'/' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                if padding > 0 {
                    notes.add(DefectKind::Base64AfterPadding, start + i);
                    (digits, padding) = (0, 0);
                }
                digits += 1;
            }
            b'\r' | b'\n' => {}
            _ if padding > 0 => {
                // The decoder stops here: what follows is no base64.
                let rest = body.get(i..).unwrap_or_default().trim_ascii();
                return notes.add_if(!rest.is_empty(), DefectKind::Base64AfterPadding, start + i);
            }
            b' ' | b'\t' => {}
            _ => notes.add(DefectKind::Base64Foreign, start + i),
        }
    }
    let end = start + body.len();
    match digits % 4 {
        0 => {}
        1 => notes.add(DefectKind::Base64LoneDigit, end),
        left => notes.add_if(left + padding < 4, DefectKind::Base64Padding, end),
    }
}

fn quoted_printable(body: &[u8], start: usize, notes: &mut Notes) {
    let mut after = 0;
    for mark in memchr::memchr_iter(b'=', body) {
        // Blanks behind a soft line break are looked at once.
        if mark < after {
            continue;
        }
        let rest = body.get(mark + 1..).unwrap_or_default();
        let escape = matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
        let blanks = rest.iter().take_while(|b| **b == b' ' || **b == b'\t').count();
        after = mark + 1 + blanks;
        let soft = matches!(rest.get(blanks..), Some([b'\r', b'\n', ..] | [b'\n', ..] | []));
        notes.add_if(!escape && !soft, DefectKind::QuotedPrintableBroken, start + mark);
    }
}

fn uuencode(body: &[u8], start: usize, notes: &mut Notes) {
    let mut lines = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end);
    let begun =
        lines.by_ref().find(|l| l.starts_with(b"begin ") || is_uuencode_line(l)).is_some_and(|l| l.starts_with(b"begin "));
    let ended = lines.any(|l| l == b"end");
    notes.add_if(!begun || !ended, DefectKind::UuencodeBroken, start);
}
