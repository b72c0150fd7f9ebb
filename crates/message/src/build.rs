//! Builds messages: text, HTML with inline parts, attachments (RFC 5322, RFC 2045-2049, RFC 2183, RFC 2387, RFC 6532).
//!
//! Invariant: lines end in CRLF and are at most 998 octets; a boundary never occurs in what it parts; no text given can
//! add a field; a part that comes from a reader is never whole in memory. Date, Message-ID and the seed of the boundaries
//! are arguments: there is no clock and no chance here.

mod entity;
mod fields;
mod signed;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};

use crate::address::Address;
pub(crate) use entity::{Entity, travels};
pub use fields::{FieldNameError, check_field_name};
pub use signed::Signer;
pub(crate) use text::{TextForm, text_entity};

use crate::date;
use crate::flowed;
use crate::limits::LINE_BYTES_MAX;
use crate::list_fields::ListFields;
use entity::Boundaries;
use fields::Header;
pub(crate) use fields::phrase;

/// An address with a name for people.
///
/// ```
/// use message::{address::Address, build::Mailbox};
/// let ann = Mailbox::named("Ann", Address::parse("ann@here.test").unwrap());
/// assert_eq!(ann.name.as_deref(), Some("Ann"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// With a name.
    pub fn named(name: &str, address: Address) -> Mailbox {
        Mailbox { name: Some(name.to_owned()), address }
    }
}

impl From<Address> for Mailbox {
    fn from(address: Address) -> Mailbox {
        Mailbox { name: None, address }
    }
}

/// Where the octets of an attachment come from.
pub enum Content<'a> {
    /// From memory.
    Octets(Cow<'a, [u8]>),
    /// From a reader, piece by piece: a film of a gigabyte needs no more memory than a postcard.
    Reader(Box<dyn Read + 'a>),
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Octets(octets) => write!(f, "Octets({})", octets.len()),
            Content::Reader(_) => f.write_str("Reader"),
        }
    }
}

/// A file that goes along. What went in comes out bit for bit.
///
/// ```
/// use message::build::Attachment;
/// let film = Attachment::from_reader("video/mp4", std::io::repeat(0).take(9)).file_name("film.mp4");
/// let picture = Attachment::new("image/png", b"\x89PNG".to_vec()).content_id("boat@here.test");
/// # use std::io::Read;
/// # let _ = (film, picture);
/// ```
#[derive(Debug)]
pub struct Attachment<'a> {
    /// `image/png`, parameters allowed; what is no media type becomes `application/octet-stream`.
    pub media_type: String,
    /// For people.
    pub file_name: Option<String>,
    /// Content-ID without its brackets: `<img src="cid:...">` in the HTML names it.
    pub content_id: Option<String>,
    /// The octets, decoded.
    pub content: Content<'a>,
}

impl<'a> Attachment<'a> {
    /// From memory.
    pub fn new(media_type: &str, octets: impl Into<Cow<'a, [u8]>>) -> Attachment<'a> {
        Attachment {
            media_type: media_type.to_owned(),
            file_name: None,
            content_id: None,
            content: Content::Octets(octets.into()),
        }
    }

    /// From a reader. It is read while the message is written, and goes as base64. A `message/rfc822` can only come from
    /// memory (its lines must be looked at before it may go as it is, RFC 2046 §5.2.1): from a reader it is a plain file.
    pub fn from_reader(media_type: &str, reader: impl Read + 'a) -> Attachment<'a> {
        let content = Content::Reader(Box::new(reader));
        Attachment { media_type: media_type.to_owned(), file_name: None, content_id: None, content }
    }

    /// The name people see.
    pub fn file_name(mut self, name: &str) -> Attachment<'a> {
        self.file_name = Some(name.to_owned());
        self
    }

    /// Content-ID without its brackets.
    pub fn content_id(mut self, id: &str) -> Attachment<'a> {
        self.content_id = Some(id.to_owned());
        self
    }
}

/// What a server must offer to be given this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// A header has UTF-8 (RFC 6531, RFC 6532). Never written another way: without SMTPUTF8 there it is a bounce, 5.6.7.
    pub smtputf8: bool,
    /// A body has octets above 127 (8BITMIME, RFC 6152).
    pub eight_bit: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// How many octets.
    pub octets: u64,
    /// What a server must offer.
    pub needs: Needs,
}

