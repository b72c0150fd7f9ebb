//! Lists of documents in a file, one behind the other in checked blocks: of each word, then of each bucket of grams.
//!
//! Invariant: a block whose checksum is wrong gives no list. Must not know: words.

use super::bits::{number, push_number, take};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Lists in a block.
const BLOCK_LISTS: usize = 64;
/// Octets of a block's entry in the directory: its length and its checksum.
const ENTRY: usize = 12;

/// Puts lists one behind the other.
#[derive(Debug, Default)]
pub(crate) struct ListsWriter {
    pub(crate) octets: Vec<u8>,
    pub(crate) directory: Vec<u8>,
    lens: Vec<u8>,
    lists: Vec<u8>,
    count: usize,
}

impl ListsWriter {
    /// The next list, as `encode` writes it.
    pub(crate) fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.lists.len();
        encode(&mut self.lists);
        push_number((self.lists.len() - before) as u64, &mut self.lens);
        self.count += 1;
        if self.count == BLOCK_LISTS {
            self.flush();
        }
    }

    /// After the last one.
    pub(crate) fn flush(&mut self) {
        if self.count == 0 {
            return;
        }
        let from = self.octets.len();
        self.octets.append(&mut self.lens);
        self.octets.append(&mut self.lists);
        let block = self.octets.get(from..).unwrap_or_default();
        self.directory.extend((block.len() as u32).to_le_bytes());
        self.directory.extend(store::checksum(block).to_le_bytes());
        self.count = 0;
    }
}

/// Where the blocks lie.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Where each ends, and its checksum.
    blocks: Vec<(u64, u64)>,
}

impl Directory {
    pub(crate) fn decode(octets: &[u8]) -> Directory {
        let mut end = 0;
        let entries = octets.as_chunks::<ENTRY>().0.iter();
        let blocks = entries.map(|entry| {
            let (len, sum) = entry.split_at(4);
            end += u64::from(u32::from_le_bytes(len.try_into().unwrap_or_default()));
            (end, u64::from_le_bytes(sum.try_into().unwrap_or_default()))
        });
        Directory { blocks: blocks.collect() }
    }

    fn place(&self, block: usize) -> Option<(Range<u64>, u64)> {
        let (end, sum) = *self.blocks.get(block)?;
        let start = block.checked_sub(1).and_then(|before| self.blocks.get(before)).map_or(0, |(end, _)| *end);
        Some((start..end, sum))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.blocks.len() * 16
    }
}

/// Reads lists; the last block is kept at hand.
pub(crate) struct Lists<'a> {
    pub(crate) file: &'a File,
    /// Where the first block begins in the file.
    pub(crate) offset: u64,
    pub(crate) directory: Arc<Directory>,
    at_hand: Option<(usize, Vec<u8>)>,
}

impl<'a> Lists<'a> {
    pub(crate) fn new(file: &'a File, offset: u64, directory: Arc<Directory>) -> Lists<'a> {
        Lists { file, offset, directory, at_hand: None }
    }

    /// The list of that number; `None`: it cannot be read.
    pub(crate) fn list(&mut self, number_of_list: usize) -> Option<&[u8]> {
        let block = number_of_list / BLOCK_LISTS;
        if self.at_hand.as_ref().is_none_or(|(known, _)| *known != block) {
            self.at_hand = Some((block, self.read(block)?));
        }
        let (_, octets) = self.at_hand.as_ref()?;
        let (lens, lists) = octets.split_at_checked(self.lens_len(octets, block)?)?;
        let mut lens = lens;
        let mut start = 0usize;
        for _ in 0..number_of_list % BLOCK_LISTS {
            start = start.checked_add(usize::try_from(number(&mut lens)?).ok()?)?;
        }
        let len = usize::try_from(number(&mut lens)?).ok()?;
        take(&mut lists.get(start..)?, len)
    }

    /// Octets of the lengths in front: as many numbers as make up the rest.
    fn lens_len(&self, octets: &[u8], block: usize) -> Option<usize> {
        let mut rest = octets;
        let (mut sum, mut count) = (0usize, 0usize);
        let is_last = block + 1 == self.directory.blocks.len();
        while count < BLOCK_LISTS && !(is_last && sum == rest.len() && count > 0) {
            sum = sum.checked_add(usize::try_from(number(&mut rest)?).ok()?)?;
            count += 1;
        }
        Some(octets.len() - rest.len())
    }

    fn read(&self, block: usize) -> Option<Vec<u8>> {
        let (place, sum) = self.directory.place(block)?;
        let mut octets = vec![0; usize::try_from(place.end - place.start).ok()?];
        self.file.read_exact_at(&mut octets, self.offset + place.start).ok()?;
        (store::checksum(&octets) == sum).then_some(octets)
    }
}
