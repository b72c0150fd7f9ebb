//! ID (RFC 2971).

/// `id-params-list`: pairs in order; `None` as a whole is NIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Id {
    /// Name and value (NIL is `None`).
    pub fields: Option<Vec<(String, Option<String>)>>,
}
