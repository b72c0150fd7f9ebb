//! What Packetboat keeps: accounts, mailboxes, messages, the queue and the change log.
//!
//! One door above ([`Store`]), one narrow seam below ([`engine::Engine`]). Everything that one act
//! changes is one commit, durable before the act answers.
//! Invariant: a successful answer means synced to disk and visible to every reader.
//! Must not know: protocol words, sockets.

pub mod spool;
pub mod types;

pub use spool::Spool;
pub use types::*;

use std::path::PathBuf;
use std::sync::Arc;

/// How a store is opened.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct StoreConfig {
    pub data_dir: PathBuf,
    /// Days an expunged message stays restorable.
    pub undo_days: u32,
    /// New mail is refused while the file system has less than this free.
    pub free_bytes_min: u64,
    /// Under this (above `free_bytes_min`) the undo window is shortened, oldest first.
    pub free_bytes_tight: u64,
    pub message_bytes_max: u64,
}

/// `LOCAL@Domain` to the form addresses are compared in: domain lower-case (A-label), local part lower-case and NFC.
pub fn normalise(address: &str) -> String {
    let _ = address;
    todo!()
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    _inner: Arc<()>,
}

type Result<T> = std::result::Result<T, StoreError>;

#[allow(unused_variables, clippy::todo)]
impl Store {
    /// Opens (or makes) the store in `config.data_dir`, with the embedded engine; takes the exclusive lock.
    pub async fn open(config: StoreConfig) -> Result<Store> { todo!() }
    /// The same on the memory engine, for tests.
    pub async fn memory(config: StoreConfig) -> Result<Store> { todo!() }
    /// Waits for what is under way, snapshots nothing, releases the lock.
    pub async fn close(self) -> Result<()> { todo!() }

