//! An Email object becomes a message (RFC 8621 §4.6): header properties, body structure, values and blobs.
//!
//! Invariant: nothing a client says can end a header field or a boundary. Must not know: where it goes.

use super::body::PART_PROPERTIES;
use super::header::{Form, HeaderProperty};
use crate::jmap::Object;
use crate::jmap::failure::SetError;
use bytes::Bytes;
use message::{date, encoded_word, transfer};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Parts of a message that is being made.
const PARTS_MAX: usize = 1000;
/// Depth of a body structure.
const DEPTH_MAX: usize = 20;

fn wrong(property: &str, why: &str) -> SetError {
    SetError::properties(&[property], why)
}

/// `String|null`, or not there.
fn text_or_null(value: Option<&Value>) -> Result<Option<&str>, ()> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(()),
    }
}

/// What a header property is called when it is written.
fn of_convenience(name: &str) -> Option<(&'static str, Form)> {
    Some(match name {
        "messageId" => ("Message-ID", Form::MessageIds),
        "inReplyTo" => ("In-Reply-To", Form::MessageIds),
        "references" => ("References", Form::MessageIds),
        "sender" => ("Sender", Form::Addresses),
        "from" => ("From", Form::Addresses),
        "to" => ("To", Form::Addresses),
        "cc" => ("Cc", Form::Addresses),
        "bcc" => ("Bcc", Form::Addresses),
        "replyTo" => ("Reply-To", Form::Addresses),
        "subject" => ("Subject", Form::Text),
        "sentAt" => ("Date", Form::Date),
        _ => return None,
    })
}

/// A field's body in a form; without the name and without CRLF.
fn field_body(property: &str, name: &str, form: Form, value: &Value) -> Result<String, SetError> {
    let text = || value.as_str().ok_or_else(|| wrong(property, "it is not a string"));
    let list = || value.as_array().ok_or_else(|| wrong(property, "it is not a list"));
    match form {
        Form::Raw => {
            let raw = text()?;
            // A line end is folding or nothing.
            let unfolded = raw.replace("\r\n ", " ").replace("\r\n\t", "\t");
            if unfolded.contains(['\r', '\n', '\0']) {
                return Err(wrong(property, "a header field has no bare line end"));
            }
            let space = if raw.starts_with([' ', '\t', '\r']) { "" } else { " " };
            Ok(format!("{space}{raw}"))
        }
        Form::Text => Ok(format!(" {}", encoded_word::encode(text()?, name.len() + 2))),
        Form::Date => {
            let parsed = date::parse_rfc_3339(text()?.as_bytes()).ok_or_else(|| wrong(property, "it is not a date"))?;
            Ok(format!(" {}", parsed.rfc_5322()))
        }
        Form::MessageIds | Form::Urls => {
            let one = |value: &Value| {
                let id = value.as_str().unwrap_or_default();
                let good = !id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>');
                if good { Ok(format!("<{id}>")) } else { Err(wrong(property, "this cannot stand in angle brackets")) }
            };
            let all: Vec<String> = list()?.iter().map(one).collect::<Result<_, _>>()?;
            Ok(format!(" {}", all.join(if form == Form::Urls { ",\r\n " } else { "\r\n " })))
        }
        Form::Addresses => Ok(format!(" {}", addresses(property, list()?)?.join(",\r\n "))),
        Form::GroupedAddresses => {
            let mut all = Vec::new();
            for group in list()? {
                let inside = group.get("addresses").and_then(Value::as_array);
                let inside = addresses(property, inside.ok_or_else(|| wrong(property, "a group has addresses"))?)?;
                match text_or_null(group.get("name")).map_err(|()| wrong(property, "a name is a string"))? {
                    Some(name) => all.push(format!("{}: {};", phrase(name), inside.join(",\r\n "))),
                    None => all.extend(inside),
                }
            }
            Ok(format!(" {}", all.join(",\r\n ")))
        }
    }
}

