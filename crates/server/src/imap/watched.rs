//! Searches that are watched (RFC 5267 §4: UPDATE, ADDTO, REMOVEFROM, CANCELUPDATE), in an order or without one.
//!
//! A watched search remembers the rows it was answered by; what became of them since is all that is tested again. Invariant: what
//! the client was told, applied in turn, is the search's answer now; what is expunged is removed before its EXPUNGE, while its
//! number is still right. Must not know: how messages are tested.

use super::failure::{Outcome, Trouble, done};
use super::flags::number_at;
use super::limits;
use super::session::{Session, merge};
use super::{any_key, names_numbers, names_saved};
use std::collections::BTreeSet;
use std::ops::Range;
use store::{Rows, Uid};
use wire::imap::esearch::{ContextChange, ESearch};
use wire::imap::fetch::FetchItem;
use wire::imap::response::{Kind, Response, StatusText};
use wire::imap::search::{Search, SearchKey};
use wire::imap::sort::SortCriterion;
use wire::imap::{Code, Tag};

/// Is the last message (`*`) among the UIDs of these keys?
fn names_last(keys: &[SearchKey]) -> bool {
    any_key(keys, &|key| matches!(key, SearchKey::Uid(set) if set.names_last()))
}

/// Does one of these keys ask how old a message is (RFC 5032)?
fn names_ages(keys: &[SearchKey]) -> bool {
    any_key(keys, &|key| matches!(key, SearchKey::Older(_) | SearchKey::Younger(_)))
}

/// One of them; it lives as long as its mailbox is selected.
#[derive(Debug)]
pub(crate) struct Watched {
    tag: Tag,
    search: Search,
    /// Empty: no order.
    criteria: Vec<SortCriterion>,
    /// In its order; without one ascending.
    result: Vec<Uid>,
    /// As of which the result is.
    rows: Rows,
}

impl Session {
    /// RFC 5267 §4.3: two searches that are watched never have one tag.
    pub(super) fn tag_is_free(&mut self, tag: &Tag, search: &Search) -> Result<(), Trouble> {
        let updates = search.update().is_some();
        let mut watched = self.view.iter_mut().flat_map(|view| view.watched_mut());
        match updates && watched.any(|known| known.tag == *tag) {
            true => Err(Trouble::Bad("A search of that tag is watched already")),
            false => Ok(()),
        }
    }

    /// RETURN (UPDATE): this search is watched from now on, unless there are too many, it was cut, or it cannot be.
    pub(super) fn watch(
        &mut self,
        tag: &Tag,
        search: &Search,
        criteria: &[SortCriterion],
        found: &[usize],
        whole: bool,
    ) -> Result<(), Trouble> {
        if search.update().is_none() {
            return Ok(());
        }
        let view = self.view_mut()?;
        let watched = view.watched_mut();
        // Numbers mean other messages later, and so does what was saved; ages pass without anything happening.
        let means_another = names_numbers(&search.keys) || names_saved(&search.keys) || names_ages(&search.keys);
        if !whole || watched.len() >= limits::WATCHED_MAX || means_another {
            self.tell_not_watched(tag);
            return Ok(());
        }
        let rows = view.rows().clone();
        let result = found.iter().filter_map(|index| rows.uid(*index)).collect();
        let one = Watched { tag: tag.clone(), search: search.clone(), criteria: criteria.to_vec(), result, rows };
        view.watched_mut().push(one);
        Ok(())
    }

    /// RFC 5267 §4.3.1: the search is answered, but not watched.
    pub(super) fn tell_not_watched(&mut self, tag: &Tag) {
        let code = Some(Code::NoUpdate(tag.clone()));
        let status = StatusText { kind: Kind::No, code, text: "This search is not watched".to_owned() };
        self.wire.untagged(&Response::Condition(status));
    }

    /// CANCELUPDATE.
    pub(crate) fn cancel_update(&mut self, tags: &[Tag]) -> Outcome {
        let watched = self.view_mut()?.watched_mut();
        if tags.iter().any(|tag| !watched.iter().any(|known| known.tag == *tag)) {
            return Err(Trouble::Bad("No search of that tag is watched"));
        }
        watched.retain(|known| !tags.contains(&known.tag));
        done("Not watched any more")
    }

    /// Before EXPUNGE: these (ascending) leave the results they are in; `before` are the rows with their numbers.
    pub(super) fn tell_removed(&mut self, before: &Rows, gone: &[Uid]) -> Result<(), Trouble> {
        if gone.is_empty() {
            return Ok(());
        }
        let Some(view) = self.view.as_mut() else { return Ok(()) };
        let mut watched = std::mem::take(view.watched_mut());
        for one in &mut watched {
            let number = |uid: Uid| if one.search.uid { Some(uid.0) } else { before.index_of(uid).map(number_at) };
            let changes = one.removals(|uid| gone.binary_search(&uid).is_ok(), number);
            one.result.retain(|uid| gone.binary_search(uid).is_err());
            if !changes.is_empty() {
                self.wire.untagged(&Response::ESearch(one.told(changes)));
            }
        }
        *self.view_mut()?.watched_mut() = watched;
        Ok(())
    }

