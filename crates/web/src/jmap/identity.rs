//! Identities (RFC 8621 §6): the account's own address always, others as long as they are the account's.
//!
//! Must not know: how mail is sent.

use super::answers::{Told, changed, changes_max, got, happened};
use super::args::Args;
use super::failure::{MethodError, SetError};
use super::setting::{Outcome, Setting, whole_properties, without_same};
use super::{Context, Object};
use crate::collections::IDENTITIES as COLLECTION;
use crate::limits::{IDENTITIES_MAX, IDENTITY_BYTES_MAX};
use mta::receive::Place;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use smol_str::SmolStr;
use store::{AccountId, Store, StoreError, Touch};

/// The account's own address.
const MAIN: &str = "main";
const PROPERTIES: [&str; 8] = ["id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"];

/// What an identity says if nobody said otherwise.
fn fresh(email: &str) -> Object {
    let value = json!({"name": "", "email": email, "replyTo": null, "bcc": null, "textSignature": "", "htmlSignature": ""});
    value.as_object().cloned().unwrap_or_default()
}

/// All of them, the main one first.
pub(crate) async fn all(context: &Context<'_>) -> Result<Vec<(String, Object)>, store::StoreError> {
    let kept = context.site.store.records(context.account.id, COLLECTION).await?;
    let read = |stored: &[u8]| serde_json::from_slice::<Object>(stored).ok();
    let main = kept.iter().find(|(name, _)| name == MAIN).and_then(|(_, stored)| read(stored));
    let mut list = vec![(MAIN.to_owned(), main.unwrap_or_else(|| fresh(&context.account.address)))];
    let others = kept.iter().filter(|(name, _)| name != MAIN);
    list.extend(others.filter_map(|(name, stored)| Some((name.to_string(), read(stored)?))));
    Ok(list)
}

/// `Identity/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let properties = args.properties(&PROPERTIES)?;
    args.end()?;
    let at = super::setting::now(context).await?;
    let all = all(context).await?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids.unwrap_or_else(|| all.iter().map(|(id, _)| id.clone()).collect()) {
        let Some((_, object)) = all.iter().find(|(known, _)| *known == id) else {
            not_found.push(id);
            continue;
        };
        let mut object = object.clone();
        object.insert("mayDelete".into(), json!(id != MAIN));
        object.retain(|name, _| properties.as_ref().is_none_or(|names| names.contains(name)));
        object.insert("id".into(), json!(id));
        list.push(Value::Object(object));
    }
    Ok(got(context, at, list, not_found))
}

/// `Identity/changes`
pub(super) async fn changes(context: &mut Context<'_>, args: Args) -> Result<Object, MethodError> {
    record_changes(context, args, COLLECTION).await
}

/// `/changes` of a type that is a collection of records.
pub(super) async fn record_changes(context: &mut Context<'_>, mut args: Args, collection: u8) -> Result<Object, MethodError> {
    let since = args.since()?;
    let max = changes_max(&mut args)?;
    args.end()?;
    let changes = happened(context, &since, usize::MAX).await?;
    let mut touched = std::collections::BTreeMap::new();
    for (_, id, touch) in changes.records.iter().filter(|(of, ..)| *of == collection) {
        let before = touched.get(id).copied();
        match (before, touch) {
            (Some(Touch::Created), Touch::Destroyed) => drop(touched.remove(id)),
            (Some(Touch::Created), _) => {}
            (_, touch) => drop(touched.insert(id, *touch)),
        }
    }
    // The main identity, and the only object of a kind, are there before anybody says anything of them.
    let always = |id: &str| collection == COLLECTION && id == MAIN || id == mta::wishes::SINGLETON;
    let touch = |(id, touch): (&SmolStr, Touch)| (id.to_string(), if always(id) { Touch::Updated } else { touch });
    let touches = touched.into_iter().map(touch).collect();
    Ok(changed(context, &since, max, Told::new(touches, &changes)))
}

/// `Identity/set`
pub(super) async fn set(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let setting = Setting::take(context, &mut args).await?;
    args.end()?;
    let mut outcome = Outcome::default();
    for (creation, object) in setting.create {
        match create(context, object).await {
            Ok((id, answer)) => outcome.created(context, creation, id, answer),
            Err(error) => outcome.not_created(creation, error),
        }
    }
    for (id, patch) in setting.update {
        let done = update(context, &id, patch).await;
        outcome.update(id, done.map(|()| Value::Null));
    }
    for id in setting.destroy {
        let done = destroy(context, &id).await;
        outcome.destroy(id, done);
    }
    outcome.answer(context, setting.old_state).await
}

/// An EmailAddress (RFC 8621 §4.1.2.3).
fn is_address(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let is_text =
        |text: Option<&Value>| text.is_some_and(|text| text.as_str().is_some_and(|text| !text.contains(char::is_control)));
    object.keys().all(|name| ["name", "email"].contains(&name.as_str()))
        && is_text(object.get("email"))
        && (object.get("name").is_none_or(Value::is_null) || is_text(object.get("name")))
}

fn check(patch: &Object, may: &[&str]) -> Result<(), SetError> {
    let is_good = |(name, value): (&String, &Value)| {
        match name.as_str() {
            _ if !may.contains(&name.as_str()) => false,
            // It stands before the address in From.
            "name" => value.as_str().is_some_and(|name| !name.contains(char::is_control)),
            "textSignature" | "htmlSignature" => value.is_string(),
            "email" => value.as_str().is_some_and(|email| email.contains('@')),
            _ => value.is_null() || value.as_array().is_some_and(|list| list.iter().all(is_address)),
        }
    };
    SetError::any(patch.iter().filter(|one| !is_good(*one)).map(|(name, _)| name.as_str()), "this cannot be set so")
}

