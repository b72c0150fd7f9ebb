//! APPEND (RFC 9051 §6.3.12, RFC 7888, RFC 3516 §4.4 literal8, RFC 9755 §4 UTF8).
//!
//! ```abnf
//! append      = "APPEND" SP mailbox 1*append-message
//! append-message = SP [flag-list SP] [date-time SP] append-data
//! append-data = literal / literal8 / "UTF8" SP "(" literal8 ")"
//! ```
//!
//! The head ends where the octets begin; the session streams those and reads [`tail`] after them.

use super::cursor::{Cursor, Parsed};
use super::date::DateTime;
use super::encoder::Encoder;
use super::flag::Flag;
use super::mailbox_name::MailboxName;
use super::string::literal_head_at_end;

/// APPEND up to its literal; the octets come after it, in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: MailboxName,
    /// The message that follows.
    pub message: AppendMessage,
}

/// One message of an APPEND, before its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMessage {
    /// Never `Recent`.
    pub flags: Vec<Flag>,
    /// INTERNALDATE.
    pub date: Option<DateTime>,
    /// Octets of the literal.
    pub size: u64,
    /// `~{n}`: NUL is allowed.
    pub binary: bool,
    /// `UTF8 (~{n})` (RFC 9755 §4).
    pub utf8: bool,
}

impl Append {
    /// After `APPEND`, in an input that ends in the head of a literal. `None`: that literal is the mailbox name.
    pub(crate) fn parse_head(c: &mut Cursor<'_>) -> Parsed<Option<Append>> {
        c.space()?;
        let last = literal_head_at_end(c.rest()).map(|head| head.head_len);
        if last == Some(c.rest().len()) {
            return Ok(None);
        }
        let mailbox = MailboxName::parse(c)?;
        Ok(Some(Append { mailbox, message: AppendMessage::parse_head(c)? }))
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("APPEND ");
        self.mailbox.encode(e);
        self.message.encode(e);
    }
}

impl AppendMessage {
    /// From the space to the end of the literal's head.
    pub(crate) fn parse_head(c: &mut Cursor<'_>) -> Parsed<AppendMessage> {
        c.space()?;
        let mut flags = Vec::new();
        if c.peek() == Some(b'(') {
            flags = c.list(true, Flag::parse_settable)?;
            c.space()?;
        }
        let mut date = None;
        if c.peek() == Some(b'"') {
            date = Some(DateTime::parse(c)?);
            c.space()?;
        }
        let utf8 = c.eat_text("UTF8 (");
        match literal_head_at_end(c.rest()) {
            Some(head) if head.head_len == c.rest().len() => {
                let binary = c.peek() == Some(b'~');
                if utf8 && !binary {
                    return c.error("UTF8 takes a literal8");
                }
                c.at = c.input.len();
                Ok(AppendMessage { flags, date, size: head.len, binary, utf8 })
            }
            _ => c.error("APPEND takes a literal"),
        }
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(" ");
        if !self.flags.is_empty() {
            e.list(&self.flags, |e, flag| flag.encode(e));
            e.raw(" ");
        }
        if let Some(date) = self.date {
            date.encode(&mut e.bytes);
            e.raw(" ");
        }
        if self.utf8 {
            e.raw("UTF8 (");
        }
        if self.binary {
            e.raw("~");
        }
        e.literal_header(self.size);
    }
}

/// What stands after the octets of the last message, without CRLF.
pub(crate) fn tail(c: &mut Cursor<'_>, utf8: bool) -> Parsed<()> {
    if utf8 {
        c.expect(b')', ") is missing after UTF8")?;
    }
    c.end()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        c.eat_text("APPEND").then_some(())?;
        let append = Append::parse_head(&mut c).ok()??;
        let mut e = Encoder::server(Vec::new(), false);
        append.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap().trim_end().to_owned())
    }

    #[test]
    fn both_ways() {
        for text in [
            "APPEND saved-messages {310}",
            "APPEND INBOX (\\Seen $Junk) {5}",
            "APPEND \"a b\" \" 7-Feb-1994 21:52:25 -0800\" ~{5}",
            "APPEND &2D3c7A- (\\Draft) \" 7-Feb-1994 21:52:25 -0800\" UTF8 (~{99}",
        ] {
            assert_eq!(read(text).unwrap(), text);
        }
        assert_eq!(read("APPEND {5}\r\ninbox () {5+}").unwrap(), "APPEND INBOX {5}");
        for bad in [
            "APPEND {5}",
            "APPEND x",
            "APPEND x (\\Recent) {5}",
            "APPEND x UTF8 ({5}",
            "APPEND x y {5}",
            "APPEND x \"1\" {5}",
            "APPEND x \"abc\"",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(Append::parse_head(&mut Cursor::new(b" {5}")), Ok(None));
        assert!(tail(&mut Cursor::new(b") "), true).is_ok());
        assert!(tail(&mut Cursor::new(b""), true).is_err());
        assert!(tail(&mut Cursor::new(b" (\\Seen) {3}"), false).is_err());
    }
}
