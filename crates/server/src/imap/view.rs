//! What one session knows of its selected mailbox: rows, sequence numbers, and what it has not been told yet.
//!
//! RFC 9051 §7.5.1 and RFC 2180: a message another session expunged keeps its sequence number here until an
//! EXPUNGE may be sent. The rows are the store's, shared with all sessions of the mailbox, but for the blocks that hold what
//! this client must not be told yet. Invariant: sequence number = index + 1 in `rows`, which is exactly what the client was
//! told. Must not know: how answers are written, sockets, how changes come.

use super::watched::Watched;
use smol_str::SmolStr;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use store::{AccountId, Flags, FlagsChanged, Mailbox, MessageRow, ModSeq, Rows, Snapshot, Uid};
use tokio::sync::watch;
use wire::imap::acl::Rights;

/// A thing to tell the client, in the order it must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Update {
    /// `* n EXPUNGE`, or VANISHED of the UID; each number is right at the moment it is told.
    Expunge(u32, Uid),
    /// `* n EXISTS`: there are more.
    Exists(u32),
    /// `* n FETCH (FLAGS ...)` for the row at this index.
    Flags(usize),
}

/// The session's own view of one mailbox.
#[derive(Debug)]
pub(crate) struct View {
    /// Whose it is.
    pub(crate) account: AccountId,
    /// As it was at SELECT (its name may have changed since).
    pub(crate) mailbox: Mailbox,
    /// EXAMINE.
    pub(crate) examined: bool,
    /// EXAMINE, or no right to change anything.
    pub(crate) read_only: bool,
    /// What the reader may do.
    pub(crate) rights: Rights,
    /// Each reader keeps \Seen here alone.
    pub(crate) own_seen: bool,
    /// Of another account: wakes on every commit that touches it.
    pub(crate) watch: Option<watch::Receiver<ModSeq>>,
    /// Changes up to here are in `rows` or in `vanished`.
    pub(crate) mod_seq: ModSeq,
    /// All up to here is told; of what came later some is kept back.
    settled: ModSeq,
    /// Some of it never will be told.
    stuck: bool,
    /// The client was told to count on `settled` only.
    held_back: bool,
    /// The account's mod-sequence when changes were last asked for.
    pub(crate) checked: ModSeq,
    /// Keywords the client was told of, by their lower-case form.
    keywords: BTreeMap<SmolStr, SmolStr>,
    rows: Rows,
    /// Expunged by others, still in `rows` because the client was not told yet.
    vanished: BTreeSet<Uid>,
    /// UIDs this session has as recent: ascending ranges, both ends included.
    recent: Vec<(u32, u32)>,
    /// SEARCHRES `$` (RFC 5182): ascending UIDs.
    saved: Box<[Uid]>,
    /// Searches that are watched (RFC 5267).
    watched: Vec<Watched>,
    /// Copied or appended here by this session itself, since it was last told of new messages.
    pub(crate) made: BTreeSet<Uid>,
}

impl View {
    /// The mailbox as it was just opened.
    pub(crate) fn new(account: AccountId, snapshot: Snapshot, examined: bool, checked: ModSeq) -> View {
        let mut view = View {
            account,
            mailbox: snapshot.mailbox,
            examined,
            read_only: examined,
            rights: Rights::ALL,
            own_seen: false,
            watch: None,
            mod_seq: snapshot.highest_mod_seq,
            settled: snapshot.highest_mod_seq,
            stuck: false,
            held_back: false,
            rows: snapshot.rows,
            vanished: BTreeSet::new(),
            recent: Vec::new(),
            saved: Box::default(),
            watched: Vec::new(),
            made: BTreeSet::new(),
            checked,
            keywords: BTreeMap::new(),
        };
        let rows = view.rows.clone();
        for words in rows.keywords() {
            view.learn(words);
        }
        view
    }

    /// Keywords in use here, as first spelled.
    pub(crate) fn keywords(&self) -> impl Iterator<Item = &SmolStr> {
        self.keywords.values()
    }

    /// Notes these keywords; true when one is new.
    pub(crate) fn learn_keywords(&mut self, flags: &Flags) -> bool {
        flags.keywords.as_deref().is_some_and(|words| self.learn(words))
    }

    fn learn(&mut self, words: &[SmolStr]) -> bool {
        let mut fresh = false;
        for word in words {
            let folded = SmolStr::from(word.to_ascii_lowercase());
            if let Entry::Vacant(slot) = self.keywords.entry(folded) {
                slot.insert(word.clone());
                fresh = true;
            }
        }
        fresh
    }

