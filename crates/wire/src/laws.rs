//! The laws every session obeys, as checks a test calls: `session.rs` names them.
//!
//! Each check takes `make` (a fresh session) and `answer` (what the owner does with an event), so that one script
//! of a peer is enough. Not for use outside tests; needs no crate of its own.
//!
//! A protocol's test reads: `laws::same_at_every_chunking(make, script, answer)` for scripts without STARTTLS,
//! `laws::nothing_survives_starttls(...)` for the injection, `laws::bounded(...)` and `laws::never_panics(...)`.

use crate::session::{Session, Step, Time};

/// Tests ask how much a session holds: input not yet used and output not yet taken.
pub trait Buffered {
    /// Octets of input held.
    fn input_buffered(&self) -> usize;
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum End {
    /// All input is used and the session waits for more.
    Waiting,
    StartTls,
    Closed,
}

/// Polls until the session waits, wants TLS or closes; `answer` acts on events. Panics on a session that never rests.
pub fn settle<S: Session>(session: &mut S, now: Time, answer: &mut impl FnMut(&mut S, S::Event)) -> End {
    for _ in 0..1_000_000 {
        match session.poll(now) {
            Step::Event(event) => answer(session, event),
            Step::Wait => return End::Waiting,
            Step::StartTls => return End::StartTls,
            Step::Close => return End::Closed,
        }
    }
    #[allow(clippy::panic)]
    {
        panic!("the session never rests")
    }
}

/// Feeds `pieces` one by one, as an owner would; stops at TLS or the close. Gives all bytes the session sent.
pub fn converse<'a, S: Session>(
    session: &mut S,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    answer: &mut impl FnMut(&mut S, S::Event),
) -> (Vec<u8>, End) {
    let mut out = Vec::new();
    let mut end = settle(session, Time(0), answer);
    session.transmit(&mut out);
    for piece in pieces {
        if end != End::Waiting {
            break;
        }
        session.receive(piece);
        end = settle(session, Time(0), answer);
        session.transmit(&mut out);
    }
    (out, end)
}

/// Law 1: any chunking of the input gives the same bytes out. Gives those bytes.
pub fn same_at_every_chunking<S: Session>(
    mut make: impl FnMut() -> S,
    script: &[u8],
    mut answer: impl FnMut(&mut S, S::Event),
) -> Vec<u8> {
    let (whole, _) = converse(&mut make(), [script], &mut answer);
    let mut check = |name: &str, pieces: Vec<&[u8]>| {
        let (out, _) = converse(&mut make(), pieces, &mut answer);
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&whole), "input in {name}");
    };
    for size in [1, 2, 3, 5, 7, 64] {
        check(&format!("pieces of {size}"), script.chunks(size).collect());
    }
    // Every cut into two, as far as that stays quick.
    for cut in 0..script.len().min(2_000) {
        let (a, b) = script.split_at(cut);
        check(&format!("two pieces, cut at {cut}"), vec![a, b]);
    }
    whole
}

/// Law 2: bytes buffered behind STARTTLS close the connection. `script` holds both; no event follows and no TLS begins.
pub fn nothing_survives_starttls<S: Session>(mut session: S, script: &[u8], mut answer: impl FnMut(&mut S, S::Event)) -> Vec<u8> {
    let (out, end) = converse(&mut session, [script], &mut answer);
    assert_eq!(end, End::Closed, "bytes behind STARTTLS must close; the session sent {:?}", String::from_utf8_lossy(&out));
    out
}

/// Law 3: input that never ends is held only up to `bytes_max`: the session uses it, closes, or stops wanting input.
pub fn bounded<S: Session + Buffered>(
    mut session: S,
    garbage: &[u8],
    bytes_max: usize,
    mut answer: impl FnMut(&mut S, S::Event),
) {
    let mut out = Vec::new();
    for _ in 0..(2 * 1024 * 1024 / garbage.len().max(1)) {
        let end = settle(&mut session, Time(0), &mut answer);
        out.clear();
        session.transmit(&mut out);
        assert!(session.input_buffered() <= bytes_max + garbage.len(), "{} octets held", session.input_buffered());
        if end != End::Waiting || !session.wants_input() {
            return;
        }
        session.receive(garbage);
    }
}

/// Law 4: never panics. Random octets, and random words of the protocol (`words`) glued together, for `rounds` rounds.
pub fn never_panics<S: Session>(
    mut make: impl FnMut() -> S,
    words: &[&[u8]],
    rounds: u64,
    mut answer: impl FnMut(&mut S, S::Event),
) {
    for seed in 1..=rounds {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut script = Vec::new();
        for _ in 0..random.below(60) {
            if words.is_empty() || random.below(4) == 0 {
                script.extend((0..random.below(12)).map(|_| u8::try_from(random.below(256)).unwrap_or(0)));
            } else if let Some(word) = words.get(random.below(words.len())) {
                script.extend_from_slice(word);
            }
        }
        let mut session = make();
        let size = 1 + random.below(40);
        let (_, end) = converse(&mut session, script.chunks(size), &mut answer);
        if end == End::Waiting {
            session.receive_end();
            settle(&mut session, Time(0), &mut answer);
            settle(&mut session, Time(u64::MAX), &mut answer);
        }
    }
}

/// xorshift64: enough for tests, and any failure is a seed.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number under `bound` (0 when `bound` is 0).
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0).checked_rem(bound).unwrap_or(0)
    }
}
