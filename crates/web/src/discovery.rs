//! How mail programs find their settings: Mozilla's autoconfig, Outlook's autodiscover, Apple's profile, MTA-STS's policy (RFC 8461).
//!
//! Invariant: the answer for an address says nothing about whether there is such an account; a profile with a password in it
//! is handed out once, to who has its link, within minutes. Must not know: configuration files.

use crate::credentials::{change, proved_password};
use crate::http::Asker;
use crate::limits::{PROFILE_SECS, PROFILES_MAX, PROFILES_OF_ONE_MAX, SMALL_BODY_BYTES_MAX};
use crate::site::{self, Shared, Site, problem, unavailable};
use crate::{Offered, OfferedTls};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use store::{AccountId, UnixSecs};

/// How long a sender keeps the policy (RFC 8461 §3.2): a week, so that a mistake is over soon.
const STS_AGE_SECS: u32 = 7 * 86_400;

/// Links to profiles that wait for their phone, by the hash of their token.
#[derive(Default)]
pub(crate) struct Profiles(Mutex<Vec<Waiting>>);

struct Waiting {
    token: blake3::Hash,
    account: (AccountId, u64),
    until_secs: UnixSecs,
}

impl Profiles {
    fn add(&self, token: &str, account: (AccountId, u64), now_secs: UnixSecs) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.until_secs > now_secs);
        // Nobody takes the places of others.
        let mut of_account = all.iter().enumerate().filter(|(_, one)| one.account.0 == account.0);
        let (oldest, others) = (of_account.next().map(|(at, _)| at), of_account.count());
        if let Some(oldest) = oldest.filter(|_| others + 1 >= PROFILES_OF_ONE_MAX) {
            all.remove(oldest);
        }
        if all.len() >= PROFILES_MAX {
            return false;
        }
        all.push(Waiting { token: blake3::hash(token.as_bytes()), account, until_secs: now_secs + PROFILE_SECS });
        true
    }

    fn take(&self, token: &str, now_secs: UnixSecs) -> Option<(AccountId, u64)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Hashes are compared in constant time, and all are looked at.
        let said = blake3::hash(token.as_bytes());
        let at = all.iter().enumerate().fold(None, |found, (at, one)| if one.token == said { Some(at) } else { found })?;
        let one = all.remove(at);
        (one.until_secs > now_secs).then_some(one.account)
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // XML 1.0 has no other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t') => {}
            c => out.push(c),
        }
    }
    out
}

fn xml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], text).into_response()
}

/// The domain that is served here and meant: the address's, else the one this was asked under.
fn domain_of<'a>(site: &'a Site, address: &str, host: &str) -> Option<&'a str> {
    let of_address = address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let bare = ["autoconfig.", "autodiscover.", "mta-sts."].iter().find_map(|label| host.strip_prefix(label)).unwrap_or(&host);
    let wanted = of_address.unwrap_or_else(|| bare.to_owned());
    site.domains.iter().find(|domain| domain.eq_ignore_ascii_case(&wanted)).map(String::as_str)
}

fn host_of(request: &Request) -> String {
    request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned()
}

fn not_here() -> Response {
    problem(StatusCode::NOT_FOUND, "No mail of that domain is here.")
}

/// `GET /mail/config-v1.1.xml?emailaddress=` and under `/.well-known/autoconfig`.
pub(crate) async fn mozilla(
    State(site): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    let address = query.get("emailaddress").map_or("", String::as_str);
    let Some(domain) = domain_of(&site, address, &host_of(&request)) else { return not_here() };
    let one = |offered: &Offered| {
        let (element, kind) = match offered.protocol {
            "smtp" => ("outgoingServer", "smtp"),
            other => ("incomingServer", other),
        };
        let socket = match offered.tls {
            OfferedTls::First => "SSL",
            OfferedTls::StartTls => "STARTTLS",
            OfferedTls::None => "plain",
        };
        format!(
            "    <{element} type=\"{kind}\">\n      <hostname>{}</hostname>\n      <port>{}</port>\n      <socketType>{socket}</socketType>\n      \
             <authentication>password-cleartext</authentication>\n      <username>%EMAILADDRESS%</username>\n    </{element}>\n",
            escape(&site.hostname),
            offered.port
        )
    };
    let servers: String = site.offered.iter().map(one).collect();
    let domain = escape(domain);
    xml(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n  <emailProvider id=\"{domain}\">\n    \
         <domain>{domain}</domain>\n    <displayName>{domain}</displayName>\n    <displayShortName>{domain}</displayShortName>\n\
         {servers}  </emailProvider>\n</clientConfig>\n"
    ))
}

