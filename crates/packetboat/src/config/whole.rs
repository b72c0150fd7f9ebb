//! What no option can check alone: what is missing, what contradicts, what is unsafe together.

use super::options::OPTIONS;
use super::{Config, Places, Problem, Relay, RelayTls, Service};
use net::listener::ListenAddr;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// Checks the whole, and fills in what one option takes from another.
pub(crate) fn check(config: &mut Config, places: &Places, _base: &Path, problems: &mut Vec<Problem>) {
    missing(places, problems);
    listeners(config, places, problems);
    tls(config, places, problems);
    relay(config, places, problems);
    routes(config, places, problems);
    sign_in(config, places, problems);
    config.user_given = places.contains_key("user");
    if config.free_bytes_tight < config.free_bytes_min {
        let at = place(places, &["free_bytes_tight", "free_bytes_min"]);
        if places.contains_key("free_bytes_tight") {
            problems.push(Problem { span: at, message: "`free_bytes_tight` must not be less than `free_bytes_min`".into() });
        } else {
            config.free_bytes_tight = config.free_bytes_min;
        }
    }
}

fn place(places: &Places, names: &[&str]) -> Range<usize> {
    names.iter().find_map(|name| places.get(*name)).cloned().unwrap_or(0..0)
}

fn missing(places: &Places, problems: &mut Vec<Problem>) {
    for block in OPTIONS.iter().filter(|block| block.is_required() && !places.contains_key(block.name)) {
        problems
            .push(Problem { span: 0..0, message: format!("`{}` is missing: {} = {}", block.name, block.name, block.example) });
    }
}

fn listeners(config: &Config, places: &Places, problems: &mut Vec<Problem>) {
    let mut seen: HashMap<&ListenAddr, Service> = HashMap::new();
    for (service, endpoint) in &config.listen {
        let name = format!("listen.{}", service.name());
        let span = place(places, &[&name]);
        let fixed = !matches!(endpoint, ListenAddr::Tcp(address) if address.port() == 0);
        if fixed && let Some(other) = seen.insert(endpoint, *service) {
            problems.push(Problem {
                span: span.clone(),
                message: format!("{endpoint} is given twice: for {} and for {}", other.name(), service.name()),
            });
        }
        if *service == Service::Lmtp && !endpoint.is_loopback() {
            let message = format!(
                "lmtp on {endpoint}: LMTP knows no sign-in (RFC 2033), so it listens only on loopback or on a Unix socket"
            );
            problems.push(Problem { span: span.clone(), message });
        }
        if service.is_implicit_tls() && !config.has_tls() && !places.contains_key("tls.certificate") {
            let message = format!(
                "{} needs a certificate: give `certificate` and `private_key`, or `self_signed = true`, under [tls]",
                service.name()
            );
            problems.push(Problem { span, message });
        }
    }
}

fn tls(config: &Config, places: &Places, problems: &mut Vec<Problem>) {
    let certificate = places.contains_key("tls.certificate");
    let key = places.contains_key("tls.private_key");
    let mut problem =
        |name: &str, message: &str| problems.push(Problem { span: place(places, &[name]), message: message.into() });
    if certificate && !key {
        problem("tls.certificate", "`certificate` needs its `private_key`");
    }
    if key && !certificate {
        problem("tls.private_key", "`private_key` needs its `certificate`");
    }
    if config.self_signed && (certificate || key) {
        problem("tls.self_signed", "`self_signed` and `certificate` exclude each other");
    }
    if let (Some(certificate), Some(private_key), false) = (&config.certificate, &config.private_key, config.self_signed)
        && let Err(message) = crate::certificates::check_pair(certificate, private_key)
    {
        problem("tls.certificate", &message);
    }
    if let Some(file) = &config.ca_file
        && let Err(message) = crate::certificates::check_authorities(file)
    {
        problem("outbound.ca_file", &message);
    }
}

