//! The queue: entries, leases, settling, setting aside.
//!
//! An entry is a row by id and a row by due time. Leases live in memory: one process has the store, so a restart voids
//! them all. Invariant: an entry that was settled for good is never claimed again; a row that cannot be read is set
//! aside and stops nothing. Must not know: how mail is sent.

use crate::Store;
use crate::engine::{Batch, Found, Key, Outcome, Query, Version, get, range};
use crate::hash::xxh64;
use crate::key;
use crate::store::{Inner, Result};
use crate::types::*;
use crate::undo::done;
use crate::value::{Reader, Writer, decoded, open};
use message::facts::Facts;
use smol_str::SmolStr;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{broadcast, watch};

/// So much is remembered for who listens and is slow.
const SETTLED_NEWS: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Lease {
    token: u64,
    until_secs: UnixSecs,
}

/// What of the queue lives in memory.
#[derive(Debug)]
pub(crate) struct QueueState {
    leases: Arc<Mutex<(u64, HashMap<QueueId, Lease>)>>,
    news: watch::Sender<u64>,
    /// Entries that came on, or to their end, with their accounts.
    settled: broadcast::Sender<(AccountId, QueueId)>,
    /// The latest time anybody told: acts without a time of their own judge leases by it.
    latest_secs: AtomicI64,
    /// What is frozen; the rows are the truth.
    pub(crate) frozen: RwLock<HashMap<Frozen, (UnixSecs, String)>>,
    /// Grows when an operator made something due: whoever rests for a destination's sake tries again.
    pub(crate) urged: AtomicU64,
    /// Hashes of addresses that have a row of bounces: mostly nobody has, and then nothing is read.
    pub(crate) bouncing: RwLock<HashSet<u64>>,
}

impl QueueState {
    pub(crate) fn new() -> QueueState {
        QueueState {
            leases: Arc::default(),
            news: watch::Sender::new(0),
            settled: broadcast::channel(SETTLED_NEWS).0,
            latest_secs: AtomicI64::new(UnixSecs::MIN),
            frozen: RwLock::default(),
            urged: AtomicU64::new(0),
            bouncing: RwLock::default(),
        }
    }

    pub(crate) fn wake(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    fn tell(&self, entry: &QueueEntry) {
        if let Some(account) = entry.message.account {
            // Nobody need be listening.
            let _ = self.settled.send((account, entry.id));
        }
    }

    fn leases(&self) -> MutexGuard<'_, (u64, HashMap<QueueId, Lease>)> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_leased(&self, id: QueueId, now_secs: UnixSecs) -> bool {
        self.leases().1.get(&id).is_some_and(|lease| lease.until_secs > now_secs)
    }

    /// A new lease, unless somebody has one that has not ended.
    fn lease(&self, id: QueueId, now_secs: UnixSecs, until_secs: UnixSecs) -> Option<u64> {
        self.latest_secs.fetch_max(now_secs, Ordering::Relaxed);
        let mut leases = self.leases();
        if leases.1.get(&id).is_some_and(|lease| lease.until_secs > now_secs) {
            return None;
        }
        leases.0 += 1;
        let token = leases.0;
        leases.1.insert(id, Lease { token, until_secs });
        Some(token)
    }

    fn holds(&self, id: QueueId, token: u64) -> bool {
        self.leases().1.get(&id).is_some_and(|lease| lease.token == token)
    }

    fn release(&self, id: QueueId, token: u64) {
        let mut leases = self.leases();
        if leases.1.get(&id).is_some_and(|lease| lease.token == token) {
            leases.1.remove(&id);
        }
    }
}

fn write_recipient(out: &mut Writer, recipient: &QueueRecipient) {
    out.text(&recipient.address).option_text(recipient.original.as_deref()).u8(recipient.notify);
    out.u8(recipient.state as u8).text(&recipient.last_reply).u8(u8::from(recipient.delay_told));
}