    /// All rows, as told. Cheap to clone: a command walks over its own handle.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// EXISTS.
    pub(crate) fn exists(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// The highest UID known, 0 when empty.
    pub(crate) fn last_uid(&self) -> u32 {
        self.rows.len().checked_sub(1).and_then(|last| self.rows.uid(last)).map_or(0, |uid| uid.0)
    }

    /// Index of the message with this UID.
    pub(crate) fn index_of(&self, uid: Uid) -> Option<usize> {
        self.rows.index_of(uid)
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

    /// Indexes of the messages that are recent here, ascending and apart.
    pub(crate) fn recent_ranges(&self) -> Vec<Range<usize>> {
        let ranges = self.recent.iter().map(|&(first, last)| self.uid_range(first, last));
        ranges.filter(|range| !range.is_empty()).collect()
    }

    /// How many messages are recent here.
    pub(crate) fn recent_count(&self) -> u32 {
        let count: usize = self.recent.iter().map(|&(first, last)| self.uid_range(first, last).len()).sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Indices of the messages with UIDs from `first` to `last`, both included.
    pub(crate) fn uid_range(&self, first: u32, last: u32) -> Range<usize> {
        let start = self.rows.lower_bound(Uid(first));
        let end = last.checked_add(1).map_or(self.rows.len(), |after| self.rows.lower_bound(Uid(after)));
        start..end.max(start)
    }

    /// Searches that are watched here.
    pub(crate) fn watched_mut(&mut self) -> &mut Vec<Watched> {
        &mut self.watched
    }

    /// Replaces SEARCHRES `$`.
    pub(crate) fn save(&mut self, uids: Vec<Uid>) {
        self.saved = uids.into();
    }

    /// SEARCHRES `$`, without what is gone since (RFC 5182 §2.1).
    pub(crate) fn saved(&self) -> &[Uid] {
        &self.saved
    }

    /// Puts rows in (ascending) as this session's own act made them: [`View::apply`] will not tell of them again.
    pub(crate) fn note_own(&mut self, rows: &[MessageRow]) {
        self.rows.put(rows);
    }

    /// The same of what its own STORE did. `true`: all rows stood here as the STORE found them.
    pub(crate) fn take_own(&mut self, changed: &FlagsChanged) -> bool {
        match &changed.whole {
            Some((before, now)) if self.rows.is_same(before) => {
                self.rows = now.clone();
                true
            }
            _ => {
                self.note_own(&changed.rows);
                false
            }
        }
    }

    /// Takes the mailbox as it is now and answers what the client is to be told of it. Without `may_expunge` what
    /// vanished keeps its place (RFC 9051 §7.5.1: no EXPUNGE while FETCH, STORE or SEARCH run).
    pub(crate) fn apply(&mut self, now: Snapshot, may_expunge: bool) -> Vec<Update> {
        self.mod_seq = self.mod_seq.max(now.highest_mod_seq);
        let mut rows = now.rows;
        let mut difference = self.rows.difference(&rows);
        let mut updates = Vec::new();
        self.vanished = difference.vanished.iter().copied().collect();
        if may_expunge {
            self.expunge(&mut updates);
        } else if !self.vanished.is_empty() {
            let kept: Vec<MessageRow> =
                difference.vanished.iter().filter_map(|uid| self.rows.get(self.rows.index_of(*uid)?)).collect();
            rows.put(&kept);
            difference = self.rows.difference(&rows);
        }
        if self.vanished.is_empty() && !self.stuck {
            self.settled = self.mod_seq;
        }
        debug_assert!(self.goes_on(&rows, &difference.changed), "{:?}: rows are older than what was told", self.mailbox);
        updates.extend(difference.changed.into_iter().map(Update::Flags));
        self.rows = rows;
        if !difference.arrived.is_empty() {
            updates.push(Update::Exists(self.exists()));
        }
        updates
    }

    /// Each of these (indexes in `newer`) was changed later than this view has it.
    fn goes_on(&self, newer: &Rows, changed: &[usize]) -> bool {
        let known = |uid| self.rows.get(self.rows.index_of(uid)?);
        newer.at(changed).all(|row| known(row.uid).is_some_and(|before| before.mod_seq < row.mod_seq))
    }

    /// Of what came since `settled` some is never told.
    pub(crate) fn unsettle(&mut self, settled: ModSeq) {
        (self.settled, self.stuck) = (settled, true);
    }

    /// Up to where all is told.
    pub(crate) fn settled(&self) -> ModSeq {
        self.settled
    }

    /// The mod-sequence that the client is to count on, where it could take another for it (RFC 7162 §3.2, §6); `more`: there
    /// is what this view does not know.
    pub(crate) fn counted_on(&mut self, more: bool) -> Option<ModSeq> {
        let behind = more || self.settled < self.mod_seq;
        let was_behind = std::mem::replace(&mut self.held_back, behind);
        (behind || was_behind).then_some(self.settled)
    }

    /// Tells of what vanished, highest first, so that every number told is the index as it stands.
    fn expunge(&mut self, updates: &mut Vec<Update>) {
        let vanished = std::mem::take(&mut self.vanished);
        for uid in vanished.iter().rev() {
            if let Some(index) = self.index_of(*uid) {
                updates.push(Update::Expunge(u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1), *uid));
            }
        }
        if self.saved.iter().any(|uid| vanished.contains(uid)) {
            self.saved = self.saved.iter().copied().filter(|uid| !vanished.contains(uid)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;
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
            rows: Rows::of(&rows),
        }
    }

    #[test]
    fn expunge_waits_until_it_may_be_told() {
        let mut view = View::new(AccountId(1), snapshot(vec![row(1, 1), row(3, 2), row(5, 3)]), false, ModSeq(0));
        let now = snapshot(vec![row(3, 2), row(6, 5)]);
        assert_eq!((view.settled(), view.counted_on(false)), (ModSeq(3), None));
        assert_eq!(view.apply(now.clone(), false), vec![Update::Exists(4)]);
        assert_eq!((view.mod_seq, view.counted_on(false)), (ModSeq(5), Some(ModSeq(3))));
        assert!(view.has_vanished() && view.is_vanished(Uid(5)));
        assert_eq!(view.index_of(Uid(6)), Some(3));
        assert_eq!(view.apply(now.clone(), false), vec![]);
        assert_eq!(view.apply(now, true), vec![Update::Expunge(3, Uid(5)), Update::Expunge(1, Uid(1))]);
        assert_eq!((view.counted_on(false), view.counted_on(false)), (Some(ModSeq(5)), None));
        assert_eq!(view.index_of(Uid(6)), Some(1));
        assert!(!view.has_vanished());
    }

    #[test]
    fn own_changes_are_not_told_twice() {
        let mut view = View::new(AccountId(1), snapshot(vec![row(1, 1), row(2, 1)]), false, ModSeq(0));
        view.note_own(&[row(2, 7)]);
        assert_eq!(view.apply(snapshot(vec![row(1, 6), row(2, 7)]), true), vec![Update::Flags(0)]);
        assert_eq!(view.apply(snapshot(vec![row(1, 6), row(2, 8)]), false), vec![Update::Flags(1)]);
    }

    #[test]
    fn rows_are_shared_with_the_store_again_when_all_was_told() {
        let shared = snapshot(vec![row(1, 1)]);
        let mut view = View::new(AccountId(1), shared.clone(), false, ModSeq(0));
        let now = snapshot(vec![row(2, 2)]);
        view.apply(now.clone(), false);
        assert!(!view.rows().is_same(&now.rows) && view.exists() == 2 && shared.rows.len() == 1 && now.rows.len() == 1);
        view.apply(now.clone(), true);
        assert!(view.rows().is_same(&now.rows) && view.last_uid() == 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        // One changes a mailbox, three follow it as they may: whoever was told all has it as one who opens it now, and
        // what a client makes of the answers is what its session has.
        #[test]
        fn every_follower_ends_where_a_fresh_view_begins(acts in proptest::collection::vec((0u8..6, 1u32..60, any::<bool>()), 1..80)) {
            let mut now = snapshot(Vec::new());
            let mut followers: Vec<(View, Vec<u32>)> =
                (0..3).map(|_| (View::new(AccountId(1), now.clone(), false, ModSeq(0)), Vec::new())).collect();
            let mut next = 1;
            for (number, (act, pick, may_expunge)) in acts.into_iter().enumerate() {
                let mod_seq = number as u64 + 1;
                match act {
                    0 | 1 => {
                        now.rows.put(&(next..next + pick % 7).map(|uid| row(uid, mod_seq)).collect::<Vec<_>>());
                        next += pick % 7;
                    }
                    2 if now.rows.index_of(Uid(pick)).is_some() => now.rows.put(&[row(pick, mod_seq)]),
                    3 => now.rows.remove(&[Uid(pick), Uid(pick + 1)]),
                    _ => {}
                }
                now.highest_mod_seq = ModSeq(mod_seq);
                let (view, client) = &mut followers[number % 3];
                let before = view.rows().clone();
                for update in view.apply(now.clone(), may_expunge) {
                    match update {
                        Update::Expunge(number, uid) => prop_assert_eq!(client.remove(number as usize - 1), uid.0),
                        Update::Exists(count) => {
                            prop_assert!(count as usize > client.len());
                            client.extend(view.rows().uids(client.len()..count as usize).map(|uid| uid.0));
                        }
                        Update::Flags(index) => {
                            let row = view.rows().get(index).unwrap();
                            prop_assert!(before.index_of(row.uid).is_some_and(|at| before.get(at).unwrap().mod_seq < row.mod_seq));
                        }
                    }
                }
                prop_assert_eq!(&*client, &view.rows().iter().map(|row| row.uid.0).collect::<Vec<_>>());
                if may_expunge {
                    prop_assert!(view.rows().is_same(&now.rows) && !view.has_vanished());
                    prop_assert_eq!(view.rows(), &Rows::of(&now.rows.iter().collect::<Vec<_>>()));
                } else {
                    prop_assert!(now.rows.iter().all(|row| view.rows().get(view.index_of(row.uid).unwrap()) == Some(row)));
                    prop_assert_eq!(view.rows().len(), now.rows.len() + view.vanished.len());
                }
            }
        }
    }

    #[test]
    fn recent_counts_only_what_is_there() {
        let mut view = View::new(AccountId(1), snapshot(vec![row(1, 1), row(4, 1), row(5, 1)]), false, ModSeq(0));
        view.add_recent((2, 4));
        view.add_recent((5, 9));
        assert_eq!(view.recent_count(), 2);
        assert!(!view.is_recent(Uid(1)));
    }
}
