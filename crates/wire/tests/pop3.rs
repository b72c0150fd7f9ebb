//! POP3: transcripts at every chunking, the laws of sessions, and client against server in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use wire::laws::{self, Buffered, End};
use wire::limits::pop3 as limits;
use wire::pop3::client::{self, Request, Stls};
use wire::pop3::{Capability, Client, Config, Event, Maildrop, Refusal, Server};
use wire::sasl::client::Credentials;
use wire::sasl::{Question, ScramVerifier, Secret};
use wire::{Session, Step, Time};

struct Drop(Vec<u64>);

impl Maildrop for Drop {
    fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap()
    }
    fn octets(&self, number: u32) -> u64 {
        self.0[number as usize - 1]
    }
    fn unique_id(&self, number: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("7.{number}").as_bytes());
    }
}

/// A message of exactly `octets`, with a dot to be stuffed.
fn message(number: u32, octets: u64) -> Vec<u8> {
    let mut text = format!("Subject: message {number}\r\n\r\n.dot\r\n").into_bytes();
    let octets = usize::try_from(octets).unwrap();
    if text.len() + 2 <= octets {
        let digits = (2..).map(|n: usize| b"0123456789"[n % 10]);
        text.extend(digits.take(octets - text.len() - 2));
        text.extend_from_slice(b"\r\n");
    }
    text.truncate(octets);
    text
}

struct Owner {
    sizes: Vec<u64>,
    marked: Option<Vec<u32>>,
}

impl Owner {
    fn new(sizes: &[u64]) -> Owner {
        Owner { sizes: sizes.to_vec(), marked: None }
    }

    fn open(&self, server: &mut Server, login: &str, fine: bool) {
        match login {
            "busy" => server.refuse(Refusal::InUse),
            "factor" => server.refuse(Refusal::ProgramPassword),
            "suspended" => server.refuse(Refusal::Suspended),
            "later" => server.refuse(Refusal::Temporary),
            _ if fine => server.accept(Box::new(Drop(self.sizes.clone()))),
            _ => server.refuse(Refusal::Credentials),
        }
    }

    fn answer(&mut self, server: &mut Server, event: Event) {
        match event {
            Event::Auth(Question::Password { login, password }) => {
                let fine = password.as_bytes().trim_ascii() == b"secret" || password.as_bytes() == b"tanstaaf";
                self.open(server, &login, fine);
            }
            Event::Auth(Question::ScramLookup { .. }) => {
                let verifier = ScramVerifier::derive(b"secret", b"0123456789abcdef", std::num::NonZeroU32::new(4096).unwrap());
                server.scram(verifier, "server-nonce-server-nonce");
            }
            Event::Auth(Question::ScramDone { login, proved }) => self.open(server, &login, proved),
            Event::Auth(Question::Token { token, .. }) if token.as_bytes() != b"good" => {
                server.refuse_token(Some("https://id.test/"))
            }
            Event::Auth(Question::Token { login, .. } | Question::Certificate { login }) => {
                self.open(server, &login.unwrap_or_default(), true);
            }
            Event::Retr { message: number } | Event::Top { message: number, .. } => {
                for piece in message(number, self.sizes[number as usize - 1]).chunks(11) {
                    if !server.content(piece) {
                        break;
                    }
                }
                server.content_end();
            }
            Event::Quit { marked } => {
                self.marked = Some(marked);
                server.bye(true);
            }
        }
    }
}

fn plain() -> Config {
    Config { plaintext: true, ..Config::new("here.test") }
}

fn signed_in(rest: &str) -> Vec<u8> {
    format!("USER ann\r\nPASS secret\r\n{rest}").into_bytes()
}

// ---- transcripts ----

#[derive(Default)]
struct Transcript {
    sizes: Vec<u64>,
    marked: Vec<u32>,
    stls: bool,
    no_plaintext: bool,
    every_mechanism: bool,
    /// What the client says and the server answers, before and after TLS.
    parts: Vec<(Vec<u8>, Vec<u8>)>,
}

