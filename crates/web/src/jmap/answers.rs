//! What the answers of `/get`, `/changes` and `/query` have in common (RFC 8620 §5).
//!
//! Must not know: what the objects are.

use super::args::{Args, Since};
use super::failure::MethodError;
use super::{Context, Object, account_id};
use crate::limits::{CHANGES_MAX, FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX, QUERY_MAX, SORT_MAX};
use message::casemap::unicode_casemap;
use serde_json::{Value, json};
use std::cmp::Ordering;
use store::{AccountChanges, ModSeq, Touch};

/// How texts are compared (RFC 4790).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Collation {
    /// RFC 5051; where nobody says which.
    #[default]
    UnicodeCasemap,
    /// RFC 4790 §9.2
    AsciiCasemap,
    /// RFC 4790 §9.3
    Octet,
}

/// `collationAlgorithms`
pub(crate) const COLLATIONS: [(&str, Collation); 3] = [
    ("i;unicode-casemap", Collation::UnicodeCasemap),
    ("i;ascii-casemap", Collation::AsciiCasemap),
    ("i;octet", Collation::Octet),
];

impl Collation {
    /// What is compared octet by octet instead of the text.
    pub(crate) fn mapped(self, text: &str) -> String {
        match self {
            Collation::UnicodeCasemap => unicode_casemap(text),
            Collation::AsciiCasemap => text.to_ascii_uppercase(),
            Collation::Octet => text.to_owned(),
        }
    }
}

/// One step of an order.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) property: String,
    pub(crate) ascending: bool,
    pub(crate) collation: Collation,
}

