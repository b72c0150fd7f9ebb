//! Makes the file of one chunk: of new messages, or of smaller chunks put together.
//!
//! Words come in order and are written as they come, so that memory holds little more than the file. Invariant: what was
//! findable in the parts is findable in the whole. Must not know: accounts, mailboxes.

use super::bits::{Docs, encode};
use super::chunk::{Chunk, HEAD, MAGIC, Part, SECTIONS, VERSION};
use super::columns::ColumnWriter;
use super::dictionary;
use super::lists::ListsWriter;
use super::record::{FIELDS, ORDERS, Record};
use super::terms::{GRAM, Terms, grams};
use std::collections::HashMap;

/// Words of one document only are kept as grams from this length on, octets ...
const LONELY_BYTES_MIN: usize = 8;
/// ... in chunks of at least so many documents: in smaller ones nothing can be told.
const LONELY_DOCS_MIN: usize = if cfg!(test) { 24 } else { 1024 };
/// Words written before it is asked whether to go on.
const WORDS_AT_ONCE: usize = 16;
/// Buckets of grams, in bits.
const BITS: std::ops::RangeInclusive<u32> = 8..=17;

/// A message with its words.
pub(crate) type Fresh = (Record, Terms);

/// Bits of the bucket number when a document has so many grams: about one bucket in ten is its.
fn bits_for(grams: usize, docs: usize) -> u32 {
    let mean = grams / docs.max(1);
    (mean * 10).max(1).ilog2().clamp(*BITS.start(), *BITS.end())
}

/// The words and grams of a chunk on their way to its file.
struct TermsWriter {
    docs: usize,
    words: usize,
    before: Vec<u8>,
    dictionary: Vec<u8>,
    lists: ListsWriter,
    bits: u32,
    buckets: Vec<Vec<u16>>,
}

impl TermsWriter {
    fn new(docs: usize, bits: u32) -> TermsWriter {
        let buckets = vec![Vec::new(); 1 << bits];
        TermsWriter { docs, words: 0, before: Vec::new(), dictionary: Vec::new(), lists: ListsWriter::default(), bits, buckets }
    }

    /// The next word in order, with its documents ascending.
    fn word(&mut self, word: &[u8], docs: &Docs) {
        match docs.docs.as_slice() {
            [] => {}
            [doc] if self.docs >= LONELY_DOCS_MIN && word.len() >= LONELY_BYTES_MIN => {
                grams(word).for_each(|gram| self.gram(gram, *doc));
            }
            _ => {
                dictionary::encode(&self.before, word, &mut self.dictionary);
                self.before = word.to_vec();
                self.words += 1;
                self.lists.push(|out| encode(docs, self.docs, out));
            }
        }
    }

    fn gram(&mut self, gram: u32, doc: u16) {
        if let Some(bucket) = self.buckets.get_mut((gram >> (32 - self.bits)) as usize) {
            bucket.push(doc);
        }
    }

    fn finish(mut self) -> Part<Vec<u8>> {
        for mut docs in std::mem::take(&mut self.buckets) {
            docs.sort_unstable();
            docs.dedup();
            let bucket = Docs { docs, loose: true };
            self.lists.push(|out| match bucket.docs.is_empty() {
                // Nothing at all is told apart from "any of them" by a count of none.
                true => out.push(0),
                false => encode(&bucket, self.docs, out),
            });
        }
        self.lists.flush();
        Part {
            words: self.words,
            bits: self.bits,
            dictionary: self.dictionary,
            directory: self.lists.directory,
            lists: self.lists.octets,
        }
    }
}

/// Asked after each small piece of work, which may take its time to answer. False: it is time to stop.
pub(crate) type GoesOn<'a> = dyn FnMut() -> bool + 'a;

