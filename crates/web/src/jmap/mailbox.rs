//! Mailboxes (RFC 8621 §2): IMAP's mailboxes, with counts of what JMAP sees in them.
//!
//! Must not know: how mailboxes lie in the store.

mod query;
mod set;

pub(super) use query::{query, query_changes};
pub(super) use set::set;

use super::answers::{Told, changed, changes_max, got, happened};
use super::args::Args;
use super::failure::MethodError;
use super::sharing::my_rights;
use super::view::{ThreadKey, View};
use super::{Context, Object};
use crate::collections::MAILBOX_ORDERS;
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use store::{AccountId, Mailbox, MailboxId, MailboxStatus, SpecialUse, Store, StoreError, Touch};

const PROPERTIES: [&str; 11] = [
    "id",
    "name",
    "parentId",
    "role",
    "sortOrder",
    "totalEmails",
    "unreadEmails",
    "totalThreads",
    "unreadThreads",
    "myRights",
    "isSubscribed",
];
/// "an integer in the range 0 <= sortOrder < 2^31"
const SORT_ORDERS: u32 = 1 << 31;
const COUNTS: [&str; 4] = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

/// Counts of one mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    emails: u64,
    unread_emails: u64,
    threads: u64,
    unread_threads: u64,
}

pub(crate) fn role(mailbox: &Mailbox) -> Option<&'static str> {
    if mailbox.name == "INBOX" {
        return Some("inbox");
    }
    Some(match mailbox.special_use? {
        SpecialUse::All => "all",
        SpecialUse::Archive => "archive",
        SpecialUse::Drafts => "drafts",
        SpecialUse::Flagged => "flagged",
        SpecialUse::Junk => "junk",
        SpecialUse::Sent => "sent",
        SpecialUse::Trash => "trash",
        SpecialUse::Important => "important",
    })
}

fn special_use(role: &str) -> Option<SpecialUse> {
    Some(match role {
        "all" => SpecialUse::All,
        "archive" => SpecialUse::Archive,
        "drafts" => SpecialUse::Drafts,
        "flagged" => SpecialUse::Flagged,
        "junk" => SpecialUse::Junk,
        "sent" => SpecialUse::Sent,
        "trash" => SpecialUse::Trash,
        "important" => SpecialUse::Important,
        _ => return None,
    })
}

/// `sortOrder`, where somebody said so.
pub(super) type Orders = HashMap<MailboxId, u32>;

/// Of an account's mailboxes.
pub(super) async fn orders(store: &Store, account: AccountId) -> Result<Orders, StoreError> {
    let kept = store.records(account, MAILBOX_ORDERS).await?;
    let one = |(name, stored): (SmolStr, Vec<u8>)| {
        Some((order_of(&name)?, std::str::from_utf8(&stored).ok()?.parse().ok().filter(|order| *order < SORT_ORDERS)?))
    };
    Ok(kept.into_iter().filter_map(one).collect())
}

/// Which mailbox's order a record is.
pub(super) fn order_of(name: &str) -> Option<MailboxId> {
    name.parse().ok().map(MailboxId)
}

/// As somebody said; else roles in the order people expect, the rest behind them.
fn sort_order(mailbox: &Mailbox, orders: &Orders) -> u32 {
    if let Some(order) = orders.get(&mailbox.id) {
        return *order;
    }
    match role(mailbox) {
        Some("inbox") => 1,
        Some("drafts") => 2,
        Some("sent") => 3,
        Some("archive") => 4,
        Some("junk") => 5,
        Some("trash") => 6,
        Some(_) => 7,
        None => 10,
    }
}

/// Last level of the name.
fn leaf(mailbox: &Mailbox) -> &str {
    mailbox.name.rsplit_once('/').map_or(mailbox.name.as_str(), |(_, leaf)| leaf)
}

/// By id, as views have them.
pub(super) type All = BTreeMap<MailboxId, (Mailbox, MailboxStatus)>;

