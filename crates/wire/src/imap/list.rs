//! LIST, LSUB, XLIST and their answers (RFC 9051 §6.3.9, §7.3.1; RFC 5258, 5819, 6154, 3348, 8440).

use super::mailbox_name::MailboxName;
use super::status::StatusAttribute;
use smol_str::SmolStr;

/// LIST, LSUB or XLIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which of the three.
    pub kind: ListKind,
    /// Selection options; empty for a plain LIST.
    pub selection: Vec<ListSelection>,
    /// Reference name, decoded.
    pub reference: String,
    /// Patterns, decoded; one for a plain LIST. An empty pattern asks for the delimiter.
    pub patterns: Vec<String>,
    /// RETURN options.
    pub returns: Vec<ListReturn>,
    /// Any extended syntax was used (selection, RETURN or a pattern list).
    pub extended: bool,
}

/// The three commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ListKind {
    List,
    Lsub,
    /// Old Apple and Outlook clients; as LIST with special-use, answered `* XLIST`.
    Xlist,
}

/// `list-select-opt`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ListSelection {
    Subscribed,
    Remote,
    RecursiveMatch,
    SpecialUse,
}

/// `return-option`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ListReturn {
    Subscribed,
    Children,
    SpecialUse,
    Status(Vec<StatusAttribute>),
}

/// `mbx-list-flags`, by their exact names (lessons: `\Drafts`, never `\Draft`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MailboxAttribute {
    NoInferiors,
    NonExistent,
    NoSelect,
    HasChildren,
    HasNoChildren,
    Marked,
    Unmarked,
    Subscribed,
    Remote,
    All,
    Archive,
    Drafts,
    Flagged,
    Junk,
    Sent,
    Trash,
    Important,
    /// Without its backslash.
    Other(SmolStr),
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ListResponse {
    pub kind: ListKind,
    pub attributes: Vec<MailboxAttribute>,
    pub delimiter: Option<char>,
    pub name: MailboxName,
    /// CHILDINFO (RFC 5258 §3.5): `SUBSCRIBED` and the like.
    pub child_info: Vec<SmolStr>,
    /// OLDNAME (RFC 9051 §6.3.9.7).
    pub old_name: Option<MailboxName>,
}

/// Does `name` match `pattern`? `*` is anything, `%` anything but the delimiter; INBOX in any case (RFC 9051 §6.3.9).
#[allow(clippy::todo, unused_variables)]
pub fn matches(pattern: &str, name: &str, delimiter: char) -> bool { todo!() }
