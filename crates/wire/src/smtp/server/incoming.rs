//! A message coming in by DATA (RFC 5321 §4.1.1.4) or BDAT (RFC 3030), with its size and line ends watched.
//!
//! Invariant: a message that is refused is still read to its end, so that its octets are never taken for commands.

use super::{Await, Event, Mode, ResetCause, Server, State};
use crate::limits::smtp as limits;
use crate::smtp::data::{Decoder, LineEnds};
use crate::smtp::{EnhancedCode, Reply};
use bytes::Bytes;

/// The message under way.
#[derive(Debug)]
pub(super) struct Incoming {
    decoder: Decoder,
    /// Octets decoded, those no longer handed to the owner too.
    taken: u64,
    /// It will be refused at its end, and the owner knows. What with is decided there: it must not hang on how the
    /// octets were cut.
    refused: bool,
    /// Octets read since then.
    drained: u64,
}

impl Incoming {
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }
}

impl Server {
    pub(super) fn begin_message(&mut self, bdat: bool) {
        // What is binary is passed on as it is, and its line ends are nobody's business here.
        let strict = self.config.mode != Mode::Submission || self.is_binary();
        let line_ends = if strict { LineEnds::Strict } else { LineEnds::Repair };
        let decoder = if bdat { Decoder::bdat(line_ends) } else { Decoder::data(line_ends) };
        if let Some(transaction) = &mut self.transaction {
            transaction.incoming = Some(Incoming { decoder, taken: 0, refused: false, drained: 0 });
        }
    }

    /// BDAT: its octets follow at once, whatever the answer.
    pub(super) fn bdat(&mut self, size: u64, last: bool) {
        let begun = self.transaction.as_ref().is_some_and(|transaction| transaction.incoming.is_some());
        match self.may_begin(begun) {
            Err(reply) => self.discard(size, reply),
            Ok(()) if begun => self.begin_chunk(size, last),
            Ok(()) => {
                self.idle_commands = 0;
                self.state = State::Await(Await::Bdat { size, last });
                self.events.push_back(Event::Data);
            }
        }
    }

    /// Throws away a chunk, then says `then`.
    pub(super) fn discard(&mut self, size: u64, then: Reply) {
        if size > limits::DRAIN_BYTES_MAX {
            return self.say_and_close(&then);
        }
        self.state = State::Discard { left: size, then };
    }

    pub(super) fn begin_chunk(&mut self, size: u64, last: bool) {
        let taken = self.transaction.as_ref().and_then(|t| t.incoming.as_ref()).map_or(0, |incoming| incoming.taken);
        if taken.saturating_add(size) > self.config.size_max {
            let reply = self.too_large();
            self.reset(ResetCause::TooLarge);
            return self.discard(size, reply);
        }
        self.state = State::Chunk { size, left: size, last };
    }

    /// Some of DATA's text; true while there may be more to do.
    pub(super) fn step_text(&mut self) -> bool {
        if self.input.is_empty() {
            return false;
        }
        let wanted = self.input.len().min(limits::CHUNK_BYTES_MAX);
        let mut out = Vec::with_capacity(wanted);
        let (used, end) = self.decode(wanted, &mut out);
        let _ = self.input.split_to(used);
        self.take(out, used);
        if end {
            self.end_message();
        } else if self.drained_too_much() {
            self.give_up();
        }
        true
    }

    /// Some of a BDAT chunk; true while there may be more to do.
    pub(super) fn step_chunk(&mut self) -> bool {
        let State::Chunk { size, left, last } = self.state else { return false };
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len()).min(limits::CHUNK_BYTES_MAX);
        if wanted == 0 && left > 0 {
            return false;
        }
        let mut out = Vec::with_capacity(wanted + 2);
        self.decode(wanted, &mut out);
        let _ = self.input.split_to(wanted);
        let left = left - wanted as u64;
        if left == 0
            && last
            && let Some(incoming) = self.incoming()
        {
            incoming.decoder.finish(&mut out);
        }
        self.take(out, wanted);
        self.state = State::Chunk { size, left, last };
        if left > 0 {
            return true;
        }
        // The first chunk that goes wrong is refused at once, and with it the transaction (RFC 3030 §2).
        let refused = self.incoming().is_some_and(|incoming| incoming.refused);
        if last || refused {
            self.end_message();
        } else {
            self.state = State::Command;
            self.say(&Reply::new(250, EnhancedCode(2, 0, 0), format!("{size} octets received")));
        }
        true
    }

    fn incoming(&mut self) -> Option<&mut Incoming> {
        self.transaction.as_mut()?.incoming.as_mut()
    }

    fn decode(&mut self, wanted: usize, out: &mut Vec<u8>) -> (usize, bool) {
        let input = self.input.get(..wanted).unwrap_or_default();
        match self.transaction.as_mut().and_then(|transaction| transaction.incoming.as_mut()) {
            Some(incoming) => incoming.decoder.decode(input, out),
            None => (wanted, false),
        }
    }

    /// Decoded octets: to the owner, unless the message is refused by now.
    fn take(&mut self, out: Vec<u8>, used: usize) {
        let (strict, size_max) = (self.is_strict(), self.config.size_max);
        let Some(incoming) = self.incoming() else { return };
        incoming.taken += out.len() as u64;
        if incoming.refused {
            incoming.drained += used as u64;
            return;
        }
        let cause = if strict && incoming.decoder.saw_bare() {
            Some(ResetCause::LineEnds)
        } else if incoming.taken > size_max {
            Some(ResetCause::TooLarge)
        } else {
            None
        };
        if let Some(cause) = cause {
            incoming.refused = true;
            self.events.push_back(Event::Reset(cause));
        } else if !out.is_empty() {
            self.events.push_back(Event::Chunk(Bytes::from(out)));
        }
    }

    /// A bare CR or LF is refused.
    fn is_strict(&self) -> bool {
        self.config.mode != Mode::Submission && !self.is_binary()
    }

    fn is_binary(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.binary)
    }

    /// Why the message is refused, by all that was read of it.
    fn refusal(&mut self) -> Option<Reply> {
        let (strict, too_large) = (self.is_strict(), self.too_large());
        let incoming = self.incoming().filter(|incoming| incoming.refused)?;
        if strict && incoming.decoder.saw_bare() {
            let text = "The message has a CR or LF on its own; every line must end in CR LF (RFC 5321 section 2.3.8)";
            return Some(Reply::new(550, EnhancedCode(5, 5, 2), text));
        }
        Some(too_large)
    }

    fn end_message(&mut self) {
        self.state = State::Command;
        match self.refusal() {
            None => {
                self.state = State::Await(Await::MessageEnd);
                self.events.push_back(Event::MessageEnd);
            }
            Some(reply) => {
                let accepted = self.transaction.take().map_or(1, |transaction| transaction.accepted);
                let count = if self.config.mode == Mode::Lmtp { accepted } else { 1 };
                for _ in 0..count {
                    self.say(&reply);
                }
            }
        }
    }

    fn drained_too_much(&mut self) -> bool {
        self.incoming().is_some_and(|incoming| incoming.drained > limits::DRAIN_BYTES_MAX)
    }

    fn give_up(&mut self) {
        if let Some(reply) = self.refusal() {
            self.say_and_close(&reply);
        }
    }
}
