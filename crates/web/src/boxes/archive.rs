//! A ZIP archive (APPNOTE 6.3) read as it comes, without its directory, which stands at the end: entry after entry, with their
//! sizes in front or behind.
//!
//! Invariant: memory holds one piece, and what unpacks to far more than came is not unpacked. Must not know: mail.

use crate::limits::{ARCHIVE_BYTES_MAX, ARCHIVE_ENTRIES_MAX, ARCHIVE_RATIO_MAX, ARCHIVE_UNJUDGED_BYTES};
use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use std::io::{self, BufRead, Read};

const LOCAL: u32 = 0x0403_4b50;
/// What stands behind the entries: the directory, or where there are none its end.
const BEHIND: [u32; 3] = [0x0201_4b50, 0x0605_4b50, 0x0606_4b50];
const DESCRIPTOR: u32 = 0x0807_4b50;
/// A size that stands in the extra field instead.
const ELSEWHERE: u32 = u32::MAX;
/// Extra fields: the sizes, and the time in seconds since 1970.
const ZIP64: u16 = 0x0001;
const TIMES: u16 = 0x5455;
/// Bits of an entry: it is encrypted; its sizes stand behind it.
const ENCRYPTED: u16 = 1;
const SIZES_BEHIND: u16 = 8;

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A reader, and what was taken from it.
struct Counted<R> {
    inner: R,
    taken: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let octets = self.inner.read(out)?;
        self.taken += octets as u64;
        Ok(octets)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, octets: usize) {
        self.taken += octets as u64;
        self.inner.consume(octets);
    }
}

impl<R: BufRead> Counted<R> {
    fn octets<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut octets = [0; N];
        self.read_exact(&mut octets)?;
        Ok(octets)
    }
    fn u16(&mut self) -> io::Result<u16> {
        self.octets().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> io::Result<u32> {
        self.octets().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> io::Result<u64> {
        self.octets().map(u64::from_le_bytes)
    }
}

/// What stands in front of an entry.
struct Head {
    bits: u16,
    method: u16,
    name: String,
    changed_secs: Option<i64>,
    crc: u32,
    /// Of what comes, and of what it unpacks to.
    sizes: (u64, u64),
    has_long_sizes: bool,
}

impl Head {
    fn read(from: &mut Counted<impl BufRead>) -> io::Result<Head> {
        let (_version, bits, method) = (from.u16()?, from.u16()?, from.u16()?);
        let (time, date) = (from.u16()?, from.u16()?);
        let (crc, packed, unpacked) = (from.u32()?, from.u32()?, from.u32()?);
        let (name_length, extra_length) = (from.u16()?, from.u16()?);
        let mut name = vec![0; usize::from(name_length)];
        from.read_exact(&mut name)?;
        let mut extra = vec![0; usize::from(extra_length)];
        from.read_exact(&mut extra)?;
        let mut head = Head {
            bits,
            method,
            name: String::from_utf8_lossy(&name).into_owned(),
            changed_secs: changed_secs(date, time),
            crc,
            sizes: (u64::from(packed), u64::from(unpacked)),
            has_long_sizes: false,
        };
        head.more(&extra, (packed, unpacked));
        Ok(head)
    }

    fn more(&mut self, mut extra: &[u8], (packed, unpacked): (u32, u32)) {
        while let Some((&[a, b, c, d], rest)) = extra.split_first_chunk() {
            let (kind, length) = (u16::from_le_bytes([a, b]), usize::from(u16::from_le_bytes([c, d])));
            let Some((field, rest)) = rest.split_at_checked(length) else { return };
            extra = rest;
            match kind {
                ZIP64 => {
                    self.has_long_sizes = true;
                    let mut numbers = field.as_chunks::<8>().0.iter().map(|octets| u64::from_le_bytes(*octets));
                    if unpacked == ELSEWHERE {
                        self.sizes.1 = numbers.next().unwrap_or(self.sizes.1);
                    }
                    if packed == ELSEWHERE {
                        self.sizes.0 = numbers.next().unwrap_or(self.sizes.0);
                    }
                }
                TIMES => {
                    if let Some((&[bits, a, b, c, d], _)) = field.split_first_chunk()
                        && bits & 1 == 1
                    {
                        self.changed_secs = Some(i64::from(i32::from_le_bytes([a, b, c, d])));
                    }
                }
                _ => {}
            }
        }
    }
}

/// As MS-DOS writes it; nobody says of which zone, so it is UTC.
fn changed_secs(date: u16, time: u16) -> Option<i64> {
    let at = zip::DateTime::try_from_msdos(date, time).ok()?;
    let text =
        format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second());
    Some(message::date::parse_rfc_3339(text.as_bytes())?.unix_secs())
}

