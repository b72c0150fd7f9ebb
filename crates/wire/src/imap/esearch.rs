//! The ESEARCH response (RFC 9051 §7.3.4, RFC 4731, 5267, 6203, 7377, 9394) and the ESEARCH command (RFC 7377).
//!
//! ```abnf
//! esearch-response   = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)
//! search-correlator  = SP "(" ("TAG" SP tag-string / "MAILBOX" SP mailbox / "UIDVALIDITY" SP nz-number) *(SP ...) ")"
//! esearch            = "ESEARCH" [SP "IN" SP "(" filter-mailboxes *(SP filter-mailboxes) ")"] [search-return-opts] SP search-program
//! search-return-data = "MIN" SP nz-number / "MAX" SP nz-number / "ALL" SP sequence-set / "COUNT" SP number / "MODSEQ" SP ...
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::limits::SEQUENCE_SET_ELEMENTS_MAX;
use super::mailbox_name::MailboxName;
use super::notify::MailboxFilter;
use super::search::{PartialRange, Search};
use super::sequence_set::NumberSet;
use super::tag::Tag;

/// The ESEARCH command: a search of several mailboxes; its answers tell UIDs always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiSearch {
    /// `None`: the selected mailbox.
    pub sources: Option<Vec<MailboxFilter>>,
    /// What is searched for.
    pub search: Search,
}

impl MultiSearch {
    /// After `ESEARCH`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<MultiSearch> {
        let mut sources = None;
        if c.eat_text(" IN (") {
            c.at -= 1;
            let named = c.list(false, MailboxFilter::parse)?;
            // Of NOTIFY alone: what is selected is searched as it stands.
            if named.contains(&MailboxFilter::SelectedDelayed) {
                return c.error("selected-delayed is of NOTIFY alone (RFC 7377)");
            }
            sources = Some(named);
        }
        Ok(MultiSearch { sources, search: Search::parse(c, true)? })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("ESEARCH ");
        if let Some(sources) = &self.sources {
            e.raw("IN ");
            e.list(sources, |e, source| source.encode(e));
            e.raw(" ");
        }
        self.search.encode_program(e);
    }
}

/// A change of a search that is being watched (RFC 5267 §4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextChange {
    /// ADDTO, else REMOVEFROM.
    pub added: bool,
    /// Position in a sorted result where these begin, 0 without an order.
    pub position: u32,
    /// In the order of the result.
    pub numbers: Vec<u32>,
}

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
    /// ALL of a sorted result (RFC 5267 §3): in that order. Left out on the wire when empty.
    pub all_sorted: Option<Vec<u32>>,
    /// RFC 9394 §3.1: the window and what is in it, in order; an empty window is NIL.
    pub partial: Option<(PartialRange, Vec<u32>)>,
    pub changes: Vec<ContextChange>,
    /// RFC 6203 §4: a score of 1 to 100 for each result.
    pub relevancy: Option<Vec<u8>>,
    pub mod_seq: Option<u64>,
    /// Of MULTISEARCH.
    pub mailbox: Option<(MailboxName, u32)>,
}

/// Numbers in an order that need not be ascending: neighbours that ascend by one are joined.
fn encode_ordered(e: &mut Encoder, numbers: &[u32]) {
    let mut rest = numbers;
    let mut first = true;
    while let Some((&begin, _)) = rest.split_first() {
        let run = rest.iter().zip(begin..).take_while(|(number, expected)| *number == expected).count().max(1);
        let (taken, left) = rest.split_at(run);
        e.raw(if first { "" } else { "," });
        e.number(begin);
        if let ([_, .., last], true) = (taken, run > 1) {
            e.raw(":");
            e.number(*last);
        }
        (rest, first) = (left, false);
    }
}

/// A set as written, in its order; ranges are bounded by `SEQUENCE_SET_ELEMENTS_MAX` times a hundred numbers in all.
fn ordered(c: &mut Cursor<'_>) -> Parsed<Vec<u32>> {
    let mut numbers = Vec::new();
    loop {
        let first = c.nz_number()?;
        let last = if c.eat(b':') { c.nz_number()? } else { first };
        let count = first.abs_diff(last) as usize + 1;
        if numbers.len() + count > SEQUENCE_SET_ELEMENTS_MAX * 100 {
            return c.error("too many numbers");
        }
        if first <= last {
            numbers.extend(first..=last)
        } else {
            numbers.extend((last..=first).rev())
        }
        if !c.eat(b',') {
            return Ok(numbers);
        }
    }
}