fn read(path: &Path) -> Transcript {
    let mut script = Transcript { parts: vec![Default::default()], ..Transcript::default() };
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let numbers = |text: &str| text.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<u64>>();
        let part = script.parts.last_mut().unwrap();
        match line.split_at(line.len().min(3)) {
            _ if line == "TLS" => script.parts.push(Default::default()),
            ("C: ", text) => part.0.extend_from_slice(format!("{text}\r\n").as_bytes()),
            // Git and editors do not keep spaces at a line's end.
            ("S: ", "+") => part.1.extend_from_slice(b"+ \r\n"),
            ("S: ", text) => part.1.extend_from_slice(format!("{text}\r\n").as_bytes()),
            ("S:", _) => part.1.extend_from_slice(b"\r\n"),
            _ => match line.split_once(':') {
                Some(("# messages", list)) => script.sizes = numbers(list),
                Some(("# marked", list)) => {
                    script.marked = numbers(list).into_iter().map(|n| u32::try_from(n).unwrap()).collect()
                }
                Some(("# plaintext", _)) => script.no_plaintext = true,
                Some(("# every mechanism", _)) => script.every_mechanism = true,
                Some(("# stls", _)) => script.stls = true,
                _ => assert!(line.starts_with('#') || line.is_empty(), "{path:?}: {line}"),
            },
        }
    }
    script
}

fn play(script: &Transcript, size: usize) {
    let mut config = Config { plaintext: !script.no_plaintext, stls: script.stls, ..Config::new("here.test") };
    if script.every_mechanism {
        config.mechanisms = wire::sasl::Mechanism::ALL.to_vec();
    }
    let mut server = Server::new(config);
    if script.every_mechanism {
        server.tls_channel(wire::sasl::Channel { exporter: Some([7; 32]), server_end_point: None, external: true });
    }
    let mut owner = Owner::new(&script.sizes);
    let last = script.parts.len() - 1;
    for (index, (said, expected)) in script.parts.iter().enumerate() {
        let mut answer = |server: &mut Server, event| owner.answer(server, event);
        let (out, end) = laws::converse(&mut server, said.chunks(size), &mut answer);
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expected), "in pieces of {size}");
        assert_eq!(end, if index == last { End::Closed } else { End::StartTls });
        if index != last {
            server.tls_started();
        }
    }
    assert_eq!(owner.marked.as_deref(), Some(script.marked.as_slice()));
}

#[test]
fn transcripts_at_every_chunking() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/pop3");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let script = read(&entry.unwrap().path());
        for size in [1, 2, 3, 5, 17, 64, 100_000] {
            play(&script, size);
        }
        seen += 1;
    }
    assert!(seen >= 4);
}

// ---- laws ----

#[test]
fn any_chunking_gives_the_same_answers() {
    let script = signed_in("STAT\r\nLIST\r\nRETR 1\nTOP 2 1\r\nnonsense\r\nDELE 1\r\nUIDL\r\nQUIT\r\nRETR 1\r\n");
    let mut owner = Owner::new(&[120, 200]);
    let out = laws::same_at_every_chunking(|| Server::new(plain()), &script, |server, event| owner.answer(server, event));
    assert!(out.ends_with(b"2 7.2\r\n.\r\n+OK bye\r\n"));
}

#[test]
fn octets_behind_stls_close() {
    for behind in ["C", "CAPA\r\n", "\x16\x03\x01"] {
        let server = Server::new(Config { stls: true, ..Config::new("here.test") });
        let out = laws::nothing_survives_starttls(server, format!("STLS\r\n{behind}").as_bytes(), |_, event| panic!("{event:?}"));
        assert!(out.ends_with(b"-ERR nothing may follow STLS before the TLS handshake\r\n"));
    }
    // Or if they come in another segment, before the handshake.
    let mut server = Server::new(Config { stls: true, ..Config::new("here.test") });
    let mut never = |_: &mut Server, event| panic!("{event:?}");
    assert_eq!(laws::converse(&mut server, [&b"STLS\r\n"[..]], &mut never).1, End::StartTls);
    server.receive(b"CAPA\r\n");
    assert_eq!(laws::settle(&mut server, Time(0), &mut never), End::Closed);
}

