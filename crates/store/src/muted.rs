//! Conversations of which nobody wants to hear any more: a message of them has the keyword [`MUTED`].
//!
//! The keyword is the truth; that an account has used it is noted beside it, so that deliveries to all the others ask for nothing,
//! and what has it is kept in memory, so that the others look a conversation up.
//! Invariant: where a message has the keyword the note is there, in the same commit. Must not know: what is done with what comes.

use crate::Store;
use crate::engine::{Batch, Key};
use crate::key;
use crate::record;
use crate::rows::encode_mark;
use crate::store::Result;
use crate::types::*;
use message::facts::Facts;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The keyword.
pub const MUTED: &str = "$muted";
/// The collection of records that the note is in.
const COLLECTION: u8 = 12;
const NAME: &str = "muted";
/// Of messages with the keyword so many of the newest of a mailbox are known when an account is looked at as a whole ...
const LOOKED_AT_MAX: usize = 10_000;
/// ... which it is again when more than so many are.
const MUTED_MAX: usize = 200_000;
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

/// What has the keyword in an account, as of a mod-sequence.
#[derive(Debug, Default)]
pub(crate) struct Index {
    at: Option<ModSeq>,
    /// Where the conversations of these messages began.
    of: HashMap<(MailboxId, Uid), u64>,
    /// How many messages say so of each.
    roots: HashMap<u64, usize>,
    /// Messages that were looked at to know.
    looked_at: u64,
}

impl Index {
    fn put(&mut self, at: (MailboxId, Uid), root: u64) {
        self.take(at);
        self.of.insert(at, root);
        *self.roots.entry(root).or_default() += 1;
    }

    fn take(&mut self, at: (MailboxId, Uid)) {
        let Some(root) = self.of.remove(&at) else { return };
        let left = self.roots.get(&root).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => self.roots.remove(&root),
            left => self.roots.insert(root, left),
        };
    }

    fn leave(&mut self, mailbox: MailboxId) {
        let there: Vec<(MailboxId, Uid)> = self.of.keys().filter(|(of, _)| *of == mailbox).copied().collect();
        there.into_iter().for_each(|at| self.take(at));
    }
}

impl Store {
    /// Has a message of the conversation that this one joins the keyword [`MUTED`]?
    pub async fn is_muted(&self, account: AccountId, facts: &Facts) -> Result<bool> {
        let space = self.inner.ready(account).await?;
        if !space.published().may_mute {
            return Ok(false);
        }
        let Some(root) = self.inner.root_in(account, facts).await? else { return Ok(false) };
        let mut index = space.muted.lock().await;
        // Where it fails it begins again from where it was: nothing of it is counted twice.
        while self.follow(account, &mut index).await? {}
        Ok(index.roots.contains_key(&root))
    }

    /// Up to now, or nearer to it (`true`).
    async fn follow(&self, account: AccountId, index: &mut Index) -> Result<bool> {
        let changes = match index.at {
            Some(since) if index.of.len() <= MUTED_MAX => self.account_changes(account, since, usize::MAX).await?,
            _ => None,
        };
        let Some(changes) = changes else {
            self.look_at_all(account, index).await?;
            return Ok(false);
        };
        for (mailbox, touch) in &changes.mailboxes {
            if *touch == Touch::Destroyed {
                index.leave(*mailbox);
            }
        }
        for (mailbox, one) in &changes.messages {
            one.vanished.iter().for_each(|(uid, _)| index.take((*mailbox, *uid)));
            let Some(rows) = self.rows_of(account, *mailbox).await? else {
                index.leave(*mailbox);
                continue;
            };
            let mut muted = Vec::new();
            for uid in &one.updated {
                index.looked_at += 1;
                index.take((*mailbox, *uid));
                let row = rows.index_of(*uid).and_then(|index| rows.get(index));
                muted.extend(row.filter(says_so).map(|row| (row.uid, row.email)));
            }
            self.learn(account, (index, *mailbox), &muted).await?;
        }
        index.at = Some(changes.mod_seq);
        Ok(changes.more)
    }

