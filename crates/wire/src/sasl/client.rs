//! The client's half of a SASL exchange.
//!
//! Invariant: with SCRAM, success is believed only after the server proved that it knows the verifier.

use super::scram::{self, Keys, ServerFirst};
use super::{Mechanism, Secret};
use crate::limits::sasl as limits;
use std::fmt;
use zeroize::Zeroizing;

/// What a client signs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Login name.
    pub login: String,
    /// Password.
    pub password: Secret,
}

/// Why the client gave the exchange up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The server's message is not what the mechanism says.
    Syntax,
    /// Too few or too many rounds asked.
    Iterations,
    /// The server could not prove that it knows us.
    ServerUnproved,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Syntax => "the server's sign-in challenge makes no sense",
            Failure::Iterations => "the server asks for too few or too many SCRAM rounds",
            Failure::ServerUnproved => "the server did not prove that it knows the password",
        })
    }
}

/// One exchange.
#[derive(Debug)]
pub struct Exchange {
    credentials: Credentials,
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword,
    ScramStart { bare: String },
    ScramFirst { bare: String },
    ScramFinal { server_signature: [u8; 32] },
    Done,
}

/// The strongest mechanism of `offered`; those that show the password only where `private`.
pub fn choose(offered: &[Mechanism], private: bool) -> Option<Mechanism> {
    Mechanism::ALL.into_iter().find(|m| offered.contains(m) && (private || !m.shows_password()))
}

impl Exchange {
    /// `nonce`: random printable ASCII without comma, new for every exchange (only SCRAM uses it).
    pub fn new(mechanism: Mechanism, credentials: Credentials, nonce: &str) -> Exchange {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::ScramSha256 => State::ScramStart { bare: format!("n={},r={nonce}", scram::escape(&credentials.login)) },
        };
        Exchange { credentials, state }
    }

    /// The initial response, where the mechanism lets the client speak first. Call it once; when it could not be
    /// sent with the command, the server's empty challenge is answered with it by [`Exchange::respond`].
    pub fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        match &self.state {
            State::Plain | State::ScramStart { .. } => self.respond(b"").ok(),
            _ => None,
        }
    }

    /// The answer to a decoded challenge.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let password = self.credentials.password.as_bytes();
        let (answer, next) = match &self.state {
            State::Plain => (Zeroizing::new([b"\0", self.credentials.login.as_bytes(), b"\0", password].concat()), State::Done),
            State::LoginName => (Zeroizing::new(self.credentials.login.clone().into_bytes()), State::LoginPassword),
            State::LoginPassword => (Zeroizing::new(password.to_vec()), State::Done),
            State::ScramStart { bare } => {
                (Zeroizing::new(format!("n,,{bare}").into_bytes()), State::ScramFirst { bare: bare.clone() })
            }
            State::ScramFirst { bare } => scram_final(bare, challenge, password)?,
            State::ScramFinal { server_signature } => {
                let proof = challenge.strip_prefix(b"v=").and_then(|v| data_encoding::BASE64.decode(v).ok());
                if !proof.is_some_and(|p| scram::same(&p, server_signature)) {
                    return Err(Failure::ServerUnproved);
                }
                (Zeroizing::new(Vec::new()), State::Done)
            }
            State::Done => return Err(Failure::Syntax),
        };
        self.state = next;
        Ok(answer)
    }

    /// The server said yes: is that to be believed?
    pub fn succeeded(&self) -> Result<(), Failure> {
        match self.state {
            State::Done => Ok(()),
            State::ScramStart { .. } | State::ScramFirst { .. } | State::ScramFinal { .. } => Err(Failure::ServerUnproved),
            _ => Err(Failure::Syntax),
        }
    }
}

