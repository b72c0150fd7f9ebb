//! Every bound of this crate, by name.

/// Aliases are followed this deep (a loop ends here at the latest; it is also recognised earlier).
pub const ALIAS_DEPTH_MAX: usize = 10;
/// One recipient grows to at most this many through aliases.
pub const ALIAS_TARGETS_MAX: usize = 1_000;
/// A message with more Received fields than this is in a loop (RFC 5321 §6.3 asks for at least 100).
pub const RECEIVED_FIELDS_MAX: usize = 100;
/// Octets of a header section; longer ones are refused (552 5.3.4).
pub const HEADER_BYTES_MAX: usize = 1024 * 1024;
/// From addresses of one submitted message.
pub const FROM_ADDRESSES_MAX: usize = 100;
/// A bounce carries the whole message up to this many octets, above it only its header section.
pub const BOUNCE_BODY_BYTES_MAX: u64 = 64 * 1024;
/// Octets of a header section quoted in a bounce.
pub const BOUNCE_HEADER_BYTES_MAX: usize = 64 * 1024;
/// Recipients of one queue entry; more make another entry for the same destination.
pub const ENTRY_RECIPIENTS_MAX: usize = 100;
/// Octets of a remote reply that are kept.
pub const REPLY_BYTES_MAX: usize = 500;
/// Octets that trace fields and the fields we add can put on top of a message: what is stored may be larger by this.
pub const ADDED_BYTES_MAX: u64 = 64 * 1024;
/// A step of MT-PRIORITY goes ahead of what came so much earlier.
pub(crate) const PRIORITY_STEP_SECS: i64 = 600;
/// FUTURERELEASE: the longest a message is held.
pub const HOLD_SECS_MAX: u64 = 366 * 24 * 3_600;
/// DELIVERBY: the shortest time that is taken on.
pub const DELIVER_BY_SECS_MIN: u64 = 60;
