//! Mailboxes by the names a session calls them: its own, and those that others share with it (RFC 2342, RFC 4314).
//!
//! `Other Users/ADDRESS/...` are mailboxes of other people, `Shared/ADDRESS/...` of accounts nobody owns. Invariant: of a
//! mailbox with no right at all a session hears exactly what it hears of one that is not there; what lies in the account
//! itself under such a name is found first. Must not know: what each command does with a right (it asks for it by name).

use super::failure::{Trouble, no};
use super::session::Session;
use super::view::View;
use smol_str::SmolStr;
use store::{Account, AccountId, FlagMask, Flags, Mailbox, MailboxId};
use wire::imap::Code;
use wire::imap::acl::{Right, Rights};

/// Of other people.
pub(crate) const OTHER_USERS: &str = "Other Users";
/// Of nobody.
pub(crate) const SHARED: &str = "Shared";

/// Rights that let somebody know that a mailbox is there (RFC 4314 §4, "Any").
const VISIBLE: [Right; 6] = [Right::Lookup, Right::Read, Right::Insert, Right::Create, Right::DeleteMailbox, Right::Administer];
/// Rights that make a mailbox more than readable (RFC 4314 §5.2).
const WRITES: [Right; 5] = [Right::Insert, Right::Expunge, Right::Seen, Right::Write, Right::DeleteMessages];

/// A mailbox this session may do something with.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// Whose.
    pub(crate) account: AccountId,
    /// Under the name this session knows it by.
    pub(crate) mailbox: Mailbox,
    /// What its owner calls it.
    pub(crate) own_name: SmolStr,
    pub(crate) rights: Rights,
}

impl Placed {
    pub(crate) fn own(account: AccountId, mailbox: Mailbox) -> Placed {
        let own_name = mailbox.name.clone();
        Placed { account, mailbox, own_name, rights: Rights::ALL }
    }

    pub(crate) fn id(&self) -> (AccountId, MailboxId) {
        (self.account, self.mailbox.id)
    }
}

/// A name as it may be meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meant<'a> {
    /// In one's own account.
    Own,
    /// In the account of this address; the rest is empty for the account itself.
    Foreign { shared: bool, address: &'a str, rest: &'a str },
    /// A name that only leads to others.
    Above,
}

/// What a name means when it is no mailbox of one's own.
pub(crate) fn meant(name: &str) -> Meant<'_> {
    let (shared, below) = match (name.strip_prefix(OTHER_USERS), name.strip_prefix(SHARED)) {
        (Some(below), _) => (false, below),
        (_, Some(below)) => (true, below),
        _ => return Meant::Own,
    };
    match below.strip_prefix('/') {
        None if below.is_empty() => Meant::Above,
        None => Meant::Own,
        Some(below) => {
            let (address, rest) = below.split_once('/').unwrap_or((below, ""));
            Meant::Foreign { shared, address, rest }
        }
    }
}

/// Is this somebody's who may only look?
pub(crate) fn only_reads(rights: Rights) -> bool {
    !WRITES.iter().any(|right| rights.has(*right))
}

/// The flags that may be changed with these rights (RFC 4314 §4).
pub(crate) fn mask(rights: Rights) -> FlagMask {
    let bit = |right, bits| if rights.has(right) { bits } else { 0 };
    let others = Flags::ANSWERED | Flags::FLAGGED | Flags::DRAFT;
    FlagMask {
        system: bit(Right::Seen, Flags::SEEN) | bit(Right::DeleteMessages, Flags::DELETED) | bit(Right::Write, others),
        keywords: rights.has(Right::Write),
    }
}

pub(crate) fn forbidden() -> Trouble {
    no(Code::NoPerm, "You have no right to do that")
}

fn not_there() -> Trouble {
    Session::nonexistent("There is no such mailbox")
}

impl View {
    /// Refused unless the reader has this right on what is selected.
    pub(crate) fn require(&self, right: Right) -> Result<(), Trouble> {
        if self.rights.has(right) { Ok(()) } else { Err(forbidden()) }
    }
}

impl Session {
    /// The rights of this session on somebody's mailbox, as of now.
    pub(crate) fn rights_on(&self, place: (AccountId, MailboxId)) -> Result<Rights, Trouble> {
        Ok(self.rights_of(self.account()?, place))
    }

    fn rights_of(&self, who: &Account, (account, mailbox): (AccountId, MailboxId)) -> Rights {
        if who.id == account {
            return Rights::ALL;
        }
        Rights::from_bits(self.context.store.acl(account, mailbox).map_or(0, |acl| acl.granted(&who.address)))
    }

    /// The account a name leads into, if there is one that is not one's own.
    pub(crate) async fn foreign(&self, who: &Account, shared: bool, address: &str) -> Result<Option<AccountId>, Trouble> {
        let found = self.store().account(address).await?.map(|account| account.id).filter(|id| *id != who.id);
        Ok(found.filter(|id| self.context.store.acl_root(*id).is_some() == shared))
    }

