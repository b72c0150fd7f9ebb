//! The pump over loopback with a toy protocol: lines in, events or answers out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use net::{Connection, Listener, Next, TlsClient, TlsServer, now};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use wire::{Session, Step, Time};

/// `BIG n`, `STARTTLS`, `QUIT` and `IDLE` (a deadline) are the session's own; every other line is an event.
/// As a client: `say` lines, every line that comes is an event, `220` begins TLS.
#[derive(Default)]
struct Toy {
    input: Vec<u8>,
    out: Vec<u8>,
    client: bool,
    ended: bool,
    asked: bool,
    tls: u32,
    due: Option<Time>,
}

impl Toy {
    fn client(first: &str) -> Toy {
        Toy { client: true, out: first.as_bytes().to_vec(), ..Toy::default() }
    }
    fn answer(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.asked = false;
    }
}

impl Session for Toy {
    type Event = String;
    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }
    fn receive_end(&mut self) {
        self.ended = true;
    }
    fn poll(&mut self, now: Time) -> Step<String> {
        loop {
            if self.asked {
                return Step::Wait;
            }
            if self.due.is_some_and(|due| now >= due) {
                self.answer("too late");
                return Step::Close;
            }
            let Some(end) = self.input.iter().position(|b| *b == b'\n') else {
                return if self.ended { Step::Close } else { Step::Wait };
            };
            let line = String::from_utf8_lossy(&self.input[..end]).trim().to_owned();
            self.input.drain(..=end);
            if self.client {
                if line == "220" {
                    return Step::StartTls;
                }
                return Step::Event(line);
            }
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("BIG", n) => self.out.extend(std::iter::repeat_n(b'x', n.parse().unwrap())),
                ("STARTTLS", _) => {
                    self.answer("220");
                    return Step::StartTls;
                }
                ("QUIT", _) => {
                    self.answer("bye");
                    return Step::Close;
                }
                ("IDLE", n) => self.due = Some(Time(now.0 + n.parse::<u64>().unwrap())),
                _ => {
                    self.asked = !line.starts_with("TELL");
                    return Step::Event(line);
                }
            }
        }
    }
    fn transmit(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.out);
    }
    fn deadline(&self) -> Option<Time> {
        self.due
    }
    fn wants_input(&self) -> bool {
        !self.asked
    }
    fn tls_started(&mut self) {
        self.tls += 1;
    }
}

fn listen() -> (Listener, SocketAddr) {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let net::ListenAddr::Tcp(addr) = listener.local() else { panic!() };
    (listener, addr)
}

fn certificate() -> (tempfile::TempDir, Arc<TlsServer>) {
    let dir = tempfile::tempdir().unwrap();
    let tls = TlsServer::self_signed(dir.path(), &["mail.here.test".to_owned()]).unwrap();
    (dir, Arc::new(tls))
}

/// Answers every event with itself; gives back how many there were, and how often TLS began.
async fn echo(mut connection: Connection) -> (usize, u32, Connection) {
    let mut toy = Toy::default();
    let mut events = 0;
    while let Next::Event(line) = connection.next(&mut toy).await {
        events += 1;
        if !line.starts_with("TELL") {
            toy.answer(&line);
        }
    }
    (events, toy.tls, connection)
}

#[tokio::test]
async fn lines_go_both_ways_and_quit_closes() {
    let (listener, addr) = listen();
    let server = tokio::spawn(async move { echo(Connection::server(listener.accept().await.unwrap(), None)).await });
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(b"one\r\ntwo\r\nQUIT\r\nunread input after the end\r\n").await.unwrap();
    let mut all = String::new();
    client.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "one\r\ntwo\r\nbye\r\n");
    drop(client);
    let (events, _, connection) = server.await.unwrap();
    assert_eq!(events, 2);
    assert!(connection.error().is_none());
}

