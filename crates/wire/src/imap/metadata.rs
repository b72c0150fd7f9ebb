//! METADATA (RFC 5464): annotations of mailboxes and of the server.
//!
//! ```abnf
//! getmetadata = "GETMETADATA" [SP "(" "MAXSIZE" SP number / "DEPTH" SP ("0" / "1" / "infinity") *(...) ")"] SP mailbox SP entries
//! setmetadata = "SETMETADATA" SP mailbox SP "(" entry SP value *(SP entry SP value) ")"     ; value: nstring / literal8
//! metadata-resp = "METADATA" SP mailbox SP (entry-values / entry-list)
//! ```
//!
//! Entries are case-insensitive (RFC 5464 §4.1) and are kept in lower case. Mailbox "" is the server.

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::limits::METADATA_ENTRY_BYTES_MAX;
use super::mailbox_name::MailboxName;

/// The entry of a mailbox that says whose \Seen is shown to readers who are not its owner: `own`, each one's own (RFC 4314 §4).
pub const SEEN_ENTRY: &str = "/shared/vendor/packetboat/seen";

/// Does this value of [`SEEN_ENTRY`] say that each reader keeps it alone?
///
/// ```
/// assert!(wire::imap::metadata::is_seen_apart(b"Own") && !wire::imap::metadata::is_seen_apart(b"shared"));
/// ```
pub fn is_seen_apart(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"own")
}

/// An entry name, valid and in lower case: `/private/comment`, `/shared/vendor/x/y`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry(String);

/// How far under an entry GETMETADATA looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Depth {
    #[default]
    Zero,
    One,
    Infinity,
}

/// GETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct GetMetadata {
    /// `None`: the server.
    pub mailbox: Option<MailboxName>,
    pub entries: Vec<Entry>,
    /// Values longer than this many octets are left out.
    pub max_size: Option<u64>,
    pub depth: Depth,
}

/// SETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SetMetadata {
    /// `None`: the server.
    pub mailbox: Option<MailboxName>,
    /// A value of `None` (NIL) deletes.
    pub values: Vec<(Entry, Option<Vec<u8>>)>,
}

/// `* METADATA ...`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MetadataResponse {
    /// `None`: the server.
    pub mailbox: Option<MailboxName>,
    pub data: MetadataData,
}

/// What it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataData {
    /// To GETMETADATA and LIST.
    Values(Vec<(Entry, Option<Vec<u8>>)>),
    /// Unsolicited: these changed.
    Changed(Vec<Entry>),
}

impl Entry {
    /// From a name; `None` when it is not valid (RFC 5464 §3.2: no `*`, `%`, control, `//`, nor a slash at the end).
    pub fn new(name: &str) -> Option<Entry> {
        let name = name.to_ascii_lowercase();
        let known = ["/private/", "/shared/"].iter().any(|top| name.starts_with(top) && name.len() > top.len());
        let allowed = name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'*' && b != b'%');
        let tidy = !name.contains("//") && !name.ends_with('/') && name.len() <= METADATA_ENTRY_BYTES_MAX;
        (known && allowed && tidy).then_some(Entry(name))
    }
    /// In lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Of everybody who may see the mailbox, and not of one user alone?
    pub fn is_shared(&self) -> bool {
        self.0.starts_with("/shared/")
    }
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Entry> {
        let name = c.astring_text()?;
        // A whole tree may be asked for with DEPTH: `/private` alone.
        if name.eq_ignore_ascii_case("/private") || name.eq_ignore_ascii_case("/shared") {
            return Ok(Entry(name.to_ascii_lowercase()));
        }
        Entry::new(&name).map_or_else(|| c.error("an entry is /private/... or /shared/..."), Ok)
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.astring(self.0.as_bytes());
    }
}

/// `""` is the server.
fn mailbox(c: &mut Cursor<'_>) -> Parsed<Option<MailboxName>> {
    if c.eat_text("\"\"") {
        return Ok(None);
    }
    MailboxName::parse(c).map(Some)
}

fn encode_mailbox(e: &mut Encoder, mailbox: Option<&MailboxName>) {
    match mailbox {
        Some(mailbox) => mailbox.encode(e),
        None => e.raw("\"\""),
    }
}

/// A value may be literal8 and may hold NUL (RFC 5464 §5).
fn value(c: &mut Cursor<'_>) -> Parsed<Option<Vec<u8>>> {
    c.nstring().map(|value| value.map(|octets| octets.into_owned()))
}

fn entry_values(c: &mut Cursor<'_>) -> Parsed<Vec<(Entry, Option<Vec<u8>>)>> {
    c.list(false, |c| {
        let entry = Entry::parse(c)?;
        c.space()?;
        Ok((entry, value(c)?))
    })
}

fn encode_values(e: &mut Encoder, values: &[(Entry, Option<Vec<u8>>)]) {
    e.list(values, |e, (entry, value)| {
        entry.encode(e);
        e.raw(" ");
        match value {
            // NUL only fits a literal8.
            Some(octets) if octets.contains(&0) => {
                e.raw("~");
                e.literal_header(octets.len() as u64);
                e.raw(octets);
            }
            value => e.nstring(value.as_deref()),
        }
    });
}

