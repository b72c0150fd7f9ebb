//! STATUS (RFC 9051 §6.3.11, §7.3.4; RFC 7162, 7889, 8438).

use super::mailbox_name::MailboxName;

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum StatusAttribute {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    Size,
    HighestModSeq,
    AppendLimit,
}

/// The STATUS command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Status {
    pub mailbox: MailboxName,
    /// Never empty.
    pub attributes: Vec<StatusAttribute>,
}

/// `* STATUS name (...)`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct StatusResponse {
    pub mailbox: MailboxName,
    /// In the order asked; `None` is NIL (APPENDLIMIT only).
    pub values: Vec<(StatusAttribute, Option<u64>)>,
}
