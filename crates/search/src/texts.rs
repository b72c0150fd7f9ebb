//! Texts kept once each, by number, with the rank of each among all.
//!
//! Number 0 is the empty text, and it ranks first. Invariant: equal texts have one number; ranks are in order as the octets
//! are. Must not know: what the texts are of.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The texts of one mailbox.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// All texts, one behind the other.
    octets: String,
    /// Where text n (from 1) ends in `octets`.
    ends: Vec<u32>,
    /// Number by hash; where two texts have one hash, the later one is at the next free hash.
    by_hash: HashMap<u64, u32>,
    hasher: RandomState,
    /// Numbers in the order of their texts, as far as ranked.
    order: Vec<u32>,
    /// Rank of text n, from 0 for the empty one.
    ranks: Vec<u32>,
}

impl Texts {
    /// The text's number; it is kept from now on.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let mut hash = self.hasher.hash_one(text);
        while let Some(number) = self.by_hash.get(&hash) {
            if self.text(*number) == text {
                return *number;
            }
            hash = hash.wrapping_add(1);
        }
        // Far more than memory is given: then it sorts as if empty.
        let (Ok(end), Ok(number)) = (u32::try_from(self.octets.len() + text.len()), u32::try_from(self.ends.len() + 1)) else {
            return 0;
        };
        self.octets.push_str(text);
        self.ends.push(end);
        self.by_hash.insert(hash, number);
        number
    }

    fn text(&self, number: u32) -> &str {
        let Some(at) = (number as usize).checked_sub(1) else { return "" };
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let end = self.ends.get(at).map_or(start, |end| *end as usize);
        self.octets.get(start..end).unwrap_or_default()
    }

    /// Ranks what is new among what is ranked.
    pub(super) fn rank(&mut self) {
        let (known, all) = (self.order.len(), self.ends.len());
        if known == all && !self.ranks.is_empty() {
            return;
        }
        let mut fresh: Vec<(u64, u32)> =
            (known..all).filter_map(|at| u32::try_from(at + 1).ok()).map(|n| (self.prefix(n), n)).collect();
        fresh.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| self.text(one.1).cmp(self.text(other.1))));
        let mut order = std::mem::take(&mut self.order);
        order.extend(fresh.into_iter().map(|(_, number)| number));
        // Two runs in order: this only merges them.
        order.sort_by(|one, other| self.text(*one).cmp(self.text(*other)));
        self.ranks.clear();
        self.ranks.resize(all + 1, 0);
        for (number, rank) in order.iter().zip(1..) {
            if let Some(slot) = self.ranks.get_mut(*number as usize) {
                *slot = rank;
            }
        }
        self.order = order;
    }

    /// The first eight octets: they decide most comparisons.
    fn prefix(&self, number: u32) -> u64 {
        let mut first = [0; 8];
        for (slot, octet) in first.iter_mut().zip(self.text(number).bytes()) {
            *slot = octet;
        }
        u64::from_be_bytes(first)
    }

    /// After [`Texts::rank`]: less for a text that comes before.
    pub(super) fn rank_of(&self, number: u32) -> u32 {
        self.ranks.get(number as usize).copied().unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> usize {
        let numbers = self.ends.capacity() + self.order.capacity() + self.ranks.capacity();
        self.octets.capacity() + numbers * 4 + self.by_hash.capacity() * 17
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn ranks_are_in_order_however_texts_come(all in proptest::collection::vec(".{0,10}", 0..40), cut in 0usize..40) {
            let mut texts = Texts::default();
            let mut numbers = Vec::new();
            for (at, text) in all.iter().enumerate() {
                if at == cut {
                    texts.rank();
                }
                numbers.push(texts.number(text));
            }
            texts.rank();
            for (one, first) in all.iter().zip(&numbers) {
                prop_assert_eq!(texts.text(*first), one);
                for (other, second) in all.iter().zip(&numbers) {
                    prop_assert_eq!(texts.rank_of(*first).cmp(&texts.rank_of(*second)), one.cmp(other));
                }
            }
        }
    }
}
