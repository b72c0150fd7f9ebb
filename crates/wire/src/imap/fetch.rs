//! FETCH: the items of the command and of the response (RFC 9051 §6.4.5, §7.5.2; RFC 3516; RFC 7162 §3.1.4).
//!
//! ```abnf
//! fetch       = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
//!               [SP "(" fetch-modifier *(SP fetch-modifier) ")"]
//! fetch-att   = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822.SIZE" / "BODY" ["STRUCTURE"] / "UID" / "MODSEQ" /
//!               "BODY" [".PEEK"] section [partial] / "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary
//! section     = "[" [section-msgtext / (section-part ["." section-text])] "]"
//! partial     = "<" number64 "." nz-number64 ">"
//! msg-att     = "(" (fetch-att-name SP value) *(SP ...) ")"
//! ```

use super::body_structure::BodyStructure;
use super::cursor::{Cursor, Parsed};
use super::date::DateTime;
use super::encoder::{Encoder, push_number};
use super::envelope::EnvelopeItem;
use super::flag::Flag;
use super::limits::PAREN_DEPTH_MAX;
use super::search::{self, PartialRange};
use super::sequence_set::SequenceSet;
use super::string::Text;
use bytes::Bytes;
use smol_str::SmolStr;

/// FETCH and UID FETCH. Macros (ALL, FAST, FULL) are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// UID FETCH (the answer then always has UID).
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// In the order asked; never empty.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE (RFC 7162 §3.1.4.1).
    pub changed_since: Option<u64>,
    /// VANISHED (RFC 7162 §3.2.6).
    pub vanished: bool,
    /// PARTIAL (RFC 9394 §3.3): a window on the messages of the set.
    pub partial: Option<PartialRange>,
}

/// One data item asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FetchItem {
    Uid,
    Flags,
    InternalDate,
    Rfc822Size,
    Envelope,
    /// Without extension data.
    Body,
    BodyStructure,
    ModSeq,
    /// `BODY[...]<...>`; also Outlook's `RFC822.PEEK`, which is `BODY.PEEK[]`.
    BodySection {
        peek: bool,
        section: Section,
        partial: Option<Partial>,
    },
    /// `BINARY[1.2]<...>` (RFC 3516).
    Binary {
        peek: bool,
        part: Vec<u32>,
        partial: Option<Partial>,
    },
    /// `BINARY.SIZE[1.2]`
    BinarySize {
        part: Vec<u32>,
    },
    /// `RFC822`: as `BODY[]`, by its own name.
    Rfc822,
    /// `RFC822.HEADER`: as `BODY.PEEK[HEADER]`.
    Rfc822Header,
    /// `RFC822.TEXT`: as `BODY[TEXT]`.
    Rfc822Text,
    /// RFC 8970; LAZY: only when it costs nothing.
    Preview {
        lazy: bool,
    },
    /// RFC 8514
    SaveDate,
    /// RFC 8474
    EmailId,
    /// RFC 8474
    ThreadId,
}

/// `<offset.length>`; the answer says `<offset>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Partial {
    pub offset: u64,
    /// Never 0.
    pub length: u64,
}

/// What is between the brackets of `BODY[...]`; the default is the whole message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// `1.2.3`
    pub part: Vec<u32>,
    /// What of that part (or of the message).
    pub text: Option<SectionText>,
}

/// HEADER, TEXT and their kin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SectionText {
    Header,
    HeaderFields(Vec<String>),
    HeaderFieldsNot(Vec<String>),
    Text,
    /// Only with a part.
    Mime,
}

/// One data item of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FetchData {
    Uid(u32),
    Flags(Vec<Flag>),
    InternalDate(DateTime),
    Rfc822Size(u64),
    Envelope(Box<EnvelopeItem>),
    Body(Box<BodyStructure>),
    BodyStructure(Box<BodyStructure>),
    ModSeq(u64),
    BodySection {
        section: Section,
        origin: Option<u64>,
        data: Data,
    },
    Binary {
        part: Vec<u32>,
        origin: Option<u64>,
        data: Data,
    },
    BinarySize {
        part: Vec<u32>,
        size: u64,
    },
    Rfc822(Data),
    Rfc822Header(Data),
    Rfc822Text(Data),
    /// `None`: none was made (and none will be, unless LAZY was asked).
    Preview(Option<String>),
    /// `None`: the mailbox does not keep it.
    SaveDate(Option<DateTime>),
    EmailId(SmolStr),
    /// `None`: the server has no threads.
    ThreadId(Option<SmolStr>),
    /// Something this client does not know; as written.
    Other {
        name: String,
        value: Bytes,
    },
}

