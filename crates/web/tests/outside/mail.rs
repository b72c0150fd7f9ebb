//! Mailboxes, threads and emails of RFC 8621, and that what IMAP does is seen at once.

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use store::{FlagOp, Flags, Uid};

const LUNCH: &str = "From: Bob <bob@there.test>\r\nTo: ann@here.test\r\nSubject: Lunch?\r\nMessage-ID: <1@there.test>\r\nDate: Thu, 30 Oct 2014 06:12:00 +0100\r\n\r\nAt noon?\r\n";
const REPLY: &str = "From: Ann <ann@here.test>\r\nTo: bob@there.test\r\nSubject: Re: Lunch?\r\nMessage-ID: <2@here.test>\r\nIn-Reply-To: <1@there.test>\r\nReferences: <1@there.test>\r\n\r\nYes, gladly.\r\n";
const SHOP: &str = "From: Shop <news@shop.test>\r\nSubject: Sale\r\nMessage-ID: <3@shop.test>\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nCheap boats\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<b>Cheap</b> boats\r\n--x--\r\n";

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

async fn filled() -> Office {
    let office = Office::new().await;
    office.put("INBOX", LUNCH, NOW, 0).await;
    office.put("Sent", REPLY, NOW + 10, Flags::SEEN).await;
    office.put("INBOX", SHOP, NOW + 20, 0).await;
    office
}

#[tokio::test]
async fn a_view_of_a_mailbox_in_one_request() {
    let office = filled().await;
    // RFC 8621 §4.10's first example: list, threads, emails, with back-references.
    let inbox = office.mailbox_id("INBOX").await;
    let id = office.account_id();
    let answers = office
        .calls(json!([
            ["Email/query", {"accountId": id, "filter": {"inMailbox": inbox}, "sort": [{"isAscending": false, "property": "receivedAt"}],
                "collapseThreads": true, "position": 0, "limit": 30, "calculateTotal": true}, "0"],
            ["Email/get", {"accountId": id, "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"}, "properties": ["threadId"]}, "1"],
            ["Thread/get", {"accountId": id, "#ids": {"resultOf": "1", "name": "Email/get", "path": "/list/*/threadId"}}, "2"],
            ["Email/get", {"accountId": id, "#ids": {"resultOf": "2", "name": "Thread/get", "path": "/list/*/emailIds"},
                "properties": ["from", "receivedAt", "subject", "keywords", "hasAttachment", "preview", "mailboxIds"]}, "3"],
        ]))
        .await;
    assert_eq!((answers[0].1["total"].as_u64(), answers[0].1["collapseThreads"].as_bool()), (Some(2), Some(true)));
    assert_eq!(answers[2].1["list"][1]["emailIds"].as_array().unwrap().len(), 2);
    let list = answers[3].1["list"].as_array().unwrap();
    let told: Vec<(&str, &str)> =
        list.iter().map(|one| (one["subject"].as_str().unwrap(), one["preview"].as_str().unwrap())).collect();
    assert_eq!(told, [("Sale", "Cheap boats"), ("Lunch?", "At noon?"), ("Re: Lunch?", "Yes, gladly.")]);
    assert_eq!(list[1]["from"], json!([{"name": "Bob", "email": "bob@there.test"}]));
    assert_eq!(list[1]["receivedAt"], "2027-01-15T08:00:00Z");
    assert_eq!((&list[2]["keywords"], &list[1]["keywords"]), (&json!({"$seen": true}), &json!({})));
}

