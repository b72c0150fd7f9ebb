//! The server's half of a SASL exchange: lines in, challenges and questions out.
//!
//! The session around it decodes base64 ([`super::decode_line`]), sends challenges in its protocol's way and hands
//! [`Question`]s to its owner. Invariant: an exchange that failed or finished says nothing more than `Failed`.

use super::scram::Flag;
use super::scram::{self, ClientFinal, ClientFirst, ScramVerifier, ServerFirst};
use super::{Binding, Channel, Failure, Mechanism, Question, Refusal, Secret, oauth};
use crate::limits::sasl as limits;
use zeroize::Zeroizing;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these octets, base64-encoded, and wait for a line.
    Challenge(Vec<u8>),
    /// Ask the owner. After [`Question::ScramLookup`] call [`Exchange::scram`]; after a refusal of the others
    /// [`Exchange::refuse`] (for [`super::Answer::RefuseToken`] [`Exchange::refuse_token`]) says how it ends.
    Ask(Question),
    /// The owner's refusal; over.
    Refused(Refusal),
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
    ScramFirst {
        /// The mechanism is -PLUS.
        plus: bool,
        /// -PLUS is offered, with these.
        channel: Option<Channel>,
    },
    ScramVerifier {
        first: ClientFirst,
        binding: Vec<u8>,
    },
    ScramFinal(Box<ScramFinal>),
    ScramAcknowledge {
        login: String,
    },
    /// A token's message, of OAUTHBEARER or (else) XOAUTH2.
    Token {
        bearer: bool,
    },
    /// The client was told why its token is not good; whatever it says now, it is refused.
    TokenRefused,
    /// EXTERNAL's authorization identity.
    External,
    Over,
}

#[derive(Debug)]
struct ScramFinal {
    first: ClientFirst,
    /// Octets of the channel; empty where it is not bound.
    binding: Vec<u8>,
    server_first: String,
    nonce: String,
    verifier: ScramVerifier,
}

impl Exchange {
    /// Begins; `initial` is the decoded initial response, if the client sent one. No channel to bind to.
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> (Exchange, Step) {
        Exchange::start_on(mechanism, initial, None)
    }

