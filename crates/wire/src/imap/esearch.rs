//! The ESEARCH response (RFC 9051 §7.3.4, RFC 4731).
//!
//! ```abnf
//! esearch-response   = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)
//! search-correlator  = SP "(" "TAG" SP tag-string ")"
//! search-return-data = "MIN" SP nz-number / "MAX" SP nz-number / "ALL" SP sequence-set / "COUNT" SP number / "MODSEQ" SP ...
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::sequence_set::NumberSet;
use super::tag::Tag;

/// `* ESEARCH (TAG "a1") UID ...`; the tag is always quoted (lessons C5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct ESearch {
    pub tag: Option<Tag>,
    pub uid: bool,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub count: Option<u32>,
    /// Left out on the wire when empty.
    pub all: Option<NumberSet>,
    pub mod_seq: Option<u64>,
}

impl ESearch {
    /// After `* ESEARCH`; data unknown here are passed over.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<ESearch> {
        let mut found = ESearch::default();
        if c.peek() == Some(b' ') && c.peek_at(1) == Some(b'(') {
            c.space()?;
            c.open()?;
            while c.peek() != Some(b')') {
                let name = c.astring_text()?;
                c.space()?;
                let value = c.astring_text()?;
                if name.eq_ignore_ascii_case("TAG") {
                    found.tag = Tag::new(&value);
                }
                c.skip_spaces();
            }
            c.close()?;
        }
        while c.eat_space() {
            let word = c.atom()?.to_ascii_uppercase();
            if word == "UID" {
                found.uid = true;
                continue;
            }
            c.space()?;
            match word.as_str() {
                "MIN" => found.min = Some(c.number()?),
                "MAX" => found.max = Some(c.number()?),
                "COUNT" => found.count = Some(c.number()?),
                "MODSEQ" => found.mod_seq = Some(c.mod_seq()?),
                "ALL" => found.all = Some(NumberSet::parse(c)?),
                _ => {
                    c.skip_value()?;
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("ESEARCH");
        if let Some(tag) = &self.tag {
            e.raw(" (TAG ");
            e.string(tag.as_str().as_bytes());
            e.raw(")");
        }
        if self.uid {
            e.raw(" UID");
        }
        for (name, value) in [(" MIN ", self.min), (" MAX ", self.max), (" COUNT ", self.count)] {
            if let Some(value) = value {
                e.raw(name);
                e.number(value);
            }
        }
        if let Some(all) = self.all.as_ref().filter(|all| !all.is_empty()) {
            e.raw(" ALL ");
            all.encode(&mut e.bytes);
        }
        if let Some(mod_seq) = self.mod_seq {
            e.raw(" MODSEQ ");
            e.number(mod_seq);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        c.eat_text("ESEARCH").then_some(())?;
        let found = ESearch::parse(&mut c).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        found.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for text in [
            "ESEARCH (TAG \"a]567\") UID COUNT 17 ALL 4:18,21,28",
            "ESEARCH (TAG \"a\") MIN 2 MAX 47 COUNT 0 MODSEQ 1236",
            "ESEARCH",
        ] {
            assert_eq!(read(text).unwrap(), text);
        }
        assert_eq!(read("ESEARCH (tag a) uid X-NEW (1 2) MAX 3 ").unwrap(), "ESEARCH (TAG \"a\") UID MAX 3");
        assert_eq!(read("ESEARCH ALL 1:*"), None);
        let mut e = Encoder::server(Vec::new(), false);
        ESearch { all: Some(NumberSet::new()), ..ESearch::default() }.encode(&mut e);
        assert_eq!(e.bytes, b"ESEARCH");
    }
}
