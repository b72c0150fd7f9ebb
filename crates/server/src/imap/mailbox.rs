//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4-§6.3.8, RFC 6154 §3, RFC 8474 §4).

use super::failure::{Outcome, Trouble, done, done_with, no};
use super::object_id;
use super::place::Placed;
use super::session::Session;
use crate::context::unix_now;
use store::{SpecialUse, Store, StoreError};
use wire::imap::acl::Right;
use wire::imap::list::{ListKind, ListResponse, MailboxAttribute};
use wire::imap::response::Response;
use wire::imap::{Code, MailboxName};

impl Session {
    /// CREATE; a trailing delimiter only says that inferiors will come (§6.3.4).
    pub(crate) async fn create(&mut self, mailbox: &MailboxName, uses: &[MailboxAttribute]) -> Outcome {
        let name = mailbox.as_str().strip_suffix('/').unwrap_or(mailbox.as_str());
        let (account, name) = self.may_create(name).await?;
        let use_attribute = || no(Code::UseAttr, "A mailbox cannot have that use");
        let special_use = match uses {
            [] => None,
            [one] => Some(special_use(one).ok_or_else(use_attribute)?),
            _ => return Err(use_attribute()),
        };
        if special_use.is_some() && self.store().mailboxes(account).await?.iter().any(|other| other.special_use == special_use) {
            return Err(no(Code::UseAttr, "Another mailbox has that use"));
        }
        let created = self.store().mailbox_create(account, name, special_use, unix_now()).await?;
        let made = created.name.as_str();
        if made != name {
            let asked = mailbox.as_str().strip_suffix('/').unwrap_or(mailbox.as_str());
            let prefix = asked.strip_suffix(name).unwrap_or_default();
            self.tell_new_name(&format!("{prefix}{made}"), asked);
        }
        done_with(Code::MailboxId(object_id::of_mailbox(account, created.id)), "Created")
    }

    /// DELETE.
    pub(crate) async fn delete(&mut self, mailbox: &MailboxName) -> Outcome {
        let found = self.find_for(mailbox.as_str(), Right::DeleteMailbox).await?;
        match self.store().mailbox_delete(found.account, &found.own_name, unix_now()).await {
            Err(StoreError::Invalid(why)) => return Err(self.undeletable(&found, why).await?),
            other => other?,
        }
        if self.view.as_ref().is_some_and(|view| (view.account, view.mailbox.id) == found.id()) {
            self.leave();
        }
        done("Deleted")
    }

    async fn undeletable(&self, found: &Placed, why: &'static str) -> Result<Trouble, Trouble> {
        let name = found.own_name.as_str();
        if name.eq_ignore_ascii_case("INBOX") {
            return Ok(no(Code::Cannot, "INBOX cannot be deleted"));
        }
        let inferior = format!("{name}/");
        let mailboxes = self.store().mailboxes(found.account).await?;
        if mailboxes.iter().any(|other| other.name.starts_with(&inferior)) {
            return Ok(no(Code::HasChildren, "Delete the mailboxes below it first"));
        }
        Ok(no(Code::Cannot, why))
    }

    /// RENAME; INBOX stays and is emptied into the new mailbox (§6.3.6), which is the store's affair.
    pub(crate) async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Outcome {
        let asked = to.as_str().strip_suffix('/').unwrap_or(to.as_str());
        let old = from;
        let from = self.find_for(from.as_str(), Right::DeleteMailbox).await?;
        let (account, to) = self.may_create(asked).await?;
        if account != from.account {
            return Err(no(Code::Cannot, "A mailbox cannot be given to somebody else; copy its messages"));
        }
        self.store().mailbox_rename(account, &from.own_name, to, unix_now()).await?;
        let prefix = asked.strip_suffix(to).unwrap_or_default();
        self.tell_new_name(&format!("{prefix}{}", Store::mailbox_name(to)), old.as_str());
        done("Renamed")
    }

    /// SUBSCRIBE and UNSUBSCRIBE; the name need not exist (§6.3.7).
    pub(crate) async fn subscribe(&mut self, mailbox: &MailboxName, subscribed: bool) -> Outcome {
        let account = self.account_id()?;
        let name = mailbox.as_str().strip_suffix('/').unwrap_or(mailbox.as_str());
        let name = match self.store().mailbox(account, name).await? {
            Some(found) => found.name,
            None => Store::mailbox_name(name),
        };
        self.store().mailbox_subscribe(account, &name, subscribed).await?;
        done(if subscribed { "Subscribed" } else { "Unsubscribed" })
    }
}

impl Session {
    /// A mailbox is called otherwise than the client said or knew (RFC 9051 §6.3.9.7).
    fn tell_new_name(&mut self, now: &str, old: &str) {
        if self.rev2 {
            self.wire.untagged(&Response::List(ListResponse {
                kind: ListKind::List,
                attributes: Vec::new(),
                delimiter: Some('/'),
                name: MailboxName::new(now),
                child_info: Vec::new(),
                old_name: Some(MailboxName::new(old)),
            }));
        }
    }
}

/// RFC 6154 §2: the attribute as the store keeps it.
pub(crate) fn special_use(attribute: &MailboxAttribute) -> Option<SpecialUse> {
    USES.iter().find(|(_, known)| known == attribute).map(|(use_, _)| *use_)
}

/// RFC 6154 §2: the attribute of a use.
pub(crate) fn attribute(special_use: SpecialUse) -> MailboxAttribute {
    let found = USES.iter().find(|(known, _)| *known == special_use);
    found.map_or(MailboxAttribute::All, |(_, attribute)| attribute.clone())
}

const USES: [(SpecialUse, MailboxAttribute); 8] = [
    (SpecialUse::All, MailboxAttribute::All),
    (SpecialUse::Archive, MailboxAttribute::Archive),
    (SpecialUse::Drafts, MailboxAttribute::Drafts),
    (SpecialUse::Flagged, MailboxAttribute::Flagged),
    (SpecialUse::Junk, MailboxAttribute::Junk),
    (SpecialUse::Sent, MailboxAttribute::Sent),
    (SpecialUse::Trash, MailboxAttribute::Trash),
    (SpecialUse::Important, MailboxAttribute::Important),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_map_both_ways() {
        for (use_, name) in USES {
            assert_eq!(special_use(&name), Some(use_));
            assert_eq!(attribute(use_), name);
        }
        assert_eq!(special_use(&MailboxAttribute::Marked), None);
    }
}
