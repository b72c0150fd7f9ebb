//! STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
//!
//! ```abnf
//! store           = "STORE" SP sequence-set [SP "(" store-modifier ")"] SP store-att-flags
//! store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
//! store-modifier  = "UNCHANGEDSINCE" SP mod-sequence-valzer
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::flag::Flag;
use super::sequence_set::SequenceSet;

/// STORE and UID STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// UID STORE.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// UNCHANGEDSINCE.
    pub unchanged_since: Option<u64>,
    /// Replace, add or remove.
    pub operation: StoreOperation,
    /// `.SILENT`
    pub silent: bool,
    /// May be empty.
    pub flags: Vec<Flag>,
}

/// `FLAGS`, `+FLAGS`, `-FLAGS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StoreOperation {
    Replace,
    Add,
    Remove,
}

impl Store {
    /// After `STORE` or `UID STORE`.
    pub(crate) fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Store> {
        c.space()?;
        let set = SequenceSet::parse(c)?;
        c.space()?;
        let mut unchanged_since = None;
        if c.peek() == Some(b'(') {
            c.list(false, |c| {
                if !c.eat_text("UNCHANGEDSINCE") {
                    return c.error("unknown STORE modifier");
                }
                c.space()?;
                unchanged_since = Some(c.mod_seq()?);
                Ok(())
            })?;
            c.space()?;
        }
        let operation = match c.peek() {
            Some(b'+') => StoreOperation::Add,
            Some(b'-') => StoreOperation::Remove,
            _ => StoreOperation::Replace,
        };
        if operation != StoreOperation::Replace {
            c.at += 1;
        }
        if !c.eat_text("FLAGS") {
            return c.error("STORE knows FLAGS, +FLAGS and -FLAGS only");
        }
        let silent = c.eat_text(".SILENT");
        c.space()?;
        let flags = if c.peek() == Some(b'(') {
            c.list(true, Flag::parse_settable)?
        } else {
            let mut flags = vec![Flag::parse_settable(c)?];
            while c.eat_space() {
                flags.push(Flag::parse_settable(c)?);
            }
            flags
        };
        Ok(Store { uid, set, unchanged_since, operation, silent, flags })
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(if self.uid { "UID STORE " } else { "STORE " });
        self.set.encode(e);
        if let Some(mod_seq) = self.unchanged_since {
            e.raw(format!(" (UNCHANGEDSINCE {mod_seq})"));
        }
        e.raw(match self.operation {
            StoreOperation::Replace => " FLAGS",
            StoreOperation::Add => " +FLAGS",
            StoreOperation::Remove => " -FLAGS",
        });
        e.raw(if self.silent { ".SILENT " } else { " " });
        e.list(&self.flags, |e, flag| flag.encode(e));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let uid = c.eat_text("UID ");
        c.eat_text("STORE").then_some(())?;
        let store = Store::parse(&mut c, uid).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        store.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for text in [
            "STORE 2:4 +FLAGS (\\Deleted)",
            "UID STORE 1:* -FLAGS.SILENT (\\Seen $Junk)",
            "STORE * FLAGS ()",
            "STORE 7,5,9 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT (\\Deleted)",
            "UID STORE $ FLAGS (a)",
        ] {
            assert_eq!(read(text).unwrap(), text);
        }
        assert_eq!(read("STORE 1 +flags \\seen \\Draft ").unwrap(), "STORE 1 +FLAGS (\\Seen \\Draft)");
        for bad in [
            "STORE 1 FLAGS",
            "STORE 1 FLAGS (\\Recent)",
            "STORE 1 FLAGS \\*",
            "STORE FLAGS ()",
            "STORE 1 *FLAGS ()",
            "STORE 1 (X 1) FLAGS ()",
            "STORE 1 FLAGS () x",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
