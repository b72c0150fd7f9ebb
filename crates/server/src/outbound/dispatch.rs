//! The loop: what falls due goes to its lane, lanes get workers, and at the end everything under way is finished.
//!
//! The queue may be far larger than what is in hand: it is looked at in pieces, from its oldest end on and around again, and
//! a little from its newest end, so that what comes in now need not wait for a backlog. Invariant: wakes at once when
//! something is queued, at the due time of what waits, and at the latest after a minute.

use super::Outbound;
use super::lanes::{IN_HAND_MAX, LaneKey};
use super::worker;
use crate::context::unix_now;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::{DueRow, QueueId, UnixSecs};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Rows looked at from the oldest end on, at one look.
const OLDEST: usize = 10_000;
/// Rows looked at from the newest end.
const NEWEST: usize = 500;
/// Without any sign the queue is looked at this often.
const LOOK_SECS: i64 = 60;
/// Between two looks, at most (see below).
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(250);
/// Between two pieces of one look around.
const PIECE_PAUSE: Duration = Duration::from_millis(50);
/// What is under way at shutdown gets this long.
const DRAIN: Duration = Duration::from_secs(20);
/// After the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// The one lane when everything goes to a smarthost.
const RELAY_LANE: LaneKey = 0;

/// Where the look around stands.
#[derive(Default)]
struct Place {
    behind: Option<(UnixSecs, QueueId)>,
    urged: u64,
    /// Lanes of domains served here, and of those with a way of their own.
    apart: HashSet<LaneKey>,
}

pub(super) async fn run(outbound: Arc<Outbound>) {
    let mut workers = JoinSet::new();
    let mut queue = outbound.context.store.queue_watch();
    let mut next_look = Instant::now();
    let apart = outbound.context.domains.iter().chain(outbound.settings.by_domain.keys());
    let mut place = Place { apart: apart.map(|domain| store::lane_of(domain)).collect(), ..Place::default() };
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
        tokio::time::sleep(Duration::from_millis(in_hand / 16).min(LOOK_PAUSE_MAX)).await;
        queue.borrow_and_update();
        next_look = Instant::now()
            + match look(&outbound, &mut place, unix_now()).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(?error, "the queue could not be read");
                    STORE_PAUSE
                }
            };
        if let Some(rested) = outbound.lanes.rested_at() {
            next_look = next_look.min(rested);
        }
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

/// Puts what is due into lanes; when to look again.
async fn look(outbound: &Outbound, place: &mut Place, now_secs: UnixSecs) -> Result<Duration, store::StoreError> {
    let store = &outbound.context.store;
    let urged = store.queue_urged();
    if urged != place.urged {
        place.urged = urged;
        outbound.lanes.wake_all();
    }
    let room = outbound.lanes.active() < IN_HAND_MAX;
    let scan = if room { store.queue_scan(now_secs, place.behind, false, OLDEST).await? } else { Default::default() };
    let mut added = 0usize;
    for row in &scan.rows {
        added += usize::from(add(outbound, place, row));
    }
    let began = place.behind.take();
    let full = !room || outbound.lanes.active() >= IN_HAND_MAX;
    // Where there was no room for all, the next look begins where this one did.
    place.behind = if full { began } else { scan.behind };
    if began.is_some() || scan.behind.is_some() {
        for row in &store.queue_scan(now_secs, None, true, NEWEST).await?.rows {
            added += usize::from(add(outbound, place, row));
        }
    }
    if full {
        // Somebody will ring when there is room.
        return Ok(Duration::from_secs(1));
    }
    if place.behind.is_some() || began.is_some() && added > 0 {
        return Ok(PIECE_PAUSE);
    }
    Ok(wait_until(store.queue_next_due(now_secs).await?, now_secs))
}

fn add(outbound: &Outbound, place: &Place, row: &DueRow) -> bool {
    let relayed =
        outbound.settings.relay.is_some() && !place.apart.contains(&row.lane) && !outbound.settings.linked.has_lane(row.lane);
    let key = if relayed { RELAY_LANE } else { row.lane };
    outbound.lanes.add(key, *row, !relayed)
}

fn wait_until(next: Option<UnixSecs>, now_secs: UnixSecs) -> Duration {
    let secs = next.map_or(LOOK_SECS, |at| (at - now_secs).clamp(1, LOOK_SECS));
    Duration::from_secs(u64::try_from(secs).unwrap_or(1))
}
