//! What every face is given: the store, the doorkeeper, names and switches. Plain values, made once at the top.

use crate::auth::Auth;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store::Store;

/// When passwords may cross the wire without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// Never.
    Never,
    /// Only on unproxied loopback connections.
    Loopback,
    /// Always.
    Always,
}

/// Shared by all connections of one server.
pub struct Context {
    /// The store.
    pub store: Store,
    /// Sign-in, for every protocol.
    pub auth: Auth,
    /// Our name in greetings and trace fields.
    pub hostname: String,
    /// Domains whose mail ends here; lower-case.
    pub domains: Vec<String>,
    /// Largest message taken, octets.
    pub message_bytes_max: u64,
    /// See [`Plaintext`].
    pub plaintext: Plaintext,
    /// Becomes true when the server drains: sessions say goodbye at their next quiet moment.
    pub shutdown: tokio::sync::watch::Receiver<bool>,
}

/// Handle to the shared context.
pub type Shared = Arc<Context>;

/// Seconds since 1970, from the system's clock: the faces' only clock for dates.
pub fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
}
