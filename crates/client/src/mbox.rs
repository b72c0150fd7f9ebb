//! mbox files of all four kinds, read as they stream, and written.
//!
//! A `From ` line counts at the start and behind an empty line. With a Content-Length that leads exactly to the next
//! `From ` line (mboxcl, mboxcl2) that length counts instead; one that leads elsewhere is passed over, and after
//! [`LIES_MAX`] of them none is looked at any more, so that the work stays linear. Memory: one message.
//! Must not know: where messages go.

use crate::limits::MESSAGE_BYTES_MAX;
use std::io::{self, BufRead, Cursor, Read};

/// Lengths that led nowhere, before the others of the file are not believed either: each is read ahead for nothing.
const LIES_MAX: u32 = 16;

/// How `From ` at the start of a line of text was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Whatever it is: lengths where they are true, else as mboxrd.
    Any,
    /// `>From `; nothing else is quoted.
    Mboxo,
    /// `>From `, `>>From ` ...: one mark each.
    Mboxrd,
    /// Quoted like mboxrd, with lengths.
    Mboxcl,
    /// Lengths only, nothing is quoted.
    Mboxcl2,
}

/// One message of an mbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Behind `From `: sender and time.
    pub from: Vec<u8>,
    /// As it stood in the file, without its last empty line.
    pub raw: Vec<u8>,
    /// A Content-Length led here.
    pub by_length: bool,
}

/// Reads an mbox from its beginning.
pub struct Reader<R> {
    input: Input<R>,
    lies: u32,
    quoting: Quoting,
    message_bytes_max: u64,
    /// The line that begins the next message.
    from: Option<Vec<u8>>,
    begun: bool,
}

/// The file, and in front of it what was read ahead for nothing.
struct Input<R> {
    ahead: Cursor<Vec<u8>>,
    rest: R,
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.ahead.read(out)?;
        if read > 0 { Ok(read) } else { self.rest.read(out) }
    }
}

impl<R: BufRead> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead.fill_buf()?.is_empty() { self.rest.fill_buf() } else { self.ahead.fill_buf() }
    }
    fn consume(&mut self, used: usize) {
        let ahead = self.ahead.get_ref().len() as u64 - self.ahead.position();
        if ahead > 0 { self.ahead.consume(used) } else { self.rest.consume(used) }
    }
}

fn line_of(input: &mut impl BufRead, line: &mut Vec<u8>, bytes_max: u64) -> io::Result<bool> {
    line.clear();
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Ok(!line.is_empty());
        }
        let (used, ends) = match memchr::memchr(b'\n', chunk) {
            Some(at) => (at + 1, true),
            None => (chunk.len(), false),
        };
        line.extend_from_slice(chunk.get(..used).unwrap_or_default());
        input.consume(used);
        if line.len() as u64 > bytes_max {
            return Err(too_large());
        }
        if ends {
            return Ok(true);
        }
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message is too large")
}

fn is_empty_line(line: &[u8]) -> bool {
    line == b"\n" || line == b"\r\n"
}

fn from_text(line: &[u8]) -> Option<Vec<u8>> {
    let rest = line.strip_prefix(b"From ")?;
    let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
    Some(rest.strip_suffix(b"\r").unwrap_or(rest).to_vec())
}

impl<R: BufRead> Reader<R> {
    /// Reads as `quoting` says.
    pub fn new(input: R, quoting: Quoting) -> Reader<R> {
        let input = Input { ahead: Cursor::default(), rest: input };
        Reader { input, lies: 0, quoting, message_bytes_max: MESSAGE_BYTES_MAX, from: None, begun: false }
    }

    /// None of its messages is larger.
    #[must_use]
    pub fn up_to(mut self, message_bytes_max: u64) -> Reader<R> {
        self.message_bytes_max = message_bytes_max.min(MESSAGE_BYTES_MAX);
        self
    }

