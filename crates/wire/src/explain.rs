//! A dialogue in plain words: the octets of both sides in, one line at a time out, each with a sentence and its RFC section.
//!
//! Works on what crosses the wire, so it serves our servers, our clients and recordings alike. Invariants: no password,
//! token or SASL message is ever shown, nor a line that is not understood, nor a message (only how long it is); the same
//! at every chunking; what is held is bounded.
//! Must not know: sessions, sockets.

mod compressed;
mod imap;
mod pop3;
mod smtp;

use compressed::Inflating;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Octets of a line that are kept; the rest of a longer one is only counted.
const LINE_BYTES_MAX: usize = 1_024;
/// Characters of a line that are shown.
const SHOWN_CHARS_MAX: usize = 200;
/// Commands that wait for their answer and are remembered.
const WAITING_MAX: usize = 256;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Protocol {
    Smtp,
    Lmtp,
    Pop3,
    Imap,
}

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Side {
    Client,
    Server,
}

/// One line of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Who says it.
    pub side: Side,
    /// As it was said; secrets masked, cut when long, free of control characters.
    pub line: String,
    /// What it means, one sentence.
    pub meaning: Cow<'static, str>,
    /// Where that stands: `RFC 5321 §4.1.1.2`; empty where it stands nowhere.
    pub section: &'static str,
}

/// Follows one dialogue.
#[derive(Debug)]
pub struct Explainer {
    protocol: Protocol,
    client: Half,
    server: Half,
    state: State,
    /// Of the client, behind COMPRESS or UNAUTHENTICATE that is not answered.
    held: Vec<u8>,
}

/// What both sides' lines have to be read with.
#[derive(Debug, Default)]
struct State {
    /// Commands without their answer, oldest first: name, and in IMAP the tag.
    waiting: VecDeque<(String, String)>,
    /// A SASL exchange is under way: what the client says is secret (in IMAP until this tag is answered).
    signing_in: Option<String>,
    /// A literal of the client that waits for the server's `+`.
    literal: Option<u64>,
    /// The client is in the middle of a command: this one.
    within: Option<String>,
    /// Both sides are compressed.
    inflating: Option<Box<Inflating>>,
    /// Nothing is understood any more.
    over: bool,
}

impl State {
    fn asked(&mut self, name: &str, tag: &str) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((name.to_owned(), tag.to_owned()));
        }
    }
}

/// One direction's octets.
#[derive(Debug, Default)]
struct Half {
    line: Vec<u8>,
    mode: Mode,
    /// The line goes on behind a literal.
    continued: bool,
    /// Compression ended: what came since, until it is known where its last flush ended.
    flushing: Option<Vec<u8>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mode {
    #[default]
    Lines,
    /// So many octets of a literal or chunk.
    Octets { left: u64, total: u64 },
    /// Lines up to a dot alone; counted.
    Text { seen: u64 },
}

/// What a line is to be shown as, and what follows it.
struct Reading {
    line: String,
    meaning: Cow<'static, str>,
    section: &'static str,
    /// Of the side that said it.
    next: Mode,
}

impl Reading {
    fn new(line: impl Into<String>, meaning: impl Into<Cow<'static, str>>, section: &'static str) -> Reading {
        Reading { line: line.into(), meaning: meaning.into(), section, next: Mode::Lines }
    }
}

impl Explainer {
    /// From the first octet of a connection (under TLS: from the first inside it).
    pub fn new(protocol: Protocol) -> Explainer {
        let (client, server) = (Half::default(), Half::default());
        Explainer { protocol, client, server, state: State::default(), held: Vec::new() }
    }

    /// From between two commands on ([`crate::Session::is_at_rest`]); in IMAP perhaps within an IDLE with this tag.
    pub fn joining(protocol: Protocol, idle: Option<&str>) -> Explainer {
        let mut explainer = Explainer::new(protocol);
        if let Some(tag) = idle {
            explainer.state.asked("IDLE", tag);
        }
        explainer
    }

