//! What a group of batches will change in the index, gathered before one transaction writes it.
//!
//! Invariant: a batch is staged whole or not at all; later batches of the group see the earlier ones.
//! Must not know: files, syncs.

use super::index::{self, BodyRow, Position, SegmentRow};
use super::overlay::View;
use super::segment::BodyEntry;
use super::{Key, Version};
use crate::limits::INDEX_ROWS_A_PIECE;
use crate::types::StoreError;
use rusqlite::Connection;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

type Result<T> = std::result::Result<T, StoreError>;

/// Pending changes over the index.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(crate) writes: BTreeMap<Key, Option<Vec<u8>>>,
    pub(crate) bodies: BTreeMap<u64, Option<BodyRow>>,
    notes: BTreeMap<u64, Vec<u8>>,
    /// By segment file: (order, change of living octets, octets written).
    segments: HashMap<u32, (u32, i64, u64)>,
}

/// Bodies that lie elsewhere since their segment was written anew, by the old segment's number. A layer that was staged
/// before names the old place; it is put right when it is written to the index.
#[derive(Debug, Default)]
pub(crate) struct Moves(HashMap<u32, (u32, HashMap<u64, u64>)>);

impl Moves {
    /// What lay in `old` lies in `new`: each body (by id) at its offset.
    pub(crate) fn add(&mut self, old: u32, new: u32, places: HashMap<u64, u64>) {
        self.0.insert(old, (new, places));
    }
    /// No layer can name old places any more.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn file(&self, file: u32) -> u32 {
        self.0.get(&file).map_or(file, |(new, _)| *new)
    }
    fn moved(&self, id: u64, row: &BodyRow) -> Option<BodyRow> {
        let (file, places) = self.0.get(&row.file)?;
        // All that lived was moved, and what is dead does not come to life.
        let at = places.get(&id)?;
        Some(BodyRow { file: *file, at: *at, ..row.clone() })
    }
}

/// A body's row around a batch.
struct Recounted {
    before: Option<BodyRow>,
    after: Option<BodyRow>,
    /// Octets new in the segment.
    written: u64,
}

/// What one batch does to bodies.
#[derive(Debug, Default)]
pub(crate) struct BodyActs<'a> {
    /// New ones and where their octets begin.
    pub(crate) new: &'a [(BodyEntry, u64)],
    pub(crate) retain: &'a [(u64, u32)],
    pub(crate) release: &'a [(u64, u32)],
    /// Segment file and order of the new ones.
    pub(crate) place: (u32, u32),
    /// Replaying: what is not there any more is passed over.
    pub(crate) lenient: bool,
}

