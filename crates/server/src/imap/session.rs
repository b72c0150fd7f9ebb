//! One session: who is signed in, what is selected, what was enabled; and the helpers every command uses.
//!
//! Invariant: the view changes only in `sync`, in SELECT and by the session's own STORE.

use super::failure::Trouble;
use super::limits;
use super::memory::Seat;
use super::notify::Notifying;
use super::view::View;
use crate::context::{Shared, unix_now};
use net::connection::Connection;
use std::ops::Range;
use std::sync::Arc;
use store::{Account, AccountId, ModSeq, Store, Uid};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use wire::imap::response::{Kind, Response, StatusText};
use wire::imap::server::Server;
use wire::imap::{Code, SequenceSet};

/// Somebody is signed in.
pub(crate) struct SignedIn {
    pub(crate) account: Arc<Account>,
    /// Wakes on every commit that touches the account.
    pub(crate) watch: watch::Receiver<ModSeq>,
    /// Tells of accounts whose sign-in facts changed.
    pub(crate) epochs: broadcast::Receiver<AccountId>,
    pub(crate) _seat: Seat,
}

/// One connection's state; lives in its task.
pub(crate) struct Session {
    pub(crate) context: Shared,
    pub(crate) connection: Connection,
    pub(crate) wire: Server,
    pub(crate) signed_in: Option<SignedIn>,
    pub(crate) view: Option<View>,
    /// ENABLE IMAP4rev2.
    pub(crate) rev2: bool,
    /// From the first NOTIFY on (RFC 5465).
    pub(crate) notify: Option<Box<Notifying>>,
    /// A CONDSTORE enabling command was seen (RFC 7162 §3.1).
    pub(crate) condstore: bool,
    /// ENABLE QRESYNC (RFC 7162 §3.2.3): VANISHED takes EXPUNGE's place.
    pub(crate) qresync: bool,
    /// ENABLE UIDONLY (RFC 9586): no message number is ever told.
    pub(crate) uid_only: bool,
}

/// Indexes of rows, apart; ascending, but where MESSAGELIMIT has the newest done first.
pub(crate) type Indexes = Vec<Range<usize>>;

impl Session {
    /// The store, by a handle of its own.
    pub(crate) fn store(&self) -> Store {
        self.context.store.clone()
    }

    /// The same for acts that the trace is to tell of: who does them, by which way, from where.
    pub(crate) fn acting(&self) -> Store {
        let who = self.signed_in.as_ref().map_or("nobody", |signed_in| signed_in.account.address.as_str());
        let from = self.connection.peer().ip().map_or_else(|| "this machine".to_owned(), |ip| ip.to_string());
        self.context.store.by(format!("IMAP {who} from {from}"), unix_now())
    }

    /// Who is signed in.
    pub(crate) fn account(&self) -> Result<&Arc<Account>, Trouble> {
        self.signed_in.as_ref().map(|signed_in| &signed_in.account).ok_or(Trouble::Bad("Sign in first"))
    }

    /// Its id.
    pub(crate) fn account_id(&self) -> Result<AccountId, Trouble> {
        self.account().map(|account| account.id)
    }

    /// What is selected.
    pub(crate) fn view(&self) -> Result<&View, Trouble> {
        self.view.as_ref().ok_or(Trouble::Bad("Select a mailbox first"))
    }

    /// What is selected, to be changed.
    pub(crate) fn view_mut(&mut self) -> Result<&mut View, Trouble> {
        self.view.as_mut().ok_or(Trouble::Bad("Select a mailbox first"))
    }

    /// Whose it is.
    pub(crate) fn view_account(&self) -> Result<AccountId, Trouble> {
        self.view().map(|view| view.account)
    }

    /// What is selected, unless read-only.
    pub(crate) fn writable(&self) -> Result<&View, Trouble> {
        let view = self.view()?;
        if view.read_only {
            return Err(super::failure::no(Code::ReadOnly, "The mailbox was opened read-only"));
        }
        Ok(view)
    }

    /// `* OK [code] text`
    pub(crate) fn untagged_ok(&mut self, code: Code, text: &str) {
        let status = StatusText { kind: Kind::Ok, code: Some(code), text: text.to_owned() };
        self.wire.untagged(&Response::Condition(status));
    }

    /// Writes out what waits when it is much; `Over` when the peer is gone or the sign-in is no longer good.
    pub(crate) async fn breathe(&mut self) -> Result<(), Trouble> {
        if self.wire.out_len() < limits::PENDING_BYTES_MAX {
            return Ok(());
        }
        if !self.connection.flush(&mut self.wire).await {
            return Err(Trouble::Over);
        }
        self.go_on().await
    }

