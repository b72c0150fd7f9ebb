//! Reading: snapshots, changes, facts, bodies.
//!
//! Invariant: a reader sees one instant; a read error is an error, never an empty mailbox; a fill that the account has
//! moved past is brought up by the changes since or thrown away. Must not know: who reads.

use crate::Store;
use crate::change_log::decode_act;
use crate::engine::{Batch, Found, Key, Query, commit};
use crate::flag_runs::apply_flag_runs;
use crate::key;
use crate::limits::{BODY_PIECE_BYTES, READ_AHEAD, READ_AHEAD_GAP, SNAPSHOT_ROWS_CACHED};
use crate::message::{facts_of, note_of};
use crate::packed::Rows;
use crate::rows::{Counters, EmailRecord, decode_uid};
use crate::space::{Act, Space};
use crate::store::{Inner, Result};
use crate::threads::begun_at;
use crate::types::*;
use message::facts::Facts;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

const FILL_TRIES: usize = 20;
/// Rows read in at a time.
const FILL_ROWS: usize = if cfg!(test) { 3 } else { 16 * 1024 };

/// Which cached mailboxes are the longest unused, and how many rows all hold.
#[derive(Debug, Default)]
pub(crate) struct SnapshotBudget {
    uses: Mutex<Uses>,
}

#[derive(Debug, Default)]
struct Uses {
    now: u64,
    /// When each was used last, and its rows.
    last: HashMap<(AccountId, MailboxId), (u64, usize)>,
    total: usize,
    /// How many were let go.
    #[cfg(test)]
    gone: usize,
}

impl SnapshotBudget {
    #[cfg(test)]
    pub(crate) fn gone(&self) -> usize {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).gone
    }

    /// Notes a use; tells which to let go so that the rest keeps within bounds (never the one just used).
    fn used(&self, account: AccountId, mailbox: MailboxId, rows: usize) -> Vec<(AccountId, MailboxId)> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.now += 1;
        let now = uses.now;
        let rows = rows.max(16);
        let before = uses.last.insert((account, mailbox), (now, rows)).map_or(0, |(_, rows)| rows);
        uses.total = uses.total + rows - before;
        let mut gone = Vec::new();
        if uses.total <= SNAPSHOT_ROWS_CACHED {
            return gone;
        }
        let mut oldest: Vec<(u64, usize, (AccountId, MailboxId))> =
            uses.last.iter().map(|(at, (used, rows))| (*used, *rows, *at)).collect();
        oldest.sort_unstable();
        for (used, rows, at) in oldest {
            if uses.total <= SNAPSHOT_ROWS_CACHED * 3 / 4 || used == now {
                break;
            }
            uses.last.remove(&at);
            uses.total -= rows;
            gone.push(at);
        }
        #[cfg(test)]
        {
            uses.gone += gone.len();
        }
        gone
    }
}

impl Inner {
    fn let_go(&self, gone: Vec<(AccountId, MailboxId)>) {
        for (account, mailbox) in gone {
            let space = self.spaces.lock().unwrap_or_else(PoisonError::into_inner).get(&account).cloned();
            if let Some(space) = space {
                space.published().cached.remove(&mailbox);
            }
        }
    }

    /// Mailboxes that grew without being read count against the bounds, too.
    pub(crate) fn after_growth(&self, grown: impl Iterator<Item = (AccountId, MailboxId)>) {
        for (account, mailbox) in grown {
            let space = self.space(account);
            let rows = space.published().cached.get(&mailbox).map(Rows::len);
            // Every few messages is often enough.
            if let Some(rows) = rows.filter(|rows| rows % 64 == 0 || *rows == 1) {
                self.let_go(self.budget.used(account, mailbox, rows));
            }
        }
    }

    /// Runs on the cached rows of a mailbox and the mod-sequence they are as of, reading them in first if need be.
    async fn with_rows<T>(&self, space: &Arc<Space>, mailbox: MailboxId, take: impl Fn(&Rows, u64) -> T) -> Result<T> {
        for _ in 0..FILL_TRIES {
            let taken = {
                let published = space.published();
                if !published.mailboxes.contains_key(&mailbox) {
                    return Err(StoreError::NotFound);
                }
                published.cached.get(&mailbox).map(|rows| (take(rows, published.counters.mod_seq), rows.len()))
            };
            if let Some((answer, rows)) = taken {
                self.let_go(self.budget.used(space.id, mailbox, rows));
                return Ok(answer);
            }
            self.fill(space, mailbox).await?;
        }
        Err(StoreError::Io("the mailbox kept changing while it was read".into()))
    }

