//! The trace: what happened to a message, found by address, Message-ID, queue id, IP or email.
//!
//! Events are written in the batch of the act they tell of; they live in the index only and may be lost with it.
//! Invariant: bounded by age and number; an event of an account goes with it. Must not know: what the kinds of keys mean,
//! but for `account` and `email`, which are the store's own.

use crate::Store;
use crate::engine::{Batch, Engine, Found, Key, Outcome, Query, range};
use crate::hash::xxh64;
use crate::key;
use crate::limits::{
    CARE_ROWS, TRACE_ACT_EMAILS, TRACE_ADDRESSES, TRACE_DAYS, TRACE_DETAIL_BYTES, TRACE_EVENT_EMAILS, TRACE_EVENTS,
    TRACE_PER_MINUTE, TRACE_WAITING,
};
use crate::rest::Rest;
use crate::rows::encode_mark;
use crate::store::{Inner, Result};
use crate::types::*;
use crate::value::{Writer, decoded, open};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Ids of one bucket lie together in the finding keys.
const BUCKET_BITS: u32 = 18;

/// What of the trace lives in memory.
#[derive(Debug)]
pub(crate) struct TraceState {
    /// Events waiting to be written outside an act.
    waiting: Arc<AtomicUsize>,
    days: AtomicU32,
    events_max: AtomicU64,
    /// About so many events are kept; right once they were counted.
    events: AtomicU64,
    counted: AtomicBool,
    crowd: Mutex<Crowd>,
}

/// How many events outside an act each IP caused in this minute.
#[derive(Debug, Default)]
struct Crowd {
    minute: i64,
    counts: HashMap<u64, u32>,
}

impl Crowd {
    /// False when this IP has had its share of the minute; the event that reaches it says so.
    fn admit(&mut self, event: &mut TraceEvent) -> bool {
        let Some((_, ip)) = event.keys.iter().find(|(kind, _)| kind == "ip") else { return true };
        let minute = event.at_secs.div_euclid(60);
        if self.minute != minute {
            self.minute = minute;
            self.counts.clear();
        }
        let ip = xxh64(ip.as_bytes(), 0);
        let full = self.counts.len() >= TRACE_ADDRESSES && !self.counts.contains_key(&ip);
        let count = self.counts.entry(if full { 0 } else { ip }).or_insert(0);
        *count = count.saturating_add(1);
        if *count == TRACE_PER_MINUTE {
            event.detail.push_str(" (more from there in this minute is not written down)");
        }
        *count <= TRACE_PER_MINUTE
    }
}

impl Default for TraceState {
    fn default() -> Self {
        TraceState {
            waiting: Arc::default(),
            days: AtomicU32::new(TRACE_DAYS),
            events_max: AtomicU64::new(TRACE_EVENTS),
            events: AtomicU64::new(0),
            counted: AtomicBool::new(false),
            crowd: Mutex::default(),
        }
    }
}

fn bucket(id: u64) -> u32 {
    u32::try_from(id >> BUCKET_BITS).unwrap_or(u32::MAX)
}

fn hash(kind: &str, value: &str) -> u64 {
    let mut text = String::with_capacity(kind.len() + 1 + value.len());
    text.push_str(kind);
    text.push('\0');
    text.push_str(value);
    text.make_ascii_lowercase();
    if !value.is_ascii() {
        text.truncate(kind.len() + 1);
        text.push_str(&value.to_lowercase());
    }
    xxh64(text.as_bytes(), 0)
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TRACE_DETAIL_BYTES)).unwrap_or(text)
}

fn encode(at: &Key, event: &TraceEvent) -> Vec<u8> {
    let mut out = Writer::new();
    out.signed(event.at_secs).text(&event.what).number(event.keys.len() as u64);
    for (kind, value) in &event.keys {
        out.text(kind).text(value);
    }
    out.text(cut(&event.detail));
    // Older releases end here.
    if let Some(account) = event.account {
        out.number(u64::from(account.0));
    }
    out.seal(at)
}

