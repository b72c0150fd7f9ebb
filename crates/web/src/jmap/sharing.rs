//! What others share (RFC 8620 §1.6.2, RFC 8621 §2 `myRights`): the same lists that IMAP's SETACL writes.
//!
//! Invariant: of an account with nothing shared one hears what one hears of an account that is not there, and a view through
//! a stranger's eyes holds only what the lists let him read, as of the call. Must not know: methods.

use super::mailbox::order_of;
use super::{Context, account_id};
use crate::collections::MAILBOX_ORDERS;
use crate::jmap::args::state;
use crate::jmap::failure::SetError;
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use store::{Account, AccountChanges, AccountId, Flags, FlagsWanted, Mailbox, MailboxId, ModSeq, Store, StoreError};
use wire::imap::acl::{Right, Rights};

type Result<T> = std::result::Result<T, StoreError>;

/// IMAP's names for where the mailboxes of others are subscribed: other people's, and nobody's.
const OTHER_USERS: &str = "Other Users";
const SHARED: &str = "Shared";

/// Whose mail is looked at, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Eyes {
    pub(crate) account: AccountId,
    pub(crate) who: Arc<Account>,
}

impl Eyes {
    pub(crate) fn own(who: &Arc<Account>) -> Eyes {
        Eyes { account: who.id, who: Arc::clone(who) }
    }

    pub(crate) fn are_own(&self) -> bool {
        self.account == self.who.id
    }

    /// What is kept in memory for them is kept apart from others'.
    pub(crate) fn key(&self) -> (AccountId, AccountId) {
        (self.account, self.who.id)
    }

    pub(crate) fn rights(&self, store: &Store, mailbox: MailboxId) -> Rights {
        match self.are_own() {
            true => Rights::ALL,
            false => Rights::from_bits(store.acl(self.account, mailbox).map_or(0, |acl| acl.granted(&self.who.address))),
        }
    }

    /// Is what lies there shown? `r` without `l` is IMAP's alone (RFC 8621 §2: "both are required for this to be true").
    pub(crate) fn may_read(&self, store: &Store, mailbox: MailboxId) -> bool {
        let rights = self.rights(store, mailbox);
        rights.has(Right::Lookup) && rights.has(Right::Read)
    }

    /// On the account itself: what lies under nothing is made by this right.
    fn rights_on_top(&self, store: &Store) -> Rights {
        match self.are_own() {
            true => Rights::ALL,
            false => Rights::from_bits(store.acl_root(self.account).map_or(0, |acl| acl.granted(&self.who.address))),
        }
    }

    /// On the nearest mailbox that is there above a name, as IMAP has it (RFC 4314 §4, CREATE).
    pub(crate) fn rights_above(&self, store: &Store, all: &[Mailbox], name: &str) -> Rights {
        let mut above = name;
        while let Some((superior, _)) = above.rsplit_once('/') {
            if let Some(found) = all.iter().find(|one| one.name == superior) {
                return self.rights(store, found.id);
            }
            above = superior;
        }
        self.rights_on_top(store)
    }

    /// What these eyes see of an account's mailboxes, with the rights; `None`: everything, it is their own.
    pub(crate) fn lists(&self, store: &Store, all: &[MailboxId]) -> Option<BTreeMap<MailboxId, Rights>> {
        if self.are_own() {
            return None;
        }
        let with_rights = all.iter().map(|mailbox| (*mailbox, self.rights(store, *mailbox)));
        Some(with_rights.filter(|(_, rights)| rights.has(Right::Lookup)).collect())
    }

