//! Group commit: one thread takes all waiting batches, appends them to the segment, syncs once, commits the index,
//! answers all in order. Where nobody waits and a sync costs less than waking that thread, the submitter does it itself.
//!
//! Invariant: nothing is answered `Done` before its record is synced and its rows are readable; a group fails as one,
//! and what it left behind in the segment is cut off before anything else is written. Who commits holds the committer's
//! lock until the answers are given, and a batch overtakes none that was submitted before it. Behind the end of the
//! stream lie only zeros, or what a group that failed left behind.
//! Must not know: what batches mean.

use super::embedded::Shared;
use super::index::{self, Position};
use super::overlay::View;
use super::segment::{self, Bodies, BodyEntry, FILE_HEAD, FileHead, SegmentFile, batch_front};
use super::stage::{BodyActs, Stage};
use super::{Batch, OnCommit, Outcome, io_error};
use crate::limits::{
    AT_ONCE_BYTES_MAX, GROUP_BATCHES_MAX, GROUP_BYTES_MAX, GROUP_EXPECT_MAX, GROUP_WAIT, INDEX_ROWS_AT_ONCE,
    INDEX_ROWS_BEHIND_MAX, ROOM_BYTES, ROOM_GROUP_BYTES_MAX,
};
use crate::spool::Content;
use crate::types::{Spooled, StoreError};
use rusqlite::Connection;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, StoreError>;

/// What decides who commits.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Batches handed to the thread and not answered yet.
    waiting: AtomicUsize,
    /// What an append with its sync costs lately; unknown at first.
    append_nanos: AtomicU64,
    /// What costs less than this is done by the submitter.
    cheap: Duration,
    /// What costs less than this is, too, while one writes at a time.
    soon: Duration,
    /// How many acts at once recent groups have seen.
    crowd: AtomicUsize,
}

impl Pace {
    pub(crate) fn new(cheap: Duration, soon: Duration) -> Pace {
        let (waiting, append_nanos) = (AtomicUsize::new(0), AtomicU64::new(u64::MAX));
        Pace { waiting, append_nanos, cheap, soon, crowd: AtomicUsize::new(1) }
    }
    fn saw(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let before = self.append_nanos.load(Ordering::Relaxed);
        // A dear one counts at once, cheap ones little by little.
        let now = if before == u64::MAX { took } else { (before / 8 * 7 + took / 8).max(took / 4) };
        self.append_nanos.store(now, Ordering::Relaxed);
    }
    fn costs_less_than(&self, limit: Duration) -> bool {
        u128::from(self.append_nanos.load(Ordering::Relaxed)) < limit.as_nanos()
    }
    fn is_cheap(&self) -> bool {
        self.costs_less_than(self.cheap)
    }
    /// One writes at a time, and waking a thread for it would cost about as much as the sync.
    fn is_soon(&self) -> bool {
        self.crowd() <= 1 && self.costs_less_than(self.soon)
    }
    /// How many write at once, as recent groups tell.
    fn crowd(&self) -> usize {
        self.crowd.load(Ordering::Relaxed)
    }
    /// Only the thread changes it.
    fn set_crowd(&self, crowd: usize) {
        self.crowd.store(crowd, Ordering::Relaxed);
    }
    /// One more for the thread.
    pub(crate) fn hand_over(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }
    /// So many were answered, or not taken.
    pub(crate) fn answered(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::SeqCst);
    }
    /// May this batch be committed where it is submitted: nobody is before it, and it is soon done?
    pub(crate) fn is_at_once(&self, batch: &Batch) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
            && (batch.light || self.is_cheap() || self.is_soon())
            && batch.bodies.iter().map(|body| body.content.len()).sum::<u64>() <= AT_ONCE_BYTES_MAX
    }
}

/// A batch on its way.
pub(crate) struct Job {
    pub(crate) batch: Batch,
    pub(crate) on_commit: OnCommit,
}

/// Told between groups, when all that was committed is in the index.
pub(crate) type Control = Box<dyn FnOnce() + Send>;

pub(crate) enum Message {
    Job(Box<Job>),
    Control(Control),
    Stop,
}

/// The segment being written.
struct Tail {
    head: FileHead,
    file: File,
    end: u64,
    /// The file has zeros up to here: what is written over them does not change the file's size, so its sync needs
    /// nothing from the file system's journal.
    room_end: u64,
}