impl Stage {
    /// Bodies that lost their last holder.
    pub(crate) fn gone(&self) -> impl Iterator<Item = u64> + '_ {
        self.bodies.iter().filter(|(_, row)| row.is_none()).map(|(id, _)| *id)
    }

    pub(crate) fn expects_hold(&self, under: &View<'_>, expects: &[(Key, Version)]) -> Result<bool> {
        for (key, version) in expects {
            let now = match self.writes.get(key) {
                Some(value) => Version::of(value.as_deref()),
                None => Version::of(under.get(key)?.as_deref()),
            };
            if now != *version {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn body(&self, under: &View<'_>, id: u64) -> Result<Option<BodyRow>> {
        match self.bodies.get(&id) {
            Some(row) => Ok(row.clone()),
            None => under.body(id),
        }
    }

    /// Rows of the bodies a batch makes, holds or lets go, before and after; `None` when one is not there.
    fn recounted(&self, under: &View<'_>, acts: &BodyActs<'_>) -> Result<Option<BTreeMap<u64, Recounted>>> {
        let mut rows: BTreeMap<u64, Recounted> = BTreeMap::new();
        for (entry, at) in acts.new {
            let row = BodyRow { file: acts.place.0, at: *at, len: entry.len, refs: entry.refs, sums: entry.sums.clone() };
            rows.insert(entry.id, Recounted { before: None, after: Some(row), written: entry.len });
        }
        let changes = acts.retain.iter().map(|(id, count)| (*id, i64::from(*count)));
        for (id, change) in changes.chain(acts.release.iter().map(|(id, count)| (*id, -i64::from(*count)))) {
            let recounted = match rows.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let before = self.body(under, id)?;
                    place.insert(Recounted { after: before.clone(), before, written: 0 })
                }
            };
            match &mut recounted.after {
                None if acts.lenient => {}
                None => return Ok(None),
                Some(row) => {
                    row.refs = u32::try_from(i64::from(row.refs) + change).unwrap_or(0);
                    if row.refs == 0 {
                        recounted.after = None;
                    }
                }
            }
        }
        Ok(Some(rows))
    }

    /// Takes a batch in; false (and nothing taken) when a body it holds is not there.
    pub(crate) fn take_in(&mut self, under: &View<'_>, writes: Vec<(Key, Option<Vec<u8>>)>, acts: &BodyActs<'_>) -> Result<bool> {
        let Some(rows) = self.recounted(under, acts)? else {
            return Ok(false);
        };
        for (id, Recounted { before, after, written }) in rows {
            let (file, order) = acts.place;
            match (&before, &after) {
                (None, Some(row)) => self.count(file, order, row.len as i64, written),
                (None, None) => self.count(file, order, 0, written),
                (Some(before), None) => self.count(before.file, 0, -(before.len as i64), 0),
                (Some(_), Some(_)) => {}
            }
            self.bodies.insert(id, after);
        }
        match self.writes.is_empty() {
            // In one go, which is cheaper where there are thousands. Of two for the same key the later stays.
            true => self.writes = writes.into_iter().collect(),
            false => self.writes.extend(writes),
        }
        Ok(true)
    }

    /// A note for a body, if it is (still) there.
    pub(crate) fn take_note(&mut self, under: &View<'_>, id: u64, note: Vec<u8>) -> Result<()> {
        if self.body(under, id)?.is_some() {
            self.notes.insert(id, note);
        }
        Ok(())
    }

    fn count(&mut self, file: u32, order: u32, alive: i64, written: u64) {
        let row = self.segments.entry(file).or_insert((order, 0, 0));
        row.1 += alive;
        row.2 += written;
        row.0 = row.0.max(order);
    }

    /// Entries in it, about.
    pub(crate) fn weight(&self) -> usize {
        self.writes.len() + self.bodies.len() + self.notes.len()
    }

    /// What it says of a body's note; `None`: nothing.
    pub(crate) fn note(&self, id: u64) -> Option<Option<&Vec<u8>>> {
        match self.bodies.get(&id) {
            Some(None) => Some(None),
            _ => self.notes.get(&id).map(Some),
        }
    }

    /// Takes in what came after it.
    pub(crate) fn absorb(&mut self, newer: Stage) {
        self.writes.extend(newer.writes);
        self.bodies.extend(newer.bodies);
        self.notes.extend(newer.notes);
        for (file, (order, alive, written)) in newer.segments {
            self.count(file, order, alive, written);
        }
    }

    /// Writes stages, oldest first, in one transaction; `pause` is called now and then meanwhile.
    pub(crate) fn apply<'a>(
        stages: impl Iterator<Item = &'a Stage>,
        connection: &Connection,
        position: Option<Position>,
        moves: &Moves,
        pause: &dyn Fn(),
    ) -> Result<()> {
        index::run(connection, "BEGIN IMMEDIATE")?;
        let written = stages.into_iter().try_for_each(|stage| stage.write_all(connection, moves, pause));
        let written = written.and_then(|()| match position {
            Some(position) => index::write_position(connection, position),
            None => Ok(()),
        });
        let ended = written.and_then(|()| index::run(connection, "COMMIT"));
        if ended.is_err() && !connection.is_autocommit() {
            // The transaction may have been rolled back by SQLite itself.
            let _ = connection.execute_batch("ROLLBACK");
        }
        ended
    }

    fn write_all(&self, connection: &Connection, moves: &Moves, pause: &dyn Fn()) -> Result<()> {
        let mut rows = index::Rows::of(connection);
        for (number, (key, value)) in self.writes.iter().enumerate() {
            if number % INDEX_ROWS_A_PIECE == 0 {
                pause();
            }
            rows.write(key, value.as_deref())?;
        }
        for (number, (id, row)) in self.bodies.iter().enumerate() {
            if number % INDEX_ROWS_A_PIECE == 0 {
                pause();
            }
            let moved = row.as_ref().and_then(|row| moves.moved(*id, row));
            rows.write_body(*id, moved.as_ref().or(row.as_ref()))?;
        }
        for (id, note) in &self.notes {
            if !matches!(self.bodies.get(id), Some(None)) {
                rows.write_note(*id, note)?;
            }
        }
        for (file, (order, alive, written)) in &self.segments {
            let file = &moves.file(*file);
            let row = match index::segment(connection, *file) {
                Ok(row) => {
                    let old = row.unwrap_or(SegmentRow { file: *file, order: *order, alive: 0, written: 0 });
                    SegmentRow { alive: old.alive.saturating_add_signed(*alive), written: old.written + written, ..old }
                }
                // A damaged count stops nobody: `maintain` counts anew. (Index damage of another kind does.)
                Err(StoreError::Damaged(_)) if index::segment_is_there(connection, *file)? => continue,
                Err(error) => return Err(error),
            };
            index::write_segment(connection, row)?;
        }
        Ok(())
    }
}
