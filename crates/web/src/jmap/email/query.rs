//! `Email/query` and `Email/queryChanges` (RFC 8621 §4.4, §4.5).
//!
//! Results are kept for a while, so that a list that scrolls asks once. Invariant: the order is the same for the same state.
//! Must not know: what a filter means.

use super::SORTS;
use super::changes::Affected;
use super::filter::{Filter, Hits};
use crate::jmap::answers::{Window, changes_max, how_compared, query_changed};
use crate::jmap::args::Args;
use crate::jmap::failure::MethodError;
use crate::jmap::view::{EmailKey, Entry, Known, View};
use crate::jmap::{Context, Object};
use crate::site::Site;
use search::{Query, Searcher};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use store::AccountId;

/// One step of the order.
#[derive(Debug, Clone)]
struct Comparator {
    property: String,
    ascending: bool,
    keyword: String,
}

/// What is asked, window apart.
pub(crate) struct Question {
    filter: Option<Filter>,
    sort: Vec<Comparator>,
    collapse: bool,
    /// All of it as text.
    name: String,
}

impl Question {
    fn take(args: &mut Args, account: AccountId) -> Result<Question, MethodError> {
        let filter = args.take("filter");
        let sort = args.take("sort");
        let collapse = args.truth("collapseThreads")?;
        let name = format!("{filter:?} {sort:?} {collapse}");
        Ok(Question { filter: Filter::parse(filter.as_ref(), account)?, sort: comparators(sort.as_ref())?, collapse, name })
    }

    fn needs_threads(&self) -> bool {
        self.collapse
            || self.filter.as_ref().is_some_and(Filter::needs_threads)
            || self.sort.iter().any(|one| one.property.contains("InThread"))
    }

    fn needs_facts(&self) -> bool {
        let of_facts = ["sentAt", "from", "to", "subject"];
        self.filter.as_ref().is_some_and(Filter::needs_facts)
            || self.sort.iter().any(|one| of_facts.contains(&one.property.as_str()))
    }

    /// All results in order.
    async fn answer(&self, view: &mut View, site: &Site, account: AccountId) -> Result<Arc<Vec<EmailKey>>, MethodError> {
        let store = &site.store;
        if let Some(known) = view.results.get(&self.name, view.mod_seq) {
            return Ok(known);
        }
        if self.needs_threads() {
            view.learn_all(store, account).await?;
        } else if self.needs_facts() {
            let all: Vec<EmailKey> = view.all().map(|(key, _)| key).collect();
            view.learn(store, account, &all).await?;
        }
        let mut found = self.matching(view, &site.search, account).await?;
        self.order(view, &mut found);
        if self.collapse {
            let mut seen = HashSet::new();
            found.retain(|key| {
                let thread = view.get(*key).and_then(Entry::known).map(|known| known.thread);
                thread.is_none_or(|thread| seen.insert(thread))
            });
        }
        let found = Arc::new(found);
        view.results.keep(self.name.clone(), view.mod_seq, Arc::clone(&found));
        Ok(found)
    }

