//! One file of an index: what is known of up to some thousand messages, never changed once written.
//!
//! A head, then sections, each with its checksum: ids, searched fields, numbers, sort keys, words, the directory of the lists, the
//! lists. Invariant: a section whose checksum is wrong is never used; who cannot be told reads the messages. Must not know: accounts.

use super::bits::{Bits, decode};
use super::columns::Column;
use super::dictionary::Dictionary;
use super::lists::{Directory, Lists};
use super::record::{FIELDS, Numbers, ORDERS, Record, UNKNOWN, place_of};
use super::terms::{Pieces, Place, grams};
use crate::plan::Leaf;
use message::search::{Needle, fold};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const MAGIC: &[u8; 8] = b"PBIDX\x01\r\n";
/// Of the format, and of the facts it was made of.
pub(crate) const VERSION: u32 = 4 << 8 | message::facts::FACTS_VERSION as u32;
/// Octets of the head.
pub(crate) const HEAD: usize = 160;
pub(crate) const SECTIONS: usize = 7;

const IDS: usize = 0;
const SEARCHED: usize = 1;
const NUMBERS: usize = 2;
const SORTED: usize = 3;
const DICTIONARY: usize = 4;
const DIRECTORY: usize = 5;
const LISTS: usize = 6;

/// The words of a chunk, in octets.
pub(crate) struct Part<T> {
    pub(crate) words: usize,
    pub(crate) bits: u32,
    pub(crate) dictionary: T,
    pub(crate) directory: T,
    pub(crate) lists: T,
}

#[derive(Debug, Clone, Copy, Default)]
struct Section {
    offset: u64,
    len: u64,
    sum: u64,
}

/// A chunk, open.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) path: PathBuf,
    /// Octets of the file.
    pub(crate) size: u64,
    file: File,
    words: usize,
    bits: u32,
    sections: [Section; SECTIONS],
    /// Email ids, ascending, each four times, plus one when it may have any word, plus two when some stand in attachments only.
    ids: Vec<u64>,
    wild: Bits,
    mixed: Bits,
    searched: Loaded<[Column; FIELDS.len()]>,
    dictionary: Loaded<(Arc<Dictionary>, Arc<Directory>)>,
}

/// Read when first asked for; let go of when memory is short. `None` inside: it cannot be read.
#[derive(Debug)]
struct Loaded<T>(std::sync::Mutex<Option<Arc<T>>>);

impl<T> Default for Loaded<T> {
    fn default() -> Self {
        Loaded(std::sync::Mutex::new(None))
    }
}

impl<T> Loaded<T> {
    fn get(&self, load: impl FnOnce() -> Option<T>) -> Option<Arc<T>> {
        let mut slot = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if slot.is_none() {
            *slot = load().map(Arc::new);
        }
        slot.clone()
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    fn bytes(&self, of: impl FnOnce(&T) -> usize) -> usize {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_deref().map_or(0, of)
    }
}

/// Words and lists, ready to be looked through.
pub(crate) struct Terms<'a> {
    pub(crate) dictionary: Arc<Dictionary>,
    pub(crate) bits: u32,
    pub(crate) lists: Lists<'a>,
}

/// What an index says of the documents of a chunk: those that may match, and those among them that surely do.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) may: Bits,
    pub(crate) does: Bits,
}

/// Keys that messages are sorted and threaded by.
pub(crate) struct Sorted {
    pub(crate) numbers: Vec<Numbers>,
    pub(crate) orders: [Column; ORDERS],
}

impl Chunk {
    /// Opens the file and proves its head and ids. `None`: it is none of ours, or damaged.
    pub(crate) fn open(path: &Path) -> Option<Chunk> {
        let file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let mut head = [0u8; HEAD];
        file.read_exact_at(&mut head, 0).ok()?;
        let (head, sum) = head.split_at(HEAD - 8);
        if !head.starts_with(MAGIC) || u64::from_le_bytes(sum.try_into().ok()?) != store::checksum(head) {
            return None;
        }
        let numbers: Vec<u32> = head.get(8..24)?.as_chunks::<4>().0.iter().map(|octets| u32::from_le_bytes(*octets)).collect();
        let [version, docs, words, bits] = numbers[..] else { return None };
        let mut sections = [Section::default(); SECTIONS];
        let mut offset = HEAD as u64;
        let places = head.get(24..)?.as_chunks::<16>().0;
        for (section, place) in sections.iter_mut().zip(places) {
            let (len, sum) = place.split_at(8);
            *section =
                Section { offset, len: u64::from_le_bytes(len.try_into().ok()?), sum: u64::from_le_bytes(sum.try_into().ok()?) };
            offset = offset.checked_add(section.len)?;
        }
        if version != VERSION || offset != size || !(1..=32).contains(&bits) || docs > u32::from(u16::MAX) {
            return None;
        }
        let mut chunk = Chunk {
            path: path.to_owned(),
            size,
            file,
            words: words as usize,
            bits,
            sections,
            ids: Vec::new(),
            wild: Bits::none(docs as usize),
            mixed: Bits::none(docs as usize),
            searched: Loaded::default(),
            dictionary: Loaded::default(),
        };
        chunk.ids = chunk.section(IDS)?.as_chunks::<8>().0.iter().map(|octets| u64::from_le_bytes(*octets)).collect();
        for (doc, id) in chunk.ids.iter().enumerate() {
            let bits = [(1, &mut chunk.wild), (2, &mut chunk.mixed)];
            bits.into_iter().filter(|(bit, _)| id & bit != 0).for_each(|(_, documents)| documents.set(doc));
        }
        (chunk.ids.len() == docs as usize).then_some(chunk)
    }

