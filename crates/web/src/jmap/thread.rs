//! Threads (RFC 8621 §3): a message's conversation follows from its octets, as IMAP's THREADID says.
//!
//! Must not know: how conversations are found.

use super::answers::{Told, changed, changes_max, got};
use super::args::Args;
use super::email::Affected;
use super::failure::MethodError;
use super::view::ThreadKey;
use super::{Context, Object};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `Thread/get`
pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let properties = args.properties(&["id", "emailIds"])?;
    args.end()?;
    let (store, account) = (&context.site.store, context.eyes.account);
    let mut view = context.site.jmap.views.seen_by(store, &context.eyes).await?;
    view.learn_all(store, account).await?;
    let ids = match ids {
        Some(ids) => ids,
        None => {
            let all: BTreeSet<ThreadKey> = view.all().filter_map(|(_, entry)| entry.known().map(|known| known.thread)).collect();
            if all.len() > crate::limits::GET_MAX {
                return Err(MethodError::new("requestTooLarge"));
            }
            all.into_iter().map(ThreadKey::id).collect()
        }
    };
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        let emails: Vec<String> =
            ThreadKey::of(&id).map(|thread| view.thread(thread)).unwrap_or_default().into_iter().map(|key| key.id()).collect();
        if emails.is_empty() {
            not_found.push(id);
        } else if properties.as_ref().is_some_and(|names| !names.iter().any(|name| name == "emailIds")) {
            list.push(json!({"id": id}));
        } else {
            list.push(json!({"id": id, "emailIds": Value::from(emails)}));
        }
    }
    Ok(got(context, view.mod_seq, list, not_found))
}

/// `Thread/changes`
pub(crate) async fn changes(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let since = args.since()?;
    let max = changes_max(&mut args)?;
    args.end()?;
    let affected = Affected::since(context, &since, max, true).await?;
    let touches = affected.threads().into_iter().map(|(thread, touch)| (thread.id(), touch)).collect();
    Ok(changed(context, &since, max, Told { touches, reached: affected.mod_seq, more: affected.more }))
}
