//! RFC 5322 and MIME: text to parts and back.
//!
//! Invariant: nothing here fails on bad input, reads a clock, or touches a file.

pub mod address;
pub mod date;
pub mod facts;
