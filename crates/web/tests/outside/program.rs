//! What only this program has: the second factor, passwords of programs, rules, people, snooze, undo, the trace, the wire.

use crate::office::{Answer, NOW, Office};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OURS: &str = "Origin: http://here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n";

async fn post(office: &Office, path: &str, cookie: &str, body: Value) -> Answer {
    office.ask(&format!("POST {path} HTTP/1.1\r\n{cookie}{OURS}"), body.to_string().as_bytes()).await
}

async fn get(office: &Office, path: &str, cookie: &str) -> Answer {
    office.ask(&format!("GET {path} HTTP/1.1\r\n{cookie}"), b"").await
}

fn cookie_of(answer: &Answer) -> String {
    format!("Cookie: {}\r\n", answer.headers["set-cookie"].split(';').next().unwrap())
}

async fn sign_in(office: &Office, password: &str, code: &str) -> Answer {
    post(office, "/api/sign-in", "", json!({"address": "ann@here.test", "password": password, "totp": code})).await
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    let office = Office::new().await;
    let (one, two) = (cookie_of(&sign_in(&office, "pw", "").await), cookie_of(&sign_in(&office, "pw", "").await));
    let change = |current: &str, new: &str| json!({"current": current, "new": new});
    assert_eq!(post(&office, "/api/password", &one, change("no", "long enough")).await.status, 403);
    assert_eq!(post(&office, "/api/password", &one, change("pw", "short")).await.status, 422);
    assert_eq!(post(&office, "/api/password", "", change("pw", "long enough")).await.status, 401);
    let done = post(&office, "/api/password", &one, change("pw", "long enough")).await;
    assert_eq!(done.status, 200);
    let new = cookie_of(&done);
    assert_eq!(get(&office, "/api/me", &new).await.status, 200);
    assert_eq!((get(&office, "/api/me", &one).await.status, get(&office, "/api/me", &two).await.status), (401, 401));
    assert_eq!((sign_in(&office, "pw", "").await.status, sign_in(&office, "long enough", "").await.status), (401, 200));
}

#[tokio::test]
async fn a_program_gets_a_password_of_its_own() {
    let office = Office::new().await;
    let one = cookie_of(&sign_in(&office, "pw", "").await);
    let phone = |password: &str| json!({"name": "Phone", "password": password});
    assert_eq!(post(&office, "/api/app-passwords", &one, phone("no")).await.status, 403);
    let made = post(&office, "/api/app-passwords", &one, phone("pw")).await;
    assert_eq!((made.status, made.json()["password"].as_str()), (201, Some("app:Phone")));
    assert_eq!(post(&office, "/api/app-passwords", &one, phone("pw")).await.status, 422);
    // It is no owner's password.
    assert_eq!(post(&office, "/api/app-passwords", &one, json!({"name": "x", "password": "app:Phone"})).await.status, 403);
    assert_eq!(post(&office, "/api/app-passwords", &one, json!({"name": "a\nb", "password": "pw"})).await.status, 422);
    let list = get(&office, "/api/app-passwords", &one).await.json();
    assert_eq!(list, json!({"appPasswords": [{"name": "Phone", "created": NOW}]}));
    let basic = format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "app:Phone"));
    assert_eq!(office.ask(&basic, b"").await.status, 200);
    let gone = post(&office, "/api/app-passwords/revoke", &one, json!({"name": "Phone"})).await;
    assert_eq!(gone.status, 200);
    assert_eq!((office.ask(&basic, b"").await.status, get(&office, "/api/me", &one).await.status), (401, 401));
    assert_eq!(get(&office, "/api/me", &cookie_of(&gone)).await.status, 200);
    assert_eq!(post(&office, "/api/app-passwords/revoke", &cookie_of(&gone), json!({"name": "Phone"})).await.status, 422);
}

