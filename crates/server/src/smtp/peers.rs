//! How much each stranger's network brought lately.
//!
//! In memory only: a restart forgives. Invariant: bounded; an IPv6 network is a /64. Must not know: sessions.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use store::UnixSecs;

/// Networks remembered of each kind; with more, all that are past are forgotten, and if none is, all.
const REMEMBERED_MAX: usize = 100_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Counted {
    /// In a minute.
    Connections,
    /// In an hour.
    Messages,
}

impl Counted {
    fn window_secs(self) -> i64 {
        match self {
            Counted::Connections => 60,
            Counted::Messages => 3_600,
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct Peers {
    /// When the window began, and how many came since.
    counts: Mutex<HashMap<(Counted, IpAddr), (UnixSecs, u32)>>,
}

impl Peers {
    /// One more, if that is not too many; `max` 0 is unlimited.
    pub(super) fn take(&self, what: Counted, ip: IpAddr, max: u32, now_secs: UnixSecs) -> bool {
        if max == 0 {
            return true;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= REMEMBERED_MAX {
            counts.retain(|(what, _), (began, _)| *began + what.window_secs() > now_secs);
            if counts.len() >= REMEMBERED_MAX {
                counts.clear();
            }
        }
        let (began, count) = counts.entry((what, network(ip))).or_insert((now_secs, 0));
        if *began + what.window_secs() <= now_secs {
            (*began, *count) = (now_secs, 0);
        }
        *count = count.saturating_add(1);
        *count <= max
    }
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_network_has_its_share_of_each_window() {
        let peers = Peers::default();
        let take = |ip: &str, now_secs| peers.take(Counted::Connections, ip.parse().unwrap(), 2, now_secs);
        assert!(take("192.0.2.1", 0) && take("192.0.2.1", 1) && !take("192.0.2.1", 59));
        assert!(take("192.0.2.2", 59) && take("192.0.2.1", 60));
        assert!(take("2001:db8::1", 0) && take("2001:db8::2", 0) && !take("2001:db8:0:0:1::", 0) && take("2001:db8:0:1::", 0));
        assert!(peers.take(Counted::Messages, "192.0.2.1".parse().unwrap(), 0, 0));
    }
}
