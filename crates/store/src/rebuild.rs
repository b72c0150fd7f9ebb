//! The index made anew from the segments, and what damage left uneven made even again.
//!
//! Invariant: nothing that can be read is dropped; what had to be dropped or guessed is told.
//! Must not know: file formats.

use crate::check::{Everything, read_everything};
use crate::engine::embedded::{Embedded, blocking};
use crate::engine::index;
use crate::engine::segment::sync_folder;
use crate::engine::{Batch, io_error};
use crate::key;
use crate::limits::CARE_ROWS;
use crate::rows::{Counters, MailboxState, encode_account, encode_mark, encode_number};
use crate::store::{Inner, Result};
use crate::types::*;
use crate::undo::done;
use crate::{Store, StoreConfig, lock};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

/// There while the index is being made anew: what was found damaged is not mended before the end.
pub(crate) const MARK: &str = "rebuilding";
const INDEX_FILES: [&str; 3] = ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"];

/// Mends what lost records leave behind: counts, dangling rows, holders. Nothing may be in flight.
pub(crate) async fn recount(inner: &Inner, skipped: &mut Vec<Defect>) -> Result<()> {
    let all = read_everything(&*inner.engine).await?;
    let mut batch = Batch::default();
    for (at, defect) in all.unreadable.iter().zip(&all.defects) {
        // A queue row is set aside by the queue itself, with its reason.
        if at.kind() != key::QUEUE {
            skipped.push(defect.clone());
            batch.delete(at.clone());
        }
    }
    let mut all = all;
    mend_accounts(&mut all, &mut batch, skipped);
    let lost = drop_bodiless(&all, &mut batch, skipped);
    recount_mailboxes(&all, &lost, &mut batch, skipped);
    mend_due(&all, &mut batch);
    // Which accounts have which records is found anew when it is next asked for.
    batch.delete(key::record_holders_known());
    commit_in_parts(inner, batch).await?;
    let all = read_everything(&*inner.engine).await?;
    mend_holders(inner, &all).await
}

/// Mail whose account is lost gets one again, under a name nobody can sign in with, for the operator to see.
fn mend_accounts(all: &mut Everything, batch: &mut Batch, skipped: &mut Vec<Defect>) {
    let owners = all.rows.iter().map(|(account, _, _)| *account).chain(all.mailboxes.keys().map(|(account, _)| *account));
    let lost: BTreeSet<AccountId> = owners.filter(|id| !all.accounts.contains_key(id) && !all.gone.contains(id)).collect();
    for id in lost {
        skipped.push(Defect {
            place: format!("account {}", id.0),
            what: "its directory entry is lost; it is made again, suspended".into(),
        });
        let address = format!("recovered-{}@recovered.invalid", id.0);
        let secrets = Secrets { argon2: "!".into(), scram: None };
        all.accounts.insert(
            id,
            Account {
                id,
                address,
                secrets,
                suspended: true,
                quota_bytes: None,
                created_secs: 0,
                epoch: 1,
                app_passwords: Vec::new(),
            },
        );
    }
    for (id, account) in &all.accounts {
        let at = key::account(*id);
        let value = encode_account(&at, account);
        batch.put(at, value);
        let at = key::address(&account.address);
        let value = encode_number(&at, u64::from(id.0));
        batch.put(at, value);
    }
    for (address, id) in &all.addresses {
        if all.accounts.get(id).is_none_or(|account| account.address != *address) {
            batch.delete(key::address(address));
        }
    }
    let highest = all.accounts.keys().chain(&all.gone).map(|id| u64::from(id.0)).max().unwrap_or(0);
    let at = key::next_account();
    let value = encode_number(&at, all.next_account.max(highest + 1));
    batch.put(at, value);
}

