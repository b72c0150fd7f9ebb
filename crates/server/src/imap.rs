//! The IMAP face (RFC 9051, RFC 3501): one task a connection, one file a command.
//!
//! Invariant: commands run strictly in order; a tagged OK is sent only after the act is durable; EXPUNGE is never sent
//! while FETCH, STORE or SEARCH by message number run. Must not know: grammar, engines, configuration files.

mod acl;
mod append;
mod comparator;
mod copy;
mod expunge;
mod failure;
mod fetch;
mod filters;
mod flags;
mod limits;
mod list;
mod mailbox;
pub mod memory;
mod message_limit;
mod metadata;
mod multi_search;
mod notify;
mod object_id;
mod other;
mod own_seen;
mod place;
mod quota;
mod recent;
mod resync;
mod search;
mod select;
mod session;
mod sort;
mod status;
mod switches;
mod sync;
mod thread;
mod url_auth;
mod url_structure;
mod urls;
mod view;
mod watched;

pub use memory::{Memory, Settings};
pub use switches::CapabilityOff;

use crate::auth::{Client, SignIn};
use crate::context::Shared;
use crate::wire_log::Joined;
use append::Appending;
use failure::{Outcome, Trouble};
use net::connection::{Connection, Next};
use notify::{Notifying, OwnAct};
use session::{Session, SignedIn};
use std::sync::Arc;
use std::task::Poll;
use store::{Account, ModSeq};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use view::View;
use wire::imap::response::Kind;
use wire::imap::search::SearchKey;
use wire::imap::server::{Event, Server, ServerConfig};
use wire::imap::{Code, Command, Tag};
use wire::sasl::{Answer, Question, Refusal};

/// Serves one connection until it ends.
pub fn serve(context: Shared, mut connection: Connection) -> impl Future<Output = ()> + Send {
    crate::wire_log::follow(&context.wire_log, &mut connection, wire::explain::Protocol::Imap);
    let config = configuration(&context, &connection);
    let mut wire = Server::new(config).on_channel(connection.tls_channel());
    wire.set_patience(context.limits.patience);
    let mut session = Session {
        wire,
        context,
        connection,
        signed_in: None,
        view: None,
        notify: None,
        rev2: false,
        condstore: false,
        qresync: false,
        uid_only: false,
    };
    // All that a session holds while it waits: nothing of it twice, as the arguments of an `async fn` would be.
    async move { session.run().await }
}

/// What the wire session must know before its first word.
fn configuration(context: &Shared, connection: &Connection) -> ServerConfig {
    ServerConfig {
        hostname: context.hostname.as_str().into(),
        tls: connection.is_tls(),
        starttls: connection.can_start_tls(),
        plaintext_login: context.plaintext.allows(connection.peer()),
        mechanisms: context.auth.mechanisms(if connection.is_tls() { "imaps" } else { "imap" }),
        append_bytes_max: context.message_bytes_max,
        capabilities_off: CapabilityOff::on_listener(&context.imap.settings.switches, connection.is_tls()),
        capabilities_more: Vec::new(),
    }
}

/// What woke the session.
enum Woken {
    Shutdown,
    /// The sign-in facts of this account (or unknown ones) changed.
    SignInChanged,
    /// Something happened in the account while the client listens.
    Changed,
    Next(Next<Event>),
}

