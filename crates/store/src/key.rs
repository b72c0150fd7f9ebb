//! The key spaces: the one place that knows key bytes.
//!
//! A key is a kind byte, then its parts big-endian, so that bytes order as the parts do.
//! Kinds with the high bit are ledgers: `kind, id` with one ever-growing id, which engines may lay out apart.

use crate::engine::{Key, KeyBytes};
use crate::types::{AccountId, EmailId, MailboxId, QueueId, Uid, UnixSecs};

pub(crate) const ACCOUNT: u8 = 0x01;
pub(crate) const ADDRESS: u8 = 0x02;
pub(crate) const ALIAS: u8 = 0x03;
pub(crate) const COUNTER: u8 = 0x04;
pub(crate) const ACCOUNT_GONE: u8 = 0x05;
pub(crate) const SPACE: u8 = 0x10;
pub(crate) const MAILBOX: u8 = 0x11;
pub(crate) const SUBSCRIPTION: u8 = 0x12;
pub(crate) const UID: u8 = 0x13;
pub(crate) const CHANGE: u8 = 0x14;
pub(crate) const UNDO: u8 = 0x15;
pub(crate) const FLAGS: u8 = 0x16;
pub(crate) const ANNOTATION: u8 = 0x17;
/// Where conversations began.
pub(crate) const THREAD: u8 = 0x18;
pub(crate) const QUEUE: u8 = 0x20;
pub(crate) const QUEUE_DUE: u8 = 0x21;
pub(crate) const QUEUE_BAD: u8 = 0x22;
pub(crate) const FREEZE: u8 = 0x23;
pub(crate) const SUPPRESSED: u8 = 0x24;
pub(crate) const SENT_COUNTS: u8 = 0x25;
pub(crate) const KNOWN_RECIPIENT: u8 = 0x26;
pub(crate) const POLICY: u8 = 0x27;
pub(crate) const IDEMPOTENCY: u8 = 0x30;
pub(crate) const IDEMPOTENCY_ORDER: u8 = 0x31;
pub(crate) const TRACE_KEY: u8 = 0x41;
/// Access lists.
pub(crate) const ACL: u8 = 0x50;
/// When messages came into their mailbox.
pub(crate) const SAVED: u8 = 0x54;
/// What readers have seen who keep that alone.
pub(crate) const OWN_SEEN: u8 = 0x55;
pub(crate) const SIGNING_KEY: u8 = 0x60;
pub(crate) const SECRET: u8 = 0x61;
pub(crate) const GREYLIST: u8 = 0x62;
pub(crate) const REPORT_COUNT: u8 = 0x63;
pub(crate) const REPORT: u8 = 0x64;
pub(crate) const TLS_COUNT: u8 = 0x65;
pub(crate) const MARK: u8 = 0x68;
pub(crate) const RECORD: u8 = 0x70;
/// Which accounts have records in a collection.
pub(crate) const RECORD_HOLDER: u8 = 0x74;
pub(crate) const EMAIL: u8 = 0x81;
pub(crate) const TRACE: u8 = 0x82;

struct Build(KeyBytes);

