//! The examples that RFC 8620 prints, and what it says of patches, with our ids and types for its own.

use crate::office::{NOW, Office};
use serde_json::{Value, json};

/// §4.1, §6.1, §6.3
#[tokio::test]
async fn echo_upload_and_copy() {
    let office = Office::new().await;
    let request =
        json!({"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"hello": true, "high": 5}, "b3ff"]]});
    let answer = office.request(&request).await.json();
    assert_eq!(answer["methodResponses"], json!([["Core/echo", {"hello": true, "high": 5}, "b3ff"]]));
    assert!(answer["sessionState"].is_string() && answer.get("createdIds").is_none(), "{answer}");
    let basic = Office::basic("ann@here.test", "pw");
    let head = format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{basic}Content-Type: text/plain; charset=utf-8\r\n");
    let up = office.ask(&head, b"hello").await;
    assert_eq!(up.status, 201);
    let up = up.json();
    assert_eq!(up, json!({"accountId": "A1", "blobId": up["blobId"], "type": "text/plain; charset=utf-8", "size": 5}));
    let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
    let inbox = office.store.mailbox(bob, "INBOX").await.unwrap().unwrap().id;
    let rights = wire::imap::acl::Rights::from_letters(b"lri").unwrap();
    office.store.acl_change(bob, inbox, "ann@here.test", store::AclChange::Replace(rights.bits())).await.unwrap();
    let copy = json!([["Blob/copy", {"fromAccountId": "A1", "accountId": "A2", "blobIds": [up["blobId"], "Unone"]}, "R1"]]);
    let copied = office.calls(copy).await.remove(0).1;
    let blob = up["blobId"].as_str().unwrap();
    assert_eq!((&copied["fromAccountId"], &copied["accountId"]), (&json!("A1"), &json!("A2")));
    assert_eq!((copied["copied"][blob].is_string(), &copied["notCopied"]["Unone"]["type"]), (true, &json!("notFound")));
}

/// §3.3 and §5.3: what was made in a request is named by its creation id in the same and, with `createdIds`, in the next.
#[tokio::test]
async fn creation_ids_go_on() {
    let office = Office::new().await;
    let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
    let make = json!({"using": using, "createdIds": {}, "methodCalls": [
        ["Mailbox/set", {"accountId": "A1", "create": {"k1": {"name": "one"}, "k2": {"name": "two", "parentId": "#k1"}}}, "0"]]});
    let answer = office.request(&make).await.json();
    let created = answer["createdIds"].clone();
    let made = &answer["methodResponses"][0][1]["created"];
    assert_eq!(created, json!({"k1": made["k1"]["id"], "k2": made["k2"]["id"]}));
    let next = json!({"using": using, "createdIds": created, "methodCalls": [
        ["Mailbox/set", {"accountId": "A1", "update": {"#k2": {"name": "three"}}}, "0"], ["Mailbox/get", {"accountId": "A1", "ids": [created["k2"]]}, "1"]]});
    let answer = office.request(&next).await.json();
    assert_eq!(answer["methodResponses"][1][1]["list"][0]["name"], "three", "{answer}");
}

/// §5.3
#[tokio::test]
async fn a_whole_object_is_a_patch_and_a_patch_is_checked() {
    let office = Office::new().await;
    office.put("INBOX", "From: bob@there.test\r\nSubject: hi\r\n\r\nx", NOW, 0).await;
    let (inbox, archive) = (office.mailbox_id("INBOX").await, office.mailbox_id("Archive").await);
    let set = async |name: &str, id: &str, patch: Value| office.call(name, json!({"update": {id: patch}})).await;
    let whole = async |of: &str, id: &str| office.call(&format!("{of}/get"), json!({"ids": [id]})).await["list"][0].clone();
    // Said again as it is, and one thing changed.
    let mut mailbox = whole("Mailbox", &archive).await;
    mailbox["name"] = json!("Old");
    assert_eq!(set("Mailbox/set", &archive, mailbox).await["updated"], json!({&archive: null}));
    let mut identity = whole("Identity", "main").await;
    identity["name"] = json!("Ann");
    assert_eq!(set("Identity/set", "main", identity).await["updated"], json!({"main": null}));
    assert_eq!(set("Identity/set", "main", json!({"name": null})).await["updated"], json!({"main": null}));
    assert_eq!(whole("Identity", "main").await["name"], "", "null is what it is where nobody says anything");
    let id = office.ids("INBOX").await.remove(0);
    let mut email = whole("Email", &id).await;
    email["keywords"] = json!({"$seen": true});
    assert_eq!(set("Email/set", &id, email).await["updated"], json!({&id: null}));
    assert_eq!(whole("Email", &id).await["keywords"], json!({"$seen": true}));
    // Another value than the server's.
    for (name, id, patch) in [
        ("Mailbox/set", &archive, json!({"totalEmails": 7})),
        ("Mailbox/set", &archive, json!({"nonsense": 1})),
        ("Identity/set", &"main".to_owned(), json!({"email": "eve@here.test"})),
        ("Email/set", &id, json!({"subject": "ho"})),
        ("Email/set", &id, json!({"nonsense": 1})),
    ] {
        let told = set(name, id, patch.clone()).await;
        assert_eq!(told["notUpdated"][id]["type"], "invalidProperties", "{patch}: {told}");
    }
    // One path is the beginning of another, or leads into nothing.
    for patch in [
        json!({"keywords": {}, "keywords/$seen": true}),
        json!({"mailboxIds": {&inbox: true}, format!("mailboxIds/{archive}"): true}),
        json!({"keywords/$seen/x": true}),
    ] {
        assert_eq!(set("Email/set", &id, patch.clone()).await["notUpdated"][&id]["type"], "invalidPatch", "{patch}");
    }
    // "The pointer MUST NOT reference inside an array", "All parts prior to the last [...] MUST already exist".
    set("Identity/set", "main", json!({"bcc": [{"name": null, "email": "a@b"}]})).await;
    for (name, id, patch) in [
        ("Identity/set", &"main".to_owned(), json!({"bcc/0": {"email": "c@d"}})),
        ("Identity/set", &"main".to_owned(), json!({"replyTo/0/email": "c@d"})),
        ("VacationResponse/set", &"singleton".to_owned(), json!({"subject/x": "y"})),
        ("Mailbox/set", &archive, json!({"myRights/mayDelete": false})),
    ] {
        assert_eq!(set(name, id, patch.clone()).await["notUpdated"][id]["type"], "invalidPatch", "{patch}");
    }
    for wrong in [json!([1]), json!([{"name": "x"}]), json!([{"email": "a@b", "more": 1}]), json!([{"email": "a\r\nb"}])] {
        let told = set("Identity/set", "main", json!({"replyTo": wrong})).await;
        assert_eq!(told["notUpdated"]["main"]["properties"], json!(["replyTo"]), "{wrong}");
    }
}

/// RFC 9425 §5: the quota as its example has it, fetched and followed.
#[tokio::test]
async fn the_quota_is_fetched_and_followed() {
    let office = Office::new().await;
    let get = async || office.call("Quota/get", json!({"ids": null})).await;
    let first = get().await;
    let quota = &first["list"][0];
    let mut names: Vec<&str> = quota.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let wanted = ["description", "hardLimit", "id", "name", "resourceType", "scope", "softLimit", "types", "used", "warnLimit"];
    assert_eq!(names, wanted);
    assert_eq!((&quota["scope"], &quota["resourceType"], &quota["used"]), (&json!("account"), &json!("octets"), &json!(0)));
    office.put("INBOX", "Subject: x\r\n\r\nx", NOW, 0).await;
    let get = json!({"resultOf": "0", "name": "Quota/changes", "path": "/updated"});
    let properties = json!({"resultOf": "0", "name": "Quota/changes", "path": "/updatedProperties"});
    let answers = office
        .calls(json!([
            ["Quota/changes", {"accountId": "A1", "sinceState": first["state"], "maxChanges": 20}, "0"],
            ["Quota/get", {"accountId": "A1", "#ids": get, "#properties": properties}, "1"],
        ]))
        .await;
    assert_eq!((&answers[0].1["updated"], &answers[0].1["updatedProperties"]), (&json!([quota["id"]]), &json!(["used"])));
    assert_eq!(answers[1].1["list"], json!([{"id": quota["id"], "used": 15}]));
}

/// RFC 8620 §5.3: "In the case of records with references to the same type, the server MUST order the creates and updates within a
/// single method call so that creates happen before their creation ids are referenced by another create/update in the same call."
#[tokio::test]
async fn what_is_referred_to_is_created_first() {
    let office = Office::new().await;
    let boxes = json!({"a": {"name": "leaf", "parentId": "#m"}, "m": {"name": "middle", "parentId": "#z"}, "z": {"name": "top"}});
    let made = office.call("Mailbox/set", json!({"create": boxes})).await;
    assert_eq!((made["created"].as_object().unwrap().len(), &made["notCreated"]), (3, &Value::Null), "{made}");
    assert!(office.store.mailbox(office.ann, "top/middle/leaf").await.unwrap().is_some());
    // RFC 9404 §4.1 likewise.
    let pieces = |of: &str| json!({"data": [{"data:asText": "x"}, {"blobId": of}]});
    let blobs = json!({"a": pieces("#b"), "b": pieces("#z"), "z": {"data": [{"data:asText": "y"}]}, "p": pieces("#q"), "q": pieces("#p")});
    let made = office.call("Blob/upload", json!({"create": blobs})).await;
    assert_eq!(made["created"]["a"]["size"], 3, "{made}");
    let (p, q) = (&made["notCreated"]["p"]["type"], &made["notCreated"]["q"]["type"]);
    assert_eq!((p, q), (&json!("blobNotFound"), &json!("blobNotFound")), "a circle leads nowhere");
}

/// RFC 8620 §5.3: "A single method call could rename an object A => B and simultaneously rename another object B => A. If the final
/// state is valid, this is allowed."
#[tokio::test]
async fn names_change_hands_in_one_call() {
    let office = Office::new().await;
    let boxes = json!({"a": {"name": "A"}, "b": {"name": "B"}, "c": {"name": "C"}, "d": {"name": "D"}, "under": {"name": "deep", "parentId": "#a"}});
    let made = office.call("Mailbox/set", json!({"create": boxes})).await["created"].clone();
    let id = |name: &str| made[name]["id"].as_str().unwrap().to_owned();
    let names = async || {
        let all = office.store.mailboxes(office.ann).await.unwrap();
        let named = |name: &str| {
            let wanted = store::object_id::mailbox(office.ann, &id(name)).unwrap();
            all.iter().find(|one| one.id == wanted).map(|one| one.name.to_string()).unwrap_or_default()
        };
        [named("a"), named("b"), named("c"), named("d"), named("under")]
    };
    let rename = async |names: &[(&str, &str)]| {
        let update: serde_json::Map<_, _> = names.iter().map(|(of, name)| (id(of), json!({"name": name}))).collect();
        office.call("Mailbox/set", json!({"update": update})).await
    };
    let done = rename(&[("a", "B"), ("b", "A")]).await;
    assert_eq!((done["updated"].as_object().unwrap().len(), &done["notUpdated"]), (2, &Value::Null), "{done}");
    assert_eq!(names().await, ["B", "A", "C", "D", "B/deep"]);
    // Round in a longer circle, one that takes the place of another that goes, and one whose name nobody gives up.
    rename(&[("a", "A"), ("b", "C"), ("c", "B")]).await;
    assert_eq!(names().await, ["A", "C", "B", "D", "A/deep"]);
    rename(&[("a", "B"), ("c", "free")]).await;
    assert_eq!(names().await, ["B", "C", "free", "D", "B/deep"]);
    let done = rename(&[("a", "D"), ("b", "B")]).await;
    assert_eq!(done["notUpdated"].as_object().unwrap().len(), 2, "{done}");
    assert_eq!(names().await, ["B", "C", "free", "D", "B/deep"]);
    // What lies above goes with what lies under it, however they are named.
    for both in [["a", "under"], ["under", "a"]].map(|both| both.map(id)) {
        let made = office.call("Mailbox/set", json!({"destroy": both})).await;
        let again = made["notDestroyed"].as_object().map(|all| all.values().all(|why| why["type"] == "notFound"));
        assert!(made["destroyed"].as_array().is_some_and(|gone| gone.len() == 2) || again == Some(true), "{made}");
    }
}

/// §3.6.1 `notJSON`: "the request did not parse as I-JSON"; RFC 7493 §2.3: no member comes twice.
#[tokio::test]
async fn a_request_is_i_json() {
    let office = Office::new().await;
    let head = format!("POST /jmap/api HTTP/1.1\r\n{}Content-Type: application/json\r\n", Office::basic("ann@here.test", "pw"));
    let twice = r#"{"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"a": 1, "a": 2}, "c"]]}"#;
    let answer = office.ask(&head, twice.as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("urn:ietf:params:jmap:error:notJSON")));
    assert_eq!(office.ask(&head, twice.replace("\"a\": 2", "\"b\": 2").as_bytes()).await.status, 200);
}

/// §5.5 `unsupportedSort`: "includes a property the server does not support sorting on or a collation method it does not recognise".
#[tokio::test]
async fn an_order_is_one_that_is_known() {
    let office = Office::new().await;
    let head = format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    let session = office.ask(&head, b"").await.json();
    let known = session["capabilities"]["urn:ietf:params:jmap:core"]["collationAlgorithms"].as_array().unwrap().clone();
    for (method, property) in
        [("Email/query", "subject"), ("Mailbox/query", "name"), ("Quota/query", "name"), ("EmailSubmission/query", "emailId")]
    {
        let sort = |more: Value| {
            let mut one = json!({"property": property});
            one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"sort": [one]})
        };
        for collation in &known {
            office.call(method, sort(json!({"collation": collation}))).await;
        }
        assert_eq!(office.fails(method, sort(json!({"collation": "i;klingon"}))).await, "unsupportedSort", "{method}");
        assert_eq!(office.fails(method, sort(json!({"isAscending": "yes"}))).await, "invalidArguments", "{method}");
    }
}

