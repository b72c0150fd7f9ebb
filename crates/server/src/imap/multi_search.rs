//! ESEARCH, the command: a search of several mailboxes at once, selected or not (RFC 7377).
//!
//! Invariant: answers tell UIDs; a mailbox where nothing matches is not spoken of (§2.1); what is selected stays so, and no
//! news of another mailbox is told.

use super::failure::{Outcome, Trouble, done};
use super::names_numbers;
use super::place::Placed;
use super::search::{Found, Kind};
use super::session::Session;
use super::view::View;
use std::collections::BTreeMap;
use store::{AccountId, MailboxId, StoreError};
use wire::imap::acl::Right;
use wire::imap::esearch::MultiSearch;
use wire::imap::notify::MailboxFilter;
use wire::imap::search::{Search, SearchReturn};
use wire::imap::{MailboxName, Tag};

impl Session {
    /// The command.
    pub(crate) async fn multi_search(&mut self, tag: Tag, multi: MultiSearch) -> Outcome {
        let MultiSearch { sources, search } = multi;
        self.charset_allowed(&search)?;
        let search = self.with_filters(search).await?;
        let numbered = names_numbers(&search.keys);
        if numbered && self.uid_only {
            return Err(Trouble::UidRequired);
        }
        // RFC 9051 §5.5: numbers mean what they meant before the EXPUNGE that this command tells.
        self.sync(!numbered).await?;
        let selected = self.view.as_ref().map(|view| (view.account, view.mailbox.id));
        let sources = sources.unwrap_or_else(|| vec![MailboxFilter::Selected]);
        let only_selected = sources == [MailboxFilter::Selected];
        let with_mod_seq = self.searchable(&search)?;
        if only_selected && selected.is_none() {
            return Err(Trouble::Bad("Select a mailbox first"));
        }
        let saving = search.returns.as_ref().is_some_and(|returns| returns.contains(&SearchReturn::Save));
        if !only_selected && (saving || numbered) {
            return Err(Trouble::Bad("SAVE and message numbers are of the selected mailbox only (RFC 7377)"));
        }
        if search.update().is_some() {
            // RFC 7377 §2.1: nothing is watched that is not selected.
            self.tell_not_watched(&tag);
        }
        for placed in self.searched_mailboxes(&sources, selected).await? {
            if Some(placed.id()) == selected {
                self.search_view(&tag, &search, with_mod_seq, only_selected).await?;
                continue;
            }
            let own_seen = self.keeps_own_seen(placed.id()).await?;
            let mut snapshot = match self.snapshot(placed.id(), own_seen).await {
                Err(Trouble::Store(StoreError::NotFound)) => continue,
                other => other?,
            };
            // The search looks at what is in the place of the selected mailbox.
            let checked = snapshot.highest_mod_seq;
            snapshot.mailbox = placed.mailbox;
            let own = self.view.replace(View::new(placed.account, snapshot, true, checked));
            let outcome = self.search_view(&tag, &search, with_mod_seq, false).await;
            self.view = own;
            outcome?;
        }
        done("Searched")
    }

    async fn search_view(&mut self, tag: &Tag, search: &Search, with_mod_seq: bool, saving: bool) -> Result<(), Trouble> {
        let found = self.found_or_over(search).await?;
        if !found.is_empty() {
            let scores = self.scores_asked(search, &found).await?;
            self.answer(tag.clone(), search, Found { indexes: &found, scores, with_mod_seq }, Kind::Multi)?;
        } else if saving && search.returns.as_ref().is_some_and(|returns| returns.contains(&SearchReturn::Save)) {
            self.view_mut()?.save(Vec::new());
        }
        self.breathe().await
    }

    /// Every mailbox that one of the sources names, once.
    async fn searched_mailboxes(
        &self,
        sources: &[MailboxFilter],
        selected: Option<(AccountId, MailboxId)>,
    ) -> Result<Vec<Placed>, Trouble> {
        let me = self.account_id()?;
        let mut places = self.all_places().await?;
        // One that may be read but not listed is found by its whole name only.
        if let Some(view) = self.view.as_ref().filter(|_| places.iter().all(|placed| Some(placed.id()) != selected)) {
            let (account, mailbox, rights) = (view.account, view.mailbox.clone(), view.rights);
            places.push(Placed { account, own_name: mailbox.name.clone(), mailbox, rights });
        }
        let mut named = BTreeMap::new();
        for source in sources {
            let names = |placed: &&Placed| match source {
                MailboxFilter::Selected | MailboxFilter::SelectedDelayed => Some(placed.id()) == selected,
                // Mail may be delivered to any of one's own.
                MailboxFilter::Inboxes | MailboxFilter::Personal => placed.account == me,
                MailboxFilter::Subscribed => placed.mailbox.subscribed,
                MailboxFilter::Subtree(roots) => roots.iter().any(|root| depth(&placed.mailbox.name, root).is_some()),
                MailboxFilter::SubtreeOne(roots) => {
                    roots.iter().any(|root| depth(&placed.mailbox.name, root).is_some_and(|n| n < 2))
                }
                MailboxFilter::Mailboxes(names) => names.iter().any(|name| name.as_str() == placed.mailbox.name),
            };
            let read = places.iter().filter(|placed| placed.rights.has(Right::Read)).filter(names);
            named.extend(read.map(|placed| (placed.id(), placed.clone())));
        }
        Ok(named.into_values().collect())
    }
}

/// How many levels `name` is below `root`; `None` when it is not.
fn depth(name: &str, root: &MailboxName) -> Option<usize> {
    let below = name.strip_prefix(root.as_str())?;
    if below.is_empty() {
        return Some(0);
    }
    below.strip_prefix('/').map(|below| below.split('/').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_below() {
        let root = MailboxName::new("a/b");
        let depths = ["a/b", "a/b/c", "a/b/c/d", "a/bc", "a"].map(|name| depth(name, &root));
        assert_eq!(depths, [Some(0), Some(1), Some(2), None, None]);
    }
}
