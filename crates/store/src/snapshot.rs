//! The rows of one mailbox in memory, kept up with every act, cheap for the act whoever holds an older view.
//!
//! A base that sessions share, and the changes since; they are folded in when somebody asks or when they have become
//! many. Invariant: base and pending together are exactly the durable rows. Must not know: engines.

use crate::limits::PENDING_ROWS;
use crate::space::Change;
use crate::types::{MessageRow, Uid};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Moving rows up inside a base larger than this costs more than noting what is gone.
const SHIFT_ROWS_MAX: usize = 2048;

#[derive(Debug)]
pub(crate) struct Cached {
    base: Arc<Vec<MessageRow>>,
    pending: Vec<Arc<Change>>,
    pending_rows: usize,
}

fn put(rows: &mut Vec<MessageRow>, row: &MessageRow) {
    if rows.last().is_none_or(|last| last.uid < row.uid) {
        rows.push(row.clone());
        return;
    }
    match rows.binary_search_by_key(&row.uid, |row| row.uid) {
        Ok(place) => {
            if let Some(slot) = rows.get_mut(place) {
                slot.clone_from(row);
            }
        }
        Err(place) => rows.insert(place, row.clone()),
    }
}

impl Cached {
    pub(crate) fn new(base: Arc<Vec<MessageRow>>) -> Cached {
        Cached { base, pending: Vec::new(), pending_rows: 0 }
    }

    /// About how many rows it holds in memory.
    pub(crate) fn len(&self) -> usize {
        self.base.len() + self.pending_rows
    }

    /// Takes the next change in.
    pub(crate) fn take(&mut self, change: &Arc<Change>) {
        let shifts = !change.vanished.is_empty() && self.base.len() > SHIFT_ROWS_MAX;
        if self.pending.is_empty()
            && !shifts
            && let Some(rows) = Arc::get_mut(&mut self.base)
        {
            change.rows.iter().for_each(|row| put(rows, row));
            if !change.vanished.is_empty() {
                rows.retain(|row| change.vanished.binary_search(&row.uid).is_err());
            }
            return;
        }
        self.pending_rows += change.rows.len() + change.vanished.len();
        self.pending.push(change.clone());
        // Folding may copy everything: only when that is paid for by as many changes.
        if self.pending_rows > PENDING_ROWS.max(self.base.len() / 4) {
            self.fold();
        }
    }

    fn fold(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut newest: BTreeMap<Uid, &MessageRow> = BTreeMap::new();
        let mut vanished: HashSet<Uid> = HashSet::new();
        for change in &self.pending {
            newest.extend(change.rows.iter().map(|row| (row.uid, row)));
            vanished.extend(change.vanished.iter().copied());
        }
        let rows = Arc::make_mut(&mut self.base);
        newest.values().for_each(|row| put(rows, row));
        if !vanished.is_empty() {
            rows.retain(|row| !vanished.contains(&row.uid));
        }
        self.pending.clear();
        self.pending_rows = 0;
    }

    /// All rows as they are now.
    pub(crate) fn rows(&mut self) -> Arc<Vec<MessageRow>> {
        self.fold();
        self.base.clone()
    }

    /// These rows as they are now, ascending; those that are not there are left out.
    pub(crate) fn some(&mut self, uids: &[Uid]) -> Vec<MessageRow> {
        if uids.len() * self.pending.len() > 4096 {
            self.fold();
        }
        uids.iter().filter_map(|uid| self.row(*uid)).collect()
    }

    fn row(&self, uid: Uid) -> Option<MessageRow> {
        for change in self.pending.iter().rev() {
            if change.vanished.binary_search(&uid).is_ok() {
                return None;
            }
            if let Ok(place) = change.rows.binary_search_by_key(&uid, |row| row.uid) {
                return change.rows.get(place).cloned();
            }
        }
        let place = self.base.binary_search_by_key(&uid, |row| row.uid).ok()?;
        self.base.get(place).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EmailId, Flags, ModSeq};
    use proptest::prelude::*;

    fn row(uid: u32, mod_seq: u64) -> MessageRow {
        MessageRow {
            uid: Uid(uid),
            email: EmailId(u64::from(uid)),
            mod_seq: ModSeq(mod_seq),
            flags: Flags::default(),
            internal_date_secs: 0,
            size_bytes: 1,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        // Against a plain map, with somebody holding old views now and then.
        #[test]
        fn is_what_a_map_says(acts in proptest::collection::vec((0u8..4, 1u32..40), 1..80)) {
            let mut cached = Cached::new(Arc::default());
            let mut model: BTreeMap<u32, MessageRow> = BTreeMap::new();
            let mut next = 1;
            let mut held = Vec::new();
            for (number, (act, pick)) in acts.into_iter().enumerate() {
                let mod_seq = number as u64 + 1;
                let mut change = Change { mod_seq, mailbox: 1, ..Change::default() };
                match act {
                    0 => { change.rows.push(row(next, mod_seq)); model.insert(next, row(next, mod_seq)); next += 1; }
                    1 if model.contains_key(&pick) => { change.rows.push(row(pick, mod_seq)); model.insert(pick, row(pick, mod_seq)); }
                    2 if model.remove(&pick).is_some() => change.vanished.push(Uid(pick)),
                    _ => held.push(cached.rows()),
                }
                cached.take(&Arc::new(change));
                let all: Vec<Uid> = (1..next).map(Uid).collect();
                prop_assert_eq!(cached.some(&all), model.values().cloned().collect::<Vec<_>>());
            }
            prop_assert_eq!(&*cached.rows(), &model.into_values().collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_act_does_not_copy_a_held_mailbox() {
        let mut cached = Cached::new(Arc::new((1..=100_000).map(|uid| row(uid, 1)).collect()));
        let held = cached.rows();
        for number in 0..100u32 {
            cached.take(&Arc::new(Change { mod_seq: 2, mailbox: 1, rows: vec![row(100_001 + number, 2)], vanished: Vec::new() }));
        }
        assert!(Arc::ptr_eq(&held, &cached.base));
        assert_eq!(cached.rows().len(), 100_100);
        assert_eq!(held.len(), 100_000);
    }
}
