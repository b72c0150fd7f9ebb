//! HTML to text, for previews and search: what a person reads, well formed or not.
//!
//! One pass, no tree, no recursion: linear in the input, and it stops when it has enough. Nothing of it is for display
//! as HTML. Must not know: mail.

use memchr::{memchr, memchr2, memmem};

use crate::html_entity;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HtmlText {
    /// Lines of text, blanks collapsed, blocks parted by line ends.
    pub text: String,
    /// Targets of links, in their order, each once in a row.
    pub links: Vec<String>,
}

/// What is wanted of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Stop when the text has that many bytes.
    pub bytes_max: usize,
    /// Collect the links.
    pub links: bool,
    /// Stop where the quoted message of a reply begins, if there is text before it.
    pub until_quote: bool,
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted { bytes_max: usize::MAX, links: false, until_quote: false }
    }
}

/// All the text.
///
/// ```
/// let html = "<style>p { color: red }</style><p>Dear&nbsp;Ann,</p><p>you &amp; me<br>at <a href='https://x.test/'>noon</a></p>";
/// assert_eq!(message::html_text::text(html), "Dear Ann,\n\nyou & me\nat noon");
/// ```
pub fn text(html: &str) -> String {
    read(html, Wanted::default()).text
}

/// The text and the links.
///
/// ```
/// use message::html_text::{Wanted, read};
/// let found = read("<a href=\"https://x.test/?a=1&amp;b=2\">here</a>", Wanted { links: true, ..Wanted::default() });
/// assert_eq!((found.text.as_str(), found.links), ("here", vec!["https://x.test/?a=1&b=2".to_owned()]));
/// ```
pub fn read(html: &str, wanted: Wanted) -> HtmlText {
    let mut reader = Reader { html, at: 0, wanted, out: Writer::default(), links: Vec::new() };
    while reader.at < html.len() && reader.out.text.len() < wanted.bytes_max {
        if !reader.step() {
            break;
        }
    }
    HtmlText { text: reader.out.finish(), links: reader.links }
}

/// What an element does to the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Nothing,
    /// Line end before and behind.
    Block,
    /// An empty line before and behind.
    Paragraph,
    /// A blank before.
    Cell,
    /// Its content is not for people.
    Dropped,
}

fn effect(name: &[u8]) -> Effect {
    match name {
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"ul" | b"ol" | b"dl" | b"blockquote" | b"pre" | b"table"
        | b"hr" => Effect::Paragraph,
        b"div" | b"br" | b"tr" | b"li" | b"dt" | b"dd" | b"body" | b"html" | b"head" | b"section" | b"article" | b"header"
        | b"footer" | b"nav" | b"main" | b"aside" | b"form" | b"fieldset" | b"address" | b"center" | b"figure"
        | b"figcaption" | b"caption" | b"option" | b"title" => Effect::Block,
        b"td" | b"th" => Effect::Cell,
        b"script" | b"style" | b"noembed" | b"noframes" | b"iframe" | b"xmp" | b"object" | b"svg" | b"template" => {
            Effect::Dropped
        }
        _ => Effect::Nothing,
    }
}

