//! One connection, plain or TLS, and the pump that drives a [`Session`] over it.
//!
//! Invariant: whatever was read is in the session and whatever was not written is in `unsent` before any wait, so a
//! dropped `next` or `flush` loses nothing. An idle connection owns no buffer. Knows no protocol.

use crate::ClientCertificate;
use crate::attention::{self, Attention};
use crate::clock::instant;
pub use crate::clock::now;
use crate::limits;
use crate::listener::Incoming;
use crate::network::Network;
use crate::stream::{Octets, Plain, Stream};
use crate::tls::{TlsClient, TlsServer, channel, server_name};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use wire::sasl::Channel;
use wire::{Session, Step, Time};

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Peer {
    Ip {
        ip: IpAddr,
        port: u16,
    },
    /// As a named proxy says; never counts as loopback.
    Proxied {
        ip: IpAddr,
        port: u16,
    },
    /// A Unix socket.
    Unix,
}

impl Peer {
    /// Unproxied loopback (127.0.0.0/8, ::1) or a Unix socket.
    pub fn is_loopback(&self) -> bool {
        match self {
            Peer::Ip { ip, .. } => ip.to_canonical().is_loopback(),
            Peer::Proxied { .. } => false,
            Peer::Unix => true,
        }
    }
    /// The address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Ip { ip, .. } | Peer::Proxied { ip, .. } => Some(ip.to_canonical()),
            Peer::Unix => None,
        }
    }
}

/// What the pump came back with.
#[derive(Debug)]
pub enum Next<E> {
    /// Act on this, answer through the session, call `next` again.
    Event(E),
    /// Over: closed by either side, or broken (see [`Connection::error`]).
    Closed,
}

/// What a Received field tells of the TLS of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite by its IANA name.
    pub cipher: String,
}

/// Listens in on what crosses a connection, inside its TLS. Its calls must be quick: the session waits for them.
pub trait Tap: Send + Sync {
    /// From the peer.
    fn heard(&self, octets: &[u8]);
    /// To the peer.
    fn said(&self, octets: &[u8]);
    /// A handshake in the middle is done.
    fn tls_started(&self);
    /// Whoever owns the session knows now who the peer is.
    fn named(&self, who: &str);
}

/// Where the connection stands beside its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The session said StartTls: write out, then the handshake.
    StartingTls,
    /// The session said Close: write out, then shut down.
    Closing,
    Closed,
}

/// A stream with its unsent bytes.
pub struct Connection {
    stream: Stream,
    phase: Phase,
    peer: Peer,
    local: Option<SocketAddr>,
    unsent: Vec<u8>,
    /// Octets of `unsent` that are already written.
    sent: usize,
    /// TLS may still hold written octets.
    unflushed: bool,
    /// The peer sends no more.
    read_end: bool,
    /// When output last moved, or began to wait; or the handshake began.
    moved: Instant,
    handshake_max: Duration,
    write_idle_max: Duration,
    attention: Attention,
    tls_server: Option<Arc<TlsServer>>,
    tls_client: Option<(TlsClient, String)>,
    /// What few connections have.
    beside: Option<Box<Beside>>,
    error: Option<io::Error>,
}

#[derive(Default)]
struct Beside {
    tap: Option<Arc<dyn Tap>>,
    /// Of the server certificate of the handshake on our side, for channel binding.
    end_point: Option<Arc<[u8]>>,
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} timed out"))
}

// ---- making ----

impl Connection {
    fn new(stream: Stream, peer: Peer, local: Option<SocketAddr>) -> Connection {
        Connection {
            stream,
            phase: Phase::Open,
            peer,
            local,
            unsent: Vec::new(),
            sent: 0,
            unflushed: false,
            read_end: false,
            moved: Instant::now(),
            handshake_max: limits::HANDSHAKE_MAX,
            write_idle_max: limits::WRITE_IDLE_MAX,
            attention: Attention::new(),
            tls_server: None,
            tls_client: None,
            beside: None,
            error: None,
        }
    }

