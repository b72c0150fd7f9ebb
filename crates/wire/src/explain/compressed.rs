//! COMPRESS=DEFLATE (RFC 4978) in a dialogue that is followed: both directions are inflated from where they are compressed.
//!
//! What the client said behind its COMPRESS or UNAUTHENTICATE is one or the other: that turns out with the server's answer,
//! and until then it is held. Invariant: what is held is bounded; what is inflated goes on in pieces and is never kept.

use super::{Explained, Explainer, Side};
use crate::deflate::flush_end;
use flate2::{Decompress, FlushDecompress, Status};
use std::borrow::Cow;

/// Octets of the client that wait for the answer to COMPRESS or UNAUTHENTICATE.
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
        if !self.held.is_empty() && !self.waits_for_answer() {
            let held = std::mem::take(&mut self.held);
            self.hear(Side::Client, &held, &mut out);
        }
        out
    }

    /// What the client says now is compressed or not: that depends on an answer (RFC 4978 §3, RFC 8437 §4.1).
    fn waits_for_answer(&self) -> bool {
        let name = if self.state.inflating.is_some() { "UNAUTHENTICATE" } else { "COMPRESS" };
        self.state.waiting.iter().any(|(waiting, _)| waiting == name)
    }

    fn hear(&mut self, side: Side, mut octets: &[u8], out: &mut Vec<Explained>) {
        while !octets.is_empty() && !self.state.over {
            let heard = if side == Side::Client && self.waits_for_answer() {
                self.hold(octets)
            } else if self.state.inflating.is_some() {
                self.inflate(side, octets, out)
            } else if let Some(mut held) = self.half(side).flushing.take() {
                held.extend_from_slice(octets);
                match flush_end(&held) {
                    Some(end) => return self.hear(side, held.get(end..).unwrap_or_default(), out),
                    None => self.half(side).flushing = Some(held),
                }
                return;
            } else {
                Ok(self.step(side, octets, out))
            };
            match heard {
                Ok(rest) => octets = rest,
                Err(Lost) => {
                    self.state.over = true;
                    let meaning = Cow::Borrowed("It cannot be read, nor can anything behind it.");
                    out.push(Explained { side, line: "(compressed)".to_owned(), meaning, section: "RFC 4978 §3" });
                }
            }
        }
    }

    fn hold(&mut self, octets: &[u8]) -> Result<&'static [u8], Lost> {
        if self.held.len() + octets.len() > HELD_BYTES_MAX {
            self.held = Vec::new();
            return Err(Lost);
        }
        self.held.extend_from_slice(octets);
        Ok(&[])
    }

    /// Inflates to the end, or to where it is to be known first whether the rest is compressed; gives back the rest. Where
    /// compression can end it goes octet by octet, so that none behind that is touched.
    fn inflate<'a>(&mut self, side: Side, mut octets: &'a [u8], out: &mut Vec<Explained>) -> Result<&'a [u8], Lost> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let step = if side == Side::Client || self.waits_for_answer() { octets.len().min(1) } else { octets.len() };
            let Some(both) = &mut self.state.inflating else { return Err(Lost) };
            let stream = match side {
                Side::Client => &mut both.client,
                Side::Server => &mut both.server,
            };
            let (took, made) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(octets.get(..step).unwrap_or_default(), &mut piece, FlushDecompress::None);
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
            if self.state.inflating.is_none() {
                self.client.flushing = Some(Vec::new());
                self.server.flushing = Some(Vec::new());
                return Ok(octets);
            }
            // Whether its end may come turns out with the answer.
            if side == Side::Client && self.waits_for_answer() {
                return Ok(octets);
            }
            match status {
                Err(_) | Ok(Status::StreamEnd) => return Err(Lost),
                Ok(_) if took == 0 && made == 0 => return Ok(octets),
                Ok(_) => {}
            }
        }
    }
}
