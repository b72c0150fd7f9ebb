//! Look first: what lies on the server, without any body; then a choice of it is downloaded or deleted.
//!
//! By IMAP a few header fields, by POP3 TOP with no lines. Every message says where it is: `on server`, `here`, `both`.

pub mod first;

use crate::dial::Dialer;
use crate::door::StoreDoor;
use crate::flags::from_wire;
use crate::imap::{Fetched, Heard, Imap, fetch, from, header_fields, set_of, whole};
use crate::import::{self, Options, Source};
use crate::limits::{BUNDLE_BYTES, FETCH_UIDS, TEXT_CHARS_MAX};
use crate::maildrop;
use crate::place::Place;
use crate::pop::{Listed, Pop};
use crate::progress::Progress;
use crate::sync::{Batch, left_of, no_longer_left, pairs_of, remote_of};
use crate::trouble::Trouble;
use bytes::Bytes;
use message::{date, header};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use store::{AccountId, Flags, Mailbox, Mark, Store};
use wire::imap::command::Command;
use wire::imap::fetch::FetchItem;
use wire::imap::flag::Flag;
use wire::imap::mailbox_name::MailboxName;
use wire::imap::response::{Kind, Response};
use wire::imap::select::Select;
use wire::imap::store::{Store as StoreFlags, StoreOperation};
use wire::pop3::client::{Event, Request};
use wire::sasl::Secret;

/// A message by its header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Seen {
    /// UID, or UIDL.
    pub id: String,
    /// `on server`, `here` or `both`.
    pub place: &'static str,
    pub from: String,
    pub subject: String,
    /// RFC 3339; empty when the header has none.
    pub date: String,
    pub size_bytes: u64,
    pub unread: bool,
}

/// Who looks, and where.
pub struct Who<'a> {
    /// The way there.
    pub dialer: &'a Dialer,
    /// The server.
    pub place: &'a Place,
    /// Login name.
    pub login: &'a str,
    /// Password.
    pub password: &'a Secret,
    /// Where the mirror is.
    pub store: &'a Store,
    /// As whom.
    pub account: AccountId,
}

fn by_header(id: String, is_here: bool, head: &[u8], size_bytes: u64, unread: bool) -> Seen {
    let text = |name: &str| {
        header::first(head, name).map(|field| field.text().chars().take(TEXT_CHARS_MAX).collect()).unwrap_or_default()
    };
    let place = if is_here { "both" } else { "on server" };
    let date = header::first(head, "Date").and_then(|field| date::parse_rfc_5322(&field.value()));
    let date = date.map(|date| date::format_rfc_3339(date.unix_secs())).unwrap_or_default();
    Seen { id, place, from: text("From"), subject: text("Subject"), date, size_bytes, unread }
}

