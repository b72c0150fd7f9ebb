//! JMAP (RFC 8620): requests of method calls, and their answers.
//!
//! States are the account's mod-sequence, ids are IMAP's OBJECTID ids: both protocols see each other's changes at once.
//! Invariant: every limit that is advertised is enforced; a method answers or fails by itself, never the whole request.
//! Must not know: who else serves the same mail.

mod answers;
mod args;
mod arrivals;
pub(crate) mod blob;
mod blob_methods;
pub(crate) mod email;
mod envelope;
mod failure;
pub(crate) mod fate;
mod followed;
mod i_json;
pub(crate) mod identity;
mod mailbox;
mod mdn;
mod methods;
pub(crate) mod own_seen;
mod people;
mod push;
mod push_subscription;
pub(crate) mod pushing;
mod quota;
mod reference;
mod reports;
mod session;
mod setting;
pub(crate) mod sharing;
mod singleton;
mod snippet;
pub(crate) mod snooze;
mod socket;
mod submission;
mod thread;
mod trace;
mod undo;
mod unsettled;
pub(crate) mod view;

use crate::limits::*;
use crate::places::Places;
use crate::site::{self, Shared, SignedIn, Site, Visit, discard};
use args::Args;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
pub(crate) use blob::{download, expire, percent, upload};
use failure::MethodError;
use methods::{About, method};
pub(crate) use push::{Pieces, event_source, still_good};
use serde_json::{Map, Value, json};
use session::{Capabilities, Remembered};
pub(crate) use session::{session, session_of};
pub(crate) use socket::web_socket;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use store::{Account, AccountId};
use view::Views;

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

pub(crate) const CORE: &str = "urn:ietf:params:jmap:core";
pub(crate) const MAIL: &str = "urn:ietf:params:jmap:mail";
const SUBMISSION: &str = "urn:ietf:params:jmap:submission";
const QUOTA: &str = "urn:ietf:params:jmap:quota";
const VACATION: &str = "urn:ietf:params:jmap:vacationresponse";
const BLOB: &str = "urn:ietf:params:jmap:blob";
const WEBSOCKET: &str = "urn:ietf:params:jmap:websocket";
/// RFC 9749
const VAPID: &str = "urn:ietf:params:jmap:webpush-vapid";
const MDN: &str = "urn:ietf:params:jmap:mdn";
/// Our own (`docs/jmap.md`).
const PROGRAM: &str = "urn:packetboat:params:jmap:program";

/// What JMAP keeps in memory only.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) views: Views,
    uploads: blob::Uploads,
    pub(crate) snoozes: snooze::Snoozes,
    streams: push::Streams,
    watched: pushing::Watched,
    /// Held by whoever changes what was sent before, and not only adds to it.
    pub(crate) submissions: tokio::sync::Mutex<()>,
    /// Held by whoever sends receipts, of which there is one a message.
    receipts: tokio::sync::Mutex<()>,
    pub(crate) unsettled: unsettled::Unsettled,
    looked: reports::Looked,
    capabilities: Remembered,
    /// Requests at work, by account.
    at_work: Places,
}

impl Memory {
    /// Room for one more stream of an account, while it is held.
    pub(crate) fn stream_place(&self, account: AccountId) -> Option<Arc<()>> {
        self.streams.place(account)
    }
}

/// An account's name in JMAP.
pub(crate) fn account_id(account: AccountId) -> String {
    format!("A{:x}", account.0)
}

/// A request-level error (RFC 8620 §3.6.1).
pub(crate) struct RequestError {
    kind: &'static str,
    detail: String,
    limit: Option<&'static str>,
}

impl RequestError {
    fn new(kind: &'static str, detail: impl Into<String>, limit: Option<&'static str>) -> RequestError {
        RequestError { kind, detail: detail.into(), limit }
    }

    pub(crate) fn value(&self) -> Value {
        let mut value =
            json!({"type": format!("urn:ietf:params:jmap:error:{}", self.kind), "status": 400, "detail": self.detail});
        if let (Some(limit), Some(object)) = (self.limit, value.as_object_mut()) {
            object.insert("limit".into(), json!(limit));
        }
        value
    }

    fn response(&self) -> Response {
        let headers = [(header::CONTENT_TYPE, "application/problem+json")];
        (StatusCode::BAD_REQUEST, headers, self.value().to_string()).into_response()
    }
}

impl From<i_json::Unreadable> for RequestError {
    fn from(why: i_json::Unreadable) -> RequestError {
        match why {
            i_json::Unreadable::NotIJson => RequestError::new("notJSON", "That is not I-JSON.", None),
            // Of the limits that have a name the one it comes closest to (RFC 8620 §3.6.1).
            i_json::Unreadable::TooMany => RequestError::new("limit", "There are too many values in it.", Some("maxSizeRequest")),
        }
    }
}

