//! The store's inside: what all acts share, opening and closing.
//!
//! Invariant: ids are given once; what is on disk at start bounds them from below.
//! Must not know: keys' bytes (that is `key.rs`).

use crate::access::Shares;
use crate::account::Directory;
use crate::arriving::{Arrival, Arriving, Horizon};
use crate::care::FreeSpace;
use crate::engine::embedded::{Embedded, Tuning};
use crate::engine::memory::Memory;
use crate::engine::{Batch, Engine, Found, Outcome, Query, commit, get};
use crate::key;
use crate::limits::{IDS_RESERVED, RENDERED_BYTES_MAX, RENDERED_BYTES_MIN, RENDERED_MEMORY_PARTS, SPACES_LOADED};
use crate::machine;
use crate::mended::Mended;
use crate::news::News;
use crate::queue::QueueState;
use crate::reading::SnapshotBudget;
use crate::rest::{Haste, Rest};
use crate::rows::{EmailRecord, decode_number, encode_number};
use crate::space::{Act, Space};
use crate::types::*;
use crate::{Store, StoreConfig, lock};
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// Ids of emails, bodies, queue entries and events: one counter for all.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    next: AtomicU64,
    /// No id above this has been given by a commit that is durable.
    ceiling: Arc<AtomicU64>,
    arriving: Arriving,
}

impl Ids {
    /// The first of `count` ids in a row.
    pub(crate) fn take(&self, count: u64) -> u64 {
        self.next.fetch_add(count, Ordering::SeqCst)
    }

    /// Of octets that come.
    pub(crate) fn body(&self) -> (BodyId, Arrival) {
        self.arriving.begin(&self.next)
    }

    /// What is there now.
    pub(crate) fn horizon(&self) -> Horizon {
        self.arriving.horizon(&self.next)
    }

    /// Raises the durable ceiling in this batch when ids come near it; call when the batch has taken all its ids.
    fn reserve(&self, batch: &mut Batch) -> Option<u64> {
        let next = self.next.load(Ordering::SeqCst);
        if next + IDS_RESERVED / 2 <= self.ceiling.load(Ordering::SeqCst) {
            return None;
        }
        let ceiling = next + IDS_RESERVED;
        let key = key::id_ceiling();
        let value = encode_number(&key, ceiling);
        batch.put(key, value);
        Some(ceiling)
    }
}

/// Everything behind the door.
pub(crate) struct Inner {
    pub(crate) config: StoreConfig,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) ids: Ids,
    pub(crate) spaces: Mutex<HashMap<AccountId, Arc<Space>>>,
    pub(crate) directory: Directory,
    pub(crate) shares: Arc<Shares>,
    pub(crate) queue: QueueState,
    pub(crate) free: FreeSpace,
    pub(crate) budget: SnapshotBudget,
    pub(crate) mended: Mended,
    pub(crate) news: News,
    /// See [`Store::reports`].
    pub(crate) reports: News,
    pub(crate) emails: Cache<EmailId, EmailRecord>,
    pub(crate) last_email: AtomicU64,
    pub(crate) rendered: crate::rendered::RenderedCache,
    pub(crate) roots: crate::muted::Roots,
    pub(crate) trace: crate::trace::TraceState,
    pub(crate) care: tokio::sync::Mutex<Rest>,
    /// Of who holds it.
    pub(crate) haste: Arc<Haste>,
    spool_folder: Option<PathBuf>,
    lock: Mutex<Option<std::fs::File>>,
}

impl Inner {
    pub(crate) fn space(&self, account: AccountId) -> Arc<Space> {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(space) = spaces.get(&account) {
            return space.clone();
        }
        if spaces.len() >= SPACES_LOADED {
            // Only those nobody holds: two heads of one account must never be.
            spaces.retain(|_, space| Arc::strong_count(space) > 1 || !space.is_idle());
        }
        let space = Arc::new(Space::new(account, self.shares.clone(), self.news.clone()));
        spaces.insert(account, space.clone());
        space
    }

