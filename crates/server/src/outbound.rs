//! The queue's hands: what is due goes out by SMTP, what happened is settled, with its notices, in one commit.
//!
//! RFC 5321 §5, RFC 3207, RFC 7505. Invariant: a message leaves the queue only after the next hop answered for it, or
//! its sender was told, or nobody wants to be told. Must not know: when to retry and what a bounce says (mta does).

mod connect;
mod dispatch;
mod lanes;
mod local;
mod policy;
#[cfg(test)]
mod protected_tests;
mod settle;
#[cfg(test)]
mod tests;
mod transaction;
mod worker;

use crate::context::Shared;
use lanes::Lanes;
use mta::queue::Schedule;
use net::TlsClient;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How mail leaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Port of other people's servers; 25 but in tests.
    pub port: u16,
    /// Everything goes here instead of by MX.
    pub relay: Option<Relay>,
    /// DNS.
    pub resolver: net::Resolver,
    /// What connections are made on.
    pub network: net::Network,
    /// Hosts (lower-case, as MX names them) and domains whose address and port are known without DNS: `try` and tests.
    pub routes: HashMap<String, SocketAddr>,
    /// When to try again.
    pub schedule: Schedule,
    /// Connections at once, all destinations together.
    pub connections_max: usize,
    /// Connections at once to one destination.
    pub connections_per_destination: usize,
    /// For connecting, TLS included.
    pub connect_limit: Duration,
    /// Where MTA-STS policies are fetched: 443, another in tests; `None`: MTA-STS is off.
    pub sts_port: Option<u16>,
    /// A PEM file of one more authority to trust, for smarthosts and MTA-STS.
    pub extra_ca: Option<PathBuf>,
}

impl Settings {
    /// The usual ones.
    pub fn new(resolver: net::Resolver) -> Settings {
        Settings {
            port: 25,
            relay: None,
            resolver,
            network: net::Network::System,
            routes: HashMap::new(),
            schedule: Schedule::default(),
            connections_max: 400,
            connections_per_destination: 10,
            connect_limit: Duration::from_secs(30),
            sts_port: None,
            extra_ca: None,
        }
    }
}

/// A smarthost.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Its name (for the certificate too) or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// See [`RelayTls`].
    pub tls: RelayTls,
    /// Signs in; needs verified TLS.
    pub username: Option<String>,
    /// Read once, at the start.
    pub password: Option<Zeroizing<Vec<u8>>>,
    /// A PEM file of one more authority to trust.
    pub extra_ca: Option<PathBuf>,
}

/// How the way to a smarthost is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayTls {
    /// Not at all.
    None,
    /// STARTTLS, required, verified.
    Starttls,
    /// From the first octet, verified.
    Tls,
}

/// What all workers share.
struct Outbound {
    context: Shared,
    settings: Settings,
    /// For MX: any certificate is better than none.
    opportunistic: Option<TlsClient>,
    /// For the relay.
    verified: Option<TlsClient>,
    lanes: Lanes,
    policies: policy::Policies,
}

/// Sends what is due until shutdown; then finishes what is under way (bounded) and returns.
pub async fn run(context: Shared, settings: Settings) {
    let extra_ca = settings.relay.as_ref().and_then(|relay| relay.extra_ca.clone()).or_else(|| settings.extra_ca.clone());
    let opportunistic = usable(TlsClient::opportunistic());
    let verified = usable(TlsClient::verified(extra_ca.as_deref()));
    let lanes = Lanes::new(settings.connections_max, settings.connections_per_destination, settings.schedule.retry_secs.clone());
    dispatch::run(Arc::new(Outbound {
        context,
        settings,
        opportunistic,
        verified,
        lanes,
        policies: policy::Policies::default(),
    }))
    .await;
}

fn usable(made: Result<TlsClient, net::TlsError>) -> Option<TlsClient> {
    made.inspect_err(|error| tracing::error!(%error, "TLS for outgoing mail is not available")).ok()
}
