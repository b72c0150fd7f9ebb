//! SMTP and LMTP as a conversation: a client, or a server, that mostly knows the protocol. Data: mode, mood, cuts, choices.
//!
//! Laws beyond those of sessions: every command line gets exactly one reply, whatever stands in it, and after any error
//! the next good command is answered; a server that behaves gets all three messages of the client.

use crate::dialog::{Choices, Stage};
use crate::pieces::take;
use crate::play::lines_are_sound;
use crate::smtp_sessions::{RECIPIENTS_MAX, client_config, client_owner, server_config, server_owner};
use wire::limits::smtp as limits;
use wire::smtp::client::Client;
use wire::smtp::server::{Mode, Server};
use wire::smtp::{EnhancedCode, Reply};

const HELLO: &[&str] =
    &["EHLO c.test", "HELO c.test", "LHLO c.test", "EHLO [127.0.0.1]", "EHLO [IPv6:::1]", "EHLO", "EHLO x y", "LHLO"];
const PATHS: &[&str] = &[
    "<a@b.test>",
    "<>",
    "<\"a b\"@c.test>",
    "<@x.test,@y.test:a@b.test>",
    "<postmaster>",
    "<a@[192.0.2.1]>",
    "<a@[IPv6:2001:db8::1]>",
    "<\u{e4}@b.test>",
    "a@b.test",
    "<a@b..test>",
    "<a@b.test",
    "<\"\\\"\"@b.test>",
    " <a@b.test>",
    "<a@>",
];
const MAIL_PARAMETERS: &[&str] = &[
    "SIZE=100",
    "SIZE=99999999999",
    "BODY=8BITMIME",
    "BODY=BINARYMIME",
    "BODY=7BIT",
    "SMTPUTF8",
    "RET=FULL",
    "RET=HDRS",
    "ENVID=a+2Bb",
    "AUTH=<>",
    "AUTH=a+40b.test",
    "MT-PRIORITY=3",
    "HOLDFOR=60",
    "HOLDUNTIL=2030-01-01T00:00:00Z",
    "REQUIRETLS",
    "BY=120;R",
    "X=y",
    "SIZE",
];
const RCPT_PARAMETERS: &[&str] = &[
    "NOTIFY=NEVER",
    "NOTIFY=SUCCESS,FAILURE,DELAY",
    "NOTIFY=NEVER,DELAY",
    "ORCPT=rfc822;a+40b.test",
    "ORCPT=utf-8;\\x{E4}@b.test",
    "RRVS=x",
    "X",
];
const OTHERS: &[&str] = &[
    "RSET",
    "NOOP",
    "NOOP x y",
    "VRFY a",
    "EXPN a",
    "HELP",
    "HELP MAIL",
    "QUIT x",
    "",
    " ",
    "TURN",
    "DATA x",
    "RSET x",
    "BDAT",
    "BDAT x",
    "BDAT 5 FIRST",
    "GET / HTTP/1.1",
    "\r",
    "Subject: lost",
    "STARTTLS x",
    "AUTH",
    "AUTH NONE",
    "BURL x",
    "ETRN b.test",
    "ATRN",
];
const AUTHS: &[&str] = &[
    "AUTH PLAIN AGFubgBwdw==",
    "AUTH PLAIN",
    "AUTH PLAIN =",
    "AUTH PLAIN ****",
    "AUTH LOGIN",
    "AUTH LOGIN YW5u",
    "AUTH SCRAM-SHA-256",
    "AUTH SCRAM-SHA-256 biwsbj1hbm4scj1jbGllbnRub25jZQ==",
    "AUTH OAUTHBEARER",
    "auth plain AHgAeQ==",
];
const AUTH_LINES: &[&str] = &["*", "AGFubgBwdw==", "YW5u", "cHc=", "=", "", "!!", "biwsbj1hbm4scj1jbGllbnRub25jZQ=="];
const TEXT: &[&str] = &["Subject: x", "", "..", "... ", "words", ".x", "a\rb", "\r", " .", "8bit \u{e4}", "x\0y"];

