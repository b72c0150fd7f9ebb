//! The client's half of SMTP (RFC 5321) and LMTP (RFC 2033): one connection, many messages.
//!
//! Greeting, EHLO (or HELO), STARTTLS and AUTH by policy, then [`Event::Ready`]; each [`Client::send`] ends in one
//! [`Event::Outcome`]. Invariant: a recipient is `Accepted` only after the server said 2xx to the message itself.
//! A connection that breaks under the owner's hands before the outcome means `Lost` for all.
//! Must not know: the queue, DNS, certificates.

mod opening;
mod transaction;

use super::ehlo::Offers;
use super::reply::{self, Reply};
use super::{Ret, ReversePath, Wishes};
use crate::limits::smtp as limits;
use crate::sasl;
use crate::sasl::client::Credentials;
use crate::session::{Session, Step, Time};
use bytes::BytesMut;
use message::address::Address;
use std::collections::VecDeque;
use transaction::Transaction;

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
    /// What the sender asked of the delivery; told on where the server offers it, REQUIRETLS always.
    pub wishes: Wishes,
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
    /// Give one piece with [`Client::body`] (then flush), or say [`Client::body_end`]. Comes again until then.
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
    /// RFC 8689.
    RequireTls,
    /// RFC 2852, for what must come back when it is late.
    DeliverBy,
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

/// Whose reply is awaited.
#[derive(Debug)]
enum State {
    Greeting,
    Hello {
        extended: bool,
    },
    StartTls,
    /// `asked` once the owner was told.
    Tls {
        asked: bool,
    },
    Auth(sasl::client::Exchange),
    /// `told` once the owner was.
    Ready {
        told: bool,
    },
    Transaction(Box<Transaction>),
    Quit,
    Closed,
}

/// Octets without a line end, after which the limits of a reply are looked at.
const FRESH_BYTES_MAX: usize = 512;

/// The session.
#[derive(Debug)]
pub struct Client {
    config: Config,
    state: State,
    input: BytesMut,
    /// So many octets of it are known to hold no whole reply.
    looked_at: usize,
    output: Vec<u8>,
    events: VecDeque<Event>,
    offers: Offers,
    /// A transaction was begun and not finished: RSET comes before the next.
    needs_reset: bool,
    input_ended: bool,
    deadline: Option<Time>,
    /// Something happened since the deadline was set.
    progress: bool,
    /// Of the TLS that is on.
    channel: Option<Box<sasl::Channel>>,
}

impl Client {
    /// A connection just made (with `config.tls`: whose handshake is done).
    pub fn new(config: Config) -> Client {
        Client {
            config,
            state: State::Greeting,
            input: BytesMut::new(),
            looked_at: 0,
            output: Vec::new(),
            events: VecDeque::new(),
            offers: Offers::default(),
            needs_reset: false,
            input_ended: false,
            deadline: None,
            progress: true,
            channel: None,
        }
    }

    /// TLS is on.
    pub fn is_tls(&self) -> bool {
        self.config.tls
    }

    /// What the server offers (after [`Event::Ready`]).
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Answers [`Event::Ready`]: begins a message. Without recipients the outcome comes at once and is empty.
    pub fn send(&mut self, envelope: Envelope) {
        if matches!(self.state, State::Ready { .. }) {
            self.begin(envelope);
        }
    }

    /// Answers [`Event::WantsBody`]: one piece, CRLF line ends, dots as they are.
    pub fn body(&mut self, piece: &[u8]) {
        if let State::Transaction(transaction) = &mut self.state {
            transaction.body(piece, &mut self.output);
            self.progress = true;
        }
    }

    /// Answers [`Event::WantsBody`]: that was all.
    pub fn body_end(&mut self) {
        if let State::Transaction(transaction) = &mut self.state {
            transaction.body_end(&mut self.output);
            self.progress = true;
        }
    }

    /// Answers [`Event::Ready`] (or comes at any idle moment): QUIT, then the session closes.
    pub fn quit(&mut self) {
        match self.state {
            State::Ready { .. } => {
                self.line("QUIT");
                self.state = State::Quit;
            }
            State::Quit | State::Closed => {}
            _ => self.state = State::Closed,
        }
    }

    fn line(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.progress = true;
    }

    fn stage(&self) -> Stage {
        match &self.state {
            State::Greeting => Stage::Greeting,
            State::Hello { .. } => Stage::Hello,
            State::StartTls | State::Tls { .. } => Stage::StartTls,
            State::Auth(_) => Stage::Auth,
            State::Ready { .. } => Stage::Idle,
            State::Transaction(transaction) => transaction.stage(),
            State::Quit | State::Closed => Stage::Quit,
        }
    }

    /// The end of the connection: what is undecided gets `outcome`, then the owner hears why.
    fn fail(&mut self, failure: Failure, outcome: RecipientOutcome) {
        match std::mem::replace(&mut self.state, State::Closed) {
            // After QUIT nothing is owed to anybody.
            State::Quit | State::Closed => return,
            State::Transaction(transaction) => {
                self.events.push_back(Event::Outcome(transaction.abandon(outcome, self.offers.dsn)));
            }
            _ => {}
        }
        self.events.push_back(Event::Failed(failure));
        self.input.clear();
        self.looked_at = 0;
    }