impl Who<'_> {
    async fn open_mailbox(&self, mailbox: &Mailbox, examine: bool) -> Result<(Imap, u32), Trouble> {
        let mut imap = Imap::open(self.dialer, self.place, self.login, self.password).await?;
        let known = remote_of(self.store, self.account, mailbox.id).await?;
        let remote = known.map_or_else(|| mailbox.name.to_string(), |(remote, _)| remote);
        let selected = imap.select(Select::plain(MailboxName::new(&remote), examine)).await?;
        Ok((imap, selected.uid_validity))
    }

    /// UIDs there that are here, too; none if the UIDVALIDITY is another one.
    async fn paired(&self, mailbox: &Mailbox, uid_validity: u32) -> Result<BTreeSet<u32>, Trouble> {
        match remote_of(self.store, self.account, mailbox.id).await? {
            Some((_, known)) if known == uid_validity => {
                Ok(pairs_of(self.store, self.account, mailbox.id).await?.into_keys().collect())
            }
            _ => Ok(BTreeSet::new()),
        }
    }

    /// Lists a mailbox by IMAP.
    ///
    /// # Errors
    /// No connection, or the server said no.
    pub async fn list_imap(&self, mailbox: &Mailbox) -> Result<Vec<Seen>, Trouble> {
        let (mut imap, uid_validity) = self.open_mailbox(mailbox, true).await?;
        let paired = self.paired(mailbox, uid_validity).await?;
        let head = header_fields(&["From", "Subject", "Date"]);
        let mut found = BTreeMap::new();
        let told = |(response, octets): (Response, Vec<Option<Bytes>>)| {
            if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response {
                let fetched = Fetched::of(items, octets);
                if let Some(uid) = fetched.uid {
                    let head = fetched.header.unwrap_or_default();
                    let unread = from_wire(&fetched.flags.unwrap_or_default()).system & Flags::SEEN == 0;
                    let seen = by_header(uid.to_string(), paired.contains(&uid), &head, fetched.size.unwrap_or(0), unread);
                    found.insert(uid, seen);
                }
            }
        };
        let items = vec![FetchItem::Uid, FetchItem::Flags, FetchItem::Rfc822Size, head];
        imap.must("FETCH", &fetch(from(1), items), told).await?;
        imap.logout().await;
        Ok(found.into_values().collect())
    }

    /// Downloads these by IMAP; how many came.
    ///
    /// # Errors
    /// No connection, or the server or the store said no.
    pub async fn download_imap(&self, mailbox: &Mailbox, uids: &[u32]) -> Result<usize, Trouble> {
        let (mut imap, uid_validity) = self.open_mailbox(mailbox, true).await?;
        if remote_of(self.store, self.account, mailbox.id).await?.map(|(_, known)| known) != Some(uid_validity) {
            return Err(Trouble::Here("synchronise once before a choice is downloaded".into()));
        }
        let paired = self.paired(mailbox, uid_validity).await?;
        let left = left_of(self.store, self.account, mailbox.id).await?;
        let mut wanted: Vec<u32> = uids.iter().filter(|uid| !paired.contains(uid)).copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut count = 0;
        for some in wanted.chunks(FETCH_UIDS) {
            let items = vec![FetchItem::Uid, FetchItem::Flags, FetchItem::InternalDate, whole()];
            let tag = imap.send(&fetch(set_of(some), items));
            let mut missing: BTreeSet<u32> = some.iter().copied().collect();
            let mut batch = Batch::default();
            let status = loop {
                match imap.next().await? {
                    Heard::Response(Response::Fetch { items, .. } | Response::UidFetch { items, .. }, octets) => {
                        let fetched = Fetched::of(items, octets);
                        let (Some(uid), Some(body)) = (fetched.uid, fetched.body.clone()) else { continue };
                        if missing.remove(&uid) {
                            batch.push((uid, left.contains_key(&uid)), fetched, body);
                        }
                        if batch.octets() >= BUNDLE_BYTES {
                            count += std::mem::take(&mut batch).put(self.store, self.account, mailbox.id).await?;
                        }
                    }
                    Heard::Tagged(of, status) if of == tag => break status,
                    _ => {}
                }
            };
            count += batch.put(self.store, self.account, mailbox.id).await?;
            if status.kind != Kind::Ok {
                return Err(imap.refused("FETCH", &status));
            }
        }
        imap.logout().await;
        Ok(count)
    }

    /// Deletes these on the server by IMAP, by UID only; how many of them were there.
    ///
    /// # Errors
    /// No connection, or the server said no.
    pub async fn delete_imap(&self, mailbox: &Mailbox, uids: &[u32]) -> Result<usize, Trouble> {
        let (mut imap, uid_validity) = self.open_mailbox(mailbox, false).await?;
        let known = remote_of(self.store, self.account, mailbox.id).await?;
        if known.is_some_and(|(_, known)| known != uid_validity) {
            return Err(Trouble::Refused("the mailbox there is another one than before; look again first".into()));
        }
        let mut asked = uids.to_vec();
        asked.sort_unstable();
        asked.dedup();
        let mut uids = Vec::new();
        let told = |(response, octets): (Response, Vec<Option<Bytes>>)| {
            if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response {
                uids.extend(Fetched::of(items, octets).uid.filter(|uid| asked.contains(uid)));
            }
        };
        imap.must("FETCH", &fetch(set_of(&asked), vec![FetchItem::Uid, FetchItem::Flags]), told).await?;
        uids.sort_unstable();
        uids.dedup();
        if uids.is_empty() {
            imap.logout().await;
            return Ok(0);
        }
        let (set, flags) = (set_of(&uids), vec![Flag::Deleted]);
        let operation = StoreOperation::Add;
        let store = StoreFlags { uid: true, set, unchanged_since: None, operation, silent: true, flags };
        imap.must("STORE", &Command::Store(store), |_| {}).await?;
        if !(imap.has("UIDPLUS") || imap.has("IMAP4rev2")) {
            return Err(Trouble::Refused(format!("{} cannot remove single messages; they are marked as deleted", imap.host())));
        }
        imap.must("EXPUNGE", &Command::Expunge { uids: Some(set_of(&uids)) }, |_| {}).await?;
        imap.logout().await;
        let marks: Vec<Mark> = uids.iter().map(|uid| no_longer_left(mailbox.id, *uid)).collect();
        self.store.mark(self.account, &marks).await?;
        Ok(uids.len())
    }

    /// In front of the unique-id in the marks of what was brought by POP3.
    fn pop_prefix(&self) -> String {
        self.place.import_prefix(self.login)
    }

    /// Which of all that was brought by POP3 is there and here; `listed`: what lies there now.
    async fn both_pop(&self, listed: &[Listed]) -> Result<BTreeSet<String>, Trouble> {
        let there: HashSet<String> = listed.iter().map(|one| one.unique_id.clone()).collect();
        maildrop::note(self.store, self.account, &self.pop_prefix(), &there).await?;
        let here = maildrop::all_here(self.store, self.account).await?;
        let mut kept = maildrop::kept(self.store, self.account, &self.pop_prefix()).await?;
        kept.retain(|_, kept| kept.is_there && kept.email.is_some_and(|email| here.contains_key(&email)));
        Ok(kept.into_keys().collect())
    }

    /// Lists the maildrop by POP3.
    ///
    /// # Errors
    /// No connection, or the server said no.
    pub async fn list_pop(&self) -> Result<Vec<Seen>, Trouble> {
        let mut pop = Pop::open(self.dialer, self.place, self.login, self.password).await?;
        let listed = pop.list().await?;
        let both = self.both_pop(&listed).await?;
        for one in &listed {
            pop.request(Request::Top { message: one.number, lines: 0 });
        }
        let mut found = Vec::with_capacity(listed.len());
        for one in listed {
            let (_, content) = pop.content().await?;
            let head = content.unwrap_or_default();
            let is_here = both.contains(&one.unique_id);
            found.push(by_header(one.unique_id, is_here, &head, one.octets, !is_here));
        }
        pop.quit().await;
        Ok(found)
    }

    /// Downloads these by POP3, also if they were deleted here once; how many came.
    ///
    /// # Errors
    /// No connection, the server or the store said no, or one of them is not there.
    pub async fn download_pop(&self, unique_ids: &[String]) -> Result<u64, Trouble> {
        maildrop::forget(self.store, self.account, &self.pop_prefix(), unique_ids).await?;
        let (login, password) = (self.login.to_owned(), self.password.clone());
        let source = Source::Server { place: self.place.clone(), login: login.clone(), user: login, password };
        let mut door = StoreDoor { store: self.store.clone(), account: self.account, mutes: false };
        let options = Options { unique_ids: Some(unique_ids.iter().cloned().collect()), ..Options::default() };
        let report = import::run(&mut door, self.dialer, &source, &options, &Progress::default()).await?;
        maildrop::note(self.store, self.account, &self.pop_prefix(), &report.there).await?;
        match unique_ids.iter().find(|id| !report.there.contains(*id)) {
            Some(id) => Err(Trouble::Refused(format!("there is no message {id} on the server (any more)"))),
            None => Ok(report.imported),
        }
    }

    /// Deletes these on the server by POP3.
    ///
    /// # Errors
    /// No connection, or the server said no.
    pub async fn delete_pop(&self, unique_ids: &[String]) -> Result<usize, Trouble> {
        let mut pop = Pop::open(self.dialer, self.place, self.login, self.password).await?;
        let listed = pop.list().await?;
        let chosen: HashSet<&String> = unique_ids.iter().collect();
        let asked: HashMap<u32, String> =
            listed.into_iter().filter(|one| chosen.contains(&one.unique_id)).map(|one| (one.number, one.unique_id)).collect();
        for number in asked.keys() {
            pop.request(Request::Dele(*number));
        }
        let (mut answered, mut deleted) = (0, Vec::new());
        while answered < asked.len() {
            match pop.next().await? {
                Event::Done(Request::Dele(number)) => {
                    answered += 1;
                    deleted.extend(asked.get(&number).cloned());
                }
                Event::Refused(Request::Dele(_), _) => answered += 1,
                _ => {}
            }
        }
        // Nothing is deleted before the server agreed to the goodbye (RFC 1939 §6).
        if !pop.quit().await {
            return Err(Trouble::Lost("the connection was lost; nothing was deleted".into()));
        }
        maildrop::gone(self.store, self.account, &self.pop_prefix(), &deleted).await?;
        Ok(deleted.len())
    }
}
