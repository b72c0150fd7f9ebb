//! Rows whose loss would show as something else than their being lost: missed, and looked up in what the index is made
//! from.
//!
//! The runs of flags of a mailbox are such: without them its messages have the flags they came with. So is what a reader of
//! a shared mailbox has seen (`own_seen.rs`): without it everything is new. The mailbox's own row says which act wrote the
//! flags last, and has a sum over its readers. Invariant: flags are given out as they were stored, or not at all; nothing is
//! written into an index that is damaged, so `check` goes on telling of it until `rebuild`.

use crate::engine::Key;
use crate::flag_runs::{FlagRun, decode_flag_runs, newest_of};
use crate::key;
use crate::own_seen::OwnSeen;
use crate::space::Space;
use crate::store::{Inner, Result};
use crate::types::{MailboxId, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many are remembered before all are forgotten: to look one up reads segments.
const REMEMBERED_MAX: usize = 64;

/// What was looked up.
#[derive(Debug, Default)]
pub(crate) struct Mended {
    flag_runs: Remembered<Vec<FlagRun>>,
    pub(crate) own_seen: Remembered<OwnSeen>,
}

/// By the row's key: what the mailbox said of it when it was looked up, and what was found.
type Found<T> = HashMap<Key, (u64, Option<Arc<T>>)>;

/// Such rows.
#[derive(Debug)]
pub(crate) struct Remembered<T>(Mutex<Found<T>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Remembered(Mutex::default())
    }
}

impl<T> Remembered<T> {
    pub(crate) fn known(&self, at: &Key, told: u64) -> Option<Option<Arc<T>>> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(at).filter(|(looked_for, _)| *looked_for == told).map(|(_, row)| row.clone())
    }

    pub(crate) fn remember(&self, at: Key, told: u64, row: Option<Arc<T>>) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= REMEMBERED_MAX {
            found.clear();
        }
        found.insert(at, (told, row));
    }
}

impl Inner {
    /// A mailbox's runs of flags, of which the index has `stored`. `since`: the act that wrote them last as was known before
    /// the index was read.
    pub(crate) async fn flag_runs(
        &self,
        space: &Space,
        mailbox: MailboxId,
        stored: Option<Vec<u8>>,
        since: u64,
    ) -> Result<Arc<Vec<FlagRun>>> {
        let at = key::flags(space.id, mailbox);
        match stored.map(|stored| decode_flag_runs(&at, &stored)) {
            None if since == 0 => return Ok(Arc::default()),
            Some(Ok(runs)) if newest_of(&runs) >= since => return Ok(Arc::new(runs)),
            _ => {}
        }
        let runs = match self.mended.flag_runs.known(&at, since) {
            Some(runs) => runs,
            None => self.look_up(&at, since).await?,
        };
        match runs {
            Some(runs) => Ok(runs),
            None if !space.published().mailboxes.contains_key(&mailbox) => Err(StoreError::NotFound),
            None => Err(StoreError::Damaged(format!("{at}: the flags of a mailbox are lost"))),
        }
    }

    async fn look_up(&self, at: &Key, since: u64) -> Result<Option<Arc<Vec<FlagRun>>>> {
        let logged = self.engine.logged(at.clone()).await?;
        let runs = logged.and_then(|stored| decode_flag_runs(at, &stored).ok()).filter(|runs| newest_of(runs) >= since);
        tracing::error!(key = %at, found = runs.is_some(), "flags of a mailbox are damaged; `packetboat rebuild` mends the index");
        let runs = runs.map(Arc::new);
        self.mended.flag_runs.remember(at.clone(), since, runs.clone());
        Ok(runs)
    }
}
