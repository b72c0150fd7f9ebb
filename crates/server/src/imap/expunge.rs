//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9).
//!
//! Invariant: only messages this session knows as \Deleted, and that still are when it is done, go, and only after the
//! commit are they told as gone.

use super::failure::{Outcome, Trouble, done, done_with};
use super::session::Session;
use crate::context::unix_now;
use store::{Flags, Uid};
use wire::imap::acl::Right;
use wire::imap::{Code, SequenceSet};

impl Session {
    /// EXPUNGE; with a set UID EXPUNGE. The EXPUNGE responses are told by the sync at the end of the command.
    pub(crate) async fn expunge(&mut self, uids: Option<&SequenceSet>) -> Outcome {
        self.sync(true).await?;
        self.writable()?.require(Right::Expunge)?;
        let named = uids.map(|set| self.resolve_uids(set, true)).transpose()?;
        let before = self.view()?.exists();
        let cut = self.expunge_deleted(named.as_deref()).await?;
        self.sync(true).await?;
        let view = self.view()?;
        let outcome = match self.condstore && view.exists() < before {
            // RFC 7162 §3.2.7: so that the client need not ask.
            true => done_with(Code::HighestModSeq(view.mod_seq.0), "Expunged"),
            false => done("Expunged"),
        };
        self.ended(outcome, cut)
    }

    /// Expunges what is \Deleted, of all or of those named (ascending; of these only so many as one command may).
    pub(crate) async fn expunge_deleted(&mut self, named: Option<&[Uid]>) -> Result<Option<Code>, Trouble> {
        let view = self.view()?;
        let (account, rows) = (view.account, view.rows());
        let (uids, cut) = match named {
            // Only they are looked at: it may be one of a hundred thousand.
            Some(named) => {
                let deleted = rows.pick(named).filter(|(_, row)| row.flags.system & Flags::DELETED != 0);
                self.newest_uids(deleted.map(|(_, row)| row.uid).collect())
            }
            None => (rows.with_flag(Flags::DELETED).collect(), None),
        };
        if !uids.is_empty() {
            let mailbox = self.view()?.mailbox.id;
            self.acting().expunge_deleted(account, mailbox, &uids, unix_now()).await?;
        }
        Ok(cut)
    }
}