/// Rows and records whose body or record is missing.
fn drop_bodiless(all: &Everything, batch: &mut Batch, skipped: &mut Vec<Defect>) -> BTreeSet<EmailId> {
    let mut lost = BTreeSet::new();
    let placed: BTreeSet<EmailId> =
        all.rows.iter().map(|(_, _, row)| row.email).chain(all.undo.iter().map(|(_, _, email, _)| *email)).collect();
    for (email, record) in &all.emails {
        if !all.bodies.contains_key(&record.body) || !placed.contains(email) {
            lost.insert(*email);
            batch.delete(key::email(*email));
        }
    }
    for (account, mailbox, row) in &all.rows {
        if lost.contains(&row.email) || !all.emails.contains_key(&row.email) {
            lost.insert(row.email);
            batch.delete(key::uid(*account, *mailbox, row.uid));
            let place = format!("account {} mailbox {} uid {}", account.0, mailbox.0, row.uid.0);
            skipped.push(Defect { place, what: "its body is lost".into() });
        }
    }
    for (account, when, email, _) in &all.undo {
        if lost.contains(email) || !all.emails.contains_key(email) {
            batch.delete(key::undo(*account, *when, *email));
        }
    }
    for (id, entry) in &all.queue {
        if !all.bodies.contains_key(&entry.body) {
            batch.delete(key::queue(*id));
            skipped.push(Defect { place: format!("queue {}", id.0), what: "its body is lost".into() });
        }
    }
    lost
}

fn recount_mailboxes(all: &Everything, lost: &BTreeSet<EmailId>, batch: &mut Batch, skipped: &mut Vec<Defect>) {
    let mut states: BTreeMap<(AccountId, MailboxId), MailboxState> = BTreeMap::new();
    for (at, state) in &all.mailboxes {
        let empty = MailboxState { messages: 0, unseen: 0, deleted: 0, size_bytes: 0, ..state.clone() };
        states.insert(*at, empty);
    }
    for (account, mailbox, row) in all.rows.iter().filter(|(_, _, row)| !lost.contains(&row.email)) {
        let state = states.entry((*account, *mailbox)).or_insert_with(|| {
            let place = format!("account {} mailbox {}", account.0, mailbox.0);
            skipped.push(Defect { place, what: "its name is lost; it is made again".into() });
            let name =
                if mailbox.0 == 1 { SmolStr::new_static("INBOX") } else { SmolStr::from(format!("Recovered-{}", mailbox.0)) };
            MailboxState::new(Mailbox { id: *mailbox, name, uid_validity: 1, special_use: None, subscribed: true }, 0)
        });
        state.count(row, 1);
        state.uid_next = state.uid_next.max(row.uid.0.saturating_add(1));
        state.highest = state.highest.max(row.mod_seq);
    }
    for (at, state) in &mut states {
        // The record that held the newest flags may be one of those that are lost.
        let flags_at = all.flags_at.get(at).copied().unwrap_or(0);
        if flags_at < state.flags_at {
            let place = format!("account {} mailbox {}", at.0.0, at.1.0);
            skipped.push(Defect { place, what: "flags that many of its messages were given are lost".into() });
        }
        state.flags_at = flags_at;
        let own_seen_sum = all.own_seen_sums.get(at).copied().unwrap_or(0);
        if state.own_seen_sum != 0 && state.own_seen_sum != own_seen_sum {
            let place = format!("account {} mailbox {}", at.0.0, at.1.0);
            skipped.push(Defect { place, what: "what some of its readers have seen is lost".into() });
        }
        state.own_seen_sum = own_seen_sum;
    }
    let mut spaces = all.spaces.clone();
    for id in all.accounts.keys() {
        spaces.entry(*id).or_insert_with(|| Counters { quota_bytes: None, next_mailbox: 1, ..Counters::default() });
    }
    for (id, counters) in &mut spaces {
        let of_account = || states.range((*id, MailboxId(0))..=(*id, MailboxId(u32::MAX))).map(|(_, state)| state);
        counters.messages = of_account().map(|state| u64::from(state.messages)).sum();
        counters.used_bytes = of_account().map(|state| state.size_bytes).sum();
        counters.mod_seq = of_account().map(|state| state.highest.0).fold(counters.mod_seq, u64::max);
        counters.next_mailbox = of_account().map(|state| state.info.id.0 + 1).fold(counters.next_mailbox.max(1), u32::max);
        counters.quota_bytes = all.accounts.get(id).map_or(counters.quota_bytes, |account| account.quota_bytes);
        mend_log(all, *id, counters, batch);
        let at = key::space(*id);
        let value = counters.encode(&at);
        batch.put(at, value);
    }
    for (_, _, at) in all.annotations.iter().filter(|(account, mailbox, _)| !states.contains_key(&(*account, *mailbox))) {
        batch.delete(at.clone());
    }
    for ((account, mailbox), state) in &states {
        let at = key::mailbox(*account, *mailbox);
        let value = state.encode(&at);
        batch.put(at, value);
    }
}

