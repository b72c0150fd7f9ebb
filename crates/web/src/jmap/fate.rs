//! What became of messages that were sent (RFC 8621 §7, `deliveryStatus`): read from the queue and the trace.
//!
//! It is kept in the submission's record when it changes, and so the account's state moves and everybody who follows is told; and
//! it is still known when the trace has forgotten. Invariant: what the queue had not told yet when somebody asks is written down
//! first, so that no change is missed by who asks for changes. Must not know: methods.

use super::Object;
use crate::collections::SUBMISSIONS;
use crate::site::{Shared, Site};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use store::{AccountId, QueueId, QueueRecipient, RecipientState, RecordChange, StoreError};
use tokio::sync::broadcast::error::RecvError;

/// What happens in so short a time is written down together.
const TOGETHER: Duration = Duration::from_millis(50);
/// Longest rest after a look.
const TOGETHER_MAX: Duration = Duration::from_secs(5);
/// So many of the oldest settled go at once where an account has as many as the store keeps.
const SUBMISSIONS_DROPPED: usize = 1_000;
/// Said of whom neither the queue nor the trace tells anything.
const LOST: &str = "450 4.0.0 what became of it is not known";
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
    let mut status = match object.get(TOLD).filter(|_| is_settled(object)) {
        Some(told) => told.clone(),
        None => now(site, object).await?.0,
    };
    super::reports::put_over(object, &mut status);
    Ok(status)
}

