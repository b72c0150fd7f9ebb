//! The memory engine: the model the other one is compared with, and the one whose calls can be made to fail.
//!
//! Invariant: the same answers as the embedded engine for the same batches. Must not know: files.

use super::{Batch, Engine, Found, Key, Later, OnCommit, Outcome, Packed, Query, Version};
use crate::rest::{Haste, Others};
use crate::types::{BodyId, Defect, StoreError};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Result<T> = std::result::Result<T, StoreError>;

#[derive(Debug, Clone)]
struct Body {
    refs: u32,
    octets: Bytes,
    note: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    keys: BTreeMap<Key, Vec<u8>>,
    bodies: BTreeMap<u64, Body>,
}

#[derive(Default)]
struct Inner {
    state: State,
    /// Batches held back while paused.
    queue: VecDeque<(Batch, OnCommit)>,
    paused: bool,
    /// Called when a batch begins to wait.
    on_wait: Option<Box<dyn Fn() + Send>>,
    /// The call after this many more fails.
    fail_after: Option<(u64, StoreError)>,
    /// No batch finds room.
    full: bool,
    batches: u64,
}

/// The engine.
#[derive(Default)]
pub(crate) struct Memory {
    inner: Mutex<Inner>,
    others: Others,
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What would be there after a crash now: everything committed, nothing held back.
    pub(crate) fn crash(&self) -> Memory {
        let state = self.inner().state.clone();
        Memory { inner: Mutex::new(Inner { state, ..Inner::default() }), others: Others::default() }
    }

    /// Batches wait until `resume`.
    #[cfg(test)]
    pub(crate) fn pause(&self) {
        self.inner().paused = true;
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.inner().queue.len()
    }

    /// Batches wait no more.
    pub(crate) fn resume(&self) {
        self.inner().paused = false;
        self.run_waiting();
    }

    /// Batches wait until `run_waiting` is called; `on_wait` hears of each.
    pub(crate) fn hold(&self, on_wait: Box<dyn Fn() + Send>) {
        let mut inner = self.inner();
        inner.paused = true;
        inner.on_wait = Some(on_wait);
    }

    /// Makes durable what waits, in order.
    pub(crate) fn run_waiting(&self) {
        while self.run_one() {}
    }

    /// The first alone. `false`: none waits.
    pub(crate) fn run_one(&self) -> bool {
        let mut inner = self.inner();
        let Some((batch, on_commit)) = inner.queue.pop_front() else { return false };
        let outcome = run(&mut inner, batch);
        drop(inner);
        on_commit(&outcome);
        true
    }

    /// The call (a read, a commit, a body) after `calls` more fails, once.
    pub(crate) fn fail_after(&self, calls: u64, error: StoreError) {
        self.inner().fail_after = Some((calls, error));
    }

    #[cfg(test)]
    pub(crate) fn fault_is_set(&self) -> bool {
        self.inner().fail_after.is_some()
    }

    pub(crate) fn heal(&self) {
        self.inner().fail_after = None;
    }

    /// No room for any batch, or room again.
    pub(crate) fn set_full(&self, full: bool) {
        self.inner().full = full;
    }

    /// Flips a bit of a stored value.
    #[cfg(test)]
    pub(crate) fn damage(&self, key: &Key) {
        if let Some(byte) = self.inner().state.keys.get_mut(key).and_then(|value| value.last_mut()) {
            *byte ^= 1;
        }
    }
}

fn tick(inner: &mut Inner) -> Result<()> {
    match inner.fail_after.take() {
        Some((0, error)) => Err(error),
        Some((calls, error)) => {
            inner.fail_after = Some((calls - 1, error));
            Ok(())
        }
        None => Ok(()),
    }
}

