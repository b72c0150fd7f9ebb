//! APPEND (RFC 9051 §6.3.12, RFC 7888, RFC 3516 §4.4 literal8, RFC 9755 §4 UTF8) of several messages (RFC 3502) and of parts
//! (RFC 4469); REPLACE (RFC 8508).
//!
//! ```abnf
//! append      = "APPEND" SP mailbox 1*append-message
//! replace     = "REPLACE" SP seq-number SP mailbox append-message
//! append-message = SP [flag-list SP] [date-time SP] append-data
//! append-data = literal / literal8 / "UTF8" SP "(" literal8 ")" / "CATENATE" SP "(" cat-part *(SP cat-part) ")"
//! cat-part    = "URL" SP astring / "TEXT" SP (literal / literal8) / "UTF8" SP "(" literal8 ")"
//! ```
//!
//! What stands between two literals of message octets is a *segment*; the session streams the octets and reads on from the
//! [`Place`] in the grammar where they began.

use super::cursor::{Cursor, Parsed};
use super::date::DateTime;
use super::encoder::Encoder;
use super::flag::Flag;
use super::limits::APPEND_MESSAGES_MAX;
use super::mailbox_name::MailboxName;
use super::sequence_set::SeqNumber;
use super::string::{LiteralHead, literal_head_at_end};

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

/// What follows the first message's head, one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendPiece {
    /// Another message begins (RFC 3502).
    Message {
        /// Flags, date, and the size unless it is catenated.
        message: AppendMessage,
        /// Its octets come as the pieces that follow (RFC 4469).
        catenate: bool,
    },
    /// Of a catenated message: so many octets follow.
    Text {
        /// Octets of the literal.
        size: u64,
        /// NUL is allowed.
        binary: bool,
    },
    /// Of a catenated message: the octets this URL names.
    Url(String),
}

/// The message a REPLACE takes the place of (RFC 8508 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// UID REPLACE.
    pub uid: bool,
    /// Its number or UID.
    pub number: SeqNumber,
}

/// Up to the mailbox name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) mailbox: MailboxName,
    pub(crate) replaced: Option<Replaced>,
}

/// Where in the grammar the last segment ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// REPLACE: one message only.
    pub(crate) single: bool,
    /// `)` ends UTF8.
    utf8: bool,
    /// Within the parentheses of CATENATE.
    catenate: bool,
    /// Messages begun.
    messages: usize,
}

/// What was read up to the next literal of message octets, or to the end of the command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) pieces: Vec<AppendPiece>,
    /// Belongs to the last piece; `None`: the command ends.
    pub(crate) literal: Option<LiteralHead>,
    pub(crate) place: Place,
}

/// Is this APPEND, REPLACE or UID REPLACE? The cursor stands behind the first word, which is `name`.
pub(crate) fn is_append(c: &Cursor<'_>, name: &str) -> bool {
    let mut ahead = c.clone();
    let uid_replace = |c: &mut Cursor<'_>| c.space().is_ok() && c.atom().is_ok_and(|word| word.eq_ignore_ascii_case("REPLACE"));
    matches!(name, "APPEND" | "REPLACE") || (name == "UID" && uid_replace(&mut ahead))
}

/// Does nothing but the head of a literal stand here?
fn literal_next(c: &Cursor<'_>) -> Option<LiteralHead> {
    literal_head_at_end(c.rest()).filter(|head| head.head_len == c.rest().len())
}

impl Head {
    /// After the first word, in an input that may end in the head of a literal. `None`: that literal is the mailbox name.
    pub(crate) fn parse(c: &mut Cursor<'_>, name: &str) -> Parsed<Option<Head>> {
        c.space()?;
        let mut replaced = None;
        if name != "APPEND" {
            let uid = name == "UID";
            if uid {
                c.atom()?;
                c.space()?;
            }
            let number = if c.eat(b'*') { SeqNumber::Star } else { SeqNumber::Number(c.nz_number()?) };
            replaced = Some(Replaced { uid, number });
            c.space()?;
        }
        if literal_next(c).is_some() {
            return Ok(None);
        }
        Ok(Some(Head { mailbox: MailboxName::parse(c)?, replaced }))
    }

