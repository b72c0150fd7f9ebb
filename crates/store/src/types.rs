//! The nouns of the store's upper door: plain values, no behaviour beyond conversions.
//! Invariant: every id here is given once and never reused. Must not know: keys, engines, protocol words.

pub use crate::packed::{Difference, Rows};
use bytes::Bytes;
use smol_str::SmolStr;
use std::sync::Arc;

/// An account. Never reused, also not after removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u32);

/// A mailbox (IMAP folder), unique within its account, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(pub u32);

/// One message in one account. A copy is a new email with the same body (RFC 8621's `Email` id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailId(pub u64);

/// Stored octets, shared by every email and queue entry that refers to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyId(pub u64);

/// One queue entry: one message for one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u64);

/// A message's unique identifier in its mailbox (RFC 9051 §2.3.1.1); never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub u32);

/// Modification sequence, one ever-growing counter per account (RFC 7162); below 2^63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ModSeq(pub u64);

/// Seconds since 1970-01-01 UTC. Time is an argument of every act that needs it.
pub type UnixSecs = i64;

/// The SCRAM-SHA-256 verifier (RFC 5803): no password, but enough to check one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    /// Salt octets.
    pub salt: Vec<u8>,
    /// PBKDF2 rounds.
    pub iterations: u32,
    /// H(ClientKey), 32 octets.
    pub stored_key: [u8; 32],
    /// ServerKey, 32 octets.
    pub server_key: [u8; 32],
}

/// What proves who an account's owner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// argon2id in PHC string form.
    pub argon2: String,
    /// Absent where SCRAM is switched off.
    pub scram: Option<ScramVerifier>,
}

/// An account as the directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Never reused.
    pub id: AccountId,
    /// `local@domain`, as normalised by [`crate::normalise`].
    pub address: String,
    /// Password verifiers.
    pub secrets: Secrets,
    /// No sign-in while true; mail is still accepted.
    pub suspended: bool,
    /// Octets; `None` is unlimited.
    pub quota_bytes: Option<u64>,
    /// When it was made.
    pub created_secs: UnixSecs,
    /// Grows with every change of secrets, suspension or removal; a session signed in under an older one must end.
    pub epoch: u64,
    /// Passwords for single programs, beside the owner's own.
    pub app_passwords: Vec<AppPassword>,
}

/// A password made by us for one program: long and random, so a fast hash is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// Unique within the account.
    pub name: String,
    /// When it was made.
    pub created_secs: UnixSecs,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// For SCRAM with the account's own salt; more than one where its rounds are going to change.
    pub scram: Vec<ScramVerifier>,
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// `local@domain`; normalised by the store.
    pub address: String,
    /// Password verifiers.
    pub secrets: Secrets,
    /// Octets; `None` is unlimited.
    pub quota_bytes: Option<u64>,
}

/// An alias and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// `local@domain`, normalised.
    pub address: String,
    /// Addresses, here or elsewhere; never empty.
    pub targets: Vec<String>,
}

/// RFC 6154 §2 (the exact names: `\Drafts`, not `\Draft`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum SpecialUse {
    All = 1,
    Archive = 2,
    Drafts = 3,
    Flagged = 4,
    Junk = 5,
    Sent = 6,
    Trash = 7,
    Important = 8,
}

/// A mailbox of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Unique within the account, never reused.
    pub id: MailboxId,
    /// UTF-8, levels parted by `/`; `INBOX` is always spelled so.
    pub name: SmolStr,
    /// RFC 9051 §2.3.1.1.
    pub uid_validity: u32,
    /// RFC 6154.
    pub special_use: Option<SpecialUse>,
    /// On the account's subscription list.
    pub subscribed: bool,
}

/// Counts of a mailbox, all from one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct MailboxStatus {
    pub messages: u32,
    pub unseen: u32,
    pub deleted: u32,
    /// Sum of octets of all messages.
    pub size_bytes: u64,
    pub uid_validity: u32,
    pub uid_next: u32,
    pub highest_mod_seq: ModSeq,
}

/// What an account holds and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Usage {
    pub bytes: u64,
    /// `None` is unlimited.
    pub quota_bytes: Option<u64>,
    /// At most [`crate::limits::MESSAGES_MAX`].
    pub messages: u64,
    /// At most [`crate::limits::MAILBOXES_MAX`].
    pub mailboxes: u64,
}

