//! Who means harm: with an app password that lay in some program, from a page elsewhere, with files that would run in our page,
//! with the ids of somebody else, with requests made to weigh.

use crate::office::{Answer, NOW, Office};
use crate::socket::Socket;
use serde_json::{Value, json};

const OURS: &str = "Origin: http://here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n";

async fn sign_in(office: &Office, who: &str, password: &str, more: &str) -> Answer {
    let body = json!({"address": who, "password": password}).to_string();
    office.ask(&format!("POST /api/sign-in HTTP/1.1\r\n{more}{OURS}"), body.as_bytes()).await
}

async fn cookie(office: &Office) -> String {
    let answer = sign_in(office, "ann@here.test", "pw", "").await;
    format!("Cookie: {}\r\n", answer.headers["set-cookie"].split(';').next().unwrap())
}

/// Ann's, with an app password `app:Phone`; and the field of who signs in with it.
async fn with_phone() -> (Office, String) {
    let office = Office::new().await;
    let account = office.store.account_by_id(office.ann).await.unwrap().unwrap();
    web::Doorkeeper::add_app_password(&*office.doors, &account, "Phone").await.unwrap();
    (office, Office::basic("ann@here.test", "app:Phone"))
}

/// Every path that the router has, with its methods, as it is written there: one that is new is tried as the others are.
fn routes() -> Vec<(&'static str, String)> {
    let written = include_str!("../../src/site.rs").split(".route(\"").skip(1);
    let mut all = Vec::new();
    for one in written {
        let (path, rest) = one.split_once('"').unwrap();
        let handlers = rest.split_once('\n').unwrap().0;
        let path = path.replace("{account}", "A1").replace(['{', '}'], "");
        for (method, word) in [("GET", "get("), ("POST", "post("), ("GET", "any(")] {
            if handlers.contains(word) {
                all.push((method, path.clone()));
            }
        }
    }
    assert!(all.len() > 40, "{all:?}");
    all
}

/// What an account's owner alone sees and changes.
const ITS_OWNERS: &[&str] = &[
    "/api/sessions",
    "/api/sessions/revoke",
    "/api/password",
    "/api/app-passwords",
    "/api/app-passwords/revoke",
    "/api/totp",
    "/api/totp/enrol",
    "/api/totp/confirm",
    "/api/totp/disable",
    "/api/links",
    "/api/links/discover",
    "/api/links/look",
    "/api/links/grants",
    "/api/links/grants/look",
    "/api/links/stop",
    "/api/links/resume",
    "/api/links/remove",
    "/api/wire",
    "/api/profile",
];

/// What mail takes, and what asks nobody who he is.
const OPEN: &[&str] = &[
    "/api/sign-in",
    "/api/sign-out",
    "/api/me",
    "/api/settings-for-programs",
    "/profile/name",
    "/mail/config-v1.1.xml",
    "/.well-known/autoconfig/mail/config-v1.1.xml",
    "/autodiscover/autodiscover.xml",
    "/Autodiscover/Autodiscover.xml",
    "/.well-known/mta-sts.txt",
    "/.well-known/jmap",
    "/jmap/session",
    "/jmap/api",
    "/jmap/upload/A1/",
    "/jmap/download/A1/blob/name",
    "/jmap/eventsource/",
    "/jmap/ws",
    "/api/html/A1/email",
    "/api/picture",
    "/api/largest",
    "/api/export/A1/mailbox",
    "/api/import/A1/mailbox",
    "/api/unsubscribe",
];

#[tokio::test]
async fn an_app_password_opens_no_page() {
    let (office, phone) = with_phone().await;
    let refused = sign_in(&office, "ann@here.test", "app:Phone", "").await;
    assert_eq!((refused.status, &refused.json()["needs"]), (401, &json!("own-password")));
    assert!(!refused.headers.contains_key("set-cookie") && !refused.headers.contains_key("www-authenticate"));
    assert!(office.store.records(office.ann, 1).await.unwrap().is_empty(), "there is no session");
    // A program comes to mail with it.
    let me = office.ask(&format!("GET /api/me HTTP/1.1\r\n{phone}"), b"").await;
    assert_eq!((me.status, me.headers.contains_key("set-cookie")), (200, false));
    assert_eq!(office.ask(&format!("GET /jmap/session HTTP/1.1\r\n{phone}"), b"").await.status, 200);
}

