//! The server's half of POP3.
//!
//! Once the owner has opened a [`Maildrop`], the session does STAT, LIST, UIDL, DELE and RSET by itself; the owner is
//! asked about people, for the octets of messages, and at QUIT. Invariant: a message marked by DELE is named only in
//! [`Event::Quit`]; a session that ends otherwise deletes nothing (RFC 1939 §6).
//! Must not know: accounts, where messages lie.

use super::language::Text;
use super::multiline::{Stuffer, TopCutter};
use super::{Capability, Command, CommandError, Expire, Language, Reply, ResponseCode};
use crate::limits::pop3 as limits;
use crate::pace::Patience;
use crate::sasl::server::{Exchange, Step as SaslStep};
use crate::sasl::{self, Mechanism, Question, ScramVerifier};
use crate::session::{Session, Step, Time};
use std::fmt;

/// How a session behaves; plain values.
#[derive(Debug, Clone)]
pub struct Config {
    /// Our name in the greeting.
    pub hostname: String,
    /// Already under TLS.
    pub tls: bool,
    /// STLS can be offered.
    pub stls: bool,
    /// Signing in is allowed without TLS too.
    pub plaintext: bool,
    /// SASL mechanisms; empty switches AUTH off.
    pub mechanisms: Vec<Mechanism>,
    /// What CAPA says about how long messages stay.
    pub expire: Expire,
    /// Seconds between sessions, if the owner keeps to such a rule.
    pub login_delay_secs: Option<u32>,
    /// How long a silent client is borne.
    pub patience: Patience,
    /// What CAPA says about us.
    pub implementation: String,
}

impl Config {
    /// Everything on, no plaintext, no TLS yet, nothing to begin it with.
    pub fn new(hostname: impl Into<String>) -> Config {
        Config {
            hostname: hostname.into(),
            tls: false,
            stls: false,
            plaintext: false,
            mechanisms: Mechanism::WITH_PASSWORD.to_vec(),
            expire: Expire::Never,
            login_delay_secs: None,
            patience: Patience::default(),
            implementation: "Packetboat".to_owned(),
        }
    }
}

/// The messages of one session, numbered from 1 (RFC 1939 §5): as they were when it began, to its end.
pub trait Maildrop: Send + Sync {
    /// How many.
    fn count(&self) -> u32;
    /// Octets of message `number`, with CRLF line ends.
    fn octets(&self, number: u32) -> u64;
    /// Writes the unique-id of message `number`: 1 to 70 octets of 0x21 to 0x7E, the same in every session (RFC 1939 §7).
    fn unique_id(&self, number: u32, out: &mut Vec<u8>);
}

/// What the owner acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Answer with [`Server::accept`], [`Server::scram`] or [`Server::refuse`].
    Auth(Question),
    /// Answer with [`Server::content`] and then [`Server::content_end`], or with [`Server::refuse`].
    Retr {
        /// Which, from 1.
        message: u32,
    },
    /// The same. [`Server::content`] says when no more is needed.
    Top {
        /// Which, from 1.
        message: u32,
        /// Lines of the body.
        lines: u32,
    },
    /// The client is done. Delete these for good, give the maildrop free, then answer with [`Server::bye`].
    Quit {
        /// Marked by DELE, ascending.
        marked: Vec<u32>,
    },
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown login or wrong password: `[AUTH]`.
    Credentials,
    /// Right password, suspended account: `[SYS/PERM]`.
    Suspended,
    /// Right password, but programs need one of their own here: `[AUTH]`.
    ProgramPassword,
    /// Another session has the maildrop: `[IN-USE]`.
    InUse,
    /// Too soon: `[LOGIN-DELAY]`.
    LoginDelay,
    /// Ours, try later: `[SYS/TEMP]`.
    Temporary,
    /// The message was removed elsewhere meanwhile.
    Gone,
}

impl Refusal {
    fn answer(self) -> (Option<ResponseCode>, Text) {
        match self {
            Refusal::Credentials => (Some(ResponseCode::Auth), Text::WrongCredentials),
            Refusal::Suspended => (Some(ResponseCode::SysPerm), Text::Suspended),
            Refusal::ProgramPassword => (Some(ResponseCode::Auth), Text::ProgramPassword),
            Refusal::InUse => (Some(ResponseCode::InUse), Text::InUse),
            Refusal::LoginDelay => (Some(ResponseCode::LoginDelay), Text::TooSoon),
            Refusal::Temporary => (Some(ResponseCode::SysTemp), Text::Temporary),
            Refusal::Gone => (None, Text::Gone),
        }
    }
}

