//! Octets in a named charset to text: the WHATWG set, UTF-7 (RFC 2152), HZ (RFC 1843), ISO-2022-KR (RFC 1557), UTF-32, the
//! DOS code pages, modified UTF-7 (RFC 3501 §5.1.3), and a guess where nothing is named.
//!
//! Never fails: what cannot be decoded becomes U+FFFD.

use std::borrow::Cow;

use encoding_rs::{EUC_KR, Encoding, GB18030, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use smol_str::SmolStr;

use crate::code_page;
use crate::limits::CHARSET_NAME_BYTES_MAX;

/// A charset we decode.
#[derive(Debug, Clone, Copy)]
enum Charset {
    Whatwg(&'static Encoding),
    /// The eighth bit has no meaning: guessed.
    Ascii,
    Utf7,
    ImapUtf7,
    Hz,
    Iso2022Kr,
    /// Big-endian unless a BOM says otherwise; `true` is little-endian.
    Utf32(bool),
    CodePage(&'static str),
}

/// Names that are no WHATWG labels, but are found in mail; in lower case, `_` as `-`, without `x-` or `cs` in front.
const ALIASES: &[(&str, &str)] = &[
    ("latin-1", "iso-8859-1"),
    ("latin-2", "iso-8859-2"),
    ("latin-9", "iso-8859-15"),
    ("latin9", "iso-8859-15"),
    ("iso-latin-1", "iso-8859-1"),
    ("8859-1", "iso-8859-1"),
    ("ansi", "windows-1252"),
    ("windows-latin1", "windows-1252"),
    ("utf8mb4", "utf-8"),
    ("utf-8-sig", "utf-8"),
    ("unicode-2-0-utf-8", "utf-8"),
    ("cp65001", "utf-8"),
    ("cp20127", "us-ascii"),
    ("7bit", "us-ascii"),
    ("iso-646-us", "us-ascii"),
    ("cp932", "shift_jis"),
    ("ms932", "shift_jis"),
    ("cp936", "gbk"),
    ("ms936", "gbk"),
    ("euc-cn", "gbk"),
    ("gb18030-2000", "gb18030"),
    ("gb18030-2005", "gb18030"),
    ("cp949", "euc-kr"),
    ("ms949", "euc-kr"),
    ("uhc", "euc-kr"),
    ("ks-c-5601", "euc-kr"),
    ("cp950", "big5"),
    ("cp874", "windows-874"),
    ("cp20866", "koi8-r"),
    ("cp21866", "koi8-u"),
    ("koi8", "koi8-r"),
    ("cp51932", "euc-jp"),
    ("cp50220", "iso-2022-jp"),
    ("cp50221", "iso-2022-jp"),
    ("iso-2022-jp-1", "iso-2022-jp"),
    ("iso-2022-jp-2", "iso-2022-jp"),
    ("iso-2022-jp-ms", "iso-2022-jp"),
    ("sjis-win", "shift_jis"),
    ("eucjp-win", "euc-jp"),
    ("cp10000", "macintosh"),
    ("cp1200", "utf-16le"),
    ("cp1201", "utf-16be"),
];

fn known(label: &[u8]) -> Option<Charset> {
    let label = label.trim_ascii();
    if label.is_empty() || label.len() > CHARSET_NAME_BYTES_MAX {
        return None;
    }
    if label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"ascii") {
        return Some(Charset::Ascii);
    }
    match Encoding::for_label(label) {
        Some(encoding) if encoding != REPLACEMENT => Some(Charset::Whatwg(encoding)),
        _ => not_whatwg(label),
    }
}

fn not_whatwg(label: &[u8]) -> Option<Charset> {
    let letters = label.iter().filter(|b| !b.is_ascii_whitespace());
    let name: SmolStr = letters.map(|b| if *b == b'_' { '-' } else { char::from(b.to_ascii_lowercase()) }).collect();
    let name = name.trim_matches(['\'', '"', ';', ',']);
    // ISO 10646 names carry a year behind a colon: `ISO_8859-1:1987`.
    let name = name.split(':').next().unwrap_or_default();
    let name = name.strip_prefix("x-").or_else(|| name.strip_prefix("cs")).unwrap_or(name);
    let special = match name {
        "us-ascii" | "ascii" => Some(Charset::Ascii),
        "utf-7" | "utf7" | "unicode-1-1-utf-7" | "unicode-2-0-utf-7" | "cp65000" => Some(Charset::Utf7),
        "imap4-utf-7" | "utf-7-imap" | "imap-utf-7" | "utf7-imap" => Some(Charset::ImapUtf7),
        "hz-gb-2312" | "hz" | "cp52936" => Some(Charset::Hz),
        "iso-2022-kr" | "iso2022kr" | "cp50225" => Some(Charset::Iso2022Kr),
        "utf-32" | "utf-32be" | "ucs-4" | "ucs-4be" | "utf32" | "iso-10646-ucs-4" => Some(Charset::Utf32(false)),
        "utf-32le" | "ucs-4le" => Some(Charset::Utf32(true)),
        _ => None,
    };
    if special.is_some() {
        return special;
    }
    let number =
        ["cp-", "cp", "ibm-", "ibm", "dos-", "windows-", "windows", "win-", "win"].iter().find_map(|p| name.strip_prefix(p));
    let number = number.map(|n| n.trim_start_matches('0'));
    if let Some(page) = number.and_then(|n| n.parse().ok()).and_then(code_page::upper_half) {
        return Some(Charset::CodePage(page));
    }
    let cp = number.map(|n| format!("cp{n}"));
    let by_alias = |name: &str| ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, label)| *label);
    let label = by_alias(name).or_else(|| cp.as_deref().and_then(by_alias));
    if label == Some("us-ascii") {
        return Some(Charset::Ascii);
    }
    let labels = [label, Some(name), cp.as_deref()];
    let found = labels.into_iter().flatten().find_map(|l| Encoding::for_label(l.as_bytes())).filter(|e| *e != REPLACEMENT);
    found.map(Charset::Whatwg)
}

