//! `GET /api/wire`: the dialogues of an account's own mail programs, line by line as they happen, as server-sent events.
//!
//! Invariant: only its own account's; a stream ends with its session. Must not know: the protocols.

use crate::Spoken;
use crate::jmap::{Pieces, still_good};
use crate::limits::{PING_SECS_MAX, WIRE_WAITING_MAX};
use crate::sign_in::by_owner;
use crate::site::{Asking, Shared, SignedIn, problem};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc;

/// See the module.
pub(crate) async fn stream(State(site): State<Shared>, request: Request) -> Response {
    let signed_in = match by_owner(&site, Asking::of(&request)).await {
        Ok(signed_in) => signed_in,
        Err(response) => return response,
    };
    let busy = || problem(StatusCode::TOO_MANY_REQUESTS, "Enough people watch already.");
    let Some(place) = site.jmap.stream_place(signed_in.account.id) else { return busy() };
    let Some(spoken) = site.wire.watch(&signed_in.account) else { return busy() };
    let (to, receiver) = mpsc::channel(WIRE_WAITING_MAX);
    tokio::spawn(async move {
        let _place = place;
        tell(&site, &signed_in, spoken, to).await;
    });
    let mut response = Response::new(Body::new(Pieces(receiver)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn event(spoken: &Spoken) -> Bytes {
    let data = json!({
        "at": spoken.at_millis, "connection": spoken.connection, "protocol": spoken.protocol, "peer": spoken.peer,
        "side": if spoken.by_client { "client" } else { "server" }, "line": spoken.line, "meaning": spoken.meaning,
        "section": spoken.section, "lost": spoken.lost,
    });
    Bytes::from(format!("event: line\ndata: {data}\n\n"))
}

async fn tell(site: &Shared, signed_in: &SignedIn, mut spoken: mpsc::Receiver<Spoken>, to: mpsc::Sender<Bytes>) {
    let Ok(mut watch) = site.store.watch(signed_in.account.id).await else { return };
    let mut epochs = site.store.epoch_watch();
    let mut shutdown = site.shutdown.clone();
    // So that the page knows that it watches.
    if to.send(Bytes::from_static(b"event: watching\ndata: {}\n\n")).await.is_err() {
        return;
    }
    loop {
        let piece = tokio::select! {
            next = spoken.recv() => match next {
                Some(next) => event(&next),
                None => return,
            },
            _ = shutdown.changed() => return,
            () = to.closed() => return,
            _ = epochs.recv() => Bytes::new(),
            // The end of a session is a change of its account.
            _ = watch.changed() => Bytes::new(),
            () = tokio::time::sleep(Duration::from_secs(PING_SECS_MAX)) => Bytes::from_static(b": still here\n\n"),
        };
        let is_line = piece.starts_with(b"event");
        if !is_line && !still_good(site, signed_in).await {
            return;
        }
        if !piece.is_empty() && to.send(piece).await.is_err() {
            return;
        }
    }
}
