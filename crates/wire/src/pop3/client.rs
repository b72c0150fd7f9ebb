//! The client's half of POP3: signs in by the best way there is, then asks what its owner wants asked.
//!
//! Invariants: a password leaves only where the owner allows it or TLS is on; what a server said before TLS counts for
//! nothing after it, and octets behind its answer to STLS end the session. Must not know: where messages go.

use super::multiline::Unstuffer;
use super::{Capability, Command, Reply};
use crate::limits::{CLIENT_PATIENCE, MESSAGE_BYTES_PASSED_MAX, pop3 as limits};
use crate::pace::Pace;
use crate::sasl::client::{self as sasl_client, Credentials, Exchange};
use crate::sasl::{self, Mechanism};
use crate::session::{Session, Step, Time};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::fmt;

/// What to do about STLS on a connection without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stls {
    /// Do not ask for it.
    Never,
    /// If the server offers it.
    IfOffered,
    /// Or fail.
    Required,
}

/// How a session behaves; plain values.
#[derive(Debug, Clone)]
pub struct Config {
    /// Already under TLS.
    pub tls: bool,
    /// What to do otherwise.
    pub stls: Stls,
    /// The password may cross the wire without TLS.
    pub plaintext: bool,
    /// Whom to sign in as.
    pub credentials: Credentials,
    /// Random printable ASCII without comma, for SCRAM.
    pub nonce: String,
    /// Ask for UTF-8 mode where it is offered (RFC 6856).
    pub utf8: bool,
}

/// What the owner asks for, once signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Request {
    Stat,
    List,
    Uidl,
    Retr(u32),
    Top {
        message: u32,
        lines: u32,
    },
    Dele(u32),
    Noop,
    Rset,
    /// Makes the deletions come true, and ends.
    Quit,
}

impl Request {
    fn command(self) -> Command {
        match self {
            Request::Stat => Command::Stat,
            Request::List => Command::List(None),
            Request::Uidl => Command::Uidl(None),
            Request::Retr(message) => Command::Retr(message),
            Request::Top { message, lines } => Command::Top { message, lines },
            Request::Dele(message) => Command::Dele(message),
            Request::Noop => Command::Noop,
            Request::Rset => Command::Rset,
            Request::Quit => Command::Quit,
        }
    }

    fn is_multi_line(self) -> bool {
        matches!(self, Request::List | Request::Uidl | Request::Retr(_) | Request::Top { .. })
    }
}

/// What came of it. Nothing waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Signed in: what the server can do.
    Ready(Vec<Capability>),
    /// To STAT.
    Stat {
        /// How many.
        messages: u32,
        /// How large together.
        octets: u64,
    },
    /// A line of LIST.
    Listed {
        /// Its number.
        message: u32,
        /// Its size.
        octets: u64,
    },
    /// A line of UIDL.
    UniqueId {
        /// Its number.
        message: u32,
        /// As the server wrote it.
        id: String,
    },
    /// A piece of a message (RETR, TOP), dots already right.
    Content(Bytes),
    /// A request is answered to its end.
    Done(Request),
    /// A request got `-ERR`.
    Refused(Request, Reply),
    /// No session, or no longer: nothing that was asked for later is answered.
    Failed(Failure),
}

/// Why a session failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// `-ERR` instead of a greeting.
    Greeting(Reply),
    /// TLS is required and not offered, or STLS was refused.
    NoTls,
    /// No way to sign in that we know, or none that keeps the password private.
    NoMechanism,
    /// The server does not let us in.
    SignIn(Reply),
    /// The exchange went wrong.
    Sasl(sasl_client::Failure),
    /// This is not POP3.
    Protocol(&'static str),
    /// No answer in time.
    TimedOut,
    /// The server closed the connection.
    Ended,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Greeting(reply) => write!(f, "the server does not want us: {}", reply.text),
            Failure::NoTls => f.write_str("the server offers no TLS"),
            Failure::NoMechanism => f.write_str("there is no way to sign in that keeps the password private"),
            Failure::SignIn(reply) => write!(f, "signing in failed: {}", reply.text),
            Failure::Sasl(failure) => failure.fmt(f),
            Failure::Protocol(what) => write!(f, "the server does not speak POP3: {what}"),
            Failure::TimedOut => f.write_str("the server did not answer in time"),
            Failure::Ended => f.write_str("the server closed the connection"),
        }
    }
}

