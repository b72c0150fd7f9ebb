//! Messages: accepting, appending, flags, copying, moving, expunging.
//!
//! Accepting, appending, flags, moving and expunging are prepared on the head, one after another, and share syncs; copying,
//! and flags of many at once, wait until nothing is in flight on their account. Invariant: what an act changes is one batch.
//! Must not know: how mail came or who reads it.

use crate::Store;
use crate::crossing::Carry;
use crate::engine::{Batch, NewBody, Outcome, Version, get};
use crate::flag_runs::{FlagRun, flag_runs_of_all, gather_flag_runs};
use crate::key;
use crate::limits::{CONFLICT_RETRIES, FLAG_RUN_ROWS_MIN, KEYWORD_BYTES_MAX, KEYWORDS_MAX};
use crate::mailbox::{acting, exclusively, resolve};
use crate::mark::Mark;
use crate::packed::Rows;
use crate::packing;
use crate::rows::{EmailRecord, decode_accepted, encode_accepted};
use crate::space::{Act, NewRow, Remade};
use crate::store::{Inner, Result};
use crate::trace::{Traced, placed};
use crate::types::*;
use message::facts::{FACTS_VERSION, Facts};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Marks the version of facts that are packed.
pub(crate) const FACTS_PACKED: u8 = 0x80;

/// Facts as a body's note: their version, then what they say, packed where that is shorter.
pub(crate) fn note_of(facts: &Facts) -> Vec<u8> {
    let plain = facts.encode();
    let mut note = Vec::with_capacity(1 + plain.len());
    note.push(FACTS_VERSION | FACTS_PACKED);
    if !packing::pack(&plain, &mut note) {
        note.clear();
        note.push(FACTS_VERSION);
        note.extend_from_slice(&plain);
    }
    note
}

/// Nothing of a note of another version. Older releases did not pack.
pub(crate) fn facts_of(note: &[u8]) -> Option<Facts> {
    let (version, content) = note.split_first()?;
    match version ^ FACTS_VERSION {
        0 => Facts::decode(content),
        FACTS_PACKED => Facts::decode(&packing::unpack(content)?),
        _ => None,
    }
}

/// Keywords sorted, each once without regard to case, as first spelled; `Invalid` past the limits.
pub(crate) fn tidy(flags: &Flags) -> Result<Flags> {
    let Some(words) = flags.keywords.as_deref().filter(|words| !words.is_empty()) else {
        return Ok(Flags { system: flags.system, keywords: None });
    };
    let mut seen: BTreeMap<String, SmolStr> = BTreeMap::new();
    for word in words {
        if word.is_empty() || word.len() > KEYWORD_BYTES_MAX {
            return Err(StoreError::Invalid("a keyword has 1 to 255 octets"));
        }
        seen.entry(word.to_ascii_lowercase()).or_insert_with(|| word.clone());
    }
    if seen.len() > KEYWORDS_MAX {
        return Err(StoreError::Invalid("a message has at most 64 keywords"));
    }
    let words: Vec<SmolStr> = seen.into_values().collect();
    Ok(Flags { system: flags.system, keywords: Some(Arc::from(words)) })
}

pub(crate) fn apply_flags(old: &Flags, op: FlagOp, flags: &Flags) -> Result<Flags> {
    // Mostly nobody speaks of keywords at all.
    if old.keywords.is_none() && flags.keywords.is_none() {
        let system = match op {
            FlagOp::Replace => flags.system,
            FlagOp::Add => old.system | flags.system,
            FlagOp::Remove => old.system & !flags.system,
        };
        return Ok(Flags { system, keywords: None });
    }
    let old_words = old.keywords.as_deref().unwrap_or_default();
    let words = flags.keywords.as_deref().unwrap_or_default();
    let named = |word: &SmolStr| words.iter().any(|other| other.eq_ignore_ascii_case(word));
    let (system, kept): (u8, Vec<SmolStr>) = match op {
        FlagOp::Replace => {
            // A keyword that stays keeps its first spelling.
            let stay = old_words.iter().filter(|word| named(word)).cloned();
            (flags.system, stay.chain(words.iter().cloned()).collect())
        }
        FlagOp::Add => (old.system | flags.system, old_words.iter().chain(words).cloned().collect()),
        FlagOp::Remove => (old.system & !flags.system, old_words.iter().filter(|word| !named(word)).cloned().collect()),
    };
    tidy(&Flags { system, keywords: (!kept.is_empty()).then(|| Arc::from(kept)) })
}

