//! What a MIME entity says about itself: the Content-* fields (RFC 2045, 2183, 3282, 2557, 1864).
//!
//! Values stay raw (encoded-words and RFC 2231 as spelled), because BODYSTRUCTURE wants them so.

use std::borrow::Cow;

use smol_str::SmolStr;

use crate::header::{Field, fields};
use crate::limits::{HEADER_FIELDS_MAX, LANGUAGES_MAX};
use crate::parameter::{Parameters, is_token_byte, parse_parameters, skip_cfws};
use crate::transfer::TransferEncoding;

/// Content-Type (RFC 2045 §5): lower-case words, raw parameters.
///
/// ```
/// use message::content::ContentType;
/// let html = ContentType::parse(b"Text/HTML; charset=utf-8").unwrap();
/// assert!(html.is("text", "html") && !html.is_message());
/// assert_eq!(html.parameters.get("charset"), Some(&b"utf-8"[..]));
/// assert_eq!((ContentType::new("text", "plain").sub, ContentType::text_plain().main), ("plain".into(), "text".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType<'a> {
    /// `text`
    pub main: SmolStr,
    /// `plain`
    pub sub: SmolStr,
    /// In their order.
    pub parameters: Parameters<'a>,
}

impl<'a> ContentType<'a> {
    /// Type and subtype without parameters.
    pub fn new(main: &str, sub: &str) -> ContentType<'a> {
        ContentType { main: main.into(), sub: sub.into(), parameters: Parameters::default() }
    }

    /// `text/plain; charset=us-ascii`: where the field is missing or cannot be read (RFC 2045 §5.2).
    pub fn text_plain() -> ContentType<'a> {
        let charset = (SmolStr::new_static("charset"), Cow::Borrowed(&b"us-ascii"[..]));
        ContentType { parameters: Parameters(vec![charset]), ..ContentType::new("text", "plain") }
    }

    /// From the body of a Content-Type field, folded or not; `None` when it is not one.
    pub fn parse(value: &'a [u8]) -> Option<ContentType<'a>> {
        let (main, at) = token(value, skip_cfws(value, 0))?;
        let at = skip_cfws(value, at);
        if value.get(at) != Some(&b'/') {
            return None;
        }
        let (sub, at) = token(value, skip_cfws(value, at + 1))?;
        Some(ContentType { main, sub, parameters: parse_parameters(value, at) })
    }

    /// Where the parameters begin in the body of a Content-Type field.
    pub(crate) fn main_len(value: &[u8]) -> Option<usize> {
        let (_, at) = token(value, skip_cfws(value, 0))?;
        let at = skip_cfws(value, at);
        let (_, at) = token(value, skip_cfws(value, at + 1)).filter(|_| value.get(at) == Some(&b'/'))?;
        Some(at)
    }

    /// True for `main/sub`.
    pub fn is(&self, main: &str, sub: &str) -> bool {
        self.main == main && self.sub == sub
    }

    /// `message/rfc822` and its UTF-8 form (RFC 6532 §3.7).
    pub fn is_message(&self) -> bool {
        self.main == "message" && (self.sub == "rfc822" || self.sub == "global")
    }
}

/// Content-Disposition (RFC 2183).
///
/// ```
/// let disposition = message::content::Disposition::parse(b"Attachment; filename=\"a b.txt\"").unwrap();
/// assert_eq!((disposition.kind.as_str(), disposition.parameters.decoded("filename").as_deref()), ("attachment", Some("a b.txt")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition<'a> {
    /// `inline`, `attachment`, ... lower-case.
    pub kind: SmolStr,
    /// In their order.
    pub parameters: Parameters<'a>,
}

impl<'a> Disposition<'a> {
    /// From the body of the field, folded or not.
    pub fn parse(value: &'a [u8]) -> Option<Disposition<'a>> {
        let (kind, at) = token(value, skip_cfws(value, 0))?;
        Some(Disposition { kind, parameters: parse_parameters(value, at) })
    }

    /// Where the parameters begin in the body of a Content-Disposition field.
    pub(crate) fn main_len(value: &[u8]) -> Option<usize> {
        token(value, skip_cfws(value, 0)).map(|(_, at)| at)
    }
}

fn token(value: &[u8], start: usize) -> Option<(SmolStr, usize)> {
    let rest = value.get(start..)?;
    let len = rest.iter().position(|b| !is_token_byte(*b)).unwrap_or(rest.len());
    let word = std::str::from_utf8(rest.get(..len)?).ok()?;
    if word.is_empty() {
        return None;
    }
    let lower = word.bytes().all(|b| !b.is_ascii_uppercase());
    let word = if lower { SmolStr::from(word) } else { SmolStr::from(word.to_ascii_lowercase()) };
    Some((word, start + len))
}

/// All Content-* fields of one entity. Of two with one name the first counts.
///
/// ```
/// use message::{content::ContentFields, transfer::TransferEncoding};
/// let fields = ContentFields::read(b"Content-Type: nonsense\r\nContent-Transfer-Encoding: base64\r\n\r\n");
/// assert_eq!((fields.content_type, fields.encoding), (Some(None), TransferEncoding::Base64));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct ContentFields<'a> {
    /// `None`: missing. `Some(None)`: there, but not readable.
    pub content_type: Option<Option<ContentType<'a>>>,
    pub encoding: TransferEncoding,
    /// The word when it is none we know, upper-case.
    pub encoding_word: Option<SmolStr>,
    pub disposition: Option<Disposition<'a>>,
    pub id: Option<Cow<'a, [u8]>>,
    pub description: Option<Cow<'a, [u8]>>,
    pub md5: Option<Cow<'a, [u8]>>,
    pub location: Option<Cow<'a, [u8]>>,
    pub language: Vec<Vec<u8>>,
    /// Where in the header a second field of one of these names stands.
    pub twice: Option<usize>,
    /// One bit for each name that was there.
    seen: u8,
}

