//! Header fields (RFC 5322 §2.2): found, unfolded, never rejected.
//!
//! A line ends with LF, a CR before it belongs to the line end. A line that is neither a field nor
//! a continuation is skipped. Must not know: what any field means.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use crate::limits::FIELD_BYTES_MAX;

/// One field of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Name as spelled, without blanks.
    pub name: &'a [u8],
    /// Everything after the colon, folding included, without the last line end.
    pub body: &'a [u8],
    /// Where the field starts in the header.
    pub start: usize,
    /// Where the next line starts.
    pub end: usize,
}

impl<'a> Field<'a> {
    /// True for this name in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The body without folding and without blanks around it.
    pub fn value(&self) -> Cow<'a, [u8]> {
        unfold(self.body)
    }

    /// The body as text for people: unfolded, encoded-words decoded, raw octets as UTF-8 or guessed.
    ///
    /// ```
    /// let header = b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\n";
    /// assert_eq!(message::header::first(header, "Subject").unwrap().text(), "Grüße");
    /// ```
    pub fn text(&self) -> Cow<'a, str> {
        crate::encoded_word::decode_cow(self.value_cut(), None)
    }

    /// [`Field::text`] where raw octets that are not UTF-8 are in `charset`, if that is known
    /// ([`crate::Message::header_charset`]).
    ///
    /// ```
    /// let header = b"Subject: \xd0\xd2\xc9\r\n\r\n";
    /// assert_eq!(message::header::first(header, "Subject").unwrap().text_in(Some(b"koi8-r")), "при");
    /// ```
    pub fn text_in(&self, charset: Option<&[u8]>) -> Cow<'a, str> {
        crate::encoded_word::decode_cow(self.value_cut(), charset)
    }

    /// The addresses of an address field, which borrow from it.
    ///
    /// ```
    /// let header = b"To: Ann\r\n <ann@here.test>,\r\n\tbob@here.test\r\n\r\n";
    /// let people = message::header::first(header, "To").unwrap().addresses();
    /// assert_eq!(people.iter().filter_map(|a| a.display()).collect::<Vec<_>>(), ["Ann <ann@here.test>", "bob@here.test"]);
    /// ```
    pub fn addresses(&self) -> Vec<crate::address_list::HeaderAddress<'a>> {
        crate::address_list::parse(self.body_cut())
    }

    /// The first [`FIELD_BYTES_MAX`] octets of the body, folding included: what facts are made of.
    pub(crate) fn body_cut(&self) -> &'a [u8] {
        self.body.get(..FIELD_BYTES_MAX).unwrap_or(self.body)
    }

    /// [`Field::value`] of [`Field::body_cut`].
    pub(crate) fn value_cut(&self) -> Cow<'a, [u8]> {
        unfold(self.body_cut())
    }
}

/// The fields of a header, in order, all of them. Ends at the empty line or the end of the bytes.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The fields of `header` (a header alone, or a whole message).
///
/// ```
/// let header = b"Subject: one\r\n two\r\nTo: ann@here.test\r\n\r\nbody";
/// let found: Vec<_> = message::header::fields(header).collect();
/// assert!(found.len() == 2 && found[0].is("SUBJECT"));
/// assert_eq!((found[0].value().as_ref(), message::header::header_end(header)), (&b"one two"[..], header.len() - 4));
/// ```
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { bytes: header, at: 0 }
}

/// The line that starts at `at`: its content without the line end, and where the next one starts.
pub(crate) fn line_at(bytes: &[u8], at: usize) -> (Range<usize>, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    match memchr(b'\n', rest) {
        Some(i) => {
            let content = if i > 0 && rest.get(i - 1) == Some(&b'\r') { i - 1 } else { i };
            (at..at + content, at + i + 1)
        }
        None => (at..bytes.len().max(at), bytes.len().max(at)),
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        while self.at < self.bytes.len() {
            let start = self.at;
            let (first, mut next) = line_at(self.bytes, start);
            if first.is_empty() {
                break;
            }
            let mut end = first.end;
            while self.bytes.get(next).copied().is_some_and(is_blank) {
                let (line, after) = line_at(self.bytes, next);
                end = line.end;
                next = after;
            }
            self.at = next;
            if let Some(field) = split(self.bytes, start, end, next) {
                return Some(field);
            }
        }
        self.at = self.bytes.len();
        None
    }
}

