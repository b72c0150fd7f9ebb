//! What is durable in the segments and not yet in the index: layers over SQLite, read together with it.
//!
//! The committer pushes what each group changes and answers; a thread of its own writes the layers to the index in
//! larger transactions (`Shared::write_behind`). Invariant: a view is one instant: what it takes from the index and from
//! the layers is exactly what had been pushed when it was taken. Must not know: what keys mean, files.

use super::index::{self, BodyRow, Position};
use super::stage::Stage;
use super::{Key, Packed};
use crate::types::StoreError;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

type Result<T> = std::result::Result<T, StoreError>;

/// Layers, oldest first.
pub(crate) type Layers = Vec<Arc<Stage>>;

#[derive(Debug, Default)]
struct State {
    layers: Layers,
    /// So many from the front are being written to the index.
    frozen: usize,
    /// Grows with every push.
    pushed: u64,
    /// How far into the segments the newest layer reaches.
    position: Position,
    /// Entries of all layers.
    weight: usize,
    stopping: bool,
}

/// What the index does not have yet.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    state: Mutex<State>,
    grown: Condvar,
    /// The index holds what was pushed up to here, or is about to.
    written: AtomicU64,
    /// The same as in the state, for who must not wait.
    stopping: AtomicBool,
}

/// What [`Overlay::freeze`] hands out to be written.
pub(crate) struct Frozen {
    pub(crate) layers: Layers,
    pub(crate) position: Position,
    pushed: u64,
}

/// How [`Overlay::wait`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// There is something to write.
    Grown,
    /// Nothing came.
    Quiet,
    Stop,
}

