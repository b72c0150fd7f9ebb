//! Passwords to verifiers and back: argon2id (RFC 9106) and SCRAM-SHA-256 (RFC 5803).
//!
//! Costs: argon2id m=19456 KiB, t=2, p=1 (`hashing`); SCRAM 65,536 rounds. An account made in bulk begins with a SCRAM verifier
//! of fewer rounds alone, so that thousands are made in seconds, and gets both full ones at its first sign-in by
//! password (`docs/decisions/0003-scram-rounds.md`).

use super::hashing;
use ring::rand::{SecureRandom, SystemRandom};
use std::num::NonZeroU32;
use std::sync::LazyLock;
use store::{ScramVerifier, Secrets};

/// SCRAM's PBKDF2 rounds.
///
/// Not more: Cyrus SASL, which mbsync and others link, refuses to compute above 0x10000 (`docs/decisions/0003-scram-rounds.md`).
pub(super) const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::new(65_536).unwrap();
/// Rounds of an account made in bulk, until its first sign-in by password. Above RFC 7677 §4's least (4,096).
const SCRAM_ITERATIONS_BULK: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
/// Salt of either verifier.
pub(super) const SALT_BYTES: usize = 16;
/// Longest password, octets (as `wire` lets in).
const PASSWORD_BYTES_MAX: usize = wire::limits::sasl::WORD_BYTES_MAX;

/// The hash of a password nobody knows: what an unknown login is checked against.
static NOBODY: LazyLock<Option<Secrets>> = LazyLock::new(|| {
    let mut password = [0u8; 32];
    SystemRandom::new().fill(&mut password).ok()?;
    Some(Secrets { argon2: hashing::hash(&password, &salt(None, "nobody").ok()?).ok()?, scram: None })
});

/// Verifiers for a new password (slow on purpose; call it off the async threads). With `salt_seed` the same password
/// gives the same verifiers; without it the salts are random, as they should be for real accounts.
pub fn secrets(password: &[u8], salt_seed: Option<[u8; 32]>) -> Result<Secrets, String> {
    check(password)?;
    with_salts(password, &salt(salt_seed, "argon2")?, &salt(salt_seed, "scram")?)
}

fn with_salts(password: &[u8], argon2_salt: &[u8], scram_salt: &[u8]) -> Result<Secrets, String> {
    check(password)?;
    let argon2 = hashing::hash(password, argon2_salt)?;
    Ok(Secrets { argon2, scram: Some(scram(password, scram_salt, SCRAM_ITERATIONS)) })
}

/// The same with SCRAM's salt as it was: what other passwords of the account were derived with.
pub(super) fn keeping_salt(password: &[u8], scram_salt: &[u8]) -> Result<Secrets, String> {
    with_salts(password, &salt(None, "argon2")?, scram_salt)
}

/// The verifier for one of thousands of passwords (see the module's head): milliseconds; spread the calls over the cores.
pub fn secrets_for_many(password: &[u8]) -> Result<Secrets, String> {
    check(password)?;
    Ok(Secrets { argon2: String::new(), scram: Some(scram(password, &salt(None, "scram")?, SCRAM_ITERATIONS_BULK)) })
}

/// Made in bulk, and not signed in by password since.
pub(super) fn are_weak(secrets: &Secrets) -> bool {
    secrets.argon2.is_empty()
}

fn check(password: &[u8]) -> Result<(), String> {
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("the password is longer than {PASSWORD_BYTES_MAX} octets"));
    }
    if password.contains(&0) {
        return Err("a password cannot hold NUL".to_owned());
    }
    Ok(())
}

fn salt(seed: Option<[u8; 32]>, purpose: &str) -> Result<[u8; SALT_BYTES], String> {
    let mut salt = [0u8; SALT_BYTES];
    match seed {
        Some(seed) => blake3::Hasher::new_keyed(&seed).update(purpose.as_bytes()).finalize_xof().fill(&mut salt),
        None => SystemRandom::new().fill(&mut salt).map_err(|_| "the system gives no random numbers".to_owned())?,
    }
    Ok(salt)
}

