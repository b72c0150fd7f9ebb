//! argon2id (RFC 9106) in memory that goes back to the system when the hash is done.
//!
//! A hash takes 19 MB. Left to the allocator, each thread's heap would keep its own: hundreds of megabytes after a
//! morning's sign-ins. Must not know: whose password it is, when hashing is due.

use argon2::password_hash::{Output, ParamsString, PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const OUTPUT_BYTES: usize = 32;
/// No allocation of this size is cut from a heap (glibc's `M_MMAP_THRESHOLD` never grows past 32 MiB): it is mapped by
/// itself and unmapped when freed. What is not written to costs nothing.
const MAPPED_BYTES_MIN: usize = 34 * 1024 * 1024;

/// The hash of a password with our costs, as a PHC string.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> Result<String, String> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(OUTPUT_BYTES)).map_err(|error| error.to_string())?;
    let mut output = [0u8; OUTPUT_BYTES];
    let ours = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    fill(&ours, password, salt, &mut output).map_err(|error| error.to_string())?;
    let made = || {
        let salt = SaltString::encode_b64(salt)?;
        // The length of the output shows in the output itself.
        let shown = Params::new(MEMORY_KIB, PASSES, 1, None)?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&shown)?,
            salt: Some(salt.as_salt()),
            hash: Some(Output::new(&output)?),
        };
        Ok::<_, argon2::password_hash::Error>(hash.to_string())
    };
    made().map_err(|error| error.to_string())
}

/// Is it the password of this PHC string? The costs come from the string, so old ones stay good when ours change.
pub(super) fn fits(known: &str, password: &[u8]) -> bool {
    let compute = || {
        let known = PasswordHash::new(known).ok()?;
        let algorithm = Algorithm::try_from(known.algorithm).ok()?;
        let version = known.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let params = Params::try_from(&known).ok()?;
        let mut space = [0u8; 64];
        let salt = known.salt?.decode_b64(&mut space).ok()?;
        let expected = known.hash?;
        let mut output = vec![0u8; expected.len()];
        fill(&Argon2::new(algorithm, version, params), password, salt, &mut output).ok()?;
        // This comparison takes as long wherever they differ.
        Some(Output::new(&output).ok()? == expected)
    };
    compute().unwrap_or(false)
}

fn fill(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], output: &mut [u8]) -> argon2::Result<()> {
    let blocks = argon2.params().block_count();
    let mut memory: Vec<Block> = Vec::with_capacity(blocks.max(MAPPED_BYTES_MIN / Block::SIZE));
    memory.resize(blocks, Block::default());
    argon2.hash_password_into_with_memory(password, salt, output, &mut memory)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};
    use std::sync::Barrier;

    #[test]
    fn the_same_as_the_library_s_own() {
        let ours = hash(b"correct horse", b"sixteen octets..").unwrap();
        assert!(ours.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{ours}");
        Argon2::default().verify_password(b"correct horse", &PasswordHash::new(&ours).unwrap()).unwrap();
        let salt = SaltString::encode_b64(b"sixteen octets..").unwrap();
        let cheap = Argon2::new(Algorithm::Argon2i, Version::V0x10, Params::new(64, 3, 2, Some(20)).unwrap());
        let theirs = cheap.hash_password(b"battery", &salt).unwrap().to_string();
        assert!(fits(&theirs, b"battery"));
        assert!(!fits(&theirs, b"batterz"));
        assert!(!fits("nonsense", b"battery"));
        assert!(!fits("$argon2id$v=19$m=19456,t=2,p=1", b"battery"));
    }

    /// The hashes are as random as they come, so what is kept is changed in its first and in its last octet.
    #[test]
    fn secret_checks_of_a_password_by_argon2() {
        let salt = SaltString::encode_b64(b"sixteen octets..").unwrap();
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, Some(32)).unwrap());
        let known = cheap.hash_password(b"correct horse", &salt).unwrap();
        let kept = crate::secret_checks::three(known.hash.unwrap().as_bytes()).map(|octets| {
            let hash = Some(Output::new(&octets).unwrap());
            PasswordHash { hash, params: known.params.clone(), ..known }.to_string()
        });
        crate::secret_checks::count("a password's hash, by argon2", &kept, |kept| {
            fits(std::str::from_utf8(kept).unwrap(), b"correct horse")
        });
    }

    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn the_memory_goes_back() {
        let known = hash(b"pw", b"sixteen octets..").unwrap();
        let before = resident_kib();
        let (hashed, looked) = (Barrier::new(9), Barrier::new(9));
        // A thread each, because each has a heap of its own; all alive while we look.
        let grown = std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let right = fits(&known, b"pw") && fits(&known, b"pw");
                    hashed.wait();
                    looked.wait();
                    assert!(right);
                });
            }
            hashed.wait();
            let grown = resident_kib().saturating_sub(before);
            looked.wait();
            grown
        });
        assert!(grown < 2 * u64::from(MEMORY_KIB), "{grown} KiB are kept");
    }
}
