//! The DNS of the simulation: true answers, and lies while trouble lasts.
//!
//! Lies: no such name, SERVFAIL, no answer in time, somebody else's address, an address where nobody is, null MX, an MX
//! that leads in circles. Invariant: once all is calm, only the truth. Must not know: who asks.

use crate::chance::Chance;
use crate::world::World;
use net::DnsError;
use net::dns::{Answering, Name, Names, RData, RecordType};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where nobody is.
pub(crate) const NOBODY: [u8; 4] = [10, 0, 0, 66];
/// Where the scripted server is.
pub(crate) const FOREIGN: [u8; 4] = [10, 0, 0, 9];

/// (name, MX hosts; `.` is the null MX)
const MX: &[(&str, &[(u16, &str)])] = &[
    ("alpha.test", &[(10, "mx.alpha.test")]),
    ("beta.test", &[(10, "mx.beta.test"), (20, "mx.dead.test")]),
    ("foreign.test", &[(10, "mx.dead.test"), (20, "mx.foreign.test")]),
    ("dead.test", &[(10, "mx.dead.test")]),
    ("null.test", &[(0, ".")]),
    ("loop.test", &[(10, "mx.alpha.test")]),
];
/// (name, address)
const ADDRESSES: &[(&str, [u8; 4])] = &[
    ("mx.alpha.test", [10, 0, 0, 1]),
    ("mx.beta.test", [10, 0, 0, 2]),
    ("gamma.test", [10, 0, 0, 3]),
    ("mx.gamma.test", [10, 0, 0, 3]),
    ("mx.foreign.test", FOREIGN),
    ("mx.dead.test", NOBODY),
];
/// A name without anything.
const EMPTY: &str = "empty.test";

/// See the module.
pub(crate) struct Liar {
    world: Arc<World>,
    chance: Mutex<Chance>,
}

impl Liar {
    pub(crate) fn new(world: Arc<World>, number: u64) -> Liar {
        let chance = Mutex::new(Chance::new(world.seed, "names", number));
        Liar { world, chance }
    }
}

fn address(octets: [u8; 4]) -> RData {
    RData::A(Ipv4Addr::from(octets).into())
}

fn mx(preference: u16, host: &str) -> Option<RData> {
    Some(RData::MX(net::dns::MX::new(preference, Name::from_str(host).ok()?)))
}

fn truth(name: &str, kind: RecordType) -> Result<Vec<RData>, DnsError> {
    let hosts = MX.iter().find(|(known, _)| *known == name).map(|(_, hosts)| *hosts);
    let found = ADDRESSES.iter().find(|(known, _)| *known == name).map(|(_, octets)| *octets);
    match (kind, hosts, found) {
        (RecordType::MX, Some(hosts), _) => Ok(hosts.iter().filter_map(|(at, host)| mx(*at, host)).collect()),
        (RecordType::A, _, Some(octets)) => Ok(vec![address(octets)]),
        (_, None, None) if name != EMPTY => Err(DnsError::NotFound),
        _ => Err(DnsError::NoData),
    }
}

/// What is said instead, and how it is called in the log.
fn lie(chance: &mut Chance, kind: RecordType) -> (&'static str, Result<Vec<RData>, DnsError>) {
    match (chance.from(0, 6), kind) {
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
        let (said, answer) = if lies { lie(&mut chance, kind) } else { ("", truth(&text, kind)) };
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
}

/// The address of a server.
pub(crate) fn ip(octets: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(octets))
}