/// A log with holes is no log: it begins anew, and clients that are behind take a fresh snapshot.
fn mend_log(all: &Everything, id: AccountId, counters: &mut Counters, batch: &mut Batch) {
    let acts = all.changes.get(&id).map(Vec::as_slice).unwrap_or_default();
    if acts.iter().copied().eq(counters.log_floor + 1..=counters.mod_seq) {
        return;
    }
    counters.mod_seq += 1;
    counters.log_floor = counters.mod_seq;
    acts.iter().for_each(|act| batch.delete(key::change(id, *act)));
}

fn mend_due(all: &Everything, batch: &mut Batch) {
    let wanted: BTreeSet<(UnixSecs, QueueId)> = all
        .queue
        .values()
        .filter(|entry| !entry.held && all.bodies.contains_key(&entry.body))
        .map(|entry| (entry.next_secs, entry.id))
        .collect();
    all.due.difference(&wanted).for_each(|(at, id)| batch.delete(key::queue_due(*at, *id)));
    for (at, id) in wanted.difference(&all.due) {
        let at = key::queue_due(*at, *id);
        let value = encode_mark(&at);
        batch.put(at, value);
    }
}

async fn mend_holders(inner: &Inner, all: &Everything) -> Result<()> {
    let holders = all.holders();
    let mut batch = Batch::default();
    for (body, (refs, _)) in &all.bodies {
        let counted = holders.get(body).copied().unwrap_or(0);
        match refs.cmp(&counted) {
            std::cmp::Ordering::Less => batch.retain.push((*body, counted - refs)),
            // What a set-aside queue row holds is not ours to judge.
            std::cmp::Ordering::Greater if all.bad_queue_rows == 0 => batch.release.push((*body, refs - counted)),
            _ => {}
        }
    }
    if batch.retain.is_empty() && batch.release.is_empty() {
        return Ok(());
    }
    done(inner.commit(batch).await)
}

async fn commit_in_parts(inner: &Inner, batch: Batch) -> Result<()> {
    let mut writes = batch.writes.into_iter().peekable();
    while writes.peek().is_some() {
        let part = writes.by_ref().take(CARE_ROWS * 20).collect();
        done(inner.commit(Batch { writes: part, ..Batch::default() }).await)?;
    }
    Ok(())
}

impl Store {
    /// Makes the index anew from the segments; the store must not be open. The old index is kept as `index.old`.
    pub async fn rebuild(config: StoreConfig) -> Result<Rebuilt> {
        let lock = lock::take(&config.data_dir)?;
        let folder = config.data_dir.clone();
        let mark = config.data_dir.join(MARK);
        let cut_short = mark.exists();
        File::create(&mark).and_then(|_| sync_folder(&folder)).map_err(|error| io_error(&error))?;
        let (engine, mut skipped) = blocking(move || {
            // What any index knew was synced: a bad record in it is damage, not a torn end.
            let known = ["index.sqlite", "index.old.sqlite"].map(|name| index::position_in(&folder.join(name)));
            let proven = known.into_iter().max_by_key(|known| (known.order, known.end)).unwrap_or_default();
            for name in INDEX_FILES {
                let (from, to) = (folder.join(name), folder.join(name.replacen("index", "index.old", 1)));
                // A making cut short left no index worth keeping: the one before it stays.
                if cut_short {
                    let _ = std::fs::remove_file(&from);
                    continue;
                }
                let _ = std::fs::remove_file(&to);
                if from.exists() {
                    std::fs::rename(&from, &to).map_err(|error| io_error(&error))?;
                }
            }
            Embedded::open_anew(&folder, proven)
        })
        .await?;
        let spool = config.data_dir.join("spool");
        lock::empty_folder(&spool)?;
        let store = Store::on_engine(config, Box::new(engine), Some(spool), Some(lock)).await?;
        recount(&store.inner, &mut skipped).await?;
        let all = read_everything(&*store.inner.engine).await?;
        let rebuilt = Rebuilt { accounts: all.accounts.len() as u64, messages: all.rows.len() as u64, skipped };
        std::fs::remove_file(&mark).map_err(|error| io_error(&error))?;
        store.close().await?;
        Ok(rebuilt)
    }
}
