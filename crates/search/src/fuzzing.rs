//! Doors for the fuzz targets; not for anybody else.

use crate::attachment_text;
use crate::limits::ATTACHMENT_TEXT_BYTES_MAX;
use crate::pdf;

/// Any octets as an office document: what is unpacked of it is bounded.
pub fn office_document(data: &[u8]) {
    let texts = attachment_text::texts_of(data, ATTACHMENT_TEXT_BYTES_MAX);
    // A tag that breaks a line is longer than what takes its place, and an octet that is no UTF-8 becomes three.
    let all: usize = texts.iter().map(String::len).sum();
    assert!(all as u64 <= ATTACHMENT_TEXT_BYTES_MAX * 4, "{all} octets of text");
}

/// Any octets as a PDF: what it says is bounded, and comes to an end.
pub fn pdf_document(data: &[u8]) {
    let texts = pdf::texts_of(data, 10_000);
    let all: usize = texts.iter().map(String::len).sum();
    assert!(all <= 10_000, "{all} octets of text");
}
