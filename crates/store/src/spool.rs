//! Octets on their way in: in memory while small, a file past 256 kB.
//!
//! The file has no name from the moment it is open, so a crash leaves nothing behind.
//! Each 64-KiB piece is summed as it passes; those sums go with the body for life.

use crate::engine::io_error;
use crate::hash::xxh64;
use crate::limits::{BODY_PIECE_BYTES, SPOOL_MEMORY_BYTES_MAX};
use crate::types::{Spooled, StoreError};
use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

static LARGE_READS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);
static NAMES: AtomicU64 = AtomicU64::new(1);

/// Takes a message's octets as they arrive.
pub struct Spool {
    folder: Option<PathBuf>,
    buffer: BytesMut,
    file: Option<Arc<File>>,
    written: u64,
    /// A piece was lost on its way to the file: there is no whole message any more.
    broken: bool,
}

#[derive(Debug)]
pub(crate) struct SpooledInner {
    pub(crate) content: Content,
    sums: OnceLock<Vec<u64>>,
}

#[derive(Debug)]
pub(crate) enum Content {
    Memory(Bytes),
    File(Arc<File>, u64),
}

fn unnamed_file(folder: &std::path::Path) -> Result<File, StoreError> {
    let name = folder.join(format!("{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed)));
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&name).map_err(|error| io_error(&error))?;
    std::fs::remove_file(&name).map_err(|error| io_error(&error))?;
    Ok(file)
}

impl Spool {
    /// `None`: always in memory (the memory engine).
    pub(crate) fn new(folder: Option<PathBuf>) -> Spool {
        Spool { folder, buffer: BytesMut::new(), file: None, written: 0, broken: false }
    }

    /// Takes a piece; past the memory bound it goes to a file.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(piece);
        if self.buffer.len() > SPOOL_MEMORY_BYTES_MAX && self.folder.is_some() {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        // Also when nobody waits for the end of this.
        if std::mem::replace(&mut self.broken, true) {
            return Err(StoreError::Io("the spool has lost a piece".into()));
        }
        let folder = self.folder.clone().unwrap_or_default();
        let file = self.file.take();
        let buffer = std::mem::take(&mut self.buffer).freeze();
        let added = buffer.len() as u64;
        let task = tokio::task::spawn_blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(unnamed_file(&folder)?),
            };
            (&*file).write_all(&buffer).map_err(|error| io_error(&error))?;
            Ok::<_, StoreError>(file)
        });
        self.file = Some(task.await.map_err(|error| StoreError::Io(error.to_string()))??);
        self.written += added;
        self.broken = false;
        Ok(())
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// None yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Done.
    pub async fn finish(mut self) -> Result<Spooled, StoreError> {
        if self.broken {
            return Err(StoreError::Io("the spool has lost a piece".into()));
        }
        if self.file.is_none() {
            return Ok(Spooled::from_bytes(self.buffer.freeze()));
        }
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        let Some(file) = self.file.take() else {
            return Err(StoreError::Io("spool file is gone".into()));
        };
        let content = Content::File(file, self.written);
        let spooled = Spooled { inner: Arc::new(SpooledInner { content, sums: OnceLock::new() }) };
        let copy = spooled.clone();
        let task = tokio::task::spawn_blocking(move || copy.sums().map(|_| ()));
        task.await.map_err(|error| StoreError::Io(error.to_string()))??;
        Ok(spooled)
    }
}

impl Spooled {
    /// Octets that are already in memory.
    pub fn from_bytes(bytes: Bytes) -> Spooled {
        Spooled { inner: Arc::new(SpooledInner { content: Content::Memory(bytes), sums: OnceLock::new() }) }
    }

    /// Octets.
    pub fn len(&self) -> u64 {
        match &self.inner.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File(_, length) => *length,
        }
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All octets, for computing facts; a large body is read from its file, at most two such at once.
    pub async fn bytes(&self) -> Result<Bytes, StoreError> {
        if let Content::Memory(bytes) = &self.inner.content {
            return Ok(bytes.clone());
        }
        let _turn = LARGE_READS.acquire().await.map_err(|error| StoreError::Io(error.to_string()))?;
        let copy = self.clone();
        let task = tokio::task::spawn_blocking(move || copy.read_all());
        task.await.map_err(|error| StoreError::Io(error.to_string()))?
    }

    /// Octets from `offset`, at most `len` (short at the end).
    pub async fn piece(&self, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        let end = offset.saturating_add(len).min(self.len());
        let start = offset.min(end);
        let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        let file = match &self.inner.content {
            Content::Memory(bytes) => return Ok(bytes.slice(at(start)..at(end))),
            Content::File(file, _) => Arc::clone(file),
        };
        let task = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; at(end - start)];
            file.read_exact_at(&mut buffer, start).map_err(|error| io_error(&error))?;
            Ok(Bytes::from(buffer))
        });
        task.await.map_err(|error| StoreError::Io(error.to_string()))?
    }

    pub(crate) fn read_all(&self) -> Result<Bytes, StoreError> {
        match &self.inner.content {
            Content::Memory(bytes) => Ok(bytes.clone()),
            Content::File(file, length) => {
                let mut buffer = vec![0; usize::try_from(*length).unwrap_or(usize::MAX)];
                file.read_exact_at(&mut buffer, 0).map_err(|error| io_error(&error))?;
                Ok(Bytes::from(buffer))
            }
        }
    }

    /// The sums of its 64-KiB pieces; reads a file once.
    pub(crate) fn sums(&self) -> Result<&[u64], StoreError> {
        if let Some(sums) = self.inner.sums.get() {
            return Ok(sums);
        }
        let sums = match &self.inner.content {
            Content::Memory(bytes) => piece_sums(bytes),
            Content::File(file, length) => {
                let mut sums = Vec::new();
                let mut piece = vec![0; BODY_PIECE_BYTES];
                let mut at = 0;
                while at < *length {
                    let take = usize::try_from(length - at).unwrap_or(usize::MAX).min(BODY_PIECE_BYTES);
                    let part = piece.get_mut(..take).unwrap_or_default();
                    file.read_exact_at(part, at).map_err(|error| io_error(&error))?;
                    sums.push(xxh64(part, 0));
                    at += take as u64;
                }
                sums
            }
        };
        Ok(self.inner.sums.get_or_init(|| sums))
    }
}

pub(crate) fn piece_sums(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks(BODY_PIECE_BYTES).map(|piece| xxh64(piece, 0)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What lies in a file is read where it is wanted, and short at its end.
    #[tokio::test]
    async fn pieces_of_what_was_spooled() {
        let folder = tempfile::tempdir().unwrap();
        let octets: Vec<u8> = (0..SPOOL_MEMORY_BYTES_MAX as u32 + 99).flat_map(|n| u8::try_from(n % 251)).collect();
        for folder in [None, Some(folder.path().to_owned())] {
            let is_file = folder.is_some();
            let mut spool = Spool::new(folder);
            for part in octets.chunks(10_000) {
                spool.write(part).await.unwrap();
            }
            let spooled = spool.finish().await.unwrap();
            assert_eq!(matches!(spooled.inner.content, Content::File(..)), is_file);
            let end = octets.len();
            for (at, len) in [(0, 5), (777, 100_000), (end - 3, 10), (end, 10), (end + 10, 10), (0, end)] {
                let wanted = octets.get(at.min(end)..(at + len).min(end)).unwrap();
                assert_eq!(spooled.piece(at as u64, len as u64).await.unwrap(), wanted, "{at} {len}");
            }
            assert_eq!(spooled.piece(u64::MAX, u64::MAX).await.unwrap(), "");
        }
    }
}
