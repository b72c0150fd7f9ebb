//! What stands around the queue: choosing among what is due, freezing, suppression, set-aside rows, what accounts sent.
//!
//! Invariant: choosing reads rows of the time index only, so a million waiting entries cost what is looked at. A freeze
//! and a suppression are durable when they answer. Must not know: how mail is sent.

use crate::Store;
use crate::engine::{Batch, Found, Key, Query, get, range};
use crate::hash::xxh64;
use crate::key;
use crate::limits::{SUPPRESS_BOUNCES, SUPPRESS_DAYS};
use crate::queue::{QueueState, decode_entry, due_facts, due_parts, facts_for_due, lane_of, sender_account};
use crate::rows::encode_mark;
use crate::store::{Inner, Result};
use crate::types::*;
use crate::undo::done;
use crate::value::{Writer, decoded, open};
use smol_str::SmolStr;
use std::collections::{BTreeSet, HashMap};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

const DAY: i64 = 86_400;

impl Frozen {
    /// As it is kept: destinations without case.
    fn normal(self) -> Frozen {
        match self {
            Frozen::Destination(domain) => Frozen::Destination(SmolStr::new(domain.to_lowercase())),
            other => other,
        }
    }

    fn text(&self) -> String {
        match self {
            Frozen::All => "all".to_owned(),
            Frozen::Account(account) => format!("account {}", account.0),
            Frozen::Destination(domain) => format!("to {}", domain.to_lowercase()),
        }
    }

    fn of(text: &str) -> Option<Frozen> {
        match text.split_once(' ') {
            None if text == "all" => Some(Frozen::All),
            Some(("account", id)) => Some(Frozen::Account(AccountId(id.parse().ok()?))),
            Some(("to", domain)) => Some(Frozen::Destination(SmolStr::new(domain))),
            _ => None,
        }
    }

    fn covers(&self, (lane, sender): (u64, u64)) -> bool {
        match self {
            Frozen::All => true,
            Frozen::Account(account) => sender == sender_account(*account),
            Frozen::Destination(domain) => lane == lane_of(domain),
        }
    }
}

impl QueueState {
    /// Does sending stand still for this (lane, sender)?
    pub(crate) fn is_frozen(&self, whom: (u64, u64)) -> bool {
        let frozen = self.frozen.read().unwrap_or_else(PoisonError::into_inner);
        frozen.keys().any(|what| what.covers(whom))
    }
}

fn bouncing_hash(at: &Key) -> u64 {
    xxh64(at.bytes(), 0)
}

fn decode_suppressed(at: &Key, stored: &[u8]) -> Result<Suppressed> {
    let address = key::Parts::of(at).text().unwrap_or_default().to_owned();
    let mut reader = open(at, stored)?;
    let read = (|| {
        let (bounces, listed) = (reader.number32()?, reader.flag()?);
        Some(Suppressed { address, bounces, listed, last_secs: reader.signed()?, why: reader.text()?.to_owned() })
    })();
    decoded(at, read)
}

fn encode_suppressed(at: &Key, row: &Suppressed) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(u64::from(row.bounces)).u8(u8::from(row.listed)).signed(row.last_secs).text(&row.why);
    out.seal(at)
}

impl Inner {
    /// Reads the freezes; at the start.
    pub(crate) async fn load_frozen(&self) -> Result<()> {
        let rows = range(&*self.engine, key::whole(key::FREEZE), usize::MAX).await?;
        let mut frozen = HashMap::new();
        for (at, stored) in &rows {
            let what = key::Parts::of(at).text().and_then(Frozen::of);
            // One that cannot be read still stands: better late than wrongly sent.
            let facts = open(at, stored).ok().and_then(|mut reader| Some((reader.signed()?, reader.text()?.to_owned())));
            if let Some(what) = what {
                frozen.insert(what, facts.unwrap_or_default());
            }
        }
        *self.queue.frozen.write().unwrap_or_else(PoisonError::into_inner) = frozen;
        let rows = range(&*self.engine, key::whole(key::SUPPRESSED), usize::MAX).await?;
        let hashes = rows.iter().map(|(at, _)| bouncing_hash(at)).collect();
        *self.queue.bouncing.write().unwrap_or_else(PoisonError::into_inner) = hashes;
        Ok(())
    }

