//! Blobs by method calls: `Blob/upload get lookup` (RFC 9404), `Blob/copy` (RFC 8620 §6.3).
//!
//! Invariant: what is made of pieces is bounded as any upload is. Must not know: what a blob is for.

use super::args::Args;
use super::blob::{self, blob};
use super::failure::{MethodError, SetError};
use super::setting::{id_or_created, in_order};
use super::view::{EmailKey, Entry};
use super::{Context, MAIL, Object, account_id};
use crate::limits::{ANSWER_BYTES_MAX, BLOB_SOURCES_MAX, GET_MAX, SET_MAX};
use bytes::Bytes;
use ring::digest;
use serde_json::{Value, json};

/// Types that `Blob/lookup` knows.
pub(super) const LOOKUP_TYPES: [&str; 3] = ["Mailbox", "Thread", "Email"];
/// Digests that `Blob/get` makes.
pub(super) const DIGESTS: [&str; 2] = ["sha", "sha-256"];

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn or_null(value: Object) -> Value {
    if value.is_empty() { Value::Null } else { Value::Object(value) }
}

/// `Blob/upload`
pub(super) async fn upload(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let create = args.needed("create")?;
    args.end()?;
    if create.len() > SET_MAX {
        return Err(MethodError::new("requestTooLarge"));
    }
    let (mut created, mut not_created) = (Object::new(), Object::new());
    for (creation, value) in in_order(create) {
        match one_upload(context, &value).await {
            Ok((id, answer)) => {
                context.created.insert(creation.clone(), id);
                created.insert(creation, answer);
            }
            Err(error) => drop(not_created.insert(creation, error.into_value())),
        }
    }
    let answer =
        json!({"accountId": account_id(context.eyes.account), "created": or_null(created), "notCreated": or_null(not_created)});
    Ok(object(answer))
}

async fn one_upload(context: &mut Context<'_>, value: &Value) -> Result<(String, Value), SetError> {
    let wrong = |name: &str, why| SetError::properties(&[name], why);
    let known = ["data", "type"];
    let object = value.as_object().ok_or_else(|| wrong("data", "an upload is an object"))?;
    if let Some(name) = object.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(wrong(name, "there is no such property"));
    }
    let sources = object.get("data").and_then(Value::as_array).ok_or_else(|| wrong("data", "it is a list of sources"))?;
    if sources.len() > BLOB_SOURCES_MAX {
        return Err(SetError::why("tooLarge", "There are too many sources."));
    }
    let kind = match object.get("type") {
        None | Some(Value::Null) => "application/octet-stream",
        Some(kind) => {
            kind.as_str().filter(|kind| blob::is_media_type(kind)).ok_or_else(|| wrong("type", "it is a media type"))?
        }
    };
    let max = context.site.message_bytes_max;
    let mut octets: Vec<u8> = Vec::new();
    for source in sources {
        let piece = piece(context, source).await?;
        if (octets.len() + piece.len()) as u64 > max {
            return Err(SetError::new("tooLarge").with("maxSize", json!(max)));
        }
        // More than wait for their use at once: the first of them would be gone before the answer is there.
        let left = context.uploads_left.checked_sub(piece.len() as u64).ok_or_else(|| SetError::new("overQuota"))?;
        context.uploads_left = left;
        octets.extend_from_slice(&piece);
    }
    let size = octets.len();
    let id = blob::put(context, octets).map_err(|()| SetError::new("tooLarge").with("maxSize", json!(max)))?;
    let answer = json!({"id": id, "blobId": id, "type": kind, "size": size});
    Ok((id, answer))
}

/// What a DataSourceObject may say.
const SOURCE: [&str; 5] = ["data:asText", "data:asBase64", "blobId", "offset", "length"];

