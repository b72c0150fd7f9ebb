//! IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) with their extensions: one grammar, a server and a client on it.
//!
//! One subject = one file (types, ABNF, `parse`, `encode`, tests); [`command`] and [`response`] stand on the subjects,
//! [`server`] and [`client`] on those two. Invariant: what `encode` writes `parse` reads back as the same value.
//! Must not know: the store, sockets, clocks.

pub mod acl;
pub mod append;
pub mod body_structure;
pub mod capability;
pub mod client;
pub mod command;
pub mod cursor;
pub mod date;
pub mod downgrade;
pub mod enable;
pub mod encoder;
pub mod envelope;
pub mod esearch;
pub mod fetch;
pub mod flag;
mod framing;
pub mod id;
pub mod limits;
pub mod list;
pub mod mailbox_name;
pub mod metadata;
pub mod namespace;
pub mod notify;
pub mod quota;
pub mod response;
pub mod response_code;
pub mod search;
pub mod select;
pub mod sequence_set;
pub mod server;
pub mod sort;
pub mod status;
pub mod store;
pub mod string;
pub mod tag;
pub mod thread;
pub mod url;

pub use command::Command;
pub use cursor::{Cursor, SyntaxError};
pub use encoder::Encoder;
pub use flag::Flag;
pub use mailbox_name::MailboxName;
pub use response::Response;
pub use response_code::Code;
pub use sequence_set::{NumberSet, SequenceSet};
pub use tag::Tag;
