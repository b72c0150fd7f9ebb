//! The embedded engine: segment files for the truth, SQLite for finding it, one committer thread.
//!
//! Invariant: octets are served only with matching checksums; a read never waits for a write.
//! Must not know: what keys mean.

use super::committer::{self, Committer, Job, Message, Pace};
use super::index::{self, BodyRow, Position};
use super::overlay::{Overlay, View, Waited};
use super::stage::{Moves, Stage};
use super::{Batch, Engine, Found, Key, Later, OnCommit, Outcome, Query, io_error, replay, rewrite, segment};
use crate::hash::xxh64;
use crate::limits::{
    BODY_LOCATIONS_CACHED, BODY_PIECE_BYTES, INDEX_BEHIND, INDEX_ROWS_AT_ONCE, INDEX_ROWS_GENTLE_MAX, READ_AHEAD, READ_AHEAD_GAP,
    READ_AT_ONCE_BYTES, READERS, SEGMENT_BYTES_MAX, SEGMENT_FILES_OPEN_MAX, SYNC_CHEAP, SYNC_SOON, WAL_BYTES_FOLD,
    WAL_BYTES_QUIET, WAL_QUIET,
};
use crate::rest::{Haste, Others};
use crate::types::{BodyId, Defect, StoreError};
use bytes::Bytes;
use quick_cache::sync::Cache;
use rusqlite::Connection;
use rustix::io::ReadWriteFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, StoreError>;

/// Makes the n-th input or output call fail, for tests.
#[derive(Debug)]
pub(crate) struct Faults {
    left: AtomicI64,
    error: Mutex<StoreError>,
    /// How far each segment file has been synced: what a power cut leaves.
    #[cfg(test)]
    pub(crate) synced: Mutex<BTreeMap<u32, u64>>,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            left: AtomicI64::new(i64::MAX),
            error: Mutex::new(StoreError::Io("injected".into())),
            #[cfg(test)]
            synced: Mutex::default(),
        }
    }
}

/// How often trouble that goes on is told.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Trouble that is tried again and again: told at once, then now and then, and when it is over.
#[derive(Default)]
struct Trouble {
    told: Option<Instant>,
}

impl Trouble {
    fn tells(&mut self, is_failed: bool, now: Instant) -> bool {
        match (is_failed, self.told) {
            (false, told) => {
                self.told = None;
                told.is_some()
            }
            (true, Some(told)) if now.saturating_duration_since(told) < TELL_AGAIN => false,
            (true, _) => {
                self.told = Some(now);
                true
            }
        }
    }
}

impl Faults {
    /// The call after `calls` more fails, once.
    #[cfg(test)]
    pub(crate) fn fail_after(&self, calls: i64, error: StoreError) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        self.left.store(calls, Ordering::SeqCst);
    }
    /// True when a fault that was set has not happened.
    #[cfg(test)]
    pub(crate) fn is_set(&self) -> bool {
        let left = self.left.load(Ordering::SeqCst);
        (0..i64::MAX / 2).contains(&left)
    }
    #[cfg(test)]
    fn note_synced(&self, file: u32, end: u64) {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner).insert(file, end);
    }
    #[cfg(not(test))]
    fn note_synced(&self, _file: u32, _end: u64) {}

    /// Everything of a segment up to here survives a power cut.
    pub(crate) fn sync(&self, number: u32, file: &File, end: u64) -> Result<()> {
        self.tick()?;
        file.sync_data().map_err(|error| io_error(&error))?;
        self.note_synced(number, end);
        Ok(())
    }
    pub(crate) fn tick(&self) -> Result<()> {
        if self.left.load(Ordering::Relaxed) == i64::MAX {
            return Ok(());
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.left.store(i64::MAX, Ordering::SeqCst);
            return Err(self.error.lock().unwrap_or_else(PoisonError::into_inner).clone());
        }
        Ok(())
    }
}

/// What tests turn.
#[derive(Debug, Clone)]
pub(crate) struct Tuning {
    pub(crate) faults: Arc<Faults>,
    pub(crate) segment_bytes: u64,
    pub(crate) sync_cheap: Duration,
    pub(crate) sync_soon: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning { faults: Arc::default(), segment_bytes: SEGMENT_BYTES_MAX, sync_cheap: SYNC_CHEAP, sync_soon: SYNC_SOON }
    }
}

