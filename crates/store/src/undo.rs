//! What was expunged and can still be brought back.
//!
//! An undo row holds the body in place of the mailbox row, outside the quota. Invariant: a message is in a mailbox or
//! aside, never both and never neither, until it is erased. Must not know: who expunged it, or how.

use crate::Store;
use crate::account::decode_gone;
use crate::engine::{Batch, Found, Key, Outcome, Query, Version, range};
use crate::key;
use crate::limits::{CARE_ROWS, ERASE_ROWS};
use crate::mailbox::exclusively;
use crate::mailbox::make;
use crate::rest::Rest;
use crate::rows::{EmailRecord, UndoRow};
use crate::space::{Act, NewRow};
use crate::store::{Inner, Result};
use crate::types::*;
use std::collections::BTreeSet;

const DAY: i64 = 86_400;

/// Takes messages out of their mailbox and puts them aside, in the same act.
pub(crate) fn put_aside(
    act: &mut Act,
    batch: &mut Batch,
    mailbox: &Mailbox,
    rows: &[MessageRow],
    now_secs: UnixSecs,
) -> Result<()> {
    // One after the other and not in turns: the keys of each come in order, which is cheaper to gather.
    rows.iter().try_for_each(|row| act.remove_row(batch, mailbox.id, row))?;
    for row in rows {
        let at = key::undo(act.account(), now_secs, row.email);
        let undo = UndoRow {
            mailbox: mailbox.id,
            mailbox_name: mailbox.name.clone(),
            uid: row.uid,
            flags: row.flags.clone(),
            internal_date_secs: row.internal_date_secs,
            size_bytes: row.size_bytes,
        };
        let value = undo.encode(&at);
        batch.put(at, value);
    }
    Ok(())
}

/// (when, which) of an undo key.
pub(crate) fn parts_of(at: &Key) -> Option<(AccountId, UnixSecs, EmailId)> {
    let mut parts = key::Parts::of(at);
    Some((AccountId(parts.u32()?), parts.secs()?, EmailId(parts.u64()?)))
}

impl Inner {
    async fn list(&self, account: AccountId, limit: usize) -> Result<Vec<Undoable>> {
        self.ready(account).await?;
        let (from, to) = key::of_account(key::UNDO, account);
        let found = self.engine.read(vec![Query::Range { from, to, limit, reverse: true }]).await?;
        let rows = found.into_iter().next().map(Found::pairs).unwrap_or_default();
        let mut list = Vec::with_capacity(rows.len());
        for (at, stored) in &rows {
            let Some((_, expunged_secs, email)) = parts_of(at) else { continue };
            // One that cannot be read hides none of the others.
            let Ok(row) = UndoRow::decode(at, stored) else { continue };
            let (mailbox, mailbox_name) = (row.mailbox, row.mailbox_name);
            let (subject, from) = (String::new(), String::new());
            list.push(Undoable { email, mailbox, mailbox_name, expunged_secs, size_bytes: row.size_bytes, subject, from });
        }
        let emails: Vec<EmailId> = list.iter().map(|one| one.email).collect();
        for (one, facts) in list.iter_mut().zip(self.facts_for_people(account, &emails).await?) {
            (one.subject, one.from) = facts;
        }
        Ok(list)
    }

    async fn restore(
        &self,
        account: AccountId,
        emails: &[EmailId],
        now_secs: UnixSecs,
    ) -> Result<Vec<(EmailId, MailboxId, Uid)>> {
        let wanted: BTreeSet<EmailId> = emails.iter().copied().collect();
        exclusively!(self, account, |act, batch| {
            let rows = range(&*self.engine, key::of_account(key::UNDO, account), usize::MAX).await?;
            act.saved_secs = Some(now_secs);
            let mut restored = Vec::new();
            for (at, stored) in rows {
                let Some((_, _, email)) = parts_of(&at).filter(|(_, _, email)| wanted.contains(email)) else { continue };
                let row = UndoRow::decode(&at, &stored)?;
                // It may be erased for good at this very moment.
                batch.expects.push((at.clone(), Version::of(Some(&stored))));
                act.room(u64::from(row.size_bytes))?;
                let mailbox = home(act, &row, now_secs)?;
                let like = NewRow {
                    flags: without_deleted(row.flags),
                    internal_date_secs: row.internal_date_secs,
                    size_bytes: row.size_bytes,
                };
                let uid = act.add_row(batch, mailbox, email, &like)?;
                batch.delete(at);
                restored.push((email, mailbox, uid));
            }
            Ok((!restored.is_empty(), restored))
        })
    }

