//! Some rows of a mailbox, packed column by column: about 16 octets a row.
//!
//! Invariant: ascending by UID, each UID once; all columns are as long. Must not know: other blocks, engines, sessions.

use crate::blocks::Ascending;
use crate::types::{EmailId, Flags, MessageRow, ModSeq, Uid};
use smol_str::SmolStr;
use std::sync::Arc;

/// Rows of a full block.
const BLOCK_ROWS: usize = 512;
/// Room for so many more rows is made with a copy.
const ROOM_ROWS: usize = 8;
/// Rows that are compared in one go.
const ALIKE_ROWS: usize = 64;

/// A copy with room for a few more: mostly it is made because something is put behind.
fn roomy<T: Clone>(all: &[T]) -> Vec<T> {
    let mut copy = Vec::with_capacity((all.len() + ROOM_ROWS).min(BLOCK_ROWS).max(all.len()));
    copy.extend_from_slice(all);
    copy
}

/// Numbers near each other: a base, and what each is above it, in as few octets as they all need.
#[derive(Debug)]
enum Offsets {
    Short(Vec<u16>),
    Middle(Vec<u32>),
    Long(Vec<u64>),
}

impl Clone for Offsets {
    fn clone(&self) -> Offsets {
        match self {
            Offsets::Short(all) => Offsets::Short(roomy(all)),
            Offsets::Middle(all) => Offsets::Middle(roomy(all)),
            Offsets::Long(all) => Offsets::Long(roomy(all)),
        }
    }
}

#[derive(Debug, Clone)]
struct Column {
    base: u64,
    offsets: Offsets,
}

impl Default for Column {
    fn default() -> Column {
        Column { base: 0, offsets: Offsets::Short(Vec::new()) }
    }
}

impl Column {
    fn len(&self) -> usize {
        match &self.offsets {
            Offsets::Short(all) => all.len(),
            Offsets::Middle(all) => all.len(),
            Offsets::Long(all) => all.len(),
        }
    }

    fn get(&self, at: usize) -> u64 {
        let offset = match &self.offsets {
            Offsets::Short(all) => all.get(at).copied().map(u64::from),
            Offsets::Middle(all) => all.get(at).copied().map(u64::from),
            Offsets::Long(all) => all.get(at).copied(),
        };
        self.base.wrapping_add(offset.unwrap_or(0))
    }

    fn of(values: &[u64]) -> Column {
        let (low, high) = values.iter().fold((u64::MAX, 0), |(low, high), value| (low.min(*value), high.max(*value)));
        let base = low.min(high);
        let spread = high.wrapping_sub(base);
        let offsets = values.iter().map(|value| value.wrapping_sub(base));
        // `as` cuts nothing: the spread was looked at.
        let offsets = if spread <= u64::from(u16::MAX) {
            Offsets::Short(offsets.map(|offset| offset as u16).collect())
        } else if spread <= u64::from(u32::MAX) {
            Offsets::Middle(offsets.map(|offset| offset as u32).collect())
        } else {
            Offsets::Long(offsets.collect())
        };
        Column { base, offsets }
    }

    fn values(&self) -> Vec<u64> {
        (0..self.len()).map(|at| self.get(at)).collect()
    }

    /// `at` is a place in it, or the one behind its end.
    fn set(&mut self, at: usize, value: u64) {
        let offset = value.wrapping_sub(self.base);
        let fits = value >= self.base && self.len() > 0;
        match &mut self.offsets {
            Offsets::Short(all) if fits && offset <= u64::from(u16::MAX) => place(all, at, offset as u16),
            Offsets::Middle(all) if fits && offset <= u64::from(u32::MAX) => place(all, at, offset as u32),
            Offsets::Long(all) if fits => place(all, at, offset),
            _ => {
                let mut values = self.values();
                place(&mut values, at, value);
                *self = Column::of(&values);
            }
        }
    }

