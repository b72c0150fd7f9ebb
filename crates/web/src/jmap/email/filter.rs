//! Filters of `Email/query` (RFC 8621 §4.4.1), and a condition of our own (`docs/jmap.md`): what can be said without the message is said first.
//!
//! Three answers: yes, no, and "only the message can tell"; that is asked of the crate `search`, as IMAP's SEARCH asks it.
//! Invariant: depth and number of conditions are bounded. Must not know: sorting, how messages are read.

use crate::jmap::PROGRAM;
use crate::jmap::answers::only_operator;
use crate::jmap::args::utc_date;
use crate::jmap::failure::MethodError;
use crate::jmap::view::{EmailKey, Entry, View};
use crate::limits::{FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX, FILTER_TEXT_BYTES_MAX};
use search::{Needle, Query, phrases};
use serde_json::Value;
use std::collections::HashSet;
use store::{AccountId, EmailId, MailboxId};

/// One condition.
#[derive(Debug, Clone)]
enum Condition {
    InMailbox(Option<MailboxId>),
    InMailboxOtherThan(Vec<Option<MailboxId>>),
    Before(i64),
    After(i64),
    MinSize(u64),
    MaxSize(u64),
    AllInThreadHave(String),
    SomeInThreadHave(String),
    NoneInThreadHave(String),
    Has(String),
    HasNot(String),
    HasAttachment(bool),
    /// What only the message can tell, by its number among [`Filter::leaves`].
    Leaf(usize),
}

/// A filter.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    tree: Tree,
    leaves: Vec<Query>,
}

/// A tree of conditions.
#[derive(Debug, Clone)]
enum Tree {
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Not(Vec<Tree>),
    One(Condition),
}

/// For each leaf the emails it holds for, of those that were looked at; `None`: it was not asked yet.
pub(crate) type Hits = Vec<Option<HashSet<EmailId>>>;

fn unsupported(why: impl Into<String>) -> MethodError {
    MethodError::new("unsupportedFilter").with("description", Value::from(why.into()))
}

fn wrong(name: &str) -> MethodError {
    MethodError::arguments(format!("{name} in the filter is not of its type"))
}

impl Filter {
    /// From the argument; `None` filters nothing.
    /// With `ours` the conditions of our own are known, too.
    pub(crate) fn parse(value: Option<&Value>, account: AccountId, ours: bool) -> Result<Option<Filter>, MethodError> {
        let Some(value) = value else { return Ok(None) };
        let mut parsing =
            Parsing { account, ours, left: FILTER_CONDITIONS_MAX, text_left: FILTER_TEXT_BYTES_MAX, leaves: Vec::new() };
        let tree = parsing.tree(value, 0)?;
        Ok(Some(Filter { tree, leaves: parsing.leaves }))
    }

    fn any(&self, is: &dyn Fn(&Condition) -> bool) -> bool {
        self.tree.any(is)
    }

    /// Every condition has to hold: then so does everything that only messages can tell.
    pub(crate) fn needs_all(&self) -> bool {
        self.tree.needs_all()
    }

    /// All of it as a question to the messages and their rows, so that nobody looks at every email first. `None`: no message
    /// need be asked, or some of it neither tells.
    pub(crate) fn asked(&self, view: &View) -> Option<Query> {
        if self.leaves.is_empty() {
            return None;
        }
        let mut asked = vec![Query::Mailboxes(view.readable().collect())];
        self.tree.ask(view, &self.leaves, &mut asked)?;
        Some(Query::All(asked))
    }

    /// What only messages can tell.
    pub(crate) fn leaves(&self) -> &[Query] {
        &self.leaves
    }

    pub(crate) fn needs_facts(&self) -> bool {
        self.any(&|condition| matches!(condition, Condition::HasAttachment(_)))
    }

    /// None of its conditions is about a property that can change (RFC 8621 §4.1: mailboxIds and keywords can).
    pub(crate) fn is_of_what_stays(&self) -> bool {
        use Condition::{After, Before, HasAttachment, Leaf, MaxSize, MinSize};
        !self.any(&|condition| !matches!(condition, Before(_) | After(_) | MinSize(_) | MaxSize(_) | HasAttachment(_) | Leaf(_)))
    }

