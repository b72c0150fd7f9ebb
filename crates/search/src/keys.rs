//! What the messages of a mailbox are sorted and threaded by, kept in memory for all who ask.
//!
//! Made from the facts when first asked for; a message's keys never change, so new ones are only added. Each text is kept
//! once, with its rank among all, so that sorting compares numbers. Invariant: losing any of it costs time only; all
//! mailboxes together stay below `SORT_KEYS_BYTES_MAX`, but for those in use. Must not know: protocols.

use crate::evaluate::{Finder, aside};
use crate::index::{Chunk, Chunks, Column, Numbers, ORDERS};
use crate::limits;
use crate::reading::facts_of;
use crate::texts::Texts;
use message::facts::Facts;
use message::sort_keys::SortKeys;
use message::threading::{self, Algorithm, Forest, Threadable};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::{AccountId, EmailId, MailboxId, MessageRow, Rows, Store, StoreError, Uid};
use tokio::sync::OwnedMutexGuard;

/// What messages can be put in order by (RFC 5256 §3, RFC 5957 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Key {
    Arrival,
    Size,
    /// The Date field, or without a good one INTERNALDATE.
    Date,
    /// The base subject.
    Subject,
    /// The mailbox of the first address.
    From,
    To,
    Cc,
    /// The name of the first address, else the address.
    DisplayFrom,
    DisplayTo,
}

/// All mailboxes that were sorted or threaded lately.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    mailboxes: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    by_mailbox: HashMap<(AccountId, MailboxId), Slot>,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug, Default)]
struct Slot {
    keys: Arc<tokio::sync::Mutex<MailboxKeys>>,
    used: u64,
    bytes: usize,
}

/// One mailbox's.
#[derive(Debug, Default)]
pub struct MailboxKeys {
    /// Ascending by UID; also of messages that are gone, until they are half of it.
    entries: Vec<Entry>,
    texts: Texts,
    references: Vec<u64>,
    /// The last conversations asked for, and of which messages.
    forest: Option<(Algorithm, Vec<u32>, Arc<Forest>)>,
}

/// One message's; texts by number.
#[derive(Debug, Clone, Copy)]
struct Entry {
    uid: u32,
    has_message_key: bool,
    is_reply: bool,
    reference_count: u16,
    first_reference: u32,
    subject: u32,
    from: u32,
    to: u32,
    cc: u32,
    display_from: u32,
    display_to: u32,
    /// The least number: the Date field says nothing.
    sent_secs: i64,
    message_key: u64,
}

impl Shelf {
    fn of(&self, account: AccountId, mailbox: MailboxId) -> Arc<tokio::sync::Mutex<MailboxKeys>> {
        let mut slots = self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        slots.clock += 1;
        let now = slots.clock;
        let slot = slots.by_mailbox.entry((account, mailbox)).or_default();
        slot.used = now;
        Arc::clone(&slot.keys)
    }

    /// So large are these now; what was not used for the longest time goes when all together are too large.
    fn note(&self, account: AccountId, mailbox: MailboxId, bytes: usize) {
        let mut slots = self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.by_mailbox.get_mut(&(account, mailbox)) {
            slot.bytes = bytes;
        }
        let mut total: usize = slots.by_mailbox.values().map(|slot| slot.bytes).sum();
        while total > limits::SORT_KEYS_BYTES_MAX {
            let Some((oldest, freed)) =
                slots.by_mailbox.iter().min_by_key(|(_, slot)| slot.used).map(|(id, slot)| (*id, slot.bytes))
            else {
                return;
            };
            slots.by_mailbox.remove(&oldest);
            total = total.saturating_sub(freed);
        }
    }
}

impl MailboxKeys {
    /// Starts anew when most of it is of messages that are gone.
    fn forget_gone(&mut self, messages: usize) {
        if self.entries.len() > messages.saturating_mul(2).saturating_add(1000) {
            *self = MailboxKeys::default();
        }
    }

    /// Which of these (ascending) are not here.
    fn missing(&self, rows: &Rows, found: &[usize]) -> Vec<(Uid, EmailId)> {
        let mut missing = Vec::new();
        let mut at = 0;
        for index in found {
            let Some(uid) = rows.uid(*index) else { continue };
            while self.entries.get(at).is_some_and(|entry| entry.uid < uid.0) {
                at += 1;
            }
            if self.entries.get(at).is_none_or(|entry| entry.uid != uid.0) {
                missing.extend(rows.get(*index).map(|row| (uid, row.email)));
            }
        }
        missing
    }

