//! Old accounts that people link to theirs: brought once, by the engine of `packetboat import`, then collected from; and the
//! way out for mail as the old address.
//!
//! One task a link, which sleeps between rounds and wakes by IMAP's IDLE, by its owner, or by the clock. Invariant: a round
//! that is cut anywhere costs nothing, for the next goes on where it ended; only addresses of our reach are connected to.
//! Must not know: HTTP.

mod grants;
mod kept;

use super::Config;
use client::import::{self, Options, Report, Source};
use client::look::first;
use client::outbox::{Submission, try_out};
use client::{Dialer, Place, Progress, Protocol, Secret, StoreDoor, Trouble, discover};
use grants::Grants;
use kept::{Kept, Seal};
use server::context::{Shared, unix_now};
use server::outbound::{Linked, Relay, RelayTls};
use smol_str::SmolStr;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use store::{Account, AccountId, Store, UnixSecs};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use web::{FoundServer, FoundServers, LINKS_COLLECTION, Later, Link, LinkAct, NewLink, OldFolder, OldMessage, OldServer};
use web::{Grant, GrantState, Proof, WantedGrant};
use zeroize::Zeroizing;

/// Rounds at work at once are few: one that is at work for so long makes way for others, and goes on when it is its turn again;
/// so does one whose server gave no message for so long, and that counts as a failure.
const TURN_MAX: Duration = Duration::from_secs(60 * 60);
const NOTHING_MAX: Duration = Duration::from_secs(30 * 60);
/// For the connection that tells of news.
const WATCHER_MAX: Duration = Duration::from_secs(60);
/// Links of one account.
const LINKS_MAX: usize = 10;
/// Rounds at work at once, of all accounts together.
const ROUNDS_AT_ONCE: usize = 8;
/// Between two rounds without news.
const ROUND: Duration = Duration::from_secs(300);
/// An IDLE lasts no longer: then a round looks into all folders.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// After a round that failed in passing; doubled each time ...
const AGAIN: Duration = Duration::from_secs(60);
/// ... up to this.
const AGAIN_MAX: Duration = Duration::from_secs(3600);
/// Messages that could not be taken, told of one run.
const BAD_TOLD_MAX: usize = 20;
/// The newest of each folder that are shown before anything is brought.
const NEWEST_SHOWN: u32 = 5;
/// For looking for somebody's servers.
const DISCOVER_MAX: Duration = Duration::from_secs(90);
/// Octets of an address, a URL or a login name; and of all folders' names together.
const TEXT_BYTES_MAX: usize = 1_000;
const FOLDERS_BYTES_MAX: usize = 40_000;

/// A link in memory.
#[derive(Default)]
struct Run {
    state: &'static str,
    progress: Arc<Progress>,
    last_secs: Option<UnixSecs>,
    error: Option<String>,
    bad: Vec<(String, String)>,
    /// Its owner asks for a round now.
    nudge: Arc<Notify>,
    /// One at a time changes what is kept of it.
    turn: Arc<tokio::sync::Mutex<()>>,
    task: Option<AbortHandle>,
}

type Key = (AccountId, String);

/// The work of a round while it is its turn; see [`TURN_MAX`].
async fn turn(bringing: impl Future<Output = Result<Report, Trouble>>, progress: &Progress) -> Result<Option<Report>, Trouble> {
    let mut bringing = std::pin::pin!(bringing);
    let until = Instant::now() + TURN_MAX;
    loop {
        let (done, ..) = progress.read();
        match timeout_at(until.min(Instant::now() + NOTHING_MAX), &mut bringing).await {
            Ok(outcome) => return outcome.map(Some),
            Err(_) if progress.read().0 == done => {
                return Err(Trouble::Lost("the server gave no message for half an hour".into()));
            }
            Err(_) if Instant::now() >= until => return Ok(None),
            Err(_) => {}
        }
    }
}

/// See the module.
pub(super) struct Links {
    store: Store,
    dialer: Dialer,
    seal: Seal,
    domains: Vec<String>,
    reach: net::Reach,
    ways: Linked,
    runs: Mutex<HashMap<Key, Run>>,
    grants: Grants,
    me: OnceLock<Weak<Links>>,
    rounds: Semaphore,
    begin: mpsc::UnboundedSender<Key>,
    begun: Mutex<Option<mpsc::UnboundedReceiver<Key>>>,
    shutdown: watch::Receiver<bool>,
}

