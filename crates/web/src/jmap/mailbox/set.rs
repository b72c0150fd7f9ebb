//! `Mailbox/set` (RFC 8621 §2.5): made, renamed, moved, subscribed, removed.
//!
//! Must not know: what is in a mailbox, except whether it is empty.

use super::{All, SORT_ORDERS, id_of, leaf, orders, parent, role, special_use, told_name};
use crate::collections::MAILBOX_ORDERS;
use crate::jmap::args::Args;
use crate::jmap::failure::{MethodError, SetError};
use crate::jmap::setting::{Outcome, Setting, id_or_created, only, whole_properties, without_same};
use crate::jmap::sharing::{forbidden, my_rights};
use crate::jmap::{Context, Object};
use crate::limits::MAILBOX_NAME_BYTES_MAX;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::HashMap;
use store::{Mailbox, StoreError};
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
        let patch = match whole_properties(patch, &Object::new()) {
            Ok(patch) => patch,
            // Nothing of it has an inside but `myRights`, which nobody sets.
            Err(error) => {
                outcome.update(id, Err(error));
                continue;
            }
        };
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

fn role_taken() -> SetError {
    SetError::properties(&["role"], "another mailbox has that role")
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
            false => update(context, &id, patch).await,
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
                Err(error) if error == taken() || error == role_taken() => left.push((id, patch)),
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

/// `role` as it is said: what the mailbox is for.
fn role_said(context: &Context<'_>, value: &Value) -> Result<Option<store::SpecialUse>, SetError> {
    let wrong = || SetError::properties(&["role"], "this role cannot be given");
    match value {
        // What a mailbox is for is its owner's to say.
        _ if !context.eyes.are_own() => Err(wrong()),
        Value::Null => Ok(None),
        role => role.as_str().and_then(special_use).map(Some).ok_or_else(wrong),
    }
}

fn order_said(value: &Value) -> Result<u32, SetError> {
    let order = value.as_u64().and_then(|order| u32::try_from(order).ok()).filter(|order| *order < SORT_ORDERS);
    order.ok_or_else(|| SetError::properties(&["sortOrder"], "it is a whole number, 0 at least and less than 2^31"))
}

/// `None`: where it stands by itself.
async fn keep_order(context: &Context<'_>, mailbox: store::MailboxId, order: Option<u32>) -> Result<(), SetError> {
    let record = (MAILBOX_ORDERS, mailbox.0.to_string().into(), order.map(|order| order.to_string().into_bytes()));
    context.site.store.records_change(context.eyes.account, &[record]).await?;
    Ok(())
}

/// `parentId` as it is said; `None`: on top.
fn parent_said(value: Option<&Value>) -> Result<Option<&str>, SetError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(parent) => parent.as_str().map(Some).ok_or_else(|| SetError::properties(&["parentId"], "it is an id, or null")),
    }
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
    only(&object, &known)?;
    let name = checked(object.get("name").unwrap_or(&Value::Null))?;
    let parent = parent_said(object.get("parentId"))?;
    let used = match object.get("role") {
        None | Some(Value::Null) => None,
        Some(role) => role_said(context, role)?,
    };
    let order = object.get("sortOrder").filter(|order| !order.is_null()).map(order_said).transpose()?;
    // "true for any new Mailboxes created by the user themself"
    let subscribed = match object.get("isSubscribed") {
        None | Some(Value::Null) => true,
        Some(is) => is.as_bool().ok_or_else(|| SetError::properties(&["isSubscribed"], "isSubscribed is true or false"))?,
    };
    let whole_name = whole(context, parent, name).await?;
    may_be_made(context, &whole_name).await?;
    let (store, account) = (&context.site.store, context.eyes.account);
    let has_role = |one: &Mailbox| used.is_some() && one.special_use == used;
    if mailboxes(context).await?.iter().any(has_role) {
        return Err(role_taken());
    }
    let made = store.mailbox_create(account, &whole_name, used, net::clock::unix_now()).await.map_err(|error| match error {
        StoreError::Exists => taken(),
        StoreError::Invalid(why) => SetError::properties(&["name"], why),
        error => error.into(),
    })?;
    if subscribed {
        context.eyes.subscribe(store, &made.name, true).await?;
    }
    if order.is_some() {
        keep_order(context, made.id, order).await?;
    }
    let rights = context.eyes.rights(store, made.id);
    let by_itself = super::sort_order(&made, &super::Orders::default());
    let answer = json!({
        "id": id_of(account, made.id), "name": leaf(&made), "parentId": null, "role": null, "sortOrder": by_itself,
        "totalEmails": 0, "unreadEmails": 0, "totalThreads": 0, "unreadThreads": 0, "myRights": my_rights(rights, false),
        "isSubscribed": subscribed,
    });
    let Value::Object(mut answer) = answer else { return Err(SetError::new("serverFail")) };
    // Only what the client did not say itself, or said otherwise.
    let is_said = |name: &str| object.get(name).is_some_and(|said| !said.is_null() || matches!(name, "parentId" | "role"));
    answer.retain(|property, value| !is_said(property) || property == "name" && *value != name);
    Ok((id_of(account, made.id), answer))
}

