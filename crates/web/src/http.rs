//! Connections: HTTP/1.1 over whatever stream comes in.
//!
//! Invariant: who sends no request, or does not take the answer, is gone after `connection_max`; a connection ends with its
//! peer, with the server's shutdown, or when its owner drops it. Must not know: what is asked for.

use crate::limits::HEAD_BYTES_MAX;
use crate::{Settings, site};
use axum::Router;
use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use net::Peer;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};
use tower_service::Service;

/// Who asks, and how.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) peer: Peer,
    pub(crate) tls: bool,
}

/// A stream whose peer must take what is written within a time.
struct Patient<S> {
    stream: S,
    max: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
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

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, poll)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, poll)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, poll)
    }
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
        tokio::spawn(crate::jmap::snooze::keep(Arc::clone(&site)));
        tokio::spawn(crate::jmap::pushing::resume(Arc::clone(&site)));
        tokio::spawn(crate::jmap::fate::follow(Arc::clone(&site)));
        Web { router: site::router(site), connection_max, shutdown }
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, peer: Peer, tls: bool) {
        let router = self.router.clone();
        let asker = Asker { peer, tls };
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(asker.clone());
            router.clone().call(request)
        });
        let stream = TokioIo::new(Patient { stream, max: self.connection_max, stalled: None });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.connection_max)
            .max_buf_size(HEAD_BYTES_MAX)
            .pipeline_flush(true);
        let mut connection = pin!(builder.serve_connection(stream, service).with_upgrades());
        let mut shutdown = self.shutdown.clone();
        let down = async move {
            let _ = shutdown.wait_for(|down| *down).await;
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = down => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    }
}
