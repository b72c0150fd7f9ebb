//! Every bound of the client, by name.

use std::time::Duration;

/// For TCP and TLS together.
pub const CONNECT_MAX: Duration = Duration::from_secs(20);
/// Addresses of one host that are tried.
pub const ADDRESSES_MAX: usize = 4;
/// For one step of looking for somebody's servers.
pub const DISCOVERY_STEP_MAX: Duration = Duration::from_secs(8);
/// Redirects followed while looking for somebody's servers.
pub const REDIRECTS_MAX: usize = 3;
/// How long a user may take to sign in at the provider's page.
pub const OAUTH_WAIT_MAX: Duration = Duration::from_secs(900);
/// For the goodbye at the end of a session.
pub const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// A message from elsewhere may have so many octets.
pub const MESSAGE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Messages put into the store in one commit, at most.
pub const BUNDLE_MESSAGES: usize = 256;
/// Octets of one commit, unless one message alone has more.
pub const BUNDLE_BYTES: usize = 2 * 1024 * 1024;
/// Commits' worth of messages that wait between the wire and the store.
pub const BUNDLES_WAITING: usize = 3;
/// UIDs asked for in one FETCH.
pub const FETCH_UIDS: usize = 500;
/// FETCH commands under way at once.
pub const FETCHES_AHEAD: usize = 2;
/// RETRs handed to a POP3 session at once.
pub const RETRIEVALS_AHEAD: usize = 64;
/// Connections lost in a row without a message in between, before an import gives up.
pub const RECONNECTS_MAX: u32 = 5;
/// Times an import begins again because somebody else brought the same meanwhile.
pub const TURNS_MAX: u32 = 5;
/// Mailboxes taken from one server.
pub const MAILBOXES_MAX: usize = 10_000;
/// Folders shown before anything is brought.
pub const LOOK_FOLDERS_MAX: usize = 500;
/// For looking at an account before anything is brought.
pub const LOOK_MAX: Duration = Duration::from_secs(60);
/// Messages of one maildrop.
pub const MAILDROP_MESSAGES_MAX: usize = 5_000_000;
/// Lines of UIDL more than LIST had.
pub const STRANGERS_MAX: usize = 1_000;
/// Marks or hashes told in one answer.
pub const PAGE_ROWS: usize = 5_000;
/// Lines in which a server may answer one command: one a message, in a mailbox larger than anybody's.
pub const ANSWERS_MAX: usize = 10_000_000;
/// Characters of a sender or a subject that are shown, or kept beside what stays on the server.
pub const TEXT_CHARS_MAX: usize = 500;
/// Octets of messages in one page of an export.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Levels of folders below one another that are walked.
pub const FOLDERS_DEEP_MAX: usize = 32;
/// A header longer than this is not looked through for flags and dates.
pub const HEADER_BYTES_MAX: usize = 1024 * 1024;