impl Build {
    fn new(kind: u8) -> Build {
        Build(KeyBytes::from_slice(&[kind]))
    }
    fn u32(mut self, value: u32) -> Build {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    fn u64(mut self, value: u64) -> Build {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    /// Orders negative before positive.
    fn secs(self, value: UnixSecs) -> Build {
        self.u64((value as u64) ^ (1 << 63))
    }
    fn raw(mut self, value: &[u8]) -> Build {
        self.0.extend_from_slice(value);
        self
    }
    fn key(self) -> Key {
        Key::new(self.0)
    }
}

pub(crate) fn account(id: AccountId) -> Key {
    Build::new(ACCOUNT).u32(id.0).key()
}
pub(crate) fn address(address: &str) -> Key {
    Build::new(ADDRESS).raw(address.as_bytes()).key()
}
pub(crate) fn alias(address: &str) -> Key {
    Build::new(ALIAS).raw(address.as_bytes()).key()
}
pub(crate) fn id_ceiling() -> Key {
    Build::new(COUNTER).raw(b"i").key()
}
pub(crate) fn next_account() -> Key {
    Build::new(COUNTER).raw(b"a").key()
}
pub(crate) fn account_gone(id: AccountId) -> Key {
    Build::new(ACCOUNT_GONE).u32(id.0).key()
}
pub(crate) fn space(id: AccountId) -> Key {
    Build::new(SPACE).u32(id.0).key()
}
pub(crate) fn mailbox(id: AccountId, mailbox: MailboxId) -> Key {
    Build::new(MAILBOX).u32(id.0).u32(mailbox.0).key()
}
pub(crate) fn subscription(id: AccountId, name: &str) -> Key {
    Build::new(SUBSCRIPTION).u32(id.0).raw(name.as_bytes()).key()
}
pub(crate) fn uid(id: AccountId, mailbox: MailboxId, uid: Uid) -> Key {
    Build::new(UID).u32(id.0).u32(mailbox.0).u32(uid.0).key()
}
pub(crate) fn flags(id: AccountId, mailbox: MailboxId) -> Key {
    Build::new(FLAGS).u32(id.0).u32(mailbox.0).key()
}
pub(crate) fn change(id: AccountId, mod_seq: u64) -> Key {
    Build::new(CHANGE).u32(id.0).u64(mod_seq).key()
}
pub(crate) fn undo(id: AccountId, at: UnixSecs, email: EmailId) -> Key {
    Build::new(UNDO).u32(id.0).secs(at).u64(email.0).key()
}
pub(crate) fn annotation(id: AccountId, mailbox: MailboxId, name: &str) -> Key {
    Build::new(ANNOTATION).u32(id.0).u32(mailbox.0).raw(name.as_bytes()).key()
}
pub(crate) fn thread(id: AccountId, message: u64) -> Key {
    Build::new(THREAD).u32(id.0).u64(message).key()
}
pub(crate) fn acl(id: AccountId, mailbox: MailboxId) -> Key {
    Build::new(ACL).u32(id.0).u32(mailbox.0).key()
}
pub(crate) fn saved(id: AccountId, mailbox: MailboxId, first: Uid) -> Key {
    Build::new(SAVED).u32(id.0).u32(mailbox.0).u32(first.0).key()
}
pub(crate) fn own_seen(id: AccountId, mailbox: MailboxId, reader: AccountId) -> Key {
    Build::new(OWN_SEEN).u32(id.0).u32(mailbox.0).u32(reader.0).key()
}
pub(crate) fn own_seen_at(id: AccountId, mailbox: MailboxId) -> (Key, Key) {
    under(&Build::new(OWN_SEEN).u32(id.0).u32(mailbox.0).key())
}
pub(crate) fn record(id: AccountId, collection: u8, name: &str) -> Key {
    Build::new(RECORD).u32(id.0).raw(&[collection]).raw(name.as_bytes()).key()
}
pub(crate) fn records_of(id: AccountId, collection: u8) -> (Key, Key) {
    under(&Build::new(RECORD).u32(id.0).raw(&[collection]).key())
}
pub(crate) fn record_holder(collection: u8, id: AccountId) -> Key {
    Build::new(RECORD_HOLDER).raw(&[collection]).u32(id.0).key()
}
pub(crate) fn record_holders_of(collection: u8) -> (Key, Key) {
    under(&Build::new(RECORD_HOLDER).raw(&[collection]).key())
}
/// There when all holders are written down.
pub(crate) fn record_holders_known() -> Key {
    Build::new(RECORD_HOLDER).key()
}
pub(crate) fn mark(id: AccountId, name: &str) -> Key {
    Build::new(MARK).u32(id.0).raw(name.as_bytes()).key()
}
pub(crate) fn trust(kind: u8, name: &str) -> Key {
    Build::new(kind).raw(name.as_bytes()).key()
}
pub(crate) fn queue(id: QueueId) -> Key {
    Build::new(QUEUE).u64(id.0).key()
}
pub(crate) fn queue_due(at: UnixSecs, id: QueueId) -> Key {
    Build::new(QUEUE_DUE).secs(at).u64(id.0).key()
}
pub(crate) fn queue_bad(id: QueueId) -> Key {
    Build::new(QUEUE_BAD).u64(id.0).key()
}
pub(crate) fn freeze(what: &str) -> Key {
    Build::new(FREEZE).raw(what.as_bytes()).key()
}
pub(crate) fn suppressed(address: &str) -> Key {
    Build::new(SUPPRESSED).raw(address.as_bytes()).key()
}
pub(crate) fn sent_counts(id: AccountId) -> Key {
    Build::new(SENT_COUNTS).u32(id.0).key()
}
pub(crate) fn known_recipient(id: AccountId, hash: u64) -> Key {
    Build::new(KNOWN_RECIPIENT).u32(id.0).u64(hash).key()
}
pub(crate) fn policy(domain: &str) -> Key {
    Build::new(POLICY).raw(domain.as_bytes()).key()
}
pub(crate) fn idempotency(token: &[u8; 16]) -> Key {
    Build::new(IDEMPOTENCY).raw(token).key()
}
pub(crate) fn idempotency_order(id: u64) -> Key {
    Build::new(IDEMPOTENCY_ORDER).u64(id).key()
}
/// The trace's finding key: hashes lie within a bucket of ids, so that writing stays in one corner of the index.
pub(crate) fn trace_key(bucket: u32, hash: u64, id: u64) -> Key {
    Build::new(TRACE_KEY).u32(bucket).u64(hash).u64(id).key()
}
pub(crate) fn email(id: EmailId) -> Key {
    Build::new(EMAIL).u64(id.0).key()
}
pub(crate) fn trace(id: u64) -> Key {
    Build::new(TRACE).u64(id).key()
}

/// All keys of a kind, `from..to`.
pub(crate) fn whole(kind: u8) -> (Key, Key) {
    (Key::new(vec![kind]), Key::new(vec![kind + 1]))
}

/// All keys that begin with `prefix`, `from..to`.
pub(crate) fn under(prefix: &Key) -> (Key, Key) {
    let mut end = prefix.bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            break;
        }
    }
    (prefix.clone(), Key::new(end))
}
pub(crate) fn of_account(kind: u8, id: AccountId) -> (Key, Key) {
    under(&Build::new(kind).u32(id.0).key())
}
pub(crate) fn uids_of(id: AccountId, mailbox: MailboxId) -> (Key, Key) {
    under(&Build::new(UID).u32(id.0).u32(mailbox.0).key())
}
pub(crate) fn annotations_of(id: AccountId, mailbox: MailboxId) -> (Key, Key) {
    under(&Build::new(ANNOTATION).u32(id.0).u32(mailbox.0).key())
}
pub(crate) fn trace_hash(bucket: u32, hash: u64) -> (Key, Key) {
    under(&Build::new(TRACE_KEY).u32(bucket).u64(hash).key())
}

