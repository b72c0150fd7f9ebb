//! The laws of sessions, and limits at their edges, for the IMAP server.

use crate::owner::{Owner, config, server};
use wire::imap::limits;
use wire::imap::server::{Event, Server, State};
use wire::laws::{self, Buffered, End};
use wire::{Session, Step, Time};

fn run(server: &mut Server, input: &[u8]) -> (String, End) {
    let mut owner = Owner::default();
    let (out, end) = laws::converse(server, [input], &mut |server, event| owner.answer(server, event));
    (String::from_utf8_lossy(&out).into_owned(), end)
}

#[test]
fn nothing_survives_starttls() {
    for script in ["a STARTTLS\r\nb NOOP\r\n", "a STARTTLS\r\n\r\n", "a STARTTLS\r\nb"] {
        let out = laws::nothing_survives_starttls(server("starttls"), script.as_bytes(), |server, event| {
            Owner::default().answer(server, event)
        });
        assert!(!String::from_utf8_lossy(&out).contains("a OK"), "{script:?}");
    }
    // Bytes that come after the answer but before the handshake.
    let mut session = server("starttls");
    assert_eq!(run(&mut session, b"a STARTTLS\r\n").1, End::StartTls);
    assert!(!session.wants_input());
    session.receive(b"b NOOP\r\n");
    session.tls_started();
    assert_eq!(session.poll(Time(0)), Step::Close);
}

#[test]
fn starttls_forgets_nothing_it_needs() {
    let mut session = server("starttls");
    let (out, end) = run(&mut session, b"a STARTTLS\r\n");
    assert!(out.ends_with("a OK Begin TLS now\r\n"));
    assert_eq!(end, End::StartTls);
    session.tls_started();
    let (out, end) = run(&mut session, b"b CAPABILITY\r\nc STARTTLS\r\nd LOGIN ann pw\r\n");
    assert_eq!(end, End::Waiting);
    assert!(!out.contains("STARTTLS ") && out.contains("AUTH=PLAIN") && out.contains("c BAD") && out.contains("d OK"), "{out}");
    assert_eq!(session.state(), State::Authenticated);
}

#[test]
fn tls_is_asked_for_where_it_would_help_only() {
    let (out, _) = run(&mut server(""), b"a AUTHENTICATE PLAIN\r\nb AUTHENTICATE OAUTHBEARER\r\nc LOGIN ann pw\r\n");
    assert!(
        out.contains("a NO [PRIVACYREQUIRED]") && out.contains("b NO [CANNOT]") && out.contains("c NO [PRIVACYREQUIRED]"),
        "{out}"
    );
}

#[test]
fn nobody_stays_for_ever_by_noop() {
    let max = usize::from(wire::limits::IDLE_COMMANDS_MAX);
    let mut session = server("plaintext");
    let (out, end) = run(&mut session, "a NOOP\r\n".repeat(max).as_bytes());
    assert_eq!((out.matches("a OK").count(), end), (max, End::Waiting));
    let (out, end) = run(&mut session, b"b NOOP\r\n");
    assert!(out.starts_with("* BYE "), "{out}");
    assert_eq!(end, End::Closed);
    // Whoever signed in may.
    let script = "a LOGIN ann pw\r\n".to_owned() + &"b NOOP\r\n".repeat(2 * max);
    let (out, end) = run(&mut server("plaintext"), script.as_bytes());
    assert_eq!((out.matches("b OK").count(), end), (2 * max, End::Waiting));
}

