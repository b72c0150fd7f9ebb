//! One connection's worth of work: entries of one lane, one after the other, over one connection as long as it lasts.
//!
//! Invariant: each entry claimed is settled or its lease is left to end; a connection that was only stale is not the
//! message's fault and costs it no attempt. When nothing can be reached, all that waits in the lane is put off together; while
//! it is not known whether anything can, the worker does not keep others from theirs; nor does one that breaks.

use super::connect::{Open, Story, open};
use super::lanes::{LaneKey, Went};
use super::transaction::{self, Sent};
use super::{Outbound, local, settle};
use crate::context::unix_now;
use mta::queue::{Outcome, Verdict};
use net::Next;
use std::sync::Arc;
use std::time::Duration;
use store::{Claim, DueRow, QueueId};
use wire::smtp::client::Event;

/// Longer than any attempt may take.
const LEASE_SECS: u32 = 2 * 3600;
/// The longest attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(110 * 60);
/// An open connection waits this long for more.
const IDLE: Duration = Duration::from_secs(3);
/// Who is not reached by then is waited for beside the others.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What a worker has at hand. Dropped where it broke, it leaves its lane as if it had gone by itself: others get its place, and
/// the entry it broke over comes again when its lease ends.
struct Hand {
    outbound: Arc<Outbound>,
    key: LaneKey,
    /// The entry it works on.
    at: Option<QueueId>,
    connection: Option<Open>,
    /// Known for as long as this worker lives, which is only until its lane is empty.
    unreachable: Option<Outcome>,
    /// It was not let in beside others that are: it goes, and they do the work.
    crowded: bool,
    /// It gave its place to another.
    beside: bool,
    idle: bool,
    left: bool,
}

impl Hand {
    fn new(outbound: &Arc<Outbound>, key: LaneKey) -> Hand {
        let outbound = Arc::clone(outbound);
        Hand {
            outbound,
            key,
            at: None,
            connection: None,
            unreachable: None,
            crowded: false,
            beside: false,
            idle: false,
            left: false,
        }
    }
}

/// A connection that stands, for as long as it does.
pub(super) struct Reached {
    outbound: Arc<Outbound>,
    key: LaneKey,
}

impl Reached {
    fn new(outbound: &Arc<Outbound>, key: LaneKey) -> Reached {
        outbound.lanes.reached(key);
        Reached { outbound: Arc::clone(outbound), key }
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        self.outbound.lanes.closed(self.key);
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        if self.idle {
            self.outbound.lanes.busy(self.key);
        }
        if let Some(id) = self.at {
            self.outbound.lanes.done(id);
        }
        self.outbound.lanes.leave(self.key, true, self.beside);
    }
}

pub(super) async fn work(outbound: Arc<Outbound>, key: LaneKey) {
    let mut hand = Hand::new(&outbound, key);
    loop {
        let draining = *outbound.context.shutdown.borrow();
        let next = if draining { None } else { outbound.lanes.next(key) };
        let Some(row) = next else {
            if !draining && more(&mut hand).await {
                continue;
            }
            if let Some(open) = hand.connection.take() {
                open.quit().await;
            }
            hand.left = outbound.lanes.leave(key, draining, hand.beside);
            if hand.left {
                return;
            }
            continue;
        };
        hand.at = Some(row.id);
        if let Some(claim) = claim(&outbound, row).await {
            attempt(&outbound, key, &claim, &mut hand).await;
        }
        hand.at = None;
        outbound.lanes.done(row.id);
        if hand.crowded {
            hand.left = outbound.lanes.leave(key, true, hand.beside);
            return;
        }
    }
}

async fn claim(outbound: &Outbound, row: DueRow) -> Option<Claim> {
    let store = &outbound.context.store;
    let claimed = match store.queue_claim(row.id, unix_now(), LEASE_SECS).await {
        Ok(Some(claim)) => return Some(claim),
        // Gone, held, frozen, or somebody else's; and if its row is all that is left of it, that goes too.
        Ok(None) => store.queue_forget_due(row.due_secs, row.id).await,
        Err(error) => Err(error),
    };
    if let Err(error) = claimed {
        tracing::error!(?error, id = row.id.0, "a queue entry could not be claimed");
    }
    None
}

/// What the outcomes say about the lane: it wants less of us when it put everybody off. `None`: it said nothing.
fn how(outcomes: &[Option<Outcome>]) -> Option<Went> {
    let mut told = outcomes.iter().flatten().filter(|outcome| outcome.host.is_some()).peekable();
    told.peek()?;
    Some(if told.all(|outcome| outcome.verdict == Verdict::Deferred) { Went::Busy } else { Went::Well })
}

/// Waits a little for more of the same lane, if there is a connection to use it on.
async fn more(hand: &mut Hand) -> bool {
    let Some(open) = &mut hand.connection else { return false };
    let wake = hand.outbound.lanes.idle(hand.key);
    hand.idle = true;
    let mut shutdown = hand.outbound.context.shutdown.clone();
    let came = tokio::select! {
        biased;
        () = wake.notified() => true,
        // Nothing is expected from the server now: whatever comes, it means the end.
        () = lost(open) => { hand.connection = None; false }
        () = tokio::time::sleep(IDLE) => false,
        down = shutdown.wait_for(|down| *down) => { drop(down); false }
    };
    hand.outbound.lanes.busy(hand.key);
    hand.idle = false;
    came
}