    /// The same for neighbours, the first at `at`; all of them are there.
    fn set_all(&mut self, at: usize, values: impl Iterator<Item = u64> + Clone) {
        let base = self.base;
        let offsets = values.clone().map(|value| value.wrapping_sub(base));
        let highest = offsets.clone().max().unwrap_or(0);
        match &mut self.offsets {
            Offsets::Short(all) if highest <= u64::from(u16::MAX) => {
                all.iter_mut().skip(at).zip(offsets).for_each(|(slot, offset)| *slot = offset as u16);
            }
            Offsets::Middle(all) if highest <= u64::from(u32::MAX) => {
                all.iter_mut().skip(at).zip(offsets).for_each(|(slot, offset)| *slot = offset as u32);
            }
            _ => (at..).zip(values).for_each(|(at, value)| self.set(at, value)),
        }
    }

    fn insert(&mut self, at: usize, value: u64) {
        let mut values = self.values();
        values.insert(at.min(values.len()), value);
        *self = Column::of(&values);
    }

    /// How many stand alike from these places on, as far as is looked.
    fn alike(&self, at: usize, other: &Column, there: usize) -> usize {
        match (&self.offsets, &other.offsets) {
            (Offsets::Short(one), Offsets::Short(two)) if self.base == other.base => alike(one, at, two, there),
            (Offsets::Middle(one), Offsets::Middle(two)) if self.base == other.base => alike(one, at, two, there),
            (Offsets::Long(one), Offsets::Long(two)) if self.base == other.base => alike(one, at, two, there),
            _ => {
                let places = (at..self.len()).zip(there..other.len()).take(ALIKE_ROWS);
                places.take_while(|(one, two)| self.get(*one) == other.get(*two)).count()
            }
        }
    }

    fn retain(&mut self, keep: &[bool]) {
        match &mut self.offsets {
            Offsets::Short(all) => retain(all, keep),
            Offsets::Middle(all) => retain(all, keep),
            Offsets::Long(all) => retain(all, keep),
        }
    }
}

/// Looks at so many at most: who asks for the next ones pays for no more than these.
fn alike<T: PartialEq>(one: &[T], at: usize, two: &[T], there: usize) -> usize {
    let one = one.get(at..).unwrap_or_default();
    let (one, two) = (one.get(..ALIKE_ROWS).unwrap_or(one), two.get(there..).unwrap_or_default());
    let two = two.get(..one.len()).unwrap_or(two);
    // Most of a block is as it was before an act.
    if one == two { one.len() } else { one.iter().zip(two).take_while(|(one, two)| one == two).count() }
}

fn place<T>(all: &mut Vec<T>, at: usize, value: T) {
    match all.get_mut(at) {
        Some(slot) => *slot = value,
        None => all.push(value),
    }
}

fn retain<T>(all: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    all.retain(|_| keep.next().copied().unwrap_or(true));
}

/// Some rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    uids: Column,
    emails: Column,
    mod_seqs: Column,
    /// As two's complement, the sign turned, so that neighbours stay neighbours.
    dates: Column,
    sizes: Column,
    system: Vec<u8>,
    /// Which of `words` each has; empty as long as none has any.
    keywords: Vec<u16>,
    /// Sets of keywords met in this block; the first is none.
    words: Vec<Option<Arc<[SmolStr]>>>,
}

const SIGN: u64 = 1 << 63;

impl Ascending for Block {
    fn rows(&self) -> usize {
        self.len()
    }

    fn last_uid(&self) -> u32 {
        self.uid(self.len().saturating_sub(1))
    }
}

impl Block {
    pub(crate) fn len(&self) -> usize {
        self.system.len()
    }

    pub(crate) fn uid(&self, at: usize) -> u32 {
        self.uids.get(at) as u32
    }

    pub(crate) fn email(&self, at: usize) -> EmailId {
        EmailId(self.emails.get(at))
    }

    pub(crate) fn row(&self, at: usize) -> MessageRow {
        let words = self.keywords.get(at).and_then(|set| self.words.get(usize::from(*set))).cloned().flatten();
        MessageRow {
            uid: Uid(self.uid(at)),
            email: self.email(at),
            mod_seq: ModSeq(self.mod_seqs.get(at)),
            flags: Flags { system: self.system.get(at).copied().unwrap_or(0), keywords: words },
            internal_date_secs: (self.dates.get(at) ^ SIGN) as i64,
            size_bytes: self.sizes.get(at) as u32,
        }
    }

