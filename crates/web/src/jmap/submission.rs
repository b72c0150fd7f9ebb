//! EmailSubmission (RFC 8621 §7): a message goes the way of submission; until its time it waits in the queue and can be taken back.
//!
//! What was sent is a record that names its queue entries; what became of it: `fate`.
//! Invariant: what is `pending` has reached nobody. Must not know: SMTP.

use super::answers::{Collation, Most, Step, Window, got, judged, query_changed, sorted_by};
use super::args::{Args, utc_date};
use super::blob::blob;
use super::envelope::{envelope, resent_block, text};
use super::failure::{MethodError, SetError};
use super::fate::{self, queued, read};
use super::reports;
use super::setting::{Outcome, Setting, id_or_created, only, whole_properties, without_same};
use super::view::{EmailKey, ThreadKey};
use super::{Answers, Context, Object, email, identity};
use crate::Outgoing;
use crate::collections::SUBMISSIONS as COLLECTION;
use bytes::Bytes;
use message::header::fields;
use serde_json::{Value, json};
use store::{QueueAct, RecordChange, StoreError, UnixSecs};

const PROPERTIES: [&str; 10] =
    ["id", "identityId", "emailId", "threadId", "envelope", "sendAt", "undoStatus", "deliveryStatus", "dsnBlobIds", "mdnBlobIds"];

async fn all(context: &Context<'_>) -> Result<Vec<(String, Object)>, StoreError> {
    let kept = context.site.store.records(context.account.id, COLLECTION).await?;
    Ok(kept.iter().filter_map(|(name, stored)| Some((name.to_string(), read(stored)?))).collect())
}

fn send_at(object: &Object) -> UnixSecs {
    object.get("sendAt").and_then(Value::as_i64).unwrap_or(0)
}

/// Taken back, waiting for its time, or out.
async fn undo_status(context: &Context<'_>, object: &Object) -> Result<&'static str, StoreError> {
    if object.get("canceled") == Some(&Value::Bool(true)) {
        return Ok("canceled");
    }
    if send_at(object) > net::clock::unix_now() {
        for id in queued(object) {
            if context.site.store.queue_entry(id).await?.is_some() {
                return Ok("pending");
            }
        }
    }
    Ok("final")
}

async fn shown(
    context: &Context<'_>,
    id: &str,
    object: &Object,
    wanted: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Value, StoreError> {
    let mut answer = Object::new();
    for name in PROPERTIES.iter().filter(|name| **name == "id" || wanted(name)) {
        let value = match *name {
            "id" => json!(id),
            "sendAt" => json!(message::date::format_rfc_3339(send_at(object))),
            "undoStatus" => json!(undo_status(context, object).await?),
            "deliveryStatus" => fate::delivery_status(context.site, object).await?,
            "dsnBlobIds" | "mdnBlobIds" => reports::blobs(context.site, context.account.id, object, name).await?,
            name => object.get(name).cloned().unwrap_or_default(),
        };
        answer.insert((*name).to_owned(), value);
    }
    Ok(Value::Object(answer))
}

/// `EmailSubmission/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let properties = args.properties(&PROPERTIES)?;
    args.end()?;
    fate::catch_up(context.site, context.account.id).await?;
    let at = super::setting::now(context).await?;
    let ids = match ids {
        Some(ids) => ids,
        None => all(context).await?.into_iter().map(|(id, _)| id).collect(),
    };
    if ids.len() > crate::limits::GET_MAX {
        return Err(MethodError::new("requestTooLarge"));
    }
    let wanted = |name: &str| properties.as_ref().is_none_or(|names| names.iter().any(|one| one == name));
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        let stored = fate::kept(context.site, context.account.id, &id).await?;
        match stored.as_deref().and_then(read) {
            Some(object) => list.push(shown(context, &id, &object, &wanted).await?),
            None => not_found.push(id),
        }
    }
    Ok(got(context, at, list, not_found))
}

/// `EmailSubmission/changes`
pub(super) async fn changes(context: &mut Context<'_>, args: Args) -> Result<Object, MethodError> {
    fate::catch_up(context.site, context.account.id).await?;
    identity::record_changes(context, args, COLLECTION).await
}

