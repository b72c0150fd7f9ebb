//! Every limit that the session resource tells is held, one past it with the error that the RFC names.

use crate::office::{Answer, NOW, Office, read_answer};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

async fn upload(office: &Office, octets: &[u8]) -> Answer {
    let head = format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    office.ask(&head, octets).await
}

async fn told(office: &Office) -> (Value, Value) {
    let head = format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    let session = office.ask(&head, b"").await.json();
    let mail = session["accounts"]["A1"]["accountCapabilities"]["urn:ietf:params:jmap:mail"].clone();
    (session["capabilities"]["urn:ietf:params:jmap:core"].clone(), mail)
}

#[tokio::test]
async fn objects_in_a_set() {
    let office = Office::new().await;
    let max = usize::try_from(told(&office).await.0["maxObjectsInSet"].as_u64().unwrap()).unwrap();
    let ids = |number: usize| (0..number).map(|at| format!("M{at:x}-0")).collect::<Vec<_>>();
    let set = office.call("Email/set", json!({"destroy": ids(max)})).await;
    assert_eq!(set["notDestroyed"].as_object().unwrap().len(), max);
    for name in ["Email/set", "Mailbox/set", "Identity/set", "EmailSubmission/set", "Person/set", "Snooze/set", "MailRules/set"] {
        assert_eq!(office.fails(name, json!({"destroy": ids(max + 1)})).await, "requestTooLarge", "{name}");
    }
    // Made, changed and destroyed ones count together.
    let mixed = json!({"destroy": ids(max), "create": {"a": {}}});
    assert_eq!(office.fails("Email/set", mixed).await, "requestTooLarge");
    let many = |key: &str| json!({key: ids(max + 1).into_iter().map(|id| (id, json!({}))).collect::<serde_json::Map<_, _>>()});
    assert_eq!(office.fails("Email/import", many("emails")).await, "requestTooLarge");
    assert_eq!(office.fails("Blob/upload", many("create")).await, "requestTooLarge");
}

#[tokio::test]
async fn octets_of_an_upload() {
    let office = Office::new().await;
    let max = usize::try_from(told(&office).await.0["maxSizeUpload"].as_u64().unwrap()).unwrap();
    assert_eq!(upload(&office, &vec![b'x'; max]).await.status, 201);
    assert_eq!(upload(&office, &vec![b'x'; max + 1]).await.status, 413);
}

/// Few octets put the same blob together again and again.
#[tokio::test]
async fn octets_that_are_put_together() {
    let office = Office::new().await;
    let blob = upload(&office, &vec![b'x'; 9_999_999]).await.json()["blobId"].clone();
    let one = |number: usize| (format!("b{number}"), json!({"data": [{"blobId": blob}, {"data:asText": number.to_string()}]}));
    // Of one digit each.
    let call = |call: usize| json!(["Blob/upload", {"accountId": "A1", "create": (0..9).map(one).collect::<serde_json::Map<_, _>>()}, call.to_string()]);
    let answers = office.calls(Value::Array((0..4).map(call).collect())).await;
    let made = answers.iter().filter_map(|(_, answer)| answer["created"].as_object()).map(serde_json::Map::len).sum::<usize>();
    assert_eq!(made as u64, web::limits::UPLOADED_BYTES_MAX / 10_000_000);
    assert_eq!(answers[3].1["notCreated"]["b8"]["type"], "overQuota");
}

/// Whoever makes more pays for each of those that are there.
#[tokio::test]
async fn identities_of_an_account() {
    let office = Office::new().await;
    let make = |number: usize| {
        let one = |at: usize| (at.to_string(), json!({"email": "ann@here.test", "name": "Ann"}));
        json!({"create": (0..number).map(one).collect::<serde_json::Map<_, _>>()})
    };
    let made = office.call("Identity/set", make(web::limits::IDENTITIES_MAX + 1)).await;
    assert_eq!(made["created"].as_object().map(serde_json::Map::len), Some(web::limits::IDENTITIES_MAX));
    let refused: Vec<&Value> = made["notCreated"].as_object().unwrap().values().collect();
    assert_eq!((refused.len(), &refused[0]["type"]), (1, &json!("overQuota")));
    let name = json!({"update": {"main": {"name": "Ann\r\nBcc: x"}}});
    assert_eq!(office.call("Identity/set", name).await["notUpdated"]["main"]["properties"], json!(["name"]));
}