async fn lost(open: &mut Open) {
    while let Next::Event(event) = open.connection.next(&mut open.client).await {
        match event {
            Event::Ready => open.ready = true,
            Event::Failed(_) => return,
            Event::WantsBody | Event::Outcome(_) => {}
        }
    }
}

async fn attempt(outbound: &Outbound, key: LaneKey, claim: &Claim, hand: &mut Hand) {
    if local::is_local(outbound, &claim.entry.message.destination) {
        local::deliver(outbound, claim).await;
        // We are there.
        return outbound.lanes.went(key, Went::Well);
    }
    let mut story = Story::new();
    let sending = send(outbound, key, claim, hand, &mut story);
    let outcomes = match tokio::time::timeout(ATTEMPT_MAX, sending).await {
        Ok(Some(outcomes)) => outcomes,
        Ok(None) => return settle::put_back(outbound, claim).await,
        Err(_) => {
            hand.connection = None;
            settle::same(claim, &Outcome::deferred((4, 4, 7), "The attempt took too long"))
        }
    };
    settle::settle(outbound, claim, &outcomes, (Vec::new(), &story)).await;
    if let Some(open) = &mut hand.connection {
        open.ending = None;
    }
    if let Some(open) = hand.connection.take_if(|open| !open.takes_more()) {
        open.quit().await;
    }
}

/// What came of it for each recipient. `None`: nothing was tried, for there are as many connections as are let in.
async fn send(
    outbound: &Outbound,
    key: LaneKey,
    claim: &Claim,
    hand: &mut Hand,
    story: &mut Story,
) -> Option<Vec<Option<Outcome>>> {
    if let Some(outcome) = &hand.unreachable {
        return Some(all_the_same(outbound, claim, outcome, story).await);
    }
    loop {
        let mut open = match hand.connection.take() {
            Some(open) => open,
            None => match reach(outbound, key, &claim.entry.message.destination, &mut hand.beside, story).await {
                Ok(open) => Open { _reached: Some(Reached::new(&hand.outbound, key)), ..open },
                Err(outcome) if outcome.verdict == Verdict::Deferred && outbound.lanes.is_crowded(key) => {
                    tracing::info!(id = claim.entry.id.0, said = %outcome.reply_line(), "not let in beside others that are");
                    hand.crowded = true;
                    return None;
                }
                Err(outcome) => {
                    let outcomes = all_the_same(outbound, claim, &outcome, story).await;
                    // A domain that is not there, or takes no mail, is an answer.
                    if outcome.verdict == Verdict::Deferred {
                        outbound.lanes.went(key, Went::Unreachable);
                    }
                    hand.unreachable = Some(outcome);
                    return Some(outcomes);
                }
            },
        };
        let reused = open.sent > 0;
        match transaction::send(outbound, claim, &mut open).await {
            Sent::Stale if reused => {}
            Sent::Stale => {
                let outcome = Outcome::deferred((4, 4, 2), format!("{}: the connection was lost", open.host));
                return Some(settle::same(claim, &outcome));
            }
            Sent::Done { outcomes, usable } => {
                if let Some(went) = how(&outcomes) {
                    outbound.lanes.went(key, went);
                }
                hand.connection = usable.then_some(open);
                return Some(outcomes);
            }
        }
    }
}

/// The way to a destination. A worker that is not there soon waits on beside the others.
async fn reach(
    outbound: &Outbound,
    key: LaneKey,
    destination: &str,
    beside: &mut bool,
    story: &mut Story,
) -> Result<Open, Outcome> {
    let mut opening = std::pin::pin!(open(outbound, destination, false, story));
    let opened = loop {
        tokio::select! {
            biased;
            opened = &mut opening => break opened,
            () = tokio::time::sleep(PATIENCE), if !*beside => *beside = outbound.lanes.linger(key),
        }
    };
    if *beside && opened.is_ok() {
        *beside = !outbound.lanes.resume(key);
    }
    opened
}

/// Nobody could be reached. What says that it would rather go in the clear than not at all is tried so where only a policy
/// about TLS stands in the way.
async fn all_the_same(outbound: &Outbound, claim: &Claim, outcome: &Outcome, story: &mut Story) -> Vec<Option<Outcome>> {
    let by_policy = outcome.status == (4, 7, 5) && !claim.entry.message.service.require_tls;
    if by_policy
        && transaction::tls_is_optional(outbound, claim).await
        && let Ok(mut open) = open(outbound, &claim.entry.message.destination, true, story).await
        && let Sent::Done { outcomes, usable } = transaction::send(outbound, claim, &mut open).await
    {
        // For this one message: others must not follow it.
        if usable {
            open.quit().await;
        }
        return outcomes;
    }
    settle::same(claim, outcome)
}