/// A condition of RFC 8621 §7.3.
fn condition(object: &Object, status: &str, (name, value): (&str, &Value)) -> Result<bool, MethodError> {
    let wrong = || MethodError::arguments(format!("{name} in the filter is not of its type"));
    let among = |property: &str| {
        let list = value.as_array().filter(|list| list.iter().all(Value::is_string)).ok_or_else(wrong)?;
        Ok::<bool, MethodError>(list.contains(object.get(property).unwrap_or(&Value::Null)))
    };
    let date = || {
        let date: Option<UnixSecs> = value.as_str().and_then(utc_date);
        date.ok_or_else(wrong)
    };
    match name {
        "identityIds" => among("identityId"),
        "emailIds" => among("emailId"),
        "threadIds" => among("threadId"),
        "undoStatus" => Ok(value.as_str().ok_or_else(wrong)? == status),
        "before" => Ok(send_at(object) < date()?),
        "after" => Ok(send_at(object) >= date()?),
        _ => Err(MethodError::new("unsupportedFilter")),
    }
}

/// A filter and an order, answered; the newest first where none is asked for.
async fn found(context: &Context<'_>, args: &mut Args) -> Result<Vec<String>, MethodError> {
    let filter = args.take("filter");
    // What RFC 8621 calls it, and what it should have been called.
    let mut sort = sorted_by(args, &["sentAt", "sendAt", "emailId", "threadId"])?;
    if sort.is_empty() {
        sort.push(Step { property: "sendAt".into(), ascending: false, collation: Collation::default() });
    }
    if let Some(filter) = &filter {
        // It is looked at also where there is nothing that it could find.
        judged(filter, &|name, value| condition(&Object::new(), "final", (name, value)))?;
    }
    let mut list = Vec::new();
    for (id, object) in all(context).await? {
        let is = match &filter {
            Some(filter) => {
                let status = undo_status(context, &object).await?;
                judged(filter, &|name, value| condition(&object, status, (name, value)))?
            }
            None => true,
        };
        if is {
            list.push((id, object));
        }
    }
    list.sort_by(|(a, one), (b, other)| {
        let step = |step: &Step| {
            let named =
                |object: &Object| step.collation.mapped(object.get(&step.property).and_then(Value::as_str).unwrap_or_default());
            step.towards(match step.property.as_str() {
                "emailId" | "threadId" => named(one).cmp(&named(other)),
                _ => (send_at(one), a).cmp(&(send_at(other), b)),
            })
        };
        sort.iter().map(step).find(|order| order.is_ne()).unwrap_or_else(|| a.cmp(b))
    });
    Ok(list.into_iter().map(|(id, _)| id).collect())
}

/// `EmailSubmission/query`
pub(super) async fn query(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let at = super::setting::now(context).await?;
    let list = found(context, &mut args).await?;
    let window = Window::take(&mut args)?;
    args.end()?;
    window.of(context, at, &list, Clone::clone)
}

/// `EmailSubmission/queryChanges`
pub(super) async fn query_changes(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let since = args.state("sinceQueryState")?;
    let most = Most::take(&mut args)?;
    let _ = args.text("upToId")?;
    let total = args.truth("calculateTotal")?;
    let cannot = || MethodError::new("cannotCalculateChanges");
    fate::catch_up(context.site, context.account.id).await?;
    let changes = context.site.store.account_changes(context.account.id, since, usize::MAX).await?.ok_or_else(cannot)?;
    let list = found(context, &mut args).await?;
    args.end()?;
    let moved: std::collections::BTreeSet<String> =
        changes.records.iter().filter(|(of, ..)| *of == COLLECTION).map(|(_, id, _)| id.to_string()).collect();
    let added: Vec<(usize, String)> =
        list.iter().enumerate().filter(|(_, id)| moved.contains(*id)).map(|(at, id)| (at, id.clone())).collect();
    most.allows(moved.len() + added.len())?;
    Ok(query_changed(context, (since, changes.mod_seq), moved.into_iter().collect(), added, total.then_some(list.len())))
}

