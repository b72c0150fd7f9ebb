//! SEARCH (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 4731, RFC 5182, RFC 5032, RFC 7162 §3.1.5).

use super::date::Date;
use super::sequence_set::SequenceSet;
use smol_str::SmolStr;

/// SEARCH and UID SEARCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// UID SEARCH.
    pub uid: bool,
    /// RETURN; `None` when absent (an old SEARCH reply is wanted unless IMAP4rev2 is enabled), `Some([])` means ALL.
    pub returns: Option<Vec<SearchReturn>>,
    /// As spelled. When [`Search::charset_supported`] is false the strings below are not to be trusted: answer NO \[BADCHARSET\].
    pub charset: Option<SmolStr>,
    /// All must match; never empty.
    pub keys: Vec<SearchKey>,
}

/// RETURN options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum SearchReturn {
    Min,
    Max,
    All,
    Count,
    Save,
}

/// A search key. The simple flag keys of the RFCs (`SEEN`, `UNSEEN`, `OLD`, `NEW` ...) have their own names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SearchKey {
    All,
    Answered,
    Bcc(String),
    Before(Date),
    Body(String),
    Cc(String),
    Deleted,
    Draft,
    Flagged,
    From(String),
    /// Field name, and a substring of its value (empty: the field exists).
    Header(String, String),
    Keyword(SmolStr),
    Larger(u64),
    /// RFC 7162 §3.1.5: mod-sequence at least this (the entry name is read and not needed).
    ModSeq(u64),
    New,
    Not(Box<SearchKey>),
    Old,
    /// RFC 5032: INTERNALDATE is at least so many seconds ago.
    Older(u32),
    On(Date),
    Or(Box<SearchKey>, Box<SearchKey>),
    /// Parenthesised: all must match.
    And(Vec<SearchKey>),
    Recent,
    Seen,
    SentBefore(Date),
    SentOn(Date),
    SentSince(Date),
    /// Message numbers.
    Sequence(SequenceSet),
    Since(Date),
    Smaller(u64),
    Subject(String),
    Text(String),
    To(String),
    Uid(SequenceSet),
    Unanswered,
    Undeleted,
    Undraft,
    Unflagged,
    Unkeyword(SmolStr),
    Unseen,
    /// RFC 5032: INTERNALDATE is less than so many seconds ago.
    Younger(u32),
}

impl Search {
    /// US-ASCII, UTF-8 or not given.
    pub fn charset_supported(&self) -> bool {
        self.charset.as_deref().is_none_or(|name| name.eq_ignore_ascii_case("UTF-8") || name.eq_ignore_ascii_case("US-ASCII"))
    }
}
