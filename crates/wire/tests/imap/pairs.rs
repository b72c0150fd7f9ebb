//! Client and server face each other in memory.

use crate::owner::{Owner, config};
use wire::imap::append::{Append, AppendMessage};
use wire::imap::client::{Client, ClientConfig, Event, Failure, StartTls};
use wire::imap::enable::Extension;
use wire::imap::fetch::{Data, Fetch, FetchData, FetchItem, Section};
use wire::imap::response::{Kind, Response};
use wire::imap::select::Select;
use wire::imap::server::{Server, ServerConfig};
use wire::imap::{Command, MailboxName, SequenceSet, Tag};
use wire::laws::{self, End};
use wire::sasl::Secret;
use wire::sasl::client::Credentials;
use wire::{Session, Step, Time};

fn client(words: &str, starttls: StartTls, password: &str) -> Client {
    Client::new(ClientConfig {
        tls: words == "tls",
        starttls,
        credentials: Some(Credentials { login: "ann".into(), password: Secret::new(password.as_bytes().to_vec()) }),
        plaintext: words.contains("plaintext"),
        nonce: "clientnonceclientnonce".into(),
    })
}

struct Pair {
    client: Client,
    server: Server,
    owner: Owner,
    events: Vec<Event>,
    /// What the client said.
    said: Vec<u8>,
}

impl Pair {
    fn new(client: Client, config: ServerConfig) -> Pair {
        let mut pair =
            Pair { client, server: Server::new(config), owner: Owner::default(), events: Vec::new(), said: Vec::new() };
        pair.run();
        pair
    }

    fn ready(words: &str) -> Pair {
        let pair = Pair::new(client(words, StartTls::Never, "pw"), config(words));
        assert_eq!(pair.events, [Event::Ready]);
        pair
    }

    /// Until neither has anything to say.
    fn run(&mut self) {
        loop {
            let Pair { client, server, owner, events, said } = self;
            let ended = laws::settle(client, Time(0), &mut |client: &mut Client, event| {
                if let Event::AppendReady(_) = event {
                    for piece in b"Hello\r\nworld".chunks(5) {
                        assert_eq!(client.append_octets(piece), piece.len());
                    }
                }
                events.push(event);
            });
            let mut wire = Vec::new();
            client.transmit(&mut wire);
            said.extend_from_slice(&wire);
            let mut quiet = wire.is_empty();
            if !wire.is_empty() {
                server.receive(&wire);
            }
            let served = laws::settle(server, Time(0), &mut |server, event| owner.answer(server, event));
            let mut wire = Vec::new();
            server.transmit(&mut wire);
            quiet &= wire.is_empty();
            if !wire.is_empty() {
                client.receive(&wire);
            }
            if served == End::Closed {
                client.receive_end();
                quiet &= ended == End::Closed;
            }
            if ended == End::StartTls && served == End::StartTls {
                client.tls_started();
                server.tls_started();
            } else if quiet {
                return;
            }
        }
    }

    fn command(&mut self, command: &Command) -> Tag {
        self.client.command(command)
    }

