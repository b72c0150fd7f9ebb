//! Delays that grow with failed sign-ins, for each (login, network): guessing gets slow, nobody is locked out for long.
//!
//! A network is a /24 or a /64. The pause comes before the check and attempts queue for their turn, so neither a
//! dropped connection nor a hundred at once learn anything sooner. When many networks guess at one login, strangers to
//! it wait a little too, each for itself: who signed in from a network before is never kept waiting by others.
//! Invariant: bounded in number.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures that cost nothing: people mistype.
const FREE_FAILURES: u32 = 2;
/// The longest pause between two attempts.
const PAUSE_SECS_MAX: u64 = 30;
/// An attempt that would wait longer in the queue is told to come back.
const QUEUE_SECS_MAX: u64 = 60;
/// Networks that may fail at one login before strangers to it wait; twice as many, twice as long.
const FREE_NETWORKS: u32 = 16;
/// The longest a stranger waits for what others did.
const STRANGER_SECS_MAX: u64 = 8;
/// Without a failure for so long all is forgotten.
const FORGOTTEN_SECS: u64 = 3_600;
/// Entries kept in each table.
const ENTRIES_MAX: usize = 50_000;

type Pair = (String, IpAddr);

#[derive(Default)]
pub(super) struct Delays {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    pairs: HashMap<Pair, Failures>,
    /// How widely a login is guessed at.
    spread: HashMap<String, Spread>,
    /// Who signed in from where, and when last.
    known: HashMap<Pair, Instant>,
}

struct Failures {
    count: u32,
    last: Instant,
    /// The next attempt has its turn then.
    turn: Instant,
}

struct Spread {
    networks: u32,
    last: Instant,
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

/// 1 second at [`FREE_NETWORKS`], twice as long for twice as many, to a bound.
fn stranger_pause(networks: u32) -> Duration {
    Duration::from_secs(u64::from(networks / FREE_NETWORKS).min(STRANGER_SECS_MAX))
}

impl Delays {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long this attempt waits for its turn, which is thereby taken; `None`: the queue is too long.
    pub(super) fn reserve(&self, name: &str, peer: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let Some(pair) = pair(name, peer) else { return Some(Duration::ZERO) };
        let mut tables = self.tables();
        let for_others = tables.stranger_wait(&pair, now);
        let Some(failures) = tables.pairs.get_mut(&pair) else { return Some(for_others) };
        if is_forgotten(failures.last, now) {
            tables.pairs.remove(&pair);
            return Some(for_others);
        }
        let turn = failures.turn.max(now);
        let wait = turn.saturating_duration_since(now);
        if wait > Duration::from_secs(QUEUE_SECS_MAX) {
            return None;
        }
        failures.turn = turn + pause(failures.count);
        Some(wait.max(for_others))
    }

    pub(super) fn failed(&self, name: &str, peer: Option<IpAddr>, now: Instant) {
        let Some(pair) = pair(name, peer) else { return };
        let mut tables = self.tables();
        if !tables.pairs.contains_key(&pair) {
            tables.widen(name, now);
            make_room(&mut tables.pairs, now, |failures| (failures.count, failures.last));
        }
        let failures = tables.pairs.entry(pair).or_insert(Failures { count: 0, last: now, turn: now });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        failures.turn = failures.turn.max(now + pause(failures.count));
    }

    /// Forgets failures and spreads of a login, of a network, or (neither) all; how many were forgotten.
    pub(super) fn forget(&self, name: Option<&str>, ip: Option<IpAddr>) -> usize {
        let net = ip.map(network);
        let mut tables = self.tables();
        let before = tables.pairs.len();
        tables.pairs.retain(|(known, at), _| name.is_some_and(|name| name != known) || net.is_some_and(|net| net != *at));
        if net.is_none() {
            tables.spread.retain(|known, _| name.is_some_and(|name| name != known));
        }
        before.saturating_sub(tables.pairs.len())
    }

    pub(super) fn succeeded(&self, name: &str, peer: Option<IpAddr>, now: Instant) {
        if let Some(pair) = pair(name, peer) {
            let mut tables = self.tables();
            tables.pairs.remove(&pair);
            if !tables.known.contains_key(&pair) && tables.known.len() >= ENTRIES_MAX {
                keep_newer_half(&mut tables.known, |last| (0, *last));
            }
            tables.known.insert(pair, now);
        }
    }
}

impl Tables {
    fn stranger_wait(&self, pair: &Pair, now: Instant) -> Duration {
        match self.spread.get(&pair.0) {
            Some(spread) if !is_forgotten(spread.last, now) && !self.known.contains_key(pair) => stranger_pause(spread.networks),
            _ => Duration::ZERO,
        }
    }

