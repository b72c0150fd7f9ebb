//! The client's half of a SASL exchange.
//!
//! Invariant: with SCRAM, success is believed only after the server proved that it knows the verifier.

use super::scram::{self, Keys, ServerFirst};
use super::{Channel, Kind, Mechanism, Secret, oauth};
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
    /// The server does not take our token.
    Token,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Syntax => "the server's sign-in challenge makes no sense",
            Failure::Iterations => "the server asks for too few or too many SCRAM rounds",
            Failure::ServerUnproved => "the server did not prove that it knows the password",
            Failure::Token => "the server does not accept the token",
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
    ScramStart {
        bare: String,
        header: Header,
    },
    ScramFirst {
        bare: String,
        header: Header,
    },
    ScramFinal {
        server_signature: [u8; 32],
    },
    Token {
        bearer: bool,
    },
    /// The token is sent: one more challenge says why it is not good.
    TokenSent {
        bearer: bool,
    },
    TokenRefused,
    External,
    Done,
    Failed,
}

/// `gs2-header` and what the channel gives for `c=` (RFC 5802 §7).
#[derive(Debug)]
struct Header {
    text: String,
    binding: Vec<u8>,
}

impl Header {
    fn new(plus: bool, channel: Option<&Channel>) -> Header {
        let bound = channel.and_then(|channel| Some((channel.best()?, channel)));
        match bound {
            Some((binding, channel)) if plus => {
                Header { text: format!("p={},,", binding.name()), binding: channel.data(binding).unwrap_or_default().to_vec() }
            }
            // We could, and were not offered it: a server that did offer it will see that somebody is in the middle.
            Some(_) => Header { text: "y,,".to_owned(), binding: Vec::new() },
            None => Header { text: "n,,".to_owned(), binding: Vec::new() },
        }
    }
}

/// The strongest mechanism of `offered` for these credentials; those that show the secret only where `private`.
pub fn choose(offered: &[Mechanism], credentials: &Credentials, private: bool, channel: Option<&Channel>) -> Option<Mechanism> {
    let fits = |mechanism: &Mechanism| match (mechanism, credentials.password.kind) {
        (Mechanism::OAuthBearer | Mechanism::XOAuth2, kind) => kind == Kind::Token,
        (Mechanism::External, kind) => kind == Kind::Certificate,
        (_, kind) => kind == Kind::Password,
    };
    super::usable(&Mechanism::ALL, private, channel).filter(fits).find(|mechanism| offered.contains(mechanism))
}

impl Exchange {
    /// `nonce`: random printable ASCII without comma, new for every exchange (only SCRAM uses it). `channel`: the TLS
    /// it runs in, if any.
    pub fn new(mechanism: Mechanism, credentials: Credentials, nonce: &str, channel: Option<&Channel>) -> Exchange {
        let bare = || format!("n={},r={nonce}", scram::escape(&credentials.login));
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::ScramSha256 => State::ScramStart { bare: bare(), header: Header::new(false, channel) },
            Mechanism::ScramSha256Plus => State::ScramStart { bare: bare(), header: Header::new(true, channel) },
            Mechanism::OAuthBearer => State::Token { bearer: true },
            Mechanism::XOAuth2 => State::Token { bearer: false },
            Mechanism::External => State::External,
        };
        Exchange { credentials, state }
    }

    /// The initial response, where the mechanism lets the client speak first. Call it once; when it could not be
    /// sent with the command, the server's empty challenge is answered with it by [`Exchange::respond`].
    pub fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        match &self.state {
            State::LoginName => None,
            _ => self.respond(b"").ok(),
        }
    }

    /// The answer to a decoded challenge.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let password = self.credentials.password.as_bytes();
        let login = &self.credentials.login;
        let (answer, next) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Plain => (Zeroizing::new([b"\0", login.as_bytes(), b"\0", password].concat()), State::Done),
            State::LoginName => (Zeroizing::new(login.clone().into_bytes()), State::LoginPassword),
            State::LoginPassword => (Zeroizing::new(password.to_vec()), State::Done),
            State::External => (Zeroizing::new(login.clone().into_bytes()), State::Done),
            State::Token { bearer: true } => {
                (oauth::say_bearer(login, &self.credentials.password), State::TokenSent { bearer: true })
            }
            State::Token { bearer: false } => {
                (oauth::say_xoauth2(login, &self.credentials.password), State::TokenSent { bearer: false })
            }
            State::TokenSent { bearer } => {
                (Zeroizing::new(if bearer { oauth::BEARER_END.to_vec() } else { Vec::new() }), State::TokenRefused)
            }
            State::ScramStart { bare, header } => {
                (Zeroizing::new(format!("{}{bare}", header.text).into_bytes()), State::ScramFirst { bare, header })
            }
            State::ScramFirst { bare, header } => match scram_final(&bare, &header, challenge, password) {
                Ok(done) => done,
                Err(failure) => {
                    self.state = State::ScramFirst { bare, header };
                    return Err(failure);
                }
            },
            State::ScramFinal { server_signature } => {
                let proof = challenge.strip_prefix(b"v=").and_then(|v| data_encoding::BASE64.decode(v).ok());
                if !proof.is_some_and(|p| scram::same(&p, &server_signature)) {
                    self.state = State::ScramFinal { server_signature };
                    return Err(Failure::ServerUnproved);
                }
                (Zeroizing::new(Vec::new()), State::Done)
            }
            over @ (State::Done | State::TokenRefused | State::Failed) => {
                self.state = over;
                return Err(Failure::Syntax);
            }
        };
        self.state = next;
        Ok(answer)
    }

    /// The server said yes: is that to be believed?
    pub fn succeeded(&self) -> Result<(), Failure> {
        match self.state {
            State::Done | State::TokenSent { .. } => Ok(()),
            State::TokenRefused => Err(Failure::Token),
            State::ScramStart { .. } | State::ScramFirst { .. } | State::ScramFinal { .. } => Err(Failure::ServerUnproved),
            _ => Err(Failure::Syntax),
        }
    }
}

