//! Flags that many messages of a mailbox got in one act: runs over UIDs in one row, instead of every message's row anew.
//!
//! A run stands in place of what the rows of its UIDs say, where it has the newer mod-sequence. Invariant: between the
//! first and the last UID of a run there is no row that is not of the run (UIDs are only ever given above all others).
//! Must not know: engines, acts.

use crate::engine::Key;
use crate::packed::Rows;
use crate::rows::{read_flags, write_flags};
use crate::types::{Flags, MessageRow, ModSeq, StoreError, Uid};
use crate::value::{Writer, decoded, open};

/// Octets a run takes at most without keywords, about: more of them than rows are worth is not written.
const RUN_BYTES: usize = 8;
/// Octets that a message's own row takes, about.
const ROW_BYTES: usize = 64;

/// Messages in a row, by UID, with the same flags since the same act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlagRun {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) mod_seq: u64,
    pub(crate) flags: Flags,
}

pub(crate) fn encode_flag_runs(key: &Key, runs: &[FlagRun]) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(runs.len() as u64);
    let (mut at, mut mod_seq) = (0u32, 0u64);
    for run in runs {
        out.number(u64::from(run.first.wrapping_sub(at))).number(u64::from(run.last.wrapping_sub(run.first)));
        out.signed(run.mod_seq.wrapping_sub(mod_seq) as i64);
        write_flags(&mut out, &run.flags);
        (at, mod_seq) = (run.last, run.mod_seq);
    }
    out.seal(key)
}

pub(crate) fn decode_flag_runs(key: &Key, stored: &[u8]) -> Result<Vec<FlagRun>, StoreError> {
    let mut reader = open(key, stored)?;
    decoded(
        key,
        (|| {
            let mut runs: Vec<FlagRun> = Vec::new();
            let (mut at, mut mod_seq) = (0u32, 0u64);
            for _ in 0..reader.count()? {
                let first = at.checked_add(reader.number32()?)?;
                at = first.checked_add(reader.number32()?)?;
                mod_seq = mod_seq.wrapping_add(reader.signed()? as u64);
                if runs.last().is_some_and(|before| before.last >= first) {
                    return None;
                }
                runs.push(FlagRun { first, last: at, mod_seq, flags: read_flags(&mut reader)? });
            }
            reader.end()?;
            Some(runs)
        })(),
    )
}

/// The act that wrote them: it changed something itself.
pub(crate) fn newest_of(runs: &[FlagRun]) -> u64 {
    runs.iter().map(|run| run.mod_seq).max().unwrap_or(0)
}

/// Gives rows (ascending) what the runs say of them.
pub(crate) fn apply_flag_runs(rows: &mut [MessageRow], runs: &[FlagRun]) {
    let mut runs = runs.iter().peekable();
    for row in rows {
        while runs.next_if(|run| run.last < row.uid.0).is_some() {}
        let Some(run) = runs.peek() else { return };
        if run.first <= row.uid.0 && run.mod_seq > row.mod_seq.0 {
            row.mod_seq.0 = run.mod_seq;
            row.flags.clone_from(&run.flags);
        }
    }
}

/// The runs of a mailbox after `changed` (ascending): what the old ones still say of `rows`, and these. `None` when rows
/// of their own take less.
pub(crate) fn gather_flag_runs(
    rows: impl Iterator<Item = MessageRow>,
    old: &[FlagRun],
    changed: &[MessageRow],
) -> Option<Vec<FlagRun>> {
    let mut old = old.iter().peekable();
    let mut rest = changed.iter().peekable();
    let mut runs: Vec<FlagRun> = Vec::new();
    let mut goes_on = false;
    for row in rows {
        while old.next_if(|run| run.last < row.uid.0).is_some() {}
        let now = rest.next_if(|changed| changed.uid == row.uid);
        let kept = old.peek().is_some_and(|run| run.first <= row.uid.0 && run.mod_seq == row.mod_seq.0);
        let Some(row) = now.or(kept.then_some(&row)) else {
            goes_on = false;
            continue;
        };
        match runs.last_mut().filter(|run| goes_on && run.mod_seq == row.mod_seq.0 && run.flags == row.flags) {
            Some(run) => run.last = row.uid.0,
            None => runs.push(FlagRun { first: row.uid.0, last: row.uid.0, mod_seq: row.mod_seq.0, flags: row.flags.clone() }),
        }
        goes_on = true;
    }
    shorter(runs, changed.len())
}

