//! `packetboat mail ...`: the email program's words and shapes.

use super::moving::{BringArgs, TakeArgs};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `packetboat mail`; without a command, on a terminal, the full-screen program.
#[derive(Debug, Args)]
pub(crate) struct MailArgs {
    /// Where mail, accounts and passwords are kept [default: packetboat/mail in your data directory]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Which of your accounts; without it the first, and for `sync` and `fetch` all of them
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub(crate) account: Option<String>,
    /// Ask this DNS server instead of the system's; `add` remembers it
    #[arg(long, value_name = "IP[:PORT]", global = true)]
    pub(crate) dns: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Option<MailCommand>,
}

/// Which messages.
#[derive(Debug, Args)]
pub(crate) struct ChosenArgs {
    /// Their numbers, as `ls` shows them
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// The mailbox they are in
    #[arg(long = "in", value_name = "MAILBOX", default_value = "INBOX")]
    pub(crate) mailbox: String,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum MailCommand {
    /// Add an account of any provider; its password comes from a prompt or standard input, never from an argument
    Add(AddArgs),
    /// Your accounts
    Accounts,
    /// Further addresses of an account that you write from, each with its own name and signature
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Make both sides equal (IMAP), or fetch what is new (POP3), and send what waits: of every account, unless --account names one
    Sync {
        /// Go on: again when the server has news, and every minute
        #[arg(long)]
        watch: bool,
        /// Every account, as without it, and told of as a list also where there is one alone
        #[arg(long, conflicts_with_all = ["watch", "account"])]
        all: bool,
    },
    /// Fetch what is new by POP3: of every account that is read so, unless --account names one
    Fetch,
    /// Mailboxes with their counts; or make, rename or remove one, here and at the next sync there
    Folders {
        #[command(subcommand)]
        act: Option<FolderCommand>,
    },
    /// List messages, newest last; with --remote what lies on the server, without fetching any body
    Ls {
        /// Which mailbox
        #[arg(default_value = "INBOX")]
        mailbox: String,
        /// What is on the server
        #[arg(long)]
        remote: bool,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Only unread ones
        #[arg(long)]
        unread: bool,
    },
    /// Download a choice of what `ls --remote` shows
    Download(ChosenArgs),
    /// Read a message
    Read {
        #[command(flatten)]
        which: ChosenArgs,
        /// Its HTML, made safe
        #[arg(long, conflicts_with_all = ["headers", "raw"])]
        html: bool,
        /// Its header
        #[arg(long, conflicts_with = "raw")]
        headers: bool,
        /// Its octets
        #[arg(long)]
        raw: bool,
        /// Leave it unread
        #[arg(long)]
        peek: bool,
    },
    /// List the attachments of a message, or write them into a folder
    Attachments {
        #[command(flatten)]
        which: ChosenArgs,
        /// Into this folder
        #[arg(long, value_name = "DIR")]
        extract: Option<PathBuf>,
    },
    /// Find messages that have each of these words in sender, recipients, subject, text or an attachment; "two words" is one
    Search {
        /// Words
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Write a message; its text comes from --text, standard input, or $EDITOR
    Send(SendArgs),
    /// Answer a message
    Reply {
        /// Its number
        id: String,
        /// To everybody
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        send: SendArgs,
        /// The mailbox it is in
        #[arg(long = "in", value_name = "MAILBOX", default_value = "INBOX")]
        mailbox: String,
    },
    /// Send a message on, whole, as an attachment
    Forward {
        /// Its number
        id: String,
        #[command(flatten)]
        send: SendArgs,
        /// The mailbox it is in
        #[arg(long = "in", value_name = "MAILBOX", default_value = "INBOX")]
        mailbox: String,
    },
    /// Move messages
    Move {
        #[command(flatten)]
        which: ChosenArgs,
        /// Where to
        #[arg(long, value_name = "MAILBOX")]
        to: String,
    },
    /// Copy messages
    Copy {
        #[command(flatten)]
        which: ChosenArgs,
        /// Where to
        #[arg(long, value_name = "MAILBOX")]
        to: String,
    },
    /// Delete messages; `undo` brings them back until the next sync has told the server, and here for 30 days
    Delete {
        #[command(flatten)]
        which: ChosenArgs,
        /// On the server, of what `ls --remote` shows
        #[arg(long)]
        remote: bool,
    },
    /// Set or take away flags and keywords: `+flagged`, `-seen`, `+work`
    Flag {
        #[command(flatten)]
        which: ChosenArgs,
        /// `+NAME` sets, `-NAME` takes away
        #[arg(long = "set", value_name = "+NAME|-NAME", required = true, allow_hyphen_values = true)]
        changes: Vec<String>,
    },
    /// Mark as read or unread
    Mark {
        #[command(flatten)]
        which: ChosenArgs,
        /// As unread
        #[arg(long)]
        unread: bool,
    },
    /// Bring mail from another server or from files into this account; run again, it brings only what is new. The next sync
    /// carries it to the account's server
    Import(BringArgs),
    /// Write this account's mail into a folder, as Maildir, mbox or .eml files, or onto another server by IMAP
    Export(TakeArgs),
    /// The browser program on loopback, on this program's own mail, kept in step with the servers until Ctrl-C
    Web(WebArgs),
    /// What waits to be sent, and why
    Outbox,
    /// Take back what waits to be sent, or bring back what was deleted last
    Undo {
        /// Numbers of the outbox; without them the last deletion is undone
        ids: Vec<u64>,
    },
}

/// `packetboat mail folders ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum FolderCommand {
    /// Make a mailbox
    Add {
        /// Its name; `/` parts levels
        name: String,
    },
    /// Give one another name, with what is under it
    Rename {
        /// As it is called
        from: String,
        /// As it is to be called
        to: String,
    },
    /// Remove one with its mail, which stays restorable for 30 days
    Remove {
        /// Its name
        name: String,
        /// Do it; without this it only tells what it would do
        #[arg(long)]
        yes: bool,
    },
}

/// `packetboat mail identity ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// All of an account; the first is what is written from without --from
    List,
    /// Add one, or give one another name or signature
    Add {
        /// The address
        address: String,
        /// Your name there
        #[arg(long)]
        name: Option<String>,
        /// Signature: a text file
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
    },
    /// Take one away
    Remove {
        /// The address
        address: String,
    },
}