#[cfg(test)]
impl Tuning {
    /// Acts commit where they are submitted, whatever a sync costs here.
    pub(crate) fn at_once() -> Tuning {
        Tuning { sync_cheap: Duration::MAX, ..Tuning::default() }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) syncs: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) batches: AtomicU64,
}

/// Who holds it writes the index.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    /// What was moved, and may be named by its old place in layers.
    pub(crate) moves: Moves,
}

/// What the committer, the readers and the caretakers share.
pub(crate) struct Shared {
    pub(crate) segments: PathBuf,
    pub(crate) index: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) next_file: AtomicU32,
    pub(crate) counts: Counts,
    pub(crate) others: Others,
    pub(crate) tuning: Tuning,
    /// What is durable and not in the index yet.
    pub(crate) overlay: Overlay,
    pub(crate) pace: Pace,
    writer: Mutex<Writer>,
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
    places: Cache<u64, Arc<BodyRow>>,
    last_place: AtomicU64,
    files: Mutex<BTreeMap<u32, (u64, Arc<File>)>>,
    file_uses: AtomicU64,
    /// The file system of the segments has no word for whether a read would wait (a RAM disk, where none does).
    never_waits: AtomicBool,
    /// Segments that cannot be rewritten: what is damaged in them is not thrown away.
    pub(crate) stuck: Mutex<BTreeSet<u32>>,
    /// A thread of ours has panicked.
    broken: tokio::sync::watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn segment_path(&self, number: u32) -> PathBuf {
        segment::path_of(&self.segments, number)
    }

    /// Runs on a reading connection that is free now, or on the next in turn.
    pub(crate) fn with_reader<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        if let Some(reader) = self.readers.iter().find_map(|reader| reader.try_lock().ok()) {
            return read(&reader);
        }
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed) % self.readers.len().max(1);
        let Some(reader) = self.readers.get(turn) else {
            return Err(StoreError::Io("no reader".into()));
        };
        read(&reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One instant of what is durable.
    pub(crate) fn with_view<T>(&self, read: impl Fn(&View<'_>) -> Result<T>) -> Result<T> {
        self.with_reader(|connection| self.overlay.view(connection, &read))
    }

    /// The same, for what takes longer.
    pub(crate) fn with_fixed_view<T>(&self, read: impl Fn(&View<'_>) -> Result<T>) -> Result<T> {
        self.with_reader(|connection| self.overlay.fixed_view(connection, &read))
    }

    /// Writes to the index what only the segments have so far, in one transaction; then runs `work` on the writing
    /// connection.
    pub(crate) fn write_behind<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.with_writer(|writer| work(&writer.connection))
    }

    /// The same, for what moves bodies.
    pub(crate) fn with_writer<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
        self.writing(&|| (), work)
    }

    /// The same as [`Shared::write_behind`], for whom nobody waits.
    fn write_gently<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let pause = || {
            if self.overlay.weight() < INDEX_ROWS_GENTLE_MAX {
                std::thread::yield_now();
            }
        };
        self.writing(&pause, |writer| work(&writer.connection))
    }

    fn writing<T>(&self, pause: &dyn Fn(), work: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frozen) = self.overlay.freeze() {
            let stages = frozen.layers.iter().map(|layer| &**layer);
            let ticked = self.tuning.faults.tick();
            let apply = |()| Stage::apply(stages, &writer.connection, Some(frozen.position), &writer.moves, pause);
            let written = ticked.and_then(apply);
            self.overlay.thaw(frozen, written.is_ok());
            written?;
        }
        work(&mut writer)
    }

    /// A reading connection for long work: those in front never wait for it.
    pub(crate) fn own_reader(&self) -> Result<Connection> {
        index::open_reader(&self.index)
    }

    fn has_free_reader(&self) -> bool {
        self.readers.iter().any(|reader| reader.try_lock().is_ok())
    }

    pub(crate) fn forget_bodies(&self, ids: impl Iterator<Item = u64>) {
        ids.for_each(|id| drop(self.places.remove(&id)));
    }

    /// A segment's file, opened once and kept while it is used.
    pub(crate) fn file(&self, number: u32) -> Result<Arc<File>> {
        let now = self.file_uses.fetch_add(1, Ordering::Relaxed);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((used, file)) = files.get_mut(&number) {
            *used = now;
            return Ok(file.clone());
        }
        let file = Arc::new(File::open(self.segment_path(number)).map_err(|error| io_error(&error))?);
        if files.len() >= SEGMENT_FILES_OPEN_MAX
            && let Some(oldest) = files.iter().min_by_key(|(_, (used, _))| *used).map(|(number, _)| *number)
        {
            files.remove(&oldest);
        }
        files.insert(number, (now, file.clone()));
        Ok(file)
    }

    pub(crate) fn forget_file(&self, number: u32) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    fn place(&self, id: u64) -> Result<Arc<BodyRow>> {
        if let Some(place) = self.places.get(&id) {
            return Ok(place);
        }
        // Who reads one after another will want the next ones, too.
        let last = self.last_place.swap(id, Ordering::Relaxed);
        let limit = if (1..READ_AHEAD_GAP).contains(&id.wrapping_sub(last)) { READ_AHEAD } else { 1 };
        let mut wanted = None;
        for (number, row) in self.with_view(|view| view.bodies(id.saturating_sub(1), limit))? {
            match row {
                Ok(row) => {
                    let place = Arc::new(row);
                    self.places.insert(number, place.clone());
                    wanted = wanted.or((number == id).then_some(place));
                }
                Err(error) if number == id => return Err(error),
                Err(_) => {}
            }
        }
        wanted.ok_or(StoreError::NotFound)
    }

    /// Brings the index up behind the committer, and folds its log back, until the end.
    fn index_loop(&self) {
        let (mut folded_at, mut is_folded) = (0, false);
        let mut trouble = Trouble::default();
        loop {
            let waited = self.overlay.wait(INDEX_ROWS_AT_ONCE, INDEX_BEHIND, (!is_folded).then_some(WAL_QUIET));
            is_folded = waited == Waited::Quiet;
            let written = match waited {
                Waited::Stop => return,
                Waited::Grown => self.write_gently(|connection| self.fold(connection, &mut folded_at)),
                Waited::Quiet => self.write_gently(|connection| self.fold_all(connection)),
            };
            match (&written, trouble.tells(written.is_err(), Instant::now())) {
                (Err(error), true) => tracing::error!(?error, "the index could not be written; it is tried again and again"),
                (Ok(_), true) => tracing::warn!("the index is written again"),
                _ => {}
            }
            if written.is_err() {
                std::thread::sleep(INDEX_BEHIND);
            }
        }
    }

    /// Folds the index's log back when it is long; a long reader may keep frames from it: then not again every time.
    fn fold(&self, connection: &Connection, folded_at: &mut u64) -> Result<()> {
        let length = std::fs::metadata(&self.wal).map_or(0, |meta| meta.len());
        if length <= WAL_BYTES_FOLD {
            *folded_at = 0;
        } else if length > *folded_at + WAL_BYTES_FOLD {
            *folded_at = length;
            if let Err(error) = index::fold(connection, "PASSIVE") {
                tracing::warn!(?error, "the index's log could not be folded");
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Folds all of the index's log back and cuts it off, unless it is short or somebody reads what it has.
    fn fold_all(&self, connection: &Connection) -> Result<()> {
        let length = std::fs::metadata(&self.wal).map_or(0, |meta| meta.len());
        if length <= WAL_BYTES_QUIET || !index::fold(connection, "PASSIVE")? {
            return Ok(());
        }
        index::cut_log(connection)
    }
}

/// The engine.
pub(crate) struct Embedded {
    pub(crate) shared: Arc<Shared>,
    committer: Arc<Mutex<Committer>>,
    sender: Mutex<Option<Sender<Message>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Tells when the thread that holds it panics.
struct Watched(Arc<Shared>);

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broken.send_replace(true);
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Embedded {
    /// Opens or makes `folder`; also tells what was found damaged in the part of the segments that had to be replayed.
    pub(crate) fn open(folder: &Path, tuning: Tuning) -> Result<(Embedded, Vec<Defect>)> {
        let segments = folder.join("segments");
        let has_segments = segments.exists() && !segment::list(&segments)?.0.is_empty();
        if has_segments && !folder.join("index.sqlite").exists() {
            return Err(StoreError::Damaged("the index is missing; `packetboat rebuild` makes it anew from the segments".into()));
        }
        Embedded::start(folder, tuning, Position::default())
    }

    /// The same with an index made from the segments when there is none; the one before knew them up to `proven`.
    pub(crate) fn open_anew(folder: &Path, proven: Position) -> Result<(Embedded, Vec<Defect>)> {
        Embedded::start(folder, Tuning::default(), proven)
    }

    fn start(folder: &Path, tuning: Tuning, proven: Position) -> Result<(Embedded, Vec<Defect>)> {
        let (segments, index) = (folder.join("segments"), folder.join("index.sqlite"));
        std::fs::create_dir_all(&segments).map_err(|error| io_error(&error))?;
        let is_new = !index.exists();
        let connection = index::open_writer(&index)?;
        // At every start: the one that made these entries may have been killed before they were on the disk. And before
        // the index's log is folded: half a fold without the log's name would be no index any more.
        segment::sync_folder(folder).map_err(|error| io_error(&error))?;
        segment::sync_folder(&segments).map_err(|error| io_error(&error))?;
        if is_new || index::position(&connection)?.is_none() {
            index::write_position(&connection, Position::default())?;
            index::fold(&connection, "TRUNCATE")?;
        }
        let (position, defects) = replay::catch_up(&connection, &segments, proven)?;
        let wal = folder.join("index.sqlite-wal");
        let readers = (0..READERS).map(|_| index::open_reader(&index).map(Mutex::new)).collect::<Result<Vec<_>>>()?;
        let shared = Arc::new(Shared {
            next_file: AtomicU32::new(replay::next_file(&segments)?.max(position.file + 1)),
            segments,
            index: index.clone(),
            wal,
            counts: Counts::default(),
            others: Others::default(),
            overlay: Overlay::default(),
            pace: Pace::new(tuning.sync_cheap, tuning.sync_soon),
            tuning,
            writer: Mutex::new(Writer { connection, moves: Moves::default() }),
            readers,
            next_reader: AtomicUsize::new(0),
            places: Cache::new(BODY_LOCATIONS_CACHED),
            last_place: AtomicU64::new(0),
            files: Mutex::new(BTreeMap::new()),
            file_uses: AtomicU64::new(0),
            never_waits: AtomicBool::new(false),
            stuck: Mutex::default(),
            broken: tokio::sync::watch::Sender::new(false),
        });
        let committer = Committer::new(shared.clone(), index::open_reader(&index)?, position)?;
        let committer = Arc::new(Mutex::new(committer));
        let (sender, receiver) = channel();
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let watched = Watched(shared.clone());
            let work = move || {
                let _watched = watched;
                work();
            };
            std::thread::Builder::new().name(name.into()).spawn(work).map_err(|error| io_error(&error))
        };
        let (behind, committing, own) = (shared.clone(), shared.clone(), committer.clone());
        let threads = vec![
            spawn("store-commit", Box::new(move || committer::run(&own, &committing, &receiver)))?,
            spawn("store-index", Box::new(move || behind.index_loop()))?,
        ];
        Ok((Embedded { shared, committer, sender: Mutex::new(Some(sender)), threads: Mutex::new(threads) }, defects))
    }

    pub(crate) fn send(&self, message: Message) -> std::result::Result<(), Message> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        match &*sender {
            Some(sender) => sender.send(message).map_err(|failed| failed.0),
            None => Err(message),
        }
    }

    fn stop(&self) {
        if let Some(sender) = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = sender.send(Message::Stop);
        }
        self.shared.overlay.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
        // Who moves bodies at this moment comes to an end; nobody begins any more.
        drop(self.shared.writer.lock());
    }
}

