//! NOTIFY (RFC 5465): what a client wants to hear of without asking, of the selected mailbox and of all others.
//!
//! The watches of the accounts say that something happened; what, is the difference between what was known and what is.
//! Invariant: without a selected group nothing of the selected mailbox is told but to EXPUNGE and MOVE of this client (§3.1);
//! one round tells of a bounded number of changes, past it NOTIFICATIONOVERFLOW (§5.8). Must not know: how rows lie.

mod own;

pub(crate) use own::OwnAct;

use super::failure::{Outcome, Trouble, done, no};
use super::limits;
use super::mailbox::attribute;
use super::place::{OTHER_USERS, Placed, SHARED};
use super::session::{Indexes, Session, merge};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use store::{AccountId, MailboxId, MailboxStatus, ModSeq, Uid};
use tokio::sync::watch;
use wire::imap::acl::Right;
use wire::imap::fetch::{Fetch, FetchItem};
use wire::imap::list::{ListKind, ListResponse, MailboxAttribute};
use wire::imap::metadata::{Entry, MetadataData, MetadataResponse};
use wire::imap::notify::{EventGroup, MailboxFilter, Notify, NotifyEvent};
use wire::imap::response::Response;
use wire::imap::status::{StatusAttribute, StatusResponse};
use wire::imap::{Code, MailboxName, SequenceSet};

/// RFC 5465 §5: every event there is here.
const EVENTS: [&str; 7] = [
    "MessageNew",
    "MessageExpunge",
    "FlagChange",
    "MailboxName",
    "SubscriptionChange",
    "MailboxMetadataChange",
    "ServerMetadataChange",
];

/// What is wanted of the selected mailbox (§6.1).
#[derive(Debug, Clone)]
struct Selected {
    delayed: bool,
    /// Of each new message.
    items: Vec<FetchItem>,
    flags: bool,
}

/// From the first NOTIFY on.
#[derive(Debug, Default)]
pub(crate) struct Notifying {
    selected: Option<Selected>,
    groups: Vec<EventGroup>,
    known: Known,
    /// Only where one of the groups may mean mailboxes of others.
    others: Option<Others>,
    /// How many messages this client put into mailboxes that are not selected, since what happens there was last told.
    made: BTreeMap<PlaceId, u32>,
    /// The command under way shows the selected mailbox in any case.
    pub(crate) shown: bool,
}

/// A mailbox, and whose it is.
type PlaceId = (AccountId, MailboxId);

/// One instant of what the session may see, as far as it can be told of.
#[derive(Debug, Default)]
struct Known {
    /// Of each account that is followed: its mod-sequence and how often its annotations changed.
    stamps: Vec<(AccountId, ModSeq, u64)>,
    mailboxes: BTreeMap<PlaceId, (Placed, MailboxStatus)>,
    subscribed: BTreeSet<String>,
    /// Values by their hashes; without a mailbox: of the session's own account.
    annotations: BTreeMap<(Option<PlaceId>, String), u64>,
}

/// The accounts of others that are followed.
#[derive(Debug)]
struct Others {
    /// Moves with every access list.
    lists: watch::Receiver<u64>,
    accounts: Vec<(AccountId, watch::Receiver<ModSeq>)>,
}

impl Notifying {
    /// What wakes the session beside its own account.
    pub(crate) fn watches(&mut self) -> impl Iterator<Item = &mut watch::Receiver<ModSeq>> {
        self.others.iter_mut().flat_map(|others| others.accounts.iter_mut().map(|(_, watch)| watch))
    }

    /// And the access lists.
    pub(crate) fn lists(&self) -> Option<watch::Receiver<u64>> {
        self.others.as_ref().map(|others| others.lists.clone())
    }

    fn wants(&self, name: &str, subscribed: bool, wanted: &NotifyEvent) -> bool {
        let of_event = |event: &NotifyEvent| event.name() == wanted.name();
        self.groups.iter().any(|group| covers(&group.filter, name, subscribed) && group.events.iter().any(of_event))
    }

    fn wants_messages(&self, placed: &Placed) -> bool {
        self.wants(&placed.mailbox.name, placed.mailbox.subscribed, &NotifyEvent::MessageExpunge)
    }

