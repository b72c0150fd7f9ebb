//! Octets to a tree of parts (RFC 2045, RFC 2046), as byte ranges over the octets.
//!
//! One pass over the lines, a stack of open multiparts beside it, no recursion.
//! Invariant: never fails, never panics; every range lies inside the octets and inside its parent's body.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use crate::content::{ContentFields, ContentType, Disposition};
use crate::limits::{BOUNDARY_BYTES_MAX, DEPTH_MAX, PARTS_MAX};
use crate::transfer::{self, TransferEncoding};

/// What is inside a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum PartKind {
    /// Content.
    #[default]
    Leaf = 0,
    /// One or more parts.
    Multipart = 1,
    /// One message (message/rfc822, message/global).
    Message = 2,
}

/// One entity: the message itself, a part, or the message inside a message/rfc822 part.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// Index in [`Message::parts`]; `None` for the message itself.
    pub parent: Option<usize>,
    /// Indexes of parts (multipart), or of the one message inside.
    pub children: Vec<usize>,
    /// What is inside.
    pub kind: PartKind,
    /// True for the message itself and for messages inside: the header is a message's header.
    pub is_entire_message: bool,
    /// Header with its empty line.
    pub header: Range<usize>,
    /// Body, without the line end that belongs to the next boundary (RFC 2046 §5.1.1).
    pub body: Range<usize>,
    /// Line ends in the body.
    pub lines: u32,
    /// As it counts: defaults and RFC 2045 §5.2 applied. A multipart is always one that has parts.
    pub content_type: ContentType,
    /// Content-Transfer-Encoding.
    pub encoding: TransferEncoding,
    /// Its word when it is none we know, upper-case.
    pub encoding_word: Option<smol_str::SmolStr>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-ID, raw.
    pub id: Option<Cow<'a, [u8]>>,
    /// Content-Description, raw.
    pub description: Option<Cow<'a, [u8]>>,
    /// Content-MD5, raw.
    pub md5: Option<Cow<'a, [u8]>>,
    /// Content-Location, raw.
    pub location: Option<Cow<'a, [u8]>>,
    /// Content-Language.
    pub language: Vec<Vec<u8>>,
}

impl Part<'_> {
    /// The decoded octets of the body; `None` for an unknown encoding. `message` is what was parsed.
    pub fn decoded(&self, message: &[u8]) -> Option<Vec<u8>> {
        transfer::decode(self.encoding, message.get(self.body.clone()).unwrap_or_default())
    }

    /// Octets of the decoded body, counted now.
    pub fn decoded_len(&self, message: &[u8]) -> Option<u64> {
        transfer::decoded_len(self.encoding, message.get(self.body.clone()).unwrap_or_default())
    }

    /// File name for people: Content-Disposition's, else Content-Type's `name`.
    pub fn file_name(&self) -> Option<String> {
        let disposition = self.disposition.as_ref().and_then(|d| d.parameters.decoded("filename"));
        disposition.or_else(|| self.content_type.parameters.decoded("name"))
    }
}

/// A parsed message.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// What was parsed.
    pub bytes: &'a [u8],
    /// Depth first; the message itself is first, and every parent stands before its children.
    pub parts: Vec<Part<'a>>,
}

impl<'a> Message<'a> {
    /// The header octets of a part.
    pub fn header(&self, part: &Part<'_>) -> &'a [u8] {
        self.bytes.get(part.header.clone()).unwrap_or_default()
    }

    /// The body octets of a part, still encoded.
    pub fn body(&self, part: &Part<'_>) -> &'a [u8] {
        self.bytes.get(part.body.clone()).unwrap_or_default()
    }
}

/// Parses any octets.
pub fn parse(bytes: &[u8]) -> Message<'_> {
    let mut parser = Parser { bytes, at: 0, line_ends: 0, parts: Vec::with_capacity(4), open: Vec::new(), bounds: Vec::new() };
    parser.run();
    Message { bytes, parts: parser.parts }
}

/// Why a scan stopped.
enum Stop {
    End,
    EmptyLine,
    /// A boundary line of `bounds[level]`; `line_start` is where it began.
    Boundary {
        level: usize,
        closing: bool,
        line_start: usize,
        line_ends: u32,
    },
}

/// An entity whose end is not known yet.
struct Open {
    part: usize,
    body_line_ends: u32,
}

/// A boundary that is looked for.
struct Bound {
    text: Vec<u8>,
    /// Place of its multipart in `open`.
    depth: usize,
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Line ends before `at`.
    line_ends: u32,
    parts: Vec<Part<'a>>,
    open: Vec<Open>,
    bounds: Vec<Bound>,
}

impl<'a> Parser<'a> {
    fn run(&mut self) {
        let mut stop = self.entity(true);
        loop {
            match stop {
                Stop::End => return self.close_above(0, self.bytes.len(), self.line_ends),
                // The header of the newest entity is over: what is its body?
                Stop::EmptyLine => {
                    stop = if self.newest_kind() == PartKind::Message { self.entity(true) } else { self.scan(false) };
                }
                Stop::Boundary { level, closing, line_start, line_ends } => {
                    stop = self.boundary(level, closing, line_start, line_ends);
                }
            }
        }
    }

