//! Statements of RFC 8620, RFC 8621, RFC 9007 and RFC 9404, each held to the letter.

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LETTER: &str = "From: ann@here.test\r\nTo: bob@here.test\r\nSubject: x\r\n\r\nx\r\n";

/// A message of ann's in a mailbox; its id.
async fn letter(office: &Office) -> String {
    office.put("Drafts", LETTER, NOW, 0).await;
    office.ids("Drafts").await.remove(0)
}

/// It goes out in an hour.
fn held(email: &str) -> Value {
    let from = json!({"email": "ann@here.test", "parameters": {"HOLDFOR": "3600"}});
    json!({"identityId": "main", "emailId": email, "envelope": {"mailFrom": from, "rcptTo": [{"email": "carol@far.test"}]}})
}

/// RFC 8620 §1.4: UTCDate is "a Date where the time-offset component MUST be Z"; §3.9: "In case of invalid arguments [...] the method
/// MUST return an invalidArguments error".
#[tokio::test]
async fn a_date_in_utc_ends_with_z() {
    let office = Office::new().await;
    let email = letter(&office).await;
    let drafts = office.mailbox_id("Drafts").await;
    for (date, is_good) in [
        ("2027-01-01T00:00:00Z", true),
        ("2027-01-01T00:00:00.000Z", true),
        ("2027-01-01T00:00:00+00:00", false),
        ("2027-01-01T01:00:00+01:00", false),
        ("2027-01-01t00:00:00z", false),
        ("2027-01-01 00:00:00Z", false),
    ] {
        for (method, condition) in [
            ("Email/query", "before"),
            ("Email/query", "after"),
            ("EmailSubmission/query", "before"),
            ("EmailSubmission/query", "after"),
        ] {
            let (answered, answer) = office.call_any(method, json!({"filter": {condition: date}})).await;
            let as_it_should = if is_good { answered == method } else { answer["type"] == "invalidArguments" };
            assert!(as_it_should, "{method} {condition} {date}: {answer}");
        }
        let new = json!({"mailboxIds": {&drafts: true}, "receivedAt": date});
        let made = office.call("Email/set", json!({"create": {"e": new}})).await;
        let import = json!({"blobId": email, "mailboxIds": {&drafts: true}, "receivedAt": date});
        let imported = office.call("Email/import", json!({"emails": {"e": import}})).await;
        for told in [made, imported] {
            let error = if is_good { Value::Null } else { json!(["receivedAt"]) };
            assert_eq!(told["notCreated"]["e"]["properties"], error, "{date}: {told}");
        }
        for name in ["fromDate", "toDate"] {
            let told = office.call("VacationResponse/set", json!({"update": {"singleton": {name: date}}})).await;
            let error = if is_good { Value::Null } else { json!([name]) };
            assert_eq!(told["notUpdated"]["singleton"]["properties"], error, "{date}: {told}");
        }
    }
    // One that was kept before is told as what it is.
    let kept = json!({"isEnabled": true, "fromDate": "2027-01-01T01:00:00+01:00", "toDate": null, "subject": "Away"}).to_string();
    let record = (mta::wishes::VACATION, mta::wishes::SINGLETON.into(), Some(kept.into_bytes()));
    office.store.records_change(office.ann, &[record]).await.unwrap();
    let got = office.call("VacationResponse/get", json!({"ids": null})).await["list"][0].clone();
    assert_eq!((&got["fromDate"], &got["subject"]), (&json!("2027-01-01T00:00:00Z"), &json!("Away")));
}

