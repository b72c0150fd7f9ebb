//! Keeps the index up to date: one thread of the lowest priority that takes in what the store tells was touched.
//!
//! Work is done in pieces; while others are busy it rests nineteen twentieths of the time, but for as long as searches have
//! spent on what it does not have: accounts that are searched come first. Invariant: losing it (or being behind) costs
//! searches time, never an answer. Must not know: queries, protocols.

use crate::index::{Fresh, Index, Record, Seen, Terms};
use crate::limits;
use crate::reading::facts_of;
use message::Facts;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use store::rest::Rest;
use store::{AccountId, EmailId, MailboxId, Store, StoreError};
use tokio::time::Instant;

/// Takes messages in.
pub(crate) struct Keeper {
    store: Store,
    index: Arc<Index>,
    /// Up to where each mailbox of an account was looked at.
    seen: HashMap<AccountId, Seen>,
    rest: Rest,
    /// It has a thread of its own to rest on.
    is_aside: bool,
    /// Another account came first: something was left for later.
    has_left: bool,
}

impl Keeper {
    pub(crate) fn new(store: Store, index: Arc<Index>) -> Keeper {
        let rest = Rest::new(store.asked_by_others(), Instant::now());
        Keeper { store, index, seen: HashMap::new(), rest, is_aside: false, has_left: false }
    }

    /// Every account once, then whatever is touched, for ever. Rests on the thread it runs on.
    pub(crate) async fn run(mut self) {
        self.is_aside = true;
        let news = self.store.news();
        let mut after: Option<String> = None;
        let mut known = BTreeSet::new();
        while let Ok(accounts) = self.store.account_list(after.as_deref(), 100).await {
            let Some(last) = accounts.last() else {
                self.index.keep_only(&known);
                break;
            };
            after = Some(last.address.clone());
            known.extend(accounts.iter().map(|account| account.id));
            self.look_at_all(accounts.iter().map(|account| account.id).collect()).await;
        }
        loop {
            let mut touched = tokio::select! {
                touched = news.take() => touched,
                lost = self.index.lost() => {
                    self.seen.retain(|account, _| !lost.contains(account));
                    lost
                }
                () = self.index.is_wanted() => BTreeSet::new(),
            };
            touched.extend(self.index.take_wanted());
            self.rest.begin(self.store.asked_by_others(), Instant::now());
            self.look_at_all(touched).await;
            // What comes meanwhile is taken together.
            tokio::time::sleep(limits::INDEX_WAIT).await;
        }
    }

    async fn look_at_all(&mut self, mut accounts: BTreeSet<AccountId>) {
        while !accounts.is_empty() && !self.index.is_stopped() {
            self.look_at_some(&mut accounts).await;
        }
    }

    /// All that are searched meanwhile, and one of the others.
    async fn look_at_some(&mut self, accounts: &mut BTreeSet<AccountId>) {
        for account in self.index.take_wanted().into_iter().chain(accounts.pop_first()) {
            self.look_at(account).await;
            if std::mem::take(&mut self.has_left) {
                accounts.insert(account);
            }
        }
    }

    async fn look_at(&mut self, account: AccountId) {
        match self.take_in(account).await {
            Ok(()) => {}
            Err(StoreError::NotFound) => {
                self.seen.remove(&account);
                if self.index.docs(account) > 0 {
                    self.index.drop_account(account);
                }
            }
            Err(_) if self.index.is_stopped() => {}
            // Searches read what the index lacks; the next touch tries again.
            Err(error) => tracing::warn!(%error, account = account.0, "the search index falls behind"),
        }
        self.index.tidy();
    }

    /// Everything of the account that the index lacks.
    pub(crate) async fn take_in(&mut self, account: AccountId) -> Result<(), StoreError> {
        let index = Arc::clone(&self.index);
        let _turn = index.turn.lock().await;
        let mailboxes = self.store.mailboxes(account).await?;
        let losses = index.losses();
        let before = self.seen.entry(account).or_insert_with(|| index.seen(account)).clone();
        for mailbox in mailboxes.iter().map(|mailbox| mailbox.id) {
            match self.take_in_mailbox(account, mailbox).await {
                // Deleted meanwhile.
                Err(StoreError::NotFound) => {}
                other => other?,
            }
        }
        let messages = self.store.usage(account).await?.messages;
        if self.index.docs(account) as u64 > messages * 2 + limits::INDEX_DEAD_MIN as u64 {
            self.sweep(account).await?;
        }
        let seen = self.seen.entry(account).or_default();
        seen.retain(|known, _| mailboxes.iter().any(|mailbox| mailbox.id == *known));
        // What was lost meanwhile is looked for again.
        if *seen != before && index.losses() == losses {
            index.note_seen(account, seen).map_err(|error| StoreError::Io(error.to_string()))?;
        }
        Ok(())
    }

