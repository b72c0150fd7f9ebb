//! Ports 587 and 465.

use super::{Office, Options, Talk, read_inbox};
use crate::context::{Limits, Plaintext};

async fn here() -> Office {
    Office::open(Options::new("mx.here.test", &["here.test"], &["ann", "bob"])).await
}

#[tokio::test]
async fn nothing_without_signing_in() {
    let office = here().await;
    let mut talk = Talk::to(office.submission, "EHLO laptop.test").await;
    assert!(talk.say("MAIL FROM:<ann@here.test>").await.starts_with("530 5.7.0"));
    let wrong = data_encoding::BASE64.encode(b"\0ann@here.test\0wrong");
    assert!(talk.say(&format!("AUTH PLAIN {wrong}")).await.starts_with("535 5.7.8"));
    office.close().await;
}

#[tokio::test]
async fn no_password_in_the_clear_where_that_is_forbidden() {
    let office =
        Office::open(Options { plaintext: Plaintext::Never, ..Options::new("mx.here.test", &["here.test"], &["ann"]) }).await;
    let mut talk = Talk::to(office.submission, "EHLO laptop.test").await;
    assert!(!talk.say("EHLO laptop.test").await.contains("AUTH"));
    assert!(talk.say("AUTH PLAIN AGFubgBwdw==").await.starts_with('5'));
    office.close().await;
}

#[tokio::test]
async fn a_message_is_completed_and_the_blind_stay_blind() {
    let office = here().await;
    let mut talk = Talk::signed_in(office.submission, "ann").await;
    let message = "From: Ann <ann@here.test>\r\nTo: bob@here.test\r\nBcc: carol@there.test\r\nSubject: hi\r\n\r\nbody\r\n";
    let reply = talk.send("ann@here.test", &["bob@here.test", "carol@there.test", "dave@there.test"], message).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let inbox = read_inbox(&office.context.store, "bob@here.test").await;
    let got = &inbox[0];
    for part in [
        "Return-Path: <ann@here.test>\r\n",
        "with ESMTPA id",
        "\r\nDate: ",
        "\r\nMessage-ID: <",
        "@mx.here.test>\r\n",
        "Subject: hi",
    ] {
        assert!(got.contains(part), "{part} in {got}");
    }
    assert!(!got.contains("carol") && !got.contains("Bcc"), "{got}");
    let queue = office.context.store.queue_list(None, 10).await.unwrap();
    assert_eq!(queue.len(), 1, "one entry a destination");
    assert_eq!(queue[0].message.destination, "there.test");
    assert_eq!(queue[0].message.recipients.len(), 2);
    assert_eq!(queue[0].message.reverse_path, "ann@here.test");
    office.close().await;
}

#[tokio::test]
async fn nobody_writes_as_somebody_else() {
    let office = here().await;
    office.alias("sales@here.test", &["ann@here.test"]).await;
    let mut talk = Talk::signed_in(office.submission, "ann@here.test").await;
    for address in ["bob@here.test", "ann@elsewhere.test", "nobody@here.test"] {
        let reply = talk.say(&format!("MAIL FROM:<{address}>")).await;
        assert!(reply.starts_with("550 5.7.1"), "{address}: {reply}");
    }
    let reply = talk.send("ann@here.test", &["bob@here.test"], "From: bob@here.test\r\n\r\nbody\r\n").await;
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    assert!(reply.contains("bob@here.test"), "{reply}");
    let reply = talk.send("ann@here.test", &["bob@here.test"], "From: ann@here.test, bob@here.test\r\n\r\nbody\r\n").await;
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    for address in ["ann+news@here.test", "sales@here.test", "ANN@here.test"] {
        let reply = talk.send(address, &["bob@here.test"], &format!("From: {address}\r\n\r\nbody\r\n")).await;
        assert!(reply.starts_with("250"), "{address}: {reply}");
    }
    assert!(
        talk.send("", &["bob@here.test"], "From: ann@here.test\r\n\r\nread\r\n").await.starts_with("250"),
        "notifications have <>"
    );
    assert_eq!(read_inbox(&office.context.store, "bob@here.test").await.len(), 4);
    office.close().await;
}