/// Why a message could not be built.
#[derive(Debug)]
pub enum BuildError {
    /// Something in the field of that name cannot be folded into lines of 998 octets (RFC 5322 §2.1.1).
    LineTooLong(String),
    /// A reader or the writer failed.
    Io(io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::LineTooLong(field) => write!(f, "{field}: a line would be longer than {LINE_BYTES_MAX} octets"),
            BuildError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<io::Error> for BuildError {
    fn from(error: io::Error) -> BuildError {
        BuildError::Io(error)
    }
}

/// A message in the making.
///
/// ```
/// use message::{address::Address, build::{Builder, Mailbox}};
/// let ann = Mailbox::named("Ann", Address::parse("ann@here.test").unwrap());
/// let octets = Builder::new(0, "1@here.test").from(ann.clone()).to(ann).subject("Hi").text("Hello\n").build().unwrap();
/// assert!(octets.starts_with(b"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nFrom: Ann <ann@here.test>\r\n"));
/// ```
#[derive(Debug, Default)]
pub struct Builder<'a> {
    date_secs: i64,
    date_offset_minutes: i32,
    message_id: String,
    seed: Option<String>,
    from: Vec<Mailbox>,
    sender: Vec<Mailbox>,
    reply_to: Vec<Mailbox>,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
    subject: Option<String>,
    in_reply_to: Vec<String>,
    references: Vec<String>,
    list: ListFields,
    other: Vec<(String, String)>,
    text: Option<String>,
    text_is_flowed: bool,
    html: Option<String>,
    form: TextForm,
    inline: Vec<Attachment<'a>>,
    attachments: Vec<Attachment<'a>>,
}

impl<'a> Builder<'a> {
    /// `message_id` without its brackets.
    ///
    /// ```
    /// use message::{address::Address, build::{Attachment, Builder}};
    /// let address = |text| Address::parse(text).unwrap();
    /// let octets = Builder::new(1_795_392_994, "2@here.test")
    ///     .date_offset_minutes(60)
    ///     .boundary_seed("any")
    ///     .from(address("ann@here.test"))
    ///     .sender(address("desk@here.test"))
    ///     .reply_to(address("answers@here.test"))
    ///     .cc(address("bob@here.test"))
    ///     .in_reply_to("1@there.test")
    ///     .references("1@there.test")
    ///     .field("X-Mailer", "Packetboat")
    ///     .flowed("A paragraph of any length.\n")
    ///     .html("<p>Hi <img src=\"cid:boat@here.test\">")
    ///     .inline(Attachment::new("image/png", b"\x89PNG".to_vec()).content_id("boat@here.test"))
    ///     .eight_bit()
    ///     .build()
    ///     .unwrap();
    /// let text = String::from_utf8(octets.clone()).unwrap();
    /// assert!(text.contains("Reply-To: answers@here.test\r\nCc: bob@here.test\r\n"));
    /// assert!(text.contains("In-Reply-To: <1@there.test>\r\nReferences: <1@there.test>\r\nX-Mailer: Packetboat\r\n"));
    /// let message = message::parse(&octets);
    /// assert!(message.root().content_type.is("multipart", "alternative") && message.parts[2].content_type.is("multipart", "related"));
    /// ```
    pub fn new(date_secs: i64, message_id: &str) -> Builder<'a> {
        Builder { date_secs, message_id: message_id.to_owned(), ..Builder::default() }
    }

