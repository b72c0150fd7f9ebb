//! A place in the bytes of one command or response, and why it could not be read further.

/// What is wrong with the peer's words; `what` goes into the text of a BAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError {
    /// Offset in the input.
    pub at: usize,
    /// What was expected, for people.
    pub what: &'static str,
}

/// Reads one whole command or response whose literals stand inline after their `{n}CRLF`.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    pub(crate) input: &'a [u8],
    pub(crate) at: usize,
    pub(crate) utf8: bool,
}
