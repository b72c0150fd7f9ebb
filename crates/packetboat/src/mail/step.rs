//! An account kept in step with its servers while a program is open: the browser's, and the terminal's.
//!
//! Rounds of sync, sooner when something changed here or there; the outbox whenever something is due. Must not know: who shows it.

use super::{Desk, remote};
use client::imap::Imap;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Between two rounds of sync without news.
const ROUND: Duration = Duration::from_secs(60);
/// How often the outbox is looked through for what is due.
const OUTBOX_EVERY: Duration = Duration::from_secs(2);
/// After a change here, before it is carried to the server: more may follow.
const SETTLE: Duration = Duration::from_secs(2);

/// What is told of it.
pub(super) enum Step<'a> {
    Begins,
    Done(&'a Value),
    Trouble(&'a str),
    /// From the outbox, between rounds.
    Sent(&'a [client::outbox::Sent]),
}

/// Until `stopped`; `urged`: a round now.
pub(super) async fn keep(
    desk: Desk,
    mut stopped: watch::Receiver<bool>,
    urged: Arc<Notify>,
    tell: impl Fn(Step<'_>) + Send + Sync,
) {
    let Ok(mut changes) = desk.store.watch(desk.account).await else { return };
    let (mut asked, mut failed) = (false, false);
    loop {
        tell(Step::Begins);
        // Before the sync, so that what comes during it is told.
        let listening = if failed { None } else { remote::listen(&desk.profile, &desk.way, &desk.dir).await };
        let outcome = remote::sync(&desk, asked).await;
        let is_back = failed && outcome.is_ok();
        failed = outcome.is_err();
        match outcome {
            Ok(value) => tell(Step::Done(&value)),
            Err(why) => {
                tell(Step::Trouble(&why));
                // Searches and conversations want the index without a network, too.
                if let Err(error) = desk.searcher.catch_up(desk.account).await {
                    tracing::warn!(%error, "the search index; searches read what it has not");
                }
            }
        }
        changes.borrow_and_update();
        if is_back {
            continue;
        }
        let outbox = async {
            loop {
                tokio::time::sleep(OUTBOX_EVERY).await;
                // Why something did not go stands in the outbox.
                if let Ok(sent) = remote::flush(&desk, false).await
                    && !sent.is_empty()
                {
                    tell(Step::Sent(&sent));
                }
            }
        };
        let over = async { drop(stopped.wait_for(|stopped| *stopped).await) };
        let mut changed = false;
        asked = false;
        tokio::select! {
            () = outbox => {}
            () = Imap::news_of(listening, ROUND) => {}
            _ = changes.changed() => changed = true,
            () = urged.notified() => asked = true,
            () = tokio::time::sleep(ROUND) => {}
            () = over => return,
        }
        if changed {
            tokio::select! {
                () = tokio::time::sleep(SETTLE) => {}
                () = urged.notified() => asked = true,
            }
        }
    }
}
