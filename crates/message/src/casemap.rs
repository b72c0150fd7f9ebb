//! The collation i;unicode-casemap (RFC 5051), which SORT and THREAD compare texts by (RFC 5255 §4.2): titlecased, decomposed,
//! then octet by octet.
//!
//! Invariant: texts are equal for the collation exactly when their mapped forms are the same octets, and are in order
//! exactly as those are. Must not know: fields, mailboxes.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use std::sync::OnceLock;

/// The text as the collation compares it. Marks on one letter come out in one order, whichever they were written in.
///
/// ```
/// use message::casemap::unicode_casemap;
/// assert_eq!(unicode_casemap("Boat_a"), "BOAT_A");
/// assert_eq!(unicode_casemap("ä"), unicode_casemap("A\u{308}"));
/// ```
pub fn unicode_casemap(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    // A character of ASCII stands by itself: no decomposition reaches over it.
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|octet| !octet.is_ascii()).unwrap_or(rest.len());
        let start = out.len();
        let (plain, more) = rest.split_at(ascii);
        out.push_str(plain);
        if let Some(plain) = out.get_mut(start..) {
            plain.make_ascii_uppercase();
        }
        let (run, more) = more.split_at(more.bytes().position(|octet| octet.is_ascii()).unwrap_or(more.len()));
        map_run(run, &mut out);
        rest = more;
    }
    out
}

/// A run without ASCII: most often a letter or two of the first blocks, which are looked up.
fn map_run(run: &str, out: &mut String) {
    let start = out.len();
    for c in run.chars() {
        match mapped(c) {
            Some(mapped) => out.push_str(mapped),
            None => {
                out.truncate(start);
                return map_by_the_book(run, out);
            }
        }
    }
}

fn map_by_the_book(text: &str, out: &mut String) {
    let titled: String = text.chars().map(title_case).collect();
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(&titled);
    // A compatible form may have small letters inside: the ligature ﬁ has no capital, f and i have.
    out.extend(decomposed.chars().map(title_case));
}

/// The characters of two octets in UTF-8.
const LOOKED_UP: std::ops::Range<u32> = 0x80..0x800;

/// Mapped forms of [`LOOKED_UP`], one behind the other, and where each ends. A mark has none (an empty one): which of several comes
/// first must be found out.
struct Table {
    forms: String,
    ends: Vec<u16>,
}

fn mapped(c: char) -> Option<&'static str> {
    static TABLE: OnceLock<Table> = OnceLock::new();
    let at = u32::from(c).checked_sub(LOOKED_UP.start)? as usize;
    if at >= LOOKED_UP.len() {
        return None;
    }
    let Table { forms, ends } = TABLE.get_or_init(table);
    let start = at.checked_sub(1).map_or(Some(&0), |before| ends.get(before))?;
    forms.get(usize::from(*start)..usize::from(*ends.get(at)?)).filter(|form| !form.is_empty())
}

fn table() -> Table {
    let classes = CanonicalCombiningClassMapBorrowed::new();
    let (mut forms, mut ends) = (String::new(), Vec::with_capacity(LOOKED_UP.len()));
    for c in LOOKED_UP.map(|point| char::from_u32(point).unwrap_or_default()) {
        let start = forms.len();
        map_by_the_book(c.encode_utf8(&mut [0; 4]), &mut forms);
        let begins = forms.get(start..).and_then(|form| form.chars().next());
        if begins.is_none_or(|first| classes.get_u8(first) != 0) {
            forms.truncate(start);
        }
        ends.push(u16::try_from(forms.len()).unwrap_or(u16::MAX));
    }
    Table { forms, ends }
}

/// The simple mapping of UnicodeData: one character for one.
fn title_case(c: char) -> char {
    match c {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        // From the radicals to the syllables of Yi, and Hangul: no case there.
        '\u{2e80}'..='\u{a4ff}' | '\u{ac00}'..='\u{d7ff}' => c,
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                // What only becomes several letters (ß) has no simple mapping.
                _ => c,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_and_equality_are_the_collation_s() {
        let mut words = ["b", "a_", "AB", "Ä", "azure", "é", "E", "f", "ﬁsh", "FISH", "ДА", "да", "ß"];
        words.sort_by_key(|word| unicode_casemap(word));
        assert_eq!(words, ["AB", "azure", "a_", "Ä", "b", "E", "é", "f", "ﬁsh", "FISH", "ß", "ДА", "да"]);
        assert_eq!(unicode_casemap("ﬁsh"), "FISH");
        assert_eq!(unicode_casemap("ǆ"), unicode_casemap("Ǆ"));
        assert_eq!(unicode_casemap("Å"), unicode_casemap("å"));
    }

    fn by_the_book(text: &str) -> String {
        let mut out = String::new();
        map_by_the_book(text, &mut out);
        out
    }

    #[test]
    fn what_is_looked_up_is_as_the_book_has_it() {
        for c in LOOKED_UP.filter_map(char::from_u32) {
            let text = format!("a{c}\u{301}\u{323}{c}z");
            assert_eq!(unicode_casemap(&text), by_the_book(&text), "{c:?}");
        }
        for c in (0..0x11_0000).filter_map(char::from_u32) {
            let upper: Vec<char> = c.to_uppercase().collect();
            assert!(title_case(c) == c || upper.len() == 1, "{c:?}");
            assert!(upper.len() != 1 || upper.first() == Some(&title_case(c)) || ('Ǆ'..='ǳ').contains(&c), "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn runs_are_mapped_as_the_whole(text in "([a-zÀ-žα-ωﬀ-ﬆǄ-ǌА-я\u{300}-\u{345}ぁ-ん가-힣ﾊ-ﾟ]|\\PC){0,24}") {
            prop_assert_eq!(unicode_casemap(&text), by_the_book(&text));
        }

        #[test]
        fn mapping_twice_is_mapping_once(text in "[a-zÀ-žα-ωﬀ-ﬆǄ-ǌА-я\u{300}-\u{310}]{0,12}") {
            let once = unicode_casemap(&text);
            prop_assert_eq!(unicode_casemap(&once), once);
        }
    }
}
