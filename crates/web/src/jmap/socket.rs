//! JMAP over WebSocket (RFC 8887): requests and their answers in any order, and StateChanges between them.
//!
//! Invariant: requests at work, octets of a message and sockets of an account are bounded as they are over HTTP; a socket ends
//! with its sign-in, or when nobody answers its pings. Must not know: methods.

use super::args::{state, state_of};
use super::arrivals::{Told, since};
use super::followed::Followed;
use super::push::{state_change, still_good};
use super::{RequestError, answer, i_json, place_for};
use crate::limits::*;
use crate::site::{Asking, Shared, SignedIn, not_from_our_page, problem, signed_in, unavailable};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::ModSeq;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The subprotocol (RFC 8887 §4.1).
const PROTOCOL: &str = "jmap";
/// Changes that come in so short a time are told together.
const TOGETHER: Duration = Duration::from_millis(20);

/// `GET /jmap/ws`
pub(crate) async fn web_socket(State(site): State<Shared>, request: Request) -> Response {
    if !is_from_our_host(request.headers()) {
        return not_from_our_page();
    }
    let asking = Asking::of(&request);
    let patience = asking.asker.as_ref().map_or(SOCKET_PING, |asker| asker.patience);
    let arrived = asking.asker.as_ref().map(|asker| Arc::clone(&asker.arrived)).unwrap_or_default();
    let signed_in = match signed_in(&site, asking).await {
        Ok(signed_in) => signed_in,
        Err(response) => return response,
    };
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &site).await {
        Ok(upgrade) => upgrade.protocols([PROTOCOL]),
        Err(_) => return problem(StatusCode::UPGRADE_REQUIRED, "Ask for a WebSocket with the protocol jmap."),
    };
    if upgrade.selected_protocol().is_none() {
        return problem(StatusCode::BAD_REQUEST, "Ask for the protocol jmap.");
    }
    let Some(place) = site.jmap.stream_place(signed_in.account.id) else {
        return problem(StatusCode::TOO_MANY_REQUESTS, "Too many streams are open.");
    };
    if site.store.account_by_id(signed_in.account.id).await.is_err() {
        return unavailable();
    }
    let max = usize::try_from(REQUEST_BYTES_MAX).unwrap_or(usize::MAX);
    // What is written has no bound of its own: one answer at a time is, and those are bounded.
    let upgrade = upgrade.max_message_size(max).max_frame_size(max);
    upgrade.on_upgrade(move |socket| async move {
        let _place = place;
        let mut line = Line::new(socket, site, signed_in);
        line.serve(patience.min(SOCKET_PING), &arrived).await;
    })
}

