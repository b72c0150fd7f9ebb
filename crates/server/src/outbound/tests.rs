//! Two post offices facing each other over loopback, with DNS of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{Relay, RelayTls, Settings};
use crate::smtp::tests::{Office, Options, PASSWORD, Talk, read_inbox, wait_for};
use mta::queue::Schedule;
use net::dns_server::{DnsServer, Zone};
use net::{ListenAddr, Listener, Resolver, TlsServer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::RecipientState;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

fn quick() -> Schedule {
    Schedule { retry_secs: vec![1], ..Schedule::default() }
}

pub(super) async fn dns() -> (DnsServer, Resolver) {
    let mut zone = Zone::new();
    zone.mx("there.test", 10, "mx.there.test").mx("here.test", 10, "mx.here.test").null_mx("null.test").servfail("broken.test");
    zone.mx("backup.test", 10, "dead.backup.test").mx("backup.test", 20, "mx.there.test").mx("circle.test", 10, "mx.here.test");
    zone.mx("timeless.test", 10, "mx.timeless.test");
    zone.address("dead.backup.test", "127.0.0.1".parse().unwrap());
    let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), zone).await.unwrap();
    let resolver = Resolver::with_servers(vec![server.local()]).unwrap();
    (server, resolver)
}

pub(super) fn settings(resolver: &Resolver, routes: &[(&str, SocketAddr)]) -> Settings {
    let mut settings = Settings::new(resolver.clone());
    settings.routes = routes.iter().map(|(host, address)| ((*host).to_owned(), *address)).collect();
    settings.schedule = quick();
    // Nobody listens there.
    settings.port = 1;
    settings
}

pub(super) async fn here() -> Office {
    Office::open(Options::new("mx.here.test", &["here.test"], &["ann", "bob"])).await
}

pub(super) async fn there() -> Office {
    Office::open(Options::new("mx.there.test", &["there.test"], &["carol", "dave"])).await
}

pub(super) async fn ann_sends(office: &Office, to: &[&str]) {
    let mut talk = Talk::signed_in(office.submission, "ann@here.test").await;
    let message = "From: ann@here.test\r\nSubject: hello\r\n\r\nHello, world.\r\n";
    let reply = talk.send("ann@here.test", to, message).await;
    assert!(reply.starts_with("250"), "{reply}");
}

