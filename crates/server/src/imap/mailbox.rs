//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4-§6.3.8, RFC 6154 §3, RFC 8474 §4).

use super::failure::{Outcome, Trouble, done, done_with, no};
use super::object_id;
use super::session::Session;
use crate::context::unix_now;
use store::{SpecialUse, StoreError};
use wire::imap::list::MailboxAttribute;
use wire::imap::{Code, MailboxName};

impl Session {
    /// CREATE; a trailing delimiter only says that inferiors will come (§6.3.4).
    pub(crate) async fn create(&mut self, mailbox: &MailboxName, uses: &[MailboxAttribute]) -> Outcome {
        let name = mailbox.as_str().strip_suffix('/').unwrap_or(mailbox.as_str());
        let account = self.account_id()?;
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
        done_with(Code::MailboxId(object_id::of_mailbox(account, created.id)), "Created")
    }

    /// DELETE.
    pub(crate) async fn delete(&mut self, mailbox: &MailboxName) -> Outcome {
        let account = self.account_id()?;
        let store = self.store();
        let Some(found) = store.mailbox(account, mailbox.as_str()).await? else {
            return Err(Session::nonexistent("There is no such mailbox"));
        };
        match store.mailbox_delete(account, &found.name, unix_now()).await {
            Err(StoreError::Invalid(why)) => return Err(self.undeletable(&found.name, why).await?),
            other => other?,
        }
        if self.view.as_ref().is_some_and(|view| view.mailbox.id == found.id) {
            self.leave();
        }
        done("Deleted")
    }

    async fn undeletable(&self, name: &str, why: &'static str) -> Result<Trouble, Trouble> {
        if name.eq_ignore_ascii_case("INBOX") {
            return Ok(no(Code::Cannot, "INBOX cannot be deleted"));
        }
        let inferior = format!("{name}/");
        let mailboxes = self.store().mailboxes(self.account_id()?).await?;
        if mailboxes.iter().any(|other| other.name.starts_with(&inferior)) {
            return Ok(no(Code::HasChildren, "Delete the mailboxes below it first"));
        }
        Ok(no(Code::Cannot, why))
    }

    /// RENAME; INBOX stays and is emptied into the new mailbox (§6.3.6), which is the store's affair.
    pub(crate) async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Outcome {
        let account = self.account_id()?;
        let to = to.as_str().strip_suffix('/').unwrap_or(to.as_str());
        self.store().mailbox_rename(account, from.as_str(), to, unix_now()).await?;
        done("Renamed")
    }

    /// SUBSCRIBE and UNSUBSCRIBE; the name need not exist (§6.3.7).
    pub(crate) async fn subscribe(&mut self, mailbox: &MailboxName, subscribed: bool) -> Outcome {
        let account = self.account_id()?;
        let name = mailbox.as_str().strip_suffix('/').unwrap_or(mailbox.as_str());
        self.store().mailbox_subscribe(account, name, subscribed).await?;
        done(if subscribed { "Subscribed" } else { "Unsubscribed" })
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
