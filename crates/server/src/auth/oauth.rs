//! Tokens of an OAuth 2 server: JWTs (RFC 7519, RFC 9068) signed with a key of its key set (RFC 7517).
//!
//! Invariant: a token counts only with a good signature of a listed key, our issuer, our audience and its time; `none`
//! and keyed hashes are no signatures here. Must not know: accounts. Whose a token is, is text here.

mod fetched;
mod jwks;

use super::Refused;
use fetched::Fetched;
use jwks::KeySet;
use net::Outside;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Clocks may differ by so much.
const LEEWAY_SECS: i64 = 60;

/// What is configured of the token server.
#[derive(Debug, Clone, Default)]
pub struct OAuthSettings {
    /// `iss`, to the letter; also where it describes itself.
    pub issuer: String,
    /// One of these must be in `aud`.
    pub audience: Vec<String>,
    /// The claim that names the account; `email` must be verified where the token says so.
    pub claim: String,
    /// Its key set, a file (read again when it changes).
    pub jwks_file: PathBuf,
    /// Or where it is fetched from; empty: it is the file.
    pub jwks_url: String,
}

/// A token server we believe.
#[derive(Debug)]
pub struct OAuth {
    settings: OAuthSettings,
    keys: Mutex<Option<(SystemTime, Arc<KeySet>)>>,
    fetched: Option<Fetched>,
}

impl OAuth {
    /// Reads the key set once, so that a mistake shows at the start.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub fn new(settings: OAuthSettings) -> Result<OAuth, String> {
        let oauth = OAuth { settings, keys: Mutex::default(), fetched: None };
        oauth.keys().map(|_| oauth)
    }

    /// With a key set that is fetched, by this way out, when the first token comes.
    pub fn fetching(settings: OAuthSettings, outside: Outside) -> OAuth {
        let fetched = Some(Fetched::new(settings.jwks_url.clone(), outside));
        OAuth { settings, keys: Mutex::default(), fetched }
    }

    /// Where it describes itself (OpenID Connect Discovery §4), for clients that have no token yet.
    pub(super) fn discovery(&self) -> Option<String> {
        let issuer = self.settings.issuer.trim_end_matches('/');
        issuer.starts_with("https://").then(|| format!("{issuer}/.well-known/openid-configuration"))
    }

    /// Whom a token speaks for.
    pub(super) async fn whose(&self, token: &[u8]) -> Result<String, Refused> {
        let keys = match &self.fetched {
            Some(fetched) => fetched.keys(key_id(token).as_deref()).await,
            None => self.keys(),
        };
        let keys = keys.map_err(|why| {
            tracing::error!(why, "the token server's keys");
            Refused::Temporary
        })?;
        let now_secs = net::clock::unix_now();
        check(token, &keys, &self.settings, now_secs).map_err(|why| {
            tracing::info!(why, "a token is refused");
            Refused::Credentials
        })
    }

    fn keys(&self) -> Result<Arc<KeySet>, String> {
        let path = &self.settings.jwks_file;
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let changed = std::fs::metadata(path).and_then(|facts| facts.modified());
        let mut held = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*held, &changed) {
            // What was read stays good while the file is away.
            (Some((_, keys)), Err(_)) => return Ok(Arc::clone(keys)),
            (Some((at, keys)), Ok(changed)) if at == changed => return Ok(Arc::clone(keys)),
            _ => {}
        }
        let text = std::fs::read(path).map_err(told)?;
        let keys = Arc::new(KeySet::parse(&text).map_err(|why| format!("{}: {why}", path.display()))?);
        *held = Some((changed.map_err(told)?, Arc::clone(&keys)));
        Ok(keys)
    }
}

/// The key a token says it is signed with.
fn key_id(token: &[u8]) -> Option<String> {
    let head = part(std::str::from_utf8(token).ok()?.split('.').next()?)?;
    Some(head.get("kid")?.as_str()?.to_owned())
}

fn part(text: &str) -> Option<Value> {
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()
}

