//! The blocks of a mailbox's rows, shared, in two levels: handles of chunks, and in each chunk handles of some blocks.
//!
//! An act writes anew the block it touches, the handles of its chunk and those of all chunks: of a mailbox of 100,000 some
//! thirty, not two hundred. Where rows begin and which UID they end with stands beside each handle, so that who looks for one
//! looks into no other block: they lie far apart in memory. Invariant: ascending by UID; no block and no chunk is empty; what
//! stands beside a handle is what is in it. Must not know: what rows say.

use crate::block::Block;
use std::sync::Arc;

/// Blocks of a full chunk.
const CHUNK_BLOCKS: usize = 16;

/// What holds rows ascending by UID.
pub(crate) trait Ascending {
    fn rows(&self) -> usize;
    fn last_uid(&self) -> u32;
}

/// A handle, and what stands beside it.
#[derive(Debug)]
struct Held<T> {
    it: Arc<T>,
    /// Rows before it in its list.
    start: usize,
    last_uid: u32,
}

// Not derived: handles are cloned, not what they hold.
impl<T> Clone for Held<T> {
    fn clone(&self) -> Held<T> {
        Held { it: self.it.clone(), start: self.start, last_uid: self.last_uid }
    }
}

/// One behind the other.
#[derive(Debug)]
struct List<T> {
    all: Vec<Held<T>>,
    rows: usize,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> List<T> {
        List { all: self.all.clone(), rows: self.rows }
    }
}

impl<T> Default for List<T> {
    fn default() -> List<T> {
        List { all: Vec::new(), rows: 0 }
    }
}

impl<T> Ascending for List<T> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn last_uid(&self) -> u32 {
        self.all.last().map_or(0, |held| held.last_uid)
    }
}

impl<T: Ascending> List<T> {
    /// The first that ends with this UID or a later one.
    fn of_uid(&self, uid: u32) -> Option<(usize, &Held<T>)> {
        let number = self.all.partition_point(|held| held.last_uid < uid);
        self.all.get(number).map(|held| (number, held))
    }

    /// The one that has the row at `index`.
    fn of_index(&self, index: usize) -> Option<(usize, &Held<T>)> {
        let number = self.all.partition_point(|held| held.start <= index).checked_sub(1)?;
        self.all.get(number).filter(|_| index < self.rows).map(|held| (number, held))
    }

    fn push(&mut self, it: T) {
        let (start, last_uid) = (self.rows, it.last_uid());
        self.rows += it.rows();
        self.all.push(Held { it: Arc::new(it), start, last_uid });
    }

    /// What stands at `number` may have other rows now (with none it goes), and `behind` comes in behind it.
    fn settle(&mut self, number: usize, behind: Option<T>) {
        let next = self.all.get(number + 1).map_or(self.rows, |held| held.start);
        let Some(held) = self.all.get_mut(number) else { return };
        let (start, now) = (held.start, held.it.rows());
        held.last_uid = held.it.last_uid();
        let (before, mut after, mut later) = (next - start, now, number + 1);
        if let Some(it) = behind {
            let last_uid = it.last_uid();
            after += it.rows();
            self.all.insert(later, Held { it: Arc::new(it), start: start + now, last_uid });
            later += 1;
        }
        if after != before {
            self.all.iter_mut().skip(later).for_each(|held| held.start = held.start + after - before);
            self.rows = self.rows + after - before;
        }
        if now == 0 {
            self.all.remove(number);
        }
    }

    /// The second half, when there are more than `most`.
    fn split(&mut self, most: usize) -> Option<List<T>> {
        if self.all.len() <= most {
            return None;
        }
        let mut all = self.all.split_off(self.all.len() / 2);
        let start = all.first().map_or(self.rows, |held| held.start);
        all.iter_mut().for_each(|held| held.start -= start);
        let rows = std::mem::replace(&mut self.rows, start) - start;
        Some(List { all, rows })
    }

    /// Of the same rows, others in place of each.
    fn mapped<E>(&self, mut map: impl FnMut(&T) -> Result<Option<T>, E>) -> Result<Option<List<T>>, E> {
        let mut all = Vec::with_capacity(self.all.len());
        for Held { it, start, last_uid } in &self.all {
            let Some(it) = map(it)? else { return Ok(None) };
            all.push(Held { it: Arc::new(it), start: *start, last_uid: *last_uid });
        }
        Ok(Some(List { all, rows: self.rows }))
    }
}

/// Where a block stands: its chunk, and its place there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(usize, usize);

#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    chunks: List<List<Block>>,
}

