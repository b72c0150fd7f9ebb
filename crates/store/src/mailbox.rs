//! Mailboxes: making, naming, removing, subscribing, counting.
//!
//! Names are UTF-8, levels parted by `/`; INBOX in any case is INBOX (RFC 9051 §5.1). Invariant: superiors are real
//! mailboxes; a removed mailbox's messages stay restorable; ids and UIDVALIDITY only grow.

use crate::Store;
use crate::engine::Batch;
use crate::key;
use crate::limits::{MAILBOX_LEVELS_MAX, MAILBOX_NAME_BYTES_MAX, MAILBOXES_MAX, SUBSCRIPTIONS_ELSEWHERE_MAX};
use crate::space::{Act, NewRow};
use crate::store::{Inner, Result};
use crate::types::*;
use smol_str::SmolStr;
use std::sync::Arc;

/// A name as it is kept: INBOX spelled so, also as the first level.
pub(crate) fn canonical(name: &str) -> SmolStr {
    let (first, rest) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    if !first.eq_ignore_ascii_case("INBOX") {
        return SmolStr::new(name);
    }
    match rest {
        None => SmolStr::new_static("INBOX"),
        Some(rest) => SmolStr::from(format!("INBOX/{rest}")),
    }
}

/// In Net-Unicode (RFC 9051 §5.1): composed (NFC).
fn composed(name: &str) -> std::borrow::Cow<'_, str> {
    match name.is_ascii() {
        true => name.into(),
        false => icu_normalizer::ComposingNormalizerBorrowed::new_nfc().normalize(name),
    }
}

/// The one meant: by the name as said, else composed (names made by older releases may not be).
fn named<'a>(list: impl Iterator<Item = &'a Mailbox> + Clone, name: &str) -> Option<&'a Mailbox> {
    let (exact, net) = (list.clone().find(|mailbox| mailbox.name == name), composed(name));
    exact.or_else(|| if net == name { None } else { list.clone().find(|mailbox| mailbox.name == *net) })
}

fn checked(name: &str) -> Result<SmolStr> {
    let name = canonical(&composed(name.strip_suffix('/').unwrap_or(name)));
    if name.is_empty() || name.len() > MAILBOX_NAME_BYTES_MAX {
        return Err(StoreError::Invalid("a mailbox name has 1 to 1000 octets"));
    }
    if name.split('/').any(str::is_empty) || name.split('/').count() > MAILBOX_LEVELS_MAX {
        return Err(StoreError::Invalid("a level of a mailbox name is empty, or there are too many"));
    }
    // Ends of lines and of paragraphs are no part of a name either (RFC 9755 §3).
    if name.contains(|c: char| c.is_control() || matches!(c, '*' | '%' | '\u{2028}' | '\u{2029}')) {
        return Err(StoreError::Invalid("a mailbox name has no control characters, * or %"));
    }
    Ok(name)
}

pub(crate) fn usual_name(special_use: SpecialUse) -> &'static str {
    match special_use {
        SpecialUse::All => "All",
        SpecialUse::Archive => "Archive",
        SpecialUse::Drafts => "Drafts",
        SpecialUse::Flagged => "Flagged",
        SpecialUse::Junk => "Junk",
        SpecialUse::Sent => "Sent",
        SpecialUse::Trash => "Trash",
        SpecialUse::Important => "Important",
    }
}

/// Makes a mailbox and its missing superiors in an act; `Exists` if it is there.
pub(crate) fn make(act: &mut Act, name: &str, special_use: Option<SpecialUse>, now_secs: UnixSecs) -> Result<MailboxId> {
    let name = checked(name)?;
    if act.by_name(&name).is_some() {
        return Err(StoreError::Exists);
    }
    if special_use.is_some_and(|wanted| act.mailboxes().any(|state| state.info.special_use == Some(wanted))) {
        return Err(StoreError::Invalid("another mailbox has that special use"));
    }
    let mut made = MailboxId(0);
    let ends: Vec<usize> = name.match_indices('/').map(|(at, _)| at).chain([name.len()]).collect();
    for end in ends {
        let part = name.get(..end).unwrap_or_default();
        if act.by_name(part).is_some() {
            continue;
        }
        if act.mailboxes().count() >= MAILBOXES_MAX {
            return Err(StoreError::OverQuota);
        }
        let (id, uid_validity) = act.next_mailbox(now_secs);
        // A subscription is to the name (RFC 9051 §6.3.7), so it may be older than the mailbox.
        let subscribed = act.elsewhere().contains(part) && act.elsewhere_mut().remove(part);
        let special_use = special_use.filter(|_| end == name.len());
        act.add_mailbox(Mailbox { id, name: SmolStr::new(part), uid_validity, special_use, subscribed });
        made = id;
    }
    Ok(made)
}

