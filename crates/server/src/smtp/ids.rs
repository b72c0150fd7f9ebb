//! Names of transactions: in Received fields, replies, traces, Message-IDs and MIME boundaries.
//!
//! Invariant: never the same twice, also across restarts and between servers (time, a counter, randomness of the start).

use ring::rand::{SecureRandom, SystemRandom};
use std::sync::atomic::{AtomicU32, Ordering};

/// Gives names.
pub struct Ids {
    start: [u8; 4],
    counter: AtomicU32,
}

impl Default for Ids {
    fn default() -> Ids {
        let mut start = [0u8; 4];
        // Without randomness time and counter still tell names of one server apart.
        let _ = SystemRandom::new().fill(&mut start);
        Ids { start, counter: AtomicU32::new(0) }
    }
}

impl Ids {
    /// With a start of one's choice instead of randomness: for a simulation, whose servers must not share one.
    pub fn starting(start: [u8; 4]) -> Ids {
        Ids { start, counter: AtomicU32::new(0) }
    }

    /// 16 bits that are the same for the same `about`, and others in another process: spreads attempts over time.
    pub(crate) fn chance(&self, about: u64) -> u32 {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.start).update(&about.to_be_bytes());
        let [a, b, ..] = *hash.finalize().as_bytes();
        u32::from(u16::from_be_bytes([a, b]))
    }

    /// The next one: lower-case letters and digits.
    pub fn next(&self, now_secs: i64) -> String {
        let mut octets = [0u8; 15];
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let parts = now_secs.to_be_bytes().into_iter().skip(1).chain(self.start).chain(count.to_be_bytes());
        octets.iter_mut().zip(parts).for_each(|(place, octet)| *place = octet);
        data_encoding::BASE32HEX_NOPAD.encode(&octets).trim_start_matches('0').to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_twice() {
        let (one, two) = (Ids::default(), Ids::default());
        let names = [one.next(1_700_000_000), one.next(1_700_000_000), two.next(1_700_000_000), one.next(1_700_000_001)];
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name));
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        }
    }
}
