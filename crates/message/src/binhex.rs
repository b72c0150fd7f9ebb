//! BinHex 4.0 (RFC 1741): a Macintosh file as text, in a part of its own or inside a text.
//!
//! Invariant: at most [`UNPACKED_BYTES_MAX`] octets come out, however the runs are packed; a checksum that is wrong is told,
//! what was read is kept. Must not know: MIME.

use std::ops::Range;

use crate::checksum::crc16;
use crate::limits::{INLINE_FILES_MAX, UNPACKED_BYTES_MAX};
use crate::uuencode::next_line_with;

/// What was wrong with a BinHex file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The closing colon is missing, or the file ends before its forks do.
    Truncated,
    /// A character that BinHex does not have; reading stops there.
    ForeignCharacter,
    /// The checksum of the header is wrong.
    HeaderChecksum,
    /// The checksum of the data fork is wrong.
    DataChecksum,
    /// The checksum of the resource fork is wrong.
    ResourceChecksum,
}

/// A Macintosh file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MacFile {
    /// Its lines in the text, the sentence before it included.
    pub range: Range<usize>,
    /// Name, in whatever charset that Macintosh had. It may hold anything: it is no path.
    pub name: Vec<u8>,
    /// Four letters, e.g. `TEXT`.
    pub file_type: [u8; 4],
    /// Four letters.
    pub creator: [u8; 4],
    /// Finder flags.
    pub flags: u16,
    /// The data fork: what other systems call the file.
    pub data: Vec<u8>,
    /// The resource fork.
    pub resource: Vec<u8>,
    /// What was wrong, each once.
    pub troubles: Vec<Trouble>,
}

/// How the sentence begins that every such file has (RFC 1741); encoders end it as they like.
const SENTENCE: &[u8] = b"(This file must be converted";

/// Every BinHex file of a text, in order.
///
/// ```
/// let text = message::binhex::encode("cat.txt", *b"TEXT", *b"ttxt", b"Cat", b"");
/// let files = message::binhex::find(&text);
/// assert_eq!((files[0].name.as_slice(), files[0].data.as_slice()), (&b"cat.txt"[..], &b"Cat"[..]));
/// assert!(files[0].troubles.is_empty());
/// ```
pub fn find(text: &[u8]) -> Vec<MacFile> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut room = UNPACKED_BYTES_MAX;
    while out.len() < INLINE_FILES_MAX
        && let Some(start) = next_line_with(text, at, SENTENCE)
    {
        // The rest of the sentence, and the colon that begins a line.
        let (line, next) = crate::header::line_at(text, start);
        at = next.max(line.end);
        let rest = text.get(at..).unwrap_or_default();
        let blanks = rest.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(rest.len());
        if rest.get(blanks) != Some(&b':') {
            continue;
        }
        if let Some(mut file) = read(text, at + blanks + 1, room) {
            at = file.range.end;
            file.range.start = start;
            room = room.saturating_sub(file.data.len() + file.resource.len());
            out.push(file);
        }
    }
    out
}

const DIGITS: &[u8; 64] = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";

const fn values() -> [u8; 256] {
    let mut table = [0xff; 256];
    let mut i = 0;
    while i < 64 {
        table[DIGITS[i] as usize] = i as u8;
        i += 1;
    }
    table
}

static VALUES: [u8; 256] = values();

/// The mark of a run.
const RUN: u8 = 0x90;

/// Six bits a character, then runs: octets out one by one, so that nothing larger than asked for is made.
struct Unpacker<'a> {
    text: &'a [u8],
    at: usize,
    bits: u32,
    bit_count: u8,
    last: u8,
    repeat: u8,
    foreign: bool,
}

impl Unpacker<'_> {
    fn six(&mut self) -> Option<u32> {
        loop {
            let byte = *self.text.get(self.at)?;
            if byte == b':' {
                return None;
            }
            self.at += 1;
            match VALUES.get(usize::from(byte)).copied().unwrap_or(0xff) {
                0xff if byte.is_ascii_whitespace() => {}
                0xff => {
                    self.foreign = true;
                    self.at -= 1;
                    return None;
                }
                value => return Some(u32::from(value)),
            }
        }
    }

    fn packed(&mut self) -> Option<u8> {
        while self.bit_count < 8 {
            self.bits = self.bits << 6 | self.six()?;
            self.bit_count += 6;
        }
        self.bit_count -= 8;
        let octet = (self.bits >> self.bit_count) as u8;
        self.bits &= (1 << self.bit_count) - 1;
        Some(octet)
    }

    fn octet(&mut self) -> Option<u8> {
        if self.repeat > 0 {
            self.repeat -= 1;
            return Some(self.last);
        }
        loop {
            let octet = self.packed()?;
            if octet != RUN {
                self.last = octet;
                return Some(octet);
            }
            match self.packed()? {
                0 => self.last = RUN,
                // The octet itself stood before its mark: a run of one owes nothing.
                1 => continue,
                count => self.repeat = count - 2,
            }
            return Some(self.last);
        }
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        std::iter::from_fn(|| self.octet()).take(len).collect()
    }
}

