//! Post offices on loopback, and conversations with them as a program has them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod judging;
mod office;
mod receiving;
mod submitting;
mod wishes;

pub(crate) use office::{MESSAGE_BYTES_MAX, Office, Options, PASSWORD, Talk, read_inbox, store_config, wait_for};