    /// The same where both sides are compressed already: nothing can be read, which is said.
    pub fn joining_compressed(protocol: Protocol) -> (Explainer, Explained) {
        let mut explainer = Explainer::new(protocol);
        explainer.state.over = true;
        let meaning = Cow::Borrowed("It was compressed before anybody watched: only a new connection can be read.");
        (explainer, Explained { side: Side::Server, line: "(compressed)".to_owned(), meaning, section: "RFC 4978 §3" })
    }

    /// The TLS handshake in the middle of the connection is done.
    pub fn tls_started(&mut self) -> Explained {
        *self = Explainer::new(self.protocol);
        Explained {
            side: Side::Server,
            line: "(TLS handshake)".to_owned(),
            meaning: Cow::Borrowed("From here on nobody on the way can read along."),
            section: "RFC 8446",
        }
    }

    /// The next octets of what is said: a line or what there is of it, or of a literal. Gives back the rest.
    fn step<'a>(&mut self, side: Side, octets: &'a [u8], out: &mut Vec<Explained>) -> &'a [u8] {
        match self.half(side).mode {
            Mode::Octets { left, total } => self.octets(side, octets, left, total, out),
            Mode::Lines | Mode::Text { .. } => self.lines(side, octets, out),
        }
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn octets<'a>(&mut self, side: Side, octets: &'a [u8], left: u64, total: u64, out: &mut Vec<Explained>) -> &'a [u8] {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
        let left = left - taken as u64;
        let (_, rest) = octets.split_at_checked(taken).unwrap_or((octets, &[]));
        if left > 0 {
            self.half(side).mode = Mode::Octets { left, total };
            return rest;
        }
        self.half(side).mode = Mode::Lines;
        out.push(counted(side, total));
        rest
    }

    fn lines<'a>(&mut self, side: Side, octets: &'a [u8], out: &mut Vec<Explained>) -> &'a [u8] {
        let end = memchr::memchr(b'\n', octets);
        let (piece, rest) = octets.split_at_checked(end.map_or(octets.len(), |end| end + 1)).unwrap_or((octets, &[]));
        let half = self.half(side);
        if let Mode::Text { seen } = &mut half.mode {
            *seen += piece.len() as u64;
        }
        let room = LINE_BYTES_MAX.saturating_sub(half.line.len());
        half.line.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        if end.is_none() {
            return rest;
        }
        let line = std::mem::take(&mut half.line);
        let length = line.len() as u64;
        let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        match half.mode {
            Mode::Text { seen } if line == "." => {
                half.mode = Mode::Lines;
                out.push(counted(side, seen.saturating_sub(length)));
            }
            Mode::Text { .. } => {}
            _ => self.line(side, &line, out),
        }
        rest
    }

    fn line(&mut self, side: Side, line: &str, out: &mut Vec<Explained>) {
        let continued = std::mem::take(&mut self.half(side).continued);
        let reading = match (self.protocol, side) {
            (Protocol::Smtp | Protocol::Lmtp, Side::Client) => smtp::command(&mut self.state, line),
            (Protocol::Smtp | Protocol::Lmtp, Side::Server) => {
                let (reading, data) = smtp::reply(&mut self.state, line);
                if data {
                    self.client.mode = Mode::Text { seen: 0 };
                }
                reading
            }
            (Protocol::Pop3, Side::Client) => pop3::command(&mut self.state, line),
            (Protocol::Pop3, Side::Server) => pop3::reply(&mut self.state, line),
            (Protocol::Imap, Side::Client) => imap::command(&mut self.state, line, continued),
            (Protocol::Imap, Side::Server) => {
                let reading = imap::response(&mut self.state, line, continued);
                if line.starts_with('+')
                    && let Some(total) = self.state.literal.take()
                {
                    self.client.mode = Mode::Octets { left: total, total };
                    self.client.continued = true;
                }
                reading
            }
        };
        let imap = self.protocol == Protocol::Imap;
        let half = self.half(side);
        half.mode = reading.next;
        half.continued |= imap && matches!(reading.next, Mode::Octets { .. });
        if half.mode == (Mode::Octets { left: 0, total: 0 }) {
            half.mode = Mode::Lines;
        }
        out.push(Explained { side, line: shown(&reading.line), meaning: reading.meaning, section: reading.section });
    }
}

