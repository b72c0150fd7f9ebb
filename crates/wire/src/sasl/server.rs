//! The server's half of a SASL exchange: lines in, challenges and questions out.
//!
//! The session around it decodes base64 ([`super::decode_line`]), sends challenges in its protocol's way and hands
//! [`Question`]s to its owner. Invariant: an exchange that failed or finished says nothing more than `Failed`.

use super::scram::{self, ClientFinal, ClientFirst, ScramVerifier, ServerFirst};
use super::{Failure, Mechanism, Question, Secret};
use crate::limits::sasl as limits;
use zeroize::Zeroizing;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these octets, base64-encoded, and wait for a line.
    Challenge(Vec<u8>),
    /// Ask the owner. After [`Question::ScramLookup`] call [`Exchange::scram`]; the others end the exchange.
    Ask(Question),
    /// Over, without success.
    Failed(Failure),
}

/// One exchange.
#[derive(Debug)]
pub struct Exchange {
    state: State,
}

#[derive(Debug)]
enum State {
    /// PLAIN without an initial response.
    Plain,
    LoginName,
    LoginPassword {
        login: String,
    },
    ScramFirst,
    ScramVerifier {
        first: ClientFirst,
    },
    ScramFinal(Box<ScramFinal>),
    ScramAcknowledge {
        login: String,
    },
    Over,
}

#[derive(Debug)]
struct ScramFinal {
    first: ClientFirst,
    server_first: String,
    nonce: String,
    verifier: ScramVerifier,
}

impl Exchange {
    /// Begins; `initial` is the decoded initial response, if the client sent one.
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> (Exchange, Step) {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::ScramSha256 => State::ScramFirst,
        };
        let mut exchange = Exchange { state };
        let step = match (initial, mechanism) {
            (Some(octets), _) => exchange.respond(octets),
            // Never an empty challenge: some clients take it for an error.
            (None, Mechanism::Login) => Step::Challenge(b"Username:".to_vec()),
            (None, _) => Step::Challenge(Vec::new()),
        };
        (exchange, step)
    }

    /// The client's next message, decoded.
    pub fn respond(&mut self, octets: &[u8]) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Plain => plain(octets).map_or_else(Step::Failed, Step::Ask),
            State::LoginName => match word(octets) {
                Ok(login) if !login.is_empty() => {
                    self.state = State::LoginPassword { login };
                    Step::Challenge(b"Password:".to_vec())
                }
                Ok(_) => Step::Failed(Failure::Syntax),
                Err(failure) => Step::Failed(failure),
            },
            State::LoginPassword { login } => match password(octets) {
                Ok(password) => Step::Ask(Question::Password { login, password }),
                Err(failure) => Step::Failed(failure),
            },
            State::ScramFirst => match ClientFirst::parse(octets) {
                Ok(first) if !may_act_as(&first.authzid, &first.login) => Step::Failed(Failure::AuthorizationIdentity),
                Ok(first) => {
                    let login = first.login.clone();
                    self.state = State::ScramVerifier { first };
                    Step::Ask(Question::ScramLookup { login })
                }
                Err(failure) => Step::Failed(failure),
            },
            State::ScramFinal(exchange) => match exchange.check(octets) {
                Ok(Some(server_final)) => {
                    self.state = State::ScramAcknowledge { login: exchange.first.login };
                    Step::Challenge(server_final.into_bytes())
                }
                Ok(None) => Step::Ask(Question::ScramDone { login: exchange.first.login, proved: false }),
                Err(failure) => Step::Failed(failure),
            },
            State::ScramAcknowledge { login } if octets.is_empty() => Step::Ask(Question::ScramDone { login, proved: true }),
            State::ScramAcknowledge { .. } | State::ScramVerifier { .. } | State::Over => Step::Failed(Failure::Syntax),
        }
    }

    /// The owner's answer to [`Question::ScramLookup`].
    pub fn scram(&mut self, verifier: ScramVerifier, nonce: &str) -> Step {
        let State::ScramVerifier { first } = std::mem::replace(&mut self.state, State::Over) else {
            return Step::Failed(Failure::Syntax);
        };
        let nonce = format!("{}{nonce}", first.nonce);
        let server_first = ServerFirst::encode(&nonce, &verifier);
        let challenge = server_first.clone().into_bytes();
        self.state = State::ScramFinal(Box::new(ScramFinal { first, server_first, nonce, verifier }));
        Step::Challenge(challenge)
    }
}

impl ScramFinal {
    /// `server-final-message` if the proof is right, `None` if it is wrong (RFC 5802 §3).
    fn check(&self, octets: &[u8]) -> Result<Option<String>, Failure> {
        let answer = ClientFinal::parse(octets)?;
        if answer.nonce != self.nonce || answer.binding != self.first.gs2_header.as_bytes() {
            return Err(Failure::Syntax);
        }
        let auth_message = format!("{},{},{}", self.first.bare, self.server_first, answer.without_proof);
        let signature = scram::hmac_sha256(&self.verifier.stored_key, auth_message.as_bytes());
        let client_key = Zeroizing::new(scram::xor(&answer.proof, &signature));
        if !scram::same(&scram::sha256(client_key.as_slice()), &self.verifier.stored_key) {
            return Ok(None);
        }
        let server_signature = scram::hmac_sha256(&self.verifier.server_key, auth_message.as_bytes());
        Ok(Some(format!("v={}", data_encoding::BASE64.encode(&server_signature))))
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn plain(octets: &[u8]) -> Result<Question, Failure> {
    let mut parts = octets.split(|&octet| octet == 0);
    let (Some(authzid), Some(login), Some(secret), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Failure::Syntax);
    };
    let (authzid, login) = (word(authzid)?, word(login)?);
    if login.is_empty() {
        return Err(Failure::Syntax);
    }
    if !may_act_as(&authzid, &login) {
        return Err(Failure::AuthorizationIdentity);
    }
    Ok(Question::Password { login, password: password(secret)? })
}

/// Nobody acts for another account yet: an authorization identity must be the login itself.
fn may_act_as(authzid: &str, login: &str) -> bool {
    authzid.is_empty() || authzid.to_lowercase() == login.to_lowercase()
}

fn word(octets: &[u8]) -> Result<String, Failure> {
    if octets.len() > limits::WORD_BYTES_MAX {
        return Err(Failure::TooLong);
    }
    match std::str::from_utf8(octets) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(Failure::Syntax),
    }
}

