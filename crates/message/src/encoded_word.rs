//! Encoded-words (RFC 2047, RFC 2231 §5): `=?utf-8?Q?=C3=A4?=` to text and back.
//!
//! Adjacent words of one charset are joined as octets before they become text, so a character that was
//! cut in two comes back whole. One pass; what is no encoded-word stays.

use std::borrow::Cow;

use memchr::{memchr_iter, memmem};

use crate::charset;
use crate::limits::{CHARSET_NAME_BYTES_MAX, ENCODED_WORD_BYTES_MAX};
use crate::transfer::Base64Decoder;

/// Decodes an unfolded field body for people. Octets that are in no encoded-word are UTF-8, or guessed.
///
/// ```
/// let subject = b"=?utf-8?B?4pg=?= =?utf-8?B?ug==?= and more";
/// assert_eq!(message::encoded_word::decode(subject), "☺ and more");
/// ```
pub fn decode(bytes: &[u8]) -> String {
    decode_cow(Cow::Borrowed(bytes), None).into_owned()
}

/// [`decode`] where raw octets that are not UTF-8 are in `raw_charset`, if that is one we know.
///
/// ```
/// assert_eq!(message::encoded_word::decode_in(b"\xd0\xd2\xc9", Some(b"koi8-r")), "при");
/// ```
pub fn decode_in(bytes: &[u8], raw_charset: Option<&[u8]>) -> String {
    decode_cow(Cow::Borrowed(bytes), raw_charset).into_owned()
}

/// [`decode_in`] that owns nothing where there is nothing to decode.
///
/// ```
/// use std::borrow::Cow;
/// assert!(matches!(message::encoded_word::decode_cow(Cow::Borrowed(b"plain"), None), Cow::Borrowed("plain")));
/// ```
pub fn decode_cow<'a>(bytes: Cow<'a, [u8]>, raw_charset: Option<&[u8]>) -> Cow<'a, str> {
    if let Some(first) = mark_from(&bytes, 0) {
        return Cow::Owned(decode_words(&bytes, first, raw_charset));
    }
    match bytes {
        Cow::Borrowed(bytes) => charset::guess_in(bytes, raw_charset),
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(e) => Cow::Owned(charset::guess_in(e.as_bytes(), raw_charset).into_owned()),
        },
    }
}

/// The next `=?`.
fn mark_from(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    memchr_iter(b'?', rest).find(|i| *i > 0 && rest.get(i - 1) == Some(&b'=')).map(|i| from + i - 1)
}

fn decode_words(bytes: &[u8], first: usize, raw_charset: Option<&[u8]>) -> String {
    let mut out = String::with_capacity(bytes.len());
    // Octets of adjacent words with one charset, not yet text.
    let mut held: Option<&[u8]> = None;
    let mut octets = Vec::new();
    let mut plain_start = 0;
    let mut next = Some(first);
    while let Some(start) = next {
        let Some((word, end)) = word_at(bytes, start) else {
            next = mark_from(bytes, start + 2);
            continue;
        };
        let between = bytes.get(plain_start..start).unwrap_or_default();
        let adjacent = held.is_some() && between.trim_ascii().is_empty();
        if !adjacent {
            flush(&mut held, &mut octets, &mut out);
            out.push_str(&charset::guess_in(between, raw_charset));
        }
        if held.is_some_and(|label| !label.eq_ignore_ascii_case(word.charset)) {
            flush(&mut held, &mut octets, &mut out);
        }
        if octets.ends_with(b"\x1b(B") {
            // ISO-2022-JP is back in ASCII: nothing was cut, and two escapes in a row would be an error to the decoder.
            flush(&mut held, &mut octets, &mut out);
        }
        held = Some(word.charset);
        word.octets(&mut octets);
        if !word.closed {
            // What is behind an unclosed word is not adjacent to it: its blank counts.
            flush(&mut held, &mut octets, &mut out);
        }
        plain_start = end;
        next = mark_from(bytes, end);
    }
    flush(&mut held, &mut octets, &mut out);
    out.push_str(&charset::guess_in(bytes.get(plain_start..).unwrap_or_default(), raw_charset));
    out
}

fn flush(held: &mut Option<&[u8]>, octets: &mut Vec<u8>, out: &mut String) {
    if let Some(label) = held.take() {
        out.push_str(&charset::decode(label, octets));
        octets.clear();
    }
}

/// An encoded-word as it stands.
pub(crate) struct Word<'a> {
    pub(crate) charset: &'a [u8],
    pub(crate) base64: bool,
    pub(crate) text: &'a [u8],
    /// False where `?=` is missing.
    pub(crate) closed: bool,
}

