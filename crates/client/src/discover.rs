//! Which servers an address belongs to: SRV records (RFC 6186, RFC 8314), then Mozilla's autoconfig at the domain's own
//! places, at the provider's that its MX names, and in Mozilla's list; then guesses under TLS.
//!
//! Invariants: nothing is taken that does not answer; under TLS its certificate was verified for the name found, and what
//! has no TLS at all is never taken. Every step is told, with what came of it. Must not know: passwords, the store.

pub mod autoconfig;
mod srv;

use crate::dial::Dialer;
use crate::limits::{DISCOVERY_STEP_MAX, REDIRECTS_MAX};
use crate::place::{Place, Protocol};
use net::https::Fetched;
use net::{DnsError, MxAnswer, Network};
use serde::Serialize;
use std::net::SocketAddr;
use tokio::time::timeout;

/// A server that was found, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where.
    pub place: Place,
    /// As whom one signs in there, where that was told.
    pub login: Option<String>,
    /// How it was found, for people.
    pub how: String,
    /// Its name is not below the address's domain, and only DNS says that it is the right one (RFC 6186 §6).
    pub elsewhere: bool,
}

/// What was looked at, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Step {
    pub looked_at: String,
    pub found: String,
}

/// All that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// For mail that comes: IMAP where there is, else POP3.
    pub incoming: Option<Candidate>,
    /// For mail that goes.
    pub submission: Option<Candidate>,
    /// Every step.
    pub steps: Vec<Step>,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Wanted {
    pub incoming: bool,
    pub submission: bool,
}

/// In the order they are preferred: IMAP before POP3, TLS from the first octet before STARTTLS (RFC 8314 §3).
const SERVICES: [(&str, &str); 6] = [
    ("_imaps", "imaps"),
    ("_imap", "imap"),
    ("_pop3s", "pop3s"),
    ("_pop3", "pop3"),
    ("_submissions", "smtps"),
    ("_submission", "smtp"),
];

/// Names under which most keep a server.
const GUESSES: [(&str, &[&str]); 6] = [
    ("imaps", &["imap.", "mail.", ""]),
    ("imap", &["imap.", "mail.", ""]),
    ("pop3s", &["pop.", "pop3.", "mail.", ""]),
    ("pop3", &["pop.", "pop3.", "mail.", ""]),
    ("smtps", &["smtp.", "mail.", "submission.", ""]),
    ("smtp", &["smtp.", "mail.", "submission.", ""]),
];

/// Where Mozilla keeps what it knows of providers; it learns the domain, not the address.
const LIST_HOST: &str = "autoconfig.thunderbird.net";

struct Search<'a> {
    dialer: &'a Dialer,
    address: &'a str,
    domain: &'a str,
    wanted: Wanted,
    found: Discovered,
}

/// Looks until what is wanted is found.
pub async fn discover(dialer: &Dialer, address: &str, wanted: Wanted) -> Discovered {
    let domain = address.rsplit_once('@').map_or(address, |(_, domain)| domain);
    let domain = message::domain::to_ascii(domain).unwrap_or_else(|| domain.to_ascii_lowercase());
    let mut search = Search { dialer, address, domain: &domain, wanted, found: Discovered::default() };
    if !search.by_srv().await {
        // Nobody answers questions about names: no other way would lead anywhere.
        return search.found;
    }
    let own = format!("autoconfig.{domain}");
    let query = format!("/mail/config-v1.1.xml?emailaddress={}", percent(address));
    search.by_autoconfig(&own, &query).await;
    search.by_autoconfig(&domain, "/.well-known/autoconfig/mail/config-v1.1.xml").await;
    if let Some(provider) = search.provider().await {
        search.by_autoconfig(&format!("autoconfig.{provider}"), &query).await;
        search.by_autoconfig(LIST_HOST, &format!("/v1.1/{provider}")).await;
    }
    search.by_autoconfig(LIST_HOST, &format!("/v1.1/{domain}")).await;
    search.by_guess().await;
    search.found
}

