//! A message's facts, computed where they hold nobody up.
//!
//! Must not know: where the octets come from, what the facts are for.

use bytes::Bytes;
use message::facts::Facts;
use std::sync::Arc;
use store::StoreError;

/// Facts of larger messages are computed off the async threads.
const INLINE_BYTES_MAX: usize = 128 * 1024;

/// The facts of these octets.
pub(crate) async fn facts_of(octets: Bytes) -> Result<Arc<Facts>, StoreError> {
    if octets.len() <= INLINE_BYTES_MAX {
        return Ok(Arc::new(Facts::compute(&octets)));
    }
    let computed = tokio::task::spawn_blocking(move || Facts::compute(&octets)).await;
    computed.map(Arc::new).map_err(|error| StoreError::Io(error.to_string()))
}
