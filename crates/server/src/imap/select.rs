//! SELECT, EXAMINE, CLOSE, UNSELECT (RFC 9051 §6.3.2, §6.3.3, §6.4.1, §6.4.2; RFC 7162 §3.1.8).
//!
//! Invariant: a failed SELECT leaves nothing selected.

use super::failure::{Outcome, Trouble, done, done_with};
use super::flags::{known_keywords, permanent_flags};
use super::object_id;
use super::place::{Placed, only_reads};
use super::session::Session;
use super::view::View;
use store::{AccountId, Flags};
use wire::imap::acl::Right;
use wire::imap::list::{ListKind, ListResponse};
use wire::imap::response::Response;
use wire::imap::select::Select;
use wire::imap::{Code, MailboxName};

impl Session {
    /// SELECT and EXAMINE.
    pub(crate) async fn select(&mut self, select: Select) -> Outcome {
        self.leave();
        if select.qresync.is_some() && !self.qresync {
            return Err(Trouble::Bad("Say ENABLE QRESYNC first"));
        }
        let Some(signed_in) = self.signed_in.as_mut() else { return Err(Trouble::Bad("Sign in first")) };
        let me = signed_in.account.id;
        let mut checked = *signed_in.watch.borrow_and_update();
        let Placed { account, mailbox, rights, .. } = self.find_for(select.mailbox.as_str(), Right::Read).await?;
        let store = self.store();
        let mut watch = None;
        if account != me {
            let mut following = store.watch(account).await?;
            checked = *following.borrow_and_update();
            watch = Some(following);
        }
        let own_seen = self.keeps_own_seen((account, mailbox.id)).await?;
        let mut snapshot = self.snapshot((account, mailbox.id), own_seen).await?;
        snapshot.mailbox = mailbox;
        let (uid_validity, uid_next) = (snapshot.mailbox.uid_validity, snapshot.uid_next.0);
        self.condstore |= select.condstore;
        let mut view = View::new(account, snapshot, select.examine, checked);
        (view.watch, view.rights, view.own_seen) = (watch, rights, own_seen);
        view.read_only |= only_reads(rights);
        let read_only = view.read_only;
        self.describe(account, &view, uid_validity, uid_next);
        self.view = Some(view);
        self.claim_recent()?;
        self.tell_recent();
        self.wire.selected(true);
        if let Some(known) = select.qresync.filter(|known| known.uid_validity == uid_validity)
            && let Err(trouble) = Box::pin(self.resynchronise(&known, uid_next)).await
        {
            self.unselect()?;
            return Err(trouble);
        }
        match (select.examine, read_only) {
            (true, _) => done_with(Code::ReadOnly, "Examined"),
            (false, true) => done_with(Code::ReadOnly, "Selected; you may only look"),
            (false, false) => done_with(Code::ReadWrite, "Selected"),
        }
    }

    /// The untagged answers of SELECT, without RECENT.
    fn describe(&mut self, account: AccountId, view: &View, uid_validity: u32, uid_next: u32) {
        let (flags, permanent) = (known_keywords(view), permanent_flags(view));
        self.wire.untagged(&Response::Flags(flags));
        self.wire.untagged(&Response::Exists(view.exists()));
        if self.rev2 {
            self.wire.untagged(&Response::List(ListResponse {
                kind: ListKind::List,
                attributes: Vec::new(),
                delimiter: Some('/'),
                name: MailboxName::new(&view.mailbox.name),
                child_info: Vec::new(),
                old_name: None,
            }));
        } else if !self.uid_only {
            let unseen = view.rows().first_without(Flags::SEEN);
            if let Some(number) = unseen.and_then(|index| u32::try_from(index + 1).ok()) {
                self.untagged_ok(Code::Unseen(number), "First unseen");
            }
        }
        self.untagged_ok(Code::PermanentFlags(permanent), "Limited");
        self.untagged_ok(Code::UidValidity(uid_validity), "UIDs are valid");
        self.untagged_ok(Code::UidNext(uid_next), "Predicted next UID");
        self.untagged_ok(Code::MailboxId(object_id::of_mailbox(account, view.mailbox.id)), "The mailbox's id");
        self.untagged_ok(Code::HighestModSeq(view.mod_seq.0), "Highest");
    }

    /// What was selected is no more: CLOSED, also to whom CONDSTORE means nothing (RFC 7162 §3.2.11).
    pub(crate) fn leave(&mut self) {
        self.wire.selected(false);
        if self.view.take().is_some() {
            self.untagged_ok(Code::Closed, "The previous mailbox is closed");
        }
    }

    /// CLOSE: expunges without a word, unless read-only.
    pub(crate) async fn close(&mut self) -> Outcome {
        self.sync(false).await?;
        // RFC 4314 §4: without the right to expunge it closes all the same.
        if !self.view()?.read_only && self.view()?.rights.has(Right::Expunge) {
            self.expunge_deleted(None).await?;
        }
        self.unselect()
    }

    /// UNSELECT.
    pub(crate) fn unselect(&mut self) -> Outcome {
        self.view = None;
        self.wire.selected(false);
        done("Nothing is selected now")
    }
}