fn decode(at: &Key, stored: &[u8]) -> Result<TraceEvent> {
    let mut reader = open(at, stored)?;
    decoded(
        at,
        (|| {
            let (at_secs, what) = (reader.signed()?, SmolStr::new(reader.text()?));
            let count = reader.count()?;
            let keys: Option<Vec<(SmolStr, String)>> =
                (0..count).map(|_| Some((SmolStr::new(reader.text()?), reader.text()?.to_owned()))).collect();
            let detail = reader.text()?.to_owned();
            let account = if reader.rest().is_empty() { None } else { Some(AccountId(reader.number32()?)) };
            Some(TraceEvent { at_secs, what, keys: keys?, detail, account })
        })(),
    )
}

fn event_id(at: &Key) -> u64 {
    key::Parts::of(at).u64().unwrap_or(0)
}

/// The id at the end of a finding key.
fn found_id(at: &Key) -> Option<u64> {
    let mut parts = key::Parts::of(at);
    parts.u32()?;
    parts.u64()?;
    parts.u64()
}

/// What one act does to messages, gathered while it is prepared. Without a name to act by, nothing is.
pub(crate) struct Traced<'a> {
    by: Option<&'a By>,
    what: &'static str,
    place: String,
    messages: Vec<(Uid, SmallEmails)>,
    more: usize,
}

/// An email, and the one made of it.
type SmallEmails = (EmailId, Option<EmailId>);

impl<'a> Traced<'a> {
    pub(crate) fn new(by: Option<&'a By>, what: &'static str, place: &str) -> Traced<'a> {
        let place = by.map(|_| place.to_owned()).unwrap_or_default();
        Traced { by, what, place, messages: Vec::new(), more: 0 }
    }

    /// One more message, by the ids it is found by.
    pub(crate) fn add(&mut self, uid: Uid, email: EmailId, made: Option<EmailId>) {
        if self.by.is_none() {
        } else if self.messages.len() < TRACE_ACT_EMAILS {
            self.messages.push((uid, (email, made)));
        } else {
            self.more += 1;
        }
    }

    /// For people: one event for every [`TRACE_EVENT_EMAILS`] messages.
    pub(crate) fn events(&self, account: AccountId) -> Vec<TraceEvent> {
        let Some(by) = self.by else { return Vec::new() };
        let mut events: Vec<TraceEvent> = Vec::new();
        for some in self.messages.chunks(TRACE_EVENT_EMAILS) {
            let uids: Vec<u32> = some.iter().map(|(uid, _)| uid.0).collect();
            let detail = format!("UID {} {}, by {}", ranges(&uids), self.place, by.who);
            let mut event = TraceEvent::new(by.now_secs, self.what, detail).of(account);
            for email in some.iter().flat_map(|(_, (email, made))| std::iter::once(email).chain(made)) {
                event = event.key("email", email.0.to_string());
            }
            events.push(event);
        }
        if let Some(last) = events.last_mut().filter(|_| self.more > 0) {
            last.detail = format!("{} and {} more", last.detail, self.more);
        }
        events
    }
}

/// `1:3,7`
fn ranges(uids: &[u32]) -> String {
    let mut out = String::new();
    let mut run: Option<(u32, u32)> = None;
    let mut write = |(first, last): (u32, u32)| {
        let comma = if out.is_empty() { "" } else { "," };
        out.push_str(&if first == last { format!("{comma}{first}") } else { format!("{comma}{first}:{last}") });
    };
    for uid in uids {
        run = match run {
            Some((first, last)) if last.checked_add(1) == Some(*uid) => Some((first, *uid)),
            Some(done) => {
                write(done);
                Some((*uid, *uid))
            }
            None => Some((*uid, *uid)),
        };
    }
    run.into_iter().for_each(&mut write);
    out
}

/// An acceptance's events with what only the store knows: where each delivery lies, and the queue's numbers.
pub(crate) fn placed(
    acceptance: &Acceptance,
    accepted: &Accepted,
    names: &BTreeMap<(AccountId, MailboxId), SmolStr>,
) -> Vec<TraceEvent> {
    let mut events = acceptance.trace.clone();
    for event in &mut events {
        let own = accepted.delivered.iter().find(|(account, ..)| event.what == "stored" && event.account == Some(*account));
        if let Some((account, mailbox, uid, email)) = own {
            let name = names.get(&(*account, *mailbox)).map_or("?", SmolStr::as_str);
            event.keys.push((SmolStr::new_static("email"), email.0.to_string()));
            event.detail = format!("in {name} as UID {}: {}", uid.0, event.detail);
        }
        if event.what == "accepted" {
            let numbers =
                accepted.queued.iter().take(TRACE_EVENT_EMAILS).map(|id| (SmolStr::new_static("queue"), id.0.to_string()));
            event.keys.extend(numbers);
        }
    }
    events
}

