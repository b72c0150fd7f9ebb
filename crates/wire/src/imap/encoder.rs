//! Where `encode` writes to: bytes, the name mode, and the places where a client must wait for `+`.

/// How an encoder may write literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literals {
    /// A server: `{n}` and never a wait.
    Server,
    /// A client whose server has neither LITERAL+ nor LITERAL-: every literal waits.
    Synchronising,
    /// LITERAL-: those up to 4096 octets do not wait (RFC 7888).
    Minus,
    /// LITERAL+: none waits.
    Plus,
}

/// Output of `encode`.
#[derive(Debug)]
pub struct Encoder {
    /// What is written so far.
    pub bytes: Vec<u8>,
    /// Offsets in `bytes` before which a client waits for a continuation request.
    pub waits: Vec<usize>,
    /// UTF-8 in quoted strings and mailbox names (after ENABLE UTF8=ACCEPT or IMAP4rev2).
    pub utf8: bool,
    /// How literals are written.
    pub literals: Literals,
}
