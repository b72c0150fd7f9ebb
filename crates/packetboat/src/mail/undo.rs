//! What `delete` did, noted so that `undo` can take it back, the last first: out of Trash to where it was, or back from what
//! was removed for good.
//!
//! One mark for each message, `mail/deleted/ACT/NUMBER`: a version byte and JSON. Must not know: the network.

use super::Desk;
use super::acts::Deleted;
use net::clock::unix_now;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use store::{EmailId, MailboxId, Mark, Uid};

const PREFIX: &str = "mail/deleted/";
const VERSION: u8 = 1;
/// Deletions that can be taken back one after the other.
const ACTS_MAX: usize = 50;
/// What can be brought back that is looked through for what was removed for good.
const LISTED_MAX: usize = 100_000;
/// Marks read at once.
const PAGE: usize = 1000;

/// One message that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Gone {
    /// Moved into Trash.
    Moved { from: u32, trash: u32, email: u64, secs: i64 },
    /// Removed for good; the store keeps it for a while.
    Removed { email: u64, secs: i64 },
}

impl Gone {
    fn secs(&self) -> i64 {
        let (Gone::Moved { secs, .. } | Gone::Removed { secs, .. }) = self;
        *secs
    }

    fn value(&self) -> Vec<u8> {
        [vec![VERSION], serde_json::to_vec(self).unwrap_or_default()].concat()
    }

    /// `None`: of another version.
    fn of(value: &[u8]) -> Option<Gone> {
        serde_json::from_slice(value.strip_prefix(&[VERSION])?).ok()
    }
}

fn told(error: store::StoreError) -> String {
    error.to_string()
}

/// All that is noted, by act: the marks' names and what they say.
async fn noted(desk: &Desk) -> Result<BTreeMap<String, Vec<(String, Option<Gone>)>>, String> {
    let mut acts: BTreeMap<String, Vec<(String, Option<Gone>)>> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = desk.store.marks(desk.account, PREFIX, after.as_deref(), PAGE).await.map_err(told)?;
        after = page.last().map(|(name, _)| name.clone());
        let more = page.len() == PAGE;
        for (name, value) in page {
            let act = name.rsplit_once('/').map_or("", |(act, _)| act).to_owned();
            acts.entry(act).or_default().push((name, Gone::of(&value)));
        }
        if !more {
            return Ok(acts);
        }
    }
}

/// Notes a deletion; the oldest are forgotten.
pub(super) async fn note(desk: &Desk, from: MailboxId, deleted: &Deleted) -> Result<(), String> {
    let (acts, secs) = (noted(desk).await?, unix_now());
    let last = acts.keys().next_back().and_then(|act| act.strip_prefix(PREFIX)?.parse::<u64>().ok());
    let act = last.unwrap_or(0) + 1;
    let gone: Vec<Gone> = match deleted {
        Deleted::InTrash(trash, uids) => {
            let rows = desk.store.snapshot(desk.account, *trash).await.map_err(told)?.rows;
            // Not its UID, which is another one after it was removed there, too, and brought back.
            let email = |uid: &Uid| rows.index_of(*uid).and_then(|at| rows.get(at)).map(|row| row.email.0);
            let moved = |email| Gone::Moved { from: from.0, trash: trash.0, email, secs };
            uids.iter().filter_map(email).map(moved).collect()
        }
        Deleted::Removed(emails) => emails.iter().map(|email| Gone::Removed { email: email.0, secs }).collect(),
    };
    let new = gone.iter().enumerate().map(|(n, gone)| Mark::set(format!("{PREFIX}{act:010}/{n:010}"), gone.value()));
    let old = acts.values().rev().skip(ACTS_MAX - 1).flatten().map(|(name, _)| Mark::remove(name.clone()));
    let marks: Vec<Mark> = new.chain(old).collect();
    desk.store.mark(desk.account, &marks).await.map_err(told)
}

/// Takes the last deletion back, of this program or (what the server's side removed) of a sync; how many messages came back.
pub(super) async fn last(desk: &Desk) -> Result<usize, String> {
    let mut acts = noted(desk).await?;
    let removed = desk.store.undo_list(desk.account, 1000).await.map_err(told)?;
    let synced = removed.first().map(|one| one.expunged_secs);
    while let Some((_, act)) = acts.pop_last() {
        let gone: Vec<&Gone> = act.iter().filter_map(|(_, gone)| gone.as_ref()).collect();
        if gone.first().map(|gone| gone.secs()) < synced {
            break;
        }
        let count = bring_back(desk, &gone).await?;
        let marks: Vec<Mark> = act.iter().map(|(name, _)| Mark::remove(name.clone())).collect();
        desk.store.mark(desk.account, &marks).await.map_err(told)?;
        // Nothing of it is where it was left (somebody emptied Trash, or took it out): what was deleted before that.
        if count > 0 {
            return Ok(count);
        }
    }
    let Some(last) = synced else { return Err("nothing was deleted".into()) };
    let emails: Vec<EmailId> = removed.iter().filter(|one| one.expunged_secs == last).map(|one| one.email).collect();
    desk.store.undo_restore(desk.account, &emails, unix_now()).await.map_err(told)?;
    Ok(emails.len())
}

async fn bring_back(desk: &Desk, gone: &[&Gone]) -> Result<usize, String> {
    let (store, account, now) = (&desk.store, desk.account, unix_now());
    let mut moved: BTreeMap<(u32, u32), HashSet<u64>> = BTreeMap::new();
    let mut emails = Vec::new();
    for one in gone {
        match one {
            Gone::Moved { from, trash, email, .. } => drop(moved.entry((*trash, *from)).or_default().insert(*email)),
            Gone::Removed { email, .. } => emails.push(EmailId(*email)),
        }
    }
    let mut count = 0;
    for ((trash, from), emails) in moved {
        let there = store.mailboxes(account).await.map_err(told)?;
        let find = |id: u32| there.iter().find(|mailbox| mailbox.id.0 == id);
        let inbox = || there.iter().find(|mailbox| mailbox.name == "INBOX");
        // Where it was is gone: then into INBOX.
        if let (Some(trash), Some(from)) = (find(trash), find(from).or_else(inbox)) {
            let rows = store.snapshot(account, trash.id).await.map_err(told)?.rows;
            let uids: Vec<Uid> = rows.iter().filter(|row| emails.contains(&row.email.0)).map(|row| row.uid).collect();
            count += store.move_(account, trash.id, &uids, from.id, now).await.map_err(told)?.pairs.len();
        }
    }
    if !emails.is_empty() {
        let listed = store.undo_list(account, LISTED_MAX).await.map_err(told)?;
        emails.retain(|email| listed.iter().any(|one| one.email == *email));
        count += store.undo_restore(account, &emails, now).await.map_err(told)?.len();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_another_version_is_left_alone() {
        for gone in [Gone::Moved { from: 1, trash: 5, email: 7, secs: 9 }, Gone::Removed { email: u64::MAX, secs: 9 }] {
            assert_eq!(Gone::of(&gone.value()), Some(gone));
        }
        assert_eq!(Gone::of(b"\x02{}"), None);
        assert_eq!(Gone::of(b""), None);
    }
}
