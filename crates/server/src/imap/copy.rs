//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8): all or none, with COPYUID.
//!
//! Messages that another session expunged: UIDs that are not there are passed over, as for every UID command. A COPY by
//! number that names one copies nothing and says NO [EXPUNGEISSUED] (RFC 2180 §4.4.1): the client believes it to be there and
//! would take the copy for complete. A MOVE that finds none is OK, never a reason to try again.

use super::failure::{Outcome, Trouble, done, done_with, no};
use super::place::{Placed, mask};
use super::session::Session;
use crate::context::unix_now;
use store::{Copied, StoreError};
use wire::imap::acl::Right;
use wire::imap::{Code, MailboxName, SequenceSet};

impl Session {
    /// COPY and UID COPY.
    pub(crate) async fn copy(&mut self, uid: bool, set: &SequenceSet, to: &MailboxName) -> Outcome {
        self.sync(uid).await?;
        let named: usize = self.resolve(set, uid)?.into_iter().map(|range| range.len()).sum();
        let uids = self.resolve_uids(set, uid)?;
        self.may_save(&uids)?;
        let target = self.target(to).await?;
        if uids.len() < named && !uid {
            return Err(some_are_gone());
        }
        if uids.is_empty() {
            return done("There are no such messages");
        }
        let view = self.view()?;
        let from = (view.account, view.mailbox.id);
        let copied = self.acting().copy_to(from, &uids, target.id(), mask(target.rights), !uid).await;
        let copied = copied.map_err(gone_meanwhile)?;
        self.note_made(target.id(), copied.pairs.iter().map(|(_, made)| *made));
        Box::pin(self.copy_own_seen(&target, &copied)).await?;
        match copy_uid(&copied) {
            Some(code) => done_with(code, "Copied"),
            None if !uid => Err(some_are_gone()),
            None => done("There are no such messages"),
        }
    }

    /// MOVE and UID MOVE: COPYUID comes untagged, before the EXPUNGEs (RFC 6851 §4.3).
    pub(crate) async fn move_(&mut self, uid: bool, set: &SequenceSet, to: &MailboxName) -> Outcome {
        self.sync(uid).await?;
        let view = self.writable()?;
        // RFC 6851 §4.1: as COPY, STORE +FLAGS \Deleted and EXPUNGE.
        view.require(Right::DeleteMessages)?;
        view.require(Right::Expunge)?;
        let from = (view.account, view.mailbox.id);
        let (uids, cut) = self.newest_uids(self.resolve_uids(set, uid)?);
        let target = self.target(to).await?;
        let copied = match uids.is_empty() {
            true => Copied::default(),
            false => {
                let moved = self.acting().move_to(from, &uids, target.id(), mask(target.rights), unix_now()).await;
                moved.map_err(gone_meanwhile)?
            }
        };
        self.note_made(target.id(), copied.pairs.iter().map(|(_, made)| *made));
        Box::pin(self.copy_own_seen(&target, &copied)).await?;
        if let Some(code) = copy_uid(&copied) {
            self.untagged_ok(code, "Moved");
        }
        self.ended(done("Moved"), cut)
    }

    /// The mailbox copies go to; a missing one may be created (TRYCREATE).
    pub(crate) async fn target(&self, name: &MailboxName) -> Result<Placed, Trouble> {
        self.find_or(name.as_str(), Right::Insert, || no(Code::TryCreate, "There is no such mailbox")).await
    }
}

fn some_are_gone() -> Trouble {
    no(Code::ExpungeIssued, "Some of the messages are gone, nothing was copied")
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
