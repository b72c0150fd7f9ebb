//! A query run over the rows of a mailbox, or over an account.
//!
//! What the rows and the index alone decide costs nothing more; the others are read, a bounded number at a time. Invariant: a
//! read error is an error, never a message less; a damaged message is passed over and told of. Must not know: protocols.

use crate::index::{Bits, Chunk, Chunks, Index, Verdict};
use crate::keeper::Keeper;
use crate::keys::{MailboxKeys, Shelf};
use crate::limits;
use crate::plan::{Cost, Leaf, Plan};
use crate::query::Query;
use crate::reading::{Headers, Open, Reader, headers};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{AccountId, EmailId, MailboxId, MessageRow, Rows, Store, StoreError};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedMutexGuard, Semaphore, oneshot};

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
    headers: Arc<Headers>,
    index: Option<Arc<Index>>,
    /// The thread that keeps the index, and what ends it.
    keeper: Mutex<Option<(oneshot::Sender<()>, std::thread::JoinHandle<()>)>>,
}

/// A message found in an account. One that stands in several mailboxes is found in each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Hit {
    pub mailbox: MailboxId,
    pub row: MessageRow,
}

/// How far an account's index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Indexed {
    /// Messages in the account's mailboxes.
    pub messages: usize,
    /// Of these: not in the index yet; searches read them.
    pub behind: usize,
    /// Octets of its files.
    pub size_bytes: u64,
}

impl Searcher {
    /// Over this store, by reading alone.
    pub fn new(store: Store) -> Searcher {
        Searcher::with(store, None)
    }

    /// With an index in this folder, which holds nothing that is not made anew when it is missing.
    pub fn indexed(store: Store, folder: PathBuf) -> Searcher {
        Searcher::with(store, Some(Arc::new(Index::new(folder))))
    }

    /// The same with an index that is there.
    #[cfg(test)]
    pub(crate) fn over(store: Store, index: Arc<Index>) -> Searcher {
        Searcher::with(store, Some(index))
    }

    fn with(store: Store, index: Option<Arc<Index>>) -> Searcher {
        let large = Arc::new(Semaphore::new(limits::LARGE_MESSAGES_MAX));
        let inner =
            Inner { store, shelf: Shelf::default(), large, headers: Arc::new(headers()), index, keeper: Mutex::default() };
        Searcher { inner: Arc::new(inner) }
    }

    /// Keeps the index from now on, in a thread of the lowest priority. Call within the runtime.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn keep(&self) -> std::io::Result<()> {
        let Some(index) = self.inner.index.clone() else { return Ok(()) };
        let (stop, stopped) = oneshot::channel();
        let (keeper, runtime) = (Keeper::new(self.inner.store.clone(), index), Handle::current());
        let work = move || {
            store::rest::yield_to_others();
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = store::rest::aside(keeper.run()) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("search index".into()).spawn(work)?;
        *self.inner.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some((stop, thread));
        Ok(())
    }

    /// Ends the keeping, and leaves what it was at; before the store is closed.
    pub async fn close(&self) {
        // The keeper may be in the middle of long work that nobody lets it do.
        self.inner.index.iter().for_each(|index| index.stop());
        let keeper = self.inner.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = keeper {
            let _ = stop.send(());
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// Takes everything of the account into the index, now.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn catch_up(&self, account: AccountId) -> Result<(), StoreError> {
        match &self.inner.index {
            Some(index) => Keeper::new(self.inner.store.clone(), Arc::clone(index)).take_in(account).await,
            None => Ok(()),
        }
    }

    /// How far the account's index is; `None` without one.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn status(&self, account: AccountId) -> Result<Option<Indexed>, StoreError> {
        let Some(chunks) = self.chunks(account).await? else { return Ok(None) };
        let mut indexed = Indexed { size_bytes: chunks.iter().map(|chunk| chunk.size).sum(), ..Indexed::default() };
        for mailbox in self.inner.store.mailboxes(account).await?.iter() {
            let rows = self.inner.store.snapshot(account, mailbox.id).await?.rows;
            let mut finder = Finder::new(&chunks);
            indexed.messages += rows.len();
            indexed.behind += rows.iter().filter(|row| finder.find(row.email).is_none()).count();
        }
        Ok(Some(indexed))
    }

