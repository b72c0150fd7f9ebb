//! The way to somebody else's server: names to addresses, TCP, TLS.
//!
//! Invariant: a password leaves this machine only under TLS to a server whose certificate was verified. A loopback peer
//! is this machine: it may do without TLS, and its certificate is looked at only when a file of roots is given for it.
//! Where somebody else names the hosts ([`Dialer::within`]), the address that was looked at is the one that is dialled:
//! a name that leads elsewhere the second time (DNS rebinding) leads nowhere.

use crate::limits::{ADDRESSES_MAX, CONNECT_MAX};
use crate::place::Place;
use crate::trouble::Trouble;
use net::{Connection, DnsError, Reach, Resolver, Tap, TlsClient};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

/// Makes a listener for each new connection: what is said to this place, and whether TLS is on already.
pub type Listening = Arc<dyn Fn(&Place, bool) -> Arc<dyn Tap> + Send + Sync>;

/// Connects. Made once for a run.
pub struct Dialer {
    resolver: OnceLock<Resolver>,
    verified: TlsClient,
    /// For loopback without a file of roots.
    local: Option<TlsClient>,
    listening: Option<Listening>,
    /// Whom a name may lead to; `None`: anybody.
    reach: Option<Reach>,
}

impl Dialer {
    /// `tls_ca`: a PEM file of roots that count besides the public ones.
    ///
    /// # Errors
    /// The file is of no use.
    pub fn new(tls_ca: Option<&Path>) -> Result<Dialer, Trouble> {
        let here = |error: net::TlsError| Trouble::Here(error.to_string());
        let local = if tls_ca.is_none() { Some(TlsClient::opportunistic().map_err(here)?) } else { None };
        let verified = TlsClient::verified(tls_ca).map_err(here)?;
        Ok(Dialer { resolver: OnceLock::new(), verified, local, listening: None, reach: None })
    }

    /// Only addresses of this reach are connected to, whatever a name leads to.
    #[must_use]
    pub fn within(self, reach: Reach) -> Dialer {
        Dialer { reach: Some(reach), ..self }
    }

    /// May this address be connected to?
    pub(crate) fn may_reach(&self, ip: IpAddr) -> bool {
        self.reach.is_none_or(|reach| reach.admits(ip))
    }

    /// The names to ask, the system's unless set before.
    ///
    /// # Errors
    /// There is no resolver to be had.
    pub fn resolver(&self) -> Result<&Resolver, Trouble> {
        if let Some(resolver) = self.resolver.get() {
            return Ok(resolver);
        }
        let made = Resolver::system().map_err(|error| Trouble::Lost(format!("DNS: {error}")))?;
        Ok(self.resolver.get_or_init(|| made))
    }

    /// Somebody listens in on every connection.
    pub fn heard_by(mut self, listening: Option<Listening>) -> Dialer {
        self.listening = listening;
        self
    }

    /// How a peer with this address proves itself.
    pub(crate) fn tls_for(&self, ip: IpAddr) -> &TlsClient {
        match &self.local {
            Some(local) if ip.to_canonical().is_loopback() => local,
            _ => &self.verified,
        }
    }

    /// Names from elsewhere than the system.
    pub fn with_resolver(self, resolver: Resolver) -> Dialer {
        let _ = self.resolver.set(resolver);
        self
    }

    pub(crate) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        // RFC 6761 §6.3
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
        }
        match self.resolver()?.addresses(host).await {
            Ok(found) => Ok(found.into_iter().take(ADDRESSES_MAX).map(|ip| SocketAddr::new(ip, port)).collect()),
            Err(DnsError::NotFound) => Err(Trouble::Refused(format!("there is no host {host}"))),
            Err(DnsError::NoData) => Err(Trouble::Refused(format!("{host} has no address"))),
            Err(DnsError::Temporary(why)) => Err(Trouble::Lost(format!("DNS gave no answer for {host}: {why}"))),
        }
    }

    /// A connection, under TLS already where the place says so, else ready for STARTTLS.
    ///
    /// # Errors
    /// No address, no connection, or a certificate that proves nothing.
    pub async fn connect(&self, place: &Place) -> Result<Connection, Trouble> {
        let mut last = Trouble::Lost(format!("{} has no address", place.host));
        for address in self.addresses(&place.host, place.port).await? {
            match self.connect_to(address, place).await {
                Ok(mut connection) => {
                    if let Some(listening) = &self.listening {
                        connection.set_tap(listening(place, connection.is_tls()));
                    }
                    return Ok(connection);
                }
                // No later try mends that.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    last = Trouble::Refused(format!("{place}: {error}"));
                }
                Err(error) => last = Trouble::Lost(format!("{place}: {error}")),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr, place: &Place) -> std::io::Result<Connection> {
        if !self.may_reach(address.ip()) {
            return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "its address may not be reached from here"));
        }
        let until = Instant::now() + CONNECT_MAX;
        let mut connection = Connection::dial(address, None, CONNECT_MAX).await?;
        let tls = self.tls_for(address.ip());
        if place.implicit_tls {
            return connection.tls_first(tls, &place.host, until).await;
        }
        connection.set_tls_client(tls.clone(), &place.host);
        connection.set_handshake_max(CONNECT_MAX);
        Ok(connection)
    }
}

/// Random printable octets for SCRAM.
pub(crate) fn nonce() -> String {
    let mut random = [0; 18];
    // Without randomness there would be no TLS either; SCRAM with a nonce known before still proves both sides.
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
    data_encoding::BASE64URL_NOPAD.encode(&random)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// One that listens, and how it is named.
    async fn listening() -> (tokio::net::TcpListener, u16) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    async fn knocked(listener: &tokio::net::TcpListener) -> bool {
        tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await.is_ok()
    }

    #[tokio::test]
    async fn who_may_not_be_reached_is_not_dialled_by_whatever_name() {
        let (listener, port) = listening().await;
        let mut zone = net::dns_server::Zone::new();
        zone.address("inside.test", Ipv4Addr::LOCALHOST.into());
        let dns = net::dns_server::DnsServer::start(([127, 0, 0, 1], 0).into(), zone).await.unwrap();
        let resolver = || Resolver::with_servers(vec![dns.local()]).unwrap();
        for host in ["127.0.0.1", "localhost", "inside.test", "[::ffff:127.0.0.1]"] {
            let place = Place::parse(&format!("imap://{host}:{port}")).unwrap();
            let dialer = Dialer::new(None).unwrap().with_resolver(resolver()).within(Reach::Public);
            let why = dialer.connect(&place).await.err().unwrap();
            assert!(matches!(&why, Trouble::Refused(text) if text.contains("may not be reached")), "{host}: {why}");
        }
        assert!(!knocked(&listener).await, "nobody knocked");
        let place = Place::parse(&format!("imap://inside.test:{port}")).unwrap();
        let dialer = Dialer::new(None).unwrap().with_resolver(resolver()).within(Reach::Anywhere);
        assert!(dialer.connect(&place).await.is_ok());
    }
}
