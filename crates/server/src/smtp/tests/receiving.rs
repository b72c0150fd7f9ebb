//! Port 25 and LMTP.

use super::{MESSAGE_BYTES_MAX, Office, Options, Talk, read_inbox, wait_for};
use crate::smtp::tests::PASSWORD;
use crate::smtp::tests::office::read_mailbox;
use store::Flags;

async fn here() -> Office {
    Office::open(Options::new("mx.here.test", &["here.test"], &["ann", "bob"])).await
}

#[tokio::test]
async fn mail_from_elsewhere_is_in_the_mailbox_when_250_is_said() {
    let office = here().await;
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    let message = "Return-Path: <forged@x.test>\r\nSubject: hi\r\nFrom: carol@there.test\r\n\r\n.dot\r\nbody\r\n";
    let reply = talk.send("carol@there.test", &["Ann@HERE.test"], &message.replace("\r\n.dot", "\r\n..dot")).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let id = reply.split(' ').nth(2).unwrap().to_owned();
    let inbox = read_inbox(&office.context.store, "ann@here.test").await;
    let [got] = inbox.as_slice() else { panic!("{inbox:?}") };
    assert!(got.starts_with("Return-Path: <carol@there.test>\r\nReceived: from mail.there.test ([127.0.0.1])\r\n"), "{got}");
    assert!(got.contains(&format!("by mx.here.test with ESMTP id {id}\r\n\tfor <Ann@here.test>;\r\n")), "{got}");
    assert!(got.ends_with("Subject: hi\r\nFrom: carol@there.test\r\n\r\n.dot\r\nbody\r\n"), "{got}");
    assert!(!got.contains("forged"));
    let trace = office.context.store.trace_find("transaction", &id, 10).await.unwrap();
    let told: Vec<&str> = trace.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(told, ["accepted", "stored"], "{trace:?}");
    office.close().await;
}

/// RFC 4314 §4: `p` on a mailbox lets mail for `account+mailbox@` into it; without it the INBOX is where it goes.
#[tokio::test]
async fn the_right_to_post_opens_a_mailbox_to_its_address() {
    let office = here().await;
    let store = office.context.store.clone();
    let ann = store.account("ann@here.test").await.unwrap().unwrap().id;
    let team = store.mailbox_create(ann, "Team/News", None, 1).await.unwrap().id;
    let post = |who: &'static str, bits| store.acl_change(ann, team, who, store::AclChange::Replace(bits));
    let p = wire::imap::acl::Rights::of(&[wire::imap::acl::Right::Post]).bits();
    let counts = || async {
        let inbox = read_inbox(&store, "ann@here.test").await.len();
        (inbox, read_mailbox(&store, "ann@here.test", "Team/News").await.len())
    };
    let mut stranger = Talk::to(office.mx, "EHLO mail.there.test").await;
    let mut bob = Talk::signed_in(office.submission, "bob").await;
    let mut owner = Talk::signed_in(office.submission, "ann").await;
    let address = ["ann+team/news@here.test"];
    assert!(stranger.send("carol@there.test", &address, "Subject: 1\r\n\r\n").await.starts_with("250"));
    assert_eq!(counts().await, (1, 0));
    // For one by name.
    post("bob@here.test", p).await.unwrap();
    assert!(bob.send("bob@here.test", &address, "From: bob@here.test\r\n\r\n2\r\n").await.starts_with("250"));
    assert_eq!(counts().await, (1, 1));
    assert!(stranger.send("bob@here.test", &address, "Subject: forged\r\n\r\n").await.starts_with("250"));
    assert_eq!(counts().await, (2, 1), "only who signed in is bob");
    // For its owner, and for anyone; spelled as one likes.
    assert!(owner.send("ann@here.test", &address, "From: ann@here.test\r\n\r\n3\r\n").await.starts_with("250"));
    post("anyone", p).await.unwrap();
    assert!(stranger.send("carol@there.test", &["ANN+Team/News@here.test"], "Subject: 4\r\n\r\n").await.starts_with("250"));
    assert_eq!(counts().await, (2, 3));
    // Taken away from one, and no such mailbox.
    post("-bob@here.test", p).await.unwrap();
    assert!(bob.send("bob@here.test", &address, "From: bob@here.test\r\n\r\n5\r\n").await.starts_with("250"));
    assert!(stranger.send("carol@there.test", &["ann+nowhere@here.test"], "Subject: 6\r\n\r\n").await.starts_with("250"));
    assert_eq!(counts().await, (4, 3));
    office.close().await;
}

