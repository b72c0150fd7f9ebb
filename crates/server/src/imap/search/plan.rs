//! A SEARCH made ready to run (RFC 9051 §6.4.4): keys resolved against the view, cheap ones first.
//!
//! A message is tested in three steps, each only when the one before left it open: the row alone, the header, all
//! octets. Invariant: the answer is that of testing every key on everything. Must not know: the store's calls, sockets.

use crate::imap::failure::Trouble;
use crate::imap::object_id::Named;
use crate::imap::session::Session;
use message::search::{self, Needle};
use smol_str::SmolStr;
use std::ops::Range;
use store::{Flags, MessageRow, UnixSecs};
use wire::imap::date::Date;
use wire::imap::search::SearchKey;

/// What a key needs to be answered; the cheaper one is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    Row,
    Header,
    Message,
}

/// One key, ready.
#[derive(Debug)]
pub(super) enum Test {
    Always(bool),
    /// Has this system flag.
    Flag(u8),
    Keyword(SmolStr),
    Recent,
    /// INTERNALDATE in this range.
    Dated(Range<UnixSecs>),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    /// Indexes into the view: ascending and apart.
    Among(Vec<Range<usize>>),
    /// The day the Date field says, in its own zone, in days since 1970.
    Sent(Range<i64>),
    /// Field name and needle.
    Header(String, Needle),
    Body(Needle),
    Text(Needle),
    Not(Box<Test>),
    Either(Box<Test>, Box<Test>),
    Every(Vec<Test>),
}

/// What is known of a message while it is tested.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) index: usize,
    pub(super) row: &'a MessageRow,
    pub(super) recent: bool,
    /// Header octets, once read.
    pub(super) header: Option<&'a [u8]>,
    /// All octets, once read.
    pub(super) message: Option<&'a [u8]>,
}

impl Test {
    /// The dearest thing this key may need.
    pub(super) fn cost(&self) -> Cost {
        match self {
            Test::Sent(_) | Test::Header(..) => Cost::Header,
            Test::Body(_) | Test::Text(_) => Cost::Message,
            Test::Not(inner) => inner.cost(),
            Test::Either(one, other) => one.cost().max(other.cost()),
            Test::Every(tests) => tests.iter().map(Test::cost).max().unwrap_or(Cost::Row),
            _ => Cost::Row,
        }
    }

    /// `None`: not to be told without reading more.
    pub(super) fn holds(&self, candidate: &Candidate<'_>) -> Option<bool> {
        let row = candidate.row;
        Some(match self {
            Test::Always(answer) => *answer,
            Test::Flag(bit) => row.flags.system & bit != 0,
            Test::Keyword(word) => has_keyword(&row.flags, word),
            Test::Recent => candidate.recent,
            Test::Dated(range) => range.contains(&row.internal_date_secs),
            Test::Larger(size) => u64::from(row.size_bytes) > *size,
            Test::Smaller(size) => u64::from(row.size_bytes) < *size,
            Test::ModSeq(mod_seq) => row.mod_seq.0 >= *mod_seq,
            Test::Among(ranges) => among(ranges, candidate.index),
            Test::Sent(days) => sent_day(candidate.header?).is_some_and(|day| days.contains(&day)),
            Test::Header(name, needle) => search::header_contains(candidate.header?, name, needle),
            Test::Body(needle) => search::body_contains(candidate.message?, needle),
            Test::Text(needle) => search::text_contains(candidate.message?, needle),
            Test::Not(inner) => !inner.holds(candidate)?,
            Test::Either(one, other) => return either(one.holds(candidate), || other.holds(candidate)),
            Test::Every(tests) => return every(tests, candidate),
        })
    }
}

fn either(one: Option<bool>, other: impl Fn() -> Option<bool>) -> Option<bool> {
    match (one, one == Some(true)) {
        (_, true) => Some(true),
        (Some(_), _) => other(),
        (None, _) => other().filter(|holds| *holds),
    }
}

fn every(tests: &[Test], candidate: &Candidate<'_>) -> Option<bool> {
    let mut open = false;
    for test in tests {
        match test.holds(candidate) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => open = true,
        }
    }
    (!open).then_some(true)
}

/// The day the Date field says, in its own zone, in days since 1970.
fn sent_day(header: &[u8]) -> Option<i64> {
    let date = message::header::first(header, "Date")?;
    message::date::parse_rfc_5322(&date.value()).map(|date| date.days())
}