impl From<sasl::Refusal> for Refusal {
    fn from(refusal: sasl::Refusal) -> Refusal {
        match refusal {
            sasl::Refusal::Credentials => Refusal::Credentials,
            sasl::Refusal::Suspended => Refusal::Suspended,
            sasl::Refusal::ProgramPassword => Refusal::ProgramPassword,
            sasl::Refusal::Temporary => Refusal::Temporary,
        }
    }
}

/// What the session is in the middle of.
#[derive(Debug)]
enum Phase {
    Greeting,
    Command,
    Exchange(Exchange),
    /// USER/PASS with the owner.
    AskedPassword,
    /// A SASL question with the owner.
    AskedSasl(Exchange),
    /// RETR or TOP with the owner.
    AskedContent {
        octets: u64,
        cutter: Option<TopCutter>,
    },
    Content {
        stuffer: Stuffer,
        cutter: Option<TopCutter>,
    },
    AskedQuit,
    Listing {
        next: u32,
        unique_ids: bool,
    },
    StartingTls,
    Closing,
}

/// The maildrop and what DELE did to it.
struct Open {
    maildrop: Box<dyn Maildrop>,
    /// A bit a message.
    marks: Vec<u64>,
    total: u64,
    marked: u32,
    marked_octets: u64,
}

impl Open {
    fn new(maildrop: Box<dyn Maildrop>) -> Open {
        let total = (1..=maildrop.count()).map(|number| maildrop.octets(number)).sum();
        Open { maildrop, marks: Vec::new(), total, marked: 0, marked_octets: 0 }
    }

    fn place(number: u32) -> (usize, u64) {
        (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64))
    }

    fn is_marked(&self, number: u32) -> bool {
        let (word, bit) = Self::place(number);
        self.marks.get(word).is_some_and(|marks| marks & bit != 0)
    }

    fn mark(&mut self, number: u32) {
        let (word, bit) = Self::place(number);
        if self.marks.len() <= word {
            self.marks.resize(word.saturating_add(1), 0);
        }
        if let Some(marks) = self.marks.get_mut(word) {
            *marks |= bit;
            self.marked += 1;
            self.marked_octets += self.maildrop.octets(number);
        }
    }

    fn reset(&mut self) {
        self.marks.clear();
        self.marked = 0;
        self.marked_octets = 0;
    }

    fn left(&self) -> (u32, u64) {
        (self.maildrop.count().saturating_sub(self.marked), self.total.saturating_sub(self.marked_octets))
    }

    /// A number that may be asked for.
    fn check(&self, number: u32) -> Result<u32, Text> {
        if number == 0 || number > self.maildrop.count() {
            Err(Text::NoSuchMessage)
        } else if self.is_marked(number) {
            Err(Text::DeletedAlready)
        } else {
            Ok(number)
        }
    }
}

/// The session.
pub struct Server {
    config: Config,
    phase: Phase,
    open: Option<Open>,
    user: Option<String>,
    language: Language,
    utf8: bool,
    input: Vec<u8>,
    /// Octets of `input` used.
    used: usize,
    /// Octets of `input` known to hold no line end.
    seen: usize,
    /// Throwing a line away that was too long.
    discarding: bool,
    ended: bool,
    out: Vec<u8>,
    errors: u32,
    /// Commands of nobody.
    unsigned: u8,
    auth_failures: u32,
    draining: bool,
    /// The clock of autologout starts anew at the next poll.
    touched: bool,
    active: Option<Time>,
    /// Of the TLS that is on.
    channel: Option<Box<sasl::Channel>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("phase", &self.phase).field("signed_in", &self.open.is_some()).finish_non_exhaustive()
    }
}

// ---- what the owner calls ----

