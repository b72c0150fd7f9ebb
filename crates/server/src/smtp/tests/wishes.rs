//! What owners want done with their mail, at delivery: rules, blocked senders, forwarding, answers while away.

use super::office::read_mailbox;
use super::{Office, Options, Talk, read_inbox, wait_for};
use mta::wishes::{RULES, SINGLETON, VACATION};
use store::{AccountId, FlagOp, Flags, Uid};

async fn here() -> Office {
    Office::open(Options::new("mx.here.test", &["here.test"], &["ann", "bob", "cy"])).await
}

async fn id(office: &Office, address: &str) -> AccountId {
    office.context.store.account(address).await.unwrap().unwrap().id
}

async fn wish(office: &Office, address: &str, collection: u8, json: &str) {
    let id = id(office, address).await;
    office.context.store.records_change(id, &[(collection, SINGLETON.into(), Some(json.into()))]).await.unwrap();
    office.context.wishes.forget(id);
}

#[tokio::test]
async fn rules_move_mark_and_say_so_and_the_blocked_are_junk() {
    let office = here().await;
    let ann = id(&office, "ann@here.test").await;
    let store = office.context.store.clone();
    let work = store.mailbox_create(ann, "Work", None, 1).await.unwrap().id;
    let rules = format!(
        r#"{{"rules": [
            {{"name": "Gone", "if": [{{"field": "subject", "contains": "gone"}}], "then": {{"moveTo": "F{:x}-999"}}}},
            {{"name": "Boss", "if": [{{"field": "from", "is": "@corp.test"}}], "then": {{"moveTo": "{}", "keywords": ["$flagged", "Boss"]}}}},
            {{"name": "Never", "if": [{{"field": "subject", "contains": "plan"}}], "then": {{"keywords": ["$seen"]}}}}
        ], "blocked": ["eve@x.test"]}}"#,
        ann.0,
        store::object_id::of_mailbox(ann, work)
    );
    wish(&office, "ann@here.test", RULES, &rules).await;
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    let to = ["ann@here.test", "bob@here.test"];
    for (from, subject) in [("boss@corp.test", "the plan"), ("eve@x.test", "the plan"), ("zoe@there.test", "gone")] {
        let message = format!("From: {from}\r\nSubject: {subject}\r\n\r\nx\r\n");
        assert!(talk.send(from, &to, &message).await.starts_with("250"));
    }
    assert_eq!(read_inbox(&store, "bob@here.test").await.len(), 3, "nobody else's mail is touched");
    let inbox = read_inbox(&store, "ann@here.test").await;
    assert!(inbox.len() == 1 && inbox[0].contains("gone"), "where a mailbox is gone, it stays here: {inbox:?}");
    assert!(read_mailbox(&store, "ann@here.test", "Junk").await[0].contains("eve@x.test"));
    let row = store.snapshot(ann, work).await.unwrap().rows.iter().next().unwrap();
    assert_eq!((row.flags.system, row.flags.keywords.as_deref()), (Flags::FLAGGED, Some(["Boss".into()].as_slice())));
    let told = store.trace_for(ann, row.email).await.unwrap();
    assert!(told.iter().any(|event| event.detail.contains("the rule \"Boss\"")), "{told:?}");
    office.close().await;
}

