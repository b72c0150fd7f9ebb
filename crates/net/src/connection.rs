//! One connection, plain or TLS, and the pump.

use std::net::IpAddr;
use wire::Session;

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Peer {
    Ip { ip: IpAddr, port: u16 },
    /// A Unix socket.
    Unix,
}

impl Peer {
    /// Unproxied loopback (127.0.0.0/8, ::1) or a Unix socket.
    pub fn is_loopback(&self) -> bool {
        match self {
            Peer::Ip { ip, .. } => ip.to_canonical().is_loopback(),
            Peer::Unix => true,
        }
    }
    /// The address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Ip { ip, .. } => Some(ip.to_canonical()),
            Peer::Unix => None,
        }
    }
}

/// What the pump came back with.
#[derive(Debug)]
pub enum Next<E> {
    /// Act on this, answer through the session, call `next` again.
    Event(E),
    /// Over: closed by either side, or broken.
    Closed,
}

/// A stream with its unsent bytes.
pub struct Connection {
    _private: (),
}

#[allow(unused_variables, clippy::todo)]
impl Connection {
    /// The other end.
    pub fn peer(&self) -> &Peer { todo!() }
    /// Under TLS.
    pub fn is_tls(&self) -> bool { todo!() }
    /// Drives `session` until it has an event: writes, reads, does STARTTLS, keeps its deadline. Cancel-safe.
    pub async fn next<S: Session>(&mut self, session: &mut S) -> Next<S::Event> { todo!() }
    /// Writes out what the session has (for answers larger than one wants to buffer). `false`: the peer is gone. Cancel-safe.
    pub async fn flush<S: Session>(&mut self, session: &mut S) -> bool { todo!() }
}
