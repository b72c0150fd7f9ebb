//! `Mailbox/query` and `Mailbox/queryChanges` (RFC 8621 §2.3, §2.4).
//!
//! Must not know: counts.

use super::{Orders, id_of, orders, parent, role, sort_order, told_name, touches};
use crate::jmap::answers::{Most, Step, Window, judged, query_changed, sorted_by};
use crate::jmap::args::Args;
use crate::jmap::failure::MethodError;
use crate::jmap::view::View;
use crate::jmap::{Context, Object};
use message::search::Needle;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::HashSet;
use store::{AccountId, Mailbox, MailboxId};

struct Question {
    filter: Option<Value>,
    sort: Vec<Step>,
    sort_as_tree: bool,
    filter_as_tree: bool,
}

impl Question {
    fn take(args: &mut Args) -> Result<Question, MethodError> {
        let sort = sorted_by(args, &["sortOrder", "name"])?;
        let (sort_as_tree, filter_as_tree) = (args.truth("sortAsTree")?, args.truth("filterAsTree")?);
        Ok(Question { filter: args.take("filter"), sort, sort_as_tree, filter_as_tree })
    }

    fn answer(&self, view: &View, account: AccountId, orders: &Orders) -> Result<Vec<MailboxId>, MethodError> {
        let mut matching = HashSet::new();
        for (mailbox, _) in view.mailboxes.values() {
            let is = |name: &str, value: &Value| condition(name, value, view, (account, mailbox));
            if self.filter.as_ref().map_or(Ok(true), |filter| judged(filter, &is))? {
                matching.insert(mailbox.id);
            }
        }
        if self.filter_as_tree {
            let is_shown = |mailbox: &Mailbox| {
                let above = std::iter::successors(parent(&view.mailboxes, mailbox), |one| parent(&view.mailboxes, one));
                above.into_iter().all(|one| matching.contains(&one.id))
            };
            let shown: HashSet<MailboxId> = view
                .mailboxes
                .values()
                .filter(|(one, _)| matching.contains(&one.id) && is_shown(one))
                .map(|(one, _)| one.id)
                .collect();
            matching = shown;
        }
        let mut all: Vec<&Mailbox> = view.mailboxes.values().map(|(mailbox, _)| mailbox).collect();
        all.sort_by(|a, b| self.compare(view, orders, (a, b)));
        if self.sort_as_tree {
            let mut ordered = Vec::with_capacity(all.len());
            let tops: Vec<&Mailbox> = all.iter().filter(|one| parent(&view.mailboxes, one).is_none()).copied().collect();
            tops.iter().for_each(|top| descend(top, &all, &mut ordered));
            all = ordered;
        }
        Ok(all.into_iter().map(|mailbox| mailbox.id).filter(|id| matching.contains(id)).collect())
    }

    fn compare(&self, view: &View, orders: &Orders, (a, b): (&Mailbox, &Mailbox)) -> Ordering {
        let step = |step: &Step| {
            let name = |one| step.collation.mapped(&told_name(&view.mailboxes, one));
            step.towards(match step.property.as_str() {
                "sortOrder" => sort_order(a, orders).cmp(&sort_order(b, orders)),
                _ => name(a).cmp(&name(b)),
            })
        };
        self.sort.iter().map(step).find(|order| order.is_ne()).unwrap_or_else(|| a.id.cmp(&b.id))
    }
}

/// Names are at most 32 levels deep.
fn descend<'a>(top: &'a Mailbox, all: &[&'a Mailbox], ordered: &mut Vec<&'a Mailbox>) {
    ordered.push(top);
    let is_child = |one: &&&Mailbox| one.name.rsplit_once('/').is_some_and(|(above, _)| above == top.name);
    for child in all.iter().filter(is_child) {
        descend(child, all, ordered);
    }
}

fn condition(name: &str, value: &Value, view: &View, (account, mailbox): (AccountId, &Mailbox)) -> Result<bool, MethodError> {
    let wrong = || MethodError::arguments(format!("{name} in the filter is not of its type"));
    let text = || match value {
        Value::Null => Ok(None),
        value => value.as_str().map(Some).ok_or_else(wrong),
    };
    let truth = || value.as_bool().ok_or_else(wrong);
    Ok(match name {
        "parentId" => parent(&view.mailboxes, mailbox).map(|parent| id_of(account, parent.id)).as_deref() == text()?,
        "name" => Needle::new(text()?.unwrap_or_default()).is_in(&told_name(&view.mailboxes, mailbox)),
        "role" => role(mailbox) == text()?,
        "hasAnyRole" => role(mailbox).is_some() == truth()?,
        "isSubscribed" => mailbox.subscribed == truth()?,
        _ => return Err(MethodError::new("unsupportedFilter")),
    })
}

/// `Mailbox/query`
pub(crate) async fn query(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let question = Question::take(&mut args)?;
    let window = Window::take(&mut args)?;
    args.end()?;
    let account = context.eyes.account;
    let orders = orders(&context.site.store, account).await?;
    let view = context.site.jmap.views.seen_by(&context.site.store, &context.eyes).await?;
    let found = question.answer(&view, account, &orders)?;
    window.of(context, view.mod_seq, &found, |id| id_of(account, *id))
}

/// `Mailbox/queryChanges`: of mailboxes that changed by themselves; where one moved in a tree, all are told.
pub(crate) async fn query_changes(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let question = Question::take(&mut args)?;
    let since = args.state("sinceQueryState")?;
    let most = Most::take(&mut args)?;
    // Names and orders change: what comes behind it is told as well ("the server MAY omit", RFC 8620 §5.6).
    let _ = args.text("upToId")?;
    let total = args.truth("calculateTotal")?;
    args.end()?;
    let account = context.eyes.account;
    let cannot = || MethodError::new("cannotCalculateChanges");
    let mut changes = context.site.store.account_changes(account, since, usize::MAX).await?.ok_or_else(cannot)?;
    if changes.more {
        return Err(cannot());
    }
    let orders = orders(&context.site.store, account).await?;
    let view = context.site.jmap.views.seen_by(&context.site.store, &context.eyes).await?;
    context.eyes.veil(&context.site.store, &mut changes);
    let found = question.answer(&view, account, &orders)?;
    let is_gone = |id| !view.mailboxes.contains_key(&id);
    let mut moved: HashSet<MailboxId> =
        touches(&changes, &is_gone).into_iter().filter(|(_, (_, counts_only))| !counts_only).map(|(id, _)| id).collect();
    if !moved.is_empty() {
        moved.extend(found.iter().copied());
    }
    let places = found.iter().enumerate().filter(|(_, id)| moved.contains(id));
    let added: Vec<(usize, String)> = places.map(|(at, id)| (at, id_of(account, *id))).collect();
    let removed: Vec<String> = moved.iter().map(|id| id_of(account, *id)).collect();
    most.allows(removed.len() + added.len())?;
    Ok(query_changed(context, (since, changes.mod_seq), removed, added, total.then_some(found.len())))
}
