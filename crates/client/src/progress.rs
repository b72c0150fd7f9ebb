//! How far a long run is: counters that whoever draws a bar reads when it likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters of one run.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    done: AtomicU64,
    octets: AtomicU64,
    place: Mutex<String>,
}

impl Progress {
    /// So many more are to be looked at.
    pub fn expect(&self, messages: u64) {
        self.total.fetch_add(messages, Ordering::Relaxed);
    }
    /// So many were dealt with.
    pub fn advance(&self, messages: u64, octets: u64) {
        self.done.fetch_add(messages, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }
    /// What is being looked at.
    pub fn enter(&self, place: &str) {
        place.clone_into(&mut self.place.lock().unwrap_or_else(PoisonError::into_inner));
    }
    /// Messages done and expected, octets, and where.
    pub fn read(&self) -> (u64, u64, u64, String) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (load(&self.done), load(&self.total), load(&self.octets), place)
    }
}
