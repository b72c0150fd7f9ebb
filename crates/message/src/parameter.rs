//! `value; name=value` fields: Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183), and
//! the RFC 2231 spelling of values that are long or not ASCII.
//!
//! What is parsed here stays raw, because BODYSTRUCTURE wants it raw; [`Parameters::decoded`] is for people.

use smol_str::SmolStr;

use crate::charset;
use crate::limits::{LINE_BYTES_WANTED, PARAMETERS_MAX};

/// Parameters in their order, raw: names lower-case, RFC 2231 marks kept, quotes and comments removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters(pub Vec<(SmolStr, Vec<u8>)>);

impl Parameters {
    /// The raw value of that exact name (lower-case).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_slice())
    }

    /// The value for people: RFC 2231 pieces joined and decoded, else the plain value with its encoded-words decoded
    /// (against RFC 2047 §5, but widely done).
    pub fn decoded(&self, name: &str) -> Option<String> {
        if let Some(text) = self.decoded_2231(name) {
            return Some(text);
        }
        self.get(name).map(crate::encoded_word::decode)
    }

    /// RFC 2231 §3 and §4: `name*`, `name*0*`, `name*1` ...
    fn decoded_2231(&self, name: &str) -> Option<String> {
        let mut pieces: Vec<(u32, bool, &[u8])> = Vec::new();
        for (full, value) in &self.0 {
            let Some(rest) = full.strip_prefix(name).and_then(|r| r.strip_prefix('*')) else { continue };
            let (number, extended) = match rest.strip_suffix('*') {
                Some(number) => (number, true),
                None => (rest, rest.is_empty()),
            };
            let index = if number.is_empty() { 0 } else { number.parse().ok()? };
            pieces.push((index, extended, value));
        }
        // A stable sort: of two pieces with one number the first counts.
        pieces.sort_by_key(|p| p.0);
        pieces.dedup_by_key(|p| p.0);
        let first = pieces.first()?;
        let mut label: &[u8] = b"";
        let mut bytes = Vec::new();
        let first_extended = first.1;
        for (i, (_, extended, value)) in pieces.iter().enumerate() {
            let mut value = *value;
            if i == 0 && *extended {
                (label, value) = split_charset(value);
            }
            if *extended { percent_decode(value, &mut bytes) } else { bytes.extend_from_slice(value) }
        }
        if first_extended && !label.is_empty() {
            Some(charset::decode(label, &bytes))
        } else {
            Some(charset::guess(&bytes).into_owned())
        }
    }
}

/// `utf-8'en'text` to charset and text; text without the quotes marks has no charset.
fn split_charset(value: &[u8]) -> (&[u8], &[u8]) {
    let mut marks = memchr::memchr_iter(b'\'', value);
    match (marks.next(), marks.next()) {
        (Some(a), Some(b)) => (value.get(..a).unwrap_or_default(), value.get(b + 1..).unwrap_or_default()),
        _ => (b"", value),
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|d| d as u8)
}

fn percent_decode(value: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        if *byte == b'%' {
            let pair = value.get(at + 1).copied().and_then(hex).zip(value.get(at + 2).copied().and_then(hex));
            if let Some((high, low)) = pair {
                out.push(high << 4 | low);
                at += 3;
                continue;
            }
        }
        out.push(*byte);
        at += 1;
    }
}

/// RFC 2045 §5.1 token characters.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte > b' ' && byte < 0x7f && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

/// Skips blanks and comments from `at`.
pub(crate) fn skip_cfws(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'(' => at = comment_end(bytes, at),
            _ => break,
        }
    }
    at
}

/// Just past the comment that starts at `at`; the end if it is never closed (RFC 5322 §3.2.2).
pub(crate) fn comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    bytes.len()
}

/// The quoted string that starts at `at`: its content without escapes, and just past it (RFC 5322 §3.2.4).
pub(crate) fn quoted_string(bytes: &[u8], at: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => return (out, at),
            b'\\' => {
                if let Some(next) = bytes.get(at) {
                    out.push(*next);
                    at += 1;
                }
            }
            b'\r' | b'\n' => {}
            other => out.push(*other),
        }
    }
    (out, bytes.len())
}

/// The parameters of `bytes` from `at` on, which is after the main value. Tolerant: unquoted blanks and
/// specials belong to a value, a missing quote ends with the field, what is no `name=value` is skipped.
pub fn parse_parameters(bytes: &[u8], mut at: usize) -> Parameters {
    let mut out = Vec::new();
    while at < bytes.len() && out.len() < PARAMETERS_MAX {
        at = skip_cfws(bytes, at);
        if bytes.get(at) == Some(&b';') {
            at += 1;
            continue;
        }
        let start = at;
        while bytes.get(at).copied().is_some_and(is_token_byte) {
            at += 1;
        }
        let name = bytes.get(start..at).unwrap_or_default();
        at = skip_cfws(bytes, at);
        if name.is_empty() || bytes.get(at) != Some(&b'=') {
            at = skip_to_semicolon(bytes, at);
            continue;
        }
        at = skip_cfws(bytes, at + 1);
        let (value, next) = parameter_value(bytes, at);
        at = next;
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        out.push((SmolStr::from(name), value));
    }
    Parameters(out)
}

