//! Mailbox names: UTF-8 inside; on the wire modified UTF-7 (RFC 3501 §5.1.3), or UTF-8 after ENABLE (RFC 9051 §5.1, RFC 9755).

use smol_str::SmolStr;

/// A mailbox name, decoded. `INBOX` in any case is `INBOX`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(pub(crate) SmolStr);

impl MailboxName {
    /// From a decoded name.
    pub fn new(name: &str) -> MailboxName {
        if name.eq_ignore_ascii_case("INBOX") { MailboxName(SmolStr::new_static("INBOX")) } else { MailboxName(SmolStr::new(name)) }
    }
    /// Decoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
