//! Segment files: the append-only stream of all batches with their bodies. The truth; the index is made from it.
//!
//! Format in `docs/store.md`. Invariant: a record is good only if header, manifest and bodies match their checksums,
//! salted with the segment's own random salt, so that no octets somebody mails to us can pass for a record.
//! Must not know: SQLite, what keys mean.

use super::{Batch, Key, io_error};
use crate::hash::xxh64;
use crate::limits::BODY_PIECE_BYTES;
use crate::spool::Content;
use crate::types::{Spooled, StoreError};
use crate::value::{Reader, Writer};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub(crate) const FILE_HEAD: u64 = 64;
pub(crate) const RECORD_HEAD: usize = 48;
const FILE_MAGIC: &[u8; 8] = b"PBSEG\x01\r\n";
const RECORD_MAGIC: &[u8; 4] = b"\xabPB\x01";
const COPY_BYTES: usize = 256 * 1024;

/// Head of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHead {
    /// The file's own number, never reused.
    pub(crate) number: u32,
    /// Its place in the stream; a rewritten segment keeps the place of the one it replaces.
    pub(crate) order: u32,
    pub(crate) salt: u64,
    /// The segment before ends here, whatever lies behind (a group that failed).
    pub(crate) previous: Option<(u32, u64)>,
    pub(crate) rewritten: bool,
}

impl FileHead {
    pub(crate) fn fresh(number: u32, order: u32, previous: Option<(u32, u64)>) -> FileHead {
        let salt = std::collections::hash_map::RandomState::new().build_hasher().finish();
        FileHead { number, order, salt, previous, rewritten: false }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FILE_HEAD as usize);
        bytes.extend_from_slice(FILE_MAGIC);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.order.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        let (order, end) = self.previous.unwrap_or((0, 0));
        bytes.extend_from_slice(&order.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.rewritten).to_le_bytes());
        bytes.extend_from_slice(&end.to_le_bytes());
        bytes.resize(FILE_HEAD as usize - 8, 0);
        let sum = xxh64(&bytes, 0);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<FileHead> {
        let (content, sum) = bytes.split_last_chunk::<8>()?;
        if xxh64(content, 0) != u64::from_le_bytes(*sum) || !content.starts_with(FILE_MAGIC) {
            return None;
        }
        let mut reader = Reader::bare(content.get(8..)?);
        let mut small = || reader.raw(4).and_then(|raw| raw.try_into().ok()).map(u32::from_le_bytes);
        let (number, order) = (small()?, small()?);
        let (salt_low, salt_high) = (small()?, small()?);
        let (previous, rewritten) = (small()?, small()?);
        let end = u64::from(small()?) | u64::from(small()?) << 32;
        Some(FileHead {
            number,
            order,
            salt: u64::from(salt_low) | u64::from(salt_high) << 32,
            previous: (end > 0).then_some((previous, end)),
            rewritten: rewritten == 1,
        })
    }
}

pub(crate) fn file_name(number: u32) -> String {
    format!("{number:08}.segment")
}

pub(crate) fn path_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(file_name(number))
}

/// A body as its record tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyEntry {
    pub(crate) id: u64,
    pub(crate) refs: u32,
    pub(crate) len: u64,
    pub(crate) sums: Vec<u64>,
    /// Its octets were left out when the segment was rewritten: it had no holder any more.
    pub(crate) dropped: bool,
}

/// What a record changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) writes: Vec<(Key, Option<Vec<u8>>)>,
    pub(crate) bodies: Vec<BodyEntry>,
    pub(crate) retain: Vec<(u64, u32)>,
    pub(crate) release: Vec<(u64, u32)>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let writes: Vec<&(Key, Option<Vec<u8>>)> = self.writes.iter().collect();
        encode_manifest(&writes, &self.bodies, &self.retain, &self.release)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Manifest> {
        let mut reader = Reader::bare(bytes);
        let mut manifest = Manifest::default();
        for _ in 0..reader.count()? {
            let key = Key::new(reader.bytes()?.to_vec());
            let value = if reader.flag()? { Some(reader.bytes()?.to_vec()) } else { None };
            manifest.writes.push((key, value));
        }
        for _ in 0..reader.count()? {
            let (id, refs, len) = (reader.number()?, reader.number32()?, reader.number()?);
            let dropped = reader.flag()?;
            let mut sums = Vec::new();
            for _ in 0..reader.count()? {
                sums.push(reader.fixed64()?);
            }
            manifest.bodies.push(BodyEntry { id, refs, len, sums, dropped });
        }
        for _ in 0..reader.count()? {
            manifest.retain.push((reader.number()?, reader.number32()?));
        }
        for _ in 0..reader.count()? {
            manifest.release.push((reader.number()?, reader.number32()?));
        }
        reader.end()?;
        Some(manifest)
    }

    /// Octets of bodies that lie behind the manifest.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.bodies.iter().filter(|body| !body.dropped).fold(0, |sum, body| body.len.saturating_add(sum))
    }
}

