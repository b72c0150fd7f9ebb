//! SELECT and EXAMINE with their parameters (RFC 9051 §6.3.2, §6.3.3; RFC 7162 §3.1.8, §3.2.5).
//!
//! ```abnf
//! select        = ("SELECT" / "EXAMINE") SP mailbox [SP "(" select-param *(SP select-param) ")"]
//! select-param  = "CONDSTORE" / "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
//! seq-match-data = "(" known-sequence-set SP known-uid-set ")"
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::mailbox_name::MailboxName;
use super::sequence_set::SequenceSet;

/// SELECT and EXAMINE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// EXAMINE.
    pub examine: bool,
    /// Which.
    pub mailbox: MailboxName,
    /// `(CONDSTORE)`
    pub condstore: bool,
    /// `(QRESYNC (...))`
    pub qresync: Option<QResync>,
}

/// What the client knows of the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct QResync {
    pub uid_validity: u32,
    pub mod_seq: u64,
    pub known_uids: Option<SequenceSet>,
    /// Message numbers and their UIDs.
    pub known_sequence_match: Option<(SequenceSet, SequenceSet)>,
}

impl Select {
    /// Plain, without parameters.
    pub fn plain(mailbox: MailboxName, examine: bool) -> Select {
        Select { examine, mailbox, condstore: false, qresync: None }
    }
    /// After `SELECT` or `EXAMINE`.
    pub(crate) fn parse(c: &mut Cursor<'_>, examine: bool) -> Parsed<Select> {
        c.space()?;
        let mut select = Select::plain(MailboxName::parse(c)?, examine);
        if c.eat_space() {
            c.list(false, |c| {
                if c.eat_text("CONDSTORE") {
                    select.condstore = true;
                } else if c.eat_text("QRESYNC") {
                    c.space()?;
                    select.qresync = Some(QResync::parse(c)?);
                } else {
                    return c.error("unknown SELECT parameter");
                }
                Ok(())
            })?;
        }
        Ok(select)
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(if self.examine { "EXAMINE " } else { "SELECT " });
        self.mailbox.encode(e);
        if !self.condstore && self.qresync.is_none() {
            return;
        }
        e.raw(" (");
        if self.condstore {
            e.raw("CONDSTORE");
        }
        if let Some(qresync) = &self.qresync {
            e.raw(if self.condstore { " " } else { "" });
            qresync.encode(e);
        }
        e.raw(")");
    }
}

impl QResync {
    fn parse(c: &mut Cursor<'_>) -> Parsed<QResync> {
        c.open()?;
        let uid_validity = c.nz_number()?;
        c.space()?;
        let mod_seq = c.mod_seq()?;
        let mut qresync = QResync { uid_validity, mod_seq, known_uids: None, known_sequence_match: None };
        if c.peek() == Some(b' ') && c.peek_at(1) != Some(b'(') {
            c.space()?;
            qresync.known_uids = Some(SequenceSet::parse(c)?);
        }
        if c.eat(b' ') {
            c.open()?;
            let numbers = SequenceSet::parse(c)?;
            c.space()?;
            qresync.known_sequence_match = Some((numbers, SequenceSet::parse(c)?));
            c.close()?;
        }
        c.close()?;
        Ok(qresync)
    }
    fn encode(&self, e: &mut Encoder) {
        e.raw(format!("QRESYNC ({} {}", self.uid_validity, self.mod_seq));
        if let Some(known) = &self.known_uids {
            e.raw(" ");
            known.encode(e);
        }
        if let Some((numbers, uids)) = &self.known_sequence_match {
            e.raw(" (");
            numbers.encode(e);
            e.raw(" ");
            uids.encode(e);
            e.raw(")");
        }
        e.raw(")");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let examine = c.eat_text("EXAMINE");
        if !examine {
            c.eat_text("SELECT").then_some(())?;
        }
        let select = Select::parse(&mut c, examine).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        select.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for text in [
            "SELECT INBOX",
            "EXAMINE \"a b\" (CONDSTORE)",
            "SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))",
            "SELECT INBOX (CONDSTORE QRESYNC (67890007 90060115194045000 41:211,214:541 (1:3,5 41:43,47)))",
            "SELECT INBOX (QRESYNC (1 2 (1 1)))",
        ] {
            assert_eq!(read(text).unwrap(), text);
        }
        for bad in
            ["SELECT", "SELECT ", "SELECT a b", "SELECT a ()", "SELECT a (FOO)", "SELECT a (QRESYNC)", "SELECT a (QRESYNC (0 1))"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
