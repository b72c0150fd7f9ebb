//! Every bound of the store, by name.

use std::time::Duration;

/// A message stays in memory up to here while it arrives; past it, a file.
pub const SPOOL_MEMORY_BYTES_MAX: usize = 256 * 1024;
/// Each piece of a body has its own checksum.
pub const BODY_PIECE_BYTES: usize = 64 * 1024;
/// A segment file is closed when the next group would carry it past this.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Acts that share one sync, at most.
pub const GROUP_BATCHES_MAX: usize = 512;
/// Octets of bodies in one group, at most (one larger body makes a group of its own).
pub const GROUP_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long a group waits for the acts that recent groups lead it to expect. One writer alone never waits.
pub const GROUP_WAIT: Duration = Duration::from_millis(2);
/// Concurrent acts a group waits for, at most.
pub const GROUP_EXPECT_MAX: usize = 16;
/// The index's write-ahead log is folded back past this many octets.
pub const WAL_BYTES_FOLD: u64 = 16 * 1024 * 1024;
/// The index is written behind the segments: so many rows at once ...
pub const INDEX_ROWS_AT_ONCE: usize = 4096;
/// ... or what there is after this time.
pub const INDEX_BEHIND: Duration = Duration::from_millis(100);
/// Rows that wait for the index, at most: past them the committer writes them itself before it goes on.
pub const INDEX_ROWS_BEHIND_MAX: usize = 64 * 1024;
/// Connections that read the index.
pub const READERS: usize = 4;
/// Segment files held open for reading.
pub const SEGMENT_FILES_OPEN_MAX: usize = 128;
/// Body locations remembered.
pub const BODY_LOCATIONS_CACHED: usize = 32 * 1024;
/// Email records remembered.
pub const EMAILS_CACHED: usize = 64 * 1024;
/// Octets of a body read without leaving the thread, if the page cache has them.
pub const READ_AT_ONCE_BYTES: u64 = 256 * 1024;
/// Rows read ahead for somebody who reads in order ...
pub const READ_AHEAD: usize = 64;
/// ... which is when the next id wanted is less than this above the last.
pub const READ_AHEAD_GAP: u64 = 512;
/// Accounts remembered by address and by id.
pub const ACCOUNTS_CACHED: usize = 8 * 1024;
/// Accounts whose counters are held in memory, before idle ones are let go.
pub const SPACES_LOADED: usize = 4096;
/// Message rows of all cached mailboxes together, at about 16 octets.
pub const SNAPSHOT_ROWS_CACHED: usize = 2_000_000;
/// Changes of one account held in memory for sessions that follow it.
pub const TAIL_CHANGES: usize = 256;
/// Rows in those changes.
pub const TAIL_ROWS: usize = 4096;
/// Messages whose flags one act changes, before it is tried to write them as runs.
pub const FLAG_RUN_ROWS_MIN: usize = if cfg!(test) { 2 } else { 128 };
/// Acts the change log of an account keeps at least; older ones are trimmed.
pub const CHANGE_LOG_ACTS: u64 = 100_000;
/// Retries of an act whose ground moved under it.
pub const CONFLICT_RETRIES: usize = 8;
/// Ids reserved ahead, so that a crash never gives one twice.
pub const IDS_RESERVED: u64 = 1 << 16;
/// Idempotency keys kept (newest first).
pub const IDEMPOTENCY_KEYS: u64 = 100_000;
/// Days a trace event is kept.
pub const TRACE_DAYS: i64 = 14;
/// Trace events kept, at most.
pub const TRACE_EVENTS: u64 = 1_000_000;
/// Trace events waiting to be written outside an act; more are dropped.
pub const TRACE_WAITING: usize = 10_000;
/// Octets of a mailbox name.
pub const MAILBOX_NAME_BYTES_MAX: usize = 1000;
/// Levels of a mailbox name.
pub const MAILBOX_LEVELS_MAX: usize = 32;
/// Mailboxes of an account.
pub const MAILBOXES_MAX: usize = 10_000;
/// Messages of an account: more than any program can show, fewer than 32 bits count.
pub const MESSAGES_MAX: u64 = 1_000_000_000;
/// Octets of one annotation.
pub const ANNOTATION_BYTES_MAX: usize = 32 * 1024;
/// Annotations of one mailbox, or of the account itself.
pub const ANNOTATIONS_MAX: usize = 100;
/// Octets of all annotations of an account, names and all.
pub const ANNOTATIONS_BYTES_MAX: usize = 1024 * 1024;
/// Octets of the name of a mark, and of its value.
pub const MARK_BYTES_MAX: usize = 64 * 1024;
/// Distinct keywords of one message.
pub const KEYWORDS_MAX: usize = 64;
/// Octets of a keyword.
pub const KEYWORD_BYTES_MAX: usize = 255;
/// Names on the subscription list that are no mailbox.
pub const SUBSCRIPTIONS_ELSEWHERE_MAX: usize = 10_000;
/// Rows one act of care touches before it lets others in.
pub const CARE_ROWS: usize = 500;
/// A closed segment is rewritten when less than this share (in percent) is alive.
pub const SEGMENT_ALIVE_PERCENT_MIN: u64 = 50;
