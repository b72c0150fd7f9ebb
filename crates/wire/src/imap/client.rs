//! The client session (RFC 9051): greeting, TLS and sign-in by policy, then commands out and responses in.
//!
//! After [`Event::Ready`] the owner gives commands with [`Client::command`] (they may be pipelined) and gets every
//! response as an event; octets of a large literal come in pieces before their FETCH. Invariants: a password leaves only
//! under TLS or where the owner allows it; what a server said before TLS counts for nothing after it, and octets behind
//! its answer to STARTTLS end the session. Must not know: where messages go, what a UID means to its owner.

mod opening;

use super::capability::Capabilities;
use super::command::Command;
use super::cursor::Cursor;
use super::enable::Extension;
use super::encoder::{Encoder, Literals};
use super::fetch::FetchData;
use super::framing::{Framed, Framing};
use super::limits::{
    BUFFER_BYTES_KEPT, CLIENT_COMMAND_SECS_MAX, CLIENT_SECS_MAX, INPUT_BYTES_MAX, RESPONSE_LINE_BYTES_MAX,
    RESPONSE_LITERAL_INLINE_BYTES_MAX, RESPONSE_LITERALS_BYTES_MAX, STRAY_LINES_MAX,
};
use super::response::{Kind, Response, ServerLine, StatusText};
use super::response_code::Code;
use super::string::LiteralHead;
use super::tag::Tag;
use crate::deflate::Deflate;
use crate::limits::{CLIENT_PATIENCE, MESSAGE_BYTES_PASSED_MAX};
use crate::pace::Pace;
use crate::sasl::client::Credentials;
use crate::session::{Session, Step, Time};
use bytes::{Bytes, BytesMut};
use opening::Opening;
use smol_str::format_smolstr;
use std::collections::VecDeque;

/// What to do about STARTTLS on a connection without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// Do not ask for it.
    Never,
    /// If the server offers it.
    IfOffered,
    /// Or fail.
    Require,
}

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Already under (implicit) TLS.
    pub tls: bool,
    /// Policy.
    pub starttls: StartTls,
    /// Whom to sign in as; `None` stops before sign-in.
    pub credentials: Option<Credentials>,
    /// Passwords may be sent without TLS.
    pub plaintext: bool,
    /// Random printable ASCII without comma, for SCRAM.
    pub nonce: String,
}

/// Why there is no session (any more).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server said BYE: its words.
    Bye(String),
    /// TLS was required and is not to be had.
    NoTls,
    /// Nothing the server offers may be used without showing the password on an open line, or it offers nothing.
    NoMechanism,
    /// The server said no to the sign-in.
    SignIn(StatusText),
    /// The server could not prove that it knows the password, or its challenge made no sense.
    ServerUnproved,
    /// It does not speak IMAP as we know it.
    Protocol(&'static str),
    /// Silence.
    TimedOut,
    /// The connection broke.
    Lost,
}

/// What happened. Nothing waits for an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Signed in (or as far as the policy goes); [`Client::capabilities`] is filled.
    Ready,
    /// Untagged.
    Response(Response),
    /// The end of a command given with [`Client::command`].
    Tagged(Tag, StatusText),
    /// Octets of a literal too large to hold follow: they belong to message `number`. What its FETCH said before is in `items`.
    OctetsBegin {
        /// Message number.
        number: u32,
        /// UID, flags and the like, as far as they came before the octets.
        items: Vec<FetchData>,
        /// How many octets.
        size: u64,
    },
    /// A piece.
    Octets(Bytes),
    /// The server waits for the octets of this APPEND: give exactly its size with [`Client::append_octets`].
    AppendReady(Tag),
    /// IDLE is on, until [`Client::done`].
    Idling(Tag),
    /// Over.
    Failed(Failure),
}

/// A command on its way out.
#[derive(Debug)]
struct Outgoing {
    tag: Tag,
    bytes: Vec<u8>,
    /// Where to stop for a continuation; ascending.
    waits: VecDeque<usize>,
    sent: usize,
    then: Then,
}

/// What follows a command's last octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Append { left: u64, utf8: bool },
    Idle,
    Compress,
}

/// What the line is held by; later commands wait.
#[derive(Debug)]
enum Busy {
    No,
    /// A continuation releases the next part of the first outgoing command.
    Literal,
    /// The octets of a message go out.
    Append {
        left: u64,
        utf8: bool,
    },
    /// The answer decides whether what follows is compressed.
    Compress(Tag),
    /// A continuation will say that IDLE is on.
    IdleAsked(Tag),
    Idle,
}