#[test]
fn buffers_are_bounded_and_nothing_panics() {
    for garbage in [&b"x"[..], b"AUTH ", b"\r\n", b"USER a\r\n", b"\0\xff", &[b'y'; 5000]] {
        let refuse = |server: &mut Server, event: Event| match event {
            Event::Auth(_) => server.refuse(Refusal::Credentials),
            _ => panic!(),
        };
        laws::bounded(Server::new(plain()), garbage, limits::INPUT_BYTES_MAX, refuse);
    }
    let words: Vec<&[u8]> = vec![
        b"USER ann\r\n",
        b"PASS secret\r\n",
        b"STAT\r\n",
        b"LIST\r\n",
        b"LIST ",
        b"UIDL ",
        b"1\r\n",
        b"2\r\n",
        b"RETR ",
        b"TOP ",
        b"1 ",
        b"DELE ",
        b"RSET\r\n",
        b"QUIT\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH SCRAM-SHA-256 ",
        b"AGFubgBzZWNyZXQ=\r\n",
        b"*\r\n",
        b"STLS\r\n",
        b"CAPA\r\n",
        b"LANG de\r\n",
        b"UTF8\r\n",
        b"\r\n",
        b" ",
        b"\n",
        b"4294967295\r\n",
    ];
    let mut owner = Owner::new(&[120, 200]);
    laws::never_panics(
        || Server::new(Config { stls: true, ..plain() }),
        &words,
        1500,
        |server, event| owner.answer(server, event),
    );
}

#[test]
fn nobody_stays_for_ever_by_capa() {
    let max = usize::from(wire::limits::IDLE_COMMANDS_MAX);
    let mut never = |_: &mut Server, event| panic!("{event:?}");
    let mut server = Server::new(plain());
    let (out, end) = laws::converse(&mut server, ["CAPA\r\n".repeat(max).as_bytes()], &mut never);
    assert_eq!((String::from_utf8(out).unwrap().matches("\r\n.\r\n").count(), end), (max, End::Waiting));
    let (out, end) = laws::converse(&mut server, [&b"CAPA\r\n"[..]], &mut never);
    assert!(out.starts_with(b"-ERR "));
    assert_eq!(end, End::Closed);
    // Whoever signed in may.
    let script = signed_in(&"NOOP\r\n".repeat(2 * max));
    let mut owner = Owner::new(&[120, 200]);
    let answer = &mut |server: &mut Server, event| owner.answer(server, event);
    assert_eq!(laws::converse(&mut Server::new(plain()), [&script[..]], answer).1, End::Waiting);
}

#[test]
fn line_limits_and_one_past() {
    let talk = |script: &[u8]| {
        let mut never = |_: &mut Server, event| panic!("{event:?}");
        String::from_utf8(laws::converse(&mut Server::new(plain()), script.chunks(100), &mut never).0).unwrap()
    };
    let user = |length: usize| format!("USER {}\r\n", "u".repeat(length - 7)).into_bytes();
    assert!(talk(&user(255)).ends_with("+OK now the password\r\n"));
    assert!(talk(&user(256)).ends_with("-ERR line too long\r\n"));
    assert!(talk(&[b"UTF8\r\n".to_vec(), user(512)].concat()).ends_with("+OK now the password\r\n"));
    assert!(talk(&[b"UTF8\r\n".to_vec(), user(513)].concat()).ends_with("-ERR line too long\r\n"));
    // One answer, however long, and the next command is heard.
    let long = [vec![b'x'; 100_000], b"\r\nCAPA\r\n".to_vec()].concat();
    let answers = talk(&long);
    assert_eq!(answers.matches("-ERR").count(), 1);
    assert!(answers.contains("+OK what can be had here"));
}

#[test]
fn errors_and_failed_sign_ins_are_counted() {
    let mut owner = Owner::new(&[]);
    let mut answer = |server: &mut Server, event| owner.answer(server, event);
    let nonsense = "X\r\n".repeat(100);
    let (out, end) = laws::converse(&mut Server::new(plain()), [nonsense.as_bytes()], &mut answer);
    assert_eq!(end, End::Closed);
    assert_eq!(
        out.split(|b| *b == b'\n').filter(|line| line.starts_with(b"-ERR no such command")).count(),
        limits::ERRORS_MAX as usize
    );
    let guesses = "USER ann\r\nPASS guess\r\n".repeat(100);
    let (out, end) = laws::converse(&mut Server::new(plain()), [guesses.as_bytes()], &mut answer);
    assert_eq!(end, End::Closed);
    assert_eq!(String::from_utf8(out).unwrap().matches("[AUTH]").count(), limits::AUTH_FAILURES_MAX as usize);
}

