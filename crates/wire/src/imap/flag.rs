//! Flags and keywords (RFC 9051 §2.3.2).
//!
//! ```abnf
//! flag           = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword / flag-extension
//! flag-keyword   = "$MDNSent" / "$Forwarded" / "$Junk" / "$NotJunk" / "$Phishing" / atom
//! flag-extension = "\" atom
//! flag-perm      = flag / "\*"
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::string::is_astring_char;
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

impl Flag {
    /// `flag` or `flag-perm`. Keywords with `]` (not allowed, but seen) are taken.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Flag> {
        let system = c.eat(b'\\');
        if system && c.eat(b'*') {
            return Ok(Flag::Any);
        }
        let word = c.take_while(is_astring_char);
        let word = match std::str::from_utf8(word) {
            Ok(word) if !word.is_empty() => word,
            _ => return c.error("a flag is missing"),
        };
        if !system {
            return Ok(Flag::Keyword(SmolStr::new(word)));
        }
        Ok(match word.to_ascii_lowercase().as_str() {
            "seen" => Flag::Seen,
            "answered" => Flag::Answered,
            "flagged" => Flag::Flagged,
            "deleted" => Flag::Deleted,
            "draft" => Flag::Draft,
            "recent" => Flag::Recent,
            _ => Flag::Extension(SmolStr::new(word)),
        })
    }

    /// A flag that a client may set: neither `\Recent` nor `\*`.
    pub(crate) fn parse_settable(c: &mut Cursor<'_>) -> Parsed<Flag> {
        match Flag::parse(c)? {
            Flag::Recent => c.error("\\Recent cannot be set"),
            Flag::Any => c.error("\\* cannot be set"),
            flag => Ok(flag),
        }
    }

    /// As on the wire, for those without a free name.
    fn fixed(&self) -> Option<&'static str> {
        Some(match self {
            Flag::Seen => "\\Seen",
            Flag::Answered => "\\Answered",
            Flag::Flagged => "\\Flagged",
            Flag::Deleted => "\\Deleted",
            Flag::Draft => "\\Draft",
            Flag::Recent => "\\Recent",
            Flag::Any => "\\*",
            Flag::Keyword(_) | Flag::Extension(_) => return None,
        })
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        match self {
            Flag::Keyword(word) => e.raw(word),
            Flag::Extension(word) => {
                e.raw("\\");
                e.raw(word);
            }
            fixed => e.raw(fixed.fixed().unwrap_or_default()),
        }
    }
}

impl std::fmt::Display for Flag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Flag::Keyword(word) => f.write_str(word),
            Flag::Extension(word) => write!(f, "\\{word}"),
            fixed => f.write_str(fixed.fixed().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_ways() {
        for wire in
            ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "\\Recent", "\\*", "$MDNSent", "NonJunk", "\\Foo"]
        {
            let mut c = Cursor::new(wire.as_bytes());
            let flag = Flag::parse(&mut c).unwrap();
            assert!(c.at_end());
            let mut e = Encoder::server(Vec::new(), false);
            flag.encode(&mut e);
            assert_eq!(e.bytes, wire.as_bytes());
            assert_eq!(flag.to_string(), wire);
        }
        assert_eq!(Flag::parse(&mut Cursor::new(b"\\sEEn")).unwrap(), Flag::Seen);
        assert_eq!(Flag::parse(&mut Cursor::new(b"seen")).unwrap(), Flag::Keyword("seen".into()));
    }

    #[test]
    fn what_a_client_may_not_set() {
        for bad in ["\\Recent", "\\*", "\\", "", "(x", "\u{e4}"] {
            assert!(Flag::parse_settable(&mut Cursor::new(bad.as_bytes())).is_err(), "{bad}");
        }
    }
}
