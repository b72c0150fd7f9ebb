//! The second factor of a browser's sign-in: codes by time (TOTP, RFC 6238), and codes to write down, each good once.
//!
//! Invariant: a code is taken once; guessing is bounded in number and time; the secret is shown once, while it is set up.
//! Must not know: HTTP.

use crate::collections::SECOND_FACTOR;
use crate::limits::{CODE_FAILURES_MAX, CODE_FAILURES_SECS, RECOVERY_CODES};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use store::{AccountId, Store, StoreError, UnixSecs};
use zeroize::Zeroizing;

const NAME: &str = "totp";
/// Octets of a secret: as many as SHA-1 gives (RFC 4226 §4, R6).
const SECRET_BYTES: usize = 20;
/// RFC 6238 §4.1: X.
const STEP_SECS: i64 = 30;
/// Steps before and after now whose code is taken too (RFC 6238 §5.2).
const STEPS_AROUND: i64 = 1;
const DIGITS: usize = 6;

/// How a code was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// None is asked for.
    NotNeeded,
    Right,
    /// None was given.
    Missing,
    Wrong,
    /// Too many wrong ones: later.
    Later,
}

/// What is kept.
struct Kept {
    secret: Zeroizing<Vec<u8>>,
    confirmed: bool,
    /// The last step whose code was taken.
    last_step: i64,
    /// Hashes of the codes that are left.
    recovery: Vec<String>,
}

impl Kept {
    fn encode(&self) -> Vec<u8> {
        let secret = data_encoding::BASE64.encode(&self.secret);
        let value =
            json!({"v": 1, "secret": secret, "confirmed": self.confirmed, "last": self.last_step, "recovery": self.recovery});
        value.to_string().into_bytes()
    }

    /// Is it a code? It is none any more.
    fn use_up(&mut self, said: &str, now_secs: UnixSecs) -> bool {
        let now_step = now_secs.div_euclid(STEP_SECS);
        let step = (now_step - STEPS_AROUND..=now_step + STEPS_AROUND)
            .find(|step| *step > self.last_step && same(&code(&self.secret, *step), said));
        if let Some(step) = step {
            self.last_step = step;
            return true;
        }
        let (written, before) = (recovery_hash(said), self.recovery.len());
        self.recovery.retain(|known| !same(known, &written));
        self.recovery.len() != before
    }

