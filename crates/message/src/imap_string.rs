//! Strings of IMAP answers (RFC 9051 §4.3): quoted when short and 7-bit, else a literal.
//!
//! Invariant: valid in IMAP4rev1, IMAP4rev2 and UTF8=ACCEPT alike; NUL never appears (RFC 9051 §9: CHAR8).

use crate::limits::QUOTED_BYTES_MAX;

/// `string`.
///
/// ```
/// use message::imap_string::{push_nstring, push_string};
/// let mut out = Vec::new();
/// push_string(&mut out, b"a \"b\"");
/// push_nstring(&mut out, None);
/// push_nstring(&mut out, Some(b"\xff"));
/// assert_eq!(out, b"\"a \\\"b\\\"\"NIL{1}\r\n\xff");
/// ```
pub fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    let quotable = |b: &u8| (1..0x80).contains(b) && *b != b'\r' && *b != b'\n';
    if text.len() <= QUOTED_BYTES_MAX && text.iter().all(quotable) {
        out.push(b'"');
        for byte in text {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
        return;
    }
    let len = text.iter().filter(|b| **b != 0).count();
    out.extend_from_slice(format!("{{{len}}}\r\n").as_bytes());
    out.extend(text.iter().filter(|b| **b != 0));
}

/// `nstring`.
pub fn push_nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => push_string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `"WORD"`, in upper case.
pub(crate) fn push_word(out: &mut Vec<u8>, word: &str) {
    push_string(out, word.to_ascii_uppercase().as_bytes());
}

/// `number`, with a blank before it.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(format!(" {number}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_and_literal() {
        let shown = |text: &[u8]| {
            let mut out = Vec::new();
            push_string(&mut out, text);
            out
        };
        assert_eq!(shown(b"a \"b\" \\"), b"\"a \\\"b\\\" \\\\\"");
        assert_eq!(shown(b""), b"\"\"");
        assert_eq!(shown("ä".as_bytes()), "{2}\r\nä".as_bytes());
        assert_eq!(shown(b"a\r\nb"), b"{4}\r\na\r\nb");
        assert_eq!(shown(b"a\0b"), b"{2}\r\nab");
        assert!(shown(&[b'x'; QUOTED_BYTES_MAX + 1]).starts_with(b"{1001}\r\n"));
        let mut out = Vec::new();
        push_nstring(&mut out, None);
        assert_eq!(out, b"NIL");
    }
}
