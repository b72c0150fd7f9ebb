//! Which submissions are to be looked at: those of which the queue told something since they were looked at last. So asking for
//! changes costs what changed, however many wait.
//!
//! Invariant: whoever missed what the queue told looks at all of them once more. Must not know: how it stands with them.

use smol_str::SmolStr;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{AccountId, QueueId};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// Accounts that are known at once.
const ACCOUNTS_MAX: usize = 10_000;

/// What the queue tells.
type Told = Receiver<(AccountId, QueueId)>;

/// Of one account.
#[derive(Default)]
struct Known {
    of: HashMap<QueueId, SmolStr>,
    due: BTreeSet<SmolStr>,
}

#[derive(Default)]
struct Inner {
    told: Option<Told>,
    accounts: HashMap<AccountId, Known>,
    turns: HashMap<AccountId, Arc<tokio::sync::Mutex<()>>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Unsettled {
    inner: Mutex<Inner>,
}

impl Unsettled {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while an account's are read and looked at, and while one is added that was just written.
    pub(super) fn turn(&self, account: AccountId) -> Arc<tokio::sync::Mutex<()>> {
        let turns = &mut self.inner().turns;
        if turns.len() >= ACCOUNTS_MAX {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(account).or_default())
    }

    /// Those to look at now; `None`: what there is of this account must be read first, see [`Unsettled::know`].
    pub(super) fn due(&self, account: AccountId, listen: impl FnOnce() -> Told) -> Option<BTreeSet<SmolStr>> {
        let mut inner = self.inner();
        let Inner { told, accounts, .. } = &mut *inner;
        let told = told.get_or_insert_with(listen);
        loop {
            match told.try_recv() {
                Ok((account, id)) => {
                    let Some(known) = accounts.get_mut(&account) else { continue };
                    known.due.extend(known.of.get(&id).cloned());
                }
                Err(TryRecvError::Lagged(_)) => accounts.clear(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        accounts.get_mut(&account).map(|known| std::mem::take(&mut known.due))
    }

    /// All of an account that are not settled, by the queue entries they wait for: each is looked at once.
    pub(super) fn know(&self, account: AccountId, all: impl Iterator<Item = (SmolStr, Vec<QueueId>)>) {
        let mut known = Known::default();
        for (name, queued) in all {
            known.of.extend(queued.into_iter().map(|id| (id, name.clone())));
            known.due.insert(name);
        }
        let mut inner = self.inner();
        if inner.accounts.len() >= ACCOUNTS_MAX {
            inner.accounts.clear();
        }
        inner.accounts.insert(account, known);
    }

    /// One more, which is looked at once too.
    pub(super) fn add(&self, account: AccountId, name: &str, queued: Vec<QueueId>) {
        if let Some(known) = self.inner().accounts.get_mut(&account) {
            known.of.extend(queued.into_iter().map(|id| (id, name.into())));
            known.due.insert(name.into());
        }
    }

    /// Nothing will change any more.
    pub(super) fn settled(&self, account: AccountId, queued: &[QueueId]) {
        if let Some(known) = self.inner().accounts.get_mut(&account) {
            queued.iter().for_each(|id| drop(known.of.remove(id)));
        }
    }

    /// Held while what was taken is looked at.
    pub(super) fn looking(&self, account: AccountId) -> Looking<'_> {
        Looking { of: self, account, is_done: false }
    }
}

/// A look at what was taken. Dropped before it is done, also because who asked is gone, all are read again.
pub(super) struct Looking<'a> {
    of: &'a Unsettled,
    account: AccountId,
    is_done: bool,
}

impl Looking<'_> {
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.of.inner().accounts.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::broadcast::channel;

    const ANN: AccountId = AccountId(1);

    fn many(count: u64) -> impl Iterator<Item = (SmolStr, Vec<QueueId>)> {
        (0..count).map(|n| (SmolStr::new(format!("S{n}")), vec![QueueId(2 * n), QueueId(2 * n + 1)]))
    }

    #[test]
    fn what_is_looked_at_is_what_the_queue_told_of() {
        let (told, _) = channel(16);
        let unsettled = Unsettled::default();
        let due = || unsettled.due(ANN, || told.subscribe()).map(|names| names.len());
        assert_eq!(due(), None, "nothing is known of her");
        unsettled.know(ANN, many(5_000));
        assert_eq!((due(), due()), (Some(5_000), Some(0)), "all once, and then none");
        for (account, id) in [(ANN, 7), (ANN, 6), (ANN, 99_999), (AccountId(2), 8)] {
            told.send((account, QueueId(id))).ok();
        }
        assert_eq!(due(), Some(1), "the one that moved, and nobody else's");
        unsettled.add(ANN, "new", vec![QueueId(99_999)]);
        assert_eq!((due(), due()), (Some(1), Some(0)));
        told.send((ANN, QueueId(99_999))).ok();
        assert_eq!(due(), Some(1));
        unsettled.settled(ANN, &[QueueId(6), QueueId(7)]);
        told.send((ANN, QueueId(7))).ok();
        assert_eq!(due(), Some(0), "nothing will change any more");
    }

    #[test]
    fn who_missed_something_looks_at_all_of_them() {
        let (told, _) = channel(16);
        let unsettled = Unsettled::default();
        let due = || unsettled.due(ANN, || told.subscribe()).map(|names| names.len());
        due();
        unsettled.know(ANN, many(10));
        due();
        (0..100).for_each(|n| drop(told.send((AccountId(2), QueueId(n)))));
        assert_eq!(due(), None);
        unsettled.know(ANN, many(10));
        drop(unsettled.looking(ANN));
        assert_eq!(due(), None);
        for n in 0..=u32::try_from(ACCOUNTS_MAX).unwrap_or_default() {
            unsettled.know(AccountId(n), many(1));
        }
        assert_eq!(unsettled.inner().accounts.len(), 1, "bounded");
    }
}
