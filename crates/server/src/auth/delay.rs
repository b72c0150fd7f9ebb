//! Delays that grow with failed sign-ins, for each (login, network): guessing gets slow, nobody is locked out for long.
//!
//! A network is a /24 or a /64. The pause comes before the check and attempts queue for their turn, so neither a
//! dropped connection nor a hundred at once learn anything sooner. Invariant: bounded in number.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that cost nothing: people mistype.
const FREE_FAILURES: u32 = 2;
/// The longest pause between two attempts.
const PAUSE_SECS_MAX: u64 = 30;
/// An attempt that would wait longer in the queue is told to come back.
const QUEUE_SECS_MAX: u64 = 60;
/// Without a failure for so long all is forgotten.
const FORGOTTEN_SECS: u64 = 3_600;
/// Pairs kept.
const PAIRS_MAX: usize = 50_000;

type Pair = (String, IpAddr);

#[derive(Default)]
pub(super) struct Delays {
    pairs: Mutex<HashMap<Pair, Failures>>,
}

struct Failures {
    count: u32,
    last: Instant,
    /// The next attempt has its turn then.
    turn: Instant,
}

/// The /24 or /64 an address is in.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

fn pair(name: &str, peer: Option<IpAddr>) -> Option<Pair> {
    Some((name.to_owned(), network(peer?)))
}

/// 1, 2, 4 ... seconds.
fn pause(count: u32) -> Duration {
    match count.checked_sub(FREE_FAILURES) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(1u64.checked_shl(over).unwrap_or(u64::MAX).min(PAUSE_SECS_MAX)),
    }
}

impl Delays {
    /// How long this attempt waits for its turn, which is thereby taken; `None`: the queue is too long.
    pub(super) fn reserve(&self, name: &str, peer: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let Some(pair) = pair(name, peer) else { return Some(Duration::ZERO) };
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(failures) = pairs.get_mut(&pair) else { return Some(Duration::ZERO) };
        if is_forgotten(failures, now) {
            pairs.remove(&pair);
            return Some(Duration::ZERO);
        }
        let turn = failures.turn.max(now);
        let wait = turn.saturating_duration_since(now);
        if wait > Duration::from_secs(QUEUE_SECS_MAX) {
            return None;
        }
        failures.turn = turn + pause(failures.count);
        Some(wait)
    }

    pub(super) fn failed(&self, name: &str, peer: Option<IpAddr>, now: Instant) {
        let Some(pair) = pair(name, peer) else { return };
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() >= PAIRS_MAX && !pairs.contains_key(&pair) {
            make_room(&mut pairs, now);
        }
        let failures = pairs.entry(pair).or_insert(Failures { count: 0, last: now, turn: now });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        failures.turn = failures.turn.max(now + pause(failures.count));
    }

    pub(super) fn succeeded(&self, name: &str, peer: Option<IpAddr>) {
        if let Some(pair) = pair(name, peer) {
            self.pairs.lock().unwrap_or_else(PoisonError::into_inner).remove(&pair);
        }
    }
}

fn is_forgotten(failures: &Failures, now: Instant) -> bool {
    now.saturating_duration_since(failures.last) > Duration::from_secs(FORGOTTEN_SECS)
}

/// Drops what is old, and if that is not enough whoever failed least: the guessers stay known.
fn make_room(pairs: &mut HashMap<Pair, Failures>, now: Instant) {
    pairs.retain(|_, failures| !is_forgotten(failures, now));
    if pairs.len() < PAIRS_MAX {
        return;
    }
    let mut order: Vec<(u32, Instant)> = pairs.values().map(|failures| (failures.count, failures.last)).collect();
    let middle = order.len() / 2;
    let (_, &mut median, _) = order.select_nth_unstable(middle);
    pairs.retain(|_, failures| (failures.count, failures.last) > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    const ZERO: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn they_grow_to_a_bound_and_success_clears() {
        let delays = Delays::default();
        let (mut now, peer) = (Instant::now(), ip("192.0.2.7"));
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = delays.reserve("ann@here.test", peer, now).unwrap_or(Duration::MAX);
            waits.push(wait.as_secs());
            now += wait;
            delays.failed("ann@here.test", peer, now);
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 30, 30]);
        delays.succeeded("ann@here.test", peer);
        assert_eq!(delays.reserve("ann@here.test", peer, now), ZERO);
    }

    #[test]
    fn for_one_login_from_one_network() {
        let delays = Delays::default();
        let now = Instant::now();
        for _ in 0..5 {
            delays.failed("ann@here.test", ip("192.0.2.7"), now);
            delays.failed("ann@here.test", ip("2001:db8:0:1::7"), now);
        }
        let waits = |name: &str, peer: &str| delays.reserve(name, ip(peer), now) != ZERO;
        assert!(waits("ann@here.test", "192.0.2.200"));
        assert!(waits("ann@here.test", "::ffff:192.0.2.1"));
        assert!(waits("ann@here.test", "2001:db8:0:1:ffff::1"));
        assert!(!waits("ann@here.test", "192.0.3.7"));
        assert!(!waits("ann@here.test", "2001:db8:0:2::7"));
        assert!(!waits("bob@here.test", "192.0.2.7"));
        assert_eq!(delays.reserve("ann@here.test", None, now), ZERO);
    }

    #[test]
    fn a_hundred_at_once_stand_in_line() {
        let delays = Delays::default();
        let (now, peer) = (Instant::now(), ip("192.0.2.7"));
        for _ in 0..6 {
            delays.failed("ann@here.test", peer, now);
        }
        let waits: Vec<Option<u64>> =
            (0..6).map(|_| delays.reserve("ann@here.test", peer, now).map(|wait| wait.as_secs())).collect();
        assert_eq!(waits, [Some(16), Some(32), Some(48), None, None, None]);
    }

    #[test]
    fn after_an_hour_all_is_forgotten() {
        let delays = Delays::default();
        let (now, peer) = (Instant::now(), ip("192.0.2.7"));
        for _ in 0..9 {
            delays.failed("ann@here.test", peer, now);
        }
        assert_eq!(delays.reserve("ann@here.test", peer, now + Duration::from_secs(3_601)), ZERO);
    }

    #[test]
    fn never_more_pairs_than_the_limit_and_guessers_stay_known() {
        let delays = Delays::default();
        let now = Instant::now();
        for _ in 0..5 {
            delays.failed("ann@here.test", ip("192.0.2.7"), now);
        }
        for n in 0..PAIRS_MAX + 10 {
            delays.failed(&format!("u{n}"), ip("192.0.2.7"), now + Duration::from_millis(n as u64));
        }
        assert!(delays.pairs.lock().is_ok_and(|pairs| pairs.len() <= PAIRS_MAX));
        assert_ne!(delays.reserve("ann@here.test", ip("192.0.2.7"), now), ZERO);
    }
}
