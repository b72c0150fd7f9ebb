//! ENABLE (RFC 9051 §6.3.1, RFC 5161).
//!
//! ```abnf
//! enable      = "ENABLE" 1*(SP capability)
//! enable-data = "ENABLED" *(SP capability)
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::limits::LIST_ITEMS_MAX;
use smol_str::SmolStr;

/// What can be switched on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Extension {
    Imap4rev2,
    Utf8Accept,
    CondStore,
    QResync,
    /// RFC 9586
    UidOnly,
    /// Not known here: passed over without an error.
    Other(SmolStr),
}

impl Extension {
    const NAMES: [(&'static str, Extension); 5] = [
        ("IMAP4rev2", Extension::Imap4rev2),
        ("UTF8=ACCEPT", Extension::Utf8Accept),
        ("CONDSTORE", Extension::CondStore),
        ("QRESYNC", Extension::QResync),
        ("UIDONLY", Extension::UidOnly),
    ];
    /// By its capability name, in any case.
    pub fn by_name(word: &str) -> Extension {
        let known = Self::NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        known.map_or_else(|| Extension::Other(SmolStr::new(word)), |(_, extension)| extension.clone())
    }
    /// As on the wire.
    pub fn name(&self) -> &str {
        match self {
            Extension::Other(word) => word,
            known => Self::NAMES.iter().find(|(_, extension)| extension == known).map_or("", |(name, _)| name),
        }
    }
    /// After `ENABLE` or `ENABLED`.
    pub(crate) fn parse_words(c: &mut Cursor<'_>, empty: bool) -> Parsed<Vec<Extension>> {
        let mut words = Vec::new();
        while c.eat_space() {
            if words.len() >= LIST_ITEMS_MAX {
                return c.error("too many capabilities");
            }
            words.push(Extension::by_name(c.atom()?));
        }
        if words.is_empty() && !empty { c.error("a capability is missing") } else { Ok(words) }
    }
    pub(crate) fn encode_words(e: &mut Encoder, name: &str, extensions: &[Extension]) {
        e.raw(name);
        for extension in extensions {
            e.raw(" ");
            e.raw(extension.name());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_ways() {
        let mut c = Cursor::new(b" condstore UTF8=ACCEPT QRESYNC imap4REV2 X-FOO ");
        let words = Extension::parse_words(&mut c, false).unwrap();
        c.end().unwrap();
        let mut e = Encoder::server(Vec::new(), false);
        Extension::encode_words(&mut e, "ENABLED", &words);
        assert_eq!(e.bytes, b"ENABLED CONDSTORE UTF8=ACCEPT QRESYNC IMAP4rev2 X-FOO");
        assert!(Extension::parse_words(&mut Cursor::new(b""), false).is_err());
        assert!(Extension::parse_words(&mut Cursor::new(b""), true).unwrap().is_empty());
    }
}