pub(super) async fn queue_is_empty(office: &Office) {
    for _ in 0..500 {
        if office.context.store.queue_list(None, 10).await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still queued: {:#?}", office.context.store.queue_list(None, 10).await);
}

#[tokio::test]
async fn from_ann_to_carol() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    here.send(settings(&resolver, &[("mx.there.test", there.mx)]));
    ann_sends(&here, &["carol@there.test", "bob@here.test", "dave@there.test"]).await;
    let carol = wait_for(&there.context.store, "carol@there.test", 1).await;
    wait_for(&there.context.store, "dave@there.test", 1).await;
    let got = &carol[0];
    assert!(got.starts_with("Return-Path: <ann@here.test>\r\nReceived: from mx.here.test ([127.0.0.1])\r\n"), "{got}");
    assert_eq!(got.matches("Return-Path:").count(), 1, "{got}");
    assert_eq!(got.matches("Received:").count(), 2, "{got}");
    assert!(got.ends_with("Subject: hello\r\n\r\nHello, world.\r\n"), "{got}");
    let bob = wait_for(&here.context.store, "bob@here.test", 1).await;
    assert_eq!(bob[0].matches("Received:").count(), 1);
    queue_is_empty(&here).await;
    assert_eq!(read_inbox(&here.context.store, "ann@here.test").await.len(), 0, "no report of success unasked");
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn a_bounce_for_a_nobody_in_plain_words() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    here.send(settings(&resolver, &[("mx.there.test", there.mx)]));
    ann_sends(&here, &["nobody@there.test", "carol@there.test"]).await;
    wait_for(&there.context.store, "carol@there.test", 1).await;
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    for part in [
        "Return-Path: <>\r\n",
        "could not be delivered to:\r\n\r\n  nobody@there.test\r\n    mx.there.test said: 550 5.1.1",
        "Final-Recipient: rfc822; nobody@there.test\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.there.test\r\n",
        "Content-Type: message/rfc822\r\n",
        "Hello, world.",
    ] {
        assert!(ann[0].contains(part), "{part} in {}", ann[0]);
    }
    assert!(!ann[0].contains("carol"), "only who failed");
    queue_is_empty(&here).await;
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn what_dns_says_for_good_bounces_and_a_bounce_is_not_bounced() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    here.send(settings(&resolver, &[]));
    for (to, status) in [("x@null.test", "5.1.10"), ("x@missing.test", "5.1.2"), ("x@circle.test", "5.4.6")] {
        let before = read_inbox(&here.context.store, "ann@here.test").await.len();
        ann_sends(&here, &[to]).await;
        let ann = wait_for(&here.context.store, "ann@here.test", before + 1).await;
        assert!(ann[before].contains(&format!("Status: {status}\r\n")), "{status} in {}", ann[before]);
    }
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    assert!(talk.send("", &["x@null.test"], "From: ann@here.test\r\n\r\nread\r\n").await.starts_with("250"));
    queue_is_empty(&here).await;
    assert_eq!(read_inbox(&here.context.store, "ann@here.test").await.len(), 3);
    here.close().await;
}

#[tokio::test]
async fn what_must_have_tls_is_not_sent_without_it() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    here.send(settings(&resolver, &[("mx.there.test", there.mx)]));
    let account = here.context.store.account("ann@here.test").await.unwrap().unwrap();
    let octets = bytes::Bytes::from_static(b"From: ann@here.test\r\n\r\nsecret\r\n");
    let recipient = mta::accept::Recipient {
        forward_path: "carol@there.test".into(),
        destinations: mta::receive::Destinations { remote: vec!["carol@there.test".into()], ..Default::default() },
        ..Default::default()
    };
    let envelope = mta::accept::Envelope {
        reverse_path: "ann@here.test".into(),
        account: Some(account.id),
        service: store::QueueService { require_tls: true, ..Default::default() },
        ..Default::default()
    };
    let facts = crate::facts::facts_of(octets.clone()).await.unwrap();
    let now_secs = crate::context::unix_now();
    let around = mta::accept::Circumstances {
        now_secs,
        id: "x",
        peer: "test",
        lifetime_secs: 1_000,
        full: &[],
        forwarded_as: None,
        junk: false,
        fulfilled: &Default::default(),
    };
    let acceptance = mta::accept::acceptance(&envelope, &[&recipient], store::Spooled::from_bytes(octets), facts, around);
    here.context.store.accept(acceptance).await.unwrap();
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    assert!(ann[0].contains("Status: 5.7.10\r\n") && ann[0].contains("REQUIRETLS"), "{}", ann[0]);
    assert!(read_inbox(&there.context.store, "carol@there.test").await.is_empty());
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn the_next_mx_is_tried_and_dns_trouble_waits() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    there.alias("postmaster@there.test", &["carol@there.test"]).await;
    here.send(settings(&resolver, &[("mx.there.test", there.mx)]));
    ann_sends(&here, &["x@backup.test"]).await;
    // The backup answers, and says that it does not serve the domain: that is a real answer.
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    assert!(ann[0].contains("mx.there.test said: 550 5.7.1"), "{}", ann[0]);
    ann_sends(&here, &["x@broken.test"]).await;
    let entry = loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let queue = here.context.store.queue_list(None, 10).await.unwrap();
        if let Some(entry) = queue.into_iter().find(|entry| entry.attempts > 0) {
            break entry;
        }
    };
    assert_eq!(entry.message.recipients[0].state, RecipientState::Waiting);
    assert!(entry.message.recipients[0].last_reply.contains("DNS"), "{entry:?}");
    here.close().await;
    there.close().await;
}

