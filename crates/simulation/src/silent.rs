//! A crowd of destinations that never answer, and now and then a new one that does: how long that one waits. And a letter
//! to one of them, for weeks.
//!
//! Invariant: everything is sent by one sender, and what lives was never written to before, so that nothing but its answer
//! sets it apart. Must not know: how the queue chooses.

use crate::office::Office;
use crate::world::{World, in_virtual_time};
use message::facts::Facts;
use std::sync::Arc;
use std::time::Duration;
use store::{Acceptance, NewQueueEntry, QueueRecipient, QueueService, RecipientState, Spooled, Store, StoreError, UnixSecs};
use tokio::time::Instant;

/// Who writes to them all.
const SENDER: &str = "alice@alpha.test";
/// Messages for each of the crowd.
const EACH: u64 = 2;
/// Days that they are tried.
const DAYS: i64 = 5;
/// Between two that live.
const PAUSE: Duration = Duration::from_secs(60);
/// Nobody waits longer.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// How it went.
#[derive(Debug, Default)]
pub struct Crowd {
    /// How long each that lives waited for its message, virtual seconds.
    pub waited_secs: Vec<f64>,
    /// Connections at once, at most, that nobody answered.
    pub knocking_most: usize,
    /// Entries that wait at the end: none was lost, none given up.
    pub waiting: usize,
}

fn entry(domain: String, (now_secs, days): (UnixSecs, i64)) -> NewQueueEntry {
    let recipient = QueueRecipient {
        address: format!("yes@{domain}"),
        original: None,
        notify: 0,
        state: RecipientState::Waiting,
        last_reply: String::new(),
        delay_told: false,
    };
    NewQueueEntry {
        destination: domain.into(),
        reverse_path: SENDER.to_owned(),
        recipients: vec![recipient],
        account: None,
        due_secs: now_secs,
        expires_secs: now_secs + days * 86_400,
        eight_bit: false,
        smtputf8: false,
        ret_headers: false,
        envelope_id: None,
        service: QueueService::default(),
    }
}

/// One message to all of these domains, in one commit.
async fn queue(store: &Store, domains: impl Iterator<Item = String>, days: i64) -> Result<(), StoreError> {
    let octets = format!("From: <{SENDER}>\r\nSubject: to a crowd\r\n\r\nHello.\r\n").into_bytes();
    let now_secs = net::clock::unix_now();
    let facts = Arc::new(Facts::compute(&octets));
    let queue = domains.map(|domain| entry(domain, (now_secs, days))).collect();
    let body = Spooled::from_bytes(octets.into());
    store.accept(Acceptance { body, facts, deliveries: Vec::new(), queue, trace: Vec::new(), idempotency: None }).await.map(drop)
}

/// How long until the scripted server has what was sent to `domain`.
async fn wait_for(world: &World, domain: &str) -> Duration {
    let (begun, address) = (Instant::now(), format!("yes@{domain}"));
    while begun.elapsed() < WAIT_MAX && !world.ledger(|ledger| ledger.foreign.iter().any(|(recipient, ..)| *recipient == address))
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    begun.elapsed()
}

async fn play(world: &Arc<World>, silent: u64, living: u64) -> Result<Crowd, StoreError> {
    let mut crowd = Crowd::default();
    let Some((office, context)) = Office::first_in_calm(world).await? else { return Ok(crowd) };
    for _ in 0..EACH {
        queue(&context.store, (0..silent).map(|at| format!("s{at}.silent.test")), DAYS).await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for at in 0..living {
        let domain = format!("l{at}.living.test");
        queue(&context.store, std::iter::once(domain.clone()), DAYS).await?;
        crowd.waited_secs.push(wait_for(world, &domain).await.as_secs_f64());
        tokio::time::sleep(PAUSE).await;
    }
    crowd.knocking_most = world.knocking_most();
    crowd.waiting = context.store.queue_list(None, usize::MAX).await?.len();
    office.close();
    Ok(crowd)
}

/// Plays it. The first that lives comes in a second after the crowd.
///
/// # Errors
/// When the store fails.
pub fn crowd(seed: u64, silent: u64, living: u64) -> Result<Crowd, StoreError> {
    in_virtual_time(seed, async |world| play(&world, silent, living).await)
}

async fn play_weeks(world: &Arc<World>, days: u16) -> Result<Vec<(u64, String)>, StoreError> {
    let mut told = Vec::new();
    let Some((office, context)) = Office::first_in_calm(world).await? else { return Ok(told) };
    let store = &context.store;
    queue(store, std::iter::once("s0.silent.test".to_owned()), days.into()).await?;
    let begun = Instant::now();
    let Some(alice) = store.account(SENDER).await? else { return Ok(told) };
    let Some(inbox) = store.mailbox(alice.id, "INBOX").await? else { return Ok(told) };
    for _ in 0..=u64::from(days) * 24 {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let snapshot = store.snapshot(alice.id, inbox.id).await?;
        for row in snapshot.rows.iter().skip(told.len()) {
            let octets = store.body(alice.id, row.email, 0, u64::from(row.size_bytes)).await?;
            let text = String::from_utf8_lossy(&octets).into_owned();
            let action = text.split("Action: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
            told.push((begun.elapsed().as_secs() / 3_600, action.to_owned()));
        }
    }
    office.close();
    Ok(told)
}

/// A letter to somebody who never answers is tried for so many days: what its sender is told, after how many hours.
///
/// # Errors
/// When the store fails.
pub fn weeks(seed: u64, days: u16) -> Result<Vec<(u64, String)>, StoreError> {
    in_virtual_time(seed, async |world| play_weeks(&world, days).await)
}