fn read_recipient(reader: &mut Reader<'_>) -> Option<QueueRecipient> {
    Some(QueueRecipient {
        address: reader.text()?.to_owned(),
        original: reader.option_text()?.map(str::to_owned),
        notify: reader.u8()?,
        state: match reader.u8()? {
            0 => RecipientState::Waiting,
            1 => RecipientState::Delivered,
            2 => RecipientState::Failed,
            3 => RecipientState::Dropped,
            _ => return None,
        },
        last_reply: reader.text()?.to_owned(),
        delay_told: reader.flag()?,
    })
}

pub(crate) fn encode_entry(at: &Key, entry: &QueueEntry) -> Vec<u8> {
    let mut out = Writer::new();
    let message = &entry.message;
    out.number(entry.body.0).number(u64::from(entry.size_bytes)).signed(entry.created_secs).number(u64::from(entry.attempts));
    out.u8(u8::from(entry.held)).signed(entry.next_secs).option_text(entry.message_id.as_deref());
    out.text(&message.destination).text(&message.reverse_path).number(message.recipients.len() as u64);
    for recipient in &message.recipients {
        write_recipient(&mut out, recipient);
    }
    match message.account {
        None => out.u8(0),
        Some(account) => out.u8(1).number(u64::from(account.0)),
    };
    out.signed(message.due_secs).signed(message.expires_secs);
    out.u8(u8::from(message.eight_bit)).u8(u8::from(message.smtputf8)).u8(u8::from(message.ret_headers));
    out.option_text(message.envelope_id.as_deref());
    // Rows of older releases end here; so does one that asks for nothing.
    if message.service != QueueService::default() {
        write_service(&mut out, &message.service);
    }
    out.seal(at)
}

fn write_service(out: &mut Writer, service: &QueueService) {
    out.u8(u8::from(service.require_tls)).u8(u8::from(service.deliver_by_notify)).signed(i64::from(service.priority));
    match service.deliver_by_secs {
        None => out.u8(0),
        Some(at) => out.u8(1).signed(at),
    };
    // Rows of older releases end here; so does one that asks for neither.
    if service.deliver_by_trace || !service.solicitations.is_empty() {
        out.u8(u8::from(service.deliver_by_trace)).number(service.solicitations.len() as u64);
        for kind in &service.solicitations {
            out.text(kind);
        }
    }
}

fn read_service(reader: &mut Reader<'_>) -> Option<QueueService> {
    if reader.end().is_some() {
        return Some(QueueService::default());
    }
    let mut service = QueueService {
        require_tls: reader.flag()?,
        deliver_by_notify: reader.flag()?,
        priority: i8::try_from(reader.signed()?).ok()?,
        deliver_by_secs: if reader.flag()? { Some(reader.signed()?) } else { None },
        ..QueueService::default()
    };
    if reader.end().is_none() {
        service.deliver_by_trace = reader.flag()?;
        let kinds: Option<Vec<String>> = (0..reader.count()?).map(|_| reader.text().map(str::to_owned)).collect();
        service.solicitations = kinds?;
    }
    Some(service)
}

pub(crate) fn decode_entry(at: &Key, stored: &[u8]) -> Result<QueueEntry> {
    let id = key::Parts::of(at).u64();
    let mut reader = open(at, stored)?;
    decoded(
        at,
        (|| {
            let (body, size_bytes) = (BodyId(reader.number()?), reader.number32()?);
            let (created_secs, attempts) = (reader.signed()?, reader.number32()?);
            let (held, next_secs) = (reader.flag()?, reader.signed()?);
            let message_id = reader.option_text()?.map(SmolStr::new);
            let (destination, reverse_path) = (SmolStr::new(reader.text()?), reader.text()?.to_owned());
            let count = reader.count()?;
            let recipients: Option<Vec<QueueRecipient>> = (0..count).map(|_| read_recipient(&mut reader)).collect();
            let account = if reader.flag()? { Some(AccountId(reader.number32()?)) } else { None };
            let (due_secs, expires_secs) = (reader.signed()?, reader.signed()?);
            let (eight_bit, smtputf8, ret_headers) = (reader.flag()?, reader.flag()?, reader.flag()?);
            let envelope_id = reader.option_text()?.map(str::to_owned);
            let service = read_service(&mut reader)?;
            reader.end()?;
            let recipients = recipients?;
            let message = NewQueueEntry {
                destination,
                reverse_path,
                recipients,
                account,
                due_secs,
                expires_secs,
                eight_bit,
                smtputf8,
                ret_headers,
                envelope_id,
                service,
            };
            Some(QueueEntry { id: QueueId(id?), body, size_bytes, message, created_secs, attempts, held, next_secs, message_id })
        })(),
    )
}

