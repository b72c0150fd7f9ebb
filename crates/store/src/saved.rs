//! When messages came into their mailbox (RFC 8514), where that is not their INTERNALDATE: mostly it is.
//!
//! Kept beside the mailbox as runs of UIDs, one row for each act that put messages in later than they arrived (COPY, MOVE, an
//! import, an undo). A run that nothing of is left of is swept away by [`Store::maintain`](crate::Store::maintain). Invariant: a
//! message in no run was saved when it arrived. Must not know: who asks.

use crate::Store;
use crate::engine::{Batch, Found, Key, Query, range};
use crate::key;
use crate::limits::CARE_ROWS;
use crate::store::{Inner, Result};
use crate::types::*;
use crate::undo::done;
use crate::value::{Writer, decoded, open};

/// What was appended this soon after it arrived counts as saved then, seconds.
const AT_ONCE_SECS: i64 = 60;

/// Messages of one mailbox that were put there at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SavedRun {
    pub(crate) first: Uid,
    pub(crate) last: Uid,
    pub(crate) secs: UnixSecs,
}

/// When the messages of a mailbox were saved there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedDates {
    /// Ascending and apart.
    runs: Vec<SavedRun>,
}

impl SavedDates {
    /// When this one was.
    pub fn of(&self, row: &MessageRow) -> UnixSecs {
        let behind = self.runs.partition_point(|run| run.first <= row.uid);
        let run = behind.checked_sub(1).and_then(|at| self.runs.get(at)).filter(|run| row.uid <= run.last);
        run.map_or(row.internal_date_secs, |run| run.secs)
    }
}

/// Did messages that are appended now arrive so long ago that it is worth telling apart?
pub(crate) fn later(emails: &[NewEmail], by: Option<&By>) -> Option<UnixSecs> {
    let now = by?.now_secs;
    let soon = |email: &NewEmail| (0..=AT_ONCE_SECS).contains(&now.saturating_sub(email.internal_date_secs));
    if emails.iter().all(soon) { None } else { Some(now) }
}

/// Writes the run of what an act put into a mailbox (rows ascending).
pub(crate) fn put(batch: &mut Batch, account: AccountId, mailbox: MailboxId, new: &[MessageRow], secs: UnixSecs) {
    let (Some(first), Some(last)) = (new.first(), new.last()) else { return };
    if new.iter().all(|row| row.internal_date_secs == secs) {
        return;
    }
    let at = key::saved(account, mailbox, first.uid);
    let value = encode(&at, SavedRun { first: first.uid, last: last.uid, secs });
    batch.put(at, value);
}

pub(crate) fn encode(at: &Key, run: SavedRun) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(u64::from(run.last.0)).signed(run.secs);
    out.seal(at)
}

/// Whose, and the run.
pub(crate) fn decode(at: &Key, stored: &[u8]) -> Result<(AccountId, MailboxId, SavedRun)> {
    let mut parts = key::Parts::of(at);
    let mut reader = open(at, stored)?;
    decoded(
        at,
        (|| {
            let (account, mailbox, first) = (AccountId(parts.u32()?), MailboxId(parts.u32()?), Uid(parts.u32()?));
            let run = SavedRun { first, last: Uid(reader.number32()?), secs: reader.signed()? };
            reader.end()?;
            Some((account, mailbox, run))
        })(),
    )
}

impl Inner {
    /// Sweeps away runs of which no message is left. UIDs are never given again, so what is gone stays gone.
    pub(crate) async fn trim_saved(&self) -> Result<()> {
        let (mut from, to) = key::whole(key::SAVED);
        loop {
            let rows = range(&*self.engine, (from.clone(), to.clone()), CARE_ROWS).await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = last.behind();
            let mut batch = Batch::default();
            for (at, stored) in rows {
                let Ok((account, mailbox, run)) = decode(&at, &stored) else { continue };
                let within = (key::uid(account, mailbox, run.first), key::uid(account, mailbox, run.last).behind());
                if range(&*self.engine, within, 1).await?.is_empty() {
                    batch.delete(at);
                }
            }
            if !batch.writes.is_empty() {
                done(self.commit(batch).await)?;
            }
        }
    }
}

impl Store {
    /// When the messages with UIDs from `first` to `last` came into their mailbox.
    pub async fn saved_dates(&self, account: AccountId, mailbox: MailboxId, first: Uid, last: Uid) -> Result<SavedDates> {
        self.inner.ready(account).await?;
        let from = key::saved(account, mailbox, first);
        let before = Query::Range { from: key::saved(account, mailbox, Uid(0)), to: from.clone(), limit: 1, reverse: true };
        let to = key::saved(account, mailbox, last).behind();
        let queries = vec![before, Query::Range { from, to, limit: usize::MAX, reverse: false }];
        let mut runs = Vec::new();
        for (at, stored) in self.inner.engine.read(queries).await?.into_iter().flat_map(Found::pairs) {
            runs.push(decode(&at, &stored)?.2);
        }
        Ok(SavedDates { runs })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, ann, both, email, inbox, sound, text};

    #[tokio::test]
    async fn copies_and_moves_are_saved_when_they_are_made() {
        for (_place, store) in both().await {
            store.keep_trace(14, 1_000);
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let there = store.mailbox_create(ann, "There", None, NOW).await.unwrap().id;
            store.append(ann, inbox, (0..3).map(|number| email(text(number))).collect()).await.unwrap();
            let secs = async |mailbox: MailboxId| {
                let rows = store.snapshot(ann, mailbox).await.unwrap().rows;
                let dates = store.saved_dates(ann, mailbox, Uid(1), Uid(u32::MAX)).await.unwrap();
                rows.iter().map(|row| dates.of(&row) - NOW).collect::<Vec<_>>()
            };
            assert_eq!(secs(inbox).await, [0, 0, 0]);
            let later = |secs: i64| store.by("a test", NOW + secs);
            later(100).copy(ann, inbox, &[Uid(1), Uid(2)], there).await.unwrap();
            // Arrived a moment ago, saved now: not told apart. Arrived long ago: it is.
            later(50).append(ann, there, vec![email(text(4))]).await.unwrap();
            later(300).append(ann, there, vec![email(text(5))]).await.unwrap();
            store.move_to((ann, inbox), &[Uid(3)], (ann, there), FlagMask::ALL, NOW + 400).await.unwrap();
            assert_eq!(secs(there).await, [100, 100, 0, 300, 400]);
            let one = store.saved_dates(ann, there, Uid(2), Uid(2)).await.unwrap();
            assert_eq!(one.runs, [SavedRun { first: Uid(1), last: Uid(2), secs: NOW + 100 }]);
            // Brought back, it is saved anew.
            store.expunge(ann, there, &[Uid(1), Uid(2), Uid(5)], NOW + 500).await.unwrap();
            let back = store.undo_list(ann, 9).await.unwrap();
            store.undo_restore(ann, &[back[0].email], NOW + 600).await.unwrap();
            assert_eq!(secs(there).await, [0, 300, 600]);
            // What no message is left of is swept away.
            let kept = async || store.saved_dates(ann, there, Uid(1), Uid(u32::MAX)).await.unwrap().runs.len();
            assert_eq!(kept().await, 4);
            store.maintain(NOW + 700).await.unwrap();
            assert_eq!((kept().await, secs(there).await), (2, vec![0, 300, 600]));
            sound(&store).await;
        }
    }
}
