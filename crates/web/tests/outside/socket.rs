//! JMAP over WebSocket (RFC 8887), frames written by hand (RFC 6455 §5).

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) struct Socket(DuplexStream);

impl Socket {
    /// Asks for an upgrade; the head of the answer, and the socket.
    async fn ask(office: &Office, more: &str) -> (String, Socket) {
        let mut stream = office.connect("127.0.0.1", false);
        let head = format!(
            "GET /jmap/ws HTTP/1.1\r\nHost: here.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        (String::from_utf8(answer).unwrap(), Socket(stream))
    }

    pub(crate) async fn open(office: &Office) -> Socket {
        Socket::of(office, &Office::basic("ann@here.test", "pw")).await
    }

    /// Of who is signed in by this field.
    pub(crate) async fn of(office: &Office, field: &str) -> Socket {
        let more = format!("Sec-WebSocket-Protocol: jmap\r\n{field}");
        let (head, socket) = Socket::ask(office, &more).await;
        assert!(head.starts_with("HTTP/1.1 101 ") && head.to_lowercase().contains("sec-websocket-protocol: jmap"), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "RFC 6455 §1.3: {head}");
        socket
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.write_all(&Socket::frame(text)).await.unwrap();
    }

    /// So many octets at a time.
    async fn say_slowly(&mut self, text: &str, piece: usize, pause: Duration) {
        for octets in Socket::frame(text).chunks(piece) {
            if self.0.write_all(octets).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn frame(text: &str) -> Vec<u8> {
        let octets = text.as_bytes();
        let mut frame = vec![0x81];
        match u8::try_from(octets.len()) {
            Ok(short) if short < 126 => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(octets.len()).unwrap().to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(octets.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask));
        frame
    }

    /// Whatever it is.
    async fn say_octets(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.unwrap();
    }

    /// The code of the Close frame that comes next.
    async fn hear_close(&mut self) -> u16 {
        loop {
            let (first, length) = (self.0.read_u8().await.unwrap(), self.0.read_u8().await.unwrap());
            let mut octets = vec![0; usize::from(length)];
            self.0.read_exact(&mut octets).await.unwrap();
            match first {
                0x88 => return u16::from_be_bytes([octets[0], octets[1]]),
                // It is asked whether anybody is there.
                first => assert_eq!(first, 0x89),
            }
        }
    }

    /// The next text; `None`: closed. Pings are passed over.
    pub(crate) async fn hear(&mut self) -> Option<Value> {
        loop {
            let first = tokio::time::timeout(Duration::from_secs(20), self.0.read_u8()).await.unwrap().ok()?;
            let mut length = u64::from(self.0.read_u8().await.ok()?);
            if length == 126 {
                length = u64::from(self.0.read_u16().await.ok()?);
            } else if length == 127 {
                length = self.0.read_u64().await.ok()?;
            }
            let mut octets = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut octets).await.ok()?;
            match first & 15 {
                1 => return Some(serde_json::from_slice(&octets).unwrap()),
                8 => return None,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn requests_and_changes_on_one_socket() {
    let office = Office::new().await;
    let mut socket = Socket::open(&office).await;
    // RFC 8887 §4.4, its example's shape.
    let request = json!({
        "@type": "Request", "id": "R1", "using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"hello": true}, "b3ff"]],
    });
    socket.say(&request.to_string()).await;
    let answer = socket.hear().await.unwrap();
    assert_eq!((&answer["@type"], &answer["requestId"]), (&json!("Response"), &json!("R1")));
    assert_eq!(answer["methodResponses"], json!([["Core/echo", {"hello": true}, "b3ff"]]));
    socket.say("{nonsense").await;
    let error = socket.hear().await.unwrap();
    assert_eq!((&error["@type"], &error["type"]), (&json!("RequestError"), &json!("urn:ietf:params:jmap:error:notJSON")));
    let many = json!({"@type": "Request", "id": "R2", "using": ["urn:ietf:params:jmap:core"], "methodCalls": vec![json!(["Core/echo", {}, "x"]); web::limits::CALLS_MAX + 1]});
    socket.say(&many.to_string()).await;
    let error = socket.hear().await.unwrap();
    assert_eq!((&error["requestId"], &error["limit"]), (&json!("R2"), &json!("maxCallsInRequest")));
    // Nothing is pushed before it is asked for.
    office.put("INBOX", "Subject: one\r\n\r\nx", NOW, 0).await;
    socket.say(&json!({"@type": "WebSocketPushEnable", "dataTypes": ["Email"]}).to_string()).await;
    socket.say(&json!({"@type": "Nothing", "id": "R3"}).to_string()).await;
    assert_eq!(socket.hear().await.unwrap()["requestId"], "R3");
    office.put("INBOX", "Subject: two\r\n\r\nx", NOW, 0).await;
    let change = socket.hear().await.unwrap();
    let state = change["changed"]["A1"]["Email"].clone();
    assert_eq!((&change["@type"], &change["pushState"]), (&json!("StateChange"), &state));
    assert_eq!(change["changed"]["A1"].as_object().unwrap().len(), 1);
    // What happened while nobody listened is told at once.
    socket.say(&json!({"@type": "WebSocketPushDisable"}).to_string()).await;
    socket.say(&json!({"@type": "Nothing", "id": "R4"}).to_string()).await;
    assert_eq!(socket.hear().await.unwrap()["requestId"], "R4");
    office.put("INBOX", "Subject: three\r\n\r\nx", NOW, 0).await;
    socket.say(&json!({"@type": "WebSocketPushEnable", "dataTypes": null, "pushState": state}).to_string()).await;
    assert!(socket.hear().await.unwrap()["changed"]["A1"]["Mailbox"].is_string());
    // Signed out, it ends.
    let secrets = store::Secrets { argon2: "new".into(), scram: None };
    office.store.account_secrets(office.ann, secrets).await.unwrap();
    while socket.hear().await.is_some() {}
}

/// Changes are gathered for a moment before they are told; who asks meanwhile does not wait for that. An answer that a machine
/// at its work holds up that long may come after all, and one may come first by chance: twelve in a row do, sooner or later.
#[tokio::test]
async fn an_answer_does_not_wait_for_what_is_told_of_the_change() {
    let office = Office::new().await;
    let mut socket = Socket::open(&office).await;
    socket.say(&json!({"@type": "WebSocketPushEnable", "dataTypes": ["Email"]}).to_string()).await;
    let mut firsts = Vec::new();
    for round in 0..120 {
        let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
        let create = json!({"n": {"mailboxIds": {office.mailbox_id("INBOX").await: true}, "subject": round.to_string()}});
        let calls = json!([["Email/set", {"accountId": office.account_id(), "create": create}, "s"]]);
        socket.say(&json!({"@type": "Request", "id": "R", "using": using, "methodCalls": calls}).to_string()).await;
        let told = [socket.hear().await.unwrap(), socket.hear().await.unwrap()];
        let kinds: Vec<&str> = told.iter().map(|one| one["@type"].as_str().unwrap()).collect();
        assert!(kinds.contains(&"Response") && kinds.contains(&"StateChange"), "{kinds:?}");
        firsts.push(kinds[0] == "Response");
        if firsts.ends_with(&[true; 12]) {
            return;
        }
    }
    panic!("{firsts:?}");
}

/// RFC 8887 §4.3.1: a server answers what is not of the form of an object it knows with a RequestError. §4.3.5.2: "Upon receipt of a
/// pushState token, the server SHOULD immediately send all changes since that state token."
#[tokio::test]
async fn what_is_not_of_its_form_is_refused_and_a_strange_state_tells_everything() {
    let office = Office::new().await;
    office.put("INBOX", "Subject: one\r\n\r\nx", NOW, 0).await;
    let mut socket = Socket::open(&office).await;
    for wrong in [
        json!({"@type": "WebSocketPushEnable", "dataTypes": "Email"}),
        json!({"@type": "WebSocketPushEnable", "dataTypes": ["Email", 1]}),
        json!({"@type": "WebSocketPushEnable", "dataTypes": null, "pushState": 1}),
        json!({"@type": "Request", "id": 1, "using": [], "methodCalls": []}),
        json!({"@type": "Response"}),
        json!(["Request"]),
    ] {
        socket.say(&wrong.to_string()).await;
        let error = socket.hear().await.unwrap();
        assert_eq!((&error["@type"], &error["type"]), (&json!("RequestError"), &json!("urn:ietf:params:jmap:error:notRequest")));
    }
    socket.say(&json!({"@type": "WebSocketPushEnable", "id": "E", "dataTypes": 1}).to_string()).await;
    assert_eq!(socket.hear().await.unwrap()["requestId"], "E");
    socket.say(r#"{"@type": "Request", "id": "R", "id": "R", "using": [], "methodCalls": []}"#).await;
    assert_eq!(socket.hear().await.unwrap()["type"], "urn:ietf:params:jmap:error:notJSON");
    for strange in ["somebody else's", "99999999"] {
        socket.say(&json!({"@type": "WebSocketPushEnable", "dataTypes": ["Email"], "pushState": strange}).to_string()).await;
        let told = socket.hear().await.unwrap();
        assert!(told["@type"] == "StateChange" && told["changed"]["A1"]["Email"].is_string(), "{told}");
    }
}

/// What is answered over HTTP is answered here, however large it is.
#[tokio::test]
async fn a_large_answer_comes_whole() {
    let office = Office::new().await;
    let head = format!("POST /jmap/upload/A1/ HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    let blob = office.ask(&head, &vec![b'x'; 9_000_000]).await.json()["blobId"].clone();
    let ask = json!(["Blob/get", {"accountId": office.account_id(), "ids": [blob], "properties": ["data:asBase64"]}, "c"]);
    let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:blob"];
    let mut socket = Socket::open(&office).await;
    socket.say(&json!({"@type": "Request", "id": "R", "using": using, "methodCalls": vec![ask; 4]}).to_string()).await;
    let answer = socket.hear().await.expect("it goes on");
    let lens = (0..4).map(|at| answer["methodResponses"][at][1]["list"][0]["data:asBase64"].as_str().map(str::len));
    assert_eq!(lens.collect::<Vec<_>>(), [Some(12_000_000); 4]);
}

/// RFC 8887 §4.3.1: what is too large is a request-level error as well; RFC 6455 §7.4.1 and §7.1.7: the Close frame says why.
#[tokio::test]
async fn what_is_no_message_is_told_why() {
    let office = Office::new().await;
    let large = |length: u64| [&[0x81, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat();
    let mut socket = Socket::open(&office).await;
    socket.say_octets(&large(web::limits::REQUEST_BYTES_MAX + 1)).await;
    let error = socket.hear().await.unwrap();
    assert_eq!((&error["@type"], &error["limit"]), (&json!("RequestError"), &json!("maxSizeRequest")), "{error}");
    assert_eq!(socket.hear_close().await, 1009);
    for (frame, code) in [
        (vec![0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        // Not masked, and a reserved bit.
        (vec![0x81, 0x01, b'x'], 1002),
        (vec![0xc1, 0x81, 0, 0, 0, 0, b'x'], 1002),
        (vec![0x82, 0x81, 0, 0, 0, 0, b'x'], 1003),
    ] {
        let mut socket = Socket::open(&office).await;
        socket.say_octets(&frame).await;
        assert_eq!(socket.hear_close().await, code, "{frame:?}");
    }
    // As large as may be is waited for.
    let mut socket = Socket::open(&office).await;
    socket.say_octets(&large(web::limits::REQUEST_BYTES_MAX)).await;
    let soon = tokio::time::timeout(Duration::from_millis(300), socket.hear()).await;
    assert!(soon.is_err(), "{soon:?}");
}

/// A large message from somewhere with a slow line: pings cannot be answered meanwhile. Octet by octet is no line so slow.
#[tokio::test]
async fn a_message_that_comes_slowly_is_waited_for_and_silence_is_not() {
    let office = Office::impatient().await;
    let mut socket = Socket::open(&office).await;
    let calls = json!([["Core/echo", {"long": "x".repeat(20_000)}, "c"]]);
    let request =
        json!({"@type": "Request", "id": "R", "using": ["urn:ietf:params:jmap:core"], "methodCalls": calls}).to_string();
    let pause = Duration::from_millis(50);
    let began = std::time::Instant::now();
    socket.say_slowly(&request, 200, pause).await;
    assert!(began.elapsed() > Duration::from_secs(3), "longer than silence is borne");
    assert_eq!(socket.hear().await.unwrap()["requestId"], "R");
    let began = std::time::Instant::now();
    while socket.hear().await.is_some() {}
    assert!(began.elapsed() < Duration::from_secs(15));

    let mut socket = Socket::open(&office).await;
    let trickling = socket.say_slowly(&request, 1, pause);
    assert!(tokio::time::timeout(Duration::from_secs(30), trickling).await.is_ok(), "it was cut off");
    while socket.hear().await.is_some() {}
}

#[tokio::test]
async fn no_socket_for_strangers_or_other_pages() {
    let office = Office::new().await;
    let basic = Office::basic("ann@here.test", "pw");
    let status = async |more: &str| Socket::ask(&office, more).await.0.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(status("Sec-WebSocket-Protocol: jmap\r\n").await, "401");
    assert_eq!(status(&basic).await, "400");
    assert_eq!(status(&format!("Sec-WebSocket-Protocol: jmap\r\nOrigin: http://evil.test\r\n{basic}")).await, "403");
    assert_eq!(status(&format!("Sec-WebSocket-Protocol: jmap\r\nOrigin: http://here.test\r\n{basic}")).await, "101");
    // More than may be open.
    let mut open = Vec::new();
    for _ in 0..web::limits::STREAMS_MAX {
        open.push(Socket::open(&office).await);
    }
    assert_eq!(status(&format!("Sec-WebSocket-Protocol: jmap\r\n{basic}")).await, "429");
}