struct Reader<'a> {
    html: &'a str,
    at: usize,
    wanted: Wanted,
    out: Writer,
    links: Vec<String>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.html.get(self.at..).unwrap_or_default()
    }

    /// One piece of text, reference, or tag; false when the rest is not wanted.
    fn step(&mut self) -> bool {
        let rest = self.rest();
        let len = memchr2(b'<', b'&', rest.as_bytes()).unwrap_or(rest.len());
        if len > 0 {
            self.out.push(rest.get(..len).unwrap_or_default());
            self.at += len;
            return true;
        }
        if rest.starts_with('&') {
            let (c, len) = reference(rest);
            self.out.push(c.encode_utf8(&mut [0; 4]));
            self.at += len;
            return true;
        }
        self.markup(rest)
    }

    fn markup(&mut self, rest: &'a str) -> bool {
        let bytes = rest.as_bytes();
        match bytes.get(1) {
            Some(b'!') if bytes.starts_with(b"<!--") => {
                // `<!-->` is a whole comment too.
                let end = memmem::find(bytes.get(2..).unwrap_or_default(), b"-->").map_or(rest.len(), |i| i + 5);
                self.at += end;
            }
            Some(b'!' | b'?') => self.at += memchr(b'>', bytes).map_or(rest.len(), |i| i + 1),
            Some(b'/') if bytes.get(2).is_some_and(u8::is_ascii_alphabetic) => {
                let (name, end) = (name_at(bytes, 2), tag_end(bytes));
                self.at += end;
                self.end_tag(&name);
            }
            Some(b'/') => self.at += memchr(b'>', bytes).map_or(rest.len(), |i| i + 1),
            Some(b) if b.is_ascii_alphabetic() => {
                let (name, end) = (name_at(bytes, 1), tag_end(bytes));
                self.at += end;
                return self.start_tag(&name, rest.get(1 + name.len()..end).unwrap_or_default());
            }
            _ => {
                self.out.push("<");
                self.at += 1;
            }
        }
        true
    }

    fn end_tag(&mut self, name: &[u8]) {
        match effect(name) {
            Effect::Block => self.out.lines(1),
            Effect::Paragraph => self.out.lines(2),
            _ => {}
        }
        if name == b"pre" {
            self.out.pre = self.out.pre.saturating_sub(1);
        }
    }

    fn start_tag(&mut self, name: &[u8], inside: &str) -> bool {
        if self.wanted.until_quote && !self.out.is_empty() && is_quote(name, inside) {
            return false;
        }
        match (effect(name), name) {
            (_, b"br") => self.out.line(),
            (Effect::Block, _) => self.out.lines(1),
            (Effect::Paragraph, _) => self.out.lines(2),
            (Effect::Cell, _) => self.out.blank(),
            (Effect::Dropped, _) if !inside.ends_with("/>") => self.skip_to_end_of(name),
            (_, b"img") => {
                if let Some(alt) = attribute(inside, "alt") {
                    self.out.push(&alt);
                }
            }
            (_, b"a") if self.wanted.links => self.link(inside),
            _ => {}
        }
        if name == b"title" {
            self.skip_to_end_of(name);
        }
        if name == b"pre" {
            self.out.pre = self.out.pre.saturating_add(1);
        }
        true
    }

    fn link(&mut self, inside: &str) {
        if let Some(target) = attribute(inside, "href").filter(|t| !t.is_empty() && !t.starts_with('#'))
            && self.links.last() != Some(&target)
        {
            self.links.push(target);
        }
    }

    /// Behind `</name`; the end when it never comes.
    fn skip_to_end_of(&mut self, name: &[u8]) {
        let bytes = self.html.as_bytes();
        while let Some(i) = bytes.get(self.at..).and_then(|rest| memchr(b'<', rest)) {
            self.at += i + 1;
            let rest = bytes.get(self.at..).unwrap_or_default();
            let found = rest.first() == Some(&b'/') && rest.get(1..1 + name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name));
            if found && rest.get(1 + name.len()).is_none_or(|b| !b.is_ascii_alphanumeric()) {
                self.at += tag_end(rest);
                return;
            }
        }
        self.at = bytes.len();
    }
}

/// Lower-case.
fn name_at(bytes: &[u8], start: usize) -> Vec<u8> {
    let rest = bytes.get(start..).unwrap_or_default();
    let len = rest.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>')).unwrap_or(rest.len());
    rest.get(..len).unwrap_or_default().to_ascii_lowercase()
}

/// Just past the `>` of the tag at 0; one inside a quoted value does not count.
fn tag_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(i) = bytes.get(at..).and_then(|rest| memchr::memchr3(b'>', b'"', b'\'', rest)) {
        at += i + 1;
        let quote = match bytes.get(at - 1) {
            Some(b'>') | None => return at,
            Some(quote) => *quote,
        };
        // A quote opens a value only behind `=`.
        let before = bytes.get(..at - 1).unwrap_or_default().trim_ascii_end();
        if before.ends_with(b"=") {
            match bytes.get(at..).and_then(|rest| memchr(quote, rest)) {
                Some(end) => at += end + 1,
                // Never closed: the next `>` ends the tag, so that the rest is still read.
                None => return memchr(b'>', bytes.get(at..).unwrap_or_default()).map_or(bytes.len(), |i| at + i + 1),
            }
        }
    }
    bytes.len()
}