/// Where a client that counts replies believes to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Command,
    Auth,
    Text,
    /// It lost count: only the general laws are left.
    Lost,
}

/// Codes of the replies in this output.
fn replies(out: &[u8]) -> Vec<u16> {
    let lines = out.split(|octet| *octet == b'\n').filter(|line| line.len() > 3 && line[3] == b' ');
    lines.filter_map(|line| std::str::from_utf8(&line[..3]).ok()?.parse().ok()).collect()
}

fn command(choices: &mut Choices<'_>) -> String {
    let parameters = |choices: &mut Choices<'_>, of: &[&str]| -> String {
        let count = choices.below(8).saturating_sub(4);
        (0..count).map(|_| format!(" {}", choices.of(of))).collect()
    };
    match choices.below(16) {
        0 | 1 => choices.of(HELLO).to_owned(),
        2..=4 => format!("MAIL FROM:{}{}", choices.of(PATHS), parameters(choices, MAIL_PARAMETERS)),
        5..=8 => format!("RCPT TO:{}{}", choices.of(PATHS), parameters(choices, RCPT_PARAMETERS)),
        9 | 10 => "DATA".to_owned(),
        11 => choices.of(AUTHS).to_owned(),
        12 => "STARTTLS".to_owned(),
        13 => "RSET".to_owned(),
        14 if choices.below(4) == 0 => "QUIT".to_owned(),
        _ => choices.of(OTHERS).to_owned(),
    }
}

/// The client's side of one conversation with a server.
struct Caller<'a, A> {
    stage: Stage<Server, A>,
    choices: Choices<'a>,
    at: At,
    mode: Mode,
    /// Inside a message the last line ended in CR LF.
    line_begins: bool,
}

impl<A: FnMut(&mut Server, wire::smtp::server::Event, &mut Vec<String>)> Caller<'_, A> {
    fn line(&mut self, line: &[u8], certain: bool) {
        let ended_well = line.last() != Some(&b'\r');
        let mut octets = line.to_vec();
        let bare = self.choices.octet() >= 250;
        octets.extend_from_slice(if bare { b"\n" } else { b"\r\n" });
        let certain = certain || !line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"));
        let codes = replies(self.stage.say(&octets));
        self.count(&codes, if certain { 1 } else { 0 }, line == b"." && self.line_begins && !bare);
        self.line_begins = ended_well && !bare;
    }

    fn count(&mut self, codes: &[u16], wanted: usize, is_end: bool) {
        if self.stage.is_closed() || self.at == At::Lost {
            return;
        }
        if self.at == At::Text {
            assert!(!is_end || !codes.is_empty(), "the end of the message has no answer");
            if !codes.is_empty() {
                self.at = At::Command;
            }
            return;
        }
        if wanted == 0 {
            self.at = At::Lost;
            return;
        }
        assert_eq!(codes.len(), 1, "one command, one reply; at {:?}", self.at);
        self.at = match codes[0] {
            354 => At::Text,
            334 => At::Auth,
            _ => At::Command,
        };
        self.line_begins = true;
    }

    fn bdat(&mut self) {
        let (size, last) = (self.choices.of(&[0usize, 1, 7, 20, 150, 310]), self.choices.below(2) == 0);
        let mut octets = format!("BDAT {size}{}\r\n", if last { " LAST" } else { "" }).into_bytes();
        octets.extend(b"Subject: x\r\n\r\n.\r\n..\r\nquite good text\r\n".iter().cycle().take(size));
        let codes = replies(self.stage.say(&octets));
        if self.stage.is_closed() {
            return;
        }
        let most = if self.mode == Mode::Lmtp { RECIPIENTS_MAX } else { 1 };
        assert!((1..=most).contains(&codes.len()), "a chunk with {} replies", codes.len());
    }

    fn act(&mut self) {
        match (self.at, self.choices.below(32)) {
            (_, 0) => {
                let secs = self.choices.of(&[1, 100, 299, 301, 4_000]);
                self.stage.wait(secs);
            }
            (_, 1) if self.choices.below(8) == 0 => self.stage.nudge(0),
            (At::Command, 2..=4) => self.bdat(),
            (At::Text, 2..=8) => self.line(b".", true),
            (At::Text, _) => {
                let mut line = self.choices.of(TEXT).as_bytes().to_vec();
                self.choices.spoil(&mut line);
                self.line(&line, true);
            }
            (At::Auth, _) => {
                let mut line = self.choices.of(AUTH_LINES).as_bytes().to_vec();
                self.choices.spoil(&mut line);
                self.line(&line, true);
            }
            _ => {
                let mut line = command(&mut self.choices).into_bytes();
                let spoilt = self.choices.spoil(&mut line);
                self.line(&line, !spoilt);
            }
        }
    }

    /// Out of whatever it is in; then the next command must be answered.
    fn recover(&mut self) {
        match self.at {
            At::Text => self.stage.say(b"\r\n.\r\n"),
            At::Auth => self.stage.say(b"*\r\n"),
            _ => &[],
        };
        if self.stage.is_closed() || self.at == At::Lost {
            return;
        }
        let codes = replies(self.stage.say(b"NOOP\r\n"));
        assert!(self.stage.is_closed() || codes == [250], "NOOP is answered {codes:?}");
    }
}

