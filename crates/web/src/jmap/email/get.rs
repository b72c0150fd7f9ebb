//! `Email/get`: properties from the view, the facts, the header, or the whole message, whichever is the least that answers.
//!
//! Must not know: how messages lie in the store.

use super::body::{PART_DEFAULTS, PART_PROPERTIES, Renderer, Whole, in_structure, shown, value};
use super::header::{Form, HeaderProperty};
use crate::jmap::answers::got;
use crate::jmap::args::Args;
use crate::jmap::failure::MethodError;
use crate::jmap::reference::weight;
use crate::jmap::view::{EmailKey, Entry, facts_of, thread_of};
use crate::jmap::{Context, Object};
use crate::limits::{ANSWER_BYTES_MAX, GET_MAX};
use bytes::Bytes;
use message::{Facts, Message};
use serde_json::{Value, json};
use std::sync::Arc;
use store::EmailId;

const FROM_VIEW: [&str; 6] = ["id", "blobId", "mailboxIds", "keywords", "size", "receivedAt"];
const FROM_FACTS: [&str; 3] = ["threadId", "hasAttachment", "preview"];
const FROM_HEADER: [&str; 12] =
    ["headers", "messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt"];
const FROM_BODY: [&str; 5] = ["bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"];

/// Those given when none are asked for (RFC 8621 §4.2).
const DEFAULTS: [&str; 24] = [
    "id",
    "blobId",
    "threadId",
    "mailboxIds",
    "keywords",
    "size",
    "receivedAt",
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
];

/// So many of them are of a message in the store.
const STORED: usize = 7;
/// Those of a message that is in no mailbox (RFC 8621 §4.9).
pub(crate) const PARSED: &[&str] = DEFAULTS.split_at(STORED).1;

/// What an `Email/get` or `Email/parse` asks for.
pub(crate) struct Wanted {
    properties: Vec<String>,
    part_properties: Vec<String>,
    text_values: bool,
    html_values: bool,
    all_values: bool,
    value_bytes_max: usize,
}

impl Wanted {
    /// `defaults`: the properties where none are said.
    pub(crate) fn take(args: &mut Args, defaults: &[&str]) -> Result<Wanted, MethodError> {
        let names = |given: Option<Vec<String>>, known: &dyn Fn(&str) -> bool, defaults: &[&str]| match given {
            None => Ok(defaults.iter().map(|name| (*name).to_owned()).collect()),
            Some(names) => match names.iter().find(|name| !known(name) && HeaderProperty::parse(name).is_none()) {
                Some(name) => Err(MethodError::arguments(format!("there is no property {name}"))),
                None => Ok(names),
            },
        };
        let is_email =
            |name: &str| [&FROM_VIEW[..], &FROM_FACTS, &FROM_HEADER, &FROM_BODY].iter().any(|list| list.contains(&name));
        let is_part = |name: &str| PART_PROPERTIES.contains(&name);
        Ok(Wanted {
            properties: names(args.texts("properties")?, &is_email, defaults)?,
            part_properties: names(args.texts("bodyProperties")?, &is_part, &PART_DEFAULTS)?,
            text_values: args.truth("fetchTextBodyValues")?,
            html_values: args.truth("fetchHTMLBodyValues")?,
            all_values: args.truth("fetchAllBodyValues")?,
            value_bytes_max: args.unsigned("maxBodyValueBytes")?.map_or(0, |max| usize::try_from(max).unwrap_or(usize::MAX)),
        })
    }

    fn has(&self, list: &[&str]) -> bool {
        self.properties.iter().any(|name| list.contains(&name.as_str()))
    }

    fn needs_body(&self) -> bool {
        self.has(&FROM_BODY)
    }

    fn needs_header(&self) -> bool {
        self.has(&FROM_HEADER) || self.properties.iter().any(|name| name.starts_with("header:"))
    }

