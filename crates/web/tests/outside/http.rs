//! Connections, sign-in, sessions, and what comes from a page that is not ours.

use crate::office::{Answer, Office, read_answer};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use web::Plaintext;

const OURS: &str = "Origin: http://here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n";

async fn sign_in(office: &Office, password: &str) -> Answer {
    let body = json!({"address": "ann@here.test", "password": password}).to_string();
    office.ask(&format!("POST /api/sign-in HTTP/1.1\r\nUser-Agent: Tester\r\n{OURS}"), body.as_bytes()).await
}

async fn cookie(office: &Office) -> String {
    let answer = sign_in(office, "pw").await;
    assert_eq!((answer.status, answer.json()["accountId"].as_str()), (200, Some("A1")));
    let cookie = answer.headers["set-cookie"].clone();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000"), "{cookie}");
    format!("Cookie: a=b; {}\r\n", cookie.split(';').next().unwrap())
}

#[tokio::test]
async fn a_browser_signs_in_and_out() {
    let office = Office::new().await;
    assert_eq!(office.ask("GET /api/me HTTP/1.1\r\n", b"").await.status, 401);
    assert_eq!(sign_in(&office, "wrong").await.status, 401);
    let later = sign_in(&office, "later").await;
    assert_eq!((later.status, later.headers["retry-after"].as_str()), (429, "30"));
    let one = cookie(&office).await;
    let two = cookie(&office).await;
    let me = office.ask(&format!("GET /api/me HTTP/1.1\r\n{one}"), b"").await;
    assert_eq!(me.json(), json!({"address": "ann@here.test", "accountId": "A1"}));
    assert_eq!(me.headers["cache-control"], "no-store");
    let all = office.ask(&format!("GET /api/sessions HTTP/1.1\r\n{one}"), b"").await.json();
    let all = all["sessions"].as_array().unwrap();
    assert_eq!((all.len(), all[0]["userAgent"].as_str(), all[0]["address"].as_str()), (2, Some("Tester"), Some("127.0.0.1")));
    assert_eq!(all.iter().filter(|one| one["isCurrent"] == true).count(), 1);
    // The others end, then this one.
    let revoked = office.ask(&format!("POST /api/sessions/revoke HTTP/1.1\r\n{one}{OURS}"), br#"{"others": true}"#).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\n{two}"), b"").await.status, 401);
    let out = office.ask(&format!("POST /api/sign-out HTTP/1.1\r\n{one}{OURS}"), b"{}").await;
    assert_eq!((out.status, out.headers["clear-site-data"].as_str()), (200, "\"cache\", \"cookies\", \"storage\""));
    assert!(out.headers["set-cookie"].contains("Max-Age=0"));
    assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\n{one}"), b"").await.status, 401);
}

#[tokio::test]
async fn a_session_ends_with_a_new_password_and_is_kept_as_a_hash() {
    let office = Office::new().await;
    let one = cookie(&office).await;
    let token = one.trim().rsplit('.').next().unwrap().to_owned();
    for (name, value) in office.store.records(office.ann, 1).await.unwrap() {
        assert!(!name.contains(&token) && !String::from_utf8(value).unwrap().contains(&token));
    }
    let secrets = store::Secrets { argon2: "new".into(), scram: None };
    office.store.account_secrets(office.ann, secrets).await.unwrap();
    assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\n{one}"), b"").await.status, 401);
    for nonsense in ["1.", "1.AAAA", "zz.AAAA", "", "1", "ffffffff.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\nCookie: packetboat={nonsense}\r\n"), b"").await.status, 401);
    }
}