impl Search<'_> {
    fn is_done(&self) -> bool {
        (!self.wanted.incoming || self.found.incoming.is_some()) && (!self.wanted.submission || self.found.submission.is_some())
    }

    fn wants(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Smtp => self.wanted.submission && self.found.submission.is_none(),
            Protocol::Imap | Protocol::Pop3 => self.wanted.incoming && self.found.incoming.is_none(),
        }
    }

    fn step(&mut self, looked_at: impl Into<String>, found: impl Into<String>) {
        self.found.steps.push(Step { looked_at: looked_at.into(), found: found.into() });
    }

    /// Takes it if it is still wanted and answers; why not otherwise.
    async fn take(&mut self, candidate: Candidate) -> String {
        let place = &candidate.place;
        match timeout(DISCOVERY_STEP_MAX, self.dialer.connect(place)).await {
            Ok(Ok(_)) => {
                let tls = if place.implicit_tls { "answers under TLS" } else { "answers; STARTTLS comes first" };
                let told = format!("{place} {tls}");
                let slot = if place.protocol == Protocol::Smtp { &mut self.found.submission } else { &mut self.found.incoming };
                *slot = Some(candidate);
                told
            }
            Ok(Err(trouble)) => format!("no use: {trouble}"),
            Err(_) => format!("no use: {place} does not answer"),
        }
    }

    /// Whether DNS answers at all.
    async fn by_srv(&mut self) -> bool {
        for (service, scheme) in SERVICES {
            let name = format!("{service}._tcp.{}", self.domain);
            let Ok(example) = Place::parse(&format!("{scheme}://{}", self.domain)) else { continue };
            if !self.wants(example.protocol) {
                continue;
            }
            let late = || DnsError::Temporary("it took too long".into());
            let asked = match self.dialer.resolver() {
                Ok(resolver) => timeout(DISCOVERY_STEP_MAX, resolver.srv(&name)).await.unwrap_or_else(|_| Err(late())),
                Err(trouble) => Err(DnsError::Temporary(trouble.to_string())),
            };
            let records = match asked {
                Ok(records) => records,
                Err(why) => {
                    self.step(format!("SRV {name}"), why.to_string());
                    if why.is_temporary() {
                        return false;
                    }
                    continue;
                }
            };
            for (_, _, port, host) in srv::drawn(records, srv::chance) {
                // RFC 2782: the root as target means "not here".
                if host.is_empty() || host == "." {
                    self.step(format!("SRV {name}"), "the domain says that it has none");
                    continue;
                }
                let place = Place { host: host.clone(), port, ..example.clone() };
                let how = format!("SRV record {name} (RFC 6186, RFC 8314)");
                let elsewhere = !is_below(&host, self.domain);
                let told = self.take(Candidate { place, login: None, how, elsewhere }).await;
                self.step(format!("SRV {name}"), told);
                if !self.wants(example.protocol) {
                    break;
                }
            }
        }
        true
    }

    async fn by_autoconfig(&mut self, host: &str, path: &str) {
        if self.is_done() {
            return;
        }
        let url = format!("https://{host}{path}");
        // What is shown has no address in it: it is the user's own, and long.
        let shown = url.split('?').next().unwrap_or_default().to_owned();
        let file = match self.fetch(host, path).await {
            Ok(file) => file,
            Err(why) => return self.step(shown, why),
        };
        let mut servers = autoconfig::servers(&file, self.address);
        if servers.is_empty() {
            return self.step(shown, "names no server with TLS");
        }
        servers.sort_by_key(|server| (server.place.protocol == Protocol::Pop3, server.oauth_only));
        for server in servers {
            if self.wants(server.place.protocol) {
                let how = format!("autoconfig file {shown}");
                let candidate = Candidate { place: server.place, login: Some(server.login), how, elsewhere: false };
                let told = self.take(candidate).await;
                self.step(shown.clone(), told);
            }
        }
    }

    /// One file by HTTPS, after a few redirects to HTTPS at most.
    async fn fetch(&self, host: &str, path: &str) -> Result<Vec<u8>, String> {
        let (mut host, mut path) = (host.to_owned(), path.to_owned());
        for _ in 0..=REDIRECTS_MAX {
            match self.fetch_once(&host, &path).await? {
                Fetched::Body(body) => return Ok(body),
                Fetched::Moved(elsewhere) => (host, path) = target(&elsewhere, &host)?,
            }
        }
        Err("is moved again and again".into())
    }

    async fn fetch_once(&self, host: &str, path: &str) -> Result<Fetched, String> {
        let addresses = self.dialer.resolver().map_err(|trouble| trouble.to_string())?.addresses(host);
        let addresses = timeout(DISCOVERY_STEP_MAX, addresses).await.map_err(|_| "DNS does not answer".to_owned())?;
        let mut last = "no address".to_owned();
        let reachable = addresses.map_err(|error| error.to_string())?.into_iter().filter(|ip| self.dialer.may_reach(*ip));
        for ip in reachable.take(2) {
            let address = SocketAddr::new(ip, 443);
            let tls = self.dialer.tls_for(ip);
            match net::https::fetch(&Network::System, address, (host, path), tls, DISCOVERY_STEP_MAX).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }

    /// The domain that the mail exchanger belongs to, where that is another one: most likely the provider's.
    async fn provider(&mut self) -> Option<String> {
        if self.is_done() {
            return None;
        }
        let resolver = self.dialer.resolver().ok()?;
        let answer = timeout(DISCOVERY_STEP_MAX, resolver.mx(self.domain)).await.unwrap_or(Err(DnsError::NoData));
        let Ok(MxAnswer::Hosts(hosts)) = answer else { return None };
        let (_, host) = hosts.first()?;
        let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
        let provider = labels.get(labels.len().saturating_sub(2)..)?.join(".").to_ascii_lowercase();
        let is_other = labels.len() >= 2 && !is_below(self.domain, &provider);
        self.step(format!("MX {}", self.domain), if is_other { format!("mail is kept by {provider}") } else { host.clone() });
        is_other.then_some(provider)
    }

    async fn by_guess(&mut self) {
        for (scheme, prefixes) in GUESSES {
            for prefix in prefixes {
                let Ok(place) = Place::parse(&format!("{scheme}://{prefix}{}", self.domain)) else { continue };
                if !self.wants(place.protocol) {
                    break;
                }
                let shown = format!("{scheme}://{place}");
                let how = "a guess by its name; the server answers".to_owned();
                let told = self.take(Candidate { place, login: None, how, elsewhere: false }).await;
                self.step(shown, told);
            }
        }
    }
}