    /// Reads a mailbox in, some rows at a time: what changes between the first and the last look is in the newest changes,
    /// which are put over it, or it is read again.
    async fn fill(&self, space: &Arc<Space>, mailbox: MailboxId) -> Result<()> {
        let mut rows = Rows::default();
        let (mut from, to) = key::uids_of(space.id, mailbox);
        let mut begun_at = None;
        let (first, last) = loop {
            let (read_at, page, next) = self.page(space, mailbox, (from, to.clone())).await?;
            let first = *begun_at.get_or_insert(read_at);
            rows.put(&page);
            match next {
                Some(next) => from = next,
                None => break (first, read_at),
            }
        };
        // The commit we read may still be on its way to being published.
        let mut watch = space.watch.subscribe();
        let published = tokio::time::timeout(std::time::Duration::from_secs(5), watch.wait_for(|now| now.0 >= last)).await;
        if published.is_err() {
            return Ok(());
        }
        let mut published = space.published();
        if published.counters.mod_seq < last || published.tail_from > first {
            return Ok(());
        }
        for change in published.tail.iter().filter(|change| change.mod_seq > first && change.mailbox == mailbox.0) {
            change.apply(&mut rows);
        }
        published.cached.entry(mailbox).or_insert(rows);
        Ok(())
    }

    /// Some rows at one instant: (its mod-sequence, the rows, where the next ones begin).
    async fn page(
        &self,
        space: &Space,
        mailbox: MailboxId,
        (from, to): (Key, Key),
    ) -> Result<(u64, Vec<MessageRow>, Option<Key>)> {
        let space_key = key::space(space.id);
        let flags_at = space.flags_at(mailbox);
        let queries = vec![
            Query::Get(space_key.clone()),
            Query::Get(key::flags(space.id, mailbox)),
            Query::Range { from, to, limit: FILL_ROWS, reverse: false },
        ];
        let mut found = self.engine.read(queries).await?.into_iter();
        let stored = found.next().and_then(Found::value).ok_or(StoreError::NotFound)?;
        let read_at = Counters::decode(&space_key, &stored)?.mod_seq;
        let runs = found.next().and_then(Found::value);
        let pairs = found.next().map(Found::pairs).unwrap_or_default();
        let mut rows = Vec::with_capacity(pairs.len());
        for (at, value) in &pairs {
            match decode_uid(at, value) {
                Ok(row) => rows.push(row),
                // Damage is local: one message is missing, and `check` says which.
                Err(error) => tracing::error!(?error, account = space.id.0, mailbox = mailbox.0, "a message row cannot be read"),
            }
        }
        apply_flag_runs(&mut rows, &self.flag_runs(space, mailbox, runs, flags_at).await?);
        let next = pairs.last().filter(|_| pairs.len() == FILL_ROWS).map(|(at, _)| at.behind());
        Ok((read_at, rows, next))
    }

    /// All rows of a mailbox as published.
    pub(crate) async fn rows_of(&self, space: &Arc<Space>, mailbox: MailboxId) -> Result<Rows> {
        self.with_rows(space, mailbox, |rows, _| rows.clone()).await
    }

    /// A mailbox as published.
    pub(crate) async fn snapshot_in(&self, space: &Arc<Space>, mailbox: MailboxId) -> Result<Snapshot> {
        loop {
            self.rows_of(space, mailbox).await?;
            let published = space.published();
            let state = published.mailboxes.get(&mailbox).ok_or(StoreError::NotFound)?;
            let (mailbox_info, uid_next, highest_mod_seq) = (state.info.clone(), Uid(state.uid_next), state.highest);
            if let Some(rows) = published.cached.get(&mailbox).cloned() {
                return Ok(Snapshot { mailbox: mailbox_info, uid_next, highest_mod_seq, rows });
            }
        }
    }