/// A field out of its lines, if its name is one (RFC 5322 §2.2; blanks before the colon are obsolete syntax).
fn split(bytes: &[u8], start: usize, end: usize, next: usize) -> Option<Field<'_>> {
    let text = bytes.get(start..end)?;
    let (name, colon) = name_and_colon(text)?;
    Some(Field { name: text.get(..name)?, body: text.get(colon + 1..)?, start, end: next })
}

/// Length of the field name at the start, and where its colon is.
pub(crate) fn name_and_colon(text: &[u8]) -> Option<(usize, usize)> {
    let name = text.iter().position(|b| *b == b':' || *b <= b' ' || *b == 0x7f)?;
    let colon = name + text.get(name..)?.iter().position(|b| !is_blank(*b))?;
    // `http://` at the start of a line is no field, but text.
    let is_field = name > 0 && text.get(colon) == Some(&b':') && !text.get(colon + 1..)?.starts_with(b"//");
    is_field.then_some((name, colon))
}

/// What a line of a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Field,
    Continuation,
    Empty,
    /// `From ` on top (RFC 4155).
    MboxFrom,
    /// Neither of them. When a field follows, the line is skipped; else the body begins with it.
    Other,
}

/// The line at the start of `rest`; `first` on top of a header.
pub(crate) fn line_kind(rest: &[u8], first: bool) -> Line {
    match rest {
        [b'\n', ..] | [b'\r', b'\n', ..] => Line::Empty,
        [b' ' | b'\t', ..] if !first => Line::Continuation,
        _ if name_and_colon(rest).is_some() => Line::Field,
        _ if first && (rest.starts_with(b"From ") || rest.starts_with(b">From ")) => Line::MboxFrom,
        _ => Line::Other,
    }
}

/// The first field of that name.
pub fn first<'a>(header: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(header).find(|f| f.is(name))
}

/// When a message came: the date of its newest Received field (RFC 5321 §4.4), in seconds since 1970.
///
/// ```
/// let text = b"Received: from a by b\r\n ; Mon, 23 Nov 2026 00:16:34 +0000\r\nReceived: x; nonsense\r\n\r\n";
/// assert_eq!(message::header::received_secs(text), Some(1_795_392_994));
/// assert_eq!(message::header::received_secs(b"Received: nonsense\r\n\r\n"), None);
/// ```
pub fn received_secs(header: &[u8]) -> Option<i64> {
    let value = first(header, "Received")?.value();
    let at = value.iter().rposition(|octet| *octet == b';')?;
    Some(crate::date::parse_rfc_5322(value.get(at + 1..)?)?.unix_secs())
}

/// Removes folding (RFC 5322 §2.2.3: only the line ends) and blanks at both ends.
///
/// ```
/// use message::header::{trim, unfold};
/// assert_eq!((unfold(b" a\r\n\tb ").as_ref(), trim(b" a \r\n")), (&b"a\tb"[..], &b"a"[..]));
/// ```
pub fn unfold(body: &[u8]) -> Cow<'_, [u8]> {
    let body = trim(body);
    let Some(first) = memchr::memchr2(b'\n', b'\r', body) else { return Cow::Borrowed(body) };
    let mut out = Vec::with_capacity(body.len());
    let (mut plain, mut at) = (0, Some(first));
    while let Some(end) = at {
        out.extend_from_slice(body.get(plain..end).unwrap_or_default());
        plain = end + 1;
        at = memchr::memchr2(b'\n', b'\r', body.get(plain..).unwrap_or_default()).map(|i| plain + i);
    }
    out.extend_from_slice(body.get(plain..).unwrap_or_default());
    Cow::Owned(out)
}

