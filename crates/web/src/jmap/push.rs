//! Push by EventSource (RFC 8620 §7.3): what types changed, as soon as the store says so.
//!
//! Invariant: a stream ends with its session, its account's sign-in, or the server; it tells a change rather twice than never.
//! Must not know: what changed inside a type.

use super::args::{state, state_of};
use super::arrivals::{Told, since};
use super::followed::Followed;
use super::{Object, account_id};
use crate::collections::{IDENTITIES, MAILBOX_ORDERS, PEOPLE, SNOOZES, SUBMISSIONS};
use crate::limits::*;
use crate::site::{Shared, SignedIn, Site, Visit, problem, unavailable};
use axum::body::{Body, HttpBody};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use store::{AccountChanges, AccountId, ModSeq};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Types whose state can change.
const TYPES: [&str; 11] = [
    "Mailbox",
    "Thread",
    "Email",
    "EmailDelivery",
    "Identity",
    "EmailSubmission",
    "Quota",
    "VacationResponse",
    "MailRules",
    "Person",
    "Snooze",
];
/// Changes that come in so short a time are told together.
const TOGETHER: Duration = Duration::from_millis(20);

/// Open streams by account.
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashMap<AccountId, Arc<()>>>);

impl Streams {
    pub(super) fn place(&self, account: AccountId) -> Option<Arc<()>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, place| Arc::strong_count(place) > 1);
        let place = open.entry(account).or_default();
        (Arc::strong_count(place) <= STREAMS_MAX).then(|| Arc::clone(place))
    }
}

