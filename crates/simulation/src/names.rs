//! The DNS of the simulation: true answers, and lies while trouble lasts.
//!
//! `delta.test` is signed: about it DNS may be silent, but what it says is proven. `sigma.test` has an MTA-STS policy.
//!
//! What is said of a smarthost is proven likewise: mail goes there unverified, so who it is rests on DNS alone.
//!
//! Lies: no such name, SERVFAIL, no answer in time, somebody else's address, an address where nobody is, null MX, an MX
//! that leads in circles. Invariant: once all is calm, only the truth. Must not know: who asks.

use crate::certificates;
use crate::chance::Chance;
use crate::world::World;
use net::dns::{Answering, AnsweringProven, Name, Names, RData, RecordType, TLSA, TXT};
use net::{DnsError, Proven};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where nobody is.
pub(crate) const NOBODY: [u8; 4] = [10, 0, 0, 66];
/// Where the scripted server is.
pub(crate) const FOREIGN: [u8; 4] = [10, 0, 0, 9];
/// A server that DANE speaks for.
pub(crate) const DELTA: [u8; 4] = [10, 0, 0, 4];
/// A server that an MTA-STS policy speaks for, and the host of that policy.
pub(crate) const SIGMA: [u8; 4] = [10, 0, 0, 5];

/// Where nobody ever answers.
pub(crate) const SILENT: [u8; 4] = [10, 0, 0, 67];

/// (name, MX hosts; `.` is the null MX)
const MX: &[(&str, &[(u16, &str)])] = &[
    ("alpha.test", &[(10, "mx.alpha.test")]),
    ("beta.test", &[(10, "mx.beta.test"), (20, "mx.dead.test")]),
    ("foreign.test", &[(10, "mx.dead.test"), (20, "mx.foreign.test")]),
    ("dead.test", &[(10, "mx.dead.test")]),
    ("null.test", &[(0, ".")]),
    ("loop.test", &[(10, "mx.alpha.test")]),
    ("delta.test", &[(10, "mx.delta.test")]),
    ("sigma.test", &[(10, "mx.sigma.test")]),
];
/// (name, address)
const ADDRESSES: &[(&str, [u8; 4])] = &[
    ("mx.alpha.test", [10, 0, 0, 1]),
    ("mx.beta.test", [10, 0, 0, 2]),
    ("gamma.test", [10, 0, 0, 3]),
    ("mx.gamma.test", [10, 0, 0, 3]),
    ("mx.foreign.test", FOREIGN),
    ("mx.dead.test", NOBODY),
    ("mx.delta.test", DELTA),
    ("mx.sigma.test", SIGMA),
    ("mta-sts.sigma.test", SIGMA),
];
/// A TLSA record is there.
const TLSA_AT: &str = "_25._tcp.mx.delta.test";
/// The record that tells of the policy. Its id changes each hour, so that the policy is fetched again and again.
const STS_AT: &str = "_mta-sts.sigma.test";
const STS_ID_SECS: i64 = 3_600;
/// Any number of domains: those that four hosts take mail for, none of which ever answers, and those of the scripted server.
const CROWD: &[(&str, &[(u16, &str)])] = &[
    (".silent.test", &[(10, "mx1.silent.test"), (20, "mx2.silent.test"), (30, "mx3.silent.test"), (40, "mx4.silent.test")]),
    (".living.test", &[(10, "mx.foreign.test")]),
];
/// A name without anything.
const EMPTY: &str = "empty.test";

/// See the module.
pub(crate) struct Liar {
    world: Arc<World>,
    chance: Mutex<Chance>,
    smarthost: Option<&'static str>,
}

impl Liar {
    pub(crate) fn new(world: Arc<World>, number: u64, smarthost: Option<&'static str>) -> Liar {
        let chance = Mutex::new(Chance::new(world.seed, "names", number));
        Liar { world, chance, smarthost }
    }
}

fn address(octets: [u8; 4]) -> RData {
    RData::A(Ipv4Addr::from(octets).into())
}

fn mx(preference: u16, host: &str) -> Option<RData> {
    Some(RData::MX(net::dns::MX::new(preference, Name::from_str(host).ok()?)))
}

/// DNSSEC proves what is said about it.
fn is_signed(name: &str) -> bool {
    name == "delta.test" || name.ends_with(".delta.test")
}

