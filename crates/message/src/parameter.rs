//! `value; name=value` fields: Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183), and
//! the RFC 2231 spelling of values that are long or not ASCII.
//!
//! What is parsed here stays raw, because BODYSTRUCTURE wants it raw; [`Parameters::decoded`] is for people.

use std::borrow::Cow;

use smol_str::SmolStr;

use crate::charset;
use crate::defect::DefectKind;
use crate::limits::{LINE_BYTES_WANTED, PARAMETERS_MAX};

/// Parameters in their order, raw: names lower-case, RFC 2231 marks kept, quotes and comments removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters<'a>(pub Vec<(SmolStr, Cow<'a, [u8]>)>);

impl Parameters<'_> {
    /// The raw value of that exact name (lower-case).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_ref())
    }

    /// The value for people: RFC 2231 pieces joined and decoded, else the plain value; encoded-words in either are
    /// decoded (against RFC 2047 §5, but widely done). Of a plain value and an RFC 2231 one the latter counts (RFC 6266 §4.3).
    ///
    /// ```
    /// use message::parameter::parse_parameters;
    /// let parameters = parse_parameters(b"; filename=\"x\"; filename*1*=rt.png; filename*0*=utf-8''p%C3%A4", 0);
    /// assert_eq!(parameters.decoded("filename").as_deref(), Some("pärt.png"));
    /// ```
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
            if let Some((number, extended)) = piece_number(full, name) {
                pieces.push((number, extended, value));
            }
        }
        // A stable sort: of two pieces with one number the first counts.
        pieces.sort_by_key(|p| p.0);
        pieces.dedup_by_key(|p| p.0);
        let any_extended = pieces.iter().any(|p| p.1);
        pieces.first()?;
        let mut label: &[u8] = b"";
        let mut bytes = Vec::new();
        for (i, (_, extended, value)) in pieces.iter().enumerate() {
            let mut value = *value;
            if i == 0 && *extended {
                (label, value) = split_charset(value);
            }
            if *extended { percent_decode(value, &mut bytes) } else { bytes.extend_from_slice(value) }
        }
        if !label.is_empty() {
            return Some(charset::decode(label, &bytes).into_owned());
        }
        Some(if any_extended { charset::guess(&bytes).into_owned() } else { crate::encoded_word::decode(&bytes) })
    }
}

/// `name*`, `name*2`, `name*2*`: the number of the piece, and whether its octets are percent-encoded.
pub(crate) fn piece_number(full: &str, name: &str) -> Option<(u32, bool)> {
    let rest = full.strip_prefix(name)?.strip_prefix('*')?;
    let (number, extended) = match rest.strip_suffix('*') {
        Some(number) => (number, true),
        None => (rest, rest.is_empty()),
    };
    Some((if number.is_empty() { 0 } else { number.parse().ok()? }, extended))
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

/// The quoted string that starts at `at`: its content without escapes and folding, and just past it (RFC 5322 §3.2.4).
pub(crate) fn quoted_string(bytes: &[u8], at: usize) -> (Cow<'_, [u8]>, usize) {
    let start = at + 1;
    let mut out: Option<Vec<u8>> = None;
    let mut plain = start;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' | b'\r' | b'\n' => {
                out.get_or_insert_default().extend_from_slice(bytes.get(plain..at).unwrap_or_default());
                // What is escaped is kept whatever it is; a line end is only folding.
                plain = at + 1;
                at += if *byte == b'\\' { 2 } else { 1 };
            }
            _ => at += 1,
        }
    }
    let end = at.min(bytes.len());
    let rest = bytes.get(plain..end).unwrap_or_default();
    let text = match out {
        Some(mut out) => {
            out.extend_from_slice(rest);
            Cow::Owned(out)
        }
        None => Cow::Borrowed(rest),
    };
    (text, (end + 1).min(bytes.len()))
}

/// The parameters of `bytes` (folded or not) from `at` on, which is after the main value. Tolerant: unquoted blanks and
/// specials belong to a value, a missing quote ends with the field, what is no `name=value` is skipped.
///
/// ```
/// let parameters = message::parameter::parse_parameters(b"; charset=us-ascii (plain); name=two words.txt", 0);
/// assert_eq!((parameters.get("charset"), parameters.get("name")), (Some(&b"us-ascii"[..]), Some(&b"two words.txt"[..])));
/// ```
pub fn parse_parameters(bytes: &[u8], at: usize) -> Parameters<'_> {
    let found = Found { bytes, at }.filter_map(|item| item.ok().map(|p| (lower(p.name), p.value)));
    Parameters(found.take(PARAMETERS_MAX).collect())
}

/// `name=value` as it stands.
struct Spelled<'a> {
    name: &'a [u8],
    value: Cow<'a, [u8]>,
    quoted: bool,
    /// Nothing closes its quote.
    open: bool,
}

