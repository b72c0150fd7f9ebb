//! Marks: small named values of an account, in which whoever brings mail from elsewhere notes what is here already.
//!
//! A mark may be written in the commit of the messages it tells of, so a broken run knows exactly where it stopped.
//! Invariant: names order as their text does. Must not know: what names and values mean.

use crate::annotation::{decode, encode};
use crate::engine::{Batch, Engine, Key, Outcome, Version, get, range};
use crate::limits::MARK_BYTES_MAX;
use crate::store::Result;
use crate::types::*;
use crate::undo::done;
use crate::{Store, key};

/// A mark to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Its name.
    pub name: String,
    /// `None` removes it.
    pub value: Option<Vec<u8>>,
    /// With messages: the place of one of them, whose UID (four octets, big-endian) is put in front of the value.
    pub of: Option<usize>,
    /// What it must be until then (`Some(None)`: not there), or nothing is done: `Exists`.
    pub expects: Option<Option<Vec<u8>>>,
}

impl Mark {
    /// A value for a name.
    pub fn set(name: impl Into<String>, value: Vec<u8>) -> Mark {
        Mark { name: name.into(), value: Some(value), of: None, expects: None }
    }
    /// No value any more.
    pub fn remove(name: impl Into<String>) -> Mark {
        Mark { name: name.into(), value: None, of: None, expects: None }
    }
}

/// Marks into a batch; `uids` are those of the messages that it brings.
pub(crate) fn put(batch: &mut Batch, account: AccountId, marks: &[Mark], uids: &[Uid]) -> Result<()> {
    for mark in marks {
        let long = mark.value.as_ref().is_some_and(|value| value.len() > MARK_BYTES_MAX);
        if mark.name.is_empty() || mark.name.len() > MARK_BYTES_MAX || long {
            return Err(StoreError::Invalid("a mark is too long"));
        }
        let at = key::mark(account, &mark.name);
        if let Some(expected) = &mark.expects {
            batch.expects.push((at.clone(), version(&at, expected.as_deref())));
        }
        let Some(value) = &mark.value else {
            batch.delete(at);
            continue;
        };
        let uid = mark.of.map(|index| uids.get(index).ok_or(StoreError::Invalid("a mark of no message"))).transpose()?;
        let value = [uid.map(|uid| uid.0.to_be_bytes().to_vec()).unwrap_or_default(), value.clone()].concat();
        let stored = encode(&at, &value);
        batch.put(at, stored);
    }
    Ok(())
}

fn version(at: &Key, expected: Option<&[u8]>) -> Version {
    Version::of(expected.map(|value| encode(at, value)).as_deref())
}

/// Are the marks what they are expected to be?
pub(crate) async fn hold(engine: &dyn Engine, account: AccountId, marks: &[Mark]) -> Result<bool> {
    for mark in marks {
        let Some(expected) = &mark.expects else { continue };
        let at = key::mark(account, &mark.name);
        let stored = get(engine, at.clone()).await?;
        if Version::of(stored.as_deref()) != version(&at, expected.as_deref()) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Store {
    /// Writes marks, all or none, durably; `Exists` when one is not what it was expected to be.
    pub async fn mark(&self, account: AccountId, marks: &[Mark]) -> Result<()> {
        self.inner.ready(account).await?;
        let mut batch = Batch { spaces: vec![account.0], ..Batch::default() };
        put(&mut batch, account, marks, &[])?;
        if batch.writes.is_empty() {
            return Ok(());
        }
        match self.inner.commit(batch).await {
            Outcome::Conflict => Err(StoreError::Exists),
            other => done(other),
        }
    }

    /// Those of these names that are there, in the order given.
    pub async fn marks_named(&self, account: AccountId, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        self.inner.ready(account).await?;
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let at = key::mark(account, name);
            let stored = get(&*self.inner.engine, at.clone()).await?;
            found.push(stored.map(|stored| decode(&at, &stored)).transpose()?);
        }
        Ok(found)
    }

    /// Marks whose names begin with `prefix`, ascending, from the first behind `after`.
    pub async fn marks(
        &self,
        account: AccountId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        self.inner.ready(account).await?;
        let (mut from, to) = key::under(&key::mark(account, prefix));
        if let Some(after) = after {
            from = from.max(key::mark(account, after).behind());
        }
        let mut found = Vec::new();
        for (at, stored) in range(&*self.inner.engine, (from, to), limit).await? {
            let mut parts = key::Parts::of(&at);
            let Some((_, name)) = parts.u32().zip(parts.text()) else { continue };
            found.push((name.to_owned(), decode(&at, &stored)?));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::tests::{NOW, Place, ann, both, email, inbox, sound, text};

    #[tokio::test]
    async fn a_mark_comes_with_its_message_or_not_at_all() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let of = |index| Mark { name: format!("a/{index}"), value: Some(b"x".to_vec()), of: Some(index), expects: None };
            let done = store.append_marked(ann, inbox, vec![email(text(1)), email(text(2))], vec![of(0), of(1)]).await.unwrap();
            let all = store.marks(ann, "a/", None, 10).await.unwrap();
            assert_eq!(all.len(), 2);
            assert_eq!(all[1], ("a/1".into(), [&done.uids[1].0.to_be_bytes()[..], b"x"].concat()));
            assert!(store.append_marked(ann, inbox, vec![email(text(3))], vec![of(7)]).await.is_err());
            assert_eq!(store.snapshot(ann, inbox).await.unwrap().rows.len(), 2);
            store.mark(ann, &[Mark::set("b", vec![1]), Mark::remove("a/0"), Mark::remove("never")]).await.unwrap();
            assert_eq!(store.marks(ann, "", Some("a/1"), 10).await.unwrap(), [("b".to_owned(), vec![1])]);
            let names = ["a/0".to_owned(), "b".to_owned()];
            assert_eq!(store.marks_named(ann, &names).await.unwrap(), [None, Some(vec![1])]);
            sound(&store).await;
            store.account_remove(ann, NOW).await.unwrap();
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn what_somebody_else_brought_meanwhile_is_not_brought_again() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let inbox = inbox(&store, ann).await;
            let step =
                |from: Option<u8>, to: u8| Mark { expects: Some(from.map(|from| vec![from])), ..Mark::set("far", vec![to]) };
            let append = async |mark| store.append_marked(ann, inbox, vec![email(text(1))], vec![mark]).await;
            append(step(None, 1)).await.unwrap();
            // Late, from a run that was killed.
            assert_eq!(append(step(None, 1)).await.err(), Some(StoreError::Exists));
            assert_eq!(store.mark(ann, &[step(Some(9), 2)]).await, Err(StoreError::Exists));
            append(step(Some(1), 2)).await.unwrap();
            store.mark(ann, &[step(Some(2), 3)]).await.unwrap();
            assert_eq!(store.snapshot(ann, inbox).await.unwrap().rows.len(), 2);
            assert_eq!(store.marks(ann, "far", None, 9).await.unwrap(), [("far".to_owned(), vec![3])]);
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn marks_outlive_the_index() {
        let place = Place::new();
        let store = place.open().await;
        let ann = ann(&store).await;
        store.mark(ann, &[Mark::set("import/x", vec![7; 40_000])]).await.unwrap();
        store.close().await.unwrap();
        assert_eq!(Store::rebuild(place.config()).await.unwrap().skipped, vec![]);
        let store = place.open().await;
        assert_eq!(store.marks(ann, "import/", None, 1).await.unwrap()[0].1, vec![7; 40_000]);
        sound(&store).await;
    }
}
