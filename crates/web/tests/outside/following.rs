//! `/changes` and `/queryChanges` of more than is asked for at once (RFC 8620 §5.2, §5.6).

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Follows a type from a state to the end, so many at a time; what it told of each id, last.
async fn followed(office: &Office, method: &str, from: &Value, max: usize) -> (BTreeMap<String, String>, usize, Value) {
    let (mut state, mut told, mut times) = (from.clone(), BTreeMap::new(), 0);
    loop {
        let answer = office.call(method, json!({"sinceState": state, "maxChanges": max})).await;
        assert_eq!(answer["oldState"], state, "the argument echoed back");
        let mut here = 0;
        for kind in ["created", "updated", "destroyed"] {
            for id in answer[kind].as_array().unwrap() {
                here += 1;
                let before = told.insert(id.as_str().unwrap().to_owned(), kind.to_owned());
                assert!(before.is_none() || before.as_deref() != Some(kind), "{method} told {id} twice");
            }
        }
        assert!(here <= max, "{method}: {here} of {max}");
        assert_ne!(answer["newState"], state, "it goes on");
        (state, times) = (answer["newState"].clone(), times + 1);
        if answer["hasMoreChanges"] == false {
            return (told, times, state);
        }
        assert!(here > 0 || times < 50, "{method} tells nothing for ever");
    }
}

fn of(told: &BTreeMap<String, String>, kind: &str) -> usize {
    told.values().filter(|one| *one == kind).count()
}

/// "The server [...] MUST return [...] no more than this number of ids", whatever one act did: states in its middle.
#[tokio::test]
async fn one_act_is_told_in_pieces() {
    let office = Office::new().await;
    for number in 0..25 {
        let message = format!("Message-ID: <{number}@x>\r\nSubject: {number}\r\n\r\nx");
        office.put("INBOX", &message, NOW + number, 0).await;
    }
    let ids = office.ids("INBOX").await;
    let state = async |name: &str| office.call(&format!("{name}/get"), json!({"ids": []})).await["state"].clone();
    let before = state("Email").await;
    let all: serde_json::Map<String, Value> = ids.iter().map(|id| (id.clone(), json!({"keywords/$seen": true}))).collect();
    office.call("Email/set", json!({"update": all})).await;
    let (told, times, end) = followed(&office, "Email/changes", &before, 4).await;
    assert_eq!((of(&told, "updated"), told.len(), times), (25, 25, 7));
    assert_eq!(end, state("Email").await);
    // The newest first: RFC 8621 §4.3 recommends it.
    let first = office.call("Email/changes", json!({"sinceState": before, "maxChanges": 4})).await;
    assert_eq!(first["updated"], json!(ids[..4]));
    // What happens in the middle is told at last: one that was told, one that was not, and a new one.
    office.call("Email/set", json!({"destroy": [ids[0], ids[20]]})).await;
    office.put("INBOX", "Message-ID: <new@x>\r\nSubject: new\r\n\r\nx", NOW + 99, 0).await;
    let (told, _, end) = followed(&office, "Email/changes", &first["newState"], 4).await;
    assert_eq!((of(&told, "created"), of(&told, "updated"), of(&told, "destroyed")), (1, 20, 2), "{told:?}");
    assert_eq!((told[&ids[0]].as_str(), told[&ids[20]].as_str()), ("destroyed", "destroyed"));
    assert_eq!(end, state("Email").await);
    // Threads, of emails that go in one act.
    let before = state("Thread").await;
    let rest = office.ids("INBOX").await;
    office.call("Email/set", json!({"destroy": rest})).await;
    let (told, times, end) = followed(&office, "Thread/changes", &before, 5).await;
    assert_eq!((of(&told, "destroyed"), told.len(), times), (24, 24, 5));
    assert_eq!(end, state("Thread").await);
}

