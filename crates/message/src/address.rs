//! `local@domain` (RFC 5321 §4.1.2, RFC 6531): the address of an envelope, read strictly.
//!
//! The addresses of header fields, read tolerantly, are in [`crate::address_list`].

use std::fmt;
use std::str::FromStr;

use crate::domain;
use crate::limits::{ADDRESS_BYTES_MAX, DOMAIN_BYTES_MAX, LOCAL_PART_BYTES_MAX};

/// A mail address. `domain` is lower-case as far as ASCII goes, or an address literal in brackets.
///
/// ```
/// use message::address::Address;
/// let address = Address::parse("ann@bücher.example").unwrap();
/// assert!(!address.is_ascii());
/// assert_eq!(address.ascii().as_deref(), Some("ann@xn--bcher-kva.example"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Unquoted local part, as spelled.
    pub local: String,
    /// Domain (U-label or A-label as spelled) or `[literal]`.
    pub domain: String,
}

/// Why a text is no [`Address`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// Not `Local-part "@" Domain` (RFC 5321 §4.1.2).
    Syntax,
    /// Longer than RFC 5321 §4.5.3.1 allows.
    TooLong,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Syntax => "not a mail address",
            AddressError::TooLong => "mail address too long",
        })
    }
}

impl std::error::Error for AddressError {}

impl Address {
    /// Parses `Mailbox` of RFC 5321 §4.1.2 with the UTF-8 of RFC 6531 §3.3, without angle brackets.
    ///
    /// ```
    /// use message::address::Address;
    /// let address = Address::parse("\"Ann B\"@Example.ORG").unwrap();
    /// assert_eq!((address.local.as_str(), address.domain.as_str()), ("Ann B", "example.org"));
    /// assert_eq!(address.to_string(), "\"Ann B\"@example.org");
    /// ```
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let (local, rest) = local_part(text)?;
        let spelled = rest.strip_prefix('@').ok_or(AddressError::Syntax)?;
        if local.len() > LOCAL_PART_BYTES_MAX || spelled.len() > DOMAIN_BYTES_MAX || text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        let good = if spelled.starts_with('[') { domain::is_literal(spelled) } else { domain::is_domain(spelled) };
        if !good {
            return Err(AddressError::Syntax);
        }
        Ok(Address { local, domain: spelled.to_ascii_lowercase() })
    }

    /// True when local part and domain are ASCII: no SMTPUTF8 needed.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }

    /// The address in ASCII, the domain as A-labels; `None` when only SMTPUTF8 can carry it (RFC 6531).
    pub fn ascii(&self) -> Option<String> {
        if !self.local.is_ascii() {
            return None;
        }
        let domain = domain::to_ascii(&self.domain)?;
        Some(Address { local: self.local.clone(), domain }.to_string())
    }
}

/// The local part, quoted if it is no `Dot-string`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if c == '"' || c == '\\' {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        write!(f, "@{}", self.domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::parse(text)
    }
}

/// RFC 5322 §3.2.3 atext, with UTF-8 (RFC 6531 §3.3).
pub(crate) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

/// `Dot-string`: atoms parted by single dots.
pub(crate) fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// The unquoted local part at the start, and the rest.
fn local_part(text: &str) -> Result<(String, &str), AddressError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (local, _) = text.split_once('@').ok_or(AddressError::Syntax)?;
        if !is_dot_string(local) {
            return Err(AddressError::Syntax);
        }
        return Ok((local.to_owned(), text.get(local.len()..).unwrap_or_default()));
    };
    let mut local = String::new();
    let mut chars = quoted.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((local, quoted.get(i + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, c)) if (' '..='~').contains(&c) => local.push(c),
                _ => return Err(AddressError::Syntax),
            },
            c if c == ' ' || (!c.is_control() && !c.is_whitespace()) => local.push(c),
            _ => return Err(AddressError::Syntax),
        }
    }
    Err(AddressError::Syntax)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_and_bad() {
        for good in
            ["a@b", "a.b+c@d.example", "\"a b\\\"c\"@d.test", "\"\"@d.test", "ü@müller.example", "a@[127.0.0.1]", "a@[IPv6:::1]"]
        {
            let address = Address::parse(good).unwrap();
            assert_eq!(Address::parse(&address.to_string()).unwrap(), address, "{good}");
        }
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            ".a@b",
            "a..b@c",
            "a.@b",
            "a b@c",
            "a@b c",
            "a@-b.c",
            "a@b..c",
            "a@[300.1.1.1]",
            "<a@b>",
            "\"a@b",
            "a@b\r\n",
            "a\0@b",
            "\"a\r\n\"@b",
            "a@b@c",
            "a@.b",
        ] {
            assert_eq!(Address::parse(bad), Err(AddressError::Syntax), "{bad:?}");
        }
    }

    #[test]
    fn limits() {
        let longest = "a".repeat(64);
        assert!(Address::parse(&format!("{longest}@b.test")).is_ok());
        assert_eq!(Address::parse(&format!("{longest}a@b.test")), Err(AddressError::TooLong));
    }

    #[test]
    fn ascii_forms() {
        assert_eq!(Address::parse("a@BÜCHER.example").unwrap().ascii().unwrap(), "a@xn--bcher-kva.example");
        assert_eq!(Address::parse("ä@b.example").unwrap().ascii(), None);
        assert_eq!(Address::parse("\"a b\"@B.Example").unwrap().ascii().unwrap(), "\"a b\"@b.example");
        assert!(!Address::parse("a@bücher.example").unwrap().is_ascii());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn any_local_part_comes_back(local in "[ -~äß]{0,40}") {
            let address = Address { local, domain: "here.test".to_owned() };
            prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
        }
        #[test]
        fn never_panics(text in "[\"\\\\@. a\\[\\]]{0,30}|\\PC{0,30}") {
            let _ = Address::parse(&text);
        }
    }
}
