//! A public key as DNS has it (RFC 6376 §3.6.1, RFC 8463 §4), and checking a signature with it.

use super::der;
use super::signature::Algorithm;
use crate::limits::RSA_BITS_MIN;
use crate::tags::Tags;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY as RSA, RsaPublicKeyComponents, UnparsedPublicKey,
};

/// A key record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// `k=`
    pub kind: KeyKind,
    /// `p=`; empty: revoked.
    pub public: Vec<u8>,
    /// `t=y`: the signer is only trying.
    pub testing: bool,
    /// `t=s`: the identity's domain must be the signer's, not one below it.
    pub strict: bool,
}

/// RFC 6376 §3.3, RFC 8463.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// `rsa`
    Rsa,
    /// `ed25519`
    Ed25519,
}

/// Why a key does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyProblem {
    /// It cannot be read, or is not for mail.
    Bad(&'static str),
    /// Smaller than RFC 8301 allows; this many bits.
    TooSmall(usize),
    /// It was made for something else, or the signature is not by it.
    Mismatch,
}

impl KeyRecord {
    /// `Err`: why it is none that we can use.
    pub fn parse(text: &str) -> Result<KeyRecord, &'static str> {
        let tags = Tags::parse(text).ok_or("the key record is no list of tags")?;
        if let Some(version) = tags.get("v")
            && (version != "DKIM1" || tags.first() != Some(("v", "DKIM1")))
        {
            return Err("the key record is of another version");
        }
        let kind = match tags.get("k").map(str::to_ascii_lowercase).as_deref() {
            None | Some("rsa") => KeyKind::Rsa,
            Some("ed25519") => KeyKind::Ed25519,
            Some(_) => return Err("the key is of an unknown kind"),
        };
        if tags.list("h").is_some_and(|hashes| !hashes.iter().any(|hash| hash == "sha256")) {
            return Err("the key is not for sha256");
        }
        if tags.list("s").is_some_and(|services| !services.iter().any(|service| service == "*" || service == "email")) {
            return Err("the key is not for mail");
        }
        let public = tags.octets("p").ok_or("the key record has no key")?;
        let flags = tags.list("t").unwrap_or_default();
        let has = |flag: &str| flags.iter().any(|known| known == flag);
        Ok(KeyRecord { kind, public, testing: has("y"), strict: has("s") })
    }

    /// Is `signature` by this key over `data`?
    pub fn verify(&self, algorithm: Algorithm, data: &[u8], signature: &[u8]) -> Result<(), KeyProblem> {
        match (algorithm, self.kind) {
            (Algorithm::RsaSha256, KeyKind::Rsa) => {
                let (n, e) = der::rsa_public(&self.public).ok_or(KeyProblem::Bad("the key cannot be read"))?;
                let bits = (n.len() * 8).saturating_sub(n.first().map_or(0, |octet| octet.leading_zeros() as usize));
                if bits < RSA_BITS_MIN {
                    return Err(KeyProblem::TooSmall(bits));
                }
                RsaPublicKeyComponents { n, e }.verify(&RSA, data, signature).map_err(|_| KeyProblem::Mismatch)
            }
            // RFC 8463 §3: the hash is what is signed.
            (Algorithm::Ed25519Sha256, KeyKind::Ed25519) => {
                if self.public.len() != 32 {
                    return Err(KeyProblem::Bad("the key is not of 32 octets"));
                }
                let hash = digest(&SHA256, data);
                UnparsedPublicKey::new(&ED25519, &self.public).verify(hash.as_ref(), signature).map_err(|_| KeyProblem::Mismatch)
            }
            _ => Err(KeyProblem::Bad("the key is of another kind than the signature")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records() {
        let good = KeyRecord::parse("v=DKIM1; k=ed25519; t=y:s; s=email; n=words; p=AAEC\r\n Aw==").unwrap();
        assert_eq!(good, KeyRecord { kind: KeyKind::Ed25519, public: vec![0, 1, 2, 3], testing: true, strict: true });
        assert_eq!(KeyRecord::parse("p=").unwrap().public, Vec::<u8>::new());
        assert!(KeyRecord::parse("p=AA; v=DKIM1").is_err());
        assert!(KeyRecord::parse("v=DKIM2; p=AA").is_err());
        assert!(KeyRecord::parse("v=DKIM1; h=sha1; p=AA").is_err());
        assert!(KeyRecord::parse("v=DKIM1; s=tlsrpt; p=AA").is_err());
        assert!(KeyRecord::parse("v=DKIM1; k=rsa").is_err());
        assert!(KeyRecord::parse("v=DKIM1; k=dsa; p=AA").is_err());
        assert!(KeyRecord::parse("v=DKIM1; p=!!").is_err());
    }
}
