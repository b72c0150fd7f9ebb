//! An account in memory: the head that acts are prepared on, and the published state that readers see.
//!
//! Acts on one account are prepared one after another (the head's lock), submitted in that order, and made durable
//! together with others; the lock is let go before the sync. Published state moves in commit order, before the caller
//! is answered. When a commit fails, everything prepared on top of it fails by its expectation of the counters row, the
//! head is dropped and read again. An act that finds nothing to do is answered when what it found is published. Invariant:
//! nobody is told what is not durable, and who was told something finds it; UIDs appear in order.

use crate::access::{Acl, Shares};
use crate::change_log::{LoggedAct, LoggedChange, encode_act};
use crate::engine::{Batch, Engine, Found, Outcome, Query, Version};
use crate::flag_runs::{FlagRun, encode_flag_runs};
use crate::key;
use crate::limits::{MESSAGES_MAX, TAIL_CHANGES, TAIL_ROWS};
use crate::news::News;
use crate::packed::Rows;
use crate::rows::{Counters, MailboxState, encode_uid};
use crate::types::*;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedMutexGuard, watch};

type Result<T> = std::result::Result<T, StoreError>;

/// What one act did to one mailbox.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) mod_seq: u64,
    pub(crate) mailbox: u32,
    /// New or changed rows, ascending.
    pub(crate) rows: Vec<MessageRow>,
    /// Ascending.
    pub(crate) vanished: Vec<Uid>,
    /// The emails of `vanished`, in its order.
    emails: Vec<EmailId>,
    /// The first new UID; 0: none.
    created_from: u32,
}

impl Change {
    /// Everything ascending by UID.
    fn settle(&mut self) {
        self.rows.sort_by_key(|row| row.uid);
        if !self.vanished.is_sorted() {
            let mut gone: Vec<(Uid, EmailId)> = self.vanished.drain(..).zip(self.emails.drain(..)).collect();
            gone.sort_unstable();
            (self.vanished, self.emails) = gone.into_iter().unzip();
        }
    }

    /// The rows of new messages, once settled.
    fn created(&self) -> &[MessageRow] {
        let first = match self.created_from {
            0 => self.rows.len(),
            uid => self.rows.partition_point(|row| row.uid.0 < uid),
        };
        self.rows.get(first..).unwrap_or_default()
    }

    fn logged(&self) -> LoggedChange {
        LoggedChange {
            mailbox: self.mailbox,
            updated: self.rows.iter().map(|row| row.uid).collect(),
            vanished: self.vanished.clone(),
            created_from: self.created_from,
            emails: self.emails.clone(),
        }
    }

    pub(crate) fn apply(&self, rows: &mut Rows) {
        rows.put(&self.rows);
        rows.remove(&self.vanished);
    }
}

/// What acts are prepared on: ahead of what is durable.
#[derive(Debug, Default)]
pub(crate) struct Head {
    loaded: bool,
    version: Option<Version>,
    pub(crate) counters: Counters,
    pub(crate) mailboxes: BTreeMap<MailboxId, MailboxState>,
    pub(crate) elsewhere: BTreeSet<SmolStr>,
    /// What was submitted and may not be published yet, oldest first.
    submitted: Vec<Arc<Change>>,
    /// Where the conversations of answers began that they put in; with the mod-sequence of who did.
    answers: HashMap<u64, (u64, u64)>,
    /// [`Space::failed`] when it was loaded.
    failed: u64,
}

/// What readers see: durable.
#[derive(Debug, Default)]
pub(crate) struct Published {
    loaded: bool,
    pub(crate) counters: Counters,
    pub(crate) mailboxes: BTreeMap<MailboxId, MailboxState>,
    pub(crate) elsewhere: BTreeSet<SmolStr>,
    pub(crate) list: Arc<Vec<Mailbox>>,
    /// The newest changes, oldest first, complete from after `tail_from`.
    pub(crate) tail: VecDeque<Arc<Change>>,
    pub(crate) tail_from: u64,
    tail_rows: usize,
    pub(crate) cached: HashMap<MailboxId, Rows>,
    /// See [`crate::muted`].
    pub(crate) may_mute: bool,
}