/// A server by script: for each transaction in turn, replies to RCPT and to the message. Gives back what came, a connection at
/// a time (one that hangs: up to there).
pub(super) async fn scripted(
    script: Vec<(&'static str, &'static str)>,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    scripted_with("250-script.test\r\n250 SIZE 100000", script).await
}

/// The same with its own answer to EHLO; STARTTLS gets a 220 and then no TLS.
pub(super) async fn scripted_with(
    ehlo: &'static str,
    script: Vec<(&'static str, &'static str)>,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let ListenAddr::Tcp(address) = listener.local() else { panic!("no TCP address") };
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut script = script.into_iter();
        let (mut rcpt, mut message) = ("503", "503");
        loop {
            let mut stream = BufReader::new(listener.accept().await.unwrap().into_tcp().unwrap());
            let mut heard = String::new();
            let mut in_data = false;
            stream.get_mut().write_all(b"220 script.test\r\n").await.unwrap();
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    break;
                }
                heard.push_str(&line);
                let word = line.get(..4).unwrap_or("").to_ascii_uppercase();
                let answer = match word.as_str() {
                    _ if in_data && line != ".\r\n" => continue,
                    _ if in_data => {
                        in_data = false;
                        message
                    }
                    "MAIL" => {
                        (rcpt, message) = script.next().unwrap_or(("550 the script is over", "550"));
                        "250 ok"
                    }
                    "EHLO" => ehlo,
                    "STAR" => "220 go",
                    "RCPT" => rcpt,
                    "DATA" => {
                        in_data = true;
                        "354 go"
                    }
                    "QUIT" => "221 bye",
                    _ => "250 ok",
                };
                if answer == "hang" {
                    sender.send(heard.clone()).unwrap();
                    std::future::pending::<()>().await;
                }
                stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                if word == "QUIT" || word == "STAR" {
                    break;
                }
            }
            sender.send(heard).unwrap();
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn a_temporary_refusal_is_tried_again() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let (address, mut heard) =
        scripted(vec![("450 4.2.0 greylisted", "250 ok"), ("250 ok", "451 4.3.0 later"), ("250 ok", "250 ok")]).await;
    here.send(settings(&resolver, &[("mx.there.test", address)]));
    ann_sends(&here, &["carol@there.test"]).await;
    queue_is_empty(&here).await;
    let all = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.expect("no connection").unwrap();
    assert!(all.contains("RCPT TO:<carol@there.test>"), "{all}");
    let trace = here.context.store.trace_find("address", "carol@there.test", 20).await.unwrap();
    let what: Vec<&str> = trace.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(what, ["accepted", "deferred", "deferred", "delivered"], "{trace:?}");
    assert!(read_inbox(&here.context.store, "ann@here.test").await.is_empty());
    here.close().await;
}

#[tokio::test]
async fn a_broken_handshake_is_followed_by_a_fresh_connection_in_the_clear() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let (address, mut heard) = scripted_with("250-script.test\r\n250 STARTTLS", vec![("250 ok", "250 ok")]).await;
    here.send(settings(&resolver, &[("mx.there.test", address)]));
    ann_sends(&here, &["carol@there.test"]).await;
    queue_is_empty(&here).await;
    let first = heard.recv().await.unwrap();
    assert!(first.contains("STARTTLS") && !first.contains("MAIL"), "{first}");
    let second = heard.recv().await.unwrap();
    assert!(!second.contains("STARTTLS") && second.contains("Hello, world."), "{second}");
    here.close().await;
}