    /// Plain, from a listener; `tls` is used when the session says StartTls.
    pub fn server(incoming: Incoming, tls: Option<Arc<TlsServer>>) -> Connection {
        let mut connection = Connection::new(Stream::Plain(incoming.stream), incoming.peer, incoming.local);
        connection.tls_server = tls;
        connection
    }

    /// Plain, over any stream of octets: what a simulated network accepts. STARTTLS is not offered.
    pub fn over(stream: Box<dyn Octets>, peer: Peer, local: Option<SocketAddr>) -> Connection {
        Connection::new(Stream::Plain(Plain::Other(stream)), peer, local)
    }

    /// Implicit TLS (RFC 8314): the handshake comes first and takes at most `limit`.
    pub async fn server_tls(incoming: Incoming, tls: &Arc<TlsServer>, limit: Duration) -> io::Result<Connection> {
        let (config, end_point) = tls.current();
        let accept = TlsAcceptor::from(config).accept(incoming.stream);
        let mut stream = Stream::ServerHandshake(Box::new(accept));
        timeout(limit, stream.handshake()).await.map_err(|_| timed_out("TLS handshake"))??;
        let mut connection = Connection::new(stream, incoming.peer, incoming.local);
        connection.beside_mut().end_point = end_point;
        connection.tls_server = Some(Arc::clone(tls));
        Ok(connection)
    }

    /// Connects, plain. `bind`: the local address to come from.
    pub async fn dial(to: SocketAddr, bind: Option<IpAddr>, limit: Duration) -> io::Result<Connection> {
        Connection::dial_on(&Network::System, to, bind, limit).await
    }

    /// The same on a network of one's choice.
    pub async fn dial_on(network: &Network, to: SocketAddr, bind: Option<IpAddr>, limit: Duration) -> io::Result<Connection> {
        let (stream, local) = timeout(limit, network.connect(to, bind)).await.map_err(|_| timed_out("connecting"))??;
        Ok(Connection::new(Stream::Plain(stream), Peer::Ip { ip: to.ip(), port: to.port() }, local))
    }

    /// Connects to a Unix socket.
    pub async fn dial_unix(path: &Path, limit: Duration) -> io::Result<Connection> {
        let dialling = UnixStream::connect(path);
        let stream = timeout(limit, dialling).await.map_err(|_| timed_out("connecting"))??;
        Ok(Connection::new(Stream::Plain(Plain::Unix(stream)), Peer::Unix, None))
    }

    /// Connects with implicit TLS to a server that is to be `name`. `limit` is for both together.
    pub async fn dial_tls(
        to: SocketAddr,
        bind: Option<IpAddr>,
        limit: Duration,
        tls: &TlsClient,
        name: &str,
    ) -> io::Result<Connection> {
        let until = Instant::now() + limit;
        Connection::dial(to, bind, limit).await?.tls_first(tls, name, until).await
    }

    /// A fresh connection's TLS handshake before any session, with a server that is to be `name`.
    pub async fn tls_first(mut self, tls: &TlsClient, name: &str, until: Instant) -> io::Result<Connection> {
        self.set_tls_client(tls.clone(), name);
        self.begin_handshake()?;
        timeout_at(until, self.stream.handshake()).await.map_err(|_| timed_out("TLS handshake"))??;
        Ok(self)
    }

    /// How long a handshake that comes later may take.
    pub fn set_handshake_max(&mut self, limit: Duration) {
        self.handshake_max = limit;
    }

    /// How long a peer may take nothing of what waits for it ([`limits::WRITE_IDLE_MAX`] where nobody says so).
    pub fn set_write_idle_max(&mut self, limit: Duration) {
        self.write_idle_max = limit;
    }

    fn beside_mut(&mut self) -> &mut Beside {
        self.beside.get_or_insert_default()
    }

    fn tap(&self) -> Option<&Arc<dyn Tap>> {
        self.beside.as_ref()?.tap.as_ref()
    }

