//! JMAP (RFC 8620): the session resource, requests of method calls, and the methods.
//!
//! States are the account's mod-sequence, ids are IMAP's OBJECTID ids: both protocols see each other's changes at once.
//! Invariant: every limit that is advertised is enforced; a method answers or fails by itself, never the whole request.
//! Must not know: who else serves the same mail.

mod answers;
mod args;
mod blob;
pub(crate) mod email;
mod failure;
mod identity;
mod mailbox;
mod push;
mod quota;
mod reference;
mod setting;
mod snippet;
mod submission;
mod thread;
pub(crate) mod view;

use crate::limits::*;
use crate::site::{self, Asking, Shared, SignedIn, Site, discard, signed_in};
use args::Args;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
pub(crate) use blob::{download, upload};
use failure::MethodError;
pub(crate) use push::event_source;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use store::{Account, AccountId};
use tokio::sync::Semaphore;
use view::Views;

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

const CORE: &str = "urn:ietf:params:jmap:core";
const MAIL: &str = "urn:ietf:params:jmap:mail";
const SUBMISSION: &str = "urn:ietf:params:jmap:submission";
const QUOTA: &str = "urn:ietf:params:jmap:quota";

/// What JMAP keeps in memory only.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) views: Views,
    uploads: blob::Uploads,
    streams: push::Streams,
    /// Requests at work, by account.
    at_work: Mutex<HashMap<AccountId, Arc<Semaphore>>>,
}

/// An account's name in JMAP.
pub(crate) fn account_id(account: AccountId) -> String {
    format!("A{:x}", account.0)
}

fn capabilities(site: &Site) -> Vec<(&'static str, Value, Value)> {
    let core = json!({
        "maxSizeUpload": site.message_bytes_max, "maxConcurrentUpload": CONCURRENT_UPLOADS_MAX,
        "maxSizeRequest": REQUEST_BYTES_MAX, "maxConcurrentRequests": CONCURRENT_REQUESTS_MAX,
        "maxCallsInRequest": CALLS_MAX, "maxObjectsInGet": GET_MAX, "maxObjectsInSet": SET_MAX,
        "collationAlgorithms": ["i;ascii-casemap", "i;unicode-casemap"],
    });
    let mail = json!({
        "maxMailboxesPerEmail": Value::Null, "maxMailboxDepth": store::limits::MAILBOX_LEVELS_MAX,
        "maxSizeMailboxName": MAILBOX_NAME_BYTES_MAX, "maxSizeAttachmentsPerEmail": site.message_bytes_max / 4 * 3,
        "emailQuerySortOptions": email::SORTS, "mayCreateTopLevelMailbox": true,
    });
    let extensions = json!({"FUTURERELEASE": [], "DSN": []});
    let submission = json!({"maxDelayedSend": submission::DELAY_SECS_MAX, "submissionExtensions": extensions});
    vec![(CORE, core, json!({})), (MAIL, json!({}), mail), (SUBMISSION, json!({}), submission), (QUOTA, json!({}), json!({}))]
}

/// The session resource (RFC 8620 §2).
pub(crate) async fn session(State(site): State<Shared>, request: Request) -> Response {
    match signed_in(&site, Asking::of(&request)).await {
        Ok(signed_in) => site::answer(StatusCode::OK, &session_of(&site, &signed_in.account)),
        Err(response) => response,
    }
}

fn session_of(site: &Site, account: &Account) -> Value {
    let id = account_id(account.id);
    let all = capabilities(site);
    let of_server: Object = all.iter().map(|(urn, server, _)| ((*urn).to_owned(), server.clone())).collect();
    let of_account: Object = all.iter().map(|(urn, _, account)| ((*urn).to_owned(), account.clone())).collect();
    let primary: Object = all.iter().filter(|(urn, ..)| *urn != CORE).map(|(urn, ..)| ((*urn).to_owned(), json!(id))).collect();
    json!({
        "capabilities": of_server,
        "accounts": {&id: {"name": account.address, "isPersonal": true, "isReadOnly": false, "accountCapabilities": of_account}},
        "primaryAccounts": primary,
        "username": account.address,
        "apiUrl": "/jmap/api",
        "downloadUrl": "/jmap/download/{accountId}/{blobId}/{name}?type={type}",
        "uploadUrl": "/jmap/upload/{accountId}/",
        "eventSourceUrl": "/jmap/eventsource/?types={types}&closeafter={closeafter}&ping={ping}",
        "state": session_state(account),
    })
}

/// Changes when what the session resource says changes.
fn session_state(account: &Account) -> String {
    format!("s{:x}", account.epoch)
}

/// A request-level error (RFC 8620 §3.6.1).
fn refused(kind: &str, detail: &str, limit: Option<&str>) -> Response {
    let mut value = json!({"type": format!("urn:ietf:params:jmap:error:{kind}"), "status": 400, "detail": detail});
    if let (Some(limit), Some(object)) = (limit, value.as_object_mut()) {
        object.insert("limit".into(), json!(limit));
    }
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/problem+json")], value.to_string()).into_response()
}

/// `POST /jmap/api`
pub(crate) async fn api(State(site): State<Shared>, request: Request) -> Response {
    let signed_in = match signed_in(&site, Asking::of(&request)).await {
        Ok(signed_in) => signed_in,
        Err(response) => return discard(request, response).await,
    };
    if site::media_type(request.headers()) != "application/json" {
        return discard(request, refused("notJSON", "The content type is not application/json.", None)).await;
    }
    let place = {
        let mut at_work = site.jmap.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.retain(|_, places| Arc::strong_count(places) > 1 || places.available_permits() < CONCURRENT_REQUESTS_MAX);
        let new = || Arc::new(Semaphore::new(CONCURRENT_REQUESTS_MAX));
        Arc::clone(at_work.entry(signed_in.account.id).or_insert_with(new)).try_acquire_owned()
    };
    let Ok(_place) = place else {
        return discard(request, refused("limit", "Too many requests at once.", Some("maxConcurrentRequests"))).await;
    };
    let Some(octets) = site::read(request.into_body(), REQUEST_BYTES_MAX, DISCARDED_BYTES_MAX).await else {
        return refused("limit", "The request is too large.", Some("maxSizeRequest"));
    };
    match answer(&site, &signed_in, &octets).await {
        Ok(value) => site::answer(StatusCode::OK, &value),
        Err(response) => *response,
    }
}

