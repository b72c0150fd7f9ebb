//! SEARCH (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 4731, RFC 5182, RFC 7162 §3.1.5).
//!
//! Correct first: substrings as the RFC wants them, found by reading. Invariant: no EXPUNGE while message numbers are
//! in play; memory holds a few messages at a time.

mod plan;
mod reading;

use super::failure::{Outcome, Trouble, done, no};
use super::flags::number_at;
use super::limits;
use super::session::{Indexes, Session};
use crate::context::unix_now;
use plan::Candidate;
use reading::{Open, Reader};
use std::sync::Arc;
use store::Uid;
use wire::imap::esearch::ESearch;
use wire::imap::response::Response;
use wire::imap::search::{Search, SearchKey, SearchReturn};
use wire::imap::{Code, SequenceSet, Tag};

impl Session {
    /// SEARCH and UID SEARCH.
    pub(crate) async fn search(&mut self, tag: Tag, search: Search) -> Outcome {
        self.sync(search.uid).await?;
        self.view()?;
        let saving = search.returns.as_ref().is_some_and(|returns| returns.contains(&SearchReturn::Save));
        if search.charset.is_some() && self.wire.utf8() && !self.rev2 {
            return Err(Trouble::Bad("After UTF8=ACCEPT there is no CHARSET (RFC 9755)"));
        }
        if !search.charset_supported() {
            if saving {
                self.view_mut()?.save(Vec::new());
            }
            let known = vec!["US-ASCII".into(), "UTF-8".into()];
            return Err(no(Code::BadCharset(known), "That charset is not known"));
        }
        let with_mod_seq = mentions_mod_seq(&search.keys);
        if with_mod_seq {
            self.enable_condstore();
        }
        let found = match self.unless_over(self.found(&search)).await {
            Ok(found) => found,
            Err(Trouble::Over) => {
                self.wire.bye(None, "The session is over");
                return Err(Trouble::Over);
            }
            Err(trouble) => {
                // RFC 5182 §2.1: a SEARCH that failed leaves an empty result.
                if let (true, Some(view)) = (saving, self.view.as_mut()) {
                    view.save(Vec::new());
                }
                return Err(trouble);
            }
        };
        self.answer(tag, &search, &found, with_mod_seq)?;
        done("Searched")
    }

    /// Indexes of what matches, ascending.
    async fn found(&self, search: &Search) -> Result<Vec<usize>, Trouble> {
        let test = Arc::new(self.plan(&search.keys, unix_now())?);
        let reader = Reader { context: Arc::clone(&self.context), account: self.account_id()?, test: Arc::clone(&test) };
        let view = self.view()?;
        let (mut found, mut open) = (Vec::new(), Vec::new());
        for (index, row) in view.rows().iter().enumerate() {
            let recent = view.is_recent(row.uid);
            match test.holds(&Candidate { index, row: &row, recent, header: None, message: None }) {
                Some(true) => found.push(index),
                Some(false) => {}
                None => open.push(Open { index, row, recent }),
            }
            if open.len() >= limits::SEARCH_BLOCK {
                found.extend(reader.matching(std::mem::take(&mut open)).await?);
            }
        }
        found.extend(reader.matching(open).await?);
        found.sort_unstable();
        Ok(found)
    }

    /// Numbers a search names; in a search what is not there simply does not match (an empty mailbox included).
    pub(super) fn resolve_loosely(&self, set: &SequenceSet, uid: bool) -> Result<Indexes, Trouble> {
        if !uid && !set.is_saved() && self.view()?.exists() == 0 {
            return Ok(Indexes::new());
        }
        self.resolve(set, uid)
    }