impl Session {
    async fn run(&mut self) {
        let mut shutdown = self.context.shutdown.clone();
        let mut sign_in = SignIn::to("IMAP");
        let mut appending: Option<Box<Appending>> = None;
        let mut idling = false;
        loop {
            let unasked = idling || (self.notify.is_some() && appending.is_none());
            if unasked && Box::pin(self.notify_between(idling)).await.is_err_and(|trouble| self.is_over(&trouble)) {
                break;
            }
            self.let_watch();
            match self.wait(&mut shutdown, unasked).await {
                Woken::Shutdown => {
                    self.wire.bye(None, "The server is shutting down");
                    break;
                }
                Woken::SignInChanged => {
                    if !self.still_signed_in().await {
                        self.wire.bye(None, "Sign in again");
                        break;
                    }
                }
                Woken::Changed => {}
                Woken::Next(Next::Closed) => return,
                Woken::Next(Next::Event(event)) => {
                    let goes_on = match event {
                        Event::Command { tag, command } => self.command(tag, command).await,
                        Event::Idle { .. } => {
                            idling = true;
                            true
                        }
                        Event::IdleDone => {
                            idling = false;
                            let outcome = failure::done("IDLE ended");
                            self.finish(outcome, true).await
                        }
                        Event::Sasl(question) => self.sasl(&mut sign_in, question).await,
                        other => Box::pin(self.append_event(&mut appending, other)).await,
                    };
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        self.connection.flush(&mut self.wire).await;
        let _ = self.connection.next(&mut self.wire).await;
    }

    /// Waits for the next thing to do. Everything waited for is cancel-safe; the account's end goes before the client's words.
    async fn wait(&mut self, shutdown: &mut tokio::sync::watch::Receiver<bool>, unasked: bool) -> Woken {
        let Session { connection, wire, signed_in, view, notify, .. } = self;
        let Some(signed_in) = signed_in else {
            return tokio::select! {
                biased;
                _ = shutdown.wait_for(|down| *down) => Woken::Shutdown,
                next = connection.next(wire) => Woken::Next(next),
            };
        };
        let account = signed_in.account.id;
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|down| *down) => return Woken::Shutdown,
                changed = signed_in.epochs.recv() => match changed {
                    Ok(id) if id != account => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return Woken::SignInChanged,
                    Err(RecvError::Closed) => return Woken::Shutdown,
                },
                changed = signed_in.watch.changed(), if unasked => return match changed {
                    Ok(()) => Woken::Changed,
                    // The store is closing.
                    Err(_) => Woken::Shutdown,
                },
                () = changed_elsewhere(view, notify), if unasked => return Woken::Changed,
                next = connection.next(wire) => return Woken::Next(next),
            }
        }
    }

    /// Whoever watches this account's dialogues sees this one from now on ([`crate::wire_log`]).
    fn let_watch(&mut self) {
        let Some(signed_in) = &self.signed_in else { return };
        let who = (wire::explain::Protocol::Imap, signed_in.account.address.as_str());
        crate::wire_log::join(&self.context.wire_log, &mut self.connection, &mut self.wire, who, |wire| match wire.idle_tag() {
            _ if wire.is_compressed() => Joined::Compressed,
            Some(tag) => Joined::Idle(tag),
            None => Joined::Between,
        });
    }

    /// Are suspension, removal and passwords as they were at sign-in?
    pub(crate) async fn still_signed_in(&self) -> bool {
        match &self.signed_in {
            Some(signed_in) => self.context.auth.still_good(&signed_in.account).await,
            None => true,
        }
    }

    fn is_over(&self, trouble: &Trouble) -> bool {
        matches!(trouble, Trouble::Over)
    }

    async fn sasl(&mut self, sign_in: &mut SignIn, question: Question) -> bool {
        let client = Client::of(&self.connection);
        let (answer, account) = Box::pin(sign_in.answer(&self.context.auth, question, client)).await;
        let answer = match account {
            Some(account) => self.begin(account).await,
            None => answer,
        };
        self.wire.answer(answer);
        true
    }

    /// Signed in: watches the account from now on. A full house never looks like a wrong password.
    async fn begin(&mut self, account: Arc<Account>) -> Answer {
        let Some(seat) = self.context.imap.seat(account.id, limits::SESSIONS_PER_ACCOUNT_MAX) else {
            return Answer::Refuse(Refusal::Temporary);
        };
        let epochs = self.context.store.epoch_watch();
        match self.context.store.watch(account.id).await {
            Ok(watch) if self.context.auth.still_good(&account).await => {
                self.connection.name_peer(&account.address);
                self.wire.switch_on(self.context.imap.settings.capabilities(&account.address));
                self.signed_in = Some(SignedIn { account, watch, epochs, _seat: seat });
                Answer::Accept
            }
            Ok(_) => Answer::Refuse(Refusal::Credentials),
            Err(_) => Answer::Refuse(Refusal::Temporary),
        }
    }

    /// One command from its first untagged line to its tagged one; false when the session is over.
    async fn command(&mut self, tag: Tag, command: Command) -> bool {
        let may_expunge = match &command {
            Command::Fetch(fetch) => fetch.uid,
            Command::Store(store) => store.uid,
            Command::Search(search) => search.uid,
            Command::Sort(sort) => sort.search.uid,
            Command::Thread(thread) => thread.search.uid,
            Command::Copy { uid, .. } => *uid,
            _ => true,
        };
        if command == Command::Unauthenticate {
            self.unauthenticate();
            return true;
        }
        if matches!(command, Command::Expunge { .. } | Command::Move { .. }) {
            self.show_selected();
        }
        let own = match self.notify.is_some().then(|| OwnAct::of(&command)).flatten() {
            Some(act) if Box::pin(self.tell_events()).await.is_ok() => Some(act),
            _ => None,
        };
        // Whoever leaves the mailbox need not be told that it is closed to him.
        let leaves = matches!(command, Command::Select(_) | Command::Unselect);
        let outcome = match if leaves { Ok(()) } else { self.refresh_rights() } {
            Err(trouble) => Err(trouble),
            Ok(()) if self.uid_only && uses_numbers(&command) => Err(Trouble::UidRequired),
            Ok(()) => self.perform(tag, command).await,
        };
        if let Some(act) = own.filter(|_| outcome.is_ok()) {
            Box::pin(self.knows_of(&act)).await;
        }
        self.finish(outcome, may_expunge).await
    }

