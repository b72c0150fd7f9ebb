//! What is looked for, as a value: and/or/not over what can be asked of one message.
//!
//! A message is tested in steps, each only when the one before left it open: its row, its facts, its header, all its
//! octets. Invariant: the answer is that of testing everything on everything. Must not know: protocols, the store's calls.

use message::Facts;
use message::search::{self, Needle};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::ops::Range;
use store::{EmailId, Flags, MailboxId, MessageRow, UnixSecs};

/// What is looked for.
///
/// Texts are found decoded, in any case, as substrings ([`Needle`]).
#[derive(Debug, Clone)]
pub enum Query {
    /// Every message (`true`) or none.
    Always(bool),
    /// Has this system flag (`Flags::SEEN` ...).
    Flag(u8),
    /// Has this keyword, in any case.
    Keyword(SmolStr),
    /// INTERNALDATE in this range.
    Arrived(Range<UnixSecs>),
    /// More octets than this.
    Larger(u64),
    /// Fewer octets than this.
    Smaller(u64),
    /// Mod-sequence at least this.
    ModSeq(u64),
    /// UID in this range.
    Uids(Range<u32>),
    /// Places in the rows that are searched: ascending and apart. Only for a search of one mailbox.
    Among(Vec<Range<usize>>),
    /// In one of these mailboxes.
    Mailboxes(BTreeSet<MailboxId>),
    /// One of these.
    Emails(BTreeSet<EmailId>),
    /// The day the Date field says, in its own zone, in days since 1970 (RFC 9051 §6.4.4 SENTSINCE ...).
    Sent(Range<i64>),
    /// A person would say that it has an attachment.
    HasAttachment,
    /// A field of that name whose decoded text has the needle; an empty needle: there is such a field.
    Header(String, Needle),
    /// In the text of the message or of messages inside, or in the header of one inside.
    Body(Needle),
    /// In the body, or in any header.
    Text(Needle),
    /// Not this.
    Not(Box<Query>),
    /// One of these at least; none: no message.
    Any(Vec<Query>),
    /// All of these; none: every message.
    All(Vec<Query>),
}

/// What a query needs to be answered; the cheaper one is less.
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
    /// Once read.
    pub(crate) facts: Option<&'a Facts>,
    /// Header octets, once read.
    pub(crate) header: Option<&'a [u8]>,
    /// All octets, once read.
    pub(crate) message: Option<&'a [u8]>,
}

impl Query {
    /// Not this.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub fn not(self) -> Query {
        Query::Not(Box::new(self))
    }

    /// The needle stands in a field of that name.
    pub fn header(name: &str, text: &str) -> Query {
        Query::Header(name.to_owned(), Needle::new(text))
    }

    /// From, To, Cc, Bcc or Subject has the text, or the body (RFC 8621 §4.4.1 `text`).
    pub fn anywhere(text: &str) -> Query {
        Query::Text(Needle::new(text))
    }

    /// Every phrase of what a person typed (see [`phrases`]) by `test`.
    pub fn every_phrase(typed: &str, test: impl Fn(&str) -> Query) -> Query {
        Query::All(phrases(typed).iter().map(|phrase| test(phrase)).collect())
    }

    /// The dearest thing this may need.
    pub(crate) fn cost(&self) -> Cost {
        match self {
            Query::Sent(_) | Query::HasAttachment => Cost::Facts,
            Query::Header(..) => Cost::Header,
            Query::Body(_) | Query::Text(_) => Cost::Message,
            Query::Not(inner) => inner.cost(),
            Query::Any(queries) | Query::All(queries) => queries.iter().map(Query::cost).max().unwrap_or(Cost::Row),
            _ => Cost::Row,
        }
    }

    /// Does any part of it need the facts?
    pub(crate) fn wants_facts(&self) -> bool {
        match self {
            Query::Sent(_) | Query::HasAttachment => true,
            Query::Not(inner) => inner.wants_facts(),
            Query::Any(queries) | Query::All(queries) => queries.iter().any(Query::wants_facts),
            _ => false,
        }
    }

    /// The same, with the cheap parts first.
    pub(crate) fn ordered(mut self) -> Query {
        match &mut self {
            Query::Not(inner) => {
                let query = std::mem::replace(&mut **inner, Query::Always(true));
                **inner = query.ordered();
            }
            Query::Any(queries) | Query::All(queries) => {
                let parts = std::mem::take(queries);
                *queries = parts.into_iter().map(Query::ordered).collect();
                queries.sort_by_key(Query::cost);
            }
            _ => {}
        }
        self
    }

    /// `None`: not to be told without reading more.
    pub(crate) fn holds(&self, candidate: &Candidate<'_>) -> Option<bool> {
        let row = candidate.row;
        Some(match self {
            Query::Always(answer) => *answer,
            Query::Flag(bit) => row.flags.system & bit != 0,
            Query::Keyword(word) => has_keyword(&row.flags, word),
            Query::Arrived(range) => range.contains(&row.internal_date_secs),
            Query::Larger(size) => u64::from(row.size_bytes) > *size,
            Query::Smaller(size) => u64::from(row.size_bytes) < *size,
            Query::ModSeq(mod_seq) => row.mod_seq.0 >= *mod_seq,
            Query::Uids(range) => range.contains(&row.uid.0),
            Query::Among(ranges) => among(ranges, candidate.index),
            Query::Mailboxes(mailboxes) => mailboxes.contains(&candidate.mailbox),
            Query::Emails(emails) => emails.contains(&row.email),
            Query::Sent(days) => candidate.facts?.date_days.is_some_and(|day| days.contains(&day)),
            Query::HasAttachment => candidate.facts?.has_attachment,
            Query::Header(name, needle) => search::header_contains(candidate.header?, name, needle),
            Query::Body(needle) => search::body_contains(candidate.message?, needle),
            Query::Text(needle) => search::text_contains(candidate.message?, needle),
            Query::Not(inner) => !inner.holds(candidate)?,
            Query::Any(queries) => return any(queries, candidate),
            Query::All(queries) => return all(queries, candidate),
        })
    }
}

