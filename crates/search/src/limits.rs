//! Every bound of searching, by name.

use std::time::Duration;

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
/// How long one reader goes on before other sessions have their turn.
pub(crate) const TURN: Duration = Duration::from_micros(500);
/// Messages whose facts are asked for at a time.
pub(crate) const FACTS_CHUNK: usize = if cfg!(test) { 20 } else { 500 };
/// What sorting and threading keep in memory for all mailboxes together, octets.
pub(crate) const SORT_KEYS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Attachments of a message whose words are read ...
pub(crate) const ATTACHMENTS_READ_MAX: usize = 100;
/// ... how large each may be, octets ...
pub(crate) const ATTACHMENT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// ... how many files its archive may list at all ...
pub(crate) const ATTACHMENT_ENTRIES_LISTED_MAX: usize = if cfg!(test) { 500 } else { 50_000 };
/// ... how many files of its archive are looked at ...
pub(crate) const ATTACHMENT_ENTRIES_MAX: usize = 5_000;
/// ... and how much of all of them is unpacked, octets.
pub(crate) const ATTACHMENT_TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Steps of reading one PDF (objects, operators, characters): a second or two ...
pub(crate) const PDF_STEPS_MAX: u64 = if cfg!(test) { 500_000 } else { 20_000_000 };
/// ... octets unpacked of it, all its streams together ...
pub(crate) const PDF_BYTES_UNPACKED_MAX: usize = if cfg!(test) { 2 } else { 32 } * 1024 * 1024;
/// ... objects it is taken to have ...
pub(crate) const PDF_OBJECTS_MAX: usize = 200_000;
/// ... and pages that are read.
pub(crate) const PDF_PAGES_MAX: usize = 2_000;

/// Octets of headers remembered of messages that no index has yet.
pub(crate) const HEADERS_BYTES_CACHED: usize = 4 * 1024 * 1024;
/// What all indexes keep in memory beyond their ids, octets.
pub(crate) const INDEX_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Index files held open.
pub(crate) const INDEX_FILES_MAX: usize = 1024;
/// Messages of one index file, at most.
pub(crate) const INDEX_CHUNK_DOCS: usize = 16 * 1024;
/// Messages that are gone stay in an index until they are most of it, and more than these.
pub(crate) const INDEX_DEAD_MIN: usize = if cfg!(test) { 16 } else { 1024 };
/// Messages taken in at a time ...
pub(crate) const INDEX_BATCH_DOCS: usize = if cfg!(test) { 8 } else { 256 };
/// ... and their octets.
pub(crate) const INDEX_BATCH_BYTES: u64 = 16 * 1024 * 1024;
/// New mail waits so long for more of it.
pub(crate) const INDEX_WAIT: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });
/// Who is searched waits no longer for a piece of another's: about what new mail waits anyway.
pub(crate) const INDEX_PIECE_MAX: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });
/// What a message that no index has costs a search, about: texts of its header that are remembered ...
pub(crate) const LACKING_REMEMBERED_COST: Duration = Duration::from_nanos(200);
/// ... its header ...
pub(crate) const LACKING_HEADER_COST: Duration = Duration::from_micros(10);
/// ... or all of it.
pub(crate) const LACKING_MESSAGE_COST: Duration = Duration::from_micros(200);
/// For what searches had to read the index is made without rests for so long at most.
pub(crate) const INDEX_OWED_MAX: Duration = Duration::from_secs(5);