fn answer(view: &View<'_>, query: &Query) -> Result<Found> {
    Ok(match query {
        Query::Get(key) => Found::Values(vec![view.get(key)?]),
        Query::Many(keys) => Found::Values(view.many(keys)?),
        Query::Short(keys) => Found::Packed(view.short(keys)?),
        Query::Range { from, to, limit, reverse } => Found::Pairs(view.range(from, to, *limit, *reverse)?),
        Query::Notes(ids) => {
            let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
            Found::Values(view.notes(&ids)?)
        }
        Query::NoteFronts { ids, wanted } => {
            let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
            Found::Packed(view.note_fronts(&ids, *wanted)?)
        }
        Query::Bodies { after, limit } => {
            let rows = view.bodies(after.0, *limit)?;
            let seen = |(id, row): (u64, Result<BodyRow>)| row.map_or((BodyId(id), 0, 0), |row| (BodyId(id), row.refs, row.len));
            Found::Bodies(rows.into_iter().map(seen).collect())
        }
    })
}

fn read_at_once(shared: &Shared, queries: &[Query]) -> Result<Vec<Found>> {
    match queries {
        // Short: that it is read again, because the index moved on under it, is rarer than the transaction is dear.
        [query] if weight(query) <= WEIGHT_SMALL => shared.with_view(|view| Ok(vec![answer(view, query)?])),
        _ => shared.with_fixed_view(|view| queries.iter().map(|query| answer(view, query)).collect()),
    }
}