#[tokio::test]
async fn who_is_known_here() {
    let office = here().await;
    office.alias("team@here.test", &["ann@here.test", "bob+work@here.test", "team@here.test"]).await;
    office.alias("loop1@here.test", &["loop2@here.test"]).await;
    office.alias("loop2@here.test", &["LOOP1@here.test"]).await;
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    assert!(talk.say("MAIL FROM:<>").await.starts_with("250"));
    for (address, code) in [
        ("ann+list@here.test", "250 2.1.5"),
        ("team@here.test", "250 2.1.5"),
        ("Postmaster", "250 2.1.5"),
        ("postmaster@here.test", "250 2.1.5"),
        ("abuse@here.test", "250 2.1.5"),
        ("nobody@here.test", "550 5.1.1"),
        ("loop1@here.test", "550 5.1.1"),
        ("carol@there.test", "550 5.7.1"),
        ("ann@[127.0.0.1]", "550 5.7.1"),
    ] {
        let reply = talk.say(&format!("RCPT TO:<{address}>")).await;
        assert!(reply.starts_with(code), "{address}: {reply}");
    }
    assert!(talk.data("Subject: to all\r\n\r\n").await.starts_with("250 2.0.0"));
    assert_eq!(read_inbox(&office.context.store, "ann@here.test").await.len(), 1, "once, however many ways lead there");
    let bob = read_inbox(&office.context.store, "bob@here.test").await;
    assert!(bob[0].starts_with("Return-Path: <>\r\n") && !bob[0].contains("for <"), "{bob:?}");
    let refused = office.context.store.trace_find("address", "nobody@here.test", 10).await.unwrap();
    assert!(refused.iter().any(|event| event.what == "refused" && event.detail.contains("550 5.1.1")), "{refused:?}");
    office.close().await;
}

#[tokio::test]
async fn a_message_that_went_in_circles_is_refused() {
    let office = here().await;
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    let message = format!("{}Subject: round\r\n\r\nbody\r\n", "Received: from a by b; now\r\n".repeat(101));
    assert!(talk.send("a@b.test", &["ann@here.test"], &message).await.starts_with("554 5.4.6"));
    assert!(
        talk.send("a@b.test", &["ann@here.test"], "Subject: next\r\n\r\nbody\r\n").await.starts_with("250"),
        "the session goes on"
    );
    assert_eq!(read_inbox(&office.context.store, "ann@here.test").await.len(), 1);
    office.close().await;
}

#[tokio::test]
async fn a_suspended_account_still_receives() {
    let office = here().await;
    let bob = office.context.store.account("bob@here.test").await.unwrap().unwrap();
    office.context.store.account_suspend(bob.id, true).await.unwrap();
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    assert!(talk.send("a@b.test", &["bob@here.test"], "Subject: x\r\n\r\n").await.starts_with("250"));
    wait_for(&office.context.store, "bob@here.test", 1).await;
    office.close().await;
}