    fn lose(&mut self, failure: impl FnOnce(Stage) -> Failure) {
        let stage = self.stage();
        self.fail(failure(stage), RecipientOutcome::Lost(stage));
    }

    /// A refusal after which the connection is of no use.
    fn refused(&mut self, reply: Reply) {
        let stage = self.stage();
        // The server need not hear more than this; nothing waits for its answer.
        if reply.code != 421 {
            self.line("QUIT");
        }
        self.fail(Failure::Refused(stage, reply.clone()), RecipientOutcome::Refused(stage, reply));
    }

    /// We give up on a server that is itself polite.
    fn leave(&mut self, failure: Failure) {
        self.line("QUIT");
        let stage = self.stage();
        self.fail(failure, RecipientOutcome::Lost(stage));
    }

    /// One reply off the input; true while there may be more to do.
    fn step(&mut self) -> bool {
        if matches!(self.state, State::Closed | State::Tls { .. }) {
            return false;
        }
        if self.is_too_early() {
            return false;
        }
        self.looked_at = self.input.len();
        match reply::take(&self.input) {
            Ok(Some((reply, used))) => {
                let _ = self.input.split_to(used);
                self.looked_at = 0;
                self.progress = true;
                self.replied(reply);
                true
            }
            Ok(None) if self.input.len() > limits::REPLY_BYTES_MAX => {
                self.lose(Failure::Nonsense);
                false
            }
            Ok(None) => {
                if self.input_ended {
                    self.lose(Failure::Lost);
                }
                false
            }
            Err(_) => {
                self.lose(Failure::Nonsense);
                false
            }
        }
    }

    /// Without a new line end there is no reply yet: a server that trickles must not make us read its lines over and
    /// over. Every so often all the same, for the limits.
    fn is_too_early(&self) -> bool {
        let fresh = self.input.get(self.looked_at..).unwrap_or_default();
        self.looked_at > 0 && !self.input_ended && fresh.len() < FRESH_BYTES_MAX && memchr::memchr(b'\n', fresh).is_none()
    }

    fn replied(&mut self, reply: Reply) {
        // RFC 5321 §3.8: 421 may answer anything, and the server closes behind it.
        if reply.code == 421 && !matches!(self.state, State::Quit) {
            return self.refused(reply);
        }
        match &mut self.state {
            State::Greeting => self.greeted(reply),
            State::Hello { extended } => {
                let extended = *extended;
                self.hello_answered(reply, extended);
            }
            State::StartTls => self.start_tls_answered(reply),
            State::Auth(_) => self.auth_answered(reply),
            State::Ready { .. } => self.lose(Failure::Nonsense),
            State::Transaction(_) => self.transaction_answered(reply),
            State::Quit => self.state = State::Closed,
            State::Tls { .. } | State::Closed => {}
        }
    }

    fn patience_secs(&self) -> Option<u64> {
        match &self.state {
            State::Ready { .. } | State::Closed => None,
            State::Quit => Some(limits::CLIENT_QUIT_SECS_MAX),
            State::Transaction(transaction) => Some(transaction.patience_secs()),
            _ => Some(limits::CLIENT_COMMAND_SECS_MAX),
        }
    }
}

impl Session for Client {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        match self.state {
            State::Closed => {}
            State::Tls { .. } => self.lose(|_| Failure::BytesBeforeTls),
            _ => self.input.extend_from_slice(bytes),
        }
    }

    fn receive_end(&mut self) {
        self.input_ended = true;
        if matches!(self.state, State::Tls { .. }) {
            self.lose(Failure::Lost);
        }
    }

    fn poll(&mut self, now: Time) -> Step<Event> {
        if !self.progress && self.deadline.is_some_and(|deadline| deadline <= now) {
            self.lose(Failure::TimedOut);
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            if !self.step() && self.events.is_empty() {
                break;
            }
        }
        if self.progress || self.deadline.is_none() {
            self.deadline = self.patience_secs().map(|secs| now.plus_secs(secs));
            self.progress = false;
        }
        match &mut self.state {
            State::Closed => Step::Close,
            State::Tls { asked } if !*asked => {
                *asked = true;
                Step::StartTls
            }
            State::Ready { told } if !*told => {
                *told = true;
                Step::Event(Event::Ready)
            }
            State::Transaction(transaction) if transaction.wants_body() => Step::Event(Event::WantsBody),
            _ => Step::Wait,
        }
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        if out.is_empty() {
            std::mem::swap(out, &mut self.output);
        } else {
            out.append(&mut self.output);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    fn wants_input(&self) -> bool {
        let waiting = match &self.state {
            State::Closed | State::Tls { .. } => false,
            State::Transaction(transaction) => !transaction.wants_body(),
            _ => true,
        };
        waiting && self.events.is_empty() && !self.input_ended && self.input.len() <= limits::REPLY_BYTES_MAX
    }

    fn tls_channel(&mut self, channel: sasl::Channel) {
        self.channel = Some(Box::new(channel));
    }

    fn tls_started(&mut self) {
        self.config.tls = true;
        self.input.clear();
        self.looked_at = 0;
        self.say_hello();
    }
}

impl crate::laws::Buffered for Client {
    fn input_buffered(&self) -> usize {
        self.input.len()
    }
}
