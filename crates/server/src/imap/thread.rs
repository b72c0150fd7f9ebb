//! THREAD (RFC 5256 §3, §4): REFERENCES, ORDEREDSUBJECT, and REFS.
//!
//! Invariant: every message that matches stands in the answer once. Must not know: how messages are related; that is
//! `message::threading`'s.

use super::failure::{Outcome, done};
use super::search::numbers;
use super::session::Session;
use message::threading::{Algorithm, Forest};
use wire::imap::response::Response;
use wire::imap::thread::{Thread, ThreadAlgorithm, ThreadNode};

impl Session {
    /// THREAD and UID THREAD.
    pub(crate) async fn thread(&mut self, thread: Thread) -> Outcome {
        let search = self.with_filters(thread.search).await?;
        let (found, _) = self.searched(&search).await?;
        let algorithm = match thread.algorithm {
            ThreadAlgorithm::OrderedSubject => Algorithm::OrderedSubject,
            ThreadAlgorithm::References => Algorithm::References,
            ThreadAlgorithm::Refs => Algorithm::Refs,
        };
        let seeker = self.seeker()?;
        let keys = self.unless_over(async move { Ok((seeker.keys(&found).await?, found)) }).await;
        let (keys, found) = self.bye_if_over(keys)?;
        let (rows, uid) = (self.view()?.rows().clone(), search.uid);
        let work = move || {
            let mut keys = keys;
            let forest = keys.forest(&rows, &found, algorithm);
            nodes(&forest, &numbers(&rows, uid, &found))
        };
        let threads = self.aside(work).await?;
        self.wire.untagged(&Response::Thread(threads));
        done("Threaded")
    }
}

/// The forest as the wire has it; without recursion, however deep it is.
fn nodes(forest: &Forest, numbers: &[u32]) -> Vec<ThreadNode> {
    let mut top_down = forest.roots.clone();
    let mut at = 0;
    while let Some(&node) = top_down.get(at) {
        top_down.extend(forest.nodes.get(node).into_iter().flat_map(|node| &node.children));
        at += 1;
    }
    let mut made: Vec<Option<ThreadNode>> = vec![None; forest.nodes.len()];
    for &at in top_down.iter().rev() {
        let Some(node) = forest.nodes.get(at) else { continue };
        let number = node.message.and_then(|message| numbers.get(message)).copied();
        let children = node.children.iter().filter_map(|child| made.get_mut(*child).and_then(Option::take)).collect();
        if let Some(slot) = made.get_mut(at) {
            *slot = Some(ThreadNode { number, children });
        }
    }
    forest.roots.iter().filter_map(|root| made.get_mut(*root).and_then(Option::take)).collect()
}