/// Decodes `bytes` that are said to be in `label`. An unknown label, and ASCII with the eighth bit, are guessed.
///
/// ```
/// assert_eq!(message::charset::decode(b"iso-8859-1", b"\xe4"), "ä");
/// assert_eq!(message::charset::decode(b"utf-7", b"Hi Mom -+Jjo--!"), "Hi Mom -☺-!");
/// assert_eq!(message::charset::decode(b"cp-850", b"\x81"), "ü");
/// ```
pub fn decode<'a>(label: &[u8], bytes: &'a [u8]) -> Cow<'a, str> {
    match known(label) {
        Some(charset) => decode_known(charset, bytes).0,
        None => guess(bytes),
    }
}

/// [`decode`] of what may be borrowed or owned.
///
/// ```
/// assert_eq!(message::charset::decode_cow(b"utf-8", b"a".to_vec().into()), "a");
/// ```
pub fn decode_cow<'a>(label: &[u8], bytes: Cow<'a, [u8]>) -> Cow<'a, str> {
    match bytes {
        Cow::Borrowed(bytes) => decode(label, bytes),
        Cow::Owned(bytes) => {
            let as_it_is = match known(label) {
                None | Some(Charset::Ascii) => true,
                Some(Charset::Whatwg(encoding)) => encoding == UTF_8 && !bytes.starts_with(BOM),
                _ => false,
            };
            if !as_it_is {
                return Cow::Owned(decode(label, &bytes).into_owned());
            }
            // UTF-8 stays where it is.
            String::from_utf8(bytes).map_or_else(|e| Cow::Owned(decode(label, e.as_bytes()).into_owned()), Cow::Owned)
        }
    }
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// True when all of `bytes` are good in the charset; `None` for one we do not know.
///
/// ```
/// use message::charset::is_good;
/// assert_eq!((is_good(b"utf-8", b"\xff"), is_good(b"latin1", b"\xff"), is_good(b"x", b"a")), (Some(false), Some(true), None));
/// ```
pub fn is_good(label: &[u8], bytes: &[u8]) -> Option<bool> {
    known(label).map(|charset| !decode_known(charset, bytes).1)
}