/// One account.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) id: AccountId,
    head: Arc<tokio::sync::Mutex<Head>>,
    published: Mutex<Published>,
    pub(crate) watch: watch::Sender<ModSeq>,
    in_flight: watch::Sender<u32>,
    /// Changes of annotations since the account was loaded.
    pub(crate) annotated: AtomicU64,
    stale: AtomicBool,
    /// Acts that were submitted and came to nothing.
    failed: AtomicU64,
    pub(crate) shares: Arc<Shares>,
    /// Whoever asks keeps it up to date.
    pub(crate) muted: tokio::sync::Mutex<crate::muted::Index>,
    news: News,
}

fn sorted_list(mailboxes: &BTreeMap<MailboxId, MailboxState>) -> Arc<Vec<Mailbox>> {
    let mut list: Vec<Mailbox> = mailboxes.values().map(|state| state.info.clone()).collect();
    list.sort_by(|a, b| (a.name != "INBOX", &a.name).cmp(&(b.name != "INBOX", &b.name)));
    Arc::new(list)
}

impl Space {
    pub(crate) fn new(id: AccountId, shares: Arc<Shares>, news: News) -> Space {
        Space {
            id,
            head: Arc::default(),
            published: Mutex::default(),
            watch: watch::Sender::new(ModSeq(0)),
            in_flight: watch::Sender::new(0),
            annotated: AtomicU64::new(0),
            stale: AtomicBool::new(false),
            failed: AtomicU64::new(0),
            shares,
            muted: tokio::sync::Mutex::default(),
            news,
        }
    }

    /// Nobody holds it, follows it or waits for it.
    pub(crate) fn is_idle(&self) -> bool {
        self.watch.receiver_count() == 0 && *self.in_flight.borrow() == 0
    }

    async fn drained(&self) {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.in_flight.subscribe().wait_for(|count| *count == 0).await;
    }

    /// The head, loaded. `exclusive`: with nothing in flight, so that published is the head.
    pub(crate) async fn lock(self: &Arc<Self>, engine: &dyn Engine, exclusive: bool) -> Result<OwnedMutexGuard<Head>> {
        let mut head = self.head.clone().lock_owned().await;
        if exclusive {
            self.drained().await;
        }
        if !head.loaded || self.stale.load(Ordering::SeqCst) {
            self.drained().await;
            self.load(engine, &mut head).await?;
        }
        if head.counters.gone {
            return Err(StoreError::NotFound);
        }
        Ok(head)
    }

    /// Published state, loaded.
    pub(crate) async fn ready(self: &Arc<Self>, engine: &dyn Engine) -> Result<()> {
        let (loaded, gone) = {
            let published = self.published();
            (published.loaded, published.counters.gone)
        };
        if loaded && !self.stale.load(Ordering::SeqCst) {
            return if gone { Err(StoreError::NotFound) } else { Ok(()) };
        }
        self.lock(engine, false).await.map(|_| ())
    }

    pub(crate) fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Are these the rows of a mailbox that readers see, and the same in memory?
    pub(crate) fn shows(&self, mailbox: MailboxId, rows: &Rows) -> bool {
        self.published().cached.get(&mailbox).is_some_and(|shown| shown.is_same(rows))
    }

    /// The act that last wrote a mailbox's runs of flags, as far as readers see; 0: none that is known.
    pub(crate) fn flags_at(&self, mailbox: MailboxId) -> u64 {
        self.published().mailboxes.get(&mailbox).map_or(0, |state| state.flags_at)
    }

    /// The sum of what a mailbox's readers have seen ([`MailboxState::own_seen_sum`]), as far as readers see.
    pub(crate) fn own_seen_sum(&self, mailbox: MailboxId) -> u64 {
        self.published().mailboxes.get(&mailbox).map_or(0, |state| state.own_seen_sum)
    }

