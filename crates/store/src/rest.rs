//! Background work lets those in front go first: it runs at the lowest priority, and while the store is busy it rests
//! nine tenths of the time.
//!
//! Must not know: what the work is.

use crate::limits::{BUSY_ACTS_PER_SEC, REST_MAX, WORK_BEFORE_REST};
use std::time::Duration;
use tokio::time::Instant;

/// When work in the background rests, and for how long. It is cut into pieces, and says after each what it did.
#[derive(Debug)]
pub struct Rest {
    /// Acts of the store when last looked, and when that was.
    seen: (u64, Instant),
    /// Since then: acts of its own, and when the piece of work began.
    own: u64,
    begun: Instant,
    in_haste: bool,
}

impl Rest {
    /// The store has done so many `acts` so far (`Store::commit_counts`, the third).
    pub fn new(acts: u64, now: Instant) -> Rest {
        Rest { seen: (acts, now), own: 0, begun: now, in_haste: false }
    }

    /// Work goes on now, after a time in which there was none.
    pub fn begin(&mut self, now: Instant) {
        self.begun = now;
    }

    /// There is no time to rest, or there is again.
    pub fn set_haste(&mut self, in_haste: bool) {
        self.in_haste = in_haste;
    }

    /// Is there none?
    pub fn is_in_haste(&self) -> bool {
        self.in_haste
    }

    /// The worker itself did so many.
    pub fn did(&mut self, acts: u64) {
        self.own += acts;
    }

    /// How long to rest now that the store has done so many `acts` in all. Zero while nobody else has much to do, and
    /// when so little was done since the last rest that the next piece may as well follow.
    pub fn due(&mut self, acts: u64, now: Instant) -> Duration {
        let worked = now.duration_since(self.begun);
        if worked < WORK_BEFORE_REST || self.in_haste {
            return Duration::ZERO;
        }
        let (before, since) = std::mem::replace(&mut self.seen, (acts, now));
        let others = acts.saturating_sub(before).saturating_sub(std::mem::take(&mut self.own)) as f64;
        let is_busy = others > BUSY_ACTS_PER_SEC * now.duration_since(since).as_secs_f64().max(0.1);
        let rest = if is_busy { (worked * 9).min(REST_MAX) } else { Duration::ZERO };
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

    #[test]
    fn a_tenth_of_the_time_while_others_are_busy() {
        let mut now = Instant::now();
        let mut rest = Rest::new(0, now);
        let (mut worked, mut rested, mut acts) = (Duration::ZERO, Duration::ZERO, 0);
        for _ in 0..100 {
            now += WORK_BEFORE_REST;
            worked += WORK_BEFORE_REST;
            acts += 1000;
            rest.did(1);
            let due = rest.due(acts, now);
            rested += due;
            now += due;
        }
        assert_eq!(rested, worked * 9);
        // Its own acts do not count as others'.
        for _ in 0..100 {
            now += WORK_BEFORE_REST;
            acts += 500;
            rest.did(500);
            assert_eq!(rest.due(acts, now), Duration::ZERO);
        }
        now += Duration::from_secs(60);
        assert_eq!(rest.due(acts + 100_000, now), REST_MAX, "never longer");
        rest.set_haste(true);
        assert_eq!(rest.due(acts + 200_000, now + Duration::from_secs(60)), Duration::ZERO);
    }
}
