//! `Email/set`, `Email/import` and `Email/parse` (RFC 8621 §4.6, §4.8, §4.9).
//!
//! All changes and removals of one call are one commit. Invariant: an Email that stays is never in no mailbox.
//! Must not know: how mailboxes and flags lie in the store.

use super::body::Whole;
use super::build::{Making, blob_ids};
use super::get::{PARSED, Wanted};
use crate::jmap::args::{Args, utc_date};
use crate::jmap::blob::blob;
use crate::jmap::failure::{MethodError, SetError};
use crate::jmap::own_seen;
use crate::jmap::reference::{pointer_step, weight};
use crate::jmap::setting::{Outcome, Setting, id_or_created, only, without_same};
use crate::jmap::sharing::{forbidden, may_change, may_put, may_remove, may_set_all};
use crate::jmap::view::{EmailKey, Entry, SYSTEM, View};
use crate::jmap::{Context, Object, account_id};
use crate::limits::{ANSWER_BYTES_MAX, GET_MAX, attachments_bytes_max};
use bytes::Bytes;
use message::Facts;
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use store::{Acceptance, Arrangement, Delivery, Flags, FlagsWanted, MailboxId, Spooled, Target, UnixSecs};

/// A keyword as the store has it (RFC 8621 §4.1.1).
fn flag(keyword: &str, flags: &mut (u8, Vec<SmolStr>)) -> Result<(), SetError> {
    let good = !keyword.is_empty()
        && keyword.len() <= store::limits::KEYWORD_BYTES_MAX
        && keyword.bytes().all(|b| b.is_ascii_graphic() && !b"(){]%*\"\\".contains(&b));
    if !good {
        return Err(SetError::properties(&["keywords"], "this is no keyword"));
    }
    match SYSTEM.iter().find(|(_, name)| name.eq_ignore_ascii_case(keyword)) {
        Some((bit, _)) => flags.0 |= bit,
        None => flags.1.push(SmolStr::new(keyword)),
    }
    Ok(())
}

fn flags_of((system, words): (u8, Vec<SmolStr>)) -> Result<Flags, SetError> {
    if words.len() > store::limits::KEYWORDS_MAX {
        return Err(SetError::new("tooManyKeywords"));
    }
    Ok(Flags { system, keywords: (!words.is_empty()).then(|| Arc::from(words)) })
}

/// Would there be more keywords than an email may have? One that takes none is not asked.
fn has_too_many(there: impl Iterator<Item = SmolStr>, add: &Flags, remove: &Flags) -> bool {
    let lower =
        |words: &Flags| words.keywords.iter().flat_map(|words| words.iter()).map(|word| word.to_ascii_lowercase()).collect();
    let (new, gone): (BTreeSet<String>, BTreeSet<String>) = (lower(add), lower(remove));
    let stays: BTreeSet<String> = there.map(|word| word.to_ascii_lowercase()).filter(|word| !gone.contains(word)).collect();
    !new.is_subset(&stays) && stays.union(&new).count() > store::limits::KEYWORDS_MAX
}

/// `{keyword: true}`
pub(super) fn keywords(value: &Value) -> Result<Flags, SetError> {
    let wrong = || SetError::properties(&["keywords"], "keywords map to true");
    let mut flags = (0, Vec::new());
    for (keyword, is) in value.as_object().ok_or_else(wrong)? {
        if *is != Value::Bool(true) {
            return Err(wrong());
        }
        flag(keyword, &mut flags)?;
    }
    flags_of(flags)
}

fn mailbox(context: &Context<'_>, view: &View, id: &str) -> Result<MailboxId, SetError> {
    let missing = || SetError::properties(&["mailboxIds"], "there is no such mailbox");
    let id = id_or_created(context, id).ok_or_else(missing)?;
    let found = store::object_id::mailbox(context.eyes.account, &id).ok_or_else(missing)?;
    if view.mailboxes.contains_key(&found) { Ok(found) } else { Err(missing()) }
}

