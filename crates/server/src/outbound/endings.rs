//! Messages that the next hop has, and that we have not written down as sent: what a crash would send again.
//!
//! SMTP cannot make that window nothing (RFC 5321 §6.1), but it can be kept small: few messages are ended at the same time, and
//! who waits here burdens nobody who has an answer to write down. A next hop that takes its time over the answer does not keep
//! others waiting: after a moment it counts no more. Must not know: what is written down, and where.

use super::connect::Open;
use net::Next;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::smtp::client::Event;

/// Ended at the same time, of those who answer promptly.
const ENDINGS_MAX: usize = 16;
/// What is not answered by then is not prompt.
const PROMPT: Duration = Duration::from_millis(10);

/// One of the places. Given back when dropped.
pub(super) struct Ending {
    _place: Option<OwnedSemaphorePermit>,
}

pub(super) struct Endings {
    places: Arc<Semaphore>,
}

impl Default for Endings {
    fn default() -> Endings {
        Endings { places: Arc::new(Semaphore::new(ENDINGS_MAX)) }
    }
}

impl Endings {
    /// Waits for a place; in the order of asking.
    pub(super) async fn begin(&self) -> Ending {
        // It is never closed.
        Ending { _place: Arc::clone(&self.places).acquire_owned().await.ok() }
    }
}

/// The session's next event; while an answer to an ended message is awaited, its place is kept for a moment only.
pub(super) async fn next(open: &mut Open) -> Next<Event> {
    let Open { connection, client, ending, .. } = open;
    let next = connection.next(client);
    if ending.is_none() {
        return next.await;
    }
    tokio::pin!(next);
    tokio::select! {
        biased;
        event = &mut next => return event,
        () = tokio::time::sleep(PROMPT) => *ending = None,
    }
    next.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_are_so_many_places_and_each_comes_back() {
        let endings = Endings::default();
        let mut held = Vec::new();
        for _ in 0..ENDINGS_MAX {
            held.push(endings.begin().await);
        }
        let waited = tokio::time::timeout(Duration::from_secs(1), endings.begin()).await;
        assert!(waited.is_err(), "one more than there are");
        held.pop();
        assert!(tokio::time::timeout(Duration::from_secs(1), endings.begin()).await.is_ok());
    }
}
