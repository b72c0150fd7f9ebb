//! The only mail sockets: listen, connect, TLS, DNS, and the pump that drives any `wire` session.
//!
//! Invariant: knows no mail. Every wait here is cancel-safe, so that a face can select over it.

pub mod connection;
pub mod dns;
pub mod listener;
pub mod tls;
