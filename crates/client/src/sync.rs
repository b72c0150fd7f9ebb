//! The mirror of a remote IMAP account: both ways, every mailbox, by UID and UIDVALIDITY.
//!
//! A pair is a message here and the same message there, with the flags that both had when they last agreed. From that
//! base every flag is merged on its own: what changed on one side goes to the other. Invariants: nothing is removed there
//! that was not paired here before; what is removed here stays restorable; a broken run is picked up by the next one
//! without a duplicate. Must not know: how people see mail.

mod left;
mod mailboxes;
mod merge;
mod pairs;

use crate::dial::Dialer;
use crate::flags::{from_wire, to_wire};
use crate::imap::{Fetched, Heard, Imap, Selected, fetch, from, header_fields, set_of, whole};
use crate::limits::{BUNDLE_BYTES, FETCH_UIDS};
use crate::place::Place;
use crate::trouble::Trouble;
use bytes::Bytes;
pub(crate) use left::no_longer_left;
pub use left::{Left, left_of, left_one};
use merge::merged;
use message::facts::Facts;
use net::clock::unix_now;
pub(crate) use pairs::remote_of;
use pairs::{Boxed, boxes, forget_pairs, pair_mark};
pub use pairs::{Pair, pair_of, pairs_of};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use store::{AccountId, FlagOp, Flags, Mailbox, MailboxId, Mark, NewEmail, Spooled, Store, StoreError, Uid};
use wire::imap::append::{Append, AppendMessage};
use wire::imap::command::Command;
use wire::imap::date::DateTime;
use wire::imap::enable::Extension;
use wire::imap::fetch::FetchItem;
use wire::imap::flag::Flag;
use wire::imap::mailbox_name::MailboxName;
use wire::imap::response::{Kind, Response};
use wire::imap::select::{QResync, Select};
use wire::imap::sequence_set::NumberSet;
use wire::imap::store::{Store as StoreFlags, StoreOperation};
use wire::sasl::Secret;

/// Which bodies come by themselves; the others can be looked at and asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Only messages that came within so many days.
    pub days: Option<u32>,
    /// Only messages up to so many octets.
    pub octets: Option<u64>,
}

/// One account there and here.
pub struct Mirror<'a> {
    /// Where it is kept here.
    pub store: &'a Store,
    /// As whom.
    pub account: AccountId,
    /// The way there.
    pub dialer: &'a Dialer,
    /// The server.
    pub place: &'a Place,
    /// Login name.
    pub login: &'a str,
    /// Password.
    pub password: &'a Secret,
    /// See [`Policy`].
    pub policy: Policy,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Report {
    pub mailboxes: u64,
    pub downloaded: u64,
    pub uploaded: u64,
    pub flags_here: u64,
    pub flags_there: u64,
    pub removed_here: u64,
    pub removed_there: u64,
    /// Renamed or removed.
    pub mailboxes_here: u64,
    pub mailboxes_there: u64,
    /// On the server only, by policy.
    pub left_there: u64,
    /// Mailboxes that could not be synchronised, and why.
    pub troubles: Vec<String>,
}

impl Report {
    /// Both sides were equal before.
    pub fn is_quiet(&self) -> bool {
        let all = [self.downloaded, self.uploaded, self.flags_here, self.flags_there, self.removed_here, self.removed_there];
        let mailboxes = self.mailboxes_here + self.mailboxes_there;
        mailboxes == 0 && all.iter().all(|count| *count == 0)
    }
}

/// What is there, as far as the server told.
struct There {
    selected: Selected,
    /// Everything that is there; `None`: all that is paired but `gone`, and what is in `flags`.
    present: Option<BTreeSet<u32>>,
    gone: NumberSet,
    /// Told flags; of pairs that are missing here they are as they were.
    flags: BTreeMap<u32, Flags>,
}

impl There {
    fn has(&self, uid: u32) -> bool {
        match &self.present {
            Some(present) => present.contains(&uid),
            None => !self.gone.contains(uid),
        }
    }