    /// Of what happened only what these eyes may know.
    pub(crate) fn veil(&self, store: &Store, changes: &mut AccountChanges) {
        if !self.are_own() {
            changes.messages.retain(|mailbox, _| self.may_read(store, *mailbox));
            changes.mailboxes.retain(|(mailbox, _)| self.rights(store, *mailbox).has(Right::Lookup));
            // Where mailboxes stand is everybody's; the rest of the records are the owner's own affair.
            let is_seen = |name: &str| order_of(name).is_some_and(|id| self.rights(store, id).has(Right::Lookup));
            changes.records.retain(|(of, name, _)| *of == MAILBOX_ORDERS && is_seen(name));
        }
    }

    /// Which names of the account they subscribe to. Subscriptions are the reader's own, under IMAP's name.
    pub(crate) async fn subscribed(&self, store: &Store) -> Result<HashSet<SmolStr>> {
        let prefix = self.prefix(store).await?;
        let all = store.subscriptions_elsewhere(self.who.id).await?;
        Ok(all.iter().filter_map(|name| name.strip_prefix(prefix.as_str())).map(SmolStr::from).collect())
    }

    pub(crate) async fn subscribe(&self, store: &Store, name: &str, subscribed: bool) -> Result<()> {
        match self.are_own() {
            true => store.mailbox_subscribe(self.account, name, subscribed).await,
            false => {
                let name = format!("{}{name}", self.prefix(store).await?);
                store.mailbox_subscribe(self.who.id, &name, subscribed).await
            }
        }
    }

    async fn prefix(&self, store: &Store) -> Result<String> {
        let owner = store.account_by_id(self.account).await?.ok_or(StoreError::NotFound)?;
        let top = if store.acl_root(self.account).is_some() { SHARED } else { OTHER_USERS };
        Ok(format!("{top}/{}/", owner.address))
    }

    /// What a state of theirs ends with: another one where the rights or subscriptions are others, or \Seen is another's, for what
    /// was hidden before stands in no change log. Empty for one's own.
    pub(crate) async fn mark(&self, store: &Store) -> Result<String> {
        if self.are_own() {
            return Ok(String::new());
        }
        let mut hash = blake3::Hasher::new();
        for (account, mailbox, bits) in store.shared_with(self.who.id, &self.who.address) {
            if account == self.account {
                hash.update(&mailbox.0.to_be_bytes()).update(&bits.to_be_bytes());
            }
        }
        for mailbox in super::own_seen::apart(store, self).await? {
            hash.update(b"seen").update(&mailbox.0.to_be_bytes());
        }
        let mut names: Vec<SmolStr> = self.subscribed(store).await?.into_iter().collect();
        names.sort_unstable();
        for name in names {
            hash.update(name.as_bytes()).update(b"\0");
        }
        Ok(format!("-{}", &hash.finalize().to_hex().as_str()[..12]))
    }
}

/// Accounts with something shared that is shown, and all the rights there.
pub(super) fn accounts(store: &Store, who: &Account) -> BTreeMap<AccountId, Rights> {
    let mut all = BTreeMap::new();
    for (account, _, bits) in store.shared_with(who.id, &who.address) {
        let rights = Rights::from_bits(bits);
        if rights.has(Right::Lookup) {
            let known: &mut Rights = all.entry(account).or_insert(Rights::NONE);
            *known = known.with(rights);
        }
    }
    all
}

/// The account of this id in JMAP: one's own or one with something shared.
pub(crate) fn eyes_on(store: &Store, who: &Arc<Account>, id: &str) -> Option<Eyes> {
    if id == account_id(who.id) {
        return Some(Eyes::own(who));
    }
    let account = accounts(store, who).into_keys().find(|account| account_id(*account) == id)?;
    Some(Eyes { account, who: Arc::clone(who) })
}

/// What the session resource says of them: id, name, whether top mailboxes may be made. None is read-only as a whole (RFC 8620
/// §2): who sees a mailbox may at least subscribe to it, which is his own affair (RFC 8621 §2); what he may not do is refused
/// object by object.
pub(crate) async fn described(store: &Store, who: &Arc<Account>) -> Vec<(String, String, bool)> {
    let mut all = Vec::new();
    for account in accounts(store, who).into_keys() {
        // One that cannot be read now is left out; whoever asks for it is told.
        let Ok(Some(owner)) = store.account_by_id(account).await else { continue };
        let eyes = Eyes { account, who: Arc::clone(who) };
        all.push((account_id(account), owner.address.to_string(), eyes.rights_on_top(store).has(Right::Create)));
    }
    all
}

