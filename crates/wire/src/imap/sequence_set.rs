//! Sequence sets of message numbers or UIDs (RFC 9051 §9), and sets of known numbers.
//!
//! ```abnf
//! sequence-set = (seq-number / seq-range) *("," sequence-set) / "$"      ; "$": RFC 5182
//! seq-range    = seq-number ":" seq-number                               ; in either order
//! seq-number   = nz-number / "*"
//! ```
//!
//! Invariant: no range is ever materialised number by number; work is in ranges.

use super::cursor::{Cursor, Parsed};
use super::encoder::{Encoder, push_number};
use super::limits::SEQUENCE_SET_ELEMENTS_MAX;

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeqNumber {
    /// Never 0.
    Number(u32),
    /// `*`: the largest in use.
    Star,
}

/// What a command names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSet {
    /// `$`: the saved result of SEARCH (RFC 5182).
    Saved,
    /// Ranges as written; a single number has both ends equal.
    Ranges(Vec<(SeqNumber, SeqNumber)>),
}

/// Known numbers, normalised: ranges ascending, not overlapping, not touching. Never materialised one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NumberSet {
    pub(crate) ranges: Vec<(u32, u32)>,
}

impl SequenceSet {
    /// Of one range.
    pub fn range(first: u32, last: u32) -> SequenceSet {
        SequenceSet::Ranges(vec![(SeqNumber::Number(first), SeqNumber::Number(last))])
    }
    /// With `*` read as `max` (0: nothing there); `n:*` with n > max is `max:n` (RFC 9051). `$` gives the empty set: the caller has it.
    pub fn resolve(&self, max: u32) -> NumberSet {
        let SequenceSet::Ranges(written) = self else { return NumberSet::new() };
        let value = |n: &SeqNumber| match n {
            SeqNumber::Number(n) => *n,
            SeqNumber::Star => max,
        };
        let ranges = written.iter().map(|(a, b)| (value(a), value(b))).map(|(a, b)| (a.min(b).max(1), a.max(b)));
        NumberSet::from_ranges(ranges.filter(|(_, last)| *last > 0).collect())
    }
    /// `$`?
    pub fn is_saved(&self) -> bool {
        matches!(self, SequenceSet::Saved)
    }
    /// Is `*` in it?
    pub fn names_last(&self) -> bool {
        matches!(self, SequenceSet::Ranges(written) if written.iter().any(|(a, b)| [a, b].contains(&&SeqNumber::Star)))
    }
    /// The largest number written out, for "no such message" checks; `*` not counted.
    pub fn largest_number(&self) -> Option<u32> {
        let SequenceSet::Ranges(written) = self else { return None };
        let numbers = written.iter().flat_map(|&(a, b)| [a, b]);
        numbers.filter_map(|n| if let SeqNumber::Number(n) = n { Some(n) } else { None }).max()
    }
    /// Is a set next (and not a word)?
    pub(crate) fn ahead(c: &Cursor<'_>) -> bool {
        matches!(c.peek(), Some(b'0'..=b'9' | b'*' | b'$'))
    }
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<SequenceSet> {
        if c.eat(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            if ranges.len() >= SEQUENCE_SET_ELEMENTS_MAX {
                return c.error("a sequence set has too many elements");
            }
            let first = seq_number(c)?;
            let last = if c.eat(b':') { seq_number(c)? } else { first };
            ranges.push((first, last));
            if !c.eat(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        let SequenceSet::Ranges(ranges) = self else { return e.raw("$") };
        let number = |e: &mut Encoder, n: &SeqNumber| match n {
            SeqNumber::Number(n) => e.number(*n),
            SeqNumber::Star => e.raw("*"),
        };
        for (n, (first, last)) in ranges.iter().enumerate() {
            if n > 0 {
                e.raw(",");
            }
            number(e, first);
            if first != last {
                e.raw(":");
                number(e, last);
            }
        }
    }
}

fn seq_number(c: &mut Cursor<'_>) -> Parsed<SeqNumber> {
    if c.eat(b'*') { Ok(SeqNumber::Star) } else { c.nz_number().map(SeqNumber::Number) }
}

impl NumberSet {
    /// Empty.
    pub fn new() -> NumberSet {
        NumberSet::default()
    }
    /// From any ranges (each `first <= last`).
    fn from_ranges(mut ranges: Vec<(u32, u32)>) -> NumberSet {
        ranges.sort_unstable();
        let mut set = NumberSet { ranges: Vec::with_capacity(ranges.len()) };
        for (first, last) in ranges {
            match set.ranges.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => set.ranges.push((first, last)),
            }
        }
        set
    }
    /// Of ranges that are ascending, apart and do not touch.
    pub fn from_sorted(ranges: &[(u32, u32)]) -> NumberSet {
        NumberSet { ranges: ranges.to_vec() }
    }
    /// Those in both.
    pub fn intersect(&self, other: &NumberSet) -> NumberSet {
        let (mut ranges, mut at) = (Vec::new(), 0);
        for &(first, last) in &self.ranges {
            while other.ranges.get(at).is_some_and(|&(_, end)| end < first) {
                at += 1;
            }
            let overlapping = other.ranges.iter().skip(at).take_while(|&&(start, _)| start <= last);
            ranges.extend(overlapping.map(|&(start, end)| (start.max(first), end.min(last))));
        }
        NumberSet { ranges }
    }
    /// In it?
    pub fn contains(&self, number: u32) -> bool {
        let at = self.ranges.partition_point(|&(_, last)| last < number);
        self.ranges.get(at).is_some_and(|&(first, _)| first <= number)
    }
    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|&(first, last)| u64::from(last - first) + 1).sum()
    }
    /// The smallest.
    pub fn first(&self) -> Option<u32> {
        self.ranges.first().map(|&(first, _)| first)
    }
    /// The largest.
    pub fn last(&self) -> Option<u32> {
        self.ranges.last().map(|&(_, last)| last)
    }
    /// Ranges, both ends included, ascending.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }
    /// One by one, ascending; lazily.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }
    /// Adds one; cheap when numbers come ascending.
    pub fn insert(&mut self, number: u32) {
        match self.ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            Some((_, last)) if number <= *last => {
                if !self.contains(number) {
                    self.ranges.push((number, number));
                    *self = NumberSet::from_ranges(std::mem::take(&mut self.ranges));
                }
            }
            _ => self.ranges.push((number, number)),
        }
    }
    /// Those of `sorted` (ascending by `key`) that are in the set, by their index; O(ranges * log n + hits).
    pub fn indexes_in<'a, T>(&'a self, sorted: &'a [T], key: impl Fn(&T) -> u32 + 'a) -> impl Iterator<Item = usize> + 'a {
        self.ranges.iter().flat_map(move |&(first, last)| {
            let from = sorted.partition_point(|item| key(item) < first);
            let to = sorted.partition_point(|item| key(item) <= last);
            from..to
        })
    }
    /// As the client would write it.
    pub fn to_sequence_set(&self) -> SequenceSet {
        SequenceSet::Ranges(self.ranges.iter().map(|&(a, b)| (SeqNumber::Number(a), SeqNumber::Number(b))).collect())
    }
    /// Appends `1:3,5` (nothing when empty).
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (n, &(first, last)) in self.ranges.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            push_number(out, u64::from(first));
            if first != last {
                out.push(b':');
                push_number(out, u64::from(last));
            }
        }
    }
    /// `uid-set` in an answer: no `*`, no `$`. (The order of COPYUID's sets is not kept: servers give both ascending.)
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<NumberSet> {
        let set = SequenceSet::parse(c)?;
        match &set {
            SequenceSet::Ranges(ranges) if ranges.iter().all(|r| r.0 != SeqNumber::Star && r.1 != SeqNumber::Star) => {
                Ok(set.resolve(0))
            }
            _ => c.error("* and $ are not allowed here"),
        }
    }
}

