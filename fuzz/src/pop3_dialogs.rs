//! POP3 as a conversation: a client, or a server, that mostly knows the protocol. Data: mode, mood, cuts, choices.
//!
//! Laws beyond those of sessions: every command gets exactly one answer, a listing ends with its dot and nothing follows,
//! and after any error the next good command is answered.

use crate::dialog::{Choices, Stage};
use crate::pieces::take;
use crate::pop3_sessions::{SERVER_HELD_MAX, client_of, client_owner, server_config, server_owner};
use wire::limits::pop3 as limits;
use wire::pop3::{Event, Server};

const COMMANDS: &[&str] = &[
    "STAT",
    "LIST",
    "LIST 1",
    "LIST 9",
    "UIDL",
    "UIDL 2",
    "RETR 1",
    "RETR 3",
    "RETR 2",
    "TOP 1 0",
    "TOP 3 5",
    "DELE 1",
    "DELE 3",
    "RSET",
    "NOOP",
    "CAPA",
    "UTF8",
    "LANG",
    "LANG *",
    "LANG de",
    "USER ann",
    "PASS pw",
    "USER ",
    "PASS",
    "APOP ann 0123",
    "STLS",
    "XTND",
    "",
    " ",
    "RETR 0",
    "RETR 99999999999",
    "TOP 1",
    "TOP 1 x",
    "LIST x",
    "DELE",
    "NOOP x",
    "uidl",
    "IMPLEMENTATION",
];
const AUTHS: &[&str] = &[
    "AUTH",
    "AUTH PLAIN",
    "AUTH PLAIN AGFubgBwdw==",
    "AUTH PLAIN =",
    "AUTH LOGIN",
    "AUTH SCRAM-SHA-256 biwsbj1hbm4scj1jbGllbnRub25jZQ==",
    "AUTH NONE",
    "AUTH PLAIN *",
];
const AUTH_LINES: &[&str] = &["*", "AGFubgBwdw==", "YW5u", "cHc=", "=", "", "!!"];

struct Caller<'a, A> {
    stage: Stage<Server, A>,
    choices: Choices<'a>,
    in_auth: bool,
}

impl<A: FnMut(&mut Server, Event, &mut Vec<String>)> Caller<'_, A> {
    fn line(&mut self, line: &[u8]) {
        let mut octets = line.to_vec();
        octets.extend_from_slice(if self.choices.octet() >= 250 { b"\n" } else { b"\r\n" });
        let answer = self.stage.say(&octets).to_vec();
        if self.stage.is_closed() {
            return;
        }
        self.in_auth = answer.starts_with(b"+ ") || answer == b"+\r\n";
        assert!(answer.ends_with(b"\r\n"), "no whole answer to {}: {}", line.escape_ascii(), answer.escape_ascii());
        let first = answer.iter().position(|octet| *octet == b'\n').unwrap_or(0) + 1;
        assert!(self.in_auth || answer.starts_with(b"+OK") || answer.starts_with(b"-ERR"), "{}", answer.escape_ascii());
        let listing = &answer[first..];
        if !listing.is_empty() {
            assert!(answer.starts_with(b"+OK"), "more than one line of an error");
            assert!(listing == b".\r\n" || listing.ends_with(b"\r\n.\r\n"), "{}", listing.escape_ascii());
            let dots =
                listing.windows(5).filter(|window| window == b"\r\n.\r\n").count() + usize::from(listing.starts_with(b".\r\n"));
            assert_eq!(dots, 1, "a listing has one end: {}", listing.escape_ascii());
        }
    }

    fn act(&mut self) {
        match self.choices.below(32) {
            0 => {
                let secs = self.choices.of(&[1, 100, 629, 631]);
                return self.stage.wait(secs);
            }
            1 if self.choices.below(8) == 0 => return self.line(b"QUIT"),
            _ => {}
        }
        let list = match self.choices.below(8) {
            _ if self.in_auth => AUTH_LINES,
            0 | 1 => AUTHS,
            _ => COMMANDS,
        };
        let mut line = self.choices.of(list).as_bytes().to_vec();
        self.choices.spoil(&mut line);
        self.line(&line);
    }
}