/// What a copy of a row begins with.
pub(crate) fn like(row: &MessageRow, mask: FlagMask) -> NewRow {
    NewRow { flags: mask.of(&row.flags), internal_date_secs: row.internal_date_secs, size_bytes: row.size_bytes }
}

/// `from INBOX to Archive`; both are there.
fn from_to(act: &Act, from: MailboxId, to: MailboxId) -> Result<String> {
    let name = |id| act.mailbox(id).map(|mailbox| &mailbox.info.name).ok_or(StoreError::NotFound);
    Ok(format!("from {} to {}", name(from)?, name(to)?))
}

/// UIDs ascending, each once.
pub(crate) fn ascending(uids: &[Uid]) -> Vec<Uid> {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    uids
}

/// The same change of flags for all messages of a mailbox, block by block; `None` when it is none for one of them, or the
/// runs of flags would take more than the rows.
fn change_all_flags(
    act: &mut Act,
    batch: &mut Batch,
    mailbox: MailboxId,
    stood: &Rows,
    (op, flags, mask): (FlagOp, &Flags, FlagMask),
) -> Result<Option<FlagsChanged>> {
    let mod_seq = act.mod_seq();
    let Some(now) = stood.reflagged(mod_seq, |old| Ok(mask.within(old, apply_flags(old, op, flags)?)))? else { return Ok(None) };
    let Some(runs) = flag_runs_of_all(&now, mod_seq) else { return Ok(None) };
    let before: Vec<u8> = stood.system_flags().collect();
    let rows: Vec<MessageRow> = now.iter().collect();
    act.remade = Some(Remade { mailbox, before: stood.clone(), after: now.clone() });
    act.change_rows(batch, mailbox, &before, rows.clone(), Some(runs))?;
    Ok(Some(FlagsChanged { rows, modified: Vec::new(), whole: Some((stood.clone(), now)) }))
}

impl Inner {
    pub(crate) fn size_of(&self, body: &Spooled) -> Result<u32> {
        if body.len() > self.config.message_bytes_max {
            return Err(StoreError::Invalid("the message is larger than allowed"));
        }
        u32::try_from(body.len()).map_err(|_| StoreError::Invalid("the message is larger than allowed"))
    }

    pub(crate) fn new_body(&self, batch: &mut Batch, body: &Spooled, facts: &Facts, refs: u32) -> BodyId {
        let (id, arrival) = self.ids.body();
        batch.arrivals.push(arrival);
        // Summed here and not on the one thread that commits; an error shows there.
        let _ = body.sums();
        batch.bodies.push(NewBody { id, refs, content: body.clone(), note: Some(note_of(facts)) });
        id
    }

    pub(crate) fn put_email(&self, batch: &mut Batch, record: &EmailRecord) -> EmailId {
        let email = EmailId(self.ids.take(1));
        let at = key::email(email);
        let value = record.encode(&at);
        batch.put(at, value);
        email
    }

    /// One acceptance into acts and batch.
    async fn lay_out(&self, acts: &mut BTreeMap<AccountId, Act>, batch: &mut Batch, acceptance: &Acceptance) -> Result<Accepted> {
        let size_bytes = self.size_of(&acceptance.body)?;
        let refs = acceptance.deliveries.len() + acceptance.queue.len();
        let refs = u32::try_from(refs).map_err(|_| StoreError::Invalid("too many recipients"))?;
        let mut accepted = Accepted::default();
        if refs > 0 {
            let body = self.new_body(batch, &acceptance.body, &acceptance.facts, refs);
            for delivery in &acceptance.deliveries {
                let act = acts.get_mut(&delivery.account).ok_or(StoreError::NotFound)?;
                act.room(u64::from(size_bytes))?;
                let mailbox = resolve(act, &delivery.target, delivery.internal_date_secs)?;
                let (account, internal_date_secs) = (delivery.account, delivery.internal_date_secs);
                let root = self.join(act, batch, &acceptance.facts).await?;
                let email = self.put_email(batch, &EmailRecord { account, body, size_bytes, internal_date_secs, root });
                let like = NewRow { flags: tidy(&delivery.flags)?, internal_date_secs, size_bytes };
                let uid = act.add_row(batch, mailbox, email, &like)?;
                accepted.delivered.push((delivery.account, mailbox, uid, email));
            }
            for entry in &acceptance.queue {
                accepted.queued.push(self.put_queue_entry(batch, entry, body, size_bytes, &acceptance.facts));
            }
        }
        let names = accepted.delivered.iter().filter_map(|(account, mailbox, ..)| {
            let name = acts.get(account)?.mailbox(*mailbox)?.info.name.clone();
            Some(((*account, *mailbox), name))
        });
        let names = if acceptance.trace.is_empty() { BTreeMap::new() } else { names.collect() };
        self.put_trace(batch, &placed(acceptance, &accepted, &names));
        if let Some(token) = &acceptance.idempotency {
            let order = self.ids.take(1);
            let at = key::idempotency(token);
            batch.expects.push((at.clone(), Version::ABSENT));
            let value = encode_accepted(&at, order, &accepted);
            batch.put(at, value);
            let at = key::idempotency_order(order);
            let mut out = crate::value::Writer::new();
            out.raw(token);
            let value = out.seal(&at);
            batch.put(at, value);
        }
        Ok(accepted)
    }

