//! What the mailbox rows look like inside their seal: encode and decode, both ways in one place.
//!
//! Invariant: decode(encode(x)) is x; an old form stays decodable as long as its version byte may be met.
//! Must not know: engines, what the rows are used for.

use crate::engine::Key;
use crate::types::*;
use crate::value::{Reader, Writer, decoded, open};
use smol_str::SmolStr;
use std::sync::Arc;

type Result<T> = std::result::Result<T, StoreError>;

/// The counters of an account: one row, written with every act on it, and the proof that nothing came between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counters {
    pub(crate) mod_seq: u64,
    pub(crate) next_mailbox: u32,
    pub(crate) last_uid_validity: u32,
    pub(crate) used_bytes: u64,
    pub(crate) messages: u64,
    /// The change log holds every act after this one.
    pub(crate) log_floor: u64,
    pub(crate) quota_bytes: Option<u64>,
    pub(crate) gone: bool,
}

/// A mailbox with its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailboxState {
    pub(crate) info: Mailbox,
    pub(crate) uid_next: u32,
    pub(crate) messages: u32,
    pub(crate) unseen: u32,
    pub(crate) deleted: u32,
    pub(crate) size_bytes: u64,
    pub(crate) highest: ModSeq,
    /// The act that last wrote the row of its runs of flags, which is the newest of them: so that a row that is not there is
    /// missed. 0: it has none, or one that an older release wrote.
    pub(crate) flags_at: u64,
    /// The sum of what its readers' rows of their own \Seen add (`own_seen.rs`): so that one that is not there is missed.
    /// 0: there are none, or only such as an older release wrote.
    pub(crate) own_seen_sum: u64,
}

/// What an email is apart from where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EmailRecord {
    pub(crate) account: AccountId,
    pub(crate) body: BodyId,
    pub(crate) size_bytes: u32,
    pub(crate) internal_date_secs: UnixSecs,
    /// Where its conversation began, when that is not what it says itself (`threads.rs`).
    pub(crate) root: Option<u64>,
}

/// An expunged message, as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UndoRow {
    pub(crate) mailbox: MailboxId,
    pub(crate) mailbox_name: SmolStr,
    pub(crate) uid: Uid,
    pub(crate) flags: Flags,
    pub(crate) internal_date_secs: UnixSecs,
    pub(crate) size_bytes: u32,
}

impl Counters {
    pub(crate) fn encode(&self, key: &Key) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(self.mod_seq).number(u64::from(self.next_mailbox)).number(u64::from(self.last_uid_validity));
        out.number(self.used_bytes).number(self.messages).number(self.log_floor);
        match self.quota_bytes {
            None => out.u8(0),
            Some(quota) => out.u8(1).number(quota),
        };
        out.u8(u8::from(self.gone));
        out.seal(key)
    }

    pub(crate) fn decode(key: &Key, stored: &[u8]) -> Result<Counters> {
        let mut reader = open(key, stored)?;
        decoded(
            key,
            (|| {
                let counters = Counters {
                    mod_seq: reader.number()?,
                    next_mailbox: reader.number32()?,
                    last_uid_validity: reader.number32()?,
                    used_bytes: reader.number()?,
                    messages: reader.number()?,
                    log_floor: reader.number()?,
                    quota_bytes: if reader.flag()? { Some(reader.number()?) } else { None },
                    gone: reader.flag()?,
                };
                reader.end()?;
                Some(counters)
            })(),
        )
    }
}

pub(crate) fn special_use_of(byte: u8) -> Option<Option<SpecialUse>> {
    Some(match byte {
        0 => None,
        1 => Some(SpecialUse::All),
        2 => Some(SpecialUse::Archive),
        3 => Some(SpecialUse::Drafts),
        4 => Some(SpecialUse::Flagged),
        5 => Some(SpecialUse::Junk),
        6 => Some(SpecialUse::Sent),
        7 => Some(SpecialUse::Trash),
        8 => Some(SpecialUse::Important),
        _ => return None,
    })
}