/// System flags as bits, keywords as sorted unique words (kept as first spelled, compared without case).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// Or of the `Flags::SEEN` ... bits.
    pub system: u8,
    /// `None` when there are none, which is the usual case.
    pub keywords: Option<Arc<[SmolStr]>>,
}

#[allow(missing_docs)]
impl Flags {
    pub const SEEN: u8 = 1;
    pub const ANSWERED: u8 = 2;
    pub const FLAGGED: u8 = 4;
    pub const DELETED: u8 = 8;
    pub const DRAFT: u8 = 16;
}

/// One message in a mailbox, small enough to hold 100,000 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MessageRow {
    pub uid: Uid,
    pub email: EmailId,
    pub mod_seq: ModSeq,
    pub flags: Flags,
    /// INTERNALDATE.
    pub internal_date_secs: UnixSecs,
    /// Exact octets on the wire.
    pub size_bytes: u32,
}

/// A mailbox at one instant: rows ascending by UID.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub mailbox: Mailbox,
    pub uid_next: Uid,
    pub highest_mod_seq: ModSeq,
    /// Shared with the store and with other sessions; copy on write.
    pub rows: Rows,
}

/// What happened in one mailbox after a given mod-sequence.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Changes {
    /// New or changed rows, ascending by UID, each once, as they are now.
    pub updated: Vec<MessageRow>,
    /// Expunged UIDs, ascending. Complete only if `complete`.
    pub vanished: Vec<Uid>,
    pub highest_mod_seq: ModSeq,
    pub uid_next: Uid,
    /// False when the change log no longer reaches back to the asked mod-sequence: take a fresh snapshot.
    pub complete: bool,
    /// True when the mailbox itself is gone.
    pub gone: bool,
}

impl Default for Uid {
    fn default() -> Self {
        Uid(1)
    }
}

/// The flags an act may touch: all others stay as they are, and a new message does not get them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagMask {
    /// Or of the `Flags::SEEN` ... bits.
    pub system: u8,
    /// Keywords too.
    pub keywords: bool,
}

impl FlagMask {
    /// All there are.
    pub const ALL: FlagMask = FlagMask { system: u8::MAX, keywords: true };

    /// Of these flags those that may be given.
    pub fn of(self, flags: &Flags) -> Flags {
        let keywords = flags.keywords.clone().filter(|_| self.keywords);
        Flags { system: flags.system & self.system, keywords }
    }

    /// `now`, where it may differ from `before`.
    pub(crate) fn within(self, before: &Flags, now: Flags) -> Flags {
        let keywords = if self.keywords { now.keywords } else { before.keywords.clone() };
        Flags { system: (now.system & self.system) | (before.system & !self.system), keywords }
    }
}

/// What became of something in an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Touch {
    Created = 0,
    Updated = 1,
    Destroyed = 2,
}

/// What happened to one mailbox's messages in a stretch of an account's changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxChanges {
    /// New or changed, ascending; some may be gone again.
    pub updated: Vec<Uid>,
    /// The first UID that was given in this stretch; `None`: none was.
    pub created_from: Option<Uid>,
    /// What went, and which email it was.
    pub vanished: Vec<(Uid, EmailId)>,
}

/// What happened in a whole account after a given mod-sequence, up to `mod_seq`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountChanges {
    /// How far this tells.
    pub mod_seq: ModSeq,
    /// True when more happened after `mod_seq`.
    pub more: bool,
    /// By mailbox; also of mailboxes that are gone.
    pub messages: std::collections::BTreeMap<MailboxId, MailboxChanges>,
    /// Mailboxes made, renamed (or otherwise changed by themselves, not by their messages) and removed; in order, the same one
    /// perhaps more than once.
    pub mailboxes: Vec<(MailboxId, Touch)>,
    /// Records likewise: (collection, id).
    pub records: Vec<(u8, SmolStr, Touch)>,
}

/// What becomes of one email that lies in one or more mailboxes: [`crate::Store::arrange`].
#[derive(Debug, Clone, Default)]
pub struct Arrangement {
    /// Where it lies.
    pub rows: Vec<(MailboxId, Uid)>,
    /// What becomes of its flags; \\Deleted stays as it is.
    pub flags: FlagsWanted,
    /// Where it is to lie; empty: nowhere, it is expunged. `None`: as it does.
    pub mailboxes: Option<Vec<MailboxId>>,
}

/// See [`Arrangement`].
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub enum FlagsWanted {
    #[default]
    Same,
    These(Flags),
    Change {
        add: Flags,
        remove: Flags,
    },
}