/// Octets of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// NIL
    Nil,
    /// Here they are.
    Octets(Bytes),
    /// They passed as chunks before this answer; so many.
    Streamed(u64),
}

/// Writes one `* n FETCH (...)` straight into a byte vector: the server's hot path.
#[derive(Debug)]
pub struct FetchWriter<'a> {
    /// Where to; for pieces of a literal.
    pub out: &'a mut Vec<u8>,
    pub(crate) first: bool,
}

impl<'a> FetchWriter<'a> {
    /// `* n FETCH (`
    pub fn begin(out: &'a mut Vec<u8>, number: u32) -> FetchWriter<'a> {
        out.extend_from_slice(b"* ");
        push_number(out, u64::from(number));
        out.extend_from_slice(b" FETCH (");
        FetchWriter { out, first: true }
    }
    /// `* uid UIDFETCH (` (RFC 9586 §3.3)
    pub fn begin_uid(out: &'a mut Vec<u8>, uid: u32) -> FetchWriter<'a> {
        out.extend_from_slice(b"* ");
        push_number(out, u64::from(uid));
        out.extend_from_slice(b" UIDFETCH (");
        FetchWriter { out, first: true }
    }
    /// Goes on with an answer begun earlier (the literal of an item was streamed between).
    pub fn resume(out: &'a mut Vec<u8>) -> FetchWriter<'a> {
        FetchWriter { out, first: false }
    }
    fn item(&mut self, name: &str) {
        if !self.first {
            self.out.push(b' ');
        }
        self.first = false;
        self.out.extend_from_slice(name.as_bytes());
    }
    fn number(&mut self, number: u64) {
        push_number(self.out, number);
    }
    /// `UID n`
    pub fn uid(&mut self, uid: u32) {
        self.item("UID ");
        self.number(u64::from(uid));
    }
    /// `FLAGS (...)`, each as on the wire (`\\Seen`, `$Junk`).
    pub fn flags<'f>(&mut self, flags: impl IntoIterator<Item = &'f str>) {
        self.item("FLAGS (");
        for (n, flag) in flags.into_iter().enumerate() {
            if n > 0 {
                self.out.push(b' ');
            }
            self.out.extend_from_slice(flag.as_bytes());
        }
        self.out.push(b')');
    }
    /// `INTERNALDATE "..."`
    pub fn internal_date(&mut self, date: DateTime) {
        self.item("INTERNALDATE ");
        date.encode(self.out);
    }
    /// `RFC822.SIZE n`
    pub fn rfc822_size(&mut self, size: u64) {
        self.item("RFC822.SIZE ");
        self.number(size);
    }
    /// `MODSEQ (n)`
    pub fn mod_seq(&mut self, mod_seq: u64) {
        self.item("MODSEQ (");
        self.number(mod_seq);
        self.out.push(b')');
    }
    /// `EMAILID (id)`
    pub fn email_id(&mut self, id: &str) {
        self.item("EMAILID (");
        self.out.extend_from_slice(id.as_bytes());
        self.out.push(b')');
    }
    /// `THREADID (id)` or `THREADID NIL`
    pub fn thread_id(&mut self, id: Option<&str>) {
        self.item("THREADID ");
        match id {
            Some(id) => {
                self.out.push(b'(');
                self.out.extend_from_slice(id.as_bytes());
                self.out.push(b')');
            }
            None => self.out.extend_from_slice(b"NIL"),
        }
    }
    /// `SAVEDATE "..."` or `SAVEDATE NIL`
    pub fn save_date(&mut self, date: Option<DateTime>) {
        self.item("SAVEDATE ");
        match date {
            Some(date) => date.encode(self.out),
            None => self.out.extend_from_slice(b"NIL"),
        }
    }
    /// `PREVIEW "..."` or `PREVIEW NIL`; text beyond ASCII is a literal unless `utf8`.
    pub fn preview(&mut self, text: Option<&str>, utf8: bool) {
        self.item("PREVIEW ");
        let mut e = Encoder::server(std::mem::take(self.out), utf8);
        e.nstring(text.map(str::as_bytes));
        *self.out = e.bytes;
    }
    /// `NAME value` with a value that is already rendered (ENVELOPE, BODY, BODYSTRUCTURE).
    pub fn rendered(&mut self, name: &str, value: &[u8]) {
        self.item(name);
        self.out.push(b' ');
        self.out.extend_from_slice(value);
    }
    /// `NAME {len}CRLF` (`~{len}` when `binary`); the caller appends exactly `len` octets to `out` (or the session's) next.
    pub fn literal(&mut self, name: &ItemName<'_>, len: u64, binary: bool) {
        self.item("");
        name.push(self.out);
        self.out.extend_from_slice(if binary { b" ~{" } else { b" {" });
        self.number(len);
        self.out.extend_from_slice(b"}\r\n");
    }
    /// `NAME NIL`
    pub fn nil(&mut self, name: &ItemName<'_>) {
        self.item("");
        name.push(self.out);
        self.out.extend_from_slice(b" NIL");
    }
    /// `BINARY.SIZE[1.2] n`
    pub fn binary_size(&mut self, part: &[u32], size: u64) {
        self.item("BINARY.SIZE[");
        push_part(self.out, part);
        self.out.extend_from_slice(b"] ");
        self.number(size);
    }
    /// `)CRLF`
    pub fn end(self) {
        self.out.extend_from_slice(b")\r\n");
    }
}

/// The name of an item with octets, as the answer spells it.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum ItemName<'a> {
    BodySection { section: &'a Section, origin: Option<u64> },
    Binary { part: &'a [u32], origin: Option<u64> },
    Rfc822,
    Rfc822Header,
    Rfc822Text,
}

fn push_part(out: &mut Vec<u8>, part: &[u32]) {
    for (n, number) in part.iter().enumerate() {
        if n > 0 {
            out.push(b'.');
        }
        push_number(out, u64::from(*number));
    }
}

impl ItemName<'_> {
    fn push(&self, out: &mut Vec<u8>) {
        let origin = match self {
            ItemName::BodySection { section, origin } => {
                out.extend_from_slice(b"BODY[");
                section.push(out);
                out.push(b']');
                *origin
            }
            ItemName::Binary { part, origin } => {
                out.extend_from_slice(b"BINARY[");
                push_part(out, part);
                out.push(b']');
                *origin
            }
            ItemName::Rfc822 => return out.extend_from_slice(b"RFC822"),
            ItemName::Rfc822Header => return out.extend_from_slice(b"RFC822.HEADER"),
            ItemName::Rfc822Text => return out.extend_from_slice(b"RFC822.TEXT"),
        };
        if let Some(origin) = origin {
            out.push(b'<');
            push_number(out, origin);
            out.push(b'>');
        }
    }
}

impl Section {
    /// Between the brackets.
    fn push(&self, out: &mut Vec<u8>) {
        push_part(out, &self.part);
        let Some(text) = &self.text else { return };
        if !self.part.is_empty() {
            out.push(b'.');
        }
        let (name, fields) = match text {
            SectionText::Header => ("HEADER", None),
            SectionText::HeaderFields(fields) => ("HEADER.FIELDS ", Some(fields)),
            SectionText::HeaderFieldsNot(fields) => ("HEADER.FIELDS.NOT ", Some(fields)),
            SectionText::Text => ("TEXT", None),
            SectionText::Mime => ("MIME", None),
        };
        out.extend_from_slice(name.as_bytes());
        if let Some(fields) = fields {
            // Field names are ASCII words; whatever else was asked for is quoted or a literal.
            let mut e = Encoder::server(std::mem::take(out), false);
            e.list(fields, |e, field| e.astring(field.as_bytes()));
            *out = e.bytes;
        }
    }

    /// As it stands between the brackets (or in a URL).
    pub fn from_text(text: &str) -> Option<Section> {
        let text = format!("[{text}]");
        let mut c = Cursor::new(text.as_bytes());
        Section::parse(&mut c).ok().filter(|_| c.at_end())
    }

    /// From `[` to `]`.
    fn parse(c: &mut Cursor<'_>) -> Parsed<Section> {
        c.expect(b'[', "[ is missing")?;
        let part = part(c)?;
        if c.eat(b']') {
            return Ok(Section { part, text: None });
        }
        if !part.is_empty() {
            c.expect(b'.', "a section is numbers and then HEADER, TEXT or MIME")?;
        }
        let text = if c.eat_text("HEADER.FIELDS.NOT") {
            SectionText::HeaderFieldsNot(header_list(c)?)
        } else if c.eat_text("HEADER.FIELDS") {
            SectionText::HeaderFields(header_list(c)?)
        } else if c.eat_text("HEADER") {
            SectionText::Header
        } else if c.eat_text("TEXT") {
            SectionText::Text
        } else if !part.is_empty() && c.eat_text("MIME") {
            SectionText::Mime
        } else {
            return c.error("unknown section");
        };
        c.expect(b']', "] is missing")?;
        Ok(Section { part, text: Some(text) })
    }
}

fn header_list(c: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    c.space()?;
    c.list(false, |c| c.astring().map(|field| String::from_utf8_lossy(&field).into_owned()))
}

/// `1.2.3` or nothing; the dot before a word is left.
fn part(c: &mut Cursor<'_>) -> Parsed<Vec<u32>> {
    let mut part = Vec::new();
    if !c.peek().is_some_and(|b| b.is_ascii_digit()) {
        return Ok(part);
    }
    loop {
        if part.len() > PAREN_DEPTH_MAX {
            return c.error("a section goes too deep");
        }
        part.push(c.nz_number()?);
        if c.peek() != Some(b'.') || !c.peek_at(1).is_some_and(|b| b.is_ascii_digit()) {
            return Ok(part);
        }
        c.at += 1;
    }
}

fn binary_part(c: &mut Cursor<'_>) -> Parsed<Vec<u32>> {
    c.expect(b'[', "[ is missing")?;
    let part = part(c)?;
    c.expect(b']', "] is missing")?;
    Ok(part)
}

fn partial(c: &mut Cursor<'_>) -> Parsed<Option<Partial>> {
    if !c.eat(b'<') {
        return Ok(None);
    }
    let offset = c.number64()?;
    c.expect(b'.', "a partial is <offset.length>")?;
    let length = c.number64()?;
    c.expect(b'>', "a partial is <offset.length>")?;
    if length == 0 { c.error("a partial's length is 0") } else { Ok(Some(Partial { offset, length })) }
}

/// Letters, digits and dots: the name of an item.
fn item_word<'a>(c: &mut Cursor<'a>) -> &'a [u8] {
    c.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'$'))
}

