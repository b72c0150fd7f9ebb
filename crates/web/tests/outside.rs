//! The web face from outside: HTTP over a stream, a store in memory, people with passwords.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "outside/blobs.rs"]
mod blobs;
#[path = "outside/boxes.rs"]
mod boxes;
#[path = "outside/checked.rs"]
mod checked;
#[path = "outside/discovery.rs"]
mod discovery;
#[path = "outside/ended.rs"]
mod ended;
#[path = "outside/first.rs"]
mod first;
#[path = "outside/following.rs"]
mod following;
#[path = "outside/hostile.rs"]
mod hostile;
#[path = "outside/http.rs"]
mod http;
#[path = "outside/junk.rs"]
mod junk;
#[path = "outside/limits.rs"]
mod limits;
#[path = "outside/links.rs"]
mod links;
#[path = "outside/mail.rs"]
mod mail;
#[path = "outside/office.rs"]
mod office;
#[path = "outside/one_person.rs"]
mod one_person;
#[path = "outside/program.rs"]
mod program;
#[path = "outside/push.rs"]
mod push;
#[path = "outside/request.rs"]
mod request;
#[path = "outside/rfc_8620.rs"]
mod rfc_8620;
#[path = "outside/rfc_8621.rs"]
mod rfc_8621;
#[path = "outside/rights.rs"]
mod rights;
#[path = "outside/searching.rs"]
mod searching;
#[path = "outside/sent.rs"]
mod sent;
#[path = "outside/sharing.rs"]
mod sharing;
#[path = "outside/socket.rs"]
mod socket;
#[path = "outside/streams.rs"]
mod streams;
#[path = "outside/to_the_letter.rs"]
mod to_the_letter;
#[path = "outside/writing.rs"]
mod writing;
