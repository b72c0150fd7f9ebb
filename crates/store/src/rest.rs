//! Background work lets those in front go first: it runs at the lowest priority, begins gently, and while the store is
//! busy it rests nineteen twentieths of the time.
//!
//! The priority alone does not do: the kernel weighs it among the threads of one session or service only. Invariant: what
//! care itself asks the store is not taken for others' doing. Must not know: what the work is.

use crate::limits::{
    ACT_WEIGHT, BUSY_LOOKED_AT, BUSY_WEIGHT_PER_SEC, QUIET_LOOKS, REST_LOOKED_AT, REST_MAX, RESTS_TO_WORK, WORK_BEFORE_REST,
};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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

tokio::task_local! {
    static ASIDE: ();
}

/// Does work in the background: what it asks the store is not counted among what others ask.
pub async fn aside<F: Future>(work: F) -> F::Output {
    ASIDE.scope((), work).await
}

/// What others have asked of the store so far, weighed.
#[derive(Debug, Default)]
pub(crate) struct Others(AtomicU64);

impl Others {
    pub(crate) fn read(&self) {
        self.add(1);
    }
    pub(crate) fn act(&self) {
        self.add(ACT_WEIGHT);
    }
    fn add(&self, weight: u64) {
        if ASIDE.try_with(|()| ()).is_err() {
            self.0.fetch_add(weight, Ordering::Relaxed);
        }
    }
    pub(crate) fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// When work in the background rests, and for how long. It is cut into pieces, and asks after each.
#[derive(Debug)]
pub struct Rest {
    /// What others had asked when last looked, and when that was.
    seen: (u64, Instant),
    /// In how many looks in a row nobody had much to do.
    quiet: u32,
    /// When the piece of work began.
    begun: Instant,
}

impl Rest {
    /// Others have asked so much so far (`Store::asked_by_others`).
    pub fn new(others: u64, now: Instant) -> Rest {
        Rest { seen: (others, now), quiet: 0, begun: now }
    }

    /// Work goes on now, after a time in which there was none: gently, for nobody has looked who else is there.
    pub fn begin(&mut self, others: u64, now: Instant) {
        *self = Rest::new(others, now);
    }

    /// How long to rest now that others have asked so much in all. Zero when nobody has had much to do for a while, and
    /// when so little was done since the last rest that the next piece may as well follow.
    pub fn due(&mut self, others: u64, now: Instant) -> Duration {
        let since = now.duration_since(self.seen.1);
        if since >= BUSY_LOOKED_AT {
            let (before, _) = std::mem::replace(&mut self.seen, (others, now));
            let is_busy = others.saturating_sub(before) as f64 > BUSY_WEIGHT_PER_SEC * since.as_secs_f64();
            self.quiet = if is_busy { 0 } else { (self.quiet + 1).min(QUIET_LOOKS) };
        }
        let worked = now.duration_since(self.begun);
        if worked < WORK_BEFORE_REST {
            return Duration::ZERO;
        }
        // Half as long with each look that finds nobody.
        let rest = if self.quiet < QUIET_LOOKS { (worked * (RESTS_TO_WORK >> self.quiet)).min(REST_MAX) } else { Duration::ZERO };
        self.begun = now + rest;
        rest
    }
}

/// The calling thread, which nothing else waits on, rests so long, or until it is over.
pub fn sleep(due: Duration, is_over: impl Fn() -> bool) {
    let mut left = due;
    while !left.is_zero() && !is_over() {
        let slice = left.min(REST_LOOKED_AT);
        std::thread::sleep(slice);
        left -= slice;
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{NOW, Place, add, ann, inbox};

    const PIECE: Duration = WORK_BEFORE_REST;

    /// Works in pieces from `now` on while others ask so much a second, until `time` has passed; the share of the time.
    fn share(rest: &mut Rest, (now, others): (&mut Instant, &mut f64), asked_per_sec: f64, time: Duration) -> f64 {
        let (begun, before, mut worked) = (*now, *others, Duration::ZERO);
        while *now - begun < time {
            *now += PIECE;
            worked += PIECE;
            *others = before + (*now - begun).as_secs_f64() * asked_per_sec;
            *now += rest.due(*others as u64, *now);
        }
        *others = before + (*now - begun).as_secs_f64() * asked_per_sec;
        worked.as_secs_f64() / (*now - begun).as_secs_f64()
    }

    #[test]
    fn a_twentieth_of_the_time_while_others_are_busy() {
        for asked in [200.0, 1000.0, 50_000.0] {
            let (mut now, mut others) = (Instant::now(), 0.0);
            let share = share(&mut Rest::new(0, now), (&mut now, &mut others), asked, Duration::from_secs(20));
            assert!((0.04..0.06).contains(&share), "{share} beside {asked} a second");
        }
    }

    #[test]
    fn gently_at_first_and_faster_when_nobody_is_there() {
        let (mut now, mut others, second) = (Instant::now(), 0.0, Duration::from_secs(1));
        let mut rest = Rest::new(0, now);
        let mut next = |rest: &mut Rest, asked, time| share(rest, (&mut now, &mut others), asked, time);
        let first = next(&mut rest, 0.0, BUSY_LOOKED_AT);
        assert!(first < 0.06, "{first}: nobody has looked yet");
        next(&mut rest, 10.0, second);
        assert_eq!(next(&mut rest, 10.0, second), 1.0);
        // The first who comes is noticed at the next look.
        let busy = next(&mut rest, 500.0, second);
        assert!(busy < 0.2, "{busy}");
        next(&mut rest, 0.0, second);
        assert_eq!(next(&mut rest, 0.0, second), 1.0);
        rest.begin(others as u64, now);
        let again = share(&mut rest, (&mut now, &mut others), 0.0, BUSY_LOOKED_AT);
        assert!(again < 0.06, "{again}: it begins anew");
    }

    #[test]
    fn never_for_long() {
        let begun = Instant::now();
        let mut rest = Rest::new(0, begun);
        assert_eq!(rest.due(1_000_000, begun + Duration::from_secs(60)), REST_MAX);
    }

    /// Reading counts as well as writing; what care does itself does not.
    #[tokio::test]
    async fn what_others_ask_is_counted() {
        let place = Place::new();
        let store = place.open().await;
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        add(&store, ann, inbox).await;
        let before = store.asked_by_others();
        add(&store, ann, inbox).await;
        assert!(store.asked_by_others() >= before + ACT_WEIGHT);
        let email = store.snapshot(ann, inbox).await.unwrap().rows.iter().next().unwrap().email;
        let before = store.asked_by_others();
        for _ in 0..10 {
            store.body(ann, email, 0, 100).await.unwrap();
        }
        assert!(store.asked_by_others() >= before + 10);
        let before = store.asked_by_others();
        store.maintain(NOW + 40 * 86_400).await.unwrap();
        aside(async { store.body(ann, email, 0, 100).await.unwrap() }).await;
        assert_eq!(store.asked_by_others(), before);
    }
}
