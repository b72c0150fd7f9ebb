//! Octets to a tree of parts (RFC 2045, RFC 2046), as byte ranges over the octets.
//!
//! One pass, a stack of open multiparts beside it, no recursion. In a header it goes over lines, in a body from one line
//! that begins with two hyphens to the next.
//! Invariant: never fails, never panics; every range lies inside the octets and inside its parent's body.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter};

use crate::content::{ContentFields, ContentType};
use crate::defect::{Defect, DefectKind};
use crate::header::{Line, line_kind};
use crate::limits::{BOUNDARY_BYTES_MAX, DEFECTS_MAX, DEPTH_MAX, PARTS_MAX};
pub use crate::part::{Message, Part, PartKind};
use crate::transfer::TransferEncoding;

/// Parses any octets.
///
/// ```
/// let message = message::parse(b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\none\r\n--a--\r\n");
/// assert_eq!(message.parts.len(), 2);
/// assert_eq!((message.parts[1].body.clone(), message.parts[1].text().as_deref()), (52..55, Some("one")));
/// assert!(message.defects.is_empty());
/// ```
pub fn parse(bytes: &[u8]) -> Message<'_> {
    let mut parser = Parser {
        bytes,
        at: 0,
        line_ends: 0,
        parts: Vec::with_capacity(4),
        open: Vec::with_capacity(4),
        bounds: Vec::new(),
        hashes: [0; 16],
        defects: Vec::new(),
        hyphens: None,
        is_full: false,
    };
    parser.run();
    Message { bytes, parts: parser.parts, defects: parser.defects }
}

/// Why a scan stopped.
enum Stop {
    End,
    /// The header is over: at its empty line, or where the body begins without one.
    Body,
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
    /// A multipart's closing boundary has been seen.
    closed: bool,
}

/// A boundary that is looked for.
struct Bound<'a> {
    text: Cow<'a, [u8]>,
    hash: u64,
    /// Place of its multipart in `open`.
    depth: usize,
    /// Its closing line has been seen; a part behind it is taken all the same.
    closed: bool,
}

/// Up to so many boundaries are compared one by one; more by their hash first, so that deep nesting costs nothing.
const BOUNDS_COMPARED: usize = 4;

/// FNV-1a.
fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Line ends before `at`.
    line_ends: u32,
    parts: Vec<Part<'a>>,
    open: Vec<Open>,
    bounds: Vec<Bound<'a>>,
    /// A bit for each hash of a boundary so far: most lines are none of them, and are not compared.
    hashes: [u64; 16],
    defects: Vec<Defect>,
    /// Finds a line end with two hyphens behind it; made for the first multipart.
    hyphens: Option<Finder<'static>>,
    /// [`PARTS_MAX`] has been reached.
    is_full: bool,
}