    fn section(&self, number: usize) -> Option<Vec<u8>> {
        let section = self.sections.get(number)?;
        let mut octets = vec![0; usize::try_from(section.len).ok()?];
        self.file.read_exact_at(&mut octets, section.offset).ok()?;
        (store::checksum(&octets) == section.sum).then_some(octets)
    }

    pub(crate) fn docs(&self) -> usize {
        self.ids.len()
    }

    /// The email of a document.
    pub(crate) fn email(&self, doc: usize) -> Option<u64> {
        self.ids.get(doc).map(|id| id >> 2)
    }

    /// The document of an email; `near` is where it may well be.
    pub(crate) fn doc(&self, email: u64, near: usize) -> Option<usize> {
        if self.email(near) == Some(email) {
            return Some(near);
        }
        self.ids.binary_search_by_key(&email, |id| id >> 2).ok()
    }

    pub(crate) fn range(&self) -> Option<(u64, u64)> {
        Some((self.ids.first()? >> 2, self.ids.last()? >> 2))
    }

    fn searched(&self) -> Option<Arc<[Column; FIELDS.len()]>> {
        self.searched.get(|| {
            let octets = self.section(SEARCHED)?;
            let mut rest = &octets[..];
            columns(&mut rest, self.docs())
        })
    }

    /// Words and lists.
    pub(crate) fn terms(&self) -> Option<Terms<'_>> {
        let loaded = self.dictionary.get(|| {
            let dictionary = Dictionary::decode(&self.section(DICTIONARY)?, self.words)?;
            Some((Arc::new(dictionary), Arc::new(Directory::decode(&self.section(DIRECTORY)?))))
        })?;
        let offset = self.sections.get(LISTS)?.offset;
        let lists = Lists::new(&self.file, offset, Arc::clone(&loaded.1));
        Some(Terms { dictionary: Arc::clone(&loaded.0), bits: self.bits, lists })
    }

    pub(crate) fn numbers(&self) -> Option<Vec<Numbers>> {
        let octets = self.section(NUMBERS)?;
        let mut rest = &octets[..];
        (0..self.docs()).map(|_| Numbers::decode(&mut rest)).collect()
    }

    pub(crate) fn sorted(&self) -> Option<Sorted> {
        let octets = self.section(SORTED)?;
        let mut rest = &octets[..];
        Some(Sorted { numbers: self.numbers()?, orders: columns(&mut rest, self.docs())? })
    }

    /// Everything but the words.
    pub(crate) fn records(&self) -> Option<Vec<Record>> {
        let (searched, sorted) = (self.searched()?, self.sorted()?);
        let text = |column: &Column, doc: usize| column.of_doc(doc).map(Into::into);
        let record = |(doc, numbers): (usize, Numbers)| {
            Some(Record {
                email: self.email(doc)?,
                is_wild: self.wild.get(doc),
                is_mixed: self.mixed.get(doc),
                fields: std::array::from_fn(|n| searched.get(n).and_then(|column| text(column, doc))),
                numbers,
                orders: std::array::from_fn(|n| sorted.orders.get(n).and_then(|column| text(column, doc))),
            })
        };
        sorted.numbers.into_iter().enumerate().map(record).collect()
    }

    /// Octets it holds in memory beyond its ids.
    pub(crate) fn bytes(&self) -> usize {
        self.searched.bytes(|columns| columns.iter().map(Column::bytes).sum())
            + self.dictionary.bytes(|(dictionary, directory)| dictionary.bytes() + directory.bytes())
    }

    /// Lets go of them.
    pub(crate) fn forget(&self) {
        self.searched.forget();
        self.dictionary.forget();
    }

    /// What is known of each document. `None`: the file is damaged.
    pub(crate) fn judge(&self, leaf: &Leaf) -> Option<Verdict> {
        match leaf {
            Leaf::Header(name, needle) => match place_of(name, needle) {
                Some(at) => self.judge_field(at, needle),
                None => self.judge_header(name, needle.text()),
            },
            Leaf::TextOrAttachment(needle) => self.judge_text(needle.text()),
            // Where some words are those of an attachment only, any may be.
            Leaf::Text(needle) => self.judge_text(needle.text()).map(|mut verdict| {
                verdict.does.drop_all(&self.mixed);
                verdict
            }),
            // A word's list does not say in which text the word stands.
            Leaf::Body(needle) | Leaf::Attachment(needle) | Leaf::BodyOrAttachment(needle) => {
                self.judge_text(needle.text()).map(|verdict| Verdict { does: Bits::none(self.docs()), ..verdict })
            }
            // Names are among the texts of attachments. Of which file, and whether it is a name at all, the facts tell.
            Leaf::FileName(needles) => {
                let mut verdict = Verdict { may: Bits::all(self.docs()), does: Bits::none(self.docs()) };
                for needle in needles {
                    verdict.may.keep(&self.judge_text(needle.text())?.may);
                }
                Some(verdict)
            }
            Leaf::Sent(days) => self.judge_numbers(|known| known.date_days.is_some_and(|day| days.contains(&day))),
            Leaf::HasAttachment => self.judge_numbers(|known| known.has_attachment),
        }
    }

    fn judge_field(&self, at: usize, needle: &Needle) -> Option<Verdict> {
        let columns = self.searched()?;
        let column = columns.get(at)?;
        let mut does = column.docs_with(needle.text().len(), |octets| needle.place_in_folded(octets));
        let mut may = column.docs_with(UNKNOWN.len(), |octets| memchr::memmem::find(octets, UNKNOWN));
        does.drop_all(&may);
        may.add(&does);
        Some(Verdict { may, does })
    }

    fn judge_numbers(&self, holds: impl Fn(&Numbers) -> bool) -> Option<Verdict> {
        let mut verdict = Verdict { may: Bits::none(self.docs()), does: Bits::none(self.docs()) };
        for (doc, numbers) in self.numbers()?.iter().enumerate() {
            let holds = holds(numbers);
            if holds && numbers.is_known {
                verdict.does.set(doc);
            }
            if holds || !numbers.is_known {
                verdict.may.set(doc);
            }
        }
        Some(verdict)
    }

    /// A field that has no column of its own: its name and the needle stand in some header.
    fn judge_header(&self, name: &str, needle: &str) -> Option<Verdict> {
        let mut verdict = self.judge_text(needle)?;
        verdict.does = Bits::none(self.docs());
        if name.is_ascii() {
            verdict.may.keep(&self.judge_text(&fold(&format!("{name}:")))?.may);
        }
        Some(verdict)
    }

    /// Of all texts, also those of attachments. A needle within a word stands in every message with that word.
    fn judge_text(&self, needle: &str) -> Option<Verdict> {
        let mut verdict = Verdict { may: Bits::all(self.docs()), does: Bits::none(self.docs()) };
        let mut terms = self.terms()?;
        for (place, piece) in Pieces::of(needle).0 {
            let found = terms.find(place, &piece, self.docs())?;
            verdict.may.keep(&found.may);
            if place == Place::Within {
                verdict.does = found.does;
            }
        }
        verdict.may.add(&self.wild);
        Some(verdict)
    }
}

