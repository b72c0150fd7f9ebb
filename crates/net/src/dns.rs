//! Questions to DNS (RFC 1035, 5321 §5.1, 7505), on hickory-resolver with its cache.
//!
//! Invariant: only an authoritative "no such name" is [`DnsError::NotFound`]; whatever merely did not work is
//! [`DnsError::Temporary`], so that no mail bounces because a name server was down. Knows no mail beyond MX.

use crate::dane::{TLSA_MAX, Tlsa};
use crate::limits;
use crate::proven::{self, Proven};
pub use hickory_proto::rr::rdata::{MX, TLSA, TXT};
pub use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Answer, NetError};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Where a domain's mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MxAnswer {
    /// It takes no mail (RFC 7505).
    Null,
    /// (preference, host), best first, in random order among equals, without the final dot.
    Hosts(Vec<(u16, String)>),
    /// No MX, but an address: the domain itself is the host (RFC 5321 §5.1).
    Implicit,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsError {
    /// NXDOMAIN: there is no such name.
    NotFound,
    /// The name is there, but nothing of the kind that was asked.
    NoData,
    /// It may work later: SERVFAIL, refused, no answer in time.
    Temporary(String),
}

impl DnsError {
    /// Worth another try later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, DnsError::Temporary(_))
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsError::NotFound => f.write_str("no such name in DNS"),
            DnsError::NoData => f.write_str("DNS has nothing of that kind for this name"),
            DnsError::Temporary(why) => write!(f, "DNS did not answer: {why}"),
        }
    }
}

impl std::error::Error for DnsError {}

/// Records of one kind, to come.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Vec<RData>, DnsError>> + Send + 'a>>;

/// The same with what is proven of them.
pub type AnsweringProven<'a> = Pin<Box<dyn Future<Output = Result<Proven<Vec<RData>>, DnsError>> + Send + 'a>>;

/// Somebody else than DNS who answers: a simulation, which also lies.
pub trait Names: Send + Sync {
    /// All records of this kind at this name, in the order they are to be tried.
    fn ask(&self, name: Name, kind: RecordType) -> Answering<'_>;

    /// The same, and whether DNSSEC proves it.
    fn ask_proven(&self, name: Name, kind: RecordType) -> AnsweringProven<'_> {
        Box::pin(async move { Ok(Proven { value: self.ask(name, kind).await?, secure: false }) })
    }
}

#[derive(Clone)]
enum Source {
    Dns(Box<TokioResolver>),
    Other(Arc<dyn Names>),
}

/// Asks DNS. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    source: Source,
    /// Validating servers whose AD bit is believed; empty: nothing is ever proven.
    trusted: Arc<[SocketAddr]>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

fn options(options: &mut ResolverOpts) {
    options.cache_size = limits::DNS_CACHE_ANSWERS;
    options.positive_max_ttl = Some(limits::DNS_TTL_MAX);
    options.negative_max_ttl = Some(limits::DNS_NEGATIVE_TTL_MAX);
    options.timeout = Duration::from_secs(5);
    options.attempts = 3;
    options.try_tcp_on_error = true;
}

fn temporary(error: impl fmt::Display) -> DnsError {
    DnsError::Temporary(error.to_string())
}

impl Resolver {
    /// The servers of `/etc/resolv.conf`.
    pub fn system() -> Result<Resolver, DnsError> {
        let mut builder = TokioResolver::builder_tokio().map_err(temporary)?;
        options(builder.options_mut());
        Ok(Resolver { source: Source::Dns(Box::new(builder.build().map_err(temporary)?)), trusted: Arc::new([]) })
    }

    /// The same resolver; these servers prove what they say by DNSSEC, and the way to them is safe (they are on this
    /// machine). They are asked where it matters.
    #[must_use]
    pub fn trusting(mut self, servers: Vec<SocketAddr>) -> Resolver {
        self.trusted = servers.into();
        self
    }

