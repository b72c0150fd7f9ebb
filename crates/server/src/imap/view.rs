//! What one session knows of its selected mailbox: rows, sequence numbers, and what it has not been told yet.
//!
//! RFC 9051 §7.5.1 and RFC 2180: a message another session expunged keeps its sequence number here until an
//! EXPUNGE may be sent. Invariant: sequence number = index + 1 in `rows`, which is exactly what the client was told.
//! Must not know: the wire, sockets, how changes come.

use smol_str::SmolStr;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use store::{Changes, Flags, Mailbox, MessageRow, ModSeq, Snapshot, Uid};

/// A thing to tell the client, in the order it must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Update {
    /// `* n EXPUNGE`; each number is right at the moment it is told.
    Expunge(u32),
    /// `* n EXISTS`: there are more.
    Exists(u32),
    /// `* n FETCH (FLAGS ...)` for the row at this index.
    Flags(usize),
}

/// The session's own view of one mailbox.
#[derive(Debug)]
pub(crate) struct View {
    /// As it was at SELECT (its name may have changed since).
    pub(crate) mailbox: Mailbox,
    /// EXAMINE.
    pub(crate) read_only: bool,
    /// Changes up to here are in `rows` or in `vanished`.
    pub(crate) mod_seq: ModSeq,
    /// The account's mod-sequence when changes were last asked for.
    pub(crate) checked: ModSeq,
    /// Keywords the client was told of, by their lower-case form.
    keywords: BTreeMap<SmolStr, SmolStr>,
    rows: Arc<Vec<MessageRow>>,
    /// Expunged by others, still in `rows` because the client was not told yet.
    vanished: BTreeSet<Uid>,
    /// UIDs this session has as recent: ascending ranges, both ends included.
    recent: Vec<(u32, u32)>,
    /// SEARCHRES `$` (RFC 5182): ascending UIDs.
    saved: Vec<Uid>,
}

impl View {
    /// The mailbox as it was just opened.
    pub(crate) fn new(snapshot: Snapshot, read_only: bool, checked: ModSeq) -> View {
        let mut view = View {
            mailbox: snapshot.mailbox,
            read_only,
            mod_seq: snapshot.highest_mod_seq,
            rows: snapshot.rows,
            vanished: BTreeSet::new(),
            recent: Vec::new(),
            saved: Vec::new(),
            checked,
            keywords: BTreeMap::new(),
        };
        let rows = Arc::clone(&view.rows);
        let mut before: Option<&[SmolStr]> = None;
        for row in rows.iter() {
            // Neighbours mostly have the same keywords, or none.
            if row.flags.keywords.as_deref() != before {
                before = row.flags.keywords.as_deref();
                view.learn(&row.flags);
            }
        }
        view
    }

    /// Keywords in use here, as first spelled.
    pub(crate) fn keywords(&self) -> impl Iterator<Item = &SmolStr> {
        self.keywords.values()
    }

    /// Notes the keywords of the row at `index`; true when one is new.
    pub(crate) fn learn_keywords(&mut self, index: usize) -> bool {
        let Some(row) = self.rows.get(index) else { return false };
        if row.flags.keywords.is_none() {
            return false;
        }
        let flags = row.flags.clone();
        self.learn(&flags)
    }

    fn learn(&mut self, flags: &Flags) -> bool {
        let mut fresh = false;
        for word in flags.keywords.iter().flat_map(|words| words.iter()) {
            let folded = SmolStr::from(word.to_ascii_lowercase());
            if let Entry::Vacant(slot) = self.keywords.entry(folded) {
                slot.insert(word.clone());
                fresh = true;
            }
        }
        fresh
    }

    /// All rows, as told. Cheap to clone: a command walks over its own handle.
    pub(crate) fn rows(&self) -> &Arc<Vec<MessageRow>> {
        &self.rows
    }