impl ESearch {
    /// After `* ESEARCH`; data unknown here are passed over.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<ESearch> {
        let mut found = ESearch::default();
        if c.peek() == Some(b' ') && c.peek_at(1) == Some(b'(') {
            c.space()?;
            c.open()?;
            while c.peek() != Some(b')') {
                found.correlator(c)?;
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
                "ALL" => {
                    let before = c.clone();
                    let numbers = ordered(c)?;
                    if numbers.is_sorted() {
                        *c = before;
                        found.all = Some(NumberSet::parse(c)?);
                    } else {
                        found.all_sorted = Some(numbers);
                    }
                }
                "PARTIAL" => {
                    c.open()?;
                    let range = PartialRange::parse(c)?;
                    c.space()?;
                    let numbers = if c.eat_nil() { Vec::new() } else { ordered(c)? };
                    c.close()?;
                    found.partial = Some((range, numbers));
                }
                "ADDTO" | "REMOVEFROM" => found.parse_changes(c, word == "ADDTO")?,
                "RELEVANCY" => {
                    found.relevancy = Some(c.list(false, |c| {
                        let score = c.number()?;
                        u8::try_from(score).or_else(|_| c.error("a score is 1 to 100"))
                    })?);
                }
                _ => {
                    c.skip_value()?;
                }
            }
        }
        Ok(found)
    }

    fn correlator(&mut self, c: &mut Cursor<'_>) -> Parsed<()> {
        let name = c.astring_text()?.to_ascii_uppercase();
        c.space()?;
        match name.as_str() {
            "TAG" => self.tag = Tag::new(&c.astring_text()?),
            "MAILBOX" => {
                let mailbox = MailboxName::parse_tolerant(c)?;
                let uid_validity = self.mailbox.as_ref().map_or(0, |(_, uid_validity)| *uid_validity);
                self.mailbox = Some((mailbox, uid_validity));
            }
            "UIDVALIDITY" => {
                let uid_validity = c.nz_number()?;
                match &mut self.mailbox {
                    Some((_, known)) => *known = uid_validity,
                    None => self.mailbox = Some((MailboxName::new("INBOX"), uid_validity)),
                }
            }
            _ => {
                c.skip_value()?;
            }
        }
        Ok(())
    }

    /// `"(" context-position SP sequence-set *(SP context-position SP sequence-set) ")"`
    fn parse_changes(&mut self, c: &mut Cursor<'_>, added: bool) -> Parsed<()> {
        self.changes.extend(c.list(false, |c| {
            let position = c.number()?;
            c.space()?;
            Ok(ContextChange { added, position, numbers: ordered(c)? })
        })?);
        Ok(())
    }

    fn encode_correlator(&self, e: &mut Encoder) {
        if self.tag.is_none() && self.mailbox.is_none() {
            return;
        }
        e.raw(" (");
        if let Some(tag) = &self.tag {
            e.raw("TAG ");
            e.string(tag.as_str().as_bytes());
        }
        if let Some((mailbox, uid_validity)) = &self.mailbox {
            e.raw(if self.tag.is_some() { " MAILBOX " } else { "MAILBOX " });
            mailbox.encode(e);
            e.raw(format!(" UIDVALIDITY {uid_validity}"));
        }
        e.raw(")");
    }

    fn encode_extensions(&self, e: &mut Encoder) {
        if let Some(all) = self.all_sorted.as_ref().filter(|all| !all.is_empty()) {
            e.raw(" ALL ");
            encode_ordered(e, all);
        }
        if let Some((range, numbers)) = &self.partial {
            e.raw(" PARTIAL (");
            range.encode(e);
            e.raw(" ");
            if numbers.is_empty() {
                e.raw("NIL")
            } else {
                encode_ordered(e, numbers)
            }
            e.raw(")");
        }
        for change in &self.changes {
            e.raw(if change.added { " ADDTO (" } else { " REMOVEFROM (" });
            e.raw(format!("{} ", change.position));
            encode_ordered(e, &change.numbers);
            e.raw(")");
        }
        if let Some(scores) = self.relevancy.as_ref().filter(|scores| !scores.is_empty()) {
            e.raw(" RELEVANCY ");
            e.list(scores, |e, score| e.number(*score));
        }
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("ESEARCH");
        self.encode_correlator(e);
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
        self.encode_extensions(e);
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
    fn the_command_both_ways() {
        for text in [
            "ESEARCH IN (mailboxes folder1 subtree folder2) UNSEEN",
            "ESEARCH IN (personal subtree-one (a b)) RETURN (COUNT) SUBJECT x",
            "ESEARCH RETURN (MIN) ALL",
        ] {
            let mut c = Cursor::new(text.as_bytes());
            assert!(c.eat_text("ESEARCH"));
            let search = MultiSearch::parse(&mut c).unwrap();
            c.end().unwrap();
            let mut e = Encoder::server(Vec::new(), false);
            search.encode(&mut e);
            assert_eq!(String::from_utf8(e.bytes).unwrap(), text);
        }
    }

    #[test]
    fn both_ways() {
        for text in [
            "ESEARCH (TAG \"a]567\") UID COUNT 17 ALL 4:18,21,28",
            "ESEARCH (TAG \"a\") MIN 2 MAX 47 COUNT 0 MODSEQ 1236",
            "ESEARCH",
            "ESEARCH (TAG \"s\") UID ALL 9:11,3,7:8",
            "ESEARCH (TAG \"s\") UID PARTIAL (-1:-100 100:70,5)",
            "ESEARCH (TAG \"s\") UID PARTIAL (23500:24000 NIL) COUNT 5",
            "ESEARCH (TAG \"B01\") UID ADDTO (0 32768:32769)",
            "ESEARCH (TAG \"B01\") UID REMOVEFROM (0 32768) ADDTO (5 7)",
            "ESEARCH (TAG \"t\" MAILBOX folder1 UIDVALIDITY 1) UID ALL 4001,4003,4005,4007,4009",
            "ESEARCH (TAG \"f\") ALL 1,5,10 RELEVANCY (4 99 42)",
        ] {
            let again = read(text).unwrap();
            // A descending run is written number by number; COUNT comes first.
            assert_eq!(read(&again).unwrap(), again, "{text}");
            if !text.contains("100:70") && !text.contains("NIL) COUNT") {
                assert_eq!(again, text);
            }
        }
        assert_eq!(read("ESEARCH (tag a) uid X-NEW (1 2) MAX 3 ").unwrap(), "ESEARCH (TAG \"a\") UID MAX 3");
        assert_eq!(read("ESEARCH ALL 1:*"), None);
        let mut e = Encoder::server(Vec::new(), false);
        ESearch { all: Some(NumberSet::new()), ..ESearch::default() }.encode(&mut e);
        assert_eq!(e.bytes, b"ESEARCH");
    }
}