    pub(crate) async fn ready(&self, account: AccountId) -> Result<Arc<Space>> {
        let space = self.space(account);
        space.ready(&*self.engine).await?;
        Ok(space)
    }

    pub(crate) async fn act(&self, account: AccountId, exclusive: bool) -> Result<Act> {
        Act::begin(self.space(account), &*self.engine, exclusive).await
    }

    /// Commits acts with everything else in the batch.
    pub(crate) async fn commit_acts(&self, acts: Vec<Act>, batch: Batch) -> Outcome {
        self.commit_acts_also(acts, batch, |_| ()).await
    }

    /// The same; `also` is called when the batch has ended, before anybody is answered, even if the caller is gone.
    pub(crate) async fn commit_acts_also(
        &self,
        acts: Vec<Act>,
        mut batch: Batch,
        also: impl FnOnce(&Outcome) + Send + 'static,
    ) -> Outcome {
        // What is not in the segments would not be there after a power cut.
        let reserved = if batch.light { None } else { self.ids.reserve(&mut batch) };
        let ceiling = self.ids.ceiling.clone();
        // Until it has ended, whoever waits for that.
        let arrivals = std::mem::take(&mut batch.arrivals);
        let raise = move |outcome: &Outcome| {
            drop(arrivals);
            if let (Outcome::Done, Some(value)) = (outcome, reserved) {
                ceiling.fetch_max(value, Ordering::SeqCst);
            }
            also(outcome);
        };
        crate::space::commit_acts(&*self.engine, acts, batch, raise).await
    }

    /// Commits what touches no account's mail.
    pub(crate) async fn commit(&self, batch: Batch) -> Outcome {
        self.commit_acts(Vec::new(), batch).await
    }

    pub(crate) fn spool(&self) -> crate::Spool {
        crate::Spool::new(self.spool_folder.clone())
    }
}

/// An id above every one that was ever given.
async fn first_id(engine: &dyn Engine) -> Result<u64> {
    let key = key::id_ceiling();
    let stored = get(engine, key.clone()).await?;
    // A damaged ceiling is made up for by what exists.
    let mut highest = stored.and_then(|value| decode_number(&key, &value).ok()).unwrap_or(0);
    for kind in [key::EMAIL, key::TRACE, key::QUEUE, key::IDEMPOTENCY_ORDER] {
        let (from, to) = key::whole(kind);
        let found = engine.read(vec![Query::Range { from, to, limit: 1, reverse: true }]).await?;
        for (key, _) in found.into_iter().flat_map(Found::pairs) {
            highest = highest.max(key::Parts::of(&key).u64().unwrap_or(0));
        }
    }
    let mut after = BodyId(highest);
    loop {
        let found = engine.read(vec![Query::Bodies { after, limit: 1000 }]).await?;
        let Some(Found::Bodies(rows)) = found.into_iter().next() else { break };
        let Some((last, _, _)) = rows.last() else { break };
        after = *last;
    }
    Ok(after.0 + 1)
}

async fn reserve_ids(engine: &dyn Engine) -> Result<Ids> {
    let next = first_id(engine).await?;
    let ids = Ids { next: AtomicU64::new(next), ceiling: Arc::new(AtomicU64::new(next + IDS_RESERVED)), ..Ids::default() };
    let mut batch = Batch::default();
    let key = key::id_ceiling();
    let value = encode_number(&key, next + IDS_RESERVED);
    batch.put(key, value);
    match commit(engine, batch).await {
        Outcome::Done => Ok(ids),
        Outcome::Failed(error) => Err(error),
        Outcome::Conflict => Err(StoreError::Io("id counter".into())),
    }
}

