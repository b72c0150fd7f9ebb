//! Messages that cross from one account into another: copies, moves, and the one that takes another's place.
//!
//! Both accounts are held still and change in one commit: the new messages are new emails over the same bodies, and what goes
//! away stays restorable for its owner. The trace of both accounts tells of it. Must not know: who may do it.

use crate::Store;
use crate::engine::{Batch, Outcome};
use crate::limits::CONFLICT_RETRIES;
use crate::message::{ascending, like, tidy};
use crate::rows::EmailRecord;
use crate::space::{Act, NewRow};
use crate::store::{Inner, Result};
use crate::trace::Traced;
use crate::types::*;

/// How messages cross.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Carry {
    /// `whole`: nothing when one of them is not there.
    Copy {
        whole: bool,
    },
    Move {
        now_secs: UnixSecs,
    },
}

impl Carry {
    fn verb(self) -> &'static str {
        match self {
            Carry::Copy { .. } => "copied",
            Carry::Move { .. } => "moved",
        }
    }
}

/// What the traces of both accounts tell.
struct Told<'a> {
    source: Traced<'a>,
    target: Traced<'a>,
}

impl<'a> Told<'a> {
    fn add(&mut self, (old, email): (Uid, EmailId), (new, made): (Uid, EmailId)) {
        self.source.add(old, email, Some(made));
        self.target.add(new, made, Some(email));
    }
}

/// Both accounts, held still.
struct Both {
    source: Act,
    target: Act,
    /// The mailbox they leave.
    info: Mailbox,
    uid_validity: u32,
}

impl Inner {
    /// In ascending order, as all who hold two.
    async fn hold_both(&self, from: (AccountId, MailboxId), to: (AccountId, MailboxId)) -> Result<Both> {
        let (source, target);
        if from.0 < to.0 {
            source = self.act(from.0, true).await?;
            target = self.act(to.0, true).await?;
        } else {
            target = self.act(to.0, true).await?;
            source = self.act(from.0, true).await?;
        }
        let uid_validity = target.mailbox(to.1).ok_or(StoreError::NotFound)?.info.uid_validity;
        let info = source.mailbox(from.1).ok_or(StoreError::NotFound)?.info.clone();
        Ok(Both { source, target, info, uid_validity })
    }

    async fn told<'a>(&self, both: &Both, to: MailboxId, verb: &'static str, by: Option<&'a By>) -> Result<Told<'a>> {
        let there = &both.target.mailbox(to).ok_or(StoreError::NotFound)?.info.name;
        let mut of = [String::new(), String::new()];
        for (address, id) in of.iter_mut().zip([both.source.account(), both.target.account()]).filter(|_| by.is_some()) {
            *address = self.lookup_id(id).await?.map(|account| account.address.clone()).unwrap_or_default();
        }
        let [owner, receiver] = of;
        let place = format!("from {} of {owner} to {there} of {receiver}", both.info.name);
        Ok(Told { source: Traced::new(by, verb, &place), target: Traced::new(by, verb, &place) })
    }

    fn put_told(&self, batch: &mut Batch, told: &Told<'_>, from: AccountId, to: AccountId) {
        let mut events = told.source.events(from);
        events.extend(told.target.events(to));
        self.put_trace(batch, &events);
    }

    /// Copies or moves these.
    pub(crate) async fn carry_rows(
        &self,
        (from_account, from, uids): (AccountId, MailboxId, &[Uid]),
        (to_account, to, mask): (AccountId, MailboxId, FlagMask),
        (carry, by): (Carry, Option<&By>),
    ) -> Result<Copied> {
        let uids = ascending(uids);
        for _ in 0..CONFLICT_RETRIES {
            let mut both = self.hold_both((from_account, from), (to_account, to)).await?;
            let mut told = self.told(&both, to, carry.verb(), by).await?;
            both.target.saved_secs = match carry {
                Carry::Copy { .. } => by.map(|by| by.now_secs),
                Carry::Move { now_secs } => Some(now_secs),
            };
            let mut batch = Batch::default();
            let mut rows = self.some_rows(&both.source, from, &uids).await?;
            if matches!(carry, Carry::Copy { whole: true }) && rows.len() < uids.len() {
                rows.clear();
            }
            let mut copied = Copied { uid_validity: both.uid_validity, pairs: Vec::new() };
            if rows.is_empty() {
                return Ok(copied);
            }
            both.target.room(rows.iter().map(|row| u64::from(row.size_bytes)).sum())?;
            let emails: Vec<EmailId> = rows.iter().map(|row| row.email).collect();
            let records = self.email_records(from_account, &emails).await?;
            let facts = self.facts_in(&records).await?;
            for ((row, record), facts) in rows.iter().zip(records).zip(facts) {
                let record = record.ok_or_else(|| StoreError::Damaged(format!("email {} has no record", row.email.0)))?;
                batch.retain.push((record.body, 1));
                let root = self.join(&mut both.target, &mut batch, &facts.unwrap_or_default()).await?;
                let email = self.put_email(&mut batch, &EmailRecord { account: to_account, root, ..record });
                let uid = both.target.add_row(&mut batch, to, email, &like(row, mask))?;
                copied.pairs.push((row.uid, uid));
                told.add((row.uid, row.email), (uid, email));
                if let Carry::Move { now_secs } = carry {
                    crate::undo::put_aside(&mut both.source, &mut batch, &both.info, std::slice::from_ref(row), now_secs)?;
                }
            }
            self.put_told(&mut batch, &told, from_account, to_account);
            let changes_both = matches!(carry, Carry::Move { .. });
            match self.commit_both(both, changes_both, batch).await {
                Outcome::Done => return Ok(copied),
                Outcome::Conflict => {}
                Outcome::Failed(error) => return Err(error),
            }
        }
        Err(StoreError::Io("the accounts kept changing".into()))
    }

