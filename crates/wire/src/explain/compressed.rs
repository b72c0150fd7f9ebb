//! COMPRESS=DEFLATE (RFC 4978) in a dialogue that is followed: both directions are inflated from where they are compressed.
//!
//! What the client said behind its command is one or the other: that turns out with the server's answer, and until then it
//! is held. Invariant: what is held is bounded; what is inflated goes on in pieces and is never kept.

use super::{Explained, Explainer, Side};
use flate2::{Decompress, FlushDecompress, Status};
use std::borrow::Cow;

/// Octets of the client that wait for the answer to COMPRESS.
const HELD_BYTES_MAX: usize = 64 * 1024;
/// Octets inflated at a time.
const PIECE_BYTES: usize = 16 * 1024;
/// Lines told of what came at once.
const LINES_AT_ONCE_MAX: usize = 20_000;

/// The streams of both sides.
#[derive(Debug)]
pub(super) struct Inflating {
    client: Decompress,
    server: Decompress,
}

impl Inflating {
    pub(super) fn begin() -> Box<Inflating> {
        Box::new(Inflating { client: Decompress::new(false), server: Decompress::new(false) })
    }
}

/// Nothing can be read from here on.
struct Lost;

impl Explainer {
    /// Octets that `side` sent.
    pub fn said(&mut self, side: Side, octets: &[u8]) -> Vec<Explained> {
        let mut out = Vec::new();
        self.hear(side, octets, &mut out);
        if !self.held.is_empty() && !self.waits_for_compression() {
            let held = std::mem::take(&mut self.held);
            self.hear(Side::Client, &held, &mut out);
        }
        out
    }

    fn waits_for_compression(&self) -> bool {
        self.state.inflating.is_none() && self.state.waiting.iter().any(|(name, _)| name == "COMPRESS")
    }

    fn hear(&mut self, side: Side, octets: &[u8], out: &mut Vec<Explained>) {
        let rest = if self.state.inflating.is_some() { octets } else { self.plain(side, octets, out) };
        if rest.is_empty() || self.state.over {
            return;
        }
        let read = match self.state.inflating.is_some() {
            true => self.inflate(side, rest, out),
            false if self.held.len() + rest.len() <= HELD_BYTES_MAX => {
                self.held.extend_from_slice(rest);
                Ok(())
            }
            false => Err(Lost),
        };
        if read.is_err() {
            self.state.over = true;
            let meaning = Cow::Borrowed("It cannot be read, nor can anything behind it.");
            out.push(Explained { side, line: "(compressed)".to_owned(), meaning, section: "RFC 4978 §3" });
        }
    }

    /// What is not compressed; gives back what is, or may be.
    fn plain<'a>(&mut self, side: Side, mut octets: &'a [u8], out: &mut Vec<Explained>) -> &'a [u8] {
        while !octets.is_empty() && !self.state.over {
            if self.state.inflating.is_some() || (side == Side::Client && self.waits_for_compression()) {
                return octets;
            }
            octets = self.step(side, octets, out);
        }
        octets
    }

    fn inflate(&mut self, side: Side, mut octets: &[u8], out: &mut Vec<Explained>) -> Result<(), Lost> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let Some(both) = &mut self.state.inflating else { return Err(Lost) };
            let stream = match side {
                Side::Client => &mut both.client,
                Side::Server => &mut both.server,
            };
            let (took, made) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(octets, &mut piece, FlushDecompress::None);
            let took = usize::try_from(stream.total_in() - took).map_err(|_| Lost)?;
            let made = usize::try_from(stream.total_out() - made).map_err(|_| Lost)?;
            octets = octets.get(took..).unwrap_or_default();
            let mut inflated = piece.get(..made).unwrap_or_default();
            while !inflated.is_empty() && !self.state.over {
                inflated = self.step(side, inflated, out);
            }
            if out.len() > LINES_AT_ONCE_MAX {
                out.truncate(LINES_AT_ONCE_MAX);
                let meaning = Cow::Borrowed("More came at once than is shown.");
                out.push(Explained { side, line: "(many lines)".to_owned(), meaning, section: "" });
            }
            match status {
                // Its end, which must not come.
                Err(_) | Ok(Status::StreamEnd) => return Err(Lost),
                Ok(_) if took == 0 && made == 0 => return Ok(()),
                Ok(_) => {}
            }
        }
    }
}