    async fn suppression(&self, address: &str) -> Result<Option<Suppressed>> {
        let at = key::suppressed(&crate::normalise(address));
        if !self.queue.bouncing.read().unwrap_or_else(PoisonError::into_inner).contains(&bouncing_hash(&at)) {
            return Ok(None);
        }
        get(&*self.engine, at.clone()).await?.map(|stored| decode_suppressed(&at, &stored)).transpose()
    }

    /// What an attempt's outcomes do to the list: hard bounces count, a success forgets them.
    pub(crate) async fn bounces_after(
        &self,
        old: &QueueEntry,
        new: &QueueEntry,
        (bounced, now_secs): (&[usize], UnixSecs),
    ) -> Result<Vec<(Key, Option<Vec<u8>>)>> {
        let mut writes = Vec::new();
        for (index, (before, after)) in old.message.recipients.iter().zip(&new.message.recipients).enumerate() {
            if before.state == after.state {
                continue;
            }
            let found = self.suppression(&after.address).await.unwrap_or(None);
            let at = key::suppressed(&crate::normalise(&after.address));
            if after.state == RecipientState::Failed && bounced.contains(&index) {
                let before = found.filter(|row| row.last_secs.saturating_add(SUPPRESS_DAYS * DAY) > now_secs);
                let bounces = before.as_ref().map_or(0, |row| row.bounces).saturating_add(1);
                let listed = bounces >= SUPPRESS_BOUNCES || before.is_some_and(|row| row.listed);
                let row =
                    Suppressed { address: String::new(), bounces, listed, last_secs: now_secs, why: after.last_reply.clone() };
                let value = encode_suppressed(&at, &row);
                self.queue.bouncing.write().unwrap_or_else(PoisonError::into_inner).insert(bouncing_hash(&at));
                writes.push((at, Some(value)));
            } else if after.state == RecipientState::Delivered && found.is_some_and(|row| row.bounces > 0) {
                writes.push((at, None));
            }
        }
        Ok(writes)
    }

    /// Forgets hard bounces of long ago.
    pub(crate) async fn trim_suppressed(&self, now_secs: UnixSecs) -> Result<()> {
        let mut batch = Batch::default();
        for (at, stored) in range(&*self.engine, key::whole(key::SUPPRESSED), usize::MAX).await? {
            let Ok(row) = decode_suppressed(&at, &stored) else { continue };
            // What an operator put there stays.
            if row.bounces > 0 && row.last_secs.saturating_add(SUPPRESS_DAYS * DAY) <= now_secs {
                batch.delete(at);
            }
        }
        if batch.writes.is_empty() { Ok(()) } else { done(self.commit(batch).await) }
    }
}

impl Store {
    /// Rows of what is due at `now_secs`, from behind a place (or from the end, newest first), at most `limit` looked at.
    pub async fn queue_scan(
        &self,
        now_secs: UnixSecs,
        behind: Option<(UnixSecs, QueueId)>,
        newest_first: bool,
        limit: usize,
    ) -> Result<DueScan> {
        let (first, _) = key::whole(key::QUEUE_DUE);
        let end = key::queue_due(now_secs.saturating_add(1), QueueId(0));
        let place = behind.map(|(secs, id)| key::queue_due(secs, id));
        let (from, to) = match (place, newest_first) {
            (Some(place), false) => (place.behind(), end),
            (Some(place), true) => (first, place),
            (None, _) => (first, end),
        };
        let query = Query::Range { from, to, limit, reverse: newest_first };
        let found = self.inner.engine.read(vec![query]).await?.into_iter().next().map(Found::pairs).unwrap_or_default();
        let mut scan = DueScan { rows: Vec::with_capacity(found.len()), behind: None };
        if found.len() >= limit {
            scan.behind = found.last().and_then(|(at, _)| due_parts(at));
        }
        for (at, stored) in found {
            let Some((due_secs, id)) = due_parts(&at) else { continue };
            if self.inner.queue.is_leased(id, now_secs) {
                continue;
            }
            let facts = match due_facts(&at, &stored) {
                Some(facts) => Some(facts),
                None => self.inner.entry(id).await?.map(|(entry, _)| facts_for_due(&entry)),
            };
            match facts {
                Some(facts) if self.inner.queue.is_frozen(facts) => {}
                Some((lane, sender)) => scan.rows.push(DueRow { id, due_secs, lane, sender }),
                None => self.queue_forget_due(due_secs, id).await?,
            }
        }
        Ok(scan)
    }

