//! FILTERS (RFC 5466): searches that METADATA keeps by name, put in the place of their names.
//!
//! A filter may name others. Invariant: what comes out has no FILTER key, and no more keys than one command may have; one that
//! is not there, is no search, or names itself is UNDEFINED-FILTER. Must not know: how messages are searched.

use super::failure::{Trouble, no};
use super::session::Session;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use wire::imap::Code;
use wire::imap::limits::SEARCH_TERMS_MAX;
use wire::imap::search::{Search, SearchKey};

/// Where the account's own stand, and where those of all would.
const TREES: [&str; 2] = ["/private/filters/values/", "/shared/filters/values/"];
/// Filters within filters.
const DEPTH_MAX: usize = 8;

/// Filters by name, in lower case.
type Filters = BTreeMap<String, Vec<u8>>;

impl Session {
    /// The search with every FILTER key resolved.
    pub(crate) async fn with_filters(&self, mut search: Search) -> Result<Search, Trouble> {
        if !has_filter(&search.keys) {
            return Ok(search);
        }
        let all = self.store().annotations(self.account_id()?).await?;
        let mut filters = Filters::new();
        for ((_, name), value) in all.iter().filter(|((place, _), _)| place.is_none()) {
            let name = name.to_ascii_lowercase();
            for tree in TREES {
                if let Some(name) = name.strip_prefix(tree) {
                    // One's own goes before one of all, and is read first.
                    filters.entry(name.to_owned()).or_insert_with(|| value.clone());
                }
            }
        }
        let mut left = SEARCH_TERMS_MAX;
        search.keys = resolved_all(search.keys, &filters, DEPTH_MAX, &mut left)?;
        Ok(search)
    }
}

fn has_filter(keys: &[SearchKey]) -> bool {
    keys.iter().any(|key| match key {
        SearchKey::Filter(_) => true,
        SearchKey::Not(inner) | SearchKey::Fuzzy(inner) => has_filter(std::slice::from_ref(inner)),
        SearchKey::Or(one, other) => has_filter(std::slice::from_ref(one)) || has_filter(std::slice::from_ref(other)),
        SearchKey::And(keys) => has_filter(keys),
        _ => false,
    })
}

fn undefined(name: &SmolStr) -> Trouble {
    no(Code::UndefinedFilter(name.clone()), "There is no such filter")
}

fn resolved_all(keys: Vec<SearchKey>, filters: &Filters, depth: usize, left: &mut usize) -> Result<Vec<SearchKey>, Trouble> {
    keys.into_iter().map(|key| resolved(key, filters, depth, left)).collect()
}

fn resolved(key: SearchKey, filters: &Filters, depth: usize, left: &mut usize) -> Result<SearchKey, Trouble> {
    *left = left.checked_sub(1).ok_or(Trouble::Bad("too many search keys"))?;
    let mut deeper = |key: Box<SearchKey>| resolved(*key, filters, depth, left).map(Box::new);
    Ok(match key {
        SearchKey::Not(inner) => SearchKey::Not(deeper(inner)?),
        SearchKey::Fuzzy(inner) => SearchKey::Fuzzy(deeper(inner)?),
        SearchKey::Or(one, other) => SearchKey::Or(deeper(one)?, deeper(other)?),
        SearchKey::And(keys) => SearchKey::And(resolved_all(keys, filters, depth, left)?),
        SearchKey::Filter(name) => {
            let value = filters.get(&name.to_ascii_lowercase()).ok_or_else(|| undefined(&name))?;
            let search = Search::of_filter(value).filter(|_| depth > 0).ok_or_else(|| undefined(&name))?;
            SearchKey::And(resolved_all(search.keys, filters, depth - 1, left)?)
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_within_filters_and_those_that_name_themselves() {
        let filters: Filters = [("a", "SEEN FILTER b"), ("b", "NOT FROM x"), ("loop", "FILTER loop"), ("bad", "HELLO")]
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
            .into();
        let resolve = |name: &str| resolved(SearchKey::Filter(name.into()), &filters, DEPTH_MAX, &mut 100);
        let not_from = SearchKey::Not(Box::new(SearchKey::From("x".into())));
        let right = SearchKey::And(vec![SearchKey::Seen, SearchKey::And(vec![not_from])]);
        assert!(resolve("A").is_ok_and(|found| found == right));
        for name in ["loop", "bad", "none"] {
            assert!(matches!(resolve(name), Err(Trouble::No(Some(Code::UndefinedFilter(told)), _)) if told == name));
        }
    }
}