#[test]
fn input_is_bounded() {
    for garbage in [
        &b"x"[..],
        b"a LOGIN ",
        b"\r\n",
        b"a NOOP\r\n",
        b"a X {10+}\r\n",
        b"a LOGIN {4000+}\r\n",
        b"a LOGIN {1000000+}\r\n",
        b"\"",
    ] {
        let garbage = garbage.repeat(1000);
        laws::bounded(server("plaintext"), &garbage, limits::INPUT_BYTES_MAX_BEFORE_LOGIN, |server, event| {
            Owner::default().answer(server, event);
        });
        let mut signed_in = server("plaintext");
        run(&mut signed_in, b"a LOGIN ann pw\r\n");
        laws::bounded(signed_in, &garbage, limits::INPUT_BYTES_MAX, |server, event| Owner::default().answer(server, event));
    }
}

#[test]
fn never_panics() {
    let words: Vec<&[u8]> = vec![
        b"a LOGIN ann pw\r\n",
        b"b SELECT INBOX\r\n",
        b"c APPEND INBOX {5+}\r\n",
        b"d APPEND x ~{3}\r\n",
        b"e IDLE\r\n",
        b"DONE\r\n",
        b"{3}\r\n",
        b"{9+}\r\n",
        b"\r\n",
        b"f AUTHENTICATE PLAIN\r\n",
        b"*\r\n",
        b"AGFubgBwdw==\r\n",
        b"g FETCH 1 (",
        b"BODY[]",
        b")\r\n",
        b"h SEARCH ",
        b"NOT ",
        b"\"",
        b" ",
        b"i LOGOUT\r\n",
        b"j STARTTLS\r\n",
        b"k UID ",
        b"l LIST \"\" *\r\n",
        b"{99999999999999999999+}\r\n",
        b"m ENABLE UTF8=ACCEPT\r\n",
        b"n APPEND INBOX CATENATE (URL a ",
        b"TEXT {3+}\r\n",
        b"URL {3+}\r\n",
        b"o UID REPLACE 1 INBOX {3+}\r\n",
        b"p COMPRESS DEFLATE\r\n",
    ];
    for config in ["plaintext", "starttls", "tls"] {
        let mut owner = Owner::default();
        laws::never_panics(|| server(config), &words, 400, |server, event| owner.answer(server, event));
        let make = || {
            let mut session = server("plaintext");
            run(&mut session, b"a LOGIN ann pw\r\nb SELECT INBOX\r\n");
            session
        };
        laws::never_panics(make, &words, 400, |server, event| owner.answer(server, event));
    }
}

#[test]
fn an_idle_connection_is_small() {
    let mut session = server("plaintext");
    let script = format!("a LOGIN ann pw\r\nb SELECT INBOX\r\nc SEARCH TEXT \"{}\"\r\nd IDLE\r\n", "x".repeat(30_000));
    run(&mut session, script.as_bytes());
    assert_eq!(session.input_buffered(), 0);
    assert_eq!(session.out_mut().capacity(), 0);
    assert!(std::mem::size_of::<Server>() <= 512, "{}", std::mem::size_of::<Server>());
}

#[test]
fn lines_at_the_limit() {
    let signed_in = || {
        let mut session = server("plaintext");
        run(&mut session, b"a LOGIN ann pw\r\nb SELECT INBOX\r\n");
        session
    };
    let line = |n: usize| {
        let head = "c SEARCH TEXT \"";
        format!("{head}{}\"\r\nd NOOP\r\n", "x".repeat(n - head.len() - 1))
    };
    let (out, _) = run(&mut signed_in(), line(limits::LINE_BYTES_MAX).as_bytes());
    assert!(out.contains("c OK") && out.contains("d OK"), "{out}");
    let (out, end) = run(&mut signed_in(), line(limits::LINE_BYTES_MAX + 1).as_bytes());
    assert_eq!(end, End::Waiting);
    assert_eq!(out, "c BAD The command line is too long\r\nd OK Done\r\n");
}