/// STORE's three ways (RFC 9051 §6.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FlagOp {
    Replace,
    Add,
    Remove,
}

/// The answer to a change of flags.
#[derive(Debug, Clone, Default)]
pub struct FlagsChanged {
    /// Every named message that exists, as it is now (also those that already had the flags).
    pub rows: Vec<MessageRow>,
    /// UIDs refused because of `unchanged_since` (RFC 7162 §3.1.3).
    pub modified: Vec<Uid>,
    /// All rows of the mailbox before it and after it, where nothing else came between.
    pub whole: Option<(Rows, Rows)>,
}

/// The answer to a copy or move (RFC 9051 COPYUID).
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Copied {
    pub uid_validity: u32,
    /// (source, destination), ascending by source.
    pub pairs: Vec<(Uid, Uid)>,
}

/// Where a delivery goes within its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By id.
    Mailbox(MailboxId),
    /// INBOX.
    Inbox,
    /// The mailbox with that use, made with its usual name when the account has none.
    Use(SpecialUse),
}

/// One local recipient of an [`Acceptance`].
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Delivery {
    pub account: AccountId,
    pub target: Target,
    pub flags: Flags,
    pub internal_date_secs: UnixSecs,
}

/// Finished octets from a [`crate::Spool`]: in memory when small, a file when large.
#[derive(Debug, Clone)]
pub struct Spooled {
    pub(crate) inner: Arc<crate::spool::SpooledInner>,
}

/// Everything that accepting one message changes: one commit, visible everywhere at once or not at all.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// The octets as they will be read (trace fields already in front).
    pub body: Spooled,
    /// Computed once, by the caller, from exactly these octets.
    pub facts: Arc<message::facts::Facts>,
    /// Local recipients.
    pub deliveries: Vec<Delivery>,
    /// Remote recipients, grouped by destination.
    pub queue: Vec<NewQueueEntry>,
    /// What `trace` will tell.
    pub trace: Vec<TraceEvent>,
    /// Present: a second acceptance with the same key within the kept window answers as the first did.
    pub idempotency: Option<[u8; 16]>,
}

/// What an acceptance became.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Accepted {
    /// Where each delivery went, in the order given.
    pub delivered: Vec<(AccountId, MailboxId, Uid, EmailId)>,
    pub queued: Vec<QueueId>,
}

/// One message of an APPEND.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct NewEmail {
    pub body: Spooled,
    pub facts: Arc<message::facts::Facts>,
    pub flags: Flags,
    pub internal_date_secs: UnixSecs,
}

/// The answer to APPEND (APPENDUID).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Appended {
    pub uid_validity: u32,
    pub uids: Vec<Uid>,
}

/// A message for one destination, waiting to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewQueueEntry {
    /// Lower-case domain, or an address literal in brackets; the unit of concurrency and back-off.
    pub destination: SmolStr,
    /// Empty is the null reverse-path.
    pub reverse_path: String,
    /// One row a recipient.
    pub recipients: Vec<QueueRecipient>,
    /// The signed-in account that submitted it.
    pub account: Option<AccountId>,
    /// First attempt not before this.
    pub due_secs: UnixSecs,
    /// Given up after this.
    pub expires_secs: UnixSecs,
    /// MAIL parameter BODY=8BITMIME or BINARYMIME applies (the octets have the eighth bit).
    pub eight_bit: bool,
    /// Needs SMTPUTF8 at the next hop (never downgraded, RFC 6531).
    pub smtputf8: bool,
    /// DSN RET=HDRS asked (RFC 3461 §4.3).
    pub ret_headers: bool,
    /// DSN ENVID, decoded (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// See there.
    pub service: QueueService,
}

/// One recipient of a queue entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecipient {
    /// `local@domain`, spelled as the sender did.
    pub address: String,
    /// DSN ORCPT, decoded, with its type: `rfc822;a@b` (RFC 3461 §4.2).
    pub original: Option<String>,
    /// DSN NOTIFY as bits; 0 is "not given" (then FAILURE and DELAY).
    pub notify: u8,
    /// Where it stands.
    pub state: RecipientState,
    /// The last reply in plain words, with who said it: `mx.there.test: 451 4.3.0 Try later`.
    pub last_reply: String,
    /// A delay notice has been sent.
    pub delay_told: bool,
}

