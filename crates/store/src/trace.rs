//! The trace: what happened to a message, found by address, Message-ID, queue id or IP.
//!
//! Events are written in the batch of the act they tell of; they live in the index only and may be lost with it.
//! Invariant: bounded by age and number. Must not know: what the kinds of keys mean.

use crate::Store;
use crate::engine::{Batch, Found, Key, Outcome, Query, range};
use crate::hash::xxh64;
use crate::key;
use crate::limits::{CARE_ROWS, TRACE_DAYS, TRACE_EVENTS, TRACE_WAITING};
use crate::rows::encode_mark;
use crate::store::{Inner, Result};
use crate::types::*;
use crate::value::{Writer, decoded, open};
use smol_str::SmolStr;
use std::sync::atomic::Ordering;

/// Ids of one bucket lie together in the finding keys.
const BUCKET_BITS: u32 = 18;

fn bucket(id: u64) -> u32 {
    u32::try_from(id >> BUCKET_BITS).unwrap_or(u32::MAX)
}

fn hash(kind: &str, value: &str) -> u64 {
    let text = format!("{}\0{}", kind.to_ascii_lowercase(), value.to_lowercase());
    xxh64(text.as_bytes(), 0)
}

fn encode(at: &Key, event: &TraceEvent) -> Vec<u8> {
    let mut out = Writer::new();
    out.signed(event.at_secs).text(&event.what).number(event.keys.len() as u64);
    for (kind, value) in &event.keys {
        out.text(kind).text(value);
    }
    out.text(&event.detail);
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
            Some(TraceEvent { at_secs, what, keys: keys?, detail: reader.text()?.to_owned() })
        })(),
    )
}

fn event_id(at: &Key) -> u64 {
    key::Parts::of(at).u64().unwrap_or(0)
}

impl Inner {
    /// Events into a batch.
    pub(crate) fn put_trace(&self, batch: &mut Batch, events: &[TraceEvent]) {
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
    }

    async fn edge(&self, reverse: bool) -> Result<Option<u64>> {
        let (from, to) = key::whole(key::TRACE);
        let found = self.engine.read(vec![Query::Range { from, to, limit: 1, reverse }]).await?;
        Ok(found.into_iter().flat_map(Found::pairs).next().map(|(at, _)| event_id(&at)))
    }

    async fn find(&self, kind: &str, value: &str, limit: usize) -> Result<Vec<TraceEvent>> {
        let (Some(first), Some(last)) = (self.edge(false).await?, self.edge(true).await?) else {
            return Ok(Vec::new());
        };
        let wanted = hash(kind, value);
        let mut events = Vec::new();
        for bucket in bucket(first)..=bucket(last) {
            let rows = range(&*self.engine, key::trace_hash(bucket, wanted), limit.saturating_sub(events.len())).await?;
            let ids = rows.iter().filter_map(|(at, _)| {
                let mut parts = key::Parts::of(at);
                parts.u32()?;
                parts.u64()?;
                parts.u64()
            });
            let keys: Vec<Key> = ids.map(key::trace).collect();
            let found = self
                .engine
                .read(vec![Query::Many(keys.clone())])
                .await?
                .into_iter()
                .next()
                .map(Found::values)
                .unwrap_or_default();
            for (at, stored) in keys.iter().zip(found) {
                let Some(event) = stored.and_then(|stored| decode(at, &stored).ok()) else { continue };
                let is_it = |(k, v): &(SmolStr, String)| k.eq_ignore_ascii_case(kind) && v.to_lowercase() == value.to_lowercase();
                if event.keys.iter().any(is_it) {
                    events.push(event);
                }
            }
            if events.len() >= limit {
                break;
            }
        }
        Ok(events)
    }

    /// Erases what is too old or too much.
    pub(crate) async fn trim_trace(&self, now_secs: UnixSecs) -> Result<()> {
        let oldest = now_secs.saturating_sub(TRACE_DAYS * 86_400);
        loop {
            // Ids are shared with other things, so this keeps at most that many.
            let floor = self.edge(true).await?.unwrap_or(0).saturating_sub(TRACE_EVENTS);
            let rows = range(&*self.engine, key::whole(key::TRACE), CARE_ROWS).await?;
            let mut batch = Batch { light: true, ..Batch::default() };
            for (at, stored) in &rows {
                let id = event_id(at);
                match decode(at, stored) {
                    Ok(event) if event.at_secs >= oldest && id >= floor => break,
                    Ok(event) => event
                        .keys
                        .iter()
                        .for_each(|(kind, value)| batch.delete(key::trace_key(bucket(id), hash(kind, value), id))),
                    Err(_) => {}
                }
                batch.delete(at.clone());
            }
            if batch.writes.is_empty() {
                return Ok(());
            }
            crate::undo::done(self.commit(batch).await)?;
        }
    }
}

impl Store {
    /// Writes events outside any other act (a refused RCPT), bounded, not synced before the answer.
    pub fn trace(&self, events: Vec<TraceEvent>) {
        let waiting = self.inner.trace_waiting.clone();
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

    /// Events by key, oldest first.
    pub async fn trace_find(&self, kind: &str, value: &str, limit: usize) -> Result<Vec<TraceEvent>> {
        self.inner.find(kind, value, limit).await
    }
}