    fn add(&mut self, uid: Uid, facts: &Facts) {
        let keys = SortKeys::of(facts);
        let texts = [&keys.subject, &keys.from, &keys.to, &keys.cc, &keys.display_from, &keys.display_to];
        let texts = texts.map(|text| self.texts.number(text));
        self.push(uid, &Numbers::of(facts, keys.is_reply), texts);
    }

    /// Those that an index has; answers the others.
    fn add_indexed(&mut self, chunks: &[Arc<Chunk>], missing: Vec<(Uid, EmailId)>) -> Vec<(Uid, EmailId)> {
        let mut finder = Finder::new(chunks);
        let mut left = Vec::new();
        let mut by_chunk: Vec<Vec<(usize, (Uid, EmailId))>> = vec![Vec::new(); chunks.len()];
        for one in missing {
            match finder.find(one.1).and_then(|(chunk, doc)| Some((by_chunk.get_mut(chunk)?, doc))) {
                Some((docs, doc)) => docs.push((doc, one)),
                None => left.push(one),
            }
        }
        for (chunk, docs) in chunks.iter().zip(by_chunk).filter(|(_, docs)| !docs.is_empty()) {
            // A damaged one is found out, and made anew, by who searches.
            let Some(sorted) = chunk.sorted() else {
                left.extend(docs.into_iter().map(|(_, one)| one));
                continue;
            };
            let texts = &mut self.texts;
            let numbers = sorted.orders.each_ref().map(|column| numbers_of(column, texts));
            for (doc, one) in docs {
                match sorted.numbers.get(doc).filter(|known| known.is_known) {
                    Some(known) => {
                        let text = |at: usize| {
                            let number = sorted.orders.get(at).map_or(0, |column| column.number(doc));
                            numbers.get(at).and_then(|all| all.get(number as usize)).copied().unwrap_or(0)
                        };
                        let texts = std::array::from_fn(text);
                        self.push(one.0, known, texts);
                    }
                    None => left.push(one),
                }
            }
        }
        left.sort_unstable_by_key(|(uid, _)| *uid);
        left
    }

    fn push(&mut self, uid: Uid, known: &Numbers, [subject, from, to, cc, display_from, display_to]: [u32; ORDERS]) {
        let first_reference = u32::try_from(self.references.len()).unwrap_or(u32::MAX);
        self.references.extend(&known.reference_keys);
        self.entries.push(Entry {
            uid: uid.0,
            has_message_key: known.message_key.is_some(),
            is_reply: known.is_reply,
            reference_count: u16::try_from(known.reference_keys.len()).unwrap_or(u16::MAX),
            first_reference,
            subject,
            from,
            to,
            cc,
            display_from,
            display_to,
            sent_secs: known.date_secs.unwrap_or(i64::MIN),
            message_key: known.message_key.unwrap_or_default(),
        });
    }

    /// The conversations of the messages at these places (ascending); the forest counts them from 0.
    pub fn forest(&mut self, rows: &Rows, found: &[usize], algorithm: Algorithm) -> Arc<Forest> {
        let uids = rows.uids_at(found);
        if let Some((known, of, forest)) = &self.forest
            && (*known, of) == (algorithm, &uids)
        {
            return Arc::clone(forest);
        }
        let mut walk = self.walk();
        let messages: Vec<Threadable<'_>> = rows.at(found).map(|row| walk.threadable(&row)).collect();
        let forest = Arc::new(threading::thread(&messages, algorithm));
        self.forest = Some((algorithm, uids, Arc::clone(&forest)));
        forest
    }

    /// After some were added: ascending again.
    fn settle(&mut self) {
        if !self.entries.is_sorted_by_key(|entry| entry.uid) {
            self.entries.sort_by_key(|entry| entry.uid);
        }
    }

    fn bytes(&self) -> usize {
        let forest = self.forest.as_ref().map_or(0, |(_, uids, forest)| uids.len() * 4 + forest.nodes.len() * 64);
        self.entries.capacity() * size_of::<Entry>() + self.references.capacity() * 8 + self.texts.bytes() + forest
    }