/// So many keys, about, are read where we stand.
const WEIGHT_SMALL: usize = 128;

fn weight(query: &Query) -> usize {
    match query {
        Query::Get(_) => 1,
        Query::Many(keys) | Query::Short(keys) => keys.len(),
        Query::Notes(ids) | Query::NoteFronts { ids, .. } => ids.len() * 4,
        Query::Range { limit, .. } => *limit,
        Query::Bodies { limit, .. } => *limit,
    }
}

/// A few keys are read where we stand; anything longer goes to a thread that may block.
fn is_small(queries: &[Query]) -> bool {
    queries.iter().map(weight).fold(0, usize::saturating_add) <= WEIGHT_SMALL
}

/// The pieces that cover `offset..offset+len`, whole: (first piece, octets from, octets to).
fn covering(row: &BodyRow, offset: u64, len: u64) -> (usize, u64, u64) {
    let piece = BODY_PIECE_BYTES as u64;
    let from = offset.min(row.len) / piece * piece;
    let to = offset.saturating_add(len).min(row.len).div_ceil(piece).saturating_mul(piece).min(row.len);
    (usize::try_from(from / piece).unwrap_or(usize::MAX), from, to.max(from))
}

fn proven(id: u64, row: &BodyRow, first: usize, octets: &[u8]) -> Result<()> {
    let sums = row.sums.get(first..).unwrap_or_default();
    for (number, piece) in octets.chunks(BODY_PIECE_BYTES).enumerate() {
        if sums.get(number) != Some(&xxh64(piece, 0)) {
            let at = row.at + ((first + number) * BODY_PIECE_BYTES) as u64;
            return Err(StoreError::Damaged(format!("body {id}, segment {} offset {at}: checksum", row.file)));
        }
    }
    Ok(())
}

