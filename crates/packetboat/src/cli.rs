//! The command line: names, words and shapes of every command. What they do is in `commands`, `serve` and `trial`.

mod mail;
mod mime;
mod moving;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

pub(crate) use mail::{AddArgs, ChosenArgs, MailArgs, MailCommand, SendArgs};
pub(crate) use mime::{BuildArgs, MimeArgs, MimeCommand, ReportArgs, ReportKind};
pub(crate) use moving::{ExportArgs, ExportForm, ImportArgs};

/// An email server and email program in one binary.
#[derive(Debug, Parser)]
#[command(name = "packetboat", version, about, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/packetboat/packetboat.toml")]
    pub(crate) config: PathBuf,
    /// Answer in JSON (its field names are stable)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All of email on this computer: two post offices on loopback, nothing to set up, nothing leaves the machine
    Try(TryArgs),
    /// Run the server
    Serve,
    /// People who have mail here
    #[command(subcommand)]
    Account(AccountCommand),
    /// Addresses that lead to other addresses
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Mail on its way out
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Bring back what was expunged
    #[command(subcommand)]
    Undo(UndoCommand),
    /// Prove every invariant of the store; exits 1 with a list when one is broken
    Check,
    /// Make the index of the store anew (the server must be stopped)
    Rebuild {
        /// Do it; without this it only tells what it would do
        #[arg(long)]
        yes: bool,
    },
    /// Print every option of the configuration with its default
    Config,
    /// The email program: any provider's mail by IMAP or POP3, sent by SMTP, offline, on your own disk
    Mail(Box<MailArgs>),
    /// Bring mail from another server, or from files, into an account here; run again, it brings only what is new
    Import(Box<ImportArgs>),
    /// Write an account's mail into a folder, as Maildir, mbox or .eml files
    Export(ExportArgs),
    /// Look into a message: its parts, their sizes, names and defects; or build one from files
    Mime(Box<MimeArgs>),
}

/// `packetboat try`.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// Where its data stays between runs [default: packetboat/try in your data directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Ports are this plus the well-known number (SMTP 2025, IMAP 2143 ...); there.test is 1000 higher
    #[arg(long, value_name = "PORT", default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1024..=63_000))]
    pub(crate) port_base: u16,
}

/// `packetboat account ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account; the password comes from a prompt or from standard input, never from an argument
    Add {
        /// local@domain, in one of the served domains
        #[arg(required_unless_present = "csv")]
        address: Option<String>,
        /// Many at once: lines of `address,password`; `-` is standard input
        #[arg(long, value_name = "FILE", conflicts_with_all = ["address", "password_stdin"])]
        csv: Option<PathBuf>,
        /// Octets it may hold; over it new mail is put off (452 4.2.2)
        #[arg(long, value_name = "BYTES")]
        quota: Option<u64>,
        /// Read the password from standard input, up to the first newline
        #[arg(long)]
        password_stdin: bool,
    },
    /// All accounts
    List,
    /// One account with its mailboxes
    Show {
        /// local@domain
        address: String,
    },
    /// Give a new password; ends its sessions at once
    Password {
        /// local@domain
        address: String,
        /// Read the password from standard input, up to the first newline
        #[arg(long)]
        password_stdin: bool,
    },
    /// No sign-in any more; ends its sessions at once; mail is still accepted
    Suspend {
        /// local@domain
        address: String,
    },
    /// Sign-in again
    Resume {
        /// local@domain
        address: String,
    },
    /// Remove an account with its mail
    Remove {
        /// local@domain
        address: String,
        /// Do it; without this it only tells what it would do
        #[arg(long)]
        yes: bool,
    },
}

/// `packetboat alias ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum AliasCommand {
    /// Make an alias
    Add {
        /// local@domain, in one of the served domains
        address: String,
        /// Where it leads, here or elsewhere
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// All aliases
    List,
    /// Remove an alias
    Remove {
        /// local@domain
        address: String,
        /// Do it; without this it only tells what it would do
        #[arg(long)]
        yes: bool,
    },
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Their numbers
    #[arg(required_unless_present = "all", value_name = "ID")]
    pub(crate) ids: Vec<u64>,
    /// Every one
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
}

/// `packetboat queue ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// What waits
    List,
    /// One entry, with every recipient's last reply
    Show {
        /// Its number
        id: u64,
    },
    /// Try now
    Retry(WhichArgs),
    /// Do not try until released
    Hold(WhichArgs),
    /// Try again
    Release(WhichArgs),
    /// Give up without a bounce
    Drop {
        #[command(flatten)]
        which: WhichArgs,
        /// Do it; without this it only tells what it would do
        #[arg(long)]
        yes: bool,
    },
}

/// `packetboat undo ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum UndoCommand {
    /// What can be brought back, newest first
    List {
        /// local@domain
        address: String,
        /// At most so many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Bring messages back to the mailbox they were in
    Restore {
        /// local@domain
        address: String,
        #[command(flatten)]
        which: WhichArgs,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn config_and_json_may_stand_anywhere() {
        for line in [
            "packetboat account list --config x --json",
            "packetboat --json --config x account list",
            "packetboat account --config x list --json",
            "packetboat mime --json --config x build --from a@here.test",
            "packetboat mime build --from a@here.test --json --config x",
            "packetboat mime --json --config x FILE",
        ] {
            let cli = Cli::parse_from(line.split(' '));
            assert!(cli.json && cli.config.as_os_str() == "x", "{line}");
        }
    }

    #[test]
    fn a_password_is_never_an_argument() {
        assert!(Cli::try_parse_from(["packetboat", "account", "add", "a@b.c", "secret"]).is_err());
        assert!(Cli::try_parse_from(["packetboat", "account", "add", "a@b.c", "--password", "secret"]).is_err());
        assert!(Cli::try_parse_from(["packetboat", "account", "add"]).is_err());
    }
}
