//! APPEND and REPLACE (RFC 9051 §6.3.12, RFC 4315, RFC 7889, RFC 3502, RFC 4469, RFC 8508): messages stream into the store's spool.
//!
//! Invariant: the stored octets are exactly those that came, bare LF and all; whatever can be refused is refused before
//! the client sends them; all messages of one command are one commit, and so are the new and the old one of a REPLACE.
//! Must not know: how literals are framed.

use super::failure::{Done, Outcome, Trouble, done, no};
use super::flags::to_store;
use super::limits;
use super::place::{Placed, forbidden, mask};
use super::session::Session;
use crate::context::unix_now;
use crate::facts::facts_of;
use bytes::Bytes;
use store::{AccountId, Appended, Flags, MailboxId, NewEmail, Spool, StoreError, Uid, UnixSecs};
use wire::imap::acl::Right;
use wire::imap::append::{Append, AppendMessage, AppendPiece, Replaced};
use wire::imap::sequence_set::{SeqNumber, SequenceSet};
use wire::imap::server::Event;
use wire::imap::{Code, NumberSet};

/// An APPEND whose octets are on their way.
pub(crate) struct Appending {
    to: Placed,
    /// In whose place: whose it is, the mailbox and the message.
    replaced: Option<(AccountId, MailboxId, Uid)>,
    /// Messages that are whole.
    whole: Vec<NewEmail>,
    open: Open,
    /// Octets announced, of all messages.
    announced: u64,
}

/// The message at hand.
struct Open {
    spool: Spool,
    flags: Flags,
    internal_date_secs: UnixSecs,
    /// Octets announced.
    announced: u64,
    /// What comes now comes by literal8, which alone may carry NUL.
    binary: bool,
}

impl Session {
    /// The events of APPEND; false when the session is over.
    pub(crate) async fn append_event(&mut self, appending: &mut Option<Box<Appending>>, event: Event) -> bool {
        let outcome = match event {
            Event::Append { append, catenate, replaced, .. } => match self.append_begins(append, catenate, replaced).await {
                Ok(begun) => {
                    *appending = Some(Box::new(begun));
                    self.wire.append_go();
                    return true;
                }
                Err(trouble) => Err(trouble),
            },
            Event::AppendPiece(piece) => match self.append_piece(appending, piece).await {
                Ok(()) => {
                    self.wire.append_go();
                    return true;
                }
                Err(trouble) => Err(trouble),
            },
            Event::AppendChunk(chunk) => match append_chunk(appending, &chunk).await {
                Ok(()) => return true,
                Err(trouble) => Err(trouble),
            },
            Event::AppendEnd => match appending.take() {
                Some(complete) => self.append_ends(*complete).await,
                None => Err(Trouble::Bad("There is nothing to append")),
            },
            _ => {
                *appending = None;
                return true;
            }
        };
        *appending = None;
        self.finish(outcome, true).await
    }

    async fn append_begins(&mut self, append: Append, catenate: bool, replaced: Option<Replaced>) -> Result<Appending, Trouble> {
        let replaced = match replaced {
            Some(replaced) => Some(self.named_by_replace(replaced).await?),
            None => None,
        };
        let to = self.target(&append.mailbox).await?;
        let open = self.open(&append.message, &to)?;
        let mut appending = Appending { to, replaced, whole: Vec::new(), open, announced: 0 };
        if !catenate {
            self.announce(&mut appending, append.message.size).await?;
        }
        Ok(appending)
    }

    /// The one message a REPLACE names; it must be there, and the mailbox writable.
    async fn named_by_replace(&mut self, Replaced { uid, number }: Replaced) -> Result<(AccountId, MailboxId, Uid), Trouble> {
        if self.uid_only && !uid {
            return Err(Trouble::UidRequired);
        }
        self.sync(uid).await?;
        let view = self.writable()?;
        // RFC 8508 §5: as APPEND, STORE +FLAGS \Deleted and UID EXPUNGE.
        view.require(Right::DeleteMessages)?;
        view.require(Right::Expunge)?;
        let (account, mailbox) = (view.account, view.mailbox.id);
        if number == SeqNumber::Star && self.view()?.exists() == 0 {
            return Err(no(Code::NonExistent, "There is no such message"));
        }
        match self.resolve_uids(&SequenceSet::Ranges(vec![(number, number)]), uid)?.first() {
            Some(found) => Ok((account, mailbox, *found)),
            None => Err(no(Code::NonExistent, "There is no such message")),
        }
    }

