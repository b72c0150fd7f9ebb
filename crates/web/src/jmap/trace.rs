//! `Trace/get` of the program's own name space: what happened to a message, as its owner may know it ("Why?").
//!
//! Must not know: what the events mean.

use super::answers::got;
use super::args::Args;
use super::failure::MethodError;
use super::view::Entry;
use super::{Context, Object};
use serde_json::{Value, json};
use store::{EmailId, TraceEvent};

/// Keys of an event that its owner may see; the others name how it is found.
const KEYS: [&str; 4] = ["transaction", "queue", "message-id", "ip"];

fn event(event: &TraceEvent) -> Value {
    let keys: Object = event
        .keys
        .iter()
        .filter(|(kind, _)| KEYS.contains(&kind.as_str()))
        .map(|(kind, value)| (kind.to_string(), json!(value)))
        .collect();
    json!({
        "at": message::date::format_rfc_3339(event.at_secs), "what": event.what.as_str(), "detail": event.detail, "keys": keys,
    })
}

/// `Trace/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?.ok_or_else(|| MethodError::arguments("ids is missing"))?;
    args.end()?;
    let (store, account) = (&context.site.store, context.account.id);
    let (at, found) = {
        let view = context.site.jmap.views.of(store, account).await?;
        let emails = |entry: &Entry| entry.places().map(|place| place.email).collect::<Vec<EmailId>>();
        let of = |id: String| {
            let found = view.by_id(&id).map(|(_, entry)| emails(entry));
            (id, found)
        };
        (view.mod_seq, ids.into_iter().map(of).collect::<Vec<_>>())
    };
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for (id, emails) in found {
        let Some(emails) = emails else {
            not_found.push(id);
            continue;
        };
        let mut events: Vec<TraceEvent> = Vec::new();
        for email in emails {
            for one in store.trace_for(account, email).await? {
                if !events.contains(&one) {
                    events.push(one);
                }
            }
        }
        events.sort_by_key(|event| event.at_secs);
        list.push(json!({"id": id, "events": events.iter().map(event).collect::<Vec<_>>()}));
    }
    Ok(got(context, at, list, not_found))
}