    /// Where the first message is read.
    pub(crate) fn place(&self) -> Place {
        Place { single: self.replaced.is_some(), ..Place::default() }
    }
}

impl Segment {
    /// Reads on from `place`. `None`: the literal at the end is a string of the command (a URL), not message octets.
    pub(crate) fn parse(c: &mut Cursor<'_>, mut place: Place) -> Parsed<Option<Segment>> {
        let mut pieces = Vec::new();
        if std::mem::take(&mut place.utf8) {
            c.expect(b')', ") is missing after UTF8")?;
        }
        // Just behind `CATENATE (` no space comes before the part.
        let mut opened = false;
        loop {
            if !place.catenate {
                let mut ahead = c.clone();
                if place.messages > 0 && ahead.end().is_ok() {
                    *c = ahead;
                    return Ok(Some(Segment { pieces, literal: None, place }));
                }
                if place.messages >= if place.single { 1 } else { APPEND_MESSAGES_MAX } {
                    return c.error("too many messages");
                }
                let mut message = AppendMessage::parse_options(c)?;
                place.messages += 1;
                place.catenate = c.eat_text("CATENATE (");
                opened = place.catenate;
                if !place.catenate {
                    let literal = message_literal(c, &mut place, "")?;
                    let head = literal.0;
                    (message.size, message.binary, message.utf8) = (head.len, literal.1, place.utf8);
                    pieces.push(AppendPiece::Message { message, catenate: false });
                    return Ok(Some(Segment { pieces, literal: Some(head), place }));
                }
                pieces.push(AppendPiece::Message { message, catenate: true });
            }
            if !std::mem::take(&mut opened) {
                if c.eat(b')') {
                    place.catenate = false;
                    continue;
                }
                c.space()?;
            }
            if c.eat_text("URL ") {
                if literal_next(c).is_some() {
                    return Ok(None);
                }
                pieces.push(AppendPiece::Url(c.astring_text()?));
                continue;
            }
            let (head, binary) = message_literal(c, &mut place, "TEXT ")?;
            pieces.push(AppendPiece::Text { size: head.len, binary });
            return Ok(Some(Segment { pieces, literal: Some(head), place }));
        }
    }
}

/// `[word] literal`, `[word] literal8` or `UTF8 (literal8`, at the end of the input.
fn message_literal(c: &mut Cursor<'_>, place: &mut Place, word: &str) -> Parsed<(LiteralHead, bool)> {
    place.utf8 = c.eat_text("UTF8 (");
    if !place.utf8 && !c.eat_text(word) {
        return c.error("a part is TEXT or URL");
    }
    let Some(head) = literal_next(c) else { return c.error("APPEND takes a literal") };
    let binary = c.peek() == Some(b'~');
    if place.utf8 && !binary {
        return c.error("UTF8 takes a literal8");
    }
    c.at = c.input.len();
    Ok((head, binary))
}

impl Append {
    /// After `APPEND ` or what stands in its place.
    pub(crate) fn encode(&self, e: &mut Encoder) {
        self.mailbox.encode(e);
        self.message.encode(e);
    }
}

