//! The words of an RTF text (RTF 1.9.1), and of HTML that Outlook has packed into RTF (MS-OXRTFEX).
//!
//! Pictures, tables of fonts and the like are passed over. Invariant: one pass, never fails, groups are told apart down to
//! [`RTF_DEPTH_MAX`]. Must not know: where RTF comes from.

use crate::charset;
use crate::html_text;
use crate::limits::RTF_DEPTH_MAX;
use crate::tnef::code_page_label;

/// Groups whose content nobody reads.
const HIDDEN: [&[u8]; 16] = [
    b"fonttbl",
    b"colortbl",
    b"stylesheet",
    b"info",
    b"pict",
    b"header",
    b"footer",
    b"headerf",
    b"footerf",
    b"headerl",
    b"headerr",
    b"footerl",
    b"footerr",
    b"fldinst",
    b"listtable",
    b"listoverridetable",
];

/// RTF as text; HTML inside is read as HTML.
///
/// ```
/// let rtf = br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}Gr\'fc\'dfe\par \u8364?5 {\b now}}";
/// assert_eq!(message::rtf_text::text(rtf), "Grüße\n€5 now");
/// let html = br"{\rtf1\ansi\fromhtml1 {\*\htmltag64 <p>}Hi \htmlrtf {\b\htmlrtf0 you\htmlrtf }\htmlrtf0{\*\htmltag72 </p>}}";
/// assert_eq!(message::rtf_text::text(html).trim(), "Hi you");
/// ```
pub fn text(rtf: &[u8]) -> String {
    let mut reader = Reader {
        rest: rtf,
        group: Group { hidden: false, not_html: false, fallback_len: 1 },
        around: Vec::new(),
        deeper: 0,
        code_page: "windows-1252",
        octets: Vec::new(),
        units: Vec::new(),
        fallback: 0,
        is_html: false,
        out: String::with_capacity(rtf.len() / 2),
    };
    while let Some((octet, rest)) = reader.rest.split_first() {
        reader.rest = rest;
        match octet {
            b'{' => reader.open(),
            b'}' => reader.close(),
            b'\\' => reader.control(),
            b'\r' | b'\n' | 0 => {}
            octet => reader.octet(*octet),
        }
    }
    reader.flush();
    if reader.is_html { html_text::text(&reader.out) } else { reader.out }
}

/// What counts until the group ends.
#[derive(Clone, Copy)]
struct Group {
    hidden: bool,
    /// Only there for those who do not read the HTML (MS-OXRTFEX §2.1.3.1.5).
    not_html: bool,
    /// Characters behind `\u` for those who have no Unicode.
    fallback_len: usize,
}

struct Reader<'a> {
    rest: &'a [u8],
    group: Group,
    around: Vec<Group>,
    /// Groups too deep to be told apart.
    deeper: usize,
    code_page: &'static str,
    /// In the code page, not yet text.
    octets: Vec<u8>,
    /// UTF-16, not yet text.
    units: Vec<u16>,
    /// Characters still to be passed over behind `\u`.
    fallback: usize,
    is_html: bool,
    out: String,
}

