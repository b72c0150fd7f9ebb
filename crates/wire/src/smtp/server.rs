//! The server's half of SMTP (RFC 5321), submission (RFC 6409) and LMTP (RFC 2033).
//!
//! The session answers syntax, order, time-outs and limits itself; its owner is asked about people and messages.
//! Invariant: only CRLF.CRLF ends a message, so nobody can smuggle a second one behind it.
//! Must not know: accounts, domains, where messages go.

mod dispatch;
mod incoming;

use super::command::Bad;
use super::{Behind, EnhancedCode, ForwardPath, Keywords, MailParameters, RcptParameters, Reply, ReversePath};
use crate::limits::smtp as limits;
use crate::pace::{Pace, Patience};
use crate::sasl;
use crate::session::{Session, Step, Time};
use bytes::{Bytes, BytesMut};
use incoming::Incoming;
use std::collections::VecDeque;

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
    /// What may be asked of the delivery.
    pub keywords: Keywords,
    /// The peer is a proxy that may tell for whom it speaks (XCLIENT).
    pub xclient: bool,
    /// The greeting comes after so long, and whoever speaks before it is sent away.
    pub greeting_delay_secs: u64,
    /// Errors of syntax and order before 421.
    pub errors_max: u32,
    /// How slow a client may be.
    pub patience: Patience,
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
            auth: if submission { sasl::Mechanism::WITH_PASSWORD.to_vec() } else { Vec::new() },
            plaintext_auth: false,
            auth_required: submission,
            size_max,
            recipients_max: crate::limits::smtp::RECIPIENTS_MAX,
            keywords: Keywords::default(),
            xclient: false,
            greeting_delay_secs: 0,
            errors_max: crate::limits::smtp::ERRORS_MAX,
            patience: Patience::default(),
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
    /// XCLIENT: the peer is somebody else from now on, and nothing said before counts. No answer.
    Client(Behind),
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

/// What the session does with the next octets.
#[derive(Debug)]
enum State {
    /// The greeting is held back until then (known once the clock was looked at).
    Greeting {
        until: Option<Time>,
    },
    /// A command line.
    Command,
    /// The rest of a line that was too long.
    SkipLine,
    /// A line of the SASL exchange.
    AuthLine(sasl::server::Exchange),
    /// The owner's answer, first.
    Await(Await),
    /// DATA's text.
    Text,
    /// A BDAT chunk.
    Chunk {
        size: u64,
        left: u64,
        last: bool,
    },
    /// A BDAT chunk that belongs to nothing; then this reply.
    Discard {
        left: u64,
        then: Reply,
    },
    /// STARTTLS was answered; `asked` once the owner was told.
    Tls {
        asked: bool,
    },
    Closed,
}

#[derive(Debug)]
enum Await {
    /// `proved`: may `Accept` be believed?
    Auth {
        exchange: sasl::server::Exchange,
        acceptable: bool,
    },
    Mail {
        smtputf8: bool,
        binary: bool,
    },
    Rcpt,
    Data,
    Bdat {
        size: u64,
        last: bool,
    },
    MessageEnd,
}

/// From MAIL to the end of the message.
#[derive(Debug)]
struct Transaction {
    smtputf8: bool,
    /// BODY=BINARYMIME.
    binary: bool,
    /// Recipients accepted.
    accepted: usize,
    /// From the first BDAT, or DATA.
    incoming: Option<Incoming>,
}

/// The session.
#[derive(Debug)]
pub struct Server {
    config: Config,
    state: State,
    input: BytesMut,
    output: Vec<u8>,
    events: VecDeque<Event>,
    hello: Option<Hello>,
    transaction: Option<Transaction>,
    smtputf8_seen: bool,
    signed_in: bool,
    /// Of the TLS that is on.
    channel: Option<Box<sasl::Channel>>,
    errors: u32,
    /// Commands beside messages since the last message.
    idle_commands: u8,
    auth_failures: u32,
    input_ended: bool,
    shutting_down: bool,
    pace: Pace,
}

#[derive(Debug)]
struct Hello {
    name: String,
    extended: bool,
}

impl Server {
    /// A session that has just been connected (with `config.tls`: whose TLS handshake is done).
    pub fn new(config: Config) -> Server {
        let waits = config.greeting_delay_secs > 0;
        let mut server = Server {
            config,
            state: if waits { State::Greeting { until: None } } else { State::Command },
            input: BytesMut::new(),
            output: Vec::new(),
            events: VecDeque::new(),
            hello: None,
            transaction: None,
            smtputf8_seen: false,
            signed_in: false,
            channel: None,
            errors: 0,
            idle_commands: 0,
            auth_failures: 0,
            input_ended: false,
            shutting_down: false,
            pace: Pace::default(),
        };
        if !waits {
            server.greet();
        }
        server
    }