impl Inner {
    /// Events into a batch.
    pub(crate) fn put_trace(&self, batch: &mut Batch, events: &[TraceEvent]) {
        if self.trace.days.load(Ordering::Relaxed) == 0 {
            return;
        }
        for event in events {
            let id = self.ids.take(1);
            let at = key::trace(id);
            let value = encode(&at, event);
            batch.put(at, value);
            for (kind, value) in &event.keys {
                let at = key::trace_key(bucket(id), hash(kind, value), id);
                let mark = encode_mark(&at);
                batch.put(at, mark);
            }
        }
        self.trace.events.fetch_add(events.len() as u64, Ordering::Relaxed);
    }

    async fn edge(&self, reverse: bool) -> Result<Option<u64>> {
        let (from, to) = key::whole(key::TRACE);
        let found = self.engine.read(vec![Query::Range { from, to, limit: 1, reverse }]).await?;
        Ok(found.into_iter().flat_map(Found::pairs).next().map(|(at, _)| event_id(&at)))
    }

    /// The newest ids that may have this key, ascending.
    async fn found_ids(&self, kind: &str, value: &str, limit: usize) -> Result<Vec<u64>> {
        let (Some(first), Some(last)) = (self.edge(false).await?, self.edge(true).await?) else {
            return Ok(Vec::new());
        };
        let wanted = hash(kind, value);
        let mut ids = Vec::new();
        for bucket in (bucket(first)..=bucket(last)).rev() {
            let (from, to) = key::trace_hash(bucket, wanted);
            let query = Query::Range { from, to, limit: limit.saturating_sub(ids.len()), reverse: true };
            let rows = self.engine.read(vec![query]).await?.into_iter().next().map(Found::pairs).unwrap_or_default();
            ids.extend(rows.iter().filter_map(|(at, _)| found_id(at)));
            if ids.len() >= limit {
                break;
            }
        }
        ids.reverse();
        Ok(ids)
    }

    async fn find(&self, kind: &str, value: &str, limit: usize) -> Result<Vec<(u64, TraceEvent)>> {
        let mut events = Vec::new();
        for ids in self.found_ids(kind, value, limit).await?.chunks(CARE_ROWS) {
            for (id, event) in read_events(&*self.engine, ids).await? {
                let is_it = |(k, v): &(SmolStr, String)| k.eq_ignore_ascii_case(kind) && v.to_lowercase() == value.to_lowercase();
                if event.keys.iter().any(is_it) {
                    events.push((id, event));
                }
            }
        }
        Ok(events)
    }