    async fn matching(&self, view: &View, searcher: &Searcher, account: AccountId) -> Result<Vec<EmailKey>, MethodError> {
        let Some(filter) = &self.filter else { return Ok(view.all().map(|(key, _)| key).collect()) };
        if let Some(asked) = filter.asked(view) {
            return Ok(among_hits(view, filter, searcher.account(account, asked).await?));
        }
        let (mut found, mut open) = (Vec::new(), Vec::new());
        for (key, entry) in view.all() {
            match filter.judge(view, (key, entry), None) {
                Some(true) => found.push(key),
                Some(false) => {}
                None => open.push((key, entry)),
            }
        }
        if open.is_empty() {
            return Ok(found);
        }
        if filter.needs_all() {
            // One search for all of it; what the others rule out is not among those that it asks about.
            let mut asked = vec![asked_of(view, &open)];
            asked.extend(filter.leaves().iter().cloned());
            found.extend(among_hits(view, filter, searcher.account(account, Query::All(asked)).await?));
            return Ok(found);
        }
        let mut hits: Hits = vec![None; filter.leaves().len()];
        for (number, leaf) in filter.leaves().iter().enumerate() {
            // What one condition has ruled out the next is not asked of.
            let asked = Query::All(vec![asked_of(view, &open), leaf.clone()]);
            let held = searcher.account(account, asked).await?.into_iter().map(|hit| hit.row.email).collect();
            if let Some(place) = hits.get_mut(number) {
                *place = Some(held);
            }
            open.retain(|(key, entry)| match filter.judge(view, (*key, entry), Some(&hits)) {
                Some(true) => {
                    found.push(*key);
                    false
                }
                Some(false) => false,
                None => true,
            });
            if open.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    fn order(&self, view: &View, found: &mut [EmailKey]) {
        let newest_first = |a: &EmailKey, b: &EmailKey| b.cmp(a);
        match self.sort.as_slice() {
            [] => found.sort_unstable_by(newest_first),
            [only] if only.property == "receivedAt" => {
                found.sort_unstable_by(|a, b| if only.ascending { a.cmp(b) } else { newest_first(a, b) });
            }
            steps => found.sort_by(|a, b| {
                let (Some(one), Some(other)) = (view.get(*a), view.get(*b)) else { return a.cmp(b) };
                let decided = steps.iter().map(|step| step.compare(view, (*a, one), (*b, other))).find(|order| order.is_ne());
                decided.unwrap_or_else(|| newest_first(a, b))
            }),
        }
    }
}

/// Those of the hits that hold: what only messages tell holds of all of them.
fn among_hits(view: &View, filter: &Filter, hits: Vec<search::Hit>) -> Vec<EmailKey> {
    let keys: BTreeSet<EmailKey> = hits.iter().filter_map(|hit| view.at(hit.mailbox, hit.row.uid)).collect();
    let may = |key: &EmailKey| view.get(*key).is_some_and(|entry| filter.judge(view, (*key, entry), None) != Some(false));
    keys.into_iter().filter(may).collect()
}

/// Only where these lie is looked, and of few only at these.
fn asked_of(view: &View, open: &[(EmailKey, &Entry)]) -> Query {
    let mut asked = vec![Query::Mailboxes(open.iter().filter_map(|(_, entry)| entry.first_mailbox()).collect())];
    if open.len() < view.len() / 2 {
        asked.push(Query::Emails(open.iter().filter_map(|(_, entry)| entry.email()).collect()));
    }
    Query::All(asked)
}

impl Comparator {
    fn compare(&self, view: &View, one: (EmailKey, &Entry), other: (EmailKey, &Entry)) -> Ordering {
        let by_facts = |text: &dyn Fn(&Known) -> smol_str::SmolStr| one.1.known().map(text).cmp(&other.1.known().map(text));
        let in_thread = |entry: &Entry, every: bool| {
            let thread = entry.known().map(|known| view.thread(known.thread)).unwrap_or_default();
            let mut mates = thread.iter().filter_map(|mate| view.get(*mate));
            if every { mates.all(|mate| mate.has(&self.keyword)) } else { mates.any(|mate| mate.has(&self.keyword)) }
        };
        let sent = |(key, entry): (EmailKey, &Entry)| entry.known().and_then(|known| known.sent_secs).unwrap_or(key.date_secs);
        let order = match self.property.as_str() {
            "receivedAt" => one.0.date_secs.cmp(&other.0.date_secs),
            "sentAt" => sent(one).cmp(&sent(other)),
            "size" => one.1.size_bytes.cmp(&other.1.size_bytes),
            "from" => by_facts(&|known| known.from.clone()),
            "to" => by_facts(&|known| known.to.clone()),
            "subject" => by_facts(&|known| known.subject.clone()),
            "hasKeyword" => one.1.has(&self.keyword).cmp(&other.1.has(&self.keyword)),
            "allInThreadHaveKeyword" => in_thread(one.1, true).cmp(&in_thread(other.1, true)),
            "someInThreadHaveKeyword" => in_thread(one.1, false).cmp(&in_thread(other.1, false)),
            _ => Ordering::Equal,
        };
        if self.ascending { order } else { order.reverse() }
    }
}

fn comparators(sort: Option<&Value>) -> Result<Vec<Comparator>, MethodError> {
    let Some(sort) = sort else { return Ok(Vec::new()) };
    let wrong = || MethodError::arguments("sort is not a list of comparators");
    let list = sort.as_array().ok_or_else(wrong)?;
    let one = |value: &Value| {
        let property = value.get("property").and_then(Value::as_str).ok_or_else(wrong)?;
        let (ascending, _) = how_compared(value)?;
        if !SORTS.contains(&property) {
            return Err(MethodError::new("unsupportedSort"));
        }
        let keyword = value.get("keyword").and_then(Value::as_str).map(str::to_ascii_lowercase);
        if property.ends_with("Keyword") && keyword.is_none() {
            return Err(MethodError::arguments("the comparator needs a keyword"));
        }
        Ok(Comparator { property: property.to_owned(), ascending, keyword: keyword.unwrap_or_default() })
    };
    list.iter().map(one).collect()
}

/// `Email/query`
pub(crate) async fn query(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let (store, account) = (&context.site.store, context.eyes.account);
    let question = Question::take(&mut args, account)?;
    let window = Window::take(&mut args)?;
    args.end()?;
    let mut view = context.site.jmap.views.seen_by(store, &context.eyes).await?;
    let found = question.answer(&mut view, context.site, account).await?;
    let mut answer = window.of(context, view.mod_seq, &found, |key| key.id())?;
    answer.insert("collapseThreads".into(), question.collapse.into());
    Ok(answer)
}

/// `Email/queryChanges`: everything that changed may have left the results, and what of it is there now is told with its place.
pub(crate) async fn query_changes(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let account = context.eyes.account;
    let question = Question::take(&mut args, account)?;
    let since = args.state("sinceQueryState")?;
    let max = changes_max(&mut args)?;
    let up_to = args.text("upToId")?;
    let total = args.truth("calculateTotal")?;
    args.end()?;
    let threads = question.needs_threads();
    let mut affected = Affected::since(context, since, usize::MAX, threads).await?;
    if affected.more {
        return Err(MethodError::new("cannotCalculateChanges"));
    }
    let mut moved: BTreeSet<EmailKey> = affected.emails.keys().copied().collect();
    if threads {
        // Another of the conversation may stand for it now.
        let mates: Vec<EmailKey> =
            moved.iter().filter_map(|key| affected.thread_of(*key)).flat_map(|thread| affected.view.thread(thread)).collect();
        moved.extend(mates);
    }
    let found = question.answer(&mut affected.view, context.site, account).await?;
    // "if the sort or filter includes a mutable property": then what is behind it may come before it (RFC 8620 §5.6).
    let up_to = up_to.filter(|_| question.sort.iter().all(|one| one.keyword.is_empty()));
    let last = up_to.and_then(|id| EmailKey::of(&id)).and_then(|key| found.iter().position(|one| *one == key));
    let places: HashMap<EmailKey, usize> =
        found.iter().enumerate().filter(|(_, key)| moved.contains(key)).map(|(at, key)| (*key, at)).collect();
    let mut added: Vec<(usize, String)> = places.iter().map(|(key, at)| (*at, key.id())).collect();
    added.sort_unstable();
    added.retain(|(at, _)| last.is_none_or(|last| *at <= last));
    let removed: Vec<String> = moved.iter().map(|key| key.id()).collect();
    if removed.len() + added.len() > max {
        return Err(MethodError::new("tooManyChanges"));
    }
    let total = total.then_some(found.len());
    Ok(query_changed(context, (since, affected.mod_seq), removed, added, total))
}
