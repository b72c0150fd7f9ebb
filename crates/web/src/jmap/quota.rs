//! Quotas (RFC 9425): the octets of an account, where they are bounded.
//!
//! Must not know: what takes the room.

use super::answers::{Told, Window, changed, changes_max, got};
use super::args::Args;
use super::failure::MethodError;
use super::{Context, Object};
use serde_json::{Value, json};

const ID: &str = "octets";
const PROPERTIES: [&str; 10] =
    ["id", "resourceType", "used", "hardLimit", "scope", "name", "types", "warnLimit", "softLimit", "description"];

async fn quota(context: &Context<'_>) -> Result<Option<Object>, MethodError> {
    let usage = context.site.store.usage(context.account.id).await?;
    let Some(limit) = usage.quota_bytes else { return Ok(None) };
    let value = json!({
        "id": ID, "resourceType": "octets", "used": usage.bytes, "hardLimit": limit, "scope": "account", "name": context.account.address,
        "types": ["Mail"], "warnLimit": limit / 10 * 9, "softLimit": null, "description": null,
    });
    Ok(value.as_object().cloned())
}

/// `Quota/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let properties = args.properties(&PROPERTIES)?;
    args.end()?;
    let at = super::setting::now(context).await?;
    let quota = quota(context).await?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    let ids = ids.unwrap_or_else(|| quota.iter().map(|_| ID.to_owned()).collect());
    for id in ids {
        match quota.clone().filter(|_| id == ID) {
            Some(mut object) => {
                object.retain(|name, _| name == "id" || properties.as_ref().is_none_or(|names| names.contains(name)));
                list.push(Value::Object(object));
            }
            None => not_found.push(id),
        }
    }
    Ok(got(context, at, list, not_found))
}

/// `Quota/changes`
pub(super) async fn changes(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let since = args.state("sinceState")?;
    changes_max(&mut args)?;
    args.end()?;
    let cannot = || MethodError::new("cannotCalculateChanges");
    let changes = context.site.store.account_changes(context.account.id, since, usize::MAX).await?.ok_or_else(cannot)?;
    let mut told = Told::default();
    if !changes.messages.is_empty() && quota(context).await?.is_some() {
        told.updated.push(ID.to_owned());
    }
    let mut answer = changed(context, (since, changes.mod_seq, changes.more), told);
    answer.insert("updatedProperties".into(), json!(["used"]));
    Ok(answer)
}

/// `Quota/query`
pub(super) async fn query(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let filter = args.object("filter")?.unwrap_or_default();
    args.take("sort");
    let window = Window::take(&mut args)?;
    args.end()?;
    let at = super::setting::now(context).await?;
    let mut found = Vec::new();
    if let Some(object) = quota(context).await? {
        let is = |(name, wanted): (&String, &Value)| match name.as_str() {
            "name" | "scope" | "resourceType" => Ok(object.get(name) == Some(wanted)),
            "type" => Ok(object.get("types").and_then(Value::as_array).is_some_and(|types| types.contains(wanted))),
            _ => Err(MethodError::new("unsupportedFilter")),
        };
        let answers: Vec<bool> = filter.iter().map(is).collect::<Result<_, _>>()?;
        if answers.iter().all(|is| *is) {
            found.push(ID.to_owned());
        }
    }
    window.of(context, at, &found, Clone::clone)
}