    /// Throws an account's index away and makes it anew; where the index is being kept that is done in the background.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn rebuild(&self, account: AccountId) -> Result<(), StoreError> {
        if let Some(index) = self.inner.index.clone() {
            aside(move || index.drop_account(account)).await?;
        }
        if self.inner.keeper.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        self.catch_up(account).await
    }

    async fn chunks(&self, account: AccountId) -> Result<Option<Chunks>, StoreError> {
        let Some(index) = &self.inner.index else { return Ok(None) };
        if let Some(chunks) = index.at_hand(account) {
            return Ok(Some(chunks));
        }
        let index = Arc::clone(index);
        aside(move || index.chunks(account)).await.map(Some)
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
        let plan = Arc::new(Plan::of(query));
        let judged = self.judged(account, &plan).await?;
        self.run(account, mailbox, rows, &plan, &judged).await
    }

    /// Everything in the account that matches: mailboxes in the order of the store's list, UIDs ascending.
    ///
    /// # Errors
    /// The store's failures; no answer is given then.
    pub async fn account(&self, account: AccountId, query: Query) -> Result<Vec<Hit>, StoreError> {
        let named = named_mailboxes(&query);
        let plan = Arc::new(Plan::of(query));
        let judged = self.judged(account, &plan).await?;
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
            let found = self.run(account, mailbox, &snapshot.rows, &plan, &judged).await?;
            hits.extend(found.into_iter().filter_map(|index| Some(Hit { mailbox, row: snapshot.rows.get(index)? })));
        }
        Ok(hits)
    }

    /// What the index says of every leaf.
    async fn judged(&self, account: AccountId, plan: &Arc<Plan>) -> Result<Judged, StoreError> {
        if plan.leaves.is_empty() {
            return Ok(Judged::default());
        }
        let (Some(chunks), Some(index)) = (self.chunks(account).await?, self.inner.index.clone()) else {
            return Ok(Judged::default());
        };
        let plan = Arc::clone(plan);
        in_place(move || {
            let mut judged = Judged::default();
            for chunk in chunks.iter() {
                match plan.leaves.iter().map(|leaf| chunk.judge(leaf)).collect::<Option<Vec<Verdict>>>() {
                    Some(verdicts) => {
                        judged.chunks.push(Arc::clone(chunk));
                        judged.may.push(plan.may(&verdicts));
                        judged.verdicts.push(verdicts);
                    }
                    // Its messages are read, and taken in again.
                    None => index.drop_chunk(account, chunk),
                }
            }
            index.tidy();
            judged
        })
        .await
    }

    async fn run(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        rows: &Rows,
        plan: &Arc<Plan>,
        judged: &Judged,
    ) -> Result<Vec<usize>, StoreError> {
        if let Some(all) = plan.settled() {
            return Ok((0..if all { rows.len() } else { 0 }).collect());
        }
        let Inner { store, large, headers, .. } = &*self.inner;
        let (large, headers) = (Arc::clone(large), Arc::clone(headers));
        let reader = Reader { store: store.clone(), large, headers, account, mailbox, plan: Arc::clone(plan) };
        let asks_fields = plan.leaves.iter().any(Leaf::is_of_fields);
        let (mut found, mut open, mut cost) = (Vec::new(), Vec::new(), Duration::ZERO);
        for (index, place, row) in judged.left(rows) {
            let remembered = if asks_fields && place.is_none() { reader.remembered(row.email) } else { None };
            let known = |leaf: usize| match place {
                Some(place) => judged.known(place, leaf),
                None => plan.leaves.get(leaf)?.holds_by(&remembered.as_ref()?.fields),
            };
            let answer = reader.bare(index, &row, &known);
            if place.is_none() {
                cost += lacking_cost(plan, remembered.is_some(), answer.is_some());
            }
            match answer {
                Some(true) => found.push(index),
                Some(false) => {}
                None => {
                    let known = place.iter().flat_map(|_| (0..plan.leaves.len()).map(known)).collect();
                    open.push(Open { index, row, known });
                }
            }
            if open.len() >= limits::BLOCK {
                found.extend(reader.matching(std::mem::take(&mut open)).await?);
            }
        }
        if !open.is_empty() {
            found.extend(reader.matching(open).await?);
        }
        if let Some(index) = self.inner.index.as_ref().filter(|_| !cost.is_zero()) {
            index.want(account, cost);
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
        let chunks = self.chunks(account).await?;
        self.inner.shelf.keys(&self.inner.store, chunks, (account, mailbox), rows, found).await
    }
}

