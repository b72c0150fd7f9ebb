//! One rule: which messages, and what is done with them.
//!
//! Invariant: bounded in number and length. Must not know: who the message is for.

use super::{CONDITIONS_MAX, FORWARDS_MAX, RULES_MAX, TEXT_BYTES_MAX};
use message::header::fields;
use message::search::{Needle, header_contains};
use serde_json::{Map, Value};
use smol_str::SmolStr;

/// A property that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which: `rules/2/then`.
    pub property: String,
    /// For people.
    pub why: &'static str,
}

impl Wrong {
    pub(super) fn new(property: impl Into<String>, why: &'static str) -> Wrong {
        Wrong { property: property.into(), why }
    }
}

/// See the module.
#[derive(Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    any: bool,
    conditions: Vec<Condition>,
    pub(super) then: Then,
}

/// What is done.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Then {
    /// A mailbox's id, as JMAP has it.
    pub(super) mailbox: Option<String>,
    pub(super) keywords: Vec<SmolStr>,
    pub(super) forward: Vec<String>,
    pub(super) keeps: bool,
    /// The rules behind it are looked at, too.
    pub(super) goes_on: bool,
}

#[derive(Debug, PartialEq)]
struct Condition {
    names: Vec<String>,
    test: Test,
    not: bool,
}

#[derive(Debug)]
enum Test {
    Contains(Box<Needle>),
    /// An address of the field is this one, or of this `@domain`.
    Is(String),
    Exists,
}

impl PartialEq for Test {
    fn eq(&self, other: &Test) -> bool {
        match (self, other) {
            (Test::Contains(one), Test::Contains(other)) => one.text() == other.text(),
            (Test::Is(one), Test::Is(other)) => one == other,
            (Test::Exists, Test::Exists) => true,
            _ => false,
        }
    }
}

/// A list of addresses, normalised; `@domain` among them stands for all of it.
pub(super) fn addresses(value: &Value, property: &str, max: usize) -> Result<Vec<String>, Wrong> {
    let wrong = || Wrong::new(property, "it is a list of addresses");
    if value.is_null() {
        return Ok(Vec::new());
    }
    let list = value.as_array().ok_or_else(wrong)?;
    if list.len() > max {
        return Err(Wrong::new(property, "there are too many"));
    }
    let one = |value: &Value| {
        let text = value.as_str().ok_or_else(wrong)?.trim();
        let whole = if text.starts_with('@') { format!("x{text}") } else { text.to_owned() };
        let good = text.len() <= TEXT_BYTES_MAX && message::address::Address::parse(&whole).is_ok_and(|a| !a.domain.is_empty());
        if good { Ok(store::normalise(text)) } else { Err(wrong()) }
    };
    list.iter().map(one).collect()
}

pub(super) fn rules(value: &Value) -> Result<Vec<Rule>, Wrong> {
    let list = value.as_array().ok_or_else(|| Wrong::new("rules", "it is a list of rules"))?;
    if list.len() > RULES_MAX {
        return Err(Wrong::new("rules", "there are too many"));
    }
    let mut found = Vec::new();
    for (at, value) in list.iter().enumerate() {
        let place = format!("rules/{at}");
        let object = value.as_object().ok_or_else(|| Wrong::new(&place, "a rule is an object"))?;
        // One that is off must be right as well.
        let (rule, enabled) = rule(object, &place)?;
        found.extend(enabled.then_some(rule));
    }
    Ok(found)
}

fn text<'a>(object: &'a Map<String, Value>, name: &str, place: &str) -> Result<&'a str, Wrong> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) if text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control) => Ok(text),
        Some(_) => Err(Wrong::new(format!("{place}/{name}"), "it is a text of at most 500 octets")),
    }
}

fn truth(object: &Map<String, Value>, name: &str, absent: bool, place: &str) -> Result<bool, Wrong> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(absent),
        Some(value) => value.as_bool().ok_or_else(|| Wrong::new(format!("{place}/{name}"), "it is true or false")),
    }
}

fn only(object: &Map<String, Value>, known: &[&str], place: &str) -> Result<(), Wrong> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Wrong::new(format!("{place}/{name}"), "there is no such property")),
        None => Ok(()),
    }
}

