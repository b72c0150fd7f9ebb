//! A conversation that knows what it does: the peer's next words depend on what the session just said.
//!
//! Octets choose the acts (words of the grammar, whole or mutated; time; the owner's own moves). On every step: the buffer
//! stays under its limit, a session that waits for its peer has a deadline, past it something happens. What was said is
//! then said again in other pieces, with the same result. Invariant: a function of the octets.

use crate::pieces::pieces;
use crate::play::Played;
use wire::laws::Buffered;
use wire::{Session, Step, Time};

/// Octets as decisions; when they are used up every decision is 0.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Choices<'a> {
        Choices(octets)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.octet()) % bound
    }

    pub(crate) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Some octets, free of what would end a line.
    pub(crate) fn octets(&mut self, bound: usize) -> Vec<u8> {
        let len = self.below(bound).min(self.0.len());
        let (some, rest) = self.0.split_at(len);
        self.0 = rest;
        some.iter().copied().filter(|octet| *octet != b'\n').collect()
    }

    /// Leaves most lines alone, and spoils the others in one place: no line end comes in and none goes.
    pub(crate) fn spoil(&mut self, line: &mut Vec<u8>) -> bool {
        const BITS: [&[u8]; 14] =
            [b" ", b"\0", b"\xff", b"\"", b"\\", b"<", b">", b"(", b")", b"{", b"}", b"*", b"=", b"99999999999999999999"];
        let how = self.octet();
        if how < 192 || line.is_empty() {
            return false;
        }
        let at = (self.below(256) * line.len()) / 256;
        match how & 7 {
            0 => line.truncate(at),
            1 => drop(line.remove(at)),
            2 => line[at] = [b' ', 0, 0xff, b'\r'][usize::from(how >> 3) & 3],
            3 => line[at] ^= 1 << (how >> 3 & 7),
            4 => drop(line.splice(at..at, self.of(&BITS).iter().copied())),
            5 => drop(line.splice(at..at, self.octets(16))),
            6 => line.extend_from_within(at..),
            _ => drop(line.splice(at..at, std::iter::repeat_n(b'x', 1 << (how >> 3 & 7) << 8))),
        }
        line.retain(|octet| *octet != b'\n');
        true
    }
}

/// What happened to a session, to be done to another one.
#[derive(Clone)]
enum Beat {
    Said(Vec<u8>),
    Waited(u64),
    Nudged(u8),
    /// Between these no octets may be joined.
    Pause,
}

/// A session with its owner, and what came of it.
pub(crate) struct Stage<S, A> {
    session: S,
    owner: A,
    nudge: fn(&mut S, u8),
    now: Time,
    pub(crate) played: Played,
    tls_count: u32,
    tape: Vec<Beat>,
    held_max: usize,
    /// Waiting without a deadline is allowed (a client nobody asks for anything).
    patient: bool,
}

impl<S: Session + Buffered, A: FnMut(&mut S, S::Event, &mut Vec<String>)> Stage<S, A> {
    /// `nudge` is what the owner may do out of turn.
    pub(crate) fn new(session: S, owner: A, nudge: fn(&mut S, u8), held_max: usize, patient: bool) -> Stage<S, A> {
        let (played, tape) = (Played::default(), Vec::new());
        let mut stage = Stage { session, owner, nudge, now: Time(0), played, tls_count: 0, tape, held_max, patient };
        stage.settle();
        stage
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.played.closed
    }

    /// Where the output stands, for [`Stage::since`].
    pub(crate) fn mark(&self) -> usize {
        self.played.out.len()
    }

    pub(crate) fn since(&self, mark: usize) -> &[u8] {
        self.played.out.get(mark..).unwrap_or_default()
    }

    /// The peer says this; gives what the session answers.
    pub(crate) fn say(&mut self, octets: &[u8]) -> &[u8] {
        let mark = self.mark();
        if !self.is_closed() && !octets.is_empty() {
            self.tape.push(Beat::Said(octets.to_vec()));
            let before = self.tls_count;
            self.hear(octets);
            if self.tls_count != before {
                self.tape.push(Beat::Pause);
            }
        }
        self.since(mark)
    }