impl Reader<'_> {
    fn open(&mut self) {
        self.fallback = 0;
        if self.around.len() < RTF_DEPTH_MAX {
            self.around.push(self.group);
        } else {
            self.deeper += 1;
        }
    }

    fn close(&mut self) {
        self.fallback = 0;
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if let Some(around) = self.around.pop() {
            self.group = around;
        }
    }

    fn shows(&self) -> bool {
        !(self.group.hidden || self.is_html && self.group.not_html)
    }

    fn octet(&mut self, octet: u8) {
        if self.fallback > 0 {
            self.fallback -= 1;
        } else if self.shows() {
            if !self.units.is_empty() {
                self.flush();
            }
            self.octets.push(octet);
        }
    }

    fn push(&mut self, c: char) {
        if self.fallback > 0 {
            self.fallback -= 1;
        } else if self.shows() {
            self.flush();
            self.out.push(c);
        }
    }

    fn flush(&mut self) {
        if !self.octets.is_empty() {
            self.out.push_str(&charset::decode(self.code_page.as_bytes(), &self.octets));
            self.octets.clear();
        }
        if !self.units.is_empty() {
            self.out.push_str(&String::from_utf16_lossy(&self.units));
            self.units.clear();
        }
    }

    /// What stands behind a backslash.
    fn control(&mut self) {
        let letters = self.rest.iter().take(32).take_while(|b| b.is_ascii_alphabetic()).count();
        if let Some((word, rest)) = self.rest.split_at_checked(letters).filter(|(word, _)| !word.is_empty()) {
            self.rest = rest;
            let number = self.number();
            return self.word(word, number);
        }
        let Some((mark, rest)) = self.rest.split_first() else { return };
        self.rest = rest;
        match mark {
            b'\'' => {
                let digits = self.rest.first_chunk::<2>().copied();
                let hex = |b: u8| char::from(b).to_digit(16);
                if let Some((high, low)) = digits.and_then(|[high, low]| hex(high).zip(hex(low))) {
                    self.rest = self.rest.get(2..).unwrap_or_default();
                    self.octet((high << 4 | low) as u8);
                }
            }
            // A group for those who know it; here only HTML's.
            b'*' => self.group.hidden |= !self.rest.starts_with(b"\\htmltag"),
            b'~' => self.push(' '),
            b'_' => self.push('-'),
            b'\r' | b'\n' => self.push('\n'),
            b'{' | b'}' | b'\\' => self.octet(*mark),
            _ => {}
        }
    }

    /// The number behind a control word, and the blank that ends it.
    fn number(&mut self) -> Option<i64> {
        let (minus, digits_from) = match self.rest.first() {
            Some(b'-') => (true, self.rest.get(1..).unwrap_or_default()),
            _ => (false, self.rest),
        };
        let len = digits_from.iter().take(10).take_while(|b| b.is_ascii_digit()).count();
        let mut number = None;
        if let Some((digits, rest)) = digits_from.split_at_checked(len).filter(|(digits, _)| !digits.is_empty()) {
            let value = digits.iter().fold(0i64, |n, b| n * 10 + i64::from(b - b'0'));
            number = Some(if minus { -value } else { value });
            self.rest = rest;
        }
        self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
        number
    }

    fn word(&mut self, word: &[u8], number: Option<i64>) {
        match word {
            b"par" | b"line" | b"row" | b"sect" | b"page" => self.push('\n'),
            b"tab" | b"cell" => self.push('\t'),
            b"emdash" => self.push('—'),
            b"endash" => self.push('–'),
            b"bullet" => self.push('•'),
            b"lquote" => self.push('‘'),
            b"rquote" => self.push('’'),
            b"ldblquote" => self.push('“'),
            b"rdblquote" => self.push('”'),
            b"u" => self.unit(number.unwrap_or_default()),
            b"uc" => self.group.fallback_len = number.and_then(|n| usize::try_from(n).ok()).unwrap_or(1).min(16),
            b"bin" => {
                let len = number.and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
                self.rest = self.rest.get(len..).unwrap_or_default();
            }
            b"ansicpg" => {
                self.flush();
                self.code_page = number.and_then(|n| u32::try_from(n).ok()).and_then(code_page_label).unwrap_or(self.code_page);
            }
            b"fromhtml" => self.is_html = number != Some(0),
            b"htmlrtf" => self.group.not_html = number != Some(0),
            _ if HIDDEN.contains(&word) => self.group.hidden = true,
            _ => {}
        }
    }

    /// `\u`: a 16-bit number, written with a sign.
    fn unit(&mut self, number: i64) {
        if self.shows() {
            if !self.octets.is_empty() {
                self.flush();
            }
            self.units.push(number as u16);
        }
        self.fallback = self.group.fallback_len;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_read() {
        let cases: [(&[u8], &str); 9] = [
            (br"{\rtf1\ansi Hello {\i you}!\par\tab Bye}", "Hello you!\n\tBye"),
            (br"{\rtf1{\colortbl;\red0;}{\*\generator X;}{\pict 0102}a}", "a"),
            (br"{\rtf1\ansicpg1251 \'cf\'f0}", "Пр"),
            (br"{\rtf1\ansicpg932 \'93\'fa\'96\'7b}", "日本"),
            (br"{\rtf1\uc1\u-10179?\u-8704?!}", "😀!"),
            (br"{\rtf1{\uc2\u228\'61\'65}\u246 ?x}", "äöx"),
            (br"{\rtf1 a\bin3 {{{b\~c\_d\-e\{\}\\}", "ab c-de{}\\"),
            (br"{\rtf1 never closed {{", "never closed "),
            (br"\", ""),
        ];
        for (rtf, words) in cases {
            assert_eq!(text(rtf), words, "{}", rtf.escape_ascii());
        }
    }

    #[test]
    fn html_of_outlook() {
        // MS-OXRTFEX §4.1.
        let rtf = br"{\rtf1\ANSI\ansicpg1251\fromhtml1 \deff0 {\fonttbl {\f0\fmodern Courier New;}}{\colortbl\red0;}
{\*\htmltag243 <!doctype html>}{\*\htmltag34 <body>}{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 This is \htmlrtf {\b\htmlrtf0 {\*\htmltag84 <b>}bold{\*\htmltag92 </b>}\htmlrtf }\htmlrtf0  text{\*\htmltag84 &nbsp;}\htmlrtf \'a0\htmlrtf0 .{\*\htmltag72 </p>}}";
        assert_eq!(text(rtf).trim().replace('\u{a0}', " "), "This is bold text .");
    }

    #[test]
    fn deep_groups_cost_nothing() {
        let rtf = [b"{".repeat(100_000), b"deep".to_vec(), b"}".repeat(100_000)].concat();
        assert_eq!(text(&rtf), "deep");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn anything_is_read(rtf in "(\\\\[a-z*'{}]{0,8}-?[0-9]{0,4}|[ -~\n]{0,9}){0,20}") {
            prop_assert!(text(rtf.as_bytes()).len() <= rtf.len() * 4);
        }
    }
}
