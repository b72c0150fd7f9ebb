//! Records: small named values of an account, in collections, which the store keeps without reading them (browser sessions,
//! identities, what a vacation says, ...).
//!
//! Invariant: every change is one durable act on the account, told in its change log; number and octets are bounded; whoever
//! has a record in a collection is written down beside it, so that those few of a million accounts are found at once.
//! Must not know: what collections and values mean.

use crate::Store;
use crate::engine::{Batch, Key, get, range};
use crate::key;
use crate::limits::{CARE_ROWS, RECORD_BYTES_MAX, RECORD_NAME_BYTES_MAX, RECORDS_MAX};
use crate::mailbox::exclusively;
use crate::rows::encode_mark;
use crate::store::{Inner, Result};
use crate::types::*;
use crate::undo::done;
use crate::value::{Writer, decoded, open};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

/// (collection, name, value; `None` removes it).
pub type RecordChange = (u8, SmolStr, Option<Vec<u8>>);

pub(crate) fn parts_of(at: &Key) -> Option<(AccountId, u8, &str)> {
    let mut parts = key::Parts::of(at);
    Some((AccountId(parts.u32()?), parts.u8()?, parts.text()?))
}

pub(crate) fn encode(at: &Key, value: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    out.bytes(value);
    out.seal(at)
}

pub(crate) fn decode(at: &Key, stored: &[u8]) -> Result<Vec<u8>> {
    let mut reader = open(at, stored)?;
    decoded(
        at,
        (|| {
            let value = reader.bytes()?.to_vec();
            reader.end()?;
            Some(value)
        })(),
    )
}

impl Inner {
    /// Where the last record of a collection goes, the account holds none of it any more.
    async fn release_holder(&self, account: AccountId, changes: &[RecordChange], batch: &mut Batch) -> Result<()> {
        let emptied: BTreeSet<u8> =
            changes.iter().filter(|(.., value)| value.is_none()).map(|(collection, ..)| *collection).collect();
        for collection in emptied {
            let changed: BTreeMap<&str, bool> = changes
                .iter()
                .filter(|(of, ..)| *of == collection)
                .map(|(_, name, value)| (name.as_str(), value.is_some()))
                .collect();
            if changed.values().any(|stays| *stays) {
                continue;
            }
            // One more than can go: if that many are there, one stays.
            let there = range(&*self.engine, key::records_of(account, collection), changed.len() + 1).await?;
            if there.iter().all(|(at, _)| parts_of(at).is_some_and(|(_, _, name)| changed.contains_key(name))) {
                batch.delete(key::record_holder(collection, account));
            }
        }
        Ok(())
    }

    /// Writes down who holds what, from the records themselves: once, for stores of older releases and after `rebuild`.
    async fn know_holders(&self) -> Result<()> {
        let known = key::record_holders_known();
        if get(&*self.engine, known.clone()).await?.is_some() {
            return Ok(());
        }
        let (mut from, to) = key::whole(key::RECORD);
        loop {
            let rows = range(&*self.engine, (from.clone(), to.clone()), CARE_ROWS).await?;
            let Some((last, _)) = rows.last() else { break };
            from = last.behind();
            let found: BTreeSet<(AccountId, u8)> =
                rows.iter().filter_map(|(at, _)| parts_of(at)).map(|(account, collection, _)| (account, collection)).collect();
            let mut batch = Batch::default();
            for (account, collection) in found {
                let at = key::record_holder(collection, account);
                let mark = encode_mark(&at);
                batch.put(at, mark);
            }
            done(self.commit(batch).await)?;
        }
        let mut batch = Batch::default();
        let mark = encode_mark(&known);
        batch.put(known, mark);
        done(self.commit(batch).await)
    }
}

impl Store {
    /// Accounts with records in this collection, by number, behind `after`. One may have lost its last record, or be gone.
    pub async fn record_holders(&self, collection: u8, after: Option<AccountId>, limit: usize) -> Result<Vec<AccountId>> {
        self.inner.know_holders().await?;
        let (mut from, to) = key::record_holders_of(collection);
        if let Some(after) = after {
            from = key::record_holder(collection, after).behind();
        }
        let rows = range(&*self.inner.engine, (from, to), limit).await?;
        let account = |at: &Key| {
            let mut parts = key::Parts::of(at);
            parts.u8().and_then(|_| parts.u32()).map(AccountId)
        };
        Ok(rows.iter().filter_map(|(at, _)| account(at)).collect())
    }