    async fn load(&self, engine: &dyn Engine, head: &mut Head) -> Result<()> {
        self.stale.store(true, Ordering::SeqCst);
        let space_key = key::space(self.id);
        let range = |(from, to)| Query::Range { from, to, limit: usize::MAX, reverse: false };
        let queries = vec![
            Query::Get(space_key.clone()),
            range(key::of_account(key::MAILBOX, self.id)),
            range(key::of_account(key::SUBSCRIPTION, self.id)),
            Query::Get(crate::muted::note(self.id)),
        ];
        let mut found = engine.read(queries).await?.into_iter();
        let stored = found.next().and_then(Found::value).ok_or(StoreError::NotFound)?;
        let counters = Counters::decode(&space_key, &stored)?;
        let mut mailboxes = BTreeMap::new();
        for (key, value) in found.next().map(Found::pairs).unwrap_or_default() {
            match MailboxState::decode(&key, &value) {
                Ok(state) => drop(mailboxes.insert(state.info.id, state)),
                // Damage is local: the other mailboxes are served, `check` tells of this one.
                Err(error) => tracing::error!(?error, account = self.id.0, "a mailbox cannot be read"),
            }
        }
        let name_of = |(key, _): (crate::engine::Key, Vec<u8>)| {
            let mut parts = key::Parts::of(&key);
            parts.u32()?;
            parts.text().map(SmolStr::new)
        };
        let elsewhere: BTreeSet<SmolStr> =
            found.next().map(Found::pairs).unwrap_or_default().into_iter().filter_map(name_of).collect();
        let may_mute = found.next().and_then(Found::value).is_some();
        let mod_seq = counters.mod_seq;
        let mut published = self.published();
        debug_assert!(published.counters.mod_seq <= mod_seq, "{:?}: {mod_seq} is older than what was published", self.id);
        *published = Published {
            may_mute,
            loaded: true,
            list: sorted_list(&mailboxes),
            counters: counters.clone(),
            mailboxes: mailboxes.clone(),
            elsewhere: elsewhere.clone(),
            tail_from: mod_seq,
            ..Published::default()
        };
        drop(published);
        let version = Some(Version::of(Some(&stored)));
        // Nothing is in flight, so nothing fails meanwhile.
        let failed = self.failed.load(Ordering::SeqCst);
        *head = Head {
            loaded: true,
            version,
            counters,
            mailboxes,
            elsewhere,
            submitted: Vec::new(),
            answers: HashMap::new(),
            failed,
        };
        self.stale.store(false, Ordering::SeqCst);
        self.watch.send_if_modified(|now| std::mem::replace(now, ModSeq(mod_seq)) != ModSeq(mod_seq));
        Ok(())
    }
}

impl Published {
    /// Takes a durable act in.
    fn take(&mut self, publication: &mut Publication) {
        debug_assert!(self.counters.mod_seq < publication.counters.mod_seq, "acts are published in their order");
        let mut list_changed = false;
        for (id, state) in std::mem::take(&mut publication.touched) {
            match state {
                Some(state) => {
                    let before = self.mailboxes.insert(id, state);
                    let now = self.mailboxes.get(&id).map(|state| &state.info);
                    list_changed |= before.as_ref().map(|state| &state.info) != now;
                }
                None => {
                    self.mailboxes.remove(&id);
                    self.cached.remove(&id);
                    list_changed = true;
                }
            }
        }
        if let Some(elsewhere) = publication.elsewhere.take() {
            self.elsewhere = elsewhere;
        }
        self.may_mute |= publication.mutes;
        if list_changed {
            self.list = sorted_list(&self.mailboxes);
        }
        let remade = publication.remade.take();
        for change in publication.changes.drain(..) {
            self.log(change, remade.as_ref());
        }
        self.counters = publication.counters.clone();
    }

    fn log(&mut self, change: Arc<Change>, remade: Option<&Remade>) {
        let mailbox = MailboxId(change.mailbox);
        match self.cached.get_mut(&mailbox) {
            Some(rows) => match remade.filter(|remade| remade.mailbox == mailbox && remade.before.is_same(rows)) {
                Some(remade) => *rows = remade.after.clone(),
                None => change.apply(rows),
            },
            // Rows that are all there is need not be read: a mailbox is cached from its first message on.
            None if self.mailboxes.get(&mailbox).is_some_and(|state| state.messages as usize == change.rows.len()) => {
                self.cached.insert(mailbox, Rows::of(&change.rows));
            }
            None => {}
        }
        self.tail_rows += change.rows.len() + change.vanished.len();
        self.tail.push_back(change);
        while self.tail.len() > TAIL_CHANGES || self.tail_rows > TAIL_ROWS {
            let Some(old) = self.tail.pop_front() else { break };
            self.tail_rows -= old.rows.len() + old.vanished.len();
            self.tail_from = old.mod_seq;
        }
    }
}

