//! RFC 5322 and MIME: text to parts and back.
//!
//! Invariant: nothing here fails on bad input, reads a clock, or touches a file.

pub mod address;
pub mod address_list;
pub mod base_subject;
pub mod body_structure;
pub mod build;
pub mod charset;
pub mod content;
pub mod date;
pub mod domain;
pub mod dsn;
pub mod encoded_word;
pub mod envelope_item;
pub mod facts;
pub mod header;
#[cfg(test)]
mod imap_grammar;
pub mod imap_string;
pub mod limits;
pub mod parameter;
pub mod parse;
pub mod search;
pub mod section;
#[cfg(test)]
mod test_messages;
pub mod thread_keys;
pub mod transfer;

pub use facts::Facts;
pub use parse::{Message, parse};
