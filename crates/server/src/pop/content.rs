//! RETR and TOP: a message of any size passes through in pieces.
//!
//! Invariant: a message that cannot be read to its end is never ended as if it were whole: the connection closes.

use super::Face;
use store::StoreError;
use tokio::sync::broadcast::error::TryRecvError;
use wire::pop3::Refusal;

/// Octets read from the store at once.
const PIECE_BYTES: u64 = 128 * 1024;
/// The first piece: most messages, and what TOP needs of the others.
const FIRST_PIECE_BYTES: u64 = 32 * 1024;

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
        let mut offset = 0;
        while offset < size {
            let length = if offset == 0 { FIRST_PIECE_BYTES } else { PIECE_BYTES };
            let piece = match self.context.store.body(account, email, offset, length).await {
                Ok(piece) if !piece.is_empty() => piece,
                trouble => {
                    self.give_up(message, offset, trouble.err());
                    return;
                }
            };
            offset += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            if !self.session.content(&piece) {
                break;
            }
            // What the last piece leaves is written together with the terminator.
            if offset < size && !(self.connection.flush(&mut self.session).await && self.may_go_on().await) {
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