    /// These servers and no others, nor `/etc/hosts`.
    pub fn with_servers(servers: Vec<SocketAddr>) -> Result<Resolver, DnsError> {
        let servers = servers
            .into_iter()
            .map(|addr| {
                let mut server = NameServerConfig::udp_and_tcp(addr.ip());
                server.trust_negative_responses = true;
                for connection in &mut server.connections {
                    connection.port = addr.port();
                }
                server
            })
            .collect();
        let config = ResolverConfig::from_name_servers(servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        options(builder.options_mut());
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        Ok(Resolver { source: Source::Dns(Box::new(builder.build().map_err(temporary)?)), trusted: Arc::new([]) })
    }

    /// Asks `names` instead of DNS, without a cache.
    pub fn of(names: Arc<dyn Names>) -> Resolver {
        Resolver { source: Source::Other(names), trusted: Arc::new([]) }
    }

    async fn ask(&self, name: Name, kind: RecordType) -> Result<Vec<RData>, DnsError> {
        let inner = match &self.source {
            Source::Dns(inner) => inner,
            Source::Other(names) => return names.ask(name, kind).await,
        };
        let answer = inner.lookup(name, kind).await.map_err(why)?;
        let found: Vec<RData> =
            answer.answers().iter().filter(|record| record.record_type() == kind).map(|record| record.data.clone()).collect();
        if found.is_empty() { Err(DnsError::NoData) } else { Ok(found) }
    }

    /// The same, and whether DNSSEC proves it.
    async fn ask_proven(&self, name: Name, kind: RecordType) -> Result<Proven<Vec<RData>>, DnsError> {
        match &self.source {
            Source::Other(names) => names.ask_proven(name, kind).await,
            Source::Dns(_) if !self.trusted.is_empty() => proven::ask(&self.trusted, &name, kind).await,
            Source::Dns(_) => Ok(Proven { value: self.ask(name, kind).await?, secure: false }),
        }
    }

    /// [`Resolver::mx`], and whether DNSSEC proves it.
    pub async fn mx_proven(&self, domain: &str) -> Result<Proven<MxAnswer>, DnsError> {
        match self.ask_proven(absolute(domain)?, RecordType::MX).await {
            Ok(Proven { value, secure }) => Ok(Proven { value: sort_mx(value, matches!(self.source, Source::Dns(_))), secure }),
            // That there is no MX is not proven here: the address of the domain itself is asked for its own proof.
            Err(DnsError::NoData) => Ok(Proven { value: self.mx(domain).await?, secure: true }),
            Err(error) => Err(error),
        }
    }

    /// [`Resolver::addresses`], and whether DNSSEC proves those that are there.
    pub async fn addresses_proven(&self, host: &str) -> Result<Proven<Vec<IpAddr>>, DnsError> {
        if self.trusted.is_empty() && matches!(self.source, Source::Dns(_)) || host.parse::<IpAddr>().is_ok() {
            return Ok(Proven { value: self.addresses(host).await?, secure: false });
        }
        let name = absolute(host)?;
        let (four, six) = tokio::join!(self.ask_proven(name.clone(), RecordType::A), self.ask_proven(name, RecordType::AAAA));
        let mut found = Proven { value: Vec::new(), secure: true };
        let mut trouble: Option<DnsError> = None;
        for answer in [four, six] {
            match answer {
                Ok(answer) => {
                    found.value.extend(answer.value.iter().filter_map(RData::ip_addr));
                    found.secure &= answer.secure;
                }
                Err(error) if trouble.as_ref().is_none_or(|worst| !worst.is_temporary()) => trouble = Some(error),
                Err(_) => {}
            }
        }
        found.value.truncate(limits::ADDRESSES_MAX);
        if found.value.is_empty() { Err(trouble.unwrap_or(DnsError::NoData)) } else { Ok(found) }
    }

    /// TLSA records of a port of a host (RFC 6698 §3), if DNSSEC proves them; none when there are none, or none that are
    /// proven. An error means that nobody knows: then it must not be gone on without (RFC 7672 §2.1).
    pub async fn tlsa(&self, host: &str, port: u16) -> Result<Vec<Tlsa>, DnsError> {
        let name = absolute(&format!("_{port}._tcp.{}", host.trim_end_matches('.')))?;
        match self.ask_proven(name, RecordType::TLSA).await {
            Ok(Proven { value, secure: true }) => Ok(value.iter().filter_map(one_tlsa).take(TLSA_MAX).collect()),
            Ok(_) | Err(DnsError::NotFound | DnsError::NoData) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Where mail for `domain` goes. `NotFound`: no such domain; `NoData`: it has neither MX nor address.
    pub async fn mx(&self, domain: &str) -> Result<MxAnswer, DnsError> {
        match self.ask(absolute(domain)?, RecordType::MX).await {
            Ok(records) => Ok(sort_mx(records, matches!(self.source, Source::Dns(_)))),
            Err(DnsError::NoData) => self.addresses(domain).await.map(|_| MxAnswer::Implicit).map_err(|error| match error {
                DnsError::NotFound => DnsError::NoData,
                other => other,
            }),
            Err(error) => Err(error),
        }
    }

    /// Addresses of a host, IPv4 first (what most of the world can be reached by), or the address literal itself.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let name = absolute(host)?;
        let (four, six) = tokio::join!(self.ask(name.clone(), RecordType::A), self.ask(name, RecordType::AAAA));
        let mut found = Vec::new();
        let mut trouble: Option<DnsError> = None;
        for answer in [four, six] {
            match answer {
                Ok(records) => found.extend(records.iter().filter_map(RData::ip_addr)),
                Err(error) if trouble.as_ref().is_none_or(|worst| !worst.is_temporary()) => trouble = Some(error),
                Err(_) => {}
            }
        }
        found.truncate(limits::ADDRESSES_MAX);
        if found.is_empty() { Err(trouble.unwrap_or(DnsError::NoData)) } else { Ok(found) }
    }

    /// A records.
    pub async fn ipv4(&self, name: &str) -> Result<Vec<std::net::Ipv4Addr>, DnsError> {
        let records = self.ask(absolute(name)?, RecordType::A).await?;
        Ok(records.iter().filter_map(|data| if let RData::A(ip) = data { Some(ip.0) } else { None }).collect())
    }

    /// AAAA records.
    pub async fn ipv6(&self, name: &str) -> Result<Vec<std::net::Ipv6Addr>, DnsError> {
        let records = self.ask(absolute(name)?, RecordType::AAAA).await?;
        Ok(records.iter().filter_map(|data| if let RData::AAAA(ip) = data { Some(ip.0) } else { None }).collect())
    }

    /// MX records as they stand, best first; the null MX has an empty name.
    pub async fn mx_records(&self, name: &str) -> Result<Vec<(u16, String)>, DnsError> {
        let records = self.ask(absolute(name)?, RecordType::MX).await?;
        let mut found: Vec<(u16, String)> = records
            .iter()
            .filter_map(|data| if let RData::MX(mx) = data { Some((mx.preference, plain(&mx.exchange))) } else { None })
            .collect();
        found.sort();
        Ok(found)
    }

    /// SRV records (RFC 2782): (priority, weight, port, host), without the final dot.
    pub async fn srv(&self, name: &str) -> Result<Vec<(u16, u16, u16, String)>, DnsError> {
        let records = self.ask(absolute(name)?, RecordType::SRV).await?;
        let found = records.iter().filter_map(|data| match data {
            RData::SRV(srv) => Some((srv.priority, srv.weight, srv.port, plain(&srv.target))),
            _ => None,
        });
        Ok(found.collect())
    }

    /// Names of an address (RFC 1035 §3.5), without the final dot.
    pub async fn ptr(&self, ip: IpAddr) -> Result<Vec<String>, DnsError> {
        let records = self.ask(Name::from(ip.to_canonical()), RecordType::PTR).await?;
        let names = records.iter().filter_map(|data| match data {
            RData::PTR(name) => Some(plain(&name.0)),
            _ => None,
        });
        Ok(names.collect())
    }

    /// TXT records, each with its strings joined without spaces (RFC 7208 §3.3).
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let records = self.ask(absolute(name)?, RecordType::TXT).await?;
        let texts = records.iter().filter_map(|data| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// Forgets what it knows.
    pub fn clear(&self) {
        if let Source::Dns(inner) = &self.source {
            inner.clear_cache();
        }
    }
}

fn one_tlsa(data: &RData) -> Option<Tlsa> {
    let RData::TLSA(tlsa) = data else { return None };
    let (usage, selector, matching) = (u8::from(tlsa.cert_usage), u8::from(tlsa.selector), u8::from(tlsa.matching));
    Some(Tlsa { usage, selector, matching, data: tlsa.cert_data.clone() })
}

fn why(error: NetError) -> DnsError {
    match &error {
        _ if error.is_nx_domain() => DnsError::NotFound,
        NetError::Dns(Answer::NoRecordsFound(none)) if none.response_code == hickory_proto::op::ResponseCode::NoError => {
            DnsError::NoData
        }
        _ => temporary(error),
    }
}

/// A name that cannot be written in DNS is not there.
fn absolute(name: &str) -> Result<Name, DnsError> {
    let mut name = Name::from_str_relaxed(name.trim_end_matches('.')).map_err(|_| DnsError::NotFound)?;
    if name.num_labels() == 0 {
        return Err(DnsError::NotFound);
    }
    name.set_fqdn(true);
    Ok(name)
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// `shuffled`: in random order among equals (RFC 5321 §5.1), else as they came.
fn sort_mx(records: Vec<RData>, shuffled: bool) -> MxAnswer {
    let random = RandomState::new();
    let mut hosts: Vec<(u16, u64, String)> = records
        .into_iter()
        .filter_map(|data| match data {
            RData::MX(mx) => Some((mx.preference, plain(&mx.exchange))),
            _ => None,
        })
        .filter(|(_, host)| !host.is_empty())
        .enumerate()
        .map(|(index, (preference, host))| {
            let mut hasher = random.build_hasher();
            hasher.write_usize(index);
            let place = if shuffled { hasher.finish() } else { index as u64 };
            (preference, place, host)
        })
        .collect();
    // Only "." was there: RFC 7505 §3. Beside others "." means nothing and is passed over.
    if hosts.is_empty() {
        return MxAnswer::Null;
    }
    hosts.sort();
    hosts.truncate(limits::MX_HOSTS_MAX);
    MxAnswer::Hosts(hosts.into_iter().map(|(preference, _, host)| (preference, host)).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::dns_server::{DnsServer, Zone};

    async fn asked() -> (DnsServer, Resolver) {
        let mut zone = Zone::new();
        zone.mx("here.test", 20, "b.here.test").mx("here.test", 10, "a.here.test").mx("here.test", 20, "c.here.test");
        zone.address("a.here.test", [127, 0, 0, 1].into()).address("a.here.test", "::1".parse().unwrap());
        zone.address("bare.test", [127, 0, 0, 9].into());
        zone.null_mx("null.test");
        zone.txt("_dmarc.here.test", "v=DMARC1; p=none").txt("long.test", &"x".repeat(600));
        zone.ptr([192, 0, 2, 1].into(), "a.here.test").servfail("broken.test").txt("only.test", "text");
        for n in 0..40u16 {
            zone.mx("many.test", n / 10, &format!("a-rather-long-name-of-a-host-number-{n}.many.test"));
        }
        let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), zone).await.unwrap();
        let resolver = Resolver::with_servers(vec![server.local()]).unwrap();
        (server, resolver)
    }

    #[tokio::test]
    async fn mail_exchangers() {
        let (_server, dns) = asked().await;
        let MxAnswer::Hosts(hosts) = dns.mx("Here.TEST.").await.unwrap() else { panic!() };
        assert_eq!(hosts[0], (10, "a.here.test".to_owned()));
        assert_eq!(hosts.len(), 3);
        assert_eq!(dns.mx("null.test").await.unwrap(), MxAnswer::Null);
        assert_eq!(dns.mx("bare.test").await.unwrap(), MxAnswer::Implicit);
        assert_eq!(dns.mx("only.test").await, Err(DnsError::NoData));
        assert_eq!(dns.mx("nowhere.test").await, Err(DnsError::NotFound));
        assert!(dns.mx("broken.test").await.unwrap_err().is_temporary());
        assert_eq!(dns.mx(&"x".repeat(300)).await, Err(DnsError::NotFound));
        assert_eq!(dns.mx("").await, Err(DnsError::NotFound));
        // Over 512 octets: EDNS or TCP, and bounded.
        let MxAnswer::Hosts(hosts) = dns.mx("many.test").await.unwrap() else { panic!() };
        assert_eq!(hosts.len(), limits::MX_HOSTS_MAX);
        assert!(hosts.is_sorted_by_key(|(preference, _)| *preference));
    }

    #[tokio::test]
    async fn equal_preferences_take_turns() {
        let records = |_| RData::MX(hickory_proto::rr::rdata::MX::new(5, Name::from_ascii("x.test.").unwrap()));
        let firsts: std::collections::HashSet<String> = (0..200)
            .map(|_| {
                let mut all: Vec<RData> = (0..2).map(records).collect();
                all[1] = RData::MX(hickory_proto::rr::rdata::MX::new(5, Name::from_ascii("y.test.").unwrap()));
                match sort_mx(all, true) {
                    MxAnswer::Hosts(hosts) => hosts[0].1.clone(),
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        assert_eq!(firsts.len(), 2);
    }

    #[tokio::test]
    async fn other_kinds() {
        let (_server, dns) = asked().await;
        let both: Vec<IpAddr> = vec![[127, 0, 0, 1].into(), "::1".parse().unwrap()];
        assert_eq!(dns.addresses("a.here.test").await.unwrap(), both);
        assert_eq!(dns.addresses("127.0.0.7").await.unwrap(), vec![IpAddr::from([127, 0, 0, 7])]);
        assert_eq!(dns.addresses("here.test").await, Err(DnsError::NoData));
        assert_eq!(dns.addresses("nowhere.test").await, Err(DnsError::NotFound));
        assert!(dns.addresses("broken.test").await.unwrap_err().is_temporary());
        assert_eq!(dns.ptr([192, 0, 2, 1].into()).await.unwrap(), vec!["a.here.test".to_owned()]);
        assert_eq!(dns.txt("_dmarc.here.test").await.unwrap(), vec!["v=DMARC1; p=none".to_owned()]);
        assert_eq!(dns.txt("long.test").await.unwrap(), vec!["x".repeat(600)]);
    }

    #[tokio::test]
    async fn a_silent_server_is_temporary() {
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut dns = Resolver::with_servers(vec![silent.local_addr().unwrap()]).unwrap();
        let mut builder = TokioResolver::builder_with_config(
            ResolverConfig::from_name_servers(vec![{
                let mut server = NameServerConfig::udp([127, 0, 0, 1].into());
                server.connections[0].port = silent.local_addr().unwrap().port();
                server
            }]),
            TokioRuntimeProvider::default(),
        );
        builder.options_mut().timeout = Duration::from_millis(50);
        builder.options_mut().attempts = 1;
        dns.source = Source::Dns(Box::new(builder.build().unwrap()));
        assert!(dns.mx("here.test").await.unwrap_err().is_temporary());
    }
}
