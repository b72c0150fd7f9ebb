//! What somebody signs in with, changed by its owner in the browser: the password, app passwords, the second factor.
//!
//! Invariant: nothing here is changed or added without the password said once more; every change ends the other sessions,
//! and this one goes on under a new cookie. Must not know: how passwords are kept.

use crate::http::Asker;
use crate::second_factor::{self, Verdict};
use crate::sign_in::{body, by_owner, text, with_cookie};
use crate::site::{Asking, Shared, SignedIn, Site, answer, discard, problem, unavailable};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// Longest name of an app password, octets.
const NAME_BYTES_MAX: usize = 100;

/// A request that changes something, read and allowed.
pub(crate) struct Change {
    pub(crate) signed_in: SignedIn,
    pub(crate) value: Value,
    agent: String,
    asker: Option<Asker>,
}

pub(crate) async fn change(site: &Site, request: Request) -> Result<Change, Response> {
    let signed_in = match by_owner(site, Asking::of(&request)).await {
        Ok(signed_in) => signed_in,
        Err(response) => return Err(discard(request, response).await),
    };
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let asker = request.extensions().get::<Asker>().cloned();
    let value = body(request).await?;
    signed_in.lasts(site).await?;
    Ok(Change { signed_in, value, agent, asker })
}

/// `password` of the request is its owner's.
pub(crate) async fn proved_password(site: &Site, change: &Change) -> Result<(), Response> {
    change.proved(site, "password").await
}

impl Change {
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        text(&self.value, name)
    }

    /// The password, said again under `name`; an app password is not it. Not 401: the session is good.
    async fn proved(&self, site: &Site, name: &str) -> Result<(), Response> {
        let said = text(&self.value, name).map(Zeroizing::new).unwrap_or_default();
        let account = &self.signed_in.account;
        let wrong = || problem(StatusCode::FORBIDDEN, "That is not your password.");
        if said.is_empty() || site.doorkeeper.is_app_password(account, said.as_bytes()) {
            return Err(wrong());
        }
        match site.doorkeeper.password(&account.address, said.as_bytes(), self.signed_in.peer).await {
            Ok(found) if found.id == account.id => Ok(()),
            Ok(_) | Err(crate::Refused::Credentials) => Err(wrong()),
            Err(refused) => Err(crate::site::no(refused)),
        }
    }

    /// The session goes on under the account as it is now.
    async fn go_on(&self, site: &Site, status: StatusCode, value: &Value) -> Response {
        let response = answer(status, value);
        let (Some(old), Some(asker)) = (&self.signed_in.session, &self.asker) else { return response };
        let Ok(Some(account)) = site.store.account_by_id(self.signed_in.account.id).await else { return response };
        let from = asker.from.map(|ip| ip.to_string()).unwrap_or_default();
        let begun = site.sessions.begin(&site.store, &account, (&self.agent, from), net::clock::unix_now()).await;
        let Ok(token) = begun else { return response };
        if site.sessions.end(&site.store, account.id, old).await.is_err() {
            tracing::warn!("a session that was replaced could not be ended; it ends with its account's epoch");
        }
        with_cookie(response, &token, asker.https)
    }
}

/// `POST /api/password` `{"current", "new"}`
pub(crate) async fn password(State(site): State<Shared>, request: Request) -> Response {
    let change = match change(&site, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let Some(new) = text(&change.value, "new").map(Zeroizing::new) else {
        return problem(StatusCode::BAD_REQUEST, "Send current and new.");
    };
    if let Err(response) = change.proved(&site, "current").await {
        return response;
    }
    if new.chars().count() < crate::limits::PASSWORD_CHARS_MIN {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "A password has at least 8 characters.");
    }
    match site.doorkeeper.set_password(&change.signed_in.account, new.as_bytes()).await {
        Ok(()) => change.go_on(&site, StatusCode::OK, &json!({})).await,
        Err(why) => problem(StatusCode::UNPROCESSABLE_ENTITY, &why),
    }
}

/// `GET /api/app-passwords`
pub(crate) async fn app_passwords(State(site): State<Shared>, request: Request) -> Response {
    let signed_in = match by_owner(&site, Asking::of(&request)).await {
        Ok(signed_in) => signed_in,
        Err(response) => return response,
    };
    let told = |one: &store::AppPassword| json!({"name": one.name, "created": one.created_secs});
    let list: Vec<Value> = signed_in.account.app_passwords.iter().map(told).collect();
    answer(StatusCode::OK, &json!({"appPasswords": list}))
}

