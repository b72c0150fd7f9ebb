//! Care of the segments: proving every body, and giving back the room of dead ones.
//!
//! A closed segment that is mostly dead is written anew without the dead bodies and without puts that later records
//! have replaced; the new file takes the old one's place in the stream. Invariant: the old file goes only after the
//! index that names the new one is on the disk. Must not know: what keys mean.

use super::committer::Message;
use super::embedded::{Embedded, Shared, Writer, blocking};
use super::index::{self, BodyRow, SegmentRow};
use super::overlay::View;
use super::segment::{self, FILE_HEAD, FileHead, HALF_WRITTEN, Next, Record, SegmentFile, record_front};
use super::{io_error, replay};
use crate::hash::xxh64;
use crate::limits::{BODY_PIECE_BYTES, REWRITE_SYNC_BYTES, SEGMENT_ALIVE_PERCENT_MIN, WAL_BYTES_PROVEN};
use crate::rest::{self, Haste, Rest, yield_to_others};
use crate::types::{Defect, StoreError};
use crate::value::is_sound;
use rusqlite::Connection;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

type Result<T> = std::result::Result<T, StoreError>;

/// How often, and after what time, it is tried whether all is on the disk.
const FOLD_TRIES: usize = 20;
const FOLD_AGAIN: Duration = Duration::from_millis(50);
/// Steps of SQLite (a page, an instruction) between two looks whether to rest.
const STEPS_PROVEN: i32 = 32;

/// Every body against its sums, every segment against its counts, every record against its head, notes against their sums, the
/// index's own pages.
pub(crate) fn check(shared: &Shared) -> Result<Vec<Defect>> {
    shared.write_behind(|_| Ok(()))?;
    let (bodies, segments, position) = shared.with_reader(|connection| {
        connection.execute_batch("BEGIN DEFERRED").map_err(index::sql_error)?;
        let seen = (|| {
            let position = index::position(connection)?.unwrap_or_default();
            Ok((index::bodies(connection, 0, usize::MAX)?, index::segments(connection)?, position))
        })();
        connection.execute_batch("COMMIT").map_err(index::sql_error)?;
        seen
    })?;
    let mut defects = Vec::new();
    let alive = check_bodies(shared, &bodies, &mut defects)?;
    for (file, row) in &segments {
        let place = format!("segment {file}");
        let counted = alive.get(file).copied().unwrap_or(0);
        match row {
            Err(error) => defects.push(Defect { place, what: error.to_string() }),
            Ok(row) if counted != row.alive => {
                defects.push(Defect { place, what: format!("{} octets counted alive, {counted} are", row.alive) });
            }
            Ok(_) => {}
        }
    }
    let told = |file, at| shared.with_reader(|connection| index::is_told(connection, file, at));
    replay::check(&shared.segments, position, told, &mut defects)?;
    // Where the pages are so damaged that it cannot be read, they tell it themselves.
    let bad = shared.with_reader(index::bad_notes).unwrap_or_default();
    let note =
        |id| Defect { place: format!("note of body {id}"), what: "does not match its checksum; made anew when asked for".into() };
    defects.extend(bad.into_iter().map(note));
    let told = shared.with_reader(index::pages)?;
    defects.extend(told.into_iter().map(|what| Defect { place: "index".into(), what }));
    Ok(defects)
}

/// Octets alive by segment file.
fn check_bodies(shared: &Shared, rows: &[(u64, Result<BodyRow>)], defects: &mut Vec<Defect>) -> Result<HashMap<u32, u64>> {
    let mut alive: HashMap<u32, u64> = HashMap::new();
    for (id, row) in rows {
        match row {
            Err(error) => defects.push(Defect { place: format!("body {id}"), what: error.to_string() }),
            Ok(row) => {
                *alive.entry(row.file).or_default() += row.len;
                if row.refs == 0 {
                    defects.push(Defect { place: format!("body {id}"), what: "has no holder".into() });
                }
                // A body that went away while we looked is no defect.
                if let Err(what) = body_is_good(shared, row)
                    && shared.with_view(|view| view.body(*id))?.as_ref() == Some(row)
                {
                    defects.push(Defect { place: format!("body {id}, segment {} offset {}", row.file, row.at), what });
                }
            }
        }
    }
    Ok(alive)
}