/// Takes the parts of a key back.
pub(crate) struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    pub(crate) fn of(key: &'a Key) -> Parts<'a> {
        Parts(key.bytes().get(1..).unwrap_or_default())
    }
    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }
    pub(crate) fn u64(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*first))
    }
    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    pub(crate) fn secs(&mut self) -> Option<UnixSecs> {
        Some((self.u64()? ^ (1 << 63)) as i64)
    }
    pub(crate) fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }
}

/// Not repeated in the segments: what may be lost with the index (the trace, greylists, counters of reports).
pub(crate) fn is_logged(key: &Key) -> bool {
    !matches!(key.kind(), TRACE | TRACE_KEY | GREYLIST | REPORT_COUNT | TLS_COUNT)
}

/// The id of a ledger key.
pub(crate) fn ledger_id(key: &Key) -> Option<i64> {
    if key.kind() & 0x80 == 0 {
        return None;
    }
    i64::try_from(Parts::of(key).u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_order_as_parts_do() {
        assert!(undo(AccountId(1), -5, EmailId(9)) < undo(AccountId(1), 3, EmailId(1)));
        assert!(uid(AccountId(1), MailboxId(2), Uid(300)) > uid(AccountId(1), MailboxId(2), Uid(2)));
        let (from, to) = uids_of(AccountId(1), MailboxId(u32::MAX));
        assert!(from < to && uid(AccountId(1), MailboxId(u32::MAX), Uid(u32::MAX)) < to);
        assert!(uid(AccountId(2), MailboxId(0), Uid(0)) >= to);
        assert_eq!(Parts::of(&queue_due(-7, QueueId(3))).secs(), Some(-7));
    }
}