impl Store {
    /// A store on any engine.
    pub(crate) async fn on_engine(
        config: StoreConfig,
        engine: Box<dyn Engine>,
        spool_folder: Option<PathBuf>,
        lock: Option<std::fs::File>,
    ) -> Result<Store> {
        let ids = reserve_ids(&*engine).await?;
        let free = FreeSpace::new(spool_folder.as_ref().map(|_| config.data_dir.clone()), config.free_bytes_min);
        let shares = Arc::new(Shares::load(&*engine).await?);
        let remembered = machine::share(machine::memory_bytes(), RENDERED_MEMORY_PARTS, RENDERED_BYTES_MIN, RENDERED_BYTES_MAX);
        let inner = Inner {
            engine,
            ids,
            spaces: Mutex::default(),
            directory: Directory::new(),
            shares,
            queue: QueueState::new(),
            free,
            budget: SnapshotBudget::default(),
            mended: Mended::default(),
            news: News::default(),
            reports: News::default(),
            emails: Cache::new(crate::rendered::usual_count(remembered)),
            roots: Default::default(),
            last_email: AtomicU64::new(0),
            rendered: crate::rendered::cache(remembered),
            trace: crate::trace::TraceState::default(),
            care: tokio::sync::Mutex::new(Rest::new(0, tokio::time::Instant::now())),
            haste: Arc::default(),
            spool_folder,
            lock: Mutex::new(lock),
            config,
        };
        inner.load_frozen().await?;
        Ok(Store { inner: Arc::new(inner), by: None })
    }

    pub(crate) async fn open_with(config: StoreConfig, tuning: Tuning) -> Result<Store> {
        let lock = lock::take(&config.data_dir)?;
        if config.data_dir.join(crate::rebuild::MARK).exists() {
            return Err(StoreError::Damaged("`packetboat rebuild` was cut short; run it again".into()));
        }
        let spool = config.data_dir.join("spool");
        lock::empty_folder(&spool)?;
        let folder = config.data_dir.clone();
        let (engine, defects) = crate::engine::embedded::blocking(move || Embedded::open(&folder, tuning)).await?;
        let store = Store::on_engine(config, Box::new(engine), Some(spool), Some(lock)).await?;
        if !defects.is_empty() {
            for defect in &defects {
                tracing::error!(place = %defect.place, what = %defect.what, "damage found while catching up");
            }
            crate::rebuild::recount(&store.inner, &mut Vec::new()).await?;
        }
        Ok(store)
    }

    /// Opens (or makes) the store in `config.data_dir`, with the embedded engine; takes the exclusive lock.
    pub async fn open(config: StoreConfig) -> Result<Store> {
        Store::open_with(config, Tuning::default()).await
    }

    /// The same with segments of about so many octets, so that a test sees many of them.
    #[doc(hidden)]
    pub async fn open_segmented(config: StoreConfig, segment_bytes: u64) -> Result<Store> {
        Store::open_with(config, Tuning { segment_bytes, ..Tuning::default() }).await
    }

    /// The same on the memory engine, for tests.
    pub async fn memory(config: StoreConfig) -> Result<Store> {
        Store::in_memory(config, Arc::new(Memory::default())).await
    }

    pub(crate) async fn in_memory(config: StoreConfig, engine: Arc<Memory>) -> Result<Store> {
        Store::on_engine(config, Box::new(engine), None, None).await
    }

    /// Waits for what is under way, snapshots nothing, releases the lock.
    pub async fn close(self) -> Result<()> {
        self.inner.engine.close().await?;
        drop(self.inner.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    /// Ends when nothing can be written any more until the store is opened again: a thread of it has panicked. Everything
    /// acknowledged is in the segments; who runs a server ends it, so that it is started anew.
    pub async fn broken(&self) {
        if self.inner.engine.broken().await.is_err() {
            std::future::pending().await
        }
    }

    /// Syncs of the segments so far: at most one for each group of acts made durable together.
    pub fn sync_count(&self) -> u64 {
        self.inner.engine.counts().0
    }

    /// How much others than care have asked so far: for who works in the background ([`crate::rest::Rest`]).
    pub fn asked_by_others(&self) -> u64 {
        self.inner.engine.others().so_far()
    }

    /// (syncs, groups, acts) so far.
    pub fn commit_counts(&self) -> (u64, u64, u64) {
        self.inner.engine.counts()
    }
}
