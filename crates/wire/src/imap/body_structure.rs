//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2), as a client reads them; tolerant.
//!
//! ```abnf
//! body           = "(" (body-type-1part / body-type-mpart) ")"
//! body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
//! body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part]
//! body-fields    = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP body-fld-octets
//! body-ext-1part = body-fld-md5 [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc *(SP body-extension)]]]
//! body-ext-mpart = body-fld-param [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc *(SP body-extension)]]]
//! ```
//!
//! Tolerated: NIL for a word or number, a multipart without parts (GMail's `("ALTERNATIVE")`), unknown extensions.

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::envelope::{EnvelopeItem, NString, nstring};
use bytes::Bytes;

/// A part and what is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BodyStructure {
    Multipart { parts: Vec<BodyStructure>, subtype: Bytes, extension: Option<Extension> },
    Single(Box<SinglePart>),
}

/// A part that is no multipart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct SinglePart {
    pub media_type: Bytes,
    pub subtype: Bytes,
    pub parameters: Vec<(Bytes, Bytes)>,
    pub id: NString,
    pub description: NString,
    pub encoding: Bytes,
    pub size: u64,
    /// message/rfc822 and message/global.
    pub message: Option<(Box<EnvelopeItem>, Box<BodyStructure>)>,
    /// text/* and message/rfc822.
    pub lines: Option<u64>,
    pub md5: NString,
    pub extension: Option<Extension>,
}

/// Content-Disposition (RFC 2183): the word and its parameters.
pub type Disposition = (Bytes, Vec<(Bytes, Bytes)>);

/// Extension data common to both kinds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Extension {
    /// Multiparts only (a single part has them in front).
    pub parameters: Vec<(Bytes, Bytes)>,
    pub disposition: Option<Disposition>,
    pub language: Vec<Bytes>,
    pub location: NString,
}

impl BodyStructure {
    /// As a server keeps it rendered.
    pub fn of_rendering(rendered: &[u8]) -> Option<BodyStructure> {
        BodyStructure::parse(&mut Cursor::with_utf8(rendered, true)).ok()
    }

    /// A whole message as a part: what is in it, by its renderings.
    pub fn of_message(envelope: &[u8], body: &[u8], part: SinglePart) -> Option<BodyStructure> {
        let envelope = EnvelopeItem::parse(&mut Cursor::with_utf8(envelope, true)).ok()?;
        let message = Some((Box::new(envelope), Box::new(BodyStructure::of_rendering(body)?)));
        Some(BodyStructure::Single(Box::new(SinglePart { message, ..part })))
    }