/// `None`: so many rows of their own take less.
fn shorter(runs: Vec<FlagRun>, rows: usize) -> Option<Vec<FlagRun>> {
    (runs.len() * RUN_BYTES <= rows * ROW_BYTES).then_some(runs)
}

/// The same where one act changed all rows of the mailbox.
pub(crate) fn flag_runs_of_all(rows: &Rows, mod_seq: ModSeq) -> Option<Vec<FlagRun>> {
    let run = |(first, last, flags): (Uid, Uid, Flags)| FlagRun { first: first.0, last: last.0, mod_seq: mod_seq.0, flags };
    shorter(rows.spans().into_iter().map(run).collect(), rows.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key;
    use crate::types::{AccountId, EmailId, MailboxId};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn row(uid: u32, mod_seq: u64, system: u8) -> MessageRow {
        MessageRow {
            uid: Uid(uid),
            email: EmailId(u64::from(uid)),
            mod_seq: ModSeq(mod_seq),
            flags: Flags { system, keywords: None },
            internal_date_secs: 0,
            size_bytes: 1,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        // Rows of their own for some changes, runs for others, arrivals and expunges between them: read together they
        // are what the mailbox is.
        #[test]
        fn rows_and_runs_together_are_the_mailbox(acts in proptest::collection::vec((0u8..4, 1u32..50, 1u32..50, 0u8..4), 1..40)) {
            let at = key::flags(AccountId(1), MailboxId(1));
            let mut now: BTreeMap<u32, MessageRow> = BTreeMap::new();
            let mut stored: BTreeMap<u32, MessageRow> = BTreeMap::new();
            let mut runs = encode_flag_runs(&at, &[]);
            let mut next = 1;
            for (number, (act, from, count, system)) in acts.into_iter().enumerate() {
                let mod_seq = number as u64 + 1;
                let some: Vec<MessageRow> = now.range(from..from + count).map(|(uid, _)| row(*uid, mod_seq, system)).collect();
                match act {
                    0 => {
                        for uid in next..next + count {
                            now.insert(uid, row(uid, mod_seq, system));
                            stored.insert(uid, row(uid, mod_seq, system));
                        }
                        next += count;
                    }
                    1 => for row in some.iter().step_by(2) {
                        now.remove(&row.uid.0);
                        stored.remove(&row.uid.0);
                    }
                    2 => for row in some {
                        now.insert(row.uid.0, row.clone());
                        stored.insert(row.uid.0, row);
                    }
                    _ => {
                        let old = decode_flag_runs(&at, &runs).unwrap();
                        let gathered = gather_flag_runs(now.values().cloned(), &old, &some);
                        now.extend(some.iter().map(|row| (row.uid.0, row.clone())));
                        match gathered {
                            Some(gathered) => {
                                prop_assert!(some.is_empty() || newest_of(&gathered) == mod_seq);
                                runs = encode_flag_runs(&at, &gathered);
                                prop_assert_eq!(decode_flag_runs(&at, &runs).unwrap(), gathered);
                            }
                            None => stored.extend(some.into_iter().map(|row| (row.uid.0, row))),
                        }
                    }
                }
                let mut read: Vec<MessageRow> = stored.values().cloned().collect();
                apply_flag_runs(&mut read, &decode_flag_runs(&at, &runs).unwrap());
                prop_assert_eq!(read, now.values().cloned().collect::<Vec<_>>());
            }
        }
    }
}
