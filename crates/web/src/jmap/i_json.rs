//! I-JSON (RFC 7493), which requests have to be (RFC 8620 §3.6.1: else `notJSON`).
//!
//! The reader below takes JSON that I-JSON forbids in one respect: members with the same name, of which it keeps the last. Must
//! not know: requests.

use crate::limits::REQUEST_VALUES_MAX;
use serde_json::Value;

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    NotIJson,
    /// More than [`REQUEST_VALUES_MAX`] values.
    TooMany,
}

/// What is written there. What would be too much of it is not read at all: in memory a number takes sixteen times its octets.
pub(crate) fn read(octets: &[u8]) -> Result<Value, Unreadable> {
    let signs = signs(octets);
    if signs.values() > REQUEST_VALUES_MAX {
        return Err(Unreadable::TooMany);
    }
    let value: Value = serde_json::from_slice(octets).map_err(|_| Unreadable::NotIJson)?;
    if members(&value) == signs.colons { Ok(value) } else { Err(Unreadable::NotIJson) }
}

/// Members of all its objects.
fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        Value::Array(list) => list.iter().map(members).sum(),
        _ => 0,
    }
}

/// Signs outside of strings.
#[derive(Default)]
struct Signs {
    /// Every member was written with one, and nothing else with any.
    colons: usize,
    commas: usize,
    openings: usize,
}

impl Signs {
    /// So many values at most: one, and one more in each list or object and behind each comma.
    fn values(&self) -> usize {
        1 + self.commas + self.openings
    }
}

fn signs(octets: &[u8]) -> Signs {
    let (mut signs, mut in_string, mut escaped) = (Signs::default(), false, false);
    for octet in octets {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b':' => signs.colons += 1,
            b',' => signs.commas += 1,
            b'[' | b'{' => signs.openings += 1,
            _ => {}
        }
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7493 §2.3: "Objects in I-JSON messages MUST NOT have members with duplicate names." §2.1: "MUST NOT include code
    /// points that identify Surrogates".
    #[test]
    fn no_name_comes_twice() {
        for good in [r#"{"a": {"b": 1, "c": 2}, "d": [{"b": 1}, {"b": "a:b"}]}"#, r#"{"\\": ":", "\":": 1}"#, "[]", "1", r#"":""#]
        {
            assert!(read(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"b": {"a": 1, "\u0061": 2}}]"#,
            r#"{"a": "\ud800"}"#,
            r#"{"a": 1e400}"#,
            "{\"a\": \"\u{7}\"}",
            "",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(b"{\"a\": \"\xff\"}").is_err());
    }

    #[test]
    fn too_many_values_are_not_read() {
        let list = |values: usize| format!("[{}1]", "1,".repeat(values - 1));
        // The list is one of them, and so is what may stand in it.
        assert!(read(list(REQUEST_VALUES_MAX - 1).as_bytes()).is_ok());
        assert_eq!(read(list(REQUEST_VALUES_MAX).as_bytes()), Err(Unreadable::TooMany));
        let lists = |values: usize| format!("[{}[]]", "[],".repeat(values - 1));
        assert!(read(lists(REQUEST_VALUES_MAX / 2 - 1).as_bytes()).is_ok());
        assert_eq!(read(lists(REQUEST_VALUES_MAX / 2).as_bytes()), Err(Unreadable::TooMany));
        // What stands in a string is one value.
        let text = format!("[\"{}\"]", "1,[{".repeat(REQUEST_VALUES_MAX));
        assert!(read(text.as_bytes()).is_ok());
    }
}
