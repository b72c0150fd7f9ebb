//! SEARCH (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 4731, RFC 5182, RFC 7162 §3.1.5, RFC 9394), and what SORT and THREAD share.
//!
//! What matches is `search`'s to say. Invariant: no EXPUNGE while message numbers are in play.

mod plan;

use super::failure::{Outcome, Trouble, done, no};
use super::flags::number_at;
use super::session::{Indexes, Session, merge};
use super::view::View;
use super::{any_key, names_numbers};
use crate::context::unix_now;
use search::{MailboxKeys, Query, Searcher};
use smol_str::SmolStr;
use store::{AccountId, MailboxId, Rows, StoreError, Uid};
use tokio::sync::OwnedMutexGuard;
use wire::imap::esearch::ESearch;
use wire::imap::response::Response;
use wire::imap::search::{PartialRange, Search, SearchKey, SearchReturn};
use wire::imap::{Code, MailboxName, SequenceSet, Tag};

/// Whose answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Search,
    Sort,
    /// ESEARCH, the command: each answer names its mailbox.
    Multi,
}

impl Session {
    /// SEARCH and UID SEARCH.
    pub(crate) async fn search(&mut self, tag: Tag, search: Search) -> Outcome {
        self.tag_is_free(&tag, &search)?;
        self.charset_allowed(&search)?;
        let search = self.with_filters(search).await?;
        let (mut found, with_mod_seq) = self.searched(&search).await?;
        let cut = self.newest_searched(&search.keys, &mut found)?;
        let scores = self.scores_asked(&search, &found).await?;
        self.answer(tag.clone(), &search, Found { indexes: &found, scores, with_mod_seq }, Kind::Search)?;
        self.watch(&tag, &search, &[], &found, cut.is_none())?;
        self.ended(done("Searched"), cut)
    }

    /// RETURN (RELEVANCY): how well each of these matches.
    pub(super) async fn scores_asked(&mut self, search: &Search, found: &[usize]) -> Result<Option<Vec<u8>>, Trouble> {
        if !search.returns.as_ref().is_some_and(|returns| returns.contains(&SearchReturn::Relevancy)) {
            return Ok(None);
        }
        let scores = self.scores(search, found).await;
        self.bye_if_over(scores).map(Some)
    }

    /// RFC 6203 §4: a hundred for what matches to the letter, half for what matches by its words.
    pub(super) async fn scores(&mut self, search: &Search, found: &[usize]) -> Result<Vec<u8>, Trouble> {
        let exact = Search { keys: search.keys.iter().map(plan::to_the_letter).collect(), ..search.clone() };
        let mut ascending = found.to_vec();
        ascending.sort_unstable();
        let (query, seeker) = (self.query(&exact).await?, self.seeker()?);
        let query = Query::All(vec![Query::Among(merge(ascending.into_iter())), query]);
        let exact = self.unless_over(async move { seeker.run(query).await }).await?;
        let score = |index: &usize| if exact.binary_search(index).is_ok() { 100 } else { 50 };
        Ok(found.iter().map(score).collect())
    }

    /// Indexes of what matches, ascending, and whether mod-sequences are told.
    pub(super) async fn searched(&mut self, search: &Search) -> Result<(Vec<usize>, bool), Trouble> {
        // RFC 9051 §5.5: numbers in UID SEARCH mean what they meant before the EXPUNGE that this command tells.
        self.sync(search.uid && !names_numbers(&search.keys)).await?;
        self.view()?;
        if self.uid_only && names_numbers(&search.keys) {
            return Err(Trouble::UidRequired);
        }
        let with_mod_seq = self.searchable(search)?;
        Ok((self.found_or_over(search).await?, with_mod_seq))
    }

    /// RFC 9755 §3: SEARCH has no CHARSET any more; SORT and THREAD always have.
    pub(super) fn charset_allowed(&self, search: &Search) -> Result<(), Trouble> {
        match search.charset.is_some() && self.wire.utf8() && !self.rev2 {
            true => Err(Trouble::Bad("After UTF8=ACCEPT there is no CHARSET (RFC 9755)")),
            false => Ok(()),
        }
    }

    /// Refuses what cannot be searched; answers whether mod-sequences are told.
    pub(super) fn searchable(&mut self, search: &Search) -> Result<bool, Trouble> {
        let returns = search.returns.as_deref().unwrap_or_default();
        returns_make_sense(returns)?;
        let saving = returns.contains(&SearchReturn::Save);
        if !search.charset_supported() {
            if let (true, Some(view)) = (saving, self.view.as_mut()) {
                view.save(Vec::new());
            }
            let known = message::charset::NAMES.map(SmolStr::new_static).to_vec();
            return Err(no(Code::BadCharset(known), "That charset is not known"));
        }
        let with_mod_seq = mentions_mod_seq(&search.keys);
        if with_mod_seq {
            self.enable_condstore();
        }
        Ok(with_mod_seq)
    }

