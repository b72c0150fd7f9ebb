//! Every bound of the socket layer, by name.

use std::time::Duration;

/// More unsent octets than this are written out before the session is polled again.
pub const UNSENT_BYTES_MAX: usize = 256 * 1024;
/// Read at once, on the stack: an idle connection owns no buffer.
pub(crate) const READ_BYTES: usize = 16 * 1024;
/// Plaintext handed to TLS at once: one full record (RFC 8446 §5.1).
pub(crate) const TLS_RECORD_BYTES: usize = 16 * 1024;
/// No write or TLS record is left shorter than this, so that a line's last octets travel together (lessons C20).
pub(crate) const TAIL_BYTES_MIN: usize = 64;
/// A peer that takes nothing for so long is gone.
pub const WRITE_IDLE_MAX: Duration = Duration::from_secs(5 * 60);
/// A TLS handshake takes at most this.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(60);
/// The last words of a closing connection take at most this.
pub(crate) const CLOSE_WRITE_MAX: Duration = Duration::from_secs(30);
/// How long a closed connection is still read, so that unread input does not turn our last words into a reset.
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(2);
/// How much is read then.
pub(crate) const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// Connections the kernel holds for us.
pub(crate) const BACKLOG: i32 = 1024;
/// First pause after accept failed for want of descriptors or memory; doubles up to [`ACCEPT_PAUSE_MAX`].
pub(crate) const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(20);
/// Longest such pause.
pub(crate) const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Answers the resolver keeps.
pub(crate) const DNS_CACHE_ANSWERS: u64 = 16 * 1024;
/// No cached answer lives longer.
pub(crate) const DNS_TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A name that is not there is asked again after at most this.
pub(crate) const DNS_NEGATIVE_TTL_MAX: Duration = Duration::from_secs(15 * 60);
/// MX hosts considered of one domain (RFC 5321 §5.1 leaves the bound to us).
pub const MX_HOSTS_MAX: usize = 32;
/// Addresses considered of one host.
pub const ADDRESSES_MAX: usize = 32;
/// The longest PROXY header of version 2, octets behind its head.
pub(crate) const PROXY_BYTES_MAX: usize = 4_096;
/// A proxy says who connects within this.
pub const PROXY_HEADER_MAX: Duration = Duration::from_secs(10);