fn read_body(shared: &Shared, id: u64, offset: u64, len: u64, may_block: bool) -> Result<Option<Bytes>> {
    let row = shared.place(id)?;
    let (first, from, to) = covering(&row, offset, len);
    if !may_block && to - from > READ_AT_ONCE_BYTES {
        return Ok(None);
    }
    let file = shared.file(row.file)?;
    let mut octets = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
    if may_block || shared.never_waits.load(Ordering::Relaxed) {
        file.read_exact_at(&mut octets, row.at + from).map_err(|error| io_error(&error))?;
    } else {
        let length = octets.len();
        let mut parts = [std::io::IoSliceMut::new(&mut octets)];
        // What is not in the page cache would block this thread: then the other road.
        match rustix::io::preadv2(&*file, &mut parts, row.at + from, ReadWriteFlags::NOWAIT) {
            Ok(read) if read == length => {}
            Err(rustix::io::Errno::OPNOTSUPP) => {
                shared.never_waits.store(true, Ordering::Relaxed);
                file.read_exact_at(&mut octets, row.at + from).map_err(|error| io_error(&error))?
            }
            _ => return Ok(None),
        }
    }
    proven(id, &row, first, &octets)?;
    let whole = Bytes::from(octets);
    let start = usize::try_from(offset.clamp(from, to) - from).unwrap_or(0);
    let end = usize::try_from(offset.saturating_add(len).clamp(from, to) - from).unwrap_or(0);
    Ok(Some(whole.slice(start..end.max(start))))
}

