//! The part of a search that must read messages: headers first, all octets only when a header is not enough.
//!
//! Several messages are read at a time, since each waits for the disk. Invariant: memory is bounded whatever is searched:
//! a few small messages a search, and a few large ones in the whole server. Must not know: indexes, protocols.

use crate::index::{Fields, fields_of};
use crate::limits;
use crate::plan::{Candidate, Cost, Plan};
use bytes::Bytes;
use message::Facts;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::time::Instant;
use store::{AccountId, EmailId, MailboxId, MessageRow, Store, StoreError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A message the rows alone did not decide.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) index: usize,
    pub(crate) row: MessageRow,
    /// What an index knows of each leaf; empty: nothing.
    pub(crate) known: Vec<Option<bool>>,
}

impl Open {
    fn known(&self, leaf: usize) -> Option<bool> {
        self.known.get(leaf).copied().flatten()
    }
}

/// Of messages that no index had: until it has them, every search asks for them again.
pub(crate) type Headers = Cache<(AccountId, EmailId), Arc<Remembered>, HeaderOctets>;

/// What was read of a header section.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub(crate) fields: Fields,
    /// All of it, where something else was asked for.
    header: Option<Bytes>,
}

/// What one costs.
#[derive(Clone)]
pub(crate) struct HeaderOctets;

impl Weighter<(AccountId, EmailId), Arc<Remembered>> for HeaderOctets {
    fn weight(&self, _: &(AccountId, EmailId), remembered: &Arc<Remembered>) -> u64 {
        let fields: usize = remembered.fields.iter().flatten().map(|text| text.len()).sum();
        (fields + remembered.header.as_ref().map_or(0, Bytes::len)) as u64 + 256
    }
}

pub(crate) fn headers() -> Headers {
    Cache::with_weighter(limits::HEADERS_BYTES_CACHED / 1024, limits::HEADERS_BYTES_CACHED as u64, HeaderOctets)
}

/// Reads and tests.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) store: Store,
    pub(crate) large: Arc<Semaphore>,
    pub(crate) headers: Arc<Headers>,
    pub(crate) account: AccountId,
    pub(crate) mailbox: MailboxId,
    pub(crate) plan: Arc<Plan>,
}

impl Reader {
    /// Indexes of those that match, in no order. Dropped: the reading stops.
    pub(crate) async fn matching(&self, mut open: Vec<Open>) -> Result<Vec<usize>, StoreError> {
        let mut found = Vec::new();
        let mut facts = Vec::new();
        if self.plan.wants_facts() {
            facts = self.facts_of(&open).await?;
            let mut left = (Vec::new(), Vec::new());
            for (one, facts) in open.into_iter().zip(facts) {
                match facts.as_ref().and_then(|facts| self.tested(&one, Some(facts), None, None)) {
                    Some(true) => found.push(one.index),
                    Some(false) => {}
                    None => {
                        left.0.push(one);
                        left.1.push(facts);
                    }
                }
            }
            (open, facts) = left;
        }
        facts.resize(open.len(), None);
        let all: Vec<(Open, Option<Arc<Facts>>)> = open.into_iter().zip(facts).collect();
        let share = all.len().div_ceil(limits::TASKS).max(1);
        let mut tasks = JoinSet::new();
        for part in all.chunks(share) {
            let (reader, part) = (self.clone(), part.to_vec());
            tasks.spawn(async move { reader.matching_one_by_one(part).await });
        }
        while let Some(joined) = tasks.join_next().await {
            let part = joined.map_err(|_| StoreError::Io("a search broke off".to_owned()))?;
            found.extend(part?);
        }
        Ok(found)
    }

    async fn facts_of(&self, open: &[Open]) -> Result<Vec<Option<Arc<Facts>>>, StoreError> {
        let mut facts = Vec::with_capacity(open.len());
        for chunk in open.chunks(limits::FACTS_CHUNK) {
            let emails: Vec<EmailId> = chunk.iter().map(|one| one.row.email).collect();
            facts.extend(facts_of(&self.store, self.account, &emails).await?);
        }
        Ok(facts)
    }

    async fn matching_one_by_one(&self, open: Vec<(Open, Option<Arc<Facts>>)>) -> Result<Vec<usize>, StoreError> {
        let mut found = Vec::new();
        let mut turn = Instant::now();
        for (one, facts) in open {
            match self.holds(&one, facts).await {
                Ok(true) => found.push(one.index),
                // Expunged meanwhile.
                Ok(false) | Err(StoreError::NotFound) => {}
                Err(StoreError::Damaged(detail)) => {
                    tracing::error!(%detail, uid = one.row.uid.0, "a damaged message was passed over by a search");
                }
                Err(error) => return Err(error),
            }
            // Nothing above need have waited: let the other sessions have their turn, but not after every message: with many
            // sessions each turn is long in coming.
            if turn.elapsed() > limits::TURN {
                tokio::task::yield_now().await;
                turn = Instant::now();
            }
        }
        Ok(found)
    }

