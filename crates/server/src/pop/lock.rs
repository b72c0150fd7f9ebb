//! One POP3 session a maildrop (RFC 1939 §4, `[IN-USE]` of RFC 2449 §8.1.2).
//!
//! Held in memory: a session lives in this process, and so does what keeps others out. IMAP needs no such lock, the
//! listing of a POP3 session does not change under it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
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