/// The text, and whether something in it was bad.
fn decode_known(charset: Charset, bytes: &[u8]) -> (Cow<'_, str>, bool) {
    let text = match charset {
        Charset::Ascii => return (guess(bytes), !bytes.is_ascii()),
        // Only here the BOM says more than the label does: which end comes first.
        Charset::Whatwg(e) if e == UTF_16LE || e == UTF_16BE => {
            let (text, _, bad) = e.decode(bytes);
            return (text, bad);
        }
        Charset::Whatwg(encoding) => return encoding.decode_with_bom_removal(bytes),
        Charset::Utf7 => utf_7(bytes, b'+', b"/"),
        Charset::ImapUtf7 => utf_7(bytes, b'&', b","),
        Charset::Hz => hz(bytes),
        Charset::Iso2022Kr => iso_2022_kr(bytes),
        Charset::Utf32(little_endian) => utf_32(bytes, little_endian),
        Charset::CodePage(page) => code_page::decode(page, bytes),
    };
    let bad = text.contains(char::REPLACEMENT_CHARACTER);
    (Cow::Owned(text), bad)
}

/// True for a charset name [`decode`] knows (SEARCH CHARSET, RFC 9051 §6.4.4).
///
/// ```
/// assert!(message::charset::is_known(b"UTF8") && !message::charset::is_known(b"x-klingon"));
/// ```
pub fn is_known(label: &[u8]) -> bool {
    known(label).is_some()
}

/// Names of those that people search in, most of what [`is_known`] knows.
pub const NAMES: [&str; 36] = [
    "US-ASCII",
    "UTF-8",
    "UTF-7",
    "ISO-8859-1",
    "ISO-8859-2",
    "ISO-8859-3",
    "ISO-8859-4",
    "ISO-8859-5",
    "ISO-8859-6",
    "ISO-8859-7",
    "ISO-8859-8",
    "ISO-8859-9",
    "ISO-8859-10",
    "ISO-8859-13",
    "ISO-8859-14",
    "ISO-8859-15",
    "ISO-8859-16",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "KOI8-R",
    "KOI8-U",
    "TIS-620",
    "ISO-2022-JP",
    "EUC-JP",
    "Shift_JIS",
    "EUC-KR",
    "GB18030",
    "GBK",
    "Big5",
];

/// UTF-8 if it is that, else windows-1252, which every octet is.
///
/// ```
/// assert_eq!((message::charset::guess(b"\xe4"), message::charset::guess("ä".as_bytes())), ("ä".into(), "ä".into()));
/// ```
pub fn guess(bytes: &[u8]) -> Cow<'_, str> {
    guess_in(bytes, None)
}