    /// The same in a TLS channel. `channel` is there where SCRAM-SHA-256-PLUS is offered.
    pub fn start_on(mechanism: Mechanism, initial: Option<&[u8]>, channel: Option<&Channel>) -> (Exchange, Step) {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::ScramSha256 => State::ScramFirst { plus: false, channel: channel.cloned() },
            Mechanism::ScramSha256Plus => State::ScramFirst { plus: true, channel: channel.cloned() },
            Mechanism::OAuthBearer => State::Token { bearer: true },
            Mechanism::XOAuth2 => State::Token { bearer: false },
            Mechanism::External => State::External,
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
            State::ScramFirst { plus, channel } => match scram_first(octets, plus, channel.as_ref()) {
                Ok((first, binding)) => {
                    let login = first.login.clone();
                    self.state = State::ScramVerifier { first, binding };
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
            State::Token { bearer } => match if bearer { oauth::bearer(octets) } else { oauth::xoauth2(octets) } {
                Ok(question) => {
                    self.state = State::Token { bearer };
                    Step::Ask(question)
                }
                Err(failure) => Step::Failed(failure),
            },
            State::TokenRefused => Step::Refused(Refusal::Credentials),
            State::External => external(octets).map_or_else(Step::Failed, Step::Ask),
            State::ScramAcknowledge { .. } | State::ScramVerifier { .. } | State::Over => Step::Failed(Failure::Syntax),
        }
    }

    /// The owner's answer to [`Question::ScramLookup`].
    pub fn scram(&mut self, verifier: ScramVerifier, nonce: &str) -> Step {
        let State::ScramVerifier { first, binding } = std::mem::replace(&mut self.state, State::Over) else {
            return Step::Failed(Failure::Syntax);
        };
        let nonce = format!("{}{nonce}", first.nonce);
        let server_first = ServerFirst::encode(&nonce, &verifier);
        let challenge = server_first.clone().into_bytes();
        self.state = State::ScramFinal(Box::new(ScramFinal { first, binding, server_first, nonce, verifier }));
        Step::Challenge(challenge)
    }

    /// The owner refuses: over.
    pub fn refuse(&mut self, refusal: Refusal) -> Step {
        self.state = State::Over;
        Step::Refused(refusal)
    }

    /// The owner refuses a token: the client hears why and has a last line (RFC 7628 §3.2.3).
    pub fn refuse_token(&mut self, discovery: Option<&str>) -> Step {
        let State::Token { bearer } = self.state else { return self.refuse(Refusal::Credentials) };
        self.state = State::TokenRefused;
        Step::Challenge(if bearer { oauth::refused_bearer(discovery) } else { oauth::refused_xoauth2() })
    }
}

impl ScramFinal {
    /// `server-final-message` if the proof is right, `None` if it is wrong (RFC 5802 §3).
    fn check(&self, octets: &[u8]) -> Result<Option<String>, Failure> {
        let answer = ClientFinal::parse(octets)?;
        let bound = answer.binding.strip_prefix(self.first.gs2_header.as_bytes()).ok_or(Failure::Syntax)?;
        if answer.nonce != self.nonce {
            return Err(Failure::Syntax);
        }
        if !scram::same(bound, &self.binding) {
            // The client sees another channel than we: somebody is in the middle.
            return Err(Failure::ChannelBinding);
        }
        let auth_message = format!("{},{},{}", self.first.bare, self.server_first, answer.without_proof);
        let first = (&self.verifier.stored_key, &self.verifier.server_key);
        let all = std::iter::once(first).chain(self.verifier.also.iter().map(|keys| (&keys.stored_key, &keys.server_key)));
        let mut proved = None;
        for (stored_key, server_key) in all {
            let signature = scram::hmac_sha256(stored_key, auth_message.as_bytes());
            let client_key = Zeroizing::new(scram::xor(&answer.proof, &signature));
            if scram::same(&scram::sha256(client_key.as_slice()), stored_key) {
                proved = Some(server_key);
            }
        }
        let Some(server_key) = proved else { return Ok(None) };
        let server_signature = scram::hmac_sha256(server_key, auth_message.as_bytes());
        Ok(Some(format!("v={}", data_encoding::BASE64.encode(&server_signature))))
    }
}

/// The client's first message of SCRAM and the octets it must bind to (RFC 5802 §6).
fn scram_first(octets: &[u8], plus: bool, channel: Option<&Channel>) -> Result<(ClientFirst, Vec<u8>), Failure> {
    let first = ClientFirst::parse(octets)?;
    if !may_act_as(&first.authzid, &first.login) {
        return Err(Failure::AuthorizationIdentity);
    }
    let data = |binding: Binding| channel.and_then(|channel| channel.data(binding)).map(<[u8]>::to_vec);
    let binding = match (first.flag, plus) {
        (Flag::Bound(binding), true) => data(binding).ok_or(Failure::ChannelBinding)?,
        // It was told that we cannot bind, and we said that we can: somebody changed what we offered.
        (Flag::Could, false) if channel.is_some() => return Err(Failure::ChannelBinding),
        (Flag::Cannot | Flag::Could, false) => Vec::new(),
        _ => return Err(Failure::ChannelBinding),
    };
    Ok((first, binding))
}

/// EXTERNAL's message: an authorization identity or nothing (RFC 4422, appendix A).
fn external(octets: &[u8]) -> Result<Question, Failure> {
    let login = word(octets)?;
    if login.chars().any(char::is_control) {
        return Err(Failure::Syntax);
    }
    Ok(Question::Certificate { login: Some(login).filter(|login| !login.is_empty()) })
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
    use crate::secret_checks::{count, three};
    use std::num::NonZeroU32;

    fn asks_password(step: Step, login: &str, password: &[u8]) {
        let Step::Ask(Question::Password { login: l, password: p }) = step else { panic!("{step:?}") };
        assert_eq!((l.as_str(), p.as_bytes()), (login, password));
    }

    #[test]
    fn secret_checks_of_a_proof_and_of_a_channel() {
        let verifier = ScramVerifier::derive(b"pw", b"0123456789abcdef", NonZeroU32::new(4096).unwrap());
        let first = ClientFirst::parse(b"p=tls-exporter,,n=ann,r=here").unwrap();
        let (binding, nonce) = (vec![7; 32], "herethere".to_owned());
        let server_first = ServerFirst::encode(&nonce, &verifier);
        let state = ScramFinal { first, binding, server_first, nonce, verifier };
        let said = |bound: &[u8], proof: &[u8]| {
            let bound = data_encoding::BASE64.encode(&[b"p=tls-exporter,,", bound].concat());
            format!("c={bound},r=herethere,p={}", data_encoding::BASE64.encode(proof))
        };
        let without_proof = said(&state.binding, b"").split_once(",p=").unwrap().0.to_owned();
        let auth_message = format!("{},{},{without_proof}", state.first.bare, state.server_first);
        let keys = scram::Keys::derive(b"pw", b"0123456789abcdef", NonZeroU32::new(4096).unwrap());
        let signature = scram::hmac_sha256(&state.verifier.stored_key, auth_message.as_bytes());
        let proof = scram::xor(&keys.client_key, &signature);
        let proofs = three(&proof).map(|proof| said(&state.binding, &proof));
        count("a SCRAM proof", &proofs, |said| matches!(state.check(said), Ok(Some(_))));
        let bounds = three(&state.binding).map(|bound| said(&bound, &proof));
        count("what SCRAM is bound to", &bounds, |said| matches!(state.check(said), Ok(Some(_))));
    }

    /// What would be seen if one of them were compared as anything else is.
    #[test]
    fn secret_checks_would_be_seen() {
        let right = [0x5a; 32];
        count("compared with ==", &three(&right), |said| said == right);
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

    fn channel() -> Channel {
        Channel { exporter: Some([7; 32]), server_end_point: Some(vec![9; 32]), external: false }
    }

    #[test]
    fn plus_is_bound_to_its_channel() {
        let begin = |mechanism, octets: &[u8], channel| Exchange::start_on(mechanism, Some(octets), channel).1;
        let looked_up = Step::Ask(Question::ScramLookup { login: "user".into() });
        let unbound = Step::Failed(Failure::ChannelBinding);
        let ours = channel();
        use Mechanism::{ScramSha256 as Scram, ScramSha256Plus as Plus};
        assert_eq!(begin(Plus, b"p=tls-exporter,,n=user,r=abc", Some(&ours)), looked_up);
        assert_eq!(begin(Plus, b"p=tls-server-end-point,,n=user,r=abc", Some(&ours)), looked_up);
        assert_eq!(begin(Scram, b"n,,n=user,r=abc", Some(&ours)), looked_up);
        assert_eq!(begin(Scram, b"y,,n=user,r=abc", None), looked_up);
        assert_eq!(begin(Scram, b"y,,n=user,r=abc", Some(&ours)), unbound, "somebody took -PLUS out of the list");
        assert_eq!(begin(Plus, b"n,,n=user,r=abc", Some(&ours)), unbound);
        assert_eq!(begin(Plus, b"y,,n=user,r=abc", Some(&ours)), unbound);
        assert_eq!(begin(Plus, b"p=tls-unique,,n=user,r=abc", Some(&ours)), unbound);
        assert_eq!(begin(Scram, b"p=tls-exporter,,n=user,r=abc", Some(&ours)), unbound);
        let without_exporter = Channel { exporter: None, ..channel() };
        assert_eq!(begin(Plus, b"p=tls-exporter,,n=user,r=abc", Some(&without_exporter)), unbound);
    }

    #[test]
    fn a_refused_token_is_told_why_and_then_refused() {
        for (mechanism, said, why) in [
            (Mechanism::OAuthBearer, b"n,,\x01auth=Bearer x\x01\x01".as_slice(), b"{\"status\":\"invalid_token\"}".as_slice()),
            (
                Mechanism::XOAuth2,
                b"user=a\x01auth=Bearer x\x01\x01",
                b"{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}",
            ),
        ] {
            let (mut exchange, step) = Exchange::start(mechanism, Some(said));
            assert!(matches!(step, Step::Ask(Question::Token { .. })), "{step:?}");
            assert_eq!(exchange.refuse_token(None), Step::Challenge(why.to_vec()));
            assert_eq!(exchange.respond(b"\x01"), Step::Refused(Refusal::Credentials));
            assert_eq!(exchange.respond(b"\x01"), Step::Failed(Failure::Syntax));
        }
    }

    #[test]
    fn external_asks_whose_certificate_it_is() {
        let (mut exchange, step) = Exchange::start(Mechanism::External, None);
        assert_eq!(step, Step::Challenge(vec![]));
        assert_eq!(exchange.respond(b""), Step::Ask(Question::Certificate { login: None }));
        let (_, step) = Exchange::start(Mechanism::External, Some(b"ann@here.test"));
        assert_eq!(step, Step::Ask(Question::Certificate { login: Some("ann@here.test".into()) }));
        assert_eq!(Exchange::start(Mechanism::External, Some(b"a\0b")).1, Step::Failed(Failure::Syntax));
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