impl Overlay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what a group changed on top.
    pub(crate) fn push(&self, stage: Stage, position: Position, wake_at: usize) {
        let mut state = self.state();
        let was_empty = state.layers.is_empty();
        state.pushed += 1;
        state.position = position;
        state.weight += stage.weight();
        let frozen = state.frozen;
        let top = state.layers.get_mut(frozen..).and_then(<[_]>::last_mut).and_then(Arc::get_mut);
        match top {
            Some(top) => top.absorb(stage),
            // Somebody reads it at this moment.
            None => state.layers.push(Arc::new(stage)),
        }
        if was_empty || state.weight >= wake_at {
            self.grown.notify_one();
        }
    }

    /// All layers and the number of the push they reach to.
    pub(crate) fn layers(&self) -> (Layers, u64) {
        let state = self.state();
        (state.layers.clone(), state.pushed)
    }

    pub(crate) fn weight(&self) -> usize {
        self.state().weight
    }

    /// May somebody who took the layers at `pushed`, and then looked into the index, have seen what is newer there?
    fn is_passed(&self, pushed: u64) -> bool {
        self.written.load(Ordering::SeqCst) > pushed
    }

    /// Takes what there is for writing; `None` when there is nothing. One at a time.
    pub(crate) fn freeze(&self) -> Option<Frozen> {
        let mut state = self.state();
        if state.layers.is_empty() {
            return None;
        }
        state.frozen = state.layers.len();
        self.written.store(state.pushed, Ordering::SeqCst);
        Some(Frozen { layers: state.layers.clone(), position: state.position, pushed: state.pushed })
    }

    /// They are in the index (or could not be written, and stay).
    pub(crate) fn thaw(&self, frozen: Frozen, written: bool) {
        let mut state = self.state();
        if written {
            state.layers.drain(..frozen.layers.len());
            // Counted anew: what was written twice in a layer lies there once.
            state.weight = state.layers.iter().map(|layer| layer.weight()).sum();
        }
        state.frozen = 0;
        debug_assert!(frozen.pushed <= state.pushed);
    }

    /// Waits until there is something to write, and then for more, but not long; or, when it is asked for, until nothing
    /// came for so long.
    pub(crate) fn wait(&self, wake_at: usize, patience: Duration, quiet: Option<Duration>) -> Waited {
        let mut state = self.state();
        while state.layers.is_empty() && !state.stopping {
            let Some(quiet) = quiet else {
                state = self.grown.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let nothing = |state: &mut State| state.layers.is_empty() && !state.stopping;
            let (next, timeout) = self.grown.wait_timeout_while(state, quiet, nothing).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if timeout.timed_out() {
                return Waited::Quiet;
            }
        }
        if !state.stopping && state.weight < wake_at {
            let enough = |state: &mut State| !state.stopping && state.weight < wake_at;
            let (next, _) = self.grown.wait_timeout_while(state, patience, enough).unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
        if state.stopping { Waited::Stop } else { Waited::Grown }
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.state().stopping = true;
        self.grown.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// One instant of layers and index. `read` may be called again when the index moved on under it.
    pub(crate) fn view<T>(&self, connection: &Connection, read: impl Fn(&View<'_>) -> Result<T>) -> Result<T> {
        let (layers, pushed) = self.layers();
        let found = read(&View { layers: &layers, connection })?;
        if !self.is_passed(pushed) {
            return Ok(found);
        }
        self.fixed_view(connection, read)
    }

    /// The same, for what takes longer: the index's instant is held on to before `read` begins.
    pub(crate) fn fixed_view<T>(&self, connection: &Connection, read: impl Fn(&View<'_>) -> Result<T>) -> Result<T> {
        loop {
            let (layers, pushed) = self.layers();
            index::begin_reading(connection)?;
            let found = (!self.is_passed(pushed)).then(|| read(&View { layers: &layers, connection }));
            let ended = index::end_reading(connection);
            if let Some(found) = found {
                return found.and_then(|found| ended.map(|()| found));
            }
            ended?;
        }
    }
}

/// The index with layers over it.
pub(crate) struct View<'a> {
    pub(crate) layers: &'a [Arc<Stage>],
    pub(crate) connection: &'a Connection,
}

impl<'a> View<'a> {
    /// The index alone.
    pub(crate) fn bare(connection: &'a Connection) -> View<'a> {
        View { layers: &[], connection }
    }

    fn newest_first(&self) -> impl Iterator<Item = &'a Stage> {
        self.layers.iter().rev().map(|layer| &**layer)
    }

    fn written(&self, key: &Key) -> Option<&'a Option<Vec<u8>>> {
        self.newest_first().find_map(|layer| layer.writes.get(key))
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        match self.written(key) {
            Some(value) => Ok(value.clone()),
            None => index::get(self.connection, key),
        }
    }

    pub(crate) fn many(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        if self.layers.is_empty() {
            return index::many(self.connection, keys);
        }
        let known: Vec<Option<&Option<Vec<u8>>>> = keys.iter().map(|key| self.written(key)).collect();
        let missing: Vec<Key> =
            keys.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(key, _)| key.clone()).collect();
        let mut rest = index::many(self.connection, &missing)?.into_iter();
        Ok(known.into_iter().map(|known| known.map_or_else(|| rest.next().flatten(), Clone::clone)).collect())
    }

    /// The same, of short values.
    pub(crate) fn short(&self, keys: &[Key]) -> Result<Packed> {
        if self.layers.is_empty() {
            return index::short(self.connection, keys);
        }
        let mut found = Packed::default();
        self.many(keys)?.iter().for_each(|value| found.push(value.as_deref()));
        Ok(found)
    }

    /// `from <= key < to`.
    pub(crate) fn range(&self, from: &Key, to: &Key, limit: usize, reverse: bool) -> Result<Vec<(Key, Vec<u8>)>> {
        if self.layers.is_empty() || from >= to {
            return index::range(self.connection, from, to, limit, reverse);
        }
        let mut ask = limit;
        loop {
            let rows = index::range(self.connection, from, to, ask, reverse)?;
            let all = rows.len() < ask;
            // What the layers have further on does not matter when the index has enough before it.
            let edge = rows.last().map(|(key, _)| key.clone()).filter(|_| !all);
            let bounds = match (&edge, reverse) {
                (None, _) => (Bound::Included(from), Bound::Excluded(to)),
                (Some(edge), false) => (Bound::Included(from), Bound::Included(edge)),
                (Some(edge), true) => (Bound::Included(edge), Bound::Excluded(to)),
            };
            let mut over: BTreeMap<&Key, Option<&Vec<u8>>> = BTreeMap::new();
            for layer in self.layers {
                over.extend(layer.writes.range::<Key, _>(bounds).map(|(key, value)| (key, value.as_ref())));
            }
            let over = over.into_iter().map(|(key, value)| (key.clone(), value.cloned()));
            let merged = match reverse {
                false => merge(rows, over, |a, b| a < b, limit),
                true => merge(rows, over.rev(), |a, b| a > b, limit),
            };
            if all || merged.len() >= limit {
                return Ok(merged);
            }
            ask = ask.saturating_mul(2);
        }
    }

    pub(crate) fn notes(&self, ids: &[u64]) -> Result<Vec<Option<Vec<u8>>>> {
        if self.layers.is_empty() {
            return index::notes(self.connection, ids);
        }
        let known: Vec<Option<Option<&Vec<u8>>>> =
            ids.iter().map(|id| self.newest_first().find_map(|layer| layer.note(*id))).collect();
        let missing: Vec<u64> = ids.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(id, _)| *id).collect();
        let mut rest = index::notes(self.connection, &missing)?.into_iter();
        Ok(known.into_iter().map(|known| known.map_or_else(|| rest.next().flatten(), |note| note.cloned())).collect())
    }

    pub(crate) fn note_fronts(&self, ids: &[u64], wanted: fn(&[u8]) -> usize) -> Result<Packed> {
        if self.layers.is_empty() {
            return index::note_fronts(self.connection, ids, wanted);
        }
        let mut found = Packed::default();
        self.notes(ids)?.iter().for_each(|note| found.push(note.as_ref().and_then(|note| note.get(..wanted(note)))));
        Ok(found)
    }

    pub(crate) fn body(&self, id: u64) -> Result<Option<BodyRow>> {
        match self.newest_first().find_map(|layer| layer.bodies.get(&id)) {
            Some(row) => Ok(row.clone()),
            None => index::body(self.connection, id),
        }
    }

    /// Bodies after `after`; a row that does not decode comes as an error beside its id.
    pub(crate) fn bodies(&self, after: u64, limit: usize) -> Result<Vec<(u64, Result<BodyRow>)>> {
        if after == u64::MAX {
            return Ok(Vec::new());
        }
        let mut ask = limit;
        loop {
            let rows = index::bodies(self.connection, after, ask)?;
            let all = rows.len() < ask;
            let edge = rows.last().map_or(u64::MAX, |(id, _)| if all { u64::MAX } else { *id });
            let mut over: BTreeMap<u64, Option<&BodyRow>> = BTreeMap::new();
            for layer in self.layers {
                let bounds = (Bound::Excluded(after), Bound::Included(edge));
                over.extend(layer.bodies.range(bounds).map(|(id, row)| (*id, row.as_ref())));
            }
            let over = over.into_iter().map(|(id, row)| (id, row.map(|row| Ok(row.clone()))));
            let merged = merge(rows, over, |a, b| a < b, limit);
            if all || merged.len() >= limit {
                return Ok(merged);
            }
            ask = ask.saturating_mul(2);
        }
    }
}