    /// From the messages themselves: the first time, and where the change log does not reach.
    async fn look_at_all(&self, account: AccountId, index: &mut Index) -> Result<()> {
        let at = ModSeq(self.inner.ready(account).await?.published().counters.mod_seq);
        *index = Index { looked_at: index.looked_at, ..Index::default() };
        for mailbox in self.mailboxes(account).await?.iter() {
            let Some(rows) = self.rows_of(account, mailbox.id).await? else { continue };
            if !rows.keywords().any(|words| words.iter().any(|word| word.eq_ignore_ascii_case(MUTED))) {
                continue;
            }
            index.looked_at += rows.len() as u64;
            let mut muted: Vec<(Uid, EmailId)> = rows.iter().filter(says_so).map(|row| (row.uid, row.email)).collect();
            let older = muted.len().saturating_sub(LOOKED_AT_MAX);
            self.learn(account, (index, mailbox.id), &muted.split_off(older)).await?;
        }
        index.at = Some(at);
        Ok(())
    }

    /// `None`: it is not there, or cannot be read, which holds up no mail.
    async fn rows_of(&self, account: AccountId, mailbox: MailboxId) -> Result<Option<Rows>> {
        match self.snapshot(account, mailbox).await {
            Ok(snapshot) => Ok(Some(snapshot.rows)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error @ StoreError::Damaged(_)) => {
                tracing::error!(?error, "what is muted in a mailbox cannot be told");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Where the conversations of these began; of one that cannot be read nobody knows.
    async fn learn(&self, account: AccountId, (index, mailbox): (&mut Index, MailboxId), muted: &[(Uid, EmailId)]) -> Result<()> {
        for some in muted.chunks(AT_ONCE) {
            let emails: Vec<EmailId> = some.iter().map(|(_, email)| *email).collect();
            let mut roots = Vec::new();
            match self.roots(account, &emails).await {
                Err(StoreError::Damaged(_)) => {
                    for email in &emails {
                        match self.roots(account, &[*email]).await {
                            Err(error @ StoreError::Damaged(_)) => {
                                tracing::error!(?error, "whether a message's conversation is muted cannot be told");
                                roots.push(None);
                            }
                            one => roots.extend(one?),
                        }
                    }
                }
                all => roots = all?,
            }
            for ((uid, _), root) in some.iter().zip(roots) {
                if let Some(root) = root {
                    index.put((mailbox, *uid), root);
                }
            }
        }
        Ok(())
    }

    /// One for each.
    async fn roots(&self, account: AccountId, emails: &[EmailId]) -> Result<Vec<Option<u64>>> {
        let roots = &self.inner.roots.0;
        let known = |emails: &[EmailId]| -> Vec<Option<Option<u64>>> {
            let roots = roots.lock().unwrap_or_else(PoisonError::into_inner);
            emails.iter().map(|email| roots.get(email).copied()).collect()
        };
        let mut found = known(emails);
        let unknown: Vec<EmailId> =
            emails.iter().zip(&found).filter(|(_, root)| root.is_none()).map(|(email, _)| *email).collect();
        if !unknown.is_empty() {
            let facts = self.facts(account, &unknown).await?;
            let mut learnt = facts.iter().map(|facts| facts.as_deref().and_then(crate::object_id::thread_root));
            let mut roots = roots.lock().unwrap_or_else(PoisonError::into_inner);
            if roots.len() >= ROOTS_MAX {
                roots.clear();
            }
            for (email, place) in emails.iter().zip(&mut found).filter(|(_, place)| place.is_none()) {
                let root = learnt.next().flatten();
                roots.insert(*email, root);
                *place = Some(root);
            }
        }
        Ok(found.into_iter().map(Option::flatten).collect())
    }
}

fn says_so(row: &MessageRow) -> bool {
    is_muted(&row.flags) && row.flags.system & Flags::DELETED == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, Place, ann, both, email, inbox, sound};
    use bytes::Bytes;

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
            let facts = |id: u32| Facts::compute(format!("Message-ID: <{id}@x>\r\n\r\nx\r\n").as_bytes());
            let first = store.snapshot(ann, inbox).await.unwrap().rows.iter().next().unwrap().email;
            let mut batch = Batch::default();
            batch.put(key::email(first), b"nothing that could be read".to_vec());
            crate::undo::done(store.inner.commit(batch).await).unwrap();
            store.inner.emails.remove(&first);
            assert_eq!(store.is_muted(ann, &facts(2)).await, Ok(true));
            assert_eq!(store.is_muted(ann, &facts(3)).await, Ok(false));
        }
    }

