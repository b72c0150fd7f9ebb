//! One POP3 session a maildrop (RFC 1939 §4, `[IN-USE]` of RFC 2449 §8.1.2).
//!
//! Held in memory: a session lives in this process, and so does what keeps others out. IMAP needs no such lock, the
//! listing of a POP3 session does not change under it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::AccountId;

/// How long a new session waits for one that is just ending: longer than a connection that we closed lingers for the
/// client's side of it, so that whoever comes back at once is let in.
const WAIT_MAX: Duration = Duration::from_millis(2_500);
/// How often it looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Which maildrops are open.
#[derive(Debug, Default)]
pub struct Maildrops {
    open: Arc<Mutex<HashSet<AccountId>>>,
    /// The last sign-in of those whose LOGIN-DELAY is not over.
    recent: Mutex<HashMap<AccountId, Instant>>,
}

/// The maildrop is this session's until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    open: Arc<Mutex<HashSet<AccountId>>>,
    account: AccountId,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
    }
}

impl Maildrops {
    fn try_lock(&self, account: AccountId) -> Option<Lock> {
        let fresh = self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(account);
        fresh.then(|| Lock { open: Arc::clone(&self.open), account })
    }

    /// LOGIN-DELAY (RFC 2449 §6.5): has `delay` passed since the last sign-in? Then this one counts from now.
    pub(super) fn may_come(&self, account: AccountId, delay: Duration, now: Instant) -> bool {
        if delay.is_zero() {
            return true;
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, at| now.saturating_duration_since(*at) < delay);
        if recent.contains_key(&account) {
            return false;
        }
        recent.insert(account, now);
        true
    }

    /// `None`: another session keeps it.
    pub(super) async fn lock(&self, account: AccountId) -> Option<Lock> {
        let until = tokio::time::Instant::now() + WAIT_MAX;
        loop {
            let lock = self.try_lock(account);
            if lock.is_some() || tokio::time::Instant::now() >= until {
                return lock;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_delay_counts_from_the_last_sign_in_that_was_let_in() {
        let (maildrops, begun) = (Maildrops::default(), Instant::now());
        let at =
            |account, secs| maildrops.may_come(AccountId(account), Duration::from_secs(60), begun + Duration::from_secs(secs));
        assert_eq!([at(1, 0), at(1, 59), at(2, 59), at(1, 60), at(1, 61)], [true, false, true, true, false]);
        assert!(maildrops.may_come(AccountId(1), Duration::ZERO, begun));
    }
}