    /// A mailbox by name; `None` when it is not there, or as good as not there.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Placed>, Trouble> {
        self.find_as(self.account()?, name).await
    }

    /// The same as `who` would find it.
    pub(crate) async fn find_as(&self, who: &Account, name: &str) -> Result<Option<Placed>, Trouble> {
        let store = self.store();
        if let Some(mailbox) = store.mailbox(who.id, name).await? {
            return Ok(Some(Placed::own(who.id, mailbox)));
        }
        let Meant::Foreign { shared, address, rest } = meant(name) else { return Ok(None) };
        let Some(account) = self.foreign(who, shared, address).await? else { return Ok(None) };
        let Some(mailbox) = store.mailbox(account, rest).await? else { return Ok(None) };
        let rights = self.rights_of(who, (account, mailbox.id));
        if !VISIBLE.iter().any(|right| rights.has(*right)) {
            return Ok(None);
        }
        let prefix = if shared { SHARED } else { OTHER_USERS };
        Ok(Some(renamed(account, mailbox, rights, &format!("{prefix}/{}", store::normalise(address)))))
    }

    /// A mailbox by name, if this right is there. Without `l` and without the right: as if it were not there.
    pub(crate) async fn find_for(&self, name: &str, right: Right) -> Result<Placed, Trouble> {
        self.find_or(name, right, not_there).await
    }

    /// The same; what is not there is told of by `absent`.
    pub(crate) async fn find_or(&self, name: &str, right: Right, absent: fn() -> Trouble) -> Result<Placed, Trouble> {
        match self.find(name).await? {
            Some(placed) if placed.rights.has(right) => Ok(placed),
            Some(placed) if placed.rights.has(Right::Lookup) => Err(forbidden()),
            _ => Err(absent()),
        }
    }

    /// Every mailbox of others that is to be listed, by name.
    pub(crate) async fn others(&self) -> Result<Vec<Placed>, Trouble> {
        let me = self.account()?;
        let store = self.store();
        let mut others = Vec::new();
        let mut last: Option<(AccountId, String)> = None;
        for (account, mailbox, bits) in store.shared_with(me.id, &me.address) {
            let rights = Rights::from_bits(bits);
            if !rights.has(Right::Lookup) {
                continue;
            }
            if last.as_ref().is_none_or(|(of, _)| *of != account) {
                let Some(owner) = store.account_by_id(account).await? else { continue };
                let prefix = if store.acl_root(account).is_some() { SHARED } else { OTHER_USERS };
                last = Some((account, format!("{prefix}/{}", owner.address)));
            }
            let Some((_, prefix)) = &last else { continue };
            let list = store.mailboxes(account).await?;
            if let Some(found) = list.iter().find(|one| one.id == mailbox) {
                others.push(renamed(account, found.clone(), rights, prefix));
            }
        }
        others.sort_by(|one, other| one.mailbox.name.cmp(&other.mailbox.name));
        Ok(others)
    }

    /// All that is to be listed: one's own first.
    pub(crate) async fn all_places(&self) -> Result<Vec<Placed>, Trouble> {
        let me = self.account_id()?;
        let own = self.store().mailboxes(me).await?;
        let mut all: Vec<Placed> = own.iter().map(|mailbox| Placed::own(me, mailbox.clone())).collect();
        let mut others = self.others().await?;
        if !others.is_empty() {
            let elsewhere = self.store().subscriptions_elsewhere(me).await?;
            for placed in &mut others {
                placed.mailbox.subscribed = elsewhere.contains(&placed.mailbox.name);
            }
            others.retain(|placed| !own.iter().any(|mailbox| mailbox.name == placed.mailbox.name));
            all.append(&mut others);
        }
        Ok(all)
    }

    /// Where a new mailbox of this name would lie: the account and its name there. Refused without the right `k` on what
    /// it would lie under (RFC 4314 §4).
    pub(crate) async fn may_create<'a>(&self, name: &'a str) -> Result<(AccountId, &'a str), Trouble> {
        let me = self.account_id()?;
        match meant(name) {
            Meant::Own => Ok((me, name)),
            Meant::Above => Err(no(Code::Cannot, "That name is kept for mailboxes of others")),
            Meant::Foreign { shared, address, rest } => {
                let account = self.foreign(self.account()?, shared, address).await?.ok_or_else(forbidden)?;
                let rights = self.rights_above(account, rest).await?;
                if rights.has(Right::Create) && !rest.is_empty() { Ok((account, rest)) } else { Err(forbidden()) }
            }
        }
    }

    /// On the nearest mailbox above a name that is there, or on the account itself.
    async fn rights_above(&self, account: AccountId, name: &str) -> Result<Rights, Trouble> {
        let mut above = name;
        while let Some((superior, _)) = above.rsplit_once('/') {
            if let Some(found) = self.store().mailbox(account, superior).await? {
                return self.rights_on((account, found.id));
            }
            above = superior;
        }
        let address = &self.account()?.address;
        Ok(Rights::from_bits(self.context.store.acl_root(account).map_or(0, |acl| acl.granted(address))))
    }
}

fn renamed(account: AccountId, mailbox: Mailbox, rights: Rights, prefix: &str) -> Placed {
    let own_name = mailbox.name.clone();
    let name = SmolStr::from(format!("{prefix}/{own_name}"));
    // Its uses and its owner's subscription are its owner's.
    Placed { account, mailbox: Mailbox { name, special_use: None, subscribed: false, ..mailbox }, own_name, rights }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_others_or_stay() {
        assert_eq!(meant("INBOX"), Meant::Own);
        assert_eq!(meant("Shared documents/x"), Meant::Own);
        assert_eq!(meant("Shared"), Meant::Above);
        let bob = Meant::Foreign { shared: false, address: "bob@here.test", rest: "INBOX/a" };
        assert_eq!(meant("Other Users/bob@here.test/INBOX/a"), bob);
        assert_eq!(meant("Shared/sales@here.test"), Meant::Foreign { shared: true, address: "sales@here.test", rest: "" });
    }

    #[test]
    fn flags_by_right() {
        let all = mask(Rights::ALL);
        assert!(all.keywords && all.system == 31);
        let seen = mask(Rights::of(&[Right::Read, Right::Seen]));
        assert_eq!((seen.system, seen.keywords), (Flags::SEEN, false));
        assert!(only_reads(Rights::of(&[Right::Lookup, Right::Read, Right::Administer])));
        assert!(!only_reads(Rights::of(&[Right::Insert])));
    }
}
