//! `packetboat import` and `packetboat export`: the door to the account (this store, or the running server's), the bar, and
//! what came of it as JSON. Must not know: how mail is brought (that is `client`).

use super::{Doer, passwords};
use crate::cli::{BringArgs, ExportArgs, ExportForm, ImportArgs, TakeArgs};
use crate::config::Config;
use crate::control::{Client, SocketDoor};
use crate::dialogue;
use client::door::{Answer, Ask};
use client::import::{Options, Report, Source};
use client::mbox::Quoting;
use client::{Dialer, Door, Place, Progress, Protocol, Secret, StoreDoor, Trouble, export, import};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(150);

/// The door to an account, wherever its store is.
enum AnyDoor {
    Store(StoreDoor),
    Socket(SocketDoor),
}

impl Door for AnyDoor {
    async fn ask(&mut self, ask: Ask, octets: Vec<bytes::Bytes>) -> Result<(Answer, bytes::Bytes), Trouble> {
        match self {
            AnyDoor::Store(door) => door.ask(ask, octets).await,
            AnyDoor::Socket(door) => door.ask(ask, octets).await,
        }
    }
}

async fn door(config: &Config, doer: &Doer, account: &str) -> Result<AnyDoor, String> {
    match doer {
        Doer::Here(admin, store) => {
            let account = admin.find(account).await?.id;
            Ok(AnyDoor::Store(StoreDoor { store: store.clone(), account, mutes: false }))
        }
        Doer::Server(_) => {
            let client = Client::connect(&config.data_dir).await.map_err(|error| error.to_string())?;
            let client = client.ok_or("the server has stopped meanwhile")?;
            let mut door = SocketDoor { client, account: account.to_owned() };
            // That the account is there is better known before anything is fetched.
            door.ask(Ask::Mailboxes, Vec::new()).await.map_err(|error| error.to_string())?;
            Ok(AnyDoor::Socket(door))
        }
    }
}

/// Does `work` while a bar shows how far it is; Ctrl-C ends it, and nothing half-done stays.
pub(crate) async fn watched<T>(
    progress: &Arc<Progress>,
    json: bool,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, String> {
    let target =
        if json || !std::io::stderr().is_terminal() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {eta} {msg}") {
        bar.set_style(style);
    }
    let drawing = async {
        loop {
            tokio::time::sleep(DRAW_EVERY).await;
            let (done, total, octets, place) = progress.read();
            bar.set_length(total.max(done));
            bar.set_position(done);
            bar.set_message(format!("{} MB {place}", octets / 1_000_000));
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome.map_err(|error| error.to_string()),
        () = drawing => Err("the bar ended".into()),
        _ = tokio::signal::ctrl_c() => Err("stopped; what was brought stays, and the same command goes on from here".into()),
    };
    bar.finish_and_clear();
    outcome
}

pub(crate) fn options(what: &BringArgs) -> Options {
    Options { skip_bad: what.skip_bad, only: what.only.clone(), into: what.into.clone(), ..Options::default() }
}

/// One source that is named by itself; the password of a server is asked for.
pub(crate) fn source(what: &BringArgs) -> Result<Source, String> {
    if !what.source.contains("://") {
        return Ok(Source::files(&what.source));
    }
    let place = Place::parse(&what.source).map_err(|error| error.to_string())?;
    let user = named(&what.source, &place.user)?.to_owned();
    let password = passwords::known(&format!("{user} at {}", place.host), what.password_stdin)?;
    Ok(Source::Server { place, login: user.clone(), user, password: secret(&password) })
}

fn named<'a>(server: &str, user: &'a str) -> Result<&'a str, String> {
    if user.is_empty() { Err(format!("{server}: who signs in there? Write imaps://user@host")) } else { Ok(user) }
}

/// One source and the account it is for.
struct Job {
    source: Source,
    from: String,
    account: String,
}

fn secret(password: &str) -> Secret {
    Secret::new(password.as_bytes().to_vec())
}

