//! QUOTA (RFC 9208): one quota root, `""`, is the whole account; every mailbox lies in it.
//!
//! Invariant: each limit told is one the store enforces. Limits are the administrator's affair: QUOTASET is not announced
//! and SETQUOTA is refused, the owner of an account never widens it.

use super::failure::{Outcome, Trouble, done, no};
use super::session::Session;
use store::limits::{MAILBOXES_MAX, MESSAGES_MAX};
use wire::imap::Code;
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
            QuotaCommand::Get { root } if root == ROOT => self.tell_quota().await?,
            QuotaCommand::Get { .. } => return Err(no(Code::NonExistent, "There is no such quota root")),
            // The mailbox need not exist (§4.2).
            QuotaCommand::GetRoot { mailbox } => {
                self.wire.untagged(&Response::QuotaRoot { mailbox, roots: vec![ROOT.to_owned()] });
                self.tell_quota().await?;
            }
            QuotaCommand::Set { .. } => return Err(no(Code::NoPerm, "Only the administrator sets quotas")),
        }
        done("Quota told")
    }

    async fn tell_quota(&mut self) -> Result<(), Trouble> {
        let usage = self.store().usage(self.account_id()?).await?;
        // Rounded down, so that the limit told is never more than there is.
        let storage = usage.quota_bytes.map(|quota| (QuotaResource::Storage, usage.bytes.div_ceil(UNIT), quota / UNIT));
        let counted = [
            (QuotaResource::Message, usage.messages, MESSAGES_MAX),
            (QuotaResource::Mailbox, usage.mailboxes, MAILBOXES_MAX as u64),
        ];
        let resources = storage.into_iter().chain(counted).collect();
        self.wire.untagged(&Response::Quota(QuotaResponse { root: ROOT.to_owned(), resources }));
        Ok(())
    }
}