/// May a new email with these flags come into all of these?
pub(super) fn may_come(view: &View, mailboxes: &[MailboxId], flags: &Flags) -> Result<(), SetError> {
    let may = mailboxes.iter().all(|mailbox| may_put(view.rights(*mailbox), flags));
    if may { Ok(()) } else { Err(forbidden()) }
}

/// May who asks do that to an email that lies there?
fn may_be_arranged(view: &View, before: &BTreeSet<MailboxId>, wanted: &Arrangement) -> Result<(), SetError> {
    let mut may = before.iter().all(|mailbox| may_change(view.rights(*mailbox), &wanted.flags));
    if let Some(after) = &wanted.mailboxes {
        may &= before.iter().all(|mailbox| after.contains(mailbox) || may_remove(view.rights(*mailbox)));
        let new = after.iter().filter(|mailbox| !before.contains(mailbox));
        may &= new.into_iter().all(|mailbox| may_put(view.rights(*mailbox), &Flags::default()));
    }
    if may { Ok(()) } else { Err(forbidden()) }
}

/// `{mailbox: true}`, at least one.
pub(super) fn mailboxes(context: &Context<'_>, view: &View, value: Option<&Value>) -> Result<Vec<MailboxId>, SetError> {
    let wrong = || SetError::properties(&["mailboxIds"], "an email is in at least one mailbox");
    let mut found = BTreeSet::new();
    for (id, is) in value.and_then(Value::as_object).ok_or_else(wrong)? {
        if *is != Value::Bool(true) {
            return Err(wrong());
        }
        found.insert(mailbox(context, view, id)?);
    }
    if found.is_empty() { Err(wrong()) } else { Ok(found.into_iter().collect()) }
}

/// A new message on its way into mailboxes.
pub(super) struct New {
    pub(super) octets: Bytes,
    pub(super) mailboxes: Vec<MailboxId>,
    pub(super) flags: Flags,
    pub(super) received_secs: UnixSecs,
}

/// Into the store, in one commit; what the client is told of it.
pub(super) async fn put(context: &Context<'_>, new: New) -> Result<(String, Object), SetError> {
    let (store, account) = (&context.site.store, context.eyes.account);
    if new.octets.len() as u64 > context.site.message_bytes_max {
        return Err(SetError::new("tooLarge").with("maxSize", json!(context.site.message_bytes_max)));
    }
    let octets = new.octets.clone();
    let computed = tokio::task::spawn_blocking(move || Arc::new(Facts::compute(&octets))).await;
    let facts = computed.map_err(|_| SetError::new("serverFail"))?;
    let size = new.octets.len();
    let apart = own_seen::apart(store, &context.eyes).await?;
    let flags_in = |mailbox: &MailboxId| {
        let mut flags = new.flags.clone();
        if apart.contains(mailbox) {
            flags.system &= !Flags::SEEN;
        }
        flags
    };
    let deliver = |mailbox: &MailboxId| Delivery {
        account,
        target: Target::Mailbox(*mailbox),
        flags: flags_in(mailbox),
        internal_date_secs: new.received_secs,
    };
    let acceptance = Acceptance {
        body: Spooled::from_bytes(new.octets),
        facts: Arc::clone(&facts),
        deliveries: new.mailboxes.iter().map(deliver).collect(),
        queue: Vec::new(),
        trace: Vec::new(),
        idempotency: None,
    };
    let accepted = store.accept(acceptance).await?;
    if new.flags.system & Flags::SEEN != 0 {
        own_seen::come(context, &apart, &accepted.delivered).await?;
    }
    let email = accepted.delivered.first().map(|(_, _, _, email)| *email).ok_or_else(|| SetError::new("serverFail"))?;
    let name = store.email_names(account, &[email]).await?.into_iter().next().flatten();
    let (body, date_secs) = name.ok_or_else(|| SetError::new("serverFail"))?;
    let id = EmailKey { body, date_secs }.id();
    // As it was decided just now.
    let facts = store.facts(account, &[email]).await?.into_iter().next().flatten().unwrap_or(facts);
    let thread = crate::jmap::view::thread_of(body, &facts).id();
    let answer = json!({"id": id, "blobId": id, "threadId": thread, "size": size});
    Ok((id, answer.as_object().cloned().unwrap_or_default()))
}