async fn piece(context: &Context<'_>, source: &Value) -> Result<Bytes, SetError> {
    let wrong = || SetError::properties(&["data"], "a source has data:asText, data:asBase64, or a blobId with its range");
    let object = source.as_object().filter(|object| object.keys().all(|name| SOURCE.contains(&name.as_str())));
    let object = object.ok_or_else(wrong)?;
    // A range is of a blob; null is not there ("String|null", RFC 9404 §4.1).
    let has_range = ["offset", "length"].iter().any(|name| object.get(*name).is_some_and(|value| !value.is_null()));
    let text = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(wrong),
    };
    match (text("data:asText")?, text("data:asBase64")?, text("blobId")?) {
        (Some(text), None, None) if !has_range => Ok(Bytes::copy_from_slice(text.as_bytes())),
        (None, Some(text), None) if !has_range => {
            data_encoding::BASE64.decode(text.as_bytes()).map(Bytes::from).map_err(|_| wrong())
        }
        (None, None, Some(id)) => {
            let missing = || SetError::new("blobNotFound").with("notFound", json!([id]));
            let id = id_or_created(context, id).ok_or_else(missing)?;
            let whole = blob(context, &id).await.map_err(|_| SetError::new("serverFail"))?.ok_or_else(missing)?;
            let number = |name: &str| match object.get(name) {
                None | Some(Value::Null) => Ok(None),
                Some(value) => {
                    value.as_u64().map(|number| usize::try_from(number).unwrap_or(usize::MAX)).map(Some).ok_or_else(wrong)
                }
            };
            let start = number("offset")?.unwrap_or(0);
            let rest = whole.len().checked_sub(start).ok_or_else(wrong)?;
            let length = number("length")?.unwrap_or(rest);
            if length > rest {
                return Err(SetError::properties(&["data"], "the range is not within the blob"));
            }
            Ok(whole.slice(start..start + length))
        }
        _ => Err(wrong()),
    }
}

/// What of a blob is wanted.
struct Wanted {
    properties: Vec<String>,
    offset: usize,
    length: Option<usize>,
}

impl Wanted {
    fn shown(&self, id: &str, whole: &[u8]) -> Object {
        let truncated = self.offset.saturating_add(self.length.unwrap_or(0)) > whole.len();
        let start = self.offset.min(whole.len());
        let end = self.length.map_or(whole.len(), |length| start.saturating_add(length).min(whole.len()));
        let octets = whole.get(start..end).unwrap_or_default();
        let text = std::str::from_utf8(octets);
        let mut answer = Object::new();
        answer.insert("id".into(), json!(id));
        for name in &self.properties {
            let base64 = || json!(data_encoding::BASE64.encode(octets));
            let (name, value) = match (name.as_str(), text) {
                ("data", Ok(text)) => ("data:asText", json!(text)),
                ("data", Err(_)) => ("data:asBase64", base64()),
                ("data:asText", Ok(text)) => ("data:asText", json!(text)),
                ("data:asText", Err(_)) => ("data:asText", Value::Null),
                ("data:asBase64", _) => ("data:asBase64", base64()),
                ("size", _) => ("size", json!(whole.len())),
                ("digest:sha", _) => {
                    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, octets);
                    ("digest:sha", json!(data_encoding::BASE64.encode(hash.as_ref())))
                }
                ("digest:sha-256", _) => {
                    let hash = digest::digest(&digest::SHA256, octets);
                    ("digest:sha-256", json!(data_encoding::BASE64.encode(hash.as_ref())))
                }
                _ => continue,
            };
            answer.insert(name.into(), value);
        }
        let asks_text = self.properties.iter().any(|name| name == "data" || name == "data:asText");
        if asks_text && text.is_err() {
            answer.insert("isEncodingProblem".into(), json!(true));
        }
        if truncated {
            answer.insert("isTruncated".into(), json!(true));
        }
        answer
    }
}

/// `Blob/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?.ok_or_else(|| MethodError::arguments("ids is missing"))?;
    let known = ["id", "data", "data:asText", "data:asBase64", "digest:sha", "digest:sha-256", "size"];
    let properties = args.properties(&known)?.unwrap_or_else(|| vec!["data".into(), "size".into()]);
    let number = |value: Option<u64>| value.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let offset = number(args.unsigned("offset")?).unwrap_or(0);
    let length = number(args.unsigned("length")?);
    args.end()?;
    let wanted = Wanted { properties, offset, length };
    let only_size =
        wanted.properties.iter().all(|name| ["id", "size"].contains(&name.as_str())) && offset == 0 && length.is_none();
    let most = number(Some(context.site.message_bytes_max.saturating_mul(2)))
        .map_or(ANSWER_BYTES_MAX, |most| most.min(ANSWER_BYTES_MAX));
    let (mut list, mut not_found, mut told) = (Vec::new(), Vec::new(), 0usize);
    for id in ids {
        let Some(id_now) = id_or_created(context, &id) else {
            not_found.push(id);
            continue;
        };
        // "Servers SHOULD store the size for blobs in a format that is efficient to read" (§4.2).
        if let (true, Some(size)) = (only_size, blob::size(context, &id_now).await?) {
            let asked = wanted.properties.iter().any(|name| name == "size");
            list.push(if asked { json!({"id": id_now, "size": size}) } else { json!({"id": id_now}) });
            continue;
        }
        match blob(context, &id_now).await? {
            Some(octets) => {
                told += octets.len();
                // One is told however large it is.
                if told > most && told > octets.len() {
                    return Err(MethodError::new("requestTooLarge"));
                }
                list.push(Value::Object(wanted.shown(&id_now, &octets)));
            }
            None => not_found.push(id),
        }
    }
    Ok(object(json!({"accountId": account_id(context.eyes.account), "list": list, "notFound": not_found})))
}

