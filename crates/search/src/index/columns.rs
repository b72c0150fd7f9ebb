//! Texts of many documents, each distinct one kept once: fields that are searched, and keys that messages are sorted by.
//!
//! Invariant: number 0 is "no such text"; what is found by number is the text that was put in. Must not know: what the texts are of.

use super::bits::{Bits, number, push_number, take};
use std::collections::HashMap;

/// One text a document, or none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    octets: Vec<u8>,
    /// Where text n (from 1) ends.
    ends: Vec<u32>,
    of_doc: Vec<u32>,
}

/// Puts one together.
#[derive(Debug, Default)]
pub(crate) struct ColumnWriter {
    column: Column,
    known: HashMap<Box<[u8]>, u32>,
}

impl ColumnWriter {
    /// The next document's.
    pub(crate) fn push(&mut self, text: Option<&[u8]>) {
        let Some(text) = text else { return self.column.of_doc.push(0) };
        let known = self.known.get(text).copied();
        let number = known.unwrap_or_else(|| {
            self.column.octets.extend_from_slice(text);
            self.column.ends.push(u32::try_from(self.column.octets.len()).unwrap_or(u32::MAX));
            let number = self.column.ends.len() as u32;
            self.known.insert(text.into(), number);
            number
        });
        self.column.of_doc.push(number);
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Column { octets, ends, of_doc } = &self.column;
        push_number(ends.len() as u64, out);
        let mut from = 0;
        for end in ends {
            push_number(u64::from(end - from), out);
            from = *end;
        }
        out.extend_from_slice(octets);
        // Two octets for each where they do: these are read fast.
        let wide = ends.len() > usize::from(u16::MAX);
        for number in of_doc {
            if wide { out.extend(number.to_le_bytes()) } else { out.extend((*number as u16).to_le_bytes()) }
        }
    }
}

impl Column {
    /// What [`ColumnWriter::encode`] wrote for so many documents, taken off the front.
    pub(crate) fn decode(rest: &mut &[u8], docs: usize) -> Option<Column> {
        let texts = usize::try_from(number(rest)?).ok().filter(|texts| *texts <= docs)?;
        let mut ends = Vec::with_capacity(texts);
        let mut end = 0u32;
        for _ in 0..texts {
            end = end.checked_add(u32::try_from(number(rest)?).ok()?)?;
            ends.push(end);
        }
        let octets = take(rest, end as usize)?.to_vec();
        let wide = texts > usize::from(u16::MAX);
        let numbers = take(rest, docs.checked_mul(if wide { 4 } else { 2 })?)?;
        let of_doc = if wide {
            numbers.as_chunks::<4>().0.iter().map(|octets| u32::from_le_bytes(*octets)).collect()
        } else {
            numbers.as_chunks::<2>().0.iter().map(|octets| u32::from(u16::from_le_bytes(*octets))).collect()
        };
        Some(Column { octets, ends, of_doc })
    }

    /// The text of that number.
    pub(crate) fn text(&self, number: u32) -> Option<&[u8]> {
        let at = (number as usize).checked_sub(1)?;
        let from = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.octets.get(from as usize..*self.ends.get(at)? as usize)
    }

    /// The document's number.
    pub(crate) fn number(&self, doc: usize) -> u32 {
        self.of_doc.get(doc).copied().unwrap_or(0)
    }

    pub(crate) fn of_doc(&self, doc: usize) -> Option<&[u8]> {
        self.text(self.number(doc))
    }

    /// How many texts there are.
    pub(crate) fn texts(&self) -> usize {
        self.ends.len()
    }

    /// Documents whose text has what `find` finds first in octets, which is so many octets long.
    ///
    /// All texts are looked through as one: most are too short to begin for. What lies over the end of one is none of it.
    pub(crate) fn docs_with(&self, len: usize, find: impl Fn(&[u8]) -> Option<usize>) -> Bits {
        let mut docs = Bits::none(self.of_doc.len());
        let mut right = Bits::none(self.ends.len() + 1);
        let (mut from, mut before, mut some) = (0, 0, len == 0);
        if len == 0 {
            // It is in every text, and lies nowhere.
            (1..=self.ends.len()).for_each(|number| right.set(number));
        }
        while let Some(place) = self.octets.get(from..).filter(|_| len > 0).and_then(&find) {
            let at = from + place;
            before += self.ends.get(before..).map_or(0, |ends| ends.partition_point(|end| *end as usize <= at));
            let Some(end) = self.ends.get(before).map(|end| *end as usize) else { break };
            let is_within = at + len <= end;
            if is_within {
                right.set(before + 1);
                some = true;
            }
            from = if is_within { end } else { at + 1 };
        }
        if !some {
            return docs;
        }
        for (doc, number) in self.of_doc.iter().enumerate() {
            if right.get(*number as usize) {
                docs.set(doc);
            }
        }
        docs
    }

    pub(crate) fn bytes(&self) -> usize {
        self.octets.len() + (self.ends.len() + self.of_doc.len()) * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        let mut writer = ColumnWriter::default();
        for text in [Some("boat"), None, Some(""), Some("boat"), Some("boathouse")] {
            writer.push(text.map(str::as_bytes));
        }
        let mut out = Vec::new();
        writer.encode(&mut out);
        let mut rest = &out[..];
        let column = Column::decode(&mut rest, 5).unwrap_or_default();
        assert!(rest.is_empty());
        assert_eq!(
            (0..5).map(|doc| column.of_doc(doc)).collect::<Vec<_>>(),
            [Some(&b"boat"[..]), None, Some(b""), Some(b"boat"), Some(b"boathouse")]
        );
        let with = |what: &[u8]| {
            let found = column.docs_with(what.len(), |octets| octets.windows(what.len()).position(|piece| piece == what));
            (0..5).filter(|doc| found.get(*doc)).collect::<Vec<_>>()
        };
        assert_eq!((with(b"boat"), with(b"house"), with(b"tbo"), with(b"")), (vec![0, 3, 4], vec![4], vec![], vec![0, 2, 3, 4]));
        assert!(Column::decode(&mut &out[..out.len() - 1], 5).is_none() && Column::decode(&mut &b"\xff\xff"[..], 5).is_none());
    }
}
