//! Where the world reaches the session's view, and the client is told (RFC 9051 §5.2, §7.4.1, §7.5.1).
//!
//! Invariant: what changed before the call is told by the call, but for EXPUNGE where it may not be sent; nothing is
//! told twice. Nothing is read from the store while the account's mod-sequence stands still.

use super::failure::Trouble;
use super::flags::{Told, known_keywords, permanent_flags};
use super::place::only_reads;
use super::session::Session;
use super::view::{Update, View};
use store::{Flags, StoreError, Uid};
use wire::imap::acl::Right;
use wire::imap::response::Response;
use wire::imap::{Code, NumberSet};

impl Session {
    /// Takes in what happened and tells the client; EXPUNGE only with `may_expunge`.
    pub(crate) async fn sync(&mut self, may_expunge: bool) -> Result<(), Trouble> {
        self.refresh_rights()?;
        if self.is_muted() {
            return Ok(());
        }
        let (Some(signed_in), Some(view)) = (self.signed_in.as_mut(), self.view.as_mut()) else { return Ok(()) };
        let newest = *view.watch.as_mut().unwrap_or(&mut signed_in.watch).borrow_and_update();
        if newest == view.checked && !(may_expunge && view.has_vanished()) {
            return Ok(());
        }
        let (store, place) = (&self.context.store, (view.account, view.mailbox.id));
        let snapshot = match view.own_seen {
            false => store.snapshot(place.0, place.1).await,
            true => Box::pin(store.snapshot_as_read(place, signed_in.account.id)).await,
        };
        let snapshot = match snapshot {
            Err(StoreError::NotFound) => return Err(self.mailbox_gone("The selected mailbox was deleted")),
            other => other?,
        };
        view.checked = newest;
        let (told, settled) = (view.rows().clone(), view.settled());
        let (before, updates) = (told.len(), view.apply(snapshot, may_expunge));
        if !self.tells_flags() && updates.iter().any(|update| matches!(update, Update::Flags(_))) {
            self.view_mut()?.unsettle(settled);
        }
        let expunged = updates.iter().filter_map(|update| if let Update::Expunge(_, uid) = update { Some(*uid) } else { None });
        let mut expunged: Vec<Uid> = expunged.collect();
        expunged.sort_unstable();
        self.tell_removed(&told, &expunged)?;
        self.tell(&updates)?;
        let gone = updates.iter().filter(|update| matches!(update, Update::Expunge(..))).count();
        match self.fetch_new(before.saturating_sub(gone)).await {
            // One that cannot be fetched so (an encoding nobody knows, expunged meanwhile): what else happened is told all the same.
            Ok(()) | Err(Trouble::No(..)) => {}
            other => other?,
        }
        match self.view_mut()?.watched_mut().is_empty() {
            true => Ok(()),
            false => Box::pin(self.tell_watched()).await,
        }
    }

    /// Before the tagged answer: who was told the mod-sequence of a change while an earlier one is kept back must not count on it
    /// (RFC 7162 §3.2: nothing is lost with the connection), and may when all is told.
    pub(crate) fn tell_settled(&mut self) {
        if !self.qresync {
            return;
        }
        let muted = self.is_muted();
        let (Some(signed_in), Some(view)) = (self.signed_in.as_ref(), self.view.as_mut()) else { return };
        let newest = *view.watch.as_ref().unwrap_or(&signed_in.watch).borrow();
        if let Some(settled) = view.counted_on(muted && newest != view.checked) {
            self.untagged_ok(Code::HighestModSeq(settled.0), "All that changed up to here is told");
        }
    }

    /// Another session deleted the mailbox, or its owner closed it to this reader: this session cannot go on as it is.
    fn mailbox_gone(&mut self, why: &str) -> Trouble {
        self.view = None;
        self.wire.bye(None, why);
        Trouble::Over
    }

