//! A parsed message as a tree of parts over the stored octets (RFC 2045, RFC 2046).
//!
//! Every part is two byte ranges, header and body; content is decoded when it is asked for, whole, in pieces or as text.
//! Invariant: a part borrows from the message and owns nothing of its size.
//! Must not know: how the tree was found (`parse`), what is wrong with it (`examine`).

use std::borrow::Cow;
use std::ops::Range;

use crate::charset;
use crate::content::{ContentType, Disposition};
use crate::defect::Defect;
use crate::header::{Field, Fields, fields};
use crate::transfer::{self, Contents, Decoder, TransferEncoding};

/// What is inside a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum PartKind {
    /// Content.
    #[default]
    Leaf = 0,
    /// One or more parts.
    Multipart = 1,
    /// One message (message/rfc822, message/global), not encoded.
    Message = 2,
}

/// One entity: the message itself, a part, or the message inside a message/rfc822 part.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The octets of the whole message.
    pub(crate) bytes: &'a [u8],
    /// Index in [`Message::parts`]; `None` for the message itself.
    pub parent: Option<usize>,
    /// Indexes of parts (multipart), or of the one message inside.
    pub children: Vec<usize>,
    /// What is inside.
    pub kind: PartKind,
    /// True for the message itself and for messages inside: the header is a message's header.
    pub is_entire_message: bool,
    /// Header with its empty line.
    pub header: Range<usize>,
    /// Body, without the line end that belongs to the next boundary (RFC 2046 §5.1.1).
    pub body: Range<usize>,
    /// Line ends in the body.
    pub lines: u32,
    /// As it counts: defaults and RFC 2045 §5.2 applied. A multipart is always one that has parts.
    pub content_type: ContentType<'a>,
    /// Content-Transfer-Encoding.
    pub encoding: TransferEncoding,
    /// Its word when it is none we know, upper-case.
    pub encoding_word: Option<smol_str::SmolStr>,
    /// Content-Disposition.
    pub disposition: Option<Disposition<'a>>,
    /// Content-ID, raw; [`Part::content_id`] is it without brackets.
    pub id: Option<Cow<'a, [u8]>>,
    /// Content-Description, raw.
    pub description: Option<Cow<'a, [u8]>>,
    /// Content-MD5, raw.
    pub md5: Option<Cow<'a, [u8]>>,
    /// Content-Location, raw.
    pub location: Option<Cow<'a, [u8]>>,
    /// Content-Language.
    pub language: Vec<Vec<u8>>,
}

impl<'a> Part<'a> {
    /// Header and body.
    ///
    /// ```
    /// assert_eq!(message::parse(b"A: b\r\n\r\nhi").root().whole(), 0..10);
    /// ```
    pub fn whole(&self) -> Range<usize> {
        self.header.start..self.body.end
    }

