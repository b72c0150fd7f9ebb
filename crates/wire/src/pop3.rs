//! POP3 (RFC 1939) with CAPA (2449), STLS (2595), SASL (5034), response codes (2449 §8, 3206) and UTF-8 (6856).
//!
//! One grammar ([`Command`], [`Reply`], [`Capability`], the multi-line answers of [`multiline`]), a [`Server`] and a
//! [`Client`] on it. Invariant: a message's end is only ever CRLF.CRLF.
//! Must not know: where messages lie, accounts, clocks.

pub mod capability;
pub mod client;
pub mod command;
pub mod language;
pub mod multiline;
pub mod reply;
pub mod server;

pub use capability::{Capability, Expire};
pub use client::Client;
pub use command::{Command, CommandError};
pub use language::Language;
pub use reply::{Reply, ResponseCode};
pub use server::{Config, Event, Maildrop, Refusal, Server};
