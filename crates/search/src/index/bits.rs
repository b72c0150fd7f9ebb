//! Sets of documents: as bits while they are put together, as Rice-coded gaps where they are kept.
//!
//! Invariant: what is decoded holds every document that was encoded; a set of nearly everything is kept as "any of them" and
//! takes no room. Must not know: what documents are.

/// Documents `0..len`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    pub(crate) fn none(len: usize) -> Bits {
        Bits { words: vec![0; len.div_ceil(64)], len }
    }

    pub(crate) fn all(len: usize) -> Bits {
        Bits { words: vec![u64::MAX; len.div_ceil(64)], len }
    }

    pub(crate) fn set(&mut self, at: usize) {
        if let Some(word) = self.words.get_mut(at / 64).filter(|_| at < self.len) {
            *word |= 1 << (at % 64);
        }
    }

    pub(crate) fn get(&self, at: usize) -> bool {
        at < self.len && self.words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub(crate) fn add(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    pub(crate) fn keep(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    pub(crate) fn drop_all(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }
}

/// A set of more than this share of all (in tenths) is not worth its room.
const COMMON_TENTHS: usize = 4;
/// ... where there are more documents than this.
const COMMON_DOCS_MIN: usize = 32;

/// A set of documents, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Docs {
    /// Ascending.
    pub(crate) docs: Vec<u16>,
    /// Some of them may be there only because they were among "any of them" once.
    pub(crate) loose: bool,
}

/// Documents out of `of`; nothing is written for a set of nearly everything (or an empty one, which nobody keeps).
pub(crate) fn encode(Docs { docs, loose }: &Docs, of: usize, out: &mut Vec<u8>) {
    if of > COMMON_DOCS_MIN && docs.len() * 10 > of * COMMON_TENTHS {
        return;
    }
    push_number((docs.len() as u64) << 1 | u64::from(*loose), out);
    let shift = shift(docs.len(), of);
    let (mut held, mut bits) = (0u64, 0u32);
    let mut next = 0u32;
    for doc in docs.iter().map(|doc| u32::from(*doc)) {
        let gap = doc.saturating_sub(next);
        next = doc + 1;
        let mut ones = gap >> shift;
        while ones > 0 {
            let now = ones.min(16);
            held |= ((1 << now) - 1) << bits;
            bits += now;
            ones -= now;
            flush(&mut held, &mut bits, out);
        }
        // The zero that ends the ones, and the rest of the gap.
        bits += 1;
        held |= (u64::from(gap) & ((1 << shift) - 1)) << bits;
        bits += shift;
        flush(&mut held, &mut bits, out);
    }
    if bits > 0 {
        out.push(held as u8);
    }
}

fn flush(held: &mut u64, bits: &mut u32, out: &mut Vec<u8>) {
    while *bits >= 8 {
        out.push(*held as u8);
        *held >>= 8;
        *bits -= 8;
    }
}

fn shift(count: usize, of: usize) -> u32 {
    let gap = of / count.max(1);
    // Rice's parameter for gaps of this mean.
    (gap * 69 / 100).max(1).ilog2().min(15)
}

/// What [`encode`] wrote. `None`: any of them.
pub(crate) fn decode(octets: &[u8], of: usize) -> Option<Docs> {
    let mut rest = octets;
    let count = number(&mut rest)?;
    let loose = count & 1 == 1;
    let count = usize::try_from(count >> 1).unwrap_or(usize::MAX).min(of);
    let shift = shift(count, of);
    let mut docs = Vec::with_capacity(count.min(octets.len() * 8));
    let (mut at, mut next) = (0usize, 0usize);
    for _ in 0..count {
        if at >= rest.len() * 8 {
            break;
        }
        let mut gap = 0usize;
        loop {
            let ones = peek(rest, at).trailing_ones().min(48);
            gap += ones as usize;
            at += ones as usize;
            if ones < 48 || at > rest.len() * 8 {
                break;
            }
        }
        at += 1;
        let low = peek(rest, at) & ((1 << shift) - 1);
        at += shift as usize;
        let doc = next + (gap << shift) + low as usize;
        // Only what a damaged index says: its checksum was good, so this never is.
        let Some(doc) = u16::try_from(doc).ok().filter(|doc| usize::from(*doc) < of) else { break };
        docs.push(doc);
        next = usize::from(doc) + 1;
    }
    Some(Docs { docs, loose })
}

/// At least 48 bits from bit `at` on; zeros behind the end.
fn peek(octets: &[u8], at: usize) -> u64 {
    let mut held = [0u8; 8];
    let from = at / 8;
    if let Some(eight) = octets.get(from..from + 8) {
        held.copy_from_slice(eight);
    } else {
        for (slot, octet) in held.iter_mut().zip(octets.get(from..).unwrap_or_default()) {
            *slot = *octet;
        }
    }
    u64::from_le_bytes(held) >> (at % 8)
}

/// LEB128.
pub(crate) fn push_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The same, taken off the front.
pub(crate) fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// So many octets, taken off the front.
pub(crate) fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn what_was_kept_comes_back(set in proptest::collection::btree_set(0u16..3000, 1..400), more in 0usize..5000, loose: bool) {
            let docs = Docs { docs: set.iter().copied().collect(), loose };
            let of = usize::from(*set.last().unwrap_or(&0)) + 1 + more;
            let mut out = Vec::new();
            encode(&docs, of, &mut out);
            match decode(&out, of) {
                Some(found) => prop_assert_eq!(found, docs),
                None => prop_assert!(docs.docs.len() * 10 > of * COMMON_TENTHS),
            }
        }

        #[test]
        fn nonsense_is_read_without_harm(octets in proptest::collection::vec(any::<u8>(), 0..60), of in 0usize..70_000) {
            let found: BTreeSet<u16> = decode(&octets, of).unwrap_or_default().docs.into_iter().collect();
            prop_assert!(found.iter().all(|doc| usize::from(*doc) < of));
        }
    }

    #[test]
    fn sets() {
        let mut some = Bits::none(70);
        some.set(3);
        some.set(69);
        some.set(70);
        assert!(some.get(3) && some.get(69) && !some.get(70) && !some.get(4));
        let mut all = Bits::all(70);
        all.keep(&some);
        assert_eq!(all, some);
        all.add(&Bits::all(70));
        assert!(all.get(68));
        all.drop_all(&some);
        assert!(!all.get(3) && all.get(4) && all.get(68));
    }
}
