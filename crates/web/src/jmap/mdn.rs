//! Read receipts (RFC 9007): `MDN/send` and `MDN/parse`, with the notification as RFC 8098 has it.
//!
//! Invariant: one a message, and none to where the message did not ask for it. Must not know: how mail is sent.

use super::args::Args;
use super::blob::blob;
use super::failure::{MethodError, SetError};
use super::setting::id_or_created;
use super::{Answers, Context, Object, account_id, email, identity};
use crate::limits::{GET_MAX, SET_MAX};
use crate::{Outgoing, SendTo};
use message::address::Address;
use message::build::Mailbox;
use message::dsn::Original;
use message::header::first;
use message::mdn::{Disposition, DispositionNotification, DispositionType, Report, is_extension};
use serde_json::{Value, json};

/// Set when one was sent (RFC 8621 §4.1.1 registers it).
const SENT: &str = "$mdnsent";
/// Fields of others that one says.
const EXTENSIONS_MAX: usize = 50;
const PROPERTIES: [&str; 12] = [
    "forEmailId",
    "subject",
    "textBody",
    "includeOriginalMessage",
    "reportingUA",
    "disposition",
    "mdnGateway",
    "originalRecipient",
    "finalRecipient",
    "originalMessageId",
    "error",
    "extensionFields",
];

fn or_null(value: Object) -> Value {
    if value.is_empty() { Value::Null } else { Value::Object(value) }
}

fn list_or_null(list: Vec<String>) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

fn disposition(value: Option<&Value>) -> Result<Disposition, SetError> {
    let wrong = || SetError::properties(&["disposition"], "it has actionMode, sendingMode and type, as RFC 9007 says them");
    let object = value.and_then(Value::as_object).ok_or_else(wrong)?;
    // "These fields are defined as case insensitive in [RFC8098] but are case sensitive in this RFC" (RFC 9007 §2).
    let word = |name: &str| object.get(name).and_then(Value::as_str).ok_or_else(wrong);
    if object.keys().any(|name| !["actionMode", "sendingMode", "type"].contains(&name.as_str())) {
        return Err(wrong());
    }
    let one_of = |name: &str, no: &str, yes: &str| match word(name)? {
        word if word == yes => Ok(true),
        word if word == no => Ok(false),
        _ => Err(wrong()),
    };
    Ok(Disposition {
        automatic_action: one_of("actionMode", "manual-action", "automatic-action")?,
        sent_automatically: one_of("sendingMode", "mdn-sent-manually", "mdn-sent-automatically")?,
        kind: word("type").map(DispositionType::from_word)?.filter(|kind| word("type") == Ok(kind.word())).ok_or_else(wrong)?,
        modifiers: Vec::new(),
    })
}

/// `MDN/send`, and the `Email/set` that its success asks for.
pub(super) async fn send(context: &mut Context<'_>, mut args: Args) -> Answers {
    let identity_id = args.text("identityId")?.ok_or_else(|| MethodError::arguments("identityId is missing"))?;
    let send = args.needed("send")?;
    let on_success = args.object("onSuccessUpdateEmail")?.unwrap_or_default();
    args.end()?;
    // RFC 9007 §2.1: what does not lead to the keyword is not sent.
    if let Some(creation) = send.keys().find(|creation| !sets_sent(on_success.get(&format!("#{creation}")))) {
        return Err(MethodError::arguments(format!("onSuccessUpdateEmail does not set {SENT} for #{creation}")));
    }
    if send.len() > SET_MAX {
        return Err(MethodError::new("requestTooLarge"));
    }
    let identity_id = id_or_created(context, &identity_id).unwrap_or(identity_id);
    let known = identity::all(context).await?;
    let (_, identity) =
        known.iter().find(|(id, _)| *id == identity_id).ok_or_else(|| MethodError::arguments("there is no such identity"))?;
    let from = identity.get("email").and_then(Value::as_str).unwrap_or_default().to_owned();
    let own: Vec<String> = known.iter().filter_map(|(_, one)| one.get("email")?.as_str().map(str::to_owned)).collect();
    // Whoever looks whether one was sent waits until it is written down.
    let _alone = context.site.jmap.receipts.lock().await;
    let (mut sent, mut not_sent, mut update) = (Object::new(), Object::new(), Object::new());
    for (creation, value) in send {
        match one(context, (&from, &own), &value, &update).await {
            Ok((email_id, told)) => {
                update.insert(email_id, on_success.get(&format!("#{creation}")).cloned().unwrap_or_default());
                sent.insert(creation, told);
            }
            Err(error) => drop(not_sent.insert(creation, error.into_value())),
        }
    }
    let answer = json!({"accountId": account_id(context.account.id), "sent": or_null(sent), "notSent": or_null(not_sent)});
    let mut answers = vec![("MDN/send".to_owned(), answer.as_object().cloned().unwrap_or_default())];
    if !update.is_empty() {
        let mut arguments = Object::new();
        arguments.insert("update".into(), Value::Object(update));
        answers.push(email::set_besides(context, arguments).await);
    }
    Ok(answers)
}

