//! Packetboat: an email server and email program in one binary. Here: configuration, command line, start and stop; `main.rs`
//! only calls [`run`].
//!
//! Puts all crates together. Must not know: grammar, key layout.

mod admin;
mod boxes;
mod certificate_facts;
mod certificates;
mod cli;
mod commands;
mod config;
mod control;
mod dialogue;
mod doctor;
pub mod fuzzing;
mod gate;
mod mail;
mod office;
mod private_file;
mod privileges;
mod serve;
mod trial;
mod zone;

#[cfg(test)]
#[path = "../../../tests/bench/secret_checks.rs"]
mod secret_checks;

use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// What is logged, in the words of tracing's filters; `info` without it.
const LOG_VARIABLE: &str = "PACKETBOAT_LOG";

/// Does what the command line says.
pub fn run() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        // Who asked for JSON gets JSON, also about a slip of the pen.
        Err(error) if error.use_stderr() && std::env::args_os().any(|word| word == "--json") => {
            commands::fail(error.to_string().trim_end(), true);
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    privileges::close_to_others();
    ExitCode::from(match cli.command {
        cli::Command::Serve => {
            log("info");
            serve::run(&cli.config)
        }
        cli::Command::Try(arguments) => {
            log("warn");
            trial::run(&arguments)
        }
        cli::Command::Config => commands::say(config::reference().as_bytes()),
        cli::Command::Completions { shell } => commands::pages::completions(shell),
        cli::Command::Man { folder } => match commands::pages::man(folder.as_deref()) {
            Ok(code) => code,
            Err(why) => commands::fail(&why, cli.json),
        },
        cli::Command::Mail(arguments) => {
            log(if mail::opens_screen(&arguments, cli.json) { "off" } else { "warn" });
            mail::run(&arguments, cli.json, cli.show_wire)
        }
        cli::Command::Import(arguments) => {
            log("warn");
            match mail::import_of(&cli.config, *arguments) {
                Ok(arguments) => mail::run(&arguments, cli.json, cli.show_wire),
                Err(arguments) => operate(&cli.config, cli::Command::Import(arguments), (cli.json, cli.show_wire)),
            }
        }
        cli::Command::Mime(arguments) => commands::mime::run(&arguments, cli.json),
        command => {
            log("warn");
            operate(&cli.config, command, (cli.json, cli.show_wire))
        }
    })
}

/// Logs go to standard error; no message or log line ever holds a password.
fn log(default: &str) {
    let filter = std::env::var(LOG_VARIABLE).ok().and_then(|text| EnvFilter::try_new(text).ok());
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(default)))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// A command without a server works on the data as the server will: as the same user.
fn identify(config: &config::Config) -> Result<(), String> {
    let is_new = std::fs::read_dir(&config.data_dir).map_or(true, |mut entries| entries.next().is_none());
    office::make_data_dir(&config.data_dir)?;
    match privileges::unprivileged(&config.user, config.user_given, &config.data_dir)? {
        Some(user) if is_new => {
            privileges::give_folder(&config.data_dir, &user)?;
            privileges::become_user(&user)
        }
        _ => privileges::become_owner_of(&config.data_dir),
    }
}

/// An operator's command.
fn operate(file: &std::path::Path, command: cli::Command, (json, show_wire): (bool, bool)) -> u8 {
    let outcome = config::load(file).map_err(|problems| problems.join("\n")).and_then(|config| {
        // Files of others are read as who we are, where the running server does the writing.
        let moves = matches!(command, cli::Command::Import(_) | cli::Command::Export(_));
        if !(moves && commands::server_runs(&config)) {
            identify(&config)?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
        Ok((config, runtime))
    });
    match outcome {
        Ok((config, runtime)) => runtime.block_on(commands::run(&config, command, (json, show_wire))),
        Err(why) => commands::fail(&why, json),
    }
}
