//! What became of messages that were sent (RFC 8621 §7, `deliveryStatus`): read from the queue and the trace.
//!
//! It is kept in the submission's record when it changes, and so the account's state moves and everybody who follows is told; and
//! it is still known when the trace has forgotten. Invariant: what the queue had not told yet when somebody asks is written down
//! first, so that no change is missed by who asks for changes. Must not know: methods.

use super::Object;
use crate::collections::SUBMISSIONS;
use crate::site::{Shared, Site};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use store::{AccountId, QueueId, RecipientState, RecordChange, StoreError};
use tokio::sync::broadcast::error::RecvError;

/// What happens in so short a time is written down together.
const TOGETHER: Duration = Duration::from_millis(50);
/// Longest rest after a look.
const TOGETHER_MAX: Duration = Duration::from_secs(5);
/// What was told last.
const TOLD: &str = "told";
/// Nothing will change any more.
const SETTLED: &str = "isSettled";

pub(super) fn read(stored: &[u8]) -> Option<Object> {
    serde_json::from_slice(stored).ok()
}

pub(super) fn queued(object: &Object) -> Vec<QueueId> {
    let list = object.get("queue").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_u64).map(QueueId).collect()
}

fn is_settled(object: &Object) -> bool {
    object.get(SETTLED) == Some(&Value::Bool(true))
}

/// By recipient: what was written down at the end, else what the queue says now.
pub(super) async fn delivery_status(site: &Site, object: &Object) -> Result<Value, StoreError> {
    match object.get(TOLD).filter(|_| is_settled(object)) {
        Some(told) => Ok(told.clone()),
        None => Ok(now(site, object).await?.0),
    }
}

/// By recipient: what the queue says, else the trace, else what was answered when it was taken. And whether that is the end.
async fn now(site: &Site, object: &Object) -> Result<(Value, bool), StoreError> {
    let mut status = Object::new();
    for (address, reply) in object.get("answers").and_then(Value::as_object).into_iter().flatten() {
        let taken = reply.as_str().unwrap_or_default().starts_with('2');
        // Here and not in the queue: it is in a mailbox.
        let delivered = if taken { "yes" } else { "no" };
        status.insert(address.clone(), json!({"smtpReply": reply, "delivered": delivered, "displayed": "unknown"}));
    }
    let mut settled = true;
    for id in queued(object) {
        let told: Vec<(String, &str, String)> = match site.store.queue_entry(id).await? {
            Some(entry) => {
                settled = false;
                let recipients = entry.message.recipients.iter();
                recipients.map(|one| (one.address.clone(), word(one.state), one.last_reply.clone())).collect()
            }
            None => of_trace(site, id, &status).await?,
        };
        for (address, delivered, reply) in told {
            let known = status.keys().find(|known| known.eq_ignore_ascii_case(&address)).cloned().unwrap_or(address);
            let before = status.get(&known).and_then(|one| one.get("smtpReply")).cloned();
            let reply = if reply.is_empty() { before.unwrap_or_else(|| json!("250 2.0.0 accepted")) } else { json!(reply) };
            status.insert(known, json!({"smtpReply": reply, "delivered": delivered, "displayed": "unknown"}));
        }
    }
    Ok((Value::Object(status), settled))
}

fn word(state: RecipientState) -> &'static str {
    match state {
        RecipientState::Waiting => "queued",
        RecipientState::Delivered => "yes",
        RecipientState::Failed | RecipientState::Dropped => "no",
    }
}

/// The last that the trace tells of an entry that is gone.
async fn of_trace(site: &Site, id: QueueId, known: &Object) -> Result<Vec<(String, &'static str, String)>, StoreError> {
    let mut told: Vec<(String, &'static str, String)> = Vec::new();
    for event in site.store.trace_find("queue", &id.0.to_string(), 200).await? {
        let delivered = match event.what.as_str() {
            "delivered" => "yes",
            "bounced" | "failed" | "dropped" | "expired" => "no",
            _ => continue,
        };
        let named = event.keys.iter().filter(|(kind, _)| kind == "address").map(|(_, address)| address);
        for address in named.filter(|address| known.keys().any(|one| one.eq_ignore_ascii_case(address))) {
            if !told.iter().any(|(one, ..)| one.eq_ignore_ascii_case(address)) {
                told.push((address.clone(), delivered, event.detail.clone()));
            }
        }
    }
    Ok(told)
}

/// Puts into the record what became of the message. `false`: nothing new.
pub(super) async fn note(site: &Site, object: &mut Object) -> Result<bool, StoreError> {
    if is_settled(object) {
        return Ok(false);
    }
    let (status, settled) = now(site, object).await?;
    let is_new = settled || object.get(TOLD) != Some(&status);
    object.insert(TOLD.into(), status);
    if settled {
        object.insert(SETTLED.into(), json!(true));
    }
    Ok(is_new)
}

/// Writes down what became of an account's messages since it was last looked.
pub(super) async fn catch_up(site: &Site, account: AccountId) -> Result<(), StoreError> {
    let mut found = Vec::new();
    for (name, stored) in site.store.records(account, SUBMISSIONS).await? {
        let Some(mut object) = read(&stored) else { continue };
        if note(site, &mut object).await? {
            found.push((name, stored, object));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    // One that was taken back or removed meanwhile stays so.
    let _alone = site.jmap.submissions.lock().await;
    let mut changes: Vec<RecordChange> = Vec::new();
    for (name, stored, object) in found {
        if site.store.record(account, SUBMISSIONS, &name).await?.as_ref() == Some(&stored) {
            changes.push((SUBMISSIONS, name, Some(Value::Object(object).to_string().into_bytes())));
        }
    }
    if !changes.is_empty() {
        site.store.records_change(account, &changes).await?;
    }
    Ok(())
}

/// Has it sent anything by JMAP? Asked without waking the account.
async fn has_sent(site: &Site, account: AccountId) -> Result<bool, StoreError> {
    let before = account.0.checked_sub(1).map(AccountId);
    Ok(site.store.record_holders(SUBMISSIONS, before, 1).await?.first() == Some(&account))
}

/// Writes it down as it happens, for all accounts.
pub(crate) async fn follow(site: Shared) {
    let mut settled = site.store.queue_settled_watch();
    let mut shutdown = site.shutdown.clone();
    loop {
        let mut accounts = BTreeSet::new();
        tokio::select! {
            told = settled.recv() => match told {
                Ok(account) => drop(accounts.insert(account)),
                // Who was not told of here hears when somebody asks.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = shutdown.wait_for(|down| *down) => return,
        }
        tokio::time::sleep(TOGETHER).await;
        while let Ok(account) = settled.try_recv() {
            accounts.insert(account);
        }
        let begun = Instant::now();
        for account in accounts {
            let done = match has_sent(&site, account).await {
                Ok(true) => catch_up(&site, account).await,
                other => other.map(|_| ()),
            };
            match done {
                Ok(()) | Err(StoreError::NotFound) => {}
                Err(error) => tracing::warn!(?error, "what became of a message was not written down"),
            }
        }
        // Who sent very much is looked at less often: this takes no more than a tenth of the time.
        let rest = (begun.elapsed() * 9).min(TOGETHER_MAX);
        let _ = tokio::time::timeout(rest, shutdown.wait_for(|down| *down)).await;
    }
}