/// Does the patch set the keyword?
fn sets_sent(patch: Option<&Value>) -> bool {
    let Some(patch) = patch.and_then(Value::as_object) else { return false };
    let whole = patch.get("keywords").and_then(|words| words.get(SENT));
    patch.get(&format!("keywords/{SENT}")).or(whole) == Some(&Value::Bool(true))
}

/// Fields of others (RFC 8098 §3.3).
fn extensions(value: Option<&Value>) -> Result<Vec<(String, String)>, SetError> {
    let wrong =
        || SetError::properties(&["extensionFields"], "it is an object of names of fields that RFC 8098 has not, and texts");
    let object = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => value.as_object().filter(|object| object.len() <= EXTENSIONS_MAX).ok_or_else(wrong)?,
    };
    let one = |(name, value): (&String, &Value)| {
        let text = value.as_str().filter(|text| is_extension(name) && !text.chars().any(char::is_control));
        Ok((name.clone(), text.ok_or_else(wrong)?.to_owned()))
    };
    object.iter().map(one).collect()
}

/// An MDN as a client may say it (RFC 9007 §2).
fn checked(value: &Value) -> Result<&Object, SetError> {
    let object = value.as_object().ok_or_else(|| SetError::properties(&["forEmailId"], "an MDN is an object"))?;
    for (name, value) in object {
        let good = match name.as_str() {
            "forEmailId" => value.is_string(),
            "subject" | "textBody" | "reportingUA" | "finalRecipient" => value.is_null() || value.is_string(),
            "includeOriginalMessage" => value.is_boolean(),
            // Looked at where they are read.
            "disposition" | "extensionFields" => true,
            // The server says these itself.
            name => PROPERTIES.contains(&name) && value.is_null(),
        };
        if !good {
            return Err(SetError::properties(&[name], "there is no such property, or it cannot be set so"));
        }
    }
    // "This property MUST NOT be null for MDN/send".
    if !object.contains_key("forEmailId") {
        return Err(SetError::properties(&["forEmailId"], "it says of which email it is"));
    }
    Ok(object)
}