    fn delete_event(&self, batch: &mut Batch, id: u64, event: Option<&TraceEvent>) {
        for (kind, value) in event.into_iter().flat_map(|event| &event.keys) {
            batch.delete(key::trace_key(bucket(id), hash(kind, value), id));
        }
        batch.delete(key::trace(id));
        let _ = self.trace.events.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count.saturating_sub(1)));
    }

    /// Everything the trace has of an account: its own events, and those that name its address.
    pub(crate) async fn erase_trace(&self, account: AccountId, address: &str) -> Result<()> {
        for (kind, value) in [("account", account.0.to_string()), ("address", address.to_owned())] {
            loop {
                let found = self.find(kind, &value, CARE_ROWS).await?;
                if found.is_empty() {
                    break;
                }
                let mut batch = Batch { light: true, ..Batch::default() };
                found.iter().for_each(|(id, event)| self.delete_event(&mut batch, *id, Some(event)));
                crate::undo::done(self.commit(batch).await)?;
            }
        }
        Ok(())
    }

    /// Once: how many there are.
    async fn count_trace(&self) -> Result<()> {
        if self.trace.counted.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let before = self.trace.events.load(Ordering::Relaxed);
        let (mut from, to) = key::whole(key::TRACE);
        let mut count = 0u64;
        loop {
            let rows = range(&*self.engine, (from.clone(), to.clone()), CARE_ROWS).await?;
            let Some((last, _)) = rows.last() else { break };
            from = last.behind();
            count += rows.len() as u64;
        }
        self.trace.events.fetch_add(count.saturating_sub(before), Ordering::Relaxed);
        Ok(())
    }

    /// Erases what is too old or too much.
    pub(crate) async fn trim_trace(&self, now_secs: UnixSecs, rest: &mut Rest) -> Result<()> {
        self.count_trace().await?;
        let days = i64::from(self.trace.days.load(Ordering::Relaxed));
        let oldest = now_secs.saturating_sub(days * 86_400);
        loop {
            let most = self.trace.events_max.load(Ordering::Relaxed);
            let over = usize::try_from(self.trace.events.load(Ordering::Relaxed).saturating_sub(most)).unwrap_or(usize::MAX);
            let rows = range(&*self.engine, key::whole(key::TRACE), CARE_ROWS).await?;
            if rows.is_empty() {
                self.trace.events.store(0, Ordering::Relaxed);
            }
            let mut batch = Batch { light: true, ..Batch::default() };
            for (done, (at, stored)) in rows.iter().enumerate() {
                match decode(at, stored) {
                    Ok(event) if event.at_secs >= oldest && done >= over => break,
                    Ok(event) => self.delete_event(&mut batch, event_id(at), Some(&event)),
                    Err(_) => self.delete_event(&mut batch, event_id(at), None),
                }
            }
            if batch.writes.is_empty() {
                return Ok(());
            }
            crate::undo::done(self.commit(batch).await)?;
            self.let_others(rest).await;
        }
    }
}

async fn read_events(engine: &dyn Engine, ids: &[u64]) -> Result<Vec<(u64, TraceEvent)>> {
    let keys: Vec<Key> = ids.iter().copied().map(key::trace).collect();
    let found = engine.read(vec![Query::Many(keys.clone())]).await?.into_iter().next().map(Found::values).unwrap_or_default();
    let events = keys.iter().zip(found).filter_map(|(at, stored)| Some((event_id(at), decode(at, &stored?).ok()?)));
    Ok(events.collect())
}

impl Store {
    /// A handle whose acts on messages (append, copy, move, mark, expunge) are traced as done by `who`, in words for people:
    /// `IMAP ann@here.test from 192.0.2.1`. Acts through a handle without a name leave no event.
    #[must_use]
    pub fn by(&self, who: impl Into<SmolStr>, now_secs: UnixSecs) -> Store {
        Store { inner: Arc::clone(&self.inner), by: Some(By { who: who.into(), now_secs }) }
    }

    /// How much of the trace is kept: days (0: none is), and events at most.
    pub fn keep_trace(&self, days: u32, events_max: u64) {
        self.inner.trace.days.store(days, Ordering::Relaxed);
        self.inner.trace.events_max.store(events_max, Ordering::Relaxed);
    }

    /// Writes events outside any other act (a refused RCPT), bounded, also for each IP, not synced before the answer.
    pub fn trace(&self, mut events: Vec<TraceEvent>) {
        let mut crowd = self.inner.trace.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        events.retain_mut(|event| crowd.admit(event));
        drop(crowd);
        if events.is_empty() || self.inner.trace.days.load(Ordering::Relaxed) == 0 {
            return;
        }
        let waiting = self.inner.trace.waiting.clone();
        let count = events.len();
        if waiting.fetch_add(count, Ordering::SeqCst) + count > TRACE_WAITING {
            waiting.fetch_sub(count, Ordering::SeqCst);
            tracing::debug!(count, "trace events dropped: too many are waiting");
            return;
        }
        let mut batch = Batch { light: true, ..Batch::default() };
        self.inner.put_trace(&mut batch, &events);
        self.inner.engine.submit(
            batch,
            Box::new(move |outcome| {
                waiting.fetch_sub(count, Ordering::SeqCst);
                if let Outcome::Failed(error) = outcome {
                    tracing::warn!(?error, "trace events lost");
                }
            }),
        );
    }

