//! One real server on a memory disk: its faces, its queue's hands, its disk's syncs, and its deaths.
//!
//! Invariant: a kill takes every task of the server at one instant; what it comes back with is what its disk had synced.
//! Must not know: what its clients do.

use crate::certificates::CERTIFICATES;
use crate::chance::Chance;
use crate::names::{self, Liar};
use crate::network::Road;
use crate::pipe::End;
use crate::policy_host;
use crate::world::World;
use net::{Connection, Incoming, Network, Peer, Resolver, TlsServer};
use server::auth::Auth;
use server::context::{Context, Limits, Plaintext, Shared};
use server::outbound::{self, Relay, RelayTls};
use server::smtp::{Mode, Settings, ids::Ids};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Alias, KeptPolicy, MemoryDisk, NewAccount, ScramVerifier, Secrets, Store, StoreConfig, StoreError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Everybody's.
pub(crate) const PASSWORD: &[u8] = b"password";
/// Largest message.
const MESSAGE_BYTES_MAX: u64 = 1_000_000;

/// What a server is.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) hostname: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) octets: [u8; 4],
    /// Local parts, with their quotas.
    pub(crate) accounts: &'static [(&'static str, Option<u64>)],
    pub(crate) aliases: &'static [(&'static str, &'static [&'static str])],
    pub(crate) relay: Option<&'static str>,
    /// Offers TLS, and its domain demands it.
    pub(crate) tls: bool,
}

struct Running {
    context: Shared,
    shutdown: watch::Sender<bool>,
    sessions: JoinSet<()>,
    /// Outgoing mail, the disk's syncs.
    others: JoinSet<()>,
}

/// See the module.
pub(crate) struct Office {
    pub(crate) plan: Plan,
    disk: Mutex<MemoryDisk>,
    running: Mutex<Option<Running>>,
    starts: Mutex<u64>,
}

/// SCRAM alone: argon2 would be the only thing here that takes real time, and it takes it on another thread.
static SECRETS: LazyLock<Secrets> = LazyLock::new(|| {
    let salt = *b"salt of everyone";
    let iterations = NonZeroU32::new(4096).unwrap_or(NonZeroU32::MIN);
    let verifier = wire::sasl::ScramVerifier::derive(PASSWORD, &salt, iterations);
    let scram = ScramVerifier {
        salt: verifier.salt,
        iterations: verifier.iterations,
        stored_key: verifier.stored_key,
        server_key: verifier.server_key,
    };
    Secrets { argon2: "none".to_owned(), scram: Some(scram) }
});

fn store_config() -> StoreConfig {
    StoreConfig {
        data_dir: PathBuf::new(),
        undo_days: 30,
        free_bytes_min: 0,
        free_bytes_tight: 0,
        message_bytes_max: MESSAGE_BYTES_MAX + mta::limits::ADDED_BYTES_MAX,
    }
}

impl Office {
    pub(crate) fn new(plan: Plan) -> Office {
        Office { plan, disk: Mutex::default(), running: Mutex::new(None), starts: Mutex::new(0) }
    }