/// Where a delivery goes.
pub(crate) fn resolve(act: &mut Act, target: &Target, now_secs: UnixSecs) -> Result<MailboxId> {
    match target {
        Target::Mailbox(id) => act.mailbox(*id).map(|state| state.info.id).ok_or(StoreError::NotFound),
        Target::Inbox => act.by_name("INBOX").map(|state| state.info.id).ok_or(StoreError::NotFound),
        Target::Use(special_use) => {
            let name = usual_name(*special_use);
            let found = act.mailboxes().find(|state| state.info.special_use == Some(*special_use)).map(|state| state.info.id);
            match found.or_else(|| act.by_name(name).map(|state| state.info.id)) {
                Some(id) => Ok(id),
                None => make(act, name, Some(*special_use), now_secs),
            }
        }
    }
}

fn keep_subscription(act: &mut Act, name: &SmolStr) -> Result<()> {
    if act.elsewhere().len() >= SUBSCRIPTIONS_ELSEWHERE_MAX {
        return Err(StoreError::Invalid("the subscription list is full"));
    }
    act.elsewhere_mut().insert(name.clone());
    Ok(())
}

/// Prepares an exclusive act on one account until it is committed or refused; the body answers (something changed, answer).
/// A macro and not a function over an `AsyncFn`: the future of such a one cannot be shown to be `Send`, so no face could
/// be spawned.
macro_rules! exclusively {
    ($inner:expr, $account:expr, |$act:ident, $batch:ident| $body:block) => {
        crate::mailbox::acting!($inner, ($account, true), |$act, $batch| $body)
    };
}
pub(crate) use exclusively;

/// An act on (an account, with nothing in flight on it?), again when its ground moved.
macro_rules! acting {
    ($inner:expr, ($account:expr, $exclusive:expr), |$act:ident, $batch:ident| $body:block) => {{
        let mut tries = crate::limits::CONFLICT_RETRIES;
        loop {
            if tries == 0 {
                break Err(crate::types::StoreError::Io("the account kept changing".into()));
            }
            tries -= 1;
            let mut held = $inner.act($account, $exclusive).await?;
            let mut gathered = crate::engine::Batch::default();
            let prepared: std::result::Result<(bool, _), crate::types::StoreError> = async {
                let $act = &mut held;
                let $batch = &mut gathered;
                $body
            }
            .await;
            match prepared {
                Err(error) => break Err(error),
                Ok((false, answer)) => {
                    // What is under way may be what it would have done: nobody is told of that before it is durable.
                    if held.stands().await {
                        break Ok(answer);
                    }
                }
                Ok((true, answer)) => match $inner.commit_acts(vec![held], gathered).await {
                    crate::engine::Outcome::Done => break Ok(answer),
                    crate::engine::Outcome::Conflict => {}
                    crate::engine::Outcome::Failed(error) => break Err(error),
                },
            }
        }
    }};
}
pub(crate) use acting;

impl Inner {
    async fn remove_mailbox(&self, account: AccountId, name: &str, now_secs: UnixSecs) -> Result<()> {
        let name = canonical(name);
        exclusively!(self, account, |act, batch| {
            let state = act.by_name(&name).ok_or(StoreError::NotFound)?.clone();
            let inferiors = format!("{name}/");
            if name == "INBOX" || act.mailboxes().any(|other| other.info.name.starts_with(inferiors.as_str())) {
                return Err(StoreError::Invalid("INBOX and mailboxes with inferiors cannot be deleted"));
            }
            let rows: Vec<MessageRow> = self.rows_of(act.space(), state.info.id).await?.iter().collect();
            crate::undo::put_aside(act, batch, &state.info, &rows, now_secs)?;
            if state.info.subscribed {
                keep_subscription(act, &name)?;
            }
            act.remove_mailbox(state.info.id);
            batch.delete(key::flags(account, state.info.id));
            self.forget_annotations(batch, account, state.info.id).await?;
            Ok((true, ()))
        })
    }