/// RFC 8620 §5.5: what is no filter is none also where there is nothing to find; a FilterCondition "MUST NOT have an `operator`
/// property".
#[tokio::test]
async fn a_filter_is_looked_at_before_there_is_anything_to_find() {
    let office = Office::new().await;
    for method in ["EmailSubmission/query", "EmailSubmission/queryChanges"] {
        let asked = |filter: Value| json!({"filter": filter, "sinceQueryState": "1"});
        let arguments = |filter: Value| {
            let mut asked = asked(filter);
            if method == "EmailSubmission/query" {
                asked.as_object_mut().unwrap().remove("sinceQueryState");
            }
            asked
        };
        assert_eq!(office.fails(method, arguments(json!({"nonsense": 1}))).await, "unsupportedFilter", "{method}");
        assert_eq!(office.fails(method, arguments(json!({"undoStatus": 1}))).await, "invalidArguments", "{method}");
        assert_eq!(office.fails(method, arguments(json!({"before": "soon"}))).await, "invalidArguments", "{method}");
    }
    office.store.account_quota(office.ann, None).await.unwrap();
    assert_eq!(office.fails("Quota/query", json!({"filter": {"nonsense": 1}})).await, "unsupportedFilter");
    assert_eq!(office.call("Quota/query", json!({"filter": {}})).await["ids"], json!([]));
    for method in ["Email/query", "Mailbox/query", "EmailSubmission/query"] {
        let mixed = json!({"filter": {"operator": "AND", "conditions": [], "name": "x"}});
        assert_eq!(office.fails(method, mixed).await, "invalidArguments", "{method}");
    }
}

/// RFC 8620 §3.4: "Other arguments may only be omitted if an explicit default value is defined": `create` of `/copy` (§5.4) and of
/// `Blob/upload` (RFC 9404 §4.1), `send` of `MDN/send` (RFC 9007 §2.1) have none.
#[tokio::test]
async fn what_has_no_default_has_to_be_said() {
    let office = Office::new().await;
    let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
    let inbox = office.store.mailbox(bob, "INBOX").await.unwrap().unwrap().id;
    let rights = wire::imap::acl::Rights::from_letters(b"lr").unwrap();
    office.store.acl_change(bob, inbox, "ann@here.test", store::AclChange::Replace(rights.bits())).await.unwrap();
    for (method, arguments) in
        [("Email/copy", json!({"fromAccountId": "A2"})), ("Blob/upload", json!({})), ("MDN/send", json!({"identityId": "main"}))]
    {
        assert_eq!(office.fails(method, arguments).await, "invalidArguments", "{method}");
    }
    // PatchObjects and what is to be created are objects.
    for arguments in [json!({"create": {"p": 1}}), json!({"update": {"p": "x"}})] {
        let answers = office.calls(json!([["PushSubscription/set", arguments, "c"]])).await;
        assert_eq!(answers[0].1["type"], "invalidArguments", "{arguments}: {}", answers[0].1);
    }
}

/// RFC 8621 §7.5: `onSuccessUpdateEmail` is "Id[PatchObject]", and what it is told of is known before anything is sent (RFC 8620
/// §3.6.2: "the externally visible state of the server MUST NOT have changed if an error is returned at the method level").
#[tokio::test]
async fn what_is_asked_for_on_success_is_looked_at_before_it_is_sent() {
    let office = Office::new().await;
    let email = letter(&office).await;
    let set = json!({"create": {"s": {"identityId": "main", "emailId": email}}, "onSuccessUpdateEmail": {"#s": 5}});
    assert_eq!(office.fails("EmailSubmission/set", set).await, "invalidArguments");
    assert!(office.doors.sent.lock().unwrap().is_empty());
    // One email that is sent twice: "a single implicit Email/set call MUST be made to perform any changes requested".
    let new = json!({"identityId": "main", "emailId": email});
    let patches = json!({"#a": {"keywords/$seen": true}, "#b": {"keywords/$flagged": true}});
    let twice = json!({"accountId": "A1", "create": {"a": new, "b": new}, "onSuccessUpdateEmail": patches});
    let answers = office.calls(json!([["EmailSubmission/set", twice, "0"]])).await;
    assert_eq!((answers.len(), &answers[1].1["updated"]), (2, &json!({&email: null})));
    let got = office.call("Email/get", json!({"ids": [email], "properties": ["keywords"]})).await;
    assert_eq!(got["list"][0]["keywords"], json!({"$seen": true, "$flagged": true}));
    // What an earlier call created goes by its creation id there, too.
    let id = office.account_id();
    let back = json!({"accountId": id, "update": {"#s": {"undoStatus": "canceled"}}, "onSuccessUpdateEmail": {"#s": {"keywords/$draft": true}}});
    let gone = json!({"accountId": id, "destroy": ["#s"], "onSuccessDestroyEmail": ["#s", "#none"]});
    let answers = office
        .calls(json!([
            ["EmailSubmission/set", {"accountId": id, "create": {"s": held(&email)}}, "0"],
            ["EmailSubmission/set", back, "1"],
            ["EmailSubmission/set", gone, "2"],
        ]))
        .await;
    let names: Vec<&str> = answers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["EmailSubmission/set", "EmailSubmission/set", "Email/set", "EmailSubmission/set", "Email/set"]);
    assert_eq!((&answers[2].1["updated"], &answers[4].1["destroyed"]), (&json!({&email: null}), &json!([email])));
}