impl FetchItem {
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<FetchItem> {
        let word = item_word(c).to_ascii_uppercase();
        let section = c.peek() == Some(b'[');
        Ok(match (word.as_slice(), section) {
            (b"UID", _) => FetchItem::Uid,
            (b"FLAGS", _) => FetchItem::Flags,
            (b"INTERNALDATE", _) => FetchItem::InternalDate,
            (b"RFC822.SIZE", _) => FetchItem::Rfc822Size,
            (b"ENVELOPE", _) => FetchItem::Envelope,
            (b"BODY", false) => FetchItem::Body,
            (b"BODYSTRUCTURE", _) => FetchItem::BodyStructure,
            (b"MODSEQ", _) => FetchItem::ModSeq,
            (b"BODY", true) => FetchItem::BodySection { peek: false, section: Section::parse(c)?, partial: partial(c)? },
            (b"BODY.PEEK", true) => FetchItem::BodySection { peek: true, section: Section::parse(c)?, partial: partial(c)? },
            (b"BINARY", true) => FetchItem::Binary { peek: false, part: binary_part(c)?, partial: partial(c)? },
            (b"BINARY.PEEK", true) => FetchItem::Binary { peek: true, part: binary_part(c)?, partial: partial(c)? },
            (b"BINARY.SIZE", true) => FetchItem::BinarySize { part: binary_part(c)? },
            (b"RFC822", _) => FetchItem::Rfc822,
            (b"RFC822.HEADER", _) => FetchItem::Rfc822Header,
            (b"RFC822.TEXT", _) => FetchItem::Rfc822Text,
            (b"PREVIEW", _) => FetchItem::Preview { lazy: c.eat_text(" (LAZY)") },
            (b"SAVEDATE", _) => FetchItem::SaveDate,
            (b"EMAILID", _) => FetchItem::EmailId,
            (b"THREADID", _) => FetchItem::ThreadId,
            // No RFC has it; Outlook asks for it (lessons C8).
            (b"RFC822.PEEK", _) => FetchItem::BodySection { peek: true, section: Section::default(), partial: None },
            _ => return c.error("unknown FETCH item"),
        })
    }

