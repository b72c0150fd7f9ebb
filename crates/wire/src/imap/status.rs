//! STATUS (RFC 9051 §6.3.11, §7.3.4; RFC 7162, 7889, 8438).
//!
//! ```abnf
//! status          = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
//! status-response = "STATUS" SP mailbox SP "(" [status-att-val *(SP status-att-val)] ")"
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::mailbox_name::MailboxName;
use super::search;
use smol_str::SmolStr;

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum StatusAttribute {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    Size,
    HighestModSeq,
    AppendLimit,
    /// RFC 9208 §4.1.4: octets that an EXPUNGE would give back.
    DeletedStorage,
    /// RFC 8474 §4.3; its value stands in [`StatusResponse::mailbox_id`].
    MailboxId,
}

/// The STATUS command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Status {
    pub mailbox: MailboxName,
    /// Never empty.
    pub attributes: Vec<StatusAttribute>,
}

/// `* STATUS name (...)`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct StatusResponse {
    pub mailbox: MailboxName,
    /// In the order asked; `None` is NIL (APPENDLIMIT only).
    pub values: Vec<(StatusAttribute, Option<u64>)>,
    /// When asked for.
    pub mailbox_id: Option<SmolStr>,
}

impl StatusAttribute {
    const NAMES: [(&'static str, StatusAttribute); 11] = [
        ("MESSAGES", StatusAttribute::Messages),
        ("RECENT", StatusAttribute::Recent),
        ("UIDNEXT", StatusAttribute::UidNext),
        ("UIDVALIDITY", StatusAttribute::UidValidity),
        ("UNSEEN", StatusAttribute::Unseen),
        ("DELETED", StatusAttribute::Deleted),
        ("SIZE", StatusAttribute::Size),
        ("HIGHESTMODSEQ", StatusAttribute::HighestModSeq),
        ("APPENDLIMIT", StatusAttribute::AppendLimit),
        ("DELETED-STORAGE", StatusAttribute::DeletedStorage),
        ("MAILBOXID", StatusAttribute::MailboxId),
    ];
    fn by_name(word: &str) -> Option<StatusAttribute> {
        Self::NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, attribute)| *attribute)
    }
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<StatusAttribute> {
        match StatusAttribute::by_name(c.atom()?) {
            Some(attribute) => Ok(attribute),
            None => c.error("unknown STATUS attribute"),
        }
    }
    /// As on the wire.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, attribute)| *attribute == self).map_or("", |(name, _)| name)
    }
}

pub(crate) fn encode_attributes(e: &mut Encoder, attributes: &[StatusAttribute]) {
    e.list(attributes, |e, attribute| e.raw(attribute.name()));
}

impl Status {
    /// After `STATUS`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Status> {
        c.space()?;
        let mailbox = MailboxName::parse(c)?;
        c.space()?;
        Ok(Status { mailbox, attributes: c.list(false, StatusAttribute::parse)? })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("STATUS ");
        self.mailbox.encode(e);
        e.raw(" ");
        encode_attributes(e, &self.attributes);
    }
}

impl StatusResponse {
    /// After `* STATUS`; attributes unknown here are passed over.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<StatusResponse> {
        c.space()?;
        let mailbox = MailboxName::parse_tolerant(c)?;
        c.space()?;
        let mut mailbox_id = None;
        let values = c.list(true, |c| {
            let attribute = StatusAttribute::by_name(c.atom()?);
            c.space()?;
            let Some(attribute) = attribute else { return c.skip_value().map(|_| None) };
            if attribute == StatusAttribute::MailboxId {
                c.open()?;
                mailbox_id = Some(search::object_id(c)?);
                return c.close().map(|()| None);
            }
            let value = if c.eat_nil() { None } else { Some(c.number64()?) };
            Ok(Some((attribute, value)))
        })?;
        Ok(StatusResponse { mailbox, values: values.into_iter().flatten().collect(), mailbox_id })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("STATUS ");
        self.mailbox.encode(e);
        e.raw(" ");
        e.raw("(");
        e.spaced(&self.values, |e, (attribute, value)| {
            e.raw(attribute.name());
            e.raw(" ");
            match value {
                Some(value) => e.number(*value),
                None => e.raw("NIL"),
            }
        });
        if let Some(id) = &self.mailbox_id {
            e.raw(if self.values.is_empty() { "MAILBOXID (" } else { " MAILBOXID (" });
            e.raw(id);
            e.raw(")");
        }
        e.raw(")");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn command(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        c.eat_text("STATUS").then_some(())?;
        let status = Status::parse(&mut c).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        status.encode(&mut e);
        String::from_utf8(e.bytes).ok()
    }
    fn response(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        c.eat_text("STATUS").then_some(())?;
        let status = StatusResponse::parse(&mut c).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        status.encode(&mut e);
        String::from_utf8(e.bytes).ok()
    }

    #[test]
    fn both_ways() {
        let all = "STATUS blurdybloop (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ APPENDLIMIT \
                   DELETED-STORAGE MAILBOXID)";
        assert_eq!(command(all).unwrap(), all);
        assert_eq!(command("STATUS inbox ( messages )").unwrap(), "STATUS INBOX (MESSAGES)");
        for bad in ["STATUS", "STATUS x", "STATUS x ()", "STATUS x MESSAGES", "STATUS x (FOO)"] {
            assert_eq!(command(bad), None, "{bad}");
        }
        let ids = "STATUS x (MESSAGES 1 DELETED-STORAGE 8 MAILBOXID (F2212ea87-6097))";
        assert_eq!(response(ids).unwrap(), ids);
        let answer = "STATUS \"a b\" (MESSAGES 231 UIDNEXT 44292 SIZE 5000000000 APPENDLIMIT NIL)";
        assert_eq!(response(answer).unwrap(), answer);
        assert_eq!(response("STATUS x (X-GUID (a b) MESSAGES 1 )").unwrap(), "STATUS x (MESSAGES 1)");
    }
}