impl<'a> Parser<'a> {
    fn run(&mut self) {
        let mut stop = self.entity(true);
        loop {
            match stop {
                Stop::End => return self.close_above(0, self.bytes.len(), self.line_ends),
                // The header of the newest entity is over: what is its body?
                Stop::Body => {
                    stop = if self.newest_kind() == PartKind::Message { self.entity(true) } else { self.scan_body() };
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

    fn defect(&mut self, kind: DefectKind, part: usize, at: usize) {
        if self.defects.len() < DEFECTS_MAX {
            self.defects.push(Defect { at, part, kind });
        }
    }

    /// Closes what the boundary ends, and goes on behind it.
    fn boundary(&mut self, level: usize, closing: bool, line_start: usize, line_ends: u32) -> Stop {
        let (depth, was_closed) = self.bounds.get(level).map_or((0, false), |b| (b.depth, b.closed));
        let (end, line_ends) = self.before_line_end(line_start, line_ends);
        self.close_above(depth + 1, end, line_ends);
        self.bounds.truncate(level + 1);
        let part = self.open.get(depth).map_or(0, |o| o.part);
        if !closing && self.parts.len() >= PARTS_MAX {
            self.defect(DefectKind::TooManyParts, part, line_start);
            self.bounds.clear();
            self.is_full = true;
            return self.scan_body();
        }
        if was_closed {
            self.defect(DefectKind::PartAfterEnd, part, line_start);
        }
        if let Some(bound) = self.bounds.get_mut(level) {
            bound.closed = closing;
        }
        if let Some(open) = self.open.get_mut(depth) {
            open.closed = closing;
        }
        if closing { self.scan_body() } else { self.entity(false) }
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
            if part.kind != PartKind::Multipart {
                continue;
            }
            if part.children.is_empty() {
                // No part was found: what is there is shown as text (RFC 2045 §5.2).
                let at = part.body.start;
                let missing = boundary_of(&part.content_type).is_none();
                part.kind = PartKind::Leaf;
                part.content_type = ContentType::text_plain();
                let kind = if missing { DefectKind::BoundaryMissing } else { DefectKind::BoundaryNotFound };
                self.defect(kind, open.part, at);
            } else if !open.closed && !self.is_full {
                self.defect(DefectKind::BoundaryNotClosed, open.part, end);
            }
        }
    }

    /// Reads a header and adds its entity to the tree, as the child of the innermost open one.
    fn entity(&mut self, is_entire_message: bool) -> Stop {
        let (start, start_line_ends) = (self.at, self.line_ends);
        let index = self.parts.len();
        let stop = self.scan_header(index);
        let (mut end, mut body_line_ends) = (self.at, self.line_ends);
        if let Stop::Boundary { line_start, line_ends, .. } = &stop {
            (end, body_line_ends) = self.before_line_end(*line_start, *line_ends);
            if end < start {
                (end, body_line_ends) = (start, start_line_ends);
            }
        }
        let parent = self.open.last().map(|o| o.part);
        let part = self.describe(start..end, parent, is_entire_message);
        let kind = part.kind;
        if let Some(parent) = parent.and_then(|p| self.parts.get_mut(p)) {
            parent.children.push(index);
        }
        let boundary = (kind == PartKind::Multipart).then(|| boundary_of(&part.content_type)).flatten();
        self.parts.push(part);
        self.open.push(Open { part: index, body_line_ends, closed: false });
        if !matches!(stop, Stop::Body) {
            if kind == PartKind::Message {
                self.empty_message(index, end, body_line_ends);
            }
        } else if let Some(text) = boundary {
            if text.len() > 70 {
                self.defect(DefectKind::BoundaryTooLong, index, start);
            }
            self.hyphens.get_or_insert_with(|| Finder::new(b"\n--"));
            let hash = hash(&text);
            if let Some(word) = self.hashes.get_mut(hash as usize >> 6 & 15) {
                *word |= 1 << (hash & 63);
            }
            self.bounds.push(Bound { hash, text, depth: self.open.len() - 1, closed: false });
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
        self.open.push(Open { part: index, body_line_ends: line_ends, closed: false });
    }

    fn describe(&mut self, header: Range<usize>, parent: Option<usize>, is_entire_message: bool) -> Part<'a> {
        let bytes: &'a [u8] = self.bytes;
        let (index, at) = (self.parts.len(), header.start);
        let content = ContentFields::read(bytes.get(header.clone()).unwrap_or_default());
        if let Some(second) = content.twice {
            self.defect(DefectKind::DuplicateField, index, at + second);
        }
        if content.encoding == TransferEncoding::Other {
            self.defect(DefectKind::EncodingUnknown, index, at);
        }
        if matches!(content.content_type, Some(None)) {
            self.defect(DefectKind::ContentTypeUnreadable, index, at);
        }
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
        let is_multipart = content_type.main == "multipart";
        let encoded = !content.encoding.is_identity() && content.encoding != TransferEncoding::Other;
        if (content_type.is_message() || is_multipart) && deep {
            content_type = ContentType::new("application", "octet-stream");
            self.defect(DefectKind::TooDeep, index, at);
        } else if is_multipart {
            kind = PartKind::Multipart;
            if encoded {
                self.defect(DefectKind::EncodedMultipart, index, at);
            }
        } else if content_type.is_message() {
            // Base64 has no colon: what begins with a field only says that it is encoded.
            let rest = bytes.get(header.end..).unwrap_or_default();
            let is_plain = content.encoding == TransferEncoding::Base64 && line_kind(rest, true) == Line::Field;
            kind = if encoded && !is_plain { PartKind::Leaf } else { PartKind::Message };
            if encoded {
                self.defect(DefectKind::EncodedMessage, index, at);
            }
        }
        Part {
            bytes,
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

    /// Goes over the lines of the header of part `index`, up to the empty line, the next boundary or the end.
    fn scan_header(&mut self, index: usize) -> Stop {
        let bytes = self.bytes;
        let start = self.at;
        // Lines that are no fields: what follows says whether they are skipped or are the body.
        let mut other: Option<(usize, u32)> = None;
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let (line_start, line_ends) = (self.at, self.line_ends);
            let boundary = if rest.starts_with(b"--") { self.boundary_at(line_start) } else { None };
            let kind = if rest.is_empty() || boundary.is_some() { Line::Empty } else { line_kind(rest, line_start == start) };
            if kind == Line::Empty
                && let Some((at, line_ends)) = other
            {
                self.defect(DefectKind::EmptyLineMissing, index, at);
                (self.at, self.line_ends) = (at, line_ends);
                return Stop::Body;
            }
            if let Some((level, closing)) = boundary {
                self.next_line();
                return Stop::Boundary { level, closing, line_start, line_ends };
            }
            if rest.is_empty() {
                return Stop::End;
            }
            match kind {
                Line::Empty => {
                    self.next_line();
                    return Stop::Body;
                }
                Line::Field => {
                    if let Some((at, _)) = other.take() {
                        let first = bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'\t'));
                        let kind = if first { DefectKind::ContinuationFirst } else { DefectKind::MalformedHeaderLine };
                        self.defect(kind, index, at);
                    }
                }
                Line::MboxFrom => self.defect(DefectKind::MboxFromLine, index, line_start),
                Line::Other => other = other.or(Some((line_start, line_ends))),
                Line::Continuation => {}
            }
            self.next_line();
        }
    }

    /// Goes over a body up to the next boundary line or the end.
    fn scan_body(&mut self) -> Stop {
        let bytes = self.bytes;
        let rest = bytes.get(self.at..).unwrap_or_default();
        if !self.bounds.is_empty() {
            if rest.starts_with(b"--")
                && let Some((level, closing)) = self.boundary_at(self.at)
            {
                let (line_start, line_ends) = (self.at, self.line_ends);
                self.next_line();
                return Stop::Boundary { level, closing, line_start, line_ends };
            }
            // From the end of one line to the start of the next.
            let mut from = self.at;
            while let Some(found) = self.hyphens.as_ref().and_then(|finder| finder.find(bytes.get(from..).unwrap_or_default())) {
                let line_start = from + found + 1;
                if let Some((level, closing)) = self.boundary_at(line_start) {
                    self.go_to(line_start);
                    let line_ends = self.line_ends;
                    self.next_line();
                    return Stop::Boundary { level, closing, line_start, line_ends };
                }
                from = line_start;
            }
        }
        self.go_to(bytes.len());
        Stop::End
    }

    fn go_to(&mut self, at: usize) {
        let passed = memchr_iter(b'\n', self.bytes.get(self.at..at).unwrap_or_default()).count();
        self.line_ends = self.line_ends.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.at = at;
    }

    /// To the start of the next line.
    fn next_line(&mut self) {
        match memchr(b'\n', self.bytes.get(self.at..).unwrap_or_default()) {
            Some(i) => {
                self.at += i + 1;
                self.line_ends += 1;
            }
            None => self.at = self.bytes.len(),
        }
    }

    fn may_be(&self, hash: u64) -> bool {
        self.hashes.get(hash as usize >> 6 & 15).is_some_and(|word| word >> (hash & 63) & 1 == 1)
    }

    /// Is the line at `at`, which begins with two hyphens, one of the boundaries? The innermost that is not closed counts,
    /// else the innermost that is, for a part behind the end.
    fn boundary_at(&self, at: usize) -> Option<(usize, bool)> {
        let window = self.bytes.get(at + 2..).unwrap_or_default();
        let window = window.get(..BOUNDARY_BYTES_MAX + 64).unwrap_or(window);
        let line = window.get(..memchr(b'\n', window).unwrap_or(window.len())).unwrap_or_default().trim_ascii_end();
        let short = line.strip_suffix(b"--");
        let by_hash = self.bounds.len() > BOUNDS_COMPARED;
        let hashes = if by_hash { (hash(line), short.map(hash)) } else { (0, None) };
        if by_hash && !self.may_be(hashes.0) && !hashes.1.is_some_and(|h| self.may_be(h)) {
            return None;
        }
        // Whole-line comparison: boundaries may be prefixes of one another.
        let matches = |bound: &Bound<'_>| {
            if (!by_hash || bound.hash == hashes.0) && *bound.text == *line {
                return Some(false);
            }
            ((!by_hash || Some(bound.hash) == hashes.1) && short.is_some_and(|s| *bound.text == *s)).then_some(true)
        };
        let mut late = None;
        for (level, bound) in self.bounds.iter().enumerate().rev() {
            match matches(bound) {
                Some(closing) if !bound.closed => return Some((level, closing)),
                Some(false) if late.is_none() => late = Some((level, false)),
                _ => {}
            }
        }
        late
    }
}

/// The boundary parameter, if there is a usable one. Blanks at its end are not part of it (RFC 2046 §5.1.1).
fn boundary_of<'a>(content_type: &ContentType<'a>) -> Option<Cow<'a, [u8]>> {
    let parameters = &content_type.parameters;
    let raw = parameters.0.iter().find(|(name, _)| name == "boundary").map(|(_, value)| value.clone());
    let raw = match raw {
        Some(raw) => raw,
        None => Cow::Owned(parameters.decoded("boundary")?.into_bytes()),
    };
    let text = match raw {
        Cow::Borrowed(raw) => Cow::Borrowed(raw.trim_ascii_end()),
        Cow::Owned(raw) => Cow::Owned(raw.trim_ascii_end().to_vec()),
    };
    (!text.is_empty() && text.len() <= BOUNDARY_BYTES_MAX).then_some(text)
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
        assert_eq!(bodies(text), ["", "", "", "in the epilogue\r\n"]);
        assert!(message.parts[3].content_type.is("text", "html"));
        assert_eq!(message.parts[0].children, [1, 2, 3, 4]);
        assert!(message.defects.iter().any(|d| d.kind == DefectKind::PartAfterEnd));
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
