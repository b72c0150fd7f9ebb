//! A query made ready: cheap tests first, and those that may need reading numbered, so that an index can answer for them.
//!
//! A message is tested in steps, each only when the one before left it open: its row and what an index knows of it, its facts,
//! its header, all its octets. Invariant: the answer is that of testing everything on everything. Must not know: files.

use crate::attachment_text;
use crate::index::{Bits, Fields, Verdict, field_has, place_of};
use crate::query::Query;
use message::search::{self, Needle};
use message::{Facts, file_names};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::ops::Range;
use store::{EmailId, Flags, MailboxId, MessageRow, UnixSecs};

/// A query, ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    test: Test,
    /// By number.
    pub(crate) leaves: Vec<Leaf>,
}

/// What needs more than a row.
#[derive(Debug, Clone)]
pub(crate) enum Leaf {
    Sent(Range<i64>),
    HasAttachment,
    FileName(Vec<Needle>),
    Header(String, Needle),
    Body(Needle),
    Text(Needle),
    Attachment(Needle),
    BodyOrAttachment(Needle),
    TextOrAttachment(Needle),
}

#[derive(Debug)]
enum Test {
    Always(bool),
    Flag(u8),
    Keyword(SmolStr),
    Arrived(Range<UnixSecs>),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    Uids(Range<u32>),
    Among(Vec<Range<usize>>),
    Mailboxes(BTreeSet<MailboxId>),
    Emails(BTreeSet<EmailId>),
    Leaf(usize, Cost),
    Not(Box<Test>),
    Any(Vec<Test>),
    All(Vec<Test>),
}

/// What is needed to answer; the cheaper one is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cost {
    Row,
    Facts,
    Header,
    Message,
}

/// What is known of a message while it is tested.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) index: usize,
    pub(crate) mailbox: MailboxId,
    pub(crate) row: &'a MessageRow,
    /// What an index says of the leaf of that number.
    pub(crate) known: &'a dyn Fn(usize) -> Option<bool>,
    /// Once read.
    pub(crate) facts: Option<&'a Facts>,
    /// Header octets, once read.
    pub(crate) header: Option<&'a [u8]>,
    /// All octets, once read.
    pub(crate) message: Option<&'a [u8]>,
}

impl Leaf {
    fn cost(&self) -> Cost {
        match self {
            Leaf::Sent(_) | Leaf::HasAttachment | Leaf::FileName(_) => Cost::Facts,
            Leaf::Header(..) => Cost::Header,
            Leaf::Body(_) | Leaf::Text(_) | Leaf::Attachment(_) => Cost::Message,
            Leaf::BodyOrAttachment(_) | Leaf::TextOrAttachment(_) => Cost::Message,
        }
    }

    /// Whether the texts of some fields tell all that it asks of a message.
    pub(crate) fn is_of_fields(&self) -> bool {
        matches!(self, Leaf::Header(name, needle) if place_of(name, needle).is_some())
    }

    /// By the texts of some fields.
    pub(crate) fn holds_by(&self, fields: &Fields) -> Option<bool> {
        match self {
            Leaf::Header(name, needle) => field_has(fields.get(place_of(name, needle)?)?.as_deref(), needle),
            _ => None,
        }
    }

    fn holds(&self, candidate: &Candidate<'_>) -> Option<bool> {
        Some(match self {
            Leaf::Sent(days) => candidate.facts?.date_days.is_some_and(|day| days.contains(&day)),
            Leaf::HasAttachment => candidate.facts?.has_attachment,
            Leaf::FileName(needles) => has_file(candidate.facts?, needles),
            Leaf::Header(name, needle) => search::header_contains(candidate.header?, name, needle),
            Leaf::Body(needle) => search::body_contains(candidate.message?, needle),
            Leaf::Text(needle) => search::text_contains(candidate.message?, needle),
            Leaf::Attachment(needle) => in_attachment(&message::parse(candidate.message?), needle),
            Leaf::BodyOrAttachment(needle) => with_attachments(candidate.message?, needle, false),
            Leaf::TextOrAttachment(needle) => with_attachments(candidate.message?, needle, true),
        })
    }
}

fn has_file(facts: &Facts, needles: &[Needle]) -> bool {
    file_names::of(&facts.body_structure).iter().any(|name| needles.iter().all(|needle| needle.is_in(name)))
}

/// Parsed once for both: most messages that are read have the words nowhere.
fn with_attachments(octets: &[u8], needle: &Needle, headers: bool) -> bool {
    let message = message::parse(octets);
    search::parsed_contains(&message, needle, headers) || in_attachment(&message, needle)
}

fn in_attachment(message: &message::Message<'_>, needle: &Needle) -> bool {
    let mut found = false;
    attachment_text::each(message, |text| {
        found = needle.is_in(text);
        !found
    });
    found
}

