//! COMPRESS=DEFLATE (RFC 4978): the server against raw streams, and against our client.

use crate::owner::{Owner, config, server};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use wire::imap::client::{Client, ClientConfig, Event, StartTls};
use wire::imap::response::Kind;
use wire::imap::server::Server;
use wire::imap::{Command, limits};
use wire::laws::{self, Buffered, End};
use wire::sasl::Secret;
use wire::sasl::client::Credentials;
use wire::{Session, Time};

fn deflated(text: &[u8]) -> Vec<u8> {
    let (mut compress, mut out) = (Compress::new(Compression::default(), false), Vec::with_capacity(text.len() + 1000));
    compress.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
    out
}

fn inflated(octets: &[u8]) -> String {
    let (mut decompress, mut out) = (Decompress::new(false), Vec::with_capacity(1_000_000));
    decompress.decompress_vec(octets, &mut out, FlushDecompress::None).unwrap();
    String::from_utf8(out).unwrap()
}

/// Signed in, compression on.
fn compressing() -> Server {
    let mut session = server("plaintext");
    let (out, _) = run(&mut session, [&b"a LOGIN ann pw\r\nb COMPRESS deflate\r\n"[..]]);
    assert!(out.ends_with(b"b OK DEFLATE active\r\n"), "its answer is not compressed");
    session
}

fn run<'a>(session: &mut Server, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, End) {
    let mut owner = Owner::default();
    laws::converse(session, pieces, &mut |server, event| owner.answer(server, event))
}

#[test]
fn any_cut_of_the_compressed_stream_says_the_same() {
    let script = b"c SELECT INBOX\r\nd APPEND INBOX {5}\r\nHello\r\ne FETCH 1 BODY[]\r\nf COMPRESS DEFLATE\r\ng FOO\r\n";
    let expected = "* 1 EXISTS\r\nc OK [READ-WRITE] Selected\r\n+ Ready for the message\r\nd OK [APPENDUID 1 5] Appended\r\n\
* 1 FETCH (UID 1 BODY[] {12}\r\nHello\r\nworld)\r\ne OK Fetched\r\n\
f NO [COMPRESSIONACTIVE] DEFLATE is active already\r\ng BAD unknown command\r\n";
    let octets = deflated(script);
    for size in 1..=octets.len() {
        let (out, end) = run(&mut compressing(), octets.chunks(size));
        assert_eq!((inflated(&out).as_str(), end), (expected, End::Waiting), "pieces of {size}");
    }
    // What stands behind the command in the same packet is compressed.
    let mut session = server("plaintext");
    let (out, _) = run(&mut session, [[&b"a LOGIN ann pw\r\nb COMPRESS DEFLATE\r\n"[..], &octets].concat().as_slice()]);
    let at = out.windows(16).position(|w| w == b"DEFLATE active\r\n").unwrap() + 16;
    assert_eq!(inflated(&out[at..]), expected);
}

#[test]
fn not_before_sign_in_and_nothing_but_deflate() {
    let mut session = server("plaintext");
    let (out, _) = run(&mut session, [&b"a COMPRESS DEFLATE\r\nb LOGIN ann pw\r\nc COMPRESS LZW\r\nd NOOP\r\n"[..]]);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("a BAD Sign in first\r\n") && out.contains("c NO [CANNOT]") && out.ends_with("d OK Done\r\n"), "{out}");
    let mut off = config("plaintext");
    off.capabilities_off = vec!["compress=deflate".into()];
    let mut session = Server::new(off);
    let (out, _) = run(&mut session, [&b"a LOGIN ann pw\r\nb COMPRESS DEFLATE\r\nc NOOP\r\n"[..]]);
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("COMPRESS=") && out.contains("b NO [CANNOT]") && out.ends_with("c OK Done\r\n"), "{out}");
}

