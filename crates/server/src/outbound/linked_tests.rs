//! Sending as an address elsewhere, through that address's own submission server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::tests::{dns, here, queue_is_empty, settings, there};
use super::{Linked, Relay, RelayTls};
use crate::smtp::tests::{Office, PASSWORD, read_inbox, wait_for};
use crate::smtp::{HandedIn, To, Whole, hand_in};
use std::net::SocketAddr;

const OLD: &str = "carol@there.test";

fn way(address: SocketAddr, reach: net::Reach) -> Relay {
    Relay {
        lmtp: false,
        socket: None,
        host: address.ip().to_string(),
        port: address.port(),
        tls: RelayTls::Starttls,
        username: Some(OLD.into()),
        password: Some(PASSWORD.as_bytes().to_vec().into()),
        extra_ca: None,
        reach: Some(reach),
    }
}

/// Ann, who was carol@there.test, writes to dave there.
async fn as_carol(here: &Office, octets: &[u8], resent: bool) -> Result<HandedIn, mta::Refusal> {
    let ann = here.context.store.account("ann@here.test").await.unwrap().unwrap();
    let whole = Whole {
        account: &ann,
        reverse_path: OLD.into(),
        recipients: vec![To::plain("dave@there.test")],
        octets,
        hold_until_secs: None,
        ret_headers: false,
        envelope_id: None,
        service: Default::default(),
        peer: None,
        by: Some(Linked::destination(ann.id, OLD)),
        resent,
    };
    hand_in(&here.context, whole).await
}

