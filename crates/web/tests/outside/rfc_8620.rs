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