    /// The zone that Date is written in, east of Greenwich; UTC without it.
    pub fn date_offset_minutes(mut self, minutes: i32) -> Builder<'a> {
        self.date_offset_minutes = minutes;
        self
    }

    /// What boundaries are made of; the Message-ID without it. Same arguments, same octets.
    pub fn boundary_seed(mut self, seed: &str) -> Builder<'a> {
        self.seed = Some(seed.to_owned());
        self
    }

    /// One more author.
    pub fn from(mut self, mailbox: impl Into<Mailbox>) -> Builder<'a> {
        self.from.push(mailbox.into());
        self
    }

    /// The one who really sent it, where that is not the author.
    pub fn sender(mut self, mailbox: impl Into<Mailbox>) -> Builder<'a> {
        self.sender = vec![mailbox.into()];
        self
    }

    /// Where answers go.
    pub fn reply_to(mut self, mailbox: impl Into<Mailbox>) -> Builder<'a> {
        self.reply_to.push(mailbox.into());
        self
    }

    /// One more recipient.
    pub fn to(mut self, mailbox: impl Into<Mailbox>) -> Builder<'a> {
        self.to.push(mailbox.into());
        self
    }

    /// One more recipient of a copy.
    pub fn cc(mut self, mailbox: impl Into<Mailbox>) -> Builder<'a> {
        self.cc.push(mailbox.into());
        self
    }

    /// One more recipient that the others do not see (RFC 5322 §3.6.3). The field is written: for a draft, or the copy that
    /// the author keeps. It has no place in what is sent.
    ///
    /// ```
    /// use message::{address::Address, build::Builder};
    /// let draft = Builder::new(0, "1@here.test").bcc(Address::parse("eve@here.test").unwrap()).build().unwrap();
    /// assert!(String::from_utf8(draft).unwrap().contains("\r\nBcc: eve@here.test\r\n"));
    /// ```
    pub fn bcc(mut self, mailbox: impl Into<Mailbox>) -> Builder<'a> {
        self.bcc.push(mailbox.into());
        self
    }

    /// Subject, any text.
    pub fn subject(mut self, text: &str) -> Builder<'a> {
        self.subject = Some(text.to_owned());
        self
    }

    /// The message this one answers: its Message-ID without brackets.
    pub fn in_reply_to(mut self, message_id: &str) -> Builder<'a> {
        self.in_reply_to.push(message_id.to_owned());
        self
    }

    /// One more of the thread's Message-IDs, oldest first, without brackets.
    pub fn references(mut self, message_id: &str) -> Builder<'a> {
        self.references.push(message_id.to_owned());
        self
    }

    /// The fields of a mailing list (RFC 2369, RFC 2919, RFC 8058). URIs without their brackets.
    ///
    /// ```
    /// use message::{build::Builder, list_fields::ListFields};
    /// let list = ListFields {
    ///     id: Some("news.here.test".into()),
    ///     unsubscribe: vec!["https://here.test/u/1".into()],
    ///     one_click: true,
    ///     ..ListFields::default()
    /// };
    /// let text = String::from_utf8(Builder::new(0, "1@here.test").list(list).build().unwrap()).unwrap();
    /// assert!(text.contains("List-Id: <news.here.test>\r\nList-Unsubscribe: <https://here.test/u/1>\r\n"));
    /// assert!(text.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
    /// ```
    pub fn list(mut self, list: ListFields) -> Builder<'a> {
        self.list = list;
        self
    }

    /// Any other field with unstructured text. What [`check_field_name`] refuses is left out.
    pub fn field(mut self, name: &str, text: &str) -> Builder<'a> {
        if check_field_name(name).is_ok() {
            self.other.push((name.to_owned(), text.to_owned()));
        }
        self
    }

    /// The plain text.
    pub fn text(mut self, text: &str) -> Builder<'a> {
        self.text = Some(text.to_owned());
        self.text_is_flowed = false;
        self
    }

    /// The plain text, its lines as paragraphs of any length: they are broken softly and join again at the reader's
    /// (`format=flowed`, RFC 3676). Lines that begin with `>` are quoted. Blanks at the ends of lines are lost.
    pub fn flowed(mut self, text: &str) -> Builder<'a> {
        self.text = Some(text.to_owned());
        self.text_is_flowed = true;
        self
    }

    /// The HTML.
    pub fn html(mut self, html: &str) -> Builder<'a> {
        self.html = Some(html.to_owned());
        self
    }

    /// Texts beyond ASCII may go as they are ([`Needs::eight_bit`]).
    pub fn eight_bit(mut self) -> Builder<'a> {
        self.form.eight_bit = true;
        self
    }

    /// A part that the HTML shows (RFC 2387).
    pub fn inline(mut self, part: Attachment<'a>) -> Builder<'a> {
        self.inline.push(part);
        self
    }

    /// A file.
    pub fn attach(mut self, part: Attachment<'a>) -> Builder<'a> {
        self.attachments.push(part);
        self
    }

    /// The octets.
    pub fn build(self) -> Result<Vec<u8>, BuildError> {
        let mut out = Vec::new();
        self.write_to(&mut out)?;
        Ok(out)
    }

    /// Writes the octets; attachments that are readers are read now, piece by piece.
    ///
    /// ```
    /// use message::build::{Attachment, Builder};
    /// use std::io::Read;
    /// let film = Attachment::from_reader("video/mp4", std::io::repeat(7).take(100_000)).file_name("film.mp4");
    /// let written = Builder::new(0, "1@here.test").text("See the film").attach(film).write_to(std::io::sink()).unwrap();
    /// assert!(written.octets > 136_000 && !written.needs.eight_bit);
    /// ```
    pub fn write_to(mut self, mut out: impl Write) -> Result<Written, BuildError> {
        let entity = self.entity();
        self.compose(entity)?.write_to(&mut out)
    }

    /// Writes the octets as multipart/signed (RFC 1847). The signer sees the signed part as it goes out: CRLF line ends, 7 bits,
    /// no blanks at line ends (RFC 3156 §3, RFC 8551 §3.1).
    pub fn write_signed_to(mut self, signer: &mut dyn Signer, mut out: impl Write) -> Result<Written, BuildError> {
        self.form = TextForm { eight_bit: false, strict: true };
        let entity = self.entity();
        let composition = self.compose(entity)?;
        signed::write(composition, signer, &mut out)
    }

    /// The message with other content.
    pub(crate) fn compose<'b>(&self, entity: Entity<'b>) -> Result<Composition<'b>, BuildError> {
        let composition = self.compose_unchecked(entity);
        let too_long = |line: &&str| line.len() > LINE_BYTES_MAX;
        let mut name = "header";
        for line in composition.header.split("\r\n") {
            if !line.starts_with(' ') {
                name = line.split(':').next().unwrap_or_default();
            }
            if too_long(&line) {
                return Err(BuildError::LineTooLong(name.get(..78).unwrap_or(name).to_owned()));
            }
        }
        match composition.entity.fields_too_long() {
            true => Err(BuildError::LineTooLong("Content-ID".to_owned())),
            false => Ok(composition),
        }
    }

    /// The octets with other content, for our own reports: all that goes in is short.
    pub(crate) fn build_report(&self, entity: Entity<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let written = self.compose_unchecked(entity).write_to(&mut out);
        debug_assert!(written.is_ok(), "memory takes everything");
        out
    }

    fn compose_unchecked<'b>(&self, entity: Entity<'b>) -> Composition<'b> {
        let seed = self.seed.as_deref().unwrap_or(&self.message_id);
        Composition { header: self.header(), boundaries: Boundaries::new(seed, &entity), entity }
    }

    fn header(&self) -> String {
        let mut header = Header::default();
        header.raw("Date", &date::DateTime::from_unix(self.date_secs, self.date_offset_minutes).rfc_5322());
        let lists = [
            ("From", &self.from),
            ("Sender", &self.sender),
            ("Reply-To", &self.reply_to),
            ("To", &self.to),
            ("Cc", &self.cc),
            ("Bcc", &self.bcc),
        ];
        for (name, list) in lists {
            header.mailboxes(name, list);
        }
        if let Some(subject) = &self.subject {
            header.unstructured("Subject", subject);
        }
        header.message_ids("Message-ID", std::slice::from_ref(&self.message_id));
        header.message_ids("In-Reply-To", &self.in_reply_to);
        header.message_ids("References", &self.references);
        header.list(&self.list);
        for (name, text) in &self.other {
            header.unstructured(name, text);
        }
        header.raw("MIME-Version", "1.0");
        header.text
    }

    /// The content: mixed(alternative(text, related(html, inline ...)), attachment ...), as far as needed.
    fn entity(&mut self) -> Entity<'a> {
        let form = self.form;
        let inline = std::mem::take(&mut self.inline);
        let mut inline: Vec<Entity<'a>> = inline.into_iter().map(|a| Entity::file(a, "inline", form)).collect();
        let mut html = self.html.as_deref().map(|html| text_entity("html", html, form));
        if !inline.is_empty() && html.is_some() {
            let parts = html.take().into_iter().chain(std::mem::take(&mut inline)).collect();
            html = Some(Entity::multipart("related; type=\"text/html\"", parts));
        }
        let text = self.text.as_deref().map(|text| match self.text_is_flowed {
            true => text_entity("plain; format=flowed", &flowed::encode(&flowed::of_lines(text), false), form),
            false => text_entity("plain", text, form),
        });
        let body = match (text, html) {
            (Some(text), Some(html)) => Entity::multipart("alternative", vec![text, html]),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => text_entity("plain", "", form),
        };
        let files = std::mem::take(&mut self.attachments).into_iter().map(|a| Entity::file(a, "attachment", form));
        let mut loose: Vec<Entity<'a>> = inline.into_iter().chain(files).collect();
        if loose.is_empty() {
            return body;
        }
        loose.insert(0, body);
        Entity::multipart("mixed", loose)
    }
}

/// A message that only needs to be written.
pub(crate) struct Composition<'a> {
    header: String,
    boundaries: Boundaries,
    entity: Entity<'a>,
}

impl Composition<'_> {
    fn needs(&self) -> Needs {
        let mut needs = Needs { smtputf8: !self.header.is_ascii(), eight_bit: false };
        self.entity.needs(&mut needs);
        needs
    }

    fn write_to(mut self, out: &mut dyn Write) -> Result<Written, BuildError> {
        let needs = self.needs();
        let mut out = Counted { out, octets: 0 };
        out.write_all(self.header.as_bytes())?;
        self.entity.write(&mut out, &mut self.boundaries)?;
        out.flush()?;
        Ok(Written { octets: out.octets, needs })
    }
}

/// Counts what goes through.
struct Counted<'w> {
    out: &'w mut dyn Write,
    octets: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.octets += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
