//! Finding and ordering messages: one meaning of "contains", "sent before" and "in this order" for IMAP and JMAP.
//!
//! A [`Query`] is evaluated over a mailbox at one instant, or over a whole account. Invariant: an answer is what reading every
//! message would give. Must not know: protocols, sockets, SQLite.

mod evaluate;
mod keys;
mod limits;
mod query;
mod reading;
mod texts;

pub use evaluate::{Hit, Searcher};
pub use keys::{Key, MailboxKeys};
pub use message::search::Needle;
pub use query::{Query, phrases};