fn put_entry(batch: &mut Batch, entry: &QueueEntry) {
    let at = key::queue(entry.id);
    let value = encode_entry(&at, entry);
    batch.put(at, value);
}

/// An entry is due by time unless it is held. The row says for whom and from whom, so that nobody reads entries to choose.
fn put_due(batch: &mut Batch, entry: &QueueEntry) {
    if !entry.held {
        let at = key::queue_due(entry.next_secs, entry.id);
        let mut out = Writer::new();
        out.fixed64(lane_of(&entry.message.destination)).fixed64(sender_of(&entry.message));
        let value = out.seal(&at);
        batch.put(at, value);
    }
}

/// What stands for a destination in due rows.
pub fn lane_of(destination: &str) -> u64 {
    xxh64(destination.to_lowercase().as_bytes(), 0)
}

/// What stands for a sender: its account, or without one its reverse-path.
fn sender_of(message: &NewQueueEntry) -> u64 {
    match message.account {
        Some(account) => sender_account(account),
        None => xxh64(message.reverse_path.to_lowercase().as_bytes(), 2),
    }
}

pub(crate) fn sender_account(account: AccountId) -> u64 {
    xxh64(&account.0.to_le_bytes(), 1)
}

/// `None`: a row of an older release, which says nothing but when.
pub(crate) fn due_facts(at: &Key, stored: &[u8]) -> Option<(u64, u64)> {
    let rest = open(at, stored).ok()?.rest();
    let (lane, rest) = rest.split_first_chunk::<8>()?;
    let (sender, _) = rest.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*lane), u64::from_le_bytes(*sender)))
}

pub(crate) fn facts_for_due(entry: &QueueEntry) -> (u64, u64) {
    (lane_of(&entry.message.destination), sender_of(&entry.message))
}

fn remove_due(batch: &mut Batch, entry: &QueueEntry) {
    if !entry.held {
        batch.delete(key::queue_due(entry.next_secs, entry.id));
    }
}

pub(crate) fn due_parts(at: &Key) -> Option<(UnixSecs, QueueId)> {
    let mut parts = key::Parts::of(at);
    Some((parts.secs()?, QueueId(parts.u64()?)))
}

/// A lease that ends with the act that needed it.
struct Turn<'a> {
    queue: &'a QueueState,
    id: QueueId,
    token: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queue.release(self.id, self.token);
    }
}

impl Inner {
    /// A new entry and its due time into a batch.
    pub(crate) fn put_queue_entry(
        &self,
        batch: &mut Batch,
        message: &NewQueueEntry,
        body: BodyId,
        size_bytes: u32,
        facts: &Facts,
    ) -> QueueId {
        let id = QueueId(self.ids.take(1));
        let entry = QueueEntry {
            id,
            body,
            size_bytes,
            message: message.clone(),
            created_secs: message.due_secs,
            attempts: 0,
            held: false,
            next_secs: message.due_secs,
            message_id: facts.message_id.as_deref().map(SmolStr::new),
        };
        put_entry(batch, &entry);
        put_due(batch, &entry);
        id
    }

