//! Back-references (RFC 8620 §3.7): an argument taken out of an earlier answer by a JSON pointer with `*`.
//!
//! Must not know: methods.

use super::Object;
use super::failure::MethodError;
use serde_json::Value;

/// Things one reference may gather.
const GATHERED_MAX: usize = 100_000;

/// Of a value in memory, besides its text.
const VALUE_BYTES: usize = 32;
/// Of a member's name, besides its text.
const NAME_BYTES: usize = 96;

/// About how many octets a value takes in memory: of many small ones ten times what is written.
pub(crate) fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => VALUE_BYTES + text.len(),
        Value::Array(list) => VALUE_BYTES + list.iter().map(weight).sum::<usize>(),
        Value::Object(object) => members_weight(object),
        _ => VALUE_BYTES,
    }
}

pub(crate) fn members_weight(object: &Object) -> usize {
    VALUE_BYTES + object.iter().map(|(name, value)| NAME_BYTES + name.len() + weight(value)).sum::<usize>()
}

/// Replaces `#name` arguments; `left`: octets that they may still bring in this request. Few octets ask for the same large answer
/// many times.
pub(crate) fn resolve(arguments: Object, earlier: &[(String, Object, String)], left: &mut usize) -> Result<Object, MethodError> {
    if !arguments.keys().any(|name| name.starts_with('#')) {
        return Ok(arguments);
    }
    let mut resolved = Object::new();
    for (name, value) in arguments {
        let Some(plain) = name.strip_prefix('#') else {
            if resolved.insert(name.clone(), value).is_some() {
                return Err(MethodError::arguments(format!("{name} is given twice")));
            }
            continue;
        };
        let wrong = |why: &str| MethodError::new("invalidResultReference").with("description", format!("{name} {why}").into());
        let found = look(&value, earlier).ok_or_else(|| wrong("refers to nothing"))?;
        *left = left.checked_sub(found.weight()).ok_or_else(|| wrong("refers to more than a request may hold"))?;
        let value = found.value();
        if resolved.insert(plain.to_owned(), value).is_some() {
            return Err(MethodError::arguments(format!("{plain} is given twice")));
        }
    }
    Ok(resolved)
}

/// What a reference leads to; nothing of it is copied yet.
enum Found<'a> {
    One(&'a Value),
    /// All of the answer.
    Whole(&'a Object),
    /// Gathered by `*`.
    All(Vec<&'a Value>),
}

impl Found<'_> {
    fn weight(&self) -> usize {
        match self {
            Found::One(value) => weight(value),
            Found::Whole(answer) => members_weight(answer),
            Found::All(values) => VALUE_BYTES + values.iter().map(|value| weight(value)).sum::<usize>(),
        }
    }

    fn value(self) -> Value {
        match self {
            Found::One(value) => value.clone(),
            Found::Whole(answer) => Value::Object(answer.clone()),
            Found::All(values) => Value::Array(values.into_iter().cloned().collect()),
        }
    }
}

fn look<'a>(reference: &Value, earlier: &'a [(String, Object, String)]) -> Option<Found<'a>> {
    let text = |name: &str| reference.get(name).and_then(Value::as_str);
    let (result_of, name, path) = (text("resultOf")?, text("name")?, text("path")?);
    // The first answer of that call, and if it has another name none.
    let (_, answer, _) = earlier.iter().find(|(.., id)| id == result_of).filter(|(answered, ..)| answered == name)?;
    let mut steps = path.split('/');
    if steps.next() != Some("") {
        return None;
    }
    let steps: Vec<String> = steps.map(pointer_step).collect::<Option<_>>()?;
    match steps.split_first() {
        Some((first, rest)) => walk(answer.get(first)?, rest),
        // The pointer to the whole (RFC 6901 §5).
        None => Some(Found::Whole(answer)),
    }
}

/// `reference-token = *( unescaped / escaped )`, `escaped = "~" ( "0" / "1" )` (RFC 6901 §3); `None`: it is none.
pub(crate) fn pointer_step(token: &str) -> Option<String> {
    let mut step = String::with_capacity(token.len());
    let mut signs = token.chars();
    while let Some(sign) = signs.next() {
        step.push(match sign {
            '~' => match signs.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            sign => sign,
        });
    }
    Some(step)
}

/// `array-index = %x30 / ( %x31-39 *(%x30-39) )` (RFC 6901 §4)
fn array_index(step: &str) -> Option<usize> {
    let plain = step == "0" || !step.starts_with('0') && step.bytes().all(|octet| octet.is_ascii_digit());
    step.parse().ok().filter(|_| plain)
}