#[tokio::test]
async fn a_half_closed_peer_is_answered_before_the_end() {
    let (listener, addr) = listen();
    let server = tokio::spawn(async move { echo(Connection::server(listener.accept().await.unwrap(), None)).await });
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(b"one\r\nBIG 3000000\r\ntwo\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 5 + 3_000_000 + 5);
    assert!(all.ends_with(b"xtwo\r\n"));
    assert_eq!(server.await.unwrap().0, 2);
}

#[tokio::test]
async fn dropping_a_wait_loses_no_octet() {
    let (listener, addr) = listen();
    let server = tokio::spawn(async move {
        let mut connection = Connection::server(listener.accept().await.unwrap(), None);
        let mut toy = Toy::default();
        let mut drops = 0u32;
        let mut events = 0u32;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_micros(300)) => drops += 1,
                next = connection.next(&mut toy) => match next {
                    Next::Event(line) => { events += 1; toy.answer(&line) }
                    Next::Closed => return (events, drops),
                },
            }
        }
    });
    let stream = TcpStream::connect(addr).await.unwrap();
    let (read, mut write) = stream.into_split();
    let writer = tokio::spawn(async move {
        for n in 0..60u32 {
            let big = format!("BIG 70000\r\nline {n}\r\n");
            for piece in big.as_bytes().chunks(7) {
                write.write_all(piece).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        write.write_all(b"QUIT\r\n").await.unwrap();
        write
    });
    let mut lines = BufReader::new(read).lines();
    for n in 0..60u32 {
        let line = lines.next_line().await.unwrap().unwrap();
        assert_eq!(line.len(), 70_000 + format!("line {n}").len());
        assert!(line.ends_with(&format!("xline {n}")));
        if n % 7 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "bye");
    drop(writer.await.unwrap());
    drop(lines);
    let (events, drops) = server.await.unwrap();
    assert_eq!(events, 60);
    assert!(drops > 10, "{drops}");
}

#[tokio::test]
async fn the_deadline_wakes_the_session() {
    let (listener, addr) = listen();
    let server = tokio::spawn(async move { echo(Connection::server(listener.accept().await.unwrap(), None)).await });
    let mut client = TcpStream::connect(addr).await.unwrap();
    let before = now();
    client.write_all(b"IDLE 150\r\n").await.unwrap();
    let mut all = String::new();
    client.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "too late\r\n");
    assert!(now().0 - before.0 >= 145);
    drop(client);
    server.await.unwrap();
}

#[tokio::test]
async fn implicit_tls_both_ways() {
    let (listener, addr) = listen();
    let (dir, tls) = certificate();
    let ca = dir.path().join("self-signed.pem");
    let server = tokio::spawn(async move {
        let incoming = listener.accept().await.unwrap();
        let connection = Connection::server_tls(incoming, &tls, Duration::from_secs(5)).await.unwrap();
        assert_eq!(connection.tls_info().unwrap().version, "TLSv1.3");
        echo(connection).await
    });
    let policy = TlsClient::verified(Some(&ca)).unwrap();
    let mut client = Connection::dial_tls(addr, None, Duration::from_secs(5), &policy, "mail.here.test").await.unwrap();
    let info = client.tls_info().unwrap();
    // The client has the larger AES first.
    assert_eq!(info.cipher, "TLS_AES_128_GCM_SHA256");
    // Enough for many records, the last of them a crumb if it were not for the pump.
    let mut toy = Toy::client(&format!("BIG {}\r\nend\r\nQUIT\r\n", 16_384 * 40 - 6));
    let Next::Event(line) = client.next(&mut toy).await else { panic!("{:?}", client.error()) };
    assert_eq!(line.len(), 16_384 * 40 - 6 + 3);
    assert!(matches!(client.next(&mut toy).await, Next::Event(line) if line == "bye"));
    assert!(matches!(client.next(&mut toy).await, Next::Closed));
    assert!(client.error().is_none());
    assert_eq!(server.await.unwrap().0, 1);
}

