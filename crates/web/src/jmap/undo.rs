//! `Undo/get` and `Undo/restore` of the program's own name space: what was destroyed and can be brought back.
//!
//! Must not know: who destroyed it.

use super::args::Args;
use super::failure::MethodError;
use super::view::EmailKey;
use super::{Context, Object, account_id};
use crate::limits::{GET_MAX, SET_MAX};
use serde_json::{Value, json};
use store::EmailId;

fn id_of(email: EmailId) -> String {
    format!("X{:x}", email.0)
}

fn of_id(id: &str) -> Option<EmailId> {
    let email = EmailId(u64::from_str_radix(id.strip_prefix('X')?, 16).ok()?);
    (id_of(email) == id).then_some(email)
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// `Undo/get`: newest first.
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let limit = args.unsigned("limit")?.map_or(GET_MAX, |limit| usize::try_from(limit).unwrap_or(GET_MAX).min(GET_MAX));
    args.end()?;
    let account = context.account.id;
    let told = |one: &store::Undoable| {
        json!({
            "id": id_of(one.email), "mailboxId": store::object_id::of_mailbox(account, one.mailbox).as_str(), "mailboxName": one.mailbox_name.as_str(),
            "destroyedAt": message::date::format_rfc_3339(one.expunged_secs), "size": one.size_bytes, "subject": one.subject,
            "from": one.from,
        })
    };
    let list: Vec<Value> = context.site.store.undo_list(account, limit).await?.iter().map(told).collect();
    Ok(object(json!({"accountId": account_id(account), "list": list})))
}

/// `Undo/restore`
pub(super) async fn restore(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.texts("ids")?.ok_or_else(|| MethodError::arguments("ids is missing"))?;
    args.end()?;
    if ids.len() > SET_MAX {
        return Err(MethodError::new("requestTooLarge"));
    }
    let (store, account) = (&context.site.store, context.account.id);
    let emails: Vec<EmailId> = ids.iter().filter_map(|id| of_id(id)).collect();
    let done = match store.undo_restore(account, &emails, net::clock::unix_now()).await {
        Err(store::StoreError::OverQuota) => return Err(MethodError::new("overQuota")),
        other => other?,
    };
    let back: Vec<EmailId> = done.iter().map(|(email, ..)| *email).collect();
    let names = store.email_names(account, &back).await?;
    let mut restored = Object::new();
    for ((email, mailbox, _), name) in done.iter().zip(names) {
        let id = name.map(|(body, date_secs)| EmailKey { body, date_secs }.id());
        let place = store::object_id::of_mailbox(account, *mailbox).to_string();
        restored.insert(id_of(*email), json!({"emailId": id, "mailboxId": place}));
    }
    let not_found: Vec<&String> = ids.iter().filter(|id| !restored.contains_key(*id)).collect();
    Ok(object(json!({"accountId": account_id(account), "restored": restored, "notFound": not_found})))
}
