//! The directory: accounts and aliases by address and by id.
//!
//! Invariant: an address is one account or one alias; an account id is never given twice; whoever holds an older epoch
//! is told. Must not know: mail.

use crate::engine::{Batch, Key, Outcome, Version, get, range};
use crate::key;
use crate::limits::{ACCOUNTS_CACHED, APP_PASSWORDS_MAX, CONFLICT_RETRIES, MESSAGES_MAX};
use crate::rows::{Counters, MailboxState, decode_account, decode_number, encode_account, encode_number};
use crate::store::{Inner, Result};
use crate::types::*;
use crate::value::{Writer, decoded, open};
use crate::{Store, normalise};
use quick_cache::sync::Cache;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// The collection under whose number the change log tells of an account's quota; it holds no records.
pub const QUOTA: u8 = 13;
const QUOTA_NAME: &str = "octets";

const EPOCH_NEWS: usize = 1024;

/// Caches of the directory and its lock.
pub(crate) struct Directory {
    /// Acts on the directory, one at a time.
    lock: tokio::sync::Mutex<()>,
    by_address: Cache<String, Option<Arc<Account>>>,
    by_id: Cache<AccountId, Option<Arc<Account>>>,
    aliases: Cache<String, Option<Arc<Alias>>>,
    /// Moves with every change; a fill read under an older one is thrown away.
    generation: Mutex<u64>,
    epochs: broadcast::Sender<AccountId>,
}

impl Directory {
    pub(crate) fn new() -> Directory {
        Directory {
            lock: tokio::sync::Mutex::default(),
            by_address: Cache::new(ACCOUNTS_CACHED),
            by_id: Cache::new(ACCOUNTS_CACHED),
            aliases: Cache::new(ACCOUNTS_CACHED),
            generation: Mutex::new(0),
            epochs: broadcast::channel(EPOCH_NEWS).0,
        }
    }