/// All rows of a mailbox before and after an act, where it has made them already: they need not be made again.
#[derive(Debug, Clone)]
pub(crate) struct Remade {
    pub(crate) mailbox: MailboxId,
    pub(crate) before: Rows,
    pub(crate) after: Rows,
}

/// What becomes visible when a batch is durable; if it is not, the head it came from is dropped.
#[derive(Debug)]
pub(crate) struct Publication {
    space: Arc<Space>,
    counters: Counters,
    touched: BTreeMap<MailboxId, Option<MailboxState>>,
    elsewhere: Option<BTreeSet<SmolStr>>,
    changes: Vec<Arc<Change>>,
    acls: BTreeMap<MailboxId, Option<Arc<Acl>>>,
    remade: Option<Remade>,
    mutes: bool,
    settled: bool,
}

impl Publication {
    pub(crate) fn settle(mut self, outcome: &Outcome) {
        if *outcome == Outcome::Done {
            self.settled = true;
            let mod_seq = ModSeq(self.counters.mod_seq);
            let space = self.space.clone();
            space.published().take(&mut self);
            space.shares.take(space.id, std::mem::take(&mut self.acls), self.counters.gone);
            space.watch.send_replace(mod_seq);
            space.news.add(space.id);
            space.in_flight.send_modify(|count| *count -= 1);
        }
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        if !self.settled {
            self.space.stale.store(true, Ordering::SeqCst);
            self.space.failed.fetch_add(1, Ordering::SeqCst);
            self.space.in_flight.send_modify(|count| *count -= 1);
        }
    }
}

/// One act being prepared on one account. Dropped without `seal`, nothing happened.
pub(crate) struct Act {
    space: Arc<Space>,
    head: OwnedMutexGuard<Head>,
    pub(crate) counters: Counters,
    touched: BTreeMap<MailboxId, Option<MailboxState>>,
    elsewhere: Option<BTreeSet<SmolStr>>,
    changes: BTreeMap<u32, Change>,
    acls: BTreeMap<MailboxId, Option<Arc<Acl>>>,
    /// Records changed: (collection, id, how).
    pub(crate) records: Vec<(u8, SmolStr, Touch)>,
    /// Now, where messages are put in that may have arrived at another time.
    pub(crate) saved_secs: Option<UnixSecs>,
    /// The only mailbox whose rows change, when all of them are made already.
    pub(crate) remade: Option<Remade>,
    /// A message is marked as of a muted conversation.
    mutes: bool,
    /// Where the conversations of answers began that it puts in.
    answers: HashMap<u64, u64>,
}

impl Act {
    /// Waits for its turn. `exclusive` acts may rely on published state.
    pub(crate) async fn begin(space: Arc<Space>, engine: &dyn Engine, exclusive: bool) -> Result<Act> {
        let head = space.lock(engine, exclusive).await?;
        let mut counters = head.counters.clone();
        counters.mod_seq += 1;
        Ok(Act {
            space,
            head,
            counters,
            touched: BTreeMap::new(),
            elsewhere: None,
            changes: BTreeMap::new(),
            acls: BTreeMap::new(),
            records: Vec::new(),
            saved_secs: None,
            remade: None,
            mutes: false,
            answers: HashMap::new(),
        })
    }

    /// Of one that changes nothing: lets the account go, and waits until all that it found is published. `false`: some of that
    /// came to nothing, and the act has to be prepared again.
    pub(crate) async fn stands(self) -> bool {
        let Act { space, head, .. } = self;
        let (found, failed) = (ModSeq(head.counters.mod_seq), head.failed);
        drop(head);
        let stands = || space.failed.load(Ordering::SeqCst) == failed;
        // The sender lives in the space, so waiting cannot fail.
        let _ = space.in_flight.subscribe().wait_for(|_| *space.watch.borrow() >= found || !stands()).await;
        stands()
    }

    pub(crate) fn account(&self) -> AccountId {
        self.space.id
    }