impl Server {
    /// A session that has just been connected (with `config.tls`: whose TLS handshake is done).
    pub fn new(config: Config) -> Server {
        Server {
            config,
            phase: Phase::Greeting,
            open: None,
            user: None,
            language: Language::Default,
            utf8: false,
            input: Vec::new(),
            used: 0,
            seen: 0,
            discarding: false,
            ended: false,
            out: Vec::new(),
            errors: 0,
            unsigned: 0,
            auth_failures: 0,
            draining: false,
            touched: true,
            active: None,
            channel: None,
        }
    }

    /// TLS is on.
    pub fn is_tls(&self) -> bool {
        self.config.tls
    }

    /// The client asked for UTF-8 mode (RFC 6856 §2.1).
    pub fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// Signed in.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Answers [`Event::Auth`]: signed in, and this is the maildrop.
    pub fn accept(&mut self, maildrop: Box<dyn Maildrop>) {
        if !matches!(self.phase, Phase::AskedPassword | Phase::AskedSasl(_)) {
            return;
        }
        let open = Open::new(maildrop);
        let (messages, octets) = open.left();
        self.open = Some(open);
        self.user = None;
        self.phase = Phase::Command;
        self.touched = true;
        self.ok(Text::MaildropOpen { messages, octets });
    }

    /// Answers [`Question::ScramLookup`]. `nonce`: random printable ASCII without comma, new for every exchange.
    pub fn scram(&mut self, verifier: ScramVerifier, nonce: &str) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::AskedSasl(mut exchange) => match exchange.scram(verifier, nonce) {
                SaslStep::Challenge(octets) => self.challenge(exchange, &octets),
                SaslStep::Ask(_) | SaslStep::Refused(_) | SaslStep::Failed(_) => self.err(None, Text::BadExchange),
            },
            other => self.phase = other,
        }
        self.touched = true;
    }

    /// Answers [`Question::Token`]: not good here; the client hears where to get one.
    pub fn refuse_token(&mut self, discovery: Option<&str>) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::AskedSasl(mut exchange) => {
                let step = exchange.refuse_token(discovery);
                let asked = self.sasl(exchange, step);
                debug_assert!(asked.is_none());
            }
            other => self.phase = other,
        }
        self.touched = true;
    }

    /// Answers any event but [`Event::Quit`] with no.
    pub fn refuse(&mut self, refusal: Refusal) {
        let signing_in = matches!(self.phase, Phase::AskedPassword | Phase::AskedSasl(_));
        if !signing_in && !matches!(self.phase, Phase::AskedContent { .. }) {
            return;
        }
        self.phase = Phase::Command;
        self.touched = true;
        self.user = None;
        let (code, text) = refusal.answer();
        self.err(code, text);
        if signing_in && refusal == Refusal::Credentials {
            self.auth_failures += 1;
            if self.auth_failures >= limits::AUTH_FAILURES_MAX {
                self.phase = Phase::Closing;
            }
        }
    }

    /// The next piece of the message that [`Event::Retr`] or [`Event::Top`] asked for. `false`: TOP needs no more.
    pub fn content(&mut self, piece: &[u8]) -> bool {
        self.touched = true;
        match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::AskedContent { octets, cutter } => {
                self.ok(if cutter.is_some() { Text::TopFollows } else { Text::Octets(octets) });
                self.phase = Phase::Content { stuffer: Stuffer::default(), cutter };
            }
            other => self.phase = other,
        }
        let Phase::Content { stuffer, cutter } = &mut self.phase else { return false };
        let take = cutter.as_mut().map_or(piece.len(), |cutter| cutter.take(piece));
        stuffer.write(piece.get(..take).unwrap_or(piece), &mut self.out);
        cutter.as_ref().is_none_or(|cutter| !cutter.is_done())
    }

    /// That was all of it.
    pub fn content_end(&mut self) {
        // An empty message still has its status line.
        self.content(b"");
        if let Phase::Content { stuffer, .. } = std::mem::replace(&mut self.phase, Phase::Command) {
            stuffer.end(&mut self.out);
        }
    }

    /// The rest of the message cannot be had: closes without a terminator, so that the client does not take the piece for
    /// the whole.
    pub fn content_broken(&mut self) {
        self.phase = Phase::Closing;
    }

    /// Answers [`Event::Quit`]: `true` when everything marked is gone for good and the maildrop is free.
    pub fn bye(&mut self, deleted: bool) {
        if matches!(self.phase, Phase::AskedQuit) {
            if deleted {
                self.ok(Text::Bye)
            } else {
                self.err(Some(ResponseCode::SysTemp), Text::NotUpdated)
            }
            self.phase = Phase::Closing;
        }
    }

    /// The server drains: closes at the next quiet moment; nothing is deleted.
    pub fn shut_down(&mut self) {
        self.draining = true;
    }

    /// Ends the session at once; nothing is deleted.
    pub fn close(&mut self) {
        self.phase = Phase::Closing;
    }
}

