//! The examples that RFC 8621 prints, with our ids for theirs: what is asked, and what is answered.

use crate::office::{NOW, Office, RECIPIENTS_MAX};
use serde_json::{Value, json};
use store::{Alias, Flags};
use wire::imap::acl::Rights;

const REVEAL: &str = "From: Jane Doe <jdoe@example.com>\r\nSubject: The Big Reveal\r\nMessage-ID: <reveal@example.com>\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nAs you may be aware, we are required to prepare a presentation.\r\n\
    --b\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment\r\n\r\n%PDF\r\n--b--\r\n";

/// One answer: its name, and that nothing but these properties is in it.
fn only<'a>(answer: &'a (String, Value), name: &str, properties: &[&str]) -> &'a Value {
    assert_eq!(answer.0, name, "{}", answer.1);
    let mut there: Vec<&str> = answer.1.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = properties.to_vec();
    there.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(there, wanted, "{}", answer.1);
    &answer.1
}

/// Parts of a `/set` that nothing happened to are null.
const SET: [&str; 9] =
    ["accountId", "oldState", "newState", "created", "updated", "destroyed", "notCreated", "notUpdated", "notDestroyed"];
const GET: [&str; 4] = ["accountId", "state", "list", "notFound"];

async fn role(office: &Office, role: &str) -> Value {
    let all = office.call("Mailbox/get", json!({"ids": null})).await;
    let found = all["list"].as_array().unwrap().iter().find(|one| one["role"] == role);
    found.unwrap().clone()
}

/// §2.6
#[tokio::test]
async fn mailboxes_are_fetched_followed_and_changed() {
    let office = Office::new().await;
    let id = office.account_id();
    office.put("INBOX", REVEAL, NOW, 0).await;
    let made = office.call("Mailbox/set", json!({"create": {"m": {"name": "Important mail"}}})).await;
    let important = made["created"]["m"]["id"].as_str().unwrap().to_owned();
    let all = office.calls(json!([["Mailbox/get", {"accountId": id, "ids": null}, "0"]])).await.remove(0);
    let all = only(&all, "Mailbox/get", &GET);
    assert_eq!(all["notFound"], json!([]));
    let inbox = role(&office, "inbox").await;
    let inbox_id = inbox["id"].as_str().unwrap().to_owned();
    let rights = json!({
        "mayAddItems": true, "mayRename": false, "maySubmit": true, "mayDelete": false, "maySetKeywords": true,
        "mayRemoveItems": true, "mayCreateChild": true, "maySetSeen": true, "mayReadItems": true,
    });
    let wanted = json!({
        "id": inbox_id, "name": "Inbox", "parentId": null, "role": "inbox", "sortOrder": inbox["sortOrder"], "totalEmails": 1,
        "unreadEmails": 1, "totalThreads": 1, "unreadThreads": 1, "myRights": rights, "isSubscribed": inbox["isSubscribed"],
    });
    assert_eq!(inbox, wanted);
    // "Now suppose an Email is marked read": only counts moved, and only those are fetched.
    let email = office.ids("INBOX").await.remove(0);
    office.call("Email/set", json!({"update": {&email: {"keywords/$seen": true}}})).await;
    let changes = json!({"resultOf": "0", "name": "Mailbox/changes", "path": "/created"});
    let updated = json!({"resultOf": "0", "name": "Mailbox/changes", "path": "/updated"});
    let properties = json!({"resultOf": "0", "name": "Mailbox/changes", "path": "/updatedProperties"});
    let answers = office
        .calls(json!([
            ["Mailbox/changes", {"accountId": id, "sinceState": all["state"]}, "0"],
            ["Mailbox/get", {"accountId": id, "#ids": changes}, "1"],
            ["Mailbox/get", {"accountId": id, "#ids": updated, "#properties": properties}, "2"],
        ]))
        .await;
    let told = only(
        &answers[0],
        "Mailbox/changes",
        &["accountId", "oldState", "newState", "hasMoreChanges", "updatedProperties", "created", "updated", "destroyed"],
    );
    let counts = json!(["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"]);
    assert_eq!((&told["oldState"], &told["updatedProperties"], &told["hasMoreChanges"]), (&all["state"], &counts, &json!(false)));
    assert_eq!((&told["created"], &told["updated"], &told["destroyed"]), (&json!([]), &json!([inbox_id]), &json!([])));
    assert_eq!(only(&answers[1], "Mailbox/get", &GET)["list"], json!([]));
    let list = json!([{"id": inbox_id, "totalEmails": 1, "unreadEmails": 0, "totalThreads": 1, "unreadThreads": 0}]);
    assert_eq!(only(&answers[2], "Mailbox/get", &GET)["list"], list);
    // One is renamed, the other may not be destroyed.
    let set = json!({"accountId": id, "ifInState": told["newState"], "update": {&important: {"name": "Maybe important mail"}},
        "destroy": [inbox_id]});
    let answers = office.calls(json!([["Mailbox/set", set, "0"]])).await;
    let done = only(&answers[0], "Mailbox/set", &SET);
    assert_eq!((&done["oldState"], &done["updated"]), (&told["newState"], &json!({&important: null})));
    assert_ne!(done["newState"], done["oldState"]);
    assert_eq!((&done["notDestroyed"][&inbox_id]["type"], &done["destroyed"]), (&json!("forbidden"), &Value::Null));
    assert!(office.store.mailbox(office.ann, "Maybe important mail").await.unwrap().is_some());
}