/// What the next line is about.
#[derive(Debug)]
enum Phase {
    Greeting,
    Capa,
    CapaLines,
    Stls,
    StartingTls,
    Utf8,
    User,
    Pass,
    Auth(Box<Exchange>),
    Ready,
    /// Lines of a LIST or UIDL.
    Lines(Request),
    /// Octets of a message.
    Content(Request, Unstuffer),
    Closing,
}

/// The session.
#[derive(Debug)]
pub struct Client {
    config: Config,
    phase: Phase,
    capabilities: Vec<Capability>,
    signed_in: bool,
    utf8_asked: bool,
    waiting: VecDeque<Request>,
    sent: VecDeque<Request>,
    input: BytesMut,
    /// The message under way is complete but for its `Done`.
    content_done: bool,
    /// Octets of the message, or lines of the listing under way.
    passed: u64,
    out: Vec<u8>,
    ended: bool,
    /// Of the answer under way.
    pace: Pace,
    /// Of the TLS that is on.
    channel: Option<Box<sasl::Channel>>,
}

impl Client {
    /// A session that has just been connected (with `config.tls`: whose TLS handshake is done).
    pub fn new(config: Config) -> Client {
        Client {
            config,
            phase: Phase::Greeting,
            capabilities: Vec::new(),
            signed_in: false,
            utf8_asked: false,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            input: BytesMut::new(),
            content_done: false,
            passed: 0,
            out: Vec::new(),
            ended: false,
            pace: Pace::default(),
            channel: None,
        }
    }

    /// Asks; may be called at any time, the answers come in order.
    pub fn request(&mut self, request: Request) {
        self.waiting.push_back(request);
        self.send();
    }

    /// Requests without their whole answer yet.
    pub fn pending(&self) -> usize {
        self.waiting.len() + self.sent.len()
    }

    /// TLS is on.
    pub fn is_tls(&self) -> bool {
        self.config.tls
    }

    fn send(&mut self) {
        if !self.signed_in {
            return;
        }
        let most = if self.capabilities.contains(&Capability::Pipelining) { limits::PIPELINE_MAX } else { 1 };
        while self.sent.len() < most {
            // Nothing may follow QUIT.
            if self.sent.back() == Some(&Request::Quit) {
                return;
            }
            let Some(request) = self.waiting.pop_front() else { return };
            request.command().encode(&mut self.out);
            if self.sent.is_empty() {
                self.pace.end(self.input.len());
            }
            self.sent.push_back(request);
        }
    }

    fn say(&mut self, command: &Command, next: Phase) {
        command.encode(&mut self.out);
        self.phase = next;
        self.pace.end(self.input.len());
    }

    fn fail(&mut self, failure: Failure) -> Option<Event> {
        self.phase = Phase::Closing;
        Some(Event::Failed(failure))
    }

    fn has(&self, wanted: impl Fn(&Capability) -> bool) -> bool {
        self.capabilities.iter().any(wanted)
    }
}

// ---- signing in ----

impl Client {
    /// CAPA is known: TLS first, then UTF-8 mode, then the password.
    fn go_on(&mut self) -> Option<Event> {
        if self.signed_in {
            self.phase = Phase::Ready;
            self.send();
            return Some(Event::Ready(self.capabilities.clone()));
        }
        if !self.config.tls && self.config.stls != Stls::Never {
            if self.has(|capability| *capability == Capability::Stls) {
                self.say(&Command::Stls, Phase::Stls);
                return None;
            }
            if self.config.stls == Stls::Required {
                return self.fail(Failure::NoTls);
            }
        }
        if self.config.utf8 && !self.utf8_asked && self.has(|capability| matches!(capability, Capability::Utf8 { .. })) {
            self.utf8_asked = true;
            self.say(&Command::Utf8, Phase::Utf8);
            return None;
        }
        self.sign_in()
    }