impl Terms<'_> {
    /// Documents that have the piece in a word (they do), or all its grams in what was no word (they may).
    fn find(&mut self, place: Place, piece: &[u8], docs: usize) -> Option<Verdict> {
        let mut found = Verdict { may: Bits::all(docs), does: Bits::none(docs) };
        let words = self.dictionary.len();
        for gram in grams(piece) {
            let list = self.docs(words + (gram >> (32 - self.bits)) as usize, docs)?;
            found.may.keep(&list);
        }
        for word in self.dictionary.find(place, piece) {
            match decode(self.lists.list(word)?, docs) {
                Some(list) => {
                    let does = if list.loose { &mut found.may } else { &mut found.does };
                    list.docs.iter().for_each(|doc| does.set(usize::from(*doc)));
                }
                None => found.may = Bits::all(docs),
            }
        }
        found.may.add(&found.does);
        Some(found)
    }

    fn docs(&mut self, list: usize, docs: usize) -> Option<Bits> {
        let Some(found) = decode(self.lists.list(list)?, docs) else { return Some(Bits::all(docs)) };
        let mut bits = Bits::none(docs);
        found.docs.iter().for_each(|doc| bits.set(usize::from(*doc)));
        Some(bits)
    }
}

fn columns<const COUNT: usize>(rest: &mut &[u8], docs: usize) -> Option<[Column; COUNT]> {
    let mut columns: [Column; COUNT] = std::array::from_fn(|_| Column::default());
    for slot in &mut columns {
        *slot = Column::decode(rest, docs)?;
    }
    Some(columns)
}
