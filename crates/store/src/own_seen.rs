//! What each reader of a shared mailbox has seen, where every reader keeps that alone (RFC 4314 §4: \Seen per user).
//!
//! A set of UIDs for each (mailbox, reader), beside the flags that all share. Whoever marks moves the mod-sequence of the
//! messages on, so that the reader's other sessions learn of it as of any change. The mailbox's own row has a sum of all its
//! readers' rows: one that is not there is missed, and read from the segments. Invariant: the set, the new mod-sequences and
//! the sum are one commit. Must not know: which mailboxes are kept so.

use crate::Store;
use crate::change_log::{read_uids, write_uids};
use crate::engine::{Key, get, range};
use crate::hash::xxh64;
use crate::key;
use crate::mailbox::exclusively;
use crate::store::{Inner, Result};
use crate::types::*;
use crate::value::{Writer, decoded, open};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What one reader has seen in a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnSeen {
    uids: BTreeSet<Uid>,
    /// The act that wrote the row; 0 in one of an older release, `None` where there is no row.
    act: Option<u64>,
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
    // Rows of older releases end here.
    if let Some(act) = seen.act.filter(|act| *act != 0) {
        out.number(act);
    }
    out.seal(at)
}

/// What a reader's row adds to the sum of its mailbox.
fn share(reader: AccountId, act: u64) -> u64 {
    let mut octets = [0; 12];
    octets[..4].copy_from_slice(&reader.0.to_le_bytes());
    octets[4..].copy_from_slice(&act.to_le_bytes());
    xxh64(&octets, 0)
}

/// Where a row belongs, and what it adds to the sum there.
pub(crate) fn summand(at: &Key, stored: &[u8]) -> Result<Option<(AccountId, MailboxId, u64)>> {
    let act = decode(at, stored)?.act.unwrap_or(0);
    let mut parts = key::Parts::of(at);
    let mut next = || parts.u32();
    let (Some(owner), Some(mailbox), Some(reader)) = (next(), next(), next()) else { return Ok(None) };
    Ok(Some((AccountId(owner), MailboxId(mailbox), share(AccountId(reader), act))))
}

pub(crate) fn decode(at: &Key, stored: &[u8]) -> Result<OwnSeen> {
    let mut reader = open(at, stored)?;
    decoded(
        at,
        (|| {
            let uids = read_uids(&mut reader)?.into_iter().collect();
            let act = if reader.end().is_some() { 0 } else { reader.number()? };
            reader.end()?;
            Some(OwnSeen { uids, act: Some(act) })
        })(),
    )
}

impl Inner {
    /// What `reader` has seen; `sum` is of the same instant as the index.
    async fn own_seen(&self, (owner, mailbox): (AccountId, MailboxId), reader: AccountId, sum: u64) -> Result<Arc<OwnSeen>> {
        let at = key::own_seen(owner, mailbox, reader);
        let stored = get(&*self.engine, at.clone()).await?.map(|stored| decode(&at, &stored));
        match stored {
            Some(Ok(own)) => return Ok(Arc::new(own)),
            None if sum == 0 => return Ok(Arc::default()),
            _ => {}
        }
        if let Some(known) = self.mended.own_seen.known(&at, sum) {
            return known.ok_or_else(|| lost(&at));
        }
        if stored.is_none() && self.sum_of_own_seen((owner, mailbox)).await? == sum {
            self.mended.own_seen.remember(at, sum, Some(Arc::default()));
            return Ok(Arc::default());
        }
        let logged = self.engine.logged(at.clone()).await?;
        let found = logged.and_then(|stored| decode(&at, &stored).ok()).map(Arc::new);
        tracing::error!(key = %at, found = found.is_some(), "what a reader has seen is damaged; `packetboat rebuild` mends the index");
        // Where no record tells of this reader, it is another's row that is missing.
        let found = found.or_else(|| stored.is_none().then(Arc::default));
        self.mended.own_seen.remember(at.clone(), sum, found.clone());
        found.ok_or_else(|| lost(&at))
    }

    /// Of the rows that are there and good.
    async fn sum_of_own_seen(&self, (owner, mailbox): (AccountId, MailboxId)) -> Result<u64> {
        let rows = range(&*self.engine, key::own_seen_at(owner, mailbox), usize::MAX).await?;
        let summands = rows.iter().filter_map(|(at, stored)| summand(at, stored).ok().flatten());
        Ok(summands.fold(0, |sum: u64, (_, _, one)| sum.wrapping_add(one)))
    }
}

fn lost(at: &Key) -> StoreError {
    StoreError::Damaged(format!("{at}: what a reader has seen is lost"))
}