    fn sign_in(&mut self) -> Option<Event> {
        let private = self.config.tls || self.config.plaintext;
        let offered = Capability::mechanisms(&self.capabilities);
        match sasl_client::choose(&offered, &self.config.credentials, private, self.channel.as_deref()) {
            Some(mechanism) => self.begin_exchange(mechanism),
            // A server without CAPA has USER and PASS.
            None if private
                && self.config.credentials.password.is_password()
                && (self.capabilities.is_empty() || self.has(|c| *c == Capability::User)) =>
            {
                self.say(&Command::User(self.config.credentials.login.clone()), Phase::User);
            }
            None => return self.fail(Failure::NoMechanism),
        }
        None
    }

    fn begin_exchange(&mut self, mechanism: Mechanism) {
        let credentials = self.config.credentials.clone();
        let mut exchange = Exchange::new(mechanism, credentials.clone(), &self.config.nonce, self.channel.as_deref());
        let initial = exchange.initial().map(|octets| sasl::encode_initial(&octets));
        let name = mechanism.name().to_owned();
        let fits = |word: &String| "AUTH  \r\n".len() + name.len() + word.len() <= limits::COMMAND_BYTES_MAX;
        let initial = match initial {
            // RFC 5034 §4: what does not fit on the line waits for the server's empty challenge.
            Some(word) if !fits(&word) => {
                exchange = Exchange::new(mechanism, credentials, &self.config.nonce, self.channel.as_deref());
                None
            }
            initial => initial,
        };
        self.say(&Command::Auth { mechanism: Some(name), initial }, Phase::Auth(Box::new(exchange)));
    }

    fn challenge(&mut self, mut exchange: Box<Exchange>, line: &[u8]) -> Option<Event> {
        let text = line.get(1..).unwrap_or_default().trim_ascii();
        let Ok(challenge) = sasl::decode_line(text) else {
            return self.fail(Failure::Protocol("a challenge that is not base64"));
        };
        match exchange.respond(&challenge) {
            Ok(answer) => {
                self.out.extend_from_slice(sasl::encode_line(&answer).as_bytes());
                self.out.extend_from_slice(b"\r\n");
                self.phase = Phase::Auth(exchange);
                self.pace.end(self.input.len());
                None
            }
            Err(failure) => {
                self.out.extend_from_slice(b"*\r\n");
                self.fail(Failure::Sasl(failure))
            }
        }
    }

    fn welcome(&mut self) -> Option<Event> {
        self.signed_in = true;
        if self.capabilities.is_empty() {
            return self.go_on();
        }
        // What a server can do may differ once it knows us (RFC 2449 §5).
        self.say(&Command::Capa, Phase::Capa);
        None
    }
}

// ---- reading ----

impl Client {
    /// A line without its end, if there is one; `Err` when the server's line has no end.
    fn line(&mut self) -> Result<Option<BytesMut>, Failure> {
        let Some(at) = memchr::memchr(b'\n', &self.input) else {
            return if self.input.len() > limits::REPLY_BYTES_MAX { Err(Failure::Protocol("a line too long")) } else { Ok(None) };
        };
        if at >= limits::REPLY_BYTES_MAX {
            return Err(Failure::Protocol("a line too long"));
        }
        let mut line = self.input.split_to(at + 1);
        let end = if line.ends_with(b"\r\n") { at.saturating_sub(1) } else { at };
        line.truncate(end);
        Ok(Some(line))
    }

