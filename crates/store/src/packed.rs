//! The rows of one mailbox in memory, small and shared: about 16 octets a message, in blocks that all who look hold together.
//!
//! A handle is one instant. An act writes anew only the blocks it touches, so an older handle keeps its instant and shares
//! the rest; [`Rows::difference`] passes over what is shared. Invariant: ascending by UID, each UID once; no block is empty.
//! Must not know: engines, sessions.

use crate::block::Block;
use crate::blocks::{Ascending, Blocks, Walk};
use crate::types::{EmailId, Flags, MessageRow, ModSeq, Uid};
use smol_str::SmolStr;
use std::ops::Range;
use std::sync::Arc;

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
        self.inner.rows()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.inner.rows() == 0
    }

    /// The same blocks, not only the same content?
    pub fn is_same(&self, other: &Rows) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    fn block_of(&self, index: usize) -> Option<(&Block, usize)> {
        self.inner.of_index(index).map(|(block, start)| (block, index - start))
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
        self.inner.of_uid(uid.0).map_or(self.len(), |(_, block, start)| start + block.place_of(uid.0))
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

    /// The rows whose email is asked for, each with its index and what `asks` says of it; of the others nothing more is unpacked.
    pub fn sift<T>(&self, mut asks: impl FnMut(EmailId) -> Option<T>) -> impl Iterator<Item = (usize, T, MessageRow)> {
        // By blocks: most have no such row, and looking through one is a loop without a step out of it.
        self.inner.walk().flat_map(move |(block, start)| {
            let mut found = Vec::new();
            for at in 0..block.len() {
                if let Some(said) = asks(block.email(at)) {
                    // Where one is asked for, all may be.
                    if found.is_empty() {
                        found.reserve_exact(block.len() - at);
                    }
                    found.push((at, said));
                }
            }
            found.into_iter().map(move |(at, said)| (start + at, said, block.row(at)))
        })
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
        let mut last: Option<(&Block, usize)> = None;
        indexes.iter().filter_map(move |index| {
            let within = |(block, start): (&'a Block, usize)| {
                let at = index.checked_sub(start)?;
                (at < block.len()).then(|| block.row(at))
            };
            last.and_then(within).or_else(|| {
                last = self.inner.of_index(*index);
                last.and_then(within)
            })
        })
    }

    /// The rows with these UIDs (ascending), those that are there: one walk over both.
    pub fn pick<'a>(&'a self, uids: &'a [Uid]) -> impl Iterator<Item = (usize, MessageRow)> + 'a {
        let mut last: Option<(&Block, usize)> = None;
        let mut at = 0;
        uids.iter().filter_map(move |uid| {
            let (block, start) = match last {
                Some(found) if uid.0 <= found.0.last_uid() => found,
                _ => {
                    let (_, block, start) = self.inner.of_uid(uid.0)?;
                    at = 0;
                    *last.insert((block, start))
                }
            };
            // Neighbours mostly follow each other.
            if at >= block.len() || block.uid(at) != uid.0 {
                at = block.place_of(uid.0);
            }
            if block.uid(at) != uid.0 {
                return None;
            }
            let found = (start + at, block.row(at));
            at += 1;
            Some(found)
        })
    }

    fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = (&Block, Range<usize>)> {
        self.inner.walk_from(range.start).take_while(move |(_, start)| *start < range.end).map(move |(block, start)| {
            let from = range.start.saturating_sub(start).min(block.len());
            let to = range.end.saturating_sub(start).min(block.len());
            (block, from..to.max(from))
        })
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.inner.walk().map(|(block, _)| block)
    }

    /// Index of the first row without this system flag.
    pub fn first_without(&self, system: u8) -> Option<usize> {
        let first = |(block, start): (&Block, usize)| Some(start + block.system().iter().position(|flags| flags & system == 0)?);
        self.inner.walk().find_map(first)
    }

    /// UIDs of the rows with this system flag.
    pub fn with_flag(&self, system: u8) -> impl Iterator<Item = Uid> + '_ {
        self.blocks().flat_map(move |block| {
            let places = block.system().iter().enumerate().filter(move |(_, flags)| **flags & system != 0);
            places.map(|(at, _)| Uid(block.uid(at)))
        })
    }

    /// Sets of keywords in use, each at least once.
    pub fn keywords(&self) -> impl Iterator<Item = &Arc<[SmolStr]>> {
        self.blocks().flat_map(Block::words)
    }

    /// Puts rows in (ascending), in place of those with the same UID.
    pub fn put(&mut self, rows: &[MessageRow]) {
        let mut rest = rows;
        while let Some((row, _)) = rest.split_first() {
            let inner = Arc::make_mut(&mut self.inner);
            // New ones come behind all others.
            let put = match inner.of_uid(row.uid.0).map(|(place, ..)| place) {
                Some(place) => inner.change(place, |block| block.put(rest)),
                None => match inner.last().filter(|(_, block)| block.has_room()).map(|(place, _)| place) {
                    Some(place) => inner.change(place, |block| (block.extend(rest), None)),
                    None => {
                        let mut block = Block::default();
                        let put = block.extend(rest);
                        inner.push(block);
                        Some(put)
                    }
                },
            };
            rest = rest.get(put.unwrap_or(rest.len()).max(1)..).unwrap_or_default();
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
        let changed = self.inner.mapped(|block| block.reflagged(mod_seq, &mut change))?;
        Ok(changed.map(|blocks| Rows { inner: Arc::new(blocks) }))
    }

    /// The system flags of each.
    pub(crate) fn system_flags(&self) -> impl Iterator<Item = u8> + '_ {
        self.blocks().flat_map(|block| block.system().iter().copied())
    }

    /// Neighbours with the same flags, as their first and last UID.
    pub(crate) fn spans(&self) -> Vec<(Uid, Uid, Flags)> {
        let mut spans: Vec<(Uid, Uid, Flags)> = Vec::new();
        for block in self.blocks() {
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
        let mut rest = uids;
        while let Some(uid) = rest.first() {
            let Some((place, block, _)) = self.inner.of_uid(uid.0) else { break };
            let last = block.last_uid();
            let (gone, later) = rest.split_at(rest.partition_point(|uid| uid.0 <= last));
            // One at least ends here, also of UIDs that do not ascend.
            rest = if gone.is_empty() { rest.get(1..).unwrap_or_default() } else { later };
            let keep: Vec<bool> = (0..block.len()).map(|at| gone.binary_search(&Uid(block.uid(at))).is_err()).collect();
            if keep.contains(&false) {
                Arc::make_mut(&mut self.inner).change(place, |block| (block.retain(&keep), None));
            }
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
            match (old.walk.peek(), new.walk.peek()) {
                (None, None) => return found,
                (Some(before), Some(now)) if old.at == 0 && new.at == 0 && Arc::ptr_eq(before, now) => {
                    let same = old.walk.pass_same(&mut new.walk);
                    let same = same.unwrap_or_else(|| {
                        old.walk.next();
                        new.walk.next().map_or(0, |(block, _)| block.len())
                    });
                    old.index += same;
                    new.index += same;
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
    walk: Walk<'a>,
    /// The row at hand, in the block at hand and in all.
    at: usize,
    index: usize,
}

impl<'a> Cursor<'a> {
    fn of(rows: &'a Rows) -> Cursor<'a> {
        Cursor { walk: rows.inner.walk(), at: 0, index: 0 }
    }

    /// No further than to the end of the block.
    fn step(&mut self, rows: usize) {
        self.at += rows;
        self.index += rows;
        if self.walk.peek().is_none_or(|block| self.at >= block.len()) {
            self.walk.next();
            self.at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::EmailId;
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
                rows.inner.assert_sound();
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
                let asks = |email: EmailId| (email.0 % 3 == 1).then_some(email.0);
                let asked: Vec<_> = model.values().enumerate().filter_map(|(at, row)| Some((at, asks(row.email)?, row.clone()))).collect();
                prop_assert_eq!(rows.sift(asks).collect::<Vec<_>>(), asked);
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
        let (now, before): (Vec<_>, Vec<_>) = (rows.blocks().collect(), held.blocks().collect());
        assert_eq!(now.iter().zip(&before).filter(|(now, before)| !std::ptr::eq(**now, **before)).count(), 2);
        assert_eq!(rows.inner.chunks_apart(&held.inner), 2, "and of the others' chunks nothing");
        assert_eq!((held.len(), held.get(49_999).unwrap().mod_seq), (100_000, ModSeq(1)));
        let told = held.difference(&rows);
        assert_eq!(told, Difference { vanished: Vec::new(), changed: vec![49_999], arrived: vec![100_000] });
    }
}