/// The same name or one below it.
fn is_below(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.trim_end_matches('.').to_ascii_lowercase(), domain.to_ascii_lowercase());
    host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Where a redirect leads: HTTPS on its own port and nothing else.
fn target(elsewhere: &str, host: &str) -> Result<(String, String), String> {
    if let Some(rest) = elsewhere.strip_prefix("https://") {
        let (host, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len())).unwrap_or((rest, ""));
        let host = host.strip_suffix(":443").unwrap_or(host);
        let fine = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if fine && !path.contains(|c: char| c.is_control() || c == ' ') {
            return Ok((host.to_owned(), path));
        }
    } else if elsewhere.starts_with('/')
        && !elsewhere.starts_with("//")
        && !elsewhere.contains(|c: char| c.is_control() || c == ' ')
    {
        return Ok((host.to_owned(), elsewhere.to_owned()));
    }
    Err("is moved to a place without TLS".into())
}

fn percent(text: &str) -> String {
    let mut out = String::new();
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~' | b'@') {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_under_tls() {
        let went = |text| target(text, "a.test");
        assert_eq!(went("https://b.test/x?y"), Ok(("b.test".into(), "/x?y".into())));
        assert_eq!(went("https://b.test"), Ok(("b.test".into(), "/".into())));
        assert_eq!(went("/z"), Ok(("a.test".into(), "/z".into())));
        for bad in ["http://b.test/", "//b.test/", "https://b.test:8443/", "https://u@b.test/", "https://b.test/\r\nx", "x"] {
            assert!(went(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn below_a_domain() {
        assert!(is_below("imap.example.org.", "Example.org") && is_below("example.org", "example.org"));
        assert!(!is_below("imap.badexample.org", "example.org") && !is_below("org", "example.org"));
    }

    #[test]
    fn an_address_in_a_query() {
        assert_eq!(percent("a+b&c@x.test"), "a%2Bb%26c@x.test");
    }
}