pub(super) fn scram(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> ScramVerifier {
    let verifier = wire::sasl::ScramVerifier::derive(password, salt, iterations);
    ScramVerifier {
        salt: verifier.salt,
        iterations: verifier.iterations,
        stored_key: verifier.stored_key,
        server_key: verifier.server_key,
    }
}

/// Is it the password? By argon2 where there is one, else by the SCRAM verifier. Slow.
pub(super) fn verify(secrets: &Secrets, password: &[u8]) -> bool {
    if check(password).is_err() {
        return false;
    }
    if !secrets.argon2.is_empty() {
        return hashing::fits(&secrets.argon2, password);
    }
    match secrets.scram.as_ref().and_then(|known| Some((known, NonZeroU32::new(known.iterations)?))) {
        Some((known, iterations)) => {
            let tried = wire::sasl::ScramVerifier::derive(password, &known.salt, iterations);
            // Everybody is told the salt: the first octets of what is kept would be enough to try words at home.
            wire::sasl::same(&tried.stored_key, &known.stored_key)
        }
        // An account nobody signs in to answers as slowly as one that does not exist.
        None => verify_nobody(password),
    }
}

/// The work of [`verify`] for a login that does not exist.
pub(super) fn verify_nobody(password: &[u8]) -> bool {
    if let Some(nobody) = NOBODY.as_ref() {
        verify(nobody, password);
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::secret_checks::{count, three};

    #[test]
    fn a_password_fits_its_verifiers_and_no_other_does() {
        let one = secrets("pä ss".as_bytes(), None).unwrap();
        assert!(one.argon2.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.argon2);
        assert!(verify(&one, "pä ss".as_bytes()));
        assert!(!verify(&one, b"pass"));
        let scram = one.scram.clone().unwrap();
        assert_eq!((scram.salt.len(), scram.iterations), (16, 65_536));
        let other = secrets("pä ss".as_bytes(), None).unwrap();
        assert_ne!(one, other, "salts are random");
    }

    #[test]
    fn one_of_many_is_checked_by_scram() {
        let many = secrets_for_many(b"pw").unwrap();
        assert!(are_weak(&many) && !are_weak(&secrets(b"pw", None).unwrap()));
        assert!(verify(&many, b"pw"));
        assert!(!verify(&many, b"px"));
        assert!(!verify(&Secrets { argon2: String::new(), scram: None }, b"pw"));
        assert!(!verify(&Secrets { argon2: "nonsense".into(), scram: None }, b"pw"));
    }

    #[test]
    fn secret_checks_of_a_password() {
        let cheap = NonZeroU32::new(4).unwrap();
        let of_many = Secrets { argon2: String::new(), scram: Some(scram(b"correct horse", b"sixteen octets..", cheap)) };
        count("a password, by SCRAM's verifier", &three(b"correct horse"), |said| verify(&of_many, said));
        // What differs is the hash: two that end it as early and as late as can be.
        let kept = of_many.scram.as_ref().unwrap().stored_key;
        let each = three(&kept).map(|stored_key| {
            let scram = of_many.scram.clone().map(|scram| ScramVerifier { stored_key: stored_key.try_into().unwrap(), ..scram });
            Secrets { argon2: String::new(), scram }
        });
        let which = [[0], [1], [2]];
        count("a password's hash, by SCRAM's verifier", &which, |at| verify(&each[usize::from(at[0])], b"correct horse"));
    }

    #[test]
    fn a_seed_makes_them_repeatable() {
        let seeded = secrets(b"pw", Some([7; 32])).unwrap();
        assert_eq!(seeded, secrets(b"pw", Some([7; 32])).unwrap());
        assert_ne!(seeded, secrets(b"pw", Some([8; 32])).unwrap());
        assert_ne!(seeded.scram.unwrap().salt, [0; 16]);
    }

    #[test]
    fn what_is_no_password() {
        assert!(secrets(b"", None).is_err());
        assert!(secrets(b"a\0b", None).is_err());
        assert!(secrets(&[b'x'; 1025], None).is_err());
        assert!(secrets_for_many(b"").is_err());
        assert!(!verify_nobody(b"pw"));
    }
}
