//! JMAP (RFC 8620): the session resource, requests of method calls, and the methods.
//!
//! States are the account's mod-sequence, ids are IMAP's OBJECTID ids: both protocols see each other's changes at once.
//! Invariant: every limit that is advertised is enforced; a method answers or fails by itself, never the whole request.
//! Must not know: who else serves the same mail.

mod answers;
mod args;
mod arrivals;
mod blob;
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
pub(crate) mod own_seen;
mod people;
mod push;
mod push_subscription;
pub(crate) mod pushing;
mod quota;
mod reference;
mod reports;
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
use crate::site::{self, Asking, Shared, SignedIn, Site, Visit, discard, signed_in};
use args::Args;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
pub(crate) use blob::{download, expire, percent, upload};
use failure::MethodError;
pub(crate) use push::{Pieces, event_source, still_good};
use serde_json::{Map, Value, json};
use singleton::Only;
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
    pub(crate) unsettled: unsettled::Unsettled,
    looked: reports::Looked,
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

async fn capabilities(site: &Site) -> Vec<(&'static str, Value, Value)> {
    let core = json!({
        "maxSizeUpload": site.message_bytes_max, "maxConcurrentUpload": CONCURRENT_UPLOADS_MAX,
        "maxSizeRequest": REQUEST_BYTES_MAX, "maxConcurrentRequests": CONCURRENT_REQUESTS_MAX,
        "maxCallsInRequest": CALLS_MAX, "maxObjectsInGet": GET_MAX, "maxObjectsInSet": SET_MAX,
        "collationAlgorithms": answers::COLLATIONS.map(|(name, _)| name),
    });
    let mail = json!({
        "maxMailboxesPerEmail": Value::Null, "maxMailboxDepth": store::limits::MAILBOX_LEVELS_MAX,
        "maxSizeMailboxName": MAILBOX_NAME_BYTES_MAX, "maxSizeAttachmentsPerEmail": attachments_bytes_max(site.message_bytes_max),
        "emailQuerySortOptions": email::SORTS, "mayCreateTopLevelMailbox": true,
    });
    let extensions = envelope::extensions(site.message_bytes_max, net::clock::unix_now());
    let submission = json!({"maxDelayedSend": envelope::delay_secs_max(), "submissionExtensions": extensions});
    let blob = json!({
        "maxSizeBlobSet": site.message_bytes_max, "maxDataSources": BLOB_SOURCES_MAX,
        "supportedTypeNames": blob_methods::LOOKUP_TYPES, "supportedDigestAlgorithms": blob_methods::DIGESTS,
    });
    let program = json!({"wireUrl": "/api/wire", "maxPeople": PEOPLE_MAX, "maxSnoozes": SNOOZES_MAX, "hasRules": site.wishes.is_some(),
            "hasLinks": site.links.is_some()});
    let mut all = vec![
        (CORE, core, json!({})),
        (MAIL, json!({}), mail),
        (SUBMISSION, json!({}), submission),
        (QUOTA, json!({}), json!({})),
        (BLOB, json!({}), blob),
        (MDN, json!({}), json!({})),
        // Its address is filled in where it is known under which name it is asked.
        (WEBSOCKET, json!({"supportsPush": true}), Value::Null),
        (PROGRAM, json!({}), program),
    ];
    match site.pushes.public_key(&site.store).await {
        Ok(key) => all.push((VAPID, json!({"applicationServerKey": key}), Value::Null)),
        Err(error) => tracing::error!(?error, "browsers are told no key for push services"),
    }
    // Somebody who does not deliver cannot answer either.
    if site.wishes.is_some() {
        all.push((VACATION, json!({}), json!({})));
    }
    all
}

/// The session resource (RFC 8620 §2).
pub(crate) async fn session(State(site): State<Shared>, request: Request) -> Response {
    let asking = Asking::of(&request);
    let base = asking.base_url();
    match signed_in(&site, asking).await {
        Ok(signed_in) => site::answer(StatusCode::OK, &session_of(&site, &signed_in.account, &base).await),
        Err(response) => response,
    }
}

/// What the session resource says to an account under the name `base`.
pub(crate) async fn session_of(site: &Site, account: &Arc<Account>, base: &str) -> Value {
    let mut told = described(site, account).await;
    let state = state_of(account, &told);
    told["state"] = json!(state);
    told["apiUrl"] = json!(format!("{base}/jmap/api"));
    told["downloadUrl"] = json!(format!("{base}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?type={{type}}"));
    told["uploadUrl"] = json!(format!("{base}/jmap/upload/{{accountId}}/"));
    told["eventSourceUrl"] = json!(format!("{base}/jmap/eventsource/?types={{types}}&closeafter={{closeafter}}&ping={{ping}}"));
    // `http` becomes `ws`, `https` becomes `wss`.
    told["capabilities"][WEBSOCKET]["url"] = json!(format!("{}/jmap/ws", base.replacen("http", "ws", 1)));
    told
}

