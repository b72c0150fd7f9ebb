//! Care: free space, erasing what is past its time, trimming logs.
//!
//! Invariant: under the watermark new mail is refused and everything else goes on; when space is back, so are we,
//! without a restart. Must not know: what is mail.

use crate::Store;
use crate::engine::{Batch, Key, range};
use crate::key;
use crate::limits::{CARE_ROWS, CHANGE_LOG_ACTS, IDEMPOTENCY_KEYS};
use crate::mailbox::exclusively;
use crate::rest::Rest;
use crate::rows::Counters;
use crate::store::{Inner, Result};
use crate::types::*;
use crate::undo::done;
use crate::value::open;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const READ_AGAIN: Duration = Duration::from_secs(1);

/// How much the file system has left, read at most once a second.
#[derive(Debug)]
pub(crate) struct FreeSpace {
    /// `None`: nothing on disk (the memory engine).
    folder: Option<PathBuf>,
    min: u64,
    read: Mutex<Option<(Instant, u64)>>,
    /// For tests: taken instead of the file system's word unless it is the largest number.
    pretended: AtomicU64,
}

impl FreeSpace {
    pub(crate) fn new(folder: Option<PathBuf>, min: u64) -> FreeSpace {
        FreeSpace { folder, min, read: Mutex::default(), pretended: AtomicU64::new(u64::MAX) }
    }

    fn now(&self) -> u64 {
        let pretended = self.pretended.load(Ordering::Relaxed);
        if pretended != u64::MAX {
            return pretended;
        }
        let Some(folder) = &self.folder else { return u64::MAX };
        // A file system that does not answer is not taken for a full one.
        rustix::fs::statvfs(folder).map_or(u64::MAX, |told| told.f_bavail.saturating_mul(told.f_frsize))
    }

    pub(crate) fn read_again(&self) -> u64 {
        let free = self.now();
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), free));
        free
    }

    /// As it was a second ago, or now.
    fn lately(&self) -> u64 {
        let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = read.filter(|(at, _)| at.elapsed() < READ_AGAIN).map(|(_, free)| free);
        fresh.unwrap_or_else(|| self.read_again())
    }

    pub(crate) fn has_space(&self) -> bool {
        self.lately() >= self.min
    }
}

impl Inner {
    /// After a piece of care.
    pub(crate) async fn let_others(&self, rest: &mut Rest) {
        self.haste.set_tight(self.free.lately() < self.config.free_bytes_tight);
        if self.haste.is() {
            return;
        }
        let due = rest.due(self.engine.others().so_far(), tokio::time::Instant::now());
        if !due.is_zero() {
            tokio::time::sleep(due).await;
        }
    }

    /// Rewrites mostly dead segments. Not while a row of the queue is set aside: what the segments say of it is all that
    /// `rebuild` has to bring it back.
    /// False: not done.
    pub(crate) async fn give_room_back(&self) -> Result<bool> {
        let may = range(&*self.engine, key::whole(key::QUEUE_BAD), 1).await?.is_empty();
        if may {
            self.engine.maintain(&self.haste).await?;
        } else {
            tracing::warn!(
                "no segment is rewritten while rows of the queue are set aside; `packetboat rebuild` brings them back"
            );
        }
        Ok(may)
    }

    /// Keeps the newest acts of every change log.
    async fn trim_changes(&self, rest: &mut Rest) -> Result<()> {
        let mut told = Ok(());
        for (at, stored) in range(&*self.engine, key::whole(key::SPACE), usize::MAX).await? {
            let Ok(counters) = Counters::decode(&at, &stored) else { continue };
            let Some(account) = key::Parts::of(&at).u32().map(AccountId) else { continue };
            let floor = counters.mod_seq.saturating_sub(CHANGE_LOG_ACTS);
            // A tenth more is let be, so that this is not an act a day for every account.
            if !counters.gone && floor > counters.log_floor + CHANGE_LOG_ACTS / 10 {
                told = told.and(self.trim_changes_of(account, floor, rest).await);
            }
        }
        told
    }

    pub(crate) async fn trim_changes_of(&self, account: AccountId, floor: u64, rest: &mut Rest) -> Result<()> {
        loop {
            let (from, _) = key::of_account(key::CHANGE, account);
            let rows = range(&*self.engine, (from, key::change(account, floor + 1)), CARE_ROWS).await?;
            let Some(newest) = rows.last().and_then(|(at, _)| logged_at(at)) else { return Ok(()) };
            exclusively!(self, account, |act, batch| {
                act.counters.log_floor = act.counters.log_floor.max(newest);
                rows.iter().for_each(|(at, _)| batch.delete(at.clone()));
                Ok((true, ()))
            })?;
            self.let_others(rest).await;
        }
    }

    /// Keeps the newest idempotency keys.
    async fn trim_idempotency(&self) -> Result<()> {
        let newest = self.engine.read(vec![{
            let (from, to) = key::whole(key::IDEMPOTENCY_ORDER);
            crate::engine::Query::Range { from, to, limit: 1, reverse: true }
        }]);
        let newest = newest.await?.into_iter().flat_map(crate::engine::Found::pairs).next();
        let Some(newest) = newest.and_then(|(at, _)| key::Parts::of(&at).u64()) else { return Ok(()) };
        let (from, _) = key::whole(key::IDEMPOTENCY_ORDER);
        let to = key::idempotency_order(newest.saturating_sub(IDEMPOTENCY_KEYS * 4));
        loop {
            let rows = range(&*self.engine, (from.clone(), to.clone()), CARE_ROWS).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            for (at, stored) in rows {
                if let Some(token) = open(&at, &stored).ok().and_then(|reader| reader.rest().try_into().ok()) {
                    batch.delete(key::idempotency(&token));
                }
                batch.delete(at);
            }
            done(self.commit(batch).await)?;
        }
    }
}

pub(crate) fn logged_at(at: &Key) -> Option<u64> {
    let mut parts = key::Parts::of(at);
    parts.u32()?;
    parts.u64()
}

impl Store {
    /// False under the free-space watermark (re-read at most once a second).
    pub fn has_space(&self) -> bool {
        self.inner.free.has_space()
    }

    /// Pretends this many octets are free on the file system; `None`: what there really is. For tests of full disks.
    #[doc(hidden)]
    pub fn pretend_free_bytes(&self, free: Option<u64>) {
        self.inner.free.pretended.store(free.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.inner.free.read_again();
    }

    /// Erases what is past its undo days, rewrites mostly dead segments, trims trace and logs. A damaged row costs itself:
    /// all that can be done is done, then the first trouble is told.
    pub async fn maintain(&self, now_secs: UnixSecs) -> Result<()> {
        crate::rest::aside(self.inner.maintain(now_secs)).await
    }
}

impl Inner {
    async fn maintain(&self, now_secs: UnixSecs) -> Result<()> {
        let rest = &mut *self.care.lock().await;
        rest.begin(self.engine.others().so_far(), tokio::time::Instant::now());
        // What one of them stumbles over keeps none of the others from their work.
        let done = [
            self.erase_old(now_secs, rest).await,
            self.trim_trace(now_secs, rest).await,
            self.trim_suppressed(now_secs).await,
            self.trim_changes(rest).await,
            self.trim_idempotency().await,
            self.trim_saved().await,
            self.give_room_back().await.map(|_| ()),
        ];
        done.into_iter().collect()
    }
}
