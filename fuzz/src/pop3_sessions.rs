//! POP3, both halves, against any peer. Data: mode, owner's mood, cuts, then what the peer says.

use crate::pieces::take;
use crate::play::{at_any_chunking, holds_still, lines_are_sound, note_octets};
use crate::sasl::verifier;
use wire::laws::Random;
use wire::limits::pop3 as limits;
use wire::pop3::client::{self, Request, Stls};
use wire::pop3::{Client, Config, Event, Maildrop, Refusal, Server};
use wire::sasl::client::Credentials;
use wire::sasl::{Mechanism, Question, Secret};

/// Whole lines of the text below.
const SIZES: [u64; 3] = [132, 0, 3_300];

struct Drop;

impl Maildrop for Drop {
    fn count(&self) -> u32 {
        SIZES.len() as u32
    }
    fn octets(&self, number: u32) -> u64 {
        SIZES[number as usize - 1]
    }
    fn unique_id(&self, number: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("7.{number}").as_bytes());
    }
}

fn message(number: u32) -> Vec<u8> {
    let text = b"Subject: x\r\n\r\n.dot\r\n..\r\n.\r\nline\r\n";
    text.iter().copied().cycle().take(SIZES[number as usize - 1] as usize).collect()
}

fn auth(server: &mut Server, question: Question, mood: &mut Random) {
    match question {
        Question::ScramLookup { .. } => server.scram(verifier(), "servernonceservernonce"),
        Question::ScramDone { proved: false, .. } => server.refuse(Refusal::Credentials),
        Question::Token { .. } if mood.below(2) == 0 => server.refuse_token(None),
        _ => match mood.below(5) {
            0 => server.refuse(Refusal::Credentials),
            1 => server.refuse([Refusal::InUse, Refusal::LoginDelay, Refusal::Suspended, Refusal::Temporary][mood.below(4)]),
            _ => server.accept(Box::new(Drop)),
        },
    }
}

fn content(server: &mut Server, number: u32, mood: &mut Random, log: &mut Vec<String>) {
    assert!((1..=SIZES.len() as u32).contains(&number), "no such message");
    match mood.below(8) {
        0 => server.refuse(Refusal::Gone),
        1 => {
            server.content(b"Subject: x\r\n");
            server.content_broken();
            log.push("broken off".into());
        }
        size => {
            for piece in message(number).chunks(size * 7) {
                if !server.content(piece) {
                    break;
                }
            }
            server.content_end();
        }
    }
}

/// A server of any kind.
pub(crate) fn server_config(mode: u8) -> Config {
    let config = Config { plaintext: mode & 1 != 0, stls: mode & 2 != 0, ..Config::new("here.test") };
    if mode & 4 != 0 { Config { mechanisms: vec![Mechanism::Plain], ..config } } else { config }
}

/// Whoever stands behind the server, in any mood.
pub(crate) fn server_owner(mood: u8) -> impl FnMut(&mut Server, Event, &mut Vec<String>) {
    let mut mood = Random(u64::from(mood) * 31 + 7);
    let mut over = false;
    move |server, event, log| {
        log.push(format!("{event:?}"));
        assert!(!over, "{event:?} after QUIT");
        holds_still(server);
        match event {
            Event::Auth(question) => {
                assert!(!server.is_open(), "a sign-in while signed in");
                auth(server, question, &mut mood);
            }
            Event::Retr { message } | Event::Top { message, .. } => content(server, message, &mut mood, log),
            Event::Quit { marked } => {
                assert!(server.is_open() || marked.is_empty());
                assert!(marked.is_sorted_by(|a, b| a < b) && marked.iter().all(|n| (1..=3).contains(n)));
                server.bye(mood.below(2) == 0);
                over = true;
            }
        }
    }
}

/// Octets a server holds at most.
pub(crate) const SERVER_HELD_MAX: usize = limits::INPUT_BYTES_MAX + limits::AUTH_BYTES_MAX;

/// The server against any client.
pub(crate) fn pop3_server(data: &[u8]) {
    let ([mode, mood, cuts], script) = take(data);
    let make = || Server::new(server_config(mode));
    let played = at_any_chunking(make, script, cuts, SERVER_HELD_MAX, || server_owner(mood));
    assert!(played.out.starts_with(b"+OK "));
    if !played.log.iter().any(|line| line == "broken off") {
        lines_are_sound(&played.out);
    }
}

/// A client of any kind that has asked for all it wants.
pub(crate) fn client_of(mode: u8) -> Client {
    let config = client::Config {
        tls: mode & 1 != 0,
        stls: [Stls::Never, Stls::IfOffered, Stls::Required][usize::from(mode >> 1 & 3) % 3],
        plaintext: mode & 8 != 0,
        credentials: Credentials { login: "ann".into(), password: Secret::new(b"secret".to_vec()) },
        nonce: "clientnonceclientnonce".into(),
        utf8: mode & 16 != 0,
    };
    let mut client = Client::new(config);
    ASKED.into_iter().for_each(|request| client.request(request));
    client
}

const ASKED: [Request; 7] = [
    Request::Stat,
    Request::Uidl,
    Request::List,
    Request::Retr(1),
    Request::Top { message: 2, lines: 1 },
    Request::Dele(1),
    Request::Quit,
];

/// Nothing after the failure, an answer for each request in order.
pub(crate) fn client_owner() -> impl FnMut(&mut Client, client::Event, &mut Vec<String>) {
    let (mut answered, mut failed) = (0, false);
    move |_, event, log| {
        assert!(!failed, "{event:?} after the failure");
        match &event {
            client::Event::Content(octets) => return note_octets(log, octets),
            client::Event::Done(request) | client::Event::Refused(request, _) => {
                assert_eq!(ASKED.get(answered), Some(request), "answers come in order");
                answered += 1;
            }
            client::Event::Stat { .. } => {
                assert_eq!(ASKED.get(answered), Some(&Request::Stat), "answers come in order");
                answered += 1;
            }
            client::Event::Failed(_) => failed = true,
            _ => {}
        }
        log.push(format!("{event:?}"));
    }
}

/// The client against any server.
pub(crate) fn pop3_client(data: &[u8]) {
    let ([mode, _, cuts], script) = take(data);
    let played = at_any_chunking(|| client_of(mode), script, cuts, limits::CHUNK_BYTES_MAX, client_owner);
    lines_are_sound(&played.out);
}
