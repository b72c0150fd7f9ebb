//! The segments read again into the index: the part behind its position at every start, all of it at `rebuild`.
//!
//! The end of the stream may be torn, in any order: those records were never synced, so nothing in them was
//! acknowledged, and they are cut off. A bad record with good ones of a later group behind it, or in front of where an
//! older index ends, was synced once: that is damage, it is passed over and reported. Invariant: the index after replay
//! is what the records say, each taken once.

use super::index::{self, Position};
use super::overlay::View;
use super::segment::{self, FILE_HEAD, FileHead, HALF_WRITTEN, Next, Record, SegmentFile};
use super::stage::{BodyActs, Moves, Stage};
use super::{Key, io_error};
use crate::types::{Defect, StoreError};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, StoreError>;

const RECORDS_AT_ONCE: usize = 2000;

fn defect(head: &FileHead, at: u64, what: &str) -> Defect {
    Defect { place: format!("segment {} offset {at}", head.number), what: what.into() }
}

struct Replay<'a> {
    connection: &'a Connection,
    position: Position,
    /// All before this was synced once: an index knew it.
    proven: Position,
    stage: Stage,
    staged: usize,
    defects: Vec<Defect>,
}

/// What to do about something that is not a good record.
enum Verdict {
    /// The stream ends here.
    Cut,
    /// It was synced once: go on at this place (`None`: in the next file).
    Skip(Option<u64>),
}

impl Replay<'_> {
    fn take(&mut self, head: &FileHead, record: Record) -> Result<()> {
        let end = record.end();
        let mut at = record.bodies_at();
        let mut new = Vec::new();
        for body in record.manifest.bodies {
            let length = if body.dropped { 0 } else { body.len };
            if !body.dropped {
                new.push((body, at));
            }
            at += length;
        }
        let acts = BodyActs {
            new: &new,
            retain: &record.manifest.retain,
            release: &record.manifest.release,
            place: (head.number, head.order),
            lenient: true,
        };
        self.stage.take_in(&View::bare(self.connection), record.manifest.writes, &acts)?;
        self.position = Position { order: head.order, end, group: record.head.group.max(self.position.group), file: head.number };
        self.staged += 1;
        if self.staged >= RECORDS_AT_ONCE { self.flush() } else { Ok(()) }
    }

    /// Tells of places in the stream whose file is not there or has no good head.
    fn missing(&mut self, folder: &Path, files: &[(PathBuf, FileHead)]) -> Result<()> {
        let mut expected = self.position.order.max(1);
        let last = files.last().map_or(0, |(_, head)| head.order);
        let orders = files.iter().map(|(_, head)| head.order).chain((last < self.position.order).then_some(expected + 1));
        for order in orders {
            if order > expected {
                let what = "its file is missing or has a damaged head".into();
                self.defects.push(Defect { place: format!("segments {expected} to {} of the stream", order - 1), what });
            }
            expected = order + 1;
        }
        if self.position.order > 0 {
            return Ok(());
        }
        // Made anew: what cannot be read at all is told, also when it was the newest.
        for path in segment::list(folder)?.1 {
            let length = path.metadata().map_err(|error| io_error(&error))?.len();
            if length > FILE_HEAD && SegmentFile::open(&path)?.is_none() {
                self.defects.push(Defect { place: path.display().to_string(), what: "the head of the file is damaged".into() });
            }
        }
        Ok(())
    }

    /// Where the stream ends: damage at the very end of what was synced is not cut off, new records go behind it.
    fn reached(&self, files: &[(PathBuf, FileHead)]) -> Position {
        let (now, proven) = (self.position, self.proven);
        let is_there = files.last().is_some_and(|(_, head)| head.number == proven.file);
        let behind = is_there && (now.order, now.end) < (proven.order, proven.end);
        if behind { Position { group: now.group.max(proven.group), ..proven } } else { now }
    }

    fn flush(&mut self) -> Result<()> {
        let stage = std::mem::take(&mut self.stage);
        self.staged = 0;
        Stage::apply(std::iter::once(&stage), self.connection, Some(self.position), &Moves::default(), &|| ())
    }

    /// One file from `at` to `limit`. False: the stream ends in it.
    fn file(&mut self, segment: &SegmentFile, mut at: u64, limit: u64, later: &[(PathBuf, FileHead)]) -> Result<bool> {
        while at < limit {
            let (group, known) = match segment.next(at, true)? {
                Next::End => break,
                Next::Record(record) if record.end() <= limit => {
                    at = record.end();
                    self.take(&segment.head, record)?;
                    continue;
                }
                Next::Record(_) => break,
                Next::BadBodies(record, damaged) => {
                    let known = Some(record.end());
                    if matches!(self.verdict(segment, at, Some(record.head.group), known, later)?, Verdict::Cut) {
                        return Ok(false);
                    }
                    self.defects.push(defect(&segment.head, at, &format!("bodies {damaged:?}: checksum")));
                    at = record.end();
                    self.take(&segment.head, record)?;
                    continue;
                }
                Next::Torn(head) => (Some(head.group), Some(at.saturating_add(head.total()))),
                Next::Nonsense => (None, None),
            };
            match self.verdict(segment, at, group, known, later)? {
                Verdict::Cut => return Ok(false),
                Verdict::Skip(next) => {
                    self.defects.push(defect(&segment.head, at, "record does not match its checksum"));
                    index::tell(self.connection, segment.head.number, at)?;
                    let Some(next) = next else { return Ok(true) };
                    at = next;
                }
            }
        }
        Ok(true)
    }

    /// A bad record at `at`: torn, or damaged after it was synced? `group` when its head still tells its own.
    fn verdict(
        &self,
        segment: &SegmentFile,
        at: u64,
        mut group: Option<u64>,
        known: Option<u64>,
        later: &[(PathBuf, FileHead)],
    ) -> Result<Verdict> {
        let mut place = match known {
            Some(next) if next <= segment.len => Some(next),
            _ => segment.find(at + 1)?,
        };
        let resume = place;
        // A file is begun only when all of the one before is synced: nothing in front of it can be torn.
        if !later.is_empty() || (segment.head.order, at) < (self.proven.order, self.proven.end) {
            return Ok(Verdict::Skip(resume));
        }
        while let Some(candidate) = place {
            let (head, next) = match segment.next(candidate, false)? {
                Next::Record(record) | Next::BadBodies(record, _) => (record.head, Some(record.end())),
                Next::Torn(head) => (head, segment.find(candidate + 1)?),
                Next::End => break,
                Next::Nonsense => {
                    place = segment.find(candidate + 1)?;
                    continue;
                }
            };
            match (group, head.behind) {
                // What begins behind the bad octets came after them; what began before them holds them.
                (None, Some(behind)) if candidate.saturating_sub(behind) <= at => group = Some(head.group),
                (None, Some(_)) => return Ok(Verdict::Skip(resume)),
                (None, None) if head.group > self.position.group => return Ok(Verdict::Skip(resume)),
                (Some(own), _) if head.group > own => return Ok(Verdict::Skip(resume)),
                _ => {}
            }
            place = next;
        }
        Ok(Verdict::Cut)
    }
}

