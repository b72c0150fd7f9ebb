//! SCRAM-SHA-256 (RFC 5802, RFC 7677): the messages and the arithmetic that client and server share.
//!
//! Invariant: comparing proofs takes the same time whatever they hold.
//! Must not know: who is asked for the verifier, where nonces come from.

use super::{Binding, Failure};
use crate::limits::sasl as limits;
use data_encoding::BASE64;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// What a server keeps instead of the password (RFC 5803).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    /// Salt octets.
    pub salt: Vec<u8>,
    /// PBKDF2 rounds.
    pub iterations: u32,
    /// H(ClientKey).
    pub stored_key: [u8; 32],
    /// ServerKey.
    pub server_key: [u8; 32],
    /// Of further passwords (app passwords), with the same salt and rounds: any one of them signs in.
    pub also: Vec<ScramKeys>,
}

/// StoredKey and ServerKey of one password more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// H(ClientKey).
    pub stored_key: [u8; 32],
    /// ServerKey.
    pub server_key: [u8; 32],
}

impl ScramVerifier {
    /// From the password. Slow on purpose.
    pub fn derive(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> ScramVerifier {
        let keys = Keys::derive(password, salt, iterations);
        ScramVerifier {
            salt: salt.to_vec(),
            iterations: iterations.get(),
            stored_key: sha256(keys.client_key.as_slice()),
            server_key: keys.server_key,
            also: Vec::new(),
        }
    }
}

/// ClientKey and ServerKey of a password (RFC 5802 §3).
pub(super) struct Keys {
    pub(super) client_key: Zeroizing<[u8; 32]>,
    pub(super) server_key: [u8; 32],
}

impl Keys {
    pub(super) fn derive(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Keys {
        let mut salted = Zeroizing::new([0u8; 32]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, salted.as_mut_slice());
        Keys {
            client_key: Zeroizing::new(hmac_sha256(salted.as_slice(), b"Client Key")),
            server_key: hmac_sha256(salted.as_slice(), b"Server Key"),
        }
    }
}

pub(super) fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

pub(super) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref());
    out
}

pub(super) fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let mut out = [0u8; 32];
    for (o, (x, y)) in out.iter_mut().zip(a.iter().zip(b)) {
        *o = x ^ y;
    }
    out
}

/// Equal, in constant time for equal lengths: for what a peer must not find out octet by octet.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0u8, |acc, (x, y)| acc | (x ^ y))) == 0
}

/// `gs2-cbind-flag` (RFC 5802 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    /// `n`: the client cannot bind.
    Cannot,
    /// `y`: the client could, and thinks that the server cannot.
    Could,
    /// `p=`: bound so.
    Bound(Binding),
}

/// `client-first-message` taken apart (RFC 5802 §7).
#[derive(Debug)]
pub(super) struct ClientFirst {
    /// Everything before `client-first-message-bare`.
    pub(super) gs2_header: String,
    pub(super) flag: Flag,
    pub(super) bare: String,
    pub(super) authzid: String,
    pub(super) login: String,
    pub(super) nonce: String,
}

impl ClientFirst {
    /// `gs2-cbind-flag "," [authzid] "," ["m=..." ","] "n=" saslname "," "r=" nonce ["," extensions]`
    pub(super) fn parse(message: &[u8]) -> Result<ClientFirst, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::Syntax)?;
        if text.contains('\0') {
            return Err(Failure::Syntax);
        }
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Failure::Syntax);
        };
        let flag = match (flag, flag.strip_prefix("p=")) {
            ("n", _) => Flag::Cannot,
            ("y", _) => Flag::Could,
            (_, Some(name)) => Flag::Bound(Binding::parse(name).ok_or(Failure::ChannelBinding)?),
            _ => return Err(Failure::Syntax),
        };
        let authzid = match authzid {
            "" => String::new(),
            named => unescape(named.strip_prefix("a=").ok_or(Failure::Syntax)?)?,
        };
        let mut attributes = bare.split(',');
        // A mandatory extension (`m=`) would stand first and must fail the exchange: it is no `n=`.
        let login = attributes.next().and_then(|a| a.strip_prefix("n=")).ok_or(Failure::Syntax)?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(Failure::Syntax)?;
        if nonce.is_empty() || !nonce.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Failure::Syntax);
        }
        if nonce.len() > limits::NONCE_BYTES_MAX || login.len() > limits::WORD_BYTES_MAX {
            return Err(Failure::TooLong);
        }
        let login = unescape(login)?;
        if login.is_empty() {
            return Err(Failure::Syntax);
        }
        let header_len = text.len() - bare.len();
        Ok(ClientFirst {
            gs2_header: text.get(..header_len).unwrap_or_default().to_owned(),
            flag,
            bare: bare.to_owned(),
            authzid,
            login,
            nonce: nonce.to_owned(),
        })
    }
}

/// `client-final-message` taken apart.
#[derive(Debug)]
pub(super) struct ClientFinal {
    pub(super) without_proof: String,
    pub(super) binding: Vec<u8>,
    pub(super) nonce: String,
    pub(super) proof: [u8; 32],
}

impl ClientFinal {
    /// `"c=" base64 "," "r=" nonce ["," extensions] "," "p=" base64`
    pub(super) fn parse(message: &[u8]) -> Result<ClientFinal, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::Syntax)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Failure::Syntax)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|a| a.strip_prefix("c=")).ok_or(Failure::Syntax)?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(Failure::Syntax)?;
        let proof = BASE64.decode(proof.as_bytes()).map_err(|_| Failure::Syntax)?;
        Ok(ClientFinal {
            without_proof: without_proof.to_owned(),
            binding: BASE64.decode(binding.as_bytes()).map_err(|_| Failure::Syntax)?,
            nonce: nonce.to_owned(),
            proof: proof.try_into().map_err(|_| Failure::Syntax)?,
        })
    }
}

/// `server-first-message` taken apart.
#[derive(Debug)]
pub(super) struct ServerFirst {
    pub(super) nonce: String,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
}

impl ServerFirst {
    pub(super) fn encode(nonce: &str, verifier: &ScramVerifier) -> String {
        format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations)
    }

    pub(super) fn parse(message: &[u8]) -> Option<ServerFirst> {
        let mut attributes = std::str::from_utf8(message).ok()?.split(',');
        let nonce = attributes.next()?.strip_prefix("r=")?.to_owned();
        let salt = BASE64.decode(attributes.next()?.strip_prefix("s=")?.as_bytes()).ok()?;
        let iterations = attributes.next()?.strip_prefix("i=")?.parse().ok()?;
        Some(ServerFirst { nonce, salt, iterations })
    }
}

/// `=2C` and `=3D` back to `,` and `=` (RFC 5802 §5.1).
pub(super) fn unescape(name: &str) -> Result<String, Failure> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('=') {
        out.push_str(before);
        rest = if let Some(tail) = after.strip_prefix("2C") {
            out.push(',');
            tail
        } else if let Some(tail) = after.strip_prefix("3D") {
            out.push('=');
            tail
        } else {
            return Err(Failure::Syntax);
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// The other way.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}