    /// Erases what of an account was expunged before `before`. Gives the octets it held. What does not let itself be
    /// erased stays, costs itself, and is told at the end.
    pub(crate) async fn erase_before(&self, account: AccountId, before: UnixSecs, rest: &mut Rest) -> Result<u64> {
        let (mut from, _) = key::of_account(key::UNDO, account);
        let to = key::undo(account, before, EmailId(0));
        let mut erased = 0;
        let mut told = Ok(());
        loop {
            let rows = range(&*self.engine, (from.clone(), to.clone()), ERASE_ROWS).await?;
            let Some((last, _)) = rows.last() else { break };
            from = last.behind();
            self.let_others(rest).await;
            if let Ok(Some(octets)) = self.erase(account, rows.clone()).await {
                erased += octets;
                continue;
            }
            // One of them was restored meanwhile, or is damaged: one by one.
            for row in rows {
                match self.erase(account, vec![row.clone()]).await {
                    Ok(Some(octets)) => erased += octets,
                    Ok(None) if crate::engine::get(&*self.engine, row.0).await? != Some(row.1) => {}
                    Ok(None) => told = Err(StoreError::Damaged("what was expunged does not let itself be erased".into())),
                    Err(error @ StoreError::Damaged(_)) => told = Err(error),
                    Err(error) => return Err(error),
                }
            }
        }
        told.map(|()| erased)
    }

    /// Erases undo rows with their emails; bodies go with their last holder. `None`: not as they were read.
    async fn erase(&self, account: AccountId, rows: Vec<(Key, Vec<u8>)>) -> Result<Option<u64>> {
        let mut batch = Batch { spaces: vec![account.0], ..Batch::default() };
        let mut octets = 0;
        for (at, stored) in rows {
            let Some((_, _, email)) = parts_of(&at) else { continue };
            // One that does not decode may be another's, under a key that was damaged.
            octets += u64::from(UndoRow::decode(&at, &stored)?.size_bytes);
            batch.expects.push((at.clone(), Version::of(Some(&stored))));
            batch.delete(at);
            self.erase_email(&mut batch, email).await?;
        }
        match self.commit(batch).await {
            Outcome::Done => Ok(Some(octets)),
            Outcome::Conflict => Ok(None),
            Outcome::Failed(error) => Err(error),
        }
    }

    pub(crate) async fn erase_email(&self, batch: &mut Batch, email: EmailId) -> Result<()> {
        let at = key::email(email);
        if let Some(stored) = crate::engine::get(&*self.engine, at.clone()).await? {
            match EmailRecord::decode(&at, &stored) {
                Ok(record) => {
                    self.forget_answer(batch, record.account, record.body).await?;
                    batch.release.push((record.body, 1));
                }
                Err(error) => tracing::error!(?error, "an erased email's record cannot be read; its body stays"),
            }
            batch.delete(at);
        }
        self.emails.remove(&email);
        Ok(())
    }

    /// Every account with something aside or removed, each once.
    pub(crate) async fn accounts_with_rests(&self) -> Result<Vec<AccountId>> {
        let mut accounts = Vec::new();
        let (mut from, to) = key::whole(key::UNDO);
        loop {
            let rows = range(&*self.engine, (from.clone(), to.clone()), 1).await?;
            let Some((account, _, _)) = rows.first().and_then(|(at, _)| parts_of(at)) else { break };
            accounts.push(account);
            from = key::of_account(key::UNDO, account).1;
        }
        Ok(accounts)
    }

    /// Erases all that is left of accounts removed before `before`.
    pub(crate) async fn erase_removed(&self, before: UnixSecs, rest: &mut Rest) -> Result<()> {
        let mut told = Ok(());
        for (at, stored) in range(&*self.engine, key::whole(key::ACCOUNT_GONE), usize::MAX).await? {
            let Some(id) = key::Parts::of(&at).u32().map(AccountId) else { continue };
            match decode_gone(&at, &stored) {
                Err(error) => told = Err(error),
                Ok((_, removed)) if removed >= before => {}
                Ok(_) if crate::engine::get(&*self.engine, key::space(id)).await?.is_none() => {}
                Ok((address, _)) => told = told.and(self.erase_account(id, &address, rest).await),
            }
        }
        told
    }

