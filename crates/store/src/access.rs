//! Access lists: who besides its owner may do what with a mailbox (RFC 4314's lists, kept without reading their letters).
//!
//! A list belongs to its mailbox by id: a new name changes nothing, and it goes when the mailbox goes. The list at mailbox 0
//! is the account's own: it says that nobody owns the account (a shared one), and new top mailboxes begin with it.
//! All lists are in memory, moved in commit order. Invariant: a change is one durable act on the account, seen by every
//! reader before it is answered. Must not know: what a right allows.

use crate::Store;
use crate::engine::{Batch, Engine, Key, range};
use crate::key;
use crate::limits::{ACL_ENTRIES_MAX, ACL_IDENTIFIER_BYTES_MAX};
use crate::mailbox::exclusively;
use crate::space::Act;
use crate::store::Result;
use crate::types::*;
use crate::value::{Writer, decoded, open};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Where an account's own list lies; mailbox ids begin with 1.
const ROOT: MailboxId = MailboxId(0);

/// Everybody who is signed in (RFC 4314 §2).
pub const ANYONE: &str = "anyone";

/// A mailbox's list: identifiers (an address, `anyone`; with `-` in front what is taken away) and their rights as bits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acl {
    /// By identifier, each once; none without rights.
    pub entries: Vec<(SmolStr, u16)>,
}

/// What becomes of an identifier's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AclChange {
    Replace(u16),
    Add(u16),
    Remove(u16),
}

impl Acl {
    /// What `address` may do: all it is given, by its name or as anyone, but for what is taken away.
    pub fn granted(&self, address: &str) -> u16 {
        let (mut given, mut taken) = (0, 0);
        for (identifier, bits) in &self.entries {
            let (name, bits_of) = match identifier.strip_prefix('-') {
                Some(name) => (name, &mut taken),
                None => (identifier.as_str(), &mut given),
            };
            if name == ANYONE || name == address {
                *bits_of |= bits;
            }
        }
        given & !taken
    }

    fn change(&mut self, identifier: &str, change: AclChange) {
        let at = self.entries.binary_search_by(|(name, _)| name.as_str().cmp(identifier));
        let before = at.ok().and_then(|at| self.entries.get(at)).map_or(0, |(_, bits)| *bits);
        let now = match change {
            AclChange::Replace(bits) => bits,
            AclChange::Add(bits) => before | bits,
            AclChange::Remove(bits) => before & !bits,
        };
        match at {
            Ok(at) if now == 0 => drop(self.entries.remove(at)),
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.1 = now;
                }
            }
            Err(_) if now == 0 => {}
            Err(at) => self.entries.insert(at, (SmolStr::new(identifier), now)),
        }
    }

    pub(crate) fn encode(&self, at: &Key) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(self.entries.len() as u64);
        for (identifier, bits) in &self.entries {
            out.text(identifier).number(u64::from(*bits));
        }
        out.seal(at)
    }

    pub(crate) fn decode(at: &Key, stored: &[u8]) -> Result<Acl> {
        let mut reader = open(at, stored)?;
        decoded(
            at,
            (|| {
                let mut entries = Vec::new();
                for _ in 0..reader.count()? {
                    let identifier = SmolStr::new(reader.text()?);
                    entries.push((identifier, u16::try_from(reader.number()?).ok()?));
                }
                reader.end()?;
                Some(Acl { entries })
            })(),
        )
    }
}

type Lists = BTreeMap<(AccountId, MailboxId), Arc<Acl>>;

/// All lists of all accounts.
#[derive(Debug)]
pub(crate) struct Shares {
    lists: Mutex<Lists>,
    /// Moves with every change.
    changes: watch::Sender<u64>,
}