    /// Every arm is boxed: an idle connection must not carry the largest command's state.
    async fn perform(&mut self, tag: Tag, command: Command) -> Outcome {
        match command {
            Command::Noop | Command::Check => failure::done("Done"),
            Command::Id(id) => self.id(&id),
            Command::Namespace => self.namespace(),
            Command::Enable(extensions) => self.enable(&extensions),
            Command::Select(select) => Box::pin(self.select(select)).await,
            Command::Close => Box::pin(self.close()).await,
            Command::Unselect => self.unselect(),
            Command::Create { mailbox, uses } => Box::pin(self.create(&mailbox, &uses)).await,
            Command::Delete { mailbox } => Box::pin(self.delete(&mailbox)).await,
            Command::Rename { from, to } => Box::pin(self.rename(&from, &to)).await,
            Command::Subscribe { mailbox } => Box::pin(self.subscribe(&mailbox, true)).await,
            Command::Unsubscribe { mailbox } => Box::pin(self.subscribe(&mailbox, false)).await,
            Command::List(list) => Box::pin(self.list(&list)).await,
            Command::Status(status) => Box::pin(self.status(&status)).await,
            Command::Expunge { uids } => Box::pin(self.expunge(uids.as_ref())).await,
            Command::Search(search) => Box::pin(self.search(tag, search)).await,
            Command::Sort(sort) => Box::pin(self.sort(tag, sort)).await,
            Command::Thread(thread) => Box::pin(self.thread(thread)).await,
            Command::CancelUpdate(tags) => self.cancel_update(&tags),
            Command::Comparator(wanted) => self.comparator(&wanted),
            Command::MultiSearch(search) => Box::pin(self.multi_search(tag, search)).await,
            Command::Fetch(fetch) => Box::pin(self.fetch(fetch)).await,
            Command::Store(store) => Box::pin(self.store_flags(store)).await,
            Command::Notify(notify) => Box::pin(self.notify(notify)).await,
            Command::Url(url) => Box::pin(self.url_auth(url)).await,
            Command::Acl(acl) => Box::pin(self.acl(acl)).await,
            Command::Quota(quota) => Box::pin(self.quota(quota)).await,
            Command::GetMetadata(get) => Box::pin(self.get_metadata(get)).await,
            Command::SetMetadata(set) => Box::pin(self.set_metadata(set)).await,
            Command::Copy { uid, set, mailbox } => Box::pin(self.copy(uid, &set, &mailbox)).await,
            Command::Move { uid, set, mailbox } => Box::pin(self.move_(uid, &set, &mailbox)).await,
            Command::GetJmapAccess => self.jmap_access(),
            Command::UidBatches { size, batches } => Box::pin(self.uid_batches(tag, size, batches)).await,
            Command::Capability
            | Command::Logout
            | Command::StartTls
            | Command::Authenticate { .. }
            | Command::Login { .. }
            | Command::Append(_)
            | Command::Replace { .. }
            | Command::Idle => Err(Trouble::Bad("Not now")),
            // Read by the grammar, not announced.
            _ => Err(Trouble::Bad("unknown command")),
        }
    }

    /// What happened meanwhile, then the tagged answer; false when the session is over.
    async fn finish(&mut self, outcome: Outcome, may_expunge: bool) -> bool {
        if matches!(outcome, Err(Trouble::Over)) {
            return false;
        }
        let synced = match Box::pin(self.sync(may_expunge)).await {
            Ok(()) => Box::pin(self.tell_events()).await,
            trouble => trouble,
        };
        match synced {
            Err(Trouble::Over) => return false,
            Err(Trouble::Store(error)) => {
                failure::from_store(&error);
            }
            _ => {}
        }
        self.tell_settled();
        match outcome {
            Ok(done) => self.wire.ok(done.code, done.text),
            Err(Trouble::No(code, text)) => self.wire.no(code, &text),
            Err(Trouble::Bad(text)) => self.wire.bad(None, text),
            Err(Trouble::UidRequired) => self.wire.bad(Some(Code::UidRequired), "Message numbers are not used here any more"),
            Err(Trouble::Store(error)) => {
                let (kind, code, text) = failure::from_store(&error);
                debug_assert_eq!(kind, Kind::No);
                self.wire.no(code, text);
            }
            Err(Trouble::Over) => return false,
        }
        true
    }