    async fn holds(&self, open: &Open, facts: Option<Arc<Facts>>) -> Result<bool, StoreError> {
        let of = (self.account, open.row.email);
        let remembers = self.plan.cost() <= Cost::Header && open.known.is_empty();
        let remembered = remembers.then(|| self.headers.get(&of)).flatten();
        let header = remembered.as_ref().and_then(|remembered| remembered.header.as_deref());
        if let Some(holds) = header.and_then(|header| self.tested(open, facts.as_deref(), Some(header), None)) {
            return Ok(holds);
        }
        let size = u64::from(open.row.size_bytes);
        let is_small = size <= limits::SMALL_MESSAGE_BYTES;
        let first_len = match (self.plan.cost(), is_small) {
            (Cost::Message, true) => size,
            _ => limits::HEADER_PIECE_BYTES,
        };
        let first = self.read(&open.row, 0, first_len).await?;
        let header = self.header(&open.row, first.clone()).await?;
        if remembers {
            // A copy: the piece it was read in may be much larger.
            let kept = self.plan.wants_header().then(|| Bytes::copy_from_slice(&header));
            self.headers.insert(of, Arc::new(Remembered { fields: fields_of(&header), header: kept }));
        }
        if let Some(holds) = self.tested(open, facts.as_deref(), Some(&header), None) {
            return Ok(holds);
        }
        if is_small {
            let whole = if first.len() as u64 >= size { first } else { self.read(&open.row, 0, size).await? };
            return Ok(self.decided(open, facts.as_deref(), &header, &whole));
        }
        let _permit = self.large.acquire().await;
        let whole = self.read(&open.row, 0, size).await?;
        let (reader, open) = (self.clone(), open.clone());
        let test = move || reader.decided(&open, facts.as_deref(), &header, &whole);
        let tested = tokio::task::spawn_blocking(test).await;
        tested.map_err(|_| StoreError::Io("a search broke off".to_owned()))
    }

    /// The header section; `first` are the message's first octets, more are read until its empty line is there.
    async fn header(&self, row: &MessageRow, first: Bytes) -> Result<Bytes, StoreError> {
        let size = u64::from(row.size_bytes);
        let end = message::header::header_end(&first);
        if end < first.len() || first.len() as u64 >= size {
            return Ok(first.slice(..end));
        }
        let mut octets = first.to_vec();
        loop {
            // Twice as much each time: what was looked through before is looked through again.
            let piece = self.read(row, octets.len() as u64, octets.len() as u64).await?;
            octets.extend_from_slice(&piece);
            let end = message::header::header_end(&octets);
            if end < octets.len() || piece.is_empty() || octets.len() as u64 >= size {
                octets.truncate(end);
                return Ok(octets.into());
            }
        }
    }

    async fn read(&self, row: &MessageRow, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.store.body(self.account, row.email, offset, len).await
    }

    /// The answer when everything is at hand.
    fn decided(&self, open: &Open, facts: Option<&Facts>, header: &[u8], message: &[u8]) -> bool {
        // Damage had its word when the facts were asked for: without them nothing is said of them.
        let none = Facts::default();
        self.tested(open, Some(facts.unwrap_or(&none)), Some(header), Some(message)).unwrap_or(false)
    }

    fn tested(&self, open: &Open, facts: Option<&Facts>, header: Option<&[u8]>, message: Option<&[u8]>) -> Option<bool> {
        let known = |leaf| open.known(leaf);
        self.plan.holds(&Candidate {
            index: open.index,
            mailbox: self.mailbox,
            row: &open.row,
            known: &known,
            facts,
            header,
            message,
        })
    }

    /// What was read of a message's header before.
    pub(crate) fn remembered(&self, email: EmailId) -> Option<Arc<Remembered>> {
        self.headers.get(&(self.account, email))
    }

    /// With nothing read.
    pub(crate) fn bare(&self, index: usize, row: &MessageRow, known: &dyn Fn(usize) -> Option<bool>) -> Option<bool> {
        self.plan.holds(&Candidate { index, mailbox: self.mailbox, row, known, facts: None, header: None, message: None })
    }
}

/// One read for all; where one of them is damaged, one by one: it is as if it said nothing.
pub(crate) async fn facts_of(
    store: &Store,
    account: AccountId,
    emails: &[EmailId],
) -> Result<Vec<Option<Arc<Facts>>>, StoreError> {
    match store.facts(account, emails).await {
        Err(StoreError::Damaged(_)) => {}
        other => return other,
    }
    let mut all = Vec::with_capacity(emails.len());
    for email in emails {
        all.push(match store.facts(account, &[*email]).await {
            Ok(one) => one.into_iter().next().flatten(),
            Err(StoreError::Damaged(detail)) => {
                tracing::error!(%detail, "a damaged message stands without its facts");
                None
            }
            Err(error) => return Err(error),
        });
    }
    Ok(all)
}