    /// When the next entry falls due after `now_secs`.
    pub async fn queue_next_due(&self, now_secs: UnixSecs) -> Result<Option<UnixSecs>> {
        let (_, end) = key::whole(key::QUEUE_DUE);
        let later = range(&*self.inner.engine, (key::queue_due(now_secs.saturating_add(1), QueueId(0)), end), 1).await?;
        Ok(later.first().and_then(|(at, _)| due_parts(at)).map(|(at, _)| at))
    }

    /// Takes a due row away whose entry is gone or is due at another time (after damage); any other stays.
    pub async fn queue_forget_due(&self, due_secs: UnixSecs, id: QueueId) -> Result<()> {
        let entry = self.inner.entry(id).await?.map(|(entry, _)| entry);
        if entry.is_some_and(|entry| !entry.held && entry.next_secs == due_secs) {
            return Ok(());
        }
        done(self.inner.commit(Batch { writes: vec![(key::queue_due(due_secs, id), None)], ..Batch::default() }).await)
    }

    /// Grows whenever an operator made something due.
    pub fn queue_urged(&self) -> u64 {
        self.inner.queue.urged.load(Ordering::Relaxed)
    }

    /// Sending stands still for this until it is thawed; also after a restart.
    pub async fn freeze(&self, what: Frozen, why: &str, now_secs: UnixSecs) -> Result<()> {
        let what = what.normal();
        let at = key::freeze(&what.text());
        let mut out = Writer::new();
        out.signed(now_secs).text(why);
        let value = out.seal(&at);
        let mut batch = Batch { writes: vec![(at, Some(value))], ..Batch::default() };
        self.inner.put_trace(&mut batch, &[froze("frozen", &what, why, now_secs)]);
        done(self.inner.commit(batch).await)?;
        self.inner.queue.frozen.write().unwrap_or_else(PoisonError::into_inner).insert(what, (now_secs, why.to_owned()));
        Ok(())
    }

    /// Sending goes on. False when it was not frozen.
    pub async fn thaw(&self, what: &Frozen, now_secs: UnixSecs) -> Result<bool> {
        let what = &what.clone().normal();
        if !self.inner.queue.frozen.read().unwrap_or_else(PoisonError::into_inner).contains_key(what) {
            return Ok(false);
        }
        let mut batch = Batch { writes: vec![(key::freeze(&what.text()), None)], ..Batch::default() };
        self.inner.put_trace(&mut batch, &[froze("thawed", what, "", now_secs)]);
        done(self.inner.commit(batch).await)?;
        self.inner.queue.frozen.write().unwrap_or_else(PoisonError::into_inner).remove(what);
        self.inner.queue.urged.fetch_add(1, Ordering::Relaxed);
        self.inner.queue.wake();
        Ok(true)
    }

    /// What is frozen.
    pub fn frozen(&self) -> Vec<Freeze> {
        let frozen = self.inner.queue.frozen.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Freeze> = frozen
            .iter()
            .map(|(what, (since_secs, why))| Freeze { what: what.clone(), since_secs: *since_secs, why: why.clone() })
            .collect();
        list.sort_by(|a, b| a.what.cmp(&b.what));
        list
    }

    /// Is mail to this address refused? Then why.
    pub async fn suppressed(&self, address: &str) -> Result<Option<Suppressed>> {
        Ok(self.inner.suppression(address).await?.filter(|row| row.listed))
    }

    /// All addresses on the list, and with `counting` those on their way there.
    pub async fn suppress_list(&self, counting: bool) -> Result<Vec<Suppressed>> {
        let rows = range(&*self.inner.engine, key::whole(key::SUPPRESSED), usize::MAX).await?;
        let rows = rows.iter().filter_map(|(at, stored)| decode_suppressed(at, stored).ok());
        Ok(rows.filter(|row| counting || row.listed).collect())
    }

    /// Puts an address on the list, by an operator's word: it stays until it is taken off.
    pub async fn suppress(&self, address: &str, why: &str, now_secs: UnixSecs) -> Result<()> {
        let address = crate::normalise(address);
        let at = key::suppressed(&address);
        let row = Suppressed { address, bounces: 0, listed: true, last_secs: now_secs, why: why.to_owned() };
        let value = encode_suppressed(&at, &row);
        self.inner.queue.bouncing.write().unwrap_or_else(PoisonError::into_inner).insert(bouncing_hash(&at));
        done(self.inner.commit(Batch { writes: vec![(at, Some(value))], ..Batch::default() }).await)
    }