#[tokio::test]
async fn octets_of_an_identity() {
    let office = Office::new().await;
    let signed = |octets: usize| json!({"htmlSignature": "a".repeat(octets)});
    let set = office.call("Identity/set", json!({"update": {"main": signed(web::limits::IDENTITY_BYTES_MAX - 1024)}})).await;
    assert_eq!(set["updated"], json!({"main": null}));
    let most = web::limits::IDENTITY_BYTES_MAX;
    let set = office.call("Identity/set", json!({"update": {"main": signed(most)}})).await;
    assert_eq!(set["notUpdated"]["main"]["type"], "tooLarge");
    let mut more = signed(most);
    more["email"] = json!("ann@here.test");
    assert_eq!(office.call("Identity/set", json!({"create": {"c": more}})).await["notCreated"]["c"]["type"], "tooLarge");
}

/// Each word is a condition: a million of them took gigabytes, and minutes.
#[tokio::test]
async fn words_of_a_filter() {
    let office = Office::new().await;
    let most = web::limits::FILTER_CONDITIONS_MAX;
    for name in ["text", "from", "to", "cc", "bcc", "subject", "body", "attachmentName"] {
        office.call("Email/query", json!({"filter": {name: "ab ".repeat(most)}})).await;
        let fails = async |text: String| office.fails("Email/query", json!({"filter": {name: text}})).await;
        assert_eq!(fails("ab ".repeat(most + 1)).await, "unsupportedFilter", "{name}");
        assert_eq!(fails("a".repeat(web::limits::FILTER_TEXT_BYTES_MAX + 1)).await, "unsupportedFilter", "{name}");
    }
    let part = "a".repeat(web::limits::FILTER_TEXT_BYTES_MAX / 2);
    let of = |more: &str| json!({"filter": {"operator": "AND", "conditions": [{"header": ["X", part]}, {"body": format!("{part}{more}")}]}});
    assert_eq!(office.fails("Email/query", of("")).await, "unsupportedFilter");
    office
        .call("Email/query", json!({"filter": {"operator": "AND", "conditions": [{"header": ["X", part]}, {"body": part[1..]}]}}))
        .await;
    let snippet = json!({"emailIds": [], "filter": {"text": "ab ".repeat(most + 1)}});
    assert_eq!(office.fails("SearchSnippet/get", snippet).await, "unsupportedFilter");
}

/// Each comparator is asked in every comparison: tens of thousands of them kept a core busy for minutes.
#[tokio::test]
async fn comparators_of_a_sort() {
    let office = Office::new().await;
    let by = |number: usize| json!({"sort": vec![json!({"property": "hasKeyword", "keyword": "k"}); number]});
    office.call("Email/query", by(web::limits::SORT_MAX)).await;
    assert_eq!(office.fails("Email/query", by(web::limits::SORT_MAX + 1)).await, "unsupportedSort");
    let by_name = |number: usize| json!({"sort": vec![json!({"property": "name"}); number]});
    office.call("Mailbox/query", by_name(web::limits::SORT_MAX)).await;
    assert_eq!(office.fails("Mailbox/query", by_name(web::limits::SORT_MAX + 1)).await, "unsupportedSort");
}

