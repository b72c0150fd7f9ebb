//! APPEND (RFC 9051 §6.3.12, RFC 4315, RFC 7889): the message streams into the store's spool.
//!
//! Invariant: the stored octets are exactly those that came, bare LF and all; whatever can be refused is refused before
//! the client sends them. Must not know: how literals are framed.

use super::failure::{Done, Outcome, Trouble, no};
use super::flags::to_store;
use super::session::Session;
use crate::context::unix_now;
use crate::facts::facts_of;
use bytes::Bytes;
use store::{Flags, MailboxId, NewEmail, Spool, StoreError, UnixSecs};
use wire::imap::Code;
use wire::imap::append::Append;
use wire::imap::server::Event;

/// An APPEND whose octets are on their way.
pub(crate) struct Appending {
    spool: Spool,
    mailbox: MailboxId,
    flags: Flags,
    internal_date_secs: UnixSecs,
    /// By literal8, which alone may carry NUL.
    binary: bool,
}

impl Session {
    /// The events of APPEND; false when the session is over.
    pub(crate) async fn append_event(&mut self, appending: &mut Option<Appending>, event: Event) -> bool {
        let outcome = match event {
            Event::Append { append, .. } => match self.append_begins(append).await {
                Ok(begun) => {
                    *appending = Some(begun);
                    self.wire.append_go();
                    return true;
                }
                Err(trouble) => Err(trouble),
            },
            Event::AppendChunk(chunk) => match self.append_chunk(appending, &chunk).await {
                Ok(()) => return true,
                Err(trouble) => Err(trouble),
            },
            Event::AppendEnd => match appending.take() {
                Some(complete) => self.append_ends(complete).await,
                None => Err(Trouble::Bad("There is nothing to append")),
            },
            _ => {
                *appending = None;
                return true;
            }
        };
        self.finish(outcome, true).await
    }

    async fn append_begins(&mut self, append: Append) -> Result<Appending, Trouble> {
        let account = self.account_id()?;
        let mailbox = self.target(&append.mailbox).await?;
        let size = append.message.size;
        if size > self.context.message_bytes_max || u32::try_from(size).is_err() {
            return Err(no(Code::TooBig, "The message is too big"));
        }
        if size == 0 {
            return Err(no(Code::Cannot, "An empty message cannot be kept"));
        }
        let store = self.store();
        store.room(account, size).await?;
        Ok(Appending {
            spool: store.spool(),
            mailbox: mailbox.id,
            flags: to_store(&append.message.flags)?,
            internal_date_secs: append.message.date.map_or_else(unix_now, |date| date.unix_secs),
            binary: append.message.binary,
        })
    }

    /// A piece; on trouble the rest is thrown away by the wire.
    async fn append_chunk(&mut self, appending: &mut Option<Appending>, chunk: &Bytes) -> Result<(), Trouble> {
        let Some(open) = appending.as_mut() else { return Ok(()) };
        if !open.binary && chunk.contains(&0) {
            *appending = None;
            return Err(Trouble::Bad("A message with NUL must come in a literal8 (RFC 9051 section 6.3.12)"));
        }
        if let Err(error) = open.spool.write(chunk).await {
            *appending = None;
            return Err(error.into());
        }
        Ok(())
    }

    async fn append_ends(&mut self, complete: Appending) -> Outcome {
        let account = self.account_id()?;
        let body = complete.spool.finish().await?;
        let facts = facts_of(body.bytes().await?).await?;
        let email = NewEmail { body, facts, flags: complete.flags, internal_date_secs: complete.internal_date_secs };
        let appended = match self.store().append(account, complete.mailbox, vec![email]).await {
            Err(StoreError::NotFound) => return Err(no(Code::TryCreate, "The mailbox was deleted meanwhile")),
            other => other?,
        };
        let uids = appended.uids.iter().map(|uid| uid.0).collect();
        Ok(Done { code: Some(Code::AppendUid { uid_validity: appended.uid_validity, uids }), text: "Appended" })
    }
}