enum Packed<'a, R> {
    Not(io::Take<&'a mut Counted<R>>),
    Deflated(DeflateDecoder<&'a mut Counted<R>>),
}

/// What is in an entry.
struct Content<'a, R> {
    packed: Packed<'a, R>,
    crc: Crc,
    size: u64,
    /// Of all entries.
    unpacked: &'a mut u64,
}

impl<R: BufRead> Read for Content<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (octets, taken) = match &mut self.packed {
            Packed::Not(content) => (content.read(out)?, content.get_ref().taken),
            Packed::Deflated(content) => (content.read(out)?, content.get_ref().taken),
        };
        self.crc.update(out.get(..octets).unwrap_or_default());
        self.size += octets as u64;
        *self.unpacked += octets as u64;
        let most = taken.saturating_mul(ARCHIVE_RATIO_MAX).clamp(ARCHIVE_UNJUDGED_BYTES, ARCHIVE_BYTES_MAX);
        if *self.unpacked > most {
            return Err(wrong("It unpacks to more than mail does."));
        }
        Ok(octets)
    }
}

/// An entry: its name, and when it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) changed_secs: Option<i64>,
}

/// What is done with entries; `false`: no more are wanted.
pub(crate) trait Unpacking {
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> io::Result<bool>;
    /// What the last entry was is known to be right.
    fn proved(&mut self) -> io::Result<bool>;
}

/// Every entry as it comes.
pub(crate) fn read(input: impl BufRead, unpacking: &mut dyn Unpacking) -> io::Result<()> {
    let mut from = Counted { inner: input, taken: 0 };
    let mut unpacked = 0;
    for number in 0.. {
        let mark = match from.u32() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && number == 0 => {
                return Err(wrong("That is no ZIP archive."));
            }
            mark => mark?,
        };
        // In front of the first: it was made to be cut in pieces, and was not.
        if number == 0 && mark == DESCRIPTOR {
            continue;
        }
        if BEHIND.contains(&mark) {
            return Ok(());
        }
        if mark != LOCAL {
            return Err(wrong(if number == 0 { "That is no ZIP archive." } else { "The archive is damaged." }));
        }
        if number >= ARCHIVE_ENTRIES_MAX {
            return Err(wrong("There are too many files in it."));
        }
        let head = Head::read(&mut from)?;
        if !one(&mut from, &head, &mut unpacked, unpacking)? {
            return Ok(());
        }
    }
    Ok(())
}

fn one<R: BufRead>(from: &mut Counted<R>, head: &Head, unpacked: &mut u64, unpacking: &mut dyn Unpacking) -> io::Result<bool> {
    let named = |why: &str| wrong(&format!("{}: {why}", head.name));
    if head.bits & ENCRYPTED != 0 {
        return Err(named("it is encrypted."));
    }
    let is_behind = head.bits & SIZES_BEHIND != 0;
    let before = from.taken;
    let packed = match head.method {
        0 if is_behind => return Err(named("how large it is stands only at the end of the archive.")),
        0 => Packed::Not(Read::take(&mut *from, head.sizes.0)),
        8 => Packed::Deflated(DeflateDecoder::new(&mut *from)),
        _ => return Err(named("it is packed in a way that is not read here.")),
    };
    let mut content = io::BufReader::with_capacity(64 * 1024, Content { packed, crc: Crc::new(), size: 0, unpacked });
    let entry = Entry { name: head.name.clone(), changed_secs: head.changed_secs };
    if !unpacking.entry(&entry, &mut content)? {
        return Ok(false);
    }
    io::copy(&mut content, &mut io::sink())?;
    let content = content.into_inner();
    let (crc, size) = (content.crc.sum(), content.size);
    drop(content);
    let packed_size = from.taken - before;
    let (said_crc, said) = if is_behind { descriptor(from, head, (packed_size, size))? } else { (head.crc, head.sizes) };
    if said_crc != crc || said != (packed_size, size) {
        return Err(named("it is damaged."));
    }
    unpacking.proved()
}

