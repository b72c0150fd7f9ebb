//! Following a whole account: what happened in all its mailboxes and records after a mod-sequence (JMAP's `/changes`).
//!
//! Invariant: what is told is published already, so a reader who looks next sees at least as much.
//! Must not know: who follows.

use crate::Store;
use crate::arriving::Horizon;
use crate::change_log::{LoggedAct, decode_act};
use crate::engine::{Found, Query};
use crate::key;
use crate::limits::FOLLOWED_ACTS;
use crate::rows::Counters;
use crate::store::Result;
use crate::types::*;
use std::time::Duration;

/// Published a commit is as soon as it is durable; longer than this it cannot take.
const PUBLISHED_MAX: Duration = Duration::from_secs(5);

impl AccountChanges {
    fn add(&mut self, act: LoggedAct) {
        for change in act.changes {
            let told = self.messages.entry(MailboxId(change.mailbox)).or_default();
            told.updated.extend(change.updated);
            told.vanished.extend(change.vanished.into_iter().zip(change.emails));
            let first = Some(Uid(change.created_from)).filter(|uid| uid.0 != 0);
            told.created_from = told.created_from.or(first);
        }
        self.mailboxes.extend(act.mailboxes);
        self.records.extend(act.records);
    }

    fn settle(mut self) -> AccountChanges {
        for told in self.messages.values_mut() {
            told.updated.sort_unstable();
            told.updated.dedup();
        }
        self
    }
}

fn weight(act: &LoggedAct) -> usize {
    let messages: usize = act.changes.iter().map(|change| change.updated.len() + change.vanished.len()).sum();
    messages + act.mailboxes.len() + act.records.len()
}

impl Store {
    /// What happened in an account after `since`; of more than `ids_max` things only the oldest acts (at least one), and
    /// `more` is true. `None`: the change log does not reach back to there.
    pub async fn account_changes(&self, account: AccountId, since: ModSeq, ids_max: usize) -> Result<Option<AccountChanges>> {
        self.followed(account, (since, None), ids_max).await
    }

    /// The same, of what happened up to `until` and nothing later; all of it, if it was told by one call before.
    pub async fn account_changes_until(
        &self,
        account: AccountId,
        since: ModSeq,
        until: ModSeq,
    ) -> Result<Option<AccountChanges>> {
        self.followed(account, (since, Some(until)), usize::MAX).await
    }

    async fn followed(
        &self,
        account: AccountId,
        (since, until): (ModSeq, Option<ModSeq>),
        ids_max: usize,
    ) -> Result<Option<AccountChanges>> {
        let space = self.inner.ready(account).await?;
        if space.published().counters.mod_seq == since.0 {
            return Ok(Some(AccountChanges { mod_seq: since, ..AccountChanges::default() }));
        }
        let space_key = key::space(account);
        let to = match until {
            Some(until) => key::change(account, until.0.saturating_add(1)),
            None => key::of_account(key::CHANGE, account).1,
        };
        let from = key::change(account, since.0.saturating_add(1));
        let queries = vec![Query::Get(space_key.clone()), Query::Range { from, to, limit: FOLLOWED_ACTS, reverse: false }];
        let mut found = self.inner.engine.read(queries).await?.into_iter();
        let stored = found.next().and_then(Found::value).ok_or(StoreError::NotFound)?;
        let counters = Counters::decode(&space_key, &stored)?;
        let end = until.map_or(counters.mod_seq, |until| until.0);
        if since.0 < counters.log_floor || since.0 > end || end > counters.mod_seq {
            return Ok(None);
        }
        let rows = found.next().map(Found::pairs).unwrap_or_default();
        let cut_off = rows.len() == FOLLOWED_ACTS;
        let mut told = AccountChanges { mod_seq: ModSeq(end), ..AccountChanges::default() };
        let (mut ids, mut last) = (0, since);
        for (at, stored) in &rows {
            let act = decode_act(at, stored)?;
            // Written by a release that did not say enough.
            if !act.whole {
                return Ok(None);
            }
            let weight = weight(&act);
            if ids > 0 && ids + weight > ids_max {
                told.more = true;
                break;
            }
            ids += weight;
            last = crate::care::logged_at(at).map_or(last, ModSeq);
            told.add(act);
        }
        told.more |= cut_off;
        if told.more {
            told.mod_seq = last;
        }
        told.more |= end < counters.mod_seq;
        // What was read may still be on its way to being published.
        let mut watch = space.watch.subscribe();
        let published = tokio::time::timeout(PUBLISHED_MAX, watch.wait_for(|now| *now >= told.mod_seq)).await;
        if !matches!(published, Ok(Ok(_))) {
            return Err(StoreError::Io("what was read is not published".into()));
        }
        Ok(Some(told.settle()))
    }