fn encode_manifest(
    writes: &[&(Key, Option<Vec<u8>>)],
    bodies: &[BodyEntry],
    retain: &[(u64, u32)],
    release: &[(u64, u32)],
) -> Vec<u8> {
    let mut out = Writer::bare();
    out.number(writes.len() as u64);
    for (key, value) in writes {
        out.bytes(key.bytes());
        match value {
            None => out.u8(0),
            Some(value) => out.u8(1).bytes(value),
        };
    }
    out.number(bodies.len() as u64);
    for body in bodies {
        out.number(body.id).number(u64::from(body.refs)).number(body.len).u8(u8::from(body.dropped));
        out.number(body.sums.len() as u64);
        for sum in &body.sums {
            out.fixed64(*sum);
        }
    }
    for list in [retain, release] {
        out.number(list.len() as u64);
        for (id, count) in list {
            out.number(*id).number(u64::from(*count));
        }
    }
    out.into_bare()
}

/// What the record of a batch tells of its bodies.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    pub(crate) new: Vec<BodyEntry>,
    pub(crate) retain: Vec<(u64, u32)>,
    pub(crate) release: Vec<(u64, u32)>,
}

impl Bodies {
    pub(crate) fn of(batch: &Batch) -> Result<Bodies, StoreError> {
        let mut new = Vec::with_capacity(batch.bodies.len());
        for body in &batch.bodies {
            let sums = body.content.sums()?.to_vec();
            new.push(BodyEntry { id: body.id.0, refs: body.refs, len: body.content.len(), sums, dropped: false });
        }
        let plain = |list: &[(crate::types::BodyId, u32)]| list.iter().map(|(id, count)| (id.0, *count)).collect();
        Ok(Bodies { new, retain: plain(&batch.retain), release: plain(&batch.release) })
    }
}

/// Head and manifest of a batch's record; without the writes that live in the index only.
pub(crate) fn batch_front(
    batch: &Batch,
    bodies: &Bodies,
    is_logged: fn(&Key) -> bool,
    (group, behind): (u64, u64),
    salt: u64,
) -> Result<Vec<u8>, StoreError> {
    let writes: Vec<&(Key, Option<Vec<u8>>)> = batch.writes.iter().filter(|(key, _)| is_logged(key)).collect();
    let encoded = encode_manifest(&writes, &bodies.new, &bodies.retain, &bodies.release);
    front(&encoded, bodies.new.iter().map(|body| body.len).sum(), (group, Some(behind)), salt)
}

/// The fixed part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) manifest_len: u32,
    pub(crate) manifest_sum: u64,
    pub(crate) bodies_len: u64,
    /// Records of one group were synced together.
    pub(crate) group: u64,
    /// Octets of its group before it: tells whether a hole in front of it lies in the same group, so was never synced.
    /// `None` in records of older releases and in rewritten files, where all was synced.
    pub(crate) behind: Option<u64>,
}

