//! Arranging: flags and mailboxes of many emails changed together, one commit for all (JMAP's Email/set).
//!
//! Invariant: an email that stays in some mailbox is never, at no instant, in none. Must not know: who asks.

use crate::Store;
use crate::engine::Batch;
use crate::mailbox::acting;
use crate::message::{apply_flags, tidy};
use crate::space::{Act, NewRow};
use crate::store::{Inner, Result};
use crate::types::*;

/// The flags after the change; `\Deleted` belongs to one mailbox's row and stays.
fn wanted_flags(old: &Flags, wanted: &FlagsWanted) -> Result<Flags> {
    match wanted {
        FlagsWanted::Same => Ok(old.clone()),
        FlagsWanted::These(these) => {
            let system = these.system & !Flags::DELETED | old.system & Flags::DELETED;
            apply_flags(old, FlagOp::Replace, &Flags { system, keywords: these.keywords.clone() })
        }
        FlagsWanted::Change { add, remove } => {
            let remove = Flags { system: remove.system & !Flags::DELETED, keywords: remove.keywords.clone() };
            apply_flags(&apply_flags(old, FlagOp::Remove, &remove)?, FlagOp::Add, add)
        }
    }
}

fn like(row: &MessageRow, flags: &Flags) -> NewRow {
    NewRow { flags: flags.clone(), internal_date_secs: row.internal_date_secs, size_bytes: row.size_bytes }
}

impl Inner {
    async fn rows_there(&self, act: &Act, places: &[(MailboxId, Uid)]) -> Result<Vec<(MailboxId, MessageRow)>> {
        let mut there = Vec::with_capacity(places.len());
        for (mailbox, uid) in places {
            if act.mailbox(*mailbox).is_some() {
                there.extend(self.some_rows(act, *mailbox, &[*uid]).await?.into_iter().map(|row| (*mailbox, row)));
            }
        }
        Ok(there)
    }

    /// One email; false when it is not there any more.
    async fn arrange_one(&self, act: &mut Act, batch: &mut Batch, one: &Arrangement, now_secs: UnixSecs) -> Result<bool> {
        let rows = self.rows_there(act, &one.rows).await?;
        let Some((_, any)) = rows.first().cloned() else { return Ok(false) };
        let stays = |mailbox: &MailboxId| one.mailboxes.as_ref().is_none_or(|wanted| wanted.contains(mailbox));
        let (staying, mut leaving): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(mailbox, _)| stays(mailbox));
        let new: Vec<MailboxId> = match &one.mailboxes {
            None => Vec::new(),
            Some(wanted) => wanted.iter().filter(|id| !staying.iter().any(|(mailbox, _)| mailbox == *id)).copied().collect(),
        };
        for to in new {
            act.mailbox(to).ok_or(StoreError::NotFound)?;
            match leaving.pop() {
                Some((from, row)) => {
                    let flags = wanted_flags(&row.flags, &one.flags)?;
                    act.remove_row(batch, from, &row)?;
                    act.add_row(batch, to, row.email, &like(&row, &flags))?;
                }
                None => self.copy_one(act, batch, (&any, &one.flags), to).await?,
            }
        }
        for (mailbox, row) in staying {
            let flags = wanted_flags(&row.flags, &one.flags)?;
            if flags != row.flags {
                let before = row.flags.system;
                let now = MessageRow { flags, mod_seq: act.mod_seq(), ..row };
                act.change_rows(batch, mailbox, &[before], vec![now], None)?;
            }
        }
        for (mailbox, row) in leaving {
            let info = act.mailbox(mailbox).ok_or(StoreError::NotFound)?.info.clone();
            crate::undo::put_aside(act, batch, &info, std::slice::from_ref(&row), now_secs)?;
        }
        Ok(true)
    }

    async fn copy_one(
        &self,
        act: &mut Act,
        batch: &mut Batch,
        (row, wanted): (&MessageRow, &FlagsWanted),
        to: MailboxId,
    ) -> Result<()> {
        let found = self.email_records(act.account(), &[row.email]).await?.into_iter().next().flatten();
        let record = found.ok_or_else(|| StoreError::Damaged(format!("email {} has no record", row.email.0)))?;
        act.room(u64::from(row.size_bytes))?;
        let mut flags = wanted_flags(&row.flags, wanted)?;
        flags.system &= !Flags::DELETED;
        batch.retain.push((record.body, 1));
        let email = self.put_email(batch, &record);
        act.add_row(batch, to, email, &like(row, &tidy(&flags)?))?;
        Ok(())
    }
}

