//! Background work lets those in front go first: it runs at the lowest priority, and while the store is busy it rests
//! nine tenths of the time.
//!
//! Must not know: what the work is.

use crate::limits::{BUSY_ACTS_PER_SEC, BUSY_LOOKED_AT, REST_MAX, WORK_BEFORE_REST};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// There is no time to rest: somebody waits for the work, or the disk is nearly full.
#[derive(Debug, Default)]
pub struct Haste {
    waiting: AtomicUsize,
    is_tight: AtomicBool,
}

/// Who waits, until it is dropped.
pub(crate) struct Waiting<'a>(&'a Haste);

impl Haste {
    pub(crate) fn is(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || self.is_tight.load(Ordering::Relaxed)
    }
    pub(crate) fn set_tight(&self, is_tight: bool) {
        self.is_tight.store(is_tight, Ordering::Relaxed);
    }
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When work in the background rests, and for how long. It is cut into pieces, and says after each what it did.
#[derive(Debug)]
pub struct Rest {
    /// Acts of the store when last looked, and when that was.
    seen: (u64, Instant),
    /// Since then: acts of its own.
    own: u64,
    /// What was found then.
    is_busy: bool,
    /// When the piece of work began.
    begun: Instant,
}

impl Rest {
    /// The store has done so many `acts` so far (`Store::commit_counts`, the third).
    pub fn new(acts: u64, now: Instant) -> Rest {
        Rest { seen: (acts, now), own: 0, is_busy: false, begun: now }
    }

    /// Work goes on now, after a time in which there was none.
    pub fn begin(&mut self, now: Instant) {
        self.begun = now;
    }

    /// The worker itself did so many.
    pub fn did(&mut self, acts: u64) {
        self.own += acts;
    }

    /// How long to rest now that the store has done so many `acts` in all. Zero while nobody else has much to do, and
    /// when so little was done since the last rest that the next piece may as well follow.
    pub fn due(&mut self, acts: u64, now: Instant) -> Duration {
        let since = now.duration_since(self.seen.1);
        if since >= BUSY_LOOKED_AT {
            let (before, _) = std::mem::replace(&mut self.seen, (acts, now));
            let others = acts.saturating_sub(before).saturating_sub(std::mem::take(&mut self.own)) as f64;
            self.is_busy = others > BUSY_ACTS_PER_SEC * since.as_secs_f64();
        }
        let worked = now.duration_since(self.begun);
        if worked < WORK_BEFORE_REST {
            return Duration::ZERO;
        }
        let rest = if self.is_busy { (worked * 9).min(REST_MAX) } else { Duration::ZERO };
        self.begun = now + rest;
        rest
    }
}

/// The calling thread runs when nobody else wants to.
pub fn yield_to_others() {
    // On Linux a thread has a priority of its own, by its id.
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19) {
        tracing::debug!(%error, "background work goes on at the usual priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works in pieces of `WORK_BEFORE_REST` for 20 seconds while others do so many acts a second; the share of the time.
    fn share(others_per_sec: f64, own: u64) -> f64 {
        let begun = Instant::now();
        let (mut now, mut own_acts, mut worked) = (begun, 0, Duration::ZERO);
        let mut rest = Rest::new(0, now);
        while now - begun < Duration::from_secs(20) {
            now += WORK_BEFORE_REST;
            worked += WORK_BEFORE_REST;
            own_acts += own;
            rest.did(own);
            let acts = ((now - begun).as_secs_f64() * others_per_sec) as u64 + own_acts;
            now += rest.due(acts, now);
        }
        worked.as_secs_f64() / (now - begun).as_secs_f64()
    }

    #[test]
    fn a_tenth_of_the_time_while_others_are_busy() {
        for others_per_sec in [40.0, 100.0, 5000.0] {
            let share = share(others_per_sec, 1);
            assert!((0.09..0.12).contains(&share), "{share} beside {others_per_sec} a second");
        }
        assert_eq!(share(5.0, 0), 1.0);
        assert_eq!(share(0.0, 500), 1.0, "its own acts are nobody's to wait for");
    }

    #[test]
    fn never_for_long() {
        let begun = Instant::now();
        let mut rest = Rest::new(0, begun);
        assert_eq!(rest.due(100_000, begun + Duration::from_secs(60)), REST_MAX);
    }
}