/// What is known of a queue entry.
enum Entry {
    /// It waits: by recipient, how it stands.
    There(Vec<(String, &'static str, String)>),
    /// It is there, but cannot be read now (it is set aside until `rebuild`): it may not be sent, and it is not gone either.
    Unreadable(Vec<(String, &'static str, String)>),
    /// What the trace tells of its end.
    Gone(Vec<(String, &'static str, String)>),
}

/// By recipient: what the queue says, else the trace, else what was answered when it was taken. And whether that is the end.
async fn now(site: &Site, object: &Object) -> Result<(Value, bool), StoreError> {
    let answered: Object = object.get("answers").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut entries = Vec::new();
    for id in queued(object) {
        entries.push(match site.store.queue_entry(id).await? {
            Some(entry) => {
                let recipients = entry.message.recipients.iter();
                let told = |one: &QueueRecipient| (one.address.clone(), word(one.state, &one.last_reply), one.last_reply.clone());
                Entry::There(recipients.map(told).collect())
            }
            None if site.store.queue_is_there(id).await? => Entry::Unreadable(of_trace(site, id, &answered).await?),
            None => Entry::Gone(of_trace(site, id, &answered).await?),
        });
    }
    Ok(fates(object, entries))
}

fn fates(object: &Object, entries: Vec<Entry>) -> (Value, bool) {
    let mut status = Object::new();
    for (address, reply) in object.get("answers").and_then(Value::as_object).into_iter().flatten() {
        let taken = reply.as_str().unwrap_or_default().starts_with('2');
        // Here and not in the queue: it is in a mailbox.
        let delivered = if taken { "yes" } else { "no" };
        status.insert(address.clone(), json!({"smtpReply": reply, "delivered": delivered, "displayed": "unknown"}));
    }
    let (mut settled, mut unreadable) = (true, false);
    let mut named = BTreeSet::new();
    for entry in entries {
        settled &= matches!(entry, Entry::Gone(_));
        unreadable |= matches!(entry, Entry::Unreadable(_));
        let (Entry::There(told) | Entry::Unreadable(told) | Entry::Gone(told)) = entry;
        for (address, delivered, reply) in told {
            let known = status.keys().find(|known| known.eq_ignore_ascii_case(&address)).cloned().unwrap_or(address);
            let before = status.get(&known).and_then(|one| one.get("smtpReply")).cloned();
            let reply = match reply.as_str() {
                "" => before.unwrap_or_else(|| json!("250 2.0.0 accepted")),
                reply => json!(smtp_reply(reply, delivered)),
            };
            named.insert(known.clone());
            status.insert(known, json!({"smtpReply": reply, "delivered": delivered, "displayed": "unknown"}));
        }
    }
    // Who waited in the queue, and of whom neither it nor the trace tells anything now, has not got it for that.
    let told = object.get(TOLD);
    for (address, one) in status.iter_mut().filter(|(address, _)| !named.contains(*address)) {
        let before = told.and_then(|told| told.get(address)).and_then(|one| one.get("delivered")).and_then(Value::as_str);
        let taken = one.get("delivered").and_then(Value::as_str) == Some("yes");
        let waited = matches!(before, Some("queued" | "unknown")) || before.is_none() && unreadable;
        if taken && waited {
            // What was known of it, if something was.
            let known = told.and_then(|told| told.get(address)).filter(|_| before == Some("unknown"));
            let lost = || json!({"smtpReply": LOST, "delivered": "unknown", "displayed": "unknown"});
            *one = known.cloned().unwrap_or_else(lost);
        }
    }
    (Value::Object(status), settled)
}

/// Does it begin as a reply of SMTP does?
pub(super) fn is_reply(text: &str) -> bool {
    let (code, rest) = text.split_at_checked(3).unwrap_or((text, ""));
    code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with([' ', '-'])
}

/// The reply of the server itself, out of what is told of an attempt; where there was none, one of the form that RFC 8621 §7 asks
/// for.
fn smtp_reply(told: &str, delivered: &str) -> String {
    let behind = told.match_indices(": ").filter_map(|(at, _)| told.get(at + 2..));
    match std::iter::once(told).chain(behind).find(|text| is_reply(text)) {
        Some(reply) => reply.to_owned(),
        None => {
            let code = match delivered {
                "yes" | "unknown" => "250 2.0.0",
                "no" => "550 5.0.0",
                _ => "450 4.4.0",
            };
            format!("{code} {told}")
        }
    }
}

/// RFC 8621 §7, `delivered`: "successful relaying to an external SMTP server SHOULD NOT be taken as an indication that the message
/// has successfully reached the final mail store".
fn came(said: &str) -> &'static str {
    if said == mta::queue::DELIVERED_HERE { "yes" } else { "unknown" }
}

fn word(state: RecipientState, said: &str) -> &'static str {
    match state {
        RecipientState::Waiting => "queued",
        RecipientState::Delivered => came(said),
        RecipientState::Failed | RecipientState::Dropped => "no",
    }
}

/// The last that the trace tells of an entry that is gone.
async fn of_trace(site: &Site, id: QueueId, known: &Object) -> Result<Vec<(String, &'static str, String)>, StoreError> {
    let mut told: Vec<(String, &'static str, String)> = Vec::new();
    let said = |address: &str, detail: &str| mta::queue::said_of(address, detail).map(str::to_owned);
    for event in site.store.trace_find("queue", &id.0.to_string(), 200).await? {
        let is_delivered = match event.what.as_str() {
            "delivered" => true,
            "bounced" | "failed" | "dropped" | "expired" => false,
            _ => continue,
        };
        let named = event.keys.iter().filter(|(kind, _)| kind == "address").map(|(_, address)| address);
        for address in named.filter(|address| known.keys().any(|one| one.eq_ignore_ascii_case(address))) {
            if !told.iter().any(|(one, ..)| one.eq_ignore_ascii_case(address)) {
                let said = said(address, &event.detail).unwrap_or_else(|| event.detail.clone());
                told.push((address.clone(), if is_delivered { came(&said) } else { "no" }, said));
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
    let turn = site.jmap.unsettled.turn(account);
    // Who asks while another looks waits for what that one finds.
    let _turn = turn.lock().await;
    let looking = site.jmap.unsettled.looking(account);
    let names = match site.jmap.unsettled.due(account, || site.store.queue_settled_watch()) {
        Some(names) => names,
        None => {
            let all = site.store.records(account, SUBMISSIONS).await?;
            let read = |(name, stored): (SmolStr, Vec<u8>)| Some((name, read(&stored)?));
            let waiting = all.into_iter().filter_map(read).filter(|(_, object)| !is_settled(object));
            site.jmap.unsettled.know(account, waiting.map(|(name, object)| (name, queued(&object))));
            site.jmap.unsettled.due(account, || site.store.queue_settled_watch()).unwrap_or_default()
        }
    };
    look_at(site, account, names).await?;
    super::reports::look(site, account).await?;
    looking.done();
    Ok(())
}

/// One submission. One that is damaged costs itself, not the others.
pub(super) async fn kept(site: &Site, account: AccountId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    match site.store.record(account, SUBMISSIONS, name).await {
        Err(StoreError::Damaged(what)) => {
            tracing::error!(what, "a submission cannot be read");
            Ok(None)
        }
        stored => stored,
    }
}

async fn look_at(site: &Site, account: AccountId, names: BTreeSet<SmolStr>) -> Result<(), StoreError> {
    let mut found = Vec::new();
    for name in names {
        let Some(stored) = kept(site, account, &name).await? else { continue };
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
    let mut over = Vec::new();
    for (name, stored, object) in found {
        if is_settled(&object) {
            over.extend(queued(&object));
        }
        if site.store.record(account, SUBMISSIONS, &name).await?.as_ref() == Some(&stored) {
            changes.push((SUBMISSIONS, name, Some(Value::Object(object).to_string().into_bytes())));
        } else {
            site.jmap.unsettled.add(account, &name, queued(&object));
        }
    }
    if !changes.is_empty() {
        site.store.records_change(account, &changes).await?;
    }
    site.jmap.unsettled.settled(account, &over);
    Ok(())
}

/// One that was just written down; what happened meanwhile nobody else saw, so it is looked at again.
pub(super) async fn begun(site: &Site, account: AccountId, name: &str, object: &Object) {
    if !is_settled(object) {
        let turn = site.jmap.unsettled.turn(account);
        let _turn = turn.lock().await;
        site.jmap.unsettled.add(account, name, queued(object));
    }
}

/// Makes room where an account has as many as are kept: the oldest of those that are settled go. `false`: there are none.
pub(super) async fn make_room(site: &Site, account: AccountId) -> Result<bool, StoreError> {
    let _alone = site.jmap.submissions.lock().await;
    let at = |object: &Object| object.get("sendAt").and_then(Value::as_i64).unwrap_or(0);
    let all = site.store.records(account, SUBMISSIONS).await?;
    // A record that is too long is refused as well: nothing makes room for that.
    if all.len() < store::limits::RECORDS_MAX {
        return Ok(false);
    }
    let read = |(name, stored): (SmolStr, Vec<u8>)| Some((read(&stored)?, name));
    let settled = all.into_iter().filter_map(read).filter(|(object, _)| is_settled(object));
    let mut oldest: Vec<(i64, SmolStr)> = settled.map(|(object, name)| (at(&object), name)).collect();
    oldest.sort_unstable();
    oldest.truncate(SUBMISSIONS_DROPPED);
    let changes: Vec<RecordChange> = oldest.into_iter().map(|(_, name)| (SUBMISSIONS, name, None)).collect();
    if !changes.is_empty() {
        site.store.records_change(account, &changes).await?;
    }
    Ok(!changes.is_empty())
}

/// Has it sent anything by JMAP? Asked without waking the account.
async fn has_sent(site: &Site, account: AccountId) -> Result<bool, StoreError> {
    let before = account.0.checked_sub(1).map(AccountId);
    Ok(site.store.record_holders(SUBMISSIONS, before, 1).await?.first() == Some(&account))
}

/// Writes it down as it happens, for all accounts.
pub(crate) async fn follow(site: Shared) {
    let mut settled = site.store.queue_settled_watch();
    let reports = site.store.reports();
    let mut shutdown = site.shutdown.clone();
    loop {
        let mut accounts = BTreeSet::new();
        tokio::select! {
            came = reports.some() => accounts = came,
            told = settled.recv() => match told {
                Ok((account, _)) => drop(accounts.insert(account)),
                // Who was not told of here hears when somebody asks.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = shutdown.wait_for(|down| *down) => return,
        }
        tokio::time::sleep(TOGETHER).await;
        while let Ok((account, _)) = settled.try_recv() {
            accounts.insert(account);
        }
        let begun = Instant::now();
        for account in accounts {
            let done = match has_sent(&site, account).await {
                Ok(true) => catch_up(&site, account).await,
                other => {
                    reports.take_one(account);
                    other.map(|_| ())
                }
            };
            match done {
                Ok(()) | Err(StoreError::NotFound) => {}
                Err(error) => {
                    tracing::warn!(?error, "what became of a message was not written down");
                    // Who asks next looks at everything.
                    super::reports::forget(&site, account);
                }
            }
        }
        // This takes no more than a tenth of the time.
        let rest = (begun.elapsed() * 9).min(TOGETHER_MAX);
        let _ = tokio::time::timeout(rest, shutdown.wait_for(|down| *down)).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn sent(told: Option<Value>) -> Object {
        let answers =
            json!({"bob@here.test": "250 2.0.0 ok", "carol@there.test": "250 2.0.0 ok", "dan@there.test": "550 5.1.1 no"});
        let mut object = json!({"answers": answers, "queue": [7]}).as_object().cloned().unwrap();
        if let Some(told) = told {
            object.insert(TOLD.into(), told);
        }
        object
    }

    fn delivered(object: &Object, entries: Vec<Entry>) -> (Vec<String>, bool) {
        let (status, settled) = fates(object, entries);
        let word = |name: &str| status.get(name).unwrap().get("delivered").unwrap().as_str().unwrap().to_owned();
        (["bob@here.test", "carol@there.test", "dan@there.test"].map(word).to_vec(), settled)
    }

    #[test]
    fn a_queue_row_that_cannot_be_read_is_no_delivery_and_no_end() {
        let carol = |word| vec![("carol@there.test".to_owned(), word, String::new())];
        let mut object = sent(None);
        let (told, settled) = fates(&object, vec![Entry::There(carol("queued"))]);
        assert!(!settled);
        object.insert(TOLD.into(), told);
        // Bob's lies in his mailbox; Carol's cannot be read now.
        let lost = delivered(&object, vec![Entry::Unreadable(Vec::new())]);
        assert_eq!(lost, (["yes", "unknown", "no"].map(str::to_owned).to_vec(), false));
        let (told, _) = fates(&object, vec![Entry::Unreadable(Vec::new())]);
        object.insert(TOLD.into(), told);
        // It comes back (`rebuild`), and goes out.
        assert_eq!(delivered(&object, vec![Entry::There(carol("queued"))]).0[1], "queued");
        assert_eq!(delivered(&object, vec![Entry::Gone(carol("yes"))]), (["yes", "yes", "no"].map(str::to_owned).to_vec(), true));
        // Or somebody took it away without a word: nobody knows.
        assert_eq!(delivered(&object, vec![Entry::Gone(Vec::new())]).0[1], "unknown");
        // Nothing was written down before.
        let fresh = delivered(&sent(None), vec![Entry::Unreadable(Vec::new())]);
        assert_eq!(fresh, (["unknown", "unknown", "no"].map(str::to_owned).to_vec(), false));
        // One that never was in the queue.
        assert_eq!(delivered(&sent(None), Vec::new()), (["yes", "yes", "no"].map(str::to_owned).to_vec(), true));
    }

    /// RFC 8621 §7 `smtpReply`: "A 3-digit SMTP reply code [...] an SMTP Enhanced Mail System Status Code [...] information string".
    #[test]
    fn a_reply_is_one() {
        for (told, delivered, reply) in [
            ("mx.far.test: 451 4.3.0 later", "queued", "451 4.3.0 later"),
            ("250 2.0.0 ok: queued", "yes", "250 2.0.0 ok: queued"),
            ("to <c@far.test>, attempt 2: mx.far.test: 550 no such person", "no", "550 no such person"),
            ("mx.far.test: no answer in time", "queued", "450 4.4.0 mx.far.test: no answer in time"),
            ("nobody takes it", "no", "550 5.0.0 nobody takes it"),
            ("é: 1", "queued", "450 4.4.0 é: 1"),
            ("taken", "unknown", "250 2.0.0 taken"),
        ] {
            assert_eq!(smtp_reply(told, delivered), reply);
        }
    }
}
