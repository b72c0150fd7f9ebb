//! App passwords: made by us, one a program, so that each can be taken away alone.
//!
//! 128 random bits: guessing is hopeless, so SHA-256 is hash enough. Invariant: the password itself is shown once and
//! kept nowhere. With SCRAM it shares the account's salt and rounds, so one exchange serves them all.

use super::secrets;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::num::NonZeroU32;
use store::{Account, AppPassword, ScramVerifier, Secrets};
use wire::sasl::ScramKeys;
use zeroize::Zeroizing;

const RANDOM_BYTES: usize = 16;

/// A new one: what to show, and what is kept. `scram`: the account's verifier. Milliseconds.
pub fn new_app_password(
    name: &str,
    scram: Option<(&[u8], u32)>,
    now_secs: i64,
) -> Result<(Zeroizing<String>, AppPassword), String> {
    let mut chance = Zeroizing::new([0u8; RANDOM_BYTES]);
    SystemRandom::new().fill(chance.as_mut_slice()).map_err(|_| "the system gives no random numbers".to_owned())?;
    // 26 lower-case letters and digits: nothing that a program or a phone's keyboard changes on the way.
    let password = Zeroizing::new(data_encoding::BASE32_NOPAD.encode(chance.as_slice()).to_lowercase());
    let mut verifiers = Vec::new();
    if let Some((salt, rounds)) = scram {
        let mut all = vec![secrets::SCRAM_ITERATIONS];
        all.extend(NonZeroU32::new(rounds).filter(|rounds| *rounds != secrets::SCRAM_ITERATIONS));
        verifiers.extend(all.into_iter().map(|rounds| secrets::scram(password.as_bytes(), salt, rounds)));
    }
    let kept =
        AppPassword { name: name.to_owned(), created_secs: now_secs, sha256: sha256(password.as_bytes()), scram: verifiers };
    Ok((password, kept))
}

/// Verifiers for a new password of an account whose SCRAM salt is to stay; without one everything is new.
pub fn secrets_with_salt(password: &[u8], salt: Option<&[u8]>) -> Result<Secrets, String> {
    match salt {
        Some(salt) => secrets::keeping_salt(password, salt),
        None => secrets::secrets(password, None),
    }
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, octets).as_ref());
    out
}

/// Is it one of them? All are looked at, in constant time.
pub fn is_app_password(account: &Account, password: &[u8]) -> bool {
    is_one_of(&account.app_passwords, password)
}

fn is_one_of(known: &[AppPassword], password: &[u8]) -> bool {
    // People part long words, and phones begin them with a capital.
    let bare: Zeroizing<Vec<u8>> = Zeroizing::new(password.iter().copied().filter(|octet| !b" -".contains(octet)).collect());
    let hash = sha256(&bare.to_ascii_lowercase());
    known.iter().fold(false, |is, known| is | wire::sasl::same(&known.sha256, &hash))
}

/// The keys that go with this verifier's salt and rounds.
pub(super) fn keys(account: &Account, verifier: &ScramVerifier) -> Vec<ScramKeys> {
    let all = account.app_passwords.iter().flat_map(|known| &known.scram);
    all.filter(|known| known.salt == verifier.salt && known.iterations == verifier.iterations)
        .map(|known| ScramKeys { stored_key: known.stored_key, server_key: known.server_key })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::secret_checks::{count, three};

    #[test]
    fn secret_checks_of_app_passwords() {
        let other = new_app_password("other", None, 0).unwrap().1;
        let (password, kept) = new_app_password("phone", None, 0).unwrap();
        let known = [other.clone(), kept.clone()];
        count("an app password", &three(password.as_bytes()), |said| is_one_of(&known, said));
        // As near as can be: a hash that differs in one octet.
        let each =
            three(&kept.sha256).map(|hash| [other.clone(), AppPassword { sha256: hash.try_into().unwrap(), ..kept.clone() }]);
        let which = [[0], [1], [2]];
        count("an app password's hash", &which, |at| is_one_of(&each[usize::from(at[0])], password.as_bytes()));
    }
}
