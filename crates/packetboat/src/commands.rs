//! The operator's commands: from the command line to an act and back to words (or JSON) and an exit code.
//!
//! While the server runs they go through its control socket, else this process opens the store itself.
//! Must not know: what the acts do (that is `admin`).

mod bulk;
mod doctor;
mod domain;
pub(crate) mod mime;
pub(crate) mod moving;
pub(crate) mod pages;
pub(crate) mod passwords;
mod sign_in;
mod trace;
mod watching;
pub(crate) mod words;

use crate::admin::access::AccessDeed;
use crate::admin::views::SecretsText;
use crate::admin::{AccountWanted, Admin, QueueDeed, QueueFilter, QueueWhich, Request, Which, check_account_address, told};
use crate::cli::{
    AccountCommand, AclCommand, AliasCommand, AppPasswordCommand, Command, IndexCommand, QueueCommand, QueueFilterArgs,
    QueueWhichArgs, ReportsCommand, SharedCommand, SuppressCommand, UndoCommand, WhichArgs,
};
use crate::config::Config;
use crate::control::Client;
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use store::Store;

/// Who does the acts.
pub(crate) enum Doer {
    /// The running server.
    Server(Client),
    /// This process; the store is ours while we hold it.
    Here(Box<Admin>, Store),
}

impl Doer {
    /// The server if it runs, else the store itself.
    pub(crate) async fn of(config: &Config) -> Result<Doer, String> {
        let socket = || format!("{}/control.sock", config.data_dir.display());
        if let Some(client) = Client::connect(&config.data_dir).await.map_err(|error| format!("{}: {error}", socket()))? {
            return Ok(Doer::Server(client));
        }
        let store = Store::open(config.store()).await.map_err(|error| told(&error))?;
        let search = search::Searcher::indexed(store.clone(), crate::office::search_folder(config));
        Ok(Doer::Here(Box::new(Admin::new(store.clone(), search, config.domains.clone(), None)), store))
    }

    /// Does one act.
    pub(crate) async fn perform(&mut self, request: Request) -> Result<Value, String> {
        match self {
            Doer::Server(client) => client.ask(&request).await,
            Doer::Here(admin, _) => admin.perform(request).await,
        }
    }

    async fn close(self) -> Result<(), String> {
        match self {
            Doer::Server(_) => Ok(()),
            Doer::Here(admin, store) => {
                drop(admin);
                store.close().await.map_err(|error| told(&error))
            }
        }
    }
}

/// Asks before any thread is made, so that the process can still change its user.
pub(crate) fn server_runs(config: &Config) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.is_ok_and(|runtime| runtime.block_on(Client::connect(&config.data_dir)).is_ok_and(|client| client.is_some()))
}

/// Runs an operator's command; the exit code.
pub(crate) async fn run(config: &Config, command: Command, (json, show_wire): (bool, bool)) -> u8 {
    if let Command::Trace { asked, follow: true } = &command {
        return trace::follow(config, asked, json).await;
    }
    if let Command::Wire { account } = &command {
        return match watching::run(config, account, json).await {
            Ok(()) => 0,
            Err(why) => fail(&why, json),
        };
    }
    let outcome = perform(config, &command, (json, show_wire)).await;
    match outcome {
        Ok(value) => {
            let said = if json { say(format!("{value}\n").as_bytes()) } else { say(words::of(&command, &value).as_bytes()) };
            said | words::exit_code(&value)
        }
        Err(why) => fail(&why, json),
    }
}

/// Tells why a command failed; the exit code.
pub(crate) fn fail(why: &str, json: bool) -> u8 {
    if json {
        say(format!("{}\n", json!({ "error": why })).as_bytes());
    } else {
        eprintln!("packetboat: {}", printable(why));
    }
    1
}

/// Says it on standard output; the exit code. Whoever closed the pipe has read enough.
pub(crate) fn say(octets: &[u8]) -> u8 {
    let mut out = std::io::stdout().lock();
    match out.write_all(octets).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("packetboat: standard output: {error}");
            1
        }
        _ => 0,
    }
}

/// What would do something to a terminal is not shown to it.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

