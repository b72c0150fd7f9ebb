//! The reading half of the server session: which octets are a command, a message, an exchange, or nothing anybody wants.
//!
//! Invariant: whatever the chunks, the same events come out; a refused literal is read to its end (within reason) and
//! never taken for commands.

use super::{Appending, Event, Phase, Server, State};
use crate::imap::append::{self, Append, AppendPiece, Head, Segment};
use crate::imap::command;
use crate::imap::cursor::{Cursor, SyntaxError};
use crate::imap::framing::{self, Framed, Framing};
use crate::imap::limits::{
    APPEND_CHUNK_BYTES_MAX, DRAIN_BYTES_MAX, DRAIN_BYTES_MAX_BEFORE_LOGIN, IDLE_SECS_MAX, LINE_BYTES_MAX,
    LINE_BYTES_MAX_BEFORE_LOGIN, LITERAL_BYTES_MAX, LITERAL_BYTES_MAX_BEFORE_LOGIN,
};
use crate::imap::response::Kind;
use crate::imap::response_code::Code;
use crate::imap::string::{LiteralHead, literal_head_at_end};
use crate::imap::tag::Tag;
use crate::sasl;
use crate::sasl::server::Exchange;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// How far one look at the input got.
pub(super) enum Progress {
    Event(Event),
    /// Look again.
    Again,
    /// More input, or an answer, is needed.
    Starved,
}

impl From<Option<Event>> for Progress {
    fn from(event: Option<Event>) -> Progress {
        event.map_or(Progress::Again, Progress::Event)
    }
}

