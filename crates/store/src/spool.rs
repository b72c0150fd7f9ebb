//! Octets on their way in: in memory while small, a file past 256 kB.

use crate::types::{Spooled, StoreError};
use bytes::Bytes;

/// Takes a message's octets as they arrive.
pub struct Spool {
    _private: (),
}

#[derive(Debug)]
pub(crate) struct SpooledInner;

#[allow(unused_variables, clippy::todo)]
impl Spool {
    /// Takes a piece; past the memory bound it goes to a file.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> { todo!() }
    /// Octets so far.
    pub fn len(&self) -> u64 { todo!() }
    /// None yet.
    pub fn is_empty(&self) -> bool { self.len() == 0 }
    /// Done.
    pub async fn finish(self) -> Result<Spooled, StoreError> { todo!() }
}

#[allow(unused_variables, clippy::todo)]
impl Spooled {
    /// Octets that are already in memory.
    pub fn from_bytes(bytes: Bytes) -> Spooled { todo!() }
    /// Octets.
    pub fn len(&self) -> u64 { todo!() }
    /// None.
    pub fn is_empty(&self) -> bool { self.len() == 0 }
    /// All octets, for computing facts; a large body is read from its file, at most two such at once.
    pub async fn bytes(&self) -> Result<Bytes, StoreError> { todo!() }
}
