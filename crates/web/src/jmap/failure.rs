//! Method-level errors (RFC 8620 §3.6.2) and the errors of `/set` (§5.3).
//!
//! Invariant: trouble of ours is `serverFail` without inside details. Must not know: methods.

use super::Object;
use serde_json::{Value, json};
use store::StoreError;

/// A call that failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MethodError {
    kind: &'static str,
    more: Object,
}

impl MethodError {
    pub(crate) fn new(kind: &'static str) -> MethodError {
        MethodError { kind, more: Object::new() }
    }

    /// `invalidArguments`, and why.
    pub(crate) fn arguments(why: impl Into<String>) -> MethodError {
        MethodError::new("invalidArguments").with("description", json!(why.into()))
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> MethodError {
        self.more.insert(name.into(), value);
        self
    }

    pub(crate) fn into_object(mut self) -> Object {
        self.more.insert("type".into(), json!(self.kind));
        self.more
    }
}

impl From<StoreError> for MethodError {
    fn from(error: StoreError) -> MethodError {
        match error {
            StoreError::NotFound => MethodError::new("accountNotFound"),
            error => {
                tracing::error!(?error, "a JMAP method");
                MethodError::new("serverFail").with("description", json!("Something failed on our side."))
            }
        }
    }
}

/// One object that could not be created, changed or destroyed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SetError(Object);

impl SetError {
    pub(crate) fn new(kind: &str) -> SetError {
        let mut object = Object::new();
        object.insert("type".into(), json!(kind));
        SetError(object)
    }

    pub(crate) fn why(kind: &str, why: impl Into<String>) -> SetError {
        SetError::new(kind).with("description", json!(why.into()))
    }

    /// `invalidProperties`
    pub(crate) fn properties(names: &[&str], why: impl Into<String>) -> SetError {
        SetError::why("invalidProperties", why).with("properties", json!(names))
    }

    /// The same, where there are any: "`properties` [...] lists all the properties that were invalid" (RFC 8620 §5.3).
    pub(crate) fn any<'a>(names: impl IntoIterator<Item = &'a str>, why: &str) -> Result<(), SetError> {
        let names: Vec<&str> = names.into_iter().collect();
        if names.is_empty() { Ok(()) } else { Err(SetError::properties(&names, why)) }
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> SetError {
        self.0.insert(name.into(), value);
        self
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

impl From<StoreError> for SetError {
    fn from(error: StoreError) -> SetError {
        match error {
            StoreError::NotFound => SetError::new("notFound"),
            StoreError::OverQuota | StoreError::NoSpace => SetError::why("overQuota", error.to_string()),
            StoreError::Exists | StoreError::Invalid(_) => SetError::why("invalidProperties", error.to_string()),
            error => {
                tracing::error!(?error, "a JMAP object");
                SetError::why("serverFail", "Something failed on our side.")
            }
        }
    }
}