impl GetMetadata {
    /// After `GETMETADATA`; options are taken before the mailbox (as the RFC has them) and after it (as clients do).
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<GetMetadata> {
        c.space()?;
        let mut get = GetMetadata { mailbox: None, entries: Vec::new(), max_size: None, depth: Depth::Zero };
        if c.peek() == Some(b'(') {
            get.options(c)?;
            c.space()?;
        }
        get.mailbox = mailbox(c)?;
        c.space()?;
        if c.rest().get(..5).is_some_and(|head| head.eq_ignore_ascii_case(b"(MAXS") || head.eq_ignore_ascii_case(b"(DEPT")) {
            get.options(c)?;
            c.space()?;
        }
        get.entries = if c.peek() == Some(b'(') { c.list(false, Entry::parse)? } else { vec![Entry::parse(c)?] };
        Ok(get)
    }

    fn options(&mut self, c: &mut Cursor<'_>) -> Parsed<()> {
        c.list(false, |c| {
            if c.eat_text("MAXSIZE ") {
                self.max_size = Some(c.number64()?);
            } else if c.eat_text("DEPTH ") {
                self.depth = if c.eat_text("0") {
                    Depth::Zero
                } else if c.eat_text("1") {
                    Depth::One
                } else if c.eat_text("infinity") {
                    Depth::Infinity
                } else {
                    return c.error("DEPTH is 0, 1 or infinity");
                };
            } else {
                return c.error("unknown GETMETADATA option");
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("GETMETADATA ");
        let depth = match self.depth {
            Depth::Zero => None,
            Depth::One => Some("DEPTH 1"),
            Depth::Infinity => Some("DEPTH infinity"),
        };
        let size = self.max_size.map(|size| format!("MAXSIZE {size}"));
        let options: Vec<&str> = size.as_deref().into_iter().chain(depth).collect();
        if !options.is_empty() {
            e.list(options, |e, option| e.raw(option));
            e.raw(" ");
        }
        encode_mailbox(e, self.mailbox.as_ref());
        e.raw(" ");
        match self.entries.as_slice() {
            [one] => one.encode(e),
            many => e.list(many, |e, entry| entry.encode(e)),
        }
    }
}

impl SetMetadata {
    /// After `SETMETADATA`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<SetMetadata> {
        c.space()?;
        let mailbox = mailbox(c)?;
        c.space()?;
        Ok(SetMetadata { mailbox, values: entry_values(c)? })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("SETMETADATA ");
        encode_mailbox(e, self.mailbox.as_ref());
        e.raw(" ");
        encode_values(e, &self.values);
    }
}

impl MetadataResponse {
    /// After `* METADATA`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<MetadataResponse> {
        c.space()?;
        let mailbox = mailbox(c)?;
        c.space()?;
        if c.peek() == Some(b'(') {
            return Ok(MetadataResponse { mailbox, data: MetadataData::Values(entry_values(c)?) });
        }
        let mut changed = vec![Entry::parse(c)?];
        while c.eat_space() {
            changed.push(Entry::parse(c)?);
        }
        Ok(MetadataResponse { mailbox, data: MetadataData::Changed(changed) })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("METADATA ");
        encode_mailbox(e, self.mailbox.as_ref());
        e.raw(" ");
        match &self.data {
            MetadataData::Values(values) => encode_values(e, values),
            MetadataData::Changed(entries) => e.spaced(entries, |e, entry| entry.encode(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn command(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let mut e = Encoder::server(Vec::new(), false);
        if c.eat_text("GETMETADATA") {
            GetMetadata::parse(&mut c).ok()?.encode(&mut e);
        } else if c.eat_text("SETMETADATA") {
            SetMetadata::parse(&mut c).ok()?.encode(&mut e);
        } else if c.eat_text("METADATA") {
            MetadataResponse::parse(&mut c).ok()?.encode(&mut e);
        }
        c.end().ok()?;
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for text in [
            "GETMETADATA \"\" /shared/comment",
            "GETMETADATA INBOX (/shared/comment /private/comment)",
            "GETMETADATA (MAXSIZE 1024) INBOX (/shared/comment /private/comment)",
            "GETMETADATA (DEPTH 1) INBOX /private/filters/values",
            "GETMETADATA (MAXSIZE 5 DEPTH infinity) \"\" /private",
            "SETMETADATA INBOX (/private/comment \"My new comment\")",
            "SETMETADATA INBOX (/private/comment NIL /shared/comment \"\")",
            "METADATA INBOX (/shared/comment \"Shared comment\")",
            "METADATA \"\" /shared/comment /private/comment",
        ] {
            assert_eq!(command(text).unwrap(), text);
        }
        assert_eq!(
            command("GETMETADATA INBOX (maxsize 9) /Shared/Comment").unwrap(),
            "GETMETADATA (MAXSIZE 9) INBOX /shared/comment"
        );
        assert_eq!(command("SETMETADATA x (/private/a {2}\r\nhi)").unwrap(), "SETMETADATA x (/private/a \"hi\")");
        assert_eq!(command("SETMETADATA x (/private/a ~{2}\r\n\0i)").unwrap(), "SETMETADATA x (/private/a ~{2}\r\n\0i)");
        for bad in [
            "GETMETADATA x",
            "GETMETADATA x ()",
            "GETMETADATA x comment",
            "GETMETADATA x /other/comment",
            "GETMETADATA x /private//a",
            "GETMETADATA x /private/a/",
            "GETMETADATA x /private/*",
            "GETMETADATA (DEPTH 2) x /private/a",
            "SETMETADATA x (/private/a)",
            "SETMETADATA x ()",
        ] {
            assert_eq!(command(bad), None, "{bad}");
        }
    }
}