    /// At least these rows (ascending UIDs) as the act finds them, but for those that do not exist.
    pub(crate) async fn standing(&self, act: &Act, mailbox: MailboxId, uids: &[Uid]) -> Result<Rows> {
        let space = act.space();
        let is_cached = space.published().cached.contains_key(&mailbox);
        let (mut rows, at) = match is_cached || uids.len() > 64 {
            true => self.with_rows(space, mailbox, |rows, at| (rows.clone(), at)).await?,
            false => self.rows_in_index(space, mailbox, uids).await?,
        };
        act.bring_up(&mut rows, at, mailbox);
        Ok(rows)
    }

    /// These rows (ascending UIDs) as the act finds them; those that do not exist are left out.
    pub(crate) async fn some_rows(&self, act: &Act, mailbox: MailboxId, uids: &[Uid]) -> Result<Vec<MessageRow>> {
        Ok(self.standing(act, mailbox, uids).await?.pick(uids).map(|(_, row)| row).collect())
    }

    /// A few rows and the mod-sequence they are as of.
    async fn rows_in_index(&self, space: &Space, mailbox: MailboxId, uids: &[Uid]) -> Result<(Rows, u64)> {
        let (space_key, flags_key) = (key::space(space.id), key::flags(space.id, mailbox));
        let flags_at = space.flags_at(mailbox);
        let keys: Vec<_> = uids.iter().map(|uid| key::uid(space.id, mailbox, *uid)).collect();
        let queries = vec![Query::Get(space_key.clone()), Query::Many(keys.clone()), Query::Get(flags_key)];
        let mut found = self.engine.read(queries).await?.into_iter();
        let stored = found.next().and_then(Found::value).ok_or(StoreError::NotFound)?;
        let read_at = Counters::decode(&space_key, &stored)?.mod_seq;
        let stored = found.next().map(Found::values).unwrap_or_default();
        let rows = keys.iter().zip(stored).filter_map(|(at, stored)| stored.map(|stored| decode_uid(at, &stored)));
        let mut rows: Vec<MessageRow> = rows.collect::<Result<_>>()?;
        let runs = found.next().and_then(Found::value);
        apply_flag_runs(&mut rows, &self.flag_runs(space, mailbox, runs, flags_at).await?);
        Ok((Rows::of(&rows), read_at))
    }

    /// Records of an account's emails, in the order given; `None` where one is gone or another account's.
    pub(crate) async fn email_records(&self, account: AccountId, emails: &[EmailId]) -> Result<Vec<Option<EmailRecord>>> {
        if emails.len() <= READ_AHEAD {
            let mut records = Vec::with_capacity(emails.len());
            for email in emails {
                records.push(self.email_record(*email).await?.filter(|record| record.account == account));
            }
            return Ok(records);
        }
        // Many at once pass the cache by: they would only push out what is used again.
        let keys: Vec<_> = emails.iter().map(|email| key::email(*email)).collect();
        let query = Query::Short(keys.clone());
        let found = self.engine.read(vec![query]).await?.into_iter().next().map(Found::packed).unwrap_or_default();
        let record = |(number, at): (usize, &crate::engine::Key)| {
            found.get(number).map(|stored| EmailRecord::decode(at, stored)).transpose()
        };
        let records: Result<Vec<Option<EmailRecord>>> = keys.iter().enumerate().map(record).collect();
        Ok(records?.into_iter().map(|record| record.filter(|record| record.account == account)).collect())
    }

    async fn email_record(&self, email: EmailId) -> Result<Option<EmailRecord>> {
        if let Some(record) = self.emails.get(&email) {
            return Ok(Some(record));
        }
        // Who reads one after another will want the next ones, too.
        let last = self.last_email.swap(email.0, Ordering::Relaxed);
        let limit = if (1..READ_AHEAD_GAP).contains(&email.0.wrapping_sub(last)) { READ_AHEAD } else { 1 };
        let (_, to) = key::whole(key::EMAIL);
        let to = if limit == 1 { key::email(EmailId(email.0 + 1)) } else { to };
        let query = Query::Range { from: key::email(email), to, limit, reverse: false };
        let mut wanted = None;
        for (at, stored) in self.engine.read(vec![query]).await?.into_iter().flat_map(Found::pairs) {
            let Some(id) = key::Parts::of(&at).u64().map(EmailId) else { continue };
            match EmailRecord::decode(&at, &stored) {
                Ok(record) => {
                    self.emails.insert(id, record);
                    wanted = wanted.or((id == email).then_some(record));
                }
                Err(error) if id == email => return Err(error),
                Err(_) => {}
            }
        }
        Ok(wanted)
    }