impl MailboxState {
    pub(crate) fn new(info: Mailbox, mod_seq: u64) -> MailboxState {
        MailboxState {
            info,
            uid_next: 1,
            messages: 0,
            unseen: 0,
            deleted: 0,
            size_bytes: 0,
            highest: ModSeq(mod_seq),
            flags_at: 0,
            own_seen_sum: 0,
        }
    }

    pub(crate) fn encode(&self, key: &Key) -> Vec<u8> {
        let mut out = Writer::new();
        out.text(&self.info.name).number(u64::from(self.info.uid_validity));
        out.u8(self.info.special_use.map_or(0, |used| used as u8)).u8(u8::from(self.info.subscribed));
        out.number(u64::from(self.uid_next)).number(u64::from(self.messages)).number(u64::from(self.unseen));
        out.number(u64::from(self.deleted)).number(self.size_bytes).number(self.highest.0);
        // Rows of older releases end here; so does one of a mailbox without runs of flags, and with no reader's own \Seen.
        if self.flags_at != 0 || self.own_seen_sum != 0 {
            out.number(self.flags_at);
        }
        if self.own_seen_sum != 0 {
            out.fixed64(self.own_seen_sum);
        }
        out.seal(key)
    }

    pub(crate) fn decode(key: &Key, stored: &[u8]) -> Result<MailboxState> {
        let id = crate::key::Parts::of(key);
        let mut reader = open(key, stored)?;
        let state = (move || {
            let mut parts = id;
            let _account = parts.u32()?;
            let id = MailboxId(parts.u32()?);
            let name = SmolStr::new(reader.text()?);
            let uid_validity = reader.number32()?;
            let special_use = special_use_of(reader.u8()?)?;
            let info = Mailbox { id, name, uid_validity, special_use, subscribed: reader.flag()? };
            let state = MailboxState {
                info,
                uid_next: reader.number32()?,
                messages: reader.number32()?,
                unseen: reader.number32()?,
                deleted: reader.number32()?,
                size_bytes: reader.number()?,
                highest: ModSeq(reader.number()?),
                flags_at: if reader.end().is_some() { 0 } else { reader.number()? },
                own_seen_sum: if reader.end().is_some() { 0 } else { reader.fixed64()? },
            };
            reader.end()?;
            Some(state)
        })();
        decoded(key, state)
    }

    /// Counts a row in (`1`) or out (`-1`).
    pub(crate) fn count(&mut self, row: &MessageRow, sign: i32) {
        let seen = row.flags.system & Flags::SEEN != 0;
        let deleted = row.flags.system & Flags::DELETED != 0;
        self.messages = self.messages.saturating_add_signed(sign);
        self.unseen = self.unseen.saturating_add_signed(if seen { 0 } else { sign });
        self.deleted = self.deleted.saturating_add_signed(if deleted { sign } else { 0 });
        self.size_bytes = self.size_bytes.saturating_add_signed(i64::from(row.size_bytes) * i64::from(sign));
    }

    /// A row's system flags become others.
    pub(crate) fn recount(&mut self, before: u8, now: u8) {
        let change = |flag: u8| i32::from(now & flag != 0) - i32::from(before & flag != 0);
        self.unseen = self.unseen.saturating_add_signed(-change(Flags::SEEN));
        self.deleted = self.deleted.saturating_add_signed(change(Flags::DELETED));
    }

    pub(crate) fn status(&self) -> MailboxStatus {
        MailboxStatus {
            messages: self.messages,
            unseen: self.unseen,
            deleted: self.deleted,
            size_bytes: self.size_bytes,
            uid_validity: self.info.uid_validity,
            uid_next: self.uid_next,
            highest_mod_seq: self.highest,
        }
    }
}

pub(crate) fn write_flags(out: &mut Writer, flags: &Flags) {
    let keywords = flags.keywords.as_deref().unwrap_or_default();
    out.u8(flags.system).number(keywords.len() as u64);
    for keyword in keywords {
        out.text(keyword);
    }
}

