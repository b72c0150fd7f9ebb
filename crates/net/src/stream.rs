//! Byte streams under a [`crate::Connection`]: TCP or Unix, plain or TLS, or in between.
//!
//! Invariant: a handshake lives in the value, not in a future, so that dropping a wait loses nothing; and whoever is told to
//! wait is woken, but for who only looks ([`Stream::set_looking`]).

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::fmt;
use std::io::Write;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop;
use tokio_rustls::{Accept, Connect, TlsStream};

/// Any stream of octets that a connection can stand on.
pub trait Octets: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Octets for T {}

/// A stream without TLS.
pub(crate) enum Plain {
    Tcp(TcpStream),
    /// The runtime hears nothing of it, for its owner looks into it again and again ([`crate::attention`]): what comes would
    /// each time wake another thread of the runtime, on the core that the owner needs, or the peer.
    Watched {
        stream: std::net::TcpStream,
        /// Its owner will look again, and needs nobody who wakes it.
        looking: bool,
    },
    Unix(UnixStream),
    Other(Box<dyn Octets>),
    /// It could not be taken from the runtime, or given back.
    Lost,
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Plain::Tcp(_) => "Tcp",
            Plain::Watched { .. } => "Watched",
            Plain::Unix(_) => "Unix",
            Plain::Other(_) => "Other",
            Plain::Lost => "Lost",
        })
    }
}

impl Plain {
    /// See [`Stream::set_looking`].
    fn set_looking(&mut self, to: bool) -> io::Result<bool> {
        if to
            && let Plain::Tcp(_) = self
            && let Plain::Tcp(stream) = std::mem::replace(self, Plain::Lost)
        {
            *self = Plain::Watched { stream: stream.into_std()?, looking: to };
        }
        if let Plain::Watched { looking, .. } = self {
            *looking = to;
            return Ok(true);
        }
        Ok(false)
    }

    /// The runtime hears of it again; what is there already it hears of at once.
    fn give_back(&mut self) -> io::Result<()> {
        if let Plain::Watched { .. } = self
            && let Plain::Watched { stream, .. } = std::mem::replace(self, Plain::Lost)
        {
            *self = Plain::Tcp(TcpStream::from_std(stream)?);
        }
        Ok(())
    }
}

impl AsyncRead for Plain {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Plain::Watched { stream, looking } = &*self {
            // As the runtime's own streams do: nobody keeps its thread for ever.
            let budget = ready!(coop::poll_proceed(cx));
            match look(stream, buf) {
                Poll::Pending if !*looking => self.give_back()?,
                Poll::Pending => return Poll::Pending,
                done => {
                    budget.made_progress();
                    return done;
                }
            }
        }
        match self.get_mut() {
            Plain::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Plain::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Plain::Other(stream) => Pin::new(stream).poll_read(cx, buf),
            Plain::Watched { .. } | Plain::Lost => Poll::Ready(Err(not_ready())),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Plain::Watched { stream, .. } = &mut *self {
            let budget = ready!(coop::poll_proceed(cx));
            match stream.write(buf) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    self.give_back()?;
                }
                done => {
                    budget.made_progress();
                    return Poll::Ready(done);
                }
            }
        }
        match self.get_mut() {
            Plain::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Plain::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Plain::Other(stream) => Pin::new(stream).poll_write(cx, buf),
            Plain::Watched { .. } | Plain::Lost => Poll::Ready(Err(not_ready())),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Plain::Watched { .. } | Plain::Lost => Poll::Ready(Ok(())),
            Plain::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Plain::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Plain::Watched { stream, .. } => Poll::Ready(stream.shutdown(Shutdown::Write)),
            Plain::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Plain::Other(stream) => Pin::new(stream).poll_shutdown(cx),
            Plain::Lost => Poll::Ready(Ok(())),
        }
    }
}

impl From<TcpStream> for Plain {
    fn from(stream: TcpStream) -> Plain {
        Plain::Tcp(stream)
    }
}