    /// Makes ready what [`Walk::value`] answers for texts.
    fn rank(&mut self) {
        self.texts.rank();
    }

    /// For many messages, best in the order of their UIDs.
    pub fn walk(&self) -> Walk<'_> {
        Walk { keys: self, at: 0 }
    }

    /// The key of the message that its conversation began with (RFC 8474 §5.2).
    pub fn thread_root(&self, row: &MessageRow) -> Option<u64> {
        let message = self.walk().threadable(row);
        message.reference_keys.first().copied().or(message.message_key)
    }
}

/// Keys of one message after the other. Those of the next one are looked for from where the last ones were.
#[derive(Debug)]
pub struct Walk<'a> {
    keys: &'a MailboxKeys,
    at: usize,
}

impl<'a> Walk<'a> {
    /// A number that is in order as the key is.
    pub fn value(&mut self, key: Key, row: &MessageRow) -> u64 {
        let entry = self.entry(row.uid);
        let text = match key {
            Key::Arrival => return ascending(row.internal_date_secs),
            Key::Size => return u64::from(row.size_bytes),
            Key::Date => return ascending(entry.sent(row)),
            Key::Subject => entry.subject,
            Key::From => entry.from,
            Key::To => entry.to,
            Key::Cc => entry.cc,
            Key::DisplayFrom => entry.display_from,
            Key::DisplayTo => entry.display_to,
        };
        u64::from(self.keys.texts.rank_of(text))
    }

    /// As the threader wants it.
    pub fn threadable(&mut self, row: &MessageRow) -> Threadable<'a> {
        let entry = self.entry(row.uid);
        let first = entry.first_reference as usize;
        Threadable {
            message_key: entry.has_message_key.then_some(entry.message_key),
            reference_keys: self.keys.references.get(first..first + usize::from(entry.reference_count)).unwrap_or_default(),
            subject_key: u64::from(entry.subject),
            is_reply: entry.is_reply,
            sent_secs: entry.sent(row),
            arrived_secs: row.internal_date_secs,
        }
    }

    /// Without keys (gone or damaged): as of a message that says nothing.
    fn entry(&mut self, uid: Uid) -> &'a Entry {
        self.go_to(uid.0);
        self.keys.entries.get(self.at).filter(|entry| entry.uid == uid.0).unwrap_or(&Entry::NOTHING)
    }

    /// To the first entry that is not below this UID: in steps that double, then by halves within the last step.
    fn go_to(&mut self, uid: u32) {
        let entries = &self.keys.entries;
        let is_below = |at: usize| entries.get(at).is_some_and(|entry| entry.uid < uid);
        if self.at.checked_sub(1).is_some_and(|before| !is_below(before)) {
            self.at = 0;
        }
        let (mut low, mut step) = (self.at, 1);
        while is_below(low + step - 1) {
            low += step;
            step *= 2;
        }
        let within = entries.get(low..entries.len().min(low + step - 1)).unwrap_or_default();
        self.at = low + within.partition_point(|entry| entry.uid < uid);
    }
}

impl Entry {
    const NOTHING: Entry = Entry {
        uid: 0,
        has_message_key: false,
        is_reply: false,
        reference_count: 0,
        first_reference: 0,
        subject: 0,
        from: 0,
        to: 0,
        cc: 0,
        display_from: 0,
        display_to: 0,
        sent_secs: i64::MIN,
        message_key: 0,
    };

    /// RFC 5256 §2.2: without a good Date field INTERNALDATE.
    fn sent(&self, row: &MessageRow) -> i64 {
        if self.sent_secs == i64::MIN { row.internal_date_secs } else { self.sent_secs }
    }
}

/// Numbers of a column's texts among all, by their numbers there.
fn numbers_of(column: &Column, texts: &mut Texts) -> Vec<u32> {
    let text = |number: usize| column.text(number as u32).and_then(|text| std::str::from_utf8(text).ok());
    (0..=column.texts()).map(|number| text(number).map_or(0, |text| texts.number(text))).collect()
}

