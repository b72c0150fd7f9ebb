//! What every `/set` has in common (RFC 8620 §5.3): its arguments, ids made in the same request, its answer.
//!
//! Must not know: what the objects are.

use super::args::Args;
use super::failure::{MethodError, SetError};
use super::reference::pointer_step;
use super::{Context, Object, account_id};
use crate::limits::SET_MAX;
use serde_json::{Value, json};
use std::collections::HashMap;
use store::ModSeq;

/// The arguments.
pub(crate) struct Setting {
    pub(crate) old_state: ModSeq,
    pub(crate) create: Vec<(String, Object)>,
    pub(crate) update: Vec<(String, Object)>,
    pub(crate) destroy: Vec<String>,
}

/// `id`, or what `#creation-id` became in this request.
pub(crate) fn id_or_created(context: &Context<'_>, id: &str) -> Option<String> {
    match id.strip_prefix('#') {
        Some(creation) => context.created.get(creation).cloned(),
        None => Some(id.to_owned()),
    }
}

/// Everything in `value` that reads like `#creation-id`.
fn references(value: &Value, into: &mut Vec<String>) {
    let mut note = |text: &str| into.extend(text.strip_prefix('#').map(str::to_owned));
    match value {
        Value::String(text) => note(text),
        Value::Array(list) => list.iter().for_each(|one| references(one, into)),
        Value::Object(object) => {
            object.keys().for_each(|name| note(name));
            object.values().for_each(|one| references(one, into));
        }
        _ => {}
    }
}

/// Those first to which others refer ("the server MUST order the creates [...] so that creates happen before their creation ids
/// are referenced", RFC 8620 §5.3). What refers in a circle comes last, and finds nothing.
pub(crate) fn in_order(create: Object) -> Vec<(String, Value)> {
    let mut waits_for: HashMap<&str, usize> = HashMap::new();
    let mut awaited_by: HashMap<String, Vec<&str>> = HashMap::new();
    for (creation, value) in &create {
        let mut of = Vec::new();
        references(value, &mut of);
        of.sort_unstable();
        of.dedup();
        of.retain(|other| other != creation && create.contains_key(other));
        waits_for.insert(creation, of.len());
        of.into_iter().for_each(|other| awaited_by.entry(other).or_default().push(creation));
    }
    let mut order: Vec<String> = create.keys().filter(|name| waits_for.get(name.as_str()) == Some(&0)).cloned().collect();
    let mut at = 0;
    while let Some(made) = order.get(at).cloned() {
        at += 1;
        for waiting in awaited_by.remove(&made).unwrap_or_default() {
            let left = waits_for.entry(waiting).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                order.push(waiting.to_owned());
            }
        }
    }
    let mut create = create;
    let mut ordered: Vec<(String, Value)> = order.into_iter().filter_map(|name| create.remove_entry(&name)).collect();
    ordered.extend(create);
    ordered
}

/// A patch of whole properties: its paths (RFC 6901 without the slash in front) are carried out on what is there (RFC 8620 §5.3).
pub(crate) fn whole_properties(patch: Object, present: &Object) -> Result<Object, SetError> {
    let wrong = |why: &str| SetError::why("invalidPatch", why);
    let steps = |path: &str| path.split('/').map(pointer_step).collect::<Option<Vec<String>>>();
    let paths = patch.into_iter().map(|(path, value)| Some((steps(&path)?, value))).collect::<Option<Vec<_>>>();
    let mut paths = paths.ok_or_else(|| wrong("a path is no JSON Pointer"))?;
    paths.sort_by(|(one, _), (other, _)| one.cmp(other));
    // What begins with another one stands right behind it, or behind others that do.
    if paths.iter().zip(paths.iter().skip(1)).any(|((one, _), (next, _))| next.starts_with(one)) {
        return Err(wrong("one path is the beginning of another"));
    }
    let mut whole = Object::new();
    for (path, value) in paths {
        let Some((property, rest)) = path.split_first() else { continue };
        let Some((last, between)) = rest.split_last() else {
            whole.insert(property.clone(), value);
            continue;
        };
        let there = || present.get(property).cloned().unwrap_or_default();
        let mut at = whole.entry(property.clone()).or_insert_with(there);
        for step in between {
            let inside = at.as_object_mut().and_then(|object| object.get_mut(step));
            at = inside.ok_or_else(|| wrong("a path leads into nothing"))?;
        }
        let object = at.as_object_mut().ok_or_else(|| wrong("a path leads into a list, or into nothing"))?;
        match value {
            Value::Null => drop(object.remove(last)),
            value => drop(object.insert(last.clone(), value)),
        }
    }
    Ok(whole)
}

/// A patch without what it says again as it is (RFC 8620 §5.3: what only the server sets may stand in it so).
pub(crate) fn without_same(mut patch: Object, present: Option<&Value>) -> Object {
    let present = present.and_then(Value::as_object);
    patch.retain(|name, value| present.and_then(|present| present.get(name)) != Some(value));
    patch
}

/// Nothing else may be said.
pub(crate) fn only(object: &Object, known: &[&str]) -> Result<(), SetError> {
    SetError::any(object.keys().map(String::as_str).filter(|name| !known.contains(name)), "this cannot be set")
}