/// The name it is told by: its last level, or all of it where it stands on top only because what is above is hidden, and another one
/// there has that name ("There MUST NOT be two sibling Mailboxes with both the same parent and the same name").
fn told_name(all: &All, mailbox: &Mailbox) -> String {
    let is_on_top = |one: &Mailbox| parent(all, one).is_none();
    let is_like = |one: &Mailbox| one.id != mailbox.id && leaf(one) == leaf(mailbox) && is_on_top(one);
    match mailbox.name.as_str() {
        "INBOX" => "Inbox".into(),
        name if name.contains('/') && is_on_top(mailbox) && all.values().any(|(one, _)| is_like(one)) => name.into(),
        _ => leaf(mailbox).into(),
    }
}

fn parent<'a>(all: &'a All, mailbox: &Mailbox) -> Option<&'a Mailbox> {
    let (above, _) = mailbox.name.rsplit_once('/')?;
    all.values().map(|(other, _)| other).find(|other| other.name == above)
}

pub(crate) fn id_of(account: AccountId, mailbox: MailboxId) -> String {
    store::object_id::of_mailbox(account, mailbox).to_string()
}

/// Counts of all mailboxes in one walk. A conversation is unread where it is, if any of its emails is unread; Trash counts by
/// itself (RFC 8621 §2).
fn counts(view: &View) -> HashMap<MailboxId, Counts> {
    let is_trash = |id: &MailboxId| view.mailboxes.get(id).is_some_and(|(mailbox, _)| role(mailbox) == Some("trash"));
    // One that is in the trash and elsewhere counts on both sides.
    let mut unread: HashSet<(ThreadKey, bool)> = HashSet::new();
    for (_, entry) in view.all().filter(|(_, entry)| entry.is_unread()) {
        if let Some(known) = entry.known() {
            unread.extend(entry.places().map(|place| (known.thread, is_trash(&place.mailbox))));
        }
    }
    let mut counts: HashMap<MailboxId, Counts> = HashMap::new();
    let mut seen: HashSet<(MailboxId, ThreadKey)> = HashSet::new();
    for (_, entry) in view.all() {
        let thread = entry.known().map(|known| known.thread);
        let is_unread = u64::from(entry.is_unread());
        let mut count_in = |mailbox| {
            let count = counts.entry(mailbox).or_default();
            count.emails += 1;
            count.unread_emails += is_unread;
            if let Some(thread) = thread.filter(|thread| seen.insert((mailbox, *thread))) {
                count.threads += 1;
                count.unread_threads += u64::from(unread.contains(&(thread, is_trash(&mailbox))));
            }
        };
        match entry.only_mailbox() {
            Some(mailbox) => count_in(mailbox),
            None => entry.mailboxes().into_iter().for_each(count_in),
        }
    }
    counts
}

/// The same, as long as nothing changes counted once.
fn counts_of(view: &mut View) -> Arc<HashMap<MailboxId, Counts>> {
    let now = view.mod_seq;
    match &view.counts {
        Some((at, known)) if *at == now => Arc::clone(known),
        _ => {
            let counts = Arc::new(counts(view));
            view.counts = Some((now, Arc::clone(&counts)));
            counts
        }
    }
}

fn property(view: &View, (account, orders): (AccountId, &Orders), (mailbox, counts): (&Mailbox, Counts), name: &str) -> Value {
    match name {
        "id" => json!(id_of(account, mailbox.id)),
        "name" => json!(told_name(&view.mailboxes, mailbox)),
        "parentId" => json!(parent(&view.mailboxes, mailbox).map(|parent| id_of(account, parent.id))),
        "role" => json!(role(mailbox)),
        "sortOrder" => json!(sort_order(mailbox, orders)),
        "totalEmails" => json!(counts.emails),
        "unreadEmails" => json!(counts.unread_emails),
        "totalThreads" => json!(counts.threads),
        "unreadThreads" => json!(counts.unread_threads),
        "myRights" => my_rights(view.rights(mailbox.id), mailbox.name == "INBOX"),
        "isSubscribed" => json!(mailbox.subscribed),
        _ => Value::Null,
    }
}