/// `Blob/lookup`
pub(super) async fn lookup(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?.ok_or_else(|| MethodError::arguments("ids is missing"))?;
    let types = args.texts("typeNames")?.ok_or_else(|| MethodError::arguments("typeNames is missing"))?;
    args.end()?;
    // All of them are of one capability, which the request has to be using.
    let is_used = context.using.contains(MAIL);
    if let Some(unknown) = types.iter().find(|name| !is_used || !LOOKUP_TYPES.contains(&name.as_str())) {
        return Err(MethodError::new("unknownDataType").with("description", json!(format!("{unknown} is not looked up here"))));
    }
    let (store, account) = (&context.site.store, context.eyes.account);
    let mut list = Vec::new();
    let mut not_found = Vec::new();
    for id in ids {
        let there = match id_or_created(context, &id) {
            Some(id) if blob::is_there(context, &id).await? => Some(id),
            _ => None,
        };
        let Some(id) = there else {
            // Both are asked of us: "the server MUST still return an empty array for each type", and its example has it in
            // `notFound`.
            let nothing: Object = types.iter().map(|name| (name.clone(), json!([]))).collect();
            list.push(json!({"id": id, "matchedIds": nothing}));
            not_found.push(id);
            continue;
        };
        let key = match id.strip_prefix('P').and_then(|rest| rest.rsplit_once('-')) {
            Some((of, _)) => EmailKey::of(&format!("M{of}")),
            None => EmailKey::of(&id),
        };
        let mut view = context.site.jmap.views.seen_by(store, &context.eyes).await?;
        let keys: Vec<EmailKey> = key.into_iter().filter(|key| view.get(*key).is_some()).collect();
        view.learn(store, account, &keys).await?;
        let entries: Vec<(EmailKey, &Entry)> = keys.iter().filter_map(|key| Some((*key, view.get(*key)?))).collect();
        let mut matched = Object::new();
        for name in &types {
            let ids: Vec<String> = match name.as_str() {
                "Email" => entries.iter().map(|(key, _)| key.id()).collect(),
                "Thread" => entries.iter().filter_map(|(_, entry)| entry.known().map(|known| known.thread.id())).collect(),
                _ => {
                    let places = entries.iter().flat_map(|(_, entry)| entry.mailboxes());
                    places.map(|mailbox| store::object_id::of_mailbox(account, mailbox).to_string()).collect()
                }
            };
            matched.insert(name.clone(), json!(ids));
        }
        list.push(json!({"id": id, "matchedIds": matched}));
    }
    Ok(object(json!({"accountId": account_id(account), "list": list, "notFound": not_found})))
}

/// `Blob/copy`: from an account that who asks may read.
pub(super) async fn copy(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let from = args.text("fromAccountId")?.ok_or_else(|| MethodError::arguments("fromAccountId is missing"))?;
    let ids = args.texts("blobIds")?.ok_or_else(|| MethodError::arguments("blobIds is missing"))?;
    args.end()?;
    let from_eyes = context.eyes_on(&from);
    let from_eyes = from_eyes.ok_or_else(|| MethodError::new("fromAccountNotFound"))?;
    if ids.len() > GET_MAX {
        return Err(MethodError::new("requestTooLarge"));
    }
    let (mut copied, mut not_copied) = (Object::new(), Object::new());
    for id in ids {
        match blob::octets(context.site, &from_eyes, &id).await? {
            Some(_) if from_eyes.account == context.eyes.account => drop(copied.insert(id.clone(), json!(id))),
            Some(octets) => match blob::put(context, octets.to_vec()) {
                Ok(copy) => drop(copied.insert(id, json!(copy))),
                Err(()) => drop(not_copied.insert(id, SetError::new("tooLarge").into_value())),
            },
            None => drop(not_copied.insert(id, SetError::new("notFound").into_value())),
        }
    }
    let answer = json!({"fromAccountId": from, "accountId": account_id(context.eyes.account), "copied": or_null(copied), "notCopied": or_null(not_copied)});
    Ok(object(answer))
}