/// `before`: emails of which one was sent by the same call.
async fn one(
    context: &Context<'_>,
    (from, own): (&str, &[String]),
    value: &Value,
    before: &Object,
) -> Result<(String, Value), SetError> {
    let object = checked(value)?;
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let id = text("forEmailId").and_then(|id| id_or_created(context, &id)).ok_or_else(|| SetError::new("notFound"))?;
    let octets = blob(context, &id).await.map_err(|_| SetError::new("serverFail"))?.filter(|_| id.starts_with('M'));
    let octets = octets.ok_or_else(|| SetError::new("notFound"))?;
    {
        let view = context.site.jmap.views.of(&context.site.store, context.account.id).await?;
        if before.contains_key(&id) || view.by_id(&id).is_some_and(|(_, entry)| entry.has(SENT)) {
            return Err(SetError::new("mdnAlreadySent"));
        }
    }
    let of = |name: &str| first(&octets, name).map(|field| field.text().trim().to_owned()).filter(|text| !text.is_empty());
    let asks = first(&octets, "Disposition-Notification-To").map(|field| field.addresses()).unwrap_or_default();
    let to = asks.iter().find_map(|one| one.address()).filter(|address| address.contains('@'));
    let to = to.ok_or_else(|| SetError::why("notFound", "The message asks for no receipt."))?;
    let recipient = text("finalRecipient").map(|text| without_type(&text));
    if recipient.as_ref().is_some_and(|recipient| !own.iter().any(|own| own.eq_ignore_ascii_case(recipient))) {
        return Err(SetError::why("forbiddenFrom", "finalRecipient is nobody's address here."));
    }
    let notification = DispositionNotification {
        // RFC 9007 §2: nobody is told the program who does not want that.
        reporting_ua: text("reportingUA"),
        original_recipient: of("Original-Recipient"),
        final_recipient: recipient.unwrap_or_else(|| from.to_owned()),
        original_message_id: of("Message-ID"),
        disposition: disposition(object.get("disposition"))?,
        errors: Vec::new(),
        gateway: None,
        extensions: extensions(object.get("extensionFields"))?,
    };
    let include = object.get("includeOriginalMessage") == Some(&Value::Bool(true));
    let words = Words { subject: text("subject"), text: text("textBody"), original_subject: of("Subject").unwrap_or_default() };
    let all = json!({
        "finalRecipient": format!("rfc822; {}", notification.final_recipient), "originalMessageId": notification.original_message_id,
        "originalRecipient": notification.original_recipient, "includeOriginalMessage": false,
    });
    let of_server = deliver(context, (from, to), notification, (words, include.then_some(Original::Message(&octets)))).await?;
    // "Any properties that were not set by the client" (§2.1): null is not set.
    let mut told = all.as_object().cloned().unwrap_or_default();
    told.extend(of_server);
    told.retain(|name, value| !value.is_null() && object.get(name).is_none_or(Value::is_null));
    Ok((id, Value::Object(told)))
}

/// Why it was not taken, in the words of §2.1.
fn refused(refusal: &mta::Refusal) -> SetError {
    let kind = match (refusal.code, refusal.enhanced) {
        (_, (_, 3, 4)) => "tooLarge",
        (_, (_, 2, 2) | (_, 3, 1)) => "overQuota",
        (_, (_, 3, _)) => "serverFail",
        (400..500, _) => "rateLimit",
        _ => "forbidden",
    };
    SetError::why(kind, refusal.to_string())
}

/// For people.
struct Words {
    subject: Option<String>,
    text: Option<String>,
    original_subject: String,
}

fn without_type(recipient: &str) -> String {
    recipient.split_once(';').map_or(recipient, |(_, address)| address).trim().to_owned()
}

/// What the words for people are, of those that its sender did not say.
async fn deliver(
    context: &Context<'_>,
    (from, to): (&str, String),
    notification: DispositionNotification,
    (words, original): (Words, Option<Original<'_>>),
) -> Result<Object, SetError> {
    let mailbox = |text: &str| {
        let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
        Mailbox::from(Address { local: local.to_owned(), domain: domain.to_owned() })
    };
    let mut octets = [0u8; 12];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets).map_err(|_| SetError::new("serverFail"))?;
    let message_id = format!("{}@{}", data_encoding::HEXLOWER.encode(&octets), context.site.hostname);
    let report = Report {
        from: mailbox(from),
        to: mailbox(&to),
        date_secs: net::clock::unix_now(),
        message_id: &message_id,
        original_subject: &words.original_subject,
        notification,
        subject: words.subject.as_deref(),
        text: words.text.as_deref(),
        original,
    };
    let outgoing = Outgoing {
        account: context.account.clone(),
        // RFC 8098 §3: so that nothing answers it.
        reverse_path: String::new(),
        recipients: vec![SendTo { address: to, notify: store::QueueRecipient::NOTIFY_NEVER, original: None }],
        octets: report.build().into(),
        hold_until_secs: None,
        ret_headers: false,
        envelope_id: None,
        service: store::QueueService::default(),
        peer: context.peer,
        resent: false,
    };
    let (subject, text) = (report.subject_said().into_owned(), report.text_said().into_owned());
    context.site.sender.send(outgoing).await.map_err(|refusal| refused(&refusal))?;
    Ok(Object::from_iter([("subject".to_owned(), json!(subject)), ("textBody".to_owned(), json!(text))]))
}

