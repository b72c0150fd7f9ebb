//! The messages of OAUTHBEARER (RFC 7628) and XOAUTH2, both ways.
//!
//! ABNF: `client-resp = (gs2-header kvsep *kvpair kvsep) / kvsep`, `kvpair = key "=" value kvsep`, `kvsep = %x01`;
//! XOAUTH2: `"user=" login kvsep "auth=Bearer " token kvsep kvsep`.
//! Must not know: what a token says.

use super::{Failure, Question, Secret};
use crate::limits::sasl as limits;
use zeroize::Zeroizing;

const SEPARATOR: u8 = 1;

/// What the client says when it has heard why it failed (RFC 7628 §3.2.3).
pub(super) const BEARER_END: &[u8] = &[SEPARATOR];

/// The client's message of OAUTHBEARER.
pub(super) fn bearer(octets: &[u8]) -> Result<Question, Failure> {
    let (header, pairs) = split_once(octets, SEPARATOR).ok_or(Failure::Syntax)?;
    let mut header = std::str::from_utf8(header).map_err(|_| Failure::Syntax)?.splitn(3, ',');
    let (Some(flag), Some(authzid), Some("")) = (header.next(), header.next(), header.next()) else {
        return Err(Failure::Syntax);
    };
    match flag {
        "n" | "y" => {}
        binding if binding.starts_with("p=") => return Err(Failure::ChannelBinding),
        _ => return Err(Failure::Syntax),
    }
    let login = match authzid {
        "" => None,
        named => Some(super::scram::unescape(named.strip_prefix("a=").ok_or(Failure::Syntax)?)?),
    };
    question(login, pairs)
}

/// The client's message of XOAUTH2.
pub(super) fn xoauth2(octets: &[u8]) -> Result<Question, Failure> {
    let (user, pairs) = split_once(octets, SEPARATOR).ok_or(Failure::Syntax)?;
    let login = user.strip_prefix(b"user=").and_then(|name| std::str::from_utf8(name).ok()).ok_or(Failure::Syntax)?;
    question(Some(login.to_owned()).filter(|login| !login.is_empty()), pairs)
}

fn question(login: Option<String>, pairs: &[u8]) -> Result<Question, Failure> {
    if login.as_ref().is_some_and(|login| login.len() > limits::WORD_BYTES_MAX || login.chars().any(char::is_control)) {
        return Err(Failure::Syntax);
    }
    Ok(Question::Token { login, token: token(pairs)? })
}

/// The token of `auth=Bearer ...`; other keys (host, port) say nothing we need. An empty one asks where to get one.
fn token(pairs: &[u8]) -> Result<Secret, Failure> {
    let pairs = pairs.strip_suffix(&[SEPARATOR]).ok_or(Failure::Syntax)?;
    let mut found = None;
    for pair in pairs.split(|octet| *octet == SEPARATOR).filter(|pair| !pair.is_empty()) {
        let (key, value) = split_once(pair, b'=').ok_or(Failure::Syntax)?;
        if key.is_empty() || !key.iter().all(u8::is_ascii_alphabetic) {
            return Err(Failure::Syntax);
        }
        if key != b"auth" {
            continue;
        }
        let value = value.trim_ascii();
        let token = match split_once(value, b' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer") => token.trim_ascii(),
            None if value.is_empty() => value,
            _ => return Err(Failure::Syntax),
        };
        if found.is_some() || !token.iter().all(u8::is_ascii_graphic) {
            return Err(Failure::Syntax);
        }
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(Failure::TooLong);
        }
        found = Some(Secret::token(token.to_vec()));
    }
    found.ok_or(Failure::Syntax)
}

fn split_once(octets: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memchr(at, octets)?;
    Some((octets.get(..place)?, octets.get(place + 1..)?))
}

/// What the client of OAUTHBEARER says first.
pub(super) fn say_bearer(login: &str, token: &Secret) -> Zeroizing<Vec<u8>> {
    let name = super::scram::escape(login);
    Zeroizing::new([b"n,a=", name.as_bytes(), b",\x01auth=Bearer ", token.as_bytes(), b"\x01\x01"].concat())
}

