//! Client and server facing each other in memory, and the client against servers of the odd kind.

use super::owner::Owner;
use message::address::Address;
use wire::sasl::{Secret, client::Credentials};
use wire::session::{Session, Step, Time};
use wire::smtp::client::{
    self, Client, Config, Envelope, Event, Failure, Needed, Outcome, Recipient, RecipientOutcome, Stage, StartTls,
};
use wire::smtp::server::{self, Mode, Server};
use wire::smtp::{EnhancedCode, Reply};

pub(crate) fn client_config() -> Config {
    Config {
        hostname: "client.test".into(),
        lmtp: false,
        tls: false,
        starttls: StartTls::IfOffered,
        credentials: None,
        plaintext_auth: false,
        nonce: "clientnonce".into(),
    }
}

pub(crate) fn address(text: &str) -> Address {
    let (local, domain) = text.rsplit_once('@').unwrap();
    Address { local: local.into(), domain: domain.into() }
}

pub(crate) fn envelope(to: &[&str]) -> Envelope {
    Envelope {
        reverse_path: Some(address("a@x.test")),
        recipients: to.iter().map(|to| Recipient { address: address(to), notify: 0, original: None }).collect(),
        ..Envelope::default()
    }
}

/// Lets both halves talk until neither has anything to do; gives the client's events but Ready and WantsBody.
fn meet(client: &mut Client, server: &mut Server, owner: &mut Owner, mut messages: Vec<(Envelope, &str)>) -> Vec<Event> {
    let mut events = Vec::new();
    messages.reverse();
    let mut body = "";
    for _ in 0..10_000 {
        let mut idle = true;
        loop {
            match server.poll(Time(0)) {
                Step::Event(event) => owner.act(server, event),
                Step::StartTls => break,
                Step::Wait | Step::Close => break,
            }
        }
        let mut bytes = Vec::new();
        server.transmit(&mut bytes);
        // In small pieces, as a network would on a bad day.
        for piece in bytes.chunks(7) {
            idle = false;
            client.receive(piece);
        }
        loop {
            match client.poll(Time(0)) {
                Step::Event(Event::Ready) => match messages.pop() {
                    Some((envelope, text)) => {
                        body = text;
                        client.send(envelope);
                    }
                    None => client.quit(),
                },
                Step::Event(Event::WantsBody) if body.is_empty() => client.body_end(),
                Step::Event(Event::WantsBody) => {
                    let (piece, rest) = body.split_at(body.len().min(3));
                    client.body(piece.as_bytes());
                    body = rest;
                }
                Step::Event(event) => events.push(event),
                Step::StartTls => {
                    let mut bytes = Vec::new();
                    client.transmit(&mut bytes);
                    assert!(bytes.is_empty());
                    client.tls_started();
                    server.tls_started();
                }
                Step::Wait => break,
                Step::Close => break,
            }
        }
        let mut bytes = Vec::new();
        client.transmit(&mut bytes);
        for piece in bytes.chunks(5) {
            idle = false;
            server.receive(piece);
        }
        if idle {
            return events;
        }
    }
    panic!("they talk for ever");
}

fn taken() -> RecipientOutcome {
    RecipientOutcome::Accepted(Reply::new(250, EnhancedCode(2, 0, 0), "Message taken"))
}

