//! Tags (RFC 9051 §2.2.1).

use smol_str::SmolStr;

/// A command's tag. `tag = 1*<any ASTRING-CHAR except "+">`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(pub(crate) SmolStr);

impl Tag {
    /// As spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
