//! I-JSON (RFC 7493), which requests have to be (RFC 8620 §3.6.1: else `notJSON`).
//!
//! The reader below takes JSON that I-JSON forbids in one respect: members with the same name, of which it keeps the last. Must
//! not know: requests.

use serde_json::Value;

/// `None`: it is none.
pub(crate) fn read(octets: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(octets).ok()?;
    (members(&value) == colons(octets)).then_some(value)
}

/// Members of all its objects.
fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        Value::Array(list) => list.iter().map(members).sum(),
        _ => 0,
    }
}

/// Every member was written with one, and nothing else with any, strings apart.
fn colons(octets: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for octet in octets {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => count += 1,
            _ => {}
        }
    }
    count
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
            assert!(read(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"b": {"a": 1, "\u0061": 2}}]"#,
            r#"{"a": "\ud800"}"#,
            r#"{"a": 1e400}"#,
            "{\"a\": \"\u{7}\"}",
            "",
        ] {
            assert!(read(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(read(b"{\"a\": \"\xff\"}").is_none());
    }
}
