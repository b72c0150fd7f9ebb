//! Text for SEARCH (RFC 9051 §6.4.4): decoded, folded in case, compared as substrings.
//!
//! Linear in the message; decoded text is bounded by [`crate::limits::SEARCH_BYTES_MAX`].
//! Must not know: the grammar of SEARCH.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use memchr::memmem::Finder;

use crate::attachment;
use crate::casemap::unicode_casemap;
use crate::charset;
use crate::encoded_word;
use crate::flowed;
use crate::header::fields;
use crate::html_text;
use crate::limits::SEARCH_BYTES_MAX;
use crate::parse::{Message, Part, PartKind, parse};
use crate::tnef::{self, Tnef};
use crate::transfer;

/// What is looked for, made ready once for many messages.
///
/// ```
/// use message::search::Needle;
/// assert!(Needle::new("GRÜẞE").is_in("viele Grüße"));
/// assert!(Needle::new("").is_in("anything"));
/// ```
#[derive(Debug, Clone)]
pub struct Needle {
    finder: Finder<'static>,
}

impl Needle {
    /// From the words of a search.
    pub fn new(text: &str) -> Needle {
        Needle { finder: Finder::new(fold(text).as_bytes()).into_owned() }
    }

    /// Nothing is looked for: every text matches.
    pub fn is_empty(&self) -> bool {
        self.finder.needle().is_empty()
    }

    /// What is looked for, folded.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.finder.needle()).unwrap_or_default()
    }

    /// True when `text`, which [`fold`] made, has it.
    ///
    /// ```
    /// use message::search::{Needle, fold};
    /// assert!(Needle::new("boot").is_in_folded(fold("Ein Boot").as_bytes()));
    /// ```
    pub fn is_in_folded(&self, text: &[u8]) -> bool {
        self.place_in_folded(text).is_some()
    }

    /// The octet of `text`, which [`fold`] made, where it first stands.
    ///
    /// ```
    /// use message::search::{Needle, fold};
    /// assert_eq!(Needle::new("boot").place_in_folded(fold("Ein Boot").as_bytes()), Some(4));
    /// ```
    pub fn place_in_folded(&self, text: &[u8]) -> Option<usize> {
        self.finder.find(text)
    }

    /// True when `text` has it, in any case.
    pub fn is_in(&self, text: &str) -> bool {
        self.is_empty() || self.finder.find(fold(text).as_bytes()).is_some()
    }
}

/// A text as searches compare it: as i;unicode-casemap has it (RFC 5051, RFC 5255 §4.3: marks stand behind their letters, so that
/// `e` is found in `é`), and beyond that ß is SS and İ is I.
///
/// ```
/// use message::search::fold;
/// assert_eq!(fold("straße ﬁsh"), "STRASSE FISH");
/// assert!(fold("café").contains(&fold("Cafe")));
/// ```
pub fn fold(text: &str) -> String {
    let mapped = unicode_casemap(text);
    // In octets: looking for characters is slow, and these are rare.
    if ["ß", "ẞ", "\u{307}"].iter().any(|rare| memchr::memmem::find(mapped.as_bytes(), rare.as_bytes()).is_some()) {
        return mapped.replace(['ß', 'ẞ'], "SS").replace("I\u{307}", "I");
    }
    mapped
}

/// Folds a text so that what people call the same word becomes equal: compatible forms (NFKC), then case (as
/// i;unicode-casemap does, RFC 5051, RFC 5255).
///
/// ```
/// use message::search::case_fold;
/// assert_eq!(case_fold("ＦＵＬＬ ﬁt"), "full fit");
/// assert_eq!(case_fold("A\u{308}"), case_fold("ä"));
/// ```
pub fn case_fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let normal = ComposingNormalizerBorrowed::new_nfkc();
    let lower = normal.normalize(text).to_lowercase();
    if lower.contains(['ς', 'ß', '\u{307}']) {
        // Final sigma; sharp s, whose capital is SS; the dot that İ leaves behind.
        return lower.replace('ς', "σ").replace('ß', "ss").replace("i\u{307}", "i");
    }
    lower
}

