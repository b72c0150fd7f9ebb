//! The rows of one mailbox in memory, small and shared: about 16 octets a message, in blocks that all who look hold together.
//!
//! A handle is one instant. An act writes anew only the blocks it touches, so an older handle keeps its instant and shares
//! the rest; [`Rows::difference`] passes over what is shared. Invariant: ascending by UID, each UID once; no block is empty.
//! Must not know: engines, sessions.

use crate::types::{EmailId, Flags, MessageRow, ModSeq, Uid};
use smol_str::SmolStr;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a full block.
const BLOCK_ROWS: usize = 512;
/// Rows that are compared in one go.
const ALIKE_ROWS: usize = 64;

/// Numbers near each other: a base, and what each is above it, in as few octets as they all need.
#[derive(Debug, Clone)]
enum Offsets {
    Short(Vec<u16>),
    Middle(Vec<u32>),
    Long(Vec<u64>),
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
struct Block {
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

impl Block {
    fn len(&self) -> usize {
        self.system.len()
    }

    fn first_uid(&self) -> u32 {
        self.uid(0)
    }

    fn last_uid(&self) -> u32 {
        self.uid(self.len().saturating_sub(1))
    }

    fn uid(&self, at: usize) -> u32 {
        self.uids.get(at) as u32
    }

    fn row(&self, at: usize) -> MessageRow {
        let words = self.keywords.get(at).and_then(|set| self.words.get(usize::from(*set))).cloned().flatten();
        MessageRow {
            uid: Uid(self.uid(at)),
            email: EmailId(self.emails.get(at)),
            mod_seq: ModSeq(self.mod_seqs.get(at)),
            flags: Flags { system: self.system.get(at).copied().unwrap_or(0), keywords: words },
            internal_date_secs: (self.dates.get(at) ^ SIGN) as i64,
            size_bytes: self.sizes.get(at) as u32,
        }
    }

    /// First place whose UID is not below.
    fn place_of(&self, uid: u32) -> usize {
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

    fn retain(&mut self, keep: &[bool]) {
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

    /// System flags and set of keywords of each row.
    fn flags(&self) -> impl Iterator<Item = (u8, u16)> + '_ {
        self.system.iter().copied().zip(self.keywords.iter().copied().chain(std::iter::repeat(0)))
    }

    fn flags_of(&self, (system, set): (u8, u16)) -> Flags {
        Flags { system, keywords: self.words.get(usize::from(set)).cloned().flatten() }
    }

    /// See [`Rows::reflagged`]. What becomes of the same flags is asked once.
    fn reflagged<E>(&self, mod_seq: ModSeq, change: &mut impl FnMut(&Flags) -> Result<Flags, E>) -> Result<Option<Block>, E> {
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
    fn alike(&self, at: usize, other: &Block, there: usize) -> usize {
        let same = self.uids.alike(at, &other.uids, there);
        if same == 0 { 0 } else { same.min(self.mod_seqs.alike(at, &other.mod_seqs, there)) }
    }
}

#[derive(Debug, Clone, Default)]
struct Blocks {
    blocks: Vec<Arc<Block>>,
    /// Index of the first row of each.
    starts: Vec<usize>,
    len: usize,
}

impl Blocks {
    /// Blocks from this one on are others, or of other lengths. Those before it are not looked into: they may be many, and far
    /// apart in memory.
    fn recount_from(&mut self, first: usize) {
        self.starts.truncate(first);
        let end = |last: usize| Some(self.starts.get(last)? + self.blocks.get(last)?.len());
        self.len = first.checked_sub(1).and_then(end).unwrap_or(0);
        for block in self.blocks.iter().skip(self.starts.len()) {
            self.starts.push(self.len);
            self.len += block.len();
        }
    }

    /// So many rows went out of each of these blocks (ascending), and none is empty: nothing is looked into.
    fn shrink(&mut self, shrunk: &[(usize, usize)]) {
        let (mut gone, mut shrunk) = (0, shrunk.iter().peekable());
        let first = shrunk.peek().map_or(self.starts.len(), |(number, _)| *number);
        for (number, start) in self.starts.iter_mut().enumerate().skip(first) {
            *start -= gone;
            gone += shrunk.next_if(|(at, _)| *at == number).map_or(0, |(_, rows)| *rows);
        }
        self.len -= gone;
    }
}

/// All rows of a mailbox at one instant, ascending by UID. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    inner: Arc<Blocks>,
}

/// What became of one set of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// No longer there, ascending.
    pub vanished: Vec<Uid>,
    /// There before and now, with another mod-sequence: indexes in the newer rows, ascending.
    pub changed: Vec<usize>,
    /// Not there before: indexes in the newer rows, ascending.
    pub arrived: Vec<usize>,
}

impl Rows {
    /// Of rows ascending by UID.
    pub fn of(rows: &[MessageRow]) -> Rows {
        let mut made = Rows::default();
        made.put(rows);
        made
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.inner.len
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.inner.len == 0
    }

