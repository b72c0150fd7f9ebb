//! `Mailbox/set` (RFC 8621 §2.5): made, renamed, moved, subscribed, removed.
//!
//! Must not know: what is in a mailbox, except whether it is empty.

use super::{id_of, leaf, parent, role, special_use};
use crate::jmap::args::Args;
use crate::jmap::failure::{MethodError, SetError};
use crate::jmap::setting::{Outcome, Setting, id_or_created, without_same};
use crate::jmap::sharing::{forbidden, my_rights};
use crate::jmap::{Context, Object};
use crate::limits::MAILBOX_NAME_BYTES_MAX;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::HashMap;
use store::Mailbox;
use wire::imap::acl::{Right, Rights};

/// Mailboxes of one call that step aside for each other.
const CIRCLES_MAX: usize = 16;
/// Times that those which wait for a name are looked at again.
const PASSES_MAX: usize = 32;
/// What nobody but the server sets.
const OF_SERVER: [&str; 6] = ["id", "totalEmails", "unreadEmails", "totalThreads", "unreadThreads", "myRights"];

/// `Mailbox/set`
pub(crate) async fn set(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let remove_emails = args.truth("onDestroyRemoveEmails")?;
    let setting = Setting::take(context, &mut args).await?;
    args.end()?;
    let mut outcome = Outcome::default();
    for (creation, object) in setting.create {
        match create(context, object).await {
            Ok((id, object)) => outcome.created(context, creation, id, object),
            Err(error) => outcome.not_created(creation, error),
        }
    }
    let mut updates = Vec::new();
    for (id, patch) in setting.update {
        let patch = match patch.keys().any(|name| OF_SERVER.contains(&name.as_str())) {
            true => {
                let asked = json!({"ids": [id], "properties": OF_SERVER});
                let there = super::get(context, Args::new(asked.as_object().cloned().unwrap_or_default())).await?;
                without_same(patch, there.get("list").and_then(|list| list.get(0)))
            }
            false => patch,
        };
        updates.push((id, patch));
    }
    for (id, done) in updated(context, updates).await {
        outcome.update(id, done.map(|()| Value::Null));
    }
    // What lies under another one goes first: "if the final state is valid, this is allowed" (RFC 8620 §5.3).
    let mut doomed = setting.destroy;
    let all = mailboxes(context).await.unwrap_or_default();
    let length = |id: &str| {
        let wanted = store::object_id::mailbox(context.eyes.account, id);
        all.iter().find(|one| Some(one.id) == wanted).map_or(0, |one| one.name.len())
    };
    doomed.sort_by_cached_key(|id| Reverse(length(id)));
    for id in doomed {
        let done = destroy(context, &id, remove_emails).await;
        outcome.destroy(id, done);
    }
    outcome.answer(context, setting.old_state).await
}

fn taken() -> SetError {
    SetError::properties(&["name"], "there is one of that name")
}

type Done = Vec<(String, Result<(), SetError>)>;

/// One whose name another has still waits until that one has its own; where names go round ("rename an object A => B and
/// simultaneously rename another object B => A", RFC 8620 §5.3) one of them steps aside meanwhile.
async fn updated(context: &Context<'_>, mut left: Vec<(String, Object)>) -> Done {
    let (mut done, mut circles) = (Vec::new(), 0);
    loop {
        settle(context, &mut left, &mut done).await;
        if left.is_empty() {
            return done;
        }
        let is_circle = circles < CIRCLES_MAX && is_circle(context, &left).await;
        let (id, patch) = left.remove(0);
        circles += 1;
        let outcome = match is_circle {
            true => aside(context, (&id, patch), &mut left, &mut done).await,
            false => Err(taken()),
        };
        done.push((id, outcome));
    }
}

/// Whatever can be done now; the rest stays.
async fn settle(context: &Context<'_>, left: &mut Vec<(String, Object)>, done: &mut Done) {
    for _ in 0..PASSES_MAX {
        let before = left.len();
        for (id, patch) in std::mem::take(left) {
            match update(context, &id, patch.clone()).await {
                Err(error) if error == taken() => left.push((id, patch)),
                outcome => done.push((id, outcome)),
            }
        }
        if left.is_empty() || left.len() == before {
            return;
        }
    }
}

/// Leads the name that the first of them is to have, over who has it and is to have another, back to its own?
async fn is_circle(context: &Context<'_>, left: &[(String, Object)]) -> bool {
    let mut names = HashMap::new();
    for (id, patch) in left {
        if let Some((now, then)) = names_of(context, id, patch).await {
            names.insert(now, then);
        }
    }
    let Some((first, mut name)) = (match left.first() {
        Some((id, patch)) => names_of(context, id, patch).await,
        None => None,
    }) else {
        return false;
    };
    for _ in 0..left.len() {
        if name == first {
            return true;
        }
        match names.get(&name) {
            Some(next) => name.clone_from(next),
            None => return false,
        }
    }
    false
}

