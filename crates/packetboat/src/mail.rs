//! `packetboat mail`: the email program on the command line, for any provider's account, on a store of its own.
//!
//! Every command answers with one JSON value; people get it in words (`words`). The store is opened for one command, or for
//! one round of `sync --watch`, so that other commands come in between. Must not know: protocols.

mod acts;
mod clock;
mod compose;
mod identity;
mod keyring;
mod profile;
mod remote;
mod screen;
mod step;
mod text;
mod tokens;
mod undo;
mod web;
mod words;

use crate::cli::{DEFAULT_CONFIG, ImportArgs, MailArgs, MailCommand};
use crate::commands::{self, moving};
use crate::dialogue;
use client::dial::Listening;
use client::{Dialer, Secret, StoreDoor};
use profile::{Profile, Profiles};
use search::Searcher;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{AccountId, Mailbox, Store, StoreConfig, StoreError};

/// How long a command waits for another one that holds the store.
const LOCK_PATIENCE: Duration = Duration::from_secs(15);
/// Largest message that is kept, octets.
const MESSAGE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The way to servers, as the command line says.
#[derive(Clone)]
pub(crate) struct Way {
    dns: Option<String>,
    listening: Option<Listening>,
}

/// What a command works on.
#[derive(Clone)]
pub(crate) struct Desk {
    dir: PathBuf,
    way: Way,
    profile: Profile,
    store: Store,
    account: AccountId,
    /// With an index of this program's own.
    searcher: Searcher,
}

/// Is the full-screen program asked for? Then nothing else writes on the terminal.
pub(crate) fn opens_screen(arguments: &MailArgs, json: bool) -> bool {
    arguments.command.is_none() && !json && screen::is_possible()
}

/// Runs a command; the exit code.
pub(crate) fn run(arguments: &MailArgs, json: bool, show_wire: bool) -> u8 {
    let listening = show_wire.then(|| dialogue::shown(json));
    let way = Way { dns: arguments.dns.clone(), listening };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return commands::fail(&error.to_string(), json),
    };
    let Some(command) = &arguments.command else {
        if json {
            commands::fail("which command? `packetboat mail --help` lists them", true);
            return 2;
        }
        if !opens_screen(arguments, json) {
            return commands::pages::help_of("mail");
        }
        return match runtime.block_on(screen::run(arguments, &way)) {
            Ok(()) => 0,
            Err(why) => commands::fail(&why, json),
        };
    };
    match runtime.block_on(perform(arguments, command, json, &way)) {
        Ok(value) => {
            let said = if json { commands::say(format!("{value}\n").as_bytes()) } else { words::tell(command, &value) };
            said | exit_code(&value)
        }
        Err(why) => commands::fail(&why, json),
    }
}

/// 1 when something was not done, or refused for good; what only waits is no failure.
fn exit_code(value: &Value) -> u8 {
    let list = |name: &str| value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // The outbox that is only listed did not fail now.
    let sent_now = value.get("downloaded").is_some();
    let failed = |one: &Value| one.get("error").is_some() || exit_code(one) != 0;
    u8::from(
        !list("troubles").is_empty()
            || words::is_refused(value)
            || (sent_now && list("outbox").iter().any(words::is_refused))
            || list("accounts").iter().any(failed),
    )
}

/// `packetboat import` where no server was ever set up, for an account of this program: what it asks for then.
pub(crate) fn import_of(config: &Path, arguments: ImportArgs) -> Result<MailArgs, Box<ImportArgs>> {
    let own = |address: &String| {
        let profiles = data_dir(None).and_then(|dir| Profiles::read(&dir));
        profiles.is_ok_and(|profiles| profiles.find(Some(address)).is_ok())
    };
    if config != Path::new(DEFAULT_CONFIG) || config.exists() || arguments.master.is_some() {
        return Err(Box::new(arguments));
    }
    match &arguments.account {
        Some(address) if own(address) => {
            let (account, command) = (arguments.account, Some(MailCommand::Import(arguments.what)));
            Ok(MailArgs { data: None, account, dns: None, command })
        }
        _ => Err(Box::new(arguments)),
    }
}

/// The default place (XDG Base Directory).
fn data_dir(given: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(dir) = given {
        return Ok(dir.to_owned());
    }
    let xdg = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    xdg.or_else(home).map(|base| base.join("packetboat/mail")).ok_or_else(|| "no home directory; give --data DIR".into())
}

