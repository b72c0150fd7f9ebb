//! What came new into an account, told apart from what was only moved or copied there: `EmailDelivery` (RFC 8621 §1.5), and
//! `InboxDelivery`, which our own program asks for, because it is people who hear of it.
//!
//! Invariant: `EmailDelivery` is never missed for a message that came; `InboxDelivery` is told of unread mail that came into an
//! inbox, or comes back there from a snooze, and of nothing else. Must not know: streams.

use super::mailbox::role;
use super::push::changed;
use crate::collections::SNOOZES;
use std::collections::{BTreeSet, HashSet};
use store::{AccountChanges, AccountId, EmailId, Flags, Horizon, MailboxId, MessageRow, ModSeq, Store, StoreError, Touch};

/// Something came into the store.
pub(super) const DELIVERY: &str = "EmailDelivery";
/// Something came that people want to hear of.
pub(super) const INBOX_DELIVERY: &str = "InboxDelivery";
/// Of messages that came into one mailbox so many of the newest are looked at: one that is new is enough.
const LOOKED_AT_MAX: usize = 1_000;
/// ... a few at a time.
const AT_ONCE: usize = 100;
const INBOX: &str = "INBOX";

/// How far somebody was told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The account's.
    pub(super) mod_seq: ModSeq,
    /// Taken before what was told: octets that were there by then are no new message. `None`: nobody knows any more, and what
    /// was not moved there is taken for new.
    pub(super) horizon: Option<Horizon>,
}

impl Told {
    /// From now on.
    pub(super) async fn now(store: &Store, account: AccountId) -> Result<Told, StoreError> {
        let horizon = Some(store.horizon());
        Ok(Told { mod_seq: store.mailbox_states(account).await?.0, horizon })
    }
}

/// Which types changed since then, which becomes now.
pub(super) async fn since(store: &Store, account: AccountId, told: &mut Told) -> Result<BTreeSet<&'static str>, StoreError> {
    let horizon = Some(store.horizon());
    let changes = store.account_changes(account, told.mod_seq, usize::MAX).await?;
    let mut types = changed(changes.as_ref());
    if let Some(changes) = &changes {
        sift(store, (account, told), (changes, changes), &|_| true, &mut types).await?;
    }
    let mod_seq = match changes {
        Some(changes) => changes.mod_seq,
        None => store.mailbox_states(account).await?.0,
    };
    *told = Told { mod_seq, horizon };
    Ok(types)
}

/// Takes out of `types` what is not so of the changes since then, and puts in what people want to hear of. `all`: with those that
/// are hidden, for a message that comes out of hiding is no new one.
pub(super) async fn sift(
    store: &Store,
    (account, since): (AccountId, &Told),
    (all, seen): (&AccountChanges, &AccountChanges),
    is_shown: &(dyn Fn(MailboxId) -> bool + Sync),
    types: &mut BTreeSet<&'static str>,
) -> Result<(), StoreError> {
    if !types.remove(DELIVERY) {
        return Ok(());
    }
    let moved: HashSet<EmailId> = all.messages.values().flat_map(|one| &one.vanished).map(|(_, email)| *email).collect();
    let woken = |(of, _, touch): &(u8, _, Touch)| *of == SNOOZES && *touch == Touch::Destroyed;
    let wakes = seen.records.iter().any(woken);
    let inboxes = inboxes(store, account, is_shown).await?;
    for (mailbox, one) in &seen.messages {
        let Some(first) = one.created_from else { continue };
        let is_inbox = inboxes.contains(mailbox);
        if types.contains(INBOX_DELIVERY) || types.contains(DELIVERY) && !is_inbox {
            continue;
        }
        let changes = match store.changes_since(account, *mailbox, since.mod_seq).await {
            // Nobody sees any more what came into it.
            Err(StoreError::NotFound) => continue,
            changes => changes?,
        };
        let rows: Vec<&MessageRow> = changes.updated.iter().rev().filter(|row| row.uid >= first).take(LOOKED_AT_MAX).collect();
        let unread = |row: &MessageRow| row.flags.system & (Flags::SEEN | Flags::DRAFT | Flags::DELETED) == 0;
        if is_inbox && wakes && rows.iter().any(|row| unread(row)) {
            types.insert(INBOX_DELIVERY);
        }
        let is_fresh = |row: &&MessageRow| match &since.horizon {
            Some(horizon) => horizon.may_be_new(row.email),
            None => !moved.contains(&row.email),
        };
        let fresh: Vec<&MessageRow> = rows.into_iter().filter(is_fresh).collect();
        for some in fresh.chunks(AT_ONCE) {
            let emails: Vec<EmailId> = some.iter().map(|row| row.email).collect();
            let bodies = store.bodies(account, &emails).await?;
            let is_new = |body: &Option<_>| body.zip(since.horizon.as_ref()).is_none_or(|(body, horizon)| horizon.is_new(body));
            for (row, _) in some.iter().zip(&bodies).filter(|(_, body)| is_new(body)) {
                types.insert(DELIVERY);
                if is_inbox && unread(row) {
                    types.insert(INBOX_DELIVERY);
                }
            }
            if types.contains(INBOX_DELIVERY) || types.contains(DELIVERY) && !is_inbox {
                break;
            }
        }
    }
    Ok(())
}

/// Where people look for new mail: the inbox; in an account of which the inbox is not shared, mailboxes without a role.
async fn inboxes(
    store: &Store,
    account: AccountId,
    is_shown: &(dyn Fn(MailboxId) -> bool + Sync),
) -> Result<HashSet<MailboxId>, StoreError> {
    let (_, all) = store.mailbox_states(account).await?;
    let shown = || all.iter().map(|(mailbox, _)| mailbox).filter(|mailbox| is_shown(mailbox.id));
    let wanted = shown().find(|mailbox| mailbox.name == INBOX).map(|_| "inbox");
    Ok(shown().filter(|mailbox| role(mailbox) == wanted).map(|mailbox| mailbox.id).collect())
}