/// RFC 9425 §4, `types`: "The server MUST filter out any types for which the client did not request the associated capability", and
/// then "MUST NOT return Quota objects for which there are no types". §4.2, `updatedProperties`: "If the server is unable to tell
/// if only \"used\" has changed, it MUST be null."
#[tokio::test]
async fn another_limit_is_another_state_of_the_quota() {
    let office = Office::new().await;
    let asked = |using: &[&str]| {
        let using: Vec<String> = using.iter().map(|one| format!("urn:ietf:params:jmap:{one}")).collect();
        json!({"using": using, "methodCalls": [["Quota/get", {"accountId": "A1", "ids": null}, "0"], ["Quota/query", {"accountId": "A1"}, "1"]]})
    };
    let answer = office.request(&asked(&["core", "quota"])).await.json();
    assert_eq!((&answer["methodResponses"][0][1]["list"], &answer["methodResponses"][1][1]["ids"]), (&json!([]), &json!([])));
    let answer = office.request(&asked(&["core", "quota", "mail"])).await.json();
    let first = answer["methodResponses"][0][1].clone();
    assert_eq!(first["list"][0]["types"], json!(["Email", "Mail"]));
    let since = async |state: &Value| {
        let told = office.call("Quota/changes", json!({"sinceState": state})).await;
        let ids = |name: &str| told[name].as_array().unwrap().len();
        ((ids("created"), ids("updated"), ids("destroyed")), told["updatedProperties"].clone(), told["newState"].clone())
    };
    let mut events = office.store.watch(office.ann).await.unwrap();
    events.borrow_and_update();
    office.store.account_quota(office.ann, Some(7)).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(60), events.changed()).await.unwrap().unwrap();
    let (changed, properties, state) = since(&first["state"]).await;
    assert_eq!((changed, properties), ((0, 1, 0), Value::Null), "the limit is another one");
    assert_eq!(since(&state).await.0, (0, 0, 0));
    office.store.account_quota(office.ann, None).await.unwrap();
    assert_eq!(since(&state).await.0, (0, 0, 1));
    let none = office.call("Quota/get", json!({"ids": null})).await;
    assert_eq!(none["list"], json!([]));
    office.store.account_quota(office.ann, Some(100_000)).await.unwrap();
    assert_eq!(since(&none["state"]).await.0, (1, 0, 0));
    assert_eq!(since(&first["state"]).await.0, (0, 1, 0), "there, gone and there again");
    office.put("INBOX", "Subject: x\r\n\r\nx", NOW, 0).await;
    let last = office.call("Quota/get", json!({"ids": null})).await["state"].clone();
    office.put("INBOX", "Subject: x\r\n\r\nx", NOW, 0).await;
    let (changed, properties, _) = since(&last).await;
    assert_eq!((changed, properties), ((0, 1, 0), json!(["used"])));
}

