//! The server's half of SMTP (RFC 5321), submission (RFC 6409) and LMTP (RFC 2033).
//!
//! The session answers syntax, order, time-outs and limits itself; its owner is asked about people and messages.
//! Invariant: only CRLF.CRLF ends a message, so nobody can smuggle a second one behind it.
//! Must not know: accounts, domains, where messages go.

use super::{EnhancedCode, ForwardPath, MailParameters, RcptParameters, Reply, ReversePath};
use crate::sasl;
use crate::session::{Session, Step, Time};
use bytes::Bytes;

/// Which service is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From other servers, port 25: strict, no sign-in.
    Mx,
    /// From people's programs: sign-in first, small faults are repaired.
    Submission,
    /// RFC 2033: strict, a reply a recipient.
    Lmtp,
}

/// How a session behaves; plain values.
#[derive(Debug, Clone)]
pub struct Config {
    /// Our name in the greeting and EHLO.
    pub hostname: String,
    /// Text of the greeting behind the name, e.g. `Packetboat`.
    pub greeting: String,
    /// The service.
    pub mode: Mode,
    /// Already under TLS.
    pub tls: bool,
    /// STARTTLS can be offered.
    pub starttls: bool,
    /// Mechanisms offered (under TLS, or with `plaintext_auth`); empty switches AUTH off.
    pub auth: Vec<sasl::Mechanism>,
    /// Offer AUTH without TLS too.
    pub plaintext_auth: bool,
    /// MAIL before AUTH gets 530 (a submission server's rule; off for tests of trusted peers).
    pub auth_required: bool,
    /// Largest message, octets.
    pub size_max: u64,
    /// Recipients of one transaction.
    pub recipients_max: usize,
    /// Errors of syntax and order before 421.
    pub errors_max: u32,
}

impl Config {
    /// The usual values of a mode: `auth_required` on submission with all mechanisms, none elsewhere.
    pub fn new(mode: Mode, hostname: impl Into<String>, size_max: u64) -> Config {
        let submission = mode == Mode::Submission;
        Config {
            hostname: hostname.into(),
            greeting: "Packetboat".to_owned(),
            mode,
            tls: false,
            starttls: false,
            auth: if submission { sasl::Mechanism::ALL.to_vec() } else { Vec::new() },
            plaintext_auth: false,
            auth_required: submission,
            size_max,
            recipients_max: crate::limits::smtp::RECIPIENTS_MAX,
            errors_max: crate::limits::smtp::ERRORS_MAX,
        }
    }
}

/// What the owner acts on. The comment says whether and with which method it must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// EHLO, HELO or LHLO. No answer. `extended` is false for HELO.
    Hello {
        /// As the client gave it, free of controls.
        name: String,
        /// EHLO or LHLO.
        extended: bool,
    },
    /// Answer with [`Server::auth`].
    Auth(sasl::Question),
    /// MAIL. Answer with [`Server::reply`]; 2xx begins the transaction.
    Mail {
        /// `None` is `<>`.
        reverse_path: ReversePath,
        /// SIZE, BODY, SMTPUTF8, RET, ENVID, AUTH.
        parameters: MailParameters,
    },
    /// RCPT. Answer with [`Server::reply`]; 2xx accepts the recipient.
    Rcpt {
        /// Whom.
        forward_path: ForwardPath,
        /// NOTIFY, ORCPT.
        parameters: RcptParameters,
    },
    /// DATA or the first BDAT, with one accepted recipient or more. Answer with [`Server::data_go`] or [`Server::reply`]
    /// (a refusal; it ends the transaction).
    Data,
    /// A piece of the message, dots and line ends already right. No answer.
    Chunk(Bytes),
    /// The message is complete. Answer with [`Server::message_done`]: the transaction is then over.
    MessageEnd,
    /// The transaction is over without a message: throw away what came. No answer.
    Reset(ResetCause),
}

/// Why a transaction ended without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetCause {
    /// RSET, a new EHLO, QUIT.
    Client,
    /// Larger than `size_max`; 552 is sent.
    TooLarge,
    /// Bare CR or LF; 550 is sent.
    LineEnds,
    /// The connection ended, timed out or was closed by us.
    Closed,
}

/// The session.
#[derive(Debug)]
pub struct Server {
    config: Config,
}

#[allow(unused_variables, clippy::todo)]
impl Server {
    /// A session that has just been connected (with `config.tls`: whose TLS handshake is done).
    pub fn new(config: Config) -> Server { todo!() }
    /// The name given with EHLO, HELO or LHLO.
    pub fn hello_name(&self) -> Option<&str> { todo!() }
    /// TLS is on.
    pub fn is_tls(&self) -> bool { self.config.tls }
    /// The `with` word of a Received field (RFC 3848, RFC 6531 §4.3): `ESMTPSA`, `LMTP`, `UTF8SMTPS`, ...
    pub fn protocol(&self) -> &'static str { todo!() }
    /// Answers [`Event::Auth`]. After `Accept` the client is signed in for the rest of the session.
    pub fn auth(&mut self, answer: sasl::Answer) { todo!() }
    /// Answers [`Event::Mail`], [`Event::Rcpt`], or refuses [`Event::Data`].
    pub fn reply(&mut self, reply: Reply) { todo!() }
    /// Answers [`Event::Data`]: let it come.
    pub fn data_go(&mut self) { todo!() }
    /// Answers [`Event::MessageEnd`]: one reply, or in LMTP one for each accepted recipient in order (a single one is
    /// repeated for all).
    pub fn message_done(&mut self, replies: &[Reply]) { todo!() }
    /// The server drains: 421 at the next command boundary.
    pub fn shut_down(&mut self) { todo!() }
    /// Says 421 with `text` and closes, at once (a session whose account was suspended, for one).
    pub fn close(&mut self, enhanced: EnhancedCode, text: &'static str) { todo!() }
}

#[allow(unused_variables, clippy::todo)]
impl Session for Server {
    type Event = Event;
    fn receive(&mut self, bytes: &[u8]) { todo!() }
    fn receive_end(&mut self) { todo!() }
    fn poll(&mut self, now: Time) -> Step<Event> { todo!() }
    fn transmit(&mut self, out: &mut Vec<u8>) { todo!() }
    fn deadline(&self) -> Option<Time> { todo!() }
    fn wants_input(&self) -> bool { todo!() }
    fn tls_started(&mut self) { todo!() }
}
