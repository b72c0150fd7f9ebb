//! What the IMAP face keeps in memory only, shared by all sessions of one server: `\Recent` and session counts.
//!
//! Invariant: losing all of it at a restart loses no mail and no state a client may rely on.

use super::recent::RecentLedger;
use super::switches::CapabilityOff;
use smol_str::{SmolStr, format_smolstr};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::AccountId;

/// What may be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is not announced.
    pub switches: Vec<CapabilityOff>,
    /// Messages one command works on at most (RFC 9738).
    pub messages_max: Option<NonZeroU32>,
    /// Messages one COPY or APPEND saves at most (RFC 9738 §3).
    pub saved_max: Option<NonZeroU32>,
    /// Accounts that may set anybody's quota (RFC 9208); normalised addresses.
    pub quota_administrators: Vec<String>,
    /// Where the same mail is by JMAP (RFC 9698).
    pub jmap_url: Option<String>,
    /// A long search says that it goes on this often (RFC 9585).
    pub progress_every: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            switches: Vec::new(),
            messages_max: None,
            saved_max: None,
            quota_administrators: Vec::new(),
            jmap_url: None,
            progress_every: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// May this account set quotas?
    pub(crate) fn sets_quotas(&self, address: &str) -> bool {
        self.quota_administrators.iter().any(|administrator| administrator == address)
    }

    /// What is announced to an account because of it.
    pub(crate) fn capabilities(&self, address: &str) -> impl Iterator<Item = SmolStr> {
        let quotas = self.sets_quotas(address).then(|| SmolStr::new_static("QUOTASET"));
        let jmap = self.jmap_url.as_ref().map(|_| SmolStr::new_static("JMAPACCESS"));
        let messages = self.messages_max.map(|max| format_smolstr!("MESSAGELIMIT={max}"));
        let saved = self.saved_max.map(|max| format_smolstr!("SAVELIMIT={max}"));
        [quotas, jmap, messages, saved].into_iter().flatten()
    }
}

/// Shared by all sessions of one server.
#[derive(Debug)]
pub struct Memory {
    pub(crate) recent: RecentLedger,
    pub(crate) settings: Settings,
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
        Memory::new(Settings::default())
    }
}

impl Memory {
    /// At the start of a server.
    pub fn new(settings: Settings) -> Memory {
        Memory { settings, recent: RecentLedger::default(), sessions: Arc::default() }
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
