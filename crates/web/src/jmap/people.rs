//! People (the program's own name space): the address book, and whom the account wrote to.
//!
//! Invariant: bounded in number and octets; one that was only written to is forgotten before one that was entered.
//! Must not know: vCards (the page reads and writes them).

use super::answers::got;
use super::args::Args;
use super::failure::{MethodError, SetError};
use super::identity::record_changes;
use super::setting::{Outcome, Setting, whole_properties};
use super::{Context, Object};
use crate::collections::PEOPLE;
use crate::limits::{PEOPLE_MAX, PERSON_BYTES_MAX};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use store::{RecordChange, StoreError};

const PROPERTIES: [&str; 10] =
    ["id", "name", "emails", "phones", "organization", "note", "vcard", "isEntered", "timesUsed", "lastUsed"];

/// All, as they are kept.
async fn all(context: &Context<'_>) -> Result<Vec<(String, Object)>, StoreError> {
    let kept = context.site.store.records(context.account.id, PEOPLE).await?;
    Ok(kept.iter().filter_map(|(id, stored)| Some((id.to_string(), serde_json::from_slice(stored).ok()?))).collect())
}

fn fresh() -> Object {
    let value = json!({
        "name": "", "emails": [], "phones": [], "organization": "", "note": "", "vcard": null, "isEntered": true, "timesUsed": 0,
        "lastUsed": null,
    });
    value.as_object().cloned().unwrap_or_default()
}

fn new_id() -> Result<String, SetError> {
    let mut octets = [0u8; 9];
    SystemRandom::new().fill(&mut octets).map_err(|_| SetError::new("serverFail"))?;
    Ok(format!("p{}", data_encoding::HEXLOWER.encode(&octets)))
}

/// `Person/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let properties = args.properties(&PROPERTIES)?;
    args.end()?;
    let at = super::setting::now(context).await?;
    let all = all(context).await?;
    let shown = |id: &str, object: &Object| {
        let mut object = object.clone();
        object.retain(|name, _| properties.as_ref().is_none_or(|names| names.contains(name)));
        object.insert("id".into(), json!(id));
        Value::Object(object)
    };
    // All there are may be more than maxObjectsInGet: the address book is small and wanted whole.
    let Some(ids) = ids else {
        let list = all.iter().map(|(id, object)| shown(id, object)).collect();
        return Ok(got(context, at, list, Vec::new()));
    };
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        match all.iter().find(|(known, _)| *known == id) {
            Some((id, object)) => list.push(shown(id, object)),
            None => not_found.push(id),
        }
    }
    Ok(got(context, at, list, not_found))
}

/// `Person/changes`
pub(super) async fn changes(context: &mut Context<'_>, args: Args) -> Result<Object, MethodError> {
    record_changes(context, args, PEOPLE).await
}

/// `Person/set`
pub(super) async fn set(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let setting = Setting::take(context, &mut args).await?;
    args.end()?;
    let known = all(context).await?;
    let mut outcome = Outcome::default();
    let mut changes: Vec<RecordChange> = Vec::new();
    let mut made: Vec<(String, String)> = Vec::new();
    let mut updated = Vec::new();
    let mut count = known.len();
    for (creation, object) in setting.create {
        let whole = whole(fresh(), object);
        match whole.and_then(|stored| Ok((new_id()?, stored))) {
            Ok(_) if count >= PEOPLE_MAX => outcome.not_created(creation, SetError::new("overQuota")),
            Ok((id, stored)) => {
                count += 1;
                changes.push((PEOPLE, id.as_str().into(), Some(stored)));
                made.push((creation, id));
            }
            Err(error) => outcome.not_created(creation, error),
        }
    }
    for (id, patch) in setting.update {
        let found = known.iter().find(|(known, _)| *known == id).map(|(_, object)| object.clone());
        match found.ok_or_else(|| SetError::new("notFound")).and_then(|object| whole(object, patch)) {
            Ok(stored) => {
                changes.push((PEOPLE, id.as_str().into(), Some(stored)));
                updated.push(id);
            }
            Err(error) => outcome.update(id, Err(error)),
        }
    }
    let mut gone = Vec::new();
    for id in setting.destroy {
        if known.iter().any(|(known, _)| *known == id) {
            changes.push((PEOPLE, id.as_str().into(), None));
            gone.push(id);
        } else {
            outcome.destroy(id, Err(SetError::new("notFound")));
        }
    }
    if !changes.is_empty() {
        context.site.store.records_change(context.account.id, &changes).await?;
    }
    for (creation, id) in made {
        let answer = json!({"id": id, "isEntered": true, "timesUsed": 0, "lastUsed": null});
        outcome.created(context, creation, id, answer.as_object().cloned().unwrap_or_default());
    }
    updated.into_iter().for_each(|id| outcome.update(id, Ok(Value::Null)));
    gone.into_iter().for_each(|id| outcome.destroy(id, Ok(())));
    outcome.answer(context, setting.old_state).await
}

