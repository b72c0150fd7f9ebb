//! `packetboat queue ...` and `packetboat suppress ...`.

use clap::{Args, Subcommand};

/// Which entries: by number, or all that fit everything that is given.
#[derive(Debug, Args)]
pub(crate) struct QueueWhichArgs {
    /// Their numbers
    #[arg(required_unless_present_any = ["all", "from", "to", "held_only"], conflicts_with_all = ["all", "from", "to", "held_only"], value_name = "ID")]
    pub(crate) ids: Vec<u64>,
    /// Every one
    #[arg(long, conflicts_with_all = ["from", "to", "held_only"])]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: QueueFilterArgs,
}

/// What must fit.
#[derive(Debug, Args)]
pub(crate) struct QueueFilterArgs {
    /// From this address, account or domain
    #[arg(long, value_name = "ADDRESS|DOMAIN")]
    pub(crate) from: Option<String>,
    /// To this address, domain or destination
    #[arg(long, value_name = "ADDRESS|DOMAIN")]
    pub(crate) to: Option<String>,
    /// Only those that are held
    #[arg(long = "held", id = "held_only")]
    pub(crate) held: bool,
}

/// `packetboat queue ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// What waits
    List(QueueFilterArgs),
    /// One entry, with every recipient's last reply
    Show {
        /// Its number
        id: u64,
    },
    /// Try now
    Retry(QueueWhichArgs),
    /// Do not try until released
    Hold(QueueWhichArgs),
    /// Try again; also one that was set aside, if it can be read now
    Release(QueueWhichArgs),
    /// Do not try before some time from now
    Schedule {
        /// 90s, 15m, 2h, 3d
        #[arg(long = "in", value_name = "TIME", value_parser = span)]
        secs: u32,
        #[command(flatten)]
        which: QueueWhichArgs,
    },
    /// Send to another destination; the recipients stay
    Reroute {
        /// A domain whose MX takes it, or an address: [192.0.2.1]
        #[arg(long, value_name = "DESTINATION")]
        via: String,
        #[command(flatten)]
        which: QueueWhichArgs,
    },
    /// Give up without a bounce
    Drop {
        #[command(flatten)]
        which: QueueWhichArgs,
        /// Do it; without this it only tells what it would do
        #[arg(long)]
        yes: bool,
    },
}

/// `packetboat suppress ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum SuppressCommand {
    /// All of them
    List {
        /// Also those that bounced, but not often enough
        #[arg(long)]
        counting: bool,
    },
    /// Put an address on the list; it stays until it is taken off
    Add {
        /// local@domain
        address: String,
        /// What the refused sender is told
        #[arg(long, default_value = "by the operator", value_name = "TEXT")]
        why: String,
    },
    /// Take an address off the list
    Remove {
        /// local@domain
        address: String,
    },
}

fn span(text: &str) -> Result<u32, String> {
    let bad = || format!("{text}: wants a number and s, m, h or d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u32 = digits.parse().map_err(|_| bad())?;
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    number.checked_mul(unit).filter(|secs| *secs <= 30 * 86_400).ok_or_else(|| format!("{text}: at most 30d"))
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_of_time() {
        assert_eq!((span("90s"), span("2h"), span("3d")), (Ok(90), Ok(7200), Ok(259_200)));
        for bad in ["", "2", "h", "2w", "-1h", "31d", "99999999999s"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