    pub(crate) async fn facts(&self, account: AccountId, emails: &[EmailId]) -> Result<Vec<Option<Arc<Facts>>>> {
        let records = self.email_records(account, emails).await?;
        let facts = self.facts_in(&records).await?.into_iter().zip(records);
        Ok(facts.map(|(facts, record)| Some(Arc::new(begun_at(record?.root, facts?)))).collect())
    }

    /// What the octets of these say, whoever has them.
    pub(crate) async fn facts_in(&self, records: &[Option<EmailRecord>]) -> Result<Vec<Option<Facts>>> {
        let bodies: Vec<BodyId> = records.iter().flatten().map(|record| record.body).collect();
        let notes = self.engine.read(vec![Query::Notes(bodies)]).await?.into_iter().next().map(Found::values).unwrap_or_default();
        let mut notes = notes.into_iter();
        let mut facts = Vec::with_capacity(records.len());
        let mut renewed = Vec::new();
        for record in records {
            let Some(record) = record else {
                facts.push(None);
                continue;
            };
            let kept = notes.next().flatten().and_then(|note| facts_of(&note));
            facts.push(match kept {
                Some(kept) => Some(kept),
                None => self.recompute(*record, &mut renewed).await?,
            });
        }
        if !renewed.is_empty() {
            // Only to spare the next reader the work.
            let batch = Batch { notes: renewed, light: true, ..Batch::default() };
            let _ = commit(&*self.engine, batch).await;
        }
        Ok(facts)
    }

