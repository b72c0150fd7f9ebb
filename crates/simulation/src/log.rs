//! What happened, in order, with its virtual time: to be read by people, and hashed to prove that a seed repeats.
//!
//! Invariant: no entry holds what differs between two runs of a seed (nonces, real time, addresses in memory).

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

#[derive(Debug, Default)]
struct Inner {
    lines: Vec<String>,
    violations: Vec<String>,
    hash: u64,
    count: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Log {
    began: Instant,
    inner: Mutex<Inner>,
}

impl Log {
    pub(crate) fn new() -> Log {
        Log { began: Instant::now(), inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual milliseconds so far.
    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes down an event.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        let millis = self.millis();
        let line = format!("{:>6}.{:03} {}", millis / 1000, millis % 1000, text.as_ref());
        let mut inner = self.inner();
        for octet in line.bytes() {
            inner.hash = (inner.hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
        }
        inner.count += 1;
        inner.lines.push(line);
    }

    /// A law was broken.
    pub(crate) fn violation(&self, text: impl AsRef<str>) {
        self.say(format!("VIOLATION: {}", text.as_ref()));
        self.inner().violations.push(text.as_ref().to_owned());
    }

    /// (all lines, violations, hash)
    pub(crate) fn finish(&self) -> (Vec<String>, Vec<String>, u64) {
        let mut inner = self.inner();
        (std::mem::take(&mut inner.lines), std::mem::take(&mut inner.violations), inner.hash)
    }
}