/// One request of many calls (RFC 8620 §3.3).
struct Asked {
    using: BTreeSet<String>,
    calls: Vec<(String, Object, String)>,
    created: Option<HashMap<String, String>>,
}

fn read_request(octets: &[u8], known: &[&str]) -> Result<Asked, Box<Response>> {
    let wrong = |detail: &str| Box::new(refused("notRequest", detail, None));
    let value: Value = serde_json::from_slice(octets).map_err(|_| Box::new(refused("notJSON", "That is not I-JSON.", None)))?;
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
    if let Some(unknown) = using.iter().find(|urn| !known.contains(&urn.as_str())) {
        return Err(Box::new(refused("unknownCapability", &format!("{unknown} is not known here."), None)));
    }
    if calls.len() > CALLS_MAX {
        return Err(Box::new(refused("limit", "Too many calls in a request.", Some("maxCallsInRequest"))));
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

/// Answers a whole request.
async fn answer(site: &Site, signed_in: &SignedIn, octets: &[u8]) -> Result<Value, Box<Response>> {
    let all = capabilities(site);
    let known: Vec<&str> = all.iter().map(|(urn, ..)| *urn).collect();
    let asked = read_request(octets, &known)?;
    let wants_created = asked.created.is_some();
    let mut context =
        Context { site, account: &signed_in.account, peer: signed_in.peer, created: asked.created.unwrap_or_default() };
    let mut responses: Vec<(String, Object, String)> = Vec::new();
    for (name, arguments, id) in asked.calls {
        let answered = match reference::resolve(arguments, &responses) {
            Ok(arguments) => Box::pin(dispatch(&mut context, &asked.using, &name, arguments)).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(answers) => responses.extend(answers.into_iter().map(|(name, answer)| (name, answer, id.clone()))),
            Err(error) => responses.push(("error".into(), error.into_object(), id)),
        }
    }
    let list: Vec<Value> = responses.into_iter().map(|(name, answer, id)| json!([name, answer, id])).collect();
    let mut value = json!({"methodResponses": list, "sessionState": session_state(&signed_in.account)});
    if let (true, Some(object)) = (wants_created, value.as_object_mut()) {
        object.insert("createdIds".into(), json!(context.created));
    }
    Ok(value)
}

/// What every method is given.
pub(crate) struct Context<'a> {
    pub(crate) site: &'a Site,
    pub(crate) account: &'a Arc<Account>,
    pub(crate) peer: Option<std::net::IpAddr>,
    /// Creation ids of this request and what they became.
    pub(crate) created: HashMap<String, String>,
}

/// A method's answers: its own, and those of what it did besides.
pub(crate) type Answers = Result<Vec<(String, Object)>, MethodError>;

async fn dispatch(context: &mut Context<'_>, using: &BTreeSet<String>, name: &str, arguments: Object) -> Answers {
    let capability = match name.split('/').next().unwrap_or_default() {
        "Core" => CORE,
        "Identity" | "EmailSubmission" => SUBMISSION,
        "Quota" => QUOTA,
        _ => MAIL,
    };
    if !using.contains(capability) {
        return Err(MethodError::new("unknownMethod"));
    }
    if name == "Core/echo" {
        return Ok(vec![(name.to_owned(), arguments)]);
    }
    let mut args = Args::new(arguments);
    args.account(context)?;
    if name == "EmailSubmission/set" {
        return submission::set(context, args).await;
    }
    let one = match name {
        "Mailbox/get" => mailbox::get(context, args).await,
        "Mailbox/changes" => mailbox::changes(context, args).await,
        "Mailbox/query" => mailbox::query(context, args).await,
        "Mailbox/queryChanges" => mailbox::query_changes(context, args).await,
        "Mailbox/set" => mailbox::set(context, args).await,
        "Thread/get" => thread::get(context, args).await,
        "Thread/changes" => thread::changes(context, args).await,
        "Email/get" => email::get(context, args).await,
        "Email/changes" => email::changes(context, args).await,
        "Email/query" => email::query(context, args).await,
        "Email/queryChanges" => email::query_changes(context, args).await,
        "Email/set" => email::set(context, args).await,
        "Email/import" => email::import(context, args).await,
        "Email/copy" => email::copy(context, args).await,
        "Email/parse" => email::parse(context, args).await,
        "SearchSnippet/get" => snippet::get(context, args).await,
        "Identity/get" => identity::get(context, args).await,
        "Identity/changes" => identity::changes(context, args).await,
        "Identity/set" => identity::set(context, args).await,
        "EmailSubmission/get" => submission::get(context, args).await,
        "EmailSubmission/changes" => submission::changes(context, args).await,
        "EmailSubmission/query" => submission::query(context, args).await,
        "EmailSubmission/queryChanges" => submission::query_changes(context, args).await,
        "Quota/get" => quota::get(context, args).await,
        "Quota/changes" => quota::changes(context, args).await,
        "Quota/query" => quota::query(context, args).await,
        _ => Err(MethodError::new("unknownMethod")),
    };
    one.map(|answer| vec![(name.to_owned(), answer)])
}
