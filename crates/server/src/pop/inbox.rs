//! INBOX as a maildrop: numbered as it was at sign-in (RFC 1939 §5, §8).
//!
//! A unique-id is `UIDVALIDITY.UID`: the store never gives a pair twice, so it names one message for ever.

use std::io::Write;
use store::{AccountId, MailboxId, MessageRow, Snapshot, Store, StoreError, Uid};
use wire::pop3::Maildrop;

/// The messages of one session. Cheap to clone: the rows are the store's.
#[derive(Clone)]
pub(super) struct Inbox {
    snapshot: Snapshot,
}

impl Inbox {
    pub(super) async fn open(store: &Store, account: AccountId) -> Result<Inbox, StoreError> {
        let mailbox = store.mailbox(account, "INBOX").await?.ok_or(StoreError::NotFound)?;
        Ok(Inbox { snapshot: store.snapshot(account, mailbox.id).await? })
    }

    pub(super) fn mailbox(&self) -> MailboxId {
        self.snapshot.mailbox.id
    }

    pub(super) fn len(&self) -> usize {
        self.snapshot.rows.len()
    }

    /// Message `number`, from 1.
    pub(super) fn row(&self, number: u32) -> Option<MessageRow> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.snapshot.rows.get(index)
    }

    pub(super) fn uids(&self, numbers: &[u32]) -> Vec<Uid> {
        numbers.iter().filter_map(|number| self.row(*number)).map(|row| row.uid).collect()
    }
}

impl Maildrop for Inbox {
    fn count(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    fn octets(&self, number: u32) -> u64 {
        self.row(number).map_or(0, |row| u64::from(row.size_bytes))
    }

    fn unique_id(&self, number: u32, out: &mut Vec<u8>) {
        let uid = self.row(number).map_or(0, |row| row.uid.0);
        // Writing to memory does not fail.
        let _ = write!(out, "{}.{uid}", self.snapshot.mailbox.uid_validity);
    }
}
