//! The collections of records that this crate keeps for an account, by number.
//!
//! Invariant: a number is never given to something else. What `mta` reads at delivery is named there.

/// Browser sessions.
pub(crate) const SESSIONS: u8 = 1;
/// Identities (RFC 8621 §6).
pub(crate) const IDENTITIES: u8 = 2;
/// EmailSubmissions (RFC 8621 §7).
pub(crate) const SUBMISSIONS: u8 = 3;
/// People: the address book.
pub(crate) const PEOPLE: u8 = 7;
/// Snoozed emails.
pub(crate) const SNOOZES: u8 = 8;
/// The second factor.
pub(crate) const SECOND_FACTOR: u8 = 9;
/// Old accounts elsewhere.
pub(crate) const LINKS: u8 = 10;
/// Where mailboxes stand among others (RFC 8621 §2 `sortOrder`), by their number, where somebody said so.
pub(crate) const MAILBOX_ORDERS: u8 = 14;
/// How far reports of delivery and receipts were looked for.
pub(crate) const REPORTS: u8 = 15;
/// Push subscriptions (RFC 8620 §7.2).
pub(crate) const PUSH_SUBSCRIPTIONS: u8 = 11;