    async fn erase_account(&self, id: AccountId, address: &str, rest: &mut Rest) -> Result<()> {
        self.erase_before(id, UnixSecs::MAX, rest).await?;
        loop {
            let rows = range(&*self.engine, key::of_account(key::UID, id), ERASE_ROWS).await?;
            if rows.is_empty() {
                break;
            }
            self.let_others(rest).await;
            let mut batch = Batch { spaces: vec![id.0], ..Batch::default() };
            for (at, stored) in rows {
                // Of one that cannot be read the email stays behind, for `rebuild` to find.
                let row = crate::rows::decode_uid(&at, &stored);
                batch.delete(at);
                if let Ok(row) = row {
                    self.erase_email(&mut batch, row.email).await?;
                }
            }
            done(self.commit(batch).await)?;
        }
        let kinds = [
            key::CHANGE,
            key::FLAGS,
            key::MAILBOX,
            key::SUBSCRIPTION,
            key::ANNOTATION,
            key::THREAD,
            key::ACL,
            key::SAVED,
            key::OWN_SEEN,
            key::RECORD,
            key::MARK,
            key::KNOWN_RECIPIENT,
            key::SENT_COUNTS,
        ];
        for kind in kinds {
            loop {
                let rows = range(&*self.engine, key::of_account(kind, id), CARE_ROWS).await?;
                if rows.is_empty() {
                    break;
                }
                self.let_others(rest).await;
                let holders = rows.iter().filter(|_| kind == key::RECORD).filter_map(|(at, _)| crate::record::parts_of(at));
                let holders: BTreeSet<Key> = holders.map(|(_, collection, _)| key::record_holder(collection, id)).collect();
                let writes = rows.into_iter().map(|(at, _)| (at, None)).chain(holders.into_iter().map(|at| (at, None))).collect();
                done(self.commit(Batch { spaces: vec![id.0], writes, ..Batch::default() }).await)?;
            }
        }
        self.erase_trace(id, address).await?;
        // The tombstone stays: it keeps the id from ever being taken for free.
        done(self.commit(Batch { spaces: vec![id.0], writes: vec![(key::space(id), None)], ..Batch::default() }).await)
    }

    /// Erases what is past its days; under pressure the days are halved until there is room or nothing is left.
    pub(crate) async fn erase_old(&self, now_secs: UnixSecs, rest: &mut Rest) -> Result<()> {
        let mut window = i64::from(self.config.undo_days) * DAY;
        let accounts = self.accounts_with_rests().await?;
        let mut told = Ok(());
        loop {
            for account in &accounts {
                told = told.and(self.erase_before(*account, now_secs.saturating_sub(window), rest).await.map(|_| ()));
            }
            if self.free.read_again() >= self.config.free_bytes_tight || window == 0 {
                break;
            }
            // What is erased gives no room while nothing may be rewritten: then it is better kept.
            match self.give_room_back().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => told = told.and(Err(error)),
            }
            window /= 2;
        }
        told.and(self.erase_removed(now_secs.saturating_sub(i64::from(self.config.undo_days) * DAY), rest).await)
    }

    async fn facts_for_people(&self, account: AccountId, emails: &[EmailId]) -> Result<Vec<(String, String)>> {
        let mut told = Vec::with_capacity(emails.len());
        for email in emails {
            // One damaged body hides none of the others.
            let facts = self.facts(account, &[*email]).await.ok().and_then(|mut found| found.pop()).flatten();
            told.push(facts.map(|facts| (facts.subject.clone(), facts.from.clone())).unwrap_or_default());
        }
        Ok(told)
    }
}

pub(crate) fn done(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Conflict => Err(StoreError::Io("something else was written meanwhile".into())),
        Outcome::Failed(error) => Err(error),
    }
}

/// Restored mail must not be swept away by the next EXPUNGE.
fn without_deleted(flags: Flags) -> Flags {
    Flags { system: flags.system & !Flags::DELETED, ..flags }
}

/// The mailbox it was in, or the one with that name, or that one made again.
fn home(act: &mut Act, row: &UndoRow, now_secs: UnixSecs) -> Result<MailboxId> {
    if let Some(state) = act.mailbox(row.mailbox).or_else(|| act.by_name(&row.mailbox_name)) {
        return Ok(state.info.id);
    }
    make(act, &row.mailbox_name, None, now_secs)
}

impl Store {
    /// What can be brought back, newest first.
    pub async fn undo_list(&self, account: AccountId, limit: usize) -> Result<Vec<Undoable>> {
        self.inner.list(account, limit).await
    }

    /// Brings emails back under new UIDs, to their mailbox (made again when it is gone).
    pub async fn undo_restore(
        &self,
        account: AccountId,
        emails: &[EmailId],
        now_secs: UnixSecs,
    ) -> Result<Vec<(EmailId, MailboxId, Uid)>> {
        self.inner.restore(account, emails, now_secs).await
    }
}