/// UTF-8 if it is that, else `charset` if that is one we know and all octets are good in it, else windows-1252.
///
/// ```
/// assert_eq!(message::charset::guess_in(b"\xd0\xd2\xc9", Some(b"koi8-r")), "при");
/// ```
pub fn guess_in<'a>(bytes: &'a [u8], charset: Option<&[u8]>) -> Cow<'a, str> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Cow::Borrowed(text),
        Err(error) => error,
    };
    // A text with good UTF-8 before, cut inside a character, is still UTF-8.
    if error.error_len().is_none() && !bytes.get(..error.valid_up_to()).unwrap_or_default().is_ascii() {
        return UTF_8.decode_without_bom_handling(bytes).0;
    }
    let named = charset.and_then(known).and_then(|charset| match charset {
        Charset::Whatwg(encoding) if encoding != UTF_8 => Some(encoding.decode_without_bom_handling(bytes)),
        Charset::CodePage(page) => Some((Cow::Owned(code_page::decode(page, bytes)), false)),
        _ => None,
    });
    match named {
        Some((text, false)) => text,
        _ => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// RFC 2152: `open` opens base64 of UTF-16, anything foreign to base64 closes it, `-` is swallowed. IMAP's form opens with
/// `&` and has a comma where base64 has a slash (RFC 3501 §5.1.3).
fn utf_7(bytes: &[u8], open: u8, last_digit: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != open {
            out.push(if byte.is_ascii() { char::from(*byte) } else { char::REPLACEMENT_CHARACTER });
            continue;
        }
        let is_digit = |b: &u8| b.is_ascii_alphanumeric() || *b == b'+' || last_digit.contains(b);
        let len = rest.iter().position(|b| !is_digit(b)).unwrap_or(rest.len());
        let (shifted, after) = rest.split_at(len);
        rest = after.strip_prefix(b"-").unwrap_or(after);
        if shifted.is_empty() {
            out.push(char::from(open));
            continue;
        }
        let digits: Vec<u8> = shifted.iter().map(|b| if *b == b',' { b'/' } else { *b }).collect();
        let octets = crate::transfer::base64_decode(&digits);
        let units = octets.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(u16::from_be_bytes);
        out.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    }
    out
}

/// RFC 1843: `~{` opens pairs of GB 2312, `~}` closes them, `~~` is a tilde, a tilde at the end of a line joins it to the next.
fn hz(bytes: &[u8]) -> String {
    let mut octets = Vec::with_capacity(bytes.len());
    let mut in_gb = false;
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => break,
            [b'~', b'{', after @ ..] => {
                in_gb = true;
                after
            }
            [b'~', b'}', after @ ..] => {
                in_gb = false;
                after
            }
            [b'~', b'~', after @ ..] if !in_gb => {
                octets.push(b'~');
                after
            }
            [b'~', b'\n', after @ ..] | [b'~', b'\r', b'\n', after @ ..] => after,
            [a @ 0x21..=0x77, b @ 0x21..=0x7e, after @ ..] if in_gb => {
                octets.extend_from_slice(&[a | 0x80, b | 0x80]);
                after
            }
            [byte, after @ ..] => {
                // A line end closes what was left open (RFC 1843 §3).
                in_gb &= *byte != b'\n';
                octets.push(*byte);
                after
            }
        };
    }
    GB18030.decode_without_bom_handling(&octets).0.into_owned()
}

/// RFC 1557: `ESC $ ) C` announces, SO opens pairs of KS X 1001, SI closes them.
fn iso_2022_kr(bytes: &[u8]) -> String {
    let mut octets = Vec::with_capacity(bytes.len());
    let mut shifted = false;
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            0x1b if after.starts_with(b"$)C") => rest = after.get(3..).unwrap_or_default(),
            0x0e => shifted = true,
            0x0f => shifted = false,
            b'\n' => {
                shifted = false;
                octets.push(b'\n');
            }
            0x21..=0x7e if shifted => octets.push(byte | 0x80),
            other => octets.push(*other),
        }
    }
    EUC_KR.decode_without_bom_handling(&octets).0.into_owned()
}

