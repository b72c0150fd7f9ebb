//! When all is quiet, memory that nobody needs goes back to the system.
//!
//! Quiet is when the process hardly computes any more, whatever its connections are doing: fifty programs that wait for
//! mail are quiet, an index that is being made is not. Invariant: under load nothing is given back, and an office where
//! nothing happens is not woken for this (but with its care, once a minute).

use super::CARE_EVERY;
use crate::gate::Gate;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::Duration;

/// How long one look takes.
const LOOK: Duration = Duration::from_secs(1);
/// So many looks after one another must have been quiet.
const LOOKS: u32 = 2;
/// What the process may compute during a quiet look.
const QUIET_CPU_MAX: Duration = Duration::from_millis(5);
/// What it must have computed since the last time, or there is nothing worth giving back.
const WORTH_CPU: Duration = Duration::from_millis(5);

/// Waits for something to happen, then for quiet, and gives back; for ever.
pub(super) async fn keep(gate: Arc<Gate>) {
    let mut computed = Duration::ZERO;
    loop {
        if cpu().saturating_sub(computed) >= WORTH_CPU {
            settle().await;
            // It walks the heaps: not on a thread that connections wait for.
            let _ = tokio::task::spawn_blocking(footprint::give_back).await;
            computed = cpu();
        }
        // Not everything comes by a new connection.
        let _ = tokio::time::timeout(CARE_EVERY, gate.stirred()).await;
    }
}

/// Until it is quiet.
async fn settle() {
    let mut quiet = 0;
    while quiet < LOOKS {
        let before = cpu();
        tokio::time::sleep(LOOK).await;
        quiet = if cpu().saturating_sub(before) <= QUIET_CPU_MAX { quiet + 1 } else { 0 };
    }
}

/// What the process has computed so far, all its threads together.
fn cpu() -> Duration {
    let at = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(at.tv_sec.try_into().unwrap_or_default(), at.tv_nsec.try_into().unwrap_or_default())
}
