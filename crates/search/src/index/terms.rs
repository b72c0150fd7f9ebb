//! What an index keeps of texts: their words, and for what is no word (long, or unlike any other) hashes of every three octets.
//!
//! A text is cut at everything that is neither an ASCII letter nor digit nor part of a longer character. Whatever stands in a
//! text as a substring can be told from that: its inner words stand there whole, its first one ends a word, its last one begins one.
//! Invariant: [`Pieces::of`] asks for nothing that a text with the needle might lack. Must not know: files.

use std::collections::HashSet;

/// Longer ones are kept as grams, octets.
pub(crate) const WORD_BYTES_MAX: usize = 24;
/// Words with digits in them (identifiers, mostly) are kept as grams from this length on, octets.
const MIXED_BYTES_MIN: usize = 9;
/// Texts with more distinct words are not taken apart: their document matches everything.
pub(crate) const TERMS_MAX: usize = 60_000;
/// Octets of a gram.
pub(crate) const GRAM: usize = 3;

/// Of one document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub(crate) words: HashSet<Box<[u8]>>,
    /// Numbers of 32 bits, the upper ones chosen by hash; some more than once.
    pub(crate) grams: Vec<u32>,
}

fn is_inside(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || *octet >= 0x80
}

fn is_word(token: &[u8]) -> bool {
    token.len() <= WORD_BYTES_MAX && (token.len() < MIXED_BYTES_MIN || !token.iter().any(u8::is_ascii_digit))
}

/// The grams of a token, as numbers.
pub(crate) fn grams(token: &[u8]) -> impl Iterator<Item = u32> + '_ {
    token.windows(GRAM).map(|three| {
        let number = three.iter().fold(0u32, |number, octet| number << 8 | u32::from(*octet));
        number.wrapping_mul(0x9E37_79B1)
    })
}

impl Terms {
    /// Takes a folded text in; false when it is too much.
    pub(crate) fn take(&mut self, text: &str) -> bool {
        for token in text.as_bytes().split(|octet| !is_inside(octet)).filter(|token| !token.is_empty()) {
            if is_word(token) {
                if !self.words.contains(token) {
                    self.words.insert(token.into());
                }
            } else {
                self.grams.extend(grams(token));
            }
        }
        if self.grams.len() > TERMS_MAX {
            self.grams.sort_unstable();
            self.grams.dedup();
        }
        self.words.len() + self.grams.len() <= TERMS_MAX
    }
}

/// Where a piece of a needle stands in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Whole,
    Start,
    End,
    Within,
}

/// What every text with the needle has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pieces(pub(crate) Vec<(Place, Vec<u8>)>);

impl Pieces {
    /// Of a folded needle.
    pub(crate) fn of(needle: &str) -> Pieces {
        let octets = needle.as_bytes();
        let mut pieces = Vec::new();
        let mut at = 0;
        for token in octets.split(|octet| !is_inside(octet)) {
            let (first, last) = (at == 0, at + token.len() == octets.len());
            at += token.len() + 1;
            let place = match (first, last) {
                (true, true) => Place::Within,
                (true, false) => Place::End,
                (false, true) => Place::Start,
                (false, false) => Place::Whole,
            };
            // Shorter ones stand nearly everywhere.
            if token.len() >= GRAM {
                pieces.push((place, token.to_vec()));
            }
        }
        Pieces(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_needle_asks_for() {
        let of = |needle: &str| Pieces::of(needle).0.into_iter().map(|(p, t)| (p, String::from_utf8(t).unwrap_or_default()));
        let of = |needle: &str| of(needle).collect::<Vec<_>>();
        assert_eq!(of("boat"), [(Place::Within, "boat".to_owned())]);
        assert_eq!(of(" boat"), [(Place::Start, "boat".to_owned())]);
        assert_eq!(
            of("the red boat"),
            [(Place::End, "the".to_owned()), (Place::Whole, "red".to_owned()), (Place::Start, "boat".to_owned())]
        );
        assert_eq!(of("ann@here."), [(Place::End, "ann".to_owned()), (Place::Whole, "here".to_owned())]);
        assert_eq!(of("at"), []);
        assert_eq!(of(""), []);
        assert_eq!(of("海の"), [(Place::Within, "海の".to_owned())]);
    }

    #[test]
    fn words_and_what_is_none() {
        let mut terms = Terms::default();
        assert!(terms.take("the boat, 2026: a1b2c3d4e5"));
        let mut words: Vec<&[u8]> = terms.words.iter().map(|word| &word[..]).collect();
        words.sort_unstable();
        assert_eq!(words, [&b"2026"[..], b"boat", b"the"]);
        assert_eq!(terms.grams.len(), 8);
    }
}
