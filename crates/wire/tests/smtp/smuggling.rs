//! Smuggling and injection as tables: every line end around a dot, in every mode and at both ends; envelopes and commands
//! with what does not belong there.
//!
//! The law: what one side means as text of a message the other side never takes for the end or for a command.

use super::owner::Owner;
use message::address::Address;
use wire::laws::{self, End};
use wire::session::{Session, Step, Time};
use wire::smtp::client::{self, Envelope, Recipient, RecipientOutcome};
use wire::smtp::data::Encoder;
use wire::smtp::server::{Config, Mode, Server};
use wire::smtp::{Client, Ret};

/// What somebody somewhere takes for the end of a line.
const LINE_ENDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\n\r",
    b"\r\0\n",
    b"\0\r\n",
    b"\r\n\0",
    b"\n\n",
    b"\r\n ",
    b"\x0b",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
];
const MODES: [Mode; 3] = [Mode::Mx, Mode::Submission, Mode::Lmtp];

/// What the owner heard of a conversation, and how it ended.
fn converse(mode: Mode, script: &[u8]) -> (Vec<String>, String, End) {
    let config = Config { auth_required: false, ..Config::new(mode, "mx.test", 100_000) };
    let mut owner = Owner::new(mode);
    let (out, end) = laws::converse(&mut Server::new(config.clone()), [script], &mut |server, event| owner.act(server, event));
    let mut again = Owner::new(mode);
    let (octets, _) = laws::converse(&mut Server::new(config), script.chunks(1), &mut |server, event| again.act(server, event));
    assert_eq!(String::from_utf8_lossy(&octets), String::from_utf8_lossy(&out), "octet by octet");
    (owner.log, String::from_utf8_lossy(&out).into_owned(), end)
}

fn hello(mode: Mode) -> &'static str {
    if mode == Mode::Lmtp { "LHLO x.test" } else { "EHLO x.test" }
}

const SMUGGLED: &str = "MAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@here.test>\r\nDATA\r\nevil\r\n.\r\n";

#[test]
fn only_one_line_end_ends_a_message() {
    for mode in MODES {
        for before in LINE_ENDS {
            for after in LINE_ENDS {
                let begin = format!("{}\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@here.test>\r\nDATA\r\ntext", hello(mode));
                let script = [begin.as_bytes(), before, b".", after, SMUGGLED.as_bytes(), b"QUIT\r\n"].concat();
                let (log, out, end) = converse(mode, &script);
                let smuggled = log.iter().filter(|line| line.starts_with("message evil@")).count();
                // `\r\n.\r\n` followed by whatever is the one true end: what follows are commands, by right.
                let ends = before.ends_with(b"\r\n") && after.starts_with(b"\r\n");
                assert_eq!(
                    smuggled,
                    usize::from(ends && *after == b"\r\n"),
                    "{mode:?} {} . {}: {log:?}",
                    before.escape_ascii(),
                    after.escape_ascii()
                );
                assert_eq!(end, End::Closed, "QUIT is understood: {out}");
                let messages = log.iter().filter(|line| line.starts_with("message ")).count();
                // Strict: a bare CR or LF is refused with the whole message. Submission repairs.
                let bare = script_is_bare(before, after, ends);
                if mode != Mode::Submission && bare && !ends {
                    assert!(
                        messages == 0 && out.contains("550 5.5.2"),
                        "{mode:?} {} . {}: {out}",
                        before.escape_ascii(),
                        after.escape_ascii()
                    );
                }
            }
        }
    }
}

/// Has the text a CR or LF on its own?
fn script_is_bare(before: &[u8], after: &[u8], ends: bool) -> bool {
    let text = [b"text".as_slice(), before, b".", if ends { b"" } else { after }, b"MAIL"].concat();
    let bare = |at: usize| match text.get(at) {
        Some(b'\r') => text.get(at + 1) != Some(&b'\n'),
        Some(b'\n') => at == 0 || text.get(at - 1) != Some(&b'\r'),
        _ => false,
    };
    (0..text.len()).any(bare)
}

