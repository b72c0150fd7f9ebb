//! The real binary from outside: commands, the server's start and stop, the trial.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod running;
mod serving;
mod tracing_mail;
mod trial;