/// `POST /api/app-passwords` `{"name", "password"}`: the only time it is shown.
pub(crate) async fn add_app_password(State(site): State<Shared>, request: Request) -> Response {
    let change = match change(&site, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let name = text(&change.value, "name").unwrap_or_default();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "A name has 1 to 100 octets.");
    }
    if let Err(response) = change.proved(&site, "password").await {
        return response;
    }
    match site.doorkeeper.add_app_password(&change.signed_in.account, &name).await {
        Ok(made) => answer(StatusCode::CREATED, &json!({"name": name, "password": made.as_str()})),
        Err(why) => problem(StatusCode::UNPROCESSABLE_ENTITY, &why),
    }
}

/// `POST /api/app-passwords/revoke` `{"name"}`: what signed in with it is signed out, and so is every other session.
pub(crate) async fn revoke_app_password(State(site): State<Shared>, request: Request) -> Response {
    let change = match change(&site, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let name = text(&change.value, "name").unwrap_or_default();
    match site.doorkeeper.remove_app_password(&change.signed_in.account, &name).await {
        Ok(()) => change.go_on(&site, StatusCode::OK, &json!({})).await,
        Err(why) => problem(StatusCode::UNPROCESSABLE_ENTITY, &why),
    }
}

/// `GET /api/totp`
pub(crate) async fn totp(State(site): State<Shared>, request: Request) -> Response {
    let signed_in = match by_owner(&site, Asking::of(&request)).await {
        Ok(signed_in) => signed_in,
        Err(response) => return response,
    };
    match second_factor::state(&site.store, signed_in.account.id).await {
        Ok(left) => answer(StatusCode::OK, &json!({"isEnabled": left.is_some(), "recoveryCodesLeft": left.unwrap_or(0)})),
        Err(_) => unavailable(),
    }
}

/// `POST /api/totp/enrol` `{"password"}`: a new secret; nothing is asked for until a code of it was said.
pub(crate) async fn enrol(State(site): State<Shared>, request: Request) -> Response {
    let change = match change(&site, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    if let Err(response) = change.proved(&site, "password").await {
        return response;
    }
    let account = &change.signed_in.account;
    match second_factor::state(&site.store, account.id).await {
        Ok(None) => {}
        Ok(Some(_)) => return problem(StatusCode::CONFLICT, "It is on already: switch it off first."),
        Err(_) => return unavailable(),
    }
    match second_factor::begin(&site.store, account.id).await {
        Ok(secret) => {
            let uri = second_factor::uri(&account.address, &secret);
            answer(StatusCode::OK, &json!({"secret": secret.as_str(), "uri": uri}))
        }
        Err(_) => unavailable(),
    }
}

/// `POST /api/totp/confirm` `{"code"}`: on from now on; codes to write down.
pub(crate) async fn confirm(State(site): State<Shared>, request: Request) -> Response {
    let change = match change(&site, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let code = text(&change.value, "code").unwrap_or_default();
    let confirmed = site.second_factor.confirm(&site.store, change.signed_in.account.id, &code, net::clock::unix_now()).await;
    match confirmed {
        Ok(Ok(codes)) => {
            // What signed in with the password alone begins again.
            if let Err(why) = site.doorkeeper.end_sessions(&change.signed_in.account).await {
                tracing::warn!(why, "sessions from before the second factor go on");
            }
            change.go_on(&site, StatusCode::OK, &json!({"recoveryCodes": codes})).await
        }
        Ok(Err(Verdict::Later)) => crate::site::no(crate::Refused::Later),
        Ok(Err(Verdict::NotNeeded)) => problem(StatusCode::CONFLICT, "Begin with a new secret."),
        Ok(Err(_)) => problem(StatusCode::FORBIDDEN, "That is not the code of now."),
        Err(_) => unavailable(),
    }
}

/// `POST /api/totp/disable` `{"password"}`
pub(crate) async fn disable(State(site): State<Shared>, request: Request) -> Response {
    let change = match change(&site, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    if let Err(response) = change.proved(&site, "password").await {
        return response;
    }
    match second_factor::end(&site.store, change.signed_in.account.id).await {
        Ok(()) => answer(StatusCode::OK, &json!({})),
        Err(_) => unavailable(),
    }
}