/// `MDN/parse`
pub(super) async fn parse(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.texts("blobIds")?.ok_or_else(|| MethodError::arguments("blobIds is missing"))?;
    args.end()?;
    if ids.len() > GET_MAX {
        return Err(MethodError::new("requestTooLarge"));
    }
    let (mut parsed, mut not_parsable, mut not_found) = (Object::new(), Vec::new(), Vec::new());
    for id in ids {
        let found = match id_or_created(context, &id) {
            Some(now) => blob(context, &now).await?,
            None => None,
        };
        match found {
            None => not_found.push(id),
            Some(octets) => match read(context, &octets).await? {
                Some(value) => drop(parsed.insert(id, value)),
                None => not_parsable.push(id),
            },
        }
    }
    let answer = json!({
        "accountId": account_id(context.account.id), "parsed": or_null(parsed), "notParsable": list_or_null(not_parsable),
        "notFound": list_or_null(not_found),
    });
    Ok(answer.as_object().cloned().unwrap_or_default())
}

async fn read(context: &Context<'_>, octets: &[u8]) -> Result<Option<Value>, MethodError> {
    let (value, message_id) = {
        let message = message::parse(octets);
        let is_one = |part: &&message::part::Part<'_>| {
            let kind = &part.content_type;
            kind.is("message", "disposition-notification") || kind.is("message", "global-disposition-notification")
        };
        let Some(part) = message.parts.iter().find(is_one) else { return Ok(None) };
        let Some(told) = DispositionNotification::parse(&part.content()) else { return Ok(None) };
        let text = message.parts.iter().find(|part| part.content_type.is("text", "plain")).and_then(|part| part.text());
        let has_original = message.parts.iter().any(|part| {
            let kind = &part.content_type;
            kind.is("message", "rfc822") || kind.is("text", "rfc822-headers") || kind.is("message", "global")
        });
        let subject = message.root().field("subject").map(|field| field.text_in(message.header_charset()).into_owned());
        let disposition = &told.disposition;
        let value = json!({
            "forEmailId": null, "subject": subject, "textBody": text, "includeOriginalMessage": has_original,
            "reportingUA": told.reporting_ua, "mdnGateway": told.gateway, "originalRecipient": told.original_recipient,
            "finalRecipient": format!("rfc822; {}", told.final_recipient), "originalMessageId": told.original_message_id,
            "disposition": {
                "actionMode": if disposition.automatic_action { "automatic-action" } else { "manual-action" },
                "sendingMode": if disposition.sent_automatically { "mdn-sent-automatically" } else { "mdn-sent-manually" },
                "type": disposition.kind.word(),
            },
            "error": list_or_null(told.errors), "extensionFields": or_null(told.extensions.into_iter().map(|(name, value)| (name, json!(value))).collect()),
        });
        (value, told.original_message_id)
    };
    Ok(Some(with_email(context, value, message_id).await?))
}

/// The email it is about, where it is still there.
async fn with_email(context: &Context<'_>, mut value: Value, message_id: Option<String>) -> Result<Value, MethodError> {
    let Some(message_id) = message_id.filter(|id| !id.trim().is_empty()) else { return Ok(value) };
    let hits = context.site.search.account(context.account.id, search::Query::header("Message-ID", message_id.trim())).await?;
    let view = context.site.jmap.views.of(&context.site.store, context.account.id).await?;
    let found = hits.iter().find_map(|hit| view.at(hit.mailbox, hit.row.uid)).filter(|key| view.get(*key).is_some());
    if let (Some(key), Some(object)) = (found, value.as_object_mut()) {
        object.insert("forEmailId".into(), json!(key.id()));
    }
    Ok(value)
}
