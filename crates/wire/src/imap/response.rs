//! Responses (RFC 9051 §7): untagged data, status responses, continuation requests.

use super::enable::Extension;
use super::esearch::ESearch;
use super::fetch::FetchData;
use super::flag::Flag;
use super::id::Id;
use super::list::ListResponse;
use super::namespace::NamespaceResponse;
use super::response_code::Code;
use super::sequence_set::NumberSet;
use super::status::StatusResponse;
use super::tag::Tag;
use bytes::Bytes;
use smol_str::SmolStr;

/// OK, NO, BAD, PREAUTH, BYE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Ok,
    No,
    Bad,
    /// Untagged only.
    PreAuth,
    /// Untagged only.
    Bye,
}

/// A status response: how a command ended (tagged), or news (untagged).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct StatusText {
    pub kind: Kind,
    pub code: Option<Code>,
    pub text: String,
}

/// An untagged response.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Response {
    Condition(StatusText),
    Capability(Vec<SmolStr>),
    Enabled(Vec<Extension>),
    List(ListResponse),
    Namespace(NamespaceResponse),
    Status(StatusResponse),
    Flags(Vec<Flag>),
    /// The old SEARCH reply; with MODSEQ after CONDSTORE.
    Search { numbers: Vec<u32>, mod_seq: Option<u64> },
    ESearch(ESearch),
    Exists(u32),
    Recent(u32),
    Expunge(u32),
    /// RFC 7162 §3.2.10
    Vanished { earlier: bool, uids: NumberSet },
    Fetch { number: u32, items: Vec<FetchData> },
    Id(Id),
    /// Not known here; the line after `* `.
    Other(Bytes),
}

/// Anything a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ServerLine {
    Untagged(Response),
    Tagged(Tag, StatusText),
    /// `+ text`
    Continuation(Bytes),
}