/// `EmailSubmission/set`, and the `Email/set` that its success asks for.
pub(super) async fn set(context: &mut Context<'_>, mut args: Args) -> Answers {
    let on_update = args.object("onSuccessUpdateEmail")?.unwrap_or_default();
    // Before anything is sent.
    if !on_update.values().all(Value::is_object) {
        return Err(MethodError::arguments("onSuccessUpdateEmail holds something that is no object"));
    }
    let on_destroy = args.texts("onSuccessDestroyEmail")?.unwrap_or_default();
    let setting = Setting::take(context, &mut args).await?;
    args.end()?;
    let mut outcome = Outcome::default();
    // (submission, its email), of those that succeeded.
    let mut done: Vec<(String, String)> = Vec::new();
    for (creation, object) in setting.create {
        match create(context, &object).await {
            Ok((id, email, answer)) => {
                done.push((id.clone(), email));
                outcome.created(context, creation, id, answer);
            }
            Err(error) => outcome.not_created(creation, error),
        }
    }
    for (id, patch) in setting.update {
        let changed = update(context, &id, &patch).await;
        if let Ok(email) = &changed {
            done.push((id.clone(), email.clone()));
        }
        outcome.update(id, changed.map(|_| Value::Null));
    }
    for id in setting.destroy {
        let gone = destroy(context, &id).await;
        if let Ok(email) = &gone {
            done.push((id.clone(), email.clone()));
        }
        outcome.destroy(id, gone.map(|_| ()));
    }
    let mut answers = vec![("EmailSubmission/set".to_owned(), outcome.answer(context, setting.old_state).await?)];
    // One that an earlier call created goes by its creation id as well.
    let email_of = |name: &String| {
        let id = id_or_created(context, name);
        done.iter().find(|(one, _)| Some(one) == id.as_ref()).map(|(_, email)| email.clone())
    };
    let mut update = Object::new();
    for (name, patch) in on_update {
        // One email may have been sent twice: all that is asked for it is done.
        let Some(email) = email_of(&name) else { continue };
        if let (Some(all), Value::Object(patch)) = (update.entry(email).or_insert_with(|| json!({})).as_object_mut(), patch) {
            all.extend(patch);
        }
    }
    let destroy: Vec<String> = on_destroy.iter().filter_map(email_of).collect();
    if !update.is_empty() || !destroy.is_empty() {
        let mut arguments = Object::new();
        arguments.insert("update".into(), Value::Object(update));
        arguments.insert("destroy".into(), json!(destroy));
        answers.push(email::set_besides(context, arguments).await);
    }
    Ok(answers)
}

/// The conversation that it is in.
async fn thread_of(context: &Context<'_>, key: EmailKey, octets: &[u8]) -> Result<ThreadKey, StoreError> {
    let mut view = context.site.jmap.views.seen_by(&context.site.store, &context.eyes).await?;
    view.learn(&context.site.store, context.eyes.account, &[key]).await?;
    let known = view.get(key).and_then(|entry| entry.known()).map(|known| known.thread);
    Ok(known.unwrap_or_else(|| super::view::thread_of(key.body, &message::Facts::compute(octets))))
}

/// What is sent, and as whom.
struct Named {
    identity_id: String,
    identity: Object,
    email_id: String,
    key: EmailKey,
    octets: Bytes,
}

/// "If the Email or Identity id given cannot be found, the submission creation is rejected with a standard `invalidProperties`"
/// (RFC 8621 §7.5), which names both where both are wrong.
async fn named(context: &Context<'_>, object: &Object) -> Result<Named, SetError> {
    let id = |name: &str| text(object.get(name)).and_then(|id| id_or_created(context, id)).unwrap_or_default();
    let (identity_id, email_id) = (id("identityId"), id("emailId"));
    let identity = identity::all(context).await?.into_iter().find(|(id, _)| *id == identity_id);
    let key = EmailKey::of(&email_id);
    let octets = match key {
        Some(_) => blob(context, &email_id).await.map_err(|_| SetError::new("serverFail"))?,
        None => None,
    };
    match (identity, key, octets) {
        (Some((_, identity)), Some(key), Some(octets)) => Ok(Named { identity_id, identity, email_id, key, octets }),
        (identity, _, octets) => {
            let missing = [("identityId", identity.is_none()), ("emailId", octets.is_none())];
            let missing: Vec<&str> = missing.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
            Err(SetError::properties(&missing, "there is none of that id"))
        }
    }
}

