//! SASL (RFC 4422) as SMTP, POP3 and IMAP share it: mechanisms, base64 lines, and the questions a server must have answered.
//!
//! PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 (RFC 5802, RFC 7677). No channel binding yet.
//! Invariant: passwords are zeroed when dropped and never printed.
//! Must not know: the protocol around it, accounts, clocks, randomness (nonces are arguments).

pub mod client;
pub mod scram;
pub mod server;

pub use scram::ScramVerifier;

use crate::limits::sasl as limits;
use data_encoding::BASE64;
use std::fmt;
use zeroize::Zeroizing;

/// A mechanism we know (RFC 4422 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 5802, RFC 7677: the password never crosses the wire.
    ScramSha256,
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: what old Outlooks speak.
    Login,
}

impl Mechanism {
    /// In the order they are offered: the strongest first.
    pub const ALL: [Mechanism; 3] = [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    /// By name, in any case.
    pub fn parse(name: &str) -> Option<Mechanism> {
        Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// Would an eavesdropper learn the password?
    pub fn shows_password(self) -> bool {
        self != Mechanism::ScramSha256
    }
}

/// A password: zeroed when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets over.
    pub fn new(octets: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(octets))
    }
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
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
}

/// The owner's answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Signed in.
    Accept,
    /// Not signed in.
    Refuse(Refusal),
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
    /// The client insists on channel binding (`p=`), which was not offered.
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
        assert_eq!(Mechanism::parse("SCRAM-SHA-256-PLUS"), None);
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
