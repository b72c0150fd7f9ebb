//! Snooze (the program's own name space): an email goes away, and comes back at a time as if it were new.
//!
//! A record names the email, its time and where it was; the email lies in the mailbox `Snoozed` until then. Invariant: one that
//! somebody took out of there is left where it is; what was due while the server was down comes back at its start.
//! Must not know: who asked.

use super::answers::got;
use super::args::{Args, utc_date};
use super::failure::{MethodError, SetError};
use super::identity::record_changes;
use super::setting::{Outcome, Setting, id_or_created, only};
use super::view::EmailKey;
use super::{Context, Object};
use crate::collections::SNOOZES;
use crate::limits::{SNOOZE_SECS_MAX, SNOOZES_MAX};
use crate::site::Shared;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{AccountId, Arrangement, Flags, FlagsWanted, MailboxId, Store, StoreError, UnixSecs};
use tokio::sync::Notify;

/// Where they wait.
const MAILBOX: &str = "Snoozed";
/// Due ones are looked for at least so often.
const LOOK: Duration = Duration::from_secs(60);
/// One that could not be brought back is tried again after so long.
const AGAIN_SECS: i64 = 60;
const PROPERTIES: [&str; 4] = ["id", "emailId", "until", "mailboxIds"];

/// What is due when, from the records of all accounts.
#[derive(Default)]
pub(crate) struct Snoozes {
    due: Mutex<BTreeSet<(UnixSecs, AccountId, String)>>,
    changed: Notify,
}

impl Snoozes {
    fn due(&self) -> MutexGuard<'_, BTreeSet<(UnixSecs, AccountId, String)>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, until_secs: UnixSecs, account: AccountId, email: &str) {
        self.due().insert((until_secs, account, email.to_owned()));
        self.changed.notify_one();
    }

    /// Those whose time has come.
    fn take(&self, now_secs: UnixSecs) -> Vec<(UnixSecs, AccountId, String)> {
        let mut due = self.due();
        let later = due.split_off(&(now_secs.saturating_add(1), AccountId(0), String::new()));
        std::mem::replace(&mut *due, later).into_iter().collect()
    }

    fn next(&self) -> Option<UnixSecs> {
        self.due().first().map(|(until, ..)| *until)
    }
}

/// A record.
struct Kept {
    until_secs: UnixSecs,
    back: Vec<String>,
}