/// RFC 8620 §5.3: "an entire Foo object is also a valid PatchObject", of a submission and of a push subscription, too; `created` has
/// "any properties of the created Foo object that were not sent by the client".
#[tokio::test]
async fn a_submission_is_told_whole_and_said_again_as_it_is() {
    let office = Office::new().await;
    let email = letter(&office).await;
    let made = office.call("EmailSubmission/set", json!({"create": {"s": held(&email)}})).await["created"]["s"].clone();
    let id = made["id"].as_str().unwrap().to_owned();
    let get = async || office.call("EmailSubmission/get", json!({"ids": [id]})).await["list"][0].clone();
    let mut whole = get().await;
    let mut told = made.clone();
    for said in ["identityId", "emailId", "envelope"] {
        assert!(told.get(said).is_none(), "{made}");
        told[said] = whole[said].clone();
    }
    assert_eq!(told, whole);
    assert_eq!(whole["deliveryStatus"]["carol@far.test"]["delivered"], "queued");
    let set = async |patch: Value| {
        let done = office.call("EmailSubmission/set", json!({"update": {&id: patch}})).await;
        (done["updated"].clone(), done["notUpdated"][&id].clone())
    };
    let done = (json!({&id: null}), Value::Null);
    assert_eq!(set(json!({})).await, done);
    assert_eq!(set(whole.clone()).await, done);
    assert_eq!(set(json!({"undoStatus": "pending"})).await, done);
    assert_eq!(get().await["undoStatus"], "pending");
    let wrong = set(json!({"sendAt": "2027-01-01T00:00:00Z", "threadId": "x", "nonsense": 1})).await.1;
    assert_eq!((&wrong["type"], &wrong["properties"]), (&json!("invalidProperties"), &json!(["nonsense", "sendAt", "threadId"])));
    assert_eq!(set(json!({"undoStatus/x": 1})).await.1["type"], "invalidPatch");
    whole["undoStatus"] = json!("canceled");
    assert_eq!(set(whole).await, done);
    assert_eq!(get().await["undoStatus"], "canceled");
    assert_eq!(set(json!({"undoStatus": "canceled"})).await, done, "it is what it is");
    // Without an envelope the one that was made is told; with null as well.
    for none in
        [json!({"identityId": "main", "emailId": email}), json!({"identityId": "main", "emailId": email, "envelope": null})]
    {
        let made = office.call("EmailSubmission/set", json!({"create": {"s": none}})).await["created"]["s"].clone();
        assert_eq!(made["envelope"]["rcptTo"], json!([{"email": "bob@here.test", "parameters": null}]), "{made}");
        assert_eq!((&made["dsnBlobIds"], &made["mdnBlobIds"], &made["undoStatus"]), (&json!([]), &json!([]), &json!("final")));
    }
    let new = json!({"deviceClientId": "phone", "url": "https://push.test/1"});
    let push = async |arguments: Value| office.calls(json!([["PushSubscription/set", arguments, "c"]])).await.remove(0).1;
    let made = push(json!({"create": {"p": new}})).await["created"]["p"]["id"].as_str().unwrap().to_owned();
    let whole = office.calls(json!([["PushSubscription/get", {"ids": [made]}, "c"]])).await[0].1["list"][0].clone();
    assert_eq!(whole["verificationCode"], Value::Null);
    let again = push(json!({"update": {&made: whole}})).await;
    assert_eq!((again["updated"].get(&made).is_some(), &again["notUpdated"]), (true, &Value::Null), "{again}");
}