    fn wants_anywhere(&self, wanted: &NotifyEvent) -> bool {
        self.groups.iter().any(|group| group.events.contains(wanted))
    }
}

fn is_message_event(event: &NotifyEvent) -> bool {
    matches!(event, NotifyEvent::MessageNew(_) | NotifyEvent::MessageExpunge | NotifyEvent::FlagChange)
}

/// Is the mailbox one of those meant (§6)? Rules deliver to any of one's own: `inboxes` are these (§6.3).
fn covers(filter: &MailboxFilter, name: &str, subscribed: bool) -> bool {
    let below = |top: &MailboxName| name.strip_prefix(top.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match filter {
        MailboxFilter::Selected | MailboxFilter::SelectedDelayed | MailboxFilter::SubtreeOne(_) => false,
        MailboxFilter::Inboxes | MailboxFilter::Personal => !is_of_others(name),
        MailboxFilter::Subscribed => subscribed,
        MailboxFilter::Subtree(tops) => tops.iter().any(below),
        MailboxFilter::Mailboxes(names) => names.iter().any(|one| one.as_str() == name),
    }
}

/// Is the name below those that lead to others?
fn is_of_others(name: &str) -> bool {
    [OTHER_USERS, SHARED].iter().any(|top| name.strip_prefix(top).is_some_and(|rest| rest.starts_with('/')))
}

/// May the group mean mailboxes of others?
fn reaches_others(group: &EventGroup) -> bool {
    let leads = |name: &MailboxName| [OTHER_USERS, SHARED].contains(&name.as_str()) || is_of_others(name.as_str());
    match &group.filter {
        MailboxFilter::Subscribed => true,
        MailboxFilter::Subtree(names) | MailboxFilter::Mailboxes(names) => names.iter().any(leads),
        _ => false,
    }
}

/// The groups of a NOTIFY SET, the selected one apart; refused when they make no sense.
fn sorted(groups: Vec<EventGroup>) -> Result<(Option<Selected>, Vec<EventGroup>), Trouble> {
    let mut names = 0;
    for group in &groups {
        let unknown = |event: &NotifyEvent| !EVENTS.contains(&event.name());
        if group.events.iter().any(unknown) {
            let code = Code::BadEvent(EVENTS.iter().map(|name| (*name).into()).collect());
            return Err(no(code, "There is no such event here"));
        }
        names += match &group.filter {
            MailboxFilter::SubtreeOne(_) => return Err(Trouble::Bad("subtree-one is for ESEARCH")),
            MailboxFilter::Subtree(names) | MailboxFilter::Mailboxes(names) => names.len(),
            _ => 1,
        };
    }
    if names > limits::NOTIFY_NAMES_MAX {
        return Err(no(Code::NotificationOverflow, "Too many mailboxes are named"));
    }
    let mut selected = None;
    let mut others = Vec::new();
    for group in groups {
        let delayed = match group.filter {
            MailboxFilter::Selected => false,
            MailboxFilter::SelectedDelayed => true,
            _ => {
                others.push(group);
                continue;
            }
        };
        if !group.events.iter().all(is_message_event) {
            return Err(Trouble::Bad("Of the selected mailbox there are message events only"));
        }
        let items = group.events.iter().find_map(|event| match event {
            NotifyEvent::MessageNew(items) => Some(items.iter().cloned().map(peeking).collect()),
            _ => None,
        });
        let flags = group.events.contains(&NotifyEvent::FlagChange);
        selected = items.map(|items| Selected { delayed, items, flags });
    }
    Ok((selected, others))
}

/// What nobody asked for at that moment sets no \Seen (§5.2).
fn peeking(item: FetchItem) -> FetchItem {
    match item {
        FetchItem::BodySection { section, partial, .. } => FetchItem::BodySection { peek: true, section, partial },
        FetchItem::Binary { part, partial, .. } => FetchItem::Binary { peek: true, part, partial },
        other => other,
    }
}

impl Session {
    /// NOTIFY: SET is a NOOP as well (§3.1).
    pub(crate) async fn notify(&mut self, notify: Notify) -> Outcome {
        let Notify::Set { status, groups } = notify else {
            self.notify = Some(Box::default());
            return done("Nothing will be told");
        };
        let (selected, groups) = sorted(groups)?;
        self.show_selected();
        self.sync(true).await?;
        let others = groups.iter().any(reaches_others);
        let others = others.then(|| Others { lists: self.context.store.acl_watch(), accounts: Vec::new() });
        let mut notifying = Notifying { selected, groups, known: Known::default(), others, made: BTreeMap::new(), shown: false };
        notifying.known = self.look(&mut notifying, true).await?;
        let mut told = closed_ones(&notifying);
        if status {
            told.extend(first_status(&notifying, self.selected_id()));
        }
        for response in told {
            self.wire.untagged(&response);
            self.breathe().await?;
        }
        self.notify = Some(Box::new(notifying));
        done("Notifying")
    }

    /// Nothing of the selected mailbox may be told now.
    pub(crate) fn is_muted(&self) -> bool {
        self.notify.as_ref().is_some_and(|notifying| notifying.selected.is_none() && !notifying.shown)
    }

    /// The command under way tells of the selected mailbox whatever NOTIFY said: it is about nothing else.
    pub(crate) fn show_selected(&mut self) {
        if let Some(notifying) = self.notify.as_mut() {
            notifying.shown = true;
        }
    }

    /// Are changes of flags told?
    pub(crate) fn tells_flags(&self) -> bool {
        let selected = self.notify.as_ref().and_then(|notifying| notifying.selected.as_ref());
        selected.is_none_or(|selected| selected.flags)
    }

    /// Between commands: what happened since. EXPUNGE at once only where the client said so (§6.1.1), or idles.
    pub(crate) async fn notify_between(&mut self, idling: bool) -> Result<(), Trouble> {
        let selected = self.notify.as_ref().and_then(|notifying| notifying.selected.as_ref());
        let expunges = idling || selected.is_some_and(|selected| !selected.delayed);
        self.sync(expunges).await?;
        self.tell_events().await
    }

    /// The rest of an EXISTS: what was asked of new messages, those from `first` on.
    pub(crate) async fn fetch_new(&mut self, first: usize) -> Result<(), Trouble> {
        let view = self.view_mut()?;
        let made = std::mem::take(&mut view.made);
        let exists = view.rows().len();
        if first >= exists {
            return Ok(());
        }
        let selected = self.notify.as_ref().and_then(|notifying| notifying.selected.as_ref());
        let items = selected.map(|selected| selected.items.clone()).unwrap_or_default();
        if items.is_empty() && self.view_mut()?.watched_mut().is_empty() {
            return Ok(());
        }
        // Apart, for nearly nobody asks, and every command passes here.
        Box::pin(self.fetch_asked(items, made, first..exists)).await
    }

    async fn fetch_asked(&mut self, items: Vec<FetchItem>, made: BTreeSet<Uid>, new: Range<usize>) -> Result<(), Trouble> {
        let asked = self.asked_of_new(new.clone()).await?;
        if items.is_empty() && asked.is_empty() {
            return Ok(());
        }
        // §5.2: not of those that this client made itself.
        let rows = self.view()?.rows();
        let arrived = new.filter(|index| rows.uid(*index).is_some_and(|uid| !made.contains(&uid)));
        if asked.is_empty() {
            let arrived = merge(arrived);
            return self.fetch_unasked(items, arrived).await;
        }
        // One answer a message, of all that is asked of it.
        for index in arrived.collect::<Vec<usize>>() {
            let mut items = items.clone();
            for more in asked.iter().filter(|(_, matching)| matching.contains(&index)).flat_map(|(more, _)| more) {
                let more = peeking(more.clone());
                if !items.contains(&more) {
                    items.push(more);
                }
            }
            if !items.is_empty() {
                self.fetch_unasked(items, std::iter::once(index..index + 1).collect()).await?;
            }
        }
        Ok(())
    }

    async fn fetch_unasked(&mut self, mut items: Vec<FetchItem>, indexes: Indexes) -> Result<(), Trouble> {
        // RFC 7162 §3.2: from the first enabling command on, flags come with their MODSEQ.
        if self.condstore && items.contains(&FetchItem::Flags) && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        let set = SequenceSet::range(1, 1);
        let fetch = Fetch { uid: false, set, items, changed_since: None, vanished: false, partial: None };
        Box::pin(self.fetch_indexes(fetch, indexes)).await.map(drop)
    }

    /// This session itself put these into a mailbox.
    pub(crate) fn note_made(&mut self, place: PlaceId, uids: impl Iterator<Item = Uid>) {
        if let Some(view) = self.view.as_mut().filter(|view| (view.account, view.mailbox.id) == place) {
            view.made.extend(uids);
        } else if let Some(notifying) = self.notify.as_mut().filter(|notifying| !notifying.groups.is_empty()) {
            let count = u32::try_from(uids.count()).unwrap_or(u32::MAX);
            let made = notifying.made.entry(place).or_default();
            *made = made.saturating_add(count);
        }
    }

    /// What happened in other mailboxes, to names, subscriptions and metadata.
    pub(crate) async fn tell_events(&mut self) -> Result<(), Trouble> {
        let Some(mut notifying) = self.notify.take() else { return Ok(()) };
        notifying.shown = false;
        let told = self.events_since(&mut notifying).await;
        self.notify = Some(notifying);
        let told = told?;
        if told.len() > limits::NOTIFY_ROUND_MAX {
            self.notify = Some(Box::default());
            self.untagged_ok(Code::NotificationOverflow, "Too much happened at once; say NOTIFY again");
            return Ok(());
        }
        told.iter().for_each(|response| self.wire.untagged(response));
        Ok(())
    }

    async fn events_since(&self, notifying: &mut Notifying) -> Result<Vec<Response>, Trouble> {
        if notifying.groups.is_empty() {
            return Ok(Vec::new());
        }
        let lists_stand = notifying.others.as_ref().is_none_or(|others| !others.lists.has_changed().unwrap_or(false));
        if lists_stand && self.stamps(notifying)? == notifying.known.stamps {
            return Ok(Vec::new());
        }
        let now = self.look(notifying, false).await?;
        let mut told = names_changed(notifying, &now);
        told.extend(messages_changed(notifying, &now, self.selected_id(), self.condstore));
        told.extend(metadata_changed(notifying, &now));
        notifying.known = now;
        notifying.made.clear();
        Ok(told)
    }

    fn selected_id(&self) -> Option<PlaceId> {
        self.view.as_ref().map(|view| (view.account, view.mailbox.id))
    }

    /// How far each account that is followed has come; one's own first.
    fn stamps(&self, notifying: &Notifying) -> Result<Vec<(AccountId, ModSeq, u64)>, Trouble> {
        let store = &self.context.store;
        let own = self.signed_in.as_ref().map(|signed_in| *signed_in.watch.borrow()).unwrap_or_default();
        let others = notifying.others.iter().flat_map(|others| &others.accounts);
        let all = std::iter::once((self.account_id()?, own)).chain(others.map(|(id, watch)| (*id, *watch.borrow())));
        Ok(all.map(|(account, mod_seq)| (account, mod_seq, store.annotation_count(account))).collect())
    }

    /// All there is to see as it is. Annotations are read only when they changed (or `anew`).
    async fn look(&self, notifying: &mut Notifying, anew: bool) -> Result<Known, Trouble> {
        let (store, me) = (&self.context.store, self.account_id()?);
        let mut places = self.all_places().await?;
        match notifying.others.as_mut() {
            None => places.retain(|placed| placed.account == me),
            Some(others) => self.follow(others, &places).await?,
        }
        // Taken first: what comes after it makes the next round look again.
        let stamps = self.stamps(notifying)?;
        let mut known = Known { stamps, ..Known::default() };
        for placed in places {
            let own = placed.account == me;
            // One that is gone meanwhile is told of in the next round.
            if let Ok(status) = self.counts(&placed).await {
                if own && placed.mailbox.subscribed {
                    known.subscribed.insert(placed.mailbox.name.to_string());
                }
                // Of what may not be read only the name is told.
                let status = if placed.rights.has(Right::Read) { status } else { MailboxStatus::default() };
                known.mailboxes.insert(placed.id(), (placed, status));
            }
        }
        known.subscribed.extend(store.subscriptions_elsewhere(me).await?.iter().map(ToString::to_string));
        let counts =
            |known: &Known| -> Vec<(AccountId, u64)> { known.stamps.iter().map(|(id, _, count)| (*id, *count)).collect() };
        if !anew && counts(&known) == counts(&notifying.known) && known.mailboxes.keys().eq(notifying.known.mailboxes.keys()) {
            known.annotations = notifying.known.annotations.clone();
            return Ok(known);
        }
        for account in counts(&known).into_iter().map(|(account, _)| account) {
            for ((mailbox, name), value) in store.annotations(account).await? {
                let place = mailbox.map(|mailbox| (account, mailbox));
                let readable = |place| known.mailboxes.get(&place).is_some_and(|(placed, _)| placed.rights.has(Right::Read));
                let told = match place {
                    None => account == me,
                    Some(place) => (account == me || name.starts_with("/shared/")) && readable(place),
                };
                if told && name.starts_with('/') {
                    let mut hasher = DefaultHasher::new();
                    value.hash(&mut hasher);
                    known.annotations.insert((place, name.to_string()), hasher.finish());
                }
            }
        }
        Ok(known)
    }

    /// Follows the accounts of these places, and no others.
    async fn follow(&self, others: &mut Others, places: &[Placed]) -> Result<(), Trouble> {
        others.lists.mark_unchanged();
        let me = self.account_id()?;
        let wanted: BTreeSet<AccountId> = places.iter().map(|placed| placed.account).filter(|account| *account != me).collect();
        others.accounts.retain(|(account, _)| wanted.contains(account));
        for account in wanted {
            if others.accounts.iter().all(|(followed, _)| *followed != account) {
                others.accounts.push((account, self.context.store.watch(account).await?));
            }
        }
        others.accounts.sort_by_key(|(account, _)| *account);
        Ok(())
    }
}

fn status_response(name: &str, status: &MailboxStatus, attributes: &[StatusAttribute]) -> Response {
    let values = attributes.iter().map(|attribute| {
        let value = match attribute {
            StatusAttribute::Messages => u64::from(status.messages),
            StatusAttribute::UidNext => u64::from(status.uid_next),
            StatusAttribute::UidValidity => u64::from(status.uid_validity),
            StatusAttribute::Unseen => u64::from(status.unseen),
            StatusAttribute::HighestModSeq => status.highest_mod_seq.0,
            _ => 0,
        };
        (*attribute, Some(value))
    });
    Response::Status(StatusResponse { mailbox: MailboxName::new(name), values: values.collect(), mailbox_id: None })
}

/// §3.1: mailboxes that may be listed, but whose events may not be heard of.
fn closed_ones(notifying: &Notifying) -> Vec<Response> {
    let closed = notifying.known.mailboxes.values().filter(|(placed, _)| !placed.rights.has(Right::Read));
    let wanted = closed.filter(|(placed, _)| notifying.wants_messages(placed));
    wanted.map(|(placed, _)| listed(&notifying.known, &placed.mailbox.name, None)).collect()
}

/// NOTIFY SET STATUS (§3.1).
fn first_status(notifying: &Notifying, selected: Option<PlaceId>) -> Vec<Response> {
    let mut told = Vec::new();
    let others = notifying.known.mailboxes.values().filter(|(placed, _)| Some(placed.id()) != selected);
    for (Placed { mailbox, .. }, status) in others.filter(|(placed, _)| placed.rights.has(Right::Read)) {
        let wants = |event| notifying.wants(&mailbox.name, mailbox.subscribed, &event);
        let mut attributes = vec![StatusAttribute::Messages, StatusAttribute::UidNext, StatusAttribute::UidValidity];
        if wants(NotifyEvent::FlagChange) {
            attributes.push(StatusAttribute::HighestModSeq);
        }
        if wants(NotifyEvent::MessageExpunge) {
            told.push(status_response(&mailbox.name, status, &attributes));
        }
    }
    told
}

/// New, expunged and changed messages of mailboxes that are not selected: STATUS (§5.1-§5.3).
fn messages_changed(notifying: &Notifying, now: &Known, selected: Option<PlaceId>, condstore: bool) -> Vec<Response> {
    let mut told = Vec::new();
    for (id, (Placed { mailbox, rights, .. }, status)) in now.mailboxes.iter().filter(|(id, _)| Some(**id) != selected) {
        // One that came since the last look may have been given messages since, too.
        let empty = MailboxStatus { messages: 0, unseen: 0, uid_next: 1, highest_mod_seq: status.highest_mod_seq, ..*status };
        let before = notifying.known.mailboxes.get(id).map_or(&empty, |(_, before)| before);
        if before == status || !rights.has(Right::Read) {
            continue;
        }
        let wants = |event| notifying.wants(&mailbox.name, mailbox.subscribed, &event);
        let mut attributes = Vec::new();
        // §5: not what this client did itself, where that is all that happened; to flags something else may have, too.
        let made = notifying.made.get(id).copied().unwrap_or_default();
        let counts = (before.messages.saturating_add(made), before.uid_next.saturating_add(made));
        let own = made > 0 && counts == (status.messages, status.uid_next) && !wants(NotifyEvent::FlagChange);
        let same = (before.messages, before.uid_next) == (status.messages, status.uid_next);
        if !same && !own && wants(NotifyEvent::MessageExpunge) {
            attributes.extend([StatusAttribute::Messages, StatusAttribute::UidNext, StatusAttribute::UidValidity]);
        }
        // Any flag (§5.3); without CONDSTORE the client learns of those that UNSEEN does not count that something is new.
        if before.highest_mod_seq != status.highest_mod_seq && wants(NotifyEvent::FlagChange) {
            attributes.push(StatusAttribute::Unseen);
            if !attributes.contains(&StatusAttribute::UidValidity) {
                attributes.push(StatusAttribute::UidValidity);
            }
        }
        if condstore && !attributes.is_empty() {
            attributes.push(StatusAttribute::HighestModSeq);
        }
        if !attributes.is_empty() {
            told.push(status_response(&mailbox.name, status, &attributes));
        }
    }
    told
}

/// A name as it is now (§5.4, §5.5: every attribute is right).
fn listed(now: &Known, name: &str, old_name: Option<&str>) -> Response {
    let below = format!("{name}/");
    let mut attributes = Vec::new();
    if now.subscribed.contains(name) {
        attributes.push(MailboxAttribute::Subscribed);
    }
    match now.mailboxes.values().find(|(placed, _)| placed.mailbox.name == name) {
        None => attributes.push(MailboxAttribute::NonExistent),
        Some((Placed { mailbox, rights, .. }, _)) => {
            if !rights.has(Right::Read) {
                attributes.push(MailboxAttribute::Other("NoAccess".into()));
            }
            let has_children = now.mailboxes.values().any(|(other, _)| other.mailbox.name.starts_with(&below));
            attributes.push(if has_children { MailboxAttribute::HasChildren } else { MailboxAttribute::HasNoChildren });
            attributes.extend(mailbox.special_use.map(attribute));
        }
    }
    Response::List(ListResponse {
        kind: ListKind::List,
        attributes,
        delimiter: Some('/'),
        name: MailboxName::new(name),
        child_info: Vec::new(),
        old_name: old_name.map(MailboxName::new),
    })
}

/// Old and new name of every mailbox whose name is another, or that came or went.
fn renamed<'a>(before: &'a Known, now: &'a Known) -> Vec<(Option<&'a str>, Option<&'a str>)> {
    let name = |known: &'a Known, id| known.mailboxes.get(id).map(|(placed, _)| placed.mailbox.name.as_str());
    let there = now.mailboxes.keys().map(|id| (name(before, id), name(now, id)));
    let gone = before.mailboxes.keys().filter(|id| !now.mailboxes.contains_key(id)).map(|id| (name(before, id), None));
    there.chain(gone).filter(|(old, new)| old != new).collect()
}