fn skip_to_semicolon(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b';' => break,
            b'"' => at = quoted_string(bytes, at).1,
            _ => at += 1,
        }
    }
    at
}

/// A value and where to go on.
fn parameter_value(bytes: &[u8], at: usize) -> (Vec<u8>, usize) {
    if bytes.get(at) == Some(&b'"') {
        let (value, next) = quoted_string(bytes, at);
        return (value, skip_to_semicolon(bytes, next));
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let mut len = memchr::memchr(b';', rest).unwrap_or(rest.len());
    let next = at + len;
    // A comment behind a blank is not part of the value (RFC 2045 §5.1, last example).
    if let Some(open) = rest.get(..len).and_then(|v| v.windows(2).position(|w| w == b" (" || w == b"\t(")) {
        len = open;
    }
    (rest.get(..len).unwrap_or_default().trim_ascii().to_vec(), next)
}

/// `; name=value`, quoted or in the RFC 2231 spelling as needed, folded before each piece, lines within 78 bytes.
///
/// ```
/// assert_eq!(message::parameter::encode("name", "a b.txt"), ";\r\n name=\"a b.txt\"");
/// assert_eq!(message::parameter::encode("name", "ä.txt"), ";\r\n name*=utf-8''%C3%A4.txt");
/// ```
pub fn encode(name: &str, value: &str) -> String {
    // What looks like an encoded-word would be decoded by many readers.
    let printable = value.bytes().all(|b| (b' '..0x7f).contains(&b)) && !value.contains("=?");
    let room = LINE_BYTES_WANTED - 5;
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    if printable && name.len() + escaped.len() < room {
        if !value.is_empty() && value.bytes().all(is_token_byte) {
            return format!(";\r\n {name}={value}");
        }
        return format!(";\r\n {name}=\"{escaped}\"");
    }
    let mut units = Vec::new();
    for byte in value.bytes() {
        if is_token_byte(byte) && !b"*'%".contains(&byte) {
            units.push(char::from(byte).to_string());
        } else {
            units.push(format!("%{byte:02X}"));
        }
    }
    let whole: usize = units.iter().map(String::len).sum();
    if name.len() + whole + 10 < room {
        return format!(";\r\n {name}*=utf-8''{}", units.concat());
    }
    let mut out = String::new();
    let mut line = String::from("utf-8''");
    let mut number = 0;
    for unit in units {
        if name.len() + 8 + line.len() + unit.len() > room {
            out.push_str(&format!(";\r\n {name}*{number}*={line}"));
            line.clear();
            number += 1;
        }
        line.push_str(&unit);
    }
    out.push_str(&format!(";\r\n {name}*{number}*={line}"));
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn params(text: &str) -> Parameters {
        parse_parameters(text.as_bytes(), 0)
    }

    #[test]
    fn plain_quoted_comment_and_broken() {
        let p = params("; charset=us-ascii (Plain text); name=\"a \\\"b\\\".txt\"; junk; filename=two words.pdf ; x=");
        assert_eq!(p.get("charset"), Some(&b"us-ascii"[..]));
        assert_eq!(p.get("name"), Some(&b"a \"b\".txt"[..]));
        assert_eq!(p.get("filename"), Some(&b"two words.pdf"[..]));
        assert_eq!(p.get("x"), Some(&b""[..]));
        assert_eq!(params("; boundary=\"never closed").get("boundary"), Some(&b"never closed"[..]));
    }

    #[test]
    fn rfc_2231_examples() {
        // RFC 2231 §3 and §4.1
        let p = params("; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"");
        assert_eq!(p.decoded("url").unwrap(), "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar");
        let p =
            params("; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"");
        assert_eq!(p.decoded("title").unwrap(), "This is even more ***fun*** isn't it!");
        let p = params("; filename*1*=rt.png; filename*0*=utf-8''p%C3%A4");
        assert_eq!(p.decoded("filename").unwrap(), "pärt.png");
        assert_eq!(params("; name=\"=?utf-8?Q?=C3=A4?=\"").decoded("name").unwrap(), "ä");
    }

    #[test]
    fn quotes_count_as_two_for_the_length_of_a_line() {
        let value = "\"".repeat(40);
        let text = encode("filename", &value);
        assert!(text.split("\r\n").all(|line| line.len() <= LINE_BYTES_WANTED), "{text}");
        assert_eq!(params(&text.replace("\r\n", "")).decoded("filename").unwrap(), value);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn encode_then_parse_gives_the_value(value in "\\PC{0,200}") {
            let text = encode("filename", &value);
            for line in text.split("\r\n") {
                prop_assert!(line.len() <= LINE_BYTES_WANTED, "{line}");
            }
            let unfolded = text.replace("\r\n", "");
            prop_assert_eq!(params(&unfolded).decoded("filename").unwrap(), value.clone());
        }
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let p = parse_parameters(&bytes, 0);
            for (name, _) in &p.0 { let _ = p.decoded(name); }
        }
    }
}