impl Step {
    pub(crate) fn towards(&self, order: Ordering) -> Ordering {
        if self.ascending { order } else { order.reverse() }
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// `/get`
pub(crate) fn got(context: &Context<'_>, at: ModSeq, list: Vec<Value>, not_found: Vec<String>) -> Object {
    object(
        json!({"accountId": account_id(context.eyes.account), "state": context.state(at), "list": list, "notFound": not_found}),
    )
}

/// `maxChanges`, within our own bound.
pub(crate) fn changes_max(args: &mut Args) -> Result<usize, MethodError> {
    match args.unsigned("maxChanges")? {
        Some(0) => Err(MethodError::arguments("maxChanges is 0")),
        Some(max) => Ok(usize::try_from(max).unwrap_or(CHANGES_MAX).min(CHANGES_MAX)),
        None => Ok(CHANGES_MAX),
    }
}

/// What happened after that, as the store knows it.
pub(crate) async fn happened(context: &Context<'_>, since: &Since, ids_max: usize) -> Result<AccountChanges, MethodError> {
    let (store, account) = (&context.site.store, context.eyes.account);
    let changes = match &since.within {
        None => store.account_changes(account, since.state, ids_max).await?,
        // No more than what was looked at then, and all of that.
        Some((reached, _)) => store.account_changes_until(account, since.state, *reached).await?,
    };
    let mut changes = changes.ok_or_else(|| MethodError::new("cannotCalculateChanges"))?;
    context.eyes.veil(store, &mut changes);
    Ok(changes)
}

/// What a `/changes` tells: what became of what, and how far in the change log that is.
pub(crate) struct Told {
    pub(crate) touches: Vec<(String, Touch)>,
    pub(crate) reached: ModSeq,
    pub(crate) more: bool,
}

impl Told {
    pub(crate) fn new(touches: Vec<(String, Touch)>, changes: &AccountChanges) -> Told {
        Told { touches, reached: changes.mod_seq, more: changes.more }
    }

    /// Only so many of them, and a state in the middle where there are more (RFC 8620 §5.2: "the server [...] MUST return a newState
    /// that [...] is an intermediate state"). First comes what `rank` makes least: it hangs on the id alone.
    pub(crate) fn cut(&mut self, context: &Context<'_>, since: &Since, max: usize, rank: impl Fn(&str) -> i64) -> String {
        let key = |id: &str| (rank(id), id.to_owned());
        self.touches.sort_by_cached_key(|(id, _)| key(id));
        if let Some((_, last)) = &since.within {
            let last = key(last);
            self.touches.retain(|(id, _)| key(id) > last);
        }
        if self.touches.len() <= max {
            return context.state(self.reached);
        }
        self.touches.truncate(max);
        self.more = true;
        let last = self.touches.last().map_or("", |(id, _)| id);
        context.marked(Since::within(since.state, self.reached, last))
    }
}

/// `/changes`
pub(crate) fn changed(context: &Context<'_>, since: &Since, max: usize, told: Told) -> Object {
    changed_by_rank(context, since, max, told, |_| 0)
}

/// The same; see [`Told::cut`].
pub(crate) fn changed_by_rank(
    context: &Context<'_>,
    since: &Since,
    max: usize,
    mut told: Told,
    rank: impl Fn(&str) -> i64,
) -> Object {
    let state = told.cut(context, since, max, rank);
    let of =
        |touch: Touch| -> Vec<&str> { told.touches.iter().filter(|(_, one)| *one == touch).map(|(id, _)| id.as_str()).collect() };
    object(json!({
        "accountId": account_id(context.eyes.account), "oldState": since.said, "newState": state, "hasMoreChanges": told.more,
        "created": of(Touch::Created), "updated": of(Touch::Updated), "destroyed": of(Touch::Destroyed),
    }))
}

/// `maxChanges` of a `/queryChanges`.
pub(crate) struct Most(Option<u64>);

impl Most {
    pub(crate) fn take(args: &mut Args) -> Result<Most, MethodError> {
        args.unsigned("maxChanges").map(Most)
    }

    /// "There are more changes than the client's maxChanges argument" (RFC 8620 §5.6), or than we tell.
    pub(crate) fn allows(&self, changes: usize) -> Result<(), MethodError> {
        match self.0 {
            Some(max) if usize::try_from(max).is_ok_and(|max| changes > max) => Err(MethodError::new("tooManyChanges")),
            _ if changes > CHANGES_MAX => Err(MethodError::new("cannotCalculateChanges")),
            _ => Ok(()),
        }
    }
}

/// The window a `/query` asks for.
pub(crate) struct Window {
    position: i64,
    anchor: Option<String>,
    anchor_offset: i64,
    limit: Option<u64>,
    total: bool,
}

impl Window {
    pub(crate) fn take(args: &mut Args) -> Result<Window, MethodError> {
        Ok(Window {
            position: args.signed("position")?.unwrap_or(0),
            anchor: args.text("anchor")?,
            anchor_offset: args.signed("anchorOffset")?.unwrap_or(0),
            limit: args.unsigned("limit")?,
            total: args.truth("calculateTotal")?,
        })
    }

    /// Cuts it out of all results.
    pub(crate) fn of<T>(
        &self,
        context: &Context<'_>,
        at: ModSeq,
        all: &[T],
        id: impl Fn(&T) -> String,
    ) -> Result<Object, MethodError> {
        let len = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let start = match &self.anchor {
            Some(anchor) => {
                let found = all.iter().position(|one| id(one) == *anchor).ok_or_else(|| MethodError::new("anchorNotFound"))?;
                i64::try_from(found).unwrap_or(i64::MAX).saturating_add(self.anchor_offset).max(0)
            }
            None if self.position < 0 => (len + self.position).max(0),
            None => self.position,
        };
        let asked = self.limit.map_or(QUERY_MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let limit = asked.min(QUERY_MAX);
        let first = usize::try_from(start.min(len)).unwrap_or(0);
        let ids: Vec<String> = all.iter().skip(first).take(limit).map(id).collect();
        let mut answer = object(json!({
            "accountId": account_id(context.eyes.account), "queryState": context.state(at), "canCalculateChanges": true,
            "position": first, "ids": ids,
        }));
        if self.total {
            answer.insert("total".into(), json!(all.len()));
        }
        // "If a greater value is given (or if it is null), [...] the new limit is returned with the response so the client is aware."
        if limit < asked || self.limit.is_none() {
            answer.insert("limit".into(), json!(limit));
        }
        Ok(answer)
    }
}

/// A filter (RFC 8620 §5.5): operators, and conditions that `is` knows; bounded in depth and number.
pub(crate) fn judged(filter: &Value, is: &dyn Fn(&str, &Value) -> Result<bool, MethodError>) -> Result<bool, MethodError> {
    let mut left = FILTER_CONDITIONS_MAX;
    judged_in(filter, is, 0, &mut left)
}

fn judged_in(
    filter: &Value,
    is: &dyn Fn(&str, &Value) -> Result<bool, MethodError>,
    depth: usize,
    left: &mut usize,
) -> Result<bool, MethodError> {
    let unsupported = || MethodError::new("unsupportedFilter");
    let object = filter.as_object().ok_or_else(|| MethodError::arguments("a filter is an object"))?;
    if depth > FILTER_DEPTH_MAX {
        return Err(unsupported());
    }
    *left = left.checked_sub(1).ok_or_else(unsupported)?;
    if let Some(operator) = object.get("operator") {
        only_operator(object)?;
        let list = object.get("conditions").and_then(Value::as_array).ok_or_else(|| MethodError::arguments("conditions"))?;
        let found: Vec<bool> = list.iter().map(|one| judged_in(one, is, depth + 1, left)).collect::<Result<_, _>>()?;
        return match operator.as_str() {
            Some("AND") => Ok(found.iter().all(|is| *is)),
            Some("OR") => Ok(found.iter().any(|is| *is)),
            Some("NOT") => Ok(!found.iter().any(|is| *is)),
            _ => Err(MethodError::arguments("operator")),
        };
    }
    // The first has been counted.
    *left = left.checked_sub(object.len().saturating_sub(1)).ok_or_else(unsupported)?;
    let mut all = true;
    for (name, value) in object {
        all &= is(name, value)?;
    }
    Ok(all)
}

/// A FilterCondition "MUST NOT have an `operator` property" (RFC 8620 §5.5): what stands beside one would not be asked.
pub(crate) fn only_operator(object: &Object) -> Result<(), MethodError> {
    match object.keys().find(|name| !["operator", "conditions"].contains(&name.as_str())) {
        Some(name) => Err(MethodError::arguments(format!("{name} stands beside an operator"))),
        None => Ok(()),
    }
}

/// A comparator (RFC 8620 §5.5) of one of these properties.
pub(crate) fn step(comparator: &Value, known: &[&str]) -> Result<Step, MethodError> {
    let given = |name: &str| comparator.get(name).filter(|value| !value.is_null());
    let property =
        given("property").and_then(Value::as_str).ok_or_else(|| MethodError::arguments("a comparator has a property"))?;
    let ascending = match given("isAscending") {
        None => true,
        Some(is) => is.as_bool().ok_or_else(|| MethodError::arguments("isAscending is true or false"))?,
    };
    let collation = match given("collation") {
        None => Collation::default(),
        Some(name) => {
            let name = name.as_str().ok_or_else(|| MethodError::arguments("a collation has a name"))?;
            let known = COLLATIONS.into_iter().find(|(known, _)| *known == name).map(|(_, collation)| collation);
            known.ok_or_else(|| MethodError::new("unsupportedSort"))?
        }
    };
    if !known.contains(&property) {
        return Err(MethodError::new("unsupportedSort"));
    }
    Ok(Step { property: property.to_owned(), ascending, collation })
}

/// More comparators than there are properties order nothing better, and each costs in every comparison.
pub(crate) fn few_steps(sort: &[Value]) -> Result<(), MethodError> {
    if sort.len() <= SORT_MAX { Ok(()) } else { Err(MethodError::new("unsupportedSort")) }
}

/// `sort` (RFC 8620 §5.5) by properties of these names.
pub(crate) fn sorted_by(args: &mut Args, known: &[&str]) -> Result<Vec<Step>, MethodError> {
    let Some(sort) = args.take("sort") else { return Ok(Vec::new()) };
    let list = sort.as_array().ok_or_else(|| MethodError::arguments("sort is not a list of comparators"))?;
    few_steps(list)?;
    list.iter().map(|comparator| step(comparator, known)).collect()
}

/// `/queryChanges`: what may have left, and where what may have come is now.
pub(crate) fn query_changed(
    context: &Context<'_>,
    (since, now): (ModSeq, ModSeq),
    removed: Vec<String>,
    added: Vec<(usize, String)>,
    total: Option<usize>,
) -> Object {
    let added: Vec<Value> = added.into_iter().map(|(index, id)| json!({"id": id, "index": index})).collect();
    let mut answer = object(json!({
        "accountId": account_id(context.eyes.account), "oldQueryState": context.state(since), "newQueryState": context.state(now),
        "removed": removed, "added": added,
    }));
    if let Some(total) = total {
        answer.insert("total".into(), json!(total));
    }
    answer
}
