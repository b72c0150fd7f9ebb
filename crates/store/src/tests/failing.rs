//! Any one call of the engine may fail: what was acknowledged is there, what was not is there whole or not at all.
use super::durability::{killed, lose_index_log, queue_entry, seen};
use super::*;
use crate::engine::embedded::{Faults, Tuning};
use crate::engine::memory::Memory;
use std::collections::BTreeMap;

const ANN: AccountId = AccountId(1);
const INBOX: MailboxId = MailboxId(1);
const ROUNDS: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Here { flags: u8 },
    Gone,
}

/// What was acknowledged.
#[derive(Debug)]
struct Known {
    archive: MailboxId,
    rows: BTreeMap<(MailboxId, Uid), Row>,
    /// Of messages that nobody copies: they are in one place, whatever became of their moving.
    single: BTreeMap<usize, Uid>,
    /// How often each was tried, or that it is settled.
    queue: BTreeMap<QueueId, Option<u32>>,
}

impl Known {
    /// Neither how it was nor how it was to be is promised.
    fn doubt(&mut self, at: (MailboxId, Uid)) {
        self.rows.remove(&at);
    }

    async fn take_in(&mut self, store: &Store, number: usize) -> Option<Uid> {
        let mut one = acceptance(text(number), &[ANN]);
        one.queue.push(queue_entry("carol@there.test"));
        let accepted = store.accept(one).await.ok()?;
        let uid = accepted.delivered[0].2;
        self.rows.insert((INBOX, uid), Row::Here { flags: 0 });
        self.queue.insert(accepted.queued[0], Some(0));
        Some(uid)
    }

    async fn flag(&mut self, store: &Store, uid: Uid, flags: u8) {
        let wanted = Flags { system: flags, keywords: None };
        match store.flags(ANN, INBOX, &[uid], FlagOp::Replace, &wanted, None).await {
            Ok(changed) if !changed.rows.is_empty() => drop(self.rows.insert((INBOX, uid), Row::Here { flags })),
            Ok(_) => {}
            Err(_) => self.doubt((INBOX, uid)),
        }
    }

    /// What stands at the new place is what stood at the old one.
    fn arrived(&mut self, copied: &Copied) {
        for (from, to) in &copied.pairs {
            if let Some(row) = self.rows.get(&(INBOX, *from)).copied() {
                self.rows.insert((self.archive, *to), row);
            }
        }
    }

    async fn copy(&mut self, store: &Store, uid: Uid) {
        if let Ok(copied) = store.copy(ANN, INBOX, &[uid], self.archive).await {
            self.arrived(&copied);
        }
    }

    async fn carry(&mut self, store: &Store, uid: Uid) {
        match store.move_(ANN, INBOX, &[uid], self.archive, NOW).await {
            Ok(copied) => {
                self.arrived(&copied);
                self.rows.extend(copied.pairs.iter().map(|(from, _)| ((INBOX, *from), Row::Gone)));
            }
            Err(_) => self.doubt((INBOX, uid)),
        }
    }

    async fn expunge(&mut self, store: &Store, uid: Uid) {
        match store.expunge(ANN, INBOX, &[uid], NOW).await {
            Ok(gone) => self.rows.extend(gone.into_iter().map(|uid| ((INBOX, uid), Row::Gone))),
            Err(_) => self.doubt((INBOX, uid)),
        }
    }

    /// The first that is due is sent, or put off.
    async fn send(&mut self, store: &Store, delivered: bool) {
        let Ok((due, _)) = store.queue_due(NOW, 1).await else { return };
        let Some(entry) = due.first() else { return };
        let Ok(Some(claim)) = store.queue_claim(entry.id, NOW, 60).await else { return };
        let mut recipients = claim.entry.message.recipients.clone();
        if delivered {
            recipients[0].state = RecipientState::Delivered;
        }
        let settlement = Settlement {
            recipients,
            next_secs: NOW + 600,
            attempted: true,
            notices: Vec::new(),
            trace: Vec::new(),
            bounced: Vec::new(),
            now_secs: NOW,
        };
        match store.queue_settle(&claim, settlement).await {
            Ok(()) => drop(self.queue.insert(entry.id, (!delivered).then_some(entry.attempts + 1))),
            Err(_) => drop(self.queue.remove(&entry.id)),
        }
    }
}

/// Acts one after another; what was acknowledged is noted, what failed is not.
async fn try_life(store: &Store, archive: MailboxId) -> Known {
    let mut known = Known { archive, rows: BTreeMap::new(), single: BTreeMap::new(), queue: BTreeMap::new() };
    let mut uids: BTreeMap<usize, Uid> = BTreeMap::new();
    for round in 0..ROUNDS {
        if let Some(uid) = known.take_in(store, round).await {
            uids.insert(round, uid);
        }
        if let Some(uid) = uids.get(&(round / 2)) {
            known.flag(store, *uid, Flags::SEEN << (round % 3)).await;
        }
        match (uids.get(&round), round % 2) {
            (Some(uid), 0) => known.copy(store, *uid).await,
            (Some(uid), _) => {
                known.single.insert(round, *uid);
                known.carry(store, *uid).await;
            }
            (None, _) => {}
        }
        if let (Some(uid), 1) = (uids.get(&(round.wrapping_sub(1))), round % 2) {
            known.expunge(store, *uid).await;
        }
        known.send(store, round % 3 != 0).await;
    }
    known
}