fn refused(kind: &'static str, detail: &str, limit: Option<&'static str>) -> Response {
    RequestError::new(kind, detail, limit).response()
}

/// Room for one more request of an account, while it is held.
pub(crate) fn place_for(site: &Site, account: AccountId) -> Option<tokio::sync::OwnedSemaphorePermit> {
    site.jmap.at_work.of(account, CONCURRENT_REQUESTS_MAX).try_acquire_owned().ok()
}

/// A large one holds the place of its request until it is out: who takes answers slowly, or not at all, has no more of them in
/// memory than requests at work.
fn response(value: &Value, place: tokio::sync::OwnedSemaphorePermit) -> Response {
    let text = value.to_string();
    let (len, json) = (text.len(), HeaderValue::from_static("application/json"));
    let body = if len < HELD_BYTES_MIN { Body::from(text) } else { blob::held(text.into(), Some(place)) };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    response
}

/// `POST /jmap/api`
pub(crate) async fn api(State(site): State<Shared>, Visit { signed_in, request }: Visit) -> Response {
    if site::media_type(request.headers()) != "application/json" {
        return discard(request, refused("notJSON", "The content type is not application/json.", None)).await;
    }
    let Some(place) = place_for(&site, signed_in.account.id) else {
        return discard(request, refused("limit", "Too many requests at once.", Some("maxConcurrentRequests"))).await;
    };
    let octets = match site::read(request, REQUEST_BYTES_MAX, DISCARDED_BYTES_MAX).await {
        Ok(octets) => octets,
        Err(unread) => return unread.answer(refused("limit", "The request is too large.", Some("maxSizeRequest"))),
    };
    if let Err(response) = signed_in.lasts(&site).await {
        return response;
    }
    match answer_octets(&site, &signed_in, &octets).await {
        Ok(value) => response(&value, place),
        Err(error) => error.response(),
    }
}

/// One request of many calls (RFC 8620 §3.3).
struct Asked {
    using: BTreeSet<String>,
    calls: Vec<(String, Object, String)>,
    created: Option<HashMap<String, String>>,
}

fn read_request(value: Value, known: &Capabilities) -> Result<Asked, RequestError> {
    let wrong = |detail: &str| RequestError::new("notRequest", detail, None);
    let Value::Object(mut request) = value else { return Err(wrong("A request is an object.")) };
    let using = request.get("using").and_then(Value::as_array).ok_or_else(|| wrong("`using` is missing."))?;
    let using: Option<BTreeSet<String>> = using.iter().map(|urn| urn.as_str().map(str::to_owned)).collect();
    let using = using.ok_or_else(|| wrong("`using` holds strings."))?;
    let Some(Value::Array(calls)) = request.remove("methodCalls") else { return Err(wrong("`methodCalls` is missing.")) };
    let created = match request.remove("createdIds") {
        None | Some(Value::Null) => None,
        Some(Value::Object(ids)) => {
            let ids: Option<HashMap<String, String>> = ids.into_iter().map(|(k, v)| Some((k, v.as_str()?.to_owned()))).collect();
            Some(ids.ok_or_else(|| wrong("`createdIds` holds strings."))?)
        }
        Some(_) => return Err(wrong("`createdIds` is an object.")),
    };
    if let Some(unknown) = using.iter().find(|urn| !known.has(urn)) {
        return Err(RequestError::new("unknownCapability", format!("{unknown} is not known here."), None));
    }
    if calls.len() > CALLS_MAX {
        return Err(RequestError::new("limit", "Too many calls in a request.", Some("maxCallsInRequest")));
    }
    let call = |call: Value| match call {
        Value::Array(parts) => match <[Value; 3]>::try_from(parts) {
            Ok([Value::String(name), Value::Object(arguments), Value::String(id)]) => Some((name, arguments, id)),
            _ => None,
        },
        _ => None,
    };
    let calls: Option<Vec<_>> = calls.into_iter().map(call).collect();
    Ok(Asked { using, calls: calls.ok_or_else(|| wrong("A call is [name, arguments, id]."))?, created })
}

/// Answers what came as a request.
pub(crate) async fn answer_octets(site: &Shared, signed_in: &SignedIn, octets: &[u8]) -> Result<Value, RequestError> {
    answer(site, signed_in, i_json::read(octets)?).await
}

