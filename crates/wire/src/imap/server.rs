//! The server session (RFC 9051): bytes in, commands out one at a time and in order, answers back.
//!
//! It answers by itself: CAPABILITY, LOGOUT, STARTTLS, syntax errors, commands in the wrong state, literals that are
//! too large. Everything else is an event, and until the owner has answered it (`ok`, `no`, `bad`) the next command
//! waits in the buffer. Invariant: one tagged answer a command; buffers stay under [`super::limits`].

mod reading;

use super::append::{self, Append, AppendPiece, Head, Place, Replaced, Segment};
use super::capability;
use super::command::{self, Allowed, Command};
use super::cursor::{Cursor, SyntaxError};
use super::encoder::Encoder;
use super::framing::Framing;
use super::limits::{
    BAD_MAX, BAD_MAX_BEFORE_LOGIN, BUFFER_BYTES_KEPT, INPUT_BYTES_MAX, INPUT_BYTES_MAX_BEFORE_LOGIN, LOGIN_FAILURES_MAX,
};
use super::response::{Kind, Response, encode_condition};
use super::response_code::Code;
use super::string::LiteralHead;
use super::tag::Tag;
use crate::deflate::Deflate;
use crate::pace::{Pace, Patience};
use crate::sasl::server::{Exchange, Step as SaslStep};
use crate::sasl::{self, Answer, Channel, Mechanism, Question, Refusal, Secret};
use crate::session::{Session, Step, Time};
use bytes::{Bytes, BytesMut};
use reading::Progress;
use smol_str::SmolStr;
use std::collections::VecDeque;

/// What the session must know before its first word.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Our name, in the greeting.
    pub hostname: SmolStr,
    /// TLS is on already.
    pub tls: bool,
    /// STARTTLS can be had.
    pub starttls: bool,
    /// Passwords may cross this connection without TLS (else LOGINDISABLED until TLS).
    pub plaintext_login: bool,
    /// SASL mechanisms, of those that can be used; empty leaves LOGIN alone.
    pub mechanisms: Vec<Mechanism>,
    /// APPENDLIMIT (RFC 7889).
    pub append_bytes_max: u64,
    /// Capabilities not to announce (a switch for client bugs), in any case.
    pub capabilities_off: Vec<SmolStr>,
    /// What is announced after sign-in only where it is configured (MESSAGELIMIT=1000, JMAPACCESS ...).
    pub capabilities_more: Vec<SmolStr>,
}

/// A whole line.
enum Parsed {
    Command(Command),
    Append((Head, Segment)),
}

/// An APPEND without a literal of message octets: all of its parts are URLs.
fn append_line(c: &mut Cursor<'_>, name: &str) -> Result<(Head, Segment), SyntaxError> {
    let Some(head) = Head::parse(c, name)? else { return c.error("a mailbox name is missing") };
    match Segment::parse(c, head.place())? {
        Some(segment) => Ok((head, segment)),
        None => c.error("a URL is missing"),
    }
}

/// What the client wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A command to be done; answer with `untagged` ... and then `ok`, `no` or `bad`.
    /// Never CAPABILITY, LOGOUT, STARTTLS, LOGIN, AUTHENTICATE, APPEND, REPLACE or IDLE.
    Command {
        /// For ESEARCH's correlator and the like.
        tag: Tag,
        /// What to do.
        command: Command,
    },
    /// LOGIN or AUTHENTICATE: the same questions as in SMTP and POP3; answer with [`Server::answer`].
    Sasl(Question),
    /// APPEND or REPLACE up to its first message: answer with `append_go` (then its chunks, or its pieces, follow) or
    /// `no`/`bad` (what comes is thrown away).
    Append {
        /// Of the command.
        tag: Tag,
        /// Where to, flags, date, size.
        append: Append,
        /// Its octets come in pieces (CATENATE, RFC 4469).
        catenate: bool,
        /// REPLACE: in whose place.
        replaced: Option<Replaced>,
    },
    /// Another message of the APPEND, or a part of a catenated one: answer as to [`Event::Append`].
    AppendPiece(AppendPiece),
    /// The next octets of the message or part; poll again, no answer. `no`/`bad` may be said at once, then the rest is thrown away.
    AppendChunk(Bytes),
    /// All octets are there and the command's syntax was right: answer with `ok`, `no` or `bad`.
    AppendEnd,
    /// The command ended in a syntax error, which is answered already: throw the octets away; no answer.
    AppendAborted,
    /// IDLE began (its continuation is sent): push `untagged` from now on, first what is already waiting (lessons C19).
    /// The session goes on reading; drop out of `next` and come back as you like.
    Idle {
        /// Of the command.
        tag: Tag,
    },
    /// DONE: stop pushing and say `ok`. (Had the client said something else the session turns that into BAD.)
    IdleDone,
}

