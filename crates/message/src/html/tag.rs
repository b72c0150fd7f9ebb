//! Tags out of text: names, attributes, values with their references decoded.
//!
//! Near enough to a browser's tokenizer (HTML §13.2.5); where it is not, the second lock still is one. Linear.

use memchr::{memchr, memmem};

use crate::html_text::unescaped;
use crate::limits::{HTML_ATTRIBUTE_BYTES_MAX, HTML_ATTRIBUTES_MAX};

/// One piece of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// As it stands, references not decoded.
    Text(&'a str),
    Start(Tag<'a>),
    /// Its name in lower case.
    End(String),
}

/// A start tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// Lower-case.
    pub(super) name: String,
    /// Names as written and raw values; of two with one name the first counts.
    pub(super) attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Tag<'a> {
    /// All but one attribute.
    pub(super) fn without(&self, name: &str) -> Tag<'a> {
        let others = self.attributes.iter().filter(|(n, _)| !n.eq_ignore_ascii_case(name));
        Tag { name: self.name.clone(), attributes: others.copied().collect() }
    }

    /// The value of an attribute (lower-case name), references decoded.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let (_, raw) = self.attributes.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(unescaped(raw))
    }
}

/// Goes through HTML.
pub(super) struct Pieces<'a> {
    html: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(html: &'a str) -> Pieces<'a> {
        Pieces { html, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Back to where [`Pieces::at`] was.
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    fn rest(&self) -> &'a str {
        self.html.get(self.at..).unwrap_or_default()
    }

    /// The text up to `</name`, which is where it goes on; all the rest when that never comes.
    pub(super) fn raw_text(&mut self, name: &str) -> &'a str {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut from = 0;
        while let Some(i) = bytes.get(from..).and_then(|r| memmem::find(r, b"</")) {
            let at = from + i;
            let after = bytes.get(at + 2..).unwrap_or_default();
            let named = after.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()));
            if named && after.get(name.len()).is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>')) {
                self.at += at;
                return rest.get(..at).unwrap_or_default();
            }
            from = at + 2;
        }
        self.at = self.html.len();
        rest
    }

    /// Past a comment, a doctype or a processing instruction.
    fn skip_markup(&mut self, rest: &str) {
        let bytes = rest.as_bytes();
        let len = if bytes.starts_with(b"<!-->") {
            5
        } else if bytes.starts_with(b"<!--->") {
            6
        } else if bytes.starts_with(b"<!--") {
            let body = bytes.get(4..).unwrap_or_default();
            let (short, long) = (memmem::find(body, b"-->"), memmem::find(body.get(..LOOK).unwrap_or(body), b"--!>"));
            match (short, long) {
                (Some(short), Some(long)) if long < short => long + 8,
                (Some(short), _) => short + 7,
                (None, Some(long)) => long + 8,
                (None, None) => bytes.len(),
            }
        } else {
            memchr(b'>', bytes).map_or(bytes.len(), |i| i + 1)
        };
        self.at += len;
    }

    fn start_tag(&mut self, rest: &'a str) -> Tag<'a> {
        let bytes = rest.as_bytes();
        let is_end = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'>');
        let mut at = 1 + bytes.iter().skip(1).position(is_end).unwrap_or(bytes.len() - 1);
        let name = rest.get(1..at).unwrap_or_default().to_ascii_lowercase();
        let mut attributes = Vec::new();
        loop {
            at += bytes.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_whitespace() || **b == b'/').count();
            match bytes.get(at) {
                None => break,
                Some(b'>') => {
                    at += 1;
                    break;
                }
                Some(_) => at = attribute(rest, at, &mut attributes),
            }
        }
        self.at += at;
        Tag { name, attributes }
    }
}

/// How far ahead the rare end of a comment is looked for, so that many comments stay linear.
const LOOK: usize = 64 * 1024;

/// Reads one attribute; where the next may begin.
fn attribute<'a>(rest: &'a str, start: usize, out: &mut Vec<(&'a str, &'a str)>) -> usize {
    let bytes = rest.as_bytes();
    let from = |at: usize| bytes.get(at..).unwrap_or_default();
    let name_end = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'>' | b'=');
    // An equals sign at the start belongs to the name.
    let mut at = start + 1 + from(start + 1).iter().position(name_end).unwrap_or(from(start + 1).len());
    let name = rest.get(start..at).unwrap_or_default();
    let blanks = from(at).iter().take_while(|b| b.is_ascii_whitespace()).count();
    let mut value = "";
    if from(at + blanks).first() == Some(&b'=') {
        at += blanks + 1;
        at += from(at).iter().take_while(|b| b.is_ascii_whitespace()).count();
        match bytes.get(at) {
            Some(quote @ (b'"' | b'\'')) => {
                let len = memchr(*quote, from(at + 1)).unwrap_or(from(at + 1).len());
                value = rest.get(at + 1..at + 1 + len).unwrap_or_default();
                at = (at + len + 2).min(bytes.len());
            }
            _ => {
                let len = from(at).iter().position(|b| b.is_ascii_whitespace() || *b == b'>').unwrap_or(from(at).len());
                value = rest.get(at..at + len).unwrap_or_default();
                at += len;
            }
        }
    }
    let fits = out.len() < HTML_ATTRIBUTES_MAX && value.len() <= HTML_ATTRIBUTE_BYTES_MAX;
    if fits && !out.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
        out.push((name, value));
    }
    at
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return None;
            }
            let bytes = rest.as_bytes();
            let text = |len: usize| Piece::Text(rest.get(..len).unwrap_or_default());
            match (bytes.first(), bytes.get(1), bytes.get(2)) {
                (Some(b'<'), Some(b), _) if b.is_ascii_alphabetic() => return Some(Piece::Start(self.start_tag(rest))),
                (Some(b'<'), Some(b'/'), Some(b)) if b.is_ascii_alphabetic() => {
                    let tag = self.start_tag(rest.get(1..).unwrap_or_default());
                    self.at += 1;
                    return Some(Piece::End(tag.name));
                }
                (Some(b'<'), Some(b'!' | b'?' | b'/'), _) => self.skip_markup(rest),
                _ => {
                    let len = 1 + memchr(b'<', bytes.get(1..).unwrap_or_default()).unwrap_or(bytes.len() - 1);
                    self.at += len;
                    return Some(text(len));
                }
            }
        }
    }
}