/// The file of a chunk of these messages (ascending by email, each once).
pub(crate) fn of_messages(messages: Vec<Fresh>, goes_on: &mut GoesOn<'_>) -> Vec<u8> {
    let (records, terms): (Vec<Record>, Vec<Terms>) = messages.into_iter().unzip();
    let grams_of_all: usize = terms.iter().map(|terms| terms.grams.len()).sum();
    let mut writer = TermsWriter::new(records.len(), bits_for(grams_of_all, records.len()));
    let mut words: HashMap<Box<[u8]>, Docs> = HashMap::new();
    for (doc, terms) in (0u16..).zip(terms) {
        terms.grams.iter().for_each(|gram| writer.gram(*gram, doc));
        for word in terms.words {
            words.entry(word).or_default().docs.push(doc);
        }
        goes_on();
    }
    let mut words: Vec<(Box<[u8]>, Docs)> = words.into_iter().collect();
    words.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    for some in words.chunks(WORDS_AT_ONCE) {
        some.iter().for_each(|(word, docs)| writer.word(word, docs));
        goes_on();
    }
    file(&records, writer.finish())
}

/// One chunk being put together with others.
struct Source<'a> {
    chunk: &'a Chunk,
    part: super::chunk::Terms<'a>,
    /// Its documents' new numbers; `None`: dropped.
    places: Vec<Option<u16>>,
    /// Its next word.
    at: usize,
}

impl Source<'_> {
    fn word(&self) -> Option<&[u8]> {
        self.part.dictionary.word(self.at)
    }

    /// New numbers of a list's documents.
    fn docs(&mut self, list: usize, out: &mut Docs) -> Option<()> {
        let docs = self.chunk.docs();
        match super::bits::decode(self.part.lists.list(list)?, docs) {
            Some(found) => {
                out.docs.extend(found.docs.iter().filter_map(|doc| *self.places.get(usize::from(*doc))?));
                out.loose = out.loose || found.loose;
            }
            None => {
                out.docs.extend(self.places.iter().flatten());
                out.loose = true;
            }
        }
        Some(())
    }
}

/// The file of these chunks put together, without the messages that are not `alive`. `None`: one cannot be read, or it is
/// time to stop.
pub(crate) fn of_chunks(chunks: &[&Chunk], alive: impl Fn(u64) -> bool, goes_on: &mut GoesOn<'_>) -> Option<Vec<u8>> {
    let mut all: Vec<(Record, usize, usize)> = Vec::new();
    for (source, chunk) in chunks.iter().enumerate() {
        let records = chunk.records()?.into_iter().enumerate();
        all.extend(records.filter(|(_, record)| alive(record.email)).map(|(doc, record)| (record, source, doc)));
    }
    all.sort_by_key(|(record, ..)| record.email);
    all.dedup_by_key(|(record, ..)| record.email);
    let mut places: Vec<Vec<Option<u16>>> = chunks.iter().map(|chunk| vec![None; chunk.docs()]).collect();
    for (place, (_, source, doc)) in (0u16..).zip(&all) {
        *places.get_mut(*source)?.get_mut(*doc)? = Some(place);
    }
    let mut sources = Vec::new();
    for (chunk, places) in chunks.iter().zip(places) {
        sources.push(Source { chunk, part: chunk.terms()?, places, at: 0 });
    }
    let bits = sources.iter().map(|source| source.part.bits).min().unwrap_or(*BITS.start());
    let records: Vec<Record> = all.into_iter().map(|(record, ..)| record).collect();
    let mut writer = TermsWriter::new(records.len(), bits);
    join_words(&mut sources, &mut writer, goes_on)?;
    join_grams(&mut sources, &mut writer, goes_on)?;
    Some(file(&records, writer.finish()))
}

