//! Work that lasts as long as the server: what breaks is told, and begun again.
//!
//! Invariant: a panic in it ends nothing else, and it is not gone without a word; who is dropped takes the work along.
//! Must not know: what the work is.

use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What broke is begun again after so long; doubled each time ...
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// ... up to this; and once it went well for so long, the next time counts as the first.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Does it, and begins it anew whenever it panics, until it ends by itself.
pub async fn lasting<F>(what: &'static str, mut begin: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = PAUSE_MIN;
    loop {
        let begun = Instant::now();
        let mut work = JoinSet::new();
        work.spawn(begin());
        let is_broken = matches!(work.join_next().await, Some(Err(error)) if error.is_panic());
        if !is_broken {
            return;
        }
        if begun.elapsed() >= PAUSE_MAX {
            pause = PAUSE_MIN;
        }
        tracing::error!(what, pause_secs = pause.as_secs(), "something that should last broke; it begins again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn what_breaks_begins_again_with_growing_pauses_until_it_ends() {
        let times = Arc::new(AtomicU32::new(0));
        let began = Instant::now();
        let count = Arc::clone(&times);
        let work = lasting("a test", move || {
            let time = count.fetch_add(1, Ordering::Relaxed);
            async move {
                // The fifth goes well for long, and so the next pause is the first again.
                if time == 4 {
                    tokio::time::sleep(PAUSE_MAX).await;
                }
                assert!(time >= 6, "broken for the {time}. time");
            }
        });
        work.await;
        assert_eq!(times.load(Ordering::Relaxed), 7);
        assert_eq!(began.elapsed().as_secs(), 1 + 2 + 4 + 8 + PAUSE_MAX.as_secs() + 1 + 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_dropped_takes_the_work_along() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let work = lasting("a test", move || {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
            }
        });
        assert!(tokio::time::timeout(Duration::from_secs(1), work).await.is_err());
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
