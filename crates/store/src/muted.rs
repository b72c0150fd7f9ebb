//! Conversations of which nobody wants to hear any more: a message of them has the keyword [`MUTED`].
//!
//! The keyword is the truth; that an account has used it is noted beside it, so that deliveries to all the others ask for nothing.
//! Invariant: where a message has the keyword the note is there, in the same commit. Must not know: what is done with what comes.

use crate::Store;
use crate::engine::{Batch, Key};
use crate::key;
use crate::record;
use crate::rows::encode_mark;
use crate::store::Result;
use crate::types::*;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// The keyword.
pub const MUTED: &str = "$muted";
/// The collection of records that the note is in.
const COLLECTION: u8 = 12;
const NAME: &str = "muted";
/// Of messages with the keyword so many of the newest of a mailbox are looked at.
const LOOKED_AT_MAX: usize = 10_000;
/// ... a few at a time.
const AT_ONCE: usize = 500;
/// Emails of which it is remembered where their conversation began.
const ROOTS_MAX: usize = 100_000;

/// Where conversations began, by email: that never changes.
#[derive(Debug, Default)]
pub(crate) struct Roots(Mutex<HashMap<EmailId, Option<u64>>>);

pub(crate) fn is_muted(flags: &Flags) -> bool {
    flags.keywords.as_deref().is_some_and(|words| words.iter().any(|word| word.eq_ignore_ascii_case(MUTED)))
}

pub(crate) fn note(account: AccountId) -> Key {
    key::record(account, COLLECTION, NAME)
}

pub(crate) fn write(batch: &mut Batch, account: AccountId) {
    let at = note(account);
    let value = record::encode(&at, b"");
    batch.put(at, value);
    let at = key::record_holder(COLLECTION, account);
    let mark = encode_mark(&at);
    batch.put(at, mark);
}

