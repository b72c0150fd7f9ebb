//! Formats in the wild and what is derived of a message: `message`'s packed files, calendars, previews, threads, lists.

use message::limits::{PREVIEW_CHARS_MAX, REFERENCES_MAX, UNPACKED_BYTES_MAX};
use message::{
    apple_single, attachment, authentication_results, base_subject, binhex, calendar, compressed_rtf, flowed, html_text,
    list_fields, partial, preview, search_text, thread_keys, tnef, uuencode, yenc,
};

/// Any octets as each of the packed formats: what is found lies inside them, and its size is bounded.
pub(crate) fn packed_files(data: &[u8]) {
    for file in uuencode::find(data) {
        assert!(file.range.end <= data.len() && file.content.len() <= data.len());
    }
    let parts = yenc::find(data);
    assert!(parts.iter().all(|part| part.range.end <= data.len() && part.content.len() <= data.len()));
    if let Some(file) = yenc::join(&parts, 1 << 20) {
        assert!(file.content.len() <= 1 << 20);
    }
    for file in binhex::find(data) {
        assert!(file.range.end <= data.len() && file.data.len() + file.resource.len() <= UNPACKED_BYTES_MAX);
    }
    if let Some(file) = apple_single::parse(data) {
        let _ = file.name();
    }
    if let Some(rtf) = compressed_rtf::decompress(data) {
        assert!(rtf.rtf.len() <= data.len() * 17);
    }
    if let Some(found) = tnef::parse(data) {
        assert!(found.attachments.iter().all(|a| a.content.len() <= data.len()));
    }
}

/// Any octets as an office document attached.
pub(crate) fn office_document(data: &[u8]) {
    search::fuzzing::office_document(data);
}

/// Any octets as a PDF attached.
pub(crate) fn pdf_document(data: &[u8]) {
    search::fuzzing::pdf_document(data);
}

/// Any octets as a message, and as the text of one: everything that is derived of it.
pub(crate) fn derived_facts(data: &[u8]) {
    let message = message::parse(data);
    for found in attachment::list(&message) {
        let content = attachment::content(&message, &found).expect("every attachment can be read");
        assert_eq!(content.len() as u64, found.size);
    }
    assert!(preview::of(&message).chars().count() <= PREVIEW_CHARS_MAX);
    let _ = search_text::of(&message);
    let keys = thread_keys::of_header(data);
    assert!(keys.references.len() <= REFERENCES_MAX && !keys.references.iter().any(|id| keys.message_id.as_ref() == Some(id)));
    assert_eq!(base_subject::of_text(&keys.subject.text).text, keys.subject.text, "a base subject is its own");
    let _ = list_fields::of_header(data).way_out();
    let _ = authentication_results::of_header(data);
    let _ = partial::join(&[data]);
    let _ = partial::external_body(message.root());
    let text = String::from_utf8_lossy(data);
    let _ = calendar::parse(&text);
    let _ = html_text::text(&text);
    for del_sp in [false, true] {
        let wanted: Vec<_> = flowed::paragraphs(&text, del_sp).into_iter().filter(|p| p.quote_depth < 20).collect();
        let again = flowed::paragraphs(&flowed::encode(&wanted, del_sp), del_sp);
        assert_eq!(again.len(), wanted.len(), "as many paragraphs as were written");
    }
}
