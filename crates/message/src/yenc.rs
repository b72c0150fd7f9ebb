//! yEnc (yEnc draft 1.3) as files inside a text: 8-bit, one part or many, checked by length and CRC-32.
//!
//! Reading never fails: what the `=yend` line says and what was found are compared, and the difference is told.
//! Must not know: MIME, where the parts of a file come from.

use std::ops::Range;

use crate::checksum::crc32;
use crate::header::line_at;
use crate::limits::INLINE_FILES_MAX;
use crate::uuencode::next_line_with;

/// What was wrong with a yEnc file or part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// No `=yend` line.
    EndMissing,
    /// The number of octets is not the one that is written.
    Length,
    /// The CRC-32 is not the one that is written.
    Checksum,
    /// A part of many without a readable `=ypart` line.
    PartMissing,
}

/// One `=ybegin` to `=yend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YencPart {
    /// Its lines in the text.
    pub range: Range<usize>,
    /// Name as the sender wrote it. It may hold anything: it is no path.
    pub name: Vec<u8>,
    /// Octets of the whole file, as written.
    pub file_len: u64,
    /// Number of this part and, if written, of all parts; `None` for a file in one piece.
    pub part: Option<(u32, Option<u32>)>,
    /// Where in the file this part lies.
    pub place: Range<u64>,
    /// The decoded octets.
    pub content: Vec<u8>,
    /// CRC-32 of the whole file, as written.
    pub file_crc32: Option<u32>,
    /// What was wrong, each once.
    pub troubles: Vec<Trouble>,
}

/// A file put together from its parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct YencFile {
    /// Name, of the first part.
    pub name: Vec<u8>,
    /// The content; where a part is missing there are zeros.
    pub content: Vec<u8>,
    /// The ranges that no part has.
    pub missing: Vec<Range<u64>>,
    /// What was wrong with any part or with the whole, each once.
    pub troubles: Vec<Trouble>,
}

/// Every yEnc part inside a text, in order. The text must be the octets as they came: yEnc is 8-bit.
///
/// ```
/// let text = b"Hi\r\n=ybegin line=128 size=3 name=cat.txt\r\nm\x8b\x9e\r\n=yend size=3 crc32=a6130548\r\nBye\r\n";
/// let parts = message::yenc::find(text);
/// assert_eq!((parts[0].name.as_slice(), parts[0].content.as_slice()), (&b"cat.txt"[..], &b"Cat"[..]));
/// ```
pub fn find(text: &[u8]) -> Vec<YencPart> {
    let mut out = Vec::new();
    let mut at = 0;
    while out.len() < INLINE_FILES_MAX
        && let Some(start) = next_line_with(text, at, b"=ybegin ")
    {
        let (line, next) = line_at(text, start);
        at = next;
        if let Some(part) = read_part(text, start, text.get(line).unwrap_or_default(), next) {
            at = part.range.end;
            out.push(part);
        }
    }
    out
}

/// Puts the parts of one file together, whatever their order; of two for one place the first counts. `None` without parts,
/// or when they would make more than `bytes_max`.
///
/// ```
/// let half = |n: u32, place: std::ops::Range<u64>, content: &[u8]| message::yenc::YencPart {
///     range: 0..0, name: b"cat".to_vec(), file_len: 3, part: Some((n, Some(2))), place, content: content.to_vec(), file_crc32: None, troubles: vec![],
/// };
/// let file = message::yenc::join(&[half(2, 2..3, b"t"), half(1, 0..2, b"Ca")], 1_000).unwrap();
/// assert_eq!((file.content.as_slice(), file.missing.len()), (&b"Cat"[..], 0));
/// ```
pub fn join(parts: &[YencPart], bytes_max: usize) -> Option<YencFile> {
    let first = parts.iter().min_by_key(|p| p.place.start)?;
    let len = usize::try_from(first.file_len).ok().filter(|len| *len <= bytes_max)?;
    let mut order: Vec<&YencPart> = parts.iter().collect();
    order.sort_by_key(|p| p.place.start);
    let mut out = YencFile { name: first.name.clone(), ..YencFile::default() };
    let mut at = 0u64;
    for part in order {
        if part.place.start > at {
            out.missing.push(at..part.place.start.min(first.file_len));
        } else if part.place.start < at {
            continue;
        }
        // What a damaged piece lacks is zeros: the next one stands where it says.
        out.content.resize(usize::try_from(part.place.start).ok()?.min(len).max(out.content.len()), 0);
        out.content.extend_from_slice(part.content.get(..len.saturating_sub(out.content.len())).unwrap_or(&part.content));
        at = part.place.end.max(out.content.len() as u64);
        part.troubles.iter().for_each(|t| note(&mut out.troubles, *t));
    }
    if at < first.file_len {
        out.missing.push(at..first.file_len);
    }
    out.content.resize(len, 0);
    let written = parts.iter().find_map(|p| p.file_crc32);
    if out.missing.is_empty() && written.is_some_and(|crc| crc != crc32(&out.content)) {
        note(&mut out.troubles, Trouble::Checksum);
    }
    Some(out)
}