/// Answers a whole request.
pub(crate) async fn answer(site: &Shared, signed_in: &SignedIn, request: Value) -> Result<Value, RequestError> {
    let capabilities = Capabilities::of(site).await;
    let asked = read_request(request, &capabilities)?;
    let wants_created = asked.created.is_some();
    // Trouble of ours hides the others, and each call on them says so.
    let own = site.own(&signed_in.account).await.unwrap_or_else(|_| vec![Arc::clone(&signed_in.account)]);
    let mut context = Context {
        site,
        using: &asked.using,
        shared: site,
        account: &signed_in.account,
        own: &own,
        eyes: sharing::Eyes::own(&signed_in.account),
        mark: String::new(),
        // For `Received`, which names nobody as 0.0.0.0.
        peer: signed_in.peer.filter(|ip| !ip.is_unspecified()),
        session: signed_in.session.as_deref(),
        by_program: signed_in.by_program,
        created: asked.created.unwrap_or_default(),
        values_left: BODY_VALUES_BYTES_MAX,
        uploads_left: UPLOADED_BYTES_MAX,
    };
    let mut responses: Vec<(String, Object, String)> = Vec::new();
    let (mut referred_left, mut answers_left) = (REFERRED_BYTES_MAX, ANSWERS_BYTES_MAX);
    for (name, arguments, id) in asked.calls {
        let about = arguments.get("accountId").and_then(Value::as_str);
        context.account = own.iter().find(|one| about == Some(account_id(one.id).as_str())).unwrap_or(&signed_in.account);
        let answered = match reference::resolve(arguments, &responses, &mut referred_left) {
            Ok(_) if answers_left == 0 => Err(MethodError::new("requestTooLarge")
                .with("description", json!("the answers before this one are as large as those of a request may be"))),
            Ok(arguments) => Box::pin(dispatch(&mut context, &name, arguments)).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(answers) => {
                let weight: usize = answers.iter().map(|(_, answer)| reference::members_weight(answer)).sum();
                answers_left = answers_left.saturating_sub(weight);
                responses.extend(answers.into_iter().map(|(name, answer)| (name, answer, id.clone())));
            }
            Err(error) => responses.push(("error".into(), error.into_object(), id)),
        }
    }
    let list: Vec<Value> = responses.into_iter().map(|(name, answer, id)| json!([name, answer, id])).collect();
    let mut value =
        json!({"methodResponses": list, "sessionState": session::state(site, &signed_in.account, &capabilities).await});
    if let (true, Some(object)) = (wants_created, value.as_object_mut()) {
        object.insert("createdIds".into(), json!(context.created));
    }
    Ok(value)
}

/// What every method is given.
pub(crate) struct Context<'a> {
    pub(crate) site: &'a Site,
    /// The same, for what outlives the request.
    pub(crate) shared: &'a Shared,
    /// The capabilities that the request uses.
    pub(crate) using: &'a BTreeSet<String>,
    /// Who asks: of his accounts the one that the call is about, else the one he signed in to.
    pub(crate) account: &'a Arc<Account>,
    /// All of them.
    pub(crate) own: &'a [Arc<Account>],
    /// The account that the call is about, as who asks sees it.
    pub(crate) eyes: sharing::Eyes,
    /// What its states end with.
    pub(crate) mark: String,
    pub(crate) peer: Option<std::net::IpAddr>,
    /// The browser session's name.
    pub(crate) session: Option<&'a str>,
    /// Signed in with an app password.
    pub(crate) by_program: bool,
    /// Creation ids of this request and what they became.
    pub(crate) created: HashMap<String, String>,
    /// Octets that values of bodies may still have.
    pub(crate) values_left: usize,
    /// Octets that may still be put together.
    pub(crate) uploads_left: u64,
}

/// A method's answers: its own, and those of what it did besides.
pub(crate) type Answers = Result<Vec<(String, Object)>, MethodError>;

async fn dispatch(context: &mut Context<'_>, name: &str, arguments: Object) -> Answers {
    let delivers = context.site.wishes.is_some() || !name.starts_with("MailRules/");
    let known = method(name).filter(|method| delivers && method.of.iter().all(|urn| context.using.contains(*urn)));
    // Before anything is said about arguments (RFC 8620 §3.6.2).
    let method = known.ok_or_else(|| MethodError::new("unknownMethod"))?;
    if context.by_program && method.is_its_owners() {
        let why = "an app password opens mail alone: this is done with the account's own password";
        return Err(MethodError::new("forbidden").with("description", json!(why)));
    }
    let mut args = Args::new(arguments);
    if method.about != About::Nothing {
        args.account(context).await.map_err(|error| match name {
            // RFC 9007 §2.1: "If the accountId or identityId given cannot be found, [...] an invalidArguments error".
            "MDN/send" | "MDN/parse" if error == MethodError::new("accountNotFound") => {
                MethodError::arguments("there is no such account")
            }
            _ => error,
        })?;
        if !context.eyes.are_own() && method.about != About::Mail {
            return Err(MethodError::new("accountNotSupportedByMethod"));
        }
    }
    (method.run)(context, args).await
}
