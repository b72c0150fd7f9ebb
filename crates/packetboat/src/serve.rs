//! `packetboat serve`: read the configuration once, bind, give root away, open the office, wait for signals.
//!
//! Everything before the runtime happens on one thread, so that giving root away holds for all that come later.

use crate::config::Config;
use crate::office::{self, Bound, Office, Trial};
use crate::privileges::{self, User};
use crate::{certificates, config};
use net::TlsServer;
use net::listener::ListenAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What was got ready before the runtime.
struct Ready {
    config: Config,
    bound: Vec<Bound>,
    tls: Option<Arc<TlsServer>>,
}

/// Runs a server until it is told to stop; the exit code.
pub(crate) fn run(file: &Path) -> u8 {
    let config = match config::load(file) {
        Ok(config) => config,
        Err(problems) => return fail(&problems.join("\n")),
    };
    privileges::raise_file_limit();
    let ready = match prepare(config) {
        Ok(ready) => ready,
        Err(why) => return fail(&why),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let code = runtime.block_on(async {
        match serve(ready).await {
            Ok(()) => 0,
            Err(why) => fail(&why),
        }
    });
    // A blocking call that hangs (a lookup, a terminal) must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

/// Says why on standard error; the exit code.
pub(crate) fn fail(why: &str) -> u8 {
    for line in why.lines() {
        eprintln!("packetboat: {line}");
    }
    1
}

fn prepare(config: Config) -> Result<Ready, String> {
    if config.listen.is_empty() {
        tracing::warn!("[listen] names no address: nobody can connect");
    }
    let bound =
        office::bind(&config).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    // A key that only root may read is read while we are root.
    let tls = if config.certificate.is_some() { certificates::of(&config)? } else { None };
    match goes_on_as(&config)? {
        Some(user) => {
            give_away(&config, &bound, &user)?;
            privileges::become_user(&user)?;
            tracing::info!(user = user.name, "goes on as this user");
            warn_of_unreadable(&config, &user);
        }
        None => office::make_data_dir(&config.data_dir)?,
    }
    Ok(Ready { config, bound, tls })
}

/// SIGHUP reads the certificate again when root is long given up: better told now than when it has expired.
fn warn_of_unreadable(config: &Config, user: &User) {
    for path in [&config.certificate, &config.private_key].into_iter().flatten() {
        if let Err(error) = std::fs::File::open(path) {
            let path = path.display();
            tracing::warn!(
                "{path} cannot be read by {} ({error}): SIGHUP will keep the old certificate, only a restart takes a new one",
                user.name
            );
        }
    }
}

/// Whom root goes on as.
fn goes_on_as(config: &Config) -> Result<Option<User>, String> {
    let user = privileges::unprivileged(&config.user, config.user_given, &config.data_dir)?;
    if user.is_none() && privileges::is_root() {
        tracing::warn!("runs as root: make a user {}, or name another with `user`", config.user);
    }
    Ok(user)
}

/// Gives the data directory (when it is new or empty) and the Unix sockets to the user.
fn give_away(config: &Config, bound: &[Bound], user: &User) -> Result<(), String> {
    office::make_data_dir(&config.data_dir)?;
    privileges::give_folder(&config.data_dir, user)?;
    for Bound { listener, .. } in bound {
        if let ListenAddr::Unix(socket) = listener.local() {
            std::os::unix::fs::chown(&socket, Some(user.uid), Some(user.gid))
                .map_err(|error| format!("{}: {error}", socket.display()))?;
        }
    }
    Ok(())
}

async fn serve(ready: Ready) -> Result<(), String> {
    let mut signals = Signals::new()?;
    let mut office = tokio::select! {
        office = Office::open(&ready.config, ready.bound, ready.tls, Trial::default()) => office?,
        () = signals.stop() => return Ok(()),
    };
    for (service, address) in office.listening() {
        eprintln!("listening {} {address}", service.name());
    }
    eprintln!("packetboat ready");
    let store = office.context.store.clone();
    let outcome = loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Reload => office.reload(),
                Told::Stop => break Ok(()),
            },
            // The others are served until then; a new start listens again.
            () = office.listener_lost() => break Err("a listener has failed; ends, to be started again".to_owned()),
            // Nothing could be accepted any more; a new start reads what was acknowledged from the segments.
            () = store.broken() => return Err("the store's writer has failed; ends, to be started again".into()),
        }
    };
    tracing::info!("stops: sessions get {} seconds; a second signal stops at once", office::DRAIN_MAX.as_secs());
    stop(office.close(), &mut signals).await.and(outcome)
}

/// Waits for the end, or for a second signal.
pub(crate) async fn stop(closing: impl Future<Output = Result<(), String>>, signals: &mut Signals) -> Result<(), String> {
    tokio::select! {
        outcome = closing => outcome,
        () = signals.stop() => {
            tracing::warn!("stops at once");
            Ok(())
        }
    }
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// SIGHUP.
    Reload,
    /// SIGTERM, SIGINT.
    Stop,
}

/// The signals we hear.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From here on these signals no longer end the process by themselves.
    pub(crate) fn new() -> Result<Signals, String> {
        let hear = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
        Ok(Signals {
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
            hang_up: hear(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }

    /// The next that says stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}