#[allow(missing_docs)]
impl QueueRecipient {
    pub const NOTIFY_NEVER: u8 = 1;
    pub const NOTIFY_SUCCESS: u8 = 2;
    pub const NOTIFY_FAILURE: u8 = 4;
    pub const NOTIFY_DELAY: u8 = 8;
}

/// The states of a queued recipient; the last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum RecipientState {
    Waiting = 0,
    Delivered = 1,
    Failed = 2,
    Dropped = 3,
}

/// A queue entry as kept.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct QueueEntry {
    pub id: QueueId,
    pub body: BodyId,
    pub size_bytes: u32,
    pub message: NewQueueEntry,
    pub created_secs: UnixSecs,
    pub attempts: u32,
    pub held: bool,
    /// When it is tried next; `message.due_secs` is the first due time.
    pub next_secs: UnixSecs,
    /// The Message-ID header, for people.
    pub message_id: Option<SmolStr>,
}

/// What the sender asked of the delivery beside sending it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueService {
    /// Only over TLS that is verified and goes on so (RFC 8689).
    pub require_tls: bool,
    /// Only by then (RFC 2852).
    pub deliver_by_secs: Option<UnixSecs>,
    /// Past it the sender is told, and it goes on; else it comes back.
    pub deliver_by_notify: bool,
    /// Whoever passes it on tells the sender so (RFC 2852's by-trace).
    pub deliver_by_trace: bool,
    /// What kinds of solicitation it says it is (RFC 3865).
    pub solicitations: Vec<String>,
    /// -9 to 9 (RFC 6710).
    pub priority: i8,
}

/// A leased queue entry: until `lease_until_secs` nobody else gets it; `token` proves the lease at settling.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Claim {
    pub entry: QueueEntry,
    pub token: u64,
    pub lease_until_secs: UnixSecs,
}

/// How an attempt ended: the entry's new content, and what else the same commit does.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// All recipients with their new states. When none is `Waiting` the entry is removed.
    pub recipients: Vec<QueueRecipient>,
    /// Next attempt, for those still waiting.
    pub next_secs: UnixSecs,
    /// False when nothing was really tried (no connection slot); then `attempts` does not grow.
    pub attempted: bool,
    /// Bounces and notices born of this attempt, in the same commit.
    pub notices: Vec<Acceptance>,
    /// For `trace`.
    pub trace: Vec<TraceEvent>,
    /// Positions of recipients that do not exist, by their server's word: they count towards suppression.
    pub bounced: Vec<usize>,
    /// When it was.
    pub now_secs: UnixSecs,
}

/// What an operator does to a queue entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum QueueAct {
    Retry {
        now_secs: UnixSecs,
    },
    Hold,
    Release {
        now_secs: UnixSecs,
    },
    /// Not before this.
    Schedule {
        at_secs: UnixSecs,
    },
    /// Sent to another destination (a domain, an address literal); the recipients stay.
    Reroute {
        destination: SmolStr,
        now_secs: UnixSecs,
    },
    /// Removed without a bounce; traced.
    Drop,
}

/// One due queue entry, as the time index has it: enough to share out the work without reading entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DueRow {
    pub id: QueueId,
    pub due_secs: UnixSecs,
    /// [`crate::lane_of`] its destination.
    pub lane: u64,
    /// The same for everything one account (or, without one, one reverse-path) sends.
    pub sender: u64,
}

/// Some due entries, and where to go on.
#[derive(Debug, Clone, Default)]
pub struct DueScan {
    /// In the order of their due times (newest first where asked so). Leased and frozen ones are left out.
    pub rows: Vec<DueRow>,
    /// The last row that was looked at; `None` when the end was reached.
    pub behind: Option<(UnixSecs, QueueId)>,
}

/// What sending stands still for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Frozen {
    /// Everything that leaves.
    All,
    /// What this account sends.
    Account(AccountId),
    /// What goes to this destination (lower-case domain or address literal).
    Destination(SmolStr),
}

/// A freeze as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Freeze {
    pub what: Frozen,
    pub since_secs: UnixSecs,
    /// For people.
    pub why: String,
}

/// An address that mail is not sent to any more, or that is on its way there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Suppressed {
    pub address: String,
    /// Hard bounces since the last success.
    pub bounces: u32,
    /// Mail to it is refused.
    pub listed: bool,
    pub last_secs: UnixSecs,
    /// The last reply, or the operator's word.
    pub why: String,
}

