//! The message on the wire (RFC 5321 §4.5.2, RFC 3030): dots, line ends, and the one true end.
//!
//! Invariant: only CRLF.CRLF ends DATA. A bare CR or LF never does, nor starts a line whose dot could: it is
//! reported (strict) or becomes CRLF (repair).

use memchr::memchr2;

/// What to do with a bare CR or LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    /// Pass it on and report it: the message will be refused.
    Strict,
    /// Make it CRLF; CRs in a row before LF count as one.
    Repair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Behind CRLF, or at the very beginning.
    Start,
    /// Behind a line end that was repaired: a dot here cannot end the message.
    SoftStart,
    Text,
    /// A CR is held back.
    Cr,
    /// A dot at the start of a line is held back.
    Dot,
    /// And a CR behind it.
    DotCr,
    SoftDot,
}

/// Takes a message off the wire, in any pieces.
#[derive(Debug)]
pub struct Decoder {
    stuffed: bool,
    line_ends: LineEnds,
    state: State,
    bare: bool,
}

impl Decoder {
    /// For DATA: dots are doubled, CRLF.CRLF ends.
    pub fn data(line_ends: LineEnds) -> Decoder {
        Decoder { stuffed: true, line_ends, state: State::Start, bare: false }
    }

    /// For BDAT: dots are as they are, the sizes end it.
    pub fn bdat(line_ends: LineEnds) -> Decoder {
        Decoder { stuffed: false, ..Decoder::data(line_ends) }
    }

    /// A bare CR or LF has been seen.
    pub fn saw_bare(&self) -> bool {
        self.bare
    }

    /// Decodes `input` to the end of `out`: octets used, and whether the end of the message was among them.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, bool) {
        let mut at = 0;
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            if self.state == State::Text {
                let plain = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                out.extend_from_slice(rest.get(..plain).unwrap_or_default());
                at += plain;
                if plain == rest.len() {
                    break;
                }
            }
            let Some(&octet) = input.get(at) else { break };
            at += 1;
            if self.take(octet, out) {
                return (at, true);
            }
        }
        (at, false)
    }

    /// One octet; true at the end of the message.
    fn take(&mut self, octet: u8, out: &mut Vec<u8>) -> bool {
        match (self.state, octet) {
            (State::Start, b'.') if self.stuffed => self.state = State::Dot,
            (State::SoftStart, b'.') if self.stuffed => self.state = State::SoftDot,
            (State::Start | State::SoftStart | State::Text, _) => self.text(octet, out),
            (State::Cr, b'\n') => {
                out.extend_from_slice(b"\r\n");
                self.state = State::Start;
            }
            (State::Cr, b'\r') => {
                self.bare = true;
                if self.line_ends == LineEnds::Strict {
                    out.push(b'\r');
                }
            }
            (State::Cr, _) => {
                self.bare_cr(out);
                return self.take(octet, out);
            }
            (State::Dot, b'\r') => self.state = State::DotCr,
            // A lone dot before a bare LF is a line of its own, not a doubled dot.
            (State::Dot, b'\n') | (State::SoftDot, _) => {
                if !(self.state == State::SoftDot && octet == b'.') {
                    out.push(b'.');
                }
                self.text(octet, out);
            }
            (State::Dot, _) => self.text(octet, out),
            (State::DotCr, b'\n') => return true,
            (State::DotCr, _) => {
                out.push(b'.');
                self.state = State::Cr;
                return self.take(octet, out);
            }
        }
        false
    }

    fn text(&mut self, octet: u8, out: &mut Vec<u8>) {
        match octet {
            b'\r' => self.state = State::Cr,
            b'\n' => {
                self.bare = true;
                if self.line_ends == LineEnds::Repair {
                    out.extend_from_slice(b"\r\n");
                    self.state = State::SoftStart;
                } else {
                    out.push(b'\n');
                    self.state = State::Text;
                }
            }
            _ => {
                out.push(octet);
                self.state = State::Text;
            }
        }
    }

    fn bare_cr(&mut self, out: &mut Vec<u8>) {
        self.bare = true;
        if self.line_ends == LineEnds::Repair {
            out.extend_from_slice(b"\r\n");
            self.state = State::SoftStart;
        } else {
            out.push(b'\r');
            self.state = State::Text;
        }
    }

    /// The last BDAT chunk is in: what was held back, and in repair the missing line end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Cr {
            self.bare_cr(out);
        } else if self.state == State::Text && self.line_ends == LineEnds::Repair {
            out.extend_from_slice(b"\r\n");
        }
        self.state = State::Start;
    }
}

/// Puts a message on the wire, in any pieces: doubles dots at line starts, ends it with CRLF.CRLF.
#[derive(Debug)]
pub struct Encoder {
    line_start: bool,
    crlf: Tail,
}

/// How what was sent so far ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Crlf,
    Cr,
    Other,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder { line_start: true, crlf: Tail::Crlf }
    }
}