/// A response whose beginning was cut off because a literal was streamed.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    streamed: Vec<(usize, u64)>,
    /// Octets of all streamed literals.
    octets: u64,
    /// Octets of the literal that are still to come, and whether anybody wants them.
    left: u64,
    wanted: bool,
}

/// The client side of one IMAP connection.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    opening: Opening,
    capabilities: Capabilities,
    utf8: bool,
    input: BytesMut,
    framing: Framing,
    held: Held,
    ended: bool,
    out: Vec<u8>,
    /// COMPRESS is on (RFC 4978).
    deflate: Option<Box<Deflate>>,
    outgoing: VecDeque<Outgoing>,
    busy: Busy,
    pending: VecDeque<Tag>,
    events: VecDeque<Event>,
    bye: Option<String>,
    tag: u64,
    /// Of the line under way, and of the command under way.
    line_pace: Pace,
    command_pace: Pace,
    /// Lines of the command under way that meant nothing.
    stray_lines: u32,
    closed: bool,
    /// Of the TLS that is on.
    channel: Option<Box<crate::sasl::Channel>>,
}

impl Client {
    /// Waits for the greeting.
    pub fn new(config: ClientConfig) -> Client {
        Client {
            config,
            opening: Opening::Greeting,
            capabilities: Capabilities::default(),
            utf8: false,
            input: BytesMut::new(),
            framing: Framing::default(),
            held: Held::default(),
            ended: false,
            out: Vec::new(),
            deflate: None,
            outgoing: VecDeque::new(),
            busy: Busy::No,
            pending: VecDeque::new(),
            events: VecDeque::new(),
            bye: None,
            tag: 0,
            line_pace: Pace::default(),
            command_pace: Pace::default(),
            stray_lines: 0,
            closed: false,
            channel: None,
        }
    }
    /// As last announced.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    /// Names and strings are UTF-8 (ENABLE said so).
    pub fn utf8(&self) -> bool {
        self.utf8
    }
    /// Octets not yet written out.
    pub fn out_len(&self) -> usize {
        self.out.len()
    }

    /// Sends a command, or queues it behind an APPEND, an IDLE or a literal. Its end comes as [`Event::Tagged`].
    pub fn command(&mut self, command: &Command) -> Tag {
        self.tag += 1;
        let tag = Tag(format_smolstr!("p{}", self.tag));
        let mut e = Encoder::client(self.literals(), self.utf8);
        e.raw(tag.as_str());
        e.raw(" ");
        command.encode(&mut e);
        let then = match command {
            Command::Append(append) | Command::Replace { append, .. } => {
                Then::Append { left: append.message.size, utf8: append.message.utf8 }
            }
            Command::Idle => Then::Idle,
            Command::Compress(_) => Then::Compress,
            _ => Then::Nothing,
        };
        if !matches!(then, Then::Append { .. }) {
            e.raw("\r\n");
        }
        let outgoing = Outgoing { tag: tag.clone(), bytes: e.bytes, waits: e.waits.into(), sent: 0, then };
        if self.pending.is_empty() {
            self.command_begins();
        }
        self.pending.push_back(tag.clone());
        self.outgoing.push_back(outgoing);
        self.send();
        tag
    }

    /// The octets of an APPEND after [`Event::AppendReady`]; what is past its size is left out. Returns how many were taken.
    /// Give all of them, even if the server's no comes before their end: it still reads them.
    pub fn append_octets(&mut self, octets: &[u8]) -> usize {
        let Busy::Append { left, utf8 } = self.busy else { return 0 };
        let len = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.out.extend_from_slice(octets.get(..len).unwrap_or_default());
        let left = left - len as u64;
        self.busy = Busy::Append { left, utf8 };
        if left == 0 {
            self.out.extend_from_slice(if utf8 { b")\r\n" } else { b"\r\n" });
            self.busy = Busy::No;
            // Until now it was the server's turn to listen.
            self.command_begins();
            self.send();
        }
        len
    }

    /// Ends IDLE.
    pub fn done(&mut self) {
        if matches!(self.busy, Busy::Idle) {
            self.out.extend_from_slice(b"DONE\r\n");
            self.busy = Busy::No;
            self.command_begins();
            self.send();
        }
    }

    /// An answer is owed from now on, and none was a moment ago.
    fn command_begins(&mut self) {
        let buffered = self.input.len();
        self.line_pace.end(buffered);
        self.command_pace.end(buffered);
        self.stray_lines = 0;
    }

