//! Conversations as lines: each message behind what it answers, the conversation with the newest message last.
//!
//! Must not know: how threads are found (`message::threading`), the screen.

use message::threading::Forest;

/// (place of the message, depth) in the order of the list; `date` of the message at a place. `alone`: places behind these, of
/// messages that are in no conversation.
pub(super) fn order(forest: &Forest, date: impl Fn(usize) -> i64, alone: impl Iterator<Item = usize>) -> Vec<(u32, u8)> {
    let mut threads: Vec<(i64, Vec<(u32, u8)>)> = Vec::with_capacity(forest.roots.len());
    for root in &forest.roots {
        let (mut newest, mut lines) = (i64::MIN, Vec::new());
        // No recursion: a conversation may be as deep as somebody likes.
        let mut todo: Vec<(usize, u8)> = vec![(*root, 0)];
        while let Some((at, depth)) = todo.pop() {
            let Some(node) = forest.nodes.get(at) else { continue };
            if let Some(message) = node.message {
                lines.push((u32::try_from(message).unwrap_or(u32::MAX), depth));
                newest = newest.max(date(message));
            }
            // Where the first one is missing, its first answer stands in its place.
            let below = |nth: usize| if node.message.is_none() && nth == 0 { depth } else { depth.saturating_add(1) };
            todo.extend(node.children.iter().enumerate().rev().map(|(nth, child)| (*child, below(nth))));
        }
        threads.push((newest, lines));
    }
    threads.extend(alone.map(|place| (date(place), vec![(u32::try_from(place).unwrap_or(u32::MAX), 0)])));
    threads.sort_by_key(|(newest, _)| *newest);
    threads.into_iter().flat_map(|(_, lines)| lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::threading::{Algorithm, Threadable, thread};

    #[test]
    fn answers_stand_behind_what_they_answer() {
        let one = |key: u64, of: &'static [u64], sent_secs: i64| Threadable {
            message_key: Some(key),
            reference_keys: of,
            sent_secs,
            arrived_secs: sent_secs,
            ..Threadable::default()
        };
        // 0 and its answers 2 and 4 (4 answers 2); 1 alone; 3 and 5 answer one that is not here.
        let all = [one(1, &[], 10), one(2, &[], 20), one(3, &[1], 30), one(4, &[9], 12), one(5, &[1, 3], 40), one(6, &[9], 15)];
        let forest = thread(&all, Algorithm::Refs);
        let dates = |at: usize| all.get(at).map_or(0, |message| message.sent_secs);
        let dates = |at: usize| if at == 6 { 16 } else { dates(at) };
        assert_eq!(order(&forest, dates, std::iter::empty()), [(3, 0), (5, 1), (1, 0), (0, 0), (2, 1), (4, 2)]);
        assert_eq!(order(&forest, dates, std::iter::once(6)), [(3, 0), (5, 1), (6, 0), (1, 0), (0, 0), (2, 1), (4, 2)]);
    }
}