    /// Lets somebody listen in from now on.
    pub fn set_tap(&mut self, tap: Arc<dyn Tap>) {
        self.beside_mut().tap = Some(tap);
    }

    /// The same on a connection that stands: of what `session` has said nothing is heard, but all that comes after it.
    pub fn join_tap<S: Session>(&mut self, session: &mut S, tap: Arc<dyn Tap>) {
        self.take(session);
        self.set_tap(tap);
    }

    /// Does anybody listen in?
    pub fn is_tapped(&self) -> bool {
        self.tap().is_some()
    }

    /// The other end said for whom it speaks, and is believed.
    pub fn set_peer(&mut self, peer: Peer) {
        self.peer = peer;
    }

    /// Tells whoever listens in who the peer is.
    pub fn name_peer(&self, who: &str) {
        if let Some(tap) = self.tap() {
            tap.named(who);
        }
    }

    /// What to do when a client session says StartTls: the policy, and the name the server is to have.
    pub fn set_tls_client(&mut self, tls: TlsClient, name: &str) {
        self.tls_client = Some((tls, name.to_owned()));
    }
}

// ---- looking ----

impl Connection {
    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
    /// Our own address of this connection.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }
    /// Plain now, and TLS is at hand when the session says StartTls.
    pub fn can_start_tls(&self) -> bool {
        !self.is_tls() && (self.tls_server.is_some() || self.tls_client.is_some())
    }
    /// Under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
    /// What kind of TLS, once the handshake is done.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        let Stream::Tls(stream) = &self.stream else { return None };
        let (_, session) = stream.get_ref();
        let version = match session.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
            rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        };
        let cipher = session.negotiated_cipher_suite()?.suite();
        // rustls writes TLS13_AES_...; IANA writes TLS_AES_... (RFC 8446 §B.4).
        let cipher = format!("{cipher:?}").replacen("TLS13_", "TLS_", 1);
        Some(TlsInfo { version, cipher })
    }
    /// Its TLS goes on from an earlier connection's, without another look at the certificate (RFC 8446 §2.2).
    pub fn is_resumed(&self) -> bool {
        let Stream::Tls(stream) = &self.stream else { return false };
        stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }
    /// What TLS lends to sign-in, once the handshake is done: for a session that begins under TLS. (After STARTTLS the
    /// pump hands it over.)
    pub fn tls_channel(&self) -> Option<Channel> {
        let Stream::Tls(stream) = &self.stream else { return None };
        match &**stream {
            TlsStream::Server(tls) => {
                let (_, session) = tls.get_ref();
                Some(Channel {
                    exporter: channel::exporter(session.protocol_version(), |out| {
                        session.export_keying_material(out, channel::LABEL, Some(b"")).is_ok()
                    }),
                    server_end_point: self.beside.as_ref().and_then(|beside| beside.end_point.as_deref()).map(<[u8]>::to_vec),
                    external: self.client_certificate().is_some(),
                })
            }
            TlsStream::Client(tls) => {
                let (_, session) = tls.get_ref();
                let leaf = session.peer_certificates().and_then(<[_]>::first);
                Some(Channel {
                    exporter: channel::exporter(session.protocol_version(), |out| {
                        session.export_keying_material(out, channel::LABEL, Some(b"")).is_ok()
                    }),
                    server_end_point: leaf.and_then(|leaf| channel::end_point(leaf)),
                    external: self.tls_client.as_ref().is_some_and(|(policy, _)| policy.has_certificate()),
                })
            }
        }
    }
    /// The client's certificate, where one came that the configuration knows; unknown ones are as if none had come.
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        let Stream::Tls(stream) = &self.stream else { return None };
        let TlsStream::Server(tls) = &**stream else { return None };
        let (_, session) = tls.get_ref();
        self.tls_server.as_ref()?.known_client(session.peer_certificates()?)
    }
    /// Under TLS, and the server's certificate is for its name and leads to a public root, or to one of our own choice
    /// (looked at now, whatever the policy of the handshake was).
    pub fn is_verified(&self) -> bool {
        let (Stream::Tls(stream), Some((policy, name))) = (&self.stream, &self.tls_client) else { return false };
        let TlsStream::Client(tls) = &**stream else { return false };
        let (_, session) = tls.get_ref();
        let Some(chain) = session.peer_certificates() else { return false };
        policy.is_verified() || server_name(name, None).is_ok_and(|name| crate::tls::is_public(chain, &name))
    }
    /// Why the connection broke, when it did not simply end.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }
}

