//! The SQLite index: ordered keys, ledgers, body places and notes, and how far into the segments it reaches.
//!
//! WAL with synchronous=NORMAL: the index is made from the segments, which are synced before it is committed; after
//! a power cut it is whole as of some commit, and the segments behind its position are replayed (`replay.rs`).
//! Invariant: options are read back. Must not know: what keys mean, beyond which are ledgers.

use super::{Key, KeyBytes, Packed};
use crate::key;
use crate::types::StoreError;
use crate::value::{Writer, decoded, is_sound, open};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, OptionalExtension, Params, Row, params};
use std::path::Path;

/// The index's own format.
pub(crate) const FORMAT: i64 = 1;
const APPLICATION: i64 = 0x5042_4f58;

/// How long one waits for another that holds the index.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) fn sql_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::NoSpace,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged(format!("index: {error}; `packetboat rebuild` makes it anew from the segments"))
        }
        _ => StoreError::Io(format!("index: {error}")),
    }
}

/// Where a body lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyRow {
    pub(crate) file: u32,
    pub(crate) at: u64,
    pub(crate) len: u64,
    pub(crate) refs: u32,
    pub(crate) sums: Vec<u64>,
}

fn ledger_key(kind: u8, id: u64) -> Key {
    let mut bytes = KeyBytes::from_slice(&[kind]);
    bytes.extend_from_slice(&id.to_be_bytes());
    Key::new(bytes)
}
pub(crate) fn body_key(id: u64) -> Key {
    ledger_key(0xf1, id)
}
fn note_key(id: u64) -> Key {
    ledger_key(0xf2, id)
}
fn position_key() -> Key {
    Key::new(vec![0xf0])
}
fn segment_key(file: u32) -> Key {
    let mut bytes = vec![0xf3];
    bytes.extend_from_slice(&file.to_be_bytes());
    Key::new(bytes)
}

impl BodyRow {
    fn encode(&self, id: u64) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(u64::from(self.file)).number(self.at).number(self.len).number(u64::from(self.refs));
        for sum in &self.sums {
            out.fixed64(*sum);
        }
        out.seal(&body_key(id))
    }

    fn decode(id: u64, stored: &[u8]) -> Result<BodyRow> {
        let key = body_key(id);
        let mut reader = open(&key, stored)?;
        decoded(
            &key,
            (|| {
                let (file, at) = (reader.number32()?, reader.number()?);
                let (len, refs) = (reader.number()?, reader.number32()?);
                let mut sums = Vec::new();
                for _ in 0..len.div_ceil(crate::limits::BODY_PIECE_BYTES as u64) {
                    sums.push(reader.fixed64()?);
                }
                reader.end()?;
                Some(BodyRow { file, at, len, refs, sums })
            })(),
        )
    }
}

/// How far the index has taken in the segments, and the last group in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) order: u32,
    pub(crate) end: u64,
    pub(crate) group: u64,
    /// The newest segment file's number.
    pub(crate) file: u32,
}

/// A segment file as the index counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentRow {
    pub(crate) file: u32,
    pub(crate) order: u32,
    /// Octets of bodies that have a holder.
    pub(crate) alive: u64,
    /// Octets of all bodies ever written to it.
    pub(crate) written: u64,
}

fn pragma(connection: &Connection, name: &str) -> Result<String> {
    let text = |row: &Row<'_>| {
        let value: rusqlite::types::Value = row.get(0)?;
        Ok(match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            _ => String::new(),
        })
    };
    Ok(connection.query_row(&format!("PRAGMA {name}"), [], text).optional().map_err(sql_error)?.unwrap_or_default())
}

fn set(connection: &Connection, name: &str, value: &str, read_back: &str) -> Result<()> {
    connection.execute_batch(&format!("PRAGMA {name}={value}")).map_err(sql_error)?;
    let got = pragma(connection, name)?;
    // mmap_size answers nothing where it is compiled out, which is what we want of it.
    if got == read_back || (name == "mmap_size" && got.is_empty()) {
        return Ok(());
    }
    Err(StoreError::Io(format!("index: PRAGMA {name} is {got}, wanted {read_back}")))
}

