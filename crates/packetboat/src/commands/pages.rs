//! What is made from the command line's own description: completions for shells, and man pages.
//!
//! Must not know: what commands do.

use crate::cli::Cli;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Completions for one shell, on standard output.
pub(crate) fn completions(shell: Shell) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "packetboat", &mut text);
    super::say(&text)
}

/// The help of a command that was given without one of its own; the exit code.
pub(crate) fn help_of(name: &str) -> u8 {
    let mut command = Cli::command();
    command.build();
    if let Some(found) = command.find_subcommand_mut(name) {
        eprintln!("{}", found.render_help());
    }
    2
}

/// A page for each command into a folder, or the first one on standard output.
pub(crate) fn man(folder: Option<&Path>) -> Result<u8, String> {
    let told = |error: std::io::Error| error.to_string();
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            clap_mangen::generate_to(Cli::command(), folder).map_err(told)?;
            Ok(0)
        }
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(told)?;
            Ok(super::say(&text))
        }
    }
}