    async fn known(&self, token: &[u8; 16]) -> Result<Option<Accepted>> {
        let at = key::idempotency(token);
        let stored = get(&*self.engine, at.clone()).await?;
        stored.map(|stored| decode_accepted(&at, &stored)).transpose()
    }

    /// Commits acceptances together with what `more` puts into the batch, all in one.
    pub(crate) async fn accept_all(&self, acceptances: &[&Acceptance], more: impl Fn(&mut Batch)) -> Result<Vec<Accepted>> {
        for _ in 0..CONFLICT_RETRIES {
            let mut answers = Vec::with_capacity(acceptances.len());
            for acceptance in acceptances {
                answers.push(match &acceptance.idempotency {
                    Some(token) => self.known(token).await?,
                    None => None,
                });
            }
            let new: Vec<&Acceptance> =
                acceptances.iter().zip(&answers).filter(|(_, known)| known.is_none()).map(|(one, _)| *one).collect();
            let accounts: BTreeSet<AccountId> =
                new.iter().flat_map(|one| &one.deliveries).map(|delivery| delivery.account).collect();
            let mut acts = BTreeMap::new();
            for account in accounts {
                acts.insert(account, self.act(account, false).await?);
            }
            let mut batch = Batch::default();
            more(&mut batch);
            let mut queued = false;
            for (acceptance, answer) in acceptances.iter().zip(&mut answers).filter(|(_, known)| known.is_none()) {
                let accepted = self.lay_out(&mut acts, &mut batch, acceptance).await?;
                queued |= !accepted.queued.is_empty();
                *answer = Some(accepted);
            }
            if batch.writes.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
            match self.commit_acts(acts.into_values().collect(), batch).await {
                Outcome::Done => {
                    if queued {
                        self.queue.wake();
                    }
                    for one in new.iter().filter(|one| one.facts.is_report()) {
                        one.deliveries.iter().for_each(|delivery| self.reports.add(delivery.account));
                    }
                    return Ok(answers.into_iter().flatten().collect());
                }
                Outcome::Conflict => {}
                Outcome::Failed(error) => return Err(error),
            }
        }
        Err(StoreError::Io("the accounts kept changing".into()))
    }

    async fn append(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        emails: &[NewEmail],
        (marks, by): (&[Mark], Option<&By>),
    ) -> Result<Appended> {
        for _ in 0..CONFLICT_RETRIES {
            let mut act = self.act(account, false).await?;
            act.saved_secs = crate::saved::later(emails, by);
            let mut batch = Batch::default();
            let state = act.mailbox(mailbox).ok_or(StoreError::NotFound)?;
            let mut appended = Appended { uid_validity: state.info.uid_validity, uids: Vec::new() };
            let mut traced = Traced::new(by, "appended", &format!("to {}", state.info.name));
            for email in emails {
                let size_bytes = self.size_of(&email.body)?;
                act.room(u64::from(size_bytes))?;
                let body = self.new_body(&mut batch, &email.body, &email.facts, 1);
                let internal_date_secs = email.internal_date_secs;
                let root = self.join(&mut act, &mut batch, &email.facts).await?;
                let id = self.put_email(&mut batch, &EmailRecord { account, body, size_bytes, internal_date_secs, root });
                let like = NewRow { flags: tidy(&email.flags)?, internal_date_secs, size_bytes };
                let uid = act.add_row(&mut batch, mailbox, id, &like)?;
                appended.uids.push(uid);
                traced.add(uid, id, None);
            }
            if emails.is_empty() {
                return Ok(appended);
            }
            self.put_trace(&mut batch, &traced.events(account));
            crate::mark::put(&mut batch, account, marks, &appended.uids)?;
            match self.commit_acts(vec![act], batch).await {
                Outcome::Done => return Ok(appended),
                Outcome::Conflict => {
                    if !crate::mark::hold(&*self.engine, account, marks).await? {
                        return Err(StoreError::Exists);
                    }
                }
                Outcome::Failed(error) => return Err(error),
            }
        }
        Err(StoreError::Io("the account kept changing".into()))
    }

