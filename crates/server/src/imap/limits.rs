//! The IMAP face's limits, by name.

/// Octets of answers that may wait before the connection is flushed.
pub(crate) const PENDING_BYTES_MAX: usize = 128 * 1024;
/// Octets of a body read from the store at a time.
pub(crate) const PIECE_BYTES: u64 = 128 * 1024;
/// Searches one session has watched at a time.
pub(crate) const WATCHED_MAX: usize = 32;
/// Messages whose facts are asked for at a time.
pub(crate) const FACTS_CHUNK: usize = 500;
/// Messages whose rendered facts are asked for at a time.
pub(crate) const RENDERED_CHUNK: usize = 500;
/// So many times that are asked for before the first is sent.
pub(crate) const RENDERED_AHEAD: usize = 3;
/// Messages that get \Seen in one commit, just before their bodies are sent.
pub(crate) const SEEN_CHUNK: usize = 32;
/// Mailboxes one NOTIFY names.
pub(crate) const NOTIFY_NAMES_MAX: usize = 1_000;
/// Answers nobody asked for that one look at the account may give, before it is NOTIFICATIONOVERFLOW.
pub(crate) const NOTIFY_ROUND_MAX: usize = 500;
/// Sessions of one account at a time.
pub(crate) const SESSIONS_PER_ACCOUNT_MAX: u32 = 500;
/// Octets of one keyword.
pub(crate) const KEYWORD_BYTES_MAX: usize = 255;
/// Keywords of one STORE or APPEND.
pub(crate) const KEYWORDS_MAX: usize = 64;
/// Pattern octets times name octets one LIST may compare: about a second's work. 10,000 usual names times 800 octets of patterns.
pub(crate) const LIST_COMPARISONS_MAX: u64 = 250_000_000;
/// Ranges of one VANISHED line.
pub(crate) const VANISHED_RANGES: usize = 2_000;
/// Pairs of message number and UID that a SELECT (QRESYNC) is compared with.
pub(crate) const SEQUENCE_MATCHES_MAX: usize = 10_000;