fn sign_in(config: &Config, places: &Places, problems: &mut Vec<Problem>) {
    if let Some(file) = &config.client_ca
        && let Err(message) = crate::certificates::check_client_authority(file)
    {
        problems.push(Problem { span: place(places, &["auth.client_ca"]), message });
    }
    let Some(settings) = &config.oauth else { return };
    let mut missing: Vec<&str> =
        ["oauth.issuer", "oauth.audience"].into_iter().filter(|name| !places.contains_key(*name)).collect();
    match (places.contains_key("oauth.jwks_file"), places.contains_key("oauth.jwks_url")) {
        (false, false) => missing.push("oauth.jwks_file"),
        (true, true) => {
            let message = "the keys are in a file or fetched: jwks_file and jwks_url do not go together".to_owned();
            problems.push(Problem { span: place(places, &["oauth.jwks_url"]), message });
        }
        _ => {}
    }
    for name in missing {
        let known = ["oauth", "oauth.issuer", "oauth.jwks_file", "oauth.jwks_url", "oauth.audience", "oauth.claim"];
        let message = format!("`{name}` is missing: a token server needs it");
        problems.push(Problem { span: place(places, &known), message });
    }
    if places.contains_key("oauth.jwks_file")
        && !settings.jwks_file.as_os_str().is_empty()
        && let Err(message) = server::auth::OAuth::new(settings.clone())
    {
        problems.push(Problem { span: place(places, &["oauth.jwks_file"]), message });
    }
}

fn relay(config: &mut Config, places: &Places, problems: &mut Vec<Problem>) {
    let table = places.get("outbound.relay").cloned();
    if table.is_some() && !places.contains_key("outbound.relay.host") {
        problems.push(Problem {
            span: table.unwrap_or(0..0),
            message: "`outbound.relay.host` is missing: the smarthost's name".into(),
        });
    }
    if let Some(relay) = &mut config.relay {
        complete(relay, "outbound.relay", places, problems);
    }
}

/// The port that fits, and what a sign-in needs.
fn complete(relay: &mut Relay, table: &str, places: &Places, problems: &mut Vec<Problem>) {
    if relay.port == 0 {
        relay.port = match relay.tls {
            RelayTls::Tls => 465,
            RelayTls::StartTls => 587,
            RelayTls::None | RelayTls::Opportunistic => 25,
        };
    }
    let (username, password) = (format!("{table}.username"), format!("{table}.password_file"));
    let (has_username, has_password) = (places.contains_key(&username), places.contains_key(&password));
    let mut problem =
        |name: &str, message: &str| problems.push(Problem { span: place(places, &[name]), message: message.into() });
    if has_username && matches!(relay.tls, RelayTls::None | RelayTls::Opportunistic) {
        problem(&username, "a username needs verified TLS: `tls = \"starttls\"` or `tls = \"tls\"`");
    }
    if has_username && !has_password {
        problem(&username, "`username` needs a `password_file`");
    }
    if has_password && !has_username {
        problem(&password, "`password_file` needs a `username`");
    }
}

fn routes(config: &mut Config, places: &Places, problems: &mut Vec<Problem>) {
    for route in &mut config.routes {
        let table = format!("outbound.routes.{}", route.domain);
        let mut problem = |message: String| {
            problems.push(Problem { span: place(places, &[&table]), message: format!("{}: {message}", route.domain) })
        };
        if config.domains.contains(&route.domain) {
            problem("it is served here, so its mail goes nowhere else".into());
        }
        let has_host = route.socket.is_some() || places.contains_key(&format!("{table}.host"));
        if has_host == route.mx {
            problem("a route wants either a `host` or `mx = true`".into());
        }
        if route.socket.is_some() && !route.lmtp {
            problem("only LMTP goes over a Unix socket: `lmtp = true`".into());
        }
        if route.lmtp {
            if !places.contains_key(&format!("{table}.tls")) {
                route.relay.tls = RelayTls::None;
            }
            if route.relay.port == 0 {
                route.relay.port = 24;
            }
        }
        complete(&mut route.relay, &table, places, problems);
    }
}