fn scram_final(bare: &str, challenge: &[u8], password: &[u8]) -> Result<(Zeroizing<Vec<u8>>, State), Failure> {
    let server_first = ServerFirst::parse(challenge).ok_or(Failure::Syntax)?;
    let our_nonce = bare.rsplit_once(",r=").map_or("", |(_, nonce)| nonce);
    if !server_first.nonce.starts_with(our_nonce) || server_first.nonce.len() <= our_nonce.len() {
        return Err(Failure::Syntax);
    }
    let rounds = server_first.iterations.get();
    if !(limits::ITERATIONS_MIN..=limits::ITERATIONS_MAX).contains(&rounds) {
        return Err(Failure::Iterations);
    }
    let keys = Keys::derive(password, &server_first.salt, server_first.iterations);
    let without_proof = format!("c=biws,r={}", server_first.nonce);
    let auth_message = format!("{bare},{},{without_proof}", String::from_utf8_lossy(challenge));
    let stored_key = scram::sha256(keys.client_key.as_slice());
    let proof = scram::xor(&keys.client_key, &scram::hmac_sha256(&stored_key, auth_message.as_bytes()));
    let message = format!("{without_proof},p={}", data_encoding::BASE64.encode(&proof));
    let server_signature = scram::hmac_sha256(&keys.server_key, auth_message.as_bytes());
    Ok((Zeroizing::new(message.into_bytes()), State::ScramFinal { server_signature }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::sasl::{Question, ScramVerifier, server};
    use std::num::NonZeroU32;

    fn ann(password: &[u8]) -> Credentials {
        Credentials { login: "ann@here.test".into(), password: Secret::new(password.to_vec()) }
    }

    /// Runs both halves; the server knows `pw`.
    fn meet(mechanism: Mechanism, speaks_first: bool, password: &[u8]) -> bool {
        let mut client = Exchange::new(mechanism, ann(password), "clientnonce");
        let initial = if speaks_first { client.initial() } else { None };
        let (mut server, mut step) = server::Exchange::start(mechanism, initial.as_ref().map(|i| i.as_slice()));
        loop {
            step = match step {
                server::Step::Challenge(challenge) => match client.respond(&challenge) {
                    Ok(answer) => server.respond(&answer),
                    Err(_) => return false,
                },
                server::Step::Ask(Question::Password { login, password }) => {
                    assert_eq!(login, "ann@here.test");
                    return password.as_bytes() == b"pw" && client.succeeded().is_ok();
                }
                server::Step::Ask(Question::ScramLookup { .. }) => {
                    server.scram(ScramVerifier::derive(b"pw", b"0123456789abcdef", NonZeroU32::new(4096).unwrap()), "servernonce")
                }
                server::Step::Ask(Question::ScramDone { proved, .. }) => return proved && client.succeeded().is_ok(),
                server::Step::Failed(failure) => panic!("{failure:?}"),
            }
        }
    }

    #[test]
    fn both_halves_agree() {
        for mechanism in Mechanism::ALL {
            for speaks_first in [false, true] {
                assert!(meet(mechanism, speaks_first, b"pw"), "{mechanism:?}");
                assert!(!meet(mechanism, speaks_first, b"px"), "{mechanism:?}");
            }
        }
    }

    #[test]
    fn an_unproved_server_is_not_believed() {
        let mut client = Exchange::new(Mechanism::ScramSha256, ann(b"pw"), "abc");
        client.initial().unwrap();
        assert_eq!(client.succeeded(), Err(Failure::ServerUnproved));
        assert_eq!(client.respond(b"r=abcdef,s=AAAA,i=100"), Err(Failure::Iterations));
        assert_eq!(client.respond(b"r=abcdef,s=AAAA,i=99999999"), Err(Failure::Iterations));
        assert_eq!(client.respond(b"r=xyz,s=AAAA,i=4096"), Err(Failure::Syntax));
        client.respond(b"r=abcdef,s=AAAA,i=4096").unwrap();
        assert_eq!(client.succeeded(), Err(Failure::ServerUnproved));
        assert_eq!(client.respond(b"v=AAAA"), Err(Failure::ServerUnproved));
    }

    #[test]
    fn the_strongest_that_is_safe() {
        assert_eq!(choose(&[Mechanism::Login, Mechanism::Plain], true), Some(Mechanism::Plain));
        assert_eq!(choose(&Mechanism::ALL, true), Some(Mechanism::ScramSha256));
        assert_eq!(choose(&[Mechanism::Plain], false), None);
    }
}
