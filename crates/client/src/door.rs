//! The door to one account of a store, wherever the store is: in this process, or behind a running server's control socket.
//!
//! An [`Ask`] and octets in, an [`Answer`] and octets out; both are plain values with JSON names. Must not know: sockets.

use crate::flags::with_keywords;
use crate::limits::{PAGE_BYTES, PAGE_ROWS};
use crate::mailbox_name::{use_of_word, use_word};
use crate::trouble::Trouble;
use bytes::Bytes;
use message::facts::Facts;
use net::clock::unix_now;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::future::Future;
use std::sync::Arc;
use store::{AccountId, Flags, Mailbox, MailboxId, Mark, NewEmail, SpecialUse, Spooled, Store, StoreError, Uid};

/// A message without its octets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Head {
    #[serde(default)]
    pub uid: u32,
    /// [`Flags::system`]
    pub system: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// INTERNALDATE.
    pub date_secs: i64,
    pub octets: u64,
}

impl Head {
    /// Of a message that is to be put.
    pub fn new(flags: &Flags, date_secs: i64, octets: usize) -> Head {
        let keywords = flags.keywords.iter().flat_map(|words| words.iter()).map(SmolStr::to_string).collect();
        Head { uid: 0, system: flags.system, keywords, date_secs, octets: octets as u64 }
    }
    /// Its flags.
    pub fn flags(&self) -> Flags {
        with_keywords(self.system, self.keywords.iter().map(SmolStr::from))
    }
}

/// A mark; values in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct MarkText {
    pub name: String,
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<usize>,
    /// What it must be until then, in hex; empty: not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expects: Option<String>,
}

impl MarkText {
    /// A value for a name.
    pub fn set(name: impl Into<String>, value: &[u8]) -> MarkText {
        MarkText { name: name.into(), value: Some(data_encoding::HEXLOWER.encode(value)), of: None, expects: None }
    }
    /// The UID of the message at this place as value.
    pub fn of(name: impl Into<String>, index: usize) -> MarkText {
        MarkText { name: name.into(), value: Some(String::new()), of: Some(index), expects: None }
    }
    fn into_mark(self) -> Result<Mark, StoreError> {
        let bad = |_| StoreError::Invalid("the value of a mark is not hexadecimal");
        let octets = |hex: String| data_encoding::HEXLOWER.decode(hex.as_bytes()).map_err(bad);
        let value = self.value.map(octets).transpose()?;
        let expects = self.expects.map(octets).transpose()?.map(|value| (!value.is_empty()).then_some(value));
        Ok(Mark { name: self.name, value, of: self.of, expects })
    }
}

/// What may be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Ask {
    Mailboxes,
    /// Made if it is not there. With a use, the mailbox that has it already counts.
    Mailbox {
        name: String,
        special_use: Option<String>,
        subscribe: bool,
    },
    Marks {
        prefix: String,
        after: Option<String>,
    },
    /// Which of these marks are there?
    Known {
        names: Vec<String>,
    },
    Mark {
        marks: Vec<MarkText>,
    },
    /// Messages with their marks, in one commit; their octets stand behind the ask, one after the other.
    Put {
        mailbox: u32,
        messages: Vec<Head>,
        marks: Vec<MarkText>,
    },
    /// Messages after a UID, with their octets.
    Page {
        mailbox: u32,
        after: u32,
    },
    /// Hashes of messages after a UID.
    Hashes {
        mailbox: u32,
        after: u32,
    },
}

impl Ask {
    /// How many octets stand behind it.
    pub fn octets(&self) -> u64 {
        match self {
            Ask::Put { messages, .. } => messages.iter().fold(0, |sum, head| sum.saturating_add(head.octets)),
            _ => 0,
        }
    }
}

/// A mailbox as told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct MailboxTold {
    pub id: u32,
    pub name: String,
    pub special_use: Option<String>,
    pub messages: u32,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Answer {
    Mailboxes {
        list: Vec<MailboxTold>,
    },
    Mailbox {
        id: u32,
        name: String,
    },
    Marks {
        list: Vec<(String, String)>,
        more: bool,
    },
    Known {
        known: Vec<bool>,
    },
    Done {
        uids: Vec<u32>,
    },
    Page {
        messages: Vec<Head>,
        more: bool,
    },
    Hashes {
        list: Vec<String>,
        last: u32,
        more: bool,
    },
    /// A mark was not what it was expected to be; nothing is done.
    Moved,
    /// The store says no to these messages, by itself: too large, a keyword too long.
    Invalid {
        why: String,
    },
}