// ---- saying ----

impl Server {
    fn ok(&mut self, text: Text) {
        Reply { ok: true, code: None, text: text.say(self.language).into_owned() }.encode(&mut self.out);
    }

    fn err(&mut self, code: Option<ResponseCode>, text: Text) {
        Reply { ok: false, code, text: text.say(self.language).into_owned() }.encode(&mut self.out);
    }

    /// An error of syntax or order: counted.
    fn fault(&mut self, text: Text) {
        self.err(None, text);
        self.errors += 1;
        if self.errors >= limits::ERRORS_MAX {
            self.err(None, Text::TooManyErrors);
            self.phase = Phase::Closing;
        }
    }

    fn lines(&mut self, text: Text, lines: impl IntoIterator<Item = String>) {
        self.ok(text);
        for line in lines {
            self.out.extend_from_slice(line.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b".\r\n");
    }

    fn may_sign_in(&self) -> bool {
        self.config.tls || self.config.plaintext
    }

    fn names(&self) -> impl Iterator<Item = String> + use<> {
        let list: Vec<Mechanism> = sasl::usable(&self.config.mechanisms, self.may_sign_in(), self.channel.as_deref()).collect();
        list.into_iter().map(|mechanism| mechanism.name().to_owned())
    }

    /// STLS stands there only before signing in (RFC 2595 §4); the others in both states.
    fn capabilities(&self) -> Vec<Capability> {
        let mut list = vec![Capability::Top, Capability::Uidl];
        if self.may_sign_in() {
            list.push(Capability::User);
            if !self.config.mechanisms.is_empty() {
                list.push(Capability::Sasl(self.names().collect()));
            }
        }
        if self.config.stls && !self.config.tls && self.open.is_none() {
            list.push(Capability::Stls);
        }
        list.extend([Capability::Pipelining, Capability::RespCodes, Capability::AuthRespCode]);
        list.push(Capability::Expire(self.config.expire));
        list.extend(self.config.login_delay_secs.map(|secs| Capability::LoginDelay { secs, user: false }));
        list.extend([Capability::Utf8 { user: true }, Capability::Lang]);
        list.push(Capability::Implementation(self.config.implementation.clone()));
        list
    }
}

// ---- commands ----

impl Server {
    fn command(&mut self, line: &[u8]) -> Option<Event> {
        if self.open.is_none() {
            self.unsigned = self.unsigned.saturating_add(1);
            if self.unsigned > crate::limits::IDLE_COMMANDS_MAX {
                self.err(None, Text::TooManyErrors);
                self.phase = Phase::Closing;
                return None;
            }
        }
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(CommandError::Unknown) => {
                self.fault(Text::Unknown);
                return None;
            }
            Err(CommandError::Parameters) => {
                self.fault(Text::Parameters);
                return None;
            }
        };
        match command {
            Command::Capa => {
                let list: Vec<String> = self.capabilities().iter().map(Capability::to_string).collect();
                self.lines(Text::Capabilities, list);
                None
            }
            Command::Lang(tag) => {
                self.lang(tag.as_deref());
                None
            }
            Command::Quit => Some(self.quit()),
            command if self.open.is_none() => self.authorization(command),
            command => self.transaction(command),
        }
    }

    fn quit(&mut self) -> Event {
        self.phase = Phase::AskedQuit;
        let marked = self.open.as_ref().map(|open| (1..=open.maildrop.count()).filter(|n| open.is_marked(*n)).collect());
        Event::Quit { marked: marked.unwrap_or_default() }
    }

