//! RETR and TOP: a message of any size passes through in pieces.
//!
//! Invariants: a message that cannot be read to its end is never ended as if it were whole: the connection closes. Who did not
//! say UTF8 is sent no UTF-8 in a header (RFC 6856 §8), but the surrogate of RFC 6858.

use super::Face;
use bytes::Bytes;
use message::downgrade;
use store::{AccountId, EmailId, Store, StoreError};
use tokio::sync::broadcast::error::TryRecvError;
use wire::pop3::Refusal;

/// Octets read from the store at once.
const PIECE_BYTES: u64 = 128 * 1024;
/// The first piece: most messages, and what TOP needs of the others. So much is collected before it is written.
const FIRST_PIECE_BYTES: u64 = 32 * 1024;
/// A header beyond this is nobody's, and goes as it is.
const HEADER_BYTES_MAX: u64 = 1024 * 1024;

/// A message on its way out.
struct Reading {
    store: Store,
    account: AccountId,
    email: EmailId,
    size: u64,
    offset: u64,
    /// Read, but not passed on.
    ahead: Bytes,
    /// Where headers begin and end, the next one last; empty where they go as they are.
    headers: Vec<(u64, u64)>,
}

impl Reading {
    /// The next piece as it is stored, of at most `max` octets. Fails with what the store said; with nothing at an early end.
    async fn piece(&mut self, max: u64) -> Result<Bytes, Option<StoreError>> {
        if self.ahead.is_empty() {
            let length = if self.offset == 0 { FIRST_PIECE_BYTES } else { PIECE_BYTES };
            self.ahead = self.store.body(self.account, self.email, self.offset, length).await.map_err(Some)?;
        }
        let piece = self.ahead.split_to(self.ahead.len().min(usize::try_from(max).unwrap_or(usize::MAX)));
        self.offset += piece.len() as u64;
        if piece.is_empty() { Err(None) } else { Ok(piece) }
    }

    /// A short message that is ASCII altogether is not looked at closer.
    async fn find_headers(&mut self) -> Result<(), Option<StoreError>> {
        self.ahead = self.store.body(self.account, self.email, 0, FIRST_PIECE_BYTES).await.map_err(Some)?;
        if self.ahead.len() as u64 >= self.size && self.ahead.is_ascii() {
            return Ok(());
        }
        // Apart: a session that waits should not have room for it.
        Box::pin(self.list_headers()).await
    }

    async fn list_headers(&mut self) -> Result<(), Option<StoreError>> {
        let facts = self.store.facts(self.account, &[self.email]).await.map_err(Some)?.into_iter().next().flatten();
        let parts = facts.iter().flat_map(|facts| &facts.parts).map(|part| part.header());
        self.headers = parts.map(|range| (range.start as u64, range.end as u64)).filter(|(start, end)| start < end).collect();
        self.headers.sort_unstable_by(|one, other| other.cmp(one));
        Ok(())
    }

    /// What is passed on next.
    async fn next(&mut self) -> Result<Bytes, Option<StoreError>> {
        while self.headers.pop_if(|(start, end)| *start < self.offset || *end - *start > HEADER_BYTES_MAX).is_some() {}
        match self.headers.last().copied() {
            Some((start, end)) if start == self.offset => {
                let mut header = Vec::new();
                while self.offset < end {
                    header.extend_from_slice(&self.piece(end - self.offset).await?);
                }
                Ok(Bytes::from(downgrade::header(&header).into_owned()))
            }
            Some((start, _)) => self.piece(start - self.offset).await,
            None => self.piece(u64::MAX).await,
        }
    }
}

impl Face {
    pub(super) async fn send_content(&mut self, message: u32) {
        let Some(signed_in) = &self.signed_in else {
            self.session.refuse(Refusal::Temporary);
            return;
        };
        let Some(row) = signed_in.inbox.row(message) else {
            self.session.refuse(Refusal::Gone);
            return;
        };
        let (account, email, size) = (signed_in.account.id, row.email, u64::from(row.size_bytes));
        let store = self.context.store.clone();
        let mut reading = Reading { store, account, email, size, offset: 0, ahead: Bytes::new(), headers: Vec::new() };
        if size > 0
            && !self.session.is_utf8()
            && let Err(error) = reading.find_headers().await
        {
            return self.give_up(message, 0, error);
        }
        let (mut passed, mut collected) = (0, 0);
        while reading.offset < size {
            let piece = match reading.next().await {
                Ok(piece) => piece,
                Err(error) => return self.give_up(message, passed, error),
            };
            passed += piece.len() as u64;
            collected += piece.len() as u64;
            if !self.session.content(&piece) {
                break;
            }
            // What the last piece leaves is written together with the terminator.
            if reading.offset >= size || collected < FIRST_PIECE_BYTES {
                continue;
            }
            collected = 0;
            if !(self.connection.flush(&mut self.session).await && self.may_go_on().await) {
                self.session.content_broken();
                return;
            }
        }
        self.session.content_end();
    }

    fn give_up(&mut self, message: u32, offset: u64, error: Option<StoreError>) {
        let gone = matches!(error, Some(StoreError::NotFound));
        if !gone {
            tracing::warn!(message, offset, ?error, "cannot read a message");
        }
        match (offset, gone) {
            (0, true) => self.session.refuse(Refusal::Gone),
            (0, false) => self.session.refuse(Refusal::Temporary),
            _ => self.session.content_broken(),
        }
    }

    /// A long message does not outlive its reader's sign-in.
    async fn may_go_on(&mut self) -> bool {
        let ours = self.signed_in.as_ref().map(|signed_in| signed_in.account.clone());
        let Some(account) = ours else { return false };
        loop {
            match self.epochs.try_recv() {
                Ok(id) if id != account.id => {}
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Closed) => return false,
                Ok(_) | Err(TryRecvError::Lagged(_)) if !self.context.auth.still_good(&account).await => return false,
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
            }
        }
    }
}
