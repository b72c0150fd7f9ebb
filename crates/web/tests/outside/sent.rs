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
    let ended = (RecipientState::Delivered, "unknown", "mx.far.test: 250 Ok");
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
    assert_eq!(status(&office, &id).await.0, json!("unknown"));
}

/// RFC 8621 §7: only what lies in a mailbox is delivered; of what another server took nothing more is known.
#[tokio::test]
async fn what_another_server_took_is_not_delivered_yet() {
    for (reply, wanted) in [
        (mta::queue::DELIVERED_HERE, json!(["yes", "250 2.0.0 Delivered here"])),
        ("mx.far.test: 250 2.0.0 Delivered here", json!(["unknown", "250 2.0.0 Delivered here"])),
    ] {
        let office = Office::new().await;
        let id = sent(&office).await;
        attempted(&office, RecipientState::Delivered, reply).await;
        let (delivered, told) = status(&office, &id).await;
        assert_eq!(json!([delivered, told]), wanted);
    }
}

/// A report as a server writes it (RFC 3464), or a receipt (RFC 8098).
fn report(kind: &str, fields: &str, returned: &str) -> String {
    format!(
        "From: postmaster@far.test\r\nTo: ann@here.test\r\nSubject: report\r\nContent-Type: multipart/report; report-type={kind}; boundary=b\r\n\r\n\
         --b\r\n\r\nwords\r\n--b\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{returned}\r\n--b--\r\n"
    )
}

fn dsn(action: &str, status: &str, more: &str, message_id: &str) -> String {
    let fields = format!(
        "Reporting-MTA: dns; mx.far.test\r\n{more}\r\nFinal-Recipient: rfc822; carol@far.test\r\nAction: {action}\r\nStatus: {status}\r\n"
    );
    report("delivery-status", &fields, &format!("Message-ID: <{message_id}>\r\n"))
}

fn mdn(kind: &str, recipient: &str, message_id: &str) -> String {
    let fields = format!(
        "Final-Recipient: rfc822; {recipient}\r\nOriginal-Message-ID: <{message_id}>\r\nDisposition: manual-action/MDN-sent-manually; {kind}\r\n"
    );
    report("disposition-notification", &fields, "Subject: x\r\n")
}

async fn submission(office: &Office, id: &str) -> Value {
    office.call("EmailSubmission/get", json!({"ids": [id]})).await["list"][0].clone()
}

/// The Message-ID of what was sent last.
fn message_id(office: &Office) -> String {
    let sent = office.doors.sent.lock().unwrap();
    let octets = sent.last().unwrap().octets.clone();
    let field = message::header::first(&octets, "Message-ID").unwrap();
    field.text().trim_matches(['<', '>', ' ']).to_owned()
}

/// The newest in the inbox.
async fn newest(office: &Office) -> String {
    let ask = json!({"filter": {"inMailbox": office.mailbox_id("INBOX").await}, "sort": [{"property": "receivedAt", "isAscending": false}]});
    office.call("Email/query", ask).await["ids"][0].as_str().unwrap().to_owned()
}

/// RFC 8621 §7, `dsnBlobIds`, `mdnBlobIds`, and what they say of `delivered`, `smtpReply` and `displayed`.
#[tokio::test]
async fn what_comes_back_belongs_to_what_was_sent() {
    let office = Office::new().await;
    let (other, id) = (sent(&office).await, sent(&office).await);
    let message = message_id(&office);
    attempted(&office, RecipientState::Delivered, "mx.far.test: 250 Ok").await;
    attempted(&office, RecipientState::Delivered, "mx.far.test: 250 Ok").await;
    assert_eq!(status(&office, &id).await.0, json!("unknown"));
    let mut stream = stream(&office).await;
    let (mut dsns, mut at) = (Vec::new(), NOW);
    // None of these says how it ended, but each is kept, in the order in which they came.
    for (text, word, reply) in [
        (dsn("relayed", "2.0.0", "", &message), "unknown", "250 Ok"),
        (dsn("delayed", "4.0.0", "", &message), "unknown", "250 Ok"),
        (dsn("delivered", "2.1.5", "", &message), "yes", "250 2.1.5 as its delivery report says"),
        (dsn("failed", "5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2 no room", "", &message), "no", "552 5.2.2 no room"),
    ] {
        let since = state(&office).await;
        at += 1;
        office.put("INBOX", &text, at, 0).await;
        // Nobody asks: it is told.
        until(&mut stream, "\"EmailSubmission\"").await;
        assert_eq!(updated(&office, &since).await, json!([id]), "{text}");
        dsns.push(newest(&office).await);
        let got = submission(&office, &id).await;
        assert_eq!((&got["dsnBlobIds"], &got["mdnBlobIds"]), (&json!(dsns), &json!([])), "{text}");
        let carol = &got["deliveryStatus"]["carol@far.test"];
        assert_eq!(carol, &json!({"smtpReply": reply, "delivered": word, "displayed": "unknown"}), "{text}");
    }
    // A receipt, under the address it came to in the end; and one that says it was deleted unread.
    for (text, displayed) in
        [(mdn("deleted", "carol@far.test", &message), "unknown"), (mdn("displayed", "carol@further.test", &message), "yes")]
    {
        at += 1;
        office.put("INBOX", &text, at, 0).await;
        let got = submission(&office, &id).await;
        assert_eq!(got["deliveryStatus"]["carol@far.test"]["displayed"], displayed);
        assert_eq!(got["mdnBlobIds"].as_array().unwrap().last().unwrap(), &json!(newest(&office).await));
    }
    // What belongs to nothing changes nothing, and the other one is as it was.
    let since = state(&office).await;
    office.put("INBOX", &dsn("delivered", "2.0.0", "", "else@far.test"), at + 1, 0).await;
    office
        .put("INBOX", &report("feedback-report", "Feedback-Type: abuse\r\n", &format!("Message-ID: <{message}>\r\n")), at + 2, 0)
        .await;
    assert_eq!(updated(&office, &since).await, json!([]));
    assert_eq!(submission(&office, &other).await["dsnBlobIds"], json!([]));
    // The blob is the message as it came; gone with it.
    let got = office.call("Blob/get", json!({"ids": [dsns[0]], "properties": ["data:asText"]})).await;
    assert!(got["list"][0]["data:asText"].as_str().unwrap().contains("Action: relayed"), "{got}");
    office.call("Email/set", json!({"destroy": [dsns[0]]})).await;
    assert_eq!(submission(&office, &id).await["dsnBlobIds"], json!(dsns[1..]));
}

