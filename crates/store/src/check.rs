//! The proof of every invariant, over one instant of the whole store.
//!
//! Invariant: an empty answer means counts, ids, references both ways, quota, log and checksums are right.
//! Must not know: how to mend (that is `rebuild.rs`).

use crate::Store;
use crate::access::Acl;
use crate::account::decode_gone;
use crate::engine::{Engine, Found, Key, Query};
use crate::flag_runs::{FlagRun, apply_flag_runs, decode_flag_runs, newest_of};
use crate::key;
use crate::queue::{decode_entry, due_parts};
use crate::rows::{Counters, EmailRecord, MailboxState, UndoRow, decode_accepted, decode_account, decode_number, decode_uid};
use crate::store::Result;
use crate::types::*;
use crate::undo::parts_of;
use crate::value::open;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Everything there is, decoded, from one instant. What does not decode is in `defects`.
#[derive(Default)]
pub(crate) struct Everything {
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    pub(crate) addresses: BTreeMap<String, AccountId>,
    pub(crate) gone: BTreeSet<AccountId>,
    pub(crate) spaces: BTreeMap<AccountId, Counters>,
    pub(crate) mailboxes: BTreeMap<(AccountId, MailboxId), MailboxState>,
    pub(crate) rows: Vec<(AccountId, MailboxId, MessageRow)>,
    pub(crate) changes: BTreeMap<AccountId, Vec<u64>>,
    flag_runs: BTreeMap<(AccountId, MailboxId), Vec<FlagRun>>,
    /// The newest of them.
    pub(crate) flags_at: BTreeMap<(AccountId, MailboxId), u64>,
    /// By mailbox, of its readers' rows of their own \Seen.
    pub(crate) own_seen_sums: BTreeMap<(AccountId, MailboxId), u64>,
    /// Annotations and access lists of mailboxes.
    pub(crate) annotations: Vec<(AccountId, MailboxId, Key)>,
    pub(crate) undo: Vec<(AccountId, UnixSecs, EmailId, UndoRow)>,
    pub(crate) emails: HashMap<EmailId, EmailRecord>,
    pub(crate) bodies: BTreeMap<BodyId, (u32, u64)>,
    pub(crate) queue: BTreeMap<QueueId, QueueEntry>,
    pub(crate) due: BTreeSet<(UnixSecs, QueueId)>,
    pub(crate) bad_queue_rows: usize,
    pub(crate) defects: Vec<Defect>,
    /// Keys of what does not decode.
    pub(crate) unreadable: Vec<Key>,
    ceiling: u64,
    pub(crate) next_account: u64,
}

const KINDS: [u8; 39] = [
    key::ACCOUNT,
    key::ADDRESS,
    key::ALIAS,
    key::COUNTER,
    key::ACCOUNT_GONE,
    key::SPACE,
    key::MAILBOX,
    key::SUBSCRIPTION,
    key::UID,
    key::CHANGE,
    key::UNDO,
    key::FLAGS,
    key::ANNOTATION,
    key::THREAD,
    key::ACL,
    key::SAVED,
    key::OWN_SEEN,
    key::RECORD,
    key::RECORD_HOLDER,
    key::SIGNING_KEY,
    key::SECRET,
    key::GREYLIST,
    key::REPORT_COUNT,
    key::TLS_COUNT,
    key::REPORT,
    key::MARK,
    key::QUEUE,
    key::QUEUE_DUE,
    key::QUEUE_BAD,
    key::FREEZE,
    key::SUPPRESSED,
    key::SENT_COUNTS,
    key::KNOWN_RECIPIENT,
    key::POLICY,
    key::IDEMPOTENCY,
    key::IDEMPOTENCY_ORDER,
    key::TRACE,
    key::TRACE_KEY,
    key::EMAIL,
];