impl Plan {
    /// Of a query.
    pub(crate) fn of(query: Query) -> Plan {
        let mut leaves = Vec::new();
        let test = Test::of(query, &mut leaves);
        Plan { test, leaves }
    }

    /// The answer that holds for every message, where there is one: SORT and THREAD are mostly asked of all.
    pub(crate) fn settled(&self) -> Option<bool> {
        match &self.test {
            Test::Always(answer) => Some(*answer),
            Test::All(tests) => tests.iter().all(|test| matches!(test, Test::Always(true))).then_some(true),
            _ => None,
        }
    }

    /// The dearest thing it may need.
    pub(crate) fn cost(&self) -> Cost {
        self.test.cost()
    }

    /// Does any part of it need the facts?
    pub(crate) fn wants_facts(&self) -> bool {
        self.leaves.iter().any(|leaf| leaf.cost() == Cost::Facts)
    }

    /// Does any part of it ask for a field whose text is not kept?
    pub(crate) fn wants_header(&self) -> bool {
        self.leaves.iter().any(|leaf| leaf.cost() == Cost::Header && !leaf.is_of_fields())
    }

    /// Documents that it may hold of, by what an index says of each leaf; `None`: it rules out none.
    pub(crate) fn may(&self, verdicts: &[Verdict]) -> Option<Bits> {
        self.test.may(verdicts)
    }

    /// `None`: not to be told without reading more.
    pub(crate) fn holds(&self, candidate: &Candidate<'_>) -> Option<bool> {
        self.test.holds(&self.leaves, candidate)
    }
}

impl Test {
    fn of(query: Query, leaves: &mut Vec<Leaf>) -> Test {
        let mut leaf = |leaf: Leaf| {
            let cost = leaf.cost();
            leaves.push(leaf);
            Test::Leaf(leaves.len() - 1, cost)
        };
        match query {
            Query::Always(answer) => Test::Always(answer),
            Query::Flag(bit) => Test::Flag(bit),
            Query::Keyword(word) => Test::Keyword(word),
            Query::Arrived(range) => Test::Arrived(range),
            Query::Larger(size) => Test::Larger(size),
            Query::Smaller(size) => Test::Smaller(size),
            Query::ModSeq(mod_seq) => Test::ModSeq(mod_seq),
            Query::Uids(range) => Test::Uids(range),
            Query::Among(ranges) => Test::Among(ranges),
            Query::Mailboxes(mailboxes) => Test::Mailboxes(mailboxes),
            Query::Emails(emails) => Test::Emails(emails),
            Query::Sent(days) => leaf(Leaf::Sent(days)),
            Query::HasAttachment => leaf(Leaf::HasAttachment),
            Query::FileName(needles) => leaf(Leaf::FileName(needles)),
            Query::Header(name, needle) => leaf(Leaf::Header(name, needle)),
            Query::Body(needle) => leaf(Leaf::Body(needle)),
            Query::Text(needle) => leaf(Leaf::Text(needle)),
            Query::Attachment(needle) => leaf(Leaf::Attachment(needle)),
            Query::BodyOrAttachment(needle) => leaf(Leaf::BodyOrAttachment(needle)),
            Query::TextOrAttachment(needle) => leaf(Leaf::TextOrAttachment(needle)),
            Query::Not(inner) => Test::Not(Box::new(Test::of(*inner, leaves))),
            Query::Any(queries) => Test::Any(Test::each(queries, leaves)),
            Query::All(queries) => Test::All(Test::each(queries, leaves)),
        }
    }

    fn each(queries: Vec<Query>, leaves: &mut Vec<Leaf>) -> Vec<Test> {
        let mut tests: Vec<Test> = queries.into_iter().map(|query| Test::of(query, leaves)).collect();
        tests.sort_by_key(Test::cost);
        tests
    }

    fn cost(&self) -> Cost {
        match self {
            Test::Leaf(_, cost) => *cost,
            Test::Not(inner) => inner.cost(),
            Test::Any(tests) | Test::All(tests) => tests.iter().map(Test::cost).max().unwrap_or(Cost::Row),
            _ => Cost::Row,
        }
    }

    fn may(&self, verdicts: &[Verdict]) -> Option<Bits> {
        match self {
            Test::Leaf(number, _) => verdicts.get(*number).map(|verdict| verdict.may.clone()),
            Test::All(tests) => tests.iter().filter_map(|test| test.may(verdicts)).reduce(|mut all, one| {
                all.keep(&one);
                all
            }),
            Test::Any(tests) => tests.iter().map(|test| test.may(verdicts)).reduce(|some, one| {
                let mut some = some?;
                some.add(&one?);
                Some(some)
            })?,
            _ => None,
        }
    }