    /// ALL, FAST, FULL (RFC 9051 §6.4.5); only when they stand alone.
    fn parse_macro(c: &mut Cursor<'_>) -> Option<Vec<FetchItem>> {
        use FetchItem as F;
        let mut ahead = c.clone();
        let items = match item_word(&mut ahead).to_ascii_uppercase().as_slice() {
            b"FAST" => vec![F::Flags, F::InternalDate, F::Rfc822Size],
            b"ALL" => vec![F::Flags, F::InternalDate, F::Rfc822Size, F::Envelope],
            b"FULL" => vec![F::Flags, F::InternalDate, F::Rfc822Size, F::Envelope, F::Body],
            _ => return None,
        };
        c.at = ahead.at;
        Some(items)
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        let word = match self {
            FetchItem::Preview { lazy: false } => "PREVIEW",
            FetchItem::Preview { lazy: true } => "PREVIEW (LAZY)",
            FetchItem::SaveDate => "SAVEDATE",
            FetchItem::EmailId => "EMAILID",
            FetchItem::ThreadId => "THREADID",
            FetchItem::Uid => "UID",
            FetchItem::Flags => "FLAGS",
            FetchItem::InternalDate => "INTERNALDATE",
            FetchItem::Rfc822Size => "RFC822.SIZE",
            FetchItem::Envelope => "ENVELOPE",
            FetchItem::Body => "BODY",
            FetchItem::BodyStructure => "BODYSTRUCTURE",
            FetchItem::ModSeq => "MODSEQ",
            FetchItem::Rfc822 => "RFC822",
            FetchItem::Rfc822Header => "RFC822.HEADER",
            FetchItem::Rfc822Text => "RFC822.TEXT",
            FetchItem::BodySection { peek: false, .. } => "BODY[",
            FetchItem::BodySection { peek: true, .. } => "BODY.PEEK[",
            FetchItem::Binary { peek: false, .. } => "BINARY[",
            FetchItem::Binary { peek: true, .. } => "BINARY.PEEK[",
            FetchItem::BinarySize { .. } => "BINARY.SIZE[",
        };
        e.raw(word);
        let partial = match self {
            FetchItem::BodySection { section, partial, .. } => {
                section.push(&mut e.bytes);
                partial
            }
            FetchItem::Binary { part, partial, .. } => {
                push_part(&mut e.bytes, part);
                partial
            }
            FetchItem::BinarySize { part } => {
                push_part(&mut e.bytes, part);
                &None
            }
            _ => return,
        };
        e.raw("]");
        if let Some(Partial { offset, length }) = partial {
            e.raw(format!("<{offset}.{length}>"));
        }
    }
}

