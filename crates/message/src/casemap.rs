//! The collation i;unicode-casemap (RFC 5051), which SORT and THREAD compare texts by (RFC 5255 §4.2): titlecased, decomposed,
//! then octet by octet.
//!
//! Invariant: texts are equal for the collation exactly when their mapped forms are the same octets, and are in order
//! exactly as those are. Must not know: fields, mailboxes.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// The text as the collation compares it. Marks on one letter come out in one order, whichever they were written in.
///
/// ```
/// use message::casemap::unicode_casemap;
/// assert_eq!(unicode_casemap("Boat_a"), "BOAT_A");
/// assert_eq!(unicode_casemap("ä"), unicode_casemap("A\u{308}"));
/// ```
pub fn unicode_casemap(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    let titled: String = text.chars().map(title_case).collect();
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(&titled);
    // A compatible form may have small letters inside: the ligature ﬁ has no capital, f and i have.
    decomposed.chars().map(title_case).collect()
}

/// The simple mapping of UnicodeData: one character for one.
fn title_case(c: char) -> char {
    match c {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
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

    proptest! {
        #[test]
        fn mapping_twice_is_mapping_once(text in "[a-zÀ-žα-ωﬀ-ﬆǄ-ǌА-я\u{300}-\u{310}]{0,12}") {
            let once = unicode_casemap(&text);
            prop_assert_eq!(unicode_casemap(&once), once);
        }
    }
}
