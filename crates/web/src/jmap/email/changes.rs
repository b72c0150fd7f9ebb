//! `Email/changes`, and what `Thread/changes` and `Email/queryChanges` take from it.
//!
//! The change log names rows; an Email is new when none of its rows is older than the state asked about, gone when none is left.
//! Invariant: a change is told rather twice than never. Must not know: queries.

use crate::jmap::answers::{Told, changed_by_rank, changes_max, happened};
use crate::jmap::args::{Args, Since};
use crate::jmap::failure::MethodError;
use crate::jmap::view::{EmailKey, ThreadKey, View, facts_of, thread_of};
use crate::jmap::{Context, Object};
use std::collections::{BTreeMap, HashMap};
use store::{AccountChanges, EmailId, ModSeq, Touch};
use tokio::sync::OwnedMutexGuard;

/// What happened to an account's emails.
pub(crate) struct Affected {
    pub(crate) mod_seq: ModSeq,
    pub(crate) more: bool,
    pub(crate) emails: BTreeMap<EmailKey, Touch>,
    /// Of those that went; of the others the view knows.
    gone_threads: HashMap<EmailKey, ThreadKey>,
    pub(crate) view: OwnedMutexGuard<View>,
}

impl Affected {
    /// What happened after `since`; `threads`: conversations are asked for, too.
    pub(crate) async fn since(context: &Context<'_>, since: &Since, max: usize, threads: bool) -> Result<Affected, MethodError> {
        let (store, account) = (&context.site.store, context.eyes.account);
        let cannot = || MethodError::new("cannotCalculateChanges");
        let changes = happened(context, since, max).await?;
        let gone: Vec<EmailId> = changes.messages.values().flat_map(|of_one| &of_one.vanished).map(|(_, email)| *email).collect();
        let names = store.email_names(account, &gone).await?;
        let names: HashMap<EmailId, EmailKey> = gone
            .iter()
            .zip(names)
            // Erased for good: nobody can tell any more what it was.
            .map(|(email, name)| name.map(|(body, date_secs)| (*email, EmailKey { body, date_secs })).ok_or_else(cannot))
            .collect::<Result<_, _>>()?;
        let mut view = context.site.jmap.views.seen_by(store, &context.eyes).await?;
        let emails = touches(&changes, &names, &view);
        let mut gone_threads = HashMap::new();
        if threads {
            view.learn_all(store, account).await?;
            let lost: Vec<(EmailId, EmailKey)> =
                names.into_iter().filter(|(_, key)| emails.get(key) == Some(&Touch::Destroyed)).collect();
            let ids: Vec<EmailId> = lost.iter().map(|(email, _)| *email).collect();
            for ((_, key), facts) in lost.iter().zip(facts_of(store, account, &ids).await?) {
                let thread = facts.map_or(ThreadKey::Alone(key.body), |facts| thread_of(key.body, &facts));
                gone_threads.insert(*key, thread);
            }
        }
        Ok(Affected { mod_seq: changes.mod_seq, more: changes.more, emails, gone_threads, view })
    }

    /// The conversation of an affected email.
    pub(crate) fn thread_of(&self, key: EmailKey) -> Option<ThreadKey> {
        let known = self.view.get(key).and_then(|entry| entry.known()).map(|known| known.thread);
        known.or_else(|| self.gone_threads.get(&key).copied())
    }

    /// Conversations whose emails are not the same ones as before.
    pub(crate) fn threads(&self) -> BTreeMap<ThreadKey, Touch> {
        let mut threads = BTreeMap::new();
        let moved = self.emails.iter().filter(|(_, touch)| **touch != Touch::Updated);
        for thread in moved.filter_map(|(key, _)| self.thread_of(*key)) {
            let now = self.view.thread(thread);
            let is_new = |key: &EmailKey| self.emails.get(key) == Some(&Touch::Created);
            let lost = self.gone_threads.values().any(|of| *of == thread);
            let touch = match now.is_empty() {
                true => Touch::Destroyed,
                false if !lost && now.iter().all(is_new) => Touch::Created,
                false => Touch::Updated,
            };
            threads.insert(thread, touch);
        }
        threads
    }
}

fn touches(changes: &AccountChanges, names: &HashMap<EmailId, EmailKey>, view: &View) -> BTreeMap<EmailKey, Touch> {
    let is_old = |mailbox: &store::MailboxId, uid: store::Uid| {
        let first = changes.messages.get(mailbox).and_then(|of_one| of_one.created_from);
        first.is_none_or(|first| uid < first)
    };
    // (was there before)
    let mut affected: BTreeMap<EmailKey, bool> = BTreeMap::new();
    for (mailbox, of_one) in &changes.messages {
        for key in of_one.updated.iter().filter_map(|uid| view.at(*mailbox, *uid)) {
            affected.entry(key).or_default();
        }
        for (uid, email) in &of_one.vanished {
            if let Some(key) = names.get(email) {
                *affected.entry(*key).or_default() |= is_old(mailbox, *uid);
            }
        }
    }
    let touch = |(key, before): (EmailKey, bool)| {
        let entry = view.get(key);
        let before = before || entry.is_some_and(|entry| entry.places().any(|place| is_old(&place.mailbox, place.uid)));
        let hidden = entry.is_none() && view.is_hidden(key);
        match (entry.is_some(), before || hidden) {
            (true, true) => Some((key, Touch::Updated)),
            (true, false) => Some((key, Touch::Created)),
            (false, true) => Some((key, Touch::Destroyed)),
            (false, false) => None,
        }
    };
    affected.into_iter().filter_map(touch).collect()
}

/// `Email/changes`
pub(crate) async fn changes(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let since = args.since()?;
    let max = changes_max(&mut args)?;
    args.end()?;
    let affected = Affected::since(context, &since, max, false).await?;
    let touches = affected.emails.iter().map(|(key, touch)| (key.id(), *touch)).collect();
    let told = Told { touches, reached: affected.mod_seq, more: affected.more };
    // "It is recommended that newer changes be returned first" (RFC 8621 §4.3): of one act the newest emails are.
    let newest = |id: &str| EmailKey::of(id).map_or(0, |key| key.date_secs.saturating_neg());
    Ok(changed_by_rank(context, &since, max, told, newest))
}