/// Lessons C14 (outlook.com as sender). One policy, one server: the second handshake is a short one; another policy begins anew.
#[tokio::test]
async fn c14_a_second_connection_goes_on_from_the_first() {
    let (listener, addr) = listen();
    let (_dir, tls) = certificate();
    tokio::spawn(async move {
        loop {
            let incoming = listener.accept().await.unwrap();
            let connection = Connection::server_tls(incoming, &tls, Duration::from_secs(5)).await.unwrap();
            tokio::spawn(echo(connection));
        }
    });
    let (one, other) = (TlsClient::opportunistic().unwrap(), TlsClient::opportunistic().unwrap());
    let mut resumed = Vec::new();
    for policy in [&one, &one, &other] {
        let mut client = Connection::dial_tls(addr, None, Duration::from_secs(5), policy, "mail.here.test").await.unwrap();
        let mut toy = Toy::client("hello\r\nQUIT\r\n");
        while let Next::Event(_) = client.next(&mut toy).await {
            resumed.push(client.is_resumed());
        }
    }
    resumed.dedup();
    assert_eq!(resumed, [false, true, false]);
}

#[tokio::test]
async fn both_sides_see_one_channel_and_no_two_connections_the_same() {
    let (listener, addr) = listen();
    let (dir, tls) = certificate();
    let server = tokio::spawn(async move {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let incoming = listener.accept().await.unwrap();
            let connection = Connection::server_tls(incoming, &tls, Duration::from_secs(5)).await.unwrap();
            seen.push(connection.tls_channel().unwrap());
        }
        seen
    });
    let policy = TlsClient::verified(Some(&dir.path().join("self-signed.pem"))).unwrap();
    let mut ours = Vec::new();
    for _ in 0..2 {
        let client = Connection::dial_tls(addr, None, Duration::from_secs(5), &policy, "mail.here.test").await.unwrap();
        assert!(client.is_verified());
        ours.push(client.tls_channel().unwrap());
    }
    let theirs = server.await.unwrap();
    assert_eq!(ours, theirs);
    assert!(ours[0].exporter.is_some() && ours[0].exporter != ours[1].exporter);
    assert!(ours[0].server_end_point.is_some() && ours[0].server_end_point == ours[1].server_end_point);
}

