//! Entities on their way out: parts with their content fields, multiparts, boundaries (RFC 2046 §5).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Read, Write};

use super::fields::{Header, printable};
use super::text::TextForm;
use super::{Attachment, Content, Needs};
use crate::content::ContentType;
use crate::header::header_end;
use crate::limits::LINE_BYTES_MAX;
use crate::{parameter, transfer};

/// Octets of a line of base64, and how many lines are made at once.
const BASE64_LINE: usize = 57;
const BASE64_LINES: usize = 512;

/// A part in the making.
pub(crate) enum Entity<'a> {
    /// Content.
    Leaf {
        /// Content fields, each with its CRLF.
        fields: String,
        /// What stands behind them.
        body: Body<'a>,
    },
    /// Parts.
    Multipart {
        /// Subtype, with parameters.
        sub: String,
        /// At least one.
        parts: Vec<Entity<'a>>,
    },
}

/// A body in the making.
pub(crate) enum Body<'a> {
    /// Goes out as it stands.
    Octets(Cow<'a, [u8]>),
    /// Goes out as base64.
    Base64(Cow<'a, [u8]>),
    /// Is read and goes out as base64.
    Reader(Box<dyn Read + 'a>),
}

impl<'a> Entity<'a> {
    pub(crate) fn multipart(sub: &str, parts: Vec<Entity<'a>>) -> Entity<'a> {
        Entity::Multipart { sub: sub.to_owned(), parts }
    }

    /// A file.
    pub(super) fn file(part: Attachment<'a>, disposition: &str, form: TextForm) -> Entity<'a> {
        let body = match part.content {
            // A message travels unencoded (RFC 2046 §5.2.1), if its lines let it.
            Content::Octets(octets)
                if is_message(&part.media_type) && travels(&octets) && (octets.is_ascii() || !form.strict) =>
            {
                Body::Octets(octets)
            }
            Content::Octets(octets) => Body::Base64(octets),
            Content::Reader(reader) => Body::Reader(reader),
        };
        let (encoding, media_type) = match &body {
            Body::Octets(octets) => ("8bit", message_type(octets).to_owned()),
            _ => ("base64", media_type(&part.media_type)),
        };
        let encoding = if matches!(&body, Body::Octets(octets) if octets.is_ascii()) { "7bit" } else { encoding };
        let mut fields = Header { text: format!("Content-Type: {media_type}") };
        let name = part.file_name.as_deref().map(printable);
        if let Some(name) = &name {
            fields.text.push_str(&parameter::encode("name", name));
        }
        let _ = write!(fields.text, "\r\nContent-Disposition: {disposition}");
        if let Some(name) = &name {
            fields.text.push_str(&parameter::encode("filename", name));
        }
        fields.text.push_str("\r\n");
        if let Some(id) = &part.content_id {
            fields.message_ids("Content-ID", std::slice::from_ref(id));
        }
        fields.raw("Content-Transfer-Encoding", encoding);
        Entity::Leaf { fields: fields.text, body }
    }

    /// A part of a report: never base64 or quoted-printable, so that every reader finds it.
    pub(crate) fn plain(media_type: &str, body: impl Into<Cow<'a, [u8]>>) -> Entity<'a> {
        let body = body.into();
        let encoding = if body.is_ascii() { "7bit" } else { "8bit" };
        let fields = format!("Content-Type: {media_type}\r\nContent-Transfer-Encoding: {encoding}\r\n");
        Entity::Leaf { fields, body: Body::Octets(body) }
    }

    pub(super) fn needs(&self, needs: &mut Needs) {
        match self {
            Entity::Leaf { fields, body } => {
                needs.smtputf8 |= !fields.is_ascii();
                needs.eight_bit |= matches!(body, Body::Octets(octets) if !octets.is_ascii());
            }
            Entity::Multipart { parts, .. } => parts.iter().for_each(|part| part.needs(needs)),
        }
    }

    pub(super) fn fields_too_long(&self) -> bool {
        match self {
            Entity::Leaf { fields, .. } => fields.split("\r\n").any(|line| line.len() > LINE_BYTES_MAX),
            Entity::Multipart { parts, .. } => parts.iter().any(Entity::fields_too_long),
        }
    }

    /// What goes out as it stands: boundaries must not occur in it.
    fn unencoded(&self, look: &mut dyn FnMut(&[u8])) {
        match self {
            Entity::Leaf { fields, body } => {
                look(fields.as_bytes());
                if let Body::Octets(octets) = body {
                    look(octets);
                }
            }
            Entity::Multipart { parts, .. } => parts.iter().for_each(|part| part.unencoded(look)),
        }
    }

    /// Content fields, empty line, body.
    pub(super) fn write(self, out: &mut dyn Write, boundaries: &mut Boundaries) -> io::Result<()> {
        match self {
            Entity::Leaf { fields, body } => {
                out.write_all(fields.as_bytes())?;
                out.write_all(b"\r\n")?;
                match body {
                    Body::Octets(octets) => out.write_all(&octets),
                    Body::Base64(octets) => write_base64(&*octets, out),
                    Body::Reader(reader) => write_base64(reader, out),
                }
            }
            Entity::Multipart { sub, parts } => {
                let boundary = boundaries.next();
                write!(out, "Content-Type: multipart/{sub};\r\n boundary=\"{boundary}\"\r\n\r\n")?;
                for part in parts {
                    write!(out, "--{boundary}\r\n")?;
                    part.write(out, boundaries)?;
                    out.write_all(b"\r\n")?;
                }
                write!(out, "--{boundary}--\r\n")
            }
        }
    }
}

/// Lines of 76 (RFC 2045 §6.8), with no more than one piece in memory.
fn write_base64(mut reader: impl Read, out: &mut dyn Write) -> io::Result<()> {
    let mut piece = Vec::with_capacity(BASE64_LINE * BASE64_LINES);
    loop {
        piece.clear();
        // Whole lines: short reads are gathered.
        reader.by_ref().take((BASE64_LINE * BASE64_LINES) as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(());
        }
        out.write_all(&transfer::base64_encode(&piece))?;
        if piece.len() < BASE64_LINE * BASE64_LINES {
            return Ok(());
        }
    }
}

fn is_message(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case("message/rfc822") || media_type.eq_ignore_ascii_case("message/global")
}

/// RFC 6532 §3.7: a message whose header has UTF-8 is no message/rfc822.
fn message_type(octets: &[u8]) -> &'static str {
    let header = octets.get(..header_end(octets)).unwrap_or_default();
    if header.is_ascii() { "message/rfc822" } else { "message/global" }
}

/// A media type with its parameters, written anew; `application/octet-stream` for what is none, and for the composite ones,
/// which may not be base64 (RFC 2045 §6.4).
fn media_type(given: &str) -> String {
    let fallback = "application/octet-stream";
    let given = printable(given);
    let Some(parsed) = ContentType::parse(given.as_bytes()) else { return fallback.to_owned() };
    if matches!(parsed.main.as_str(), "multipart" | "message") || parsed.main.len() + parsed.sub.len() > 200 {
        return fallback.to_owned();
    }
    let mut out = format!("{}/{}", parsed.main, parsed.sub);
    for (name, _) in &parsed.parameters.0 {
        let plain = !name.contains('*') && name.len() <= 40 && !matches!(name.as_str(), "name" | "boundary");
        if let Some(value) = parsed.parameters.decoded(name).filter(|_| plain) {
            out.push_str(&parameter::encode(name, &value));
        }
    }
    out
}

/// CRLF lines of bearable length without NUL: what may go unencoded.
pub(crate) fn travels(octets: &[u8]) -> bool {
    let line_good = |line: &[u8]| {
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        content.len() <= LINE_BYTES_MAX && !content.iter().any(|b| matches!(b, 0 | b'\r'))
    };
    let mut lines = octets.split(|b| *b == b'\n');
    let last = lines.next_back().unwrap_or_default();
    lines.all(|l| l.ends_with(b"\r") && line_good(l)) && line_good(last) && !last.ends_with(b"\r")
}

/// Boundaries of one message: `=_000_N_SEED`. `=_` never occurs in base64 or quoted-printable (RFC 2045 §6.7, §6.8), so
/// encoded parts, streamed ones too, cannot hold one. What goes out as it stands is looked through once: N is larger than
/// in any `_N_SEED` there. The number in front has a fixed width: no boundary is the beginning of another.
pub(super) struct Boundaries {
    core: String,
    number: u32,
}

impl Boundaries {
    pub(super) fn new(seed: &str, entity: &Entity<'_>) -> Boundaries {
        let seed: String = seed.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        let needle = format!("_{seed}");
        let finder = memchr::memmem::Finder::new(&needle);
        let mut highest = 0u64;
        entity.unencoded(&mut |octets| {
            for at in finder.find_iter(octets) {
                highest = highest.max(number_before(octets, at));
            }
        });
        Boundaries { core: format!("{}_{seed}", highest + 1), number: 0 }
    }

    pub(super) fn next(&mut self) -> String {
        self.number += 1;
        format!("=_{:03}_{}", self.number, self.core)
    }
}

/// The number whose digits end at `at`; one of more than 15 digits is never ours.
fn number_before(octets: &[u8], at: usize) -> u64 {
    let before = octets.get(at.saturating_sub(16)..at).unwrap_or_default();
    let digits = before.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    if digits > 15 {
        return 0;
    }
    let text = before.get(before.len() - digits..).unwrap_or_default();
    text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