/// What stands behind an entry: perhaps a mark, its checksum, its sizes, of four octets each or of eight.
fn descriptor(from: &mut Counted<impl BufRead>, head: &Head, found: (u64, u64)) -> io::Result<(u32, (u64, u64))> {
    let first = from.u32()?;
    let crc = if first == DESCRIPTOR { from.u32()? } else { first };
    let is_long = head.has_long_sizes || found.0 >= u64::from(ELSEWHERE) || found.1 >= u64::from(ELSEWHERE);
    let sizes = match is_long {
        true => (from.u64()?, from.u64()?),
        false => (u64::from(from.u32()?), u64::from(from.u32()?)),
    };
    Ok((crc, sizes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use std::io::{Cursor, Write};
    use zip::CompressionMethod::{Deflated, Stored};
    use zip::write::SimpleFileOptions;

    /// What was found: name, time, content, and whether it was proved.
    #[derive(Default)]
    struct Found(Vec<(String, Option<i64>, Vec<u8>, bool)>);

    impl Unpacking for Found {
        fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> io::Result<bool> {
            let mut octets = Vec::new();
            // Not all of a large one: the rest is passed over.
            content.take(1_000_000).read_to_end(&mut octets)?;
            self.0.push((entry.name.clone(), entry.changed_secs, octets, false));
            Ok(true)
        }
        fn proved(&mut self) -> io::Result<bool> {
            self.0.last_mut().unwrap().3 = true;
            Ok(true)
        }
    }

    fn packed(entries: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let at = zip::DateTime::from_date_and_time(2020, 5, 17, 12, 0, 2).unwrap();
        for (name, octets) in entries {
            archive.start_file(*name, SimpleFileOptions::default().compression_method(method).last_modified_time(at)).unwrap();
            archive.write_all(octets).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    /// With the sizes behind, as what is sent as it is made has them.
    fn streamed(entries: &[(&str, &[u8])], large: bool) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new_stream(Vec::new());
        for (name, octets) in entries {
            let options = SimpleFileOptions::default().compression_method(Deflated).large_file(large);
            archive.start_file(*name, options).unwrap();
            archive.write_all(octets).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    /// Name, content, and whether it was proved.
    type Entries = Vec<(String, Vec<u8>, bool)>;

    fn found(octets: &[u8]) -> (Entries, Option<String>) {
        let mut all = Found::default();
        // However it comes.
        let read = read(io::BufReader::with_capacity(7, octets), &mut all);
        (all.0.into_iter().map(|(name, _, octets, proved)| (name, octets, proved)).collect(), read.err().map(|e| e.to_string()))
    }

    #[test]
    fn however_it_was_packed() {
        let text = b"Subject: x\r\n\r\ntext text text text\r\n".repeat(1000);
        let entries: [(&str, &[u8]); 4] = [("a.eml", &text), ("f/", b""), ("f/\u{e4}.eml", b"x"), ("empty", b"")];
        let wanted: Entries = entries.map(|(name, octets)| (name.into(), octets.to_vec(), true)).into();
        for archive in [packed(&entries, Stored), packed(&entries, Deflated), streamed(&entries, false), streamed(&entries, true)]
        {
            assert_eq!(found(&archive), (wanted.clone(), None));
        }
        assert_eq!(found(&packed(&[], Stored)), (vec![], None));
        let mut all = Found::default();
        read(&*packed(&entries, Stored), &mut all).unwrap();
        assert_eq!(all.0[0].1, Some(1_589_716_802));
    }

    #[test]
    fn what_is_none_or_damaged_says_so() {
        for none in ["", "PK", "From x\nSubject: y\n\nz\n"] {
            assert_eq!(found(none.as_bytes()).1.as_deref(), Some("That is no ZIP archive."), "{none}");
        }
        let text = b"Subject: x\r\n\r\ntext\r\n".repeat(20);
        for whole in [packed(&[("a", &text)], Stored), packed(&[("a", &text)], Deflated), streamed(&[("a", &text)], false)] {
            // Cut anywhere before its directory, and one octet changed anywhere: never taken for right.
            let end = whole.windows(4).position(|four| four == 0x0201_4b50_u32.to_le_bytes()).unwrap();
            for at in 0..end {
                assert!(found(&whole[..at]).1.is_some(), "{at}");
                let mut changed = whole.clone();
                changed[at] ^= 0x55;
                for (name, octets, proved) in found(&changed).0 {
                    assert!(!proved || octets == text || name != "a", "{at}");
                }
            }
        }
        let mut encrypted = packed(&[("a", b"x")], Stored);
        encrypted[6] |= 1;
        assert_eq!(found(&encrypted).1.as_deref(), Some("a: it is encrypted."));
    }

    #[test]
    fn what_unpacks_to_far_more_than_came_is_not_unpacked() {
        let most = usize::try_from(ARCHIVE_UNJUDGED_BYTES).unwrap();
        let zeros = vec![0; most];
        let bomb = packed(&[("a", &zeros), ("b", &zeros)], Deflated);
        let (all, why) = found(&bomb);
        assert_eq!((all.len(), why.as_deref()), (1, Some("It unpacks to more than mail does.")));
        assert_eq!(found(&packed(&[("a", &zeros)], Deflated)).1, None, "so much of anything is let pass");
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let one = packed(&[("a", b"")], Stored);
        let end = one.windows(4).position(|four| four == 0x0201_4b50_u32.to_le_bytes()).unwrap();
        let many = one[..end].repeat(ARCHIVE_ENTRIES_MAX);
        let within = [many.as_slice(), &one[end..]].concat();
        let past = [many.as_slice(), &one].concat();
        assert_eq!(found(&within).1, None);
        assert_eq!(found(&past).1.as_deref(), Some("There are too many files in it."));
    }
}