#[test]
fn a_bomb_is_bounded_and_nonsense_ends_the_session() {
    let bomb = deflated(&b"x".repeat(30_000_000));
    let mut session = compressing();
    let mut owner = Owner::default();
    for piece in bomb.chunks(16_384) {
        session.receive(piece);
        laws::settle(&mut session, Time(0), &mut |server, event| owner.answer(server, event));
        assert!(session.input_buffered() <= limits::INPUT_BYTES_MAX + 16_384, "{}", session.input_buffered());
    }
    let (out, end) = run(&mut compressing(), [&b"a NOOP\r\nb NOOP\r\n"[..]]);
    assert_eq!(end, End::Closed);
    assert!(inflated(&out).starts_with("* BYE"));
}

#[test]
fn the_compressor_is_given_back_when_nothing_is_said() {
    let mut session = compressing();
    let (_, end) = run(&mut session, [deflated(b"c NOOP\r\n").as_slice()]);
    assert_eq!(end, End::Waiting);
    let mut owner = Owner::default();
    laws::settle(&mut session, Time(5), &mut |server, event| owner.answer(server, event));
    let deadline = session.deadline().unwrap();
    assert_eq!(deadline, Time(10_005));
    laws::settle(&mut session, deadline, &mut |server, event| owner.answer(server, event));
    assert!(session.deadline().unwrap() > Time(60_000), "only silence is waited for now");
}

#[test]
fn our_client_compresses_too() {
    let mut client = Client::new(ClientConfig {
        tls: false,
        starttls: StartTls::Never,
        credentials: Some(Credentials { login: "ann".into(), password: Secret::new(b"pw".to_vec()) }),
        plaintext: true,
        nonce: "clientnonceclientnonce".into(),
    });
    let (mut server, mut owner, mut events) = (server("plaintext"), Owner::default(), Vec::new());
    let mut carried = Vec::new();
    let mut exchange = |client: &mut Client| {
        loop {
            laws::settle(client, Time(0), &mut |_, event| events.push(event));
            let mut wire = Vec::new();
            client.transmit(&mut wire);
            carried.extend_from_slice(&wire);
            let mut quiet = wire.is_empty();
            server.receive(&wire);
            laws::settle(&mut server, Time(0), &mut |server, event| owner.answer(server, event));
            let mut wire = Vec::new();
            server.transmit(&mut wire);
            quiet &= wire.is_empty();
            // In pieces, as a network has them.
            for piece in wire.chunks(7) {
                client.receive(piece);
                laws::settle(client, Time(0), &mut |_, event| events.push(event));
            }
            if quiet {
                return;
            }
        }
    };
    exchange(&mut client);
    let tags = [Command::Compress("DEFLATE".into()), Command::Noop, Command::Namespace].map(|c| client.command(&c));
    exchange(&mut client);
    for tag in &tags {
        let ended = events.iter().any(|e| matches!(e, Event::Tagged(t, status) if t == tag && status.kind == Kind::Ok));
        assert!(ended, "{tag:?} in {events:?}");
    }
    let carried = String::from_utf8_lossy(&carried);
    assert!(carried.contains("COMPRESS DEFLATE\r\n") && !carried.contains("NOOP") && !carried.contains("NAMESPACE"));
}

#[test]
fn unauthenticate_ends_compression_behind_its_answer() {
    let mut session = compressing();
    let mut owner = Owner::default();
    let (out, _) =
        laws::converse(&mut session, [deflated(b"c UNAUTHENTICATE\r\n").as_slice()], &mut |server: &mut Server, event| {
            if let wire::imap::server::Event::Command { command: Command::Unauthenticate, .. } = event {
                return server.unauthenticated();
            }
            owner.answer(server, event);
        });
    assert_eq!(inflated(&out), "c OK Nobody is signed in now\r\n");
    let (out, _) = run(&mut session, [&b"d NOOP\r\ne LIST \"\" *\r\n"[..]]);
    assert_eq!(String::from_utf8(out).unwrap(), "d OK Done\r\ne BAD Sign in first\r\n");
}