/// A display name: plain, quoted, or encoded.
fn phrase(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let name = name.trim();
    if !name.is_ascii() || name.contains("=?") {
        return encoded_word::encode(name, 10);
    }
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b" !#$%&'*+-/=?^_`{|}~".contains(&b)) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn addresses(property: &str, list: &[Value]) -> Result<Vec<String>, SetError> {
    let one = |value: &Value| {
        let email = value.get("email").and_then(Value::as_str).unwrap_or_default().trim();
        let bad = |c: char| c.is_control() || matches!(c, '<' | '>' | ',' | ';');
        if email.is_empty() || email.len() > 320 || email.contains(bad) && !email.starts_with('"') || email.contains(['\r', '\n'])
        {
            return Err(wrong(property, "an entry has no address"));
        }
        let name = text_or_null(value.get("name")).map_err(|()| wrong(property, "a name is a string"))?;
        Ok(match name.map(str::trim).filter(|name| !name.is_empty()) {
            Some(name) => format!("{} <{email}>", phrase(name)),
            None => email.to_owned(),
        })
    };
    list.iter().map(one).collect()
}

/// Everything a message is made of.
pub(crate) struct Making<'a> {
    pub(crate) object: &'a Object,
    /// Of every blob that is named.
    pub(crate) blobs: &'a HashMap<String, Bytes>,
    pub(crate) now_secs: i64,
    /// Behind the at sign of a Message-ID.
    pub(crate) domain: &'a str,
}