fn configure(connection: &Connection, cache_kib: u32) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sql_error)?;
    connection.set_prepared_statement_cache_capacity(64);
    set(connection, "mmap_size", "0", "0")?;
    set(connection, "synchronous", "1", "1")?;
    set(connection, "wal_autocheckpoint", "0", "0")?;
    set(connection, "cache_size", &format!("-{cache_kib}"), &format!("-{cache_kib}"))?;
    set(connection, "journal_size_limit", "1048576", "1048576")?;
    set(connection, "temp_store", "2", "2")
}

/// The writing connection; makes the tables when the file is new.
pub(crate) fn open_writer(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sql_error)?;
    set(&connection, "journal_mode", "WAL", "wal")?;
    configure(&connection, 8192)?;
    let format: i64 = pragma(&connection, "user_version")?.parse().unwrap_or(0);
    match format {
        0 => make_tables(&connection)?,
        FORMAT => {}
        _ => return Err(StoreError::Io(format!("the index is of format {format}, written by a newer release"))),
    }
    Ok(connection)
}

pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sql_error)?;
    configure(&connection, 2048)?;
    Ok(connection)
}

/// As SQLite keeps them, word for word.
const TABLES: [&str; 5] = [
    "CREATE TABLE kv(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE ledger_81(id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE ledger_82(id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE body(id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE note(id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
];

fn make_tables(connection: &Connection) -> Result<()> {
    let tables = TABLES.join(";\n");
    let batch = format!("BEGIN;\n{tables};\nPRAGMA user_version={FORMAT};\nPRAGMA application_id={APPLICATION};\nCOMMIT;");
    connection.execute_batch(&batch).map_err(sql_error)
}

/// Tables that are not what was made: their rows may be good, and still nobody can ask for them.
fn strange_tables(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT CAST(sql AS TEXT) FROM sqlite_schema").map_err(sql_error)?;
    let mut missing = TABLES.to_vec();
    let mut rows = statement.query([]).map_err(sql_error)?;
    while let Some(row) = rows.next().map_err(sql_error)? {
        let kept = row.get_ref(0).and_then(|words| words.as_bytes_or_null().map_err(rusqlite::Error::from)).map_err(sql_error)?;
        missing.retain(|table| Some(table.as_bytes()) != kept);
    }
    Ok(missing.into_iter().map(|table| format!("a table is not as it was made: {table}")).collect())
}

/// The ledger table of a key, with its id.
fn ledger(key: &Key) -> Option<(&'static str, i64)> {
    let table = match key.kind() {
        key::EMAIL => "ledger_81",
        key::TRACE => "ledger_82",
        _ => return None,
    };
    Some((table, key::ledger_id(key)?))
}

fn blob(row: &Row<'_>) -> rusqlite::Result<Vec<u8>> {
    bytes_in(row, 0).map(<[u8]>::to_vec)
}

/// A flipped bit may make a text or a number of it: then it costs itself, by its checksum.
fn bytes_in<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a [u8]> {
    row.get_ref(column).map(|value| value.as_bytes().unwrap_or_default())
}

pub(crate) fn get(connection: &Connection, key: &Key) -> Result<Option<Vec<u8>>> {
    match ledger(key) {
        Some((table, id)) => by_id(connection, table, id),
        None => {
            let mut statement = connection.prepare_cached("SELECT value FROM kv WHERE key=?1").map_err(sql_error)?;
            statement.query_row([key.bytes()], blob).optional().map_err(sql_error)
        }
    }
}

fn by_id(connection: &Connection, table: &str, id: i64) -> Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached(&format!("SELECT value FROM {table} WHERE id=?1")).map_err(sql_error)?;
    statement.query_row([id], blob).optional().map_err(sql_error)
}

/// Values of ids, in the order asked: one walk when they lie close together, else one seek each.
fn by_ids(connection: &Connection, table: &str, ids: &[i64]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut found = Vec::with_capacity(ids.len());
    each_by_id(connection, table, ids, |_, stored| found.push(stored.map(<[u8]>::to_vec)))?;
    Ok(found)
}

