//! QUOTA (RFC 9208): one quota root, `""`, is the whole account; every mailbox of one's own lies in it.
//!
//! Invariant: each limit told is one the store enforces. Limits are the administrator's affair: QUOTASET is announced, and
//! SETQUOTA done, for the accounts that the configuration names; the owner of an account never widens it.

use super::failure::{Outcome, Trouble, done, no};
use super::place::{Meant, meant};
use super::session::Session;
use store::AccountId;
use store::limits::{MAILBOXES_MAX, MESSAGES_MAX};
use wire::imap::Code;
use wire::imap::acl::Right;
use wire::imap::quota::{QuotaCommand, QuotaResource, QuotaResponse};
use wire::imap::response::Response;

/// The whole account.
const ROOT: &str = "";

/// The unit of STORAGE, octets.
const UNIT: u64 = 1024;

impl Session {
    /// GETQUOTA, GETQUOTAROOT, SETQUOTA.
    pub(crate) async fn quota(&mut self, command: QuotaCommand) -> Outcome {
        match command {
            QuotaCommand::Get { root } => {
                let account = self.account_of_root(&root).await?;
                self.tell_quota(account, root).await?;
            }
            QuotaCommand::GetRoot { mailbox } => {
                let (account, root) = self.root_of(mailbox.as_str()).await?;
                self.wire.untagged(&Response::QuotaRoot { mailbox, roots: vec![root.clone()] });
                self.tell_quota(account, root).await?;
            }
            QuotaCommand::Set { root, limits } => {
                if !self.sets_quotas()? {
                    return Err(no(Code::NoPerm, "Only the administrator sets quotas"));
                }
                let account = self.account_of_root(&root).await?;
                self.store().account_quota(account, octets_of(&limits)?).await?;
                self.tell_quota(account, root).await?;
            }
        }
        done("Quota told")
    }

    /// One's own root is `""`; another account's is its name in front of its mailboxes, for who may read one of them
    /// (RFC 9208 §4.3: the right `r`).
    async fn root_of(&self, mailbox: &str) -> Result<(AccountId, String), Trouble> {
        let Meant::Foreign { .. } = meant(mailbox) else { return Ok((self.account_id()?, ROOT.to_owned())) };
        let placed = self.find_for(mailbox, Right::Read).await?;
        if placed.account == self.account_id()? {
            return Ok((placed.account, ROOT.to_owned()));
        }
        let root = placed.mailbox.name.strip_suffix(placed.own_name.as_str()).unwrap_or_default();
        Ok((placed.account, root.trim_end_matches('/').to_owned()))
    }

    fn sets_quotas(&self) -> Result<bool, Trouble> {
        Ok(self.context.imap.settings.sets_quotas(&self.account()?.address))
    }

    async fn account_of_root(&self, root: &str) -> Result<AccountId, Trouble> {
        if root == ROOT {
            return self.account_id();
        }
        if let (true, Meant::Foreign { shared, address, rest: "" }) = (self.sets_quotas()?, meant(root)) {
            let found = self.foreign(self.account()?, shared, address).await?;
            return found.ok_or_else(|| no(Code::NonExistent, "There is no such quota root"));
        }
        let below = format!("{root}/");
        let others = self.others().await?;
        let found = others.iter().find(|placed| placed.mailbox.name.starts_with(&below) && placed.rights.has(Right::Read));
        match (found, meant(root)) {
            (Some(placed), Meant::Foreign { rest: "", .. }) => Ok(placed.account),
            _ => Err(no(Code::NonExistent, "There is no such quota root")),
        }
    }

    async fn tell_quota(&mut self, account: AccountId, root: String) -> Result<(), Trouble> {
        let usage = self.store().usage(account).await?;
        // Rounded down, so that the limit told is never more than there is.
        let storage = usage.quota_bytes.map(|quota| (QuotaResource::Storage, usage.bytes.div_ceil(UNIT), quota / UNIT));
        let counted = [
            (QuotaResource::Message, usage.messages, MESSAGES_MAX),
            (QuotaResource::Mailbox, usage.mailboxes, MAILBOXES_MAX as u64),
        ];
        let resources = storage.into_iter().chain(counted).collect();
        self.wire.untagged(&Response::Quota(QuotaResponse { root, resources }));
        Ok(())
    }
}

/// What SETQUOTA asks for; nothing takes the limit away (RFC 9208 §4.1.3).
fn octets_of(limits: &[(QuotaResource, u64)]) -> Result<Option<u64>, Trouble> {
    match limits {
        [] => Ok(None),
        [(QuotaResource::Storage, units)] => Ok(Some(units.saturating_mul(UNIT))),
        _ => Err(no(Code::Cannot, "Only STORAGE can be set")),
    }
}