/// Mailboxes made, deleted and renamed, and the subscription list: LIST, each name once.
fn names_changed(notifying: &Notifying, now: &Known) -> Vec<Response> {
    let before = &notifying.known;
    // Affected names and, of one renamed, its old name.
    let mut affected: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let changed = renamed(before, now);
    let old_ids: BTreeMap<&str, PlaceId> = match changed.is_empty() {
        true => BTreeMap::new(),
        false => before.mailboxes.iter().map(|(id, (placed, _))| (placed.mailbox.name.as_str(), *id)).collect(),
    };
    for (old, new) in changed {
        let wanted = |name: &str| {
            let subscribed = now.subscribed.contains(name) || before.subscribed.contains(name);
            notifying.wants(name, subscribed, &NotifyEvent::MailboxName)
        };
        match (old, new) {
            (Some(old), Some(new)) => {
                if (wanted(old) || wanted(new)) && !moved_with_superior(&old_ids, now, old, new) {
                    affected.insert(new, Some(old));
                }
            }
            (Some(name), None) | (None, Some(name)) => {
                // What only leads to mailboxes of others is none itself.
                let is_there = |name: &&str| now.mailboxes.values().any(|(placed, _)| placed.mailbox.name == *name);
                let superior = name.rsplit_once('/').map(|(superior, _)| superior).filter(is_there);
                for name in std::iter::once(name).chain(superior).filter(|name| wanted(name)) {
                    affected.entry(name).or_default();
                }
            }
            (None, None) => {}
        }
    }
    for name in access_changed(notifying, now) {
        affected.entry(name).or_default();
    }
    for name in before.subscribed.symmetric_difference(&now.subscribed) {
        if notifying.wants(name, true, &NotifyEvent::SubscriptionChange) {
            affected.entry(name).or_default();
        }
    }
    // One more than is told is an overflow; the rest need not be made.
    affected.into_iter().take(limits::NOTIFY_ROUND_MAX + 1).map(|(name, old_name)| listed(now, name, old_name)).collect()
}