impl Answer {
    /// How many octets stand behind it.
    pub fn octets(&self) -> u64 {
        match self {
            Answer::Page { messages, .. } => messages.iter().fold(0, |sum, head| sum.saturating_add(head.octets)),
            _ => 0,
        }
    }
}

/// One account of a store.
pub trait Door: Send {
    /// Asks.
    fn ask(&mut self, ask: Ask, octets: Vec<Bytes>) -> impl Future<Output = Result<(Answer, Bytes), Trouble>> + Send;
}

/// The store is in this process.
pub struct StoreDoor {
    /// Which.
    pub store: Store,
    /// Whose.
    pub account: AccountId,
    /// What joins a muted conversation goes past the INBOX, as it does at delivery.
    pub mutes: bool,
}

impl Door for StoreDoor {
    async fn ask(&mut self, ask: Ask, octets: Vec<Bytes>) -> Result<(Answer, Bytes), Trouble> {
        match ask {
            Ask::Put { mailbox, messages, marks } if self.mutes => {
                let (store, account) = (&self.store, self.account);
                let inbox = store.mailbox(account, "INBOX").await?.filter(|inbox| inbox.id == MailboxId(mailbox));
                let messages = Messages { heads: messages, octets, marks };
                let answer = put(store, (account, MailboxId(mailbox)), messages, inbox.is_some()).await?;
                Ok((answer, Bytes::new()))
            }
            ask => Ok(perform(&self.store, self.account, ask, octets).await?),
        }
    }
}

/// What a door was to answer and did not.
pub(crate) fn odd() -> Trouble {
    Trouble::Here("the store answered something else than was asked".into())
}

/// The hash that tells messages apart by their octets.
pub fn hash_of(octets: &[u8]) -> String {
    let hash = blake3::hash(octets);
    data_encoding::HEXLOWER.encode(hash.as_bytes().get(..16).unwrap_or_default())
}

/// Does what is asked.
///
/// # Errors
/// The store's.
pub async fn perform(store: &Store, account: AccountId, ask: Ask, octets: Vec<Bytes>) -> Result<(Answer, Bytes), StoreError> {
    let answer = match ask {
        Ask::Mailboxes => mailboxes(store, account).await?,
        Ask::Mailbox { name, special_use, subscribe } => {
            let special_use = special_use.and_then(|word| use_of_word(&word));
            let found = mailbox_of(store, account, &name, special_use, subscribe).await?;
            Answer::Mailbox { id: found.id.0, name: found.name.to_string() }
        }
        Ask::Marks { prefix, after } => {
            let found = store.marks(account, &prefix, after.as_deref(), PAGE_ROWS).await?;
            let more = found.len() == PAGE_ROWS;
            let list = found.into_iter().map(|(name, value)| (name, data_encoding::HEXLOWER.encode(&value))).collect();
            Answer::Marks { list, more }
        }
        Ask::Known { names } => {
            let found = store.marks_named(account, &names).await?;
            Answer::Known { known: found.iter().map(Option::is_some).collect() }
        }
        Ask::Mark { marks } => {
            let marks = marks.into_iter().map(MarkText::into_mark).collect::<Result<Vec<_>, _>>()?;
            match store.mark(account, &marks).await {
                Ok(()) => Answer::Done { uids: Vec::new() },
                Err(StoreError::Exists) => Answer::Moved,
                Err(error) => return Err(error),
            }
        }
        Ask::Put { mailbox, messages, marks } => {
            put(store, (account, MailboxId(mailbox)), Messages { heads: messages, octets, marks }, false).await?
        }
        Ask::Page { mailbox, after } => return page(store, account, MailboxId(mailbox), after).await,
        Ask::Hashes { mailbox, after } => hashes(store, account, MailboxId(mailbox), after).await?,
    };
    Ok((answer, Bytes::new()))
}

async fn mailboxes(store: &Store, account: AccountId) -> Result<Answer, StoreError> {
    let mut list = Vec::new();
    for mailbox in store.mailboxes(account).await?.iter() {
        list.push(MailboxTold {
            id: mailbox.id.0,
            name: mailbox.name.to_string(),
            special_use: mailbox.special_use.map(|special_use| use_word(special_use).to_owned()),
            messages: store.status(account, mailbox.id).await?.messages,
        });
    }
    Ok(Answer::Mailboxes { list })
}