#[tokio::test]
async fn what_the_next_hop_cannot_take() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let (address, mut heard) = scripted(vec![("250 ok", "250 ok")]).await;
    here.send(settings(&resolver, &[("mx.there.test", address)]));
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    assert!(talk.say("MAIL FROM:<ann@here.test> SMTPUTF8").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<grå@there.test>").await.starts_with("250"));
    assert!(talk.data("From: ann@here.test\r\n\r\nx\r\n").await.starts_with("250"));
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    assert!(ann[0].contains("Status: 5.6.7\r\n") && ann[0].contains("utf-8; grå@there.test"), "{}", ann[0]);
    // Eight bits without 8BITMIME are put into seven; SMTPUTF8 that nothing needs is not asked for.
    assert!(talk.say("MAIL FROM:<ann@here.test> BODY=8BITMIME SMTPUTF8").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<carol@there.test>").await.starts_with("250"));
    assert!(talk.data("From: ann@here.test\r\n\r\ngrå\r\n").await.starts_with("250"));
    queue_is_empty(&here).await;
    let all = heard.recv().await.unwrap();
    assert!(all.contains("\r\n\r\ngr=C3=A5\r\n.\r\n") && all.contains("charset=utf-8"), "{all}");
    assert!(!all.contains("8BITMIME") && !all.contains("SMTPUTF8") && all.is_ascii(), "{all}");
    here.close().await;
}

/// RFC 9422: to five recipients in transactions of two, three of those over a connection, and then another.
#[tokio::test]
async fn the_limits_of_the_next_hop_are_kept() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let ehlo = "250-script.test\r\n250 LIMITS RCPTMAX=2 MAILMAX=3";
    let (address, mut heard) = scripted_with(ehlo, vec![("250 ok", "250 ok"); 4]).await;
    here.send(settings(&resolver, &[("mx.there.test", address)]));
    ann_sends(&here, &["a@there.test", "b@there.test", "c@there.test", "d@there.test", "e@there.test"]).await;
    queue_is_empty(&here).await;
    let all = heard.recv().await.unwrap();
    let words: Vec<&str> = all.lines().filter_map(|line| line.get(..4)).filter(|word| ["MAIL", "RCPT"].contains(word)).collect();
    assert_eq!(words.join(" "), "MAIL RCPT RCPT MAIL RCPT RCPT MAIL RCPT", "{all}");
    assert!(all.ends_with("QUIT\r\n"), "{all}");
    ann_sends(&here, &["f@there.test"]).await;
    queue_is_empty(&here).await;
    let all = heard.recv().await.unwrap();
    assert!(all.starts_with("EHLO") && all.contains("RCPT TO:<f@there.test>"), "{all}");
    assert!(read_inbox(&here.context.store, "ann@here.test").await.is_empty(), "nobody was refused");
    here.close().await;
}

/// RFC 2852 §4.1, RFC 3865: what was asked goes on; who keeps no time gets nothing that must come back, and the rest is told.
#[tokio::test]
async fn what_was_asked_goes_on_or_is_told() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let ehlo = "250-script.test\r\n250-DELIVERBY\r\n250 NO-SOLICITING";
    let (keeps, mut heard) = scripted_with(ehlo, vec![("250 ok", "250 ok")]).await;
    let (keeps_not, mut heard_too) = scripted(vec![("250 ok", "250 ok"); 2]).await;
    here.send(settings(&resolver, &[("mx.there.test", keeps), ("mx.timeless.test", keeps_not)]));
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    for (by, to) in [
        ("BY=600;NT SOLICIT=org.example:ADV", "carol@there.test"),
        ("BY=600;N", "dave@timeless.test"),
        ("BY=600;R", "erin@timeless.test"),
    ] {
        assert!(talk.say(&format!("MAIL FROM:<ann@here.test> {by}")).await.starts_with("250"), "{by}");
        assert!(talk.say(&format!("RCPT TO:<{to}>")).await.starts_with("250"));
        assert!(talk.data("From: ann@here.test\r\n\r\nx\r\n").await.starts_with("250"));
    }
    let told = wait_for(&here.context.store, "ann@here.test", 3).await;
    for (whose, action, status) in [
        ("carol@there.test", "relayed", "2.0.0"),
        ("dave@timeless.test", "relayed", "2.0.0"),
        ("erin@timeless.test", "failed", "5.3.3"),
    ] {
        let part = format!("Final-Recipient: rfc822; {whose}\r\nAction: {action}\r\nStatus: {status}\r\n");
        assert_eq!(told.iter().filter(|report| report.contains(&part)).count(), 1, "{part} in {told:?}");
    }
    queue_is_empty(&here).await;
    let all = heard.recv().await.unwrap();
    assert!(all.contains(";NT") && all.contains(" SOLICIT=org.example:ADV"), "{all}");
    let all = heard_too.recv().await.unwrap();
    assert!(all.contains("dave@") && !all.contains("erin@") && !all.contains("BY="), "{all}");
    here.close().await;
}