/// What stands between the first `<name>` and its end, in any case.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lower = text.to_ascii_lowercase();
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let start = lower.find(&open)? + open.len();
    let end = start + lower.get(start..)?.find(&close)?;
    text.get(start..end).map(str::trim)
}

/// `POST /autodiscover/autodiscover.xml`: Outlook's older way, without Exchange.
pub(crate) async fn outlook(State(site): State<Shared>, request: Request) -> Response {
    let host = host_of(&request);
    let octets = match site::read(request, SMALL_BODY_BYTES_MAX, SMALL_BODY_BYTES_MAX).await {
        Ok(octets) => octets,
        Err(unread) => return unread.answer(problem(StatusCode::PAYLOAD_TOO_LARGE, "That is too large.")),
    };
    let text = String::from_utf8_lossy(&octets);
    let address = element(&text, "emailaddress").unwrap_or_default();
    if address.len() > 320 || domain_of(&site, address, &host).is_none() {
        return not_here();
    }
    let one = |offered: &Offered| {
        let (kind, encryption) = (
            offered.protocol.to_ascii_uppercase(),
            match offered.tls {
                OfferedTls::First => "SSL",
                OfferedTls::StartTls => "TLS",
                OfferedTls::None => "None",
            },
        );
        let ssl = if offered.tls == OfferedTls::None { "off" } else { "on" };
        format!(
            "      <Protocol>\n        <Type>{kind}</Type>\n        <Server>{}</Server>\n        <Port>{}</Port>\n        \
             <LoginName>{}</LoginName>\n        <DomainRequired>off</DomainRequired>\n        <SPA>off</SPA>\n        <SSL>{ssl}</SSL>\n        \
             <Encryption>{encryption}</Encryption>\n        <AuthRequired>on</AuthRequired>\n      </Protocol>\n",
            escape(&site.hostname),
            offered.port,
            escape(address)
        )
    };
    let protocols: String = site.offered.iter().map(one).collect();
    xml(format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\n  \
         <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a\">\n    <Account>\n      \
         <AccountType>email</AccountType>\n      <Action>settings</Action>\n{protocols}    </Account>\n  </Response>\n</Autodiscover>\n"
    ))
}

/// `GET /.well-known/mta-sts.txt` under `mta-sts.DOMAIN` (RFC 8461 §3.2). It says nothing to anybody before `_mta-sts.DOMAIN`
/// stands in DNS.
pub(crate) async fn mta_sts(State(site): State<Shared>, request: Request) -> Response {
    let host = host_of(&request);
    let is_asked = host.to_ascii_lowercase().starts_with("mta-sts.");
    if !is_asked || domain_of(&site, "", &host).is_none() {
        return not_here();
    }
    let policy = format!("version: STSv1\r\nmode: enforce\r\nmx: {}\r\nmax_age: {STS_AGE_SECS}\r\n", site.hostname);
    ([(header::CONTENT_TYPE, "text/plain")], policy).into_response()
}

/// `GET /api/settings-for-programs`: what to type into a mail program.
pub(crate) async fn for_people(State(site): State<Shared>, request: Request) -> Response {
    let signed_in = match crate::sign_in::by_page(&site, site::Asking::of(&request)).await {
        Ok(signed_in) => signed_in,
        Err(response) => return response,
    };
    let one = |offered: &Offered| {
        let tls = match offered.tls {
            OfferedTls::First => "tls",
            OfferedTls::StartTls => "starttls",
            OfferedTls::None => "none",
        };
        json!({"protocol": offered.protocol, "host": site.hostname, "port": offered.port, "tls": tls})
    };
    let list: Vec<_> = site.offered.iter().map(one).collect();
    site::answer(StatusCode::OK, &json!({"username": signed_in.account.address, "servers": list}))
}