fn body_is_good(shared: &Shared, row: &BodyRow) -> std::result::Result<(), String> {
    let file = shared.file(row.file).map_err(|error| error.to_string())?;
    let mut piece = vec![0; BODY_PIECE_BYTES];
    let mut done = 0;
    for sum in &row.sums {
        let take = usize::try_from(row.len - done).unwrap_or(usize::MAX).min(BODY_PIECE_BYTES);
        let part = piece.get_mut(..take).unwrap_or_default();
        file.read_exact_at(part, row.at + done).map_err(|error| error.to_string())?;
        if xxh64(part, 0) != *sum {
            return Err("does not match its checksum".into());
        }
        done += take as u64;
    }
    Ok(())
}

/// Rewrites what is mostly dead, one segment at a time.
pub(crate) async fn maintain(engine: &Embedded, haste: Arc<Haste>) -> Result<()> {
    if !settle(engine).await? {
        return Ok(());
    }
    let shared = engine.shared.clone();
    let wanted = blocking(move || mostly_dead(&shared)).await?;
    if wanted.is_empty() {
        return Ok(());
    }
    // What the index has lost would be taken for dead: the truth is never thrown away on the word of a damaged view.
    let (shared, own) = (engine.shared.clone(), haste.clone());
    aside(haste.is(), move || prove(shared, own)).await?;
    let mut told = Ok(());
    for row in wanted {
        // What one segment has damaged does not keep the others from giving their room back.
        told = told.and(rewrite_one(engine, row, &haste).await);
        if told == Err(StoreError::NoSpace) || engine.shared.overlay.is_stopping() {
            break;
        }
    }
    told
}

/// Proves the index, with rests.
fn prove(shared: Arc<Shared>, haste: Arc<Haste>) -> Result<()> {
    let reader = shared.own_reader()?;
    let mut breath = Breath::new(shared, haste);
    reader.progress_handler(STEPS_PROVEN, Some(move || breath.draw_beside_log().is_err()));
    index::prove(&reader)
}

/// Closed segments that are mostly dead; what an interrupted rewriting left behind goes.
fn mostly_dead(shared: &Arc<Shared>) -> Result<Vec<SegmentRow>> {
    shared.write_behind(|connection| {
        // Where a reader keeps something from the disk, the position there may be another: the next time.
        if !index::fold(connection, "PASSIVE")? {
            return Ok(Vec::new());
        }
        let position = index::position(connection)?.unwrap_or_default();
        let rows = count_anew(shared, connection)?;
        for number in replay::sweep_rewritten(connection, &shared.segments)? {
            shared.forget_file(number);
        }
        let stuck = shared.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        let is_mostly_dead =
            |row: &SegmentRow| row.alive.saturating_mul(100) < row.written.saturating_mul(SEGMENT_ALIVE_PERCENT_MIN);
        // Behind the position nothing is replayed, so only there may records change.
        let is_wanted = |row: &SegmentRow| is_mostly_dead(row) && row.order < position.order && !stuck.contains(&row.file);
        Ok(rows.into_iter().filter(is_wanted).collect())
    })
}

