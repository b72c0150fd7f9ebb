//! `\Recent` (RFC 3501 §2.3.2), which IMAP4rev2 gave up: kept in memory only, for IMAP4rev1 sessions.
//!
//! Invariant: of all sessions since the process began, at most one was given a message as recent.
//! Must not know: the wire, sessions.

use std::collections::HashMap;
use std::sync::Mutex;
use store::{AccountId, MailboxId};

/// The highest UID some session has been told of, for each mailbox that was opened since the start.
#[derive(Debug, Default)]
pub(crate) struct RecentLedger {
    told: Mutex<HashMap<(AccountId, MailboxId), u32>>,
}

impl RecentLedger {
    /// Claims all UIDs up to `last` nobody claimed yet; answers the first and last claimed.
    pub(crate) fn claim(&self, account: AccountId, mailbox: MailboxId, last: u32) -> Option<(u32, u32)> {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let highest = told.entry((account, mailbox)).or_insert(0);
        if last <= *highest {
            return None;
        }
        let first = highest.saturating_add(1);
        *highest = last;
        Some((first, last))
    }

    /// UIDs above this one are recent to whoever comes next.
    pub(crate) fn highest(&self, account: AccountId, mailbox: MailboxId) -> u32 {
        let told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        told.get(&(account, mailbox)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_recent_to_one_session_only() {
        let ledger = RecentLedger::default();
        let (account, mailbox) = (AccountId(1), MailboxId(1));
        assert_eq!(ledger.claim(account, mailbox, 3), Some((1, 3)));
        assert_eq!(ledger.claim(account, mailbox, 3), None);
        assert_eq!(ledger.claim(account, mailbox, 5), Some((4, 5)));
        assert_eq!(ledger.claim(account, MailboxId(2), 1), Some((1, 1)));
        assert_eq!(ledger.highest(account, mailbox), 5);
    }
}
