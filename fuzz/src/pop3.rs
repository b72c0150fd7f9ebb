//! POP3's grammar: commands, replies, capabilities, multi-line answers.

use crate::pieces::{pieces, take};
use wire::pop3::multiline::{Stuffer, TopCutter, Unstuffer};
use wire::pop3::{Capability, Command, Reply};

/// A command line: what is read is written as one line and read the same.
pub(crate) fn pop3_command(data: &[u8]) {
    let line = data.split(|octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    let Ok(command) = Command::parse(line) else { return };
    let mut out = Vec::new();
    command.encode(&mut out);
    crate::play::lines_are_sound(&out);
    let again = out.strip_suffix(b"\r\n").unwrap_or_default();
    assert_eq!(Command::parse(again).as_ref(), Ok(&command), "{}", again.escape_ascii());
}

/// A status line, and the same line as a capability.
pub(crate) fn pop3_reply(data: &[u8]) {
    let line = data.split(|octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    if let Some(reply) = Reply::parse(line) {
        let mut out = Vec::new();
        reply.encode(&mut out);
        crate::play::lines_are_sound(&out);
        assert_eq!(Reply::parse(out.strip_suffix(b"\r\n").unwrap_or_default()), Some(reply), "{}", out.escape_ascii());
    }
    let capability = Capability::parse(&String::from_utf8_lossy(line));
    let written = capability.to_string();
    assert_eq!(Capability::parse(&written), capability, "{written}");
    let _ = Capability::mechanisms(&[capability]);
}

/// Dots doubled and taken away again, at any cutting; and what TOP leaves.
pub(crate) fn pop3_multiline(data: &[u8]) {
    let ([seed, seed_back, lines], message) = take(data);
    let (mut stuffer, mut wire) = (Stuffer::default(), Vec::new());
    pieces(message, seed).into_iter().for_each(|piece| stuffer.write(piece, &mut wire));
    stuffer.end(&mut wire);
    let found = wire.windows(5).position(|window| window == b"\r\n.\r\n");
    assert!(found.is_none_or(|at| at + 5 == wire.len()) && wire.ends_with(b".\r\n"));

    let end: &[u8] = if message.is_empty() || message.ends_with(b"\r\n") { b"" } else { b"\r\n" };
    let (out, used, ended) = unstuff(&wire, seed_back);
    assert_eq!((used, ended), (wire.len(), true), "{}", wire.escape_ascii());
    assert_eq!(out, [message, end].concat());
    assert_eq!(unstuff(message, seed), unstuff(message, 0), "anything, cut or whole");

    let take = |seed: u8| {
        let (mut cutter, mut kept) = (TopCutter::new(u32::from(lines)), Vec::new());
        for piece in pieces(message, seed) {
            let count = cutter.take(piece);
            kept.extend_from_slice(&piece[..count]);
            if count < piece.len() {
                break;
            }
        }
        kept
    };
    assert_eq!(take(seed), take(0));
    assert!(message.starts_with(&take(0)));
}

/// As the client does: what is left unused comes again with the next piece.
fn unstuff(wire: &[u8], seed: u8) -> (Vec<u8>, usize, bool) {
    let (mut unstuffer, mut out, mut held, mut total) = (Unstuffer::default(), Vec::new(), Vec::new(), 0);
    for piece in pieces(wire, seed) {
        held.extend_from_slice(piece);
        let (used, end) = unstuffer.read(&held, &mut out);
        total += used;
        held.drain(..used);
        if end {
            return (out, total, true);
        }
        assert!(held.len() <= 2, "more than two octets are left");
    }
    (out, total, false)
}
