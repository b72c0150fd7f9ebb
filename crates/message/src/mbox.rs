//! mbox (RFC 4155): many messages in one file, each behind a line that begins with `From `.
//!
//! Such a line counts at the start and behind an empty line, as every program writes it; `>From ` becomes `From ` again
//! (the form that loses nothing, mboxrd). Must not know: files.

use std::borrow::Cow;

use crate::header::line_at;

/// One message of an mbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What stands behind `From `: the sender and when it was kept.
    pub from: &'a [u8],
    /// The message; borrowed where no line was quoted.
    pub message: Cow<'a, [u8]>,
}

/// The messages of an mbox, in order.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

/// Reads an mbox; what stands before the first `From ` line is no message.
///
/// ```
/// let text = b"From ann@here.test Mon Nov 23 00:16:34 2026\nSubject: one\n\n>From here on\n\nFrom bob@here.test Mon Nov 23 00:16:35 2026\n\ntwo\n";
/// let found: Vec<message::mbox::Entry<'_>> = message::mbox::entries(text).collect();
/// assert_eq!((found.len(), found[0].message.as_ref()), (2, &b"Subject: one\n\nFrom here on\n"[..]));
/// assert_eq!(message::parse(&found[1].message).root().text().as_deref(), Some("two\n"));
/// ```
pub fn entries(mbox: &[u8]) -> Entries<'_> {
    let start = if mbox.starts_with(b"From ") { Some(0) } else { separator(mbox, 0).map(|(_, start)| start) };
    Entries { rest: start.and_then(|start| mbox.get(start..)).unwrap_or_default() }
}

/// Where the next message's `From ` line starts, and where the empty line before it does.
fn separator(mbox: &[u8], from: usize) -> Option<(usize, usize)> {
    let rest = mbox.get(from..)?;
    memchr::memmem::find_iter(rest, b"\nFrom ").map(|i| from + i).find_map(|end| {
        let before = mbox.get(..end)?;
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        before.ends_with(b"\n").then_some((before.len(), end + 1))
    })
}

/// The last message has its empty line behind it, too.
fn last_end(mbox: &[u8]) -> usize {
    let without = mbox.strip_suffix(b"\n").map_or(mbox, |rest| rest.strip_suffix(b"\r").unwrap_or(rest));
    if without.ends_with(b"\n") { without.len() } else { mbox.len() }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let all = self.rest;
        if all.is_empty() {
            return None;
        }
        let (line, start) = line_at(all, 0);
        let from = all.get(line).and_then(|line| line.strip_prefix(b"From ")).unwrap_or_default();
        let (end, next) = separator(all, start.saturating_sub(1)).unwrap_or((last_end(all), all.len()));
        self.rest = all.get(next..).unwrap_or_default();
        let message = all.get(start.min(end)..end).unwrap_or_default();
        Some(Entry { from, message: unquoted(message) })
    }
}

/// `>From `, `>>From ` and so on lose one mark.
fn unquoted(message: &[u8]) -> Cow<'_, [u8]> {
    let is_quoted = |line: &[u8]| {
        let marks = line.iter().take_while(|b| **b == b'>').count();
        marks > 0 && line.get(marks..).is_some_and(|rest| rest.starts_with(b"From "))
    };
    if memchr::memmem::find(message, b">From ").is_none() {
        return Cow::Borrowed(message);
    }
    let mut out = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|b| *b == b'\n') {
        out.extend_from_slice(if is_quoted(line) { line.get(1..).unwrap_or_default() } else { line });
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn read(mbox: &str) -> Vec<String> {
        entries(mbox.as_bytes()).map(|entry| String::from_utf8_lossy(&entry.message).into_owned()).collect()
    }

    #[test]
    fn from_lines_part_messages_only_where_they_may() {
        assert_eq!(read("From a x\nA: b\n\nFrom here\nis text\nFrom b\n"), ["A: b\n", "is text\nFrom b\n"]);
        assert_eq!(
            read("From a x\r\nA: b\r\n\r\ntext\r\nFrom there\r\n\r\nFrom b x\r\nC: d\r\n\r\n"),
            ["A: b\r\n\r\ntext\r\nFrom there\r\n", "C: d\r\n"]
        );
        assert_eq!(read("no mbox\n\nFrom a x\n\nbody\n>>From\n>From x\n>>From y\n"), ["\nbody\n>>From\nFrom x\n>From y\n"]);
        assert_eq!(read(""), Vec::<String>::new());
        assert_eq!(read("nothing\n"), Vec::<String>::new());
        assert_eq!(read("From "), [""]);
    }

    #[test]
    fn what_is_written_is_read() {
        let messages = ["Subject: one\n\nFrom the sea\n\n>From you\n", "Subject: two\n\n\n\nend\n"];
        let quoted = |message: &str| {
            let marks = |line: &str| line.trim_start_matches('>').starts_with("From ");
            message
                .split_inclusive('\n')
                .map(|line| if marks(line) { format!(">{line}") } else { line.to_owned() })
                .collect::<String>()
        };
        let mbox: String =
            messages.iter().map(|m| format!("From a@here.test Mon Nov 23 00:16:34 2026\n{}\n", quoted(m))).collect();
        assert_eq!(read(&mbox), messages);
    }
}
