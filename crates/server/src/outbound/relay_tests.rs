//! Ways that are not MX: a server for one domain, LMTP over TCP and a Unix socket, an address of ours to come from; and what
//! the sender hears when an address leads to many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::tests::{ann_sends, dns, here, queue_is_empty, settings, there};
use super::{Relay, RelayTls};
use crate::smtp::tests::{Office, Talk, read_inbox, wait_for};
use crate::smtp::{Mode, serve};
use net::{Connection, Listener};
use std::net::SocketAddr;

fn to(address: SocketAddr, lmtp: bool) -> Relay {
    Relay {
        lmtp,
        socket: None,
        host: address.ip().to_string(),
        port: address.port(),
        tls: RelayTls::Opportunistic,
        username: None,
        password: None,
        extra_ca: None,
        reach: None,
    }
}

/// One domain by its own server, though all else goes to a smarthost that is dead.
#[tokio::test]
async fn a_domain_has_a_way_of_its_own() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    let mut settings = settings(&resolver, &[("mx.there.test", there.mx)]);
    settings.relay = Some(to("127.0.0.1:1".parse().unwrap(), false));
    settings.by_domain = [("there.test".to_owned(), Some(to(there.mx, false))), ("backup.test".to_owned(), None)].into();
    settings.sources = vec!["192.0.2.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
    here.send(settings);
    ann_sends(&here, &["carol@there.test", "x@backup.test", "y@else.test"]).await;
    let carol = wait_for(&there.context.store, "carol@there.test", 1).await;
    assert!(carol[0].contains("from mx.here.test ([127.0.0.2])"), "the source address that fits: {}", carol[0]);
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    assert!(ann[0].contains("x@backup.test") && ann[0].contains("mx.there.test said: 550"), "by MX: {}", ann[0]);
    let left = here.context.store.queue_list(None, 10).await.unwrap();
    assert_eq!(left.len(), 1, "the rest waits for the smarthost: {left:?}");
    assert_eq!(left[0].message.destination, "else.test");
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    let mut settings = settings(&resolver, &[]);
    settings.by_domain = [("there.test".to_owned(), Some(to(there.lmtp, true)))].into();
    here.send(settings);
    ann_sends(&here, &["carol@there.test", "nobody@there.test", "dave@there.test"]).await;
    let carol = wait_for(&there.context.store, "carol@there.test", 1).await;
    assert!(carol[0].contains("with LMTP id"), "{}", carol[0]);
    wait_for(&there.context.store, "dave@there.test", 1).await;
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    assert!(ann[0].contains("nobody@there.test") && ann[0].contains("Status: 5.1.1"), "{}", ann[0]);
    queue_is_empty(&here).await;
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn lmtp_over_a_unix_socket() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lmtp");
    let listener = Listener::bind(&net::ListenAddr::Unix(path.clone())).unwrap();
    let context = there.context.clone();
    let serving = tokio::spawn(async move {
        loop {
            let incoming = listener.accept().await.unwrap();
            tokio::spawn(serve(context.clone(), Connection::server(incoming, None), Mode::Lmtp));
        }
    });
    let mut settings = settings(&resolver, &[]);
    let relay = Relay { socket: Some(path), tls: RelayTls::None, ..to(there.lmtp, true) };
    settings.by_domain = [("there.test".to_owned(), Some(relay))].into();
    here.send(settings);
    ann_sends(&here, &["carol@there.test"]).await;
    wait_for(&there.context.store, "carol@there.test", 1).await;
    queue_is_empty(&here).await;
    serving.abort();
    here.close().await;
    there.close().await;
}

async fn ask_success(office: &Office, to: &str) {
    let mut talk = Talk::signed_in(office.submission, "ann@here.test").await;
    assert!(talk.say("MAIL FROM:<ann@here.test>").await.starts_with("250"));
    assert!(talk.say(&format!("RCPT TO:<{to}> NOTIFY=SUCCESS")).await.starts_with("250"));
    assert!(talk.data("From: ann@here.test\r\n\r\nx\r\n").await.starts_with("250"));
}

/// RFC 3461 §5.2.7: the sender hears that an address stands for many, once, and not of each of them.
#[tokio::test]
async fn an_address_for_many_is_told_as_expanded() {
    let (_dns, resolver) = dns().await;
    let (mut here, there) = (here().await, there().await);
    here.alias("all@here.test", &["bob@here.test", "carol@there.test"]).await;
    here.alias("one@here.test", &["bob@here.test"]).await;
    here.send(settings(&resolver, &[("mx.there.test", there.mx)]));
    ask_success(&here, "all@here.test").await;
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    assert!(ann[0].contains("Final-Recipient: rfc822; all@here.test\r\nAction: expanded\r\nStatus: 2.0.0\r\n"), "{}", ann[0]);
    wait_for(&there.context.store, "carol@there.test", 1).await;
    queue_is_empty(&here).await;
    ask_success(&here, "one@here.test").await;
    let ann = wait_for(&here.context.store, "ann@here.test", 2).await;
    assert!(ann[1].contains("Final-Recipient: rfc822; one@here.test\r\nAction: delivered\r\n"), "{}", ann[1]);
    assert_eq!(read_inbox(&there.context.store, "carol@there.test").await.len(), 1);
    here.close().await;
    there.close().await;
}