/// §3.1.1
#[tokio::test]
async fn threads_are_fetched_with_their_emails_oldest_first() {
    let office = Office::new().await;
    office.put("INBOX", "Message-ID: <a@x>\r\nSubject: a\r\n\r\nx", NOW + 60, 0).await;
    office.put("Sent", "Message-ID: <b@x>\r\nReferences: <a@x>\r\nSubject: Re: a\r\n\r\nx", NOW + 120, 0).await;
    office.put("INBOX", "Message-ID: <c@x>\r\nSubject: c\r\n\r\nx", NOW, 0).await;
    let ids = office.all_ids().await;
    let got = office.call("Email/get", json!({"ids": ids, "properties": ["threadId"]})).await["list"].clone();
    let thread = |at: usize| got[at]["threadId"].clone();
    assert_eq!(thread(0), thread(1));
    let asked = json!([["Thread/get", {"accountId": office.account_id(), "ids": [thread(0), thread(2), "f41u44"]}, "#1"]]);
    let answers = office.calls(asked).await;
    let told = only(&answers[0], "Thread/get", &GET);
    let list = json!([{"id": thread(0), "emailIds": [ids[1], ids[0]]}, {"id": thread(2), "emailIds": [ids[2]]}]);
    assert_eq!((&told["list"], &told["notFound"]), (&list, &json!(["f41u44"])));
}

