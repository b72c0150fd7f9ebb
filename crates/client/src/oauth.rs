//! Signing in with a token instead of a password (OAuth 2.0): by a code typed elsewhere (RFC 8628), or in the user's browser
//! with an answer on loopback (RFC 8252, PKCE of RFC 7636); then fresh tokens by the refresh token (RFC 6749 §6).
//!
//! The client id is the user's own. Invariants: tokens and codes cross the network under TLS only (a server on loopback is this
//! machine), and an answer whose `state` is not ours counts for nothing. Must not know: mail, where tokens are kept.

use crate::dial::{Dialer, nonce};
use crate::limits::{CONNECT_MAX, OAUTH_WAIT_MAX};
use crate::trouble::Trouble;
use net::clock::unix_now;
use net::https::{Asked, Reply};
use net::{ListenAddr, Listener, Network};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where a provider gives tokens out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Server {
    pub authorization: String,
    pub token: String,
    pub device: String,
    pub scope: String,
}

/// Providers whose endpoints and scope for mail are known: (domains, endpoints).
const KNOWN: [(&[&str], [&str; 4]); 2] = [
    (
        &["gmail.com", "googlemail.com"],
        [
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com/device/code",
            "https://mail.google.com/",
        ],
    ),
    (
        &["outlook.com", "hotmail.com", "live.com", "msn.com"],
        [
            "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
            "https://login.microsoftonline.com/common/oauth2/v2.0/token",
            "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
            "offline_access https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/POP.AccessAsUser.All \
             https://outlook.office.com/SMTP.Send",
        ],
    ),
];

/// What is kept of a sign-in.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub expires_secs: i64,
    pub client_id: String,
    /// Some providers give programs one, and it is no secret then (RFC 8252 §8.5).
    pub client_secret: Option<String>,
    pub token_url: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

/// A program's own registration at the provider.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Registered {
    pub client_id: String,
    pub client_secret: Option<String>,
}

/// What the user is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ToDo {
    /// Open this page anywhere and type this code.
    Type { page: String, code: String },
    /// Open this page in a browser on this machine.
    Open { page: String },
}

/// A token is fresh if it lives so much longer.
const FRESH_SECS: i64 = 60;

impl Server {
    /// Of a large provider.
    pub fn known(domain: &str) -> Option<Server> {
        let (_, [authorization, token, device, scope]) = KNOWN.iter().find(|(domains, _)| domains.contains(&domain))?;
        let [authorization, token, device, scope] = [authorization, token, device, scope].map(|text| (*text).to_owned());
        Some(Server { authorization, token, device, scope })
    }

