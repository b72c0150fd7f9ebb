//! Finding and ordering messages: one meaning of "contains", "sent before" and "in this order" for IMAP and JMAP.
//!
//! A [`Query`] is evaluated over a mailbox at one instant, or over a whole account. Invariant: an answer is what reading every
//! message would give, index or no index. Must not know: protocols, sockets, SQLite.

mod attachment_text;
mod evaluate;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod keeper;
mod keys;
mod limits;
mod pdf;
mod plan;
mod query;
mod reading;
#[cfg(test)]
mod tests;
mod texts;

pub use evaluate::{Hit, Indexed, Searcher};
pub use keys::{Key, MailboxKeys, Walk};
pub use message::search::Needle;
pub use query::{Query, phrases};
