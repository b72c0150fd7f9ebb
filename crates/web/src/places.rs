//! Room for so many things at once, for each account apart.
//!
//! Invariant: only accounts that have something at work are remembered. Must not know: what it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::AccountId;
use tokio::sync::Semaphore;

/// By account.
#[derive(Default)]
pub(crate) struct Places(Mutex<HashMap<AccountId, Arc<Semaphore>>>);

impl Places {
    /// The account's, `max` in all: who waits holds it, and who has a place does.
    pub(crate) fn of(&self, account: AccountId, max: usize) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, places| Arc::strong_count(places) > 1);
        Arc::clone(all.entry(account).or_insert_with(|| Arc::new(Semaphore::new(max))))
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(crate) fn accounts(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