/// `POST /api/profile` `{"password"}`: a link to a profile for Apple's programs, good once and for ten minutes.
pub(crate) async fn profile_link(State(site): State<Shared>, request: Request) -> Response {
    let host = host_of(&request);
    let tls = request.extensions().get::<Asker>().is_some_and(|asker| asker.https);
    let change = match change(&site, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    if let Err(response) = proved_password(&site, &change).await {
        return response;
    }
    let mut octets = [0u8; 24];
    if SystemRandom::new().fill(&mut octets).is_err() {
        return unavailable();
    }
    let token = data_encoding::BASE64URL_NOPAD.encode(&octets);
    let account = &change.signed_in.account;
    if !site.profiles.add(&token, (account.id, account.epoch), net::clock::unix_now()) {
        return site::no(crate::Refused::Later);
    }
    let scheme = if tls { "https" } else { "http" };
    let url = format!("{scheme}://{host}/profile/{token}.mobileconfig");
    site::answer(StatusCode::CREATED, &json!({"url": url, "secs": PROFILE_SECS}))
}

fn not_so() -> Response {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "This is there to be fetched: GET.");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

/// `GET /profile/{token}.mobileconfig`
pub(crate) async fn profile(State(site): State<Shared>, Path(name): Path<String>, method: Method) -> Response {
    // HEAD is safe (RFC 9110 §9.2.1): whoever only looks where a link leads uses nothing up.
    if method != Method::GET {
        return not_so();
    }
    let over = || problem(StatusCode::NOT_FOUND, "That link was used, or its time is over. Make a new one.");
    let Some(token) = name.strip_suffix(".mobileconfig") else { return over() };
    let now_secs = net::clock::unix_now();
    let Some((id, epoch)) = site.profiles.take(token, now_secs) else { return over() };
    let account = match site.store.account_by_id(id).await {
        Ok(Some(account)) if account.epoch == epoch && !account.suspended => account,
        Ok(_) => return over(),
        Err(_) => return unavailable(),
    };
    let label = format!("Apple profile {}", message::date::format_rfc_3339(now_secs));
    let password = match site.doorkeeper.add_app_password(&account, &label).await {
        Ok(password) => password,
        Err(why) => return problem(StatusCode::UNPROCESSABLE_ENTITY, &why),
    };
    let Some(text) = apple(&site, &account.address, &password) else {
        return problem(StatusCode::NOT_FOUND, "No mail program is served here.");
    };
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-apple-aspen-config; charset=utf-8"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"mail.mobileconfig\""));
    response
}

