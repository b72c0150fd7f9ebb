//! Annotations: small named values at a mailbox or at the account itself, which the store keeps without reading them.
//!
//! A row belongs to its mailbox by id, so a new name of the mailbox changes nothing; it goes when the mailbox goes.
//! Invariant: every change is one durable act on the account; number and octets are bounded.
//! Must not know: what names and values mean.

use crate::Store;
use crate::engine::{Batch, Engine, Key, range};
use crate::key;
use crate::limits::{ANNOTATION_BYTES_MAX, ANNOTATIONS_BYTES_MAX, ANNOTATIONS_MAX};
use crate::mailbox::exclusively;
use crate::store::{Inner, Result};
use crate::types::*;
use crate::value::{Writer, decoded, open};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// By mailbox (`None` is the account itself) and name.
pub type Annotations = BTreeMap<(Option<MailboxId>, SmolStr), Vec<u8>>;

fn key_of(account: AccountId, at: Option<MailboxId>, name: &str) -> Key {
    // Mailbox ids begin with 1.
    key::annotation(account, at.unwrap_or(MailboxId(0)), name)
}

/// Mailbox and name of a key.
pub(crate) fn parts_of(at: &Key) -> Option<(AccountId, Option<MailboxId>, &str)> {
    let mut parts = key::Parts::of(at);
    let account = AccountId(parts.u32()?);
    let mailbox = MailboxId(parts.u32()?);
    Some((account, (mailbox.0 != 0).then_some(mailbox), parts.text()?))
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

async fn read(engine: &dyn Engine, keys: (Key, Key)) -> Result<Annotations> {
    let mut all = Annotations::new();
    for (at, stored) in range(engine, keys, usize::MAX).await? {
        let Some((_, mailbox, name)) = parts_of(&at) else { continue };
        match decode(&at, &stored) {
            Ok(value) => drop(all.insert((mailbox, SmolStr::new(name)), value)),
            // Damage is local: the others are served, `check` tells of this one.
            Err(error) => tracing::error!(?error, "an annotation cannot be read"),
        }
    }
    Ok(all)
}

fn within_bounds(all: &Annotations, at: Option<MailboxId>) -> Result<()> {
    if all.values().any(|value| value.len() > ANNOTATION_BYTES_MAX) {
        return Err(StoreError::Invalid("an annotation is too long"));
    }
    if all.keys().filter(|(mailbox, _)| *mailbox == at).count() > ANNOTATIONS_MAX {
        return Err(StoreError::Invalid("there are too many annotations"));
    }
    let octets: usize = all.iter().map(|((_, name), value)| name.len() + value.len()).sum();
    if octets > ANNOTATIONS_BYTES_MAX {
        return Err(StoreError::OverQuota);
    }
    Ok(())
}

impl Inner {
    /// All of a mailbox that is being removed, and what its readers have seen.
    pub(crate) async fn forget_annotations(&self, batch: &mut Batch, account: AccountId, mailbox: MailboxId) -> Result<()> {
        for (at, _) in range(&*self.engine, key::annotations_of(account, mailbox), usize::MAX).await? {
            batch.delete(at);
        }
        for (at, _) in range(&*self.engine, key::own_seen_at(account, mailbox), usize::MAX).await? {
            batch.delete(at);
        }
        Ok(())
    }
}

impl Store {
    /// All annotations of an account.
    pub async fn annotations(&self, account: AccountId) -> Result<Annotations> {
        self.inner.ready(account).await?;
        read(&*self.inner.engine, key::of_account(key::ANNOTATION, account)).await
    }

    /// Those of one mailbox.
    pub async fn annotations_at(&self, account: AccountId, mailbox: MailboxId) -> Result<Annotations> {
        self.inner.ready(account).await?;
        read(&*self.inner.engine, key::annotations_of(account, mailbox)).await
    }

    /// Sets and (`None`) removes annotations of a mailbox or the account itself, all or none. Too many or one too long:
    /// `Invalid`; too many octets in the account: `OverQuota`.
    pub async fn annotate(&self, account: AccountId, at: Option<MailboxId>, values: &[(SmolStr, Option<Vec<u8>>)]) -> Result<()> {
        let changed: bool = exclusively!(self.inner, account, |act, batch| {
            if at.is_some_and(|id| act.mailbox(id).is_none()) {
                return Err(StoreError::NotFound);
            }
            let before = read(&*self.inner.engine, key::of_account(key::ANNOTATION, account)).await?;
            let mut after = before.clone();
            for (name, value) in values {
                match value {
                    Some(value) => drop(after.insert((at, name.clone()), value.clone())),
                    None => drop(after.remove(&(at, name.clone()))),
                }
            }
            within_bounds(&after, at)?;
            for (mailbox, name) in before.keys().filter(|place| !after.contains_key(*place)) {
                batch.delete(key_of(account, *mailbox, name));
            }
            for ((mailbox, name), value) in after.iter().filter(|(place, value)| before.get(*place) != Some(*value)) {
                let row = key_of(account, *mailbox, name);
                let stored = encode(&row, value);
                batch.put(row, stored);
            }
            // RFC 7162 §3.2: a mailbox whose annotations changed did.
            if let Some(id) = at.filter(|_| before != after) {
                let mod_seq = act.mod_seq();
                act.mailbox_mut(id)?.highest = mod_seq;
            }
            Ok((before != after, before != after))
        })?;
        if changed {
            let space = self.inner.space(account);
            space.annotated.fetch_add(1, Ordering::SeqCst);
            // Whoever woke by the act itself may have looked before the count moved.
            space.watch.send_modify(|_| {});
        }
        Ok(())
    }

    /// Moves with every change of an account's annotations since it was loaded; the account's watch wakes after it moved.
    pub fn annotation_count(&self, account: AccountId) -> u64 {
        self.inner.space(account).annotated.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, Place, ann, both, inbox, sound};

    fn set(name: &str, value: &str) -> (SmolStr, Option<Vec<u8>>) {
        (name.into(), Some(value.as_bytes().to_vec()))
    }

    #[tokio::test]
    async fn set_read_renamed_and_gone_with_the_mailbox() {
        for (_place, store) in both().await {
            let ann = ann(&store).await;
            let made = store.mailbox_create(ann, "a", None, NOW).await.unwrap();
            let count = store.annotation_count(ann);
            store.annotate(ann, Some(made.id), &[set("x", "1"), set("y", "2"), set("x", "3")]).await.unwrap();
            store.annotate(ann, None, &[set("x", "of the account")]).await.unwrap();
            assert_eq!(store.annotation_count(ann), count + 2);
            let highest = async || store.snapshot(ann, made.id).await.unwrap().highest_mod_seq;
            let before = highest().await;
            store.annotate(ann, Some(made.id), &[set("x", "3")]).await.unwrap();
            assert_eq!(highest().await, before, "nothing changed");
            store.annotate(ann, Some(made.id), &[set("z", "4"), set("z", "5")]).await.unwrap();
            assert!(highest().await > before);
            store.annotate(ann, Some(made.id), &[("z".into(), None)]).await.unwrap();
            store.mailbox_rename(ann, "a", "b/c", NOW).await.unwrap();
            let all = store.annotations(ann).await.unwrap();
            assert_eq!(all.get(&(Some(made.id), "x".into())).unwrap(), b"3");
            assert_eq!(all.get(&(None, "x".into())).unwrap(), b"of the account");
            assert_eq!(all.len(), 3);
            sound(&store).await;
            store.annotate(ann, Some(made.id), &[("y".into(), None), ("never".into(), None)]).await.unwrap();
            assert_eq!(store.annotations(ann).await.unwrap().len(), 2);
            store.mailbox_delete(ann, "b/c", NOW).await.unwrap();
            assert_eq!(store.annotations(ann).await.unwrap().len(), 1);
            assert_eq!(store.annotate(ann, Some(made.id), &[set("x", "1")]).await, Err(StoreError::NotFound));
            sound(&store).await;
            store.account_remove(ann, NOW).await.unwrap();
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn they_outlive_the_process_and_the_index() {
        let place = Place::new();
        let store = place.open().await;
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        store.annotate(ann, Some(inbox), &[set("x", "kept")]).await.unwrap();
        store.close().await.unwrap();
        let store = place.open().await;
        assert_eq!(store.annotations(ann).await.unwrap().len(), 1);
        store.close().await.unwrap();
        let rebuilt = Store::rebuild(place.config()).await.unwrap();
        assert_eq!(rebuilt.skipped, vec![]);
        let store = place.open().await;
        assert_eq!(store.annotations(ann).await.unwrap().get(&(Some(inbox), "x".into())).unwrap(), b"kept");
        sound(&store).await;
    }

    #[tokio::test]
    async fn number_and_octets_are_bounded() {
        let (_place, store) = both().await.pop().unwrap();
        let ann = ann(&store).await;
        let inbox = Some(inbox(&store, ann).await);
        let long = (SmolStr::new("long"), Some(vec![b'x'; ANNOTATION_BYTES_MAX + 1]));
        assert!(matches!(store.annotate(ann, inbox, &[long]).await, Err(StoreError::Invalid(_))));
        let many: Vec<_> = (0..=ANNOTATIONS_MAX).map(|number| set(&format!("n{number}"), "")).collect();
        assert!(matches!(store.annotate(ann, inbox, &many).await, Err(StoreError::Invalid(_))));
        store.annotate(ann, inbox, &many[1..]).await.unwrap();
        let large = |number: usize| (SmolStr::from(format!("l{number}")), Some(vec![b'x'; ANNOTATION_BYTES_MAX]));
        let fill: Vec<_> = (0..=ANNOTATIONS_BYTES_MAX / ANNOTATION_BYTES_MAX).map(large).collect();
        assert_eq!(store.annotate(ann, None, &fill).await, Err(StoreError::OverQuota));
        assert_eq!(store.annotations(ann).await.unwrap().len(), ANNOTATIONS_MAX);
        sound(&store).await;
    }
}
