//! Push services (RFC 8030): what they are given is a message that they cannot read (RFC 8291, RFC 8188), and who we are
//! (VAPID, RFC 8292).
//!
//! Invariant: a message is for the keys of one browser alone, and no key is used twice; the key that says who we are is made
//! once for a store and lies in it. Must not know: JMAP.

use crate::limits::{PUSH_ANSWER_BYTES_MAX, PUSHES_AT_ONCE_MAX};
use data_encoding::BASE64URL_NOPAD;
use net::outside::{Asked, Outside, Post, Reach};
use ring::aead::{self, AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;
use store::{Store, StoreError, TrustKind, UnixSecs};
use tokio::sync::{OnceCell, Semaphore};
use zeroize::Zeroizing;

/// The one record of a message (RFC 8188 §2): larger than any of ours.
const RECORD_BYTES: u32 = 4096;
/// What fits into it besides its padding delimiter and tag.
const PLAIN_BYTES_MAX: usize = 3993;
const SALT_BYTES: usize = 16;
/// An uncompressed point of P-256.
pub(crate) const POINT_BYTES: usize = 65;
/// RFC 8291 §3.2
pub(crate) const AUTH_BYTES: usize = 16;
/// A token is good for so long (RFC 8292 §2 allows a day).
const TOKEN_SECS: i64 = 12 * 3600;

/// The name of our key among the secrets of the store.
const KEY_NAME: &str = "vapid";
/// A push service keeps it for so long for a browser that is off.
const KEPT_SECS: &str = "86400";

/// What a browser gave to encrypt for it (RFC 8291 §3): a point of P-256, and a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrowserKeys {
    pub(crate) p256dh: Vec<u8>,
    pub(crate) auth: Vec<u8>,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is on its way.
    Taken,
    /// There is no such subscription any more.
    Gone,
    /// Not now; after so many seconds, if the service says so.
    Later(Option<u64>),
}

/// The way to push services, and our key once it was asked for.
pub(crate) struct Pushes {
    outside: Outside,
    places: Semaphore,
    contact: String,
    vapid: OnceCell<Vapid>,
}

impl Pushes {
    /// `contact`: a URL by which whoever runs this can be reached.
    pub(crate) fn new(outside: Outside, contact: String) -> Pushes {
        Pushes { outside, places: Semaphore::new(PUSHES_AT_ONCE_MAX), contact, vapid: OnceCell::new() }
    }

    /// Whom it may ask.
    pub(crate) fn reach(&self) -> Reach {
        self.outside.reach()
    }

    async fn vapid(&self, store: &Store) -> Result<&Vapid, StoreError> {
        let none = || StoreError::Io("no key for push services".into());
        let made = || async {
            let pkcs8 = match store.trust_row(TrustKind::Secret, KEY_NAME).await? {
                Some(kept) => Zeroizing::new(kept),
                None => {
                    let new = new_key().ok_or_else(none)?;
                    store.trust_set(TrustKind::Secret, vec![(KEY_NAME.into(), Some(new.to_vec()))]).await?;
                    new
                }
            };
            Vapid::of(&pkcs8, self.contact.clone()).ok_or_else(none)
        };
        self.vapid.get_or_try_init(made).await
    }

    /// What browsers tie their subscriptions to (RFC 9749 §3).
    pub(crate) async fn public_key(&self, store: &Store) -> Result<String, StoreError> {
        self.vapid(store).await.map(Vapid::public)
    }