/// A file in one part: what tests and senders write.
///
/// ```
/// let text = message::yenc::encode("cat.txt", b"Cat");
/// assert_eq!(message::yenc::find(&text)[0].content, b"Cat");
/// ```
pub fn encode(name: &str, content: &[u8]) -> Vec<u8> {
    let name: String = name.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    let mut out = format!("=ybegin line=128 size={} name={name}\r\n", content.len()).into_bytes();
    let mut column = 0;
    for (i, octet) in content.iter().enumerate() {
        let byte = octet.wrapping_add(42);
        // A blank or a dot at the edge of a line may be lost on its way.
        let edge = matches!(byte, b' ' | b'\t' | b'.') && (column == 0 || column >= 127 || i + 1 == content.len());
        if matches!(byte, 0 | b'\n' | b'\r' | b'=') || edge {
            out.extend_from_slice(&[b'=', byte.wrapping_add(64)]);
            column += 2;
        } else {
            out.push(byte);
            column += 1;
        }
        if column >= 128 && i + 1 < content.len() {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
    }
    out.extend_from_slice(format!("\r\n=yend size={} crc32={:08x}\r\n", content.len(), crc32(content)).as_bytes());
    out
}

fn note(troubles: &mut Vec<Trouble>, trouble: Trouble) {
    if !troubles.contains(&trouble) {
        troubles.push(trouble);
    }
}

/// `key=value` of a keyword line; `name` reaches to its end.
fn value<'a>(line: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let line = line.get(..memchr::memmem::find(line, b" name=").unwrap_or(line.len())).unwrap_or_default();
    line.split(|b| *b == b' ').find_map(|word| word.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}

fn number(line: &[u8], key: &str) -> Option<u64> {
    std::str::from_utf8(value(line, key)?).ok()?.parse().ok()
}

fn crc(line: &[u8], key: &str) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(value(line, key)?.trim_ascii()).ok()?, 16).ok()
}

/// A part whose `=ybegin` line is `begin`; `None` when that line is none.
fn read_part(text: &[u8], start: usize, begin: &[u8], next: usize) -> Option<YencPart> {
    let name = begin.get(memchr::memmem::find(begin, b" name=")? + 6..)?.trim_ascii().to_vec();
    let file_len = number(begin, "size")?;
    number(begin, "line")?;
    let whole = |key| number(begin, key).and_then(|n| u32::try_from(n).ok());
    let part = whole("part").map(|n| (n, whole("total")));
    let mut out = YencPart {
        range: start..next,
        name,
        file_len,
        part,
        place: 0..0,
        content: Vec::new(),
        file_crc32: None,
        troubles: Vec::new(),
    };
    let mut at = next;
    if part.is_some() {
        let (range, after) = line_at(text, at);
        let line = text.get(range).unwrap_or_default();
        match line.strip_prefix(b"=ypart ").and_then(|l| number(l, "begin").zip(number(l, "end"))) {
            Some((begin, end)) if begin > 0 && begin <= end => (out.place, at) = (begin - 1..end, after),
            _ => note(&mut out.troubles, Trouble::PartMissing),
        }
    }
    let mut end = None;
    while at < text.len() {
        let (range, after) = line_at(text, at);
        let line = text.get(range).unwrap_or_default();
        if line.starts_with(b"=ybegin ") {
            break;
        }
        at = after;
        if line.starts_with(b"=yend") {
            end = Some(line);
            break;
        }
        decode_line(line, &mut out.content);
    }
    out.range.end = at;
    out.check(end);
    Some(out)
}

impl YencPart {
    /// Compares what was found with what is written.
    fn check(&mut self, end: Option<&[u8]>) {
        let len = self.content.len() as u64;
        let place_len = self.place.end - self.place.start;
        if self.part.is_none() || place_len == 0 {
            self.place = 0..len;
        }
        let Some(end) = end else { return note(&mut self.troubles, Trouble::EndMissing) };
        self.file_crc32 = crc(end, "crc32");
        let wanted = if self.part.is_some() { place_len } else { self.file_len };
        if len != wanted || number(end, "size").is_some_and(|size| size != len) {
            note(&mut self.troubles, Trouble::Length);
        }
        let written = if self.part.is_some() { crc(end, "pcrc32") } else { self.file_crc32 };
        if written.is_some_and(|crc| crc != crc32(&self.content)) {
            note(&mut self.troubles, Trouble::Checksum);
        }
    }
}