/// Where the account is now.
pub(crate) async fn now(context: &Context<'_>) -> Result<ModSeq, MethodError> {
    Ok(context.site.store.mailbox_states(context.eyes.account).await?.0)
}

pub(crate) fn objects(args: &mut Args, name: &str) -> Result<Vec<(String, Object)>, MethodError> {
    let all = args.object(name)?.unwrap_or_default();
    let one = |(id, value): (String, Value)| match value {
        Value::Object(object) => Ok((id, object)),
        _ => Err(MethodError::arguments(format!("{name} holds something that is no object"))),
    };
    in_order(all).into_iter().map(one).collect()
}

impl Setting {
    pub(crate) async fn take(context: &Context<'_>, args: &mut Args) -> Result<Setting, MethodError> {
        let old_state = now(context).await?;
        if let Some(wanted) = args.text("ifInState")?
            && wanted != context.state(old_state)
        {
            return Err(MethodError::new("stateMismatch"));
        }
        let (create, update) = (objects(args, "create")?, objects(args, "update")?);
        let destroy = args.texts("destroy")?.unwrap_or_default();
        if create.len() + update.len() + destroy.len() > SET_MAX {
            return Err(MethodError::new("requestTooLarge"));
        }
        let resolved = |id: String| id_or_created(context, &id).unwrap_or(id);
        let update: Vec<(String, Object)> = update.into_iter().map(|(id, patch)| (resolved(id), patch)).collect();
        let mut destroy: Vec<String> = destroy.into_iter().map(resolved).collect();
        destroy.sort_unstable();
        destroy.dedup();
        Ok(Setting { old_state, create, update, destroy })
    }
}

/// What became of everything.
#[derive(Default)]
pub(crate) struct Outcome {
    created: Object,
    updated: Object,
    destroyed: Vec<String>,
    not_created: Object,
    not_updated: Object,
    not_destroyed: Object,
}

impl Outcome {
    pub(crate) fn created(&mut self, context: &mut Context<'_>, creation: String, id: String, object: Object) {
        context.created.insert(creation.clone(), id);
        self.created.insert(creation, Value::Object(object));
    }

    pub(crate) fn not_created(&mut self, creation: String, error: SetError) {
        self.not_created.insert(creation, error.into_value());
    }

    pub(crate) fn update(&mut self, id: String, done: Result<Value, SetError>) {
        match done {
            Ok(value) => self.updated.insert(id, value),
            Err(error) => self.not_updated.insert(id, error.into_value()),
        };
    }

    pub(crate) fn destroy(&mut self, id: String, done: Result<(), SetError>) {
        match done {
            Ok(()) => self.destroyed.push(id),
            Err(error) => drop(self.not_destroyed.insert(id, error.into_value())),
        }
    }

    /// The answer, with the state that follows.
    pub(crate) async fn answer(self, context: &Context<'_>, old_state: ModSeq) -> Result<Object, MethodError> {
        let new_state = now(context).await?;
        let some = |object: Object| if object.is_empty() { Value::Null } else { Value::Object(object) };
        let destroyed = if self.destroyed.is_empty() { Value::Null } else { json!(self.destroyed) };
        let answer = json!({
            "accountId": account_id(context.eyes.account), "oldState": context.state(old_state), "newState": context.state(new_state),
            "created": some(self.created), "updated": some(self.updated), "destroyed": destroyed,
            "notCreated": some(self.not_created), "notUpdated": some(self.not_updated), "notDestroyed": some(self.not_destroyed),
        });
        match answer {
            Value::Object(object) => Ok(object),
            _ => Ok(Object::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 8620 §5.3, PatchObject.
    #[test]
    fn paths_are_carried_out_on_what_is_there() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let present = object(json!({"a": {"b": {"c": 1}, "x/y~": 2}, "list": [1], "text": "t", "none": null}));
        let done = |patch: Value| whole_properties(object(patch), &present).map(Value::Object);
        assert_eq!(
            done(json!({"a/b/c": 3, "a/d": 4, "text": null})),
            Ok(json!({"a": {"b": {"c": 3}, "d": 4, "x/y~": 2}, "text": null}))
        );
        assert_eq!(done(json!({"a/x~1y~0": null, "a/never": null})), Ok(json!({"a": {"b": {"c": 1}}})));
        assert_eq!(done(json!({"new": {"e": 1}})), Ok(json!({"new": {"e": 1}})));
        for wrong in [
            json!({"a": {}, "a/b": {}}),
            json!({"a/b": {}, "a/b!": 1, "a/b/c": 1}),
            json!({"list/0": 2}),
            json!({"text/x": 1}),
            json!({"none/x": 1}),
            json!({"missing/x": 1}),
            json!({"a/missing/x": 1}),
            json!({"a/~2": 1}),
            json!({"a/b~": 1}),
        ] {
            let error = done(wrong.clone()).unwrap_err().into_value();
            assert_eq!(error["type"], "invalidPatch", "{wrong}");
        }
        assert!(done(json!({"a/b": 1, "ab": 2})).is_ok(), "only whole steps count");
    }
}
