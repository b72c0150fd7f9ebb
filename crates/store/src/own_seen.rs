//! What each reader of a shared mailbox has seen, where every reader keeps that alone (RFC 4314 §4: \Seen per user).
//!
//! A set of UIDs for each (mailbox, reader), beside the flags that all share. Whoever marks moves the mod-sequence of the
//! messages on, so that the reader's other sessions learn of it as of any change. Invariant: the set and the new
//! mod-sequences are one commit. Must not know: which mailboxes are kept so.

use crate::Store;
use crate::change_log::{read_uids, write_uids};
use crate::engine::{Key, get};
use crate::key;
use crate::mailbox::exclusively;
use crate::store::Result;
use crate::types::*;
use crate::value::{Writer, decoded, open};
use std::collections::BTreeSet;

/// What one reader has seen in a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnSeen {
    uids: BTreeSet<Uid>,
}

impl OwnSeen {
    /// Has the reader seen this one?
    pub fn has(&self, uid: Uid) -> bool {
        self.uids.contains(&uid)
    }

    /// The row as the reader has it.
    pub fn show(&self, row: &mut MessageRow) {
        let others = row.flags.system & !Flags::SEEN;
        row.flags.system = if self.has(row.uid) { others | Flags::SEEN } else { others };
    }

    /// All rows as the reader has them.
    pub fn show_all(&self, rows: &mut Rows) {
        let other = |mut row: MessageRow| {
            let before = row.flags.system;
            self.show(&mut row);
            (row.flags.system != before).then_some(row)
        };
        let others: Vec<MessageRow> = rows.iter().filter_map(other).collect();
        rows.put(&others);
    }
}

fn encode(at: &Key, seen: &OwnSeen) -> Vec<u8> {
    let mut out = Writer::new();
    let uids: Vec<Uid> = seen.uids.iter().copied().collect();
    write_uids(&mut out, &uids);
    out.seal(at)
}

pub(crate) fn decode(at: &Key, stored: &[u8]) -> Result<OwnSeen> {
    let mut reader = open(at, stored)?;
    decoded(
        at,
        (|| {
            let uids = read_uids(&mut reader)?.into_iter().collect();
            reader.end()?;
            Some(OwnSeen { uids })
        })(),
    )
}

impl Store {
    /// What `reader` has seen in somebody's mailbox.
    pub async fn own_seen(&self, (owner, mailbox): (AccountId, MailboxId), reader: AccountId) -> Result<OwnSeen> {
        self.inner.ready(owner).await?;
        let at = key::own_seen(owner, mailbox, reader);
        let stored = get(&*self.inner.engine, at.clone()).await?;
        stored.map_or(Ok(OwnSeen::default()), |stored| decode(&at, &stored))
    }

    /// Marks these as seen by `reader`, or as not seen. The rows of those that are there, as the reader has them now.
    pub async fn set_own_seen(
        &self,
        (owner, mailbox): (AccountId, MailboxId),
        reader: AccountId,
        uids: &[Uid],
        seen: bool,
    ) -> Result<Vec<MessageRow>> {
        let mut wanted = uids.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        exclusively!(self.inner, owner, |act, batch| {
            act.mailbox(mailbox).ok_or(StoreError::NotFound)?;
            let at = key::own_seen(owner, mailbox, reader);
            let stored = get(&*self.inner.engine, at.clone()).await?;
            let mut own = stored.map_or(Ok(OwnSeen::default()), |stored| decode(&at, &stored))?;
            let mut rows = self.inner.some_rows(act, mailbox, &wanted).await?;
            let mut changed = Vec::new();
            for row in &mut rows {
                let moved = if seen { own.uids.insert(row.uid) } else { own.uids.remove(&row.uid) };
                if moved {
                    row.mod_seq = act.mod_seq();
                    changed.push(row.clone());
                }
            }
            let any = !changed.is_empty();
            let before: Vec<u8> = changed.iter().map(|row| row.flags.system).collect();
            let runs = self.inner.flag_runs_after(act, mailbox, &changed).await?;
            act.change_rows(batch, mailbox, &before, changed, runs)?;
            let value = encode(&at, &own);
            batch.put(at, value);
            rows.iter_mut().for_each(|row| own.show(row));
            Ok((any, rows))
        })
    }

    /// How many messages of a mailbox `reader` has not seen.
    pub async fn own_unseen(&self, place: (AccountId, MailboxId), reader: AccountId) -> Result<u32> {
        let (own, rows) = (self.own_seen(place, reader).await?, self.snapshot(place.0, place.1).await?.rows);
        let unseen = rows.uids(0..rows.len()).filter(|uid| !own.has(*uid)).count();
        Ok(u32::try_from(unseen).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, add, ann, both, inbox, new_account, sound};

    #[tokio::test]
    async fn each_reader_has_seen_what_it_has_seen() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let others = store.accounts_add(vec![new_account("bob@here.test"), new_account("eve@here.test")], NOW).await.unwrap();
            let inbox = inbox(&store, ann).await;
            for _ in 0..3 {
                add(&store, ann, inbox).await;
            }
            let flagged = Flags { system: Flags::SEEN | Flags::FLAGGED, keywords: None };
            store.flags(ann, inbox, &[Uid(2)], FlagOp::Add, &flagged, None).await.unwrap();
            let place = (ann, inbox);
            let before = store.snapshot(ann, inbox).await.unwrap().highest_mod_seq;
            let rows = store.set_own_seen(place, others[0], &[Uid(3), Uid(1), Uid(9)], true).await.unwrap();
            let told: Vec<_> = rows.iter().map(|row| (row.uid.0, row.flags.system, row.mod_seq > before)).collect();
            assert_eq!(told, [(1, Flags::SEEN, true), (3, Flags::SEEN, true)]);
            // The others' flags are as they were.
            let shared = store.snapshot(ann, inbox).await.unwrap();
            let system = |rows: &Rows| rows.iter().map(|row| row.flags.system).collect::<Vec<_>>();
            assert_eq!(system(&shared.rows), [0, Flags::SEEN | Flags::FLAGGED, 0]);
            assert!(shared.highest_mod_seq > before);
            let shown = async |reader: AccountId| {
                let mut rows = store.snapshot(ann, inbox).await.unwrap().rows;
                store.own_seen(place, reader).await.unwrap().show_all(&mut rows);
                system(&rows)
            };
            assert_eq!(shown(others[0]).await, [Flags::SEEN, Flags::FLAGGED, Flags::SEEN]);
            assert_eq!(shown(others[1]).await, [0, Flags::FLAGGED, 0]);
            assert_eq!(store.own_unseen(place, others[0]).await.unwrap(), 1);
            store.set_own_seen(place, others[0], &[Uid(3)], false).await.unwrap();
            assert_eq!(store.own_unseen(place, others[0]).await.unwrap(), 2);
            // What is said twice is no change.
            let now = store.snapshot(ann, inbox).await.unwrap().highest_mod_seq;
            store.set_own_seen(place, others[0], &[Uid(3)], false).await.unwrap();
            assert_eq!(store.snapshot(ann, inbox).await.unwrap().highest_mod_seq, now);
            sound(&store).await;
        }
    }
}