/// A server and a client that mostly knows what it does.
pub(crate) fn pop3_server_dialog(data: &[u8]) {
    let ([mode, mood, cuts], choices) = take(data);
    let make = || (Server::new(server_config(mode)), server_owner(mood));
    let (session, owner) = make();
    let stage = Stage::new(session, owner, |_, _| {}, SERVER_HELD_MAX, false);
    let mut caller = Caller { stage, choices: Choices::new(choices), in_auth: false };
    if mode & 8 == 0 {
        caller.line(b"AUTH PLAIN AGFubgBwdw==");
    }
    for _ in 0..100 {
        if caller.choices.is_empty() || caller.stage.is_closed() {
            break;
        }
        caller.act();
    }
    if caller.in_auth {
        caller.line(b"*");
    }
    let answer = caller.stage.say(b"CAPA\r\n").to_vec();
    assert!(caller.stage.is_closed() || answer.ends_with(b"\r\n.\r\n"), "CAPA is answered {}", answer.escape_ascii());
    caller.stage.end(make, cuts, true);
}

const ODD: &[&[u8]] = &[
    b"-ERR no\r\n",
    b"-ERR [IN-USE] busy\r\n",
    b"-ERR [SYS/TEMP] later\r\n",
    b"+OK\r\n",
    b"+ \r\n",
    b"+ !!!\r\n",
    b"\r\n",
    b"* BAD\r\n",
    b"+OK 2 200\r\n",
    b"+OK 99999999999 1\r\n",
    b"+OK\r\n1 1\r\n.\r\n",
    b"+OK\r\n..\r\n.\r\n",
    b"+OK\r\n1 4294967296\r\n2\r\nx y\r\n.\r\n",
    b".\r\n",
    b"+OK\n",
    b"+OKAY\r\n",
    b"+OK\r\nSTLS\r\nSASL PLAIN SCRAM-SHA-256\r\nUTF8\r\nPIPELINING\r\n.\r\n",
    b"+OK\r\nUSER\r\nTOP\r\nUIDL\r\n.\r\n",
];

fn good(line: &[u8]) -> &'static [u8] {
    let verb = line.get(..4).unwrap_or(line).to_ascii_uppercase();
    match (verb.as_slice(), line.len()) {
        (b"CAPA", _) => b"+OK\r\nUSER\r\nTOP\r\nUIDL\r\nSASL PLAIN\r\nPIPELINING\r\nUTF8\r\n.\r\n",
        (b"STAT", _) => b"+OK 2 24\r\n",
        (b"UIDL", 4) => b"+OK\r\n1 a\r\n2 b\r\n.\r\n",
        (b"LIST", 4) => b"+OK\r\n1 12\r\n2 12\r\n.\r\n",
        (b"RETR" | b"TOP ", _) => b"+OK\r\nA: b\r\n\r\n..\r\n.\r\n",
        (b"AUTH", 0..=14) => b"+ \r\n",
        _ => b"+OK\r\n",
    }
}

/// A client and a server that mostly behaves.
pub(crate) fn pop3_client_dialog(data: &[u8]) {
    let ([mode, _, cuts], choices) = take(data);
    let make = || (client_of(mode), client_owner());
    let (session, owner) = make();
    let mut stage = Stage::new(session, owner, |_, _| {}, limits::CHUNK_BYTES_MAX, true);
    let mut choices = Choices::new(choices);
    let (mut behaved, mut read) = (true, 0);
    stage.say(b"+OK here\r\n");
    for _ in 0..200 {
        let Some(end) = stage.since(read).iter().position(|octet| *octet == b'\n') else { break };
        let line = stage.since(read)[..end].trim_ascii_end().to_vec();
        read += end + 1;
        match choices.octet() {
            0..=199 => drop(stage.say(good(&line))),
            200..=209 => {
                behaved = false;
                stage.wait(choices.of(&[1, 100, 301]));
            }
            210..=229 => {
                behaved = false;
                stage.say(choices.of(ODD));
            }
            _ => {
                behaved = false;
                let mut said = good(&line).to_vec();
                said.truncate(said.len() - 2);
                let mut last = said.split_off(said.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1));
                choices.spoil(&mut last);
                said.extend_from_slice(&last);
                said.extend_from_slice(b"\r\n");
                stage.say(&said);
            }
        }
    }
    let tls_wanted = mode >> 1 & 3 == 2;
    if behaved && !tls_wanted && mode & 8 != 0 {
        let done = stage.played.log.iter().filter(|line| line.starts_with("Done") || line.starts_with("Stat")).count();
        assert_eq!(done, 7, "{:?}", stage.played.log);
    }
    stage.end(make, cuts, false);
}