/// Rows with what lies over them; both in the order that `before` tells.
fn merge<K: PartialEq, V>(
    rows: Vec<(K, V)>,
    over: impl Iterator<Item = (K, Option<V>)>,
    before: impl Fn(&K, &K) -> bool,
    limit: usize,
) -> Vec<(K, V)> {
    let mut merged = Vec::with_capacity(rows.len().min(limit));
    let mut rows = rows.into_iter().peekable();
    for (key, value) in over {
        while let Some(row) = rows.next_if(|row| before(&row.0, &key)) {
            merged.push(row);
        }
        rows.next_if(|row| row.0 == key);
        merged.extend(value.map(|value| (key, value)));
        if merged.len() >= limit {
            break;
        }
    }
    merged.extend(rows);
    merged.truncate(limit);
    merged
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use crate::engine::embedded::{Embedded, Tuning};
    use crate::engine::{Batch, Engine, Key, NewBody, Outcome, Query, commit};
    use crate::types::{BodyId, Spooled};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn name(number: u8) -> Key {
        Key::new(vec![0x50, number])
    }

    /// Act `number`: a counter in two places, one more row, the row of ten acts before gone, a body for each that is there.
    fn act(number: u64) -> Batch {
        let mut batch = Batch::default();
        batch.put(name(1), number.to_be_bytes().to_vec());
        batch.put(name(2), number.to_be_bytes().to_vec());
        batch.put(Key::new([&[0x51], &number.to_be_bytes()[..]].concat()), vec![1]);
        let content = Spooled::from_bytes(number.to_be_bytes().to_vec().into());
        batch.bodies.push(NewBody { id: BodyId(number), refs: 1, content, note: Some(vec![7]) });
        if let Some(old) = number.checked_sub(10).filter(|old| *old > 0) {
            batch.delete(Key::new([&[0x51], &old.to_be_bytes()[..]].concat()));
            batch.release.push((BodyId(old), 1));
        }
        batch
    }

    async fn look(engine: &Embedded) -> u64 {
        let (from, to) = (Key::new(vec![0x51]), Key::new(vec![0x52]));
        let range = |limit, reverse| Query::Range { from: from.clone(), to: to.clone(), limit, reverse };
        let mut found = engine
            .read(vec![
                Query::Get(name(1)),
                range(usize::MAX, false),
                Query::Many(vec![name(2), name(3)]),
                range(3, false),
                range(3, true),
                Query::Bodies { after: BodyId(0), limit: usize::MAX },
                Query::Bodies { after: BodyId(0), limit: 2 },
            ])
            .await
            .unwrap()
            .into_iter();
        let Some(counted) = found.next().unwrap().value() else { return 0 };
        let number = u64::from_be_bytes(counted.clone().try_into().unwrap());
        let there: Vec<u64> = (number.saturating_sub(9).max(1)..=number).collect();
        let numbers = |pairs: Vec<(Key, Vec<u8>)>| {
            pairs.iter().map(|(key, _)| u64::from_be_bytes(key.bytes()[1..].try_into().unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(numbers(found.next().unwrap().pairs()), there);
        assert_eq!(found.next().unwrap().values(), [Some(counted), None]);
        assert_eq!(numbers(found.next().unwrap().pairs()), there[..there.len().min(3)]);
        assert_eq!(numbers(found.next().unwrap().pairs()), there.iter().rev().take(3).copied().collect::<Vec<_>>());
        let ids = |found| match found {
            crate::engine::Found::Bodies(rows) => rows.into_iter().map(|(id, _, _)| id.0).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(ids(found.next().unwrap()), there);
        assert_eq!(ids(found.next().unwrap()), there[..there.len().min(2)]);
        number
    }

    #[tokio::test]
    async fn the_log_is_cut_off_when_nothing_was_written_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Embedded::open(folder.path(), Tuning::default()).unwrap().0;
        let log = || std::fs::metadata(folder.path().join("index.sqlite-wal")).unwrap().len();
        for round in 0..2 {
            for number in round * 200 + 1..=round * 200 + 200 {
                let mut batch = act(number);
                batch.put(Key::new([&[0x52], &number.to_be_bytes()[..]].concat()), vec![9; 4000]);
                assert_eq!(commit(&engine, batch).await, Outcome::Done);
            }
            engine.shared.write_behind(|_| Ok(())).unwrap();
            assert!(log() > crate::limits::WAL_BYTES_QUIET);
            let begun = std::time::Instant::now();
            while log() > 0 {
                assert!(begun.elapsed().as_secs() < 60, "{} octets", log());
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            assert_eq!(look(&engine).await, (round + 1) * 200);
        }
        assert!(engine.check().await.unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn readers_see_one_instant_while_the_index_is_written_behind() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Arc::new(Embedded::open(folder.path(), Tuning::default()).unwrap().0);
        let over = Arc::new(AtomicBool::new(false));
        let mut lookers = Vec::new();
        for _ in 0..2 {
            let (engine, over) = (engine.clone(), over.clone());
            lookers.push(tokio::spawn(async move {
                let mut last = 0;
                while !over.load(Ordering::SeqCst) {
                    let now = look(&engine).await;
                    assert!(now >= last);
                    last = now;
                }
            }));
        }
        for number in 1..=300 {
            assert_eq!(commit(&*engine, act(number)).await, Outcome::Done);
            // What is answered is visible, wherever it is.
            assert_eq!(look(&engine).await, number);
            if number % 7 == 0 {
                engine.shared.write_behind(|_| Ok(())).unwrap();
            }
        }
        engine.shared.write_behind(|_| Ok(())).unwrap();
        assert_eq!(engine.shared.overlay.weight(), 0);
        over.store(true, Ordering::SeqCst);
        for looker in lookers {
            looker.await.unwrap();
        }
        let notes = engine.read(vec![Query::Notes(vec![BodyId(1), BodyId(300), BodyId(295)])]).await.unwrap().remove(0).values();
        assert_eq!(notes, [None, Some(vec![7]), Some(vec![7])]);
        assert!(engine.check().await.unwrap().is_empty());
    }
}
