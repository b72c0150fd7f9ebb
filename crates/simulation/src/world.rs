//! Everything of one seed: servers, people, trouble, the calm after it, and the reckoning.
//!
//! Invariant: one thread, paused time; a run ends within a bounded virtual time or says what was stuck.

use crate::certificates::CERTIFICATES;
use crate::chance::Chance;
use crate::ledger::Ledger;
use crate::log::Log;
use crate::office::{Office, Plan};
use crate::pipe::{End, Record};
use crate::{disturbance, foreign, imap_client, laws, names, policy_host, pop_client, smtp_client, watcher};
use mta::queue::Schedule;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// When it begins, by the servers' calendars.
const BEGIN_SECS: i64 = 1_800_000_000;
/// Nobody's day is longer.
const DAY_MAX: Duration = Duration::from_secs(24 * 3600);
/// A connection may take so long to end after everything else has.
const SESSION_MAX: Duration = Duration::from_secs(3 * 3600);

/// The servers. `gamma` sends everything through `alpha`; aliases lead from one to the other and in circles; mail to `delta` is
/// protected by DANE, mail to `sigma` by MTA-STS.
const OFFICES: &[Plan] = &[
    Plan {
        name: "alpha",
        hostname: "mx.alpha.test",
        domain: "alpha.test",
        octets: [10, 0, 0, 1],
        accounts: &[("alice", None), ("bob", None), ("ivy", None), ("full", Some(6_000))],
        aliases: &[
            ("fwd", &["carol@beta.test"]),
            ("team", &["alice@alpha.test", "carol@beta.test", "yes@foreign.test"]),
            ("ping", &["pong@beta.test"]),
        ],
        relay: None,
        tls: false,
    },
    Plan {
        name: "beta",
        hostname: "mx.beta.test",
        domain: "beta.test",
        octets: [10, 0, 0, 2],
        accounts: &[("carol", None), ("pat", None)],
        aliases: &[("back", &["bob@alpha.test"]), ("pong", &["ping@alpha.test"])],
        relay: None,
        tls: false,
    },
    Plan {
        name: "gamma",
        hostname: "mx.gamma.test",
        domain: "gamma.test",
        octets: [10, 0, 0, 3],
        accounts: &[("erin", None)],
        aliases: &[],
        relay: Some("mx.alpha.test"),
        tls: false,
    },
    Plan {
        name: "delta",
        hostname: "mx.delta.test",
        domain: "delta.test",
        octets: names::DELTA,
        accounts: &[("dan", None)],
        aliases: &[],
        relay: None,
        tls: true,
    },
    Plan {
        name: "sigma",
        hostname: "mx.sigma.test",
        domain: "sigma.test",
        octets: names::SIGMA,
        accounts: &[("sue", None)],
        aliases: &[],
        relay: None,
        tls: true,
    },
];

/// How much happened.
#[derive(Debug, Default, Clone, Copy)]
#[allow(missing_docs)]
pub struct Counts {
    pub messages: u64,
    pub promises: u64,
    pub connections: u64,
    pub disturbed_connections: u64,
    pub faults: u64,
    pub lies: u64,
    pub acts: u64,
    pub virtual_secs: u64,
    pub lines: u64,
    /// Connections to servers that demand TLS which somebody else took.
    pub impostures: u64,
    /// Messages that came to those servers.
    pub protected: u64,
}

/// How a seed went.
#[derive(Debug)]
pub struct Report {
    /// Which.
    pub seed: u64,
    /// Of the whole log: two runs of a seed have the same.
    pub hash: u64,
    /// Laws that were broken.
    pub violations: Vec<String>,
    /// All that happened.
    pub log: Vec<String>,
    /// How much.
    pub counts: Counts,
}

/// Who takes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Whom it is for.
    Own,
    /// Somebody else, who offers no TLS.
    Bare,
    /// Somebody else, with a certificate of their own making.
    False,
}

/// See the module.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) log: Log,
    pub(crate) schedule: Schedule,
    pub(crate) lies_percent: u64,
    pub(crate) trouble_percent: u64,
    /// Does anybody write to an alias that leads in circles?
    pub(crate) circles: bool,
    pub(crate) offices: Vec<Office>,
    /// Who pretends to be `delta` and `sigma`: the same names and people, no certificate or a false one.
    pub(crate) impostors: Vec<Office>,
    pub(crate) impostor_percent: u64,
    pub(crate) records: Mutex<Vec<Arc<Mutex<Record>>>>,
    ledger: Mutex<Ledger>,
    counts: Mutex<Counts>,
    calm: watch::Sender<bool>,
    connections: AtomicU64,
    foreign: Mutex<JoinSet<()>>,
    /// Servers whose disk was full: there outcomes cannot be written, so what was sent is sent again.
    filled: Mutex<Vec<usize>>,
    /// Connections that nobody answers: just now, and at most.
    knocking: AtomicUsize,
    knocking_most: AtomicUsize,
}