#[tokio::test]
async fn so_many_messages_an_hour() {
    let limits = Limits { messages_per_hour: 2, ..Limits::default() };
    let office = Office::open(Options { limits, ..Options::new("mx.here.test", &["here.test"], &["ann", "bob"]) }).await;
    let mut talk = Talk::signed_in(office.submission, "ann@here.test").await;
    for _ in 0..2 {
        assert!(talk.send("ann@here.test", &["bob@here.test"], "From: ann@here.test\r\n\r\nx\r\n").await.starts_with("250"));
    }
    assert!(talk.say("MAIL FROM:<ann@here.test>").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<bob@here.test>").await.starts_with("250"));
    let reply = talk.say("DATA").await;
    assert!(reply.starts_with("450 4.7.1"), "{reply}");
    office.close().await;
}

/// Recipients in an hour, recipients never written to before in a day, and what was refused is not counted.
#[tokio::test]
async fn so_many_recipients_and_so_many_new_ones() {
    let per_day = mta::sending_limits::Sent { first_time: 2, ..Default::default() };
    let limits = Limits { recipients_per_hour: 5, per_day, ..Limits::default() };
    let office = Office::open(Options { limits, ..Options::new("mx.here.test", &["here.test"], &["ann", "bob"]) }).await;
    let mut talk = Talk::signed_in(office.submission, "ann@here.test").await;
    let text = "From: ann@here.test\r\n\r\nx\r\n";
    let mut send = async |to: &[&str]| {
        assert!(talk.say("MAIL FROM:<ann@here.test>").await.starts_with("250"));
        for recipient in to {
            assert!(talk.say(&format!("RCPT TO:<{recipient}>")).await.starts_with("250"));
        }
        let reply = talk.say("DATA").await;
        if !reply.starts_with("354") {
            assert!(talk.say("RSET").await.starts_with("250"));
            return reply;
        }
        talk.say(&format!("{text}.")).await
    };
    assert!(send(&["bob@here.test", "a@there.test"]).await.starts_with("250"));
    let refused = send(&["b@there.test", "bob@here.test"]).await;
    assert!(refused.starts_with("450 4.7.1 At most 2 recipients never written to before a day"), "{refused}");
    assert!(send(&["bob@here.test", "a@there.test"]).await.starts_with("250"), "known ones, and four recipients so far");
    let refused = send(&["bob@here.test", "a@there.test"]).await;
    assert!(refused.starts_with("450 4.7.1 At most 5 recipients an hour"), "{refused}");
    assert!(send(&["bob@here.test"]).await.starts_with("250"), "the fifth");
    office.close().await;
}

/// Somebody who never sent much sends to a crowd: an alarm, once, with whose account it is.
#[tokio::test]
async fn an_alarm_when_one_sends_as_never_before() {
    let office = Office::open(Options::new("mx.here.test", &["here.test"], &["ann"])).await;
    let mut talk = Talk::signed_in(office.submission, "ann@here.test").await;
    let alarms = async || office.context.store.trace_find("alarm", "all", 10).await.unwrap();
    let crowd = |from: u32, count: u32| (from..from + count).map(|at| format!("u{at}@there.test")).collect::<Vec<_>>();
    for (from, count, expected) in [(0, 20, 0), (20, 100, 1), (120, 100, 1)] {
        let to = crowd(from, count);
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        assert!(talk.send("ann@here.test", &to, "From: ann@here.test\r\n\r\nx\r\n").await.starts_with("250"));
        for _ in 0..200 {
            if alarms().await.len() >= expected {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(alarms().await.len(), expected, "after {from} + {count}");
    }
    let alarm = alarms().await.remove(0);
    assert!(alarm.detail.starts_with("ann@here.test sends as never before: 1"), "{alarm:?}");
    office.close().await;
}

#[tokio::test]
async fn nothing_leaves_a_trial_post_office() {
    let reachable = Some(vec!["there.test".to_owned()]);
    let office = Office::open(Options { reachable, ..Options::new("mx.here.test", &["here.test"], &["ann"]) }).await;
    let mut talk = Talk::signed_in(office.submission, "ann@here.test").await;
    assert!(talk.say("MAIL FROM:<ann@here.test>").await.starts_with("250"));
    let reply = talk.say("RCPT TO:<x@example.org>").await;
    assert!(reply.starts_with("550 5.7.1") && reply.contains("nothing leaves this machine"), "{reply}");
    assert!(talk.say("RCPT TO:<carol@there.test>").await.starts_with("250"));
    office.close().await;
}

#[tokio::test]
async fn a_session_ends_when_its_account_is_suspended() {
    let office = here().await;
    let mut talk = Talk::signed_in(office.submission, "ann@here.test").await;
    let ann = office.context.store.account("ann@here.test").await.unwrap().unwrap();
    office.context.store.account_suspend(ann.id, true).await.unwrap();
    let reply = talk.reply().await;
    assert!(reply.starts_with("421 4.7.0"), "{reply}");
    assert_eq!(talk.reply().await, "");
    office.close().await;
}

#[tokio::test]
async fn a_held_message_waits_and_can_be_dropped() {
    use crate::smtp::{To, Whole, hand_in};
    let office = here().await;
    let store = &office.context.store;
    let ann = store.account("ann@here.test").await.unwrap().unwrap();
    let whole = |hold: Option<i64>, from: &str, to: &[&str]| Whole {
        by: None,
        resent: false,
        account: &ann,
        reverse_path: from.to_owned(),
        recipients: to.iter().copied().map(To::plain).collect(),
        octets: b"From: ann@here.test\r\nTo: bob@here.test\r\nBcc: c@d\r\nSubject: held\r\n\r\nbody\r\n",
        hold_until_secs: hold,
        ret_headers: false,
        envelope_id: None,
        service: Default::default(),
        peer: None,
    };
    let later = crate::context::unix_now() + 3600;
    let to = ["bob@here.test", "carol@there.test"];
    let held = hand_in(&office.context, whole(Some(later), "ann@here.test", &to)).await.unwrap();
    assert_eq!((held.queued.len(), held.recipients.iter().filter(|one| one.is_ok()).count()), (2, 2));
    assert!(read_inbox(store, "bob@here.test").await.is_empty());
    for entry in store.queue_list(None, 10).await.unwrap() {
        assert_eq!((entry.next_secs, entry.message.expires_secs > later + 3600), (later, true));
        store.queue_act(entry.id, store::QueueAct::Drop).await.unwrap();
    }
    // What is asked of the delivery goes along (RFC 3461 §4, RFC 6710, RFC 8689).
    let asked = To {
        address: "carol@there.test".into(),
        notify: store::QueueRecipient::NOTIFY_SUCCESS,
        original: Some("rfc822;c c@x".into()),
    };
    let service = store::QueueService { priority: 3, require_tls: true, ..Default::default() };
    let with = Whole { service: service.clone(), recipients: vec![asked], ..whole(None, "ann@here.test", &[]) };
    let queued =
        hand_in(&office.context, Whole { envelope_id: Some("e 1".into()), ret_headers: true, ..with }).await.unwrap().queued;
    let entry = store.queue_entry(queued[0]).await.unwrap().unwrap();
    let (row, message) = (&entry.message.recipients[0], &entry.message);
    assert_eq!((row.original.as_deref(), row.notify), (Some("rfc822;c c@x"), store::QueueRecipient::NOTIFY_SUCCESS));
    assert_eq!((&message.service, message.envelope_id.as_deref(), message.ret_headers), (&service, Some("e 1"), true));
    store.queue_act(entry.id, store::QueueAct::Drop).await.unwrap();
    // Not held: one is here at once, the other in the queue, and nobody reads Bcc.
    let sent = hand_in(&office.context, whole(None, "ann@here.test", &["bob@here.test", "nobody@here.test"])).await.unwrap();
    assert_eq!((sent.queued.len(), sent.recipients[0].is_ok(), sent.recipients[1].is_ok()), (0, true, false));
    let inbox = read_inbox(store, "bob@here.test").await;
    assert!(inbox[0].contains("Message-ID: <") && !inbox[0].contains("Bcc"), "{}", inbox[0]);
    assert!(hand_in(&office.context, whole(None, "bob@here.test", &to)).await.is_err(), "somebody else's name");
    assert!(hand_in(&office.context, whole(None, "ann@here.test", &["nobody@here.test"])).await.is_err());
    office.close().await;
}

#[tokio::test]
async fn held_until_its_time_and_asked_on() {
    let office = here().await;
    let mut talk = Talk::signed_in(office.submission, "ann").await;
    let before = crate::context::unix_now();
    let mail = "MAIL FROM:<ann@here.test> HOLDFOR=3600 MT-PRIORITY=5 BY=7200;N";
    assert!(talk.say(mail).await.starts_with("250"));
    for to in ["bob@here.test", "carol@there.test"] {
        assert!(talk.say(&format!("RCPT TO:<{to}>")).await.starts_with("250"), "{to}");
    }
    assert!(talk.data("From: ann@here.test\r\n\r\nlater\r\n").await.starts_with("250"));
    assert!(read_inbox(&office.context.store, "bob@here.test").await.is_empty(), "it is held here too");
    let queue = office.context.store.queue_list(None, 10).await.unwrap();
    assert_eq!(queue.len(), 2);
    for entry in queue {
        assert!((before + 3_600..before + 3_700).contains(&entry.next_secs), "{entry:?}");
        let service = entry.message.service;
        assert_eq!((service.priority, service.require_tls, service.deliver_by_notify), (5, false, true));
        assert!((before + 7_200..before + 7_300).contains(&service.deliver_by_secs.unwrap()));
    }
    // Without a time what has priority is due before what came earlier.
    assert!(talk.say("MAIL FROM:<ann@here.test> MT-PRIORITY=1").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<dave@there.test>").await.starts_with("250"));
    assert!(talk.data("From: ann@here.test\r\n\r\nfirst\r\n").await.starts_with("250"));
    let first = office.context.store.queue_list(None, 10).await.unwrap().into_iter().min_by_key(|entry| entry.next_secs).unwrap();
    assert!(first.next_secs <= before - 500 && first.message.recipients[0].address == "dave@there.test");
    office.close().await;
}