    // ---- directory ----
    /// Makes accounts, each with INBOX, Drafts, Sent, Junk, Trash and Archive; one commit for all. `Exists` names nothing and makes none.
    pub async fn accounts_add(&self, accounts: Vec<NewAccount>, now_secs: UnixSecs) -> Result<Vec<AccountId>> { todo!() }
    /// By normalised or plain address (normalised here). Cached: cheap on the hot path.
    pub async fn account(&self, address: &str) -> Result<Option<Arc<Account>>> { todo!() }
    /// By id. `None` once removed. Cached.
    pub async fn account_by_id(&self, id: AccountId) -> Result<Option<Arc<Account>>> { todo!() }
    /// All, by address, from after `after`, at most `limit`.
    pub async fn account_list(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Account>>> { todo!() }
    /// The first account ever made that still exists (postmaster's default).
    pub async fn account_first(&self) -> Result<Option<Arc<Account>>> { todo!() }
    /// New secrets; the epoch grows.
    pub async fn account_secrets(&self, id: AccountId, secrets: Secrets) -> Result<()> { todo!() }
    /// Suspends or resumes; the epoch grows.
    pub async fn account_suspend(&self, id: AccountId, suspended: bool) -> Result<()> { todo!() }
    /// Sets the quota.
    pub async fn account_quota(&self, id: AccountId, quota_bytes: Option<u64>) -> Result<()> { todo!() }
    /// Removes it (a tombstone stays; its mail is erased after `undo_days`); the epoch grows.
    pub async fn account_remove(&self, id: AccountId, now_secs: UnixSecs) -> Result<()> { todo!() }
    /// (octets used, messages); what is only restorable does not count.
    pub async fn account_usage(&self, id: AccountId) -> Result<(u64, u64)> { todo!() }
    /// Room for one more message of `size_bytes`? `Err(OverQuota)` / `Err(NoSpace)` if not.
    pub async fn room(&self, id: AccountId, size_bytes: u64) -> Result<()> { todo!() }
    /// The epoch of every account's sign-in facts: sessions watch it and end when theirs is old.
    pub fn epoch_watch(&self) -> tokio::sync::broadcast::Receiver<AccountId> { todo!() }

    /// Adds an alias; `Exists` if the address is an account or alias.
    pub async fn alias_add(&self, alias: Alias) -> Result<()> { todo!() }
    /// Removes it.
    pub async fn alias_remove(&self, address: &str) -> Result<()> { todo!() }
    /// One alias.
    pub async fn alias(&self, address: &str) -> Result<Option<Arc<Alias>>> { todo!() }
    /// All aliases, by address.
    pub async fn alias_list(&self) -> Result<Vec<Arc<Alias>>> { todo!() }

    // ---- mailboxes ----
    /// All mailboxes, INBOX first, then by name.
    pub async fn mailboxes(&self, account: AccountId) -> Result<Arc<Vec<Mailbox>>> { todo!() }
    /// Names on the subscription list that are no mailbox (RFC 9051 §6.3.9 \NonExistent).
    pub async fn subscriptions_elsewhere(&self, account: AccountId) -> Result<Vec<SmolName>> { todo!() }
    /// By name (INBOX in any case).
    pub async fn mailbox(&self, account: AccountId, name: &str) -> Result<Option<Mailbox>> { todo!() }
    /// Makes it, and missing superiors as real mailboxes (lessons C12); not subscribed.
    pub async fn mailbox_create(&self, account: AccountId, name: &str, special_use: Option<SpecialUse>, now_secs: UnixSecs) -> Result<Mailbox> { todo!() }
    /// Deletes it; its messages stay restorable. INBOX and a mailbox with inferiors: `Invalid`.
    pub async fn mailbox_delete(&self, account: AccountId, name: &str, now_secs: UnixSecs) -> Result<()> { todo!() }
    /// Renames it with its inferiors; INBOX: its messages move to the new one (RFC 9051 §6.3.6).
    pub async fn mailbox_rename(&self, account: AccountId, from: &str, to: &str, now_secs: UnixSecs) -> Result<()> { todo!() }
    /// On or off the subscription list; the name need not exist.
    pub async fn mailbox_subscribe(&self, account: AccountId, name: &str, subscribed: bool) -> Result<()> { todo!() }
    /// Counts, without a snapshot.
    pub async fn status(&self, account: AccountId, mailbox: MailboxId) -> Result<MailboxStatus> { todo!() }

    // ---- messages ----
    /// A place for octets that arrive in pieces.
    pub fn spool(&self) -> Spool { todo!() }
    /// Accepts a message: deliveries, queue rows, trace, in one durable commit.
    /// A delivery over quota fails the whole with `OverQuota` (callers check [`Store::room`] at RCPT).
    pub async fn accept(&self, acceptance: Acceptance) -> Result<Accepted> { todo!() }
    /// APPEND: all or none.
    pub async fn append(&self, account: AccountId, mailbox: MailboxId, emails: Vec<NewEmail>) -> Result<Appended> { todo!() }
    /// The mailbox as it is now.
    pub async fn snapshot(&self, account: AccountId, mailbox: MailboxId) -> Result<Snapshot> { todo!() }
    /// What changed after `mod_seq`.
    pub async fn changes_since(&self, account: AccountId, mailbox: MailboxId, mod_seq: ModSeq) -> Result<Changes> { todo!() }
    /// The account's newest published mod-sequence; `changed()` wakes on every commit that touches the account.
    pub async fn watch(&self, account: AccountId) -> Result<tokio::sync::watch::Receiver<ModSeq>> { todo!() }
    /// Changes flags; UIDs that do not exist are passed over.
    pub async fn flags(&self, account: AccountId, mailbox: MailboxId, uids: &[Uid], op: FlagOp, flags: &Flags, unchanged_since: Option<ModSeq>) -> Result<FlagsChanged> { todo!() }
    /// Copies, flags and INTERNALDATE kept, all or none, bodies shared.
    pub async fn copy(&self, account: AccountId, from: MailboxId, uids: &[Uid], to: MailboxId) -> Result<Copied> { todo!() }
    /// Moves, all or none: one commit, never visible in both or in neither.
    pub async fn move_(&self, account: AccountId, from: MailboxId, uids: &[Uid], to: MailboxId, now_secs: UnixSecs) -> Result<Copied> { todo!() }
    /// Expunges these UIDs (whatever their flags); they stay restorable. Returns those that were there, ascending.
    pub async fn expunge(&self, account: AccountId, mailbox: MailboxId, uids: &[Uid], now_secs: UnixSecs) -> Result<Vec<Uid>> { todo!() }
    /// Facts of many emails, in the order given; `None` where one is gone. Recomputed when of an older version.
    pub async fn facts(&self, account: AccountId, emails: &[EmailId]) -> Result<Vec<Option<Arc<message::facts::Facts>>>> { todo!() }
    /// Octets of an email from `offset`, at most `len` (short at the end). Also just after an expunge. Checksum verified.
    pub async fn body(&self, account: AccountId, email: EmailId, offset: u64, len: u64) -> Result<Octets> { todo!() }

    // ---- undo ----
    /// What can be brought back, newest first.
    pub async fn undo_list(&self, account: AccountId, limit: usize) -> Result<Vec<Undoable>> { todo!() }
    /// Brings emails back under new UIDs, to their mailbox (made again when it is gone).
    pub async fn undo_restore(&self, account: AccountId, emails: &[EmailId], now_secs: UnixSecs) -> Result<Vec<(EmailId, MailboxId, Uid)>> { todo!() }

    // ---- queue ----
    /// Entries due at `now_secs`, not held, not leased, oldest due first; and when the next one falls due.
    pub async fn queue_due(&self, now_secs: UnixSecs, limit: usize) -> Result<(Vec<QueueEntry>, Option<UnixSecs>)> { todo!() }
    /// Leases an entry; `None` when gone, held or leased by another.
    pub async fn queue_claim(&self, id: QueueId, now_secs: UnixSecs, lease_secs: u32) -> Result<Option<Claim>> { todo!() }
    /// Writes how the attempt ended, with its notices, in one commit.
    pub async fn queue_settle(&self, claim: &Claim, settlement: Settlement) -> Result<()> { todo!() }
    /// Octets of a queued message.
    pub async fn queue_body(&self, body: BodyId, offset: u64, len: u64) -> Result<Octets> { todo!() }
    /// All entries from after `after`, at most `limit`.
    pub async fn queue_list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<QueueEntry>> { todo!() }
    /// One entry.
    pub async fn queue_entry(&self, id: QueueId) -> Result<Option<QueueEntry>> { todo!() }
    /// Retry now, hold, release, drop. `LeaseLost` while it is being sent.
    pub async fn queue_act(&self, id: QueueId, act: QueueAct) -> Result<()> { todo!() }
    /// Wakes when an entry was added, released or made due.
    pub fn queue_watch(&self) -> tokio::sync::watch::Receiver<u64> { todo!() }
    /// Rows set aside.
    pub async fn queue_bad(&self) -> Result<Vec<BadQueueRow>> { todo!() }

    // ---- trace ----
    /// Writes events outside any other act (a refused RCPT), bounded, not synced before the answer.
    pub fn trace(&self, events: Vec<TraceEvent>) { todo!() }
    /// Events by key, oldest first.
    pub async fn trace_find(&self, kind: &str, value: &str, limit: usize) -> Result<Vec<TraceEvent>> { todo!() }

    // ---- care ----
    /// False under the free-space watermark (re-read at most once a second).
    pub fn has_space(&self) -> bool { todo!() }
    /// Proves every invariant; empty when sound.
    pub async fn check(&self) -> Result<Vec<Defect>> { todo!() }
    /// Erases what is past its undo days, rewrites mostly dead segments, snapshots the index once a day.
    pub async fn maintain(&self, now_secs: UnixSecs) -> Result<()> { todo!() }
    /// Makes the index anew from the newest good snapshot and the segments; the store must not be open.
    pub async fn rebuild(config: StoreConfig) -> Result<Rebuilt> { todo!() }
}

/// A mailbox name.
pub type SmolName = smol_str::SmolStr;
