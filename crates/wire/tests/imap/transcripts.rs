//! Transcripts: `#` what it shows, `@` the server's switches, `C:` a line, `C~` octets as escaped, `S:` a line expected,
//! `X` the server closes; `«at the start»` and `«signed in»` stand for what is announced then. Each is played at every chunking, pipelined whole included.

use crate::owner::{Owner, server};
use std::path::Path;
use wire::laws::{self, End};

struct Transcript {
    words: String,
    input: Vec<u8>,
    output: String,
    closes: bool,
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        match b {
            b'\\' => match rest.next() {
                Some(b'r') => out.push(b'\r'),
                Some(b'n') => out.push(b'\n'),
                Some(b'0') => out.push(0),
                other => out.extend(other),
            },
            b => out.push(b),
        }
    }
    out
}

/// What is announced after sign-in: `capability.rs` has the list.
fn signed_in() -> String {
    let mut session = server("plaintext");
    let mut owner = Owner::default();
    laws::converse(&mut session, [&b"a LOGIN ann pw\r\n"[..]], &mut |server, event| owner.answer(server, event));
    session.capabilities().join(" ")
}

fn read(text: &str) -> Transcript {
    let words = text.lines().find_map(|line| line.strip_prefix("@ ")).unwrap_or_default();
    let at_the_start = server(words).capabilities().join(" ");
    let text = &text.replace("«signed in»", &signed_in()).replace("«at the start»", &at_the_start);
    let mut transcript = Transcript { words: String::new(), input: Vec::new(), output: String::new(), closes: false };
    for line in text.lines() {
        let (kind, rest) = line.split_at(line.len().min(2));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match kind {
            "@ " => transcript.words = rest.to_owned(),
            "C:" => {
                transcript.input.extend_from_slice(rest.as_bytes());
                transcript.input.extend_from_slice(b"\r\n");
            }
            "C~" => transcript.input.extend_from_slice(&unescape(rest)),
            "S:" => transcript.output += &format!("{rest}\r\n"),
            "X" => transcript.closes = true,
            _ => assert!(line.is_empty() || line.starts_with('#'), "what is {line:?}?"),
        }
    }
    transcript
}

#[test]
fn all() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/imap");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# RFC "), "{}: the RFC section stands on top", path.display());
        let t = read(&text);
        let mut owner = Owner::default();
        let out = laws::same_at_every_chunking(|| server(&t.words), &t.input, |server, event| owner.answer(server, event));
        assert_eq!(String::from_utf8_lossy(&out), t.output, "{}", path.display());
        let (_, end) =
            laws::converse(&mut server(&t.words), [t.input.as_slice()], &mut |server, event| owner.answer(server, event));
        assert_eq!(end, if t.closes { End::Closed } else { End::Waiting }, "{}", path.display());
        played += 1;
    }
    assert!(played >= 15, "{played} transcripts");
}
