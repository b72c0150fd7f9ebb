//! \Seen of each reader's own in mailboxes of others (RFC 4314 §4), where the mailbox's entry `/shared/vendor/packetboat/seen` is `own`.
//!
//! Whoever may write there may ask for it (SETMETADATA). The owner's \Seen stays the one all others share. Invariant: every
//! row this session looks at has the reader's own \Seen in it. Must not know: how it is kept.

use super::failure::Trouble;
use super::place::Placed;
use super::session::Session;
use store::{AccountId, Copied, FlagOp, Flags, FlagsChanged, MailboxId, MailboxStatus, MessageRow, Snapshot, Uid};
use wire::imap::metadata::{SEEN_ENTRY, is_seen_apart};

impl Session {
    /// Does this reader keep \Seen there alone?
    pub(super) async fn keeps_own_seen(&self, (account, mailbox): (AccountId, MailboxId)) -> Result<bool, Trouble> {
        if account == self.account_id()? {
            return Ok(false);
        }
        let all = self.store().annotations_at(account, mailbox).await?;
        Ok(all.get(&(Some(mailbox), SEEN_ENTRY.into())).is_some_and(|value| is_seen_apart(value)))
    }

    /// The mailbox as this reader has it.
    pub(super) async fn snapshot(&self, place: (AccountId, MailboxId), own_seen: bool) -> Result<Snapshot, Trouble> {
        match own_seen {
            true => Ok(self.store().snapshot_as_read(place, self.account_id()?).await?),
            false => Ok(self.store().snapshot(place.0, place.1).await?),
        }
    }

    /// What STATUS counts there, unseen as this reader has it.
    pub(super) async fn counts(&self, placed: &Placed) -> Result<MailboxStatus, Trouble> {
        let mut counts = self.store().status(placed.account, placed.mailbox.id).await?;
        if self.keeps_own_seen(placed.id()).await? {
            counts.unseen = self.store().own_unseen(placed.id(), self.account_id()?).await?;
        }
        Ok(counts)
    }

    /// The part of a STORE that is the reader's own, of those that the rest of it changed; the rows as the reader has them.
    pub(super) async fn store_own_seen(
        &self,
        place: (AccountId, MailboxId),
        (operation, asked, may): (FlagOp, &Flags, bool),
        changed: &mut FlagsChanged,
    ) -> Result<(), Trouble> {
        let (me, names) = (self.account_id()?, asked.system & Flags::SEEN != 0);
        let uids: Vec<Uid> = changed.rows.iter().map(|row| row.uid).collect();
        let seen = match operation {
            FlagOp::Replace => Some(names),
            FlagOp::Add => names.then_some(true),
            FlagOp::Remove => names.then_some(false),
        };
        changed.rows = match seen.filter(|_| may) {
            Some(seen) => self.store().set_own_seen(place, me, &uids, seen).await?,
            None => self.store().rows_as_read(place, me, &uids).await?,
        };
        Ok(())
    }

    /// Marks these as read by this reader; the rows as it has them.
    pub(super) async fn see(&self, place: (AccountId, MailboxId), own: bool, uids: &[Uid]) -> Result<Vec<MessageRow>, Trouble> {
        if own {
            return Ok(self.store().set_own_seen(place, self.account_id()?, uids, true).await?);
        }
        let seen = Flags { system: Flags::SEEN, keywords: None };
        Ok(self.store().flags(place.0, place.1, uids, FlagOp::Add, &seen, None).await?.rows)
    }

    /// Copies have the \Seen that this reader has at what was copied.
    pub(super) async fn copy_own_seen(&self, target: &Placed, copied: &Copied) -> Result<(), Trouble> {
        let (view, me) = (self.view()?, self.account_id()?);
        let there = self.keeps_own_seen(target.id()).await?;
        if !(view.own_seen || there) || copied.pairs.is_empty() {
            return Ok(());
        }
        let is_seen = |uid: &Uid| {
            let row = view.index_of(*uid).and_then(|index| view.rows().get(index));
            row.is_some_and(|row| row.flags.system & Flags::SEEN != 0)
        };
        let (seen, unseen): (Vec<_>, Vec<_>) = copied.pairs.iter().partition(|(from, _)| is_seen(from));
        for (pairs, seen) in [(seen, true), (unseen, false)] {
            let uids: Vec<Uid> = pairs.iter().map(|(_, to)| *to).collect();
            if there {
                self.store().set_own_seen(target.id(), me, &uids, seen).await?;
            } else {
                let (operation, flags) =
                    (if seen { FlagOp::Add } else { FlagOp::Remove }, Flags { system: Flags::SEEN, keywords: None });
                let mask = super::place::mask(target.rights);
                self.store().flags_within(target.id(), &uids, (operation, &flags, mask), None).await?;
            }
        }
        Ok(())
    }
}
