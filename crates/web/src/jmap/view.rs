//! An account as JMAP sees it: emails by id, each with all its places, and conversations. In memory, from the store.
//!
//! The store has a row for each place of an email; here the rows with the same octets and date are one Email. A message with
//! \Deleted is not there for JMAP (RFC 8621 §2). Invariant: a view tells at least what had happened at its mod-sequence, and is
//! thrown away at any time. Must not know: methods.

use super::mailbox::Counts;
use super::own_seen;
use super::sharing::Eyes;
use crate::limits::{FACTS_CHUNK, RESULTS_KEPT, VIEW_EMAILS_MAX};
use message::facts::Facts;
use message::sort_keys::SortKeys;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use store::{
    AccountId, BodyId, EmailId, Flags, Mailbox, MailboxId, MailboxStatus, MessageRow, ModSeq, Store, StoreError, Uid, UnixSecs,
};
use tokio::sync::OwnedMutexGuard;
use wire::imap::acl::{Right, Rights};

type Result<T> = std::result::Result<T, StoreError>;

/// How often a view is brought up to an account that does not hold still.
const TRIES: usize = 4;

/// What makes an Email: its octets and its INTERNALDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EmailKey {
    pub(crate) date_secs: UnixSecs,
    pub(crate) body: BodyId,
}

impl EmailKey {
    pub(crate) fn id(self) -> String {
        store::object_id::of_email(self.body, self.date_secs).to_string()
    }

    pub(crate) fn of(id: &str) -> Option<EmailKey> {
        store::object_id::email(id).map(|(body, date_secs)| EmailKey { body, date_secs })
    }
}

/// What makes a Thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ThreadKey {
    Root(u64),
    Alone(BodyId),
}

impl ThreadKey {
    pub(crate) fn id(self) -> String {
        match self {
            ThreadKey::Root(root) => store::object_id::of_thread(Some(root), BodyId(0)).to_string(),
            ThreadKey::Alone(body) => store::object_id::of_thread(None, body).to_string(),
        }
    }

    pub(crate) fn of(id: &str) -> Option<ThreadKey> {
        let root = id.strip_prefix('T').and_then(|hex| u64::from_str_radix(hex, 16).ok()).map(ThreadKey::Root);
        let alone =
            || id.strip_prefix('U').and_then(|hex| u64::from_str_radix(hex, 16).ok()).map(|body| ThreadKey::Alone(BodyId(body)));
        root.or_else(alone).filter(|key| key.id() == id)
    }
}

/// One place of an email.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) mailbox: MailboxId,
    pub(crate) uid: Uid,
    pub(crate) email: EmailId,
    flags: Flags,
}

impl Place {
    pub(crate) fn is_seen(&self) -> bool {
        self.flags.system & Flags::SEEN != 0
    }
}

/// What the facts say that queries ask for.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) thread: ThreadKey,
    pub(crate) sent_secs: Option<UnixSecs>,
    pub(crate) has_attachment: bool,
    pub(crate) subject: SmolStr,
    pub(crate) from: SmolStr,
    pub(crate) to: SmolStr,
}

impl Known {
    fn of(key: EmailKey, facts: Option<&Facts>) -> Known {
        let alone = ThreadKey::Alone(key.body);
        let Some(facts) = facts else {
            let none = SmolStr::default;
            return Known { thread: alone, sent_secs: None, has_attachment: false, subject: none(), from: none(), to: none() };
        };
        let keys = SortKeys::of(facts);
        Known {
            thread: thread_of(key.body, facts),
            sent_secs: facts.date_secs,
            has_attachment: facts.has_attachment,
            subject: keys.subject.into(),
            from: keys.display_from.into(),
            to: keys.display_to.into(),
        }
    }
}

pub(crate) fn thread_of(body: BodyId, facts: &Facts) -> ThreadKey {
    store::object_id::thread_root(facts).map_or(ThreadKey::Alone(body), ThreadKey::Root)
}