/// All of it but its state, and the addresses, which hang on the name under which it is asked.
async fn described(site: &Site, account: &Arc<Account>) -> Value {
    let id = account_id(account.id);
    let all = capabilities(site).await;
    let of_server: Object = all.iter().map(|(urn, server, _)| ((*urn).to_owned(), server.clone())).collect();
    let of_account = all.iter().filter(|(.., account)| !account.is_null());
    let of_account: Object = of_account.map(|(urn, _, account)| ((*urn).to_owned(), account.clone())).collect();
    let primary: Object = all
        .iter()
        .filter(|(urn, _, account)| *urn != CORE && !account.is_null())
        .map(|(urn, ..)| ((*urn).to_owned(), json!(id)))
        .collect();
    let mut accounts = Object::new();
    for (shared, name, tops) in sharing::described(&site.store, account).await {
        // Mail, and what it takes to read and write it; the rest is everybody's own affair.
        let mut can: Object = of_account.clone();
        can.retain(|urn, _| [CORE, MAIL, BLOB].contains(&urn.as_str()));
        if let Some(mail) = can.get_mut(MAIL).and_then(Value::as_object_mut) {
            mail.insert("mayCreateTopLevelMailbox".into(), json!(tops));
        }
        accounts.insert(shared, json!({"name": name, "isPersonal": false, "isReadOnly": false, "accountCapabilities": can}));
    }
    for own in site.own(account).await.unwrap_or_else(|_| vec![Arc::clone(account)]) {
        let told = json!({"name": own.address, "isPersonal": true, "isReadOnly": false, "accountCapabilities": of_account});
        accounts.insert(account_id(own.id), told);
    }
    json!({"capabilities": of_server, "accounts": accounts, "primaryAccounts": primary, "username": account.address})
}

/// "If the value of any other property on the Session object changes, this string will change" (RFC 8620 §2): made of all of it, under
/// whatever name it is asked, and of the account's sign-ins.
async fn session_state(site: &Site, account: &Arc<Account>) -> String {
    state_of(account, &described(site, account).await)
}