    /// First place whose UID is not below.
    pub(crate) fn place_of(&self, uid: u32) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.uid(middle) < uid { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn put_words(&mut self, at: usize, words: Option<&Arc<[SmolStr]>>) {
        let Some(words) = words else {
            if !self.keywords.is_empty() {
                place(&mut self.keywords, at, 0);
            }
            return;
        };
        if self.keywords.is_empty() {
            self.keywords = vec![0; at.max(self.system.len())];
        }
        if self.words.is_empty() {
            self.words.push(None);
        }
        let known = self.words.iter().position(|set| set.as_ref() == Some(words));
        let set = known.unwrap_or_else(|| {
            // Sets nobody has any more are thrown out when there are many.
            if self.words.len() > 2 * BLOCK_ROWS {
                self.sweep_words();
            }
            self.words.push(Some(words.clone()));
            self.words.len() - 1
        });
        place(&mut self.keywords, at, set as u16);
    }

    fn sweep_words(&mut self) {
        let mut kept = vec![None];
        for set in &mut self.keywords {
            let words = self.words.get(usize::from(*set)).cloned().flatten();
            let at = kept.iter().position(|one| *one == words).unwrap_or_else(|| {
                kept.push(words);
                kept.len() - 1
            });
            *set = at as u16;
        }
        self.words = kept;
    }

    /// In place of the row at `at`, or behind the last one.
    fn set(&mut self, at: usize, row: &MessageRow) {
        self.uids.set(at, u64::from(row.uid.0));
        self.revise(at, row);
    }

    /// In place of the row at `at`, with the same UID.
    fn revise(&mut self, at: usize, row: &MessageRow) {
        self.emails.set(at, row.email.0);
        self.mod_seqs.set(at, row.mod_seq.0);
        self.dates.set(at, row.internal_date_secs as u64 ^ SIGN);
        self.sizes.set(at, u64::from(row.size_bytes));
        self.put_words(at, row.flags.keywords.as_ref());
        place(&mut self.system, at, row.flags.system);
    }

    /// The same for neighbours, a column at a time.
    fn revise_all(&mut self, at: usize, rows: &[MessageRow]) {
        self.emails.set_all(at, rows.iter().map(|row| row.email.0));
        self.mod_seqs.set_all(at, rows.iter().map(|row| row.mod_seq.0));
        self.dates.set_all(at, rows.iter().map(|row| row.internal_date_secs as u64 ^ SIGN));
        self.sizes.set_all(at, rows.iter().map(|row| u64::from(row.size_bytes)));
        (at..).zip(rows).for_each(|(at, row)| self.put_words(at, row.flags.keywords.as_ref()));
        self.system.iter_mut().skip(at).zip(rows).for_each(|(system, row)| *system = row.flags.system);
    }

    fn insert(&mut self, at: usize, row: &MessageRow) {
        self.uids.insert(at, u64::from(row.uid.0));
        self.emails.insert(at, row.email.0);
        self.mod_seqs.insert(at, row.mod_seq.0);
        self.dates.insert(at, row.internal_date_secs as u64 ^ SIGN);
        self.sizes.insert(at, u64::from(row.size_bytes));
        self.system.insert(at.min(self.system.len()), row.flags.system);
        if !self.keywords.is_empty() {
            self.keywords.insert(at.min(self.keywords.len()), 0);
        }
        self.put_words(at, row.flags.keywords.as_ref());
    }

    pub(crate) fn retain(&mut self, keep: &[bool]) {
        for column in [&mut self.uids, &mut self.emails, &mut self.mod_seqs, &mut self.dates, &mut self.sizes] {
            column.retain(keep);
        }
        retain(&mut self.system, keep);
        retain(&mut self.keywords, keep);
    }

    /// The second half goes into a block of its own.
    fn split(&mut self) -> Block {
        let rows: Vec<MessageRow> = (self.len() / 2..self.len()).map(|at| self.row(at)).collect();
        let keep: Vec<bool> = (0..self.len()).map(|at| at < self.len() / 2).collect();
        self.retain(&keep);
        let mut half = Block::default();
        for (at, row) in rows.iter().enumerate() {
            half.set(at, row);
        }
        half
    }

    /// Puts the first of these rows (ascending; no block before this one has them) into its place, and those that follow it as they
    /// follow each other here: how many those are, and the second half when there is no room for both.
    pub(crate) fn put(&mut self, rows: &[MessageRow]) -> (usize, Option<Block>) {
        let Some((row, rest)) = rows.split_first() else { return (0, None) };
        let at = self.place_of(row.uid.0);
        if at < self.len() && self.uid(at) == row.uid.0 {
            self.set(at, row);
            let follow = (at + 1..self.len()).zip(rest).take_while(|(at, row)| self.uid(*at) == row.uid.0).count();
            self.revise_all(at + 1, rest.get(..follow).unwrap_or_default());
            return (1 + follow, None);
        }
        self.insert(at, row);
        (1, (self.len() > BLOCK_ROWS).then(|| self.split()))
    }

    /// Puts rows (ascending, later than all of its own) behind, as many as there is room for: how many those are.
    pub(crate) fn extend(&mut self, rows: &[MessageRow]) -> usize {
        let mut last = None;
        let room = BLOCK_ROWS.saturating_sub(self.len());
        let later = rows.iter().take(room).take_while(|row| last.replace(row.uid).is_none_or(|before| before < row.uid));
        later.map(|row| self.set(self.len(), row)).count()
    }

    /// Is there room for more behind its last row?
    pub(crate) fn has_room(&self) -> bool {
        self.len() < BLOCK_ROWS
    }

    /// Has any row this set of keywords?
    fn uses(&self, set: usize) -> bool {
        self.keywords.iter().any(|one| usize::from(*one) == set)
    }

    /// Sets of keywords in use.
    pub(crate) fn words(&self) -> impl Iterator<Item = &Arc<[SmolStr]>> {
        let sets = self.words.iter().enumerate();
        sets.filter_map(|(set, words)| words.as_ref().filter(|_| self.uses(set)))
    }

    /// System flags of each row.
    pub(crate) fn system(&self) -> &[u8] {
        &self.system
    }

    /// System flags and set of keywords of each row.
    pub(crate) fn flags(&self) -> impl Iterator<Item = (u8, u16)> + '_ {
        self.system.iter().copied().zip(self.keywords.iter().copied().chain(std::iter::repeat(0)))
    }

