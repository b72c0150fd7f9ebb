//! Values that are not of their type, or name what is not there (RFC 8621 §2.5, §4.6; RFC 8620 §5.3).

use crate::office::{NOW, Office};
use serde_json::{Value, json};

/// §2: `parentId: Id|null`. What is neither is not taken for the top.
#[tokio::test]
async fn a_parent_is_an_id_or_null() {
    let office = Office::new().await;
    let made =
        office.call("Mailbox/set", json!({"create": {"m": {"name": "Work"}, "n": {"name": "Law", "parentId": "#m"}}})).await;
    let inner = made["created"]["n"]["id"].as_str().unwrap().to_owned();
    let set = json!({"create": {"x": {"name": "Other", "parentId": 7}}, "update": {&inner: {"parentId": ["x"]}}});
    let done = office.call("Mailbox/set", set).await;
    for error in [&done["notCreated"]["x"], &done["notUpdated"][&inner]] {
        assert_eq!((&error["type"], &error["properties"]), (&json!("invalidProperties"), &json!(["parentId"])), "{done}");
    }
    assert!(office.store.mailbox(office.ann, "Work/Law").await.unwrap().is_some(), "it stays where it is");
    let done = office.call("Mailbox/set", json!({"update": {&inner: {"parentId": null}}})).await;
    assert_eq!(done["updated"], json!({&inner: null}));
    assert!(office.store.mailbox(office.ann, "Law").await.unwrap().is_some());
}

/// RFC 8620 §5.3: "If the key is not present in the parent, this a no-op."
#[tokio::test]
async fn what_is_not_there_can_be_taken_away() {
    let office = Office::new().await;
    office.put("INBOX", "Subject: one\r\n\r\nx", NOW, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    let archive = office.mailbox_id("Archive").await;
    let patch = json!({
        "mailboxIds/Fnone": null, format!("mailboxIds/{archive}"): null, "keywords/$flagged": null, "keywords/no (keyword": null,
        "keywords/$seen": true,
    });
    let done = office.call("Email/set", json!({"update": {&id: patch}})).await;
    assert_eq!((&done["updated"], &done["notUpdated"]), (&json!({&id: null}), &Value::Null), "{done}");
    let email = office.call("Email/get", json!({"ids": [id], "properties": ["mailboxIds", "keywords"]})).await["list"][0].clone();
    let inbox = office.mailbox_id("INBOX").await;
    assert_eq!((&email["mailboxIds"], &email["keywords"]), (&json!({inbox: true}), &json!({"$seen": true})));
    // What is set has to be there.
    for wrong in [json!({"mailboxIds/Fnone": true}), json!({"keywords/no (keyword": true})] {
        let done = office.call("Email/set", json!({"update": {&id: wrong}})).await;
        assert_eq!(done["notUpdated"][&id]["type"], "invalidProperties", "{done}");
    }
}

/// §4.6: "tooManyKeywords: The change to the Email's keywords would exceed a server-defined maximum." It is told of that email alone.
#[tokio::test]
async fn an_email_has_so_many_keywords_and_no_more() {
    let office = Office::new().await;
    office.put("INBOX", "Subject: one\r\n\r\nx", NOW, 0).await;
    office.put("INBOX", "Subject: two\r\n\r\nx", NOW - 60, 0).await;
    let ids = office.ids("INBOX").await;
    let many = |range: std::ops::Range<usize>| -> Value {
        Value::Object(range.map(|number| (format!("k{number}"), json!(true))).collect())
    };
    let max = store::limits::KEYWORDS_MAX;
    let set = async |patch: Value| {
        office.call("Email/set", json!({"update": {&ids[0]: patch, &ids[1]: {"keywords/$seen": true}}})).await
    };
    assert_eq!(set(json!({"keywords": many(0..max)})).await["notUpdated"], Value::Null);
    for more in [json!({"keywords": many(0..max + 1)}), json!({"keywords/new": true})] {
        let done = set(more).await;
        assert_eq!(done["notUpdated"][&ids[0]]["type"], "tooManyKeywords", "{done}");
        assert_eq!(done["updated"], json!({&ids[1]: null}), "the other one is changed");
    }
    // As many as before, and what is there already.
    let done = set(json!({"keywords/K0": true, "keywords/k1": null, "keywords/new": true, "keywords/$flagged": true})).await;
    assert_eq!(done["notUpdated"], Value::Null, "{done}");
}

/// §4.1.4 and §4.6: what a part, an address or a header field is made of has its type, or the Email is not made.
#[tokio::test]
async fn a_new_email_is_made_of_what_has_its_type() {
    let office = Office::new().await;
    let inbox = office.mailbox_id("INBOX").await;
    let make = async |more: Value| {
        let mut email = json!({"mailboxIds": {&inbox: true}, "bodyValues": {"t": {"value": "x"}}, "textBody": [{"partId": "t"}]});
        email.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        office.call("Email/set", json!({"create": {"e": email}})).await["notCreated"]["e"].clone()
    };
    let part = |name: &str, value: Value| {
        let mut part = json!({"partId": "t"});
        part[name] = value;
        json!({"textBody": [part]})
    };
    for (wrong, property) in [
        (part("name", json!(1)), "name"),
        (part("type", json!(["text/plain"])), "type"),
        (part("disposition", json!(true)), "disposition"),
        (part("disposition", json!("in line")), "disposition"),
        (part("cid", json!(7)), "cid"),
        (part("location", json!({})), "location"),
        (json!({"from": [{"name": 1, "email": "a@b.test"}]}), "from"),
        (json!({"from": [{"name": "A", "email": null}]}), "from"),
        (json!({"header:To:asGroupedAddresses": [{"name": "A"}]}), "header:To:asGroupedAddresses"),
        (json!({"header:To:asGroupedAddresses": [{"name": 1, "addresses": []}]}), "header:To:asGroupedAddresses"),
        (json!({"header:X-A:all": "one"}), "header:X-A:all"),
        (json!({"header:X-A:asText": ["one"]}), "header:X-A:asText"),
    ] {
        let error = make(wrong.clone()).await;
        assert_eq!((&error["type"], &error["properties"]), (&json!("invalidProperties"), &json!([property])), "{wrong}");
    }
    let right = json!({"header:X-A:all": [" one", " two"], "from": [{"name": null, "email": "a@b.test"}]});
    assert_eq!(make(right).await, Value::Null);
}