    /// What the message itself says, into the object; `left`: octets that values of bodies may still have.
    pub(crate) fn of_message(&self, message: &Message<'_>, whole: Whole<'_>, object: &mut Object, left: &mut usize) {
        let header = message.root().raw_header();
        let charset = message.header_charset();
        let shown = self.needs_body().then(|| shown(message));
        let renderer = Renderer { message, whole, properties: &self.part_properties };
        for name in &self.properties {
            let list = |parts: &[usize]| Value::Array(parts.iter().map(|part| renderer.part(*part, false)).collect());
            let found = match (name.as_str(), &shown) {
                ("bodyStructure", _) => renderer.part(0, true),
                ("textBody", Some(shown)) => list(&shown.text),
                ("htmlBody", Some(shown)) => list(&shown.html),
                ("attachments", Some(shown)) => list(&shown.attachments),
                ("bodyValues", Some(shown)) => self.values(message, shown, left),
                ("headers", _) => {
                    let one = |field: message::header::Field<'_>| json!({"name": String::from_utf8_lossy(field.name), "value": Form::Raw.value(&field, charset)});
                    Value::Array(message::header::fields(header).map(one).collect())
                }
                (name, _) => match HeaderProperty::parse(of_convenience(name).unwrap_or(name)) {
                    Some(asked) => asked.value(header, charset),
                    None => continue,
                },
            };
            object.insert(name.clone(), found);
        }
    }

    fn values(&self, message: &Message<'_>, shown: &super::body::Shown, left: &mut usize) -> Value {
        let mut values = Object::new();
        let structure = in_structure(message);
        for (index, part) in message.parts.iter().enumerate() {
            let wanted = self.all_values
                || self.text_values && shown.text.contains(&index)
                || self.html_values && shown.html.contains(&index);
            if !wanted || !part.is_text() || !structure.contains(&index) {
                continue;
            }
            let max = if self.value_bytes_max == 0 { *left } else { self.value_bytes_max.min(*left) };
            if let Some(found) = value(part, max) {
                *left = left.saturating_sub(found.get("value").and_then(Value::as_str).map_or(0, str::len));
                values.insert(index.to_string(), found);
            }
        }
        Value::Object(values)
    }

    /// What the facts say, into the object.
    pub(crate) fn of_facts(&self, facts: Option<&Facts>, body: store::BodyId, object: &mut Object) {
        for name in &self.properties {
            let found = match (name.as_str(), facts) {
                ("threadId", Some(facts)) => json!(thread_of(body, facts).id()),
                ("threadId", None) => json!(crate::jmap::view::ThreadKey::Alone(body).id()),
                ("hasAttachment", facts) => json!(facts.is_some_and(|facts| facts.has_attachment)),
                ("preview", facts) => json!(facts.map_or("", |facts| facts.preview.as_str())),
                _ => continue,
            };
            object.insert(name.clone(), found);
        }
    }

    /// What a message that is in no mailbox has instead (RFC 8621 §4.9).
    pub(crate) fn of_nothing(&self, blob: &str, octets: &[u8], object: &mut Object) {
        for name in &self.properties {
            let found = match name.as_str() {
                "size" => json!(octets.len()),
                "blobId" => json!(blob),
                "id" | "mailboxIds" | "keywords" | "receivedAt" => Value::Null,
                _ => continue,
            };
            object.insert(name.clone(), found);
        }
    }

    fn of_view(&self, context: &Context<'_>, key: EmailKey, entry: &Entry, object: &mut Object) {
        for name in &self.properties {
            let found = match name.as_str() {
                "id" | "blobId" => json!(key.id()),
                "size" => json!(entry.size_bytes),
                "receivedAt" => json!(message::date::format_rfc_3339(key.date_secs)),
                "mailboxIds" => {
                    let id = |mailbox| (store::object_id::of_mailbox(context.eyes.account, mailbox).to_string(), json!(true));
                    Value::Object(entry.mailboxes().into_iter().map(id).collect())
                }
                "keywords" => Value::Object(entry.keywords().into_iter().map(|word| (word.to_string(), json!(true))).collect()),
                _ => continue,
            };
            object.insert(name.clone(), found);
        }
    }
}