/// A server and a client that mostly knows what it does.
pub(crate) fn smtp_server_dialog(data: &[u8]) {
    let ([mode, mood, cuts], choices) = take(data);
    let config = server_config(mode);
    let make = || (Server::new(config.clone()), server_owner(mood, config.mode));
    let (session, owner) = make();
    let stage = Stage::new(session, owner, |server, _| server.shut_down(), limits::INPUT_BYTES_MAX, false);
    let choices = Choices::new(choices);
    let mut caller = Caller { stage, choices, at: At::Command, mode: config.mode, line_begins: true };
    if mode & 32 == 0 {
        caller.line(if config.mode == Mode::Lmtp { b"LHLO c.test" } else { b"EHLO c.test" }, true);
    }
    for _ in 0..100 {
        if caller.choices.is_empty() || caller.stage.is_closed() {
            break;
        }
        caller.act();
    }
    caller.recover();
    let played = caller.stage.end(make, cuts, true);
    lines_are_sound(&played.out);
}

/// What a server that behaves would say to this line.
fn good_reply(line: &[u8], lmtp: bool, in_auth: &mut bool) -> (u16, Vec<&'static str>) {
    let verb = line.get(..4).unwrap_or(line).to_ascii_uppercase();
    if std::mem::take(in_auth) {
        return (235, vec!["2.7.0 welcome"]);
    }
    match verb.as_slice() {
        b"EHLO" | b"LHLO" => (
            250,
            vec![
                "s.test",
                "PIPELINING",
                "8BITMIME",
                "SMTPUTF8",
                "DSN",
                "SIZE 1000000",
                "CHUNKING",
                "AUTH PLAIN LOGIN",
                "ENHANCEDSTATUSCODES",
            ],
        ),
        b"AUTH" if line.split(|octet| *octet == b' ').count() < 3 => {
            *in_auth = true;
            (334, vec![""])
        }
        b"AUTH" => (235, vec!["2.7.0 welcome"]),
        b"DATA" => (354, vec!["go on"]),
        b"QUIT" => (221, vec!["2.0.0 bye"]),
        b"STAR" => (220, vec!["2.0.0 go"]),
        _ if lmtp => (250, vec!["2.1.5 well"]),
        _ => (250, vec!["2.0.0 well"]),
    }
}