/// One Email.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    places: Vec<Place>,
    pub(crate) size_bytes: u32,
    known: Option<Arc<Known>>,
}

impl Entry {
    /// Where it is, \Deleted ones left out.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.flags.system & Flags::DELETED == 0)
    }

    pub(crate) fn is_visible(&self) -> bool {
        self.places().next().is_some()
    }

    pub(crate) fn is_in(&self, mailbox: MailboxId) -> bool {
        self.places().any(|place| place.mailbox == mailbox)
    }

    /// The mailbox it is in, if that is one, as it mostly is.
    pub(crate) fn only_mailbox(&self) -> Option<MailboxId> {
        let mut places = self.places().map(|place| place.mailbox);
        places.next().filter(|_| places.next().is_none())
    }

    pub(crate) fn mailboxes(&self) -> BTreeSet<MailboxId> {
        self.places().map(|place| place.mailbox).collect()
    }

    /// Any place's, for reading the octets.
    pub(crate) fn email(&self) -> Option<EmailId> {
        self.places.first().map(|place| place.email)
    }

    /// Where [`Entry::email`] lies.
    pub(crate) fn first_mailbox(&self) -> Option<MailboxId> {
        self.places.first().map(|place| place.mailbox)
    }

    /// Set in some place; \Seen in all of them.
    pub(crate) fn system(&self) -> u8 {
        let some = self.places().fold(0, |all, place| all | place.flags.system);
        let seen = self.places().all(|place| place.flags.system & Flags::SEEN != 0);
        if seen { some } else { some & !Flags::SEEN }
    }

    /// Lower-case, in JMAP's spelling (RFC 8621 §4.1.1).
    pub(crate) fn keywords(&self) -> BTreeSet<SmolStr> {
        let system = self.system();
        let named = SYSTEM.iter().filter(|(bit, _)| system & bit != 0).map(|(_, name)| SmolStr::new_static(name));
        let words = self.places().filter_map(|place| place.flags.keywords.as_deref()).flatten();
        named.chain(words.map(|word| SmolStr::from(word.to_ascii_lowercase()))).collect()
    }

    /// Keywords that are no system flags, as they are spelled.
    pub(crate) fn words(&self) -> impl Iterator<Item = SmolStr> {
        self.places().filter_map(|place| place.flags.keywords.as_deref()).flatten().cloned()
    }

    pub(crate) fn has(&self, keyword: &str) -> bool {
        match SYSTEM.iter().find(|(_, name)| name.eq_ignore_ascii_case(keyword)) {
            Some((bit, _)) => self.system() & bit != 0,
            None => {
                let words = self.places().filter_map(|place| place.flags.keywords.as_deref()).flatten();
                words.into_iter().any(|word| word.eq_ignore_ascii_case(keyword))
            }
        }
    }

    /// What is to be set and what taken away so that it has these flags wherever it is, and no others.
    pub(crate) fn towards(&self, these: &Flags) -> (Flags, Flags) {
        fn words(flags: &Flags) -> impl Iterator<Item = &SmolStr> {
            flags.keywords.iter().flat_map(|words| words.iter())
        }
        let has = |flags: &Flags, word: &str| words(flags).any(|one| one.eq_ignore_ascii_case(word));
        let known = SYSTEM.iter().fold(0, |all, (bit, _)| all | bit);
        let everywhere = self.places().fold(u8::MAX, |all, place| all & place.flags.system);
        let somewhere = self.places().fold(0, |all, place| all | place.flags.system);
        let flags = |system, words: Vec<SmolStr>| Flags { system, keywords: (!words.is_empty()).then(|| words.into()) };
        let new = words(these).filter(|word| self.places().any(|place| !has(&place.flags, word))).cloned().collect();
        let old = self.words().filter(|word| !has(these, word)).collect();
        (flags(these.system & known & !everywhere, new), flags(somewhere & known & !these.system, old))
    }

    pub(crate) fn known(&self) -> Option<&Known> {
        self.known.as_deref()
    }

    /// Neither read nor a draft.
    pub(crate) fn is_unread(&self) -> bool {
        self.system() & (Flags::SEEN | Flags::DRAFT) == 0
    }
}