    fn greet(&mut self) {
        let service = if self.config.mode == Mode::Lmtp { "LMTP" } else { "ESMTP" };
        let greeting = format!("{} {service} {}", self.config.hostname, self.config.greeting);
        self.say(&Reply::plain(220, greeting));
    }

    /// Passwords may, or may not, come without TLS: the owner learnt who the peer is.
    pub fn set_plaintext_auth(&mut self, allowed: bool) {
        self.config.plaintext_auth = allowed;
    }

    /// The name given with EHLO, HELO or LHLO.
    pub fn hello_name(&self) -> Option<&str> {
        self.hello.as_ref().map(|hello| hello.name.as_str())
    }

    /// TLS is on.
    pub fn is_tls(&self) -> bool {
        self.config.tls
    }

    /// The `with` word of a Received field (RFC 3848, RFC 6531 §4.3) for the transaction under way or just over.
    pub fn protocol(&self) -> &'static str {
        let utf8 = self.smtputf8_seen;
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        match (self.config.mode == Mode::Lmtp, utf8, self.config.tls, self.signed_in) {
            (false, _, _, _) if !extended => "SMTP",
            (false, false, false, false) => "ESMTP",
            (false, false, true, false) => "ESMTPS",
            (false, false, false, true) => "ESMTPA",
            (false, false, true, true) => "ESMTPSA",
            (false, true, false, false) => "UTF8SMTP",
            (false, true, true, false) => "UTF8SMTPS",
            (false, true, false, true) => "UTF8SMTPA",
            (false, true, true, true) => "UTF8SMTPSA",
            (true, false, false, false) => "LMTP",
            (true, false, true, false) => "LMTPS",
            (true, false, false, true) => "LMTPA",
            (true, false, true, true) => "LMTPSA",
            (true, true, false, false) => "UTF8LMTP",
            (true, true, true, false) => "UTF8LMTPS",
            (true, true, false, true) => "UTF8LMTPA",
            (true, true, true, true) => "UTF8LMTPSA",
        }
    }

    /// Answers [`Event::Auth`]. After `Accept` the client is signed in for the rest of the session.
    pub fn auth(&mut self, answer: sasl::Answer) {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Await(Await::Auth { exchange, acceptable }) => self.auth_answered(exchange, acceptable, answer),
            other => self.state = other,
        }
    }

    /// Answers [`Event::Mail`], [`Event::Rcpt`], or refuses [`Event::Data`].
    pub fn reply(&mut self, reply: Reply) {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Await(Await::Mail { smtputf8, binary }) => {
                if reply.is_positive() {
                    self.transaction = Some(Transaction { smtputf8, binary, accepted: 0, incoming: None });
                    self.smtputf8_seen = smtputf8;
                }
                self.owner_says(reply);
            }
            State::Await(Await::Rcpt) => {
                if let Some(transaction) = self.transaction.as_mut().filter(|_| reply.is_positive()) {
                    transaction.accepted += 1;
                }
                self.owner_says(reply);
            }
            State::Await(Await::Data) => {
                self.transaction = None;
                self.owner_says(refusal(reply));
            }
            State::Await(Await::Bdat { size, .. }) => {
                self.transaction = None;
                self.discard(size, refusal(reply));
            }
            other => self.state = other,
        }
    }

    /// Answers [`Event::Data`]: let it come.
    pub fn data_go(&mut self) {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Await(Await::Data) => {
                self.begin_message(false);
                self.state = State::Text;
                self.say(&Reply::plain(354, "Send the message, then a line with a dot alone"));
            }
            State::Await(Await::Bdat { size, last }) => {
                self.begin_message(true);
                self.begin_chunk(size, last);
            }
            other => self.state = other,
        }
        self.pace.end(self.input.len());
    }

    /// Answers [`Event::MessageEnd`]: one reply, or in LMTP one for each accepted recipient in order (a single one is
    /// repeated for all).
    pub fn message_done(&mut self, replies: &[Reply]) {
        if !matches!(self.state, State::Await(Await::MessageEnd)) {
            return;
        }
        self.state = State::Command;
        let accepted = self.transaction.take().map_or(0, |transaction| transaction.accepted);
        let count = if self.config.mode == Mode::Lmtp { accepted } else { 1 };
        let fallback = Reply::new(451, EnhancedCode(4, 3, 0), "Try again later");
        for index in 0..count {
            let reply = replies.get(index).or(replies.last()).unwrap_or(&fallback).clone();
            self.owner_says(reply);
        }
        self.pace.end(self.input.len());
    }

    /// The server drains: 421 at the next command boundary.
    pub fn shut_down(&mut self) {
        self.shutting_down = true;
    }

    /// Says 421 with `text` and closes, at once (a session whose account was suspended, for one).
    pub fn close(&mut self, enhanced: EnhancedCode, text: &'static str) {
        if !matches!(self.state, State::Closed) {
            self.say_and_close(&Reply::new(421, enhanced, text));
        }
    }

    fn say(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
        self.pace.end(self.input.len());
    }

    /// A reply of the owner; its 421 closes.
    fn owner_says(&mut self, reply: Reply) {
        if reply.code == 421 {
            self.say_and_close(&reply);
        } else {
            self.say(&reply);
        }
    }

    fn say_and_close(&mut self, reply: &Reply) {
        self.say(reply);
        self.end(ResetCause::Closed);
    }

    /// Closes; the owner hears of a message that will not come.
    fn end(&mut self, cause: ResetCause) {
        self.reset(cause);
        self.input.clear();
        self.state = State::Closed;
    }

    /// Ends the transaction without a message, if there is one.
    fn reset(&mut self, cause: ResetCause) {
        if let Some(transaction) = self.transaction.take() {
            // Of a message already refused the owner has heard.
            if transaction.incoming.is_none_or(|incoming| !incoming.is_refused()) {
                self.events.push_back(Event::Reset(cause));
            }
        }
    }

    /// An error of syntax or order: counted, and past the limit the session closes.
    fn error(&mut self, reply: &Reply) {
        self.say(reply);
        self.count_error();
    }

    fn count_error(&mut self) {
        self.errors += 1;
        if self.errors > self.config.errors_max {
            self.say_and_close(&Reply::new(421, EnhancedCode(4, 7, 0), "Too many errors"));
        }
    }

    /// Uses up input; true while that may lead on.
    fn step(&mut self) -> bool {
        match &mut self.state {
            State::Closed | State::Await(_) | State::Tls { .. } | State::Greeting { .. } => false,
            State::Command | State::AuthLine(_) => {
                if self.shutting_down {
                    self.say_and_close(&Reply::new(421, EnhancedCode(4, 3, 2), "The server is going down; come back soon"));
                    return false;
                }
                self.step_line()
            }
            State::SkipLine => match memchr::memchr(b'\n', &self.input) {
                Some(end) => {
                    let _ = self.input.split_to(end + 1);
                    self.state = State::Command;
                    true
                }
                None => {
                    self.input.clear();
                    false
                }
            },
            State::Text => self.step_text(),
            State::Chunk { .. } => self.step_chunk(),
            State::Discard { left, .. } => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                *left -= used as u64;
                let done = *left == 0;
                let _ = self.input.split_to(used);
                if done && let State::Discard { then, .. } = std::mem::replace(&mut self.state, State::Command) {
                    self.owner_says(then);
                }
                done
            }
        }
    }

    /// One line of a command or of the SASL exchange.
    fn step_line(&mut self) -> bool {
        let in_auth = matches!(self.state, State::AuthLine(_));
        let long = in_auth || self.input.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        let bytes_max = if long { crate::limits::sasl::LINE_BYTES_MAX + 64 } else { limits::COMMAND_BYTES_MAX };
        let end = memchr::memchr(b'\n', &self.input);
        if end.unwrap_or(self.input.len()) >= bytes_max {
            // A line just read is skipped by SkipLine too.
            self.state = State::SkipLine;
            let detail = if in_auth { 6 } else { 2 };
            self.error(&Reply::new(500, EnhancedCode(5, 5, detail), "The line is too long"));
            return true;
        }
        let Some(end) = end else {
            if self.input_ended {
                self.end(ResetCause::Closed);
            }
            return false;
        };
        self.pace.end(self.input.len());
        let line = self.input.split_to(end + 1).freeze();
        let line = line.get(..end).unwrap_or_default();
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None if self.config.mode == Mode::Submission => line,
            None => {
                self.error(&Reply::new(
                    500,
                    EnhancedCode(5, 5, 2),
                    "A line must end in CR LF, not in LF alone (RFC 5321 section 2.3.8)",
                ));
                return true;
            }
        };
        match std::mem::replace(&mut self.state, State::Command) {
            State::AuthLine(exchange) => self.auth_line(exchange, line),
            _ => match self.parse(line) {
                Ok(command) => self.command(command),
                Err(Bad::Reply(reply)) => self.error(&reply),
                Err(Bad::Lost(reply)) => {
                    self.say(&reply);
                    self.say_and_close(&Reply::new(421, EnhancedCode(4, 5, 0), "Lost in the middle of a message"));
                }
                Err(Bad::Http) => {
                    self.say_and_close(&Reply::new(421, EnhancedCode(4, 7, 0), "This is a mail server, not a web server"))
                }
            },
        }
        true
    }

    /// Waits with the greeting; whoever does not wait for it does not read what we say either (RFC 5321 §4.3.1).
    fn hold_greeting(&mut self, now: Time) {
        let State::Greeting { until } = &mut self.state else { return };
        let until = *until.get_or_insert(now.plus_secs(self.config.greeting_delay_secs));
        if !self.input.is_empty() {
            self.say_and_close(&Reply::new(554, EnhancedCode(5, 5, 0), "You spoke before the greeting"));
        } else if self.input_ended {
            self.end(ResetCause::Closed);
        } else if now >= until {
            self.state = State::Command;
            self.greet();
        }
    }

    fn silence_secs(&self) -> u64 {
        self.config.patience.silence_secs.unwrap_or(limits::COMMAND_SECS_MAX)
    }

    fn timed_out(&self, now: Time) -> bool {
        let open = !matches!(self.state, State::Closed | State::Await(_));
        open && self.pace.is_over(now, self.silence_secs(), &self.config.patience)
    }
}