fn utf_32(bytes: &[u8], little_endian: bool) -> String {
    let (bytes, little_endian) = match bytes {
        [0xff, 0xfe, 0, 0, rest @ ..] => (rest, true),
        [0, 0, 0xfe, 0xff, rest @ ..] => (rest, false),
        all => (all, little_endian),
    };
    let quads = bytes.chunks_exact(4).filter_map(|quad| <[u8; 4]>::try_from(quad).ok());
    let number = |quad| if little_endian { u32::from_le_bytes(quad) } else { u32::from_be_bytes(quad) };
    quads.map(|quad| char::from_u32(number(quad)).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
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
        assert_eq!(decode(b"utf-8", b"\xef\xbb\xbfa"), "a");
        // RFC 2152 examples.
        assert_eq!(decode(b"utf-7", b"A+ImIDkQ."), "A≢Α.");
        assert_eq!(decode(b"UTF-7", b"+ZeVnLIqe-"), "日本語");
        assert_eq!(decode(b"utf-7", b"1 +- 1"), "1 + 1");
        // RFC 3501 §5.1.3
        assert_eq!(decode(b"imap4-utf-7", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"), "~peter/mail/台北/日本語");
        // RFC 1843 §4
        assert_eq!(decode(b"HZ-GB-2312", b"This sentence has ~{VPND~} and ~~."), "This sentence has 中文 and ~.");
        assert_eq!(decode(b"iso-2022-kr", b"\x1b$)C\x0eGQ1[\x0f!"), "한글!");
        assert_eq!(decode(b"utf-32", b"\0\0\0a\0\x01\xf6\x00"), "a😀");
        assert_eq!(decode(b"utf-16", b"\xfe\xff\0a"), "a");
        assert!(is_known(b"utf-8") && is_known(b"koi8-r") && is_known(b"us-ascii") && !is_known(b"x-klingon"));
    }

    #[test]
    fn every_whatwg_encoding_and_the_names_mail_has_for_them() {
        let labels = "utf-8 ibm866 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-8-i \
            iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 koi8-r koi8-u macintosh windows-874 windows-1250 windows-1251 \
            windows-1252 windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 x-mac-cyrillic gbk gb18030 big5 \
            euc-jp iso-2022-jp shift_jis euc-kr utf-16be utf-16le x-user-defined";
        let aliases = "utf8 UTF_8 x-utf-8 x-gbk gb2312 cp936 windows-936 cp-1252 cp1252 CP01252 win-1251 cp-850 IBM850 ibm437 cp437 dos-852 \
            latin1 latin-1 ISO_8859-1:1987 iso8859-15 iso_8859-15 'iso-8859-1' ks_c_5601-1987 KS_C_5601 cp949 windows-949 x-sjis cp932 \
            windows-31j x-euc-jp csISO2022JP iso-2022-jp-2 unicode-1-1-utf-7 utf7 x-unicode-2-0-utf-7 ansi_x3.4-1968 cp65001 utf-32be \
            cp874 tis-620 visual koi8 big5-hkscs hz-gb-2312";
        for label in labels.split_whitespace().chain(aliases.split_whitespace()) {
            assert!(is_known(label.as_bytes()), "{label}");
        }
        assert_eq!(decode(b"win-1251", b"\xcf"), "П");
        assert_eq!(decode(b"x-gbk", b"\xc4\xe3"), "你");
        assert_eq!(decode(b"cp-850", b"\x81"), "ü");
        assert_eq!(decode(b"ISO_8859-1:1987", b"\xe4"), "ä");
        assert_eq!(decode(b"iso-8859-8-i", b"\xe0"), "א");
    }

    #[test]
    fn names_that_are_told_are_known() {
        assert_eq!(NAMES.iter().find(|name| !is_known(name.as_bytes())), None);
    }

    #[test]
    fn raw_octets_are_utf_8_then_the_charset_of_the_text_then_western() {
        assert_eq!(guess_in("ä".as_bytes(), Some(b"koi8-r")), "ä");
        assert_eq!(guess_in(b"\xd0\xd2\xc9", Some(b"koi8-r")), "при");
        assert_eq!(guess_in(b"caf\xe9", Some(b"utf-8")), "café");
        assert_eq!(guess_in(b"caf\xe9", Some(b"x-none")), "café");
        // Octets that are bad in the charset named.
        assert_eq!(guess_in(b"caf\xe9", Some(b"shift_jis")), "café");
    }
}