fn decode(stored: &[u8]) -> Option<Kept> {
    let value: Value = serde_json::from_slice(stored).ok()?;
    let back = value.get("back")?.as_array()?;
    Some(Kept {
        until_secs: value.get("until")?.as_i64()?,
        back: back.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

fn encode(kept: &Kept) -> Vec<u8> {
    json!({"v": 1, "until": kept.until_secs, "back": kept.back}).to_string().into_bytes()
}

/// Brings back what is due, until the server ends.
pub(crate) async fn keep(site: Shared) {
    let mut shutdown = site.shutdown.clone();
    while let Err(error) = load(&site).await {
        tracing::error!(?error, "what is snoozed could not be read yet");
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
    }
    loop {
        let now_secs = net::clock::unix_now();
        for (_, account, email) in site.jmap.snoozes.take(now_secs) {
            match wake(&site, account, &email, false).await {
                Ok(()) | Err(StoreError::NotFound) => {}
                Err(error) => {
                    tracing::error!(?error, "a snoozed message could not be brought back yet");
                    site.jmap.snoozes.due().insert((now_secs + AGAIN_SECS, account, email));
                }
            }
        }
        let wait = site
            .jmap
            .snoozes
            .next()
            .map_or(LOOK, |next| Duration::from_secs(u64::try_from(next - net::clock::unix_now()).unwrap_or(0)).min(LOOK));
        tokio::select! {
            () = tokio::time::sleep(wait.max(Duration::from_millis(100))) => {}
            () = site.jmap.snoozes.changed.notified() => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
    }
}

async fn load(site: &Shared) -> Result<(), StoreError> {
    let mut after: Option<AccountId> = None;
    loop {
        let page = site.store.record_holders(SNOOZES, after, 500).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(*last);
        for account in page {
            let snoozed = match site.store.records(account, SNOOZES).await {
                // Removed, with what it held.
                Err(StoreError::NotFound) => continue,
                snoozed => snoozed?,
            };
            for (email, stored) in snoozed {
                if let Some(kept) = decode(&stored) {
                    site.jmap.snoozes.due().insert((kept.until_secs, account, email.to_string()));
                }
            }
        }
    }
}

async fn waiting_room(store: &Store, account: AccountId) -> Result<MailboxId, StoreError> {
    if let Some(mailbox) = store.mailbox(account, MAILBOX).await? {
        return Ok(mailbox.id);
    }
    let made = store.mailbox_create(account, MAILBOX, None, net::clock::unix_now()).await?;
    store.mailbox_subscribe(account, MAILBOX, true).await?;
    Ok(made.id)
}

/// One comes back; `asked`: its owner says so, before its time.
async fn wake(site: &Shared, account: AccountId, email: &str, asked: bool) -> Result<(), StoreError> {
    let Some(stored) = site.store.record(account, SNOOZES, email).await? else { return Ok(()) };
    let now_secs = net::clock::unix_now();
    let kept = decode(&stored).unwrap_or(Kept { until_secs: 0, back: Vec::new() });
    if !asked && kept.until_secs > now_secs {
        // Put off meanwhile: another entry has its time.
        return Ok(());
    }
    let room = waiting_room(&site.store, account).await?;
    let arrangement = {
        let view = site.jmap.views.of(&site.store, account).await?;
        let found = view.by_id(email).filter(|(_, entry)| entry.is_in(room));
        found.map(|(_, entry)| {
            let mut places: BTreeSet<MailboxId> = entry.mailboxes().into_iter().filter(|one| *one != room).collect();
            let back = kept.back.iter().filter_map(|id| store::object_id::mailbox(account, id));
            places.extend(back.filter(|id| view.mailboxes.contains_key(id)));
            if places.is_empty() {
                places.extend(view.mailboxes.values().map(|(one, _)| one).find(|one| one.name == "INBOX").map(|one| one.id));
            }
            let remove = Flags { system: Flags::SEEN, keywords: None };
            Arrangement {
                rows: entry.places().map(|place| (place.mailbox, place.uid)).collect(),
                flags: FlagsWanted::Change { add: Flags::default(), remove },
                mailboxes: Some(places.into_iter().collect()),
            }
        })
    };
    if let Some(arrangement) = arrangement {
        site.store.by("snooze", now_secs).arrange(account, &[arrangement], now_secs).await?;
    }
    site.store.records_change(account, &[(SNOOZES, email.into(), None)]).await.map(drop)
}

/// `Snooze/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let properties = args.properties(&PROPERTIES)?;
    args.end()?;
    let at = super::setting::now(context).await?;
    let all = context.site.store.records(context.account.id, SNOOZES).await?;
    let ids = ids.unwrap_or_else(|| all.iter().map(|(id, _)| id.to_string()).collect());
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        let Some(kept) = all.iter().find(|(known, _)| *known == id).and_then(|(_, stored)| decode(stored)) else {
            not_found.push(id);
            continue;
        };
        let back: Object = kept.back.iter().map(|id| (id.clone(), json!(true))).collect();
        let until = message::date::format_rfc_3339(kept.until_secs);
        let value = json!({"id": id, "emailId": id, "until": until, "mailboxIds": back});
        let mut object = value.as_object().cloned().unwrap_or_default();
        object.retain(|name, _| name == "id" || properties.as_ref().is_none_or(|names| names.contains(name)));
        list.push(Value::Object(object));
    }
    Ok(got(context, at, list, not_found))
}

/// `Snooze/changes`
pub(super) async fn changes(context: &mut Context<'_>, args: Args) -> Result<Object, MethodError> {
    record_changes(context, args, SNOOZES).await
}

/// `Snooze/set`
pub(super) async fn set(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let setting = Setting::take(context, &mut args).await?;
    args.end()?;
    let mut outcome = Outcome::default();
    for (creation, object) in setting.create {
        match create(context, &object).await {
            Ok(id) => {
                let answer = json!({"id": id}).as_object().cloned().unwrap_or_default();
                outcome.created(context, creation, id, answer);
            }
            Err(error) => outcome.not_created(creation, error),
        }
    }
    for (id, patch) in setting.update {
        let done = put_off(context, &id, &patch).await;
        outcome.update(id, done.map(|()| Value::Null));
    }
    for id in setting.destroy {
        let (store, account) = (&context.site.store, context.account.id);
        let done = match store.record(account, SNOOZES, &id).await {
            Ok(Some(_)) => wake(context.shared, account, &id, true).await.map_err(SetError::from),
            Ok(None) => Err(SetError::new("notFound")),
            Err(error) => Err(error.into()),
        };
        outcome.destroy(id, done);
    }
    outcome.answer(context, setting.old_state).await
}

fn until(object: &Object) -> Result<UnixSecs, SetError> {
    let wrong = |why| SetError::properties(&["until"], why);
    let text = object.get("until").and_then(Value::as_str).ok_or_else(|| wrong("it is a UTCDate"))?;
    let (secs, now_secs) = (utc_date(text).ok_or_else(|| wrong("it is a UTCDate"))?, net::clock::unix_now());
    if secs <= now_secs || secs - now_secs > SNOOZE_SECS_MAX {
        return Err(wrong("it is a time to come, within ten years"));
    }
    Ok(secs)
}

async fn create(context: &Context<'_>, object: &Object) -> Result<String, SetError> {
    only(object, &["emailId", "until"])?;
    let until_secs = until(object)?;
    let missing = || SetError::properties(&["emailId"], "there is no such email");
    let said = object.get("emailId").and_then(Value::as_str).ok_or_else(missing)?;
    let id = id_or_created(context, said).ok_or_else(missing)?;
    EmailKey::of(&id).ok_or_else(missing)?;
    let (store, account) = (&context.site.store, context.account.id);
    let before = store.records(account, SNOOZES).await?;
    if before.len() >= SNOOZES_MAX {
        return Err(SetError::new("overQuota"));
    }
    let room = waiting_room(store, account).await?;
    let (rows, mut back) = {
        let view = context.site.jmap.views.of(store, account).await?;
        let (_, entry) = view.by_id(&id).ok_or_else(missing)?;
        let places = entry.mailboxes().into_iter().filter(|one| *one != room);
        let back: Vec<String> = places.map(|one| store::object_id::of_mailbox(account, one).to_string()).collect();
        (entry.places().map(|place| (place.mailbox, place.uid)).collect(), back)
    };
    if let Some(known) = before.iter().find(|(known, _)| *known == id).and_then(|(_, stored)| decode(stored)) {
        back = known.back;
    }
    // The record first: a message that went away without one would not come back.
    let record = encode(&Kept { until_secs, back });
    store.records_change(account, &[(SNOOZES, id.as_str().into(), Some(record))]).await?;
    let now_secs = net::clock::unix_now();
    let arrangement = Arrangement { rows, flags: FlagsWanted::Same, mailboxes: Some(vec![room]) };
    let done =
        store.by(format!("snooze by {}", context.account.address), now_secs).arrange(account, &[arrangement], now_secs).await?;
    if done.first() != Some(&true) {
        return Err(missing());
    }
    context.site.jmap.snoozes.add(until_secs, account, &id);
    Ok(id)
}

async fn put_off(context: &Context<'_>, id: &str, patch: &Object) -> Result<(), SetError> {
    only(patch, &["until"])?;
    let until_secs = until(patch)?;
    let (store, account) = (&context.site.store, context.account.id);
    let stored = store.record(account, SNOOZES, id).await?.ok_or_else(|| SetError::new("notFound"))?;
    let kept = decode(&stored).ok_or_else(|| SetError::new("notFound"))?;
    let record = encode(&Kept { until_secs, ..kept });
    store.records_change(account, &[(SNOOZES, id.into(), Some(record))]).await?;
    context.site.jmap.snoozes.add(until_secs, account, id);
    Ok(())
}