impl Links {
    /// Reads what is linked, so that mail which waits finds its way; nothing is asked of anybody before [`Links::keep`].
    pub(super) async fn open(
        context: &Shared,
        config: &Config,
        outbound: &server::outbound::Settings,
        reach: net::Reach,
    ) -> Result<Arc<Links>, String> {
        let dialer = Dialer::new(config.ca_file.as_deref()).map_err(|error| error.to_string())?;
        let (begin, begun) = mpsc::unbounded_channel();
        let links = Links {
            store: context.store.clone(),
            dialer: dialer.with_resolver(outbound.resolver.clone()).within(reach),
            seal: Seal::of(&config.data_dir)?,
            domains: config.domains.clone(),
            reach,
            ways: outbound.linked.clone(),
            runs: Mutex::default(),
            grants: Grants::default(),
            me: OnceLock::new(),
            rounds: Semaphore::new(ROUNDS_AT_ONCE),
            begin,
            begun: Mutex::new(Some(begun)),
            shutdown: context.shutdown.clone(),
        };
        let links = Arc::new(links);
        let _ = links.me.set(Arc::downgrade(&links));
        links.load().await.map_err(|error| error.to_string())?;
        Ok(links)
    }

    /// For what outlives whoever asked for it.
    fn me(&self) -> Result<Arc<Links>, String> {
        self.me.get().and_then(Weak::upgrade).ok_or_else(|| "the server stops".to_owned())
    }

    fn turn(&self, key: &Key) -> Arc<tokio::sync::Mutex<()>> {
        self.note(key, |run| Arc::clone(&run.turn))
    }

    async fn load(&self) -> Result<(), store::StoreError> {
        for (account, id, kept) in kept::all(&self.store).await? {
            self.set_way(&(account, id.clone()), &kept);
            if kept.is_active() {
                let _ = self.begin.send((account, id));
            }
        }
        Ok(())
    }