    /// The next message.
    ///
    /// # Errors
    /// The file cannot be read, or a message is larger than we take.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut line = Vec::new();
        let mut after_empty = true;
        while self.from.is_none() {
            // What stands before the first `From ` line is no message.
            if self.begun || !line_of(&mut self.input, &mut line, self.message_bytes_max)? {
                return Ok(None);
            }
            self.from = from_text(&line).filter(|_| after_empty);
            after_empty = is_empty_line(&line);
        }
        self.begun = true;
        let mut entry = Entry { from: self.from.take().unwrap_or_default(), raw: Vec::new(), by_length: false };
        let length = self.read_header(&mut entry, &mut line)?;
        if self.from.is_some() {
            return Ok(Some(entry));
        }
        let honours = self.lies < LIES_MAX && matches!(self.quoting, Quoting::Any | Quoting::Mboxcl | Quoting::Mboxcl2);
        if let Some(length) = length.filter(|length| honours && *length <= self.message_bytes_max)
            && self.read_by_length(&mut entry, length)?
        {
            return Ok(Some(entry));
        }
        self.read_lines(&mut entry, &mut line)?;
        Ok(Some(entry))
    }

    /// The header with its empty line; its Content-Length.
    fn read_header(&mut self, entry: &mut Entry, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let mut length = None;
        while line_of(&mut self.input, line, self.message_bytes_max)? {
            entry.raw.extend_from_slice(line);
            if entry.raw.len() as u64 > self.message_bytes_max {
                return Err(too_large());
            }
            if is_empty_line(line) {
                break;
            }
            if is_length(line) {
                let text = String::from_utf8_lossy(line).split_once(':').map(|(_, text)| text.trim().to_owned());
                length = text.unwrap_or_default().parse().ok();
            }
        }
        Ok(length)
    }

    /// Takes `length` octets if a message ends there; else what was read comes again, line by line.
    fn read_by_length(&mut self, entry: &mut Entry, length: u64) -> io::Result<bool> {
        let mut body = Vec::new();
        self.input.by_ref().take(length).read_to_end(&mut body)?;
        let mut is_end = body.len() as u64 == length;
        let mut behind = Vec::new();
        if is_end {
            // An empty line or none, then `From ` or the end.
            let mut line = Vec::new();
            while line_of(&mut self.input, &mut line, self.message_bytes_max)? {
                behind.extend_from_slice(&line);
                self.from = from_text(&line);
                if !is_empty_line(&line) || behind.len() > line.len() {
                    break;
                }
            }
            is_end = self.from.is_some() || behind.is_empty() || is_empty_line(&behind);
        }
        if is_end {
            entry.raw.extend_from_slice(&body);
            entry.by_length = true;
            return Ok(true);
        }
        self.lies += 1;
        self.from = None;
        body.extend_from_slice(&behind);
        // What was ahead before and is not read yet stays behind it.
        let left = usize::try_from(self.input.ahead.position()).unwrap_or(usize::MAX);
        body.extend_from_slice(self.input.ahead.get_ref().get(left..).unwrap_or_default());
        self.input.ahead = Cursor::new(body);
        Ok(false)
    }

    fn read_lines(&mut self, entry: &mut Entry, line: &mut Vec<u8>) -> io::Result<()> {
        // The header's own empty line counts.
        let mut after_empty = entry.raw.ends_with(b"\n\n") || entry.raw.ends_with(b"\n\r\n") || entry.raw == b"\n";
        let mut empty_bytes = 0;
        while line_of(&mut self.input, line, self.message_bytes_max)? {
            if after_empty && let Some(from) = from_text(line) {
                self.from = Some(from);
                break;
            }
            after_empty = is_empty_line(line);
            empty_bytes = if after_empty { line.len() } else { 0 };
            entry.raw.extend_from_slice(line);
            if entry.raw.len() as u64 > self.message_bytes_max {
                return Err(too_large());
            }
        }
        // The empty line that parts messages is not the message's; the header's own stays.
        let without = entry.raw.len() - empty_bytes;
        if empty_bytes > 0 && message::header::header_end(&entry.raw) <= without {
            entry.raw.truncate(without);
        }
        Ok(())
    }

    /// The message of an entry: `>From ` lines as they were.
    pub fn message(&self, entry: &Entry) -> Vec<u8> {
        let quoting = match self.quoting {
            Quoting::Any if entry.by_length && has_open_from(&entry.raw) => Quoting::Mboxcl2,
            other => other,
        };
        if quoting == Quoting::Mboxcl2 || memchr::memmem::find(&entry.raw, b">From ").is_none() {
            return entry.raw.clone();
        }
        let body = message::header::header_end(&entry.raw);
        let (head, text) = entry.raw.split_at_checked(body).unwrap_or((&entry.raw, b""));
        let mut out = head.to_vec();
        for line in text.split_inclusive(|b| *b == b'\n') {
            let marks = line.iter().take_while(|b| **b == b'>').count();
            let quoted = line.get(marks..).is_some_and(|rest| rest.starts_with(b"From "));
            let drop = quoted && (marks == 1 || (marks > 1 && quoting != Quoting::Mboxo));
            out.extend_from_slice(if drop { line.get(1..).unwrap_or_default() } else { line });
        }
        out
    }
}

