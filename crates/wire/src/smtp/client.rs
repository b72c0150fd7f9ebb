//! The client's half of SMTP (RFC 5321) and LMTP (RFC 2033): one connection, many messages.
//!
//! Greeting, EHLO (or HELO), STARTTLS and AUTH by policy, then [`Event::Ready`]; each [`Client::send`] ends in one
//! [`Event::Outcome`]. Invariant: a recipient is `Accepted` only after the server said 2xx to the message itself.
//! Must not know: the queue, DNS, certificates.

use super::{Reply, ReversePath, Ret};
use crate::sasl::client::Credentials;
use crate::session::{Session, Step, Time};
use message::address::Address;

/// STARTTLS (RFC 3207) policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// Not even when offered (or already under TLS).
    Never,
    /// When offered; in the clear otherwise.
    IfOffered,
    /// Without it nothing is sent.
    Require,
}

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Our name in EHLO.
    pub hostname: String,
    /// LHLO, and a reply a recipient.
    pub lmtp: bool,
    /// Already under (implicit) TLS.
    pub tls: bool,
    /// Policy.
    pub starttls: StartTls,
    /// Sign in; without TLS only mechanisms that do not show the password, unless `plaintext_auth`.
    pub credentials: Option<Credentials>,
    /// Passwords may be sent without TLS.
    pub plaintext_auth: bool,
    /// For SCRAM: random printable ASCII without comma.
    pub nonce: String,
}

/// Who and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// `None` is `<>`.
    pub reverse_path: ReversePath,
    /// In order; outcomes come in the same order.
    pub recipients: Vec<Recipient>,
    /// Octets of the body, for SIZE=.
    pub size: Option<u64>,
    /// The body has the eighth bit.
    pub eight_bit: bool,
    /// Message or addresses need SMTPUTF8.
    pub smtputf8: bool,
    /// RET=.
    pub ret: Option<Ret>,
    /// ENVID=, decoded.
    pub envelope_id: Option<String>,
}

/// One recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Whom.
    pub address: Address,
    /// NOTIFY= as bits; 0 is not given.
    pub notify: u8,
    /// ORCPT=, decoded, with its type.
    pub original: Option<String>,
}

/// What the owner acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Ready for a message: [`Client::send`] or [`Client::quit`]. Comes again after each outcome.
    Ready,
    /// Give one piece with [`Client::body`] (then flush), or say [`Client::body_end`].
    WantsBody,
    /// The message is done with: one result a recipient, in the envelope's order.
    Outcome(Outcome),
    /// No message can be sent on this connection (any more); it is about to close. Nothing is undecided: messages begun got an outcome.
    Failed(Failure),
}

/// How a message fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One a recipient, in the envelope's order.
    pub recipients: Vec<RecipientOutcome>,
    /// The server offers DSN, so NOTIFY and ORCPT went with the message (RFC 3461 §5.2.1).
    pub dsn_offered: bool,
}

/// How a message fared with one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientOutcome {
    /// 2xx to the message.
    Accepted(Reply),
    /// 4xx or 5xx, and to what.
    Refused(Stage, Reply),
    /// The message needs what the server does not offer; nothing was sent.
    NotOffered(Needed),
    /// The address cannot be written in SMTP.
    Unwritable,
    /// The connection was lost, timed out or made no sense at this stage: try again (a copy may have arrived if the stage is [`Stage::End`]).
    Lost(Stage),
}

/// An extension a message needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// RFC 6531.
    SmtpUtf8,
    /// RFC 6152.
    EightBitMime,
    /// Larger than the SIZE the server offered (RFC 1870).
    Size(u64),
}

/// Where in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Stage {
    Greeting,
    Hello,
    StartTls,
    Auth,
    Idle,
    Mail,
    Rcpt,
    Data,
    Body,
    /// After the final dot.
    End,
    Quit,
}

/// Why a connection is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A reply that is not positive (greeting 554, EHLO and HELO refused, STARTTLS required and refused, AUTH refused, 421 while idle).
    Refused(Stage, Reply),
    /// STARTTLS is required and not offered.
    TlsNotOffered,
    /// No mechanism in common that may be used.
    AuthNotOffered,
    /// The sign-in exchange failed on our side.
    Auth(crate::sasl::client::Failure),
    /// Bytes came behind the reply to STARTTLS, before TLS: an injection (RFC 3207 §6 and R12).
    BytesBeforeTls,
    /// No reply in time.
    TimedOut(Stage),
    /// The server closed.
    Lost(Stage),
    /// What came is no SMTP.
    Nonsense(Stage),
}

/// The session.
#[derive(Debug)]
pub struct Client {
    config: Config,
}

#[allow(unused_variables, clippy::todo)]
impl Client {
    /// A connection just made (with `config.tls`: whose handshake is done).
    pub fn new(config: Config) -> Client { todo!() }
    /// TLS is on.
    pub fn is_tls(&self) -> bool { self.config.tls }
    /// Answers [`Event::Ready`]: begins a message.
    pub fn send(&mut self, envelope: Envelope) { todo!() }
    /// Answers [`Event::WantsBody`]: one piece, CRLF line ends, dots as they are.
    pub fn body(&mut self, piece: &[u8]) { todo!() }
    /// Answers [`Event::WantsBody`]: that was all.
    pub fn body_end(&mut self) { todo!() }
    /// Answers [`Event::Ready`] (or comes at any idle moment): QUIT, then the session closes.
    pub fn quit(&mut self) { todo!() }
}

#[allow(unused_variables, clippy::todo)]
impl Session for Client {
    type Event = Event;
    fn receive(&mut self, bytes: &[u8]) { todo!() }
    fn receive_end(&mut self) { todo!() }
    fn poll(&mut self, now: Time) -> Step<Event> { todo!() }
    fn transmit(&mut self, out: &mut Vec<u8>) { todo!() }
    fn deadline(&self) -> Option<Time> { todo!() }
    fn wants_input(&self) -> bool { todo!() }
    fn tls_started(&mut self) { todo!() }
}