impl RecordHead {
    pub(crate) fn encode(&self, salt: u64) -> [u8; RECORD_HEAD] {
        let mut bytes = [0u8; RECORD_HEAD];
        bytes[0..4].copy_from_slice(RECORD_MAGIC);
        bytes[4..8].copy_from_slice(&self.manifest_len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.manifest_sum.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.bodies_len.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.group.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.behind.map_or(0, |behind| behind + 1).to_le_bytes());
        let sum = xxh64(&bytes[..40], salt);
        bytes[40..48].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<RecordHead> {
        let head: &[u8; RECORD_HEAD] = bytes.first_chunk()?;
        let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        if !head.starts_with(RECORD_MAGIC) || xxh64(&head[..40], salt) != word(40) {
            return None;
        }
        let manifest_len = u32::from_le_bytes(head[4..8].try_into().unwrap_or_default());
        let behind = word(32).checked_sub(1);
        Some(RecordHead { manifest_len, manifest_sum: word(8), bodies_len: word(16), group: word(24), behind })
    }

    pub(crate) fn total(&self) -> u64 {
        (RECORD_HEAD as u64 + u64::from(self.manifest_len)).saturating_add(self.bodies_len)
    }
}

/// Head and manifest of a rewritten record; the bodies follow.
pub(crate) fn record_front(manifest: &Manifest, group: u64, salt: u64) -> Result<Vec<u8>, StoreError> {
    front(&manifest.encode(), manifest.body_bytes(), (group, None), salt)
}

fn front(encoded: &[u8], bodies_len: u64, (group, behind): (u64, Option<u64>), salt: u64) -> Result<Vec<u8>, StoreError> {
    let Ok(manifest_len) = u32::try_from(encoded.len()) else {
        return Err(StoreError::Invalid("one act changes too much"));
    };
    let head = RecordHead { manifest_len, manifest_sum: xxh64(encoded, salt), bodies_len, group, behind };
    let mut front = Vec::with_capacity(RECORD_HEAD + encoded.len());
    front.extend_from_slice(&head.encode(salt));
    front.extend_from_slice(encoded);
    Ok(front)
}

/// Writes a spooled body at `at`.
pub(crate) fn write_body(file: &File, at: u64, content: &Spooled) -> std::io::Result<()> {
    match &content.inner.content {
        Content::Memory(bytes) => file.write_all_at(bytes, at),
        Content::File(source, length) => copy_range(source, 0, file, at, *length),
    }
}

/// Copies octets between files.
pub(crate) fn copy_range(from: &File, from_at: u64, to: &File, to_at: u64, length: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut done = 0;
    while done < length {
        let take = usize::try_from(length - done).unwrap_or(usize::MAX).min(COPY_BYTES);
        let part = buffer.get_mut(..take).unwrap_or_default();
        from.read_exact_at(part, from_at + done)?;
        to.write_all_at(part, to_at + done)?;
        done += take as u64;
    }
    Ok(())
}

/// A record found in a file.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) at: u64,
    pub(crate) head: RecordHead,
    pub(crate) manifest: Manifest,
}

impl Record {
    /// Where the bodies begin.
    pub(crate) fn bodies_at(&self) -> u64 {
        self.at + RECORD_HEAD as u64 + u64::from(self.head.manifest_len)
    }
    pub(crate) fn end(&self) -> u64 {
        self.at.saturating_add(self.head.total())
    }
}

/// What lies at an offset.
#[derive(Debug)]
pub(crate) enum Next {
    Record(Record),
    /// Nothing: the end of the file.
    End,
    /// All good but the octets of these bodies.
    BadBodies(Record, Vec<u64>),
    /// Head good, manifest not: the next record's place is known.
    Torn(RecordHead),
    /// Not a record.
    Nonsense,
}

/// An open segment file that is read in order.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) head: FileHead,
    pub(crate) file: File,
    pub(crate) len: u64,
}

impl SegmentFile {
    /// `Ok(None)` if its head is not good.
    pub(crate) fn open(path: &Path) -> Result<Option<SegmentFile>, StoreError> {
        let file = File::open(path).map_err(|error| io_error(&error))?;
        let len = file.metadata().map_err(|error| io_error(&error))?.len();
        let mut bytes = vec![0; FILE_HEAD as usize];
        if len < FILE_HEAD {
            return Ok(None);
        }
        file.read_exact_at(&mut bytes, 0).map_err(|error| io_error(&error))?;
        Ok(FileHead::decode(&bytes).map(|head| SegmentFile { head, file, len }))
    }

    /// The record at `at`; its bodies are proven too when `bodies` is set.
    pub(crate) fn next(&self, at: u64, bodies: bool) -> Result<Next, StoreError> {
        if at >= self.len {
            return Ok(Next::End);
        }
        let Some(front) = self.bytes(at, RECORD_HEAD as u64)? else {
            return Ok(Next::Nonsense);
        };
        let Some(head) = RecordHead::decode(&front, self.head.salt) else {
            return Ok(Next::Nonsense);
        };
        let Some(encoded) = self.bytes(at + RECORD_HEAD as u64, u64::from(head.manifest_len))? else {
            return Ok(Next::Torn(head));
        };
        if xxh64(&encoded, self.head.salt) != head.manifest_sum {
            return Ok(Next::Torn(head));
        }
        let Some(manifest) = Manifest::decode(&encoded) else {
            return Ok(Next::Torn(head));
        };
        let record = Record { at, head, manifest };
        if record.end() > self.len || record.manifest.body_bytes() != head.bodies_len {
            return Ok(Next::Torn(head));
        }
        let damaged = if bodies { self.damaged_bodies(&record)? } else { Vec::new() };
        Ok(if damaged.is_empty() { Next::Record(record) } else { Next::BadBodies(record, damaged) })
    }