fn server_job(arguments: &ImportArgs, place: &Place, user: &str, account: &str, password: Secret) -> Result<Job, String> {
    let user = named(&arguments.what.source, user)?;
    let login = match &arguments.master {
        Some(master) => format!("{user}{}{master}", arguments.master_separator),
        None => user.to_owned(),
    };
    let source = Source::Server { place: place.clone(), login, user: user.to_owned(), password };
    Ok(Job { source, from: user.to_owned(), account: account.to_owned() })
}

fn jobs(arguments: &ImportArgs) -> Result<Vec<Job>, String> {
    let single = arguments.account.clone().unwrap_or_default();
    let what = &arguments.what;
    if arguments.list.is_none() && arguments.master.is_none() {
        let source = source(what)?;
        let from = if let Source::Server { user, .. } = &source { user } else { &what.source };
        return Ok(vec![Job { from: from.clone(), source, account: single }]);
    }
    if !what.source.contains("://") {
        return Err("--list and --master are for servers".into());
    }
    let place = Place::parse(&what.source).map_err(|error| error.to_string())?;
    let Some(list) = &arguments.list else {
        let who = arguments.master.as_ref().unwrap_or(&place.user);
        let password = passwords::known(&format!("{who} at {}", place.host), what.password_stdin)?;
        return Ok(vec![server_job(arguments, &place, &place.user, &single, secret(&password))?]);
    };
    let master = match &arguments.master {
        Some(_) if what.password_stdin && list == Path::new("-") => {
            return Err("standard input cannot be both the list and the password".into());
        }
        Some(master) => Some(passwords::known(&format!("{master} at {}", place.host), what.password_stdin)?),
        None => None,
    };
    let mut text = Zeroizing::new(String::new());
    let read = if list == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(list).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| format!("{}: {error}", list.display()))?;
    let mut jobs = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut words = line.splitn(if master.is_some() { 2 } else { 3 }, ',');
        let (user, account) = (words.next().unwrap_or_default().trim(), words.next().unwrap_or_default().trim());
        let password = master.as_ref().map(|password| password.as_str()).or_else(|| words.next());
        match password {
            Some(password) if !user.is_empty() && !account.is_empty() => {
                jobs.push(server_job(arguments, &place, user, account, secret(password))?);
            }
            _ => return Err(format!("{}:{}: wants `user,account,password`", list.display(), index + 1)),
        }
    }
    Ok(jobs)
}

fn dialer(config: &Config, tls_ca: Option<&Path>, (json, show_wire): (bool, bool)) -> Result<Dialer, String> {
    let dialer = Dialer::new(tls_ca).map_err(|error| error.to_string())?;
    let dialer = dialer.heard_by(show_wire.then(|| dialogue::shown(json)));
    Ok(if config.dns_servers.is_empty() { dialer } else { dialer.with_resolver(super::domain::resolver(config)?) })
}

/// `packetboat import`.
pub(super) async fn import(config: &Config, arguments: &ImportArgs, (json, show_wire): (bool, bool)) -> Result<Value, String> {
    let mut jobs = jobs(arguments)?;
    let dialer = dialer(config, arguments.what.tls_ca.as_deref(), (json, show_wire))?;
    let options = options(&arguments.what);
    let doer = Doer::of(config).await?;
    let progress = Arc::new(Progress::default());
    let outcome = match (arguments.list.is_some(), jobs.pop()) {
        (false, Some(job)) => {
            let mut door = door(config, &doer, &job.account).await?;
            let work = import::run(&mut door, &dialer, &job.source, &options, &progress);
            let report = watched(&progress, json, work).await;
            report.and_then(|report| serde_json::to_value(report).map_err(|error| error.to_string()))
        }
        (_, last) => {
            jobs.extend(last);
            let work = many(config, &doer, jobs, (&dialer, &options, &progress), usize::from(arguments.jobs));
            watched(&progress, json, work).await.map(|accounts| json!({ "accounts": accounts }))
        }
    };
    let closed = doer.close().await;
    let value = outcome?;
    closed?;
    if !json && super::words::exit_code(&value) != 0 {
        super::say(super::words::moved(&value).as_bytes());
        return Err("not all accounts were moved; the same command goes on from here".into());
    }
    Ok(value)
}

