//! Blobs by methods (RFC 9404) and read receipts (RFC 9007).

use crate::office::{NOW, Office};
use serde_json::{Value, json};

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
    // "The server MUST still return an empty array for each type", and the example of §4.3.1 has it in `notFound`.
    let nothing = json!({"id": "Unone", "matchedIds": {"Mailbox": [], "Thread": [], "Email": []}});
    assert_eq!((&found["list"][2], &found["notFound"]), (&nothing, &json!(["Unone"])));
    let made = json!({"create": {"new": {"data": [{"data:asText": "x", "data:asBase64": null, "offset": null}]}}});
    let id_of = office.account_id();
    let calls = office
        .calls(json!([
            ["Blob/upload", {"accountId": id_of, "create": made["create"]}, "0"],
            ["Blob/lookup", {"accountId": id_of, "typeNames": ["Email"], "ids": ["#new", "#none"]}, "1"],
        ]))
        .await;
    let new = &calls[0].1["created"]["new"]["id"];
    let wanted = json!([{"id": new, "matchedIds": {"Email": []}}, {"id": "#none", "matchedIds": {"Email": []}}]);
    assert_eq!((&calls[1].1["list"], &calls[1].1["notFound"]), (&wanted, &json!(["#none"])));
    assert_eq!(office.fails("Blob/lookup", json!({"typeNames": ["Nothing"], "ids": []})).await, "unknownDataType");
    // RFC 9404 §4.3: "If a type name is not known by the server, or the associated capability has not been requested, then the
    // server returns an \"unknownDataType\" error."
    let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:blob"];
    let lookup = json!(["Blob/lookup", {"accountId": "A1", "typeNames": ["Email"], "ids": [id]}, "0"]);
    let answer = office.request(&json!({"using": using, "methodCalls": [lookup]})).await.json();
    assert_eq!(answer["methodResponses"][0][1]["type"], "unknownDataType", "{answer}");
}

/// RFC 9404 §4.1 and §4.2, what their text says beside the examples.
#[tokio::test]
async fn what_cannot_be_put_together_or_shown_is_said() {
    let office = Office::new().await;
    // "If the range cannot be fully satisfied (i.e., it begins or extends past the end of the data in the blob), then the
    // DataSourceObject is invalid"; "invalid characters in the base64 [...] MUST result in a notCreated response".
    let create = json!({
        "empty": {"data": []}, "text": {"data": [{"data:asText": "h\u{e9}llo"}], "type": "text/plain"},
        "base64": {"data": [{"data:asBase64": "a b"}]}, "both": {"data": [{"data:asText": "x", "data:asBase64": "eA=="}]},
        "begins": {"data": [{"blobId": "#text", "offset": 7}]}, "extends": {"data": [{"blobId": "#text", "offset": 3, "length": 4}]},
        "none": {"data": [{}]}, "more": {"data": [{"blobId": "#text", "from": 1}]}, "range": {"data": [{"data:asText": "x", "offset": 0}]}, "kind": {"data": [], "type": "nonsense"}, "strange": {"data": [], "name": "x"}, "nothing": {},
    });
    let up = office.call("Blob/upload", json!({"create": create})).await;
    assert_eq!((up["created"]["empty"]["size"].as_u64(), up["created"]["text"]["size"].as_u64()), (Some(0), Some(6)), "{up}");
    for bad in ["base64", "both", "begins", "extends", "none", "more", "range", "kind", "strange", "nothing"] {
        assert_eq!(up["notCreated"][bad]["type"], "invalidProperties", "{bad}: {up}");
    }
    let id = up["created"]["text"]["id"].as_str().unwrap();
    let get = async |arguments: Value| {
        let mut asked = json!({"ids": [id]});
        asked.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
        office.call("Blob/get", asked).await["list"][0].clone()
    };
    // "Including truncating in the middle of a multi-octet sequence".
    let half = get(json!({"offset": 0, "length": 2})).await;
    assert_eq!((&half["data:asBase64"], &half["isEncodingProblem"]), (&json!("aMM="), &json!(true)));
    let text = get(json!({"properties": ["data:asText"], "length": 2})).await;
    // Asked for, it is there and null (RFC 9404 §4.2).
    assert_eq!(text, json!({"id": id, "data:asText": null, "isEncodingProblem": true}));
    let base64 = get(json!({"properties": ["data:asBase64"], "length": 2})).await;
    assert_eq!(base64, json!({"id": id, "data:asBase64": "aMM="}), "nobody asked for text");
    // "An empty string if the offset is past the end of the blob"; without a length that is no truncation before the end.
    assert_eq!(get(json!({"offset": 6})).await, json!({"id": id, "data:asText": "", "size": 6}));
    assert_eq!(get(json!({"offset": 7})).await, json!({"id": id, "data:asText": "", "size": 6, "isTruncated": true}));
    // "Any digest is calculated on the octets that would be returned for a data field."
    let digest = get(json!({"offset": 0, "length": 1, "properties": ["digest:sha"]})).await;
    assert_eq!(digest["digest:sha"], "J9VILuvQdd5EOJd0/OKMafRcinU=", "{digest}");
    for wrong in [json!({"properties": ["digest:md4"]}), json!({"offset": -1}), json!({"length": "1"})] {
        let mut asked = json!({"ids": [id]});
        asked.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(office.fails("Blob/get", asked).await, "invalidArguments", "{wrong}");
    }
}

