//! THREAD (RFC 5256 §3, §4): messages by conversation.
//!
//! ```abnf
//! thread        = ["UID" SP] "THREAD" SP thread-alg SP search-criteria
//! thread-data   = "THREAD" [SP 1*thread-list]
//! thread-list   = "(" (thread-members / thread-nested) ")"
//! thread-members = nz-number *(SP nz-number) [SP thread-nested]
//! thread-nested = 2*thread-list
//! ```
//!
//! Invariant: writing and reading need no recursion, since a hostile References chain may be as deep as its mailbox is large.

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::limits::SEQUENCE_SET_ELEMENTS_MAX;
use super::search::Search;
use super::sort;

/// THREAD and UID THREAD.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Thread {
    pub algorithm: ThreadAlgorithm,
    /// What is threaded; RETURN never stands here.
    pub search: Search,
}

/// `thread-alg`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ThreadAlgorithm {
    OrderedSubject,
    References,
    /// REFERENCES without the joining by subject (draft-ietf-morg-inthread), as Dovecot and Cyrus have it.
    Refs,
}

/// One message and what answers it. A node without a number is a message that is not there (its children are siblings).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct ThreadNode {
    pub number: Option<u32>,
    pub children: Vec<ThreadNode>,
}

impl ThreadAlgorithm {
    const NAMES: [(&'static str, ThreadAlgorithm); 3] = [
        ("ORDEREDSUBJECT", ThreadAlgorithm::OrderedSubject),
        ("REFERENCES", ThreadAlgorithm::References),
        ("REFS", ThreadAlgorithm::Refs),
    ];
    /// As on the wire.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }
}

impl Thread {
    /// After `THREAD` or `UID THREAD`.
    pub(crate) fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Thread> {
        c.space()?;
        let word = c.atom()?;
        let Some((_, algorithm)) = ThreadAlgorithm::NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) else {
            return c.error("unknown THREAD algorithm");
        };
        let (charset, keys) = sort::charset_and_keys(c)?;
        Ok(Thread { algorithm: *algorithm, search: Search { uid, returns: None, charset: Some(charset), keys } })
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(if self.search.uid { "UID THREAD " } else { "THREAD " });
        e.raw(self.algorithm.name());
        sort::encode_charset_and_keys(e, &self.search);
    }
}

/// What is still to be written.
enum Todo<'a> {
    Open(&'a ThreadNode),
    Text(&'static str),
}

/// `(2)(3 6 (4 23)(44 7 96))`; nothing for no threads.
pub(crate) fn encode(e: &mut Encoder, threads: &[ThreadNode]) {
    e.raw("THREAD");
    if !threads.is_empty() {
        e.raw(" ");
    }
    let mut todo: Vec<Todo<'_>> = threads.iter().rev().map(Todo::Open).collect();
    while let Some(next) = todo.pop() {
        match next {
            Todo::Text(text) => e.raw(text),
            Todo::Open(node) => {
                e.raw("(");
                todo.push(Todo::Text(")"));
                members(e, node, &mut todo);
            }
        }
    }
}

/// A chain of only children stands in one list; where it forks, each branch has its own.
fn members<'a>(e: &mut Encoder, mut node: &'a ThreadNode, todo: &mut Vec<Todo<'a>>) {
    let mut first = true;
    loop {
        if let Some(number) = node.number {
            e.raw(if first { "" } else { " " });
            e.number(number);
            first = false;
        }
        match node.children.as_slice() {
            [] => return,
            [only] => node = only,
            many => {
                if !first {
                    e.raw(" ");
                }
                todo.extend(many.iter().rev().map(Todo::Open));
                return;
            }
        }
    }
}

/// After `* THREAD`.
pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Vec<ThreadNode>> {
    // Open lists: the chain of numbers read so far, and the branches after it.
    let mut open: Vec<(Vec<u32>, Vec<ThreadNode>)> = vec![(Vec::new(), Vec::new())];
    let mut count = 0;
    while !c.at_end() {
        c.skip_spaces();
        if c.eat(b'(') {
            open.push((Vec::new(), Vec::new()));
        } else if c.eat(b')') {
            let (chain, branches) = match open.pop() {
                Some(list) if !open.is_empty() => list,
                _ => return c.error("a ) too many"),
            };
            if chain.is_empty() && branches.is_empty() {
                return c.error("an empty thread");
            }
            if let Some((_, siblings)) = open.last_mut() {
                siblings.push(chained(chain, branches));
            }
        } else if !c.at_end() {
            let number = c.nz_number()?;
            match open.last_mut() {
                Some((chain, branches)) if branches.is_empty() => chain.push(number),
                _ => return c.error("a number after a nested thread"),
            }
        }
        count += 1;
        if count > SEQUENCE_SET_ELEMENTS_MAX.saturating_mul(64) {
            return c.error("too many threads");
        }
    }
    match open.pop() {
        Some((chain, threads)) if chain.is_empty() && open.is_empty() => Ok(threads),
        _ => c.error("a thread does not end"),
    }
}

fn chained(chain: Vec<u32>, branches: Vec<ThreadNode>) -> ThreadNode {
    let mut numbers = chain.into_iter().rev();
    let Some(last) = numbers.next() else { return ThreadNode { number: None, children: branches } };
    let mut node = ThreadNode { number: Some(last), children: branches };
    for number in numbers {
        node = ThreadNode { number: Some(number), children: vec![node] };
    }
    node
}

impl Drop for ThreadNode {
    /// Without recursion, as deep as it may be.
    fn drop(&mut self) {
        let mut left = std::mem::take(&mut self.children);
        while let Some(mut node) = left.pop() {
            left.append(&mut node.children);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let uid = c.eat_text("UID ");
        c.eat_text("THREAD").then_some(())?;
        let mut e = Encoder::server(Vec::new(), false);
        if let Ok(thread) = Thread::parse(&mut c.clone(), uid) {
            thread.encode(&mut e);
        } else {
            encode(&mut e, &parse(&mut c).ok()?);
        }
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for text in [
            "THREAD REFERENCES UTF-8 SINCE 5-MAR-2000",
            "UID THREAD ORDEREDSUBJECT US-ASCII TEXT gewp",
            "THREAD REFS UTF-8 ALL",
            "THREAD (2)(3 6 (4 23)(44 7 96))",
            "THREAD ((3)(5))",
            "THREAD ((3)(5)(7 (8)(9)))(10)",
            "THREAD",
        ] {
            assert_eq!(read(text).unwrap().to_ascii_uppercase(), text.to_ascii_uppercase());
        }
        for bad in ["THREAD X UTF-8 ALL", "THREAD (", "THREAD )", "THREAD ()", "THREAD 1", "THREAD (1 (2) 3)", "THREAD (0)"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_chain_of_100_000_costs_no_stack() {
        let mut node = ThreadNode { number: Some(1), children: Vec::new() };
        for number in 2..=100_000 {
            let other = ThreadNode { number: Some(number + 200_000), children: Vec::new() };
            node = ThreadNode { number: Some(number), children: vec![node, other] };
        }
        let mut e = Encoder::server(Vec::new(), false);
        encode(&mut e, std::slice::from_ref(&node));
        let mut c = Cursor::new(e.bytes.get(6..).unwrap());
        assert_eq!(parse(&mut c).unwrap().len(), 1);
    }
}