impl Tail {
    /// Writes zeros behind a small group that ends at `at`, up to `limit`, when the room is used up; its sync covers them.
    fn make_room(&mut self, begin: u64, at: u64, limit: u64) {
        if at <= self.room_end || at - begin > ROOM_GROUP_BYTES_MAX {
            return;
        }
        let room = vec![0; usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX).min(ROOM_BYTES)];
        // Without them only the next syncs cost more.
        if self.file.write_all_at(&room, at).is_ok() {
            self.room_end = at + room.len() as u64;
        }
    }
    /// Best effort: the head of the next file says where this one ends, with authority.
    fn give_room_back(&mut self) {
        let _ = self.file.set_len(self.end);
        self.room_end = self.end;
    }
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// Reads the index under the layers that only this thread pushes.
    connection: Connection,
    position: Position,
    tail: Option<Tail>,
    /// Where the stream ended when its last segment was given up.
    given_up: Option<(u32, u64)>,
    /// The store is closed.
    closed: bool,
}

enum Chunk {
    Bytes(u64, Vec<u8>),
    Body(u64, Spooled),
}

/// A group being laid out.
struct Layout {
    stage: Stage,
    chunks: Vec<Chunk>,
    /// Where the group begins, and where its next octet goes.
    start: u64,
    at: u64,
    group: u64,
    durable: bool,
}

impl Layout {
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(Chunk::Bytes(_, last)) = self.chunks.last_mut() {
            last.extend_from_slice(bytes);
        } else {
            self.chunks.push(Chunk::Bytes(self.at, bytes.to_vec()));
        }
        self.at += bytes.len() as u64;
    }
    fn body(&mut self, content: &Spooled) {
        match &content.inner.content {
            Content::Memory(bytes) => self.bytes(bytes),
            Content::File(_, length) => {
                self.chunks.push(Chunk::Body(self.at, content.clone()));
                self.at += length;
            }
        }
    }
}

impl Committer {
    /// Goes on behind `position`, where replay ended.
    pub(crate) fn new(shared: Arc<Shared>, connection: Connection, position: Position) -> Result<Committer> {
        let mut committer = Committer { shared, connection, position, tail: None, given_up: None, closed: false };
        if position.end > 0 {
            let path = committer.shared.segment_path(position.file);
            if !path.exists() {
                let told = format!("{} is missing; `packetboat rebuild` makes do without it", path.display());
                return Err(StoreError::Damaged(told));
            }
            match SegmentFile::open(&path)? {
                Some(SegmentFile { head, .. }) => {
                    let file = File::options().read(true).write(true).open(&path).map_err(|error| io_error(&error))?;
                    committer.tail = Some(Tail { head, file, end: position.end, room_end: position.end });
                }
                // The index still knows where its bodies lie; new records go to the next file.
                None => committer.given_up = Some((position.order, position.end)),
            }
        }
        Ok(committer)
    }

    /// Commits a batch for its submitter; gives it back where the thread must.
    pub(crate) fn at_once(&mut self, job: Job) -> Option<Job> {
        let is_behind = self.shared.overlay.weight() >= INDEX_ROWS_BEHIND_MAX;
        if self.closed || is_behind || !self.shared.pace.is_at_once(&job.batch) {
            return Some(job);
        }
        for (on_commit, outcome) in self.commit_group(vec![job]) {
            on_commit(&outcome);
        }
        None
    }

    /// The index first gets all that was committed before; dropped when it cannot.
    fn control(&self, control: Control) {
        match self.shared.write_behind(|_| Ok(())) {
            Ok(()) => control(),
            Err(error) => tracing::warn!(?error, "the index could not be brought up"),
        }
    }

    fn commit_group(&mut self, jobs: Vec<Job>) -> Vec<(OnCommit, Outcome)> {
        let estimate: u64 =
            jobs.iter().map(|job| 4096 + job.batch.bodies.iter().map(|body| body.content.len()).sum::<u64>()).sum();
        let durable = jobs.iter().any(|job| !job.batch.light);
        let ready = if durable { self.keep_up().and_then(|()| self.tail_for(estimate)) } else { Ok(()) };
        let at = self.tail.as_ref().map_or(0, |tail| tail.end);
        let group = self.position.group + 1;
        let mut layout = Layout { stage: Stage::default(), chunks: Vec::new(), start: at, at, group, durable: false };
        let mut answers = Vec::with_capacity(jobs.len());
        // Nobody else pushes, so what leaves the layers meanwhile is in the index with the same content.
        let (layers, _) = self.shared.overlay.layers();
        for job in jobs {
            let outcome = match &ready {
                Err(error) if !job.batch.light => Outcome::Failed(error.clone()),
                _ => match self.lay_out(&mut layout, &layers, job.batch) {
                    Ok(true) => Outcome::Done,
                    Ok(false) => Outcome::Conflict,
                    Err(error) => Outcome::Failed(error),
                },
            };
            answers.push((job.on_commit, outcome));
        }
        drop(layers);
        if answers.iter().any(|(_, outcome)| *outcome == Outcome::Done)
            && let Err(error) = self.make_durable(layout)
        {
            tracing::error!(?error, "a group of acts failed");
            for (_, outcome) in answers.iter_mut().filter(|(_, outcome)| *outcome == Outcome::Done) {
                *outcome = Outcome::Failed(error.clone());
            }
        }
        answers
    }

