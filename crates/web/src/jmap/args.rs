//! A method's arguments, taken one by one; what is left over was not known (RFC 8620 §3.6.2: invalidArguments).
//!
//! Must not know: methods.

use super::failure::MethodError;
use super::{Context, Object};
use crate::limits::GET_MAX;
use serde_json::Value;
use store::{ModSeq, UnixSecs};

/// Where a `/changes` begins: at a state, or within what one told after it.
pub(crate) struct Since {
    /// As it was said.
    pub(crate) said: String,
    pub(crate) state: ModSeq,
    /// How far that one went, and the last id that it told.
    pub(crate) within: Option<(ModSeq, String)>,
}

impl Since {
    /// At a state.
    pub(crate) fn at(state: ModSeq) -> Since {
        Since { said: String::new(), state, within: None }
    }

    /// Behind this id of what happened after `state` until `reached`; without the mark of who looks at it.
    pub(crate) fn within(state: ModSeq, reached: ModSeq, last: &str) -> String {
        format!("{}.{}.{last}", state.0, reached.0)
    }

    fn parse(said: String, mark: &str) -> Option<Since> {
        let mut parts = said.strip_suffix(mark)?.splitn(3, '.');
        let state = state_of(parts.next()?)?;
        let within = match parts.next() {
            None => None,
            Some(reached) => Some((state_of(reached)?, parts.next()?.to_owned())),
        };
        Some(Since { said, state, within })
    }
}

/// See the module.
pub(crate) struct Args {
    left: Object,
    /// What states of the account end with.
    mark: String,
}

fn wrong(name: &str) -> MethodError {
    MethodError::arguments(format!("{name} is not of its type")).with("arguments", serde_json::json!([name]))
}

impl Args {
    pub(crate) fn new(arguments: Object) -> Args {
        Args { left: arguments, mark: String::new() }
    }

    /// `accountId`: one's own, or one of which something is shared. The call is about it from here on.
    pub(crate) async fn account(&mut self, context: &mut Context<'_>) -> Result<(), MethodError> {
        let Some(Value::String(id)) = self.left.remove("accountId") else { return Err(wrong("accountId")) };
        let eyes = context.eyes_on(&id).ok_or_else(|| MethodError::new("accountNotFound"))?;
        context.look(eyes).await?;
        self.mark.clone_from(&context.mark);
        Ok(())
    }

    /// Whatever it is; null is not there.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, MethodError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name)),
        }
    }

    pub(crate) fn truth(&mut self, name: &str) -> Result<bool, MethodError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(is)) => Ok(is),
            Some(_) => Err(wrong(name)),
        }
    }

    /// UnsignedInt (RFC 8620 §1.3).
    pub(crate) fn unsigned(&mut self, name: &str) -> Result<Option<u64>, MethodError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_u64().filter(|number| *number < 1 << 53).map(Some).ok_or_else(|| wrong(name)),
        }
    }

    pub(crate) fn signed(&mut self, name: &str) -> Result<Option<i64>, MethodError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_i64().filter(|number| number.unsigned_abs() < 1 << 53).map(Some).ok_or_else(|| wrong(name)),
        }
    }

    pub(crate) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, MethodError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| wrong(name))?;
        let list: Option<Vec<String>> = list.iter().map(|one| one.as_str().map(str::to_owned)).collect();
        list.map(Some).ok_or_else(|| wrong(name))
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Object>, MethodError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(wrong(name)),
        }
    }

    /// One that has to be there.
    pub(crate) fn needed(&mut self, name: &str) -> Result<Object, MethodError> {
        self.object(name)?.ok_or_else(|| MethodError::arguments(format!("{name} is missing")))
    }

    /// `ids`, each once, at most [`GET_MAX`].
    pub(crate) fn ids(&mut self) -> Result<Option<Vec<String>>, MethodError> {
        let Some(mut ids) = self.texts("ids")? else { return Ok(None) };
        let mut seen = std::collections::HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        if ids.len() > GET_MAX {
            return Err(MethodError::new("requestTooLarge"));
        }
        Ok(Some(ids))
    }

    /// `properties`, which must be known ones; `id` always is among them.
    pub(crate) fn properties(&mut self, known: &[&str]) -> Result<Option<Vec<String>>, MethodError> {
        let Some(names) = self.texts("properties")? else { return Ok(None) };
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(MethodError::arguments(format!("there is no property {name}"))),
            None => Ok(Some(names)),
        }
    }

    /// A state of ours.
    pub(crate) fn state(&mut self, name: &str) -> Result<ModSeq, MethodError> {
        let text = self.text(name)?.ok_or_else(|| wrong(name))?;
        // Somebody else's state is one we cannot go back to.
        text.strip_suffix(self.mark.as_str()).and_then(state_of).ok_or_else(|| MethodError::new("cannotCalculateChanges"))
    }

    /// All of it as it was said.
    pub(crate) fn into_object(self) -> Object {
        self.left
    }

    /// `sinceState`
    pub(crate) fn since(&mut self) -> Result<Since, MethodError> {
        let said = self.text("sinceState")?.ok_or_else(|| wrong("sinceState"))?;
        Since::parse(said, &self.mark).ok_or_else(|| MethodError::new("cannotCalculateChanges"))
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), MethodError> {
        match self.left.iter().find(|(_, value)| !value.is_null()) {
            Some((name, _)) => Err(MethodError::arguments(format!("there is no argument {name}"))),
            None => Ok(()),
        }
    }
}

/// UTCDate (RFC 8620 §1.4): "a Date where the time-offset component MUST be Z", its letters in upper case.
pub(crate) fn utc_date(text: &str) -> Option<UnixSecs> {
    let octets = text.as_bytes();
    let is_utc = octets.get(10) == Some(&b'T') && octets.ends_with(b"Z");
    message::date::parse_rfc_3339(octets).filter(|_| is_utc).map(|date| date.unix_secs())
}

/// A state string: the account's mod-sequence.
pub(crate) fn state(mod_seq: ModSeq) -> String {
    format!("{}", mod_seq.0)
}

pub(crate) fn state_of(text: &str) -> Option<ModSeq> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text && number < 1 << 63).then_some(ModSeq(number))
}
