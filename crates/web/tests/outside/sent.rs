//! What became of messages that were sent: told in the change log, pushed, and kept when the queue and the trace have forgotten.

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use std::time::Duration;
use store::{Claim, QueueId, QueueRecipient, RecipientState, Settlement, TraceEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Ann writes to carol@far.test; the submission's id.
async fn sent(office: &Office) -> String {
    let (id, drafts) = (office.account_id(), office.mailbox_id("Drafts").await);
    let draft = json!({
        "mailboxIds": {&drafts: true}, "from": [{"email": "ann@here.test"}], "to": [{"email": "carol@far.test"}],
        "bodyValues": {"t": {"value": "x"}}, "textBody": [{"partId": "t"}],
    });
    let answers = office
        .calls(json!([
            ["Email/set", {"accountId": id, "create": {"d": draft}}, "0"],
            ["EmailSubmission/set", {"accountId": id, "create": {"s": {"identityId": "main", "emailId": "#d"}}}, "1"],
        ]))
        .await;
    answers[1].1["created"]["s"]["id"].as_str().unwrap_or_else(|| panic!("{}", answers[1].1)).to_owned()
}

async fn claim(office: &Office) -> Claim {
    let (due, _) = office.store.queue_due(NOW + 90_000, 10).await.unwrap();
    office.store.queue_claim(due[0].id, NOW + 90_000, 60).await.unwrap().unwrap()
}

/// An attempt of the outbound, and how it ended.
async fn attempted(office: &Office, state: RecipientState, reply: &str) -> QueueId {
    let claim = claim(office).await;
    ended(office, &claim, state, reply).await;
    claim.entry.id
}

async fn ended(office: &Office, claim: &Claim, state: RecipientState, reply: &str) {
    let mut recipients = claim.entry.message.recipients.clone();
    recipients[0].state = state;
    recipients[0].last_reply = reply.into();
    let what = if state == RecipientState::Delivered { "delivered" } else { "bounced" };
    let event = TraceEvent::new(NOW, what, reply).key("queue", claim.entry.id.0.to_string()).key("address", "carol@far.test");
    let trace = if state == RecipientState::Waiting { Vec::new() } else { vec![event] };
    let (notices, bounced) = (Vec::new(), Vec::new());
    let settlement = Settlement { recipients, next_secs: NOW, attempted: true, notices, trace, bounced, now_secs: NOW };
    office.store.queue_settle(claim, settlement).await.unwrap();
}

async fn status(office: &Office, id: &str) -> (Value, Value) {
    let got = office.call("EmailSubmission/get", json!({"ids": [id], "properties": ["deliveryStatus"]})).await;
    let one = &got["list"][0]["deliveryStatus"]["carol@far.test"];
    (one["delivered"].clone(), one["smtpReply"].clone())
}

async fn state(office: &Office) -> String {
    office.call("EmailSubmission/get", json!({"ids": []})).await["state"].as_str().unwrap().to_owned()
}

async fn updated(office: &Office, since: &str) -> Value {
    office.call("EmailSubmission/changes", json!({"sinceState": since})).await["updated"].clone()
}

/// An event stream of submissions alone.
async fn stream(office: &Office) -> DuplexStream {
    let mut stream = office.connect("127.0.0.1", false);
    let head = format!(
        "GET /jmap/eventsource/?types=EmailSubmission&closeafter=no&ping=0 HTTP/1.1\r\nHost: here.test\r\n{}\r\n",
        Office::basic("ann@here.test", "pw")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    until(&mut stream, ": hello").await;
    stream
}

async fn until(stream: &mut DuplexStream, word: &str) {
    let mut got = String::new();
    let mut buffer = [0u8; 4096];
    while !got.contains(word) {
        let octets = stream.read(&mut buffer).await.unwrap();
        assert!(octets > 0, "{got}");
        got.push_str(&String::from_utf8_lossy(&buffer[..octets]));
    }
}

#[tokio::test]
async fn each_attempt_moves_the_state_and_is_pushed() {
    let office = Office::new().await;
    let id = sent(&office).await;
    assert_eq!(status(&office, &id).await, (json!("queued"), json!("250 2.0.0 accepted")));
    let mut stream = stream(&office).await;
    let mut since = state(&office).await;
    let deferred = (RecipientState::Waiting, "queued", "mx.far.test: 451 later");
    let ended = (RecipientState::Delivered, "yes", "mx.far.test: 250 Ok");
    for (outcome, word, reply) in [deferred, ended] {
        attempted(&office, outcome, reply).await;
        // Nobody asks: it is told.
        until(&mut stream, "\"EmailSubmission\"").await;
        assert_eq!(updated(&office, &since).await, json!([id]), "{reply}");
        // The reply is the server's own; which server said it stands in the trace.
        assert_eq!(status(&office, &id).await, (json!(word), json!(reply.trim_start_matches("mx.far.test: "))));
        since = state(&office).await;
    }
    assert_eq!(updated(&office, &since).await, json!([]), "and once is enough");
    let others = office.call("Email/changes", json!({"sinceState": since})).await;
    assert_eq!(others["updated"], json!([]));
}

/// Who asks for changes and goes away before the answer takes no news along.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_swallows_nothing() {
    let office = Office::new().await;
    let (id, other) = (sent(&office).await, sent(&office).await);
    let since = state(&office).await;
    let claim = claim(&office).await;
    office.disk.hold(|| ());
    // Its end comes at the moment in which the other one is being removed, which holds up whoever writes down what he found.
    let settled = ended(&office, &claim, RecipientState::Delivered, "mx.far.test: 250 Ok");
    let removed = office.call("EmailSubmission/set", json!({"destroy": [other]}));
    let given_up = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(office.disk.sync_one(), "it is settled");
        let mut stream = office.connect("127.0.0.1", false);
        let body = json!({"using": ["urn:ietf:params:jmap:submission"],
            "methodCalls": [["EmailSubmission/changes", {"accountId": office.account_id(), "sinceState": since}, "0"]]})
        .to_string();
        let head = format!(
            "POST /jmap/api HTTP/1.1\r\nHost: here.test\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            Office::basic("ann@here.test", "pw"),
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(stream);
        tokio::time::sleep(Duration::from_secs(10)).await;
        while office.disk.sync_one() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        office.disk.release();
    };
    tokio::join!(settled, removed, given_up);
    assert_eq!(updated(&office, &since).await, json!([id]));
    assert_eq!(status(&office, &id).await.0, json!("yes"));
}

#[tokio::test]
async fn what_became_of_it_outlives_the_trace() {
    let office = Office::new().await;
    let id = sent(&office).await;
    let since = state(&office).await;
    let entry = attempted(&office, RecipientState::Failed, "mx.far.test: 550 no such person").await;
    assert_eq!(updated(&office, &since).await, json!([id]));
    office.store.maintain(NOW + 1_000_000_000).await.unwrap();
    assert_eq!(office.store.trace_find("queue", &entry.0.to_string(), 10).await.unwrap().len(), 0);
    assert_eq!(status(&office, &id).await, (json!("no"), json!("550 no such person")));
}

#[tokio::test]
async fn one_that_was_removed_stays_away_whatever_becomes_of_it() {
    let office = Office::new().await;
    let id = sent(&office).await;
    office.call("EmailSubmission/set", json!({"destroy": [id]})).await;
    let since = state(&office).await;
    attempted(&office, RecipientState::Delivered, "mx.far.test: 250 Ok").await;
    let changes = office.call("EmailSubmission/changes", json!({"sinceState": since})).await;
    assert_eq!((&changes["created"], &changes["updated"]), (&json!([]), &json!([])));
    assert_eq!(office.call("EmailSubmission/get", json!({})).await["list"], json!([]));
}

/// The store keeps so many records of a kind: the oldest of those of which nothing will be told any more make room.
#[tokio::test]
async fn who_sent_very_much_loses_the_oldest_that_are_settled() {
    const SUBMISSIONS: u8 = 3;
    const KEPT_MAX: usize = 20_000;
    let office = Office::new().await;
    let waiting = sent(&office).await;
    let like = office.store.record(office.ann, SUBMISSIONS, &waiting).await.unwrap().unwrap();
    let mut like: Value = serde_json::from_slice(&like).unwrap();
    assert_eq!(like["told"]["carol@far.test"]["delivered"], "queued");
    // One that still waits is older than all of them.
    like["queue"] = json!([]);
    like["isSettled"] = json!(true);
    let settled = (1..KEPT_MAX).map(|n| {
        like["sendAt"] = json!(4_000_000_000u64 + n as u64);
        (SUBMISSIONS, format!("T{n}").into(), Some(like.to_string().into_bytes()))
    });
    office.store.records_change(office.ann, &settled.collect::<Vec<_>>()).await.unwrap();
    let new = sent(&office).await;
    let there = async |id: &str| office.store.record(office.ann, SUBMISSIONS, id).await.unwrap().is_some();
    assert!(there(&new).await && there(&waiting).await, "what waits stays");
    assert!(!there("T1").await && !there("T1000").await && there("T1001").await && there("T19999").await);
    assert_eq!(status(&office, &new).await.0, json!("queued"));
    // And what waits is followed as before.
    let since = state(&office).await;
    attempted(&office, RecipientState::Delivered, "mx.far.test: 250 Ok").await;
    assert_eq!(updated(&office, &since).await.as_array().unwrap().len(), 1);
}

/// RFC 8621 §7.3: every condition, operators, and every order.
#[tokio::test]
async fn submissions_are_found_and_sorted() {
    const SUBMISSIONS: u8 = 3;
    let office = Office::new().await;
    let one = |name: &str, email: &str, thread: &str, at: i64, identity: &str| {
        let value =
            json!({"identityId": identity, "emailId": email, "threadId": thread, "sendAt": at, "queue": [], "answers": {}});
        (SUBMISSIONS, name.into(), Some(value.to_string().into_bytes()))
    };
    let (early, late) = (1_700_000_000, 1_700_000_100);
    let all = [one("a", "E2", "T1", early, "main"), one("b", "E1", "T2", late, "main"), one("c", "E1", "T1", late, "other")];
    office.store.records_change(office.ann, &all).await.unwrap();
    let query = async |arguments: Value| office.call("EmailSubmission/query", arguments).await["ids"].clone();
    let of = |filter: Value| json!({"filter": filter, "sort": [{"property": "emailId"}, {"property": "threadId"}]});
    for (filter, found) in [
        (json!({"emailIds": ["E1"]}), json!(["c", "b"])),
        (json!({"identityIds": ["main"], "threadIds": ["T1", "T9"]}), json!(["a"])),
        (json!({"operator": "NOT", "conditions": [{"threadIds": ["T1"]}]}), json!(["b"])),
        (json!({"operator": "OR", "conditions": [{"identityIds": ["other"]}, {"emailIds": ["E2"]}]}), json!(["c", "a"])),
        (json!({"operator": "AND", "conditions": [{"emailIds": ["E1"]}, {"after": "2023-11-14T22:15:00Z"}]}), json!(["c", "b"])),
        (json!({"before": "2023-11-14T22:14:00Z"}), json!(["a"])),
        (json!({"undoStatus": "final"}), json!(["c", "b", "a"])),
        (json!({"undoStatus": "pending"}), json!([])),
        (Value::Null, json!(["c", "b", "a"])),
    ] {
        assert_eq!(query(of(filter.clone())).await, found, "{filter}");
    }
    let sort = |property: &str, up: bool| json!({"sort": [{"property": property, "isAscending": up}]});
    assert_eq!(query(sort("sentAt", true)).await, json!(["a", "b", "c"]));
    assert_eq!(query(sort("sentAt", false)).await, json!(["c", "b", "a"]));
    assert_eq!(query(json!({})).await, json!(["c", "b", "a"]), "the newest first");
    assert_eq!(query(sort("threadId", false)).await, json!(["b", "a", "c"]));
    for (arguments, error) in [
        (json!({"filter": {"nonsense": 1}}), "unsupportedFilter"),
        (json!({"filter": {"emailIds": "E1"}}), "invalidArguments"),
        (json!({"filter": {"before": "yesterday"}}), "invalidArguments"),
        (json!({"filter": {"operator": "XOR", "conditions": []}}), "invalidArguments"),
        (sort("size", true), "unsupportedSort"),
    ] {
        assert_eq!(office.fails("EmailSubmission/query", arguments.clone()).await, error, "{arguments}");
    }
    let deep = (0..40).fold(json!({"emailIds": ["E1"]}), |inner, _| json!({"operator": "NOT", "conditions": [inner]}));
    assert_eq!(office.fails("EmailSubmission/query", json!({"filter": deep})).await, "unsupportedFilter");
}

/// RFC 8620 §5.5: what cut the answer off is told, also where nobody asked for a limit.
#[tokio::test]
async fn a_limit_of_our_own_is_told() {
    const SUBMISSIONS: u8 = 3;
    let office = Office::new().await;
    let value = json!({"sendAt": 1, "queue": [], "answers": {}}).to_string().into_bytes();
    let many = (0..5_001).map(|n| (SUBMISSIONS, format!("S{n}").into(), Some(value.clone()))).collect::<Vec<_>>();
    office.store.records_change(office.ann, &many).await.unwrap();
    let got = office.call("EmailSubmission/query", json!({"calculateTotal": true})).await;
    assert_eq!((got["ids"].as_array().unwrap().len(), &got["limit"], &got["total"]), (5_000, &json!(5_000), &json!(5_001)));
    let got = office.call("EmailSubmission/query", json!({"position": 1})).await;
    assert_eq!((got["ids"].as_array().unwrap().len(), &got["limit"]), (5_000, &Value::Null), "nothing was cut off");
    let got = office.call("EmailSubmission/query", json!({"limit": 6_000})).await;
    assert_eq!(got["limit"], json!(5_000));
    let got = office.call("EmailSubmission/query", json!({"anchor": "S7", "anchorOffset": -1, "limit": 2, "sort": []})).await;
    assert_eq!(got["ids"][1], "S7");
}

/// RFC 8621 §7: what an envelope may say, and who a message may be from where it says nothing.
#[tokio::test]
async fn an_envelope_says_what_is_known_here() {
    let office = Office::new().await;
    let put = async |head: &str, at: i64| {
        office.put("Drafts", &format!("{head}To: bob@here.test\r\nSubject: x\r\n\r\nx\r\n"), NOW + at, 0).await;
        office.ids("Drafts").await.remove(0)
    };
    let one = put("From: ann@here.test\r\n", 0).await;
    let send = async |email: &str, envelope: Value| {
        let create = json!({"create": {"s": {"identityId": "main", "emailId": email, "envelope": envelope}}});
        office.call("EmailSubmission/set", create).await["notCreated"]["s"].clone()
    };
    let with = |mail: Value, rcpt: Value| json!({"mailFrom": {"email": "ann@here.test", "parameters": mail}, "rcptTo": [{"email": "bob@here.test", "parameters": rcpt}]});
    for (mail, rcpt) in [
        (json!({"FOO": null}), Value::Null),
        (json!({"RET": 1}), Value::Null),
        (json!([]), Value::Null),
        (json!({"HOLDFOR": "60", "HOLDUNTIL": "2027-01-16T00:20:35Z"}), Value::Null),
        (json!({"holdfor": null}), Value::Null),
        (json!({"HOLDUNTIL": "soon"}), Value::Null),
        (Value::Null, json!({"NOTIFY": "SOMETIMES"})),
        (Value::Null, json!({"NOTIFY": "NEVER,DELAY"})),
        (Value::Null, json!({"NOTIFY": null})),
        (Value::Null, json!({"RET": "HDRS"})),
    ] {
        let told = send(&one, with(mail.clone(), rcpt.clone())).await;
        assert_eq!((&told["type"], &told["properties"]), (&json!("invalidProperties"), &json!(["envelope"])), "{mail} {rcpt}");
    }
    assert_eq!(
        send(&one, with(json!({"ret": "hdrs", "ENVID": "a", "BODY": "8BITMIME"}), json!({"NOTIFY": "success,DELAY"}))).await,
        Value::Null
    );
    {
        let out = office.doors.sent.lock().unwrap();
        let notify = QueueRecipient::NOTIFY_SUCCESS | QueueRecipient::NOTIFY_DELAY;
        assert_eq!((out.len(), out[0].ret_headers, out[0].recipients[0].notify), (1, true, notify));
    }
    for (at, (head, property)) in (1..).zip([
        ("From: ann@here.test, bob@here.test\r\n", "from"),
        ("From: ann@here.test\r\nFrom: ann@here.test\r\n", "from"),
        ("From: ann@here.test\r\nSender: ann@here.test, bob@here.test\r\n", "sender"),
    ]) {
        let email = put(head, at).await;
        let told = send(&email, Value::Null).await;
        assert_eq!((&told["type"], &told["properties"]), (&json!("invalidEmail"), &json!([property])), "{head}");
    }
    let both = put("From: ann@here.test, bob@here.test\r\nSender: ann@here.test\r\n", 9).await;
    assert_eq!(send(&both, Value::Null).await, Value::Null);
}