impl Fetch {
    /// After `FETCH` or `UID FETCH`.
    pub(crate) fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Fetch> {
        c.space()?;
        let set = SequenceSet::parse(c)?;
        c.space()?;
        let items = if c.peek() == Some(b'(') {
            c.list(false, FetchItem::parse)?
        } else if let Some(items) = FetchItem::parse_macro(c) {
            items
        } else {
            vec![FetchItem::parse(c)?]
        };
        let mut fetch = Fetch { uid, set, items, changed_since: None, vanished: false, partial: None };
        if c.eat_space() {
            c.list(false, |c| {
                if c.eat_text("CHANGEDSINCE ") {
                    c.skip_spaces();
                    fetch.changed_since = Some(c.mod_seq()?);
                } else if c.eat_text("VANISHED") {
                    fetch.vanished = true;
                } else if c.eat_text("PARTIAL ") {
                    c.skip_spaces();
                    fetch.partial = Some(PartialRange::parse(c)?);
                } else {
                    return c.error("unknown FETCH modifier");
                }
                Ok(())
            })?;
        }
        if fetch.vanished && !(uid && fetch.changed_since.is_some()) {
            return c.error("VANISHED goes with UID FETCH and CHANGEDSINCE only");
        }
        if fetch.partial.is_some() && !uid {
            return c.error("PARTIAL goes with UID FETCH only");
        }
        Ok(fetch)
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(if self.uid { "UID FETCH " } else { "FETCH " });
        self.set.encode(e);
        e.raw(" ");
        e.list(&self.items, |e, item| item.encode(e));
        let mut before = " (";
        if let Some(mod_seq) = self.changed_since {
            e.raw(format!("{before}CHANGEDSINCE {mod_seq}"));
            e.raw(if self.vanished { " VANISHED" } else { "" });
            before = " ";
        }
        if let Some(partial) = self.partial {
            e.raw(format!("{before}PARTIAL "));
            partial.encode(e);
            before = " ";
        }
        e.raw(if before == " " { ")" } else { "" });
    }
}

