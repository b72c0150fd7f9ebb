//! GETACL, SETACL, DELETEACL, LISTRIGHTS, MYRIGHTS (RFC 4314).
//!
//! An owner has every right for ever. A name without `@` is of the mailbox's own domain. Invariant: lists are told only to
//! who has `a`; to everybody else a mailbox they may not see is not there.

use super::failure::{Outcome, Trouble, done, no};
use super::place::Placed;
use super::session::Session;
use smol_str::SmolStr;
use store::{ANYONE, AclChange, StoreError};
use wire::imap::acl::{AclCommand, AclResponse, ListRightsResponse, Right, Rights, RightsChange};
use wire::imap::response::Response;
use wire::imap::{Code, MailboxName};

impl Session {
    /// The five commands.
    pub(crate) async fn acl(&mut self, command: AclCommand) -> Outcome {
        match command {
            AclCommand::MyRights { mailbox } => {
                let Some(placed) = self.find(mailbox.as_str()).await? else {
                    return Err(Session::nonexistent("There is no such mailbox"));
                };
                self.tell_my_rights(&placed);
                done("Your rights")
            }
            AclCommand::Get { mailbox } => {
                let placed = self.find_for(mailbox.as_str(), Right::Administer).await?;
                let mut entries = vec![(self.owner_of(&placed).await?, Rights::ALL)];
                if let Some(acl) = self.context.store.acl(placed.account, placed.mailbox.id) {
                    entries.extend(acl.entries.iter().map(|(name, bits)| (name.to_string(), Rights::from_bits(*bits))));
                }
                let mailbox = MailboxName::new(&placed.mailbox.name);
                self.wire.untagged(&Response::Acl(AclResponse { mailbox, entries }));
                done("The access list")
            }
            AclCommand::ListRights { mailbox, identifier } => {
                let placed = self.find_for(mailbox.as_str(), Right::Administer).await?;
                let owner = self.owner_of(&placed).await?;
                let is_owner = completed(&identifier, &owner) == owner;
                let required = if is_owner { Rights::ALL } else { Rights::NONE };
                let optional = if is_owner { Vec::new() } else { Rights::ALL.one_by_one().collect() };
                let mailbox = MailboxName::new(&placed.mailbox.name);
                self.wire.untagged(&Response::ListRights(ListRightsResponse { mailbox, identifier, required, optional }));
                done("Rights that may be given")
            }
            AclCommand::Set { mailbox, identifier, change } => {
                let change = match change {
                    RightsChange::Replace(rights) => AclChange::Replace(rights.bits()),
                    RightsChange::Add(rights) => AclChange::Add(rights.bits()),
                    RightsChange::Remove(rights) => AclChange::Remove(rights.bits()),
                };
                self.change_acl(&mailbox, &identifier, change).await
            }
            AclCommand::Delete { mailbox, identifier } => self.change_acl(&mailbox, &identifier, AclChange::Replace(0)).await,
        }
    }

    /// `* MYRIGHTS`
    pub(crate) fn tell_my_rights(&mut self, placed: &Placed) {
        let mailbox = MailboxName::new(&placed.mailbox.name);
        self.wire.untagged(&Response::MyRights { mailbox, rights: placed.rights });
    }

    async fn owner_of(&self, placed: &Placed) -> Result<String, Trouble> {
        let owner = self.store().account_by_id(placed.account).await?;
        owner.map(|owner| owner.address.clone()).ok_or_else(|| Session::nonexistent("There is no such mailbox"))
    }

    async fn change_acl(&mut self, mailbox: &MailboxName, identifier: &str, change: AclChange) -> Outcome {
        let placed = self.find_for(mailbox.as_str(), Right::Administer).await?;
        let owner = self.owner_of(&placed).await?;
        let identifier = completed(identifier, &owner);
        let name = identifier.strip_prefix('-').unwrap_or(&identifier);
        if name == owner {
            return Err(no(Code::Cannot, "The owner has all rights, always"));
        }
        // Whoever is gone may still be taken off.
        let gives = !matches!(change, AclChange::Replace(0) | AclChange::Remove(_));
        if gives && name != ANYONE && self.store().account(name).await?.is_none() {
            return Err(no(Code::NonExistent, "There is no such account"));
        }
        match self.store().acl_change(placed.account, placed.mailbox.id, &identifier, change).await {
            Err(StoreError::NotFound) => Err(Session::nonexistent("There is no such mailbox")),
            Err(error) => Err(error.into()),
            Ok(()) => done("The access list was changed"),
        }
    }
}

/// An identifier as lists keep it: a bare name gets the domain of `owner`.
fn completed(identifier: &str, owner: &str) -> SmolStr {
    let (sign, name) = match identifier.strip_prefix('-') {
        Some(name) => ("-", name),
        None => ("", identifier),
    };
    if name.eq_ignore_ascii_case(ANYONE) {
        return SmolStr::from(format!("{sign}{ANYONE}"));
    }
    let domain = owner.rsplit_once('@').map_or("", |(_, domain)| domain);
    let name = if name.contains('@') { name.to_owned() } else { format!("{name}@{domain}") };
    SmolStr::from(format!("{sign}{}", store::normalise(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_are_of_the_owners_domain() {
        assert_eq!(completed("Bob", "ann@here.test"), "bob@here.test");
        assert_eq!(completed("-bob@There.test", "ann@here.test"), "-bob@there.test");
        assert_eq!(completed("ANYONE", "ann@here.test"), "anyone");
    }
}
