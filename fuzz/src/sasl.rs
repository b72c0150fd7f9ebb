//! SASL, both halves against anything, and each against the other.

use crate::pieces::take;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use wire::limits::sasl as limits;
use wire::sasl::client::{self, Credentials, Failure};
use wire::sasl::server::{Exchange, Step};
use wire::sasl::{self, Mechanism, Question, ScramVerifier, Secret};

static VERIFIER: LazyLock<ScramVerifier> =
    LazyLock::new(|| ScramVerifier::derive(b"pw", b"salt of sixteen!", NonZeroU32::MIN.saturating_add(4095)));

/// Of the password `pw`; derived once, it is slow on purpose.
pub(crate) fn verifier() -> ScramVerifier {
    VERIFIER.clone()
}

fn mechanism(octet: u8) -> Mechanism {
    Mechanism::WITH_PASSWORD[usize::from(octet) % 3]
}

/// The server's half: lines of a client, decoded. Without the password nothing is proved.
pub(crate) fn sasl_server(data: &[u8]) {
    let ([which], rest) = take(data);
    if let Ok(octets) = sasl::decode_line(rest) {
        assert!(octets.len() <= limits::LINE_BYTES_MAX);
        assert_eq!(sasl::decode_line(sasl::encode_line(&octets).as_bytes()).as_deref(), Ok(&*octets));
        assert_eq!(sasl::decode_initial(sasl::encode_initial(&octets).as_bytes()).as_deref(), Ok(&*octets));
    }
    let mut lines = rest.split(|octet| *octet == b'\n');
    let initial = if which & 4 != 0 { lines.next() } else { None };
    let channel = sasl::Channel { exporter: Some([7; 32]), server_end_point: Some(vec![9; 32]), external: true };
    let any = if which < 8 { mechanism(which) } else { Mechanism::ALL[usize::from(which >> 3) % Mechanism::ALL.len()] };
    let (mut exchange, mut step) = Exchange::start_on(any, initial, Some(&channel).filter(|_| which & 0x80 != 0));
    let mut over = false;
    for line in lines.take(8) {
        if let Step::Ask(Question::ScramLookup { login }) = &step {
            assert!(!over && !login.is_empty());
            step = exchange.scram(verifier(), "servernonce");
            assert!(matches!(step, Step::Challenge(_)));
        }
        match &step {
            Step::Challenge(_) => assert!(!over, "a challenge after the end"),
            Step::Ask(Question::ScramDone { proved, .. }) => {
                assert!(!over && !proved, "proved without the password");
                over = true;
            }
            Step::Ask(Question::Password { login, password }) => {
                assert!(!over && login.len() <= limits::WORD_BYTES_MAX && password.as_bytes().len() <= limits::WORD_BYTES_MAX);
                over = true;
            }
            Step::Ask(Question::Token { token, .. }) => {
                assert!(!over && token.as_bytes().len() <= limits::TOKEN_BYTES_MAX);
                step = exchange.refuse_token(Some("https://id.test/"));
                assert!(matches!(step, Step::Challenge(_)));
            }
            Step::Ask(Question::Certificate { .. }) => over = true,
            Step::Ask(_) => panic!("a second lookup"),
            Step::Refused(_) | Step::Failed(_) => over = true,
        }
        step = exchange.respond(line);
        assert!(!over || matches!(step, Step::Failed(_)), "it goes on after its end: {step:?}");
    }
}

/// The client's half: challenges of a server. With SCRAM no server without the verifier is believed.
pub(crate) fn sasl_client(data: &[u8]) {
    let ([which], rest) = take(data);
    let mechanism = mechanism(which);
    let credentials = Credentials { login: "a=n,n".into(), password: Secret::new(b"not pw at all".to_vec()) };
    let mut exchange = client::Exchange::new(mechanism, credentials, "clientnonce", None);
    if which & 4 != 0 {
        let _ = exchange.initial();
    }
    for challenge in rest.split(|octet| *octet == b'\n').take(6) {
        if rounds(challenge) > 20_000 && rounds(challenge) <= u64::from(limits::ITERATIONS_MAX) {
            return;
        }
        match exchange.respond(challenge) {
            Ok(answer) => assert!(mechanism != Mechanism::ScramSha256 || !answer.windows(13).any(|w| w == b"not pw at all")),
            Err(failure) => assert!(mechanism == Mechanism::ScramSha256 || failure == Failure::Syntax),
        }
        assert!(mechanism != Mechanism::ScramSha256 || exchange.succeeded().is_err(), "believed without a proof");
    }
}

/// How slow `i=` would make us; the limit itself has a test of its own.
fn rounds(challenge: &[u8]) -> u64 {
    let Some(at) = challenge.windows(2).rposition(|window| window == b"i=") else { return 0 };
    challenge[at + 2..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0, |n: u64, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0')))
}

/// Both halves: name and password, parted by NUL. The right password signs in, the wrong one does not.
pub(crate) fn sasl_pair(data: &[u8]) {
    let ([which], rest) = take(data);
    let mut words = rest.splitn(2, |octet| *octet == 0);
    let login = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
    let password = words.next().unwrap_or_default().to_vec();
    let credentials = Credentials { login: login.clone(), password: Secret::new(password.clone()) };
    let mut client = client::Exchange::new(mechanism(which), credentials, "clientnonce", None);
    let (mut server, mut step) = Exchange::start(mechanism(which), None);
    for _ in 0..8 {
        let challenge = match step {
            Step::Challenge(challenge) => challenge,
            Step::Ask(Question::ScramLookup { login: asked }) => {
                assert_eq!(asked, login);
                step = server.scram(verifier(), "servernonce");
                continue;
            }
            Step::Ask(Question::ScramDone { login: asked, proved }) => {
                // HMAC pads its key with NUL (RFC 2104 §2), so those at a password's end make no difference.
                let right = password.strip_prefix(b"pw").is_some_and(|rest| rest.iter().all(|octet| *octet == 0));
                assert_eq!((asked, proved), (login, right));
                assert_eq!(client.succeeded().is_ok(), proved);
                return;
            }
            Step::Ask(Question::Password { login: asked, password: said }) => {
                assert_eq!((asked, said.as_bytes()), (login, password.as_slice()));
                assert_eq!(client.succeeded(), Ok(()));
                return;
            }
            // An empty name, a control character and the like.
            Step::Ask(_) | Step::Refused(_) | Step::Failed(_) => return,
        };
        match client.respond(&challenge) {
            Ok(answer) => step = server.respond(&answer),
            Err(failure) => panic!("{failure:?} to our own challenge {}", challenge.escape_ascii()),
        }
    }
    panic!("the exchange has no end");
}
