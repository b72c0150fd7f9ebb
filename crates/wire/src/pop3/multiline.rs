//! Multi-line answers (RFC 1939 §3): lines, each beginning with a dot given another one, up to a line of one dot.
//!
//! Works on pieces of any size. Invariant: what [`Stuffer`] writes, [`Unstuffer`] reads back, but for a missing last
//! CRLF. A dot behind a bare LF is doubled too: some clients end lines there, and would take it for the end.

use memchr::{memchr, memmem};

/// Doubles dots while a message streams out.
#[derive(Debug, Clone)]
pub struct Stuffer {
    /// The last two octets written.
    last: [u8; 2],
}

impl Default for Stuffer {
    fn default() -> Self {
        Stuffer { last: *b"\r\n" }
    }
}

impl Stuffer {
    /// The next piece of the message.
    pub fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some((&first, &end)) = piece.first().zip(piece.last()) else { return };
        out.reserve(piece.len() + 64);
        if self.last[1] == b'\n' && first == b'.' {
            out.push(b'.');
        }
        let mut rest = piece;
        while let Some(at) = memmem::find(rest, b"\n.") {
            let (line, next) = rest.split_at(at + 1);
            out.extend_from_slice(line);
            out.push(b'.');
            rest = next;
        }
        out.extend_from_slice(rest);
        let before = piece.len().checked_sub(2).and_then(|at| piece.get(at)).copied();
        self.last = [before.unwrap_or(self.last[1]), end];
    }

    /// The end: a missing CRLF, and the terminator.
    pub fn end(self, out: &mut Vec<u8>) {
        if self.last != *b"\r\n" {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

/// Takes the doubled dots away while a message streams in.
#[derive(Debug, Clone)]
pub struct Unstuffer {
    last: [u8; 2],
}

impl Default for Unstuffer {
    fn default() -> Self {
        Unstuffer { last: *b"\r\n" }
    }
}

impl Unstuffer {
    /// Reads from `input` into `out`: how much was used, and whether that was the end. At most two octets are left unused
    /// when there is no end; give them again with what follows.
    pub fn read(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, bool) {
        let mut used = 0;
        while let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty()) {
            let mut line = rest;
            if self.last[1] == b'\n' && rest.first() == Some(&b'.') {
                let strict = self.last[0] == b'\r';
                if strict && rest.starts_with(b".\r\n") {
                    return (used + 3, true);
                }
                if rest == b"." || (strict && rest == b".\r") {
                    return (used, false);
                }
                if strict || rest.starts_with(b"..") {
                    line = rest.get(1..).unwrap_or_default();
                    used += 1;
                }
            }
            let length = memchr(b'\n', line).map_or(line.len(), |at| at + 1);
            let line = line.get(..length).unwrap_or(line);
            out.extend_from_slice(line);
            used += length;
            if let Some(&end) = line.last() {
                let before = line.len().checked_sub(2).and_then(|at| line.get(at)).copied();
                self.last = [before.unwrap_or(self.last[1]), end];
            }
        }
        (used, false)
    }
}

/// Cuts a message for TOP (RFC 1939 §7): the header, the empty line, and so many lines of the body.
#[derive(Debug, Clone)]
pub struct TopCutter {
    lines_left: u32,
    in_body: bool,
    /// Nothing but perhaps one CR on this line so far.
    line_empty: bool,
    /// A piece of this line has gone by.
    line_begun: bool,
}

impl TopCutter {
    /// `lines` of the body.
    pub fn new(lines: u32) -> TopCutter {
        TopCutter { lines_left: lines, in_body: false, line_empty: true, line_begun: false }
    }

    /// How many octets of the next piece belong to the answer; fewer than all means that it is complete.
    pub fn take(&mut self, piece: &[u8]) -> usize {
        let mut used = 0;
        while let Some(rest) = piece.get(used..).filter(|rest| !rest.is_empty()) {
            if self.in_body && self.lines_left == 0 {
                return used;
            }
            let Some(at) = memchr(b'\n', rest) else {
                // One CR may yet be followed by its LF; more than that is a line of something.
                self.line_empty &= !self.line_begun && rest == b"\r";
                self.line_begun = true;
                return piece.len();
            };
            used += at + 1;
            let line = rest.get(..at).unwrap_or_default();
            let empty = self.line_empty && (line.is_empty() || (!self.line_begun && line == b"\r"));
            (self.line_empty, self.line_begun) = (true, false);
            if self.in_body {
                self.lines_left -= 1;
            } else if empty {
                self.in_body = true;
            }
        }
        used
    }

    /// All that was asked for has gone by.
    pub fn is_done(&self) -> bool {
        self.in_body && self.lines_left == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn stuffed(message: &[u8], size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stuffer = Stuffer::default();
        message.chunks(size).for_each(|piece| stuffer.write(piece, &mut out));
        stuffer.end(&mut out);
        out
    }

    fn unstuffed(wire: &[u8], size: usize) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let mut unstuffer = Unstuffer::default();
        let (mut held, mut total) = (Vec::new(), 0);
        for piece in wire.chunks(size) {
            held.extend_from_slice(piece);
            let (used, done) = unstuffer.read(&held, &mut out);
            held.drain(..used);
            total += used;
            assert!(held.len() <= 2 || done);
            if done {
                return (out, total);
            }
        }
        (out, usize::MAX)
    }

    #[test]
    fn a_line_of_carriage_returns_is_not_the_empty_line() {
        let message = b"A: b\r\n\r\r\n\r\nbody\r\n";
        for size in 1..=message.len() {
            let mut cutter = TopCutter::new(0);
            let kept: usize = message.chunks(size).map(|piece| cutter.take(piece)).sum();
            assert_eq!(kept, message.len() - b"body\r\n".len(), "in pieces of {size}");
        }
    }

    #[test]
    fn known_answers() {
        for (message, wire) in [
            (&b""[..], &b".\r\n"[..]),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"a\r\n.b\r\n..c\r\n", b"a\r\n..b\r\n...c\r\n.\r\n"),
            (b"no end", b"no end\r\n.\r\n"),
            (b"bare\n.\nlf\n", b"bare\n..\nlf\n\r\n.\r\n"),
            (b"cr\r", b"cr\r\r\n.\r\n"),
        ] {
            for size in [1, 2, 3, 100] {
                assert_eq!(stuffed(message, size), wire);
            }
        }
    }

    #[test]
    fn only_crlf_dot_crlf_ends() {
        for wire in [&b"a\n.\n"[..], b"a\r\n.\n", b"a\n.\r\n", b"a\r.\r\n", b"a\r\r\n.\r"] {
            assert_eq!(unstuffed(wire, 1).1, usize::MAX, "{wire:?}");
        }
        assert_eq!(unstuffed(b"a\r\n.\r\nrest", 1), (b"a\r\n".to_vec(), 6));
    }

    #[test]
    fn top_counts_lines() {
        let message = b"A: b\r\nC: d\r\n\r\none\r\ntwo\r\nthree\r\n";
        let cut = |lines, size: usize| {
            let mut cutter = TopCutter::new(lines);
            let mut out = Vec::new();
            for piece in message.chunks(size) {
                let take = cutter.take(piece);
                out.extend_from_slice(&piece[..take]);
                if take < piece.len() {
                    break;
                }
            }
            out
        };
        for size in [1, 2, 3, 7, 100] {
            assert_eq!(cut(0, size), b"A: b\r\nC: d\r\n\r\n");
            assert_eq!(cut(2, size), b"A: b\r\nC: d\r\n\r\none\r\ntwo\r\n");
            assert_eq!(cut(u32::MAX, size), message);
        }
        let mut cutter = TopCutter::new(1);
        assert_eq!(cutter.take(b"no body at all"), 14);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn both_ways(message in "[.\r\nab]{0,60}", out_size in 1usize..9, in_size in 1usize..9) {
            let wire = stuffed(message.as_bytes(), out_size);
            prop_assert_eq!(&wire, &stuffed(message.as_bytes(), 1000));
            let (back, used) = unstuffed(&wire, in_size);
            prop_assert_eq!(used, wire.len());
            let mut whole = message.clone().into_bytes();
            if !whole.is_empty() && !whole.ends_with(b"\r\n") {
                whole.extend_from_slice(b"\r\n");
            }
            prop_assert_eq!(back, whole);
        }
    }
}
