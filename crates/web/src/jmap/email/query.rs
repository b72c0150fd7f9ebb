//! `Email/query` and `Email/queryChanges` (RFC 8621 §4.4, §4.5).
//!
//! Results are kept for a while, so that a list that scrolls asks once. Invariant: the order is the same for the same state.
//! Must not know: what a filter means.

use super::SORTS;
use super::changes::Affected;
use super::filter::{Filter, Hits};
use crate::jmap::answers::{Collation, Most, Step, Window, few_steps, query_changed, step};
use crate::jmap::args::{Args, Since};
use crate::jmap::failure::MethodError;
use crate::jmap::view::{EmailKey, Entry, Known, View, facts_of};
use crate::jmap::{Context, Object, PROGRAM};
use crate::limits::FACTS_CHUNK;
use crate::site::Site;
use message::Facts;
use message::sort_keys::SortKeys;
use search::{Query, Searcher};
use serde_json::Value;
use smol_str::SmolStr;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use store::{AccountId, EmailId};

/// What facts tell, as texts.
const TEXTS: [&str; 3] = ["from", "to", "subject"];

/// One step of the order.
#[derive(Debug, Clone)]
struct Comparator {
    by: Step,
    keyword: String,
}

/// Texts as other collations than the usual one have them: those of the usual one are in the view.
#[derive(Default)]
struct Texts {
    asked: Vec<(String, Collation)>,
    /// One for each that is asked for.
    of: HashMap<EmailKey, Vec<SmolStr>>,
}

impl Texts {
    fn get(&self, key: EmailKey, step: &Step) -> Option<&SmolStr> {
        let at =
            self.asked.iter().position(|(property, collation)| *property == step.property && *collation == step.collation)?;
        self.of.get(&key)?.get(at)
    }
}

/// Is it compared by texts that the view does not have?
fn is_apart(step: &Step) -> bool {
    step.collation != Collation::default() && TEXTS.contains(&step.property.as_str())
}