/// What a property stands for (RFC 8621 §4.1.2).
fn of_convenience(name: &str) -> Option<&'static str> {
    Some(match name {
        "messageId" => "header:Message-ID:asMessageIds",
        "inReplyTo" => "header:In-Reply-To:asMessageIds",
        "references" => "header:References:asMessageIds",
        "sender" => "header:Sender:asAddresses",
        "from" => "header:From:asAddresses",
        "to" => "header:To:asAddresses",
        "cc" => "header:Cc:asAddresses",
        "bcc" => "header:Bcc:asAddresses",
        "replyTo" => "header:Reply-To:asAddresses",
        "subject" => "header:Subject:asText",
        "sentAt" => "header:Date:asDate",
        _ => return None,
    })
}

/// `Email/get`
pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let wanted = Wanted::take(&mut args, &DEFAULTS)?;
    args.end()?;
    let store = &context.site.store;
    let view = context.site.jmap.views.seen_by(store, &context.eyes).await?;
    let ids = match ids {
        Some(ids) => ids,
        None => {
            let mut all: Vec<EmailKey> = view.all().map(|(key, _)| key).collect();
            if all.len() > GET_MAX {
                return Err(MethodError::new("requestTooLarge"));
            }
            all.sort_unstable();
            all.into_iter().map(EmailKey::id).collect()
        }
    };
    let (mut found, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        match view.by_id(&id) {
            Some((key, entry)) => {
                let mut object = Object::new();
                // Asked for or not (RFC 8620 §5.1).
                object.insert("id".into(), json!(id));
                wanted.of_view(context, key, entry, &mut object);
                found.push((key, entry.email(), object));
            }
            None => not_found.push(id),
        }
    }
    let mod_seq = view.mod_seq;
    // Reading messages holds nobody else up.
    drop(view);
    let list = fill(context, &wanted, found, &mut not_found).await?;
    Ok(got(context, mod_seq, list, not_found))
}

async fn fill(
    context: &mut Context<'_>,
    wanted: &Wanted,
    found: Vec<(EmailKey, Option<EmailId>, Object)>,
    not_found: &mut Vec<String>,
) -> Result<Vec<Value>, MethodError> {
    let (store, account) = (&context.site.store, context.eyes.account);
    let needs = wanted.needs_body() || wanted.needs_header();
    if !needs && !wanted.has(&FROM_FACTS) {
        return Ok(found.into_iter().map(|(_, _, object)| Value::Object(object)).collect());
    }
    let emails: Vec<EmailId> = found.iter().filter_map(|(_, email, _)| *email).collect();
    let facts = facts_of(store, account, &emails).await?;
    let (mut list, mut told) = (Vec::with_capacity(found.len()), 0);
    for ((key, email, mut object), facts) in found.into_iter().zip(facts) {
        wanted.of_facts(facts.as_deref(), key.body, &mut object);
        if needs {
            match octets(context, email, facts.as_ref().filter(|_| !wanted.needs_body())).await? {
                Some(octets) => {
                    wanted.of_message(&message::parse(&octets), Whole::Email(key), &mut object, &mut context.values_left);
                }
                None => {
                    not_found.push(key.id());
                    continue;
                }
            }
        }
        let object = Value::Object(object);
        told += weight(&object);
        if told > ANSWER_BYTES_MAX {
            return Err(MethodError::new("requestTooLarge"));
        }
        list.push(object);
    }
    Ok(list)
}

/// The message; with facts its header alone. `None`: gone meanwhile.
async fn octets(context: &Context<'_>, email: Option<EmailId>, facts: Option<&Arc<Facts>>) -> Result<Option<Bytes>, MethodError> {
    let len = facts.map_or(u64::from(u32::MAX), |facts| facts.header_bytes() as u64);
    let Some(email) = email else { return Ok(None) };
    match context.site.store.body(context.eyes.account, email, 0, len).await {
        Ok(octets) => Ok(Some(octets)),
        Err(store::StoreError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