    fn act(&mut self, line: &[u8]) -> Option<Event> {
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::CapaLines if line == b"." => self.go_on(),
            Phase::CapaLines => {
                self.phase = Phase::CapaLines;
                if self.capabilities.len() >= limits::CAPABILITIES_MAX {
                    return self.fail(Failure::Protocol("too many capabilities"));
                }
                self.capabilities.push(Capability::parse(&String::from_utf8_lossy(line)));
                None
            }
            Phase::Lines(request) => self.listing_line(request, line),
            Phase::Auth(exchange) if line.first() == Some(&b'+') && !line.to_ascii_uppercase().starts_with(b"+OK") => {
                self.challenge(exchange, line)
            }
            phase => match Reply::parse(line) {
                Some(reply) => self.reply(phase, reply),
                None => self.fail(Failure::Protocol("neither +OK nor -ERR")),
            },
        }
    }

    fn reply(&mut self, phase: Phase, reply: Reply) -> Option<Event> {
        match phase {
            Phase::Greeting if reply.ok => self.say(&Command::Capa, Phase::Capa),
            Phase::Greeting => return self.fail(Failure::Greeting(reply)),
            Phase::Capa => {
                self.capabilities.clear();
                if !reply.ok {
                    return self.go_on();
                }
                self.phase = Phase::CapaLines;
            }
            Phase::Stls if reply.ok && self.input.is_empty() => self.phase = Phase::StartingTls,
            Phase::Stls if reply.ok => return self.fail(Failure::Protocol("octets behind the answer to STLS")),
            Phase::Stls => return self.fail(Failure::NoTls),
            Phase::Utf8 => return self.sign_in(),
            Phase::User if reply.ok => self.say(&Command::Pass(self.config.credentials.password.clone()), Phase::Pass),
            Phase::Pass if reply.ok => return self.welcome(),
            Phase::Auth(exchange) if reply.ok => match exchange.succeeded() {
                Ok(()) => return self.welcome(),
                Err(failure) => return self.fail(Failure::Sasl(failure)),
            },
            Phase::User | Phase::Pass | Phase::Auth(_) => {
                Command::Quit.encode(&mut self.out);
                return self.fail(Failure::SignIn(reply));
            }
            _ => return self.answer(reply),
        }
        None
    }

    /// A status line to the oldest request.
    fn answer(&mut self, reply: Reply) -> Option<Event> {
        let Some(request) = self.sent.front().copied() else {
            return self.fail(Failure::Protocol("an answer to nothing"));
        };
        if reply.ok && request.is_multi_line() {
            self.passed = 0;
            self.phase = match request {
                Request::List | Request::Uidl => Phase::Lines(request),
                _ => Phase::Content(request, Unstuffer::default()),
            };
            return None;
        }
        self.finish();
        if !reply.ok {
            return Some(Event::Refused(request, reply));
        }
        if request == Request::Stat {
            let mut words = reply.text.split(' ');
            let numbers = words.next().and_then(|word| word.parse().ok()).zip(words.next().and_then(|word| word.parse().ok()));
            return match numbers {
                Some((messages, octets)) => Some(Event::Stat { messages, octets }),
                None => self.fail(Failure::Protocol("STAT without numbers")),
            };
        }
        Some(Event::Done(request))
    }

    /// The oldest request is answered.
    fn finish(&mut self) {
        let request = self.sent.pop_front();
        self.pace.end(self.input.len());
        self.phase = if request == Some(Request::Quit) { Phase::Closing } else { Phase::Ready };
        self.send();
    }

    fn listing_line(&mut self, request: Request, line: &[u8]) -> Option<Event> {
        if line == b"." {
            self.finish();
            return Some(Event::Done(request));
        }
        self.phase = Phase::Lines(request);
        self.passed += 1;
        if self.passed > u64::from(limits::MESSAGES_MAX) {
            return self.fail(Failure::Protocol("a listing without an end"));
        }
        let text = String::from_utf8_lossy(line);
        let (number, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let word = rest.trim_start().split(' ').next().unwrap_or_default();
        let message = number.parse().ok().filter(|number| (1..=limits::MESSAGES_MAX).contains(number));
        match (message, request) {
            (Some(message), Request::Uidl) if !word.is_empty() => Some(Event::UniqueId { message, id: word.to_owned() }),
            (Some(message), Request::List) => match word.parse() {
                Ok(octets) => Some(Event::Listed { message, octets }),
                Err(_) => self.fail(Failure::Protocol("a size that is no number")),
            },
            _ => self.fail(Failure::Protocol("a listing line without a number")),
        }
    }

    fn content(&mut self, request: Request, mut unstuffer: Unstuffer) -> Option<Event> {
        let mut octets = Vec::new();
        if !self.content_done {
            let most = self.input.len().min(limits::CHUNK_BYTES_MAX);
            let (used, done) = unstuffer.read(self.input.get(..most).unwrap_or_default(), &mut octets);
            bytes::Buf::advance(&mut self.input, used);
            self.content_done = done;
        }
        if octets.is_empty() && std::mem::take(&mut self.content_done) {
            self.finish();
            return Some(Event::Done(request));
        }
        self.passed += octets.len() as u64;
        if self.passed > MESSAGE_BYTES_PASSED_MAX {
            return self.fail(Failure::Protocol("a message without an end"));
        }
        self.phase = Phase::Content(request, unstuffer);
        (!octets.is_empty()).then(|| Event::Content(octets.into()))
    }

    /// One step with what is in the buffer: an event, or `None` and whether anything happened.
    fn step(&mut self) -> (Option<Event>, bool) {
        if let Phase::Content(request, unstuffer) = &self.phase {
            let (request, unstuffer) = (*request, unstuffer.clone());
            return (self.content(request, unstuffer), false);
        }
        match self.line() {
            Ok(Some(line)) => (self.act(&line), true),
            Ok(None) => (None, false),
            Err(failure) => (self.fail(failure), true),
        }
    }
}