fn rule(object: &Map<String, Value>, place: &str) -> Result<(Rule, bool), Wrong> {
    only(object, &["name", "isEnabled", "match", "if", "then"], place)?;
    let any = match text(object, "match", place)? {
        "" | "all" => false,
        "any" => true,
        _ => return Err(Wrong::new(format!("{place}/match"), "it is all or any")),
    };
    let wrong = |part: &str, why| Wrong::new(format!("{place}/{part}"), why);
    let list = object.get("if").and_then(Value::as_array).ok_or_else(|| wrong("if", "it is a list of conditions"))?;
    if list.is_empty() || list.len() > CONDITIONS_MAX {
        return Err(wrong("if", "a rule has 1 to 20 conditions"));
    }
    let conditions = list.iter().enumerate().map(|(at, value)| {
        let place = format!("{place}/if/{at}");
        let object = value.as_object().ok_or_else(|| Wrong::new(&place, "a condition is an object"))?;
        condition(object, &place)
    });
    let conditions = conditions.collect::<Result<_, _>>()?;
    let then = object.get("then").and_then(Value::as_object).ok_or_else(|| wrong("then", "it says what is done"))?;
    let rule =
        Rule { name: text(object, "name", place)?.to_owned(), any, conditions, then: what(then, &format!("{place}/then"))? };
    Ok((rule, truth(object, "isEnabled", true, place)?))
}

fn condition(object: &Map<String, Value>, place: &str) -> Result<Condition, Wrong> {
    only(object, &["field", "contains", "is", "exists", "not"], place)?;
    let field = text(object, "field", place)?;
    let names: &[&str] = match field.to_ascii_lowercase().as_str() {
        "from" => &["From", "Sender"],
        "to" => &["To", "Cc"],
        "anyrecipient" => &["To", "Cc", "Bcc", "Resent-To", "Resent-Cc"],
        "list" => &["List-Id"],
        "" => return Err(Wrong::new(format!("{place}/field"), "a condition names a field")),
        _ => &[field],
    };
    if !field.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Err(Wrong::new(format!("{place}/field"), "there can be no such field"));
    }
    let (contains, is) = (text(object, "contains", place)?, text(object, "is", place)?);
    let test = match (contains, is, truth(object, "exists", false, place)?) {
        ("", "", true) => Test::Exists,
        (words, "", false) if !words.is_empty() => Test::Contains(Box::new(Needle::new(words))),
        ("", address, false) if address.contains('@') => Test::Is(store::normalise(address)),
        _ => return Err(Wrong::new(place, "one of contains, is (an address or @domain) and exists")),
    };
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Ok(Condition { names, test, not: truth(object, "not", false, place)? })
}

fn what(object: &Map<String, Value>, place: &str) -> Result<Then, Wrong> {
    only(object, &["moveTo", "keywords", "forwardTo", "keepCopy", "goOn"], place)?;
    let mailbox = Some(text(object, "moveTo", place)?.to_owned()).filter(|id| !id.is_empty());
    let mut keywords = Vec::new();
    let wrong = || Wrong::new(format!("{place}/keywords"), "it is a list of keywords");
    let list = match object.get("keywords") {
        None | Some(Value::Null) => &[],
        Some(list) => list.as_array().ok_or_else(wrong)?.as_slice(),
    };
    for word in list {
        let word = word.as_str().ok_or_else(wrong)?;
        let good = !word.is_empty()
            && word.len() <= store::limits::KEYWORD_BYTES_MAX
            && word.bytes().all(|b| b.is_ascii_graphic() && !b"(){]%*\"\\".contains(&b));
        if !good || keywords.len() >= store::limits::KEYWORDS_MAX {
            return Err(wrong());
        }
        keywords.push(SmolStr::new(word));
    }
    let forward = addresses(object.get("forwardTo").unwrap_or(&Value::Null), &format!("{place}/forwardTo"), FORWARDS_MAX)?;
    if forward.iter().any(|address| address.starts_with('@')) {
        return Err(Wrong::new(format!("{place}/forwardTo"), "mail is forwarded to whole addresses"));
    }
    let keeps = truth(object, "keepCopy", true, place)? || forward.is_empty();
    Ok(Then { mailbox, keywords, forward, keeps, goes_on: truth(object, "goOn", false, place)? })
}

