//! Names of mailboxes, messages and conversations that outlive RENAME, COPY and MOVE: IMAP's OBJECTID (RFC 8474) and JMAP's ids
//! (RFC 8621) are the same ones.
//!
//! Nothing is kept for them: they are made of what never changes. Invariant: messages with one email id have the same octets and
//! the same INTERNALDATE; a message's thread id follows from its octets, so it never changes. Must not know: the wire.

use crate::types::{AccountId, BodyId, MailboxId, UnixSecs};
use message::facts::Facts;
use smol_str::{SmolStr, format_smolstr};

/// MAILBOXID
pub fn of_mailbox(account: AccountId, mailbox: MailboxId) -> SmolStr {
    format_smolstr!("F{:x}-{:x}", account.0, mailbox.0)
}

/// The mailbox a MAILBOXID of this account names.
pub fn mailbox(account: AccountId, id: &str) -> Option<MailboxId> {
    let (_, mailbox) = id.strip_prefix('F')?.split_once('-')?;
    let found = MailboxId(u32::from_str_radix(mailbox, 16).ok()?);
    (of_mailbox(account, found) == id).then_some(found)
}

/// EMAILID: two APPENDs of the same octets on different days are two messages.
pub fn of_email(body: BodyId, internal_date_secs: UnixSecs) -> SmolStr {
    format_smolstr!("M{:x}-{:x}", body.0, internal_date_secs)
}

/// What an EMAILID is made of.
pub fn email(id: &str) -> Option<(BodyId, UnixSecs)> {
    let (body, date) = id.strip_prefix('M')?.split_once('-')?;
    let body = BodyId(u64::from_str_radix(body, 16).ok()?);
    let date = u64::from_str_radix(date, 16).ok()?.cast_signed();
    (of_email(body, date) == id).then_some((body, date))
}

/// THREADID: the message its conversation began with, as far as it says; one that says nothing is its own.
pub fn of_thread(root: Option<u64>, body: BodyId) -> SmolStr {
    match root {
        Some(root) => format_smolstr!("T{root:016x}"),
        None => format_smolstr!("U{:x}", body.0),
    }
}

/// The key of the message that the conversation began with.
pub fn thread_root(facts: &Facts) -> Option<u64> {
    facts.reference_keys.first().copied().or(facts.message_key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_both_ways_and_only_as_they_are_written() {
        let account = AccountId(0x1f);
        let id = of_mailbox(account, MailboxId(0xab));
        assert_eq!((id.as_str(), mailbox(account, &id)), ("F1f-ab", Some(MailboxId(0xab))));
        assert_eq!([mailbox(AccountId(1), &id), mailbox(account, "F1f-0ab"), mailbox(account, "F1f-AB")], [None; 3]);
        for date in [0, 1_700_000_000, -1] {
            let id = of_email(BodyId(77), date);
            assert_eq!(email(&id), Some((BodyId(77), date)));
        }
        assert_eq!([email("M4D-0"), email("M4d-00"), email("M4d"), email("x"), email("M+4d-0")], [None; 5]);
    }
}