/// System flags and their keywords.
pub(crate) const SYSTEM: [(u8, &str); 4] =
    [(Flags::SEEN, "$seen"), (Flags::ANSWERED, "$answered"), (Flags::FLAGGED, "$flagged"), (Flags::DRAFT, "$draft")];

/// The newest answers of queries.
#[derive(Default)]
pub(crate) struct Results(std::collections::VecDeque<(String, ModSeq, Arc<Vec<EmailKey>>)>);

impl Results {
    pub(crate) fn get(&self, name: &str, at: ModSeq) -> Option<Arc<Vec<EmailKey>>> {
        self.0.iter().find(|(known, of, _)| known == name && *of == at).map(|(_, _, found)| Arc::clone(found))
    }

    pub(crate) fn keep(&mut self, name: String, at: ModSeq, found: Arc<Vec<EmailKey>>) {
        self.0.retain(|(_, of, _)| *of == at);
        self.0.push_back((name, at, found));
        while self.0.len() > RESULTS_KEPT {
            self.0.pop_front();
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) mod_seq: ModSeq,
    pub(crate) mailboxes: BTreeMap<MailboxId, (Mailbox, MailboxStatus)>,
    seen: HashMap<MailboxId, ModSeq>,
    emails: HashMap<EmailKey, Entry>,
    at: HashMap<(MailboxId, Uid), EmailKey>,
    /// Answers of queries, as long as nothing changes.
    pub(crate) results: Results,
    /// What is in each mailbox, as long as nothing changes: whoever opens the program asks for it.
    pub(crate) counts: Option<(ModSeq, Arc<HashMap<MailboxId, Counts>>)>,
    /// What the reader may do where; `None`: all of it, it is the owner.
    rights: Option<BTreeMap<MailboxId, Rights>>,
    /// Whose \Seen is his own, and where.
    apart: (Option<AccountId>, BTreeSet<MailboxId>),
    is_filled: bool,
    /// Once asked for, kept up.
    threads: Option<HashMap<ThreadKey, BTreeSet<EmailKey>>>,
    /// Those that came since and are in no conversation yet: who asked may have gone away in the middle of it.
    unthreaded: Vec<EmailKey>,
}

impl View {
    pub(crate) fn get(&self, key: EmailKey) -> Option<&Entry> {
        self.emails.get(&key).filter(|entry| entry.is_visible())
    }

