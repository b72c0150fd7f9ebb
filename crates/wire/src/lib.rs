//! SMTP, LMTP, POP3, IMAP and SASL as deterministic values: one grammar each, a server and a client on top of it.
//!
//! Invariant: no sockets, no clock, no randomness of its own: time and nonces are arguments.

mod deflate;
pub mod explain;
pub mod imap;
#[doc(hidden)]
pub mod laws;
pub mod limits;
mod pace;
pub mod pop3;
pub mod sasl;
pub mod session;
pub mod smtp;

#[cfg(test)]
#[path = "../../../tests/bench/secret_checks.rs"]
mod secret_checks;

pub use pace::Patience;
pub use session::{Session, Step, Time};
