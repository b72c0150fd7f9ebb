//! Response codes in brackets (RFC 9051 §7.1, RFC 5530, RFC 4315, RFC 7162).

use super::flag::Flag;
use super::sequence_set::NumberSet;
use smol_str::SmolStr;

/// A response code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Code {
    Alert,
    AlreadyExists,
    AppendUid { uid_validity: u32, uids: NumberSet },
    AuthenticationFailed,
    AuthorizationFailed,
    /// Charsets that are supported.
    BadCharset(Vec<SmolStr>),
    Cannot,
    Capability(Vec<SmolStr>),
    ClientBug,
    Closed,
    CompressionActive,
    ContactAdmin,
    CopyUid { uid_validity: u32, source: NumberSet, destination: NumberSet },
    Corruption,
    Expired,
    ExpungeIssued,
    HasChildren,
    HighestModSeq(u64),
    InUse,
    Limit,
    Modified(NumberSet),
    NoModSeq,
    NonExistent,
    NoPerm,
    NotSaved,
    OverQuota,
    Parse,
    PermanentFlags(Vec<Flag>),
    PrivacyRequired,
    ReadOnly,
    ReadWrite,
    ServerBug,
    TooBig,
    TryCreate,
    UidNext(u32),
    UidNotSticky,
    UidValidity(u32),
    Unavailable,
    UnknownCte,
    Unseen(u32),
    UseAttr,
    /// Any other, with its argument text as written.
    Other { name: SmolStr, argument: Option<String> },
}