pub(crate) fn read_flags(reader: &mut Reader<'_>) -> Option<Flags> {
    let system = reader.u8()?;
    let count = reader.count()?;
    if count == 0 {
        return Some(Flags { system, keywords: None });
    }
    let keywords: Option<Vec<SmolStr>> = (0..count).map(|_| reader.text().map(SmolStr::new)).collect();
    Some(Flags { system, keywords: Some(Arc::from(keywords?)) })
}

pub(crate) fn encode_uid(key: &Key, row: &MessageRow) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(row.email.0).number(row.mod_seq.0).signed(row.internal_date_secs).number(u64::from(row.size_bytes));
    write_flags(&mut out, &row.flags);
    out.seal(key)
}

pub(crate) fn decode_uid(key: &Key, stored: &[u8]) -> Result<MessageRow> {
    let mut parts = crate::key::Parts::of(key);
    let uid = (|| {
        parts.u64()?;
        parts.u32()
    })();
    let mut reader = open(key, stored)?;
    decoded(
        key,
        (|| {
            let email = EmailId(reader.number()?);
            let mod_seq = ModSeq(reader.number()?);
            let internal_date_secs = reader.signed()?;
            let size_bytes = reader.number32()?;
            let flags = read_flags(&mut reader)?;
            reader.end()?;
            Some(MessageRow { uid: Uid(uid?), email, mod_seq, flags, internal_date_secs, size_bytes })
        })(),
    )
}

impl EmailRecord {
    pub(crate) fn encode(&self, key: &Key) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(u64::from(self.account.0))
            .number(self.body.0)
            .number(u64::from(self.size_bytes))
            .signed(self.internal_date_secs);
        // Rows of older releases end here; so do nearly all.
        if let Some(root) = self.root {
            out.fixed64(root);
        }
        out.seal(key)
    }

    pub(crate) fn decode(key: &Key, stored: &[u8]) -> Result<EmailRecord> {
        let mut reader = open(key, stored)?;
        decoded(
            key,
            (|| {
                let account = AccountId(reader.number32()?);
                let body = BodyId(reader.number()?);
                let (size_bytes, internal_date_secs) = (reader.number32()?, reader.signed()?);
                let root = if reader.end().is_some() { None } else { Some(reader.fixed64()?) };
                reader.end()?;
                Some(EmailRecord { account, body, size_bytes, internal_date_secs, root })
            })(),
        )
    }
}

impl UndoRow {
    pub(crate) fn encode(&self, key: &Key) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(u64::from(self.mailbox.0)).text(&self.mailbox_name).number(u64::from(self.uid.0));
        out.signed(self.internal_date_secs).number(u64::from(self.size_bytes));
        write_flags(&mut out, &self.flags);
        out.seal(key)
    }

    pub(crate) fn decode(key: &Key, stored: &[u8]) -> Result<UndoRow> {
        let mut reader = open(key, stored)?;
        decoded(
            key,
            (|| {
                let mailbox = MailboxId(reader.number32()?);
                let mailbox_name = SmolStr::new(reader.text()?);
                let uid = Uid(reader.number32()?);
                let internal_date_secs = reader.signed()?;
                let size_bytes = reader.number32()?;
                let flags = read_flags(&mut reader)?;
                reader.end()?;
                Some(UndoRow { mailbox, mailbox_name, uid, flags, internal_date_secs, size_bytes })
            })(),
        )
    }
}

pub(crate) fn encode_account(key: &Key, account: &Account) -> Vec<u8> {
    let mut out = Writer::new();
    out.text(&account.address).text(&account.secrets.argon2);
    match &account.secrets.scram {
        None => out.u8(0),
        Some(scram) => encode_scram(out.u8(1), scram),
    };
    out.u8(u8::from(account.suspended)).signed(account.created_secs).number(account.epoch);
    match account.quota_bytes {
        None => out.u8(0),
        Some(quota) => out.u8(1).number(quota),
    };
    // Rows of older releases end here; so does a row without app passwords.
    if !account.app_passwords.is_empty() {
        out.number(account.app_passwords.len() as u64);
        for password in &account.app_passwords {
            out.text(&password.name).signed(password.created_secs).raw(&password.sha256);
            out.number(password.scram.len() as u64);
            for scram in &password.scram {
                encode_scram(&mut out, scram);
            }
        }
    }
    out.seal(key)
}

