//! Who may come in: open connections counted per address and in all.
//!
//! Loopback is never limited per address. IPv6 peers are counted by their /64, which one site has whole.
//! Invariant: a [`Pass`] is given back when dropped, however its task ends. Must not know: protocols.

use net::Peer;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Connections that are told at the same time that they may not come in. Telling takes a moment and a descriptor each; a flood
/// must not take those of the store.
const REFUSALS_MAX: usize = 256;

/// Counts of open connections.
#[derive(Debug)]
pub(crate) struct Gate {
    per_ip_max: u32,
    all_max: u32,
    counts: Mutex<Counts>,
    stirred: Notify,
    refusals: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    by_ip: HashMap<IpAddr, u32>,
}

/// Why a connection may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// That address has enough.
    Address,
    /// We have enough.
    All,
}

/// One counted connection.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    ip: Option<IpAddr>,
}

/// What is counted together.
fn network(peer: &Peer) -> Option<IpAddr> {
    if peer.is_loopback() {
        return None;
    }
    Some(match peer.ip()? {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        four => four,
    })
}

impl Gate {
    pub(crate) fn new(per_ip_max: u32, all_max: u32) -> Arc<Gate> {
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        Arc::new(Gate { per_ip_max, all_max, counts: Mutex::default(), stirred: Notify::new(), refusals })
    }

    /// When somebody came or went since this was last awaited.
    pub(crate) async fn stirred(&self) {
        self.stirred.notified().await;
    }

    /// A place to say no from; `None`: the connection is to be closed without a word.
    pub(crate) fn refusal(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.refusals).try_acquire_owned().ok()
    }

    /// One more connection.
    pub(crate) fn enter(self: &Arc<Self>, peer: &Peer) -> Result<Pass, Full> {
        let ip = network(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= self.all_max {
            return Err(Full::All);
        }
        if let Some(ip) = ip {
            let count = counts.by_ip.entry(ip).or_insert(0);
            if *count >= self.per_ip_max {
                return Err(Full::Address);
            }
            *count += 1;
        }
        counts.all += 1;
        drop(counts);
        self.stirred.notify_one();
        Ok(Pass { gate: Arc::clone(self), ip })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(ip) = self.ip
            && let Some(count) = counts.by_ip.get_mut(&ip)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_ip.remove(&ip);
            }
        }
        drop(counts);
        self.gate.stirred.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer::Ip { ip: ip.parse().unwrap(), port: 1 }
    }

    #[test]
    fn an_address_is_limited_and_loopback_is_not() {
        let gate = Gate::new(2, 100);
        let held: Vec<_> = (0..2).map(|_| gate.enter(&peer("192.0.2.1")).unwrap()).collect();
        assert_eq!(gate.enter(&peer("::ffff:192.0.2.1")).unwrap_err(), Full::Address);
        assert!(gate.enter(&peer("192.0.2.2")).is_ok());
        let local: Vec<_> =
            ["127.0.0.1", "127.9.9.9", "::1"].into_iter().cycle().take(30).map(|ip| gate.enter(&peer(ip)).unwrap()).collect();
        drop((held, local));
        assert!(gate.enter(&peer("192.0.2.1")).is_ok());
        assert_eq!(gate.counts.lock().unwrap().all, 0);
        assert!(gate.counts.lock().unwrap().by_ip.is_empty());
    }

    #[test]
    fn a_site_of_ipv6_counts_as_one() {
        let gate = Gate::new(1, 100);
        let _held = gate.enter(&peer("2001:db8::1")).unwrap();
        assert_eq!(gate.enter(&peer("2001:db8::ffff:2")).unwrap_err(), Full::Address);
        assert!(gate.enter(&peer("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn those_told_no_at_once_are_limited() {
        let gate = Gate::new(10, 1);
        let held: Vec<_> = (0..REFUSALS_MAX).map(|_| gate.refusal().unwrap()).collect();
        assert!(gate.refusal().is_none());
        drop(held);
        assert!(gate.refusal().is_some());
    }

    #[test]
    fn all_together_are_limited() {
        let gate = Gate::new(10, 1);
        let _held = gate.enter(&Peer::Unix).unwrap();
        assert_eq!(gate.enter(&peer("127.0.0.1")).unwrap_err(), Full::All);
    }
}