/// The same for one of the crowd.
fn of_crowd(hosts: &[(u16, &str)], kind: RecordType) -> Result<Vec<RData>, DnsError> {
    match kind {
        RecordType::MX => Ok(hosts.iter().filter_map(|(at, host)| mx(*at, host)).collect()),
        RecordType::A => Ok(vec![address(SILENT)]),
        _ => Err(DnsError::NoData),
    }
}

fn truth(name: &str, kind: RecordType) -> Result<Vec<RData>, DnsError> {
    if let Some((_, hosts)) = CROWD.iter().find(|(ending, _)| name.ends_with(ending)) {
        return of_crowd(hosts, kind);
    }
    let hosts = MX.iter().find(|(known, _)| *known == name).map(|(_, hosts)| *hosts);
    let found = ADDRESSES.iter().find(|(known, _)| *known == name).map(|(_, octets)| *octets);
    match (kind, hosts, found) {
        (RecordType::TLSA, ..) if name == TLSA_AT => {
            let tlsa = certificates::tlsa();
            Ok(vec![RData::TLSA(TLSA::new(tlsa.usage.into(), tlsa.selector.into(), tlsa.matching.into(), tlsa.data))])
        }
        (RecordType::TXT, ..) if name == STS_AT => {
            let text = format!("v=STSv1; id={}", net::clock::unix_now() / STS_ID_SECS);
            Ok(vec![RData::TXT(TXT::new(vec![text]))])
        }
        (RecordType::MX, Some(hosts), _) => Ok(hosts.iter().filter_map(|(at, host)| mx(*at, host)).collect()),
        (RecordType::A, _, Some(octets)) => Ok(vec![address(octets)]),
        (_, None, None) if name != EMPTY => Err(DnsError::NotFound),
        _ => Err(DnsError::NoData),
    }
}

/// What is said instead, and how it is called in the log.
fn lie(chance: &mut Chance, kind: RecordType, signed: bool) -> (&'static str, Result<Vec<RData>, DnsError>) {
    match (chance.from(0, 6), kind) {
        // A false answer proves false, and the resolver says so.
        _ if signed => ("SERVFAIL", Err(DnsError::Temporary("bogus".to_owned()))),
        (0, _) => ("NXDOMAIN", Err(DnsError::NotFound)),
        (1 | 2, _) => ("SERVFAIL", Err(DnsError::Temporary("SERVFAIL".to_owned()))),
        (3, _) => ("no answer", Err(DnsError::Temporary("no answer in time".to_owned()))),
        (4, RecordType::MX) => ("null MX", Ok(mx(0, ".").into_iter().collect())),
        (5, RecordType::MX) => ("MX in circles", Ok(mx(5, ADDRESSES[usize::from(chance.percent(50))].0).into_iter().collect())),
        (6, RecordType::MX) => ("no MX", Err(DnsError::NoData)),
        (4 | 5, _) => ("nobody's address", Ok(vec![address(NOBODY)])),
        _ => {
            let (_, other) = chance.pick(ADDRESSES);
            ("another's address", Ok(vec![address(*other)]))
        }
    }
}

impl Names for Liar {
    fn ask(&self, name: Name, kind: RecordType) -> Answering<'_> {
        let text = name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let lies = !self.world.is_calm() && kind != RecordType::AAAA && chance.percent(self.world.lies_percent);
        let (said, answer) = if lies {
            lie(&mut chance, kind, is_signed(&text) || self.smarthost == Some(&text))
        } else {
            ("", truth(&text, kind))
        };
        let millis = if said == "no answer" { 15_000 } else { chance.from(1, 30) };
        drop(chance);
        if lies {
            self.world.count(|counts| counts.lies += 1);
            self.world.log.say(format!("DNS lies about {text} {kind}: {said}"));
        }
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            answer
        })
    }

    fn ask_proven(&self, name: Name, kind: RecordType) -> AnsweringProven<'_> {
        let secure = is_signed(name.to_ascii().trim_end_matches('.'));
        Box::pin(async move { Ok(Proven { value: self.ask(name, kind).await?, secure }) })
    }
}

/// The address of a server.
pub(crate) fn ip(octets: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(octets))
}