const ODD_REPLIES: &[&[u8]] = &[
    b"421 4.3.2 going down\r\n",
    b"450 4.2.1 later\r\n",
    b"550 5.1.1 no\r\n",
    b"552-5.3.4 too\r\n552 5.3.4 large\r\n",
    b"250\r\n",
    b"250 \r\n",
    b"354 what\r\n",
    b"334 \r\n",
    b"334 !!!\r\n",
    b"235 2.7.0 in\r\n",
    b"535 5.7.8 out\r\n",
    b"999 x\r\n",
    b"25 x\r\n",
    b"250-a\r\n251 b\r\n",
    b"hello\r\n",
    b"\r\n",
    b"250 2.0.0 ok\n",
    b"250-x\r\n250-STARTTLS\r\n250 AUTH SCRAM-SHA-256 PLAIN\r\n",
    b"250-x\r\n250-STARTTLS\r\n250 AUTH=LOGIN\r\n",
    b"220 again\r\n",
    b"502 5.5.1 not here\r\n",
    b"530 5.7.0 sign in\r\n",
    b"554 5.6.0 \xff\x1b[31m\r\n",
    b"101 x\r\n",
    b"250 SIZE 18446744073709551616\r\n",
];

/// A client and a server that mostly behaves.
pub(crate) fn smtp_client_dialog(data: &[u8]) {
    let ([mode, flags, cuts], choices) = take(data);
    let make = || (Client::new(client_config(mode)), client_owner(flags));
    let (session, owner) = make();
    let mut stage = Stage::new(session, owner, |_, _| {}, limits::REPLY_BYTES_MAX, true);
    let mut choices = Choices::new(choices);
    let lmtp = mode & 1 != 0;
    let mut behaved = true;
    let mut read = 0;
    let (mut in_text, mut in_auth, mut accepted) = (false, false, 0);
    stage.say(b"220 s.test ESMTP\r\n");
    for _ in 0..200 {
        let Some(end) = memchr(stage.since(read)) else { break };
        let line = stage.since(read)[..end].trim_ascii_end().to_vec();
        read += end + 1;
        if in_text && line != b"." {
            continue;
        }
        let (code, words) = if in_text { (250, vec!["2.0.0 taken"]) } else { good_reply(&line, lmtp, &mut in_auth) };
        let count = if in_text && lmtp { accepted } else { 1 };
        accepted = match line.get(..4) {
            Some(b"RCPT") => accepted + 1,
            Some(b"MAIL") => 0,
            _ => accepted,
        };
        in_text = code == 354;
        for _ in 0..count {
            match choices.octet() {
                0..=199 => {}
                200..=209 => {
                    let secs = choices.of(&[1, 100, 119, 601]);
                    behaved = false;
                    stage.wait(secs);
                }
                210..=229 => {
                    (behaved, in_text) = (false, false);
                    stage.say(choices.of(ODD_REPLIES));
                    continue;
                }
                _ => {
                    (behaved, in_text) = (false, false);
                    let mut said = encoded(code, &words);
                    said.truncate(said.len() - 2);
                    choices.spoil(&mut said);
                    said.extend_from_slice(b"\r\n");
                    stage.say(&said);
                    continue;
                }
            }
            stage.say(&encoded(code, &words));
        }
    }
    let tls_wanted = mode >> 1 & 3 == 2;
    let signs_in = mode & 8 != 0;
    if behaved && !tls_wanted && !signs_in {
        assert!(stage.is_closed(), "the client did not leave");
        let outcomes = stage.played.log.iter().filter(|line| line.starts_with("Outcome")).count();
        assert_eq!(outcomes, 3, "{:?}", stage.played.log);
    }
    let played = stage.end(make, cuts, false);
    lines_are_sound(&played.out);
}

fn memchr(octets: &[u8]) -> Option<usize> {
    octets.iter().position(|octet| *octet == b'\n')
}

fn encoded(code: u16, words: &[&'static str]) -> Vec<u8> {
    let mut out = Vec::new();
    match words {
        [only] if !only.is_empty() && !only.contains(' ') => Reply::plain(code, *only).encode(&mut out),
        [only] => match only.split_once(' ') {
            Some((_, text)) => Reply::new(code, EnhancedCode((code / 100) as u8, 0, 0), text).encode(&mut out),
            None => out.extend_from_slice(format!("{code} \r\n").as_bytes()),
        },
        many => {
            for (at, word) in many.iter().enumerate() {
                out.extend_from_slice(format!("{code}{}{word}\r\n", if at + 1 == many.len() { ' ' } else { '-' }).as_bytes());
            }
        }
    }
    out
}
