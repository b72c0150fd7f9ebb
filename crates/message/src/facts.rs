//! What is computed once about a message, at delivery, and kept beside it.
//!
//! Versioned: a value of an older version is recomputed from the bytes.

/// Grows with every change of what [`Facts::compute`] answers.
pub const FACTS_VERSION: u8 = 1;

/// Everything readers ask about a message without opening its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// IMAP ENVELOPE (RFC 9051 §7.5.2), rendered, with its parentheses; 8-bit strings as literals, so valid in every mode.
    pub envelope: Vec<u8>,
    /// IMAP BODYSTRUCTURE, rendered, extension data always.
    pub body_structure: Vec<u8>,
    /// IMAP BODY, rendered (no extension data).
    pub body: Vec<u8>,
    /// Message-ID with its angle brackets.
    pub message_id: Option<String>,
    /// Subject, decoded, for people.
    pub subject: String,
    /// First From, decoded, for people: `Ann <ann@here.test>`.
    pub from: String,
}

#[allow(clippy::todo, unused_variables)]
impl Facts {
    /// Computes all facts of `message` (any bytes; linear in their number).
    pub fn compute(message: &[u8]) -> Facts { todo!() }
    /// For keeping; without version byte or checksum, those are the store's.
    pub fn encode(&self) -> Vec<u8> { todo!() }
    /// `None` when the bytes are not what `encode` of this version gives.
    pub fn decode(bytes: &[u8]) -> Option<Facts> { todo!() }
}