// ---- the pump ----

impl Connection {
    /// Drives `session` until it has an event: writes, reads, does STARTTLS, keeps its deadline. Cancel-safe.
    pub async fn next<S: Session>(&mut self, session: &mut S) -> Next<S::Event> {
        loop {
            match self.turn(session).await {
                Ok(None) => {}
                Ok(Some(event)) => return Next::Event(event),
                Err(error) => self.fail(error),
            }
            if self.phase == Phase::Closed {
                return Next::Closed;
            }
        }
    }

    /// Writes out what the session has (for answers larger than one wants to buffer). `false`: the peer is gone. Cancel-safe.
    pub async fn flush<S: Session>(&mut self, session: &mut S) -> bool {
        if matches!(self.phase, Phase::Closed | Phase::Closing) || self.stream.is_handshaking() {
            return false;
        }
        self.take(session);
        match self.drain().await {
            Ok(()) => true,
            Err(error) => {
                self.fail(error);
                false
            }
        }
    }

    /// Writes `bytes` by hand: for a refusal before any session exists. `false`: the peer is gone.
    pub async fn say_and_close(mut self, bytes: &[u8]) -> bool {
        self.unsent.extend_from_slice(bytes);
        self.moved = Instant::now();
        self.shut().await.is_ok()
    }

    async fn turn<S: Session>(&mut self, session: &mut S) -> io::Result<Option<S::Event>> {
        if self.stream.is_handshaking() {
            let done = timeout_at(self.moved + self.handshake_max, self.stream.handshake()).await;
            done.map_err(|_| timed_out("TLS handshake"))??;
            if let Some(channel) = self.tls_channel() {
                session.tls_channel(channel);
            }
            session.tls_started();
            if let Some(tap) = self.tap() {
                tap.tls_started();
            }
        }
        match self.phase {
            Phase::Closed => return Ok(None),
            Phase::Closing => {
                self.shut().await?;
                return Ok(None);
            }
            Phase::StartingTls => {
                self.drain().await?;
                self.begin_handshake()?;
                self.phase = Phase::Open;
                return Ok(None);
            }
            Phase::Open => {}
        }
        if self.waiting() > limits::UNSENT_BYTES_MAX {
            self.drain().await?;
        }
        let step = session.poll(now());
        self.take(session);
        match step {
            Step::Event(event) => return Ok(Some(event)),
            Step::StartTls => self.phase = Phase::StartingTls,
            Step::Close => self.phase = Phase::Closing,
            Step::Wait => self.wait(session).await?,
        }
        Ok(None)
    }

    fn take<S: Session>(&mut self, session: &mut S) {
        if self.waiting() == 0 {
            self.unsent.clear();
            self.sent = 0;
            self.moved = Instant::now();
        }
        let before = self.unsent.len();
        session.transmit(&mut self.unsent);
        if let (Some(tap), Some(fresh)) = (self.tap(), self.unsent.get(before..).filter(|fresh| !fresh.is_empty())) {
            tap.said(fresh);
        }
    }

    fn waiting(&self) -> usize {
        self.unsent.len().saturating_sub(self.sent)
    }

    fn fail(&mut self, error: io::Error) {
        tracing::debug!(peer = ?self.peer, %error, "connection broken");
        self.phase = Phase::Closed;
        self.stream = Stream::Gone;
        self.error = Some(error);
    }