    fn generation(&self) -> u64 {
        *self.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills a cache unless the directory moved since `generation`.
    fn fill(&self, generation: u64, fill: impl FnOnce(&Directory)) {
        let now = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == generation {
            fill(self);
        }
    }

    /// Everything read so far may be old.
    fn moved(&self) {
        let mut now = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        *now += 1;
        self.by_address.clear();
        self.by_id.clear();
        self.aliases.clear();
    }
}

fn decode_alias(key: &Key, stored: &[u8]) -> Result<Alias> {
    let address = key::Parts::of(key).text();
    let mut reader = open(key, stored)?;
    decoded(
        key,
        (|| {
            let targets: Option<Vec<String>> = (0..reader.count()?).map(|_| reader.text().map(str::to_owned)).collect();
            Some(Alias { address: address?.to_owned(), targets: targets? })
        })(),
    )
}

/// What was read; `None`, and a line in the log, where the octets are damaged.
fn readable<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Damaged(what)) => {
            tracing::error!(what, "a row of the directory cannot be read; it is left out");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn address_is_good(address: &str) -> bool {
    let parts = address.rsplit_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && !address.contains(|c: char| c.is_control())
        && address.len() <= 512
}

/// The mailboxes every account begins with.
const FIRST_MAILBOXES: [(&str, Option<SpecialUse>); 6] = [
    ("INBOX", None),
    ("Drafts", Some(SpecialUse::Drafts)),
    ("Sent", Some(SpecialUse::Sent)),
    ("Junk", Some(SpecialUse::Junk)),
    ("Trash", Some(SpecialUse::Trash)),
    ("Archive", Some(SpecialUse::Archive)),
];

fn put_account(batch: &mut Batch, account: &Account) {
    let by_id = key::account(account.id);
    let value = encode_account(&by_id, account);
    batch.put(by_id, value);
}

fn lay_out_account(batch: &mut Batch, account: &Account, now_secs: UnixSecs) {
    put_account(batch, account);
    let by_address = key::address(&account.address);
    batch.expects.push((by_address.clone(), Version::ABSENT));
    batch.expects.push((key::alias(&account.address), Version::ABSENT));
    let value = encode_number(&by_address, u64::from(account.id.0));
    batch.put(by_address, value);
    let uid_validity = u32::try_from(now_secs).unwrap_or(1).max(1);
    for (number, (name, special_use)) in (1..).zip(FIRST_MAILBOXES) {
        let info = Mailbox { id: MailboxId(number), name: SmolStr::new(name), uid_validity, special_use, subscribed: true };
        let at = key::mailbox(account.id, info.id);
        let value = MailboxState::new(info, 1).encode(&at);
        batch.put(at, value);
    }
    let space = key::space(account.id);
    let counters = Counters {
        mod_seq: 1,
        log_floor: 1,
        next_mailbox: FIRST_MAILBOXES.len() as u32 + 1,
        last_uid_validity: uid_validity,
        quota_bytes: account.quota_bytes,
        ..Counters::default()
    };
    let value = counters.encode(&space);
    batch.put(space, value);
    batch.spaces.push(account.id.0);
}

impl Inner {
    async fn account_row(&self, id: AccountId) -> Result<Option<(Account, Version)>> {
        let at = key::account(id);
        let Some(stored) = get(&*self.engine, at.clone()).await? else { return Ok(None) };
        Ok(Some((decode_account(&at, &stored)?, Version::of(Some(&stored)))))
    }

    /// The account that a row of addresses leads to.
    async fn account_at(&self, at: &Key, stored: &[u8]) -> Result<Option<Account>> {
        let id = AccountId(u32::try_from(decode_number(at, stored)?).unwrap_or(0));
        Ok(self.account_row(id).await?.map(|(account, _)| account))
    }

    /// Commits a change of the directory; caches are emptied before anybody is answered.
    async fn commit_directory(self: &Arc<Self>, acts: Vec<crate::space::Act>, batch: Batch) -> Outcome {
        let inner = self.clone();
        self.commit_acts_also(acts, batch, move |_| inner.directory.moved()).await
    }

    async fn accounts_add(self: &Arc<Self>, new: &[NewAccount], now_secs: UnixSecs) -> Result<Option<Vec<AccountId>>> {
        let counter = key::next_account();
        let stored = get(&*self.engine, counter.clone()).await?;
        let mut next = match &stored {
            Some(value) => u32::try_from(decode_number(&counter, value)?).unwrap_or(u32::MAX),
            None => 1,
        };
        let mut batch = Batch { expects: vec![(counter.clone(), Version::of(stored.as_deref()))], ..Batch::default() };
        let mut ids = Vec::with_capacity(new.len());
        let mut seen = BTreeSet::new();
        for account in new {
            let address = normalise(&account.address);
            if !address_is_good(&address) {
                return Err(StoreError::Invalid("an account's address is LOCAL@DOMAIN"));
            }
            let taken = self.lookup(&address).await?.is_some() || self.lookup_alias(&address).await?.is_some();
            if taken || !seen.insert(address.clone()) {
                return Err(StoreError::Exists);
            }
            let id = AccountId(next);
            next = next.checked_add(1).ok_or(StoreError::Invalid("all account ids are used up"))?;
            let secrets = account.secrets.clone();
            let quota_bytes = account.quota_bytes;
            let account = Account {
                id,
                address,
                secrets,
                suspended: false,
                quota_bytes,
                created_secs: now_secs,
                epoch: 1,
                app_passwords: Vec::new(),
            };
            lay_out_account(&mut batch, &account, now_secs);
            ids.push(id);
        }
        let value = encode_number(&counter, u64::from(next));
        batch.put(counter, value);
        match self.commit_directory(Vec::new(), batch).await {
            Outcome::Done => Ok(Some(ids)),
            Outcome::Conflict => Ok(None),
            Outcome::Failed(error) => Err(error),
        }
    }

    async fn lookup(&self, address: &str) -> Result<Option<Arc<Account>>> {
        if let Some(found) = self.directory.by_address.get(address) {
            return Ok(found);
        }
        let generation = self.directory.generation();
        let at = key::address(address);
        let account = match get(&*self.engine, at.clone()).await? {
            None => None,
            Some(stored) => {
                let id = AccountId(u32::try_from(decode_number(&at, &stored)?).unwrap_or(0));
                self.account_row(id).await?.map(|(account, _)| Arc::new(account))
            }
        };
        self.directory.fill(generation, |directory| directory.by_address.insert(address.to_owned(), account.clone()));
        Ok(account)
    }

    pub(crate) async fn lookup_id(&self, id: AccountId) -> Result<Option<Arc<Account>>> {
        if let Some(found) = self.directory.by_id.get(&id) {
            return Ok(found);
        }
        let generation = self.directory.generation();
        let account = self.account_row(id).await?.map(|(account, _)| Arc::new(account));
        self.directory.fill(generation, |directory| directory.by_id.insert(id, account.clone()));
        Ok(account)
    }

    async fn lookup_alias(&self, address: &str) -> Result<Option<Arc<Alias>>> {
        if let Some(found) = self.directory.aliases.get(address) {
            return Ok(found);
        }
        let generation = self.directory.generation();
        let at = key::alias(address);
        let stored = get(&*self.engine, at.clone()).await?;
        let alias = stored.map(|stored| decode_alias(&at, &stored)).transpose()?.map(Arc::new);
        self.directory.fill(generation, |directory| directory.aliases.insert(address.to_owned(), alias.clone()));
        Ok(alias)
    }

    /// Reads an account, changes it, writes it back; tells the sessions when the epoch grew. Another quota stands in the change log.
    async fn account_change(self: &Arc<Self>, id: AccountId, change: impl Fn(&mut Account)) -> Result<()> {
        let _turn = self.directory.lock.lock().await;
        for _ in 0..CONFLICT_RETRIES {
            let (old, version) = self.account_row(id).await?.ok_or(StoreError::NotFound)?;
            let mut new = old.clone();
            change(&mut new);
            let mut batch = Batch { expects: vec![(key::account(id), version)], ..Batch::default() };
            put_account(&mut batch, &new);
            let mut acts = Vec::new();
            if new.quota_bytes != old.quota_bytes {
                let mut act = self.act(id, true).await?;
                act.counters.quota_bytes = new.quota_bytes;
                let touch = match (old.quota_bytes, new.quota_bytes) {
                    (None, _) => Touch::Created,
                    (_, None) => Touch::Destroyed,
                    _ => Touch::Updated,
                };
                act.records.push((QUOTA, QUOTA_NAME.into(), touch));
                acts.push(act);
            }
            match self.commit_directory(acts, batch).await {
                Outcome::Conflict => {}
                Outcome::Failed(error) => return Err(error),
                Outcome::Done => {
                    if new.epoch != old.epoch {
                        let _ = self.directory.epochs.send(id);
                    }
                    return Ok(());
                }
            }
        }
        Err(StoreError::Io("the account kept changing".into()))
    }

    async fn account_remove(self: &Arc<Self>, id: AccountId, now_secs: UnixSecs) -> Result<()> {
        let _turn = self.directory.lock.lock().await;
        for _ in 0..CONFLICT_RETRIES {
            let (account, version) = self.account_row(id).await?.ok_or(StoreError::NotFound)?;
            let mut act = self.act(id, true).await?;
            act.counters.gone = true;
            let mut batch = Batch { expects: vec![(key::account(id), version)], ..Batch::default() };
            batch.delete(key::account(id));
            batch.delete(key::address(&account.address));
            let at = key::account_gone(id);
            let mut out = Writer::new();
            out.text(&account.address).signed(now_secs);
            let value = out.seal(&at);
            batch.put(at, value);
            match self.commit_directory(vec![act], batch).await {
                Outcome::Conflict => {}
                Outcome::Failed(error) => return Err(error),
                Outcome::Done => {
                    let _ = self.directory.epochs.send(id);
                    self.rendered.clear();
                    // What it left in the trace is nobody's any more; what comes in later goes with its mail.
                    if let Err(error) = self.erase_trace(id, &account.address).await {
                        tracing::warn!(?error, "the trace of a removed account goes with its mail");
                    }
                    return Ok(());
                }
            }
        }
        Err(StoreError::Io("the account kept changing".into()))
    }
}

/// A removed account's address and when it was removed.
pub(crate) fn decode_gone(key: &Key, stored: &[u8]) -> Result<(String, UnixSecs)> {
    let mut reader = open(key, stored)?;
    decoded(key, (|| Some((reader.text()?.to_owned(), reader.signed()?)))())
}

impl Store {
    /// Makes accounts, each with INBOX, Drafts, Sent, Junk, Trash and Archive; one commit for all. `Exists` names nothing and makes none.
    pub async fn accounts_add(&self, accounts: Vec<NewAccount>, now_secs: UnixSecs) -> Result<Vec<AccountId>> {
        let _turn = self.inner.directory.lock.lock().await;
        for _ in 0..CONFLICT_RETRIES {
            if let Some(ids) = self.inner.accounts_add(&accounts, now_secs).await? {
                return Ok(ids);
            }
        }
        Err(StoreError::Io("the directory kept changing".into()))
    }

    /// By normalised or plain address (normalised here). Cached: cheap on the hot path.
    pub async fn account(&self, address: &str) -> Result<Option<Arc<Account>>> {
        self.inner.lookup(&normalise(address)).await
    }

    /// By id. `None` once removed. Cached.
    pub async fn account_by_id(&self, id: AccountId) -> Result<Option<Arc<Account>>> {
        self.inner.lookup_id(id).await
    }

    /// All, by address, from after `after`, at most `limit`. One that cannot be read costs itself: it is left out, and
    /// [`Store::directory_damage`] tells of it.
    pub async fn account_list(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Account>>> {
        let (mut from, to) = key::whole(key::ADDRESS);
        if let Some(after) = after {
            from = key::address(&normalise(after)).behind();
        }
        let mut accounts = Vec::new();
        loop {
            let wanted = limit.saturating_sub(accounts.len());
            let rows = range(&*self.inner.engine, (from, to.clone()), wanted).await?;
            for (at, stored) in &rows {
                accounts.extend(readable(self.inner.account_at(at, stored).await)?.flatten().map(Arc::new));
            }
            match rows.last() {
                // Some were left out: the page is not full yet.
                Some((last, _)) if rows.len() == wanted && accounts.len() < limit => from = last.behind(),
                _ => return Ok(accounts),
            }
        }
    }

    /// What of the directory cannot be read, in words for the operator; `check` finds the same, `rebuild` mends it.
    pub async fn directory_damage(&self) -> Result<Vec<String>> {
        let mut damage = Vec::new();
        for (at, stored) in range(&*self.inner.engine, key::whole(key::ADDRESS), usize::MAX).await? {
            if let Err(StoreError::Damaged(what)) = self.inner.account_at(&at, &stored).await {
                damage.push(format!("account {}: {what}", key::Parts::of(&at).text().unwrap_or("?")));
            }
        }
        for (at, stored) in range(&*self.inner.engine, key::whole(key::ALIAS), usize::MAX).await? {
            if let Err(StoreError::Damaged(what)) = decode_alias(&at, &stored) {
                damage.push(format!("alias {}: {what}", key::Parts::of(&at).text().unwrap_or("?")));
            }
        }
        Ok(damage)
    }

    /// The first account ever made that still exists (postmaster's default).
    pub async fn account_first(&self) -> Result<Option<Arc<Account>>> {
        let found = range(&*self.inner.engine, key::whole(key::ACCOUNT), 1).await?;
        found.first().map(|(at, stored)| decode_account(at, stored).map(Arc::new)).transpose()
    }

    /// New secrets; the epoch grows.
    pub async fn account_secrets(&self, id: AccountId, secrets: Secrets) -> Result<()> {
        let change = |account: &mut Account| {
            account.secrets = secrets.clone();
            account.epoch += 1;
        };
        self.inner.account_change(id, change).await
    }

    /// Better verifiers of the same password: the epoch stays, so sessions go on. Does nothing when the secrets are not
    /// `old` any more.
    pub async fn account_strengthen(&self, id: AccountId, old: &Secrets, new: Secrets) -> Result<()> {
        let change = |account: &mut Account| {
            if account.secrets == *old {
                account.secrets = new.clone();
            }
        };
        self.inner.account_change(id, change).await
    }

    /// One app password more; `Exists` where the name is taken, `Invalid` past [`APP_PASSWORDS_MAX`].
    pub async fn app_password_add(&self, id: AccountId, password: AppPassword) -> Result<()> {
        let account = self.inner.account_row(id).await?.ok_or(StoreError::NotFound)?.0;
        if account.app_passwords.len() >= APP_PASSWORDS_MAX {
            return Err(StoreError::Invalid("the account has as many app passwords as it may"));
        }
        if account.app_passwords.iter().any(|known| known.name == password.name) {
            return Err(StoreError::Exists);
        }
        let change = |account: &mut Account| {
            if !account.app_passwords.iter().any(|known| known.name == password.name) {
                account.app_passwords.push(password.clone());
            }
        };
        self.inner.account_change(id, change).await
    }

    /// Takes an app password away; the epoch grows, so all of the account's sessions end. `NotFound` without such a name.
    pub async fn app_password_remove(&self, id: AccountId, name: &str) -> Result<()> {
        let account = self.inner.account_row(id).await?.ok_or(StoreError::NotFound)?.0;
        if !account.app_passwords.iter().any(|known| known.name == name) {
            return Err(StoreError::NotFound);
        }
        let change = |account: &mut Account| {
            account.app_passwords.retain(|known| known.name != name);
            account.epoch += 1;
        };
        self.inner.account_change(id, change).await
    }

    /// The epoch grows, so all of the account's sessions end.
    pub async fn account_sessions_end(&self, id: AccountId) -> Result<()> {
        self.inner.account_change(id, |account| account.epoch += 1).await
    }

    /// Suspends or resumes; the epoch grows.
    pub async fn account_suspend(&self, id: AccountId, suspended: bool) -> Result<()> {
        let change = |account: &mut Account| {
            account.suspended = suspended;
            account.epoch += 1;
        };
        self.inner.account_change(id, change).await
    }

    /// Sets the quota.
    pub async fn account_quota(&self, id: AccountId, quota_bytes: Option<u64>) -> Result<()> {
        self.inner.account_change(id, |account| account.quota_bytes = quota_bytes).await
    }

    /// Removes it (a tombstone stays; its mail is erased after `undo_days`); the epoch grows.
    pub async fn account_remove(&self, id: AccountId, now_secs: UnixSecs) -> Result<()> {
        if let Some(account) = self.account_by_id(id).await? {
            self.forget_identifier(&account.address).await?;
        }
        self.inner.account_remove(id, now_secs).await
    }

    /// (octets used, messages); what is only restorable does not count.
    pub async fn account_usage(&self, id: AccountId) -> Result<(u64, u64)> {
        let space = self.inner.ready(id).await?;
        let published = space.published();
        Ok((published.counters.used_bytes, published.counters.messages))
    }

    /// What an account holds and may hold, without waiting for anybody.
    pub async fn usage(&self, id: AccountId) -> Result<Usage> {
        let space = self.inner.ready(id).await?;
        let published = space.published();
        let Counters { used_bytes, messages, quota_bytes, .. } = published.counters;
        Ok(Usage { bytes: used_bytes, quota_bytes, messages, mailboxes: published.mailboxes.len() as u64 })
    }

    /// Room for one more message of `size_bytes`? `Err(OverQuota)` / `Err(NoSpace)` if not.
    pub async fn room(&self, id: AccountId, size_bytes: u64) -> Result<()> {
        if !self.inner.free.has_space() {
            return Err(StoreError::NoSpace);
        }
        let space = self.inner.ready(id).await?;
        let published = space.published();
        match published.counters.quota_bytes {
            _ if published.counters.messages >= MESSAGES_MAX => Err(StoreError::OverQuota),
            Some(quota) if published.counters.used_bytes.saturating_add(size_bytes) > quota => Err(StoreError::OverQuota),
            _ => Ok(()),
        }
    }

    /// The epoch of every account's sign-in facts: sessions watch it and end when theirs is old.
    pub fn epoch_watch(&self) -> broadcast::Receiver<AccountId> {
        self.inner.directory.epochs.subscribe()
    }

    /// Everybody who waits for such news of this account looks, though nothing changed.
    pub fn look_again(&self, id: AccountId) {
        // Nobody may be there.
        let _ = self.inner.directory.epochs.send(id);
    }

    /// Adds an alias; `Exists` if the address is an account or alias.
    pub async fn alias_add(&self, alias: Alias) -> Result<()> {
        let _turn = self.inner.directory.lock.lock().await;
        let address = normalise(&alias.address);
        // `@domain` is the catch-all.
        let good = address_is_good(&address) || address_is_good(&format!("x{address}")) && address.starts_with('@');
        if !good || alias.targets.is_empty() {
            return Err(StoreError::Invalid("an alias is LOCAL@DOMAIN (or @DOMAIN for the rest) with at least one target"));
        }
        let at = key::alias(&address);
        let mut out = Writer::new();
        out.number(alias.targets.len() as u64);
        for target in &alias.targets {
            out.text(target);
        }
        let value = out.seal(&at);
        let expects = vec![(at.clone(), Version::ABSENT), (key::address(&address), Version::ABSENT)];
        let batch = Batch { expects, writes: vec![(at, Some(value))], ..Batch::default() };
        match self.inner.commit_directory(Vec::new(), batch).await {
            Outcome::Done => Ok(()),
            Outcome::Conflict => Err(StoreError::Exists),
            Outcome::Failed(error) => Err(error),
        }
    }

    /// Removes it.
    pub async fn alias_remove(&self, address: &str) -> Result<()> {
        let _turn = self.inner.directory.lock.lock().await;
        let address = normalise(address);
        let at = key::alias(&address);
        let stored = get(&*self.inner.engine, at.clone()).await?.ok_or(StoreError::NotFound)?;
        let expects = vec![(at.clone(), Version::of(Some(&stored)))];
        let batch = Batch { expects, writes: vec![(at, None)], ..Batch::default() };
        match self.inner.commit_directory(Vec::new(), batch).await {
            Outcome::Done => Ok(()),
            Outcome::Conflict => Err(StoreError::NotFound),
            Outcome::Failed(error) => Err(error),
        }
    }

    /// One alias.
    pub async fn alias(&self, address: &str) -> Result<Option<Arc<Alias>>> {
        self.inner.lookup_alias(&normalise(address)).await
    }

    /// All aliases, by address. One that cannot be read costs itself, as in [`Store::account_list`].
    pub async fn alias_list(&self) -> Result<Vec<Arc<Alias>>> {
        let rows = range(&*self.inner.engine, key::whole(key::ALIAS), usize::MAX).await?;
        let mut aliases = Vec::with_capacity(rows.len());
        for (at, stored) in &rows {
            aliases.extend(readable(decode_alias(at, stored))?.map(Arc::new));
        }
        Ok(aliases)
    }
}
