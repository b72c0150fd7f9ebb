//! Keeps MTA-STS policies from ending unseen: those of domains that mail is sent to are fetched anew in the background, long
//! before they end (RFC 8461 §3.3, §10.2), and those that ended are forgotten.
//!
//! Invariant: a policy that cannot be fetched anew stays until it ends; few are fetched at once. Must not know: what a policy says.

use super::{Outbound, policy};
use crate::context::unix_now;
use mta::sts::{Age, age};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::{KeptPolicy, StoreError, UnixSecs};
use tokio::task::JoinSet;

/// It is looked at least so often, and at most.
const LOOK_SECS_MAX: i64 = 3_600;
const LOOK_SECS_MIN: i64 = 60;
/// Rows read at once.
const PIECE: usize = 200;
/// Policies fetched at once.
const AT_ONCE: usize = 8;

/// Those that could not be fetched anew, and when they are tried again.
type Failed = HashMap<String, UnixSecs>;

/// For ever.
pub(super) async fn run(outbound: Arc<Outbound>) {
    let mut failed = Failed::new();
    loop {
        let now_secs = unix_now();
        let next_secs = look(&outbound, &mut failed, now_secs).await.unwrap_or_else(|error| {
            tracing::warn!(?error, "kept MTA-STS policies cannot be read");
            now_secs + LOOK_SECS_MAX
        });
        let pause = next_secs.saturating_sub(unix_now()).clamp(LOOK_SECS_MIN, LOOK_SECS_MAX);
        tokio::time::sleep(Duration::from_secs(pause.unsigned_abs())).await;
    }
}

/// One look at all that are kept; when to look again.
pub(super) async fn look(outbound: &Arc<Outbound>, failed: &mut Failed, now_secs: UnixSecs) -> Result<UnixSecs, StoreError> {
    let mut next_secs = now_secs + LOOK_SECS_MAX;
    let Some(port) = outbound.settings.sts_port else { return Ok(next_secs) };
    // What is not tried again within a look's time is not kept any more, or was fetched by a delivery.
    failed.retain(|_, again_secs| *again_secs > now_secs - LOOK_SECS_MAX);
    let mut fetches = JoinSet::new();
    let mut behind = None;
    loop {
        let (rows, more) = outbound.context.store.policies(behind.as_deref(), PIECE).await?;
        for (domain, kept) in rows {
            match age(&kept, now_secs) {
                Age::Over => outbound.context.store.forget_policy(&domain, &kept).await?,
                Age::Until(then_secs) => next_secs = next_secs.min(then_secs),
                Age::Due(again_secs) => match failed.get(&domain) {
                    Some(then_secs) if *then_secs > now_secs => next_secs = next_secs.min(*then_secs),
                    _ => {
                        if fetches.len() >= AT_ONCE {
                            next_secs = next_secs.min(ended(fetches.join_next().await, failed, now_secs));
                        }
                        fetches.spawn(fetch(Arc::clone(outbound), (domain, port), kept, (now_secs, again_secs)));
                    }
                },
            }
        }
        behind = more;
        if behind.is_none() {
            break;
        }
    }
    while let Some(fetched) = fetches.join_next().await {
        next_secs = next_secs.min(ended(Some(fetched), failed, now_secs));
    }
    Ok(next_secs)
}

/// The domain, and when to try again if it could not be fetched.
type Fetched = (String, Option<UnixSecs>);

async fn fetch(
    outbound: Arc<Outbound>,
    (domain, port): (String, u16),
    kept: KeptPolicy,
    (now_secs, again_secs): (UnixSecs, UnixSecs),
) -> Fetched {
    let is_new = policy::renew(&outbound, (&domain, port), &kept, now_secs).await;
    (domain, (!is_new).then_some(again_secs))
}

/// Writes down how it went; when to look again because of it.
fn ended(fetched: Option<Result<Fetched, tokio::task::JoinError>>, failed: &mut Failed, now_secs: UnixSecs) -> UnixSecs {
    match fetched {
        Some(Ok((domain, Some(again_secs)))) => {
            failed.insert(domain, again_secs);
            again_secs
        }
        Some(Ok((domain, None))) => {
            failed.remove(&domain);
            now_secs + LOOK_SECS_MIN
        }
        Some(Err(_)) | None => now_secs + LOOK_SECS_MIN,
    }
}