    fn open(&self, message: &AppendMessage, to: &Placed) -> Result<Open, Trouble> {
        Ok(Open {
            spool: self.store().spool(),
            // RFC 4314 §4: flags without the right to set them are left out.
            flags: mask(to.rights).of(&to_store(&message.flags)?),
            internal_date_secs: message.date.map_or_else(unix_now, |date| date.unix_secs),
            announced: 0,
            binary: message.binary,
        })
    }

    /// So many octets more are to come: is there room? The room for a replacement the commit itself looks at.
    async fn announce(&self, appending: &mut Appending, size: u64) -> Result<(), Trouble> {
        appending.open.announced = appending.open.announced.saturating_add(size);
        appending.announced = appending.announced.saturating_add(size);
        let message = appending.open.announced;
        if message > self.context.message_bytes_max || u32::try_from(message).is_err() {
            return Err(no(Code::TooBig, "The message is too big"));
        }
        if appending.replaced.is_none() {
            self.store().room(appending.to.account, appending.announced).await?;
        }
        Ok(())
    }

    async fn append_piece(&mut self, appending: &mut Option<Box<Appending>>, piece: AppendPiece) -> Result<(), Trouble> {
        let Some(appending) = appending.as_mut() else { return Err(Trouble::Bad("There is nothing to append")) };
        match piece {
            AppendPiece::Message { message, catenate } => {
                // Those that are whole, the one at hand, and this one.
                self.may_save_more(appending.whole.len() + 2)?;
                let open = self.open(&message, &appending.to)?;
                appending.whole.push(close(std::mem::replace(&mut appending.open, open)).await?);
                if catenate { Ok(()) } else { self.announce(appending, message.size).await }
            }
            AppendPiece::Text { size, binary } => {
                appending.open.binary = binary;
                self.announce(appending, size).await
            }
            AppendPiece::Url(url) => {
                let mut octets = self.octets_of(&url).await?;
                self.announce(appending, octets.len()).await?;
                while let Some(piece) = self.next_octets(&mut octets, limits::PIECE_BYTES).await? {
                    appending.open.spool.write(&piece).await?;
                }
                Ok(())
            }
        }
    }

    async fn append_ends(&mut self, complete: Appending) -> Outcome {
        let Appending { to, replaced, mut whole, open, .. } = complete;
        let last = close(open).await?;
        let (account, mailbox) = to.id();
        // It may have taken long: the right may be gone.
        if !self.rights_on(to.id())?.has(Right::Insert) {
            return Err(forbidden());
        }
        if let Some((owner, from, _)) = replaced
            && ![Right::DeleteMessages, Right::Expunge]
                .iter()
                .all(|right| self.rights_on((owner, from)).is_ok_and(|has| has.has(*right)))
        {
            return Err(forbidden());
        }
        let Some(old) = replaced else {
            whole.push(last);
            let appended = self.acting().append(account, mailbox, whole).await.map_err(gone_meanwhile)?;
            self.note_made(to.id(), appended.uids.iter().copied());
            return Ok(Done { code: Some(append_uid(&appended)), text: "Appended" });
        };
        let replaced = self.acting().replace_to(old, to.id(), last, unix_now()).await.map_err(gone_meanwhile)?;
        match replaced {
            Some(appended) => {
                self.note_made(to.id(), appended.uids.iter().copied());
                self.untagged_ok(append_uid(&appended), "The new message is there");
                done("Replaced")
            }
            None => Err(no(Code::ExpungeIssued, "The message to replace is gone, nothing was changed")),
        }
    }
}

/// A piece; on trouble the rest is thrown away by the wire.
async fn append_chunk(appending: &mut Option<Box<Appending>>, chunk: &Bytes) -> Result<(), Trouble> {
    let Some(appending) = appending.as_mut() else { return Ok(()) };
    if !appending.open.binary && chunk.contains(&0) {
        return Err(Trouble::Bad("A message with NUL must come in a literal8 (RFC 9051 section 6.3.12)"));
    }
    Ok(appending.open.spool.write(chunk).await?)
}

/// All octets of a message are there.
async fn close(open: Open) -> Result<NewEmail, Trouble> {
    if open.spool.is_empty() {
        return Err(no(Code::Cannot, "An empty message cannot be kept"));
    }
    let body = open.spool.finish().await?;
    let facts = facts_of(body.bytes().await?).await?;
    Ok(NewEmail { body, facts, flags: open.flags, internal_date_secs: open.internal_date_secs })
}

fn append_uid(appended: &Appended) -> Code {
    let uids: NumberSet = appended.uids.iter().map(|uid| uid.0).collect();
    Code::AppendUid { uid_validity: appended.uid_validity, uids }
}

fn gone_meanwhile(error: StoreError) -> Trouble {
    match error {
        StoreError::NotFound => no(Code::TryCreate, "The mailbox was deleted meanwhile"),
        other => other.into(),
    }
}