impl Session for Client {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.pace.hear(bytes.len());
    }

    fn receive_end(&mut self) {
        self.ended = true;
    }

    fn poll(&mut self, now: Time) -> Step<Event> {
        loop {
            self.pace.tick(now);
            match self.phase {
                Phase::Closing => return Step::Close,
                Phase::StartingTls if self.input.is_empty() => return Step::StartTls,
                Phase::StartingTls => {
                    self.phase = Phase::Closing;
                    return Step::Event(Event::Failed(Failure::Protocol("octets before the TLS handshake")));
                }
                _ => {}
            }
            let (event, moved) = self.step();
            if let Some(event) = event {
                return Step::Event(event);
            }
            if moved {
                continue;
            }
            let failure = if self.ended {
                Failure::Ended
            } else if self.deadline().is_some_and(|due| now >= due) {
                Failure::TimedOut
            } else {
                return Step::Wait;
            };
            self.phase = Phase::Closing;
            return Step::Event(Event::Failed(failure));
        }
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.out);
    }

    fn deadline(&self) -> Option<Time> {
        let idle = matches!(self.phase, Phase::Ready) && self.sent.is_empty();
        if idle || matches!(self.phase, Phase::Closing) {
            return None;
        }
        self.pace.deadline(limits::CLIENT_SECS_MAX, &CLIENT_PATIENCE)
    }

    fn wants_input(&self) -> bool {
        self.input.len() < limits::CHUNK_BYTES_MAX
    }

    fn tls_channel(&mut self, channel: sasl::Channel) {
        self.channel = Some(Box::new(channel));
    }

    fn tls_started(&mut self) {
        self.config.tls = true;
        self.capabilities.clear();
        // No new greeting; what it can do must be asked again (RFC 2595 §4).
        self.say(&Command::Capa, Phase::Capa);
    }
}

impl crate::laws::Buffered for Client {
    fn input_buffered(&self) -> usize {
        self.input.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::Secret;

    /// Signed in, this was asked, so much of the answer came already, and now this comes.
    fn hears(request: Request, passed: u64, octets: &[u8]) -> Vec<Event> {
        let credentials = Credentials { login: "ann".into(), password: Secret::new(b"pw".to_vec()) };
        let nonce = "client-nonce-client-nonce".into();
        let mut client = Client::new(Config { tls: true, stls: Stls::Never, plaintext: true, credentials, nonce, utf8: false });
        client.request(request);
        client.receive(b"+OK hi\r\n-ERR\r\n+OK\r\n+OK\r\n+OK\r\n");
        let mut events = Vec::new();
        for more in [b"".as_slice(), octets] {
            client.receive(more);
            while let Step::Event(event) = client.poll(Time(0)) {
                events.push(event);
            }
            client.passed += passed;
        }
        events.split_off(1)
    }

    #[test]
    fn a_listing_or_a_message_without_an_end_is_left() {
        let most = u64::from(limits::MESSAGES_MAX);
        let id = || Event::UniqueId { message: 1, id: "a".into() };
        assert_eq!(hears(Request::Uidl, most - 1, b"1 a\r\n"), [id()]);
        let end = Event::Failed(Failure::Protocol("a listing without an end"));
        assert_eq!(hears(Request::Uidl, most - 1, b"1 a\r\n1 a\r\n"), [id(), end]);
        let came = |passed| hears(Request::Retr(1), passed, b"abc\r\n");
        assert!(matches!(came(MESSAGE_BYTES_PASSED_MAX - 5)[..], [Event::Content(_)]), "{:?}", came(0));
        let end = Event::Failed(Failure::Protocol("a message without an end"));
        assert_eq!(came(MESSAGE_BYTES_PASSED_MAX - 2), [end]);
    }
}
