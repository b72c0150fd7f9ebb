//! The loop: what falls due goes to its lane, lanes get workers, and at the end everything under way is finished.
//!
//! Invariant: wakes at once when something is queued, at the due time of what waits, and at the latest after a minute.

use super::Outbound;
use super::worker;
use crate::context::unix_now;
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::Duration;
use store::{QueueEntry, UnixSecs};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Entries looked at beyond those in hand.
const WINDOW: usize = 500;
/// Without any sign the queue is looked at this often.
const LOOK_SECS: i64 = 60;
/// Between two looks, at most (see below).
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(250);
/// What is under way at shutdown gets this long.
const DRAIN: Duration = Duration::from_secs(20);
/// After the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// The one lane when everything goes to a smarthost.
pub(super) const RELAY_LANE: SmolStr = SmolStr::new_static("smarthost");

pub(super) async fn run(outbound: Arc<Outbound>) {
    let mut workers = JoinSet::new();
    let mut queue = outbound.context.store.queue_watch();
    let mut next_look = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = outbound.context.draining() => break,
            () = outbound.lanes.left.notified() => {
                hire(&outbound, &mut workers);
                continue;
            }
            Some(ended) = workers.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a worker broke");
                }
                continue;
            }
            changed = queue.changed() => if changed.is_err() { break },
            () = outbound.lanes.missed.notified() => {}
            () = tokio::time::sleep_until(next_look) => {}
        }
        // The more there is in hand, the less often the queue is read again.
        let in_hand = u64::try_from(outbound.lanes.active()).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_millis(in_hand).min(LOOK_PAUSE_MAX)).await;
        queue.borrow_and_update();
        let now_secs = unix_now();
        next_look = Instant::now()
            + match look(&outbound, now_secs).await {
                Ok(next) => wait_until(next, now_secs),
                Err(error) => {
                    tracing::error!(?error, "the queue could not be read");
                    STORE_PAUSE
                }
            };
        hire(&outbound, &mut workers);
    }
    let drained = tokio::time::timeout(DRAIN, async { while workers.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!("outgoing mail still under way is left to the next start");
        workers.shutdown().await;
    }
}

fn hire(outbound: &Arc<Outbound>, workers: &mut JoinSet<()>) {
    for key in outbound.lanes.hire() {
        workers.spawn(worker::work(Arc::clone(outbound), key));
    }
}

/// Puts what is due into lanes; when the next falls due.
async fn look(outbound: &Outbound, now_secs: UnixSecs) -> Result<Option<UnixSecs>, store::StoreError> {
    let limit = outbound.lanes.active() + WINDOW;
    let (due, next) = outbound.context.store.queue_due(now_secs, limit).await?;
    for entry in &due {
        outbound.lanes.add(&lane(outbound, entry), entry.id);
    }
    Ok(next)
}

fn lane(outbound: &Outbound, entry: &QueueEntry) -> SmolStr {
    let here = super::local::is_local(outbound, &entry.message.destination);
    if outbound.settings.relay.is_some() && !here { RELAY_LANE } else { entry.message.destination.clone() }
}

fn wait_until(next: Option<UnixSecs>, now_secs: UnixSecs) -> Duration {
    let secs = next.map_or(LOOK_SECS, |at| (at - now_secs).clamp(1, LOOK_SECS));
    Duration::from_secs(u64::try_from(secs).unwrap_or(1))
}