#[test]
fn literals_at_the_limit() {
    let signed_in = || {
        let mut session = server("plaintext");
        run(&mut session, b"a LOGIN ann pw\r\nb SELECT INBOX\r\n");
        session
    };
    let script = |n: usize| format!("c SEARCH TEXT {{{n}+}}\r\n{}\r\nd NOOP\r\n", "x".repeat(n));
    let (out, _) = run(&mut signed_in(), script(limits::LITERAL_BYTES_MAX).as_bytes());
    assert_eq!(out, "c OK Done\r\nd OK Done\r\n");
    let (out, _) = run(&mut signed_in(), script(limits::LITERAL_BYTES_MAX + 1).as_bytes());
    assert_eq!(out, "c NO [TOOBIG] That literal is too large\r\nd OK Done\r\n");
    let halves = format!("c SEARCH TEXT {{40000+}}\r\n{0} TEXT {{40000+}}\r\n{0}\r\nd NOOP\r\n", "x".repeat(40_000));
    assert_eq!(run(&mut signed_in(), halves.as_bytes()).0, "c NO [TOOBIG] That literal is too large\r\nd OK Done\r\n");
}

#[test]
fn silence_ends_in_autologout() {
    let mut session = server("plaintext");
    assert_eq!(session.poll(Time(0)), Step::Wait);
    let deadline = session.deadline().unwrap();
    assert_eq!(deadline, Time(wire::limits::BEFORE_SIGN_IN_SECS_MAX * 1000));
    run(&mut session, b"a LOGIN ann pw\r\nb IDLE\r\n");
    let deadline = session.deadline().unwrap();
    assert!(deadline >= Time(30 * 60 * 1000), "RFC 9051 §5.4");
    assert_eq!(session.poll(Time(deadline.0 - 1)), Step::Wait);
    assert_eq!(session.poll(deadline), Step::Close);
    let mut out = Vec::new();
    session.transmit(&mut out);
    assert!(out.starts_with(b"* BYE Autologout"));
}

#[test]
fn while_the_owner_works_nothing_is_read_and_no_time_runs() {
    let mut session = server("plaintext");
    session.receive(b"a LOGIN ann pw\r\nb NOOP\r\n");
    let Step::Event(Event::Sasl(question)) = session.poll(Time(0)) else { panic!() };
    assert_eq!(session.poll(Time(u64::MAX)), Step::Wait);
    assert!(!session.wants_input() && session.deadline().is_none());
    Owner::default().answer(&mut session, Event::Sasl(question));
    assert!(matches!(session.poll(Time(0)), Step::Event(Event::Command { .. })));
    session.ok(None, "Done");
    assert_eq!(session.poll(Time(0)), Step::Wait);
    assert!(session.wants_input());
}

#[test]
fn a_large_message_streams() {
    let mut session = server("plaintext");
    run(&mut session, b"a LOGIN ann pw\r\n");
    session.receive(b"b APPEND INBOX {100000+}\r\n");
    let mut owner = Owner::default();
    for _ in 0..100 {
        session.receive(&[b'x'; 1000]);
        laws::settle(&mut session, Time(0), &mut |server, event| owner.answer(server, event));
        assert_eq!(session.input_buffered(), 0);
    }
    assert_eq!(owner.octets.len(), 100_000);
    assert!(run(&mut session, b"\r\n").0.starts_with("b OK [APPENDUID"));
}

#[test]
fn the_peer_goes_away() {
    let mut session = server("plaintext");
    session.receive(b"a LOGIN ann pw\r\nb NOOP\r\nc NO");
    session.receive_end();
    let mut owner = Owner::default();
    let (out, end) = laws::converse(&mut session, [], &mut |server, event| owner.answer(server, event));
    assert_eq!(end, End::Closed);
    assert!(String::from_utf8_lossy(&out).ends_with("b OK Done\r\n"));
}

#[test]
fn refused_at_the_door() {
    let mut session = Server::refused(config("tls"), "Too many connections");
    let (out, end) = run(&mut session, b"a NOOP\r\n");
    assert_eq!((out.as_str(), end), ("* BYE [UNAVAILABLE] Too many connections\r\n", End::Closed));
}
