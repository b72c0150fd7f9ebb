//! What somebody who may not go on can still do: whose session ended, whose page it is not, who takes answers and does not read them.

use crate::office::{Answer, Office, read_answer};
use crate::socket::Socket;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const OURS: &str = "Origin: http://here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n";

async fn sign_in(office: &Office) -> String {
    let body = json!({"address": "ann@here.test", "password": "pw"}).to_string();
    let answer = office.ask(&format!("POST /api/sign-in HTTP/1.1\r\n{OURS}"), body.as_bytes()).await;
    format!("Cookie: {}\r\n", answer.headers["set-cookie"].split(';').next().unwrap())
}

/// Ends all sessions but this one.
async fn end_others(office: &Office, cookie: &str) {
    let head = format!("POST /api/sessions/revoke HTTP/1.1\r\n{cookie}{OURS}");
    assert_eq!(office.ask(&head, br#"{"others": true}"#).await.status, 200);
}

/// A request without its last octet.
async fn begun(office: &Office, path: &str, fields: &str, body: &str) -> DuplexStream {
    let mut stream = office.connect("127.0.0.1", false);
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..body.len() - 1]).await.unwrap();
    stream
}

/// What is begun in one session is nothing any more when another of the account's ended it.
#[tokio::test]
async fn streams_end_with_their_session() {
    let office = Office::new().await;
    let (one, other) = (sign_in(&office).await, sign_in(&office).await);
    let mut streams = Vec::new();
    for path in ["/jmap/eventsource/?types=*&closeafter=no&ping=0", "/api/wire"] {
        let mut stream = office.connect("127.0.0.1", false);
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\n{one}\r\n").as_bytes())
            .await
            .unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200", "{path}");
        streams.push((path, stream));
    }
    let mut socket = Socket::of(&office, &one).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    end_others(&office, &other).await;
    for (path, mut stream) in streams {
        let whole = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut Vec::new())).await;
        assert!(whole.is_ok(), "{path} goes on");
    }
    assert!(socket.hear().await.is_none());
}

/// A body may take minutes. What it asks for is done for who is signed in when all of it is there.
#[tokio::test]
async fn what_comes_whole_after_its_session_ended_does_nothing() {
    let office = Office::new().await;
    let account = office.account_id();
    let (one, other) = (sign_in(&office).await, sign_in(&office).await);
    let make = json!({"using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"], "methodCalls": [
        ["Mailbox/set", {"accountId": account, "create": {"n": {"name": "Late"}}}, "c"],
    ]});
    let add = json!({"name": "Late", "password": "pw"}).to_string();
    let asked = [
        ("/jmap/api".to_owned(), make.to_string()),
        (format!("/jmap/upload/{account}/"), "octets".to_owned()),
        ("/api/app-passwords".to_owned(), add),
        ("/api/sessions/revoke".to_owned(), r#"{"others": true}"#.to_owned()),
        ("/api/unsubscribe".to_owned(), r#"{"emailId": "M1"}"#.to_owned()),
    ];
    let mut streams = Vec::new();
    for (path, body) in &asked {
        streams.push((path, body, begun(&office, path, &format!("{one}{OURS}"), body).await));
    }
    tokio::time::sleep(web::limits::SIGN_IN_TRUSTED).await;
    end_others(&office, &other).await;
    for (path, body, mut stream) in streams {
        stream.write_all(&body.as_bytes()[body.len() - 1..]).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.status, 401, "{path}");
    }
    assert!(office.store.mailbox(office.ann, "Late").await.unwrap().is_none());
    assert!(office.store.account_by_id(office.ann).await.unwrap().unwrap().app_passwords.is_empty());
    assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\n{other}"), b"").await.status, 200, "nobody else was signed out");
}

