//! What the IMAP face keeps in memory only, shared by all sessions of one server: `\Recent` and session counts.
//!
//! Invariant: losing all of it at a restart loses no mail and no state a client may rely on.

use super::recent::RecentLedger;
use super::switches::CapabilityOff;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use store::AccountId;

/// Shared by all sessions of one server.
#[derive(Debug)]
pub struct Memory {
    pub(crate) recent: RecentLedger,
    /// What is not announced.
    pub(crate) switches: Vec<CapabilityOff>,
    sessions: Arc<Mutex<HashMap<AccountId, u32>>>,
}

/// One signed-in session; counted until dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    account: AccountId,
    sessions: Arc<Mutex<HashMap<AccountId, u32>>>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new(Vec::new())
    }
}

impl Memory {
    /// At the start of a server.
    pub fn new(switches: Vec<CapabilityOff>) -> Memory {
        Memory { switches, recent: RecentLedger::default(), sessions: Arc::default() }
    }

    /// One more session of this account, unless there are `sessions_max`.
    pub(crate) fn seat(&self, account: AccountId, sessions_max: u32) -> Option<Seat> {
        let mut sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = sessions.entry(account).or_insert(0);
        if *count >= sessions_max {
            return None;
        }
        *count += 1;
        Some(Seat { account, sessions: Arc::clone(&self.sessions) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(count) = sessions.get_mut(&self.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                sessions.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn seats_are_given_back() {
        let memory = Memory::default();
        let one = memory.seat(AccountId(1), 2).unwrap();
        let two = memory.seat(AccountId(1), 2);
        assert!(two.is_some() && memory.seat(AccountId(1), 2).is_none());
        assert!(memory.seat(AccountId(2), 2).is_some());
        drop(one);
        assert!(memory.seat(AccountId(1), 2).is_some());
    }
}
