//! SASL (RFC 4422) as SMTP, POP3 and IMAP share it: mechanisms, base64 lines, and the questions a server must have answered.
//!
//! PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677), OAUTHBEARER (RFC 7628), XOAUTH2, EXTERNAL
//! (RFC 4422, appendix A). What a mechanism needs of the TLS around it comes as a [`Channel`].
//! Invariant: passwords are zeroed when dropped and never printed.
//! Must not know: the protocol around it, accounts, clocks, randomness (nonces are arguments).

mod channel;
pub mod client;
mod oauth;
pub mod scram;
pub mod server;

pub use channel::{Binding, Channel};
pub use scram::{ScramKeys, ScramVerifier, same};

use crate::limits::sasl as limits;
use data_encoding::BASE64;
use std::fmt;
use zeroize::Zeroizing;

/// A mechanism we know (RFC 4422 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 5802 §6: SCRAM bound to the TLS it runs in, so that nobody sits in the middle.
    ScramSha256Plus,
    /// RFC 5802, RFC 7677: the password never crosses the wire.
    ScramSha256,
    /// RFC 7628: a token instead of a password.
    OAuthBearer,
    /// The same as Google and Microsoft spelled it before the RFC.
    XOAuth2,
    /// RFC 4422, appendix A: the client's TLS certificate speaks for it.
    External,
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: what old Outlooks speak.
    Login,
}

impl Mechanism {
    /// Every one, in the order they are offered: the strongest first.
    pub const ALL: [Mechanism; 7] = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::OAuthBearer,
        Mechanism::XOAuth2,
        Mechanism::External,
        Mechanism::Plain,
        Mechanism::Login,
    ];
    /// Those that need a password and nothing else.
    pub const WITH_PASSWORD: [Mechanism; 3] = [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::External => "EXTERNAL",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    /// By name, in any case.
    pub fn parse(name: &str) -> Option<Mechanism> {
        Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// Would an eavesdropper learn the password, or a token that is as good?
    pub fn shows_password(self) -> bool {
        matches!(self, Mechanism::OAuthBearer | Mechanism::XOAuth2 | Mechanism::Plain | Mechanism::Login)
    }
}

/// Those of `list` that can be used now, in its order: on a wire that is `private` or not, in the TLS of `channel`.
pub fn usable<'a>(list: &'a [Mechanism], private: bool, channel: Option<&'a Channel>) -> impl Iterator<Item = Mechanism> + 'a {
    list.iter().copied().filter(move |mechanism| match mechanism {
        Mechanism::ScramSha256Plus => channel.is_some_and(Channel::binds),
        Mechanism::External => channel.is_some_and(|channel| channel.external),
        other => private || !other.shows_password(),
    })
}

/// A password or what stands for one: zeroed when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    octets: Zeroizing<Vec<u8>>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Password,
    Token,
    Certificate,
}