    /// Tells one subscription, encrypted if it has keys.
    pub(crate) async fn tell(&self, store: &Store, (url, keys): (&str, Option<&BrowserKeys>), value: &str) -> Told {
        let mut fields = vec![("TTL", KEPT_SECS.to_owned()), ("Urgency", "normal".to_owned())];
        let (media_type, octets) = match keys {
            None => ("application/json", value.as_bytes().to_vec()),
            Some(keys) => match encrypt(value.as_bytes(), keys) {
                Some(sealed) => {
                    fields.push(("Content-Encoding", "aes128gcm".to_owned()));
                    ("application/octet-stream", sealed)
                }
                // A key off the curve: nothing can ever be said to it.
                None => return Told::Gone,
            },
        };
        let said = match self.vapid(store).await {
            Ok(vapid) => vapid.authorization(&origin_of(url), net::clock::unix_now()),
            Err(error) => {
                tracing::warn!(?error, "push services cannot be told who we are");
                None
            }
        };
        // "It MUST authenticate the POST request" (RFC 9749 §4), each.
        let Some(said) = said else { return Told::Later(None) };
        fields.push(("Authorization", said));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let post = Post { media_type, fields: &fields, octets: &octets };
        let Ok(_place) = self.places.acquire().await else { return Told::Later(None) };
        match self.outside.ask(&Asked { url, post: Some(post), bytes_max: PUSH_ANSWER_BYTES_MAX }).await {
            Ok(got) if (200..300).contains(&got.status) => Told::Taken,
            Ok(got) if matches!(got.status, 404 | 410) => Told::Gone,
            Ok(got) => {
                tracing::debug!(status = got.status, "a push service said no");
                Told::Later(got.retry_after_secs)
            }
            Err(error) => {
                tracing::debug!(%error, "a push service does not answer");
                Told::Later(None)
            }
        }
    }
}

/// Whom a token is for (RFC 6454 §6.1).
fn origin_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase())
}

/// How many octets HKDF is to give.
#[derive(Clone, Copy)]
struct Octets(usize);

impl KeyType for Octets {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(prk: &Prk, info: &[&[u8]], into: &mut [u8]) -> Option<()> {
    prk.expand(info, Octets(into.len())).ok()?.fill(into).ok()
}

/// For a browser's keys, as `Content-Encoding: aes128gcm`. `None`: its key is no point of the curve.
pub(crate) fn encrypt(plain: &[u8], BrowserKeys { p256dh, auth }: &BrowserKeys) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let ours = EphemeralPrivateKey::generate(&ECDH_P256, &random).ok()?;
    let public = ours.compute_public_key().ok()?;
    let mut salt = [0u8; SALT_BYTES];
    random.fill(&mut salt).ok()?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, p256dh);
    agreement::agree_ephemeral(ours, &theirs, |secret| sealed(plain, secret, (p256dh, public.as_ref(), auth), salt)).ok()?
}

/// RFC 8291 §3.4, with the shared secret of both keys.
fn sealed(plain: &[u8], secret: &[u8], (theirs, ours, auth): (&[u8], &[u8], &[u8]), salt: [u8; SALT_BYTES]) -> Option<Vec<u8>> {
    if plain.len() > PLAIN_BYTES_MAX {
        return None;
    }
    let mut input = Zeroizing::new([0u8; 32]);
    let prk_key = Salt::new(HKDF_SHA256, auth).extract(secret);
    expand(&prk_key, &[b"WebPush: info\0", theirs, ours], input.as_mut_slice())?;
    let prk = Salt::new(HKDF_SHA256, &salt).extract(input.as_slice());
    let (mut key, mut nonce) = (Zeroizing::new([0u8; 16]), [0u8; aead::NONCE_LEN]);
    expand(&prk, &[b"Content-Encoding: aes128gcm\0"], key.as_mut_slice())?;
    expand(&prk, &[b"Content-Encoding: nonce\0"], &mut nonce)?;
    // 2: the last record, and nothing behind it (RFC 8188 §2).
    let mut record = [plain, &[2]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_slice()).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record).ok()?;
    let length = u8::try_from(ours.len()).ok()?;
    Some([salt.as_slice(), &RECORD_BYTES.to_be_bytes(), &[length], ours, &record].concat())
}

/// A new key to sign with, as PKCS #8; `None` when the system gives no random numbers.
fn new_key() -> Option<Zeroizing<Vec<u8>>> {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok()?;
    Some(Zeroizing::new(made.as_ref().to_vec()))
}

/// Who we are to push services.
struct Vapid {
    key: EcdsaKeyPair,
    /// How they reach whoever runs this.
    contact: String,
}