impl Shares {
    pub(crate) async fn load(engine: &dyn Engine) -> Result<Shares> {
        let mut lists = Lists::new();
        for (at, stored) in range(engine, key::whole(key::ACL), usize::MAX).await? {
            let Some(place) = place_of(&at) else { continue };
            match Acl::decode(&at, &stored) {
                Ok(acl) => drop(lists.insert(place, Arc::new(acl))),
                // Nobody but the owner comes in until `rebuild`; `check` tells of it.
                Err(error) => tracing::error!(?error, "an access list cannot be read"),
            }
        }
        Ok(Shares { lists: Mutex::new(lists), changes: watch::Sender::new(0) })
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, account: AccountId, mailbox: MailboxId) -> Option<Arc<Acl>> {
        self.lists().get(&(account, mailbox)).cloned()
    }

    /// A durable act's changes, in commit order.
    pub(crate) fn take(&self, account: AccountId, changed: BTreeMap<MailboxId, Option<Arc<Acl>>>, gone: bool) {
        if changed.is_empty() && !gone {
            return;
        }
        let mut lists = self.lists();
        for (mailbox, acl) in changed {
            match acl {
                Some(acl) => drop(lists.insert((account, mailbox), acl)),
                None => drop(lists.remove(&(account, mailbox))),
            }
        }
        if gone {
            lists.retain(|(of, _), _| *of != account);
        }
        drop(lists);
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Account and mailbox of a key.
pub(crate) fn place_of(at: &Key) -> Option<(AccountId, MailboxId)> {
    let mut parts = key::Parts::of(at);
    Some((AccountId(parts.u32()?), MailboxId(parts.u32()?)))
}

/// Is the key a list of a mailbox, and not of an account?
pub(crate) fn is_of_mailbox(mailbox: MailboxId) -> bool {
    mailbox != ROOT
}

/// `anyone` in any case, addresses as they are compared; `None`: no identifier.
fn normal_identifier(identifier: &str) -> Option<SmolStr> {
    let (sign, name) = match identifier.strip_prefix('-') {
        Some(name) => ("-", name),
        None => ("", identifier),
    };
    let name = match name.eq_ignore_ascii_case(ANYONE) {
        true => ANYONE.to_owned(),
        false => crate::normalise(name),
    };
    let good = name == ANYONE || name.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let good = good && name.len() <= ACL_IDENTIFIER_BYTES_MAX && !name.contains(char::is_control);
    good.then(|| SmolStr::from(format!("{sign}{name}")))
}

/// Mailboxes that the act makes begin with the list of what they are made under (RFC 4314 §4, CREATE).
pub(crate) fn inherit(act: &mut Act, made: MailboxId) {
    let Some(name) = act.mailbox(made).map(|state| state.info.name.clone()) else { return };
    let shares = act.space().shares.clone();
    let account = act.account();
    let mut above = name.as_str();
    let mut new = vec![made];
    let acl = loop {
        let Some((superior, _)) = above.rsplit_once('/') else { break shares.get(account, ROOT) };
        above = superior;
        let Some(state) = act.by_name(superior) else { continue };
        match act.is_new(state.info.id) {
            true => new.push(state.info.id),
            false => break shares.get(account, state.info.id),
        }
    };
    if let Some(acl) = acl {
        new.into_iter().for_each(|mailbox| act.set_acl(mailbox, Some(acl.clone())));
    }
}

impl Act {
    /// Writes the lists that changed.
    pub(crate) fn write_acls(&self, batch: &mut Batch) {
        for (mailbox, acl) in self.acls() {
            let at = key::acl(self.account(), *mailbox);
            match acl {
                Some(acl) => {
                    let value = acl.encode(&at);
                    batch.put(at, value);
                }
                None => batch.delete(at),
            }
        }
    }
}

impl Store {
    /// A mailbox's list; `None`: its owner's alone.
    pub fn acl(&self, account: AccountId, mailbox: MailboxId) -> Option<Arc<Acl>> {
        self.inner.shares.get(account, mailbox)
    }

    /// The list that new top mailboxes of a shared account begin with; `None`: the account is its owner's.
    pub fn acl_root(&self, account: AccountId) -> Option<Arc<Acl>> {
        self.inner.shares.get(account, ROOT)
    }

    /// Changes an identifier's rights. `Invalid`: no such identifier can be, or the list is full.
    pub async fn acl_change(&self, account: AccountId, mailbox: MailboxId, identifier: &str, change: AclChange) -> Result<()> {
        let identifier = normal_identifier(identifier)
            .ok_or(StoreError::Invalid("an identifier is LOCAL@DOMAIN or `anyone`, with `-` in front to take rights away"))?;
        exclusively!(self.inner, account, |act, _batch| {
            if is_of_mailbox(mailbox) && act.mailbox(mailbox).is_none() {
                return Err(StoreError::NotFound);
            }
            let before = self.inner.shares.get(account, mailbox);
            let mut after = before.as_deref().cloned().unwrap_or_default();
            after.change(&identifier, change);
            if after.entries.len() > ACL_ENTRIES_MAX {
                return Err(StoreError::Invalid("the access list is full"));
            }
            let changed = after != before.as_deref().cloned().unwrap_or_default();
            if changed {
                let kept = !after.entries.is_empty() || !is_of_mailbox(mailbox);
                act.set_acl(mailbox, kept.then(|| Arc::new(after)));
            }
            Ok((changed, ()))
        })
    }

    /// The same for the list that new top mailboxes of a shared account begin with.
    pub async fn acl_change_root(&self, account: AccountId, identifier: &str, change: AclChange) -> Result<()> {
        if self.acl_root(account).is_none() {
            return Err(StoreError::NotFound);
        }
        self.acl_change(account, ROOT, identifier, change).await
    }

    /// Makes an account one that nobody owns.
    pub async fn account_share(&self, account: AccountId) -> Result<()> {
        exclusively!(self.inner, account, |act, _batch| {
            let new = self.inner.shares.get(account, ROOT).is_none();
            if new {
                act.set_acl(ROOT, Some(Arc::default()));
            }
            Ok((new, ()))
        })
    }

    /// Every mailbox of other accounts that `address` may do something with, and what.
    pub fn shared_with(&self, own: AccountId, address: &str) -> Vec<(AccountId, MailboxId, u16)> {
        let lists = self.inner.shares.lists();
        let others = lists.iter().filter(|((account, mailbox), _)| *account != own && is_of_mailbox(*mailbox));
        others
            .map(|((account, mailbox), acl)| (*account, *mailbox, acl.granted(address)))
            .filter(|(_, _, bits)| *bits != 0)
            .collect()
    }

    /// Moves with every change of any list.
    pub fn acl_watch(&self) -> watch::Receiver<u64> {
        self.inner.shares.changes.subscribe()
    }

    /// Takes an address off every list, so that whoever gets it next does not come in.
    pub(crate) async fn forget_identifier(&self, address: &str) -> Result<()> {
        let named: Vec<(AccountId, MailboxId)> = {
            let lists = self.inner.shares.lists();
            let names = |acl: &Acl| acl.entries.iter().any(|(name, _)| name.strip_prefix('-').unwrap_or(name) == address);
            lists.iter().filter(|(_, acl)| names(acl)).map(|(place, _)| *place).collect()
        };
        for (account, mailbox) in named {
            for identifier in [address.to_owned(), format!("-{address}")] {
                match self.acl_change(account, mailbox, &identifier, AclChange::Replace(0)).await {
                    Ok(()) | Err(StoreError::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::tests::{NOW, Place, both, inbox, new_account, sound};

    #[test]
    fn what_is_taken_away_goes_before_what_is_given() {
        let mut acl = Acl::default();
        acl.change("anyone", AclChange::Replace(0b011));
        acl.change("bob@here.test", AclChange::Add(0b100));
        acl.change("-bob@here.test", AclChange::Replace(0b001));
        assert_eq!(acl.granted("bob@here.test"), 0b110);
        assert_eq!(acl.granted("carol@here.test"), 0b011);
        acl.change("anyone", AclChange::Remove(0b011));
        assert_eq!(acl.granted("carol@here.test"), 0);
        assert_eq!(acl.entries.len(), 2);
        let at = key::acl(AccountId(1), MailboxId(2));
        assert_eq!(Acl::decode(&at, &acl.encode(&at)).unwrap(), acl);
    }

    #[test]
    fn identifiers_are_addresses_or_anyone() {
        assert_eq!(normal_identifier("-Bob@HERE.test").as_deref(), Some("-bob@here.test"));
        assert_eq!(normal_identifier("AnyOne").as_deref(), Some("anyone"));
        for bad in ["", "-", "bob", "@here.test", "bob@", "b\u{7}b@here.test"] {
            assert_eq!(normal_identifier(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn lists_are_inherited_renamed_with_and_gone_with_their_mailbox() {
        for (_place, store) in both().await {
            let ids = store.accounts_add(vec![new_account("ann@here.test"), new_account("bob@here.test")], NOW).await.unwrap();
            let (ann, bob) = (ids[0], ids[1]);
            let top = store.mailbox_create(ann, "a", None, NOW).await.unwrap();
            assert_eq!(store.acl(ann, top.id), None);
            let changes = store.acl_watch();
            store.acl_change(ann, top.id, "bob@here.test", AclChange::Replace(7)).await.unwrap();
            assert!(changes.has_changed().unwrap());
            let deep = store.mailbox_create(ann, "a/b/c", None, NOW).await.unwrap();
            let between = store.mailbox(ann, "a/b").await.unwrap().unwrap();
            for id in [top.id, deep.id, between.id] {
                assert_eq!(store.acl(ann, id).unwrap().granted("bob@here.test"), 7);
            }
            store.mailbox_rename(ann, "a", "z", NOW).await.unwrap();
            assert_eq!(store.shared_with(bob, "bob@here.test").len(), 3);
            assert_eq!(store.shared_with(ann, "ann@here.test"), vec![]);
            sound(&store).await;
            store.mailbox_delete(ann, "z/b/c", NOW).await.unwrap();
            assert_eq!(store.acl(ann, deep.id), None);
            sound(&store).await;
            store.account_remove(bob, NOW).await.unwrap();
            assert_eq!(store.acl(ann, top.id), None);
            store.account_remove(ann, NOW).await.unwrap();
            sound(&store).await;
        }
    }

    #[tokio::test]
    async fn lists_outlive_the_process_and_the_index() {
        let place = Place::new();
        let store = place.open().await;
        let sales = store.accounts_add(vec![new_account("sales@here.test")], NOW).await.unwrap()[0];
        assert_eq!(store.acl_change_root(sales, "anyone", AclChange::Add(1)).await, Err(StoreError::NotFound));
        store.account_share(sales).await.unwrap();
        store.acl_change_root(sales, "anyone", AclChange::Add(1)).await.unwrap();
        let inbox = inbox(&store, sales).await;
        store.acl_change(sales, inbox, "anyone", AclChange::Add(3)).await.unwrap();
        store.close().await.unwrap();
        let rebuilt = Store::rebuild(place.config()).await.unwrap();
        assert_eq!(rebuilt.skipped, vec![]);
        let store = place.open().await;
        assert_eq!(store.acl(sales, inbox).unwrap().granted("x@y.test"), 3);
        assert_eq!(store.acl_root(sales).unwrap().granted("x@y.test"), 1);
        let made = store.mailbox_create(sales, "Offers", None, NOW).await.unwrap();
        assert_eq!(store.acl(sales, made.id).unwrap().granted("x@y.test"), 1);
        assert!(store.acl_change(sales, inbox, "nonsense", AclChange::Add(1)).await.is_err());
        sound(&store).await;
    }
}