/// A file behind its opening colon; `None` when there is not even a header.
fn read(text: &[u8], at: usize, bytes_max: usize) -> Option<MacFile> {
    let mut unpacker = Unpacker { text, at, bits: 0, bit_count: 0, last: 0, repeat: 0, foreign: false };
    let name_len = unpacker.octet()?;
    let mut header = vec![name_len];
    header.extend(unpacker.take(usize::from(name_len) + 19));
    let fields = header.get(usize::from(name_len) + 2..).filter(|f| f.len() == 18)?;
    let word = |at: usize| fields.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
    let len = |at| word(at).map(|b| u32::from_be_bytes(b) as usize);
    let mut out = MacFile {
        name: header.get(1..1 + usize::from(name_len))?.to_vec(),
        file_type: word(0)?,
        creator: word(4)?,
        flags: u16::from_be_bytes([*fields.get(8)?, *fields.get(9)?]),
        ..MacFile::default()
    };
    let (data_len, resource_len) = (len(10)?, len(14)?);
    let mut checked = |octets: &[u8], trouble: Trouble, unpacker: &mut Unpacker<'_>| {
        let written = unpacker.take(2);
        if let Ok(written) = <[u8; 2]>::try_from(written) {
            if u16::from_be_bytes(written) != crc16(octets) {
                out.troubles.push(trouble);
            }
        } else if out.troubles.last() != Some(&Trouble::Truncated) {
            out.troubles.push(Trouble::Truncated);
        }
    };
    checked(&header, Trouble::HeaderChecksum, &mut unpacker);
    let data = unpacker.take(data_len.min(bytes_max));
    checked(&data, Trouble::DataChecksum, &mut unpacker);
    let resource = unpacker.take(resource_len.min(bytes_max.saturating_sub(data.len())));
    checked(&resource, Trouble::ResourceChecksum, &mut unpacker);
    (out.data, out.resource) = (data, resource);
    finish(&mut out, &unpacker, at);
    Some(out)
}

fn finish(out: &mut MacFile, unpacker: &Unpacker<'_>, start: usize) {
    let rest = unpacker.text.get(unpacker.at..).unwrap_or_default();
    let colon = rest.iter().position(|b| !b.is_ascii_whitespace() && VALUES.get(usize::from(*b)) == Some(&0xff));
    let closed = colon.is_some_and(|i| rest.get(i) == Some(&b':'));
    if unpacker.foreign {
        out.troubles.push(Trouble::ForeignCharacter);
    } else if !closed && !out.troubles.contains(&Trouble::Truncated) {
        out.troubles.push(Trouble::Truncated);
    }
    let mut end = unpacker.at;
    if closed {
        end += colon.unwrap_or_default() + 1;
        // The rest of its line, if there is nothing on it.
        let (line, next) = crate::header::line_at(unpacker.text, end);
        if unpacker.text.get(line).unwrap_or_default().trim_ascii().is_empty() {
            end = next;
        }
    }
    out.range = start..end;
}