/// The value of an attribute, references decoded.
fn attribute(inside: &str, wanted: &str) -> Option<String> {
    let mut rest = inside;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let len = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(len)?;
        let after = after.trim_ascii_start();
        let Some(value) = after.strip_prefix('=') else {
            if name.is_empty() {
                return None;
            }
            rest = after;
            continue;
        };
        let value = value.trim_ascii_start();
        let (value, after) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = value.get(1..)?;
                inner.split_once(quote).unwrap_or((inner, ""))
            }
            _ => value.split_at_checked(value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len()))?,
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(unescaped(value));
        }
        rest = after;
    }
}

/// Character references decoded, blanks around removed.
pub(crate) fn unescaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(i) = memchr(b'&', rest.as_bytes()) {
        out.push_str(rest.get(..i).unwrap_or_default());
        let (c, len) = reference(rest.get(i..).unwrap_or_default());
        out.push(c);
        rest = rest.get(i + len..).unwrap_or_default();
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// The character reference at the `&` that `text` begins with, and its length; the `&` itself when it is none.
fn reference(text: &str) -> (char, usize) {
    let body = text.get(1..).unwrap_or_default();
    let plain = ('&', 1);
    if let Some(number) = body.strip_prefix('#') {
        let (radix, digits) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (16, hex),
            None => (10, number),
        };
        let len = digits.bytes().position(|b| !char::from(b).is_digit(radix)).unwrap_or(digits.len());
        if len == 0 {
            return plain;
        }
        let end = text.len() - digits.len() + len;
        let number = digits.get(..len.min(9)).and_then(|d| u32::from_str_radix(d, radix).ok()).unwrap_or(u32::MAX);
        return (html_entity::numbered(number), end + usize::from(text.as_bytes().get(end) == Some(&b';')));
    }
    // The longest name has eight letters.
    let window = body.as_bytes().get(..9).unwrap_or(body.as_bytes());
    let len = window.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(window.len());
    let Some(c) = body.get(..len).and_then(html_entity::named) else { return plain };
    (c, 1 + len + usize::from(body.as_bytes().get(len) == Some(&b';')))
}

/// Where programs put what they answer to.
fn is_quote(name: &[u8], inside: &str) -> bool {
    match name {
        b"blockquote" => true,
        b"div" => {
            let has = |attribute_name: &str, words: &[&str]| {
                attribute(inside, attribute_name).is_some_and(|value| words.iter().any(|word| value.contains(word)))
            };
            has("class", &["gmail_quote", "moz-cite-prefix", "yahoo_quoted", "protonmail_quote"])
                || has("id", &["divRplyFwdMsg", "appendonsend", "reply-intro"])
        }
        _ => false,
    }
}

/// Puts text together: runs of blanks become one, blocks part lines.
#[derive(Default)]
struct Writer {
    text: String,
    /// Line ends owed before the next word.
    lines: u8,
    /// A blank owed before the next word.
    blank: bool,
    pre: u32,
}

impl Writer {
    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn line(&mut self) {
        self.lines = (self.lines + 1).min(2);
    }

    fn lines(&mut self, at_least: u8) {
        self.lines = self.lines.max(at_least);
    }

    fn blank(&mut self) {
        self.blank = true;
    }