async fn create(context: &Context<'_>, object: &Object) -> Result<(String, Object), SetError> {
    let now_secs = net::clock::unix_now();
    let flags = object.get("keywords").map(keywords).transpose()?.unwrap_or_default();
    let places = {
        let view = context.site.jmap.views.seen_by(&context.site.store, &context.eyes).await?;
        let places = mailboxes(context, &view, object.get("mailboxIds"))?;
        may_come(&view, &places, &flags)?;
        places
    };
    let received_secs = received(object.get("receivedAt"))?.unwrap_or(now_secs);
    let mut blobs = HashMap::new();
    let mut missing = Vec::new();
    for id in blob_ids(object) {
        // One that was made in the same request goes by its creation id (RFC 9404 §4.1).
        let found = match id_or_created(context, &id) {
            Some(id) => blob(context, &id).await.map_err(|_| SetError::new("serverFail"))?,
            None => None,
        };
        match found {
            Some(octets) => drop(blobs.insert(id, octets)),
            None if missing.contains(&id) => {}
            None => missing.push(id),
        }
    }
    if !missing.is_empty() {
        return Err(SetError::new("blobNotFound").with("notFound", json!(missing)));
    }
    let attached: u64 = blob_ids(object).iter().filter_map(|id| blobs.get(id)).map(|octets| octets.len() as u64).sum();
    let max = attachments_bytes_max(context.site.message_bytes_max);
    if attached > max {
        return Err(SetError::new("tooLarge").with("maxSize", json!(max)));
    }
    let domain = context.account.address.rsplit_once('@').map_or(context.site.hostname.as_str(), |(_, domain)| domain);
    let octets = Making { object, blobs: &blobs, now_secs, domain }.message()?;
    put(context, New { octets: octets.into(), mailboxes: places, flags, received_secs }).await
}

pub(super) fn received(value: Option<&Value>) -> Result<Option<UnixSecs>, SetError> {
    let wrong = || SetError::properties(&["receivedAt"], "it is not a date in UTC");
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    utc_date(value.as_str().ok_or_else(wrong)?).map(Some).ok_or_else(wrong)
}

/// A patch without properties that nobody can change and that it says as they are.
async fn without_what_stays(context: &mut Context<'_>, id: &str, patch: Object) -> Result<Object, MethodError> {
    let names: Vec<&String> = patch.keys().filter(|path| !may_change_at(path)).collect();
    if names.is_empty() {
        return Ok(patch);
    }
    let asked = json!({"ids": [id], "properties": names});
    match super::get::get(context, Args::new(asked.as_object().cloned().unwrap_or_default())).await {
        Ok(there) => Ok(without_same(patch, there.get("list").and_then(|list| list.get(0)))),
        // There is no such property: that is told of this email alone.
        Err(_) => Ok(patch),
    }
}

/// Leads the path into a property that can change?
fn may_change_at(path: &str) -> bool {
    ["keywords", "mailboxIds"].contains(&path.split('/').next().unwrap_or_default())
}