/// `Mailbox/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let properties = args.properties(&PROPERTIES)?;
    args.end()?;
    let (store, account) = (&context.site.store, context.eyes.account);
    let orders = orders(store, account).await?;
    let mut view = context.site.jmap.views.seen_by(store, &context.eyes).await?;
    let wanted = |name: &str| properties.as_ref().is_none_or(|names| names.iter().any(|one| one == name));
    let counts = match COUNTS.iter().any(|name| wanted(name)) {
        true => {
            view.learn_all(store, account).await?;
            counts_of(&mut view)
        }
        false => Arc::default(),
    };
    let ids = ids.unwrap_or_else(|| view.mailboxes.keys().map(|id| id_of(account, *id)).collect());
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        let found = store::object_id::mailbox(account, &id).and_then(|id| view.mailboxes.get(&id));
        let Some((mailbox, _)) = found else {
            not_found.push(id);
            continue;
        };
        let counts = counts.get(&mailbox.id).copied().unwrap_or_default();
        let names = PROPERTIES.iter().filter(|name| **name == "id" || wanted(name));
        let object: Object =
            names.map(|name| ((*name).to_owned(), property(&view, (account, &orders), (mailbox, counts), name))).collect();
        list.push(Value::Object(object));
    }
    Ok(got(context, view.mod_seq, list, not_found))
}

/// `Mailbox/changes`
pub(super) async fn changes(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let since = args.since()?;
    let max = changes_max(&mut args)?;
    args.end()?;
    let account = context.eyes.account;
    let changes = happened(context, &since, usize::MAX).await?;
    let (_, there) = context.site.store.mailbox_states(account).await?;
    let touches = touches(&changes, &|id| there.iter().all(|(mailbox, _)| mailbox.id != id));
    let more_than_counts: HashSet<String> = touches
        .iter()
        .filter(|(_, (touch, counts_only))| *touch != Touch::Updated || !*counts_only)
        .map(|(mailbox, _)| id_of(account, *mailbox))
        .collect();
    let all = touches.into_iter().map(|(mailbox, (touch, _))| (id_of(account, mailbox), touch)).collect();
    let mut answer = changed(context, &since, max, Told::new(all, &changes));
    // Of those that are told here.
    let told = ["created", "updated", "destroyed"].into_iter().filter_map(|name| answer.get(name)?.as_array());
    let only_counts = !told.flatten().filter_map(Value::as_str).any(|id| more_than_counts.contains(id));
    answer.insert("updatedProperties".into(), if only_counts { json!(COUNTS) } else { Value::Null });
    Ok(answer)
}

/// What became of each mailbox, and whether only its messages changed.
pub(super) fn touches(
    changes: &store::AccountChanges,
    is_gone: &dyn Fn(MailboxId) -> bool,
) -> BTreeMap<MailboxId, (Touch, bool)> {
    let mut touches: BTreeMap<MailboxId, (Touch, bool)> =
        changes.messages.keys().map(|mailbox| (*mailbox, (Touch::Updated, true))).collect();
    for (mailbox, touch) in &changes.mailboxes {
        let before = touches.get(mailbox).copied();
        let now = match (before, touch) {
            (Some((Touch::Created, _)), Touch::Destroyed) => {
                touches.remove(mailbox);
                continue;
            }
            (Some((Touch::Created, _)), _) => Touch::Created,
            (_, touch) => *touch,
        };
        touches.insert(*mailbox, (now, false));
    }
    for mailbox in changes.records.iter().filter(|(of, ..)| *of == MAILBOX_ORDERS).filter_map(|(_, name, _)| order_of(name)) {
        // Of one that is made or removed that is told; of one that is not there any more there is nothing to tell.
        match touches.entry(mailbox) {
            Entry::Occupied(mut told) => told.get_mut().1 = false,
            Entry::Vacant(_) if is_gone(mailbox) => {}
            Entry::Vacant(place) => drop(place.insert((Touch::Updated, false))),
        }
    }
    touches
}