/// The name in the claim, or why the token is none of ours.
fn check(token: &[u8], keys: &KeySet, settings: &OAuthSettings, now_secs: i64) -> Result<String, &'static str> {
    let token = std::str::from_utf8(token).map_err(|_| "it is no JWT")?;
    let (signed, signature) = token.rsplit_once('.').ok_or("it is no JWT")?;
    let (head, claims) = signed.split_once('.').ok_or("it is no JWT")?;
    let head = part(head).ok_or("its header is no JSON")?;
    let signature = data_encoding::BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| "its signature is no base64url")?;
    let algorithm = head.get("alg").and_then(Value::as_str).ok_or("it names no algorithm")?;
    // RFC 7515 §4.1.11: what is critical and not understood makes it void.
    if head.get("crit").is_some() {
        return Err("it has critical extensions");
    }
    let key_id = head.get("kid").and_then(Value::as_str);
    if !keys.verify(algorithm, key_id, signed.as_bytes(), &signature) {
        return Err("no known key signed it");
    }
    let claims = part(claims).ok_or("its claims are no JSON")?;
    if claims.get("iss").and_then(Value::as_str) != Some(settings.issuer.as_str()) {
        return Err("another issuer made it");
    }
    let audience = claims.get("aud");
    let ours = |value: &Value| value.as_str().is_some_and(|name| settings.audience.iter().any(|known| known == name));
    let meant = match audience {
        Some(Value::Array(list)) => list.iter().any(ours),
        Some(one) => ours(one),
        None => false,
    };
    if !meant {
        return Err("it is meant for another audience");
    }
    let secs = |name: &str| claims.get(name).and_then(Value::as_f64).map(|secs| secs as i64);
    if secs("exp").ok_or("it has no end")? + LEEWAY_SECS <= now_secs {
        return Err("its time is over");
    }
    if secs("nbf").is_some_and(|from| from - LEEWAY_SECS > now_secs) {
        return Err("its time has not come");
    }
    if settings.claim == "email" && claims.get("email_verified") == Some(&Value::Bool(false)) {
        return Err("its address was not verified");
    }
    let name = claims.get(&settings.claim).and_then(Value::as_str).ok_or("it has not the claim that names the account")?;
    Ok(name.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use data_encoding::BASE64URL_NOPAD;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

    const NOW: i64 = 1_800_000_000;

    pub(crate) struct Issuer {
        ec: EcdsaKeyPair,
        ed: Ed25519KeyPair,
    }

    impl Issuer {
        pub(crate) fn new() -> Issuer {
            let chance = ring::rand::SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &chance).unwrap();
            let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &chance).unwrap();
            let ed = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&chance).unwrap().as_ref()).unwrap();
            Issuer { ec, ed }
        }

        pub(crate) fn key_set(&self) -> String {
            let point = self.ec.public_key().as_ref();
            let (x, y) = (BASE64URL_NOPAD.encode(&point[1..33]), BASE64URL_NOPAD.encode(&point[33..]));
            let ed = BASE64URL_NOPAD.encode(self.ed.public_key().as_ref());
            serde_json::json!({ "keys": [
                { "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "x": x, "y": y },
                { "kty": "OKP", "crv": "Ed25519", "kid": "two", "x": ed },
                { "kty": "oct", "k": "AAAA" },
            ]})
            .to_string()
        }

        pub(crate) fn token(&self, head: Value, claims: Value) -> String {
            let signed = format!(
                "{}.{}",
                BASE64URL_NOPAD.encode(head.to_string().as_bytes()),
                BASE64URL_NOPAD.encode(claims.to_string().as_bytes())
            );
            let signature = match head.get("alg").and_then(Value::as_str) {
                Some("ES256") => self.ec.sign(&ring::rand::SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
                Some("EdDSA") => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
                _ => Vec::new(),
            };
            format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
        }
    }

    pub(crate) fn settings(jwks_file: PathBuf) -> OAuthSettings {
        let audience = vec!["mail".to_owned()];
        OAuthSettings { issuer: "https://id.test".into(), audience, claim: "email".into(), jwks_file, jwks_url: String::new() }
    }

    #[test]
    fn only_what_the_issuer_signed_for_us_and_now() {
        let issuer = Issuer::new();
        let keys = KeySet::parse(issuer.key_set().as_bytes()).unwrap();
        let settings = settings(PathBuf::new());
        let good = serde_json::json!({ "iss": "https://id.test", "aud": "mail", "exp": NOW + 60, "email": "ann@here.test" });
        let head = serde_json::json!({ "alg": "ES256", "kid": "one" });
        let checked = |token: &str| check(token.as_bytes(), &keys, &settings, NOW);
        assert_eq!(checked(&issuer.token(head.clone(), good.clone())).unwrap(), "ann@here.test");
        assert_eq!(checked(&issuer.token(serde_json::json!({ "alg": "EdDSA" }), good.clone())).unwrap(), "ann@here.test");

        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            checked(&issuer.token(head.clone(), claims))
        };
        assert!(with("aud", serde_json::json!(["other", "mail"])).is_ok());
        assert!(with("aud", serde_json::json!(["other"])).is_err());
        assert!(with("aud", Value::Null).is_err());
        assert!(with("iss", "https://id.test/".into()).is_err());
        assert!(with("exp", (NOW - 61).into()).is_err());
        assert!(with("exp", Value::Null).is_err());
        assert!(with("nbf", (NOW + 61).into()).is_err());
        assert!(with("email", 7.into()).is_err());
        assert!(with("email_verified", false.into()).is_err());
        assert!(with("email_verified", true.into()).is_ok());

        for head in [
            serde_json::json!({ "alg": "none" }),
            serde_json::json!({ "alg": "HS256", "kid": "one" }),
            serde_json::json!({ "alg": "ES256", "kid": "two" }),
            serde_json::json!({ "alg": "ES256", "kid": "three" }),
            serde_json::json!({ "alg": "ES256", "crit": ["b64"], "b64": false }),
            serde_json::json!({}),
        ] {
            assert!(checked(&issuer.token(head.clone(), good.clone())).is_err(), "{head}");
        }
        assert!(checked(&Issuer::new().token(head.clone(), good.clone())).is_err(), "another issuer's key");
        let token = issuer.token(head, good);
        for cut in 0..token.len() {
            assert!(checked(&token[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn the_key_set_is_read_again_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        assert!(OAuth::new(settings(path.clone())).unwrap_err().contains("jwks.json"));
        std::fs::write(&path, "{}").unwrap();
        assert!(OAuth::new(settings(path.clone())).is_err());
        std::fs::write(&path, Issuer::new().key_set()).unwrap();
        let oauth = OAuth::new(settings(path.clone())).unwrap();
        let first = oauth.keys().unwrap();
        assert!(Arc::ptr_eq(&first, &oauth.keys().unwrap()));
        std::fs::write(&path, Issuer::new().key_set()).unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
        let second = oauth.keys().unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::remove_file(&path).unwrap();
        assert!(Arc::ptr_eq(&second, &oauth.keys().unwrap()), "what was read stays good");
    }
}