    #[tokio::test]
    async fn a_conversation_is_muted_while_a_message_of_it_says_so_wherever_that_lies() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let first = put(&store, ann, inbox, "Message-ID: <1@x>").await;
            put(&store, ann, inbox, "Message-ID: <2@x>").await;
            let facts = |header: &str| Facts::compute(format!("{header}\r\n\r\nx\r\n").as_bytes());
            let (answer, other) =
                (facts("Message-ID: <3@x>\r\nReferences: <1@x>"), facts("Message-ID: <4@x>\r\nReferences: <2@x>"));
            assert!(!store.is_muted(ann, &answer).await.unwrap());
            let muted = Flags { system: 0, keywords: Some(["$Muted".into()].into()) };
            store.flags(ann, inbox, &[first], FlagOp::Add, &muted, None).await.unwrap();
            assert!(store.is_muted(ann, &answer).await.unwrap() && !store.is_muted(ann, &other).await.unwrap());
            let elsewhere = store.mailbox_create(ann, "a", None, NOW).await.unwrap().id;
            store.move_(ann, inbox, &[first], elsewhere, NOW).await.unwrap();
            assert!(store.is_muted(ann, &answer).await.unwrap());
            sound(&store).await;
            store.flags(ann, elsewhere, &[Uid(1)], FlagOp::Remove, &muted, None).await.unwrap();
            assert!(!store.is_muted(ann, &answer).await.unwrap());
        }
    }

    /// What it costs to look it up does not grow with what is muted, and what changed is known at once.
    #[tokio::test]
    async fn it_is_looked_up_however_much_is_muted() {
        const MANY: u32 = 3_000;
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let header = |id: u32| format!("Message-ID: <{id}@x>");
            let octets = |id: u32| Bytes::from(format!("{}\r\n\r\nx\r\n", header(id)));
            let all: Vec<Uid> =
                store.append(ann, inbox, (0..MANY).map(|id| email(octets(id))).collect()).await.unwrap().uids.to_vec();
            let muted = Flags { system: 0, keywords: Some([MUTED.into()].into()) };
            store.flags(ann, inbox, &all, FlagOp::Add, &muted, None).await.unwrap();
            let facts = |id: u32| Facts::compute(&octets(id));
            assert!(store.is_muted(ann, &facts(0)).await.unwrap() && store.is_muted(ann, &facts(MANY - 1)).await.unwrap());
            let looked_at = async || store.inner.ready(ann).await.unwrap().muted.lock().await.looked_at;
            let before = looked_at().await;
            for id in MANY..MANY + 100 {
                put(&store, ann, inbox, &header(id)).await;
                assert!(!store.is_muted(ann, &facts(id)).await.unwrap());
            }
            assert_eq!(looked_at().await - before, 100, "a look at each that came");
            // All that may become of one.
            let known = async |id: u32| store.is_muted(ann, &facts(id)).await.unwrap();
            store.flags(ann, inbox, &[Uid(2)], FlagOp::Remove, &muted, None).await.unwrap();
            let deleted = Flags { system: Flags::DELETED, keywords: None };
            store.flags(ann, inbox, &[Uid(3), Uid(4)], FlagOp::Add, &deleted, None).await.unwrap();
            assert_eq!((known(1).await, known(2).await, known(3).await, known(4).await), (false, false, false, true));
            store.expunge(ann, inbox, &[Uid(3)], NOW).await.unwrap();
            store.flags(ann, inbox, &[Uid(4)], FlagOp::Remove, &deleted, None).await.unwrap();
            assert_eq!((known(2).await, known(3).await), (false, true));
            let elsewhere = store.mailbox_create(ann, "a", None, NOW).await.unwrap().id;
            store.move_(ann, inbox, &[Uid(6)], elsewhere, NOW).await.unwrap();
            store.copy(ann, inbox, &[Uid(7)], elsewhere).await.unwrap();
            assert_eq!((known(5).await, known(6).await), (true, true));
            store.mailbox_delete(ann, "a", NOW).await.unwrap();
            assert_eq!((known(5).await, known(6).await), (false, true));
            put(&store, ann, inbox, "Message-ID: <new@x>\r\nReferences: <7@x>").await;
            assert!(known(7).await);
            assert!(looked_at().await - before < 200);
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
            answer
        };
        let store = place.open().await;
        let ann = store.account("ann@here.test").await.unwrap().unwrap().id;
        assert!(store.is_muted(ann, &answer).await.unwrap());
    }
}
