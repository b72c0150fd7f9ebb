//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8): all or none, with COPYUID.
//!
//! Invariant: messages that are gone already are passed over; a MOVE that finds none is OK, never a reason to try again.

use super::failure::{Outcome, Trouble, done, done_with, no};
use super::session::Session;
use crate::context::unix_now;
use store::{Copied, Mailbox, StoreError};
use wire::imap::{Code, MailboxName, SequenceSet};

impl Session {
    /// COPY and UID COPY.
    pub(crate) async fn copy(&mut self, uid: bool, set: &SequenceSet, to: &MailboxName) -> Outcome {
        self.sync(uid).await?;
        let uids = self.resolve_uids(set, uid)?;
        let target = self.target(to).await?;
        if uids.is_empty() {
            return done("There are no such messages");
        }
        let (account, from) = (self.account_id()?, self.view()?.mailbox.id);
        let copied = self.store().copy(account, from, &uids, target.id).await.map_err(gone_meanwhile)?;
        match copy_uid(&copied) {
            Some(code) => done_with(code, "Copied"),
            None => done("There are no such messages"),
        }
    }

    /// MOVE and UID MOVE: COPYUID comes untagged, before the EXPUNGEs (RFC 6851 §4.3).
    pub(crate) async fn move_(&mut self, uid: bool, set: &SequenceSet, to: &MailboxName) -> Outcome {
        self.sync(uid).await?;
        self.writable()?;
        let uids = self.resolve_uids(set, uid)?;
        let target = self.target(to).await?;
        let (account, from) = (self.account_id()?, self.view()?.mailbox.id);
        let copied = match uids.is_empty() {
            true => Copied::default(),
            false => self.store().move_(account, from, &uids, target.id, unix_now()).await.map_err(gone_meanwhile)?,
        };
        if let Some(code) = copy_uid(&copied) {
            self.untagged_ok(code, "Moved");
        }
        done("Moved")
    }

    /// The mailbox copies go to; a missing one may be created (TRYCREATE).
    pub(crate) async fn target(&self, name: &MailboxName) -> Result<Mailbox, Trouble> {
        let found = self.store().mailbox(self.account_id()?, name.as_str()).await?;
        found.ok_or_else(|| no(Code::TryCreate, "There is no such mailbox"))
    }
}

/// UIDs that are gone the store passes over; what is not found is a mailbox.
fn gone_meanwhile(error: StoreError) -> Trouble {
    match error {
        StoreError::NotFound => no(Code::TryCreate, "The mailbox was deleted meanwhile"),
        other => other.into(),
    }
}

/// `None` when nothing was copied.
fn copy_uid(copied: &Copied) -> Option<Code> {
    if copied.pairs.is_empty() {
        return None;
    }
    Some(Code::CopyUid {
        uid_validity: copied.uid_validity,
        source: copied.pairs.iter().map(|(source, _)| source.0).collect(),
        destination: copied.pairs.iter().map(|(_, destination)| destination.0).collect(),
    })
}