/// Where the stream leaves the file at `number` in `files`.
pub(crate) fn limit_of(files: &[(PathBuf, FileHead)], number: usize, segment: &SegmentFile) -> u64 {
    let told = files.get(number + 1).and_then(|(_, next)| next.previous);
    match told {
        Some((order, end)) if order == segment.head.order && !segment.head.rewritten => end.min(segment.len),
        _ => segment.len,
    }
}

/// A file of the stream and where in it to stop, `position` being where the index ends. `None`: there is nothing to read.
fn up_to(position: Position, files: &[(PathBuf, FileHead)], number: usize) -> Result<Option<(SegmentFile, u64)>> {
    let Some((path, head)) = files.get(number).filter(|(path, head)| head.order <= position.order && path.exists()) else {
        return Ok(None);
    };
    let Some(segment) = SegmentFile::open(path)? else { return Ok(None) };
    let limit = limit_of(files, number, &segment);
    let limit = if head.order == position.order { limit.min(position.end) } else { limit };
    Ok(Some((segment, limit)))
}

/// What the stream up to `position` last put under a key. `None`: nothing, or it was deleted.
pub(crate) fn newest_put(folder: &Path, position: Position, key: &Key) -> Result<Option<Vec<u8>>> {
    let (files, _) = segment::list(folder)?;
    for number in (0..files.len()).rev() {
        let Some((segment, limit)) = up_to(position, &files, number)? else { continue };
        let (mut at, mut newest) = (FILE_HEAD, None);
        while at < limit {
            at = match segment.next(at, false)? {
                Next::Record(record) | Next::BadBodies(record, _) => {
                    let end = record.end();
                    let last = record.manifest.writes.into_iter().rev().find(|(written, _)| written == key);
                    newest = last.map(|(_, value)| value).or(newest);
                    end
                }
                _ => segment.find(at + 1)?.unwrap_or(limit),
            };
        }
        if let Some(value) = newest {
            return Ok(value);
        }
    }
    Ok(None)
}

/// Reads the stream up to `position`, where the index ends, and tells of every record that is not good. Bodies are
/// proven elsewhere; `is_told`: replay has passed over it and told so.
pub(crate) fn check(
    folder: &Path,
    position: Position,
    is_told: impl Fn(u32, u64) -> Result<bool>,
    defects: &mut Vec<Defect>,
) -> Result<()> {
    let (files, passed) = segment::list(folder)?;
    for path in passed {
        defects.push(Defect { place: path.display().to_string(), what: "is no segment".into() });
    }
    for (number, (_, head)) in files.iter().enumerate() {
        // A file that was rewritten and removed while we looked is no defect.
        let Some((segment, limit)) = up_to(position, &files, number)? else { continue };
        let mut at = FILE_HEAD;
        while at < limit {
            at = match segment.next(at, false)? {
                Next::Record(record) | Next::BadBodies(record, _) => record.end(),
                _ => {
                    if !is_told(head.number, at)? {
                        defects.push(defect(head, at, "record does not match its checksum"));
                    }
                    segment.find(at + 1)?.unwrap_or(limit)
                }
            };
        }
    }
    Ok(())
}

