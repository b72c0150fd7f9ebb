//! A connection's two directions, with what can happen to them: delay, crumbs, stall, silence, half-close, reset.
//!
//! Invariant: octets arrive in order or not at all; whoever waits is woken when anything changes. Every connection keeps
//! a record of which messages it carried and whether it was disturbed. Must not know: protocols.

use crate::chance::Chance;
use crate::mail;
use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Octets under way in one direction.
const WINDOW: usize = 64 * 1024;
/// Kept of what was written, to find numbers that span two writes.
const TAIL: usize = 32;

/// What happens to a direction at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Both sides lose the connection, and what is under way.
    Reset,
    /// From here on nothing arrives and nobody is told.
    Silence,
    /// The reader sees the end; what is written further is lost.
    HalfClose,
    /// Everything further comes this much later.
    Stall(u64),
}

/// How one direction behaves.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// At most so many octets at once.
    pub(crate) crumb: usize,
    pub(crate) delay_millis: (u64, u64),
    /// After so many octets.
    pub(crate) trouble: Option<(u64, Trouble)>,
}

/// What a connection was part of.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Ends of it: the servers by name.
    pub(crate) ends: Vec<String>,
    /// Numbers of messages written over it.
    pub(crate) carried: BTreeSet<u64>,
    /// TLS hides what it carried.
    pub(crate) veiled: bool,
    pub(crate) disturbed: Option<&'static str>,
    pub(crate) open: u8,
}