    async fn copy_rows(
        &self,
        account: AccountId,
        (from, uids): (MailboxId, &[Uid]),
        to: (MailboxId, FlagMask),
        (whole, by): (bool, Option<&By>),
    ) -> Result<Copied> {
        let (uids, (to, mask)) = (ascending(uids), to);
        exclusively!(self, account, |act, batch| {
            let uid_validity = act.mailbox(to).ok_or(StoreError::NotFound)?.info.uid_validity;
            act.saved_secs = by.map(|by| by.now_secs);
            let mut traced = Traced::new(by, "copied", &from_to(act, from, to)?);
            let mut rows = self.some_rows(act, from, &uids).await?;
            if whole && rows.len() < uids.len() {
                rows.clear();
            }
            act.room(rows.iter().map(|row| u64::from(row.size_bytes)).sum())?;
            let emails: Vec<EmailId> = rows.iter().map(|row| row.email).collect();
            let records = self.email_records(account, &emails).await?;
            let mut copied = Copied { uid_validity, pairs: Vec::new() };
            for (row, record) in rows.iter().zip(records) {
                let record = record.ok_or_else(|| StoreError::Damaged(format!("email {} has no record", row.email.0)))?;
                batch.retain.push((record.body, 1));
                let email = self.put_email(batch, &record);
                copied.pairs.push((row.uid, act.add_row(batch, to, email, &like(row, mask))?));
                traced.add(row.uid, row.email, Some(email));
            }
            self.put_trace(batch, &traced.events(account));
            Ok((!copied.pairs.is_empty(), copied))
        })
    }

    async fn move_rows(
        &self,
        account: AccountId,
        (from, uids): (MailboxId, &[Uid]),
        to: (MailboxId, FlagMask),
        (now_secs, by): (UnixSecs, Option<&By>),
    ) -> Result<Copied> {
        let (uids, (to, mask)) = (ascending(uids), to);
        acting!(self, (account, false), |act, batch| {
            let uid_validity = act.mailbox(to).ok_or(StoreError::NotFound)?.info.uid_validity;
            act.saved_secs = Some(now_secs);
            let mut traced = Traced::new(by, "moved", &from_to(act, from, to)?);
            let rows = self.some_rows(act, from, &uids).await?;
            let mut copied = Copied { uid_validity, pairs: Vec::new() };
            for row in &rows {
                act.remove_row(batch, from, row)?;
                copied.pairs.push((row.uid, act.add_row(batch, to, row.email, &like(row, mask))?));
                traced.add(row.uid, row.email, None);
            }
            self.put_trace(batch, &traced.events(account));
            Ok((!copied.pairs.is_empty(), copied))
        })
    }

    async fn expunge(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[Uid],
        (only, now_secs, by): (u8, UnixSecs, Option<&By>),
    ) -> Result<Vec<Uid>> {
        let uids = ascending(uids);
        acting!(self, (account, false), |act, batch| {
            let info = act.mailbox(mailbox).ok_or(StoreError::NotFound)?.info.clone();
            let mut rows = self.some_rows(act, mailbox, &uids).await?;
            rows.retain(|row| row.flags.system & only == only);
            let mut traced = Traced::new(by, "expunged", &format!("from {}", info.name));
            crate::undo::put_aside(act, batch, &info, &rows, now_secs)?;
            rows.iter().for_each(|row| traced.add(row.uid, row.email, None));
            self.put_trace(batch, &traced.events(account));
            Ok((!rows.is_empty(), rows.iter().map(|row| row.uid).collect()))
        })
    }