#[tokio::test]
async fn a_drain_ends_quickly_and_says_goodbye() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    here.send(settings(&resolver, &[("mx.there.test", there.mx)]));
    ann_sends(&here, &["carol@there.test"]).await;
    wait_for(&there.context.store, "carol@there.test", 1).await;
    let mut talk = Talk::to(here.mx, "EHLO x.test").await;
    let began = std::time::Instant::now();
    here.drain().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(talk.reply().await.starts_with("421 "));
    there.close().await;
}

#[tokio::test]
async fn one_connection_takes_many_messages() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let (address, mut heard) = scripted(vec![("250 ok", "250 ok"); 5]).await;
    for _ in 0..5 {
        ann_sends(&here, &["carol@there.test"]).await;
    }
    let mut settings = settings(&resolver, &[("mx.there.test", address)]);
    settings.connections_per_destination = 1;
    here.send(settings);
    queue_is_empty(&here).await;
    let all = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.expect("never ended").unwrap();
    assert_eq!(all.matches("MAIL FROM:<ann@here.test>").count(), 5, "{all}");
    assert_eq!(all.matches("\r\n.\r\n").count(), 5, "{all}");
    assert!(!all.contains("Return-Path"), "{all}");
    here.close().await;
}

pub(super) fn tls(dir: &std::path::Path) -> Arc<TlsServer> {
    Arc::new(TlsServer::self_signed(dir, &["localhost".to_owned()]).unwrap())
}

