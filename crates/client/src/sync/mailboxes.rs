//! Which mailbox here is which there: made, renamed and removed on either side, told to the other.
//!
//! A mailbox here is known by its id; one there by its name, and when that is gone, by MAILBOXID or by what lies in it.
//! Invariants: a mailbox there is removed only when every message in it was here and went with it; one that was renamed is
//! believed to be the same only when nothing speaks against it. Must not know: flags, octets of messages.

use super::pairs::{Boxed, boxes, forget_pairs, last_names, pairs_of};
use super::{Fetched, Run};
use crate::imap::{fetch, from};
use crate::mailbox_name::{is_no_mailbox, special_use, to_local, to_remote, usual_use};
use crate::trouble::Trouble;
use bytes::Bytes;
use net::clock::unix_now;
use std::collections::{BTreeMap, BTreeSet};
use store::{Mailbox, MailboxId, SpecialUse, Uid};
use wire::imap::command::Command;
use wire::imap::fetch::FetchItem;
use wire::imap::list::ListResponse;
use wire::imap::mailbox_name::MailboxName;
use wire::imap::response::{Kind, Response};
use wire::imap::response_code::Code;

impl Run<'_> {
    /// Every mailbox of either side, made on the other where it is missing.
    pub(super) async fn mailboxes(&mut self) -> Result<Vec<(Mailbox, MailboxName)>, Trouble> {
        let (store, account) = (self.mirror.store, self.mirror.account);
        let (mut lines, prefix) = self.imap.mailboxes().await?;
        let delimiter = lines.iter().find_map(|line| line.delimiter);
        // A server that shows no INBOX shows nothing today: no reason to rename or remove anything.
        if lines.iter().any(|line| line.name.as_str().eq_ignore_ascii_case("INBOX")) {
            self.renamed_here(&mut lines, (delimiter, &prefix)).await?;
            self.removed_here(&mut lines).await?;
            self.renamed_there(&lines, &prefix).await?;
        }
        let known = boxes(store, account).await?;
        let told: BTreeSet<u8> = lines.iter().filter_map(|line| special_use(&line.attributes)).map(|u| u as u8).collect();
        let mut taken: BTreeSet<u32> = BTreeSet::new();
        let mut all = Vec::new();
        lines.retain(|line| !is_no_mailbox(line));
        lines.sort_by_key(|line| !line.name.as_str().eq_ignore_ascii_case("INBOX"));
        for line in lines {
            let use_there = special_use(&line.attributes);
            // Views of what other mailboxes have: everything would be here twice.
            if matches!(use_there, Some(SpecialUse::All | SpecialUse::Flagged | SpecialUse::Important)) {
                continue;
            }
            let there = store.mailboxes(account).await?;
            let paired = known.iter().find(|(_, boxed)| boxed.remote == line.name.as_str());
            let by_pair = paired.and_then(|(id, _)| there.iter().find(|mailbox| mailbox.id == *id));
            let local = to_local(line.name.as_str(), line.delimiter, &prefix);
            let usual = usual_use(&local).filter(|usual| !told.contains(&(*usual as u8)));
            let wanted = use_there.or(usual);
            let free = |mailbox: &&Mailbox| !taken.contains(&mailbox.id.0) && !known.contains_key(&mailbox.id);
            let by_use = || there.iter().filter(free).find(|mailbox| wanted.is_some() && mailbox.special_use == wanted);
            let by_name = || there.iter().filter(free).find(|mailbox| mailbox.name == local.as_str());
            let mailbox = match by_pair.or_else(by_use).or_else(by_name) {
                Some(found) => found.clone(),
                None => {
                    let made = store.mailbox_create(account, &local, None, unix_now()).await?;
                    store.mailbox_subscribe(account, &made.name, true).await?;
                    made
                }
            };
            taken.insert(mailbox.id.0);
            all.push((mailbox, line.name));
        }
        self.gone_there(&known, &all).await?;
        for mailbox in store.mailboxes(account).await?.iter().filter(|mailbox| !taken.contains(&mailbox.id.0)) {
            // What every account has from its first day is made there when something is in it.
            if mailbox.special_use.is_some() && store.status(account, mailbox.id).await?.messages == 0 {
                continue;
            }
            let wanted = to_remote(&mailbox.name, delimiter, &prefix);
            if let Some(name) = self.make_there(&wanted, &all).await? {
                all.push((mailbox.clone(), name));
            }
        }
        Ok(all)
    }

    /// Makes a mailbox there, under another name if this one belongs to another mailbox of `all` already (the server's
    /// Entwürfe is our Drafts, and somebody made an Entwürfe here; or names differ by case alone, and not for this server).
    async fn make_there(&mut self, wanted: &str, all: &[(Mailbox, MailboxName)]) -> Result<Option<MailboxName>, Trouble> {
        let numbered = (2..10).map(|number| format!("{wanted} ({number})"));
        for name in std::iter::once(wanted.to_owned()).chain(numbered) {
            if all.iter().any(|(_, other)| other.as_str() == name) {
                continue;
            }
            let name = MailboxName::new(&name);
            let made = self.imap.run(&Command::Create { mailbox: name.clone(), uses: Vec::new() }, |_| {}).await?;
            if made.kind == Kind::Ok {
                self.imap.run(&Command::Subscribe { mailbox: name.clone() }, |_| {}).await?;
                return Ok(Some(name));
            }
            let by_case = |(_, other): &(Mailbox, MailboxName)| other.as_str().eq_ignore_ascii_case(name.as_str());
            if made.code != Some(Code::AlreadyExists) && !all.iter().any(by_case) {
                self.report.troubles.push(self.imap.refused(&format!("to make {}", name.as_str()), &made).to_string());
                return Ok(None);
            }
        }
        self.report.troubles.push(format!("no name for {wanted} is free on the server"));
        Ok(None)
    }

    /// Mailboxes that were there and are no more: what was paired goes here too (and stays restorable).
    async fn gone_there(&mut self, known: &BTreeMap<MailboxId, Boxed>, all: &[(Mailbox, MailboxName)]) -> Result<(), Trouble> {
        let (store, account) = (self.mirror.store, self.mirror.account);
        // A server that shows no INBOX shows nothing today; that is no reason to remove anything.
        if !all.iter().any(|(mailbox, _)| mailbox.name == "INBOX") {
            return Ok(());
        }
        for (id, boxed) in known {
            if all.iter().any(|(mailbox, _)| mailbox.id == *id) {
                continue;
            }
            let there = store.mailboxes(account).await?.iter().find(|mailbox| mailbox.id == *id).cloned();
            if let Some(mailbox) = there {
                let pairs = pairs_of(store, account, *id).await?;
                let uids: Vec<Uid> = pairs.values().map(|pair| Uid(pair.local)).collect();
                self.report.removed_here += store.expunge(account, *id, &uids, unix_now()).await?.len() as u64;
                let empty = store.status(account, *id).await?.messages == 0;
                if empty && mailbox.special_use.is_none() {
                    // One with inferiors stays.
                    let removed = store.mailbox_delete(account, &mailbox.name, unix_now()).await;
                    self.report.mailboxes_here += u64::from(removed.is_ok());
                }
            }
            tracing::info!(remote = %boxed.remote, "a mailbox is no more on the server");
            forget_pairs(store, account, *id, true).await?;
        }
        Ok(())
    }

    /// Renamed here since the last run: renamed there, with what is under it.
    async fn renamed_here(
        &mut self,
        lines: &mut [ListResponse],
        (delimiter, prefix): (Option<char>, &str),
    ) -> Result<(), Trouble> {
        let (store, account) = (self.mirror.store, self.mirror.account);
        let (mut known, names) = (boxes(store, account).await?, last_names(store, account).await?);
        let there = store.mailboxes(account).await?;
        let mut renamed: Vec<&Mailbox> = there
            .iter()
            .filter(|mailbox| mailbox.name != "INBOX" && names.get(&mailbox.id).is_some_and(|name| *name != mailbox.name))
            .collect();
        // Those above first: what is under them goes along.
        renamed.sort_by_key(|mailbox| mailbox.name.len());
        for mailbox in renamed {
            let Some(boxed) = known.get(&mailbox.id).cloned() else { continue };
            let new = to_remote(&mailbox.name, delimiter, prefix);
            let listed = |name: &str| lines.iter().any(|line| line.name.as_str() == name);
            if new == boxed.remote || !listed(&boxed.remote) || listed(&new) {
                continue;
            }
            let (from, to) = (MailboxName::new(&boxed.remote), MailboxName::new(&new));
            let status = self.imap.run(&Command::Rename { from, to: to.clone() }, |_| {}).await?;
            if status.kind != Kind::Ok {
                let refused = self.imap.refused(&format!("to rename {} to {new}", boxed.remote), &status);
                self.report.troubles.push(refused.to_string());
                continue;
            }
            self.imap.run(&Command::Subscribe { mailbox: to }, |_| {}).await?;
            self.report.mailboxes_there += 1;
            let moved = |name: &str| -> Option<String> {
                let rest = name.strip_prefix(&boxed.remote)?;
                (rest.is_empty() || delimiter.is_some_and(|d| rest.starts_with(d))).then(|| format!("{new}{rest}"))
            };
            for line in lines.iter_mut() {
                if let Some(name) = moved(line.name.as_str()) {
                    line.name = MailboxName::new(&name);
                }
            }
            for (id, boxed) in &mut known {
                if let Some(name) = moved(&boxed.remote) {
                    boxed.remote = name;
                    store.mark(account, &[boxed.mark(*id)]).await?;
                }
            }
        }
        Ok(())
    }

    /// Removed here since the last run: removed there, if nothing lies in it that was not here.
    async fn removed_here(&mut self, lines: &mut Vec<ListResponse>) -> Result<(), Trouble> {
        let (store, account) = (self.mirror.store, self.mirror.account);
        let here: BTreeSet<MailboxId> = store.mailboxes(account).await?.iter().map(|mailbox| mailbox.id).collect();
        for (id, boxed) in boxes(store, account).await? {
            if here.contains(&id) || boxed.remote.eq_ignore_ascii_case("INBOX") {
                continue;
            }
            let remote = MailboxName::new(&boxed.remote);
            if lines.iter().any(|line| line.name == remote && !is_no_mailbox(line)) {
                let pairs = pairs_of(store, account, id).await?;
                let selected = self.imap.examine(&remote).await?;
                let uids = if selected.exists == Some(0) { Vec::new() } else { self.imap.uids_from(1).await? };
                let all_told = selected.exists.is_some_and(|exists| exists as usize == uids.len());
                let was_here = selected.uid_validity == boxed.uid_validity && uids.iter().all(|uid| pairs.contains_key(uid));
                if all_told && was_here {
                    // No server removes what is open.
                    self.imap.examine(&MailboxName::new("INBOX")).await?;
                    let status = self.imap.run(&Command::Delete { mailbox: remote.clone() }, |_| {}).await?;
                    if status.kind == Kind::Ok {
                        self.report.mailboxes_there += 1;
                        lines.retain(|line| line.name != remote);
                    } else {
                        let refused = self.imap.refused(&format!("to remove {}", boxed.remote), &status);
                        self.report.troubles.push(refused.to_string());
                    }
                } else {
                    tracing::info!(remote = %boxed.remote, "removed here, but there is mail in it that never was here: it comes back");
                }
            }
            forget_pairs(store, account, id, true).await?;
        }
        Ok(())
    }

    /// Gone there under its name, and new there under another one with the same mail: renamed here.
    async fn renamed_there(&mut self, lines: &[ListResponse], prefix: &str) -> Result<(), Trouble> {
        let (store, account) = (self.mirror.store, self.mirror.account);
        let known = boxes(store, account).await?;
        let listed = |name: &str| lines.iter().any(|line| line.name.as_str() == name);
        let gone: Vec<(&MailboxId, &Boxed)> = known.iter().filter(|(_, boxed)| !listed(&boxed.remote)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let mut taken: BTreeSet<MailboxId> = BTreeSet::new();
        for line in lines.iter().filter(|line| !is_no_mailbox(line)) {
            if known.values().any(|boxed| boxed.remote == line.name.as_str()) {
                continue;
            }
            let selected = match self.imap.examine(&line.name).await {
                Err(Trouble::Refused(_)) => continue,
                other => other?,
            };
            for (id, boxed) in &gone {
                if taken.contains(id) || boxed.uid_validity != selected.uid_validity || !self.holds_the_same(**id).await? {
                    continue;
                }
                let there = store.mailboxes(account).await?;
                let Some(mailbox) = there.iter().find(|mailbox| mailbox.id == **id) else { continue };
                let name = to_local(line.name.as_str(), line.delimiter, prefix);
                if mailbox.special_use.is_none() && there.iter().all(|other| other.name != name.as_str()) {
                    store.mailbox_rename(account, &mailbox.name, &name, unix_now()).await?;
                    self.report.mailboxes_here += 1;
                }
                let boxed = Boxed { remote: line.name.as_str().to_owned(), ..(*boxed).clone() };
                store.mark(account, &[boxed.mark(**id)]).await?;
                taken.insert(**id);
                break;
            }
        }
        Ok(())
    }

    /// The open mailbox has messages under UIDs of this one's pairs, and every such message has the size it has here.
    async fn holds_the_same(&mut self, id: MailboxId) -> Result<bool, Trouble> {
        let (store, account) = (self.mirror.store, self.mirror.account);
        let pairs = pairs_of(store, account, id).await?;
        if pairs.is_empty() || !store.mailboxes(account).await?.iter().any(|mailbox| mailbox.id == id) {
            return Ok(false);
        }
        let snapshot = store.snapshot(account, id).await?;
        let sizes: BTreeMap<u32, u64> = snapshot.rows.iter().map(|row| (row.uid.0, u64::from(row.size_bytes))).collect();
        let (mut same, mut other) = (0_usize, 0_usize);
        let told = |(response, octets): (Response, Vec<Option<Bytes>>)| {
            if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response
                && let Fetched { uid: Some(uid), size: Some(size), .. } = Fetched::of(items, octets)
                && let Some(own) = pairs.get(&uid).and_then(|pair| sizes.get(&pair.local))
            {
                if *own == size { same += 1 } else { other += 1 }
            }
        };
        let status = self.imap.run(&fetch(from(1), vec![FetchItem::Uid, FetchItem::Rfc822Size]), told).await?;
        Ok(status.kind == Kind::Ok && same > 0 && other == 0)
    }
}