impl FromIterator<u32> for NumberSet {
    fn from_iter<I: IntoIterator<Item = u32>>(iter: I) -> NumberSet {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let mut ascending = true;
        for number in iter {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
                last => {
                    ascending &= last.is_none_or(|(_, last)| *last < number);
                    ranges.push((number, number));
                }
            }
        }
        if ascending { NumberSet { ranges } } else { NumberSet::from_ranges(ranges) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn parse(text: &str) -> SequenceSet {
        let mut c = Cursor::new(text.as_bytes());
        let set = SequenceSet::parse(&mut c).unwrap();
        assert!(c.at_end(), "{text}");
        set
    }
    fn written(set: &NumberSet) -> String {
        let mut out = Vec::new();
        set.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn both_ways() {
        for text in ["1", "*", "1:*", "*:4", "2,4:7,9,12:*", "$", "4294967295"] {
            let mut e = Encoder::server(Vec::new(), false);
            parse(text).encode(&mut e);
            assert_eq!(e.bytes, text.as_bytes());
        }
        for bad in ["", "0", "1,", ",1", "1:", ":1", "a", "1:0", "4294967296", "$,1x"] {
            let mut c = Cursor::new(bad.as_bytes());
            assert!(SequenceSet::parse(&mut c).is_err() || !c.at_end(), "{bad}");
        }
    }

    #[test]
    fn stars_are_read_with_the_largest_number() {
        let resolve = |text: &str, max| written(&parse(text).resolve(max));
        assert_eq!(resolve("2,4:7,9,12:*", 15), "2,4:7,9,12:15");
        assert_eq!(resolve("*:4,5:7", 10), "4:10");
        assert_eq!(resolve("4:*", 3), "3:4");
        assert_eq!(resolve("*", 0), "");
        assert_eq!(resolve("3:*", 0), "1:3");
        assert_eq!(resolve("1:4294967295", 5), "1:4294967295");
        assert_eq!(resolve("9,1,5,2,3:4", 5), "1:5,9");
        assert_eq!(resolve("$", 5), "");
        assert_eq!(parse("2,9:4,*").largest_number(), Some(9));
    }

    #[test]
    fn a_set_ends_at_the_limit() {
        let of = |n: usize| vec!["1"; n].join(",");
        assert!(SequenceSet::parse(&mut Cursor::new(of(SEQUENCE_SET_ELEMENTS_MAX).as_bytes())).is_ok());
        assert!(SequenceSet::parse(&mut Cursor::new(of(SEQUENCE_SET_ELEMENTS_MAX + 1).as_bytes())).is_err());
    }

    #[test]
    fn rows_are_found_without_walking_the_set() {
        let rows = [2u32, 3, 5, 8, 13, 21];
        let set = parse("1:4294967295").resolve(21);
        assert_eq!(set.indexes_in(&rows, |r| *r).count(), 6);
        let set = parse("4:8,21,22").resolve(21);
        assert_eq!(set.indexes_in(&rows, |r| *r).collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!(parse("1:4294967295").resolve(0).count(), 4_294_967_295);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_set_is_a_set(numbers in proptest::collection::vec(1u32..60, 0..40)) {
            let model: BTreeSet<u32> = numbers.iter().copied().collect();
            let collected: NumberSet = numbers.iter().copied().collect();
            let mut inserted = NumberSet::new();
            numbers.iter().for_each(|n| inserted.insert(*n));
            prop_assert_eq!(&collected, &inserted);
            prop_assert_eq!(collected.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(collected.count(), model.len() as u64);
            for n in 0..62 {
                prop_assert_eq!(collected.contains(n), model.contains(&n));
            }
            let odd: NumberSet = (1..62).filter(|n| n % 3 == 1).chain(20..40).collect();
            let both: BTreeSet<u32> = model.iter().copied().filter(|n| odd.contains(*n)).collect();
            prop_assert_eq!(collected.intersect(&odd).iter().collect::<Vec<_>>(), both.into_iter().collect::<Vec<_>>());
            if !numbers.is_empty() {
                prop_assert_eq!(NumberSet::parse(&mut Cursor::new(written(&collected).as_bytes())).unwrap(), collected);
            }
        }
    }
}
