//! Days on which nobody writes: what a server does by itself.
//!
//! Invariant: all is calm. Must not know: how often anything is looked at.

use crate::office::Office;
use crate::world::{World, in_virtual_time};
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;

async fn play(world: &Arc<World>, days: u64) -> Result<Option<i64>, StoreError> {
    let Some((office, context)) = Office::first_in_calm(world).await? else { return Ok(None) };
    let begun_secs = net::clock::unix_now();
    tokio::time::sleep(Duration::from_secs(days * 86_400)).await;
    let kept = context.store.policy("sigma.test").await?;
    office.close();
    Ok(kept.map(|kept| (kept.fetched_secs - begun_secs) / 86_400))
}

/// On which day the MTA-STS policy of a domain that was written to on the first day had last been fetched, after so many days.
///
/// # Errors
/// When the store fails.
pub fn quiet_days(seed: u64, days: u64) -> Result<Option<i64>, StoreError> {
    in_virtual_time(seed, async |world| play(&world, days).await)
}