    /// The newest `limit` events by key, oldest first.
    pub async fn trace_find(&self, kind: &str, value: &str, limit: usize) -> Result<Vec<TraceEvent>> {
        Ok(self.trace_find_numbered(kind, value, limit).await?.into_iter().map(|(_, event)| event).collect())
    }

    /// The same with their numbers: they grow with time.
    pub async fn trace_find_numbered(&self, kind: &str, value: &str, limit: usize) -> Result<Vec<(u64, TraceEvent)>> {
        self.inner.find(kind, value, limit).await
    }

    /// "Why?": what happened to one message of this account, oldest first, as its owner may read it: their own part, and
    /// nobody else's address. Of a message they sent, also how its sending went.
    pub async fn trace_for(&self, account: AccountId, email: EmailId) -> Result<Vec<TraceEvent>> {
        let owns = |event: &TraceEvent| event.account == Some(account);
        let mut found: BTreeMap<u64, TraceEvent> = BTreeMap::new();
        let mut asked: BTreeSet<(SmolStr, String)> = BTreeSet::new();
        let mut ask = vec![(SmolStr::new_static("email"), email.0.to_string())];
        if let Ok(facts) = self.facts(account, &[email]).await
            && let Some(id) = facts.into_iter().flatten().next().and_then(|facts| facts.message_id.clone())
        {
            ask.push((SmolStr::new_static("message-id"), id));
        }
        while let Some((kind, value)) = ask.pop() {
            if !asked.insert((kind.clone(), value.clone())) || asked.len() > TRACE_FOR_KEYS {
                continue;
            }
            for (id, event) in self.inner.find(&kind, &value, TRACE_FOR_EVENTS).await? {
                if !owns(&event) {
                    continue;
                }
                // Another copy of the same message is another message; its sending belongs to both.
                let other = kind == "message-id" && event.keys.iter().any(|(kind, _)| kind == "email");
                if other && !event.keys.iter().any(|(kind, value)| kind == "email" && *value == email.0.to_string()) {
                    continue;
                }
                let links = event.keys.iter().filter(|(kind, _)| kind == "transaction" || kind == "queue");
                ask.extend(links.cloned());
                found.insert(id, event);
            }
        }
        Ok(found.into_values().collect())
    }
}

/// Keys asked for one message's owner.
const TRACE_FOR_KEYS: usize = 64;
/// Events of one key for one message's owner.
const TRACE_FOR_EVENTS: usize = 200;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn uids_as_ranges() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[7]), "7");
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(ranges(&[u32::MAX]), "4294967295");
    }

    #[test]
    fn a_flood_from_one_address_ends_with_a_word_and_the_next_minute_is_new() {
        let mut crowd = Crowd::default();
        let event = |ip: &str, at| TraceEvent::new(at, "refused", "no").key("ip", ip);
        let mut admit = |mut one: TraceEvent| crowd.admit(&mut one).then_some(one.detail);
        let said: Vec<String> = (0..500).filter_map(|_| admit(event("192.0.2.1", 60))).collect();
        assert_eq!(said.len(), TRACE_PER_MINUTE as usize);
        assert!(said.last().is_some_and(|last| last.ends_with("not written down)")));
        assert!(admit(event("192.0.2.2", 60)).is_some());
        assert!(admit(TraceEvent::new(60, "told", "no")).is_some());
        assert!(admit(event("192.0.2.1", 120)).is_some());
    }

    #[test]
    fn an_event_of_an_older_release_is_read() {
        let at = key::trace(9);
        let mut out = Writer::new();
        out.signed(5).text("refused").number(1).text("ip").text("192.0.2.1").text("why");
        let old = decode(&at, &out.seal(&at)).unwrap();
        assert_eq!(old, TraceEvent::new(5, "refused", "why").key("ip", "192.0.2.1"));
        let new = TraceEvent::new(5, "stored", "x".repeat(9000)).of(AccountId(3));
        let back = decode(&at, &encode(&at, &new)).unwrap();
        assert_eq!((back.account, back.detail.len()), (Some(AccountId(3)), TRACE_DETAIL_BYTES));
    }
}