/// Mailboxes whose messages are watched and that were closed to this reader, or opened again (§5.9).
fn access_changed<'a>(notifying: &'a Notifying, now: &'a Known) -> Vec<&'a str> {
    let watched = notifying.known.mailboxes.iter().filter(|(_, (placed, _))| notifying.wants_messages(placed));
    let changed = watched.filter_map(|(id, (before, _))| match now.mailboxes.get(id) {
        None => is_of_others(&before.mailbox.name).then_some(before.mailbox.name.as_str()),
        Some((after, _)) if after.rights.has(Right::Read) != before.rights.has(Right::Read) => Some(after.mailbox.name.as_str()),
        Some(_) => None,
    });
    changed.collect()
}

/// Of a mailbox that was renamed because its superior was nothing is told (§5.4).
fn moved_with_superior(old_ids: &BTreeMap<&str, PlaceId>, now: &Known, old: &str, new: &str) -> bool {
    let (Some((old_top, old_leaf)), Some((new_top, new_leaf))) = (old.rsplit_once('/'), new.rsplit_once('/')) else {
        return false;
    };
    let superior_now = old_ids.get(old_top).and_then(|id| now.mailboxes.get(id));
    old_leaf == new_leaf && old_top != new_top && superior_now.is_some_and(|(placed, _)| placed.mailbox.name == new_top)
}

/// METADATA with the names of entries that were set or taken away (§5.6, §5.7).
fn metadata_changed(notifying: &Notifying, now: &Known) -> Vec<Response> {
    let before = &notifying.known.annotations;
    let mut changed: BTreeMap<Option<PlaceId>, BTreeSet<&str>> = BTreeMap::new();
    for place in before.keys().chain(now.annotations.keys()) {
        if before.get(place) != now.annotations.get(place) {
            changed.entry(place.0).or_default().insert(&place.1);
        }
    }
    let mut told = Vec::new();
    for (place, names) in changed {
        let mailbox = match place {
            None if notifying.wants_anywhere(&NotifyEvent::ServerMetadataChange) => None,
            None => continue,
            Some(id) => match now.mailboxes.get(&id) {
                Some((Placed { mailbox, .. }, _))
                    if notifying.wants(&mailbox.name, mailbox.subscribed, &NotifyEvent::MailboxMetadataChange) =>
                {
                    Some(MailboxName::new(&mailbox.name))
                }
                _ => continue,
            },
        };
        let entries = names.into_iter().filter_map(Entry::new).collect();
        told.push(Response::Metadata(MetadataResponse { mailbox, data: MetadataData::Changed(entries) }));
    }
    told
}
