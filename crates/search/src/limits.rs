//! Every bound of searching, by name.

/// The first look into a message's header: most fit, octets.
pub(crate) const HEADER_PIECE_BYTES: u64 = 8 * 1024;
/// Messages up to this are read whole without asking, octets.
pub(crate) const SMALL_MESSAGE_BYTES: u64 = 256 * 1024;
/// Larger ones held at a time, all searches together.
pub(crate) const LARGE_MESSAGES_MAX: usize = 4;
/// Messages a search hands to its readers at a time.
pub(crate) const BLOCK: usize = 1024;
/// Messages one search reads at the same time.
pub(crate) const TASKS: usize = 2;
/// Messages whose facts are asked for at a time.
pub(crate) const FACTS_CHUNK: usize = 500;
/// What sorting and threading keep in memory for all mailboxes together, octets.
pub(crate) const SORT_KEYS_BYTES_MAX: usize = 64 * 1024 * 1024;
