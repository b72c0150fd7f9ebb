//! Sequence sets of message numbers or UIDs (RFC 9051 §9 `sequence-set`), and sets of known numbers.

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

#[allow(clippy::todo, unused_variables, missing_docs)]
impl SequenceSet {
    /// Of one range.
    pub fn range(first: u32, last: u32) -> SequenceSet { todo!() }
    /// `n:*`
    pub fn from_number(first: u32) -> SequenceSet { todo!() }
    /// With `*` read as `max` (0: nothing there); `n:*` with n > max is `max:n` (RFC 9051). `$` gives the empty set: the caller has it.
    pub fn resolve(&self, max: u32) -> NumberSet { todo!() }
    pub fn is_saved(&self) -> bool { matches!(self, SequenceSet::Saved) }
    /// The largest number written out, for "no such message" checks; `*` not counted.
    pub fn largest_number(&self) -> Option<u32> { todo!() }
}

#[allow(clippy::todo, unused_variables, missing_docs)]
impl NumberSet {
    pub fn new() -> NumberSet { NumberSet::default() }
    pub fn contains(&self, number: u32) -> bool { todo!() }
    pub fn is_empty(&self) -> bool { self.ranges.is_empty() }
    /// How many numbers.
    pub fn count(&self) -> u64 { todo!() }
    pub fn first(&self) -> Option<u32> { todo!() }
    pub fn last(&self) -> Option<u32> { todo!() }
    /// Ranges, both ends included, ascending.
    pub fn ranges(&self) -> &[(u32, u32)] { &self.ranges }
    /// One by one, ascending; lazily.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ { self.ranges.iter().flat_map(|&(a, b)| a..=b) }
    /// Adds one; cheap when numbers come ascending.
    pub fn insert(&mut self, number: u32) { todo!() }
    /// Those of `sorted` (ascending) that are in the set, by their index; O(ranges * log n + hits).
    pub fn indexes_in<'a, T>(&'a self, sorted: &'a [T], key: impl Fn(&T) -> u32 + 'a) -> impl Iterator<Item = usize> + 'a { let _ = &key; let _ = sorted; std::iter::empty() }
    /// As the client would write it.
    pub fn to_sequence_set(&self) -> SequenceSet { todo!() }
    /// Appends `1:3,5` (nothing when empty).
    pub fn encode(&self, out: &mut Vec<u8>) { todo!() }
}

#[allow(clippy::todo, unused_variables)]
impl FromIterator<u32> for NumberSet {
    fn from_iter<I: IntoIterator<Item = u32>>(iter: I) -> NumberSet { todo!() }
}