/// Where the conversation stands (RFC 9051 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum State {
    NotAuthenticated,
    Authenticated,
    Selected,
    Logout,
}

/// What the session is in the middle of.
#[derive(Debug)]
enum Phase {
    /// Between commands or within the lines of one.
    Command,
    /// An event waits for its answer.
    Answer,
    /// The owner looks at a piece of an APPEND.
    AppendAsked,
    /// The next piece of what was read, or the end, is due.
    AppendNext,
    /// So many octets of a literal are still to come.
    AppendOctets {
        left: u64,
    },
    /// What stands behind the octets.
    AppendTail,
    /// So many octets nobody wants, then the rest of their line.
    Drain {
        left: u64,
    },
    /// The rest of a line nobody wants.
    DiscardLine,
    /// A challenge waits for the client's line.
    Sasl(Box<Exchange>),
    /// A question waits for the owner.
    SaslAsked(Box<Exchange>),
    Idle,
    StartTls,
    Closed,
}

/// An APPEND between its first word and its end.
#[derive(Debug)]
struct Appending {
    place: Place,
    /// Read, not handed out yet.
    pieces: VecDeque<AppendPiece>,
    /// Follows the last of them.
    literal: Option<LiteralHead>,
}

/// The server side of one IMAP connection.
#[derive(Debug)]
pub struct Server {
    /// Read at the greeting and at CAPABILITY only.
    config: Box<ServerConfig>,
    state: State,
    phase: Phase,
    utf8: bool,
    input: BytesMut,
    framing: Framing,
    /// The APPEND at hand.
    appending: Option<Box<Appending>>,
    /// Octets thrown away for the command at hand.
    drained: u64,
    ended: bool,
    out: Vec<u8>,
    /// Of the command at hand.
    tag: Option<Tag>,
    /// COMPRESS is on.
    deflate: Option<Box<Deflate>>,
    /// An event born of an answer.
    queued: Option<Event>,
    /// IDLE ended with something other than DONE.
    idle_broken: bool,
    bads: u32,
    login_failures: u32,
    /// Commands of nobody.
    unsigned: u8,
    pace: Pace,
    patience: Patience,
    /// Of the TLS that is on.
    channel: Option<Box<Channel>>,
}

impl Server {
    /// Begins with the greeting. PREAUTH is never used (lessons: it confuses clients).
    pub fn new(config: ServerConfig) -> Server {
        let mut server = Server {
            config: Box::new(config),
            state: State::NotAuthenticated,
            phase: Phase::Command,
            utf8: false,
            input: BytesMut::new(),
            framing: Framing::default(),
            appending: None,
            drained: 0,
            ended: false,
            out: Vec::new(),
            tag: None,
            deflate: None,
            queued: None,
            idle_broken: false,
            bads: 0,
            login_failures: 0,
            unsigned: 0,
            pace: Pace::default(),
            patience: Patience::default(),
            channel: None,
        };
        server.greet();
        server
    }

    /// What the TLS of a session that begins under it lends to sign-in; before anything is transmitted.
    pub fn on_channel(mut self, channel: Option<Channel>) -> Server {
        self.channel = channel.map(Box::new);
        self.greet();
        self
    }

