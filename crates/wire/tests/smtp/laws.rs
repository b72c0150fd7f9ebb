//! The laws of sessions (`wire::session`), for both halves.

use super::owner::Owner;
use super::pairs::{client_config, envelope};
use wire::laws;
use wire::session::{Session, Step, Time};
use wire::smtp::client::{self, Client, Failure};
use wire::smtp::server::{Config, Event, Mode, ResetCause, Server};
use wire::smtp::{EnhancedCode, Reply};

const SERVER_WORDS: &[&[u8]] = &[
    b"EHLO x\r\n",
    b"HELO x\r\n",
    b"LHLO x\r\n",
    b"MAIL FROM:<a@x.test>\r\n",
    b"MAIL FROM: <a@x.test> SIZE=5 SMTPUTF8\r\n",
    b"RCPT TO:<b@y.test>\r\n",
    b"RCPT TO:<nobody@y.test> NOTIFY=NEVER\r\n",
    b"DATA\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"\n.\n",
    b"text\r\n",
    b"BDAT 5\r\n",
    b"BDAT 3 LAST\r\n",
    b"BDAT 99999999999999999999\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH LOGIN\r\n",
    b"AUTH PLAIN AGFubgBwdw==\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj1hbm4scj1hYmM=\r\n",
    b"*\r\n",
    b"YW5u\r\n",
    b"STARTTLS\r\n",
    b"NOOP\r\n",
];

fn config(mode: Mode) -> Config {
    Config { starttls: true, plaintext_auth: true, auth_required: false, ..Config::new(mode, "mx.test", 100) }
}

#[test]
fn a_server_never_panics() {
    for mode in [Mode::Mx, Mode::Submission, Mode::Lmtp] {
        let mut owner = Owner::new(mode);
        laws::never_panics(|| Server::new(config(mode)), SERVER_WORDS, 500, |server, event| owner.act(server, event));
    }
}

#[test]
fn a_server_says_the_same_at_every_chunking_of_anything() {
    for seed in 1..9u64 {
        let mut random = laws::Random(seed * 7919);
        let script: Vec<u8> = (0..30)
            .filter_map(|_| SERVER_WORDS.get(random.below(SERVER_WORDS.len())))
            .filter(|word| !word.starts_with(b"STARTTLS"))
            .flat_map(|word| word.to_vec())
            .collect();
        let mut owner = Owner::new(Mode::Mx);
        laws::same_at_every_chunking(|| Server::new(config(Mode::Submission)), &script, |server, event| owner.act(server, event));
    }
}

#[test]
fn nothing_survives_starttls() {
    let mut owner = Owner::new(Mode::Mx);
    for behind in ["NOOP\r\n", "\r\n", "x", "EHLO evil\r\nMAIL FROM:<evil@x.test>\r\n"] {
        let script = format!("EHLO x\r\nSTARTTLS\r\n{behind}");
        let out = laws::nothing_survives_starttls(Server::new(config(Mode::Submission)), script.as_bytes(), |server, event| {
            owner.act(server, event);
        });
        assert!(String::from_utf8_lossy(&out).ends_with("421 4.7.0 Nothing may follow STARTTLS before TLS\r\n"));
    }
    // Octets that arrive between our 220 and the handshake.
    let mut server = Server::new(config(Mode::Submission));
    server.receive(b"STARTTLS\r\n");
    assert_eq!(server.poll(Time(0)), Step::StartTls);
    server.receive(b"NOOP\r\n");
    assert_eq!(server.poll(Time(0)), Step::Close);
}

#[test]
fn a_message_too_large_and_with_bare_line_ends_is_refused_the_same_at_every_chunking() {
    let body = format!("a\nb{}", "x".repeat(200));
    let script = format!("EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n{body}\r\n.\r\nNOOP\r\n");
    let mut owner = Owner::new(Mode::Mx);
    let make = || Server::new(config(Mode::Mx));
    let out = laws::same_at_every_chunking(make, script.as_bytes(), |server, event| owner.act(server, event));
    assert!(String::from_utf8_lossy(&out).contains("550 5.5.2 The message has a CR or LF on its own"));
}

/// Reading all lines again at each octet takes minutes; the bound is loose for slow machines.
#[test]
fn a_server_that_trickles_costs_little() {
    let begun = std::time::Instant::now();
    let mut client = Client::new(client_config());
    let script = format!("220 mx\r\n{}250 end\r\n", format!("250-{}\r\n", "x".repeat(1_000)).repeat(100));
    let (out, _) = laws::converse(&mut client, script.as_bytes().chunks(1), &mut |client, event| {
        assert_eq!(event, client::Event::Ready);
        client.quit();
    });
    assert_eq!(String::from_utf8_lossy(&out), "EHLO client.test\r\nQUIT\r\n");
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn nothing_is_said_after_the_close() {
    let mut server = Server::new(config(Mode::Mx));
    assert!(matches!(server.poll(Time(0)), Step::Wait));
    server.receive_end();
    assert_eq!(server.poll(Time(0)), Step::Close);
    let mut out = Vec::new();
    server.transmit(&mut out);
    assert_eq!(server.poll(Time(u64::MAX)), Step::Close);
    out.clear();
    server.transmit(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), "");
}