/// What a server of ours knows itself no report changes; what came while nobody looked is found; an envelope id that the sender said
/// leads to its submission, where it names whom it went to.
#[tokio::test]
async fn reports_are_found_late_and_change_only_what_is_open() {
    let mut office = Office::new().await;
    let id = sent(&office).await;
    let message = message_id(&office);
    attempted(&office, RecipientState::Failed, "mx.far.test: 550 no such person").await;
    submission(&office, &id).await;
    office.put("INBOX", &dsn("delivered", "2.0.0", "", &message), NOW + 1, 0).await;
    office.store.reports().take_one(office.ann);
    office.restart();
    let got = submission(&office, &id).await;
    assert_eq!(got["dsnBlobIds"], json!([newest(&office).await]));
    assert_eq!(
        (status(&office, &id).await.0, got["deliveryStatus"]["carol@far.test"]["smtpReply"].clone()),
        (json!("no"), json!("550 no such person"))
    );
    let draft = office.ids("Drafts").await.remove(0);
    let envelope = json!({"mailFrom": {"email": "ann@here.test", "parameters": {"envid": "order 7+8"}}, "rcptTo": [{"email": "carol@far.test"}]});
    let create = json!({"create": {"s": {"identityId": "main", "emailId": draft, "envelope": envelope}}});
    let other = office.call("EmailSubmission/set", create).await["created"]["s"]["id"].as_str().unwrap().to_owned();
    assert_eq!(office.doors.sent.lock().unwrap().last().unwrap().envelope_id.as_deref(), Some("order 7+8"));
    office.put("INBOX", &dsn("relayed", "2.0.0", "Original-Envelope-Id: order 7+8\r\n", ""), NOW + 2, 0).await;
    assert_eq!(submission(&office, &other).await["dsnBlobIds"], json!([newest(&office).await]));
    office
        .put("INBOX", &dsn("relayed", "2.0.0", "Original-Envelope-Id: order 7+8\r\n", "").replace("carol@", "dan@"), NOW + 3, 0)
        .await;
    assert_eq!(submission(&office, &other).await["dsnBlobIds"].as_array().unwrap().len(), 1);
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

/// RFC 8620 §5.5: our limit is told where nobody asked for one, or for more.
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
    assert_eq!((got["ids"].as_array().unwrap().len(), &got["limit"]), (5_000, &json!(5_000)), "also where nothing was cut off");
    let got = office.call("EmailSubmission/query", json!({"limit": 6_000})).await;
    assert_eq!(got["limit"], json!(5_000));
    let got = office.call("EmailSubmission/query", json!({"anchor": "S7", "anchorOffset": -1, "limit": 2, "sort": []})).await;
    assert_eq!(got["ids"][1], "S7");
}

