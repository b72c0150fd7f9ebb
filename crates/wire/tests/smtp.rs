//! SMTP and LMTP from outside: transcripts, both halves facing each other, and the laws of sessions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "smtp/laws.rs"]
mod laws;
#[path = "smtp/owner.rs"]
mod owner;
#[path = "smtp/pairs.rs"]
mod pairs;
#[path = "smtp/smuggling.rs"]
mod smuggling;
#[path = "smtp/transcripts.rs"]
mod transcripts;