    /// Indexes of what matches in the view, ascending.
    pub(super) async fn found_or_over(&mut self, search: &Search) -> Result<Vec<usize>, Trouble> {
        let found = self.found(search).await;
        let saving = search.returns.as_ref().is_some_and(|returns| returns.contains(&SearchReturn::Save));
        if let (Err(_), true, Some(view)) = (&found, saving, self.view.as_mut()) {
            // RFC 5182 §2.1: a SEARCH that failed leaves an empty result.
            view.save(Vec::new());
        }
        self.bye_if_over(found)
    }

    /// Whoever's session ended during long work is told.
    pub(super) fn bye_if_over<T>(&mut self, outcome: Result<T, Trouble>) -> Result<T, Trouble> {
        if matches!(outcome, Err(Trouble::Over)) {
            self.wire.bye(None, "The session is over");
        }
        outcome
    }

    /// Long thinking, away from the threads that serve connections.
    pub(super) async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| Trouble::Store(StoreError::Io("a search broke off".to_owned())))
    }

    /// Indexes of what matches, ascending.
    async fn found(&mut self, search: &Search) -> Result<Vec<usize>, Trouble> {
        let (query, seeker) = (self.query(search).await?, self.seeker()?);
        self.unless_over(async move { seeker.run(query).await }).await
    }

    /// The same, of these only.
    pub(super) async fn found_among(&self, search: &Search, among: Indexes) -> Result<Vec<usize>, Trouble> {
        if among.is_empty() {
            return Ok(Vec::new());
        }
        let query = self.query(search).await?;
        self.seeker()?.run(Query::All(vec![Query::Among(among), query])).await
    }

    async fn query(&self, search: &Search) -> Result<Query, Trouble> {
        let named = self.object_ids(&search.keys).await?;
        self.plan(&search.keys, &named, unix_now())
    }

    /// What looks into the selected mailbox.
    pub(super) fn seeker(&self) -> Result<Seeker, Trouble> {
        let view = self.view()?;
        let rows = view.rows().clone();
        Ok(Seeker { search: self.context.search.clone(), account: view.account, mailbox: view.mailbox.id, rows })
    }

    /// Numbers a search names; in a search what is not there simply does not match (an empty mailbox included).
    pub(super) fn resolve_loosely(&self, set: &SequenceSet, uid: bool) -> Result<Indexes, Trouble> {
        if !uid && !set.is_saved() && self.view()?.exists() == 0 {
            return Ok(Indexes::new());
        }
        self.resolve(set, uid)
    }

    /// ESEARCH with RETURN, and for a SEARCH under IMAP4rev2; else SEARCH or SORT. `found` stands in the answer's order.
    pub(super) fn answer(&mut self, tag: Tag, search: &Search, answered: Found<'_>, kind: Kind) -> Result<(), Trouble> {
        let Found { indexes: found, scores, with_mod_seq } = answered;
        let plain = search.returns.is_none() && (kind == Kind::Sort || (kind == Kind::Search && !self.rev2));
        let told = Told { view: self.view()?, uid: search.uid, kind, with_mod_seq, scores };
        if plain {
            let (numbers, mod_seq) = (told.numbers(found), told.highest(found));
            let response = match kind {
                Kind::Sort => Response::Sort { numbers, mod_seq },
                _ => Response::Search { numbers: numbers.into_iter().collect(), mod_seq },
            };
            self.wire.untagged(&response);
            return Ok(());
        }
        let returns = search.returns.as_deref().unwrap_or_default();
        let response = told.esearch(tag, returns, found);
        let saved = returns.contains(&SearchReturn::Save).then(|| {
            let chosen = chosen(returns, found);
            let mut uids: Vec<Uid> = chosen.iter().filter_map(|index| told.view.rows().uid(*index)).collect();
            uids.sort_unstable();
            uids
        });
        // RFC 5182 §2.1: SAVE alone is answered by the tagged OK only.
        if *returns != [SearchReturn::Save] {
            self.wire.untagged(&Response::ESearch(response));
        }
        if let Some(saved) = saved {
            self.view_mut()?.save(saved);
        }
        Ok(())
    }
}

/// Looks into a mailbox as it was, without the session.
pub(super) struct Seeker {
    search: Searcher,
    account: AccountId,
    mailbox: MailboxId,
    rows: Rows,
}

impl Seeker {
    async fn run(self, query: Query) -> Result<Vec<usize>, Trouble> {
        Ok(self.search.mailbox(self.account, self.mailbox, &self.rows, query).await?)
    }

    /// What the messages at these indexes (ascending) are sorted and threaded by.
    pub(super) async fn keys(self, found: &[usize]) -> Result<OwnedMutexGuard<MailboxKeys>, Trouble> {
        Ok(self.search.keys(self.account, self.mailbox, &self.rows, found).await?)
    }
}

/// As the client numbers the messages at these indexes: by UID, or in order.
pub(super) fn numbers(rows: &Rows, uid: bool, indexes: &[usize]) -> Vec<u32> {
    if uid { rows.uids_at(indexes) } else { indexes.iter().map(|index| number_at(*index)).collect() }
}

/// What a search found, in the answer's order.
pub(super) struct Found<'a> {
    pub(super) indexes: &'a [usize],
    /// RFC 6203 §4: one for each, where they are asked for.
    pub(super) scores: Option<Vec<u8>>,
    pub(super) with_mod_seq: bool,
}

