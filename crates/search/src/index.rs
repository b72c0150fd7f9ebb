//! What makes searching fast: derived from the messages, a folder of files beside the store, thrown away and made anew at will.
//!
//! An account's index is some chunks, each never changed once written; small ones are put together as they gather. Whatever no
//! chunk has is read, so that an answer is never stale. Invariant: an index only ever narrows what is read, but for columns that
//! hold the very text that is searched, and words that stand in no attachment only, which TEXT finds for sure; a file that is
//! damaged is removed and made anew. Nothing of it is ever synced.
//! Must not know: protocols, queries.

mod bits;
mod chunk;
mod columns;
mod dictionary;
mod lists;
mod record;
mod terms;
mod writer;

pub(crate) use bits::Bits;
pub(crate) use chunk::{Chunk, Verdict};
pub(crate) use columns::Column;
pub(crate) use record::{Fields, Numbers, ORDERS, Record, field_has, fields_of, place_of};
pub(crate) use terms::Terms;
pub(crate) use writer::{Fresh, GoesOn};

use crate::limits;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{AccountId, MailboxId, ModSeq};

/// All chunks of an account, as of one moment.
pub(crate) type Chunks = Arc<Vec<Arc<Chunk>>>;

/// The folder with the indexes of all accounts.
#[derive(Debug)]
pub(crate) struct Index {
    folder: PathBuf,
    accounts: Mutex<HashMap<AccountId, Slot>>,
    clock: AtomicU64,
    /// Who writes; one at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
    lost: Mutex<BTreeSet<AccountId>>,
    some_lost: tokio::sync::Notify,
    losses: AtomicU64,
    wanted: Mutex<Wanted>,
    some_wanted: tokio::sync::Notify,
    stop: AtomicBool,
}

/// What searches had to read because no chunk has it.
#[derive(Debug, Default)]
struct Wanted {
    accounts: BTreeSet<AccountId>,
    /// What that cost them, about: so long the keeper works without a rest, so that it does not cost them again and again.
    owed: Duration,
}

/// Up to where each mailbox of an account was looked at.
pub(crate) type Seen = HashMap<MailboxId, ModSeq>;
/// The file it is kept in.
const SEEN: &str = "seen";

#[derive(Debug, Default)]
struct Slot {
    chunks: Chunks,
    used: u64,
}

impl Index {
    pub(crate) fn new(folder: PathBuf) -> Index {
        Index {
            folder,
            accounts: Mutex::default(),
            clock: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            lost: Mutex::default(),
            some_lost: tokio::sync::Notify::new(),
            losses: AtomicU64::new(0),
            wanted: Mutex::default(),
            some_wanted: tokio::sync::Notify::new(),
            stop: AtomicBool::new(false),
        }
    }

