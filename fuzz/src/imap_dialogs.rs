//! IMAP as a conversation: a client, or a server, that mostly knows the protocol. Data: mode, mood, cuts, choices.
//!
//! Literals of every kind go where strings go, and a client waits where it has to. Laws beyond those of sessions: every
//! command gets exactly one tagged answer, and after any error the next good command is answered.

use crate::dialog::{Choices, Stage};
use crate::imap_sessions::{CLIENT_HELD_MAX, client_config, client_owner, server_config, server_owner};
use crate::pieces::take;
use crate::play::lines_are_sound;
use wire::imap::client::Client;
use wire::imap::limits;
use wire::imap::server::{Event, Server};

/// `$` is a string in any of its forms, `%` a set of numbers, `#` a number.
const COMMANDS: &[&str] = &[
    "NOOP",
    "CAPABILITY",
    "CHECK",
    "NAMESPACE",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "SELECT $",
    "EXAMINE $",
    "SELECT $ (CONDSTORE)",
    "CREATE $",
    "DELETE $",
    "RENAME $ $",
    "SUBSCRIBE $",
    "UNSUBSCRIBE $",
    "LIST $ $",
    "LSUB $ $",
    "LIST (SUBSCRIBED) $ ($ $) RETURN (CHILDREN STATUS (MESSAGES UIDNEXT))",
    "STATUS $ (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)",
    "ENABLE CONDSTORE IMAP4rev2",
    "ENABLE UTF8=ACCEPT",
    "ID ($ $)",
    "ID NIL",
    "FETCH % (FLAGS UID ENVELOPE BODYSTRUCTURE RFC822.SIZE)",
    "FETCH % BODY[HEADER.FIELDS ($ $)]",
    "UID FETCH % (BODY.PEEK[1.2.MIME]<#.#> BINARY.SIZE[1])",
    "FETCH % ALL",
    "UID FETCH % (FLAGS) (CHANGEDSINCE #)",
    "STORE % +FLAGS.SILENT (\\Seen $Junk)",
    "STORE % FLAGS ()",
    "UID STORE % (UNCHANGEDSINCE #) -FLAGS \\Deleted",
    "COPY % $",
    "MOVE % $",
    "UID EXPUNGE %",
    "SEARCH $",
    "SEARCH ALL",
    "SEARCH CHARSET UTF-8 TEXT $ OR SUBJECT $ NOT (FROM $ LARGER #)",
    "UID SEARCH RETURN (MIN MAX COUNT SAVE) % UID % HEADER $ $ MODSEQ #",
    "SORT (REVERSE DATE) UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
    "APPEND $ $",
    "APPEND $ (\\Seen) \"01-Jan-2020 00:00:00 +0000\" $",
    "APPEND $ UTF8 ($)",
    "APPEND $ CATENATE (TEXT $ URL $)",
    "GETQUOTAROOT $",
    "SETMETADATA $ (/a $)",
    "LOGIN $ $",
    "LOGIN ann pw",
    "AUTHENTICATE PLAIN",
    "AUTHENTICATE PLAIN AGFubgBwdw==",
    "AUTHENTICATE SCRAM-SHA-256",
    "AUTHENTICATE NONE",
    "STARTTLS",
    "IDLE",
    "COMPRESS DEFLATE",
    "NOTIFY NONE",
    "UNAUTHENTICATE",
    "X",
    "",
    "FETCH",
    "FETCH % (BODY[",
    "SEARCH (((((((((ALL)))))))))",
    "LIST",
];
const STRINGS: &[&str] =
    &["INBOX", "a/b", "", "*", "%", "x y", "q\"\\", "\u{e4}", "&AOQ-", "Message: x\r\n\r\nbody", "a\0b", "inbox", "Subject"];
const SETS: &[&str] = &["1", "1:*", "*", "1,3:5,7", "$", "0", "4294967295:1", "5:", "1:4294967296"];
const NUMBERS: &[&str] = &["0", "1", "4096", "4294967295", "18446744073709551615", "18446744073709551616"];

/// What a command is said with.
enum Piece {
    Text(Vec<u8>),
    /// The octets of a literal whose head ended the text before; with it, whether the client waits.
    Octets {
        octets: Vec<u8>,
        waits: bool,
    },
}