    /// By what an issuer says of itself (RFC 8414; the older place of OpenID Connect).
    ///
    /// # Errors
    /// It says nothing.
    pub async fn of_issuer(dialer: &Dialer, issuer: &str, scope: &str) -> Result<Server, Trouble> {
        let issuer = issuer.trim_end_matches('/');
        let mut last = Trouble::Refused(format!("{issuer} tells nothing of itself"));
        for place in ["oauth-authorization-server", "openid-configuration"] {
            match ask(dialer, &format!("{issuer}/.well-known/{place}"), None).await {
                Ok((200, value)) => {
                    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                    return Ok(Server {
                        authorization: text("authorization_endpoint"),
                        token: text("token_endpoint"),
                        device: text("device_authorization_endpoint"),
                        scope: scope.to_owned(),
                    });
                }
                Ok((status, _)) => last = Trouble::Refused(format!("{issuer} answers {status}")),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// `https://host[:port]/path`, or `http://` on loopback.
fn parts(url: &str) -> Result<(bool, String, u16, String), Trouble> {
    let bad = || Trouble::Here(format!("{url}: wants https://host/path"));
    let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
    let tls = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(bad()),
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at).ok_or_else(bad)?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
        None => (authority, if tls { 443 } else { 80 }),
    };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let clean = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control() || c == ' ' || c == '@');
    if clean(host) && clean(&path) { Ok((tls, host.to_owned(), port, path)) } else { Err(bad()) }
}

/// One question by HTTP; the status and the JSON of the answer.
async fn ask(dialer: &Dialer, url: &str, form: Option<&str>) -> Result<(u16, Value), Trouble> {
    let (tls, host, port, path) = parts(url)?;
    let addresses = match host.as_str() {
        "localhost" => vec![std::net::Ipv4Addr::LOCALHOST.into()],
        _ => dialer.resolver()?.addresses(&host).await.map_err(|error| Trouble::Lost(format!("{host}: {error}")))?,
    };
    let mut last = Trouble::Lost(format!("{host} has no address"));
    for ip in addresses.into_iter().take(2) {
        if !tls && !ip.to_canonical().is_loopback() {
            return Err(Trouble::Refused(format!("{url} is without TLS: nothing secret goes there")));
        }
        let asked = Asked { host: &host, path: &path, form, tls: tls.then(|| dialer.tls_for(ip)) };
        match net::https::ask_any(&Network::System, SocketAddr::new(ip, port), asked, CONNECT_MAX).await {
            Ok(Reply { status, body }) => return Ok((status, serde_json::from_slice(&body).unwrap_or_default())),
            Err(error) => last = Trouble::Lost(format!("{host}: {error}")),
        }
    }
    Err(last)
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let one = |(name, value): &(&str, &str)| format!("{name}={}", percent(value));
    fields.iter().map(one).collect::<Vec<_>>().join("&")
}

fn percent(text: &str) -> String {
    let mut out = String::new();
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

fn unpercent(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        out.push(match octet {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (char::from(octets.next()?).to_digit(16)?, char::from(octets.next()?).to_digit(16)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// What a token endpoint says (RFC 6749 §5); `Err` is its `error`.
fn tokens(answer: &Value, registered: &Registered, token_url: &str) -> Result<Tokens, String> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(access) = text("access_token").filter(|token| token.is_ascii() && !token.contains(|c: char| c.is_control())) else {
        return Err(text("error").unwrap_or_else(|| "no token".into()));
    };
    let lives = answer.get("expires_in").and_then(|secs| secs.as_i64().or_else(|| secs.as_str()?.parse().ok())).unwrap_or(3600);
    Ok(Tokens {
        access,
        refresh: text("refresh_token").unwrap_or_default(),
        expires_secs: unix_now().saturating_add(lives),
        client_id: registered.client_id.clone(),
        client_secret: registered.client_secret.clone(),
        token_url: token_url.to_owned(),
    })
}

async fn redeem(
    dialer: &Dialer,
    token_url: &str,
    registered: &Registered,
    fields: &[(&str, &str)],
) -> Result<Result<Tokens, String>, Trouble> {
    let mut all = fields.to_vec();
    all.push(("client_id", registered.client_id.as_str()));
    if let Some(secret) = &registered.client_secret {
        all.push(("client_secret", secret));
    }
    let (_, answer) = ask(dialer, token_url, Some(&encoded(&all))).await?;
    Ok(tokens(&answer, registered, token_url))
}

/// The user types a code on a page, on whatever machine (RFC 8628).
///
/// # Errors
/// The provider says no, or the user did not do it in time.
pub async fn by_device(
    dialer: &Dialer,
    server: &Server,
    registered: &Registered,
    tell: impl Fn(ToDo),
) -> Result<Tokens, Trouble> {
    if server.device.is_empty() {
        return Err(Trouble::Refused("this provider has no sign-in by code; give --oauth-flow loopback".into()));
    }
    let mut fields = vec![("client_id", registered.client_id.as_str()), ("scope", server.scope.as_str())];
    if let Some(secret) = &registered.client_secret {
        fields.push(("client_secret", secret));
    }
    let (status, answer) = ask(dialer, &server.device, Some(&encoded(&fields))).await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let secs = |name: &str, usual: u64| answer.get(name).and_then(Value::as_u64).unwrap_or(usual);
    let (device_code, code) = (text("device_code"), text("user_code"));
    if device_code.is_empty() || code.is_empty() {
        return Err(Trouble::SignIn(format!("{} answers {status} {}", server.device, text("error"))));
    }
    let page = if text("verification_uri").is_empty() { text("verification_url") } else { text("verification_uri") };
    tell(ToDo::Type { page, code });
    let until = tokio::time::Instant::now() + Duration::from_secs(secs("expires_in", 900)).min(OAUTH_WAIT_MAX);
    let mut every = Duration::from_secs(secs("interval", 5).clamp(1, 60));
    let fields = [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", device_code.as_str())];
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(every).await;
        match redeem(dialer, &server.token, registered, &fields).await {
            Ok(Ok(tokens)) => return Ok(tokens),
            Ok(Err(error)) if error == "authorization_pending" => {}
            // RFC 8628 §3.5
            Ok(Err(error)) if error == "slow_down" => every += Duration::from_secs(5),
            Ok(Err(error)) => return Err(Trouble::SignIn(format!("the provider says no: {error}"))),
            Err(error) if error.is_temporary() => every = (every * 2).min(Duration::from_secs(60)),
            Err(error) => return Err(error),
        }
    }
    Err(Trouble::SignIn("nobody typed the code in time".into()))
}

/// The user signs in with a browser on this machine, which brings the code back to a port on loopback (RFC 8252 §7.3).
///
/// # Errors
/// The provider says no, or the user did not do it in time.
pub async fn by_loopback(
    dialer: &Dialer,
    server: &Server,
    (registered, login): (&Registered, &str),
    tell: impl Fn(ToDo),
) -> Result<Tokens, Trouble> {
    if server.authorization.is_empty() {
        return Err(Trouble::Refused("this provider has no sign-in by browser; give --oauth-flow device".into()));
    }
    let here = |error: std::io::Error| Trouble::Here(format!("a port on loopback: {error}"));
    let listener = Listener::bind(&ListenAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))).map_err(here)?;
    let redirect = format!("http://{}/", listener.local());
    let (state, verifier) = (nonce(), format!("{}{}", nonce(), nonce()));
    let challenge = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    let challenge = data_encoding::BASE64URL_NOPAD.encode(challenge.as_ref());
    let query = encoded(&[
        ("response_type", "code"),
        ("client_id", &registered.client_id),
        ("redirect_uri", &redirect),
        ("scope", &server.scope),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("login_hint", login),
        ("access_type", "offline"),
    ]);
    let mark = if server.authorization.contains('?') { '&' } else { '?' };
    tell(ToDo::Open { page: format!("{}{mark}{query}", server.authorization) });
    let late = |_| Trouble::SignIn("nobody signed in with a browser in time".into());
    let code = tokio::time::timeout(OAUTH_WAIT_MAX, code(&listener, &state)).await.map_err(late)??;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("code_verifier", verifier.as_str()),
    ];
    let answer = redeem(dialer, &server.token, registered, &fields).await?;
    answer.map_err(|error| Trouble::SignIn(format!("the provider says no: {error}")))
}

/// Waits for the browser to bring the code; whatever else comes is answered and forgotten.
async fn code(listener: &Listener, state: &str) -> Result<String, Trouble> {
    loop {
        let incoming = listener.accept().await.map_err(|error| Trouble::Here(error.to_string()))?;
        let Some(mut stream) = incoming.into_tcp() else { continue };
        let mut head = [0; 8192];
        let mut length = 0;
        let reading = async {
            while length < head.len() && !head.get(..length).unwrap_or_default().windows(4).any(|four| four == b"\r\n\r\n") {
                match stream.read(head.get_mut(length..).unwrap_or_default()).await {
                    Ok(count) if count > 0 => length += count,
                    _ => break,
                }
            }
        };
        let _ = tokio::time::timeout(CONNECT_MAX, reading).await;
        let line = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).lines().next().unwrap_or_default().to_owned();
        let answer = brought(&line, state);
        let (status, words) = match &answer {
            Some(Ok(_)) => ("200 OK", "Signed in. You may close this page."),
            Some(Err(_)) => ("200 OK", "The provider said no. You may close this page."),
            None => ("404 Not Found", "There is nothing here."),
        };
        let page = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Connection: close\r\n\r\n{words}",
            words.len()
        );
        let _ = tokio::time::timeout(CONNECT_MAX, stream.write_all(page.as_bytes())).await;
        match answer {
            Some(Ok(code)) => return Ok(code),
            Some(Err(why)) => return Err(Trouble::SignIn(format!("the provider says no: {why}"))),
            None => {}
        }
    }
}