/// RFC 9404 §4.2: "clients SHOULD limit their request to just the size parameter if that is all they need". However large all of
/// them are together, none is read for that.
#[tokio::test]
async fn sizes_are_told_of_what_is_too_much_to_show() {
    let mut office = Office::new().await;
    let text = "x".repeat(600_000);
    for number in 0..4 {
        office.put("INBOX", &format!("Subject: {number}\r\n\r\n{text}"), NOW + number, 0).await;
    }
    office.restart_with(1_000_000);
    let ids = office.ids("INBOX").await;
    assert_eq!(office.fails("Blob/get", json!({"ids": ids})).await, "requestTooLarge");
    let told = office.call("Blob/get", json!({"ids": ids, "properties": ["size"]})).await;
    let wanted: Vec<Value> = ids.iter().map(|id| json!({"id": id, "size": 600_014})).collect();
    assert_eq!(told["list"], json!(wanted));
    assert_eq!(office.call("Blob/get", json!({"ids": [ids[0]], "properties": ["id"]})).await["list"], json!([{"id": ids[0]}]));
    let past = json!({"ids": [ids[0]], "properties": ["size"], "offset": 600_015});
    assert_eq!(office.call("Blob/get", past).await["list"], json!([{"id": ids[0], "size": 600_014, "isTruncated": true}]));
}

