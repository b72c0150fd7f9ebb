//! `packetboat import` and `packetboat export`, and the same of `packetboat mail`: words and shapes.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What is brought, and how.
#[derive(Debug, Args)]
pub(crate) struct BringArgs {
    /// imaps://user@host, imap://user@host (STARTTLS), pop3s://user@host, pop3://user@host; or a path: a Maildir, mbox
    /// files, a Google Takeout, a tree of .eml files, MH folders (`maildir:`, `mbox:`, `mboxo:`, `mboxrd:`, `mboxcl:`,
    /// `mboxcl2:`, `eml:`, `mh:` in front of it say what it is)
    pub(crate) source: String,
    /// Read the other server's password from standard input, up to the first newline
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Go on past messages that cannot be taken, and list them at the end
    #[arg(long)]
    pub(crate) skip_bad: bool,
    /// Only this mailbox; may be given several times
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) only: Vec<String>,
    /// Put everything under this mailbox
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) into: Option<String>,
    /// PEM file of certificates that count besides the public roots
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
}

/// `packetboat import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) what: BringArgs,
    /// The account here
    #[arg(long, value_name = "ADDRESS", required_unless_present = "list")]
    pub(crate) account: Option<String>,
    /// Many accounts of that server: lines of `user,account,password`; with --master `user,account`; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "account")]
    pub(crate) list: Option<PathBuf>,
    /// Accounts of the list at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Sign in as this master user (Dovecot's `user*master`); the password is the master's
    #[arg(long, value_name = "USER")]
    pub(crate) master: Option<String>,
    /// What parts the user from the master user
    #[arg(long, value_name = "TEXT", default_value = "*", requires = "master")]
    pub(crate) master_separator: String,
}

/// As what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// Maildir++, as Dovecot and Courier have it
    Maildir,
    /// One mbox file a mailbox, of the kind mboxrd
    Mbox,
    /// The same of the kind mboxo
    Mboxo,
    /// The same of the kind mboxcl
    Mboxcl,
    /// The same of the kind mboxcl2
    Mboxcl2,
    /// One .eml file a message
    Eml,
    /// MH folders
    Mh,
}

/// Where mail is written, and how.
#[derive(Debug, Args)]
pub(crate) struct TakeArgs {
    /// A folder, made if it is not there; or another server: imaps://user@host, imap://user@host (STARTTLS)
    pub(crate) target: String,
    /// As what files
    #[arg(long = "as", value_name = "FORM", value_enum, default_value = "maildir")]
    pub(crate) form: ExportForm,
    /// Only this mailbox; may be given several times
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) only: Vec<String>,
    /// Read the other server's password from standard input, up to the first newline
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Go on past messages that the other server does not take, and list them at the end
    #[arg(long)]
    pub(crate) skip_bad: bool,
    /// PEM file of certificates that count besides the public roots
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
}

/// `packetboat export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) what: TakeArgs,
    /// The account
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) account: String,
}