/// In the same order, without a sign.
fn ascending(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

impl Shelf {
    /// The mailbox's keys, those of the messages at these places (ascending) among them.
    pub(crate) async fn keys(
        &self,
        store: &Store,
        chunks: Option<Chunks>,
        (account, mailbox): (AccountId, MailboxId),
        rows: &Rows,
        found: &[usize],
    ) -> Result<OwnedMutexGuard<MailboxKeys>, StoreError> {
        let mut keys = self.of(account, mailbox).lock_owned().await;
        keys.forget_gone(rows.len());
        let mut missing = keys.missing(rows, found);
        let many = missing.len() > limits::FACTS_CHUNK;
        if let Some(chunks) = chunks.filter(|_| many) {
            (keys, missing) = aside(move || {
                let left = keys.add_indexed(&chunks, missing);
                keys.settle();
                (keys, left)
            })
            .await?;
        }
        for chunk in missing.chunks(limits::FACTS_CHUNK) {
            let emails: Vec<EmailId> = chunk.iter().map(|(_, email)| *email).collect();
            let facts = facts_of(store, account, &emails).await?;
            for ((uid, _), facts) in chunk.iter().zip(facts) {
                if let Some(facts) = facts {
                    keys.add(*uid, &facts);
                }
            }
            keys.settle();
        }
        if many {
            keys = aside(move || {
                keys.rank();
                keys
            })
            .await?;
        }
        keys.rank();
        self.note(account, mailbox, keys.bytes());
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use store::{Flags, ModSeq};

    fn row(uid: u32) -> MessageRow {
        MessageRow {
            uid: Uid(uid),
            email: EmailId(u64::from(uid)),
            mod_seq: ModSeq(1),
            flags: Flags::default(),
            internal_date_secs: -5,
            size_bytes: 1,
        }
    }

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let rows = Rows::of(&[row(2), row(4), row(6), row(9)]);
        let mut keys = MailboxKeys::default();
        keys.add(Uid(4), &Facts::compute(b"Subject: b\r\n\r\n"));
        keys.add(Uid(9), &Facts::compute(b"Subject: a\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n\r\n"));
        assert_eq!(keys.missing(&rows, &[0, 1, 2, 3]), [(Uid(2), EmailId(2)), (Uid(6), EmailId(6))]);
        keys.add(Uid(2), &Facts::compute(b"Subject: RE: B\r\n\r\n"));
        keys.settle();
        keys.rank();
        assert_eq!(keys.missing(&rows, &[0, 1, 3]), []);
        let subjects: Vec<u64> = [2, 4, 6, 9].map(|uid| keys.walk().value(Key::Subject, &row(uid))).to_vec();
        assert_eq!(subjects, [2, 2, 0, 1]);
        let value = |key, uid| keys.walk().value(key, &row(uid));
        assert!(value(Key::Date, 4) < value(Key::Date, 9));
        assert_eq!(value(Key::Date, 4), value(Key::Arrival, 4));
        keys.forget_gone(0);
        assert_eq!(keys.entries.len(), 3);
    }

    proptest! {
        /// Wherever the walk stands, it finds what is there and nothing else.
        #[test]
        fn a_walk_finds_every_message(there in proptest::collection::btree_set(1u32..200, 0..80), asked in proptest::collection::vec(0u32..210, 0..80)) {
            let mut keys = MailboxKeys::default();
            for uid in &there {
                keys.entries.push(Entry { uid: *uid, sent_secs: i64::from(*uid), ..Entry::NOTHING });
            }
            let mut ascending: Vec<u32> = asked.clone();
            ascending.sort_unstable();
            for asked in [asked, ascending] {
                let mut walk = keys.walk();
                for uid in asked {
                    let found = walk.entry(Uid(uid));
                    prop_assert_eq!(found.sent_secs, if there.contains(&uid) { i64::from(uid) } else { i64::MIN });
                }
            }
        }
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let shelf = Shelf::default();
        let half = limits::SORT_KEYS_BYTES_MAX / 2 + 1;
        for mailbox in [1, 2, 1] {
            drop(shelf.of(AccountId(1), MailboxId(mailbox)));
        }
        shelf.note(AccountId(1), MailboxId(1), half);
        shelf.note(AccountId(1), MailboxId(2), half);
        let left: Vec<u32> = shelf.mailboxes.lock().unwrap().by_mailbox.keys().map(|(_, mailbox)| mailbox.0).collect();
        assert_eq!(left, [1]);
    }
}