#[tokio::test]
async fn a_page_that_is_not_ours_reaches_nothing() {
    let office = Office::new().await;
    let one = cookie(&office).await;
    let body = br#"{"using":["urn:ietf:params:jmap:core"],"methodCalls":[]}"#;
    let post = |more: &str| format!("POST /jmap/api HTTP/1.1\r\n{one}{more}");
    assert_eq!(office.ask(&post(OURS), body).await.status, 200);
    for wrong in [
        "Content-Type: application/json\r\n",
        "Content-Type: application/json\r\nX-Packetboat: 1\r\n",
        "Content-Type: application/json\r\nOrigin: http://here.test\r\n",
        "Content-Type: application/json\r\nX-Packetboat: 1\r\nOrigin: http://evil.test\r\n",
        "Content-Type: application/json\r\nX-Packetboat: 1\r\nOrigin: null\r\n",
    ] {
        assert_eq!(office.ask(&post(wrong), body).await.status, 403, "{wrong}");
    }
    assert_eq!(
        office.ask(&post("Content-Type: text/plain\r\nX-Packetboat: 1\r\nOrigin: http://here.test\r\n"), body).await.status,
        400
    );
    let framed = office.ask(&format!("GET /api/me HTTP/1.1\r\n{one}Sec-Fetch-Site: cross-site\r\n"), b"").await;
    assert_eq!(framed.status, 403);
    // DNS rebinding: their name leads to us.
    for (host, status) in [
        ("evil.test", 421),
        ("here.test.evil.test", 421),
        ("nothere.test", 421),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("localhost:1", 200),
        ("MAIL.here.test", 200),
    ] {
        assert_eq!(office.ask(&format!("GET /api/me HTTP/1.1\r\nHost: {host}\r\n{one}"), b"").await.status, status, "{host}");
    }
    // RFC 9112 §3.2: no two of them, and who is meant may stand in the target, too.
    let two = format!("GET /api/me HTTP/1.1\r\nHost: here.test\r\nHost: evil.test\r\n{one}");
    assert_eq!(office.ask(&two, b"").await.status, 400);
    for (host, status) in [("here.test", 200), ("evil.test", 421)] {
        let whole = format!("GET http://{host}/api/me HTTP/1.1\r\nHost: here.test\r\n{one}");
        assert_eq!(office.ask(&whole, b"").await.status, status, "{host}");
    }
}

/// RFC 9112 §3.2, and RFC 9110 §15.5.6.
#[tokio::test]
async fn a_request_names_its_host_and_a_page_is_only_read() {
    let office = Office::new().await;
    let asked = async |head: &str| {
        let mut stream = office.connect("127.0.0.1", false);
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
        read_answer(&mut stream).await
    };
    for (head, status) in [
        ("GET / HTTP/1.1\r\n", 400),
        ("GET http://here.test/ HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: here test\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: ann@here.test\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: here.test:http\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\u{e9}re.test\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: here.test\r\nHost: here.test\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n", 421),
        // Who speaks HTTP/1.0 need not know.
        ("GET / HTTP/1.0\r\n", 421),
        ("GET / HTTP/1.0\r\nHost: here.test\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: here.test:\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: [::1]\r\n", 200),
    ] {
        assert_eq!(asked(head).await.status, status, "{head}");
    }
    for method in ["PUT", "TRACE", "OPTIONS", "DELETE", "NONSENSE"] {
        for (path, status, allow) in
            [("/", 405, "GET, HEAD"), ("/api/me", 405, "GET,HEAD"), ("/jmap/api", 405, "POST"), ("/none", 404, "")]
        {
            let answer = asked(&format!("{method} {path} HTTP/1.1\r\nHost: here.test\r\n")).await;
            let allowed = answer.headers.get("allow").map_or("", String::as_str);
            assert_eq!((answer.status, allowed), (status, allow), "{method} {path}");
        }
    }
}

/// RFC 6797 §7.2: said over TLS alone, with every answer, of the very name; not of what is this machine's own name.
#[tokio::test]
async fn who_came_by_tls_comes_so_again() {
    let office = Office::strict(86_400).await;
    let said = async |office: &Office, ip: &str, tls: bool, head: &str| {
        let answer = office.ask_from(ip, tls, head, b"").await;
        answer.headers.get("strict-transport-security").cloned().unwrap_or_default()
    };
    for path in ["/", "/api/me", "/jmap/session", "/nothing"] {
        let head = format!("GET {path} HTTP/1.1\r\n");
        assert_eq!(said(&office, "192.0.2.1", true, &head).await, "max-age=86400", "{path}");
        assert_eq!(said(&office, "192.0.2.1", false, &head).await, "", "{path}");
        // A proxy that ends TLS says what it will.
        let proxied = format!("{head}X-Forwarded-Proto: https\r\n");
        assert_eq!(said(&office, "127.0.0.1", false, &proxied).await, "", "{path}");
    }
    for (host, wanted) in [
        ("localhost", ""),
        ("LOCALHOST.:993", ""),
        ("a.localhost", ""),
        ("evil.test", ""),
        ("mail.here.test:443", "max-age=86400"),
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n");
        assert_eq!(said(&office, "192.0.2.1", true, &head).await, wanted, "{host}");
    }
    assert_eq!(said(&Office::strict(0).await, "192.0.2.1", true, "GET / HTTP/1.1\r\n").await, "max-age=0");
    assert_eq!(said(&Office::new().await, "192.0.2.1", true, "GET / HTTP/1.1\r\n").await, "");
}