    /// `None`: the old one is not there any more.
    async fn replace_row(
        &self,
        account: AccountId,
        (from, uid): (MailboxId, Uid),
        to: MailboxId,
        (email, now_secs, by): (&NewEmail, UnixSecs, Option<&By>),
    ) -> Result<Option<Appended>> {
        acting!(self, (account, false), |act, batch| {
            let info = act.mailbox(from).ok_or(StoreError::NotFound)?.info.clone();
            let uid_validity = act.mailbox(to).ok_or(StoreError::NotFound)?.info.uid_validity;
            let size_bytes = self.size_of(&email.body)?;
            match self.some_rows(act, from, &[uid]).await?.first() {
                None => Ok((false, None)),
                Some(old) => {
                    crate::undo::put_aside(act, batch, &info, std::slice::from_ref(old), now_secs)?;
                    act.room(u64::from(size_bytes))?;
                    let body = self.new_body(batch, &email.body, &email.facts, 1);
                    let internal_date_secs = email.internal_date_secs;
                    let root = self.join(act, batch, &email.facts).await?;
                    let id = self.put_email(batch, &EmailRecord { account, body, size_bytes, internal_date_secs, root });
                    let like = NewRow { flags: tidy(&email.flags)?, internal_date_secs, size_bytes };
                    let new = act.add_row(batch, to, id, &like)?;
                    let uids = vec![new];
                    let mut traced = Traced::new(by, "replaced", &format!("of {} by UID {}", info.name, new.0));
                    traced.add(uid, old.email, Some(id));
                    self.put_trace(batch, &traced.events(account));
                    Ok((true, Some(Appended { uid_validity, uids })))
                }
            }
        })
    }

    async fn change_flags(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[Uid],
        (change, by): ((FlagOp, &Flags, FlagMask), Option<&By>),
        unchanged_since: Option<ModSeq>,
    ) -> Result<FlagsChanged> {
        let uids = ascending(uids);
        // Of flags only the one that announces an end is worth a line.
        let by = by.filter(|_| change.0 != FlagOp::Remove && change.1.system & Flags::DELETED != 0);
        acting!(self, (account, uids.len() >= FLAG_RUN_ROWS_MIN), |act, batch| {
            let state = act.mailbox(mailbox).ok_or(StoreError::NotFound)?;
            let messages = state.messages as usize;
            let mut traced = Traced::new(by, "marked-deleted", &state.info.name);
            let stood = self.standing(act, mailbox, &uids).await?;
            let is_all = uids.len() >= FLAG_RUN_ROWS_MIN && stood.len() == messages;
            if is_all
                && unchanged_since.is_none()
                && by.is_none()
                && stood.uids(0..messages).eq(uids.iter().copied())
                && let Some(answer) = change_all_flags(act, batch, mailbox, &stood, change)?
            {
                return Ok((true, answer));
            }
            let mut answer = FlagsChanged::default();
            let mut before = Vec::new();
            let mut after = Vec::new();
            for (_, row) in stood.pick(&uids) {
                if unchanged_since.is_some_and(|limit| row.mod_seq > limit) {
                    answer.modified.push(row.uid);
                    continue;
                }
                let flags = change.2.within(&row.flags, apply_flags(&row.flags, change.0, change.1)?);
                if flags == row.flags {
                    answer.rows.push(row);
                } else {
                    before.push(row.flags.system);
                    if row.flags.system & Flags::DELETED == 0 {
                        traced.add(row.uid, row.email, None);
                    }
                    let now = MessageRow { flags, mod_seq: act.mod_seq(), ..row };
                    answer.rows.push(now.clone());
                    after.push(now);
                }
            }
            let runs = self.flag_runs_after(act, mailbox, &after).await?;
            let changed = !after.is_empty();
            // Made once: the store's own rows become these, and those of the session that asks.
            if changed && (is_all || act.space().shows(mailbox, &stood)) {
                let mut now = stood.clone();
                now.put(&after);
                answer.whole = Some((stood.clone(), now.clone()));
                act.remade = Some(Remade { mailbox, before: stood, after: now });
            }
            act.change_rows(batch, mailbox, &before, after, runs)?;
            self.put_trace(batch, &traced.events(account));
            Ok((changed, answer))
        })
    }

