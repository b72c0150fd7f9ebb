//! The faces: events of a `wire` session in, calls of the store and the mta out.
//!
//! One folder a protocol. Invariant: a positive reply is sent only after the act is durable.
//! Must not know: grammar, engines, configuration files.

pub mod auth;
pub mod context;
mod facts;
pub mod fuzzing;
pub mod imap;
pub mod outbound;
pub mod pop;
pub mod smtp;
pub mod trust;
pub mod wire_log;

#[cfg(test)]
#[path = "../../../tests/bench/secret_checks.rs"]
mod secret_checks;