impl Store {
    /// Has a message of the conversation that began there ([`crate::object_id::thread_root`]) the keyword [`MUTED`]?
    pub async fn is_muted(&self, account: AccountId, root: u64) -> Result<bool> {
        if !self.inner.ready(account).await?.published().may_mute {
            return Ok(false);
        }
        for mailbox in self.mailboxes(account).await?.iter() {
            let rows = match self.snapshot(account, mailbox.id).await {
                Ok(snapshot) => snapshot.rows,
                Err(StoreError::NotFound) => continue,
                // One mailbox that cannot be read holds up no mail.
                Err(error @ StoreError::Damaged(_)) => {
                    tracing::error!(?error, "what is muted in a mailbox cannot be told");
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !rows.keywords().any(|words| words.iter().any(|word| word.eq_ignore_ascii_case(MUTED))) {
                continue;
            }
            let mut emails: Vec<EmailId> = rows
                .iter()
                .filter(|row| is_muted(&row.flags) && row.flags.system & Flags::DELETED == 0)
                .map(|row| row.email)
                .collect();
            let older = emails.len().saturating_sub(LOOKED_AT_MAX);
            for some in emails.split_off(older).rchunks(AT_ONCE) {
                match self.roots(account, some).await {
                    Ok(roots) if roots.contains(&root) => return Ok(true),
                    Ok(_) => {}
                    Err(error @ StoreError::Damaged(_)) => {
                        tracing::error!(?error, "what is muted cannot be told of some messages");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(false)
    }

    async fn roots(&self, account: AccountId, emails: &[EmailId]) -> Result<BTreeSet<u64>> {
        let roots = &self.inner.roots.0;
        let mut found = BTreeSet::new();
        let unknown: Vec<EmailId> = {
            let known = roots.lock().unwrap_or_else(PoisonError::into_inner);
            let is_unknown = |email: &&EmailId| match known.get(email) {
                Some(root) => {
                    found.extend(*root);
                    false
                }
                None => true,
            };
            emails.iter().filter(is_unknown).copied().collect()
        };
        if unknown.is_empty() {
            return Ok(found);
        }
        let facts = self.facts(account, &unknown).await?;
        let mut known = roots.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ROOTS_MAX {
            known.clear();
        }
        for (email, facts) in unknown.into_iter().zip(facts) {
            let root = facts.as_deref().and_then(crate::object_id::thread_root);
            known.insert(email, root);
            found.extend(root);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, Place, ann, both, email, inbox, sound};
    use bytes::Bytes;
    use message::facts::Facts;

    async fn put(store: &Store, ann: AccountId, mailbox: MailboxId, header: &str) -> Uid {
        let octets = Bytes::from(format!("{header}\r\n\r\nx\r\n"));
        store.append(ann, mailbox, vec![email(octets)]).await.unwrap().uids.first().copied().unwrap()
    }

    #[tokio::test]
    async fn what_is_damaged_hides_no_other_and_holds_up_nothing() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let archive = store.mailbox_create(ann, "Other", None, NOW).await.unwrap().id;
            let muted = Flags { system: 0, keywords: Some([MUTED.into()].into()) };
            for (mailbox, id) in [(inbox, 1), (archive, 2)] {
                let uid = put(&store, ann, mailbox, &format!("Message-ID: <{id}@x>")).await;
                store.flags(ann, mailbox, &[uid], FlagOp::Add, &muted, None).await.unwrap();
            }
            let root = |id: u32| {
                let facts = Facts::compute(format!("Message-ID: <{id}@x>\r\n\r\nx\r\n").as_bytes());
                crate::object_id::thread_root(&facts).unwrap()
            };
            let first = store.snapshot(ann, inbox).await.unwrap().rows.iter().next().unwrap().email;
            let mut batch = Batch::default();
            batch.put(key::email(first), b"nothing that could be read".to_vec());
            crate::undo::done(store.inner.commit(batch).await).unwrap();
            store.inner.emails.remove(&first);
            assert_eq!(store.is_muted(ann, root(2)).await, Ok(true));
            assert_eq!(store.is_muted(ann, root(3)).await, Ok(false));
        }
    }

    #[tokio::test]
    async fn a_conversation_is_muted_while_a_message_of_it_says_so_wherever_that_lies() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let first = put(&store, ann, inbox, "Message-ID: <1@x>").await;
            put(&store, ann, inbox, "Message-ID: <2@x>").await;
            let root = |header: &str| {
                crate::object_id::thread_root(&Facts::compute(&Bytes::from(format!("{header}\r\n\r\nx\r\n")))).unwrap()
            };
            let (answer, other) =
                (root("Message-ID: <3@x>\r\nReferences: <1@x>"), root("Message-ID: <4@x>\r\nReferences: <2@x>"));
            assert!(!store.is_muted(ann, answer).await.unwrap());
            let muted = Flags { system: 0, keywords: Some(["$Muted".into()].into()) };
            store.flags(ann, inbox, &[first], FlagOp::Add, &muted, None).await.unwrap();
            assert!(store.is_muted(ann, answer).await.unwrap() && !store.is_muted(ann, other).await.unwrap());
            let elsewhere = store.mailbox_create(ann, "a", None, NOW).await.unwrap().id;
            store.move_(ann, inbox, &[first], elsewhere, NOW).await.unwrap();
            assert!(store.is_muted(ann, answer).await.unwrap());
            sound(&store).await;
            store.flags(ann, elsewhere, &[Uid(1)], FlagOp::Remove, &muted, None).await.unwrap();
            assert!(!store.is_muted(ann, answer).await.unwrap());
        }
    }

    #[tokio::test]
    async fn it_is_known_after_a_start() {
        let place = Place::new();
        let answer = {
            let store = place.open().await;
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let first = put(&store, ann, inbox, "Message-ID: <1@x>").await;
            let muted = Flags { system: 0, keywords: Some([MUTED.into()].into()) };
            store.flags(ann, inbox, &[first], FlagOp::Add, &muted, None).await.unwrap();
            let answer = Facts::compute(&Bytes::from_static(b"Message-ID: <3@x>\r\nReferences: <1@x>\r\n\r\nx\r\n"));
            store.close().await.unwrap();
            crate::object_id::thread_root(&answer).unwrap()
        };
        let store = place.open().await;
        let ann = store.account("ann@here.test").await.unwrap().unwrap().id;
        assert!(store.is_muted(ann, answer).await.unwrap());
    }
}
