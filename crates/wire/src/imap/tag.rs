//! Tags (RFC 9051 §2.2.1).
//!
//! ```abnf
//! tag = 1*<any ASTRING-CHAR except "+">
//! ```

use super::cursor::{Cursor, Parsed};
use super::limits::TAG_BYTES_MAX;
use super::string::is_astring_char;
use smol_str::SmolStr;

/// A command's tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(pub(crate) SmolStr);

impl Tag {
    /// As spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// `None` when it is no tag.
    pub fn new(text: &str) -> Option<Tag> {
        let mut cursor = Cursor::new(text.as_bytes());
        let tag = Tag::parse(&mut cursor).ok()?;
        cursor.at_end().then_some(tag)
    }
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Tag> {
        let word = c.take_while(|b| b != b'+' && is_astring_char(b));
        match std::str::from_utf8(word) {
            Ok(tag) if !tag.is_empty() && tag.len() <= TAG_BYTES_MAX => Ok(Tag(SmolStr::new(tag))),
            _ => c.error("a tag is missing or wrong"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for good in ["a", "A001", "x]y", "1.2.3", &"t".repeat(TAG_BYTES_MAX)] {
            assert!(Tag::new(good).is_some(), "{good}");
        }
        for bad in ["", "+", "a+b", "a b", "a\"", "(", "*", "a*", "\u{e4}", &"t".repeat(TAG_BYTES_MAX + 1)] {
            assert!(Tag::new(bad).is_none(), "{bad}");
        }
    }
}
