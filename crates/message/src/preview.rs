//! The preview of a message (RFC 8970): the first words that a person wrote, at most 200 characters.
//!
//! Quotes, signatures and rulers are passed over; an HTML part is read only as far as the preview needs.
//! Invariant: a function of the octets, so the same message always has the same preview (RFC 8970 §3.1).
//! Must not know: IMAP.

use std::borrow::Cow;

use crate::attachment;
use crate::charset;
use crate::flowed;
use crate::html_text::{self, Wanted};
use crate::limits::{PREVIEW_BYTES_MAX, PREVIEW_CHARS_MAX};
use crate::part::{Message, Part, PartKind};
use crate::tnef;
use crate::transfer::Decoder;

/// The preview; empty when there is no text that a person sees (an encrypted message, a picture).
///
/// ```
/// let message = message::parse(b"Subject: x\r\n\r\nOn Monday, Bob wrote:\r\n> Lunch?\r\n\r\nYes, at noon.\r\n-- \r\nAnn\r\n");
/// assert_eq!(message::preview::of(&message), "Yes, at noon.");
/// ```
pub fn of(message: &Message<'_>) -> String {
    let mut parts = Vec::new();
    candidates(message, &mut parts);
    let found = parts.into_iter().map(of_part).find(|text| !text.is_empty());
    found.or_else(|| of_tnef(message)).unwrap_or_default()
}

/// Text parts in the order in which a person would meet them; of alternatives plain text before HTML.
fn candidates<'m, 'a>(message: &'m Message<'a>, out: &mut Vec<&'m Part<'a>>) {
    const CANDIDATES_MAX: usize = 4;
    let mut html = Vec::new();
    let mut attached: Option<usize> = None;
    for (index, part) in message.parts.iter().enumerate() {
        // Behind a message inside, everything until its end is another's text.
        if let Some(inside) = attached {
            if message.parts.get(inside).is_some_and(|p| part.header.start < p.body.end) {
                continue;
            }
            attached = None;
        }
        if part.kind == PartKind::Message && index > 0 {
            attached = Some(index);
        } else if part.is_text() && !part.is_attachment() {
            match part.content_type.sub.as_str() {
                "plain" => out.push(part),
                "html" => html.push(part),
                _ => {}
            }
        }
        if out.len() >= CANDIDATES_MAX || html.len() >= CANDIDATES_MAX {
            break;
        }
    }
    out.extend(html);
    // A message that is nothing but another one.
    if out.is_empty() {
        out.extend(
            message
                .parts
                .iter()
                .filter(|p| p.is_text() && matches!(p.content_type.sub.as_str(), "plain" | "html"))
                .take(CANDIDATES_MAX),
        );
    }
}

/// Of one text part. More and more of it is decoded until there is enough text.
fn of_part(part: &Part<'_>) -> String {
    let body = part.raw_body();
    let mut window = 2 * 1024;
    loop {
        let whole = window >= body.len();
        let head = body.get(..window).unwrap_or(body);
        let (mut decoder, mut octets) = (part.decoder(), Vec::new());
        let mut octets = if matches!(decoder, Decoder::Identity) {
            Cow::Borrowed(head)
        } else {
            decoder.push(head, &mut octets);
            Cow::Owned(octets)
        };
        if part.content_type.sub == "plain" {
            octets = attachment::without_files(octets);
        }
        let text = charset::decode(part.charset().unwrap_or_default(), &octets);
        let (preview, complete) = of_text(&text, part);
        if complete || whole || window >= PREVIEW_BYTES_MAX {
            return preview;
        }
        window *= 8;
    }
}

/// The preview, and whether more text would change nothing.
fn of_text(text: &str, part: &Part<'_>) -> (String, bool) {
    if part.content_type.sub == "html" {
        // Four octets a character, and some for what is passed over.
        let wanted = Wanted { bytes_max: PREVIEW_CHARS_MAX * 8, links: false, until_quote: true };
        return from_lines(&html_text::read(text, wanted).text);
    }
    let parameter =
        |name, value: &str| part.content_type.parameters.get(name).is_some_and(|v| v.eq_ignore_ascii_case(value.as_bytes()));
    if parameter("format", "flowed") { from_lines(&flowed::unflow(text, parameter("delsp", "yes"))) } else { from_lines(text) }
}

/// Of what only Outlook would show.
fn of_tnef(message: &Message<'_>) -> Option<String> {
    let part = message.parts.iter().find(|part| part.is_tnef())?;
    let octets = part.content();
    let stream = tnef::parse(&octets)?;
    Some(from_lines(&stream.text()?).0)
}

/// Of plain text, quotes marked with `>`.
///
/// ```
/// assert_eq!(message::preview::of_plain("=====\n\tHello  there,\n\nfriend\u{200b}"), "Hello there, friend");
/// ```
pub fn of_plain(text: &str) -> String {
    from_lines(text).0
}