async fn many(
    config: &Config,
    doer: &Doer,
    jobs: Vec<Job>,
    (dialer, options, progress): (&Dialer, &Options, &Arc<Progress>),
    at_once: usize,
) -> Result<Vec<Value>, Trouble> {
    let turns = Semaphore::new(at_once);
    let one = async |job: Job| {
        let _turn = turns.acquire().await;
        let outcome: Result<Report, String> = async {
            let mut door = door(config, doer, &job.account).await?;
            let report = import::run(&mut door, dialer, &job.source, options, progress).await;
            report.map_err(|error| error.to_string())
        }
        .await;
        let mut value = match outcome {
            Ok(report) => serde_json::to_value(report).unwrap_or_default(),
            Err(error) => json!({ "error": error }),
        };
        if let Some(fields) = value.as_object_mut() {
            fields.insert("from".into(), job.from.into());
            fields.insert("account".into(), job.account.into());
        }
        value
    };
    Ok(join_all(jobs.into_iter().map(one).collect()).await)
}

/// All at once on this task, answers in order.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, answer) in waiting.iter_mut().filter(|(_, answer)| answer.is_none()) {
            match future.as_mut().poll(cx) {
                std::task::Poll::Ready(value) => *answer = Some(value),
                std::task::Poll::Pending => pending = true,
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, answer)| answer).collect()
}

/// `packetboat export`.
pub(super) async fn export(config: &Config, arguments: &ExportArgs, (json, show_wire): (bool, bool)) -> Result<Value, String> {
    let dialer = dialer(config, arguments.what.tls_ca.as_deref(), (json, show_wire))?;
    let doer = Doer::of(config).await?;
    let mut door = door(config, &doer, &arguments.account).await?;
    let outcome = write_out(&mut door, &dialer, &arguments.what, json).await;
    drop(door);
    doer.close().await?;
    outcome
}

/// Writes mail into files or to another server, from behind any door.
pub(crate) async fn write_out(door: &mut impl Door, dialer: &Dialer, what: &TakeArgs, json: bool) -> Result<Value, String> {
    let told = |report: export::Report| serde_json::to_value(report).map_err(|error| error.to_string());
    let progress = Arc::new(Progress::default());
    if what.target.contains("://") {
        let place = Place::parse(&what.target).map_err(|error| error.to_string())?;
        if place.protocol != Protocol::Imap {
            return Err("mail is put onto a server by IMAP: imaps://user@host".into());
        }
        let user = named(&what.target, &place.user)?;
        let password = passwords::known(&format!("{user} at {}", place.host), what.password_stdin)?;
        let server = export::Server { dialer, place: &place, user, password: &secret(&password) };
        let work = export::to_server(door, &server, (&what.only, what.skip_bad), &progress);
        return watched(&progress, json, work).await.and_then(told);
    }
    let form = match what.form {
        ExportForm::Maildir => export::Form::Maildir,
        ExportForm::Mbox => export::Form::Mbox(Quoting::Mboxrd),
        ExportForm::Mboxo => export::Form::Mbox(Quoting::Mboxo),
        ExportForm::Mboxcl => export::Form::Mbox(Quoting::Mboxcl),
        ExportForm::Mboxcl2 => export::Form::Mbox(Quoting::Mboxcl2),
        ExportForm::Eml => export::Form::Single(export::Single::Eml),
        ExportForm::Mh => export::Form::Single(export::Single::Mh),
    };
    let work = export::run(door, Path::new(&what.target), form, &what.only, &progress);
    watched(&progress, json, work).await.and_then(told)
}