/// Reading.
impl Server {
    pub(super) fn advance(&mut self) -> Progress {
        if let Some(event) = self.queued.take() {
            return Progress::Event(event);
        }
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Command => self.read_command(),
            Phase::AppendNext => Progress::Event(self.next_piece()),
            Phase::AppendOctets { left } => self.read_octets(left),
            Phase::AppendTail => self.read_tail(),
            Phase::Drain { left } => self.read_drain(left),
            Phase::DiscardLine => self.read_discard(),
            Phase::Sasl(exchange) => self.read_sasl(exchange),
            Phase::Idle => self.read_idle(),
            waiting => {
                self.phase = waiting;
                Progress::Starved
            }
        }
    }

    fn read_command(&mut self) -> Progress {
        match self.framing.next(&self.input, line_bytes_max(self.state)) {
            Framed::More => Progress::Starved,
            Framed::Line { text, total } => {
                let mut taken = self.input.split_to(total);
                taken.truncate(text);
                self.framing = Framing::default();
                self.drained = 0;
                self.pace.end(self.input.len());
                if taken.trim_ascii().is_empty() { Progress::Again } else { self.command(&taken).into() }
            }
            Framed::Literal { text, total, head } => self.read_literal(text, total, head),
            Framed::TooLong => {
                let tag = Tag::parse(&mut Cursor::new(&self.input)).ok();
                let line_start = self.framing.line_start();
                self.consume(line_start);
                self.phase = Phase::DiscardLine;
                let was = self.state;
                self.syntax(tag, SyntaxError { at: 0, what: "The command line is too long" });
                if was == State::NotAuthenticated {
                    self.bye(None, "The command line is too long");
                } else if !matches!(self.phase, Phase::Closed) {
                    self.phase = Phase::DiscardLine;
                }
                Progress::Again
            }
        }
    }

    /// A line that ends in the head of a literal: take the literal, ask about an APPEND, or refuse.
    fn read_literal(&mut self, text: usize, total: usize, head: LiteralHead) -> Progress {
        let line = self.input.get(..text).unwrap_or_default();
        match self.judge_literal(line, head) {
            Literal::Inline => {
                if !head.non_synchronising {
                    self.out.extend_from_slice(b"+ Ready for the literal\r\n");
                }
                self.framing.take_literal(total, head.len);
                Progress::Again
            }
            Literal::Append(tag, head, segment) => {
                self.consume(total);
                Progress::Event(self.begin_append(tag, head, segment))
            }
            Literal::Refused(tag, kind, what) => {
                self.consume(total);
                match (tag, kind) {
                    (Some(tag), Kind::No) => {
                        self.tag = Some(tag);
                        self.no(Some(Code::TooBig), what);
                    }
                    (tag, _) => self.syntax(tag, SyntaxError { at: 0, what }),
                }
                if head.non_synchronising && !matches!(self.phase, Phase::Closed) {
                    self.drain(head.len);
                }
                Progress::Again
            }
        }
    }

    fn judge_literal(&self, line: &[u8], head: LiteralHead) -> Literal {
        let mut c = Cursor::with_utf8(line, self.utf8);
        let tag = match Tag::parse(&mut c).and_then(|tag| c.space().map(|()| tag)) {
            Ok(tag) => tag,
            Err(error) => return Literal::Refused(None, Kind::Bad, error.what),
        };
        let (name, allowed) = match command::word(&mut c) {
            Ok(known) => known,
            Err(error) => return Literal::Refused(Some(tag), Kind::Bad, error.what),
        };
        if let Some(what) = self.state_error(allowed) {
            return Literal::Refused(Some(tag), Kind::Bad, what);
        }
        if append::is_append(&c, name) {
            let parsed = Head::parse(&mut c, name).and_then(|head| match head {
                Some(head) => Segment::parse(&mut c, head.place()).map(|segment| Some(head).zip(segment)),
                None => Ok(None),
            });
            match parsed {
                Ok(Some((head, segment))) => return Literal::Append(tag, head, segment),
                Ok(None) => {}
                Err(error) => return Literal::Refused(Some(tag), Kind::Bad, error.what),
            }
        }
        if self.framing.has_room(head.len, literal_bytes_max(self.state)) {
            Literal::Inline
        } else {
            Literal::Refused(Some(tag), Kind::No, "That literal is too large")
        }
    }

    /// Done with the first `total` octets of the input; a new command begins.
    fn consume(&mut self, total: usize) {
        self.input.advance(total.min(self.input.len()));
        self.framing = Framing::default();
        self.drained = 0;
        self.pace.end(self.input.len());
    }

    /// The first segment of an APPEND is read.
    pub(super) fn begin_append(&mut self, tag: Tag, head: Head, segment: Segment) -> Event {
        let Segment { pieces, literal, place } = segment;
        let mut pieces = VecDeque::from(pieces);
        self.tag = Some(tag.clone());
        let Some(AppendPiece::Message { message, catenate }) = pieces.pop_front() else {
            // The grammar begins with a message.
            self.bad(None, "APPEND takes a literal");
            return Event::AppendAborted;
        };
        self.appending = Some(Box::new(Appending { place, pieces, literal }));
        self.phase = Phase::AppendAsked;
        Event::Append { tag, append: Append { mailbox: head.mailbox, message }, catenate, replaced: head.replaced }
    }

    fn next_piece(&mut self) -> Event {
        match self.appending.as_mut().and_then(|appending| appending.pieces.pop_front()) {
            Some(piece) => {
                self.phase = Phase::AppendAsked;
                Event::AppendPiece(piece)
            }
            None => {
                self.appending = None;
                self.phase = Phase::Answer;
                Event::AppendEnd
            }
        }
    }

    fn read_octets(&mut self, left: u64) -> Progress {
        if left == 0 {
            self.phase = Phase::AppendTail;
            return Progress::Again;
        }
        let len = self.input.len().min(APPEND_CHUNK_BYTES_MAX).min(usize::try_from(left).unwrap_or(usize::MAX));
        self.phase = Phase::AppendOctets { left: left - len as u64 };
        if len == 0 { Progress::Starved } else { Progress::Event(Event::AppendChunk(self.input.split_to(len).freeze())) }
    }

    /// What stands behind the octets of a literal: the end, or more of them.
    fn read_tail(&mut self) -> Progress {
        let (text, total, head) = match self.framing.next(&self.input, line_bytes_max(self.state)) {
            Framed::More => {
                self.phase = Phase::AppendTail;
                return Progress::Starved;
            }
            Framed::TooLong => {
                self.pass(self.framing.line_start());
                self.bad(None, "The command line is too long");
                self.discard_on();
                return Progress::Event(Event::AppendAborted);
            }
            Framed::Line { text, total } => (text, total, None),
            Framed::Literal { text, total, head } => (text, total, Some(head)),
        };
        let line = self.input.get(..text).unwrap_or_default();
        let place = self.appending.as_ref().map(|appending| appending.place).unwrap_or_default();
        let parsed = Segment::parse(&mut Cursor::with_utf8(line, self.utf8), place);
        match (parsed, head) {
            (Ok(Some(Segment { pieces, literal, place })), _) => {
                self.pass(total);
                self.appending = Some(Box::new(Appending { place, pieces: pieces.into(), literal }));
                self.phase = Phase::AppendNext;
                Progress::Again
            }
            (Ok(None), Some(head)) if self.framing.has_room(head.len, literal_bytes_max(self.state)) => {
                if !head.non_synchronising {
                    self.out.extend_from_slice(b"+ Ready for the literal\r\n");
                }
                self.framing.take_literal(total, head.len);
                self.phase = Phase::AppendTail;
                Progress::Again
            }
            (parsed, head) => {
                self.pass(total);
                match parsed {
                    Err(error) => self.bad(None, error.what),
                    Ok(_) => self.no(Some(Code::TooBig), "That literal is too large"),
                }
                if let Some(head) = head.filter(|head| head.non_synchronising && !matches!(self.phase, Phase::Closed)) {
                    self.drain(head.len);
                }
                Progress::Event(Event::AppendAborted)
            }
        }
    }

    /// Done with the first `total` octets of the input; the command goes on.
    fn pass(&mut self, total: usize) {
        self.input.advance(total.min(self.input.len()));
        self.framing = Framing::default();
    }

    fn read_drain(&mut self, left: u64) -> Progress {
        let len = self.input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.input.advance(len);
        let left = left - len as u64;
        self.phase = if left == 0 { Phase::DiscardLine } else { Phase::Drain { left } };
        if left == 0 { Progress::Again } else { Progress::Starved }
    }

    fn read_discard(&mut self) -> Progress {
        if let Some(line) = framing::take_line(&mut self.input) {
            self.phase = Phase::Command;
            self.drain_if_literal(&line);
            return Progress::Again;
        }
        self.phase = Phase::DiscardLine;
        // What could be the head of a literal at the end of the line is kept.
        let surplus = self.input.len().saturating_sub(framing::LITERAL_HEAD_BYTES_MAX);
        self.input.advance(surplus);
        self.count_drained(surplus as u64);
        if matches!(self.phase, Phase::Closed) { Progress::Again } else { Progress::Starved }
    }

    /// An unwanted line may announce octets that come without waiting.
    fn drain_if_literal(&mut self, line: &[u8]) {
        let head = literal_head_at_end(line).filter(|head| head.non_synchronising);
        if let Some(head) = head.filter(|_| !matches!(self.phase, Phase::Closed)) {
            self.drain(head.len);
        }
    }

    fn discard_on(&mut self) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::DiscardLine;
        }
    }

    pub(super) fn count_drained(&mut self, octets: u64) {
        self.drained = self.drained.saturating_add(octets);
        if self.drained > drain_bytes_max(self.state) {
            self.bye(Some(Code::TooBig), "That is too much");
        }
    }

    fn read_sasl(&mut self, exchange: Box<Exchange>) -> Progress {
        let Some(end) = framing::line_end(&self.input) else {
            if self.input.len() <= crate::limits::sasl::LINE_BYTES_MAX + 2 {
                self.phase = Phase::Sasl(exchange);
                return Progress::Starved;
            }
            self.sasl_failed(sasl::Failure::TooLong);
            self.discard_on();
            return Progress::Again;
        };
        let line = Bytes::copy_from_slice(self.input.get(..end.text).unwrap_or_default());
        let (event, used) = self.sasl_line(exchange, &line);
        if used {
            self.consume(end.total);
        }
        event.into()
    }

    fn read_idle(&mut self) -> Progress {
        let Some(end) = framing::line_end(&self.input) else {
            if self.input.len() <= line_bytes_max(self.state) {
                self.phase = Phase::Idle;
                return Progress::Starved;
            }
            self.idle_broken = true;
            self.phase = Phase::Answer;
            return Progress::Event(Event::IdleDone);
        };
        let line = Bytes::copy_from_slice(self.input.get(..end.text).unwrap_or_default());
        let (event, used) = self.idle_line(&line);
        if used {
            self.consume(end.total);
        }
        event.into()
    }

    pub(super) fn silence_secs(&self) -> u64 {
        match self.state {
            State::NotAuthenticated => self.patience.before_sign_in_secs,
            _ => self.patience.silence_secs.unwrap_or(IDLE_SECS_MAX),
        }
    }

    /// Does an answer of the owner, or TLS, come next (and not the client)?
    pub(super) fn owner_is_next(&self) -> bool {
        matches!(self.phase, Phase::Answer | Phase::AppendAsked | Phase::SaslAsked(_) | Phase::StartTls | Phase::Closed)
    }
}

fn line_bytes_max(state: State) -> usize {
    if state == State::NotAuthenticated { LINE_BYTES_MAX_BEFORE_LOGIN } else { LINE_BYTES_MAX }
}

fn literal_bytes_max(state: State) -> usize {
    if state == State::NotAuthenticated { LITERAL_BYTES_MAX_BEFORE_LOGIN } else { LITERAL_BYTES_MAX }
}

fn drain_bytes_max(state: State) -> u64 {
    if state == State::NotAuthenticated { DRAIN_BYTES_MAX_BEFORE_LOGIN } else { DRAIN_BYTES_MAX }
}

/// What becomes of a literal.
enum Literal {
    Inline,
    Append(Tag, Head, Segment),
    Refused(Option<Tag>, Kind, &'static str),
}
