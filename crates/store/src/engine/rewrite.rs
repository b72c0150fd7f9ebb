//! Care of the segments: proving every body, and giving back the room of dead ones.
//!
//! A closed segment that is mostly dead is written anew without the dead bodies and without puts that later records
//! have replaced; the new file takes the old one's place in the stream. Invariant: the old file goes only after the
//! index that names the new one is on the disk. Must not know: what keys mean.

use super::committer::Message;
use super::embedded::{Embedded, Shared, blocking};
use super::index::{self, BodyRow, Position, SegmentRow};
use super::overlay::View;
use super::segment::{self, FILE_HEAD, FileHead, Next, Record, SegmentFile, record_front};
use super::{io_error, replay};
use crate::hash::xxh64;
use crate::limits::{BODY_PIECE_BYTES, SEGMENT_ALIVE_PERCENT_MIN};
use crate::types::{Defect, StoreError};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;

type Result<T> = std::result::Result<T, StoreError>;

/// Every body against its sums, every segment against its counts, every record against its head, the index's own pages.
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
pub(crate) async fn maintain(engine: &Embedded) -> Result<()> {
    let shared = engine.shared.clone();
    let Some((position, rows)) = control(engine, move |connection, position| {
        index::fold(connection, "PASSIVE")?;
        Ok((position, count_anew(&shared, connection)?))
    })
    .await?
    else {
        return Ok(());
    };
    let is_mostly_dead = |row: &SegmentRow| row.alive.saturating_mul(100) < row.written.saturating_mul(SEGMENT_ALIVE_PERCENT_MIN);
    // Behind the position nothing is replayed, so only there may records change.
    let wanted: Vec<SegmentRow> = rows.into_iter().filter(|row| is_mostly_dead(row) && row.order < position.order).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    // What the index has lost would be taken for dead: the truth is never thrown away on the word of a damaged view.
    let shared = engine.shared.clone();
    blocking(move || shared.with_reader(index::prove)).await?;
    let mut told = Ok(());
    for row in wanted {
        // What one segment has damaged does not keep the others from giving their room back.
        told = told.and(rewrite_one(engine, row).await);
    }
    told
}

/// The rows of all segments; those that are damaged are made again.
fn count_anew(shared: &Shared, connection: &rusqlite::Connection) -> Result<Vec<SegmentRow>> {
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

/// Runs something on the committer's connection, between groups.
async fn control<T: Send + 'static>(
    engine: &Embedded,
    work: impl FnOnce(&rusqlite::Connection, Position) -> Result<T> + Send + 'static,
) -> Result<Option<T>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let message = Message::Control(Box::new(move |connection, position| {
        let _ = sender.send(work(connection, position));
    }));
    if engine.send(message).is_err() {
        return Ok(None);
    }
    receiver.await.map_or(Ok(None), |found| found.map(Some))
}

/// A rewritten file, not yet in use: its row and where its bodies lie now.
struct Rewritten {
    row: SegmentRow,
    places: Vec<(u64, u64)>,
}

async fn rewrite_one(engine: &Embedded, old: SegmentRow) -> Result<()> {
    let shared = engine.shared.clone();
    let Some(new) = blocking(move || write_anew(&shared, old)).await? else {
        return Ok(());
    };
    let shared = engine.shared.clone();
    let swapped = control(engine, move |connection, _| swap(&shared, connection, old, &new)).await?;
    if swapped == Some(true) {
        let shared = engine.shared.clone();
        blocking(move || {
            shared.forget_file(old.file);
            std::fs::remove_file(shared.segment_path(old.file)).map_err(|error| io_error(&error))
        })
        .await?;
    }
    Ok(())
}

/// Points the index at the new file, durably. True when the old one may go.
fn swap(shared: &Arc<Shared>, connection: &rusqlite::Connection, old: SegmentRow, new: &Rewritten) -> Result<bool> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(index::sql_error)?;
    let moved = (|| {
        let mut alive = 0;
        for (id, at) in &new.places {
            if let Some(row) = index::body(connection, *id)?.filter(|row| row.file == old.file) {
                alive += row.len;
                index::write_body(connection, *id, Some(&BodyRow { file: new.row.file, at: *at, ..row }))?;
            }
        }
        index::write_segment(connection, SegmentRow { alive, ..new.row })?;
        index::remove_segment(connection, old.file)?;
        connection.execute_batch("COMMIT").map_err(index::sql_error)
    })();
    if let Err(error) = moved {
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        return Err(error);
    }
    shared.forget_all_bodies();
    let folded: (i64, i64, i64) = connection
        .query_row("PRAGMA wal_checkpoint(FULL)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .map_err(index::sql_error)?;
    Ok(folded.0 == 0 && folded.1 == folded.2)
}

fn write_anew(shared: &Shared, old: SegmentRow) -> Result<Option<Rewritten>> {
    let Some(source) = SegmentFile::open(&shared.segment_path(old.file))? else {
        return Ok(None);
    };
    // What lies behind the place where the stream left this file failed once and must not come back.
    let (files, _) = segment::list(&shared.segments)?;
    let place = files.iter().position(|(_, head)| head.order == old.order).unwrap_or(files.len());
    let limit = replay::limit_of(&files, place, &source);
    let number = shared.next_file.fetch_add(1, Ordering::Relaxed);
    let head = FileHead { number, rewritten: true, ..source.head };
    let path = shared.segment_path(number);
    let temporary = path.with_extension("new");
    let target =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(|error| io_error(&error))?;
    target.write_all_at(&head.encode(), 0).map_err(|error| io_error(&error))?;
    let mut written = Rewritten { row: SegmentRow { file: number, order: old.order, alive: 0, written: 0 }, places: Vec::new() };
    let (mut from, mut to) = (FILE_HEAD, FILE_HEAD);
    while from < limit {
        match source.next(from, false)? {
            Next::Record(record) | Next::BadBodies(record, _) => {
                from = record.end();
                to = copy_record(shared, &source, record, &target, to, &mut written)?;
            }
            Next::End => break,
            // Damage is not ours to throw away: leave this segment as it is.
            Next::Torn(_) | Next::Nonsense => {
                std::fs::remove_file(&temporary).map_err(|error| io_error(&error))?;
                return Ok(None);
            }
        }
    }
    target.sync_all().map_err(|error| io_error(&error))?;
    std::fs::rename(&temporary, &path).map_err(|error| io_error(&error))?;
    segment::sync_folder(&shared.segments).map_err(|error| io_error(&error))?;
    Ok(Some(written))
}

/// Copies what of a record still matters; tells where the next one goes.
fn copy_record(
    shared: &Shared,
    source: &SegmentFile,
    record: Record,
    target: &File,
    to: u64,
    written: &mut Rewritten,
) -> Result<u64> {
    let mut at = record.bodies_at();
    let group = record.head.group;
    let mut manifest = record.manifest;
    let mut copies = Vec::new();
    // Once: the view of a moment is enough, what changes later is written later.
    let (layers, _) = shared.overlay.layers();
    shared.with_reader(|connection| {
        let view = View { layers: &layers, connection };
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
            // A put that is not what the index holds was replaced or deleted by a later record.
            if value.is_none() || view.get(&key)? == value {
                kept.push((key, value));
            }
        }
        manifest.writes = kept;
        Ok(())
    })?;
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
