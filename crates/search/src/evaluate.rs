//! A query run over the rows of a mailbox, or over an account.
//!
//! What the rows alone decide costs nothing more; the others are read, a bounded number at a time. Invariant: a read error is
//! an error, never a message less; a damaged message is passed over and told of. Must not know: protocols.

use crate::keys::{MailboxKeys, Shelf};
use crate::limits;
use crate::query::Query;
use crate::reading::{Open, Reader};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{AccountId, MailboxId, MessageRow, Rows, Store, StoreError};
use tokio::sync::{OwnedMutexGuard, Semaphore};

/// Searches a store. Cheap to clone; one for all faces of a server.
#[derive(Clone)]
pub struct Searcher {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    shelf: Shelf,
    /// Large messages held, all searches together.
    large: Arc<Semaphore>,
}

/// A message found in an account. One that stands in several mailboxes is found in each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Hit {
    pub mailbox: MailboxId,
    pub row: MessageRow,
}

impl Searcher {
    /// Over this store.
    pub fn new(store: Store) -> Searcher {
        let large = Arc::new(Semaphore::new(limits::LARGE_MESSAGES_MAX));
        Searcher { inner: Arc::new(Inner { store, shelf: Shelf::default(), large }) }
    }

    /// Places in `rows` of what matches, ascending. Dropped: the search stops.
    ///
    /// # Errors
    /// The store's failures; no answer is given then.
    pub async fn mailbox(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        rows: &Rows,
        query: Query,
    ) -> Result<Vec<usize>, StoreError> {
        self.run(account, mailbox, rows, &Arc::new(query.ordered())).await
    }

    /// Everything in the account that matches: mailboxes in the order of the store's list, UIDs ascending.
    ///
    /// # Errors
    /// The store's failures; no answer is given then.
    pub async fn account(&self, account: AccountId, query: Query) -> Result<Vec<Hit>, StoreError> {
        let query = Arc::new(query.ordered());
        let named = named_mailboxes(&query);
        let mut hits = Vec::new();
        for mailbox in self.inner.store.mailboxes(account).await?.iter().map(|mailbox| mailbox.id) {
            if named.as_ref().is_some_and(|named| !named.contains(&mailbox)) {
                continue;
            }
            let snapshot = match self.inner.store.snapshot(account, mailbox).await {
                // Deleted meanwhile.
                Err(StoreError::NotFound) => continue,
                other => other?,
            };
            let found = self.run(account, mailbox, &snapshot.rows, &query).await?;
            hits.extend(found.into_iter().filter_map(|index| Some(Hit { mailbox, row: snapshot.rows.get(index)? })));
        }
        Ok(hits)
    }

    async fn run(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        rows: &Rows,
        query: &Arc<Query>,
    ) -> Result<Vec<usize>, StoreError> {
        let Inner { store, large, .. } = &*self.inner;
        let reader = Reader { store: store.clone(), large: Arc::clone(large), account, mailbox, query: Arc::clone(query) };
        let (mut found, mut open) = (Vec::new(), Vec::new());
        for (index, row) in rows.iter().enumerate() {
            let one = Open { index, row };
            match query.holds(&reader.bare(&one, None)) {
                Some(true) => found.push(index),
                Some(false) => {}
                None => open.push(one),
            }
            if open.len() >= limits::BLOCK {
                found.extend(reader.matching(std::mem::take(&mut open)).await?);
            }
        }
        if !open.is_empty() {
            found.extend(reader.matching(open).await?);
        }
        found.sort_unstable();
        Ok(found)
    }

    /// What the messages at these places (ascending) of `rows` are sorted and threaded by; others may be there, too.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn keys(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        rows: &Rows,
        found: &[usize],
    ) -> Result<OwnedMutexGuard<MailboxKeys>, StoreError> {
        self.inner.shelf.keys(&self.inner.store, account, mailbox, rows, found).await
    }
}

/// When the query can hold only in some mailboxes: which.
fn named_mailboxes(query: &Query) -> Option<BTreeSet<MailboxId>> {
    match query {
        Query::Mailboxes(mailboxes) => Some(mailboxes.clone()),
        Query::All(queries) => queries.iter().filter_map(named_mailboxes).reduce(|one, other| &one & &other),
        _ => None,
    }
}
