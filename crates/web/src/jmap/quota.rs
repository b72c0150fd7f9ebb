//! Quotas (RFC 9425): the octets of an account, where they are bounded.
//!
//! Must not know: what takes the room.

use super::answers::{Most, Told, Window, changed, changes_max, got, happened, judged, query_changed, sorted_by};
use super::args::Args;
use super::failure::MethodError;
use super::{Context, MAIL, Object};
use message::search::Needle;
use serde_json::{Value, json};
use store::Touch;

const ID: &str = "octets";
/// The type's name as it is registered, and as RFC 9425's own examples have it, which programs look for.
const TYPES: [&str; 2] = ["Email", "Mail"];
const PROPERTIES: [&str; 10] =
    ["id", "resourceType", "used", "hardLimit", "scope", "name", "types", "warnLimit", "softLimit", "description"];

async fn quota(context: &Context<'_>) -> Result<Option<Object>, MethodError> {
    let usage = context.site.store.usage(context.account.id).await?;
    let Some(limit) = usage.quota_bytes else { return Ok(None) };
    // "The server MUST NOT return Quota objects for which there are no types recognized by the client", and that is told by what
    // the request uses.
    if !context.using.contains(MAIL) {
        return Ok(None);
    }
    let value = json!({
        "id": ID, "resourceType": "octets", "used": usage.bytes, "hardLimit": limit, "scope": "account", "name": context.account.address,
        "types": TYPES, "warnLimit": limit / 10 * 9, "softLimit": null, "description": null,
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
    let since = args.since()?;
    let max = changes_max(&mut args)?;
    args.end()?;
    let changes = happened(context, &since, usize::MAX).await?;
    let touches: Vec<Touch> = changes.records.iter().filter(|(of, ..)| *of == store::QUOTA).map(|(.., touch)| *touch).collect();
    let was_there = touches.first() != Some(&Touch::Created);
    // As of the end of what is told here: what happened later is told later.
    let is_there = match touches.last() {
        Some(last) => *last != Touch::Destroyed,
        None => context.site.store.usage(context.account.id).await?.quota_bytes.is_some(),
    };
    let only_used = touches.is_empty();
    let touch = match (was_there, is_there) {
        (false, true) => Some(Touch::Created),
        (true, false) if !only_used => Some(Touch::Destroyed),
        (true, true) if !only_used || !changes.messages.is_empty() => Some(Touch::Updated),
        _ => None,
    };
    let touches = touch.filter(|_| context.using.contains(MAIL)).map(|touch| (ID.to_owned(), touch)).into_iter().collect();
    let mut answer = changed(context, &since, max, Told::new(touches, &changes));
    answer.insert("updatedProperties".into(), if only_used { json!(["used"]) } else { Value::Null });
    Ok(answer)
}

/// What of it a filter finds (RFC 9425 §4.3). There is one at most, so no order is another than the one there is.
async fn found(context: &Context<'_>, args: &mut Args) -> Result<Vec<String>, MethodError> {
    let filter = args.take("filter");
    sorted_by(args, &["name", "used"])?;
    let quota = quota(context).await?;
    // A filter is looked at also where there is nothing that it could find.
    let (is_there, object) = (quota.is_some(), quota.unwrap_or_default());
    let condition = |name: &str, wanted: &Value| {
        let wrong = || MethodError::arguments(format!("{name} in the filter is not of its type"));
        if !["name", "scope", "resourceType", "type"].contains(&name) {
            return Err(MethodError::new("unsupportedFilter"));
        }
        let text = wanted.as_str().ok_or_else(wrong)?;
        Ok(match name {
            "name" => object.get(name).and_then(Value::as_str).is_some_and(|name| Needle::new(text).is_in(name)),
            "type" => object.get("types").and_then(Value::as_array).is_some_and(|types| types.contains(wanted)),
            name => object.get(name) == Some(wanted),
        })
    };
    let is = filter.as_ref().map_or(Ok(true), |filter| judged(filter, &condition))?;
    Ok(if is && is_there { vec![ID.to_owned()] } else { Vec::new() })
}

/// `Quota/query`
pub(super) async fn query(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let at = super::setting::now(context).await?;
    let found = found(context, &mut args).await?;
    let window = Window::take(&mut args)?;
    args.end()?;
    window.of(context, at, &found, Clone::clone)
}

/// `Quota/queryChanges`: what is used is no condition, but there may be one now where there was none.
pub(super) async fn query_changes(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let since = args.state("sinceQueryState")?;
    let most = Most::take(&mut args)?;
    let _ = args.text("upToId")?;
    let total = args.truth("calculateTotal")?;
    let cannot = || MethodError::new("cannotCalculateChanges");
    let changes = context.site.store.account_changes(context.account.id, since, usize::MAX).await?.ok_or_else(cannot)?;
    let found = found(context, &mut args).await?;
    args.end()?;
    let moved = changes.mod_seq != since;
    let removed = if moved { vec![ID.to_owned()] } else { Vec::new() };
    let added: Vec<(usize, String)> = found.iter().filter(|_| moved).map(|id| (0, id.clone())).collect();
    most.allows(removed.len() + added.len())?;
    Ok(query_changed(context, (since, changes.mod_seq), removed, added, total.then_some(found.len())))
}
