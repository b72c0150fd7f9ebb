//! Delivery reports (RFC 3464) and receipts (RFC 8098) that came back for what was sent: `dsnBlobIds`, `mdnBlobIds`, and what they
//! say of recipients (RFC 8621 §7).
//!
//! One belongs to a submission by its envelope id, or by the Message-ID of what was sent. Invariant: what came before somebody asks
//! is written down before he is answered; that a report says so changes only what nobody here knows better. Must not know: methods.

use super::Object;
use super::fate::read;
use super::view::{EmailKey, facts_of};
use crate::collections::{REPORTS, SUBMISSIONS};
use crate::limits::*;
use crate::site::Site;
use message::dsn::{Action, DeliveryStatus};
use message::header::first;
use message::mdn::{DispositionNotification, DispositionType};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use store::{AccountId, EmailId, ModSeq, RecordChange, StoreError, Uid};

/// The name of the record that says how far was looked.
const LOOKED: &str = "looked";
/// In a submission's record: the Message-ID of what was sent, without brackets.
pub(super) const MESSAGE_ID: &str = "messageId";
/// ... what reports say, by recipient.
const SAID: &str = "reports";
/// Octets of what a report quotes.
const QUOTED_BYTES_MAX: usize = 500;

/// How far was looked, by account; gone when something failed, and then read again.
#[derive(Default)]
pub(crate) struct Looked(Mutex<HashMap<AccountId, ModSeq>>);

impl Looked {
    fn take(&self, account: AccountId) -> Option<ModSeq> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&account)
    }

    fn know(&self, account: AccountId, mod_seq: ModSeq) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REPORTS_ACCOUNTS_MAX {
            all.clear();
        }
        all.insert(account, mod_seq);
    }
}

/// What is said of one recipient.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    /// Whom the message went to, and whom it came to in the end, where that is another.
    recipients: Vec<String>,
    delivered: Option<&'static str>,
    reply: Option<String>,
    displayed: bool,
}

/// A message that came back.
#[derive(Debug, PartialEq, Eq)]
struct Report {
    /// `dsnBlobIds` or `mdnBlobIds`.
    list: &'static str,
    envelope_id: Option<String>,
    message_id: Option<String>,
    said: Vec<Said>,
}

fn bare(message_id: &str) -> String {
    message_id.trim().trim_start_matches('<').trim_end_matches('>').to_owned()
}

fn untyped(recipient: &str) -> String {
    recipient.split_once(';').map_or(recipient, |(_, address)| address).trim().to_owned()
}

/// Of a message as it was sent; `made`: the one it was given where it had none.
pub(super) fn message_id_of(octets: &[u8], made: String) -> String {
    let own = first(octets, "Message-ID").map(|field| bare(&field.text())).filter(|id| !id.is_empty());
    own.unwrap_or(made)
}

/// The reply a report quotes, or one of the form that RFC 8621 §7 asks for.
fn reply_of(delivered: &str, status: &str, diagnostic: Option<&str>) -> String {
    let told: String = diagnostic.unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let told = told.get(..told.floor_char_boundary(QUOTED_BYTES_MAX)).unwrap_or_default().trim();
    if super::fate::is_reply(told) {
        return told.to_owned();
    }
    let (code, class) = if delivered == "yes" { ("250", '2') } else { ("550", '5') };
    let is_status = status.starts_with(class) && status.len() <= 9 && status.split('.').count() == 3;
    let is_status = is_status && status.bytes().all(|octet| octet == b'.' || octet.is_ascii_digit());
    let status = if is_status { status.to_owned() } else { format!("{class}.0.0") };
    let told = if told.is_empty() { "as its delivery report says" } else { told };
    format!("{code} {status} {told}")
}

