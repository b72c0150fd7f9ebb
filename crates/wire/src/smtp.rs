//! SMTP (RFC 5321) and LMTP (RFC 2033): one grammar, and on it a server and a client as values.
//!
//! Grammar: [`path`], [`parameter`], [`command`], [`reply`], [`enhanced`], [`ehlo`], [`data`]. Sessions: [`server`], [`client`].
//! Invariant: only CRLF.CRLF ends a message; nothing else, in no mode.

pub mod client;
pub mod command;
pub mod data;
pub mod ehlo;
pub mod enhanced;
pub mod parameter;
pub mod path;
pub mod reply;
pub mod server;
pub mod wishes;
mod xclient;

pub use client::Client;
pub use enhanced::EnhancedCode;
pub use parameter::{Body, MailParameters, RcptParameters, Ret};
pub use path::{ForwardPath, ReversePath};
pub use reply::Reply;
pub use server::Server;
pub use wishes::{DeliverBy, Hold, Keywords, Wishes};
pub use xclient::Behind;