    pub(crate) fn needs_threads(&self) -> bool {
        use Condition::{AllInThreadHave, NoneInThreadHave, SomeInThreadHave};
        self.any(&|condition| matches!(condition, AllInThreadHave(_) | NoneInThreadHave(_) | SomeInThreadHave(_)))
    }

    /// `None`: only the message can tell.
    pub(crate) fn judge(&self, view: &View, at: (EmailKey, &Entry), hits: Option<&Hits>) -> Option<bool> {
        self.tree.judge(view, at, hits)
    }
}

impl Tree {
    fn any(&self, is: &dyn Fn(&Condition) -> bool) -> bool {
        match self {
            Tree::And(list) | Tree::Or(list) | Tree::Not(list) => list.iter().any(|one| one.any(is)),
            Tree::One(condition) => is(condition),
        }
    }

    fn needs_all(&self) -> bool {
        match self {
            Tree::And(list) => list.iter().all(Tree::needs_all),
            Tree::Or(_) | Tree::Not(_) => false,
            Tree::One(_) => true,
        }
    }

    /// See [`Filter::asked`].
    fn ask(&self, view: &View, leaves: &[Query], asked: &mut Vec<Query>) -> Option<()> {
        match self {
            Tree::And(list) => list.iter().try_for_each(|one| one.ask(view, leaves, asked)),
            Tree::One(condition) => {
                asked.push(condition.ask(view, leaves)?);
                Some(())
            }
            Tree::Or(_) | Tree::Not(_) => None,
        }
    }

    fn judge(&self, view: &View, at: (EmailKey, &Entry), hits: Option<&Hits>) -> Option<bool> {
        match self {
            Tree::And(list) => all(list.iter().map(|one| one.judge(view, at, hits))),
            Tree::Or(list) => all(list.iter().map(|one| one.judge(view, at, hits).map(|is| !is))).map(|is| !is),
            Tree::Not(list) => all(list.iter().map(|one| one.judge(view, at, hits).map(|is| !is))),
            Tree::One(condition) => condition.judge(view, at, hits),
        }
    }
}

/// One no is a no; else one unknown is unknown.
fn all(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for answer in answers {
        match answer {
            Some(false) => return Some(false),
            None => known = None,
            Some(true) => {}
        }
    }
    known
}

impl Condition {
    /// Holds wherever the condition does, and of its rows alone.
    fn ask(&self, view: &View, leaves: &[Query]) -> Option<Query> {
        Some(match self {
            Condition::InMailbox(mailbox) => Query::Mailboxes(mailbox.iter().copied().collect()),
            Condition::InMailboxOtherThan(others) => {
                Query::Mailboxes(view.readable().filter(|id| !others.contains(&Some(*id))).collect())
            }
            Condition::Before(secs) => Query::Arrived(i64::MIN..*secs),
            Condition::After(secs) => Query::Arrived(*secs..i64::MAX),
            Condition::MinSize(0) => Query::Always(true),
            Condition::MinSize(size) => Query::Larger(size - 1),
            Condition::MaxSize(size) => Query::Smaller(*size),
            Condition::Leaf(number) => leaves.get(*number)?.clone(),
            _ => return None,
        })
    }

