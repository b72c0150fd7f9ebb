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

/// A client's stream that says `lines`, flushed by `flush` behind each.
fn stream(level: u32, flush: FlushCompress, lines: &[&[u8]]) -> Vec<u8> {
    let (mut compress, mut out) = (Compress::new(Compression::new(level), false), Vec::with_capacity(10_000));
    for (at, line) in lines.iter().enumerate() {
        let flush = if at + 1 == lines.len() { flush } else { FlushCompress::Sync };
        compress.compress_vec(line, &mut out, flush).unwrap();
    }
    out
}

fn signs_out(owner: &mut Owner, server: &mut Server, event: wire::imap::server::Event) {
    match event {
        wire::imap::server::Event::Command { command: Command::Unauthenticate, .. } => server.unauthenticated(),
        event => owner.answer(server, event),
    }
}

/// RFC 8437 §4.1: of the client's what is behind the command is not compressed, of ours what is behind the OK. Also when it
/// comes in the same packet, cut anywhere, and however the client flushes; and what comes before it may be a message.
#[test]
fn unauthenticate_ends_compression_behind_its_answer() {
    use FlushCompress::{Finish, Full, Partial, Sync};
    let command = b"c UNAUTHENTICATE\r\n";
    let append =
        [b"b APPEND INBOX {3000+}\r\n", "Subject: Lunch\r\n\r\n".repeat(200).as_bytes().get(..3000).unwrap(), b"\r\n"].concat();
    // By zlib's own partial flush, which leaves the last bits out; also behind "b NOOP" that was flushed the same way.
    let mut scripts: Vec<(Vec<u8>, &str)> = vec![
        (b"JV\x08\xf5s\x0c\x0d\xf1p\xf5\x0b\xf1tv\x0cq\xe5\xe5\x02\x08".to_vec(), ""),
        (
            b"JR\xf0\xf3\xf7\x0f\xe0\xe5\x02\x08\xa0d\x85P?\xc7\xd0\x10\x0fW\xbf\x10Og\xc7\x10W^.\x80\x00".to_vec(),
            "b OK Done\r\n",
        ),
    ];
    for level in [0, 1, 9] {
        for flush in [Partial, Sync, Full, Finish] {
            scripts.push((stream(level, flush, &[command]), ""));
            scripts.push((stream(level, flush, &[b"b NOOP\r\n", command]), "b OK Done\r\n"));
            scripts.push((stream(level, flush, &[&[&append[..], command].concat()]), "b OK [APPENDUID 1 3000] Appended\r\n"));
        }
    }
    for (octets, said) in scripts {
        let plain = b"d NOOP\r\ne LIST \"\" *\r\nf LOGIN ann pw\r\n";
        let octets = [&octets[..], plain].concat();
        for size in (1..=octets.len()).filter(|size| *size < 50 || octets.len() < 200) {
            let (mut session, mut owner) = (compressing(), Owner::default());
            let (out, end) =
                laws::converse(&mut session, octets.chunks(size), &mut |server: &mut Server, e| signs_out(&mut owner, server, e));
            let at = out.windows(5).position(|w| w == b"d OK ").unwrap_or_else(|| panic!("pieces of {size}: {octets:?} {out:?}"));
            assert_eq!(inflated(&out[..at]), format!("{said}c OK Nobody is signed in now\r\n"), "pieces of {size}");
            let rest = String::from_utf8(out[at..].to_vec()).unwrap();
            assert!(rest.starts_with("d OK Done\r\ne BAD Sign in first\r\nf OK ") && rest.contains("COMPRESS=DEFLATE"), "{rest}");
            assert_eq!(end, End::Waiting);
        }
    }
}

#[test]
fn a_stream_that_ends_elsewhere_is_broken() {
    let octets = stream(6, FlushCompress::Finish, &[b"c NOOP\r\n"]);
    let (out, end) = run(&mut compressing(), [octets.as_slice()]);
    assert_eq!((inflated(&out).as_str(), end), ("c OK Done\r\n* BYE That is not compressed\r\n", End::Closed));
}

/// RFC 8437 §3, §8: not there where it is switched off. What is behind it is compressed as before.
#[test]
fn a_refused_unauthenticate_leaves_compression_on() {
    let octets = stream(6, FlushCompress::Sync, &[b"c UNAUTHENTICATE\r\n", b"d NOOP\r\n"]);
    for size in 1..=octets.len() {
        let mut session = compressing();
        session.switch_off(["unauthenticate".into()]);
        let (out, end) = run(&mut session, octets.chunks(size));
        let said = "c BAD That is not offered\r\nd OK Done\r\n";
        assert_eq!((inflated(&out).as_str(), end), (said, End::Waiting), "pieces of {size}");
    }
}
