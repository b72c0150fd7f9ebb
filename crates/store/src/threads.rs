//! Which conversation a message joins.
//!
//! A message names those before it, the first of which names the conversation ([`thread_root`]). Some programs name only the one
//! that is answered, or not the first ones any more: where one of those that are named is an answer that the account got, the
//! message joins the conversation of that (RFC 8621 §3). It is decided once, when the message comes into the account, and kept
//! with its email: a thread id never changes. Invariant: of each answer it is written in its own commit where it belongs, and that
//! goes when it is erased; losing it costs later answers their place only. Must not know: the wire.

use crate::engine::{Batch, Found, Key, Query};
use crate::key;
use crate::message::facts_of;
use crate::object_id::thread_root;
use crate::rows::{decode_number, encode_number};
use crate::space::Act;
use crate::store::{Inner, Result};
use crate::types::*;
use message::facts::Facts;

/// What later answers name, if it is an answer itself.
fn answer_key(facts: &Facts) -> Option<u64> {
    facts.message_key.filter(|_| !facts.reference_keys.is_empty())
}

/// The message and those that it names, from the nearest on. Nobody, where it is no answer.
fn names(facts: &Facts) -> impl Iterator<Item = u64> {
    answer_key(facts).into_iter().chain(facts.reference_keys.iter().rev().copied())
}

/// The facts as the account has them: where its conversation began is the first that the message names.
pub(crate) fn begun_at(root: Option<u64>, mut facts: Facts) -> Facts {
    facts.reference_keys.splice(0..0, root);
    facts
}

impl Inner {
    /// Decides where a message belongs that an act puts into its account. `None`: where it says itself.
    pub(crate) async fn join(&self, act: &mut Act, batch: &mut Batch, facts: &Facts) -> Result<Option<u64>> {
        let root = self.root_of(act.account(), facts, |key| act.answer(key)).await?;
        if let (Some(root), Some(key)) = (root, answer_key(facts)) {
            let at = key::thread(act.account(), key);
            let value = encode_number(&at, root);
            batch.put(at, value);
            act.answered(key, root);
        }
        Ok(root.filter(|_| root != thread_root(facts)))
    }

    /// Where the conversation of a message begins in an account. `in_flight`: of answers that may not be stored yet.
    async fn root_of(&self, account: AccountId, facts: &Facts, in_flight: impl Fn(u64) -> Option<u64>) -> Result<Option<u64>> {
        let keys: Vec<Key> = names(facts).map(|name| key::thread(account, name)).collect();
        if keys.is_empty() {
            return Ok(thread_root(facts));
        }
        let stored = self.engine.read(vec![Query::Many(keys.clone())]).await?.into_iter().next().map(Found::values);
        for ((name, at), stored) in names(facts).zip(&keys).zip(stored.unwrap_or_default()) {
            let known = stored.map(|stored| decode_number(at, &stored)).transpose().unwrap_or_else(|error| {
                // As if that answer had never come; mail is taken all the same.
                tracing::error!(?error, account = account.0, "where a conversation began cannot be read");
                None
            });
            if let Some(root) = in_flight(name).or(known) {
                return Ok(Some(root));
            }
        }
        Ok(thread_root(facts))
    }

    /// What is known of an answer goes with it.
    pub(crate) async fn forget_answer(&self, batch: &mut Batch, account: AccountId, body: BodyId) -> Result<()> {
        let notes = self.engine.read(vec![Query::Notes(vec![body])]).await?.into_iter().next().map(Found::values);
        let facts = notes.unwrap_or_default().into_iter().next().flatten().and_then(|note| facts_of(&note));
        if let Some(key) = facts.as_ref().and_then(answer_key) {
            batch.delete(key::thread(account, key));
        }
        Ok(())
    }

