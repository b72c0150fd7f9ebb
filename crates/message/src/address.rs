//! `local@domain` (RFC 5321 §4.1.2, RFC 6531): the address of an envelope.

/// A mail address. `domain` is lower-case as far as ASCII goes, or an address literal in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Unquoted local part, as spelled.
    pub local: String,
    /// Domain (U-label or A-label as spelled) or `[literal]`.
    pub domain: String,
}