impl AppendMessage {
    /// From the space on: flags and date.
    fn parse_options(c: &mut Cursor<'_>) -> Parsed<AppendMessage> {
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
        Ok(AppendMessage { flags, date, size: 0, binary: false, utf8: false })
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

impl Replaced {
    /// `REPLACE n `, in front of an APPEND's mailbox.
    pub(crate) fn encode(self, e: &mut Encoder) {
        e.raw(if self.uid { "UID REPLACE " } else { "REPLACE " });
        match self.number {
            SeqNumber::Number(number) => e.number(number),
            SeqNumber::Star => e.raw("*"),
        }
        e.raw(" ");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::command::Command;
    use super::*;

    /// The first segment, written again as the client writes it.
    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let name = c.atom().ok()?.to_owned();
        is_append(&c, &name).then_some(())?;
        let head = Head::parse(&mut c, &name).ok()??;
        let segment = Segment::parse(&mut c, head.place()).ok()??;
        let Some(AppendPiece::Message { message, catenate: false }) = segment.pieces.into_iter().next() else { return None };
        let mut e = Encoder::server(Vec::new(), false);
        let append = Append { mailbox: head.mailbox, message };
        match head.replaced {
            Some(replaced) => Command::Replace { replaced, append }.encode(&mut e),
            None => Command::Append(append).encode(&mut e),
        }
        Some(String::from_utf8(e.bytes).unwrap().trim_end().to_owned())
    }

    #[test]
    fn both_ways() {
        for text in [
            "APPEND saved-messages {310}",
            "APPEND INBOX (\\Seen $Junk) {5}",
            "APPEND \"a b\" \" 7-Feb-1994 21:52:25 -0800\" ~{5}",
            "APPEND &2D3c7A- (\\Draft) \" 7-Feb-1994 21:52:25 -0800\" UTF8 (~{99}",
            "REPLACE 4 Drafts (\\Seen) {312}",
            "REPLACE * Drafts {312}",
            "UID REPLACE 2000 Drafts (\\Seen) {350}",
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
            "REPLACE 0 x {5}",
            "REPLACE 1:2 x {5}",
            "REPLACE x {5}",
            "UID REPLACE {5}",
            "UID EXPUNGE 1 {5}",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(Head::parse(&mut Cursor::new(b" {5}"), "APPEND"), Ok(None));
        assert_eq!(Head::parse(&mut Cursor::new(b" 3 {5}"), "REPLACE"), Ok(None));
    }

    /// Reads segments until the command ends; a literal's octets are not there.
    fn all(segments: &[&str]) -> Option<Vec<String>> {
        let (mut place, mut told) = (Place::default(), Vec::new());
        let mut rest = segments.iter();
        loop {
            let segment = Segment::parse(&mut Cursor::new(rest.next()?.as_bytes()), place).ok()??;
            told.extend(segment.pieces.iter().map(|piece| match piece {
                AppendPiece::Message { message, catenate } => format!("message {} {catenate}", message.size),
                AppendPiece::Text { size, .. } => format!("text {size}"),
                AppendPiece::Url(url) => url.clone(),
            }));
            place = segment.place;
            if segment.literal.is_none() {
                return rest.next().is_none().then_some(told);
            }
        }
    }

    #[test]
    fn several_messages_and_parts() {
        assert_eq!(all(&[" {3}", " (\\Seen) {4+}", ""]).unwrap(), ["message 3 false", "message 4 false"]);
        assert_eq!(all(&[" UTF8 (~{3}", ") {4}", " "]).unwrap(), ["message 3 false", "message 4 false"]);
        assert_eq!(
            all(&[" (\\Seen) CATENATE (URL \"/a/;UID=1\" TEXT {3}", " URL /b/;UID=2 UTF8 (~{1+}", ") URL c) {7}", ""]).unwrap(),
            ["message 0 true", "/a/;UID=1", "text 3", "/b/;UID=2", "text 1", "c", "message 7 false"]
        );
        assert_eq!(all(&[" CATENATE (URL {1}\r\na URL b)"]).unwrap(), ["message 0 true", "a", "b"]);
        let url = Segment::parse(&mut Cursor::new(b" CATENATE (URL a URL {1}"), Place::default());
        assert_eq!(url, Ok(None), "the literal is the URL's");
        for bad in [
            &[""][..],
            &[" {3}", ")"],
            &[" UTF8 (~{3}", ""],
            &[" CATENATE ()"],
            &[" CATENATE (URL a"],
            &[" CATENATE (FOO a)"],
            &[" CATENATE (URL a TEXT b)"],
            &[" CATENATE (TEXT {3}", "URL a)"],
            &[" {3}", " (\\Seen)"],
        ] {
            assert_eq!(all(bad), None, "{bad:?}");
        }
        let single = Place { single: true, messages: 1, ..Place::default() };
        assert!(Segment::parse(&mut Cursor::new(b" {3}"), single).is_err());
        assert!(Segment::parse(&mut Cursor::new(b""), single).is_ok());
    }
}