/// RFC 8621 §7.5: "invalidRecipients: [...] one or more of the rcptTo values is not a valid email address".
#[tokio::test]
async fn what_is_no_address_is_no_recipient() {
    let office = Office::new().await;
    office.put("Drafts", "From: ann@here.test\r\nTo: bob@here.test\r\nSubject: x\r\n\r\nx\r\n", NOW, 0).await;
    let email = office.ids("Drafts").await.remove(0);
    let send = async |to: &str| {
        let envelope = json!({"mailFrom": {"email": "ann@here.test"}, "rcptTo": [{"email": "bob@here.test"}, {"email": to}]});
        let create = json!({"create": {"s": {"identityId": "main", "emailId": email, "envelope": envelope}}});
        office.call("EmailSubmission/set", create).await
    };
    for bad in [
        "bob",
        "bob@here.test\n",
        "bob@here.test ",
        "x>\r\nRCPT TO:<carol@there.test",
        "\"x\r\ny\"@there.test",
        "x y@there.test",
        "x>y@there.test",
        "<bob@here.test>",
        "b\0b@here.test",
        "x@there .test",
    ] {
        let told = send(bad).await["notCreated"]["s"].clone();
        assert_eq!((&told["type"], &told["invalidRecipients"]), (&json!("invalidRecipients"), &json!([bad])));
    }
    assert!(office.doors.sent.lock().unwrap().is_empty());
    // Longer than RFC 5321 lets it be, as rewritten senders are: it is for its server to say.
    for good in ["\"x y\"@there.test", "ä@bücher.test", &format!("SRS0=abcd=ef={}@there.test", "x".repeat(80))] {
        assert!(send(good).await["created"]["s"].is_object(), "{good}");
    }
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
        (json!({"RET": "HDRS ENVID=x"}), Value::Null),
        (json!({"RET=HDRS ENVID": "x"}), Value::Null),
        (json!({"BODY": "9BIT"}), Value::Null),
        (json!({"HOLDFOR": "999999999"}), Value::Null),
        (json!({"ENVID": "x", "envid": "y"}), Value::Null),
        (json!({"ENVID": "a\r\nb"}), Value::Null),
        (json!({"AUTH": "<>"}), Value::Null),
        (json!({"BY": "5;R"}), Value::Null),
        (json!({"MT-PRIORITY": "10"}), Value::Null),
        (json!({"REQUIRETLS": "yes"}), Value::Null),
        (Value::Null, json!({"ORCPT": "bob@here.test"})),
        (Value::Null, json!({"ORCPT": "rfc822;"})),
    ] {
        let told = send(&one, with(mail.clone(), rcpt.clone())).await;
        assert_eq!((&told["type"], &told["properties"]), (&json!("invalidProperties"), &json!(["envelope"])), "{mail} {rcpt}");
    }
    assert_eq!(
        send(
            &one,
            with(
                json!({"ret": "hdrs", "ENVID": "a b+c=d", "BODY": "8BITMIME", "SMTPUTF8": null, "SIZE": "100", "BY": "120;NT",
                    "MT-PRIORITY": "-3", "REQUIRETLS": null, "SOLICIT": "org.example:ADV"}),
                json!({"NOTIFY": "success,DELAY", "ORCPT": "rfc822;b o+b@here.test"})
            )
        )
        .await,
        Value::Null
    );
    let large = send(&one, with(json!({"SIZE": "10000001"}), Value::Null)).await;
    assert_eq!((&large["type"], &large["maxSize"]), (&json!("tooLarge"), &json!(10_000_000)));
    {
        let out = office.doors.sent.lock().unwrap();
        let notify = QueueRecipient::NOTIFY_SUCCESS | QueueRecipient::NOTIFY_DELAY;
        assert_eq!((out.len(), out[0].ret_headers, out[0].recipients[0].notify), (1, true, notify));
        assert_eq!(out[0].envelope_id.as_deref(), Some("a b+c=d"));
        assert_eq!(out[0].recipients[0].original.as_deref(), Some("rfc822;b o+b@here.test"));
        let service = &out[0].service;
        assert!(
            service.require_tls && service.deliver_by_notify && service.deliver_by_trace && service.deliver_by_secs.is_some()
        );
        assert_eq!((service.priority, service.solicitations.as_slice()), (-3, ["org.example:ADV".to_owned()].as_slice()));
    }
    // What is offered is said with its arguments (§1.3.2), and kept to.
    let head = format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    let session = office.ask(&head, b"").await.json();
    let submission = &session["accounts"]["A1"]["accountCapabilities"]["urn:ietf:params:jmap:submission"];
    let offers = &submission["submissionExtensions"];
    let most = submission["maxDelayedSend"].as_u64().unwrap();
    let until = offers["FUTURERELEASE"][1].as_str().unwrap().to_owned();
    assert_eq!(
        offers,
        &json!({"8BITMIME": [], "DSN": [], "SMTPUTF8": [], "SIZE": ["10000000"], "REQUIRETLS": [], "DELIVERBY": ["60"],
            "FUTURERELEASE": [most.to_string(), until], "MT-PRIORITY": [], "NO-SOLICITING": []})
    );
    let later = message::date::format_rfc_3339(message::date::parse_rfc_3339(until.as_bytes()).unwrap().unix_secs() + 86_400);
    for (name, good, bad) in [("HOLDFOR", most.to_string(), (most + 1).to_string()), ("HOLDUNTIL", until, later)] {
        assert_eq!(send(&one, with(json!({name: good}), Value::Null)).await, Value::Null, "{name}");
        assert_eq!(send(&one, with(json!({name: bad}), Value::Null)).await["type"], "invalidProperties", "{name}");
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