    /// Takes an address off the list. False when it was not there.
    pub async fn unsuppress(&self, address: &str) -> Result<bool> {
        let at = key::suppressed(&crate::normalise(address));
        if get(&*self.inner.engine, at.clone()).await?.is_none() {
            return Ok(false);
        }
        done(self.inner.commit(Batch { writes: vec![(at, None)], ..Batch::default() }).await)?;
        Ok(true)
    }

    /// An entry that was set aside goes back into the queue, if it can be read now (a newer release, a mended disk).
    pub async fn queue_bad_restore(&self, id: QueueId) -> Result<()> {
        let bad = key::queue_bad(id);
        let stored = get(&*self.inner.engine, bad.clone()).await?.ok_or(StoreError::NotFound)?;
        let mut reader = open(&bad, &stored)?;
        let row = (|| {
            reader.text()?;
            Some(reader.bytes()?.to_vec())
        })();
        let row = decoded(&bad, row)?;
        let at = key::queue(id);
        let entry = decode_entry(&at, &row)?;
        let mut batch = Batch { writes: vec![(bad, None), (at, Some(row))], ..Batch::default() };
        if !entry.held {
            let due = key::queue_due(entry.next_secs, id);
            let value = encode_mark(&due);
            batch.put(due, value);
        }
        done(self.inner.commit(batch).await)?;
        self.inner.queue.wake();
        Ok(())
    }

    /// An entry that was set aside is given up for good.
    pub async fn queue_bad_drop(&self, id: QueueId) -> Result<()> {
        let bad = key::queue_bad(id);
        if get(&*self.inner.engine, bad.clone()).await?.is_none() {
            return Err(StoreError::NotFound);
        }
        done(self.inner.commit(Batch { writes: vec![(bad, None), (key::queue(id), None)], ..Batch::default() }).await)
    }

    /// How many of these addresses this account never wrote to before; with `keep` from now on it has (not synced before
    /// the answer).
    pub async fn first_time(&self, account: AccountId, addresses: &[String], keep: bool) -> Result<usize> {
        let hashes: BTreeSet<u64> = addresses.iter().map(|address| xxh64(crate::normalise(address).as_bytes(), 0)).collect();
        let keys: Vec<Key> = hashes.into_iter().map(|hash| key::known_recipient(account, hash)).collect();
        let found = self.inner.engine.read(vec![Query::Many(keys.clone())]).await?;
        let found = found.into_iter().next().map(Found::values).unwrap_or_default();
        let mut batch = Batch { light: true, ..Batch::default() };
        for (at, _) in keys.into_iter().zip(found).filter(|(_, found)| found.is_none()) {
            let value = encode_mark(&at);
            batch.put(at, value);
        }
        let count = batch.writes.len();
        if keep && count > 0 {
            done(self.inner.commit(batch).await)?;
        }
        Ok(count)
    }

    /// What was kept of an account's sending, as its keeper wrote it.
    pub async fn sent_counts(&self) -> Result<Vec<(AccountId, Vec<u8>)>> {
        let rows = range(&*self.inner.engine, key::whole(key::SENT_COUNTS), usize::MAX).await?;
        let row =
            |(at, stored): &(Key, Vec<u8>)| Some((AccountId(key::Parts::of(at).u32()?), open(at, stored).ok()?.rest().to_vec()));
        Ok(rows.iter().filter_map(row).collect())
    }

    /// Keeps it. Not synced before the answer: a kill loses the newest.
    pub async fn keep_sent_counts(&self, rows: &[(AccountId, Vec<u8>)]) -> Result<()> {
        let mut batch = Batch { light: true, ..Batch::default() };
        for (account, counts) in rows {
            let at = key::sent_counts(*account);
            let mut out = Writer::new();
            out.raw(counts);
            let value = out.seal(&at);
            batch.put(at, value);
        }
        if batch.writes.is_empty() { Ok(()) } else { done(self.inner.commit(batch).await) }
    }
}

fn froze(what: &'static str, whom: &Frozen, why: &str, now_secs: UnixSecs) -> TraceEvent {
    let text = whom.text();
    let event = TraceEvent::new(now_secs, what, format!("{text}, by the operator: {why}")).key("freeze", text.as_str());
    match whom {
        Frozen::Account(account) => event.of(*account),
        Frozen::All | Frozen::Destination(_) => event,
    }
}