    fn judge(&self, view: &View, (key, entry): (EmailKey, &Entry), hits: Option<&Hits>) -> Option<bool> {
        let in_thread = |is: &dyn Fn(&Entry) -> bool, every: bool| {
            let thread = entry.known().map(|known| view.thread(known.thread)).unwrap_or_default();
            let mut mates = thread.iter().filter_map(|mate| view.get(*mate));
            if every { mates.all(is) } else { mates.any(is) }
        };
        Some(match self {
            Condition::InMailbox(mailbox) => mailbox.is_some_and(|id| entry.is_in(id)),
            Condition::InMailboxOtherThan(others) => entry.places().any(|place| !others.contains(&Some(place.mailbox))),
            Condition::Before(secs) => key.date_secs < *secs,
            Condition::After(secs) => key.date_secs >= *secs,
            Condition::MinSize(size) => u64::from(entry.size_bytes) >= *size,
            Condition::MaxSize(size) => u64::from(entry.size_bytes) < *size,
            Condition::AllInThreadHave(word) => in_thread(&|mate| mate.has(word), true),
            Condition::SomeInThreadHave(word) => in_thread(&|mate| mate.has(word), false),
            Condition::NoneInThreadHave(word) => in_thread(&|mate| !mate.has(word), true),
            Condition::Has(word) => entry.has(word),
            Condition::HasNot(word) => !entry.has(word),
            Condition::HasAttachment(has) => entry.known().is_some_and(|known| known.has_attachment) == *has,
            Condition::Leaf(number) => hits?.get(*number)?.as_ref()?.contains(&entry.email()?),
        })
    }
}

/// A filter being read.
struct Parsing {
    account: AccountId,
    ours: bool,
    left: usize,
    /// Octets to look for.
    text_left: usize,
    leaves: Vec<Query>,
}

impl Parsing {
    fn count(&mut self, more: usize) -> Result<(), MethodError> {
        self.left = self.left.checked_sub(more).ok_or_else(|| unsupported("the filter has too many conditions"))?;
        Ok(())
    }

    /// What is to be looked for in messages, before anything is made of it.
    fn count_text(&mut self, value: &Value) -> Result<(), MethodError> {
        let octets = match value {
            Value::String(text) => text.len(),
            Value::Array(parts) => parts.iter().filter_map(Value::as_str).map(str::len).sum(),
            _ => 0,
        };
        let too_long = || unsupported("the filter looks for too long a text");
        self.text_left = self.text_left.checked_sub(octets).ok_or_else(too_long)?;
        // Every word is looked for by itself; the first has been counted.
        self.count(value.as_str().map_or(0, |typed| phrases(typed).len().saturating_sub(1)))
    }

    fn tree(&mut self, value: &Value, depth: usize) -> Result<Tree, MethodError> {
        let object = value.as_object().ok_or_else(|| wrong("something"))?;
        if depth > FILTER_DEPTH_MAX {
            return Err(unsupported("the filter is too deep"));
        }
        self.count(1)?;
        if let Some(operator) = object.get("operator") {
            only_operator(object)?;
            let list = object.get("conditions").and_then(Value::as_array).ok_or_else(|| wrong("conditions"))?;
            let list: Vec<Tree> = list.iter().map(|one| self.tree(one, depth + 1)).collect::<Result<_, _>>()?;
            return match operator.as_str() {
                Some("AND") => Ok(Tree::And(list)),
                Some("OR") => Ok(Tree::Or(list)),
                Some("NOT") => Ok(Tree::Not(list)),
                _ => Err(wrong("operator")),
            };
        }
        let mut conditions = Vec::new();
        // The first has been counted.
        self.count(object.len().saturating_sub(1))?;
        for (name, value) in object {
            if OURS.contains(&name.as_str()) && !self.ours {
                return Err(unsupported(format!("there is no condition {name} without {PROGRAM}")));
            }
            if TEXTS.contains(&name.as_str()) {
                self.count_text(value)?;
            }
            let condition = match query(name, value)? {
                Some(query) => {
                    self.leaves.push(query);
                    Condition::Leaf(self.leaves.len() - 1)
                }
                None => condition(name, value, self.account)?,
            };
            conditions.push(Tree::One(condition));
        }
        Ok(Tree::And(conditions))
    }
}

/// Conditions that look for something in messages.
const TEXTS: [&str; 9] = ["text", "from", "to", "cc", "bcc", "subject", "body", "header", "attachmentName"];
/// Conditions for those who use [`PROGRAM`], which the session tells of.
pub(crate) const OURS: [&str; 1] = ["attachmentName"];

