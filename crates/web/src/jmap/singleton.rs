//! Types with one object (RFC 8620 §5.3: `singleton`): the vacation (RFC 8621 §8), and the rules for incoming mail.
//!
//! What is set is what delivery reads (`mta::wishes`). Must not know: how it is carried out.

use super::answers::got;
use super::args::{Args, utc_date};
use super::failure::{MethodError, SetError};
use super::identity::record_changes;
use super::setting::{Outcome, Setting, whole_properties};
use super::{Context, Object};
use mta::wishes::{ANSWERED, RULES, SINGLETON, VACATION, Wishes, vacation};
use serde_json::{Value, json};

/// Octets of a subject.
const SUBJECT_BYTES_MAX: usize = 998;

/// One such type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Only {
    VacationResponse,
    MailRules,
}

impl Only {
    fn collection(self) -> u8 {
        match self {
            Only::VacationResponse => VACATION,
            Only::MailRules => RULES,
        }
    }

    /// Nobody said anything yet.
    fn fresh(self) -> Object {
        let value = match self {
            Only::VacationResponse => json!({
                "isEnabled": false, "fromDate": null, "toDate": null, "subject": null, "textBody": null, "htmlBody": null,
            }),
            Only::MailRules => json!({"rules": [], "blocked": [], "forwarding": null}),
        };
        value.as_object().cloned().unwrap_or_default()
    }

    fn check(self, object: &Object) -> Result<(), SetError> {
        match self {
            Only::VacationResponse => check_vacation(object),
            Only::MailRules => match Wishes::of(object) {
                Ok(_) => Ok(()),
                Err(wrong) => Err(SetError::properties(&[&wrong.property], wrong.why)),
            },
        }
    }
}

fn check_vacation(object: &Object) -> Result<(), SetError> {
    let is_good = |(name, value): (&String, &Value)| {
        let text = value.as_str();
        match name.as_str() {
            "isEnabled" => value.is_boolean(),
            "fromDate" | "toDate" => value.is_null() || text.is_some_and(|text| utc_date(text).is_some()),
            "subject" => {
                value.is_null() || text.is_some_and(|text| text.len() <= SUBJECT_BYTES_MAX && !text.contains(char::is_control))
            }
            "textBody" | "htmlBody" => value.is_null() || text.is_some_and(|text| text.len() <= vacation::TEXT_BYTES_MAX),
            _ => false,
        }
    };
    SetError::any(object.iter().filter(|one| !is_good(*one)).map(|(name, _)| name.as_str()), "this cannot be set so")
}

/// As it is.
pub(super) async fn read(context: &Context<'_>, only: Only) -> Result<Object, MethodError> {
    let stored = context.site.store.record(context.account.id, only.collection(), SINGLETON).await?;
    let mut object = only.fresh();
    object.extend(stored.and_then(|stored| serde_json::from_slice::<Object>(&stored).ok()).unwrap_or_default());
    for name in ["fromDate", "toDate"] {
        // Releases before this one took other offsets than UTC's.
        let date = object.get(name).and_then(Value::as_str).and_then(|text| message::date::parse_rfc_3339(text.as_bytes()));
        if let Some(date) = date.filter(|_| only == Only::VacationResponse) {
            object.insert(name.into(), json!(message::date::format_rfc_3339(date.unix_secs())));
        }
    }
    Ok(object)
}

/// `/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args, only: Only) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let mut known: Vec<String> = only.fresh().keys().cloned().collect();
    known.push("id".into());
    let properties = args.properties(&known.iter().map(String::as_str).collect::<Vec<_>>())?;
    args.end()?;
    let at = super::setting::now(context).await?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids.unwrap_or_else(|| vec![SINGLETON.to_owned()]) {
        if id != SINGLETON {
            not_found.push(id);
            continue;
        }
        let mut object = read(context, only).await?;
        object.retain(|name, _| properties.as_ref().is_none_or(|names| names.contains(name)));
        object.insert("id".into(), json!(id));
        list.push(Value::Object(object));
    }
    Ok(got(context, at, list, not_found))
}

/// `/changes`
pub(super) async fn changes(context: &mut Context<'_>, args: Args, only: Only) -> Result<Object, MethodError> {
    record_changes(context, args, only.collection()).await
}

/// `/set`
pub(super) async fn set(context: &mut Context<'_>, mut args: Args, only: Only) -> Result<Object, MethodError> {
    let setting = Setting::take(context, &mut args).await?;
    args.end()?;
    let mut outcome = Outcome::default();
    for (creation, _) in setting.create {
        outcome.not_created(creation, SetError::new("singleton"));
    }
    for (id, patch) in setting.update {
        let done = if id == SINGLETON { update(context, only, patch).await } else { Err(SetError::new("notFound")) };
        outcome.update(id, done.map(|()| Value::Null));
    }
    for id in setting.destroy {
        let error = if id == SINGLETON { SetError::new("singleton") } else { SetError::new("notFound") };
        outcome.destroy(id, Err(error));
    }
    outcome.answer(context, setting.old_state).await
}

async fn update(context: &Context<'_>, only: Only, mut patch: Object) -> Result<(), SetError> {
    // What the client may say again, as it is (RFC 8620 §5.3).
    if patch.get("id").is_some_and(|id| id == SINGLETON) {
        patch.remove("id");
    }
    let mut object = read(context, only).await.map_err(|_| SetError::new("serverFail"))?;
    let was_away = object.get("isEnabled") == Some(&Value::Bool(true));
    let patch = whole_properties(patch, &object)?;
    object.extend(patch);
    only.check(&object)?;
    let (store, account) = (&context.site.store, context.account.id);
    let is_away = object.get("isEnabled") == Some(&Value::Bool(true));
    let stored = serde_json::to_vec(&object).map_err(|_| SetError::new("serverFail"))?;
    if stored.len() > store::limits::RECORD_BYTES_MAX {
        return Err(SetError::why("tooLarge", "That is too much to keep."));
    }
    let mut changes = vec![(only.collection(), SINGLETON.into(), Some(stored))];
    if only == Only::VacationResponse && is_away && !was_away {
        // Who was answered while away the last time is answered anew.
        let answered = store.records(account, ANSWERED).await?;
        changes.extend(answered.into_iter().map(|(name, _)| (ANSWERED, name, None)));
    }
    let done = store.records_change(account, &changes).await;
    if let Some(wishes) = &context.site.wishes {
        wishes.forget(account);
    }
    done?;
    Ok(())
}
