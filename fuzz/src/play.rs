//! Plays one side's script to a session, under the laws of sessions (`wire::session`).
//!
//! Beyond the laws: a session that waits while nothing is asked of its owner wants input (else it hangs for ever), the
//! end of input closes, silence past the deadline does not go in circles, and after the close nothing follows.

use crate::pieces::{lines, pieces};
use wire::laws::Buffered;
use wire::{Session, Step, Time};

/// What came of a conversation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Played {
    /// All octets that the session sent.
    pub(crate) out: Vec<u8>,
    /// What the owner noted; independent of how input was cut.
    pub(crate) log: Vec<String>,
    /// It went through STARTTLS: then the cutting matters, by law.
    pub(crate) tls: bool,
    /// It closed before its input ended.
    pub(crate) closed: bool,
}

const POLLS_MAX: usize = 200_000;

/// Polls until the session wants input (false) or closes (true).
fn settle<S: Session>(
    session: &mut S,
    now: Time,
    played: &mut Played,
    answer: &mut impl FnMut(&mut S, S::Event, &mut Vec<String>),
) -> bool {
    for _ in 0..POLLS_MAX {
        match session.poll(now) {
            Step::Event(event) => answer(session, event, &mut played.log),
            Step::Wait => {
                let before = played.out.len();
                session.transmit(&mut played.out);
                if session.wants_input() || played.out.len() == before {
                    return false;
                }
            }
            Step::StartTls => {
                session.transmit(&mut played.out);
                played.tls = true;
                session.tls_started();
            }
            Step::Close => {
                session.transmit(&mut played.out);
                return true;
            }
        }
    }
    panic!("the session never rests");
}

/// Plays the script in the pieces of `seed`, then ends the input (or, with `silent`, waits for the deadline).
fn play<S: Session + Buffered>(
    mut session: S,
    script: &[&[u8]],
    silent: bool,
    held_max: usize,
    mut answer: impl FnMut(&mut S, S::Event, &mut Vec<String>),
) -> Played {
    let mut played = Played::default();
    let mut closed = settle(&mut session, Time(0), &mut played, &mut answer);
    for piece in script {
        if closed {
            break;
        }
        assert!(session.wants_input(), "it waits, but for nothing");
        session.receive(piece);
        closed = settle(&mut session, Time(0), &mut played, &mut answer);
        assert!(session.input_buffered() <= held_max + piece.len(), "{} octets held", session.input_buffered());
    }
    played.closed = closed;
    if !closed && silent {
        let Some(deadline) = session.deadline() else { return played };
        closed = settle(&mut session, deadline, &mut played, &mut answer);
        assert!(closed || session.deadline() != Some(deadline), "past its deadline it only waits");
    }
    if !closed {
        session.receive_end();
        closed = settle(&mut session, Time(0), &mut played, &mut answer);
        assert!(closed, "the end of input does not close");
    }
    let end = played.out.len();
    session.receive(b"x");
    assert!(matches!(session.poll(Time(u64::MAX)), Step::Close), "after the close there is only the close");
    session.transmit(&mut played.out);
    assert_eq!(played.out.len(), end, "something is said after the close");
    played
}

/// Plays it whole and in pieces, both must come out the same; and once into silence. Gives the whole one.
/// For a side whose peer may speak at any time.
pub(crate) fn at_any_chunking<S: Session + Buffered, A: FnMut(&mut S, S::Event, &mut Vec<String>)>(
    make: impl Fn() -> S,
    script: &[u8],
    seed: u8,
    held_max: usize,
    owner: impl Fn() -> A,
) -> Played {
    let whole = play(make(), &[script], false, held_max, owner());
    let cut = play(make(), &pieces(script, seed), false, held_max, owner());
    same(&whole, &cut);
    play(make(), &pieces(script, seed), true, held_max, owner());
    whole
}

/// As [`at_any_chunking`], for a client whose server speaks in turn: an answer before the question is something else
/// than one behind it, so lines come one by one, and only where each is cut makes no difference.
pub(crate) fn line_by_line<S: Session + Buffered, A: FnMut(&mut S, S::Event, &mut Vec<String>)>(
    make: impl Fn() -> S,
    script: &[u8],
    seed: u8,
    held_max: usize,
    owner: impl Fn() -> A,
) -> Played {
    play(make(), &[script], false, held_max, owner());
    let whole = play(make(), &lines(script), false, held_max, owner());
    let cut: Vec<&[u8]> = lines(script).into_iter().flat_map(|line| pieces(line, seed)).collect();
    same(&whole, &play(make(), &cut, false, held_max, owner()));
    play(make(), &cut, true, held_max, owner());
    whole
}

fn same(whole: &Played, cut: &Played) {
    if !whole.tls && !cut.tls {
        assert_eq!(String::from_utf8_lossy(&cut.out), String::from_utf8_lossy(&whole.out), "said in pieces, and whole");
        assert_eq!(cut.log, whole.log, "seen in pieces, and whole");
        assert_eq!(cut.closed, whole.closed);
    }
}

/// The owner has not answered yet: nothing moves, nothing is read, no time runs.
pub(crate) fn holds_still<S: Session>(session: &mut S) {
    assert!(matches!(session.poll(Time(u64::MAX)), Step::Wait), "it goes on without its owner's answer");
    assert!(!session.wants_input(), "it reads on while its owner thinks");
}

/// Adds octets to the log such that pieces make no difference.
pub(crate) fn note_octets(log: &mut Vec<String>, octets: &[u8]) {
    let text = octets.escape_ascii().to_string();
    match log.last_mut().filter(|last| last.starts_with("octets ")) {
        Some(last) => last.push_str(&text),
        None => log.push(format!("octets {text}")),
    }
}

/// Every line ends in CRLF and neither CR nor LF stands elsewhere.
pub(crate) fn lines_are_sound(out: &[u8]) {
    assert!(out.is_empty() || out.ends_with(b"\r\n"), "the last line has no end: {}", out.escape_ascii());
    for line in out.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.contains(&b'\r'), "a bare CR: {}", line.escape_ascii());
    }
    let bare = out.iter().enumerate().any(|(at, octet)| *octet == b'\n' && (at == 0 || out[at - 1] != b'\r'));
    assert!(!bare, "a bare LF: {}", out.escape_ascii());
}