/// The decoded bodies of all fields of that name.
pub fn header_texts(header: &[u8], name: &str) -> Vec<String> {
    fields(header).filter(|f| f.is(name)).map(|f| decoded(&f.value())).collect()
}

fn decoded(value: &[u8]) -> String {
    // What folding left of a line end is a blank.
    encoded_word::decode(value).replace('\t', " ")
}

/// HEADER, FROM, SUBJECT and others: some field of that name has the needle; an empty needle asks for the field alone.
pub fn header_contains(header: &[u8], name: &str, needle: &Needle) -> bool {
    fields(header).filter(|f| f.is(name)).any(|f| needle.is_empty() || needle.is_in(&decoded(&f.value())))
}

/// The decoded text of every text part and winmail.dat, and the header of every message inside, in order: what BODY looks through.
pub fn body_texts(message: &Message<'_>) -> Vec<String> {
    let mut left = SEARCH_BYTES_MAX;
    message.parts.iter().enumerate().filter_map(|(i, part)| body_text(message, i, part, &mut left)).collect()
}

/// BODY: the needle is in a text part, or in the header of a message inside.
pub fn body_contains(message: &[u8], needle: &Needle) -> bool {
    parsed_contains(&parse(message), needle, false)
}

/// TEXT: the needle is in the header (of the message or of any part), or in the body.
///
/// ```
/// use message::search::{Needle, body_contains, body_texts, header_contains, header_texts, text_contains};
/// let text = b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\nFrom the sea\r\n";
/// let (greeting, sea) = (Needle::new("grüsse"), Needle::new("SEA"));
/// assert!(header_contains(text, "subject", &greeting) && text_contains(text, &greeting) && !body_contains(text, &greeting));
/// assert!(body_contains(text, &sea) && Needle::new("").is_empty());
/// assert_eq!(header_texts(text, "Subject"), ["Grüße"]);
/// assert_eq!(body_texts(&message::parse(text)), ["From the sea\r\n"]);
/// ```
pub fn text_contains(message: &[u8], needle: &Needle) -> bool {
    parsed_contains(&parse(message), needle, true)
}

/// Every text that TEXT looks through, one after the other: what an index is made of.
///
/// ```
/// let mut seen = Vec::new();
/// message::search::each_text(&message::parse(b"Subject: a\r\n\r\nb"), |text| seen.push(text.to_owned()));
/// assert_eq!(seen, ["Subject: a\r\n", "b"]);
/// ```
pub fn each_text(message: &Message<'_>, mut each: impl FnMut(&str)) {
    let mut left = SEARCH_BYTES_MAX;
    for (i, part) in message.parts.iter().enumerate() {
        each(&header_text(message.header(part)));
        if let Some(text) = body_text(message, i, part, &mut left) {
            each(&text);
        }
    }
}

/// TEXT (with `headers`) or BODY in a message that is parsed already.
///
/// ```
/// use message::search::{Needle, parsed_contains};
/// let (message, needle) = (message::parse(b"Subject: a\r\n\r\nb"), Needle::new("A"));
/// assert!(parsed_contains(&message, &needle, true) && !parsed_contains(&message, &needle, false));
/// ```
pub fn parsed_contains(message: &Message<'_>, needle: &Needle, headers: bool) -> bool {
    let mut left = SEARCH_BYTES_MAX;
    needle.is_empty()
        || message.parts.iter().enumerate().any(|(i, part)| {
            (headers && needle.is_in(&header_text(message.header(part))))
                || body_text(message, i, part, &mut left).is_some_and(|text| needle.is_in(&text))
        })
}

fn body_text(message: &Message<'_>, index: usize, part: &Part<'_>, left: &mut usize) -> Option<String> {
    let mut text = String::new();
    if part.is_entire_message && index > 0 {
        text = header_text(message.header(part));
    }
    if part.kind == PartKind::Leaf && part.content_type.main == "text" {
        text.push_str(&text_of(message.body(part), part, *left));
    }
    if part.is_tnef() && part.raw_body().len() <= *left {
        tnef::parse(&part.content()).iter().for_each(|stream| push_tnef(stream, &mut text));
    }
    *left = left.saturating_sub(text.len());
    (!text.is_empty()).then_some(text)
}

