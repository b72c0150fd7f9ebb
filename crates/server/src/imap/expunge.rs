//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9).
//!
//! Invariant: only messages this session knows as \Deleted, and that still are when it is done, go, and only after the
//! commit are they told as gone.

use super::failure::{Outcome, Trouble, done, done_with};
use super::session::Session;
use crate::context::unix_now;
use store::{Flags, Uid};
use wire::imap::acl::Right;
use wire::imap::{Code, NumberSet, SequenceSet};

impl Session {
    /// EXPUNGE; with a set UID EXPUNGE. The EXPUNGE responses are told by the sync at the end of the command.
    pub(crate) async fn expunge(&mut self, uids: Option<&SequenceSet>) -> Outcome {
        self.sync(true).await?;
        self.writable()?.require(Right::Expunge)?;
        let named = match uids {
            Some(set) => Some(self.resolve_uids(set, true)?.iter().map(|uid| uid.0).collect()),
            None => None,
        };
        let before = self.view()?.exists();
        let cut = self.expunge_deleted(named.as_ref()).await?;
        self.sync(true).await?;
        let view = self.view()?;
        let outcome = match self.condstore && view.exists() < before {
            // RFC 7162 §3.2.7: so that the client need not ask.
            true => done_with(Code::HighestModSeq(view.mod_seq.0), "Expunged"),
            false => done("Expunged"),
        };
        self.ended(outcome, cut)
    }

    /// Expunges what is \Deleted, of all or of those named (of these only so many as one command may).
    pub(crate) async fn expunge_deleted(&mut self, named: Option<&NumberSet>) -> Result<Option<Code>, Trouble> {
        let view = self.view()?;
        let account = view.account;
        let deleted = view.rows().with_flag(Flags::DELETED);
        let uids: Vec<Uid> = deleted.filter(|uid| named.is_none_or(|named| named.contains(uid.0))).collect();
        let (uids, cut) = if named.is_some() { self.newest_uids(uids) } else { (uids, None) };
        if !uids.is_empty() {
            let mailbox = self.view()?.mailbox.id;
            self.acting().expunge_deleted(account, mailbox, &uids, unix_now()).await?;
        }
        Ok(cut)
    }
}
