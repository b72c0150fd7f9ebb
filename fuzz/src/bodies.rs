//! Bodies: transfer encodings whole and streamed, charsets, the text that SEARCH looks through.

use crate::pieces::{pieces, take};
use message::search::{self, Needle};
use message::transfer::{self, Decoder, TransferEncoding};
use message::{charset as charsets, header};

const ENCODINGS: [TransferEncoding; 6] = [
    TransferEncoding::Base64,
    TransferEncoding::QuotedPrintable,
    TransferEncoding::SevenBit,
    TransferEncoding::EightBit,
    TransferEncoding::Binary,
    TransferEncoding::Other,
];

/// Decoding in any pieces is decoding in one; encoding and decoding gives the octets back.
pub(crate) fn transfer(data: &[u8]) {
    let ([which, seed], rest) = take(data);
    let encoding = ENCODINGS[usize::from(which) % ENCODINGS.len()];
    let whole = transfer::decode(encoding, rest);
    assert_eq!(whole.as_ref().map(|w| w.len() as u64), transfer::decoded_len(encoding, rest));
    let mut decoder = Decoder::new(encoding);
    let mut streamed = Vec::new();
    for piece in pieces(rest, seed) {
        decoder.push(piece, &mut streamed);
    }
    decoder.finish(&mut streamed);
    assert_eq!(streamed, whole.unwrap_or_else(|| rest.to_vec()));
    assert!(streamed.len() <= rest.len());

    let base64 = transfer::base64_encode(rest);
    assert!(base64.split(|b| *b == b'\n').all(|line| line.len() <= 77));
    assert_eq!(transfer::base64_decode(&base64), rest);
    let quoted = transfer::quoted_printable_encode(rest);
    assert!(quoted.is_ascii() && quoted.split(|b| *b == b'\n').all(|line| line.len() <= 77));
    // It is for text: line ends come out as CRLF.
    let mut text = Vec::new();
    for line in rest.split_inclusive(|b| *b == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => text.extend_from_slice(&[line.strip_suffix(b"\r").unwrap_or(line), b"\r\n"].concat()),
            None => text.extend_from_slice(line),
        }
    }
    assert_eq!(transfer::quoted_printable_decode(&quoted), text);
    let _ = TransferEncoding::from_word(rest);
}

/// The first line names the charset, the rest is in it.
pub(crate) fn charset(data: &[u8]) {
    let (label, rest) = first_line(data);
    let text = charsets::decode(label, rest);
    assert!(text.len() <= 3 * rest.len() + 3, "{} octets of {}", text.len(), rest.len());
    if charsets::is_known(label) && label.eq_ignore_ascii_case(b"utf-8") {
        // A byte order mark says nothing more, and is no part of the text.
        assert_eq!(text, String::from_utf8_lossy(rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest)));
    }
    if let Ok(good) = std::str::from_utf8(rest) {
        assert_eq!(charsets::guess(rest), good);
        assert!(!label.eq_ignore_ascii_case(b"us-ascii") || text == good);
    }
    let _ = charsets::guess(rest);
}

/// The first line is what is looked for, the rest a message.
pub(crate) fn search_text(data: &[u8]) {
    let (words, message) = first_line(data);
    let words = String::from_utf8_lossy(words);
    let needle = Needle::new(&words);
    assert!(needle.is_in(&words) && needle.is_empty() == words.is_empty());
    if words.is_ascii() {
        assert!(needle.is_in(&format!("before {} behind", words.to_ascii_uppercase())));
    }
    let in_body = search::body_contains(message, &needle);
    let texts = search::body_texts(&message::parse(message));
    assert_eq!(in_body, needle.is_empty() || texts.iter().any(|text| needle.is_in(text)));
    assert!(!in_body || search::text_contains(message, &needle), "what is in the body is in the text");
    let end = header::header_end(message);
    let any = Needle::new("");
    for field in header::fields(&message[..end]).take(20) {
        let name = String::from_utf8_lossy(field.name);
        assert!(search::header_contains(&message[..end], &name, &any) || !name.is_ascii());
        let texts = search::header_texts(&message[..end], &name);
        let found = search::header_contains(&message[..end], &name, &needle);
        assert_eq!(found, texts.iter().any(|text| needle.is_in(text)));
    }
}

fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|b| *b == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}
