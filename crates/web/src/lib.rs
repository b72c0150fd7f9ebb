//! HTTP: sign-in for browsers, JMAP (RFC 8620, RFC 8621), and the files of the browser program.
//!
//! Streams come in from whoever listens (this crate opens no socket). What signs people in and what takes a message for
//! sending stands in other faces; the binary hands them in as [`Doorkeeper`] and [`Sender`].
//! Invariant: nobody sees or changes anything of an account without a sign-in to it. Must not know: SMTP, IMAP, POP3.

mod http;
pub mod limits;
mod outside;
mod program;
mod sessions;
mod sign_in;
mod site;

mod jmap;

pub use http::Web;
pub use limits::CONNECTION_MAX;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use store::{Account, QueueId, Store, UnixSecs};
use tokio::sync::watch;

/// What a door answers later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why somebody did not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Unknown login or wrong password.
    Credentials,
    /// Right password, but the account is suspended.
    Suspended,
    /// Too many wait, or trouble of ours: come back later.
    Later,
}

/// Checks passwords, with the delays that failed ones earn.
pub trait Doorkeeper: Send + Sync {
    /// `peer` is `None` for unproxied loopback.
    fn password<'a>(
        &'a self,
        login: &'a str,
        password: &'a [u8],
        peer: Option<IpAddr>,
    ) -> Later<'a, Result<Arc<Account>, Refused>>;
}

/// One recipient of a message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendTo {
    /// `local@domain`
    pub address: String,
    /// DSN NOTIFY, as bits of `store::QueueRecipient`; 0 is not given.
    pub notify: u8,
}

/// A message to be sent as if it came by submission.
pub struct Outgoing {
    /// Who sends.
    pub account: Arc<Account>,
    /// MAIL FROM; empty is the null one.
    pub reverse_path: String,
    /// RCPT TO.
    pub recipients: Vec<SendTo>,
    /// The message.
    pub octets: bytes::Bytes,
    /// Nobody gets it before; `None`: at once.
    pub hold_until_secs: Option<UnixSecs>,
    /// RET=HDRS.
    pub ret_headers: bool,
    /// ENVID.
    pub envelope_id: Option<String>,
    /// Who brought it, for the trace.
    pub peer: Option<IpAddr>,
}

/// What became of an [`Outgoing`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// The transaction's name in traces.
    pub id: String,
    /// Queue entries for what is not delivered yet.
    pub queued: Vec<QueueId>,
    /// Each recipient's answer, in order: `250 2.0.0 ...`, or `Err` with the reply that refused it.
    pub recipients: Vec<Result<String, String>>,
}

/// Takes messages for sending, by the rules of submission.
pub trait Sender: Send + Sync {
    /// Durable when it answers. `Err`: nothing was taken; the reply says why.
    fn send(&self, outgoing: Outgoing) -> Later<'_, Result<Sent, mta::Refusal>>;
}

/// When passwords may cross the wire without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Plaintext {
    Never,
    Loopback,
    Always,
}

/// What the web face is given.
pub struct Settings {
    /// The store.
    pub store: Store,
    /// Sign-in.
    pub doorkeeper: Arc<dyn Doorkeeper>,
    /// Sending.
    pub sender: Arc<dyn Sender>,
    /// The way to hosts that messages name.
    pub outside: net::Outside,
    /// Our name.
    pub hostname: String,
    /// Domains served here, lower-case.
    pub domains: Vec<String>,
    /// Largest message, octets.
    pub message_bytes_max: u64,
    /// See [`Plaintext`].
    pub plaintext: Plaintext,
    /// How long a silent or slow peer is borne.
    pub connection_max: std::time::Duration,
    /// Becomes true when the server drains.
    pub shutdown: watch::Receiver<bool>,
}