    fn begin_handshake(&mut self) -> io::Result<()> {
        let plain = match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Plain(plain) => plain,
            _ => return Err(io::Error::other("TLS is already there")),
        };
        self.moved = Instant::now();
        self.stream = if let Some((tls, name)) = &self.tls_client {
            let name = server_name(name, self.peer.ip())?;
            Stream::ClientHandshake(Box::new(TlsConnector::from(Arc::clone(&tls.config)).connect(name, plain)))
        } else if let Some(tls) = &self.tls_server {
            let (config, end_point) = tls.current();
            self.beside_mut().end_point = end_point;
            Stream::ServerHandshake(Box::new(TlsAcceptor::from(config).accept(plain)))
        } else {
            return Err(io::Error::other("STARTTLS without a certificate or a policy"));
        };
        Ok(())
    }

    /// Until something moved: input, output, or the session's deadline.
    async fn wait<S: Session>(&mut self, session: &mut S) -> io::Result<()> {
        let wants = session.wants_input();
        if wants && self.read_end && self.waiting() == 0 && !self.unflushed {
            // Nothing will ever come again and nothing is left to say.
            return self.shut().await;
        }
        if wants && !self.read_end && self.attend(session).await? {
            return Ok(());
        }
        let at = Instant::now();
        let mut until = session.deadline().map(|time| {
            let due = instant(time);
            // Polled a moment ago and still due: it waits for its owner, not for the clock.
            if due <= at { at + Duration::from_secs(1) } else { due }
        });
        let write_until = self.moved + self.write_idle_max;
        let writing = self.waiting() > 0 || self.unflushed;
        if writing {
            until = Some(until.map_or(write_until, |until| until.min(write_until)));
        }
        let io = poll_fn(|cx| self.poll_io(cx, Some((&mut *session, wants))));
        match until {
            None => io.await?,
            Some(until) => match timeout_at(until, io).await {
                Ok(moved) => moved?,
                Err(_) if writing && Instant::now() >= write_until => return Err(timed_out("writing")),
                Err(_) => {}
            },
        }
        Ok(())
    }

    /// Looks for a quick peer's next octets without going to sleep ([`crate::attention`]). `true`: something moved.
    async fn attend<S: Session>(&mut self, session: &mut S) -> io::Result<bool> {
        if self.stream.is_watched() {
            // In a row of commands the answer goes out on the way.
            poll_fn(|cx| Poll::Ready(self.poll_send(cx))).await?;
        }
        if self.waiting() > 0 || self.unflushed {
            return Ok(false);
        }
        // The system's clock: a test's may stand still as long as anybody is awake.
        let clock = std::time::Instant::now;
        let Some(until) = self.attention.begin(clock()) else { return Ok(false) };
        if !attention::is_room() {
            return Ok(false);
        }
        let mut ours_until = clock() + attention::UNSHARED;
        loop {
            if !self.stream.set_looking(true)? {
                return Ok(false);
            }
            let looked = poll_fn(|cx| Poll::Ready(self.poll_io(cx, Some((&mut *session, true))))).await;
            self.stream.set_looking(false)?;
            if let Poll::Ready(moved) = looked {
                return moved.map(|()| true);
            }
            let now = clock();
            if now >= until {
                return Ok(false);
            }
            if now >= ours_until || !tokio::task::coop::has_budget_remaining() {
                tokio::task::yield_now().await;
                ours_until = clock() + attention::UNSHARED;
            }
            // The peer may be about to run on this very core.
            std::thread::yield_now();
        }
    }

    /// Until everything is written.
    async fn drain(&mut self) -> io::Result<()> {
        while self.waiting() > 0 || self.unflushed {
            let until = self.moved + self.write_idle_max;
            let io = poll_fn(|cx| self.poll_io(cx, None::<(&mut NoSession, bool)>));
            timeout_at(until, io).await.map_err(|_| timed_out("writing"))??;
        }
        Ok(())
    }

    /// Last words, close_notify and FIN; then a moment of reading, so that input we never read does not turn them into a reset.
    async fn shut(&mut self) -> io::Result<()> {
        self.phase = Phase::Closing;
        let max = limits::CLOSE_WRITE_MAX.min(self.write_idle_max);
        timeout(max, self.drain()).await.map_err(|_| timed_out("writing"))??;
        let shutdown = poll_fn(|cx| self.stream.poll_shutdown(cx));
        // Everything is said; a peer that is gone by now broke nothing.
        let open = matches!(timeout(max, shutdown).await, Ok(Ok(())));
        if open && !self.read_end {
            let _ = timeout(limits::LINGER_MAX, poll_fn(|cx| self.poll_discard(cx))).await;
        }
        self.phase = Phase::Closed;
        self.stream = Stream::Gone;
        Ok(())
    }
}

