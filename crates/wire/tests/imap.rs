//! IMAP from outside: transcripts at every chunking, the laws of sessions, and client against server in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "imap/compress.rs"]
mod compress;
#[path = "imap/facts.rs"]
mod facts;
#[path = "imap/laws.rs"]
mod laws;
#[path = "imap/owner.rs"]
mod owner;
#[path = "imap/pairs.rs"]
mod pairs;
#[path = "imap/transcripts.rs"]
mod transcripts;
