//! Filters of `Email/query` (RFC 8621 §4.4.1): what can be said without the message is said first.
//!
//! Three answers: yes, no, and "only the message can tell". Invariant: depth and number of conditions are bounded.
//! Must not know: sorting.

use crate::jmap::failure::MethodError;
use crate::jmap::view::{EmailKey, Entry, View};
use crate::limits::{FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX};
use message::search::{Needle, body_contains, header_contains};
use serde_json::Value;
use store::{AccountId, MailboxId};

/// One condition.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
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
    /// All the words somewhere.
    Text(Vec<Needle>),
    /// In the fields of one of these names.
    Fields(&'static [&'static str], Vec<Needle>),
    Body(Vec<Needle>),
    Header(String, Box<Needle>),
}

/// A tree of them.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Vec<Filter>),
    One(Condition),
}

/// How much of the message is there to look at.
#[derive(Clone, Copy)]
pub(crate) enum Seen<'a> {
    Nothing,
    Header(&'a [u8]),
    Whole(&'a [u8]),
}

fn unsupported(why: impl Into<String>) -> MethodError {
    MethodError::new("unsupportedFilter").with("description", Value::from(why.into()))
}

fn wrong(name: &str) -> MethodError {
    MethodError::arguments(format!("{name} in the filter is not of its type"))
}

fn needles(text: &str) -> Vec<Needle> {
    phrases(text).iter().map(|phrase| Needle::new(phrase)).collect()
}

/// Words, and phrases in quotes.
pub(crate) fn phrases(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let (word, behind) = match first {
            '"' | '\'' if rest.get(1..).is_some_and(|inside| inside.contains(first)) => {
                rest.get(1..).and_then(|inside| inside.split_once(first)).unwrap_or((rest, ""))
            }
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        if !word.trim().is_empty() {
            found.push(word.trim().to_owned());
        }
        rest = behind.trim_start();
    }
    found
}

impl Filter {
    /// From the argument; `None` filters nothing.
    pub(crate) fn parse(value: Option<&Value>, account: AccountId) -> Result<Option<Filter>, MethodError> {
        let mut left = FILTER_CONDITIONS_MAX;
        value.map(|value| parse(value, account, 0, &mut left)).transpose()
    }

    fn any(&self, is: &dyn Fn(&Condition) -> bool) -> bool {
        match self {
            Filter::And(list) | Filter::Or(list) | Filter::Not(list) => list.iter().any(|one| one.any(is)),
            Filter::One(condition) => is(condition),
        }
    }

    pub(crate) fn needs_body(&self) -> bool {
        self.any(&|condition| matches!(condition, Condition::Text(_) | Condition::Body(_)))
    }

    pub(crate) fn needs_facts(&self) -> bool {
        self.any(&|condition| matches!(condition, Condition::HasAttachment(_)))
    }

    pub(crate) fn needs_threads(&self) -> bool {
        use Condition::{AllInThreadHave, NoneInThreadHave, SomeInThreadHave};
        self.any(&|condition| matches!(condition, AllInThreadHave(_) | NoneInThreadHave(_) | SomeInThreadHave(_)))
    }

    /// `None`: only (more of) the message can tell.
    pub(crate) fn judge(&self, view: &View, at: (EmailKey, &Entry), seen: Seen<'_>) -> Option<bool> {
        match self {
            Filter::And(list) => all(list.iter().map(|one| one.judge(view, at, seen))),
            Filter::Or(list) => all(list.iter().map(|one| one.judge(view, at, seen).map(|is| !is))).map(|is| !is),
            Filter::Not(list) => all(list.iter().map(|one| one.judge(view, at, seen).map(|is| !is))),
            Filter::One(condition) => condition.judge(view, at, seen),
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
    fn judge(&self, view: &View, (key, entry): (EmailKey, &Entry), seen: Seen<'_>) -> Option<bool> {
        let in_thread = |is: &dyn Fn(&Entry) -> bool, every: bool| {
            let thread = entry.known().map(|known| view.thread(known.thread)).unwrap_or_default();
            let mut mates = thread.iter().filter_map(|mate| view.get(*mate));
            if every { mates.all(is) } else { mates.any(is) }
        };
        Some(match self {
            Condition::InMailbox(mailbox) => mailbox.is_some_and(|id| entry.is_in(id)),
            Condition::InMailboxOtherThan(others) => entry.mailboxes().iter().any(|id| !others.contains(&Some(*id))),
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
            Condition::Text(words) => return text(words, seen),
            Condition::Fields(names, words) => {
                let header = header_of(seen)?;
                words.iter().all(|word| names.iter().any(|name| header_contains(header, name, word)))
            }
            Condition::Header(name, word) => header_contains(header_of(seen)?, name, word),
            Condition::Body(words) => match seen {
                Seen::Whole(octets) => words.iter().all(|word| body_contains(octets, word)),
                Seen::Nothing | Seen::Header(_) => return None,
            },
        })
    }
}

fn header_of<'a>(seen: Seen<'a>) -> Option<&'a [u8]> {
    match seen {
        Seen::Nothing => None,
        Seen::Header(octets) | Seen::Whole(octets) => Some(octets),
    }
}

const PEOPLE_AND_SUBJECT: [&str; 5] = ["From", "To", "Cc", "Bcc", "Subject"];

fn text(words: &[Needle], seen: Seen<'_>) -> Option<bool> {
    let header = header_of(seen)?;
    let missing = |word: &&Needle| !PEOPLE_AND_SUBJECT.iter().any(|name| header_contains(header, name, word));
    let missing: Vec<&Needle> = words.iter().filter(missing).collect();
    match seen {
        _ if missing.is_empty() => Some(true),
        Seen::Whole(octets) => Some(missing.iter().all(|word| body_contains(octets, word))),
        Seen::Nothing | Seen::Header(_) => None,
    }
}

fn parse(value: &Value, account: AccountId, depth: usize, left: &mut usize) -> Result<Filter, MethodError> {
    let object = value.as_object().ok_or_else(|| wrong("something"))?;
    if depth > FILTER_DEPTH_MAX {
        return Err(unsupported("the filter is too deep"));
    }
    if let Some(operator) = object.get("operator") {
        let list = object.get("conditions").and_then(Value::as_array).ok_or_else(|| wrong("conditions"))?;
        let list: Vec<Filter> = list.iter().map(|one| parse(one, account, depth + 1, left)).collect::<Result<_, _>>()?;
        return match operator.as_str() {
            Some("AND") => Ok(Filter::And(list)),
            Some("OR") => Ok(Filter::Or(list)),
            Some("NOT") => Ok(Filter::Not(list)),
            _ => Err(wrong("operator")),
        };
    }
    let mut conditions = Vec::new();
    for (name, value) in object {
        *left = left.checked_sub(1).ok_or_else(|| unsupported("the filter has too many conditions"))?;
        conditions.push(Filter::One(condition(name, value, account)?));
    }
    Ok(Filter::And(conditions))
}

fn condition(name: &str, value: &Value, account: AccountId) -> Result<Condition, MethodError> {
    let text = || value.as_str().ok_or_else(|| wrong(name));
    let word = || text().map(|text| text.to_ascii_lowercase());
    let mailbox = |id: &str| store::object_id::mailbox(account, id);
    let date = || {
        let date = message::date::parse_rfc_3339(text()?.as_bytes()).ok_or_else(|| wrong(name))?;
        Ok::<i64, MethodError>(date.unix_secs())
    };
    let number = || value.as_u64().ok_or_else(|| wrong(name));
    let fields = |names: &'static [&'static str]| text().map(|text| Condition::Fields(names, needles(text)));
    Ok(match name {
        "inMailbox" => Condition::InMailbox(mailbox(text()?)),
        "inMailboxOtherThan" => {
            let ids = value.as_array().ok_or_else(|| wrong(name))?;
            let ids: Option<Vec<_>> = ids.iter().map(|id| id.as_str().map(mailbox)).collect();
            Condition::InMailboxOtherThan(ids.ok_or_else(|| wrong(name))?)
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
        "text" => Condition::Text(needles(text()?)),
        "from" => fields(&["From"])?,
        "to" => fields(&["To"])?,
        "cc" => fields(&["Cc"])?,
        "bcc" => fields(&["Bcc"])?,
        "subject" => fields(&["Subject"])?,
        "body" => Condition::Body(needles(text()?)),
        "header" => {
            let parts = value.as_array().ok_or_else(|| wrong(name))?;
            match parts.iter().map(Value::as_str).collect::<Option<Vec<&str>>>().as_deref() {
                Some([field]) => Condition::Header((*field).to_owned(), Box::new(Needle::new(""))),
                Some([field, text]) => Condition::Header((*field).to_owned(), Box::new(Needle::new(text))),
                _ => return Err(wrong(name)),
            }
        }
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
        let parse = |value: &Value| Filter::parse(Some(value), AccountId(1));
        let deep =
            |depth: usize| (0..depth).fold(json!({"from": "x"}), |inner, _| json!({"operator": "NOT", "conditions": [inner]}));
        assert!(parse(&deep(FILTER_DEPTH_MAX)).is_ok() && parse(&deep(FILTER_DEPTH_MAX + 1)).is_err());
        let wide = |number: usize| json!({"operator": "OR", "conditions": vec![json!({"from": "x"}); number]});
        assert!(parse(&wide(FILTER_CONDITIONS_MAX)).is_ok() && parse(&wide(FILTER_CONDITIONS_MAX + 1)).is_err());
        for wrong in
            [json!(1), json!({"nonsense": 1}), json!({"before": "yesterday"}), json!({"operator": "XOR", "conditions": []})]
        {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_and_phrases() {
        let all = |text: &str, in_text: &str| needles(text).iter().all(|needle| needle.is_in(in_text));
        assert!(all("two one", "one two") && all("\"one two\" three", "three one two") && !all("\"two one\"", "one two"));
        assert!(all("it's", "it's so") && all("", "x") && all("'a b", "'a b"));
    }
}
