//! Who works on what: a lane a destination, entries waiting in it sender by sender, workers at it.
//!
//! A lane begins with few connections and gets more as they work; a busy signal halves them; one that is not let in beside others
//! that are says how many are; when nobody can be reached it rests, longer each time, and asks again with one. A silent destination is found out only after minutes: until a lane was answered
//! it has few entries in hand, and a worker that nobody answers for a few seconds gives its place to another and waits beside
//! ([`Lanes::linger`]), so that those who live need not wait for the dead. Invariant: an entry is in at most one lane
//! once; never more workers in a place than the limits allow, never more than a quarter of them for lanes that did not work last
//! time, nor more than three for those that were not answered yet; who waits beside and what is in hand is bounded. Must not
//! know: mail, connections.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{DueRow, QueueId};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Entries in hand, all lanes together.
pub(super) const IN_HAND_MAX: usize = 4_000;
/// Entries in hand of one lane.
const LANE_MAX: usize = 400;
/// Entries waiting in a lane that was not answered yet.
const UNANSWERED_MAX: usize = 4;
/// Entries in hand of all lanes together that were not answered yet: from here on one a lane ...
const UNANSWERED_ALL: usize = IN_HAND_MAX / 4;
/// ... and here no more; what is left is for those who answer.
const UNANSWERED_ALL_MAX: usize = IN_HAND_MAX / 2;
/// When so few are left of those more are let in.
const UNANSWERED_REFILL: usize = UNANSWERED_ALL_MAX / 4 * 3;
/// So many times the places may wait beside them.
const BESIDE: usize = 2;
/// Entries in hand of one sender: a quarter is left to the others whatever one sends.
const SENDER_MAX: usize = IN_HAND_MAX / 4 * 3;
/// When so many are in hand more are let in.
const REFILL: usize = IN_HAND_MAX / 4 * 3;
/// The same of one sender.
const SENDER_REFILL: usize = SENDER_MAX / 4 * 3;
/// Connections a lane begins with.
const BEGIN: usize = 2;
/// So long a lane has no more connections than were let in when one was not.
const CROWDED: Duration = Duration::from_secs(600);
/// The longest rest of a lane where nobody could be reached.
const REST_SECS_MAX: u32 = 600;
/// Lanes remembered for their troubles only.
const REMEMBERED_MAX: usize = 10_000;

/// What a lane is known by: [`store::lane_of`] its destination.
pub(super) type LaneKey = u64;

/// How a lane's connection went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// Messages were answered.
    Well,
    /// There, but it wants less of us (421, 4xx).
    Busy,
    /// Nobody could be reached.
    Unreachable,
}

struct Lane {
    /// By sender, each in order; `turns` says who is next.
    waiting: HashMap<u64, VecDeque<DueRow>>,
    turns: VecDeque<u64>,
    count: usize,
    /// In hand, waiting or being worked on, where this is bounded.
    in_hand: usize,
    /// Workers in a place, and those that wait beside.
    workers: usize,
    beside: usize,
    idle: usize,
    wake: Arc<Notify>,
    /// Connections it may have just now.
    most: usize,
    /// Connections that stand.
    reached: usize,
    /// More than so many were not let in, and until when that is remembered.
    crowded: Option<(usize, Instant)>,
    /// Times in a row that nobody could be reached.
    troubles: usize,
    rests_until: Option<Instant>,
    /// Somebody is there, and speaks.
    answered: bool,
    /// More of it is due than was let in.
    more: bool,
}

impl Default for Lane {
    fn default() -> Self {
        Lane {
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            count: 0,
            in_hand: 0,
            workers: 0,
            beside: 0,
            idle: 0,
            wake: Arc::default(),
            most: BEGIN,
            reached: 0,
            crowded: None,
            troubles: 0,
            rests_until: None,
            answered: false,
            more: false,
        }
    }
}

impl Lane {
    fn push(&mut self, row: DueRow) {
        let of_sender = self.waiting.entry(row.sender).or_default();
        if of_sender.is_empty() {
            self.turns.push_back(row.sender);
        }
        of_sender.push_back(row);
        self.count += 1;
    }

    /// The next of whoever's turn it is.
    fn pop(&mut self) -> Option<DueRow> {
        let sender = self.turns.pop_front()?;
        let of_sender = self.waiting.get_mut(&sender)?;
        let row = of_sender.pop_front()?;
        if of_sender.is_empty() {
            self.waiting.remove(&sender);
        } else {
            self.turns.push_back(sender);
        }
        self.count -= 1;
        Some(row)
    }

