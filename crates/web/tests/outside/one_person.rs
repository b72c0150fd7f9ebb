//! Accounts that are one person's (`packetboat mail web`): who signs in to one has them all.

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn session(office: &Office) -> Value {
    office.ask(&format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw")), b"").await.json()
}

async fn put(office: &Office, account: store::AccountId, subject: &str) {
    let inbox = office.store.mailbox(account, "INBOX").await.unwrap().unwrap().id;
    let octets = bytes::Bytes::from(format!("From: x@y.test\r\nSubject: {subject}\r\n\r\nx\r\n"));
    let facts = std::sync::Arc::new(message::facts::Facts::compute(&octets));
    let (body, flags) = (store::Spooled::from_bytes(octets), store::Flags::default());
    let email = store::NewEmail { body, facts, flags, internal_date_secs: NOW };
    office.store.append(account, inbox, vec![email]).await.unwrap();
}

#[tokio::test]
async fn one_sign_in_has_all_accounts_and_elsewhere_nobody_has_another_s() {
    let office = Office::of_one_person().await;
    let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
    let (ann, other) = (office.account_id(), format!("A{:x}", bob.0));
    let told = session(&office).await;
    assert_eq!(told["primaryAccounts"]["urn:ietf:params:jmap:mail"], json!(ann));
    assert_eq!(
        (&told["accounts"][&other]["name"], &told["accounts"][&other]["isPersonal"]),
        (&json!("bob@here.test"), &json!(true))
    );
    put(&office, bob, "for bob").await;
    let filter = json!({"subject": "for bob"});
    let answers = office
        .calls(json!([
            ["Email/query", {"accountId": other, "filter": filter}, "0"],
            ["Email/get", {"accountId": other, "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"}, "properties": ["subject"]}, "1"],
            ["Email/query", {"accountId": ann, "filter": filter}, "2"],
            ["Identity/get", {"accountId": other}, "3"],
        ]))
        .await;
    assert_eq!(answers[1].1["list"][0]["subject"], "for bob");
    assert_eq!(answers[2].1["ids"], json!([]));
    assert_eq!((&answers[3].1["list"][0]["email"], &answers[3].1["accountId"]), (&json!("bob@here.test"), &json!(other)));
    // From one to the other, and out as the other.
    let drafts = office.store.mailbox(bob, "Drafts").await.unwrap().unwrap().id;
    let drafts = store::object_id::of_mailbox(bob, drafts).to_string();
    office.put("INBOX", "From: bob@here.test\r\nTo: zoe@there.test\r\nSubject: out\r\n\r\nx\r\n", NOW, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    let copy = json!({"fromAccountId": ann, "accountId": other, "create": {"c": {"id": id, "mailboxIds": {&drafts: true}}}, "onSuccessDestroyOriginal": true});
    let send = json!({"accountId": other, "create": {"s": {"identityId": "main", "emailId": "#c"}}});
    let answers = office.calls(json!([["Email/copy", copy, "0"], ["EmailSubmission/set", send, "1"]])).await;
    assert_eq!((answers[1].0.as_str(), &answers[1].1["destroyed"]), ("Email/set", &json!([id])), "{}", answers[0].1);
    assert!(answers[2].1["created"]["s"]["id"].is_string(), "{}", answers[2].1);
    assert_eq!(office.doors.sent.lock().unwrap()[0].account.address, "bob@here.test");
    let basic = Office::basic("ann@here.test", "pw");
    let upload = office.ask(&format!("POST /jmap/upload/{other}/ HTTP/1.1\r\n{basic}"), b"x").await.json();
    let blob = upload["blobId"].as_str().unwrap();
    assert_eq!(office.ask(&format!("GET /jmap/download/{other}/{blob}/x HTTP/1.1\r\n{basic}"), b"").await.status, 200);
    // Where accounts are people's, none of this.
    let office = Office::new().await;
    assert!(session(&office).await["accounts"][&other].is_null());
    let answers =
        office.calls(json!([["Email/query", {"accountId": other}, "0"], ["Email/query", {"accountId": "A99"}, "1"]])).await;
    assert_eq!((&answers[0].1["type"], &answers[1].1["type"]), (&json!("accountNotFound"), &json!("accountNotFound")));
}

#[tokio::test]
async fn a_stream_tells_of_all_of_them() {
    let office = Office::of_one_person().await;
    let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
    let mut stream = office.connect("127.0.0.1", false);
    let basic = Office::basic("ann@here.test", "pw");
    let head = format!("GET /jmap/eventsource/?types=*&ping=0 HTTP/1.1\r\nHost: here.test\r\n{basic}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut got = String::new();
    let mut buffer = [0; 4096];
    for word in [": hello".to_owned(), format!("A{:x}", bob.0), "EmailDelivery".into()] {
        if word.starts_with('A') {
            put(&office, bob, "now").await;
        }
        while !got.contains(&word) {
            let octets = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut buffer)).await.unwrap().unwrap();
            got.push_str(&String::from_utf8_lossy(&buffer[..octets]));
        }
    }
    // Of all types: they are one's own.
    let change = json!({"accountId": format!("A{:x}", bob.0), "update": {"main": {"name": "Bob"}}});
    office.calls(json!([["Identity/set", change, "0"]])).await;
    while !got.contains("\"Identity\"") {
        let octets = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut buffer)).await.unwrap().unwrap();
        got.push_str(&String::from_utf8_lossy(&buffer[..octets]));
    }
}
