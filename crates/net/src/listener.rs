//! Where connections come in: TCP addresses and Unix sockets.
//!
//! Binding needs no runtime, so it can happen before root is given up. Invariant: `accept` fails only when the
//! listener itself is broken; a lack of descriptors is waited out, a peer that left meanwhile is passed over.

use crate::connection::Peer;
use crate::limits;
use crate::stream::{Octets, Plain};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

/// Mode of a Unix socket others of the group may use.
pub const MODE_GROUP: u32 = 0o660;
/// Mode of a Unix socket for its owner alone.
pub const MODE_OWNER: u32 = 0o600;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// `ip:port`; port 0 takes any free one.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl FromStr for ListenAddr {
    type Err = String;
    fn from_str(text: &str) -> Result<ListenAddr, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(format!("`{text}`: a Unix socket is written unix:/path"));
            }
            return Ok(ListenAddr::Unix(PathBuf::from(path)));
        }
        text.parse().map(ListenAddr::Tcp).map_err(|_| format!("`{text}` is neither ip:port (IPv6 as [ip]:port) nor unix:/path"))
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddr::Tcp(addr) => addr.fmt(f),
            ListenAddr::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ListenAddr {
    /// Reachable from this machine only.
    pub fn is_loopback(&self) -> bool {
        match self {
            ListenAddr::Tcp(addr) => addr.ip().to_canonical().is_loopback(),
            ListenAddr::Unix(_) => true,
        }
    }
}

enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

enum Live {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// A bound, listening socket.
pub struct Listener {
    local: ListenAddr,
    bound: Bound,
    live: OnceLock<Live>,
}

/// A connection that has just come in.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) stream: Plain,
    pub(crate) peer: Peer,
    pub(crate) local: Option<SocketAddr>,
}

impl Incoming {
    /// One that a simulated network brought.
    pub fn over(stream: Box<dyn Octets>, peer: Peer, local: Option<SocketAddr>) -> Incoming {
        Incoming { stream: Plain::Other(stream), peer, local }
    }
    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
    /// The bare TCP stream, for HTTP.
    pub fn into_tcp(self) -> Option<tokio::net::TcpStream> {
        match self.stream {
            Plain::Tcp(stream) => Some(stream),
            _ => None,
        }
    }
}

fn named(addr: &ListenAddr, error: io::Error) -> io::Error {
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => format!("cannot listen on {addr}: the address is already in use"),
        io::ErrorKind::PermissionDenied => {
            format!("cannot listen on {addr}: permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)")
        }
        _ => format!("cannot listen on {addr}: {error}"),
    };
    io::Error::new(error.kind(), text)
}

fn bind_tcp(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if addr.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &addr)?;
    rustix::net::listen(&socket, limits::BACKLOG)?;
    Ok(socket.into())
}

/// A socket file that nobody listens on any more is removed; a living one is `AddrInUse`; anything else is left alone.
fn clear_stale(path: &Path) -> io::Result<()> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !meta.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path exists and is no socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<std::os::unix::net::UnixListener> {
    clear_stale(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(path)?)?;
    // Before `listen` nobody can connect, so there is no moment with a wider mode.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    rustix::net::listen(&socket, limits::BACKLOG)?;
    Ok(socket.into())
}

impl Listener {
    /// Binds and listens; a Unix socket gets mode 0660. Needs no runtime. The error's text names the address.
    pub fn bind(addr: &ListenAddr) -> io::Result<Listener> {
        Listener::bind_with_mode(addr, MODE_GROUP)
    }

    /// The same with the mode a Unix socket shall have.
    pub fn bind_with_mode(addr: &ListenAddr, mode: u32) -> io::Result<Listener> {
        let name = |error| named(addr, error);
        let (bound, local) = match addr {
            ListenAddr::Tcp(tcp) => {
                let listener = bind_tcp(*tcp).map_err(name)?;
                let local = listener.local_addr().map_err(name)?;
                (Bound::Tcp(listener), ListenAddr::Tcp(local))
            }
            ListenAddr::Unix(path) => (Bound::Unix(bind_unix(path, mode).map_err(name)?), addr.clone()),
        };
        Ok(Listener { local, bound, live: OnceLock::new() })
    }

    /// The address with its real port.
    pub fn local(&self) -> ListenAddr {
        self.local.clone()
    }

    fn live(&self) -> io::Result<&Live> {
        if let Some(live) = self.live.get() {
            return Ok(live);
        }
        let live = match &self.bound {
            Bound::Tcp(listener) => Live::Tcp(tokio::net::TcpListener::from_std(listener.try_clone()?)?),
            Bound::Unix(listener) => Live::Unix(tokio::net::UnixListener::from_std(listener.try_clone()?)?),
        };
        Ok(self.live.get_or_init(|| live))
    }

    async fn accept_once(&self) -> io::Result<Incoming> {
        match self.live()? {
            Live::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                // Replies are written whole; waiting for more would only delay them.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().ok();
                let peer = Peer::Ip { ip: addr.ip(), port: addr.port() };
                Ok(Incoming { stream: stream.into(), peer, local })
            }
            Live::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Incoming { stream: Plain::Unix(stream), peer: Peer::Unix, local: None })
            }
        }
    }

    /// The next connection. Waits out a lack of descriptors or memory. Cancel-safe.
    pub async fn accept(&self) -> io::Result<Incoming> {
        let mut pause = limits::ACCEPT_PAUSE_MIN;
        loop {
            let error = match self.accept_once().await {
                Ok(incoming) => return Ok(incoming),
                Err(error) => error,
            };
            let errno = rustix::io::Errno::from_io_error(&error);
            use rustix::io::Errno as E;
            match errno {
                Some(E::MFILE | E::NFILE | E::NOBUFS | E::NOMEM) => {
                    tracing::warn!(listener = %self.local, %error, "cannot take more connections, waiting");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(limits::ACCEPT_PAUSE_MAX);
                }
                Some(E::BADF | E::INVAL | E::NOTSOCK | E::OPNOTSUPP) | None => return Err(error),
                // The connection died before we took it, or its network did (accept(2)).
                Some(_) => tokio::task::yield_now().await,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let ListenAddr::Unix(path) = &self.local {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        for text in ["127.0.0.1:25", "[::1]:2525", "unix:/run/lmtp.sock"] {
            assert_eq!(text.parse::<ListenAddr>().unwrap().to_string(), text);
        }
        for text in ["25", "localhost:25", "unix:lmtp.sock", "::1:25x", ""] {
            assert!(text.parse::<ListenAddr>().is_err(), "{text}");
        }
        assert!("[::1]:1".parse::<ListenAddr>().unwrap().is_loopback());
        assert!(!"0.0.0.0:1".parse::<ListenAddr>().unwrap().is_loopback());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Listener::bind(&first.local()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&first.local().to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let addr = ListenAddr::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = Listener::bind_with_mode(&addr, MODE_OWNER).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Listener::bind(&addr).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        let client = tokio::net::UnixStream::connect(&path);
        let (incoming, client) = tokio::join!(listener.accept(), client);
        assert_eq!(*incoming.unwrap().peer(), Peer::Unix);
        drop(client);
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(&addr).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn both_families_can_have_the_same_port() {
        let Ok(six) = Listener::bind(&"[::]:0".parse().unwrap()) else { return };
        let ListenAddr::Tcp(addr) = six.local() else { panic!() };
        Listener::bind(&ListenAddr::Tcp(SocketAddr::from(([0, 0, 0, 0], addr.port())))).unwrap();
    }
}