#[test]
fn a_client_takes_nothing_from_before_tls() {
    let make = || Client::new(client::Config { starttls: client::StartTls::Require, ..client_config() });
    let mut failures = Vec::new();
    laws::nothing_survives_starttls(make(), b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n250 evil\r\n", |_, event| {
        failures.push(event)
    });
    assert_eq!(failures, [client::Event::Failed(Failure::BytesBeforeTls)]);
}

#[test]
fn commands_beside_messages_are_errors_when_there_are_many() {
    let max = usize::from(wire::limits::IDLE_COMMANDS_MAX);
    let mut owner = Owner::new(Mode::Mx);
    let mut server = Server::new(config(Mode::Mx));
    let mut say = |script: &str| {
        let (out, end) = laws::converse(&mut server, [script.as_bytes()], &mut |server, event| owner.act(server, event));
        (String::from_utf8(out).unwrap(), end)
    };
    let message = "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nhi\r\n.\r\n";
    say("EHLO x\r\n");
    // Beside messages they may go on for ever.
    for _ in 0..3 {
        let (out, end) = say(&("RSET\r\nNOOP\r\n".repeat(max / 2 - 1) + message));
        assert!(!out.contains("421 ") && end == laws::End::Waiting, "{out}");
    }
    let errors = usize::try_from(config(Mode::Mx).errors_max).unwrap();
    let (out, end) = say(&"NOOP\r\n".repeat(max + errors));
    assert_eq!((out.matches("250 ").count(), end), (max + errors, laws::End::Waiting));
    let (out, end) = say("VRFY a\r\n");
    assert!(out.contains("421 4.7.0 Too many errors"), "{out}");
    assert_eq!(end, laws::End::Closed);
}

#[test]
fn a_server_holds_little() {
    for garbage in ["x".repeat(1000), "NOOP\r\n".repeat(200), "\n".repeat(1000), "AUTH ".to_owned() + &"x".repeat(995)] {
        let mut owner = Owner::new(Mode::Mx);
        laws::bounded(Server::new(config(Mode::Mx)), garbage.as_bytes(), 16 * 1024, |server, event| owner.act(server, event));
    }
    // A message without end: refused at 100 octets, read on, held nowhere.
    let mut server = Server::new(config(Mode::Mx));
    let mut owner = Owner::new(Mode::Mx);
    let script = b"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n";
    laws::converse(&mut server, [script.as_slice()], &mut |server: &mut Server, event| owner.act(server, event));
    laws::bounded(server, &[b'x'; 5000], 64 * 1024, |server, event| owner.act(server, event));
    // An owner who does not answer stops the reading.
    let mut server = Server::new(config(Mode::Mx));
    server.receive(b"EHLO x\r\nMAIL FROM:<a@x.test>\r\nNOOP\r\n");
    assert!(matches!(server.poll(Time(0)), Step::Event(Event::Hello { .. })));
    assert!(matches!(server.poll(Time(0)), Step::Event(Event::Mail { .. })));
    assert_eq!(server.poll(Time(0)), Step::Wait);
    assert!(!server.wants_input());
    assert_eq!(server.deadline(), None);
}

#[test]
fn a_client_holds_little_and_never_panics() {
    for garbage in ["x".repeat(1000), "250-x\r\n".repeat(150), "2".repeat(900)] {
        laws::bounded(Client::new(client_config()), garbage.as_bytes(), 256 * 1024, |_, _| {});
    }
    let words: &[&[u8]] = &[
        b"220 mx\r\n",
        b"250 ok\r\n",
        b"250-mx\r\n250-PIPELINING\r\n250-DSN\r\n250-AUTH PLAIN\r\n250 SIZE 10\r\n",
        b"354 go\r\n",
        b"550 5.1.1 no\r\n",
        b"421 bye\r\n",
        b"334 \r\n",
        b"334 cj1hYmMscz1BQUFBLGk9NDA5Ng==\r\n",
        b"235 ok\r\n",
        b"250-",
        b"\r\n",
        b"220 go\r\n",
        b"503 5.5.1 no\r\n",
    ];
    for lmtp in [false, true] {
        let make = || Client::new(client::Config { lmtp, ..client_config() });
        laws::never_panics(make, words, 1500, |client, event| match event {
            client::Event::Ready => client.send(envelope(&["b@y.test", "c@y.test"])),
            client::Event::WantsBody => {
                client.body(b".x\r\n");
                client.body_end();
            }
            _ => {}
        });
    }
}

