//! From a listener to its face: accept, count, TLS where it comes first, a task for each connection.
//!
//! Invariant: nothing a connection does stops its loop. Must not know: what the faces do.

use crate::config::Service;
use crate::gate::{Full, Gate, Pass};
use net::listener::{Incoming, Listener};
use net::{Connection, IpRange, Peer, TlsServer};
use server::context::Shared;
use server::smtp::Mode;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What every accept loop needs.
#[derive(Clone)]
pub(super) struct Faces {
    pub(super) context: Shared,
    pub(super) tls: Option<Arc<TlsServer>>,
    pub(super) gate: Arc<Gate>,
    pub(super) web: web::Web,
    /// Who may say for whom it connects (PROXY protocol).
    pub(super) proxies: Arc<[IpRange]>,
}

impl Faces {
    /// Accepts until shutdown, then waits for its sessions; dropped, it takes them along.
    pub(super) async fn accept(self, service: Service, listener: Listener) {
        let mut sessions = JoinSet::new();
        let mut shutdown = self.context.shutdown.clone();
        loop {
            let incoming = tokio::select! {
                incoming = listener.accept() => incoming,
                _ = shutdown.wait_for(|down| *down) => break,
                Some(ended) = sessions.join_next() => {
                    report(service, ended);
                    continue;
                }
            };
            match incoming {
                Ok(incoming) if self.is_proxy(&incoming) => {
                    sessions.spawn(Box::pin(self.clone().serve_proxied(service, incoming)));
                }
                Ok(incoming) => match self.gate.enter(incoming.peer()) {
                    Ok(pass) => {
                        sessions.spawn(self.clone().serve(service, incoming, pass));
                    }
                    Err(full) => {
                        if let Some(place) = self.gate.refusal() {
                            sessions.spawn(refuse(service, incoming, full, place));
                        }
                    }
                },
                Err(error) => {
                    tracing::error!(service = service.name(), %error, "the listener failed; no more connections here");
                    break;
                }
            }
        }
        drop(listener);
        while let Some(ended) = sessions.join_next().await {
            report(service, ended);
        }
    }

    fn is_proxy(&self, incoming: &Incoming) -> bool {
        incoming.peer().ip().is_some_and(|ip| self.proxies.iter().any(|range| range.contains(ip)))
    }

    /// The header first; then whoever it names is counted and served as if it had come itself.
    async fn serve_proxied(self, service: Service, incoming: Incoming) {
        let Ok(waiting) = self.gate.enter(&Peer::Unix) else { return };
        let incoming = match incoming.proxied(net::limits::PROXY_HEADER_MAX).await {
            Ok(incoming) => incoming,
            Err(error) => return tracing::warn!(service = service.name(), %error, "a proxy's connection is closed"),
        };
        drop(waiting);
        match self.gate.enter(incoming.peer()) {
            Ok(pass) => self.serve(service, incoming, pass).await,
            Err(full) => {
                if let Some(place) = self.gate.refusal() {
                    refuse(service, incoming, full, place).await;
                }
            }
        }
    }

    fn handshake_max(&self) -> Duration {
        Duration::from_secs(self.context.limits.handshake_secs.into())
    }

    /// What only one kind of connection needs is boxed: an idle one must not carry the largest face's state.
    async fn serve(self, service: Service, incoming: Incoming, pass: Pass) {
        if matches!(service, Service::Http | Service::Https) {
            return Box::pin(self.serve_web(service, incoming, pass)).await;
        }
        let Some(connection) = Box::pin(self.open(service, incoming)).await else { return };
        let context = self.context;
        let session: Pin<Box<dyn Future<Output = ()> + Send>> = match service {
            Service::Smtp => Box::pin(server::smtp::serve(context, connection, Mode::Mx)),
            Service::Submission | Service::Submissions => Box::pin(server::smtp::serve(context, connection, Mode::Submission)),
            Service::Lmtp => Box::pin(server::smtp::serve(context, connection, Mode::Lmtp)),
            Service::Imap | Service::Imaps => Box::pin(server::imap::serve(context, connection)),
            Service::Pop3 | Service::Pop3s => Box::pin(server::pop::serve(context, connection, service.is_implicit_tls())),
            Service::Http | Service::Https => return,
        };
        session.await;
        drop(pass);
    }

    /// With TLS where it comes first; `None` when that failed.
    async fn open(&self, service: Service, incoming: Incoming) -> Option<Connection> {
        let peer = incoming.peer().clone();
        let mut connection = if service.is_implicit_tls() {
            let made = Connection::server_tls(incoming, self.tls.as_ref()?, self.handshake_max()).await;
            made.inspect_err(|error| tracing::debug!(service = service.name(), ?peer, %error, "TLS handshake")).ok()?
        } else {
            Connection::server(incoming, self.tls.clone())
        };
        connection.set_handshake_max(self.handshake_max());
        if let Some(secs) = self.context.limits.patience.silence_secs {
            connection.set_write_idle_max(Duration::from_secs(secs).min(net::limits::WRITE_IDLE_MAX));
        }
        tracing::debug!(service = service.name(), ?peer, "connection");
        Some(connection)
    }

    async fn serve_web(self, service: Service, incoming: Incoming, pass: Pass) {
        let peer = incoming.peer().clone();
        let Some(stream) = incoming.into_tcp() else { return };
        if service == Service::Http {
            return self.web.serve(stream, (peer, false), pass).await;
        }
        let Some(tls) = &self.tls else { return };
        let handshake = TlsAcceptor::from(tls.config()).accept(stream);
        match tokio::time::timeout(self.handshake_max(), handshake).await {
            Ok(Ok(stream)) => self.web.serve(stream, (peer, true), pass).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }
}

/// Says no in the protocol's own words where no TLS comes first.
async fn refuse(service: Service, incoming: Incoming, full: Full, _place: OwnedSemaphorePermit) {
    tracing::warn!(service = service.name(), peer = ?incoming.peer(), ?full, "too many connections");
    let why = match full {
        Full::Address => "Too many connections from your address",
        Full::All => "Too many connections",
    };
    let words = match service {
        Service::Smtp | Service::Submission | Service::Lmtp => format!("421 4.7.0 {why}, try again later\r\n"),
        Service::Imap => format!("* BYE [UNAVAILABLE] {why}, try again later\r\n"),
        Service::Pop3 => format!("-ERR [SYS/TEMP] {why}, try again later\r\n"),
        _ => return,
    };
    let connection = Connection::server(incoming, None);
    let _ = tokio::time::timeout(Duration::from_secs(5), connection.say_and_close(words.as_bytes())).await;
}

fn report(service: Service, ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(service = service.name(), "a connection's task panicked; the others go on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_small() {
        let task = octets(|(faces, service), (incoming, pass)| Faces::serve(faces, service, incoming, pass));
        let imap = octets(server::imap::serve);
        let pop = octets(|context, connection| server::pop::serve(context, connection, false));
        let smtp = octets(|context, connection| server::smtp::serve(context, connection, Mode::Mx));
        let told = format!("octets of a connection's task {task}, of a session by IMAP {imap}, POP3 {pop}, SMTP {smtp}");
        println!("{told}; a connection {}", size_of::<Connection>());
        // With its socket and the allocator's share that is below 6 KB by IMAP (make bench).
        assert!(task <= 384 && imap <= 2_432 && pop <= 3_072 && smtp <= 3_072, "{told}");
    }
}