fn encode_scram<'w>(out: &'w mut Writer, scram: &ScramVerifier) -> &'w mut Writer {
    out.bytes(&scram.salt).number(u64::from(scram.iterations)).raw(&scram.stored_key).raw(&scram.server_key)
}

fn decode_scram(reader: &mut Reader<'_>) -> Option<ScramVerifier> {
    let (salt, iterations) = (reader.bytes()?.to_vec(), reader.number32()?);
    let stored_key = reader.raw(32)?.try_into().ok()?;
    Some(ScramVerifier { salt, iterations, stored_key, server_key: reader.raw(32)?.try_into().ok()? })
}

fn decode_app_passwords(reader: &mut Reader<'_>) -> Option<Vec<AppPassword>> {
    if reader.end().is_some() {
        return Some(Vec::new());
    }
    let mut list = Vec::new();
    for _ in 0..reader.count()? {
        let (name, created_secs) = (reader.text()?.to_owned(), reader.signed()?);
        let sha256 = reader.raw(32)?.try_into().ok()?;
        let scram: Option<Vec<ScramVerifier>> = (0..reader.count()?).map(|_| decode_scram(reader)).collect();
        list.push(AppPassword { name, created_secs, sha256, scram: scram? });
    }
    Some(list)
}

pub(crate) fn decode_account(key: &Key, stored: &[u8]) -> Result<Account> {
    let id = crate::key::Parts::of(key).u32();
    let mut reader = open(key, stored)?;
    decoded(
        key,
        (|| {
            let address = reader.text()?.to_owned();
            let argon2 = reader.text()?.to_owned();
            let scram = if reader.flag()? { Some(decode_scram(&mut reader)?) } else { None };
            let suspended = reader.flag()?;
            let (created_secs, epoch) = (reader.signed()?, reader.number()?);
            let quota_bytes = if reader.flag()? { Some(reader.number()?) } else { None };
            let app_passwords = decode_app_passwords(&mut reader)?;
            reader.end()?;
            Some(Account {
                id: AccountId(id?),
                address,
                secrets: Secrets { argon2, scram },
                suspended,
                quota_bytes,
                created_secs,
                epoch,
                app_passwords,
            })
        })(),
    )
}

/// A row that is one number.
pub(crate) fn encode_number(key: &Key, value: u64) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(value);
    out.seal(key)
}

pub(crate) fn decode_number(key: &Key, stored: &[u8]) -> Result<u64> {
    let mut reader = open(key, stored)?;
    decoded(key, reader.number())
}

/// A row whose being there is all it says.
pub(crate) fn encode_mark(key: &Key) -> Vec<u8> {
    Writer::new().seal(key)
}

pub(crate) fn encode_accepted(key: &Key, order: u64, accepted: &Accepted) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(order).number(accepted.delivered.len() as u64);
    for (account, mailbox, uid, email) in &accepted.delivered {
        out.number(u64::from(account.0)).number(u64::from(mailbox.0)).number(u64::from(uid.0)).number(email.0);
    }
    out.number(accepted.queued.len() as u64);
    for id in &accepted.queued {
        out.number(id.0);
    }
    out.seal(key)
}