    /// Has it enough in hand?
    fn is_full(&self) -> bool {
        self.count >= if self.answered { LANE_MAX } else { UNANSWERED_MAX }
    }

    /// Workers, wherever they are.
    fn hands(&self) -> usize {
        self.workers + self.beside
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    /// Connections it is let have, as far as is known.
    fn let_in(&self, now: Instant) -> usize {
        self.crowded.filter(|(_, until)| *until > now).map_or(usize::MAX, |(most, _)| most)
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        let plain = self.most == BEGIN && self.let_in(now) == usize::MAX && self.reached == 0;
        self.count == 0 && self.hands() == 0 && self.troubles == 0 && plain && !self.rests(now)
    }
}

/// Whose an entry in hand is.
struct Held {
    sender: u64,
    lane: LaneKey,
    bounded: bool,
}

#[derive(Default)]
struct Board {
    lanes: BTreeMap<LaneKey, Lane>,
    /// In a lane, or being worked on.
    active: HashMap<QueueId, Held>,
    /// Of those, in lanes that were not answered yet.
    unanswered: usize,
    by_sender: HashMap<u64, usize>,
    /// Being worked on.
    working: HashSet<QueueId>,
    /// Came again while still being worked on.
    missed: bool,
    /// More of some sender is due than was let in.
    more: bool,
    /// More for lanes that were not answered yet is due than was let in.
    more_unanswered: bool,
    workers: usize,
    /// Workers that wait beside.
    beside: usize,
    /// Of those, at lanes that did not work last time.
    doubtful: usize,
    /// The lane after which hiring goes on.
    turn: LaneKey,
}

impl Board {
    fn unanswered_workers(&self) -> usize {
        self.lanes.values().filter(|lane| !lane.answered).map(|lane| lane.workers).sum()
    }
}

/// See the module.
pub(super) struct Lanes {
    board: Mutex<Board>,
    workers_max: usize,
    beside_max: usize,
    workers_per_lane: usize,
    /// How long a lane rests after nobody could be reached once, twice ...
    rest_secs: Vec<u32>,
    /// Rings when a worker left or a lane wants more: there may be room for another.
    pub(super) left: Notify,
    /// Rings when there is room for more entries, or one that fell due at the very end of its attempt can be taken again.
    pub(super) missed: Notify,
}

impl Lanes {
    /// `rest_secs`: see [`mta::queue::Schedule::retry_secs`].
    pub(super) fn new(workers_max: usize, workers_per_lane: usize, rest_secs: Vec<u32>) -> Lanes {
        Lanes {
            board: Mutex::default(),
            workers_max: workers_max.max(1),
            beside_max: workers_max.max(1).saturating_mul(BESIDE),
            workers_per_lane: workers_per_lane.max(1),
            rest_secs,
            left: Notify::new(),
            missed: Notify::new(),
        }
    }

    /// Workers in a place for lanes that did not work last time, at most.
    fn doubtful_max(&self) -> usize {
        (self.workers_max / 4).max(1)
    }