    fn literals(&self) -> Literals {
        if self.capabilities.has("LITERAL+") {
            Literals::Plus
        } else if self.capabilities.has("LITERAL-") || self.capabilities.has("IMAP4rev2") {
            Literals::Minus
        } else {
            Literals::Synchronising
        }
    }

    /// Writes as much of the queue as may go now.
    fn send(&mut self) {
        while matches!(self.busy, Busy::No) {
            let Some(next) = self.outgoing.front_mut() else { return };
            let stop = next.waits.pop_front().unwrap_or(next.bytes.len());
            self.out.extend_from_slice(next.bytes.get(next.sent..stop).unwrap_or_default());
            next.sent = stop;
            if stop < next.bytes.len() {
                self.busy = Busy::Literal;
                return;
            }
            // A wait at the very end is an APPEND's: its continuation lets the octets go.
            if matches!(next.then, Then::Append { .. }) && !next.bytes.ends_with(b"+}\r\n") {
                self.busy = Busy::Literal;
                return;
            }
            self.sent_whole();
        }
    }

    /// The first outgoing command has left.
    fn sent_whole(&mut self) {
        let Some(sent) = self.outgoing.pop_front() else { return };
        match sent.then {
            Then::Nothing => {}
            Then::Append { left, utf8 } => {
                self.busy = Busy::Append { left, utf8 };
                self.events.push_back(Event::AppendReady(sent.tag));
                self.append_octets(b"");
            }
            Then::Idle => self.busy = Busy::IdleAsked(sent.tag),
            Then::Compress => self.busy = Busy::Compress(sent.tag),
        }
    }

    /// `+ text`
    fn continuation(&mut self, text: &[u8]) {
        match std::mem::replace(&mut self.busy, Busy::No) {
            Busy::Literal => {
                if self.outgoing.front().is_some_and(|next| next.sent == next.bytes.len()) {
                    self.sent_whole();
                }
                self.send();
            }
            Busy::IdleAsked(tag) => {
                self.busy = Busy::Idle;
                self.events.push_back(Event::Idling(tag));
            }
            // Nobody asked: servers send stray ones; they mean nothing.
            other => {
                self.busy = other;
                self.sasl_challenge(text);
            }
        }
    }

    /// A command ended; if it was still being sent, the rest of it is cleared (lessons C10).
    fn tagged(&mut self, tag: Tag, status: StatusText) {
        let Some(at) = self.pending.iter().position(|pending| *pending == tag) else { return };
        self.pending.remove(at);
        self.command_begins();
        let being_sent = self.outgoing.front().is_some_and(|next| next.tag == tag);
        let idle = matches!(&self.busy, Busy::IdleAsked(asked) if *asked == tag)
            || (matches!(self.busy, Busy::Idle) && self.pending.is_empty());
        if being_sent {
            self.outgoing.pop_front();
        }
        let compress = matches!(&self.busy, Busy::Compress(asked) if *asked == tag);
        if compress && status.kind == Kind::Ok {
            let (plain, raw) = (std::mem::take(&mut self.out), std::mem::take(&mut self.input));
            self.deflate = Some(Box::new(Deflate::new(plain, &raw)));
        }
        if being_sent || idle || compress {
            self.busy = Busy::No;
        }
        if let (Kind::Ok, Some(Code::Capability(words))) = (status.kind, &status.code) {
            self.capabilities = Capabilities(words.clone());
        }
        if self.opening.is_done() {
            self.events.push_back(Event::Tagged(tag, status));
        } else {
            self.opening_tagged(status);
        }
        self.send();
    }

    fn untagged(&mut self, response: Response) {
        match &response {
            Response::Capability(words) => self.capabilities = Capabilities(words.clone()),
            Response::Enabled(extensions) => {
                self.utf8 |= extensions.iter().any(|e| matches!(e, Extension::Utf8Accept | Extension::Imap4rev2));
            }
            Response::Condition(StatusText { kind: Kind::Bye, text, .. }) => self.bye = Some(text.clone()),
            Response::Condition(StatusText { code: Some(Code::Capability(words)), .. }) => {
                self.capabilities = Capabilities(words.clone());
            }
            _ => {}
        }
        if self.opening.is_done() {
            self.events.push_back(Event::Response(response));
        } else {
            self.opening_untagged(&response);
        }
    }

    fn fail(&mut self, failure: Failure) {
        if !self.closed {
            self.closed = true;
            self.input = BytesMut::new();
            self.events.push_back(Event::Failed(failure));
        }
    }