    /// Runs what is linked until the office closes.
    pub(super) async fn keep(self: Arc<Links>) {
        let Some(mut begun) = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let mut shutdown = self.shutdown.clone();
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                Some(key) = begun.recv() => {
                    let (me, of) = (Arc::clone(&self), key.clone());
                    let task = tasks.spawn(net::lasting("a link", move || Arc::clone(&me).live(of.clone())));
                    if let Some(old) = self.runs().entry(key).or_default().task.replace(task) {
                        old.abort();
                    }
                }
                Some(_) = tasks.join_next() => {}
                _ = shutdown.wait_for(|down| *down) => return,
            }
        }
    }

    /// Where mail of this account with this reverse-path goes out, if it is an address elsewhere.
    pub(super) fn way(&self, account: AccountId, reverse_path: &str) -> Option<SmolStr> {
        Some(Linked::destination(account, reverse_path)).filter(|destination| self.ways.has(destination))
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<Key, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is so of a link, written down in memory.
    fn note<T>(&self, key: &Key, change: impl FnOnce(&mut Run) -> T) -> T {
        change(self.runs().entry(key.clone()).or_default())
    }

    async fn kept(&self, (account, id): &Key) -> Result<Option<Kept>, Trouble> {
        let stored = self.store.record(*account, LINKS_COLLECTION, id).await?;
        Ok(stored.as_deref().and_then(Kept::read))
    }

    async fn write(&self, (account, id): &Key, kept: &Kept) -> Result<(), Trouble> {
        self.store.records_change(*account, &[(LINKS_COLLECTION, id.as_str().into(), Some(kept.written()))]).await?;
        Ok(())
    }

    /// Whoever sends as the old address sends through its own server.
    fn set_way(&self, key: &Key, kept: &Kept) {
        let Some(place) = kept.submission.as_deref().and_then(|url| Place::parse(url).ok()) else { return };
        let Some(proof) = self.proof_of(key, kept) else { return };
        let relay = Relay {
            lmtp: false,
            socket: None,
            host: place.host,
            port: place.port,
            tls: if place.implicit_tls { RelayTls::Tls } else { RelayTls::Starttls },
            username: Some(kept.login.clone()),
            password: Some(proof),
            extra_ca: None,
            reach: Some(self.reach),
        };
        self.ways.set(&Linked::destination(key.0, &kept.address), relay);
    }

    /// A link's life: round after round.
    async fn live(self: Arc<Links>, key: Key) {
        let nudge = self.note(&key, |run| Arc::clone(&run.nudge));
        let mut failures = 0;
        loop {
            let kept = match self.kept(&key).await {
                Ok(Some(kept)) if kept.is_active() => kept,
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "a link cannot be read yet");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            };
            // Before the round, so that what comes during it is told.
            let watcher =
                if kept.is_brought { timeout(WATCHER_MAX, self.watcher(&key, &kept)).await.ok().flatten() } else { None };
            let outcome = match self.round(&key, &kept).await {
                Ok(Some(report)) => Ok(report),
                Ok(None) => continue,
                Err(error) => Err(error),
            };
            failures = if outcome.is_ok() { 0 } else { failures + 1 };
            let goes_on = self.settle(&key, outcome).await;
            let pause = match goes_on {
                // All is here now: the next round, which looks for what came meanwhile, has news told from its beginning on.
                Ok(true) if failures == 0 && !kept.is_brought => continue,
                Ok(true) if failures == 0 => ROUND,
                Ok(true) => AGAIN.saturating_mul(1 << (failures - 1).min(10)).min(AGAIN_MAX),
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "a link could not be written down");
                    AGAIN_MAX
                }
            };
            tokio::select! {
                () = nudge.notified() => {}
                () = client::imap::Imap::news_of(watcher.filter(|_| failures == 0), IDLE_MAX) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// A connection on which IMAP tells of news, if this server does.
    async fn watcher(&self, key: &Key, kept: &Kept) -> Option<client::imap::Imap> {
        let place = Place::parse(&kept.server).ok().filter(|place| place.protocol == Protocol::Imap)?;
        let password = self.secret_of(key, kept).await.ok()?;
        let mut imap = client::imap::Imap::open(&self.dialer, &place, &kept.login, &password).await.ok()?;
        imap.listen().await.ok()?;
        Some(imap)
    }

    /// Brings what is not here yet. `None`: there is more, and it is the turn of others.
    async fn round(&self, key: &Key, kept: &Kept) -> Result<Option<Report>, Trouble> {
        let Ok(_turn) = self.rounds.acquire().await else { return Err(Trouble::Lost("the server stops".into())) };
        let progress = Arc::new(Progress::default());
        self.note(key, |run| {
            run.progress = Arc::clone(&progress);
            run.state = if kept.is_brought { "collecting" } else { "bringing" };
        });
        let password = self.secret_of(key, kept).await?;
        let login = kept.login.clone();
        let source = Source::Server { place: Place::parse(&kept.server)?, user: login.clone(), login, password };
        let options = Options { skip_bad: true, only: kept.folders.clone(), ..Options::default() };
        // What was there before is brought as it lies; what comes from now on is new mail.
        let mut door = StoreDoor { store: self.store.clone(), account: key.0, mutes: kept.is_brought };
        let bringing = import::run(&mut door, &self.dialer, &source, &options, &progress);
        match turn(bringing, &progress).await {
            // A long round may outlive its token; the next has another.
            Err(Trouble::SignIn(why)) if self.has_aged(key).await => Err(Trouble::Lost(why)),
            outcome => outcome,
        }
    }

    /// Writes down what came of a round; whether there is another.
    async fn settle(&self, key: &Key, outcome: Result<Report, Trouble>) -> Result<bool, Trouble> {
        let turn = self.turn(key);
        let _turn = turn.lock().await;
        let Some(mut kept) = self.kept(key).await? else { return Ok(false) };
        let before = kept.clone();
        match outcome {
            Ok(report) => {
                kept.imported += report.imported;
                (kept.is_brought, kept.error) = (true, None);
                self.note(key, |run| {
                    (run.last_secs, run.error) = (Some(unix_now()), None);
                    run.state = if kept.collect { "collecting" } else { "done" };
                    if !report.bad.is_empty() {
                        run.bad = report.bad.into_iter().take(BAD_TOLD_MAX).map(|bad| (bad.what, bad.why)).collect();
                    }
                });
            }
            Err(error) => {
                // A password that is wrong now will be wrong in an hour, and asking again may lock its owner out.
                kept.stopped = matches!(error, Trouble::SignIn(_) | Trouble::Refused(_) | Trouble::Protocol(_));
                kept.error = Some(error.to_string());
                self.note(key, |run| {
                    run.state = if kept.stopped { "failed" } else { "retrying" };
                    run.error.clone_from(&kept.error);
                });
            }
        }
        if kept != before {
            self.write(key, &kept).await?;
        }
        Ok(kept.is_active())
    }

    async fn all(&self, account: AccountId) -> Result<Vec<(String, Kept)>, Trouble> {
        let stored = self.store.records(account, LINKS_COLLECTION).await?;
        let mut all: Vec<(String, Kept)> =
            stored.iter().filter_map(|(id, stored)| Some((id.to_string(), Kept::read(stored)?))).collect();
        all.sort_by(|(a, one), (b, other)| (one.created_secs, a).cmp(&(other.created_secs, b)));
        Ok(all)
    }

    /// As it is shown.
    fn shown(&self, key: &Key, kept: Kept) -> Link {
        let runs = self.runs();
        let run = runs.get(key);
        let at_rest = match () {
            () if kept.stopped && kept.error.is_some() => "failed",
            () if kept.stopped => "stopped",
            () if kept.is_active() && kept.is_brought => "collecting",
            () if kept.is_active() => "bringing",
            () => "done",
        };
        let state = run.map(|run| run.state).filter(|state| !state.is_empty() && kept.is_active()).unwrap_or(at_rest);
        Link {
            id: key.1.clone(),
            url: kept.server,
            login: kept.login,
            by_token: kept.by_token,
            submission: kept.submission,
            folders: kept.folders,
            collect: kept.collect,
            state,
            progress: run.map(|run| run.progress.read()).unwrap_or_default(),
            imported: kept.imported,
            last_secs: run.and_then(|run| run.last_secs),
            error: kept.error,
            bad: run.map(|run| run.bad.clone()).unwrap_or_default(),
            address: kept.address,
        }
    }

    /// What can be known to be wrong before anybody is asked.
    async fn check(&self, account: &Account, wanted: &NewLink) -> Result<(Place, Option<Place>), String> {
        let proof = match &wanted.server.proof {
            Proof::Password(password) => &**password,
            Proof::Grant(id) => id,
        };
        let said = [&wanted.address, &wanted.server.url, &wanted.server.login, proof];
        let folders: usize = wanted.folders.iter().map(String::len).sum();
        if said.iter().any(|text| text.is_empty() || text.len() > TEXT_BYTES_MAX) || folders > FOLDERS_BYTES_MAX {
            return Err("Something is missing, or too long.".into());
        }
        let domain = wanted.address.rsplit_once('@').map(|(_, domain)| domain.to_lowercase()).unwrap_or_default();
        if wanted.submission.is_some() && self.domains.contains(&domain) {
            return Err(format!("{domain} is served here: mail as {} is sent by signing in as it.", wanted.address));
        }
        let there = self.all(account.id).await.map_err(|error| error.to_string())?;
        if there.len() >= LINKS_MAX {
            return Err(format!("{LINKS_MAX} old accounts are linked already."));
        }
        let again = |kept: &Kept| kept.address.eq_ignore_ascii_case(&wanted.address) && kept.server == wanted.server.url;
        if there.iter().any(|(_, kept)| again(kept)) {
            return Err(format!("{} is linked already.", wanted.address));
        }
        let submission = wanted.submission.as_deref().map(Place::parse).transpose().map_err(|error| error.to_string())?;
        if submission.as_ref().is_some_and(|place| place.protocol != Protocol::Smtp) {
            return Err("The server for sending is named as smtps://host or smtp://host.".into());
        }
        Ok((place(&wanted.server.url)?, submission))
    }

    /// Signs in there, as it will later.
    async fn try_out(
        &self,
        (account, wanted): (AccountId, &NewLink),
        incoming: &Place,
        submission: Option<&Place>,
    ) -> Result<(), String> {
        let (login, password) = (wanted.server.login.as_str(), self.handed(account, &wanted.server.proof).await?);
        let opened = async {
            match incoming.protocol {
                Protocol::Pop3 => {
                    client::pop::Pop::open(&self.dialer, incoming, login, &password).await?.quit().await;
                }
                _ => client::imap::Imap::open(&self.dialer, incoming, login, &password).await?.logout().await,
            }
            Ok::<(), Trouble>(())
        };
        opened.await.map_err(|error| error.to_string())?;
        if let Some(place) = submission {
            let submission = Submission { dialer: &self.dialer, place, login, password: &password };
            try_out(&submission).await.map_err(|error| format!("Sending as {}: {error}", wanted.address))?;
        }
        Ok(())
    }

    async fn added(&self, account: &Account, wanted: NewLink) -> Result<Link, String> {
        let (incoming, submission) = self.check(account, &wanted).await?;
        self.try_out((account.id, &wanted), &incoming, submission.as_ref()).await?;
        let key = (account.id, format!("l{}", chance()?));
        let mut kept = Kept::new(&wanted, unix_now());
        self.close(&key, &mut kept, &wanted.server.proof)?;
        self.write(&key, &kept).await.map_err(|error| error.to_string())?;
        self.set_way(&key, &kept);
        let _ = self.begin.send(key.clone());
        Ok(self.shown(&key, kept))
    }

    async fn acted(&self, key: Key, act: LinkAct) -> Result<Option<Link>, Trouble> {
        if self.kept(&key).await?.is_none() {
            return Ok(None);
        }
        if !matches!(act, LinkAct::Resume(_)) {
            self.note(&key, |run| run.task.take()).inspect(AbortHandle::abort);
        }
        let turn = self.turn(&key);
        let _turn = turn.lock().await;
        let Some(mut kept) = self.kept(&key).await? else { return Ok(None) };
        match act {
            LinkAct::Stop => {
                (kept.stopped, kept.error) = (true, None);
                self.write(&key, &kept).await?;
            }
            LinkAct::Resume(proof) => {
                if let Some(proof) = proof {
                    self.close(&key, &mut kept, &proof).map_err(Trouble::Here)?;
                    self.set_way(&key, &kept);
                }
                // One that waits is woken; one that ended, or was stopped, begins anew.
                let sleeps = kept.is_active() && self.note(&key, |run| run.task.as_ref().is_some_and(|task| !task.is_finished()));
                (kept.stopped, kept.error) = (false, None);
                kept.is_brought &= kept.collect;
                self.write(&key, &kept).await?;
                if sleeps {
                    self.note(&key, |run| Arc::clone(&run.nudge)).notify_one();
                } else {
                    self.note(&key, |run| run.state = "");
                    let _ = self.begin.send(key.clone());
                }
            }
            LinkAct::Remove => {
                self.store.records_change(key.0, &[(LINKS_COLLECTION, key.1.as_str().into(), None)]).await?;
                let destination = Linked::destination(key.0, &kept.address);
                self.ways.remove(&destination);
                self.runs().remove(&key);
                // Another link of the same address may still send.
                for (id, other) in self.all(key.0).await? {
                    self.set_way(&(key.0, id), &other);
                }
            }
        }
        Ok(Some(self.shown(&key, kept)))
    }
}

