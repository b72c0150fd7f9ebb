//! Mailbox names: UTF-8 inside; on the wire modified UTF-7 (RFC 3501 §5.1.3), or UTF-8 after ENABLE (RFC 9051 §5.1, RFC 9755).
//!
//! ```abnf
//! mailbox = "INBOX" / astring       ; INBOX in any case
//! ```
//!
//! Modified UTF-7: printable ASCII is itself, `&` is `&-`, all else is `&` base64 of UTF-16BE (`,` for `/`, no padding) `-`.
//! Invariant: `decode_utf7(encode_utf7(name)) == name` for every name without control characters.

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::limits::MAILBOX_NAME_BYTES_MAX;
use data_encoding::{Encoding, Specification};
use smol_str::SmolStr;
use std::sync::OnceLock;

/// A mailbox name, decoded. `INBOX` in any case is `INBOX`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(pub(crate) SmolStr);

impl MailboxName {
    /// From a decoded name.
    pub fn new(name: &str) -> MailboxName {
        if name.eq_ignore_ascii_case("INBOX") {
            MailboxName(SmolStr::new_static("INBOX"))
        } else {
            MailboxName(SmolStr::new(name))
        }
    }
    /// Decoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<MailboxName> {
        let octets = c.astring()?;
        let name = decode(c, &octets)?;
        if name.is_empty() { c.error("a mailbox name is empty") } else { Ok(MailboxName::new(&name)) }
    }
    /// What a server sent: a name that does not decode is kept as it is written.
    pub(crate) fn parse_tolerant(c: &mut Cursor<'_>) -> Parsed<MailboxName> {
        let octets = c.astring()?;
        let name = decode(c, &octets).unwrap_or_else(|_| String::from_utf8_lossy(&octets).into_owned());
        Ok(MailboxName::new(&name))
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        encode(e, &self.0);
    }
}

impl std::fmt::Display for MailboxName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Octets of the wire to a name, in the cursor's mode. Raw UTF-8 is understood in both (lenient; no client means something else).
pub(crate) fn decode(c: &Cursor<'_>, octets: &[u8]) -> Parsed<String> {
    if octets.len() > 3 * MAILBOX_NAME_BYTES_MAX {
        return c.error("a mailbox name is too long");
    }
    let name = match std::str::from_utf8(octets) {
        Ok(text) if c.utf8 || !text.is_ascii() => Some(text.to_owned()),
        Ok(text) => decode_utf7(text),
        Err(_) => None,
    };
    match name {
        Some(name) if name.chars().any(char::is_control) => c.error("a mailbox name has control characters"),
        Some(name) if name.len() > MAILBOX_NAME_BYTES_MAX => c.error("a mailbox name is too long"),
        Some(name) => Ok(name),
        None => c.error("a mailbox name is not valid modified UTF-7 or UTF-8"),
    }
}

/// A name (or pattern, which `encode` quotes) to the wire, in the encoder's mode.
pub(crate) fn encode(e: &mut Encoder, name: &str) {
    if e.utf8 { e.astring(name.as_bytes()) } else { e.astring(encode_utf7(name).as_bytes()) }
}

/// RFC 3501 §5.1.3: base64 with `,` for `/`, without padding.
fn base64() -> Option<&'static Encoding> {
    static BASE64: OnceLock<Option<Encoding>> = OnceLock::new();
    BASE64
        .get_or_init(|| {
            let mut spec = Specification::new();
            spec.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,");
            // Some clients leave the spare bits set; their folders must open all the same.
            spec.check_trailing_bits = false;
            spec.encoding().ok()
        })
        .as_ref()
}

/// To modified UTF-7.
pub fn encode_utf7(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut units: Vec<u8> = Vec::new();
    let flush = |units: &mut Vec<u8>, out: &mut String| {
        if let (false, Some(base64)) = (units.is_empty(), base64()) {
            out.push('&');
            base64.encode_append(units, out);
            out.push('-');
            units.clear();
        }
    };
    for ch in name.chars() {
        if (' '..='~').contains(&ch) {
            flush(&mut units, &mut out);
            out.push(ch);
            if ch == '&' {
                out.push('-');
            }
        } else {
            for unit in ch.encode_utf16(&mut [0; 2]) {
                units.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    flush(&mut units, &mut out);
    out
}

/// From modified UTF-7; `None` when it is none. Superfluous shifts are tolerated.
pub fn decode_utf7(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (shifted, after) = after.split_once('-')?;
        rest = after;
        if shifted.is_empty() {
            out.push('&');
            continue;
        }
        let octets = base64()?.decode(shifted.as_bytes()).ok()?;
        let (pairs, spare) = octets.as_chunks::<2>();
        if !spare.is_empty() || pairs.is_empty() {
            return None;
        }
        for ch in char::decode_utf16(pairs.iter().map(|pair| u16::from_be_bytes(*pair))) {
            out.push(ch.ok()?);
        }
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers() {
        for (name, wire) in [
            ("Entw\u{fc}rfe", "Entw&APw-rfe"),
            ("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Tom & Jerry", "Tom &- Jerry"),
            ("\u{1f4ec}", "&2D3c7A-"),
            ("a\u{e4}&b", "a&AOQ-&-b"),
            ("", ""),
        ] {
            assert_eq!(encode_utf7(name), wire);
            assert_eq!(decode_utf7(wire).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_is_no_utf7() {
        for bad in ["a&b", "&AA-", "&!!!-", "&2D0-", "&3Ow-", "&", "&APw"] {
            assert_eq!(decode_utf7(bad), None, "{bad}");
        }
    }

    fn read(wire: &[u8], utf8: bool) -> Option<String> {
        MailboxName::parse(&mut Cursor::with_utf8(wire, utf8)).ok().map(|n| n.as_str().to_owned())
    }

    #[test]
    fn modes_and_inbox() {
        assert_eq!(read(b"iNbOx", false).unwrap(), "INBOX");
        assert_eq!(read(b"\"INBOX\"", true).unwrap(), "INBOX");
        assert_eq!(read(b"A&AOQ-", false).unwrap(), "A\u{e4}");
        assert_eq!(read(b"A&AOQ-", true).unwrap(), "A&AOQ-");
        assert_eq!(read("\"\u{e4}\"".as_bytes(), true).unwrap(), "\u{e4}");
        assert_eq!(read("{2}\r\n\u{e4}".as_bytes(), false).unwrap(), "\u{e4}");
        assert_eq!(read(b"\"\"", false), None);
        assert_eq!(read(b"\"a\x07b\"", false), None);
        assert_eq!(read(b"\"\xff\"", true), None);
        let long = |n: usize| format!("\"{}\"", "x".repeat(n));
        assert!(read(long(MAILBOX_NAME_BYTES_MAX).as_bytes(), false).is_some());
        assert!(read(long(MAILBOX_NAME_BYTES_MAX + 1).as_bytes(), false).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn every_name_comes_back(name in "[ -~\u{a0}-\u{ff}\u{4e00}-\u{4fff}\u{1f300}-\u{1f6ff}&]{1,20}", utf8: bool) {
            prop_assert_eq!(decode_utf7(&encode_utf7(&name)), Some(name.clone()));
            let mut e = Encoder::server(Vec::new(), utf8);
            MailboxName::new(&name).encode(&mut e);
            prop_assert_eq!(read(&e.bytes, utf8), Some(MailboxName::new(&name).as_str().to_owned()));
        }
        #[test]
        fn decoding_never_panics(text in "[&A-Za-z0-9+,/-]{0,20}") {
            let _ = decode_utf7(&text);
        }
    }
}