/// What a mailbox is called, and what it is to be.
async fn names_of(context: &Context<'_>, id: &str, patch: &Object) -> Option<(String, String)> {
    let (mailbox, _) = one(context, id).await.ok()?;
    let wanted = patch.get("name").and_then(Value::as_str).unwrap_or_else(|| leaf(&mailbox));
    let then = match (patch.get("parentId"), mailbox.name.rsplit_once('/')) {
        (Some(parent), _) => whole(context, parent.as_str(), wanted).await.ok()?,
        (None, Some((superior, _))) => format!("{superior}/{wanted}"),
        (None, None) => wanted.to_owned(),
    };
    Some((mailbox.name.to_string(), then))
}

async fn aside(
    context: &Context<'_>,
    (id, mut patch): (&str, Object),
    left: &mut Vec<(String, Object)>,
    done: &mut Done,
) -> Result<(), SetError> {
    let (mailbox, rights) = one(context, id).await?;
    if mailbox.name == "INBOX" || !rights.has(Right::DeleteMailbox) {
        return Err(taken());
    }
    let (store, account, now) = (&context.site.store, context.eyes.account, net::clock::unix_now());
    let meanwhile = format!("{} ({})", mailbox.name, id_of(account, mailbox.id));
    store.mailbox_rename(account, &mailbox.name, &meanwhile, now).await?;
    settle(context, left, done).await;
    patch.entry("name").or_insert_with(|| json!(leaf(&mailbox)));
    let outcome = update(context, id, patch).await;
    if outcome.is_err()
        && let Err(error) = store.mailbox_rename(account, &meanwhile, &mailbox.name, now).await
    {
        tracing::error!(?error, "a mailbox did not get its name back");
    }
    outcome
}

/// All, also those that are hidden from who asks.
async fn mailboxes(context: &Context<'_>) -> Result<Vec<Mailbox>, SetError> {
    Ok(context.site.store.mailboxes(context.eyes.account).await?.to_vec())
}

/// One that is shown, and what may be done with it.
async fn one(context: &Context<'_>, id: &str) -> Result<(Mailbox, Rights), SetError> {
    let wanted = store::object_id::mailbox(context.eyes.account, id);
    let found = mailboxes(context).await?.into_iter().find(|one| Some(one.id) == wanted);
    let found = found.map(|one| (context.eyes.rights(&context.site.store, one.id), one));
    let (rights, mut mailbox) = found.filter(|(rights, _)| rights.has(Right::Lookup)).ok_or_else(|| SetError::new("notFound"))?;
    if !context.eyes.are_own() {
        mailbox.subscribed = context.eyes.subscribed(&context.site.store).await?.contains(&mailbox.name);
    }
    Ok((mailbox, rights))
}

/// May who asks make, or move something to, what has this name?
async fn may_be_made(context: &Context<'_>, name: &str) -> Result<(), SetError> {
    let all = mailboxes(context).await?;
    let rights = context.eyes.rights_above(&context.site.store, &all, name);
    if rights.has(Right::Create) { Ok(()) } else { Err(forbidden()) }
}

fn checked(name: &Value) -> Result<&str, SetError> {
    let wrong = |why| SetError::properties(&["name"], why);
    let name = name.as_str().ok_or_else(|| wrong("name is not a string"))?;
    if name.is_empty() || name.len() > MAILBOX_NAME_BYTES_MAX || name.contains('/') {
        return Err(wrong("a name has 1 to 490 octets and no slash"));
    }
    Ok(name)
}

/// The whole name under a parent.
async fn whole(context: &Context<'_>, parent: Option<&str>, leaf: &str) -> Result<String, SetError> {
    let Some(parent) = parent else { return Ok(leaf.to_owned()) };
    let missing = || SetError::properties(&["parentId"], "there is no such parent");
    let id = id_or_created(context, parent).ok_or_else(missing)?;
    let (parent, _) = one(context, &id).await.map_err(|_| missing())?;
    Ok(format!("{}/{leaf}", parent.name))
}