    /// The part of this number (RFC 9051 §6.4.5.1); the whole by the empty one.
    pub fn part(&self, path: &[u32]) -> Option<&BodyStructure> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        let found = match self {
            BodyStructure::Multipart { parts, .. } => parts.get(usize::try_from(*first).ok()?.checked_sub(1)?)?,
            BodyStructure::Single(_) => (*first == 1).then_some(self)?,
        };
        match found {
            _ if rest.is_empty() => Some(found),
            BodyStructure::Multipart { .. } => found.part(rest),
            BodyStructure::Single(part) => part.message.as_ref()?.1.part(rest),
        }
    }

    /// With its parentheses.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<BodyStructure> {
        c.open()?;
        let body = if c.peek() == Some(b'(') { BodyStructure::parse_multipart(c)? } else { BodyStructure::parse_single(c)? };
        while c.eat_space_before_value() {
            c.skip_value()?;
        }
        c.close()?;
        Ok(body)
    }

    fn parse_multipart(c: &mut Cursor<'_>) -> Parsed<BodyStructure> {
        let mut parts = Vec::new();
        while c.peek() == Some(b'(') {
            parts.push(BodyStructure::parse(c)?);
            c.skip_spaces();
        }
        let subtype = word(c)?;
        let mut extension = None;
        if c.eat_space_before_value() {
            let parameters = parameters(c)?;
            extension = Some(Extension { parameters, ..Extension::parse_rest(c)? });
        }
        Ok(BodyStructure::Multipart { parts, subtype, extension })
    }

    fn parse_single(c: &mut Cursor<'_>) -> Parsed<BodyStructure> {
        let media_type = word(c)?;
        if c.peek() == Some(b')') {
            return Ok(BodyStructure::Multipart { parts: Vec::new(), subtype: media_type, extension: None });
        }
        c.space()?;
        let mut part = SinglePart { media_type, subtype: word(c)?, ..SinglePart::default() };
        c.space()?;
        part.parameters = parameters(c)?;
        c.space()?;
        part.id = nstring(c)?;
        c.space()?;
        part.description = nstring(c)?;
        c.space()?;
        part.encoding = word(c)?;
        c.space()?;
        part.size = c.tolerant_number()?;
        let message = part.media_type.eq_ignore_ascii_case(b"MESSAGE")
            && (part.subtype.eq_ignore_ascii_case(b"RFC822") || part.subtype.eq_ignore_ascii_case(b"GLOBAL"));
        if message && c.peek() == Some(b' ') && c.peek_at(1) == Some(b'(') {
            c.space()?;
            let envelope = EnvelopeItem::parse(c)?;
            c.space()?;
            part.message = Some((Box::new(envelope), Box::new(BodyStructure::parse(c)?)));
        }
        // Some servers give a line count to every part: a number here is one.
        if c.peek() == Some(b' ')
            && (part.message.is_some() || part.is_text() || c.peek_at(1).is_some_and(|b| b.is_ascii_digit()))
        {
            c.space()?;
            part.lines = Some(c.tolerant_number()?);
        }
        if c.eat_space_before_value() {
            part.md5 = nstring(c)?;
            part.extension = Some(Extension::parse_rest(c)?);
        }
        Ok(BodyStructure::Single(Box::new(part)))
    }

    /// The whole with whatever it has (BODY has no extension data, BODYSTRUCTURE has).
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("(");
        match self {
            BodyStructure::Multipart { parts, subtype, extension } => {
                parts.iter().for_each(|part| part.encode(e));
                if !parts.is_empty() {
                    e.raw(" ");
                }
                e.string(subtype);
                if let Some(extension) = extension {
                    e.raw(" ");
                    encode_parameters(e, &extension.parameters);
                    extension.encode_rest(e);
                }
            }
            BodyStructure::Single(part) => part.encode(e),
        }
        e.raw(")");
    }
}

impl SinglePart {
    fn is_text(&self) -> bool {
        self.media_type.eq_ignore_ascii_case(b"TEXT")
    }

    fn encode(&self, e: &mut Encoder) {
        e.string(&self.media_type);
        e.raw(" ");
        e.string(&self.subtype);
        e.raw(" ");
        encode_parameters(e, &self.parameters);
        e.raw(" ");
        e.nstring(self.id.as_deref());
        e.raw(" ");
        e.nstring(self.description.as_deref());
        e.raw(" ");
        e.string(&self.encoding);
        e.raw(" ");
        e.number(self.size);
        if let Some((envelope, body)) = &self.message {
            e.raw(" ");
            envelope.encode(e);
            e.raw(" ");
            body.encode(e);
        }
        if let Some(lines) = self.lines {
            e.raw(" ");
            e.number(lines);
        }
        if let Some(extension) = &self.extension {
            e.raw(" ");
            e.nstring(self.md5.as_deref());
            extension.encode_rest(e);
        }
    }
}

impl Extension {
    /// Disposition, language, location: each only if it is there.
    fn parse_rest(c: &mut Cursor<'_>) -> Parsed<Extension> {
        let mut extension = Extension::default();
        if c.eat_space_before_value() {
            extension.disposition = disposition(c)?;
        }
        if c.eat_space_before_value() {
            extension.language = languages(c)?;
        }
        if c.eat_space_before_value() {
            extension.location = nstring(c)?;
        }
        Ok(extension)
    }

    fn encode_rest(&self, e: &mut Encoder) {
        e.raw(" ");
        match &self.disposition {
            Some((kind, parameters)) => {
                e.raw("(");
                e.string(kind);
                e.raw(" ");
                encode_parameters(e, parameters);
                e.raw(") ");
            }
            None => e.raw("NIL "),
        }
        match self.language.as_slice() {
            [] => e.raw("NIL"),
            [one] => e.string(one),
            many => e.list(many, |e, language| e.string(language)),
        }
        e.raw(" ");
        e.nstring(self.location.as_deref());
    }
}

