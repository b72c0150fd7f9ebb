//! STATUS (RFC 9051 §6.3.11; RFC 7162 §3.1.7, RFC 7889, RFC 8438, RFC 8474, RFC 9208).
//!
//! Invariant: asking never touches the session's view, so it swallows no change of the selected mailbox.

use super::failure::{Outcome, Trouble, done};
use super::object_id;
use super::place::Placed;
use super::session::Session;
use wire::imap::MailboxName;
use wire::imap::acl::Right;
use wire::imap::response::Response;
use wire::imap::status::{Status, StatusAttribute, StatusResponse};

impl Session {
    /// The command.
    pub(crate) async fn status(&mut self, status: &Status) -> Outcome {
        let placed = self.find_for(status.mailbox.as_str(), Right::Read).await?;
        if status.attributes.contains(&StatusAttribute::HighestModSeq) {
            self.enable_condstore();
        }
        let response = self.status_of(&placed, &status.attributes).await?;
        self.wire.untagged(&Response::Status(response));
        done("Status told")
    }

    /// One `* STATUS` answer.
    pub(crate) async fn status_of(&self, placed: &Placed, asked: &[StatusAttribute]) -> Result<StatusResponse, Trouble> {
        let Placed { account, mailbox, .. } = placed;
        let account = *account;
        let counts = self.counts(placed).await?;
        let mailbox_id = asked.contains(&StatusAttribute::MailboxId).then(|| object_id::of_mailbox(account, mailbox.id));
        let mut values = Vec::with_capacity(asked.len());
        for attribute in asked {
            let value = match attribute {
                StatusAttribute::Messages => u64::from(counts.messages),
                StatusAttribute::Recent => self.recent_in(placed, counts.uid_next).await?,
                StatusAttribute::UidNext => u64::from(counts.uid_next),
                StatusAttribute::UidValidity => u64::from(counts.uid_validity),
                StatusAttribute::Unseen => u64::from(counts.unseen),
                StatusAttribute::Deleted => u64::from(counts.deleted),
                StatusAttribute::Size => counts.size_bytes,
                StatusAttribute::HighestModSeq => counts.highest_mod_seq.0,
                StatusAttribute::AppendLimit => self.context.message_bytes_max,
                StatusAttribute::DeletedStorage => self.deleted_storage(placed).await?,
                StatusAttribute::MailboxId => continue,
            };
            values.push((*attribute, Some(value)));
        }
        Ok(StatusResponse { mailbox: MailboxName::new(&mailbox.name), values, mailbox_id })
    }

    /// Octets of the messages with \Deleted (RFC 9208 §4.1.4).
    async fn deleted_storage(&self, placed: &Placed) -> Result<u64, Trouble> {
        let rows = self.store().snapshot(placed.account, placed.mailbox.id).await?.rows;
        let deleted = rows.with_flag(store::Flags::DELETED).filter_map(|uid| rows.get(rows.index_of(uid)?));
        Ok(deleted.map(|row| u64::from(row.size_bytes)).sum())
    }

    /// Messages nobody had as recent yet.
    async fn recent_in(&self, placed: &Placed, uid_next: u32) -> Result<u64, Trouble> {
        let (account, mailbox) = (placed.account, &placed.mailbox);
        let highest = self.context.imap.recent.highest(account, mailbox.id);
        if highest.saturating_add(1) >= uid_next {
            return Ok(0);
        }
        let snapshot = self.store().snapshot(account, mailbox.id).await?;
        let known = snapshot.rows.lower_bound(store::Uid(highest.saturating_add(1)));
        Ok(snapshot.rows.len().saturating_sub(known) as u64)
    }
}