/// A person with these changes, as it is kept.
fn whole(mut object: Object, patch: Object) -> Result<Vec<u8>, SetError> {
    let patch = whole_properties(patch, &object)?;
    for (name, value) in &patch {
        let good = match name.as_str() {
            "name" | "organization" | "note" => value.is_string(),
            "vcard" => value.is_null() || value.is_string(),
            "emails" | "phones" => value.as_array().is_some_and(|list| list.len() <= 50 && list.iter().all(Value::is_string)),
            _ => false,
        };
        if !good {
            return Err(SetError::properties(&[name], "this cannot be set so"));
        }
    }
    object.extend(patch);
    object.insert("isEntered".into(), json!(true));
    kept(&object)
}

fn kept(object: &Object) -> Result<Vec<u8>, SetError> {
    let stored = serde_json::to_vec(object).map_err(|_| SetError::new("serverFail"))?;
    if stored.len() > PERSON_BYTES_MAX {
        return Err(SetError::why("tooLarge", "That is too much for one person."));
    }
    Ok(stored)
}

/// What changes when somebody was written to: (name, address) each.
pub(super) async fn written_to(context: &Context<'_>, people: &[(String, String)]) -> Result<Vec<RecordChange>, StoreError> {
    let mut known = all(context).await?;
    let mut changes: Vec<RecordChange> = Vec::new();
    let now = message::date::format_rfc_3339(net::clock::unix_now());
    for (name, address) in people {
        let has = |object: &Object| {
            let emails = object.get("emails").and_then(Value::as_array).into_iter().flatten();
            emails.filter_map(Value::as_str).any(|one| one.eq_ignore_ascii_case(address))
        };
        let found = known.iter().find(|(_, object)| has(object)).cloned();
        let (id, mut object) = match found {
            Some(found) => found,
            None if known.len() >= PEOPLE_MAX => match forgotten(&known) {
                Some(old) => {
                    known.retain(|(id, _)| *id != old);
                    changes.push((PEOPLE, old.into(), None));
                    one_written_to(name, address)
                }
                None => continue,
            },
            None => one_written_to(name, address),
        };
        if object.get("name").and_then(Value::as_str) == Some("") {
            object.insert("name".into(), json!(name));
        }
        let times = object.get("timesUsed").and_then(Value::as_u64).unwrap_or(0);
        object.insert("timesUsed".into(), json!(times.saturating_add(1)));
        object.insert("lastUsed".into(), json!(now));
        let Ok(stored) = kept(&object) else { continue };
        changes.retain(|(_, known, _)| *known != id);
        changes.push((PEOPLE, id.as_str().into(), Some(stored)));
        known.retain(|(known, _)| *known != id);
        known.push((id, object));
    }
    Ok(changes)
}

/// Their id is made of the address, so that two acts at once make one person.
fn one_written_to(name: &str, address: &str) -> (String, Object) {
    let hash = blake3::hash(store::normalise(address).as_bytes());
    let id = format!("w{}", data_encoding::HEXLOWER.encode(hash.as_bytes().get(..9).unwrap_or_default()));
    let mut object = fresh();
    object.insert("name".into(), json!(name));
    object.insert("emails".into(), json!([address]));
    object.insert("isEntered".into(), json!(false));
    (id, object)
}

/// Of those only written to, the one whom it was longest ago.
fn forgotten(known: &[(String, Object)]) -> Option<String> {
    let last = |object: &Object| object.get("lastUsed").and_then(Value::as_str).unwrap_or_default().to_owned();
    let written = known.iter().filter(|(_, object)| object.get("isEntered") == Some(&Value::Bool(false)));
    written.min_by_key(|(_, object)| last(object)).map(|(id, _)| id.clone())
}