/// §4.2.1
#[tokio::test]
async fn an_email_is_fetched_with_the_parts_of_its_html() {
    let office = Office::new().await;
    let message = format!(
        "From: Joe Bloggs <joe@example.com>\r\nSubject: Dinner on Thursday?\r\nList-Post: <mailto:partytime@lists.example.com>\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<html><body><p>Hello {}</p>\r\n--b\r\n\
         Content-Type: text/plain\r\n\r\n-- Sent by your friendly mailing list\r\n--b--\r\n",
        "again ".repeat(100)
    );
    office.put("INBOX", &message, 1_381_673_520, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    let properties =
        ["threadId", "mailboxIds", "from", "subject", "receivedAt", "header:List-POST:asURLs", "htmlBody", "bodyValues"];
    let arguments = json!({
        "accountId": office.account_id(), "ids": ["f123u456", id], "properties": properties,
        "bodyProperties": ["partId", "blobId", "size", "type"], "fetchHTMLBodyValues": true, "maxBodyValueBytes": 256,
    });
    let answers = office.calls(json!([["Email/get", arguments, "#1"]])).await;
    let told = only(&answers[0], "Email/get", &GET);
    assert_eq!(told["notFound"], json!(["f123u456"]));
    let email = &told["list"][0];
    assert_eq!(email.as_object().unwrap().len(), properties.len() + 1, "{email}");
    assert_eq!((&email["id"], &email["mailboxIds"]), (&json!(id), &json!({office.mailbox_id("INBOX").await: true})));
    assert!(email["threadId"].is_string());
    assert_eq!(email["from"], json!([{"name": "Joe Bloggs", "email": "joe@example.com"}]));
    assert_eq!((&email["subject"], &email["receivedAt"]), (&json!("Dinner on Thursday?"), &json!("2013-10-13T14:12:00Z")));
    assert_eq!(email["header:List-POST:asURLs"], json!(["mailto:partytime@lists.example.com"]));
    let parts = email["htmlBody"].as_array().unwrap();
    assert_eq!((parts.len(), &parts[0]["type"], &parts[1]["type"]), (2, &json!("text/html"), &json!("text/plain")));
    assert!(parts.iter().all(|part| part.as_object().unwrap().len() == 4 && part["blobId"].is_string()), "{email}");
    let value = |at: usize| email["bodyValues"][parts[at]["partId"].as_str().unwrap()].clone();
    assert_eq!((&value(0)["isEncodingProblem"], &value(0)["isTruncated"]), (&json!(false), &json!(true)));
    let text = value(0)["value"].as_str().unwrap().to_owned();
    assert!(text.starts_with("<html><body><p>Hello ") && text.len() <= 256, "{text}");
    let list = json!({"isEncodingProblem": false, "isTruncated": false, "value": "-- Sent by your friendly mailing list"});
    assert_eq!(value(1), list);
    // §4.2: a form that is forbidden there.
    let wrong = json!({"ids": [id], "properties": ["header:From:asDate"]});
    assert_eq!(office.fails("Email/get", wrong).await, "invalidArguments");
}

/// §4.10, the list as it is first fetched, and as it is brought up.
#[tokio::test]
async fn a_list_is_fetched_and_brought_up() {
    let office = Office::new().await;
    let (id, inbox) = (office.account_id(), office.mailbox_id("INBOX").await);
    office.put("Archive", "Message-ID: <old@x>\r\nSubject: old\r\n\r\nx", NOW - 50, 0).await;
    office.put("INBOX", "Message-ID: <last@x>\r\nSubject: last\r\n\r\nx", NOW - 100, 0).await;
    office.put("INBOX", "Message-ID: <new@x>\r\nReferences: <old@x>\r\nSubject: Re: old\r\n\r\nx", NOW, 0).await;
    office.put("INBOX", REVEAL, 1_800_058_835, Flags::SEEN | Flags::FLAGGED).await;
    let ids = office.ids("INBOX").await;
    let sort = json!([{"isAscending": false, "property": "receivedAt"}]);
    let properties = ["threadId", "mailboxIds", "keywords", "hasAttachment", "from", "subject", "receivedAt", "size", "preview"];
    let result = |of: &str, name: &str, path: &str| json!({"resultOf": of, "name": name, "path": path});
    let answers = office
        .calls(json!([
            ["Email/query", {"accountId": id, "filter": {"inMailbox": inbox}, "sort": sort, "collapseThreads": true, "position": 0,
                "limit": 30, "calculateTotal": true}, "0"],
            ["Email/get", {"accountId": id, "#ids": result("0", "Email/query", "/ids"), "properties": ["threadId"]}, "1"],
            ["Thread/get", {"accountId": id, "#ids": result("1", "Email/get", "/list/*/threadId")}, "2"],
            ["Email/get", {"accountId": id, "#ids": result("2", "Thread/get", "/list/*/emailIds"), "properties": properties}, "3"],
        ]))
        .await;
    let query = &answers[0].1;
    assert_eq!((&query["ids"], &query["total"], &query["position"]), (&json!(ids), &json!(3), &json!(0)));
    assert_eq!(query["canCalculateChanges"], true);
    let threads = only(&answers[2], "Thread/get", &GET)["list"].clone();
    assert_eq!(threads[0]["emailIds"], json!([ids[0]]));
    assert_eq!((threads[1]["emailIds"].as_array().unwrap().len(), &threads[1]["emailIds"][1]), (2, &json!(ids[1])));
    let emails = only(&answers[3], "Email/get", &GET)["list"].as_array().unwrap();
    assert_eq!(emails.len(), 4, "with the one that is not in the inbox");
    let wanted = json!({
        "id": ids[0], "threadId": threads[0]["id"], "mailboxIds": {&inbox: true}, "keywords": {"$seen": true, "$flagged": true},
        "hasAttachment": true, "from": [{"email": "jdoe@example.com", "name": "Jane Doe"}], "subject": "The Big Reveal",
        "receivedAt": "2027-01-16T00:20:35Z", "size": REVEAL.len(),
        "preview": "As you may be aware, we are required to prepare a presentation.",
    });
    assert_eq!(emails[0], wanted);
    // "On another device the user marks the first message as unread".
    let unread = json!({"accountId": id, "update": {&ids[0]: {"keywords/$seen": null}}});
    let answers_set = office.calls(json!([["Email/set", unread, "0"]])).await;
    let set = only(&answers_set[0], "Email/set", &SET);
    assert_eq!((&set["oldState"], &set["updated"]), (&answers[3].1["state"], &json!({&ids[0]: null})));
    // "The user also deletes a few messages, and then a new message arrives."
    office.call("Email/set", json!({"destroy": [ids[1]]})).await;
    office.put("INBOX", "Message-ID: <fresh@x>\r\nSubject: fresh\r\n\r\nx", 1_800_100_000, 0).await;
    let fresh = office.ids("INBOX").await.remove(0);
    let answers = office
        .calls(json!([
            ["Email/changes", {"accountId": id, "sinceState": answers[3].1["state"], "maxChanges": 50}, "3"],
            ["Email/queryChanges", {"accountId": id, "filter": {"inMailbox": inbox}, "sort": sort, "collapseThreads": true,
                "sinceQueryState": query["queryState"], "upToId": ids[2], "maxChanges": 25, "calculateTotal": true}, "11"],
        ]))
        .await;
    let changes = only(
        &answers[0],
        "Email/changes",
        &["accountId", "oldState", "newState", "hasMoreChanges", "created", "updated", "destroyed"],
    );
    assert_eq!((&changes["created"], &changes["updated"]), (&json!([fresh]), &json!([ids[0]])));
    assert_eq!((&changes["destroyed"], &changes["hasMoreChanges"]), (&json!([ids[1]]), &json!(false)));
    let moved = &answers[1].1;
    assert_eq!((&moved["oldQueryState"], &moved["total"]), (&query["queryState"], &json!(3)));
    // Removed what is said, and put in where it is said, it is the list of now: first `removed`, then `added` in order (RFC 8620 §5.6).
    let mut list: Vec<Value> = query["ids"].as_array().unwrap().clone();
    let removed = moved["removed"].as_array().unwrap();
    assert!(removed.contains(&json!(ids[1])), "{moved}");
    list.retain(|one| !removed.contains(one));
    for added in moved["added"].as_array().unwrap() {
        list.insert(usize::try_from(added["index"].as_u64().unwrap()).unwrap(), added["id"].clone());
    }
    assert_eq!(json!(list), json!([fresh, ids[0], ids[2]]));
}

/// §4.10, a draft that moves to another account.
#[tokio::test]
async fn a_draft_is_made_and_moves_to_another_account() {
    let office = Office::new().await;
    let (id, drafts) = (office.account_id(), office.mailbox_id("Drafts").await);
    let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
    let to = office.store.mailbox(bob, "Drafts").await.unwrap().unwrap().id;
    let rights = Rights::from_letters(b"lrsiwte").unwrap();
    office.store.acl_change(bob, to, "ann@here.test", store::AclChange::Replace(rights.bits())).await.unwrap();
    let (text, html) = (
        "I have the most brilliant plan. Let me tell you all about it. What we do is, we",
        "<!DOCTYPE html><html><head><title></title><style type=\"text/css\">div{font-size:16px}</style></head><body><div>I have the most brilliant plan. Let me tell you all about it. What we do is, we</div></body></html>",
    );
    let draft = json!({
        "mailboxIds": {&drafts: true}, "keywords": {"$seen": true, "$draft": true},
        "from": [{"name": "Joe Bloggs", "email": "joe@example.com"}], "to": [{"name": "John", "email": "john@example.com"}],
        "subject": "World domination", "receivedAt": "2018-07-10T01:05:08Z", "sentAt": "2018-07-10T11:05:08+10:00",
        "bodyStructure": {"type": "multipart/alternative", "subParts": [{"partId": "49db", "type": "text/html"}, {"partId": "bd48", "type": "text/plain"}]},
        "bodyValues": {"bd48": {"value": text, "isTruncated": false}, "49db": {"value": html, "isTruncated": false}},
    });
    let answers = office.calls(json!([["Email/set", {"accountId": id, "create": {"k1546": draft}}, "0"]])).await;
    let made = only(&answers[0], "Email/set", &SET)["created"]["k1546"].clone();
    let mut properties: Vec<&String> = made.as_object().unwrap().keys().collect();
    properties.sort_unstable();
    assert_eq!(properties, ["blobId", "id", "size", "threadId"]);
    let wanted =
        ["keywords", "from", "to", "subject", "receivedAt", "sentAt", "textBody", "htmlBody", "bodyValues", "bodyStructure"];
    let read =
        json!({"ids": [made["id"]], "properties": wanted, "fetchAllBodyValues": true, "bodyProperties": ["partId", "type"]});
    let back = office.call("Email/get", read).await["list"][0].clone();
    for name in ["keywords", "from", "to", "subject", "receivedAt", "sentAt"] {
        assert_eq!(back[name], draft[name], "{name}");
    }
    let types: Vec<&Value> = back["bodyStructure"]["subParts"].as_array().unwrap().iter().map(|part| &part["type"]).collect();
    assert_eq!(types, ["text/html", "text/plain"]);
    let value = |of: &str| back["bodyValues"][back[of][0]["partId"].as_str().unwrap()]["value"].clone();
    assert_eq!((value("textBody"), value("htmlBody")), (json!(text), json!(html)));
    // Into the other account.
    let (other, mailbox) = (format!("A{:x}", bob.0), store::object_id::of_mailbox(bob, to).to_string());
    let copy = json!({"fromAccountId": id, "accountId": other, "create": {"k45": {"id": made["id"], "mailboxIds": {&mailbox: true}}},
        "onSuccessDestroyOriginal": true});
    let answers = office.calls(json!([["Email/copy", copy, "0"]])).await;
    let copied =
        only(&answers[0], "Email/copy", &["fromAccountId", "accountId", "oldState", "newState", "created", "notCreated"]);
    assert_eq!(
        (&copied["fromAccountId"], &copied["accountId"], &copied["notCreated"]),
        (&json!(id), &json!(other), &Value::Null)
    );
    assert_eq!(copied["created"]["k45"]["size"], made["size"]);
    assert_ne!(copied["created"]["k45"]["id"], made["id"]);
    let gone = only(&answers[1], "Email/set", &SET);
    assert_eq!((&gone["accountId"], &gone["destroyed"]), (&json!(id), &json!([made["id"]])));
}

/// §4.8 and §4.9 print no example: what they say of the answers.
#[tokio::test]
async fn a_message_that_was_uploaded_is_parsed_and_imported() {
    let office = Office::new().await;
    let (id, inbox) = (office.account_id(), office.mailbox_id("INBOX").await);
    let head =
        format!("POST /jmap/upload/{id}/ HTTP/1.1\r\n{}Content-Type: message/rfc822\r\n", Office::basic("ann@here.test", "pw"));
    let message = "Received: from a by b; Sat, 16 Jan 2027 00:20:35 +0000\r\nFrom: jdoe@example.com\r\nSubject: hi\r\nMessage-ID: <p@x>\r\n\r\nHello\r\n";
    let blob = office.ask(&head, message.as_bytes()).await.json()["blobId"].as_str().unwrap().to_owned();
    let properties = ["id", "blobId", "threadId", "mailboxIds", "keywords", "receivedAt", "size", "subject"];
    let parsed = office.call("Email/parse", json!({"blobIds": [&blob, "Unone"], "properties": properties})).await;
    let email = &parsed["parsed"][&blob];
    for name in ["id", "mailboxIds", "keywords", "receivedAt"] {
        assert_eq!(email.get(name), Some(&Value::Null), "{name}: {email}");
    }
    assert_eq!((&email["blobId"], &email["size"], &email["subject"]), (&json!(blob), &json!(message.len()), &json!("hi")));
    assert_eq!((&parsed["notFound"], &parsed["notParsable"]), (&json!(["Unone"]), &Value::Null));
    let plain = office.call("Email/parse", json!({"blobIds": [&blob]})).await["parsed"][&blob].clone();
    let mut there: Vec<&str> = plain.as_object().unwrap().keys().map(String::as_str).collect();
    there.sort_unstable();
    let mut wanted = vec![
        "messageId",
        "inReplyTo",
        "references",
        "sender",
        "from",
        "to",
        "cc",
        "bcc",
        "replyTo",
        "subject",
        "sentAt",
        "hasAttachment",
        "preview",
        "bodyValues",
        "textBody",
        "htmlBody",
        "attachments",
    ];
    wanted.sort_unstable();
    assert_eq!(there, wanted);
    let wrong = json!({"blobIds": [&blob], "properties": ["header:From:asDate"]});
    assert_eq!(office.fails("Email/parse", wrong).await, "invalidArguments");
    // A message inside a message inside it: each part is a blob of its own, and none leads to somebody else's.
    let inner = "Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\ntext\r\n--i\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n/w==\r\n--i--\r\n";
    let outer = format!(
        "Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nsee\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--o--\r\n"
    );
    let outer = office.ask(&head, outer.as_bytes()).await.json()["blobId"].as_str().unwrap().to_owned();
    let parse = async |blob: &str| office.call("Email/parse", json!({"blobIds": [blob]})).await["parsed"][blob].clone();
    let attached = parse(&outer).await["attachments"][0]["blobId"].as_str().unwrap().to_owned();
    let inside = parse(&attached).await;
    assert_eq!(inside["subject"], "inner", "{inside}");
    let picture = inside["attachments"][0]["blobId"].as_str().unwrap();
    let download = async |blob: &str| {
        let basic = Office::basic("ann@here.test", "pw");
        office.ask(&format!("GET /jmap/download/{id}/{blob}/x?type=image/png HTTP/1.1\r\n{basic}"), b"").await
    };
    let got = download(picture).await;
    assert_eq!((got.status, got.body.as_ref()), (200, &b"\xff"[..]));
    for nothing in [
        format!("{attached}_9"),
        format!("{attached}_x"),
        format!("{attached}{}", "_0".repeat(20)),
        "Unone_1".into(),
        "_1".into(),
    ] {
        assert_eq!(download(&nothing).await.status, 404, "{nothing}");
    }
    let import = json!({"accountId": id, "emails": {"a": {"blobId": blob, "mailboxIds": {&inbox: true}, "keywords": {"$seen": true}},
        "b": {"blobId": "Unone", "mailboxIds": {&inbox: true}}, "c": {"blobId": blob, "mailboxIds": {}}}});
    let answers = office.calls(json!([["Email/import", import, "0"]])).await;
    let done = only(&answers[0], "Email/import", &["accountId", "oldState", "newState", "created", "notCreated"]);
    let made = &done["created"]["a"];
    assert_eq!((made["size"].as_u64(), made.as_object().unwrap().len()), (Some(message.len() as u64), 4));
    assert_eq!(made["threadId"], email["threadId"], "as parsed");
    for wrong in ["b", "c"] {
        assert_eq!(done["notCreated"][wrong]["type"], "invalidProperties", "{wrong}: {done}");
    }
    let got = office.call("Email/get", json!({"ids": [made["id"]], "properties": ["receivedAt", "keywords"]})).await;
    assert_eq!(
        (&got["list"][0]["receivedAt"], &got["list"][0]["keywords"]),
        (&json!("2027-01-16T00:20:35Z"), &json!({"$seen": true}))
    );
}

/// §5.2
#[tokio::test]
async fn snippets_mark_what_was_looked_for() {
    let office = Office::new().await;
    let put = async |subject: &str, text: &str, at: i64| {
        office.put("INBOX", &format!("Subject: {subject}\r\n\r\n{text}\r\n"), NOW + at, 0).await;
    };
    put("Nothing", "No such word", 0).await;
    put("The Foosball competition", "This year the foosball competition will be held in the Stadium de Bar", 1).await;
    put("Bars", "In fact the Foo/bar method results often returns <1 widget rather than the complete set", 2).await;
    let ids = office.ids("INBOX").await;
    let ids = [ids[2].clone(), ids[1].clone(), ids[0].clone()];
    let asked = json!({"accountId": office.account_id(), "filter": {"text": "foo"}, "emailIds": ids});
    let answers = office.calls(json!([["SearchSnippet/get", asked, "tag-0"]])).await;
    let told = only(&answers[0], "SearchSnippet/get", &["accountId", "list", "notFound"]);
    assert_eq!(told["list"][0], json!({"emailId": ids[0], "subject": null, "preview": null}));
    assert_eq!(told["list"][1]["subject"], "The <mark>Foo</mark>sball competition");
    assert!(told["list"][1]["preview"].as_str().unwrap().contains("year the <mark>foo</mark>sball competition will be held in"));
    let third = told["list"][2]["preview"].as_str().unwrap();
    assert!(third.contains("the <mark>Foo</mark>/bar method results often returns &lt;1 widget rather than the"), "{third}");
    assert_eq!((&told["list"][2]["subject"], &told["notFound"]), (&Value::Null, &Value::Null));
}

/// §6.4
#[tokio::test]
async fn identities_are_fetched() {
    let office = Office::new().await;
    let alias = Alias { address: "joebloggs@here.test".into(), targets: vec!["ann@here.test".into()] };
    office.store.alias_add(alias).await.unwrap();
    let main = json!({
        "name": "Joe Bloggs", "bcc": [{"name": null, "email": "joe+archive@here.test"}],
        "textSignature": "-- \nJoe Bloggs\nMaster of Email", "htmlSignature": "<div><b>Joe Bloggs</b></div><div>Master of Email</div>",
    });
    let set = json!({"update": {"main": main}, "create": {"b": {"name": "Joe B", "email": "joebloggs@here.test"}}});
    let made = office.call("Identity/set", set).await;
    let other = made["created"]["b"]["id"].clone();
    let answers = office.calls(json!([["Identity/get", {"accountId": office.account_id()}, "0"]])).await;
    let told = only(&answers[0], "Identity/get", &GET);
    let wanted = json!([{
        "id": "main", "name": "Joe Bloggs", "email": "ann@here.test", "replyTo": null,
        "bcc": [{"name": null, "email": "joe+archive@here.test"}], "textSignature": "-- \nJoe Bloggs\nMaster of Email",
        "htmlSignature": "<div><b>Joe Bloggs</b></div><div>Master of Email</div>", "mayDelete": false,
    }, {
        "id": other, "name": "Joe B", "email": "joebloggs@here.test", "replyTo": null, "bcc": null, "textSignature": "",
        "htmlSignature": "", "mayDelete": true,
    }]);
    assert_eq!((&told["list"], &told["notFound"]), (&wanted, &json!([])));
    let set = json!({"destroy": ["main"], "create": {"c": {"email": "jane@example.com"}}});
    let refused = office.call("Identity/set", set).await;
    assert_eq!(refused["notDestroyed"]["main"]["type"], "forbidden");
    assert_eq!(refused["notCreated"]["c"]["type"], "forbiddenFrom");
}

/// §7.5.1
#[tokio::test]
async fn a_draft_goes_out_and_into_sent() {
    let office = Office::new().await;
    let id = office.account_id();
    office
        .put("Drafts", "From: ann@here.test\r\nTo: jane@example.com\r\nSubject: x\r\n\r\nx\r\n", NOW, Flags::DRAFT | Flags::SEEN)
        .await;
    let email = office.ids("Drafts").await.remove(0);
    let (drafts, sent) = (office.mailbox_id("Drafts").await, office.mailbox_id("Sent").await);
    let request = |recipients: usize| {
        let to: Vec<Value> =
            (0..recipients).map(|n| json!({"email": format!("jane{n}@example.com"), "parameters": null})).collect();
        let envelope = json!({"mailFrom": {"email": "ann@here.test", "parameters": null}, "rcptTo": to});
        json!([["EmailSubmission/set", {
            "accountId": id, "create": {"k1490": {"identityId": "main", "emailId": email, "envelope": envelope}},
            "onSuccessUpdateEmail": {"#k1490": {format!("mailboxIds/{drafts}"): null, format!("mailboxIds/{sent}"): true, "keywords/$draft": null}},
        }, "0"]])
    };
    let refused = office.calls(request(RECIPIENTS_MAX + 1)).await;
    assert_eq!(refused.len(), 1, "nothing was done to the email");
    let refused = only(&refused[0], "EmailSubmission/set", &SET);
    assert_eq!(refused["oldState"], refused["newState"]);
    let why = &refused["notCreated"]["k1490"];
    assert_eq!((&why["type"], &why["maxRecipients"]), (&json!("tooManyRecipients"), &json!(RECIPIENTS_MAX)));
    let answers = office.calls(request(2)).await;
    let done = only(&answers[0], "EmailSubmission/set", &SET);
    assert!(done["created"]["k1490"]["id"].is_string() && done["oldState"] != done["newState"], "{done}");
    let moved = only(&answers[1], "Email/set", &SET);
    assert_eq!(moved["updated"], json!({&email: null}));
    let got =
        office.call("Email/get", json!({"ids": [email], "properties": ["mailboxIds", "keywords"]})).await["list"][0].clone();
    assert_eq!((&got["mailboxIds"], &got["keywords"]), (&json!({&sent: true}), &json!({"$seen": true})));
    let out = office.doors.sent.lock().unwrap();
    let to: Vec<&str> = out[0].recipients.iter().map(|to| to.address.as_str()).collect();
    assert_eq!((out.len(), to), (1, vec!["jane0@example.com", "jane1@example.com"]));
}

/// §8: one object, which is always there, and nothing else of its kind.
#[tokio::test]
async fn the_vacation_is_one_object() {
    let office = Office::new().await;
    let answers = office.calls(json!([["VacationResponse/get", {"accountId": office.account_id(), "ids": null}, "0"]])).await;
    let told = only(&answers[0], "VacationResponse/get", &GET);
    let nothing = json!([{"id": "singleton", "isEnabled": false, "fromDate": null, "toDate": null, "subject": null, "textBody": null, "htmlBody": null}]);
    assert_eq!((&told["list"], &told["notFound"]), (&nothing, &json!([])));
    let away = json!({"isEnabled": true, "fromDate": "2027-01-15T08:00:00Z", "toDate": null, "subject": "Away", "textBody": "Back on Monday", "htmlBody": null});
    let set = json!({"update": {"singleton": away}, "create": {"a": {"isEnabled": true}}, "destroy": ["singleton"]});
    let done = office.call("VacationResponse/set", set).await;
    assert_eq!(done["updated"], json!({"singleton": null}));
    assert_eq!(
        (&done["notCreated"]["a"]["type"], &done["notDestroyed"]["singleton"]["type"]),
        (&json!("singleton"), &json!("singleton"))
    );
    let got = office.call("VacationResponse/get", json!({"ids": ["singleton", "other"]})).await;
    assert_eq!((&got["list"][0]["textBody"], &got["notFound"]), (&json!("Back on Monday"), &json!(["other"])));
}