/// A name that nobody guesses.
fn chance() -> Result<String, String> {
    let mut chance = [0u8; 16];
    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut chance);
    filled.map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(data_encoding::HEXLOWER.encode(&chance))
}

fn secret(password: &Zeroizing<String>) -> Secret {
    Secret::new(password.as_bytes().to_vec())
}

/// Where mail is, as people say it.
fn place(url: &str) -> Result<Place, String> {
    let place = Place::parse(url).map_err(|error| error.to_string())?;
    if place.protocol == Protocol::Smtp {
        return Err("mail comes by IMAP or POP3, not by SMTP".into());
    }
    if !place.user.is_empty() {
        return Err("name the server alone; the login name stands by itself".into());
    }
    Ok(place)
}

fn found(candidate: discover::Candidate) -> FoundServer {
    let discover::Candidate { place, login, how, elsewhere } = candidate;
    FoundServer { url: place.url(), login, how, elsewhere }
}

impl web::Links for Links {
    fn discover<'a>(&'a self, address: &'a str) -> Later<'a, FoundServers> {
        Box::pin(async move {
            let wanted = discover::Wanted { incoming: true, submission: true };
            let looking = discover::discover(&self.dialer, address, wanted);
            let all = tokio::time::timeout(DISCOVER_MAX, looking).await.unwrap_or_default();
            FoundServers {
                incoming: all.incoming.map(found),
                submission: all.submission.map(found),
                steps: all.steps.into_iter().map(|step| (step.looked_at, step.found)).collect(),
            }
        })
    }

