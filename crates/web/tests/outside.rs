//! The web face from outside: HTTP over a stream, a store in memory, people with passwords.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "outside/http.rs"]
mod http;
#[path = "outside/mail.rs"]
mod mail;
#[path = "outside/office.rs"]
mod office;
#[path = "outside/request.rs"]
mod request;
#[path = "outside/writing.rs"]
mod writing;
