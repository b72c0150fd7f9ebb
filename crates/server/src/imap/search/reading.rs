//! The part of a SEARCH that must read messages: headers first, all octets only when a header is not enough.
//!
//! Several messages are read at a time, since each waits for the disk. Invariant: memory is bounded whatever is searched:
//! a few small messages a search, and a few large ones in the whole server. Must not know: views, the wire.

use super::plan::{Candidate, Cost, Test};
use crate::context::Shared;
use crate::imap::limits;
use bytes::Bytes;
use std::sync::Arc;
use store::{AccountId, MessageRow, StoreError};
use tokio::task::JoinSet;

/// A message the rows alone did not decide.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) index: usize,
    pub(super) row: MessageRow,
    pub(super) recent: bool,
}

/// Reads and tests.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) context: Shared,
    pub(super) account: AccountId,
    pub(super) test: Arc<Test>,
}

impl Reader {
    /// Indexes of those that match, in no order. Dropped: the reading stops.
    pub(super) async fn matching(&self, open: Vec<Open>) -> Result<Vec<usize>, StoreError> {
        let share = open.len().div_ceil(limits::SEARCH_TASKS).max(1);
        let mut tasks = JoinSet::new();
        for part in open.chunks(share) {
            let (reader, part) = (self.clone(), part.to_vec());
            tasks.spawn(async move { reader.matching_one_by_one(part).await });
        }
        let mut found = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            let part = joined.map_err(|_| StoreError::Io("a search broke off".to_owned()))?;
            found.extend(part?);
        }
        Ok(found)
    }

    async fn matching_one_by_one(&self, open: Vec<Open>) -> Result<Vec<usize>, StoreError> {
        let mut found = Vec::new();
        for one in open {
            match self.holds(&one).await {
                Ok(true) => found.push(one.index),
                // Expunged meanwhile.
                Ok(false) | Err(StoreError::NotFound) => {}
                Err(StoreError::Damaged(detail)) => {
                    tracing::error!(%detail, uid = one.row.uid.0, "a damaged message was passed over by SEARCH");
                }
                Err(error) => return Err(error),
            }
            // Nothing above need have waited: let the other sessions have their turn.
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    async fn holds(&self, open: &Open) -> Result<bool, StoreError> {
        let size = u64::from(open.row.size_bytes);
        let is_small = size <= limits::SMALL_MESSAGE_BYTES;
        let first_len = match (self.test.cost(), is_small) {
            (Cost::Message, true) => size,
            _ => limits::HEADER_PIECE_BYTES,
        };
        let first = self.read(&open.row, 0, first_len).await?;
        let header = self.header(&open.row, first.clone()).await?;
        let candidate =
            Candidate { index: open.index, row: &open.row, recent: open.recent, header: Some(&header), message: None };
        if let Some(holds) = self.test.holds(&candidate) {
            return Ok(holds);
        }
        if is_small {
            let whole = if first.len() as u64 >= size { first } else { self.read(&open.row, 0, size).await? };
            return Ok(decided(&self.test, open, &header, &whole));
        }
        let _permit = self.context.imap.large_messages.acquire().await;
        let whole = self.read(&open.row, 0, size).await?;
        let (test, open) = (Arc::clone(&self.test), open.clone());
        let tested = tokio::task::spawn_blocking(move || decided(&test, &open, &header, &whole)).await;
        tested.map_err(|_| StoreError::Io("a search broke off".to_owned()))
    }

    /// The header section; `first` are the message's first octets, more are read until its empty line is there.
    async fn header(&self, row: &MessageRow, first: Bytes) -> Result<Bytes, StoreError> {
        let size = u64::from(row.size_bytes);
        let end = message::header::header_end(&first);
        if end < first.len() || first.len() as u64 >= size {
            return Ok(first.slice(..end));
        }
        let mut octets = first.to_vec();
        loop {
            // Twice as much each time: what was looked through before is looked through again.
            let piece = self.read(row, octets.len() as u64, octets.len() as u64).await?;
            octets.extend_from_slice(&piece);
            let end = message::header::header_end(&octets);
            if end < octets.len() || piece.is_empty() || octets.len() as u64 >= size {
                octets.truncate(end);
                return Ok(octets.into());
            }
        }
    }

    async fn read(&self, row: &MessageRow, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.context.store.body(self.account, row.email, offset, len).await
    }
}

/// The answer when everything is at hand.
fn decided(test: &Test, open: &Open, header: &[u8], message: &[u8]) -> bool {
    let (header, message) = (Some(header), Some(message));
    test.holds(&Candidate { index: open.index, row: &open.row, recent: open.recent, header, message }).unwrap_or(false)
}