    /// What this reader may do may have changed since the last command (RFC 4314 §5.1.1): it is told, and who may not read
    /// any more goes.
    pub(crate) fn refresh_rights(&mut self) -> Result<(), Trouble> {
        let Some(view) = self.view.as_ref().filter(|view| view.watch.is_some()) else { return Ok(()) };
        let rights = self.rights_on((view.account, view.mailbox.id))?;
        let view = self.view_mut()?;
        if rights == view.rights {
            return Ok(());
        }
        if !rights.has(Right::Read) {
            return Err(self.mailbox_gone("The selected mailbox may not be read any more"));
        }
        let before = std::mem::replace(&mut view.read_only, view.examined || only_reads(rights));
        view.rights = rights;
        let (read_only, flags, permanent) = (view.read_only, known_keywords(view), permanent_flags(view));
        self.wire.untagged(&Response::Flags(flags));
        self.untagged_ok(Code::PermanentFlags(permanent), "Limited");
        if before != read_only {
            let code = if read_only { Code::ReadOnly } else { Code::ReadWrite };
            self.untagged_ok(code, "Your rights are others now");
        }
        Ok(())
    }

    fn tell(&mut self, updates: &[Update]) -> Result<(), Trouble> {
        if self.qresync || self.uid_only {
            let gone = updates.iter().filter_map(|update| if let Update::Expunge(_, uid) = update { Some(uid.0) } else { None });
            let uids: NumberSet = gone.collect();
            if !uids.is_empty() {
                self.wire.untagged(&Response::Vanished { earlier: false, uids });
            }
        }
        for update in updates {
            match *update {
                Update::Expunge(..) if self.qresync || self.uid_only => {}
                Update::Expunge(number, _) => self.wire.untagged(&Response::Expunge(number)),
                Update::Exists(count) => {
                    self.wire.untagged(&Response::Exists(count));
                    self.claim_recent()?;
                    self.tell_recent();
                }
                Update::Flags(index) if self.tells_flags() => self.tell_flags(index)?,
                Update::Flags(_) => {}
            }
        }
        Ok(())
    }

    /// RFC 3501 §7.3.2.
    pub(crate) fn tell_recent(&mut self) {
        if self.rev2 {
            return;
        }
        if let Some(count) = self.view.as_ref().map(View::recent_count) {
            self.wire.untagged(&Response::Recent(count));
        }
    }

    /// Takes what nobody had as recent yet; EXAMINE only looks (RFC 3501 §6.3.2).
    pub(crate) fn claim_recent(&mut self) -> Result<(), Trouble> {
        let recent = &self.context.imap.recent;
        let Some(view) = self.view.as_mut() else { return Ok(()) };
        let account = view.account;
        let (mailbox, last) = (view.mailbox.id, view.last_uid());
        if view.read_only {
            let highest = recent.highest(account, mailbox);
            if last > highest {
                view.set_recent((highest.saturating_add(1), last));
            }
        } else if let Some(claimed) = recent.claim(account, mailbox, last) {
            view.add_recent(claimed);
        }
        Ok(())
    }

    /// `* n FETCH (FLAGS ...)` nobody asked for; with FLAGS before it when there is a new keyword.
    pub(crate) fn tell_flags(&mut self, index: usize) -> Result<(), Trouble> {
        let Some(row) = self.view()?.rows().get(index) else { return Ok(()) };
        self.tell_new_keywords(&row.flags)?;
        self.write_row(
            index,
            &row,
            Told { uid: self.rev2 || self.condstore || self.notify.is_some(), flags: true, mod_seq: self.condstore },
        );
        Ok(())
    }

    /// A keyword the client was not told of: FLAGS again (RFC 9051 §7.3.5).
    pub(crate) fn tell_new_keywords(&mut self, flags: &Flags) -> Result<(), Trouble> {
        let view = self.view_mut()?;
        if !view.learn_keywords(flags) {
            return Ok(());
        }
        let (flags, permanent, read_only) = (known_keywords(view), permanent_flags(view), view.read_only);
        self.wire.untagged(&Response::Flags(flags));
        if !read_only {
            self.untagged_ok(Code::PermanentFlags(permanent), "Limited");
        }
        Ok(())
    }
}
