//! A browser's sign-in, sign-out and list of sessions: `/api/...`.
//!
//! Invariant: a session begins only with a right password, on a connection that may carry one, from our own page.
//! Must not know: mail.

use crate::Refused;
use crate::http::Asker;
use crate::limits::SMALL_BODY_BYTES_MAX;
use crate::second_factor::Verdict;
use crate::sessions::{self, set_cookie};
use crate::site::{self, Asking, Shared, SignedIn, answer, discard, problem, signed_in, unavailable};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(crate) fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// A small JSON body.
pub(crate) async fn body(request: Request) -> Result<Value, Response> {
    if site::media_type(request.headers()) != "application/json" {
        return Err(discard(request, problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send application/json.")).await);
    }
    let octets = site::read(request, SMALL_BODY_BYTES_MAX, SMALL_BODY_BYTES_MAX).await;
    let octets = octets.map_err(|unread| unread.answer(problem(StatusCode::PAYLOAD_TOO_LARGE, "That is too large.")))?;
    serde_json::from_slice(&octets).map_err(|_| problem(StatusCode::BAD_REQUEST, "That is not JSON."))
}

fn me_of(signed_in: &SignedIn) -> Value {
    json!({"address": signed_in.account.address, "accountId": crate::jmap::account_id(signed_in.account.id)})
}

/// `POST /api/sign-in`
pub(crate) async fn sign_in(State(site): State<Shared>, request: Request) -> Response {
    let Some(asker) = request.extensions().get::<Asker>().cloned() else { return unavailable() };
    if !site.allows(&asker) {
        return discard(request, problem(StatusCode::FORBIDDEN, "Signing in needs TLS here: use https.")).await;
    }
    if !site::is_from_our_page(request.method(), request.headers()) {
        return discard(request, site::not_from_our_page()).await;
    }
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let value = match body(request).await {
        Ok(value) => value,
        Err(response) => return response,
    };
    let (Some(address), Some(password)) = (text(&value, "address"), text(&value, "password").map(Zeroizing::new)) else {
        return problem(StatusCode::BAD_REQUEST, "Send address and password.");
    };
    let peer = asker.counted;
    let account = match site.doorkeeper.password(&address, password.as_bytes(), peer).await {
        Ok(account) => account,
        Err(refused) => {
            let mut response = site::no(refused);
            // The browser must not ask by itself: our page does.
            response.headers_mut().remove(header::WWW_AUTHENTICATE);
            return response;
        }
    };
    // It was made for one program, and lies in it: who finds it there gets no further than mail.
    if site.doorkeeper.is_app_password(&account, password.as_bytes()) {
        return needs("That is an app password: it is for programs. Sign in with the account's own.", "own-password");
    }
    let code = text(&value, "totp");
    match site.second_factor.check(&site.store, account.id, code.as_deref(), net::clock::unix_now()).await {
        Ok(Verdict::NotNeeded) => {}
        Ok(Verdict::Right) => {}
        Ok(Verdict::Later) => return site::no(Refused::Later),
        Ok(verdict) => return needs_code(verdict),
        Err(_) => return unavailable(),
    }
    let from = asker.from.map(|ip| ip.to_string()).unwrap_or_default();
    let Ok(token) = site.sessions.begin(&site.store, &account, (&agent, from), net::clock::unix_now()).await else {
        return unavailable();
    };
    let signed_in = SignedIn::new(account, None, peer);
    with_cookie(answer(StatusCode::OK, &me_of(&signed_in)), &token, asker.https)
}

/// 401 that says that a code is missing, or wrong.
fn needs_code(verdict: Verdict) -> Response {
    needs(if verdict == Verdict::Missing { "Send the code of now as well." } else { "That is not the code of now." }, "totp")
}

/// 401 to who knows something of the account, but not enough.
fn needs(detail: &str, what: &str) -> Response {
    let value = json!({"type": "about:blank", "status": 401, "detail": detail, "needs": what});
    let mut response = answer(StatusCode::UNAUTHORIZED, &value);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

pub(crate) fn with_cookie(mut response: Response, token: &str, tls: bool) -> Response {
    if let Ok(value) = HeaderValue::from_str(&set_cookie(token, tls)) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// `POST /api/sign-out`: also for who is not signed in any more.
pub(crate) async fn sign_out(State(site): State<Shared>, request: Request) -> Response {
    let tls = request.extensions().get::<Asker>().is_some_and(|asker| asker.https);
    if !site::is_from_our_page(request.method(), request.headers()) {
        return discard(request, site::not_from_our_page()).await;
    }
    if let Ok(SignedIn { account, session: Some(session), .. }) = signed_in(&site, Asking::of(&request)).await
        && site.sessions.end(&site.store, account.id, &session).await.is_err()
    {
        return unavailable();
    }
    let mut response = with_cookie(answer(StatusCode::OK, &json!({})), "", tls);
    let all = HeaderValue::from_static("\"cache\", \"cookies\", \"storage\"");
    response.headers_mut().insert("clear-site-data", all);
    response
}

/// `GET /api/me`
pub(crate) async fn me(State(site): State<Shared>, request: Request) -> Response {
    match by_page(&site, Asking::of(&request)).await {
        Ok(signed_in) => answer(StatusCode::OK, &me_of(&signed_in)),
        Err(response) => response,
    }
}

/// Signed in, but without the browser's own password window for who is not.
pub(crate) async fn by_page(site: &site::Site, asking: Asking) -> Result<SignedIn, Response> {
    signed_in(site, asking).await.map_err(|mut response| {
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
        response
    })
}

/// The same for what is the account's owner's alone: an app password does not open it.
pub(crate) async fn by_owner(site: &site::Site, asking: Asking) -> Result<SignedIn, Response> {
    let signed_in = by_page(site, asking).await?;
    if signed_in.by_program { Err(site::for_its_owner()) } else { Ok(signed_in) }
}

/// `GET /api/sessions`
pub(crate) async fn sessions(State(site): State<Shared>, request: Request) -> Response {
    let signed_in = match by_owner(&site, Asking::of(&request)).await {
        Ok(signed_in) => signed_in,
        Err(response) => return response,
    };
    let Ok(all) = site.sessions.list(&site.store, signed_in.account.id).await else { return unavailable() };
    let told = |session: &sessions::Session| {
        json!({
            "id": session.name, "created": session.created_secs, "lastUsed": session.used_secs, "userAgent": session.user_agent,
            "address": session.address, "isCurrent": signed_in.session.as_deref() == Some(session.name.as_str()),
        })
    };
    let list: Vec<Value> = all.iter().filter(|session| session.epoch == signed_in.account.epoch).map(told).collect();
    answer(StatusCode::OK, &json!({"sessions": list}))
}

/// `POST /api/sessions/revoke` `{"id"}`, or `{"others": true}`.
pub(crate) async fn revoke(State(site): State<Shared>, request: Request) -> Response {
    let signed_in = match by_owner(&site, Asking::of(&request)).await {
        Ok(signed_in) => signed_in,
        Err(response) => return discard(request, response).await,
    };
    let value = match body(request).await {
        Ok(value) => value,
        Err(response) => return response,
    };
    if let Err(response) = signed_in.lasts(&site).await {
        return response;
    }
    let id = signed_in.account.id;
    let Ok(all) = site.sessions.list(&site.store, id).await else { return unavailable() };
    let others = value.get("others").and_then(Value::as_bool).unwrap_or(false);
    let named = text(&value, "id");
    for session in all {
        let is_other = others && signed_in.session.as_deref() != Some(session.name.as_str());
        let is_named = named.as_deref() == Some(session.name.as_str());
        if (is_other || is_named) && site.sessions.end(&site.store, id, &session.name).await.is_err() {
            return unavailable();
        }
    }
    answer(StatusCode::OK, &json!({}))
}