/// A refusal must be one; an owner's 2xx here would promise what is not kept.
fn refusal(reply: Reply) -> Reply {
    if reply.code >= 400 { reply } else { Reply::new(451, EnhancedCode(4, 3, 0), "Try again later") }
}

impl Session for Server {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        match self.state {
            State::Closed => {}
            // Whoever speaks in the clear between STARTTLS and the handshake is not the client (RFC 3207 §6).
            State::Tls { .. } => self.end(ResetCause::Closed),
            _ => {
                self.input.extend_from_slice(bytes);
                // The rest of a line nobody wants earns nothing.
                if !matches!(self.state, State::SkipLine) {
                    self.pace.hear(bytes.len());
                }
            }
        }
    }

    fn receive_end(&mut self) {
        self.input_ended = true;
    }

    fn poll(&mut self, now: Time) -> Step<Event> {
        self.pace.tick(now);
        self.hold_greeting(now);
        if self.timed_out(now) && self.events.is_empty() {
            self.say_and_close(&Reply::new(421, EnhancedCode(4, 4, 2), "Nothing came for too long"));
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            if !self.step() && self.events.is_empty() {
                break;
            }
        }
        match &mut self.state {
            State::Closed => return Step::Close,
            State::Tls { asked } if !*asked => {
                *asked = true;
                return Step::StartTls;
            }
            // The owner's time is not the peer's.
            State::Await(_) => self.pace.end(self.input.len()),
            State::Text | State::Chunk { .. } | State::Discard { .. } | State::SkipLine | State::Tls { .. }
                if self.input_ended =>
            {
                self.end(ResetCause::Closed);
                return self.events.pop_front().map_or(Step::Close, Step::Event);
            }
            _ => self.pace.tick(now),
        }
        if self.input.is_empty() {
            // Thousands of idle connections hold no buffer.
            self.input = BytesMut::new();
        }
        Step::Wait
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        if out.is_empty() {
            std::mem::swap(out, &mut self.output);
        } else {
            out.append(&mut self.output);
        }
    }

    fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Command) && self.input.is_empty() && self.events.is_empty()
    }

    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Await(_) | State::Closed => None,
            State::Greeting { until } => until,
            _ => self.pace.deadline(self.silence_secs(), &self.config.patience),
        }
    }

    fn wants_input(&self) -> bool {
        let idle = !matches!(self.state, State::Await(_) | State::Closed | State::Tls { .. });
        idle && self.events.is_empty() && !self.input_ended && self.input.len() < limits::INPUT_BYTES_MAX
    }

    fn tls_channel(&mut self, channel: sasl::Channel) {
        self.channel = Some(Box::new(channel));
    }

    fn tls_started(&mut self) {
        self.config.tls = true;
        self.hello = None;
        self.signed_in = false;
        self.input.clear();
        self.state = State::Command;
        self.pace.end(self.input.len());
    }
}

impl crate::laws::Buffered for Server {
    fn input_buffered(&self) -> usize {
        self.input.len()
    }
}