    /// Ids of a record's bodies that do not match their sums.
    pub(crate) fn damaged_bodies(&self, record: &Record) -> Result<Vec<u64>, StoreError> {
        let mut at = record.bodies_at();
        let mut damaged = Vec::new();
        for body in record.manifest.bodies.iter().filter(|body| !body.dropped) {
            if !self.body_is_good(at, body)? {
                damaged.push(body.id);
            }
            at += body.len;
        }
        Ok(damaged)
    }

    fn body_is_good(&self, at: u64, body: &BodyEntry) -> Result<bool, StoreError> {
        if body.sums.len() as u64 != body.len.div_ceil(BODY_PIECE_BYTES as u64) {
            return Ok(false);
        }
        let mut done = 0;
        for sum in &body.sums {
            let take = (body.len - done).min(BODY_PIECE_BYTES as u64);
            match self.bytes(at + done, take)? {
                Some(piece) if xxh64(&piece, 0) == *sum => done += take,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn bytes(&self, at: u64, length: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if at.saturating_add(length) > self.len {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, at).map_err(|error| io_error(&error))?;
        Ok(Some(bytes))
    }

    /// The next place from `from` on where a record's head is good.
    pub(crate) fn find(&self, from: u64) -> Result<Option<u64>, StoreError> {
        let finder = RECORD_MAGIC;
        let mut at = from;
        while at + RECORD_HEAD as u64 <= self.len {
            let take = (self.len - at).min(1 << 20);
            let Some(window) = self.bytes(at, take)? else { break };
            for (offset, candidate) in window.windows(finder.len()).enumerate() {
                if candidate != finder {
                    continue;
                }
                let place = at + offset as u64;
                if let Some(front) = self.bytes(place, RECORD_HEAD as u64)?
                    && RecordHead::decode(&front, self.head.salt).is_some()
                {
                    return Ok(Some(place));
                }
            }
            at += take.saturating_sub(finder.len() as u64 - 1).max(1);
            if take < (1 << 20) {
                break;
            }
        }
        Ok(None)
    }
}

/// Segment files with their heads.
pub(crate) type Files = Vec<(PathBuf, FileHead)>;

/// How the name of a segment ends that is being written anew.
pub(crate) const HALF_WRITTEN: &str = "new";

/// All segment files of a folder whose head is good, in the order of the stream; of two for one place the newer.
/// The second list names what was passed over.
pub(crate) fn list(folder: &Path) -> Result<(Files, Vec<PathBuf>), StoreError> {
    let mut found = Files::new();
    let mut passed = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| io_error(&error))? {
        let path = entry.map_err(|error| io_error(&error))?.path();
        if path.extension().is_none_or(|extension| extension != "segment") {
            continue;
        }
        match SegmentFile::open(&path)? {
            Some(segment) => found.push((path, segment.head)),
            None => passed.push(path),
        }
    }
    found.sort_by_key(|(_, head)| (head.order, std::cmp::Reverse(head.number)));
    found.dedup_by(|later, kept| {
        let same = later.1.order == kept.1.order;
        if same {
            passed.push(later.0.clone());
        }
        same
    });
    Ok((found, passed))
}

/// Makes a file of the folder durable in the folder itself.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn heads_both_ways_and_salted() {
        let head = FileHead { number: 7, order: 5, salt: 99, previous: Some((4, 1234)), rewritten: true };
        assert_eq!(FileHead::decode(&head.encode()), Some(head));
        for behind in [None, Some(0), Some(9)] {
            let record = RecordHead { manifest_len: 5, manifest_sum: 6, bodies_len: 7, group: 8, behind };
            assert_eq!(RecordHead::decode(&record.encode(1), 1), Some(record));
            assert_eq!(RecordHead::decode(&record.encode(1), 2), None);
        }
    }

    #[test]
    fn manifest_both_ways() {
        let body = BodyEntry { id: 4, refs: 2, len: 70_000, sums: vec![1, u64::MAX], dropped: false };
        let manifest = Manifest {
            writes: vec![(Key::new(vec![1, 2]), Some(vec![3])), (Key::new(vec![9]), None)],
            bodies: vec![body],
            retain: vec![(4, 1)],
            release: vec![(8, 2)],
        };
        let encoded = manifest.encode();
        assert_eq!(Manifest::decode(&encoded), Some(manifest));
        for end in 0..encoded.len() {
            assert_eq!(Manifest::decode(encoded.get(..end).unwrap()), None);
        }
    }
}