#[tokio::test]
async fn each_type_is_told_in_pieces() {
    let office = Office::new().await;
    let state = office.call("Mailbox/get", json!({"ids": []})).await["state"].clone();
    let create = |range: std::ops::Range<usize>, one: &dyn Fn(usize) -> Value| -> Value {
        Value::Object(range.map(|number| (format!("c{number}"), one(number))).collect())
    };
    office.call("Mailbox/set", json!({"create": create(0..5, &|number| json!({"name": format!("m{number}")}))})).await;
    office
        .call(
            "Identity/set",
            json!({"create": create(0..5, &|number| json!({"name": number.to_string(), "email": "ann@here.test"}))}),
        )
        .await;
    office.call("Person/set", json!({"create": create(0..5, &|number| json!({"name": number.to_string()}))})).await;
    office.put("INBOX", "Subject: x\r\n\r\nx", NOW, 0).await;
    for (method, made, times) in
        [("Mailbox/changes", 5, 3), ("Identity/changes", 5, 3), ("Person/changes", 5, 3), ("Quota/changes", 0, 1)]
    {
        let (told, took, end) = followed(&office, method, &state, 2).await;
        assert_eq!((of(&told, "created"), took), (made, times), "{method}: {told:?}");
        assert_eq!(end, office.call("Email/get", json!({"ids": []})).await["state"], "{method}");
    }
    // Where only counts moved, and where more did, each answer says of what it tells.
    let mut state = state;
    let mut properties = Vec::new();
    for _ in 0..3 {
        let answer = office.call("Mailbox/changes", json!({"sinceState": state, "maxChanges": 2})).await;
        properties.push(answer["updatedProperties"].is_array() == (answer["created"] == json!([])));
        state = answer["newState"].clone();
    }
    assert_eq!(properties, [true; 3]);
    // States that nobody told are none.
    for wrong in ["1.", "1.2", "x.2.M1", "1.x.M1", "9.3.M1", "1.99999.M1", "1.2.M1-mark", ".."] {
        let answer = office.call_any("Email/changes", json!({"sinceState": wrong})).await;
        assert!(answer.1["type"] == "cannotCalculateChanges" || wrong == "1.2.M1-mark", "{wrong}: {answer:?}");
    }
    assert_eq!(office.fails("Email/changes", json!({"sinceState": state, "maxChanges": 0})).await, "invalidArguments");
}

/// §5.6: `tooManyChanges` is what the client's own bound says; "cannotCalculateChanges" is ours.
#[tokio::test]
async fn too_many_changes_are_the_clients_own() {
    let office = Office::new().await;
    let before = office.call("Email/query", json!({})).await["queryState"].clone();
    for number in 0..3 {
        office.put("INBOX", &format!("Subject: {number}\r\n\r\nx"), NOW + number, 0).await;
    }
    let asked = |max: Value| json!({"sinceQueryState": before, "maxChanges": max});
    for method in ["Email/queryChanges", "Mailbox/queryChanges", "Quota/queryChanges", "EmailSubmission/queryChanges"] {
        let told = office.call(method, asked(Value::Null)).await;
        let changes = told["removed"].as_array().unwrap().len() + told["added"].as_array().unwrap().len();
        assert_eq!(office.call(method, asked(json!(changes))).await["added"], told["added"]);
        if changes > 0 {
            assert_eq!(office.fails(method, asked(json!(changes - 1))).await, "tooManyChanges", "{method}");
        }
    }
    assert_eq!(office.call("Email/queryChanges", asked(Value::Null)).await["added"].as_array().unwrap().len(), 3);
    // Past what is ever told: the client did not say how many are too many, or more than that.
    let many = web::limits::CHANGES_MAX / 2;
    let messages = (0..many).map(|number| format!("Subject: {number}\r\n\r\nx")).collect::<Vec<String>>();
    office.put_all("INBOX", &messages, NOW).await;
    for max in [Value::Null, json!(1_000_000)] {
        assert_eq!(office.fails("Email/queryChanges", asked(max)).await, "cannotCalculateChanges");
    }
    assert_eq!(office.fails("Email/queryChanges", asked(json!(100))).await, "tooManyChanges");
}
