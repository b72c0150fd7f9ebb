//! Whole servers and their clients in virtual time in one process, with trouble drawn from a seed.
//!
//! The real faces, the real queue and its real dispatcher run on a memory disk over a network that delays, cuts, resets,
//! swallows and half-closes, beside a DNS that lies, and are killed in the middle. Then the trouble ends, the queues
//! settle, and the laws are checked: what got a 250 is in the mailbox, or in a bounce. Invariant: the same seed gives
//! the same run, octet for octet of the log. Must not know: real sockets, real clocks.

mod certificates;
mod chance;
mod disturbance;
mod foreign;
mod imap_client;
mod laws;
mod ledger;
mod log;
mod mail;
mod names;
mod network;
mod office;
mod pipe;
mod policy_host;
mod pop_client;
mod quiet;
mod silent;
mod smtp_client;
mod watcher;
mod world;

pub use quiet::quiet_days;
pub use silent::{Crowd, crowd, weeks};
pub use world::{Counts, Report, run};