    fn push(&mut self, text: &str) {
        if self.pre > 0 {
            for (i, line) in text.split('\n').enumerate() {
                if i > 0 {
                    self.line();
                }
                let line = line.trim_end_matches('\r');
                if !line.is_empty() {
                    self.owed();
                    self.text.push_str(line);
                }
            }
            return;
        }
        let mut rest = text;
        loop {
            let word_start = rest.bytes().position(|b| !is_html_blank(b)).unwrap_or(rest.len());
            self.blank |= word_start > 0;
            rest = rest.get(word_start..).unwrap_or_default();
            if rest.is_empty() {
                return;
            }
            let len = rest.bytes().position(is_html_blank).unwrap_or(rest.len());
            self.owed();
            let (word, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
            self.text.push_str(word);
            rest = after;
        }
    }

    /// Line ends and blanks come only between words.
    fn owed(&mut self) {
        if !self.text.is_empty() {
            if self.lines > 0 {
                self.text.push_str(if self.lines > 1 { "\n\n" } else { "\n" });
            } else if self.blank && !self.text.ends_with(' ') {
                self.text.push(' ');
            }
        }
        (self.lines, self.blank) = (0, false);
    }

    fn finish(self) -> String {
        if self.text.contains('\u{a0}') { self.text.replace('\u{a0}', " ") } else { self.text }
    }
}

fn is_html_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_read() {
        for (html, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("a  b\n\tc", "a b c"),
            ("<b>a</b>b <i>c</i>", "ab c"),
            ("<p>a<p>b</p>c", "a\n\nb\n\nc"),
            ("<div>a</div><div>b</div>", "a\nb"),
            ("a<br>b<br/><br>c", "a\nb\n\nc"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>d", "a b\nc\n\nd"),
            ("<ul><li>a<li>b</ul>", "a\nb"),
            ("<pre>a  b\n  c</pre>d  e", "a  b\n  c\n\nd e"),
            ("<head><title>no</title><style>x</style></head><body>yes", "yes"),
            ("a<!-- no > --> b<!-->c", "a bc"),
            ("<!DOCTYPE html><?php no ?>a", "a"),
            ("1 < 2 &amp; 3 > 2", "1 < 2 & 3 > 2"),
            ("a <3 b", "a <3 b"),
            ("&lt;b&gt; &copy &#228;&#xE4; &#x80; &nope; &", "<b> © ää € &nope; &"),
            ("a&nbsp;b&nbsp;", "a b "),
            ("<a title='a>b' href=x>c</a>", "c"),
            ("<a title=\"unclosed>c</a> d", "c d"),
            ("<img alt='a cat' src=x> sat", "a cat sat"),
            ("<script>if (a </b) { '</script' + x }</SCRIPT >end", "end"),
            ("<style>unclosed", ""),
            ("a</ >b<", "ab<"),
            ("<p", ""),
            ("<svg><text>x</text></svg>a", "a"),
        ] {
            assert_eq!(text(html), expected, "{html:?}");
        }
    }

    #[test]
    fn links_in_their_order() {
        let html = "<A HREF = 'https://a.test/?x=1&amp;y=2' >a</A><a href=b>b</a><a href=b><a name=c><a href='#d'><a class=\"x\" href=\" e \">";
        let found = read(html, Wanted { links: true, ..Wanted::default() });
        assert_eq!(found.links, ["https://a.test/?x=1&y=2", "b", "e"]);
    }

    #[test]
    fn quotes_end_a_preview() {
        let wanted = Wanted { until_quote: true, ..Wanted::default() };
        assert_eq!(read("new<div class=\"gmail_quote gmail_x\">old</div>", wanted).text, "new");
        assert_eq!(read("<blockquote>all there is</blockquote>more", wanted).text, "all there is\n\nmore");
        assert_eq!(read("abcdef<p>gh", Wanted { bytes_max: 3, ..wanted }).text, "abcdef");
    }

    #[test]
    fn hostile_pieces_are_linear() {
        for piece in
            ["<", "<a ", "<a \"", "<a =\"", "<!--", "<style>", "</style", "&", "&#", "&#1", "<pre>\n", "<p>", "<a href='"]
        {
            let begun = std::time::Instant::now();
            let html = piece.repeat(40_000);
            let _ = read(&html, Wanted { links: true, until_quote: true, ..Wanted::default() });
            // Unoptimised and on a busy machine; a quadratic reader needs minutes.
            assert!(begun.elapsed().as_secs() < 10, "{piece}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn never_fails_and_never_grows(pieces in proptest::collection::vec(proptest::sample::select(vec![
            "<", ">", "<p>", "</p", "<a href=\"", "\"", "'", "=", "&", "&auml;", "&#x", "<!--", "-->", "<style>", "</style>", "ä", " ", "\n", "<pre>", "x", "/",
        ]), 0..40)) {
            let html = pieces.concat();
            prop_assert!(text(&html).len() <= html.len() * 2);
        }
    }
}
