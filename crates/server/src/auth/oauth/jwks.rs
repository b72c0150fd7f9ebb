//! A key set (RFC 7517): the public keys a token may be signed with, and their algorithms (RFC 7518 §3, RFC 8037).
//!
//! Invariant: an algorithm is used with keys of its own kind only. Keys of kinds we do not use are passed over.

use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

/// Keys looked at; a set that has more is no set for one service.
const KEYS_MAX: usize = 64;

/// The keys of a token server.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

fn octets(key: &Value, name: &str) -> Option<Vec<u8>> {
    let text = key.get(name)?.as_str()?;
    data_encoding::BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()
}

fn point(key: &Value, size: usize) -> Option<Vec<u8>> {
    let (x, y) = (octets(key, "x")?, octets(key, "y")?);
    (x.len() == size && y.len() == size).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
}

fn kind(key: &Value) -> Option<Kind> {
    if key.get("use").is_some_and(|usage| usage != "sig") {
        return None;
    }
    match (key.get("kty")?.as_str()?, key.get("crv").and_then(Value::as_str)) {
        ("RSA", _) => {
            // A leading zero is against RFC 7518 §6.3.1.1, but seen.
            let bare = |octets: Vec<u8>| octets.iter().copied().skip_while(|octet| *octet == 0).collect();
            Some(Kind::Rsa { n: octets(key, "n").map(bare)?, e: octets(key, "e").map(bare)? })
        }
        ("EC", Some("P-256")) => point(key, 32).map(Kind::P256),
        ("EC", Some("P-384")) => point(key, 48).map(Kind::P384),
        ("OKP", Some("Ed25519")) => octets(key, "x").map(Kind::Ed25519),
        _ => None,
    }
}

impl KeySet {
    /// Is there a key of this name?
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// `{"keys": [...]}`.
    pub(super) fn parse(text: &[u8]) -> Result<KeySet, String> {
        let value: Value = serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))?;
        let list = value.get("keys").and_then(Value::as_array).ok_or("a key set is {\"keys\": [...]} (RFC 7517)")?;
        let known = list.iter().take(KEYS_MAX).filter_map(|key| {
            let id = key.get("kid").and_then(Value::as_str).map(str::to_owned);
            Some(Key { id, kind: kind(key)? })
        });
        let keys: Vec<Key> = known.collect();
        if keys.is_empty() { Err("it has no RSA, P-256, P-384 or Ed25519 key".into()) } else { Ok(KeySet(keys)) }
    }

    /// Did one of them sign this? With a `kid` only the keys of that name, and those without a name, are tried.
    pub(super) fn verify(&self, algorithm: &str, key_id: Option<&str>, message: &[u8], signature: &[u8]) -> bool {
        let meant = |key: &&Key| key_id.is_none_or(|wanted| key.id.as_deref().is_none_or(|id| id == wanted));
        self.0.iter().filter(meant).any(|key| key.verify(algorithm, message, signature))
    }
}

impl Key {
    fn verify(&self, algorithm: &str, message: &[u8], sig: &[u8]) -> bool {
        let rsa: &'static signature::RsaParameters = match algorithm {
            "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
            "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
            "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
            "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
            "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
            "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
            _ => {
                return match (algorithm, &self.kind) {
                    ("ES256", Kind::P256(key)) => {
                        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, sig).is_ok()
                    }
                    ("ES384", Kind::P384(key)) => {
                        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key).verify(message, sig).is_ok()
                    }
                    ("EdDSA" | "Ed25519", Kind::Ed25519(key)) => {
                        UnparsedPublicKey::new(&ED25519, key).verify(message, sig).is_ok()
                    }
                    _ => false,
                };
            }
        };
        let Kind::Rsa { n, e } = &self.kind else { return false };
        RsaPublicKeyComponents { n, e }.verify(rsa, message, sig).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 7515, appendix A.2: RS256.
    #[test]
    fn rs256_known_answer() {
        let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
        let set = serde_json::json!({ "keys": [{ "kty": "RSA", "n": n, "e": "AQAB" }] }).to_string();
        let keys = KeySet::parse(set.as_bytes()).unwrap();
        let message =
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let signature = data_encoding::BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        assert!(keys.verify("RS256", None, message.as_bytes(), &signature));
        assert!(keys.verify("RS256", Some("any"), message.as_bytes(), &signature), "a key without a name fits every name");
        assert!(!keys.verify("RS384", None, message.as_bytes(), &signature));
        assert!(!keys.verify("ES256", None, message.as_bytes(), &signature));
        assert!(!keys.verify("RS256", None, &message.as_bytes()[1..], &signature));
    }

    #[test]
    fn what_is_no_key_set() {
        for bad in ["", "[]", "{}", "{\"keys\":7}", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}"] {
            assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let wrong = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"},{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AA\",\"e\":\"AQAB\"}]}";
        assert!(KeySet::parse(wrong.as_bytes()).is_err());
    }
}
