//! STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3), and flags between the store's bits and the wire's words.
//!
//! Invariant: what the client is told of its own STORE is what the store made durable.

use super::failure::{Outcome, Trouble, done, done_with, no};
use super::limits;
use super::place::{forbidden, mask};
use super::session::Session;
use super::view::View;
use smol_str::SmolStr;
use std::sync::Arc;
use store::{FlagMask, FlagOp, Flags, FlagsChanged, MessageRow, ModSeq, Rows, Uid};
use wire::imap::fetch::FetchWriter;
use wire::imap::store::{Store, StoreOperation};
use wire::imap::{Code, Flag, NumberSet};

/// The system flags in the order they are written.
pub(crate) const SYSTEM_FLAGS: [(u8, &str, Flag); 5] = [
    (Flags::ANSWERED, "\\Answered", Flag::Answered),
    (Flags::FLAGGED, "\\Flagged", Flag::Flagged),
    (Flags::DELETED, "\\Deleted", Flag::Deleted),
    (Flags::SEEN, "\\Seen", Flag::Seen),
    (Flags::DRAFT, "\\Draft", Flag::Draft),
];

/// The FLAGS item of a row.
pub(crate) fn write_flags(writer: &mut FetchWriter<'_>, row: &MessageRow, recent: bool) {
    let system = row.flags.system;
    let names = SYSTEM_FLAGS.iter().filter(move |(bit, _, _)| system & bit != 0).map(|(_, name, _)| *name);
    let keywords = row.flags.keywords.iter().flat_map(|words| words.iter().map(SmolStr::as_str));
    writer.flags(names.chain(recent.then_some("\\Recent")).chain(keywords));
}

/// The list of the FLAGS response: system flags and the mailbox's keywords.
pub(crate) fn known_keywords(view: &View) -> Vec<Flag> {
    let system = SYSTEM_FLAGS.iter().map(|(_, _, flag)| flag.clone());
    system.chain(view.keywords().map(|word| Flag::Keyword(word.clone()))).collect()
}

/// Those of them that this reader may change, and `\*` where new ones may be made (RFC 4314 §5.1.1).
pub(crate) fn permanent_flags(view: &View) -> Vec<Flag> {
    if view.read_only {
        return Vec::new();
    }
    let mask = mask(view.rights);
    let may = |flag: &Flag| match SYSTEM_FLAGS.iter().find(|(_, _, known)| known == flag) {
        Some((bit, _, _)) => mask.system & bit != 0,
        None => mask.keywords,
    };
    let any = mask.keywords.then_some(Flag::Any);
    known_keywords(view).into_iter().filter(may).chain(any).collect()
}

/// The wire's flags as the store keeps them.
pub(crate) fn to_store(flags: &[Flag]) -> Result<Flags, Trouble> {
    let mut system = 0;
    let mut keywords: Vec<SmolStr> = Vec::new();
    for flag in flags {
        match flag {
            Flag::Keyword(word) if word.len() > limits::KEYWORD_BYTES_MAX => {
                return Err(no(Code::Limit, "A keyword is too long"));
            }
            Flag::Keyword(word) => keywords.push(word.clone()),
            Flag::Recent | Flag::Any => {}
            Flag::Extension(_) => return Err(Trouble::Bad("There is no such system flag")),
            known => system |= SYSTEM_FLAGS.iter().find(|(_, _, flag)| flag == known).map_or(0, |(bit, _, _)| *bit),
        }
    }
    if keywords.len() > limits::KEYWORDS_MAX {
        return Err(no(Code::Limit, "Too many keywords at once"));
    }
    keywords.sort_by_key(|word| word.to_ascii_lowercase());
    keywords.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    let keywords = (!keywords.is_empty()).then(|| Arc::from(keywords));
    Ok(Flags { system, keywords })
}

