//! The words of PDF documents (ISO 32000-1): what their pages show, through the fonts' own tables, and their titles.
//!
//! Ours, because no crate bounds what a document may cost: every octet unpacked and every step counts against one [`Budget`], and
//! when it is used up, what was read so far is the answer. Objects are found by looking for them, so a document whose
//! table of contents is broken is read too. Not read: encrypted documents, pictures of text, LZW. Must not know: messages, indexes.

mod content;
mod filter;
mod font;
mod glyph;
mod object;

use crate::limits::{PDF_BYTES_UNPACKED_MAX, PDF_OBJECTS_MAX, PDF_PAGES_MAX, PDF_STEPS_MAX};
use font::Font;
use object::{Object, Reader};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is left to be spent on one document.
#[derive(Debug)]
struct Budget {
    /// Objects, operators, characters.
    steps: u64,
    /// Octets that come out of filters.
    unpacked: usize,
    /// Octets of text.
    text: usize,
}

impl Budget {
    /// `None` when there is nothing left.
    fn step(&mut self) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        Some(())
    }

    /// So many were walked over.
    fn octets(&mut self, walked: usize) -> Option<()> {
        self.steps = self.steps.checked_sub(walked as u64 / 64)?;
        Some(())
    }

    /// So much text more.
    fn write(&mut self, text: &str, to: &mut String) -> Option<()> {
        self.text = self.text.checked_sub(text.len())?;
        to.push_str(text);
        Some(())
    }
}

/// Where an object stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Behind its `n g obj` in the file.
    File(usize),
    /// In this unpacked object stream, there.
    Packed(usize, usize),
}

/// A document, as far as it is looked at.
struct Document<'a> {
    octets: &'a [u8],
    packed: Vec<Vec<u8>>,
    places: BTreeMap<u32, Place>,
    fonts: BTreeMap<u32, Rc<Font>>,
    budget: Budget,
}

/// The text of each page, as far as `text_bytes_max` goes; nothing of what is no PDF.
pub(crate) fn texts_of(octets: &[u8], text_bytes_max: usize) -> Vec<String> {
    let head = octets.get(..1024).unwrap_or(octets);
    if memchr::memmem::find(head, b"%PDF-").is_none() {
        return Vec::new();
    }
    let budget = Budget { steps: PDF_STEPS_MAX, unpacked: PDF_BYTES_UNPACKED_MAX, text: text_bytes_max };
    let mut document = Document { octets, packed: Vec::new(), places: BTreeMap::new(), fonts: BTreeMap::new(), budget };
    let mut texts = Vec::new();
    // What was read before the budget ended is read.
    let _ = document.read(&mut texts);
    texts
}

impl<'a> Document<'a> {
    fn read(&mut self, texts: &mut Vec<String>) -> Option<()> {
        self.find_objects()?;
        if memchr::memmem::rfind(self.octets, b"/Encrypt").is_some() {
            return None;
        }
        self.find_packed()?;
        self.titles(texts);
        let numbers: Vec<u32> = self.places.keys().copied().collect();
        let mut pages = 0;
        for number in numbers {
            self.budget.step()?;
            let Some(page) = self.object(number).filter(|object| object.get("Type").is_some_and(|kind| kind.is_name("Page")))
            else {
                continue;
            };
            let mut text = String::new();
            let done = self.page(&page, &mut text);
            let text = text.trim();
            if !text.is_empty() {
                texts.push(text.to_owned());
            }
            done?;
            pages += 1;
            if pages >= PDF_PAGES_MAX {
                break;
            }
        }
        Some(())
    }

    /// Every `n g obj`; of a number that comes twice the last counts (incremental updates).
    fn find_objects(&mut self) -> Option<()> {
        for at in memchr::memmem::find_iter(self.octets, b" obj") {
            self.budget.step()?;
            if self.places.len() >= PDF_OBJECTS_MAX {
                break;
            }
            let before = self.octets.get(at.saturating_sub(24)..at)?;
            if let Some(number) = number_before(before) {
                self.places.insert(number, Place::File(at + 4));
            }
        }
        Some(())
    }

    /// Objects within object streams (PDF 1.5).
    fn find_packed(&mut self) -> Option<()> {
        let holders: Vec<usize> = memchr::memmem::find_iter(self.octets, b"/ObjStm").collect();
        let in_file = |place: &Place| if let Place::File(at) = place { Some(*at) } else { None };
        let mut starts: Vec<usize> = self.places.values().filter_map(in_file).collect();
        starts.sort_unstable();
        for holder in holders {
            self.budget.step()?;
            // The object it stands in.
            let Some(start) = starts.partition_point(|start| *start <= holder).checked_sub(1).and_then(|at| starts.get(at))
            else {
                continue;
            };
            let Some(object) = self.read_at(Place::File(*start)) else { continue };
            if object.get("Type").is_some_and(|kind| kind.is_name("ObjStm")) {
                let octets = self.unpacked(&object)?;
                self.note_packed(&object, octets)?;
            }
        }
        Some(())
    }

    fn note_packed(&mut self, holder: &Object, octets: Vec<u8>) -> Option<()> {
        let (Some(first), Some(count)) = (holder.get("First").and_then(Object::index), holder.get("N").and_then(Object::index))
        else {
            return Some(());
        };
        let index = self.packed.len();
        let mut reader = Reader::new(&octets);
        let mut found = Vec::new();
        for _ in 0..count.min(PDF_OBJECTS_MAX) {
            self.budget.step()?;
            let both = (reader.object(&mut self.budget), reader.object(&mut self.budget));
            let (Some(number), Some(at)) = (both.0.as_ref().and_then(Object::index), both.1.as_ref().and_then(Object::index))
            else {
                break;
            };
            let (Ok(number), Some(at)) = (u32::try_from(number), first.checked_add(at)) else { break };
            found.push((number, at));
        }
        for (number, at) in found {
            if self.places.len() < PDF_OBJECTS_MAX {
                self.places.insert(number, Place::Packed(index, at));
            }
        }
        self.packed.push(octets);
        Some(())
    }