async fn create(context: &Context<'_>, object: &Object) -> Result<(String, String, Object), SetError> {
    only(object, &["identityId", "emailId", "envelope"])?;
    let now_secs = net::clock::unix_now();
    let Named { identity_id, identity, email_id, key, octets } = named(context, object).await?;
    let bounds = (context.site.message_bytes_max, now_secs);
    let envelope = envelope(object.get("envelope"), &octets, &identity, bounds)?;
    if envelope.recipients.is_empty() {
        return Err(SetError::new("noRecipients"));
    }
    let (most, largest) = (context.site.recipients_max, context.site.message_bytes_max);
    if envelope.recipients.len() > most {
        return Err(SetError::new("tooManyRecipients").with("maxRecipients", json!(most)));
    }
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > largest {
        return Err(SetError::new("tooLarge").with("maxSize", json!(largest)));
    }
    // "One or more of the rcptTo values is not a valid email address" (RFC 8621 §7.5): as SMTP would not take it either.
    let is_bad =
        |address: &&str| matches!(message::address::Address::parse(address), Err(message::address::AddressError::Syntax));
    let bad: Vec<&str> = envelope.recipients.iter().map(|one| one.address.as_str()).filter(is_bad).collect();
    if !bad.is_empty() {
        return Err(SetError::new("invalidRecipients").with("invalidRecipients", json!(bad)));
    }
    let thread = thread_of(context, key, &octets).await.map_err(|_| SetError::new("serverFail"))?.id();
    let addresses: Vec<String> = envelope.recipients.iter().map(|one| one.address.clone()).collect();
    let resent = resent_block(&octets).next().is_some();
    let outgoing = Outgoing {
        account: context.account.clone(),
        reverse_path: envelope.reverse_path,
        recipients: envelope.recipients,
        octets,
        hold_until_secs: envelope.hold_until_secs,
        ret_headers: envelope.ret_headers,
        envelope_id: envelope.envelope_id,
        service: envelope.service,
        peer: context.peer,
        resent,
    };
    let whole = outgoing.octets.clone();
    let sent = context.site.sender.send(outgoing).await.map_err(|refusal| refused(context, &addresses, &refusal))?;
    let taken: Vec<String> =
        addresses.iter().zip(&sent.recipients).filter(|(_, answer)| answer.is_ok()).map(|(address, _)| address.clone()).collect();
    let answers: Object = addresses
        .into_iter()
        .zip(&sent.recipients)
        .map(|(address, answer)| (address, json!(answer.as_ref().unwrap_or_else(|refusal| refusal))))
        .collect();
    let send_at = envelope.hold_until_secs.unwrap_or(now_secs).max(now_secs);
    let record = json!({
        "identityId": identity_id, "emailId": email_id, "threadId": thread, "envelope": envelope.as_said, "sendAt": send_at,
        "queue": sent.queued.iter().map(|id| id.0).collect::<Vec<u64>>(), "answers": answers, "transaction": sent.id,
        reports::MESSAGE_ID: reports::message_id_of(&whole, format!("{}@{}", sent.id, context.site.hostname)),
    });
    let id = format!("S{}", sent.id);
    let as_kept = record.as_object().cloned().unwrap_or_default();
    // Sent it is, also when this cannot be written down: the trace has it.
    if let Err(error) = write_down(context, &id, record, people_in(&whole, &taken)).await {
        tracing::warn!(?error, "a submission was not written down");
    }
    // "Any properties of the created [...] object that were not sent by the client" (RFC 8620 §5.3).
    let is_told = |name: &str| object.get(name).is_none_or(Value::is_null);
    let answer = match shown(context, &id, &as_kept, &is_told).await {
        Ok(Value::Object(answer)) => answer,
        _ => Object::from_iter([("id".to_owned(), json!(id))]),
    };
    Ok((id, email_id, answer))
}

/// The submission, and whom it went to, in one commit.
async fn write_down(context: &Context<'_>, id: &str, record: Value, people: Vec<(String, String)>) -> Result<(), StoreError> {
    let Value::Object(mut record) = record else { return Ok(()) };
    if let Err(error) = fate::note(context.site, &mut record).await {
        tracing::warn!(?error, "what became of a message is looked for later");
    }
    let mut changes: Vec<RecordChange> =
        vec![(COLLECTION, id.into(), Some(Value::Object(record.clone()).to_string().into_bytes()))];
    match super::people::written_to(context, &people).await {
        Ok(known) => changes.extend(known),
        Err(error) => tracing::warn!(?error, "whom somebody wrote to was not written down"),
    }
    let (site, account) = (context.site, context.account.id);
    changes.extend(reports::begin(site, account).await?);
    match site.store.records_change(account, &changes).await {
        Err(StoreError::Invalid(_)) if fate::make_room(site, account).await? => {
            site.store.records_change(account, &changes).await?;
        }
        written => drop(written?),
    }
    // What happened while that was written nobody else saw.
    fate::begun(site, account, id, &record).await;
    if fate::note(site, &mut record).await? {
        fate::catch_up(site, account).await?;
    }
    Ok(())
}

