//! The words of one chunk, sorted: found whole, by how they begin, how they end, or what they hold.
//!
//! Kept with what a word shares with the one before left out; in memory they stand in one text, a blank between two of them.
//! Must not know: what words are of.

use super::bits::{number, push_number, take};
use super::terms::Place;
use memchr::memmem;

/// All words.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    /// ` word word word `
    octets: Vec<u8>,
    /// Where word n begins.
    starts: Vec<u32>,
}

/// Adds one word; `before` is the one before.
pub(crate) fn encode(before: &[u8], word: &[u8], out: &mut Vec<u8>) {
    let shared = before.iter().zip(word).take_while(|(one, other)| one == other).count();
    push_number(shared as u64, out);
    push_number((word.len() - shared) as u64, out);
    out.extend(word.iter().skip(shared));
}

impl Dictionary {
    pub(crate) fn decode(mut rest: &[u8], words: usize) -> Option<Dictionary> {
        let mut octets = vec![b' '];
        let mut starts = Vec::with_capacity(words.min(rest.len()));
        let mut before = 0..0;
        for _ in 0..words {
            let shared = usize::try_from(number(&mut rest)?).ok()?;
            let len = usize::try_from(number(&mut rest)?).ok()?;
            let start = octets.len();
            if shared > before.len() {
                return None;
            }
            octets.extend_from_within(before.start..before.start + shared);
            octets.extend_from_slice(take(&mut rest, len)?);
            before = start..octets.len();
            starts.push(u32::try_from(start).ok()?);
            octets.push(b' ');
        }
        Some(Dictionary { octets, starts })
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn word(&self, at: usize) -> Option<&[u8]> {
        let start = *self.starts.get(at)? as usize;
        let end = self.starts.get(at + 1).map_or(self.octets.len(), |next| *next as usize).checked_sub(1)?;
        self.octets.get(start..end)
    }

    /// Numbers of the words that have the piece in this place, ascending.
    pub(crate) fn find(&self, place: Place, piece: &[u8]) -> Vec<usize> {
        match place {
            Place::Whole => {
                let at = self.lower_bound(piece);
                if self.word(at) == Some(piece) { vec![at] } else { Vec::new() }
            }
            Place::Start => {
                let from = self.lower_bound(piece);
                (from..self.len()).take_while(|at| self.word(*at).is_some_and(|word| word.starts_with(piece))).collect()
            }
            Place::End => self.scan(&[piece, b" "].concat()),
            Place::Within => self.scan(piece),
        }
    }

    fn lower_bound(&self, word: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.word(middle).is_some_and(|known| known < word) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn scan(&self, text: &[u8]) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for at in memmem::find_iter(&self.octets, text) {
            let word = self.starts.partition_point(|start| *start as usize <= at);
            if let Some(word) = word.checked_sub(1).filter(|word| found.last() != Some(word)) {
                found.push(word);
            }
        }
        found
    }

    pub(crate) fn bytes(&self) -> usize {
        self.octets.len() + self.starts.len() * 4
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_are_found_by_their_places() {
        let words: [&[u8]; 6] = [b"boat", b"boathouse", b"houseboat", b"housebo", b"oat", b"zoo"];
        let mut sorted = words.to_vec();
        sorted.sort_unstable();
        let (mut out, mut before): (Vec<u8>, &[u8]) = (Vec::new(), b"");
        for word in &sorted {
            encode(before, word, &mut out);
            before = word;
        }
        let dictionary = Dictionary::decode(&out, 6).unwrap();
        let find = |place, piece: &str| {
            let found = dictionary.find(place, piece.as_bytes());
            found.into_iter().map(|at| String::from_utf8_lossy(dictionary.word(at).unwrap()).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(find(Place::Whole, "boat"), ["boat"]);
        assert_eq!(find(Place::Whole, "boa"), [""; 0]);
        assert_eq!(find(Place::Start, "house"), ["housebo", "houseboat"]);
        assert_eq!(find(Place::End, "oat"), ["boat", "houseboat", "oat"]);
        assert_eq!(find(Place::Within, "oo"), ["zoo"]);
        assert_eq!(find(Place::Within, "o"), ["boat", "boathouse", "housebo", "houseboat", "oat", "zoo"]);
        assert!(Dictionary::decode(&out[..out.len() - 1], 6).is_none());
    }
}
