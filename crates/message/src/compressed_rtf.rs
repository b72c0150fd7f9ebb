//! Compressed RTF (MS-OXRTFCP): what Outlook puts into winmail.dat as the body.
//!
//! Invariant: at most [`UNPACKED_BYTES_MAX`] octets come out; never fails on what follows a good head.

use crate::checksum::crc32_raw;
use crate::limits::UNPACKED_BYTES_MAX;

/// What was wrong with a compressed RTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The checksum is wrong.
    Checksum,
    /// It ends too early, or is longer or shorter than it says.
    Length,
}

/// The RTF, and what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rtf {
    /// RTF source.
    pub rtf: Vec<u8>,
    /// Each once.
    pub troubles: Vec<Trouble>,
}

/// What the dictionary holds at the start (MS-OXRTFCP §2.1.2.1).
const START: &[u8; 207] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

const WINDOW: usize = 4096;

/// Decompresses; `None` when the octets are no compressed RTF.
///
/// ```
/// // The example of MS-OXRTFCP §4.1.1.
/// let packed = b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125B2\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\x80\x0f\xa0";
/// let found = message::compressed_rtf::decompress(packed).unwrap();
/// assert_eq!(found.rtf, b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
/// assert!(found.troubles.is_empty());
/// ```
pub fn decompress(octets: &[u8]) -> Option<Rtf> {
    let number = |at: usize| octets.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(u32::from_le_bytes);
    let (packed_len, raw_len, crc) = (number(0)? as usize, number(4)? as usize, number(12)?);
    let content = octets.get(16..).unwrap_or_default();
    let stated = packed_len.saturating_sub(12);
    let content = content.get(..stated).unwrap_or(content);
    let mut out = Rtf::default();
    if content.len() < stated {
        out.troubles.push(Trouble::Length);
    }
    match octets.get(8..12)? {
        b"MELA" => out.rtf = content.get(..raw_len).unwrap_or(content).to_vec(),
        b"LZFu" => {
            if crc32_raw(0, content) != crc {
                out.troubles.push(Trouble::Checksum);
            }
            unpack(content, raw_len.min(UNPACKED_BYTES_MAX), &mut out.rtf);
        }
        _ => return None,
    }
    if out.rtf.len() != raw_len && !out.troubles.contains(&Trouble::Length) {
        out.troubles.push(Trouble::Length);
    }
    Some(out)
}

/// Runs of eight tokens, each run with a bit a token: an octet, or a place in the dictionary and a length.
fn unpack(content: &[u8], len_max: usize, out: &mut Vec<u8>) {
    let mut window = [0u8; WINDOW];
    let mut write = START.len();
    if let Some(head) = window.get_mut(..write) {
        head.copy_from_slice(START);
    }
    let mut put = |octet: u8, write: &mut usize, window: &mut [u8; WINDOW]| {
        if let Some(slot) = window.get_mut(*write) {
            *slot = octet;
        }
        *write = (*write + 1) % WINDOW;
        out.push(octet);
        out.len() >= len_max
    };
    if len_max == 0 {
        return;
    }
    let mut rest = content;
    while let Some((control, after)) = rest.split_first() {
        rest = after;
        for bit in 0..8 {
            if control >> bit & 1 == 0 {
                let Some((octet, after)) = rest.split_first() else { return };
                rest = after;
                if put(*octet, &mut write, &mut window) {
                    return;
                }
                continue;
            }
            let Some((&[high, low], after)) = rest.split_first_chunk() else { return };
            rest = after;
            let (place, len) = ((usize::from(high) << 4 | usize::from(low) >> 4), usize::from(low & 15) + 2);
            if place == write {
                return;
            }
            for i in 0..len {
                let octet = window.get((place + i) % WINDOW).copied().unwrap_or_default();
                if put(octet, &mut write, &mut window) {
                    return;
                }
            }
        }
    }
}

/// An RTF kept uncompressed in the same frame: what tests and some senders write.
///
/// ```
/// let frame = message::compressed_rtf::stored(b"{\\rtf1 x}");
/// assert_eq!(message::compressed_rtf::decompress(&frame).unwrap().rtf, b"{\\rtf1 x}");
/// ```
pub fn stored(rtf: &[u8]) -> Vec<u8> {
    let mut out = (rtf.len() as u32 + 12).to_le_bytes().to_vec();
    out.extend_from_slice(&(rtf.len() as u32).to_le_bytes());
    out.extend_from_slice(b"MELA\0\0\0\0");
    out.extend_from_slice(rtf);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// MS-OXRTFCP §4.1.2: a run that reads what it writes.
    #[test]
    fn a_reference_that_crosses_the_write_place() {
        let packed = b"\x1a\0\0\0\x1c\0\0\0LZFu\xe2\xd4\x4b\x51\x41\0\x04\x20WXYZ\x0dn}\x01\x0e\xb0";
        let found = decompress(packed).unwrap();
        assert_eq!(found.rtf, b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
        assert_eq!(found.troubles, []);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let packed = b"\x1a\0\0\0\x1c\0\0\0LZFu\xe2\xd4\x4b\x51\x41\0\x04\x20WXYZ\x0dn}\x01\x0e\xb0";
        for len in 16..packed.len() - 1 {
            assert!(!decompress(&packed[..len]).unwrap().troubles.is_empty(), "{len}");
        }
        let mut flipped = *packed;
        flipped[20] ^= 1;
        assert_eq!(decompress(&flipped).unwrap().troubles, [Trouble::Checksum]);
        assert_eq!(decompress(b"short"), None);
        assert_eq!(decompress(&[0; 20]), None);
        // A promise of four gigabytes makes none.
        let mut promised = *packed;
        promised[4..8].copy_from_slice(&[0xff; 4]);
        assert_eq!(decompress(&promised).unwrap().troubles, [Trouble::Length]);
    }
}