/// The words that only Outlook would show, those of messages inside too.
fn push_tnef(stream: &Tnef<'_>, out: &mut String) {
    for text in [stream.subject.as_deref().map(Cow::Borrowed), stream.text()].into_iter().flatten() {
        out.push_str(&text);
        out.push_str("\r\n");
    }
    stream.attachments.iter().filter_map(|a| a.message.as_deref()).for_each(|inner| push_tnef(inner, out));
}

/// A text part's content as people read it: HTML without its tags, flowed lines joined, without the
/// files inside it. An unknown encoding is looked through as it stands.
fn text_of(body: &[u8], part: &Part<'_>, bytes_max: usize) -> String {
    let body = body.get(..bytes_max).unwrap_or(body);
    let mut octets = transfer::decode_cow(part.encoding, body);
    if part.content_type.sub == "plain" {
        octets = attachment::without_files(octets);
    }
    let text = charset::decode_cow(part.charset().unwrap_or_default(), octets);
    let says =
        |name, value: &str| part.content_type.parameters.get(name).is_some_and(|v| v.eq_ignore_ascii_case(value.as_bytes()));
    match part.content_type.sub.as_str() {
        "html" => html_text::text(&text),
        "plain" if says("format", "flowed") => flowed::unflow(&text, says("delsp", "yes")),
        _ => text.into_owned(),
    }
}

/// A whole header as text: `name: decoded body` lines.
fn header_text(header: &[u8]) -> String {
    let mut out = String::with_capacity(header.len());
    for field in fields(header) {
        out.push_str(&String::from_utf8_lossy(field.name));
        out.push_str(": ");
        out.push_str(&decoded(&field.value()));
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const MESSAGE: &str = "From: =?utf-8?Q?=C3=84nne?= <aenne@here.test>\r\nSubject: two\r\n\tlines\r\nReceived: one\r\nReceived: Two\r\n\
        Content-Type: multipart/mixed; boundary=a\r\n\r\npreamble\r\n--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe aus K=\r\n=F6ln\r\n--a\r\nContent-Type: text/html\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nPGI+Ym9sZDwvYj4=\r\n--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ndeep\r\n\
        --a\r\nContent-Type: image/png; name=pic.png\r\n\r\nhidden\r\n--a--\r\n";

    #[test]
    fn header_keys() {
        let has = |name, text| header_contains(MESSAGE.as_bytes(), name, &Needle::new(text));
        assert!(has("from", "änne") && has("FROM", "HERE.TEST") && has("subject", "TWO LINES") && has("received", "two"));
        assert!(has("subject", "") && !has("x-none", "") && !has("to", "a") && !has("subject", "inner"));
        assert_eq!(header_texts(MESSAGE.as_bytes(), "Received"), ["one", "Two"]);
    }

    #[test]
    fn body_and_text() {
        let body = |text| body_contains(MESSAGE.as_bytes(), &Needle::new(text));
        assert!(body("GRÜSSE AUS KÖLN") && body("BOLD") && body("deep") && body("inner") && body(""));
        assert!(!body("hidden") && !body("<b>") && !body("preamble") && !body("änne") && !body("pic.png"));
        let text = |text| text_contains(MESSAGE.as_bytes(), &Needle::new(text));
        assert!(text("änne") && text("pic.png") && text("deep") && !text("hidden"));
        assert_eq!(body_texts(&parse(MESSAGE.as_bytes())).len(), 3);
    }

    #[test]
    fn case_folds() {
        assert_eq!(case_fold("ΣΑΣ"), case_fold("σας"));
        assert_eq!(case_fold("STRASSE"), case_fold("Straße"));
        assert_eq!(case_fold("İ"), "i");
    }
}