impl Blocks {
    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.chunks.rows
    }

    /// The block that has the row at `index`, and the index of its first.
    pub(crate) fn of_index(&self, index: usize) -> Option<(&Block, usize)> {
        let (_, chunk) = self.chunks.of_index(index)?;
        let (_, block) = chunk.it.of_index(index - chunk.start)?;
        Some((&block.it, chunk.start + block.start))
    }

    /// The first block that ends with this UID or a later one, and the index of its first row.
    pub(crate) fn of_uid(&self, uid: u32) -> Option<(Place, &Block, usize)> {
        let (number, chunk) = self.chunks.of_uid(uid)?;
        let (place, block) = chunk.it.of_uid(uid)?;
        Some((Place(number, place), &block.it, chunk.start + block.start))
    }

    /// The last block.
    pub(crate) fn last(&self) -> Option<(Place, &Block)> {
        let (chunk, number) = (self.chunks.all.last()?, self.chunks.all.len() - 1);
        let (block, place) = (chunk.it.all.last()?, chunk.it.all.len() - 1);
        Some((Place(number, place), &block.it))
    }

    /// From the block that has the row at `index` on.
    pub(crate) fn walk_from(&self, index: usize) -> Walk<'_> {
        let Some((number, chunk)) = self.chunks.of_index(index) else { return Walk::default() };
        let place = chunk.it.of_index(index - chunk.start).map_or(0, |(place, _)| place);
        let blocks = chunk.it.all.get(place..).unwrap_or_default();
        let later = self.chunks.all.get(number + 1..).unwrap_or_default();
        Walk { whole: (place == 0).then_some(chunk), blocks, start: chunk.start, later }
    }

    /// All.
    pub(crate) fn walk(&self) -> Walk<'_> {
        self.walk_from(0)
    }

    /// Changes a block, which may hand out its second half.
    pub(crate) fn change<R>(
        &mut self,
        Place(number, place): Place,
        change: impl FnOnce(&mut Block) -> (R, Option<Block>),
    ) -> Option<R> {
        let chunk = Arc::make_mut(&mut self.chunks.all.get_mut(number)?.it);
        let (answer, behind) = change(Arc::make_mut(&mut chunk.all.get_mut(place)?.it));
        chunk.settle(place, behind);
        let half = chunk.split(CHUNK_BLOCKS);
        self.chunks.settle(number, half);
        Some(answer)
    }

    /// Behind all others.
    pub(crate) fn push(&mut self, block: Block) {
        let number = self.chunks.all.len().saturating_sub(1);
        match self.chunks.all.get_mut(number).filter(|chunk| chunk.it.all.len() < CHUNK_BLOCKS) {
            Some(chunk) => {
                Arc::make_mut(&mut chunk.it).push(block);
                self.chunks.settle(number, None);
            }
            None => {
                let mut chunk = List::default();
                chunk.push(block);
                self.chunks.push(chunk);
            }
        }
    }

    /// What stands beside each handle is what is in it.
    #[cfg(test)]
    pub(crate) fn assert_sound(&self) {
        let (mut rows, mut last) = (0, 0);
        for chunk in &self.chunks.all {
            assert_eq!((chunk.start, chunk.last_uid), (rows, chunk.it.last_uid()));
            assert!((1..=CHUNK_BLOCKS).contains(&chunk.it.all.len()));
            for block in &chunk.it.all {
                assert_eq!((chunk.start + block.start, block.last_uid), (rows, block.it.last_uid()));
                assert!(block.it.rows() > 0 && block.last_uid > last);
                (rows, last) = (rows + block.it.rows(), block.last_uid);
            }
            assert_eq!(chunk.start + chunk.it.rows, rows);
        }
        assert_eq!(self.chunks.rows, rows);
    }

    /// How many of its chunks the other does not share.
    #[cfg(test)]
    pub(crate) fn chunks_apart(&self, other: &Blocks) -> usize {
        let shared = |chunk: &&Held<List<Block>>| other.chunks.all.iter().any(|there| Arc::ptr_eq(&there.it, &chunk.it));
        self.chunks.all.len() - self.chunks.all.iter().filter(shared).count()
    }

    /// Of the same UIDs, another block in place of each; `None` when there is none for one of them.
    pub(crate) fn mapped<E>(&self, mut map: impl FnMut(&Block) -> Result<Option<Block>, E>) -> Result<Option<Blocks>, E> {
        let chunks = self.chunks.mapped(|chunk| chunk.mapped(&mut map))?;
        Ok(chunks.map(|chunks| Blocks { chunks }))
    }
}

/// A walk over blocks, each with the index of its first row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walk<'a> {
    /// The chunk that `blocks` are of, when they are all of it.
    whole: Option<&'a Held<List<Block>>>,
    blocks: &'a [Held<Block>],
    start: usize,
    later: &'a [Held<List<Block>>],
}

impl<'a> Walk<'a> {
    /// The block that [`Iterator::next`] will give.
    pub(crate) fn peek(&self) -> Option<&'a Arc<Block>> {
        self.blocks.first().map(|held| &held.it)
    }

    /// Passes over the chunk that both walks stand before, if it is the same: how many rows it has.
    pub(crate) fn pass_same(&mut self, other: &mut Walk<'a>) -> Option<usize> {
        let chunk = self.whole?;
        if !Arc::ptr_eq(&chunk.it, &other.whole?.it) {
            return None;
        }
        self.enter();
        other.enter();
        Some(chunk.it.rows)
    }

    /// On to the next chunk.
    fn enter(&mut self) {
        let (chunk, later) = match self.later.split_first() {
            Some((chunk, later)) => (Some(chunk), later),
            None => (None, self.later),
        };
        self.whole = chunk;
        self.blocks = chunk.map_or(&[], |chunk| &chunk.it.all);
        self.start = chunk.map_or(0, |chunk| chunk.start);
        self.later = later;
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (&'a Block, usize);

    fn next(&mut self) -> Option<(&'a Block, usize)> {
        let (held, rest) = self.blocks.split_first()?;
        let found = (&*held.it, self.start + held.start);
        (self.whole, self.blocks) = (None, rest);
        if rest.is_empty() {
            self.enter();
        }
        Some(found)
    }
}