    /// Brings rows that are as of `at` up to what this act is prepared on.
    pub(crate) fn bring_up(&self, rows: &mut Rows, at: u64, mailbox: MailboxId) {
        for change in self.head.submitted.iter().filter(|change| change.mod_seq > at && change.mailbox == mailbox.0) {
            change.apply(rows);
        }
    }

    pub(crate) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    pub(crate) fn mod_seq(&self) -> ModSeq {
        ModSeq(self.counters.mod_seq)
    }

    pub(crate) fn mailbox(&self, id: MailboxId) -> Option<&MailboxState> {
        match self.touched.get(&id) {
            Some(state) => state.as_ref(),
            None => self.head.mailboxes.get(&id),
        }
    }

    pub(crate) fn mailbox_mut(&mut self, id: MailboxId) -> Result<&mut MailboxState> {
        let head = &self.head;
        let slot = self.touched.entry(id).or_insert_with(|| head.mailboxes.get(&id).cloned());
        slot.as_mut().ok_or(StoreError::NotFound)
    }

    pub(crate) fn mailboxes(&self) -> impl Iterator<Item = &MailboxState> {
        let untouched = self.head.mailboxes.values().filter(|state| !self.touched.contains_key(&state.info.id));
        untouched.chain(self.touched.values().flatten())
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&MailboxState> {
        self.mailboxes().find(|state| state.info.name == name)
    }

    /// A new mailbox.
    pub(crate) fn add_mailbox(&mut self, info: Mailbox) {
        let state = MailboxState::new(info, self.counters.mod_seq);
        self.touched.insert(state.info.id, Some(state));
    }

    pub(crate) fn remove_mailbox(&mut self, id: MailboxId) {
        self.touched.insert(id, None);
        self.acls.insert(id, None);
    }

    /// Was it made by this act?
    pub(crate) fn is_new(&self, id: MailboxId) -> bool {
        !self.head.mailboxes.contains_key(&id)
    }

    pub(crate) fn set_acl(&mut self, mailbox: MailboxId, acl: Option<Arc<Acl>>) {
        self.acls.insert(mailbox, acl);
    }

    pub(crate) fn acls(&self) -> &BTreeMap<MailboxId, Option<Arc<Acl>>> {
        &self.acls
    }

    pub(crate) fn next_mailbox(&mut self, now_secs: UnixSecs) -> (MailboxId, u32) {
        let id = MailboxId(self.counters.next_mailbox);
        self.counters.next_mailbox += 1;
        // A name made again must get a larger one (RFC 9051 §2.3.1.1), also when the clock went back.
        let validity = u32::try_from(now_secs).unwrap_or(0).max(self.counters.last_uid_validity.saturating_add(1)).max(1);
        self.counters.last_uid_validity = validity;
        (id, validity)
    }

    pub(crate) fn elsewhere(&self) -> &BTreeSet<SmolStr> {
        self.elsewhere.as_ref().unwrap_or(&self.head.elsewhere)
    }

    pub(crate) fn elsewhere_mut(&mut self) -> &mut BTreeSet<SmolStr> {
        let head = &self.head;
        self.elsewhere.get_or_insert_with(|| head.elsewhere.clone())
    }

    fn change(&mut self, mailbox: MailboxId) -> &mut Change {
        let mod_seq = self.counters.mod_seq;
        self.changes.entry(mailbox.0).or_insert_with(|| Change { mod_seq, mailbox: mailbox.0, ..Change::default() })
    }

    /// Puts a message into a mailbox under its next UID.
    pub(crate) fn add_row(&mut self, batch: &mut Batch, mailbox: MailboxId, email: EmailId, like: &NewRow) -> Result<Uid> {
        let mod_seq = self.mod_seq();
        let account = self.account();
        let state = self.mailbox_mut(mailbox)?;
        if state.uid_next == u32::MAX {
            return Err(StoreError::Invalid("the mailbox has used up its UIDs"));
        }
        let uid = Uid(state.uid_next);
        state.uid_next += 1;
        state.highest = mod_seq;
        let NewRow { flags, internal_date_secs, size_bytes } = like.clone();
        let row = MessageRow { uid, email, mod_seq, flags, internal_date_secs, size_bytes };
        state.count(&row, 1);
        self.mutes |= crate::muted::is_muted(&row.flags);
        self.counters.used_bytes += u64::from(row.size_bytes);
        self.counters.messages += 1;
        let key = key::uid(account, mailbox, uid);
        let value = encode_uid(&key, &row);
        batch.put(key, value);
        let change = self.change(mailbox);
        if change.created_from == 0 {
            change.created_from = uid.0;
        }
        change.rows.push(row);
        Ok(uid)
    }

    /// Replaces rows' flags (ascending; `before`: the system flags they had): each in its own row, or all in the mailbox's
    /// runs of flags.
    pub(crate) fn change_rows(
        &mut self,
        batch: &mut Batch,
        mailbox: MailboxId,
        before: &[u8],
        after: Vec<MessageRow>,
        runs: Option<Vec<FlagRun>>,
    ) -> Result<()> {
        if after.is_empty() {
            return Ok(());
        }
        let (account, mod_seq) = (self.account(), self.mod_seq());
        self.mutes |= after.iter().any(|row| crate::muted::is_muted(&row.flags));
        let state = self.mailbox_mut(mailbox)?;
        before.iter().zip(&after).for_each(|(before, row)| state.recount(*before, row.flags.system));
        state.highest = mod_seq;
        match runs {
            Some(runs) => {
                state.flags_at = mod_seq.0;
                let key = key::flags(account, mailbox);
                let value = encode_flag_runs(&key, &runs);
                batch.put(key, value);
            }
            None => {
                for row in &after {
                    let key = key::uid(account, mailbox, row.uid);
                    let value = encode_uid(&key, row);
                    batch.put(key, value);
                }
            }
        }
        let rows = &mut self.change(mailbox).rows;
        if rows.is_empty() {
            *rows = after
        } else {
            rows.extend(after)
        }
        Ok(())
    }

    /// Takes a message out of a mailbox.
    pub(crate) fn remove_row(&mut self, batch: &mut Batch, mailbox: MailboxId, row: &MessageRow) -> Result<()> {
        let mod_seq = self.mod_seq();
        let key = key::uid(self.account(), mailbox, row.uid);
        let state = self.mailbox_mut(mailbox)?;
        state.count(row, -1);
        state.highest = mod_seq;
        self.counters.used_bytes = self.counters.used_bytes.saturating_sub(u64::from(row.size_bytes));
        self.counters.messages = self.counters.messages.saturating_sub(1);
        batch.delete(key);
        let change = self.change(mailbox);
        change.vanished.push(row.uid);
        change.emails.push(row.email);
        Ok(())
    }

    /// Where the conversation of an answer began that this act put in, or one that may not be stored yet.
    pub(crate) fn answer(&self, key: u64) -> Option<u64> {
        self.answers.get(&key).copied().or_else(|| self.head.answers.get(&key).map(|(root, _)| *root))
    }

    pub(crate) fn answered(&mut self, key: u64, root: u64) {
        self.answers.insert(key, root);
    }

    /// Room under the quota?
    pub(crate) fn room(&self, size_bytes: u64) -> Result<()> {
        match self.counters.quota_bytes {
            _ if self.counters.messages >= MESSAGES_MAX => Err(StoreError::OverQuota),
            Some(quota) if self.counters.used_bytes.saturating_add(size_bytes) > quota => Err(StoreError::OverQuota),
            _ => Ok(()),
        }
    }

    /// Mailboxes made, changed by themselves or removed; not those of which only the messages changed.
    fn mailbox_touches(&self) -> Vec<(MailboxId, Touch)> {
        let touch = |(id, now): (&MailboxId, &Option<MailboxState>)| match (self.head.mailboxes.get(id), now) {
            (None, Some(_)) => Some((*id, Touch::Created)),
            (Some(_), None) => Some((*id, Touch::Destroyed)),
            (Some(before), Some(now)) if before.info != now.info => Some((*id, Touch::Updated)),
            _ => None,
        };
        self.touched.iter().filter_map(touch).collect()
    }

    /// Writes counters, mailboxes and the change log into the batch, and moves the head on.
    fn seal(mut self, batch: &mut Batch) -> (Publication, OwnedMutexGuard<Head>) {
        let account = self.account();
        let space_key = key::space(account);
        batch.spaces.push(account.0);
        batch.expects.push((space_key.clone(), self.head.version.unwrap_or(Version::ABSENT)));
        let stored = self.counters.encode(&space_key);
        self.head.version = Some(Version::of(Some(&stored)));
        batch.put(space_key, stored);
        self.head.counters = self.counters.clone();
        let mailboxes = self.mailbox_touches();
        for (id, state) in &self.touched {
            let key = key::mailbox(account, *id);
            match state {
                Some(state) => {
                    let value = state.encode(&key);
                    batch.put(key, value);
                    self.head.mailboxes.insert(*id, state.clone());
                }
                None => {
                    batch.delete(key);
                    self.head.mailboxes.remove(id);
                }
            }
        }
        self.write_acls(batch);
        if let Some(elsewhere) = &self.elsewhere {
            write_elsewhere(batch, account, &self.head.elsewhere, elsewhere);
            self.head.elsewhere.clone_from(elsewhere);
        }
        let mut changes: Vec<Change> = std::mem::take(&mut self.changes).into_values().collect();
        changes.iter_mut().for_each(Change::settle);
        if let Some(secs) = self.saved_secs {
            for change in &changes {
                crate::saved::put(batch, account, MailboxId(change.mailbox), change.created(), secs);
            }
        }
        if self.mutes && !self.space.published().may_mute {
            crate::muted::write(batch, account);
        }
        let records = std::mem::take(&mut self.records);
        let logged = LoggedAct { changes: changes.iter().map(Change::logged).collect(), mailboxes, records, whole: true };
        let log_key = key::change(account, self.counters.mod_seq);
        let value = encode_act(&log_key, &logged);
        batch.put(log_key, value);
        let changes: Vec<Arc<Change>> = changes.into_iter().map(Arc::new).collect();
        let published = self.space.published().counters.mod_seq;
        self.head.submitted.retain(|change| change.mod_seq > published);
        self.head.submitted.extend(changes.iter().cloned());
        self.head.answers.retain(|_, (_, mod_seq)| *mod_seq > published);
        let mod_seq = self.counters.mod_seq;
        self.head.answers.extend(self.answers.drain().map(|(key, root)| (key, (root, mod_seq))));
        self.space.in_flight.send_modify(|count| *count += 1);
        let Act { space, head, counters, touched, elsewhere, acls, remade, mutes, .. } = self;
        (Publication { space, counters, touched, elsewhere, changes, acls, remade, mutes, settled: false }, head)
    }
}

fn write_elsewhere(batch: &mut Batch, account: AccountId, old: &BTreeSet<SmolStr>, new: &BTreeSet<SmolStr>) {
    for gone in old.difference(new) {
        batch.delete(key::subscription(account, gone));
    }
    for name in new.difference(old) {
        let key = key::subscription(account, name);
        let value = crate::rows::encode_mark(&key);
        batch.put(key, value);
    }
}

/// What a row in a mailbox begins with.
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) flags: Flags,
    pub(crate) internal_date_secs: UnixSecs,
    pub(crate) size_bytes: u32,
}

/// Seals all acts (ascending by account) into the batch, submits it, lets the accounts go and waits.
pub(crate) async fn commit_acts(
    engine: &dyn Engine,
    acts: Vec<Act>,
    mut batch: Batch,
    also: impl FnOnce(&Outcome) + Send + 'static,
) -> Outcome {
    let mut publications = Vec::with_capacity(acts.len());
    let mut heads = Vec::with_capacity(acts.len());
    for act in acts {
        let (publication, head) = act.seal(&mut batch);
        publications.push(publication);
        heads.push(head);
    }
    let (sender, receiver) = tokio::sync::oneshot::channel();
    engine.submit(
        batch,
        Box::new(move |outcome| {
            publications.into_iter().for_each(|publication| publication.settle(outcome));
            also(outcome);
            let _ = sender.send(outcome.clone());
        }),
    );
    drop(heads);
    receiver.await.unwrap_or_else(|_| Outcome::Failed(StoreError::Io("the store has stopped".into())))
}
