//! SEARCH (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 4731, RFC 5182, RFC 7162 §3.1.5).
//!
//! Correct first: substrings as the RFC wants them, found by reading. Invariant: no EXPUNGE while message numbers are
//! in play; memory holds one message at a time.

mod plan;

use super::failure::{Outcome, Trouble, done, no};
use super::flags::number_at;
use super::limits;
use super::session::{Indexes, Session};
use crate::context::unix_now;
use plan::{Candidate, Cost, Test};
use store::{MessageRow, StoreError, Uid};
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
        let found = match self.found(&search).await {
            Ok(found) => found,
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
        let test = self.plan(&search.keys, unix_now())?;
        let view = self.view()?;
        let mut found = Vec::new();
        for (index, row) in view.rows().iter().enumerate() {
            if index % limits::SEARCH_YIELD_ROWS == limits::SEARCH_YIELD_ROWS - 1 {
                tokio::task::yield_now().await;
            }
            let recent = view.is_recent(row.uid);
            let candidate = Candidate { index, row, recent, header: None, message: None };
            let holds = match test.holds(&candidate) {
                Some(holds) => holds,
                None => self.read_and_test(&test, candidate).await?,
            };
            if holds {
                found.push(index);
            }
        }
        Ok(found)
    }

    /// The header, and only if that is not enough all octets. What is gone or damaged matches nothing.
    async fn read_and_test(&self, test: &Test, candidate: Candidate<'_>) -> Result<bool, Trouble> {
        let read = async {
            let header = self.header_of(candidate.row).await?;
            let with_header = Candidate { header: Some(&header), ..candidate };
            if let Some(holds) = test.holds(&with_header) {
                return Ok(holds);
            }
            debug_assert_eq!(test.cost(), Cost::Message);
            let _permit = self.context.imap.whole_messages.acquire().await;
            let message = self.whole(candidate.row).await?;
            Ok(test.holds(&Candidate { message: Some(&message), ..with_header }).unwrap_or(false))
        };
        match read.await {
            Err(Trouble::Store(StoreError::NotFound)) => Ok(false),
            Err(Trouble::Store(StoreError::Damaged(detail))) => {
                tracing::error!(%detail, uid = candidate.row.uid.0, "a damaged message was passed over by SEARCH");
                Ok(false)
            }
            other => other,
        }
    }

    /// The header section; read in pieces until its empty line is there.
    async fn header_of(&self, row: &MessageRow) -> Result<Vec<u8>, Trouble> {
        let (account, store) = (self.account_id()?, self.store());
        let size = u64::from(row.size_bytes);
        let mut octets = Vec::new();
        let mut piece_len = HEADER_PIECE_BYTES;
        loop {
            let piece = store.body(account, row.email, octets.len() as u64, piece_len).await?;
            octets.extend_from_slice(&piece);
            let end = message::header::header_end(&octets);
            if end < octets.len() || piece.is_empty() || octets.len() as u64 >= size {
                octets.truncate(end);
                return Ok(octets);
            }
            piece_len = limits::PIECE_BYTES;
        }
    }

    async fn whole(&self, row: &MessageRow) -> Result<bytes::Bytes, Trouble> {
        Ok(self.store().body(self.account_id()?, row.email, 0, u64::from(row.size_bytes)).await?)
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
        let uid_at = |index: &usize| rows.get(*index).map_or(Uid(0), |row| row.uid);
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

/// The first look into a header: most fit.
const HEADER_PIECE_BYTES: u64 = 8 * 1024;

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
        SearchKey::Or(one, other) => {
            mentions_mod_seq(std::slice::from_ref(one)) || mentions_mod_seq(std::slice::from_ref(other))
        }
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