/// Once more with a fresh place: the segment may have been rewritten meanwhile.
fn read_body_twice(shared: &Shared, id: u64, offset: u64, len: u64) -> Result<Bytes> {
    let first = read_body(shared, id, offset, len, true);
    let again = match first {
        Ok(Some(octets)) => return Ok(octets),
        Err(StoreError::NotFound) => return Err(StoreError::NotFound),
        Ok(None) | Err(_) => {
            shared.forget_bodies(std::iter::once(id));
            read_body(shared, id, offset, len, true)?
        }
    };
    again.ok_or_else(|| StoreError::Io("body could not be read".into()))
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Io(error.to_string()))?
}

impl Engine for Embedded {
    fn read(&self, queries: Vec<Query>) -> Later<'_, Vec<Found>> {
        self.shared.others.read();
        Box::pin(async move {
            if is_small(&queries) && self.shared.has_free_reader() {
                return read_at_once(&self.shared, &queries);
            }
            let shared = self.shared.clone();
            blocking(move || read_at_once(&shared, &queries)).await
        })
    }

    fn submit(&self, batch: Batch, on_commit: OnCommit) {
        self.shared.others.act();
        let mut job = Job { batch, on_commit };
        if self.shared.pace.is_at_once(&job.batch)
            && let Ok(mut committer) = self.committer.try_lock()
        {
            let _watched = Watched(self.shared.clone());
            match committer.at_once(job) {
                Some(back) => job = back,
                None => return,
            }
        }
        self.shared.pace.hand_over();
        if let Err(Message::Job(job)) = self.send(Message::Job(Box::new(job))) {
            self.shared.pace.answered(1);
            (job.on_commit)(&Outcome::Failed(StoreError::Io("the store is closed".into())));
        }
    }

    fn body(&self, id: BodyId, offset: u64, len: u64) -> Later<'_, Bytes> {
        self.shared.others.read();
        Box::pin(async move {
            // Short ones that the page cache has are read where we stand.
            if let Ok(Some(octets)) = read_body(&self.shared, id.0, offset, len, false) {
                return Ok(octets);
            }
            let shared = self.shared.clone();
            blocking(move || read_body_twice(&shared, id.0, offset, len)).await
        })
    }

    fn logged(&self, key: Key) -> Later<'_, Option<Vec<u8>>> {
        let shared = self.shared.clone();
        Box::pin(blocking(move || {
            let position = shared.write_behind(index::position)?.unwrap_or_default();
            replay::newest_put(&shared.segments, position, &key)
        }))
    }

    fn check(&self) -> Later<'_, Vec<Defect>> {
        let shared = self.shared.clone();
        Box::pin(blocking(move || rewrite::check(&shared)))
    }

    fn maintain(&self, haste: &Arc<Haste>) -> Later<'_, ()> {
        Box::pin(rewrite::maintain(self, haste.clone()))
    }

    fn broken(&self) -> Later<'_, ()> {
        let mut told = self.shared.broken.subscribe();
        Box::pin(async move { told.wait_for(|broken| *broken).await.map(|_| ()).map_err(|_| StoreError::Io("closed".into())) })
    }

    fn counts(&self) -> (u64, u64, u64) {
        let counts = &self.shared.counts;
        (counts.syncs.load(Ordering::Relaxed), counts.groups.load(Ordering::Relaxed), counts.batches.load(Ordering::Relaxed))
    }

    fn others(&self) -> &Others {
        &self.shared.others
    }

    fn close(&self) -> Later<'_, ()> {
        Box::pin(async move {
            // Joining may take as long as the last sync.
            tokio::task::yield_now().await;
            self.stop();
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_at_once_then_seldom_and_its_end() {
        let (mut trouble, begin) = (Trouble::default(), Instant::now());
        let mut tells = |is_failed, secs| trouble.tells(is_failed, begin + Duration::from_secs(secs));
        assert_eq!([tells(false, 0), tells(true, 1), tells(true, 2), tells(true, 60)], [false, true, false, false]);
        assert_eq!([tells(true, 61), tells(true, 62), tells(false, 63), tells(false, 64)], [true, false, true, false]);
        assert!(tells(true, 65));
    }
}