    fn greet(&mut self) {
        self.out.clear();
        let code = Code::Capability(self.capabilities());
        let text = format!("{} is ready", self.config.hostname);
        self.condition("*", Kind::Ok, Some(&code), &text);
    }
    /// Greets with BYE and closes (too many connections, shutting down).
    pub fn refused(config: ServerConfig, text: &str) -> Server {
        let mut server = Server::new(config);
        server.out.clear();
        server.bye(Some(Code::Unavailable), text);
        server
    }
    /// How long a silent or slow client is borne.
    pub fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }
    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }
    /// TLS is on.
    pub fn is_tls(&self) -> bool {
        self.config.tls
    }

    // ---- answers to the command that waits ----

    /// `tag OK [code] text`; ends the command.
    pub fn ok(&mut self, code: Option<Code>, text: &str) {
        if std::mem::take(&mut self.idle_broken) {
            return self.bad(None, "IDLE ends with DONE");
        }
        self.bads = 0;
        self.finish(Kind::Ok, code.as_ref(), text);
    }
    /// `tag NO [code] text`; ends the command.
    pub fn no(&mut self, code: Option<Code>, text: &str) {
        self.finish(Kind::No, code.as_ref(), text);
    }
    /// `tag BAD [code] text`; ends the command and counts.
    pub fn bad(&mut self, code: Option<Code>, text: &str) {
        self.finish(Kind::Bad, code.as_ref(), text);
        self.count_bad();
    }
    /// Go on with an APPEND: sends the continuation if a literal is next and it is synchronising.
    pub fn append_go(&mut self) {
        let (Phase::AppendAsked, Some(appending)) = (&self.phase, self.appending.as_mut()) else { return };
        let literal = if appending.pieces.is_empty() { appending.literal.take() } else { None };
        self.phase = match literal {
            Some(head) => {
                if !head.non_synchronising {
                    self.out.extend_from_slice(b"+ Ready for the message\r\n");
                }
                Phase::AppendOctets { left: head.len }
            }
            None => Phase::AppendNext,
        };
    }
    /// To [`Event::Sasl`]. Accept: state Authenticated and `tag OK [CAPABILITY ...]`; Refuse: NO with the right code.
    pub fn answer(&mut self, answer: Answer) {
        match (answer, std::mem::replace(&mut self.phase, Phase::Answer)) {
            (Answer::Accept, _) => {
                self.state = State::Authenticated;
                let code = Code::Capability(self.capabilities());
                self.ok(Some(code), "Signed in");
            }
            (Answer::Refuse(refusal), _) => self.refuse(refusal),
            (Answer::Scram { verifier, nonce }, Phase::SaslAsked(mut exchange)) => {
                let step = exchange.scram(verifier, &nonce);
                self.queued = self.sasl_step(exchange, step);
            }
            (Answer::RefuseToken { discovery }, Phase::SaslAsked(mut exchange)) => {
                let step = exchange.refuse_token(discovery.as_deref());
                self.queued = self.sasl_step(exchange, step);
            }
            (Answer::RefuseToken { .. }, _) => self.refuse(Refusal::Credentials),
            (Answer::Scram { .. }, _) => self.refuse(Refusal::Temporary),
        }
    }
    /// Call before the tagged answer of SELECT, EXAMINE, CLOSE, UNSELECT (a failed SELECT: `false`).
    pub fn selected(&mut self, selected: bool) {
        if matches!(self.state, State::Authenticated | State::Selected) {
            self.state = if selected { State::Selected } else { State::Authenticated };
        }
    }

    /// To UNAUTHENTICATE: says OK; then nobody is signed in, names are as at the beginning, and nothing is compressed any
    /// more: of ours what is behind the OK, of the client's what is behind the command (RFC 8437 §3, §4.1).
    pub fn unauthenticated(&mut self) {
        self.ok(None, "Nobody is signed in now");
        if let Some(deflate) = self.deflate.as_mut() {
            let mut compressed = Vec::new();
            deflate.transmit(&mut self.out, &mut compressed);
            self.out = compressed;
            deflate.end();
            self.hear(&[]);
        }
        self.utf8 = false;
        if !matches!(self.phase, Phase::Closed) {
            self.state = State::NotAuthenticated;
        }
    }

    // ---- untagged ----

    /// One untagged response.
    pub fn untagged(&mut self, response: &Response) {
        let mut e = Encoder::server(std::mem::take(&mut self.out), self.utf8);
        e.raw("* ");
        response.encode(&mut e);
        e.raw("\r\n");
        self.out = e.bytes;
    }
    /// For rendered responses and the pieces of large literals: append whole CRLF-ended lines (or what a begun literal needs).
    pub fn out_mut(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
    /// Of the command at hand.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }
    /// Octets waiting to be transmitted: flush the connection when it grows past what one wants to hold.
    pub fn out_len(&self) -> usize {
        self.out.len()
    }
    /// `* BYE [code] text` and close (shutdown, account suspended); also in IDLE or with a command waiting.
    pub fn bye(&mut self, code: Option<Code>, text: &str) {
        if !matches!(self.phase, Phase::Closed) {
            self.condition("*", Kind::Bye, code.as_ref(), text);
            self.close();
        }
    }

    // ---- modes ----

    /// ENABLE IMAP4rev2 or UTF8=ACCEPT came: names and strings are UTF-8 in both directions from the next command on
    /// (call before `ok`). Also decides how `untagged` writes names.
    pub fn set_utf8(&mut self, utf8: bool) {
        self.utf8 = utf8;
    }
    /// As set.
    pub fn utf8(&self) -> bool {
        self.utf8
    }
    /// COMPRESS is on.
    pub fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }
    /// Of the IDLE that is on.
    pub fn idle_tag(&self) -> Option<&str> {
        self.tag.as_ref().filter(|_| matches!(self.phase, Phase::Idle)).map(Tag::as_str)
    }
    /// Announces these no more (client bugs).
    pub fn switch_off(&mut self, capabilities: impl IntoIterator<Item = SmolStr>) {
        for name in capabilities {
            if self.offers(&name) {
                self.config.capabilities_off.push(name);
            }
        }
    }
    /// Announces these too, after sign-in (before the answer that signs in).
    pub fn switch_on(&mut self, capabilities: impl IntoIterator<Item = SmolStr>) {
        self.config.capabilities_more = capabilities.into_iter().collect();
    }
    /// The capability list that is right now (for the answer of a face's own).
    pub fn capabilities(&self) -> Vec<SmolStr> {
        capability::of_server(&self.config, self.state, self.channel.as_deref())
    }

    // ---- inside ----

    /// Octets of the client that are not used yet, inflated or not.
    fn buffered(&self) -> usize {
        self.input.len() + self.deflate.as_ref().map_or(0, |deflate| deflate.waiting())
    }

    fn hear(&mut self, bytes: &[u8]) {
        let Some(deflate) = &mut self.deflate else { return self.input.extend_from_slice(bytes) };
        deflate.receive(bytes);
        if let Some(rest) = deflate.rest() {
            self.input.extend_from_slice(&rest);
            self.deflate = None;
        }
    }

    /// More input out of what came compressed? What is no DEFLATE stream ends the session.
    fn inflate(&mut self) -> bool {
        // The command at hand may be the one that ends compression.
        if self.owner_is_next() {
            return false;
        }
        let Some(deflate) = self.deflate.as_mut().filter(|deflate| !deflate.is_over()) else { return false };
        let sure = match self.phase {
            Phase::AppendOctets { left } | Phase::Drain { left } => left.saturating_sub(self.input.len() as u64),
            _ => 0,
        };
        match deflate.inflate(&mut self.input, INPUT_BYTES_MAX, sure) {
            Ok(more) => more,
            Err(_) => {
                self.bye(None, "That is not compressed");
                true
            }
        }
    }

    fn silence_deadline(&self) -> Option<Time> {
        if self.owner_is_next() { None } else { self.pace.deadline(self.silence_secs(), &self.patience) }
    }

    fn condition(&mut self, tag: &str, kind: Kind, code: Option<&Code>, text: &str) {
        let mut e = Encoder::server(std::mem::take(&mut self.out), self.utf8);
        e.raw(tag);
        e.raw(" ");
        encode_condition(&mut e, kind, code, text);
        e.raw("\r\n");
        self.out = e.bytes;
    }

    /// The tagged answer; what the client still sends for the command is thrown away.
    fn finish(&mut self, kind: Kind, code: Option<&Code>, text: &str) {
        let Some(tag) = self.tag.take() else { return };
        self.condition(tag.as_str(), kind, code, text);
        self.pace.end(self.input.len());
        self.idle_broken = false;
        self.phase = match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Closed => Phase::Closed,
            Phase::AppendAsked => {
                let literal = self.appending.as_ref().and_then(|appending| appending.literal);
                literal.filter(|head| head.non_synchronising).map_or(Phase::Command, |head| Phase::Drain { left: head.len })
            }
            Phase::AppendOctets { left } => Phase::Drain { left },
            Phase::AppendTail => Phase::DiscardLine,
            _ => Phase::Command,
        };
        self.appending = None;
        if let Phase::Drain { left } = self.phase {
            self.drain(left);
        }
    }

    /// Throws `left` octets away and the rest of their line, if that is within reason.
    fn drain(&mut self, left: u64) {
        self.phase = Phase::Drain { left };
        self.count_drained(left);
    }

    fn count_bad(&mut self) {
        self.bads += 1;
        let max = if self.state == State::NotAuthenticated { BAD_MAX_BEFORE_LOGIN } else { BAD_MAX };
        if self.bads >= max {
            self.bye(None, "Too many errors");
        }
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.state = State::Logout;
        self.tag = None;
        self.input = BytesMut::new();
    }

    /// BAD to a command whose tag may not even be readable.
    fn syntax(&mut self, tag: Option<Tag>, error: SyntaxError) {
        match tag {
            Some(tag) => {
                self.tag = Some(tag);
                self.bad(None, error.what);
            }
            None => {
                self.condition("*", Kind::Bad, None, error.what);
                self.count_bad();
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.login_failures += 1;
        match refusal {
            Refusal::Credentials => self.no(Some(Code::AuthenticationFailed), "Wrong login name or password"),
            Refusal::Suspended => self.no(Some(Code::ContactAdmin), "This account is suspended"),
            Refusal::ProgramPassword => {
                self.no(Some(Code::AuthorizationFailed), "Use an app password: this account has a second factor");
            }
            Refusal::Temporary => self.no(Some(Code::Unavailable), "Signing in is not possible now, try again later"),
        }
        if self.login_failures >= LOGIN_FAILURES_MAX {
            self.bye(None, "Too many failed sign-ins");
        }
    }

    /// One whole command without its last CRLF.
    fn command(&mut self, text: &[u8]) -> Option<Event> {
        if self.state == State::NotAuthenticated {
            self.unsigned = self.unsigned.saturating_add(1);
            if self.unsigned > crate::limits::IDLE_COMMANDS_MAX {
                self.bye(None, "Too many commands without a sign-in");
                return None;
            }
        }
        let mut c = Cursor::with_utf8(text, self.utf8);
        let tag = match Tag::parse(&mut c).and_then(|tag| c.space().map(|()| tag)) {
            Ok(tag) => tag,
            Err(error) => {
                self.syntax(None, error);
                return None;
            }
        };
        let parsed = command::word(&mut c).and_then(|(name, allowed)| match self.state_error(allowed) {
            Some(what) => c.error(what),
            None if append::is_append(&c, name) => append_line(&mut c, name).map(Parsed::Append),
            None => Command::parse_arguments(&mut c, name).map(Parsed::Command),
        });
        match parsed {
            Ok(Parsed::Append((head, segment))) => Some(self.begin_append(tag, head, segment)),
            Ok(Parsed::Command(command)) => {
                self.tag = Some(tag.clone());
                self.phase = Phase::Answer;
                self.dispatch(tag, command)
            }
            Err(error) => {
                self.syntax(Some(tag), error);
                None
            }
        }
    }

    fn state_error(&self, allowed: Allowed) -> Option<&'static str> {
        match (allowed, self.state) {
            (Allowed::Always, _) | (Allowed::NotAuthenticated, State::NotAuthenticated) => None,
            (Allowed::NotAuthenticated, _) => Some("You are signed in already"),
            (_, State::NotAuthenticated) => Some("Sign in first"),
            (Allowed::Selected, State::Authenticated) => Some("Select a mailbox first"),
            _ => None,
        }
    }

    /// What the session does by itself; the rest is the owner's.
    fn dispatch(&mut self, tag: Tag, command: Command) -> Option<Event> {
        match command {
            Command::Capability => {
                self.untagged(&Response::Capability(self.capabilities()));
                self.ok(None, "CAPABILITY completed");
                None
            }
            Command::Logout => {
                self.condition("*", Kind::Bye, None, "Goodbye");
                self.ok(None, "LOGOUT completed");
                self.close();
                None
            }
            Command::StartTls => {
                self.start_tls();
                None
            }
            Command::Compress(mechanism) => {
                self.compress(&mechanism);
                None
            }
            // RFC 8437 §3, §8: there is a way to have it not.
            Command::Unauthenticate if !self.offers("UNAUTHENTICATE") => {
                self.bad(None, "That is not offered");
                None
            }
            Command::Login { user, password } => self.login(user, Secret::new(password)),
            Command::Authenticate { mechanism, initial_response } => self.authenticate(&mechanism, initial_response),
            Command::Idle => {
                self.out.extend_from_slice(b"+ idling\r\n");
                self.phase = Phase::Idle;
                Some(Event::Idle { tag })
            }
            command => Some(Event::Command { tag, command }),
        }
    }

    /// RFC 9051 §6.2.1. Whatever was sent behind it was not meant for TLS, or not by the client: close.
    fn start_tls(&mut self) {
        if self.config.tls || !self.config.starttls {
            return self.bad(None, "TLS is not to be had now");
        }
        if !self.input.is_empty() {
            return self.bye(None, "Nothing may follow STARTTLS before TLS");
        }
        self.ok(None, "Begin TLS now");
        self.phase = Phase::StartTls;
    }

    /// RFC 4978 §3: the OK is the last that goes as it is; what came behind the command is compressed.
    fn compress(&mut self, mechanism: &str) {
        if self.deflate.is_some() {
            return self.no(Some(Code::CompressionActive), "DEFLATE is active already");
        }
        if !mechanism.eq_ignore_ascii_case("DEFLATE") || !self.offers("COMPRESS=DEFLATE") {
            return self.no(Some(Code::Cannot), "That compression is not offered");
        }
        self.ok(None, "DEFLATE active");
        let (plain, raw) = (std::mem::take(&mut self.out), std::mem::take(&mut self.input));
        self.deflate = Some(Box::new(Deflate::new(plain, &raw)));
    }

    fn offers(&self, capability: &str) -> bool {
        !self.config.capabilities_off.iter().any(|off| off.eq_ignore_ascii_case(capability))
    }

    fn login(&mut self, login: String, password: Secret) -> Option<Event> {
        if !capability::password_allowed(&self.config) {
            self.no(Some(Code::PrivacyRequired), "Passwords need TLS");
            return None;
        }
        Some(Event::Sasl(Question::Password { login, password }))
    }

    fn authenticate(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> Option<Event> {
        let known = Mechanism::parse(mechanism);
        let Some(mechanism) =
            known.filter(|m| capability::mechanisms(&self.config, self.channel.as_deref()).any(|offered| offered == *m))
        else {
            match known {
                // One that is not offered at all would not be so under TLS.
                Some(m) if m.shows_password() && self.config.mechanisms.contains(&m) => {
                    self.no(Some(Code::PrivacyRequired), "Passwords need TLS");
                }
                _ => self.no(Some(Code::Cannot), "That mechanism is not offered"),
            }
            return None;
        };
        let (exchange, step) = {
            let plus = self.config.mechanisms.contains(&Mechanism::ScramSha256Plus);
            Exchange::start_on(mechanism, initial.as_deref(), self.channel.as_deref().filter(|channel| plus && channel.binds()))
        };
        self.sasl_step(Box::new(exchange), step)
    }

    fn sasl_step(&mut self, exchange: Box<Exchange>, step: SaslStep) -> Option<Event> {
        match step {
            SaslStep::Challenge(octets) => {
                self.out.extend_from_slice(format!("+ {}\r\n", sasl::encode_line(&octets)).as_bytes());
                self.phase = Phase::Sasl(exchange);
                None
            }
            SaslStep::Ask(question) => {
                self.phase = Phase::SaslAsked(exchange);
                Some(Event::Sasl(question))
            }
            SaslStep::Refused(refusal) => {
                self.refuse(refusal);
                None
            }
            SaslStep::Failed(failure) => {
                self.sasl_failed(failure);
                None
            }
        }
    }

    /// The exchange is over and its command cleared, whatever was wrong (lessons C10).
    fn sasl_failed(&mut self, failure: sasl::Failure) {
        match failure {
            sasl::Failure::Cancelled => self.bad(None, "AUTHENTICATE cancelled"),
            sasl::Failure::Base64 | sasl::Failure::Syntax => self.bad(None, "That is not what the mechanism wants"),
            sasl::Failure::TooLong => self.bad(None, "That is too long"),
            sasl::Failure::AuthorizationIdentity => {
                self.no(Some(Code::AuthorizationFailed), "You cannot act for another account");
            }
            sasl::Failure::ChannelBinding => self.no(Some(Code::AuthenticationFailed), "The channel binding does not fit"),
        }
    }

    /// A line of the client within AUTHENTICATE. `false`: the line is a command and must be read again.
    fn sasl_line(&mut self, mut exchange: Box<Exchange>, line: &[u8]) -> (Option<Event>, bool) {
        self.phase = Phase::Answer;
        // Base64 has no space: this is the next command of a client that gave up without a word (lessons: eM Client).
        if line.contains(&b' ') {
            self.sasl_failed(sasl::Failure::Cancelled);
            return (None, false);
        }
        match sasl::decode_line(line) {
            Ok(octets) => {
                let step = exchange.respond(&octets);
                (self.sasl_step(exchange, step), true)
            }
            Err(failure) => {
                self.sasl_failed(failure);
                (None, true)
            }
        }
    }

    /// A line within IDLE. `false`: it is no DONE, so it is a command and must be read again.
    fn idle_line(&mut self, line: &[u8]) -> (Option<Event>, bool) {
        let done = line.trim_ascii().eq_ignore_ascii_case(b"DONE");
        self.idle_broken = !done;
        self.phase = Phase::Answer;
        (Some(Event::IdleDone), done)
    }
}

impl Session for Server {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.phase, Phase::Closed) {
            self.hear(bytes);
            self.pace.hear(bytes.len());
        }
    }

    fn receive_end(&mut self) {
        self.ended = true;
    }

    fn poll(&mut self, now: Time) -> Step<Event> {
        self.pace.tick(now);
        if let Some(deflate) = &mut self.deflate {
            deflate.tick(now);
        }
        if self.silence_deadline().is_some_and(|deadline| now >= deadline) {
            self.bye(None, "Autologout, you were silent for too long");
        }
        loop {
            match self.phase {
                Phase::Closed => return Step::Close,
                Phase::StartTls => return Step::StartTls,
                _ => {}
            }
            match self.advance() {
                Progress::Event(event) => return Step::Event(event),
                Progress::Again => {}
                Progress::Starved if self.inflate() => {}
                Progress::Starved if self.ended && !self.owner_is_next() => self.close(),
                Progress::Starved => {
                    self.pace.tick(now);
                    if self.input.is_empty() && self.input.capacity() > BUFFER_BYTES_KEPT {
                        self.input = BytesMut::new();
                    }
                    return Step::Wait;
                }
            }
        }
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        if let Some(deflate) = self.deflate.as_mut().filter(|deflate| !deflate.is_over()) {
            deflate.transmit(&mut self.out, out);
            if self.out.capacity() > BUFFER_BYTES_KEPT {
                self.out = Vec::new();
            }
        } else if self.out.capacity() > BUFFER_BYTES_KEPT {
            let ready = std::mem::take(&mut self.out);
            if out.is_empty() { *out = ready } else { out.extend_from_slice(&ready) }
        } else {
            out.append(&mut self.out);
        }
    }

    fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Command | Phase::Idle) && self.input.is_empty() && self.queued.is_none()
    }

    fn deadline(&self) -> Option<Time> {
        let deflate = self.deflate.as_ref().and_then(|deflate| deflate.deadline());
        self.silence_deadline().into_iter().chain(deflate).min()
    }

    fn wants_input(&self) -> bool {
        let max = if self.state == State::NotAuthenticated { INPUT_BYTES_MAX_BEFORE_LOGIN } else { INPUT_BYTES_MAX };
        !self.owner_is_next() && !self.ended && self.buffered() < max
    }

    fn tls_channel(&mut self, channel: Channel) {
        self.channel = Some(Box::new(channel));
    }

    fn tls_started(&mut self) {
        self.config.tls = true;
        self.pace.end(self.input.len());
        self.phase = Phase::Command;
        if !self.input.is_empty() {
            self.close();
        }
    }
}

impl crate::laws::Buffered for Server {
    fn input_buffered(&self) -> usize {
        self.buffered()
    }
}