    fn hear(&mut self, octets: &[u8]) {
        if self.is_closed() {
            return;
        }
        assert!(self.session.wants_input(), "it waits, but for nothing");
        self.session.receive(octets);
        self.settle();
        let held = self.session.input_buffered();
        assert!(held <= self.held_max + octets.len(), "{held} octets held");
    }

    /// The peer is silent for so long.
    pub(crate) fn wait(&mut self, secs: u64) {
        if self.is_closed() {
            return;
        }
        self.tape.push(Beat::Waited(secs));
        self.pass(secs);
    }

    fn pass(&mut self, secs: u64) {
        if self.is_closed() {
            return;
        }
        self.now = self.now.plus_secs(secs);
        self.settle();
    }

    /// The owner does something out of turn.
    pub(crate) fn nudge(&mut self, how: u8) {
        if self.is_closed() {
            return;
        }
        self.tape.push(Beat::Nudged(how));
        (self.nudge)(&mut self.session, how);
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..200_000 {
            match self.session.poll(self.now) {
                Step::Event(event) => (self.owner)(&mut self.session, event, &mut self.played.log),
                Step::Wait => {
                    let before = self.mark();
                    self.session.transmit(&mut self.played.out);
                    if self.session.wants_input() || self.mark() == before {
                        return self.is_patient_within_reason();
                    }
                }
                Step::StartTls => {
                    self.session.transmit(&mut self.played.out);
                    self.tls_count += 1;
                    self.played.tls = true;
                    self.session.tls_started();
                }
                Step::Close => {
                    self.session.transmit(&mut self.played.out);
                    self.played.closed = true;
                    return;
                }
            }
        }
        panic!("the session never rests");
    }

    fn is_patient_within_reason(&self) {
        match self.session.deadline() {
            Some(deadline) => assert!(deadline > self.now, "its deadline is past and it does nothing"),
            None => assert!(self.patient, "it would wait for its peer for ever"),
        }
    }

    /// The peer leaves; then the same again in other pieces, and with everything joined that may be (`join`).
    pub(crate) fn end(mut self, make: impl Fn() -> (S, A), cuts: u8, join: bool) -> Played {
        self.leave();
        for cuts in [Some(cuts), None] {
            if cuts.is_none() && !join {
                continue;
            }
            let (session, owner) = make();
            let mut again = Stage::new(session, owner, self.nudge, self.held_max, self.patient);
            for beat in if cuts.is_none() { joined(&self.tape) } else { self.tape.clone() } {
                match beat {
                    Beat::Said(octets) => pieces(&octets, cuts.unwrap_or(0)).into_iter().for_each(|piece| again.hear(piece)),
                    Beat::Waited(secs) => again.pass(secs),
                    Beat::Nudged(how) => again.nudge(how),
                    Beat::Pause => {}
                }
            }
            again.leave();
            // Injected behind STARTTLS, or come after it: by law not the same.
            if again.tls_count == self.tls_count {
                let (out, wanted) = (&again.played.out, &self.played.out);
                assert_eq!(String::from_utf8_lossy(out), String::from_utf8_lossy(wanted), "cut {cuts:?}");
                assert_eq!(again.played.log, self.played.log, "cut {cuts:?}");
                assert_eq!(again.played.closed, self.played.closed, "cut {cuts:?}");
            }
        }
        self.played
    }

    fn leave(&mut self) {
        if !self.is_closed() {
            self.session.receive_end();
            self.settle();
            assert!(self.is_closed(), "the end of input does not close");
            self.played.closed = false;
        }
        let end = self.mark();
        self.session.receive(b"x");
        assert!(matches!(self.session.poll(Time(u64::MAX)), Step::Close), "after the close there is only the close");
        self.session.transmit(&mut self.played.out);
        assert_eq!(self.mark(), end, "something is said after the close");
    }
}

fn joined(tape: &[Beat]) -> Vec<Beat> {
    let mut out: Vec<Beat> = Vec::new();
    for beat in tape {
        match (out.last_mut(), beat) {
            (Some(Beat::Said(before)), Beat::Said(octets)) => before.extend_from_slice(octets),
            _ => out.push(beat.clone()),
        }
    }
    out
}
