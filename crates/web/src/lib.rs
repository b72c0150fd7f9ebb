//! HTTP: sign-in for browsers, JMAP (RFC 8620, RFC 8621), and the files of the browser program.
//!
//! Streams come in from whoever listens (this crate opens no socket). What signs people in and what takes a message for
//! sending stands in other faces; the binary hands them in as [`Doorkeeper`] and [`Sender`].
//! Invariant: nobody sees or changes anything of an account without a sign-in to it. Must not know: SMTP, IMAP, POP3.

mod boxes;
mod collections;
mod credentials;
mod discovery;
pub mod fuzzing;
mod http;
#[cfg(test)]
mod in_memory;
mod largest;
pub mod limits;
mod links;
mod outside;
mod places;
mod program;
mod push_service;
mod second_factor;
mod sessions;
mod sign_in;
mod site;
mod wire;

mod jmap;

#[cfg(test)]
#[path = "../../../tests/bench/secret_checks.rs"]
mod secret_checks;

pub use http::Web;
pub use limits::CONNECTION_MAX;
pub use links::{FoundServer, FoundServers, LINKS_COLLECTION, Link, LinkAct, Links, NewLink, OldFolder, OldMessage, OldServer};
pub use links::{Grant, GrantState, Proof, Provider, WantedGrant};
pub use second_factor::is_on as second_factor_is_on;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use store::{Account, QueueId, Store, UnixSecs};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

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

    /// Is it one program's password, and not the owner's?
    fn is_app_password(&self, _account: &Account, _password: &[u8]) -> bool {
        false
    }

    /// Gives the account another password; its epoch grows. `Err`: why not, for people.
    fn set_password<'a>(&'a self, _account: &'a Account, _password: &'a [u8]) -> Later<'a, Result<(), String>> {
        elsewhere()
    }

    /// All sessions of the account end, of programs too.
    fn end_sessions<'a>(&'a self, _account: &'a Account) -> Later<'a, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// A new password for one program. `Err`: why not, for people.
    fn add_app_password<'a>(&'a self, _account: &'a Account, _name: &'a str) -> Later<'a, Result<Zeroizing<String>, String>> {
        elsewhere()
    }

    /// Takes one away; the account's epoch grows. `Err`: why not, for people.
    fn remove_app_password<'a>(&'a self, _account: &'a Account, _name: &'a str) -> Later<'a, Result<(), String>> {
        elsewhere()
    }
}

/// Where the password is somebody else's, it is changed there.
fn elsewhere<'a, T: Send + 'a>() -> Later<'a, Result<T, String>> {
    Box::pin(std::future::ready(Err("passwords of this account are changed at its provider".to_owned())))
}

/// One line of a dialogue of an account's own sessions, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// Milliseconds since 1970.
    pub at_millis: i64,
    /// Numbers connections.
    pub connection: u64,
    /// `smtp`, `lmtp`, `pop3`, `imap`.
    pub protocol: &'static str,
    /// Who is connected.
    pub peer: String,
    /// The client said it, else the server.
    pub by_client: bool,
    /// As it was said.
    pub line: String,
    /// What it means, one sentence.
    pub meaning: String,
    /// Where that stands: `RFC 5321 §4.1.1.2`.
    pub section: &'static str,
    /// So many lines before it were lost.
    pub lost: u64,
}

/// Lets an account's owner watch the mail protocols at work.
pub trait Wire: Send + Sync {
    /// From now on, until the receiver is dropped; `None`: enough people watch already.
    fn watch(&self, _account: &Account) -> Option<mpsc::Receiver<Spoken>> {
        None
    }
}

/// One recipient of a message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendTo {
    /// `local@domain`
    pub address: String,
    /// DSN NOTIFY, as bits of `store::QueueRecipient`; 0 is not given.
    pub notify: u8,
    /// DSN ORCPT, decoded, with its type: `rfc822;a@b`.
    pub original: Option<String>,
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
    /// What else MAIL asked of the delivery.
    pub service: store::QueueService,
    /// Who brought it, for the trace.
    pub peer: Option<IpAddr>,
    /// Somebody's message sent on as it is (RFC 5322 §3.6.6).
    pub resent: bool,
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

    /// The largest message, in octets, that the server of this address is known to take.
    fn largest(&self, _address: &str) -> Option<u64> {
        None
    }
}

/// A message of an mbox, or a file of its own.
#[derive(Debug, Clone)]
pub struct Boxed {
    /// It, lines ended by CR LF.
    pub octets: bytes::Bytes,
    /// Its flags.
    pub flags: store::Flags,
    /// When it came.
    pub date_secs: UnixSecs,
    /// What it is known again by: a hash of its octets, and how often they were met before in the file.
    pub hash: String,
}

/// mbox files and files of single messages, as all of Packetboat writes and reads them.
pub trait Boxes: Send + Sync {
    /// What a file of one message (.eml) holds; `changed_secs`: the file's time.
    fn single(&self, octets: Vec<u8>, changed_secs: Option<UnixSecs>) -> Boxed;

    /// A message as it stands in one.
    fn write(&self, flags: &store::Flags, date_secs: UnixSecs, octets: &[u8]) -> Vec<u8>;

    /// Every message of one as it comes, until `each` wants no more; none is larger than that.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    fn read(
        &self,
        input: &mut dyn std::io::BufRead,
        message_bytes_max: u64,
        each: &mut dyn FnMut(Boxed) -> bool,
    ) -> std::io::Result<()>;
}

/// When passwords may cross the wire without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Plaintext {
    Never,
    Loopback,
    Always,
}

/// Where TLS stands on a listener; the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferedTls {
    /// From the first octet.
    First,
    /// Asked for on the way.
    StartTls,
    /// Never: a trial.
    None,
}

/// A listener that mail programs use, for those who look for their settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// `imap`, `pop3`, `smtp` (submission).
    pub protocol: &'static str,
    /// Its port.
    pub port: u16,
    /// See there.
    pub tls: OfferedTls,
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
    /// The way to push services, which programs name.
    pub pushes: net::Outside,
    /// Finds what is in the store, as IMAP's SEARCH does.
    pub search: search::Searcher,
    /// The dialogues of mail programs.
    pub wire: Arc<dyn Wire>,
    /// Files of mailboxes.
    pub boxes: Arc<dyn Boxes>,
    /// Old accounts elsewhere; `None` where this is itself a mirror of one.
    pub links: Option<Arc<dyn Links>>,
    /// What owners want done with their mail, as delivery knows it; `None` where mail is delivered by somebody else.
    pub wishes: Option<Arc<mta::wishes::Shelf>>,
    /// All accounts are one person's: who signs in to one has them all.
    pub one_person: bool,
    /// Our name.
    pub hostname: String,
    /// Domains served here, lower-case.
    pub domains: Vec<String>,
    /// Listeners of mail programs.
    pub offered: Vec<Offered>,
    /// Largest message, octets.
    pub message_bytes_max: u64,
    /// Most recipients of one message that is sent.
    pub recipients_max: usize,
    /// See [`Plaintext`].
    pub plaintext: Plaintext,
    /// For how many seconds a browser that came by TLS comes no other way (RFC 6797); 0 takes that back, `None` says nothing.
    pub strict_transport_secs: Option<u64>,
    /// How long a silent or slow peer is borne.
    pub connection_max: std::time::Duration,
    /// Becomes true when the server drains.
    pub shutdown: watch::Receiver<bool>,
}
