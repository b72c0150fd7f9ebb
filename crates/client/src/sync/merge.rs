//! Flags of both sides against what both had: each flag by itself, what changed wins over what did not.
//!
//! Invariant: no flag that one side set since is lost; one removed on one side and untouched on the other goes.

use crate::flags::with_keywords;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use store::Flags;

/// What is to become of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merged {
    /// As they are to be here, and in the base.
    pub(super) here: Flags,
    pub(super) add_there: Flags,
    pub(super) remove_there: Flags,
}

fn words(flags: &Flags) -> BTreeMap<String, SmolStr> {
    flags.keywords.iter().flat_map(|words| words.iter()).map(|word| (word.to_ascii_lowercase(), word.clone())).collect()
}

/// `keeps`: the server can keep this keyword. One that it cannot keep is this side's alone.
pub(super) fn merged(base: &Flags, here: &Flags, there: &Flags, keeps: impl Fn(&str) -> bool) -> Merged {
    let changed = base.system ^ here.system;
    let system = (here.system & changed) | (there.system & !changed);
    let (old, ours, theirs) = (words(base), words(here), words(there));
    let mut kept = Vec::new();
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    let mut all: BTreeMap<&String, &SmolStr> = theirs.iter().collect();
    all.extend(&ours);
    for (key, word) in all {
        let (before, we, they) = (old.contains_key(key), ours.contains_key(key), theirs.contains_key(key));
        if !keeps(word) && !they {
            kept.extend(we.then(|| word.clone()));
            continue;
        }
        let now = if we == before { they } else { we };
        if now {
            kept.push(word.clone());
        }
        match (now, they) {
            (true, false) => add.push(word.clone()),
            (false, true) => remove.push(word.clone()),
            _ => {}
        }
    }
    Merged {
        here: with_keywords(system, kept),
        add_there: with_keywords(system & !there.system, add),
        remove_there: with_keywords(there.system & !system, remove),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(system: u8, words: &[&str]) -> Flags {
        with_keywords(system, words.iter().map(SmolStr::new))
    }

    #[test]
    fn each_flag_by_itself() {
        let base = flags(Flags::SEEN, &["a", "b"]);
        let here = flags(Flags::SEEN | Flags::FLAGGED, &["b", "new"]);
        let there = flags(Flags::ANSWERED, &["a", "b", "other"]);
        let all = merged(&base, &here, &there, |_| true);
        assert!(crate::flags::are_same(&all.here, &flags(Flags::FLAGGED | Flags::ANSWERED, &["b", "new", "other"])));
        assert_eq!((all.add_there, all.remove_there), (flags(Flags::FLAGGED, &["new"]), flags(0, &["a"])));
    }

    #[test]
    fn a_keyword_that_the_server_cannot_keep_stays_here() {
        let base = flags(0, &["mine"]);
        let all = merged(&base, &base, &flags(0, &[]), |_| false);
        assert_eq!(all, Merged { here: base, add_there: flags(0, &[]), remove_there: flags(0, &[]) });
    }
}