/// What the rules of sending need to know.
pub(crate) fn place<'a>(context: &'a Context<'_>) -> Place<'a> {
    let (store, domains) = (&context.site.store, &context.site.domains);
    Place { store, domains, reachable: None, unreachable_text: "", srs: None, poster: None }
}

/// Its id, and what of it was not said.
async fn create(context: &Context<'_>, object: Object) -> Result<(String, Object), SetError> {
    check(&object, &["name", "email", "replyTo", "bcc", "textSignature", "htmlSignature"])?;
    let email = object.get("email").and_then(Value::as_str).unwrap_or_default().to_owned();
    if email.is_empty() {
        return Err(SetError::properties(&["email"], "an identity has an address"));
    }
    let elsewhere = context.site.links.as_ref().is_some_and(|links| links.sends_as(context.account.id, &email));
    if !elsewhere && !place(context).owns(context.account, &email).await? {
        return Err(SetError::why("forbiddenFrom", "That address is not yours."));
    }
    if context.site.store.records(context.account.id, COLLECTION).await?.len() >= IDENTITIES_MAX {
        return Err(SetError::new("overQuota"));
    }
    let id = new_id().ok_or_else(|| SetError::new("serverFail"))?;
    let mut answer = fresh(&email);
    answer.retain(|name, _| !object.contains_key(name));
    answer.insert("id".into(), json!(id));
    answer.insert("mayDelete".into(), json!(true));
    let mut whole = fresh(&email);
    whole.extend(object);
    keep(context, &id, &whole).await?;
    Ok((id, answer))
}

fn new_id() -> Option<String> {
    let mut octets = [0u8; 8];
    SystemRandom::new().fill(&mut octets).ok()?;
    Some(format!("i{}", data_encoding::HEXLOWER.encode(&octets)))
}

/// The records of the identities with this address.
async fn of_address(store: &Store, account: AccountId, email: &str) -> Result<Vec<SmolStr>, StoreError> {
    let is_it = |stored: &[u8]| {
        let object = serde_json::from_slice::<Object>(stored).ok();
        object.is_some_and(|one| one.get("email").and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(email)))
    };
    let all = store.records(account, COLLECTION).await?;
    Ok(all.into_iter().filter(|(id, stored)| *id != MAIN && is_it(stored)).map(|(id, _)| id).collect())
}

/// There is an identity for this address of the account's elsewhere.
pub(crate) async fn link(store: &Store, account: AccountId, email: &str) -> Result<(), StoreError> {
    if !of_address(store, account, email).await?.is_empty() {
        return Ok(());
    }
    let id = new_id().ok_or_else(|| StoreError::Io("no randomness".into()))?;
    let stored = Value::Object(fresh(email)).to_string().into_bytes();
    store.records_change(account, &[(COLLECTION, id.into(), Some(stored))]).await.map(drop)
}

/// There is none any more.
pub(crate) async fn unlink(store: &Store, account: AccountId, email: &str) -> Result<(), StoreError> {
    let gone = of_address(store, account, email).await?;
    let changes: Vec<_> = gone.into_iter().map(|id| (COLLECTION, id, None)).collect();
    if changes.is_empty() { Ok(()) } else { store.records_change(account, &changes).await.map(drop) }
}

async fn keep(context: &Context<'_>, id: &str, object: &Object) -> Result<(), SetError> {
    let stored = serde_json::to_vec(object).map_err(|_| SetError::new("serverFail"))?;
    if stored.len() > IDENTITY_BYTES_MAX {
        return Err(SetError::why("tooLarge", "The signature is too large."));
    }
    context.site.store.records_change(context.account.id, &[(COLLECTION, id.into(), Some(stored))]).await?;
    Ok(())
}

async fn update(context: &Context<'_>, id: &str, patch: Object) -> Result<(), SetError> {
    let found = all(context).await?.into_iter().find(|(known, _)| known == id);
    let (_, mut object) = found.ok_or_else(|| SetError::new("notFound"))?;
    let mut present = object.clone();
    present.extend([("id".to_owned(), json!(id)), ("mayDelete".to_owned(), json!(id != MAIN))]);
    let patch = whole_properties(patch, &present)?;
    let mut patch = without_same(patch, Some(&Value::Object(present)));
    // RFC 8620 §5.3: null is what it is where nobody says anything.
    let usual = fresh("");
    for (name, value) in patch.iter_mut().filter(|(name, value)| value.is_null() && name.as_str() != "email") {
        *value = usual.get(name).cloned().unwrap_or_default();
    }
    check(&patch, &["name", "replyTo", "bcc", "textSignature", "htmlSignature"])?;
    if patch.is_empty() {
        return Ok(());
    }
    object.extend(patch);
    keep(context, id, &object).await
}

async fn destroy(context: &Context<'_>, id: &str) -> Result<(), SetError> {
    if id == MAIN {
        return Err(SetError::new("forbidden"));
    }
    if context.site.store.record(context.account.id, COLLECTION, id).await?.is_none() {
        return Err(SetError::new("notFound"));
    }
    context.site.store.records_change(context.account.id, &[(COLLECTION, id.into(), None)]).await?;
    Ok(())
}