    fn lang(&mut self, tag: Option<&str>) {
        match tag {
            None => {
                let list = Language::LISTED.iter().map(|(tag, name, _)| format!("{tag} {name}"));
                self.lines(Text::Languages, list);
            }
            Some(tag) => match Language::lookup(tag) {
                Some((tag, language)) => {
                    self.language = language;
                    let text = format!("{tag} {}", Text::LanguageChanged.say(language));
                    Reply { ok: true, code: None, text }.encode(&mut self.out);
                }
                None => self.err(None, Text::NoSuchLanguage),
            },
        }
    }

    fn authorization(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::User(_) | Command::Pass(_) if !self.may_sign_in() => self.fault(Text::TlsFirst),
            Command::User(name) => {
                self.user = Some(name);
                self.ok(Text::NameTaken);
            }
            Command::Pass(password) => match self.user.take() {
                Some(login) => {
                    self.phase = Phase::AskedPassword;
                    return Some(Event::Auth(Question::Password { login, password }));
                }
                None => self.fault(Text::UserFirst),
            },
            Command::Auth { mechanism, initial } => return self.auth(mechanism.as_deref(), initial.as_deref()),
            Command::Stls => self.stls(),
            Command::Utf8 => {
                self.utf8 = true;
                self.ok(Text::Utf8On);
            }
            Command::Apop => self.fault(Text::NotOffered),
            _ => self.fault(Text::NotNow),
        }
        None
    }

    fn stls(&mut self) {
        if self.config.tls {
            self.fault(Text::TlsAlready);
        } else if !self.config.stls {
            self.fault(Text::NotOffered);
        } else if self.utf8 {
            self.fault(Text::TlsAfterUtf8);
        } else if self.used < self.input.len() {
            // Somebody in the middle may have put it there, to be taken for the client's words under TLS.
            self.err(None, Text::BufferedBehindTls);
            self.phase = Phase::Closing;
        } else {
            self.ok(Text::BeginTls);
            self.phase = Phase::StartingTls;
        }
    }

    fn auth(&mut self, mechanism: Option<&str>, initial: Option<&str>) -> Option<Event> {
        if !self.may_sign_in() {
            self.fault(Text::TlsFirst);
            return None;
        }
        let Some(name) = mechanism else {
            let names: Vec<String> = self.names().collect();
            self.lines(Text::Mechanisms, names);
            return None;
        };
        let Some(mechanism) = Mechanism::parse(name).filter(|known| self.names().any(|name| name == known.name())) else {
            self.fault(Text::NoSuchMechanism);
            return None;
        };
        let initial = match initial.map(|word| sasl::decode_initial(word.as_bytes())).transpose() {
            Ok(initial) => initial,
            Err(_) => {
                self.fault(Text::BadExchange);
                return None;
            }
        };
        self.user = None;
        let (exchange, step) = {
            let plus = self.config.mechanisms.contains(&Mechanism::ScramSha256Plus);
            let channel = self.channel.as_deref().filter(|channel| plus && channel.binds());
            Exchange::start_on(mechanism, initial.as_ref().map(|octets| octets.as_slice()), channel)
        };
        self.sasl(exchange, step)
    }

    fn sasl(&mut self, exchange: Exchange, step: SaslStep) -> Option<Event> {
        match step {
            SaslStep::Challenge(octets) => self.challenge(exchange, &octets),
            SaslStep::Ask(question) => {
                self.phase = Phase::AskedSasl(exchange);
                return Some(Event::Auth(question));
            }
            SaslStep::Refused(refusal) => {
                self.phase = Phase::AskedSasl(exchange);
                self.refuse(refusal.into());
            }
            SaslStep::Failed(failure) => {
                self.phase = Phase::Command;
                match failure {
                    sasl::Failure::Cancelled => self.err(None, Text::Cancelled),
                    sasl::Failure::AuthorizationIdentity => self.err(Some(ResponseCode::Auth), Text::WrongCredentials),
                    _ => self.fault(Text::BadExchange),
                }
            }
        }
        None
    }

    fn challenge(&mut self, exchange: Exchange, octets: &[u8]) {
        self.out.extend_from_slice(b"+ ");
        self.out.extend_from_slice(sasl::encode_line(octets).as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.phase = Phase::Exchange(exchange);
    }

    fn transaction(&mut self, command: Command) -> Option<Event> {
        let Some(open) = &mut self.open else { return None };
        let (messages, octets) = open.left();
        match command {
            Command::Stat => self.out.extend_from_slice(format!("+OK {messages} {octets}\r\n").as_bytes()),
            Command::List(None) => {
                self.ok(Text::Messages { messages, octets });
                self.phase = Phase::Listing { next: 1, unique_ids: false };
            }
            Command::Uidl(None) => {
                self.ok(Text::UniqueIds);
                self.phase = Phase::Listing { next: 1, unique_ids: true };
            }
            Command::List(Some(number)) => match open.check(number) {
                Ok(number) => {
                    let line = format!("+OK {number} {}\r\n", open.maildrop.octets(number));
                    self.out.extend_from_slice(line.as_bytes());
                }
                Err(text) => self.err(None, text),
            },
            Command::Uidl(Some(number)) => match open.check(number) {
                Ok(number) => {
                    self.out.extend_from_slice(format!("+OK {number} ").as_bytes());
                    open.maildrop.unique_id(number, &mut self.out);
                    self.out.extend_from_slice(b"\r\n");
                }
                Err(text) => self.err(None, text),
            },
            Command::Retr(message) => return self.ask_content(message, None),
            Command::Top { message, lines } => return self.ask_content(message, Some(lines)),
            Command::Dele(number) => match open.check(number) {
                Ok(number) => {
                    open.mark(number);
                    self.ok(Text::Deleted(number));
                }
                Err(text) => self.err(None, text),
            },
            Command::Rset => {
                open.reset();
                let (messages, octets) = open.left();
                self.ok(Text::Restored { messages, octets });
            }
            Command::Noop => self.ok(Text::Fine),
            _ => self.fault(Text::NotNow),
        }
        None
    }

    fn ask_content(&mut self, message: u32, top: Option<u32>) -> Option<Event> {
        let open = self.open.as_ref()?;
        match open.check(message) {
            Ok(message) => {
                let octets = open.maildrop.octets(message);
                self.phase = Phase::AskedContent { octets, cutter: top.map(TopCutter::new) };
                Some(match top {
                    None => Event::Retr { message },
                    Some(lines) => Event::Top { message, lines },
                })
            }
            Err(text) => {
                self.err(None, text);
                None
            }
        }
    }

    /// Writes the next part of a listing: a maildrop of any size passes through a small buffer.
    fn list(&mut self, mut next: u32, unique_ids: bool) {
        let Some(open) = &self.open else {
            self.phase = Phase::Command;
            return;
        };
        let count = open.maildrop.count();
        while next <= count && self.out.len() < limits::LISTING_BYTES {
            if !open.is_marked(next) {
                if unique_ids {
                    self.out.extend_from_slice(format!("{next} ").as_bytes());
                    open.maildrop.unique_id(next, &mut self.out);
                    self.out.extend_from_slice(b"\r\n");
                } else {
                    self.out.extend_from_slice(format!("{next} {}\r\n", open.maildrop.octets(next)).as_bytes());
                }
            }
            next += 1;
        }
        if next > count {
            self.out.extend_from_slice(b".\r\n");
            self.phase = Phase::Command;
        } else {
            self.phase = Phase::Listing { next, unique_ids };
        }
    }
}