#[tokio::test]
async fn mail_as_an_address_elsewhere_goes_out_by_its_own_server() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    let ann = here.context.store.account("ann@here.test").await.unwrap().unwrap();
    let mut settings = settings(&resolver, &[]);
    // All else goes to a smarthost that is dead; this does not.
    settings.relay = Some(Relay { reach: None, ..way("127.0.0.1:1".parse().unwrap(), net::Reach::Loopback) });
    let linked = settings.linked.clone();
    linked.set(&Linked::destination(ann.id, OLD), way(there.submission, net::Reach::Loopback));
    here.send(settings);
    let told = as_carol(&here, b"From: Carol <Carol@there.test>\r\nBcc: x@y.test\r\nSubject: old\r\n\r\nhello\r\n", false).await;
    assert_eq!(told.unwrap().queued.len(), 1);
    let dave = wait_for(&there.context.store, "dave@there.test", 1).await;
    assert!(dave[0].contains("Return-Path: <carol@there.test>") && dave[0].contains("with ESMTPA"), "{}", dave[0]);
    assert!(!dave[0].contains("Bcc"), "{}", dave[0]);
    for other in ["From: ann@here.test\r\n\r\nx\r\n", "From: carol@there.test\r\nSender: dave@there.test\r\n\r\nx\r\n"] {
        assert_eq!(as_carol(&here, other.as_bytes(), false).await.unwrap_err().code, 550, "{other}");
    }
    queue_is_empty(&here).await;
    // The link is taken away: what still wants to go there fails and says so, to whom it came from; nothing goes by MX.
    linked.remove(&Linked::destination(ann.id, OLD));
    as_carol(&here, b"From: carol@there.test\r\n\r\nlate\r\n", false).await.unwrap();
    for _ in 0..500 {
        let left = here.context.store.queue_list(None, 10).await.unwrap();
        if left.iter().all(|entry| entry.message.reverse_path.is_empty()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let left = here.context.store.queue_list(None, 10).await.unwrap();
    assert!(left.iter().all(|entry| entry.message.reverse_path.is_empty()), "{left:?}");
    assert_eq!(read_inbox(&there.context.store, "dave@there.test").await.len(), 1);
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn a_server_that_may_not_be_reached_is_not_dialled() {
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let listener = net::Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let net::ListenAddr::Tcp(address) = listener.local() else { panic!("no TCP address") };
    let ann = here.context.store.account("ann@here.test").await.unwrap().unwrap();
    let settings = settings(&resolver, &[]);
    settings.linked.set(&Linked::destination(ann.id, OLD), way(address, net::Reach::Public));
    here.send(settings);
    as_carol(&here, b"From: carol@there.test\r\n\r\nx\r\n", false).await.unwrap();
    let why = async {
        loop {
            let list = here.context.store.queue_list(None, 10).await.unwrap();
            if let Some(entry) = list.iter().find(|entry| entry.attempts > 0) {
                return entry.message.recipients[0].last_reply.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let why = tokio::time::timeout(std::time::Duration::from_secs(20), why).await.unwrap();
    assert!(why.contains("may not be reached"), "{why}");
    let knocked = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
    assert!(knocked.is_err(), "nobody knocked");
    here.close().await;
}

/// A token is asked for at each connection; where there is none, the message waits and says why.
#[tokio::test]
async fn a_token_signs_in_and_is_asked_for_each_time() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let (_dns, resolver) = dns().await;
    let mut here = here().await;
    let listener = net::Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let net::ListenAddr::Tcp(address) = listener.local() else { panic!("no TCP address") };
    let ann = here.context.store.account("ann@here.test").await.unwrap().unwrap();
    let settings = settings(&resolver, &[]);
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let proof = super::RelayProof::Token(std::sync::Arc::new(move || {
        let turn = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let token = format!("token-{turn}").into_bytes();
        Box::pin(async move { if turn == 0 { Err("the provider says no".to_owned()) } else { Ok(token.into()) } })
    }));
    let relay = Relay { password: Some(proof), ..way(address, net::Reach::Loopback) };
    settings.linked.set(&Linked::destination(ann.id, OLD), relay);
    here.send(settings);
    as_carol(&here, b"From: carol@there.test\r\n\r\nx\r\n", false).await.unwrap();
    let entry = async {
        loop {
            let list = here.context.store.queue_list(None, 10).await.unwrap();
            if let Some(entry) = list.into_iter().find(|entry| entry.attempts > 0) {
                return entry;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let entry = tokio::time::timeout(std::time::Duration::from_secs(20), entry).await.unwrap();
    assert!(entry.message.recipients[0].last_reply.contains("the provider says no"), "{entry:?}");
    here.context.store.queue_act(entry.id, store::QueueAct::Retry { now_secs: crate::context::unix_now() }).await.unwrap();
    let hearing = async {
        let mut stream = BufReader::new(listener.accept().await.unwrap().into_tcp().unwrap());
        stream.write_all(b"220 old.test ESMTP\r\n").await.unwrap();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            if line.starts_with("EHLO") {
                stream.write_all(b"250-old.test\r\n250 AUTH PLAIN XOAUTH2\r\n").await.unwrap();
            } else {
                return line;
            }
        }
    };
    let line = tokio::time::timeout(std::time::Duration::from_secs(20), hearing).await.unwrap();
    let said = data_encoding::BASE64.decode(line.trim_end().strip_prefix("AUTH XOAUTH2 ").unwrap().as_bytes()).unwrap();
    assert_eq!(String::from_utf8(said).unwrap(), format!("user={OLD}\u{1}auth=Bearer token-1\u{1}\u{1}"));
    here.close().await;
}

/// RFC 5322 §3.6.6: who sends it on stands in front, and not an octet below is touched.
#[tokio::test]
async fn a_message_is_sent_on_as_it_is() {
    let here = here().await;
    let ann = here.context.store.account("ann@here.test").await.unwrap().unwrap();
    let original = "Received: from a\r\nFrom: Shop <shop@else.test>\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@else.test>\r\nsubject:  Odd   spacing\r\n\r\nbody \r\n";
    let send = async |front: &str, from: &str, resent: bool| {
        let octets = format!("{front}{original}");
        let whole = Whole {
            account: &ann,
            reverse_path: from.into(),
            recipients: vec![To::plain("bob@here.test")],
            octets: octets.as_bytes(),
            hold_until_secs: None,
            ret_headers: false,
            envelope_id: None,
            service: Default::default(),
            peer: None,
            by: None,
            resent,
        };
        hand_in(&here.context, whole).await.map(|_| ()).map_err(|refusal| refusal.code)
    };
    let front = "Resent-From: Ann <ann@here.test>\r\nResent-To: bob@here.test\r\nResent-Date: Tue, 3 Nov 2026 10:00:00 +0000\r\nResent-Message-ID: <2@here.test>\r\n";
    assert_eq!(send(front, "ann@here.test", true).await, Ok(()));
    let bob = read_inbox(&here.context.store, "bob@here.test").await;
    assert!(bob[0].ends_with(&format!("{front}{original}")), "{}", bob[0]);
    assert!(!bob[0].contains("DKIM-Signature"), "{}", bob[0]);
    assert_eq!(send(front, "ann@here.test", false).await, Err(550), "not asked for");
    for other in [
        front.replace("ann@here.test", "bob@here.test"),
        format!("{front}Resent-Sender: bob@here.test\r\n"),
        front.replace("Resent-Date", "X-Date"),
        String::new(),
    ] {
        assert_eq!(send(&other, "ann@here.test", true).await, Err(550), "{other}");
    }
    assert_eq!(send(front, "bob@here.test", true).await, Err(550), "MAIL FROM is one's own all the same");
    here.close().await;
}