async fn perform(config: &Config, command: &Command, (json, show_wire): (bool, bool)) -> Result<Value, String> {
    if let Command::Rebuild { yes } = command {
        return rebuild(config, *yes).await;
    }
    match command {
        Command::Import(arguments) => return moving::import(config, arguments, (json, show_wire)).await,
        Command::Export(arguments) => return moving::export(config, arguments, (json, show_wire)).await,
        _ => {}
    }
    if let Command::Account(AccountCommand::Add { csv: Some(file), quota, .. }) = command {
        let rows = bulk::read(file, &config.domains)?;
        let mut doer = Doer::of(config).await?;
        let outcome = bulk::add(&mut doer, rows, *quota).await;
        doer.close().await?;
        return outcome;
    }
    if let Command::Doctor(arguments) = command {
        return doctor::run(config, arguments).await;
    }
    if let Command::Domain(command) = command {
        return domain::run(config, command).await;
    }
    let mut doer = Doer::of(config).await?;
    let outcome = match command {
        Command::Account(AccountCommand::Password { address, password_stdin }) => {
            sign_in::new_password(&mut doer, address, *password_stdin).await
        }
        Command::Account(AccountCommand::AppPassword(AppPasswordCommand::Add { address, name })) => {
            sign_in::new_app_password(&mut doer, address, name.as_deref()).await
        }
        _ => match request(config, command) {
            Ok(request) => doer.perform(request).await,
            Err(why) => Err(why),
        },
    };
    doer.close().await?;
    outcome
}

fn which(args: &WhichArgs) -> Which {
    if args.all { Which::All } else { Which::Ids(args.ids.clone()) }
}

fn queue_filter(args: &QueueFilterArgs) -> QueueFilter {
    QueueFilter { from: args.from.clone(), to: args.to.clone(), held: args.held }
}

fn queue_which(args: &QueueWhichArgs) -> QueueWhich {
    if args.all {
        QueueWhich::All
    } else if args.ids.is_empty() {
        QueueWhich::Matching(queue_filter(&args.filter))
    } else {
        QueueWhich::Ids(args.ids.clone())
    }
}

fn queue_request(command: &QueueCommand) -> Request {
    let (deed, which, yes) = match command {
        QueueCommand::List(args) => return Request::QueueList { filter: queue_filter(args) },
        QueueCommand::Show { id } => return Request::QueueShow { id: *id },
        QueueCommand::Retry(args) => (QueueDeed::Retry, args, true),
        QueueCommand::Hold(args) => (QueueDeed::Hold, args, true),
        QueueCommand::Release(args) => (QueueDeed::Release, args, true),
        QueueCommand::Schedule { secs, which } => (QueueDeed::Schedule { secs: *secs }, which, true),
        QueueCommand::Reroute { via, which } => (QueueDeed::Reroute { destination: via.clone() }, which, true),
        QueueCommand::Drop { which, yes } => (QueueDeed::Drop, which, *yes),
    };
    Request::Queue { deed, which: queue_which(which), yes }
}