impl Data {
    fn parse(c: &mut Cursor<'_>) -> Parsed<Data> {
        if c.eat_nil() {
            return Ok(Data::Nil);
        }
        Ok(match c.string_text()? {
            Text::Octets(octets) => Data::Octets(Bytes::from(octets.into_owned())),
            Text::Streamed(len) => Data::Streamed(len),
        })
    }
}

fn origin(c: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if !c.eat(b'<') {
        return Ok(None);
    }
    let origin = c.number64()?;
    c.expect(b'>', "> is missing")?;
    Ok(Some(origin))
}

fn parenthesised_id(c: &mut Cursor<'_>) -> Parsed<SmolStr> {
    c.open()?;
    let id = search::object_id(c)?;
    c.close()?;
    Ok(id)
}

impl FetchData {
    /// `msg-att`, with its parentheses; items unknown here are kept as written.
    pub(crate) fn parse_list(c: &mut Cursor<'_>) -> Parsed<Vec<FetchData>> {
        c.list(true, FetchData::parse)
    }

    /// After `(`: the items that are whole, up to the one whose literal is still coming.
    pub(crate) fn parse_so_far(c: &mut Cursor<'_>) -> Vec<FetchData> {
        let mut items = Vec::new();
        while let Ok(item) = FetchData::parse(c) {
            items.push(item);
            c.skip_spaces();
        }
        items
    }

    fn parse(c: &mut Cursor<'_>) -> Parsed<FetchData> {
        let word = item_word(c);
        let name = word.to_ascii_uppercase();
        if c.peek() == Some(b'[') {
            return FetchData::parse_section(c, &name);
        }
        c.space()?;
        Ok(match name.as_slice() {
            b"UID" => FetchData::Uid(c.nz_number()?),
            b"FLAGS" => FetchData::Flags(c.list(true, Flag::parse)?),
            b"INTERNALDATE" => FetchData::InternalDate(DateTime::parse(c)?),
            b"RFC822.SIZE" => FetchData::Rfc822Size(c.tolerant_number()?),
            b"ENVELOPE" => FetchData::Envelope(Box::new(EnvelopeItem::parse(c)?)),
            b"BODY" => FetchData::Body(Box::new(BodyStructure::parse(c)?)),
            b"BODYSTRUCTURE" => FetchData::BodyStructure(Box::new(BodyStructure::parse(c)?)),
            b"MODSEQ" => {
                c.open()?;
                let mod_seq = c.mod_seq()?;
                c.close()?;
                FetchData::ModSeq(mod_seq)
            }
            b"PREVIEW" => FetchData::Preview(c.nstring()?.map(|octets| String::from_utf8_lossy(&octets).into_owned())),
            b"SAVEDATE" => FetchData::SaveDate(if c.eat_nil() { None } else { Some(DateTime::parse(c)?) }),
            b"EMAILID" => FetchData::EmailId(parenthesised_id(c)?),
            b"THREADID" => FetchData::ThreadId(if c.eat_nil() { None } else { Some(parenthesised_id(c)?) }),
            b"RFC822" => FetchData::Rfc822(Data::parse(c)?),
            b"RFC822.HEADER" => FetchData::Rfc822Header(Data::parse(c)?),
            b"RFC822.TEXT" => FetchData::Rfc822Text(Data::parse(c)?),
            b"" => return c.error("a FETCH item is missing"),
            _ => {
                let value = c.skip_value()?;
                FetchData::Other { name: String::from_utf8_lossy(word).into_owned(), value: Bytes::copy_from_slice(value) }
            }
        })
    }

