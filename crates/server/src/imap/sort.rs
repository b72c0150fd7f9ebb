//! SORT (RFC 5256 §3, RFC 5957; with RETURN: ESORT, RFC 5267 §3): a SEARCH whose answer has an order.
//!
//! Invariant: what is equal by every criterion stands in mailbox order, REVERSE or not (RFC 5256 §3).

use super::failure::{Outcome, Trouble, done};
use super::search::Kind;
use super::session::Session;
use search::{Key, MailboxKeys};
use store::{MessageRow, Rows};
use wire::imap::Tag;
use wire::imap::sort::{Sort, SortCriterion, SortKey};

impl Session {
    /// SORT and UID SORT.
    pub(crate) async fn sort(&mut self, tag: Tag, sort: Sort) -> Outcome {
        let Sort { criteria, search } = sort;
        if criteria.iter().any(|criterion| criterion.key == SortKey::Relevancy) {
            // Read by the grammar, not announced: not offered yet.
            return Err(Trouble::Bad("unknown sort key"));
        }
        let (found, with_mod_seq) = self.searched(&search).await?;
        let sorted = self.sorted(found, criteria).await;
        let sorted = self.bye_if_over(sorted)?;
        self.answer(tag, &search, &sorted, Kind::Sort, with_mod_seq)?;
        done("Sorted")
    }

    /// These indexes (ascending) by the criteria.
    async fn sorted(&self, found: Vec<usize>, criteria: Vec<SortCriterion>) -> Result<Vec<usize>, Trouble> {
        let in_row = |key: SortKey| matches!(key, SortKey::Arrival | SortKey::Size);
        let rows = self.view()?.rows().clone();
        if criteria.iter().all(|criterion| in_row(criterion.key)) {
            return Ok(in_order(&MailboxKeys::default(), &rows, &found, &criteria));
        }
        let keys = self.unless_over(self.sort_keys(&found)).await?;
        let work = move || in_order(&keys, &rows, &found, &criteria);
        self.aside(work).await
    }
}

/// Each index with its first value; what that leaves open the others decide, and last the place in the mailbox.
fn in_order(keys: &MailboxKeys, rows: &Rows, found: &[usize], criteria: &[SortCriterion]) -> Vec<usize> {
    let mut values: Vec<u64> = Vec::with_capacity(found.len() * criteria.len());
    for row in found.iter().filter_map(|index| rows.get(*index)) {
        values.extend(criteria.iter().map(|criterion| match (value(keys, criterion.key, &row), criterion.reverse) {
            (value, false) => value,
            (value, true) => !value,
        }));
    }
    let mut lines: Vec<(&[u64], usize)> = values.chunks(criteria.len().max(1)).zip(found.iter().copied()).collect();
    lines.sort_unstable();
    lines.into_iter().map(|(_, index)| index).collect()
}

fn value(keys: &MailboxKeys, key: SortKey, row: &MessageRow) -> u64 {
    let key = match key {
        SortKey::Arrival => Key::Arrival,
        SortKey::Size => Key::Size,
        SortKey::Date => Key::Date,
        SortKey::Subject => Key::Subject,
        SortKey::From => Key::From,
        SortKey::To => Key::To,
        SortKey::Cc => Key::Cc,
        SortKey::DisplayFrom => Key::DisplayFrom,
        SortKey::DisplayTo => Key::DisplayTo,
        // What nothing is approximate about is all equally relevant.
        SortKey::Relevancy => return 0,
    };
    keys.value(key, row)
}