/// One that nobody answers.
pub(crate) struct Knocking<'a>(&'a World);

impl Drop for Knocking<'_> {
    fn drop(&mut self) {
        self.0.knocking.fetch_sub(1, Ordering::Relaxed);
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed, "world", 0);
        let lifetime_secs = *chance.pick(&[3_600, 3_600, 4 * 3_600, 12 * 3_600]);
        World {
            seed,
            log: Log::new(),
            schedule: Schedule { retry_secs: vec![60, 300, 900, 1_800], delay_notice_secs: lifetime_secs / 2, lifetime_secs },
            lies_percent: *chance.pick(&[0, 3, 12, 40]),
            trouble_percent: *chance.pick(&[0, 4, 12, 30]),
            circles: chance.percent(6),
            offices: OFFICES.iter().cloned().map(Office::new).collect(),
            impostors: OFFICES.iter().filter(|plan| plan.tls).cloned().map(Office::new).collect(),
            impostor_percent: *chance.pick(&[0, 10, 30, 60]),
            records: Mutex::default(),
            ledger: Mutex::default(),
            counts: Mutex::default(),
            calm: watch::channel(false).0,
            connections: AtomicU64::new(0),
            foreign: Mutex::default(),
            filled: Mutex::default(),
            knocking: AtomicUsize::default(),
            knocking_most: AtomicUsize::default(),
        }
    }

    /// No trouble from now on.
    pub(crate) fn be_calm(&self) {
        self.log.say("calm");
        self.calm.send_replace(true);
    }

    /// Somebody begins to wait where nobody answers.
    pub(crate) fn knock(&self) -> Knocking<'_> {
        let now = self.knocking.fetch_add(1, Ordering::Relaxed) + 1;
        self.knocking_most.fetch_max(now, Ordering::Relaxed);
        Knocking(self)
    }

    /// How many at most waited so at once.
    pub(crate) fn knocking_most(&self) -> usize {
        self.knocking_most.load(Ordering::Relaxed)
    }

    pub(crate) fn is_calm(&self) -> bool {
        *self.calm.borrow()
    }

    pub(crate) fn calm_watch(&self) -> watch::Receiver<bool> {
        self.calm.subscribe()
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn ip(&self, at: usize) -> IpAddr {
        self.offices.get(at).map_or_else(|| names::ip(names::NOBODY), Office::ip)
    }

    pub(crate) fn domain(&self, at: usize) -> &'static str {
        self.offices.get(at).map_or("nowhere.test", |office| office.plan.domain)
    }

    pub(crate) fn name_of(&self, ip: IpAddr) -> String {
        let office = self.offices.iter().find(|office| office.ip() == ip);
        office.map_or("foreign", |office| office.plan.name).to_owned()
    }

    pub(crate) fn ledger<T>(&self, act: impl FnOnce(&mut Ledger) -> T) -> T {
        act(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn count(&self, act: impl FnOnce(&mut Counts)) {
        act(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A fault outside connections.
    pub(crate) fn disturbed(&self, what: &str, about: &str) {
        self.count(|counts| counts.faults += 1);
        self.log.say(format!("{what}: {about}"));
    }

    pub(crate) fn fill(&self, at: usize) {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner).push(at);
    }

    /// Was any disk full at any time?
    pub(crate) fn was_full(&self) -> bool {
        !self.filled.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// All open connections of a server are about to be cut.
    pub(crate) fn cut(&self, name: &str) {
        for record in self.records.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            if record.open > 0 && record.ends.iter().any(|end| end == name) {
                record.disturbed.get_or_insert("killed");
            }
        }
    }

    /// Does this server demand TLS?
    pub(crate) fn is_protected(&self, ip: IpAddr) -> bool {
        self.impostors.iter().any(|office| office.ip() == ip)
    }

    /// Hands a connection to whoever listens there, or to who pretends to.
    pub(crate) fn accept(self: &Arc<World>, to: SocketAddr, end: End, from: IpAddr, door: Door) -> bool {
        let own = door == Door::Own;
        if !own {
            self.count(|counts| counts.impostures += 1);
        }
        if to.ip() == names::ip(names::SIGMA) && to.port() == 443 {
            self.spawn(policy_host::serve(end, from, own));
            return true;
        }
        let offices = if own { &self.offices } else { &self.impostors };
        if let Some(office) = offices.iter().find(|office| office.ip() == to.ip()) {
            let tls = match door {
                Door::Own => office.plan.tls.then(|| Arc::clone(&CERTIFICATES.own)),
                Door::Bare => None,
                Door::False => Some(Arc::clone(&CERTIFICATES.false_one)),
            };
            return office.accept(to.port(), end, from, tls);
        }
        if to.ip() != names::ip(names::FOREIGN) || to.port() != 25 {
            return false;
        }
        self.spawn(foreign::serve(Arc::clone(self), end, self.connections.load(Ordering::Relaxed)));
        true
    }

    fn spawn(&self, conversation: impl Future<Output = ()> + Send + 'static) {
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        while foreign.try_join_next().is_some() {}
        foreign.spawn(conversation);
    }
}

async fn play(world: &Arc<World>) {
    for office in world.offices.iter().chain(&world.impostors) {
        if let Err(error) = office.furnish().await {
            return world.log.violation(format!("{}: cannot be furnished: {error:?}", office.plan.name));
        }
        office.start(world).await;
    }
    let mut chance = Chance::new(world.seed, "play", 0);
    let mut people = JoinSet::new();
    for number in 0..chance.from(3, 9) {
        people.spawn(smtp_client::live(Arc::clone(world), number));
    }
    people.spawn(imap_client::live(Arc::clone(world)));
    people.spawn(pop_client::live(Arc::clone(world)));
    let count = Arc::new(AtomicU32::new(watcher::UNKNOWN));
    let watcher = tokio::spawn(watcher::live(Arc::clone(world), Arc::clone(&count)));
    let mut trouble = JoinSet::new();
    for at in 0..world.offices.len() {
        trouble.spawn(disturbance::disturb(Arc::clone(world), at));
    }
    let day = async { while people.join_next().await.is_some() {} };
    if tokio::time::timeout(DAY_MAX, day).await.is_err() {
        world.log.violation("a client is stuck");
        people.abort_all();
    }
    world.be_calm();
    while trouble.join_next().await.is_some() {}
    settle(world).await;
    pop_client::last_look(world).await;
    watcher::last_look(world, watcher, &count).await;
    sessions_end(world).await;
    laws::check(world).await;
}

/// Until every queue is empty.
async fn settle(world: &Arc<World>) {
    let secs = 3 * world.schedule.lifetime_secs + 3 * 3_600;
    for _ in 0..secs / 300 {
        tokio::time::sleep(Duration::from_secs(300)).await;
        let mut waiting = 0;
        for office in &world.offices {
            let Some(context) = office.context() else { continue };
            waiting += context.store.queue_list(None, 1_000).await.map_or(1, |entries| entries.len());
        }
        if waiting == 0 {
            return world.log.say("all queues are empty");
        }
    }
    for office in &world.offices {
        let Some(context) = office.context() else { continue };
        for entry in context.store.queue_list(None, 1_000).await.unwrap_or_default() {
            let to: Vec<&str> = entry.message.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
            world.log.violation(format!("{}: q{} to {to:?} never leaves the queue", office.plan.name, entry.id.0));
        }
    }
}

/// When everybody has gone no conversation goes on for ever.
async fn sessions_end(world: &World) {
    let began = tokio::time::Instant::now();
    while world.offices.iter().map(Office::sessions).sum::<usize>() > 0 {
        if began.elapsed() > SESSION_MAX {
            return world.log.violation("a server's session never ends");
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// The servers' tasks catch their panics; here they are counted.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
}

/// A world of its own, and a clock that jumps.
///
/// # Panics
/// When there is no runtime to be had.
#[allow(clippy::expect_used)]
pub(crate) fn in_virtual_time<T>(seed: u64, play: impl AsyncFnOnce(Arc<World>) -> T) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime of one thread");
    runtime.block_on(async {
        net::clock::simulate(BEGIN_SECS);
        play(Arc::new(World::new(seed))).await
    })
}

/// Plays one seed.
///
/// # Panics
/// When there is no runtime to be had.
pub fn run(seed: u64) -> Report {
    watch_panics();
    let before = PANICS.get();
    in_virtual_time(seed, async |world| {
        play(&world).await;
        if PANICS.get() != before {
            world.log.violation("a task panicked");
        }
        let mut counts = *world.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.virtual_secs = world.log.millis() / 1000;
        let records = world.records.lock().unwrap_or_else(PoisonError::into_inner);
        let disturbed = records.iter().filter(|record| record.lock().unwrap_or_else(PoisonError::into_inner).disturbed.is_some());
        counts.disturbed_connections = disturbed.count() as u64;
        drop(records);
        let (log, violations, hash) = world.log.finish();
        counts.lines = log.len() as u64;
        for office in world.offices.iter().chain(&world.impostors) {
            office.close();
        }
        Report { seed, hash, violations, log, counts }
    })
}