/// `packetboat mail web`.
#[derive(Debug, Args)]
pub(crate) struct WebArgs {
    /// Where on this machine; port 0 is any free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
    /// Only print the address
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Do not speak with the servers meanwhile
    #[arg(long)]
    pub(crate) offline: bool,
}

/// How a user signs in at a provider's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OauthFlow {
    /// A code (RFC 8628)
    Device,
    /// A browser here (RFC 8252)
    Loopback,
}

/// `packetboat mail add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Your address
    pub(crate) address: String,
    /// Your name, for what you send
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// IMAP server: host, host:port or imaps://host:port; imap:// is STARTTLS
    #[arg(long, value_name = "SERVER")]
    pub(crate) imap: Option<String>,
    /// POP3 server, likewise; instead of IMAP
    #[arg(long, value_name = "SERVER", conflicts_with = "imap")]
    pub(crate) pop3: Option<String>,
    /// Submission server, likewise (smtps://, smtp://)
    #[arg(long, value_name = "SERVER")]
    pub(crate) smtp: Option<String>,
    /// Login name, if it is not the address
    #[arg(long)]
    pub(crate) login: Option<String>,
    /// Read the password from standard input, up to the first newline
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Sign in by OAuth 2.0 with this client id, which is your own registration at the provider, instead of a password
    #[arg(long, value_name = "CLIENT-ID", conflicts_with_all = ["password_stdin", "offline"])]
    pub(crate) oauth: Option<String>,
    /// How: a code that you type on a page of the provider, or a browser on this machine
    #[arg(long, value_enum, default_value = "device", requires = "oauth")]
    pub(crate) oauth_flow: OauthFlow,
    /// The provider's issuer, where it is not known by your address (https://...)
    #[arg(long, value_name = "URL", requires = "oauth")]
    pub(crate) oauth_issuer: Option<String>,
    /// What to ask for, where that is not known by your address
    #[arg(long, value_name = "SCOPE", requires = "oauth")]
    pub(crate) oauth_scope: Option<String>,
    /// A file with the client secret, where the provider wants one of programs too
    #[arg(long, value_name = "FILE", requires = "oauth")]
    pub(crate) oauth_secret_file: Option<PathBuf>,
    /// PEM file of certificates that count besides the public roots
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Signature: a text file
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// Download by itself only what came within so many days
    #[arg(long, value_name = "N")]
    pub(crate) days: Option<u32>,
    /// Download by itself only messages up to so many octets
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_size: Option<u64>,
    /// Download nothing by itself: `ls --remote` shows what is there, `download` brings a choice
    #[arg(long, conflicts_with_all = ["days", "max_size"])]
    pub(crate) on_demand: bool,
    /// POP3: delete on the server after so many days; without it mail stays there
    #[arg(long, value_name = "N")]
    pub(crate) delete_after_days: Option<u32>,
    /// POP3: delete on the server what is deleted here
    #[arg(long)]
    pub(crate) delete_when_deleted: bool,
    /// The provider puts a copy of what you send into Sent by itself (Gmail does)
    #[arg(long)]
    pub(crate) provider_keeps_sent: bool,
    /// Keep the password in a file that only you can read, also where there is a Secret Service
    #[arg(long)]
    pub(crate) no_keyring: bool,
    /// Do not look for servers that are not named here
    #[arg(long)]
    pub(crate) no_discovery: bool,
    /// Do not try the servers now
    #[arg(long)]
    pub(crate) offline: bool,
}

/// `packetboat mail send`.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// From this identity; an answer comes from the address that was written to
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<String>,
    /// To
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) to: Vec<String>,
    /// Copy to
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) cc: Vec<String>,
    /// Copy to, which the others do not see
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) bcc: Vec<String>,
    /// Subject
    #[arg(long, short, allow_hyphen_values = true)]
    pub(crate) subject: Option<String>,
    /// The text
    #[arg(long, value_name = "TEXT", conflicts_with = "text_file", allow_hyphen_values = true)]
    pub(crate) text: Option<String>,
    /// A file with the text; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) text_file: Option<PathBuf>,
    /// A file with the same as HTML
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// A file to go along
    #[arg(long, value_name = "FILE")]
    pub(crate) attach: Vec<PathBuf>,
    /// Not before this: seconds since 1970, or an RFC 3339 time
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    pub(crate) at: Option<String>,
    /// Wait so many seconds, in which `undo` takes it back
    #[arg(long, value_name = "SECS", default_value_t = 0)]
    pub(crate) delay: u32,
    /// Ask the servers to tell how it fared (DSN)
    #[arg(long)]
    pub(crate) notify: bool,
    /// Ask the reader's program to tell when it was read (MDN)
    #[arg(long)]
    pub(crate) receipt: bool,
    /// Only into the outbox; `sync` sends it
    #[arg(long)]
    pub(crate) offline: bool,
}
