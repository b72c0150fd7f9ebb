//! The marks of a mirror: which mailbox is which, and which message is which, with the flags both had.

use crate::flags::with_keywords;
use crate::limits::PAGE_ROWS;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use store::{AccountId, Flags, Mailbox, MailboxId, Mark, Store, StoreError};

/// A message here and there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Its UID here.
    pub local: u32,
    /// Flags when both sides last agreed.
    pub base: Flags,
}

/// A mailbox there, and how far it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boxed {
    pub(super) remote: String,
    pub(super) uid_validity: u32,
    /// 0: look at everything.
    pub(super) mod_seq: u64,
}

impl Boxed {
    pub(super) fn mark(&self, mailbox: MailboxId) -> Mark {
        let value = [&self.uid_validity.to_be_bytes()[..], &self.mod_seq.to_be_bytes(), self.remote.as_bytes()].concat();
        Mark::set(format!("sync/box/{:010}", mailbox.0), value)
    }

    fn decode(value: &[u8]) -> Option<Boxed> {
        let (uid_validity, rest) = value.split_first_chunk::<4>()?;
        let (mod_seq, remote) = rest.split_first_chunk::<8>()?;
        Some(Boxed {
            remote: String::from_utf8(remote.to_vec()).ok()?,
            uid_validity: u32::from_be_bytes(*uid_validity),
            mod_seq: u64::from_be_bytes(*mod_seq),
        })
    }
}

/// What a mailbox was called here when both sides last agreed.
pub(super) fn name_mark(mailbox: &Mailbox) -> Mark {
    Mark::set(format!("sync/name/{:010}", mailbox.id.0), mailbox.name.as_bytes().to_vec())
}

pub(super) async fn last_names(store: &Store, account: AccountId) -> Result<BTreeMap<MailboxId, String>, StoreError> {
    let one = |(id, name): (u32, Vec<u8>)| Some((MailboxId(id), String::from_utf8(name).ok()?));
    Ok(all(store, account, "sync/name/").await?.into_iter().filter_map(one).collect())
}

/// The name of a pair's mark.
pub(super) fn name(mailbox: MailboxId, remote: u32) -> String {
    format!("sync/pair/{:010}/{remote:010}", mailbox.0)
}

pub(super) fn base_octets(flags: &Flags) -> Vec<u8> {
    let words: Vec<&str> = flags.keywords.iter().flat_map(|words| words.iter()).map(SmolStr::as_str).collect();
    [&[flags.system][..], words.join(" ").as_bytes()].concat()
}

pub(super) fn pair_mark(mailbox: MailboxId, remote: u32, local: u32, base: &Flags) -> Mark {
    Mark::set(name(mailbox, remote), [&local.to_be_bytes()[..], &base_octets(base)].concat())
}

fn decode_pair(value: &[u8]) -> Option<Pair> {
    let (local, rest) = value.split_first_chunk::<4>()?;
    let (system, words) = rest.split_first()?;
    let words = std::str::from_utf8(words).ok()?.split(' ').filter(|word| !word.is_empty()).map(SmolStr::new);
    Some(Pair { local: u32::from_be_bytes(*local), base: with_keywords(*system, words) })
}

pub(super) async fn all(store: &Store, account: AccountId, prefix: &str) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.marks(account, prefix, after.as_deref(), PAGE_ROWS).await?;
        after = page.last().map(|(name, _)| name.clone());
        let more = page.len() == PAGE_ROWS;
        for (name, value) in page {
            let number = name.get(prefix.len()..).and_then(|number| number.parse().ok());
            found.push((number.ok_or_else(|| StoreError::Damaged(format!("the mark {name}")))?, value));
        }
        if !more {
            return Ok(found);
        }
    }
}

pub(super) async fn boxes(store: &Store, account: AccountId) -> Result<BTreeMap<MailboxId, Boxed>, StoreError> {
    let found = all(store, account, "sync/box/").await?;
    let one = |(id, value): (u32, Vec<u8>)| {
        let boxed = Boxed::decode(&value).ok_or_else(|| StoreError::Damaged(format!("the mark of mailbox {id}")))?;
        Ok((MailboxId(id), boxed))
    };
    found.into_iter().map(one).collect()
}

/// The mailbox there that a mailbox here is a mirror of, and its UIDVALIDITY.
pub(crate) async fn remote_of(
    store: &Store,
    account: AccountId,
    mailbox: MailboxId,
) -> Result<Option<(String, u32)>, StoreError> {
    Ok(boxes(store, account).await?.remove(&mailbox).map(|boxed| (boxed.remote, boxed.uid_validity)))
}

/// Pairs of a mailbox, by the UID there.
///
/// # Errors
/// The store's.
pub async fn pairs_of(store: &Store, account: AccountId, mailbox: MailboxId) -> Result<BTreeMap<u32, Pair>, StoreError> {
    let found = all(store, account, &format!("sync/pair/{:010}/", mailbox.0)).await?;
    let one = |(uid, value): (u32, Vec<u8>)| {
        Ok((uid, decode_pair(&value).ok_or_else(|| StoreError::Damaged(format!("the mark of UID {uid}")))?))
    };
    found.into_iter().map(one).collect()
}

/// The pair of one message there.
///
/// # Errors
/// The store's.
pub async fn pair_of(store: &Store, account: AccountId, mailbox: MailboxId, remote: u32) -> Result<Option<Pair>, StoreError> {
    let found = store.marks_named(account, &[name(mailbox, remote)]).await?;
    let pair = |value: Vec<u8>| decode_pair(&value).ok_or_else(|| StoreError::Damaged(format!("the mark of UID {remote}")));
    found.into_iter().next().flatten().map(pair).transpose()
}

/// No message of this mailbox is paired any more, nor known to be only there; `whole`: nor is the mailbox.
pub(super) async fn forget_pairs(store: &Store, account: AccountId, mailbox: MailboxId, whole: bool) -> Result<(), StoreError> {
    let pairs = all(store, account, &format!("sync/pair/{:010}/", mailbox.0)).await?;
    let mut marks: Vec<Mark> = pairs.into_iter().map(|(uid, _)| Mark::remove(name(mailbox, uid))).collect();
    marks.extend(super::left::forgotten(store, account, mailbox).await?);
    if whole {
        marks.push(Mark::remove(format!("sync/box/{:010}", mailbox.0)));
        marks.push(Mark::remove(format!("sync/name/{:010}", mailbox.0)));
    }
    store.mark(account, &marks).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_ways() {
        let boxed = Boxed { remote: "A/\u{df}".into(), uid_validity: 7, mod_seq: u64::MAX };
        assert_eq!(Boxed::decode(&boxed.mark(MailboxId(3)).value.unwrap()), Some(boxed));
        let base = with_keywords(5, ["a".into(), "$b".into()]);
        let mark = pair_mark(MailboxId(3), 9, 4, &base);
        assert_eq!(mark.name, "sync/pair/0000000003/0000000009");
        assert_eq!(decode_pair(&mark.value.unwrap()), Some(Pair { local: 4, base }));
        assert_eq!(decode_pair(b"\0\0\0\x04"), None);
    }
}