    async fn rename(&self, account: AccountId, from: &str, to: &str, now_secs: UnixSecs) -> Result<()> {
        let (from, to) = (canonical(from), checked(to)?);
        exclusively!(self, account, |act, batch| {
            let source = act.by_name(&from).ok_or(StoreError::NotFound)?.info.clone();
            if act.by_name(&to).is_some() {
                return Err(StoreError::Exists);
            }
            if to.starts_with(&format!("{from}/")) && from != "INBOX" {
                return Err(StoreError::Invalid("a mailbox cannot be moved into itself"));
            }
            if from == "INBOX" {
                let target = make(act, &to, None, now_secs)?;
                act.saved_secs = Some(now_secs);
                return self.move_all(act, batch, source.id, target).await.map(|()| (true, ()));
            }
            if let Some((superior, _)) = to.rsplit_once('/')
                && act.by_name(superior).is_none()
            {
                make(act, superior, None, now_secs)?;
            }
            rename_all(act, &from, &to)?;
            Ok((true, ()))
        })
    }

    async fn move_all(&self, act: &mut Act, batch: &mut Batch, from: MailboxId, to: MailboxId) -> Result<()> {
        let rows = self.rows_of(act.space(), from).await?;
        for row in rows.iter() {
            act.remove_row(batch, from, &row)?;
            let like =
                NewRow { flags: row.flags.clone(), internal_date_secs: row.internal_date_secs, size_bytes: row.size_bytes };
            act.add_row(batch, to, row.email, &like)?;
        }
        Ok(())
    }
}

/// A mailbox and all its inferiors under a new name.
fn rename_all(act: &mut Act, from: &SmolStr, to: &SmolStr) -> Result<()> {
    let inferiors = format!("{from}/");
    let moved: Vec<Mailbox> = act
        .mailboxes()
        .map(|state| state.info.clone())
        .filter(|info| info.name == *from || info.name.starts_with(inferiors.as_str()))
        .collect();
    for info in moved {
        let rest = info.name.strip_prefix(from.as_str()).unwrap_or_default();
        let name = SmolStr::from(format!("{to}{rest}"));
        if name.len() > MAILBOX_NAME_BYTES_MAX || act.by_name(&name).is_some_and(|other| other.info.id != info.id) {
            return Err(StoreError::Invalid("an inferior's new name is taken or too long"));
        }
        // The old name stays on the list: a server never takes a subscription away by itself (RFC 9051 §6.3.5).
        if info.subscribed {
            keep_subscription(act, &info.name)?;
        }
        let waited = act.elsewhere().contains(&name) && act.elsewhere_mut().remove(&name);
        let state = act.mailbox_mut(info.id)?;
        state.info.name = name;
        state.info.subscribed |= waited;
    }
    Ok(())
}

impl Store {
    /// All mailboxes, INBOX first, then by name.
    pub async fn mailboxes(&self, account: AccountId) -> Result<Arc<Vec<Mailbox>>> {
        let space = self.inner.ready(account).await?;
        let list = space.published().list.clone();
        Ok(list)
    }

    /// Names on the subscription list that are no mailbox (RFC 9051 §6.3.9 \NonExistent).
    pub async fn subscriptions_elsewhere(&self, account: AccountId) -> Result<Vec<SmolStr>> {
        let space = self.inner.ready(account).await?;
        let names = space.published().elsewhere.iter().cloned().collect();
        Ok(names)
    }

    /// By name (INBOX in any case).
    pub async fn mailbox(&self, account: AccountId, name: &str) -> Result<Option<Mailbox>> {
        let space = self.inner.ready(account).await?;
        let name = canonical(name);
        let list = space.published().list.clone();
        Ok(named(list.iter(), &name).cloned())
    }