    /// What the store holds now. What is on its way is not in it, and is told by [`Store::account_changes`] of a later moment.
    pub fn horizon(&self) -> Horizon {
        self.inner.ids.horizon()
    }

    /// All mailboxes with their counts, and the account's mod-sequence, of one instant.
    pub async fn mailbox_states(&self, account: AccountId) -> Result<(ModSeq, Vec<(Mailbox, MailboxStatus)>)> {
        let space = self.inner.ready(account).await?;
        let published = space.published();
        let states = published.mailboxes.values().map(|state| (state.info.clone(), state.status())).collect();
        Ok((ModSeq(published.counters.mod_seq), states))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, add, ann, both, inbox, sound};

    #[tokio::test]
    async fn an_account_is_followed_through_everything() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let (start, _) = store.mailbox_states(ann).await.unwrap();
            let first = add(&store, ann, inbox).await;
            let made = store.mailbox_create(ann, "a", None, NOW).await.unwrap();
            let (middle, _) = store.mailbox_states(ann).await.unwrap();
            let flagged = Flags { system: Flags::SEEN, keywords: None };
            store.flags(ann, inbox, &[first], FlagOp::Add, &flagged, None).await.unwrap();
            let email = store.snapshot(ann, inbox).await.unwrap().rows.get(0).unwrap().email;
            store.move_(ann, inbox, &[first], made.id, NOW).await.unwrap();
            let (end, _) = store.mailbox_states(ann).await.unwrap();

            let told = store.account_changes(ann, start, 100).await.unwrap().unwrap();
            assert_eq!((told.mod_seq, told.more), (end, false));
            assert_eq!(told.mailboxes, [(made.id, Touch::Created)]);
            let inside = MailboxChanges { updated: vec![first], created_from: Some(first), vanished: vec![(first, email)] };
            assert_eq!(told.messages.get(&inbox), Some(&inside));
            let told = store.account_changes(ann, middle, 100).await.unwrap().unwrap();
            assert_eq!(told.messages.get(&inbox).unwrap().created_from, None);
            assert_eq!(told.messages.get(&made.id).unwrap().created_from, Some(Uid(1)));
            // A little at a time: the same in pieces.
            let (mut since, mut pieces) = (start, 0);
            loop {
                let told = store.account_changes(ann, since, 1).await.unwrap().unwrap();
                (since, pieces) = (told.mod_seq, pieces + 1);
                if !told.more {
                    break;
                }
            }
            assert_eq!((since, pieces), (end, 4));
            assert_eq!(store.account_changes(ann, end, 1).await.unwrap().unwrap().mod_seq, end);
            assert_eq!(store.account_changes(ann, ModSeq(end.0 + 1), 1).await.unwrap(), None);
            store
                .inner
                .trim_changes_of(ann, middle.0, &mut crate::rest::Rest::new(0, tokio::time::Instant::now()))
                .await
                .unwrap();
            assert_eq!(store.account_changes(ann, start, 1).await.unwrap(), None);
            assert!(store.account_changes(ann, middle, 1).await.unwrap().is_some());
            sound(&store).await;
        }
    }
}
