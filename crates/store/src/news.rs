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

    /// Is it one of them? It is not any more then.
    pub fn take_one(&self, account: AccountId) -> bool {
        self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner).remove(&account)
    }

    /// Those there are; waits until there is one. They stay. Cancel-safe.
    pub async fn some(&self) -> BTreeSet<AccountId> {
        loop {
            let touched = self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if !touched.is_empty() {
                return touched;
            }
            self.inner.some.notified().await;
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
    /// Accounts into which a report came ([`message::facts::Facts::is_report`]), until somebody looks.
    pub fn reports(&self) -> News {
        self.inner.reports.clone()
    }

    /// Accounts with new acts, for one taker.
    pub fn news(&self) -> News {
        self.inner.news.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_looked_at_stays_until_it_is_taken() {
        let news = News::default();
        let (one, other) = (AccountId(1), AccountId(2));
        news.add(one);
        news.add(other);
        assert_eq!(news.some().await, BTreeSet::from([one, other]));
        assert!(news.take_one(one) && !news.take_one(one));
        assert_eq!(news.some().await, BTreeSet::from([other]));
        assert_eq!(news.take().await, BTreeSet::from([other]));
        let (found, ()) = tokio::join!(news.some(), async { news.add(one) });
        assert_eq!(found, BTreeSet::from([one]));
    }
}
