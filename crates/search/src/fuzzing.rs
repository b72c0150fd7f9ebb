//! Doors for the fuzz targets; not for anybody else.

use crate::attachment_text;
use crate::limits::ATTACHMENT_TEXT_BYTES_MAX;

/// Any octets as an office document: what is unpacked of it is bounded.
pub fn office_document(data: &[u8]) {
    let texts = attachment_text::texts_of(data, ATTACHMENT_TEXT_BYTES_MAX);
    // A tag that breaks a line is longer than what takes its place, and an octet that is no UTF-8 becomes three.
    let all: usize = texts.iter().map(String::len).sum();
    assert!(all as u64 <= ATTACHMENT_TEXT_BYTES_MAX * 4, "{all} octets of text");
}