fn join_words(sources: &mut [Source<'_>], writer: &mut TermsWriter, goes_on: &mut GoesOn<'_>) -> Option<()> {
    let mut joined = 0;
    while let Some(word) = sources.iter().filter_map(Source::word).min().map(<[u8]>::to_vec) {
        joined += 1;
        if joined % WORDS_AT_ONCE == 0 && !goes_on() {
            return None;
        }
        let mut docs = Docs::default();
        for source in sources.iter_mut() {
            if source.word() == Some(&word) {
                source.docs(source.at, &mut docs)?;
                source.at += 1;
            }
        }
        docs.docs.sort_unstable();
        docs.docs.dedup();
        writer.word(&word, &docs);
    }
    Some(())
}

fn join_grams(sources: &mut [Source<'_>], writer: &mut TermsWriter, goes_on: &mut GoesOn<'_>) -> Option<()> {
    for source in sources {
        let first = source.part.dictionary.len();
        for bucket in 0..1usize << source.part.bits {
            if !goes_on() {
                return None;
            }
            let mut docs = Docs::default();
            source.docs(first + bucket, &mut docs)?;
            let gram = (bucket as u32) << (32 - source.part.bits);
            docs.docs.iter().for_each(|doc| writer.gram(gram, *doc));
        }
    }
    Some(())
}

/// Everything of a chunk, as its file has it.
fn file(records: &[Record], part: Part<Vec<u8>>) -> Vec<u8> {
    let mut ids = Vec::new();
    let mut numbers = Vec::new();
    let mut fields: [ColumnWriter; FIELDS.len()] = Default::default();
    let mut orders: [ColumnWriter; ORDERS] = Default::default();
    for record in records {
        // The lowest bits: it may have any word; some of its words are those of attachments.
        let bits = u64::from(record.is_mixed) << 1 | u64::from(record.is_wild);
        ids.extend((record.email << 2 | bits).to_le_bytes());
        record.numbers.encode(&mut numbers);
        fields.iter_mut().zip(&record.fields).for_each(|(column, text)| column.push(text.as_deref()));
        orders.iter_mut().zip(&record.orders).for_each(|(column, text)| column.push(text.as_deref()));
    }
    let (mut searched, mut sorted) = (Vec::new(), Vec::new());
    fields.iter().for_each(|column| column.encode(&mut searched));
    orders.iter().for_each(|column| column.encode(&mut sorted));
    let sections: [Vec<u8>; SECTIONS] = [ids, searched, numbers, sorted, part.dictionary, part.directory, part.lists];
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(MAGIC);
    head.extend(VERSION.to_le_bytes());
    for number in [records.len(), part.words, part.bits as usize] {
        head.extend((number as u32).to_le_bytes());
    }
    for section in &sections {
        head.extend((section.len() as u64).to_le_bytes());
        head.extend(store::checksum(section).to_le_bytes());
    }
    head.resize(HEAD - 8, 0);
    head.extend(store::checksum(&head).to_le_bytes());
    sections.iter().for_each(|section| head.extend_from_slice(section));
    head
}

const _: () = assert!(GRAM == 3);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::Leaf;
    use message::Facts;
    use message::search::Needle;

    fn chunk(folder: &std::path::Path, name: &str, octets: &[u8]) -> Chunk {
        let path = folder.join(name);
        std::fs::write(&path, octets).unwrap();
        Chunk::open(&path).unwrap()
    }

    fn fresh(email: u64, text: &str) -> Fresh {
        let octets = format!("Subject: x\r\n\r\n{text}\r\n");
        let mut terms = Terms::default();
        (Record::of(email, octets.as_bytes(), &Facts::compute(octets.as_bytes()), &mut terms), terms)
    }

    /// A word of nearly all is kept as a word of all: what is made of that says "may", never "does".
    #[test]
    fn what_was_once_any_of_them_is_never_sure_again() {
        let folder = tempfile::tempdir().unwrap();
        let half = (0..40).map(|n| fresh(n, if n % 2 == 0 { "common" } else { "other" })).collect();
        let none = (40..140).map(|n| fresh(n, if n == 99 { "commons" } else { "other" })).collect();
        let half = chunk(folder.path(), "1.idx", &of_messages(half, &mut || true));
        let none = chunk(folder.path(), "2.idx", &of_messages(none, &mut || true));
        let both = of_chunks(&[&half, &none], |_| true, &mut || true).unwrap();
        let verdict = chunk(folder.path(), "3.idx", &both).judge(&Leaf::Text(Needle::new("common"))).unwrap();
        let of = |bits: &super::super::bits::Bits| (0..140).filter(|doc| bits.get(*doc)).collect::<Vec<_>>();
        assert_eq!(of(&verdict.does), [99]);
        assert_eq!(of(&verdict.may), (0..40).chain([99]).collect::<Vec<_>>());
    }
}