    fn parse_section(c: &mut Cursor<'_>, name: &[u8]) -> Parsed<FetchData> {
        match name {
            b"BODY" => {
                let (section, origin) = (Section::parse(c)?, origin(c)?);
                c.space()?;
                Ok(FetchData::BodySection { section, origin, data: Data::parse(c)? })
            }
            b"BINARY" => {
                let (part, origin) = (binary_part(c)?, origin(c)?);
                c.space()?;
                Ok(FetchData::Binary { part, origin, data: Data::parse(c)? })
            }
            b"BINARY.SIZE" => {
                let part = binary_part(c)?;
                c.space()?;
                Ok(FetchData::BinarySize { part, size: c.tolerant_number()? })
            }
            _ => c.error("unknown FETCH item with a section"),
        }
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        let utf8 = e.utf8;
        let mut w = FetchWriter { out: &mut e.bytes, first: true };
        match self {
            FetchData::Uid(uid) => w.uid(*uid),
            FetchData::InternalDate(date) => w.internal_date(*date),
            FetchData::Rfc822Size(size) => w.rfc822_size(*size),
            FetchData::SaveDate(date) => w.save_date(*date),
            FetchData::EmailId(id) => w.email_id(id),
            FetchData::ThreadId(id) => w.thread_id(id.as_deref()),
            FetchData::Preview(text) => w.preview(text.as_deref(), utf8),
            FetchData::ModSeq(mod_seq) => w.mod_seq(*mod_seq),
            FetchData::BinarySize { part, size } => w.binary_size(part, *size),
            FetchData::Other { name, value } => w.rendered(name, value),
            FetchData::BodySection { section, origin, data } => {
                data.encode(&mut w, &ItemName::BodySection { section, origin: *origin })
            }
            FetchData::Binary { part, origin, data } => data.encode(&mut w, &ItemName::Binary { part, origin: *origin }),
            FetchData::Rfc822(data) => data.encode(&mut w, &ItemName::Rfc822),
            FetchData::Rfc822Header(data) => data.encode(&mut w, &ItemName::Rfc822Header),
            FetchData::Rfc822Text(data) => data.encode(&mut w, &ItemName::Rfc822Text),
            FetchData::Flags(flags) => {
                e.raw("FLAGS ");
                e.list(flags, |e, flag| flag.encode(e));
            }
            FetchData::Envelope(envelope) => {
                e.raw("ENVELOPE ");
                envelope.encode(e);
            }
            FetchData::Body(body) => {
                e.raw("BODY ");
                body.encode(e);
            }
            FetchData::BodyStructure(body) => {
                e.raw("BODYSTRUCTURE ");
                body.encode(e);
            }
        }
    }
}

