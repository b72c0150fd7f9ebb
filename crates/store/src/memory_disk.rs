//! A disk that is memory: it outlives the stores opened on it, takes its time to make acts durable, fails and crashes on
//! command. For simulations of whole servers.
//!
//! Invariant: what a store answered is in every [`MemoryDisk::after_crash`]; what still waits is in none. A commit that
//! was made to fail did nothing. Must not know: files, mail.

use crate::engine::memory::Memory;
use crate::{Store, StoreConfig, StoreError};
use std::fmt;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    engine: Arc<Memory>,
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryDisk")
    }
}

impl MemoryDisk {
    /// Opens the store on it. One at a time: a disk is given to the next store by way of [`MemoryDisk::after_crash`].
    pub async fn open(&self, config: StoreConfig) -> Result<Store, StoreError> {
        Store::in_memory(config, Arc::clone(&self.engine)).await
    }

    /// From now on acts wait for [`MemoryDisk::sync`]; `on_wait` is called for each that begins to.
    pub fn hold(&self, on_wait: impl Fn() + Send + 'static) {
        self.engine.hold(Box::new(on_wait));
    }

    /// Makes durable, and answers, what waits.
    pub fn sync(&self) {
        self.engine.run_waiting();
    }

    /// Makes durable, and answers, the first that waits. `false`: nothing does.
    pub fn sync_one(&self) -> bool {
        self.engine.run_one()
    }

    /// Makes durable what waits, and from now on everything at once.
    pub fn release(&self) {
        self.engine.resume();
    }

    /// The call (a read, a commit, a body) after `calls` more fails, once.
    pub fn fail_after(&self, calls: u64, error: StoreError) {
        self.engine.fail_after(calls, error);
    }

    /// Takes back a failure that nothing has met yet.
    pub fn heal(&self) {
        self.engine.heal();
    }

    /// Every commit fails for want of room, or none does any more.
    pub fn set_full(&self, full: bool) {
        self.engine.set_full(full);
    }

    /// What is there after the power was cut now. What the old disk's stores still do is of no effect on it.
    #[must_use]
    pub fn after_crash(&self) -> MemoryDisk {
        MemoryDisk { engine: Arc::new(self.engine.crash()) }
    }
}