#[tokio::test]
async fn a_full_mailbox_is_said_at_rcpt_and_after_data() {
    let office = here().await;
    let full = office.account("full@here.test", Some(600)).await;
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    assert!(talk.say("MAIL FROM:<a@b.test> SIZE=5000").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<full@here.test>").await.starts_with("452 4.2.2"));
    assert!(talk.say("RSET").await.starts_with("250"));
    let big = format!("Subject: big\r\n\r\n{}\r\n", "x".repeat(900));
    assert!(talk.send("a@b.test", &["full@here.test"], &big).await.starts_with("452 4.2.2"));
    assert!(
        talk.send("a@b.test", &["full@here.test", "ann@here.test"], &big).await.starts_with("250"),
        "the others are not held up"
    );
    assert_eq!(read_inbox(&office.context.store, "ann@here.test").await.len(), 1);
    assert_eq!(read_inbox(&office.context.store, "full@here.test").await.len(), 0);
    let queue = office.context.store.queue_list(None, 10).await.unwrap();
    assert_eq!((queue.len(), queue[0].message.recipients[0].address.as_str()), (1, "full@here.test"), "waits for room");
    office.context.store.account_quota(full, None).await.unwrap();
    office.close().await;
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let office = here().await;
    office.account("full@here.test", Some(600)).await;
    let mut talk = Talk::to(office.lmtp, "LHLO neighbour.test").await;
    assert!(talk.say("MAIL FROM:<a@b.test>").await.starts_with("250"));
    for (address, code) in
        [("ann@here.test", "250"), ("full@here.test", "250"), ("nobody@here.test", "550 5.1.1"), ("bob@here.test", "250")]
    {
        assert!(talk.say(&format!("RCPT TO:<{address}>")).await.starts_with(code), "{address}");
    }
    let message = format!("Subject: big\r\n\r\n{}\r\n", "x".repeat(900));
    assert!(talk.data(&message).await.starts_with("250 2.0.0"));
    assert!(talk.reply().await.starts_with("452 4.2.2"));
    assert!(talk.reply().await.starts_with("250 2.0.0"));
    let inbox = read_inbox(&office.context.store, "bob@here.test").await;
    assert!(inbox[0].contains("with LMTP id"), "{inbox:?}");
    assert!(office.context.store.queue_list(None, 10).await.unwrap().is_empty());
    office.close().await;
}

#[tokio::test]
async fn a_large_message_arrives_bit_for_bit() {
    let office = here().await;
    let body: String = (0..9_000).map(|n| format!("line {n} {}\r\n", "å".repeat(n % 40))).collect();
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    assert!(talk.send("a@b.test", &["ann@here.test"], &format!("Subject: large\r\n\r\n{body}")).await.starts_with("250"));
    let inbox = read_inbox(&office.context.store, "ann@here.test").await;
    assert!(inbox[0].ends_with(&format!("\r\n\r\n{body}")));
    let account = office.context.store.account("ann@here.test").await.unwrap().unwrap().id;
    let mailbox = office.context.store.mailbox(account, "INBOX").await.unwrap().unwrap();
    let snapshot = office.context.store.snapshot(account, mailbox.id).await.unwrap();
    assert_eq!(snapshot.rows.get(0).unwrap().flags, Flags::default());
    let facts = office.context.store.facts(account, &[snapshot.rows.get(0).unwrap().email]).await.unwrap();
    assert_eq!(facts[0].as_ref().unwrap().subject, "large");
    office.close().await;
}

#[tokio::test]
async fn a_message_at_the_limit_is_taken_and_one_past_it_is_not() {
    let office = here().await;
    let limit = usize::try_from(MESSAGE_BYTES_MAX).unwrap();
    let message = |octets: usize| {
        let head = "Subject: large\r\n\r\n";
        let lines = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat((octets - head.len()) / 64);
        let rest = octets - head.len() - lines.len();
        format!("{head}{lines}{}\r\n", "x".repeat(rest - 2))
    };
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    assert!(talk.say(&format!("MAIL FROM:<a@b.test> SIZE={}", limit + 1)).await.starts_with("552 5.3.4"));
    assert_eq!(message(limit).len(), limit);
    assert!(talk.send("a@b.test", &["ann@here.test"], &message(limit)).await.starts_with("250"));
    assert!(talk.send("a@b.test", &["ann@here.test"], &message(limit + 1)).await.starts_with("552 5.3.4"));
    assert_eq!(read_inbox(&office.context.store, "ann@here.test").await.len(), 1);
    office.close().await;
}

#[tokio::test]
async fn no_sign_in_on_port_25() {
    let office = here().await;
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    let token = data_encoding::BASE64.encode(format!("\0ann@here.test\0{PASSWORD}").as_bytes());
    let reply = talk.say(&format!("AUTH PLAIN {token}")).await;
    assert!(reply.starts_with('5'), "{reply}");
    office.close().await;
}