/// Each path is known to be one or the other; and whoever holds the password that was made for a program changes nothing by it
/// that outlives it, and sees nothing of the other devices.
#[tokio::test]
async fn an_app_password_opens_nothing_of_its_owner() {
    let (office, phone) = with_phone().await;
    let own = cookie(&office).await;
    let body = json!({
        "current": "app:Phone", "new": "long enough", "password": "app:Phone", "name": "Phone", "others": true, "id": "x", "code": "000000",
        "address": "ann@old.test", "server": "imap://old.test", "login": "ann", "folders": [], "collect": true,
    });
    let body = body.to_string();
    for (method, path) in routes() {
        let is_own = ITS_OWNERS.contains(&path.as_str());
        assert!(is_own != OPEN.contains(&path.as_str()), "{path}: whose is it?");
        if is_own {
            let head = format!("{method} {path} HTTP/1.1\r\n{phone}Content-Type: application/json\r\n");
            let answer = office.ask(&head, if method == "POST" { body.as_bytes() } else { b"" }).await;
            assert_eq!(answer.status, 403, "{method} {path}");
            assert!(answer.json()["detail"].as_str().unwrap().contains("app password"), "{method} {path}");
        }
    }
    let account = office.store.account_by_id(office.ann).await.unwrap().unwrap();
    assert_eq!((account.app_passwords.len(), account.secrets.argon2.as_str()), (1, ""));
    assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\n{own}"), b"").await.status, 200, "nobody was signed out");
    // The same with the account's own password is another matter.
    let basic = Office::basic("ann@here.test", "pw");
    assert_eq!(office.ask(&format!("GET /api/sessions HTTP/1.1\r\n{basic}"), b"").await.status, 200);
}

/// Where mail goes from now on, and as whom it is sent.
#[tokio::test]
async fn an_app_password_reads_and_sends_but_makes_no_rules() {
    let (office, phone) = with_phone().await;
    office.put("INBOX", "From: bob@here.test\r\nSubject: Lunch\r\n\r\nx", NOW, 0).await;
    let id = office.account_id();
    let rule = json!({"name": "x", "if": [], "then": [{"forwardTo": ["evil@evil.test"]}]});
    let calls = json!([
        ["Email/query", {"accountId": id}, "0"],
        ["Identity/get", {"accountId": id, "ids": null}, "1"],
        ["VacationResponse/get", {"accountId": id, "ids": null}, "2"],
        ["Identity/set", {"accountId": id, "create": {"i": {"name": "x", "email": "ann@here.test", "bcc": [{"email": "evil@evil.test"}]}}}, "3"],
        ["MailRules/set", {"accountId": id, "update": {"singleton": {"rules": [rule]}}}, "4"],
    ]);
    let using = ["core", "mail", "submission", "vacationresponse"].map(|one| format!("urn:ietf:params:jmap:{one}"));
    let mut using = using.to_vec();
    using.push("urn:packetboat:params:jmap:program".into());
    let mut request = json!({"using": using, "methodCalls": calls});
    let names = |answer: &Value| -> Vec<String> {
        let all = answer["methodResponses"].as_array().unwrap().iter();
        all.map(|one| if one[0] == "error" { one[1]["type"].clone() } else { one[0].clone() }.as_str().unwrap().to_owned())
            .collect()
    };
    let wanted = ["Email/query", "Identity/get", "VacationResponse/get", "forbidden", "forbidden"];
    let head = format!("POST /jmap/api HTTP/1.1\r\n{phone}Content-Type: application/json\r\n");
    let answer = office.ask(&head, request.to_string().as_bytes()).await.json();
    assert_eq!(names(&answer), wanted, "{answer}");
    // Nor by the other door.
    let mut socket = Socket::of(&office, &phone).await;
    request["@type"] = json!("Request");
    socket.say(&request.to_string()).await;
    assert_eq!(names(&socket.hear().await.unwrap()), wanted);
    let identities = office.call("Identity/get", json!({"ids": null})).await;
    assert!(!identities.to_string().contains("evil"), "{identities}");
    let made = office.call("Identity/set", json!({"create": {"i": {"name": "x", "email": "ann@here.test"}}})).await;
    assert!(made["created"]["i"]["id"].is_string(), "its owner does: {made}");
}

