//! STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

use super::flag::Flag;
use super::sequence_set::SequenceSet;

/// STORE and UID STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// UID STORE.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// UNCHANGEDSINCE.
    pub unchanged_since: Option<u64>,
    /// Replace, add or remove.
    pub operation: StoreOperation,
    /// `.SILENT`
    pub silent: bool,
    /// May be empty.
    pub flags: Vec<Flag>,
}

/// `FLAGS`, `+FLAGS`, `-FLAGS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StoreOperation {
    Replace,
    Add,
    Remove,
}