    fn look<'a>(&'a self, account: AccountId, server: &'a OldServer) -> Later<'a, Result<Vec<OldFolder>, String>> {
        Box::pin(async move {
            let place = place(&server.url)?;
            let password = self.handed(account, &server.proof).await?;
            let looked = first::look(&self.dialer, &place, (&server.login, &password), NEWEST_SHOWN).await;
            let message =
                |one: first::Newest| OldMessage { from: one.from, subject: one.subject, date: one.date, unread: one.unread };
            let folder = |one: first::Folder| OldFolder {
                name: one.name,
                called: one.called,
                special_use: one.special_use,
                messages: one.messages,
                newest: one.newest.into_iter().map(message).collect(),
            };
            looked.map(|all| all.into_iter().map(folder).collect()).map_err(|error| error.to_string())
        })
    }

    fn list(&self, account: AccountId) -> Later<'_, Result<Vec<Link>, String>> {
        Box::pin(async move {
            let all = self.all(account).await.map_err(|error| error.to_string())?;
            Ok(all.into_iter().map(|(id, kept)| self.shown(&(account, id), kept)).collect())
        })
    }

    fn add<'a>(&'a self, account: &'a Account, wanted: NewLink) -> Later<'a, Result<Link, String>> {
        Box::pin(self.added(account, wanted))
    }

    fn act<'a>(&'a self, account: AccountId, id: &'a str, act: LinkAct) -> Later<'a, Result<Option<Link>, String>> {
        Box::pin(async move { self.acted((account, id.to_owned()), act).await.map_err(|error| error.to_string()) })
    }

    fn grant(&self, account: AccountId, wanted: WantedGrant) -> Later<'_, Result<Grant, String>> {
        Box::pin(self.begun(account, wanted))
    }

    fn granted(&self, account: AccountId, id: &str) -> Option<GrantState> {
        self.grants.state(account, id)
    }

    fn sends_as(&self, account: AccountId, address: &str) -> bool {
        self.way(account, address).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that gives a message every so many seconds, `messages` in all, and its end as long after the last.
    async fn slow(progress: &Progress, every_secs: u64, messages: u64) -> Result<Report, Trouble> {
        for _ in 0..messages {
            tokio::time::sleep(Duration::from_secs(every_secs)).await;
            progress.advance(1, 100);
        }
        tokio::time::sleep(Duration::from_secs(every_secs)).await;
        Ok(Report::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_its_time_keeps_nobody_elses() {
        let begun = Instant::now();
        let with = async |every_secs, messages| {
            let (progress, begun) = (Progress::default(), Instant::now());
            let came = turn(slow(&progress, every_secs, messages), &progress).await;
            (came.map(|report| report.is_some()), begun.elapsed())
        };
        assert_eq!(with(60, 20).await, (Ok(true), Duration::from_secs(21 * 60)), "done in its time");
        let (stuck, after) = with(10_000, 5).await;
        assert!(matches!(stuck, Err(Trouble::Lost(_))) && after == NOTHING_MAX, "{stuck:?} {after:?}");
        assert_eq!(with(600, 100).await, (Ok(false), TURN_MAX), "slow, or a lot");
        assert!(begun.elapsed() < Duration::from_secs(2 * 3600));
    }
}
