//! Conversations as text files, one a rule: `crates/wire/tests/transcripts/smtp/*.txt`.
//!
//! `#` lines tell the RFC section; `@` sets the session (`mx`, `submission`, `lmtp`, `tls`, `starttls`, `plaintext`,
//! `every-mechanism`, `wishes`, `mx-wishes`, `size=N`, `rcpts=N`, `errors=N`, `no-auth`, `xclient`). `C:` is a line of the client, `C~` raw octets with escapes, `S:` a line of
//! ours, `E:` a line of the owner's log, `X` says that we close. Each is played line by line and at every chunking.

use super::owner::Owner;
use std::path::PathBuf;
use wire::laws::{self, End};
use wire::sasl::{Channel, Mechanism};
use wire::session::{Session, Time};
use wire::smtp::Keywords;
use wire::smtp::server::{Config, Mode, Server};

struct Transcript {
    name: String,
    config: Config,
    /// (client's octets, our octets after them), in order.
    turns: Vec<(Vec<u8>, String)>,
    log: Vec<String>,
    closes: bool,
}

impl Transcript {
    /// Under TLS there is a channel to bind to, and a client certificate that is known.
    fn server(&self) -> Server {
        let mut server = Server::new(self.config.clone());
        if self.config.tls {
            server.tls_channel(Channel { exporter: Some([7; 32]), server_end_point: None, external: true });
        }
        server
    }
}

fn read(name: &str, text: &str) -> Transcript {
    let mut config = Config::new(Mode::Mx, "mx.test", 10_000);
    let mut turns: Vec<(Vec<u8>, String)> = vec![(Vec::new(), String::new())];
    let (mut log, mut closes) = (Vec::new(), false);
    for line in text.lines() {
        let (tag, rest) = line.split_at(line.len().min(2));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match tag {
            "" | "# " | "#" => {}
            "@ " => options(&mut config, rest),
            "C:" | "C~" => {
                let octets = if tag == "C:" { format!("{rest}\r\n").into_bytes() } else { unescape(rest) };
                match turns.last_mut() {
                    Some((sent, answer)) if answer.is_empty() && turns_begun(sent) => sent.extend(octets),
                    _ => turns.push((octets, String::new())),
                }
            }
            "S:" => turns.last_mut().unwrap().1.push_str(&format!("{rest}\r\n")),
            "E:" => log.push(rest.to_owned()),
            "X" => closes = true,
            other => panic!("{name}: {other:?} begins no line of a transcript"),
        }
    }
    Transcript { name: name.to_owned(), config, turns, log, closes }
}

fn turns_begun(sent: &[u8]) -> bool {
    !sent.is_empty()
}

fn options(config: &mut Config, words: &str) {
    for word in words.split_whitespace() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("mx", _) => *config = Config::new(Mode::Mx, "mx.test", 10_000),
            ("submission", _) => *config = Config::new(Mode::Submission, "mx.test", 10_000),
            ("lmtp", _) => *config = Config::new(Mode::Lmtp, "mx.test", 10_000),
            ("tls", _) => config.tls = true,
            ("starttls", _) => config.starttls = true,
            ("wishes", _) => {
                config.keywords = Keywords {
                    require_tls: true,
                    deliver_by_min_secs: Some(60),
                    future_release: Some((86_400, 1_796_083_200)),
                    mt_priority: true,
                    recipients_max: Some(2),
                    ..Keywords::default()
                }
            }
            ("mx-wishes", _) => {
                config.keywords = Keywords {
                    require_tls: true,
                    recipients_max: Some(2),
                    no_soliciting: Some(vec!["net.example:ADV".to_owned()]),
                    ..Keywords::default()
                }
            }
            ("xclient", _) => config.xclient = true,
            ("every-mechanism", _) => config.auth = Mechanism::ALL.to_vec(),
            ("plaintext", _) => config.plaintext_auth = true,
            ("no-auth", _) => config.auth_required = false,
            ("size", n) => config.size_max = n.parse().unwrap(),
            ("rcpts", n) => config.recipients_max = n.parse().unwrap(),
            ("errors", n) => config.errors_max = n.parse().unwrap(),
            (other, _) => panic!("{other}: no such option"),
        }
    }
}

/// `\r`, `\n`, `\\`, `\xNN`, and `\{N*c}` for a character repeated.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let (escape, tail) = after.split_at(1);
        rest = tail;
        match escape {
            "r" => out.push(b'\r'),
            "n" => out.push(b'\n'),
            "\\" => out.push(b'\\'),
            "x" => {
                out.push(u8::from_str_radix(&tail[..2], 16).unwrap());
                rest = &tail[2..];
            }
            "{" => {
                let (inside, tail) = tail.split_once('}').unwrap();
                let (count, what) = inside.split_once('*').unwrap();
                out.extend(what.as_bytes().repeat(count.parse().unwrap()));
                rest = tail;
            }
            other => panic!("no escape \\{other}"),
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// As a client that waits for each answer.
fn play_by_turns(transcript: &Transcript) {
    let name = &transcript.name;
    let mut server = transcript.server();
    let mut owner = Owner::new(transcript.config.mode);
    let mut end = End::Waiting;
    for (sent, want) in &transcript.turns {
        assert_eq!(end, End::Waiting, "{name}: closed before {}", sent.escape_ascii());
        if !sent.is_empty() {
            server.receive(sent);
        }
        end = laws::settle(&mut server, Time(0), &mut |server, event| owner.act(server, event));
        let mut out = Vec::new();
        server.transmit(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), *want, "{name}: after {}", sent.escape_ascii());
        if end == End::StartTls {
            server.tls_started();
            end = End::Waiting;
        }
    }
    assert_eq!(end == End::Closed, transcript.closes, "{name}: closing");
    assert_eq!(owner.log, transcript.log, "{name}: the owner's log");
}

/// All at once, and at every chunking; where the conversation goes through TLS that is not possible.
fn play_at_every_chunking(transcript: &Transcript) {
    let script: Vec<u8> = transcript.turns.iter().flat_map(|(sent, _)| sent.clone()).collect();
    if script.windows(8).any(|window| window == b"STARTTLS") {
        return;
    }
    let want: String = transcript.turns.iter().map(|(_, answer)| answer.as_str()).collect();
    let mut owner = Owner::new(transcript.config.mode);
    let got = laws::same_at_every_chunking(|| transcript.server(), &script, |server, event| owner.act(server, event));
    assert_eq!(String::from_utf8_lossy(&got), want, "{}: pipelined", transcript.name);
}

#[test]
fn every_transcript_plays() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/smtp");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let transcript = read(&path.file_name().unwrap().to_string_lossy(), &std::fs::read_to_string(&path).unwrap());
        play_by_turns(&transcript);
        play_at_every_chunking(&transcript);
        played += 1;
    }
    assert!(played >= 12, "only {played} transcripts were found");
}