/// A string that cannot be NIL, but is here and there.
fn word(c: &mut Cursor<'_>) -> Parsed<Bytes> {
    Ok(nstring(c)?.unwrap_or_default())
}

/// `"(" string SP string *(SP string SP string) ")" / nil`; a name without value gets an empty one.
fn parameters(c: &mut Cursor<'_>) -> Parsed<Vec<(Bytes, Bytes)>> {
    if c.eat_nil() {
        return Ok(Vec::new());
    }
    let mut words = c.list(true, word)?.into_iter();
    let mut pairs = Vec::new();
    while let Some(name) = words.next() {
        pairs.push((name, words.next().unwrap_or_default()));
    }
    Ok(pairs)
}

fn encode_parameters(e: &mut Encoder, parameters: &[(Bytes, Bytes)]) {
    if parameters.is_empty() {
        return e.raw("NIL");
    }
    e.list(parameters, |e, (name, value)| {
        e.string(name);
        e.raw(" ");
        e.string(value);
    });
}

fn disposition(c: &mut Cursor<'_>) -> Parsed<Option<Disposition>> {
    if c.peek() != Some(b'(') {
        return Ok(nstring(c)?.map(|kind| (kind, Vec::new())));
    }
    c.open()?;
    let kind = word(c)?;
    let parameters = if c.eat_space_before_value() { parameters(c)? } else { Vec::new() };
    c.close()?;
    Ok(Some((kind, parameters)))
}

fn languages(c: &mut Cursor<'_>) -> Parsed<Vec<Bytes>> {
    if c.peek() == Some(b'(') { c.list(true, word) } else { Ok(nstring(c)?.into_iter().collect()) }
}

impl Cursor<'_> {
    /// A space, if a value (not the closing parenthesis) follows.
    fn eat_space_before_value(&mut self) -> bool {
        let spaced = self.peek() == Some(b' ');
        self.skip_spaces();
        spaced && !matches!(self.peek(), Some(b')') | None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn read(wire: &str) -> Option<BodyStructure> {
        let mut c = Cursor::new(wire.as_bytes());
        BodyStructure::parse(&mut c).ok().filter(|_| c.at_end())
    }

    #[test]
    fn both_ways() {
        for wire in [
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3028 92)"#,
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") "<960723163407.20117h@cac>" "Compiler diff" "BASE64" 4554 73 NIL NIL NIL NIL)"#,
            r#"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1)("IMAGE" "PNG" NIL NIL NIL "BASE64" 9 "md5" ("attachment" ("filename" "a.png")) "en" "x") "MIXED" ("BOUNDARY" "b") NIL ("en" "de") NIL)"#,
            r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 100 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL) ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1) 5)"#,
            r#"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1) "ALTERNATIVE")"#,
        ] {
            let mut e = Encoder::server(Vec::new(), false);
            read(wire).unwrap().encode(&mut e);
            assert_eq!(String::from_utf8(e.bytes).unwrap(), wire);
        }
    }

    #[test]
    fn tolerated() {
        for wire in [
            r#"("ALTERNATIVE")"#,
            r#"("TEXT" "PLAIN" NIL NIL NIL NIL NIL NIL)"#,
            r#"("IMAGE" "PNG" () NIL NIL "BASE64" 9 7)"#,
            r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 100)"#,
            r#"("TEXT" "PLAIN" ("a") NIL NIL "7BIT" 1 1 NIL "inline" ("a" "b") NIL 5 ("x" (1 NIL)))"#,
            r#"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1) ("TEXT" "HTML" NIL NIL NIL "7BIT" 1 1) "MIXED" NIL )"#,
        ] {
            assert!(read(wire).is_some(), "{wire}");
        }
        for bad in ["", "()", "NIL", r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" x)"#, r#"("TEXT" "PLAIN" NIL"#] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn depth_ends_at_the_limit() {
        use super::super::limits::PAREN_DEPTH_MAX;
        let nested = |n: usize| read(&format!("{}(\"A\"){}", "(".repeat(n - 1), " \"MIXED\")".repeat(n - 1)));
        assert!(nested(PAREN_DEPTH_MAX).is_some());
        assert!(nested(PAREN_DEPTH_MAX + 1).is_none());
    }
}