/// How a file quotes that has lengths: one open `From ` line tells that nobody quotes in it. Read once to the first of them.
///
/// # Errors
/// The file cannot be read.
pub fn quoting_of(input: impl BufRead) -> io::Result<Quoting> {
    let mut reader = Reader::new(input, Quoting::Any);
    while let Some(entry) = reader.next_entry()?.filter(|entry| entry.by_length) {
        if has_open_from(&entry.raw) {
            return Ok(Quoting::Mboxcl2);
        }
    }
    Ok(Quoting::Any)
}

/// A line of the text that begins with `From ` as it is: nobody quoted here.
fn has_open_from(raw: &[u8]) -> bool {
    let body = raw.get(message::header::header_end(raw)..).unwrap_or_default();
    body.starts_with(b"From ") || memchr::memmem::find(body, b"\nFrom ").is_some()
}

/// One message: its `From ` line, `fields` in front of its own, the text quoted as the kind has it (`Any`: as mboxrd), lines ended
/// by LF, an empty line behind it. A Content-Length of its own gives way to the true one where the kind has one.
pub fn write(out: &mut Vec<u8>, quoting: Quoting, from: &str, fields: &str, octets: &[u8]) {
    let (header, text) = octets.split_at_checked(message::header::header_end(octets)).unwrap_or((octets, b""));
    let mut body = Vec::with_capacity(text.len() + 64);
    for line in text.split_inclusive(|b| *b == b'\n') {
        let marks = line.iter().take_while(|b| **b == b'>').count();
        let quoted = match quoting {
            Quoting::Mboxcl2 => false,
            Quoting::Mboxo => line.starts_with(b"From "),
            _ => line.get(marks..).is_some_and(|rest| rest.starts_with(b"From ")),
        };
        if quoted {
            body.push(b'>');
        }
        push_line(&mut body, line);
    }
    let has_length = matches!(quoting, Quoting::Mboxcl | Quoting::Mboxcl2);
    out.extend_from_slice(b"From ");
    out.extend_from_slice(from.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(fields.as_bytes());
    if has_length {
        out.extend_from_slice(format!("Content-Length: {}\n", body.len()).as_bytes());
    }
    let mut dropped = false;
    for line in header.split_inclusive(|b| *b == b'\n') {
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        dropped = has_length && (is_length(line) || dropped && folded);
        if !dropped {
            push_line(out, line);
        }
    }
    out.extend_from_slice(&body);
    let is_cut = if has_length { body.is_empty() } else { true };
    if is_cut && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// The line, ended by LF.
pub(crate) fn push_line(out: &mut Vec<u8>, line: &[u8]) {
    match line.strip_suffix(b"\r\n") {
        Some(text) => {
            out.extend_from_slice(text);
            out.push(b'\n');
        }
        None => out.extend_from_slice(line),
    }
}

fn is_length(line: &[u8]) -> bool {
    let name = b"Content-Length:";
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// Reads any octets as each kind; for the fuzz target.
pub fn fuzz(data: &[u8]) {
    let _ = quoting_of(data);
    for quoting in [Quoting::Any, Quoting::Mboxo, Quoting::Mboxrd, Quoting::Mboxcl, Quoting::Mboxcl2] {
        let mut reader = Reader::new(data, quoting);
        let mut octets = 0;
        while let Ok(Some(entry)) = reader.next_entry() {
            octets += entry.raw.len() + 5;
            assert!(octets <= data.len(), "more came out than went in");
            assert!(reader.message(&entry).len() <= entry.raw.len());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, quoting: Quoting) -> Vec<String> {
        let mut reader = Reader::new(text.as_bytes(), quoting);
        let mut found = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            found.push(String::from_utf8(reader.message(&entry)).unwrap());
        }
        found
    }

    #[test]
    fn the_four_kinds() {
        let quoted = "From a x\nS: 1\n\n>From me\n>>From you\n\nFrom b x\nS: 2\n\ntext\n\n";
        assert_eq!(read(quoted, Quoting::Mboxo), ["S: 1\n\nFrom me\n>>From you\n", "S: 2\n\ntext\n"]);
        assert_eq!(read(quoted, Quoting::Mboxrd), ["S: 1\n\nFrom me\n>From you\n", "S: 2\n\ntext\n"]);
        assert_eq!(read(quoted, Quoting::Any), read(quoted, Quoting::Mboxrd));
        let open = "From a x\nContent-Length: 22\n\nText\n\nFrom me\n>From y\n\nFrom b x\nS: 2\n\ntext\n";
        let first = "Content-Length: 22\n\nText\n\nFrom me\n>From y\n";
        assert_eq!(read(open, Quoting::Mboxcl2), [first, "S: 2\n\ntext\n"]);
        assert_eq!(read(open, Quoting::Any), [first, "S: 2\n\ntext\n"]);
        assert_eq!(quoting_of(open.as_bytes()).unwrap(), Quoting::Mboxcl2);
        assert_eq!(quoting_of(quoted.as_bytes()).unwrap(), Quoting::Any);
        let marked = "From a x\nContent-Length: 15\n\n>From me\n\nmore\n\nFrom b x\nS: 2\n\ntext\n";
        assert_eq!(read(marked, Quoting::Mboxcl), ["Content-Length: 15\n\nFrom me\n\nmore\n", "S: 2\n\ntext\n"]);
    }

    #[test]
    fn a_length_that_lies_is_not_believed() {
        let short = "From a x\nContent-Length: 3\n\nlong text\nmore\n\nFrom b x\nS: 2\n\ntext\n";
        assert_eq!(read(short, Quoting::Any), ["Content-Length: 3\n\nlong text\nmore\n", "S: 2\n\ntext\n"]);
        let endless = "From a x\nContent-Length: 999\n\nlong text\n";
        assert_eq!(read(endless, Quoting::Any), ["Content-Length: 999\n\nlong text\n"]);
        let past = "From a x\nContent-Length: 35\n\nlong text\n\nFrom b x\nS: 2\n\ntext and more of it\n";
        assert_eq!(read(past, Quoting::Any), ["Content-Length: 35\n\nlong text\n", "S: 2\n\ntext and more of it\n"]);
        // However many lie, and inside what was read ahead before.
        let many = "From a x\nContent-Length: 400\n\nlong\n\n".repeat(40);
        let found = read(&many, Quoting::Any);
        assert!(found.len() == 40 && found.iter().all(|message| message == "Content-Length: 400\n\nlong\n"), "{found:?}");
    }

    #[test]
    fn odd_ends() {
        assert_eq!(read("", Quoting::Any), Vec::<String>::new());
        assert_eq!(read("nothing\n", Quoting::Any), Vec::<String>::new());
        assert_eq!(read("From a x\nS: 1", Quoting::Any), ["S: 1"]);
        assert_eq!(read("From a x\nS: 1\n\n", Quoting::Any), ["S: 1\n\n"]);
        assert_eq!(
            read("From a x\r\nS: 1\r\n\r\nx\r\n\r\nFrom b\r\nS: 2\r\n\r\n", Quoting::Any),
            ["S: 1\r\n\r\nx\r\n", "S: 2\r\n\r\n"]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn whatever_comes_no_more_comes_out(pieces in proptest::collection::vec(
            "(From x\n|>From \n|\n|\r\n|Content-Length: [0-9]{1,3}\n|a: b\n|text\n|From |>>From|\x00)", 0..40)) {
            fuzz(pieces.concat().as_bytes());
        }

        #[test]
        fn what_is_written_is_read_back(bodies in proptest::collection::vec("(>{0,2}(From |from|x)?[a-z ]{0,6}\r\n){0,6}", 1..5)) {
            let own = "Subject: x\r\nContent-Length: 5\r\n 6\r\nTo: y\r\n\r\n";
            for kind in [Quoting::Any, Quoting::Mboxo, Quoting::Mboxrd, Quoting::Mboxcl, Quoting::Mboxcl2] {
                let has_length = matches!(kind, Quoting::Mboxcl | Quoting::Mboxcl2);
                let head = if has_length { own } else { "Subject: x\r\n\r\n" };
                // What mboxo cannot tell from a mark of its own.
                let fits = |body: &&String| kind != Quoting::Mboxo || !format!("\n{body}").contains("\n>From ");
                let bodies: Vec<&String> = bodies.iter().filter(fits).collect();
                let mut out = Vec::new();
                for body in &bodies {
                    write(&mut out, kind, "a@here.test Mon Nov 23 00:16:34 2026", "", format!("{head}{body}").as_bytes());
                }
                let text = String::from_utf8(out).unwrap();
                let own = if has_length { "Subject: x\nTo: y\n\n" } else { "Subject: x\n\n" };
                let wanted: Vec<String> = bodies.iter().map(|body| format!("{own}{}", body.replace("\r\n", "\n"))).collect();
                let found = read(&text, kind).into_iter().map(|message| match message.split_once('\n') {
                    Some((length, rest)) if has_length && length.starts_with("Content-Length: ") => rest.to_owned(),
                    _ => message,
                });
                prop_assert_eq!(found.collect::<Vec<_>>(), wanted, "{:?}", kind);
            }
        }
    }
}