/// Names of blobs in an Email object.
pub(crate) fn blob_ids(object: &Object) -> Vec<String> {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(list) => list.iter().for_each(|one| walk(one, found)),
            Value::Object(part) => {
                found.extend(part.get("blobId").and_then(Value::as_str).map(str::to_owned));
                part.get("subParts").into_iter().for_each(|parts| walk(parts, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for name in ["bodyStructure", "textBody", "htmlBody", "attachments"] {
        object.get(name).into_iter().for_each(|value| walk(value, &mut found));
    }
    found
}

fn random() -> Result<String, SetError> {
    let mut octets = [0u8; 12];
    SystemRandom::new().fill(&mut octets).map_err(|_| SetError::new("serverFail"))?;
    Ok(data_encoding::HEXLOWER.encode(&octets))
}

/// One entity: content fields and content.
struct Entity {
    head: String,
    body: Vec<u8>,
}

impl Making<'_> {
    /// The message.
    pub(crate) fn message(&self) -> Result<Vec<u8>, SetError> {
        let is_known = |name: &str| name.starts_with("header:") || of_convenience(name).is_some() || KNOWN.contains(&name);
        SetError::any(self.object.keys().map(String::as_str).filter(|name| !is_known(name)), "this cannot be set")?;
        let mut head = String::new();
        let (mut named, mut written) = (Vec::new(), Vec::new());
        for (property, value) in self.object {
            let (name, form, all) = match of_convenience(property) {
                Some((name, form)) => (name.to_owned(), form, false),
                None if property.starts_with("header:") => {
                    let asked = HeaderProperty::parse(property).ok_or_else(|| wrong(property, "there is no such form"))?;
                    (asked.name, asked.form, asked.all)
                }
                None => continue,
            };
            let lower = name.to_ascii_lowercase();
            if named.contains(&lower) || lower.starts_with("content-") {
                return Err(wrong(property, "this field is said twice, or is not for this place"));
            }
            named.push(lower.clone());
            let values: Vec<&Value> = match value {
                Value::Null => Vec::new(),
                Value::Array(list) if all => list.iter().collect(),
                _ if all => return Err(wrong(property, "it is not a list")),
                value => vec![value],
            };
            for value in values.into_iter().filter(|value| !matches!(value, Value::Array(list) if list.is_empty())) {
                head.push_str(&format!("{name}:{}\r\n", field_body(property, &name, form, value)?));
                written.push(lower.clone());
            }
        }
        let mut left = PARTS_MAX;
        let entity = self.whole_body(&mut left)?;
        for field in message::header::fields(entity.head.as_bytes()) {
            let lower = String::from_utf8_lossy(field.name).to_ascii_lowercase();
            if named.contains(&lower) {
                return Err(wrong("bodyStructure", "a field of the email is said in its body as well"));
            }
            written.push(lower);
        }
        let has = |name: &str| written.iter().any(|one| one == name);
        if !has("date") {
            head.push_str(&format!("Date: {}\r\n", date::format_rfc_5322(self.now_secs)));
        }
        if !has("message-id") {
            head.push_str(&format!("Message-ID: <{}@{}>\r\n", random()?, self.domain));
        }
        if !has("mime-version") {
            head.push_str("MIME-Version: 1.0\r\n");
        }
        let mut message = head.into_bytes();
        message.extend_from_slice(entity.head.as_bytes());
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(&entity.body);
        Ok(message)
    }

    fn whole_body(&self, left: &mut usize) -> Result<Entity, SetError> {
        let list = |name: &str| match self.object.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list.clone()),
            Some(_) => Err(wrong(name, "it is not a list of parts")),
        };
        let (text, html, attachments) = (list("textBody")?, list("htmlBody")?, list("attachments")?);
        if let Some(structure) = self.object.get("bodyStructure").filter(|structure| !structure.is_null()) {
            if !(text.is_empty() && html.is_empty() && attachments.is_empty()) {
                return Err(wrong("bodyStructure", "either the structure or its lists"));
            }
            return self.part(structure, "text/plain", 0, left);
        }
        if text.len() > 1 || html.len() > 1 {
            return Err(SetError::properties(&["textBody", "htmlBody"], "one part of each"));
        }
        let mut body = match (text.first(), html.first()) {
            (None, None) => None,
            (Some(text), None) => Some(self.typed(text, "text/plain", left)?),
            (None, Some(html)) => Some(self.typed(html, "text/html", left)?),
            (Some(text), Some(html)) => {
                let html = self.typed(html, "text/html", left)?;
                Some(multipart(
                    "alternative",
                    &[],
                    vec![self.typed(text, "text/plain", left)?, self.related(html, &attachments, left)?],
                )?)
            }
        };
        if let (true, Some(html)) = (text.is_empty() && !html.is_empty(), body.take_if(|_| text.is_empty() && !html.is_empty())) {
            body = Some(self.related(html, &attachments, left)?);
        }
        let is_inline = |part: &&Value| !html.is_empty() && is_related(part);
        let files: Vec<&Value> = attachments.iter().filter(|part| !is_inline(part)).collect();
        let plain = || Entity { head: "Content-Type: text/plain; charset=utf-8\r\n".into(), body: Vec::new() };
        if files.is_empty() {
            return Ok(body.unwrap_or_else(plain));
        }
        let mut parts = vec![body.unwrap_or_else(plain)];
        for file in files {
            parts.push(self.part(file, "application/octet-stream", 1, left)?);
        }
        multipart("mixed", &[], parts)
    }

    /// The HTML with the pictures it shows.
    fn related(&self, html: Entity, attachments: &[Value], left: &mut usize) -> Result<Entity, SetError> {
        let pictures: Vec<&Value> = attachments.iter().filter(|part| is_related(part)).collect();
        if pictures.is_empty() {
            return Ok(html);
        }
        let mut parts = vec![html];
        for picture in pictures {
            parts.push(self.part(picture, "application/octet-stream", 1, left)?);
        }
        multipart("related", &[], parts)
    }

    fn typed(&self, part: &Value, kind: &str, left: &mut usize) -> Result<Entity, SetError> {
        if Kind::of(part, kind)?.name != kind {
            let property = if kind == "text/html" { "htmlBody" } else { "textBody" };
            return Err(wrong(property, "textBody is text/plain, htmlBody is text/html"));
        }
        self.part(part, kind, 0, left)
    }

    fn part(&self, part: &Value, usual: &str, depth: usize, left: &mut usize) -> Result<Entity, SetError> {
        *left = left.checked_sub(1).ok_or_else(|| wrong("bodyStructure", "too many parts"))?;
        if depth > DEPTH_MAX {
            return Err(wrong("bodyStructure", "too deep"));
        }
        check_part(part)?;
        let kind = Kind::of(part, usual)?;
        let sub_parts = part.get("subParts").filter(|parts| !parts.is_null());
        if let Some(sub) = kind.name.strip_prefix("multipart/") {
            let parts = sub_parts.and_then(Value::as_array).filter(|parts| !parts.is_empty());
            let parts = parts.ok_or_else(|| wrong("bodyStructure", "a multipart has parts"))?;
            let parts: Vec<Entity> =
                parts.iter().map(|one| self.part(one, "text/plain", depth + 1, left)).collect::<Result<_, _>>()?;
            let mut whole = multipart(sub, &kind.parameters, parts)?;
            more_fields(part, &mut whole.head)?;
            return Ok(whole);
        }
        if sub_parts.is_some_and(|parts| parts.as_array().is_none_or(|parts| !parts.is_empty())) {
            return Err(wrong("bodyStructure", "only a multipart has parts"));
        }
        let (octets, is_value) = self.content(part)?;
        let text = |name: &str| part.get(name).and_then(Value::as_str);
        let mut head = format!("Content-Type: {}", kind.name);
        let charset = text("charset");
        match (is_value, charset) {
            (true, _) => head.push_str("; charset=utf-8"),
            (false, Some(charset)) => head.push_str(&format!("; charset={charset}")),
            (false, None) => {}
        }
        for (name, value) in kind.parameters.iter().filter(|(name, _)| !(is_value && name == "charset")) {
            head.push_str(&message::parameter::encode(name, value));
        }
        let name =
            text("name").map(|name| name.chars().filter(|c| !c.is_control()).collect::<String>()).filter(|name| !name.is_empty());
        head.push_str(&name.as_deref().map(|name| message::parameter::encode("name", name)).unwrap_or_default());
        head.push_str("\r\n");
        let disposition = text("disposition");
        if let Some(word) = disposition.or(name.as_ref().map(|_| "attachment")) {
            let file = name.as_deref().map(|name| message::parameter::encode("filename", name)).unwrap_or_default();
            head.push_str(&format!("Content-Disposition: {word}{file}\r\n"));
        }
        more_fields(part, &mut head)?;
        let (encoding, body) = encoded(&kind.name, octets);
        head.push_str(&format!("Content-Transfer-Encoding: {encoding}\r\n"));
        Ok(Entity { head, body })
    }

    /// The octets of a part, and whether they are a text of ours.
    fn content(&self, part: &Value) -> Result<(Vec<u8>, bool), SetError> {
        if let Some(id) = part.get("partId").and_then(Value::as_str) {
            let said = self.object.get("bodyValues").and_then(|values| values.get(id));
            let value = said.and_then(|value| value.get("value")).and_then(Value::as_str);
            let value = value.ok_or_else(|| wrong("bodyValues", "a part has no value"))?;
            let is_cut = |name: &str| said.and_then(|said| said.get(name)).is_some_and(|is| *is != Value::Bool(false));
            if is_cut("isTruncated") || is_cut("isEncodingProblem") {
                return Err(wrong("bodyValues", "a value is neither cut off nor badly decoded"));
            }
            return Ok((value.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n").into_bytes(), true));
        }
        let id =
            part.get("blobId").and_then(Value::as_str).ok_or_else(|| wrong("attachments", "a part has a partId or a blobId"))?;
        let found = self.blobs.get(id).ok_or_else(|| SetError::new("blobNotFound").with("notFound", json!([id])))?;
        Ok((found.to_vec(), false))
    }
}

/// What a part is.
struct Kind {
    /// `type/subtype`
    name: String,
    /// Only where the whole field was said.
    parameters: Vec<(String, String)>,
}

impl Kind {
    fn of(part: &Value, usual: &str) -> Result<Kind, SetError> {
        let wrong = || wrong("bodyStructure", "a type is type/subtype");
        let is_field =
            |name: &str| HeaderProperty::parse(name).is_some_and(|asked| asked.name.eq_ignore_ascii_case("content-type"));
        let field = part.as_object().into_iter().flatten().find(|(name, _)| is_field(name));
        let Some((_, value)) = field.filter(|(_, value)| !value.is_null()) else {
            let name = part.get("type").and_then(Value::as_str).unwrap_or(usual).to_ascii_lowercase();
            let is_good = name.split_once('/').is_some_and(|(main, sub)| is_token(main) && is_token(sub));
            return if is_good { Ok(Kind { name, parameters: Vec::new() }) } else { Err(wrong()) };
        };
        let said = value
            .as_str()
            .filter(|text| !text.contains(['\r', '\n', '\0']))
            .map(|text| text.trim().to_owned())
            .ok_or_else(wrong)?;
        // A multipart without its parts is none to whoever reads it: it is read as something else.
        let (main, rest) = said.split_once('/').ok_or_else(wrong)?;
        let main = main.trim().to_ascii_lowercase();
        let header = format!("Content-Type: {}/{rest}\r\n\r\n", if main == "multipart" { "application" } else { &main });
        let message = message::parse(header.as_bytes());
        let read = &message.root().content_type;
        let name = format!("{main}/{}", read.sub);
        if !is_token(&main) || !said.to_ascii_lowercase().starts_with(&name) {
            return Err(wrong());
        }
        let names: std::collections::BTreeSet<&str> =
            read.parameters.0.iter().filter_map(|(name, _)| name.split('*').next()).collect();
        let names = names.into_iter().filter(|name| *name != "boundary" && is_token(name));
        let parameters = names.filter_map(|name| Some((name.to_owned(), read.parameters.decoded(name)?))).collect();
        Ok(Kind { name, parameters })
    }
}

/// What an EmailBodyPart may say (§4.6).
fn check_part(part: &Value) -> Result<(), SetError> {
    let object = part.as_object().ok_or_else(|| wrong("bodyStructure", "a part is an object"))?;
    let has = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
    let known = PART_PROPERTIES.iter().filter(|name| **name != "headers");
    if let Some(name) = object.keys().find(|name| !name.starts_with("header:") && !known.clone().any(|known| known == name)) {
        return Err(wrong(name, "this cannot be set in a part"));
    }
    for name in ["partId", "blobId", "name", "type", "charset", "disposition", "cid", "location"] {
        let text = text_or_null(object.get(name)).map_err(|()| wrong(name, "it is a string"))?;
        if ["charset", "disposition"].contains(&name) && text.is_some_and(|text| !is_token(text)) {
            return Err(wrong(name, "it is a word of its registry"));
        }
    }
    if has("partId") && ["blobId", "charset", "size"].into_iter().any(has) {
        return Err(wrong("partId", "with it goes no blobId, charset or size"));
    }
    let mut named = Vec::new();
    for (property, value) in object.iter().filter(|(name, _)| name.starts_with("header:")) {
        let asked = HeaderProperty::parse(property).ok_or_else(|| wrong(property, "there is no such form"))?;
        let lower = asked.name.to_ascii_lowercase();
        let said_by: &[&str] = match lower.as_str() {
            "content-transfer-encoding" => return Err(wrong(property, "the server says this")),
            "content-type" => &["type", "charset", "name"],
            "content-disposition" => &["disposition", "name"],
            "content-id" => &["cid"],
            "content-language" => &["language"],
            "content-location" => &["location"],
            _ => &[],
        };
        if named.contains(&lower) || said_by.iter().any(|name| has(name)) {
            return Err(wrong(property, "this field is said twice"));
        }
        if asked.all && !value.is_array() {
            return Err(wrong(property, "it is not a list"));
        }
        named.push(lower);
    }
    Ok(())
}

/// The fields of a part besides its type, disposition and encoding.
fn more_fields(part: &Value, head: &mut String) -> Result<(), SetError> {
    let text = |name: &str| part.get(name).and_then(Value::as_str);
    if let Some(cid) = text("cid") {
        if cid.is_empty() || !cid.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>') {
            return Err(wrong("cid", "this is no Content-ID"));
        }
        head.push_str(&format!("Content-ID: <{cid}>\r\n"));
    }
    if let Some(location) = text("location") {
        if location.is_empty() || !location.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("location", "this is no URI"));
        }
        head.push_str(&format!("Content-Location: {location}\r\n"));
    }
    if let Some(languages) = part.get("language").filter(|value| !value.is_null()) {
        let words: Option<Vec<&str>> =
            languages.as_array().and_then(|list| list.iter().map(|word| word.as_str().filter(|word| is_token(word))).collect());
        let words = words.ok_or_else(|| wrong("language", "it is a list of language tags"))?;
        if !words.is_empty() {
            head.push_str(&format!("Content-Language: {}\r\n", words.join(", ")));
        }
    }
    let fields = part.as_object().into_iter().flatten().filter(|(name, value)| name.starts_with("header:") && !value.is_null());
    for (property, value) in fields {
        let asked = HeaderProperty::parse(property).ok_or_else(|| wrong(property, "there is no such form"))?;
        // Written already, as it was read.
        if asked.name.eq_ignore_ascii_case("content-type") {
            continue;
        }
        let values =
            if asked.all { value.as_array().map(Vec::as_slice).unwrap_or_default() } else { std::slice::from_ref(value) };
        for value in values {
            head.push_str(&format!("{}:{}\r\n", asked.name, field_body(property, &asked.name, asked.form, value)?));
        }
    }
    Ok(())
}

