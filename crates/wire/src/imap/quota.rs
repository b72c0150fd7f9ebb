//! QUOTA (RFC 9208): how much is used, and how much may be.
//!
//! ```abnf
//! getquota     = "GETQUOTA" SP quota-root-name
//! getquotaroot = "GETQUOTAROOT" SP mailbox
//! setquota     = "SETQUOTA" SP quota-root-name SP setquota-list
//! quota-response     = "QUOTA" SP quota-root-name SP "(" [quota-resource *(SP quota-resource)] ")"
//! quota-resource     = resource-name SP resource-usage SP resource-limit
//! quotaroot-response = "QUOTAROOT" SP mailbox *(SP quota-root-name)
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::mailbox_name::MailboxName;
use smol_str::SmolStr;

/// A resource type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum QuotaResource {
    /// In units of 1,024 octets, rounded up.
    Storage,
    /// Messages.
    Message,
    /// Mailboxes.
    Mailbox,
    /// Not known here.
    Other(SmolStr),
}

/// The three commands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum QuotaCommand {
    Get { root: String },
    GetRoot { mailbox: MailboxName },
    Set { root: String, limits: Vec<(QuotaResource, u64)> },
}

/// `* QUOTA ...`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct QuotaResponse {
    pub root: String,
    /// Resource, usage, limit; a resource without a limit is left out.
    pub resources: Vec<(QuotaResource, u64, u64)>,
}

impl QuotaResource {
    fn by_name(word: &str) -> QuotaResource {
        match word.to_ascii_uppercase().as_str() {
            "STORAGE" => QuotaResource::Storage,
            "MESSAGE" => QuotaResource::Message,
            "MAILBOX" => QuotaResource::Mailbox,
            other => QuotaResource::Other(SmolStr::new(other)),
        }
    }
    /// As on the wire.
    pub fn name(&self) -> &str {
        match self {
            QuotaResource::Storage => "STORAGE",
            QuotaResource::Message => "MESSAGE",
            QuotaResource::Mailbox => "MAILBOX",
            QuotaResource::Other(name) => name,
        }
    }
}

impl QuotaCommand {
    /// After the command word; `None` when it is none of the three.
    pub(crate) fn parse(c: &mut Cursor<'_>, name: &str) -> Parsed<Option<QuotaCommand>> {
        Ok(Some(match name {
            "GETQUOTA" => {
                c.space()?;
                QuotaCommand::Get { root: c.astring_text()? }
            }
            "GETQUOTAROOT" => {
                c.space()?;
                QuotaCommand::GetRoot { mailbox: MailboxName::parse(c)? }
            }
            "SETQUOTA" => {
                c.space()?;
                let root = c.astring_text()?;
                c.space()?;
                // The list is flat: name and limit take turns.
                let words = c.list(true, |c| c.astring_text())?;
                if !words.len().is_multiple_of(2) {
                    return c.error("a limit is missing");
                }
                let mut limits = Vec::new();
                for pair in words.chunks_exact(2) {
                    match pair {
                        [name, limit] => match limit.parse::<u64>() {
                            Ok(limit) if limit >> 63 == 0 => limits.push((QuotaResource::by_name(name), limit)),
                            _ => return c.error("a limit is a number"),
                        },
                        _ => return c.error("a limit is missing"),
                    }
                }
                QuotaCommand::Set { root, limits }
            }
            _ => return Ok(None),
        }))
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        match self {
            QuotaCommand::Get { root } => {
                e.raw("GETQUOTA ");
                e.astring(root.as_bytes());
            }
            QuotaCommand::GetRoot { mailbox } => {
                e.raw("GETQUOTAROOT ");
                mailbox.encode(e);
            }
            QuotaCommand::Set { root, limits } => {
                e.raw("SETQUOTA ");
                e.astring(root.as_bytes());
                e.raw(" ");
                e.list(limits, |e, (resource, limit)| e.raw(format!("{} {limit}", resource.name())));
            }
        }
    }
}

impl QuotaResponse {
    /// After `* QUOTA`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<QuotaResponse> {
        c.space()?;
        let root = c.astring_text()?;
        c.space()?;
        let words = c.list(true, |c| c.astring_text())?;
        let mut resources = Vec::new();
        for triple in words.chunks(3) {
            match triple {
                [name, usage, limit] => match (usage.parse(), limit.parse()) {
                    (Ok(usage), Ok(limit)) => resources.push((QuotaResource::by_name(name), usage, limit)),
                    _ => return c.error("usage and limit are numbers"),
                },
                _ => return c.error("usage and limit are missing"),
            }
        }
        Ok(QuotaResponse { root, resources })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("QUOTA ");
        e.astring(self.root.as_bytes());
        e.raw(" ");
        e.list(&self.resources, |e, (resource, usage, limit)| e.raw(format!("{} {usage} {limit}", resource.name())));
    }
}

/// After `* QUOTAROOT`.
pub(crate) fn parse_root(c: &mut Cursor<'_>) -> Parsed<(MailboxName, Vec<String>)> {
    c.space()?;
    let mailbox = MailboxName::parse_tolerant(c)?;
    let mut roots = Vec::new();
    while c.eat_space() {
        roots.push(c.astring_text()?);
    }
    Ok((mailbox, roots))
}

/// `QUOTAROOT mailbox root ...`
pub(crate) fn encode_root(e: &mut Encoder, mailbox: &MailboxName, roots: &[String]) {
    e.raw("QUOTAROOT ");
    mailbox.encode(e);
    for root in roots {
        e.raw(" ");
        e.astring(root.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn command(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let name = c.atom().ok()?.to_ascii_uppercase();
        let command = QuotaCommand::parse(&mut c, &name).ok()??;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        command.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for text in
            ["GETQUOTA \"\"", "GETQUOTAROOT INBOX", "SETQUOTA \"\" (STORAGE 512 MESSAGE 1000)", "SETQUOTA \"!partition/sda4\" ()"]
        {
            assert_eq!(
                command(text).unwrap().replace("\"!partition/sda4\"", "!partition/sda4"),
                text.replace("\"!partition/sda4\"", "!partition/sda4")
            );
        }
        for bad in [
            "GETQUOTA",
            "SETQUOTA \"\" (STORAGE)",
            "SETQUOTA \"\" (STORAGE x)",
            "SETQUOTA \"\" (STORAGE 9223372036854775808)",
            "GETQUOTA a b",
        ] {
            assert_eq!(command(bad), None, "{bad}");
        }
        let mut e = Encoder::server(Vec::new(), false);
        QuotaResponse::parse(&mut Cursor::new(b" \"\" (storage 10 512 X-FOO 1 2)")).unwrap().encode(&mut e);
        assert_eq!(e.bytes, b"QUOTA \"\" (STORAGE 10 512 X-FOO 1 2)");
        let (mailbox, roots) = parse_root(&mut Cursor::new(b" INBOX \"\" other")).unwrap();
        let mut e = Encoder::server(Vec::new(), false);
        encode_root(&mut e, &mailbox, &roots);
        assert_eq!(e.bytes, b"QUOTAROOT INBOX \"\" other");
    }
}
