//! Flags and keywords (RFC 9051 §2.3.2).

use smol_str::SmolStr;

/// A flag. System flags are read in any case; keywords keep their spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Flag {
    Seen,
    Answered,
    Flagged,
    Deleted,
    Draft,
    /// Never in STORE or APPEND.
    Recent,
    /// `\*` of PERMANENTFLAGS.
    Any,
    /// An atom, without backslash.
    Keyword(SmolStr),
    /// `\Something` that is none of the above; without its backslash.
    Extension(SmolStr),
}
