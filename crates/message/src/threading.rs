//! Conversations: which message answers which (RFC 5256 §4: ORDEREDSUBJECT, REFERENCES; REFS as in draft-ietf-morg-inthread).
//!
//! A forest over the keys of [`crate::thread_keys`] and the base subject; JMAP and IMAP see the same one. Invariant: time is
//! linear but for sorting, whatever the messages claim of each other: no recursion, and loops are looked for within
//! [`THREAD_STEPS_MAX`] steps in all. Must not know: mailboxes, numbers, protocols.

use std::collections::HashMap;

use crate::limits::THREAD_STEPS_MAX;

/// What is known of one message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Threadable<'a> {
    /// [`crate::thread_keys::key`] of its Message-ID.
    pub message_key: Option<u64>,
    /// Of its ancestors, oldest first.
    pub reference_keys: &'a [u64],
    /// A number for its base subject, one for those that are equal; 0 is the empty one.
    pub subject_key: u64,
    /// Its subject says that it answers or forwards.
    pub is_reply: bool,
    /// The Date field (or, without a good one, the arrival) in seconds since 1970-01-01 UTC.
    pub sent_secs: i64,
    /// When it arrived, in the same seconds.
    pub arrived_secs: i64,
}

/// How to thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// By base subject alone.
    OrderedSubject,
    /// By References, then subjects.
    References,
    /// By References alone; the thread with the newest message last.
    Refs,
}

/// One place in the forest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Index of the message; `None` is a message that is not there.
    pub message: Option<usize>,
    /// Indexes of nodes, in order.
    pub children: Vec<usize>,
}

/// All conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forest {
    /// Nodes; some may be in no thread.
    pub nodes: Vec<Node>,
    /// The threads, in order.
    pub roots: Vec<usize>,
}

/// The conversations of `messages`, which stand in mailbox order.
///
/// ```
/// use message::threading::{Algorithm, Threadable, thread};
/// let first = Threadable { message_key: Some(1), sent_secs: 10, ..Threadable::default() };
/// let answer = Threadable { message_key: Some(2), reference_keys: &[1], sent_secs: 20, ..Threadable::default() };
/// let forest = thread(&[answer, first], Algorithm::References);
/// assert_eq!(forest.shape(), "(1 0)");
/// ```
pub fn thread(messages: &[Threadable<'_>], algorithm: Algorithm) -> Forest {
    if algorithm == Algorithm::OrderedSubject {
        return ordered_subject(messages);
    }
    let mut builder = Builder::new(messages);
    builder.link_all();
    builder.prune();
    if algorithm == Algorithm::References {
        builder.sort_roots();
        builder.join_subjects();
    }
    builder.sort_all();
    if algorithm == Algorithm::Refs {
        builder.newest_last();
    }
    Forest { nodes: builder.nodes, roots: builder.roots }
}

impl Forest {
    /// As THREAD writes it, with message indexes: for tests and people.
    pub fn shape(&self) -> String {
        let mut out = String::new();
        let mut todo: Vec<Result<usize, &str>> = self.roots.iter().rev().map(|root| Ok(*root)).collect();
        while let Some(next) = todo.pop() {
            let Ok(node) = next else {
                out.push_str(next.err().unwrap_or_default());
                continue;
            };
            out.push('(');
            todo.push(Err(")"));
            let mut at = node;
            let mut first = true;
            while let Some(node) = self.nodes.get(at) {
                if let Some(message) = node.message {
                    out.push_str(if first { "" } else { " " });
                    out.push_str(&message.to_string());
                    first = false;
                }
                match node.children.as_slice() {
                    [only] => at = *only,
                    many => {
                        out.push_str(if first || many.is_empty() { "" } else { " " });
                        todo.extend(many.iter().rev().map(|child| Ok(*child)));
                        break;
                    }
                }
            }
        }
        out
    }
}

/// RFC 5256 §4, ORDEREDSUBJECT: the first of a subject, then the others under it.
fn ordered_subject(messages: &[Threadable<'_>]) -> Forest {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    let of = |index: usize| messages.get(index);
    order.sort_by_key(|&index| of(index).map(|m| (m.subject_key, m.sent_secs, index)));
    let mut forest = Forest {
        nodes: (0..messages.len()).map(|n| Node { message: Some(n), children: Vec::new() }).collect(),
        roots: Vec::new(),
    };
    for group in order.chunk_by(|one, other| of(*one).map(|m| m.subject_key) == of(*other).map(|m| m.subject_key)) {
        let Some((&root, rest)) = group.split_first() else { continue };
        forest.roots.push(root);
        if let Some(node) = forest.nodes.get_mut(root) {
            node.children = rest.to_vec();
        }
    }
    forest.roots.sort_by_key(|&index| (of(index).map(|m| m.sent_secs), index));
    forest
}

/// The REFERENCES algorithm at work. Nodes `0..messages.len()` are the messages; those after them are not there.
struct Builder<'a> {
    messages: &'a [Threadable<'a>],
    nodes: Vec<Node>,
    parents: Vec<Option<usize>>,
    /// How many children each has while links change (the lists are made at the end).
    child_counts: Vec<usize>,
    roots: Vec<usize>,
    steps: u64,
}