/// RFC 8620 §5.3: "The SetError object SHOULD also have a property called `properties` [...] that lists **all** the properties that
/// were invalid"; RFC 8621 §4.6: `notFound` has "every blobId", each once.
#[tokio::test]
async fn all_properties_that_are_wrong_are_named() {
    let office = Office::new().await;
    let email = letter(&office).await;
    let (drafts, archive) = (office.mailbox_id("Drafts").await, office.mailbox_id("Archive").await);
    let odd = |mut object: Value| {
        object.as_object_mut().unwrap().extend([("odd".to_owned(), json!(1)), ("strange".to_owned(), json!(2))]);
        object
    };
    let in_drafts = json!({"mailboxIds": {&drafts: true}});
    let mut import = in_drafts.clone();
    import["blobId"] = json!(email);
    for (method, map, object) in [
        ("Email/set", "create", in_drafts.clone()),
        ("Email/import", "emails", import),
        ("Mailbox/set", "create", json!({"name": "x"})),
        ("Identity/set", "create", json!({"email": "ann@here.test"})),
        ("EmailSubmission/set", "create", json!({"identityId": "main", "emailId": email})),
    ] {
        let told = office.call(method, json!({map: {"c": odd(object)}})).await;
        assert_eq!(told["notCreated"]["c"]["properties"], json!(["odd", "strange"]), "{method}: {told}");
    }
    for (method, id) in [
        ("Email/set", email.as_str()),
        ("Mailbox/set", &archive),
        ("Identity/set", "main"),
        ("VacationResponse/set", "singleton"),
    ] {
        let told = office.call(method, json!({"update": {id: odd(json!({}))}})).await;
        assert_eq!(told["notUpdated"][id]["properties"], json!(["odd", "strange"]), "{method}: {told}");
    }
    let away = json!({"update": {"singleton": {"isEnabled": 1, "subject": 2, "textBody": "x"}}});
    let told = office.call("VacationResponse/set", away).await;
    assert_eq!(told["notUpdated"]["singleton"]["properties"], json!(["isEnabled", "subject"]));
    let mut blobs = in_drafts;
    blobs["attachments"] = json!([{"blobId": "U1"}, {"blobId": "U2"}, {"blobId": "U1"}]);
    let told = office.call("Email/set", json!({"create": {"e": blobs}})).await;
    assert_eq!(told["notCreated"]["e"], json!({"type": "blobNotFound", "notFound": ["U1", "U2"]}));
    for (body, kind) in [("textBody", "text/html"), ("htmlBody", "text/plain")] {
        let new =
            json!({"mailboxIds": {&drafts: true}, body: [{"partId": "p", "type": kind}], "bodyValues": {"p": {"value": "x"}}});
        let told = office.call("Email/set", json!({"create": {"e": new}})).await;
        assert_eq!(told["notCreated"]["e"]["properties"], json!([body]), "{told}");
    }
    for (identity, email, missing) in [
        ("nobody", "Mnone", json!(["identityId", "emailId"])),
        ("main", "Mnone", json!(["emailId"])),
        ("nobody", email.as_str(), json!(["identityId"])),
        ("#nobody", "#nothing", json!(["identityId", "emailId"])),
    ] {
        let new = json!({"create": {"s": {"identityId": identity, "emailId": email}}});
        let told = office.call("EmailSubmission/set", new).await;
        assert_eq!(told["notCreated"]["s"]["properties"], missing, "{identity} {email}: {told}");
    }
}