    fn holds(&self, leaves: &[Leaf], candidate: &Candidate<'_>) -> Option<bool> {
        let row = candidate.row;
        Some(match self {
            Test::Always(answer) => *answer,
            Test::Flag(bit) => row.flags.system & bit != 0,
            Test::Keyword(word) => has_keyword(&row.flags, word),
            Test::Arrived(range) => range.contains(&row.internal_date_secs),
            Test::Larger(size) => u64::from(row.size_bytes) > *size,
            Test::Smaller(size) => u64::from(row.size_bytes) < *size,
            Test::ModSeq(mod_seq) => row.mod_seq.0 >= *mod_seq,
            Test::Uids(range) => range.contains(&row.uid.0),
            Test::Among(ranges) => among(ranges, candidate.index),
            Test::Mailboxes(mailboxes) => mailboxes.contains(&candidate.mailbox),
            Test::Emails(emails) => emails.contains(&row.email),
            Test::Leaf(number, _) => match (candidate.known)(*number) {
                None => leaves.get(*number)?.holds(candidate)?,
                Some(known) => known,
            },
            Test::Not(inner) => !inner.holds(leaves, candidate)?,
            // One decides alone; else all must be told.
            Test::Any(tests) => return decided(tests, true, leaves, candidate),
            Test::All(tests) => return decided(tests, false, leaves, candidate),
        })
    }
}

fn decided(tests: &[Test], decisive: bool, leaves: &[Leaf], candidate: &Candidate<'_>) -> Option<bool> {
    let mut open = false;
    for test in tests {
        match test.holds(leaves, candidate) {
            Some(answer) if answer == decisive => return Some(decisive),
            Some(_) => {}
            None => open = true,
        }
    }
    (!open).then_some(!decisive)
}

fn has_keyword(flags: &Flags, word: &str) -> bool {
    flags.keywords.iter().any(|words| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

fn among(ranges: &[Range<usize>], index: usize) -> bool {
    let after = ranges.partition_point(|range| range.start <= index);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| range.contains(&index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{ModSeq, Uid};

    #[test]
    fn three_valued_logic() {
        let row = MessageRow {
            uid: Uid(1),
            email: EmailId(1),
            mod_seq: ModSeq(1),
            flags: Flags::default(),
            internal_date_secs: 0,
            size_bytes: 1,
        };
        let unknown = |_: usize| None;
        let (yes, no, open) = (Query::Always(true), Query::Always(false), Query::Text(Needle::new("x")));
        let holds = |query: Query, known: &dyn Fn(usize) -> Option<bool>| {
            let bare = Candidate { index: 0, mailbox: MailboxId(1), row: &row, known, facts: None, header: None, message: None };
            Plan::of(query).holds(&bare)
        };
        assert_eq!(holds(Query::Any(vec![open.clone(), yes.clone()]), &unknown), Some(true));
        assert_eq!(holds(Query::Any(vec![open.clone(), no.clone()]), &unknown), None);
        assert_eq!(holds(Query::Any(vec![]), &unknown), Some(false));
        assert_eq!(holds(Query::All(vec![open.clone(), no.clone()]), &unknown), Some(false));
        assert_eq!(holds(Query::All(vec![open.clone(), yes.clone()]), &unknown), None);
        assert_eq!(holds(Query::All(vec![]), &unknown), Some(true));
        assert_eq!(holds(open.clone().not(), &unknown), None);
        assert_eq!(holds(no.not(), &unknown), Some(true));
        assert_eq!(holds(Query::All(vec![open.clone(), yes]), &|_| Some(false)), Some(false));
        assert_eq!(holds(open.not(), &|_| Some(false)), Some(true));
    }

    #[test]
    fn only_what_no_part_rules_out_is_left() {
        let of = |docs: &[usize]| {
            let mut bits = Bits::none(4);
            docs.iter().for_each(|doc| bits.set(*doc));
            bits
        };
        let verdicts = [[0, 1], [1, 2]].map(|docs| Verdict { may: of(&docs), does: Bits::none(4) });
        let (one, other) = (Query::Text(Needle::new("x")), Query::Text(Needle::new("y")));
        let flagged = Query::Flag(Flags::SEEN);
        let may = |query: Query| Plan::of(query).may(&verdicts);
        assert_eq!(may(Query::All(vec![one.clone(), flagged.clone(), other.clone()])), Some(of(&[1])));
        assert_eq!(may(Query::Any(vec![one.clone(), other.clone()])), Some(of(&[0, 1, 2])));
        assert_eq!(may(Query::Any(vec![one.clone(), flagged.clone()])), None);
        assert_eq!(may(Query::All(vec![flagged.clone()])), None);
        assert_eq!(may(Query::All(vec![Query::Any(vec![flagged.clone(), one.clone()]), other])), Some(of(&[1, 2])));
        assert_eq!((may(one.not()), may(flagged)), (None, None));
    }

    #[test]
    fn among_ranges() {
        let ranges = [1..3, 5..6];
        let hits: Vec<usize> = (0..8).filter(|index| among(&ranges, *index)).collect();
        assert_eq!(hits, [1, 2, 5]);
        assert!(!among(&[], 0));
    }
}
