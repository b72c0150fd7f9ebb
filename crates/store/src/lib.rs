//! What Packetboat keeps: accounts, mailboxes, messages, the queue and the change log.
//!
//! One door above ([`Store`]), one narrow seam below (`engine::Engine`). Everything that one act
//! changes is one commit, durable before the act answers.
//! Invariant: a successful answer means synced to disk and visible to every reader.
//! Must not know: protocol words, sockets.

mod access;
mod account;
mod annotation;
mod arrange;
mod arriving;
mod block;
mod blocks;
mod care;
mod change_log;
mod check;
mod crossing;
mod engine;
mod flag_runs;
mod following;
pub mod fuzzing;
mod hash;
mod key;
pub mod limits;
mod lock;
mod machine;
mod mailbox;
mod mark;
mod memory_disk;
mod mended;
mod message;
mod muted;
mod news;
pub mod object_id;
mod own_seen;
mod packed;
mod packing;
mod policy;
mod queue;
mod queue_control;
mod reading;
mod rebuild;
mod record;
mod rendered;
pub mod rest;
mod rows;
mod saved;
mod space;
pub mod spool;
mod store;
mod threads;
mod trace;
mod trust;
pub mod types;
mod undo;
mod value;

#[cfg(test)]
mod tests;

pub use access::{ANYONE, Acl, AclChange};
pub use account::QUOTA;
pub use annotation::Annotations;
pub use arriving::Horizon;
pub use mark::Mark;
pub use memory_disk::MemoryDisk;
pub use muted::MUTED;
pub use news::News;
pub use own_seen::OwnSeen;
pub use queue::lane_of;
pub use record::RecordChange;
pub use rendered::{Part as RenderedPart, Rendered};
pub use saved::SavedDates;
pub use spool::Spool;
pub use trust::TrustKind;
pub use types::*;

use std::path::PathBuf;
use std::sync::Arc;

/// How a store is opened.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct StoreConfig {
    pub data_dir: PathBuf,
    /// Days an expunged message stays restorable.
    pub undo_days: u32,
    /// New mail is refused while the file system has less than this free.
    pub free_bytes_min: u64,
    /// Under this (above `free_bytes_min`) the undo window is shortened, oldest first.
    pub free_bytes_tight: u64,
    pub message_bytes_max: u64,
}

/// The checksum the store keeps beside all it writes, for what is derived from it: against accidents, not enemies.
pub fn checksum(octets: &[u8]) -> u64 {
    hash::xxh64(octets, 0)
}

/// `LOCAL@Domain` to the form addresses are compared in: domain lower-case (A-label), local part lower-case and NFC.
pub fn normalise(address: &str) -> String {
    let nfc = icu_normalizer::ComposingNormalizerBorrowed::new_nfc();
    let Some((local, domain)) = address.trim().rsplit_once('@') else {
        return nfc.normalize(&address.trim().to_lowercase()).into_owned();
    };
    let local = nfc.normalize(&local.to_lowercase()).into_owned();
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    // An address literal, or a name that is none: compared as it is, without case.
    let domain = idna::domain_to_ascii(domain).ok().filter(|name| !name.is_empty()).unwrap_or_else(|| domain.to_lowercase());
    format!("{local}@{domain}")
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<store::Inner>,
    /// Whose acts these are, for the trace.
    pub(crate) by: Option<types::By>,
}

/// A mailbox name.
pub type SmolName = smol_str::SmolStr;