fn scram_final(bare: &str, header: &Header, challenge: &[u8], password: &[u8]) -> Result<(Zeroizing<Vec<u8>>, State), Failure> {
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
    let bound = data_encoding::BASE64.encode(&[header.text.as_bytes(), &header.binding].concat());
    let without_proof = format!("c={bound},r={}", server_first.nonce);
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

    fn channel(octet: u8) -> Channel {
        Channel { exporter: Some([octet; 32]), server_end_point: Some(vec![octet; 48]), external: true }
    }

    /// Runs both halves in one channel; the server knows `pw`.
    fn meet(mechanism: Mechanism, speaks_first: bool, password: &[u8]) -> bool {
        meet_in(mechanism, speaks_first, ann(password), channel(1), channel(1))
    }

    fn meet_in(mechanism: Mechanism, speaks_first: bool, who: Credentials, here: Channel, there: Channel) -> bool {
        let plus = mechanism == Mechanism::ScramSha256Plus;
        let mut client = Exchange::new(mechanism, who, "clientnonce", Some(&here).filter(|_| plus));
        let initial = if speaks_first { client.initial() } else { None };
        let initial = initial.as_ref().map(|i| i.as_slice());
        let (mut server, mut step) = server::Exchange::start_on(mechanism, initial, Some(&there).filter(|_| plus));
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
                server::Step::Ask(Question::Token { login, token }) => {
                    assert_eq!(login.as_deref(), Some("ann@here.test"));
                    if token.as_bytes() == b"pw" {
                        return client.succeeded().is_ok();
                    }
                    server.refuse_token(None)
                }
                server::Step::Ask(Question::Certificate { login }) => {
                    return login.as_deref() == Some("ann@here.test") && client.succeeded().is_ok();
                }
                server::Step::Refused(_) => {
                    assert_eq!(client.succeeded(), Err(Failure::Token));
                    return false;
                }
                server::Step::Failed(failure) => {
                    assert_eq!(failure, crate::sasl::Failure::ChannelBinding);
                    return false;
                }
            }
        }
    }

    #[test]
    fn both_halves_agree() {
        for mechanism in Mechanism::ALL {
            for speaks_first in [false, true] {
                assert!(meet(mechanism, speaks_first, b"pw"), "{mechanism:?}");
                assert!(mechanism == Mechanism::External || !meet(mechanism, speaks_first, b"px"), "{mechanism:?}");
            }
        }
    }

    #[test]
    fn plus_fails_when_the_two_see_different_channels() {
        let meets = |here, there| meet_in(Mechanism::ScramSha256Plus, true, ann(b"pw"), here, there);
        assert!(meets(channel(1), channel(1)));
        assert!(!meets(channel(1), channel(2)));
        let end_point_only = |octet| Channel { exporter: None, ..channel(octet) };
        assert!(meets(end_point_only(1), end_point_only(1)));
        assert!(meets(end_point_only(1), channel(1)), "the client's best is what counts");
        assert!(!meets(end_point_only(1), end_point_only(2)));
    }

    #[test]
    fn an_unproved_server_is_not_believed() {
        let mut client = Exchange::new(Mechanism::ScramSha256, ann(b"pw"), "abc", None);
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
        let choose =
            |offered: &[Mechanism], private, channel: Option<&Channel>| super::choose(offered, &ann(b"pw"), private, channel);
        assert_eq!(choose(&[Mechanism::Login, Mechanism::Plain], true, None), Some(Mechanism::Plain));
        assert_eq!(choose(&Mechanism::ALL, true, None), Some(Mechanism::ScramSha256));
        assert_eq!(choose(&Mechanism::ALL, true, Some(&channel(1))), Some(Mechanism::ScramSha256Plus));
        assert_eq!(choose(&[Mechanism::Plain], false, None), None);
        let token = Credentials { login: "ann".into(), password: Secret::token(b"t".to_vec()) };
        assert_eq!(super::choose(&Mechanism::ALL, &token, true, None), Some(Mechanism::OAuthBearer));
        assert_eq!(super::choose(&[Mechanism::XOAuth2, Mechanism::Plain], &token, true, None), Some(Mechanism::XOAuth2));
        assert_eq!(super::choose(&[Mechanism::Plain], &token, true, None), None, "a token is no password");
        let certificate = Credentials { login: "ann".into(), password: Secret::certificate() };
        assert_eq!(super::choose(&Mechanism::ALL, &certificate, true, Some(&channel(1))), Some(Mechanism::External));
    }
}
