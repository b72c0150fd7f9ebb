//! Who a message is from: SPF, DKIM, DMARC, ARC and what is written about them.
//!
//! RFC 7208, 6376, 8301, 8463, 9989, 9990, 8617, 8601, 8460. Questions to DNS out (the [`Dns`] seam), verdicts back.
//! Invariant: a function of its arguments and of DNS; whatever merely did not work is temporary, never a failure of the sender;
//! every loop over what others wrote has a named limit. Must not know: sockets, clocks, the store, replies.

pub mod aggregate;
pub mod arc;
pub mod dkim;
pub mod dmarc;
pub mod dns;
pub mod dnsbl;
pub mod fuzzing;
pub mod iprev;
pub mod limits;
pub mod results;
pub mod spf;
pub mod srs;
mod tags;
pub mod tls_report;
mod xml;

#[cfg(test)]
#[path = "../../../tests/bench/secret_checks.rs"]
mod secret_checks;

pub use dns::{Dns, DnsError, Recorder};
