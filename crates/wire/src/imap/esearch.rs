//! The ESEARCH response (RFC 9051 §7.3.4, RFC 4731).

use super::sequence_set::NumberSet;
use super::tag::Tag;

/// `* ESEARCH (TAG "a1") UID ...`; the tag is always quoted (lessons C5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct ESearch {
    pub tag: Option<Tag>,
    pub uid: bool,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub count: Option<u32>,
    /// Left out on the wire when empty.
    pub all: Option<NumberSet>,
    pub mod_seq: Option<u64>,
}