    /// The mailbox's runs of flags with what `after` changes, when that is the shorter way to write it.
    pub(crate) async fn flag_runs_after(
        &self,
        act: &Act,
        mailbox: MailboxId,
        after: &[MessageRow],
    ) -> Result<Option<Vec<FlagRun>>> {
        if after.len() < FLAG_RUN_ROWS_MIN {
            return Ok(None);
        }
        let flags_at = act.space().flags_at(mailbox);
        let old = get(&*self.engine, key::flags(act.account(), mailbox)).await?;
        let old = self.flag_runs(act.space(), mailbox, old, flags_at).await?;
        let rows = self.rows_of(act.space(), mailbox).await?;
        // Where all changes, what there was says nothing more.
        Ok(match after.len() == rows.len() {
            true => gather_flag_runs(after.iter().cloned(), &[], after),
            false => gather_flag_runs(rows.iter(), &old, after),
        })
    }

    pub(crate) fn needs_room(&self) -> Result<()> {
        if self.free.has_space() { Ok(()) } else { Err(StoreError::NoSpace) }
    }
}

impl Store {
    /// Accepts a message: deliveries, queue rows, trace, in one durable commit.
    /// A delivery over quota fails the whole with `OverQuota` (callers check [`Store::room`] at RCPT).
    pub async fn accept(&self, acceptance: Acceptance) -> Result<Accepted> {
        self.inner.needs_room()?;
        let accepted = self.inner.accept_all(&[&acceptance], |_| ()).await?;
        self.inner
            .after_growth(accepted.iter().flat_map(|one| &one.delivered).map(|(account, mailbox, _, _)| (*account, *mailbox)));
        accepted.into_iter().next().ok_or_else(|| StoreError::Io("no answer".into()))
    }

    /// APPEND: all or none.
    pub async fn append(&self, account: AccountId, mailbox: MailboxId, emails: Vec<NewEmail>) -> Result<Appended> {
        self.append_marked(account, mailbox, emails, Vec::new()).await
    }

    /// The same, and in the same commit the marks of whoever brought them: either all is there or nothing. `Exists` when a
    /// mark is not what it was expected to be.
    pub async fn append_marked(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        emails: Vec<NewEmail>,
        marks: Vec<Mark>,
    ) -> Result<Appended> {
        self.inner.needs_room()?;
        let appended = self.inner.append(account, mailbox, &emails, (&marks, self.by.as_ref())).await?;
        if emails.iter().any(|one| one.facts.is_report()) {
            self.inner.reports.add(account);
        }
        self.inner.after_growth(std::iter::once((account, mailbox)));
        Ok(appended)
    }

    /// Puts a message in the place of another, in one commit: the old one goes as if expunged, and its room counts for the
    /// new one. `None`, and nothing done, when the old one is not there.
    pub async fn replace(
        &self,
        account: AccountId,
        (from, uid): (MailboxId, Uid),
        to: MailboxId,
        email: NewEmail,
        now_secs: UnixSecs,
    ) -> Result<Option<Appended>> {
        self.inner.needs_room()?;
        let appended = self.inner.replace_row(account, (from, uid), to, (&email, now_secs, self.by.as_ref())).await?;
        self.inner.after_growth(std::iter::once((account, to)));
        Ok(appended)
    }

    /// Changes flags; UIDs that do not exist are passed over.
    pub async fn flags(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[Uid],
        op: FlagOp,
        flags: &Flags,
        unchanged_since: Option<ModSeq>,
    ) -> Result<FlagsChanged> {
        self.flags_within((account, mailbox), uids, (op, flags, FlagMask::ALL), unchanged_since).await
    }

    /// The same, but only flags of `mask` change.
    pub async fn flags_within(
        &self,
        (account, mailbox): (AccountId, MailboxId),
        uids: &[Uid],
        (op, flags, mask): (FlagOp, &Flags, FlagMask),
        unchanged_since: Option<ModSeq>,
    ) -> Result<FlagsChanged> {
        self.inner.change_flags(account, mailbox, uids, ((op, flags, mask), self.by.as_ref()), unchanged_since).await
    }

    /// Copies, flags and INTERNALDATE kept, all or none, bodies shared.
    pub async fn copy(&self, account: AccountId, from: MailboxId, uids: &[Uid], to: MailboxId) -> Result<Copied> {
        self.inner.needs_room()?;
        self.inner.copy_rows(account, (from, uids), (to, FlagMask::ALL), (false, self.by.as_ref())).await
    }