fn each_by_id(connection: &Connection, table: &str, ids: &[i64], mut take: impl FnMut(i64, Option<&[u8]>)) -> Result<()> {
    let (Some(low), Some(high)) = (ids.iter().min(), ids.iter().max()) else {
        return Ok(());
    };
    let close = ids.len() > 16 && (high - low) as u64 <= ids.len() as u64 * 8 && ids.is_sorted();
    if close {
        return walk_ids(connection, table, (ids, *low, *high), take);
    }
    let mut statement = connection.prepare_cached(&format!("SELECT value FROM {table} WHERE id=?1")).map_err(sql_error)?;
    for id in ids {
        let mut rows = statement.query([id]).map_err(sql_error)?;
        match rows.next().map_err(sql_error)? {
            Some(row) => take(*id, Some(octets(row)?)),
            None => take(*id, None),
        }
    }
    Ok(())
}

/// A value where it lies.
fn octets<'a>(row: &'a Row<'_>) -> Result<&'a [u8]> {
    bytes_in(row, 0).map_err(sql_error)
}

fn walk_ids(
    connection: &Connection,
    table: &str,
    (ids, low, high): (&[i64], i64, i64),
    mut take: impl FnMut(i64, Option<&[u8]>),
) -> Result<()> {
    let text = format!("SELECT value,id FROM {table} WHERE id BETWEEN ?1 AND ?2 ORDER BY id");
    let mut statement = connection.prepare_cached(&text).map_err(sql_error)?;
    let mut rows = statement.query([low, high]).map_err(sql_error)?;
    let mut ids = ids.iter().peekable();
    while let Some(row) = rows.next().map_err(sql_error)? {
        let id: i64 = row.get(1).map_err(sql_error)?;
        while let Some(missing) = ids.next_if(|wanted| **wanted < id) {
            take(*missing, None);
        }
        while ids.next_if_eq(&&id).is_some() {
            take(id, Some(octets(row)?));
        }
    }
    ids.for_each(|id| take(*id, None));
    Ok(())
}

/// Of keys of one ledger: their ids.
fn ids_of_one_ledger(keys: &[Key]) -> Option<(&'static str, Vec<i64>)> {
    let (table, _) = keys.first().and_then(ledger)?;
    let id = |key| ledger(key).filter(|found| found.0 == table).map(|found| found.1);
    Some((table, keys.iter().map(id).collect::<Option<Vec<i64>>>()?))
}

pub(crate) fn many(connection: &Connection, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
    match ids_of_one_ledger(keys) {
        Some((table, ids)) => by_ids(connection, table, &ids),
        None => keys.iter().map(|key| get(connection, key)).collect(),
    }
}

/// The same, of short values.
pub(crate) fn short(connection: &Connection, keys: &[Key]) -> Result<Packed> {
    let mut found = Packed::default();
    match ids_of_one_ledger(keys) {
        Some((table, ids)) => each_by_id(connection, table, &ids, |_, stored| found.push(stored))?,
        None => keys.iter().try_for_each(|key| get(connection, key).map(|value| found.push(value.as_deref())))?,
    }
    Ok(found)
}

pub(crate) fn notes(connection: &Connection, ids: &[u64]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut found = Vec::with_capacity(ids.len());
    each_note(connection, ids, |note| found.push(note.map(<[u8]>::to_vec)))?;
    Ok(found)
}

/// So many octets from the front of each as `wanted` says.
pub(crate) fn note_fronts(connection: &Connection, ids: &[u64], wanted: fn(&[u8]) -> usize) -> Result<Packed> {
    let mut found = Packed::default();
    each_note(connection, ids, |note| found.push(note.and_then(|note| note.get(..wanted(note)))))?;
    Ok(found)
}

fn each_note(connection: &Connection, ids: &[u64], mut take: impl FnMut(Option<&[u8]>)) -> Result<()> {
    let ids: Vec<i64> = ids.iter().map(|id| *id as i64).collect();
    each_by_id(connection, "note", &ids, |id, stored| {
        // A note is derived: one that does not match its checksum is as good as missing.
        let proven = |stored| open(&note_key(id as u64), stored).ok().map(|reader| reader.rest());
        take(stored.and_then(proven));
    })
}