fn run(inner: &mut Inner, batch: Batch) -> Outcome {
    if let Err(error) = tick(inner) {
        return Outcome::Failed(error);
    }
    if inner.full {
        return Outcome::Failed(StoreError::NoSpace);
    }
    let state = &mut inner.state;
    let holds = |(key, version): &(Key, Version)| Version::of(state.keys.get(key).map(Vec::as_slice)) == *version;
    let known = |(id, _): &(BodyId, u32)| state.bodies.contains_key(&id.0) || batch.bodies.iter().any(|body| body.id == *id);
    if !batch.expects.iter().all(holds) || !batch.retain.iter().chain(&batch.release).all(known) {
        return Outcome::Conflict;
    }
    for body in &batch.bodies {
        match body.content.read_all() {
            Ok(octets) => drop(state.bodies.insert(body.id.0, Body { refs: body.refs, octets, note: body.note.clone() })),
            Err(error) => return Outcome::Failed(error),
        }
    }
    for (key, value) in batch.writes {
        match value {
            Some(value) => drop(state.keys.insert(key, value)),
            None => drop(state.keys.remove(&key)),
        }
    }
    let changes = batch.retain.iter().map(|(id, count)| (id.0, i64::from(*count)));
    for (id, change) in changes.chain(batch.release.iter().map(|(id, count)| (id.0, -i64::from(*count)))) {
        if let Some(body) = state.bodies.get_mut(&id) {
            body.refs = u32::try_from(i64::from(body.refs) + change).unwrap_or(0);
            if body.refs == 0 {
                state.bodies.remove(&id);
            }
        }
    }
    for (id, note) in batch.notes {
        if let Some(body) = state.bodies.get_mut(&id.0) {
            body.note = Some(note);
        }
    }
    inner.batches += 1;
    Outcome::Done
}

fn answer(state: &State, query: &Query) -> Found {
    match query {
        Query::Get(key) => Found::Values(vec![state.keys.get(key).cloned()]),
        Query::Many(keys) => Found::Values(keys.iter().map(|key| state.keys.get(key).cloned()).collect()),
        Query::Short(keys) => {
            let mut found = Packed::default();
            keys.iter().for_each(|key| found.push(state.keys.get(key).map(Vec::as_slice)));
            Found::Packed(found)
        }
        Query::Range { from, to, .. } if from >= to => Found::Pairs(Vec::new()),
        Query::Range { from, to, limit, reverse } => {
            let range = state.keys.range(from..to).map(|(key, value)| (key.clone(), value.clone()));
            Found::Pairs(if *reverse { range.rev().take(*limit).collect() } else { range.take(*limit).collect() })
        }
        Query::Notes(ids) => {
            Found::Values(ids.iter().map(|id| state.bodies.get(&id.0).and_then(|body| body.note.clone())).collect())
        }
        Query::NoteFronts { ids, wanted } => {
            let mut found = Packed::default();
            for id in ids {
                let note = state.bodies.get(&id.0).and_then(|body| body.note.as_deref());
                found.push(note.and_then(|note| note.get(..wanted(note))));
            }
            Found::Packed(found)
        }
        Query::Bodies { after, limit } => {
            let rows = state.bodies.range(after.0 + 1..).take(*limit);
            Found::Bodies(rows.map(|(id, body)| (BodyId(*id), body.refs, body.octets.len() as u64)).collect())
        }
    }
}

impl Engine for Memory {
    fn read(&self, queries: Vec<Query>) -> Later<'_, Vec<Found>> {
        self.others.read();
        Box::pin(async move {
            let mut inner = self.inner();
            tick(&mut inner)?;
            Ok(queries.iter().map(|query| answer(&inner.state, query)).collect())
        })
    }

    fn submit(&self, batch: Batch, on_commit: OnCommit) {
        self.others.act();
        let mut inner = self.inner();
        if inner.paused {
            inner.queue.push_back((batch, on_commit));
            if let Some(on_wait) = &inner.on_wait {
                on_wait();
            }
            return;
        }
        let outcome = run(&mut inner, batch);
        // Still under the lock, so that answers come in commit order.
        on_commit(&outcome);
    }

    fn body(&self, id: BodyId, offset: u64, len: u64) -> Later<'_, Bytes> {
        self.others.read();
        Box::pin(async move {
            let mut inner = self.inner();
            tick(&mut inner)?;
            let body = inner.state.bodies.get(&id.0).ok_or(StoreError::NotFound)?;
            let length = body.octets.len() as u64;
            let (from, to) = (offset.min(length), offset.saturating_add(len).min(length));
            Ok(body.octets.slice(usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0)))
        })
    }

    fn logged(&self, key: Key) -> Later<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut inner = self.inner();
            tick(&mut inner)?;
            Ok(inner.state.keys.get(&key).cloned())
        })
    }

    fn check(&self) -> Later<'_, Vec<Defect>> {
        Box::pin(async move {
            let inner = self.inner();
            let unheld = inner.state.bodies.iter().filter(|(_, body)| body.refs == 0);
            Ok(unheld.map(|(id, _)| Defect { place: format!("body {id}"), what: "has no holder".into() }).collect())
        })
    }

    fn maintain(&self, _haste: &Arc<Haste>) -> Later<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn counts(&self) -> (u64, u64, u64) {
        let inner = self.inner();
        (inner.batches, inner.batches, inner.batches)
    }

    fn others(&self) -> &Others {
        &self.others
    }

    fn close(&self) -> Later<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