/// The samples of RFC 9007 §3.
#[tokio::test]
async fn a_receipt_is_sent_once_and_read_back() {
    let office = Office::new().await;
    let asks = "From: bob@there.test\r\nTo: ann@here.test\r\nSubject: World domination\r\nMessage-ID: <199509192301.23456@example.org>\r\nDisposition-Notification-To: Bob <bob@there.test>\r\n\r\nThe plan.\r\n";
    office.put("INBOX", asks, NOW, 0).await;
    office.put("INBOX", "From: bob@there.test\r\n\r\nnothing asked", NOW - 9, 0).await;
    let ids = office.ids("INBOX").await;
    let disposition = json!({"actionMode": "manual-action", "sendingMode": "mdn-sent-manually", "type": "displayed"});
    let text = "This receipt shows that the email has been displayed on your recipient's computer. There is no guarantee it has been read or understood.";
    let mdn = |id: &str| {
        json!({"forEmailId": id, "subject": "Read receipt for: World domination", "textBody": text,
            "reportingUA": "joes-pc.cs.example.com; Foomail 97.1", "disposition": disposition,
            "extensionFields": {"EXTENSION-EXAMPLE": "example.com"}})
    };
    let set = json!({"#k1546": {"keywords/$mdnsent": true}});
    let send = |mdn: Value| json!({"accountId": office.account_id(), "identityId": "main", "send": {"k1546": mdn}, "onSuccessUpdateEmail": set});
    let answers = office.calls(json!([["MDN/send", send(mdn(&ids[0])), "0"]])).await;
    assert_eq!((answers[0].0.as_str(), answers[1].0.as_str()), ("MDN/send", "Email/set"));
    let told = json!({"finalRecipient": "rfc822; ann@here.test", "originalMessageId": "<199509192301.23456@example.org>", "includeOriginalMessage": false});
    assert_eq!((&answers[0].1["sent"], &answers[0].1["notSent"]), (&json!({"k1546": told}), &Value::Null));
    assert_eq!(answers[1].1["updated"], json!({&ids[0]: null}));
    let sent = |at: usize| {
        let sent = office.doors.sent.lock().unwrap();
        assert_eq!((sent[at].reverse_path.as_str(), sent[at].recipients[0].address.as_str()), ("", "bob@there.test"));
        sent[at].octets.to_vec()
    };
    let refused = async |mdn: Value| office.call_any("MDN/send", send(mdn)).await.1["notSent"]["k1546"].clone();
    assert_eq!(refused(mdn(&ids[0])).await["type"], "mdnAlreadySent");
    assert_eq!(refused(mdn(&ids[1])).await["type"], "notFound", "it asks for none");
    let with = |name: &str, value: Value| {
        let mut changed = mdn(&ids[0]);
        changed[name] = value;
        changed
    };
    office.call("Email/set", json!({"update": {&ids[0]: {"keywords/$mdnsent": null}}})).await;
    assert_eq!(refused(with("finalRecipient", json!("rfc822; bob@here.test"))).await["type"], "forbiddenFrom");
    for (name, wrong) in [
        ("mdnGateway", json!("x")),
        ("extensionFields", json!({"Final-Recipient": "x"})),
        ("extensionFields", json!({"X": "a\r\nb"})),
        ("extensionFields", json!(["X"])),
        ("nonsense", json!(1)),
    ] {
        let why = refused(with(name, wrong.clone())).await;
        assert_eq!((&why["type"], &why["properties"]), (&json!("invalidProperties"), &json!([name])), "{wrong}");
    }
    // RFC 9007 §2: what is of its type, and the words as they stand there; null is no email.
    let modes = |action: &str, sending: &str, kind: &str| json!({"actionMode": action, "sendingMode": sending, "type": kind});
    for (name, wrong) in [
        ("forEmailId", Value::Null),
        ("subject", json!(1)),
        ("includeOriginalMessage", json!("yes")),
        ("disposition", modes("Manual-Action", "mdn-sent-manually", "displayed")),
        ("disposition", modes("manual-action", "MDN-sent-manually", "displayed")),
        ("disposition", modes("manual-action", "mdn-sent-manually", "Displayed")),
    ] {
        let why = refused(with(name, wrong.clone())).await;
        assert_eq!((&why["type"], &why["properties"]), (&json!("invalidProperties"), &json!([name])), "{wrong}");
    }
    assert_eq!(refused(with("forEmailId", json!("Mnone"))).await["type"], "notFound");
    // §2.1: "If the accountId or identityId given cannot be found, [...] an invalidArguments error"; and `using` has both.
    let strange = office
        .calls(json!([["MDN/send", {"accountId": "A99"}, "0"], ["MDN/parse", {"accountId": "A99", "blobIds": []}, "1"]]))
        .await;
    assert!(strange.iter().all(|(_, error)| error["type"] == "invalidArguments"), "{strange:?}");
    let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mdn"];
    let half = office.request(&json!({"using": using, "methodCalls": [["MDN/send", send(mdn(&ids[0])), "0"]]})).await.json();
    assert_eq!(half["methodResponses"][0][1]["type"], "unknownMethod");
    // What does not lead to the keyword is not sent at all.
    let mut without = send(mdn(&ids[0]));
    without["onSuccessUpdateEmail"] = json!({"#k1546": {"keywords/$seen": true}});
    assert_eq!(office.call_any("MDN/send", without).await.1["type"], "invalidArguments");
    // Whole, by the words of the server, and without a word of the program.
    let plain = json!({"forEmailId": ids[0], "disposition": disposition, "includeOriginalMessage": true, "finalRecipient": "rfc822; ann@here.test"});
    // Twice in one call is twice.
    let mut twice = send(plain.clone());
    twice["send"]["k2"] = plain;
    twice["onSuccessUpdateEmail"]["#k2"] = json!({"keywords/$mdnsent": true});
    let answer = office.call_any("MDN/send", twice).await.1;
    // "Any properties that were omitted by the client and thus set to a default by the server".
    let told = &answer["sent"]["k1546"];
    assert_eq!(told["subject"], "Displayed: World domination", "{answer}");
    assert!(told["textBody"].as_str().unwrap().contains("was displayed") && told.get("finalRecipient").is_none(), "{told}");
    assert_eq!(answer["notSent"]["k2"]["type"], "mdnAlreadySent");
    assert_eq!(office.doors.sent.lock().unwrap().len(), 2);
    let uploaded = async |octets: &[u8]| {
        let basic = Office::basic("ann@here.test", "pw");
        let head = format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{basic}Content-Type: message/rfc822\r\n");
        office.ask(&head, octets).await.json()["blobId"].as_str().unwrap().to_owned()
    };
    let (first, second) = (uploaded(&sent(0)).await, uploaded(&sent(1)).await);
    let parsed = office.call("MDN/parse", json!({"blobIds": [first, second, ids[1], "Unone"]})).await;
    let wanted = json!({
        "forEmailId": ids[0], "subject": "Read receipt for: World domination", "textBody": format!("{text}\n"),
        "reportingUA": "joes-pc.cs.example.com; Foomail 97.1", "disposition": disposition, "finalRecipient": "rfc822; ann@here.test",
        "originalMessageId": "<199509192301.23456@example.org>", "includeOriginalMessage": false, "mdnGateway": null,
        "originalRecipient": null, "error": null, "extensionFields": {"EXTENSION-EXAMPLE": "example.com"},
    });
    let mut told = parsed["parsed"][&first].clone();
    // As it is sent, a text ends with a line end.
    told["textBody"] = json!(told["textBody"].as_str().unwrap().replace("\r\n", "\n"));
    if !told["textBody"].as_str().unwrap().ends_with('\n') {
        told["textBody"] = json!(format!("{}\n", told["textBody"].as_str().unwrap()));
    }
    assert_eq!(told, wanted);
    let whole = &parsed["parsed"][&second];
    assert_eq!((&whole["includeOriginalMessage"], &whole["reportingUA"]), (&json!(true), &Value::Null));
    assert!(String::from_utf8_lossy(&sent(1)).contains("The plan."), "all of it");
    assert_eq!((&parsed["notParsable"], &parsed["notFound"]), (&json!([ids[1]]), &json!(["Unone"])));
}