/// Ids of bodies whose note does not match its checksum. Nobody misses them: such a note is made anew when it is asked for.
pub(crate) fn bad_notes(connection: &Connection) -> Result<Vec<u64>> {
    let mut statement = connection.prepare_cached("SELECT value,id FROM note").map_err(sql_error)?;
    let mut rows = statement.query([]).map_err(sql_error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sql_error)? {
        let id: i64 = row.get(1).map_err(sql_error)?;
        if open(&note_key(id as u64), octets(row)?).is_err() {
            found.push(id as u64);
        }
    }
    Ok(found)
}

/// `from <= key < to`.
pub(crate) fn range(connection: &Connection, from: &Key, to: &Key, limit: usize, reverse: bool) -> Result<Vec<(Key, Vec<u8>)>> {
    let order = if reverse { "DESC" } else { "ASC" };
    if from.kind() & 0x80 != 0 && from.kind() < 0xf0 {
        return range_ledger(connection, from, to, limit, order);
    }
    // No LIMIT: SQLite prepares a statement anew each time another value is bound to one.
    let text = format!("SELECT value,key FROM kv WHERE key>=?1 AND key<?2 ORDER BY key {order}");
    let mut statement = connection.prepare_cached(&text).map_err(sql_error)?;
    let mut rows = statement.query([from.bytes(), to.bytes()]).map_err(sql_error)?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next().map_err(sql_error)?
    {
        let key = bytes_in(row, 1).map_err(sql_error)?;
        // Where a key is damaged SQLite begins before what was asked: who asks on behind the last row would ask for ever.
        if (from.bytes()..to.bytes()).contains(&key) {
            found.push((Key::new(key), blob(row).map_err(sql_error)?));
        }
    }
    Ok(found)
}

/// The first id of a ledger at or behind this key: one with more octets than an id lies behind that id ([`Key::behind`]).
fn first_at(key: &Key) -> i64 {
    let id = key::ledger_id(key).unwrap_or(0);
    if key.bytes().len() > 1 + size_of::<u64>() { id.saturating_add(1) } else { id }
}

fn range_ledger(connection: &Connection, from: &Key, to: &Key, limit: usize, order: &str) -> Result<Vec<(Key, Vec<u8>)>> {
    let kind = from.kind();
    let low = first_at(from);
    let high = if to.kind() == kind { first_at(to) } else { i64::MAX };
    let table = if kind == key::EMAIL { "ledger_81" } else { "ledger_82" };
    let text = format!("SELECT value,id FROM {table} WHERE id>=?1 AND id<?2 ORDER BY id {order}");
    let mut statement = connection.prepare_cached(&text).map_err(sql_error)?;
    let mut rows = statement.query([low, high]).map_err(sql_error)?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next().map_err(sql_error)?
    {
        let id: i64 = row.get(1).map_err(sql_error)?;
        // As above.
        if (low..high).contains(&id) {
            found.push((ledger_key(kind, id as u64), blob(row).map_err(sql_error)?));
        }
    }
    Ok(found)
}

/// What rows are written by.
#[derive(Debug, Clone, Copy)]
enum By {
    PutRow,
    DropRow,
    PutEmail,
    DropEmail,
    PutTrace,
    DropTrace,
    PutBody,
    DropBody,
    PutNote,
    DropNote,
}

const WRITES: [&str; 10] = [
    "INSERT OR REPLACE INTO kv(key,value) VALUES(?1,?2)",
    "DELETE FROM kv WHERE key=?1",
    "INSERT OR REPLACE INTO ledger_81(id,value) VALUES(?1,?2)",
    "DELETE FROM ledger_81 WHERE id=?1",
    "INSERT OR REPLACE INTO ledger_82(id,value) VALUES(?1,?2)",
    "DELETE FROM ledger_82 WHERE id=?1",
    "INSERT OR REPLACE INTO body(id,value) VALUES(?1,?2)",
    "DELETE FROM body WHERE id=?1",
    "INSERT OR REPLACE INTO note(id,value) VALUES(?1,?2)",
    "DELETE FROM note WHERE id=?1",
];

