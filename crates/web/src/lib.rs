//! HTTP: the files of the browser program.
//!
//! Streams come in from whoever listens (this crate opens no socket); one short answer, then the connection closes. A
//! body is read to its end first, so that the answer is not lost in a reset.
//! Invariant: a silent or slow peer is gone after [`CONNECTION_MAX`], or what the owner says. Must not know: mail.

mod program;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;

/// A connection lives no longer than this, if the owner says nothing else.
pub const CONNECTION_MAX: Duration = Duration::from_secs(30);
/// Connections handed over but not yet taken.
const WAITING_MAX: usize = 64;

/// A request with a larger body is answered 413.
pub const BODY_BYTES_MAX: u64 = 1024 * 1024;
/// Of such a body so much is still read (and thrown away) before the answer.
const DISCARDED_BYTES_MAX: u64 = 64 * 1024 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream with its end in sight, and what is to be let go with it.
struct Bounded {
    stream: Box<dyn Stream>,
    until: Pin<Box<Sleep>>,
    _held: Box<dyn Send>,
}

impl Bounded {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.until.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

struct HandedOver(mpsc::Receiver<Bounded>);

impl axum::serve::Listener for HandedOver {
    type Io = Bounded;
    type Addr = ();

    async fn accept(&mut self) -> (Bounded, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            // Nobody can hand anything over any more: the graceful end comes by its own signal.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The running web face.
#[derive(Clone)]
pub struct Web {
    door: mpsc::Sender<Bounded>,
    connection_max: Duration,
}

impl Web {
    /// Starts it; it ends when `shutdown` becomes true, and every connection after `connection_max`.
    pub fn start(mut shutdown: watch::Receiver<bool>, connection_max: Duration) -> Web {
        let (door, inside) = mpsc::channel(WAITING_MAX);
        let end = async move {
            let _ = shutdown.wait_for(|down| *down).await;
        };
        tokio::spawn(async move {
            if let Err(error) = axum::serve(HandedOver(inside), router()).with_graceful_shutdown(end).await {
                tracing::error!(%error, "the web face ended");
            }
        });
        Web { door, connection_max }
    }

    /// Serves one connection; `held` is let go when it ends.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, held: impl Send + 'static) {
        let until = Box::pin(tokio::time::sleep(self.connection_max));
        let _ = self.door.send(Bounded { stream: Box::new(stream), until, _held: Box::new(held) }).await;
    }
}

fn router() -> Router {
    Router::new().fallback(async |request: Request| {
        let (method, path, asked) = (request.method().clone(), request.uri().path().to_owned(), request.headers().clone());
        let mut answer = if is_too_large(request).await {
            (StatusCode::PAYLOAD_TOO_LARGE, "That is too large.\n").into_response()
        } else {
            program::file(&method, &path, &asked)
        };
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        answer
    })
}

/// Reads the body to its end, within reason. Who asks first (`Expect`) need not send what is not wanted.
async fn is_too_large(request: Request) -> bool {
    let announced = request.body().size_hint().lower();
    if announced > DISCARDED_BYTES_MAX || (announced > BODY_BYTES_MAX && request.headers().contains_key(header::EXPECT)) {
        return true;
    }
    let mut body: Body = request.into_body();
    let mut octets = 0u64;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        octets = octets.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
        if octets > DISCARDED_BYTES_MAX {
            break;
        }
    }
    octets > BODY_BYTES_MAX
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn nothing_is_404_and_the_connection_closes() {
        let (stop, shutdown) = watch::channel(false);
        let web = Web::start(shutdown, CONNECTION_MAX);
        let (mut ours, theirs) = tokio::io::duplex(4096);
        let (held, mut let_go) = tokio::sync::oneshot::channel::<()>();
        web.serve(theirs, held).await;
        ours.write_all(b"GET /anything HTTP/1.1\r\nHost: here.test\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
        assert!((&mut let_go).await.is_err(), "what was held is let go");
        stop.send(true).unwrap();
    }

    async fn posted(body: usize, extra: &str) -> String {
        let (_stop, shutdown) = watch::channel(false);
        let web = Web::start(shutdown, CONNECTION_MAX);
        let (mut ours, theirs) = tokio::io::duplex(4096);
        web.serve(theirs, ()).await;
        let head = format!("POST / HTTP/1.1\r\nHost: here.test\r\nContent-Length: {body}\r\n{extra}\r\n");
        ours.write_all(head.as_bytes()).await.unwrap();
        if extra.is_empty() {
            ours.write_all(&vec![b'x'; body]).await.unwrap();
        }
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_body_is_read_before_the_answer_and_a_large_one_refused() {
        assert_eq!(posted(300_000, "").await, "HTTP/1.1 404 Not Found");
        assert_eq!(posted(3_000_000, "").await, "HTTP/1.1 413 Payload Too Large");
        assert_eq!(posted(3_000_000, "Expect: 100-continue\r\n").await, "HTTP/1.1 413 Payload Too Large");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_closed() {
        let (_stop, shutdown) = watch::channel(false);
        let web = Web::start(shutdown, CONNECTION_MAX);
        let (mut ours, theirs) = tokio::io::duplex(4096);
        web.serve(theirs, ()).await;
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"");
    }
}