pub(crate) async fn read_everything(engine: &dyn Engine) -> Result<Everything> {
    let mut queries: Vec<Query> = KINDS
        .iter()
        .map(|kind| {
            let (from, to) = key::whole(*kind);
            Query::Range { from, to, limit: usize::MAX, reverse: false }
        })
        .collect();
    queries.push(Query::Bodies { after: BodyId(0), limit: usize::MAX });
    let mut all = Everything::default();
    for found in engine.read(queries).await? {
        match found {
            Found::Pairs(pairs) => pairs.iter().for_each(|(at, stored)| {
                if let Err(error) = all.take(at, stored) {
                    all.unreadable.push(at.clone());
                    all.defects.push(Defect { place: at.to_string(), what: error.to_string() });
                }
            }),
            Found::Bodies(bodies) => all.bodies.extend(bodies.into_iter().map(|(id, refs, len)| (id, (refs, len)))),
            Found::Values(_) | Found::Packed(_) => {}
        }
    }
    all.apply_flag_runs();
    Ok(all)
}

fn bad_key() -> StoreError {
    StoreError::Damaged("the key itself is not one".into())
}

impl Everything {
    fn take(&mut self, at: &Key, stored: &[u8]) -> Result<()> {
        let mut parts = key::Parts::of(at);
        match at.kind() {
            key::ACCOUNT => drop(self.accounts.insert(AccountId(parts.u32().ok_or_else(bad_key)?), decode_account(at, stored)?)),
            key::ADDRESS => {
                let id = AccountId(u32::try_from(decode_number(at, stored)?).map_err(|_| bad_key())?);
                self.addresses.insert(parts.text().ok_or_else(bad_key)?.to_owned(), id);
            }
            key::COUNTER if *at == key::id_ceiling() => self.ceiling = decode_number(at, stored)?,
            key::COUNTER => self.next_account = decode_number(at, stored)?,
            key::ACCOUNT_GONE => {
                decode_gone(at, stored)?;
                self.gone.insert(AccountId(parts.u32().ok_or_else(bad_key)?));
            }
            key::SPACE => drop(self.spaces.insert(AccountId(parts.u32().ok_or_else(bad_key)?), Counters::decode(at, stored)?)),
            key::MAILBOX => {
                let account = AccountId(parts.u32().ok_or_else(bad_key)?);
                let state = MailboxState::decode(at, stored)?;
                self.mailboxes.insert((account, state.info.id), state);
            }
            key::UID => {
                let account = AccountId(parts.u32().ok_or_else(bad_key)?);
                let mailbox = MailboxId(parts.u32().ok_or_else(bad_key)?);
                self.rows.push((account, mailbox, decode_uid(at, stored)?));
            }
            key::FLAGS => {
                let account = AccountId(parts.u32().ok_or_else(bad_key)?);
                let mailbox = MailboxId(parts.u32().ok_or_else(bad_key)?);
                self.flag_runs.insert((account, mailbox), decode_flag_runs(at, stored)?);
            }
            key::ANNOTATION => {
                crate::annotation::decode(at, stored)?;
                let (account, mailbox, _) = crate::annotation::parts_of(at).ok_or_else(bad_key)?;
                self.annotations.extend(mailbox.map(|mailbox| (account, mailbox, at.clone())));
            }
            key::ACL => {
                Acl::decode(at, stored)?;
                let (account, mailbox) = crate::access::place_of(at).ok_or_else(bad_key)?;
                if crate::access::is_of_mailbox(mailbox) {
                    self.annotations.push((account, mailbox, at.clone()));
                }
            }
            key::OWN_SEEN => {
                let (account, mailbox, one) = crate::own_seen::summand(at, stored)?.ok_or_else(bad_key)?;
                let sum = self.own_seen_sums.entry((account, mailbox)).or_default();
                *sum = sum.wrapping_add(one);
            }
            key::SAVED => drop(crate::saved::decode(at, stored)?),
            key::THREAD => drop(decode_number(at, stored)?),
            key::RECORD => {
                crate::record::parts_of(at).ok_or_else(bad_key)?;
                crate::record::decode(at, stored)?;
            }
            key::CHANGE => {
                crate::change_log::decode_act(at, stored)?;
                let account = AccountId(parts.u32().ok_or_else(bad_key)?);
                self.changes.entry(account).or_default().push(parts.u64().ok_or_else(bad_key)?);
            }
            key::POLICY => drop(crate::policy::decode(at, stored)?),
            key::UNDO => {
                let (account, when, email) = parts_of(at).ok_or_else(bad_key)?;
                self.undo.push((account, when, email, UndoRow::decode(at, stored)?));
            }
            key::EMAIL => drop(self.emails.insert(EmailId(parts.u64().ok_or_else(bad_key)?), EmailRecord::decode(at, stored)?)),
            key::QUEUE => drop(self.queue.insert(QueueId(parts.u64().ok_or_else(bad_key)?), decode_entry(at, stored)?)),
            key::QUEUE_DUE => drop(self.due.insert(due_parts(at).ok_or_else(bad_key)?)),
            key::QUEUE_BAD => self.bad_queue_rows += 1,
            key::IDEMPOTENCY => drop(decode_accepted(at, stored)?),
            _ => drop(open(at, stored)?),
        }
        Ok(())
    }

