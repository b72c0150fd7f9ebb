//! Passwords verified a few minutes ago, as keyed hashes in memory: mail programs sign in again and again.
//!
//! The key is made anew in each process and never leaves it; the account's epoch is hashed in, so a new password, a
//! suspension or a removal makes what was remembered worthless. Invariant: bounded in number and in time.

use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::AccountId;

/// Remembered this long after the real check; being used does not make it longer.
const REMEMBERED_SECS_MAX: u64 = 600;
/// This many at once.
const REMEMBERED_MAX: usize = 10_000;

pub(super) struct Remembered {
    /// `None` when the system gave no randomness: nothing is remembered then.
    key: Option<[u8; 32]>,
    known: Mutex<HashMap<[u8; 32], Known>>,
}

struct Known {
    account: AccountId,
    at: Instant,
}

impl Remembered {
    pub(super) fn new() -> Remembered {
        let mut key = [0u8; 32];
        let key = SystemRandom::new().fill(&mut key).ok().map(|()| key);
        Remembered { key, known: Mutex::new(HashMap::new()) }
    }

    fn hash(&self, account: AccountId, epoch: u64, password: &[u8]) -> Option<[u8; 32]> {
        let mut hasher = blake3::Hasher::new_keyed(self.key.as_ref()?);
        hasher.update(format!("{account:?}/{epoch}/").as_bytes()).update(password);
        Some(*hasher.finalize().as_bytes())
    }

    pub(super) fn knows(&self, account: AccountId, epoch: u64, password: &[u8], now: Instant) -> bool {
        let Some(hash) = self.hash(account, epoch, password) else { return false };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&hash).is_some_and(|known| is_fresh(known.at, now))
    }

    /// Does not renew what is known already.
    pub(super) fn remember(&self, account: AccountId, epoch: u64, password: &[u8], now: Instant) {
        let Some(hash) = self.hash(account, epoch, password) else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&hash).is_some_and(|known| is_fresh(known.at, now)) {
            return;
        }
        if known.len() >= REMEMBERED_MAX {
            make_room(&mut known, now);
        }
        known.insert(hash, Known { account, at: now });
    }

    pub(super) fn forget(&self, account: AccountId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, known| known.account != account);
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < Duration::from_secs(REMEMBERED_SECS_MAX)
}

/// Drops what is too old, and if that is not enough the older half.
fn make_room(known: &mut HashMap<[u8; 32], Known>, now: Instant) {
    known.retain(|_, known| is_fresh(known.at, now));
    if known.len() < REMEMBERED_MAX {
        return;
    }
    let mut ages: Vec<Instant> = known.values().map(|known| known.at).collect();
    let middle = ages.len() / 2;
    let (_, &mut median, _) = ages.select_nth_unstable(middle);
    known.retain(|_, known| known.at > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is looked for in the table is this hash: of a key that nobody is told, so nothing said leads to a likely place in it.
    #[test]
    fn secret_checks_of_a_remembered_password() {
        let remembered = Remembered::new();
        let right = remembered.hash(AccountId(1), 3, b"correct horse").unwrap_or_default();
        crate::secret_checks::count("a password that is remembered", &crate::secret_checks::three(b"correct horse"), |said| {
            remembered.hash(AccountId(1), 3, said).is_some_and(|hash| wire::sasl::same(&hash, &right))
        });
    }

    #[test]
    fn for_minutes_and_for_one_epoch() {
        let remembered = Remembered::new();
        let now = Instant::now();
        let later = |secs| now + Duration::from_secs(secs);
        remembered.remember(AccountId(1), 3, b"pw", now);
        assert!(remembered.knows(AccountId(1), 3, b"pw", later(599)));
        assert!(!remembered.knows(AccountId(1), 3, b"pw", later(600)));
        assert!(!remembered.knows(AccountId(1), 4, b"pw", now));
        assert!(!remembered.knows(AccountId(2), 3, b"pw", now));
        assert!(!remembered.knows(AccountId(1), 3, b"px", now));
        // Using it does not stretch it.
        remembered.remember(AccountId(1), 3, b"pw", later(500));
        assert!(!remembered.knows(AccountId(1), 3, b"pw", later(700)));
    }

    #[test]
    fn forgetting_is_per_account() {
        let remembered = Remembered::new();
        let now = Instant::now();
        remembered.remember(AccountId(1), 0, b"a", now);
        remembered.remember(AccountId(2), 0, b"b", now);
        remembered.forget(AccountId(1));
        assert!(!remembered.knows(AccountId(1), 0, b"a", now));
        assert!(remembered.knows(AccountId(2), 0, b"b", now));
    }

    #[test]
    fn never_more_than_the_limit() {
        let remembered = Remembered::new();
        let now = Instant::now();
        for n in 0..REMEMBERED_MAX as u64 + 1 {
            remembered.remember(AccountId(n.try_into().unwrap_or_default()), 0, b"x", now + Duration::from_millis(n));
        }
        let held = remembered.known.lock().map(|known| known.len()).unwrap_or_default();
        assert!(held <= REMEMBERED_MAX && held > REMEMBERED_MAX / 3, "{held}");
    }
}