fn has_keyword(flags: &Flags, word: &str) -> bool {
    flags.keywords.iter().any(|words| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

fn among(ranges: &[Range<usize>], index: usize) -> bool {
    let after = ranges.partition_point(|range| range.start <= index);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| range.contains(&index))
}

impl Session {
    /// All keys as one test.
    pub(super) fn plan(&self, keys: &[SearchKey], named: &Named, now_secs: UnixSecs) -> Result<Test, Trouble> {
        let mut tests = keys.iter().map(|key| self.plan_key(key, named, now_secs)).collect::<Result<Vec<_>, _>>()?;
        tests.sort_by_key(Test::cost);
        Ok(Test::Every(tests))
    }

    fn plan_key(&self, key: &SearchKey, named: &Named, now: UnixSecs) -> Result<Test, Trouble> {
        use SearchKey as Key;
        let not = |test: Test| Test::Not(Box::new(test));
        let header = |name: &str, text: &str| Test::Header(name.to_owned(), Needle::new(text));
        Ok(match key {
            Key::All => Test::Always(true),
            Key::Answered => Test::Flag(Flags::ANSWERED),
            Key::Deleted => Test::Flag(Flags::DELETED),
            Key::Draft => Test::Flag(Flags::DRAFT),
            Key::Flagged => Test::Flag(Flags::FLAGGED),
            Key::Seen => Test::Flag(Flags::SEEN),
            Key::Unanswered => not(Test::Flag(Flags::ANSWERED)),
            Key::Undeleted => not(Test::Flag(Flags::DELETED)),
            Key::Undraft => not(Test::Flag(Flags::DRAFT)),
            Key::Unflagged => not(Test::Flag(Flags::FLAGGED)),
            Key::Unseen => not(Test::Flag(Flags::SEEN)),
            Key::Keyword(word) => Test::Keyword(word.clone()),
            Key::Unkeyword(word) => not(Test::Keyword(word.clone())),
            Key::Recent => Test::Recent,
            Key::Old => not(Test::Recent),
            Key::New => Test::Every(vec![Test::Recent, not(Test::Flag(Flags::SEEN))]),
            Key::Bcc(text) => header("Bcc", text),
            Key::Cc(text) => header("Cc", text),
            Key::From(text) => header("From", text),
            Key::Subject(text) => header("Subject", text),
            Key::To(text) => header("To", text),
            Key::Header(name, text) => header(name, text),
            Key::Body(text) => Test::Body(Needle::new(text)),
            Key::Text(text) => Test::Text(Needle::new(text)),
            Key::Larger(size) => Test::Larger(*size),
            Key::Smaller(size) => Test::Smaller(*size),
            Key::ModSeq(mod_seq) => Test::ModSeq(*mod_seq),
            Key::Not(inner) => not(self.plan_key(inner, named, now)?),
            Key::Or(one, other) => {
                let (one, other) = (self.plan_key(one, named, now)?, self.plan_key(other, named, now)?);
                let (one, other) = if other.cost() < one.cost() { (other, one) } else { (one, other) };
                Test::Either(Box::new(one), Box::new(other))
            }
            Key::And(keys) => self.plan(keys, named, now)?,
            Key::Sequence(set) => Test::Among(self.resolve_loosely(set, false)?),
            Key::Uid(set) => Test::Among(self.resolve_loosely(set, true)?),
            Key::Older(secs) => Test::Dated(UnixSecs::MIN..now.saturating_sub(i64::from(*secs)).saturating_add(1)),
            Key::Younger(secs) => Test::Dated(now.saturating_sub(i64::from(*secs)).saturating_add(1)..UnixSecs::MAX),
            Key::Before(day) => Test::Dated(UnixSecs::MIN..day.unix_secs()),
            Key::On(day) => Test::Dated(day.unix_secs()..day.unix_secs() + DAY_SECS),
            Key::Since(day) => Test::Dated(day.unix_secs()..UnixSecs::MAX),
            Key::SentBefore(day) => Test::Sent(i64::MIN..day.days()),
            Key::SentOn(day) => Test::Sent(one_day(day)),
            Key::SentSince(day) => Test::Sent(day.days()..i64::MAX),
            Key::UidAfter(uid) => {
                let view = self.view()?;
                let after = uid.checked_add(1).map(|first| view.uid_range(first, u32::MAX));
                Test::Among(after.into_iter().collect())
            }
            Key::UidBefore(uid) => Test::Among(vec![self.view()?.uid_range(1, uid.saturating_sub(1))]),
            Key::EmailId(_) | Key::ThreadId(_) => {
                let found = named.iter().find(|(known, _)| known == key).map(|(_, indexes)| indexes.clone());
                Test::Among(found.unwrap_or_default())
            }
            // Read by the grammar, not announced: not offered yet.
            _ => return Err(Trouble::Bad("unknown search key")),
        })
    }
}

const DAY_SECS: i64 = 86_400;

fn one_day(day: &Date) -> Range<i64> {
    day.days()..day.days() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_valued_logic() {
        assert_eq!(either(Some(true), || None), Some(true));
        assert_eq!(either(None, || Some(true)), Some(true));
        assert_eq!(either(None, || Some(false)), None);
        assert_eq!(either(Some(false), || None), None);
        assert_eq!(either(Some(false), || Some(false)), Some(false));
    }

    #[test]
    fn among_ranges() {
        let ranges = [1..3, 5..6];
        let hits: Vec<usize> = (0..8).filter(|index| among(&ranges, *index)).collect();
        assert_eq!(hits, [1, 2, 5]);
        assert!(!among(&[], 0));
    }
}