    /// Can this flag be kept there?
    fn keeps(&self, word: &str) -> bool {
        self.selected.any_keyword
            || self.selected.permanent.iter().any(|flag| matches!(flag, Flag::Keyword(known) if known.eq_ignore_ascii_case(word)))
    }
}

/// Both sides made equal, once.
///
/// # Errors
/// No connection, not let in, or the store failed. A mailbox that the server refuses is told in the report instead.
pub async fn run(mirror: &Mirror<'_>) -> Result<Report, Trouble> {
    let mut imap = Imap::open(mirror.dialer, mirror.place, mirror.login, mirror.password).await?;
    let qresync = imap.has("QRESYNC") && imap.run(&Command::Enable(vec![Extension::QResync]), |_| {}).await?.kind == Kind::Ok;
    let condstore = imap.has("CONDSTORE");
    let mut run = Run { mirror, imap, qresync, condstore, report: Report::default(), removals: Vec::new() };
    let boxes = run.mailboxes().await?;
    for (mailbox, remote) in &boxes {
        match run.mailbox(mailbox, remote).await {
            Ok(()) => run.report.mailboxes += 1,
            Err(Trouble::Refused(why)) => run.report.troubles.push(why),
            Err(error) => return Err(error),
        }
    }
    // Only now: what was moved here is there under its new name before it goes under the old one.
    for removal in std::mem::take(&mut run.removals) {
        match run.remove(removal).await {
            Err(Trouble::Refused(why)) => run.report.troubles.push(why),
            other => other?,
        }
    }
    let Run { imap, report, .. } = run;
    imap.logout().await;
    Ok(report)
}

/// Messages that were removed here.
struct Removal {
    mailbox: MailboxId,
    remote: MailboxName,
    uid_validity: u32,
    uids: Vec<u32>,
    /// Other messages there that somebody marked as deleted: a plain EXPUNGE would take them along.
    others_deleted: bool,
}

struct Run<'a> {
    mirror: &'a Mirror<'a>,
    imap: Imap,
    qresync: bool,
    condstore: bool,
    report: Report,
    removals: Vec<Removal>,
}

