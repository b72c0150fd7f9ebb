//! Where connections go out: the system's network, or one that a simulation made.
//!
//! Invariant: whatever the network, the pump above it is the same. Must not know: names, TLS, mail.

use crate::stream::{Octets, Plain};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::TcpSocket;

/// A connection to come, with our own address on it.
pub type Dialling = Pin<Box<dyn Future<Output = io::Result<(Box<dyn Octets>, SocketAddr)>> + Send>>;

/// A network that is not the system's.
pub trait Dial: Send + Sync {
    /// Connects. Whoever dials limits the time.
    fn dial(&self, to: SocketAddr) -> Dialling;
}

/// What outgoing connections are made on.
#[derive(Clone, Default)]
pub enum Network {
    /// TCP.
    #[default]
    System,
    /// Somebody else's.
    Other(Arc<dyn Dial>),
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Network::System) { "System" } else { "Other" })
    }
}

impl Network {
    /// The address of ours that a connection there would come from; nothing is sent.
    pub fn source_for(&self, to: SocketAddr) -> Option<IpAddr> {
        if let Network::Other(_) = self {
            return None;
        }
        let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = std::net::UdpSocket::bind(any).ok()?;
        socket.connect(to).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    }

    pub(crate) async fn connect(&self, to: SocketAddr, bind: Option<IpAddr>) -> io::Result<(Plain, Option<SocketAddr>)> {
        if let Network::Other(other) = self {
            let (stream, local) = other.dial(to).await?;
            return Ok((Plain::Other(stream), Some(local)));
        }
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(ip) = bind {
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        let stream = socket.connect(to).await?;
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok();
        Ok((stream.into(), local))
    }
}