    /// RFC 5530 §3: a mailbox that is not there.
    fn nonexistent(text: &'static str) -> Trouble {
        failure::no(Code::NonExistent, text)
    }
}

/// Something happened in another account that this session follows. What few sessions wait for is boxed.
async fn changed_elsewhere(view: &mut Option<View>, notify: &mut Option<Box<Notifying>>) {
    let selected = view.as_mut().and_then(|view| view.watch.as_mut());
    if selected.is_none() && notify.is_none() {
        return std::future::pending().await;
    }
    Box::pin(changed_followed(selected, notify)).await
}

async fn changed_followed(selected: Option<&mut watch::Receiver<ModSeq>>, notify: &mut Option<Box<Notifying>>) {
    let mut lists = notify.as_ref().and_then(|notifying| notifying.lists());
    let others = notify.iter_mut().flat_map(|notifying| notifying.watches());
    let mut changes: Vec<_> = selected.into_iter().chain(others).map(|watch| Box::pin(watch.changed())).collect();
    let mut lists = std::pin::pin!(async {
        match lists.as_mut() {
            Some(lists) => lists.changed().await.is_ok(),
            None => std::future::pending().await,
        }
    });
    std::future::poll_fn(|context| {
        let mut changed = lists.as_mut().poll(context).is_ready();
        changes.retain_mut(|change| match change.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(seen) => {
                // A sender that is gone has nothing to tell any more.
                changed |= seen.is_ok();
                false
            }
        });
        if changed { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Commands that name messages by number, or answer with numbers (RFC 9586 §3: refused once UIDONLY is on).
fn uses_numbers(command: &Command) -> bool {
    match command {
        Command::Fetch(fetch) => !fetch.uid,
        Command::Store(store) => !store.uid,
        Command::Search(search) => !search.uid || names_numbers(&search.keys),
        Command::Sort(sort) => !sort.search.uid || names_numbers(&sort.search.keys),
        Command::Thread(thread) => !thread.search.uid || names_numbers(&thread.search.keys),
        Command::Copy { uid, .. } | Command::Move { uid, .. } => !uid,
        Command::Select(select) => select.qresync.as_ref().is_some_and(|known| known.known_sequence_match.is_some()),
        _ => false,
    }
}

/// Is a message number among these keys?
fn names_numbers(keys: &[SearchKey]) -> bool {
    any_key(keys, &|key| matches!(key, SearchKey::Sequence(set) if !set.is_saved()))
}

/// Is what was saved ($, RFC 5182) among these keys?
fn names_saved(keys: &[SearchKey]) -> bool {
    any_key(keys, &|key| matches!(key, SearchKey::Sequence(set) | SearchKey::Uid(set) if set.is_saved()))
}

fn any_key(keys: &[SearchKey], wanted: &dyn Fn(&SearchKey) -> bool) -> bool {
    keys.iter().any(|key| match key {
        SearchKey::Not(inner) | SearchKey::Fuzzy(inner) => any_key(std::slice::from_ref(inner), wanted),
        SearchKey::Or(one, other) => any_key(std::slice::from_ref(one), wanted) || any_key(std::slice::from_ref(other), wanted),
        SearchKey::And(keys) => any_key(keys, wanted),
        key => wanted(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand sessions wait at once: what one holds while it does is what it costs.
    #[test]
    fn a_session_can_move_between_threads_and_is_small() {
        fn size<One, Two, F: Future + Send>(_: impl Fn(One, Two) -> F) -> usize {
            size_of::<F>()
        }
        let octets = size(serve);
        assert!(octets <= 2432, "{octets}");
    }

    /// What is aligned more widely than any allocation costs a slow one, and these are made for each command.
    #[test]
    fn nothing_that_is_made_for_each_command_is_aligned_widely() {
        fn align<F: Future>(_: impl FnOnce(&'static mut Session) -> F) -> usize {
            align_of::<F>()
        }
        let commands = [
            align(|session| session.expunge(None)),
            align(|session| session.store_flags(unreachable())),
            align(|session| session.append_event(unreachable(), unreachable())),
            align(|session| session.copy(true, unreachable(), unreachable())),
            align(|session| session.move_(true, unreachable(), unreachable())),
            align(|session| session.finish(failure::done(""), true)),
            align(|session| session.sync(true)),
        ];
        assert_eq!(commands.into_iter().max(), Some(8), "{commands:?}");
    }

    /// For what is never called.
    #[allow(clippy::panic)]
    fn unreachable<T>() -> T {
        panic!("it is only measured")
    }
}