#[test]
fn a_silent_client_is_shown_out() {
    let mut server = Server::new(config(Mode::Mx));
    assert_eq!(server.poll(Time(0)), Step::Wait);
    let deadline = server.deadline().unwrap();
    assert_eq!(deadline, Time(300_000));
    // A line has as long again from its first octet, and no longer however it trickles.
    for (octet, millis) in b"NOOP".chunks(1).zip([200_000, 300_000, 400_000, 499_999]) {
        server.receive(octet);
        assert_eq!(server.poll(Time(millis)), Step::Wait);
        assert_eq!(server.deadline(), Some(Time(500_000)));
    }
    assert_eq!(server.poll(Time(500_000)), Step::Close);
    let mut out = Vec::new();
    server.transmit(&mut out);
    assert!(String::from_utf8_lossy(&out).ends_with("421 4.4.2 Nothing came for too long\r\n"));
}

#[test]
fn a_message_that_trickles_ends_and_a_slow_one_does_not() {
    for (octets, closes) in [(1, true), (wire::limits::BYTES_PER_SEC_MIN as usize + 10, false)] {
        let mut server = Server::new(config(Mode::Mx));
        let mut answer = |server: &mut Server, event| match event {
            Event::Data => server.data_go(),
            Event::Mail { .. } | Event::Rcpt { .. } => server.reply(Reply::new(250, EnhancedCode(2, 0, 0), "ok")),
            _ => {}
        };
        server.receive(b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
        laws::settle(&mut server, Time(0), &mut answer);
        let closed = (1..2_000u64).find(|secs| {
            server.receive(&vec![b'x'; octets]);
            laws::settle(&mut server, Time(secs * 1000), &mut answer) == laws::End::Closed
        });
        assert_eq!(closed.is_some(), closes);
        assert!(closed.is_none_or(|secs| secs < 310), "{closed:?}");
    }
}

#[test]
fn who_speaks_before_the_greeting_is_sent_away() {
    let held = || Server::new(Config { greeting_delay_secs: 5, ..config(Mode::Mx) });
    let mut act = |_: &mut Server, _| {};
    let said = |server: &mut Server| {
        let mut out = Vec::new();
        server.transmit(&mut out);
        String::from_utf8(out).unwrap()
    };
    let mut patient = held();
    assert_eq!(laws::settle(&mut patient, Time(1_000), &mut act), laws::End::Waiting);
    assert_eq!((said(&mut patient).as_str(), patient.deadline()), ("", Some(Time(6_000))));
    assert_eq!(laws::settle(&mut patient, Time(6_000), &mut act), laws::End::Waiting);
    assert!(said(&mut patient).starts_with("220 "));
    let mut hasty = held();
    hasty.receive(b"E");
    assert_eq!(laws::settle(&mut hasty, Time(0), &mut act), laws::End::Closed);
    assert_eq!(said(&mut hasty), "554 5.5.0 You spoke before the greeting\r\n");
    let mut gone = held();
    gone.receive_end();
    assert_eq!(laws::settle(&mut gone, Time(0), &mut act), laws::End::Closed);
    assert_eq!(said(&mut gone), "");
}

#[test]
fn a_broken_connection_resets_the_message() {
    let mut server = Server::new(config(Mode::Mx));
    let mut events = Vec::new();
    let mut owner = Owner::new(Mode::Mx);
    server.receive(b"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nhalf");
    server.receive_end();
    let end = laws::settle(&mut server, Time(0), &mut |server, event| {
        events.push(event.clone());
        owner.act(server, event);
    });
    assert_eq!(end, laws::End::Closed);
    assert_eq!(events.last(), Some(&Event::Reset(ResetCause::Closed)));
}

#[test]
fn draining_says_421_between_commands() {
    let mut server = Server::new(config(Mode::Mx));
    let mut owner = Owner::new(Mode::Mx);
    let mut act = |server: &mut Server, event| owner.act(server, event);
    let script = b"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nhi\r\n";
    laws::converse(&mut server, [script.as_slice()], &mut act);
    server.shut_down();
    assert_eq!(laws::settle(&mut server, Time(0), &mut act), laws::End::Waiting, "the message under way is taken");
    let (out, end) = laws::converse(&mut server, [b".\r\nNOOP\r\n".as_slice()], &mut act);
    assert_eq!(end, laws::End::Closed);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "250 2.0.0 Message taken\r\n421 4.3.2 The server is going down; come back soon\r\n"
    );
}