impl<'a> Builder<'a> {
    fn new(messages: &'a [Threadable<'a>]) -> Builder<'a> {
        let nodes: Vec<Node> = (0..messages.len()).map(|n| Node { message: Some(n), children: Vec::new() }).collect();
        let count = nodes.len();
        Builder { messages, nodes, parents: vec![None; count], child_counts: vec![0; count], roots: Vec::new(), steps: 0 }
    }

    fn missing(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.parents.push(None);
        self.child_counts.push(0);
        self.nodes.len() - 1
    }

    /// Step 1. A second message with the same id stands for itself (step 1: "assign a unique Message ID").
    fn link_all(&mut self) {
        let mut by_key: HashMap<u64, usize> = HashMap::with_capacity(self.messages.len());
        for (index, message) in self.messages.iter().enumerate() {
            if let Some(key) = message.message_key {
                by_key.entry(key).or_insert(index);
            }
        }
        let messages = self.messages;
        for (index, message) in messages.iter().enumerate() {
            let mut before: Option<usize> = None;
            for key in message.reference_keys {
                let node = match by_key.get(key) {
                    Some(node) => *node,
                    None => {
                        let node = self.missing();
                        by_key.insert(*key, node);
                        node
                    }
                };
                // A: only where no parent is known yet.
                if let Some(parent) = before
                    && self.parents.get(node) == Some(&None)
                {
                    self.link(parent, node);
                }
                before = Some(node);
            }
            // B: the message itself says best whose answer it is.
            self.unlink(index);
            if let Some(parent) = before {
                self.link(parent, index);
            }
        }
        self.gather();
    }

    /// Makes `child` a child unless that made a loop.
    fn link(&mut self, parent: usize, child: usize) {
        if parent == child || self.is_ancestor(child, parent) {
            return;
        }
        if let (Some(slot), Some(count)) = (self.parents.get_mut(child), self.child_counts.get_mut(parent)) {
            *slot = Some(parent);
            *count += 1;
        }
    }

    fn unlink(&mut self, child: usize) {
        let old = self.parents.get_mut(child).and_then(Option::take);
        if let Some(count) = old.and_then(|parent| self.child_counts.get_mut(parent)) {
            *count -= 1;
        }
    }

    /// Is `node` above `below`? When too much was walked already: say yes, which makes no link.
    fn is_ancestor(&mut self, node: usize, below: usize) -> bool {
        if self.child_counts.get(node) == Some(&0) {
            return false;
        }
        let mut at = Some(below);
        while let Some(here) = at {
            self.steps += 1;
            if here == node || self.steps > THREAD_STEPS_MAX {
                return true;
            }
            at = self.parents.get(here).copied().flatten();
        }
        false
    }

    /// Step 2: child lists and roots from the parents.
    fn gather(&mut self) {
        for (child, parent) in self.parents.iter().enumerate() {
            match parent {
                Some(parent) => {
                    if let Some(node) = self.nodes.get_mut(*parent) {
                        node.children.push(child);
                    }
                }
                None => self.roots.push(child),
            }
        }
    }

    /// Every node under the roots, parents before children.
    fn top_down(&self) -> Vec<usize> {
        let mut order = self.roots.clone();
        let mut at = 0;
        while let Some(&node) = order.get(at) {
            order.extend(self.children(node));
            at += 1;
        }
        order
    }

    fn children(&self, node: usize) -> &[usize] {
        self.nodes.get(node).map_or(&[], |node| &node.children)
    }

    fn is_missing(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.message.is_none())
    }

    /// Step 3: messages that are not there give way to their children, but at the top only to a single one.
    fn prune(&mut self) {
        for node in self.top_down().into_iter().rev() {
            let mut kept: Vec<usize> = Vec::new();
            for child in self.nodes.get_mut(node).map(|node| std::mem::take(&mut node.children)).unwrap_or_default() {
                if !self.is_missing(child) {
                    kept.push(child);
                    continue;
                }
                let mut promoted = self.nodes.get_mut(child).map(|node| std::mem::take(&mut node.children)).unwrap_or_default();
                // The smaller list moves; the order is made later.
                if promoted.len() > kept.len() {
                    std::mem::swap(&mut promoted, &mut kept);
                }
                kept.append(&mut promoted);
            }
            if let Some(node) = self.nodes.get_mut(node) {
                node.children = kept;
            }
        }
        let mut roots = Vec::with_capacity(self.roots.len());
        for root in std::mem::take(&mut self.roots) {
            match (self.is_missing(root), self.children(root)) {
                (true, []) => {}
                (true, [only]) => roots.push(*only),
                _ => roots.push(root),
            }
        }
        self.roots = roots;
    }

    /// The message a node is known by: its own, or its first child's.
    fn face(&self, node: usize) -> Option<usize> {
        let own = self.nodes.get(node)?;
        own.message.or_else(|| own.children.first().and_then(|child| self.nodes.get(*child)?.message))
    }

    /// What siblings are sorted by.
    fn sort_key(&self, node: usize) -> (i64, usize) {
        let face = self.face(node);
        let sent = face.and_then(|message| self.messages.get(message)).map_or(i64::MAX, |message| message.sent_secs);
        (sent, face.unwrap_or(usize::MAX))
    }

    fn sort_children(&mut self, node: usize) {
        let mut children = self.nodes.get_mut(node).map(|node| std::mem::take(&mut node.children)).unwrap_or_default();
        children.sort_by_cached_key(|&child| self.sort_key(child));
        if let Some(node) = self.nodes.get_mut(node) {
            node.children = children;
        }
    }

    /// Step 4: a root that is not there goes by its first child.
    fn sort_roots(&mut self) {
        for root in self.roots.clone() {
            if self.is_missing(root) {
                self.sort_children(root);
            }
        }
        let mut roots = std::mem::take(&mut self.roots);
        roots.sort_by_cached_key(|&root| self.sort_key(root));
        self.roots = roots;
    }

    fn subject(&self, root: usize) -> Option<(u64, bool)> {
        let message = self.messages.get(self.face(root)?)?;
        (message.subject_key != 0).then_some((message.subject_key, message.is_reply))
    }

    /// Step 5: threads with one base subject are one thread.
    fn join_subjects(&mut self) {
        let mut table: HashMap<u64, usize> = HashMap::new();
        for &root in &self.roots {
            let Some((subject, is_reply)) = self.subject(root) else { continue };
            let Some(known) = table.get(&subject).copied() else {
                table.insert(subject, root);
                continue;
            };
            let known_is_reply = self.subject(known).is_some_and(|(_, is_reply)| is_reply);
            if !self.is_missing(known) && (self.is_missing(root) || (known_is_reply && !is_reply)) {
                table.insert(subject, root);
            }
        }
        let mut taken = vec![false; self.nodes.len()];
        for root in self.roots.clone() {
            let Some((subject, is_reply)) = self.subject(root) else { continue };
            let Some(known) = table.get(&subject).copied().filter(|known| *known != root) else { continue };
            let known_is_reply = self.subject(known).is_some_and(|(_, is_reply)| is_reply);
            if let Some(slot) = taken.get_mut(root) {
                *slot = true;
            }
            if self.is_missing(known) {
                let moved = match self.nodes.get_mut(root) {
                    Some(node) if node.message.is_none() => std::mem::take(&mut node.children),
                    _ => vec![root],
                };
                self.adopt(known, moved);
            } else if is_reply && !known_is_reply {
                self.adopt(known, vec![root]);
            } else {
                let both = self.missing();
                self.adopt(both, vec![known, root]);
                if let Some(slot) = taken.get_mut(known) {
                    *slot = true;
                }
                // It stands where the first of the two stood.
                self.roots.push(both);
                taken.resize(self.nodes.len(), false);
                table.insert(subject, both);
            }
        }
        self.roots.retain(|&root| taken.get(root) == Some(&false));
    }

    fn adopt(&mut self, parent: usize, children: Vec<usize>) {
        if let Some(node) = self.nodes.get_mut(parent) {
            node.children.extend(children);
        }
    }

    /// Step 6: siblings by date, at every level; children first, since a missing parent goes by them.
    fn sort_all(&mut self) {
        for node in self.top_down().into_iter().rev() {
            if self.children(node).len() > 1 {
                self.sort_children(node);
            }
        }
        self.sort_roots();
    }

    /// REFS: the thread that something arrived in last stands last.
    fn newest_last(&mut self) {
        let mut newest = vec![(i64::MIN, 0); self.nodes.len()];
        for node in self.top_down().into_iter().rev() {
            let own = self.nodes.get(node).and_then(|node| node.message);
            let own = own.and_then(|index| Some((self.messages.get(index)?.arrived_secs, index)));
            let below = self.children(node).iter().filter_map(|child| newest.get(*child).copied()).max();
            if let Some(slot) = newest.get_mut(node) {
                *slot = own.max(below).unwrap_or((i64::MIN, 0));
            }
        }
        self.roots.sort_by_key(|&root| newest.get(root).copied());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    /// `id < refs : subject`, sent in the order of the list.
    fn messages<'a>(lines: &[(u64, &'a [u64], &str)]) -> Vec<Threadable<'a>> {
        let mut sent = 0;
        lines
            .iter()
            .map(|(id, references, subject)| {
                sent += 1;
                let base = crate::base_subject::of_text(subject);
                Threadable {
                    message_key: (*id > 0).then_some(*id),
                    reference_keys: references,
                    subject_key: if base.text.is_empty() { 0 } else { crate::thread_keys::key(&base.key()) },
                    is_reply: base.is_reply,
                    sent_secs: sent,
                    arrived_secs: sent,
                }
            })
            .collect()
    }

    fn shape(lines: &[(u64, &[u64], &str)], algorithm: Algorithm) -> String {
        thread(&messages(lines), algorithm).shape()
    }

    #[test]
    fn by_references() {
        use Algorithm::References as R;
        assert_eq!(shape(&[], R), "");
        assert_eq!(shape(&[(1, &[], "a"), (2, &[1], "Re: a"), (3, &[1, 2], "Re: a"), (4, &[1], "Re: a")], R), "(0 (1 2)(3))");
        // Before its parent arrives; a missing middle; a missing root with one and with two children.
        assert_eq!(shape(&[(2, &[1], "b"), (1, &[], "a")], R), "(1 0)");
        assert_eq!(shape(&[(1, &[], "a"), (3, &[1, 2], "c")], R), "(0 1)");
        assert_eq!(shape(&[(3, &[9], "c")], R), "(0)");
        assert_eq!(shape(&[(3, &[9], "c"), (4, &[9], "d")], R), "((0)(1))");
        // Its own words count more than what others said of it.
        assert_eq!(shape(&[(1, &[], "a"), (5, &[1, 2], "e"), (2, &[], "b")], R), "(0)(2 1)");
    }

    #[test]
    fn by_subject_where_references_are_missing() {
        use Algorithm::References as R;
        assert_eq!(shape(&[(1, &[], "boat"), (2, &[], "Re: boat"), (3, &[], "Re: boat")], R), "(0 (1)(2))");
        assert_eq!(shape(&[(2, &[], "Re: boat"), (1, &[], "boat")], R), "(1 0)");
        assert_eq!(shape(&[(1, &[], "boat"), (2, &[], "boat")], R), "((0)(1))");
        assert_eq!(shape(&[(1, &[], "boat"), (2, &[], "boat"), (3, &[], "boat")], R), "((0)(1)(2))");
        assert_eq!(shape(&[(1, &[], ""), (2, &[], "")], R), "(0)(1)", "an empty subject joins nothing");
        assert_eq!(shape(&[(3, &[9], "boat"), (4, &[9], "x"), (5, &[], "Re: boat")], R), "((0)(1)(2))");
        assert_eq!(shape(&[(1, &[], "boat"), (2, &[], "Re: boat")], Algorithm::Refs), "(0)(1)");
    }

    #[test]
    fn loops_and_doubles_end() {
        use Algorithm::References as R;
        assert_eq!(shape(&[(1, &[1], "a")], R), "(0)");
        assert_eq!(shape(&[(1, &[2], "a"), (2, &[1], "b")], R), "(1 0)");
        assert_eq!(shape(&[(1, &[], "a"), (1, &[], "b"), (2, &[1], "c")], R), "(0 2)(1)");
        assert_eq!(shape(&[(0, &[], "a"), (0, &[], "b")], R), "(0)(1)");
    }

    #[test]
    fn ordered_by_subject() {
        use Algorithm::OrderedSubject as O;
        assert_eq!(shape(&[(0, &[], "b"), (0, &[], "a"), (0, &[], "Re: b"), (0, &[], "Fwd: b")], O), "(0 (2)(3))(1)");
        assert_eq!(shape(&[(0, &[], "b"), (0, &[], "Re: b")], O), "(0 1)");
    }

    #[test]
    fn refs_by_what_came_last() {
        assert_eq!(shape(&[(1, &[], "a"), (2, &[], "b"), (3, &[1], "c")], Algorithm::Refs), "(1)(0 2)");
    }

    #[test]
    fn a_hostile_mailbox_costs_bounded_steps() {
        // A chain of 20,000, and 20,000 messages whose children came first and who all hang themselves on its end.
        let keys: Vec<u64> = (0..50_000).collect();
        let key = |n: u64| &keys[n as usize..=n as usize];
        let mut many: Vec<Threadable<'_>> = (1..=20_000u64)
            .map(|n| Threadable {
                message_key: Some(n),
                reference_keys: key(n - 1),
                sent_secs: n as i64,
                ..Threadable::default()
            })
            .collect();
        for n in 30_000..50_000u64 {
            many.push(Threadable { reference_keys: key(n), ..Threadable::default() });
        }
        for n in 30_000..50_000u64 {
            many.push(Threadable { message_key: Some(n), reference_keys: key(20_000), ..Threadable::default() });
        }
        let forest = thread(&many, Algorithm::References);
        assert!(!forest.roots.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Every message stands in exactly one place.
        #[test]
        fn nothing_is_lost_or_doubled(
            list in proptest::collection::vec((0u64..12, proptest::collection::vec(1u64..16, 0..4), 0usize..4), 0..24),
            which in 0usize..3,
        ) {
            let subjects = ["", "a", "Re: a", "b"];
            let lines: Vec<(u64, &[u64], &str)> = list.iter().map(|(id, refs, s)| (*id, refs.as_slice(), subjects[*s])).collect();
            let algorithm = [Algorithm::OrderedSubject, Algorithm::References, Algorithm::Refs][which];
            let forest = thread(&messages(&lines), algorithm);
            let mut seen: Vec<usize> = Vec::new();
            let mut todo = forest.roots.clone();
            while let Some(node) = todo.pop() {
                prop_assert!(seen.len() <= list.len());
                seen.extend(forest.nodes[node].message);
                todo.extend(&forest.nodes[node].children);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..list.len()).collect::<Vec<_>>());
        }
    }
}
