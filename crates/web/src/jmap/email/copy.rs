//! `Email/copy` (RFC 8621 §4.7, RFC 8620 §5.4): from one account that who asks may read into another that he may write to.
//!
//! Invariant: an original goes only after its copy is durable. Must not know: how access lists say what may be done.

use super::set::{New, keywords, mailboxes, may_come, put, received};
use crate::jmap::args::Args;
use crate::jmap::failure::{MethodError, SetError};
use crate::jmap::setting::{Outcome, Setting, id_or_created, only};
use crate::jmap::sharing::{Eyes, marked_state, masked};
use crate::jmap::view::SYSTEM;
use crate::jmap::{Answers, Context, Object, blob};
use serde_json::{Value, json};
use smol_str::SmolStr;
use store::{Flags, UnixSecs};

/// The original: its octets are read apart.
struct Original {
    flags: Flags,
    received_secs: UnixSecs,
}

/// `Email/copy`
pub(crate) async fn copy(context: &mut Context<'_>, mut args: Args) -> Answers {
    let from = args.text("fromAccountId")?.ok_or_else(|| MethodError::arguments("fromAccountId is missing"))?;
    let from_eyes = context.eyes_on(&from);
    let from_eyes = from_eyes.ok_or_else(|| MethodError::new("fromAccountNotFound"))?;
    if from_eyes.account == context.eyes.account {
        return Err(MethodError::arguments("fromAccountId is accountId"));
    }
    let destroys = args.truth("onSuccessDestroyOriginal")?;
    let destroy_in_state = args.text("destroyFromIfInState")?;
    let from_in_state = args.text("ifFromInState")?;
    // `/copy` has no more of `/set` than this.
    let mut inner = Object::from_iter([("create".to_owned(), Value::Object(args.needed("create")?))]);
    if let Some(state) = args.take("ifInState") {
        inner.insert("ifInState".into(), state);
    }
    args.end()?;
    let setting = Setting::take(context, &mut Args::new(inner)).await?;
    if let Some(wanted) = from_in_state {
        let (at, _) = context.site.store.mailbox_states(from_eyes.account).await?;
        if wanted != marked_state(at, &from_eyes.mark(&context.site.store).await?) {
            return Err(MethodError::new("stateMismatch"));
        }
    }
    let mut outcome = Outcome::default();
    let mut originals = Vec::new();
    for (creation, object) in setting.create {
        match one(context, &from_eyes, &object).await {
            Ok((original, id, answer)) => {
                originals.push(original);
                outcome.created(context, creation, id, answer);
            }
            Err(error) => outcome.not_created(creation, error),
        }
    }
    let mut answer = outcome.answer(context, setting.old_state).await?;
    answer.retain(|name, _| ["accountId", "oldState", "newState", "created", "notCreated"].contains(&name.as_str()));
    answer.insert("fromAccountId".into(), json!(from));
    let mut answers = vec![("Email/copy".to_owned(), answer)];
    if destroys && !originals.is_empty() {
        answers.push(destroy(context, from_eyes, (originals, destroy_in_state)).await);
    }
    Ok(answers)
}

/// The implicit `Email/set`, which fails by itself.
async fn destroy(
    context: &mut Context<'_>,
    from: Eyes,
    (originals, in_state): (Vec<String>, Option<String>),
) -> (String, Object) {
    let to = std::mem::replace(&mut context.eyes, from.clone());
    let mark = std::mem::take(&mut context.mark);
    let asked = json!({"destroy": originals, "ifInState": in_state});
    let done = match context.look(from).await {
        Ok(()) => super::set::set_besides(context, asked.as_object().cloned().unwrap_or_default()).await,
        Err(error) => ("error".to_owned(), MethodError::from(error).into_object()),
    };
    (context.eyes, context.mark) = (to, mark);
    done
}

/// One copied: the original's id, the copy's, and what is told of it.
async fn one(context: &Context<'_>, from: &Eyes, object: &Object) -> Result<(String, String, Object), SetError> {
    let known = ["id", "mailboxIds", "keywords", "receivedAt"];
    only(object, &known)?;
    let missing = || SetError::new("notFound");
    let id = object.get("id").and_then(Value::as_str).ok_or_else(|| SetError::properties(&["id"], "id is missing"))?;
    let id = id_or_created(context, id).ok_or_else(missing)?;
    let original = {
        let view = context.site.jmap.views.seen_by(&context.site.store, from).await?;
        let (key, entry) = view.by_id(&id).ok_or_else(missing)?;
        let is_system = |word: &SmolStr| SYSTEM.iter().any(|(_, name)| name == word);
        let words: Vec<SmolStr> = entry.keywords().into_iter().filter(|word| !is_system(word)).collect();
        let keywords = (!words.is_empty()).then(|| words.into());
        Original { flags: Flags { system: entry.system(), keywords }, received_secs: key.date_secs }
    };
    let wanted = object.get("keywords").map(keywords).transpose()?;
    let (places, flags) = {
        let view = context.site.jmap.views.seen_by(&context.site.store, &context.eyes).await?;
        let places = mailboxes(context, &view, object.get("mailboxIds"))?;
        // What is said is done or refused; what only comes along comes along as far as it may, as with IMAP's COPY.
        let masks = || places.iter().fold(original.flags.clone(), |flags, place| masked(view.rights(*place), &flags));
        let flags = wanted.unwrap_or_else(masks);
        may_come(&view, &places, &flags)?;
        (places, flags)
    };
    let received_secs = received(object.get("receivedAt"))?.unwrap_or(original.received_secs);
    let octets = blob::octets(context.site, from, &id).await?.ok_or_else(missing)?;
    let (copy, answer) = put(context, New { octets, mailboxes: places, flags, received_secs }).await?;
    Ok((id, copy, answer))
}