    /// Of all accounts together: what of them is in memory.
    #[doc(hidden)]
    pub fn accounts_in_memory(&self) -> usize {
        self.inner.spaces.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All of a collection, by name.
    pub async fn records(&self, account: AccountId, collection: u8) -> Result<Vec<(SmolStr, Vec<u8>)>> {
        self.inner.ready(account).await?;
        let mut all = Vec::new();
        for (at, stored) in range(&*self.inner.engine, key::records_of(account, collection), usize::MAX).await? {
            let Some((_, _, name)) = parts_of(&at) else { continue };
            match decode(&at, &stored) {
                Ok(value) => all.push((SmolStr::new(name), value)),
                // Damage is local: the others are served, `check` tells of this one.
                Err(error) => tracing::error!(?error, "a record cannot be read"),
            }
        }
        Ok(all)
    }

    /// One of them.
    pub async fn record(&self, account: AccountId, collection: u8, name: &str) -> Result<Option<Vec<u8>>> {
        self.inner.ready(account).await?;
        let at = key::record(account, collection, name);
        let stored = get(&*self.inner.engine, at.clone()).await?;
        stored.map(|stored| decode(&at, &stored)).transpose()
    }

    /// Changes records, all or none. One too long or too many in a collection: `Invalid`. Gives the account's mod-sequence after
    /// it.
    pub async fn records_change(&self, account: AccountId, changes: &[RecordChange]) -> Result<ModSeq> {
        for (_, name, value) in changes {
            if name.is_empty() || name.len() > RECORD_NAME_BYTES_MAX {
                return Err(StoreError::Invalid("a record's name is empty or too long"));
            }
            if value.as_ref().is_some_and(|value| value.len() > RECORD_BYTES_MAX) {
                return Err(StoreError::Invalid("a record is too long"));
            }
        }
        exclusively!(self.inner, account, |act, batch| {
            let mut fresh = BTreeMap::<u8, usize>::new();
            for (collection, name, value) in changes {
                let at = key::record(account, *collection, name);
                let old = get(&*self.inner.engine, at.clone()).await?;
                let touch = match (&old, value) {
                    (None, None) => continue,
                    (None, Some(_)) => Touch::Created,
                    (Some(_), None) => Touch::Destroyed,
                    (Some(_), Some(_)) => Touch::Updated,
                };
                *fresh.entry(*collection).or_default() += usize::from(touch == Touch::Created);
                act.records.push((*collection, name.clone(), touch));
                match value {
                    Some(value) => {
                        let stored = encode(&at, value);
                        batch.put(at, stored);
                    }
                    None => batch.delete(at),
                }
            }
            for (collection, new) in fresh.into_iter().filter(|(_, new)| *new > 0) {
                let limit = RECORDS_MAX + 1;
                let there = range(&*self.inner.engine, key::records_of(account, collection), limit).await?.len();
                if there + new > RECORDS_MAX {
                    return Err(StoreError::Invalid("there are too many records"));
                }
                let at = key::record_holder(collection, account);
                if there == 0 && get(&*self.inner.engine, at.clone()).await?.is_none() {
                    let mark = encode_mark(&at);
                    batch.put(at, mark);
                }
            }
            self.inner.release_holder(account, changes, batch).await?;
            Ok((!act.records.is_empty(), act.mod_seq()))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::tests::{NOW, Place, ann, both, new_account, sound};

    fn put(name: &str, value: &str) -> RecordChange {
        (1, name.into(), Some(value.as_bytes().to_vec()))
    }

    #[tokio::test]
    async fn put_read_told_and_gone_with_the_account() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let before = *store.watch(ann).await.unwrap().borrow();
            store.records_change(ann, &[put("a", "1"), put("b", "2"), (2, "a".into(), Some(vec![9]))]).await.unwrap();
            let after = store.records_change(ann, &[put("a", "3"), (1, "b".into(), None), (1, "c".into(), None)]).await.unwrap();
            assert_eq!(store.records(ann, 1).await.unwrap(), vec![("a".into(), b"3".to_vec())]);
            assert_eq!(store.record(ann, 2, "a").await.unwrap(), Some(vec![9]));
            assert_eq!(store.record(ann, 1, "b").await.unwrap(), None);
            let told = store.account_changes(ann, before, 100).await.unwrap().unwrap();
            assert_eq!((told.mod_seq, told.more), (after, false));
            let (a, b): (SmolStr, SmolStr) = ("a".into(), "b".into());
            let made = |id: &SmolStr, collection| (collection, id.clone(), Touch::Created);
            let rest = [(1, a.clone(), Touch::Updated), (1, b.clone(), Touch::Destroyed)];
            assert_eq!(told.records, [[made(&a, 1), made(&b, 1)].as_slice(), &[made(&a, 2)], &rest].concat());
            sound(&store).await;
            store.account_remove(ann, NOW).await.unwrap();
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn who_holds_records_is_known_without_asking_everybody() {
        for (_place, store) in both().await {
            let people = (0..50).map(|n| new_account(&format!("p{n}@here.test"))).collect();
            let ids = store.accounts_add(people, NOW).await.unwrap();
            let holders = async |after| store.record_holders(1, after, 10).await.unwrap();
            assert_eq!(holders(None).await, vec![]);
            for id in [ids[40], ids[7]] {
                store.records_change(id, &[put("a", "1"), put("b", "2")]).await.unwrap();
            }
            store.records_change(ids[9], &[(2, "a".into(), Some(vec![9]))]).await.unwrap();
            assert_eq!(holders(None).await, vec![ids[7], ids[40]]);
            assert_eq!(holders(Some(ids[7])).await, vec![ids[40]]);
            let gone = |name: &str| (1, SmolStr::new(name), None);
            store.records_change(ids[7], &[gone("a")]).await.unwrap();
            assert_eq!(holders(None).await.len(), 2, "one is left");
            // One goes and another comes, in one act.
            store.records_change(ids[7], &[gone("b"), put("c", "3")]).await.unwrap();
            assert_eq!(holders(None).await.len(), 2);
            store.records_change(ids[7], &[gone("c"), gone("never there")]).await.unwrap();
            assert_eq!(holders(None).await, vec![ids[40]]);
            assert_eq!(store.record_holders(2, None, 10).await.unwrap(), vec![ids[9]]);
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn a_store_of_an_older_release_finds_its_holders_once() {
        for (_place, store) in both().await {
            let ids = store.accounts_add((0..20).map(|n| new_account(&format!("p{n}@here.test"))).collect(), NOW).await.unwrap();
            store.records_change(ids[3], &[put("a", "1")]).await.unwrap();
            // As it was written before there were holders.
            let mut batch = Batch::default();
            batch.delete(key::record_holder(1, ids[3]));
            batch.delete(key::record_holders_known());
            done(store.inner.commit(batch).await).unwrap();
            assert_eq!(store.record_holders(1, None, 10).await.unwrap(), vec![ids[3]]);
            let known = get(&*store.inner.engine, key::record_holders_known()).await.unwrap();
            assert!(known.is_some(), "and need not look again");
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn bounded_and_kept() {
        let place = Place::new();
        let store = place.open().await;
        let ann = ann(&store).await;
        let long = |octets| [(1, SmolStr::new("x"), Some(vec![b'x'; octets]))];
        store.records_change(ann, &long(RECORD_BYTES_MAX)).await.unwrap();
        assert!(matches!(store.records_change(ann, &long(RECORD_BYTES_MAX + 1)).await, Err(StoreError::Invalid(_))));
        let name = |octets: usize| [(1, SmolStr::from("n".repeat(octets)), Some(vec![]))];
        store.records_change(ann, &name(RECORD_NAME_BYTES_MAX)).await.unwrap();
        assert!(matches!(store.records_change(ann, &name(RECORD_NAME_BYTES_MAX + 1)).await, Err(StoreError::Invalid(_))));
        let many: Vec<RecordChange> = (2..RECORDS_MAX).map(|number| put(&number.to_string(), "")).collect();
        store.records_change(ann, &many).await.unwrap();
        assert!(matches!(store.records_change(ann, &[put("over", "")]).await, Err(StoreError::Invalid(_))));
        store.close().await.unwrap();
        let store = place.open().await;
        assert_eq!(store.records(ann, 1).await.unwrap().len(), RECORDS_MAX);
        sound(&store).await;
    }
}