impl Store {
    /// Changes flags and mailboxes of many emails, all in one commit. Tells of each whether it was there; no mailbox is left out
    /// silently: one that does not exist fails the whole with `NotFound`.
    pub async fn arrange(&self, account: AccountId, all: &[Arrangement], now_secs: UnixSecs) -> Result<Vec<bool>> {
        // Copies share bodies, which nothing may let go of meanwhile.
        let copies = all.iter().any(|one| one.mailboxes.as_ref().is_some_and(|wanted| wanted.len() > 1));
        acting!(self.inner, (account, copies), |act, batch| {
            act.saved_secs = Some(now_secs);
            let mut there = Vec::with_capacity(all.len());
            for one in all {
                there.push(self.inner.arrange_one(act, batch, one, now_secs).await?);
            }
            Ok((!batch.writes.is_empty(), there))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, add, ann, both, inbox, sound, uids};

    #[tokio::test]
    async fn flags_and_mailboxes_in_one_commit() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let (one, two) = (add(&store, ann, inbox).await, add(&store, ann, inbox).await);
            let a = store.mailbox_create(ann, "a", None, NOW).await.unwrap().id;
            let b = store.mailbox_create(ann, "b", None, NOW).await.unwrap().id;
            let seen = Flags { system: Flags::SEEN, keywords: None };
            let (before, _) = store.mailbox_states(ann).await.unwrap();
            let both_ways = [
                Arrangement { rows: vec![(inbox, one)], flags: FlagsWanted::These(seen.clone()), mailboxes: Some(vec![a, b]) },
                Arrangement { rows: vec![(inbox, two)], mailboxes: Some(vec![a]), ..Arrangement::default() },
                Arrangement { rows: vec![(inbox, Uid(99))], mailboxes: Some(vec![a]), ..Arrangement::default() },
            ];
            assert_eq!(store.arrange(ann, &both_ways, NOW).await.unwrap(), [true, true, false]);
            let (after, _) = store.mailbox_states(ann).await.unwrap();
            assert_eq!(after.0, before.0 + 1);
            assert_eq!(
                [uids(&store, ann, inbox).await, uids(&store, ann, a).await, uids(&store, ann, b).await],
                [vec![], vec![1, 2], vec![1]]
            );
            let of_a = store.snapshot(ann, a).await.unwrap().rows.get(0).unwrap();
            let of_b = store.snapshot(ann, b).await.unwrap().rows.get(0).unwrap();
            assert_eq!([&of_a.flags, &of_b.flags], [&seen, &seen]);
            let bodies = store.bodies(ann, &[of_a.email, of_b.email]).await.unwrap();
            assert_eq!(bodies[0], bodies[1]);
            assert_eq!(of_a.internal_date_secs, of_b.internal_date_secs);
            sound(&store).await;
            // Out of one and out of both: restorable.
            let rows = vec![(a, Uid(1)), (b, Uid(1))];
            let change = FlagsWanted::Change { add: Flags { system: Flags::FLAGGED, keywords: None }, remove: seen };
            let out_of_a = Arrangement { rows: rows.clone(), flags: change, mailboxes: Some(vec![b]) };
            store.arrange(ann, &[out_of_a], NOW).await.unwrap();
            assert_eq!(store.snapshot(ann, b).await.unwrap().rows.get(0).unwrap().flags.system, Flags::FLAGGED);
            let away = Arrangement { rows, mailboxes: Some(vec![]), ..Arrangement::default() };
            assert_eq!(store.arrange(ann, &[away], NOW).await.unwrap(), [true]);
            assert_eq!(store.undo_list(ann, 9).await.unwrap().len(), 2);
            let nowhere = Arrangement { rows: vec![(a, Uid(2))], mailboxes: Some(vec![MailboxId(77)]), ..Arrangement::default() };
            assert_eq!(store.arrange(ann, &[nowhere], NOW).await, Err(StoreError::NotFound));
            assert_eq!(uids(&store, ann, a).await, [2]);
            sound(&store).await;
        }
    }
}
