//! NAMESPACE (RFC 9051 §6.3.10, RFC 2342).

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Namespace {
    pub prefix: String,
    pub delimiter: Option<char>,
}

/// The answer; an empty list is NIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct NamespaceResponse {
    pub personal: Vec<Namespace>,
    pub other_users: Vec<Namespace>,
    pub shared: Vec<Namespace>,
}