#[test]
fn autologout_says_nothing_and_deletes_nothing() {
    let mut server = Server::new(plain());
    let mut owner = Owner::new(&[50]);
    let mut answer = |server: &mut Server, event| owner.answer(server, event);
    laws::converse(&mut server, [signed_in("DELE 1\r\n").as_slice()], &mut answer);
    let due = server.deadline().unwrap();
    assert!(due >= Time(600_000));
    assert_eq!(laws::settle(&mut server, Time(due.0 - 1), &mut answer), End::Waiting);
    server.receive(b"NOOP\r\n");
    assert_eq!(laws::settle(&mut server, Time(due.0 - 1), &mut answer), End::Waiting);
    assert!(server.deadline().unwrap() > due);
    let mut out = Vec::new();
    server.transmit(&mut out);
    out.clear();
    let due = server.deadline().unwrap();
    assert_eq!(laws::settle(&mut server, due, &mut answer), End::Closed);
    server.transmit(&mut out);
    assert!(out.is_empty());
    assert_eq!(owner.marked, None);
}

/// Lessons C20 (Thunderbird).
#[test]
fn c20_the_terminator_never_travels_alone() {
    let mut server = Server::new(plain());
    let mut owner = Owner::new(&[1000]);
    laws::converse(&mut server, [signed_in("").as_slice()], &mut |server, event| owner.answer(server, event));
    server.receive(b"RETR 1\r\n");
    assert!(matches!(server.poll(Time(0)), Step::Event(Event::Retr { message: 1 })));
    // The owner writes out after every piece, and after all of them.
    let mut writes = Vec::new();
    for piece in message(1, 1000).chunks(300) {
        assert!(server.content(piece));
        let mut out = Vec::new();
        server.transmit(&mut out);
        writes.push(out);
    }
    server.content_end();
    let mut last = Vec::new();
    server.transmit(&mut last);
    assert!(last.len() > 60 && last.ends_with(b"\r\n.\r\n"));
    let all = [writes.concat(), last].concat();
    assert_eq!(all.len(), "+OK 1000 octets\r\n".len() + 1000 + 1 + 3);
}

#[test]
fn a_broken_message_is_not_passed_off_as_whole() {
    let mut server = Server::new(plain());
    let mut owner = Owner::new(&[1000]);
    laws::converse(&mut server, [signed_in("").as_slice()], &mut |server, event| owner.answer(server, event));
    server.receive(b"RETR 1\r\nQUIT\r\n");
    assert!(matches!(server.poll(Time(0)), Step::Event(Event::Retr { .. })));
    server.content(b"Subject: x\r\n");
    server.content_broken();
    assert_eq!(server.poll(Time(0)), Step::Close);
    let mut out = Vec::new();
    server.transmit(&mut out);
    assert!(!out.ends_with(b".\r\n"));
}

#[test]
fn a_hundred_thousand_messages_pass_through_a_small_buffer() {
    let sizes: Vec<u64> = (0..100_000).map(|n| 500 + n % 1000).collect();
    let mut server = Server::new(plain());
    let mut owner = Owner::new(&sizes);
    laws::converse(&mut server, [signed_in("").as_slice()], &mut |server, event| owner.answer(server, event));
    server.receive(b"LIST\r\nUIDL\r\nNOOP\r\n");
    let (mut all, mut largest) = (Vec::new(), 0);
    loop {
        assert_eq!(server.poll(Time(0)), Step::Wait);
        let mut out = Vec::new();
        server.transmit(&mut out);
        largest = largest.max(out.len());
        all.extend(out);
        if server.wants_input() {
            break;
        }
    }
    assert!(largest < 4 * limits::LISTING_BYTES, "{largest}");
    assert_eq!(all.iter().filter(|b| **b == b'\n').count(), 200_000 + 5);
    assert!(all.ends_with(b"100000 7.100000\r\n.\r\n+OK fine\r\n"));
}

// ---- both halves ----

fn client_config(password: &str) -> client::Config {
    client::Config {
        tls: false,
        stls: Stls::IfOffered,
        plaintext: false,
        credentials: Credentials { login: "ann".into(), password: Secret::new(password.as_bytes().to_vec()) },
        nonce: "client-nonce-client-nonce".into(),
        utf8: true,
    }
}

struct Pair {
    client: Client,
    server: Server,
    owner: Owner,
    tls: u32,
    /// Octets handed over at once.
    size: usize,
}

impl Pair {
    fn new(client: client::Config, server: Config, sizes: &[u64]) -> Pair {
        Pair { client: Client::new(client), server: Server::new(server), owner: Owner::new(sizes), tls: 0, size: 13 }
    }

