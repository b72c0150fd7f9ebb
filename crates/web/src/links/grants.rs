//! Signing in at another provider with a token, by a code that is typed on its page (RFC 8628): `/api/links/grants`.
//!
//! The client id is the user's own. Invariant: a grant is its account's alone, and no answer has a token or a client's secret
//! in it. Must not know: how a provider is asked.

use super::{asked, asked_outside, is_address, refused, wants};
use crate::credentials::Change;
use crate::site::{Shared, answer, problem};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use store::UnixSecs;
use zeroize::Zeroizing;

/// Where a provider gives tokens out, as far as its user says so; what is not said is known, or found by the issuer (RFC 8414).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    /// Describes itself.
    pub issuer: Option<String>,
    /// Its device authorization endpoint.
    pub device_url: Option<String>,
    /// Its token endpoint.
    pub token_url: Option<String>,
    /// What is asked for; a known provider's own otherwise.
    pub scope: Option<String>,
}

/// A sign-in that is to begin.
pub enum WantedGrant {
    /// With a registration of the user's own.
    New {
        /// The old address.
        address: String,
        /// Where its mail is, see [`super::OldServer::url`]; it may tell the provider.
        server: String,
        /// The registration.
        client_id: String,
        /// See `client_id`.
        client_secret: Option<Zeroizing<String>>,
        /// See [`Provider`].
        provider: Provider,
    },
    /// As the link of this id signed in before.
    Again(String),
}

/// What its user is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub id: String,
    /// The page, at the provider.
    pub page: String,
    /// What is typed there.
    pub code: String,
    /// In vain after this.
    pub until_secs: UnixSecs,
}

/// How it stands with a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantState {
    /// Nobody has typed the code yet.
    Waiting,
    /// There is a token.
    Granted,
    /// There will be none; why, for people.
    Refused(String),
}

fn wanted(change: &Change) -> Option<WantedGrant> {
    if let Some(link) = change.text("link") {
        return Some(WantedGrant::Again(link));
    }
    let said = |name: &str| change.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    Some(WantedGrant::New {
        address: said("address").filter(|address| is_address(address))?,
        server: said("server")?,
        client_id: said("clientId")?,
        client_secret: said("clientSecret").map(Zeroizing::new),
        provider: Provider {
            issuer: said("issuer"),
            device_url: said("deviceUrl"),
            token_url: said("tokenUrl"),
            scope: said("scope"),
        },
    })
}

/// `POST /api/links/grants {"address", "server", "clientId", "clientSecret"?, "issuer"?, "deviceUrl"?, "tokenUrl"?, "scope"?}`,
/// or `{"link"}`
pub(crate) async fn begin(State(site): State<Shared>, request: Request) -> Response {
    let (links, change) = match asked_outside(&site, request).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let Some(wanted) = wanted(&change) else { return wants("address, server and clientId, or link") };
    let Ok(_place) = site.link_places.acquire().await else { return crate::site::unavailable() };
    match links.grant(change.signed_in.account.id, wanted).await {
        Ok(Grant { id, page, code, until_secs }) => {
            answer(StatusCode::CREATED, &json!({"grant": id, "page": page, "code": code, "until": until_secs}))
        }
        Err(why) => refused(&why),
    }
}

/// `POST /api/links/grants/look {"grant"}`
pub(crate) async fn look(State(site): State<Shared>, request: Request) -> Response {
    let (links, change) = match asked(&site, request).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let Some(id) = change.text("grant") else { return wants("grant") };
    let value = match links.granted(change.signed_in.account.id, &id) {
        None => return problem(StatusCode::NOT_FOUND, "There is no such sign-in any more. Begin anew."),
        Some(GrantState::Waiting) => json!({"state": "waiting", "why": null}),
        Some(GrantState::Granted) => json!({"state": "granted", "why": null}),
        Some(GrantState::Refused(why)) => json!({"state": "refused", "why": why}),
    };
    answer(StatusCode::OK, &value)
}