/// RFC 8621 §3: whichever of the messages before it an answer names, it is of their conversation, and stays there.
#[tokio::test]
async fn an_answer_joins_the_conversation_of_whatever_it_names() {
    let office = filled().await;
    let (id, drafts) = (office.account_id(), office.mailbox_id("Drafts").await);
    let thread_of = async |mailbox: &str| {
        let ids = office.ids(mailbox).await;
        let got = office.call("Email/get", json!({"ids": ids, "properties": ["threadId"]})).await;
        got["list"].as_array().unwrap().iter().map(|one| one["threadId"].clone()).collect::<Vec<_>>()
    };
    let lunch = thread_of("Sent").await[0].clone();
    let since = office.call("Thread/get", json!({"ids": []})).await["state"].clone();
    // Another program, which names only what it answers.
    let octets = "From: Bob <bob@there.test>\r\nSubject: Re: Lunch?\r\nMessage-ID: <4@there.test>\r\nIn-Reply-To: <2@here.test>\r\n\r\nGood.\r\n";
    office.put("INBOX", octets, NOW + 30, 0).await;
    assert_eq!(office.call("Thread/changes", json!({"sinceState": since})).await["updated"], json!([lunch]));
    // And so does a draft, as it is made and as it is sent.
    let draft = json!({
        "mailboxIds": {&drafts: true}, "from": [{"email": "ann@here.test"}], "to": [{"email": "carol@far.test"}],
        "inReplyTo": ["4@there.test"], "messageId": ["5@here.test"], "bodyValues": {"t": {"value": "x"}}, "textBody": [{"partId": "t"}],
    });
    let answers = office
        .calls(json!([
            ["Email/set", {"accountId": id, "create": {"d": draft}}, "0"],
            ["EmailSubmission/set", {"accountId": id, "create": {"s": {"identityId": "main", "emailId": "#d"}}}, "1"],
        ]))
        .await;
    assert_eq!(answers[0].1["created"]["d"]["threadId"], lunch);
    let submission = &answers[1].1["created"]["s"]["id"];
    assert_eq!(office.call("EmailSubmission/get", json!({"ids": [submission]})).await["list"][0]["threadId"], lunch);
    let found = office.call("Thread/get", json!({"ids": [lunch]})).await;
    assert_eq!(found["list"][0]["emailIds"].as_array().unwrap().len(), 4);
    assert_eq!(thread_of("INBOX").await.iter().filter(|thread| **thread == lunch).count(), 2);
}

#[tokio::test]
async fn every_property_of_an_email() {
    let office = filled().await;
    let ids = office.ids("INBOX").await;
    let got = office.call("Email/get", json!({"ids": [ids[0], "Mnonsense"], "fetchAllBodyValues": true})).await;
    assert_eq!(got["notFound"], json!(["Mnonsense"]));
    let shop = &got["list"][0];
    assert_eq!(shop["textBody"][0]["type"], "text/plain");
    assert_eq!(shop["htmlBody"][0]["type"], "text/html");
    let part = shop["htmlBody"][0]["partId"].as_str().unwrap();
    assert_eq!(
        shop["bodyValues"][part],
        json!({"value": "<b>Cheap</b> boats", "isEncodingProblem": false, "isTruncated": false})
    );
    assert_eq!((shop["messageId"].clone(), shop["sentAt"].clone()), (json!(["3@shop.test"]), Value::Null));
    let asked = ["sentAt", "header:Subject:asText", "header:from:asAddresses:all", "header:X-No", "bodyStructure", "headers"];
    let arguments = json!({"ids": [ids[1]], "properties": asked, "bodyProperties": ["type", "size", "header:Content-Type"]});
    let lunch = office.call("Email/get", arguments).await["list"][0].clone();
    assert_eq!(lunch["sentAt"], "2014-10-30T06:12:00+01:00");
    assert_eq!(lunch["header:Subject:asText"], "Lunch?");
    assert_eq!(lunch["header:from:asAddresses:all"], json!([[{"name": "Bob", "email": "bob@there.test"}]]));
    assert_eq!(lunch["header:X-No"], Value::Null);
    assert_eq!(lunch["bodyStructure"], json!({"type": "text/plain", "size": 10, "header:Content-Type": Value::Null}));
    assert_eq!(lunch["headers"][2], json!({"name": "Subject", "value": " Lunch?"}));
    let cut = json!({"ids": [ids[1]], "properties": ["bodyValues"], "fetchTextBodyValues": true, "maxBodyValueBytes": 5});
    assert_eq!(office.call("Email/get", cut).await["list"][0]["bodyValues"]["0"]["value"], "At no");
    assert_eq!(
        office.fails("Email/get", json!({"ids": [ids[1]], "properties": ["header:From:asText"]})).await,
        "invalidArguments"
    );
}