/// `myRights` (RFC 8621 §2).
pub(crate) fn my_rights(rights: Rights, is_inbox: bool) -> Value {
    let has = |right| rights.has(right);
    json!({
        "mayReadItems": has(Right::Lookup) && has(Right::Read), "mayAddItems": has(Right::Insert),
        "mayRemoveItems": has(Right::DeleteMessages) && has(Right::Expunge), "maySetSeen": has(Right::Seen),
        "maySetKeywords": has(Right::Write), "mayCreateChild": has(Right::Create),
        "mayRename": has(Right::DeleteMailbox) && !is_inbox, "mayDelete": has(Right::DeleteMailbox) && !is_inbox,
        "maySubmit": has(Right::Post),
    })
}

pub(crate) fn forbidden() -> SetError {
    SetError::why("forbidden", "You have no right to do that.")
}

/// May an email come into a mailbox with these flags?
pub(crate) fn may_put(rights: Rights, flags: &Flags) -> bool {
    rights.has(Right::Insert) && may_set(rights, flags)
}

fn may_set(rights: Rights, flags: &Flags) -> bool {
    let seen = flags.system & Flags::SEEN == 0 || rights.has(Right::Seen);
    let others = flags.system & !Flags::SEEN == 0 && flags.keywords.is_none() || rights.has(Right::Write);
    seen && others
}

/// Of these flags, those that may be set.
pub(crate) fn masked(rights: Rights, flags: &Flags) -> Flags {
    let mut kept = flags.clone();
    if !rights.has(Right::Seen) {
        kept.system &= !Flags::SEEN;
    }
    if !rights.has(Right::Write) {
        kept.system &= Flags::SEEN;
        kept.keywords = None;
    }
    kept
}

/// May the flags of an email that lies here be changed so?
pub(crate) fn may_change(rights: Rights, wanted: &FlagsWanted) -> bool {
    match wanted {
        FlagsWanted::Same => true,
        FlagsWanted::Change { add, remove } => may_set(rights, add) && may_set(rights, remove),
        // All of them at once: whatever they were.
        FlagsWanted::These(_) => may_set_all(rights),
    }
}

pub(crate) fn may_set_all(rights: Rights) -> bool {
    rights.has(Right::Seen) && rights.has(Right::Write)
}

/// May it be taken out of here?
pub(crate) fn may_remove(rights: Rights) -> bool {
    rights.has(Right::DeleteMessages) && rights.has(Right::Expunge)
}

/// A state string: how far the account is, and the mark of who looks at it.
pub(super) fn marked_state(at: ModSeq, mark: &str) -> String {
    state(at) + mark
}

impl Context<'_> {
    /// The account of this id, as who asks sees it.
    pub(crate) fn eyes_on(&self, id: &str) -> Option<Eyes> {
        match self.own.iter().find(|account| account_id(account.id) == id) {
            Some(account) => Some(Eyes::own(account)),
            None => eyes_on(&self.site.store, self.account, id),
        }
    }

    /// From here on the call is about this account.
    pub(crate) async fn look(&mut self, eyes: Eyes) -> Result<()> {
        self.mark = eyes.mark(&self.site.store).await?;
        self.eyes = eyes;
        Ok(())
    }

    /// A state string of the account that is looked at.
    pub(crate) fn state(&self, at: ModSeq) -> String {
        marked_state(at, &self.mark)
    }

    /// Another one, that ends as they do.
    pub(crate) fn marked(&self, state: String) -> String {
        state + &self.mark
    }
}
