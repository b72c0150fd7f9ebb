//! Whether a connection that waits for its peer stays awake for a moment instead of going to sleep at once.
//!
//! A thread that slept takes tens of microseconds to wake, more than most commands take. So where one peer sends
//! command after command, each soon after the answer to the one before, and nobody else wants anything meanwhile, its
//! connection looks for the next one without sleeping, and lets others have the core, and now and then the thread, between
//! its looks. Invariant: in vain it costs [`STAY_AWAKE`] of one core once for each row of such commands, never more.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};

/// A peer whose octets come within this is a quick one.
const QUICK: Duration = Duration::from_micros(250);
/// How long a connection stays awake for a quick peer.
const STAY_AWAKE: Duration = Duration::from_micros(250);

/// For so long it keeps its thread from other tasks. (To give it up each time would wake another thread each time.)
pub(crate) const UNSHARED: Duration = Duration::from_micros(50);

/// The connection that began to wait last.
static WAITED_LAST: AtomicU32 = AtomicU32::new(0);
static NEXT_ID: AtomicU32 = AtomicU32::new(1);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// Whether others run while this thread stays awake: there is another core, and whatever the peer waits for may have another
/// thread.
pub(crate) fn is_room() -> bool {
    *CORES > 1 && Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread
}

/// What one connection remembers of its peer's pace. Small, for ten thousand wait at once: an id or a time that wraps
/// around costs one decision that could have been better.
#[derive(Debug)]
pub(crate) struct Attention {
    id: u32,
    /// Since when it waits, in microseconds.
    since: u32,
    waits: bool,
    quick: bool,
}

fn micros(at: Instant) -> u32 {
    at.saturating_duration_since(*START).as_micros() as u32
}

impl Attention {
    pub(crate) fn new() -> Attention {
        Attention { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), since: 0, waits: false, quick: false }
    }

    /// A wait with nothing left to say begins. Some: stay awake until then, where there [`is_room`].
    pub(crate) fn begin(&mut self, now: Instant) -> Option<Instant> {
        let alone = WAITED_LAST.swap(self.id, Ordering::Relaxed) == self.id;
        (self.since, self.waits) = (micros(now), true);
        // Whoever has been in vain has to be quick once more first.
        let stay = std::mem::take(&mut self.quick) && alone;
        stay.then(|| now + STAY_AWAKE)
    }

    /// Octets came.
    pub(crate) fn heard(&mut self, now: Instant) {
        let waited = micros(now).wrapping_sub(self.since);
        self.quick = std::mem::take(&mut self.waits) && u128::from(waited) < QUICK.as_micros();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, for what waited last is one for the whole process.
    #[test]
    fn only_a_quick_peer_that_is_alone_is_waited_for_awake() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        let (mut one, mut other) = (Attention::new(), Attention::new());
        assert_eq!(one.begin(at(0)), None, "nothing is known of it");
        one.heard(at(100));
        assert_eq!(one.begin(at(120)), Some(at(120) + STAY_AWAKE), "it was quick");
        one.heard(at(200));
        assert!(one.begin(at(220)).is_some(), "and is again");
        one.heard(at(220) + QUICK);
        assert_eq!(one.begin(at(600)), None, "it was slow");
        one.heard(at(700));
        assert!(one.begin(at(720)).is_some(), "quick again");
        assert_eq!(one.begin(at(1_000)), None, "in vain: not a second time");
        one.heard(at(1_100));
        assert_eq!(other.begin(at(1_110)), None);
        assert_eq!(one.begin(at(1_120)), None, "another one came between");
        one.heard(at(1_130));
        other.heard(at(1_140));
        assert_eq!(other.begin(at(1_150)), None, "in turns, neither stays awake");
        assert_eq!(one.begin(at(1_160)), None);
    }
}