/// §5.3, `created`: "any properties that were omitted by the client and so set to a default by the server".
#[tokio::test]
async fn what_was_not_said_of_a_new_object_is_told() {
    let office = Office::new().await;
    let create = json!({"create": {"i": {"name": "Anna", "email": "ann@here.test"}}});
    let mut made = office.call("Identity/set", create).await["created"]["i"].clone();
    assert!(made.as_object_mut().unwrap().remove("id").is_some());
    let wanted = json!({"replyTo": null, "bcc": null, "textSignature": "", "htmlSignature": "", "mayDelete": true});
    assert_eq!(made, wanted);
}

/// §5.5, `collation`, by the algorithms of RFC 4790 §9.2 (letters of ASCII alike), §9.3 (octets) and RFC 5051; descending is the same
/// turned round.
#[tokio::test]
async fn texts_are_sorted_by_the_collation_that_is_asked_for() {
    let office = Office::new().await;
    for (at, subject) in (0..).zip(["b", "A", "a", "\u{e9}a", "\u{c9}b", "Z"]) {
        office
            .put("INBOX", &format!("From: {subject} <x@y>\r\nTo: {subject} <x@y>\r\nSubject: {subject}\r\n\r\nx"), NOW - at, 0)
            .await;
    }
    let sorted = async |sort: Value| {
        let ids = office.call("Email/query", json!({"sort": sort})).await["ids"].clone();
        let got = office.call("Email/get", json!({"ids": ids, "properties": ["subject"]})).await["list"].clone();
        let of = |id: &Value| {
            got.as_array().unwrap().iter().find(|one| one["id"] == *id).unwrap()["subject"].as_str().unwrap().to_owned()
        };
        ids.as_array().unwrap().iter().map(of).collect::<Vec<_>>().join(" ")
    };
    for property in ["subject", "from", "to"] {
        for (collation, wanted) in [
            // What is alike comes newest first.
            (json!("i;unicode-casemap"), "A a b \u{e9}a \u{c9}b Z"),
            (Value::Null, "A a b \u{e9}a \u{c9}b Z"),
            (json!("i;ascii-casemap"), "A a b Z \u{c9}b \u{e9}a"),
            (json!("i;octet"), "A Z a b \u{c9}b \u{e9}a"),
        ] {
            let by = |up: bool| json!([{"property": property, "collation": collation, "isAscending": up}]);
            assert_eq!(sorted(by(true)).await, wanted, "{property} {collation}");
            let down = sorted(by(false)).await;
            assert_eq!((down.split(' ').next(), down.split(' ').count()), (wanted.split(' ').next_back(), 6), "{down}");
        }
    }
    let both = json!([{"property": "subject", "collation": "i;ascii-casemap"}, {"property": "from", "collation": "i;octet", "isAscending": false}]);
    assert_eq!(sorted(both).await, "a A b Z \u{c9}b \u{e9}a");
    for name in ["b", "A", "\u{e9}", "Z"] {
        office.call("Mailbox/set", json!({"create": {"m": {"name": name}}})).await;
    }
    let boxes = async |collation: &str| {
        let ask = json!({"filter": {"hasAnyRole": false}, "sort": [{"property": "name", "collation": collation}]});
        let ids = office.call("Mailbox/query", ask).await["ids"].clone();
        let mut names = Vec::new();
        for id in ids.as_array().unwrap() {
            names.push(office.call("Mailbox/get", json!({"ids": [id]})).await["list"][0]["name"].as_str().unwrap().to_owned());
        }
        names.join(" ")
    };
    assert_eq!(boxes("i;unicode-casemap").await, "A b \u{e9} Z");
    assert_eq!(boxes("i;ascii-casemap").await, "A b Z \u{e9}");
    assert_eq!(boxes("i;octet").await, "A Z b \u{e9}");
}