/// Properties that are not header fields.
const KNOWN: [&str; 8] =
    ["mailboxIds", "keywords", "receivedAt", "bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"];

fn is_related(part: &Value) -> bool {
    let text = |name: &str| part.get(name).and_then(Value::as_str);
    text("cid").is_some() && text("disposition") != Some("attachment")
}

fn is_token(word: &str) -> bool {
    !word.is_empty() && word.len() <= 100 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
}

fn multipart(sub: &str, parameters: &[(String, String)], parts: Vec<Entity>) -> Result<Entity, SetError> {
    let boundary = format!("=_{}", random()?);
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(format!("--{boundary}\r\n{}\r\n", part.head).as_bytes());
        body.extend_from_slice(&part.body);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let more: String = parameters.iter().map(|(name, value)| message::parameter::encode(name, value)).collect();
    Ok(Entity { head: format!("Content-Type: multipart/{sub}; boundary=\"{boundary}\"{more}\r\n"), body })
}

/// The least encoding that carries it.
fn encoded(kind: &str, octets: Vec<u8>) -> (&'static str, Vec<u8>) {
    let lines_are_short = octets.split(|b| *b == b'\n').all(|line| line.len() <= 998);
    let is_clean = !octets.contains(&0)
        && octets.iter().filter(|b| **b == b'\n').count() == octets.windows(2).filter(|two| two == b"\r\n").count();
    if kind == "message/rfc822" && lines_are_short && is_clean {
        return (if octets.is_ascii() { "7bit" } else { "8bit" }, octets);
    }
    if kind.starts_with("text/") && is_clean {
        if octets.is_ascii() && lines_are_short && !octets.windows(5).any(|five| five == b"From ") {
            return ("7bit", octets);
        }
        return ("quoted-printable", transfer::quoted_printable_encode(&octets));
    }
    ("base64", transfer::base64_encode(&octets))
}