    /// A long command does not outlive the server or its reader's sign-in: says BYE and is `Over` then.
    async fn go_on(&mut self) -> Result<(), Trouble> {
        if *self.context.shutdown.borrow() {
            self.wire.bye(None, "The server is shutting down");
            return Err(Trouble::Over);
        }
        let mut changed = false;
        if let Some(signed_in) = self.signed_in.as_mut() {
            loop {
                match signed_in.epochs.try_recv() {
                    Ok(id) => changed |= id == signed_in.account.id,
                    Err(TryRecvError::Lagged(_)) => changed = true,
                    Err(_) => break,
                }
            }
        }
        if changed && !self.still_signed_in().await {
            self.wire.bye(None, "Sign in again");
            return Err(Trouble::Over);
        }
        Ok(())
    }

    /// Does long work that says nothing, and tells that it goes on (RFC 9585); gives up when the server or the sign-in ends
    /// meanwhile. The work holds nothing of the session, so that it can speak.
    pub(crate) async fn unless_over<T>(&mut self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        enum Met<T> {
            Draining,
            Changed(Result<AccountId, RecvError>),
            Long,
            Done(Result<T, Trouble>),
        }
        let account = self.account_id()?;
        let mut epochs = self.context.store.epoch_watch();
        let every = self.context.imap.settings.progress_every;
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            let met = tokio::select! {
                biased;
                () = self.context.draining() => Met::Draining,
                changed = epochs.recv() => Met::Changed(changed),
                done = &mut work => Met::Done(done),
                _ = tick.tick() => Met::Long,
            };
            let ours = match met {
                Met::Done(done) => return done,
                Met::Draining | Met::Changed(Err(RecvError::Closed)) => return Err(Trouble::Over),
                Met::Changed(Ok(id)) => id == account,
                Met::Changed(Err(RecvError::Lagged(_))) => true,
                Met::Long => {
                    self.tell_progress().await?;
                    false
                }
            };
            if ours && !self.still_signed_in().await {
                return Err(Trouble::Over);
            }
        }
    }

    /// `* OK [INPROGRESS ("tag" NIL NIL)]`: how much is done nobody knows before the end.
    async fn tell_progress(&mut self) -> Result<(), Trouble> {
        let code = Code::InProgress { tag: self.wire.tag().cloned(), progress: None, goal: None };
        self.untagged_ok(code, "Still at it");
        if self.connection.flush(&mut self.wire).await { Ok(()) } else { Err(Trouble::Over) }
    }

    /// The rows a command names (RFC 9051 §6.4.9): indexes into the view.
    pub(crate) fn resolve(&self, set: &SequenceSet, uid: bool) -> Result<Indexes, Trouble> {
        let view = self.view()?;
        if set.is_saved() {
            let found = view.saved().iter().filter_map(|uid| view.index_of(*uid));
            return Ok(merge(found));
        }
        if uid {
            let named = set.resolve(view.last_uid());
            let ranges = named.ranges().iter().map(|&(first, last)| view.uid_range(first, last));
            return Ok(ranges.filter(|range| !range.is_empty()).collect());
        }
        let exists = view.exists();
        if exists == 0 || set.largest_number().is_some_and(|largest| largest > exists) {
            return Err(Trouble::Bad("There is no message with that number"));
        }
        let named = set.resolve(exists);
        let ranges = named.ranges().iter();
        Ok(ranges.map(|&(first, last)| first.saturating_sub(1) as usize..last as usize).collect())
    }

    /// UIDs of the rows a command names, without those that others expunged meanwhile.
    pub(crate) fn resolve_uids(&self, set: &SequenceSet, uid: bool) -> Result<Vec<Uid>, Trouble> {
        let indexes = self.resolve(set, uid)?;
        let view = self.view()?;
        let uids = indexes.into_iter().flat_map(|range| view.rows().uids(range));
        Ok(uids.filter(|uid| !view.is_vanished(*uid)).collect())
    }

    /// RFC 7162 §3.1: from the first enabling command on MODSEQ is told; HIGHESTMODSEQ at once.
    pub(crate) fn enable_condstore(&mut self) {
        if self.condstore {
            return;
        }
        self.condstore = true;
        if let Some(mod_seq) = self.view.as_ref().map(|view| view.mod_seq) {
            self.untagged_ok(Code::HighestModSeq(mod_seq.0), "Highest");
        }
    }
}

/// Ascending indexes as ranges.
pub(crate) fn merge(indexes: impl Iterator<Item = usize>) -> Indexes {
    let mut ranges: Indexes = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some(last) if last.end == index => last.end = index + 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}