/// Stands in where nobody reads.
enum NoSession {}

impl Session for NoSession {
    type Event = NoSession;
    fn receive(&mut self, _: &[u8]) {}
    fn receive_end(&mut self) {}
    fn poll(&mut self, _: Time) -> Step<NoSession> {
        Step::Wait
    }
    fn transmit(&mut self, _: &mut Vec<u8>) {}
    fn deadline(&self) -> Option<Time> {
        None
    }
    fn wants_input(&self) -> bool {
        false
    }
    fn tls_started(&mut self) {}
}

// ---- octets ----

impl Connection {
    /// Writes what waits and, if asked, reads once. Ready when something moved; never loses an octet when dropped.
    fn poll_io<S: Session>(&mut self, cx: &mut Context<'_>, reader: Option<(&mut S, bool)>) -> Poll<io::Result<()>> {
        let mut moved = self.poll_send(cx)?;
        if let Some((session, true)) = reader
            && !self.read_end
        {
            moved |= self.poll_receive(cx, session)?;
        }
        if moved {
            return Poll::Ready(Ok(()));
        }
        if self.waiting() == 0 {
            // About to sleep: an idle connection owns no buffer.
            self.unsent = Vec::new();
            self.sent = 0;
        }
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while self.waiting() > 0 {
            let rest = self.unsent.get(self.sent..).unwrap_or_default();
            let piece = if self.is_tls() { record(rest) } else { rest };
            match self.stream.poll_write(cx, piece) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.sent += written;
                    self.unflushed = true;
                    self.moved = Instant::now();
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(moved),
            }
        }
        if self.unflushed {
            match self.stream.poll_flush(cx) {
                Poll::Ready(done) => {
                    done?;
                    self.unflushed = false;
                    moved = true;
                }
                Poll::Pending => return Ok(moved),
            }
        }
        Ok(moved)
    }

    /// The buffer lives on the stack of one poll, so a connection that waits holds none.
    fn poll_receive<S: Session>(&mut self, cx: &mut Context<'_>, session: &mut S) -> io::Result<bool> {
        let mut space = [MaybeUninit::<u8>::uninit(); limits::READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        match self.stream.poll_read(cx, &mut buffer) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                if let Some(tap) = self.tap() {
                    tap.heard(buffer.filled());
                }
                self.attention.heard(std::time::Instant::now());
                session.receive(buffer.filled());
                Ok(true)
            }
            Poll::Ready(end) => {
                match end {
                    Ok(()) => {}
                    // A TLS peer that forgets close_notify; whether that cut something off is the session's to judge.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                    Err(error) => return Err(error),
                }
                self.read_end = true;
                session.receive_end();
                Ok(true)
            }
        }
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut seen = 0;
        while seen < limits::LINGER_BYTES_MAX {
            let mut space = [MaybeUninit::<u8>::uninit(); limits::READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut space);
            match self.stream.poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => seen += buffer.filled().len(),
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

/// The next TLS record's plaintext, cut so that the one after it is no crumb.
fn record(rest: &[u8]) -> &[u8] {
    let crumb = rest.len() > limits::TLS_RECORD_BYTES && rest.len() < limits::TLS_RECORD_BYTES + limits::TAIL_BYTES_MIN;
    let take = if crumb { limits::TLS_RECORD_BYTES - limits::TAIL_BYTES_MIN } else { limits::TLS_RECORD_BYTES };
    rest.get(..take).unwrap_or(rest)
}