impl Encoder {
    /// One piece. A dot is doubled behind any LF, so that a receiver that is lenient about line ends is not fooled.
    pub fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.line_start && rest.first() == Some(&b'.') {
                out.push(b'.');
            }
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            out.extend_from_slice(line);
            self.line_start = line.ends_with(b"\n");
            self.crlf = match line {
                [b'\n'] if self.crlf == Tail::Cr => Tail::Crlf,
                _ if line.ends_with(b"\r\n") => Tail::Crlf,
                _ if line.ends_with(b"\r") => Tail::Cr,
                _ => Tail::Other,
            };
            rest = after;
        }
    }

    /// The end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.crlf != Tail::Crlf {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        *self = Encoder::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes in pieces of `size`: (text, bare seen, octets used when the end was seen).
    fn decode(input: &[u8], line_ends: LineEnds, size: usize) -> (Vec<u8>, bool, Option<usize>) {
        let mut decoder = Decoder::data(line_ends);
        let mut out = Vec::new();
        let mut total = 0;
        for piece in input.chunks(size) {
            let (used, end) = decoder.decode(piece, &mut out);
            total += used;
            if end {
                return (out, decoder.saw_bare(), Some(total));
            }
            assert_eq!(used, piece.len());
        }
        (out, decoder.saw_bare(), None)
    }

    fn at_every_chunking(input: &[u8], line_ends: LineEnds) -> (Vec<u8>, bool, Option<usize>) {
        let whole = decode(input, line_ends, input.len());
        for size in 1..input.len() {
            assert_eq!(decode(input, line_ends, size), whole, "pieces of {size}");
        }
        whole
    }

    #[test]
    fn only_crlf_dot_crlf_ends() {
        for smuggled in
            ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r\n", "\r.\r", "\r\n.\r", "\r\r\n", "\r\n.\r\r\n", "\n.\r", "\r\n\0.\r\n"]
        {
            let input = format!("a{smuggled}MAIL FROM:<evil@x.test>\r\n.\r\n");
            for line_ends in [LineEnds::Strict, LineEnds::Repair] {
                let (_, bare, end) = at_every_chunking(input.as_bytes(), line_ends);
                assert_eq!(end, Some(input.len()), "{smuggled:?} must not end the message");
                assert_eq!(bare, smuggled != "\r\n\0.\r\n", "{smuggled:?}");
            }
        }
    }

    #[test]
    fn known_answers() {
        let strict = |input: &str| at_every_chunking(input.as_bytes(), LineEnds::Strict);
        assert_eq!(strict(".\r\n"), (b"".to_vec(), false, Some(3)));
        assert_eq!(strict("..a\r\n...\r\n.b\r\n.\r\n"), (b".a\r\n..\r\nb\r\n".to_vec(), false, Some(17)));
        assert_eq!(strict("a\r\n.\r\nrest"), (b"a\r\n".to_vec(), false, Some(6)));
    }

    #[test]
    fn repair_makes_crlf_of_everything() {
        for (input, want) in [
            ("a\nb\r\n.\r\n", "a\r\nb\r\n"),
            ("a\rb\r\n.\r\n", "a\r\nb\r\n"),
            ("a\r\r\nb\r\n.\r\n", "a\r\nb\r\n"),
            ("a\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n"),
            ("a\n..b\r\n.\r\n", "a\r\n.b\r\n"),
            ("a\n.b\r\n.\r\n", "a\r\n.b\r\n"),
            ("a\r\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n"),
        ] {
            let (out, bare, _) = at_every_chunking(input.as_bytes(), LineEnds::Repair);
            assert_eq!((String::from_utf8_lossy(&out).as_ref(), bare), (want, true), "{input:?}");
        }
    }

    #[test]
    fn bdat_keeps_dots_and_completes_the_last_line() {
        let run = |line_ends, pieces: &[&str]| {
            let mut decoder = Decoder::bdat(line_ends);
            let mut out = Vec::new();
            for piece in pieces {
                assert_eq!(decoder.decode(piece.as_bytes(), &mut out), (piece.len(), false));
            }
            decoder.finish(&mut out);
            (String::from_utf8_lossy(&out).into_owned(), decoder.saw_bare())
        };
        assert_eq!(run(LineEnds::Strict, &[".a\r", "\n.\r\n"]), (".a\r\n.\r\n".into(), false));
        assert_eq!(run(LineEnds::Strict, &["a\r"]), ("a\r".into(), true));
        assert_eq!(run(LineEnds::Strict, &["a"]), ("a".into(), false));
        assert_eq!(run(LineEnds::Repair, &["a\r"]), ("a\r\n".into(), true));
        assert_eq!(run(LineEnds::Repair, &["a\nb"]), ("a\r\nb\r\n".into(), true));
    }

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(b"\r\n".to_vec()), Just(b".".to_vec()), Just(b"ab".to_vec())], 0..40)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn what_is_encoded_decodes(mut text in lines(), size in 1usize..9) {
            if !text.is_empty() && !text.ends_with(b"\r\n") {
                text.extend_from_slice(b"\r\n");
            }
            let mut encoder = Encoder::default();
            let mut wire = Vec::new();
            for piece in text.chunks(size) {
                encoder.encode(piece, &mut wire);
            }
            encoder.finish(&mut wire);
            let (out, bare, end) = decode(&wire, LineEnds::Strict, size);
            prop_assert_eq!(end, Some(wire.len()));
            prop_assert_eq!((out, bare), (text, false));
        }

        #[test]
        fn repaired_text_has_no_bare_line_ends(parts in proptest::collection::vec(prop_oneof![Just("\r"), Just("\n"), Just("."), Just("x")], 0..40)) {
            let (out, _, _) = decode(parts.concat().as_bytes(), LineEnds::Repair, 3);
            let out = String::from_utf8(out).unwrap_or_default().replace("\r\n", "");
            prop_assert!(!out.contains(['\r', '\n']));
        }
    }
}
