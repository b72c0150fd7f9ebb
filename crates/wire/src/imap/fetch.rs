//! FETCH: the items of the command and of the response (RFC 9051 §6.4.5, §7.5.2; RFC 3516; RFC 7162 §3.1.4).

use super::body_structure::BodyStructure;
use super::date::DateTime;
use super::envelope::EnvelopeItem;
use super::flag::Flag;
use super::sequence_set::SequenceSet;
use bytes::Bytes;

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
    BodySection { peek: bool, section: Section, partial: Option<Partial> },
    /// `BINARY[1.2]<...>` (RFC 3516).
    Binary { peek: bool, part: Vec<u32>, partial: Option<Partial> },
    /// `BINARY.SIZE[1.2]`
    BinarySize { part: Vec<u32> },
    /// `RFC822`: as `BODY[]`, by its own name.
    Rfc822,
    /// `RFC822.HEADER`: as `BODY.PEEK[HEADER]`.
    Rfc822Header,
    /// `RFC822.TEXT`: as `BODY[TEXT]`.
    Rfc822Text,
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
    BodySection { section: Section, origin: Option<u64>, data: Data },
    Binary { part: Vec<u32>, origin: Option<u64>, data: Data },
    BinarySize { part: Vec<u32>, size: u64 },
    Rfc822(Data),
    Rfc822Header(Data),
    Rfc822Text(Data),
    /// Something this client does not know; as written.
    Other { name: String, value: Bytes },
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

#[allow(clippy::todo, unused_variables, missing_docs)]
impl<'a> FetchWriter<'a> {
    /// `* n FETCH (`
    pub fn begin(out: &'a mut Vec<u8>, number: u32) -> FetchWriter<'a> { todo!() }
    /// Goes on with an answer begun earlier (the literal of an item was streamed between).
    pub fn resume(out: &'a mut Vec<u8>) -> FetchWriter<'a> { FetchWriter { out, first: false } }
    pub fn uid(&mut self, uid: u32) { todo!() }
    pub fn flags<'f>(&mut self, flags: impl IntoIterator<Item = &'f str>) { todo!() }
    pub fn internal_date(&mut self, date: DateTime) { todo!() }
    pub fn rfc822_size(&mut self, size: u64) { todo!() }
    pub fn mod_seq(&mut self, mod_seq: u64) { todo!() }
    /// `NAME value` with a value that is already rendered (ENVELOPE, BODY, BODYSTRUCTURE).
    pub fn rendered(&mut self, name: &str, value: &[u8]) { todo!() }
    /// `NAME {len}CRLF` (`~{len}` when `binary`); the caller appends exactly `len` octets to `out` (or the session's) next.
    pub fn literal(&mut self, name: &ItemName<'_>, len: u64, binary: bool) { todo!() }
    /// `NAME NIL`
    pub fn nil(&mut self, name: &ItemName<'_>) { todo!() }
    /// `BINARY.SIZE[1.2] n`
    pub fn binary_size(&mut self, part: &[u32], size: u64) { todo!() }
    /// `)CRLF`
    pub fn end(self) { todo!() }
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