async fn holds(store: &Store, known: &Known) {
    let mut texts: Vec<Bytes> = Vec::new();
    for mailbox in [INBOX, known.archive] {
        let rows = store.snapshot(ANN, mailbox).await.unwrap().rows;
        for ((_, uid), row) in known.rows.iter().filter(|((at, _), _)| *at == mailbox) {
            let found = rows.iter().find(|row| row.uid == *uid).map_or(Row::Gone, |row| Row::Here { flags: row.flags.system });
            assert_eq!(found, *row, "{mailbox:?} {uid:?}");
        }
        for row in rows.iter() {
            texts.push(store.body(ANN, row.email, 0, u64::MAX).await.unwrap());
        }
    }
    for number in known.single.keys() {
        assert_eq!(texts.iter().filter(|found| **found == text(*number)).count(), 1, "number {number} is in one place");
    }
    let entries = store.queue_list(None, 1000).await.unwrap();
    for (id, tried) in &known.queue {
        let found = entries.iter().find(|entry| entry.id == *id);
        assert_eq!(found.map(|entry| entry.attempts), *tried, "{id:?}");
        if let Some(entry) = found {
            store.queue_body(entry.body, 0, u64::MAX).await.unwrap();
        }
    }
    sound(store).await;
}

async fn archive(store: &Store) -> MailboxId {
    store.mailbox(ANN, "Archive").await.unwrap().unwrap().id
}

/// Every `step`th call of a run fails, the `first` of them first.
async fn fail_each_call(error: StoreError, first: i64, step: usize, tuning: Tuning) {
    let mut done = 0;
    for calls in (first..).step_by(step) {
        println!("call {calls}");
        let place = Place::new();
        let faults = Arc::new(Faults::default());
        // Small segments, so that making one fails, too.
        let tuning = Tuning { faults: faults.clone(), segment_bytes: 3000, ..tuning.clone() };
        let store = Store::open_with(place.config(), tuning).await.unwrap();
        ann(&store).await;
        let archive = archive(&store).await;
        faults.fail_after(calls, error.clone());
        let known = try_life(&store, archive).await;
        let clean = faults.is_set();
        faults.fail_after(i64::MAX, error.clone());
        holds(&store, &known).await;
        let copy = killed(&place);
        lose_index_log(&copy);
        let again = copy.open().await;
        holds(&again, &known).await;
        assert_eq!(seen(&store).await, seen(&again).await);
        done += 1;
        if clean {
            assert!(calls > 20 && known.queue.len() == ROUNDS && known.rows.len() > 2 * ROUNDS - 2, "{calls} {known:?}");
            break;
        }
    }
    println!("{done} runs");
}

fn io() -> StoreError {
    StoreError::Io("EIO".into())
}

/// Each day another slice, all of them within days; `STORE_FAIL_STEP=1` (`make soak`) takes every call. What fails says which
/// call it was: `STORE_FAIL_FIRST=n` begins there.
fn slice() -> (i64, usize) {
    let told = |name| std::env::var(name).ok().map(|told| told.parse::<u32>().unwrap());
    let step = told("STORE_FAIL_STEP").unwrap_or(5);
    let days = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let first = told("STORE_FAIL_FIRST").map_or(days % u64::from(step), u64::from);
    (first.try_into().unwrap(), step.try_into().unwrap())
}

#[tokio::test]
async fn any_even_call_may_fail_by_error() {
    fail_each_call(io(), 0, 2, Tuning::default()).await;
}

#[tokio::test]
async fn any_odd_call_may_fail_by_error() {
    fail_each_call(io(), 1, 2, Tuning::default()).await;
}

#[tokio::test]
async fn any_call_may_fail_where_acts_commit_at_once() {
    let (first, step) = slice();
    fail_each_call(io(), first, step, Tuning::at_once()).await;
}

#[tokio::test]
async fn a_disk_may_be_full_at_any_call_and_free_again() {
    let (first, step) = slice();
    fail_each_call(StoreError::NoSpace, first, step, Tuning::default()).await;
}

#[tokio::test]
async fn a_disk_may_be_full_where_acts_commit_at_once() {
    let (first, step) = slice();
    fail_each_call(StoreError::NoSpace, first, step, Tuning::at_once()).await;
}

#[tokio::test]
async fn any_one_call_of_the_memory_engine_may_fail() {
    for error in [io(), StoreError::NoSpace] {
        for calls in 0.. {
            let engine = Arc::new(Memory::default());
            let store = Store::on_engine(Place::new().config(), Box::new(engine.clone()), None, None).await.unwrap();
            ann(&store).await;
            let archive = archive(&store).await;
            engine.fail_after(calls, error.clone());
            let known = try_life(&store, archive).await;
            let clean = engine.fault_is_set();
            engine.fail_after(u64::MAX, StoreError::NoSpace);
            holds(&store, &known).await;
            let crashed = Store::on_engine(Place::new().config(), Box::new(engine.crash()), None, None).await.unwrap();
            holds(&crashed, &known).await;
            if clean {
                break;
            }
        }
    }
}