    /// Octets of the server that are not used yet, inflated or not.
    fn buffered(&self) -> usize {
        self.input.len() + self.deflate.as_ref().map_or(0, |deflate| deflate.waiting())
    }

    /// More input out of what came compressed? What is no DEFLATE stream ends the session.
    fn inflate(&mut self) -> bool {
        let Some(deflate) = self.deflate.as_mut() else { return false };
        match deflate.inflate(&mut self.input, RESPONSE_LITERALS_BYTES_MAX + INPUT_BYTES_MAX, u64::MAX) {
            Ok(more) => more,
            Err(_) => {
                self.fail(Failure::Protocol("the server's compression is broken"));
                true
            }
        }
    }

    /// One step of reading; `false` when there is nothing whole.
    fn read(&mut self) -> bool {
        if self.held.left > 0 {
            return self.read_octets();
        }
        let max = RESPONSE_LINE_BYTES_MAX.saturating_sub(self.held.bytes.len());
        match self.framing.next(&self.input, max) {
            Framed::More => false,
            Framed::TooLong => {
                self.fail(Failure::Protocol("a line of the server is too long"));
                false
            }
            Framed::Line { text, total } => {
                self.line(text, total);
                true
            }
            Framed::Literal { text, total, head } => {
                self.literal(text, total, head);
                true
            }
        }
    }

    fn literal(&mut self, text: usize, total: usize, head: LiteralHead) {
        let line = self.input.get(..text).unwrap_or_default();
        let first = if self.held.bytes.is_empty() { line } else { &self.held.bytes };
        if !may_have_literals(first) {
            return self.line(text, total);
        }
        let inline =
            head.len <= RESPONSE_LITERAL_INLINE_BYTES_MAX && self.framing.has_room(head.len, RESPONSE_LITERALS_BYTES_MAX);
        if inline {
            return self.framing.take_literal(total, head.len);
        }
        let taken = self.input.split_to(total);
        self.framing = Framing::default();
        self.held.bytes.extend_from_slice(&taken);
        self.held.streamed.push((self.held.bytes.len(), head.len));
        self.held.octets = self.held.octets.saturating_add(head.len);
        if self.held.octets > MESSAGE_BYTES_PASSED_MAX {
            return self.fail(Failure::Protocol("a literal without an end"));
        }
        self.held.left = head.len;
        let before = self.held.bytes.len().saturating_sub(total - text + head.head_len);
        let begun = fetch_so_far(self.held.bytes.get(..before).unwrap_or_default(), self.utf8, &self.held.streamed);
        self.held.wanted = self.opening.is_done() && begun.is_some();
        if let (true, Some((number, items))) = (self.held.wanted, begun) {
            self.events.push_back(Event::OctetsBegin { number, items, size: head.len });
        }
    }

    fn read_octets(&mut self) -> bool {
        let len = self.input.len().min(usize::try_from(self.held.left).unwrap_or(usize::MAX));
        if len == 0 {
            return false;
        }
        let octets = self.input.split_to(len).freeze();
        self.held.left -= len as u64;
        if self.held.wanted {
            self.events.push_back(Event::Octets(octets));
        }
        true
    }

    /// A whole response. One that nobody hears of is passed over, but not one after the other for ever.
    fn line(&mut self, text: usize, total: usize) {
        let events = self.events.len();
        self.whole_line(text, total);
        self.line_pace.end(self.input.len());
        if self.events.len() == events {
            self.stray_lines += 1;
            if self.stray_lines > STRAY_LINES_MAX {
                self.fail(Failure::Protocol("nothing the server says means anything"));
            }
        }
    }

    fn whole_line(&mut self, text: usize, total: usize) {
        let mut line = self.input.split_to(total);
        line.truncate(text);
        self.framing = Framing::default();
        let held = std::mem::take(&mut self.held);
        let whole = if held.bytes.is_empty() { line.freeze() } else { Bytes::from([held.bytes.as_slice(), &line].concat()) };
        if whole.is_empty() {
            return;
        }
        let mut c = Cursor::with_utf8(&whole, self.utf8);
        c.streamed = &held.streamed;
        match ServerLine::parse(&mut c) {
            Ok(ServerLine::Untagged(response)) => self.untagged(response),
            Ok(ServerLine::Tagged(tag, status)) => self.tagged(tag, status),
            Ok(ServerLine::Continuation(text)) => self.continuation(&text),
            Err(_) if !self.opening.is_done() => self.fail(Failure::Protocol("the server does not speak IMAP")),
            // A stray line after sign-in costs nobody the connection.
            Err(_) => {}
        }
    }
}