/// A condition that only messages can tell: one of [`TEXTS`].
fn query(name: &str, value: &Value) -> Result<Option<Query>, MethodError> {
    let typed = |test: &dyn Fn(&str) -> Query| {
        let text = value.as_str().ok_or_else(|| wrong(name))?;
        Ok(Some(Query::every_phrase(text, test)))
    };
    match name {
        "text" => typed(&Query::anywhere),
        "from" => typed(&|phrase| Query::header("From", phrase)),
        "to" => typed(&|phrase| Query::header("To", phrase)),
        "cc" => typed(&|phrase| Query::header("Cc", phrase)),
        "bcc" => typed(&|phrase| Query::header("Bcc", phrase)),
        "subject" => typed(&|phrase| Query::header("Subject", phrase)),
        "body" => typed(&|phrase| Query::Body(Needle::new(phrase))),
        // All of it in one name: words in any order.
        "attachmentName" => {
            let text = value.as_str().ok_or_else(|| wrong(name))?;
            Ok(Some(Query::FileName(phrases(text).iter().map(|phrase| Needle::new(phrase)).collect())))
        }
        "header" => {
            let parts = value.as_array().ok_or_else(|| wrong(name))?;
            match parts.iter().map(Value::as_str).collect::<Option<Vec<&str>>>().as_deref() {
                Some([field]) => Ok(Some(Query::header(field, ""))),
                Some([field, text]) => Ok(Some(Query::header(field, text))),
                _ => Err(wrong(name)),
            }
        }
        _ => Ok(None),
    }
}

fn condition(name: &str, value: &Value, account: AccountId) -> Result<Condition, MethodError> {
    let text = || value.as_str().ok_or_else(|| wrong(name));
    let word = || text().map(|text| text.to_ascii_lowercase());
    let mailbox = |id: &str| store::object_id::mailbox(account, id);
    let date = || utc_date(text()?).ok_or_else(|| wrong(name));
    // UnsignedInt (RFC 8620 §1.3).
    let number = || value.as_u64().filter(|number| *number < 1 << 53).ok_or_else(|| wrong(name));
    Ok(match name {
        "inMailbox" => Condition::InMailbox(mailbox(text()?)),
        "inMailboxOtherThan" => {
            let ids = value.as_array().ok_or_else(|| wrong(name))?;
            let ids: Option<Vec<_>> = ids.iter().map(|id| id.as_str().map(mailbox)).collect();
            // Each email is held against all of them.
            let mut ids = ids.ok_or_else(|| wrong(name))?;
            ids.sort_unstable();
            ids.dedup();
            Condition::InMailboxOtherThan(ids)
        }
        "before" => Condition::Before(date()?),
        "after" => Condition::After(date()?),
        "minSize" => Condition::MinSize(number()?),
        "maxSize" => Condition::MaxSize(number()?),
        "allInThreadHaveKeyword" => Condition::AllInThreadHave(word()?),
        "someInThreadHaveKeyword" => Condition::SomeInThreadHave(word()?),
        "noneInThreadHaveKeyword" => Condition::NoneInThreadHave(word()?),
        "hasKeyword" => Condition::Has(word()?),
        "notKeyword" => Condition::HasNot(word()?),
        "hasAttachment" => Condition::HasAttachment(value.as_bool().ok_or_else(|| wrong(name))?),
        other => return Err(unsupported(format!("there is no condition {other}"))),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn bounded_in_depth_and_number() {
        let parse = |value: &Value| Filter::parse(Some(value), AccountId(1), true);
        let deep =
            |depth: usize| (0..depth).fold(json!({"from": "x"}), |inner, _| json!({"operator": "NOT", "conditions": [inner]}));
        assert!(parse(&deep(FILTER_DEPTH_MAX)).is_ok() && parse(&deep(FILTER_DEPTH_MAX + 1)).is_err());
        let wide = |number: usize| json!({"operator": "OR", "conditions": vec![json!({"from": "x"}); number]});
        assert!(parse(&wide(FILTER_CONDITIONS_MAX - 1)).is_ok() && parse(&wide(FILTER_CONDITIONS_MAX)).is_err());
        for wrong in
            [json!(1), json!({"nonsense": 1}), json!({"before": "yesterday"}), json!({"operator": "XOR", "conditions": []})]
        {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }
}