    /// Until nothing moves: what the client heard.
    fn run(&mut self) -> Vec<client::Event> {
        let mut heard = Vec::new();
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        loop {
            let at_server = loop {
                match self.server.poll(Time(0)) {
                    Step::Event(event) => self.owner.answer(&mut self.server, event),
                    other => break other,
                }
            };
            self.server.transmit(&mut to_client);
            let at_client = loop {
                match self.client.poll(Time(0)) {
                    Step::Event(event) => heard.push(event),
                    other => break other,
                }
            };
            self.client.transmit(&mut to_server);
            if at_server == Step::StartTls && at_client == Step::StartTls && to_client.is_empty() && to_server.is_empty() {
                self.server.tls_started();
                self.client.tls_started();
                self.tls += 1;
                continue;
            }
            if to_client.is_empty() && to_server.is_empty() {
                if at_server == Step::Close && at_client == Step::Wait {
                    self.client.receive_end();
                    continue;
                }
                return heard;
            }
            let give: Vec<u8> = to_client.drain(..to_client.len().min(self.size)).collect();
            self.client.receive(&give);
            if self.server.wants_input() {
                let give: Vec<u8> = to_server.drain(..to_server.len().min(self.size)).collect();
                if !give.is_empty() {
                    self.server.receive(&give);
                }
            } else if matches!(at_server, Step::Close) {
                to_server.clear();
            }
        }
    }
}

#[test]
fn client_and_server_over_stls_with_scram() {
    let mut pair = Pair::new(client_config("secret"), Config { stls: true, ..Config::new("here.test") }, &[120, 200, 0]);
    for request in [Request::Stat, Request::List, Request::Uidl, Request::Retr(2), Request::Top { message: 1, lines: 0 }] {
        pair.client.request(request);
    }
    for request in [Request::Dele(1), Request::Retr(1), Request::Dele(3), Request::Noop, Request::Quit] {
        pair.client.request(request);
    }
    let heard = pair.run();
    assert_eq!(pair.tls, 1);
    assert!(pair.server.is_utf8());
    let client::Event::Ready(list) = &heard[0] else { panic!("{heard:?}") };
    assert!(list.contains(&Capability::Uidl));
    assert_eq!(heard[1], client::Event::Stat { messages: 3, octets: 320 });
    assert_eq!(heard[2], client::Event::Listed { message: 1, octets: 120 });
    assert_eq!(heard[5], client::Event::Done(Request::List));
    assert_eq!(heard[6], client::Event::UniqueId { message: 1, id: "7.1".into() });
    let mut octets = Vec::new();
    let mut rest = heard[10..].iter();
    for event in rest.by_ref() {
        match event {
            client::Event::Content(piece) => octets.extend_from_slice(piece),
            other => {
                assert_eq!(*other, client::Event::Done(Request::Retr(2)));
                break;
            }
        }
    }
    assert_eq!(octets, message(2, 200));
    assert!(heard.iter().any(|event| matches!(event, client::Event::Refused(Request::Retr(1), _))));
    assert_eq!(heard.last(), Some(&client::Event::Done(Request::Quit)));
    assert_eq!(pair.owner.marked, Some(vec![1, 3]));
    assert_eq!(pair.client.pending(), 0);
}

