//! Connections: HTTP/1.1 over whatever stream comes in.
//!
//! Invariant: who sends no request, or does not take the answer, is gone after `connection_max`; who began one is told 408. A
//! connection ends with its peer, with the server's shutdown, or when its owner drops it. Must not know: what is asked for.

use crate::limits::{BODY_SECS_MAX, HEAD_BYTES_MAX, LINGER_MAX, UNWANTED_BYTES_MAX};
use crate::{Settings, site};
use axum::Router;
use axum::body::Body;
use hyper::HeaderMap;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use net::Peer;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, Sleep};
use tower_service::Service;

/// Who asks, and how.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) peer: Peer,
    /// Where it comes from: the peer's address, or what a proxy on this machine says.
    pub(crate) from: Option<IpAddr>,
    /// Where it comes from as far as wrong passwords count; `None` is unproxied loopback, which never waits.
    pub(crate) counted: Option<IpAddr>,
    pub(crate) tls: bool,
    /// What is begun (a body, a message of a WebSocket) is waited for so long.
    pub(crate) patience: Duration,
    /// Octets that came on the connection, of whatever.
    pub(crate) arrived: Arc<AtomicU64>,
    /// As a browser sees it: a proxy in front that ends TLS says so itself; who says it without one only misleads himself.
    pub(crate) https: bool,
}

/// Somebody of whom a proxy says that he is on its own machine, or nothing to be understood: that earns nothing.
const UNKNOWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// The last address of `X-Forwarded-For`, which is the one that the proxy next to us put there: what is before it anybody may
/// have written. `None`: there is no such field.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let value = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = value.to_str().ok().and_then(|text| text.rsplit(',').next()).unwrap_or_default().trim();
    let parsed = last.parse().or_else(|_| last.parse::<SocketAddr>().map(|both| both.ip()));
    let parsed = parsed.or_else(|_| last.trim_start_matches('[').trim_end_matches(']').parse());
    Some(parsed.map_or(UNKNOWN, |ip: IpAddr| ip.to_canonical()))
}

/// To whoever began a request and did not end it (RFC 9110 §15.5.9).
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A stream whose peer must take what is written within a time. What is `held` is let go with it: also a connection that
/// became a WebSocket counts.
struct Patient<S, H> {
    held: Option<(S, H)>,
    max: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Something came since we last spoke.
    is_asked: bool,
    arrived: Arc<AtomicU64>,
    /// Takes the stream when whoever drove it is done, and whether something was asked.
    back: Option<oneshot::Sender<(S, H, bool)>>,
}

impl<S, H> Drop for Patient<S, H> {
    fn drop(&mut self) {
        if let (Some(back), Some((stream, held))) = (self.back.take(), self.held.take()) {
            let _ = back.send((stream, held, self.is_asked));
        }
    }
}

impl<S: Unpin, H> Patient<S, H> {
    /// It is there until it is dropped.
    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.held.as_mut().map(|(stream, _)| Pin::new(stream)).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// A write that makes no progress starts the clock; progress stops it.
    fn judge<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let until = Instant::now() + self.max;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin, H: Unpin> AsyncRead for Patient<S, H> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = self.stream()?.poll_read(cx, buffer);
        let came = buffer.filled().len() - before;
        self.is_asked |= came > 0;
        self.arrived.fetch_add(came as u64, Ordering::Relaxed);
        poll
    }
}

impl<S: AsyncWrite + Unpin, H: Unpin> AsyncWrite for Patient<S, H> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = self.stream()?.poll_write(cx, bytes);
        self.is_asked = false;
        self.judge(cx, poll)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = self.stream()?.poll_write_vectored(cx, pieces);
        self.is_asked = false;
        self.judge(cx, poll)
    }
    fn is_write_vectored(&self) -> bool {
        self.held.as_ref().is_some_and(|(stream, _)| stream.is_write_vectored())
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.stream()?.poll_flush(cx);
        self.judge(cx, poll)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.stream()?.poll_shutdown(cx);
        self.judge(cx, poll)
    }
}