#[tokio::test]
async fn filters_and_sorts() {
    let office = filled().await;
    let subjects = async |arguments: Value| {
        let ids = office.call("Email/query", arguments).await["ids"].clone();
        let got = office.call("Email/get", json!({"ids": ids, "properties": ["subject"]})).await;
        got["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["subject"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" | ")
    };
    for (filter, found) in [
        (json!(null), "Sale | Re: Lunch? | Lunch?"),
        (json!({"from": "bob"}), "Lunch?"),
        (json!({"text": "boats cheap"}), "Sale"),
        (json!({"text": "\"boats cheap\""}), ""),
        (json!({"body": "gladly"}), "Re: Lunch?"),
        (json!({"subject": "lunch", "notKeyword": "$SEEN"}), "Lunch?"),
        (json!({"hasKeyword": "$seen"}), "Re: Lunch?"),
        (json!({"someInThreadHaveKeyword": "$seen"}), "Re: Lunch? | Lunch?"),
        (json!({"allInThreadHaveKeyword": "$seen"}), ""),
        (json!({"noneInThreadHaveKeyword": "$seen"}), "Sale"),
        (json!({"before": "2027-01-15T08:00:10Z"}), "Lunch?"),
        (json!({"after": "2027-01-15T08:00:10Z"}), "Sale | Re: Lunch?"),
        (json!({"minSize": 250}), "Sale"),
        (json!({"maxSize": 250}), "Re: Lunch? | Lunch?"),
        (json!({"header": ["In-Reply-To"]}), "Re: Lunch?"),
        (json!({"header": ["message-id", "shop"]}), "Sale"),
        (json!({"hasAttachment": true}), ""),
        (json!({"inMailboxOtherThan": [office.mailbox_id("INBOX").await]}), "Re: Lunch?"),
        (json!({"operator": "NOT", "conditions": [{"from": "bob"}, {"from": "shop"}]}), "Re: Lunch?"),
        (json!({"operator": "OR", "conditions": [{"from": "bob"}, {"body": "cheap"}]}), "Sale | Lunch?"),
    ] {
        assert_eq!(subjects(json!({"filter": filter})).await, found, "{filter}");
    }
    let sorted = async |sort: Value| subjects(json!({"sort": sort})).await;
    assert_eq!(sorted(json!([{"property": "from"}])).await, "Re: Lunch? | Lunch? | Sale");
    assert_eq!(
        sorted(json!([{"property": "subject", "isAscending": false}, {"property": "receivedAt"}])).await,
        "Sale | Lunch? | Re: Lunch?"
    );
    assert_eq!(
        sorted(json!([{"property": "hasKeyword", "keyword": "$seen", "isAscending": false}])).await,
        "Re: Lunch? | Sale | Lunch?"
    );
    assert_eq!(sorted(json!([{"property": "size"}])).await, "Lunch? | Re: Lunch? | Sale");
    assert_eq!(office.fails("Email/query", json!({"sort": [{"property": "nonsense"}]})).await, "unsupportedSort");
    assert_eq!(office.fails("Email/query", json!({"filter": {"nonsense": 1}})).await, "unsupportedFilter");
    // The window.
    let ids = office.call("Email/query", json!({})).await["ids"].clone();
    let window = office.call("Email/query", json!({"anchor": ids[1], "anchorOffset": 1, "limit": 5})).await;
    assert_eq!((window["position"].as_u64(), &window["ids"]), (Some(2), &json!([ids[2]])));
    let window = office.call("Email/query", json!({"position": -1})).await;
    assert_eq!((window["position"].as_u64(), &window["ids"]), (Some(2), &json!([ids[2]])));
    assert_eq!(office.fails("Email/query", json!({"anchor": "M1-1"})).await, "anchorNotFound");
}

#[tokio::test]
async fn what_imap_does_is_told_as_changes() {
    let office = filled().await;
    let inbox = office.mailbox("INBOX").await;
    let first = office.call("Email/query", json!({"filter": {"inMailbox": office.mailbox_id("INBOX").await}})).await;
    let since = first["queryState"].as_str().unwrap().to_owned();
    let (shop, lunch) = (first["ids"][0].clone(), first["ids"][1].clone());
    let seen = Flags { system: Flags::SEEN, keywords: Some(vec!["Work".into()].into()) };
    office.store.flags(office.ann, inbox, &[Uid(1)], FlagOp::Add, &seen, None).await.unwrap();
    let archive = office.mailbox("Archive").await;
    office.store.move_(office.ann, inbox, &[Uid(2)], archive, NOW).await.unwrap();
    office.put("INBOX", "Subject: new\r\n\r\nnew\r\n", NOW + 30, 0).await;
    let gone = office.put("INBOX", "Subject: passing\r\n\r\npassing\r\n", NOW + 40, 0).await;
    office.store.expunge(office.ann, inbox, &[gone], NOW).await.unwrap();
    let told = office.call("Email/changes", json!({"sinceState": since})).await;
    let mut updated = texts(&told["updated"]);
    updated.sort_unstable();
    let mut both = [lunch.as_str().unwrap(), shop.as_str().unwrap()];
    both.sort_unstable();
    assert_eq!((updated, told["created"].as_array().unwrap().len(), &told["destroyed"]), (both.to_vec(), 1, &json!([])));
    assert_eq!((told["hasMoreChanges"].as_bool(), &told["oldState"]), (Some(false), &json!(since)));
    // In pieces it is the same.
    let (mut at, mut pieces) = (since.clone(), 0);
    loop {
        let told = office.call("Email/changes", json!({"sinceState": at, "maxChanges": 2})).await;
        at = told["newState"].as_str().unwrap().to_owned();
        pieces += 1;
        if told["hasMoreChanges"] == false {
            break;
        }
    }
    assert!(pieces > 1 && at == told["newState"].as_str().unwrap());
    let got = office.call("Email/get", json!({"ids": [lunch, shop], "properties": ["keywords", "mailboxIds"]})).await;
    assert_eq!(got["list"][0]["keywords"], json!({"$seen": true, "work": true}));
    assert_eq!(got["list"][1]["mailboxIds"], json!({office.mailbox_id("Archive").await: true}));
    // The list: what left, what came and where.
    let question =
        json!({"filter": {"inMailbox": office.mailbox_id("INBOX").await}, "sinceQueryState": since, "calculateTotal": true});
    let told = office.call("Email/queryChanges", question).await;
    let created = office.ids("INBOX").await[0].clone();
    assert_eq!(
        (&told["added"], told["total"].as_u64()),
        (&json!([{"id": created, "index": 0}, {"id": lunch, "index": 1}]), Some(2))
    );
    assert!(texts(&told["removed"]).contains(&shop.as_str().unwrap()));
    // And at last all go.
    let since = office.call("Email/get", json!({"ids": []})).await["state"].clone();
    office.store.expunge(office.ann, archive, &[Uid(1)], NOW).await.unwrap();
    let told = office.call("Email/changes", json!({"sinceState": since})).await;
    assert_eq!((&told["destroyed"], &told["updated"]), (&json!([shop]), &json!([])));
    let threads = office.call("Thread/changes", json!({"sinceState": since})).await;
    assert_eq!(threads["destroyed"].as_array().unwrap().len(), 1);
    let mailboxes = office.call("Mailbox/changes", json!({"sinceState": since})).await;
    assert_eq!(mailboxes["updated"], json!([office.mailbox_id("Archive").await]));
    assert_eq!(mailboxes["updatedProperties"].as_array().unwrap().len(), 4);
    for wrong in ["nonsense", "999999", "-1", "01"] {
        assert_eq!(office.fails("Email/changes", json!({"sinceState": wrong})).await, "cannotCalculateChanges");
    }
}

#[tokio::test]
async fn deleted_in_imap_is_not_there() {
    let office = filled().await;
    let inbox = office.mailbox("INBOX").await;
    let deleted = Flags { system: Flags::DELETED, keywords: None };
    office.store.flags(office.ann, inbox, &[Uid(1)], FlagOp::Add, &deleted, None).await.unwrap();
    assert_eq!(office.ids("INBOX").await.len(), 1);
    let got = office.call("Mailbox/get", json!({"ids": [office.mailbox_id("INBOX").await]})).await;
    assert_eq!((got["list"][0]["totalEmails"].as_u64(), got["list"][0]["unreadEmails"].as_u64()), (Some(1), Some(1)));
}

#[tokio::test]
async fn mailboxes_are_made_renamed_and_removed() {
    let office = filled().await;
    let all = office.call("Mailbox/get", json!({})).await;
    let inbox = all["list"].as_array().unwrap().iter().find(|one| one["role"] == "inbox").unwrap();
    assert_eq!(
        (inbox["name"].as_str(), inbox["totalThreads"].as_u64(), inbox["unreadThreads"].as_u64()),
        (Some("Inbox"), Some(2), Some(2))
    );
    let since = all["state"].clone();
    let made = office
        .call(
            "Mailbox/set",
            json!({"create": {"a": {"name": "Work"}, "b": {"name": "Boats", "parentId": "#a"}, "c": {"name": "a/b"}}}),
        )
        .await;
    let (work, boats) = (made["created"]["a"]["id"].clone(), made["created"]["b"]["id"].clone());
    assert_eq!(made["notCreated"]["c"]["type"], "invalidProperties");
    assert!(office.store.mailbox(office.ann, "Work/Boats").await.unwrap().is_some());
    let update = json!({"update": {boats.as_str().unwrap(): {"name": "Ships", "parentId": null, "isSubscribed": true}}});
    let moved = office.call("Mailbox/set", update).await;
    assert_eq!(moved["updated"], json!({boats.as_str().unwrap(): null}));
    let ships = office.store.mailbox(office.ann, "Ships").await.unwrap().unwrap();
    assert!(ships.subscribed);
    let told = office.call("Mailbox/changes", json!({"sinceState": since})).await;
    assert_eq!(told["created"], json!([work, boats]));
    office.put("Ships", LUNCH, NOW, 0).await;
    let inbox_id = inbox["id"].as_str().unwrap();
    let destroy = json!({"destroy": [work, boats, inbox_id, "F1-99"]});
    let gone = office.call("Mailbox/set", destroy).await;
    assert_eq!(gone["destroyed"], json!([work]));
    let why = |id: &str| gone["notDestroyed"][id]["type"].clone();
    assert_eq!(
        [why(boats.as_str().unwrap()), why(inbox_id), why("F1-99")],
        [json!("mailboxHasEmail"), json!("forbidden"), json!("notFound")]
    );
    let destroy = json!({"destroy": [boats], "onDestroyRemoveEmails": true});
    assert_eq!(office.call("Mailbox/set", destroy).await["destroyed"], json!([boats]));
    assert_eq!(office.fails("Mailbox/set", json!({"ifInState": "1", "destroy": []})).await, "stateMismatch");
    let named = office.call("Mailbox/query", json!({"filter": {"hasAnyRole": true}, "sort": [{"property": "sortOrder"}]})).await;
    assert_eq!((named["ids"][0].as_str(), named["ids"].as_array().unwrap().len()), (Some(inbox_id), 6));
    let changes = office.call("Mailbox/queryChanges", json!({"sinceQueryState": since})).await;
    assert!(changes["removed"].as_array().unwrap().is_empty());
}

/// RFC 8621 §2: `role` and `sortOrder` are the client's to set, no two mailboxes have one role, and what one makes oneself one is
/// subscribed to.
#[tokio::test]
async fn a_mailbox_gets_a_role_and_a_place() {
    let office = Office::new().await;
    let create = json!({"create": {"a": {"name": "Old things", "sortOrder": 3}, "b": {"name": "Notes", "isSubscribed": false}, "c": {"name": "Spam", "role": "junk"},
        "d": {"name": "D", "sortOrder": 2_147_483_648u32}, "e": {"name": "E", "role": "inbox"}, "f": {"name": "F", "isSubscribed": 1}}});
    let made = office.call("Mailbox/set", create).await;
    let (a, b) = (&made["created"]["a"], &made["created"]["b"]);
    assert_eq!(
        (&a["isSubscribed"], a.get("sortOrder"), &a["role"], &a["parentId"]),
        (&json!(true), None, &Value::Null, &Value::Null)
    );
    assert_eq!((b.get("isSubscribed"), &b["sortOrder"]), (None, &json!(10)));
    let why = |name: &str| made["notCreated"][name]["properties"].clone();
    assert_eq!(
        [why("c"), why("d"), why("e"), why("f")],
        [json!(["role"]), json!(["sortOrder"]), json!(["role"]), json!(["isSubscribed"])]
    );
    let (a, b) = (a["id"].as_str().unwrap().to_owned(), b["id"].as_str().unwrap().to_owned());
    let archive = office.mailbox_id("Archive").await;
    let get = async |id: &str| office.call("Mailbox/get", json!({"ids": [id]})).await["list"][0].clone();
    assert_eq!((get(&a).await["isSubscribed"].clone(), get(&a).await["sortOrder"].clone()), (json!(true), json!(3)));
    assert_eq!(get(&b).await["isSubscribed"], false);
    let since = office.call("Mailbox/get", json!({"ids": []})).await["state"].clone();
    let sorted = json!({"sort": [{"property": "sortOrder"}, {"property": "name"}]});
    let before = office.call("Mailbox/query", sorted.clone()).await;
    // One place is another, and so the list.
    let update = async |patch: Value| office.call("Mailbox/set", json!({"update": patch})).await;
    assert_eq!(update(json!({&b: {"sortOrder": 0}})).await["updated"], json!({&b: null}));
    let told = office.call("Mailbox/changes", json!({"sinceState": since})).await;
    assert_eq!((&told["updated"], &told["updatedProperties"]), (&json!([b]), &Value::Null));
    let mut list = before["ids"].as_array().unwrap().clone();
    let ask = json!({"sinceQueryState": before["queryState"], "sort": sorted["sort"], "upToId": list[0]});
    let moved = office.call("Mailbox/queryChanges", ask).await;
    list.retain(|id| !moved["removed"].as_array().unwrap().contains(id));
    for added in moved["added"].as_array().unwrap() {
        list.insert(usize::try_from(added["index"].as_u64().unwrap()).unwrap(), added["id"].clone());
    }
    let after = office.call("Mailbox/query", sorted).await["ids"].clone();
    assert_eq!((json!(list), &after[0]), (after.clone(), &json!(b)));
    // A role that another has is not given; it may change hands in one call, and IMAP has it then.
    let refused = update(json!({&a: {"role": "archive", "name": "Never"}})).await;
    assert_eq!(refused["notUpdated"][&a]["properties"], json!(["role"]));
    assert_eq!(get(&a).await["name"], "Old things", "nothing of it is done");
    let done = update(json!({&a: {"role": "archive"}, &archive: {"role": null}})).await;
    assert_eq!((done["updated"].as_object().map(serde_json::Map::len), &done["notUpdated"]), (Some(2), &Value::Null), "{done}");
    assert_eq!((get(&a).await["role"].clone(), get(&archive).await["role"].clone()), (json!("archive"), Value::Null));
    let used = office.store.mailbox(office.ann, "Old things").await.unwrap().unwrap().special_use;
    assert_eq!(used, Some(store::SpecialUse::Archive));
    let inbox = office.mailbox_id("INBOX").await;
    for (id, patch, property) in [
        (&inbox, json!({"role": "archive"}), "role"),
        (&inbox, json!({"role": null}), "role"),
        (&a, json!({"role": "boats"}), "role"),
        (&a, json!({"sortOrder": -1}), "sortOrder"),
        (&a, json!({"sortOrder": "1"}), "sortOrder"),
    ] {
        let told = update(json!({id: patch})).await;
        assert_eq!(told["notUpdated"][id]["properties"], json!([property]), "{patch}");
    }
    // By itself again, and gone with the mailbox.
    update(json!({&b: {"sortOrder": null}})).await;
    assert_eq!(get(&b).await["sortOrder"], 10);
    update(json!({&b: {"sortOrder": 5}})).await;
    let since = office.call("Mailbox/get", json!({"ids": []})).await["state"].clone();
    office.call("Mailbox/set", json!({"destroy": [b]})).await;
    let told = office.call("Mailbox/changes", json!({"sinceState": since})).await;
    assert_eq!((&told["destroyed"], &told["updated"]), (&json!([b]), &json!([])));
}

/// RFC 8621 §2 `unreadThreads`: one that is in the trash and elsewhere counts there and there.
#[tokio::test]
async fn the_trash_counts_by_itself() {
    let office = Office::new().await;
    let trash = office.mailbox_id("Trash").await;
    office.put("INBOX", LUNCH, NOW, Flags::SEEN).await;
    office.put("Trash", REPLY, NOW + 1, 0).await;
    let unread = async || {
        let got = office
            .call("Mailbox/get", json!({"ids": [trash, office.mailbox_id("INBOX").await], "properties": ["unreadThreads"]}))
            .await;
        [0, 1].map(|at| got["list"][at]["unreadThreads"].as_u64().unwrap())
    };
    // The example of the RFC.
    assert_eq!(unread().await, [1, 0]);
    let reply = office.ids("Trash").await.remove(0);
    let into_inbox = json!({format!("mailboxIds/{}", office.mailbox_id("INBOX").await): true});
    office.call("Email/set", json!({"update": {&reply: into_inbox}})).await;
    assert_eq!(unread().await, [1, 1]);
}

/// RFC 8620 §5.6: what is sorted by something that changes is told whatever the client has of it.
#[tokio::test]
async fn a_list_by_keywords_is_brought_up_whole() {
    let office = Office::new().await;
    for number in 0..4 {
        office.put("INBOX", &format!("Subject: {number}\r\n\r\nx\r\n"), NOW + number, 0).await;
    }
    let sort = json!([{"property": "hasKeyword", "keyword": "$flagged", "isAscending": false}, {"property": "receivedAt"}]);
    let before = office.call("Email/query", json!({"sort": sort})).await;
    let ids: Vec<Value> = before["ids"].as_array().unwrap().clone();
    // The last one that the client has goes to the front, and one that it does not have comes right behind.
    let update = json!({"update": {ids[2].as_str().unwrap(): {"keywords/$flagged": true}, ids[3].as_str().unwrap(): {"keywords/$flagged": true}}});
    office.call("Email/set", update).await;
    let ask = json!({"sinceQueryState": before["queryState"], "sort": sort, "upToId": ids[2]});
    let told = office.call("Email/queryChanges", ask).await;
    assert_eq!(told["added"], json!([{"id": ids[2], "index": 0}, {"id": ids[3], "index": 1}]));
}
