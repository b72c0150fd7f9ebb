//! Which accounts were touched lately: for whoever keeps something derived from all of them.
//!
//! One set for the whole store: an act adds its account, who derives takes all of it. Invariant: what was published before
//! [`News::take`] answers is in its answer, or in an earlier one. Must not know: what is derived.

use crate::Store;
use crate::types::AccountId;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The accounts touched since they were taken last.
#[derive(Debug, Clone, Default)]
pub struct News {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    touched: Mutex<BTreeSet<AccountId>>,
    some: Notify,
}

impl News {
    pub(crate) fn add(&self, account: AccountId) {
        let is_new = self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(account);
        if is_new {
            self.inner.some.notify_one();
        }
    }

    /// Those touched since the last call; waits until there is one. Cancel-safe.
    pub async fn take(&self) -> BTreeSet<AccountId> {
        loop {
            let touched = std::mem::take(&mut *self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner));
            if !touched.is_empty() {
                return touched;
            }
            self.inner.some.notified().await;
        }
    }
}

impl Store {
    /// Accounts with new acts, for one taker.
    pub fn news(&self) -> News {
        self.inner.news.clone()
    }
}
