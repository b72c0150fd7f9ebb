//! Records: small named values of an account, in collections, which the store keeps without reading them (browser sessions,
//! identities, what a vacation says, ...).
//!
//! Invariant: every change is one durable act on the account, told in its change log; number and octets are bounded.
//! Must not know: what collections and values mean.

use crate::Store;
use crate::engine::{Key, get, range};
use crate::key;
use crate::limits::{RECORD_BYTES_MAX, RECORD_NAME_BYTES_MAX, RECORDS_MAX};
use crate::mailbox::exclusively;
use crate::store::Result;
use crate::types::*;
use crate::value::{Writer, decoded, open};
use smol_str::SmolStr;

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

impl Store {
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
            let mut fresh = std::collections::BTreeMap::<u8, usize>::new();
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
            }
            Ok((!act.records.is_empty(), act.mod_seq()))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, Place, ann, both, sound};

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
