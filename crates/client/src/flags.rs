//! Flags between the wire, the store and the files of others.

use smol_str::SmolStr;
use std::sync::Arc;
use store::Flags;
use wire::imap::flag::Flag;

const SYSTEM: [(u8, Flag); 5] = [
    (Flags::SEEN, Flag::Seen),
    (Flags::ANSWERED, Flag::Answered),
    (Flags::FLAGGED, Flag::Flagged),
    (Flags::DELETED, Flag::Deleted),
    (Flags::DRAFT, Flag::Draft),
];

/// What a server says, as the store keeps it: what is too long or too much is left out, unknown system flags too.
pub fn from_wire(flags: &[Flag]) -> Flags {
    let system = SYSTEM.iter().filter(|(_, flag)| flags.contains(flag)).fold(0, |bits, (bit, _)| bits | bit);
    let words = flags.iter().filter_map(|flag| if let Flag::Keyword(word) = flag { Some(word.clone()) } else { None });
    with_keywords(system, words)
}

/// As a command says it.
pub fn to_wire(flags: &Flags) -> Vec<Flag> {
    let system = SYSTEM.iter().filter(|(bit, _)| flags.system & bit != 0).map(|(_, flag)| flag.clone());
    system.chain(flags.keywords.iter().flat_map(|words| words.iter()).cloned().map(Flag::Keyword)).collect()
}

/// System bits and words, each once.
pub fn with_keywords(system: u8, words: impl IntoIterator<Item = SmolStr>) -> Flags {
    let mut kept: Vec<SmolStr> = words.into_iter().filter(|word| is_keyword(word)).collect();
    kept.sort_by_key(|word| word.to_ascii_lowercase());
    kept.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    kept.truncate(store::limits::KEYWORDS_MAX);
    Flags { system, keywords: (!kept.is_empty()).then(|| Arc::from(kept)) }
}

/// An atom that is not too long: what IMAP can say as a keyword (RFC 9051 §9).
fn is_keyword(word: &str) -> bool {
    let special = |b: u8| b <= b' ' || b >= 0x7f || b"(){%*\"\\]".contains(&b);
    !word.is_empty() && word.len() <= store::limits::KEYWORD_BYTES_MAX && !word.bytes().any(special)
}

/// Any text (a label of Gmail, say) as a keyword: what an atom cannot have becomes `_`.
pub fn keyword_of(text: &str) -> Option<SmolStr> {
    let word: String = text.trim().chars().map(|c| if is_keyword(c.encode_utf8(&mut [0; 4])) { c } else { '_' }).collect();
    let word: String = word.chars().take(store::limits::KEYWORD_BYTES_MAX).collect();
    word.chars().any(|c| c != '_').then(|| SmolStr::from(word))
}

/// Same system flags and same keywords, in whatever case.
pub fn are_same(a: &Flags, b: &Flags) -> bool {
    let words = |flags: &Flags| -> Vec<String> {
        let mut words: Vec<String> =
            flags.keywords.iter().flat_map(|words| words.iter()).map(|word| word.to_ascii_lowercase()).collect();
        words.sort_unstable();
        words
    };
    a.system == b.system && words(a) == words(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let wire =
            [Flag::Seen, Flag::Recent, Flag::Draft, Flag::Keyword("$Forwarded".into()), Flag::Keyword("$FORWARDED".into())];
        let kept = from_wire(&wire);
        assert_eq!(kept.system, Flags::SEEN | Flags::DRAFT);
        assert_eq!(to_wire(&kept), [Flag::Seen, Flag::Draft, Flag::Keyword("$Forwarded".into())]);
    }

    #[test]
    fn labels_become_keywords() {
        assert_eq!(keyword_of("Category updates").as_deref(), Some("Category_updates"));
        assert_eq!(keyword_of("Reise/\u{d6}sterreich").as_deref(), Some("Reise/_sterreich"));
        assert_eq!(keyword_of(" \u{65e5}\u{672c} "), None);
        assert!(are_same(&with_keywords(1, ["A".into(), "b".into()]), &with_keywords(1, ["B".into(), "a".into()])));
    }
}
