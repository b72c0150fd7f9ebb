//! The configuration file: read once, checked whole, every problem told at once as `FILE:LINE: message`.
//!
//! Every option is one block in `config/options.rs` (name, words, default, check, values that pass and that do not);
//! `config/whole.rs` checks what no option can check alone. Defaults are the same text that `packetboat config` prints.
//! Invariant: a [`Config`] in hand is usable as it stands. Must not know: sockets, the store's insides. Never writes the file.

mod options;
mod reader;
mod suggest;
mod whole;

pub(crate) use options::reference;

use net::listener::ListenAddr;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What may be listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    /// RFC 5321, mail from other servers.
    Smtp,
    /// RFC 6409, with STARTTLS.
    Submission,
    /// RFC 8314, TLS from the first octet.
    Submissions,
    /// RFC 2033.
    Lmtp,
    /// RFC 9051.
    Imap,
    /// RFC 8314.
    Imaps,
    /// RFC 1939.
    Pop3,
    /// RFC 8314.
    Pop3s,
    /// HTTP.
    Http,
    /// HTTP under TLS.
    Https,
}

impl Service {
    /// As it is spelled under `[listen]`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Smtp => "smtp",
            Service::Submission => "submission",
            Service::Submissions => "submissions",
            Service::Lmtp => "lmtp",
            Service::Imap => "imap",
            Service::Imaps => "imaps",
            Service::Pop3 => "pop3",
            Service::Pop3s => "pop3s",
            Service::Http => "http",
            Service::Https => "https",
        }
    }

    /// TLS from the first octet.
    pub(crate) fn is_implicit_tls(self) -> bool {
        matches!(self, Service::Submissions | Service::Imaps | Service::Pop3s | Service::Https)
    }
}

/// How a smarthost is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayTls {
    /// In the clear.
    None,
    /// STARTTLS if offered, any certificate.
    Opportunistic,
    /// STARTTLS, demanded and verified.
    StartTls,
    /// TLS from the first octet, verified.
    Tls,
}

/// A smarthost.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Relay {
    pub(crate) host: String,
    /// 0 until the defaults are filled in: 465, 587 or 25 by `tls`.
    pub(crate) port: u16,
    pub(crate) tls: RelayTls,
    pub(crate) username: Option<String>,
    /// The first line of `password_file`.
    pub(crate) password: Option<String>,
}

impl Relay {
    fn blank() -> Relay {
        Relay { host: String::new(), port: 0, tls: RelayTls::Tls, username: None, password: None }
    }
}

/// How mail for one domain goes.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// Lower-case.
    pub(crate) domain: String,
    pub(crate) relay: Relay,
    /// By MX though there is a smarthost.
    pub(crate) mx: bool,
    pub(crate) lmtp: bool,
    /// Instead of host and port.
    pub(crate) socket: Option<PathBuf>,
}

impl Route {
    fn blank(domain: String) -> Route {
        Route { domain, relay: Relay::blank(), mx: false, lmtp: false, socket: None }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Everything the file says, with the defaults filled in.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) hostname: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) domains: Vec<String>,
    pub(crate) message_bytes_max: u64,
    pub(crate) undo_days: u32,
    pub(crate) free_bytes_min: u64,
    pub(crate) free_bytes_tight: u64,
    pub(crate) user: String,
    /// `user` is in the file: then it must exist.
    pub(crate) user_given: bool,
    pub(crate) listen: Vec<(Service, ListenAddr)>,
    pub(crate) proxy_from: Vec<net::IpRange>,
    pub(crate) xclient_from: Vec<net::IpRange>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) private_key: Option<PathBuf>,
    pub(crate) self_signed: bool,
    strict_transport_days: u32,
    pub(crate) plaintext: server::context::Plaintext,
    pub(crate) mechanisms: Vec<server::auth::MechanismOffer>,
    /// (SHA-256 in hex, address).
    pub(crate) client_certificates: Vec<(String, String)>,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) oauth: Option<server::auth::OAuthSettings>,
    pub(crate) dns_servers: Vec<SocketAddr>,
    pub(crate) outbound_port: u16,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) relay: Option<Relay>,
    pub(crate) imap: server::imap::Settings,
    pub(crate) routes: Vec<Route>,
    /// The one that is being read.
    route: Option<Route>,
    pub(crate) sources: Vec<std::net::IpAddr>,
    pub(crate) nameless_ipv6: bool,
    pub(crate) limits: server::context::Limits,
    pub(crate) connections_max: u32,
    /// How strangers' mail is judged.
    pub(crate) inbound: server::trust::Policy,
    /// Reverse-paths of forwarded mail are rewritten.
    pub(crate) srs: bool,
    pub(crate) trace_days: u32,
    pub(crate) trace_events_max: u64,
    pub(crate) dnssec: bool,
    pub(crate) mta_sts: bool,
    pub(crate) tls_reports: bool,
    /// Old accounts may be on private addresses.
    pub(crate) private_links: bool,
    /// Push services may be on private addresses.
    pub(crate) private_push: bool,
}