impl Data {
    /// With its name. Streamed data cannot be written again: they are gone, which NIL says.
    fn encode(&self, w: &mut FetchWriter<'_>, name: &ItemName<'_>) {
        match self {
            Data::Octets(octets) => {
                w.literal(name, octets.len() as u64, octets.contains(&0));
                w.out.extend_from_slice(octets);
            }
            Data::Nil | Data::Streamed(_) => w.nil(name),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let uid = c.eat_text("UID ");
        c.eat_text("FETCH").then_some(())?;
        let fetch = Fetch::parse(&mut c, uid).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        fetch.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn commands_both_ways() {
        for text in [
            "FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE MODSEQ)",
            "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 VANISHED)",
            "FETCH 2:4 (BODY[] BODY.PEEK[]<0.2048> BODY[TEXT] BODY[1.2.MIME] BODY[4.2.1]<10.5>)",
            "FETCH 1 (BODY.PEEK[HEADER.FIELDS (Date From \"a b\")] BODY[3.HEADER.FIELDS.NOT (X)] BODY[3.HEADER])",
            "FETCH 1 (BINARY[1.2] BINARY.PEEK[1]<0.10> BINARY.SIZE[2] BINARY[])",
            "FETCH $ (RFC822 RFC822.HEADER RFC822.TEXT) (CHANGEDSINCE 0)",
            "FETCH 1 (PREVIEW SAVEDATE EMAILID THREADID PREVIEW (LAZY))",
            "UID FETCH 25900:26600 (FLAGS) (CHANGEDSINCE 12345 PARTIAL -1:-30)",
            "UID FETCH 1:* (UID) (PARTIAL 1:500)",
        ] {
            assert_eq!(read(text).unwrap(), text);
        }
    }

    #[test]
    fn other_spellings_mean_the_same() {
        for (text, same) in [
            ("FETCH 1 FLAGS", "FETCH 1 (FLAGS)"),
            ("FETCH 1 all", "FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"),
            ("FETCH 1 fast ", "FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE)"),
            ("FETCH 1 FULL", "FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY)"),
            ("FETCH 1 RFC822.PEEK", "FETCH 1 (BODY.PEEK[])"),
            ("UID FETCH 1 body.peek[header.fields (subject)]", "UID FETCH 1 (BODY.PEEK[HEADER.FIELDS (subject)])"),
        ] {
            assert_eq!(read(text).unwrap(), same);
        }
        for bad in [
            "FETCH 1",
            "FETCH 1 ()",
            "FETCH FLAGS",
            "FETCH 1 (ALL)",
            "FETCH 1 ALLX",
            "FETCH 1 FOO",
            "FETCH 1 BODY[",
            "FETCH 1 BODY[0]",
            "FETCH 1 BODY[MIME]",
            "FETCH 1 BODY[]<1.0>",
            "FETCH 1 BODY[]<1>",
            "FETCH 1 BODY[1.FOO]",
            "FETCH 1 BODY.PEEK",
            "FETCH 1 BODY[HEADER.FIELDS ()]",
            "FETCH 1 FLAGS (VANISHED)",
            "UID FETCH 1 FLAGS (VANISHED)",
            "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
            "FETCH 1 FLAGS (PARTIAL 1:5)",
            "FETCH 1 (FLAGS",
            "FETCH 1 FLAGSX",
            "FETCH 1 FLAGS FLAGS",
            "FETCH 1 BINARY[1.TEXT]",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn answers_both_ways() {
        let wire = b"(UID 7 FLAGS (\\Seen a) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 44827 MODSEQ (65402) \
BODY[HEADER.FIELDS (Date)]<10> {3}\r\na\r\n BODY[2] NIL BINARY[1]<0> ~{2}\r\n\0a BINARY.SIZE[1.2] 5 RFC822.TEXT {0}\r\n X-FOO (a \"b)\" ({1}\r\n))))";
        let mut c = Cursor::new(wire);
        let items = FetchData::parse_list(&mut c).unwrap();
        assert!(c.at_end());
        assert_eq!(items.len(), 11);
        let mut e = Encoder::server(Vec::new(), false);
        e.list(&items, |e, item| item.encode(e));
        assert_eq!(String::from_utf8_lossy(&e.bytes), String::from_utf8_lossy(wire));
    }

    #[test]
    fn the_writer_writes_what_the_client_reads() {
        let mut out = Vec::new();
        let section = Section { part: vec![1], text: Some(SectionText::Mime) };
        let mut w = FetchWriter::begin(&mut out, 12);
        w.uid(7);
        w.flags(["\\Seen", "$Junk"]);
        w.rfc822_size(5);
        w.mod_seq(9);
        w.internal_date(DateTime::utc(0));
        w.literal(&ItemName::BodySection { section: &section, origin: Some(3) }, 2, false);
        w.out.extend_from_slice(b"hi");
        let mut w = FetchWriter::resume(&mut out);
        w.nil(&ItemName::Binary { part: &[1, 2], origin: None });
        w.binary_size(&[1], 8);
        w.rendered("ENVELOPE", b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        w.end();
        let expected = "* 12 FETCH (UID 7 FLAGS (\\Seen $Junk) RFC822.SIZE 5 MODSEQ (9) INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\" \
BODY[1.MIME]<3> {2}\r\nhi BINARY[1.2] NIL BINARY.SIZE[1] 8 ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL))\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        let mut c = Cursor::new(&out[11..out.len() - 2]);
        assert_eq!(FetchData::parse_list(&mut c).unwrap().len(), 9);
    }
}