    fn newest_kind(&self) -> PartKind {
        self.parts.last().map_or(PartKind::Leaf, |p| p.kind)
    }

    /// Closes what the boundary ends, and goes on behind it.
    fn boundary(&mut self, level: usize, closing: bool, line_start: usize, line_ends: u32) -> Stop {
        let depth = self.bounds.get(level).map_or(0, |b| b.depth);
        let (end, line_ends) = self.before_line_end(line_start, line_ends);
        self.close_above(depth + 1, end, line_ends);
        self.bounds.truncate(level + 1);
        if closing {
            self.bounds.truncate(level);
            return self.scan(false);
        }
        if self.parts.len() >= PARTS_MAX {
            self.bounds.clear();
            return self.scan(false);
        }
        self.entity(false)
    }

    /// The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1).
    fn before_line_end(&self, line_start: usize, line_ends: u32) -> (usize, u32) {
        match self.bytes.get(..line_start).unwrap_or_default() {
            [.., b'\r', b'\n'] => (line_start - 2, line_ends - 1),
            [.., b'\n'] => (line_start - 1, line_ends - 1),
            _ => (line_start, line_ends),
        }
    }

    /// Ends all open entities from `depth` on, innermost first.
    fn close_above(&mut self, depth: usize, end: usize, line_ends: u32) {
        let (mut end, mut line_ends) = (end, line_ends);
        while self.open.len() > depth {
            let Some(open) = self.open.pop() else { break };
            let Some(part) = self.parts.get_mut(open.part) else { break };
            if end < part.body.start {
                // Nothing between the empty line and the boundary: they share their line end.
                (end, line_ends) = (part.body.start, open.body_line_ends);
            }
            part.body.end = end;
            part.lines = line_ends.saturating_sub(open.body_line_ends);
            if part.kind == PartKind::Multipart && part.children.is_empty() {
                // No part was found: what is there is shown as text (RFC 2045 §5.2).
                part.kind = PartKind::Leaf;
                part.content_type = ContentType::text_plain();
            }
        }
    }

    /// Reads a header and adds its entity to the tree, as the child of the innermost open one.
    fn entity(&mut self, is_entire_message: bool) -> Stop {
        let (start, start_line_ends) = (self.at, self.line_ends);
        let stop = self.scan(true);
        let (mut end, mut body_line_ends) = (self.at, self.line_ends);
        if let Stop::Boundary { line_start, line_ends, .. } = &stop {
            (end, body_line_ends) = self.before_line_end(*line_start, *line_ends);
            if end < start {
                (end, body_line_ends) = (start, start_line_ends);
            }
        }
        let parent = self.open.last().map(|o| o.part);
        let part = self.describe(start..end, parent, is_entire_message);
        let (index, kind) = (self.parts.len(), part.kind);
        if let Some(parent) = parent.and_then(|p| self.parts.get_mut(p)) {
            parent.children.push(index);
        }
        let boundary = (kind == PartKind::Multipart).then(|| boundary_of(&part.content_type)).flatten();
        self.parts.push(part);
        self.open.push(Open { part: index, body_line_ends });
        if !matches!(stop, Stop::EmptyLine) {
            if kind == PartKind::Message {
                self.empty_message(index, end, body_line_ends);
            }
        } else if let Some(text) = boundary {
            self.bounds.push(Bound { text, depth: self.open.len() - 1 });
        }
        stop
    }

    /// The message inside a message/rfc822 part that has no body at all.
    fn empty_message(&mut self, parent: usize, at: usize, line_ends: u32) {
        let index = self.parts.len();
        let part = self.describe(at..at, Some(parent), true);
        if let Some(parent) = self.parts.get_mut(parent) {
            parent.children.push(index);
        }
        self.parts.push(part);
        self.open.push(Open { part: index, body_line_ends: line_ends });
    }