/// Every text of these octets up to a length: what we send ends where we end it, for the laxest reader too.
#[test]
fn what_we_send_cannot_be_cut_short() {
    const OCTETS: &[u8] = b"\r\n.a";
    for length in 0..=6u32 {
        for number in 0..OCTETS.len().pow(length) {
            let text: Vec<u8> = (0..length)
                .scan(number, |rest, _| {
                    let octet = OCTETS[*rest % OCTETS.len()];
                    *rest /= OCTETS.len();
                    Some(octet)
                })
                .collect();
            let mut whole = Vec::new();
            let mut encoder = Encoder::default();
            encoder.encode(&text, &mut whole);
            encoder.finish(&mut whole);
            let mut pieces = Vec::new();
            let mut encoder = Encoder::default();
            text.iter().for_each(|octet| encoder.encode(&[*octet], &mut pieces));
            encoder.finish(&mut pieces);
            assert_eq!(whole, pieces, "{}", text.escape_ascii());
            let framed = [b"\r\n".as_slice(), &whole].concat();
            assert!(whole.ends_with(b".\r\n"));
            for end in [b"\r\n.\r\n".as_slice(), b"\n.\n", b"\n.\r\n", b"\r\n.\n"] {
                let at = framed.windows(end.len()).position(|window| window == end);
                assert!(at.is_none_or(|at| at + end.len() >= framed.len()), "{}: {}", text.escape_ascii(), framed.escape_ascii());
            }
        }
    }
}

#[test]
fn no_command_holds_what_could_begin_another() {
    const BAD: &[&str] = &["\r", "\0", "\x0b", "\x1b", "\u{85}", "\x7f"];
    for mode in MODES {
        for bad in BAD {
            for line in [
                format!("MAIL FROM:<a{bad}@x.test>"),
                format!("MAIL FROM:<a@x.test> SIZE=1{bad}"),
                format!("MAIL FROM:<\"a{bad}\"@x.test>"),
                format!("MAIL FROM:<a{bad}@x.test> SMTPUTF8"),
                format!("NOOP {bad}MAIL FROM:<a@x.test>"),
            ] {
                let (log, out, _) = converse(mode, format!("{}\r\n{line}\r\nRCPT TO:<b@here.test>\r\n", hello(mode)).as_bytes());
                assert!(out.contains("\r\n503 "), "{mode:?} {}: no MAIL, so no RCPT: {out}", line.escape_debug());
                assert_eq!(log.len(), 1, "{mode:?} {}: {log:?}", line.escape_debug());
            }
        }
        // Octets that are no UTF-8, and eight bits without leave.
        for line in
            [b"MAIL FROM:<\xff@x.test> SMTPUTF8".as_slice(), b"MAIL FROM:<\xc3\xa4@x.test>", b"EHLO \xc3\xa4", b"LHLO \xff"]
        {
            let script = [format!("{}\r\n", hello(mode)).as_bytes(), line, b"\r\nRCPT TO:<b@here.test>\r\n"].concat();
            assert!(converse(mode, &script).1.contains("\r\n503 "), "{}", line.escape_ascii());
        }
        // A bare LF makes no second command where lines are strict.
        let (log, out, _) = converse(mode, format!("{}\r\nNOOP x\nMAIL FROM:<a@x.test>\r\n", hello(mode)).as_bytes());
        assert!(mode == Mode::Submission || out.contains("500 5.5.2"), "{log:?}");
    }
}

