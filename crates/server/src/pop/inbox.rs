//! INBOX as a maildrop: numbered as it was at sign-in (RFC 1939 §5, §8).
//!
//! A unique-id is `UIDVALIDITY.UID`: the store never gives a pair twice, so it names one message for ever. A message that an
//! import brought by POP3 keeps the unique-id it had there, so that nobody fetches all again after a move.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use store::{AccountId, Mailbox, MailboxId, MessageRow, Snapshot, Store, StoreError, Uid};
use wire::pop3::Maildrop;

/// Marks read at once.
const MARKS_AT_ONCE: usize = 5_000;

/// The messages of one session. Cheap to clone: the rows are the store's.
#[derive(Clone)]
pub(super) struct Inbox {
    snapshot: Snapshot,
    /// Unique-ids from elsewhere, by UID.
    kept: Arc<HashMap<Uid, String>>,
}

impl Inbox {
    pub(super) async fn open(store: &Store, account: AccountId) -> Result<Inbox, StoreError> {
        let mailbox = store.mailbox(account, "INBOX").await?.ok_or(StoreError::NotFound)?;
        let kept = Arc::new(kept(store, account, &mailbox).await?);
        Ok(Inbox { snapshot: store.snapshot(account, mailbox.id).await?, kept })
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

/// Marks `uidl/MAILBOX/UNIQUE-ID` with the UID as value. One that is no unique-id (RFC 1939 §7) or looks like ours is not kept.
async fn kept(store: &Store, account: AccountId, mailbox: &Mailbox) -> Result<HashMap<Uid, String>, StoreError> {
    let prefix = format!("uidl/{}/", mailbox.id.0);
    let ours = format!("{}.", mailbox.uid_validity);
    let mut kept = HashMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.marks(account, &prefix, after.as_deref(), MARKS_AT_ONCE).await?;
        after = page.last().map(|(name, _)| name.clone());
        let whole = page.len() == MARKS_AT_ONCE;
        for (name, value) in page {
            let id = name.get(prefix.len()..).unwrap_or_default();
            let uid = <[u8; 4]>::try_from(value.as_slice()).map(u32::from_be_bytes);
            let fine = (1..=70).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) && !id.starts_with(&ours);
            if let (Ok(uid), true) = (uid, fine) {
                kept.insert(Uid(uid), id.to_owned());
            }
        }
        if !whole {
            return Ok(kept);
        }
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
        if let Some(kept) = self.kept.get(&Uid(uid)) {
            out.extend_from_slice(kept.as_bytes());
            return;
        }
        // Writing to memory does not fail.
        let _ = write!(out, "{}.{uid}", self.snapshot.mailbox.uid_validity);
    }
}
