//! Tests of the whole store, on both engines. Every test ends with `check`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)]

mod acts;
mod damage;
mod durability;
mod facts;
mod failing;
mod flips;
mod model;
mod queue;
mod rates;
mod together;

use crate::*;
use ::message::facts::Facts;
use bytes::Bytes;
use std::sync::Arc;

pub(crate) const NOW: UnixSecs = 1_800_000_000;

pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }
    pub(crate) fn config(&self) -> StoreConfig {
        StoreConfig {
            data_dir: self.folder.path().join("data"),
            undo_days: 30,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 50 << 20,
        }
    }
    pub(crate) async fn open(&self) -> Store {
        Store::open(self.config()).await.unwrap()
    }
}

/// A place and a store on each engine.
pub(crate) async fn both() -> Vec<(Place, Store)> {
    let (one, two) = (Place::new(), Place::new());
    let embedded = one.open().await;
    let memory = Store::memory(two.config()).await.unwrap();
    vec![(one, embedded), (two, memory)]
}

pub(crate) fn secrets() -> Secrets {
    Secrets { argon2: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".into(), scram: None }
}

pub(crate) fn new_account(address: &str) -> NewAccount {
    NewAccount { address: address.into(), secrets: secrets(), quota_bytes: None }
}

pub(crate) async fn ann(store: &Store) -> AccountId {
    store.accounts_add(vec![new_account("ann@here.test")], NOW).await.unwrap()[0]
}

pub(crate) async fn inbox(store: &Store, account: AccountId) -> MailboxId {
    store.mailbox(account, "inbox").await.unwrap().unwrap().id
}

pub(crate) fn text(number: usize) -> Bytes {
    Bytes::from(format!(
        "From: Bob <bob@there.test>\r\nSubject: number {number}\r\nMessage-ID: <{number}@there.test>\r\n\r\nHello {number}\r\n"
    ))
}

pub(crate) fn facts(octets: &[u8]) -> Arc<Facts> {
    Arc::new(Facts::compute(octets))
}

pub(crate) fn email(octets: Bytes) -> NewEmail {
    let facts = facts(&octets);
    NewEmail { body: Spooled::from_bytes(octets), facts, flags: Flags::default(), internal_date_secs: NOW }
}

pub(crate) fn acceptance(octets: Bytes, accounts: &[AccountId]) -> Acceptance {
    let deliver = |account: &AccountId| Delivery {
        account: *account,
        target: Target::Inbox,
        flags: Flags::default(),
        internal_date_secs: NOW,
    };
    Acceptance {
        facts: facts(&octets),
        body: Spooled::from_bytes(octets),
        deliveries: accounts.iter().map(deliver).collect(),
        queue: Vec::new(),
        trace: Vec::new(),
        idempotency: None,
    }
}

pub(crate) async fn sound(store: &Store) {
    let defects = store.check().await.unwrap();
    assert!(defects.is_empty(), "{defects:#?}");
}

pub(crate) async fn uids(store: &Store, account: AccountId, mailbox: MailboxId) -> Vec<u32> {
    store.snapshot(account, mailbox).await.unwrap().rows.iter().map(|row| row.uid.0).collect()
}

/// Appends one message.
pub(crate) async fn add(store: &Store, account: AccountId, mailbox: MailboxId) -> Uid {
    store.append(account, mailbox, vec![email(text(1))]).await.unwrap().uids[0]
}