    /// One more network failed at this login.
    fn widen(&mut self, name: &str, now: Instant) {
        match self.spread.get_mut(name) {
            Some(spread) if !is_forgotten(spread.last, now) => {
                spread.networks = spread.networks.saturating_add(1);
                spread.last = now;
            }
            _ => {
                make_room(&mut self.spread, now, |spread| (spread.networks, spread.last));
                self.spread.insert(name.to_owned(), Spread { networks: 1, last: now });
            }
        }
    }
}

fn is_forgotten(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) > Duration::from_secs(FORGOTTEN_SECS)
}

/// In a full table drops what is old, and if that is not enough whoever failed least: the guessers stay known.
fn make_room<K: Eq + Hash, V>(table: &mut HashMap<K, V>, now: Instant, rank: fn(&V) -> (u32, Instant)) {
    if table.len() < ENTRIES_MAX {
        return;
    }
    table.retain(|_, value| !is_forgotten(rank(value).1, now));
    if table.len() >= ENTRIES_MAX {
        keep_newer_half(table, rank);
    }
}

fn keep_newer_half<K: Eq + Hash, V>(table: &mut HashMap<K, V>, rank: fn(&V) -> (u32, Instant)) {
    let mut order: Vec<(u32, Instant)> = table.values().map(rank).collect();
    let middle = order.len() / 2;
    let (_, &mut median, _) = order.select_nth_unstable(middle);
    table.retain(|_, value| rank(value) > median);
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
        delays.succeeded("ann@here.test", peer, now);
        assert_eq!(delays.reserve("ann@here.test", peer, now), ZERO);
    }

    #[test]
    fn they_can_be_forgotten_by_login_by_network_and_all() {
        let delays = Delays::default();
        let now = Instant::now();
        let blocked = |name: &str, from: &str| delays.reserve(name, ip(from), now) != ZERO;
        let fail = || {
            for _ in 0..5 {
                for name in ["ann@here.test", "bob@here.test"] {
                    delays.failed(name, ip("192.0.2.7"), now);
                    delays.failed(name, ip("198.51.100.7"), now);
                }
            }
        };
        fail();
        assert_eq!(delays.forget(Some("ann@here.test"), None), 2);
        assert!(!blocked("ann@here.test", "192.0.2.7") && blocked("bob@here.test", "192.0.2.7"));
        fail();
        assert_eq!(delays.forget(None, ip("192.0.2.200")), 2);
        assert!(!blocked("bob@here.test", "192.0.2.7") && blocked("bob@here.test", "198.51.100.7"));
        fail();
        assert_eq!(delays.forget(None, None), 4);
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
        for n in 0..ENTRIES_MAX + 10 {
            delays.failed(&format!("u{n}"), ip("192.0.2.7"), now + Duration::from_millis(n as u64));
        }
        let tables = delays.tables();
        assert!(tables.pairs.len() <= ENTRIES_MAX && tables.spread.len() <= ENTRIES_MAX);
        drop(tables);
        assert_ne!(delays.reserve("ann@here.test", ip("192.0.2.7"), now), ZERO);
    }

    #[test]
    fn guessing_from_everywhere_slows_strangers_and_never_the_owner() {
        let delays = Delays::default();
        let now = Instant::now();
        let home = ip("198.51.100.7");
        delays.succeeded("ann@here.test", home, now);
        for n in 0..=255u8 {
            delays.failed("ann@here.test", ip(&format!("10.0.{n}.1")), now);
            assert_eq!(delays.reserve("ann@here.test", home, now), ZERO, "whoever signed in from there before");
        }
        let bot = delays.reserve("ann@here.test", ip("10.1.0.1"), now);
        assert_eq!(bot, Some(Duration::from_secs(STRANGER_SECS_MAX)));
        // On a journey she waits that long and no longer, however many try at once; then the network is known.
        let away = ip("203.0.113.9");
        for _ in 0..1000 {
            assert_eq!(delays.reserve("ann@here.test", away, now), Some(Duration::from_secs(STRANGER_SECS_MAX)));
        }
        delays.succeeded("ann@here.test", away, now);
        assert_eq!(delays.reserve("ann@here.test", away, now), ZERO);
        assert_eq!(delays.reserve("bob@here.test", away, now), ZERO, "another login");
        let later = now + Duration::from_secs(FORGOTTEN_SECS + 1);
        assert_eq!(delays.reserve("ann@here.test", ip("10.1.0.1"), later), ZERO);
    }

    #[test]
    fn a_few_networks_keep_nobody_waiting() {
        let delays = Delays::default();
        let now = Instant::now();
        for n in 0..FREE_NETWORKS - 1 {
            delays.failed("ann@here.test", ip(&format!("10.0.{n}.1")), now);
        }
        assert_eq!(delays.reserve("ann@here.test", ip("203.0.113.9"), now), ZERO);
    }

    #[test]
    fn those_who_signed_in_are_bounded_too() {
        let delays = Delays::default();
        let now = Instant::now();
        for n in 0..ENTRIES_MAX + 10 {
            delays.succeeded(&format!("u{n}"), ip("192.0.2.7"), now + Duration::from_millis(n as u64));
        }
        assert!(delays.tables().known.len() <= ENTRIES_MAX);
    }
}