/// Without blanks and line ends at both ends.
pub fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// Where the header that starts at 0 ends, its empty line included. Without an empty line it ends before the first line
/// behind which there is no field: as [`crate::parse`] sees it, boundaries apart.
pub fn header_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    let mut body: Option<usize> = None;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let (_, next) = line_at(bytes, at);
        match line_kind(rest, at == 0) {
            Line::Empty => return body.unwrap_or(next),
            Line::Field => body = None,
            Line::Other => body = body.or(Some(at)),
            Line::Continuation | Line::MboxFrom => {}
        }
        at = next;
    }
    body.unwrap_or(at)
}

/// The same where an empty line behind nothing but fields says so beyond doubt, whatever follows; else `None`.
///
/// ```
/// use message::header::well_ended;
/// assert_eq!((well_ended(b"A: b\r\n c\r\n\r\nx"), well_ended(b"A: b\r\n"), well_ended(b"A: b\r\nx\r\n\r\n")), (Some(12), None, None));
/// ```
pub fn well_ended(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < bytes.len() {
        let (_, next) = line_at(bytes, at);
        match line_kind(bytes.get(at..)?, at == 0) {
            Line::Empty => return Some(next),
            Line::Field | Line::Continuation => at = next,
            Line::MboxFrom | Line::Other => return None,
        }
    }
    None
}

/// The fields named (or with `not`, those not named), as they stand, and the empty line
/// (HEADER.FIELDS and HEADER.FIELDS.NOT, RFC 9051 §6.4.5).
///
/// ```
/// let header = b"From: a@b.test\r\nSubject: one\r\n two\r\nTo: c@d.test\r\n\r\n";
/// assert_eq!(message::header::header_fields(header, &["SUBJECT"], false), b"Subject: one\r\n two\r\n\r\n");
/// ```
pub fn header_fields<S: AsRef<[u8]>>(header: &[u8], names: &[S], not: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields(header) {
        let named = names.iter().any(|n| n.as_ref().eq_ignore_ascii_case(field.name));
        if named != not {
            let lines = header.get(field.start..field.end).unwrap_or_default();
            out.extend_from_slice(lines);
            if !lines.ends_with(b"\n") {
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn fields_are_found_with_any_line_end() {
        let header = b"From ann Mon Jan 1 00:00:00 2024\nSubject : one\n\ttwo\r\nnonsense\r\nTo:x\r\n\r\nBody: no\r\n";
        let all: Vec<_> = fields(header).map(|f| (f.name, f.value().into_owned())).collect();
        assert_eq!(all, [(&b"Subject"[..], b"one\ttwo".to_vec()), (&b"To"[..], b"x".to_vec())]);
    }

    #[test]
    fn an_empty_continuation_line_belongs_to_its_field() {
        let header = b"A: 1\r\n \r\n 2\r\nB: 3";
        let all: Vec<_> = fields(header).map(|f| f.value().into_owned()).collect();
        assert_eq!(all, [b"1  2".to_vec(), b"3".to_vec()]);
    }

    #[test]
    fn header_fields_not() {
        let header = b"From: a\r\nSubject: b\r\n c\r\n\r\n";
        assert_eq!(header_fields(header, &["from"], true), b"Subject: b\r\n c\r\n\r\n");
        assert_eq!(header_fields(header, &["x"], false), b"\r\n");
        assert_eq!(header_fields(b"From: a", &["from"], false), b"From: a\r\n\r\n");
    }

    #[test]
    fn header_end_includes_the_empty_line() {
        assert_eq!(header_end(b"A: b\r\n\r\nx"), 8);
        assert_eq!(header_end(b"A: b\n\nx"), 6);
        assert_eq!(header_end(b"\r\nx"), 2);
        assert_eq!(header_end(b"A: b"), 4);
        assert_eq!(header_end(b"A: b\r\nno field\r\nC: d\r\n\r\nx"), 24);
        assert_eq!(header_end(b"A: b\r\nHello,\r\n\r\nx"), 6);
        assert_eq!(header_end(b"From ann\r\nA: b\r\nhttp://x/\r\n"), 16);
        assert_eq!(header_end(b""), 0);
    }
}