async fn mailbox_of(
    store: &Store,
    account: AccountId,
    name: &str,
    special_use: Option<SpecialUse>,
    subscribe: bool,
) -> Result<Mailbox, StoreError> {
    let there = store.mailboxes(account).await?;
    let by_use = there.iter().find(|mailbox| special_use.is_some() && mailbox.special_use == special_use);
    let found = match by_use.or_else(|| there.iter().find(|mailbox| mailbox.name == name)) {
        Some(found) => found.clone(),
        None => match store.mailbox_create(account, name, special_use, unix_now()).await {
            Ok(made) => made,
            Err(StoreError::Exists) => store.mailbox(account, name).await?.ok_or(StoreError::NotFound)?,
            Err(error) => return Err(error),
        },
    };
    if subscribe && !found.subscribed {
        store.mailbox_subscribe(account, &found.name, true).await?;
    }
    Ok(found)
}

/// What is put.
struct Messages {
    heads: Vec<Head>,
    octets: Vec<Bytes>,
    marks: Vec<MarkText>,
}

async fn put(
    store: &Store,
    (account, mailbox): (AccountId, MailboxId),
    Messages { heads, octets, marks }: Messages,
    mutes: bool,
) -> Result<Answer, StoreError> {
    if heads.len() != octets.len() {
        return Err(StoreError::Invalid("as many messages as heads are wanted"));
    }
    let marks = marks.into_iter().map(MarkText::into_mark).collect::<Result<Vec<_>, _>>()?;
    let mut emails = computed(heads.into_iter().zip(octets).collect()).await?;
    let muted = if mutes { mute(store, account, &mut emails).await? } else { Vec::new() };
    match store.append_marked(account, mailbox, emails, marks).await {
        Ok(appended) => {
            let past: Vec<Uid> = muted.iter().filter_map(|at| appended.uids.get(*at).copied()).collect();
            if !past.is_empty() {
                // Cut off in between, they lie in the INBOX with the keyword, and programs know what that means.
                let archive = mailbox_of(store, account, "Archive", Some(SpecialUse::Archive), true).await?;
                store.move_(account, mailbox, &past, archive.id, unix_now()).await?;
            }
            Ok(Answer::Done { uids: appended.uids.iter().map(|uid| uid.0).collect() })
        }
        Err(StoreError::Exists) => Ok(Answer::Moved),
        Err(StoreError::Invalid(why)) => Ok(Answer::Invalid { why: why.to_owned() }),
        Err(error) => Err(error),
    }
}

/// Marks those that join a muted conversation; which they are.
async fn mute(store: &Store, account: AccountId, emails: &mut [NewEmail]) -> Result<Vec<usize>, StoreError> {
    let mut muted = Vec::new();
    for (at, email) in emails.iter_mut().enumerate() {
        if !store.is_muted(account, &email.facts).await? {
            continue;
        }
        muted.push(at);
        let words = email.flags.keywords.as_deref().unwrap_or_default();
        if !words.iter().any(|word| word.eq_ignore_ascii_case(store::MUTED)) {
            email.flags.keywords = Some(words.iter().cloned().chain([store::MUTED.into()]).collect());
        }
    }
    Ok(muted)
}

/// Facts on all cores, away from the threads that wait for the wire.
async fn computed(messages: Vec<(Head, Bytes)>) -> Result<Vec<NewEmail>, StoreError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = messages.len().div_ceil(cores).max(1);
    let mut messages = messages.into_iter().peekable();
    let mut under_way = Vec::new();
    while messages.peek().is_some() {
        let some: Vec<(Head, Bytes)> = messages.by_ref().take(share).collect();
        under_way.push(tokio::task::spawn_blocking(move || {
            let email = |(head, octets): (Head, Bytes)| NewEmail {
                facts: Arc::new(Facts::compute(&octets)),
                flags: head.flags(),
                internal_date_secs: head.date_secs,
                body: Spooled::from_bytes(octets),
            };
            some.into_iter().map(email).collect::<Vec<_>>()
        }));
    }
    let mut emails = Vec::new();
    for part in under_way {
        emails.extend(part.await.map_err(|error| StoreError::Io(error.to_string()))?);
    }
    Ok(emails)
}