/// Goes over parameters; `Err` is something between semicolons that is none.
struct Found<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Found<'a> {
    type Item = Result<Spelled<'a>, ()>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.bytes;
        loop {
            self.at = skip_cfws(bytes, self.at);
            if bytes.get(self.at) != Some(&b';') {
                break;
            }
            self.at += 1;
        }
        if self.at >= bytes.len() {
            return None;
        }
        let start = self.at;
        while bytes.get(self.at).copied().is_some_and(is_token_byte) {
            self.at += 1;
        }
        let name = bytes.get(start..self.at).unwrap_or_default();
        self.at = skip_cfws(bytes, self.at);
        if name.is_empty() || bytes.get(self.at) != Some(&b'=') {
            self.at = skip_to_semicolon(bytes, self.at);
            return Some(Err(()));
        }
        let value_at = skip_cfws(bytes, self.at + 1);
        let quoted = bytes.get(value_at) == Some(&b'"');
        let (value, next) = parameter_value(bytes, value_at);
        self.at = next;
        let open = quoted
            && next >= bytes.len()
            && quoted_string(bytes, value_at).1 >= bytes.len()
            && !bytes.trim_ascii_end().ends_with(b"\"");
        Some(Ok(Spelled { name, value, quoted, open }))
    }
}

/// Tells what is wrong with the parameters that [`parse_parameters`] reads.
pub(crate) fn check_parameters(bytes: &[u8], at: usize, tell: &mut dyn FnMut(DefectKind)) {
    let mut names: Vec<SmolStr> = Vec::new();
    let mut pieces: Vec<(SmolStr, u32)> = Vec::new();
    for (count, item) in (Found { bytes, at }).enumerate() {
        if count >= PARAMETERS_MAX {
            tell(DefectKind::TooManyParameters);
            break;
        }
        let Ok(item) = item else {
            tell(DefectKind::ParameterUnreadable);
            continue;
        };
        if item.open {
            tell(DefectKind::ParameterQuoteOpen);
        }
        if !item.quoted && !item.value.iter().copied().all(is_token_byte) {
            tell(DefectKind::ParameterNotQuoted);
        }
        let word = memchr::memmem::find(&item.value, b"=?").and_then(|i| crate::encoded_word::word_at(&item.value, i));
        if word.is_some() {
            tell(DefectKind::EncodedWordInParameter);
        }
        let name = lower(item.name);
        let base = name.split('*').next().unwrap_or_default();
        match piece_number(&name, base) {
            Some((number, _)) if name.trim_end_matches('*') != base => pieces.push((base.into(), number)),
            _ => names.push(name),
        }
    }
    check_pieces(&mut pieces, tell);
    names.sort_unstable();
    if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        tell(DefectKind::ParameterTwice);
    }
}

/// RFC 2231 §3: the pieces of one parameter are numbered from 0, each number once.
fn check_pieces(pieces: &mut [(SmolStr, u32)], tell: &mut dyn FnMut(DefectKind)) {
    // Stable: within one name the order of the field stays.
    pieces.sort_by(|a, b| a.0.cmp(&b.0));
    for group in pieces.chunk_by_mut(|a, b| a.0 == b.0) {
        if !group.is_sorted_by(|a, b| a.1 < b.1) {
            tell(DefectKind::ParameterPiecesMixed);
        }
        group.sort_by_key(|p| p.1);
        let mut wanted = 0;
        for (_, number) in group.iter() {
            if *number > wanted {
                tell(DefectKind::ParameterPieceMissing);
            }
            wanted = number.saturating_add(1);
        }
    }
}

/// A token in lower case; short ones need no room of their own.
pub(crate) fn lower(token: &[u8]) -> SmolStr {
    token.iter().map(|b| char::from(b.to_ascii_lowercase())).collect()
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
fn parameter_value(bytes: &[u8], at: usize) -> (Cow<'_, [u8]>, usize) {
    if bytes.get(at) == Some(&b'"') {
        let (value, next) = quoted_string(bytes, at);
        return (value, if semicolon_forgotten(bytes, next) { next } else { skip_to_semicolon(bytes, next) });
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let mut len = memchr::memchr(b';', rest).unwrap_or(rest.len());
    let mut next = at + len;
    let blanks = memchr::memchr2_iter(b' ', b'\t', rest.get(..len).unwrap_or_default());
    for blank in blanks {
        if semicolon_forgotten(bytes, at + blank) {
            (len, next) = (blank, at + blank);
            break;
        }
    }
    let value = without_comment(rest.get(..len).unwrap_or_default().trim_ascii());
    (crate::header::unfold(value), next)
}

/// Places in a value where its comment may begin, as far as they are looked at.
const COMMENTS_MAX: usize = 16;

/// A comment at the end is not part of a value (RFC 2045 §5.1, last example); parentheses inside it are: `a (1).txt`.
fn without_comment(value: &[u8]) -> &[u8] {
    if !value.ends_with(b")") {
        return value;
    }
    let opens = memchr::memchr_iter(b'(', value).filter(|i| *i > 0 && value.get(i - 1).is_some_and(u8::is_ascii_whitespace));
    for open in opens.take(COMMENTS_MAX) {
        if comment_end(value, open) == value.len() {
            return value.get(..open).unwrap_or_default().trim_ascii_end();
        }
    }
    value
}

/// True where a blank at `at` parts a value from another parameter: writers that fold forget the semicolon.
fn semicolon_forgotten(bytes: &[u8], at: usize) -> bool {
    const NAMES: [&[u8]; 5] = [b"charset", b"name", b"filename", b"boundary", b"format"];
    let Some(rest) = bytes.get(at..).filter(|r| r.first().is_some_and(u8::is_ascii_whitespace)) else { return false };
    let rest = rest.get(1..).unwrap_or_default();
    NAMES.iter().any(|name| {
        rest.split_at_checked(name.len())
            .is_some_and(|(head, tail)| head.eq_ignore_ascii_case(name) && tail.first() == Some(&b'='))
    })
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

    fn params(text: &str) -> Parameters<'_> {
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
