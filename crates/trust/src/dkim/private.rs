//! Keys that sign: RSA-2048 and Ed25519, kept as PKCS #8.
//!
//! Invariant: a key that was made here is one that [`SigningKey::from_pkcs8`] takes and whose record verifies what it signs.
//! Must not know: where keys are kept.

use super::der;
use super::key::KeyKind;
use crypto_bigint::{CheckedAdd, NonZero, U1024, U2048};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

/// A private key.
pub enum SigningKey {
    /// RSA.
    Rsa(Box<RsaKeyPair>),
    /// Ed25519.
    Ed25519(Box<Ed25519KeyPair>),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({:?})", self.kind())
    }
}

impl SigningKey {
    /// Reads one.
    pub fn from_pkcs8(kind: KeyKind, octets: &[u8]) -> Option<SigningKey> {
        match kind {
            KeyKind::Rsa => RsaKeyPair::from_pkcs8(octets).ok().map(|key| SigningKey::Rsa(Box::new(key))),
            KeyKind::Ed25519 => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(octets).ok().map(|key| SigningKey::Ed25519(Box::new(key)))
            }
        }
    }

    /// Which kind.
    pub fn kind(&self) -> KeyKind {
        match self {
            SigningKey::Rsa(_) => KeyKind::Rsa,
            SigningKey::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// The TXT record to publish (RFC 6376 §3.6.1).
    pub fn record(&self) -> String {
        let base64 = |octets: &[u8]| data_encoding::BASE64.encode(octets);
        match self {
            SigningKey::Rsa(key) => format!("v=DKIM1; k=rsa; p={}", base64(&der::rsa_public_info(key.public_key().as_ref()))),
            SigningKey::Ed25519(key) => format!("v=DKIM1; k=ed25519; p={}", base64(key.public_key().as_ref())),
        }
    }

    /// Signs. `None`: the key refuses.
    pub(crate) fn sign(&self, data: &[u8]) -> Option<Vec<u8>> {
        match self {
            SigningKey::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature).ok()?;
                Some(signature)
            }
            SigningKey::Ed25519(key) => Some(key.sign(digest(&SHA256, data).as_ref()).as_ref().to_vec()),
        }
    }
}

/// A new key, as PKCS #8. `None`: no randomness to be had.
pub fn generate(kind: KeyKind) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    match kind {
        KeyKind::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random).ok().map(|document| document.as_ref().to_vec()),
        KeyKind::Rsa => (0..8).find_map(|_| generate_rsa(&random)),
    }
}

/// One try at RSA-2048 (FIPS 186-5 appendix A.1.3: random primes with the two highest bits set, e = 65537).
fn generate_rsa(random: &SystemRandom) -> Option<Vec<u8>> {
    let (one, two) = (prime(random)?, prime(random)?);
    let (p, q) = if one > two { (one, two) } else { (two, one) };
    let n: U2048 = p.concatenating_mul(&q);
    let (p1, q1) = (p.wrapping_sub(&U1024::ONE), q.wrapping_sub(&U1024::ONE));
    let phi: U2048 = p1.concatenating_mul(&q1);
    let e = U2048::from_u32(65_537);
    let d: U2048 = Option::from(e.invert_mod(&Option::<NonZero<U2048>>::from(NonZero::new(phi))?))?;
    let remainder = |modulus: &U1024| -> Option<U2048> {
        let wide: U2048 = modulus.resize();
        Some(d.rem_vartime(&Option::<NonZero<U2048>>::from(NonZero::new(wide))?))
    };
    let (dp, dq) = (remainder(&p1)?, remainder(&q1)?);
    let q_inverse: U1024 = Option::from(q.invert_mod(&Option::<NonZero<U1024>>::from(NonZero::new(p))?))?;
    let octets = |number: &U2048| number.to_be_bytes();
    let half = |number: &U1024| number.to_be_bytes();
    let document = der::rsa_private([
        octets(&n).as_ref(),
        &[1, 0, 1],
        octets(&d).as_ref(),
        half(&p).as_ref(),
        half(&q).as_ref(),
        octets(&dp).as_ref(),
        octets(&dq).as_ref(),
        half(&q_inverse).as_ref(),
    ]);
    // The last word has the library that will use it.
    RsaKeyPair::from_pkcs8(&document).ok().map(|_| document)
}

/// A random prime of 1,024 bits whose predecessor is prime to 65,537.
fn prime(random: &SystemRandom) -> Option<U1024> {
    let mut octets = [0u8; 128];
    random.fill(&mut octets).ok()?;
    octets[0] |= 0xc0;
    octets[127] |= 1;
    let start = U1024::from_be_slice(&octets);
    let small = small_primes();
    let rest = |modulus: u32| -> u32 {
        octets.iter().fold(0u64, |sum, octet| (sum * 256 + u64::from(*octet)) % u64::from(modulus)) as u32
    };
    let rests: Vec<(u32, u32)> = small.into_iter().map(|prime| (prime, rest(prime))).collect();
    let of_e = rest(65_537);
    // The gap behind a random number is about 700; a hundred times that is never needed.
    for step in (0..70_000u32).step_by(2) {
        let divisible = rests.iter().any(|(prime, rest)| (rest + step) % prime == 0);
        if divisible || (of_e + step) % 65_537 == 1 {
            continue;
        }
        let candidate: U1024 = Option::from(start.checked_add(&U1024::from_u32(step)))?;
        if crypto_primes::is_prime(crypto_primes::Flavor::Any, &candidate) {
            return Some(candidate);
        }
    }
    None
}

/// Those under 4,000.
fn small_primes() -> Vec<u32> {
    let mut found: Vec<u32> = Vec::new();
    for n in (3..4_000u32).step_by(2) {
        if !found.iter().take_while(|prime| *prime * *prime <= n).any(|prime| n % prime == 0) {
            found.push(n);
        }
    }
    found
}