/// The rows of all segments; those that are damaged are made again.
fn count_anew(shared: &Shared, connection: &Connection) -> Result<Vec<SegmentRow>> {
    let mut rows = Vec::new();
    for (file, row) in index::segments(connection)? {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => {
                tracing::error!(?error, file, "a segment's count is damaged; it is counted anew");
                let Some(segment) = SegmentFile::open(&shared.segment_path(file))? else { continue };
                let alive = index::alive_in(connection, file)?;
                // How much was ever written cannot be told: all that is there, so it is rewritten sooner rather than later.
                let row = SegmentRow { file, order: segment.head.order, alive, written: segment.len };
                index::write_segment(connection, row)?;
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// Waits until no layer can name the old place of a body that was moved. False: the store is closed, or it did not come
/// about this time.
async fn settle(engine: &Embedded) -> Result<bool> {
    let shared = engine.shared.clone();
    // Most of what is behind is written before the committer must wait for the rest.
    if blocking(move || shared.with_writer(|writer| Ok(writer.moves.is_empty()))).await? {
        return Ok(true);
    }
    // Between two groups, when all of them are in the index: the groups after it read new places only.
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let message = Message::Control(Box::new(move || {
        let _ = sender.send(());
    }));
    if engine.send(message).is_err() || receiver.await.is_err() {
        return Ok(false);
    }
    let shared = engine.shared.clone();
    blocking(move || {
        shared.with_writer(|writer| {
            writer.moves.forget();
            Ok(true)
        })
    })
    .await
}

/// Runs on a thread of its own that, when there is no haste, takes nothing from those in front.
async fn aside<T: Send + 'static>(in_haste: bool, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let work = move || {
        if !in_haste {
            yield_to_others();
        }
        let _ = sender.send(work());
    };
    std::thread::Builder::new().name("store-care".into()).spawn(work).map_err(|error| io_error(&error))?;
    receiver.await.map_err(|_| StoreError::Io("the store's care broke off".into()))?
}

/// A rewritten file, not yet in use: its row and where its bodies lie now.
struct Rewritten {
    row: SegmentRow,
    temporary: PathBuf,
    places: Vec<(u64, u64)>,
}

async fn rewrite_one(engine: &Embedded, old: SegmentRow, haste: &Arc<Haste>) -> Result<()> {
    let breath = Breath::new(engine.shared.clone(), haste.clone());
    let Some(new) = aside(haste.is(), move || write_anew(breath, old)).await? else {
        return Ok(());
    };
    let shared = engine.shared.clone();
    if !blocking(move || swap(&shared, old, &new)).await? || !settle(engine).await? {
        return Ok(());
    }
    let shared = engine.shared.clone();
    blocking(move || {
        for _ in 0..FOLD_TRIES {
            if shared.write_behind(|connection| index::fold(connection, "PASSIVE"))? {
                std::fs::remove_file(shared.segment_path(old.file)).map_err(|error| io_error(&error))?;
                shared.forget_file(old.file);
                return Ok(());
            }
            std::thread::sleep(FOLD_AGAIN);
        }
        // One who reads the index keeps it from the disk: the next `maintain` removes the file.
        Ok(())
    })
    .await
}

/// Puts the new file into use. False (and it is gone): the store is being closed, or the old one is not in use any more.
fn swap(shared: &Shared, old: SegmentRow, new: &Rewritten) -> Result<bool> {
    let path = shared.segment_path(new.row.file);
    let swapped = shared.with_writer(|writer| {
        // Whoever opens the folder after us must not find it changed under him.
        if shared.overlay.is_stopping() || index::segment(&writer.connection, old.file)?.is_none() {
            return Ok(false);
        }
        std::fs::rename(&new.temporary, &path).map_err(|error| io_error(&error))?;
        segment::sync_folder(&shared.segments).map_err(|error| io_error(&error))?;
        point_at(writer, old, new).map(|()| true)
    });
    if swapped != Ok(true) {
        // A file that has its name already is left to the next sweep, which asks the index.
        let _ = std::fs::remove_file(&new.temporary);
    }
    shared.forget_bodies(new.places.iter().map(|(id, _)| *id));
    swapped
}

/// Points the index at the new file, in one transaction. Acts go on meanwhile: they only wait when very much is behind.
fn point_at(writer: &mut Writer, old: SegmentRow, new: &Rewritten) -> Result<()> {
    let connection = &writer.connection;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(index::sql_error)?;
    let moved = (|| {
        let (mut alive, mut rows) = (0, index::Rows::of(connection));
        for (id, at) in &new.places {
            if let Some(row) = index::body(connection, *id)?.filter(|row| row.file == old.file) {
                alive += row.len;
                rows.write_body(*id, Some(&BodyRow { file: new.row.file, at: *at, ..row }))?;
            }
        }
        index::write_segment(connection, SegmentRow { alive, ..new.row })?;
        index::remove_segment(connection, old.file)?;
        connection.execute_batch("COMMIT").map_err(index::sql_error)
    })();
    if moved.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    moved?;
    writer.moves.add(old.file, new.row.file, new.places.iter().copied().collect());
    Ok(())
}

/// The rests between pieces of long work.
struct Breath {
    shared: Arc<Shared>,
    rest: Rest,
    haste: Arc<Haste>,
}

impl Breath {
    fn new(shared: Arc<Shared>, haste: Arc<Haste>) -> Breath {
        let rest = Rest::new(shared.others.so_far(), Instant::now());
        Breath { shared, rest, haste }
    }

    /// After each piece. An error: the store is being closed.
    fn draw(&mut self) -> Result<()> {
        self.rest_unless(|_| false)
    }

    /// The same while the index's log grows by resting.
    fn draw_beside_log(&mut self) -> Result<()> {
        self.rest_unless(|shared| std::fs::metadata(&shared.wal).is_ok_and(|log| log.len() > WAL_BYTES_PROVEN))
    }

    fn rest_unless(&mut self, pressed: impl Fn(&Shared) -> bool) -> Result<()> {
        let due = self.rest.due(self.shared.others.so_far(), Instant::now());
        if !due.is_zero() && !self.haste.is() && !pressed(&self.shared) {
            rest::sleep(due, || self.shared.overlay.is_stopping() || self.haste.is());
        }
        if self.shared.overlay.is_stopping() { Err(StoreError::Io("the store is being closed".into())) } else { Ok(()) }
    }
}

/// A segment being written anew.
struct Copying {
    breath: Breath,
    target: File,
    /// Written, and up to where it is synced.
    to: u64,
    synced: u64,
}

impl Copying {
    /// After each record. Not before much was written it is synced: others' syncs would wait for it.
    fn step(&mut self) -> Result<()> {
        if self.to - self.synced >= REWRITE_SYNC_BYTES {
            self.target.sync_data().map_err(|error| io_error(&error))?;
            self.synced = self.to;
        }
        self.breath.draw()
    }
}

/// Writes what of a segment still matters to a file of its own. `None`: there is damage in it.
fn write_anew(breath: Breath, old: SegmentRow) -> Result<Option<Rewritten>> {
    let shared = &breath.shared.clone();
    let Some(source) = SegmentFile::open(&shared.segment_path(old.file))? else {
        return Ok(None);
    };
    let number = shared.next_file.fetch_add(1, Ordering::Relaxed);
    let row = SegmentRow { file: number, order: old.order, alive: 0, written: 0 };
    let temporary = shared.segment_path(number).with_extension(HALF_WRITTEN);
    let mut written = Rewritten { row, temporary, places: Vec::new() };
    let done = copy_records(breath, &source, &mut written);
    if done != Ok(true) {
        let _ = std::fs::remove_file(&written.temporary);
    }
    if done == Ok(false) {
        shared.stuck.lock().unwrap_or_else(PoisonError::into_inner).insert(old.file);
    }
    Ok(done?.then_some(written))
}

/// False: damage is not ours to throw away.
fn copy_records(breath: Breath, source: &SegmentFile, written: &mut Rewritten) -> Result<bool> {
    let shared = &breath.shared.clone();
    // What lies behind the place where the stream left this file failed once and must not come back.
    let (files, _) = segment::list(&shared.segments)?;
    let place = files.iter().position(|(_, head)| head.order == source.head.order).unwrap_or(files.len());
    let limit = replay::limit_of(&files, place, source);
    let head = FileHead { number: written.row.file, rewritten: true, ..source.head };
    let path = &written.temporary;
    let target =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(|error| io_error(&error))?;
    target.write_all_at(&head.encode(), 0).map_err(|error| io_error(&error))?;
    let mut copying = Copying { breath, target, to: FILE_HEAD, synced: 0 };
    let reader = shared.own_reader()?;
    let mut from = FILE_HEAD;
    while from < limit {
        match source.next(from, false)? {
            Next::Record(record) | Next::BadBodies(record, _) => {
                from = record.end();
                copying.to = copy_record(&reader, source, record, (&copying.target, copying.to), written)?;
                copying.step()?;
            }
            Next::End => break,
            Next::Torn(_) | Next::Nonsense => return Ok(false),
        }
    }
    copying.target.sync_all().map_err(|error| io_error(&error))?;
    Ok(true)
}

/// Copies what of a record still matters; tells where the next one goes.
fn copy_record(
    connection: &Connection,
    source: &SegmentFile,
    record: Record,
    (target, to): (&File, u64),
    written: &mut Rewritten,
) -> Result<u64> {
    let mut at = record.bodies_at();
    let group = record.head.group;
    let mut manifest = record.manifest;
    let mut copies = Vec::new();
    // The index has long taken in all of this segment; what it does not have yet is in later ones.
    let view = View::bare(connection);
    for body in manifest.bodies.iter_mut().filter(|body| !body.dropped) {
        let lives = view.body(body.id)?.is_some_and(|row| row.file == source.head.number && row.at == at);
        if lives {
            copies.push((body.id, at, body.len));
        }
        at += body.len;
        body.dropped = !lives;
        if !lives {
            body.sums.clear();
        }
    }
    let mut kept = Vec::new();
    for (key, value) in std::mem::take(&mut manifest.writes) {
        let now = view.get(&key)?;
        // A put that is not what the index holds was replaced or deleted by a later record: where the index is good.
        if value.is_none() || now == value {
            kept.push((key, value));
        } else if let Some(now) = &now {
            is_sound(&key, now)?;
        }
    }
    manifest.writes = kept;
    let front = record_front(&manifest, group, source.head.salt)?;
    target.write_all_at(&front, to).map_err(|error| io_error(&error))?;
    let mut to = to + front.len() as u64;
    for (id, from, length) in copies {
        segment::copy_range(&source.file, from, target, to, length).map_err(|error| io_error(&error))?;
        written.places.push((id, to));
        written.row.written += length;
        to += length;
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::embedded::Tuning;
    use crate::engine::{Batch, Engine, NewBody, Outcome, commit};
    use crate::types::{BodyId, Spooled};

    const BODIES: u64 = 12;

    fn breath(engine: &Embedded) -> Breath {
        Breath::new(engine.shared.clone(), Arc::default())
    }

    fn octets(id: u64) -> Vec<u8> {
        vec![id as u8; 500]
    }

    /// Some bodies in one closed segment, each with one holder; the odd ones are gone again.
    async fn filled(folder: &std::path::Path) -> (Embedded, SegmentRow) {
        let (engine, _) = Embedded::open(folder, Tuning { segment_bytes: 10_000, ..Tuning::default() }).unwrap();
        let body = |id: u64| NewBody { id: BodyId(id), refs: 1, content: Spooled::from_bytes(octets(id).into()), note: None };
        for id in 1..=BODIES + 20 {
            let batch = Batch { bodies: vec![body(id)], ..Batch::default() };
            assert_eq!(commit(&engine, batch).await, Outcome::Done);
        }
        let release = (1..=BODIES).filter(|id| id % 2 == 1).map(|id| (BodyId(id), 1)).collect();
        assert_eq!(commit(&engine, Batch { release, ..Batch::default() }).await, Outcome::Done);
        let first = engine.shared.write_behind(index::segments).unwrap().remove(0).1.unwrap();
        (engine, first)
    }

    #[tokio::test]
    async fn what_was_staged_while_a_segment_moved_is_put_right() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, old) = filled(folder.path()).await;
        let new = write_anew(breath(&engine), old).unwrap().unwrap();
        let number = new.row.file;
        std::fs::rename(&new.temporary, engine.shared.segment_path(number)).unwrap();
        // Acts on bodies of the segment go through while the index is pointed at its new file.
        engine
            .shared
            .with_writer(|writer| {
                let acts = Batch { retain: vec![(BodyId(2), 1)], release: vec![(BodyId(4), 1)], ..Batch::default() };
                assert_eq!(futures_block(commit(&engine, acts)), Outcome::Done);
                assert!(engine.shared.overlay.layers().0.iter().any(|layer| layer.bodies.contains_key(&2)));
                point_at(writer, old, &new)
            })
            .unwrap();
        assert!(settle(&engine).await.unwrap());
        assert!(engine.shared.with_writer(|writer| Ok(writer.moves.is_empty())).unwrap());
        let held = engine.shared.write_behind(|connection| index::body(connection, 2)).unwrap().unwrap();
        assert_eq!((held.file, held.refs), (number, 2));
        assert_eq!(engine.shared.write_behind(|connection| index::segment(connection, old.file)).unwrap(), None);
        std::fs::remove_file(engine.shared.segment_path(old.file)).unwrap();
        engine.shared.forget_file(old.file);
        assert_eq!(engine.check().await.unwrap(), []);
        assert_eq!(engine.body(BodyId(2), 0, 500).await.unwrap(), octets(2));
        assert_eq!(engine.body(BodyId(4), 0, 500).await, Err(StoreError::NotFound));
    }

    /// What a test awaits where nothing may be awaited.
    fn futures_block<T>(future: impl Future<Output = T> + Send) -> T
    where
        T: Send,
    {
        std::thread::scope(|scope| {
            scope.spawn(|| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)).join().unwrap()
        })
    }

    #[tokio::test]
    async fn what_an_interrupted_rewriting_left_is_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, old) = filled(folder.path()).await;
        // Broken off while it was written, and before it was put into use.
        let half = write_anew(breath(&engine), old).unwrap().unwrap();
        let unused = write_anew(breath(&engine), old).unwrap().unwrap();
        let unused_path = engine.shared.segment_path(unused.row.file);
        std::fs::rename(&unused.temporary, &unused_path).unwrap();
        mostly_dead(&engine.shared).unwrap();
        assert!(!half.temporary.exists() && !unused_path.exists());
        assert!(engine.shared.segment_path(old.file).exists());
        // In use, and the old one not gone yet.
        let new = write_anew(breath(&engine), old).unwrap().unwrap();
        let new_path = engine.shared.segment_path(new.row.file);
        assert_eq!(swap(&engine.shared, old, &new), Ok(true));
        mostly_dead(&engine.shared).unwrap();
        assert!(new_path.exists() && !engine.shared.segment_path(old.file).exists());
        // One that comes too late: nothing of it is left, and the index stays.
        let late = Rewritten {
            row: SegmentRow { file: 77, ..new.row },
            temporary: new_path.with_extension(HALF_WRITTEN),
            places: new.places,
        };
        std::fs::write(&late.temporary, "").unwrap();
        assert_eq!(swap(&engine.shared, old, &late), Ok(false));
        assert!(!late.temporary.exists() && !engine.shared.segment_path(77).exists());
        engine.close().await.unwrap();
        assert_eq!(swap(&engine.shared, new.row, &late), Ok(false), "not after the end");
        assert_eq!(engine.check().await.unwrap(), []);
        for id in (2..=BODIES).step_by(2) {
            assert_eq!(engine.body(BodyId(id), 0, 500).await.unwrap(), octets(id));
        }
    }
}
