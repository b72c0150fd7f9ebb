//! The server session (RFC 9051): bytes in, commands out one at a time and in order, answers back.
//!
//! It answers by itself: CAPABILITY, LOGOUT, STARTTLS, syntax errors, commands in the wrong state, literals that are
//! too large. Everything else is an event, and until the owner has answered it (`ok`, `no`, `bad`) the next command
//! waits in the buffer. Invariant: one tagged answer a command; buffers stay under [`super::limits`].

use super::append::Append;
use super::command::Command;
use super::response::Response;
use super::response_code::Code;
use super::tag::Tag;
use crate::sasl::{Answer, Question};
use crate::session::{Session, Step, Time};
use bytes::Bytes;
use smol_str::SmolStr;

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
    /// Offer SCRAM-SHA-256.
    pub scram: bool,
    /// APPENDLIMIT (RFC 7889).
    pub append_bytes_max: u64,
    /// Capabilities not to announce (a switch for client bugs), in any case.
    pub capabilities_off: Vec<SmolStr>,
}

/// What the client wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A command to be done; answer with `untagged` ... and then `ok`, `no` or `bad`.
    /// Never CAPABILITY, LOGOUT, STARTTLS, LOGIN, AUTHENTICATE, APPEND or IDLE.
    Command {
        /// For ESEARCH's correlator and the like.
        tag: Tag,
        /// What to do.
        command: Command,
    },
    /// LOGIN or AUTHENTICATE: the same questions as in SMTP and POP3; answer with [`Server::answer`].
    Sasl(Question),
    /// APPEND up to its literal: answer with `append_go` (then chunks follow) or `no`/`bad` (the octets are thrown away).
    Append {
        /// Of the command.
        tag: Tag,
        /// Where to, flags, date, size.
        append: Append,
    },
    /// The next octets of the message; poll again, no answer. `no`/`bad` may be said at once, then the rest is thrown away.
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

/// The server side of one IMAP connection.
#[derive(Debug)]
pub struct Server {
    pub(crate) config: ServerConfig,
    pub(crate) state: State,
    pub(crate) out: Vec<u8>,
}

#[allow(clippy::todo, unused_variables)]
impl Server {
    /// Begins with the greeting. PREAUTH is never used (lessons: it confuses clients).
    pub fn new(config: ServerConfig) -> Server { todo!() }
    /// Greets with BYE and closes (too many connections, shutting down).
    pub fn refused(config: ServerConfig, text: &str) -> Server { todo!() }
    /// Where it stands.
    pub fn state(&self) -> State { self.state }
    /// TLS is on.
    pub fn is_tls(&self) -> bool { self.config.tls }

    // ---- answers to the command that waits ----
    /// `tag OK [code] text`; ends the command.
    pub fn ok(&mut self, code: Option<Code>, text: &str) { todo!() }
    /// `tag NO [code] text`; ends the command.
    pub fn no(&mut self, code: Option<Code>, text: &str) { todo!() }
    /// `tag BAD [code] text`; ends the command and counts.
    pub fn bad(&mut self, code: Option<Code>, text: &str) { todo!() }
    /// Go on with an APPEND: sends the continuation if the literal is synchronising.
    pub fn append_go(&mut self) { todo!() }
    /// To [`Event::Sasl`]. Accept: state Authenticated and `tag OK [CAPABILITY ...]`; Refuse: NO with the right code.
    pub fn answer(&mut self, answer: Answer) { todo!() }
    /// Call before the tagged answer of SELECT, EXAMINE, CLOSE, UNSELECT (a failed SELECT: `false`).
    pub fn selected(&mut self, selected: bool) { todo!() }

    // ---- untagged ----
    /// One untagged response.
    pub fn untagged(&mut self, response: &Response) { todo!() }
    /// For rendered responses and the pieces of large literals: append whole CRLF-ended lines (or what a begun literal needs).
    pub fn out_mut(&mut self) -> &mut Vec<u8> { &mut self.out }
    /// Octets waiting to be transmitted: flush the connection when it grows past what one wants to hold.
    pub fn out_len(&self) -> usize { self.out.len() }
    /// `* BYE [code] text` and close (shutdown, account suspended); also in IDLE or with a command waiting.
    pub fn bye(&mut self, code: Option<Code>, text: &str) { todo!() }

    // ---- modes ----
    /// ENABLE IMAP4rev2 or UTF8=ACCEPT came: names and strings are UTF-8 in both directions from the next command on
    /// (call before `ok`). Also decides how `untagged` writes names.
    pub fn set_utf8(&mut self, utf8: bool) { todo!() }
    /// As set.
    pub fn utf8(&self) -> bool { todo!() }
    /// The capability list that is right now (for the answer of a face's own).
    pub fn capabilities(&self) -> Vec<SmolStr> { todo!() }
}

#[allow(clippy::todo, unused_variables)]
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