// ---- lines ----

enum Line {
    Text(zeroize::Zeroizing<Vec<u8>>),
    TooLong,
}

impl Server {
    /// How long the line that begins with `head` may be.
    fn line_max(&self, head: &[u8]) -> usize {
        if matches!(self.phase, Phase::Exchange(_)) {
            return crate::limits::sasl::LINE_BYTES_MAX + 2;
        }
        if head.get(..5).is_some_and(|keyword| keyword.eq_ignore_ascii_case(b"AUTH ")) {
            return limits::AUTH_BYTES_MAX;
        }
        if self.utf8 { limits::COMMAND_UTF8_BYTES_MAX } else { limits::COMMAND_BYTES_MAX }
    }

    fn line(&mut self) -> Option<Line> {
        let rest = self.input.get(self.used..).unwrap_or_default();
        let fresh = rest.get(self.seen..).unwrap_or_default();
        let Some(at) = memchr::memchr(b'\n', fresh) else {
            if self.discarding || rest.len() > self.line_max(rest) {
                self.discarding = true;
                self.input.clear();
                self.used = 0;
                self.seen = 0;
            } else {
                self.seen = rest.len();
            }
            return None;
        };
        let length = self.seen + at + 1;
        let line = rest.get(..length).unwrap_or_default();
        let too_long = std::mem::take(&mut self.discarding) || length > self.line_max(line);
        let text = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line);
        let line = if too_long { Line::TooLong } else { Line::Text(text.to_vec().into()) };
        self.used += length;
        self.seen = 0;
        if self.used == self.input.len() {
            // Idle sessions own no buffer, and a password does not stay in one.
            self.input = Vec::new();
            self.used = 0;
        }
        Some(line)
    }

    fn act(&mut self, line: Line) -> Option<Event> {
        self.touched = true;
        let line = match line {
            Line::Text(line) => line,
            Line::TooLong => {
                self.phase = Phase::Command;
                self.fault(Text::LineTooLong);
                return None;
            }
        };
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Exchange(mut exchange) => {
                let step = match sasl::decode_line(&line) {
                    Ok(octets) => exchange.respond(&octets),
                    Err(failure) => SaslStep::Failed(failure),
                };
                self.sasl(exchange, step)
            }
            _ => self.command(&line),
        }
    }
}