    pub(crate) async fn entry(&self, id: QueueId) -> Result<Option<(QueueEntry, Version)>> {
        let at = key::queue(id);
        let Some(stored) = get(&*self.engine, at.clone()).await? else { return Ok(None) };
        match decode_entry(&at, &stored) {
            Ok(entry) => Ok(Some((entry, Version::of(Some(&stored))))),
            Err(error) => {
                self.set_aside(at, stored, &error.to_string()).await?;
                Ok(None)
            }
        }
    }

    /// Moves a row that cannot be read out of the way, with the reason. In the index only: what the segments hold may be
    /// good, and `rebuild` brings it back.
    async fn set_aside(&self, at: Key, stored: Vec<u8>, reason: &str) -> Result<()> {
        let Some(id) = key::Parts::of(&at).u64().map(QueueId) else { return Ok(()) };
        tracing::error!(queue_id = id.0, reason, "a queue row cannot be read; it is set aside");
        let bad = key::queue_bad(id);
        let mut out = Writer::new();
        out.text(reason).bytes(&stored);
        let value = out.seal(&bad);
        let expects = vec![(at.clone(), Version::of(Some(&stored)))];
        let batch = Batch { expects, writes: vec![(bad, Some(value)), (at, None)], light: true, ..Batch::default() };
        match self.commit(batch).await {
            Outcome::Done | Outcome::Conflict => Ok(()),
            Outcome::Failed(error) => Err(error),
        }
    }

    async fn due(&self, now_secs: UnixSecs, limit: usize) -> Result<(Vec<QueueEntry>, Option<UnixSecs>)> {
        let (mut from, _) = key::whole(key::QUEUE_DUE);
        let until = key::queue_due(now_secs.saturating_add(1), QueueId(0));
        let mut entries = Vec::new();
        while entries.len() < limit {
            let rows = range(&*self.engine, (from.clone(), until.clone()), limit.clamp(16, 1000)).await?;
            let Some((last, _)) = rows.last() else { break };
            from = last.behind();
            for (at, _) in rows {
                let Some((_, id)) = due_parts(&at) else { continue };
                if entries.len() >= limit || self.queue.is_leased(id, now_secs) {
                    continue;
                }
                match self.entry(id).await? {
                    Some((entry, _)) => entries.push(entry),
                    // A due row without its entry: of a row set aside.
                    None => done(self.commit(Batch { writes: vec![(at, None)], ..Batch::default() }).await)?,
                }
            }
        }
        let (_, end) = key::whole(key::QUEUE_DUE);
        let later = range(&*self.engine, (until, end), 1).await?;
        Ok((entries, later.first().and_then(|(at, _)| due_parts(at)).map(|(at, _)| at)))
    }

    async fn claim(&self, id: QueueId, now_secs: UnixSecs, lease_secs: u32) -> Result<Option<Claim>> {
        let lease_until_secs = now_secs.saturating_add(i64::from(lease_secs));
        let Some(token) = self.queue.lease(id, now_secs, lease_until_secs) else {
            return Ok(None);
        };
        let found = self.entry(id).await;
        match found {
            Ok(Some((entry, _))) if !entry.held && !self.queue.is_frozen(facts_for_due(&entry)) => {
                Ok(Some(Claim { entry, token, lease_until_secs }))
            }
            other => {
                self.queue.release(id, token);
                other.map(|_| None)
            }
        }
    }

