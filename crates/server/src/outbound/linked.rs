//! Submission servers of accounts that people have elsewhere: mail they send as their old address goes out there.
//!
//! Each is a destination of the queue with a name of its own; they come and go while mail does. Invariant: what waits for
//! one that is gone fails and says so, and never goes by MX. Must not know: where the links are kept.

use super::Relay;
use smol_str::{SmolStr, format_smolstr};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use store::AccountId;

/// What such destinations begin with: nothing that is a domain.
const PREFIX: &str = "linked:";

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Linked(Arc<RwLock<HashMap<SmolStr, (u64, Relay)>>>);

/// Is this destination one of them?
pub(super) fn is_linked(destination: &str) -> bool {
    destination.starts_with(PREFIX)
}

impl Linked {
    /// What an account's address elsewhere is called in the queue.
    pub fn destination(account: AccountId, address: &str) -> SmolStr {
        format_smolstr!("{PREFIX}{}/{}", address.to_lowercase(), account.0)
    }

    /// From now on mail for this destination goes there.
    pub fn set(&self, destination: &str, relay: Relay) {
        let row = (store::lane_of(destination), relay);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(destination.into(), row);
    }

    /// Not any more.
    pub fn remove(&self, destination: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(destination);
    }

    /// Is there a way?
    pub fn has(&self, destination: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(destination)
    }

    pub(super) fn get(&self, destination: &str) -> Option<Relay> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(destination).map(|(_, relay)| relay.clone())
    }

    pub(super) fn has_lane(&self, lane: u64) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().any(|(known, _)| *known == lane)
    }
}
