//! Messages are made, moved, sent and taken back; what was uploaded becomes part of them; changes are pushed.

use crate::office::{NOW, Office, read_answer};
use serde_json::{Value, json};
use store::{Flags, Uid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn uploaded(office: &Office, octets: &[u8]) -> Value {
    let head = format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{}Content-Type: image/png\r\n", Office::basic("ann@here.test", "pw"));
    let answer = office.ask(&head, octets).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()
}

async fn download(office: &Office, blob: &str, more: &str) -> crate::office::Answer {
    let head = format!("GET /jmap/download/A1/{blob}/a%20b.png{more} HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    office.ask(&head, b"").await
}

/// Large blobs are read in pieces: what came out is the octets that went in, and its length is told first, also of what is encoded.
#[tokio::test]
async fn what_is_large_comes_back_as_it_was() {
    let office = Office::new().await;
    let octets: Vec<u8> = (0..1_500_001u32).flat_map(|n| u8::try_from(n * 31 % 251)).collect();
    let picture = uploaded(&office, &octets).await;
    let back = download(&office, picture["blobId"].as_str().unwrap(), "").await;
    assert_eq!((back.status, back.headers["content-length"].as_str()), (200, "1500001"));
    assert!(back.body == octets);
    let drafts = office.mailbox_id("Drafts").await;
    let draft = json!({
        "mailboxIds": {&drafts: true}, "subject": "Large", "bodyValues": {"t": {"value": "See"}},
        "textBody": [{"partId": "t", "type": "text/plain"}],
        "attachments": [{"blobId": picture["blobId"], "type": "image/png", "name": "large.png"}],
    });
    let set = office.call("Email/set", json!({"create": {"d": draft}})).await;
    let id = &set["created"]["d"]["id"];
    let got =
        office.call("Email/get", json!({"ids": [id], "properties": ["attachments", "blobId", "size"]})).await["list"][0].clone();
    let part = download(&office, got["attachments"][0]["blobId"].as_str().unwrap(), "").await;
    assert_eq!((part.status, part.headers["content-length"].as_str()), (200, "1500001"));
    assert!(part.body == octets);
    let whole = download(&office, got["blobId"].as_str().unwrap(), "").await;
    let size = got["size"].as_u64().unwrap();
    assert_eq!((whole.status, whole.headers["content-length"].as_str()), (200, size.to_string().as_str()));
    assert_eq!(whole.body.len() as u64, size);
    assert_eq!(message::parse(&whole.body).parts.iter().filter(|part| part.content().as_ref() == octets).count(), 1);
    // There is no such part, and no such message.
    let none = got["attachments"][0]["blobId"].as_str().unwrap().rsplit_once('-').unwrap().0;
    assert_eq!(download(&office, &format!("{none}-99"), "").await.status, 404);
}

#[tokio::test]
async fn a_draft_with_a_picture_is_made_and_read_back() {
    let office = Office::new().await;
    let picture = uploaded(&office, b"\x89PNG not really\x00\xff").await;
    assert_eq!((picture["size"].as_u64(), picture["type"].as_str()), (Some(17), Some("image/png")));
    let drafts = office.mailbox_id("Drafts").await;
    let draft = json!({
        "mailboxIds": {&drafts: true}, "keywords": {"$draft": true, "$seen": true, "Work": true},
        "from": [{"name": "Ann Lee", "email": "ann@here.test"}], "to": [{"name": "Zoë, B.", "email": "zoe@there.test"}],
        "subject": "Grüße vom Boot", "inReplyTo": ["1@there.test"], "header:X-Thing:asText": "thing",
        "bodyValues": {"t": {"value": "Hello\nGrüße"}, "h": {"value": "<b>Hello</b> <img src=\"cid:p1\">"}},
        "textBody": [{"partId": "t", "type": "text/plain"}], "htmlBody": [{"partId": "h", "type": "text/html"}],
        "attachments": [
            {"blobId": picture["blobId"], "type": "image/png", "cid": "p1", "disposition": "inline"},
            {"blobId": picture["blobId"], "type": "image/png", "name": "böot.png"},
        ],
    });
    let set = office.call("Email/set", json!({"create": {"d": draft}})).await;
    let made = &set["created"]["d"];
    assert!(made["id"].is_string() && made["threadId"].is_string(), "{set}");
    let got = office.call("Email/get", json!({"ids": [made["id"]], "fetchAllBodyValues": true})).await["list"][0].clone();
    assert_eq!(
        (got["subject"].as_str(), &got["to"]),
        (Some("Grüße vom Boot"), &json!([{"name": "Zoë, B.", "email": "zoe@there.test"}]))
    );
    assert_eq!(
        (&got["keywords"], &got["mailboxIds"]),
        (&json!({"$draft": true, "$seen": true, "work": true}), &json!({&drafts: true}))
    );
    let text = got["textBody"][0]["partId"].as_str().unwrap();
    assert_eq!(got["bodyValues"][text]["value"], "Hello\nGrüße");
    assert_eq!(got["hasAttachment"], true);
    let attachments = got["attachments"].as_array().unwrap();
    assert_eq!(attachments.len(), 2);
    assert_eq!((attachments[0]["cid"].as_str(), attachments[1]["name"].as_str()), (Some("p1"), Some("böot.png")));
    // The same octets come out, and run nowhere.
    let back = download(&office, attachments[1]["blobId"].as_str().unwrap(), "?type=image/png").await;
    assert_eq!((back.status, back.body.as_ref()), (200, b"\x89PNG not really\x00\xff".as_slice()));
    assert_eq!(back.headers["content-type"], "image/png");
    assert_eq!(back.headers["content-security-policy"], "sandbox; default-src 'none'");
    assert_eq!(back.headers["content-disposition"], "attachment; filename*=UTF-8''a%20b.png");
    let whole = download(&office, got["blobId"].as_str().unwrap(), "").await;
    assert_eq!(whole.body.len() as u64, got["size"].as_u64().unwrap());
    assert_eq!(download(&office, "Unothing", "").await.status, 404);
    // A message inside a message, parsed.
    let parsed = office
        .call("Email/parse", json!({"blobIds": [got["blobId"], "Unothing"], "properties": ["subject", "size", "id"]}))
        .await;
    assert_eq!(parsed["parsed"][got["blobId"].as_str().unwrap()]["subject"], "Grüße vom Boot");
    assert_eq!(parsed["notFound"], json!(["Unothing"]));
}

#[tokio::test]
async fn nothing_a_client_says_ends_a_field() {
    let office = Office::new().await;
    let drafts = office.mailbox_id("Drafts").await;
    let create = async |more: Value| {
        let mut draft =
            json!({"mailboxIds": {&drafts: true}, "bodyValues": {"t": {"value": "x"}}, "textBody": [{"partId": "t"}]});
        more.as_object().unwrap().iter().for_each(|(name, value)| draft[name] = value.clone());
        let set = office.call("Email/set", json!({"create": {"d": draft}})).await;
        let kind = set["notCreated"]["d"]["type"].as_str().map(str::to_owned);
        (set["created"]["d"]["id"].clone(), kind)
    };
    for wrong in [
        json!({"header:X": "a\r\nBcc: evil@x"}),
        json!({"header:X": "a\nBcc: evil@x"}),
        json!({"from": [{"email": "a@b>\r\nBcc: c@d"}]}),
        json!({"messageId": ["a>\r\nX: y"]}),
        json!({"sentAt": "yesterday"}),
        json!({"nonsense": 1}),
        json!({"header:Content-Type": "text/html"}),
        json!({"mailboxIds": {}}),
        json!({"mailboxIds": {"F1-99": true}}),
        json!({"keywords": {"a b": true}}),
        json!({"keywords": {"$seen": false}}),
        json!({"textBody": [{"partId": "missing"}]}),
    ] {
        assert_eq!(create(wrong.clone()).await.1.as_deref(), Some("invalidProperties"), "{wrong}");
    }
    assert_eq!(create(json!({"attachments": [{"blobId": "Unothing"}]})).await.1.as_deref(), Some("blobNotFound"));
    let (id, _) = create(json!({"subject": "a\r\nBcc: evil@x", "to": [{"name": "x\r\nBcc: e@x", "email": "a@b"}]})).await;
    let got = office.call("Email/get", json!({"ids": [id], "properties": ["bcc", "subject"]})).await;
    assert_eq!(got["list"][0]["bcc"], Value::Null);
}

#[tokio::test]
async fn patches_move_mark_and_remove_and_imap_sees_it() {
    let office = Office::new().await;
    for number in 0..3 {
        office.put("INBOX", &format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nx\r\n"), NOW + number, 0).await;
    }
    let ids = office.ids("INBOX").await;
    let (inbox, archive) = (office.mailbox_id("INBOX").await, office.mailbox_id("Archive").await);
    let update = json!({
        &ids[0]: {"keywords/$seen": true, "keywords/$flagged": true, format!("mailboxIds/{archive}"): true},
        &ids[1]: {"mailboxIds": {&archive: true}, "keywords": {"$answered": true}},
        "M1-1": {"keywords/$seen": true},
    });
    let set = office.call("Email/set", json!({"update": update, "destroy": [ids[2], "M2-2"]})).await;
    assert_eq!((&set["updated"], &set["destroyed"]), (&json!({&ids[0]: null, &ids[1]: null}), &json!([ids[2]])));
    assert_eq!(
        (&set["notUpdated"]["M1-1"]["type"], &set["notDestroyed"]["M2-2"]["type"]),
        (&json!("notFound"), &json!("notFound"))
    );
    let rows = |rows: &store::Rows| rows.iter().map(|row| (row.uid, row.flags.system)).collect::<Vec<_>>();
    let there = office.store.snapshot(office.ann, office.mailbox("INBOX").await).await.unwrap();
    assert_eq!(rows(&there.rows), [(Uid(3), Flags::SEEN | Flags::FLAGGED)]);
    let archived = office.store.snapshot(office.ann, office.mailbox("Archive").await).await.unwrap();
    assert_eq!(archived.rows.len(), 2);
    let got = office.call("Email/get", json!({"ids": [ids[0]], "properties": ["mailboxIds"]})).await;
    assert_eq!(got["list"][0]["mailboxIds"], json!({&inbox: true, &archive: true}));
    assert_eq!(office.store.undo_list(office.ann, 9).await.unwrap().len(), 1);
    for (patch, kind) in [
        (json!({"subject": "x"}), "invalidProperties"),
        (json!({format!("mailboxIds/{inbox}"): null, format!("mailboxIds/{archive}"): null}), "invalidProperties"),
        (json!({"keywords": {}, "keywords/$seen": true}), "invalidPatch"),
    ] {
        let set = office.call("Email/set", json!({"update": {&ids[0]: patch}})).await;
        assert_eq!(set["notUpdated"][&ids[0]]["type"], kind, "{patch}");
    }
    // Uploaded and imported, as IMAP's APPEND would.
    let blob = uploaded(&office, b"Subject: imported\r\n\r\nhello\r\n").await;
    let import =
        json!({"emails": {"i": {"blobId": blob["blobId"], "mailboxIds": {&inbox: true}, "receivedAt": "2020-01-01T00:00:00Z"}}});
    let imported = office.call("Email/import", import).await;
    let got =
        office.call("Email/get", json!({"ids": [imported["created"]["i"]["id"]], "properties": ["subject", "receivedAt"]})).await;
    assert_eq!(
        (got["list"][0]["subject"].as_str(), got["list"][0]["receivedAt"].as_str()),
        (Some("imported"), Some("2020-01-01T00:00:00Z"))
    );
    assert_eq!(office.fails("Email/copy", json!({"fromAccountId": "A9", "create": {}})).await, "fromAccountNotFound");
}

#[tokio::test]
async fn a_draft_is_sent_and_filed() {
    let office = Office::new().await;
    let identities = office.call("Identity/get", json!({})).await;
    assert_eq!(
        (identities["list"][0]["id"].as_str(), identities["list"][0]["email"].as_str()),
        (Some("main"), Some("ann@here.test"))
    );
    let renamed = office
        .call("Identity/set", json!({"update": {"main": {"name": "Ann Lee"}}, "create": {"x": {"email": "bob@here.test"}}}))
        .await;
    assert_eq!((&renamed["updated"], &renamed["notCreated"]["x"]["type"]), (&json!({"main": null}), &json!("forbiddenFrom")));
    let (drafts, sent) = (office.mailbox_id("Drafts").await, office.mailbox_id("Sent").await);
    let id = office.account_id();
    let later = |secs: &str| json!({"mailFrom": {"email": "ann@here.test", "parameters": {"HOLDFOR": secs}}, "rcptTo": [{"email": "bob@here.test"}]});
    let draft = json!({
        "mailboxIds": {&drafts: true}, "keywords": {"$draft": true}, "from": [{"email": "ann@here.test"}],
        "to": [{"email": "bob@here.test"}], "cc": [{"email": "Bob@here.test"}, {"email": "carol@there.test"}],
        "bodyValues": {"t": {"value": "x"}}, "textBody": [{"partId": "t"}],
    });
    let answers = office
        .calls(json!([
            ["Email/set", {"accountId": id, "create": {"d": draft}}, "0"],
            ["EmailSubmission/set", {"accountId": id, "create": {"s": {"identityId": "main", "emailId": "#d"}},
                "onSuccessUpdateEmail": {"#s": {format!("mailboxIds/{drafts}"): null, format!("mailboxIds/{sent}"): true, "keywords/$draft": null}}}, "1"],
        ]))
        .await;
    assert_eq!(answers[1].1["created"]["s"]["undoStatus"], "final", "{}", answers[1].1);
    assert_eq!(answers[2].0, "Email/set");
    {
        let out = office.doors.sent.lock().unwrap();
        let to: Vec<&str> = out[0].recipients.iter().map(|one| one.address.as_str()).collect();
        assert_eq!(
            (out[0].reverse_path.as_str(), to, out[0].hold_until_secs),
            ("ann@here.test", vec!["Bob@here.test", "carol@there.test"], None)
        );
    }
    let email = answers[0].1["created"]["d"]["id"].clone();
    let got = office.call("Email/get", json!({"ids": [email], "properties": ["mailboxIds", "keywords"]})).await;
    assert_eq!((&got["list"][0]["mailboxIds"], &got["list"][0]["keywords"]), (&json!({&sent: true}), &json!({})));
    let all = office.call("EmailSubmission/get", json!({})).await;
    assert_eq!(all["list"][0]["deliveryStatus"]["carol@there.test"]["delivered"], "yes");
    let found = office.call("EmailSubmission/query", json!({"filter": {"emailIds": [email]}})).await;
    assert_eq!(found["ids"].as_array().unwrap().len(), 1);
    // Held, within bounds.
    let hold = async |secs: &str| {
        let create = json!({"create": {"s": {"identityId": "main", "emailId": email, "envelope": later(secs)}}});
        office.call("EmailSubmission/set", create).await
    };
    hold("60").await;
    assert!(office.doors.sent.lock().unwrap()[1].hold_until_secs.is_some());
    assert_eq!(hold("99999999").await["notCreated"]["s"]["type"], "invalidProperties");
    let none = json!({"create": {"s": {"identityId": "nobody", "emailId": email}}});
    assert_eq!(office.call("EmailSubmission/set", none).await["notCreated"]["s"]["properties"], json!(["identityId"]));
}

#[tokio::test]
async fn words_that_were_looked_for_are_marked_and_the_quota_told() {
    let office = Office::new().await;
    office.put("INBOX", "Subject: Boats & more\r\n\r\nCheap <boats> today\r\n", NOW, 0).await;
    let ids = office.ids("INBOX").await;
    let told = office.call("SearchSnippet/get", json!({"filter": {"text": "boats"}, "emailIds": ids})).await;
    assert_eq!(told["list"][0]["subject"], "<mark>Boats</mark> &amp; more");
    assert_eq!(told["list"][0]["preview"], "Cheap &lt;<mark>boats</mark>&gt; today");
    let quota = office.call("Quota/get", json!({})).await;
    assert_eq!((quota["list"][0]["hardLimit"].as_u64(), quota["list"][0]["used"].as_u64()), (Some(100_000_000), Some(46)));
}

/// RFC 9425 §4.3, §4.4.
#[tokio::test]
async fn the_quota_is_found_by_every_filter_and_followed() {
    let office = Office::new().await;
    let query = async |filter: Value| office.call("Quota/query", json!({"filter": filter})).await["ids"].clone();
    for yes in [
        json!({"name": "HERE.test"}),
        json!({"type": "Mail", "scope": "account", "resourceType": "octets"}),
        json!({"operator": "NOT", "conditions": [{"scope": "domain"}]}),
        json!({"operator": "OR", "conditions": [{"scope": "domain"}, {"name": "ann"}]}),
    ] {
        assert_eq!(query(yes.clone()).await, json!(["octets"]), "{yes}");
    }
    for no in [json!({"name": "bob"}), json!({"operator": "AND", "conditions": [{"name": "ann"}, {"type": "Calendar"}]})] {
        assert_eq!(query(no.clone()).await, json!([]), "{no}");
    }
    for (arguments, error) in [
        (json!({"filter": {"used": 1}}), "unsupportedFilter"),
        (json!({"filter": {"name": 1}}), "invalidArguments"),
        (json!({"filter": 1}), "invalidArguments"),
        (json!({"sort": [{"property": "scope"}]}), "unsupportedSort"),
    ] {
        assert_eq!(office.fails("Quota/query", arguments.clone()).await, error, "{arguments}");
    }
    let sorted = office.call("Quota/query", json!({"sort": [{"property": "used"}, {"property": "name"}]})).await;
    let since = sorted["queryState"].clone();
    let none = office.call("Quota/queryChanges", json!({"sinceQueryState": since})).await;
    assert_eq!((&none["removed"], &none["added"]), (&json!([]), &json!([])));
    office.put("INBOX", "Subject: x\r\n\r\nx\r\n", NOW, 0).await;
    let told = office.call("Quota/queryChanges", json!({"sinceQueryState": since, "calculateTotal": true})).await;
    assert_eq!(told["added"], json!([{"id": "octets", "index": 0}]));
    assert_eq!((&told["removed"], &told["total"]), (&json!(["octets"]), &json!(1)));
    assert_eq!(office.fails("Quota/queryChanges", json!({"sinceQueryState": since, "maxChanges": 1})).await, "tooManyChanges");
}

#[tokio::test]
async fn changes_are_pushed_until_the_sign_in_ends() {
    let office = Office::new().await;
    let mut stream = office.connect("127.0.0.1", false);
    let head = format!(
        "GET /jmap/eventsource/?types=Email,Mailbox&closeafter=no&ping=0 HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\n{}\r\n",
        Office::basic("ann@here.test", "pw")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut got = String::new();
    let mut until = async |word: &str| {
        let mut buffer = [0u8; 4096];
        while !got.contains(word) {
            let octets = stream.read(&mut buffer).await.unwrap();
            assert!(octets > 0, "{got}");
            got.push_str(&String::from_utf8_lossy(&buffer[..octets]));
        }
        std::mem::take(&mut got)
    };
    assert!(until(": hello").await.contains("text/event-stream"));
    office.put("INBOX", "Subject: x\r\n\r\nx\r\n", NOW, 0).await;
    let told = until("\n\n").await;
    assert!(told.contains("event: state") && told.contains("\"@type\":\"StateChange\"") && !told.contains("Thread"), "{told}");
    office.store.account_suspend(office.ann, true).await.unwrap();
    let mut rest = Vec::new();
    stream.write_all(b"").await.unwrap();
    let _ = stream.read_to_end(&mut rest).await;
    // One that closes after the first change, and one that asks what it missed.
    office.store.account_suspend(office.ann, false).await.unwrap();
    let mut stream = office.connect("127.0.0.1", false);
    let head = format!(
        "GET /jmap/eventsource/?types=*&closeafter=state&ping=0 HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\nLast-Event-ID: 1\r\n{}\r\n",
        Office::basic("ann@here.test", "pw")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("EmailDelivery"));
}

/// RFC 8621 §4.6, what a new Email may say and what not: "Creation attempts that violate any of this SHOULD be rejected with an
/// invalidProperties error".
#[tokio::test]
async fn a_new_email_says_each_thing_once_and_in_its_place() {
    let office = Office::new().await;
    let drafts = office.mailbox_id("Drafts").await;
    let create = async |more: Value| {
        let mut draft = json!({"mailboxIds": {&drafts: true}, "bodyValues": {"t": {"value": "x"}, "h": {"value": "<p>y"}}});
        draft.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let set = office.call("Email/set", json!({"create": {"d": draft}})).await;
        let kind = set["notCreated"]["d"]["type"].as_str().unwrap_or_default().to_owned();
        (set["created"]["d"]["id"].clone(), kind)
    };
    let blob = uploaded(&office, b"octets").await["blobId"].clone();
    let part = |more: Value| {
        let mut part = json!({"partId": "t"});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"bodyStructure": part})
    };
    let both = |mut one: Value, name: &str, value: Value| {
        one[name] = value;
        one
    };
    for wrong in [
        json!({"headers": [{"name": "X", "value": "y"}]}),
        part(json!({"headers": []})),
        part(json!({"nonsense": 1})),
        part(json!({"blobId": blob})),
        part(json!({"charset": "utf-8"})),
        part(json!({"size": 1})),
        part(json!({"subParts": [{"partId": "h"}]})),
        part(json!({"header:Content-Transfer-Encoding": "8bit"})),
        part(json!({"type": "text/plain", "header:Content-Type": "text/plain"})),
        part(json!({"header:Content-Type": "no type"})),
        part(json!({"header:Content-Type": "text/plain\r\nBcc: evil@x"})),
        part(json!({"cid": "a@b", "header:Content-ID": "<c@d>"})),
        part(json!({"language": ["en"], "header:Content-Language:asText": "de"})),
        part(json!({"language": "en"})),
        part(json!({"header:X-A": "1", "header:x-a:asText": "2"})),
        part(json!({"location": "a b"})),
        json!({"from": [{"email": "ann@here.test"}], "header:From": "ann@here.test"}),
        both(part(json!({"header:Subject": "a"})), "subject", json!("b")),
        both(part(json!({})), "textBody", json!([{"partId": "t"}])),
        json!({"textBody": [{"partId": "t"}, {"partId": "h"}]}),
        json!({"textBody": [{"partId": "t", "type": "text/html"}]}),
        json!({"htmlBody": [{"partId": "h", "header:Content-Type": "text/plain"}]}),
        both(part(json!({})), "bodyValues", json!({"t": {"value": "x", "isTruncated": true}})),
        both(part(json!({})), "bodyValues", json!({"t": {"value": "x", "isEncodingProblem": true}})),
    ] {
        assert_eq!(create(wrong.clone()).await.1, "invalidProperties", "{wrong}");
    }
    let source = async |more: Value| {
        let (id, kind) = create(more.clone()).await;
        assert_eq!(kind, "", "{more}");
        String::from_utf8(download(&office, id.as_str().unwrap(), "").await.body.to_vec()).unwrap()
    };
    // A type may be said as a whole field; what the server says itself of it stays the server's.
    let flowed = json!({"header:Content-Type": " text/plain; format=flowed; charset=latin1; boundary=zz", "location": "http://x/y",
        "language": ["de", "en"], "header:Content-ID": "<a@b>", "header:X-A:all": ["1", "2"]});
    let text = source(part(flowed)).await;
    for line in [
        "Content-Type: text/plain; charset=utf-8;\r\n format=flowed\r\n",
        "Content-Location: http://x/y\r\n",
        "Content-Language: de, en\r\n",
        "Content-ID: <a@b>\r\n",
        "X-A: 1\r\nX-A: 2\r\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert!(!text.contains("latin1") && !text.contains("zz"), "{text}");
    let signed = json!({"bodyStructure": {"header:Content-Type": "multipart/signed; micalg=pgp-sha512; protocol=\"application/pgp-signature\"",
        "subParts": [{"partId": "t"}, {"blobId": blob, "type": "application/pgp-signature"}]}});
    let text = source(signed).await;
    assert!(text.contains("Content-Type: multipart/signed; boundary=\"=_") && text.contains("micalg=pgp-sha512"), "{text}");
    assert_eq!(message::parse(text.as_bytes()).root().children.len(), 2);
    // "If not included, the server MUST generate and set a Message-ID header field [...] and a Date header field"; once.
    let once = async |more: Value| {
        let text = source(more).await.to_ascii_lowercase();
        ["message-id:", "date:", "mime-version:"].map(|name| text.matches(name).count())
    };
    assert_eq!(once(both(part(json!({})), "messageId", Value::Null)).await, [1, 1, 1]);
    assert_eq!(once(json!({"messageId": [], "sentAt": null})).await, [1, 1, 1]);
    let in_body = json!({"header:Message-ID:asMessageIds": ["a@b"], "header:Date": "Thu, 30 Oct 2014 06:12:00 +0100", "header:MIME-Version": "1.0"});
    assert_eq!(once(part(in_body)).await, [1, 1, 1]);
}

/// RFC 9404 §4.1: a blob made in the same request is named by its creation id; RFC 8621 §4.1.1 and RFC 8620 §5.3: values of keywords
/// are true, and null is the default.
#[tokio::test]
async fn what_was_just_uploaded_is_attached_and_keywords_are_true() {
    let office = Office::new().await;
    let (id, drafts) = (office.account_id(), office.mailbox_id("Drafts").await);
    let create = |blob: &str| {
        json!({"accountId": id, "create": {"d": {"mailboxIds": {&drafts: true}, "keywords": {"$draft": true, "a": true},
        "attachments": [{"blobId": blob, "type": "text/csv", "name": "a.csv"}]}}})
    };
    let calls = json!([
        ["Blob/upload", {"accountId": id, "create": {"b": {"data": [{"data:asText": "Subject: 1,2\r\n\r\nx"}], "type": "text/csv"}}}, "0"],
        ["Email/set", create("#b"), "1"], ["Email/set", create("#c"), "2"],
        ["Email/parse", {"accountId": id, "blobIds": ["#b", "#c"], "properties": ["subject", "blobId"]}, "3"],
    ]);
    let answers = office.calls(calls).await;
    let email = answers[1].1["created"]["d"]["id"].as_str().unwrap_or_else(|| panic!("{}", answers[1].1)).to_owned();
    let missing = &answers[2].1["notCreated"]["d"];
    assert_eq!((&missing["type"], &missing["notFound"]), (&json!("blobNotFound"), &json!(["#c"])));
    let parsed = &answers[3].1;
    assert_eq!((&parsed["parsed"]["#b"]["subject"], &parsed["notFound"]), (&json!("1,2"), &json!(["#c"])));
    assert_eq!(parsed["parsed"]["#b"]["blobId"], answers[0].1["created"]["b"]["id"]);
    let update = async |patch: Value| {
        let set = office.call("Email/set", json!({"update": {&email: patch}})).await;
        set["notUpdated"][&email]["type"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(update(json!({"keywords/a": false})).await, "invalidProperties");
    assert_eq!(update(json!({format!("mailboxIds/{drafts}"): false})).await, "invalidProperties");
    assert_eq!(update(json!({"keywords": null})).await, "");
    let got = office.call("Email/get", json!({"ids": [email], "properties": ["keywords"]})).await;
    assert_eq!(got["list"][0]["keywords"], json!({}));
    assert_eq!(office.fails("Email/import", json!({})).await, "invalidArguments");
    let odd = json!({"emails": {"i": {"blobId": email, "mailboxIds": {&drafts: true}, "subject": "x"}}});
    assert_eq!(office.call("Email/import", odd).await["notCreated"]["i"]["properties"], json!(["subject"]));
    for filter in [json!({"nonsense": 1}), json!({"operator": "NOT", "conditions": [{"nonsense": 1}]})] {
        let asked = json!({"filter": filter, "emailIds": []});
        assert_eq!(office.fails("SearchSnippet/get", asked).await, "unsupportedFilter");
    }
}