    /// Rows come by account, mailbox and UID.
    fn apply_flag_runs(&mut self) {
        let mut of_one: Vec<MessageRow> = Vec::new();
        for ((account, mailbox), runs) in std::mem::take(&mut self.flag_runs) {
            if !self.mailboxes.contains_key(&(account, mailbox)) && self.spaces.get(&account).is_none_or(|space| !space.gone) {
                self.defect(format!("account {} mailbox {}", account.0, mailbox.0), "flags of a mailbox that is not there");
            }
            let first = self.rows.partition_point(|row| (row.0, row.1) < (account, mailbox));
            let last = self.rows.partition_point(|row| (row.0, row.1) <= (account, mailbox));
            let rows = self.rows.get_mut(first..last).unwrap_or_default();
            of_one.clear();
            of_one.extend(rows.iter().map(|(_, _, row)| row.clone()));
            apply_flag_runs(&mut of_one, &runs);
            self.flags_at.insert((account, mailbox), newest_of(&runs));
            rows.iter_mut().zip(of_one.drain(..)).for_each(|(row, now)| row.2 = now);
        }
    }

    fn defect(&mut self, place: String, what: impl Into<String>) {
        self.defects.push(Defect { place, what: what.into() });
    }

    /// Holders of every body, counted.
    pub(crate) fn holders(&self) -> BTreeMap<BodyId, u32> {
        let mut holders: BTreeMap<BodyId, u32> = BTreeMap::new();
        let held = self.emails.values().map(|record| record.body).chain(self.queue.values().map(|entry| entry.body));
        held.for_each(|body| *holders.entry(body).or_default() += 1);
        holders
    }

    fn check_directory(&mut self) {
        let mut wrong = Vec::new();
        for (id, account) in &self.accounts {
            if self.addresses.get(&account.address) != Some(id) {
                wrong.push((format!("account {}", id.0), "its address does not lead to it"));
            }
            if self.spaces.get(id).is_none_or(|space| space.gone) {
                wrong.push((format!("account {}", id.0), "has no counters"));
            }
            if u64::from(id.0) >= self.next_account {
                wrong.push((format!("account {}", id.0), "its id would be given again"));
            }
            if self.spaces.get(id).is_some_and(|space| space.quota_bytes != account.quota_bytes) {
                wrong.push((format!("account {}", id.0), "its quota differs between directory and counters"));
            }
        }
        for (address, id) in &self.addresses {
            if !self.accounts.contains_key(id) {
                wrong.push((format!("address {address}"), "leads to no account"));
            }
        }
        for (id, space) in &self.spaces {
            if space.gone != self.gone.contains(id) || (!space.gone && !self.accounts.contains_key(id)) {
                wrong.push((format!("account {}", id.0), "counters without an account"));
            }
        }
        wrong.into_iter().for_each(|(place, what)| self.defect(place, what));
    }