/// §5.6, `upToId`: "If the sort and filter are both only on immutable properties, this allows the server to omit changes after this
/// point in the results [...]. If they are not immutable, this argument is ignored."
#[tokio::test]
async fn what_comes_behind_the_last_that_is_known_is_left_out_where_nothing_moves() {
    let office = Office::new().await;
    for at in 0..3 {
        office.put("INBOX", &format!("Subject: {at}\r\n\r\nx"), NOW + at, 0).await;
    }
    let ask = async |method: &str, filter: &Value, more: Value| {
        let mut ask = json!({"filter": filter, "sort": [{"property": "receivedAt", "isAscending": true}]});
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        office.call(method, ask).await
    };
    let inbox = office.mailbox_id("INBOX").await;
    let (stays, moves) = (json!({"subject": ""}), json!({"inMailbox": inbox}));
    let mut before = Vec::new();
    for filter in [&stays, &moves, &json!({"notKeyword": "x"}), &Value::Null] {
        before.push((filter.clone(), ask("Email/query", filter, json!({})).await));
    }
    office.put("INBOX", "Subject: new\r\n\r\nx", NOW + 9, 0).await;
    for (filter, before) in before {
        let known = json!({"sinceQueryState": before["queryState"], "upToId": before["ids"][1]});
        let told = ask("Email/queryChanges", &filter, known).await;
        let left_out = filter == stays || filter.is_null();
        assert_eq!(told["added"].as_array().unwrap().len(), usize::from(!left_out), "{filter}: {told}");
    }
}

/// §2, `state`: "If the value of any other property on the Session object changes, this string will change", and it is the same in
/// every answer.
#[tokio::test]
async fn another_limit_is_another_state_of_the_session() {
    let mut office = Office::new().await;
    let states = async |office: &Office, more: &str| {
        let head = format!("GET /jmap/session HTTP/1.1\r\n{more}{}", Office::basic("ann@here.test", "pw"));
        let session = office.ask(&head, b"").await.json();
        let echo = json!({"using": ["urn:ietf:params:jmap:core"], "methodCalls": []});
        let answer = office.request(&echo).await.json();
        assert_eq!(session["state"], answer["sessionState"]);
        session["state"].clone()
    };
    let before = states(&office, "").await;
    assert_eq!(states(&office, "X-Forwarded-Proto: https\r\n").await, before, "under another name");
    office.restart();
    assert_eq!(states(&office, "").await, before, "nothing changed");
    office.restart_with(5_000_000);
    assert_ne!(states(&office, "").await, before);
}
