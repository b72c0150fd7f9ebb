//! Web Push: a push service on loopback, over HTTPS, that keeps what it is told.

use crate::office::Office;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const PATIENCE: Duration = Duration::from_secs(60);

struct PushService {
    port: u16,
    told: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    answers: mpsc::UnboundedSender<&'static str>,
    folder: tempfile::TempDir,
}

impl PushService {
    /// Answers 201, or what is put into `answers`.
    async fn open() -> PushService {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = rcgen::Issuer::from_params(&params, &authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (to, told) = mpsc::unbounded_channel();
        let (answers, mut said) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let request = read_request(&mut stream).await;
                let answer = said.try_recv().unwrap_or("201 Created");
                let _ = stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
                let _ = stream.shutdown().await;
                let _ = to.send(request);
            }
        });
        PushService { port, told, answers, folder }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/push/1", self.port)
    }

    async fn office(&self) -> Office {
        Office::trusting(&self.folder.path().join("ca.pem")).await
    }

    async fn next(&mut self) -> (String, Value) {
        let (head, body) = tokio::time::timeout(PATIENCE, self.told.recv()).await.unwrap().unwrap();
        (head, serde_json::from_slice(&body).unwrap())
    }
}

async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> (String, Vec<u8>) {
    let mut octets = Vec::new();
    loop {
        let mut some = [0; 4096];
        let n = stream.read(&mut some).await.unwrap_or(0);
        octets.extend_from_slice(&some[..n]);
        let Some(at) = octets.windows(4).position(|four| four == b"\r\n\r\n") else {
            assert!(n > 0, "cut short");
            continue;
        };
        let head = String::from_utf8(octets[..at].to_vec()).unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse::<usize>().unwrap();
        if octets.len() == at + 4 + length {
            return (head, octets[at + 4..].to_vec());
        }
        assert!(n > 0, "cut short");
    }
}

/// Of no account, so without `accountId`.
async fn call(office: &Office, name: &str, arguments: Value) -> Value {
    let answer = office.calls(json!([[name, arguments, "c"]])).await.remove(0);
    assert_eq!(answer.0, name, "{}", answer.1);
    answer.1
}

async fn subscribed(office: &Office, service: &PushService, device: &str) -> String {
    let wanted = json!({"deviceClientId": device, "url": service.url(), "types": ["EmailDelivery", "InboxDelivery", "Mailbox"]});
    let made = call(office, "PushSubscription/set", json!({"create": {"p": wanted}})).await;
    assert!(made["created"]["p"]["expires"].is_string(), "{made}");
    made["created"]["p"]["id"].as_str().unwrap().to_owned()
}

async fn verified(office: &Office, service: &mut PushService, device: &str) -> String {
    let id = subscribed(office, service, device).await;
    let (_, said) = service.next().await;
    assert_eq!((said["@type"].as_str(), said["pushSubscriptionId"].as_str()), (Some("PushVerification"), Some(id.as_str())));
    let code = json!({&id: {"verificationCode": said["verificationCode"]}});
    let done = call(office, "PushSubscription/set", json!({"update": code})).await;
    assert_eq!(done["updated"], json!({&id: null}), "{done}");
    id
}