/// Free text may end in `{5}` and mean nothing by it.
fn may_have_literals(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"* ") else { return false };
    let word = rest.split(|b| *b == b' ').next().unwrap_or_default();
    !["OK", "NO", "BAD", "BYE", "PREAUTH"].iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// `* n FETCH (items ... NAME` as far as it got: the number and the items that are whole.
fn fetch_so_far(text: &[u8], utf8: bool, streamed: &[(usize, u64)]) -> Option<(u32, Vec<FetchData>)> {
    let mut c = Cursor::with_utf8(text, utf8);
    c.streamed = streamed;
    if !c.eat_text("* ") {
        return None;
    }
    let number = c.number().ok()?;
    c.eat_text(" FETCH (").then_some(())?;
    Some((number, FetchData::parse_so_far(&mut c)))
}

impl Session for Client {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        if !self.closed {
            match &mut self.deflate {
                Some(deflate) => deflate.receive(bytes),
                None => self.input.extend_from_slice(bytes),
            }
            self.line_pace.hear(bytes.len());
            self.command_pace.hear(bytes.len());
        }
    }

    fn receive_end(&mut self) {
        self.ended = true;
    }

    fn poll(&mut self, now: Time) -> Step<Event> {
        self.line_pace.tick(now);
        self.command_pace.tick(now);
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.fail(Failure::TimedOut);
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            if self.closed {
                return Step::Close;
            }
            if self.opening.wants_tls() {
                return Step::StartTls;
            }
            if !self.read() && self.events.is_empty() && !self.closed && !self.inflate() {
                if !self.ended {
                    if self.input.is_empty() && self.input.capacity() > BUFFER_BYTES_KEPT {
                        self.input = BytesMut::new();
                    }
                    return Step::Wait;
                }
                match (self.bye.take(), self.pending.is_empty() && self.opening.is_done()) {
                    (Some(_), true) => self.closed = true,
                    (Some(text), false) => self.fail(Failure::Bye(text)),
                    (None, _) => self.fail(Failure::Lost),
                }
            }
        }
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        if let Some(deflate) = &mut self.deflate {
            return deflate.transmit(&mut self.out, out);
        }
        let ready = std::mem::take(&mut self.out);
        if out.is_empty() { *out = ready } else { out.extend_from_slice(&ready) }
    }

    /// While the server owes an answer; an idle session may be silent.
    fn deadline(&self) -> Option<Time> {
        let owed =
            !self.opening.is_done() || (!self.pending.is_empty() && !matches!(self.busy, Busy::Idle | Busy::Append { .. }));
        if !owed || self.opening.wants_tls() {
            return None;
        }
        let line = self.line_pace.deadline(CLIENT_SECS_MAX, &CLIENT_PATIENCE);
        let command = self.command_pace.deadline(CLIENT_COMMAND_SECS_MAX, &CLIENT_PATIENCE);
        line.into_iter().chain(command).min()
    }

    fn wants_input(&self) -> bool {
        !self.closed
            && !self.ended
            && !self.opening.wants_tls()
            && self.buffered() < RESPONSE_LITERALS_BYTES_MAX + INPUT_BYTES_MAX
    }

    fn tls_channel(&mut self, channel: crate::sasl::Channel) {
        self.channel = Some(Box::new(channel));
    }

    fn tls_started(&mut self) {
        self.command_begins();
        self.opening_tls_started();
    }
}

impl crate::laws::Buffered for Client {
    fn input_buffered(&self) -> usize {
        self.buffered() + self.held.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_mean_nothing_are_not_listened_to_for_ever() {
        let starttls = StartTls::Never;
        let mut client =
            Client::new(ClientConfig { tls: true, starttls, credentials: None, plaintext: true, nonce: String::new() });
        client.receive(b"* OK [CAPABILITY IMAP4rev1] hi\r\n");
        assert_eq!(client.poll(Time(0)), Step::Event(Event::Ready));
        client.command(&Command::Noop);
        client.stray_lines = STRAY_LINES_MAX - 1;
        client.receive(b"x9 OK nobody asked\r\n* 1 EXISTS\r\n");
        assert_eq!(client.poll(Time(0)), Step::Event(Event::Response(Response::Exists(1))));
        assert_eq!(client.poll(Time(0)), Step::Wait);
        client.receive(b"nonsense\r\n");
        assert!(matches!(client.poll(Time(0)), Step::Event(Event::Failed(Failure::Protocol(_)))));
    }
}
