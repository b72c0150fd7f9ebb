//! What Packetboat keeps: accounts, mailboxes, messages, the queue and the change log.
//!
//! One door above ([`Store`]), one narrow seam below (`engine::Engine`). Everything that one act
//! changes is one commit, durable before the act answers.
//! Invariant: a successful answer means synced to disk and visible to every reader.
//! Must not know: protocol words, sockets.

mod account;
mod annotation;
mod care;
mod check;
mod engine;
mod flag_runs;
pub mod fuzzing;
mod hash;
mod key;
pub mod limits;
mod lock;
mod mailbox;
mod mark;
mod memory_disk;
mod message;
mod packed;
mod queue;
mod reading;
mod rebuild;
mod rows;
mod space;
pub mod spool;
mod store;
mod trace;
pub mod types;
mod undo;
mod value;

#[cfg(test)]
mod tests;

pub use annotation::Annotations;
pub use mark::Mark;
pub use memory_disk::MemoryDisk;
pub use reading::Rendered;
pub use spool::Spool;
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
}

/// A mailbox name.
pub type SmolName = smol_str::SmolStr;