impl Word<'_> {
    pub(crate) fn octets(&self, out: &mut Vec<u8>) {
        if self.base64 {
            let mut decoder = Base64Decoder::default();
            decoder.push(self.text, out);
            decoder.finish(out);
            return;
        }
        let mut rest = self.text;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            let pair = match (byte, after) {
                (b'=', [high, low, ..]) => hex(*high).zip(hex(*low)),
                _ => None,
            };
            match (byte, pair) {
                (_, Some((high, low))) => {
                    out.push(high << 4 | low);
                    rest = after.get(2..).unwrap_or_default();
                }
                (b'_', None) => out.push(b' '),
                (other, None) => out.push(*other),
            }
        }
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|d| d as u8)
}

/// The encoded-word that starts at `start` (where `=?` stands) and where it ends.
pub(crate) fn word_at(bytes: &[u8], start: usize) -> Option<(Word<'_>, usize)> {
    let rest = bytes.get(start + 2..)?;
    let name_len = rest.iter().take(CHARSET_NAME_BYTES_MAX).position(|b| *b == b'?')?;
    let label = rest.get(..name_len)?;
    if label.is_empty() || label.iter().any(|b| *b <= b' ' || *b >= 0x7f) {
        return None;
    }
    // RFC 2231 §5: a language may stand behind the charset.
    let charset = label.split(|b| *b == b'*').next()?;
    let base64 = match rest.get(name_len + 1..name_len + 3)? {
        b"B?" | b"b?" => true,
        b"Q?" | b"q?" => false,
        _ => return None,
    };
    let text_start = name_len + 3;
    let text = rest.get(text_start..)?;
    if let Some(len) = text_len(text) {
        return Some((Word { charset, base64, text: text.get(..len)?, closed: true }, start + 2 + text_start + len + 2));
    }
    let len = unclosed_len(text, base64)?;
    let end = start + 2 + text_start + len;
    let text = text.get(..len)?;
    // Half of the closing mark may be there.
    let text = text.strip_suffix(b"?").unwrap_or(text);
    (!text.is_empty() && charset::is_known(charset)).then_some((Word { charset, base64, text, closed: false }, end))
}

/// Length of the encoded text: up to `?=`. Another `=?` first means that this one is never closed, and keeps
/// the search linear.
fn text_len(text: &[u8]) -> Option<usize> {
    for mark in memchr_iter(b'?', text) {
        if text.get(mark + 1) == Some(&b'=') {
            return Some(mark);
        }
        if mark > 0 && text.get(mark - 1) == Some(&b'=') {
            return None;
        }
    }
    None
}

/// Length of the text of a word that is never closed: up to the next blank. It must look encoded, since `=?` may also
/// just stand there.
fn unclosed_len(text: &[u8], base64: bool) -> Option<usize> {
    let window = text.get(..ENCODED_WORD_BYTES_MAX).unwrap_or(text);
    let len = window.iter().position(|b| b.is_ascii_whitespace()).unwrap_or(window.len());
    let text = text.get(..len)?;
    let good = if base64 {
        text.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=?".contains(b))
    } else {
        memmem::find(text, b"=?").is_none()
    };
    good.then_some(len)
}

/// Encodes a text for a field body. Words without need stay plain; lines are folded so that none is longer than 78,
/// counting from `column` (where the body begins on its line). Control characters become blanks.
///
/// ```
/// assert_eq!(message::encoded_word::encode("Plain words", 9), "Plain words");
/// assert_eq!(message::encoded_word::encode("Grüße", 9), "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=");
/// ```
pub fn encode(text: &str, column: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // A long word gets a line of its own; only one that no line can carry is cut.
    let room = |first: bool| crate::limits::LINE_BYTES_MAX.saturating_sub(if first { column } else { 1 });
    let needs = |(i, word): (usize, &str)| !word.is_ascii() || word.contains("=?") || word.len() > room(i == 0);
    let mut out = String::new();
    let mut column = column;
    if !clean.split(' ').enumerate().any(needs) && !clean.starts_with(' ') && !clean.ends_with(' ') && !clean.contains("  ") {
        for (i, word) in clean.split(' ').enumerate() {
            if i > 0 {
                fold_or_blank(&mut out, &mut column, word.len());
            }
            out.push_str(word);
            column += word.len();
        }
        return out;
    }
    encode_words(&clean, column)
}

fn fold_or_blank(out: &mut String, column: &mut usize, next: usize) {
    if *column + 1 + next > crate::limits::LINE_BYTES_WANTED {
        out.push_str("\r\n ");
        *column = 1;
    } else {
        out.push(' ');
        *column += 1;
    }
}

