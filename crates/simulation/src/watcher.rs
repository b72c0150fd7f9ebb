//! Alice's other program: it sits in her INBOX with IDLE and counts.
//!
//! Invariant: when all is calm its count is the mailbox's, without having asked again.

use crate::imap_client::{Lost, Talk};
use crate::world::World;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use wire::imap::client::Event;
use wire::imap::response::Response;

/// Whose.
pub(crate) const ALICE: &str = "alice@alpha.test";
/// IDLE is renewed after this (RFC 2177 §3: before 29 minutes).
const RENEW: Duration = Duration::from_secs(20 * 60);
/// No count, for now.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// For ever: the owner aborts it.
pub(crate) async fn live(world: Arc<World>, count: Arc<AtomicU32>) {
    loop {
        if let Some(mut talk) = Talk::open(&world, ALICE, "watcher", 5).await {
            let _ = sit(&mut talk, &count).await;
        }
        count.store(UNKNOWN, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

async fn sit(talk: &mut Talk, count: &AtomicU32) -> Result<(), Lost> {
    let Some(exists) = talk.select("INBOX").await? else { return Ok(()) };
    let mut here = exists;
    loop {
        talk.idle();
        let idling = async {
            loop {
                match talk.event().await? {
                    Event::Idling(_) => count.store(here, Ordering::Relaxed),
                    Event::Response(Response::Exists(now)) => {
                        here = now;
                        count.store(here, Ordering::Relaxed);
                    }
                    Event::Tagged(..) => return Ok::<(), Lost>(()),
                    _ => {}
                }
            }
        };
        match tokio::time::timeout(RENEW, idling).await {
            Ok(ended) => return ended,
            Err(_) => talk.done(),
        }
        let ended = tokio::time::timeout(RENEW, async {
            loop {
                match talk.event().await? {
                    Event::Tagged(..) => return Ok::<(), Lost>(()),
                    Event::Response(Response::Exists(now)) => here = now,
                    _ => {}
                }
            }
        });
        ended.await.map_err(|_| Lost)??;
    }
}

/// Compares, and sends the watcher home.
pub(crate) async fn last_look(world: &World, watcher: JoinHandle<()>, count: &AtomicU32) {
    let Some(context) = world.offices.first().and_then(crate::office::Office::context) else { return };
    // It may be just about to renew.
    for _ in 0..200 {
        if count.load(Ordering::Relaxed) != UNKNOWN {
            break;
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    let inside = crate::laws::inbox_count(&context.store, ALICE).await;
    let seen = count.load(Ordering::Relaxed);
    if inside != Some(seen) {
        world.log.violation(format!("the watcher counts {seen} messages, the mailbox has {inside:?}"));
    }
    watcher.abort();
    let _ = watcher.await;
}
