//! Who works on what: a lane a destination, entries waiting in it, workers at it.
//!
//! Invariant: an entry is in at most one lane once; never more workers than the two limits allow; a lane without
//! entries and workers is forgotten. Must not know: mail, connections.

use smol_str::SmolStr;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::QueueId;
use tokio::sync::Notify;

#[derive(Default)]
struct Lane {
    waiting: VecDeque<QueueId>,
    workers: usize,
    idle: usize,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct Board {
    lanes: BTreeMap<SmolStr, Lane>,
    /// In a lane, or being worked on.
    active: HashSet<QueueId>,
    /// Being worked on.
    working: HashSet<QueueId>,
    /// Came again while still being worked on.
    missed: bool,
    workers: usize,
}

/// See the module.
pub(super) struct Lanes {
    board: Mutex<Board>,
    workers_max: usize,
    workers_per_lane: usize,
    /// Rings when a worker left: there may be room for another lane.
    pub(super) left: Notify,
    /// Rings when an entry that fell due at the very end of its last attempt can be taken again.
    pub(super) missed: Notify,
}

impl Lanes {
    pub(super) fn new(workers_max: usize, workers_per_lane: usize) -> Lanes {
        Lanes {
            board: Mutex::default(),
            workers_max: workers_max.max(1),
            workers_per_lane: workers_per_lane.max(1),
            left: Notify::new(),
            missed: Notify::new(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries are in hand.
    pub(super) fn active(&self) -> usize {
        self.board().active.len()
    }

    /// Puts an entry in its lane, unless it is in hand already.
    pub(super) fn add(&self, key: &SmolStr, id: QueueId) {
        let mut board = self.board();
        if !board.active.insert(id) {
            board.missed |= board.working.contains(&id);
            return;
        }
        let lane = board.lanes.entry(key.clone()).or_default();
        lane.waiting.push_back(id);
        if lane.idle > 0 {
            lane.wake.notify_one();
        }
    }

    /// Lanes that need one more worker now; each mention is a worker to start (already counted).
    pub(super) fn hire(&self) -> Vec<SmolStr> {
        let mut board = self.board();
        let mut hired = Vec::new();
        let mut room = self.workers_max.saturating_sub(board.workers);
        for (key, lane) in &mut board.lanes {
            let wanted = lane.waiting.len().saturating_sub(lane.idle);
            let free = self.workers_per_lane.saturating_sub(lane.workers);
            let count = wanted.min(free).min(room);
            lane.workers += count;
            room -= count;
            hired.extend(std::iter::repeat_n(key.clone(), count));
        }
        board.workers += hired.len();
        hired
    }

    /// The next entry of a lane.
    pub(super) fn next(&self, key: &SmolStr) -> Option<QueueId> {
        let mut board = self.board();
        let id = board.lanes.get_mut(key)?.waiting.pop_front()?;
        board.working.insert(id);
        Some(id)
    }

    /// Done with an entry: it may come again when it is due again.
    pub(super) fn done(&self, id: QueueId) {
        let mut board = self.board();
        board.active.remove(&id);
        board.working.remove(&id);
        if std::mem::take(&mut board.missed) {
            self.missed.notify_one();
        }
    }

    /// A worker waits for more: what to wait on.
    pub(super) fn idle(&self, key: &SmolStr) -> Arc<Notify> {
        let mut board = self.board();
        let lane = board.lanes.entry(key.clone()).or_default();
        lane.idle += 1;
        if !lane.waiting.is_empty() {
            lane.wake.notify_one();
        }
        Arc::clone(&lane.wake)
    }

    /// And works again.
    pub(super) fn busy(&self, key: &SmolStr) {
        if let Some(lane) = self.board().lanes.get_mut(key) {
            lane.idle = lane.idle.saturating_sub(1);
        }
    }

    /// A worker goes; `false` when something came in just now and it must stay.
    pub(super) fn leave(&self, key: &SmolStr, must: bool) -> bool {
        let mut board = self.board();
        if let Some(lane) = board.lanes.get_mut(key) {
            if !lane.waiting.is_empty() && !must {
                return false;
            }
            lane.workers = lane.workers.saturating_sub(1);
            if lane.workers == 0 && lane.waiting.is_empty() {
                board.lanes.remove(key);
            }
        }
        board.workers = board.workers.saturating_sub(1);
        drop(board);
        self.left.notify_one();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_forgetting() {
        let lanes = Lanes::new(3, 2);
        let (a, b) = (SmolStr::new_static("a.test"), SmolStr::new_static("b.test"));
        for id in 0..5 {
            lanes.add(&a, QueueId(id));
            lanes.add(&a, QueueId(id));
        }
        assert_eq!(lanes.active(), 5);
        assert_eq!(lanes.hire(), [a.clone(), a.clone()]);
        lanes.add(&b, QueueId(10));
        lanes.add(&b, QueueId(11));
        assert_eq!(lanes.hire(), std::slice::from_ref(&b), "three in all");
        assert_eq!(lanes.next(&b), Some(QueueId(10)));
        assert!(!lanes.leave(&b, false), "one more is waiting");
        assert_eq!(lanes.next(&b), Some(QueueId(11)));
        lanes.done(QueueId(10));
        lanes.done(QueueId(11));
        assert!(lanes.leave(&b, false));
        assert!(lanes.hire().is_empty(), "the lane of a is full");
        let order: Vec<u64> = std::iter::from_fn(|| lanes.next(&a)).map(|id| id.0).collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn an_idle_worker_is_used_before_a_new_one() {
        let lanes = Lanes::new(3, 2);
        let a = SmolStr::new_static("a.test");
        lanes.add(&a, QueueId(1));
        assert_eq!(lanes.hire().len(), 1);
        lanes.next(&a);
        lanes.done(QueueId(1));
        let _wake = lanes.idle(&a);
        lanes.add(&a, QueueId(2));
        assert!(lanes.hire().is_empty());
        lanes.busy(&a);
        assert_eq!(lanes.next(&a), Some(QueueId(2)));
    }
}