/// The whole text (which has no control characters) as encoded-words of at most 75 bytes each; never cuts a character.
pub(crate) fn encode_words(text: &str, column: usize) -> String {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    // Q keeps mostly-ASCII text readable, B is shorter otherwise.
    let base64 = ascii * 3 < text.len();
    let mut out = String::new();
    let mut column = column;
    let mut word = String::new();
    for c in text.chars() {
        let room = 75usize.min(crate::limits::LINE_BYTES_WANTED.saturating_sub(column));
        let mut longer = word.clone();
        longer.push(c);
        if !word.is_empty() && encoded(&longer, base64).len() > room {
            out.push_str(&encoded(&word, base64));
            out.push_str("\r\n ");
            column = 1;
            word.clear();
        } else if word.is_empty() && !out.is_empty() && encoded(&longer, base64).len() > room {
            column = 1;
        }
        word.push(c);
    }
    out.push_str(&encoded(&word, base64));
    out
}

fn encoded(text: &str, base64: bool) -> String {
    if base64 {
        let mut octets = Vec::new();
        crate::transfer::base64_push(text.as_bytes(), &mut octets);
        return format!("=?utf-8?B?{}?=", String::from_utf8_lossy(&octets));
    }
    let mut out = String::from("=?utf-8?Q?");
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('_'),
            // What is safe in every place, phrases included (RFC 2047 §5 rule 3).
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'!' | b'*' | b'+' | b'-' | b'/' => out.push(char::from(byte)),
            other => out.push_str(&format!("={other:02X}")),
        }
    }
    out.push_str("?=");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc_2047_section_8_examples() {
        let cases: [(&str, &str); 9] = [
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            ("=?US-ASCII*EN?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\t=?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            ("=?utf-8?Q?Who_are_you??=", "Who are you?"),
        ];
        for (raw, text) in cases {
            assert_eq!(decode(raw.as_bytes()), text, "{raw}");
        }
    }

    #[test]
    fn what_is_no_encoded_word_stays() {
        for raw in ["=?", "=?x-none?Q?never closed", "a =? b ?= c", "=??Q?a?=", "=?utf-8?X?a?=", "=?utf-8?Q?", "=?utf-8?B?!"] {
            assert_eq!(decode(raw.as_bytes()), raw);
        }
        assert_eq!(decode(b"caf\xe9"), "café");
    }

    #[test]
    fn a_word_that_is_never_closed_ends_at_a_blank() {
        assert_eq!(decode(b"=?utf-8?Q?Gr=C3=BC=C3=9Fe und mehr"), "Grüße und mehr");
        assert_eq!(decode(b"=?utf-8?B?R3LDvMOfZQ=="), "Grüße");
        assert_eq!(decode(b"=?utf-8?Q?open? =?utf-8?Q?a?="), "open a");
    }

    #[test]
    fn a_character_cut_between_two_words_comes_back() {
        assert_eq!(decode(b"=?UTF-8?Q?=E2=98?=\r\n =?utf-8?q?=BA?= x"), "☺ x");
    }

    /// Two escapes in a row are an error to WHATWG's decoder, which puts U+FFFD between; a word that leaves the escape to the next is joined.
    #[test]
    fn words_in_iso_2022_jp_stand_together_without_a_mark_between() {
        let whole = b"=?iso-2022-jp?b?GyRCRWw1fhsoQg==?=\r\n =?iso-2022-jp?b?GyRCRVREIxsoQg==?= <a@b>";
        assert_eq!(decode(whole), "\u{6771}\u{4eac}\u{90fd}\u{5e81} <a@b>");
        assert_eq!(decode(b"=?iso-2022-jp?q?=1B$BEl5~?= =?iso-2022-jp?q?ETD#=1B(B?="), "\u{6771}\u{4eac}\u{90fd}\u{5e81}");
    }

    #[test]
    fn a_long_word_is_encoded_only_where_no_line_can_carry_it() {
        let url = format!("https://here.test/{}", "x".repeat(200));
        assert_eq!(encode(&format!("See {url} now"), 9), format!("See\r\n {url}\r\n now"));
        assert_eq!(encode(&url, 9), url);
        let longest = "y".repeat(997);
        assert_eq!(encode(&format!("a {longest}"), 9), format!("a\r\n {longest}"));
        for text in [format!("a {longest}y"), "y".repeat(990)] {
            let encoded = encode(&text, 9);
            assert!(encoded.starts_with("=?utf-8?Q?") && encoded.lines().all(|l| l.len() <= 78), "{encoded}");
            assert_eq!(decode(&crate::header::unfold(encoded.as_bytes())), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn encode_then_decode_gives_the_text(text in "(\\PC| |=\\?){0,120}", column in 0usize..40) {
            let encoded = encode(&text, column);
            for line in encoded.split("\r\n") {
                let one_word = !line.trim_start().contains(' ');
                prop_assert!((line.len() <= 78 || one_word) && line.is_ascii());
            }
            prop_assert_eq!(decode(&crate::header::unfold(encoded.as_bytes())), text);
        }
        #[test]
        fn decode_never_panics(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'='), Just(b'?'), Just(b'q')], 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