impl Session {
    /// STORE and UID STORE.
    pub(crate) async fn store_flags(&mut self, command: Store) -> Outcome {
        // What others did after this the client hears of within this command, at the earliest.
        let (known, stood) = (self.view()?.mod_seq, self.view()?.rows().clone());
        self.sync(command.uid).await?;
        self.writable()?;
        if command.unchanged_since.is_some() {
            self.enable_condstore();
        }
        let (uids, cut) = self.newest_uids(self.resolve_uids(&command.set, command.uid)?);
        if uids.is_empty() {
            // By number only what others expunged: the client believes it to be there, and waits for its flags (RFC 2180 §4.2.2).
            return match command.uid || command.silent || command.set.is_saved() {
                true => done("There are no such messages"),
                false => Err(no(Code::ExpungeIssued, "These messages are gone")),
            };
        }
        let flags = to_store(&command.flags)?;
        let operation = match command.operation {
            StoreOperation::Replace => FlagOp::Replace,
            StoreOperation::Add => FlagOp::Add,
            StoreOperation::Remove => FlagOp::Remove,
        };
        let view = self.view()?;
        let (place, mask) = ((view.account, view.mailbox.id), mask(view.rights));
        let nothing_left = match operation {
            FlagOp::Replace => mask.system == 0 && !mask.keywords,
            _ => flags != Flags::default() && mask.of(&flags) == Flags::default(),
        };
        if nothing_left {
            return Err(forbidden());
        }
        let since = command.unchanged_since.map(ModSeq);
        let own = self.view()?.own_seen;
        let shared = if own { FlagMask { system: mask.system & !Flags::SEEN, ..mask } } else { mask };
        let mut changed = self.acting().flags_within(place, &uids, (operation, &flags, shared), since).await?;
        if own {
            let may = mask.system & Flags::SEEN != 0;
            Box::pin(self.store_own_seen(place, (operation, &flags, may), &mut changed)).await?;
            changed.whole = None;
        }
        self.tell_stored(&command, &flags, &changed, (known, &stood, cut.is_some())).await?;
        let outcome = match changed.modified.is_empty() {
            true => done("Stored"),
            false => {
                let modified = self.numbers_of(&changed.modified, command.uid)?;
                done_with(Code::Modified(modified), "Some messages were changed by others meanwhile")
            }
        };
        self.ended(outcome, cut)
    }

    /// UIDs, or the message numbers of them.
    fn numbers_of(&self, uids: &[Uid], uid: bool) -> Result<NumberSet, Trouble> {
        let view = self.view()?;
        if uid {
            return Ok(uids.iter().map(|uid| uid.0).collect());
        }
        let indexes = uids.iter().filter_map(|uid| view.index_of(*uid));
        Ok(indexes.filter_map(|index| u32::try_from(index + 1).ok()).collect())
    }

    /// The FETCH answers of a STORE. `.SILENT` leaves out FLAGS, unless others changed them since `known` too: the last
    /// FETCH of the command is then how they stand (RFC 9051 §6.4.6: no race). MODSEQ is told all the same once CONDSTORE
    /// is on (RFC 7162 §3.1.3).
    async fn tell_stored(
        &mut self,
        command: &Store,
        asked: &Flags,
        changed: &FlagsChanged,
        (known, stood, newest_first): (ModSeq, &Rows, bool),
    ) -> Result<(), Trouble> {
        let rows = self.view()?.rows().clone();
        let (silent, view) = (command.silent && !self.condstore, self.view_mut()?);
        // Nobody else came between, not even just before, and nothing of it may have been forbidden: all is as the client asked.
        let alone = rows.is_same(stood);
        if view.take_own(changed) && alone && silent && may_all(mask(view.rights)) {
            return Ok(());
        }
        let uids: Vec<Uid> = changed.rows.iter().map(|row| row.uid).collect();
        let mut stood = rows.pick(&uids).peekable();
        let mut told: Vec<(&MessageRow, (usize, MessageRow))> = Vec::with_capacity(changed.rows.len());
        for row in &changed.rows {
            told.extend(stood.next_if(|(_, before)| before.uid == row.uid).map(|before| (row, before)));
        }
        if newest_first {
            told.reverse();
        }
        for (row, (index, before)) in told {
            let as_asked = before.mod_seq <= known
                && row.flags.system == expected_system(before.flags.system, command.operation, asked.system)
                && same_keywords(&row.flags, &expected_keywords(&before.flags, command.operation, asked));
            let flags = !(command.silent && as_asked);
            if flags {
                self.tell_new_keywords(&row.flags)?;
            }
            if flags || self.condstore {
                let uid = command.uid || self.condstore || self.rev2;
                self.write_row(index, row, Told { uid, flags, mod_seq: self.condstore });
                self.breathe().await?;
            }
        }
        Ok(())
    }