fn string(choices: &mut Choices<'_>, out: &mut Vec<Piece>, text: &mut Vec<u8>) {
    let value = choices.of(STRINGS).as_bytes();
    let form = choices.below(12);
    let quotable = !value.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0));
    let long = if form == 11 { choices.of(&[4_097usize, 70_000]) } else { 0 };
    let octets: Vec<u8> = value.iter().copied().chain(std::iter::repeat_n(b'x', long)).collect();
    match form {
        0..=2 if !value.is_empty() && value.iter().all(u8::is_ascii_alphanumeric) => text.extend_from_slice(value),
        0..=5 if quotable => {
            text.push(b'"');
            for octet in value {
                if matches!(octet, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(*octet);
            }
            text.push(b'"');
        }
        _ => {
            let waits = choices.below(2) == 0;
            let eight = if choices.below(4) == 0 { "~" } else { "" };
            text.extend_from_slice(format!("{eight}{{{}{}}}\r\n", octets.len(), if waits { "" } else { "+" }).as_bytes());
            out.push(Piece::Text(std::mem::take(text)));
            out.push(Piece::Octets { octets, waits });
        }
    }
}

/// One command behind its tag, without the CR LF at its end.
fn command(choices: &mut Choices<'_>) -> Vec<Piece> {
    let (mut out, mut text) = (Vec::new(), Vec::new());
    for octet in choices.of(COMMANDS).bytes() {
        match octet {
            b'$' => string(choices, &mut out, &mut text),
            b'%' => text.extend_from_slice(choices.of(SETS).as_bytes()),
            b'#' => text.extend_from_slice(choices.of(NUMBERS).as_bytes()),
            other => text.push(other),
        }
    }
    out.push(Piece::Text(text));
    out
}

/// The size in a literal's head at the end of this line.
fn literal_head(line: &[u8]) -> Option<(u64, bool)> {
    let inside = line.strip_suffix(b"}")?;
    let at = inside.iter().rposition(|octet| *octet == b'{')?;
    let text = std::str::from_utf8(&inside[at + 1..]).ok()?;
    let number = text.trim_end_matches(['+', '-']);
    Some((number.parse().ok()?, number.len() == text.len()))
}

struct Caller<'a, A> {
    stage: Stage<Server, A>,
    choices: Choices<'a>,
    tags: u32,
    /// Its lines may be octets of something, or its octets lines: only the general laws are left.
    lost: bool,
}

