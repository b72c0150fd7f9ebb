//! What receivers take: asked by the page while a letter is written, so that who writes hears of it before Send.
//!
//! Must not know: how that is known.

use crate::limits::RECIPIENTS_ASKED_MAX;
use crate::sign_in::{body, by_page};
use crate::site::{Asking, Shared, answer, discard, problem};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

/// `POST /api/largest` `{"recipients": [address]}` -> `{"largest": {address: octets}}`: those of which it is known.
pub(crate) async fn largest(State(site): State<Shared>, request: Request) -> Response {
    if let Err(response) = by_page(&site, Asking::of(&request)).await {
        return discard(request, response).await;
    }
    let value = match body(request).await {
        Ok(value) => value,
        Err(response) => return response,
    };
    let asked: Option<Vec<&str>> =
        value.get("recipients").and_then(Value::as_array).and_then(|all| all.iter().map(Value::as_str).collect());
    let Some(asked) = asked.filter(|all| all.len() <= RECIPIENTS_ASKED_MAX) else {
        return problem(StatusCode::BAD_REQUEST, "Send recipients, at most a thousand.");
    };
    let known = asked.into_iter().filter_map(|address| Some((address.to_owned(), json!(site.sender.largest(address)?))));
    answer(StatusCode::OK, &json!({"largest": known.collect::<Map<String, Value>>()}))
}
