//! SORT (RFC 5256 §3, RFC 5957, RFC 5267 §3): a search whose answer has an order.
//!
//! ```abnf
//! sort           = ["UID" SP] "SORT" [SP "RETURN" SP "(" ... ")"] SP sort-criteria SP search-criteria
//! sort-criteria  = "(" sort-criterion *(SP sort-criterion) ")"
//! sort-criterion = ["REVERSE" SP] sort-key
//! search-criteria = charset 1*(SP search-key)
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::search::{self, Search};
use smol_str::SmolStr;

/// SORT and UID SORT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// First criterion first; never empty.
    pub criteria: Vec<SortCriterion>,
    /// What is sorted, with RETURN and the charset (which SORT always has).
    pub search: Search,
}

/// One criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SortCriterion {
    pub reverse: bool,
    pub key: SortKey,
}

/// `sort-key`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum SortKey {
    Arrival,
    Cc,
    Date,
    From,
    Size,
    Subject,
    To,
    /// RFC 5957
    DisplayFrom,
    /// RFC 5957
    DisplayTo,
    /// RFC 6203 §5: best first, with FUZZY keys.
    Relevancy,
}

impl SortKey {
    const NAMES: [(&'static str, SortKey); 10] = [
        ("ARRIVAL", SortKey::Arrival),
        ("CC", SortKey::Cc),
        ("DATE", SortKey::Date),
        ("FROM", SortKey::From),
        ("SIZE", SortKey::Size),
        ("SUBJECT", SortKey::Subject),
        ("TO", SortKey::To),
        ("DISPLAYFROM", SortKey::DisplayFrom),
        ("DISPLAYTO", SortKey::DisplayTo),
        ("RELEVANCY", SortKey::Relevancy),
    ];
    fn parse(c: &mut Cursor<'_>) -> Parsed<SortKey> {
        let word = c.atom()?;
        match Self::NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
            Some((_, key)) => Ok(*key),
            None => c.error("unknown sort key"),
        }
    }
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, key)| *key == self).map_or("", |(name, _)| name)
    }
}

impl SortCriterion {
    fn parse(c: &mut Cursor<'_>) -> Parsed<SortCriterion> {
        let reverse = c.eat_text("REVERSE ");
        if reverse {
            c.skip_spaces();
        }
        Ok(SortCriterion { reverse, key: SortKey::parse(c)? })
    }
    fn encode(self, e: &mut Encoder) {
        e.raw(if self.reverse { "REVERSE " } else { "" });
        e.raw(self.key.name());
    }
}

impl Sort {
    /// After `SORT` or `UID SORT`.
    pub(crate) fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Sort> {
        c.space()?;
        let returns = search::returns(c)?;
        let criteria = c.list(false, SortCriterion::parse)?;
        let (charset, keys) = charset_and_keys(c)?;
        Ok(Sort { criteria, search: Search { uid, returns, charset: Some(charset), keys } })
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(if self.search.uid { "UID SORT " } else { "SORT " });
        search::encode_returns(e, self.search.returns.as_deref());
        e.list(&self.criteria, |e, criterion| criterion.encode(e));
        encode_charset_and_keys(e, &self.search);
    }
}

/// `SP charset 1*(SP search-key)`: SORT and THREAD name their charset always.
pub(crate) fn charset_and_keys(c: &mut Cursor<'_>) -> Parsed<(SmolStr, Vec<search::SearchKey>)> {
    c.space()?;
    let charset = search::read_charset(c)?;
    c.space()?;
    Ok((charset, search::keys(c)?))
}

/// The same, written.
pub(crate) fn encode_charset_and_keys(e: &mut Encoder, search: &Search) {
    e.raw(" ");
    e.astring(search.charset.as_deref().unwrap_or("UTF-8").as_bytes());
    e.raw(" ");
    e.spaced(&search.keys, |e, key| key.encode(e));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let uid = c.eat_text("UID ");
        c.eat_text("SORT").then_some(())?;
        let sort = Sort::parse(&mut c, uid).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        sort.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for text in [
            "SORT (SUBJECT) UTF-8 SINCE 1-Feb-1994",
            "UID SORT (SUBJECT REVERSE DATE) UTF-8 ALL",
            "SORT RETURN (MIN COUNT) (REVERSE ARRIVAL DISPLAYFROM DISPLAYTO) US-ASCII UNSEEN NOT DELETED",
            "UID SORT RETURN (PARTIAL 1:500 UPDATE CONTEXT) (REVERSE RELEVANCY) UTF-8 FUZZY TEXT boat",
        ] {
            assert_eq!(read(text).unwrap(), text);
        }
        for bad in [
            "SORT",
            "SORT ()",
            "SORT () UTF-8 ALL",
            "SORT (DATE)",
            "SORT (DATE) UTF-8",
            "SORT (REVERSE) UTF-8 ALL",
            "SORT (X) UTF-8 ALL",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