fn from_lines(text: &str) -> (String, bool) {
    let mut writer = Writer::default();
    let mut quoted = Writer::default();
    let mut armor = false;
    // Where a line begins that a quote may make into `Bob wrote:`.
    let mut introduction = 0;
    let mut was_empty = true;
    for line in text.lines() {
        let line = line.trim();
        if armor {
            armor = !line.is_empty();
            continue;
        }
        if line == "-----BEGIN PGP SIGNED MESSAGE-----" {
            armor = true;
        } else if let Some(quote) = line.strip_prefix('>') {
            if writer.text.trim_end().ends_with(':') {
                writer.truncate(introduction);
            }
            quoted.push(quote.trim_start_matches(['>', ' ']));
        } else if line == "--" || line == "-----BEGIN PGP SIGNATURE-----" {
            // Nothing a person wrote comes behind a signature.
            if !writer.text.is_empty() {
                return (writer.text, true);
            }
        } else if is_reply_line(line) && !writer.text.is_empty() {
            return (writer.text, true);
        } else if !is_ruler(line) {
            if was_empty {
                introduction = writer.text.len();
            }
            if writer.push(line) {
                return (writer.text, true);
            }
        }
        was_empty = line.is_empty();
    }
    if writer.text.is_empty() { (quoted.text, false) } else { (writer.text, false) }
}

/// What stands above a message that is answered without quote marks.
fn is_reply_line(line: &str) -> bool {
    line.starts_with("-----Original Message-----")
        || line.starts_with("-------- Original Message")
        || (line.len() >= 20 && line.bytes().all(|b| b == b'_'))
}

/// A line of nothing but marks.
fn is_ruler(line: &str) -> bool {
    line.len() >= 3 && line.bytes().all(|b| b.is_ascii_punctuation() || b == b' ')
}

/// Collapses blanks and leaves out what cannot be seen.
#[derive(Default)]
struct Writer {
    text: String,
    chars: usize,
    blank: bool,
}

impl Writer {
    /// True when it is full.
    fn push(&mut self, line: &str) -> bool {
        self.blank = !self.text.is_empty();
        for c in line.chars() {
            if c.is_whitespace() {
                self.blank = !self.text.is_empty();
            } else if !is_invisible(c) {
                if self.chars + usize::from(self.blank) >= PREVIEW_CHARS_MAX {
                    return true;
                }
                if std::mem::take(&mut self.blank) {
                    self.text.push(' ');
                    self.chars += 1;
                }
                self.text.push(c);
                self.chars += 1;
            }
        }
        self.chars >= PREVIEW_CHARS_MAX
    }

    fn truncate(&mut self, len: usize) {
        self.text.truncate(len);
        self.text.truncate(self.text.trim_end().len());
        self.chars = self.text.chars().count();
    }
}

/// Control characters, and those that mass mail fills its previews with.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{fffc}' | '\u{fffd}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::parse;

    fn preview(text: &str) -> String {
        of(&parse(text.as_bytes()))
    }

    #[test]
    fn plain_texts() {
        assert_eq!(preview("\r\nHello,\r\n\r\nhow  are\tyou?\r\n"), "Hello, how are you?");
        assert_eq!(preview("\r\nYes!\r\n\r\nOn Mon, 1 Jan 2024, Bob <bob@x.test>\r\nwrote:\r\n\r\n> no\r\n"), "Yes!");
        assert_eq!(preview("\r\n> only\r\n>> a quote\r\n"), "only a quote");
        assert_eq!(
            preview("\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nHi\r\n-----BEGIN PGP SIGNATURE-----\r\nabc"),
            "Hi"
        );
        assert_eq!(preview("\r\nNew\r\n\r\n-----Original Message-----\r\nFrom: old"), "New");
        assert_eq!(preview("\r\n-- \r\nAnn\r\n"), "Ann");
        assert_eq!(preview("\r\n"), "");
        assert_eq!(preview("Content-Type: text/plain; charset=utf-16le\r\n\r\nh\0i\0"), "hi");
    }

    #[test]
    fn at_most_two_hundred_characters() {
        let long = preview(&format!("\r\n{}", "ä b ".repeat(4_000)));
        assert_eq!(long.chars().count(), 199);
        assert_eq!(preview(&format!("\r\n{}", "語".repeat(100_000))).chars().count(), PREVIEW_CHARS_MAX);
        // A head of styles, longer than the first look.
        let html = format!("Content-Type: text/html\r\n\r\n<html><style>{}</style><p>Hello", "p { x: y }\r\n".repeat(5_000));
        assert_eq!(preview(&html), "Hello");
    }

    #[test]
    fn which_part() {
        let alternative = "Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n\r\n\r\n--a\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+SGk8L3A+\r\n--a--\r\n";
        assert_eq!(preview(alternative), "Hi");
        let mixed = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Disposition: attachment\r\n\r\nfile\r\n--a\r\nContent-Type: message/rfc822\r\n\r\n\r\ninner\r\n--a\r\n\r\nouter\r\n--a--\r\n";
        assert_eq!(preview(mixed), "outer");
        assert_eq!(preview("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninner"), "inner");
        assert_eq!(preview("Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1"), "");
        let flowed =
            "Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\n> old \r\n> words\r\n\r\n\u{65e5} \r\n\u{672c}\r\n";
        assert_eq!(preview(flowed), "日本");
        let reply = "Content-Type: text/html\r\n\r\n<div>New<div class=gmail_quote>On Monday Bob wrote:<blockquote>old";
        assert_eq!(preview(reply), "New");
    }
}