impl Store {
    /// What `reader` has seen in somebody's mailbox.
    pub async fn own_seen(&self, (owner, mailbox): (AccountId, MailboxId), reader: AccountId) -> Result<OwnSeen> {
        let space = self.inner.ready(owner).await?;
        let at = key::own_seen(owner, mailbox, reader);
        if let Some(Ok(own)) = get(&*self.inner.engine, at.clone()).await?.map(|stored| decode(&at, &stored)) {
            return Ok(own);
        }
        let sum = space.own_seen_sum(mailbox);
        if let Some(Some(known)) = self.inner.mended.own_seen.known(&at, sum) {
            return Ok((*known).clone());
        }
        // With nothing in flight the sum is of the rows that are there.
        let head = space.lock(&*self.inner.engine, true).await?;
        let sum = space.own_seen_sum(mailbox);
        let own = self.inner.own_seen((owner, mailbox), reader, sum).await?;
        drop(head);
        Ok((*own).clone())
    }

    /// A mailbox and what `reader` has seen in it, of one instant: what was marked never comes under the mod-sequence from before.
    async fn as_read(&self, (owner, mailbox): (AccountId, MailboxId), reader: AccountId) -> Result<(Snapshot, OwnSeen)> {
        let snapshot = self.snapshot(owner, mailbox).await?;
        let own = self.own_seen((owner, mailbox), reader).await?;
        // The row is read last, so it is never the older one; its act may be one that readers of rows do not see yet.
        if own.act.is_none_or(|act| act <= snapshot.highest_mod_seq.0) {
            return Ok((snapshot, own));
        }
        let space = self.inner.ready(owner).await?;
        let head = space.lock(&*self.inner.engine, true).await?;
        let snapshot = self.inner.snapshot_in(&space, mailbox).await?;
        let own = self.inner.own_seen((owner, mailbox), reader, space.own_seen_sum(mailbox)).await?;
        drop(head);
        Ok((snapshot, (*own).clone()))
    }

    /// The mailbox as `reader` has it.
    pub async fn snapshot_as_read(&self, place: (AccountId, MailboxId), reader: AccountId) -> Result<Snapshot> {
        let (mut snapshot, own) = self.as_read(place, reader).await?;
        own.show_all(&mut snapshot.rows);
        Ok(snapshot)
    }

    /// Some rows (ascending UIDs) as `reader` has them; those that do not exist are left out.
    pub async fn rows_as_read(&self, place: (AccountId, MailboxId), reader: AccountId, uids: &[Uid]) -> Result<Vec<MessageRow>> {
        let (snapshot, own) = self.as_read(place, reader).await?;
        let mut rows: Vec<MessageRow> = snapshot.rows.pick(uids).map(|(_, row)| row).collect();
        rows.iter_mut().for_each(|row| own.show(row));
        Ok(rows)
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
            let sum = act.mailbox(mailbox).ok_or(StoreError::NotFound)?.own_seen_sum;
            let mut own = (*self.inner.own_seen((owner, mailbox), reader, sum).await?).clone();
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
            // Of rows that older releases wrote there is no sum yet.
            let sum = if sum == 0 { self.inner.sum_of_own_seen((owner, mailbox)).await? } else { sum };
            let sum = own.act.map_or(sum, |before| sum.wrapping_sub(share(reader, before)));
            own.act = Some(act.mod_seq().0);
            act.mailbox_mut(mailbox)?.own_seen_sum = sum.wrapping_add(share(reader, act.mod_seq().0));
            let at = key::own_seen(owner, mailbox, reader);
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
    use std::collections::BTreeMap;

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn what_is_marked_comes_under_the_mod_sequence_that_marked_it() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let bob = store.accounts_add(vec![new_account("bob@here.test")], NOW).await.unwrap()[0];
            let place = (ann, inbox(&store, ann).await);
            add(&store, place.0, place.1).await;
            let writer = store.clone();
            let marking = tokio::spawn(async move {
                let mut marked = BTreeMap::new();
                for number in 0..400 {
                    let rows = writer.set_own_seen(place, bob, &[Uid(1)], number % 2 == 0).await.unwrap();
                    marked.insert(rows[0].mod_seq, rows[0].flags.system);
                }
                marked
            });
            let mut found = Vec::new();
            while !marking.is_finished() {
                found.extend(store.snapshot_as_read(place, bob).await.unwrap().rows.get(0));
                found.extend(store.rows_as_read(place, bob, &[Uid(1)]).await.unwrap());
            }
            let marked = marking.await.unwrap();
            for row in found {
                let flags = marked.get(&row.mod_seq).copied().unwrap_or_default();
                assert_eq!(row.flags.system, flags, "at {:?}", row.mod_seq);
            }
        }
    }

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
