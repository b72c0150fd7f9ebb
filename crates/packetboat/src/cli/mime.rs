//! The words of `packetboat mime`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `packetboat mime ...`.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct MimeArgs {
    /// The message; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Write the attachments into this directory; no name can lead out of it and no file is overwritten
    #[arg(long, value_name = "DIR")]
    pub(crate) extract: Option<PathBuf>,
    /// Print the octets of one section as IMAP numbers them (1.2, HEADER, TEXT, 3.HEADER, 1.MIME), nothing added
    #[arg(long, value_name = "SECTION", conflicts_with = "extract")]
    pub(crate) raw: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Option<MimeCommand>,
}

/// `packetboat mime build ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum MimeCommand {
    /// Make a message from files; attachments are read while it is written, so they may be of any size
    Build(Box<BuildArgs>),
}

/// What the message says and what goes along.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// An author: `Name <local@domain>` or an address
    #[arg(long, value_name = "MAILBOX", required = true)]
    pub(crate) from: Vec<String>,
    /// Who really sends it
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) sender: Option<String>,
    /// Where answers go
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) reply_to: Vec<String>,
    /// A recipient
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) to: Vec<String>,
    /// A recipient of a copy
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) cc: Vec<String>,
    /// A recipient that the others do not see: for a draft; what is sent has no such field
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) bcc: Vec<String>,
    /// The subject
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// The plain text (UTF-8); `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,
    /// The lines of the text are paragraphs (format=flowed, RFC 3676)
    #[arg(long, requires = "text")]
    pub(crate) flowed: bool,
    /// The HTML (UTF-8)
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// A picture that the HTML shows as `cid:CID`
    #[arg(long, value_name = "CID=FILE[:TYPE]")]
    pub(crate) inline: Vec<String>,
    /// A file that goes along
    #[arg(long, value_name = "FILE[:TYPE]")]
    pub(crate) attach: Vec<String>,
    /// RFC 5322 or RFC 3339 [default: now]
    #[arg(long)]
    pub(crate) date: Option<String>,
    /// Without brackets [default: chance at the author's domain]
    #[arg(long, value_name = "ID")]
    pub(crate) message_id: Option<String>,
    /// The message it answers, without brackets
    #[arg(long, value_name = "ID")]
    pub(crate) in_reply_to: Vec<String>,
    /// One more of the thread, without brackets
    #[arg(long, value_name = "ID")]
    pub(crate) references: Vec<String>,
    /// Any other field
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// Texts beyond ASCII go as they are (8BITMIME)
    #[arg(long)]
    pub(crate) eight_bit: bool,
    /// Where to write it; a file that is there is not overwritten [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// Reports.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Make a report about a message instead
    #[arg(long, value_enum, requires_all = ["original", "recipient"], conflicts_with_all = ["text", "html", "attach", "inline"])]
    pub(crate) report: Option<ReportKind>,
    /// The message it is about
    #[arg(long, value_name = "FILE", requires = "report")]
    pub(crate) original: Option<PathBuf>,
    /// Whose mailbox it is about
    #[arg(long, value_name = "ADDRESS", requires = "report")]
    pub(crate) recipient: Option<String>,
    /// What became of it: failed, delayed, delivered, relayed, expanded; displayed, deleted, dispatched, processed; abuse, fraud ...
    #[arg(long, value_name = "WORD", requires = "report")]
    pub(crate) action: Option<String>,
    /// Status code (RFC 3463)
    #[arg(long, value_name = "X.Y.Z", requires = "report")]
    pub(crate) status: Option<String>,
    /// What the other server said
    #[arg(long, value_name = "TEXT", requires = "report")]
    pub(crate) diagnostic: Option<String>,
}

/// What is reported.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ReportKind {
    /// What became of a delivery (RFC 3464)
    Delivery,
    /// What its reader did (RFC 8098)
    Disposition,
    /// A complaint (RFC 5965)
    Abuse,
}
