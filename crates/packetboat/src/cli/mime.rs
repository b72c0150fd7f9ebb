//! The words of `packetboat mime`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `packetboat mime ...`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
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
pub(crate) enum MimeCommand {}