/// RFC 8621 §4.1.4, `cid`: "CFWS and surrounding angle brackets are removed"; §5: "If text from the filter matches the subject".
#[tokio::test]
async fn comments_are_no_part_of_an_id_and_the_subject_is_a_field() {
    let office = Office::new().await;
    for (field, cid) in [
        ("(of a picture) <a@b> (yes)", json!("a@b")),
        ("<a@b>", json!("a@b")),
        ("a@b", json!("a@b")),
        ("\r\n <a@b>", json!("a@b")),
        ("<>", Value::Null),
    ] {
        office.put("INBOX", &format!("Subject: A Boat\r\nContent-ID: {field}\r\n\r\nx"), NOW, 0).await;
        let id = office.ids("INBOX").await.remove(0);
        let asked = json!({"ids": [id], "properties": ["bodyStructure"], "bodyProperties": ["cid"]});
        assert_eq!(office.call("Email/get", asked).await["list"][0]["bodyStructure"]["cid"], cid, "{field}");
        office.call("Email/set", json!({"destroy": [id]})).await;
    }
    office.put("INBOX", "Subject: A Boat\r\n\r\nx", NOW, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    for (filter, subject) in [
        (json!({"header": ["subject", "boat"]}), json!("A <mark>Boat</mark>")),
        (json!({"header": ["X-Boat", "boat"]}), Value::Null),
        (json!({"header": ["subject"]}), Value::Null),
    ] {
        let told = office.call("SearchSnippet/get", json!({"emailIds": [id], "filter": filter})).await;
        assert_eq!(told["list"][0]["subject"], subject, "{filter}");
    }
}

/// RFC 8621 §4.2: "If true, the bodyValues property includes any text/* part in the bodyStructure property", and those of a message
/// that is attached are none of it.
#[tokio::test]
async fn values_are_of_parts_of_the_structure() {
    let office = Office::new().await;
    let inner = "From: a@b\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\ninner\r\n--i\r\nContent-Type: text/html\r\n\r\n<p>\r\n--i--\r\n";
    let message = format!(
        "From: a@b\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nouter\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n\
         --o\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nFrom: c@d\r\n\r\nin the digest\r\n--d--\r\n--o\r\n\
         Content-Type: text/csv\r\nContent-Disposition: attachment\r\n\r\na;b\r\n--o--\r\n"
    );
    office.put("INBOX", &message, NOW, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    let asked = json!({"properties": ["bodyValues"], "fetchAllBodyValues": true});
    let texts = |email: &Value| -> Vec<String> {
        email["bodyValues"].as_object().unwrap().values().map(|one| one["value"].as_str().unwrap().to_owned()).collect()
    };
    let mut of_email = asked.clone();
    of_email["ids"] = json!([id]);
    assert_eq!(texts(&office.call("Email/get", of_email).await["list"][0]), ["outer", "a;b"]);
    let mut of_blob = asked;
    of_blob["blobIds"] = json!([id]);
    assert_eq!(texts(&office.call("Email/parse", of_blob).await["parsed"][&id]), ["outer", "a;b"]);
}

/// RFC 8620 §5.5: "if a greater value is given (or if it is null), the limit is clamped to the maximum; the new limit is returned with
/// the response"; §1.3: an UnsignedInt is less than 2^53.
#[tokio::test]
async fn a_limit_of_the_server_is_told() {
    let office = Office::new().await;
    letter(&office).await;
    for method in ["Email/query", "Mailbox/query", "EmailSubmission/query", "Quota/query"] {
        let limit = async |asked: Value| office.call(method, json!({"limit": asked})).await.get("limit").cloned();
        assert_eq!(limit(json!(3)).await, None, "{method}");
        let most = limit(Value::Null).await.unwrap();
        assert_eq!(limit(json!(most.as_u64().unwrap() + 1)).await, Some(most.clone()), "{method}");
        assert_eq!(limit(most).await, None, "{method}");
    }
    for (name, number, is_good) in [("minSize", (1u64 << 53) - 1, true), ("minSize", 1 << 53, false), ("maxSize", 1 << 53, false)]
    {
        let (_, answer) = office.call_any("Email/query", json!({"filter": {name: number}})).await;
        let error = if is_good { Value::Null } else { json!("invalidArguments") };
        assert_eq!(answer["type"], error, "{name} {number}");
    }
}

/// RFC 8620 §7.3: "the server MUST send an event called ping whenever this time elapses since the previous event was sent", however
/// much happens that this stream is not told of.
#[tokio::test]
async fn a_stream_is_pinged_while_others_are_told() {
    let office = Office::new().await;
    let mut stream = office.connect("127.0.0.1", false);
    let basic = Office::basic("ann@here.test", "pw");
    let head = format!("GET /jmap/eventsource/?types=Identity&ping=5 HTTP/1.1\r\nHost: here.test\r\n{basic}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (begun, mut heard, mut buffer) = (Instant::now(), String::new(), [0u8; 4096]);
    while !heard.contains("event: ping\ndata: {\"interval\":5}\n") {
        assert!(begun.elapsed() < Duration::from_secs(30), "{heard}");
        office.put("INBOX", LETTER, NOW, 0).await;
        if let Ok(octets) = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut buffer)).await {
            heard.push_str(&String::from_utf8_lossy(&buffer[..octets.unwrap()]));
        }
    }
    assert!(begun.elapsed() >= Duration::from_secs(5) && !heard.contains("event: state"), "{heard}");
}