#[test]
fn chunks_are_counted_and_never_read_as_commands() {
    let long = "9".repeat(40);
    for (chunks, messages, closes) in [
        ("BDAT 0 LAST\r\n".to_owned(), 1, false),
        (format!("BDAT {} LAST\r\n{SMUGGLED}", SMUGGLED.len()), 1, false),
        (format!("BDAT {}\r\n{SMUGGLED}BDAT 0 LAST\r\n", SMUGGLED.len()), 1, false),
        ("BDAT 5\r\nab\ncdBDAT 0 LAST\r\n".to_owned(), 0, false),
        ("BDAT 3 LAST\r\na\rb".to_owned(), 0, false),
        ("BDAT -1 LAST\r\n".to_owned(), 0, true),
        (format!("BDAT {long} LAST\r\n"), 0, true),
        ("BDAT 3 FIRST\r\nabc".to_owned(), 0, true),
        ("BDAT 3\r\nabcDATA\r\nRSET\r\n".to_owned(), 0, false),
        ("BDAT 200000 LAST\r\n".to_owned() + &"x".repeat(200_000), 0, false),
    ] {
        let script = format!("EHLO x.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@here.test>\r\n{chunks}NOOP\r\n");
        let config = Config::new(Mode::Mx, "mx.test", 100_000);
        let mut owner = Owner::new(Mode::Mx);
        let (out, end) = laws::converse(&mut Server::new(config), script.as_bytes().chunks(4_000), &mut |server, event| {
            owner.act(server, event)
        });
        let shown = chunks.get(..40.min(chunks.len())).unwrap_or_default().escape_debug().to_string();
        let found = owner.log.iter().filter(|line| line.starts_with("message ")).count();
        assert_eq!((found, end == End::Closed), (messages, closes), "{shown}: {}", String::from_utf8_lossy(&out));
        assert!(!owner.log.iter().any(|line| line.starts_with("message evil@")), "{shown}");
        assert_eq!(closes, !out.ends_with(b"250 2.0.0 Nothing done\r\n"), "{shown}: {}", String::from_utf8_lossy(&out));
    }
}

/// Our client with an envelope that somebody wrote for it.
fn send(envelope: Envelope) -> (Vec<u8>, Option<Vec<RecipientOutcome>>) {
    let config = client::Config {
        hostname: "here.test".into(),
        lmtp: false,
        tls: false,
        starttls: client::StartTls::Never,
        credentials: None,
        plaintext_auth: false,
        nonce: "nonce".into(),
    };
    let mut client = Client::new(config);
    client.receive(b"220 mx.test\r\n250-mx.test\r\n250-PIPELINING\r\n250-DSN\r\n250-SIZE\r\n250 SMTPUTF8\r\n");
    let mut out = Vec::new();
    let mut sent = false;
    for _ in 0..50 {
        match client.poll(Time(0)) {
            Step::Event(client::Event::Ready) if !sent => {
                client.transmit(&mut out);
                out.clear();
                client.send(envelope.clone());
                sent = true;
            }
            Step::Event(client::Event::Outcome(outcome)) => {
                client.transmit(&mut out);
                return (out, Some(outcome.recipients));
            }
            _ => client.transmit(&mut out),
        }
    }
    (out, None)
}

#[test]
fn no_envelope_of_ours_becomes_two_commands() {
    let address = |local: &str, domain: &str| Address { local: local.into(), domain: domain.into() };
    let plain = || Recipient { address: address("bob", "there.test"), notify: 0, original: None };
    let good = || Envelope { reverse_path: Some(address("ann", "here.test")), recipients: vec![plain()], ..Envelope::default() };
    for bad in ["\r\nRCPT TO:<victim@there.test>", "\n", "\r", "\0", "> SIZE=1\r\nX", "a> X=<b", " NOTIFY=NEVER", "\u{85}"] {
        for envelope in [
            Envelope { reverse_path: Some(address(&format!("a{bad}"), "here.test")), ..good() },
            Envelope { reverse_path: Some(address("a", &format!("here.test{bad}"))), ..good() },
            Envelope { recipients: vec![Recipient { address: address(&format!("b{bad}"), "there.test"), ..plain() }], ..good() },
            Envelope { recipients: vec![Recipient { original: Some(format!("rfc822;x{bad}")), ..plain() }], ..good() },
            Envelope { recipients: vec![Recipient { original: Some(format!("rfc{bad};x")), ..plain() }], ..good() },
            Envelope { envelope_id: Some(format!("id{bad}")), ret: Some(Ret::Full), ..good() },
        ] {
            let (out, _) = send(envelope);
            let text = String::from_utf8_lossy(&out).into_owned();
            let lines: Vec<&str> = text.split_terminator("\r\n").collect();
            assert!(lines.len() <= 3 && !text.contains("RCPT TO:<victim"), "{}", text.escape_debug());
            assert!(!lines.iter().any(|line| line.chars().any(char::is_control)), "{}", text.escape_debug());
            let verbs: Vec<&str> = lines.iter().filter_map(|line| line.split([' ', ':']).next()).collect();
            assert!(verbs.is_empty() || verbs == ["MAIL", "RCPT", "DATA"], "{}", text.escape_debug());
        }
    }
}
