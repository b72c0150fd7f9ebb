//! SORT (RFC 5256 §3, RFC 5957; with RETURN: ESORT, RFC 5267 §3): a SEARCH whose answer has an order.
//!
//! Invariant: what is equal by every criterion stands in mailbox order, REVERSE or not (RFC 5256 §3).

use super::failure::{Outcome, Trouble, done};
use super::search::{Found, Kind};
use super::session::Session;
use search::{Key, MailboxKeys, Walk};
use store::{MessageRow, Rows};
use wire::imap::Tag;
use wire::imap::search::Search;
use wire::imap::sort::{Sort, SortCriterion, SortKey};

impl Session {
    /// SORT and UID SORT.
    pub(crate) async fn sort(&mut self, tag: Tag, sort: Sort) -> Outcome {
        let Sort { criteria, search } = sort;
        self.tag_is_free(&tag, &search)?;
        let search = self.with_filters(search).await?;
        let (found, with_mod_seq) = self.searched(&search).await?;
        let sorted = self.sorted(&search, found, criteria.clone()).await;
        let sorted = self.bye_if_over(sorted)?;
        let scores = self.scores_asked(&search, &sorted).await?;
        self.answer(tag.clone(), &search, Found { indexes: &sorted, scores, with_mod_seq }, Kind::Sort)?;
        self.watch(&tag, &search, &criteria, &sorted, true)?;
        done("Sorted")
    }

    /// These indexes (ascending), found by the search, by the criteria.
    pub(super) async fn sorted(
        &mut self,
        search: &Search,
        found: Vec<usize>,
        criteria: Vec<SortCriterion>,
    ) -> Result<Vec<usize>, Trouble> {
        let asks = |key: SortKey| criteria.iter().any(|criterion| criterion.key == key);
        let mut scores = Vec::new();
        if asks(SortKey::Relevancy) {
            scores = self.scores(search, &found).await?;
        }
        let in_row = |key: SortKey| matches!(key, SortKey::Arrival | SortKey::Size | SortKey::Relevancy);
        let rows = self.view()?.rows().clone();
        if criteria.iter().all(|criterion| in_row(criterion.key)) {
            return Ok(in_order(&MailboxKeys::default(), &rows, (&found, &scores), &criteria));
        }
        let seeker = self.seeker()?;
        let (keys, found) = self.unless_over(async move { Ok((seeker.keys(&found).await?, found)) }).await?;
        let work = move || in_order(&keys, &rows, (&found, &scores), &criteria);
        self.aside(work).await
    }
}

/// By the values of the criteria; what is equal by all of them stays in the order of the mailbox.
fn in_order(keys: &MailboxKeys, rows: &Rows, (found, scores): (&[usize], &[u8]), criteria: &[SortCriterion]) -> Vec<usize> {
    let mut values: Vec<u64> = Vec::with_capacity(found.len() * criteria.len());
    let mut walk = keys.walk();
    for (at, row) in rows.at(found).enumerate() {
        // The best first (RFC 6203 §5).
        let worth = 100 - u64::from(scores.get(at).copied().unwrap_or(100));
        values.extend(criteria.iter().map(|criterion| match (value(&mut walk, criterion.key, &row, worth), criterion.reverse) {
            (value, false) => value,
            (value, true) => !value,
        }));
    }
    if criteria.len() == 1
        && let Some(sorted) = by_one(&values, found)
    {
        return sorted;
    }
    let mut lines: Vec<(&[u64], usize)> = values.chunks(criteria.len().max(1)).zip(found.iter().copied()).collect();
    lines.sort_unstable();
    lines.into_iter().map(|(_, index)| index).collect()
}

/// By one criterion, value and place as one number, which is sorted without looking anywhere else. `None`: the values are too far from each other.
fn by_one(values: &[u64], found: &[usize]) -> Option<Vec<usize>> {
    let least = values.iter().copied().min().unwrap_or_default();
    let mut lines: Vec<u64> = Vec::with_capacity(found.len());
    for (value, index) in values.iter().zip(found) {
        let (value, index) = (u32::try_from(value - least).ok()?, u32::try_from(*index).ok()?);
        lines.push(u64::from(value) << 32 | u64::from(index));
    }
    lines.sort_unstable();
    Some(lines.into_iter().map(|line| line as u32 as usize).collect())
}

fn value(keys: &mut Walk<'_>, key: SortKey, row: &MessageRow, worth: u64) -> u64 {
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
        SortKey::Relevancy => return worth,
    };
    keys.value(key, row)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever way is taken, equal ones stay in mailbox order.
    #[test]
    fn one_criterion_is_sorted_as_many_are() {
        let wide = u64::MAX - 7;
        for values in
            [vec![5, 3, 5, 1, 3], vec![!5, !3, !5, !1, !3], vec![wide, 3, wide, 1], vec![u64::from(u32::MAX), 0, 0], vec![]]
        {
            let found: Vec<usize> = (0..values.len()).map(|at| at * 3 + 1).collect();
            let mut expected = found.clone();
            expected.sort_by_key(|index| values.get(index / 3).copied());
            let is_wide = values.contains(&wide);
            assert_eq!(by_one(&values, &found), (!is_wide).then_some(expected), "{values:?}");
        }
    }
}