fn request(config: &Config, command: &Command) -> Result<Request, String> {
    Ok(match command {
        Command::Account(account) => account_request(config, account)?,
        Command::Alias(AliasCommand::Add { address, targets }) => {
            Request::AliasAdd { address: address.clone(), targets: targets.clone() }
        }
        Command::Alias(AliasCommand::List) => Request::AliasList,
        Command::Alias(AliasCommand::Remove { address, yes }) => Request::AliasRemove { address: address.clone(), yes: *yes },
        Command::Acl(acl) => Request::Access(acl_deed(acl)),
        Command::Shared(SharedCommand::Add { address, admin, quota }) => {
            check_account_address(address, &config.domains)?;
            let (address, admins) = (address.clone(), admin.clone());
            Request::Access(AccessDeed::SharedAdd { address, admins, quota_bytes: *quota })
        }
        Command::Shared(SharedCommand::List) => Request::Access(AccessDeed::SharedList),
        Command::Queue(queue) => queue_request(queue),
        Command::Freeze { what: Some(what), why } => Request::Freeze { what: what.clone(), why: why.clone() },
        Command::Freeze { what: None, .. } => Request::Frozen,
        Command::Thaw { what } => Request::Thaw { what: what.clone() },
        Command::Suppress(SuppressCommand::List { counting }) => Request::SuppressList { counting: *counting },
        Command::Suppress(SuppressCommand::Add { address, why }) => {
            Request::SuppressAdd { address: address.clone(), why: why.clone() }
        }
        Command::Suppress(SuppressCommand::Remove { address }) => Request::SuppressRemove { address: address.clone() },
        Command::Alarms => Request::Alarms,
        Command::Undo(UndoCommand::List { address, limit }) => Request::UndoList { address: address.clone(), limit: *limit },
        Command::Undo(UndoCommand::Restore { address, which: args }) => {
            Request::UndoRestore { address: address.clone(), emails: which(args) }
        }
        Command::Reports(ReportsCommand::List) => Request::ReportsList,
        Command::Reports(ReportsCommand::Show { id }) => Request::ReportsShow { id: id.clone() },
        Command::Trace { asked, .. } => Request::Trace { asked: asked.clone(), after: None },
        Command::Unblock { whom, .. } => Request::Unblock { whom: whom.clone() },
        Command::Check => Request::Check,
        Command::Index(IndexCommand::Status { address }) => Request::Index { address: address.clone(), anew: false },
        Command::Index(IndexCommand::Rebuild { address }) => Request::Index { address: address.clone(), anew: true },
        Command::Try(_)
        | Command::Serve
        | Command::Rebuild { .. }
        | Command::Config
        | Command::Mime(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Domain(_)
        | Command::Doctor(_)
        | Command::Mail(_)
        | Command::Import(_)
        | Command::Export(_)
        | Command::Wire { .. } => {
            return Err("not an act".into());
        }
    })
}

fn acl_deed(command: &AclCommand) -> AccessDeed {
    match command {
        AclCommand::List { address, mailbox } => AccessDeed::List { address: address.clone(), mailbox: mailbox.clone() },
        AclCommand::Set { address, mailbox, identifier, rights } => AccessDeed::Set {
            address: address.clone(),
            mailbox: mailbox.clone(),
            identifier: identifier.clone(),
            rights: rights.clone(),
        },
        AclCommand::Remove { address, mailbox, identifier } => AccessDeed::Set {
            address: address.clone(),
            mailbox: mailbox.clone(),
            identifier: identifier.clone(),
            rights: String::new(),
        },
    }
}

fn account_request(config: &Config, command: &AccountCommand) -> Result<Request, String> {
    Ok(match command {
        AccountCommand::Add { address, quota, password_stdin, .. } => {
            let address = address.clone().unwrap_or_default();
            check_account_address(&address, &config.domains)?;
            let secrets = new_secrets(&address, *password_stdin)?;
            Request::AccountAdd { accounts: vec![AccountWanted { address, secrets, quota_bytes: *quota }] }
        }
        AccountCommand::List => Request::AccountList,
        AccountCommand::Show { address } => Request::AccountShow { address: address.clone() },
        AccountCommand::AppPassword(AppPasswordCommand::List { address }) => {
            Request::AppPasswordList { address: address.clone() }
        }
        AccountCommand::AppPassword(AppPasswordCommand::Remove { address, name }) => {
            Request::AppPasswordRemove { address: address.clone(), name: name.clone() }
        }
        AccountCommand::Password { .. } | AccountCommand::AppPassword(AppPasswordCommand::Add { .. }) => {
            return Err("not one act".into());
        }
        AccountCommand::Suspend { address } => Request::AccountSuspend { address: address.clone(), suspended: true },
        AccountCommand::Resume { address } => Request::AccountSuspend { address: address.clone(), suspended: false },
        AccountCommand::Remove { address, yes } => Request::AccountRemove { address: address.clone(), yes: *yes },
    })
}

fn new_secrets(address: &str, from_stdin: bool) -> Result<SecretsText, String> {
    let password = if from_stdin { passwords::from_stdin()? } else { passwords::from_prompt(address)? };
    server::auth::secrets(password.as_bytes(), None).map(SecretsText::from)
}

async fn rebuild(config: &Config, yes: bool) -> Result<Value, String> {
    let place = config.data_dir.display();
    if !config.data_dir.is_dir() {
        return Err(format!("{place}: there is no store"));
    }
    if Client::connect(&config.data_dir).await.is_ok_and(|client| client.is_some()) {
        return Err("the server runs on this store; stop it first".into());
    }
    if !yes {
        return Ok(json!({ "would": format!("make the index of {place} anew from the message segments") }));
    }
    let rebuilt = Store::rebuild(config.store()).await.map_err(|error| told(&error))?;
    let skipped: Vec<crate::admin::views::DefectView> = rebuilt.skipped.into_iter().map(Into::into).collect();
    Ok(json!({ "accounts": rebuilt.accounts, "messages": rebuilt.messages, "skipped": skipped }))
}