fn decode_line(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(i) = memchr::memchr(b'=', rest) {
        out.extend(rest.get(..i).unwrap_or_default().iter().map(|b| b.wrapping_sub(42)));
        out.extend(rest.get(i + 1).map(|b| b.wrapping_sub(64 + 42)));
        rest = rest.get(i + 2..).unwrap_or_default();
    }
    out.extend(rest.iter().map(|b| b.wrapping_sub(42)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn part_text(number: u32, begin: u64, content: &[u8], whole: &[u8]) -> Vec<u8> {
        let lines = encode("x.bin", content);
        let body = &lines[memchr::memchr(b'\n', &lines).unwrap() + 1..memchr::memmem::rfind(&lines, b"=yend").unwrap()];
        let mut out = format!(
            "=ybegin part={number} total=3 line=128 size={} name=x.bin\r\n=ypart begin={} end={}\r\n",
            whole.len(),
            begin + 1,
            begin + content.len() as u64
        )
        .into_bytes();
        out.extend_from_slice(body);
        out.extend_from_slice(
            format!("=yend size={} part={number} pcrc32={:08x} crc32={:08x}\r\n", content.len(), crc32(content), crc32(whole))
                .as_bytes(),
        );
        out
    }

    #[test]
    fn parts_in_any_order_and_missing_ones() {
        let whole: Vec<u8> = (0..1_000u32).map(|i| (i * 7) as u8).collect();
        let texts = [
            part_text(3, 800, &whole[800..], &whole),
            part_text(1, 0, &whole[..400], &whole),
            part_text(2, 400, &whole[400..800], &whole),
        ];
        let parts = find(&texts.concat());
        assert_eq!(
            parts.iter().map(|p| p.part).collect::<Vec<_>>(),
            [Some((3, Some(3))), Some((1, Some(3))), Some((2, Some(3)))]
        );
        assert!(parts.iter().all(|p| p.troubles.is_empty()), "{parts:?}");
        let file = join(&parts, 10_000).unwrap();
        assert_eq!((file.content == whole, file.missing.is_empty(), file.troubles.is_empty()), (true, true, true));
        let file = join(&parts[..2], 10_000).unwrap();
        assert_eq!((file.missing.len(), file.missing.first(), file.content.len()), (1, Some(&(400..800)), 1_000));
        assert_eq!(join(&parts, 999), None);
        assert_eq!(join(&[], 999), None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let good = encode("a", b"Cat");
        let with = |from: &str, to: &str| {
            let text = good
                .escape_ascii()
                .to_string()
                .replace("\\r\\n", "\r\n")
                .replace("\\x8b", "\u{1}")
                .replace("\\x9e", "\u{2}")
                .replace(from, to);
            let octets: Vec<u8> = text
                .chars()
                .map(|c| match c {
                    '\u{1}' => 0x8b,
                    '\u{2}' => 0x9e,
                    c => c as u8,
                })
                .collect();
            find(&octets).pop().map(|p| p.troubles)
        };
        assert_eq!(with("nothing", ""), Some(vec![]));
        assert_eq!(with("size=3", "size=4"), Some(vec![Trouble::Length]));
        assert_eq!(with("m\u{1}", "n\u{1}"), Some(vec![Trouble::Checksum]));
        assert_eq!(with("=yend", "=yen"), Some(vec![Trouble::EndMissing]));
        assert_eq!(with(" line=128", ""), None);
        assert_eq!(with(" line", " part=1 line"), Some(vec![Trouble::PartMissing, Trouble::Length]));
    }

    #[test]
    fn hostile_pieces_are_linear() {
        for piece in [
            "=ybegin line=1 size=1 name=a\r\n",
            "=ybegin ",
            "=y",
            "=\r\n",
            "=ybegin part=1 line=1 size=9 name=a\r\n=ypart begin=9 end=1\r\n",
        ] {
            assert!(find(piece.repeat(50_000).as_bytes()).len() <= INLINE_FILES_MAX);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_written_is_read(content in proptest::collection::vec(any::<u8>(), 0..600)) {
            let text = [b"before\r\n".as_slice(), &encode("na me.bin", &content), b"after\r\n"].concat();
            let parts = find(&text);
            prop_assert_eq!(parts.len(), 1);
            prop_assert_eq!(&parts[0].content, &content);
            prop_assert_eq!(&parts[0].name, b"na me.bin");
            prop_assert!(parts[0].troubles.is_empty());
            prop_assert_eq!(&text[parts[0].range.end..], b"after\r\n");
        }
    }
}
