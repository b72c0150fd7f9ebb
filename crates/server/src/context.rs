//! What every face is given: the store, the doorkeeper, names and switches. Plain values, made once at the top.

use crate::auth::Auth;
use crate::wire_log::Spoken;
use std::sync::Arc;
use store::{Account, Store};
use tokio::sync::mpsc;

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

impl Plaintext {
    /// May this peer send its password in the clear?
    pub(crate) fn allows(self, peer: &net::Peer) -> bool {
        match self {
            Plaintext::Never => false,
            Plaintext::Loopback => peer.is_loopback(),
            Plaintext::Always => true,
        }
    }
}

/// What one peer or one account may do; every number is a configuration option under `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages a signed-in account may submit in an hour; 0 is unlimited.
    pub messages_per_hour: u32,
    /// Recipients of those messages in an hour; 0 is unlimited.
    pub recipients_per_hour: u32,
    /// Recipients it never wrote to before, in an hour; 0 is unlimited.
    pub first_time_per_hour: u32,
    /// The same three in a day; 0 is unlimited.
    pub per_day: mta::sending_limits::Sent,
    /// Recipients of one transaction (RFC 5321 §4.5.3.1.8 wants at least 100).
    pub recipients_max: u32,
    /// Open connections from one address (all protocols together); never applies to unproxied loopback.
    pub connections_per_ip: u32,
    /// Seconds between two POP3 sign-ins of an account (LOGIN-DELAY, RFC 2449 §6.5); 0 is none.
    pub pop3_login_delay_secs: u32,
    /// How long a silent or slow peer is borne, by every protocol.
    pub patience: wire::Patience,
    /// A submitted message may name somebody else in Sender, Resent-From and Resent-Sender.
    pub foreign_sender: bool,
    /// A TLS handshake takes at most this, seconds.
    pub handshake_secs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            messages_per_hour: 5_000,
            recipients_per_hour: 20_000,
            first_time_per_hour: 0,
            per_day: mta::sending_limits::Sent::default(),
            recipients_max: 1_000,
            connections_per_ip: 50,
            pop3_login_delay_secs: 0,
            patience: wire::Patience::default(),
            foreign_sender: false,
            handshake_secs: 30,
        }
    }
}

/// Shared by all connections of one server.
pub struct Context {
    /// The store.
    pub store: Store,
    /// Finds and orders what is in it.
    pub search: search::Searcher,
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
    /// See [`Limits`].
    pub limits: Limits,
    /// The only domains mail may leave for (lower-case); `None` is everywhere. Set by `packetboat try`, where nothing leaves the
    /// laptop: RCPT for any other domain is refused with [`UNREACHABLE`].
    pub reachable: Option<Vec<String>>,
    /// What SMTP needs besides.
    pub smtp: crate::smtp::Settings,
    /// Whom strangers' mail is judged by, and with what our own is signed; `Default::default()` judges and signs nothing.
    pub trust: crate::trust::Settings,
    /// Becomes true when the server drains: sessions say goodbye at their next quiet moment.
    pub shutdown: tokio::sync::watch::Receiver<bool>,
    /// What IMAP keeps in memory only; `Default::default()` at the start.
    pub imap: crate::imap::Memory,
    /// Who watches whose dialogues; `Default::default()` at the start.
    pub wire_log: Arc<crate::wire_log::WireLog>,
    /// What owners want done with their mail, as it was last read; `Default::default()` at the start.
    pub wishes: Arc<mta::wishes::Shelf>,
    /// What other servers take at most; `Default::default()` at the start.
    pub sizes: crate::outbound::Sizes,
    /// Which maildrops POP3 sessions have open; `Default::default()` at the start.
    pub pop: crate::pop::Maildrops,
}

/// Why a recipient outside [`Context::reachable`] is refused (`550 5.7.1`).
pub const UNREACHABLE: &str =
    "This is a trial post office on one computer: mail goes only to the domains it serves, nothing leaves this machine";

impl Context {
    /// The dialogues of an account from now on, of connections that stand too; `None` when enough people watch already.
    pub fn watch(&self, account: &Account) -> Option<mpsc::Receiver<Spoken>> {
        let spoken = self.wire_log.watch(&account.address)?;
        // Each session of the account wakes, and finds that it is watched.
        self.store.look_again(account.id);
        Some(spoken)
    }

    /// Ready once the server drains. Cancel-safe.
    pub async fn draining(&self) {
        let mut shutdown = self.shutdown.clone();
        let _ = shutdown.wait_for(|down| *down).await;
    }
}

/// Handle to the shared context.
pub type Shared = Arc<Context>;

/// Seconds since 1970: the faces' only clock for dates.
pub use net::clock::unix_now;