/// A body whose pieces come from a task.
pub(crate) struct Pieces(pub(crate) mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// What a client asked for.
struct Wish {
    types: Option<BTreeSet<String>>,
    close_after: bool,
    ping: Option<Duration>,
    since: Option<ModSeq>,
}

/// `GET /jmap/eventsource/?types=&closeafter=&ping=`
pub(crate) async fn event_source(
    State(site): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    Visit { signed_in, request }: Visit,
) -> Response {
    let last = request.headers().get("last-event-id").filter(|id| !id.is_empty());
    // Of one that is none of ours nobody knows what came since: everything may have.
    let last = last.map(|id| id.to_str().ok().and_then(state_of).unwrap_or(ModSeq(0)));
    let types = query.get("types").map_or("*", String::as_str);
    let types = (types != "*").then(|| types.split(',').map(str::to_owned).collect());
    let ping = query.get("ping").and_then(|ping| ping.parse::<u64>().ok()).filter(|secs| *secs > 0);
    let ping = ping.map(|secs| secs.clamp(PING_SECS_MIN, PING_SECS_MAX)).map(Duration::from_secs);
    let close_after = query.get("closeafter").is_some_and(|word| word == "state");
    let Some(place) = site.jmap.streams.place(signed_in.account.id) else {
        return problem(StatusCode::TOO_MANY_REQUESTS, "Too many event streams are open.");
    };
    let Ok(now) = Told::now(&site.store, signed_in.account.id).await else { return unavailable() };
    let wish = Wish { types, close_after, ping, since: last };
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let _place = place;
        tell(&site, &signed_in, wish, now, sender).await;
    });
    let mut response = Response::new(Body::new(Pieces(receiver)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Which types changed.
pub(super) fn changed(changes: Option<&AccountChanges>) -> BTreeSet<&'static str> {
    // The log does not reach back: anything may have.
    let Some(changes) = changes else { return TYPES.into_iter().collect() };
    let mut types = BTreeSet::new();
    if !changes.messages.is_empty() {
        types.extend(["Mailbox", "Thread", "Email", "Quota"]);
    }
    if changes.messages.values().any(|one| one.created_from.is_some()) {
        types.insert("EmailDelivery");
    }
    if !changes.mailboxes.is_empty() {
        types.insert("Mailbox");
    }
    for (collection, ..) in &changes.records {
        types.extend(match *collection {
            IDENTITIES => Some("Identity"),
            SUBMISSIONS => Some("EmailSubmission"),
            mta::wishes::VACATION => Some("VacationResponse"),
            mta::wishes::RULES => Some("MailRules"),
            store::QUOTA => Some("Quota"),
            PEOPLE => Some("Person"),
            SNOOZES => Some("Snooze"),
            MAILBOX_ORDERS => Some("Mailbox"),
            _ => None,
        });
    }
    types
}

/// The `changed` of a StateChange object (RFC 8620 §7.1), of one account; empty where nothing did.
pub(super) fn states(account: AccountId, types: &BTreeSet<&str>, at: ModSeq) -> Object {
    let states: Object = types.iter().map(|name| ((*name).to_owned(), json!(state(at)))).collect();
    if states.is_empty() { Object::new() } else { Object::from_iter([(account_id(account), Value::Object(states))]) }
}

/// A StateChange object.
pub(super) fn state_change(account: AccountId, types: &BTreeSet<&str>, at: ModSeq) -> Value {
    json!({"@type": "StateChange", "changed": states(account, types, at)})
}

async fn tell(site: &Shared, signed_in: &SignedIn, wish: Wish, now: Told, to: mpsc::Sender<Bytes>) {
    let account = signed_in.account.id;
    let Ok(mut watch) = site.store.watch(account).await else { return };
    let mut epochs = site.store.epoch_watch();
    let mut shutdown = site.shutdown.clone();
    let mut known = wish.since.filter(|since| *since != now.mod_seq).map_or(now, |mod_seq| Told { mod_seq, horizon: None });
    let Ok(mut followed) = Followed::new(site, &signed_in.account, wish.since.is_some()).await else { return };
    let send = async |text: String| to.send(Bytes::from(text)).await.is_ok();
    // So that the client knows it is connected.
    if !send(": hello\n\n".into()).await {
        return;
    }
    // "Whenever this time elapses since the previous event was sent", whatever happens that nobody is told of.
    let pause = wish.ping.unwrap_or(Duration::from_secs(PING_SECS_MAX));
    let mut quiet_since = Instant::now();
    loop {
        let at = *watch.borrow_and_update();
        // First, so that an event of others' accounts has the id of what is known of one's own.
        let Ok(others) = followed.look(site, wish.types.as_ref()).await else { return };
        // Whatever happened: it may have been the end of the session.
        if !still_good(site, signed_in).await {
            return;
        }
        if !others.is_empty() {
            quiet_since = Instant::now();
            let data = json!({"@type": "StateChange", "changed": others});
            if !send(format!("event: state\nid: {}\ndata: {data}\n\n", state(known.mod_seq))).await || wish.close_after {
                return;
            }
        }
        if at != known.mod_seq {
            let Ok(mut types) = since(&site.store, account, &mut known).await else { return };
            types.retain(|name| wish.types.as_ref().is_none_or(|wanted| wanted.contains(*name)));
            if !types.is_empty() {
                quiet_since = Instant::now();
                let data = state_change(account, &types, known.mod_seq);
                if !send(format!("event: state\nid: {}\ndata: {data}\n\n", state(known.mod_seq))).await || wish.close_after {
                    return;
                }
            }
        }
        tokio::select! {
            changed = watch.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(TOGETHER).await;
            }
            () = followed.happened() => tokio::time::sleep(TOGETHER).await,
            _ = shutdown.changed() => return,
            () = to.closed() => return,
            _ = epochs.recv() => {}
            () = tokio::time::sleep_until(quiet_since + pause) => {
                quiet_since = Instant::now();
                let text = match wish.ping {
                    Some(ping) => format!("event: ping\ndata: {{\"interval\":{}}}\n\n", ping.as_secs()),
                    None => ": still here\n\n".to_owned(),
                };
                if !send(text).await {
                    return;
                }
            }
        }
    }
}

/// Is the sign-in that opened the stream still one?
pub(crate) async fn still_good(site: &Site, signed_in: &SignedIn) -> bool {
    let account = match site.store.account_by_id(signed_in.account.id).await {
        Ok(account) => account,
        // Trouble of ours is no reason to throw people out.
        Err(_) => return true,
    };
    if !account.is_some_and(|now| now.epoch == signed_in.account.epoch && !now.suspended) {
        return false;
    }
    match &signed_in.session {
        Some(session) => site.sessions.is_there(&site.store, signed_in.account.id, session).await,
        None => true,
    }
}
