//! Where all luck comes from: a small generator (splitmix64), one stream for each thing that draws.
//!
//! Invariant: what one part draws moves nobody else's draws.

/// A stream of draws.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream `name`, `number` of this seed.
    pub(crate) fn new(seed: u64, name: &str, number: u64) -> Chance {
        let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
        for octet in name.bytes().chain(number.to_le_bytes()) {
            state = (state ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        let mut chance = Chance(state);
        chance.next();
        chance
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn from(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high.saturating_sub(low) + 1)
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = usize::try_from(self.next() % (all.len().max(1) as u64)).unwrap_or(0);
        &all[at]
    }
}