impl Session for Server {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.input.drain(..self.used.min(self.input.len()));
            self.used = 0;
        }
        self.input.extend_from_slice(bytes);
    }

    fn receive_end(&mut self) {
        self.ended = true;
    }

    fn poll(&mut self, now: Time) -> Step<Event> {
        loop {
            if std::mem::take(&mut self.touched) || self.active.is_none() {
                self.active = Some(now);
            }
            match &self.phase {
                Phase::Closing => return Step::Close,
                Phase::Greeting => {
                    let text = format!("{} POP3 ready", self.config.hostname);
                    Reply { ok: true, code: None, text }.encode(&mut self.out);
                    self.phase = Phase::Command;
                }
                Phase::StartingTls if self.used < self.input.len() => self.phase = Phase::Closing,
                Phase::StartingTls => return Step::StartTls,
                Phase::AskedPassword
                | Phase::AskedSasl(_)
                | Phase::AskedContent { .. }
                | Phase::Content { .. }
                | Phase::AskedQuit => {
                    self.touched = true;
                    return Step::Wait;
                }
                Phase::Listing { next, unique_ids } => {
                    let (next, unique_ids) = (*next, *unique_ids);
                    self.list(next, unique_ids);
                    if matches!(self.phase, Phase::Listing { .. }) {
                        self.touched = true;
                        return Step::Wait;
                    }
                }
                Phase::Command | Phase::Exchange(_) => match self.line() {
                    Some(line) => {
                        if let Some(event) = self.act(line) {
                            return Step::Event(event);
                        }
                    }
                    None if self.ended || self.draining || self.deadline().is_some_and(|due| now >= due) => {
                        self.phase = Phase::Closing;
                    }
                    None => return Step::Wait,
                },
            }
        }
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        if matches!(self.phase, Phase::Content { .. }) {
            let ready = self.out.len().saturating_sub(limits::TAIL_BYTES);
            out.extend_from_slice(self.out.get(..ready).unwrap_or_default());
            self.out.drain(..ready);
        } else {
            out.append(&mut self.out);
            if self.out.capacity() > limits::LISTING_BYTES {
                self.out = Vec::new();
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Command) && !self.discarding && self.used >= self.input.len()
    }

    fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Command | Phase::Exchange(_) => {
                let secs = self.config.patience.silence_secs.unwrap_or(limits::IDLE_SECS_MAX);
                self.active.map(|active| active.plus_secs(secs))
            }
            _ => None,
        }
    }

    fn wants_input(&self) -> bool {
        matches!(self.phase, Phase::Command | Phase::Exchange(_)) && self.input.len() < limits::INPUT_BYTES_MAX
    }

    fn tls_channel(&mut self, channel: sasl::Channel) {
        self.channel = Some(Box::new(channel));
    }

    fn tls_started(&mut self) {
        // RFC 2595 §4: what was said before is forgotten.
        self.config.tls = true;
        self.user = None;
        self.language = Language::Default;
        if matches!(self.phase, Phase::StartingTls) {
            self.phase = Phase::Command;
        }
        self.touched = true;
    }
}

impl crate::laws::Buffered for Server {
    fn input_buffered(&self) -> usize {
        self.input.len()
    }
}