impl Secret {
    /// A password; takes the octets over.
    pub fn new(octets: Vec<u8>) -> Secret {
        Secret { octets: Zeroizing::new(octets), kind: Kind::Password }
    }
    /// A bearer token (RFC 6750), for OAUTHBEARER and XOAUTH2 only.
    pub fn token(octets: Vec<u8>) -> Secret {
        Secret { octets: Zeroizing::new(octets), kind: Kind::Token }
    }
    /// No secret at all: the certificate shown in the TLS handshake speaks (EXTERNAL).
    pub fn certificate() -> Secret {
        Secret { octets: Zeroizing::default(), kind: Kind::Certificate }
    }
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }
    /// May it be sent as a password?
    pub fn is_password(&self) -> bool {
        self.kind == Kind::Password
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a server session asks its owner during AUTH; answered with [`Answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Is this the password? Answer [`Answer::Accept`] or [`Answer::Refuse`].
    Password {
        /// As the client spelled it.
        login: String,
        /// As the client sent it.
        password: Secret,
    },
    /// Answer [`Answer::Scram`] (for an unknown login too: a verifier that never fits) or [`Answer::Refuse`].
    ScramLookup {
        /// As the client spelled it.
        login: String,
    },
    /// The proof was right or wrong. Answer [`Answer::Accept`] (only when `proved`) or [`Answer::Refuse`].
    ScramDone {
        /// The same as in the lookup.
        login: String,
        /// The client knows the password.
        proved: bool,
    },
    /// Is this token good, and whose is it? Answer [`Answer::Accept`], [`Answer::RefuseToken`] or [`Answer::Refuse`].
    Token {
        /// Whom the client says it is.
        login: Option<String>,
        /// RFC 6750 §2.1.
        token: Secret,
    },
    /// Whose is the certificate of the TLS handshake? Answer [`Answer::Accept`] or [`Answer::Refuse`].
    Certificate {
        /// Whom the client wants to be.
        login: Option<String>,
    },
}

impl Question {
    /// May [`Answer::Accept`] be believed? Not where a proof is asked for and was not given.
    pub fn may_be_accepted(&self) -> bool {
        !matches!(self, Question::ScramLookup { .. } | Question::ScramDone { proved: false, .. })
    }
}

/// The owner's answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Signed in.
    Accept,
    /// Not signed in.
    Refuse(Refusal),
    /// To [`Question::Token`]: it is not good here. The client is told where to get one (RFC 7628 §3.2.2).
    RefuseToken {
        /// Where the token server describes itself (RFC 8414).
        discovery: Option<String>,
    },
    /// To [`Question::ScramLookup`].
    Scram {
        /// What the directory has.
        verifier: ScramVerifier,
        /// 18 or more random octets as printable ASCII without comma; new for every exchange.
        nonce: String,
    },
}

/// Why a sign-in failed, as far as the client may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown login or wrong password.
    Credentials,
    /// Right password, suspended account.
    Suspended,
    /// Right password, but the account asks people for a second factor: a program needs a password of its own.
    ProgramPassword,
    /// Ours; try later.
    Temporary,
}

/// Why an exchange ended without a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The client sent `*` (RFC 4954 §4).
    Cancelled,
    /// Not base64.
    Base64,
    /// Base64 of something the mechanism does not allow.
    Syntax,
    /// The client wants to act as somebody else.
    AuthorizationIdentity,
    /// Channel binding that was not offered, is not known or does not fit; or the client was made to believe there is none.
    ChannelBinding,
    /// Past a limit.
    TooLong,
}

/// One base64 line of a client: `*` cancels, an empty line is empty (RFC 4954 §4).
pub fn decode_line(line: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if line == b"*" {
        return Err(Failure::Cancelled);
    }
    decode(line)
}

/// The initial response on the command line: `=` is an empty one (RFC 4954 §4).
pub fn decode_initial(word: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if word == b"=" {
        return Ok(Zeroizing::new(Vec::new()));
    }
    if word.is_empty() {
        return Err(Failure::Base64);
    }
    decode(word)
}

fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if text.len() > limits::LINE_BYTES_MAX {
        return Err(Failure::TooLong);
    }
    BASE64.decode(text).map(Zeroizing::new).map_err(|_| Failure::Base64)
}

/// Base64 as it goes on a line.
pub fn encode_line(octets: &[u8]) -> String {
    BASE64.encode(octets)
}

/// Base64 as it goes behind the mechanism's name: `=` when empty.
pub fn encode_initial(octets: &[u8]) -> String {
    if octets.is_empty() { "=".to_owned() } else { BASE64.encode(octets) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::parse(&mechanism.name().to_lowercase()), Some(mechanism));
        }
        assert_eq!(Mechanism::parse("CRAM-MD5"), None);
    }

    #[test]
    fn what_can_be_used_hangs_on_the_channel() {
        let now = |private, channel: Option<&Channel>| {
            usable(&Mechanism::ALL, private, channel).map(Mechanism::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(now(false, None), "SCRAM-SHA-256");
        assert_eq!(now(true, None), "SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN");
        assert_eq!(now(true, Some(&Channel::default())), now(true, None));
        let channel = Channel { exporter: Some([1; 32]), external: true, ..Channel::default() };
        assert_eq!(now(true, Some(&channel)), "SCRAM-SHA-256-PLUS SCRAM-SHA-256 OAUTHBEARER XOAUTH2 EXTERNAL PLAIN LOGIN");
    }

    #[test]
    fn lines_and_initial_responses() {
        assert_eq!(decode_line(b"*"), Err(Failure::Cancelled));
        assert_eq!(decode_line(b"").unwrap().len(), 0);
        assert_eq!(decode_initial(b"=").unwrap().len(), 0);
        assert_eq!(decode_initial(b""), Err(Failure::Base64));
        assert_eq!(decode_line(b"AGFubgBwdw==").unwrap().as_slice(), b"\0ann\0pw");
        assert_eq!(decode_line(b"AGFubgBwdw"), Err(Failure::Base64));
        assert_eq!(decode_line(&[b'A'; 12_288 + 4]), Err(Failure::TooLong));
        assert_eq!(encode_initial(b""), "=");
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "Secret(..)");
    }
}