/// A patch of keywords and mailboxes (RFC 8620 §5.3).
fn arrangement(context: &Context<'_>, view: &View, id: &str, patch: &Object) -> Result<(EmailKey, Arrangement), SetError> {
    let (key, entry) = view.by_id(id).ok_or_else(|| SetError::new("notFound"))?;
    let rows = entry.places().map(|place| (place.mailbox, place.uid)).collect();
    let mut arrangement = Arrangement { rows, ..Arrangement::default() };
    let (mut add, mut remove) = ((0, Vec::new()), (0, Vec::new()));
    let mut places = entry.mailboxes();
    let mut moved = false;
    let (whole, in_part) = (patch.contains_key("mailboxIds"), patch.keys().any(|path| path.starts_with("mailboxIds/")));
    if whole && in_part {
        return Err(SetError::why("invalidPatch", "mailboxIds are said as a whole and in part"));
    }
    let fixed = patch.keys().map(String::as_str).filter(|path| !may_change_at(path));
    SetError::any(fixed, "only keywords and mailboxIds can be changed")?;
    for (path, value) in patch {
        if path.matches('/').count() > 1 {
            return Err(SetError::why("invalidPatch", "there is nothing inside"));
        }
        let (name, inside) = path.split_once('/').map_or((path.as_str(), None), |(name, inside)| (name, Some(inside)));
        let no_pointer = || SetError::why("invalidPatch", "a path is no JSON Pointer");
        let inside = inside.map(|inside| pointer_step(inside).ok_or_else(no_pointer)).transpose()?;
        let is = match value {
            Value::Bool(true) => Some(true),
            Value::Null => Some(false),
            // "The value for each key in the object MUST be true" (RFC 8621 §4.1.1).
            _ => None,
        };
        match (name, inside, is) {
            // Null is the default: none.
            ("keywords", None, _) if value.is_null() => arrangement.flags = FlagsWanted::These(Flags::default()),
            ("keywords", None, _) => arrangement.flags = FlagsWanted::These(keywords(value)?),
            ("keywords", Some(word), Some(true)) => flag(&word, &mut add)?,
            // "If the key is not present in the parent, this a no-op" (RFC 8620 §5.3), whatever it says; a mailbox as well.
            ("keywords", Some(word), Some(false)) => flag(&word, &mut remove).unwrap_or_default(),
            ("mailboxIds", None, _) => {
                places = mailboxes(context, view, Some(value))?.into_iter().collect();
                moved = true;
            }
            ("mailboxIds", Some(id), Some(true)) => moved |= places.insert(mailbox(context, view, &id)?),
            ("mailboxIds", Some(id), Some(false)) => {
                moved |= mailbox(context, view, &id).is_ok_and(|place| places.remove(&place));
            }
            _ => return Err(SetError::properties(&[path], "what is in keywords and mailboxIds is true, or null")),
        }
    }
    if places.is_empty() {
        return Err(SetError::properties(&["mailboxIds"], "an email is in at least one mailbox"));
    }
    if patch.keys().any(|path| path.starts_with("keywords/")) {
        if matches!(arrangement.flags, FlagsWanted::These(_)) {
            return Err(SetError::why("invalidPatch", "keywords are said as a whole and in part"));
        }
        let (add, remove) = (flags_of(add)?, flags_of(remove)?);
        if has_too_many(entry.words(), &add, &remove) {
            return Err(SetError::new("tooManyKeywords"));
        }
        arrangement.flags = FlagsWanted::Change { add, remove };
    }
    if moved && places != entry.mailboxes() {
        arrangement.mailboxes = Some(places.into_iter().collect());
    }
    arrangement.flags = as_far_as_said(view, entry, arrangement.flags);
    may_be_arranged(view, &entry.mailboxes(), &arrangement)?;
    Ok((key, arrangement))
}

/// Where not all keywords may be set, all of them said at once are what changes by that: `maySetSeen` is asked of who changes $seen
/// (RFC 8621 §2: "The user may add or remove the $seen keyword"), not of who says that it stays as it is.
fn as_far_as_said(view: &View, entry: &Entry, wanted: FlagsWanted) -> FlagsWanted {
    match wanted {
        FlagsWanted::These(these) if !entry.mailboxes().iter().all(|one| may_set_all(view.rights(*one))) => {
            let (add, remove) = entry.towards(&these);
            let is_nothing = |flags: &Flags| flags.system == 0 && flags.keywords.is_none();
            match is_nothing(&add) && is_nothing(&remove) {
                true => FlagsWanted::Same,
                false => FlagsWanted::Change { add, remove },
            }
        }
        wanted => wanted,
    }
}

