//! The seam below the mail: ordered keys in atomic batches, bodies beside them, answers in commit order.
//!
//! Two engines and one contract suite: `memory` (the model, with faults) and `embedded` (segments and SQLite).
//! Invariant: a batch is there whole or not at all, and `Done` is said only when it is durable and readable.
//! Must not know: what keys and values mean.

pub(crate) mod committer;
pub(crate) mod embedded;
pub(crate) mod index;
pub(crate) mod memory;
pub(crate) mod overlay;
pub(crate) mod replay;
pub(crate) mod rewrite;
pub(crate) mod segment;
pub(crate) mod stage;

#[cfg(test)]
mod contract;

use crate::hash::xxh64;
use crate::rest::{Haste, Others};
use crate::types::{BodyId, Defect, Spooled, StoreError};
use bytes::Bytes;
use smallvec::SmallVec;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

/// Room for most keys: they are made by the thousand.
pub(crate) type KeyBytes = SmallVec<[u8; 24]>;

/// An ordered key: a kind byte, then the parts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(KeyBytes);

impl Key {
    pub(crate) fn new(bytes: impl Into<KeyBytes>) -> Key {
        Key(bytes.into())
    }
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
    /// The next key there could be.
    pub(crate) fn behind(&self) -> Key {
        let mut bytes = self.0.clone();
        bytes.push(0);
        Key(bytes)
    }
    pub(crate) fn kind(&self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key ")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a stored value was when it was read; [`Version::ABSENT`] when there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(u64);

impl Version {
    pub(crate) const ABSENT: Version = Version(0);
    pub(crate) fn of(value: Option<&[u8]>) -> Version {
        value.map_or(Version::ABSENT, |bytes| Version(xxh64(bytes, 1).max(1)))
    }
}

/// Octets new with a batch.
#[derive(Debug, Clone)]
pub(crate) struct NewBody {
    pub(crate) id: BodyId,
    /// Holders; it goes when all have released it.
    pub(crate) refs: u32,
    pub(crate) content: Spooled,
    /// Derived from the octets and kept beside them; may be missing after recovery.
    pub(crate) note: Option<Vec<u8>>,
}

/// One atomic change.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Spaces it touches, ascending: the unit of locking and of moving between machines.
    pub(crate) spaces: Vec<u32>,
    /// If one does not hold at commit, nothing is done: `Conflict`.
    pub(crate) expects: Vec<(Key, Version)>,
    /// Put (`Some`) or delete, in order.
    pub(crate) writes: Vec<(Key, Option<Vec<u8>>)>,
    pub(crate) bodies: Vec<NewBody>,
    /// Of these bodies, see [`crate::arriving`].
    pub(crate) arrivals: Vec<crate::arriving::Arrival>,
    /// More holders of bodies that exist.
    pub(crate) retain: Vec<(BodyId, u32)>,
    /// Fewer; at none the body and its note are gone.
    pub(crate) release: Vec<(BodyId, u32)>,
    /// Notes of bodies that exist, recomputed.
    pub(crate) notes: Vec<(BodyId, Vec<u8>)>,
    /// Answered without waiting for a sync and not repeated in the segments (trace, recomputed notes).
    pub(crate) light: bool,
}

impl Batch {
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) {
        self.writes.push((key, Some(value)));
    }
    pub(crate) fn delete(&mut self, key: Key) {
        self.writes.push((key, None));
    }
}

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Durable and readable.
    Done,
    /// An expectation did not hold; nothing was done.
    Conflict,
    /// It could not be made durable.
    Failed(StoreError),
}

/// Called in commit order, before the submitter is answered.
pub(crate) type OnCommit = Box<dyn FnOnce(&Outcome) + Send>;

/// One thing to read.
#[derive(Debug, Clone)]
pub(crate) enum Query {
    Get(Key),
    Many(Vec<Key>),
    /// The same, of short values.
    Short(Vec<Key>),
    /// `from <= key < to`.
    Range {
        from: Key,
        to: Key,
        limit: usize,
        reverse: bool,
    },
    Notes(Vec<BodyId>),
    /// Of these notes so many octets from the front as `wanted` says.
    NoteFronts {
        ids: Vec<BodyId>,
        wanted: fn(&[u8]) -> usize,
    },
    /// (body, holders, octets), ascending from after the given one.
    Bodies {
        after: BodyId,
        limit: usize,
    },
}

/// What a query found.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// For `Get`, `Many` and `Notes`: in the order asked.
    Values(Vec<Option<Vec<u8>>>),
    Pairs(Vec<(Key, Vec<u8>)>),
    Bodies(Vec<(BodyId, u32, u64)>),
    /// For `Short` and `NoteFronts`: in the order asked.
    Packed(Packed),
}