/// Reads it; `None`: it is no report, or of nothing.
fn report_of(octets: &[u8]) -> Option<Report> {
    let message = message::parse(octets);
    if !message.root().content_type.is("multipart", "report") {
        return None;
    }
    let is = |part: &message::Part<'_>, names: [&str; 2]| names.iter().any(|name| part.content_type.is("message", name));
    let part_of = |names: [&str; 2]| message.parts.iter().find(|part| is(part, names));
    if let Some(part) = part_of(["disposition-notification", "global-disposition-notification"]) {
        let told = DispositionNotification::parse(&part.content())?;
        let original = told.original_recipient.as_deref().map(untyped);
        let recipients = original.into_iter().chain([told.final_recipient]).collect();
        let displayed = told.disposition.kind == DispositionType::Displayed;
        let said = vec![Said { recipients, delivered: None, reply: None, displayed }];
        return Some(Report {
            list: "mdnBlobIds",
            envelope_id: None,
            message_id: told.original_message_id.map(|id| bare(&id)),
            said,
        });
    }
    let status = DeliveryStatus::parse(&part_of(["delivery-status", "global-delivery-status"])?.content())?;
    let said = status.recipients.iter().map(|one| {
        // "Receipt of any other DSN SHOULD NOT affect this property."
        let delivered = match one.action {
            Action::Delivered => Some("yes"),
            Action::Failed => Some("no"),
            Action::Delayed | Action::Relayed | Action::Expanded => None,
        };
        let original = one.original.as_deref().map(untyped);
        Said {
            recipients: original.into_iter().chain([one.final_recipient.clone()]).collect(),
            delivered,
            reply: delivered.map(|delivered| reply_of(delivered, &one.status, one.diagnostic.as_deref())),
            displayed: false,
        }
    });
    let returned = message.parts.iter().find(|part| {
        is(part, ["rfc822", "global"])
            || is(part, ["global-headers", "rfc822-headers"])
            || part.content_type.is("text", "rfc822-headers")
    });
    let message_id = returned.and_then(|part| first(&part.content(), "Message-ID").map(|field| bare(&field.text())));
    Some(Report {
        list: "dsnBlobIds",
        envelope_id: status.envelope_id,
        message_id: message_id.filter(|id| !id.is_empty()),
        said: said.collect(),
    })
}

fn text<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// ENVID, if who sent it said one.
fn envelope_id_of(object: &Object) -> Option<&str> {
    let parameters = object.get("envelope")?.get("mailFrom")?.get("parameters")?.as_object()?;
    parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("ENVID"))?.1.as_str()
}

/// The recipient of a submission that one of these is, as it is spelled there.
fn recipient_of<'a>(object: &'a Object, named: &[String]) -> Option<&'a String> {
    let known = object.get("answers").and_then(Value::as_object)?;
    named.iter().find_map(|one| known.keys().find(|known| known.eq_ignore_ascii_case(one)))
}

/// How well a report fits a submission; `None`: not at all.
fn fits(object: &Object, report: &Report) -> Option<(bool, bool, i64)> {
    let by_id = report.envelope_id.is_some() && envelope_id_of(object) == report.envelope_id.as_deref();
    let by_message = report.message_id.is_some() && text(object, MESSAGE_ID) == report.message_id.as_deref();
    let names = report.said.iter().any(|said| recipient_of(object, &said.recipients).is_some());
    // An envelope id is the sender's own affair: two may be alike.
    if !(by_message || by_id && names) {
        return None;
    }
    Some((by_id, names, object.get("sendAt").and_then(Value::as_i64).unwrap_or(0)))
}

/// Puts it into the record. `false`: it is there.
fn note(object: &mut Object, report: &Report, blob: &str) -> bool {
    let list = object.entry(report.list).or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut().filter(|list| list.len() < REPORTS_MAX && !list.contains(&json!(blob))) else {
        return false;
    };
    list.push(json!(blob));
    for said in &report.said {
        // A receipt of the only recipient's is his, under whatever address he got it.
        let only = || {
            let known = object.get("answers").and_then(Value::as_object)?;
            known.keys().next().filter(|_| known.len() == 1 && said.displayed)
        };
        let Some(address) = recipient_of(object, &said.recipients).or_else(only).cloned() else { continue };
        let all = object.entry(SAID).or_insert_with(|| json!({}));
        let Some(one) = all.as_object_mut().map(|all| all.entry(address).or_insert_with(|| json!({}))) else { continue };
        if let Some(delivered) = said.delivered {
            one["delivered"] = json!(delivered);
            one["smtpReply"] = json!(said.reply);
        }
        if said.displayed {
            one["displayed"] = json!("yes");
        }
    }
    true
}

/// What reports say, put over what is known here: that a message came, or did not, they say only of whom nobody here knows it.
pub(super) fn put_over(object: &Object, status: &mut Value) {
    for (address, said) in object.get(SAID).and_then(Value::as_object).into_iter().flatten() {
        let Some(one) = status.get_mut(address).and_then(Value::as_object_mut) else { continue };
        let open = one.get("delivered").is_some_and(|delivered| delivered == "unknown");
        for name in ["delivered", "smtpReply"].into_iter().filter(|_| open) {
            if let Some(value) = said.get(name) {
                one.insert(name.into(), value.clone());
            }
        }
        if let Some(value) = said.get("displayed") {
            one.insert("displayed".into(), value.clone());
        }
    }
}

/// Of the blobs of a list those that are there.
pub(super) async fn blobs(site: &Site, account: AccountId, object: &Object, list: &str) -> Result<Value, StoreError> {
    let all: Vec<&str> = object.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if all.is_empty() {
        return Ok(json!([]));
    }
    let view = site.jmap.views.of(&site.store, account).await?;
    Ok(all.into_iter().filter(|id| view.by_id(id).is_some()).collect())
}