    /// Where the conversation would begin of a message that came into the account now.
    pub(crate) async fn root_in(&self, account: AccountId, facts: &Facts) -> Result<Option<u64>> {
        self.root_of(account, facts, |_| None).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::Store;
    use crate::object_id::of_thread;
    use crate::tests::{NOW, Place, acceptance, ann, both, email, inbox, new_account, sound};
    use bytes::Bytes;
    use smol_str::SmolStr;

    /// A message that has that number and names those.
    fn naming(number: u32, named: &str) -> Bytes {
        Bytes::from(format!("Message-ID: <{number}@x>\r\n{named}\r\n\r\nx\r\n"))
    }

    /// A program that says of an answer only what it answers.
    fn only_to(number: u32, answered: u32) -> Bytes {
        naming(number, &format!("In-Reply-To: <{answered}@x>"))
    }

    async fn put(store: &Store, account: AccountId, mailbox: MailboxId, octets: Bytes) -> Uid {
        store.append(account, mailbox, vec![email(octets)]).await.unwrap().uids.first().copied().unwrap()
    }

    /// The thread ids of a mailbox, in the order of UIDs.
    async fn threads(store: &Store, account: AccountId, mailbox: MailboxId) -> Vec<SmolStr> {
        let emails: Vec<EmailId> = store.snapshot(account, mailbox).await.unwrap().rows.iter().map(|row| row.email).collect();
        let bodies = store.bodies(account, &emails).await.unwrap();
        let facts = store.facts(account, &emails).await.unwrap();
        bodies.iter().zip(&facts).map(|(body, facts)| of_thread(thread_root(facts.as_ref().unwrap()), body.unwrap())).collect()
    }

    /// Those at these places.
    fn at(all: &[SmolStr], places: &[usize]) -> Vec<SmolStr> {
        places.iter().map(|place| all[*place].clone()).collect()
    }

    async fn answers_kept(store: &Store, account: AccountId) -> usize {
        crate::engine::range(&*store.inner.engine, key::of_account(key::THREAD, account), usize::MAX).await.unwrap().len()
    }

    #[tokio::test]
    async fn an_answer_that_names_only_what_it_answers_joins_the_conversation_of_that() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            put(&store, ann, inbox, naming(1, "Subject: a")).await;
            put(&store, ann, inbox, only_to(2, 1)).await;
            put(&store, ann, inbox, only_to(3, 2)).await;
            store.accept(acceptance(only_to(4, 3), &[ann])).await.unwrap();
            // One that has forgotten the first ones.
            store.accept(acceptance(naming(5, "References: <3@x> <9@x> <4@x>\r\nIn-Reply-To: <4@x>"), &[ann])).await.unwrap();
            // Several in one act.
            let act = vec![email(only_to(6, 5)), email(only_to(7, 6)), email(naming(8, "Subject: another"))];
            store.append(ann, inbox, act).await.unwrap();
            put(&store, ann, inbox, only_to(9, 8)).await;
            let all = threads(&store, ann, inbox).await;
            assert!(all.iter().take(7).all(|id| *id == all[0]), "{all:?}");
            assert_ne!(all[7], all[0]);
            assert_eq!(all[8], all[7]);
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn in_flight_they_are_known_to_each_other() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            put(&store, ann, inbox, naming(0, "Subject: a")).await;
            // Each is handed in before the one before is durable; they are prepared in this order.
            let mut set = tokio::task::JoinSet::new();
            for n in 1..40 {
                let store = store.clone();
                set.spawn(async move { store.accept(acceptance(only_to(n, n - 1), &[ann])).await.map(drop) });
                tokio::task::yield_now().await;
            }
            while let Some(done) = set.join_next().await {
                done.unwrap().unwrap();
            }
            let all = threads(&store, ann, inbox).await;
            assert!(all.iter().all(|id| *id == all[0]), "{all:?}");
        }
    }

    #[tokio::test]
    async fn where_it_belongs_never_changes() {
        let place = Place::new();
        let store = place.open().await;
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        // The answer to an answer that comes late.
        put(&store, ann, inbox, only_to(3, 2)).await;
        put(&store, ann, inbox, only_to(2, 1)).await;
        put(&store, ann, inbox, only_to(4, 2)).await;
        let before = threads(&store, ann, inbox).await;
        assert_eq!(before[1], before[2]);
        let other = store.mailbox_create(ann, "Other", None, NOW).await.unwrap().id;
        // Copied, moved, and put in once more it is where it was, whatever it would be for one that comes now.
        store.copy(ann, inbox, &[Uid(1), Uid(2)], other).await.unwrap();
        put(&store, ann, other, only_to(3, 2)).await;
        assert_eq!(threads(&store, ann, other).await, at(&before, &[0, 1, 0]));
        store.move_(ann, inbox, &[Uid(3)], other, NOW).await.unwrap();
        store.close().await.unwrap();
        let store = place.open().await;
        assert_eq!(threads(&store, ann, inbox).await, before[..2]);
        assert_eq!(threads(&store, ann, other).await, at(&before, &[0, 1, 0, 2]));
        // Made anew from the segments as well.
        store.close().await.unwrap();
        Store::rebuild(place.config()).await.unwrap();
        let store = place.open().await;
        assert_eq!(threads(&store, ann, other).await, at(&before, &[0, 1, 0, 2]));
        sound(&store).await;
    }

    #[tokio::test]
    async fn each_account_knows_its_own() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let bob = store.accounts_add(vec![new_account("bob@here.test")], NOW).await.unwrap()[0];
            let (hers, his) = (inbox(&store, ann).await, inbox(&store, bob).await);
            store.accept(acceptance(only_to(2, 1), &[ann])).await.unwrap();
            store.accept(acceptance(only_to(3, 2), &[ann, bob])).await.unwrap();
            let (at_ann, at_bob) = (threads(&store, ann, hers).await, threads(&store, bob, his).await);
            assert_eq!(at_ann[0], at_ann[1]);
            assert_ne!(at_ann[0], at_bob[0]);
            // Carried over it belongs where it belongs there.
            put(&store, bob, his, only_to(4, 3)).await;
            let everything = FlagMask::ALL;
            store.copy_to((ann, hers), &[Uid(1), Uid(2)], (bob, his), everything, true).await.unwrap();
            let at_bob = threads(&store, bob, his).await;
            assert_eq!(at_bob, [at(&at_bob, &[0, 0]), at(&at_ann, &[0]), at(&at_bob, &[0])].concat());
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn what_is_known_of_answers_goes_with_them() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            put(&store, ann, inbox, naming(1, "Subject: a")).await;
            assert_eq!(answers_kept(&store, ann).await, 0);
            put(&store, ann, inbox, only_to(2, 1)).await;
            put(&store, ann, inbox, only_to(3, 2)).await;
            put(&store, ann, inbox, Bytes::from_static(b"In-Reply-To: <3@x>\r\n\r\nwithout a name\r\n")).await;
            assert_eq!(answers_kept(&store, ann).await, 2);
            store.expunge(ann, inbox, &[Uid(2)], NOW).await.unwrap();
            assert_eq!(answers_kept(&store, ann).await, 2);
            store.maintain(NOW + 31 * 86_400).await.unwrap();
            assert_eq!(answers_kept(&store, ann).await, 1);
            sound(&store).await;
            store.account_remove(ann, NOW).await.unwrap();
            store.maintain(NOW + 62 * 86_400).await.unwrap();
            assert_eq!(answers_kept(&store, ann).await, 0);
        }
    }

    #[tokio::test]
    async fn what_names_itself_or_turns_in_a_circle_has_a_place_as_well() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            put(&store, ann, inbox, only_to(1, 1)).await;
            put(&store, ann, inbox, only_to(2, 3)).await;
            put(&store, ann, inbox, only_to(3, 2)).await;
            put(&store, ann, inbox, only_to(2, 3)).await;
            let all = threads(&store, ann, inbox).await;
            assert_eq!((&all[1], &all[1], all[0] == all[1]), (&all[2], &all[3], false));
        }
    }

    #[tokio::test]
    async fn a_damaged_row_costs_a_place_and_no_mail() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            put(&store, ann, inbox, only_to(2, 1)).await;
            // From now on it is not in flight any more.
            put(&store, ann, inbox, naming(5, "Subject: b")).await;
            let (at, _) =
                crate::engine::range(&*store.inner.engine, key::of_account(key::THREAD, ann), 1).await.unwrap().remove(0);
            let mut batch = Batch::default();
            batch.put(at, b"nothing that could be read".to_vec());
            crate::undo::done(store.inner.commit(batch).await).unwrap();
            put(&store, ann, inbox, only_to(3, 2)).await;
            let all = threads(&store, ann, inbox).await;
            assert_eq!(all.len(), 3);
            assert_ne!(all[0], all[2]);
            assert!(!store.check().await.unwrap().is_empty());
        }
    }
}
