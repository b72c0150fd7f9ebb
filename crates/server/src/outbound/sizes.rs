//! The largest message that other servers said they take (RFC 1870), by destination, as they were last met.
//!
//! Invariant: bounded; a server that says nothing any more is forgotten. Must not know: the queue.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Destinations that are remembered.
const DESTINATIONS_MAX: usize = 10_000;

/// See the module. In memory only: it comes back with the first message.
#[derive(Debug, Default)]
pub struct Sizes(Mutex<HashMap<String, u64>>);

impl Sizes {
    fn all(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, destination: &str, size_max: Option<u64>) {
        let mut all = self.all();
        // 0 is no limit (RFC 1870 §4).
        let Some(size_max) = size_max.filter(|size| *size > 0) else {
            all.remove(destination);
            return;
        };
        if let Some(known) = all.get_mut(destination) {
            *known = size_max;
            return;
        }
        if all.len() >= DESTINATIONS_MAX
            && let Some(any) = all.keys().next().cloned()
        {
            all.remove(&any);
        }
        all.insert(destination.to_owned(), size_max);
    }

    /// What a destination (lower-case) takes; `None`: nobody knows.
    pub fn of(&self, destination: &str) -> Option<u64> {
        self.all().get(destination).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_memory_is_bounded() {
        let sizes = Sizes::default();
        sizes.note("a.test", Some(10));
        sizes.note("a.test", Some(20));
        assert_eq!((sizes.of("a.test"), sizes.of("b.test")), (Some(20), None));
        for silent in [None, Some(0)] {
            sizes.note("a.test", Some(20));
            sizes.note("a.test", silent);
            assert_eq!(sizes.of("a.test"), None);
        }
        for n in 0..DESTINATIONS_MAX + 10 {
            sizes.note(&format!("{n}.test"), Some(1));
        }
        let count = sizes.all().len();
        assert_eq!((count, sizes.of("10009.test")), (DESTINATIONS_MAX, Some(1)));
    }
}