impl Rule {
    pub(super) fn holds(&self, header: &[u8]) -> bool {
        let mut found = self.conditions.iter().map(|condition| condition.holds(header));
        if self.any { found.any(|is| is) } else { found.all(|is| is) }
    }
}

impl Condition {
    fn holds(&self, header: &[u8]) -> bool {
        let found = match &self.test {
            Test::Contains(needle) => self.names.iter().any(|name| header_contains(header, name, needle)),
            Test::Is(wanted) => self.names.iter().any(|name| has_address(header, name, wanted)),
            Test::Exists => self.names.iter().any(|name| fields(header).any(|field| field.is(name))),
        };
        found != self.not
    }
}

fn has_address(header: &[u8], name: &str, wanted: &str) -> bool {
    addresses_in(header, name).iter().any(|address| match wanted.strip_prefix('@') {
        Some(domain) => address.rsplit_once('@').is_some_and(|(_, of)| of == domain),
        None => address == wanted,
    })
}

/// All addresses in the fields of this name, normalised.
pub(super) fn addresses_in(header: &[u8], name: &str) -> Vec<String> {
    let all = fields(header).filter(|field| field.is(name));
    all.flat_map(|field| field.addresses().iter().filter_map(|one| one.address()).collect::<Vec<_>>())
        .map(|address| store::normalise(&address))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const HEADER: &[u8] = b"From: \"Shop, Ltd\" <News@Shop.test>\r\nTo: ann+x@here.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= now\r\nList-Id: <n.shop.test>\r\n\r\n";

    fn one(conditions: Value, any: &str) -> Rule {
        let value = json!([{"match": any, "if": conditions, "then": {"keywords": ["x"]}}]);
        rules(&value).unwrap().remove(0)
    }

    #[test]
    fn conditions() {
        for (condition, wanted) in [
            (json!({"field": "from", "contains": "shop, l"}), true),
            (json!({"field": "from", "is": "news@shop.test"}), true),
            (json!({"field": "from", "is": "@SHOP.test"}), true),
            (json!({"field": "from", "is": "@op.test"}), false),
            (json!({"field": "to", "is": "ann@here.test"}), false),
            (json!({"field": "anyRecipient", "contains": "ann+x"}), true),
            (json!({"field": "Subject", "contains": "grüsse"}), true),
            (json!({"field": "subject", "contains": "grüße", "not": true}), false),
            (json!({"field": "list", "exists": true}), true),
            (json!({"field": "X-Spam", "exists": true}), false),
            (json!({"field": "x-spam", "exists": true, "not": true}), true),
        ] {
            assert_eq!(one(json!([condition]), "all").holds(HEADER), wanted, "{condition}");
        }
        let (yes, no) = (json!({"field": "from", "contains": "shop"}), json!({"field": "from", "contains": "zoo"}));
        assert!(!one(json!([yes, no]), "all").holds(HEADER) && one(json!([no, yes]), "any").holds(HEADER));
    }

    #[test]
    fn what_is_no_rule_is_told_where() {
        let rule = |conditions: Value, then: Value| json!([{"if": conditions, "then": then}]);
        let good = json!([{"field": "from", "contains": "x"}]);
        for (value, place) in [
            (json!({}), "rules"),
            (json!([1]), "rules/0"),
            (rule(json!([]), json!({})), "rules/0/if"),
            (rule(json!([{"field": "from"}]), json!({})), "rules/0/if/0"),
            (rule(json!([{"field": "a b", "contains": "x"}]), json!({})), "rules/0/if/0/field"),
            (rule(json!([{"field": "from", "is": "nobody"}]), json!({})), "rules/0/if/0"),
            (rule(good.clone(), json!({"moveTo": 7})), "rules/0/then/moveTo"),
            (rule(good.clone(), json!({"keywords": ["a b"]})), "rules/0/then/keywords"),
            (rule(good.clone(), json!({"forwardTo": ["@x.test"]})), "rules/0/then/forwardTo"),
            (rule(good.clone(), json!({"delete": true})), "rules/0/then/delete"),
            (json!(vec![Value::Null; RULES_MAX + 1]), "rules"),
        ] {
            assert_eq!(rules(&value).unwrap_err().property, place, "{value}");
        }
        let off = json!([{"isEnabled": false, "if": good, "then": {}}]);
        assert_eq!(rules(&off).unwrap(), []);
    }
}