    async fn recompute(&self, record: EmailRecord, renewed: &mut Vec<(BodyId, Vec<u8>)>) -> Result<Option<Facts>> {
        let octets = match self.engine.body(record.body, 0, u64::from(record.size_bytes)).await {
            Ok(octets) => octets,
            Err(StoreError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let facts = if octets.len() > BODY_PIECE_BYTES {
            crate::engine::embedded::blocking(move || Ok(Facts::compute(&octets))).await?
        } else {
            Facts::compute(&octets)
        };
        renewed.push((record.body, note_of(&facts)));
        Ok(Some(facts))
    }

    async fn changes(&self, space: &Arc<Space>, mailbox: MailboxId, since: u64) -> Result<Changes> {
        if let Some(changes) = from_tail(space, mailbox, since) {
            return Ok(changes);
        }
        for _ in 0..FILL_TRIES {
            if let Some(changes) = self.changes_in_log(space, mailbox, since).await? {
                return Ok(changes);
            }
        }
        Err(StoreError::Io("the mailbox kept changing while it was read".into()))
    }

    /// The log says what is gone, up to some act; the cached rows say what is there, at that act or a later one; the
    /// newest changes in memory bridge the two. `None`: they no longer do, try again.
    async fn changes_in_log(&self, space: &Arc<Space>, mailbox: MailboxId, since: u64) -> Result<Option<Changes>> {
        let space_key = key::space(space.id);
        let (_, to) = key::of_account(key::CHANGE, space.id);
        let from = key::change(space.id, since.saturating_add(1));
        let queries = vec![Query::Get(space_key.clone()), Query::Range { from, to, limit: usize::MAX, reverse: false }];
        let mut found = self.engine.read(queries).await?.into_iter();
        let stored = found.next().and_then(Found::value).ok_or(StoreError::NotFound)?;
        let read_at = Counters::decode(&space_key, &stored)?.mod_seq;
        let mut vanished = BTreeSet::new();
        for (at, stored) in &found.next().map(Found::pairs).unwrap_or_default() {
            for change in decode_act(at, stored)?.changes.into_iter().filter(|change| change.mailbox == mailbox.0) {
                vanished.extend(change.vanished);
            }
        }
        match self.rows_of(space, mailbox).await {
            Ok(_) => {}
            Err(StoreError::NotFound) => return Ok(Some(Changes { gone: true, ..Changes::default() })),
            Err(error) => return Err(error),
        }
        let published = space.published();
        if published.counters.mod_seq < read_at || published.tail_from > read_at {
            return Ok(None);
        }
        let newer = published.tail.iter().filter(|change| change.mod_seq > read_at && change.mailbox == mailbox.0);
        vanished.extend(newer.flat_map(|change| change.vanished.iter().copied()));
        let complete = since >= published.counters.log_floor;
        let Some(state) = published.mailboxes.get(&mailbox) else { return Ok(None) };
        let (highest_mod_seq, uid_next) = (state.highest, Uid(state.uid_next));
        let Some(rows) = published.cached.get(&mailbox) else { return Ok(None) };
        let updated = rows.iter().filter(|row| row.mod_seq.0 > since).collect();
        Ok(Some(Changes { updated, vanished: vanished.into_iter().collect(), highest_mod_seq, uid_next, complete, gone: false }))
    }
}

/// Answered from memory when the newest changes reach back far enough; `None` when not.
fn from_tail(space: &Space, mailbox: MailboxId, since: u64) -> Option<Changes> {
    let published = space.published();
    let Some(state) = published.mailboxes.get(&mailbox) else {
        return Some(Changes { gone: true, ..Changes::default() });
    };
    let mut changes =
        Changes { highest_mod_seq: state.highest, uid_next: Uid(state.uid_next), complete: true, ..Changes::default() };
    if state.highest.0 <= since {
        return Some(changes);
    }
    if published.tail_from > since {
        return None;
    }
    let mut updated: BTreeMap<Uid, &MessageRow> = BTreeMap::new();
    let mut vanished: BTreeSet<Uid> = BTreeSet::new();
    let newest_first = published.tail.iter().rev().take_while(|change| change.mod_seq > since);
    let newer: Vec<_> = newest_first.filter(|change| change.mailbox == mailbox.0).collect();
    for change in newer.into_iter().rev() {
        updated.extend(change.rows.iter().map(|row| (row.uid, row)));
        for uid in &change.vanished {
            updated.remove(uid);
            vanished.insert(*uid);
        }
    }
    changes.updated = updated.into_values().cloned().collect();
    changes.vanished = vanished.into_iter().collect();
    Some(changes)
}

impl Store {
    /// A place for octets that arrive in pieces.
    pub fn spool(&self) -> crate::Spool {
        self.inner.spool()
    }

    /// The mailbox as it is now.
    pub async fn snapshot(&self, account: AccountId, mailbox: MailboxId) -> Result<Snapshot> {
        let space = self.inner.ready(account).await?;
        self.inner.snapshot_in(&space, mailbox).await
    }

    /// What changed after `mod_seq`.
    pub async fn changes_since(&self, account: AccountId, mailbox: MailboxId, mod_seq: ModSeq) -> Result<Changes> {
        let space = self.inner.ready(account).await?;
        self.inner.changes(&space, mailbox, mod_seq.0).await
    }

    /// The account's newest published mod-sequence; `changed()` wakes on every commit that touches the account.
    pub async fn watch(&self, account: AccountId) -> Result<watch::Receiver<ModSeq>> {
        let space = self.inner.ready(account).await?;
        Ok(space.watch.subscribe())
    }

    /// Facts of many emails, in the order given; `None` where one is gone. Recomputed when of an older version.
    pub async fn facts(&self, account: AccountId, emails: &[EmailId]) -> Result<Vec<Option<Arc<Facts>>>> {
        self.inner.facts(account, emails).await
    }

    /// The stored octets of many emails, in the order given: copies of a message share theirs. `None` where one is gone.
    pub async fn bodies(&self, account: AccountId, emails: &[EmailId]) -> Result<Vec<Option<BodyId>>> {
        let records = self.inner.email_records(account, emails).await?;
        Ok(records.into_iter().map(|record| record.map(|record| record.body)).collect())
    }

    /// What names many emails ([`crate::object_id::of_email`]), in the order given; also just after an expunge. `None` where one is gone.
    pub async fn email_names(&self, account: AccountId, emails: &[EmailId]) -> Result<Vec<Option<(BodyId, UnixSecs)>>> {
        let records = self.inner.email_records(account, emails).await?;
        Ok(records.into_iter().map(|record| record.map(|record| (record.body, record.internal_date_secs))).collect())
    }

    /// Octets of an email from `offset`, at most `len` (short at the end). Also just after an expunge. Checksum verified.
    pub async fn body(&self, account: AccountId, email: EmailId, offset: u64, len: u64) -> Result<Octets> {
        let record =
            self.inner.email_records(account, &[email]).await?.into_iter().next().flatten().ok_or(StoreError::NotFound)?;
        self.inner.engine.body(record.body, offset, len).await
    }
}
