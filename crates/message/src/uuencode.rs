//! uuencode (POSIX uuencode(1)) as files inside a text; as a Content-Transfer-Encoding it is `transfer`'s.
//!
//! Reading never fails: blanks that mail took away are put back, a length that lies is followed as far as there are
//! octets, `end` may be missing. The base64 kind (`begin-base64`) is read too. Must not know: MIME.

use std::ops::Range;

use crate::header::line_at;
use crate::limits::INLINE_FILES_MAX;
use crate::transfer::{base64_decode, uuencode_line};

/// What was wrong with a uuencoded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// No `end` line: the file reaches as far as there are lines of it.
    EndMissing,
    /// A line is shorter or longer than its first character says.
    LineLength,
    /// An empty line inside; it was skipped.
    EmptyLine,
}

/// A file found inside a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Its lines in the text, `begin` and `end` included.
    pub range: Range<usize>,
    /// Name as the sender wrote it. It may hold anything: it is no path.
    pub name: Vec<u8>,
    /// Permissions, as the sender wrote them.
    pub mode: u32,
    /// The content.
    pub content: Vec<u8>,
    /// What was wrong, each once.
    pub troubles: Vec<Trouble>,
}

/// Every uuencoded file inside a text, in order. `begin 644 people` alone is no file: a line of one must follow.
///
/// ```
/// let text = b"Here it is:\r\nbegin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\nBye\r\n";
/// let files = message::uuencode::find(text);
/// assert_eq!((files[0].name.as_slice(), files[0].content.as_slice()), (&b"cat.txt"[..], &b"Cat"[..]));
/// assert_eq!(&text[files[0].range.end..], b"Bye\r\n");
/// ```
pub fn find(text: &[u8]) -> Vec<InlineFile> {
    let mut out = Vec::new();
    let mut at = 0;
    while out.len() < INLINE_FILES_MAX
        && let Some(start) = next_line_with(text, at, b"begin")
    {
        let (line, next) = line_at(text, start);
        at = next;
        let Some(begin) = Begin::parse(text.get(line).unwrap_or_default()) else { continue };
        if let Some(file) = read_inline(text, start, next, &begin) {
            at = file.range.end;
            out.push(file);
        }
    }
    out
}

/// Where the next line that begins with `word` starts, from the line at `at` on.
pub(crate) fn next_line_with(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let rest = text.get(at..)?;
    memchr::memmem::find_iter(rest, word).map(|i| at + i).find(|i| *i == 0 || text.get(i - 1) == Some(&b'\n'))
}

/// A file as lines of text, CRLF at their ends, `` ` `` for zero.
///
/// ```
/// let text = message::uuencode::encode("cat.txt", 0o644, b"Cat");
/// assert_eq!(text, b"begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n");
/// ```
pub fn encode(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let name: String = name.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    let mut out = format!("begin {:03o} {name}\r\n", mode & 0o777).into_bytes();
    let digit = |six: u8| if six & 63 == 0 { b'`' } else { (six & 63) + 32 };
    for line in content.chunks(45) {
        out.push(digit(line.len() as u8));
        for group in line.chunks(3) {
            let [a, b, c] = [0, 1, 2].map(|i| group.get(i).copied().unwrap_or(0));
            out.extend_from_slice(&[digit(a >> 2), digit(a << 4 | b >> 4), digit(b << 2 | c >> 6), digit(c)]);
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"`\r\nend\r\n");
    out
}

/// `begin 644 name` or `begin-base64 644 name`.
struct Begin<'a> {
    base64: bool,
    mode: u32,
    name: &'a [u8],
}

