//! Octets in a named charset to text: the WHATWG set, UTF-7 (RFC 2152), and a guess where nothing is named.
//!
//! Never fails: what cannot be decoded becomes U+FFFD.

use std::borrow::Cow;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, WINDOWS_1252};

use crate::limits::CHARSET_NAME_BYTES_MAX;

/// Decodes `bytes` that are said to be in `label`. An unknown label, and ASCII with the eighth bit, are guessed.
///
/// ```
/// assert_eq!(message::charset::decode(b"iso-8859-1", b"\xe4"), "ä");
/// assert_eq!(message::charset::decode(b"utf-7", b"Hi Mom -+Jjo--!"), "Hi Mom -☺-!");
/// ```
pub fn decode(label: &[u8], bytes: &[u8]) -> String {
    let label = label.trim_ascii();
    if label.len() > CHARSET_NAME_BYTES_MAX || label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"ascii") {
        return guess(bytes).into_owned();
    }
    if label.eq_ignore_ascii_case(b"utf-7") || label.eq_ignore_ascii_case(b"unicode-1-1-utf-7") {
        return utf_7(bytes);
    }
    match Encoding::for_label(label) {
        Some(encoding) if encoding != REPLACEMENT => encoding.decode_without_bom_handling(bytes).0.into_owned(),
        _ => guess(bytes).into_owned(),
    }
}

/// True for a charset name [`decode`] knows (SEARCH CHARSET, RFC 9051 §6.4.4).
pub fn is_known(label: &[u8]) -> bool {
    let label = label.trim_ascii();
    label.eq_ignore_ascii_case(b"utf-7") || Encoding::for_label(label).is_some_and(|e| e != REPLACEMENT)
}

/// UTF-8 if it is that, else windows-1252, which every octet is.
pub fn guess(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        // A text with good UTF-8 before, cut inside a character, is still UTF-8.
        Err(e) if e.error_len().is_none() && !bytes.get(..e.valid_up_to()).unwrap_or_default().is_ascii() => {
            UTF_8.decode_without_bom_handling(bytes).0
        }
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// RFC 2152: `+` opens base64 of UTF-16, anything foreign to base64 closes it, `-` is swallowed.
fn utf_7(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'+' {
            out.push(if byte.is_ascii() { char::from(*byte) } else { char::REPLACEMENT_CHARACTER });
            continue;
        }
        let len = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/')).unwrap_or(rest.len());
        let (shifted, after) = rest.split_at(len);
        rest = after.strip_prefix(b"-").unwrap_or(after);
        if shifted.is_empty() {
            out.push('+');
            continue;
        }
        let octets = crate::transfer::base64_decode(shifted);
        let units = octets.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(u16::from_be_bytes);
        out.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(decode(b"ISO-2022-JP", b"\x1b$B$3\x1b(B"), "こ");
        assert_eq!(decode(b"gbk", b"\xc4\xe3"), "你");
        assert_eq!(decode(b"no-such", "ä".as_bytes()), "ä");
        assert_eq!(decode(b"us-ascii", b"\xe4"), "ä");
        assert_eq!(decode(b"utf-8", b"a\xff"), "a\u{fffd}");
        // RFC 2152 examples.
        assert_eq!(decode(b"utf-7", b"A+ImIDkQ."), "A≢Α.");
        assert_eq!(decode(b"UTF-7", b"+ZeVnLIqe-"), "日本語");
        assert_eq!(decode(b"utf-7", b"1 +- 1"), "1 + 1");
        assert!(is_known(b"utf-8") && is_known(b"koi8-r") && is_known(b"us-ascii") && !is_known(b"x-klingon"));
    }
}