    fn check_mailboxes(&mut self) {
        let mut counted: BTreeMap<(AccountId, MailboxId), (MailboxState, u32, u64)> = BTreeMap::new();
        for (at, state) in &self.mailboxes {
            counted.insert(*at, (MailboxState::new(state.info.clone(), 0), 0, 0));
        }
        let mut wrong = Vec::new();
        for (account, mailbox, row) in &self.rows {
            let Some((state, last, newest)) = counted.get_mut(&(*account, *mailbox)) else {
                wrong.push((
                    format!("account {} mailbox {} uid {}", account.0, mailbox.0, row.uid.0),
                    "lies in no mailbox".to_owned(),
                ));
                continue;
            };
            state.count(row, 1);
            *last = (*last).max(row.uid.0);
            *newest = (*newest).max(row.mod_seq.0);
        }
        for (account, mailbox, at) in &self.annotations {
            if !self.mailboxes.contains_key(&(*account, *mailbox)) && self.spaces.get(account).is_none_or(|space| !space.gone) {
                wrong.push((at.to_string(), "belongs to a mailbox that is not there".to_owned()));
            }
        }
        let mut totals: BTreeMap<AccountId, (u64, u64)> = BTreeMap::new();
        for (at, (state, last, newest)) in &counted {
            let Some(kept) = self.mailboxes.get(at) else { continue };
            let place = format!("account {} mailbox {}", at.0.0, at.1.0);
            let total = totals.entry(at.0).or_default();
            total.0 += u64::from(state.messages);
            total.1 += state.size_bytes;
            let same = (kept.messages, kept.unseen, kept.deleted, kept.size_bytes)
                == (state.messages, state.unseen, state.deleted, state.size_bytes);
            if !same {
                wrong.push((place.clone(), format!("counts {:?}, really {:?}", kept.status(), state.status())));
            }
            let flags_at = self.flags_at.get(at).copied().unwrap_or(0);
            if kept.flags_at != 0 && kept.flags_at != flags_at {
                wrong.push((place.clone(), format!("its flags were last written by act {}, not {flags_at}", kept.flags_at)));
            }
            if kept.own_seen_sum != 0 && kept.own_seen_sum != self.own_seen_sums.get(at).copied().unwrap_or(0) {
                wrong.push((place.clone(), "what its readers have seen is not what was written last".to_owned()));
            }
            if kept.uid_next <= *last {
                wrong.push((place.clone(), format!("UIDNEXT {} but UID {last} exists", kept.uid_next)));
            }
            let newest_act = self.spaces.get(&at.0).map_or(0, |space| space.mod_seq);
            if kept.highest.0 < *newest || kept.highest.0 > newest_act {
                wrong.push((
                    place.clone(),
                    format!("highest mod-sequence {}, a row has {newest}, the account {newest_act}", kept.highest.0),
                ));
            }
            if self.spaces.get(&at.0).is_none_or(|space| at.1.0 >= space.next_mailbox) {
                wrong.push((place, "its id would be given again".to_owned()));
            }
        }
        for (account, space) in &self.spaces {
            let (messages, octets) = totals.get(account).copied().unwrap_or_default();
            if (space.messages, space.used_bytes) != (messages, octets) {
                let what =
                    format!("counts {} messages of {} octets, really {messages} of {octets}", space.messages, space.used_bytes);
                wrong.push((format!("account {}", account.0), what));
            }
        }
        wrong.into_iter().for_each(|(place, what)| self.defect(place, what));
    }