/// How results are told.
struct Told<'a> {
    view: &'a View,
    uid: bool,
    kind: Kind,
    with_mod_seq: bool,
    scores: Option<Vec<u8>>,
}

impl Told<'_> {
    fn number(&self, index: usize) -> u32 {
        if self.uid { self.view.rows().uid(index).map_or(0, |uid| uid.0) } else { number_at(index) }
    }

    fn numbers(&self, found: &[usize]) -> Vec<u32> {
        numbers(self.view.rows(), self.uid, found)
    }

    /// The highest mod-sequence of these, where it is told.
    fn highest(&self, found: &[usize]) -> Option<u64> {
        let known = found.iter().filter_map(|index| self.view.rows().get(*index)).map(|row| row.mod_seq.0);
        if self.with_mod_seq { known.max() } else { None }
    }

    fn esearch(&self, tag: Tag, returns: &[SearchReturn], found: &[usize]) -> ESearch {
        let wants = |option| returns.contains(&option);
        let all = returns.is_empty() || wants(SearchReturn::All);
        let sorted = self.kind == Kind::Sort;
        let one = |index: Option<&usize>| index.map(|index| self.number(*index));
        let mailbox = &self.view.mailbox;
        ESearch {
            tag: Some(tag),
            mailbox: (self.kind == Kind::Multi).then(|| (MailboxName::new(&mailbox.name), mailbox.uid_validity)),
            uid: self.uid,
            min: one(found.first().filter(|_| wants(SearchReturn::Min))),
            max: one(found.last().filter(|_| wants(SearchReturn::Max))),
            count: wants(SearchReturn::Count).then(|| u32::try_from(found.len()).unwrap_or(u32::MAX)),
            all: (all && !sorted).then(|| self.numbers(found).into_iter().collect()),
            all_sorted: (all && sorted).then(|| self.numbers(found)),
            partial: window(returns)
                .map(|range| (range, self.numbers(found.get(range.positions(found.len())).unwrap_or_default()))),
            relevancy: self.scores.as_ref().map(|scores| {
                let told = window(returns).map_or(0..scores.len(), |range| range.positions(scores.len()));
                scores.get(told).unwrap_or_default().to_vec()
            }),
            mod_seq: self.highest(&chosen(returns, found)),
            ..ESearch::default()
        }
    }
}

/// The window asked for (RFC 9394 §3.1).
fn window(returns: &[SearchReturn]) -> Option<PartialRange> {
    returns.iter().find_map(|option| if let SearchReturn::Partial(range) = option { Some(*range) } else { None })
}

fn returns_make_sense(returns: &[SearchReturn]) -> Result<(), Trouble> {
    use SearchReturn::{All, Partial};
    let windows = returns.iter().filter(|option| matches!(option, Partial(_))).count();
    if windows > 1 || (windows == 1 && returns.contains(&All)) {
        return Err(Trouble::Bad("One PARTIAL, and no ALL beside it (RFC 9394)"));
    }
    Ok(())
}

/// What SAVE keeps and MODSEQ is the highest of: with MIN, MAX or PARTIAL but neither ALL nor COUNT only what these name
/// (RFC 5182 §2.4, RFC 4731 §3.2, RFC 9394 §3.3).
fn chosen(returns: &[SearchReturn], found: &[usize]) -> Vec<usize> {
    let (min, max) = (returns.contains(&SearchReturn::Min), returns.contains(&SearchReturn::Max));
    let window = window(returns);
    let some = min || max || window.is_some();
    if !some || returns.contains(&SearchReturn::All) || returns.contains(&SearchReturn::Count) {
        return found.to_vec();
    }
    let mut kept: Vec<usize> = Vec::new();
    kept.extend(found.first().filter(|_| min));
    kept.extend(found.last().filter(|_| max));
    kept.extend(window.and_then(|range| found.get(range.positions(found.len()))).into_iter().flatten());
    kept.sort_unstable();
    kept.dedup();
    kept
}

fn mentions_mod_seq(keys: &[SearchKey]) -> bool {
    any_key(keys, &|key| matches!(key, SearchKey::ModSeq(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn save_with_min_and_max_keeps_only_those() {
        use SearchReturn::{All, Count, Max, Min, Partial, Save};
        assert_eq!(chosen(&[Save], &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(chosen(&[Save, Min], &[1, 2, 3]), [1]);
        assert_eq!(chosen(&[Save, Min, Max], &[1, 2, 3]), [1, 3]);
        assert_eq!(chosen(&[Save, Min, Max], &[2]), [2]);
        assert_eq!(chosen(&[Save, Min, All], &[1, 2, 3]), [1, 2, 3]);
        let last = || Partial(PartialRange { from_end: true, first: 1, last: 2 });
        assert_eq!(chosen(&[Save, last()], &[1, 2, 3]), [2, 3]);
        assert_eq!(chosen(&[Save, last(), Min], &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(chosen(&[Save, last(), Count], &[1, 2, 3]), [1, 2, 3]);
        assert!(returns_make_sense(&[last(), All]).is_err() && returns_make_sense(&[last(), last()]).is_err());
    }
}