    /// Nothing more is written: what is being put together is left, at once.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn folder_of(&self, account: AccountId) -> PathBuf {
        self.folder.join(account.0.to_string())
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<AccountId, Slot>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account's chunks if they are open already.
    pub(crate) fn at_hand(&self, account: AccountId) -> Option<Chunks> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        self.slots().get_mut(&account).map(|slot| {
            slot.used = now;
            Arc::clone(&slot.chunks)
        })
    }

    /// The account's chunks, opened if need be. Reads files.
    pub(crate) fn chunks(&self, account: AccountId) -> Chunks {
        if let Some(chunks) = self.at_hand(account) {
            return chunks;
        }
        let opened = Arc::new(opened(&self.folder_of(account)));
        let mut slots = self.slots();
        let used = self.clock.fetch_add(1, Ordering::Relaxed);
        let slot = slots.entry(account).or_insert(Slot { chunks: opened, used });
        Arc::clone(&slot.chunks)
    }

    /// Lets go of what was not used for the longest time, when memory or files are short.
    pub(crate) fn tidy(&self) {
        let mut slots = self.slots();
        let mut by_use: Vec<(u64, AccountId)> = slots.iter().map(|(account, slot)| (slot.used, *account)).collect();
        by_use.sort_unstable();
        let bytes = |slot: &Slot| slot.chunks.iter().map(|chunk| chunk.bytes()).sum::<usize>();
        let mut total: usize = slots.values().map(bytes).sum();
        let mut open: usize = slots.values().map(|slot| slot.chunks.len().max(1)).sum();
        for (_, account) in by_use {
            if total <= limits::INDEX_BYTES_MAX && open <= limits::INDEX_FILES_MAX {
                return;
            }
            let Some(slot) = slots.get(&account) else { continue };
            total = total.saturating_sub(bytes(slot));
            slot.chunks.iter().for_each(|chunk| chunk.forget());
            if open > limits::INDEX_FILES_MAX {
                open = open.saturating_sub(slot.chunks.len().max(1));
                slots.remove(&account);
            }
        }
    }

    /// More messages (ascending by email, each once, none of them here yet). Writes files; one caller at a time.
    ///
    /// # Errors
    /// Nothing of them is here then.
    pub(crate) fn add(&self, account: AccountId, messages: Vec<Fresh>, goes_on: &mut GoesOn<'_>) -> std::io::Result<()> {
        let folder = self.folder_of(account);
        fs::create_dir_all(&folder)?;
        let mut chunks = self.chunks(account).to_vec();
        chunks.push(Arc::new(written(&folder, &chunks, &writer::of_messages(messages, goes_on))?));
        while let Some(some) = to_join(&chunks) {
            self.join(&folder, &mut chunks, &some, |_| true, goes_on)?;
        }
        self.publish(account, chunks);
        Ok(())
    }

    /// Drops messages that are no more, when they are most of it.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub(crate) fn sweep(&self, account: AccountId, alive: &BTreeSet<u64>, goes_on: &mut GoesOn<'_>) -> std::io::Result<()> {
        let mut chunks = self.chunks(account).to_vec();
        if self.docs(account) <= alive.len() * 2 + limits::INDEX_DEAD_MIN {
            return Ok(());
        }
        let folder = self.folder_of(account);
        for chunk in chunks.clone() {
            self.join(&folder, &mut chunks, &[chunk], |email| alive.contains(&email), goes_on)?;
        }
        self.publish(account, chunks);
        Ok(())
    }

    /// These chunks become one; a damaged one is dropped.
    fn join(
        &self,
        folder: &Path,
        chunks: &mut Vec<Arc<Chunk>>,
        some: &[Arc<Chunk>],
        alive: impl Fn(u64) -> bool,
        goes_on: &mut GoesOn<'_>,
    ) -> std::io::Result<()> {
        let parts: Vec<&Chunk> = some.iter().map(|chunk| &**chunk).collect();
        let joined = match writer::of_chunks(&parts, alive, &mut || !self.is_stopped() && goes_on()) {
            Some(octets) => Some(Arc::new(written(folder, chunks, &octets)?)),
            None if self.is_stopped() => return Err(std::io::ErrorKind::Interrupted.into()),
            None => {
                tracing::warn!(folder = %folder.display(), "a damaged part of the search index is dropped and made anew");
                None
            }
        };
        chunks.retain(|chunk| !some.iter().any(|gone| Arc::ptr_eq(chunk, gone)));
        chunks.extend(joined.filter(|chunk| chunk.docs() > 0));
        some.iter().for_each(|chunk| drop(fs::remove_file(&chunk.path)));
        Ok(())
    }

    fn publish(&self, account: AccountId, chunks: Vec<Arc<Chunk>>) {
        let used = self.clock.fetch_add(1, Ordering::Relaxed);
        self.slots().insert(account, Slot { chunks: Arc::new(chunks), used });
    }

    /// Forgets a chunk that turned out to be damaged.
    pub(crate) fn drop_chunk(&self, account: AccountId, damaged: &Arc<Chunk>) {
        tracing::warn!(file = %damaged.path.display(), "a damaged file of the search index is dropped and made anew");
        let _ = fs::remove_file(&damaged.path);
        let left: Vec<Arc<Chunk>> = self.chunks(account).iter().filter(|chunk| !Arc::ptr_eq(chunk, damaged)).cloned().collect();
        self.publish(account, left);
        self.lose(account);
    }

    /// Forgets an account.
    pub(crate) fn drop_account(&self, account: AccountId) {
        self.slots().remove(&account);
        let _ = fs::remove_dir_all(self.folder_of(account));
        self.lose(account);
    }

    fn lose(&self, account: AccountId) {
        self.losses.fetch_add(1, Ordering::SeqCst);
        let _ = fs::remove_file(self.folder_of(account).join(SEEN));
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(account);
        self.some_lost.notify_one();
    }

    /// Grows whenever something is lost.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::SeqCst)
    }

    /// What an earlier run noted; nothing when that cannot be relied on.
    pub(crate) fn seen(&self, account: AccountId) -> Seen {
        // Opening removes it when a chunk is damaged.
        self.chunks(account);
        let text = fs::read_to_string(self.folder_of(account).join(SEEN)).unwrap_or_default();
        read_seen(&text).unwrap_or_default()
    }

    /// Notes it; what was looked at is in chunks that are written already.
    pub(crate) fn note_seen(&self, account: AccountId, seen: &Seen) -> std::io::Result<()> {
        let folder = self.folder_of(account);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("seen.new"), written_seen(seen))?;
        fs::rename(folder.join("seen.new"), folder.join(SEEN))
    }

    /// Removes what accounts left that are no more.
    pub(crate) fn keep_only(&self, accounts: &BTreeSet<AccountId>) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let account = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(AccountId);
            if let Some(account) = account.filter(|account| !accounts.contains(account)) {
                self.drop_account(account);
            }
        }
    }

    /// Accounts that lost some of their index; waits until there is one. Cancel-safe.
    pub(crate) async fn lost(&self) -> BTreeSet<AccountId> {
        loop {
            let lost = std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner));
            if !lost.is_empty() {
                return lost;
            }
            self.some_lost.notified().await;
        }
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A search in this account read what no chunk has, which cost it so much.
    pub(crate) fn want(&self, account: AccountId, cost: Duration) {
        let mut wanted = self.wanted();
        wanted.owed = (wanted.owed + cost).min(limits::INDEX_OWED_MAX);
        if wanted.accounts.insert(account) {
            self.some_wanted.notify_one();
        }
    }

    /// The accounts that are wanted, once.
    pub(crate) fn take_wanted(&self) -> BTreeSet<AccountId> {
        std::mem::take(&mut self.wanted().accounts)
    }

    /// Is another account wanted?
    pub(crate) fn wants_beside(&self, account: AccountId) -> bool {
        self.wanted().accounts.iter().any(|wanted| *wanted != account)
    }

    /// Waits until an account is wanted. Cancel-safe.
    pub(crate) async fn is_wanted(&self) {
        while self.wanted().accounts.is_empty() {
            self.some_wanted.notified().await;
        }
    }

    /// May a rest of so long be left out for what searches had to read? Once for each.
    pub(crate) fn pays(&self, rest: Duration) -> bool {
        let mut wanted = self.wanted();
        let left = wanted.owed.checked_sub(rest);
        wanted.owed = left.unwrap_or(wanted.owed);
        left.is_some()
    }

    /// Messages an account's index has.
    pub(crate) fn docs(&self, account: AccountId) -> usize {
        self.chunks(account).iter().map(|chunk| chunk.docs()).sum()
    }
}