/// What the client of XOAUTH2 says first.
pub(super) fn say_xoauth2(login: &str, token: &Secret) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([b"user=", login.as_bytes(), b"\x01auth=Bearer ", token.as_bytes(), b"\x01\x01"].concat())
}

/// Why a token is not good, for OAUTHBEARER (RFC 7628 §3.2.2).
pub(super) fn refused_bearer(discovery: Option<&str>) -> Vec<u8> {
    match discovery {
        Some(url) => format!("{{\"status\":\"invalid_token\",\"openid-configuration\":{}}}", json_text(url)).into_bytes(),
        None => b"{\"status\":\"invalid_token\"}".to_vec(),
    }
}

/// The same for XOAUTH2, as its clients know it.
pub(super) fn refused_xoauth2() -> Vec<u8> {
    b"{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}".to_vec()
}

/// A JSON string (RFC 8259 §7).
fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asked(login: Option<&str>, token: &str) -> Question {
        Question::Token { login: login.map(str::to_owned), token: Secret::token(token.as_bytes().to_vec()) }
    }

    /// RFC 7628 §4.1.
    #[test]
    fn bearer_messages() {
        let example = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        assert_eq!(bearer(example).unwrap(), asked(Some("user@example.com"), "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="));
        assert_eq!(bearer(b"n,,\x01auth=bearer x\x01\x01").unwrap(), asked(None, "x"));
        assert_eq!(bearer(b"y,,\x01auth=\x01\x01").unwrap(), asked(None, ""));
        let said = say_bearer("a,n=n@x", &Secret::token(b"tok".to_vec()));
        assert_eq!(bearer(&said).unwrap(), asked(Some("a,n=n@x"), "tok"));
    }

    #[test]
    fn xoauth2_messages() {
        let said = say_xoauth2("ann@here.test", &Secret::token(b"tok".to_vec()));
        assert_eq!(&*said, b"user=ann@here.test\x01auth=Bearer tok\x01\x01");
        assert_eq!(xoauth2(&said).unwrap(), asked(Some("ann@here.test"), "tok"));
    }

    #[test]
    fn refused() {
        for octets in [
            b"".as_slice(),
            b"\x01",
            b"n,,",
            b"n,,\x01",
            b"n,,\x01\x01",
            b"x,,\x01auth=Bearer x\x01\x01",
            b"n,b=c,\x01auth=Bearer x\x01\x01",
            b"n,,more\x01auth=Bearer x\x01\x01",
            b"n,,\x01auth=Basic x\x01\x01",
            b"n,,\x01auth=Bearer x y\x01\x01",
            b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
            b"n,,\x01auth=Bearer x",
            b"n,,\x01=x\x01\x01",
        ] {
            assert_eq!(bearer(octets), Err(Failure::Syntax), "{}", octets.escape_ascii());
        }
        assert_eq!(bearer(b"p=tls-exporter,,\x01auth=Bearer x\x01\x01"), Err(Failure::ChannelBinding));
        assert_eq!(xoauth2(b"login=ann\x01auth=Bearer x\x01\x01"), Err(Failure::Syntax));
        let long = [b"n,,\x01auth=Bearer ".as_slice(), &[b'x'; limits::TOKEN_BYTES_MAX + 1], b"\x01\x01"].concat();
        assert_eq!(bearer(&long), Err(Failure::TooLong));
    }

    #[test]
    fn the_reason_is_json() {
        assert_eq!(refused_bearer(None), b"{\"status\":\"invalid_token\"}");
        let told = String::from_utf8(refused_bearer(Some("https://id.test/\"\\\n"))).unwrap();
        assert_eq!(told, "{\"status\":\"invalid_token\",\"openid-configuration\":\"https://id.test/\\\"\\\\\\u000a\"}");
    }
}