struct Lane {
    plan: Plan,
    queue: VecDeque<(Instant, Vec<u8>, usize)>,
    passed: u64,
    under_way: usize,
    last_arrival: Instant,
    /// Writes go nowhere.
    swallows: bool,
    ended: bool,
    reader_gone: bool,
    tail: Vec<u8>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Line {
    lanes: [Lane; 2],
    chance: Chance,
    reset: bool,
    record: Arc<Mutex<Record>>,
}

/// One end.
pub(crate) struct End {
    line: Arc<Mutex<Line>>,
    /// Writes lane `side`, reads the other.
    side: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Lane {
    fn new(plan: Plan) -> Lane {
        Lane {
            plan,
            queue: VecDeque::new(),
            passed: 0,
            under_way: 0,
            last_arrival: Instant::now(),
            swallows: false,
            ended: false,
            reader_gone: false,
            tail: Vec::new(),
            reader: None,
            writer: None,
        }
    }

    fn put(&mut self, octets: &[u8], delay: u64) {
        self.passed += octets.len() as u64;
        if self.swallows || octets.is_empty() {
            return;
        }
        self.last_arrival = self.last_arrival.max(Instant::now() + Duration::from_millis(delay));
        self.under_way += octets.len();
        self.queue.push_back((self.last_arrival, octets.to_vec(), 0));
        wake(&mut self.reader);
    }

    fn note(&mut self, octets: &[u8], record: &Mutex<Record>) {
        self.tail.extend_from_slice(octets);
        if let Some(number) = mail::number_in(&self.tail, mail::NUMBER) {
            // Only whole ones: the field's value ends with a semicolon.
            let text = format!("{}{number};", mail::NUMBER);
            if self.tail.windows(text.len()).any(|window| window == text.as_bytes()) {
                record.lock().unwrap_or_else(PoisonError::into_inner).carried.insert(number);
                self.tail.clear();
            }
        }
        let cut = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..cut);
    }
}

impl Line {
    fn strike(&mut self, side: usize, trouble: Trouble) {
        let what = match trouble {
            Trouble::Reset => {
                self.reset = true;
                "reset"
            }
            Trouble::Silence => {
                self.lanes[side].swallows = true;
                "silence"
            }
            Trouble::HalfClose => {
                self.lanes[side].swallows = true;
                self.lanes[side].ended = true;
                "half-close"
            }
            Trouble::Stall(millis) => {
                let lane = &mut self.lanes[side];
                lane.last_arrival = lane.last_arrival.max(Instant::now()) + Duration::from_millis(millis);
                "stall"
            }
        };
        self.record.lock().unwrap_or_else(PoisonError::into_inner).disturbed.get_or_insert(what);
        for lane in &mut self.lanes {
            wake(&mut lane.reader);
            wake(&mut lane.writer);
        }
    }
}

/// Two ends of one connection.
pub(crate) fn pair(plans: [Plan; 2], chance: Chance, record: Arc<Mutex<Record>>) -> (End, End) {
    record.lock().unwrap_or_else(PoisonError::into_inner).open = 2;
    let line = Line { lanes: plans.map(Lane::new), chance, reset: false, record };
    let line = Arc::new(Mutex::new(line));
    (End { line: Arc::clone(&line), side: 0, timer: None }, End { line, side: 1, timer: None })
}

impl End {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let side = self.side;
        let mut line = self.line();
        let line = &mut *line;
        if line.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let lane = &mut line.lanes[side];
        if lane.reader_gone && !lane.swallows {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = WINDOW.saturating_sub(lane.under_way);
        if room == 0 && !lane.swallows {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = octets.get(..octets.len().min(room.max(1))).unwrap_or(octets);
        lane.note(taken, &line.record);
        let (low, high) = lane.plan.delay_millis;
        let delay = line.chance.from(low, high);
        match lane.plan.trouble {
            Some((after, trouble)) if lane.passed + taken.len() as u64 > after => {
                lane.plan.trouble = None;
                let (before, behind) = taken.split_at(usize::try_from(after - lane.passed).unwrap_or(0));
                lane.put(before, delay);
                line.strike(side, trouble);
                line.lanes[side].put(behind, delay);
            }
            _ => lane.put(taken, delay),
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.line();
        let lane = &mut line.lanes[self.side];
        // Silence swallows the end as well.
        lane.ended |= !lane.swallows;
        wake(&mut lane.reader);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shared = Arc::clone(&this.line);
        let mut line = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if line.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let lane = &mut line.lanes[1 - this.side];
        let Some((arrival, octets, at)) = lane.queue.front_mut() else {
            if lane.ended {
                return Poll::Ready(Ok(()));
            }
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        if *arrival > Instant::now() {
            let mut timer = Box::pin(tokio::time::sleep_until(*arrival));
            if timer.as_mut().poll(cx).is_pending() {
                this.timer = Some(timer);
                lane.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        this.timer = None;
        let rest = octets.get(*at..).unwrap_or_default();
        let take = rest.len().min(lane.plan.crumb).min(buffer.remaining());
        buffer.put_slice(rest.get(..take).unwrap_or_default());
        *at += take;
        lane.under_way -= take;
        if *at >= octets.len() {
            lane.queue.pop_front();
        }
        wake(&mut lane.writer);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut line = self.line();
        let record = Arc::clone(&line.record);
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.open = record.open.saturating_sub(1);
        let lane = &mut line.lanes[self.side];
        lane.ended |= !lane.swallows;
        wake(&mut lane.reader);
        let lane = &mut line.lanes[1 - self.side];
        lane.reader_gone = true;
        lane.under_way = 0;
        lane.queue.clear();
        wake(&mut lane.writer);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn plan(crumb: usize, trouble: Option<(u64, Trouble)>) -> Plan {
        Plan { crumb, delay_millis: (3, 3), trouble }
    }

    fn made(there: Plan, back: Plan) -> (End, End, Arc<Mutex<Record>>) {
        let record = Arc::new(Mutex::new(Record::default()));
        let (a, b) = pair([there, back], Chance::new(1, "pipe", 0), Arc::clone(&record));
        (a, b, record)
    }

    #[tokio::test(start_paused = true)]
    async fn octets_arrive_late_in_crumbs_and_in_order() {
        let (mut a, mut b, record) = made(plan(1, None), plan(9, None));
        let began = Instant::now();
        a.write_all(b"X-Simulated: 12;").await.unwrap();
        drop(a);
        let mut all = Vec::new();
        assert_eq!(b.read(&mut [0; 9]).await.unwrap(), 1);
        b.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"-Simulated: 12;");
        assert_eq!(began.elapsed().as_millis(), 3);
        assert!(record.lock().unwrap().carried.contains(&12));
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_strikes_at_its_octet() {
        let (mut a, mut b, record) = made(plan(9, Some((3, Trouble::HalfClose))), plan(9, Some((1, Trouble::Reset))));
        a.write_all(b"abcdef").await.unwrap();
        let mut all = Vec::new();
        b.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"abc");
        assert_eq!(record.lock().unwrap().disturbed, Some("half-close"));
        b.write_all(b"xy").await.unwrap();
        assert_eq!(a.read(&mut [0; 9]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
