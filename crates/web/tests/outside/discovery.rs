//! Documents by which mail programs find their settings.

use crate::office::Office;
use serde_json::{Value, json};

const OURS: &str = "Origin: http://here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n";

async fn get(office: &Office, host: &str, path: &str) -> (u16, String) {
    let answer = office.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n"), b"").await;
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

#[tokio::test]
async fn mozilla_and_outlook_find_the_servers() {
    let office = Office::new().await;
    for (host, path) in [
        ("autoconfig.here.test", "/mail/config-v1.1.xml?emailaddress=ann%40here.test"),
        ("here.test", "/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=nobody@HERE.test"),
        ("autoconfig.here.test:8080", "/mail/config-v1.1.xml"),
    ] {
        let (status, text) = get(&office, host, path).await;
        assert_eq!(status, 200, "{path}");
        assert!(
            text.contains("<emailProvider id=\"here.test\">") && text.contains("<username>%EMAILADDRESS%</username>"),
            "{text}"
        );
        assert!(text.contains("<incomingServer type=\"imap\">\n      <hostname>mail.here.test</hostname>\n      <port>993</port>\n      <socketType>SSL</socketType>"), "{text}");
        assert!(text.contains("<port>587</port>\n      <socketType>STARTTLS</socketType>"), "{text}");
    }
    assert_eq!(get(&office, "here.test", "/mail/config-v1.1.xml?emailaddress=a@else.test").await.0, 404);
    let ask = |address: &str| {
        format!("<?xml version=\"1.0\"?><Autodiscover><Request><EMailAddress>{address}</EMailAddress></Request></Autodiscover>")
    };
    for path in ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"] {
        let answer = office.ask(&format!("POST {path} HTTP/1.1\r\n"), ask("ann@here.test").as_bytes()).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "application/xml; charset=utf-8"));
        assert!(text.contains("<Type>IMAP</Type>\n        <Server>mail.here.test</Server>\n        <Port>993</Port>\n        <LoginName>ann@here.test</LoginName>"), "{text}");
        assert!(text.contains("<Encryption>TLS</Encryption>"), "{text}");
    }
    let answer = office.ask("POST /autodiscover/autodiscover.xml HTTP/1.1\r\n", ask("x&quot;<b>@here.test").as_bytes()).await;
    assert!(answer.status == 404 || !String::from_utf8_lossy(&answer.body).contains("<b>"));
    assert_eq!(office.ask("POST /autodiscover/autodiscover.xml HTTP/1.1\r\n", ask("a@else.test").as_bytes()).await.status, 404);
}

#[tokio::test]
async fn the_policy_of_mta_sts_is_served_under_its_name_only() {
    let office = Office::new().await;
    let (status, text) = get(&office, "mta-sts.here.test", "/.well-known/mta-sts.txt").await;
    assert_eq!((status, text.as_str()), (200, "version: STSv1\r\nmode: enforce\r\nmx: mail.here.test\r\nmax_age: 604800\r\n"));
    assert_eq!(get(&office, "here.test", "/.well-known/mta-sts.txt").await.0, 404);
    assert_eq!(get(&office, "mta-sts.else.test", "/.well-known/mta-sts.txt").await.0, 421);
}

#[tokio::test]
async fn what_receivers_take_is_told_before_anything_is_sent() {
    let office = Office::new().await;
    let ask = async |who: &str, body: Value| {
        let head = format!("POST /api/largest HTTP/1.1\r\n{}{OURS}", Office::basic("ann@here.test", who));
        office.ask(&head, body.to_string().as_bytes()).await
    };
    let told = ask("pw", json!({"recipients": ["x@small.test", "y@unknown.test", "nonsense"]})).await;
    assert_eq!((told.status, told.json()), (200, json!({"largest": {"x@small.test": 100_000}})));
    assert_eq!(ask("no", json!({"recipients": []})).await.status, 401);
    assert_eq!(ask("pw", json!({"recipients": "x@small.test"})).await.status, 400);
    assert_eq!(ask("pw", json!({"recipients": vec!["x@small.test"; 1001]})).await.status, 400);
}

#[tokio::test]
async fn a_phone_gets_its_profile_once() {
    let office = Office::new().await;
    let ask = async |password: &str| {
        let head = format!("POST /api/profile HTTP/1.1\r\n{}{OURS}", Office::basic("ann@here.test", "pw"));
        office.ask(&head, json!({"password": password}).to_string().as_bytes()).await
    };
    assert_eq!(ask("no").await.status, 403);
    let made = ask("pw").await;
    assert_eq!(made.status, 201);
    let url = made.json()["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix("http://here.test").unwrap();
    // Who only looks where it leads does not use it up.
    let looked = office.ask(&format!("HEAD {path} HTTP/1.1\r\n"), b"").await;
    assert_eq!((looked.status, looked.headers["allow"].as_str()), (405, "GET"));
    let (status, text) = get(&office, "here.test", path).await;
    assert_eq!(status, 200);
    assert!(text.contains("<key>IncomingPassword</key>\n      <string>app:Apple profile "), "{text}");
    assert!(text.contains("<key>IncomingMailServerPortNumber</key>\n      <integer>993</integer>\n      <key>IncomingMailServerUseSSL</key>\n      <true/>"));
    assert!(text.contains("<key>OutgoingMailServerPortNumber</key>\n      <integer>465</integer>"));
    assert_eq!(text.matches("<dict>").count(), text.matches("</dict>").count());
    assert_eq!(get(&office, "here.test", path).await.0, 404, "once");
    assert_eq!(office.store.account("ann@here.test").await.unwrap().unwrap().app_passwords.len(), 1);
    // A link outlives no change of the password.
    let other = ask("pw").await.json()["url"].as_str().unwrap().to_owned();
    office.store.account_secrets(office.ann, store::Secrets { argon2: "new".into(), scram: None }).await.unwrap();
    assert_eq!(get(&office, "here.test", other.strip_prefix("http://here.test").unwrap()).await.0, 404);
    let head = format!("GET /api/settings-for-programs HTTP/1.1\r\n{}", Office::basic("ann@here.test", "new"));
    let told = office.ask(&head, b"").await.json();
    assert_eq!(told["servers"][0], json!({"protocol": "imap", "host": "mail.here.test", "port": 993, "tls": "tls"}));
}