    /// The same blocks, not only the same content?
    pub fn is_same(&self, other: &Rows) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    fn block_of(&self, index: usize) -> Option<(&Block, usize)> {
        let number = self.inner.starts.partition_point(|start| *start <= index).checked_sub(1)?;
        let (block, start) = (self.inner.blocks.get(number)?, self.inner.starts.get(number)?);
        (index - start < block.len()).then(|| (&**block, index - start))
    }

    /// The row at `index`.
    pub fn get(&self, index: usize) -> Option<MessageRow> {
        self.block_of(index).map(|(block, at)| block.row(at))
    }

    /// Its UID.
    pub fn uid(&self, index: usize) -> Option<Uid> {
        self.block_of(index).map(|(block, at)| Uid(block.uid(at)))
    }

    /// The last row.
    pub fn last(&self) -> Option<MessageRow> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Index of the first row whose UID is not below `uid`.
    pub fn lower_bound(&self, uid: Uid) -> usize {
        let number = self.inner.blocks.partition_point(|block| block.last_uid() < uid.0);
        match (self.inner.blocks.get(number), self.inner.starts.get(number)) {
            (Some(block), Some(start)) => start + block.place_of(uid.0),
            _ => self.len(),
        }
    }

    /// Index of the row with this UID.
    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        let index = self.lower_bound(uid);
        (self.uid(index) == Some(uid)).then_some(index)
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = MessageRow> + '_ {
        self.range(0..self.len())
    }

    /// The rows at these indexes.
    pub fn range(&self, range: Range<usize>) -> impl Iterator<Item = MessageRow> + '_ {
        self.pieces(range).flat_map(|(block, places)| places.map(|at| block.row(at)))
    }