#[tokio::test]
async fn tls_is_used_when_offered() {
    let (_dns, resolver) = dns().await;
    let dir = tempfile::tempdir().unwrap();
    let mut here = here().await;
    let there =
        Office::open(Options { tls: Some(tls(dir.path())), ..Options::new("mx.there.test", &["there.test"], &["carol"]) }).await;
    here.send(settings(&resolver, &[("mx.there.test", there.mx)]));
    ann_sends(&here, &["carol@there.test"]).await;
    let carol = wait_for(&there.context.store, "carol@there.test", 1).await;
    assert!(carol[0].contains("with ESMTPS id") && carol[0].contains("(using TLSv1.3 "), "{}", carol[0]);
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn a_smarthost_with_sign_in_under_verified_tls() {
    let (_dns, resolver) = dns().await;
    let dir = tempfile::tempdir().unwrap();
    let certificate = tls(dir.path());
    let extra_ca = Some(certificate.certificate_path().to_owned());
    let provider = Office::open(Options {
        tls: Some(certificate),
        plaintext: crate::context::Plaintext::Never,
        ..Options::new("smtp.there.test", &["there.test", "here.test"], &["carol"])
    })
    .await;
    // The provider lets carol write as ann.
    provider.alias("ann@here.test", &["carol@there.test"]).await;
    let mut here = here().await;
    let mut settings = settings(&resolver, &[("localhost", provider.submission)]);
    settings.relay = Some(Relay {
        reach: None,
        lmtp: false,
        socket: None,
        host: "localhost".to_owned(),
        port: 587,
        tls: RelayTls::Starttls,
        username: Some("carol@there.test".to_owned()),
        password: Some(PASSWORD.as_bytes().to_vec().into()),
        extra_ca,
    });
    here.send(settings);
    ann_sends(&here, &["carol@there.test"]).await;
    let carol = wait_for(&provider.context.store, "carol@there.test", 1).await;
    assert!(carol[0].contains("with ESMTPSA id"), "{}", carol[0]);
    here.close().await;
    provider.close().await;
}

#[tokio::test]
async fn a_smarthost_that_refuses_us_makes_mail_wait() {
    let (_dns, resolver) = dns().await;
    let dir = tempfile::tempdir().unwrap();
    let provider =
        Office::open(Options { tls: Some(tls(dir.path())), ..Options::new("smtp.there.test", &["there.test"], &["carol"]) })
            .await;
    let mut here = here().await;
    let mut settings = settings(&resolver, &[("localhost", provider.submission)]);
    settings.relay = Some(Relay {
        reach: None,
        lmtp: false,
        socket: None,
        host: "localhost".to_owned(),
        port: 587,
        tls: RelayTls::Starttls,
        username: Some("carol@there.test".to_owned()),
        password: Some(PASSWORD.as_bytes().to_vec().into()),
        // Nobody vouches for this certificate.
        extra_ca: None,
    });
    here.send(settings);
    ann_sends(&here, &["carol@there.test"]).await;
    let entry = loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let queue = here.context.store.queue_list(None, 10).await.unwrap();
        if let Some(entry) = queue.into_iter().find(|entry| entry.attempts > 0) {
            break entry;
        }
    };
    assert_eq!(entry.message.recipients[0].state, RecipientState::Waiting, "{entry:?}");
    assert!(read_inbox(&provider.context.store, "carol@there.test").await.is_empty());
    here.close().await;
    provider.close().await;
}

#[tokio::test]
async fn success_is_told_when_asked_for() {
    let (_dns, resolver) = dns().await;
    let (mut here, mut there) = (here().await, there().await);
    here.send(settings(&resolver, &[("mx.there.test", there.mx)]));
    there.send(settings(&resolver, &[("mx.here.test", here.mx)]));
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    assert!(talk.say("MAIL FROM:<ann@here.test> RET=HDRS ENVID=e1").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<carol@there.test> NOTIFY=SUCCESS ORCPT=rfc822;carol@there.test").await.starts_with("250"));
    assert!(talk.data("From: ann@here.test\r\n\r\nx\r\n").await.starts_with("250"));
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    for part in ["Original-Envelope-Id: e1\r\nReporting-MTA: dns; mx.there.test\r\n", "Action: delivered\r\nStatus: 2.0.0\r\n"] {
        assert!(ann[0].contains(part), "{part} in {}", ann[0]);
    }
    here.close().await;
    there.close().await;
}

/// RFC 3461 §5.2.2: whoever takes it and does not report delivery is named, and it says so in plain words.
#[tokio::test]
async fn a_server_that_does_not_report_is_told_as_relayed() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let (address, mut heard) = scripted(vec![("250 ok", "250 ok")]).await;
    here.send(settings(&resolver, &[("mx.there.test", address)]));
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    assert!(talk.say("MAIL FROM:<ann@here.test> RET=HDRS").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<carol@there.test> NOTIFY=SUCCESS").await.starts_with("250"));
    assert!(talk.data("From: ann@here.test\r\n\r\nx\r\n").await.starts_with("250"));
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    for part in [
        "passed on to a server that does not report delivery, for:\r\n\r\n  carol@there.test",
        "Final-Recipient: rfc822; carol@there.test\r\nAction: relayed\r\nStatus: 2.0.0\r\n",
    ] {
        assert!(ann[0].contains(part), "{part} in {}", ann[0]);
    }
    queue_is_empty(&here).await;
    let all = heard.recv().await.unwrap();
    assert!(!all.contains("NOTIFY") && !all.contains("RET="), "not offered, not said: {all}");
    here.close().await;
}

#[tokio::test]
async fn room_made_later_lets_the_waiting_in() {
    let (_dns, resolver) = dns().await;
    let mut there = there().await;
    let full = there.account("full@there.test", Some(600)).await;
    let mut talk = Talk::to(there.mx, "EHLO x.test").await;
    let message = format!("Subject: big\r\n\r\n{}\r\n", "x".repeat(900));
    assert!(talk.send("a@here.test", &["full@there.test", "carol@there.test"], &message).await.starts_with("250"));
    there.send(settings(&resolver, &[]));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(read_inbox(&there.context.store, "full@there.test").await.is_empty());
    there.context.store.account_quota(full, None).await.unwrap();
    let full = wait_for(&there.context.store, "full@there.test", 1).await;
    let carol = wait_for(&there.context.store, "carol@there.test", 1).await;
    assert_eq!(full, carol, "the same octets");
    queue_is_empty(&there).await;
    there.close().await;
}

/// A network where whoever dials this address breaks, and rings first.
struct Breaks(SocketAddr, Arc<tokio::sync::Notify>);

impl net::Dial for Breaks {
    fn dial(&self, to: SocketAddr) -> net::Dialling {
        if to == self.0 {
            self.1.notify_one();
            panic!("broken on purpose");
        }
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(to).await?;
            let local = stream.local_addr()?;
            Ok((Box::new(stream) as Box<dyn net::Octets>, local))
        })
    }
}