    async fn settle(&self, claim: &Claim, settlement: &Settlement) -> Result<()> {
        let id = claim.entry.id;
        if !self.queue.holds(id, claim.token) {
            return Err(StoreError::LeaseLost);
        }
        let (old, version) = self.entry(id).await?.ok_or(StoreError::LeaseLost)?;
        let waiting = settlement.recipients.iter().any(|recipient| recipient.state == RecipientState::Waiting);
        let mut new = old.clone();
        new.message.recipients.clone_from(&settlement.recipients);
        new.attempts = new.attempts.saturating_add(u32::from(settlement.attempted));
        new.next_secs = settlement.next_secs;
        let notices: Vec<&Acceptance> = settlement.notices.iter().collect();
        let remembered = self.bounces_after(&old, &new, (&settlement.bounced, settlement.now_secs)).await?;
        let settle = |batch: &mut Batch| {
            batch.expects.push((key::queue(id), version));
            remove_due(batch, &old);
            if waiting {
                put_entry(batch, &new);
                put_due(batch, &new);
            } else {
                batch.delete(key::queue(id));
                batch.release.push((old.body, 1));
            }
            self.put_trace(batch, &settlement.trace);
            remembered.iter().for_each(|(at, value)| batch.writes.push((at.clone(), value.clone())));
        };
        let settled = self.accept_all(&notices, settle).await;
        if settled.is_ok() {
            self.queue.release(id, claim.token);
            self.queue.tell(&old);
            if waiting {
                self.queue.wake();
            }
        }
        settled.map(|_| ())
    }

    async fn act_on_entry(&self, id: QueueId, act: QueueAct) -> Result<()> {
        let now_secs = self.queue.latest_secs.load(Ordering::Relaxed);
        let token = self.queue.lease(id, now_secs, UnixSecs::MAX).ok_or(StoreError::LeaseLost)?;
        let turn = Turn { queue: &self.queue, id, token };
        let (old, version) = self.entry(id).await?.ok_or(StoreError::NotFound)?;
        let mut batch = Batch { expects: vec![(key::queue(id), version)], ..Batch::default() };
        remove_due(&mut batch, &old);
        let mut new = old.clone();
        let told = deed(&act, &old);
        match act {
            QueueAct::Retry { now_secs } | QueueAct::Release { now_secs } => {
                new.held = matches!(act, QueueAct::Retry { .. }) && old.held;
                new.next_secs = new.next_secs.min(now_secs);
            }
            QueueAct::Hold => new.held = true,
            QueueAct::Schedule { at_secs } => {
                new.next_secs = at_secs;
                new.message.expires_secs = new.message.expires_secs.max(at_secs.saturating_add(1));
            }
            QueueAct::Reroute { destination, now_secs } => {
                new.message.destination = destination;
                new.next_secs = new.next_secs.min(now_secs);
            }
            QueueAct::Drop => {
                batch.delete(key::queue(id));
                batch.release.push((old.body, 1));
                self.put_trace(&mut batch, &[told]);
                done(self.commit(batch).await)?;
                self.queue.tell(&old);
                return Ok(());
            }
        }
        put_entry(&mut batch, &new);
        put_due(&mut batch, &new);
        self.put_trace(&mut batch, &[told]);
        done(self.commit(batch).await)?;
        drop(turn);
        self.queue.urged.fetch_add(1, Ordering::Relaxed);
        self.queue.wake();
        Ok(())
    }
}

/// An operator's act, for the trace.
fn deed(act: &QueueAct, entry: &QueueEntry) -> TraceEvent {
    let (at_secs, what, detail) = match act {
        QueueAct::Retry { now_secs } => (*now_secs, "retried", "to be tried at once".to_owned()),
        QueueAct::Release { now_secs } => (*now_secs, "released", "released".to_owned()),
        QueueAct::Hold => (entry.next_secs, "held", "held until it is released".to_owned()),
        QueueAct::Schedule { at_secs } => (entry.next_secs, "scheduled", format!("not before {at_secs} (seconds since 1970)")),
        QueueAct::Reroute { destination, now_secs } => {
            (*now_secs, "rerouted", format!("from {} to {destination}", entry.message.destination))
        }
        QueueAct::Drop => (entry.next_secs, "dropped", "removed from the queue".to_owned()),
    };
    about(entry, at_secs, what, &format!("{detail}, by the operator"))
}

/// An event of an entry, found by all it may be looked for.
fn about(entry: &QueueEntry, at_secs: UnixSecs, what: &'static str, detail: &str) -> TraceEvent {
    let event = TraceEvent::new(at_secs, what, detail).key("queue", entry.id.0.to_string());
    let event = event.key("message-id", entry.message_id.as_deref().unwrap_or_default());
    let event = entry.message.recipients.iter().fold(event, |event, recipient| event.key("address", recipient.address.as_str()));
    match entry.message.account {
        Some(account) => event.of(account),
        None => event,
    }
}

