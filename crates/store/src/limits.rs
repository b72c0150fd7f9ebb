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
/// Whose writes with their sync take less than this commits each act where it is submitted: waking a thread costs as much.
pub const SYNC_CHEAP: Duration = Duration::from_micros(60);
/// The same while one writes at a time: nobody's act could share the sync, and two wakings are saved.
pub const SYNC_SOON: Duration = Duration::from_micros(400);
/// Zeros written ahead of the stream's end, so that most syncs write over what the file has already.
pub const ROOM_BYTES: usize = 1024 * 1024;
/// A larger group makes no room: much comes in at once, and every octet would be written twice.
pub const ROOM_GROUP_BYTES_MAX: u64 = 256 * 1024;
/// Octets of bodies in an act committed where it is submitted, at most.
pub const AT_ONCE_BYTES_MAX: u64 = 64 * 1024;
/// The index's write-ahead log is folded back past this many octets.
pub const WAL_BYTES_FOLD: u64 = 4 * 1024 * 1024;
/// When nothing was written for so long it is folded back and cut off ...
pub const WAL_QUIET: Duration = Duration::from_secs(1);
/// ... if it is longer than this: a sync or two for a few rows would be dear.
pub const WAL_BYTES_QUIET: u64 = 256 * 1024;
/// The index is written behind the segments: so many rows at once ...
pub const INDEX_ROWS_AT_ONCE: usize = 4096;
/// ... or what there is after this time.
pub const INDEX_BEHIND: Duration = Duration::from_millis(100);
/// The thread that writes it lets others have its core after so many rows: a command answered meanwhile would wait for
/// milliseconds, until the system's next tick ...
pub const INDEX_ROWS_A_PIECE: usize = 32;
/// ... unless it is behind by so many.
pub const INDEX_ROWS_GENTLE_MAX: usize = 2 * INDEX_ROWS_AT_ONCE;
/// Rows that wait for the index, at most: past them the committer writes them itself before it goes on.
pub const INDEX_ROWS_BEHIND_MAX: usize = 64 * 1024;
/// Connections that read the index.
pub const READERS: usize = 4;
/// Segment files held open for reading.
pub const SEGMENT_FILES_OPEN_MAX: usize = 128;
/// Body locations remembered.
pub const BODY_LOCATIONS_CACHED: usize = 32 * 1024;
/// Octets of envelopes and body structures remembered, for all accounts together: one part in so many of the memory ...
pub const RENDERED_MEMORY_PARTS: u64 = 64;
/// ... but at least this ...
pub const RENDERED_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// ... and at most this: some hundred thousand messages.
pub const RENDERED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What one of them takes, about; so many email records are remembered as there may be of these.
pub const RENDERED_BYTES_USUAL: u64 = 512;
/// Messages whose ids are neighbours, remembered together.
pub const RENDERED_TOGETHER: usize = 16;
/// What remembering some together costs besides their octets.
pub const RENDERED_OVERHEAD_BYTES: usize = 176;
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
/// Message rows of all cached mailboxes together, at about 16 octets. So few in the store's own tests that two mailboxes drive
/// each other out all the time.
pub const SNAPSHOT_ROWS_CACHED: usize = if cfg!(test) { 24 } else { 2_000_000 };
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
/// Hard bounces in a row after which an address is suppressed.
pub const SUPPRESS_BOUNCES: u32 = 3;
/// Days after which a hard bounce is forgotten, and with it the suppression.
pub const SUPPRESS_DAYS: i64 = 90;
/// Days a trace event is kept, unless told otherwise.
pub const TRACE_DAYS: u32 = 14;
/// Trace events kept, at most, unless told otherwise (about 400 octets each).
pub const TRACE_EVENTS: u64 = 1_000_000;
/// Messages of one act (a move, an expunge) that the trace names; the others are only counted.
pub const TRACE_ACT_EMAILS: usize = 10_000;
/// Messages one event names.
pub const TRACE_EVENT_EMAILS: usize = 500;
/// Events outside an act that one IP may cause in a minute; the others are dropped, so that a flood does not push out
/// what happened before it.
pub const TRACE_PER_MINUTE: u32 = 120;
/// Addresses counted in that minute; those beyond share one count.
pub const TRACE_ADDRESSES: usize = 4096;
/// Octets of an event's text.
pub const TRACE_DETAIL_BYTES: usize = 4096;
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
/// Entries of an access list.
pub const ACL_ENTRIES_MAX: usize = 500;
/// Octets of an identifier of an access list.
pub const ACL_IDENTIFIER_BYTES_MAX: usize = 400;
/// Octets of one annotation.
pub const ANNOTATION_BYTES_MAX: usize = 32 * 1024;
/// Annotations of one mailbox, or of the account itself.
pub const ANNOTATIONS_MAX: usize = 100;
/// Octets of all annotations of an account, names and all.
pub const ANNOTATIONS_BYTES_MAX: usize = 1024 * 1024;
/// Octets of one record.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Octets of a record's name.
pub const RECORD_NAME_BYTES_MAX: usize = 255;
/// Records of one collection of an account.
pub const RECORDS_MAX: usize = 20_000;
/// Acts that one look at an account's changes takes in.
pub const FOLLOWED_ACTS: usize = 4096;
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
/// Emails erased in one act: others' acts wait for it.
pub const ERASE_ROWS: usize = 100;
/// When others ask for more than this in a second, work in the background rests ...
pub const BUSY_WEIGHT_PER_SEC: f64 = 100.0;
/// ... where an act counts as so many reads ...
pub const ACT_WEIGHT: u64 = 5;
/// ... counted over so long at least ...
pub const BUSY_LOOKED_AT: Duration = Duration::from_millis(100);
/// ... after each piece of so long: whoever comes waits for no more ...
pub const WORK_BEFORE_REST: Duration = Duration::from_millis(1);
/// ... for so many times as long as it worked ...
pub const RESTS_TO_WORK: u32 = 19;
/// ... and at most so long at a time ...
pub const REST_MAX: Duration = Duration::from_secs(5);
/// ... half as long with each look that finds nobody, and not at all after so many in a row.
pub const QUIET_LOOKS: u32 = 5;
/// A thread that rests looks so often whether it is over.
pub const REST_LOOKED_AT: Duration = Duration::from_millis(50);
/// The index's log grows to so much while the index is proven; past it there are no rests, for the proof keeps it from
/// being folded back.
pub const WAL_BYTES_PROVEN: u64 = 64 * 1024 * 1024;
/// Octets of a segment written anew before they are synced: what others sync never waits for more.
pub const REWRITE_SYNC_BYTES: u64 = 1024 * 1024;
/// A closed segment is rewritten when less than this share (in percent) is alive.
pub const SEGMENT_ALIVE_PERCENT_MIN: u64 = 50;
/// Octets of one row that judging and signing mail keeps.
pub const TRUST_ROW_BYTES_MAX: usize = 256 * 1024;
/// App passwords of one account.
pub const APP_PASSWORDS_MAX: usize = 100;
/// Facts of more octets than these are kept as they are, others packed.
pub const PACKED_PLAIN_BYTES_MAX: usize = 32 * 1024;
