//! The page of a mailbox brings what is shown first, to who signed in and nobody else.

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use store::Flags;

const NAVIGATES: &str = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n";

/// The page, whether a cache may keep it, and what came with it.
async fn page(office: &Office, path: &str, more: &str) -> (String, String, Option<Value>) {
    let answer = office.ask(&format!("GET {path} HTTP/1.1\r\n{more}"), b"").await;
    assert_eq!(answer.status, 200, "{path}");
    assert!(answer.headers["content-security-policy"].starts_with("default-src 'none'"), "{path}");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let told = text.split_once("id=\"first\">").and_then(|(_, rest)| rest.split_once("</script>"));
    let told = told.map(|(json, _)| serde_json::from_str(json).unwrap());
    (text, answer.headers["cache-control"].clone(), told)
}

async fn cookie(office: &Office) -> String {
    let head = "POST /api/sign-in HTTP/1.1\r\nOrigin: http://here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n";
    let answer = office.ask(head, json!({"address": "ann@here.test", "password": "pw"}).to_string().as_bytes()).await;
    format!("Cookie: {}\r\n", answer.headers["set-cookie"].split(';').next().unwrap())
}

#[tokio::test]
async fn it_is_what_would_have_been_asked() {
    let office = Office::new().await;
    let letter = |n: usize| {
        // The last answers the first: one conversation, one row.
        let (answers, subject) = if n == 60 { ("References: <0@there.test>\r\n", 0) } else { ("", n) };
        format!(
            "From: Bob <bob@there.test>\r\nSubject: </script> {subject}\r\nMessage-ID: <{n}@there.test>\r\n{answers}\r\nText\r\n"
        )
    };
    for n in 0..=60 {
        office.put("INBOX", &letter(n), NOW + i64::try_from(n).unwrap(), Flags::SEEN).await;
    }
    let ann = cookie(&office).await;
    let (text, cache, told) = page(&office, "/m/0/inbox/t/T1", &format!("{NAVIGATES}{ann}")).await;
    // Without its program this server has no page to put it in.
    if !text.contains("<div id=\"app\"></div>") {
        assert_eq!(told, None);
        return;
    }
    assert_eq!(cache, "no-store");
    assert!(text.contains("</html>"));
    let told = told.unwrap();
    assert_eq!(told["session"], office.ask(&format!("GET /jmap/session HTTP/1.1\r\n{ann}"), b"").await.json());
    assert_eq!(told["about"][0][1], office.call("Mailbox/get", json!({"ids": null})).await);
    assert_eq!(told["about"][1][1], office.call("Email/get", json!({"ids": []})).await);
    let asked = &told["list"]["asked"];
    assert_eq!(asked["filter"], json!({"inMailbox": office.mailbox_id("INBOX").await}));
    assert_eq!((&asked["collapse"], asked["sort"].as_array().unwrap().len()), (&json!(true), 1));
    let ids = office.ids("INBOX").await;
    assert_eq!(
        told["list"]["answers"][0][1]["ids"].as_array().unwrap()[..],
        ids[..50].iter().map(|id| json!(id)).collect::<Vec<_>>()
    );
    assert_eq!(told["list"]["answers"][0][1]["total"], 60);
    assert_eq!(told["list"]["answers"][1][1]["list"][1]["subject"], "</script> 59");
    // What is a row is not told again with its conversation.
    let others = &told["list"]["answers"][3][1]["list"];
    assert_eq!((others.as_array().unwrap().len(), &others[0]["id"]), (1, &json!(ids[60])));
    // By its id as well; what is pinned comes first in the inbox alone.
    let by_id = format!("/m/0/{}", office.mailbox_id("INBOX").await);
    assert_eq!(page(&office, &by_id, &format!("{NAVIGATES}{ann}")).await.2.unwrap()["list"], told["list"]);
    office.call("Email/set", json!({"update": {&ids[40]: {"keywords/$pinned": true}}})).await;
    let told = page(&office, "/m/0/inbox", &format!("{NAVIGATES}{ann}")).await.2.unwrap();
    assert_eq!(told["list"]["answers"][0][1]["ids"][0], json!(ids[40]));
    let told = page(&office, "/m/0/drafts", &format!("{NAVIGATES}{ann}")).await.2.unwrap();
    assert_eq!((&told["list"]["asked"]["collapse"], told["list"]["asked"]["sort"].as_array().unwrap().len()), (&json!(false), 1));
    assert_eq!(page(&office, "/m/0/none", &format!("{NAVIGATES}{ann}")).await.2.unwrap()["list"], Value::Null);
}

#[tokio::test]
async fn nobody_else_is_told() {
    let office = Office::new().await;
    office.put("INBOX", "Subject: Secret\r\n\r\nText\r\n", NOW, 0).await;
    let ann = cookie(&office).await;
    let (scripts, theirs) = ("Sec-Fetch-Mode: cors\r\n", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: cross-site\r\n");
    let basic = Office::basic("ann@here.test", "pw");
    for (path, more) in [
        ("/m/0/inbox", NAVIGATES.to_owned()),
        ("/m/0/inbox", format!("{NAVIGATES}Cookie: packetboat=1.AAAA\r\n")),
        // What a script, or the service worker, keeps: a page that is nobody's.
        ("/m/0/inbox", format!("{scripts}{ann}")),
        ("/m/0/inbox", ann.clone()),
        ("/m/0/inbox", format!("{theirs}{ann}")),
        ("/m/0/inbox", format!("{NAVIGATES}{basic}")),
        ("/m/0/inbox?only=unread", format!("{NAVIGATES}{ann}")),
        ("/m/A9/inbox", format!("{NAVIGATES}{ann}")),
        ("/", format!("{NAVIGATES}{ann}")),
        ("/settings/general", format!("{NAVIGATES}{ann}")),
    ] {
        let (text, cache, told) = page(&office, path, &more).await;
        assert_eq!((told, cache.as_str()), (None, "no-cache"), "{path} {more}");
        assert!(!text.contains("Secret") && !text.contains("ann@here"), "{path} {more}");
    }
    // A session that was ended, and a password that may not travel.
    office.ask(&format!("POST /api/sign-out HTTP/1.1\r\n{ann}Origin: http://here.test\r\nX-Packetboat: 1\r\n"), b"").await;
    assert_eq!(page(&office, "/m/0/inbox", &format!("{NAVIGATES}{ann}")).await.2, None);
    let fresh = cookie(&office).await;
    let head = format!("GET /m/0/inbox HTTP/1.1\r\n{NAVIGATES}{fresh}");
    let far = office.ask_from("192.0.2.1", false, &head, b"").await;
    assert!(!String::from_utf8_lossy(&far.body).contains("id=\"first\""));
}