/// `Email/set`
pub(crate) async fn set(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let setting = Setting::take(context, &mut args).await?;
    args.end()?;
    let mut outcome = Outcome::default();
    for (creation, object) in setting.create {
        match create(context, &object).await {
            Ok((id, answer)) => outcome.created(context, creation, id, answer),
            Err(error) => outcome.not_created(creation, error),
        }
    }
    let (mut all, mut markings): (Vec<(String, bool, Arrangement)>, _) = (Vec::new(), Vec::new());
    let mut first: Vec<Arrangement> = Vec::new();
    let mut patches = Vec::new();
    for (id, patch) in setting.update {
        patches.push((id.clone(), without_what_stays(context, &id, patch).await?));
    }
    {
        let view = context.site.jmap.views.seen_by(&context.site.store, &context.eyes).await?;
        for (id, patch) in patches {
            if setting.destroy.contains(&id) {
                outcome.update(id, Err(SetError::new("willDestroy")));
                continue;
            }
            match arrangement(context, &view, &id, &patch) {
                Ok((key, one)) => {
                    let Some(entry) = view.get(key) else { continue };
                    let (mut steps, marking) = own_seen::parted(&view, (key, entry), one);
                    markings.extend(marking);
                    // One that is only marked is there.
                    let rows = entry.places().map(|place| (place.mailbox, place.uid)).collect();
                    let last = steps.pop().unwrap_or(Arrangement { rows, ..Arrangement::default() });
                    first.extend(steps);
                    all.push((id, false, last));
                }
                Err(error) => outcome.update(id, Err(error)),
            }
        }
        for id in setting.destroy {
            match view.by_id(&id) {
                Some((_, entry)) => {
                    let rows = entry.places().map(|place| (place.mailbox, place.uid)).collect();
                    let nowhere = Arrangement { rows, mailboxes: Some(Vec::new()), ..Arrangement::default() };
                    match may_be_arranged(&view, &entry.mailboxes(), &nowhere) {
                        Ok(()) => all.push((id, true, nowhere)),
                        Err(error) => outcome.destroy(id, Err(error)),
                    }
                }
                None => outcome.destroy(id, Err(SetError::new("notFound"))),
            }
        }
    }
    if !first.is_empty() {
        context.site.store.arrange(context.eyes.account, &first, net::clock::unix_now()).await?;
    }
    arrange(context, all, &mut outcome).await?;
    own_seen::mark(context, markings).await?;
    outcome.answer(context, setting.old_state).await
}

/// The implicit `Email/set` that another method's success asks for. What was done before it stays done ("the externally visible
/// state of the server MUST NOT have changed if an error is returned", RFC 8620 §3.6.2): it fails by itself.
pub(crate) async fn set_besides(context: &mut Context<'_>, arguments: Object) -> (String, Object) {
    match set(context, Args::new(arguments)).await {
        Ok(answer) => ("Email/set".to_owned(), answer),
        Err(error) => ("error".to_owned(), error.into_object()),
    }
}

async fn arrange(context: &Context<'_>, all: Vec<(String, bool, Arrangement)>, outcome: &mut Outcome) -> Result<(), MethodError> {
    if all.is_empty() {
        return Ok(());
    }
    let arrangements: Vec<Arrangement> = all.iter().map(|(_, _, one)| one.clone()).collect();
    let done = context.site.store.arrange(context.eyes.account, &arrangements, net::clock::unix_now()).await;
    for (at, (id, destroys, _)) in all.into_iter().enumerate() {
        let one = match &done {
            Ok(there) if there.get(at) == Some(&true) => Ok(()),
            Ok(_) => Err(SetError::new("notFound")),
            Err(error) => Err(error.clone().into()),
        };
        match destroys {
            true => outcome.destroy(id, one),
            false => outcome.update(id, one.map(|()| Value::Null)),
        }
    }
    Ok(())
}

/// `Email/import`
pub(crate) async fn import(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let emails = args.object("emails")?.ok_or_else(|| MethodError::arguments("emails is missing"))?;
    let create = Value::Object(emails);
    let mut inner = Object::new();
    inner.insert("create".into(), create);
    if let Some(state) = args.take("ifInState") {
        inner.insert("ifInState".into(), state);
    }
    args.end()?;
    let setting = Setting::take(context, &mut Args::new(inner)).await?;
    let mut outcome = Outcome::default();
    for (creation, object) in setting.create {
        match import_one(context, &object).await {
            Ok((id, answer)) => outcome.created(context, creation, id, answer),
            Err(error) => outcome.not_created(creation, error),
        }
    }
    let mut answer = outcome.answer(context, setting.old_state).await?;
    answer.retain(|name, _| ["accountId", "oldState", "newState", "created", "notCreated"].contains(&name.as_str()));
    Ok(answer)
}

