//! Where a command or response ends: lines and the literals between them, without copying.
//!
//! Invariant: whatever the chunks, the same pieces come out; nothing here looks into one further than the head of a
//! literal at the end of a line.

use super::string::{LiteralHead, literal_head_at_end};
use bytes::BytesMut;

/// `~{18446744073709551615+}` and a CRLF.
pub(crate) const LITERAL_HEAD_BYTES_MAX: usize = 32;

/// How far the command or response at the beginning of the input has been looked at.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    /// Where the current line begins (behind the last literal).
    line_start: usize,
    /// No line end before here.
    scanned: usize,
    /// Octets of lines before `line_start`.
    line_bytes: usize,
    /// Octets of literals before `line_start`.
    literal_bytes: u64,
}

/// What the input holds.
pub(crate) enum Framed {
    More,
    /// A whole one of `total` octets, `text` without its last line end.
    Line {
        text: usize,
        total: usize,
    },
    /// A line that ends in the head of a literal.
    Literal {
        text: usize,
        total: usize,
        head: LiteralHead,
    },
    TooLong,
}

/// The end of the first line.
pub(crate) struct LineEnd {
    /// Octets before CRLF (or a bare LF, which is tolerated).
    pub(crate) text: usize,
    pub(crate) total: usize,
}

impl Framing {
    pub(crate) fn next(&mut self, input: &[u8], line_bytes_max: usize) -> Framed {
        let from = self.scanned.max(self.line_start);
        let Some(unseen) = input.get(from..) else { return Framed::More };
        let Some(at) = memchr::memchr(b'\n', unseen) else {
            self.scanned = input.len();
            let held = input.len().saturating_sub(self.line_start);
            return if self.line_bytes + held > line_bytes_max { Framed::TooLong } else { Framed::More };
        };
        let total = from + at + 1;
        let line = input.get(self.line_start..total - 1).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.line_bytes + line.len() > line_bytes_max {
            return Framed::TooLong;
        }
        let text = self.line_start + line.len();
        match literal_head_at_end(line) {
            Some(head) => Framed::Literal { text, total, head },
            None => Framed::Line { text, total },
        }
    }

    /// Where the line begins that is being looked at.
    pub(crate) fn line_start(&self) -> usize {
        self.line_start
    }

    /// Is there room for a literal among the others?
    pub(crate) fn has_room(&self, len: u64, max: usize) -> bool {
        self.literal_bytes.saturating_add(len) <= max as u64
    }

    /// The literal after the first `total` octets belongs to it. Its length has been checked.
    pub(crate) fn take_literal(&mut self, total: usize, len: u64) {
        self.line_bytes += total.saturating_sub(self.line_start);
        self.literal_bytes = self.literal_bytes.saturating_add(len);
        self.line_start = total.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
        self.scanned = self.line_start;
    }
}

pub(crate) fn line_end(input: &[u8]) -> Option<LineEnd> {
    let at = memchr::memchr(b'\n', input)?;
    let line = input.get(..at).unwrap_or_default();
    Some(LineEnd { text: line.strip_suffix(b"\r").unwrap_or(line).len(), total: at + 1 })
}

/// Takes the first line off, without its end.
pub(crate) fn take_line(input: &mut BytesMut) -> Option<BytesMut> {
    let end = line_end(input)?;
    let mut line = input.split_to(end.total);
    line.truncate(end.text);
    Some(line)
}