/// The code of a secret, by an implementation of its own (RFC 4226 §5.3).
fn code(secret: &str, secs: i64) -> String {
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let mac = ring::hmac::sign(&key, &u64::try_from(secs / 30).unwrap().to_be_bytes());
    let at = usize::from(mac.as_ref()[19] & 15);
    let number = mac.as_ref()[at..at + 4].iter().fold(0u32, |number, octet| number << 8 | u32::from(*octet));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

#[tokio::test]
async fn a_second_factor_is_asked_for_at_sign_in() {
    let office = Office::new().await;
    let one = cookie_of(&sign_in(&office, "pw", "").await);
    assert_eq!(get(&office, "/api/totp", &one).await.json(), json!({"isEnabled": false, "recoveryCodesLeft": 0}));
    assert_eq!(post(&office, "/api/totp/enrol", &one, json!({"password": "no"})).await.status, 403);
    let begun = post(&office, "/api/totp/enrol", &one, json!({"password": "pw"})).await.json();
    let secret = begun["secret"].as_str().unwrap().to_owned();
    assert!(begun["uri"].as_str().unwrap().contains(&secret));
    // Not yet.
    assert_eq!(sign_in(&office, "pw", "").await.status, 200);
    let now = || net::clock::unix_now();
    assert_eq!(post(&office, "/api/totp/confirm", &one, json!({"code": "x"})).await.status, 403);
    let confirmed = post(&office, "/api/totp/confirm", &one, json!({"code": code(&secret, now())})).await;
    // It goes on under a new cookie.
    assert_eq!(get(&office, "/api/me", &one).await.status, 401);
    let (one, codes) = (cookie_of(&confirmed), confirmed.json());
    let written = codes["recoveryCodes"][0].as_str().unwrap();
    assert_eq!(post(&office, "/api/totp/enrol", &one, json!({"password": "pw"})).await.status, 409);
    let missing = sign_in(&office, "pw", "").await;
    assert_eq!((missing.status, missing.json()["needs"].as_str()), (401, Some("totp")));
    assert!(!missing.headers.contains_key("set-cookie"));
    assert_eq!(sign_in(&office, "wrong", written).await.json().get("needs"), None);
    assert_eq!(sign_in(&office, "pw", "000").await.status, 401);
    assert_eq!(sign_in(&office, "pw", written).await.status, 200);
    assert_eq!(sign_in(&office, "pw", written).await.status, 401);
    assert_eq!(sign_in(&office, "pw", &code(&secret, now() + 30)).await.status, 200);
    // Programs need a password of their own, which opens nothing else.
    let basic = |password: &str| format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", password));
    assert_eq!(office.ask(&basic("pw"), b"").await.status, 403);
    post(&office, "/api/app-passwords", &one, json!({"name": "p", "password": "pw"})).await;
    assert_eq!(office.ask(&basic("app:p"), b"").await.status, 200);
    assert_eq!(sign_in(&office, "app:p", written).await.status, 401);
    assert_eq!(get(&office, "/api/totp", &one).await.json(), json!({"isEnabled": true, "recoveryCodesLeft": 7}));
    assert_eq!(post(&office, "/api/totp/disable", &one, json!({"password": "pw"})).await.status, 200);
    assert_eq!(sign_in(&office, "pw", "").await.status, 200);
}

#[tokio::test]
async fn one_s_own_dialogues_are_watched() {
    let office = Office::new().await;
    assert_eq!(get(&office, "/api/wire", "").await.status, 401);
    let cookie = cookie_of(&sign_in(&office, "pw", "").await);
    let mut stream = office.connect("127.0.0.1", false);
    let head = format!("GET /api/wire HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\n{cookie}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut octets = [0u8; 4096];
    while !seen.contains("RFC 9051") {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut octets)).await.unwrap().unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&octets[..read]));
    }
    assert!(seen.contains("text/event-stream") && seen.contains("event: watching\n"), "{seen}");
    assert!(seen.contains("event: line\n") && seen.contains(r#""line":"a1 LOGIN ann@here.test ***""#), "{seen}");
    // Signed out, it ends.
    post(&office, "/api/password", &cookie, json!({"current": "pw", "new": "another one"})).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn what_was_destroyed_comes_back_and_the_trace_tells() {
    let office = Office::new().await;
    office.put("INBOX", "From: bob@there.test\r\nSubject: Boat\r\n\r\nx", NOW, 0).await;
    let id = office.ids("INBOX").await.remove(0);
    let set = office.call("Email/set", json!({"destroy": [id]})).await;
    assert_eq!(set["destroyed"], json!([id]));
    let undo = office.call("Undo/get", json!({"limit": 5})).await["list"][0].clone();
    assert_eq!((undo["subject"].as_str(), undo["mailboxName"].as_str()), (Some("Boat"), Some("INBOX")));
    let back = office.call("Undo/restore", json!({"ids": [undo["id"], "X999", "nonsense"]})).await;
    assert_eq!(back["restored"][undo["id"].as_str().unwrap()]["emailId"], json!(id));
    assert_eq!(back["notFound"], json!(["X999", "nonsense"]));
    assert_eq!(office.ids("INBOX").await, std::slice::from_ref(&id));
    let email = office.store.snapshot(office.ann, office.mailbox("INBOX").await).await.unwrap().rows.iter().next().unwrap().email;
    let event = store::TraceEvent::new(NOW, "stored", "in INBOX as UID 1").of(office.ann).key("email", email.0.to_string());
    let others = store::TraceEvent::new(NOW, "stored", "secret").of(store::AccountId(2)).key("email", email.0.to_string());
    office.store.trace(vec![event, others]);
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let told = office.call("Trace/get", json!({"ids": [id, "Mnone"]})).await;
            assert_eq!(told["notFound"], json!(["Mnone"]));
            if let Some(event) = told["list"][0]["events"].get(0) {
                assert_eq!((event["what"].as_str(), event["detail"].as_str()), (Some("stored"), Some("in INBOX as UID 1")));
                assert_eq!(told["list"][0]["events"].as_array().unwrap().len(), 1);
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn rules_and_vacation_are_checked_and_kept() {
    let office = Office::new().await;
    let fresh = office.call("MailRules/get", json!({"ids": null})).await;
    assert_eq!(fresh["list"][0], json!({"id": "singleton", "rules": [], "blocked": [], "forwarding": null}));
    let rules = json!([{"name": "Shop", "if": [{"field": "from", "is": "@shop.test"}], "then": {"keywords": ["shop"]}}]);
    let set = office.call("MailRules/set", json!({"update": {"singleton": {"rules": rules, "blocked": ["Eve@x.test"]}}})).await;
    assert_eq!(set["updated"], json!({"singleton": null}), "{set}");
    let changes = office.call("MailRules/changes", json!({"sinceState": fresh["state"]})).await;
    assert_eq!(changes["updated"], json!(["singleton"]));
    let read = office.call("MailRules/get", json!({})).await["list"][0].clone();
    assert_eq!((&read["rules"], &read["blocked"]), (&rules, &json!(["Eve@x.test"])));
    for (patch, property) in [
        (json!({"rules": [{"if": [], "then": {}}]}), "rules/0/if"),
        (json!({"forwarding": {"addresses": []}}), "forwarding"),
        (json!({"blocked": ["nobody"]}), "blocked"),
        (json!({"nonsense": 1}), "nonsense"),
    ] {
        let set = office.call("MailRules/set", json!({"update": {"singleton": patch}})).await;
        let error = &set["notUpdated"]["singleton"];
        assert_eq!((error["type"].as_str(), &error["properties"]), (Some("invalidProperties"), &json!([property])));
    }
    let set = office.call("MailRules/set", json!({"create": {"a": {}}, "destroy": ["singleton"]})).await;
    assert_eq!(
        (&set["notCreated"]["a"]["type"], &set["notDestroyed"]["singleton"]["type"]),
        (&json!("singleton"), &json!("singleton"))
    );
    // RFC 8621 §8.
    let away = office.call("VacationResponse/get", json!({"ids": ["singleton", "x"]})).await;
    assert_eq!((&away["list"][0]["isEnabled"], &away["notFound"]), (&json!(false), &json!(["x"])));
    let update = json!({"isEnabled": true, "fromDate": "2027-01-01T00:00:00Z", "textBody": "Away."});
    let set = office.call("VacationResponse/set", json!({"update": {"singleton": update}})).await;
    assert_eq!(set["updated"], json!({"singleton": null}));
    let bad = office.call("VacationResponse/set", json!({"update": {"singleton": {"fromDate": "soon"}}})).await;
    assert_eq!(bad["notUpdated"]["singleton"]["properties"], json!(["fromDate"]));
    let away = office.call("VacationResponse/get", json!({"properties": ["textBody"]})).await;
    assert_eq!(away["list"][0], json!({"id": "singleton", "textBody": "Away."}));
}

#[tokio::test]
async fn people_are_entered_and_those_written_to_are_remembered() {
    let office = Office::new().await;
    let set = office
        .call("Person/set", json!({"create": {"b": {"name": "Bob", "emails": ["bob@there.test"]}, "x": {"emails": "x"}}}))
        .await;
    let id = set["created"]["b"]["id"].as_str().unwrap().to_owned();
    assert_eq!(set["notCreated"]["x"]["properties"], json!(["emails"]));
    office
        .put(
            "Drafts",
            "From: ann@here.test\r\nTo: Robert <Bob@there.test>, =?utf-8?q?Zo=C3=AB?= <zoe@there.test>\r\n\r\nx",
            NOW,
            0,
        )
        .await;
    let email = office.ids("Drafts").await.remove(0);
    let create = json!({"create": {"s": {"identityId": "main", "emailId": email}}});
    office.call("EmailSubmission/set", create.clone()).await;
    office.call("EmailSubmission/set", create).await;
    let all = office.call("Person/get", json!({"ids": null})).await;
    let all = all["list"].as_array().unwrap();
    let of = |address: &str| all.iter().find(|one| one["emails"] == json!([address])).unwrap();
    assert_eq!((all.len(), of("bob@there.test")["timesUsed"].as_u64()), (2, Some(2)));
    assert_eq!(of("bob@there.test")["name"], "Bob");
    let zoe = of("zoe@there.test");
    assert_eq!((zoe["name"].as_str(), zoe["isEntered"].as_bool()), (Some("Zoë"), Some(false)));
    let set = json!({"update": {&id: {"note": "Boats"}, "p0": {}}, "destroy": [zoe["id"], "p1"]});
    let set = office.call("Person/set", set).await;
    assert_eq!((&set["updated"], &set["destroyed"]), (&json!({&id: null}), &json!([zoe["id"]])));
    assert_eq!((&set["notUpdated"]["p0"]["type"], &set["notDestroyed"]["p1"]["type"]), (&json!("notFound"), &json!("notFound")));
    let long = "x".repeat(web::limits::PERSON_BYTES_MAX);
    let set = office.call("Person/set", json!({"update": {&id: {"note": long}}})).await;
    assert_eq!(set["notUpdated"][&id]["type"], "tooLarge");
}

#[tokio::test]
async fn a_snoozed_message_goes_away_and_comes_back() {
    let office = Office::new().await;
    office.put("INBOX", "From: bob@there.test\r\nSubject: later\r\n\r\nx", NOW, store::Flags::SEEN).await;
    office.put("INBOX", "From: bob@there.test\r\nSubject: much later\r\n\r\nx", NOW + 1, 0).await;
    let ids = office.ids("INBOX").await;
    let at = |secs: i64| message::date::format_rfc_3339(net::clock::unix_now() + secs);
    let create = json!({"create": {"a": {"emailId": ids[1], "until": at(2)}, "b": {"emailId": ids[0], "until": at(4000)}, "c": {"emailId": ids[0], "until": at(-5)}, "d": {"emailId": "M0-0", "until": at(9)}}});
    let set = office.call("Snooze/set", create).await;
    assert_eq!((&set["created"]["a"]["id"], &set["created"]["b"]["id"]), (&json!(ids[1]), &json!(ids[0])));
    assert_eq!(
        (&set["notCreated"]["c"]["properties"], &set["notCreated"]["d"]["properties"]),
        (&json!(["until"]), &json!(["emailId"]))
    );
    assert_eq!((office.ids("INBOX").await.len(), office.ids("Snoozed").await.len()), (0, 2));
    let got = office.call("Snooze/get", json!({"ids": [ids[0]]})).await["list"][0].clone();
    assert_eq!(got["mailboxIds"], json!({office.mailbox_id("INBOX").await: true}));
    tokio::time::timeout(Duration::from_secs(20), async {
        while office.ids("INBOX").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(office.ids("INBOX").await, [ids[1].clone()]);
    let email = office.call("Email/get", json!({"ids": [ids[1]], "properties": ["keywords"]})).await["list"][0].clone();
    assert_eq!(email["keywords"], json!({}), "it is unread again");
    let put_off = office.call("Snooze/set", json!({"update": {&ids[0]: {"until": at(9000)}}, "destroy": [ids[1]]})).await;
    assert_eq!((&put_off["updated"], &put_off["notDestroyed"][&ids[1]]["type"]), (&json!({&ids[0]: null}), &json!("notFound")));
    let now = office.call("Snooze/set", json!({"destroy": [ids[0]]})).await;
    assert_eq!(now["destroyed"], json!([ids[0]]));
    assert_eq!(office.ids("INBOX").await.len(), 2);
    assert_eq!(office.call("Snooze/get", json!({})).await["list"], json!([]));
}
