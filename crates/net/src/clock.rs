//! The only clocks: one that never goes back, for sessions and waits, and the wall's, for dates.
//!
//! A simulation gives its thread a wall clock that runs with tokio's (paused) time: then hours pass in milliseconds and
//! the same seed sees the same times. Invariant: both clocks of one thread run together or are the system's.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use wire::Time;

thread_local! {
    /// When the simulation of this thread began, by tokio's clock and by the wall's.
    static SIMULATED: Cell<Option<(Instant, i64)>> = const { Cell::new(None) };
}

/// From now on this thread's dates run with tokio's time, which should be paused, from `unix_secs`.
pub fn simulate(unix_secs: i64) {
    SIMULATED.set(Some((Instant::now(), unix_secs)));
}

fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    SIMULATED.get().map_or_else(|| *START.get_or_init(Instant::now), |(began, _)| began)
}

/// The clock of every session: milliseconds since this process first asked.
pub fn now() -> Time {
    Time(u64::try_from(start().elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// A century at most, so that adding to an instant cannot overflow.
pub(crate) fn instant(time: Time) -> Instant {
    start() + Duration::from_millis(time.0.min(100 * 366 * 86_400_000))
}

/// The same clock for what keeps instants itself.
pub fn monotonic() -> std::time::Instant {
    Instant::now().into_std()
}

/// Seconds since 1970.
pub fn unix_now() -> i64 {
    unix_now_millis().div_euclid(1_000)
}

/// Milliseconds since 1970.
pub fn unix_now_millis() -> i64 {
    let millis = |elapsed: Duration| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
    match SIMULATED.get() {
        Some((began, unix_secs)) => unix_secs.saturating_mul(1_000).saturating_add(millis(began.elapsed())),
        None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn simulated_dates_run_with_paused_time() {
        simulate(1_800_000_000);
        assert_eq!((now(), unix_now()), (Time(0), 1_800_000_000));
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        assert_eq!((now().0 / 1000, unix_now()), (86_400, 1_800_086_400));
    }

    #[tokio::test]
    async fn otherwise_it_is_the_systems_time() {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        assert!(unix_now().unsigned_abs().abs_diff(system) <= 1);
    }
}