async fn page(store: &Store, account: AccountId, mailbox: MailboxId, after: u32) -> Result<(Answer, Bytes), StoreError> {
    let snapshot = store.snapshot(account, mailbox).await?;
    let first = snapshot.rows.lower_bound(Uid(after.saturating_add(1)));
    let mut messages = Vec::new();
    let mut octets = Vec::new();
    let mut more = false;
    for row in snapshot.rows.range(first..snapshot.rows.len()) {
        if octets.len() >= PAGE_BYTES || messages.len() >= PAGE_ROWS {
            more = true;
            break;
        }
        let body = store.body(account, row.email, 0, u64::from(row.size_bytes)).await?;
        let mut head = Head::new(&row.flags, row.internal_date_secs, body.len());
        head.uid = row.uid.0;
        messages.push(head);
        octets.extend_from_slice(&body);
    }
    Ok((Answer::Page { messages, more }, Bytes::from(octets)))
}

async fn hashes(store: &Store, account: AccountId, mailbox: MailboxId, after: u32) -> Result<Answer, StoreError> {
    let snapshot = store.snapshot(account, mailbox).await?;
    let first = snapshot.rows.lower_bound(Uid(after.saturating_add(1)));
    let mut list = Vec::new();
    let mut last = after;
    for row in snapshot.rows.range(first..snapshot.rows.len()).take(PAGE_ROWS) {
        let body = store.body(account, row.email, 0, u64::from(row.size_bytes)).await?;
        list.push(hash_of(&body));
        last = row.uid.0;
    }
    let more = list.len() == PAGE_ROWS;
    Ok(Answer::Hashes { list, last, more })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use store::{FlagOp, MemoryDisk, NewAccount, Secrets, StoreConfig};

    const NOW: i64 = 1_700_000_000;

    async fn store() -> (Store, AccountId) {
        let config = StoreConfig {
            data_dir: "unused".into(),
            undo_days: 30,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 1_000_000,
        };
        let store = MemoryDisk::default().open(config).await.unwrap();
        let secrets = Secrets { argon2: String::new(), scram: None };
        let ann = NewAccount { address: "ann@here.test".into(), secrets, quota_bytes: None };
        let ids = store.accounts_add(vec![ann], NOW).await.unwrap();
        (store, ids[0])
    }

    /// As at delivery: past the INBOX, with the keyword, unread; each is known again by its own mark.
    #[tokio::test]
    async fn what_joins_a_muted_conversation_goes_past_the_inbox_where_that_is_wanted() {
        let (store, ann) = store().await;
        let inbox = store.mailbox(ann, "INBOX").await.unwrap().unwrap().id;
        let message = |id: u32, of: u32| Bytes::from(format!("Message-ID: <{id}@x>\r\nReferences: <{of}@x>\r\n\r\nx\r\n"));
        let put = async |mutes: bool, mailbox: MailboxId, ids: &[(u32, u32)]| {
            let octets: Vec<Bytes> = ids.iter().map(|(id, of)| message(*id, *of)).collect();
            let messages = octets.iter().map(|octets| Head::new(&Flags::default(), NOW, octets.len())).collect();
            let marks = ids.iter().map(|(id, _)| MarkText::set(format!("import/{id}"), b"")).collect();
            let mut door = StoreDoor { store: store.clone(), account: ann, mutes };
            let (answer, _) = door.ask(Ask::Put { mailbox: mailbox.0, messages, marks }, octets).await.unwrap();
            assert!(matches!(answer, Answer::Done { uids } if uids.len() == ids.len()));
        };
        let count = async |mailbox: MailboxId| store.snapshot(ann, mailbox).await.unwrap().rows.len();
        put(true, inbox, &[(1, 1)]).await;
        let muted = Flags { system: 0, keywords: Some([store::MUTED.into()].into()) };
        store.flags(ann, inbox, &[Uid(1)], FlagOp::Add, &muted, None).await.unwrap();
        put(true, inbox, &[(2, 9), (3, 1), (4, 8), (5, 1)]).await;
        assert_eq!(count(inbox).await, 3);
        let archive = store.mailboxes(ann).await.unwrap();
        let archive = archive.iter().find(|one| one.special_use == Some(SpecialUse::Archive)).unwrap().id;
        let rows = store.snapshot(ann, archive).await.unwrap().rows;
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.flags == muted));
        let names: Vec<String> = (2..6).map(|id| format!("import/{id}")).collect();
        assert!(store.marks_named(ann, &names).await.unwrap().iter().all(Option::is_some));
        // Not into other mailboxes, and not where a mailbox is brought as it is.
        let other = store.mailbox_create(ann, "Other", None, NOW).await.unwrap().id;
        put(true, other, &[(6, 1)]).await;
        put(false, inbox, &[(7, 1)]).await;
        assert_eq!((count(other).await, count(inbox).await, count(archive).await), (1, 4, 2));
    }
}