/// Many short values in one piece of memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed {
    octets: Vec<u8>,
    places: Vec<Option<Range<usize>>>,
}

impl Packed {
    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        let start = self.octets.len();
        self.octets.extend_from_slice(value.unwrap_or_default());
        self.places.push(value.map(|_| start..self.octets.len()));
    }
    pub(crate) fn get(&self, number: usize) -> Option<&[u8]> {
        self.octets.get(self.places.get(number)?.clone()?)
    }
}

impl Found {
    pub(crate) fn value(self) -> Option<Vec<u8>> {
        self.values().into_iter().next().flatten()
    }
    pub(crate) fn values(self) -> Vec<Option<Vec<u8>>> {
        if let Found::Values(values) = self { values } else { Vec::new() }
    }
    pub(crate) fn pairs(self) -> Vec<(Key, Vec<u8>)> {
        if let Found::Pairs(pairs) = self { pairs } else { Vec::new() }
    }
    pub(crate) fn packed(self) -> Packed {
        if let Found::Packed(packed) = self { packed } else { Packed::default() }
    }
}

/// An answer that comes later.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The seam.
pub(crate) trait Engine: Send + Sync {
    /// Answers all queries from one instant.
    fn read(&self, queries: Vec<Query>) -> Later<'_, Vec<Found>>;
    /// Queues a batch; batches commit in the order they were submitted.
    fn submit(&self, batch: Batch, on_commit: OnCommit);
    /// Octets of a body, short at its end. Checksums verified.
    fn body(&self, id: BodyId, offset: u64, len: u64) -> Later<'_, Bytes>;
    /// The newest value of a key in what the index is made from: for a row that the index has lost.
    fn logged(&self, key: Key) -> Later<'_, Option<Vec<u8>>>;
    /// Proves what only the engine can: checksums of all bodies, records against the index.
    fn check(&self) -> Later<'_, Vec<Defect>>;
    /// Gives back the room of dead bodies.
    fn maintain(&self, haste: &Arc<Haste>) -> Later<'_, ()>;
    /// Ends when the engine cannot write any more until it is opened again: one of its threads has panicked.
    fn broken(&self) -> Later<'_, ()> {
        Box::pin(std::future::pending())
    }
    /// (syncs, groups, batches) since the start.
    fn counts(&self) -> (u64, u64, u64);
    /// What was asked of it, but for what care asks.
    fn others(&self) -> &Others;
    /// Waits for what is queued and lets go of everything.
    fn close(&self) -> Later<'_, ()>;
}

/// So that a test or a simulation keeps a hold on the engine its store runs on.
impl<T: Engine> Engine for Arc<T> {
    fn read(&self, queries: Vec<Query>) -> Later<'_, Vec<Found>> {
        (**self).read(queries)
    }
    fn submit(&self, batch: Batch, on_commit: OnCommit) {
        (**self).submit(batch, on_commit);
    }
    fn body(&self, id: BodyId, offset: u64, len: u64) -> Later<'_, Bytes> {
        (**self).body(id, offset, len)
    }
    fn logged(&self, key: Key) -> Later<'_, Option<Vec<u8>>> {
        (**self).logged(key)
    }
    fn check(&self) -> Later<'_, Vec<Defect>> {
        (**self).check()
    }
    fn maintain(&self, haste: &Arc<Haste>) -> Later<'_, ()> {
        (**self).maintain(haste)
    }
    fn broken(&self) -> Later<'_, ()> {
        (**self).broken()
    }
    fn counts(&self) -> (u64, u64, u64) {
        (**self).counts()
    }
    fn others(&self) -> &Others {
        (**self).others()
    }
    fn close(&self) -> Later<'_, ()> {
        (**self).close()
    }
}

/// Submits and waits.
pub(crate) async fn commit(engine: &dyn Engine, batch: Batch) -> Outcome {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    engine.submit(
        batch,
        Box::new(move |outcome| {
            let _ = sender.send(outcome.clone());
        }),
    );
    receiver.await.unwrap_or_else(|_| Outcome::Failed(StoreError::Io("the store has stopped".into())))
}

/// One value.
pub(crate) async fn get(engine: &dyn Engine, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
    let found = engine.read(vec![Query::Get(key)]).await?;
    Ok(found.into_iter().next().and_then(Found::value))
}

/// Rows of `range`, ascending, at most `limit`.
pub(crate) async fn range(engine: &dyn Engine, range: (Key, Key), limit: usize) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
    let query = Query::Range { from: range.0, to: range.1, limit, reverse: false };
    let found = engine.read(vec![query]).await?;
    Ok(found.into_iter().next().map(Found::pairs).unwrap_or_default())
}

pub(crate) fn io_error(error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::NoSpace,
        _ => StoreError::Io(error.to_string()),
    }
}
