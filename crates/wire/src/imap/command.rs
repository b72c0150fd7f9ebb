//! Commands (RFC 9051 §6): every command as one value, both ways.

use super::append::Append;
use super::enable::Extension;
use super::fetch::Fetch;
use super::id::Id;
use super::list::{List, MailboxAttribute};
use super::mailbox_name::MailboxName;
use super::search::Search;
use super::select::Select;
use super::sequence_set::SequenceSet;
use super::status::Status;
use super::store::Store;
use smol_str::SmolStr;

/// A command without its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    // any state
    Capability,
    Noop,
    Logout,
    Id(Id),
    // not authenticated
    StartTls,
    /// The initial response is decoded; `=` is `Some` of nothing.
    Authenticate { mechanism: SmolStr, initial_response: Option<Vec<u8>> },
    Login { user: String, password: Vec<u8> },
    // authenticated
    Enable(Vec<Extension>),
    Select(Select),
    /// CREATE with USE (RFC 6154 §3).
    Create { mailbox: MailboxName, uses: Vec<MailboxAttribute> },
    Delete { mailbox: MailboxName },
    Rename { from: MailboxName, to: MailboxName },
    Subscribe { mailbox: MailboxName },
    Unsubscribe { mailbox: MailboxName },
    List(List),
    Namespace,
    Status(Status),
    /// Up to its literal.
    Append(Append),
    Idle,
    // selected
    Check,
    Close,
    Unselect,
    /// EXPUNGE, or UID EXPUNGE with a set.
    Expunge { uids: Option<SequenceSet> },
    Search(Search),
    Fetch(Fetch),
    Store(Store),
    Copy { uid: bool, set: SequenceSet, mailbox: MailboxName },
    Move { uid: bool, set: SequenceSet, mailbox: MailboxName },
}
