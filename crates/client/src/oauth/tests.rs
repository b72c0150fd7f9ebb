//! Sign-ins by token, with a provider on loopback that says what it is told to.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;

#[test]
fn only_an_answer_with_our_state_counts() {
    let line = |query: &str| brought(&format!("GET /?{query} HTTP/1.1"), "st-1");
    assert_eq!(line("code=a%2Fb+c&state=st-1"), Some(Ok("a/b c".into())));
    assert_eq!(line("state=st-1&error=access_denied"), Some(Err("access_denied".into())));
    for stranger in ["code=a&state=other", "code=a", "state=st-1", "code=%zz&state=st-1x"] {
        assert_eq!(line(stranger), None, "{stranger}");
    }
    assert_eq!(brought("POST /?code=a&state=st-1 HTTP/1.1", "st-1"), None);
}

#[test]
fn urls() {
    assert_eq!(parts("https://id.test/token").unwrap(), (true, "id.test".into(), 443, "/token".into()));
    assert_eq!(parts("http://127.0.0.1:8080").unwrap(), (false, "127.0.0.1".into(), 8080, "/".into()));
    for bad in ["ftp://x/", "https://", "https://u@h/", "https://h:x/", "https://h/a b", "x"] {
        assert!(parts(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_a_token_endpoint_says() {
    let registered = Registered { client_id: "me".into(), client_secret: None };
    let read = |text: &str| tokens(&serde_json::from_str(text).unwrap(), &registered, "https://id.test/");
    let got = read(r#"{"access_token": "at", "refresh_token": "rt", "expires_in": "10"}"#).unwrap();
    assert_eq!((got.access.as_str(), got.refresh.as_str()), ("at", "rt"));
    assert!(got.expires_secs <= unix_now() + 10);
    assert_eq!(read(r#"{"error": "authorization_pending"}"#).unwrap_err(), "authorization_pending");
    assert!(read(r#"{"access_token": "a\u0001b"}"#).is_err() && read("[]").is_err());
    assert_eq!(format!("{got:?}"), "Tokens", "a token is not for logs");
}

/// A provider on loopback: what was asked of it (path and form), and what it answers, one after the other; the last for ever.
struct Provider {
    url: String,
    asked: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Provider {
    async fn saying(answers: &[(&'static str, &'static str)]) -> Provider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let (heard, mut answers) = (std::sync::Arc::clone(&asked), answers.to_vec());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut octets = Vec::new();
                let mut piece = [0; 4096];
                // All of it: the head says how long the rest is.
                let text = loop {
                    let count = stream.read(&mut piece).await.unwrap_or(0);
                    octets.extend_from_slice(piece.get(..count).unwrap());
                    let text = String::from_utf8_lossy(&octets).into_owned();
                    let length = text.split("Content-Length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
                    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                    if count == 0 || body.is_some_and(|body| body >= length.unwrap_or(0usize)) {
                        break text;
                    }
                };
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                let form = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
                heard.lock().unwrap().push(format!("{path} {form}"));
                let (status, body) = if answers.len() > 1 { answers.remove(0) } else { *answers.first().unwrap() };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Provider { url, asked }
    }

    fn server(&self) -> Server {
        let at = |path: &str| format!("{}/{path}", self.url);
        Server { authorization: String::new(), token: at("token"), device: at("device"), scope: "mail".into() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn me() -> Registered {
    Registered { client_id: "me".into(), client_secret: Some("s&1".into()) }
}

fn near() -> Dialer {
    Dialer::new(None).unwrap().within(net::Reach::Loopback)
}

const DEVICE: (&str, &str) = (
    "200 OK",
    r#"{"device_code": "d-1", "user_code": "AB-CD", "verification_uri": "https://id.test/go", "interval": 1, "expires_in": 60}"#,
);

#[tokio::test]
async fn a_code_is_typed_and_then_there_are_tokens() {
    let granted = ("200 OK", r#"{"access_token": "at", "refresh_token": "rt", "expires_in": 5}"#);
    let provider = Provider::saying(&[
        DEVICE,
        ("400 Bad Request", r#"{"error": "authorization_pending"}"#),
        ("503 Service Unavailable", "try later"),
        granted,
    ])
    .await;
    let (dialer, server) = (near(), provider.server());
    let device = ask_device(&dialer, &server, &me()).await.unwrap();
    assert_eq!((device.page.as_str(), device.code.as_str()), ("https://id.test/go", "AB-CD"));
    let got = wait_device(&dialer, &server, &me(), &device).await.unwrap();
    assert_eq!((got.access.as_str(), got.refresh.as_str(), got.client_secret.as_deref()), ("at", "rt", Some("s&1")));
    let asked = provider.asked();
    assert_eq!(asked[0], "/device client_id=me&scope=mail&client_secret=s%261");
    assert_eq!(asked.len(), 4, "a provider in trouble is asked again: {asked:?}");
    assert!(
        asked[1]
            .starts_with("/token grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=d-1&client_id=me")
    );
}

#[tokio::test]
async fn a_refusal_is_told_in_words() {
    for (error, words) in [
        (
            r#"{"error": "access_denied", "error_description": "Ann said\u0007 no"}"#,
            "the sign-in was refused there (access_denied: Ann said no)",
        ),
        (r#"{"error": "expired_token"}"#, "nobody typed the code in time"),
        (r#"{"error": "odd"}"#, "the provider says no: odd"),
    ] {
        let provider = Provider::saying(&[DEVICE, ("400 Bad Request", error)]).await;
        let device = ask_device(&near(), &provider.server(), &me()).await.unwrap();
        let why = wait_device(&near(), &provider.server(), &me(), &device).await.unwrap_err();
        assert!(matches!(&why, Trouble::SignIn(text) if text.contains(words)), "{why}");
    }
    let none = Provider::saying(&[("401 Unauthorized", r#"{"error": "invalid_client"}"#)]).await;
    let why = ask_device(&near(), &none.server(), &me()).await.err().unwrap().to_string();
    assert!(why.contains("does not know this client id"), "{why}");
    let page = r#"{"device_code": "d", "user_code": "c", "verification_uri": "javascript:alert(1)"}"#;
    let evil = Provider::saying(&[("200 OK", page)]).await;
    assert!(matches!(ask_device(&near(), &evil.server(), &me()).await, Err(Trouble::Protocol(_))), "people click on it");
}

#[tokio::test]
async fn a_token_is_renewed_and_trouble_of_the_provider_is_no_refusal() {
    let provider = Provider::saying(&[
        ("200 OK", r#"{"access_token": "new", "expires_in": 600}"#),
        ("502 Bad Gateway", "<html>"),
        ("400 Bad Request", r#"{"error": "temporarily_unavailable"}"#),
        ("400 Bad Request", r#"{"error": "invalid_grant"}"#),
    ])
    .await;
    let token_url = format!("{}/token", provider.url);
    let old = Tokens { access: "old".into(), refresh: "rt".into(), client_id: "me".into(), token_url, ..Tokens::default() };
    let (new, changed) = fresh(&near(), &old).await.unwrap();
    assert_eq!((new.access.as_str(), new.refresh.as_str(), changed), ("new", "rt", true), "the refresh token stays");
    assert_eq!(fresh(&near(), &new).await.unwrap(), (new, false), "and nobody is asked while it is fresh");
    for _ in 0..2 {
        assert!(fresh(&near(), &old).await.unwrap_err().is_temporary());
    }
    let why = fresh(&near(), &old).await.unwrap_err();
    assert!(matches!(&why, Trouble::SignIn(text) if text.contains("renews the token no more")), "{why}");
    assert_eq!(provider.asked().len(), 4);
}

#[tokio::test]
async fn nobody_is_asked_who_may_not_be_reached_and_redirects_lead_nowhere() {
    let inside = Provider::saying(&[DEVICE]).await;
    let mut zone = net::dns_server::Zone::new();
    zone.address("inside.test", std::net::Ipv4Addr::LOCALHOST.into());
    let dns = net::dns_server::DnsServer::start(([127, 0, 0, 1], 0).into(), zone).await.unwrap();
    let port = inside.url.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "inside.test", "[::ffff:127.0.0.1]"] {
        let resolver = net::Resolver::with_servers(vec![dns.local()]).unwrap();
        let dialer = Dialer::new(None).unwrap().with_resolver(resolver).within(net::Reach::Public);
        let server = Server { device: format!("http://{host}:{port}/device"), ..Server::default() };
        let why = ask_device(&dialer, &server, &me()).await.err().unwrap();
        assert!(matches!(&why, Trouble::Refused(text) if text.contains("may not be reached")), "{host}: {why}");
        let issuer = format!("https://{host}:{port}");
        assert!(Server::of_issuer(&dialer, &issuer, "").await.unwrap_err().to_string().contains("may not be reached"));
        let tokens = Tokens { refresh: "rt".into(), token_url: format!("http://{host}:{port}/token"), ..Tokens::default() };
        assert!(fresh(&dialer, &tokens).await.unwrap_err().to_string().contains("may not be reached"));
    }
    assert_eq!(inside.asked(), Vec::<String>::new(), "nobody knocked");
    let location = format!("302 Found\r\nLocation: {}/device", inside.url);
    let outside = Provider::saying(&[(Box::leak(location.into_boxed_str()), "")]).await;
    assert!(ask_device(&near(), &outside.server(), &me()).await.is_err());
    assert!(Server::of_issuer(&near(), &outside.url, "").await.is_err());
    assert_eq!(inside.asked(), Vec::<String>::new(), "a redirect is no way round");
}

#[tokio::test]
async fn an_issuer_describes_itself() {
    let text = r#"{"token_endpoint": "https://id.test/t", "device_authorization_endpoint": "https://id.test/d"}"#;
    let provider = Provider::saying(&[("404 Not Found", ""), ("200 OK", text)]).await;
    let found = Server::of_issuer(&near(), &format!("{}/realm", provider.url), "mail").await.unwrap();
    assert_eq!((found.token.as_str(), found.device.as_str()), ("https://id.test/t", "https://id.test/d"));
    let asked = provider.asked();
    assert!(asked[0].starts_with("/.well-known/oauth-authorization-server/realm "), "RFC 8414 §3.1: {asked:?}");
    assert!(asked[1].starts_with("/realm/.well-known/openid-configuration "), "{asked:?}");
    assert!(Server::known("imap.gmail.com").is_some() && Server::known("gmail.com.evil.test").is_none());
}