/// What an update comes to.
struct Wanted {
    name: String,
    above: Option<String>,
    subscribed: bool,
    role: Option<Option<store::SpecialUse>>,
    order: Option<Option<u32>>,
}

impl Wanted {
    fn of(context: &Context<'_>, patch: &Object, (mailbox, all): (&Mailbox, &All), present: Wanted) -> Result<Wanted, SetError> {
        only(patch, &["name", "parentId", "isSubscribed", "role", "sortOrder"])?;
        let mut wanted = present;
        for (property, value) in patch {
            match property.as_str() {
                // What is there already may be said again.
                "name" if value.as_str() == Some(&told_name(all, mailbox)) => {}
                "name" => wanted.name = checked(value)?.to_owned(),
                "parentId" => wanted.above = parent_said(Some(value))?.map(str::to_owned),
                "isSubscribed" => {
                    let wrong = || SetError::properties(&["isSubscribed"], "isSubscribed is true or false");
                    wanted.subscribed = value.as_bool().ok_or_else(wrong)?;
                }
                "role" if value.as_str() == role(mailbox) => {}
                "role" if mailbox.name == "INBOX" => return Err(SetError::properties(&["role"], "the Inbox keeps its role")),
                "role" => wanted.role = Some(role_said(context, value)?),
                "sortOrder" if value.is_null() => wanted.order = Some(None),
                "sortOrder" => wanted.order = Some(Some(order_said(value)?)),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

async fn update(context: &Context<'_>, id: &str, patch: Object) -> Result<(), SetError> {
    let (mailbox, rights) = one(context, id).await?;
    let mut all = mailboxes(context).await?;
    all.retain(|one| context.eyes.rights(&context.site.store, one.id).has(Right::Lookup));
    let (store, account) = (&context.site.store, context.eyes.account);
    let states: All = all.iter().map(|one| (one.id, (one.clone(), store::MailboxStatus::default()))).collect();
    let parent = parent(&states, &mailbox).map(|parent| id_of(account, parent.id));
    let present = Wanted {
        name: leaf(&mailbox).to_owned(),
        above: parent.clone(),
        subscribed: mailbox.subscribed,
        role: None,
        order: None,
    };
    let wanted = Wanted::of(context, &patch, (&mailbox, &states), present)?;
    let Wanted { name, above, subscribed, .. } = wanted;
    if let Some(Some(role)) = wanted.role
        && mailboxes(context).await?.iter().any(|one| one.id != mailbox.id && one.special_use == Some(role))
    {
        return Err(role_taken());
    }
    let known = orders(store, account).await?;
    let order = wanted.order.filter(|order| order.unwrap_or(u32::MAX) != super::sort_order(&mailbox, &known));
    if order.is_some() && !rights.has(Right::DeleteMailbox) {
        return Err(forbidden());
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
                StoreError::Exists => taken(),
                StoreError::Invalid(why) => SetError::properties(&["name", "parentId"], why),
                error => error.into(),
            })?;
        }
    }
    if let Some(role) = wanted.role {
        store.mailbox_use(account, mailbox.id, role).await?;
    }
    if let Some(order) = order {
        keep_order(context, mailbox.id, order).await?;
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
    if orders(store, account).await?.contains_key(&mailbox.id) {
        keep_order(context, mailbox.id, None).await?;
    }
    Ok(())
}