/// Ten megabytes of small numbers are a hundred and sixty in memory.
#[tokio::test]
async fn values_of_a_request() {
    let office = Office::new().await;
    let head = format!("POST /jmap/api HTTP/1.1\r\n{}Content-Type: application/json\r\n", Office::basic("ann@here.test", "pw"));
    let of = |values: usize| {
        let numbers = vec!["1"; values].join(",");
        format!(r#"{{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{{"a":[{numbers}]}},"c"]]}}"#)
    };
    let few = office.ask(&head, of(150_000).as_bytes()).await;
    assert_eq!(few.json()["methodResponses"][0][1]["a"].as_array().map(Vec::len), Some(150_000));
    let many = office.ask(&head, of(200_000).as_bytes()).await;
    assert_eq!((many.status, many.json()["type"].as_str()), (400, Some("urn:ietf:params:jmap:error:limit")));
    assert_eq!(many.json()["limit"], "maxSizeRequest");
}

#[tokio::test]
async fn uploads_and_requests_at_once() {
    let office = Office::new().await;
    let core = told(&office).await.0;
    for (path, kind, name) in
        [("/jmap/upload/A1/", "image/png", "maxConcurrentUpload"), ("/jmap/api", "application/json", "maxConcurrentRequests")]
    {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: 9\r\n{}\r\n",
            Office::basic("ann@here.test", "pw")
        );
        let mut open = Vec::new();
        for _ in 0..core[name].as_u64().unwrap() {
            let mut stream = office.connect("127.0.0.1", false);
            stream.write_all(head.as_bytes()).await.unwrap();
            open.push(stream);
        }
        // All of them are at work once one more is refused.
        let refused = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let mut stream = office.connect("127.0.0.1", false);
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(b"{}       ").await.unwrap();
                let answer = read_answer(&mut stream).await;
                if answer.json()["type"] == "urn:ietf:params:jmap:error:limit" {
                    break answer;
                }
            }
        });
        let refused = refused.await.unwrap();
        assert_eq!((refused.status, refused.json()["limit"].as_str()), (400, Some(name)));
        drop(open);
    }
}

#[tokio::test]
async fn what_the_mail_capability_says() {
    let office = Office::new().await;
    let mail = told(&office).await.1;
    let create = async |object: Value| office.call("Mailbox/set", json!({"create": {"m": object}})).await;
    let name = usize::try_from(mail["maxSizeMailboxName"].as_u64().unwrap()).unwrap();
    assert!(create(json!({"name": "n".repeat(name)})).await["created"]["m"]["id"].is_string());
    assert_eq!(create(json!({"name": "n".repeat(name + 1)})).await["notCreated"]["m"]["type"], "invalidProperties");
    let mut parent = Value::Null;
    for level in 0..mail["maxMailboxDepth"].as_u64().unwrap() {
        let made = create(json!({"name": format!("d{level}"), "parentId": parent})).await;
        parent = made["created"]["m"]["id"].clone();
        assert!(parent.is_string(), "{level}: {made}");
    }
    assert_eq!(create(json!({"name": "deeper", "parentId": parent})).await["notCreated"]["m"]["type"], "invalidProperties");
    // Attachments of one email.
    let max = usize::try_from(mail["maxSizeAttachmentsPerEmail"].as_u64().unwrap()).unwrap();
    let drafts = office.mailbox_id("Drafts").await;
    let half = upload(&office, &vec![b'x'; max / 2 + 1]).await.json()["blobId"].clone();
    let attached = json!({"blobId": half, "type": "image/png"});
    let email = |number: usize| json!({"create": {"e": {"mailboxIds": {&drafts: true}, "subject": "x", "attachments": vec![attached.clone(); number]}}});
    assert!(office.call("Email/set", email(1)).await["created"]["e"]["id"].is_string());
    assert_eq!(office.call("Email/set", email(2)).await["notCreated"]["e"]["type"], "tooLarge");
}

#[tokio::test]
async fn the_longest_delay() {
    let office = Office::new().await;
    office.put("Drafts", "From: ann@here.test\r\nTo: bob@there.test\r\n\r\nx", NOW, 0).await;
    let email = office.ids("Drafts").await.remove(0);
    let held = |secs: i64| {
        let mail_from = json!({"email": "ann@here.test", "parameters": {"HOLDFOR": secs.to_string()}});
        let envelope = json!({"mailFrom": mail_from, "rcptTo": [{"email": "bob@there.test"}]});
        json!({"create": {"s": {"identityId": "main", "emailId": email, "envelope": envelope}}})
    };
    let head = format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    let session = office.ask(&head, b"").await.json();
    let max =
        session["accounts"]["A1"]["accountCapabilities"]["urn:ietf:params:jmap:submission"]["maxDelayedSend"].as_i64().unwrap();
    assert!(office.call("EmailSubmission/set", held(max)).await["created"]["s"]["id"].is_string());
    let over = office.call("EmailSubmission/set", held(max + 1)).await;
    assert_eq!(over["notCreated"]["s"]["type"], "invalidProperties");
}