/// Last words and the end; then a moment of reading, so that input nobody read does not turn the words into a reset.
async fn take_leave<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, is_late: bool) -> io::Result<()> {
    if is_late {
        stream.write_all(TOO_LATE).await?;
    }
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(UNWANTED_BYTES_MAX), &mut tokio::io::sink()).await?;
    Ok(())
}

/// The running web face.
#[derive(Clone)]
pub struct Web {
    router: Router,
    connection_max: Duration,
    shutdown: watch::Receiver<bool>,
}

impl Web {
    /// Gets it ready. Call within the runtime: what is due by time is looked after until `shutdown`.
    pub fn start(settings: Settings) -> Web {
        let (connection_max, shutdown) = (settings.connection_max, settings.shutdown.clone());
        let site = Arc::new(site::Site::new(settings));
        let of = || Arc::clone(&site);
        let (one, two, three, four) = (of(), of(), of(), of());
        tokio::spawn(net::lasting("snoozed messages", move || crate::jmap::snooze::keep(Arc::clone(&one))));
        tokio::spawn(net::lasting("push subscriptions", move || crate::jmap::pushing::resume(Arc::clone(&two))));
        tokio::spawn(net::lasting("what came of what was sent", move || crate::jmap::fate::follow(Arc::clone(&three))));
        tokio::spawn(net::lasting("uploads", move || crate::jmap::expire(Arc::clone(&four))));
        Web { router: site::router(site), connection_max, shutdown }
    }

    /// Serves one connection to its end. `held` goes with its stream.
    pub async fn serve<S, H>(&self, stream: S, (peer, tls): (Peer, bool), held: H)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        H: Send + Unpin + 'static,
    {
        let (back, mut given_back) = oneshot::channel();
        let (held, max) = (Some((stream, held)), self.connection_max);
        let stream = Patient { held, max, stalled: None, is_asked: false, arrived: Arc::default(), back: Some(back) };
        let ended = self.drive(stream, (peer, tls)).await;
        // One that became a WebSocket does not come back.
        if let Ok((stream, _held, is_asked)) = given_back.try_recv() {
            let is_late = is_asked && ended.as_ref().is_err_and(hyper::Error::is_timeout);
            let _ = tokio::time::timeout(self.connection_max.min(LINGER_MAX), take_leave(stream, is_late)).await;
        }
        if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    }

    async fn drive<S, H>(&self, stream: Patient<S, H>, (peer, tls): (Peer, bool)) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        H: Send + Unpin + 'static,
    {
        let router = self.router.clone();
        let patience = (self.connection_max * 2).min(Duration::from_secs(BODY_SECS_MAX));
        let from = peer.ip();
        let asker = Asker { peer, from, counted: None, tls, patience, arrived: Arc::clone(&stream.arrived), https: tls };
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            let is_proxied = request.headers().get("x-forwarded-proto").is_some_and(|value| value == "https");
            // Elsewhere the field is anybody's word. Said from this machine it can only cost its speaker something.
            let said = if asker.peer.is_loopback() { forwarded_for(request.headers()) } else { asker.from };
            let counted = said.map(|ip| if ip.is_loopback() { UNKNOWN } else { ip });
            let from = said.filter(|ip| *ip != UNKNOWN).or(asker.from);
            request.extensions_mut().insert(Asker { from, counted, https: tls || is_proxied, ..asker.clone() });
            router.clone().call(request)
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        // Answers are written one by one: gathered (`pipeline_flush`), those to a hundred requests sent at once would all be held
        // in memory, however large.
        builder.timer(TokioTimer::new()).header_read_timeout(self.connection_max).max_buf_size(HEAD_BYTES_MAX);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
        let mut shutdown = self.shutdown.clone();
        let down = async move {
            let _ = shutdown.wait_for(|down| *down).await;
        };
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = down => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        }
    }
}