/// What a page elsewhere can have a browser send to each path that there is: forms, and requests without our mark.
#[tokio::test]
async fn no_page_elsewhere_has_anything_done() {
    let office = Office::new().await;
    let (own, basic) = (cookie(&office).await, Office::basic("ann@here.test", "pw"));
    // These change nothing of anybody's, and ask nobody who he is.
    let nobodys = ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"];
    let foreign = [
        "Origin: http://evil.test\r\nContent-Type: text/plain\r\n",
        "Origin: http://evil.test\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        "Origin: http://evil.test\r\nContent-Type: multipart/form-data; boundary=b\r\n",
        "Origin: http://evil.here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n",
        "Origin: http://here.test:81\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n",
        "Origin: null\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n",
    ];
    let mut tried = 0;
    for (method, path) in routes() {
        if method != "POST" || nobodys.contains(&path.as_str()) {
            continue;
        }
        tried += 1;
        let unmarked = ["Content-Type: text/plain\r\n", "Origin: http://here.test\r\nContent-Type: application/json\r\n"];
        for fields in foreign.iter().chain(&unmarked) {
            let answer = office.ask(&format!("POST {path} HTTP/1.1\r\n{own}{fields}"), br#"{"others": true}"#).await;
            assert_eq!(answer.status, 403, "{path} {fields}");
        }
        // A browser that was told the password in its own window sends that along by itself.
        for fields in foreign.iter().filter(|_| !path.starts_with("/api/sign-")) {
            let answer = office.ask(&format!("POST {path} HTTP/1.1\r\n{basic}{fields}"), br#"{"others": true}"#).await;
            assert_eq!(answer.status, 403, "Basic, {path} {fields}");
        }
    }
    assert!(tried > 20, "{tried}");
    assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\n{own}"), b"").await.status, 200, "nobody was signed out");
    // An extension of a mail program is no page of anybody's.
    let extension = format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{basic}Origin: moz-extension://a-b\r\n");
    assert_eq!(office.ask(&extension, b"x").await.status, 201);
}

/// A session that somebody put there before is not the one that begins.
#[tokio::test]
async fn a_sign_in_begins_a_session_of_its_own() {
    let office = Office::new().await;
    let planted = format!("1.{}", data_encoding::BASE64URL_NOPAD.encode(&[7; 32]));
    let more = format!("Cookie: packetboat={planted}\r\n");
    let answer = sign_in(&office, "ann@here.test", "pw", &more).await;
    assert!(answer.status == 200 && !answer.headers["set-cookie"].contains(&planted), "{}", answer.headers["set-cookie"]);
    assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\n{more}"), b"").await.status, 401);
    // Nor is one that goes on over a new password the old one.
    let old = format!("Cookie: {}\r\n", answer.headers["set-cookie"].split(';').next().unwrap());
    let change = json!({"current": "pw", "new": "long enough"}).to_string();
    let changed = office.ask(&format!("POST /api/password HTTP/1.1\r\n{old}{OURS}"), change.as_bytes()).await;
    let new = format!("Cookie: {}\r\n", changed.headers["set-cookie"].split(';').next().unwrap());
    assert_ne!(old, new);
    assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\n{old}"), b"").await.status, 401);
}

/// What somebody sent, or put there, whatever it says it is.
#[tokio::test]
async fn a_file_runs_nothing_under_our_name() {
    let office = Office::new().await;
    let basic = Office::basic("ann@here.test", "pw");
    let evil = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let blob = office.ask(&format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{basic}"), evil.as_bytes()).await.json()["blobId"].clone();
    let blob = blob.as_str().unwrap();
    let mail = format!(
        "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; name=\"a\r\n b.html\"\r\n\r\n{evil}\r\n--b--\r\n"
    );
    office.put("INBOX", &mail, NOW, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    let got = office.call("Email/get", json!({"ids": [id], "properties": ["blobId", "bodyStructure"]})).await["list"][0].clone();
    let part = got["bodyStructure"]["subParts"][0]["blobId"].as_str().unwrap().to_owned();
    let whole = got["blobId"].as_str().unwrap().to_owned();
    for blob in [blob, &part, &whole] {
        for (asked, told) in [
            ("image/svg%2Bxml", "image/svg+xml"),
            ("application/xhtml%2Bxml", "application/xhtml+xml"),
            ("text/html", "text/html"),
            ("text/xml", "text/xml"),
            ("application/pdf", "application/pdf"),
            ("application/x-shockwave-flash", "application/x-shockwave-flash"),
            // A tag smuggled into our page would find its script or its style here.
            ("text/javascript", "application/octet-stream"),
            ("Application/JavaScript", "application/octet-stream"),
            ("application/x-javascript", "application/octet-stream"),
            ("text/ecmascript", "application/octet-stream"),
            ("text/jscript", "application/octet-stream"),
            ("text/livescript", "application/octet-stream"),
            ("text/javascript1.5", "application/octet-stream"),
            ("text/css", "application/octet-stream"),
            ("", "application/octet-stream"),
            ("text/html%0d%0aSet-Cookie:%20a=b", "application/octet-stream"),
        ] {
            for name in
                ["a.html", "a%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0a%3Cscript%3E", "%22;%20x=%22", "..%2F..%2Fx", "%E2%80%AEgpj.exe"]
            {
                let head = format!("GET /jmap/download/A1/{blob}/{name}?type={asked} HTTP/1.1\r\n{basic}");
                let answer = office.ask(&head, b"").await;
                let field = |name: &str| answer.headers.get(name).map_or("", String::as_str);
                assert_eq!((answer.status, field("content-type")), (200, told), "{asked} {name}");
                assert_eq!(field("x-content-type-options"), "nosniff");
                assert_eq!(field("content-security-policy"), "sandbox; default-src 'none'");
                assert_eq!(field("cross-origin-resource-policy"), "same-origin");
                let disposition = field("content-disposition");
                let said = disposition.strip_prefix("attachment; filename*=UTF-8''").unwrap_or_else(|| panic!("{disposition}"));
                assert!(said.bytes().all(|b| b.is_ascii_alphanumeric() || b"%._-".contains(&b)), "{disposition}");
                assert!(!answer.headers.contains_key("set-cookie"), "{name}");
            }
        }
    }
    // The frame for messages runs nothing, wherever it is opened; a message made safe is no page at all.
    let frame = office.ask("GET /frame HTTP/1.1\r\n", b"").await;
    let policy = &frame.headers["content-security-policy"];
    let sandbox = policy.split(';').map(str::trim).find(|one| one.starts_with("sandbox")).unwrap();
    assert!(
        !sandbox.contains("allow-scripts")
            && policy.contains("frame-ancestors 'self'")
            && policy.starts_with("default-src 'none'")
    );
    assert!(!policy.contains("script-src"), "{policy}");
    let safe = office.ask(&format!("GET /api/html/A1/{id} HTTP/1.1\r\n{basic}"), b"").await;
    assert_eq!((safe.status, safe.headers["content-type"].as_str()), (200, "application/json"));
    assert_eq!(safe.headers["x-content-type-options"], "nosniff");
    assert!(!safe.json()["html"].as_str().unwrap().contains("<script"));
}

/// Ids are no secrets: who knows one of somebody else gets nothing for it, under whatever account he asks.
#[tokio::test]
async fn nothing_of_another_account_is_had_by_its_id() {
    let office = Office::new().await;
    let ann = Office::basic("ann@here.test", "pw");
    let uploaded = office.ask(&format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{ann}"), b"secret").await.json()["blobId"].clone();
    let mail = "Subject: secret\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\nsecret\r\n--b--\r\n";
    office.put("INBOX", mail, NOW, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    let inbox = office.mailbox_id("INBOX").await;
    let got = office.call("Email/get", json!({"ids": [id], "properties": ["blobId", "bodyStructure", "threadId"]})).await["list"]
        [0]
    .clone();
    let bob = Office::basic("bob@here.test", "pw");
    let bobs = office.ask(&format!("GET /api/me HTTP/1.1\r\n{bob}"), b"").await.json()["accountId"].as_str().unwrap().to_owned();
    let blobs =
        [&uploaded, &got["blobId"], &got["bodyStructure"]["subParts"][0]["blobId"]].map(|one| one.as_str().unwrap().to_owned());
    for account in ["A1", &bobs] {
        for blob in &blobs {
            let head = format!("GET /jmap/download/{account}/{blob}/x HTTP/1.1\r\n{bob}");
            assert_eq!(office.ask(&head, b"").await.status, 404, "{account} {blob}");
        }
        for (method, path) in [
            ("GET", format!("/api/html/{account}/{id}")),
            ("GET", format!("/api/html/{account}/{}", blobs[0])),
            ("GET", format!("/api/export/{account}/{inbox}?as=mbox")),
            ("POST", format!("/api/import/{account}/{inbox}")),
        ] {
            let head = format!("{method} {path} HTTP/1.1\r\n{bob}Content-Type: application/mbox\r\n");
            let status = office.ask(&head, if method == "POST" { b"From x\n\nx\n" } else { b"" }).await.status;
            assert_eq!(status, 404, "{path}");
        }
        let urns = ["core", "mail", "blob"].map(|one| format!("urn:ietf:params:jmap:{one}"));
        let calls = json!([
            ["Email/get", {"accountId": account, "ids": [id]}, "0"],
            ["Thread/get", {"accountId": account, "ids": [got["threadId"]]}, "1"],
            ["Mailbox/get", {"accountId": account, "ids": [inbox]}, "2"],
            ["Blob/get", {"accountId": account, "ids": blobs}, "3"],
            ["Email/parse", {"accountId": account, "blobIds": blobs}, "4"],
            ["Blob/copy", {"fromAccountId": "A1", "accountId": bobs, "blobIds": blobs}, "5"],
            ["Blob/upload", {"accountId": bobs, "create": {"b": {"data": [{"blobId": blobs[0]}]}}}, "6"],
            ["Email/import", {"accountId": bobs, "emails": {"e": {"blobId": blobs[0], "mailboxIds": {&inbox: true}}}}, "7"],
        ]);
        let head = format!("POST /jmap/api HTTP/1.1\r\n{bob}Content-Type: application/json\r\n");
        let answer = office.ask(&head, json!({"using": urns, "methodCalls": calls}).to_string().as_bytes()).await.json();
        for one in answer["methodResponses"].as_array().unwrap() {
            let had = ["list", "parsed", "copied", "created"].iter().any(|name| match &one[1][name] {
                Value::Array(list) => !list.is_empty(),
                Value::Object(object) => !object.is_empty(),
                _ => false,
            });
            assert!(!had && !one.to_string().contains("c2VjcmV0"), "{account}: {one}");
        }
    }
    let unsubscribe = format!("POST /api/unsubscribe HTTP/1.1\r\n{bob}Content-Type: application/json\r\n");
    assert_eq!(office.ask(&unsubscribe, json!({"emailId": id}).to_string().as_bytes()).await.status, 404);
}

/// Made to weigh: depth, parts, bodies without an end.
#[tokio::test]
async fn what_is_made_to_weigh_is_refused_or_done_in_its_time() {
    let office = Office::new().await;
    let (basic, own) = (Office::basic("ann@here.test", "pw"), cookie(&office).await);
    for deep in ["[".repeat(1_000_000), "{\"a\":".repeat(500_000), format!("{}{}", "[".repeat(200_000), "]".repeat(200_000))] {
        let head = format!("POST /jmap/api HTTP/1.1\r\n{basic}Content-Type: application/json\r\n");
        let answer = office.ask(&head, deep.as_bytes()).await;
        let kind = answer.json()["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        assert!(answer.status == 400 && ["notJSON", "limit"].contains(&kind.as_str()), "{kind}");
        let small = &deep[..200_000];
        for path in ["/api/sign-in", "/api/password", "/api/links", "/api/largest"] {
            let answer = office.ask(&format!("POST {path} HTTP/1.1\r\n{own}{OURS}"), small.as_bytes()).await;
            assert_eq!(answer.status, 400, "{path}");
        }
        let large = office.ask(&format!("POST /api/password HTTP/1.1\r\n{own}{OURS}"), deep.as_bytes()).await;
        assert!(matches!(large.status, 400 | 413), "{}", large.status);
    }
    // A message of a hundred thousand parts, one of ten thousand levels, and of a thousand messages in messages.
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        "--b\r\nContent-Type: text/html\r\n\r\nx\r\n".repeat(100_000)
    );
    let level = |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
    let nested: String = (0..10_000).map(level).collect();
    let inside = "Content-Type: message/rfc822\r\n\r\n".repeat(1_000);
    let begun = std::time::Instant::now();
    for mail in [many, nested, inside] {
        office.put("INBOX", &format!("Subject: x\r\n{mail}"), NOW, 0).await;
        let id = office.ids("INBOX").await.remove(0);
        let get =
            json!({"ids": [id], "properties": ["htmlBody", "attachments", "bodyValues", "preview"], "fetchAllBodyValues": true});
        let (name, answer) = office.call_any("Email/get", get).await;
        assert!(name == "Email/get" || answer["type"] == "requestTooLarge", "{name} {answer}");
        let html = office.ask(&format!("GET /api/html/A1/{id} HTTP/1.1\r\n{basic}"), b"").await;
        assert!(matches!(html.status, 200 | 404), "{}", html.status);
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