    /// There, but \Deleted wherever it is.
    pub(crate) fn is_hidden(&self, key: EmailKey) -> bool {
        self.emails.get(&key).is_some_and(|entry| !entry.is_visible())
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<(EmailKey, &Entry)> {
        let key = EmailKey::of(id)?;
        self.get(key).map(|entry| (key, entry))
    }

    /// What the reader may do with a mailbox.
    pub(crate) fn rights(&self, mailbox: MailboxId) -> Rights {
        match &self.rights {
            None => Rights::ALL,
            Some(rights) => rights.get(&mailbox).copied().unwrap_or(Rights::NONE),
        }
    }

    /// Is \Seen the reader's own there?
    pub(crate) fn is_apart(&self, mailbox: MailboxId) -> bool {
        self.apart.1.contains(&mailbox)
    }

    /// How many there are, hidden ones with them.
    pub(crate) fn len(&self) -> usize {
        self.emails.len()
    }

    fn may_read(&self, mailbox: MailboxId) -> bool {
        self.rights(mailbox).has(Right::Read)
    }

    /// Mailboxes whose emails are here.
    pub(crate) fn readable(&self) -> impl Iterator<Item = MailboxId> {
        self.mailboxes.keys().copied().filter(|mailbox| self.may_read(*mailbox))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (EmailKey, &Entry)> {
        self.emails.iter().filter(|(_, entry)| entry.is_visible()).map(|(key, entry)| (*key, entry))
    }

    pub(crate) fn at(&self, mailbox: MailboxId, uid: Uid) -> Option<EmailKey> {
        self.at.get(&(mailbox, uid)).copied()
    }

    /// A conversation's emails, oldest first, as they were received; empty when there is none. After [`View::learn_all`].
    pub(crate) fn thread(&self, thread: ThreadKey) -> Vec<EmailKey> {
        let keys = self.threads.as_ref().and_then(|threads| threads.get(&thread));
        keys.into_iter().flatten().filter(|key| self.get(**key).is_some()).copied().collect()
    }

    /// Brings it up to now.
    async fn refresh(&mut self, store: &Store, (account, eyes): (AccountId, Option<&Eyes>)) -> Result<()> {
        for _ in 0..TRIES {
            let (mod_seq, states) = store.mailbox_states(account).await?;
            let all: Vec<MailboxId> = states.iter().map(|(mailbox, _)| mailbox.id).collect();
            let rights = eyes.and_then(|eyes| eyes.lists(store, &all));
            let apart = match eyes {
                Some(eyes) => (Some(eyes.who.id), own_seen::apart(store, eyes).await?),
                None => (None, BTreeSet::new()),
            };
            if mod_seq == self.mod_seq && self.is_filled && rights == self.rights && apart == self.apart {
                break;
            }
            if rights != self.rights || apart != self.apart {
                self.results = Results::default();
                self.counts = None;
            }
            let other: Vec<MailboxId> = apart.1.symmetric_difference(&self.apart.1).copied().collect();
            other.into_iter().for_each(|mailbox| self.forget_mailbox(mailbox));
            (self.rights, self.apart) = (rights, apart);
            let seen = states.into_iter().filter(|(mailbox, _)| self.rights(mailbox.id).has(Right::Lookup));
            let there: BTreeMap<MailboxId, (Mailbox, MailboxStatus)> =
                seen.map(|(mailbox, status)| (mailbox.id, (mailbox, status))).collect();
            let is_there = |id: &MailboxId| there.contains_key(id) && self.may_read(*id);
            let gone: Vec<MailboxId> = self.seen.keys().filter(|id| !is_there(id)).copied().collect();
            for mailbox in gone {
                self.forget_mailbox(mailbox);
            }
            for (id, (_, status)) in &there {
                if !self.may_read(*id) {
                    continue;
                }
                match self.seen.get(id) {
                    Some(seen) if *seen >= status.highest_mod_seq => {}
                    Some(seen) => self.catch_up(store, account, (*id, *seen)).await?,
                    None => self.read_in(store, account, *id).await?,
                }
            }
            self.mailboxes = there;
            self.mod_seq = mod_seq;
            self.is_filled = true;
        }
        let Some(eyes) = eyes.filter(|eyes| !eyes.are_own()) else { return Ok(()) };
        let subscribed = eyes.subscribed(store).await?;
        for (mailbox, _) in self.mailboxes.values_mut() {
            mailbox.subscribed = subscribed.contains(&mailbox.name);
        }
        Ok(())
    }

    async fn catch_up(&mut self, store: &Store, account: AccountId, (mailbox, seen): (MailboxId, ModSeq)) -> Result<()> {
        let changes = store.changes_since(account, mailbox, seen).await?;
        if changes.gone {
            return Ok(());
        }
        if !changes.complete {
            self.forget_mailbox(mailbox);
            return self.read_in(store, account, mailbox).await;
        }
        for uid in changes.vanished {
            self.take_out(mailbox, uid);
        }
        self.put(store, account, mailbox, changes.updated).await?;
        self.seen.insert(mailbox, changes.highest_mod_seq);
        Ok(())
    }

    async fn read_in(&mut self, store: &Store, account: AccountId, mailbox: MailboxId) -> Result<()> {
        let snapshot = match store.snapshot(account, mailbox).await {
            Err(StoreError::NotFound) => return Ok(()),
            other => other?,
        };
        let rows: Vec<MessageRow> = snapshot.rows.iter().collect();
        self.put(store, account, mailbox, rows).await?;
        self.seen.insert(mailbox, snapshot.highest_mod_seq);
        Ok(())
    }

    async fn put(&mut self, store: &Store, account: AccountId, mailbox: MailboxId, mut rows: Vec<MessageRow>) -> Result<()> {
        if let (Some(reader), true) = (self.apart.0, self.is_apart(mailbox)) {
            // Read after the rows: what is marked from here on moves them again.
            let own = store.own_seen((account, mailbox), reader).await?;
            rows.iter_mut().for_each(|row| own.show(row));
        }
        let mut new = Vec::new();
        for row in rows {
            let known = self.at.get(&(mailbox, row.uid)).and_then(|key| self.emails.get_mut(key));
            match known.and_then(|entry| entry.places.iter_mut().find(|place| place.mailbox == mailbox && place.uid == row.uid)) {
                Some(place) => place.flags = row.flags,
                None => new.push(row),
            }
        }
        for rows in new.chunks(FACTS_CHUNK) {
            let emails: Vec<EmailId> = rows.iter().map(|row| row.email).collect();
            let bodies = store.bodies(account, &emails).await?;
            for (row, body) in rows.iter().zip(bodies) {
                // Gone meanwhile: the next look tells.
                let Some(body) = body else { continue };
                let key = EmailKey { body, date_secs: row.internal_date_secs };
                let (threads, unthreaded) = (&self.threads, &mut self.unthreaded);
                let entry = self.emails.entry(key).or_insert_with(|| {
                    unthreaded.extend(threads.is_some().then_some(key));
                    Entry { places: Vec::new(), size_bytes: row.size_bytes, known: None }
                });
                entry.places.push(Place { mailbox, uid: row.uid, email: row.email, flags: row.flags.clone() });
                self.at.insert((mailbox, row.uid), key);
            }
        }
        if !self.unthreaded.is_empty() {
            let fresh = self.unthreaded.clone();
            self.learn(store, account, &fresh).await?;
            self.thread_up(&fresh);
            self.unthreaded.clear();
        }
        Ok(())
    }

    fn thread_up(&mut self, keys: &[EmailKey]) {
        let Some(threads) = &mut self.threads else { return };
        for key in keys {
            if let Some(known) = self.emails.get(key).and_then(Entry::known) {
                threads.entry(known.thread).or_default().insert(*key);
            }
        }
    }

    fn take_out(&mut self, mailbox: MailboxId, uid: Uid) {
        let Some(key) = self.at.remove(&(mailbox, uid)) else { return };
        let Some(entry) = self.emails.get_mut(&key) else { return };
        entry.places.retain(|place| place.mailbox != mailbox || place.uid != uid);
        if !entry.places.is_empty() {
            return;
        }
        let thread = self.emails.remove(&key).and_then(|entry| entry.known).map(|known| known.thread);
        if let (Some(threads), Some(thread)) = (&mut self.threads, thread)
            && let Some(keys) = threads.get_mut(&thread)
        {
            keys.remove(&key);
            if keys.is_empty() {
                threads.remove(&thread);
            }
        }
    }

    fn forget_mailbox(&mut self, mailbox: MailboxId) {
        self.seen.remove(&mailbox);
        let places: Vec<Uid> = self.at.keys().filter(|(of, _)| *of == mailbox).map(|(_, uid)| *uid).collect();
        for uid in places {
            self.take_out(mailbox, uid);
        }
    }

    /// Finds out what the facts of these say, as far as it is not known.
    pub(crate) async fn learn(&mut self, store: &Store, account: AccountId, keys: &[EmailKey]) -> Result<()> {
        let missing: Vec<(EmailKey, EmailId)> = keys
            .iter()
            .filter_map(|key| {
                self.emails.get(key).filter(|entry| entry.known.is_none()).and_then(|entry| Some((*key, entry.email()?)))
            })
            .collect();
        for chunk in missing.chunks(FACTS_CHUNK) {
            let emails: Vec<EmailId> = chunk.iter().map(|(_, email)| *email).collect();
            for ((key, _), facts) in chunk.iter().zip(facts_of(store, account, &emails).await?) {
                if let Some(entry) = self.emails.get_mut(key) {
                    entry.known = Some(Arc::new(Known::of(*key, facts.as_deref())));
                }
            }
        }
        Ok(())
    }

    /// Of all, so that conversations are known.
    pub(crate) async fn learn_all(&mut self, store: &Store, account: AccountId) -> Result<()> {
        if self.threads.is_none() {
            let all: Vec<EmailKey> = self.emails.keys().copied().collect();
            self.learn(store, account, &all).await?;
            self.threads = Some(HashMap::new());
            self.thread_up(&all);
        }
        Ok(())
    }
}

/// One read for all; where one of them is damaged, one by one.
pub(crate) async fn facts_of(store: &Store, account: AccountId, emails: &[EmailId]) -> Result<Vec<Option<Arc<Facts>>>> {
    match store.facts(account, emails).await {
        Err(StoreError::Damaged(_)) => {}
        other => return other,
    }
    let mut all = Vec::with_capacity(emails.len());
    for email in emails {
        all.push(match store.facts(account, &[*email]).await {
            Ok(one) => one.into_iter().next().flatten(),
            Err(StoreError::Damaged(detail)) => {
                tracing::error!(%detail, "a damaged message is shown without its facts");
                None
            }
            Err(error) => return Err(error),
        });
    }
    Ok(all)
}

/// All accounts' views; the longest unused give way.
#[derive(Default)]
pub(crate) struct Views {
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    now: u64,
    /// By whose mail it is, and who reads it.
    views: HashMap<(AccountId, AccountId), Shelved>,
}

struct Shelved {
    used: u64,
    emails: usize,
    view: Arc<tokio::sync::Mutex<View>>,
}

impl Views {
    /// An account's view as it is now, to its owner; nobody else has it meanwhile.
    pub(crate) async fn of(&self, store: &Store, account: AccountId) -> Result<OwnedMutexGuard<View>> {
        self.one(store, (account, account), None).await
    }

    /// What these eyes see.
    pub(crate) async fn seen_by(&self, store: &Store, eyes: &Eyes) -> Result<OwnedMutexGuard<View>> {
        self.one(store, eyes.key(), Some(eyes)).await
    }

    async fn one(&self, store: &Store, key: (AccountId, AccountId), eyes: Option<&Eyes>) -> Result<OwnedMutexGuard<View>> {
        let view = {
            let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.now += 1;
            let now = shelf.now;
            let shelved = shelf.views.entry(key).or_insert_with(|| Shelved { used: now, emails: 0, view: Arc::default() });
            shelved.used = now;
            Arc::clone(&shelved.view)
        };
        let mut view = view.lock_owned().await;
        view.refresh(store, (key.0, eyes)).await?;
        self.note(key, view.emails.len());
        Ok(view)
    }

    fn note(&self, key: (AccountId, AccountId), emails: usize) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelved) = shelf.views.get_mut(&key) {
            shelved.emails = emails;
        }
        while shelf.views.len() > 1 && shelf.views.values().map(|one| one.emails.max(64)).sum::<usize>() > VIEW_EMAILS_MAX {
            let oldest = shelf.views.iter().min_by_key(|(_, one)| one.used).map(|(id, _)| *id);
            match oldest.filter(|id| *id != key) {
                Some(oldest) => drop(shelf.views.remove(&oldest)),
                None => break,
            }
        }
    }
}
