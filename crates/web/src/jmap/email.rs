//! Emails (RFC 8621 §4): one subject a file.

pub(crate) mod body;
mod build;
mod changes;
mod copy;
mod filter;
mod get;
pub(super) mod header;
mod query;
mod set;

pub(super) use changes::{Affected, changes};
pub(super) use copy::copy;
pub(super) use filter::{Filter, OURS as OWN_FILTERS};
pub(super) use get::get;
pub(super) use query::{query, query_changes};
pub(super) use set::{import, parse, set, set_besides};

/// What `Email/query` sorts by.
pub(super) const SORTS: [&str; 9] =
    ["receivedAt", "sentAt", "size", "from", "to", "subject", "hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword"];