    /// The octets of the header with its empty line.
    ///
    /// ```
    /// assert_eq!(message::parse(b"A: b\r\n\r\nhi").root().raw_header(), b"A: b\r\n\r\n");
    /// ```
    pub fn raw_header(&self) -> &'a [u8] {
        self.bytes.get(self.header.clone()).unwrap_or_default()
    }

    /// The octets of the body, still encoded: what a signature is over (RFC 1847) and what `BODY[1]` sends.
    ///
    /// ```
    /// assert_eq!(message::parse(b"A: b\r\n\r\nhi").root().raw_body(), b"hi");
    /// ```
    pub fn raw_body(&self) -> &'a [u8] {
        self.bytes.get(self.body.clone()).unwrap_or_default()
    }

    /// Header and body as they stand.
    ///
    /// ```
    /// assert_eq!(message::parse(b"A: b\r\n\r\nhi").root().raw(), b"A: b\r\n\r\nhi");
    /// ```
    pub fn raw(&self) -> &'a [u8] {
        self.bytes.get(self.whole()).unwrap_or_default()
    }

    /// The header's fields, in order.
    ///
    /// ```
    /// let message = message::parse(b"A: b\r\nC: d\r\n\r\n");
    /// assert_eq!(message.root().fields().count(), 2);
    /// ```
    pub fn fields(&self) -> Fields<'a> {
        fields(self.raw_header())
    }

    /// The first field of that name.
    ///
    /// ```
    /// let message = message::parse(b"Subject: =?utf-8?Q?=E2=98=BA?=\r\n\r\n");
    /// assert_eq!(message.root().field("subject").unwrap().text(), "☺");
    /// ```
    pub fn field(&self, name: &str) -> Option<Field<'a>> {
        self.fields().find(|f| f.is(name))
    }

    /// The content, decoded; borrowed where nothing is to decode. A multipart, a message, and a leaf in an encoding nobody
    /// knows go as they stand.
    ///
    /// ```
    /// let message = message::parse(b"Content-Transfer-Encoding: base64\r\n\r\naGVs!!bG8g\r\nd29ybGQ");
    /// assert_eq!(message.root().content().as_ref(), b"hello world");
    /// ```
    pub fn content(&self) -> Cow<'a, [u8]> {
        transfer::decode_cow(self.applied_encoding(), self.raw_body())
    }

    /// The content in pieces of bounded size, for what is too large to hold.
    ///
    /// ```
    /// let message = message::parse(b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=\r\nb");
    /// let whole: Vec<u8> = message.root().contents().flat_map(|piece| piece.into_owned()).collect();
    /// assert_eq!(whole, b"ab");
    /// ```
    pub fn contents(&self) -> Contents<'a> {
        Contents::new(self.applied_encoding(), self.raw_body())
    }

    /// A decoder at the start of this body, for octets that are read elsewhere.
    ///
    /// ```
    /// let message = message::parse(b"Content-Transfer-Encoding: base64\r\n\r\naGk=");
    /// let (mut decoder, mut out) = (message.root().decoder(), Vec::new());
    /// decoder.push(b"aG", &mut out);
    /// decoder.push(b"k=", &mut out);
    /// decoder.finish(&mut out);
    /// assert_eq!(out, b"hi");
    /// ```
    pub fn decoder(&self) -> Decoder {
        Decoder::new(self.applied_encoding())
    }

    /// Octets of the decoded content, counted without keeping it; `None` for an encoding nobody knows.
    ///
    /// ```
    /// assert_eq!(message::parse(b"Content-Transfer-Encoding: base64\r\n\r\naGk=").root().content_len(), Some(2));
    /// ```
    pub fn content_len(&self) -> Option<u64> {
        transfer::decoded_len(self.applied_encoding(), self.raw_body())
    }

    /// The encoding as it counts: only a leaf's is applied (RFC 2045 §6.4).
    fn applied_encoding(&self) -> TransferEncoding {
        if self.kind == PartKind::Leaf { self.encoding } else { TransferEncoding::Binary }
    }

    /// True for a leaf that is `text/*`.
    ///
    /// ```
    /// assert!(message::parse(b"\r\nhi").root().is_text());
    /// ```
    pub fn is_text(&self) -> bool {
        self.kind == PartKind::Leaf && self.content_type.main == "text"
    }

    /// True for what Outlook packs (winmail.dat).
    pub(crate) fn is_tnef(&self) -> bool {
        self.kind == PartKind::Leaf
            && self.content_type.main == "application"
            && matches!(self.content_type.sub.as_str(), "ms-tnef" | "vnd.ms-tnef")
    }

    /// The charset named, raw; `None` where none is named.
    ///
    /// ```
    /// assert_eq!(message::parse(b"Content-Type: text/html; charset=\"KOI8-R\"\r\n\r\n").root().charset(), Some(&b"KOI8-R"[..]));
    /// ```
    pub fn charset(&self) -> Option<&[u8]> {
        self.content_type.parameters.get("charset")
    }

    /// The content of a text part as text; `None` for what is no text.
    ///
    /// ```
    /// let message = message::parse(b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe");
    /// assert_eq!(message.root().text().as_deref(), Some("Grüße"));
    /// ```
    pub fn text(&self) -> Option<Cow<'a, str>> {
        self.is_text().then(|| charset::decode_cow(self.charset().unwrap_or_default(), self.content()))
    }

    /// File name for people: Content-Disposition's, else Content-Type's `name`. It may hold anything: it is no path.
    ///
    /// ```
    /// let message = message::parse(b"Content-Disposition: attachment; filename*=utf-8''p%C3%A4.png\r\n\r\n");
    /// assert_eq!(message.root().file_name().as_deref(), Some("pä.png"));
    /// ```
    pub fn file_name(&self) -> Option<String> {
        let disposition = self.disposition.as_ref().and_then(|d| d.parameters.decoded("filename"));
        disposition.or_else(|| self.content_type.parameters.decoded("name"))
    }

    /// Content-ID without its angle brackets: what `cid:` names (RFC 2392).
    ///
    /// ```
    /// assert_eq!(message::parse(b"Content-ID: <a@b>\r\n\r\n").root().content_id(), Some(&b"a@b"[..]));
    /// ```
    pub fn content_id(&self) -> Option<&[u8]> {
        let id = self.id.as_deref()?.trim_ascii();
        let id = id.strip_prefix(b"<").unwrap_or(id);
        let id = id.strip_suffix(b">").unwrap_or(id);
        (!id.is_empty()).then_some(id)
    }

    /// True where Content-Disposition says `attachment`.
    ///
    /// ```
    /// assert!(message::parse(b"Content-Disposition: Attachment\r\n\r\n").root().is_attachment());
    /// ```
    pub fn is_attachment(&self) -> bool {
        self.disposition.as_ref().is_some_and(|d| d.kind == "attachment")
    }
}