fn text_of(facts: &Facts, property: &str, collation: Collation) -> SmolStr {
    let keys = SortKeys::mapped(facts, |text| collation.mapped(text));
    match property {
        "from" => keys.display_from.into(),
        "to" => keys.display_to.into(),
        _ => keys.subject.into(),
    }
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
    fn take(args: &mut Args, context: &Context<'_>) -> Result<Question, MethodError> {
        let (account, ours) = (context.eyes.account, context.using.contains(PROGRAM));
        let filter = args.take("filter");
        let sort = args.take("sort");
        let collapse = args.truth("collapseThreads")?;
        let name = format!("{filter:?} {sort:?} {collapse}");
        Ok(Question { filter: Filter::parse(filter.as_ref(), account, ours)?, sort: comparators(sort.as_ref())?, collapse, name })
    }

    fn needs_threads(&self) -> bool {
        self.collapse
            || self.filter.as_ref().is_some_and(Filter::needs_threads)
            || self.sort.iter().any(|one| one.by.property.contains("InThread"))
    }

    /// Whether it is in the results and where does not change as long as the email is there.
    fn is_of_what_stays(&self) -> bool {
        let stays =
            self.sort.iter().all(|one| one.keyword.is_empty()) && self.filter.as_ref().is_none_or(Filter::is_of_what_stays);
        stays && !self.collapse
    }

    fn needs_facts(&self) -> bool {
        self.filter.as_ref().is_some_and(Filter::needs_facts)
            || self.sort.iter().any(|one| one.by.property == "sentAt" || TEXTS.contains(&one.by.property.as_str()))
    }

    /// What [`Question::order`] compares and the view does not know.
    async fn texts(&self, view: &View, site: &Site, account: AccountId, found: &[EmailKey]) -> Result<Texts, MethodError> {
        let mut texts = Texts::default();
        for step in self.sort.iter().map(|one| &one.by).filter(|step| is_apart(step)) {
            let asked = (step.property.clone(), step.collation);
            if !texts.asked.contains(&asked) {
                texts.asked.push(asked);
            }
        }
        if texts.asked.is_empty() {
            return Ok(texts);
        }
        for chunk in found.chunks(FACTS_CHUNK) {
            let there: Vec<(EmailKey, EmailId)> = chunk.iter().filter_map(|key| Some((*key, view.get(*key)?.email()?))).collect();
            let emails: Vec<EmailId> = there.iter().map(|(_, email)| *email).collect();
            for ((key, _), facts) in there.iter().zip(facts_of(&site.store, account, &emails).await?) {
                let text = |(property, collation): &(String, Collation)| {
                    facts.as_deref().map(|facts| text_of(facts, property, *collation)).unwrap_or_default()
                };
                texts.of.insert(*key, texts.asked.iter().map(text).collect());
            }
        }
        Ok(texts)
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
        let texts = self.texts(view, site, account, &found).await?;
        self.order(view, &texts, &mut found);
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

    fn order(&self, view: &View, texts: &Texts, found: &mut [EmailKey]) {
        let newest_first = |a: &EmailKey, b: &EmailKey| b.cmp(a);
        match self.sort.as_slice() {
            [] => found.sort_unstable_by(newest_first),
            [only] if only.by.property == "receivedAt" => {
                found.sort_unstable_by(|a, b| if only.by.ascending { a.cmp(b) } else { newest_first(a, b) });
            }
            steps => found.sort_by(|a, b| {
                let (Some(one), Some(other)) = (view.get(*a), view.get(*b)) else { return a.cmp(b) };
                let decided =
                    steps.iter().map(|step| step.compare(view, texts, (*a, one), (*b, other))).find(|order| order.is_ne());
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
    fn compare(&self, view: &View, texts: &Texts, one: (EmailKey, &Entry), other: (EmailKey, &Entry)) -> Ordering {
        let by_facts = |text: &dyn Fn(&Known) -> SmolStr| match is_apart(&self.by) {
            true => texts.get(one.0, &self.by).cmp(&texts.get(other.0, &self.by)),
            false => one.1.known().map(text).cmp(&other.1.known().map(text)),
        };
        let in_thread = |entry: &Entry, every: bool| {
            let thread = entry.known().map(|known| view.thread(known.thread)).unwrap_or_default();
            let mut mates = thread.iter().filter_map(|mate| view.get(*mate));
            if every { mates.all(|mate| mate.has(&self.keyword)) } else { mates.any(|mate| mate.has(&self.keyword)) }
        };
        let sent = |(key, entry): (EmailKey, &Entry)| entry.known().and_then(|known| known.sent_secs).unwrap_or(key.date_secs);
        self.by.towards(match self.by.property.as_str() {
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
        })
    }
}

fn comparators(sort: Option<&Value>) -> Result<Vec<Comparator>, MethodError> {
    let Some(sort) = sort else { return Ok(Vec::new()) };
    let list = sort.as_array().ok_or_else(|| MethodError::arguments("sort is not a list of comparators"))?;
    few_steps(list)?;
    let one = |value: &Value| {
        let by = step(value, &SORTS)?;
        let keyword = value.get("keyword").and_then(Value::as_str).map(str::to_ascii_lowercase);
        if by.property.ends_with("Keyword") && keyword.is_none() {
            return Err(MethodError::arguments("the comparator needs a keyword"));
        }
        Ok(Comparator { by, keyword: keyword.unwrap_or_default() })
    };
    list.iter().map(one).collect()
}

/// `Email/query`
pub(crate) async fn query(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let (store, account) = (&context.site.store, context.eyes.account);
    let question = Question::take(&mut args, context)?;
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
    let question = Question::take(&mut args, context)?;
    let since = args.state("sinceQueryState")?;
    let most = Most::take(&mut args)?;
    let up_to = args.text("upToId")?;
    let total = args.truth("calculateTotal")?;
    args.end()?;
    let threads = question.needs_threads();
    let mut affected = Affected::since(context, &Since::at(since), usize::MAX, threads).await?;
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
    // "If they are not immutable, this argument is ignored" (RFC 8620 §5.6).
    let up_to = up_to.filter(|_| question.is_of_what_stays());
    let last = up_to.and_then(|id| EmailKey::of(&id)).and_then(|key| found.iter().position(|one| *one == key));
    let places: HashMap<EmailKey, usize> =
        found.iter().enumerate().filter(|(_, key)| moved.contains(key)).map(|(at, key)| (*key, at)).collect();
    let mut added: Vec<(usize, String)> = places.iter().map(|(key, at)| (*at, key.id())).collect();
    added.sort_unstable();
    added.retain(|(at, _)| last.is_none_or(|last| *at <= last));
    let removed: Vec<String> = moved.iter().map(|key| key.id()).collect();
    most.allows(removed.len() + added.len())?;
    let total = total.then_some(found.len());
    Ok(query_changed(context, (since, affected.mod_seq), removed, added, total))
}