/// From now on, for an account that had not sent anything: how far was looked is written down with the first submission.
pub(super) async fn begin(site: &Site, account: AccountId) -> Result<Option<RecordChange>, StoreError> {
    if site.store.record(account, REPORTS, LOOKED).await?.is_some() {
        return Ok(None);
    }
    let (now, _) = site.store.mailbox_states(account).await?;
    Ok(Some(mark(now)))
}

fn mark(at: ModSeq) -> RecordChange {
    (REPORTS, LOOKED.into(), Some(at.0.to_string().into_bytes()))
}

/// It could not be looked: the next time it is done from where it is known in the store.
pub(super) fn forget(site: &Site, account: AccountId) {
    site.store.reports().take_one(account);
    site.jmap.looked.take(account);
}

/// Looks at what came since it was done last, where that is not known to be no report.
pub(super) async fn look(site: &Site, account: AccountId) -> Result<(), StoreError> {
    let came = site.store.reports().take_one(account);
    let known = site.jmap.looked.take(account);
    if let (Some(known), false) = (known, came) {
        site.jmap.looked.know(account, known);
        return Ok(());
    }
    let since = match known {
        Some(known) => known,
        None => match site.store.record(account, REPORTS, LOOKED).await? {
            Some(stored) => ModSeq(std::str::from_utf8(&stored).ok().and_then(|text| text.parse().ok()).unwrap_or(0)),
            // Nothing was sent yet.
            None => return Ok(()),
        },
    };
    let (now, found) = reports_since(site, account, since).await?;
    if !found.is_empty() {
        write_down(site, account, now, found).await?;
    }
    site.jmap.looked.know(account, now);
    Ok(())
}

/// The reports among the newest messages that came since then, by the blobs they are, oldest first.
async fn reports_since(site: &Site, account: AccountId, since: ModSeq) -> Result<(ModSeq, Vec<(String, Report)>), StoreError> {
    let store = &site.store;
    let (now, states) = store.mailbox_states(account).await?;
    let mut came: BTreeMap<EmailId, (store::MailboxId, Uid)> = BTreeMap::new();
    for (mailbox, _) in states {
        let changes = match store.changes_since(account, mailbox.id, since).await {
            Err(StoreError::NotFound) => continue,
            changes => changes?,
        };
        for row in changes.updated {
            came.insert(row.email, (mailbox.id, row.uid));
            // A number is given to each message as it comes.
            if came.len() > REPORTS_LOOKED_MAX {
                came.pop_first();
            }
        }
    }
    let mut found = Vec::new();
    let emails: Vec<EmailId> = came.into_keys().collect();
    for chunk in emails.chunks(FACTS_CHUNK) {
        let facts = facts_of(store, account, chunk).await?;
        let names = store.email_names(account, chunk).await?;
        for ((email, facts), name) in chunk.iter().zip(facts).zip(names) {
            let (Some(_), Some((body, date_secs))) = (facts.filter(|facts| facts.is_report()), name) else { continue };
            let octets = match store.body(account, *email, 0, REPORT_BYTES_MAX).await {
                Err(StoreError::NotFound) => continue,
                octets => octets?,
            };
            if let Ok(Some(report)) = tokio::task::spawn_blocking(move || report_of(&octets)).await {
                found.push((date_secs, EmailKey { body, date_secs }.id(), report));
            }
        }
    }
    found.sort_by_key(|(date_secs, ..)| *date_secs);
    Ok((now, found.into_iter().map(|(_, blob, report)| (blob, report)).collect()))
}

/// Into the submissions they belong to, in one commit with how far was looked.
async fn write_down(site: &Site, account: AccountId, at: ModSeq, found: Vec<(String, Report)>) -> Result<(), StoreError> {
    // One that is taken back or removed meanwhile stays so.
    let _alone = site.jmap.submissions.lock().await;
    let all = site.store.records(account, SUBMISSIONS).await?;
    let mut all: Vec<(SmolStr, Object)> = all.into_iter().filter_map(|(name, stored)| Some((name, read(&stored)?))).collect();
    let mut changed: BTreeSet<usize> = BTreeSet::new();
    for (blob, report) in &found {
        let fitting = all.iter().enumerate().filter_map(|(place, (_, object))| Some((fits(object, report)?, place)));
        let Some((_, place)) = fitting.max() else { continue };
        if let Some((_, object)) = all.get_mut(place)
            && note(object, report, blob)
        {
            changed.insert(place);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let kept = |place: &usize| {
        let (name, object) = all.get(*place)?;
        let stored = Value::Object(object.clone()).to_string().into_bytes();
        // What a flood of reports has filled up stays as it is.
        (stored.len() <= store::limits::RECORD_BYTES_MAX).then(|| (SUBMISSIONS, name.clone(), Some(stored)))
    };
    let mut changes: Vec<RecordChange> = changed.iter().filter_map(kept).collect();
    changes.push(mark(at));
    site.store.records_change(account, &changes).await?;
    Ok(())
}
