//! Octets on their way into the store: named already, and not there yet.
//!
//! Invariant: of each body a [`Horizon`] knows whether it was there when the horizon was taken. Must not know: what bodies hold.

use crate::types::{BodyId, EmailId};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the store held at one moment. Octets that it did not hold then are new, whenever they were named.
#[derive(Debug, Clone)]
pub struct Horizon {
    next: u64,
    /// Named before, ascending, and not there yet.
    coming: Arc<[u64]>,
}

impl Horizon {
    /// Did these octets come after it?
    pub fn is_new(&self, body: BodyId) -> bool {
        body.0 >= self.next || self.coming.binary_search(&body.0).is_ok()
    }

    /// `false`: it was there, wherever it has gone since. Else it is new, or a copy.
    pub fn may_be_new(&self, email: EmailId) -> bool {
        // An email is named after its octets.
        email.0 >= self.coming.first().copied().unwrap_or(self.next)
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arriving(Arc<Mutex<BTreeSet<u64>>>);

/// One body; when it is dropped the body is there, or never will be.
#[derive(Debug)]
pub(crate) struct Arrival {
    of: Arriving,
    body: u64,
}

impl Arriving {
    fn all(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names one.
    pub(crate) fn begin(&self, next: &AtomicU64) -> (BodyId, Arrival) {
        let mut all = self.all();
        let body = next.fetch_add(1, Ordering::SeqCst);
        all.insert(body);
        (BodyId(body), Arrival { of: self.clone(), body })
    }

    pub(crate) fn horizon(&self, next: &AtomicU64) -> Horizon {
        // While nobody can name one more.
        let all = self.all();
        Horizon { next: next.load(Ordering::SeqCst), coming: all.iter().copied().collect() }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.of.all().remove(&self.body);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_on_its_way_is_new_and_what_was_there_is_not() {
        let (next, arriving) = (AtomicU64::new(5), Arriving::default());
        let (there, arrival) = arriving.begin(&next);
        drop(arrival);
        let (coming, arrival) = arriving.begin(&next);
        next.fetch_add(1, Ordering::SeqCst);
        let (also_there, other) = arriving.begin(&next);
        drop(other);
        let horizon = arriving.horizon(&next);
        drop(arrival);
        let (later, last) = arriving.begin(&next);
        assert_eq!([there, coming, also_there, later].map(|one| horizon.is_new(one)), [false, true, false, true]);
        assert_eq!([5, 6, 7, 9].map(|id| horizon.may_be_new(EmailId(id))), [false, true, true, true]);
        let horizon = arriving.horizon(&next);
        assert_eq!([coming, later].map(|one| horizon.is_new(one)), [false, true]);
        drop(last);
        let horizon = arriving.horizon(&next);
        assert_eq!([9, 10].map(|id| horizon.may_be_new(EmailId(id))), [false, true]);
    }
}