    async fn take_in_mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<(), StoreError> {
        let highest = self.store.status(account, mailbox).await?.highest_mod_seq;
        let seen = self.seen.get(&account).and_then(|seen| seen.get(&mailbox)).copied();
        if seen == Some(highest) {
            return Ok(());
        }
        let changes = match seen {
            Some(seen) => Some(self.store.changes_since(account, mailbox, seen).await?),
            None => None,
        };
        let (rows, now) = match changes {
            Some(changes) if changes.complete => (changes.updated, changes.highest_mod_seq),
            _ => {
                let snapshot = self.store.snapshot(account, mailbox).await?;
                (snapshot.rows.iter().collect(), snapshot.highest_mod_seq)
            }
        };
        let chunks = self.index.chunks(account);
        let has = |email: EmailId| chunks.iter().any(|chunk| chunk.doc(email.0, usize::MAX).is_some());
        let mut missing: Vec<(EmailId, u64)> =
            rows.iter().filter(|row| !has(row.email)).map(|row| (row.email, u64::from(row.size_bytes))).collect();
        missing.sort_unstable();
        missing.dedup();
        let mut rest = &missing[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |(_, size): &&(EmailId, u64)| {
                bytes += size;
                bytes <= limits::INDEX_BATCH_BYTES
            };
            let count = rest.iter().take(limits::INDEX_BATCH_DOCS).take_while(fits).count().max(1);
            let taken = self.take_in_some(account, rest.get(..count).unwrap_or(rest)).await?;
            rest = rest.get(taken..).unwrap_or_default();
            if self.is_aside && !rest.is_empty() && self.index.wants_beside(account) {
                self.has_left = true;
                return Ok(());
            }
        }
        self.seen.entry(account).or_default().insert(mailbox, now);
        Ok(())
    }

    /// After each piece of work. False: the index is being closed.
    fn breathe(&mut self) -> bool {
        if self.is_aside {
            let due = self.rest.due(self.store.asked_by_others(), Instant::now());
            if !due.is_zero() && !self.index.pays(due) {
                store::rest::sleep(due, || self.index.is_stopped());
            }
        }
        !self.index.is_stopped()
    }