fn counted(side: Side, octets: u64) -> Explained {
    let meaning = Cow::Borrowed("The text itself; it is not shown.");
    Explained { side, line: format!("({octets} octets)"), meaning, section: "" }
}

/// Cut, and free of what a terminal would act on.
fn shown(line: &str) -> String {
    let mut out: String = line.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if line.chars().nth(SHOWN_CHARS_MAX).is_some() {
        out.push('\u{2026}');
    }
    out
}

/// Stands where a secret stood.
const MASK: &str = "********";
/// For a line that is not understood: it may be anything, a password too.
const NOT_SHOWN: &str = "(a line that is not understood; it is not shown)";

fn secret() -> Reading {
    Reading::new(MASK, "A message of the sign-in mechanism; it is not shown.", "RFC 4422 §3")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Side::{Client, Server};

    fn explain(protocol: Protocol, dialogue: &[(Side, &str)]) -> Vec<Explained> {
        let mut explainer = Explainer::new(protocol);
        dialogue.iter().flat_map(|(side, text)| explainer.said(*side, text.as_bytes())).collect()
    }

    /// The same octet by octet, and no word of `secrets` in it.
    fn lines(protocol: Protocol, dialogue: &[(Side, &str)], secrets: &[&str]) -> Vec<String> {
        let whole = explain(protocol, dialogue);
        let mut explainer = Explainer::new(protocol);
        let mut bit_by_bit = Vec::new();
        for (side, text) in dialogue {
            for octet in text.as_bytes().chunks(1) {
                bit_by_bit.extend(explainer.said(*side, octet));
            }
        }
        assert_eq!(whole, bit_by_bit, "at every chunking");
        let all = format!("{whole:?}");
        for secret in secrets {
            assert!(!all.contains(secret), "{secret} is shown: {all}");
        }
        for step in &whole {
            assert!(
                step.meaning.ends_with(['.', '?']) && (step.section.is_empty() || step.section.starts_with("RFC ")),
                "{step:?}"
            );
        }
        whole.into_iter().map(|step| step.line).collect()
    }

    const SECRETS: &[&str] = &["AGFubgBodW50ZXIy", "hunter2", "aHVudGVyMg", "YW5u", "s3cr3t", "Dear Bob"];

    #[test]
    fn smtp_without_a_secret() {
        let got = lines(
            Protocol::Smtp,
            &[
                (Server, "220 mx.test ESMTP\r\n"),
                (Client, "EHLO x.test\r\n"),
                (Server, "250-mx.test\r\n250-AUTH PLAIN LOGIN\r\n250 HELP\r\n"),
                (Client, "AUTH PLAIN AGFubgBodW50ZXIy\r\n"),
                (Server, "535 5.7.8 no\r\n"),
                (Client, "auth login\r\n"),
                (Server, "334 VXNlcm5hbWU6\r\n"),
                (Client, "YW5u\r\n"),
                (Server, "334 UGFzc3dvcmQ6\r\n"),
                (Client, "aHVudGVyMg==\r\n"),
                (Server, "235 2.7.0 Welcome\r\n"),
                (Client, "hunter2\r\n"),
                (Server, "500 5.5.1 what?\r\n"),
                (Client, "MAIL FROM:<ann@here.test> SIZE=9\r\nRCPT TO:<bob@here.test>\r\nDATA\r\n"),
                (Server, "250 2.1.0 ok\r\n550 5.1.1 nobody\r\n354 go\r\n"),
                (Client, "Dear Bob\r\n..\r\nhunter2\r\n.\r\nBDAT 8 LAST\r\nDear BobQUIT\r\n"),
                (Server, "250 2.0.0 id\r\n250 2.0.0 id\r\n221 2.0.0 bye\r\n"),
            ],
            SECRETS,
        );
        let expected = [
            "AUTH PLAIN ********",
            "535 5.7.8 no",
            "auth login",
            "334 ********",
            MASK,
            "334 ********",
            MASK,
            "235 2.7.0 Welcome",
            NOT_SHOWN,
            "500 5.5.1 what?",
            "MAIL FROM:<ann@here.test> SIZE=9",
        ];
        assert_eq!(got.get(5..16), Some(expected.map(str::to_owned).as_slice()));
        assert!(got.contains(&"(23 octets)".to_owned()) && got.contains(&"(8 octets)".to_owned()), "{got:?}");
        assert_eq!(got.iter().filter(|line| *line == "QUIT").count(), 1);
    }

    #[test]
    fn an_answer_is_told_by_its_command() {
        let all = explain(
            Protocol::Smtp,
            &[
                (Client, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"),
                (Server, "250 2.1.0 ok\r\n550 5.1.1 nobody\r\n"),
                (Client, "STARTTLS\r\n"),
                (Server, "220 go\r\n"),
            ],
        );
        let meanings: Vec<&str> = all.iter().map(|step| step.meaning.as_ref()).collect();
        assert!(meanings.iter().any(|meaning| meaning.contains("MAIL")), "{meanings:?}");
        assert!(meanings.iter().any(|meaning| meaning.contains("RCPT") && meaning.contains("for good")), "{meanings:?}");
        assert!(all.iter().all(|step| !step.section.is_empty()));
    }

    #[test]
    fn pop3_without_a_secret() {
        let got = lines(
            Protocol::Pop3,
            &[
                (Server, "+OK ready\r\n"),
                (Client, "CAPA\r\nUSER ann\r\nPASS hunter2\r\n"),
                (Server, "+OK\r\nTOP\r\nSASL PLAIN\r\n.\r\n+OK\r\n-ERR [AUTH] no\r\n"),
                (Client, "APOP ann s3cr3t\r\n"),
                (Server, "-ERR\r\n"),
                (Client, "AUTH PLAIN\r\n"),
                (Server, "+ \r\n"),
                (Client, "AGFubgBodW50ZXIy\r\n"),
                (Server, "+OK welcome\r\n"),
                (Client, "LIST\r\nRETR 1\r\nhunter2\r\nQUIT\r\n"),
                (Server, "+OK\r\n1 10\r\n.\r\n+OK\r\nDear Bob\r\n.\r\n-ERR\r\n+OK bye\r\n"),
            ],
            SECRETS,
        );
        assert!(got.contains(&"PASS ********".to_owned()) && got.contains(&"APOP ann ********".to_owned()), "{got:?}");
        assert!(got.contains(&"(10 octets)".to_owned()) && got.contains(&NOT_SHOWN.to_owned()), "{got:?}");
        assert_eq!(got.last().map(String::as_str), Some("+OK bye"));
    }

    #[test]
    fn imap_without_a_secret() {
        let got = lines(
            Protocol::Imap,
            &[
                (Server, "* OK [CAPABILITY IMAP4rev2] hi\r\n"),
                (Client, "a1 LOGIN ann hunter2\r\n"),
                (Server, "a1 NO [AUTHENTICATIONFAILED] no\r\n"),
                (Client, "a2 LOGIN {3}\r\n"),
                (Server, "+ go\r\n"),
                (Client, "ann {7+}\r\nhunter2\r\n"),
                (Server, "a2 NO no\r\n"),
                (Client, "a3 LOGIN ann {7}\r\n"),
                (Server, "a3 BAD too long\r\n"),
                (Client, "hunter2\r\na4 AUTHENTICATE PLAIN\r\n"),
                (Server, "a? BAD\r\n+ \r\n"),
                (Client, "AGFubgBodW50ZXIy\r\n"),
                (Server, "a4 OK [CAPABILITY X] in\r\n"),
                (Client, "a5 AUTHENTICATE XOAUTH2 AGFubgBodW50ZXIy\r\n"),
                (Server, "a5 OK\r\n"),
                (Client, "a6 SELECT INBOX\r\na7 UID FETCH 1 BODY[]\r\n"),
                (
                    Server,
                    "* 1 EXISTS\r\na6 OK [READ-WRITE] in\r\n* 1 FETCH (UID 1 BODY[] {8}\r\nDear Bob FLAGS (\\Seen))\r\na7 OK\r\n",
                ),
                (Client, "a8 APPEND Sent (\\Seen) {8}\r\n"),
                (Server, "+ go\r\n"),
                (Client, "Dear Bob\r\n"),
                (Server, "a8 OK [APPENDUID 1 2] done\r\n"),
                (Client, "a9 URLFETCH \"imap://ann@here.test/INBOX/;UID=1;URLAUTH=user+ann:internal:s3cr3t\"\r\n"),
                (Server, "a9 OK\r\n"),
                (Client, "aa IDLE\r\n"),
                (Server, "+ idling\r\n"),
                (Client, "DONE\r\n"),
                (Server, "aa OK\r\n"),
                (Client, "ab COMPRESS DEFLATE\r\n"),
                (Server, "ab OK\r\n"),
                (Client, "\x01\x02hunter2\r\n"),
                (Client, "a0 NOOP\r\n"),
            ],
            SECRETS,
        );
        let has = |line: &str| got.iter().any(|known| known == line);
        assert!(has("a1 LOGIN ann ********") && has("a7 UID FETCH 1 BODY[]") && has("DONE"), "{got:?}");
        assert_eq!(got.iter().filter(|line| *line == "(8 octets)").count(), 2, "{got:?}");
        assert_eq!(got.last().map(String::as_str), Some("(compressed)"), "what is no DEFLATE is not read");
    }

    fn deflated(stream: &mut flate2::Compress, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 1000);
        stream.compress_vec(text.as_bytes(), &mut out, flate2::FlushCompress::Sync).unwrap();
        out
    }

    /// RFC 4978: it is followed like any other, also what the client sent before it heard the answer.
    #[test]
    fn what_is_compressed_is_inflated() {
        let new = || flate2::Compress::new(flate2::Compression::default(), false);
        let (mut client, mut server) = (new(), new());
        let early = [b"a COMPRESS DEFLATE\r\n".to_vec(), deflated(&mut client, "b LOGIN ann hunter2\r\n")].concat();
        let answer = [b"a OK on\r\n".to_vec(), deflated(&mut server, "b OK in\r\n")].concat();
        let fetch = deflated(&mut client, "c FETCH 1 BODY[]\r\nd COMPRESS DEFLATE\r\ne NOOP\r\n");
        let long = format!("* 1 FETCH (BODY[] {{200000}}\r\n{})\r\nc OK\r\nd NO\r\ne OK\r\n", "Dear Bob".repeat(25_000));
        let long = deflated(&mut server, &long);
        let dialogue = [(Client, early), (Server, answer), (Client, fetch), (Server, long)];
        for size in [1, 7, 100_000] {
            let mut explainer = Explainer::new(Protocol::Imap);
            let pieces = dialogue.iter().flat_map(|(side, octets)| octets.chunks(size).map(|piece| (*side, piece)));
            let told: Vec<Explained> = pieces.flat_map(|(side, piece)| explainer.said(side, piece)).collect();
            let of = |side| told.iter().filter(|step| step.side == side).map(|step| step.line.as_str()).collect::<Vec<_>>();
            let asked = ["a COMPRESS DEFLATE", "b LOGIN ann ********", "c FETCH 1 BODY[]", "d COMPRESS DEFLATE", "e NOOP"];
            assert_eq!(of(Client), asked, "in pieces of {size}");
            let answers = ["a OK on", "b OK in", "* 1 FETCH (BODY[] {200000}", "(200000 octets)", ")", "c OK", "d NO", "e OK"];
            assert_eq!(of(Server), answers, "in pieces of {size}");
            assert!(explainer.held.is_empty() && explainer.held.capacity() == 0);
        }
        // Refused: what stood behind it was no stream.
        let mut explainer = Explainer::new(Protocol::Imap);
        assert_eq!(explainer.said(Client, b"a COMPRESS LZW\r\nb NOOP\r\n").len(), 1);
        let told: Vec<String> = explainer.said(Server, b"a NO\r\n").into_iter().map(|step| step.line).collect();
        assert_eq!(told, ["a NO", "b NOOP"]);
    }

    /// RFC 8437 §4.1: what stands behind the command and behind its OK is plain again, if it was an OK.
    #[test]
    fn what_is_no_longer_compressed_is_not_inflated() {
        let new = || flate2::Compress::new(flate2::Compression::default(), false);
        for (answer, signed_out) in [("b OK out\r\n", true), ("b NO\r\n", false)] {
            let (mut client, mut server) = (new(), new());
            let mut early = deflated(&mut client, "b UNAUTHENTICATE\r\n");
            let mut late = deflated(&mut server, answer);
            let (asked, answered) = ("c LOGIN ann hunter2\r\nd NOOP\r\n", "c OK in\r\nd OK\r\n");
            if signed_out {
                early.extend_from_slice(asked.as_bytes());
                late.extend_from_slice(answered.as_bytes());
            } else {
                early.extend(deflated(&mut client, asked));
                late.extend(deflated(&mut server, answered));
            }
            let start = [(Client, b"a COMPRESS DEFLATE\r\n".to_vec()), (Server, b"a OK on\r\n".to_vec())];
            let dialogue = start.into_iter().chain([(Client, early), (Server, late)]).collect::<Vec<_>>();
            for size in 1..100 {
                let mut explainer = Explainer::new(Protocol::Imap);
                let pieces = dialogue.iter().flat_map(|(side, octets)| octets.chunks(size).map(|piece| (*side, piece)));
                let told: Vec<Explained> = pieces.flat_map(|(side, piece)| explainer.said(side, piece)).collect();
                let of = |side| told.iter().filter(|step| step.side == side).map(|step| step.line.as_str()).collect::<Vec<_>>();
                let asked = ["a COMPRESS DEFLATE", "b UNAUTHENTICATE", "c LOGIN ann ********", "d NOOP"];
                assert_eq!(of(Client), asked, "in pieces of {size}");
                assert_eq!(of(Server), ["a OK on", answer.trim_end(), "c OK in", "d OK"], "in pieces of {size}");
                assert!(explainer.held.is_empty());
            }
        }
    }

    #[test]
    fn a_bomb_in_a_dialogue_is_bounded() {
        let mut explainer = Explainer::new(Protocol::Imap);
        explainer.said(Client, b"a COMPRESS DEFLATE\r\n");
        explainer.said(Client, &[0; 200_000]);
        assert!(explainer.held.is_empty() && explainer.state.over, "held up to a bound");
        let mut explainer = Explainer::new(Protocol::Imap);
        explainer.said(Client, b"a COMPRESS DEFLATE\r\n");
        explainer.said(Server, b"a OK\r\n");
        let mut stream = flate2::Compress::new(flate2::Compression::default(), false);
        let told = explainer.said(Server, &deflated(&mut stream, &"\n".repeat(300_000)));
        assert!(told.len() <= 40_000, "{}", told.len());
        assert_eq!(told.last().map(|step| step.line.as_str()), Some("(many lines)"));
        let told = explainer.said(Server, &deflated(&mut stream, "* OK\r\n"));
        assert_eq!(told.last().map(|step| step.line.as_str()), Some("* OK"), "and it goes on");
    }

    #[test]
    fn nothing_grows_without_end() {
        for protocol in [Protocol::Smtp, Protocol::Pop3, Protocol::Imap] {
            let mut explainer = Explainer::new(protocol);
            for _ in 0..2_000 {
                explainer.said(Client, b"NOOP x\r\n");
                explainer.said(Client, &[b'a'; 700]);
            }
            assert!(explainer.client.line.len() <= LINE_BYTES_MAX && explainer.state.waiting.len() <= WAITING_MAX);
        }
    }

    #[test]
    fn whatever_is_said_nothing_breaks() {
        let mut random = crate::laws::Random(7);
        let words = [
            "AUTH ",
            "LOGIN ",
            "a ",
            "{3}\r\n",
            "{99999999999999999999}\r\n",
            "\r\n",
            "* ",
            "+ ",
            "DATA",
            "354 ",
            "BDAT 5",
            "\u{fc}",
            "\0",
            "250-",
            "(",
            "+OK",
            ".\r\n",
        ];
        for round in 0..500 {
            let mut explainer = Explainer::new([Protocol::Smtp, Protocol::Pop3, Protocol::Imap, Protocol::Lmtp][round % 4]);
            for _ in 0..60 {
                let word = words.get(random.below(words.len())).copied().unwrap_or_default();
                explainer.said(if random.below(2) == 0 { Client } else { Server }, word.as_bytes());
            }
        }
    }
}