#[tokio::test]
async fn a_worker_that_breaks_keeps_no_place() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    let bad: SocketAddr = ([127, 0, 0, 1], 1).into();
    let mut settings = settings(&resolver, &[("mx.there.test", there.mx), ("mx.timeless.test", bad)]);
    let broken = Arc::new(tokio::sync::Notify::new());
    settings.network = net::Network::Other(Arc::new(Breaks(bad, Arc::clone(&broken))));
    (settings.connections_max, settings.connections_per_destination) = (1, 1);
    here.send(settings);
    ann_sends(&here, &["x@timeless.test"]).await;
    tokio::time::timeout(Duration::from_secs(30), broken.notified()).await.expect("never dialled");
    ann_sends(&here, &["carol@there.test"]).await;
    wait_for(&there.context.store, "carol@there.test", 1).await;
    // Hers goes when it is written down that she has it.
    let waiting = loop {
        let waiting = here.context.store.queue_list(None, 10).await.unwrap();
        if waiting.iter().all(|entry| entry.message.destination != "there.test") {
            break waiting;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(waiting.len(), 1, "it waits, and is not lost: {waiting:#?}");
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn a_kill_in_the_middle_loses_nothing() {
    let (_dns, resolver) = dns().await;
    let dir = tempfile::tempdir().unwrap();
    let options =
        || Options { data_dir: Some(dir.path().join("here")), ..Options::new("mx.here.test", &["here.test"], &["ann", "bob"]) };
    let there = there().await;
    let mut here = Office::open(options()).await;
    let (hangs, mut heard) = scripted(vec![("250 ok", "hang")]).await;
    here.send(settings(&resolver, &[("mx.there.test", hangs)]));
    ann_sends(&here, &["carol@there.test", "bob@here.test"]).await;
    tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.expect("never sent").unwrap();
    here.kill();
    // The old store is gone when its last task is.
    let mut here = loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let config = crate::smtp::tests::store_config(&dir.path().join("here"));
        if let Ok(store) = store::Store::open(config).await {
            store.close().await.unwrap();
            break Office::open(options()).await;
        }
    };
    here.send(settings(&resolver, &[("mx.there.test", there.mx)]));
    wait_for(&there.context.store, "carol@there.test", 1).await;
    wait_for(&here.context.store, "bob@here.test", 1).await;
    queue_is_empty(&here).await;
    here.close().await;
    there.close().await;
}