    fn describe(&self, header: Range<usize>, parent: Option<usize>, is_entire_message: bool) -> Part<'a> {
        let bytes: &'a [u8] = self.bytes;
        let content = ContentFields::read(bytes.get(header.clone()).unwrap_or_default());
        let digest = !is_entire_message
            && parent.and_then(|p| self.parts.get(p)).is_some_and(|p| p.content_type.is("multipart", "digest"));
        let mut content_type = match content.content_type {
            Some(Some(content_type)) => content_type,
            None if digest => ContentType::new("message", "rfc822"),
            _ => ContentType::text_plain(),
        };
        let mut kind = PartKind::Leaf;
        // One more level for the entity, one for the message inside it.
        let deep = self.open.len() + 2 > DEPTH_MAX || self.parts.len() + 2 > PARTS_MAX;
        if content_type.is_message() || content_type.main == "multipart" {
            kind = if content_type.main == "multipart" { PartKind::Multipart } else { PartKind::Message };
            if deep {
                kind = PartKind::Leaf;
                content_type = ContentType::new("application", "octet-stream");
            }
        }
        Part {
            parent,
            children: Vec::new(),
            kind,
            is_entire_message,
            body: header.end..header.end,
            header,
            lines: 0,
            content_type,
            encoding: content.encoding,
            encoding_word: content.encoding_word,
            disposition: content.disposition,
            id: content.id,
            description: content.description,
            md5: content.md5,
            location: content.location,
            language: content.language,
        }
    }

    /// Goes over lines up to the next boundary line, the end, or (in a header) the empty line.
    fn scan(&mut self, in_header: bool) -> Stop {
        let bytes = self.bytes;
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let (line_start, line_ends) = (self.at, self.line_ends);
            if rest.starts_with(b"--")
                && let Some((level, closing)) = self.boundary_at(line_start)
            {
                self.next_line();
                return Stop::Boundary { level, closing, line_start, line_ends };
            }
            if in_header && (rest.starts_with(b"\r\n") || rest.starts_with(b"\n")) {
                self.next_line();
                return Stop::EmptyLine;
            }
            if !self.next_line() {
                return Stop::End;
            }
        }
    }

    /// To the start of the next line; false at the end.
    fn next_line(&mut self) -> bool {
        match memchr(b'\n', self.bytes.get(self.at..).unwrap_or_default()) {
            Some(i) => {
                self.at += i + 1;
                self.line_ends += 1;
                true
            }
            None => {
                self.at = self.bytes.len();
                false
            }
        }
    }

    /// Is the line at `at`, which begins with two hyphens, one of the boundaries? The innermost counts.
    fn boundary_at(&self, at: usize) -> Option<(usize, bool)> {
        if self.bounds.is_empty() {
            return None;
        }
        let window = self.bytes.get(at + 2..).unwrap_or_default();
        let window = window.get(..BOUNDARY_BYTES_MAX + 64).unwrap_or(window);
        let line = window.get(..memchr(b'\n', window).unwrap_or(window.len())).unwrap_or_default().trim_ascii_end();
        let short = line.strip_suffix(b"--");
        // Whole-line comparison: boundaries may be prefixes of one another.
        self.bounds.iter().enumerate().rev().find_map(|(level, bound)| {
            if bound.text == line {
                return Some((level, false));
            }
            (short == Some(bound.text.as_slice())).then_some((level, true))
        })
    }
}