    /// The same for lanes that were not answered yet.
    fn unanswered_max(&self) -> usize {
        (self.workers_max / 4 * 3).max(1)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries are in hand.
    pub(super) fn active(&self) -> usize {
        self.board().active.len()
    }

    /// Puts an entry in its lane, unless it is in hand already, its lane rests, or the lane or its sender has enough.
    /// `bounded`: false for a lane that is all there is (a smarthost).
    pub(super) fn add(&self, key: LaneKey, row: DueRow, bounded: bool) -> bool {
        let now = Instant::now();
        let mut board = self.board();
        let board = &mut *board;
        if board.active.contains_key(&row.id) {
            board.missed |= board.working.contains(&row.id);
            return false;
        }
        let of_sender = board.by_sender.get(&row.sender).copied().unwrap_or(0);
        if board.active.len() >= IN_HAND_MAX || of_sender >= SENDER_MAX {
            board.more = true;
            return false;
        }
        let known = board.lanes.get(&key);
        if known.is_some_and(|lane| lane.rests(now)) {
            return false;
        }
        let room = if known.is_some_and(|lane| lane.in_hand > 0) { UNANSWERED_ALL } else { UNANSWERED_ALL_MAX };
        if bounded && !known.is_some_and(|lane| lane.answered) && board.unanswered >= room {
            board.more_unanswered = true;
            // Answered meanwhile, it wants the rest at once.
            if let Some(lane) = board.lanes.get_mut(&key) {
                lane.more = true;
            }
            return false;
        }
        let lane = board.lanes.entry(key).or_default();
        if bounded && lane.is_full() {
            lane.more = true;
            return false;
        }
        lane.push(row);
        if lane.idle > 0 {
            lane.wake.notify_one();
        }
        lane.in_hand += usize::from(bounded);
        board.unanswered += usize::from(bounded && !lane.answered);
        board.active.insert(row.id, Held { sender: row.sender, lane: key, bounded });
        *board.by_sender.entry(row.sender).or_insert(0) += 1;
        true
    }

    /// Lanes that need one more worker now; each mention is a worker to start (already counted). In turns, the lanes that
    /// have nobody first.
    pub(super) fn hire(&self) -> Vec<LaneKey> {
        let now = Instant::now();
        let mut board = self.board();
        let board = &mut *board;
        let mut hired = Vec::new();
        let mut just_now: BTreeMap<LaneKey, usize> = BTreeMap::new();
        let (doubtful_max, unanswered_max) = (self.doubtful_max(), self.unanswered_max());
        let mut unanswered = board.unanswered_workers();
        for second in [false, true] {
            let turn = board.turn;
            let keys: Vec<LaneKey> =
                board.lanes.range(turn.saturating_add(1)..).chain(board.lanes.range(..=turn)).map(|(key, _)| *key).collect();
            for key in keys {
                if board.workers >= self.workers_max {
                    return hired;
                }
                let Some(lane) = board.lanes.get_mut(&key) else { continue };
                let coming = just_now.get(&key).copied().unwrap_or(0);
                let wanted = lane.count.saturating_sub(lane.idle + coming);
                let most = lane.most.min(self.workers_per_lane);
                let free = match second {
                    // Somebody waits there already.
                    true if !lane.answered && lane.beside > 0 => 0,
                    true => most.saturating_sub(lane.hands()),
                    false => usize::from(lane.hands() == 0),
                };
                let doubtful = lane.troubles > 0;
                if lane.rests(now) || doubtful && board.doubtful >= doubtful_max {
                    continue;
                }
                let left = if lane.answered { usize::MAX } else { unanswered_max.saturating_sub(unanswered) };
                let count = wanted.min(free).min(self.workers_max - board.workers).min(left);
                unanswered += if lane.answered { 0 } else { count };
                *just_now.entry(key).or_insert(0) += count;
                lane.workers += count;
                board.workers += count;
                board.doubtful += if doubtful { count } else { 0 };
                board.turn = if count > 0 { key } else { board.turn };
                hired.extend(std::iter::repeat_n(key, count));
            }
        }
        hired
    }

    /// The next entry of a lane, by turns of its senders.
    pub(super) fn next(&self, key: LaneKey) -> Option<DueRow> {
        let mut board = self.board();
        let lane = board.lanes.get_mut(&key)?;
        let row = lane.pop()?;
        let is_low = if lane.answered { lane.count <= LANE_MAX / 4 } else { lane.count == 0 };
        if is_low && std::mem::take(&mut lane.more) {
            self.missed.notify_one();
        }
        board.working.insert(row.id);
        Some(row)
    }

    /// Done with an entry: it may come again when it is due again.
    pub(super) fn done(&self, id: QueueId) {
        let mut board = self.board();
        let board = &mut *board;
        board.working.remove(&id);
        let mut room = false;
        if let Some(held) = board.active.remove(&id) {
            if let Some(count) = board.by_sender.get_mut(&held.sender) {
                *count -= 1;
                room = *count <= SENDER_REFILL;
                if *count == 0 {
                    board.by_sender.remove(&held.sender);
                }
            }
            if let Some(lane) = board.lanes.get_mut(&held.lane).filter(|_| held.bounded) {
                lane.in_hand = lane.in_hand.saturating_sub(1);
                board.unanswered = board.unanswered.saturating_sub(usize::from(!lane.answered));
            }
        }
        let refill = board.more && room && board.active.len() <= REFILL;
        board.more &= !refill;
        let again = board.more_unanswered && board.unanswered <= UNANSWERED_REFILL;
        board.more_unanswered &= !again;
        if std::mem::take(&mut board.missed) || refill || again || board.active.is_empty() {
            self.missed.notify_one();
        }
    }

    /// How a connection of the lane went; what it may have from now on.
    pub(super) fn went(&self, key: LaneKey, went: Went) {
        let mut board = self.board();
        let board = &mut *board;
        let Some(lane) = board.lanes.get_mut(&key) else { return };
        let before = lane.troubles > 0;
        let was_answered = lane.answered;
        lane.answered = went != Went::Unreachable;
        let is_news = !was_answered && lane.answered;
        match (was_answered, lane.answered) {
            (false, true) => board.unanswered = board.unanswered.saturating_sub(lane.in_hand),
            (true, false) => board.unanswered += lane.in_hand,
            _ => {}
        }
        if is_news && std::mem::take(&mut lane.more) {
            self.missed.notify_one();
        }
        match went {
            Went::Well => {
                lane.troubles = 0;
                lane.rests_until = None;
                lane.most = (lane.most + 1).min(self.workers_per_lane.max(BEGIN)).min(lane.let_in(Instant::now()));
            }
            Went::Busy => lane.most = (lane.most / 2).max(1),
            Went::Unreachable => {
                // Workers that find out together count once.
                if !lane.rests(Instant::now()) {
                    let secs = self.rest_secs.get(lane.troubles).or(self.rest_secs.last()).copied().unwrap_or(REST_SECS_MAX);
                    lane.rests_until = Some(Instant::now() + Duration::from_secs(secs.min(REST_SECS_MAX).into()));
                    lane.troubles += 1;
                }
                lane.most = 1;
            }
        }
        let workers = lane.workers;
        match (before, lane.troubles > 0) {
            (true, false) => board.doubtful = board.doubtful.saturating_sub(workers),
            (false, true) => board.doubtful += workers,
            _ => {}
        }
        if went == Went::Well && lane.count > lane.idle {
            self.left.notify_one();
        }
    }

    /// A connection came about.
    pub(super) fn reached(&self, key: LaneKey) {
        self.board().lanes.entry(key).or_default().reached += 1;
    }

    /// And is no more.
    pub(super) fn closed(&self, key: LaneKey) {
        if let Some(lane) = self.board().lanes.get_mut(&key) {
            lane.reached = lane.reached.saturating_sub(1);
        }
    }

    /// A connection did not come about. Do others stand? Then nobody is unreachable: there are as many as are let in, and for a while
    /// the lane has no more.
    pub(super) fn is_crowded(&self, key: LaneKey) -> bool {
        let mut board = self.board();
        let Some(lane) = board.lanes.get_mut(&key).filter(|lane| lane.reached > 0) else { return false };
        lane.most = lane.most.min(lane.reached);
        lane.crowded = Some((lane.reached, Instant::now() + CROWDED));
        true
    }

    /// No lane rests any more: somebody wants it tried now.
    pub(super) fn wake_all(&self) {
        for lane in self.board().lanes.values_mut() {
            lane.rests_until = None;
        }
    }

    /// When the first resting lane has rested enough.
    pub(super) fn rested_at(&self) -> Option<Instant> {
        let now = Instant::now();
        self.board().lanes.values().filter_map(|lane| lane.rests_until).filter(|until| *until > now).min()
    }

    /// A worker waits for more: what to wait on.
    pub(super) fn idle(&self, key: LaneKey) -> Arc<Notify> {
        let mut board = self.board();
        let lane = board.lanes.entry(key).or_default();
        lane.idle += 1;
        if lane.count > 0 {
            lane.wake.notify_one();
        }
        Arc::clone(&lane.wake)
    }

    /// And works again.
    pub(super) fn busy(&self, key: LaneKey) {
        if let Some(lane) = self.board().lanes.get_mut(&key) {
            lane.idle = lane.idle.saturating_sub(1);
        }
    }

    /// Nobody answered a worker for a while: it gives its place to another and waits beside, if there is room. At most half of
    /// that is for lanes that did not work last time.
    pub(super) fn linger(&self, key: LaneKey) -> bool {
        let mut board = self.board();
        let board = &mut *board;
        let doubtful = board.lanes.values().filter(|lane| lane.troubles > 0).map(|lane| lane.beside).sum::<usize>();
        let Some(lane) = board.lanes.get_mut(&key) else { return false };
        let is_doubtful = lane.troubles > 0;
        if board.beside >= self.beside_max || is_doubtful && doubtful >= self.beside_max / 2 {
            return false;
        }
        lane.workers = lane.workers.saturating_sub(1);
        lane.beside += 1;
        board.workers = board.workers.saturating_sub(1);
        board.beside += 1;
        board.doubtful = board.doubtful.saturating_sub(usize::from(is_doubtful));
        self.left.notify_one();
        true
    }

    /// It was answered after all, and takes a place again where one is free; else it stays beside.
    pub(super) fn resume(&self, key: LaneKey) -> bool {
        let mut board = self.board();
        let board = &mut *board;
        let unanswered = board.unanswered_workers();
        let Some(lane) = board.lanes.get_mut(&key).filter(|_| board.workers < self.workers_max) else { return false };
        // Who greets late may stall later, too.
        if !lane.answered && unanswered >= self.unanswered_max() || lane.troubles > 0 && board.doubtful >= self.doubtful_max() {
            return false;
        }
        lane.beside = lane.beside.saturating_sub(1);
        lane.workers += 1;
        board.beside = board.beside.saturating_sub(1);
        board.workers += 1;
        board.doubtful += usize::from(lane.troubles > 0);
        true
    }

    /// A worker goes (`beside`: it has no place); `false` when something came in just now and it must stay.
    pub(super) fn leave(&self, key: LaneKey, must: bool, beside: bool) -> bool {
        let now = Instant::now();
        let mut board = self.board();
        let board = &mut *board;
        if let Some(lane) = board.lanes.get_mut(&key) {
            if lane.count > 0 && !must {
                return false;
            }
            let hands = if beside { &mut lane.beside } else { &mut lane.workers };
            *hands = hands.saturating_sub(1);
            board.doubtful = board.doubtful.saturating_sub(usize::from(lane.troubles > 0 && !beside));
            if lane.is_forgettable(now) {
                board.lanes.remove(&key);
            }
        }
        let hands = if beside { &mut board.beside } else { &mut board.workers };
        *hands = hands.saturating_sub(1);
        if board.lanes.len() > REMEMBERED_MAX {
            board.lanes.retain(|_, lane| lane.count > 0 || lane.hands() > 0 || lane.rests(now));
        }
        self.left.notify_one();
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::super::worker::PATIENCE;
    use super::*;

    fn row(id: u64, sender: u64) -> DueRow {
        DueRow { id: QueueId(id), due_secs: 0, lane: 0, sender }
    }

    fn answered(lanes: &Lanes, keys: std::ops::Range<LaneKey>) {
        keys.for_each(|key| lanes.board().lanes.entry(key).or_default().answered = true);
    }

    fn ids(lanes: &Lanes, key: LaneKey) -> Vec<u64> {
        std::iter::from_fn(|| lanes.next(key)).map(|row| row.id.0).collect()
    }

    #[tokio::test]
    async fn limits_and_forgetting() {
        let lanes = Lanes::new(3, 2, vec![10, 30]);
        answered(&lanes, 1..3);
        for id in 0..5 {
            assert!(lanes.add(1, row(id, 0), true));
            assert!(!lanes.add(1, row(id, 0), true));
        }
        assert_eq!(lanes.active(), 5);
        assert_eq!(lanes.hire(), [1, 1]);
        lanes.add(2, row(10, 0), true);
        lanes.add(2, row(11, 0), true);
        assert_eq!(lanes.hire(), [2], "three in all");
        assert_eq!(lanes.next(2).map(|row| row.id), Some(QueueId(10)));
        assert!(!lanes.leave(2, false, false), "one more is waiting");
        assert_eq!(lanes.next(2).map(|row| row.id), Some(QueueId(11)));
        lanes.done(QueueId(10));
        lanes.done(QueueId(11));
        assert!(lanes.leave(2, false, false));
        assert!(lanes.hire().is_empty(), "the first lane is full");
        assert_eq!(ids(&lanes, 1), [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn an_idle_worker_is_used_before_a_new_one() {
        let lanes = Lanes::new(3, 2, vec![10, 30]);
        lanes.add(1, row(1, 0), true);
        assert_eq!(lanes.hire().len(), 1);
        lanes.next(1);
        lanes.done(QueueId(1));
        let _wake = lanes.idle(1);
        lanes.add(1, row(2, 0), true);
        assert!(lanes.hire().is_empty());
        lanes.busy(1);
        assert_eq!(lanes.next(1).map(|row| row.id), Some(QueueId(2)));
    }

    #[tokio::test]
    async fn senders_take_turns_and_none_takes_it_all() {
        let lanes = Lanes::new(3, 2, vec![10, 30]);
        answered(&lanes, 1..2);
        for id in 0..100 {
            lanes.add(1, row(id, 7), true);
        }
        lanes.add(1, row(200, 8), true);
        lanes.add(1, row(201, 9), true);
        let first: Vec<u64> = (0..5).filter_map(|_| lanes.next(1)).map(|row| row.id.0).collect();
        assert_eq!(first, [0, 200, 201, 1, 2]);
        let many = Lanes::new(3, 2, vec![10, 30]);
        answered(&many, 0..100);
        let taken = (0..10_000u64).filter(|id| many.add(*id % 100, row(*id, 7), true)).count();
        assert_eq!(taken, SENDER_MAX);
        assert!(many.add(3, row(20_000, 8), true), "somebody else still comes in");
        let one = Lanes::new(3, 2, vec![10, 30]);
        answered(&one, 1..2);
        assert_eq!((0..10_000u64).filter(|id| one.add(1, row(*id, *id), true)).count(), LANE_MAX);
        // Whoever draws from it rings for more in time.
        for _ in 0..LANE_MAX {
            one.next(1);
        }
        tokio::time::timeout(Duration::from_secs(5), one.missed.notified()).await.expect("nobody rang");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_grows_shrinks_and_rests() {
        let lanes = Lanes::new(100, 8, vec![10, 30]);
        answered(&lanes, 1..2);
        for id in 0..50 {
            lanes.add(1, row(id, 0), true);
        }
        assert_eq!(lanes.hire().len(), BEGIN);
        lanes.went(1, Went::Well);
        assert_eq!(lanes.hire().len(), 1);
        (0..20).for_each(|_| lanes.went(1, Went::Well));
        assert_eq!(lanes.hire().len(), 5, "eight in all");
        lanes.went(1, Went::Busy);
        (0..8).for_each(|_| assert!(lanes.leave(1, true, false)));
        assert_eq!(lanes.hire().len(), 4, "half as many");
        (0..4).for_each(|_| assert!(lanes.leave(1, true, false)));
        lanes.went(1, Went::Unreachable);
        lanes.went(1, Went::Unreachable);
        assert!(lanes.hire().is_empty() && !lanes.add(1, row(90, 0), true));
        assert_eq!(lanes.rested_at(), Some(Instant::now() + Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(lanes.hire(), [1], "it asks again, with one");
        lanes.went(1, Went::Unreachable);
        assert_eq!(lanes.rested_at(), Some(Instant::now() + Duration::from_secs(30)));
        lanes.wake_all();
        assert_eq!(lanes.rested_at(), None);
    }

    /// A server that lets in three at once: nobody is put off, and it is not asked for a fourth for a while.
    #[tokio::test(start_paused = true)]
    async fn a_lane_has_as_many_as_are_let_in() {
        let lanes = Lanes::new(100, 8, vec![10, 30]);
        answered(&lanes, 1..2);
        (0..50).for_each(|id| assert!(lanes.add(1, row(id, 0), true)));
        (0..5).for_each(|_| lanes.went(1, Went::Well));
        assert_eq!(lanes.hire().len(), 7);
        assert!(!lanes.is_crowded(1), "nobody was reached: it is not known that there is somebody");
        (0..3).for_each(|_| lanes.reached(1));
        for _ in 3..7 {
            assert!(lanes.is_crowded(1));
            assert!(lanes.leave(1, true, false));
        }
        (0..9).for_each(|_| lanes.went(1, Went::Well));
        assert!(lanes.hire().is_empty() && lanes.rested_at().is_none());
        tokio::time::advance(CROWDED).await;
        lanes.went(1, Went::Well);
        assert_eq!(lanes.hire(), [1], "it may be another by now");
        // All of them break: the next that finds nobody is right.
        (0..3).for_each(|_| lanes.closed(1));
        assert!(!lanes.is_crowded(1));
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_that_did_not_work_get_a_quarter_at_most() {
        let lanes = Lanes::new(8, 2, vec![10, 30]);
        for lane in 0..20 {
            lanes.add(lane, row(lane, 0), true);
            lanes.went(lane, Went::Unreachable);
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(lanes.hire().len(), 2);
        lanes.add(50, row(50, 0), true);
        assert_eq!(lanes.hire(), [50]);
    }

    /// One sender, 120 silent destinations and 50 that answer, a hundred entries for each: whoever answers gets all of theirs though
    /// the others never end.
    #[tokio::test]
    async fn who_answers_does_not_wait_for_who_is_silent() {
        const SILENT: u64 = 120;
        let lanes = Lanes::new(400, 10, vec![60]);
        let mut left: BTreeMap<u64, DueRow> = (0..(SILENT + 50) * 100).map(|id| (id, row(id, 7))).collect();
        let mut delivered = 0;
        loop {
            let before = delivered;
            for row in left.values() {
                lanes.add(row.id.0 % (SILENT + 50), *row, true);
            }
            assert!(lanes.active() <= SENDER_MAX);
            for key in lanes.hire() {
                let Some(row) = lanes.next(key) else { continue };
                if key < SILENT {
                    continue;
                }
                for row in std::iter::once(row).chain(std::iter::from_fn(|| lanes.next(key))) {
                    lanes.went(key, Went::Well);
                    lanes.done(row.id);
                    left.remove(&row.id.0);
                    delivered += 1;
                }
                assert!(lanes.leave(key, false, false));
            }
            if delivered == before {
                break;
            }
        }
        assert_eq!(delivered, 50 * 100);
        let silent = lanes.board().lanes.range(..SILENT).map(|(_, lane)| lane.workers).sum::<usize>();
        assert!(silent <= 300, "a quarter of the connections is left to those who answer: {silent}");
    }

    /// Works for a lane where nobody answers for two minutes.
    async fn knock(lanes: Arc<Lanes>, key: LaneKey) {
        let Some(row) = lanes.next(key) else { return };
        let (begun, mut beside) = (Instant::now(), false);
        while begun.elapsed() < Duration::from_secs(120) {
            tokio::time::sleep(PATIENCE).await;
            beside = beside || lanes.linger(key);
        }
        lanes.went(key, Went::Unreachable);
        for row in std::iter::once(row).chain(std::iter::from_fn(|| lanes.next(key))) {
            lanes.done(row.id);
        }
        assert!(lanes.leave(key, false, beside));
    }

    /// A thousand silent destinations of one sender, and every half minute a new one: it has a worker soon, and everything stays bounded.
    #[tokio::test(start_paused = true)]
    async fn who_is_silent_gives_its_place_to_another() {
        const SILENT: u64 = 1_000;
        let lanes = Arc::new(Lanes::new(400, 10, vec![60, 300]));
        let mut workers = tokio::task::JoinSet::new();
        let (mut came, mut waits) = (BTreeMap::new(), Vec::new());
        for tick in 0..1_800u64 {
            if tick % 2 == 0 {
                for id in 0..SILENT * 4 {
                    lanes.add(id % SILENT, row(id, 7), true);
                }
            }
            if tick % 60 == 2 {
                assert!(lanes.add(SILENT + tick, row(SILENT * 4 + tick, 7), true), "no room for who is new");
                came.insert(SILENT + tick, Instant::now());
            }
            for key in lanes.hire() {
                if let Some(came) = came.remove(&key) {
                    waits.push(came.elapsed());
                    lanes.next(key).iter().for_each(|row| lanes.done(row.id));
                    lanes.went(key, Went::Well);
                    assert!(lanes.leave(key, false, false));
                } else {
                    workers.spawn(knock(Arc::clone(&lanes), key));
                }
            }
            {
                let board = lanes.board();
                assert!(board.workers <= 400 && board.beside <= 800, "{} and {}", board.workers, board.beside);
                assert!(board.unanswered <= UNANSWERED_ALL_MAX && board.active.len() <= SENDER_MAX);
                let counted = board.lanes.values().filter(|lane| !lane.answered).map(|lane| lane.in_hand).sum::<usize>();
                assert_eq!(counted, board.unanswered);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let longest = waits.iter().max().copied().unwrap_or_default();
        assert!(waits.len() == 30 && longest <= Duration::from_secs(25), "{waits:?}");
        while workers.join_next().await.is_some() {}
        let board = lanes.board();
        assert_eq!((board.workers, board.beside, board.doubtful, board.unanswered), (0, 0, 0, 0));
    }
}
