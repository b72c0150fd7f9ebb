//! The queue's hands: what is due goes out by SMTP, what happened is settled, with its notices, in one commit.
//!
//! RFC 5321 §5, RFC 3207, RFC 7505. Invariant: a message leaves the queue only after the next hop answered for it, or
//! its sender was told, or nobody wants to be told. Must not know: when to retry and what a bounce says (mta does).

mod connect;
#[cfg(test)]
mod converted_tests;
#[cfg(test)]
mod crowded_tests;
mod dispatch;
mod endings;
mod freshness;
mod lanes;
mod linked;
#[cfg(test)]
mod linked_tests;
mod local;
mod policy;
#[cfg(test)]
mod protected_tests;
mod relay;
#[cfg(test)]
mod relay_tests;
mod settle;
mod sizes;
#[cfg(test)]
mod tests;
mod tls_reports;
mod transaction;
mod worker;

pub use linked::Linked;
pub use relay::{RelayProof, Token};
pub use sizes::Sizes;

use crate::context::Shared;
use endings::Endings;
use lanes::Lanes;
use mta::queue::Schedule;
use net::TlsClient;
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How mail leaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Port of other people's servers; 25 but in tests.
    pub port: u16,
    /// Everything goes here instead of by MX, but for `by_domain`.
    pub relay: Option<Relay>,
    /// By destination (lower-case): its own way, or (`None`) by MX though there is a relay.
    pub by_domain: HashMap<String, Option<Relay>>,
    /// Destinations that are somebody's submission server elsewhere.
    pub linked: Linked,
    /// Addresses of ours that connections come from, the first of the right kind; empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// Our IPv6 address is shown to the world though it has no name in DNS.
    pub nameless_ipv6: bool,
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
    /// How TLS to each domain went is counted, and told to those that want to know (RFC 8460).
    pub tls_reports: bool,
    /// Whom such a report may be handed in to by HTTPS: its host is named by whoever has the domain.
    pub tls_reports_reach: net::Reach,
    /// A PEM file of one more authority to trust, for smarthosts and MTA-STS.
    pub extra_ca: Option<PathBuf>,
}

impl Settings {
    /// The usual ones.
    pub fn new(resolver: net::Resolver) -> Settings {
        Settings {
            port: 25,
            relay: None,
            by_domain: HashMap::new(),
            linked: Linked::default(),
            sources: Vec::new(),
            nameless_ipv6: false,
            resolver,
            network: net::Network::System,
            routes: HashMap::new(),
            schedule: Schedule::default(),
            connections_max: 400,
            connections_per_destination: 10,
            connect_limit: Duration::from_secs(30),
            sts_port: None,
            tls_reports: false,
            tls_reports_reach: net::Reach::Public,
            extra_ca: None,
        }
    }

    /// The server that mail for this destination goes to, unless it goes by MX.
    fn relay_for(&self, destination: &str) -> Option<Cow<'_, Relay>> {
        if linked::is_linked(destination) {
            return self.linked.get(destination).map(Cow::Owned);
        }
        match self.by_domain.get(destination) {
            Some(way) => way.as_ref().map(Cow::Borrowed),
            None => self.relay.as_ref().map(Cow::Borrowed),
        }
    }

    /// The address of ours to come from. A way on this machine is left to the system, as is one to it from elsewhere.
    fn source_for(&self, to: SocketAddr) -> Option<IpAddr> {
        let fits = |source: &&IpAddr| source.is_ipv4() == to.is_ipv4() && source.is_loopback() == to.ip().is_loopback();
        self.sources.iter().find(fits).copied()
    }
}

/// A server that mail is given to instead of asking for MX: a smarthost, or one's own behind this one.
#[derive(Debug, Clone)]
pub struct Relay {
    /// LMTP (RFC 2033): it answers for each recipient.
    pub lmtp: bool,
    /// A Unix socket, instead of host and port.
    pub socket: Option<PathBuf>,
    /// Its name (for the certificate too) or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// See [`RelayTls`].
    pub tls: RelayTls,
    /// Signs in; needs verified TLS.
    pub username: Option<String>,
    /// What proves it.
    pub password: Option<RelayProof>,
    /// A PEM file of one more authority to trust.
    pub extra_ca: Option<PathBuf>,
    /// Somebody who is not the operator named it: only addresses of this reach are dialled. On this computer it may then do
    /// without a certificate that proves itself.
    pub reach: Option<net::Reach>,
}

impl Relay {
    /// For people.
    fn name(&self) -> String {
        self.socket.as_ref().map_or_else(|| self.host.clone(), |path| path.display().to_string())
    }
}

/// How the way to a smarthost is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayTls {
    /// Not at all.
    None,
    /// STARTTLS when offered, with any certificate.
    Opportunistic,
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
    endings: Endings,
    policies: policy::Policies,
    sessions: tls_reports::Sessions,
}

impl Outbound {
    fn new(context: Shared, settings: Settings) -> Outbound {
        let extra_ca = settings.relay.as_ref().and_then(|relay| relay.extra_ca.clone()).or_else(|| settings.extra_ca.clone());
        let retry_secs = settings.schedule.retry_secs.clone();
        Outbound {
            context,
            opportunistic: usable(TlsClient::opportunistic()),
            verified: usable(TlsClient::verified(extra_ca.as_deref())),
            lanes: Lanes::new(settings.connections_max, settings.connections_per_destination, retry_secs),
            settings,
            endings: Endings::default(),
            policies: policy::Policies::default(),
            sessions: tls_reports::Sessions::default(),
        }
    }
}

/// Sends what is due until shutdown; then finishes what is under way (bounded) and returns.
pub async fn run(context: Shared, settings: Settings) {
    let outbound = Arc::new(Outbound::new(context, settings));
    if outbound.settings.tls_reports
        && let Err(error) = outbound.sessions.load(&outbound.context.store).await
    {
        tracing::error!(?error, "what TLS reports are made of cannot be read");
    }
    // Beside the queue; none of them may hold it up.
    let mut beside = tokio::task::JoinSet::new();
    if outbound.settings.tls_reports {
        let outbound = Arc::clone(&outbound);
        beside.spawn(net::lasting("TLS reports", move || tls_reports::run(Arc::clone(&outbound))));
    }
    let fresh = Arc::clone(&outbound);
    beside.spawn(net::lasting("MTA-STS policies", move || freshness::run(Arc::clone(&fresh))));
    dispatch::run(outbound).await;
}

fn usable(made: Result<TlsClient, net::TlsError>) -> Option<TlsClient> {
    made.inspect_err(|error| tracing::error!(%error, "TLS for outgoing mail is not available")).ok()
}