    /// UIDs at these indexes.
    pub fn uids(&self, range: Range<usize>) -> impl Iterator<Item = Uid> + '_ {
        self.pieces(range).flat_map(|(block, places)| places.map(|at| Uid(block.uid(at))))
    }

    /// UIDs at these indexes, in whatever order they stand; 0 where there is no row. Many are looked up in a list.
    pub fn uids_at(&self, indexes: &[usize]) -> Vec<u32> {
        if indexes.len() < self.len() / 8 {
            return indexes.iter().map(|index| self.uid(*index).map_or(0, |uid| uid.0)).collect();
        }
        let all: Vec<u32> = self.uids(0..self.len()).map(|uid| uid.0).collect();
        indexes.iter().map(|index| all.get(*index).copied().unwrap_or(0)).collect()
    }

    /// The rows at these indexes (ascending), those that are there: one walk over both.
    pub fn at<'a>(&'a self, indexes: &'a [usize]) -> impl Iterator<Item = MessageRow> + 'a {
        let mut last: (&[Arc<Block>], usize) = (&[], 0);
        indexes.iter().filter_map(move |index| {
            let within = |(blocks, start): (&'a [Arc<Block>], usize)| {
                let block = blocks.first()?;
                let at = index.checked_sub(start)?;
                (at < block.len()).then(|| block.row(at))
            };
            within(last).or_else(|| {
                let number = self.inner.starts.partition_point(|start| *start <= *index).checked_sub(1)?;
                last = (self.inner.blocks.get(number..)?, *self.inner.starts.get(number)?);
                within(last)
            })
        })
    }

    /// The rows with these UIDs (ascending), those that are there: one walk over both.
    pub fn pick<'a>(&'a self, uids: &'a [Uid]) -> impl Iterator<Item = (usize, MessageRow)> + 'a {
        let (mut number, mut at) = (0, 0);
        uids.iter().filter_map(move |uid| {
            let mut block = self.inner.blocks.get(number)?;
            if block.last_uid() < uid.0 {
                let further = self.inner.blocks.get(number..).unwrap_or_default();
                number += further.partition_point(|block| block.last_uid() < uid.0);
                block = self.inner.blocks.get(number)?;
                at = 0;
            }
            // Neighbours mostly follow each other.
            if at >= block.len() || block.uid(at) != uid.0 {
                at = block.place_of(uid.0);
            }
            if block.uid(at) != uid.0 {
                return None;
            }
            let found = (self.inner.starts.get(number)? + at, block.row(at));
            at += 1;
            Some(found)
        })
    }

    fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = (&Block, Range<usize>)> {
        let first = self.inner.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        let blocks = self.inner.blocks.iter().zip(&self.inner.starts).skip(first);
        blocks.take_while(move |(_, start)| **start < range.end).map(move |(block, start)| {
            let from = range.start.saturating_sub(*start).min(block.len());
            let to = range.end.saturating_sub(*start).min(block.len());
            (&**block, from..to.max(from))
        })
    }

    /// Index of the first row without this system flag.
    pub fn first_without(&self, system: u8) -> Option<usize> {
        let blocks = self.inner.blocks.iter().zip(&self.inner.starts);
        blocks.filter_map(|(block, start)| block.system.iter().position(|flags| flags & system == 0).map(|at| start + at)).next()
    }

    /// UIDs of the rows with this system flag.
    pub fn with_flag(&self, system: u8) -> impl Iterator<Item = Uid> + '_ {
        self.inner.blocks.iter().flat_map(move |block| {
            let places = block.system.iter().enumerate().filter(move |(_, flags)| **flags & system != 0);
            places.map(|(at, _)| Uid(block.uid(at)))
        })
    }

    /// Sets of keywords in use, each at least once.
    pub fn keywords(&self) -> impl Iterator<Item = &Arc<[SmolStr]>> {
        self.inner.blocks.iter().flat_map(|block| {
            block.words.iter().enumerate().filter_map(|(set, words)| {
                let used = block.keywords.iter().any(|one| usize::from(*one) == set);
                words.as_ref().filter(|_| used)
            })
        })
    }

    /// Puts rows in (ascending), in place of those with the same UID.
    pub fn put(&mut self, rows: &[MessageRow]) {
        let inner = Arc::make_mut(&mut self.inner);
        // The first block of another length.
        let mut first = None;
        let mut rest = rows;
        while let Some((row, behind)) = rest.split_first() {
            rest = behind;
            let uid = row.uid.0;
            // New ones come behind all others.
            let number = match inner.blocks.last() {
                Some(last) if last.last_uid() < uid => inner.blocks.len(),
                _ => inner.blocks.partition_point(|block| block.last_uid() < uid),
            };
            let Some(slot) = inner.blocks.get_mut(number) else {
                first.get_or_insert(number.saturating_sub(1));
                match inner.blocks.last_mut().filter(|last| last.len() < BLOCK_ROWS) {
                    Some(last) => {
                        let last = Arc::make_mut(last);
                        last.set(last.len(), row);
                    }
                    None => {
                        let mut block = Block::default();
                        block.set(0, row);
                        inner.blocks.push(Arc::new(block));
                    }
                }
                continue;
            };
            let block = Arc::make_mut(slot);
            let at = block.place_of(uid);
            if block.uid(at) == uid {
                block.set(at, row);
                // Neighbours mostly follow each other.
                let follow = (at + 1..block.len()).zip(rest).take_while(|(at, row)| block.uid(*at) == row.uid.0).count();
                let (now, later) = rest.split_at(follow);
                block.revise_all(at + 1, now);
                rest = later;
                continue;
            }
            first = Some(first.map_or(number, |first: usize| first.min(number)));
            block.insert(at, row);
            if block.len() > BLOCK_ROWS {
                let half = block.split();
                inner.blocks.insert(number + 1, Arc::new(half));
            }
        }
        if let Some(first) = first {
            inner.recount_from(first);
        }
    }

    /// All of them after an act of this mod-sequence that changes the flags of each; `None` when one keeps what it has.
    ///
    /// # Errors
    /// What `change` says no to.
    pub(crate) fn reflagged<E>(
        &self,
        mod_seq: ModSeq,
        mut change: impl FnMut(&Flags) -> Result<Flags, E>,
    ) -> Result<Option<Rows>, E> {
        let Blocks { blocks, starts, len } = &*self.inner;
        let changed = blocks.iter().map(|block| block.reflagged(mod_seq, &mut change).map(|block| block.map(Arc::new)));
        let blocks = changed.collect::<Result<Option<Vec<_>>, E>>()?;
        Ok(blocks.map(|blocks| Rows { inner: Arc::new(Blocks { blocks, starts: starts.clone(), len: *len }) }))
    }

    /// The system flags of each.
    pub(crate) fn system_flags(&self) -> impl Iterator<Item = u8> + '_ {
        self.inner.blocks.iter().flat_map(|block| block.system.iter().copied())
    }

    /// Neighbours with the same flags, as their first and last UID.
    pub(crate) fn spans(&self) -> Vec<(Uid, Uid, Flags)> {
        let mut spans: Vec<(Uid, Uid, Flags)> = Vec::new();
        for block in &self.inner.blocks {
            let mut at = 0;
            let flags: Vec<(u8, u16)> = block.flags().collect();
            for same in flags.chunk_by(|a, b| a == b) {
                let now = same.first().map_or_else(Flags::default, |flags| block.flags_of(*flags));
                let (first, last) = (Uid(block.uid(at)), Uid(block.uid(at + same.len() - 1)));
                at += same.len();
                match spans.last_mut().filter(|(_, _, flags)| *flags == now) {
                    Some((_, end, _)) => *end = last,
                    None => spans.push((first, last, now)),
                }
            }
        }
        spans
    }

    /// Takes rows out (ascending UIDs).
    pub fn remove(&mut self, uids: &[Uid]) {
        if uids.is_empty() {
            return;
        }
        let inner = Arc::make_mut(&mut self.inner);
        let mut shrunk: Vec<(usize, usize)> = Vec::new();
        let (mut from, mut any_empty) = (0, false);
        while let Some(uid) = uids.get(from) {
            let number = inner.blocks.partition_point(|block| block.last_uid() < uid.0);
            let Some(slot) = inner.blocks.get_mut(number) else { break };
            let (first, last) = (slot.first_uid(), slot.last_uid());
            let to = from + uids.get(from..).unwrap_or_default().partition_point(|uid| uid.0 <= last);
            let gone = uids.get(from..to).unwrap_or_default();
            from = to.max(from + 1);
            let is_gone = |at: usize| gone.binary_search(&Uid(slot.uid(at))).is_ok();
            let keep: Vec<bool> = (0..slot.len()).map(|at| !is_gone(at)).collect();
            debug_assert!(first <= last);
            let lost = keep.iter().filter(|keep| !**keep).count();
            if lost > 0 {
                Arc::make_mut(slot).retain(&keep);
                any_empty |= lost == keep.len();
                shrunk.push((number, lost));
            }
        }
        if any_empty {
            inner.blocks.retain(|block| block.len() > 0);
            inner.recount_from(shrunk.first().map_or(0, |(number, _)| *number));
        } else {
            inner.shrink(&shrunk);
        }
    }

    /// What became of these rows in `newer`. What both share is passed over.
    pub fn difference(&self, newer: &Rows) -> Difference {
        let mut found = Difference::default();
        if self.is_same(newer) {
            return found;
        }
        let (mut old, mut new) = (Cursor::of(self), Cursor::of(newer));
        loop {
            match (old.block(), new.block()) {
                (None, None) => return found,
                (Some(before), Some(now)) if old.at == 0 && new.at == 0 && Arc::ptr_eq(before, now) => {
                    old.skip();
                    new.skip();
                }
                (Some(before), Some(now)) if before.uid(old.at) == now.uid(new.at) => {
                    let same = before.alike(old.at, now, new.at);
                    if same == 0 {
                        found.changed.push(new.index);
                    }
                    old.step(same.max(1));
                    new.step(same.max(1));
                }
                (Some(before), now) if now.is_none_or(|now| before.uid(old.at) < now.uid(new.at)) => {
                    found.vanished.push(Uid(before.uid(old.at)));
                    old.step(1);
                }
                _ => {
                    found.arrived.push(new.index);
                    new.step(1);
                }
            }
        }
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Rows) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

