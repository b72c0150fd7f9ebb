//! Access lists and accounts that nobody owns: what the operator does with them.

use super::{Admin, Answer, told};
use serde::{Deserialize, Serialize};
use serde_json::json;
use server::context::unix_now;
use store::{ANYONE, Account, AclChange, Mailbox, MailboxId, NewAccount, Secrets};
use wire::imap::acl::Rights;

/// Every mailbox.
const ALL_MAILBOXES: &str = "*";

/// One act.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "kebab-case")]
pub(crate) enum AccessDeed {
    List { address: String, mailbox: Option<String> },
    Set { address: String, mailbox: String, identifier: String, rights: String },
    SharedAdd { address: String, admins: Vec<String>, quota_bytes: Option<u64> },
    SharedList,
}

impl Admin {
    pub(super) async fn access(&self, deed: AccessDeed) -> Answer {
        match deed {
            AccessDeed::List { address, mailbox } => self.access_list(&address, mailbox.as_deref()).await,
            AccessDeed::Set { address, mailbox, identifier, rights } => {
                self.access_set(&address, &mailbox, &identifier, change_of(&rights)?).await
            }
            AccessDeed::SharedAdd { address, admins, quota_bytes } => self.shared_add(&address, &admins, quota_bytes).await,
            AccessDeed::SharedList => self.shared_list().await,
        }
    }

    async fn mailboxes_meant(&self, account: &Account, mailbox: &str) -> Result<Vec<Mailbox>, String> {
        if mailbox == ALL_MAILBOXES {
            return Ok(self.store.mailboxes(account.id).await.map_err(|error| told(&error))?.to_vec());
        }
        let found = self.store.mailbox(account.id, mailbox).await.map_err(|error| told(&error))?;
        found.map(|found| vec![found]).ok_or_else(|| format!("{} has no mailbox {mailbox}", account.address))
    }

    async fn access_list(&self, address: &str, mailbox: Option<&str>) -> Answer {
        let account = self.find(address).await?;
        let mut list = Vec::new();
        for mailbox in self.mailboxes_meant(&account, mailbox.unwrap_or(ALL_MAILBOXES)).await? {
            let Some(acl) = self.store.acl(account.id, mailbox.id) else { continue };
            let entries = acl.entries.iter().map(|(identifier, bits)| {
                json!({ "identifier": identifier.as_str(), "rights": Rights::from_bits(*bits).letters(false) })
            });
            list.push(json!({ "mailbox": mailbox.name.as_str(), "entries": entries.collect::<Vec<_>>() }));
        }
        Ok(json!({ "address": account.address, "shared": self.store.acl_root(account.id).is_some(), "access": list }))
    }

    async fn access_set(&self, address: &str, mailbox: &str, identifier: &str, change: AclChange) -> Answer {
        let account = self.find(address).await?;
        let name = identifier.strip_prefix('-').unwrap_or(identifier);
        let gives = !matches!(change, AclChange::Replace(0) | AclChange::Remove(_));
        if gives && !name.eq_ignore_ascii_case(ANYONE) {
            self.find(name).await?;
        }
        if store::normalise(name) == account.address {
            return Err(format!("{} is the owner and has all rights, always", account.address));
        }
        let mut changed = Vec::new();
        for mailbox in self.mailboxes_meant(&account, mailbox).await? {
            self.acl_change(&account, mailbox.id, identifier, change).await?;
            changed.push(mailbox.name.to_string());
        }
        if mailbox == ALL_MAILBOXES && self.store.acl_root(account.id).is_some() {
            self.store.acl_change_root(account.id, identifier, change).await.map_err(|error| told(&error))?;
        }
        Ok(json!({ "address": account.address, "identifier": identifier, "changed": changed }))
    }

    async fn acl_change(&self, account: &Account, mailbox: MailboxId, identifier: &str, change: AclChange) -> Result<(), String> {
        self.store.acl_change(account.id, mailbox, identifier, change).await.map_err(|error| told(&error))
    }

    /// An account nobody can sign in to. Cut short, it is made whole by the same command.
    async fn shared_add(&self, address: &str, admins: &[String], quota_bytes: Option<u64>) -> Answer {
        for admin in admins {
            self.find(admin).await?;
        }
        let nobody = Secrets { argon2: String::new(), scram: None };
        let half_made = self.store.account(address).await.map_err(|error| told(&error))?;
        let account = match half_made.filter(|account| account.secrets == nobody && self.store.acl_root(account.id).is_none()) {
            Some(account) => account,
            None => {
                self.may_add(address).await?;
                let new = NewAccount { address: address.to_owned(), secrets: nobody, quota_bytes };
                self.store.accounts_add(vec![new], unix_now()).await.map_err(|error| told(&error))?;
                self.find(address).await?
            }
        };
        self.store.account_share(account.id).await.map_err(|error| told(&error))?;
        for admin in admins {
            self.access_set(address, ALL_MAILBOXES, admin, AclChange::Replace(Rights::ALL.bits())).await?;
        }
        Ok(json!({ "added": [account.address] }))
    }

    async fn shared_list(&self) -> Answer {
        let mut list = Vec::new();
        for account in self.store.account_list(None, usize::MAX).await.map_err(|error| told(&error))? {
            if self.store.acl_root(account.id).is_some() {
                list.push(self.view(&account).await?);
            }
        }
        Ok(json!({ "accounts": list }))
    }
}

fn change_of(rights: &str) -> Result<AclChange, String> {
    let (sign, letters) = match rights.split_at_checked(1) {
        Some((sign @ ("+" | "-"), letters)) => (sign, letters),
        _ => ("", rights),
    };
    let rights = match letters {
        "all" => Some(Rights::ALL),
        letters => Rights::from_letters(letters.as_bytes()),
    };
    let bits = rights.ok_or_else(|| format!("`{letters}`: rights are letters of lrswipkxtea, or `all`"))?.bits();
    Ok(match sign {
        "+" => AclChange::Add(bits),
        "-" => AclChange::Remove(bits),
        _ => AclChange::Replace(bits),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_as_the_operator_writes_them() {
        assert_eq!(change_of("all"), Ok(AclChange::Replace(Rights::ALL.bits())));
        assert_eq!(change_of("+lr"), Ok(AclChange::Add(0b11)));
        assert_eq!(change_of("-r"), Ok(AclChange::Remove(0b10)));
        assert_eq!(change_of(""), Ok(AclChange::Replace(0)));
        assert!(change_of("lq").is_err());
    }
}