/// A domain's MTA-STS policy as it is kept between deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPolicy {
    /// The TXT record's id it was fetched under.
    pub id: String,
    /// When.
    pub fetched_secs: UnixSecs,
    /// When mail to the domain last needed it, to within a day.
    pub used_secs: UnixSecs,
    /// The policy's own words.
    pub text: String,
}

/// A queue row that could not be read: set aside, reported, never a stop.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct BadQueueRow {
    pub id: QueueId,
    pub reason: String,
}

/// One line of "what happened": written in the commit of the act it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEvent {
    /// When.
    pub at_secs: UnixSecs,
    /// What: `accepted`, `refused`, `stored`, `delivered`, `deferred`, `bounced`, `moved`, `expunged`, ...
    pub what: SmolStr,
    /// Address, Message-ID, queue id, IP ... : the keys it is found by, as (kind, value).
    pub keys: Vec<(SmolStr, String)>,
    /// In plain words. No body, secret or token.
    pub detail: String,
    /// Whose own part it is: that account's owner may read it, so it names no other recipient.
    pub account: Option<AccountId>,
}

impl TraceEvent {
    /// Of nobody in particular, without keys.
    pub fn new(at_secs: UnixSecs, what: &'static str, detail: impl Into<String>) -> TraceEvent {
        TraceEvent { at_secs, what: SmolStr::new_static(what), keys: Vec::new(), detail: detail.into(), account: None }
    }

    /// One more key to find it by; an empty value is none.
    pub fn key(mut self, kind: &'static str, value: impl Into<String>) -> TraceEvent {
        let value = value.into();
        if !value.is_empty() {
            self.keys.push((SmolStr::new_static(kind), value));
        }
        self
    }

    /// An account's own part of what happened: found by it, readable by its owner, erased with it.
    pub fn of(mut self, account: AccountId) -> TraceEvent {
        self.account = Some(account);
        self.key("account", account.0.to_string())
    }
}

/// Who acts through a handle of the store, for `trace`: see [`crate::Store::by`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct By {
    pub(crate) who: SmolStr,
    pub(crate) now_secs: UnixSecs,
}

/// An expunged message that can still be brought back.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Undoable {
    /// Names it for `undo_restore`.
    pub email: EmailId,
    pub mailbox: MailboxId,
    pub mailbox_name: SmolStr,
    pub expunged_secs: UnixSecs,
    pub size_bytes: u32,
    /// Subject and From for people, decoded.
    pub subject: String,
    pub from: String,
}

/// One broken invariant found by `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// Where: `account 3 mailbox 1 uid 17`, `segment 2 offset 4096`, ...
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// What `rebuild` did.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Rebuilt {
    pub accounts: u64,
    pub messages: u64,
    pub skipped: Vec<Defect>,
}

/// The store's trouble. Refusals and failures are told apart by [`StoreError::is_refusal`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StoreError {
    NotFound,
    Exists,
    /// The account's quota is used up.
    OverQuota,
    /// Under the free-space watermark, or the disk is full.
    NoSpace,
    /// The act is against a rule (deleting INBOX, a name that is not one): why, for people.
    Invalid(&'static str),
    /// The lease ended or somebody else has the entry.
    LeaseLost,
    /// Another process has the data directory.
    Locked(String),
    /// Stored bytes failed their checksum or decode; never served as good.
    Damaged(String),
    /// Input or output failed.
    Io(String),
}

/// What octets come back as.
pub type Octets = Bytes;

impl StoreError {
    /// True for an answer to the asker (no such thing, over quota, against a rule); false for trouble of ours.
    pub fn is_refusal(&self) -> bool {
        match self {
            StoreError::NotFound
            | StoreError::Exists
            | StoreError::OverQuota
            | StoreError::NoSpace
            | StoreError::Invalid(_)
            | StoreError::LeaseLost => true,
            StoreError::Locked(_) | StoreError::Damaged(_) | StoreError::Io(_) => false,
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::NotFound => f.write_str("there is no such thing"),
            StoreError::Exists => f.write_str("it exists already"),
            StoreError::OverQuota => f.write_str("the account is over its quota"),
            StoreError::NoSpace => f.write_str("the disk is full, or nearly so"),
            StoreError::Invalid(why) => f.write_str(why),
            StoreError::LeaseLost => f.write_str("the entry is being sent by somebody else"),
            StoreError::Locked(who) => f.write_str(who),
            StoreError::Damaged(what) => write!(f, "damaged: {what}"),
            StoreError::Io(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StoreError {}