    fn tagged(&self, tag: &Tag) -> Kind {
        let found = self.events.iter().find_map(|event| match event {
            Event::Tagged(t, status) if t == tag => Some(status.kind),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no end of {tag:?} in {:?}", self.events))
    }
}

fn inbox() -> MailboxName {
    MailboxName::new("inbox")
}

fn append(size: u64, utf8: bool) -> Command {
    let message = AppendMessage { flags: vec![], date: None, size, binary: utf8, utf8 };
    Command::Append(Append { mailbox: inbox(), message })
}

fn fetch_body() -> Command {
    let item = FetchItem::BodySection { peek: true, section: Section::default(), partial: None };
    Command::Fetch(Fetch {
        uid: false,
        set: SequenceSet::range(1, 1),
        items: vec![item],
        changed_since: None,
        vanished: false,
        partial: None,
    })
}

#[test]
fn sign_in_by_the_best_mechanism() {
    let pair = Pair::ready("tls");
    assert!(String::from_utf8_lossy(&pair.said).contains("AUTHENTICATE SCRAM-SHA-256 "));
    assert!(pair.client.capabilities().has("LITERAL+"));
    for off in [vec!["AUTH=SCRAM-SHA-256"], vec!["AUTH=SCRAM-SHA-256", "AUTH=PLAIN"], vec!["AUTH=SCRAM-SHA-256", "SASL-IR"]] {
        let mut config = config("tls");
        config.mechanisms.retain(|mechanism| *mechanism != wire::sasl::Mechanism::ScramSha256);
        config.capabilities_off = off.iter().map(|name| (*name).into()).collect();
        assert_eq!(Pair::new(client("tls", StartTls::Never, "pw"), config).events, [Event::Ready], "{off:?}");
    }
    let mut config = config("tls");
    config.mechanisms.retain(|mechanism| *mechanism != wire::sasl::Mechanism::ScramSha256);
    config.capabilities_off = ["AUTH=PLAIN", "AUTH=LOGIN"].map(Into::into).to_vec();
    let pair = Pair::new(client("tls", StartTls::Never, "pw"), config);
    assert_eq!(pair.events, [Event::Ready]);
    assert!(String::from_utf8_lossy(&pair.said).contains(" LOGIN ann pw\r\n"));
}

#[test]
fn a_wrong_password() {
    let pair = Pair::new(client("tls", StartTls::Never, "wrong"), config("tls"));
    let [Event::Failed(Failure::SignIn(status))] = pair.events.as_slice() else { panic!("{:?}", pair.events) };
    assert_eq!(status.kind, Kind::No);
}

#[test]
fn starttls_then_sign_in() {
    for policy in [StartTls::Require, StartTls::IfOffered] {
        let pair = Pair::new(client("", policy, "pw"), config("starttls"));
        assert_eq!(pair.events, [Event::Ready]);
        assert!(pair.server.is_tls());
        assert!(String::from_utf8_lossy(&pair.said).starts_with("p1 STARTTLS\r\np2 CAPABILITY\r\np3 AUTHENTICATE"));
    }
    let pair = Pair::new(client("", StartTls::Require, "pw"), config("plaintext"));
    assert_eq!(pair.events, [Event::Failed(Failure::NoTls)]);
    let mut config = config("plaintext");
    config.mechanisms.retain(|mechanism| *mechanism != wire::sasl::Mechanism::ScramSha256);
    let pair = Pair::new(client("", StartTls::Never, "pw"), config);
    assert_eq!(pair.events, [Event::Failed(Failure::NoMechanism)]);
    assert!(pair.said.is_empty(), "nothing of the password may leave");
}

#[test]
fn commands_are_pipelined_and_answered_in_order() {
    let mut pair = Pair::ready("tls");
    pair.events.clear();
    let select = pair.command(&Command::Select(Select::plain(inbox(), false)));
    let fetch = pair.command(&fetch_body());
    let close = pair.command(&Command::Close);
    let fetch_again = pair.command(&fetch_body());
    pair.run();
    assert_eq!([&select, &fetch, &close, &fetch_again].map(|tag| pair.tagged(tag)), [Kind::Ok, Kind::Ok, Kind::Ok, Kind::Bad]);
    let octets = pair.events.iter().find_map(|event| match event {
        Event::Response(Response::Fetch { number: 1, items }) => items.iter().find_map(|item| match item {
            FetchData::BodySection { data: Data::Octets(octets), .. } => Some(octets.clone()),
            _ => None,
        }),
        _ => None,
    });
    assert_eq!(octets.unwrap(), &b"Hello\r\nworld"[..]);
    let logout = pair.command(&Command::Logout);
    pair.run();
    assert_eq!(pair.tagged(&logout), Kind::Ok);
    assert!(!pair.events.iter().any(|event| matches!(event, Event::Failed(_))));
    assert_eq!(pair.client.poll(Time(0)), Step::Close);
}

#[test]
fn append_with_every_kind_of_literal() {
    // Short literals need no asking as long as any of the three stands.
    for off in [vec![], vec!["LITERAL+"], vec!["LITERAL+", "IMAP4rev2"], vec!["LITERAL+", "IMAP4rev2", "LITERAL-"]] {
        let mut config = config("tls");
        config.capabilities_off = off.iter().map(|name| (*name).into()).collect();
        let mut pair = Pair::new(client("tls", StartTls::Never, "pw"), config);
        let tags = [append(12, false), append(12, true)].map(|command| pair.command(&command));
        let noop = pair.command(&Command::Noop);
        pair.run();
        assert_eq!(tags.map(|tag| pair.tagged(&tag)), [Kind::Ok, Kind::Ok], "{off:?}");
        assert_eq!(pair.owner.octets, b"Hello\r\nworld");
        assert_eq!(pair.tagged(&noop), Kind::Ok);
        let waited = String::from_utf8_lossy(&pair.said).contains("{12}");
        assert_eq!(waited, off.len() == 3, "{off:?}");
    }
}

#[test]
fn a_refused_literal_clears_its_command() {
    let mut config = config("tls");
    config.capabilities_off = ["LITERAL+", "IMAP4rev2", "LITERAL-"].map(Into::into).to_vec();
    let mut pair = Pair::new(client("tls", StartTls::Never, "pw"), config);
    let nowhere = pair.command(&Command::Delete { mailbox: MailboxName::new(&"x".repeat(2500)) });
    let message = AppendMessage { flags: vec![], date: None, size: 12, binary: false, utf8: false };
    let refused = pair.command(&Command::Append(Append { mailbox: MailboxName::new("nowhere"), message }));
    let noop = pair.command(&Command::Noop);
    pair.run();
    assert_eq!(pair.tagged(&nowhere), Kind::Bad, "the name is too long");
    assert_eq!(pair.tagged(&refused), Kind::No);
    assert_eq!(pair.tagged(&noop), Kind::Ok);
    assert!(!pair.events.iter().any(|event| matches!(event, Event::AppendReady(_))));
}

#[test]
fn idle_until_done() {
    let mut pair = Pair::ready("tls");
    let idle = pair.command(&Command::Idle);
    let behind = pair.command(&Command::Noop);
    pair.run();
    assert!(pair.events.contains(&Event::Idling(idle.clone())));
    assert!(pair.events.contains(&Event::Response(Response::Exists(2))));
    pair.server.untagged(&Response::Exists(3));
    pair.run();
    assert!(pair.events.contains(&Event::Response(Response::Exists(3))));
    assert!(pair.client.deadline().is_none());
    pair.client.done();
    pair.run();
    assert_eq!((pair.tagged(&idle), pair.tagged(&behind)), (Kind::Ok, Kind::Ok));
}

#[test]
fn names_are_utf8_after_enable() {
    let mut pair = Pair::ready("tls");
    let name = MailboxName::new("Entw\u{fc}rfe");
    let before = pair.command(&Command::Select(Select::plain(name.clone(), false)));
    let enable = pair.command(&Command::Enable(vec![Extension::Utf8Accept]));
    pair.run();
    let after = pair.command(&Command::Select(Select::plain(name, true)));
    pair.run();
    assert_eq!([before, enable, after].map(|tag| pair.tagged(&tag)), [Kind::Ok; 3]);
    let said = String::from_utf8_lossy(&pair.said).into_owned();
    assert!(said.contains("SELECT Entw&APw-rfe\r\n") && said.contains("EXAMINE \"Entw\u{fc}rfe\"\r\n"), "{said}");
}

/// A client that is signed in, with the server played by the test.
fn signed_in() -> Client {
    let mut client = Client::new(ClientConfig { credentials: None, ..client_config() });
    client.receive(b"* OK [CAPABILITY IMAP4rev1 LITERAL+] hi\r\n");
    assert_eq!(client.poll(Time(0)), Step::Event(Event::Ready));
    client
}

fn client_config() -> ClientConfig {
    ClientConfig { tls: true, starttls: StartTls::Never, credentials: None, plaintext: false, nonce: "n".into() }
}

fn events_of(client: &mut Client, pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for piece in pieces {
        client.receive(piece);
        laws::settle(client, Time(0), &mut |_, event| match (events.last_mut(), event) {
            // Pieces of octets are one, however they came.
            (Some(Event::Octets(before)), Event::Octets(more)) => *before = [before.as_ref(), more.as_ref()].concat().into(),
            (_, event) => events.push(event),
        });
    }
    events
}

#[test]
fn large_octets_stream_and_chunking_changes_nothing() {
    let size = 70_000;
    let mut script = format!("* 7 FETCH (UID 42 FLAGS (\\Seen) BODY[] {{{size}}}\r\n").into_bytes();
    script.extend((0..size).map(|n| b"abc\r\n{5}\r\n"[n % 10]));
    script.extend_from_slice(b" BODY[HEADER] {5}\r\nA: b\n MODSEQ (9))\r\n* OK text that ends in {5}\r\n* 8 EXISTS\r\n* LIST () \"/\" {5}\r\na b c\r\n");
    let expected = events_of(&mut signed_in(), &mut [script.as_slice()].into_iter());
    let Event::OctetsBegin { number: 7, items, size: 70_000 } = &expected[0] else { panic!("{:?}", expected[0]) };
    assert_eq!(items[0], FetchData::Uid(42));
    assert!(matches!(&expected[1], Event::Octets(octets) if octets.len() == size));
    let Event::Response(Response::Fetch { number: 7, items }) = &expected[2] else { panic!("{:?}", expected[2]) };
    assert!(matches!(&items[2], FetchData::BodySection { data: Data::Streamed(70_000), .. }));
    assert!(matches!(&items[3], FetchData::BodySection { data: Data::Octets(octets), .. } if octets.len() == 5));
    assert_eq!(expected.len(), 6);
    assert!(matches!(&expected[3], Event::Response(Response::Condition(status)) if status.text.ends_with("{5}")));
    for chunk in [1, 2, 3, 7, 4096] {
        assert_eq!(events_of(&mut signed_in(), &mut script.chunks(chunk)), expected, "{chunk}");
    }
}

#[test]
fn what_comes_behind_starttls_ends_it() {
    let mut client = Client::new(ClientConfig { tls: false, starttls: StartTls::Require, ..client_config() });
    client.receive(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n");
    assert_eq!(client.poll(Time(0)), Step::Wait);
    client.receive(b"p1 OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n");
    assert!(matches!(client.poll(Time(0)), Step::Event(Event::Failed(Failure::Protocol(_)))));
    assert_eq!(client.poll(Time(0)), Step::Close);
    let mut client = Client::new(ClientConfig { tls: false, starttls: StartTls::Require, ..client_config() });
    client.receive(b"* PREAUTH welcome\r\n");
    assert_eq!(client.poll(Time(0)), Step::Event(Event::Failed(Failure::NoTls)));
}

#[test]
fn a_server_that_goes_away() {
    let mut client = signed_in();
    client.command(&Command::Noop);
    assert_eq!(client.poll(Time(0)), Step::Wait);
    assert_eq!(client.poll(client.deadline().unwrap()), Step::Event(Event::Failed(Failure::TimedOut)));
    let mut client = signed_in();
    client.receive(b"* BYE going down\r\n");
    client.receive_end();
    assert!(matches!(client.poll(Time(0)), Step::Event(Event::Response(_))));
    assert_eq!(client.poll(Time(0)), Step::Close);
    let mut client = signed_in();
    client.receive_end();
    assert_eq!(client.poll(Time(0)), Step::Event(Event::Failed(Failure::Lost)));
    let mut client = Client::new(client_config());
    client.receive(b"* BYE too many\r\n");
    assert_eq!(client.poll(Time(0)), Step::Event(Event::Failed(Failure::Bye("too many".into()))));
    let mut client = Client::new(client_config());
    client.receive(b"220 smtp.here.test ESMTP\r\n");
    assert!(matches!(client.poll(Time(0)), Step::Event(Event::Failed(Failure::Protocol(_)))));
}

#[test]
fn the_client_never_panics_and_is_bounded() {
    let words: Vec<&[u8]> = vec![
        b"* OK [CAPABILITY IMAP4rev1] hi\r\n",
        b"* 1 FETCH (",
        b"BODY[] ",
        b"{70000}\r\n",
        b"{5}\r\nhello",
        b")\r\n",
        b"p1 OK x\r\n",
        b"p2 NO x\r\n",
        b"+ x\r\n",
        b"+\r\n",
        b"* BYE x\r\n",
        b"* PREAUTH x\r\n",
        b"* CAPABILITY STARTTLS AUTH=PLAIN\r\n",
        b"{99999999999999999999}\r\n",
        b"\r\n",
        b"UID 5 ",
        b"ENVELOPE (",
        b"\"a\" ",
        b"NIL ",
        b"* LIST () \"/\" ",
        b"p3 BAD x\r\n",
        b"* ENABLED UTF8=ACCEPT\r\n",
    ];
    laws::never_panics(
        || Client::new(client_config()),
        &words,
        400,
        |client, event| drop((client.capabilities().0.len(), event)),
    );
    let make = || {
        let mut client = signed_in();
        client.command(&append(12, true));
        client.command(&Command::Idle);
        client
    };
    laws::never_panics(make, &words, 400, |client, event| {
        if let Event::AppendReady(_) = event {
            client.append_octets(b"Hello\r\nworld");
        }
    });
    for garbage in [&b"x"[..], b"* 1 FETCH (BODY[] {70000}\r\n", b"* 1 FETCH (FLAGS (", b"* OK hi\r\n"] {
        laws::bounded(signed_in(), &garbage.repeat(500), wire::imap::limits::RESPONSE_LINE_BYTES_MAX, |_, _| {});
    }
}

/// When a client gives up that hears these octets again and again, so many seconds apart: seconds, 100,000 at most.
fn gives_up(mut client: Client, octets: &[u8], every_secs: u64) -> u64 {
    let mut secs = 0;
    loop {
        match client.poll(Time(0).plus_secs(secs)) {
            Step::Event(Event::Failed(Failure::TimedOut)) => return secs,
            Step::Event(_) => {}
            Step::Wait => {
                secs += every_secs;
                if secs > 100_000 || client.poll(Time(0).plus_secs(secs)) != Step::Wait {
                    return secs;
                }
                client.receive(octets);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_server_that_trickles_or_only_says_that_it_is_there_is_left() {
    let asks = || {
        let mut client = signed_in();
        client.command(&Command::Noop);
        assert_eq!(client.poll(Time(0)), Step::Wait);
        client
    };
    assert!((300..700).contains(&gives_up(asks(), b"x", 60)), "an octet now and then");
    assert!((7_000..15_000).contains(&gives_up(asks(), b"* OK Still here\r\n", 15)), "words, and no answer");
    assert!(gives_up(asks(), b"* 1 FETCH (UID 1)\r\n", 1) > 100_000, "slow, but an answer");
    // Octets of a literal, and before sign-in.
    let mut body = asks();
    body.receive(b"* 1 FETCH (UID 1 BODY[] {900000}\r\n");
    assert!((300..700).contains(&gives_up(body, b"x", 10)));
    assert!((300..700).contains(&gives_up(Client::new(client_config()), b"x", 60)));
}

#[test]
fn who_listened_or_gave_octets_for_long_is_not_late() {
    let long = Time(0).plus_secs(3_000);
    let mut client = signed_in();
    client.command(&Command::Noop);
    client.receive(b"p1 OK\r\n");
    assert!(matches!(client.poll(Time(0)), Step::Event(Event::Tagged(..))));
    assert_eq!((client.poll(Time(0)), client.deadline()), (Step::Wait, None));
    client.command(&Command::Idle);
    client.receive(b"+ idling\r\n");
    assert!(matches!(client.poll(long), Step::Event(Event::Idling(_))), "after a long rest");
    assert_eq!((client.poll(long), client.deadline()), (Step::Wait, None));
    client.done();
    let longer = long.plus_secs(3_000);
    assert_eq!(client.poll(longer), Step::Wait, "IDLE was long");
    client.receive(b"p2 OK\r\n");
    assert!(matches!(client.poll(longer), Step::Event(Event::Tagged(..))));
    let message = AppendMessage { flags: vec![], date: None, size: 2, binary: false, utf8: false };
    client.command(&Command::Append(Append { mailbox: MailboxName::new("INBOX"), message }));
    assert!(matches!(client.poll(longer), Step::Event(Event::AppendReady(_))));
    client.append_octets(b"a");
    assert_eq!(client.poll(longer), Step::Wait);
    let last = longer.plus_secs(3_000);
    client.append_octets(b"b");
    assert_eq!(client.poll(last), Step::Wait, "the octets took long to go");
    assert_eq!(client.poll(last.plus_secs(301)), Step::Event(Event::Failed(Failure::TimedOut)));
}

#[test]
fn a_literal_without_an_end_is_left() {
    let fails = |client: &mut Client| loop {
        match client.poll(Time(0)) {
            Step::Event(Event::Failed(failure)) => return Some(failure),
            Step::Event(_) => {}
            _ => return None,
        }
    };
    let most = wire::limits::MESSAGE_BYTES_PASSED_MAX;
    for (size, is_left) in [(most, false), (most + 1, true), (u64::MAX, true)] {
        for before in ["* 1 FETCH (BODY[] ", "* LIST () "] {
            let mut client = signed_in();
            client.receive(format!("{before}{{{size}}}\r\nabc").as_bytes());
            assert_eq!(fails(&mut client).is_some(), is_left, "{before}{size}");
        }
    }
}