    /// Whoever does not change is held still until the other is written.
    async fn commit_both(&self, both: Both, changes_both: bool, batch: Batch) -> Outcome {
        let mut acts = vec![both.target];
        let mut held = None;
        if changes_both {
            acts.push(both.source)
        } else {
            held = Some(both.source)
        }
        acts.sort_by_key(Act::account);
        let outcome = self.commit_acts(acts, batch).await;
        drop(held);
        outcome
    }

    /// A new message in another account takes the place of an old one here. `None`: the old one is not there any more.
    pub(crate) async fn replace_across(
        &self,
        (from_account, from, uid): (AccountId, MailboxId, Uid),
        (to_account, to): (AccountId, MailboxId),
        (email, now_secs, by): (&NewEmail, UnixSecs, Option<&By>),
    ) -> Result<Option<Appended>> {
        let size_bytes = self.size_of(&email.body)?;
        let internal_date_secs = email.internal_date_secs;
        let like = NewRow { flags: tidy(&email.flags)?, internal_date_secs, size_bytes };
        for _ in 0..CONFLICT_RETRIES {
            let mut both = self.hold_both((from_account, from), (to_account, to)).await?;
            let mut told = self.told(&both, to, "replaced", by).await?;
            let Some(old) = self.some_rows(&both.source, from, &[uid]).await?.into_iter().next() else { return Ok(None) };
            both.target.room(u64::from(size_bytes))?;
            let mut batch = Batch::default();
            let body = self.new_body(&mut batch, &email.body, &email.facts, 1);
            let root = self.join(&mut both.target, &mut batch, &email.facts).await?;
            let made =
                self.put_email(&mut batch, &EmailRecord { account: to_account, body, size_bytes, internal_date_secs, root });
            let new = both.target.add_row(&mut batch, to, made, &like)?;
            crate::undo::put_aside(&mut both.source, &mut batch, &both.info, std::slice::from_ref(&old), now_secs)?;
            told.add((uid, old.email), (new, made));
            self.put_told(&mut batch, &told, from_account, to_account);
            let appended = Appended { uid_validity: both.uid_validity, uids: vec![new] };
            match self.commit_both(both, true, batch).await {
                Outcome::Done => return Ok(Some(appended)),
                Outcome::Conflict => {}
                Outcome::Failed(error) => return Err(error),
            }
        }
        Err(StoreError::Io("the accounts kept changing".into()))
    }
}

impl Store {
    /// The same as [`Store::replace`], but the new message may lie in another account than the old one.
    pub async fn replace_to(
        &self,
        (account, from, uid): (AccountId, MailboxId, Uid),
        to: (AccountId, MailboxId),
        email: NewEmail,
        now_secs: UnixSecs,
    ) -> Result<Option<Appended>> {
        if account == to.0 {
            return self.replace(account, (from, uid), to.1, email, now_secs).await;
        }
        self.inner.needs_room()?;
        let by = self.by.as_ref();
        let appended = self.inner.replace_across((account, from, uid), to, (&email, now_secs, by)).await?;
        self.inner.after_growth(std::iter::once(to));
        Ok(appended)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, add, ann, both, email, inbox, new_account, sound, text, uids};

    #[tokio::test]
    async fn the_trace_of_both_tells_who_carried_what() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let bob = store.accounts_add(vec![new_account("bob@here.test")], NOW).await.unwrap()[0];
            let (hers, his) = (inbox(&store, ann).await, inbox(&store, bob).await);
            let uid = add(&store, ann, hers).await;
            let email_of = async |account: AccountId, mailbox: MailboxId| {
                store.snapshot(account, mailbox).await.unwrap().rows.iter().last().unwrap().email
            };
            let before = email_of(ann, hers).await;
            let acting = store.by("a test", NOW);
            acting.move_to((ann, hers), &[uid], (bob, his), FlagMask::ALL, NOW).await.unwrap();
            let after = email_of(bob, his).await;
            for (account, email) in [(ann, before), (bob, after)] {
                let found = store.trace_find("email", &email.0.to_string(), 9).await.unwrap();
                let told: Vec<_> = found.iter().filter(|event| event.account == Some(account)).collect();
                assert_eq!(told.len(), 1, "{found:?}");
                assert_eq!(told[0].detail, "UID 1 from INBOX of ann@here.test to INBOX of bob@here.test, by a test");
            }
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn a_message_takes_the_place_of_another_s() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let bob = store.accounts_add(vec![new_account("bob@here.test")], NOW).await.unwrap()[0];
            let (hers, his) = (inbox(&store, ann).await, inbox(&store, bob).await);
            let uid = add(&store, ann, hers).await;
            let replaced = store.replace_to((ann, hers, uid), (bob, his), email(text(2)), NOW).await.unwrap();
            assert_eq!(replaced.unwrap().uids, [Uid(1)]);
            assert_eq!((uids(&store, ann, hers).await, uids(&store, bob, his).await), (vec![], vec![1]));
            assert_eq!(store.undo_list(ann, 9).await.unwrap().len(), 1);
            // Not twice, and nothing when there is no room.
            assert_eq!(store.replace_to((ann, hers, uid), (bob, his), email(text(3)), NOW).await.unwrap(), None);
            store.account_quota(ann, Some(1)).await.unwrap();
            let full = store.replace_to((bob, his, Uid(1)), (ann, hers), email(text(4)), NOW).await;
            assert_eq!(full, Err(StoreError::OverQuota));
            assert_eq!((uids(&store, ann, hers).await, uids(&store, bob, his).await), (vec![], vec![1]));
            sound(&store).await;
        }
    }
}