impl<'a> Begin<'a> {
    fn parse(line: &'a [u8]) -> Option<Begin<'a>> {
        let rest = line.strip_prefix(b"begin")?;
        let (base64, rest) = match rest.strip_prefix(b"-base64") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let rest = rest.strip_prefix(b" ")?.trim_ascii_start();
        let digits = rest.iter().position(|b| !matches!(b, b'0'..=b'7')).unwrap_or(rest.len());
        if !(3..=6).contains(&digits) {
            return None;
        }
        let (mode, name) = rest.split_at_checked(digits)?;
        let mode = mode.iter().fold(0, |mode, digit| mode << 3 | u32::from(digit - b'0'));
        let name = name.strip_prefix(b" ")?.trim_ascii();
        (!name.is_empty()).then_some(Begin { base64, mode, name })
    }
}

/// A file whose lines start at `start`; `None` when its first line is none of a file.
fn read_inline(text: &[u8], begin_at: usize, start: usize, begin: &Begin<'_>) -> Option<InlineFile> {
    let mut content = Vec::new();
    let mut troubles = Vec::new();
    let mut ended = false;
    let mut at = start;
    let mut lines = 0;
    while at < text.len() {
        let (range, next) = line_at(text, at);
        let line = text.get(range).unwrap_or_default();
        let kind = if begin.base64 { base64_line(line, &mut content) } else { data_line(line, &mut content) };
        match kind {
            Line::End => {
                ended = true;
                at = next;
                break;
            }
            // A text that goes on without `end`. An empty line between lines of data is let pass.
            Line::Foreign if line.is_empty() && lines > 0 && goes_on(text, next, begin.base64) => {
                note(&mut troubles, Trouble::EmptyLine)
            }
            Line::Foreign => break,
            Line::Wrong => note(&mut troubles, Trouble::LineLength),
            Line::Good => {}
        }
        lines += 1;
        at = next;
    }
    if !ended {
        note(&mut troubles, Trouble::EndMissing);
    }
    (lines > 0).then(|| InlineFile { range: begin_at..at, name: begin.name.to_vec(), mode: begin.mode, content, troubles })
}

fn goes_on(text: &[u8], next: usize, base64: bool) -> bool {
    let line = text.get(line_at(text, next).0).unwrap_or_default();
    let mut unused = Vec::new();
    !line.is_empty() && !base64 && matches!(data_line(line, &mut unused), Line::Good | Line::End)
}

fn note(troubles: &mut Vec<Trouble>, trouble: Trouble) {
    if !troubles.contains(&trouble) {
        troubles.push(trouble);
    }
}

enum Line {
    Good,
    /// Of a file, but shorter or longer than it says.
    Wrong,
    End,
    Foreign,
}

/// The longest line: a length of 63, its 84 digits, and what some encoders put behind them.
const LINE_DIGITS_MAX: usize = 84;

/// One line: its length, then four digits for three octets.
fn data_line(line: &[u8], out: &mut Vec<u8>) -> Line {
    if line.trim_ascii_end() == b"end" {
        return Line::End;
    }
    let Some((&first, digits)) = line.split_first() else { return Line::Foreign };
    if !(32..=96).contains(&first) || digits.len() > LINE_DIGITS_MAX + 2 {
        return Line::Foreign;
    }
    let len = usize::from((first - 32) & 63);
    // Blanks at the end of a line, which are zeros, do not survive all mail; a few of them may be missing.
    let wanted = len.div_ceil(3) * 4;
    let shortest = (len * 4).div_ceil(3);
    if digits.iter().any(|b| !(32..=96).contains(b)) || (len == 0 && !digits.trim_ascii().is_empty()) {
        return Line::Foreign;
    }
    if digits.len() + 8 < shortest && digits.len() < shortest / 2 || digits.len() > wanted + 2 {
        return Line::Foreign;
    }
    let end = out.len() + len;
    uuencode_line(line, out);
    out.resize(end, 0);
    // One character more is a checksum that some encoders write.
    if digits.len() < shortest || digits.len() > wanted + 1 { Line::Wrong } else { Line::Good }
}

fn base64_line(line: &[u8], out: &mut Vec<u8>) -> Line {
    let line = line.trim_ascii_end();
    if line == b"====" {
        return Line::End;
    }
    if line.is_empty() || !line.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')) {
        return Line::Foreign;
    }
    out.extend_from_slice(&base64_decode(line));
    Line::Good
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn several_files_with_text_between() {
        let text = b"begin 644 people to write\r\nto us\r\nbegin 644 a.txt\r\n#0V%T\r\n`\r\nend\r\nand\nbegin 0755 b c.txt\n#0V%T\n \nend\nbegin 644 none";
        let files = find(text);
        assert_eq!(
            files.iter().map(|f| (f.name.as_slice(), f.mode)).collect::<Vec<_>>(),
            [(&b"a.txt"[..], 0o644), (b"b c.txt", 0o755)]
        );
        assert!(files.iter().all(|f| f.content == b"Cat" && f.troubles.is_empty()));
        assert_eq!(&text[files[0].range.end..files[1].range.start], b"and\n");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let one = |text: &[u8]| find(text).pop().unwrap();
        // No end: the file stops where its lines do.
        let file = one(b"begin 644 a\n#0V%T\nRegards, ann@here.test\n");
        assert_eq!((file.content.as_slice(), file.troubles), (&b"Cat"[..], vec![Trouble::EndMissing]));
        // Blanks at the end of a line were lost; they count as zeros.
        let file = one(b"begin 644 a\n#\nend\n");
        assert_eq!((file.content.as_slice(), file.troubles), (&[0u8; 3][..], vec![Trouble::LineLength]));
        assert!(find(b"begin 644 a\n#0V%TXXX\n`\nend\n").is_empty());
        let file = one(b"begin 644 a\n#0V%TX\n`\nend\n");
        assert_eq!((file.content.as_slice(), file.troubles.len()), (&b"Cat"[..], 0), "a checksum character");
        let file = one(b"begin 644 a\n#0V%T\n\n#0V%T\n`\nend\n");
        assert_eq!((file.content.as_slice(), file.troubles), (&b"CatCat"[..], vec![Trouble::EmptyLine]));
        assert_eq!(one(b"begin-base64 600 x\nQ2F0\nQ2F0\n====\n").content, b"CatCat");
        assert!(find(b"begin 64 a\n#0V%T\nend\n").is_empty() && find(b" begin 644 a\n#0V%T\nend\n").is_empty());
    }

    #[test]
    fn hostile_pieces_are_linear_and_bounded() {
        for piece in ["begin 644 a\n", "begin 644 a\n#0V%T\n", "#0V%T\n\n", "begin-base64 644 a\nQ\n", "begin"] {
            assert!(find(format!("begin 644 a\n#0V%T\n{}", piece.repeat(100_000)).as_bytes()).len() <= INLINE_FILES_MAX);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_written_is_read(content in proptest::collection::vec(any::<u8>(), 1..300), before in "[a-z \n]{0,40}", mode in 0u32..0o777) {
            let mut text = before.clone().into_bytes();
            text.push(b'\n');
            text.extend_from_slice(&encode("näme 1.bin", mode, &content));
            text.extend_from_slice(b"after\n");
            let files = find(&text);
            prop_assert_eq!(files.len(), 1);
            prop_assert_eq!(&files[0].content, &content);
            prop_assert_eq!((files[0].name.as_slice(), files[0].mode), ("näme 1.bin".as_bytes(), mode));
            prop_assert!(files[0].troubles.is_empty());
            prop_assert_eq!(&text[files[0].range.end..], b"after\n");
        }
    }
}