/// A place in rows.
struct Cursor<'a> {
    blocks: &'a [Arc<Block>],
    number: usize,
    at: usize,
    index: usize,
}

impl<'a> Cursor<'a> {
    fn of(rows: &'a Rows) -> Cursor<'a> {
        Cursor { blocks: &rows.inner.blocks, number: 0, at: 0, index: 0 }
    }

    fn block(&self) -> Option<&'a Arc<Block>> {
        self.blocks.get(self.number)
    }

    fn skip(&mut self) {
        self.index += self.block().map_or(0, |block| block.len()) - self.at;
        self.number += 1;
        self.at = 0;
    }

    /// No further than to the end of the block.
    fn step(&mut self, rows: usize) {
        self.at += rows;
        self.index += rows;
        if self.block().is_none_or(|block| self.at >= block.len()) {
            self.number += 1;
            self.at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn row(uid: u32, mod_seq: u64, word: u8) -> MessageRow {
        let keywords = (word > 0).then(|| Arc::from([SmolStr::from(format!("w{word}"))]));
        MessageRow {
            uid: Uid(uid),
            email: EmailId(u64::from(uid) << (word % 40)),
            mod_seq: ModSeq(mod_seq),
            flags: Flags { system: word, keywords },
            internal_date_secs: i64::from(word) * -40_000_000_000,
            size_bytes: uid.wrapping_mul(0x9e37_79b9),
        }
    }

    fn plain(uid: u32, mod_seq: u64) -> MessageRow {
        MessageRow {
            email: EmailId(u64::from(uid) * 3),
            internal_date_secs: 1_790_000_000 + i64::from(uid),
            size_bytes: 9000,
            ..row(uid, mod_seq, 0)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        // Block by block it is what it is row by row; and the neighbours with the same flags are all rows, in order.
        #[test]
        fn all_flags_changed_at_once(words in proptest::collection::vec((0u8..5, 1usize..900), 1..8), add in 0u8..9, word in 0u8..3) {
            let words = words.into_iter().flat_map(|(word, count)| std::iter::repeat_n(word, count));
            let all: Vec<MessageRow> = (1..).zip(words).map(|(uid, word)| row(uid * 3, u64::from(uid), word)).collect();
            let change = |flags: &Flags| -> Result<Flags, ()> {
                let keywords = if word == 0 { flags.keywords.clone() } else { row(1, 1, word - 1).flags.keywords };
                Ok(Flags { system: flags.system | add, keywords })
            };
            let changed: Vec<MessageRow> = all
                .iter()
                .map(|row| MessageRow { flags: change(&row.flags).unwrap(), mod_seq: ModSeq(1 << 40), ..row.clone() })
                .collect();
            let stood = Rows::of(&all);
            let now = stood.reflagged(ModSeq(1 << 40), change).unwrap();
            let is_of_all = all.iter().zip(&changed).all(|(before, now)| before.flags != now.flags);
            prop_assert_eq!(now.is_some(), is_of_all);
            prop_assert!(stood.system_flags().eq(all.iter().map(|row| row.flags.system)));
            let spans = now.as_ref().unwrap_or(&stood).spans();
            prop_assert!(spans.windows(2).all(|pair| pair[0].2 != pair[1].2));
            let told = if is_of_all { &changed } else { &all };
            let mut left = told.iter();
            for (first, last, flags) in spans {
                let mut within = left.by_ref().take_while(|row| row.uid <= last).collect::<Vec<_>>();
                prop_assert_eq!(within.first().map(|row| row.uid), Some(first));
                prop_assert!(within.iter().all(|row| row.flags == flags));
                prop_assert_eq!(within.pop().map(|row| row.uid), Some(last));
                left = told.get(told.partition_point(|row| row.uid <= last)..).unwrap_or_default().iter();
            }
            prop_assert!(left.next().is_none());
            if let Some(now) = now {
                prop_assert!(now.iter().eq(changed));
                prop_assert_eq!(stood.difference(&now).changed.len(), all.len());
            }
        }

        // Several look at one mailbox, each taking it in when it likes: each is told exactly what became of it.
        #[test]
        fn is_what_a_map_says_to_each_who_looks(acts in proptest::collection::vec((0u8..7, 1u32..1500, 0u8..4), 1..60)) {
            let mut rows = Rows::default();
            let mut model: BTreeMap<u32, MessageRow> = BTreeMap::new();
            let mut lookers = vec![(Rows::default(), BTreeMap::new()); 3];
            let mut next = 1u32;
            for (number, (act, pick, word)) in acts.into_iter().enumerate() {
                let mod_seq = number as u64 * 40_000 + 1;
                match act {
                    0 | 1 => {
                        let new: Vec<MessageRow> = (next..next + pick).map(|uid| row(uid, mod_seq, word)).collect();
                        next += pick;
                        rows.put(&new);
                        model.extend(new.into_iter().map(|row| (row.uid.0, row)));
                    }
                    2 | 3 => {
                        let some: Vec<MessageRow> = model.range(pick..).take(usize::from(word) * 700 + 1).map(|(uid, _)| row(*uid, mod_seq, word)).collect();
                        rows.put(&some);
                        model.extend(some.into_iter().map(|row| (row.uid.0, row)));
                    }
                    4 | 5 => {
                        let some: Vec<Uid> = model.range(pick..).step_by(usize::from(word) + 1).take(900).map(|(uid, _)| Uid(*uid)).chain([Uid(u32::MAX)]).collect();
                        rows.remove(&some);
                        some.iter().for_each(|uid| drop(model.remove(&uid.0)));
                    }
                    // An UID in the midst, as one who must not tell of an expunge yet keeps it.
                    _ => if !model.contains_key(&pick) && pick < next {
                        rows.put(&[row(pick, mod_seq, word)]);
                        model.insert(pick, row(pick, mod_seq, word));
                    }
                }
                prop_assert_eq!(rows.len(), model.len());
                prop_assert_eq!(rows.inner.starts.len(), rows.inner.blocks.len());
                prop_assert_eq!(rows.iter().count(), model.len());
                prop_assert_eq!(rows.lower_bound(Uid(pick)), model.range(..pick).count());
                prop_assert_eq!(rows.index_of(Uid(pick)).is_some(), model.contains_key(&pick));
                prop_assert_eq!(rows.first_without(1), model.values().position(|row| row.flags.system & 1 == 0));
                prop_assert_eq!(rows.with_flag(2).collect::<Vec<_>>(), model.values().filter(|row| row.flags.system & 2 != 0).map(|row| row.uid).collect::<Vec<_>>());
                prop_assert_eq!(rows.keywords().next().is_some(), model.values().any(|row| row.flags.keywords.is_some()));
                let some: Vec<Uid> = (0..next + 3).filter(|uid| uid % (pick % 5 + 1) == 0).map(Uid).collect();
                let wanted: Vec<_> = model.iter().enumerate().filter(|(_, (uid, _))| **uid % (pick % 5 + 1) == 0).map(|(at, (_, row))| (at, row.clone())).collect();
                prop_assert_eq!(rows.pick(&some).collect::<Vec<_>>(), wanted);
                let places: Vec<usize> = (0..rows.len() + 2).step_by(pick as usize % 70 + 5).collect();
                let there: Vec<MessageRow> = places.iter().filter_map(|at| rows.get(*at)).collect();
                prop_assert_eq!(rows.uids_at(&places), places.iter().map(|at| rows.uid(*at).map_or(0, |uid| uid.0)).collect::<Vec<_>>());
                prop_assert_eq!(rows.at(&places).collect::<Vec<_>>(), there);
                prop_assert_eq!(rows.range(3..9).collect::<Vec<_>>(), model.values().skip(3).take(6).cloned().collect::<Vec<_>>());
                let (held, seen) = &mut lookers[number % 3];
                let told = held.difference(&rows);
                told.vanished.iter().for_each(|uid| drop(seen.remove(&uid.0)));
                for index in told.changed.iter().chain(&told.arrived) {
                    let row = rows.get(*index).unwrap();
                    seen.insert(row.uid.0, row);
                }
                *held = rows.clone();
                prop_assert_eq!(&*seen, &model);
                // As one who reads it anew has it.
                prop_assert_eq!(&rows, &Rows::of(&model.values().cloned().collect::<Vec<_>>()));
            }
        }
    }

    #[test]
    fn a_change_copies_one_block_of_a_mailbox_that_somebody_holds() {
        let mut rows = Rows::of(&(1..=100_000).map(|uid| plain(uid, 1)).collect::<Vec<_>>());
        let held = rows.clone();
        rows.put(&[plain(50_000, 7)]);
        rows.put(&[plain(100_001, 8)]);
        let shared = rows.inner.blocks.iter().zip(&held.inner.blocks).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, held.inner.blocks.len() - 2);
        assert_eq!((held.len(), held.get(49_999).unwrap().mod_seq), (100_000, ModSeq(1)));
        let told = held.difference(&rows);
        assert_eq!(told, Difference { vanished: Vec::new(), changed: vec![49_999], arrived: vec![100_000] });
    }
}
