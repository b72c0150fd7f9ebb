//! DEFLATE between a session and its connection (RFC 1951, as RFC 4978 has it): what comes is inflated as there is room for it,
//! what goes is deflated and flushed where it ends.
//!
//! Where a reader may end the stream behind any line (RFC 8437 §4.1), it is inflated so that nothing behind that line is
//! touched; what is left of the flush behind it is told by [`flush_end`].
//!
//! Invariant: never more is inflated than the reader has room for, however small it was packed. The compressor is given back
//! when nothing was sent for a while: behind a flush a stream goes on as well with an empty window. Must not know: IMAP.

use crate::session::Time;
use bytes::{Buf, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The compressor (about 300 kB) is kept so long after its last use, seconds.
const COMPRESSOR_SECS_KEPT: u64 = 10;
/// Octets inflated at a time.
const PIECE_BYTES: usize = 16 * 1024;
/// The same, of octets that came one at a time.
const SMALL_PIECE_BYTES: usize = 256;
/// No octet of DEFLATE stands for more than so many.
const INFLATION_MAX: u64 = 1040;
/// No flush is longer: the end of the block, an empty one, and an empty last one.
const FLUSH_BYTES_MAX: usize = 16;
/// Whatever a client says begins with so many octets of text.
const TEXT_BYTES: usize = 4;

/// Where plain lines begin in what came behind the last line of a stream; `None`: too little came to tell. In front of them
/// is what is left of the flush: the end of the line's block and then an empty one, `00 00 ff ff` at its end or, of a partial
/// flush, without its last bits (RFC 1951 §3.2.4, §3.2.6). What is text of it by chance is mostly what no tag begins with.
pub(crate) fn flush_end(octets: &[u8]) -> Option<usize> {
    let mut end = 0;
    while end < FLUSH_BYTES_MAX {
        let rest = octets.get(end..).unwrap_or_default();
        let rest = rest.get(..TEXT_BYTES).unwrap_or(rest);
        let text = |octet: &u8| matches!(octet, b'\r' | b'\n' | b' '..=b'~');
        match rest.iter().rposition(|octet| !text(octet)) {
            Some(at) => end += at + 1,
            None if rest.first().is_some_and(|octet| !begins_line(*octet)) => end += 1,
            None if rest.len() < TEXT_BYTES => return None,
            None => return Some(end),
        }
    }
    Some(end.min(octets.len()))
}

/// A tag as programs make them, or an empty line.
fn begins_line(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"\r\n.$#".contains(&octet)
}

/// What came is no DEFLATE stream, or its end, which must not come.
#[derive(Debug)]
pub(crate) struct Broken;

/// Both directions of one connection.
#[derive(Debug)]
pub(crate) struct Deflate {
    decompressor: Decompress,
    compressor: Option<Compress>,
    /// Came and is not inflated yet.
    raw: BytesMut,
    /// The decompressor may hold more octets than it had room for.
    holds_more: bool,
    /// The stream ended behind its last line.
    ended: bool,
    /// Both streams have.
    over: bool,
    /// Said before compression began: goes as it is, first.
    plain: Vec<u8>,
    /// The compressor was used since the last tick.
    used: bool,
    used_at: Time,
}

impl Deflate {
    /// From now on; `plain` is still to go as it is, `raw` came behind the command and is compressed already.
    pub(crate) fn new(plain: Vec<u8>, raw: &[u8]) -> Deflate {
        Deflate {
            decompressor: Decompress::new(false),
            compressor: None,
            raw: BytesMut::from(raw),
            holds_more: false,
            ended: false,
            over: false,
            plain,
            used: false,
            used_at: Time(0),
        }
    }

    /// Takes octets of the peer.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
    }

    /// Octets that wait to be inflated.
    pub(crate) fn waiting(&self) -> usize {
        self.raw.len()
    }

    /// Both streams are over: ours behind what was transmitted, the peer's behind the line that was inflated last.
    pub(crate) fn end(&mut self) {
        (self.over, self.compressor) = (true, None);
    }

    /// Only the end of the peer's last flush is still to come.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// What came behind both streams, as soon as that is known.
    pub(crate) fn rest(&mut self) -> Option<BytesMut> {
        let end = flush_end(&self.raw).filter(|_| self.over)?;
        Some(self.raw.split_off(end.min(self.raw.len())))
    }

    /// Inflates until `input` holds `max` octets or nothing is left. Did it add any? The stream will not end within the next
    /// `sure` octets, nor within a line: behind those it stops at the end of each.
    pub(crate) fn inflate(&mut self, input: &mut BytesMut, max: usize, sure: u64) -> Result<bool, Broken> {
        if self.ended {
            return Err(Broken);
        }
        let had = input.len();
        while (!self.raw.is_empty() || self.holds_more) && input.len() < max {
            let before = input.len();
            let sure = sure.saturating_sub((before - had) as u64);
            let step = usize::try_from(sure / INFLATION_MAX).unwrap_or(usize::MAX).clamp(1, self.raw.len().max(1));
            let piece_bytes = if step == 1 { SMALL_PIECE_BYTES } else { PIECE_BYTES };
            let room = (max - before).min(piece_bytes);
            input.resize(before + room, 0);
            let (took, made) = (self.decompressor.total_in(), self.decompressor.total_out());
            let piece = input.get_mut(before..).unwrap_or_default();
            // What it holds comes first.
            let raw = if self.holds_more { &[] } else { self.raw.get(..step).unwrap_or_default() };
            let status = self.decompressor.decompress(raw, piece, FlushDecompress::None);
            let took = usize::try_from(self.decompressor.total_in() - took).unwrap_or(usize::MAX);
            let made = usize::try_from(self.decompressor.total_out() - made).unwrap_or(usize::MAX);
            input.truncate(before + made);
            self.raw.advance(took.min(self.raw.len()));
            let fed = !std::mem::replace(&mut self.holds_more, made == room);
            let line = sure == 0 && memchr::memchr(b'\n', input.get(before..).unwrap_or_default()).is_some();
            match status {
                Err(_) => return Err(Broken),
                Ok(Status::StreamEnd) if !line => return Err(Broken),
                // Only behind the command that ends compression is nothing more to come.
                Ok(Status::StreamEnd) => {
                    self.ended = true;
                    break;
                }
                Ok(_) if line || (fed && took == 0 && made == 0) => break,
                Ok(_) => {}
            }
        }
        if self.raw.is_empty() {
            self.raw = BytesMut::new();
        }
        Ok(input.len() > had)
    }

    /// Moves what is ready to `out`, deflated, with a flush at its end.
    pub(crate) fn transmit(&mut self, ready: &mut Vec<u8>, out: &mut Vec<u8>) {
        out.append(&mut self.plain);
        if ready.is_empty() {
            return;
        }
        self.used = true;
        let compressor = self.compressor.get_or_insert_with(|| Compress::new(Compression::new(4), false));
        let mut rest = ready.as_slice();
        loop {
            out.reserve(rest.len() / 2 + 64);
            let took = compressor.total_in();
            let done = compressor.compress_vec(rest, out, FlushCompress::Sync);
            let took = usize::try_from(compressor.total_in() - took).unwrap_or(usize::MAX);
            rest = rest.get(took..).unwrap_or_default();
            // A compressor with memory to write to does not fail; without this a broken one would go on for ever.
            if done.is_err() || (rest.is_empty() && out.len() < out.capacity()) {
                break;
            }
        }
        ready.clear();
    }

    /// Notes the time; gives the compressor back when it was long not used.
    pub(crate) fn tick(&mut self, now: Time) {
        if std::mem::take(&mut self.used) {
            self.used_at = now;
        } else if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.compressor = None;
        }
    }

    /// When [`Deflate::tick`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.compressor.as_ref().map(|_| self.used_at.plus_secs(COMPRESSOR_SECS_KEPT))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn inflated(deflated: &[u8]) -> Vec<u8> {
        let mut reader = Deflate::new(Vec::new(), deflated);
        let mut input = BytesMut::new();
        while reader.inflate(&mut input, usize::MAX / 2, u64::MAX).unwrap() {}
        input.to_vec()
    }

    #[test]
    fn what_is_flushed_can_be_read_and_the_compressor_may_be_given_back() {
        let mut writer = Deflate::new(b"a OK\r\n".to_vec(), b"");
        let mut out = Vec::new();
        writer.transmit(&mut b"* 1 EXISTS\r\n".to_vec(), &mut out);
        let plain = out.strip_prefix(b"a OK\r\n").unwrap().to_vec();
        assert_eq!(inflated(&plain), b"* 1 EXISTS\r\n");
        writer.tick(Time(1000));
        assert_eq!(writer.deadline(), Some(Time(11_000)));
        writer.tick(Time(10_999));
        assert!(writer.compressor.is_some());
        writer.tick(Time(11_000));
        assert!(writer.compressor.is_none() && writer.deadline().is_none());
        writer.transmit(&mut b"* 1 EXISTS\r\n".to_vec(), &mut out);
        assert_eq!(inflated(out.get(6..).unwrap()), b"* 1 EXISTS\r\n* 1 EXISTS\r\n");
        let len = out.len();
        writer.transmit(&mut Vec::new(), &mut out);
        assert_eq!(out.len(), len, "nothing to say is no octet");
    }

    #[test]
    fn a_bomb_is_inflated_as_far_as_there_is_room() {
        let (mut writer, mut out) = (Deflate::new(Vec::new(), b""), Vec::new());
        writer.transmit(&mut vec![b'x'; 20_000_000], &mut out);
        assert!(out.len() < 100_000);
        let mut reader = Deflate::new(Vec::new(), &out);
        let (mut input, mut read) = (BytesMut::new(), 0);
        while reader.inflate(&mut input, 50_000, u64::MAX).unwrap() {
            assert!(input.len() <= 50_000 && input.capacity() < 1_000_000);
            read += input.len();
            input.clear();
        }
        assert_eq!(read, 20_000_000);
    }

    #[test]
    fn nonsense_is_broken() {
        let mut reader = Deflate::new(Vec::new(), b"a NOOP\r\nb NOOP\r\n");
        assert!(reader.inflate(&mut BytesMut::new(), 1000, 0).is_err());
    }

    /// What zlib 1.2.13 says at "c UNAUTHENTICATE": flushed partly, wholly, with an end, and not compressed at all.
    #[test]
    fn where_a_flush_ends() {
        let flushes: [&[u8]; 12] = [
            b"",
            b"\x02",
            b"\x20",
            b"@",
            b"\x00\x01",
            b"\x80\x00",
            b"\x00\x00\xff\xff",
            b"\x00\x00\x00\xff\xff",
            b"K\x00\x00\x00\xff\xff",
            b"oN\x00\x00\xff\xff\x03\x00",
            b"\x01\x00\x00\xff\xff",
            b"\x00",
        ];
        for flush in flushes {
            for text in [&b"d NOOP\r\n"[..], b".1 CAPABILITY\r\n", b"\r\n7 LOGIN a b\r\n", b"a@ NOOP\r\n"] {
                let octets = [flush, text].concat();
                assert_eq!(flush_end(&octets), Some(flush.len()), "{octets:?}");
                // However it is cut: too little says nothing, and enough always the same.
                for cut in 0..octets.len() {
                    let told = flush_end(octets.get(..cut).unwrap());
                    assert!(told.is_none_or(|end| end == flush.len()), "{:?}: {told:?}", octets.get(..cut));
                }
            }
        }
        assert_eq!(flush_end(&[0; 1000]), Some(FLUSH_BYTES_MAX), "nothing is swallowed for ever");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_pieces_come_back(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 1..8), cut in 1usize..50, max in 1usize..5000, sure in 0u64..40_000) {
            let (mut writer, mut out) = (Deflate::new(Vec::new(), b""), Vec::new());
            for piece in &pieces {
                writer.transmit(&mut piece.clone(), &mut out);
            }
            let mut reader = Deflate::new(Vec::new(), b"");
            let (mut input, mut read) = (BytesMut::new(), Vec::new());
            for piece in out.chunks(cut) {
                reader.receive(piece);
                while reader.inflate(&mut input, max, sure).unwrap() {
                    prop_assert!(input.len() <= max);
                    read.extend_from_slice(&input);
                    input.clear();
                }
            }
            prop_assert_eq!(read, pieces.concat());
        }
    }
}
