//! Holds a message back until its header section is whole, so that it can be looked at and mended before the body streams on.
//!
//! RFC 5322 §2.1: the section ends at the first empty line.
//! Invariant: what comes out is what went in, in order; never holds more than the limit. Must not know: what fields mean.

use crate::limits::HEADER_BYTES_MAX;
use crate::refusal::Refusal;

/// What the gate says to a piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Gate {
    /// More is needed.
    Wait,
    /// The header section (and the start of the body behind it): now mend it.
    Header(Vec<u8>),
    /// The header has passed: the piece goes straight on.
    Through,
}

/// See the module.
#[derive(Default)]
pub struct HeaderGate {
    held: Vec<u8>,
    open: bool,
    searched: usize,
}

impl HeaderGate {
    /// Takes a piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<Gate, Refusal> {
        if self.open {
            return Ok(Gate::Through);
        }
        self.held.extend_from_slice(piece);
        let from = self.searched.saturating_sub(3);
        let blank = self.held.starts_with(b"\r\n")
            || self.held.get(from..).is_some_and(|tail| tail.windows(4).any(|four| four == b"\r\n\r\n"));
        self.searched = self.held.len();
        if blank {
            return Ok(Gate::Header(self.take()));
        }
        if self.held.len() > HEADER_BYTES_MAX {
            if !has_header(&self.held) {
                return Ok(Gate::Header(self.take()));
            }
            return Err(Refusal::new(552, (5, 3, 4), format!("The header section is larger than {HEADER_BYTES_MAX} octets")));
        }
        Ok(Gate::Wait)
    }

    /// The end came: what is still held, when the header never ended.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        (!self.open).then(|| self.take())
    }

    fn take(&mut self) -> Vec<u8> {
        self.open = true;
        std::mem::take(&mut self.held)
    }
}

/// Does a field stand at the very head? (Some programs send bare text.)
pub fn has_header(octets: &[u8]) -> bool {
    message::header::fields(octets).next().is_some_and(|field| field.start == 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_split_gives_the_same() {
        let whole = b"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\nmore";
        for cut in 0..whole.len() {
            let mut gate = HeaderGate::default();
            let mut out = Vec::new();
            for piece in [&whole[..cut], &whole[cut..]] {
                match gate.push(piece).unwrap() {
                    Gate::Wait => {}
                    Gate::Header(held) => out.extend(held),
                    Gate::Through => out.extend(piece),
                }
            }
            out.extend(gate.finish().unwrap_or_default());
            assert_eq!(out, whole);
        }
    }

    #[test]
    fn the_limit_holds_and_a_long_body_without_header_passes() {
        let mut gate = HeaderGate::default();
        let line = b"X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(1024);
        let refused = (0..100).find_map(|_| gate.push(&line).err()).unwrap();
        assert_eq!(refused.enhanced, (5, 3, 4));
        let mut gate = HeaderGate::default();
        let text = b"just words and more words\r\n".repeat(4096);
        assert!((0..100).any(|_| matches!(gate.push(&text), Ok(Gate::Header(_)))));
    }
}