pub(crate) fn decode_accepted(key: &Key, stored: &[u8]) -> Result<Accepted> {
    let mut reader = open(key, stored)?;
    decoded(
        key,
        (|| {
            let _order = reader.number()?;
            let mut accepted = Accepted::default();
            for _ in 0..reader.count()? {
                let (account, mailbox) = (AccountId(reader.number32()?), MailboxId(reader.number32()?));
                accepted.delivered.push((account, mailbox, Uid(reader.number32()?), EmailId(reader.number()?)));
            }
            for _ in 0..reader.count()? {
                accepted.queued.push(QueueId(reader.number()?));
            }
            Some(accepted)
        })(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key;
    use proptest::prelude::*;

    fn any_flags() -> impl Strategy<Value = Flags> {
        (0u8..32, proptest::collection::btree_set("[a-z$]{1,9}", 0..4)).prop_map(|(system, words)| {
            let words: Vec<SmolStr> = words.into_iter().map(SmolStr::from).collect();
            Flags { system, keywords: (!words.is_empty()).then(|| Arc::from(words)) }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        // Whatever lies under a good seal (an older or newer release, a collision): an error at worst.
        #[test]
        fn no_content_makes_a_decoder_panic(content in proptest::collection::vec(any::<u8>(), 0..120)) {
            let at = key::uid(AccountId(1), MailboxId(1), Uid(1));
            let mut out = Writer::new();
            out.raw(&content);
            let stored = out.seal(&at);
            let _ = (Counters::decode(&at, &stored), MailboxState::decode(&at, &stored), decode_uid(&at, &stored));
            let _ = (EmailRecord::decode(&at, &stored), UndoRow::decode(&at, &stored), decode_account(&at, &stored));
            let _ = (decode_accepted(&at, &stored), decode_number(&at, &stored), crate::queue::decode_entry(&at, &stored));
            let _ = (crate::account::decode_gone(&at, &stored), crate::engine::segment::Manifest::decode(&content));
            let short = stored.get(..stored.len().min(20)).unwrap_or_default();
            prop_assert!(short.len() == stored.len() || decode_uid(&at, short).is_err());
        }
    }

    #[test]
    fn a_mailbox_of_an_older_release_says_nothing_of_its_runs_of_flags() {
        let at = key::mailbox(AccountId(1), MailboxId(1));
        let info = Mailbox { id: MailboxId(1), name: "a".into(), uid_validity: 9, special_use: None, subscribed: true };
        let now = MailboxState { flags_at: 300, ..MailboxState::new(info, 7) };
        for (flags_at, own_seen_sum) in [(300, 0), (0, 9), (300, u64::MAX)] {
            let one = MailboxState { flags_at, own_seen_sum, ..now.clone() };
            assert_eq!(MailboxState::decode(&at, &one.encode(&at)).unwrap(), one);
        }
        let mut out = Writer::new();
        out.text("a").number(9).u8(0).u8(1).number(1).number(0).number(0).number(0).number(0).number(7);
        let older = out.seal(&at);
        let read = MailboxState::decode(&at, &older).unwrap();
        assert_eq!(read, MailboxState { flags_at: 0, ..now });
        assert_eq!(read.encode(&at), older);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_both_ways(
            uid in 1..u32::MAX, email in any::<u64>(), mod_seq in 0..u64::MAX / 2, date in any::<i64>(), size in any::<u32>(),
            flags in any_flags(), root in any::<Option<u64>>(),
        ) {
            let row = MessageRow { uid: Uid(uid), email: EmailId(email), mod_seq: ModSeq(mod_seq), flags: flags.clone(), internal_date_secs: date, size_bytes: size };
            let at = key::uid(AccountId(3), MailboxId(4), Uid(uid));
            prop_assert_eq!(decode_uid(&at, &encode_uid(&at, &row)).unwrap(), row);
            let record = EmailRecord { account: AccountId(9), body: BodyId(email), size_bytes: size, internal_date_secs: date, root };
            let at = key::email(EmailId(5));
            prop_assert_eq!(EmailRecord::decode(&at, &record.encode(&at)).unwrap(), record);
            let undo = UndoRow { mailbox: MailboxId(1), mailbox_name: "a/b".into(), uid: Uid(uid), flags, internal_date_secs: date, size_bytes: size };
            let at = key::undo(AccountId(1), date, EmailId(email));
            prop_assert_eq!(UndoRow::decode(&at, &undo.encode(&at)).unwrap(), undo);
        }
    }
}