    fn decode(stored: &[u8]) -> Option<Kept> {
        let value: Value = serde_json::from_slice(stored).ok()?;
        let secret = data_encoding::BASE64.decode(value.get("secret")?.as_str()?.as_bytes()).ok()?;
        let recovery = value.get("recovery")?.as_array()?;
        Some(Kept {
            secret: Zeroizing::new(secret),
            confirmed: value.get("confirmed")?.as_bool()?,
            last_step: value.get("last")?.as_i64()?,
            recovery: recovery.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}

/// Wrong codes, by account: (how many, since when).
#[derive(Default)]
pub(crate) struct SecondFactor {
    failures: Mutex<HashMap<AccountId, (u32, UnixSecs)>>,
    /// Held from looking at what is kept until it is kept again: of two who say one code at once, one is right.
    alone: tokio::sync::Mutex<()>,
}

/// RFC 4226 §5.3 with SHA-1, six digits.
fn code(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let mac = mac.as_ref();
    let offset = usize::from(mac.last().copied().unwrap_or(0) & 0x0f);
    let four = mac.get(offset..offset + 4).and_then(|four| <[u8; 4]>::try_from(four).ok()).unwrap_or_default();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

/// Compares without telling where they differ: hashes are, in constant time.
fn same(one: &str, other: &str) -> bool {
    blake3::hash(one.as_bytes()) == blake3::hash(other.as_bytes())
}

/// What people and phones put between.
fn bare(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase()
}

fn recovery_hash(code: &str) -> String {
    let hash = blake3::derive_key("packetboat 2026 recovery code", code.as_bytes());
    data_encoding::BASE64URL_NOPAD.encode(&hash)
}

fn random(octets: &mut [u8]) -> Result<(), StoreError> {
    SystemRandom::new().fill(octets).map_err(|_| StoreError::Io("no randomness".into()))
}

async fn kept(store: &Store, account: AccountId) -> Result<Option<Kept>, StoreError> {
    let Some(stored) = store.record(account, SECOND_FACTOR, NAME).await? else { return Ok(None) };
    Kept::decode(&stored).map(Some).ok_or_else(|| StoreError::Damaged("the second factor cannot be read".into()))
}

async fn keep(store: &Store, account: AccountId, kept: &Kept) -> Result<(), StoreError> {
    store.records_change(account, &[(SECOND_FACTOR, NAME.into(), Some(kept.encode()))]).await.map(drop)
}

/// Is one asked for? And how many codes to write down are left.
pub(crate) async fn state(store: &Store, account: AccountId) -> Result<Option<usize>, StoreError> {
    Ok(kept(store, account).await?.filter(|kept| kept.confirmed).map(|kept| kept.recovery.len()))
}

/// Does this account's owner sign in with a second factor?
///
/// # Errors
/// The store's.
pub async fn is_on(store: &Store, account: AccountId) -> Result<bool, StoreError> {
    Ok(state(store, account).await?.is_some())
}

/// A new secret, in base32; nothing is asked for until [`SecondFactor::confirm`].
pub(crate) async fn begin(store: &Store, account: AccountId) -> Result<Zeroizing<String>, StoreError> {
    let mut secret = Zeroizing::new(vec![0u8; SECRET_BYTES]);
    random(&mut secret)?;
    let shown = Zeroizing::new(data_encoding::BASE32_NOPAD.encode(&secret));
    keep(store, account, &Kept { secret, confirmed: false, last_step: 0, recovery: Vec::new() }).await?;
    Ok(shown)
}

/// Nothing is asked for any more.
pub(crate) async fn end(store: &Store, account: AccountId) -> Result<(), StoreError> {
    store.records_change(account, &[(SECOND_FACTOR, NAME.into(), None)]).await.map(drop)
}

/// The address that a program for codes reads from a picture.
pub(crate) fn uri(address: &str, secret: &str) -> String {
    let address: String = address
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b"@.-_".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    format!(
        "otpauth://totp/Packetboat:{address}?secret={secret}&issuer=Packetboat&algorithm=SHA1&digits={DIGITS}&period={STEP_SECS}"
    )
}

impl SecondFactor {
    fn may_try(&self, account: AccountId, now_secs: UnixSecs) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, (_, since)| now_secs - *since < CODE_FAILURES_SECS);
        failures.get(&account).is_none_or(|(count, _)| *count < CODE_FAILURES_MAX)
    }

    fn settle(&self, account: AccountId, right: bool, now_secs: UnixSecs) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if right {
            failures.remove(&account);
        } else {
            failures.entry(account).or_insert((0, now_secs)).0 += 1;
        }
    }

    /// Judges a code at sign-in; one that is right is used up.
    pub(crate) async fn check(
        &self,
        store: &Store,
        account: AccountId,
        said: Option<&str>,
        now_secs: UnixSecs,
    ) -> Result<Verdict, StoreError> {
        if state(store, account).await?.is_none() {
            return Ok(Verdict::NotNeeded);
        }
        let Some(said) = said.map(bare).filter(|said| !said.is_empty()) else { return Ok(Verdict::Missing) };
        let _alone = self.alone.lock().await;
        let Some(kept) = kept(store, account).await?.filter(|kept| kept.confirmed) else { return Ok(Verdict::NotNeeded) };
        self.take(store, account, kept, &said, now_secs).await
    }

    async fn take(
        &self,
        store: &Store,
        account: AccountId,
        mut kept: Kept,
        said: &str,
        now_secs: UnixSecs,
    ) -> Result<Verdict, StoreError> {
        if !self.may_try(account, now_secs) {
            return Ok(Verdict::Later);
        }
        let right = kept.use_up(said, now_secs);
        self.settle(account, right, now_secs);
        if !right {
            return Ok(Verdict::Wrong);
        }
        keep(store, account, &kept).await?;
        Ok(Verdict::Right)
    }

    /// The first code: from now on one is asked for. The codes to write down, or why not.
    pub(crate) async fn confirm(
        &self,
        store: &Store,
        account: AccountId,
        said: &str,
        now_secs: UnixSecs,
    ) -> Result<Result<Vec<String>, Verdict>, StoreError> {
        let _alone = self.alone.lock().await;
        let Some(fresh) = kept(store, account).await?.filter(|kept| !kept.confirmed) else { return Ok(Err(Verdict::NotNeeded)) };
        match self.take(store, account, fresh, &bare(said), now_secs).await? {
            Verdict::Right => {}
            other => return Ok(Err(other)),
        }
        let Some(mut whole) = kept(store, account).await? else { return Ok(Err(Verdict::NotNeeded)) };
        let mut codes = Vec::with_capacity(RECOVERY_CODES);
        for _ in 0..RECOVERY_CODES {
            let mut octets = [0u8; 10];
            random(&mut octets)?;
            codes.push(data_encoding::BASE32_NOPAD.encode(&octets).to_ascii_lowercase());
        }
        whole.recovery = codes.iter().map(|code| recovery_hash(code)).collect();
        whole.confirmed = true;
        keep(store, account, &whole).await?;
        Ok(Ok(codes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::secret_checks::{count, three};

    #[test]
    fn codes_of_rfc_6238() {
        // Appendix B, its last six digits.
        let secret = b"12345678901234567890";
        for (secs, wanted) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(secret, secs / STEP_SECS), wanted);
        }
        assert_eq!(bare(" 28-70 82"), "287082");
        assert!(uri("a+b@here.test", "ABC").starts_with("otpauth://totp/Packetboat:a%2Bb@here.test?secret=ABC&"));
    }

    #[test]
    fn secret_checks_of_codes() {
        let now = 1_800_000_000;
        let written = "abcdefghijklmnop";
        let recovery = [recovery_hash("another"), recovery_hash(written)].to_vec();
        let kept = Kept { secret: Zeroizing::new(vec![7; SECRET_BYTES]), confirmed: true, last_step: 0, recovery };
        let check = |said: &[u8]| {
            let mut kept = Kept { secret: kept.secret.clone(), recovery: kept.recovery.clone(), ..kept };
            kept.use_up(std::str::from_utf8(said).unwrap(), now)
        };
        let by_time = code(&kept.secret, now.div_euclid(STEP_SECS));
        count("a code by time", &three(by_time.as_bytes()), check);
        count("a code to write down", &three(written.as_bytes()), check);
        // As near as can be: hashes that differ in one octet.
        count("the hash of a code to write down", &three(recovery_hash(written).as_bytes()), |said| {
            let mut kept =
                Kept { recovery: vec![String::from_utf8(said.to_vec()).unwrap()], secret: kept.secret.clone(), ..kept };
            kept.use_up(written, now)
        });
    }

    async fn ann() -> (Store, AccountId) {
        ann_on(&store::MemoryDisk::default()).await
    }

    async fn ann_on(disk: &store::MemoryDisk) -> (Store, AccountId) {
        let store = crate::in_memory::store_on(disk).await;
        let secrets = store::Secrets { argon2: String::new(), scram: None };
        let ann = store::NewAccount { address: "ann@here.test".into(), secrets, quota_bytes: None };
        let ann = store.accounts_add(vec![ann], 1).await.unwrap()[0];
        (store, ann)
    }

    /// RFC 6238 §5.2: "The verifier MUST NOT accept the second attempt of the OTP after the successful validation has been issued for
    /// the first OTP", and guessing at once is guessing.
    #[tokio::test]
    async fn of_two_at_once_one_is_right() {
        let disk = store::MemoryDisk::default();
        let (store, ann) = ann_on(&disk).await;
        let (factor, now) = (SecondFactor::default(), 1_800_000_000);
        let secret = data_encoding::BASE32_NOPAD.decode(begin(&store, ann).await.unwrap().as_bytes()).unwrap();
        let at = |secs: i64| code(&secret, secs.div_euclid(STEP_SECS));
        let codes = factor.confirm(&store, ann, &at(now), now).await.unwrap().unwrap();
        for said in [at(now + 30), codes[0].clone()] {
            let check = || factor.check(&store, ann, Some(&said), now + 30);
            // Nothing is kept before both had time to look.
            disk.hold(|| ());
            let kept = async {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                disk.release();
            };
            let (one, other, ()) = tokio::join!(check(), check(), kept);
            let both = [one.unwrap(), other.unwrap()];
            assert_eq!(both.iter().filter(|verdict| **verdict == Verdict::Right).count(), 1, "{both:?}");
        }
        let later = now + CODE_FAILURES_SECS + 60;
        let factor = std::sync::Arc::new(factor);
        let mut guesses = tokio::task::JoinSet::new();
        for _ in 0..2 * CODE_FAILURES_MAX {
            let (store, factor) = (store.clone(), factor.clone());
            guesses.spawn(async move { factor.check(&store, ann, Some("123"), later).await.unwrap() });
        }
        let looked_at = guesses.join_all().await.into_iter().filter(|verdict| *verdict == Verdict::Wrong).count();
        assert_eq!(looked_at, usize::try_from(CODE_FAILURES_MAX).unwrap());
    }

    #[tokio::test]
    async fn a_code_is_taken_once_and_guessing_ends() {
        let (store, ann) = ann().await;
        let (factor, now) = (SecondFactor::default(), 1_800_000_000);
        assert_eq!(factor.check(&store, ann, None, now).await.unwrap(), Verdict::NotNeeded);
        let secret = begin(&store, ann).await.unwrap();
        let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
        let at = |secs: i64| code(&secret, secs.div_euclid(STEP_SECS));
        // Set up, but not confirmed: nobody is locked out.
        assert_eq!(factor.check(&store, ann, None, now).await.unwrap(), Verdict::NotNeeded);
        assert_eq!(factor.confirm(&store, ann, "000", now).await.unwrap(), Err(Verdict::Wrong));
        let codes = factor.confirm(&store, ann, &at(now), now).await.unwrap().unwrap();
        assert_eq!((codes.len(), state(&store, ann).await.unwrap()), (RECOVERY_CODES, Some(RECOVERY_CODES)));
        assert_eq!(factor.check(&store, ann, None, now).await.unwrap(), Verdict::Missing);
        // The same code again is none; the next one is.
        assert_eq!(factor.check(&store, ann, Some(&at(now)), now).await.unwrap(), Verdict::Wrong);
        assert_eq!(factor.check(&store, ann, Some(&at(now + 30)), now + 30).await.unwrap(), Verdict::Right);
        assert_eq!(factor.check(&store, ann, Some(&codes[0].to_uppercase()), now).await.unwrap(), Verdict::Right);
        assert_eq!(factor.check(&store, ann, Some(&codes[0]), now).await.unwrap(), Verdict::Wrong);
        for _ in 0..CODE_FAILURES_MAX {
            factor.check(&store, ann, Some("123"), now).await.unwrap();
        }
        assert_eq!(factor.check(&store, ann, Some(&at(now + 60)), now + 60).await.unwrap(), Verdict::Later);
        let later = now + CODE_FAILURES_SECS + 60;
        assert_eq!(factor.check(&store, ann, Some(&at(later)), later).await.unwrap(), Verdict::Right);
        end(&store, ann).await.unwrap();
        assert_eq!(factor.check(&store, ann, None, now).await.unwrap(), Verdict::NotNeeded);
    }
}
