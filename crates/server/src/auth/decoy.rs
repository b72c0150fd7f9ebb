//! SCRAM verifiers for logins that do not exist: the same each time one asks, as a real account's would be (RFC 5802 §9).
//!
//! They are drawn from a secret that outlives a restart without a file of its own: the first account's verifiers.
//! Invariant: nobody without the store can tell a decoy's salt from a real one.

use super::secrets::{SALT_BYTES, SCRAM_ITERATIONS};
use ring::rand::{SecureRandom, SystemRandom};
use store::{ScramVerifier, Store};

pub(super) struct Decoy {
    key: [u8; 32],
}

impl Decoy {
    /// From the first account; from chance while there is none.
    pub(super) async fn new(store: &Store) -> Decoy {
        let mut hasher = blake3::Hasher::new_derive_key("packetboat 2026 decoy of SCRAM verifiers");
        match store.account_first().await {
            Ok(Some(account)) => {
                hasher.update(account.secrets.argon2.as_bytes());
                if let Some(scram) = &account.secrets.scram {
                    hasher.update(&scram.server_key);
                }
            }
            _ => {
                let mut chance = [0u8; 32];
                let _ = SystemRandom::new().fill(&mut chance);
                hasher.update(&chance);
            }
        }
        Decoy { key: *hasher.finalize().as_bytes() }
    }

    /// A verifier that no password fits.
    pub(super) fn verifier(&self, name: &str) -> ScramVerifier {
        let mut octets = blake3::Hasher::new_keyed(&self.key).update(name.as_bytes()).finalize_xof();
        let mut verifier = ScramVerifier {
            salt: vec![0; SALT_BYTES],
            iterations: SCRAM_ITERATIONS.get(),
            stored_key: [0; 32],
            server_key: [0; 32],
        };
        octets.fill(&mut verifier.salt);
        octets.fill(&mut verifier.stored_key);
        octets.fill(&mut verifier.server_key);
        verifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_for_a_name_and_another_for_another() {
        let decoy = Decoy { key: [1; 32] };
        assert_eq!(decoy.verifier("x@here.test"), decoy.verifier("x@here.test"));
        assert_ne!(decoy.verifier("x@here.test").salt, decoy.verifier("y@here.test").salt);
        assert_ne!(decoy.verifier("x@here.test").salt, Decoy { key: [2; 32] }.verifier("x@here.test").salt);
    }
}
