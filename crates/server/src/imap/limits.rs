//! The IMAP face's limits, by name.

/// Octets of answers that may wait before the connection is flushed.
pub(crate) const PENDING_BYTES_MAX: usize = 128 * 1024;
/// Octets of a body read from the store at a time.
pub(crate) const PIECE_BYTES: u64 = 128 * 1024;
/// Messages whose facts are asked for at a time.
pub(crate) const FACTS_CHUNK: usize = 500;
/// Messages that get \Seen in one commit, just before their bodies are sent.
pub(crate) const SEEN_CHUNK: usize = 32;
/// Sessions of one account at a time.
pub(crate) const SESSIONS_PER_ACCOUNT_MAX: u32 = 500;
/// Octets of one keyword.
pub(crate) const KEYWORD_BYTES_MAX: usize = 255;
/// Keywords of one STORE or APPEND.
pub(crate) const KEYWORDS_MAX: usize = 64;
/// Largest message whose facts are computed on the async threads, octets.
pub(crate) const FACTS_INLINE_BYTES_MAX: u64 = 256 * 1024;
/// Largest message a BINARY fetch or a BODY/TEXT search holds in memory at a time is `message_bytes_max`; so many of
/// them at once in one server.
pub(crate) const WHOLE_MESSAGES_MAX: usize = 4;
/// Messages tested by SEARCH between two looks at the clock of the scheduler.
pub(crate) const SEARCH_YIELD_ROWS: usize = 4096;