    /// The object of this number.
    fn object(&mut self, number: u32) -> Option<Object> {
        let place = *self.places.get(&number)?;
        self.read_at(place)
    }

    fn read_at(&mut self, place: Place) -> Option<Object> {
        let (octets, at) = match place {
            Place::File(at) => (self.octets, at),
            Place::Packed(index, at) => (self.packed.get(index)?.as_slice(), at),
        };
        Reader::at(octets, at).object(&mut self.budget)
    }

    /// What stands there or, through references, behind it.
    fn resolved(&mut self, object: Option<&Object>) -> Option<Object> {
        let mut object = object?.clone();
        for _ in 0..8 {
            let Object::Reference(number) = object else { return Some(object) };
            object = self.object(number)?;
        }
        None
    }

    /// An entry of a dictionary, resolved.
    fn entry(&mut self, dictionary: &Object, name: &str) -> Option<Object> {
        self.resolved(dictionary.get(name))
    }

    /// A stream's octets, without its filters; `None` only at the budget's end.
    fn unpacked(&mut self, stream: &Object) -> Option<Vec<u8>> {
        let Object::Stream(_, start) = stream else { return Some(Vec::new()) };
        let length = self.entry(stream, "Length").as_ref().and_then(Object::index);
        let Some(raw) = stream_octets(self.octets, *start, length) else { return Some(Vec::new()) };
        self.budget.octets(raw.len())?;
        let filters = match self.entry(stream, "Filter") {
            Some(Object::Array(filters)) => filters,
            Some(filter) => vec![filter],
            None => Vec::new(),
        };
        filter::unpack(raw, &filters, &mut self.budget)
    }

    /// Title, author, subject and keywords.
    fn titles(&mut self, texts: &mut Vec<String>) -> Option<()> {
        let at = memchr::memmem::rfind(self.octets, b"/Info")?;
        let object = Reader::at(self.octets, at + 5).object(&mut self.budget)?;
        let info = self.resolved(Some(&object))?;
        for name in ["Title", "Author", "Subject", "Keywords"] {
            if let Some(Object::Text(octets)) = self.entry(&info, name) {
                let text = font::document_text(&octets);
                self.budget.text = self.budget.text.checked_sub(text.len())?;
                texts.push(text);
            }
        }
        Some(())
    }

    /// What a page shows.
    fn page(&mut self, page: &Object, text: &mut String) -> Option<()> {
        let mut octets = Vec::new();
        let contents = match self.entry(page, "Contents") {
            Some(Object::Array(all)) => all,
            Some(one) => vec![one],
            None => return Some(()),
        };
        for part in contents.iter().take(PDF_OBJECTS_MAX) {
            self.budget.step()?;
            if let Some(stream) = self.resolved(Some(part)) {
                octets.extend_from_slice(&self.unpacked(&stream)?);
                octets.push(b'\n');
            }
        }
        let resources = self.resources(page);
        content::show(self, &octets, resources.as_ref(), text, 0)
    }

    /// Its own, or those of the nearest node above that has some.
    fn resources(&mut self, page: &Object) -> Option<Object> {
        let mut node = page.clone();
        for _ in 0..32 {
            if let Some(found) = self.entry(&node, "Resources") {
                return Some(found);
            }
            node = self.entry(&node, "Parent")?;
        }
        None
    }

    /// The font of this name.
    fn font(&mut self, resources: Option<&Object>, name: &str) -> Option<Rc<Font>> {
        let fonts = self.entry(resources?, "Font")?;
        let found = fonts.get(name)?.clone();
        let Object::Reference(number) = found else { return Font::read(self, &found).map(Rc::new) };
        if let Some(known) = self.fonts.get(&number) {
            return Some(Rc::clone(known));
        }
        let object = self.object(number)?;
        let font = Rc::new(Font::read(self, &object)?);
        if self.fonts.len() < PDF_OBJECTS_MAX {
            self.fonts.insert(number, Rc::clone(&font));
        }
        Some(font)
    }
}

/// `12 0` at the end of what stands before ` obj`.
fn number_before(before: &[u8]) -> Option<u32> {
    let generation = before.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let before = before.get(..before.len().checked_sub(generation)?)?;
    let spaces = before.iter().rev().take_while(|octet| octet.is_ascii_whitespace()).count();
    let before = before.get(..before.len().checked_sub(spaces)?)?;
    let digits = before.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    if generation == 0 || spaces == 0 || digits == 0 {
        return None;
    }
    std::str::from_utf8(before.get(before.len() - digits..)?).ok()?.parse().ok()
}

/// From behind `stream`: as many octets as the dictionary says, if `endstream` follows them, or else up to that.
fn stream_octets(octets: &[u8], start: usize, length: Option<usize>) -> Option<&[u8]> {
    let rest = octets.get(start..)?;
    if let Some(length) = length.filter(|length| *length <= rest.len()) {
        let after = rest.get(length..)?;
        let spaces = after.iter().take(4).take_while(|octet| octet.is_ascii_whitespace()).count();
        if after.get(spaces..)?.starts_with(b"endstream") {
            return rest.get(..length);
        }
    }
    let end = memchr::memmem::find(rest, b"endstream").unwrap_or(rest.len());
    rest.get(..end)
}

#[cfg(test)]
pub(crate) mod tests;
