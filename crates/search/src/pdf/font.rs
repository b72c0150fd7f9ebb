//! What the codes of a font mean (ISO 32000-1 §9.6-§9.10): its ToUnicode table, or its encoding.
//!
//! Invariant: a code nobody can read gives nothing, never a wrong letter. Must not know: where text stands on the page.

use super::glyph;
use super::object::{Object, Reader};
use super::{Budget, Document};
use message::charset;
use std::collections::BTreeMap;

/// Codes of one table.
const CODES_MAX: usize = 70_000;

/// How one font's strings are read.
#[derive(Debug, Default)]
pub(super) struct Font {
    /// Two octets a code, not one.
    wide: bool,
    /// ToUnicode, code by code ...
    known: BTreeMap<u32, String>,
    /// ... and by ranges: the last code, and the text of the first.
    ranges: BTreeMap<u32, (u32, Vec<u8>)>,
    otherwise: Otherwise,
}

/// Codes that ToUnicode does not have.
#[derive(Debug, Default)]
enum Otherwise {
    #[default]
    Nothing,
    /// The codes are UTF-16.
    Utf16,
    /// One octet each.
    Table(Vec<String>),
}

impl Font {
    pub(super) fn read(document: &mut Document<'_>, font: &Object) -> Option<Font> {
        let mut read = Font { wide: font.get("Subtype").is_some_and(|kind| kind.is_name("Type0")), ..Font::default() };
        let encoding = document.entry(font, "Encoding");
        if read.wide {
            let name = encoding.as_ref().and_then(Object::name).unwrap_or_default();
            if name.contains("UCS2") || name.contains("UTF16") {
                read.otherwise = Otherwise::Utf16;
            }
        } else {
            read.otherwise = Otherwise::Table(table(document, encoding.as_ref()));
        }
        if let Some(stream) = document.entry(font, "ToUnicode").filter(|object| matches!(object, Object::Stream(..))) {
            let octets = document.unpacked(&stream)?;
            read.read_map(&octets, &mut document.budget)?;
        }
        Some(read)
    }

    /// A CMap: `bfchar`, `bfrange` and the length of its codes.
    fn read_map(&mut self, octets: &[u8], budget: &mut Budget) -> Option<()> {
        let mut reader = Reader::new(octets);
        let mut operands: Vec<Object> = Vec::new();
        while let Some(object) = reader.object(budget) {
            let Object::Word(word) = object else {
                if operands.len() < CODES_MAX {
                    operands.push(object);
                }
                continue;
            };
            match word.as_str() {
                "endcodespacerange" => {
                    let longest = operands
                        .iter()
                        .filter_map(|object| if let Object::Text(code) = object { Some(code.len()) } else { None })
                        .max();
                    self.wide = longest.map_or(self.wide, |longest| longest > 1);
                }
                "endbfchar" => {
                    for pair in operands.chunks_exact(2) {
                        if let [Object::Text(code), Object::Text(text)] = pair {
                            self.learn(number(code), utf16(text), budget)?;
                        }
                    }
                }
                "endbfrange" => operands.chunks_exact(3).try_for_each(|range| self.learn_range(range, budget))?,
                _ => {}
            }
            operands.clear();
        }
        Some(())
    }

    fn learn(&mut self, code: u32, text: String, budget: &mut Budget) -> Option<()> {
        budget.step()?;
        if self.known.len() < CODES_MAX {
            self.known.insert(code, text);
        }
        Some(())
    }

    fn learn_range(&mut self, range: &[Object], budget: &mut Budget) -> Option<()> {
        budget.step()?;
        match range {
            [Object::Text(first), Object::Text(last), Object::Text(text)] if self.ranges.len() < CODES_MAX => {
                self.ranges.insert(number(first), (number(last), text.clone()));
            }
            [Object::Text(first), Object::Text(_), Object::Array(texts)] => {
                for (code, text) in (number(first)..=u32::MAX).zip(texts) {
                    if let Object::Text(text) = text {
                        self.learn(code, utf16(text), budget)?;
                    }
                }
            }
            _ => {}
        }
        Some(())
    }

    /// What the last unit of a range's text counts up to.
    fn in_range(&self, code: u32) -> Option<String> {
        let (first, (_, text)) = self.ranges.range(..=code).next_back().filter(|(_, (last, _))| code <= *last)?;
        let (start, end) = text.split_last_chunk::<2>()?;
        let end = u32::from(u16::from_be_bytes(*end)).wrapping_add(code - first) & 0xffff;
        Some(utf16(&[start, &u16::try_from(end).ok()?.to_be_bytes()].concat()))
    }

    /// What a string shows.
    pub(super) fn show(&self, octets: &[u8], text: &mut String, budget: &mut Budget) -> Option<()> {
        for code in octets.chunks(if self.wide { 2 } else { 1 }) {
            budget.step()?;
            let code_number = number(code);
            if let Some(known) = self.known.get(&code_number) {
                budget.write(known, text)?;
                continue;
            }
            match (self.in_range(code_number), &self.otherwise) {
                (Some(known), _) => budget.write(&known, text)?,
                (None, Otherwise::Utf16) => budget.write(&utf16(code), text)?,
                (None, Otherwise::Table(table)) => {
                    let shown = code.first().and_then(|code| table.get(usize::from(*code)));
                    budget.write(shown.map_or("", String::as_str), text)?;
                }
                (None, Otherwise::Nothing) => {}
            }
        }
        Some(())
    }
}

/// The 256 codes of a simple font.
fn table(document: &mut Document<'_>, encoding: Option<&Object>) -> Vec<String> {
    let base = match encoding {
        Some(Object::Name(name)) => Some(name.clone()),
        Some(encoding) => encoding.get("BaseEncoding").and_then(Object::name).map(str::to_owned),
        None => None,
    };
    let label: &[u8] = if base.as_deref() == Some("MacRomanEncoding") { b"macintosh" } else { b"windows-1252" };
    let mut table: Vec<String> = (0..=u8::MAX).map(|code| charset::decode(label, &[code]).into_owned()).collect();
    if let Some(Object::Array(differences)) = encoding.and_then(|encoding| document.entry(encoding, "Differences")) {
        let mut code = 0;
        for object in differences {
            match object {
                Object::Number(_) => code = object.index().unwrap_or(usize::MAX),
                Object::Name(name) => {
                    if let Some(slot) = table.get_mut(code) {
                        *slot = glyph::text_of(&name);
                    }
                    code = code.saturating_add(1);
                }
                _ => {}
            }
        }
    }
    table
}

fn number(code: &[u8]) -> u32 {
    code.iter().take(4).fold(0, |number, octet| number << 8 | u32::from(*octet))
}

fn utf16(octets: &[u8]) -> String {
    let units = octets.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
    char::decode_utf16(units).filter_map(Result::ok).filter(|letter| *letter != '\0').collect()
}

/// A string outside of pages (§7.9.2.2): UTF-16 or UTF-8 by their marks, or else about Latin-1.
pub(super) fn document_text(octets: &[u8]) -> String {
    match octets {
        [0xfe, 0xff, rest @ ..] => utf16(rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        other => charset::decode(b"windows-1252", other).into_owned(),
    }
}