    /// The same, but nothing when one of them is not there.
    pub async fn copy_whole(&self, account: AccountId, from: MailboxId, uids: &[Uid], to: MailboxId) -> Result<Copied> {
        self.inner.needs_room()?;
        self.inner.copy_rows(account, (from, uids), (to, FlagMask::ALL), (true, self.by.as_ref())).await
    }

    /// Copies between any two mailboxes, whosever they are; new messages get flags of `mask` only. With `whole` nothing
    /// when one of them is not there.
    pub async fn copy_to(
        &self,
        from: (AccountId, MailboxId),
        uids: &[Uid],
        to: (AccountId, MailboxId),
        mask: FlagMask,
        whole: bool,
    ) -> Result<Copied> {
        self.inner.needs_room()?;
        match from.0 == to.0 {
            true => self.inner.copy_rows(from.0, (from.1, uids), (to.1, mask), (whole, self.by.as_ref())).await,
            false => {
                self.inner.carry_rows((from.0, from.1, uids), (to.0, to.1, mask), (Carry::Copy { whole }, self.by.as_ref())).await
            }
        }
    }

    /// Moves between any two mailboxes, as [`Store::copy_to`] copies.
    pub async fn move_to(
        &self,
        from: (AccountId, MailboxId),
        uids: &[Uid],
        to: (AccountId, MailboxId),
        mask: FlagMask,
        now_secs: UnixSecs,
    ) -> Result<Copied> {
        match from.0 == to.0 {
            true => self.inner.move_rows(from.0, (from.1, uids), (to.1, mask), (now_secs, self.by.as_ref())).await,
            false => {
                self.inner.needs_room()?;
                let carry = (Carry::Move { now_secs }, self.by.as_ref());
                self.inner.carry_rows((from.0, from.1, uids), (to.0, to.1, mask), carry).await
            }
        }
    }

    /// Moves, all or none: one commit, never visible in both or in neither.
    pub async fn move_(
        &self,
        account: AccountId,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now_secs: UnixSecs,
    ) -> Result<Copied> {
        self.inner.move_rows(account, (from, uids), (to, FlagMask::ALL), (now_secs, self.by.as_ref())).await
    }

    /// Expunges these UIDs (whatever their flags); they stay restorable. Returns those that were there, ascending.
    pub async fn expunge(&self, account: AccountId, mailbox: MailboxId, uids: &[Uid], now_secs: UnixSecs) -> Result<Vec<Uid>> {
        self.inner.expunge(account, mailbox, uids, (0, now_secs, self.by.as_ref())).await
    }

    /// Expunges those of these UIDs that carry \Deleted when it is done, whatever the caller saw before
    /// (RFC 9051 §6.4.3). Returns those that went, ascending.
    pub async fn expunge_deleted(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[Uid],
        now_secs: UnixSecs,
    ) -> Result<Vec<Uid>> {
        self.inner.expunge(account, mailbox, uids, (Flags::DELETED, now_secs, self.by.as_ref())).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn flags(system: u8, words: &[&str]) -> Flags {
        let words: Vec<SmolStr> = words.iter().map(SmolStr::new).collect();
        Flags { system, keywords: (!words.is_empty()).then(|| Arc::from(words)) }
    }

    #[test]
    fn keywords_have_no_case_and_keep_their_first_spelling() {
        let old = flags(Flags::SEEN, &["$Forwarded", "Work"]);
        let added = apply_flags(&old, FlagOp::Add, &flags(Flags::DRAFT, &["work", "new"])).unwrap();
        assert_eq!(added, flags(Flags::SEEN | Flags::DRAFT, &["$Forwarded", "new", "Work"]));
        let removed = apply_flags(&added, FlagOp::Remove, &flags(Flags::SEEN, &["WORK"])).unwrap();
        assert_eq!(removed, flags(Flags::DRAFT, &["$Forwarded", "new"]));
        let replaced = apply_flags(&added, FlagOp::Replace, &flags(0, &["WORK"])).unwrap();
        assert_eq!(replaced, flags(0, &["Work"]));
        let many: Vec<String> = (0..65).map(|number| format!("k{number}")).collect();
        let words: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(tidy(&flags(0, &words)).is_err());
        assert!(tidy(&flags(0, words.get(..64).unwrap())).is_ok());
    }
}