    pub(crate) fn flags_of(&self, (system, set): (u8, u16)) -> Flags {
        Flags { system, keywords: self.words.get(usize::from(set)).cloned().flatten() }
    }

    /// See [`Rows::reflagged`]. What becomes of the same flags is asked once.
    pub(crate) fn reflagged<E>(
        &self,
        mod_seq: ModSeq,
        change: &mut impl FnMut(&Flags) -> Result<Flags, E>,
    ) -> Result<Option<Block>, E> {
        let mut met: Vec<((u8, u16), (u8, u16))> = Vec::new();
        let (mut system, mut keywords) = (Vec::with_capacity(self.len()), Vec::with_capacity(self.len()));
        let mut words = vec![None];
        for before in self.flags() {
            let now = match met.iter().find(|(known, _)| *known == before) {
                Some((_, now)) => *now,
                None => {
                    let flags = self.flags_of(before);
                    let changed = change(&flags)?;
                    if changed == flags {
                        return Ok(None);
                    }
                    let set = words.iter().position(|set| *set == changed.keywords).unwrap_or_else(|| {
                        words.push(changed.keywords.clone());
                        words.len() - 1
                    });
                    met.push((before, (changed.system, set as u16)));
                    (changed.system, set as u16)
                }
            };
            system.push(now.0);
            keywords.push(now.1);
        }
        if words.len() == 1 {
            (keywords, words) = (Vec::new(), Vec::new());
        }
        let mod_seqs = Column { base: mod_seq.0, offsets: Offsets::Short(vec![0; self.len()]) };
        let (uids, emails, dates, sizes) = (self.uids.clone(), self.emails.clone(), self.dates.clone(), self.sizes.clone());
        Ok(Some(Block { uids, emails, mod_seqs, dates, sizes, system, keywords, words }))
    }

    /// How many rows from these places on are the same, by UID and mod-sequence.
    pub(crate) fn alike(&self, at: usize, other: &Block, there: usize) -> usize {
        let same = self.uids.alike(at, &other.uids, there);
        if same == 0 { 0 } else { same.min(self.mod_seqs.alike(at, &other.mod_seqs, there)) }
    }
}
