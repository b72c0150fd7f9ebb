//! Wishes as they were last read, so that a delivery reads none.
//!
//! Invariant: what was read before a change is never kept behind it. Must not know: what wishes mean.

use super::{RULES, SINGLETON, VACATION, Wishes};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{AccountId, Store, StoreError};

/// Accounts remembered.
const ACCOUNTS_MAX: usize = 16 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Shelf {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<AccountId, Arc<Wishes>>,
    /// Grows with every change.
    generation: u64,
}

impl Shelf {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An account's.
    ///
    /// # Errors
    /// The store's failures; what is damaged counts as nothing.
    pub async fn of(&self, store: &Store, account: AccountId) -> Result<Arc<Wishes>, StoreError> {
        let generation = {
            let inner = self.inner();
            if let Some(known) = inner.known.get(&account) {
                return Ok(Arc::clone(known));
            }
            inner.generation
        };
        let rules = readable(store.record(account, RULES, SINGLETON).await)?;
        let vacation = readable(store.record(account, VACATION, SINGLETON).await)?;
        let wishes = Arc::new(Wishes::read(rules.as_deref(), vacation.as_deref()));
        let mut inner = self.inner();
        if inner.generation == generation {
            if inner.known.len() >= ACCOUNTS_MAX {
                inner.known.clear();
            }
            inner.known.insert(account, Arc::clone(&wishes));
        }
        Ok(wishes)
    }

    /// They were changed.
    pub fn forget(&self, account: AccountId) {
        let mut inner = self.inner();
        inner.generation += 1;
        inner.known.remove(&account);
    }
}

fn readable(found: Result<Option<Vec<u8>>, StoreError>) -> Result<Option<Vec<u8>>, StoreError> {
    match found {
        Err(StoreError::Damaged(_)) => Ok(None),
        other => other,
    }
}