/// The code (or the error) of a redirect that is ours.
fn brought(line: &str, state: &str) -> Option<Result<String, String>> {
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    let (_, query) = target.split_once('?')?;
    let field = |wanted: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| *name == wanted)
            .and_then(|(_, value)| unpercent(value))
    };
    if field("state")? != state {
        return None;
    }
    match (field("code"), field("error")) {
        (Some(code), _) => Some(Ok(code)),
        (None, Some(error)) => Some(Err(error.chars().filter(|c| !c.is_control()).take(200).collect())),
        (None, None) => None,
    }
}

/// The same or newer tokens: `true` if they changed and are to be kept.
///
/// # Errors
/// The provider gives no new one.
pub async fn fresh(dialer: &Dialer, old: &Tokens) -> Result<(Tokens, bool), Trouble> {
    if old.expires_secs > unix_now() + FRESH_SECS {
        return Ok((old.clone(), false));
    }
    if old.refresh.is_empty() {
        return Err(Trouble::SignIn(
            "the token has expired and the provider gave none to renew it with; add the account again".into(),
        ));
    }
    let registered = Registered { client_id: old.client_id.clone(), client_secret: old.client_secret.clone() };
    let fields = [("grant_type", "refresh_token"), ("refresh_token", old.refresh.as_str())];
    let answer = redeem(dialer, &old.token_url, &registered, &fields).await?;
    let mut new = answer.map_err(|error| {
        Trouble::SignIn(format!("the provider renews the token no more ({error}); sign in again: packetboat mail add"))
    })?;
    if new.refresh.is_empty() {
        new.refresh.clone_from(&old.refresh);
    }
    Ok((new, true))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
}
