//! Other people's servers: moving house (import and export), mirrors of remote accounts, sending through a provider.
//!
//! Works on the same store, wire and net as the server. Invariant: what came from elsewhere and the mark that tells so
//! are one commit, so a run that broke anywhere goes on where it stopped and brings nothing twice; UIDs count only
//! together with their UIDVALIDITY, and message numbers never. Must not know: the server's faces.

pub mod dial;
pub mod discover;
pub mod door;
pub mod export;
pub mod flags;
pub mod imap;
pub mod import;
pub mod limits;
pub mod look;
pub mod mailbox_name;
pub mod maildrop;
pub mod mbox;
pub mod oauth;
pub mod outbox;
pub mod place;
pub mod pop;
pub mod progress;
pub mod sync;
pub mod trouble;

#[cfg(test)]
mod tests;

pub use dial::Dialer;
pub use door::{Door, StoreDoor};
pub use place::{Place, Protocol};
pub use progress::Progress;
pub use trouble::Trouble;
pub use wire::sasl::Secret;
