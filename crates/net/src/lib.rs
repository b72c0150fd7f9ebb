//! The only mail sockets: listen, connect, TLS, DNS, and the pump that drives any `wire` session.
//!
//! Invariant: knows no mail. Every wait here is cancel-safe, so that a face can select over it.

mod attention;
pub mod clock;
pub mod connection;
pub mod dane;
pub mod dns;
pub mod dns_server;
pub mod fuzzing;
pub mod https;
mod lasting;
pub mod limits;
pub mod listener;
mod network;
pub mod outside;
pub mod proven;
mod proxy;
mod stream;
pub mod tls;

pub use connection::{Connection, Next, Peer, Tap, TlsInfo, now};
pub use dane::Tlsa;
pub use dns::{DnsError, MxAnswer, Names, Resolver};
pub use lasting::lasting;
pub use listener::{Incoming, ListenAddr, Listener};
pub use network::{Dial, Dialling, Network};
pub use outside::{Outside, Reach};
pub use proven::Proven;
pub use proxy::IpRange;
pub use stream::Octets;
pub use tls::client_certificate::{ClientCertificate, ClientTrust};
pub use tls::{TlsClient, TlsError, TlsServer, TlsTrouble};