    /// What became of the results since they were told.
    pub(super) async fn tell_watched(&mut self) -> Result<(), Trouble> {
        let Some(view) = self.view.as_mut() else { return Ok(()) };
        let mut kept = Vec::with_capacity(view.watched_mut().len());
        for mut one in std::mem::take(view.watched_mut()) {
            match self.renewed(&mut one).await {
                Ok(response) => {
                    response.into_iter().for_each(|response| self.wire.untagged(&Response::ESearch(response)));
                    kept.push(one);
                }
                Err(Trouble::Over) => return Err(Trouble::Over),
                // What became of it is not known: the others are told as before, and of this one that it ended (§4.3.1).
                Err(trouble) => {
                    if let Trouble::Store(error) = &trouble {
                        super::failure::from_store(error);
                    }
                    self.tell_not_watched(&one.tag);
                }
            }
        }
        *self.view_mut()?.watched_mut() = kept;
        Ok(())
    }

    /// RFC 5465 §7: what the watched searches ask of new messages, and of which of these.
    pub(super) async fn asked_of_new(&mut self, new: Range<usize>) -> Result<Vec<(Vec<FetchItem>, Vec<usize>)>, Trouble> {
        let asks = |one: &Watched| Some((one.search.clone(), one.search.update().filter(|items| !items.is_empty())?.to_vec()));
        let asking: Vec<_> = self.view_mut()?.watched_mut().iter().filter_map(asks).collect();
        let mut asked = Vec::with_capacity(asking.len());
        for (search, items) in asking {
            asked.push((items, self.found_among(&search, vec![new.clone()]).await?));
        }
        Ok(asked)
    }

    async fn renewed(&mut self, one: &mut Watched) -> Result<Option<ESearch>, Trouble> {
        let rows = self.view()?.rows().clone();
        if one.rows.is_same(&rows) {
            return Ok(None);
        }
        let difference = one.rows.difference(&rows);
        let mut touched = [difference.changed, difference.arrived].concat();
        if names_last(&one.search.keys) {
            // `*` was one message, and is another: no other one is in a range by that alone.
            let last = |rows: &Rows| rows.uid(rows.len().checked_sub(1)?);
            touched.extend([last(&one.rows), last(&rows)].into_iter().flatten().filter_map(|uid| rows.index_of(uid)));
        }
        one.rows = rows.clone();
        touched.sort_unstable();
        touched.dedup();
        let matching = self.found_among(&one.search, merge(touched.iter().copied())).await?;
        let uids = |indexes: &[usize]| indexes.iter().filter_map(|index| rows.uid(*index)).collect::<BTreeSet<Uid>>();
        let (touched, matching) = (uids(&touched), uids(&matching));
        let number = |uid: Uid| if one.search.uid { Some(uid.0) } else { rows.index_of(uid).map(number_at) };
        let leaves = |uid: Uid| (touched.contains(&uid) && !matching.contains(&uid)) || rows.index_of(uid).is_none();
        let mut changes = one.removals(leaves, number);
        let kept: Vec<Uid> = one.result.iter().copied().filter(|uid| !leaves(*uid)).collect();
        let here: BTreeSet<Uid> = kept.iter().copied().collect();
        let added: BTreeSet<Uid> = matching.difference(&here).copied().collect();
        one.result = kept;
        if !added.is_empty() {
            one.result.extend(&added);
            one.result.sort_unstable();
            if !one.criteria.is_empty() {
                let indexes = one.result.iter().filter_map(|uid| rows.index_of(*uid)).collect();
                let sorted = self.sorted(&one.search, indexes, one.criteria.clone()).await?;
                one.result = sorted.iter().filter_map(|index| rows.uid(*index)).collect();
            }
            changes.extend(one.additions(&added, number));
        }
        Ok((!changes.is_empty()).then(|| one.told(changes)))
    }
}

impl Watched {
    fn told(&self, changes: Vec<ContextChange>) -> ESearch {
        ESearch { tag: Some(self.tag.clone()), uid: self.search.uid, changes, ..ESearch::default() }
    }

    /// In an order each with its position at that moment, those behind it having moved up; without one all together.
    fn removals(&self, leaves: impl Fn(Uid) -> bool, number: impl Fn(Uid) -> Option<u32>) -> Vec<ContextChange> {
        let mut changes = Vec::new();
        let gone = self.result.iter().enumerate().filter(|(_, uid)| leaves(**uid));
        for (before, (position, number)) in gone.filter_map(|(at, uid)| Some((at, number(*uid)?))).enumerate() {
            self.push(&mut changes, false, position - before, number);
        }
        changes
    }

    fn additions(&self, added: &BTreeSet<Uid>, number: impl Fn(Uid) -> Option<u32>) -> Vec<ContextChange> {
        let mut changes = Vec::new();
        for (position, uid) in self.result.iter().enumerate().filter(|(_, uid)| added.contains(uid)) {
            if let Some(number) = number(*uid) {
                self.push(&mut changes, true, position, number);
            }
        }
        changes
    }

    fn push(&self, changes: &mut Vec<ContextChange>, added: bool, position: usize, number: u32) {
        let ordered = !self.criteria.is_empty();
        let position = if ordered { number_at(position) } else { 0 };
        match changes.last_mut() {
            Some(last) if !ordered => last.numbers.push(number),
            // What is inserted one behind the other stands together (RFC 5267 §4.3.3).
            Some(last) if added && last.position as usize + last.numbers.len() == position as usize => {
                last.numbers.push(number);
            }
            _ => changes.push(ContextChange { added, position, numbers: vec![number] }),
        }
    }
}