fn walk<'a>(at: &'a Value, steps: &[String]) -> Option<Found<'a>> {
    let Some((step, rest)) = steps.split_first() else { return Some(Found::One(at)) };
    match at {
        Value::Object(object) => walk(object.get(step)?, rest),
        Value::Array(list) if step == "*" => {
            let mut all = Vec::new();
            for one in list {
                match walk(one, rest)? {
                    Found::All(inner) => all.extend(inner),
                    Found::One(Value::Array(inner)) => all.extend(inner),
                    Found::One(value) => all.push(value),
                    Found::Whole(_) => {}
                }
                if all.len() > GATHERED_MAX {
                    return None;
                }
            }
            Some(Found::All(all))
        }
        Value::Array(list) => walk(list.get(array_index(step)?)?, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    /// RFC 8620 §3.7's own example, and one more step of it.
    #[test]
    fn the_examples_of_rfc_8620() {
        let changes = object(json!({"created": ["f1", "f4"], "updated": [], "destroyed": []}));
        let get = object(json!({"list": [{"id": "msg1023", "threadId": "trd194"}, {"id": "msg223", "threadId": "trd114"}]}));
        let threads = object(
            json!({"list": [{"id": "trd194", "emailIds": ["msg1020", "msg1021"]}, {"id": "trd114", "emailIds": ["msg201"]}]}),
        );
        let earlier = [
            ("Foo/changes".into(), changes, "t0".into()),
            ("Email/get".into(), get, "t1".into()),
            ("Thread/get".into(), threads, "t2".into()),
        ];
        let ask = |of: &str, name: &str, path: &str| {
            let arguments = object(json!({"accountId": "A1", "#ids": {"resultOf": of, "name": name, "path": path}}));
            resolve(arguments, &earlier, &mut 10_000).map(|mut found| found.remove("ids").unwrap())
        };
        assert_eq!(ask("t0", "Foo/changes", "/created"), Ok(json!(["f1", "f4"])));
        assert_eq!(ask("t1", "Email/get", "/list/*/threadId"), Ok(json!(["trd194", "trd114"])));
        assert_eq!(ask("t2", "Thread/get", "/list/*/emailIds"), Ok(json!(["msg1020", "msg1021", "msg201"])));
        assert_eq!(ask("t1", "Email/get", "/list/1/id"), Ok(json!("msg223")));
        for (of, name, path) in [
            ("t9", "Email/get", "/list"),
            ("t1", "Email/set", "/list"),
            ("t1", "Email/get", "list"),
            ("t1", "Email/get", "/list/2/id"),
            ("t1", "Email/get", "/list/01/id"),
            ("t1", "Email/get", "/list/*/missing"),
            ("t1", "Email/get", "/list/+1/id"),
            ("t1", "Email/get", "/list/-/id"),
            ("t1", "Email/get", "/~2list"),
            ("t1", "Email/get", "/list~"),
        ] {
            let error = ask(of, name, path).unwrap_err().into_object();
            assert_eq!(error.get("type"), Some(&json!("invalidResultReference")), "{of} {name} {path}");
        }
        let escaped = [("Core/echo".into(), object(json!({"a/b": {"m~n": 1, "": 2, "~1": 3}})), "e".into())];
        for (path, found) in [
            ("", json!({"a/b": {"m~n": 1, "": 2, "~1": 3}})),
            ("/a~1b/m~0n", json!(1)),
            ("/a~1b/", json!(2)),
            ("/a~1b/~01", json!(3)),
        ] {
            let arguments = object(json!({"#x": {"resultOf": "e", "name": "Core/echo", "path": path}}));
            assert_eq!(resolve(arguments, &escaped, &mut 1_000), Ok(object(json!({"x": found}))), "{path}");
        }
        // "Find the first response with a method call id identical to resultOf", and what a call did besides comes behind its own.
        let set = object(json!({"updated": {"e1": null}}));
        let two = [("EmailSubmission/set".into(), set.clone(), "t".into()), ("Email/set".into(), set, "t".into())];
        let of = |name: &str| object(json!({"#ids": {"resultOf": "t", "name": name, "path": "/updated"}}));
        assert!(resolve(of("EmailSubmission/set"), &two, &mut 10_000).is_ok());
        let error = resolve(of("Email/set"), &two, &mut 10_000).unwrap_err().into_object();
        assert_eq!(error.get("type"), Some(&json!("invalidResultReference")));
        let twice = object(json!({"ids": [], "#ids": {"resultOf": "t0", "name": "Foo/changes", "path": "/created"}}));
        assert_eq!(
            resolve(twice, &earlier, &mut 10_000).unwrap_err().into_object().get("type"),
            Some(&json!("invalidArguments"))
        );
    }

    /// A reference takes sixty octets, and what it brings as many as there are: how often it does is bounded.
    #[test]
    fn what_references_bring_is_bounded() {
        let echo = object(json!({"x": "x".repeat(1_000), "l": [{"x": "y".repeat(500)}, {"x": "y".repeat(500)}]}));
        let earlier = [("Core/echo".into(), echo, "e".into())];
        let ask = |path: &str, times: usize, left: usize| {
            let one = json!({"resultOf": "e", "name": "Core/echo", "path": path});
            let mut left = left;
            resolve((0..times).map(|n| (format!("#a{n}"), one.clone())).collect(), &earlier, &mut left).is_ok()
        };
        assert!(ask("/x", 3, 3_500) && !ask("/x", 4, 3_500));
        assert!(ask("/l/*/x", 3, 3_500) && !ask("/l/*/x", 4, 3_500));
        // A number is written in one octet, and takes more.
        let one = json!({"a": 1, "b": [true, null]});
        assert_eq!(weight(&one), 5 * VALUE_BYTES + 2 * (NAME_BYTES + 1));
    }
}