/// RFC 9112 §6: of one message nobody, and no proxy in front, reads two, or half of one.
#[tokio::test]
async fn a_message_has_one_length() {
    let office = Office::new().await;
    let asked = async |fields: &str, body: &str| {
        let mut stream = office.connect("127.0.0.1", false);
        let more = "GET /second HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\n\r\n";
        let octets = format!("POST /first HTTP/1.1\r\nHost: here.test\r\n{fields}\r\n{body}{more}");
        stream.write_all(octets.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        let text = String::from_utf8_lossy(&all).into_owned();
        text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(asked("Content-Length: 4\r\n", "abcd").await, "404 404");
    assert_eq!(asked("Transfer-Encoding: chunked\r\n", "4\r\nabcd\r\n0\r\n\r\n").await, "404 404");
    assert_eq!(asked("Transfer-Encoding: CHUNKED\r\n", "4;a=b\r\nabcd\r\n0\r\n\r\n").await, "404 404");
    for (fields, body, answers) in [
        ("Content-Length: 4\r\nContent-Length: 5\r\n", "abcd", "400"),
        ("Content-Length: 4, 4\r\n", "abcd", "400"),
        ("Content-Length: +4\r\n", "abcd", "400"),
        ("Content-Length : 4\r\n", "abcd", "400"),
        ("X: a\r\n Content-Length: 4\r\n", "abcd", "400"),
        ("Transfer-Encoding: identity\r\n", "0\r\n\r\n", "400"),
        ("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n", "400"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n", "400"),
        ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", "501"),
        ("Transfer-Encoding: xchunked, chunked\r\n", "0\r\n\r\n", "501"),
        // Both: the connection is over after it.
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "404"),
        ("Transfer-Encoding: chunked\r\n", "4;a=\nb\r\nabcd\r\n0\r\n\r\n", "408"),
        ("Transfer-Encoding: chunked\r\n", "4\nabcd\n0\n\n", "408"),
        ("Transfer-Encoding: chunked\r\n", "0x4\r\nabcd\r\n0\r\n\r\n", "408"),
        ("Transfer-Encoding: chunked\r\n", "4\r\nabcdXX0\r\n\r\n", "408"),
    ] {
        assert_eq!(asked(fields, body).await, answers, "{fields:?} {body:?}");
    }
}

/// No script runs but the program's own files, and the page has none within: policy and page, as they are served.
#[tokio::test]
async fn the_page_has_no_script_within() {
    let office = Office::new().await;
    for path in ["/", "/sign-in", "/m/0/inbox", "/frame"] {
        let page = office.ask(&format!("GET {path} HTTP/1.1\r\n"), b"").await;
        assert_eq!(page.status, 200, "{path}");
        let policy = page.headers["content-security-policy"].clone();
        let scripts = policy.split(';').map(str::trim).find(|one| one.starts_with("script-src"));
        assert!(policy.starts_with("default-src 'none'") && matches!(scripts, None | Some("script-src 'self'")), "{policy}");
        for word in ["base-uri 'none'", "form-action 'none'"] {
            assert!(policy.contains(word) || policy.contains("sandbox"), "{path}: {policy}");
        }
        let text = String::from_utf8(page.body.to_vec()).unwrap().to_lowercase();
        for script in text.split("<script").skip(1) {
            let (tag, rest) = script.split_once('>').unwrap();
            assert!(tag.contains("src=") && rest.trim_start().starts_with("</script"), "{path}: {tag}");
        }
        let tags = text.split('<').filter_map(|piece| piece.split_once('>')).map(|(tag, _)| tag);
        let handlers = tags.flat_map(str::split_ascii_whitespace).filter(|word| word.starts_with("on") && word.contains('='));
        assert_eq!(handlers.collect::<Vec<_>>(), [""; 0], "{path}");
        assert!(!text.contains("javascript:"), "{path}");
    }
}

#[tokio::test]
async fn a_password_needs_tls_where_the_mail_listeners_say_so() {
    for (plaintext, here, elsewhere) in
        [(Plaintext::Never, 403, 403), (Plaintext::Loopback, 200, 403), (Plaintext::Always, 200, 200)]
    {
        let office = Office::with(plaintext).await;
        let basic = format!("GET /.well-known/jmap HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
        assert_eq!(office.ask_from("127.0.0.1", false, &basic, b"").await.status, here);
        assert_eq!(office.ask_from("192.0.2.1", false, &basic, b"").await.status, elsewhere);
        assert_eq!(office.ask_from("192.0.2.1", true, &basic, b"").await.status, 200);
        let body = br#"{"address": "ann@here.test", "password": "pw"}"#;
        let answer = office.ask_from("192.0.2.1", false, &format!("POST /api/sign-in HTTP/1.1\r\n{OURS}"), body).await;
        assert_eq!(answer.status, elsewhere);
        let answer = office.ask_from("192.0.2.1", true, &format!("POST /api/sign-in HTTP/1.1\r\n{OURS}"), body).await;
        assert!(answer.headers["set-cookie"].ends_with("; Secure"));
    }
    // A proxy in front ends TLS, and says so.
    let office = Office::new().await;
    let head = "POST /api/sign-in HTTP/1.1\r\nX-Forwarded-Proto: https\r\nOrigin: https://here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n";
    let answer = office.ask(head, br#"{"address": "ann@here.test", "password": "pw"}"#).await;
    assert!(answer.headers["set-cookie"].ends_with("; Secure"));
}

#[tokio::test]
async fn wrong_passwords_through_a_proxy_count_where_they_come_from() {
    let office = Office::new().await;
    for (peer, fields, counted) in [
        // Nobody in between: loopback never waits, and from elsewhere a field is only words.
        ("127.0.0.1", "", None),
        ("192.0.2.1", "", Some("192.0.2.1")),
        ("192.0.2.1", "X-Forwarded-For: 198.51.100.7\r\n", Some("192.0.2.1")),
        // A proxy on this machine: what it adds is the last of all.
        ("127.0.0.1", "X-Forwarded-For: 198.51.100.7\r\n", Some("198.51.100.7")),
        ("::1", "X-Forwarded-For: 203.0.113.1, 198.51.100.7\r\n", Some("198.51.100.7")),
        ("127.0.0.1", "X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: 2001:db8::7\r\n", Some("2001:db8::7")),
        ("127.0.0.1", "X-Forwarded-For: [2001:db8::7]:4711\r\n", Some("2001:db8::7")),
        ("127.0.0.1", "X-Forwarded-For: [2001:db8::7]\r\n", Some("2001:db8::7")),
        ("127.0.0.1", "X-Forwarded-For: 198.51.100.7:4711\r\n", Some("198.51.100.7")),
        ("127.0.0.1", "X-Forwarded-For: ::ffff:198.51.100.7\r\n", Some("198.51.100.7")),
        // Its word that somebody is on its own machine earns nothing, nor does what nobody can read.
        ("127.0.0.1", "X-Forwarded-For: 127.0.0.1\r\n", Some("0.0.0.0")),
        ("127.0.0.1", "X-Forwarded-For: unknown\r\n", Some("0.0.0.0")),
        ("127.0.0.1", "X-Forwarded-For: 198.51.100.7,\r\n", Some("0.0.0.0")),
    ] {
        let counted = counted.map(|ip| ip.parse().unwrap());
        let body = br#"{"address": "ann@here.test", "password": "wrong"}"#;
        let page = format!("POST /api/sign-in HTTP/1.1\r\n{OURS}{fields}");
        assert_eq!(office.ask_from(peer, true, &page, body).await.status, 401);
        assert_eq!(office.doors.counted.lock().unwrap().take(), counted, "{peer} {fields}");
        let program = format!("GET /.well-known/jmap HTTP/1.1\r\n{}{fields}", Office::basic("ann@here.test", "wrong"));
        assert_eq!(office.ask_from(peer, true, &program, b"").await.status, 401);
        assert_eq!(office.doors.counted.lock().unwrap().take(), counted, "{peer} {fields}");
    }
    // One's list of sessions says so, too.
    let page = format!("POST /api/sign-in HTTP/1.1\r\n{OURS}X-Forwarded-For: 198.51.100.7\r\n");
    let answer = office.ask(&page, br#"{"address": "ann@here.test", "password": "pw"}"#).await;
    let cookie = answer.headers["set-cookie"].split(';').next().unwrap().to_owned();
    let all = office.ask(&format!("GET /api/sessions HTTP/1.1\r\nCookie: {cookie}\r\n"), b"").await.json();
    assert_eq!(all["sessions"][0]["address"], "198.51.100.7");
}

#[tokio::test]
async fn hostile_http_is_answered_or_closed() {
    let office = Office::new().await;
    for junk in [
        "\0\0\0\0\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /\r\n\r\n",
        "POST /jmap/api HTTP/1.1\r\nHost: here.test\r\nContent-Length: x\r\n\r\n",
    ] {
        let mut stream = office.connect("127.0.0.1", false);
        stream.write_all(junk.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505"),
            "{junk:?}: {answer}"
        );
    }
    // A head without end, and one that is too long.
    let mut stream = office.connect("127.0.0.1", false);
    let long = format!("GET / HTTP/1.1\r\nHost: here.test\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // In chunks, of any size.
    let body = r#"{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{"a":1},"x"]]}"#;
    let mut stream = office.connect("127.0.0.1", false);
    let head = format!(
        "POST /jmap/api HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n{}\r\n",
        Office::basic("ann@here.test", "pw")
    );
    for octet in head.as_bytes().chunks(7) {
        stream.write_all(octet).await.unwrap();
    }
    for piece in body.as_bytes().chunks(3) {
        stream.write_all(format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)).as_bytes()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert_eq!(answer.status, 200);
    // Both lengths at once is how requests are smuggled.
    let mut stream = office.connect("127.0.0.1", false);
    stream.write_all(b"POST /x HTTP/1.1\r\nHost: here.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/me HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    let answers = String::from_utf8_lossy(&all).matches("HTTP/1.1 ").count();
    assert!(answers <= 2, "{}", String::from_utf8_lossy(&all));
}

#[tokio::test(start_paused = true)]
async fn a_silent_or_slow_peer_is_gone() {
    let office = Office::new().await;
    let mut silent = office.connect("127.0.0.1", false);
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
    // A body that does not come.
    let mut slow = office.connect("127.0.0.1", false);
    let head = format!(
        "POST /jmap/api HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\nContent-Length: 100\r\nContent-Type: application/json\r\n{}\r\n{{",
        Office::basic("ann@here.test", "pw")
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut slow).await.status, 408);
    // A head that does not end.
    let mut half = office.connect("127.0.0.1", false);
    half.write_all(b"GET / HTTP/1.1\r\nHost: here.test\r\n").await.unwrap();
    half.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_that_nobody_reads_is_over() {
    let office = Office::new().await;
    let mut deaf = office.connect_narrow("127.0.0.1", false, 4096);
    let basic = Office::basic("ann@here.test", "pw");
    let head = format!("GET /jmap/eventsource/?types=*&closeafter=no&ping=5 HTTP/1.1\r\nHost: here.test\r\n{basic}\r\n");
    deaf.write_all(head.as_bytes()).await.unwrap();
    // Long past what fits on the way.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let mut got = Vec::new();
    let all = deaf.read_to_end(&mut got);
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("it is over").unwrap();
    assert!(got.starts_with(b"HTTP/1.1 200 ") && got.len() <= 4096, "{}", got.len());
}

#[tokio::test]
async fn a_request_is_as_large_as_said_and_no_larger() {
    let office = Office::new().await;
    let head = format!("POST /jmap/api HTTP/1.1\r\n{}Content-Type: application/json\r\n", Office::basic("ann@here.test", "pw"));
    let body = |octets: usize| {
        let fixed = json!({"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"x": ""}, "0"]]}).to_string();
        fixed.replace("\"x\":\"\"", &format!("\"x\":\"{}\"", "y".repeat(octets - fixed.len()))).into_bytes()
    };
    let max = usize::try_from(web::limits::REQUEST_BYTES_MAX).unwrap();
    assert_eq!(office.ask(&head, &body(max)).await.status, 200);
    let answer = office.ask(&head, &body(max + 1)).await;
    assert_eq!((answer.status, answer.json()["limit"].as_str()), (400, Some("maxSizeRequest")));
    // What is announced as larger than is ever read is not waited for.
    let mut stream = office.connect("127.0.0.1", false);
    let endless = format!("{head}Host: here.test\r\nConnection: close\r\nContent-Length: 9223372036854775807\r\n\r\n{{");
    stream.write_all(endless.as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(20), read_answer(&mut stream)).await.expect("it waits for the body");
    assert_eq!((answer.status, answer.json()["limit"].as_str()), (400, Some("maxSizeRequest")));
}

#[tokio::test]
async fn a_body_nobody_asked_for_is_read_before_the_answer() {
    let office = Office::new().await;
    let post = async |octets: usize, more: &str| {
        office.ask(&format!("POST /nothing HTTP/1.1\r\n{more}"), &vec![b'x'; octets]).await.status
    };
    assert_eq!(post(300_000, "").await, 404);
    assert_eq!(post(3_000_000, "").await, 413);
    assert_eq!(post(3_000_000, "Expect: 100-continue\r\n").await, 413);
}
