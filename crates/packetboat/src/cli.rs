//! The command line: names, words and shapes of every command. What they do is in `commands`, `serve` and `trial`.

mod access;
mod mail;
mod mime;
mod moving;
mod queue;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

pub(crate) use access::{AclCommand, SharedCommand};
pub(crate) use mail::{AddArgs, ChosenArgs, FolderCommand, IdentityCommand, MailArgs, MailCommand, OauthFlow, SendArgs, WebArgs};
pub(crate) use mime::{BuildArgs, MimeArgs, MimeCommand, ReportArgs, ReportKind};
pub(crate) use moving::{BringArgs, ExportArgs, ExportForm, ImportArgs, TakeArgs};
pub(crate) use queue::{QueueCommand, QueueFilterArgs, QueueWhichArgs, SuppressCommand};

/// The configuration file, where none is named.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/packetboat/packetboat.toml";

/// An email server and email program in one binary.
#[derive(Debug, Parser)]
#[command(name = "packetboat", version, about, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// Answer in JSON (its field names are stable)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show on standard error what is said to other servers (mail, import), each line explained; without secrets
    #[arg(long, global = true)]
    pub(crate) show_wire: bool,
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
    /// Who beside its owner may do what with a mailbox
    #[command(subcommand)]
    Acl(AclCommand),
    /// Mailboxes that nobody owns
    #[command(subcommand)]
    Shared(SharedCommand),
    /// Keys that sign for a domain, and the zone to publish
    #[command(subcommand)]
    Domain(DomainCommand),
    /// What others report about mail that bears our domains' names
    #[command(subcommand)]
    Reports(ReportsCommand),
    /// Forget failed sign-ins, so that nobody waits for them any more: of an address, of an IP, or of all
    Unblock {
        /// local@domain, or an IP address (its whole network is meant)
        #[arg(required_unless_present = "all", value_name = "ADDRESS|IP")]
        whom: Option<String>,
        /// Of everybody
        #[arg(long, conflicts_with = "whom")]
        all: bool,
    },
    /// Show an account's dialogues with the running server as they happen, each line explained; without secrets or messages
    Wire {
        /// local@domain; its connections made from now on
        #[arg(long, value_name = "ADDRESS")]
        account: String,
    },
    /// Mail on its way out
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Stop sending: of an account, to a destination, or everything; also after a restart. Without WHAT: what is frozen
    Freeze {
        /// `all`, an account's address, or a destination (example.org)
        what: Option<String>,
        /// For whoever asks later
        #[arg(long, default_value = "", value_name = "TEXT")]
        why: String,
    },
    /// Go on sending
    Thaw {
        /// As it was given to `freeze`
        what: String,
    },
    /// Addresses that mail is not sent to any more, after three hard bounces in a row
    #[command(subcommand)]
    Suppress(SuppressCommand),
    /// Accounts that send as they never did before
    Alarms,
    /// Bring back what was expunged
    #[command(subcommand)]
    Undo(UndoCommand),
    /// Look whether what mail needs holds: the way out, DNS, lists, clock, disk, certificate; exits 1 when something is bad
    Doctor(DoctorArgs),
    /// What happened, and why: one timeline of everything known about an address, a message, a queue entry or a peer
    Trace {
        /// An address, a Message-ID, a queue entry's number, an IP address, or the id in a 250 reply
        #[arg(value_name = "ADDRESS|MESSAGE-ID|QUEUE-ID|IP")]
        asked: String,
        /// Go on telling what happens (while the server runs)
        #[arg(long)]
        follow: bool,
    },
    /// Prove every invariant of the store; exits 1 with a list when one is broken
    Check,
    /// The search index: how far it is, or made anew
    #[command(subcommand)]
    Index(IndexCommand),
    /// Make the index of the store anew (the server must be stopped)
    Rebuild {
        /// Do it; without this it only tells what it would do
        #[arg(long)]
        yes: bool,
    },
    /// Print every option of the configuration with its default
    Config,
    /// The email program: any provider's mail by IMAP or POP3, sent by SMTP, offline, on your own disk; on a terminal, without a
    /// command, full-screen with mutt's keys (`?` shows them)
    Mail(Box<MailArgs>),
    /// Bring mail from another server, or from files, into an account here; run again, it brings only what is new
    Import(Box<ImportArgs>),
    /// Write an account's mail into a folder, as Maildir, mbox or .eml files, or onto another server by IMAP
    Export(ExportArgs),
    /// Completions for a shell, on standard output: `source <(packetboat completions bash)`
    Completions {
        /// Which shell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Man pages of every command, into a folder; without one the first, on standard output
    Man {
        /// The folder; made if it is not there
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
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
    /// Passwords for single programs, made here and shown once
    #[command(subcommand)]
    AppPassword(AppPasswordCommand),
    /// Remove an account with its mail
    Remove {
        /// local@domain
        address: String,
        /// Do it; without this it only tells what it would do
        #[arg(long)]
        yes: bool,
    },
}

/// `packetboat account app-password ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum AppPasswordCommand {
    /// Make one and show it, this once
    Add {
        /// local@domain
        address: String,
        /// What it is for [default: app-1, app-2 ...]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Their names and when they were made
    List {
        /// local@domain
        address: String,
    },
    /// Take one away; ends the account's sessions at once
    Remove {
        /// local@domain
        address: String,
        /// Which
        #[arg(long, value_name = "NAME")]
        name: String,
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

/// `packetboat doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// One served domain [default: all]
    pub(crate) domain: Option<String>,
    /// Look at this machine only
    #[arg(long)]
    pub(crate) offline: bool,
    /// The server the way out is tried to [default: the smarthost, else a mail exchanger of gmail.com]
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "offline")]
    pub(crate) to: Option<String>,
}

/// `packetboat reports ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportsCommand {
    /// All that came, the newest first
    List,
    /// One, with every source it names
    Show {
        /// As `list` prints it
        id: String,
    },
}

/// `packetboat domain ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// Make the keys that sign for a served domain (DKIM: RSA and Ed25519), and print the zone
    Add {
        /// A domain of the configuration
        name: String,
    },
    /// Print every DNS record the domain wants, beside what DNS answers now; where it has no keys yet they are made
    Records {
        /// A domain of the configuration
        name: String,
        /// Do not ask DNS
        #[arg(long)]
        no_dns: bool,
    },
    /// Make new keys; they sign in two days, when their records are known everywhere, and the old records stay a week longer
    Rotate {
        /// A domain of the configuration
        name: String,
        /// Sign with them at once: the old ones are not safe any more
        #[arg(long)]
        now: bool,
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

/// `packetboat index ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// How many messages it has, how many it lacks, how large it is
    Status {
        /// local@domain; without it every account
        address: Option<String>,
    },
    /// Throw it away and make it anew; searches find everything meanwhile, only more slowly
    Rebuild {
        /// local@domain; without it every account
        address: Option<String>,
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