/// What can be opened of a folder's files; the others are removed.
fn opened(folder: &Path) -> Vec<Arc<Chunk>> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut chunks = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| !path.ends_with(SEEN)) {
        match Chunk::open(&path).filter(|_| path.extension().is_some_and(|extension| extension == "idx")) {
            Some(chunk) => chunks.push(Arc::new(chunk)),
            // Cut short, damaged, or of another release: made anew.
            None => {
                let _ = fs::remove_file(&path);
                let _ = fs::remove_file(folder.join(SEEN));
            }
        }
    }
    chunks.sort_by_key(|chunk| chunk.range());
    chunks
}

/// The version, a line a mailbox, and a checksum over all of it.
fn written_seen(seen: &Seen) -> String {
    let mut text = format!("{}\n", chunk::VERSION);
    for (mailbox, mod_seq) in seen {
        text.push_str(&format!("{} {}\n", mailbox.0, mod_seq.0));
    }
    let sum = store::checksum(text.as_bytes());
    text + &format!("{sum}\n")
}

fn read_seen(text: &str) -> Option<Seen> {
    let (lines, sum) = text.trim_end().rsplit_once('\n')?;
    let text = format!("{lines}\n");
    if sum.parse::<u64>().ok()? != store::checksum(text.as_bytes()) {
        return None;
    }
    let mut lines = lines.lines();
    if lines.next()?.parse::<u32>().ok()? != chunk::VERSION {
        return None;
    }
    let line = |line: &str| {
        let (mailbox, mod_seq) = line.split_once(' ')?;
        Some((MailboxId(mailbox.parse().ok()?), ModSeq(mod_seq.parse().ok()?)))
    };
    lines.map(line).collect()
}

/// Writes a new file beside these chunks and opens it.
fn written(folder: &Path, chunks: &[Arc<Chunk>], octets: &[u8]) -> std::io::Result<Chunk> {
    let number = |chunk: &Arc<Chunk>| chunk.path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
    let next = chunks.iter().filter_map(number).max().unwrap_or(0) + 1;
    let (new, path) = (folder.join(format!("{next}.new")), folder.join(format!("{next}.idx")));
    fs::write(&new, octets)?;
    fs::rename(&new, &path)?;
    Chunk::open(&path).ok_or_else(|| std::io::Error::other("what was just written cannot be read"))
}

/// Chunks of about one size become one, when they are four.
fn to_join(chunks: &[Arc<Chunk>]) -> Option<Vec<Arc<Chunk>>> {
    let tier = |chunk: &Chunk| (chunk.docs() / 16).max(1).ilog2() / 2;
    for wanted in 0..16 {
        let mut same: Vec<Arc<Chunk>> = chunks.iter().filter(|chunk| tier(chunk) == wanted).cloned().collect();
        same.sort_by_key(|chunk| chunk.docs());
        let mut docs = 0;
        same.retain(|chunk| {
            docs += chunk.docs();
            docs <= limits::INDEX_CHUNK_DOCS
        });
        if same.len() >= 4 {
            return Some(same);
        }
    }
    None
}
