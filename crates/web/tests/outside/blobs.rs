//! Blobs by methods (RFC 9404) and read receipts (RFC 9007).

use crate::office::{NOW, Office};
use serde_json::json;

#[tokio::test]
async fn the_examples_of_rfc_9404() {
    let office = Office::new().await;
    // §4.1.1 and §4.2.1: a quick brown fox.
    let text = "The quick brown fox jumped over the lazy dog.";
    let create = json!({"create": {
        "b4": {"data": [{"data:asText": text}]},
        "cat": {"data": [{"data:asText": "How"}, {"blobId": "#b4", "offset": 3, "length": 7}, {"data:asText": "was t"}, {"blobId": "#b4", "offset": 1, "length": 1}, {"data:asBase64": "YXQ/"}]},
        "no": {"data": [{"blobId": "Unone"}]}, "far": {"data": [{"blobId": "#b4", "offset": 40, "length": 9}]},
    }});
    let up = office.call("Blob/upload", create).await;
    let id = up["created"]["b4"]["id"].as_str().unwrap();
    assert_eq!(
        (up["created"]["b4"]["size"].as_u64(), up["created"]["b4"]["type"].as_str()),
        (Some(45), Some("application/octet-stream"))
    );
    assert_eq!(
        (&up["notCreated"]["no"]["type"], &up["notCreated"]["far"]["type"]),
        (&json!("blobNotFound"), &json!("invalidProperties"))
    );
    let get = json!({"ids": [id, up["created"]["cat"]["id"], "Unone"], "properties": ["data:asText", "digest:sha", "size"]});
    let got = office.call("Blob/get", get).await;
    assert_eq!(got["list"][0], json!({"id": id, "data:asText": text, "digest:sha": "wIVPufsDxBzOOALLDSIFKebu+U4=", "size": 45}));
    assert_eq!(got["list"][1]["data:asText"], "How quick was that?");
    assert_eq!(got["notFound"], json!(["Unone"]));
    let part = office
        .call("Blob/get", json!({"ids": [id], "properties": ["data:asText", "digest:sha-256", "size"], "offset": 4, "length": 9}))
        .await;
    assert_eq!(part["list"][0]["data:asText"], "quick bro");
    assert_eq!(part["list"][0]["digest:sha-256"], "gdg9INW7lwHK6OQ9u0dwDz2ZY/gubi0En0xlFpKt0OA=");
    let past = office.call("Blob/get", json!({"ids": [id], "properties": ["data"], "offset": 40, "length": 20})).await;
    assert_eq!(past["list"][0], json!({"id": id, "data:asText": " dog.", "isTruncated": true}));
    let binary =
        office.call("Blob/upload", json!({"create": {"x": {"data": [{"data:asBase64": "/w=="}], "type": "image/png"}}})).await;
    let got = office.call("Blob/get", json!({"ids": [binary["created"]["x"]["id"]]})).await["list"][0].clone();
    assert_eq!((&got["data:asBase64"], &got["isEncodingProblem"]), (&json!("/w=="), &json!(true)));
    let wide: Vec<_> = (0..=web::limits::BLOB_SOURCES_MAX).map(|_| json!({"data:asText": ""})).collect();
    assert_eq!(office.call("Blob/upload", json!({"create": {"w": {"data": wide}}})).await["notCreated"]["w"]["type"], "tooLarge");
    let copy = office.call("Blob/copy", json!({"fromAccountId": office.account_id(), "blobIds": [id, "Unone"]})).await;
    assert_eq!((&copy["copied"], &copy["notCopied"]["Unone"]["type"]), (&json!({id: id}), &json!("notFound")));
    assert_eq!(office.fails("Blob/copy", json!({"fromAccountId": "A2", "blobIds": [id]})).await, "fromAccountNotFound");
}

#[tokio::test]
async fn blobs_lead_back_to_what_has_them() {
    let office = Office::new().await;
    office.put("INBOX", "From: bob@there.test\r\nSubject: hi\r\n\r\nx", NOW, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    let email = office.call("Email/get", json!({"ids": [id], "properties": ["threadId", "textBody"]})).await["list"][0].clone();
    let part = email["textBody"][0]["blobId"].clone();
    let found =
        office.call("Blob/lookup", json!({"typeNames": ["Mailbox", "Thread", "Email"], "ids": [id, part, "Unone"]})).await;
    let wanted = json!({"Mailbox": [office.mailbox_id("INBOX").await], "Thread": [email["threadId"]], "Email": [id]});
    assert_eq!((&found["list"][0]["matchedIds"], &found["list"][1]["matchedIds"]), (&wanted, &wanted));
    assert_eq!(found["notFound"], json!(["Unone"]));
    assert_eq!(office.fails("Blob/lookup", json!({"typeNames": ["Nothing"], "ids": []})).await, "unknownDataType");
}

#[tokio::test]
async fn a_receipt_is_sent_once_and_read_back() {
    let office = Office::new().await;
    let asks = "From: bob@there.test\r\nTo: ann@here.test\r\nSubject: World domination\r\nMessage-ID: <199509192301.23456@example.org>\r\nDisposition-Notification-To: Bob <bob@there.test>\r\n\r\nx";
    office.put("INBOX", asks, NOW, 0).await;
    office.put("INBOX", "From: bob@there.test\r\n\r\nnothing asked", NOW - 9, 0).await;
    let ids = office.ids("INBOX").await;
    let disposition = json!({"actionMode": "manual-action", "sendingMode": "mdn-sent-manually", "type": "displayed"});
    let send = |id: &str| json!({"identityId": "main", "send": {"k": {"forEmailId": id, "disposition": disposition, "includeOriginalMessage": true}}});
    let mut arguments = send(&ids[0]);
    arguments["accountId"] = json!(office.account_id());
    let answers = office.calls(json!([["MDN/send", arguments, "0"]])).await;
    assert_eq!((answers[0].0.as_str(), answers[1].0.as_str()), ("MDN/send", "Email/set"));
    assert_eq!(answers[0].1["sent"]["k"]["finalRecipient"], "rfc822; ann@here.test");
    assert_eq!(answers[1].1["updated"], json!({&ids[0]: null}));
    let octets = {
        let sent = office.doors.sent.lock().unwrap();
        assert_eq!((sent[0].reverse_path.as_str(), sent[0].recipients[0].address.as_str()), ("", "bob@there.test"));
        sent[0].octets.to_vec()
    };
    assert_eq!(office.call_any("MDN/send", send(&ids[0])).await.1["notSent"]["k"]["type"], "mdnAlreadySent");
    assert_eq!(office.call_any("MDN/send", send(&ids[1])).await.1["notSent"]["k"]["type"], "noRecipients");
    let head =
        format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{}Content-Type: message/rfc822\r\n", Office::basic("ann@here.test", "pw"));
    let blob = office.ask(&head, &octets).await.json()["blobId"].as_str().unwrap().to_owned();
    let parsed = office.call("MDN/parse", json!({"blobIds": [blob, ids[1], "Unone"]})).await;
    let told = &parsed["parsed"][&blob];
    assert_eq!((&told["disposition"], &told["forEmailId"]), (&disposition, &json!(ids[0])));
    assert_eq!(
        (&told["originalMessageId"], &told["includeOriginalMessage"]),
        (&json!("<199509192301.23456@example.org>"), &json!(true))
    );
    assert_eq!((&parsed["notParsable"], &parsed["notFound"]), (&json!([ids[1]]), &json!(["Unone"])));
}
