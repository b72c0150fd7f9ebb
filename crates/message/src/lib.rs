//! RFC 5322 and MIME: text to parts and back.
//!
//! Invariant: nothing here fails on bad input, reads a clock, or touches a file.

pub mod address;
pub mod address_list;
pub mod apple_single;
pub mod arf;
pub mod attachment;
pub mod authentication_results;
pub mod base_subject;
pub mod binhex;
mod body_check;
pub mod body_structure;
pub mod build;
pub mod calendar;
pub mod casemap;
pub mod charset;
pub mod checksum;
mod code_page;
pub mod compressed_rtf;
pub mod content;
pub mod date;
pub mod defect;
pub mod domain;
pub mod downgrade;
pub mod dsn;
pub mod encoded_word;
pub mod envelope_item;
mod examine;
pub mod facts;
pub mod file_names;
pub mod flowed;
pub mod header;
#[cfg(feature = "html")]
pub mod html;
pub mod html_entity;
pub mod html_text;
#[cfg(test)]
mod imap_grammar;
pub mod imap_string;
pub mod limits;
pub mod list_fields;
pub mod maildir;
pub mod mapi;
pub mod mbox;
pub mod mdn;
pub mod parameter;
pub mod parse;
pub mod part;
pub mod partial;
pub mod preview;
pub mod reencode;
mod report;
pub mod rtf_text;
pub mod search;
pub mod search_text;
pub mod section;
pub mod sort_keys;
#[cfg(test)]
mod test_messages;
pub mod thread_keys;
pub mod threading;
pub mod tnef;
pub mod transfer;
pub mod uuencode;
pub mod yenc;

pub use facts::Facts;
pub use parse::{Message, Part, parse};

/// The examples of the README run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