    /// The first office of a world without trouble, furnished and open.
    pub(crate) async fn first_in_calm(world: &Arc<World>) -> Result<Option<(&Office, Shared)>, StoreError> {
        world.be_calm();
        let Some(office) = world.offices.first() else { return Ok(None) };
        office.furnish().await?;
        office.start(world).await;
        Ok(office.context().map(|context| (office, context)))
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn disk(&self) -> MemoryDisk {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn ip(&self) -> IpAddr {
        names::ip(self.plan.octets)
    }

    pub(crate) fn context(&self) -> Option<Shared> {
        self.running().as_ref().map(|running| Arc::clone(&running.context))
    }

    /// The first time: accounts and aliases.
    pub(crate) async fn furnish(&self) -> Result<(), StoreError> {
        let store = self.disk().open(store_config()).await?;
        let accounts = self.plan.accounts.iter().map(|(local, quota_bytes)| NewAccount {
            address: format!("{local}@{}", self.plan.domain),
            secrets: SECRETS.clone(),
            quota_bytes: *quota_bytes,
        });
        store.accounts_add(accounts.collect(), 1).await?;
        // Known since before the trouble began: from then on it stands, whatever DNS and policy hosts say.
        let now_secs = net::clock::unix_now();
        let policy = KeptPolicy { id: "0".into(), fetched_secs: now_secs, used_secs: now_secs, text: policy_host::policy() };
        store.keep_policy("sigma.test", &policy).await?;
        for (local, targets) in self.plan.aliases {
            let targets = targets.iter().map(|target| (*target).to_owned()).collect();
            store.alias_add(Alias { address: format!("{local}@{}", self.plan.domain), targets }).await?;
        }
        Ok(())
    }

    /// Opens the store and the doors.
    pub(crate) async fn start(&self, world: &Arc<World>) {
        let start = {
            let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
            *starts += 1;
            *starts
        };
        let disk = self.disk();
        let store = match disk.open(store_config()).await {
            Ok(store) => store,
            Err(error) => return world.log.violation(format!("{}: the store does not open: {error:?}", self.plan.name)),
        };
        let (shutdown, down) = watch::channel(false);
        let context = Arc::new(self.furnished(world, store, down, start));
        let mut others = JoinSet::new();
        let wanted = Arc::new(Notify::new());
        let waker = Arc::clone(&wanted);
        disk.hold(move || waker.notify_one());
        let mut chance = Chance::new(world.seed, self.plan.name, start);
        others.spawn(async move {
            loop {
                wanted.notified().await;
                tokio::time::sleep(Duration::from_millis(chance.from(1, 12))).await;
                disk.sync();
            }
        });
        others.spawn(outbound::run(Arc::clone(&context), self.outbound(world, start)));
        world.log.say(format!("{} is up", self.plan.name));
        *self.running() = Some(Running { context, shutdown, sessions: JoinSet::new(), others });
    }

    fn furnished(&self, world: &World, store: Store, shutdown: watch::Receiver<bool>, start: u64) -> Context {
        let [a, .., d] = self.plan.octets;
        let [.., low] = start.to_be_bytes();
        Context {
            search: search::Searcher::new(store.clone()),
            auth: Auth::new(store.clone(), Some(self.plan.domain.to_owned())),
            store,
            hostname: self.plan.hostname.to_owned(),
            domains: vec![self.plan.domain.to_owned()],
            message_bytes_max: MESSAGE_BYTES_MAX,
            plaintext: Plaintext::Always,
            limits: Limits::default(),
            reachable: None,
            smtp: Settings { schedule: world.schedule.clone(), ids: Ids::starting([a, d, 7, low]), ..Settings::default() },
            shutdown,
            trust: Default::default(),
            imap: server::imap::Memory::default(),
            wire_log: Default::default(),
            sizes: Default::default(),
            wishes: Default::default(),
            pop: server::pop::Maildrops::default(),
        }
    }

    fn outbound(&self, world: &Arc<World>, start: u64) -> outbound::Settings {
        let number = u64::from(self.plan.octets[3]) * 1000 + start;
        let mut settings = outbound::Settings::new(Resolver::of(Arc::new(Liar::new(Arc::clone(world), number, self.plan.relay))));
        let road = Road { world: Arc::clone(world), from: self.ip(), name: self.plan.name.to_owned() };
        settings.network = Network::Other(Arc::new(road));
        settings.schedule = world.schedule.clone();
        settings.sts_port = Some(443);
        settings.extra_ca = Some(CERTIFICATES.authority.clone());
        settings.connections_per_destination = 2;
        settings.relay = self.plan.relay.map(|host| Relay {
            lmtp: false,
            socket: None,
            host: host.to_owned(),
            port: 25,
            tls: RelayTls::None,
            username: None,
            password: None,
            extra_ca: None,
            reach: None,
        });
        settings
    }

    /// Takes a connection, with this certificate for STARTTLS; false when nobody listens.
    pub(crate) fn accept(&self, port: u16, end: End, from: IpAddr, tls: Option<Arc<TlsServer>>) -> bool {
        let mut running = self.running();
        let Some(running) = running.as_mut().filter(|running| !*running.shutdown.borrow()) else { return false };
        let peer = Peer::Ip { ip: from, port: 40_000 };
        let incoming = Incoming::over(Box::new(end), peer, Some(SocketAddr::new(self.ip(), port)));
        let connection = Connection::server(incoming, tls);
        let context = Arc::clone(&running.context);
        while running.sessions.try_join_next().is_some() {}
        match port {
            25 => drop(running.sessions.spawn(server::smtp::serve(context, connection, Mode::Mx))),
            587 => drop(running.sessions.spawn(server::smtp::serve(context, connection, Mode::Submission))),
            24 => drop(running.sessions.spawn(server::smtp::serve(context, connection, Mode::Lmtp))),
            143 => drop(running.sessions.spawn(server::imap::serve(context, connection))),
            110 => drop(running.sessions.spawn(server::pop::serve(context, connection, false))),
            _ => return false,
        }
        true
    }

    /// Sessions that have not ended.
    pub(crate) fn sessions(&self) -> usize {
        let mut running = self.running();
        let Some(running) = running.as_mut() else { return 0 };
        while running.sessions.try_join_next().is_some() {}
        running.sessions.len()
    }

    /// The power goes: nothing is finished, nothing unsynced is kept.
    pub(crate) fn kill(&self, world: &World) {
        let Some(mut running) = self.running().take() else { return };
        world.cut(self.plan.name);
        world.log.say(format!("{} is killed", self.plan.name));
        running.sessions.abort_all();
        running.others.abort_all();
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        *disk = disk.after_crash();
    }

    /// The end of the seed.
    pub(crate) fn close(&self) {
        drop(self.running().take());
    }

    /// Stops in order, as a restart does.
    pub(crate) async fn stop(&self, world: &World) {
        let Some(shutdown) = self.running().as_ref().map(|running| running.shutdown.clone()) else { return };
        world.log.say(format!("{} is told to stop", self.plan.name));
        shutdown.send_replace(true);
        tokio::time::sleep(Duration::from_secs(30)).await;
        self.kill(world);
    }
}
