//! Signing in with a token instead of a password (OAuth 2.0): by a code typed elsewhere (RFC 8628), or in the user's browser
//! with an answer on loopback (RFC 8252, PKCE of RFC 7636); then fresh tokens by the refresh token (RFC 6749 §6).
//!
//! The client id is the user's own. Invariants: tokens and codes cross the network under TLS only (a server on loopback is this
//! machine), nobody is asked whom the dialer may not reach, redirects lead nowhere, and an answer whose `state` is not ours
//! counts for nothing. Must not know: mail, where tokens are kept.

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

/// Providers whose endpoints and scope for mail are known: (domains of addresses and names of mail servers, endpoints).
const KNOWN: [(&[&str], [&str; 4]); 2] = [
    (
        &["gmail.com", "googlemail.com", "imap.gmail.com", "pop.gmail.com", "smtp.gmail.com"],
        [
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com/device/code",
            "https://mail.google.com/",
        ],
    ),
    (
        &["outlook.com", "hotmail.com", "live.com", "msn.com", "outlook.office365.com", "smtp.office365.com"],
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

impl Tokens {
    /// Must it be renewed?
    pub fn is_old(&self) -> bool {
        self.expires_secs <= unix_now() + FRESH_SECS
    }
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
    /// Of a large provider: by the domain of an address, or by the name of the server where its mail is.
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
        for place in described_at(issuer)? {
            match ask(dialer, &place, None).await {
                Ok((200, value)) if value.get("token_endpoint").is_some() => {
                    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                    return Ok(Server {
                        authorization: text("authorization_endpoint"),
                        token: text("token_endpoint"),
                        device: text("device_authorization_endpoint"),
                        scope: scope.to_owned(),
                    });
                }
                Ok((200, _)) => last = Trouble::Refused(format!("{place} names no place for tokens")),
                Ok((status, _)) => last = Trouble::Refused(format!("{place} answers {status}")),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Where an issuer may describe itself: RFC 8414 §3.1 puts the well-known name between its host and its path, OpenID Connect
/// after both.
fn described_at(issuer: &str) -> Result<Vec<String>, Trouble> {
    let (_, _, _, path) = parts(issuer)?;
    let host = issuer.strip_suffix(&path).unwrap_or(issuer);
    let path = path.trim_end_matches('/');
    let mut places = vec![
        format!("{host}/.well-known/oauth-authorization-server{path}"),
        format!("{issuer}/.well-known/openid-configuration"),
        format!("{issuer}/.well-known/oauth-authorization-server"),
    ];
    if path.is_empty() {
        places.truncate(2);
    }
    Ok(places)
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
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
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
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut last = Trouble::Lost(format!("{host} has no address"));
    for address in dialer.addresses(bare, port).await?.into_iter().take(2) {
        let ip = address.ip();
        if !dialer.may_reach(ip) {
            return Err(Trouble::Refused(format!("{host}: its address may not be reached from here")));
        }
        if !tls && !ip.to_canonical().is_loopback() {
            return Err(Trouble::Refused(format!("{url} is without TLS: nothing secret goes there")));
        }
        let asked = Asked { host: &host, path: &path, form, tls: tls.then(|| dialer.tls_for(ip)) };
        match net::https::ask_any(&Network::System, address, asked, CONNECT_MAX).await {
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

/// An error of RFC 6749 §5.2 or RFC 8628 §3.5 in words, with what the provider says of it.
fn said(answer: &Value, error: &str) -> String {
    let words = match error {
        "access_denied" => "the sign-in was refused there",
        "expired_token" => "nobody typed the code in time",
        "invalid_client" => "it does not know this client id, or wants its secret",
        "unauthorized_client" | "unsupported_grant_type" => "this client id is not registered for this way to sign in",
        "invalid_scope" => "it does not give this client id, by this way to sign in, what mail needs",
        "invalid_grant" => "the sign-in counts no more",
        _ => "",
    };
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
    let more = answer.get("error_description").and_then(Value::as_str).map(plain).filter(|text| !text.is_empty());
    let error = plain(error);
    match (words, more) {
        ("", None) => error,
        ("", Some(more)) => format!("{error}: {more}"),
        (words, None) => format!("{words} ({error})"),
        (words, Some(more)) => format!("{words} ({error}: {more})"),
    }
}

/// `Err` inside: the provider's `error`, and it in words.
async fn redeem(
    dialer: &Dialer,
    token_url: &str,
    registered: &Registered,
    fields: &[(&str, &str)],
) -> Result<Result<Tokens, (String, String)>, Trouble> {
    let mut all = fields.to_vec();
    all.push(("client_id", registered.client_id.as_str()));
    if let Some(secret) = &registered.client_secret {
        all.push(("client_secret", secret));
    }
    let (status, answer) = ask(dialer, token_url, Some(&encoded(&all))).await?;
    match tokens(&answer, registered, token_url) {
        Ok(tokens) => Ok(Ok(tokens)),
        // Trouble of the provider's own says nothing of the sign-in.
        Err(error) if status >= 500 || status == 429 || matches!(error.as_str(), "server_error" | "temporarily_unavailable") => {
            Err(Trouble::Lost(format!("{token_url} answers {status}")))
        }
        Err(error) => {
            let words = said(&answer, &error);
            Ok(Err((error, words)))
        }
    }
}

/// A sign-in that waits for a code to be typed (RFC 8628 §3.2).
pub struct Device {
    /// The page where.
    pub page: String,
    /// The code.
    pub code: String,
    /// It counts for so long.
    pub lives: Duration,
    device_code: String,
    every: Duration,
}

/// Asks for a code that the user types on a page, on whatever machine (RFC 8628 §3.1).
///
/// # Errors
/// The provider gives none.
pub async fn ask_device(dialer: &Dialer, server: &Server, registered: &Registered) -> Result<Device, Trouble> {
    if server.device.is_empty() {
        return Err(Trouble::Refused("this provider has no sign-in by code".into()));
    }
    let mut fields = vec![("client_id", registered.client_id.as_str())];
    // An empty one would ask for nothing; without it the provider gives what the client is registered for.
    if !server.scope.is_empty() {
        fields.push(("scope", server.scope.as_str()));
    }
    if let Some(secret) = &registered.client_secret {
        fields.push(("client_secret", secret));
    }
    let (status, answer) = ask(dialer, &server.device, Some(&encoded(&fields))).await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let secs = |name: &str, usual: u64| answer.get(name).and_then(Value::as_u64).unwrap_or(usual);
    let (device_code, code) = (text("device_code"), text("user_code"));
    if device_code.is_empty() || code.is_empty() {
        let error = text("error");
        let why = if error.is_empty() { format!("it answers {status}") } else { said(&answer, &error) };
        return Err(Trouble::SignIn(format!("{} gives no code: {why}", server.device)));
    }
    let page = if text("verification_uri").is_empty() { text("verification_url") } else { text("verification_uri") };
    // People click on it.
    parts(&page).map_err(|_| Trouble::Protocol(format!("{} names no page to type the code on", server.device)))?;
    let lives = Duration::from_secs(secs("expires_in", 900)).min(OAUTH_WAIT_MAX);
    Ok(Device { page, code, lives, device_code, every: Duration::from_secs(secs("interval", 5).clamp(1, 60)) })
}

/// Waits until the code was typed.
///
/// # Errors
/// The provider says no, or the user did not do it in time.
pub async fn wait_device(dialer: &Dialer, server: &Server, registered: &Registered, device: &Device) -> Result<Tokens, Trouble> {
    let until = tokio::time::Instant::now() + device.lives;
    let mut every = device.every;
    let fields = [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", device.device_code.as_str())];
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(every).await;
        match redeem(dialer, &server.token, registered, &fields).await {
            Ok(Ok(tokens)) => return Ok(tokens),
            Ok(Err((error, _))) if error == "authorization_pending" => {}
            // RFC 8628 §3.5
            Ok(Err((error, _))) if error == "slow_down" => every += Duration::from_secs(5),
            Ok(Err((_, words))) => return Err(Trouble::SignIn(format!("the provider says no: {words}"))),
            Err(error) if error.is_temporary() => every = (every * 2).min(Duration::from_secs(60)),
            Err(error) => return Err(error),
        }
    }
    Err(Trouble::SignIn("nobody typed the code in time".into()))
}

/// Both, with the code told in between.
///
/// # Errors
/// As those.
pub async fn by_device(
    dialer: &Dialer,
    server: &Server,
    registered: &Registered,
    tell: impl Fn(ToDo),
) -> Result<Tokens, Trouble> {
    if server.device.is_empty() {
        return Err(Trouble::Refused("this provider has no sign-in by code; give --oauth-flow loopback".into()));
    }
    let device = ask_device(dialer, server, registered).await?;
    tell(ToDo::Type { page: device.page.clone(), code: device.code.clone() });
    wait_device(dialer, server, registered, &device).await
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
    answer.map_err(|(_, words)| Trouble::SignIn(format!("the provider says no: {words}")))
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
    if !old.is_old() {
        return Ok((old.clone(), false));
    }
    if old.refresh.is_empty() {
        return Err(Trouble::SignIn("the token has expired and the provider gave none to renew it with: sign in again".into()));
    }
    let registered = Registered { client_id: old.client_id.clone(), client_secret: old.client_secret.clone() };
    let fields = [("grant_type", "refresh_token"), ("refresh_token", old.refresh.as_str())];
    let answer = redeem(dialer, &old.token_url, &registered, &fields).await?;
    let again = |(_, words)| Trouble::SignIn(format!("the provider renews the token no more, sign in again: {words}"));
    let mut new = answer.map_err(again)?;
    if new.refresh.is_empty() {
        new.refresh.clone_from(&old.refresh);
    }
    Ok((new, true))
}

#[cfg(test)]
mod tests;