    fn check_emails(&mut self) {
        let mut seen: HashMap<EmailId, u32> = HashMap::new();
        let mut wrong = Vec::new();
        let in_mailboxes = self.rows.iter().map(|(account, mailbox, row)| {
            (format!("account {} mailbox {} uid {}", account.0, mailbox.0, row.uid.0), *account, row.email, row.size_bytes)
        });
        let aside = self.undo.iter().map(|(account, when, email, row)| {
            (format!("account {} undo {when} {}", account.0, email.0), *account, *email, row.size_bytes)
        });
        for (place, account, email, size) in in_mailboxes.chain(aside) {
            *seen.entry(email).or_default() += 1;
            match self.emails.get(&email) {
                None => wrong.push((place, format!("email {} has no record", email.0))),
                Some(record) if record.account != account || record.size_bytes != size => {
                    wrong.push((place, format!("email {} is recorded differently", email.0)));
                }
                Some(_) => {}
            }
        }
        for (email, record) in &self.emails {
            let times = seen.get(email).copied().unwrap_or(0);
            if times != 1 {
                wrong.push((format!("email {}", email.0), format!("lies in {times} places")));
            }
            match self.bodies.get(&record.body) {
                None => wrong.push((format!("email {}", email.0), format!("body {} is missing", record.body.0))),
                Some((_, len)) if *len != u64::from(record.size_bytes) => {
                    wrong.push((format!("email {}", email.0), format!("is of {} octets, its body of {len}", record.size_bytes)));
                }
                Some(_) => {}
            }
            if email.0 > self.ceiling {
                wrong.push((format!("email {}", email.0), "its id could be given again".to_owned()));
            }
        }
        wrong.into_iter().for_each(|(place, what)| self.defect(place, what));
    }

    fn check_bodies(&mut self) {
        let holders = self.holders();
        let mut wrong = Vec::new();
        for (body, (refs, _)) in &self.bodies {
            let counted = holders.get(body).copied().unwrap_or(0);
            // A queue row that was set aside still holds its body.
            if *refs != counted && !(self.bad_queue_rows > 0 && *refs > counted) {
                wrong.push((format!("body {}", body.0), format!("{refs} holders counted, really {counted}")));
            }
        }
        wrong.into_iter().for_each(|(place, what)| self.defect(place, what));
    }

    fn check_log(&mut self) {
        let mut wrong = Vec::new();
        for (account, space) in &self.spaces {
            let acts = self.changes.get(account).map(Vec::as_slice).unwrap_or_default();
            let whole = acts.iter().copied().eq(space.log_floor + 1..=space.mod_seq);
            if !whole {
                let what = format!("the change log does not hold every act after {} up to {}", space.log_floor, space.mod_seq);
                wrong.push((format!("account {}", account.0), what));
            }
        }
        wrong.into_iter().for_each(|(place, what)| self.defect(place, what));
    }

    fn check_queue(&mut self) {
        let mut wrong = Vec::new();
        for (id, entry) in &self.queue {
            if !self.bodies.contains_key(&entry.body) {
                wrong.push((format!("queue {}", id.0), format!("body {} is missing", entry.body.0)));
            }
            if entry.held == self.due.contains(&(entry.next_secs, *id)) {
                wrong.push((format!("queue {}", id.0), "its due time and its row differ".to_owned()));
            }
        }
        if self.bad_queue_rows == 0 {
            for (at, id) in self.due.iter().filter(|(at, id)| self.queue.get(id).is_none_or(|entry| entry.next_secs != *at)) {
                wrong.push((format!("queue {}", id.0), format!("due at {at}, but there is no such entry")));
            }
        }
        wrong.into_iter().for_each(|(place, what)| self.defect(place, what));
    }
}

impl Store {
    /// Proves every invariant; empty when sound.
    pub async fn check(&self) -> Result<Vec<Defect>> {
        let haste = self.inner.haste.wait();
        let _still = self.inner.care.lock().await;
        drop(haste);
        let mut all = read_everything(&*self.inner.engine).await?;
        all.check_directory();
        all.check_mailboxes();
        all.check_emails();
        all.check_bodies();
        all.check_log();
        all.check_queue();
        let mut defects = all.defects;
        defects.extend(self.inner.engine.check().await?);
        Ok(defects)
    }
}
