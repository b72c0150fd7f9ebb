//! The dialogue of one account's sessions as it happens, for whoever watches: `packetboat wire --account X`.
//!
//! Off while nobody watches, and then it costs nothing. A connection made while somebody does is followed from its first
//! octet, and shown once it has signed in as a watched account; what came before is kept until then, up to a bound. One that
//! stands is woken ([`crate::context::Context::watch`]) and followed from between two of its commands on.
//! Invariant: what is shown went through [`wire::explain`], so it holds no secret and no message. A watcher that is too
//! slow loses lines and is told; it never holds a session up.

use net::{Connection, Tap};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use wire::Session;
use wire::explain::{Explained, Explainer, Protocol, Side};

/// Lines kept of a connection that has not signed in.
const LINES_BEFORE_SIGN_IN_MAX: usize = 200;
/// Lines a watcher may be behind.
const LINES_BEHIND_MAX: usize = 1_000;
/// Who may watch at once.
const WATCHERS_MAX: usize = 16;

/// One line of a dialogue.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Spoken {
    /// Milliseconds since 1970.
    pub at_millis: i64,
    /// Numbers connections since the start of the server.
    pub connection: u64,
    pub protocol: Protocol,
    pub peer: String,
    pub explained: Explained,
    /// So many lines before it were lost: the watcher was too slow.
    pub lost: u64,
}

/// Who watches whom.
#[derive(Debug, Default)]
pub struct WireLog {
    watchers: Mutex<Vec<Watcher>>,
    watching: AtomicUsize,
    connections: AtomicU64,
}

#[derive(Debug)]
struct Watcher {
    account: String,
    to: mpsc::Sender<Spoken>,
    lost: u64,
}

impl WireLog {
    fn watchers(&self) -> MutexGuard<'_, Vec<Watcher>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches an account until the receiver is dropped; `None` when enough watch already.
    pub fn watch(&self, account: &str) -> Option<mpsc::Receiver<Spoken>> {
        let mut watchers = self.watchers();
        watchers.retain(|watcher| !watcher.to.is_closed());
        if watchers.len() >= WATCHERS_MAX {
            return None;
        }
        let (to, receiver) = mpsc::channel(LINES_BEHIND_MAX);
        watchers.push(Watcher { account: account.to_owned(), to, lost: 0 });
        self.watching.store(watchers.len(), Ordering::Relaxed);
        Some(receiver)
    }

    fn is_watched(&self, account: &str) -> bool {
        self.watchers().iter().any(|watcher| watcher.account == account && !watcher.to.is_closed())
    }

    fn tell(&self, account: &str, spoken: &Spoken) {
        let mut watchers = self.watchers();
        let before = watchers.len();
        watchers.retain(|watcher| !watcher.to.is_closed());
        if watchers.len() != before {
            self.watching.store(watchers.len(), Ordering::Relaxed);
        }
        for watcher in watchers.iter_mut().filter(|watcher| watcher.account == account) {
            match watcher.to.try_send(Spoken { lost: watcher.lost, ..spoken.clone() }) {
                Ok(()) => watcher.lost = 0,
                Err(_) => watcher.lost += 1,
            }
        }
    }
}

/// Follows this connection if anybody watches anyone.
pub(crate) fn follow(log: &Arc<WireLog>, connection: &mut Connection, protocol: Protocol) {
    if log.watching.load(Ordering::Relaxed) == 0 {
        return;
    }
    connection.set_tap(Arc::new(Follower::new(log, connection, (protocol, None), Explainer::new(protocol))));
}

/// Where a connection that stands is joined.
pub(crate) enum Joined<'a> {
    /// Between two commands.
    Between,
    /// Within the IDLE with this tag.
    Idle(&'a str),
    /// In a stream that is compressed.
    Compressed,
}

/// Follows a connection that stands, if its account is watched and it is not followed yet.
pub(crate) fn join<S: Session>(
    log: &Arc<WireLog>,
    connection: &mut Connection,
    session: &mut S,
    (protocol, account): (Protocol, &str),
    place: impl FnOnce(&S) -> Joined<'_>,
) {
    if log.watching.load(Ordering::Relaxed) == 0 || connection.is_tapped() || !session.is_at_rest() || !log.is_watched(account) {
        return;
    }
    let (explainer, first) = match place(session) {
        Joined::Between => (Explainer::joining(protocol, None), None),
        Joined::Idle(tag) => (Explainer::joining(protocol, Some(tag)), None),
        Joined::Compressed => {
            let (explainer, first) = Explainer::joining_compressed(protocol);
            (explainer, Some(first))
        }
    };
    let follower = Follower::new(log, connection, (protocol, Some(account.to_owned())), explainer);
    follower.hear(|_| first.into_iter().collect());
    connection.join_tap(session, Arc::new(follower));
}

struct Follower {
    log: Arc<WireLog>,
    number: u64,
    protocol: Protocol,
    peer: String,
    dialogue: Mutex<Dialogue>,
}

struct Dialogue {
    explainer: Explainer,
    account: Option<String>,
    before: VecDeque<Spoken>,
}

impl Follower {
    fn new(
        log: &Arc<WireLog>,
        connection: &Connection,
        (protocol, account): (Protocol, Option<String>),
        explainer: Explainer,
    ) -> Follower {
        let number = log.connections.fetch_add(1, Ordering::Relaxed);
        let peer = connection.peer().ip().map_or_else(|| "socket".to_owned(), |ip| ip.to_string());
        let dialogue = Mutex::new(Dialogue { explainer, account, before: VecDeque::new() });
        Follower { log: Arc::clone(log), number, protocol, peer, dialogue }
    }

    fn hear(&self, explain: impl FnOnce(&mut Explainer) -> Vec<Explained>) {
        let mut dialogue = self.dialogue.lock().unwrap_or_else(PoisonError::into_inner);
        for explained in explain(&mut dialogue.explainer) {
            let at_millis = net::clock::unix_now_millis();
            let (connection, protocol, peer) = (self.number, self.protocol, self.peer.clone());
            let spoken = Spoken { at_millis, connection, protocol, peer, explained, lost: 0 };
            match &dialogue.account {
                Some(account) => self.log.tell(account, &spoken),
                None => {
                    if dialogue.before.len() >= LINES_BEFORE_SIGN_IN_MAX {
                        dialogue.before.pop_front();
                    }
                    dialogue.before.push_back(spoken);
                }
            }
        }
    }
}

impl Tap for Follower {
    fn heard(&self, octets: &[u8]) {
        self.hear(|explainer| explainer.said(Side::Client, octets));
    }
    fn said(&self, octets: &[u8]) {
        self.hear(|explainer| explainer.said(Side::Server, octets));
    }
    fn tls_started(&self) {
        self.hear(|explainer| vec![explainer.tls_started()]);
    }
    fn named(&self, account: &str) {
        let mut dialogue = self.dialogue.lock().unwrap_or_else(PoisonError::into_inner);
        for spoken in std::mem::take(&mut dialogue.before) {
            self.log.tell(account, &spoken);
        }
        dialogue.account = Some(account.to_owned());
    }
}