fn password(octets: &[u8]) -> Result<Secret, Failure> {
    if octets.len() > limits::WORD_BYTES_MAX {
        return Err(Failure::TooLong);
    }
    if octets.is_empty() || octets.contains(&0) {
        return Err(Failure::Syntax);
    }
    Ok(Secret::new(octets.to_vec()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use std::num::NonZeroU32;

    fn asks_password(step: Step, login: &str, password: &[u8]) {
        let Step::Ask(Question::Password { login: l, password: p }) = step else { panic!("{step:?}") };
        assert_eq!((l.as_str(), p.as_bytes()), (login, password));
    }

    #[test]
    fn plain_with_and_without_initial_response() {
        asks_password(Exchange::start(Mechanism::Plain, Some(b"\0ann\0pw")).1, "ann", b"pw");
        let (mut exchange, step) = Exchange::start(Mechanism::Plain, None);
        assert_eq!(step, Step::Challenge(vec![]));
        asks_password(exchange.respond(b"Ann\0ann\0p w"), "ann", b"p w");
        assert_eq!(exchange.respond(b"\0ann\0pw"), Step::Failed(Failure::Syntax));
    }

    #[test]
    fn plain_refuses() {
        let fails = |octets: &[u8]| match Exchange::start(Mechanism::Plain, Some(octets)).1 {
            Step::Failed(failure) => failure,
            other => panic!("{other:?}"),
        };
        assert_eq!(fails(b"bob\0ann\0pw"), Failure::AuthorizationIdentity);
        assert_eq!(fails(b"ann\0pw"), Failure::Syntax);
        assert_eq!(fails(b"\0ann\0pw\0more"), Failure::Syntax);
        assert_eq!(fails(b"\0\0pw"), Failure::Syntax);
        assert_eq!(fails(b"\0ann\0"), Failure::Syntax);
        assert_eq!(fails(b"\0\xff\0pw"), Failure::Syntax);
        assert_eq!(fails(&[b"\0ann\0".as_slice(), &[b'p'; 1025]].concat()), Failure::TooLong);
    }

    #[test]
    fn login_asks_in_words_outlook_knows() {
        let (mut exchange, step) = Exchange::start(Mechanism::Login, None);
        assert_eq!(step, Step::Challenge(b"Username:".to_vec()));
        assert_eq!(exchange.respond(b"ann"), Step::Challenge(b"Password:".to_vec()));
        asks_password(exchange.respond(b"pw"), "ann", b"pw");
        let (mut exchange, step) = Exchange::start(Mechanism::Login, Some(b"ann"));
        assert_eq!(step, Step::Challenge(b"Password:".to_vec()));
        asks_password(exchange.respond(b"pw"), "ann", b"pw");
    }

    /// RFC 7677 §3, to the letter.
    fn rfc7677(proof: &str) -> (Exchange, Step) {
        let salt = data_encoding::BASE64.decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = ScramVerifier::derive(b"pencil", &salt, NonZeroU32::new(4096).unwrap());
        let (mut exchange, step) = Exchange::start(Mechanism::ScramSha256, Some(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
        assert_eq!(step, Step::Ask(Question::ScramLookup { login: "user".into() }));
        let step = exchange.scram(verifier, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(step, Step::Challenge(first.as_bytes().to_vec()));
        let last = format!("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p={proof}");
        let step = exchange.respond(last.as_bytes());
        (exchange, step)
    }

    #[test]
    fn scram_known_answer() {
        let (mut exchange, step) = rfc7677("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_eq!(step, Step::Challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec()));
        assert_eq!(exchange.respond(b""), Step::Ask(Question::ScramDone { login: "user".into(), proved: true }));
    }

    #[test]
    fn scram_wrong_proof() {
        let (_, step) = rfc7677("AHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_eq!(step, Step::Ask(Question::ScramDone { login: "user".into(), proved: false }));
    }

    #[test]
    fn scram_refuses_what_was_not_offered() {
        let fails = |octets: &[u8]| match Exchange::start(Mechanism::ScramSha256, Some(octets)).1 {
            Step::Failed(failure) => failure,
            other => panic!("{other:?}"),
        };
        assert_eq!(fails(b"p=tls-exporter,,n=user,r=abc"), Failure::ChannelBinding);
        assert_eq!(fails(b"n,,m=x,n=user,r=abc"), Failure::Syntax);
        assert_eq!(fails(b"n,a=bob,n=user,r=abc"), Failure::AuthorizationIdentity);
        assert_eq!(fails(b"n,,n=us=er,r=abc"), Failure::Syntax);
        assert_eq!(fails(b"n,,n=user,r="), Failure::Syntax);
        let (_, step) = Exchange::start(Mechanism::ScramSha256, Some(b"y,,n=a=2Cb=3Dc,r=abc"));
        assert_eq!(step, Step::Ask(Question::ScramLookup { login: "a,b=c".into() }));
    }
}