    /// Stages one batch and lays out its record.
    fn lay_out(&self, layout: &mut Layout, layers: &[Arc<Stage>], batch: Batch) -> Result<bool> {
        let under = View { layers, connection: &self.connection };
        if !layout.stage.expects_hold(&under, &batch.expects)? {
            return Ok(false);
        }
        let tail = self.tail.as_ref();
        let (salt, place) = tail.map_or((0, (0, 0)), |tail| (tail.head.salt, (tail.head.number, tail.head.order)));
        let bodies = Bodies::of(&batch)?;
        let place_in_group = (layout.group, layout.at - layout.start);
        let front =
            if batch.light { Vec::new() } else { batch_front(&batch, &bodies, crate::key::is_logged, place_in_group, salt)? };
        let mut at = layout.at + front.len() as u64;
        let mut new: Vec<(BodyEntry, u64)> = Vec::with_capacity(bodies.new.len());
        for entry in bodies.new {
            let length = entry.len;
            new.push((entry, at));
            at += length;
        }
        let acts = BodyActs { new: &new, retain: &bodies.retain, release: &bodies.release, place, lenient: false };
        if !layout.stage.take_in(&under, batch.writes, &acts)? {
            return Ok(false);
        }
        for body in &batch.bodies {
            if let Some(note) = &body.note {
                layout.stage.take_note(&under, body.id.0, note.clone())?;
            }
        }
        for (id, note) in batch.notes {
            layout.stage.take_note(&under, id.0, note)?;
        }
        if !batch.light {
            layout.durable = true;
            layout.bytes(&front);
            batch.bodies.iter().for_each(|body| layout.body(&body.content));
        }
        self.shared.counts.batches.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    fn make_durable(&mut self, layout: Layout) -> Result<()> {
        if layout.durable
            && let Err(error) = self.append(&layout)
        {
            // After a failed sync the octets on disk are unknown: nothing may be written behind them.
            self.give_up_tail();
            return Err(error);
        }
        let position = match &self.tail {
            Some(tail) if layout.durable => {
                Position { order: tail.head.order, end: layout.at, group: layout.group, file: tail.head.number }
            }
            _ => self.position,
        };
        self.position = position;
        // Without a record the position may still be in the file before.
        if let Some(tail) = self.tail.as_mut().filter(|_| layout.durable) {
            tail.end = position.end.max(FILE_HEAD);
        }
        let gone: Vec<u64> = layout.stage.gone().collect();
        self.shared.overlay.push(layout.stage, position, INDEX_ROWS_AT_ONCE);
        self.shared.forget_bodies(gone.into_iter());
        Ok(())
    }

    fn append(&mut self, layout: &Layout) -> Result<()> {
        let Some(tail) = &mut self.tail else {
            return Err(StoreError::Io("no segment".into()));
        };
        self.shared.tuning.faults.tick()?;
        let begun = Instant::now();
        for chunk in &layout.chunks {
            match chunk {
                Chunk::Bytes(at, bytes) => tail.file.write_all_at(bytes, *at),
                Chunk::Body(at, content) => segment::write_body(&tail.file, *at, content),
            }
            .map_err(|error| io_error(&error))?;
        }
        if !self.shared.pace.is_cheap() {
            tail.make_room(layout.start, layout.at, self.shared.tuning.segment_bytes);
        }
        self.shared.tuning.faults.sync(tail.head.number, &tail.file, layout.at)?;
        self.shared.pace.saw(begun.elapsed());
        self.shared.counts.syncs.fetch_add(1, Ordering::Relaxed);
        self.shared.counts.groups.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Too far behind: then the index is written here, and where that fails nothing more is taken.
    fn keep_up(&self) -> Result<()> {
        if self.shared.overlay.weight() < INDEX_ROWS_BEHIND_MAX {
            return Ok(());
        }
        self.shared.write_behind(|_| Ok(()))
    }

    /// No more into this file; the next one says where the stream left it.
    fn give_up_tail(&mut self) {
        if let Some(mut tail) = self.tail.take() {
            tail.give_room_back();
            self.given_up = Some((tail.head.order, tail.end));
        }
    }

    /// A segment with room for `more` octets.
    fn tail_for(&mut self, more: u64) -> Result<()> {
        if self.tail.as_ref().is_some_and(|tail| tail.end <= FILE_HEAD || tail.end + more <= self.shared.tuning.segment_bytes) {
            return Ok(());
        }
        if let Some(tail) = &mut self.tail {
            tail.give_room_back();
        }
        let previous = self.tail.as_ref().map(|tail| (tail.head.order, tail.end)).or(self.given_up);
        let number = self.shared.next_file.fetch_add(1, Ordering::Relaxed);
        let order = previous.map_or(1, |(order, _)| order + 1);
        let head = FileHead::fresh(number, order, previous);
        self.shared.tuning.faults.tick()?;
        let path = self.shared.segment_path(number);
        // A file that is there already is not ours to remove.
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| io_error(&error))?;
        let begin = || {
            file.write_all_at(&head.encode(), 0)?;
            file.sync_all()?;
            segment::sync_folder(&self.shared.segments)
        };
        begin().map_err(|error: std::io::Error| {
            let _ = std::fs::remove_file(&path);
            io_error(&error)
        })?;
        self.shared.counts.syncs.fetch_add(2, Ordering::Relaxed);
        self.tail = Some(Tail { head, file, end: FILE_HEAD, room_end: FILE_HEAD });
        self.given_up = None;
        Ok(())
    }
}

/// The thread: until told to stop or nobody can submit any more, or somebody panicked while committing.
pub(crate) fn run(committer: &Mutex<Committer>, shared: &Shared, receiver: &Receiver<Message>) {
    let mut waiting: Vec<Job> = Vec::new();
    loop {
        let mut controls = Vec::new();
        let mut going_on = gather(&shared.pace, receiver, &mut waiting, &mut controls);
        let rest = split_group(&mut waiting);
        let group = std::mem::replace(&mut waiting, rest);
        let (count, size) = (group.len(), durable(&group));
        let Ok(mut committer) = committer.lock() else { return };
        let answers = committer.commit_group(group);
        // What came while this group was being made durable tells how many write at once.
        going_on &= drain(receiver, &mut waiting, &mut controls);
        shared.pace.set_crowd(shared.pace.crowd().max(size + durable(&waiting)).min(GROUP_EXPECT_MAX));
        for (on_commit, outcome) in answers {
            on_commit(&outcome);
        }
        for control in controls {
            committer.control(control);
        }
        shared.pace.answered(count);
        if !going_on && waiting.is_empty() {
            if let Some(tail) = &mut committer.tail {
                tail.give_room_back();
            }
            committer.closed = true;
            break;
        }
    }
    if let Err(error) = shared.write_behind(|connection| index::fold(connection, "TRUNCATE")) {
        tracing::warn!(?error, "the index is left behind the segments; the next start brings it up");
    }
}

/// Waits for the first batch, then shortly for those recent groups lead to expect. False: time to stop.
fn gather(pace: &Pace, receiver: &Receiver<Message>, waiting: &mut Vec<Job>, controls: &mut Vec<Control>) -> bool {
    if waiting.is_empty() {
        match receiver.recv() {
            Ok(Message::Job(job)) => waiting.push(*job),
            Ok(Message::Control(control)) => controls.push(control),
            Ok(Message::Stop) | Err(_) => return false,
        }
    }
    if !drain(receiver, waiting, controls) {
        return false;
    }
    let until = Instant::now() + GROUP_WAIT;
    let mut ready = durable(waiting);
    // A cheap sync is worth no wait.
    while ready > 0 && !pace.is_cheap() && controls.is_empty() && ready < pace.crowd() {
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Message::Job(job)) => {
                ready += usize::from(!job.batch.light);
                waiting.push(*job);
            }
            Ok(Message::Control(control)) => controls.push(control),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                pace.set_crowd((pace.crowd() * 3 / 4).max(ready).max(1));
                break;
            }
        }
    }
    true
}

fn drain(receiver: &Receiver<Message>, waiting: &mut Vec<Job>, controls: &mut Vec<Control>) -> bool {
    while waiting.len() < GROUP_BATCHES_MAX {
        match receiver.try_recv() {
            Ok(Message::Job(job)) => waiting.push(*job),
            Ok(Message::Control(control)) => controls.push(control),
            Ok(Message::Stop) => return false,
            Err(_) => break,
        }
    }
    true
}

/// How many of these nobody may answer before a sync: only they are worth waiting for.
fn durable(jobs: &[Job]) -> usize {
    jobs.iter().filter(|job| !job.batch.light).count()
}

/// Leaves in `waiting` what makes one group; gives back the rest.
fn split_group(waiting: &mut Vec<Job>) -> Vec<Job> {
    let mut bytes = 0u64;
    let fits = |job: &Job| {
        bytes += job.batch.bodies.iter().map(|body| body.content.len()).sum::<u64>();
        bytes <= GROUP_BYTES_MAX
    };
    let take = waiting.iter().map(fits).take_while(|fit| *fit).count().max(1).min(waiting.len());
    waiting.split_off(take)
}