/// A row's index, where the chunks have it (chunk and document), and the row.
type Left = (usize, Option<(usize, usize)>, MessageRow);

/// What an index says of a query: for each chunk the verdict on each leaf.
#[derive(Default)]
struct Judged {
    chunks: Vec<Arc<Chunk>>,
    verdicts: Vec<Vec<Verdict>>,
    /// For each chunk the documents that the query may hold of; `None`: any.
    may: Vec<Option<Bits>>,
}

impl Judged {
    /// The rows that are not ruled out.
    fn left<'a>(&'a self, rows: &'a Rows) -> Box<dyn Iterator<Item = Left> + Send + 'a> {
        let mut finder = Finder::new(&self.chunks);
        // Nothing is ruled out where only rows are asked about: they are unpacked as they come.
        if self.may.iter().all(Option::is_none) {
            return Box::new(rows.iter().enumerate().map(move |(index, row)| (index, finder.find(row.email), row)));
        }
        let may = |(chunk, doc): (usize, usize)| self.may.get(chunk).and_then(Option::as_ref).is_none_or(|may| may.get(doc));
        Box::new(rows.sift(move |email| {
            let place = finder.find(email);
            place.is_none_or(may).then_some(place)
        }))
    }

    /// Of the document at this place.
    fn known(&self, (chunk, doc): (usize, usize), leaf: usize) -> Option<bool> {
        let verdict = self.verdicts.get(chunk)?.get(leaf)?;
        let has = |bits: &Bits| bits.get(doc);
        match (has(&verdict.may), has(&verdict.does)) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        }
    }
}

/// Finds emails in chunks; those that follow one another at once.
pub(crate) struct Finder<'a> {
    chunks: &'a [Arc<Chunk>],
    last: (usize, usize),
}

impl<'a> Finder<'a> {
    pub(crate) fn new(chunks: &'a [Arc<Chunk>]) -> Finder<'a> {
        Finder { chunks, last: (0, 0) }
    }

    /// Chunk and document.
    #[inline]
    pub(crate) fn find(&mut self, email: EmailId) -> Option<(usize, usize)> {
        let (chunk, doc) = self.last;
        let next = doc + 1;
        if self.chunks.get(chunk).and_then(|chunk| chunk.email(next)) == Some(email.0) {
            self.last = (chunk, next);
            return Some(self.last);
        }
        self.find_elsewhere(email)
    }

    fn find_elsewhere(&mut self, email: EmailId) -> Option<(usize, usize)> {
        let found = self.chunks.iter().enumerate().find_map(|(at, chunk)| {
            let (first, last) = chunk.range()?;
            if (first..=last).contains(&email.0) { Some((at, chunk.doc(email.0, 0)?)) } else { None }
        });
        self.last = found.unwrap_or(self.last);
        found
    }
}

/// What a message that the index lacks costs a search, about.
fn lacking_cost(plan: &Plan, is_remembered: bool, is_decided: bool) -> Duration {
    match (is_remembered, is_decided) {
        (true, true) => limits::LACKING_REMEMBERED_COST,
        (false, true) => Duration::ZERO,
        (_, false) if plan.cost() <= Cost::Header => limits::LACKING_HEADER_COST,
        (_, false) => limits::LACKING_MESSAGE_COST,
    }
}

/// Long thinking and file reading, away from the threads that serve connections.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Io("a search broke off".to_owned()))
}

/// What seldom takes long, but may: done here, while other threads take over what this one serves. To wake a thread for it, and to be woken
/// by it, takes longer than most of it.
async fn in_place<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => Ok(tokio::task::block_in_place(work)),
        // There are no others.
        _ => aside(work).await,
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