/// Reads what is in the socket now.
fn look(stream: &std::net::TcpStream, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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

    /// The plain stream, under TLS or not.
    fn plain(&mut self) -> Option<&mut Plain> {
        match self {
            Stream::Plain(plain) => Some(plain),
            Stream::Tls(stream) => match &mut **stream {
                TlsStream::Server(tls) => Some(tls.get_mut().0),
                TlsStream::Client(tls) => Some(tls.get_mut().0),
            },
            _ => None,
        }
    }

    /// From now on whoever reads only looks, and is woken by nobody; or no more. `false`: this is nothing that one can look
    /// into.
    pub(crate) fn set_looking(&mut self, to: bool) -> io::Result<bool> {
        self.plain().map_or(Ok(false), |plain| plain.set_looking(to))
    }

    /// Nobody but its owner hears of what comes.
    pub(crate) fn is_watched(&mut self) -> bool {
        matches!(self.plain(), Some(Plain::Watched { .. }))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (Plain, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0.into(), there)
    }

    /// What one look finds.
    async fn looked(plain: &mut Plain) -> Option<Vec<u8>> {
        assert!(plain.set_looking(true).unwrap());
        let mut octets = [0; 100];
        let mut buf = ReadBuf::new(&mut octets);
        let found = poll_fn(|cx| Poll::Ready(Pin::new(&mut *plain).poll_read(cx, &mut buf))).await;
        assert!(plain.set_looking(false).unwrap() && matches!(plain, Plain::Watched { .. }));
        found.is_ready().then(|| buf.filled().to_vec())
    }

    #[tokio::test]
    async fn who_looks_finds_what_came_and_who_sleeps_is_woken() {
        let (mut here, mut there) = pair().await;
        for round in 0..3 {
            assert_eq!(looked(&mut here).await, None);
            there.write_all(b"one").await.unwrap();
            loop {
                match looked(&mut here).await {
                    Some(found) => break assert_eq!(found, b"one", "{round}"),
                    None => tokio::task::yield_now().await,
                }
            }
            here.write_all(b"answer").await.unwrap();
            assert!(matches!(here, Plain::Watched { .. }), "an answer needs nobody else");
            let mut answer = [0; 6];
            there.read_exact(&mut answer).await.unwrap();
            // Whoever reads without looking sleeps, and the runtime wakes it.
            let (mut octets, later) = ([0; 3], async {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                there.write_all(b"two").await.unwrap();
            });
            let (read, ()) = tokio::join!(here.read_exact(&mut octets), later);
            assert_eq!((read.unwrap(), &octets), (3, b"two"), "{round}");
            assert!(matches!(here, Plain::Tcp(_)));
            // What was there before anybody slept, too.
            assert_eq!(looked(&mut here).await, None);
            there.write_all(b"six").await.unwrap();
            here.read_exact(&mut octets).await.unwrap();
            assert_eq!(&octets, b"six");
        }
        assert_eq!(looked(&mut here).await, None);
        drop(there);
        assert_eq!(here.read(&mut [0; 3]).await.unwrap(), 0, "its end is found, too");
    }

    /// The runtime's other tasks on this thread, and who ends this one, must have their turn.
    #[tokio::test]
    async fn a_peer_that_never_stops_does_not_keep_the_thread() {
        let (mut here, mut there) = pair().await;
        assert_eq!(looked(&mut here).await, None);
        there.write_all(&[1; 10_000]).await.unwrap();
        let (mut turns, mut read) = (0, 0);
        let mut all = Box::pin(async {
            for _ in 0..1000 {
                here.read_exact(&mut [0; 1]).await.unwrap();
                here.write_all(b"x").await.unwrap();
            }
        });
        poll_fn(|cx| {
            turns += 1;
            all.as_mut().poll(cx)
        })
        .await;
        drop(all);
        assert!(turns >= 10, "{turns} turns");
        // Nor does one that looks.
        poll_fn(|cx| {
            let mut octets = [0; 1];
            here.set_looking(true).unwrap();
            while Pin::new(&mut here).poll_read(cx, &mut ReadBuf::new(&mut octets)).is_ready() {
                read += 1;
            }
            here.set_looking(false).unwrap();
            Poll::Ready(())
        })
        .await;
        assert!(read < 200 && !coop::has_budget_remaining(), "{read} looks");
    }

    #[tokio::test]
    async fn an_answer_too_large_for_the_socket_goes_out_all_the_same() {
        let (mut here, mut there) = pair().await;
        assert_eq!(looked(&mut here).await, None);
        let large = vec![7; 32 << 20];
        let read = async {
            let mut all = Vec::new();
            there.read_to_end(&mut all).await.unwrap();
            all
        };
        let write = async {
            here.write_all(&large).await.unwrap();
            // Also by whom it was taken from the runtime once more.
            here.set_looking(true).unwrap();
            here.shutdown().await.unwrap();
        };
        let (all, ()) = tokio::join!(read, write);
        assert!(all == large);
    }
}