impl<A: FnMut(&mut Server, Event, &mut Vec<String>)> Caller<'_, A> {
    /// Answered by now?
    fn answers(&self, mark: usize, tag: &str) -> usize {
        let begin = format!("{tag} ");
        self.stage.since(mark).split(|octet| *octet == b'\n').filter(|line| line.starts_with(begin.as_bytes())).count()
    }

    /// A continuation came since `mark`.
    fn is_asked(&self, mark: usize) -> bool {
        self.stage.since(mark).split(|octet| *octet == b'\n').any(|line| line.starts_with(b"+"))
    }

    fn run(&mut self, pieces: Vec<Piece>) {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        let mark = self.stage.mark();
        let mut said_at = mark;
        let mut line = format!("{tag} ").into_bytes();
        let mut first = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(mut text) => {
                    let head = text.strip_suffix(b"\r\n").map(<[u8]>::to_vec);
                    text = head.clone().unwrap_or(text);
                    let spoilt = self.choices.spoil(&mut text);
                    line.extend_from_slice(&text);
                    if first.is_empty() {
                        first.clone_from(&line);
                    }
                    if head.is_some() {
                        let announced = literal_head(&line);
                        line.extend_from_slice(b"\r\n");
                        said_at = self.stage.mark();
                        self.stage.say(&std::mem::take(&mut line));
                        // A spoilt head announces something else, or nothing.
                        if spoilt && announced.is_none() {
                            return self.settle((mark, said_at), &tag, &first, b"");
                        }
                        self.lost |= spoilt;
                    }
                }
                Piece::Octets { octets, waits } => {
                    if waits && (self.answers(mark, &tag) > 0 || !self.is_asked(said_at)) {
                        return self.settle((mark, said_at), &tag, &first, b"");
                    }
                    line = octets;
                    // What follows the octets travels with them, or not.
                    if self.choices.below(2) == 0 {
                        self.stage.say(&std::mem::take(&mut line));
                    }
                }
            }
        }
        let last = line.clone();
        said_at = self.stage.mark();
        line.extend_from_slice(b"\r\n");
        self.stage.say(&line);
        self.settle((mark, said_at), &tag, &first, &last);
    }

    /// Whatever the server still wants to hear for this command; then it must have answered, once.
    fn settle(&mut self, (mark, mut said_at): (usize, usize), tag: &str, first: &[u8], last: &[u8]) {
        let words = first.to_ascii_uppercase();
        let has = |word: &[u8]| words.windows(word.len()).any(|window| window == word);
        let mut last = last.to_vec();
        for _ in 0..6 {
            if self.stage.is_closed() || self.lost || self.answers(mark, tag) > 0 {
                break;
            }
            let head = literal_head(&last);
            let asked = self.is_asked(said_at);
            last.clear();
            said_at = self.stage.mark();
            match head {
                Some((size, _)) if size > 100_000 => self.lost = true,
                Some((size, waits)) if !waits || asked => {
                    let mut octets = vec![b'x'; size as usize];
                    octets.extend_from_slice(b"\r\n");
                    self.stage.say(&octets);
                }
                _ if !asked => break,
                _ if has(b"IDLE") => {
                    let said: &[u8] = self.choices.of(&[b"DONE\r\n", b"DONE\r\n", b"done\r\n", b"x IDLE\r\n", b"\r\n"]);
                    self.stage.say(said);
                }
                _ => {
                    let said: &[u8] = self.choices.of(&[b"AGFubgBwdw==\r\n", b"*\r\n", b"=\r\n", b"!\r\n", b"\r\n"]);
                    self.stage.say(said);
                }
            }
        }
        if self.stage.is_closed() || self.lost {
            return;
        }
        let blank = first.strip_prefix(tag.as_bytes()).is_some_and(|rest| rest.trim_ascii().is_empty());
        let count = self.answers(mark, tag);
        let said = self.stage.since(mark).escape_ascii();
        assert!(
            count == 1 || (blank && said.to_string().starts_with("* BAD")),
            "{count} answers to {}: {said}",
            first.escape_ascii()
        );
    }

    fn act(&mut self) {
        match self.choices.below(48) {
            0 => {
                let secs = self.choices.of(&[1, 100, 126, 128, 1_866, 1_868]);
                self.stage.wait(secs);
            }
            1 => {
                let how = self.choices.octet();
                self.stage.nudge(how);
            }
            2 if self.choices.below(8) == 0 => self.run(vec![Piece::Text(b"LOGOUT".to_vec())]),
            _ => {
                let pieces = command(&mut self.choices);
                self.run(pieces);
            }
        }
    }
}

/// A server and a client that mostly knows what it does.
pub(crate) fn imap_server_dialog(data: &[u8]) {
    let ([mode, mood, cuts], choices) = take(data);
    let make = || (Server::new(server_config(mode)), server_owner(mood));
    let nudge = |server: &mut Server, how: u8| match how {
        0..=15 => server.bye(None, "The server is going down"),
        _ => server.untagged(&wire::imap::response::Response::Exists(u32::from(how))),
    };
    let (session, owner) = make();
    let stage = Stage::new(session, owner, nudge, limits::INPUT_BYTES_MAX, false);
    let mut caller = Caller { stage, choices: Choices::new(choices), tags: 0, lost: false };
    if mode & 8 == 0 {
        caller.stage.say(b"z LOGIN ann pw\r\n");
    }
    for _ in 0..60 {
        if caller.choices.is_empty() || caller.stage.is_closed() || caller.lost {
            break;
        }
        caller.act();
    }
    if !caller.lost {
        let answer = caller.stage.say(b"last NOOP\r\n").to_vec();
        assert!(
            caller.stage.is_closed() || answer.ends_with(b"\r\n") && answer.windows(7).any(|w| w == b"last OK"),
            "{}",
            answer.escape_ascii()
        );
    }
    let played = caller.stage.end(make, cuts, true);
    lines_are_sound(&played.out);
}

