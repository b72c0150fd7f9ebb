//! What became of messages that were sent: told in the change log, pushed, and kept when the queue and the trace have forgotten.

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use store::{Claim, QueueId, RecipientState, Settlement, TraceEvent};
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
    let mut recipients = claim.entry.message.recipients.clone();
    recipients[0].state = state;
    recipients[0].last_reply = reply.into();
    let what = if state == RecipientState::Delivered { "delivered" } else { "bounced" };
    let event = TraceEvent::new(NOW, what, reply).key("queue", claim.entry.id.0.to_string()).key("address", "carol@far.test");
    let trace = if state == RecipientState::Waiting { Vec::new() } else { vec![event] };
    let (notices, bounced) = (Vec::new(), Vec::new());
    let settlement = Settlement { recipients, next_secs: NOW, attempted: true, notices, trace, bounced, now_secs: NOW };
    office.store.queue_settle(&claim, settlement).await.unwrap();
    claim.entry.id
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
        assert_eq!(status(&office, &id).await, (json!(word), json!(reply)));
        since = state(&office).await;
    }
    assert_eq!(updated(&office, &since).await, json!([]), "and once is enough");
    let others = office.call("Email/changes", json!({"sinceState": since})).await;
    assert_eq!(others["updated"], json!([]));
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
    assert_eq!(status(&office, &id).await, (json!("no"), json!("mx.far.test: 550 no such person")));
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
