//! Mailboxes (RFC 8621 §2): IMAP's mailboxes, with counts of what JMAP sees in them.
//!
//! Must not know: how mailboxes lie in the store.

mod query;
mod set;

pub(super) use query::{query, query_changes};
pub(super) use set::set;

use super::answers::{Told, changed, changes_max, got};
use super::args::Args;
use super::failure::MethodError;
use super::sharing::my_rights;
use super::view::{Entry, ThreadKey, View};
use super::{Context, Object};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use store::{AccountId, Mailbox, MailboxId, SpecialUse, Touch};

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

/// Roles in the order people expect; the rest behind them, by name.
fn sort_order(mailbox: &Mailbox) -> u32 {
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

fn parent<'a>(all: &'a BTreeMap<MailboxId, (Mailbox, store::MailboxStatus)>, mailbox: &Mailbox) -> Option<&'a Mailbox> {
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
    let in_trash = |entry: &Entry| entry.mailboxes().iter().all(is_trash);
    let mut unread: HashMap<(ThreadKey, bool), bool> = HashMap::new();
    for (_, entry) in view.all().filter(|(_, entry)| entry.is_unread()) {
        if let Some(known) = entry.known() {
            unread.insert((known.thread, in_trash(entry)), true);
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
                count.unread_threads += u64::from(unread.contains_key(&(thread, is_trash(&mailbox))));
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

fn property(view: &View, account: AccountId, (mailbox, counts): (&Mailbox, Counts), name: &str) -> Value {
    match name {
        "id" => json!(id_of(account, mailbox.id)),
        "name" if mailbox.name == "INBOX" => json!("Inbox"),
        "name" => json!(leaf(mailbox)),
        "parentId" => json!(parent(&view.mailboxes, mailbox).map(|parent| id_of(account, parent.id))),
        "role" => json!(role(mailbox)),
        "sortOrder" => json!(sort_order(mailbox)),
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
        let object: Object = names.map(|name| ((*name).to_owned(), property(&view, account, (mailbox, counts), name))).collect();
        list.push(Value::Object(object));
    }
    Ok(got(context, view.mod_seq, list, not_found))
}

/// `Mailbox/changes`
pub(super) async fn changes(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let since = args.state("sinceState")?;
    let max = changes_max(&mut args)?;
    args.end()?;
    let account = context.eyes.account;
    let cannot = || MethodError::new("cannotCalculateChanges");
    let mut changes = context.site.store.account_changes(account, since, usize::MAX).await?.ok_or_else(cannot)?;
    context.eyes.veil(&context.site.store, &mut changes);
    let touches = touches(&changes);
    let only_counts = touches.values().all(|(touch, counts_only)| *touch == Touch::Updated && *counts_only);
    let mut told = Told::default();
    for (mailbox, (touch, _)) in &touches {
        let id = id_of(account, *mailbox);
        match touch {
            Touch::Created => told.created.push(id),
            Touch::Updated => told.updated.push(id),
            Touch::Destroyed => told.destroyed.push(id),
        }
    }
    if told.len() > max {
        return Err(cannot());
    }
    let mut answer = changed(context, (since, changes.mod_seq, changes.more), told);
    let properties = if only_counts { json!(COUNTS) } else { Value::Null };
    answer.insert("updatedProperties".into(), properties);
    Ok(answer)
}

/// What became of each mailbox, and whether only its messages changed.
pub(super) fn touches(changes: &store::AccountChanges) -> BTreeMap<MailboxId, (Touch, bool)> {
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
    // A thread that is unread counts as such in every mailbox it is in.
    touches
}