    /// `* n FETCH (...)` of what the row itself says.
    pub(crate) fn write_row(&mut self, index: usize, row: &MessageRow, told: Told) {
        let Some(view) = self.view.as_ref() else { return };
        let mut writer = begin_fetch(self.wire.out_mut(), self.uid_only, index, row.uid);
        if told.uid && !self.uid_only {
            writer.uid(row.uid.0);
        }
        if told.flags {
            write_flags(&mut writer, row, !self.rev2 && view.is_recent(row.uid));
        }
        if told.mod_seq {
            writer.mod_seq(row.mod_seq.0);
        }
        writer.end();
    }
}

/// Which items [`Session::write_row`] writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) uid: bool,
    pub(crate) flags: bool,
    pub(crate) mod_seq: bool,
}

/// `* n FETCH (`, or `* uid UIDFETCH (` once UIDONLY is on.
pub(crate) fn begin_fetch(out: &mut Vec<u8>, uid_only: bool, index: usize, uid: Uid) -> FetchWriter<'_> {
    if uid_only { FetchWriter::begin_uid(out, uid.0) } else { FetchWriter::begin(out, number_at(index)) }
}

/// The message number of the row at `index`.
pub(crate) fn number_at(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}

fn may_all(mask: FlagMask) -> bool {
    mask.keywords && SYSTEM_FLAGS.iter().all(|(bit, _, _)| mask.system & bit != 0)
}

fn expected_system(before: u8, operation: StoreOperation, asked: u8) -> u8 {
    match operation {
        StoreOperation::Replace => asked,
        StoreOperation::Add => before | asked,
        StoreOperation::Remove => before & !asked,
    }
}

/// Keywords in lower case, sorted: for comparing only.
fn folded(flags: &Flags) -> Vec<String> {
    let mut words: Vec<String> =
        flags.keywords.iter().flat_map(|words| words.iter().map(|word| word.to_ascii_lowercase())).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn expected_keywords(before: &Flags, operation: StoreOperation, asked: &Flags) -> Vec<String> {
    let (mut words, asked) = (folded(before), folded(asked));
    match operation {
        StoreOperation::Replace => words = asked,
        StoreOperation::Add => words.extend(asked),
        StoreOperation::Remove => words.retain(|word| !asked.contains(word)),
    }
    words.sort_unstable();
    words.dedup();
    words
}

fn same_keywords(flags: &Flags, expected: &[String]) -> bool {
    match &flags.keywords {
        None => expected.is_empty(),
        Some(_) => folded(flags) == expected,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn keywords_are_kept_as_spelled_and_once() {
        let flags = to_store(&[Flag::Keyword("b".into()), Flag::Keyword("A".into()), Flag::Keyword("B".into()), Flag::Seen]);
        let flags = flags.unwrap_or_default();
        assert_eq!(flags.system, Flags::SEEN);
        assert_eq!(flags.keywords.unwrap().len(), 2);
        assert!(matches!(to_store(&[Flag::Extension("Foo".into())]), Err(Trouble::Bad(_))));
        let long = "k".repeat(limits::KEYWORD_BYTES_MAX);
        assert!(to_store(&[Flag::Keyword(long.as_str().into())]).is_ok());
        assert!(to_store(&[Flag::Keyword((long + "k").as_str().into())]).is_err());
    }
}