impl Store {
    /// Entries due at `now_secs`, not held, not leased, oldest due first; and when the next one falls due.
    pub async fn queue_due(&self, now_secs: UnixSecs, limit: usize) -> Result<(Vec<QueueEntry>, Option<UnixSecs>)> {
        self.inner.due(now_secs, limit).await
    }

    /// Leases an entry; `None` when gone, held or leased by another.
    pub async fn queue_claim(&self, id: QueueId, now_secs: UnixSecs, lease_secs: u32) -> Result<Option<Claim>> {
        self.inner.claim(id, now_secs, lease_secs).await
    }

    /// Writes how the attempt ended, with its notices, in one commit.
    pub async fn queue_settle(&self, claim: &Claim, settlement: Settlement) -> Result<()> {
        self.inner.settle(claim, &settlement).await
    }

    /// Octets of a queued message.
    pub async fn queue_body(&self, body: BodyId, offset: u64, len: u64) -> Result<Octets> {
        self.inner.engine.body(body, offset, len).await
    }

    /// All entries from after `after`, at most `limit`.
    pub async fn queue_list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<QueueEntry>> {
        let (whole, to) = key::whole(key::QUEUE);
        let from = after.map_or(whole, |after| key::queue(QueueId(after.0.saturating_add(1))));
        let mut entries = Vec::new();
        for (at, stored) in range(&*self.inner.engine, (from, to), limit).await? {
            match decode_entry(&at, &stored) {
                Ok(entry) => entries.push(entry),
                Err(error) => self.inner.set_aside(at, stored, &error.to_string()).await?,
            }
        }
        Ok(entries)
    }

    /// One entry.
    pub async fn queue_entry(&self, id: QueueId) -> Result<Option<QueueEntry>> {
        Ok(self.inner.entry(id).await?.map(|(entry, _)| entry))
    }

    /// Retry now, hold, release, drop. `LeaseLost` while it is being sent.
    pub async fn queue_act(&self, id: QueueId, act: QueueAct) -> Result<()> {
        self.inner.act_on_entry(id, act).await
    }

    /// Wakes when an entry was added, released or made due.
    pub fn queue_watch(&self) -> watch::Receiver<u64> {
        self.inner.queue.news.subscribe()
    }

    /// Each entry that an attempt was made at, or that was dropped, with its account. Who is slow misses some, and is told so.
    pub fn queue_settled_watch(&self) -> broadcast::Receiver<(AccountId, QueueId)> {
        self.inner.queue.settled.subscribe()
    }

    /// Has it a row, though it may be one that cannot be read and is set aside? Else it is over.
    pub async fn queue_is_there(&self, id: QueueId) -> Result<bool> {
        let found = self.inner.engine.read(vec![Query::Get(key::queue(id)), Query::Get(key::queue_bad(id))]).await?;
        Ok(found.into_iter().any(|one| one.value().is_some()))
    }

    /// Rows set aside.
    pub async fn queue_bad(&self) -> Result<Vec<BadQueueRow>> {
        let found = self.inner.engine.read(vec![{
            let (from, to) = key::whole(key::QUEUE_BAD);
            Query::Range { from, to, limit: usize::MAX, reverse: false }
        }]);
        let rows = found.await?.into_iter().next().map(Found::pairs).unwrap_or_default();
        let row = |(at, stored): &(Key, Vec<u8>)| {
            let id = QueueId(key::Parts::of(at).u64().unwrap_or(0));
            let reason = open(at, stored).ok().and_then(|mut reader| reader.text().map(str::to_owned));
            BadQueueRow { id, reason: reason.unwrap_or_else(|| "unreadable".into()) }
        };
        Ok(rows.iter().map(row).collect())
    }
}