/// The boundary parameter, if there is a usable one. Blanks at its end are not part of it (RFC 2046 §5.1.1).
fn boundary_of(content_type: &ContentType) -> Option<Vec<u8>> {
    let parameters = &content_type.parameters;
    let raw = match parameters.get("boundary") {
        Some(raw) => raw.to_vec(),
        None => parameters.decoded("boundary")?.into_bytes(),
    };
    let text = raw.trim_ascii_end();
    (!text.is_empty() && text.len() <= BOUNDARY_BYTES_MAX).then(|| text.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn bodies(text: &str) -> Vec<&str> {
        let message = parse(text.as_bytes());
        let leaves = message.parts.iter().filter(|p| p.kind == PartKind::Leaf);
        leaves.map(|p| &text[p.body.clone()]).collect()
    }

    #[test]
    fn empty_and_headless() {
        assert_eq!(parse(b"").parts.len(), 1);
        let message = parse(b"\r\nbody\r\n");
        assert_eq!((message.parts[0].header.clone(), message.parts[0].body.clone(), message.parts[0].lines), (0..2, 2..8, 1));
        let message = parse(b"Subject: x");
        assert_eq!(message.parts[0].body, 10..10);
    }

    #[test]
    fn boundaries_that_are_prefixes_of_one_another() {
        let text = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=ab\n\n--ab\n\none\n--abc\n--ab--\n--a\n\ntwo\n--a-- \n";
        assert_eq!(bodies(text), ["one\n--abc", "two"]);
    }

    #[test]
    fn missing_closing_boundaries() {
        let text = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--a\r\n\r\ntwo";
        assert_eq!(bodies(text), ["one", "two"]);
    }

    #[test]
    fn parts_without_header_body_or_empty_line() {
        let text = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\n--a\r\n--a\r\nContent-Type: text/html\r\n--a--\r\n--a\r\n\r\nin the epilogue\r\n";
        let message = parse(text.as_bytes());
        assert_eq!(bodies(text), ["", "", ""]);
        assert!(message.parts[3].content_type.is("text", "html"));
        assert_eq!(message.parts[0].children, [1, 2, 3]);
        // A part that another's boundary cuts before it has begun: its line end is its multipart's.
        let text = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--a--\r\n";
        let message = parse(text.as_bytes());
        assert_eq!((&text[message.parts[1].body.clone()], message.parts[1].lines), ("--b\r\n", 1));
    }

    #[test]
    fn one_boundary_for_two_levels() {
        let text = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\none\r\n--a--\r\n--a\r\n\r\ntwo\r\n--a--\r\n";
        assert_eq!(bodies(text), ["one", "two"]);
    }

    #[test]
    fn boundary_spelled_by_rfc_2231_and_quoted_with_blanks() {
        assert_eq!(
            bodies("Content-Type: multipart/mixed; boundary*0=\"a \"; boundary*1=b\r\n\r\n--a b\r\n\r\none\r\n--a b--"),
            ["one"]
        );
        assert_eq!(bodies("Content-Type: multipart/mixed; boundary=\"a  \"\r\n\r\n--a\r\n\r\none\r\n--a--"), ["one"]);
    }

    #[test]
    fn the_depth_is_limited() {
        let mut text = Vec::new();
        for i in 0..300 {
            text.extend_from_slice(format!("Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n").as_bytes());
        }
        let message = parse(&text);
        let depth = |mut i: usize| {
            let mut depth = 1;
            while let Some(parent) = message.parts[i].parent {
                (i, depth) = (parent, depth + 1);
            }
            depth
        };
        assert_eq!((0..message.parts.len()).map(depth).max(), Some(DEPTH_MAX));
        let last = message.parts.last().unwrap();
        assert!(last.content_type.is("application", "octet-stream"));
        let messages = parse(&b"Content-Type: message/rfc822\r\n\r\n".repeat(300)).parts.len();
        assert_eq!(messages, DEPTH_MAX);
    }

    #[test]
    fn the_number_of_parts_is_limited() {
        let text =
            [b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec(), b"--b\r\n\r\nx\r\n".repeat(PARTS_MAX + 100)].concat();
        let message = parse(&text);
        assert_eq!(message.parts.len(), PARTS_MAX);
        assert_eq!(message.parts[0].body.end, text.len());
        let one =
            [b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec(), b"--b\r\n\r\nx\r\n".repeat(PARTS_MAX - 1)].concat();
        assert_eq!(parse(&one).parts.len(), PARTS_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn ranges_lie_inside_their_parents(text in crate::test_messages::hostile()) {
            let message = parse(&text);
            prop_assert!(!message.parts.is_empty());
            prop_assert_eq!((message.parts[0].header.start, message.parts[0].body.end), (0, text.len()));
            for (i, part) in message.parts.iter().enumerate() {
                prop_assert!(part.header.start <= part.header.end && part.header.end == part.body.start && part.body.start <= part.body.end);
                let lines = text[part.body.clone()].iter().filter(|b| **b == b'\n').count();
                prop_assert_eq!(part.lines as usize, lines);
                if let Some(parent) = part.parent {
                    let parent_part = &message.parts[parent];
                    prop_assert!(parent < i && parent_part.children.contains(&i));
                    prop_assert!(parent_part.body.start <= part.header.start && part.body.end <= parent_part.body.end);
                }
                prop_assert_eq!(part.kind == PartKind::Leaf, part.children.is_empty());
                prop_assert!(part.kind != PartKind::Message || part.children.len() == 1);
                for pair in part.children.windows(2) {
                    prop_assert!(message.parts[pair[0]].body.end <= message.parts[pair[1]].header.start);
                }
            }
        }
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