/// Whom it went to, by the name that stands in the message: completed the next time.
fn people_in(octets: &[u8], taken: &[String]) -> Vec<(String, String)> {
    let mut people: Vec<(String, String)> = Vec::new();
    for field in fields(octets).filter(|field| ["To", "Cc", "Bcc"].iter().any(|name| field.is(name))) {
        for one in &field.addresses() {
            let Some(address) = one.address() else { continue };
            if taken.iter().any(|known| known.eq_ignore_ascii_case(&address))
                && !people.iter().any(|(_, known)| *known == address)
            {
                people.push((one.name().unwrap_or_default().into_owned(), address));
            }
        }
    }
    people
}

/// Why it was not taken, in JMAP's words (RFC 8621 §7.5).
fn refused(context: &Context<'_>, to: &[String], refusal: &mta::Refusal) -> SetError {
    let kind = match refusal.enhanced {
        (5, 7, 1) if refusal.text.starts_with("MAIL FROM") => "forbiddenMailFrom",
        (5, 7, 1) if refusal.text.contains("neither your address") => "forbiddenFrom",
        (5, 6, 0) => "invalidEmail",
        (_, 5, 3) => "tooManyRecipients",
        (_, 3, 4) => "tooLarge",
        (_, 1, 1) => "invalidRecipients",
        _ => "forbiddenToSend",
    };
    let error = SetError::why(kind, refusal.to_string());
    match kind {
        "tooManyRecipients" => error.with("maxRecipients", json!(context.site.recipients_max)),
        "tooLarge" => error.with("maxSize", json!(context.site.message_bytes_max)),
        // It is refused as a whole where nobody is left.
        "invalidRecipients" => error.with("invalidRecipients", json!(to)),
        _ => error,
    }
}

async fn one(context: &Context<'_>, id: &str) -> Result<(Object, String), SetError> {
    let stored = context.site.store.record(context.account.id, COLLECTION, id).await?;
    let object = stored.as_deref().and_then(read).ok_or_else(|| SetError::new("notFound"))?;
    let email = text(object.get("emailId")).unwrap_or_default().to_owned();
    Ok((object, email))
}

/// Only taking it back can be asked for.
async fn update(context: &Context<'_>, id: &str, patch: &Object) -> Result<String, SetError> {
    let _alone = context.site.jmap.submissions.lock().await;
    let (mut object, email) = one(context, id).await?;
    let present = shown(context, id, &object, &|_| true).await?;
    let patch = whole_properties(patch.clone(), present.as_object().unwrap_or(&Object::new()))?;
    // All of it may be said again as it is.
    let patch = without_same(patch, Some(&present));
    if patch.is_empty() {
        return Ok(email);
    }
    only(&patch, &["undoStatus"])?;
    if text(patch.get("undoStatus")) != Some("canceled") {
        return Err(SetError::properties(&["undoStatus"], "it can only become canceled"));
    }
    if undo_status(context, &object).await? != "pending" {
        return Err(SetError::new("cannotUnsend"));
    }
    for entry in queued(&object) {
        match context.site.store.queue_act(entry, QueueAct::Drop).await {
            Ok(()) => {}
            Err(StoreError::NotFound | StoreError::LeaseLost) => return Err(SetError::new("cannotUnsend")),
            Err(error) => return Err(error.into()),
        }
    }
    object.insert("canceled".into(), json!(true));
    let stored = Value::Object(object).to_string().into_bytes();
    context.site.store.records_change(context.account.id, &[(COLLECTION, id.into(), Some(stored))]).await?;
    Ok(email)
}

async fn destroy(context: &Context<'_>, id: &str) -> Result<String, SetError> {
    let _alone = context.site.jmap.submissions.lock().await;
    let (_, email) = one(context, id).await?;
    context.site.store.records_change(context.account.id, &[(COLLECTION, id.into(), None)]).await?;
    Ok(email)
}
