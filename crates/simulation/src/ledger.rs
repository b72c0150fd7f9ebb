//! What was promised to whom: every message sent, what was answered to it, and what its reader did with it.
//!
//! Invariant: written by the clients from what they saw on the wire, never from the servers' insides.

use crate::imap_client::Row;
use std::collections::{BTreeMap, BTreeSet};

/// A message given to a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    pub(crate) reverse_path: String,
    pub(crate) octets: Vec<u8>,
    /// Asked for no reports.
    pub(crate) never_notify: bool,
    /// By recipient: how often a 250 to the message was seen.
    pub(crate) promised: BTreeMap<String, u32>,
    /// Tries that ended without an answer after the message may have been whole.
    pub(crate) unanswered: u32,
}

/// What the maildrop's reader did.
#[derive(Debug, Default)]
pub(crate) struct Maildrop {
    /// Unique-id -> number of the message, as RETR showed it.
    pub(crate) seen: BTreeMap<String, u64>,
    /// Deleted by an acknowledged QUIT.
    pub(crate) deleted: BTreeSet<String>,
    /// Marked in a session whose QUIT was not answered.
    pub(crate) unsure: BTreeSet<String>,
    /// There at the end.
    pub(crate) here: BTreeSet<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) sent: BTreeMap<u64, Sent>,
    pub(crate) maildrop: Maildrop,
    /// What the scripted server kept: (recipient, reverse-path, octets).
    pub(crate) foreign: Vec<(String, String, Vec<u8>)>,
    /// Messages that the scripted server kept and did not say so: how often.
    pub(crate) foreign_unheard: BTreeMap<u64, u32>,
    /// What may be in Ivy's mailboxes at the end.
    pub(crate) ivy: Vec<Vec<Row>>,
    next: u64,
}

impl Ledger {
    /// The number of the next message.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
