//! What is known of a POP3 maildrop: which of its messages were brought, as which email here, and which still lie there.
//!
//! It stands in the marks of the import, one for each unique-id. The import writes the UID that the message got in INBOX; once
//! the maildrop is listed after that, whether it lies there and its id here are added, for the id stays when it is moved.
//! Must not know: POP3.

use std::collections::{BTreeMap, HashSet};
use store::{AccountId, EmailId, Mark, Rows, SpecialUse, Store, StoreError, Uid, UnixSecs};

/// Marks read or written at once.
const PAGE: usize = 1000;
/// Of a value that holds more than a UID.
const VERSION: u8 = 1;

/// One message that was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The UID that it got in INBOX.
    pub uid: u32,
    /// It lay there when that was looked at last.
    pub is_there: bool,
    /// Its id here; `None`: it had left INBOX before that was noted.
    pub email: Option<EmailId>,
}

impl Kept {
    fn read(value: &[u8]) -> Option<Kept> {
        let (uid, rest) = value.split_first_chunk::<4>()?;
        let uid = u32::from_be_bytes(*uid);
        match rest {
            // As the import writes it: it has just been there.
            [] => Some(Kept { uid, is_there: true, email: None }),
            [VERSION, there, email @ ..] => {
                let email = u64::from_be_bytes(email.try_into().ok()?);
                Some(Kept { uid, is_there: *there != 0, email: (email > 0).then_some(EmailId(email)) })
            }
            _ => None,
        }
    }

    /// With the id of what has not left INBOX.
    fn resolved(mut self, inbox: &Rows) -> Kept {
        let there = || inbox.index_of(Uid(self.uid)).and_then(|at| inbox.get(at)).map(|row| row.email);
        self.email = self.email.or_else(there);
        self
    }

    fn write(&self) -> Vec<u8> {
        let email = self.email.map_or(0, |email| email.0);
        [&self.uid.to_be_bytes()[..], &[VERSION, u8::from(self.is_there)], &email.to_be_bytes()].concat()
    }
}

/// Where an email is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here {
    /// INTERNALDATE.
    pub date_secs: UnixSecs,
    /// It was thrown away.
    pub is_trash: bool,
}

/// Everything that was brought from there, by unique-id; `prefix` as [`crate::Place::import_prefix`] has it.
///
/// # Errors
/// The store's.
pub async fn kept(store: &Store, account: AccountId, prefix: &str) -> Result<BTreeMap<String, Kept>, StoreError> {
    let inbox = inbox(store, account).await?;
    let mut found = BTreeMap::new();
    for (name, value) in marks(store, account, prefix).await? {
        if let Some(kept) = Kept::read(&value) {
            let kept = kept.resolved(&inbox);
            found.insert(name.get(prefix.len()..).unwrap_or_default().to_owned(), kept);
        }
    }
    Ok(found)
}

async fn inbox(store: &Store, account: AccountId) -> Result<Rows, StoreError> {
    let inbox = store.mailbox(account, "INBOX").await?.ok_or(StoreError::NotFound)?;
    Ok(store.snapshot(account, inbox.id).await?.rows)
}

async fn marks(store: &Store, account: AccountId, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map(|(name, _): &(String, Vec<u8>)| name.clone());
        let page = store.marks(account, prefix, after.as_deref(), PAGE).await?;
        let more = page.len() == PAGE;
        all.extend(page);
        if !more {
            return Ok(all);
        }
    }
}

/// All emails that are here, in whatever mailbox.
///
/// # Errors
/// The store's.
pub async fn all_here(store: &Store, account: AccountId) -> Result<BTreeMap<EmailId, Here>, StoreError> {
    let mut here = BTreeMap::new();
    for mailbox in store.mailboxes(account).await?.iter() {
        let is_trash = mailbox.special_use == Some(SpecialUse::Trash);
        let rows = store.snapshot(account, mailbox.id).await?.rows;
        here.extend(rows.iter().map(|row| (row.email, Here { date_secs: row.internal_date_secs, is_trash })));
    }
    Ok(here)
}

/// Notes what lies there now, and of what was brought since the last time its id here.
///
/// # Errors
/// The store's.
pub async fn note(store: &Store, account: AccountId, prefix: &str, there: &HashSet<String>) -> Result<(), StoreError> {
    let inbox = inbox(store, account).await?;
    let mut changed = Vec::new();
    for (name, value) in marks(store, account, prefix).await? {
        let Some(kept) = Kept::read(&value) else { continue };
        let is_there = there.contains(name.get(prefix.len()..).unwrap_or_default());
        let written = Kept { is_there, ..kept.resolved(&inbox) }.write();
        if written != value {
            changed.push(Mark::set(name, written));
        }
    }
    for some in changed.chunks(PAGE) {
        store.mark(account, some).await?;
    }
    Ok(())
}

/// Notes that these do not lie there any more.
///
/// # Errors
/// The store's.
pub(crate) async fn gone(store: &Store, account: AccountId, prefix: &str, ids: &[String]) -> Result<(), StoreError> {
    let names: Vec<String> = ids.iter().map(|id| format!("{prefix}{id}")).collect();
    let values = store.marks_named(account, &names).await?;
    let gone = |(name, value): (String, Option<Vec<u8>>)| {
        let kept = Kept { is_there: false, ..Kept::read(&value?)? };
        Some(Mark::set(name, kept.write()))
    };
    let marks: Vec<Mark> = names.into_iter().zip(values).filter_map(gone).collect();
    store.mark(account, &marks).await
}

/// Forgets of these that they were ever brought, if they are not here any more: the next import brings them again.
///
/// # Errors
/// The store's.
pub(crate) async fn forget(store: &Store, account: AccountId, prefix: &str, ids: &[String]) -> Result<(), StoreError> {
    let here = all_here(store, account).await?;
    let kept = kept(store, account, prefix).await?;
    let is_lost = |id: &&String| kept.get(*id).is_some_and(|kept| kept.email.is_none_or(|email| !here.contains_key(&email)));
    let marks: Vec<Mark> = ids.iter().filter(is_lost).map(|id| Mark::remove(format!("{prefix}{id}"))).collect();
    store.mark(account, &marks).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_they_are_and_as_the_import_writes_them() {
        for email in [None, Some(EmailId(7))] {
            let kept = Kept { uid: 9, is_there: false, email };
            assert_eq!(Kept::read(&kept.write()), Some(kept));
        }
        assert_eq!(Kept::read(&9u32.to_be_bytes()), Some(Kept { uid: 9, is_there: true, email: None }));
        for bad in [&b""[..], b"abc", b"abcde", b"abcd\x02\x01aaaaaaaa"] {
            assert_eq!(Kept::read(bad), None);
        }
    }
}
