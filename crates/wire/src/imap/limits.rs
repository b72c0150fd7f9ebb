//! Every limit of the IMAP grammar and sessions, by name. Each has a test at it and one past it.

/// A command line (without its literals) before sign-in, octets.
pub const LINE_BYTES_MAX_BEFORE_LOGIN: usize = 8 * 1024;
/// A command line (without its literals) after sign-in, octets (RFC 2683 §3.2.1.5 asks for 8,000 at least).
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// All literals of one command together, APPEND's message excepted, octets.
pub const LITERAL_BYTES_MAX: usize = 64 * 1024;
/// The same before sign-in.
pub const LITERAL_BYTES_MAX_BEFORE_LOGIN: usize = 4 * 1024;
/// LITERAL- (RFC 7888 §5): largest non-synchronising literal before sign-in, octets.
pub const LITERAL_MINUS_BYTES_MAX: u64 = 4096;
/// A refused non-synchronising literal up to this size is read and thrown away; past it the session closes.
pub const DRAIN_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The same before sign-in.
pub const DRAIN_BYTES_MAX_BEFORE_LOGIN: u64 = 64 * 1024;
/// Parentheses within parentheses (SEARCH, BODYSTRUCTURE).
pub const PAREN_DEPTH_MAX: usize = 50;
/// Elements of one sequence set.
pub const SEQUENCE_SET_ELEMENTS_MAX: usize = 10_000;
/// Search keys of one SEARCH, all depths together.
pub const SEARCH_TERMS_MAX: usize = 1_000;
/// Items of any parenthesised list (flags, fetch items, header names, patterns).
pub const LIST_ITEMS_MAX: usize = 1_000;
/// Fields of ID (RFC 2971 §3.3).
pub const ID_FIELDS_MAX: usize = 30;
/// The name of a METADATA entry, octets.
pub const METADATA_ENTRY_BYTES_MAX: usize = 1024;
/// An IMAP URL, octets.
pub const URL_BYTES_MAX: usize = 4096;
/// UIDBATCHES: batches may not be asked smaller than this (RFC 10022 §3.1.1).
pub const UID_BATCH_MESSAGES_MIN: u32 = 500;
/// A tag, octets.
pub const TAG_BYTES_MAX: usize = 64;
/// A mailbox name, decoded octets.
pub const MAILBOX_NAME_BYTES_MAX: usize = 1024;
/// BADs in a row after which the session says BYE.
pub const BAD_MAX: u32 = 20;
/// The same before sign-in.
pub const BAD_MAX_BEFORE_LOGIN: u32 = 5;
/// Autologout after sign-in, seconds: above RFC 9051 §5.4's 30 minutes and not round, so that both sides do not close at once.
pub const IDLE_SECS_MAX: u64 = 31 * 60 + 7;
/// Messages of one APPEND (RFC 3502): those that are small stay in memory until the last is there.
pub const APPEND_MESSAGES_MAX: usize = 200;
/// Largest piece of an APPEND handed out at once, octets.
pub const APPEND_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// What one connection may have waiting in its input buffer beyond a command, octets.
pub const INPUT_BYTES_MAX: usize = 256 * 1024;
/// The same before sign-in (an AUTHENTICATE line may have 12,288).
pub const INPUT_BYTES_MAX_BEFORE_LOGIN: usize = 32 * 1024;
/// Failed sign-ins of one connection, after which it closes.
pub const LOGIN_FAILURES_MAX: u32 = 5;
/// Buffers with more capacity than this are given back when empty, octets.
pub const BUFFER_BYTES_KEPT: usize = 512;
/// Client: a line of the server (without literals), octets.
pub const RESPONSE_LINE_BYTES_MAX: usize = 1024 * 1024;
/// Client: literals up to this size are part of the response; larger ones come in pieces.
pub const RESPONSE_LITERAL_INLINE_BYTES_MAX: u64 = 64 * 1024;
/// Client: all inline literals of one response together, octets.
pub const RESPONSE_LITERALS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Client: seconds without a word from the server (outside IDLE), and for the rest of a line that has begun.
pub const CLIENT_SECS_MAX: u64 = 5 * 60;
/// Client: seconds until a command's end, whatever the server says meanwhile (`* OK Still here`); octets of answers buy more.
pub const CLIENT_COMMAND_SECS_MAX: u64 = 2 * 60 * 60;
/// Client: lines within one command that mean nothing; past them the server does not speak IMAP.
pub const STRAY_LINES_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides closing at the same moment is a race nobody wins (lessons).
    #[test]
    fn idle_ends_at_no_round_number() {
        assert!(IDLE_SECS_MAX > 30 * 60 && !IDLE_SECS_MAX.is_multiple_of(60));
    }
}