/// A UUID that is the same for the same account, so that a second profile takes the first one's place.
fn uuid(of: &str) -> String {
    let hash = blake3::derive_key("packetboat 2026 profile", of.as_bytes());
    let hex = data_encoding::HEXUPPER.encode(&hash);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

fn apple(site: &Site, address: &str, password: &str) -> Option<String> {
    let find = |protocol: &str| site.offered.iter().filter(|one| one.protocol == protocol).min_by_key(|one| one.tls);
    let (incoming, kind) = match (find("imap"), find("pop3")) {
        (Some(imap), _) => (imap, "EmailTypeIMAP"),
        (None, Some(pop)) => (pop, "EmailTypePOP"),
        (None, None) => return None,
    };
    let outgoing = find("smtp")?;
    let text = |key: &str, value: &str| format!("      <key>{key}</key>\n      <string>{}</string>\n", escape(value));
    let number = |key: &str, value: u16| format!("      <key>{key}</key>\n      <integer>{value}</integer>\n");
    let truth = |key: &str, value: bool| format!("      <key>{key}</key>\n      <{value}/>\n");
    let mut mail = String::new();
    for (key, value) in [
        ("PayloadType", "com.apple.mail.managed"),
        ("PayloadIdentifier", &format!("org.packetboat.mail.{address}")),
        ("PayloadUUID", &uuid(&format!("mail {address}"))),
        ("PayloadDisplayName", address),
        ("EmailAccountDescription", address),
        ("EmailAccountType", kind),
        ("EmailAddress", address),
        ("IncomingMailServerAuthentication", "EmailAuthPassword"),
        ("IncomingMailServerHostName", &site.hostname),
        ("IncomingMailServerUsername", address),
        ("IncomingPassword", password),
        ("OutgoingMailServerAuthentication", "EmailAuthPassword"),
        ("OutgoingMailServerHostName", &site.hostname),
        ("OutgoingMailServerUsername", address),
    ] {
        mail.push_str(&text(key, value));
    }
    mail.push_str(&number("PayloadVersion", 1));
    mail.push_str(&number("IncomingMailServerPortNumber", incoming.port));
    mail.push_str(&truth("IncomingMailServerUseSSL", incoming.tls != OfferedTls::None));
    mail.push_str(&number("OutgoingMailServerPortNumber", outgoing.port));
    mail.push_str(&truth("OutgoingMailServerUseSSL", outgoing.tls != OfferedTls::None));
    mail.push_str(&truth("OutgoingPasswordSameAsIncomingPassword", true));
    let head: String = [
        ("PayloadType", "Configuration"),
        ("PayloadIdentifier", &format!("org.packetboat.{address}")),
        ("PayloadUUID", &uuid(address)),
        ("PayloadDisplayName", &format!("Mail for {address}")),
        ("PayloadDescription", "Sets up mail on this device, with a password of its own."),
    ]
    .iter()
    .map(|(key, value)| text(key, value))
    .collect();
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n  <dict>\n    <key>PayloadContent</key>\n    <array>\n    \
         <dict>\n{mail}    </dict>\n    </array>\n{head}{}  </dict>\n</plist>\n",
        number("PayloadVersion", 1)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_checks_of_a_link_to_a_profile() {
        let right = "oyDkBIRMePv8-AQ1NjF0bVQ7Xc9T2hJs";
        let profiles = Profiles::default();
        for token in ["another", right, "a third"] {
            assert!(profiles.add(token, (AccountId(1), 0), 0));
        }
        crate::secret_checks::count("a link to a profile", &crate::secret_checks::three(right.as_bytes()), |said| {
            std::str::from_utf8(said).is_ok_and(|token| profiles.take(token, 0).is_some())
        });
        assert!(profiles.take("another", PROFILE_SECS).is_none() && profiles.take("a third", PROFILE_SECS - 1).is_some());
    }

    #[test]
    fn links_of_one_account_take_no_places_of_others() {
        let profiles = Profiles::default();
        assert!(profiles.add("bob's", (AccountId(2), 0), 0));
        for number in 0..PROFILES_MAX + PROFILES_OF_ONE_MAX {
            assert!(profiles.add(&number.to_string(), (AccountId(1), 0), 0), "{number}");
        }
        assert_eq!(profiles.take("bob's", 0), Some((AccountId(2), 0)));
        assert_eq!(profiles.take(&(PROFILES_MAX - 1).to_string(), 0), None);
        assert_eq!(profiles.take(&PROFILES_MAX.to_string(), 0), Some((AccountId(1), 0)));
    }

    #[test]
    fn elements_are_found_in_any_case() {
        assert_eq!(element("<a><EMailAddress> ann@here.test </EMailAddress></a>", "emailaddress"), Some("ann@here.test"));
        for none in ["", "<emailaddress>", "</emailaddress><emailaddress>x", "<EMailAddress >x</EMailAddress>"] {
            assert_eq!(element(none, "emailaddress"), None);
        }
        assert_eq!(escape("a<b>&\"'\u{0}"), "a&lt;b&gt;&amp;&quot;&apos;");
        assert_eq!((uuid("x").len(), uuid("x") == uuid("y")), (36, false));
    }
}