impl Run<'_> {
    /// What is there, by the shortest way that the server knows.
    async fn look(&mut self, remote: &MailboxName, boxed: Option<&Boxed>) -> Result<There, Trouble> {
        let known = boxed.filter(|boxed| boxed.mod_seq > 0);
        let mut select = Select::plain(remote.clone(), false);
        select.condstore = !self.qresync && self.condstore;
        if let (true, Some(boxed)) = (self.qresync, known) {
            let (uid_validity, mod_seq) = (boxed.uid_validity, boxed.mod_seq);
            select.qresync = Some(QResync { uid_validity, mod_seq, known_uids: None, known_sequence_match: None });
        }
        let by_qresync = select.qresync.is_some();
        let mut selected = match self.imap.select(select).await {
            // What was announced is not there: then without it, for the rest of this run.
            Err(Trouble::Refused(why)) if by_qresync || self.condstore => {
                tracing::debug!(%why, "SELECT without the extensions that the server announces");
                (self.qresync, self.condstore) = (false, false);
                self.imap.select(Select::plain(remote.clone(), false)).await?
            }
            other => other?,
        };
        let by_qresync = by_qresync && self.qresync;
        if selected.uid_validity == 0 {
            let text = format!("{} tells no UIDVALIDITY of {}", self.imap.host(), remote.as_str());
            return Err(Trouble::Refused(text));
        }
        let same = boxed.is_some_and(|boxed| boxed.uid_validity == selected.uid_validity);
        let mut there = There { selected: Selected::default(), present: None, gone: NumberSet::new(), flags: BTreeMap::new() };
        if by_qresync && same && selected.highest_mod_seq.is_some() && !selected.no_mod_seq {
            there.gone = std::mem::take(&mut selected.vanished);
            for fetched in std::mem::take(&mut selected.changed) {
                if let (Some(uid), Some(flags)) = (fetched.uid, fetched.flags) {
                    there.flags.insert(uid, from_wire(&flags));
                }
            }
            there.selected = selected;
            return Ok(there);
        }
        let mut present = BTreeSet::new();
        if selected.exists != Some(0) {
            let mut command = fetch(from(1), vec![FetchItem::Uid, FetchItem::Flags]);
            // With CONDSTORE only the flags that changed; what is there is asked apart.
            if let (true, Some(boxed), Command::Fetch(fetch)) = (same && select_has_mod_seq(&selected), known, &mut command) {
                fetch.changed_since = Some(boxed.mod_seq);
                present = self.imap.uids_from(1).await?.into_iter().collect();
            }
            let flags = &mut there.flags;
            let told = |(response, octets): (Response, Vec<Option<Bytes>>)| {
                if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response
                    && let Fetched { uid: Some(uid), flags: Some(told), .. } = Fetched::of(items, octets)
                {
                    flags.insert(uid, from_wire(&told));
                    present.insert(uid);
                }
            };
            self.imap.must("FETCH", &command, told).await?;
            // Answers without UID (nextcloud/mail#13507), or a wrong count: what was not told is not gone for that.
            let (told, all) = (present.len() as u64, selected.exists.map_or(0, u64::from));
            if told < all {
                let (host, remote) = (self.imap.host(), remote.as_str());
                self.report
                    .troubles
                    .push(format!("{host} tells the UIDs of {told} of {all} messages in {remote}: nothing is taken for removed"));
                selected.highest_mod_seq = None;
                there.selected = selected;
                return Ok(there);
            }
        }
        there.present = Some(present);
        there.selected = selected;
        Ok(there)
    }

    async fn mailbox(&mut self, mailbox: &Mailbox, remote: &MailboxName) -> Result<(), Trouble> {
        let (store, account) = (self.mirror.store, self.mirror.account);
        let mut boxed = boxes(store, account).await?.remove(&mailbox.id);
        if !left::are_known(store, account, mailbox.id).await? {
            boxed.iter_mut().for_each(|boxed| boxed.mod_seq = 0);
        }
        let there = self.look(remote, boxed.as_ref()).await?;
        let uid_validity = there.selected.uid_validity;
        if boxed.as_ref().is_some_and(|boxed| boxed.uid_validity != uid_validity) {
            tracing::warn!(mailbox = %mailbox.name, "UIDVALIDITY changed: the pairs are found again by content");
            forget_pairs(store, account, mailbox.id, false).await?;
        }
        let mut begun = Boxed { remote: remote.as_str().to_owned(), uid_validity, mod_seq: 0 };
        if boxed.as_ref().is_none_or(|boxed| boxed.uid_validity != uid_validity || boxed.remote != begun.remote) {
            store.mark(account, &[begun.mark(mailbox.id)]).await?;
        }
        let pairs = pairs_of(store, account, mailbox.id).await?;
        self.agree(mailbox, remote, &there, &pairs).await?;
        let left = self.still_left(mailbox.id, &there).await?;
        let is_new = |uid: &&u32| !pairs.contains_key(uid) && !left.contains_key(uid);
        let new: Vec<u32> = match &there.present {
            Some(present) => present.iter().filter(is_new).copied().collect(),
            None => there.flags.keys().filter(is_new).copied().collect(),
        };
        let mut unpaired = self.unpaired(mailbox.id, &pairs).await?;
        let wanted = self.by_policy(mailbox.id, new, &left).await?;
        self.download(mailbox.id, &wanted, (&left, &there), &mut unpaired).await?;
        self.upload(mailbox.id, remote, (uid_validity, &there), unpaired).await?;
        begun.mod_seq = there.selected.highest_mod_seq.unwrap_or(0);
        store.mark(account, &[begun.mark(mailbox.id), pairs::name_mark(mailbox), left::known_mark(mailbox)]).await?;
        Ok(())
    }

    /// What policy left there in earlier runs, as it is there now.
    async fn still_left(&self, mailbox: MailboxId, there: &There) -> Result<BTreeMap<u32, Left>, Trouble> {
        let mut left = left_of(self.mirror.store, self.mirror.account, mailbox).await?;
        let mut marks = Vec::new();
        left.retain(|uid, note| {
            if !there.has(*uid) {
                marks.push(no_longer_left(mailbox, *uid));
                return false;
            }
            if let Some(flags) = there.flags.get(uid).filter(|flags| !crate::flags::are_same(flags, &note.flags())) {
                note.set_flags(flags);
                marks.push(note.mark(mailbox, *uid));
            }
            true
        });
        self.mirror.store.mark(self.mirror.account, &marks).await?;
        Ok(left)
    }

    /// Flags and removals of what is paired.
    async fn agree(
        &mut self,
        mailbox: &Mailbox,
        remote: &MailboxName,
        there: &There,
        pairs: &BTreeMap<u32, Pair>,
    ) -> Result<(), Trouble> {
        let (store, account) = (self.mirror.store, self.mirror.account);
        let snapshot = store.snapshot(account, mailbox.id).await?;
        let here: HashMap<u32, Flags> = snapshot.rows.iter().map(|row| (row.uid.0, row.flags)).collect();
        let mut marks = Vec::new();
        let mut gone_there = Vec::new();
        let mut gone_here = Vec::new();
        let mut changes: BTreeMap<(bool, String), (Vec<Flag>, Vec<u32>)> = BTreeMap::new();
        for (uid, pair) in pairs {
            match (here.get(&pair.local), there.has(*uid)) {
                (Some(flags), true) => {
                    let told = there.flags.get(uid).unwrap_or(&pair.base);
                    let all = merged(&pair.base, flags, told, |word| there.keeps(word));
                    if !crate::flags::are_same(&all.here, flags) {
                        store.flags(account, mailbox.id, &[Uid(pair.local)], FlagOp::Replace, &all.here, None).await?;
                        self.report.flags_here += 1;
                    }
                    for (add, flags) in [(true, &all.add_there), (false, &all.remove_there)] {
                        if flags.system != 0 || flags.keywords.is_some() {
                            let flags = to_wire(flags);
                            let key = format!("{flags:?}");
                            changes.entry((add, key)).or_insert_with(|| (flags, Vec::new())).1.push(*uid);
                        }
                    }
                    if !crate::flags::are_same(&all.here, &pair.base) {
                        marks.push(pair_mark(mailbox.id, *uid, pair.local, &all.here));
                    }
                }
                (Some(_), false) => gone_there.push((*uid, Uid(pair.local))),
                (None, true) => gone_here.push(*uid),
                (None, false) => marks.push(Mark::remove(pairs::name(mailbox.id, *uid))),
            }
        }
        for ((add, _), (flags, uids)) in changes {
            self.flags_there(&flags, add, &uids).await?;
        }
        let uids: Vec<Uid> = gone_there.iter().map(|(_, local)| *local).collect();
        if !uids.is_empty() {
            self.report.removed_here += store.expunge(account, mailbox.id, &uids, unix_now()).await?.len() as u64;
            marks.extend(gone_there.iter().map(|(uid, _)| Mark::remove(pairs::name(mailbox.id, *uid))));
        }
        store.mark(account, &marks).await?;
        if !gone_here.is_empty() {
            let deleted = |(uid, flags): (&u32, &Flags)| flags.system & Flags::DELETED != 0 && !gone_here.contains(uid);
            self.removals.push(Removal {
                mailbox: mailbox.id,
                remote: remote.clone(),
                uid_validity: there.selected.uid_validity,
                others_deleted: there.present.is_none() || there.flags.iter().any(deleted),
                uids: gone_here,
            });
        }
        Ok(())
    }

    async fn flags_there(&mut self, flags: &[Flag], add: bool, uids: &[u32]) -> Result<(), Trouble> {
        let operation = if add { StoreOperation::Add } else { StoreOperation::Remove };
        for some in uids.chunks(FETCH_UIDS) {
            let (set, flags) = (set_of(some), flags.to_vec());
            let command = StoreFlags { uid: true, set, unchanged_since: None, operation, silent: true, flags };
            self.imap.must("STORE", &Command::Store(command), |_| {}).await?;
            self.report.flags_there += some.len() as u64;
        }
        Ok(())
    }

    /// Messages here that have no pair, by size: hashes are computed only of those that can be meant.
    async fn unpaired(&mut self, mailbox: MailboxId, pairs: &BTreeMap<u32, Pair>) -> Result<Vec<store::MessageRow>, Trouble> {
        let paired: BTreeSet<u32> = pairs.values().map(|pair| pair.local).collect();
        let snapshot = self.mirror.store.snapshot(self.mirror.account, mailbox).await?;
        Ok(snapshot.rows.iter().filter(|row| !paired.contains(&row.uid.0)).collect())
    }

    /// Those that are to come by themselves; of the others a note is made.
    async fn by_policy(&mut self, mailbox: MailboxId, new: Vec<u32>, left: &BTreeMap<u32, Left>) -> Result<Vec<u32>, Trouble> {
        let Policy { days, octets } = self.mirror.policy;
        let since = days.map(|days| unix_now() - i64::from(days) * 86_400);
        let comes = |date_secs: Option<i64>, size: Option<u64>| {
            let late = since.is_none_or(|since| date_secs.is_none_or(|date| date >= since));
            late && octets.is_none_or(|most| size.is_none_or(|size| size <= most))
        };
        // Left there under another policy.
        let again = left.iter().filter(|(_, note)| comes(Some(note.date_secs), Some(note.size_bytes)));
        let mut wanted: Vec<u32> = again.map(|(uid, _)| *uid).collect();
        if days.is_none() && octets.is_none() {
            wanted.extend(new);
            wanted.sort_unstable();
            return Ok(wanted);
        }
        for some in new.chunks(FETCH_UIDS) {
            let items = vec![FetchItem::Uid, FetchItem::InternalDate, FetchItem::Rfc822Size];
            let mut stays: BTreeSet<u32> = BTreeSet::new();
            let told = |(response, pieces): (Response, Vec<Option<Bytes>>)| {
                if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response {
                    let fetched = Fetched::of(items, pieces);
                    let Some(uid) = fetched.uid.filter(|uid| some.binary_search(uid).is_ok()) else { return };
                    if comes(fetched.date_secs, fetched.size) {
                        wanted.push(uid);
                    } else {
                        stays.insert(uid);
                    }
                }
            };
            self.imap.must("FETCH", &fetch(set_of(some), items), told).await?;
            self.leave(mailbox, &stays).await?;
        }
        wanted.sort_unstable();
        wanted.dedup();
        Ok(wanted)
    }

    /// Makes a note of what stays there: flags, date, size and two header fields.
    async fn leave(&mut self, mailbox: MailboxId, uids: &BTreeSet<u32>) -> Result<(), Trouble> {
        if uids.is_empty() {
            return Ok(());
        }
        let some: Vec<u32> = uids.iter().copied().collect();
        let head = header_fields(&["From", "Subject"]);
        let items = vec![FetchItem::Uid, FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size, head];
        let mut notes = BTreeMap::new();
        let told = |(response, pieces): (Response, Vec<Option<Bytes>>)| {
            if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response {
                let fetched = Fetched::of(items, pieces);
                let Some(uid) = fetched.uid.filter(|uid| uids.contains(uid)) else { return };
                // A change of flags that somebody makes meanwhile tells nothing else.
                if fetched.size.is_none() && fetched.header.is_none() {
                    return;
                }
                let facts = Facts::compute(&fetched.header.unwrap_or_default());
                let flags = from_wire(&fetched.flags.unwrap_or_default());
                let date_secs = fetched.date_secs.unwrap_or_else(unix_now);
                let texts = (facts.from.as_str(), facts.subject.as_str());
                notes.insert(uid, Left::new(texts, date_secs, fetched.size.unwrap_or(0), &flags));
            }
        };
        self.imap.must("FETCH", &fetch(set_of(&some), items), told).await?;
        let marks: Vec<Mark> = notes.iter().map(|(uid, note)| note.mark(mailbox, *uid)).collect();
        self.mirror.store.mark(self.mirror.account, &marks).await?;
        self.report.left_there += notes.len() as u64;
        Ok(())
    }

    /// Brings messages, or finds that they are here already.
    async fn download(
        &mut self,
        mailbox: MailboxId,
        uids: &[u32],
        (left, there): (&BTreeMap<u32, Left>, &There),
        unpaired: &mut Vec<store::MessageRow>,
    ) -> Result<(), Trouble> {
        for some in uids.chunks(FETCH_UIDS) {
            let items = vec![FetchItem::Uid, FetchItem::Flags, FetchItem::InternalDate, whole()];
            let tag = self.imap.send(&fetch(set_of(some), items));
            let mut missing: BTreeSet<u32> = some.iter().copied().collect();
            let (mut batch, mut same) = (Batch::default(), Vec::new());
            loop {
                match self.imap.next().await? {
                    Heard::Response(Response::Fetch { items, .. } | Response::UidFetch { items, .. }, octets) => {
                        let fetched = Fetched::of(items, octets);
                        let Some(uid) = fetched.uid.filter(|uid| missing.contains(uid)) else { continue };
                        let Some(body) = fetched.body.clone() else { continue };
                        missing.remove(&uid);
                        if let Some(at) = self.same_here(unpaired, &body).await? {
                            same.push((uid, unpaired.swap_remove(at), from_wire(&fetched.flags.unwrap_or_default())));
                            continue;
                        }
                        batch.push((uid, left.contains_key(&uid)), fetched, body);
                        if batch.octets >= BUNDLE_BYTES {
                            self.put(mailbox, std::mem::take(&mut batch)).await?;
                        }
                    }
                    Heard::Tagged(of, status) if of == tag => {
                        if status.kind != Kind::Ok && missing.len() == some.len() {
                            return Err(self.imap.refused("FETCH", &status));
                        }
                        break;
                    }
                    _ => {}
                }
            }
            self.put(mailbox, batch).await?;
            self.adopt(mailbox, there, same).await?;
        }
        Ok(())
    }

    /// Pairs what is the same on both sides. Nobody knows which flags both had last, so none is lost: each side gets the other's.
    async fn adopt(
        &mut self,
        mailbox: MailboxId,
        there: &There,
        same: Vec<(u32, store::MessageRow, Flags)>,
    ) -> Result<(), Trouble> {
        let (store, account) = (self.mirror.store, self.mirror.account);
        for (uid, row, told) in same {
            let all = merged(&Flags::default(), &row.flags, &told, |word| there.keeps(word));
            if !crate::flags::are_same(&all.here, &row.flags) {
                store.flags(account, mailbox, &[row.uid], FlagOp::Replace, &all.here, None).await?;
                self.report.flags_here += 1;
            }
            let missing = to_wire(&all.add_there);
            if !missing.is_empty() && !there.selected.read_only {
                self.flags_there(&missing, true, &[uid]).await?;
            }
            store.mark(account, &[pair_mark(mailbox, uid, row.uid.0, &all.here), no_longer_left(mailbox, uid)]).await?;
        }
        Ok(())
    }

    async fn put(&mut self, mailbox: MailboxId, batch: Batch) -> Result<(), Trouble> {
        let count = batch.emails.len() as u64;
        if count > 0 {
            let marks = batch.marks(mailbox);
            self.mirror.store.append_marked(self.mirror.account, mailbox, batch.emails, marks).await?;
            self.report.downloaded += count;
        }
        Ok(())
    }

    /// The unpaired message here that has these octets.
    async fn same_here(&self, unpaired: &[store::MessageRow], octets: &Bytes) -> Result<Option<usize>, Trouble> {
        for (at, row) in unpaired.iter().enumerate().filter(|(_, row)| row.size_bytes as usize == octets.len()) {
            let body = self.mirror.store.body(self.mirror.account, row.email, 0, u64::from(row.size_bytes)).await?;
            if body == *octets {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// What is only here goes there.
    async fn upload(
        &mut self,
        mailbox: MailboxId,
        remote: &MailboxName,
        (uid_validity, there): (u32, &There),
        unpaired: Vec<store::MessageRow>,
    ) -> Result<(), Trouble> {
        if there.selected.read_only && !unpaired.is_empty() {
            self.report.troubles.push(format!("{} cannot be written to", remote.as_str()));
            return Ok(());
        }
        for row in unpaired {
            let octets = self.mirror.store.body(self.mirror.account, row.email, 0, u64::from(row.size_bytes)).await?;
            let (flags, date) = (to_wire(&row.flags), Some(DateTime::utc(row.internal_date_secs)));
            let message = AppendMessage { flags, date, size: octets.len() as u64, binary: false, utf8: false };
            match self.imap.append(Append { mailbox: remote.clone(), message }, &octets).await {
                Ok(told) => {
                    self.report.uploaded += 1;
                    // Without APPENDUID the next run finds the pair by its octets.
                    if let Some((_, uid)) = told.filter(|(validity, _)| *validity == uid_validity) {
                        let mark = pair_mark(mailbox, uid, row.uid.0, &row.flags);
                        self.mirror.store.mark(self.mirror.account, &[mark]).await?;
                    }
                }
                Err(Trouble::Refused(why)) => self.report.troubles.push(why),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes there what was removed here: by UID only, and never what others marked.
    async fn remove(&mut self, removal: Removal) -> Result<(), Trouble> {
        let selected = self.imap.select(Select::plain(removal.remote.clone(), false)).await?;
        if selected.uid_validity != removal.uid_validity || selected.read_only {
            return Ok(());
        }
        self.flags_there(&[Flag::Deleted], true, &removal.uids).await?;
        self.report.flags_there -= removal.uids.len() as u64;
        let by_uid = self.imap.has("UIDPLUS") || self.imap.has("IMAP4rev2");
        if !by_uid && removal.others_deleted {
            return Ok(());
        }
        for some in removal.uids.chunks(FETCH_UIDS) {
            let uids = by_uid.then(|| set_of(some));
            self.imap.must("EXPUNGE", &Command::Expunge { uids }, |_| {}).await?;
        }
        let marks: Vec<Mark> = removal.uids.iter().map(|uid| Mark::remove(pairs::name(removal.mailbox, *uid))).collect();
        self.mirror.store.mark(self.mirror.account, &marks).await?;
        self.report.removed_there += removal.uids.len() as u64;
        Ok(())
    }
}

fn select_has_mod_seq(selected: &Selected) -> bool {
    selected.highest_mod_seq.is_some() && !selected.no_mod_seq
}

/// Messages on their way into the store, with their pairs.
#[derive(Default)]
pub(crate) struct Batch {
    emails: Vec<NewEmail>,
    uids: Vec<u32>,
    /// Those of which there is a note that they are only there.
    left: Vec<u32>,
    octets: usize,
}

impl Batch {
    pub(crate) fn push(&mut self, (uid, was_left): (u32, bool), fetched: Fetched, body: Bytes) {
        self.octets += body.len();
        self.uids.push(uid);
        self.left.extend(was_left.then_some(uid));
        self.emails.push(NewEmail {
            facts: Arc::new(Facts::compute(&body)),
            flags: from_wire(&fetched.flags.unwrap_or_default()),
            internal_date_secs: fetched.date_secs.unwrap_or_else(unix_now),
            body: Spooled::from_bytes(body),
        });
    }

    /// Octets of its messages.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    fn marks(&self, mailbox: MailboxId) -> Vec<Mark> {
        let one = |(index, (uid, email)): (usize, (&u32, &NewEmail))| Mark {
            name: pairs::name(mailbox, *uid),
            value: Some(pairs::base_octets(&email.flags)),
            of: Some(index),
            expects: None,
        };
        let pairs = self.uids.iter().zip(&self.emails).enumerate().map(one);
        pairs.chain(self.left.iter().map(|uid| no_longer_left(mailbox, *uid))).collect()
    }

    pub(crate) async fn put(self, store: &Store, account: AccountId, mailbox: MailboxId) -> Result<usize, StoreError> {
        let (count, marks) = (self.emails.len(), self.marks(mailbox));
        if count > 0 {
            store.append_marked(account, mailbox, self.emails, marks).await?;
        }
        Ok(count)
    }
}