fn outcome(event: &Event) -> &Outcome {
    match event {
        Event::Outcome(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_messages_over_one_connection_with_tls_and_every_mechanism() {
    for mechanism in wire::sasl::Mechanism::WITH_PASSWORD {
        let mut config = server::Config::new(Mode::Submission, "mx.test", 10_000);
        config.starttls = true;
        config.auth = vec![mechanism];
        let (mut server, mut owner) = (Server::new(config), Owner::new(Mode::Submission));
        let mut client = Client::new(Config {
            starttls: StartTls::Require,
            credentials: Some(Credentials { login: "ann".into(), password: Secret::new(b"pw".to_vec()) }),
            ..client_config()
        });
        let messages = vec![(envelope(&["b@y.test", "nobody@y.test"]), ".dots\r\n..\r\n"), (envelope(&["c@y.test"]), "no end")];
        let events = meet(&mut client, &mut server, &mut owner, messages);
        assert_eq!(events.len(), 2, "{events:?}");
        let refused = RecipientOutcome::Refused(Stage::Rcpt, Reply::new(550, EnhancedCode(5, 1, 1), "Nobody by that name"));
        assert_eq!(outcome(&events[0]).recipients, [taken(), refused]);
        assert!(outcome(&events[0]).dsn_offered);
        assert_eq!(outcome(&events[1]).recipients, [taken()]);
        assert!(owner.log.contains(&r"message a@x.test -> b@y.test: .dots\r\n..\r\n [ESMTPSA]".to_owned()), "{:?}", owner.log);
        assert!(owner.log.contains(&r"message a@x.test -> c@y.test: no end\r\n [ESMTPSA]".to_owned()), "{:?}", owner.log);
        assert_eq!(client.poll(Time(0)), Step::Close);
        assert_eq!(server.poll(Time(0)), Step::Close);
    }
}

#[test]
fn lmtp_has_a_result_for_each() {
    let (mut server, mut owner) = (Server::new(server::Config::new(Mode::Lmtp, "mx.test", 10_000)), Owner::new(Mode::Lmtp));
    let mut client = Client::new(Config { lmtp: true, ..client_config() });
    let messages =
        vec![(envelope(&["b@y.test", "nobody@y.test", "later@y.test"]), "hi\r\n"), (envelope(&["nobody@y.test"]), "x\r\n")];
    let events = meet(&mut client, &mut server, &mut owner, messages);
    let [first, second] = events.as_slice() else { panic!("{events:?}") };
    let codes: Vec<u16> = outcome(first).recipients.iter().map(code).collect();
    assert_eq!(codes, [250, 550, 451]);
    assert_eq!(outcome(second).recipients.iter().map(code).collect::<Vec<_>>(), [550]);
}

fn code(outcome: &RecipientOutcome) -> u16 {
    match outcome {
        RecipientOutcome::Accepted(reply) | RecipientOutcome::Refused(_, reply) => reply.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_password_is_said_so() {
    let config = server::Config { plaintext_auth: true, ..server::Config::new(Mode::Submission, "mx.test", 10_000) };
    let (mut server, mut owner) = (Server::new(config), Owner::new(Mode::Submission));
    let credentials = Some(Credentials { login: "ann".into(), password: Secret::new(b"px".to_vec()) });
    let mut client = Client::new(Config { credentials, plaintext_auth: true, ..client_config() });
    let events = meet(&mut client, &mut server, &mut owner, vec![(envelope(&["b@y.test"]), "x\r\n")]);
    assert!(
        matches!(events.as_slice(), [Event::Failed(Failure::Refused(Stage::Auth, reply))] if reply.code == 535),
        "{events:?}"
    );
    assert!(owner.log.iter().all(|line| !line.starts_with("message")));
}

/// Plays a server from a script: after each expected line of the client, the given answer. Gives the client's events.
fn against(config: Config, to: &[&str], script: &[(&str, &str)]) -> Vec<Event> {
    against_envelope(config, envelope(to), script)
}

fn against_envelope(config: Config, envelope: Envelope, script: &[(&str, &str)]) -> Vec<Event> {
    let mut client = Client::new(config);
    let mut events = Vec::new();
    let mut envelope = Some(envelope);
    let mut said = String::new();
    for (want, answer) in script {
        if !want.is_empty() {
            let (line, rest) = said.split_once("\r\n").unwrap_or_else(|| panic!("the client does not say {want}; {events:?}"));
            assert_eq!(line, *want);
            said = rest.to_owned();
        }
        client.receive(answer.as_bytes());
        loop {
            match client.poll(Time(0)) {
                Step::Event(Event::Ready) => match envelope.take() {
                    Some(envelope) => client.send(envelope),
                    None => client.quit(),
                },
                Step::Event(Event::WantsBody) => client.body_end(),
                Step::Event(event) => events.push(event),
                Step::Wait | Step::Close | Step::StartTls => break,
            }
        }
        let mut out = Vec::new();
        client.transmit(&mut out);
        said.push_str(&String::from_utf8(out).unwrap());
    }
    client.receive_end();
    while let Step::Event(event) = client.poll(Time(0)) {
        events.push(event);
    }
    events
}

#[test]
fn an_old_server_gets_helo_and_one_command_at_a_time() {
    let events = against(
        client_config(),
        &["b@y.test"],
        &[
            ("", "220-old\r\n220 mx\r\n"),
            ("EHLO client.test", "502 what?\r\n"),
            ("HELO client.test", "250 mx\r\n"),
            ("MAIL FROM:<a@x.test>", "250 ok\r\n"),
            ("RCPT TO:<b@y.test>", "250 ok\r\n"),
            ("DATA", "354 go\r\n"),
            (".", "250 2.0.0 queued\r\n"),
            ("QUIT", "221 bye\r\n"),
        ],
    );
    assert_eq!(events.len(), 1);
    assert_eq!(outcome(&events[0]).recipients, [RecipientOutcome::Accepted(Reply::new(250, EnhancedCode(2, 0, 0), "queued"))]);
}

#[test]
fn without_a_recipient_there_is_no_data_and_a_reset_comes_before_the_next() {
    let events = against(
        client_config(),
        &["b@y.test", "c@y.test"],
        &[
            ("", "220 mx\r\n"),
            ("EHLO client.test", "250 mx\r\n"),
            ("MAIL FROM:<a@x.test>", "250 ok\r\n"),
            ("RCPT TO:<b@y.test>", "450 4.2.1 later\r\n"),
            ("RCPT TO:<c@y.test>", "550 5.1.1 no\r\n"),
            ("QUIT", "221 bye\r\n"),
        ],
    );
    assert_eq!(outcome(&events[0]).recipients.iter().map(code).collect::<Vec<_>>(), [450, 550]);
}

#[test]
fn a_pipelining_server_that_says_354_for_nobody_gets_an_empty_message() {
    let events = against(
        client_config(),
        &["b@y.test"],
        &[
            ("", "220 mx\r\n"),
            ("EHLO client.test", "250-mx\r\n250 PIPELINING\r\n"),
            ("MAIL FROM:<a@x.test>", "250 ok\r\n"),
            ("RCPT TO:<b@y.test>", "550 no\r\n"),
            ("DATA", "354 go\r\n"),
            (".", "554 no valid recipients\r\n"),
            ("QUIT", "221 bye\r\n"),
        ],
    );
    assert_eq!(outcome(&events[0]).recipients.iter().map(code).collect::<Vec<_>>(), [550]);
}

#[test]
fn parameters_go_only_where_they_are_offered() {
    let mut full = envelope(&["b@y.test"]);
    full.size = Some(12);
    full.ret = Some(wire::smtp::Ret::Headers);
    full.envelope_id = Some("id+1".into());
    full.eight_bit = true;
    full.recipients[0].notify = 1;
    full.recipients[0].original = Some("rfc822;b=b@y.test".into());
    against_envelope(
        client_config(),
        full.clone(),
        &[
            ("", "220 mx\r\n"),
            ("EHLO client.test", "250-mx\r\n250-DSN\r\n250-8BITMIME\r\n250 SIZE 0\r\n"),
            ("MAIL FROM:<a@x.test> SIZE=12 BODY=8BITMIME RET=HDRS ENVID=id+2B1", "250 ok\r\n"),
            ("RCPT TO:<b@y.test> NOTIFY=NEVER ORCPT=rfc822;b+3Db@y.test", "250 ok\r\n"),
            ("DATA", "451 later\r\n"),
        ],
    );
    full.eight_bit = false;
    against_envelope(
        client_config(),
        full,
        &[
            ("", "220 mx\r\n"),
            ("EHLO client.test", "250 mx\r\n"),
            ("MAIL FROM:<a@x.test>", "250 ok\r\n"),
            ("RCPT TO:<b@y.test>", "250 ok\r\n"),
            ("DATA", "451 later\r\n"),
        ],
    );
}

#[test]
fn what_is_not_offered_is_not_tried() {
    let plain = [("", "220 mx\r\n"), ("EHLO client.test", "250-mx\r\n250 SIZE 10\r\n"), ("QUIT", "221 bye\r\n")];
    for (change, needed) in [
        (Envelope { eight_bit: true, ..envelope(&["b@y.test"]) }, Needed::EightBitMime),
        (Envelope { size: Some(11), ..envelope(&["b@y.test"]) }, Needed::Size(10)),
        (envelope(&["grå@y.test"]), Needed::SmtpUtf8),
    ] {
        let events = against_envelope(client_config(), change, &plain);
        assert_eq!(outcome(&events[0]).recipients, [RecipientOutcome::NotOffered(needed)]);
    }
    let events = against(client_config(), &["a\r\nDATA@y.test"], &plain);
    assert_eq!(outcome(&events[0]).recipients, [RecipientOutcome::Unwritable]);
}

#[test]
fn policy_comes_before_mail() {
    let require = Config { starttls: StartTls::Require, ..client_config() };
    let hello = [("", "220 mx\r\n"), ("EHLO client.test", "250-mx\r\n250 AUTH PLAIN\r\n"), ("QUIT", "221 bye\r\n")];
    assert_eq!(against(require, &["b@y.test"], &hello), [Event::Failed(Failure::TlsNotOffered)]);
    let credentials = Some(Credentials { login: "ann".into(), password: Secret::new(b"pw".to_vec()) });
    let in_clear = Config { credentials, ..client_config() };
    assert_eq!(against(in_clear, &["b@y.test"], &hello), [Event::Failed(Failure::AuthNotOffered)]);
}

#[test]
fn trouble_has_a_name() {
    let failed = |script: &[(&str, &str)]| against(client_config(), &["b@y.test"], script);
    assert!(matches!(failed(&[("", "554 go away\r\n")]).as_slice(), [Event::Failed(Failure::Refused(Stage::Greeting, _))]));
    assert_eq!(failed(&[("", "SSH-2.0-x\r\n")]), [Event::Failed(Failure::Nonsense(Stage::Greeting))]);
    assert_eq!(failed(&[("", "220 mx\r\n")]), [Event::Failed(Failure::Lost(Stage::Hello))]);
    let begun = [("", "220 mx\r\n"), ("EHLO client.test", "250-mx\r\n250 PIPELINING\r\n")];
    let events = failed(&begun);
    assert_eq!(outcome(&events[0]).recipients, [RecipientOutcome::Lost(Stage::Mail)]);
    assert_eq!(events[1], Event::Failed(Failure::Lost(Stage::Mail)));
    let events = failed(&[&begun[..], &[("MAIL FROM:<a@x.test>", "250 ok\r\n250 ok\r\n354 go\r\n")]].concat());
    assert_eq!(outcome(&events[0]).recipients, [RecipientOutcome::Lost(Stage::End)]);
    let events = failed(&[&begun[..], &[("MAIL FROM:<a@x.test>", "421 4.3.2 going down\r\n")]].concat());
    assert_eq!(outcome(&events[0]).recipients.iter().map(code).collect::<Vec<_>>(), [421]);
    assert!(matches!(&events[1], Event::Failed(Failure::Refused(Stage::Mail, reply)) if reply.code == 421));
}

#[test]
fn a_silent_server_is_left() {
    let mut client = Client::new(client_config());
    assert_eq!(client.poll(Time(5)), Step::Wait);
    assert_eq!(client.deadline(), Some(Time(300_005)));
    assert_eq!(client.poll(Time(300_005)), Step::Event(Event::Failed(client::Failure::TimedOut(Stage::Greeting))));
    assert_eq!(client.poll(Time(300_005)), Step::Close);
}
