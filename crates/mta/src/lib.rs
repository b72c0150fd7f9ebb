//! What happens to a message: receive, submit, route, queue, retry, bounce.
//!
//! A function of (store, now, outcomes): who a recipient is, what a message needs before it leaves, when it is tried
//! again, who is told. RFC 5321, 6409, 3461, 3464.
//! Invariant: never sleeps, never dials, never reads a clock. Must not know: sockets, timers, replies' syntax.

pub mod accept;
pub mod bounce;
pub mod header_gate;
pub mod limits;
pub mod queue;
pub mod receive;
pub mod refusal;
pub mod route;
pub mod sending_limits;
pub mod sts;
pub mod submit;
pub mod trace_fields;
pub mod why;
pub mod wishes;

pub use refusal::Refusal;
