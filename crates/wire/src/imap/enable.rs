//! ENABLE (RFC 9051 §6.3.1, RFC 5161).

use smol_str::SmolStr;

/// What can be switched on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Extension {
    Imap4rev2,
    Utf8Accept,
    CondStore,
    QResync,
    /// Not known here: passed over without an error.
    Other(SmolStr),
}
