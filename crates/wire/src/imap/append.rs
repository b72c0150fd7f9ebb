//! APPEND (RFC 9051 §6.3.12, RFC 7888, RFC 3516 §4.4 literal8, RFC 9755 §4 UTF8).

use super::date::DateTime;
use super::flag::Flag;
use super::mailbox_name::MailboxName;

/// APPEND up to its literal; the octets come after it, in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: MailboxName,
    /// The message that follows.
    pub message: AppendMessage,
}

/// One message of an APPEND, before its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMessage {
    /// Never `Recent`.
    pub flags: Vec<Flag>,
    /// INTERNALDATE.
    pub date: Option<DateTime>,
    /// Octets of the literal.
    pub size: u64,
    /// `~{n}`: NUL is allowed.
    pub binary: bool,
    /// `UTF8 (~{n})` (RFC 9755 §4).
    pub utf8: bool,
}
