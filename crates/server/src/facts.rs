//! A message's facts, computed where they hold nobody up.
//!
//! Must not know: where the octets come from, what the facts are for.

use bytes::Bytes;
use message::facts::Facts;
use std::sync::Arc;
use store::StoreError;

/// Work on larger messages is done off the async threads.
const INLINE_BYTES_MAX: usize = 128 * 1024;

/// The facts of these octets.
pub(crate) async fn facts_of(octets: Bytes) -> Result<Arc<Facts>, StoreError> {
    aside(octets.len(), move || Facts::compute(&octets)).await.map(Arc::new)
}

/// Does what takes as long as a message is large.
pub(crate) async fn aside<T: Send + 'static>(length: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    if length <= INLINE_BYTES_MAX {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Io(error.to_string()))
}
