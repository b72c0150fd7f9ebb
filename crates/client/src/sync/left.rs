//! What policy left on the server: of each such message the few things that a list shows, so that it can be seen, chosen and
//! asked for without its body, offline too.
//!
//! Invariant: a message has such a note or a pair, never both: the note goes in the commit that brings the message. Must not
//! know: the wire.

use super::pairs::all;
use crate::flags::with_keywords;
use crate::limits::TEXT_CHARS_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{AccountId, Flags, Mailbox, MailboxId, Mark, Store, StoreError};

/// Before the value.
const VERSION: u8 = 1;

/// A message that is only there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Left {
    pub from: String,
    pub subject: String,
    /// INTERNALDATE.
    pub date_secs: i64,
    pub size_bytes: u64,
    system: u8,
    keywords: Vec<String>,
}

impl Left {
    /// By what a server told of it.
    pub(super) fn new((from, subject): (&str, &str), date_secs: i64, size_bytes: u64, flags: &Flags) -> Left {
        let short = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect();
        let mut left = Left { from: short(from), subject: short(subject), date_secs, size_bytes, ..Left::default() };
        left.set_flags(flags);
        left
    }

    /// Its flags, as they were told last.
    pub fn flags(&self) -> Flags {
        with_keywords(self.system, self.keywords.iter().map(Into::into))
    }

    pub(super) fn set_flags(&mut self, flags: &Flags) {
        self.system = flags.system;
        self.keywords = flags.keywords.iter().flat_map(|words| words.iter()).map(ToString::to_string).collect();
    }

    pub(super) fn mark(&self, mailbox: MailboxId, remote: u32) -> Mark {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Mark::set(name(mailbox, remote), [&[VERSION][..], &text].concat())
    }

    /// What is of another version is looked at again by the next run that looks at everything.
    fn decode(value: &[u8]) -> Option<Left> {
        let (_, text) = value.split_first().filter(|(version, _)| **version == VERSION)?;
        serde_json::from_slice(text).ok()
    }
}

fn prefix(mailbox: MailboxId) -> String {
    format!("sync/left/{:010}/", mailbox.0)
}

/// The name of the note.
fn name(mailbox: MailboxId, remote: u32) -> String {
    format!("{}{remote:010}", prefix(mailbox))
}

/// That there is no note of a message (any more).
pub(crate) fn no_longer_left(mailbox: MailboxId, remote: u32) -> Mark {
    Mark::remove(name(mailbox, remote))
}

/// Messages of a mailbox that are only on the server, by their UID there.
///
/// # Errors
/// The store's.
pub async fn left_of(store: &Store, account: AccountId, mailbox: MailboxId) -> Result<BTreeMap<u32, Left>, StoreError> {
    let found = all(store, account, &prefix(mailbox)).await?;
    Ok(found.into_iter().filter_map(|(uid, value)| Some((uid, Left::decode(&value)?))).collect())
}

/// What is noted of one of them.
///
/// # Errors
/// The store's.
pub async fn left_one(store: &Store, account: AccountId, mailbox: MailboxId, remote: u32) -> Result<Option<Left>, StoreError> {
    let found = store.marks_named(account, &[name(mailbox, remote)]).await?;
    Ok(found.into_iter().next().flatten().and_then(|value| Left::decode(&value)))
}

/// That everything left there has its note: stores of before these notes have to look at everything once.
pub(super) fn known_mark(mailbox: &Mailbox) -> Mark {
    Mark::set(known_name(mailbox.id), vec![VERSION])
}

fn known_name(mailbox: MailboxId) -> String {
    format!("sync/notes/{:010}", mailbox.0)
}

pub(super) async fn are_known(store: &Store, account: AccountId, mailbox: MailboxId) -> Result<bool, StoreError> {
    let found = store.marks_named(account, &[known_name(mailbox)]).await?;
    Ok(found.into_iter().flatten().any(|value| value == [VERSION]))
}

/// Marks that forget the notes of a mailbox.
pub(super) async fn forgotten(store: &Store, account: AccountId, mailbox: MailboxId) -> Result<Vec<Mark>, StoreError> {
    let notes = all(store, account, &prefix(mailbox)).await?;
    let marks = notes.into_iter().map(|(uid, _)| no_longer_left(mailbox, uid));
    Ok(marks.chain([Mark::remove(known_name(mailbox))]).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_note_both_ways_and_only_of_a_version_that_is_known() {
        let flags = with_keywords(Flags::SEEN, ["$Later".into()]);
        let left = Left::new(("Ann <a@b>", &"x".repeat(2000)), 77, 1 << 40, &flags);
        let mark = left.mark(MailboxId(3), 9);
        assert_eq!(mark.name, "sync/left/0000000003/0000000009");
        let value = mark.value.unwrap();
        let back = Left::decode(&value).unwrap();
        assert_eq!((back.flags(), back.subject.len(), &back), (flags, TEXT_CHARS_MAX, &left));
        assert_eq!(Left::decode(&[&[9][..], value.get(1..).unwrap()].concat()), None);
        assert_eq!((Left::decode(b""), Left::decode(b"\x01{")), (None, None));
    }
}