/// What lies in a message that lies in a blob is read whole: of one account two at a time, and who does not take them holds up nobody else.
#[tokio::test]
async fn what_is_read_whole_waits_for_its_turn() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let office = Office::new().await;
    let head =
        format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{}Content-Type: message/rfc822\r\n", Office::basic("ann@here.test", "pw"));
    let text = "x".repeat(2_000_000);
    let message = format!("Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\n{text}\r\n--o--\r\n");
    let blob = office.ask(&head, message.as_bytes()).await.json()["blobId"].as_str().unwrap().to_owned();
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = office.connect_narrow("127.0.0.1", false, 4096);
        let basic = Office::basic("ann@here.test", "pw");
        let get = format!("GET /jmap/download/A1/{blob}_1/x HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\n{basic}\r\n");
        stream.write_all(get.as_bytes()).await.unwrap();
        if streams.len() < 2 {
            let mut octets = [0; 100];
            stream.read_exact(&mut octets).await.unwrap();
            assert!(octets.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&octets));
        }
        streams.push(stream);
    }
    let mut third = streams.pop().unwrap();
    let mut octet = [0; 1];
    let soon = tokio::time::timeout(std::time::Duration::from_millis(300), third.read_exact(&mut octet)).await;
    assert!(soon.is_err(), "it waits");
    streams.pop();
    tokio::time::timeout(std::time::Duration::from_secs(60), third.read_exact(&mut octet)).await.unwrap().unwrap();
    let mut rest = Vec::new();
    third.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"xxx") && rest.len() > text.len());
}

/// A file that is a page, also one within a message that came as a file, is given out safe; what nobody may see is nowhere.
#[tokio::test]
async fn files_that_are_pages_are_made_safe() {
    let office = Office::new().await;
    let page = "<meta charset=koi8-r><p onclick=run()>A page</p><script>run()</script><img src=https://shop.test/big.png>";
    let file = format!("Content-Type: text/html\r\nContent-Disposition: attachment; filename=a.html\r\n\r\n{page}");
    let inner = format!("Subject: inner\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n{file}\r\n--c--\r\n");
    let letter = format!(
        "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{file}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--b--\r\n"
    );
    office.put("INBOX", &letter, NOW, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    let of = |value: &Value, at: usize| value["attachments"][at]["blobId"].as_str().unwrap().to_owned();
    let email = office.call("Email/get", json!({"ids": [id], "properties": ["attachments"]})).await["list"][0].clone();
    let parse = json!({"blobIds": [of(&email, 1)], "properties": ["attachments"]});
    let parsed = office.call("Email/parse", parse).await["parsed"][of(&email, 1)].clone();
    let uploaded = office.call("Blob/upload", json!({"create": {"u": {"data": [{"data:asText": page}]}}})).await;
    let uploaded = uploaded["created"]["u"]["id"].as_str().unwrap().to_owned();
    let safe = async |blob: &str, who: &str| {
        let head = format!("GET /api/html/{}/{blob} HTTP/1.1\r\n{}", office.account_id(), Office::basic(who, "pw"));
        office.ask(&head, b"").await
    };
    for blob in [of(&email, 0), of(&parsed, 0), uploaded] {
        let answer = safe(&blob, "ann@here.test").await;
        assert_eq!(answer.status, 200, "{blob}");
        let told = answer.json();
        assert_eq!(
            (&told["html"], &told["pictures"]),
            (&json!("<div class=\"m-mail\"><p>A page</p><img></div>"), &json!(1)),
            "{blob}"
        );
        assert_eq!(safe(&blob, "bob@here.test").await.status, 404);
    }
    for none in ["Unone", "Pnone-1", &of(&email, 0).replace("-1", "-99"), "Gx_1"] {
        assert_eq!(safe(none, "ann@here.test").await.status, 404, "{none}");
    }
}
