//! Byte streams under a [`crate::Connection`]: TCP or Unix, plain or TLS, or in between.
//!
//! Invariant: a handshake lives in the value, not in a future, so that dropping a wait loses nothing.

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{Accept, Connect, TlsStream};

/// Any stream of octets that a connection can stand on.
pub trait Octets: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Octets for T {}

/// A stream without TLS.
pub(crate) enum Plain {
    Tcp {
        stream: TcpStream,
        /// What has come is looked for in the socket itself, whether the runtime heard of it or not.
        awake: bool,
    },
    Unix(UnixStream),
    Other(Box<dyn Octets>),
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Plain::Tcp { .. } => "Tcp",
            Plain::Unix(_) => "Unix",
            Plain::Other(_) => "Other",
        })
    }
}

impl AsyncRead for Plain {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp { stream, awake } => match Pin::new(&mut *stream).poll_read(cx, buf) {
                Poll::Pending if *awake => look(stream, buf),
                done => done,
            },
            Plain::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Plain::Other(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Plain::Tcp { stream, .. } => Pin::new(stream).poll_write(cx, buf),
            Plain::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Plain::Other(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp { stream, .. } => Pin::new(stream).poll_flush(cx),
            Plain::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Plain::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp { stream, .. } => Pin::new(stream).poll_shutdown(cx),
            Plain::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Plain::Other(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl From<TcpStream> for Plain {
    fn from(stream: TcpStream) -> Plain {
        Plain::Tcp { stream, awake: false }
    }
}

/// Reads what is in the socket now. The runtime, which hears of it later, finds nothing then and waits for more.
fn look(stream: &TcpStream, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    let read = |into: &mut [u8], flags| recv(stream, into, flags | RecvFlags::DONTWAIT);
    match read(&mut [0], RecvFlags::PEEK).and_then(|_| read(buf.initialize_unfilled(), RecvFlags::empty())) {
        Ok((octets, _)) => {
            buf.advance(octets);
            Poll::Ready(Ok(()))
        }
        Err(Errno::AGAIN | Errno::INTR) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error.into())),
    }
}

/// What a connection stands on at the moment.
pub(crate) enum Stream {
    Plain(Plain),
    Tls(Box<TlsStream<Plain>>),
    ServerHandshake(Box<Accept<Plain>>),
    ClientHandshake(Box<Connect<Plain>>),
    /// Broken or closed.
    Gone,
}

fn not_ready() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection is not open")
}

impl Stream {
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self, Stream::ServerHandshake(_) | Stream::ClientHandshake(_))
    }

    /// Whether input is looked for without waiting for the runtime to hear of it. `false`: this is nothing that one can
    /// look into.
    pub(crate) fn set_awake(&mut self, to: bool) -> bool {
        let plain = match self {
            Stream::Plain(plain) => plain,
            Stream::Tls(stream) => match &mut **stream {
                TlsStream::Server(tls) => tls.get_mut().0,
                TlsStream::Client(tls) => tls.get_mut().0,
            },
            _ => return false,
        };
        let Plain::Tcp { awake, .. } = plain else { return false };
        *awake = to;
        true
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            _ => Poll::Ready(Err(not_ready())),
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
            _ => Poll::Ready(Err(not_ready())),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Drives the handshake; on success the stream is [`Stream::Tls`]. Cancel-safe.
    pub(crate) async fn handshake(&mut self) -> io::Result<()> {
        let done: TlsStream<Plain> = match self {
            Stream::ServerHandshake(accept) => (&mut **accept).await?.into(),
            Stream::ClientHandshake(connect) => (&mut **connect).await?.into(),
            _ => return Err(not_ready()),
        };
        *self = Stream::Tls(Box::new(done));
        Ok(())
    }
}