async fn open_store(dir: &Path) -> Result<Store, String> {
    let config = StoreConfig {
        data_dir: dir.join("store"),
        undo_days: 30,
        free_bytes_min: 64 * 1024 * 1024,
        free_bytes_tight: 256 * 1024 * 1024,
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
    let until = tokio::time::Instant::now() + LOCK_PATIENCE;
    loop {
        match Store::open(config.clone()).await {
            Err(StoreError::Locked(_)) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            outcome => return outcome.map_err(|error| error.to_string()),
        }
    }
}

impl Desk {
    async fn open(arguments: &MailArgs, way: &Way) -> Result<Desk, String> {
        let dir = data_dir(arguments.data.as_deref())?;
        let profiles = Profiles::read(&dir)?;
        let profile = profiles.find(arguments.account.as_deref())?.clone();
        let store = open_store(&dir).await?;
        let account = profile::account(&store, &profile.address).await?;
        Ok(Desk::of((&dir, way), &profile, &store, account))
    }

    fn of((dir, way): (&Path, &Way), profile: &Profile, store: &Store, account: AccountId) -> Desk {
        let searcher = Searcher::indexed(store.clone(), dir.join("search"));
        Desk { dir: dir.to_owned(), way: way.clone(), profile: profile.clone(), store: store.clone(), account, searcher }
    }

    fn dialer(&self) -> Result<Dialer, String> {
        self.profile.dialer(&self.way)
    }

    async fn secret(&self) -> Result<Secret, String> {
        self.profile.secret(&self.way, &self.dir).await
    }

    async fn close(self) -> Result<(), String> {
        self.store.close().await.map_err(|error| error.to_string())
    }

    /// The mailbox of this name, or the one that stands for it: the server's Entwürfe is Drafts here.
    async fn found(&self, name: &str) -> Result<Option<Mailbox>, String> {
        let told = |error: StoreError| error.to_string();
        if let Some(found) = self.store.mailbox(self.account, name).await.map_err(told)? {
            return Ok(Some(found));
        }
        let Some(wanted) = client::mailbox_name::usual_use(name) else { return Ok(None) };
        let all = self.store.mailboxes(self.account).await.map_err(told)?;
        Ok(all.iter().find(|mailbox| mailbox.special_use == Some(wanted)).cloned())
    }

    async fn mailbox(&self, name: &str) -> Result<Mailbox, String> {
        let found = self.found(name).await?;
        found.ok_or_else(|| format!("there is no mailbox {name}; `packetboat mail folders` lists them"))
    }
}

async fn perform(arguments: &MailArgs, command: &MailCommand, json: bool, way: &Way) -> Result<Value, String> {
    match command {
        MailCommand::Add(add) => return profile::add(&data_dir(arguments.data.as_deref())?, add, way, json).await,
        MailCommand::Accounts => return Ok(Profiles::read(&data_dir(arguments.data.as_deref())?)?.told()),
        MailCommand::Identity(act) => {
            return identity::run(&data_dir(arguments.data.as_deref())?, arguments.account.as_deref(), act);
        }
        MailCommand::Web(arguments_of_web) => return web::run(arguments, arguments_of_web, json, way).await,
        MailCommand::Sync { watch: true, .. } => return remote::watch(arguments, json, way).await,
        MailCommand::Sync { all, .. } => return remote::sync_accounts(arguments, *all, way).await,
        MailCommand::Fetch => return remote::fetch_accounts(arguments, way).await,
        _ => {}
    }
    let desk = Desk::open(arguments, way).await?;
    let outcome = on_desk(&desk, command, json).await;
    let closed = desk.close().await;
    let value = outcome?;
    closed.map(|()| value)
}

async fn on_desk(desk: &Desk, command: &MailCommand, json: bool) -> Result<Value, String> {
    match command {
        MailCommand::Add(_) | MailCommand::Accounts | MailCommand::Identity(_) => Err("not here".into()),
        MailCommand::Web(_) | MailCommand::Sync { .. } | MailCommand::Fetch => Err("not here".into()),
        MailCommand::Ls { mailbox, remote: true, .. } => remote::list(desk, mailbox).await,
        MailCommand::Download(which) => remote::download(desk, which).await,
        MailCommand::Delete { which, remote: true } => remote::delete(desk, which).await,
        MailCommand::Folders { act: None } => acts::folders(desk).await,
        MailCommand::Folders { act: Some(act) } => acts::folder(desk, act).await,
        MailCommand::Ls { mailbox, limit, unread, .. } => acts::list(desk, mailbox, *limit, *unread).await,
        MailCommand::Read { which, html, headers, raw, peek } => {
            let form = match (html, headers, raw) {
                (true, ..) => acts::Form::Html,
                (_, true, _) => acts::Form::Headers,
                (_, _, true) => acts::Form::Raw,
                _ => acts::Form::Text,
            };
            acts::read(desk, which, form, *peek).await
        }
        MailCommand::Attachments { which, extract } => acts::attachments(desk, which, extract.as_deref()).await,
        MailCommand::Search { words } => acts::search(desk, words).await,
        MailCommand::Send(send) => compose::send(desk, send, None).await,
        MailCommand::Reply { id, all, send, mailbox } => {
            let about = compose::answer(desk, (mailbox, id), *all).await?;
            compose::send_about(desk, send, about).await
        }
        MailCommand::Forward { id, send, mailbox } => {
            let about = compose::onward(desk, (mailbox, id)).await?;
            compose::send_about(desk, send, about).await
        }
        MailCommand::Move { which, to } => acts::transfer(desk, which, to, true).await,
        MailCommand::Copy { which, to } => acts::transfer(desk, which, to, false).await,
        MailCommand::Delete { which, .. } => acts::delete(desk, which).await,
        MailCommand::Flag { which, changes } => acts::flag(desk, which, changes).await,
        MailCommand::Mark { which, unread } => {
            let change = if *unread { "-seen" } else { "+seen" };
            acts::flag(desk, which, &[change.to_owned()]).await
        }
        MailCommand::Import(what) => remote::bring_house(desk, what, json).await,
        MailCommand::Export(what) => {
            let mut door = StoreDoor { store: desk.store.clone(), account: desk.account, mutes: false };
            let dialer = Profile { tls_ca: what.tls_ca.clone(), ..desk.profile.clone() }.dialer(&desk.way)?;
            moving::write_out(&mut door, &dialer, what, json).await
        }
        MailCommand::Outbox => acts::outbox(desk).await,
        MailCommand::Undo { ids } => acts::take_back(desk, ids).await,
    }
}

/// A number in JSON, or what else is to be told.
fn done(what: &str, count: usize) -> Value {
    json!({ "done": what, "messages": count })
}