/// A page of another host of this domain, or somebody on a line without TLS, can give a browser a cookie for this host. Under TLS not
/// of this name: nobody works in an account that somebody else signed in to.
#[tokio::test]
async fn nobody_else_gives_a_browser_its_session() {
    let office = Office::new().await;
    let body = json!({"address": "ann@here.test", "password": "pw"}).to_string();
    let head = format!("POST /api/sign-in HTTP/1.1\r\n{}", OURS.replace("http:", "https:"));
    let answer = office.ask_from("192.0.2.1", true, &head, body.as_bytes()).await;
    let set = answer.headers["set-cookie"].clone();
    assert!(set.starts_with("__Host-packetboat=") && set.contains("; Path=/;") && set.contains("; Secure"), "{set}");
    assert!(!set.to_lowercase().contains("domain"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let me = async |cookie: &str| {
        let head = format!("GET /api/me HTTP/1.1\r\nCookie: {cookie}\r\n");
        office.ask_from("192.0.2.1", true, &head, b"").await.status
    };
    assert_eq!(me(&cookie).await, 200);
    let tossed = cookie.replace("__Host-", "");
    assert_eq!(me(&tossed).await, 401);
    assert_eq!(me(&format!("{tossed}; {cookie}")).await, 200);
}

/// Who typed a password into the browser's own window has it sent along with whatever any page asks for.
#[tokio::test]
async fn a_password_that_the_browser_sends_by_itself_is_no_sign_in_for_other_pages() {
    let office = Office::new().await;
    let basic = Office::basic("ann@here.test", "pw");
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 201), ("none", 201)] {
        let head = format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{basic}Sec-Fetch-Site: {site}\r\nContent-Type: text/plain\r\n");
        assert_eq!(office.ask(&head, b"x").await.status, status, "{site}");
    }
}

fn many_times(octets: usize, times: usize) -> Value {
    let again = |n: usize| json!(["Core/echo", {"#x": {"resultOf": "0", "name": "Core/echo", "path": "/x"}}, n.to_string()]);
    let mut calls = vec![json!(["Core/echo", {"x": "x".repeat(octets)}, "0"])];
    calls.extend((1..times).map(again));
    json!({"@type": "Request", "id": "R", "using": ["urn:ietf:params:jmap:core"], "methodCalls": calls})
}

/// Few octets ask for the same large blob again and again.
#[tokio::test]
async fn the_answers_of_a_request_are_bounded_together() {
    let office = Office::new().await;
    let head = format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    let blob = office.ask(&head, &vec![b'x'; 9_000_000]).await.json()["blobId"].clone();
    let ask = json!(["Blob/get", {"accountId": office.account_id(), "ids": [blob], "properties": ["data:asBase64"]}, "c"]);
    let answers = office.calls(Value::Array(vec![ask; 20])).await;
    let told: Vec<usize> =
        answers.iter().filter_map(|(_, answer)| answer["list"][0]["data:asBase64"].as_str().map(str::len)).collect();
    assert!(told.iter().all(|len| *len == 12_000_000) && told.len() == web::limits::ANSWERS_BYTES_MAX / 12_000_000 + 1);
    let refused = answers.iter().skip(told.len());
    assert!(refused.clone().count() > 0 && refused.clone().all(|(_, answer)| answer["type"] == "requestTooLarge"));
}

/// What is answered and not taken is memory: it counts among the requests at work, over HTTP and WebSocket together.
#[tokio::test]
async fn answers_that_nobody_takes_are_requests_at_work() {
    let office = Office::new().await;
    let max = web::limits::CONCURRENT_REQUESTS_MAX;
    let request = many_times(50_000, 40).to_string();
    let basic = Office::basic("ann@here.test", "pw");
    let mut streams = Vec::new();
    for _ in 0..max - 1 {
        let fields = format!("{basic}Content-Type: application/json\r\n");
        let mut stream = begun(&office, "/jmap/api", &fields, &request).await;
        stream.write_all(b"}").await.unwrap();
        streams.push(stream);
    }
    let mut socket = Socket::open(&office).await;
    socket.say(&request).await;
    let small = || many_times(1, 1);
    let status = async || office.request(&small()).await.status;
    for _ in 0..100 {
        if status().await == 400 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused: Answer = office.request(&small()).await;
    assert_eq!((refused.status, &refused.json()["limit"]), (400, &json!("maxConcurrentRequests")));
    // Taken, they are over.
    let whole = read_answer(&mut streams.remove(0)).await;
    assert_eq!(whole.json()["methodResponses"].as_array().map(Vec::len), Some(40));
    assert_eq!(status().await, 200);
    assert_eq!(socket.hear().await.unwrap()["methodResponses"].as_array().map(Vec::len), Some(40));
}
