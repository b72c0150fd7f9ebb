//! `\Recent` (RFC 3501 §2.3.2), which IMAP4rev2 gave up: kept in memory only, for IMAP4rev1 sessions.
//!
//! Invariant: of all sessions since the process began, at most one was given a message as recent.
//! Must not know: the wire, sessions.

use std::collections::HashMap;
use std::sync::Mutex;
use store::{AccountId, MailboxId};

/// Mailboxes that are remembered: ids are never given again, so whoever makes, opens and deletes mailboxes all day would fill memory.
const MAILBOXES_MAX: usize = 500_000;

/// The highest UID some session has been told of, for each mailbox that was opened since the start.
#[derive(Debug, Default)]
pub(crate) struct RecentLedger {
    told: Mutex<HashMap<(AccountId, MailboxId), u32>>,
}

impl RecentLedger {
    /// Claims all UIDs up to `last` nobody claimed yet; answers the first and last claimed.
    pub(crate) fn claim(&self, account: AccountId, mailbox: MailboxId, last: u32) -> Option<(u32, u32)> {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(highest) = told.get_mut(&(account, mailbox)) {
            if last <= *highest {
                return None;
            }
            let first = highest.saturating_add(1);
            *highest = last;
            return Some((first, last));
        }
        // One that was forgotten may have been told; nothing in it is recent.
        if told.len() >= MAILBOXES_MAX || last == 0 {
            return None;
        }
        told.insert((account, mailbox), last);
        Some((1, last))
    }

    /// UIDs above this one are recent to whoever comes next.
    pub(crate) fn highest(&self, account: AccountId, mailbox: MailboxId) -> u32 {
        let told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let unknown = if told.len() >= MAILBOXES_MAX { u32::MAX } else { 0 };
        told.get(&(account, mailbox)).copied().unwrap_or(unknown)
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

    #[test]
    fn mailboxes_without_number_take_no_memory_without_end() {
        let ledger = RecentLedger::default();
        let account = AccountId(1);
        let count = || ledger.told.lock().map_or(0, |told| told.len());
        assert_eq!((ledger.claim(account, MailboxId(0), 0), count()), (None, 0), "an empty one is nothing to remember");
        if let Ok(mut told) = ledger.told.lock() {
            told.extend((1..500_000).map(|mailbox| ((account, MailboxId(mailbox)), 1)));
        }
        assert_eq!(ledger.claim(account, MailboxId(500_000), 1), Some((1, 1)));
        let past = MailboxId(500_001);
        assert_eq!((ledger.highest(account, past), ledger.claim(account, past, 1), count()), (u32::MAX, None, 500_000));
        assert_eq!(ledger.claim(account, MailboxId(7), 2), Some((2, 2)), "who is known goes on");
    }
}
