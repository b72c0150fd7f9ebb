//! One post office: a store, its faces, its listeners and its queue's hands, put together and taken apart.
//!
//! `serve` runs one, `try` two. Invariant: a connection's task can fail or panic alone; after [`Office::close`] every act
//! that was answered is in the store, which is closed. Must not know: the command line, root.

mod faces;
mod links;
mod quiet;
mod web_doors;

use crate::admin::{Admin, told};
use crate::config::{Config, Relay, RelayTls, Service};
use crate::gate::Gate;
use crate::{certificates, control};
use net::listener::{ListenAddr, Listener};
use net::{Resolver, TlsServer};
use server::auth::Auth;
use server::context::{Context, Shared, unix_now};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Sessions get so long to say goodbye.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(10);
/// The store's care is called this often; it knows itself what is due.
const CARE_EVERY: Duration = Duration::from_secs(60);

/// A listener and what it is for.
pub(crate) struct Bound {
    pub(crate) service: Service,
    pub(crate) listener: Listener,
}

/// Binds every listener of a configuration.
///
/// # Errors
/// Every address that could not be bound.
pub(crate) fn bind(config: &Config) -> Result<Vec<Bound>, Vec<std::io::Error>> {
    let mut bound = Vec::new();
    let mut problems = Vec::new();
    for (service, address) in &config.listen {
        match Listener::bind(address) {
            Ok(listener) => bound.push(Bound { service: *service, listener }),
            Err(error) => problems.push(error),
        }
    }
    if problems.is_empty() { Ok(bound) } else { Err(problems) }
}

/// What `try` has and a real server has not.
#[derive(Default)]
pub(crate) struct Trial {
    /// The only domains mail may leave for; `None` is everywhere.
    pub(crate) reachable: Option<Vec<String>>,
    /// Where the servers of those domains listen.
    pub(crate) routes: HashMap<String, SocketAddr>,
}

/// A running post office.
pub(crate) struct Office {
    pub(crate) context: Shared,
    tls: Option<Arc<TlsServer>>,
    listening: Vec<(Service, ListenAddr)>,
    stop: watch::Sender<bool>,
    /// The accept loops; each ends, with its sessions, when `stop` is sent.
    loops: JoinSet<()>,
    outbound: JoinSet<()>,
    helpers: JoinSet<()>,
    data_dir: std::path::PathBuf,
}

impl Office {
    /// Opens the store and starts everything. `tls`: read already, or by the configuration.
    ///
    /// # Errors
    /// Why not, in plain words.
    pub(crate) async fn open(
        config: &Config,
        bound: Vec<Bound>,
        tls: Option<Arc<TlsServer>>,
        trial: Trial,
    ) -> Result<Office, String> {
        let store = Store::open(config.store()).await.map_err(|error| told(&error))?;
        store.keep_trace(config.trace_days, config.trace_events_max);
        let tls = match tls {
            Some(tls) => Some(tls),
            None => certificates::of(config)?,
        };
        let (stop, shutdown) = watch::channel(false);
        let reach = if trial.reachable.is_some() { net::Reach::Loopback } else { net::Reach::Public };
        let outbound_settings = outbound_settings(config, trial.routes)?;
        let verified = net::TlsClient::verified(config.ca_file.as_deref()).map_err(|error| format!("TLS: {error}"))?;
        let outside = net::Outside::new(outbound_settings.network.clone(), outbound_settings.resolver.clone(), verified, reach);
        let pushes = outside.within(reach_of(config.private_push, reach));
        let trust = trust(config, &store, &outbound_settings.resolver).await?;
        let oauth = oauth(config, &outbound_settings)?;
        let auth = auth(config, store.clone(), oauth);
        let mut context = context(config, store.clone(), auth, shutdown.clone(), trial.reachable, trust);
        let jmap_url = config.imap.jmap_url.clone().or_else(|| jmap_url(&config.hostname, &bound));
        context.imap = server::imap::Memory::new(server::imap::Settings { jmap_url, ..config.imap.clone() });
        let context = Arc::new(context);
        let socket =
            control::bind(&config.data_dir).map_err(|error| format!("{}/control.sock: {error}", config.data_dir.display()))?;
        context.search.keep().map_err(|error| format!("the search index: {error}"))?;
        let mut helpers = JoinSet::new();
        let admin =
            Arc::new(Admin::new(store.clone(), context.search.clone(), config.domains.clone(), Some(Arc::clone(&context))));
        let socket = Arc::new(socket);
        helpers.spawn(net::lasting("the control socket", move || control::serve(Arc::clone(&socket), Arc::clone(&admin))));
        helpers.spawn(net::lasting("the store's care", move || care(store.clone())));
        let shared = || Arc::clone(&context);
        if config.inbound.reports {
            let context = shared();
            helpers.spawn(net::lasting("DMARC reports", move || server::trust::reports::run(Arc::clone(&context))));
        }
        let counting = shared();
        helpers.spawn(net::lasting("what accounts sent", move || server::smtp::keep_counts(Arc::clone(&counting))));
        let links = links::Links::open(&context, config, &outbound_settings, reach_of(config.private_links, reach)).await?;
        helpers.spawn(Arc::clone(&links).keep());
        let mut outbound = JoinSet::new();
        let sending = shared();
        outbound
            .spawn(net::lasting("outgoing mail", move || server::outbound::run(Arc::clone(&sending), outbound_settings.clone())));
        let gate = Gate::new(config.limits.connections_per_ip, config.connections_max);
        helpers.spawn(quiet::keep(Arc::clone(&gate)));
        let http_max = config.limits.patience.silence_secs.map_or(web::CONNECTION_MAX, Duration::from_secs);
        let offered = web_doors::offered(&bound, tls.is_some());
        let web = web::Web::start(web_doors::settings(
            &context,
            (outside, pushes),
            (http_max, config.strict_transport_secs()),
            (offered, links),
        ));
        let proxies: Arc<[net::IpRange]> = config.proxy_from.clone().into();
        let mut loops = JoinSet::new();
        let mut listening = Vec::new();
        for Bound { service, listener } in bound {
            listening.push((service, listener.local()));
            let faces = faces::Faces {
                context: Arc::clone(&context),
                tls: tls.clone(),
                gate: Arc::clone(&gate),
                web: web.clone(),
                proxies: Arc::clone(&proxies),
            };
            loops.spawn(faces.accept(service, listener));
        }
        Ok(Office { context, tls, listening, stop, loops, outbound, helpers, data_dir: config.data_dir.clone() })
    }