/// A file as BinHex text: what tests and old Macintoshes write.
///
/// ```
/// let text = message::binhex::encode("x", *b"TEXT", *b"ttxt", b"Cat", b"fork");
/// assert!(text.starts_with(b"(This file must be converted with BinHex 4.0)\r\n\r\n:"));
/// ```
pub fn encode(name: &str, file_type: [u8; 4], creator: [u8; 4], data: &[u8], resource: &[u8]) -> Vec<u8> {
    let name = name.get(..name.floor_char_boundary(63)).unwrap_or(name);
    let mut plain = vec![name.len() as u8];
    plain.extend_from_slice(name.as_bytes());
    plain.push(0);
    plain.extend_from_slice(&file_type);
    plain.extend_from_slice(&creator);
    plain.extend_from_slice(&[0, 0]);
    plain.extend_from_slice(&(data.len() as u32).to_be_bytes());
    plain.extend_from_slice(&(resource.len() as u32).to_be_bytes());
    let crc = crc16(&plain);
    plain.extend_from_slice(&crc.to_be_bytes());
    for fork in [data, resource] {
        plain.extend_from_slice(fork);
        plain.extend_from_slice(&crc16(fork).to_be_bytes());
    }
    let mut packed = Vec::new();
    for run in plain.chunk_by(|a, b| a == b) {
        for piece in run.chunks(255) {
            let octet = piece.first().copied().unwrap_or_default();
            let mark = [octet, RUN, piece.len() as u8];
            match (octet, piece.len()) {
                (RUN, 4..) => packed.extend_from_slice(&[RUN, 0, RUN, piece.len() as u8]),
                (RUN, len) => packed.extend_from_slice(&[RUN, 0].repeat(len)),
                (_, 4..) => packed.extend_from_slice(&mark),
                _ => packed.extend_from_slice(piece),
            }
        }
    }
    let mut out = b"(This file must be converted with BinHex 4.0)\r\n\r\n:".to_vec();
    let mut column = 1;
    for group in packed.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|i| group.get(i).copied().unwrap_or(0));
        for six in [a >> 2, (a << 4 | b >> 4) & 63, (b << 2 | c >> 6) & 63, c & 63].into_iter().take(group.len() + 1) {
            if column == 64 {
                out.extend_from_slice(b"\r\n");
                column = 0;
            }
            out.extend(DIGITS.get(usize::from(six)));
            column += 1;
        }
    }
    out.extend_from_slice(b":\r\n");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_wrong_is_told() {
        let good = encode("cat.txt", *b"TEXT", *b"ttxt", b"Cat and more of it", b"fork");
        let troubles = |text: &[u8]| find(text).pop().map(|f| f.troubles);
        assert_eq!(troubles(&good), Some(vec![]));
        let colon = good.len() - 3;
        assert_eq!(troubles(&good[..colon]), Some(vec![Trouble::Truncated]));
        assert_eq!(troubles(&good[..colon - 20]).unwrap().last(), Some(&Trouble::Truncated));
        assert_eq!(troubles(&good[..60]), None);
        let mut foreign = good.clone();
        foreign[colon - 20] = b'g';
        assert!(troubles(&foreign).unwrap().contains(&Trouble::ForeignCharacter));
        let mut flipped = good.clone();
        flipped[100] = if flipped[100] == b'!' { b'"' } else { b'!' };
        assert!(!troubles(&flipped).unwrap().is_empty());
    }

    #[test]
    fn runs_do_not_fill_memory() {
        let file = find(&encode("zeros", *b"TEXT", *b"ttxt", &vec![0; 1_000_000], b"")).pop().unwrap();
        assert_eq!((file.data.len(), file.troubles.len()), (1_000_000, 0));
        // A header that promises four gigabytes, and runs of one without end.
        let text = [SENTENCE, b")\n:", &b"$f*TE'9".repeat(50_000), b":"].concat();
        let _ = find(&text);
    }

    #[test]
    fn inside_a_text() {
        let mut text = b"(This file must be converted with BinHex) is only said here\n\n".to_vec();
        text.extend_from_slice(&encode("a", *b"TEXT", *b"ttxt", b"one", b""));
        text.extend_from_slice(b"between\n");
        text.extend_from_slice(&encode("b", *b"TEXT", *b"ttxt", b"two", b""));
        let files = find(&text);
        assert_eq!(files.iter().map(|f| f.data.as_slice()).collect::<Vec<_>>(), [b"one", b"two"]);
        assert_eq!(&text[files[0].range.end..files[1].range.start], b"between\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_written_is_read(data in proptest::collection::vec(prop_oneof![Just(0x90u8), Just(0), any::<u8>()], 0..400), resource in proptest::collection::vec(any::<u8>(), 0..50)) {
            let files = find(&encode("file name", *b"BINA", *b"mdos", &data, &resource));
            prop_assert_eq!(files.len(), 1);
            prop_assert_eq!(&files[0].data, &data);
            prop_assert_eq!(&files[0].resource, &resource);
            prop_assert_eq!((files[0].name.as_slice(), &files[0].file_type, &files[0].creator), (&b"file name"[..], b"BINA", b"mdos"));
            prop_assert!(files[0].troubles.is_empty(), "{:?}", files[0].troubles);
        }
    }
}
