//! CAPABILITY lists (RFC 9051 §6.1.1, §7.2.2): what the server says in each state, what a client asks of a list.

use smol_str::SmolStr;

/// A list of capabilities as announced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities(pub Vec<SmolStr>);

impl Capabilities {
    /// Announced, in any case?
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|c| c.eq_ignore_ascii_case(name))
    }
}