impl Vapid {
    /// `None`: that is no key.
    fn of(pkcs8: &[u8], contact: String) -> Option<Vapid> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new()).ok()?;
        Some(Vapid { key, contact })
    }

    fn public(&self) -> String {
        BASE64URL_NOPAD.encode(self.key.public_key().as_ref())
    }

    /// `Authorization` for a push service (RFC 8292 §3).
    fn authorization(&self, origin: &str, now_secs: UnixSecs) -> Option<String> {
        let text = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let claims = json!({"aud": origin, "exp": now_secs + TOKEN_SECS, "sub": self.contact});
        let signed = format!("{}.{}", text(json!({"typ": "JWT", "alg": "ES256"})), text(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("vapid t={signed}.{}, k={}", BASE64URL_NOPAD.encode(signature.as_ref()), self.public()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn octets(text: &str) -> Vec<u8> {
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
    }

    /// RFC 8291 §5 and Appendix A.
    #[test]
    fn the_example_of_rfc_8291() {
        let secret = octets("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let theirs = octets("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let ours = octets("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8");
        let auth = octets("BTBZMqHH6r4Tts7J_aSIgg");
        let salt = octets("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let made = sealed(b"When I grow up, I want to be a watermelon", &secret, (&theirs, &ours, &auth), salt).unwrap();
        let wanted = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64URL_NOPAD.encode(&made), wanted);
    }

    /// RFC 9749 §4: "Every time the server sends a push message to a PushSubscription URL, it MUST authenticate the POST request".
    #[tokio::test]
    async fn nothing_is_said_without_saying_who_we_are() {
        let disk = store::MemoryDisk::default();
        let store = crate::in_memory::store_on(&disk).await;
        let resolver = net::Resolver::with_servers(vec![([127, 0, 0, 1], 9).into()]).unwrap();
        let outside = Outside::new(net::Network::System, resolver, net::TlsClient::verified(None).unwrap(), Reach::Loopback);
        let pushes = Pushes::new(outside, "mailto:postmaster@here.test".into());
        let service = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}/push", service.local_addr().unwrap().port());
        disk.fail_after(0, StoreError::Io("no disk".into()));
        assert_eq!(pushes.tell(&store, (&url, None), "{}").await, Told::Later(None));
        let called = tokio::time::timeout(std::time::Duration::from_millis(200), service.accept()).await;
        assert!(called.is_err(), "{called:?}");
        disk.heal();
        let told = pushes.tell(&store, (&url, None), "{}");
        let (_, called) = tokio::join!(tokio::time::timeout(std::time::Duration::from_secs(20), told), async {
            tokio::time::timeout(std::time::Duration::from_secs(20), service.accept()).await.map(drop)
        });
        assert!(called.is_ok());
    }

    #[test]
    fn a_key_off_the_curve_gets_nothing() {
        let keys = |p256dh: &[u8]| BrowserKeys { p256dh: p256dh.to_vec(), auth: vec![0; AUTH_BYTES] };
        assert_eq!(encrypt(b"x", &keys(&[4; POINT_BYTES])), None);
        assert_eq!(encrypt(b"x", &keys(b"")), None);
        let long = vec![b'x'; PLAIN_BYTES_MAX + 1];
        assert_eq!(sealed(&long, &[1; 32], (&[4; POINT_BYTES], &[4; POINT_BYTES], &[0; AUTH_BYTES]), [0; SALT_BYTES]), None);
    }

    /// RFC 8292 §2: the token is for one push service, for less than a day, and signed with the key beside it.
    #[test]
    fn a_token_for_one_push_service() {
        use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
        let vapid = Vapid::of(&new_key().unwrap(), "mailto:postmaster@here.test".into()).unwrap();
        let said = vapid.authorization("https://push.test", 1_000).unwrap();
        let (token, key) = said.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        assert_eq!(key, vapid.public());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, octets(key)).verify(signed.as_bytes(), &octets(signature)).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&octets(signed.split_once('.').unwrap().1)).unwrap();
        assert_eq!(claims, json!({"aud": "https://push.test", "exp": 1_000 + TOKEN_SECS, "sub": "mailto:postmaster@here.test"}));
        assert!(Vapid::of(b"no key", String::new()).is_none());
    }
}