#[test]
fn the_client_says_why_it_failed() {
    let failed = |config: client::Config, server: Config| match Pair::new(config, server, &[]).run().pop() {
        Some(client::Event::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    };
    let required = client::Config { stls: Stls::Required, ..client_config("secret") };
    assert_eq!(failed(required, plain()), client::Failure::NoTls);
    // SCRAM needs no privacy; the others do.
    let only_plain = Config { mechanisms: vec![wire::sasl::Mechanism::Plain], ..plain() };
    assert_eq!(failed(client_config("secret"), only_plain.clone()), client::Failure::NoMechanism);
    let allowed = client::Config { plaintext: true, ..client_config("wrong") };
    let client::Failure::SignIn(reply) = failed(allowed.clone(), only_plain) else { panic!() };
    assert_eq!(reply.code, Some(wire::pop3::ResponseCode::Auth));
    // USER and PASS where there is no SASL.
    let old = Config { mechanisms: Vec::new(), ..plain() };
    assert!(matches!(failed(allowed, old), client::Failure::SignIn(_)));
}

#[test]
fn the_client_survives_any_server() {
    let make = || {
        let mut client = Client::new(client::Config { plaintext: true, ..client_config("secret") });
        for request in [Request::Uidl, Request::List, Request::Retr(1), Request::Stat, Request::Quit] {
            client.request(request);
        }
        client
    };
    let words: Vec<&[u8]> = vec![
        b"+OK\r\n",
        b"+OK 1 2\r\n",
        b"-ERR\r\n",
        b"-ERR [AUTH] x\r\n",
        b".\r\n",
        b"1 abc\r\n",
        b"1 5\r\n",
        b"USER\r\n",
        b"SASL PLAIN\r\n",
        b"SASL SCRAM-SHA-256\r\n",
        b"STLS\r\n",
        b"+ \r\n",
        b"+ dj1hYmM=\r\n",
        b"..x\r\n",
        b"PIPELINING\r\n",
        b"\r\n",
        b"\n",
    ];
    laws::never_panics(make, &words, 1500, |_, _| {});
    for garbage in [&b"x"[..], b"+OK\r\n", b"1 1\r\n", &[b'z'; 9000]] {
        let client = make();
        assert_eq!(client.input_buffered(), 0);
        laws::bounded(client, garbage, limits::CHUNK_BYTES_MAX, |_, _| {});
    }
    let script =
        b"+OK hi\r\n-ERR\r\n+OK\r\n+OK\r\n+OK\r\n1 a\r\n.\r\n+OK\r\n1 5\r\n.\r\n+OK\r\n..x\r\n\r\n.\r\n+OK 1 5\r\n+OK\r\n";
    let out = laws::same_at_every_chunking(make, script, |_, _| {});
    assert_eq!(String::from_utf8(out).unwrap(), "CAPA\r\nUSER ann\r\nPASS secret\r\nUIDL\r\nLIST\r\nRETR 1\r\nSTAT\r\nQUIT\r\n");
}

#[test]
fn octets_behind_the_answer_to_stls_end_the_client() {
    let script = b"+OK hi\r\n+OK\r\nSTLS\r\n.\r\n+OK\r\n+OK injected\r\n";
    let out = laws::nothing_survives_starttls(Client::new(client_config("secret")), script, |_, event| {
        assert!(matches!(event, client::Event::Failed(client::Failure::Protocol(_))), "{event:?}");
    });
    assert_eq!(String::from_utf8(out).unwrap(), "CAPA\r\nSTLS\r\n");
}

/// Signed in, and so much is asked.
fn asked(requests: &[Request]) -> Client {
    let mut client = Client::new(client::Config { plaintext: true, ..client_config("secret") });
    requests.iter().for_each(|request| client.request(*request));
    client.receive(b"+OK hi\r\n-ERR\r\n+OK\r\n+OK\r\n");
    assert!(matches!(client.poll(Time(0)), Step::Event(client::Event::Ready(_))));
    assert_eq!(client.poll(Time(0)), Step::Wait);
    client
}

/// When a client gives up that hears these octets again and again, so many seconds apart: seconds, 100,000 at most.
fn gives_up(mut client: Client, octets: &[u8], every_secs: u64) -> u64 {
    let mut secs = 0;
    while secs < 100_000 {
        match client.poll(Time(0).plus_secs(secs)) {
            Step::Event(client::Event::Failed(client::Failure::TimedOut)) => return secs,
            Step::Event(_) => {}
            Step::Wait => {
                secs += every_secs;
                if client.deadline().is_none_or(|due| due > Time(0).plus_secs(secs)) {
                    client.receive(octets);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    secs
}

#[test]
fn a_server_that_trickles_is_left_and_a_slow_one_is_not() {
    let uidl = || asked(&[Request::Uidl]);
    assert!((300..700).contains(&gives_up(uidl(), b"x", 60)), "an octet now and then");
    let mut listing = uidl();
    listing.receive(b"+OK\r\n");
    assert!((300..700).contains(&gives_up(listing, b"1", 20)));
    let mut listing = uidl();
    listing.receive(b"+OK\r\n");
    assert_eq!(gives_up(listing, b"1 abcdefghijklmn\r\n", 1), 100_000, "a line a second");
    let mut body = asked(&[Request::Retr(1)]);
    body.receive(b"+OK\r\n");
    assert!((300..700).contains(&gives_up(body, b"x\r\n", 10)));
    assert!((300..700).contains(&gives_up(Client::new(client_config("secret")), b"x", 60)), "before sign-in");
    // Nothing is owed to whoever asks nothing, and whoever asks after a long rest is not late.
    let mut client = asked(&[]);
    let long = Time(0).plus_secs(9_000);
    assert_eq!((client.poll(long), client.deadline()), (Step::Wait, None));
    client.request(Request::Noop);
    assert_eq!(client.poll(long), Step::Wait);
    assert!(matches!(client.poll(long.plus_secs(301)), Step::Event(client::Event::Failed(client::Failure::TimedOut))));
}