/// A parsed message.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// What was parsed.
    pub bytes: &'a [u8],
    /// Depth first; the message itself is first, and every parent stands before its children. Never empty.
    pub parts: Vec<Part<'a>>,
    /// What was repaired on the way; [`Message::examine`] finds also what only decoding shows.
    pub defects: Vec<Defect>,
}

impl<'a> Message<'a> {
    /// The message itself.
    ///
    /// ```
    /// assert!(message::parse(b"").root().is_entire_message);
    /// ```
    #[allow(clippy::indexing_slicing, reason = "the parser always makes the message itself")]
    pub fn root(&self) -> &Part<'a> {
        &self.parts[0]
    }

    /// The parts directly inside a part, with their indexes.
    ///
    /// ```
    /// let message = message::parse(b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\none\r\n--a--\r\n");
    /// assert_eq!(message.children(0).map(|(_, part)| part.raw_body()).collect::<Vec<_>>(), [b"one"]);
    /// ```
    pub fn children(&self, index: usize) -> impl Iterator<Item = (usize, &Part<'a>)> {
        let children = self.parts.get(index).map(|p| p.children.as_slice()).unwrap_or_default();
        children.iter().filter_map(|i| self.parts.get(*i).map(|part| (*i, part)))
    }

    /// The number of a part as IMAP counts (RFC 9051 §6.4.5). The message itself, and a message inside, whose number is that
    /// of the part around it, have their own body as part 1 when they are no multipart.
    ///
    /// ```
    /// let message = message::parse(b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\none\r\n--a\r\n\r\ntwo\r\n--a--\r\n");
    /// assert_eq!((message.path(0), message.path(2)), (vec![], vec![2]));
    /// ```
    pub fn path(&self, index: usize) -> Vec<u32> {
        let mut path = Vec::new();
        let mut at = index;
        while let Some((part, parent)) = self.parts.get(at).and_then(|p| p.parent.map(|parent| (p, parent))) {
            let around = self.parts.get(parent);
            if !part.is_entire_message {
                let place = around.and_then(|p| p.children.iter().position(|c| *c == at)).unwrap_or_default();
                path.push(u32::try_from(place + 1).unwrap_or(u32::MAX));
            } else if around.is_some_and(|p| p.is_entire_message) {
                // A message whose whole body is a message: that body is part 1.
                path.push(1);
            }
            at = parent;
        }
        path.reverse();
        path
    }

    /// Body octets of a part, still encoded.
    pub fn body(&self, part: &Part<'_>) -> &'a [u8] {
        self.bytes.get(part.body.clone()).unwrap_or_default()
    }

    /// Header octets of a part.
    ///
    /// ```
    /// let message = message::parse(b"Subject: x\r\n\r\nhello");
    /// assert_eq!((message.header(message.root()), message.body(message.root())), (&b"Subject: x\r\n\r\n"[..], &b"hello"[..]));
    /// ```
    pub fn header(&self, part: &Part<'_>) -> &'a [u8] {
        self.bytes.get(part.header.clone()).unwrap_or_default()
    }

    /// The charset that raw octets in the header are probably in: that of the first text part that names one.
    ///
    /// ```
    /// let message = message::parse(b"Content-Type: text/plain; charset=koi8-r\r\nSubject: \xd0\xd2\xc9\r\n\r\n");
    /// assert_eq!(message.header_charset(), Some(&b"koi8-r"[..]));
    /// ```
    pub fn header_charset(&self) -> Option<&[u8]> {
        self.parts.iter().filter(|p| p.is_text()).find_map(Part::charset)
    }
}