impl<'a> ContentFields<'a> {
    /// Reads them from a header.
    pub fn read(header: &'a [u8]) -> ContentFields<'a> {
        let mut out = ContentFields::default();
        for field in fields(header).take(HEADER_FIELDS_MAX) {
            let Some((head, rest)) = field.name.split_at_checked(8) else { continue };
            if head.eq_ignore_ascii_case(b"content-") {
                out.take(&field, rest);
            }
        }
        out
    }

    fn take(&mut self, field: &Field<'a>, name: &[u8]) {
        const NAMES: [&str; 8] = ["type", "transfer-encoding", "disposition", "id", "description", "md5", "location", "language"];
        let Some(which) = NAMES.iter().position(|n| name.eq_ignore_ascii_case(n.as_bytes())) else { return };
        if self.seen & 1 << which != 0 {
            self.twice.get_or_insert(field.start);
            return;
        }
        self.seen |= 1 << which;
        match which {
            0 => self.content_type = Some(ContentType::parse(field.body_cut())),
            1 => self.take_encoding(field.body_cut()),
            2 => self.disposition = Disposition::parse(field.body_cut()),
            3 => self.id = Some(field.value_cut()),
            4 => self.description = Some(field.value_cut()),
            5 => self.md5 = Some(field.value_cut()),
            6 => self.location = Some(field.value_cut()),
            _ => self.language = languages(field.body_cut()),
        }
    }

    fn take_encoding(&mut self, value: &[u8]) {
        let Some((word, _)) = token(value, skip_cfws(value, 0)) else { return };
        self.encoding = TransferEncoding::from_word(word.as_bytes());
        if self.encoding.is_named_by_word() {
            self.encoding_word = Some(word.to_ascii_uppercase().into());
        }
    }
}

/// RFC 3282: tags parted by commas, comments allowed.
fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < value.len() && out.len() < LANGUAGES_MAX {
        at = skip_cfws(value, at);
        match token(value, at) {
            Some((word, next)) => {
                out.push(word.as_bytes().to_vec());
                at = next;
            }
            None => at += 1,
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn content_types() {
        let t = ContentType::parse(b"Text (a) / HTML ; Charset=\"UTF-8\"").unwrap();
        assert!(t.is("text", "html"));
        assert_eq!(t.parameters.get("charset"), Some(&b"UTF-8"[..]));
        assert_eq!(ContentType::parse(b"text"), None);
        assert_eq!(ContentType::parse(b"text/"), None);
        assert_eq!(ContentType::parse(b"; charset=x"), None);
        assert!(ContentType::parse(b"MESSAGE/Global").unwrap().is_message());
    }

    #[test]
    fn all_fields_first_one_counts() {
        let header = b"Content-Type: text/plain\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: X-UUE (c)\r\n\
            Content-ID: <a@b>\r\nContent-Language: en, de (German)\r\nContent-Disposition: ATTACHMENT; filename=x\r\n\
            Content-MD5: abc==\r\nContent-Location:\r\n http://x/\r\nContent-Description: =?utf-8?Q?a?=\r\n\r\n";
        let c = ContentFields::read(header);
        assert!(c.content_type.unwrap().unwrap().is("text", "plain"));
        assert_eq!(c.encoding, TransferEncoding::Uuencode);
        assert_eq!(c.encoding_word.unwrap(), "X-UUE");
        assert_eq!(c.id.unwrap().as_ref(), b"<a@b>");
        assert_eq!(c.language, [b"en".to_vec(), b"de".to_vec()]);
        assert_eq!(c.disposition.unwrap().kind, "attachment");
        assert_eq!(c.location.unwrap().as_ref(), b"http://x/");
        assert_eq!(c.md5.unwrap().as_ref(), b"abc==");
        assert_eq!(c.description.unwrap().as_ref(), b"=?utf-8?Q?a?=");
    }
}