/// Writes many rows: each statement is looked up once.
pub(crate) struct Rows<'a> {
    connection: &'a Connection,
    statements: [Option<CachedStatement<'a>>; WRITES.len()],
}

impl<'a> Rows<'a> {
    pub(crate) fn of(connection: &'a Connection) -> Rows<'a> {
        Rows { connection, statements: [const { None }; WRITES.len()] }
    }

    fn execute(&mut self, by: By, parameters: impl Params) -> Result<()> {
        let held = &mut self.statements[by as usize];
        let statement = match held {
            Some(statement) => statement,
            None => held.insert(self.connection.prepare_cached(WRITES[by as usize]).map_err(sql_error)?),
        };
        statement.execute(parameters).map(|_| ()).map_err(sql_error)
    }

    pub(crate) fn write(&mut self, key: &Key, value: Option<&[u8]>) -> Result<()> {
        match (key.kind(), key::ledger_id(key), value) {
            (key::EMAIL, Some(id), Some(value)) => self.execute(By::PutEmail, params![id, value]),
            (key::EMAIL, Some(id), None) => self.execute(By::DropEmail, [id]),
            (key::TRACE, Some(id), Some(value)) => self.execute(By::PutTrace, params![id, value]),
            (key::TRACE, Some(id), None) => self.execute(By::DropTrace, [id]),
            (_, _, Some(value)) => self.execute(By::PutRow, params![key.bytes(), value]),
            (_, _, None) => self.execute(By::DropRow, [key.bytes()]),
        }
    }

    /// Writes or removes a body's row; with the row goes its note.
    pub(crate) fn write_body(&mut self, id: u64, row: Option<&BodyRow>) -> Result<()> {
        match row {
            Some(row) => self.execute(By::PutBody, params![id as i64, row.encode(id)]),
            None => self.execute(By::DropBody, [id as i64]).and_then(|()| self.execute(By::DropNote, [id as i64])),
        }
    }

    pub(crate) fn write_note(&mut self, id: u64, note: &[u8]) -> Result<()> {
        let mut out = Writer::new();
        out.raw(note);
        self.execute(By::PutNote, params![id as i64, out.seal(&note_key(id))])
    }
}

pub(crate) fn write(connection: &Connection, key: &Key, value: Option<&[u8]>) -> Result<()> {
    Rows::of(connection).write(key, value)
}

pub(crate) fn body(connection: &Connection, id: u64) -> Result<Option<BodyRow>> {
    by_id(connection, "body", id as i64)?.map(|stored| BodyRow::decode(id, &stored)).transpose()
}

/// Bodies after `after`; a row that does not decode comes as an error beside its id.
pub(crate) fn bodies(connection: &Connection, after: u64, limit: usize) -> Result<Vec<(u64, Result<BodyRow>)>> {
    let mut statement = connection.prepare_cached("SELECT value,id FROM body WHERE id>?1 ORDER BY id").map_err(sql_error)?;
    let mut rows = statement.query([after as i64]).map_err(sql_error)?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next().map_err(sql_error)?
    {
        let id: i64 = row.get(1).map_err(sql_error)?;
        if id <= after as i64 {
            continue;
        }
        found.push((id as u64, BodyRow::decode(id as u64, &blob(row).map_err(sql_error)?)));
    }
    Ok(found)
}

pub(crate) fn position(connection: &Connection) -> Result<Option<Position>> {
    let key = position_key();
    let Some(stored) = get(connection, &key)? else { return Ok(None) };
    let mut reader = open(&key, &stored)?;
    decoded(
        &key,
        (|| {
            let (order, end) = (reader.number32()?, reader.number()?);
            Some(Some(Position { order, end, group: reader.number()?, file: reader.number32()? }))
        })(),
    )
}

/// How far the index at `path` reached, if it can still tell.
pub(crate) fn position_in(path: &Path) -> Position {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let told = Connection::open_with_flags(path, flags).map_err(sql_error).and_then(|connection| position(&connection));
    told.ok().flatten().unwrap_or_default()
}

pub(crate) fn write_position(connection: &Connection, position: Position) -> Result<()> {
    let mut out = Writer::new();
    out.number(u64::from(position.order)).number(position.end).number(position.group).number(u64::from(position.file));
    let key = position_key();
    write(connection, &key, Some(&out.seal(&key)))
}

pub(crate) fn segment(connection: &Connection, file: u32) -> Result<Option<SegmentRow>> {
    let key = segment_key(file);
    get(connection, &key)?.map(|stored| decode_segment(file, &key, &stored)).transpose()
}

fn decode_segment(file: u32, key: &Key, stored: &[u8]) -> Result<SegmentRow> {
    let mut reader = open(key, stored)?;
    let row = (|| Some(SegmentRow { file, order: reader.number32()?, alive: reader.number()?, written: reader.number()? }))();
    decoded(key, row)
}

/// Rows of all segment files; one that does not decode comes as an error beside its number.
pub(crate) fn segments(connection: &Connection) -> Result<Vec<(u32, Result<SegmentRow>)>> {
    let rows = range(connection, &Key::new(vec![0xf3]), &Key::new(vec![0xf4]), usize::MAX, false)?;
    let decode = |(key, stored): (Key, Vec<u8>)| {
        let file = key::Parts::of(&key).u32().unwrap_or(0);
        (file, decode_segment(file, &key, &stored))
    };
    Ok(rows.into_iter().map(decode).collect())
}

/// Whether a segment's row can be found, be it good or not.
pub(crate) fn segment_is_there(connection: &Connection, file: u32) -> Result<bool> {
    Ok(get(connection, &segment_key(file))?.is_some())
}

/// Octets of living bodies in a file, counted anew.
pub(crate) fn alive_in(connection: &Connection, file: u32) -> Result<u64> {
    let rows = bodies(connection, 0, usize::MAX)?.into_iter().filter_map(|(_, row)| row.ok());
    Ok(rows.filter(|row| row.file == file).map(|row| row.len).sum())
}

pub(crate) fn write_segment(connection: &Connection, row: SegmentRow) -> Result<()> {
    let mut out = Writer::new();
    out.number(u64::from(row.order)).number(row.alive).number(row.written);
    let key = segment_key(row.file);
    write(connection, &key, Some(&out.seal(&key)))
}

pub(crate) fn remove_segment(connection: &Connection, file: u32) -> Result<()> {
    write(connection, &segment_key(file), None)
}

/// As often as it is needed, it is read once.
pub(crate) fn run(connection: &Connection, text: &str) -> Result<()> {
    connection.prepare_cached(text).and_then(|mut statement| statement.execute([])).map(|_| ()).map_err(sql_error)
}

/// From here to [`end_reading`] the index stands still for this connection.
pub(crate) fn begin_reading(connection: &Connection) -> Result<()> {
    run(connection, "BEGIN DEFERRED")?;
    // The instant is that of the first look, not of BEGIN.
    position(connection).map(|_| ())
}

pub(crate) fn end_reading(connection: &Connection) -> Result<()> {
    if connection.is_autocommit() { Ok(()) } else { run(connection, "COMMIT") }
}

fn told_key(file: u32, at: u64) -> Key {
    let mut bytes = vec![0xf4];
    bytes.extend_from_slice(&file.to_be_bytes());
    bytes.extend_from_slice(&at.to_be_bytes());
    Key::new(bytes)
}

/// Remembers a damaged record that was passed over and told of: from then on the index is whole without it.
pub(crate) fn tell(connection: &Connection, file: u32, at: u64) -> Result<()> {
    let key = told_key(file, at);
    write(connection, &key, Some(&Writer::new().seal(&key)))
}

pub(crate) fn is_told(connection: &Connection, file: u32, at: u64) -> Result<bool> {
    let key = told_key(file, at);
    Ok(get(connection, &key)?.is_some_and(|stored| is_sound(&key, &stored).is_ok()))
}

/// Proves every page, and that every value lies under the key it was written for.
/// Places of bodies proven at a time.
const BODIES_AT_ONCE: usize = 4096;

pub(crate) fn prove(connection: &Connection) -> Result<()> {
    if let Some(what) = pages(connection)?.into_iter().next() {
        return Err(StoreError::Damaged(format!("index: {what}; `packetboat rebuild` makes it anew from the segments")));
    }
    let ledgers = [key::EMAIL, key::TRACE].map(|kind| (if kind == key::EMAIL { "ledger_81" } else { "ledger_82" }, Some(kind)));
    for (table, kind) in [("kv", None)].into_iter().chain(ledgers) {
        let column = if kind.is_some() { "id" } else { "key" };
        let mut statement = connection.prepare(&format!("SELECT value,{column} FROM {table}")).map_err(sql_error)?;
        let mut rows = statement.query([]).map_err(sql_error)?;
        while let Some(row) = rows.next().map_err(sql_error)? {
            let key = match kind {
                None => row.get_ref(1).map_err(sql_error)?.as_blob().map(Key::new).map_err(|error| sql_error(error.into()))?,
                Some(kind) => ledger_key(kind, row.get::<_, i64>(1).map_err(sql_error)? as u64),
            };
            is_sound(&key, row.get_ref(0).map_err(sql_error)?.as_blob().map_err(|error| sql_error(error.into()))?)?;
        }
    }
    let mut after = 0;
    loop {
        let some = bodies(connection, after, BODIES_AT_ONCE)?;
        let Some((last, _)) = some.last() else { return Ok(()) };
        after = *last;
        some.into_iter().try_for_each(|(_, row)| row.map(|_| ()))?;
    }
}

/// What SQLite finds wrong with its own pages.
pub(crate) fn pages(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA integrity_check(20)").map_err(sql_error)?;
    let told = statement.query_map([], |row| row.get::<_, String>(0)).map_err(sql_error)?;
    let told: std::result::Result<Vec<String>, rusqlite::Error> = told.collect();
    match told {
        Ok(told) => {
            let mut told: Vec<String> = told.into_iter().filter(|line| line != "ok").collect();
            told.extend(strange_tables(connection)?);
            Ok(told)
        }
        // Pages it stumbles over are what was asked for.
        Err(error) => match sql_error(error) {
            StoreError::Damaged(what) => Ok(vec![what]),
            error => Err(error),
        },
    }
}

/// Folds the write-ahead log back into the file; never blocks writers. True: all that the index was told is on the disk.
pub(crate) fn fold(connection: &Connection, mode: &str) -> Result<bool> {
    let pragma = format!("PRAGMA wal_checkpoint({mode})");
    let told = connection.query_row(&pragma, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let (blocked, logged, folded): (i64, i64, i64) = told.map_err(sql_error)?;
    Ok(blocked == 0 && logged == folded)
}

/// Cuts off the write-ahead log, when all of it is folded back and nobody reads it: nobody is waited for.
pub(crate) fn cut_log(connection: &Connection) -> Result<()> {
    connection.busy_timeout(std::time::Duration::ZERO).map_err(sql_error)?;
    let cut = fold(connection, "TRUNCATE");
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sql_error)?;
    cut.map(|_| ())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::EmailId;

    /// As a flipped bit in the head of a row makes it.
    #[test]
    fn a_value_that_became_a_number_costs_itself() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_writer(&folder.path().join("index.sqlite")).unwrap();
        for id in [1, 2] {
            Rows::of(&connection).write_note(id, b"note").unwrap();
            write(&connection, &Key::new(vec![0x50, id as u8]), Some(b"value")).unwrap();
        }
        connection.execute_batch("UPDATE note SET value=7 WHERE id=1; UPDATE kv SET value=7 WHERE key=x'5001'").unwrap();
        assert_eq!(notes(&connection, &[1, 2]).unwrap(), [None, Some(b"note".to_vec())]);
        let rows = range(&connection, &Key::new(vec![0x50]), &Key::new(vec![0x51]), 9, false).unwrap();
        assert_eq!(rows.iter().map(|(_, value)| value.len()).collect::<Vec<_>>(), [0, 5]);
        assert_eq!(get(&connection, &Key::new(vec![0x50, 1])).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn behind_a_ledger_row_is_the_next() {
        let (row, next) = (key::email(EmailId(7)), key::email(EmailId(8)));
        let firsts = [&key::whole(key::EMAIL).0, &row, &row.behind(), &next].map(first_at);
        assert_eq!(firsts, [0, 7, 8, 8]);
    }
}