impl Config {
    /// Before any option was read; every field is then set by its option's default.
    fn blank() -> Config {
        Config {
            hostname: String::new(),
            data_dir: PathBuf::new(),
            domains: Vec::new(),
            message_bytes_max: 0,
            undo_days: 0,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            user: String::new(),
            user_given: false,
            listen: Vec::new(),
            proxy_from: Vec::new(),
            xclient_from: Vec::new(),
            certificate: None,
            private_key: None,
            self_signed: false,
            strict_transport_days: 0,
            plaintext: server::context::Plaintext::Never,
            mechanisms: Vec::new(),
            client_certificates: Vec::new(),
            client_ca: None,
            oauth: None,
            dns_servers: Vec::new(),
            outbound_port: 0,
            ca_file: None,
            relay: None,
            imap: server::imap::Settings::default(),
            routes: Vec::new(),
            route: None,
            sources: Vec::new(),
            nameless_ipv6: false,
            limits: server::context::Limits::default(),
            connections_max: 0,
            inbound: server::trust::Policy::default(),
            srs: false,
            trace_days: 0,
            trace_events_max: 0,
            dnssec: false,
            mta_sts: false,
            tls_reports: false,
            private_links: false,
            private_push: false,
        }
    }

    /// The smarthost's block, made when its first key is read.
    fn relay_mut(&mut self) -> &mut Relay {
        self.relay.get_or_insert_with(Relay::blank)
    }

    /// The route whose keys are being read.
    fn route_mut(&mut self) -> &mut Route {
        self.route.get_or_insert_with(|| Route::blank(String::new()))
    }

    /// The token server's block, made when its first key is read.
    fn oauth_mut(&mut self) -> &mut server::auth::OAuthSettings {
        self.oauth.get_or_insert_with(|| server::auth::OAuthSettings { claim: "email".into(), ..Default::default() })
    }

    /// How the store is opened.
    pub(crate) fn store(&self) -> store::StoreConfig {
        store::StoreConfig {
            data_dir: self.data_dir.clone(),
            undo_days: self.undo_days,
            free_bytes_min: self.free_bytes_min,
            free_bytes_tight: self.free_bytes_tight,
            // With room for the trace fields, so that what was taken as not too large can be kept.
            message_bytes_max: self.message_bytes_max.saturating_add(mta::limits::ADDED_BYTES_MAX),
        }
    }

    /// Name servers whose word that DNSSEC proves an answer is believed: those on this machine, for the way to any other is
    /// not safe. The configured ones, or those of `/etc/resolv.conf`.
    pub(crate) fn proving_servers(&self) -> Vec<SocketAddr> {
        let given = match self.dns_servers.is_empty() {
            false => self.dns_servers.clone(),
            true => std::fs::read_to_string("/etc/resolv.conf").map(|text| name_servers(&text)).unwrap_or_default(),
        };
        // One that is elsewhere may be asked at any time and must not be believed.
        if given.iter().all(|server| server.ip().is_loopback()) { given } else { Vec::new() }
    }

    /// A certificate is configured or will be made.
    pub(crate) fn has_tls(&self) -> bool {
        self.self_signed || self.certificate.is_some()
    }

    /// For how long browsers are to come by TLS alone: told where they trust the certificate, and where nobody is meant to sign in
    /// without TLS.
    pub(crate) fn strict_transport_secs(&self) -> Option<u64> {
        let is_told = self.certificate.is_some() && self.plaintext != server::context::Plaintext::Always;
        is_told.then(|| u64::from(self.strict_transport_days) * 86_400)
    }
}

/// One thing wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Octets of the file it is about.
    pub(crate) span: Range<usize>,
    /// In plain words.
    pub(crate) message: String,
}

/// Where each given option stands in the file.
pub(crate) type Places = BTreeMap<String, Range<usize>>;

/// Reads and checks a file.
///
/// # Errors
/// Every problem, as lines `FILE:LINE: message`, in the order of the file.
pub(crate) fn load(path: &Path) -> Result<Config, Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![format!("{}: cannot be read: {error}; --config names another", path.display())])?;
    let base = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let base = std::path::absolute(&base).unwrap_or(base);
    parse(&text, &base).map_err(|problems| {
        problems
            .iter()
            .map(|problem| format!("{}:{}: {}", path.display(), line_of(&text, problem.span.start), problem.message))
            .collect()
    })
}

/// Checks a file's text; relative paths in it start at `base`.
pub(crate) fn parse(text: &str, base: &Path) -> Result<Config, Vec<Problem>> {
    let mut config = Config::blank();
    let mut problems = Vec::new();
    options::apply_defaults(&mut config, base);
    let (table, errors) = toml::de::DeTable::parse_recoverable(text);
    for error in errors {
        problems.push(Problem { span: error.span().unwrap_or(0..0), message: error.message().trim().replace('\n', "; ") });
    }
    let places = reader::walk(table.get_ref(), base, &mut config, &mut problems);
    whole::check(&mut config, &places, base, &mut problems);
    if problems.is_empty() {
        return Ok(config);
    }
    // A problem is one line, also when it quotes what has more.
    for problem in &mut problems {
        problem.message = problem.message.replace(char::is_control, " ");
    }
    problems.sort_by(|a, b| a.span.start.cmp(&b.span.start).then_with(|| a.message.cmp(&b.message)));
    problems.dedup();
    Err(problems)
}

/// The `nameserver` lines of resolv.conf(5).
fn name_servers(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let server = words.filter(|words| words.first() == Some(&"nameserver")).filter_map(|words| words.get(1)?.parse().ok());
    server.map(|ip: std::net::IpAddr| SocketAddr::new(ip, 53)).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|&&octet| octet == b'\n').count()
}

#[cfg(test)]
mod tests;
