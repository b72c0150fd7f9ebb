//! SELECT and EXAMINE with their parameters (RFC 9051 §6.3.2, §6.3.3; RFC 7162 §3.1.8, §3.2.5).

use super::mailbox_name::MailboxName;
use super::sequence_set::SequenceSet;

/// SELECT and EXAMINE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// EXAMINE.
    pub examine: bool,
    /// Which.
    pub mailbox: MailboxName,
    /// `(CONDSTORE)`
    pub condstore: bool,
    /// `(QRESYNC (...))`
    pub qresync: Option<QResync>,
}

/// What the client knows of the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct QResync {
    pub uid_validity: u32,
    pub mod_seq: u64,
    pub known_uids: Option<SequenceSet>,
    /// Message numbers and their UIDs.
    pub known_sequence_match: Option<(SequenceSet, SequenceSet)>,
}