async fn import_one(context: &Context<'_>, object: &Object) -> Result<(String, Object), SetError> {
    only(object, &["blobId", "mailboxIds", "keywords", "receivedAt"])?;
    let flags = object.get("keywords").map(keywords).transpose()?.unwrap_or_default();
    let places = {
        let view = context.site.jmap.views.seen_by(&context.site.store, &context.eyes).await?;
        let places = mailboxes(context, &view, object.get("mailboxIds"))?;
        may_come(&view, &places, &flags)?;
        places
    };
    let id = object.get("blobId").and_then(Value::as_str).unwrap_or_default();
    // A blob that was made in the same request (RFC 9404 §4.1) goes by its creation id.
    let id = id_or_created(context, id).unwrap_or_default();
    let found = blob(context, &id).await.map_err(|_| SetError::new("serverFail"))?;
    let octets = found.ok_or_else(|| SetError::properties(&["blobId"], "there is no such blob"))?;
    if message::header::fields(&octets).next().is_none() {
        return Err(SetError::why("invalidEmail", "This is no message."));
    }
    let received_secs = match received(object.get("receivedAt"))? {
        Some(secs) => secs,
        // RFC 8621 §4.8: else of its newest Received field.
        None => message::header::received_secs(&octets).unwrap_or_else(net::clock::unix_now),
    };
    put(context, New { octets, mailboxes: places, flags, received_secs }).await
}

/// `Email/parse`
pub(crate) async fn parse(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.texts("blobIds")?.ok_or_else(|| MethodError::arguments("blobIds is missing"))?;
    if ids.len() > GET_MAX {
        return Err(MethodError::new("requestTooLarge"));
    }
    let wanted = Wanted::take(&mut args, PARSED)?;
    args.end()?;
    let (mut parsed, mut not_parsable, mut not_found, mut told) = (Object::new(), Vec::new(), Vec::new(), 0);
    for id in ids {
        let found = match id_or_created(context, &id) {
            Some(id) => blob(context, &id).await?.map(|octets| (id, octets)),
            None => None,
        };
        let Some((blob_id, octets)) = found else {
            not_found.push(id);
            continue;
        };
        if message::header::fields(&octets).next().is_none() {
            not_parsable.push(id);
            continue;
        }
        let mut object = Object::new();
        wanted.of_nothing(&blob_id, &octets, &mut object);
        let of = octets.clone();
        let facts = tokio::task::spawn_blocking(move || Facts::compute(&of)).await;
        let facts = facts.map_err(|_| MethodError::new("serverFail"))?;
        wanted.of_facts(Some(&facts), store::BodyId(0), &mut object);
        // By its octets alone it belongs to none that there is.
        if let (None, Some(thread)) = (store::object_id::thread_root(&facts), object.get_mut("threadId")) {
            *thread = Value::Null;
        }
        wanted.of_message(&message::parse(&octets), Whole::Blob(&blob_id), &mut object, &mut context.values_left);
        let object = Value::Object(object);
        told += weight(&object);
        if told > ANSWER_BYTES_MAX {
            return Err(MethodError::new("requestTooLarge"));
        }
        parsed.insert(id, object);
    }
    let some = |list: Vec<String>| if list.is_empty() { Value::Null } else { json!(list) };
    let parsed = if parsed.is_empty() { Value::Null } else { Value::Object(parsed) };
    let answer = json!({
        "accountId": account_id(context.eyes.account), "parsed": parsed, "notParsable": some(not_parsable), "notFound": some(not_found),
    });
    Ok(answer.as_object().cloned().unwrap_or_default())
}
