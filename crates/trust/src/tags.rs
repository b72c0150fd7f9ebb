//! Lists of `tag=value` (RFC 6376 §3.2), as DKIM, DMARC and ARC write them.
//!
//! Invariant: a tag that stands twice makes the list bad; unknown tags are kept and mean nothing.

use crate::limits::TAGS_MAX;

/// The tags in their order, blanks and folding around names and values taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tags(Vec<(String, String)>);

impl Tags {
    /// `None`: not a list of tags.
    pub(crate) fn parse(text: &str) -> Option<Tags> {
        let mut found: Vec<(String, String)> = Vec::new();
        for part in text.split(';') {
            let part = part.trim_matches(is_blank);
            if part.is_empty() {
                continue;
            }
            let (name, value) = part.split_once('=')?;
            let name = name.trim_matches(is_blank);
            let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !good || found.len() >= TAGS_MAX || found.iter().any(|(known, _)| known == name) {
                return None;
            }
            found.push((name.to_owned(), value.trim_matches(is_blank).to_owned()));
        }
        Some(Tags(found))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The name of the first tag and its value.
    pub(crate) fn first(&self) -> Option<(&str, &str)> {
        self.0.first().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A value without any blanks inside: base64, numbers.
    pub(crate) fn dense(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.chars().filter(|c| !is_blank(*c)).collect())
    }

    /// A list between colons.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        let value = self.get(name)?;
        Some(value.split(':').map(|one| one.trim_matches(is_blank).to_ascii_lowercase()).collect())
    }

    /// Base64 with blanks anywhere.
    pub(crate) fn octets(&self, name: &str) -> Option<Vec<u8>> {
        base64(&self.dense(name)?)
    }

    /// A decimal number; one that is too large for us is the largest.
    pub(crate) fn number(&self, name: &str) -> Option<Result<u64, ()>> {
        let value = self.dense(name)?;
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
            return Some(Err(()));
        }
        Some(Ok(value.parse().unwrap_or(u64::MAX)))
    }
}

/// Base64, padded or not: others leave the padding out.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    data_encoding::BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok().or_else(|| {
        // The last bits that nobody needs are not zero with some signers.
        let mut lenient = data_encoding::BASE64_NOPAD.specification();
        lenient.check_trailing_bits = false;
        lenient.encoding().ok()?.decode(text.trim_end_matches('=').as_bytes()).ok()
    })
}

pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lists() {
        let tags = Tags::parse("v=1; a = rsa-sha256;\r\n\tb=ab\r\n cd=;h=From : To ;").unwrap();
        assert_eq!(tags.get("a"), Some("rsa-sha256"));
        assert_eq!(tags.dense("b").unwrap(), "abcd=");
        assert_eq!(tags.list("h").unwrap(), ["from", "to"]);
        assert_eq!(tags.first(), Some(("v", "1")));
        assert_eq!(Tags::parse("a=1; a=2"), None);
        assert_eq!(Tags::parse("nothing"), None);
        assert_eq!(Tags::parse("1a=x"), None);
        assert_eq!(Tags::parse("t=12; x=1a; y=99999999999999999999999").unwrap().number("t"), Some(Ok(12)));
        assert_eq!(Tags::parse("x=1a").unwrap().number("x"), Some(Err(())));
        assert_eq!(Tags::parse("y=99999999999999999999999").unwrap().number("y"), Some(Ok(u64::MAX)));
        assert!(Tags::parse(&"a=1;".repeat(2)).is_none());
        assert_eq!(base64("AAE"), base64("AAE="));
    }
}