async fn create(context: &Context<'_>, object: Object) -> Result<(String, Object), SetError> {
    let known = ["name", "parentId", "role", "sortOrder", "isSubscribed"];
    if let Some(name) = object.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(SetError::properties(&[name], "this cannot be set"));
    }
    let name = checked(object.get("name").unwrap_or(&Value::Null))?;
    let parent = object.get("parentId").and_then(Value::as_str);
    let used = match object.get("role").unwrap_or(&Value::Null) {
        Value::Null => None,
        // What a mailbox is for is its owner's to say.
        _ if !context.eyes.are_own() => return Err(SetError::properties(&["role"], "this role cannot be given")),
        role => {
            let used = role.as_str().and_then(special_use);
            Some(used.ok_or_else(|| SetError::properties(&["role"], "this role cannot be given"))?)
        }
    };
    let name = whole(context, parent, name).await?;
    may_be_made(context, &name).await?;
    let (store, account) = (&context.site.store, context.eyes.account);
    let made = store.mailbox_create(account, &name, used, net::clock::unix_now()).await.map_err(|error| match error {
        store::StoreError::Exists => taken(),
        error => error.into(),
    })?;
    if object.get("isSubscribed").and_then(Value::as_bool) == Some(true) {
        context.eyes.subscribe(store, &made.name, true).await?;
    }
    let rights = context.eyes.rights(store, made.id);
    let answer = json!({
        "id": id_of(account, made.id), "sortOrder": super::sort_order(&made), "totalEmails": 0, "unreadEmails": 0,
        "totalThreads": 0, "unreadThreads": 0, "myRights": my_rights(rights, false), "role": role(&made),
        "isSubscribed": object.get("isSubscribed").and_then(Value::as_bool).unwrap_or(false),
        "parentId": object.get("parentId").cloned().unwrap_or_default(),
    });
    let Value::Object(mut answer) = answer else { return Err(SetError::new("serverFail")) };
    // Only what the client did not say itself.
    answer.retain(|name, _| name == "id" || !object.contains_key(name) || name == "sortOrder");
    Ok((id_of(account, made.id), answer))
}

async fn update(context: &Context<'_>, id: &str, patch: Object) -> Result<(), SetError> {
    let (mailbox, rights) = one(context, id).await?;
    let mut all = mailboxes(context).await?;
    all.retain(|one| context.eyes.rights(&context.site.store, one.id).has(Right::Lookup));
    let (store, account) = (&context.site.store, context.eyes.account);
    let states = all.iter().map(|one| (one.id, (one.clone(), store::MailboxStatus::default()))).collect();
    let parent = parent(&states, &mailbox).map(|parent| id_of(account, parent.id));
    let mut above = parent.clone();
    let mut name = leaf(&mailbox).to_owned();
    let mut subscribed = mailbox.subscribed;
    for (property, value) in &patch {
        match property.as_str() {
            "name" => name = checked(value)?.to_owned(),
            "parentId" => above = value.as_str().map(str::to_owned),
            "isSubscribed" => {
                let wrong = || SetError::properties(&["isSubscribed"], "isSubscribed is true or false");
                subscribed = value.as_bool().ok_or_else(wrong)?;
            }
            // What is there already may be said again.
            "role" if value.as_str() == role(&mailbox) => {}
            "sortOrder" if value.as_u64() == Some(u64::from(super::sort_order(&mailbox))) => {}
            other => return Err(SetError::properties(&[other], "this cannot be changed")),
        }
    }
    let moves = patch.contains_key("name") || patch.contains_key("parentId");
    if mailbox.name == "INBOX" && moves && (above.is_some() || !name.eq_ignore_ascii_case("inbox")) {
        return Err(SetError::why("forbidden", "The Inbox keeps its name."));
    }
    let now = net::clock::unix_now();
    let mut whole_name = mailbox.name.to_string();
    if moves && mailbox.name != "INBOX" {
        // Under what it is, which may be hidden, or under something else.
        whole_name = match mailbox.name.rsplit_once('/') {
            Some((superior, _)) if above == parent => format!("{superior}/{name}"),
            _ => whole(context, above.as_deref(), &name).await?,
        };
        if whole_name != mailbox.name.as_str() {
            if !rights.has(Right::DeleteMailbox) {
                return Err(forbidden());
            }
            may_be_made(context, &whole_name).await?;
            store.mailbox_rename(account, &mailbox.name, &whole_name, now).await.map_err(|error| match error {
                store::StoreError::Exists => taken(),
                error => error.into(),
            })?;
        }
    }
    if subscribed != mailbox.subscribed {
        context.eyes.subscribe(store, &whole_name, subscribed).await?;
    }
    Ok(())
}

async fn destroy(context: &Context<'_>, id: &str, remove_emails: bool) -> Result<(), SetError> {
    let (mailbox, rights) = one(context, id).await?;
    if !rights.has(Right::DeleteMailbox) {
        return Err(forbidden());
    }
    let inferiors = format!("{}/", mailbox.name);
    if mailboxes(context).await?.iter().any(|one| one.name.starts_with(&inferiors)) {
        return Err(SetError::new("mailboxHasChild"));
    }
    if mailbox.name == "INBOX" {
        return Err(SetError::why("forbidden", "The Inbox stays."));
    }
    let (store, account) = (&context.site.store, context.eyes.account);
    let rows = store.snapshot(account, mailbox.id).await?.rows;
    if rows.iter().any(|row| row.flags.system & store::Flags::DELETED == 0) && !remove_emails {
        return Err(SetError::new("mailboxHasEmail"));
    }
    store.mailbox_delete(account, &mailbox.name, net::clock::unix_now()).await?;
    Ok(())
}
