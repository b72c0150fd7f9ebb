//! `$seen` of each reader's own in mailboxes of others, where their owner asked for it: the one that IMAP shows and stores there
//! (RFC 4314 §4). Other keywords are everybody's.
//!
//! Invariant: what a reader marks there changes no flag that others see. Must not know: how it is kept.

use super::sharing::Eyes;
use super::view::{EmailKey, Entry, Place, View};
use super::{Context, MethodError};
use std::collections::{BTreeMap, BTreeSet};
use store::{AccountId, Arrangement, FlagOp, Flags, FlagsWanted, MailboxId, Store, StoreError, Uid};
use wire::imap::acl::Right;
use wire::imap::metadata::{SEEN_ENTRY, is_seen_apart};

/// Mailboxes of the account where these eyes have a \Seen of their own.
pub(crate) async fn apart(store: &Store, eyes: &Eyes) -> Result<BTreeSet<MailboxId>, StoreError> {
    if eyes.are_own() {
        return Ok(BTreeSet::new());
    }
    let all = store.annotations(eyes.account).await?;
    let of_mailbox = all.into_iter().filter_map(|((mailbox, name), value)| Some((mailbox?, name, value)));
    Ok(of_mailbox.filter(|(_, name, value)| name == SEEN_ENTRY && is_seen_apart(value)).map(|(mailbox, ..)| mailbox).collect())
}

/// What is to be marked once the rest is done.
pub(crate) struct Marking {
    key: EmailKey,
    seen: bool,
    /// Where it lay.
    before: BTreeSet<(MailboxId, Uid)>,
}

/// The steps of a change that leave others' \Seen alone, and what is to be marked then.
pub(crate) fn parted(view: &View, (key, entry): (EmailKey, &Entry), wanted: Arrangement) -> (Vec<Arrangement>, Option<Marking>) {
    let comes = wanted.mailboxes.iter().flatten().any(|mailbox| view.is_apart(*mailbox));
    let (there, others): (Vec<&Place>, Vec<&Place>) = entry.places().partition(|place| view.is_apart(place.mailbox));
    if there.is_empty() && !comes {
        return (vec![wanted], None);
    }
    let place = |place: &Place| (place.mailbox, place.uid);
    let rows = |places: &[&Place]| places.iter().map(|one| place(one)).collect::<Vec<_>>();
    let mut steps = Vec::new();
    let mut step = |rows: Vec<(MailboxId, Uid)>, flags: FlagsWanted| {
        if !rows.is_empty() && !matches!(flags, FlagsWanted::Same) {
            steps.push(Arrangement { rows, flags, mailboxes: None });
        }
    };
    step(rows(&others), wanted.flags.clone());
    step(rows(&there), without_seen(&wanted.flags, entry));
    if wanted.mailboxes.is_some() {
        steps.push(Arrangement { flags: FlagsWanted::Same, ..wanted.clone() });
    }
    let seen = said(&wanted.flags).or(wanted.mailboxes.map(|_| entry.system() & Flags::SEEN != 0));
    let marking = seen.map(|seen| Marking { key, seen, before: entry.places().map(place).collect() });
    (steps, marking)
}

/// What a change says of \Seen.
fn said(wanted: &FlagsWanted) -> Option<bool> {
    let has = |flags: &Flags| flags.system & Flags::SEEN != 0;
    match wanted {
        FlagsWanted::Same => None,
        FlagsWanted::These(these) => Some(has(these)),
        FlagsWanted::Change { add, remove } => has(add).then_some(true).or(has(remove).then_some(false)),
    }
}

fn without_seen(wanted: &FlagsWanted, entry: &Entry) -> FlagsWanted {
    let masked = |flags: &Flags| Flags { system: flags.system & !Flags::SEEN, keywords: flags.keywords.clone() };
    let (add, remove) = match wanted {
        FlagsWanted::Same => return FlagsWanted::Same,
        FlagsWanted::Change { add, remove } => (masked(add), masked(remove)),
        FlagsWanted::These(these) => {
            let stays =
                |word: &str| these.keywords.iter().flat_map(|words| words.iter()).any(|one| one.eq_ignore_ascii_case(word));
            let words: Vec<smol_str::SmolStr> = entry.words().filter(|word| !stays(word)).collect();
            let keywords = (!words.is_empty()).then(|| words.into());
            (masked(these), Flags { system: entry.system() & !these.system & !Flags::SEEN, keywords })
        }
    };
    let is_nothing = |flags: &Flags| flags.system == 0 && flags.keywords.is_none();
    if is_nothing(&add) && is_nothing(&remove) { FlagsWanted::Same } else { FlagsWanted::Change { add, remove } }
}

/// Marks them: each where it lies now, as the reader's own where that is kept apart, else (come from there) as everybody's.
pub(crate) async fn mark(context: &Context<'_>, all: Vec<Marking>) -> Result<(), MethodError> {
    if all.is_empty() {
        return Ok(());
    }
    let (store, eyes) = (&context.site.store, &context.eyes);
    let mut own: BTreeMap<(MailboxId, bool), Vec<Uid>> = BTreeMap::new();
    let mut shared = own.clone();
    {
        let view = context.site.jmap.views.seen_by(store, eyes).await?;
        for Marking { key, seen, before } in all {
            for place in view.get(key).into_iter().flat_map(Entry::places).filter(|place| place.is_seen() != seen) {
                let is_new = !before.contains(&(place.mailbox, place.uid));
                match view.is_apart(place.mailbox) {
                    true => own.entry((place.mailbox, seen)).or_default().push(place.uid),
                    false if is_new && view.rights(place.mailbox).has(Right::Seen) => {
                        shared.entry((place.mailbox, seen)).or_default().push(place.uid);
                    }
                    false => {}
                }
            }
        }
    }
    for ((mailbox, seen), uids) in own {
        store.set_own_seen((eyes.account, mailbox), eyes.who.id, &uids, seen).await?;
    }
    for ((mailbox, seen), uids) in shared {
        let (operation, flags) = (if seen { FlagOp::Add } else { FlagOp::Remove }, Flags { system: Flags::SEEN, keywords: None });
        store.flags(eyes.account, mailbox, &uids, operation, &flags, None).await?;
    }
    Ok(())
}

/// New messages of which some came to where \Seen is the reader's own: he has seen them.
pub(crate) async fn come(
    context: &Context<'_>,
    apart: &BTreeSet<MailboxId>,
    delivered: &[(AccountId, MailboxId, Uid, store::EmailId)],
) -> Result<(), StoreError> {
    for (account, mailbox, uid, _) in delivered.iter().filter(|(_, mailbox, ..)| apart.contains(mailbox)) {
        context.site.store.set_own_seen((*account, *mailbox), context.eyes.who.id, &[*uid], true).await?;
    }
    Ok(())
}