#[tokio::test]
async fn starttls_and_what_the_policies_say() {
    let (listener, addr) = listen();
    let (dir, tls) = certificate();
    let ca = dir.path().join("self-signed.pem");
    let server = tokio::spawn(async move {
        let mut begun = Vec::new();
        for _ in 0..4 {
            let connection = Connection::server(listener.accept().await.unwrap(), Some(Arc::clone(&tls)));
            begun.push(echo(connection).await.1);
        }
        begun
    });
    let cases = [
        (TlsClient::opportunistic().unwrap(), "anything.test", true),
        (TlsClient::verified(Some(&ca)).unwrap(), "mail.here.test", true),
        (TlsClient::verified(Some(&ca)).unwrap(), "other.test", false),
        (TlsClient::verified(None).unwrap(), "mail.here.test", false),
    ];
    for (policy, name, fine) in cases {
        let mut client = Connection::dial(addr, None, Duration::from_secs(5)).await.unwrap();
        client.set_tls_client(policy, name);
        let mut toy = Toy::client("STARTTLS\r\n");
        let mut cancelled = 0;
        // Also a handshake may be dropped and taken up again.
        let heard = loop {
            if toy.tls == 1 && !toy.asked {
                toy.asked = true;
                toy.out.extend_from_slice(b"hello\r\nQUIT\r\n");
                toy.asked = false;
                toy.tls = 2;
            }
            tokio::select! {
                biased;
                next = client.next(&mut toy) => break next,
                () = tokio::time::sleep(Duration::from_micros(200)) => cancelled += 1,
            }
            assert!(cancelled < 100_000);
        };
        match (heard, fine) {
            (Next::Event(line), true) => {
                assert_eq!(line, "hello");
                assert!(client.is_tls());
                while let Next::Event(_) = client.next(&mut toy).await {}
            }
            (Next::Closed, false) => assert!(client.error().unwrap().to_string().contains("certificate"), "{:?}", client.error()),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(server.await.unwrap(), vec![1, 1, 0, 0]);
}

#[tokio::test]
async fn reload_keeps_open_connections_and_serves_the_new_certificate() {
    let (listener, addr) = listen();
    let (dir, tls) = certificate();
    let old = std::fs::read(dir.path().join("self-signed.pem")).unwrap();
    let (other_dir, other) = certificate();
    let served = Arc::clone(&tls);
    tokio::spawn(async move {
        loop {
            let incoming = listener.accept().await.unwrap();
            let tls = Arc::clone(&served);
            tokio::spawn(async move {
                if let Ok(connection) = Connection::server_tls(incoming, &tls, Duration::from_secs(5)).await {
                    echo(connection).await;
                }
            });
        }
    });
    let limit = Duration::from_secs(5);
    let old_file = dir.path().join("old.pem");
    std::fs::write(&old_file, old).unwrap();
    let trusts_old = TlsClient::verified(Some(&old_file)).unwrap();
    let mut first = Connection::dial_tls(addr, None, limit, &trusts_old, "mail.here.test").await.unwrap();
    for file in ["self-signed.pem", "self-signed.key"] {
        std::fs::copy(other_dir.path().join(file), dir.path().join(file)).unwrap();
    }
    tls.reload().unwrap();
    assert_eq!(tls.fingerprint(), other.fingerprint());
    let mut toy = Toy::client("still here\r\n");
    assert!(matches!(first.next(&mut toy).await, Next::Event(line) if line == "still here"));
    let fresh_store = TlsClient::verified(Some(&old_file)).unwrap();
    assert!(Connection::dial_tls(addr, None, limit, &fresh_store, "mail.here.test").await.is_err());
    let trusts_new = TlsClient::verified(Some(&other_dir.path().join("self-signed.pem"))).unwrap();
    Connection::dial_tls(addr, None, limit, &trusts_new, "mail.here.test").await.unwrap();
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_refused_in_time() {
    let (listener, addr) = listen();
    let (_dir, tls) = certificate();
    let client = TcpStream::connect(addr).await.unwrap();
    let incoming = listener.accept().await.unwrap();
    let error = Connection::server_tls(incoming, &tls, Duration::from_millis(50)).await.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    drop(client);
}

#[tokio::test]
async fn dialling_nobody_fails_and_the_source_address_can_be_chosen() {
    let (listener, addr) = listen();
    let from = "127.0.0.5".parse().unwrap();
    let _client = Connection::dial(addr, Some(from), Duration::from_secs(5)).await.unwrap();
    assert_eq!(listener.accept().await.unwrap().peer().ip(), Some(from));
    drop(listener);
    assert!(Connection::dial(addr, None, Duration::from_secs(5)).await.is_err());
}

#[tokio::test]
async fn flush_writes_answers_larger_than_memory_should_hold() {
    let (listener, addr) = listen();
    let server = tokio::spawn(async move {
        let mut connection = Connection::server(listener.accept().await.unwrap(), None);
        let mut toy = Toy::default();
        let Next::Event(_) = connection.next(&mut toy).await else { panic!() };
        let piece = vec![b'y'; 100_000];
        for _ in 0..100 {
            toy.out.extend_from_slice(&piece);
            assert!(connection.flush(&mut toy).await);
        }
        toy.answer("");
        while let Next::Event(_) = connection.next(&mut toy).await {}
        assert!(!connection.flush(&mut toy).await);
    });
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(b"give\r\nQUIT\r\n").await.unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 10_000_000 + 2 + 5);
    drop(client);
    server.await.unwrap();
}