    /// Every bound address, with its real port.
    pub(crate) fn listening(&self) -> &[(Service, ListenAddr)] {
        &self.listening
    }

    /// The certificate in use.
    pub(crate) fn tls(&self) -> Option<&Arc<TlsServer>> {
        self.tls.as_ref()
    }

    /// Reads the certificate again; connections keep what they have.
    pub(crate) fn reload(&self) {
        match self.tls.as_ref().map(|tls| tls.reload().map(|()| tls.fingerprint())) {
            None => tracing::info!("reload: no certificate is configured"),
            Some(Ok(fingerprint)) => tracing::info!(fingerprint, "reload: the certificate is read again"),
            Some(Err(error)) => tracing::error!(%error, "reload: the old certificate stays"),
        }
    }

    /// Waits for a listener that fails, after which nobody is let in there any more.
    pub(crate) async fn listener_lost(&mut self) {
        if self.loops.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Lets sessions and the queue finish (bounded by [`DRAIN_MAX`]), then closes the store.
    pub(crate) async fn close(mut self) -> Result<(), String> {
        let _ = self.stop.send(true);
        let all_gone = async {
            while self.loops.join_next().await.is_some() {}
            while self.outbound.join_next().await.is_some() {}
        };
        if timeout(DRAIN_MAX, all_gone).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
        self.outbound.shutdown().await;
        self.loops.shutdown().await;
        self.helpers.shutdown().await;
        control::unbind(&self.data_dir);
        self.context.search.close().await;
        self.context.store.clone().close().await.map_err(|error| told(&error))
    }
}

/// Whom people may name, where the operator allows them private addresses or does not.
fn reach_of(private: bool, reach: net::Reach) -> net::Reach {
    if private && reach == net::Reach::Public { net::Reach::Anywhere } else { reach }
}

/// Where the search index is: nothing that is not made anew when it is missing.
pub(crate) fn search_folder(config: &Config) -> std::path::PathBuf {
    config.data_dir.join("search")
}

fn oauth(config: &Config, outbound: &server::outbound::Settings) -> Result<Option<server::auth::OAuth>, String> {
    let Some(settings) = config.oauth.clone() else { return Ok(None) };
    if settings.jwks_url.is_empty() {
        return server::auth::OAuth::new(settings).map(Some);
    }
    let verified = net::TlsClient::verified(config.ca_file.as_deref()).map_err(|error| format!("TLS: {error}"))?;
    // The operator named it.
    let outside = net::Outside::new(outbound.network.clone(), outbound.resolver.clone(), verified, net::Reach::Anywhere);
    Ok(Some(server::auth::OAuth::fetching(settings, outside)))
}

fn auth(config: &Config, store: Store, oauth: Option<server::auth::OAuth>) -> Auth {
    let sole_domain = match config.domains.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    let asked = store.clone();
    let second_factor: server::auth::SecondFactor = Arc::new(move |account| {
        let store = asked.clone();
        Box::pin(async move { web::second_factor_is_on(&store, account).await })
    });
    Auth::new(store, sole_domain).with_oauth(oauth).with_mechanisms(config.mechanisms.clone()).with_second_factor(second_factor)
}

fn context(
    config: &Config,
    store: Store,
    auth: Auth,
    shutdown: watch::Receiver<bool>,
    reachable: Option<Vec<String>>,
    trust: server::trust::Settings,
) -> Context {
    Context {
        search: search::Searcher::indexed(store.clone(), search_folder(config)),
        auth,
        store,
        hostname: config.hostname.clone(),
        domains: config.domains.clone(),
        message_bytes_max: config.message_bytes_max,
        plaintext: config.plaintext,
        limits: config.limits,
        reachable,
        smtp: server::smtp::Settings { xclient_from: config.xclient_from.clone(), ..Default::default() },
        shutdown,
        trust,
        imap: Default::default(),
        wire_log: Default::default(),
        sizes: Default::default(),
        wishes: Default::default(),
        pop: Default::default(),
    }
}

/// Where JMAP is, for clients that know us by IMAP (RFC 9698): on the first port that speaks HTTPS itself.
fn jmap_url(hostname: &str, bound: &[Bound]) -> Option<String> {
    let of = |bound: &Bound| match bound.listener.local() {
        ListenAddr::Tcp(address) if bound.service == Service::Https => Some(address.port()),
        _ => None,
    };
    match bound.iter().find_map(of)? {
        443 => Some(format!("https://{hostname}/.well-known/jmap")),
        port => Some(format!("https://{hostname}:{port}/.well-known/jmap")),
    }
}

/// Whom to ask about strangers, and the keys and secrets that the store keeps.
async fn trust(config: &Config, store: &Store, resolver: &Resolver) -> Result<server::trust::Settings, String> {
    let told = |error| told(&error);
    let settings = server::trust::Settings {
        resolver: Some(resolver.clone()),
        policy: config.inbound.clone(),
        srs: if config.srs { Some(server::trust::srs(store).await.map_err(told)?) } else { None },
        ..Default::default()
    };
    settings.keys.reload(store).await.map_err(told)?;
    settings.greylist.load(store).await.map_err(told)?;
    settings.counts.load(store).await.map_err(told)?;
    Ok(settings)
}

fn outbound_settings(config: &Config, routes: HashMap<String, SocketAddr>) -> Result<server::outbound::Settings, String> {
    let resolver =
        if config.dns_servers.is_empty() { Resolver::system() } else { Resolver::with_servers(config.dns_servers.clone()) };
    let mut settings = server::outbound::Settings::new(resolver.map_err(|error| format!("DNS: {error}"))?);
    settings.port = config.outbound_port;
    settings.routes = routes;
    settings.sts_port = config.mta_sts.then_some(443);
    settings.tls_reports = config.tls_reports;
    settings.extra_ca = config.ca_file.clone();
    if config.dnssec {
        settings.resolver = settings.resolver.trusting(config.proving_servers());
    }
    settings.relay = config.relay.as_ref().map(|relay| way(relay, config));
    settings.sources = config.sources.clone();
    settings.nameless_ipv6 = config.nameless_ipv6;
    let by_domain = config.routes.iter().map(|route| {
        let server = server::outbound::Relay { lmtp: route.lmtp, socket: route.socket.clone(), ..way(&route.relay, config) };
        (route.domain.clone(), (!route.mx).then_some(server))
    });
    settings.by_domain = by_domain.collect();
    Ok(settings)
}

fn way(relay: &Relay, config: &Config) -> server::outbound::Relay {
    server::outbound::Relay {
        lmtp: false,
        socket: None,
        host: relay.host.clone(),
        port: relay.port,
        tls: match relay.tls {
            RelayTls::None => server::outbound::RelayTls::None,
            RelayTls::Opportunistic => server::outbound::RelayTls::Opportunistic,
            RelayTls::StartTls => server::outbound::RelayTls::Starttls,
            RelayTls::Tls => server::outbound::RelayTls::Tls,
        },
        username: relay.username.clone(),
        password: relay.password.as_ref().map(|password| password.as_bytes().to_vec().into()),
        extra_ca: config.ca_file.clone(),
        reach: None,
    }
}

async fn care(store: Store) {
    let mut tick = tokio::time::interval(CARE_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = store.maintain(unix_now()).await {
            tracing::error!(error = told(&error), "the store's care");
        }
    }
}

/// Makes the data directory (0700) when it is missing, and closes it to others when it is ours.
pub(crate) fn make_data_dir(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if !path.exists() {
        return std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(told);
    }
    let facts = std::fs::metadata(path).map_err(told)?;
    let ours = facts.uid() == rustix::process::geteuid().as_raw();
    if ours && facts.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(told)?;
    }
    Ok(())
}