    /// Makes it, and missing superiors as real mailboxes (lessons C12); not subscribed.
    pub async fn mailbox_create(
        &self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
        now_secs: UnixSecs,
    ) -> Result<Mailbox> {
        exclusively!(self.inner, account, |act, _batch| {
            let id = make(act, name, special_use, now_secs)?;
            crate::access::inherit(act, id);
            let info = act.mailbox(id).ok_or(StoreError::NotFound)?.info.clone();
            Ok((true, info))
        })
    }

    /// Deletes it; its messages stay restorable. INBOX and a mailbox with inferiors: `Invalid`.
    pub async fn mailbox_delete(&self, account: AccountId, name: &str, now_secs: UnixSecs) -> Result<()> {
        self.inner.remove_mailbox(account, name, now_secs).await
    }

    /// Renames it with its inferiors; INBOX: its messages move to the new one (RFC 9051 §6.3.6).
    pub async fn mailbox_rename(&self, account: AccountId, from: &str, to: &str, now_secs: UnixSecs) -> Result<()> {
        self.inner.rename(account, from, to, now_secs).await
    }

    /// What a mailbox is for (RFC 6154); `Invalid` where another one is for that already, and for INBOX.
    pub async fn mailbox_use(&self, account: AccountId, mailbox: MailboxId, special_use: Option<SpecialUse>) -> Result<()> {
        exclusively!(self.inner, account, |act, _batch| {
            let taken = |state: &crate::rows::MailboxState| state.info.id != mailbox && state.info.special_use == special_use;
            if special_use.is_some() && act.mailboxes().any(taken) {
                return Err(StoreError::Invalid("another mailbox has that special use"));
            }
            let info = &mut act.mailbox_mut(mailbox)?.info;
            if special_use.is_some() && info.name == "INBOX" {
                return Err(StoreError::Invalid("INBOX is INBOX"));
            }
            let changed = info.special_use != special_use;
            info.special_use = special_use;
            Ok((changed, ()))
        })
    }

    /// The name as a mailbox is made by it: composed, INBOX spelled so (RFC 9051 §5.1).
    pub fn mailbox_name(name: &str) -> SmolStr {
        canonical(&composed(name))
    }

    /// On or off the subscription list; the name need not exist.
    pub async fn mailbox_subscribe(&self, account: AccountId, name: &str, subscribed: bool) -> Result<()> {
        let name = canonical(name);
        exclusively!(self.inner, account, |act, _batch| {
            let found = act.by_name(&name).map(|state| (state.info.id, state.info.subscribed));
            let changed = match found {
                Some((_, now)) if now == subscribed => false,
                Some((id, _)) => {
                    act.mailbox_mut(id)?.info.subscribed = subscribed;
                    true
                }
                None if subscribed && !act.elsewhere().contains(&name) => {
                    checked(&name)?;
                    keep_subscription(act, &name)?;
                    true
                }
                None => !subscribed && act.elsewhere().contains(&name) && act.elsewhere_mut().remove(&name),
            };
            Ok((changed, ()))
        })
    }

    /// Counts, without a snapshot.
    pub async fn status(&self, account: AccountId, mailbox: MailboxId) -> Result<MailboxStatus> {
        let space = self.inner.ready(account).await?;
        let published = space.published();
        published.mailboxes.get(&mailbox).map(|state| state.status()).ok_or(StoreError::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(canonical("inbox"), "INBOX");
        assert_eq!(canonical("InBox/a"), "INBOX/a");
        assert_eq!(canonical("inboxes"), "inboxes");
        assert!(checked("a//b").is_err() && checked("").is_err() && checked("/a").is_err() && checked("a*").is_err());
        assert_eq!(checked("a/b/").ok().as_deref(), Some("a/b"));
        assert_eq!(checked("Cafe\u{301}").ok().as_deref(), Some("Caf\u{e9}"));
        assert!(checked(&"a".repeat(1000)).is_ok() && checked(&"a".repeat(1001)).is_err());
        assert!(checked(&vec!["a"; 32].join("/")).is_ok() && checked(&vec!["a"; 33].join("/")).is_err());
    }
}