    /// Of these as many as are said: when another account is wanted, no more than what it had to wait for anyway.
    async fn take_in_some(&mut self, account: AccountId, some: &[(EmailId, u64)]) -> Result<usize, StoreError> {
        if !self.store.has_space() {
            return Err(StoreError::NoSpace);
        }
        let emails: Vec<EmailId> = some.iter().map(|(email, _)| *email).collect();
        let facts = facts_of(&self.store, account, &emails).await?;
        let mut fresh: Vec<Fresh> = Vec::with_capacity(some.len());
        let (begun, mut taken) = (Instant::now(), 0);
        for ((email, size), facts) in some.iter().zip(facts) {
            if !self.breathe() {
                return Err(StoreError::Io("the search index is being closed".into()));
            }
            if taken > 0 && self.is_aside && begun.elapsed() >= limits::INDEX_PIECE_MAX && self.index.wants_beside(account) {
                break;
            }
            taken += 1;
            let octets = match self.store.body(account, *email, 0, *size).await {
                Ok(octets) => octets,
                // Expunged and erased meanwhile.
                Err(StoreError::NotFound) => continue,
                // Who searches it will be told.
                Err(StoreError::Damaged(_)) => {
                    fresh.push((Record::unknown(email.0), Terms::default()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let facts = facts.unwrap_or_else(|| Arc::new(Facts::compute(&octets)));
            let mut terms = Terms::default();
            fresh.push((Record::of(email.0, &octets, &facts, &mut terms), terms));
        }
        if !fresh.is_empty() {
            let index = Arc::clone(&self.index);
            index.add(account, fresh, &mut || self.breathe()).map_err(|error| StoreError::Io(error.to_string()))?;
        }
        Ok(taken)
    }

    async fn sweep(&mut self, account: AccountId) -> Result<(), StoreError> {
        let mut alive = BTreeSet::new();
        for mailbox in self.store.mailboxes(account).await?.iter() {
            match self.store.snapshot(account, mailbox.id).await {
                Ok(snapshot) => alive.extend(snapshot.rows.iter().map(|row| row.email.0)),
                Err(StoreError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let index = Arc::clone(&self.index);
        index.sweep(account, &alive, &mut || self.breathe()).map_err(|error| StoreError::Io(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Query, Searcher};
    use std::time::Duration;
    use store::{Flags, NewAccount, NewEmail, Secrets, Spooled, StoreConfig};

    async fn account_with(store: &Store, name: &str, messages: usize) -> (AccountId, MailboxId) {
        let secrets = Secrets { argon2: String::new(), scram: None };
        let new = NewAccount { address: format!("{name}@here.test"), secrets, quota_bytes: None };
        let account = store.accounts_add(vec![new], 1).await.unwrap()[0];
        let inbox = store.mailbox(account, "INBOX").await.unwrap().unwrap().id;
        let email = |number: usize| {
            let text = format!("Subject: number {number}\r\n\r\nhello\r\n").into_bytes();
            let facts = Arc::new(Facts::compute(&text));
            NewEmail { body: Spooled::from_bytes(text.into()), facts, flags: Flags::default(), internal_date_secs: 1 }
        };
        store.append(account, inbox, (0..messages).map(email).collect()).await.unwrap();
        (account, inbox)
    }

    async fn store_in(folder: &tempfile::TempDir) -> Store {
        let config = StoreConfig {
            data_dir: folder.path().join("data"),
            undo_days: 30,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 1 << 20,
        };
        Store::open(config).await.unwrap()
    }

    /// However many search: each waits for one piece of another's, not for one piece each.
    #[tokio::test]
    async fn all_who_search_come_before_the_next_piece_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let store = store_in(&folder).await;
        let (much, few) = (limits::INDEX_BATCH_DOCS * 5, 3);
        let (ann, _) = account_with(&store, "ann", much).await;
        let index = Arc::new(Index::new(folder.path().join("search")));
        let searcher = Searcher::over(store.clone(), Arc::clone(&index));
        let mut searched = Vec::new();
        for name in ["bob", "carol", "dave"] {
            let (account, inbox) = account_with(&store, name, few).await;
            let rows = store.snapshot(account, inbox).await.unwrap().rows;
            let found = searcher.mailbox(account, inbox, &rows, Query::header("Subject", "number 2")).await.unwrap();
            assert_eq!(found, [2]);
            searched.push(account);
        }
        let mut keeper = Keeper { is_aside: true, ..Keeper::new(store.clone(), Arc::clone(&index)) };
        let mut left = BTreeSet::from([ann]);
        keeper.look_at_some(&mut left).await;
        assert!(searched.iter().all(|account| index.docs(*account) == few));
        keeper.look_at_all(left).await;
        assert_eq!(index.docs(ann), much);
    }

    /// A search of what the index lacks makes its account the next, in the midst of another that has much.
    #[tokio::test]
    async fn who_searches_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = store_in(&folder).await;
        let much = limits::INDEX_BATCH_DOCS * 5;
        let (ann, _) = account_with(&store, "ann", much).await;
        let (bob, inbox) = account_with(&store, "bob", 3).await;
        let index = Arc::new(Index::new(folder.path().join("search")));
        let searcher = Searcher::over(store.clone(), Arc::clone(&index));
        let rows = store.snapshot(bob, inbox).await.unwrap().rows;
        let subject = || Query::header("Subject", "number 2");
        assert_eq!(searcher.mailbox(bob, inbox, &rows, subject()).await.unwrap(), [2]);
        // What the search read is owed, once.
        assert!(!index.pays(limits::LACKING_HEADER_COST * 3 + Duration::from_nanos(1)));
        assert!(index.pays(limits::LACKING_HEADER_COST * 3));
        assert!(!index.pays(Duration::from_nanos(1)));
        let mut keeper = Keeper { is_aside: true, ..Keeper::new(store.clone(), Arc::clone(&index)) };
        keeper.look_at(ann).await;
        assert_eq!((index.docs(ann), std::mem::take(&mut keeper.has_left)), (limits::INDEX_BATCH_DOCS, true));
        // What is remembered is not read again, and wants it all the same.
        assert_eq!(searcher.mailbox(bob, inbox, &rows, subject()).await.unwrap(), [2]);
        assert!(index.pays(limits::LACKING_REMEMBERED_COST * 3));
        assert!(!index.pays(Duration::from_nanos(1)));
        keeper.look_at_all(BTreeSet::from([ann])).await;
        assert_eq!((index.docs(ann), index.docs(bob), index.take_wanted()), (much, 3, BTreeSet::new()));
        // It has all of it: nobody is wanted any more.
        assert_eq!(searcher.mailbox(bob, inbox, &rows, subject()).await.unwrap(), [2]);
        assert_eq!(index.take_wanted(), BTreeSet::new());
    }
}