#[tokio::test]
async fn forwarding_goes_on_and_ends_where_it_began() {
    let office = here().await;
    let store = office.context.store.clone();
    let to = |address: &str, keeps: bool| {
        format!(r#"{{"forwarding": {{"isEnabled": true, "addresses": ["{address}"], "keepCopy": {keeps}}}}}"#)
    };
    wish(&office, "ann@here.test", RULES, &to("bob@here.test", false)).await;
    wish(&office, "bob@here.test", RULES, &to("ann@here.test", true)).await;
    wish(&office, "cy@here.test", RULES, &to("cy@else.test", false)).await;
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    let message = "From: zoe@there.test\r\nTo: ann@here.test\r\nSubject: hi\r\n\r\nx\r\n";
    assert!(talk.send("zoe@there.test", &["ann@here.test"], message).await.starts_with("250"));
    assert_eq!((read_inbox(&store, "ann@here.test").await.len(), read_inbox(&store, "bob@here.test").await.len()), (0, 1));
    let ann = id(&office, "ann@here.test").await;
    let told = store.trace_find("account", &ann.0.to_string(), 10).await.unwrap();
    assert!(told.iter().any(|event| event.what == "forwarded" && event.detail.contains("bob@here.test")), "{told:?}");
    // The sender's own trace names no one it was forwarded to.
    let accepted = store.trace_find("address", "zoe@there.test", 10).await.unwrap();
    assert!(accepted.iter().all(|event| !event.detail.contains("bob@")), "{accepted:?}");
    // Elsewhere: it waits in the queue, and nothing stays.
    assert!(talk.send("zoe@there.test", &["cy@here.test"], message).await.starts_with("250"));
    let queue = store.queue_list(None, 10).await.unwrap();
    assert_eq!((queue.len(), queue[0].message.recipients[0].address.as_str()), (1, "cy@else.test"));
    assert_eq!(read_inbox(&store, "cy@here.test").await.len(), 0);
    // Sent round and round by somebody else: it stays.
    let hop = "Received: from x by mx.here.test with ESMTP id 1; Thu, 1 Jan 1970 00:00:00 +0000\r\n";
    let round = format!("{}{message}", hop.repeat(4));
    assert!(talk.send("zoe@there.test", &["cy@here.test"], &round).await.starts_with("250"));
    assert_eq!((store.queue_list(None, 10).await.unwrap().len(), read_inbox(&store, "cy@here.test").await.len()), (1, 1));
    office.close().await;
}

#[tokio::test]
async fn somebody_away_answers_once_and_never_a_list() {
    let office = here().await;
    let store = office.context.store.clone();
    wish(&office, "ann@here.test", VACATION, r#"{"isEnabled": true, "subject": "Away", "textBody": "Back on Monday."}"#).await;
    let mut talk = Talk::signed_in(office.submission, "bob@here.test").await;
    let message = "From: bob@here.test\r\nTo: ann@here.test\r\nSubject: hi\r\nMessage-ID: <1@here.test>\r\n\r\nx\r\n";
    for list in ["", "List-Id: <l.here.test>\r\n", "Auto-Submitted: auto-generated\r\n", "Precedence: bulk\r\n"].iter().rev() {
        let reply = talk.send("bob@here.test", &["ann@here.test"], &format!("{list}{message}")).await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    let answers = wait_for(&store, "bob@here.test", 1).await;
    assert!(answers[0].starts_with("Return-Path: <>\r\n"), "{answers:?}");
    for part in [
        "From: ann@here.test\r\n",
        "To: bob@here.test\r\n",
        "Subject: Away\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "In-Reply-To: <1@here.test>\r\n",
        "Back on Monday.",
    ] {
        assert!(answers[0].contains(part), "{part}: {answers:?}");
    }
    // Once: neither again to him, nor to the answer of an answer.
    wish(&office, "bob@here.test", VACATION, r#"{"isEnabled": true, "textBody": "Away, too."}"#).await;
    assert!(talk.send("bob@here.test", &["ann@here.test"], message).await.starts_with("250"));
    let mut other = Talk::signed_in(office.submission, "cy@here.test").await;
    let message = message.replace("From: bob", "From: cy");
    assert!(other.send("cy@here.test", &["ann@here.test"], &message).await.starts_with("250"));
    wait_for(&store, "cy@here.test", 1).await;
    assert_eq!(read_inbox(&store, "bob@here.test").await.len(), 1);
    assert_eq!(read_inbox(&store, "ann@here.test").await.len(), 6);
    office.close().await;
}

#[tokio::test]
async fn what_joins_a_muted_conversation_goes_past_the_inbox_though_nobody_is_there() {
    let office = here().await;
    let store = office.context.store.clone();
    let ann = id(&office, "ann@here.test").await;
    let inbox = store.mailbox(ann, "INBOX").await.unwrap().unwrap().id;
    let mut talk = Talk::to(office.mx, "EHLO mail.there.test").await;
    let mut send = async |number: u32, references: &str| {
        let message = format!(
            "From: zoe@there.test\r\nSubject: the plan\r\nMessage-ID: <{number}@there.test>\r\nReferences: {references}\r\n\r\nx\r\n"
        );
        assert!(talk.send("zoe@there.test", &["ann@here.test", "bob@here.test"], &message).await.starts_with("250"));
    };
    let count = async |name: &str| read_mailbox(&store, "ann@here.test", name).await.len();
    send(1, "").await;
    let muted = Flags { system: 0, keywords: Some([store::MUTED.into()].into()) };
    store.flags(ann, inbox, &[Uid(1)], FlagOp::Add, &muted, None).await.unwrap();
    send(2, "<1@there.test>").await;
    send(3, "<1@there.test> <2@there.test>").await;
    send(4, "").await;
    assert_eq!((count("INBOX").await, count("Archive").await), (2, 2), "the first, and another conversation");
    assert_eq!(read_inbox(&store, "bob@here.test").await.len(), 4, "nobody else has muted it");
    let archive = store.mailbox(ann, "Archive").await.unwrap().unwrap().id;
    let rows = store.snapshot(ann, archive).await.unwrap().rows;
    assert!(rows.iter().all(|row| row.flags == muted), "unread, and marked as IMAP sees it");
    let told = store.trace_for(ann, rows.get(0).unwrap().email).await.unwrap();
    assert!(told.iter().any(|event| event.detail.ends_with("; its conversation is muted")), "{told:?}");
    // A rule says where it goes; it is marked by none.
    let work = store.mailbox_create(ann, "Work", None, 1).await.unwrap().id;
    let rule = |then: &str| {
        format!(r#"{{"rules": [{{"name": "Zoe", "if": [{{"field": "from", "is": "zoe@there.test"}}], "then": {then}}}]}}"#)
    };
    wish(&office, "ann@here.test", RULES, &rule(&format!(r#"{{"moveTo": "{}"}}"#, store::object_id::of_mailbox(ann, work))))
        .await;
    send(5, "<1@there.test>").await;
    assert_eq!((count("Work").await, count("Archive").await), (1, 2));
    wish(&office, "ann@here.test", RULES, &rule(r#"{"keywords": ["Zoe"]}"#)).await;
    send(6, "<1@there.test>").await;
    let last = store.snapshot(ann, archive).await.unwrap().rows.last().unwrap();
    assert_eq!(last.flags.keywords.as_deref(), Some([store::MUTED.into(), "Zoe".into()].as_slice()));
    // Heard again, it comes as before.
    wish(&office, "ann@here.test", RULES, "{}").await;
    store.flags(ann, inbox, &[Uid(1)], FlagOp::Remove, &muted, None).await.unwrap();
    store.flags(ann, archive, &[Uid(1), Uid(2), Uid(3)], FlagOp::Remove, &muted, None).await.unwrap();
    send(7, "<1@there.test>").await;
    assert_eq!((count("INBOX").await, count("Archive").await), (3, 3));
    office.close().await;
}