fn state_of(account: &Account, told: &Value) -> String {
    format!("s{:x}-{}", account.epoch, &blake3::hash(told.to_string().as_bytes()).to_hex().as_str()[..16])
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

/// `POST /jmap/api`
pub(crate) async fn api(State(site): State<Shared>, Visit { signed_in, request }: Visit) -> Response {
    if site::media_type(request.headers()) != "application/json" {
        return discard(request, refused("notJSON", "The content type is not application/json.", None)).await;
    }
    let Some(_place) = place_for(&site, signed_in.account.id) else {
        return discard(request, refused("limit", "Too many requests at once.", Some("maxConcurrentRequests"))).await;
    };
    let octets = match site::read(request, REQUEST_BYTES_MAX, DISCARDED_BYTES_MAX).await {
        Ok(octets) => octets,
        Err(unread) => return unread.answer(refused("limit", "The request is too large.", Some("maxSizeRequest"))),
    };
    match answer(&site, &signed_in, &octets).await {
        Ok(value) => site::answer(StatusCode::OK, &value),
        Err(error) => error.response(),
    }
}

/// One request of many calls (RFC 8620 §3.3).
struct Asked {
    using: BTreeSet<String>,
    calls: Vec<(String, Object, String)>,
    created: Option<HashMap<String, String>>,
}

fn read_request(octets: &[u8], known: &[&str]) -> Result<Asked, RequestError> {
    let wrong = |detail: &str| RequestError::new("notRequest", detail, None);
    let value = i_json::read(octets)?;
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

/// Answers a whole request.
pub(crate) async fn answer(site: &Shared, signed_in: &SignedIn, octets: &[u8]) -> Result<Value, RequestError> {
    let all = capabilities(site).await;
    let known: Vec<&str> = all.iter().map(|(urn, ..)| *urn).collect();
    let asked = read_request(octets, &known)?;
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
        created: asked.created.unwrap_or_default(),
        values_left: BODY_VALUES_BYTES_MAX,
    };
    let mut responses: Vec<(String, Object, String)> = Vec::new();
    let mut referred_left = REFERRED_BYTES_MAX;
    for (name, arguments, id) in asked.calls {
        let about = arguments.get("accountId").and_then(Value::as_str);
        context.account = own.iter().find(|one| about == Some(account_id(one.id).as_str())).unwrap_or(&signed_in.account);
        let answered = match reference::resolve(arguments, &responses, &mut referred_left) {
            Ok(arguments) => Box::pin(dispatch(&mut context, &name, arguments)).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(answers) => responses.extend(answers.into_iter().map(|(name, answer)| (name, answer, id.clone()))),
            Err(error) => responses.push(("error".into(), error.into_object(), id)),
        }
    }
    let list: Vec<Value> = responses.into_iter().map(|(name, answer, id)| json!([name, answer, id])).collect();
    let mut value = json!({"methodResponses": list, "sessionState": session_state(site, &signed_in.account).await});
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
    /// Creation ids of this request and what they became.
    pub(crate) created: HashMap<String, String>,
    /// Octets that values of bodies may still have.
    pub(crate) values_left: usize,
}

/// A method's answers: its own, and those of what it did besides.
pub(crate) type Answers = Result<Vec<(String, Object)>, MethodError>;

async fn dispatch(context: &mut Context<'_>, name: &str, arguments: Object) -> Answers {
    let capability = match name.split('/').next().unwrap_or_default() {
        "Core" | "PushSubscription" => CORE,
        "Identity" | "EmailSubmission" => SUBMISSION,
        "Quota" => QUOTA,
        "VacationResponse" => VACATION,
        "MDN" => MDN,
        // RFC 8620 has the copy.
        "Blob" if name == "Blob/copy" => CORE,
        "Blob" => BLOB,
        "Trace" | "Undo" | "Person" | "Snooze" | "MailRules" => PROGRAM,
        _ => MAIL,
    };
    let delivers = context.site.wishes.is_some() || !name.starts_with("MailRules/");
    // Before anything is said about arguments (RFC 8620 §3.6.2).
    if !context.using.contains(capability) || !delivers || !is_known(name) {
        return Err(MethodError::new("unknownMethod"));
    }
    if name == "Core/echo" {
        return Ok(vec![(name.to_owned(), arguments)]);
    }
    let mut args = Args::new(arguments);
    // Of no account (RFC 8620 §7.2).
    match name {
        "PushSubscription/get" => {
            return push_subscription::get(context, args).await.map(|answer| vec![(name.to_owned(), answer)]);
        }
        "PushSubscription/set" => {
            return Box::pin(push_subscription::set(context, args)).await.map(|answer| vec![(name.to_owned(), answer)]);
        }
        _ => {}
    }
    args.account(context).await?;
    if !context.eyes.are_own() && !is_of_mail(name) {
        return Err(MethodError::new("accountNotSupportedByMethod"));
    }
    match name {
        "Email/copy" => return Box::pin(email::copy(context, args)).await,
        "EmailSubmission/set" => return submission::set(context, args).await,
        "MDN/send" => return Box::pin(mdn::send(context, args)).await,
        _ => {}
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
        "Quota/queryChanges" => quota::query_changes(context, args).await,
        _ => Box::pin(more(context, name, args)).await,
    };
    one.map(|answer| vec![(name.to_owned(), answer)])
}

/// Is there such a method? What [`dispatch`] and [`more`] carry out, by objects.
fn is_known(name: &str) -> bool {
    let Some((object, verb)) = name.split_once('/') else { return false };
    let verbs: &[&str] = match object {
        "Core" => &["echo"],
        "Mailbox" | "EmailSubmission" => &["get", "changes", "query", "queryChanges", "set"],
        "Quota" => &["get", "changes", "query", "queryChanges"],
        "Email" => &["get", "changes", "query", "queryChanges", "set", "copy", "import", "parse"],
        "Thread" => &["get", "changes"],
        "SearchSnippet" | "Trace" => &["get"],
        "Identity" | "VacationResponse" | "MailRules" | "Person" | "Snooze" => &["get", "changes", "set"],
        "PushSubscription" => &["get", "set"],
        "MDN" => &["send", "parse"],
        "Blob" => &["upload", "get", "lookup", "copy"],
        "Undo" => &["get", "restore"],
        _ => &[],
    };
    verbs.contains(&verb)
}

/// The methods that know mailboxes of others; the rest is everybody's own affair.
fn is_of_mail(name: &str) -> bool {
    let object = name.split('/').next().unwrap_or_default();
    ["Mailbox", "Thread", "Email", "SearchSnippet", "Blob"].contains(&object)
}

/// What is not a mail's own: vacation, rules, people, and what only this program shows.
async fn more(context: &mut Context<'_>, name: &str, args: Args) -> Result<Object, MethodError> {
    match name {
        "VacationResponse/get" => singleton::get(context, args, Only::VacationResponse).await,
        "VacationResponse/changes" => singleton::changes(context, args, Only::VacationResponse).await,
        "VacationResponse/set" => singleton::set(context, args, Only::VacationResponse).await,
        "MailRules/get" => singleton::get(context, args, Only::MailRules).await,
        "MailRules/changes" => singleton::changes(context, args, Only::MailRules).await,
        "MailRules/set" => singleton::set(context, args, Only::MailRules).await,
        "MDN/parse" => mdn::parse(context, args).await,
        "Blob/upload" => blob_methods::upload(context, args).await,
        "Blob/get" => blob_methods::get(context, args).await,
        "Blob/lookup" => blob_methods::lookup(context, args).await,
        "Blob/copy" => blob_methods::copy(context, args).await,
        "Trace/get" => trace::get(context, args).await,
        "Undo/get" => undo::get(context, args).await,
        "Undo/restore" => undo::restore(context, args).await,
        "Person/get" => people::get(context, args).await,
        "Person/changes" => people::changes(context, args).await,
        "Person/set" => people::set(context, args).await,
        "Snooze/get" => snooze::get(context, args).await,
        "Snooze/changes" => snooze::changes(context, args).await,
        "Snooze/set" => snooze::set(context, args).await,
        _ => Err(MethodError::new("unknownMethod")),
    }
}