    /// SEARCH for a plain one under IMAP4rev1, else ESEARCH.
    fn answer(&mut self, tag: Tag, search: &Search, found: &[usize], with_mod_seq: bool) -> Result<(), Trouble> {
        let view = self.view()?;
        let rows = view.rows();
        let uid_at = |index: &usize| rows.uid(*index).unwrap_or(Uid(0));
        let number = |index: &usize| if search.uid { uid_at(index).0 } else { number_at(*index) };
        let highest = found.iter().filter_map(|index| rows.get(*index)).map(|row| row.mod_seq.0).max();
        let mod_seq = highest.filter(|_| with_mod_seq);
        let Some(returns) = &search.returns else {
            let response = match self.rev2 {
                true => Response::ESearch(ESearch {
                    tag: Some(tag),
                    uid: search.uid,
                    all: Some(found.iter().map(number).collect()),
                    mod_seq,
                    ..ESearch::default()
                }),
                false => Response::Search { numbers: found.iter().map(number).collect(), mod_seq },
            };
            self.wire.untagged(&response);
            return Ok(());
        };
        if returns.iter().any(|option| {
            !matches!(
                option,
                SearchReturn::Min | SearchReturn::Max | SearchReturn::All | SearchReturn::Count | SearchReturn::Save
            )
        }) {
            return Err(Trouble::Bad("unknown RETURN option"));
        }
        let wants = |option| returns.contains(&option);
        let all = returns.is_empty() || wants(SearchReturn::All);
        let min = found.first().filter(|_| wants(SearchReturn::Min));
        let max = found.last().filter(|_| wants(SearchReturn::Max));
        let response = ESearch {
            tag: Some(tag),
            uid: search.uid,
            min: min.map(number),
            max: max.map(number),
            count: wants(SearchReturn::Count).then(|| u32::try_from(found.len()).unwrap_or(u32::MAX)),
            all: all.then(|| found.iter().map(number).collect()),
            mod_seq: match (all || wants(SearchReturn::Count), with_mod_seq) {
                (_, false) => None,
                (true, true) => mod_seq,
                (false, true) => min.iter().chain(&max).filter_map(|index| rows.get(**index)).map(|row| row.mod_seq.0).max(),
            },
            ..ESearch::default()
        };
        let saved = wants(SearchReturn::Save).then(|| saved(returns, found).iter().map(uid_at).collect());
        if response_is_wanted(returns) {
            self.wire.untagged(&Response::ESearch(response));
        }
        if let Some(saved) = saved {
            self.view_mut()?.save(saved);
        }
        Ok(())
    }
}

/// RFC 5182 §2.1: SAVE alone is answered by the tagged OK only.
fn response_is_wanted(returns: &[SearchReturn]) -> bool {
    returns != [SearchReturn::Save]
}

/// What SAVE keeps: with MIN or MAX but neither ALL nor COUNT only those (RFC 5182 §2.4).
fn saved(returns: &[SearchReturn], found: &[usize]) -> Vec<usize> {
    let (min, max) = (returns.contains(&SearchReturn::Min), returns.contains(&SearchReturn::Max));
    if !(min || max) || returns.contains(&SearchReturn::All) || returns.contains(&SearchReturn::Count) {
        return found.to_vec();
    }
    let mut kept: Vec<usize> = Vec::new();
    kept.extend(found.first().filter(|_| min));
    kept.extend(found.last().filter(|_| max));
    kept.dedup();
    kept
}

fn mentions_mod_seq(keys: &[SearchKey]) -> bool {
    keys.iter().any(|key| match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::Not(inner) => mentions_mod_seq(std::slice::from_ref(inner)),
        SearchKey::Or(one, other) => mentions_mod_seq(std::slice::from_ref(one)) || mentions_mod_seq(std::slice::from_ref(other)),
        SearchKey::And(keys) => mentions_mod_seq(keys),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn save_with_min_and_max_keeps_only_those() {
        use SearchReturn::{All, Max, Min, Save};
        assert_eq!(saved(&[Save], &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(saved(&[Save, Min], &[1, 2, 3]), [1]);
        assert_eq!(saved(&[Save, Min, Max], &[1, 2, 3]), [1, 3]);
        assert_eq!(saved(&[Save, Min, Max], &[2]), [2]);
        assert_eq!(saved(&[Save, Min, All], &[1, 2, 3]), [1, 2, 3]);
    }
}