const UNTAGGED: &[&str] = &[
    "* 3 EXISTS",
    "* 1 EXPUNGE",
    "* OK [UIDVALIDITY 7] x",
    "* OK [CAPABILITY IMAP4rev2 IDLE LITERAL+ LITERAL- UIDPLUS] x",
    "* FLAGS (\\Seen \\Answered)",
    "* SEARCH 1 2 3",
    "* ESEARCH (TAG \"A1\") UID COUNT 3 ALL 1:3",
    "* LIST (\\HasNoChildren) \"/\" INBOX",
    "* STATUS INBOX (MESSAGES 3 UIDNEXT 4)",
    "* 1 FETCH (UID 7 FLAGS (\\Seen))",
    "* 1 FETCH (BODY[] {5}\r\nhello)",
    "* 1 FETCH (UID 1 BODY[TEXT] {70000}\r\n",
    "* 1 FETCH (BODY[]<0> ~{3}\r\na\0b UID 2)",
    "* 2 FETCH (ENVELOPE (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL))",
    "* 2 FETCH (BODYSTRUCTURE (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 3 1))",
    "* VANISHED (EARLIER) 1:3",
    "* BYE going",
    "* ENABLED IMAP4rev2",
    "* NO [ALERT] full",
    "* BAD what",
    "* ID NIL",
    "* NAMESPACE ((\"\" \"/\")) NIL NIL",
    "* X-WHAT ever",
    "* 4294967296 EXISTS",
    "*",
    "+ go",
    "+",
    "",
    "hello",
    "A99 OK nobody asked",
    "* PREAUTH hi",
    "* LIST () NIL {3}\r\nabc",
];

/// A client and a server that mostly behaves.
pub(crate) fn imap_client_dialog(data: &[u8]) {
    let ([mode, _, cuts], choices) = take(data);
    let make = || (Client::new(client_config(mode)), client_owner());
    let (session, owner) = make();
    let mut stage = Stage::new(session, owner, |_, _| {}, CLIENT_HELD_MAX, true);
    let mut choices = Choices::new(choices);
    let (mut read, mut behaved) = (0, true);
    stage.say(b"* OK [CAPABILITY IMAP4rev2 IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ IDLE STARTTLS] ready\r\n");
    for _ in 0..200 {
        let Some(end) = stage.since(read).iter().position(|octet| *octet == b'\n') else { break };
        let line = stage.since(read)[..end].trim_ascii_end().to_vec();
        read += end + 1;
        let mut words = line.split(|octet| *octet == b' ');
        let tag = words.next().unwrap_or_default().to_vec();
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        let waits = literal_head(&line).is_some_and(|(_, waits)| waits);
        let literal = literal_head(&line).is_some();
        let mut said = match verb.as_slice() {
            _ if waits => b"+ go on\r\n".to_vec(),
            _ if literal => continue,
            b"IDLE" => b"+ idling\r\n".to_vec(),
            b"LOGOUT" => [b"* BYE bye\r\n", tag.as_slice(), b" OK done\r\n"].concat(),
            b"" => continue,
            _ => [tag.as_slice(), b" OK done\r\n"].concat(),
        };
        for _ in 0..choices.below(16).saturating_sub(12) {
            behaved = false;
            let mut odd = choices.of(UNTAGGED).as_bytes().to_vec();
            if odd.ends_with(b"{70000}\r\n") {
                odd.extend(std::iter::repeat_n(b'y', 70_000));
                odd.push(b')');
            }
            if !odd.contains(&b'\n') {
                choices.spoil(&mut odd);
            }
            odd.extend_from_slice(b"\r\n");
            stage.say(&odd);
        }
        match choices.octet() {
            0..=199 => {}
            200..=209 => {
                behaved = false;
                stage.wait(choices.of(&[1, 100, 299, 301]));
            }
            210..=229 => {
                behaved = false;
                let word: &[u8] = choices.of(&[
                    b" NO [AUTHENTICATIONFAILED] no\r\n",
                    b" BAD what\r\n",
                    b" NO [TOOBIG] no\r\n",
                    b" OK [APPENDUID 7 8] x\r\n",
                    b"\r\n",
                ]);
                said = [tag.as_slice(), word].concat();
            }
            _ => {
                behaved = false;
                said.truncate(said.len() - 2);
                choices.spoil(&mut said);
                said.extend_from_slice(b"\r\n");
            }
        }
        stage.say(&said);
    }
    let tls_wanted = mode >> 1 & 3 != 0;
    if behaved && !tls_wanted && mode & 16 == 0 {
        assert!(stage.played.log.iter().any(|line| line == "Ready"), "{:?}", stage.played.log);
    }
    let played = stage.end(make, cuts, false);
    drop(played);
}