fn any(queries: &[Query], candidate: &Candidate<'_>) -> Option<bool> {
    let mut open = false;
    for query in queries {
        match query.holds(candidate) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => open = true,
        }
    }
    (!open).then_some(false)
}

fn all(queries: &[Query], candidate: &Candidate<'_>) -> Option<bool> {
    let mut open = false;
    for query in queries {
        match query.holds(candidate) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => open = true,
        }
    }
    (!open).then_some(true)
}

fn has_keyword(flags: &Flags, word: &str) -> bool {
    flags.keywords.iter().any(|words| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

fn among(ranges: &[Range<usize>], index: usize) -> bool {
    let after = ranges.partition_point(|range| range.start <= index);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| range.contains(&index))
}

/// What a person typed as phrases: words, and what stands in quotation marks as one (RFC 8621 §4.4.1).
///
/// ```
/// assert_eq!(search::phrases("red \"sea shells\" 'a b' it's \"open"), ["red", "sea shells", "a b", "it's", "open"]);
/// assert_eq!(search::phrases(r#""say \"hi\" now""#), [r#"say "hi" now"#]);
/// ```
pub fn phrases(typed: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = typed.chars().peekable();
    while let Some(first) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut phrase = String::new();
        if matches!(first, '"' | '\'') {
            while let Some(c) = chars.next() {
                match c {
                    '\\' => phrase.extend(chars.next()),
                    c if c == first => break,
                    c => phrase.push(c),
                }
            }
        } else {
            phrase.push(first);
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                phrase.push(c);
            }
        }
        if !phrase.trim().is_empty() {
            found.push(phrase);
        }
    }
    found
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
        let bare = Candidate { index: 0, mailbox: MailboxId(1), row: &row, facts: None, header: None, message: None };
        let (yes, no, open) = (Query::Always(true), Query::Always(false), Query::Text(Needle::new("x")));
        let holds = |query: Query| query.ordered().holds(&bare);
        assert_eq!(holds(Query::Any(vec![open.clone(), yes.clone()])), Some(true));
        assert_eq!(holds(Query::Any(vec![open.clone(), no.clone()])), None);
        assert_eq!(holds(Query::Any(vec![])), Some(false));
        assert_eq!(holds(Query::All(vec![open.clone(), no.clone()])), Some(false));
        assert_eq!(holds(Query::All(vec![open.clone(), yes.clone()])), None);
        assert_eq!(holds(Query::All(vec![])), Some(true));
        assert_eq!(holds(open.not()), None);
        assert_eq!(holds(no.not()), Some(true));
    }

    #[test]
    fn among_ranges() {
        let ranges = [1..3, 5..6];
        let hits: Vec<usize> = (0..8).filter(|index| among(&ranges, *index)).collect();
        assert_eq!(hits, [1, 2, 5]);
        assert!(!among(&[], 0));
    }
}