/// Operators count as conditions do, whatever is looked for.
#[tokio::test]
async fn conditions_of_a_filter() {
    let office = Office::new().await;
    office.put("INBOX", "Subject: x\r\n\r\nx", NOW, 0).await;
    let sent = json!({"sendAt": 1, "emailId": "E1", "queue": [], "answers": {}}).to_string().into_bytes();
    office.store.records_change(office.ann, &[(3, "S1".into(), Some(sent))]).await.unwrap();
    let max = web::limits::FILTER_CONDITIONS_MAX;
    for (method, condition) in [
        ("Mailbox/query", json!({"name": "INBOX"})),
        ("Email/query", json!({"subject": "x"})),
        ("EmailSubmission/query", json!({"emailIds": ["E1"]})),
        ("Quota/query", json!({"scope": "account"})),
    ] {
        let of = |conditions: Vec<Value>| json!({"filter": {"operator": "OR", "conditions": conditions}});
        assert_eq!(
            office.call(method, of(vec![condition.clone(); max - 1])).await["ids"].as_array().unwrap().len(),
            1,
            "{method}"
        );
        assert_eq!(office.fails(method, of(vec![condition.clone(); max])).await, "unsupportedFilter", "{method}");
        let nothing = json!({"operator": "AND", "conditions": []});
        assert_eq!(office.fails(method, of(vec![nothing; max])).await, "unsupportedFilter", "{method}: operators");
    }
}

/// Values of bodies in all answers to one request are bounded together; what is cut says so, and none is left out.
#[tokio::test]
async fn values_of_bodies_are_bounded_in_the_whole_request() {
    let office = Office::new().await;
    let text = "word ".repeat(web::limits::BODY_VALUES_BYTES_MAX / 10);
    for number in 0..3 {
        office.put("INBOX", &format!("Subject: {number}\r\n\r\n{text}\r\n"), crate::office::NOW + number, 0).await;
    }
    let ids = office.ids("INBOX").await;
    let id = office.account_id();
    let get = |ids: &[String]| json!({"accountId": id, "ids": ids, "properties": ["bodyValues"], "fetchAllBodyValues": true});
    let answers = office.calls(json!([["Email/get", get(&ids[..1]), "0"], ["Email/get", get(&ids[1..]), "1"]])).await;
    let told: Vec<(usize, bool)> = answers
        .iter()
        .flat_map(|(_, answer)| answer["list"].as_array().unwrap())
        .map(|email| &email["bodyValues"]["0"])
        .map(|value| (value["value"].as_str().unwrap().len(), value["isTruncated"].as_bool().unwrap()))
        .collect();
    let whole = web::limits::BODY_VALUES_BYTES_MAX / 10 * 5 + 1;
    assert_eq!(told.len(), 3);
    assert_eq!(told.iter().map(|(len, _)| len).sum::<usize>(), web::limits::BODY_VALUES_BYTES_MAX);
    assert_eq!((told[0], told[2].1), ((whole, false), true), "{told:?}");
    // The same large answer, asked for again and again by references.
    let many: serde_json::Map<String, Value> =
        (0..200).map(|n| (format!("#a{n}"), json!({"resultOf": "0", "name": "Core/echo", "path": "/x"}))).collect();
    let calls = json!([["Core/echo", {"x": "x".repeat(1_000_000)}, "0"], ["Core/echo", many, "1"]]);
    let answers = office.calls(calls).await;
    assert_eq!((answers[1].0.as_str(), &answers[1].1["type"]), ("error", &json!("invalidResultReference")));
}