/// Brings the index up to the end of the segments, cuts what is torn, and tells where to go on. `proven`: how far an
/// index that is no more knew the segments.
pub(crate) fn catch_up(connection: &Connection, folder: &Path, proven: Position) -> Result<(Position, Vec<Defect>)> {
    let position = index::position(connection)?.unwrap_or_default();
    sweep(connection, folder, &segment::path_of(folder, position.file))?;
    let (files, _) = segment::list(folder)?;
    let start = files.iter().position(|(_, head)| head.order >= position.order).unwrap_or(files.len());
    let mut replay = Replay { connection, position, proven, stage: Stage::default(), staged: 0, defects: Vec::new() };
    replay.missing(folder, files.get(start..).unwrap_or_default())?;
    for (path, _) in files.iter().skip(start) {
        // A killed process leaves octets that only the page cache has: the index must not come before them.
        File::open(path).and_then(|file| file.sync_all()).map_err(|error| io_error(&error))?;
    }
    for (number, (path, head)) in files.iter().enumerate().skip(start) {
        let Some(segment) = SegmentFile::open(path)? else { continue };
        let at = if head.order == position.order { position.end.max(FILE_HEAD) } else { FILE_HEAD };
        let limit = limit_of(&files, number, &segment);
        let later = files.get(number + 1..).unwrap_or_default();
        if !replay.file(&segment, at, limit, later)? {
            break;
        }
    }
    replay.flush()?;
    let position = close_off(&files, replay.reached(&files))?;
    index::write_position(connection, position)?;
    Ok((position, replay.defects))
}

/// Cuts the torn end; the stream goes on in the last file.
fn close_off(files: &[(PathBuf, FileHead)], position: Position) -> Result<Position> {
    // Files that end before the index does are whole: the newest is missing, or its head is damaged.
    let Some((path, head)) = files.last().filter(|(_, head)| head.order >= position.order) else {
        return Ok(position);
    };
    let end = if head.order == position.order { position.end.max(FILE_HEAD) } else { FILE_HEAD };
    let file = File::options().write(true).open(path).map_err(|error| io_error(&error))?;
    if file.metadata().map_err(|error| io_error(&error))?.len() > end {
        file.set_len(end).map_err(|error| io_error(&error))?;
    }
    // What is left may have been read from the page cache only: it counts from now on, so it must be on the disk.
    file.sync_all().map_err(|error| io_error(&error))?;
    Ok(Position { order: head.order, end, file: head.number, ..position })
}

/// Removes what a rewriting or a making of a segment left behind when it was cut short.
fn sweep(connection: &Connection, folder: &Path, reached: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|error| io_error(&error))? {
        let path = entry.map_err(|error| io_error(&error))?.path();
        if path.extension().is_none_or(|extension| extension != "segment") || path == reached {
            continue;
        }
        let length = path.metadata().map_err(|error| io_error(&error))?.len();
        if length <= FILE_HEAD && SegmentFile::open(&path)?.is_none() {
            // A power cut in the making of it; nothing was ever written behind a head that was not synced.
            std::fs::remove_file(&path).map_err(|error| io_error(&error))?;
        }
    }
    sweep_rewritten(connection, folder).map(|_| ())
}

/// Removes half-written files, and of several for one place of the stream those that the index does not name, when it
/// says so on the disk, too. Gives the numbers of these.
pub(crate) fn sweep_rewritten(connection: &Connection, folder: &Path) -> Result<Vec<u32>> {
    let mut orders: BTreeMap<u32, Vec<(PathBuf, FileHead)>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|error| io_error(&error))? {
        let path = entry.map_err(|error| io_error(&error))?.path();
        if path.extension().is_some_and(|extension| extension == HALF_WRITTEN) {
            std::fs::remove_file(&path).map_err(|error| io_error(&error))?;
        } else if path.extension().is_some_and(|extension| extension == "segment")
            && let Some(segment) = SegmentFile::open(&path)?
        {
            orders.entry(segment.head.order).or_default().push((path, segment.head));
        }
    }
    orders.retain(|_, files| files.len() > 1);
    let mut gone = Vec::new();
    if orders.is_empty() || !index::fold(connection, "PASSIVE")? {
        return Ok(gone);
    }
    let known = index::segments(connection)?;
    let keeps = |head: &FileHead| known.iter().any(|(file, _)| *file == head.number);
    for files in orders.into_values().filter(|files| files.iter().any(|(_, head)| keeps(head))) {
        for (path, head) in files.iter().filter(|(_, head)| !keeps(head)) {
            std::fs::remove_file(path).map_err(|error| io_error(&error))?;
            gone.push(head.number);
        }
    }
    Ok(gone)
}

/// A number no segment file has had; one with a damaged head still has its name.
pub(crate) fn next_file(folder: &Path) -> Result<u32> {
    let (files, passed) = segment::list(folder)?;
    let named = passed.iter().filter_map(|path| path.file_stem()?.to_str()?.parse::<u32>().ok());
    Ok(files.iter().map(|(_, head)| head.number).chain(named).max().unwrap_or(0) + 1)
}