    /// EXISTS.
    pub(crate) fn exists(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// The highest UID known, 0 when empty.
    pub(crate) fn last_uid(&self) -> u32 {
        self.rows.last().map_or(0, |row| row.uid.0)
    }

    /// Index of the message with this UID.
    pub(crate) fn index_of(&self, uid: Uid) -> Option<usize> {
        self.rows.binary_search_by_key(&uid, |row| row.uid).ok()
    }

    /// True when some message was expunged by others and the client does not know.
    pub(crate) fn has_vanished(&self) -> bool {
        !self.vanished.is_empty()
    }

    /// Was this message expunged by others already?
    pub(crate) fn is_vanished(&self, uid: Uid) -> bool {
        !self.vanished.is_empty() && self.vanished.contains(&uid)
    }

    /// Notes UIDs as recent to this session.
    pub(crate) fn add_recent(&mut self, claimed: (u32, u32)) {
        match self.recent.last_mut() {
            Some(last) if last.1.saturating_add(1) == claimed.0 => last.1 = claimed.1,
            _ => self.recent.push(claimed),
        }
    }

    /// Only looks (EXAMINE): these are recent now, and to the next session too.
    pub(crate) fn set_recent(&mut self, seen: (u32, u32)) {
        self.recent = vec![seen];
    }

    /// RFC 3501 §2.3.2, for this session.
    pub(crate) fn is_recent(&self, uid: Uid) -> bool {
        let after = self.recent.partition_point(|&(first, _)| first <= uid.0);
        after.checked_sub(1).and_then(|at| self.recent.get(at)).is_some_and(|&(_, last)| uid.0 <= last)
    }

    /// How many messages are recent here.
    pub(crate) fn recent_count(&self) -> u32 {
        let count: usize = self.recent.iter().map(|&(first, last)| self.uid_range(first, last).len()).sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Indices of the messages with UIDs from `first` to `last`, both included.
    pub(crate) fn uid_range(&self, first: u32, last: u32) -> Range<usize> {
        let start = self.rows.partition_point(|row| row.uid.0 < first);
        let end = self.rows.partition_point(|row| row.uid.0 <= last);
        start..end.max(start)
    }

    /// Replaces SEARCHRES `$`.
    pub(crate) fn save(&mut self, uids: Vec<Uid>) {
        self.saved = uids;
    }

    /// SEARCHRES `$`, without what is gone since (RFC 5182 §2.1).
    pub(crate) fn saved(&self) -> &[Uid] {
        &self.saved
    }

    /// Puts a row in as this session's own act made it: [`View::apply`] will not tell of it again.
    pub(crate) fn note_own(&mut self, index: usize, row: MessageRow) {
        if let Some(slot) = Arc::make_mut(&mut self.rows).get_mut(index) {
            *slot = row;
        }
    }

    /// Takes what happened since `mod_seq` and answers what the client is to be told now. Without `may_expunge` what
    /// vanished keeps its place (RFC 9051 §7.5.1: no EXPUNGE while FETCH, STORE or SEARCH run).
    pub(crate) fn apply(&mut self, changes: Changes, may_expunge: bool) -> Vec<Update> {
        self.mod_seq = self.mod_seq.max(changes.highest_mod_seq);
        let mut updates = Vec::new();
        for uid in changes.vanished {
            if self.index_of(uid).is_some() {
                self.vanished.insert(uid);
            }
        }
        if may_expunge {
            self.expunge(&mut updates);
        }
        let last_uid = self.last_uid();
        let mut arrived = Vec::new();
        for row in changes.updated {
            if row.uid.0 > last_uid {
                arrived.push(row);
                continue;
            }
            let Some(index) = self.index_of(row.uid) else { continue };
            let known = self.rows.get(index);
            if known.is_some_and(|known| known.mod_seq >= row.mod_seq) {
                continue;
            }
            if let Some(slot) = Arc::make_mut(&mut self.rows).get_mut(index) {
                *slot = row;
            }
            updates.push(Update::Flags(index));
        }
        if !arrived.is_empty() {
            Arc::make_mut(&mut self.rows).extend(arrived);
            updates.push(Update::Exists(self.exists()));
        }
        updates
    }

    /// Takes out what vanished, highest first, so that every number told is the index as it stands.
    fn expunge(&mut self, updates: &mut Vec<Update>) {
        if self.vanished.is_empty() {
            return;
        }
        let vanished = std::mem::take(&mut self.vanished);
        for uid in vanished.iter().rev() {
            if let Some(index) = self.index_of(*uid) {
                updates.push(Update::Expunge(u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)));
            }
        }
        Arc::make_mut(&mut self.rows).retain(|row| !vanished.contains(&row.uid));
        self.saved.retain(|uid| !vanished.contains(uid));
    }
}

/// What changed between two sets of rows: for when the change log no longer reaches back.
pub(crate) fn difference(old: &[MessageRow], new: &Snapshot) -> Changes {
    let mut changes =
        Changes { highest_mod_seq: new.highest_mod_seq, uid_next: new.uid_next, complete: true, ..Changes::default() };
    let mut now = new.rows.iter().peekable();
    for was in old {
        while let Some(row) = now.next_if(|row| row.uid < was.uid) {
            changes.updated.push(row.clone());
        }
        match now.next_if(|row| row.uid == was.uid) {
            Some(row) if row.mod_seq != was.mod_seq => changes.updated.push(row.clone()),
            Some(_) => {}
            None => changes.vanished.push(was.uid),
        }
    }
    changes.updated.extend(now.cloned());
    changes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use store::{EmailId, MailboxId};

    fn row(uid: u32, mod_seq: u64) -> MessageRow {
        MessageRow {
            uid: Uid(uid),
            email: EmailId(u64::from(uid)),
            mod_seq: ModSeq(mod_seq),
            flags: Flags::default(),
            internal_date_secs: 0,
            size_bytes: 1,
        }
    }

    fn snapshot(rows: Vec<MessageRow>) -> Snapshot {
        let highest_mod_seq = rows.iter().map(|row| row.mod_seq).max().unwrap_or_default();
        Snapshot {
            mailbox: Mailbox { id: MailboxId(1), name: "INBOX".into(), uid_validity: 1, special_use: None, subscribed: false },
            uid_next: Uid(rows.last().map_or(1, |row| row.uid.0 + 1)),
            highest_mod_seq,
            rows: Arc::new(rows),
        }
    }

    fn changes(updated: Vec<MessageRow>, vanished: &[u32], mod_seq: u64) -> Changes {
        Changes {
            updated,
            vanished: vanished.iter().map(|uid| Uid(*uid)).collect(),
            highest_mod_seq: ModSeq(mod_seq),
            uid_next: Uid(99),
            complete: true,
            gone: false,
        }
    }

    #[test]
    fn expunge_waits_until_it_may_be_told() {
        let mut view = View::new(snapshot(vec![row(1, 1), row(3, 2), row(5, 3)]), false, ModSeq(0));
        let told = view.apply(changes(vec![row(6, 5)], &[1, 5], 5), false);
        assert_eq!(told, vec![Update::Exists(4)]);
        assert!(view.has_vanished() && view.is_vanished(Uid(5)));
        assert_eq!(view.index_of(Uid(6)), Some(3));
        let told = view.apply(changes(vec![], &[], 5), true);
        assert_eq!(told, vec![Update::Expunge(3), Update::Expunge(1)]);
        assert_eq!(view.index_of(Uid(6)), Some(1));
        assert!(!view.has_vanished());
    }

    #[test]
    fn own_changes_are_not_told_twice() {
        let mut view = View::new(snapshot(vec![row(1, 1), row(2, 1)]), false, ModSeq(0));
        view.note_own(1, row(2, 7));
        let told = view.apply(changes(vec![row(1, 6), row(2, 7)], &[], 7), true);
        assert_eq!(told, vec![Update::Flags(0)]);
        let told = view.apply(changes(vec![row(2, 8)], &[], 8), false);
        assert_eq!(told, vec![Update::Flags(1)]);
    }

    #[test]
    fn the_store_s_shared_rows_are_never_written() {
        let shared = snapshot(vec![row(1, 1)]);
        let mut view = View::new(shared.clone(), false, ModSeq(0));
        view.apply(changes(vec![row(2, 2)], &[1], 2), true);
        assert_eq!(shared.rows.len(), 1);
        assert_eq!(view.last_uid(), 2);
    }

    #[test]
    fn difference_finds_all_three_kinds() {
        let old = [row(1, 1), row(2, 1), row(4, 1)];
        let new = snapshot(vec![row(2, 1), row(4, 9), row(7, 8)]);
        let found = difference(&old, &new);
        assert_eq!(found.vanished, vec![Uid(1)]);
        assert_eq!(found.updated, vec![row(4, 9), row(7, 8)]);
    }

    #[test]
    fn recent_counts_only_what_is_there() {
        let mut view = View::new(snapshot(vec![row(1, 1), row(4, 1), row(5, 1)]), false, ModSeq(0));
        view.add_recent((2, 4));
        view.add_recent((5, 9));
        assert_eq!(view.recent_count(), 2);
        assert!(!view.is_recent(Uid(1)));
    }
}