async fn until_gone(office: &Office) {
    let gone = async {
        while call(office, "PushSubscription/get", json!({"ids": null})).await["list"] != json!([]) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

const LETTER: &str = "From: carol@there.test\r\nTo: ann@here.test\r\nSubject: Hello\r\n\r\nHello\r\n";

#[tokio::test]
async fn a_push_service_is_told_of_new_mail_once_it_said_its_code() {
    let mut service = PushService::open().await;
    let office = service.office().await;
    let id = subscribed(&office, &service, "phone").await;
    let (head, said) = service.next().await;
    assert!(head.starts_with("POST /push/1 HTTP/1.1\r\n") && head.contains("\r\nTTL: "), "{head}");
    let session = office.ask(&format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw")), b"").await;
    let key = session.json()["capabilities"]["urn:ietf:params:jmap:webpush-vapid"]["applicationServerKey"].clone();
    assert!(head.contains("\r\nAuthorization: vapid t=") && head.contains(&format!(", k={}", key.as_str().unwrap())), "{head}");
    let wrong = call(&office, "PushSubscription/set", json!({"update": {&id: {"verificationCode": "guessed"}}})).await;
    assert_eq!(wrong["notUpdated"][&id]["properties"], json!(["verificationCode"]));
    // Nothing before the code: this letter is told by nobody.
    office.put("INBOX", LETTER, crate::office::NOW, 0).await;
    let right = json!({"update": {&id: {"verificationCode": said["verificationCode"]}}});
    assert_eq!(call(&office, "PushSubscription/set", right).await["updated"], json!({&id: null}));
    office.put("INBOX", LETTER, crate::office::NOW, 0).await;
    let (_, told) = service.next().await;
    let states = &told["changed"][office.account_id()];
    assert!(told["@type"] == "StateChange" && states["EmailDelivery"].is_string() && states["Mailbox"].is_string(), "{told}");
    assert!(states["Email"].is_null(), "only what was asked for: {told}");
    // What it leads to is told to nobody.
    let shown = call(&office, "PushSubscription/get", json!({"ids": [&id, "other"]})).await;
    assert_eq!((shown["list"][0]["deviceClientId"].as_str(), &shown["notFound"]), (Some("phone"), &json!(["other"])));
    assert!(shown["list"][0].get("url").is_none() && shown.get("accountId").is_none() && shown.get("state").is_none());
    let asked = office.calls(json!([["PushSubscription/get", {"ids": [&id], "properties": ["url"]}, "c"]])).await;
    assert_eq!(asked[0].1["type"], "forbidden");
    let gone = call(&office, "PushSubscription/set", json!({"destroy": [&id, "other"]})).await;
    assert_eq!((&gone["destroyed"], &gone["notDestroyed"]["other"]["type"]), (&json!([id]), &json!("notFound")));
}

/// RFC 8621 §1.5, and what people hear of: mail that came into the inbox.
#[tokio::test]
async fn of_junk_and_of_what_is_moved_or_copied_people_hear_nothing() {
    let mut service = PushService::open().await;
    let office = service.office().await;
    verified(&office, &mut service, "phone").await;
    let deliveries = async |service: &mut PushService| {
        let (_, told) = service.next().await;
        let states = told["changed"][office.account_id()].clone();
        assert!(states["Mailbox"].is_string(), "{told}");
        (states["EmailDelivery"].is_string(), states["InboxDelivery"].is_string())
    };
    let (inbox, archive) = (office.mailbox("INBOX").await, office.mailbox("Archive").await);
    let first = office.put("INBOX", LETTER, crate::office::NOW, 0).await;
    assert_eq!(deliveries(&mut service).await, (true, true));
    office.put("Junk", LETTER, crate::office::NOW, 0).await;
    assert_eq!(deliveries(&mut service).await, (true, false), "junk came, and nobody wants to hear of it");
    office.put("INBOX", LETTER, crate::office::NOW, store::Flags::SEEN).await;
    assert_eq!(deliveries(&mut service).await, (true, false), "who put it there has read it");
    // So late that it is not of the same moment as its coming.
    office.store.move_(office.ann, inbox, &[first], archive, crate::office::NOW).await.unwrap();
    assert_eq!(deliveries(&mut service).await, (false, false), "moved away");
    let there = office.store.snapshot(office.ann, archive).await.unwrap().rows.iter().map(|row| row.uid).collect::<Vec<_>>();
    office.store.copy(office.ann, archive, &there, inbox).await.unwrap();
    assert_eq!(deliveries(&mut service).await, (false, false), "a copy comes into the inbox");
    office.store.move_(office.ann, archive, &there, inbox, crate::office::NOW).await.unwrap();
    assert_eq!(deliveries(&mut service).await, (false, false), "moved there");
    // Many at once, of which one is new.
    office.store.copy(office.ann, inbox, &[store::Uid(2)], inbox).await.unwrap();
    office.put("INBOX", LETTER, crate::office::NOW, 0).await;
    assert_eq!(deliveries(&mut service).await, (true, true));
}

#[tokio::test]
async fn of_mail_in_a_mailbox_that_is_shared_it_is_told_as_well_and_of_hidden_ones_never() {
    let mut service = PushService::open().await;
    let office = service.office().await;
    verified(&office, &mut service, "phone").await;
    let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
    let put = async |name: &str| {
        let mailbox = office.store.mailbox(bob, name).await.unwrap().unwrap().id;
        let octets = bytes::Bytes::from_static(LETTER.as_bytes());
        let facts = Arc::new(message::facts::Facts::compute(&octets));
        let (body, flags) = (store::Spooled::from_bytes(octets), store::Flags::default());
        let email = store::NewEmail { body, facts, flags, internal_date_secs: crate::office::NOW };
        office.store.append(bob, mailbox, vec![email]).await.unwrap();
    };
    // It listens.
    office.put("INBOX", LETTER, crate::office::NOW, 0).await;
    service.next().await;
    let account = format!("A{:x}", bob.0);
    let inbox = office.store.mailbox(bob, "INBOX").await.unwrap().unwrap().id;
    let rights = wire::imap::acl::Rights::from_letters(b"lr").unwrap();
    office.store.acl_change(bob, inbox, "ann@here.test", store::AclChange::Replace(rights.bits())).await.unwrap();
    let (_, told) = service.next().await;
    let states = &told["changed"][&account];
    assert!(states["Mailbox"].is_string() && states["EmailDelivery"].is_null(), "it came into sight: {told}");
    put("Sent").await;
    put("INBOX").await;
    let (_, told) = service.next().await;
    let states = &told["changed"][&account];
    assert!(states["EmailDelivery"].is_string() && states["InboxDelivery"].is_string(), "{told}");
    assert!(told["changed"][office.account_id()].is_null(), "{told}");
    // What comes out of hiding into the inbox is no new mail.
    let sent = office.store.mailbox(bob, "Sent").await.unwrap().unwrap().id;
    office.store.copy(bob, sent, &[store::Uid(1)], inbox).await.unwrap();
    let (_, told) = service.next().await;
    let states = &told["changed"][&account];
    assert!(states["Mailbox"].is_string() && states["EmailDelivery"].is_null() && states["InboxDelivery"].is_null(), "{told}");
    // What is hidden makes no sound: the next that is heard is one's own.
    put("Sent").await;
    office.put("INBOX", LETTER, crate::office::NOW, 0).await;
    let (_, told) = service.next().await;
    assert!(told["changed"][&account].is_null() && told["changed"][office.account_id()].is_object(), "{told}");
}

#[tokio::test]
async fn a_subscription_that_the_service_forgot_is_removed() {
    let mut service = PushService::open().await;
    let office = service.office().await;
    verified(&office, &mut service, "phone").await;
    service.answers.send("410 Gone").unwrap();
    office.put("INBOX", LETTER, crate::office::NOW, 0).await;
    service.next().await;
    until_gone(&office).await;
}

#[tokio::test]
async fn a_subscription_ends_with_the_sign_in_that_made_it() {
    let mut service = PushService::open().await;
    let office = service.office().await;
    verified(&office, &mut service, "phone").await;
    let ann = office.store.account_by_id(office.ann).await.unwrap().unwrap();
    office.store.account_sessions_end(ann.id).await.unwrap();
    office.put("INBOX", LETTER, crate::office::NOW, 0).await;
    until_gone(&office).await;
    assert!(service.told.try_recv().is_err(), "nothing was told after it");
}

/// RFC 9749 §5: "When a server needs to replace its VAPID key, it MUST update the sessionState"; it "MUST destroy push subscriptions
/// that use the old key".
#[tokio::test]
async fn a_subscription_ends_with_the_key_it_was_tied_to() {
    let mut service = PushService::open().await;
    let mut office = service.office().await;
    verified(&office, &mut service, "phone").await;
    let session = async |office: &Office| {
        let head = format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
        let session = office.ask(&head, b"").await.json();
        let key = session["capabilities"]["urn:ietf:params:jmap:webpush-vapid"]["applicationServerKey"].clone();
        (session["state"].clone(), key)
    };
    let before = session(&office).await;
    office.restart();
    assert_eq!(session(&office).await, before, "the key is kept");
    let there = call(&office, "PushSubscription/get", json!({"ids": null})).await["list"].clone();
    assert_eq!(there[0]["deviceClientId"], "phone");
    office.store.trust_set(store::TrustKind::Secret, vec![("vapid".into(), None)]).await.unwrap();
    office.restart();
    let after = session(&office).await;
    assert!(after.0 != before.0 && after.1 != before.1, "{before:?} {after:?}");
    until_gone(&office).await;
}

/// RFC 8620 §5.3, `created`: "any properties [...] that were not sent by the client", and what §7.2.2 shows of it.
#[tokio::test]
async fn of_a_new_subscription_is_told_what_was_not_said() {
    let office = Office::new().await;
    let key = "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";
    let keys = json!({"p256dh": key, "auth": data_encoding::BASE64URL_NOPAD.encode(&[7; 16])});
    let set = async |more: Value| {
        let mut wanted = json!({"deviceClientId": "phone", "url": "https://push.test/1"});
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut made = call(&office, "PushSubscription/set", json!({"create": {"p": wanted}})).await;
        let told = made["created"]["p"].as_object_mut().unwrap();
        assert!(told.remove("id").is_some_and(|id| id.is_string()) && told.remove("expires").is_some_and(|at| at.is_string()));
        (Value::Object(told.clone()), made["destroyed"].clone(), made["notCreated"].clone())
    };
    assert_eq!(set(json!({"types": null})).await, (json!({"keys": null}), Value::Null, Value::Null));
    assert_eq!(set(json!({"keys": keys, "types": ["Email"]})).await.0, json!({}));
    assert_eq!(set(json!({"keys": keys})).await.0, json!({"types": null}));
}

#[tokio::test]
async fn what_cannot_be_pushed_to_is_refused() {
    let office = Office::new().await;
    let good = json!({"deviceClientId": "phone", "url": "https://push.test/1"});
    let off_the_curve = data_encoding::BASE64URL_NOPAD.encode(&[[4].as_slice(), &[1; 64]].concat());
    for (name, value) in [
        ("url", json!("ftp://push.test/1")),
        ("url", json!("https://push.test/1\r\nX: y")),
        ("url", json!(format!("https://push.test/{}", "x".repeat(3000)))),
        ("keys", json!({"p256dh": "AAAA", "auth": "AAAA"})),
        ("keys", json!({"p256dh": off_the_curve, "auth": data_encoding::BASE64URL_NOPAD.encode(&[7; 16])})),
        ("types", json!("Email")),
        ("expires", json!("yesterday")),
        ("expires", json!("2020-01-01T00:00:00Z")),
        ("deviceClientId", json!("")),
        ("verificationCode", json!("x")),
    ] {
        let mut wanted = good.clone();
        wanted[name] = value.clone();
        let answer = call(&office, "PushSubscription/set", json!({"create": {"p": wanted}})).await;
        assert_eq!(answer["notCreated"]["p"]["properties"], json!([name]), "{value}: {answer}");
    }
    // So often others may be asked, and no more.
    let mut refused = Value::Null;
    for _ in 0..100 {
        refused = call(&office, "PushSubscription/set", json!({"create": {"p": good}})).await["notCreated"]["p"]["type"].clone();
        if !refused.is_null() {
            break;
        }
    }
    assert_eq!(refused, "rateLimit");
    assert_eq!(
        call(&office, "PushSubscription/get", json!({"ids": null})).await["list"].as_array().unwrap().len(),
        1,
        "one a device"
    );
}

/// RFC 8620 §7.2.1: "The server MUST only return push subscriptions that were created using the same authentication credentials";
/// §7.2: a code "MUST be null (or omitted) when the subscription is created".
#[tokio::test]
async fn a_subscription_is_shown_to_the_sign_in_that_made_it() {
    let office = Office::new().await;
    const OURS: &str = "Origin: http://here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n";
    let body = json!({"address": "ann@here.test", "password": "pw"}).to_string();
    let signed_in = office.ask(&format!("POST /api/sign-in HTTP/1.1\r\n{OURS}"), body.as_bytes()).await;
    let cookie = format!("Cookie: {}\r\n", signed_in.headers["set-cookie"].split(';').next().unwrap());
    let ask = async |cookie: &str, name: &str, arguments: Value| {
        let request = json!({"using": ["urn:ietf:params:jmap:core"], "methodCalls": [[name, arguments, "c"]]});
        let head = format!("POST /jmap/api HTTP/1.1\r\n{OURS}{cookie}");
        office.ask(&head, request.to_string().as_bytes()).await.json()["methodResponses"][0][1].clone()
    };
    let made = |device: &str, code: Value| json!({"create": {"p": {"deviceClientId": device, "url": "https://127.0.0.1:1/x", "verificationCode": code}}});
    let shown = async |cookie: &str| {
        let got = ask(cookie, "PushSubscription/get", json!({"ids": null})).await["list"].clone();
        got.as_array().unwrap().iter().map(|one| one["deviceClientId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let basic = Office::basic("ann@here.test", "pw");
    for (cookie, device) in [(&cookie, "page"), (&basic, "program")] {
        let told = ask(cookie, "PushSubscription/set", made(device, Value::Null)).await;
        assert!(told["created"]["p"]["id"].is_string(), "{told}");
    }
    assert_eq!((shown(&cookie).await, shown(&basic).await), (vec!["page".to_owned()], vec!["program".to_owned()]));
    let told = ask(&basic, "PushSubscription/set", made("third", json!("x"))).await;
    assert_eq!(told["notCreated"]["p"]["properties"], json!(["verificationCode"]), "{told}");
}