/// A browser says whose page it is; with a cookie that must be ours.
fn is_from_our_host(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text("origin") else { return true };
    let host = text("host").unwrap_or_default();
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

/// Never, when there is no such instant.
async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

async fn happened(followed: &mut Option<Followed>) {
    match followed {
        Some(followed) => followed.happened().await,
        None => std::future::pending().await,
    }
}

/// A WebSocketPushEnable's `dataTypes` and `pushState` (RFC 8887 §4.3.5.2); of a state that is none of ours everything may have
/// changed since. `None`: it is not of its form.
fn enabling(value: &Value) -> Option<(Option<BTreeSet<String>>, Option<ModSeq>)> {
    let types = match value.get("dataTypes").filter(|types| !types.is_null()) {
        None => None,
        Some(types) => Some(types.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?),
    };
    let since = match value.get("pushState").filter(|state| !state.is_null()) {
        None => None,
        Some(state) => Some(state_of(state.as_str()?).unwrap_or(ModSeq(0))),
    };
    Some((types, since))
}

/// What is pushed.
struct Wish {
    types: Option<BTreeSet<String>>,
}

/// Something happened, and is told then, together with what happens until then. Requests are taken and answered meanwhile.
#[derive(Default)]
struct Due {
    own: Option<Instant>,
    others: Option<Instant>,
}

/// An answer, and the place of its request, which it holds until it is out.
type Answer = (String, OwnedSemaphorePermit);

struct Line {
    socket: WebSocket,
    site: Shared,
    signed_in: Arc<SignedIn>,
    wish: Option<Wish>,
    known: Told,
    followed: Option<Followed>,
    due: Due,
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
}

impl Line {
    fn new(socket: WebSocket, site: Shared, signed_in: SignedIn) -> Line {
        let answers = mpsc::channel(CONCURRENT_REQUESTS_MAX);
        Line {
            socket,
            site,
            signed_in: Arc::new(signed_in),
            wish: None,
            known: Told { mod_seq: ModSeq(0), horizon: None },
            followed: None,
            due: Due::default(),
            answers,
        }
    }

    async fn say(&mut self, text: String) -> bool {
        self.socket.send(Message::Text(text.into())).await.is_ok()
    }

    /// `arrived`: octets that came.
    async fn serve(&mut self, ping_every: Duration, arrived: &AtomicU64) {
        let account = self.signed_in.account.id;
        let Ok(mut watch) = self.site.store.watch(account).await else { return };
        let mut epochs = self.site.store.epoch_watch();
        let mut shutdown = self.site.shutdown.clone();
        let mut ping = interval(ping_every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut came) = (Instant::now(), arrived.load(Ordering::Relaxed));
        loop {
            let goes_on = tokio::select! {
                message = self.socket.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => self.take(text.as_str()).await,
                        Some(Ok(Message::Binary(_))) => return self.close(close_code::UNSUPPORTED, "JMAP is text").await,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => true,
                        Some(Err(error)) => return self.give_up(&error.to_string()).await,
                        Some(Ok(Message::Close(_))) | None => return,
                    }
                }
                Some((text, _place)) = self.answers.1.recv() => {
                    let said = self.say(text).await;
                    // Who takes a large answer slowly is there, and could not be asked meanwhile.
                    heard = Instant::now();
                    said
                }
                told = watch.changed(), if self.due.own.is_none() => {
                    self.due.own = Some(Instant::now() + TOGETHER);
                    told.is_ok()
                }
                () = happened(&mut self.followed), if self.due.others.is_none() => {
                    self.due.others = Some(Instant::now() + TOGETHER);
                    true
                }
                () = reached(self.due.own) => {
                    self.due.own = None;
                    let at = *watch.borrow_and_update();
                    self.tell(at).await
                }
                () = reached(self.due.others) => {
                    self.due.others = None;
                    self.tell_of_others().await
                }
                _ = shutdown.changed() => return self.close(close_code::AWAY, "the server goes down").await,
                _ = epochs.recv() => true,
                _ = ping.tick() => {
                    // A large message that comes slowly leaves its sender no room to answer pings. It may come slowly, not for ever.
                    let now_came = arrived.load(Ordering::Relaxed);
                    if now_came - std::mem::replace(&mut came, now_came) >= SOCKET_BYTES_PER_SEC_MIN * ping_every.as_secs().max(1) {
                        heard = Instant::now();
                    }
                    let silent = heard.elapsed() > 3 * ping_every;
                    !silent && self.socket.send(Message::Ping(Default::default())).await.is_ok()
                }
            };
            if !goes_on {
                return;
            }
            // A new password, or a session that was ended, ends it.
            if !still_good(&self.site, &self.signed_in).await {
                return self.close(close_code::POLICY, "signed out").await;
            }
        }
    }

    /// What came is no message. RFC 8887 §4.3.1: "A server MUST return an appropriate JSON Problem Details object for any request-level
    /// errors (e.g., [...] exceeding a server request limit)"; RFC 6455 §7.1.7: a Close frame says why.
    async fn give_up(&mut self, why: &str) {
        let (code, reason) = match why {
            why if why.starts_with("Space limit exceeded") => {
                let too_large = RequestError::new("limit", "The request is too large.", Some("maxSizeRequest"));
                self.refuse(&too_large, None).await;
                (close_code::SIZE, "that is too large")
            }
            why if why.starts_with("UTF-8 encoding error") => (close_code::INVALID, "that is no UTF-8"),
            why if why.starts_with("WebSocket protocol error") => (close_code::PROTOCOL, "that is no frame"),
            _ => return,
        };
        self.close(code, reason).await;
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let _ = self.socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
    }

    /// One message of the client.
    async fn take(&mut self, text: &str) -> bool {
        let value = match i_json::read(text.as_bytes()) {
            Ok(value) => value,
            Err(why) => return self.refuse(&RequestError::from(why), None).await,
        };
        let id = match value.get("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return self.refuse(&RequestError::new("notRequest", "`id` is a string.", None), None).await,
        };
        match value.get("@type").and_then(Value::as_str) {
            Some("Request") => self.ask(value, id).await,
            Some("WebSocketPushEnable") => self.enable(&value, id).await,
            Some("WebSocketPushDisable") => {
                (self.wish, self.followed) = (None, None);
                true
            }
            _ => self.refuse(&RequestError::new("notRequest", "There is no such @type.", None), id).await,
        }
    }

    async fn refuse(&mut self, error: &RequestError, id: Option<String>) -> bool {
        let mut value = error.value();
        if let Some(object) = value.as_object_mut() {
            object.insert("@type".into(), json!("RequestError"));
            object.insert("requestId".into(), json!(id));
        }
        self.say(value.to_string()).await
    }

    /// Beside the others that are at work; answers come as they are ready.
    async fn ask(&mut self, request: Value, id: Option<String>) -> bool {
        let Some(place) = place_for(&self.site, self.signed_in.account.id) else {
            let busy = RequestError::new("limit", "Too many requests at once.", Some("maxConcurrentRequests"));
            return self.refuse(&busy, id).await;
        };
        let (site, signed_in, to) = (Arc::clone(&self.site), Arc::clone(&self.signed_in), self.answers.0.clone());
        tokio::spawn(async move {
            let (mut value, kind) = match answer(&site, &signed_in, request).await {
                Ok(value) => (value, "Response"),
                Err(error) => (error.value(), "RequestError"),
            };
            if let Some(object) = value.as_object_mut() {
                object.insert("@type".into(), json!(kind));
                if id.is_some() {
                    object.insert("requestId".into(), json!(id));
                }
            }
            let _ = to.send((value.to_string(), place)).await;
        });
        true
    }

    async fn enable(&mut self, value: &Value, id: Option<String>) -> bool {
        let Some((types, since)) = enabling(value) else {
            let wrong = RequestError::new("notRequest", "`dataTypes` is a list of names, `pushState` a string.", None);
            return self.refuse(&wrong, id).await;
        };
        self.wish = Some(Wish { types });
        let Ok(now) = Told::now(&self.site.store, self.signed_in.account.id).await else { return false };
        let Ok(followed) = Followed::new(&self.site, &self.signed_in.account, since.is_some()).await else { return false };
        self.followed = Some(followed);
        // RFC 8887 §4.3.5.2: what happened since the client was here.
        let known = since.unwrap_or(now.mod_seq);
        let at = now.mod_seq;
        self.known = if known == at { now } else { Told { mod_seq: known, horizon: None } };
        (known == at || self.tell(at).await) && (since.is_none() || self.tell_of_others().await)
    }

    /// Of accounts with something shared.
    async fn tell_of_others(&mut self) -> bool {
        let (Some(followed), Some(wish)) = (&mut self.followed, &self.wish) else { return true };
        let Ok(others) = followed.look(&self.site, wish.types.as_ref()).await else { return false };
        if others.is_empty() {
            return true;
        }
        self.say(json!({"@type": "StateChange", "changed": others, "pushState": state(self.known.mod_seq)}).to_string()).await
    }

    async fn tell(&mut self, at: ModSeq) -> bool {
        let Some(wish) = &self.wish else { return true };
        if at == self.known.mod_seq {
            return true;
        }
        let account = self.signed_in.account.id;
        let Ok(mut types) = since(&self.site.store, account, &mut self.known).await else { return false };
        let at = self.known.mod_seq;
        types.retain(|name| wish.types.as_ref().is_none_or(|wanted| wanted.contains(*name)));
        if types.is_empty() {
            return true;
        }
        let mut told = state_change(account, &types, at);
        if let Some(object) = told.as_object_mut() {
            object.insert("pushState".into(), json!(state(at)));
        }
        self.say(told.to_string()).await
    }
}
