//! Old accounts elsewhere, for their owner's page: found, looked at, brought here once, collected from, sent as: `/api/links`.
//!
//! What speaks to other people's servers is handed in as [`Links`]. Invariant: only one's own links are seen, and no answer
//! has a password in it; guessing passwords of others through here is bounded. Must not know: IMAP, POP3, SMTP.

pub(crate) mod grants;

use crate::Later;
use crate::credentials::{Change, change};
use crate::jmap::identity;
use crate::limits::{LOOKS_MAX, LOOKS_SECS};
use crate::sign_in::by_owner;
use crate::site::{Asking, Shared, Site, answer, problem};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use store::{Account, AccountId, UnixSecs};
use zeroize::Zeroizing;

pub use grants::{Grant, GrantState, Provider, WantedGrant};

/// The collection of records that links are kept in.
pub const LINKS_COLLECTION: u8 = crate::collections::LINKS;

/// A server elsewhere and who one is there.
pub struct OldServer {
    /// `imaps://host:993`, `imap://` (STARTTLS), `pop3s://`, `pop3://`.
    pub url: String,
    /// Login name.
    pub login: String,
    /// What proves it.
    pub proof: Proof,
}

/// What one signs in with elsewhere.
pub enum Proof {
    /// The password there.
    Password(Zeroizing<String>),
    /// A sign-in at the provider ([`Links::grant`]), by its name.
    Grant(String),
}

/// A server that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundServer {
    /// As in [`OldServer::url`]; `smtps://` and `smtp://` for sending.
    pub url: String,
    /// As whom one signs in, where that was told.
    pub login: Option<String>,
    /// How it was found, for people.
    pub how: String,
    /// Only DNS says that this name, which is outside the domain, is the right one.
    pub elsewhere: bool,
}

/// What looking for somebody's servers came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundServers {
    /// For mail that comes.
    pub incoming: Option<FoundServer>,
    /// For mail that goes.
    pub submission: Option<FoundServer>,
    /// What was looked at, and what came of it.
    pub steps: Vec<(String, String)>,
}

/// A message there, by its header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct OldMessage {
    pub from: String,
    pub subject: String,
    pub date: String,
    pub unread: bool,
}

/// A folder there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldFolder {
    /// Its name there.
    pub name: String,
    /// What it would be called here.
    pub called: String,
    /// `sent`, `junk` ...
    pub special_use: Option<&'static str>,
    /// Messages in it.
    pub messages: u32,
    /// The newest first.
    pub newest: Vec<OldMessage>,
}

/// A link as it is wished for.
pub struct NewLink {
    /// The old address.
    pub address: String,
    /// Where mail is.
    pub server: OldServer,
    /// Where mail as the old address goes out; `None`: nothing is sent as it.
    pub submission: Option<String>,
    /// By their names there; empty: all.
    pub folders: Vec<String>,
    /// Go on when all is here.
    pub collect: bool,
}

/// A link as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub id: String,
    /// The old address.
    pub address: String,
    /// See [`OldServer::url`].
    pub url: String,
    /// Login name.
    pub login: String,
    /// It signs in with tokens.
    pub by_token: bool,
    /// See [`NewLink::submission`].
    pub submission: Option<String>,
    /// See [`NewLink::folders`].
    pub folders: Vec<String>,
    /// See [`NewLink::collect`].
    pub collect: bool,
    /// `bringing`, `collecting`, `retrying`, `done`, `stopped`, `failed`.
    pub state: &'static str,
    /// Of the run at work: messages dealt with, expected, octets, and where it is.
    pub progress: (u64, u64, u64, String),
    /// Messages brought so far.
    pub imported: u64,
    /// When it last looked, to the end.
    pub last_secs: Option<UnixSecs>,
    /// What went wrong last.
    pub error: Option<String>,
    /// Messages that could not be taken: which, and why.
    pub bad: Vec<(String, String)>,
}

/// What is done with a link.
pub enum LinkAct {
    /// Not any further, until it is resumed.
    Stop,
    /// Now, and on; with another password or sign-in where that has changed.
    Resume(Option<Proof>),
    /// It is gone; what was brought stays.
    Remove,
}

/// Other people's servers, for the owners of old accounts. `Err` is why not, for people.
pub trait Links: Send + Sync {
    /// Looks for the servers of an address.
    fn discover<'a>(&'a self, address: &'a str) -> Later<'a, FoundServers>;
    /// Looks what is there; nothing is changed there, and no body read.
    fn look<'a>(&'a self, account: AccountId, server: &'a OldServer) -> Later<'a, Result<Vec<OldFolder>, String>>;
    /// An account's links.
    fn list(&self, account: AccountId) -> Later<'_, Result<Vec<Link>, String>>;
    /// Signs in there once, keeps the link, and begins.
    fn add<'a>(&'a self, account: &'a Account, wanted: NewLink) -> Later<'a, Result<Link, String>>;
    /// `None`: there is no such link.
    fn act<'a>(&'a self, account: AccountId, id: &'a str, act: LinkAct) -> Later<'a, Result<Option<Link>, String>>;
    /// Begins a sign-in at a provider; what becomes of it is seen by [`Links::granted`].
    fn grant(&self, account: AccountId, wanted: WantedGrant) -> Later<'_, Result<Grant, String>>;
    /// `None`: the account has no such sign-in (any more).
    fn granted(&self, account: AccountId, id: &str) -> Option<GrantState>;
    /// Can this account send as that address, which is elsewhere?
    fn sends_as(&self, account: AccountId, address: &str) -> bool;
}

/// How often an account had other servers asked: (how often, since when).
#[derive(Default)]
pub(crate) struct Looks(Mutex<HashMap<AccountId, (u32, UnixSecs)>>);

impl Looks {
    pub(crate) fn take(&self, account: AccountId, now_secs: UnixSecs) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, since)| now_secs - *since < LOOKS_SECS);
        let (count, _) = all.entry(account).or_insert((0, now_secs));
        *count += 1;
        *count <= LOOKS_MAX
    }
}

fn found(server: &FoundServer) -> Value {
    json!({"server": server.url, "login": server.login, "how": server.how, "outsideTheDomain": server.elsewhere})
}

fn folder(folder: &OldFolder) -> Value {
    let newest = |one: &OldMessage| json!({"from": one.from, "subject": one.subject, "date": one.date, "isUnread": one.unread});
    let newest: Vec<Value> = folder.newest.iter().map(newest).collect();
    json!({"name": folder.name, "called": folder.called, "role": folder.special_use, "messages": folder.messages, "newest": newest})
}

fn shown(link: &Link) -> Value {
    let (done, total, octets, place) = &link.progress;
    let bad: Vec<Value> = link.bad.iter().map(|(what, why)| json!({"what": what, "why": why})).collect();
    json!({
        "id": link.id, "address": link.address, "server": link.url, "login": link.login, "byToken": link.by_token,
        "submission": link.submission, "folders": link.folders, "collect": link.collect, "state": link.state,
        "progress": {"done": done, "total": total, "octets": octets, "folder": place},
        "imported": link.imported, "lastLooked": link.last_secs, "error": link.error, "bad": bad,
    })
}

/// Somebody's page asks, and there is somebody to answer.
async fn asked(site: &Site, request: Request) -> Result<(std::sync::Arc<dyn Links>, Change), Response> {
    let change = change(site, request).await?;
    match &site.links {
        Some(links) => Ok((links.clone(), change)),
        None => Err(problem(StatusCode::NOT_FOUND, "Old accounts are linked elsewhere here.")),
    }
}

/// The same for what asks other servers with a password or looks for them.
async fn asked_outside(site: &Site, request: Request) -> Result<(std::sync::Arc<dyn Links>, Change), Response> {
    let (links, change) = asked(site, request).await?;
    if site.looks.take(change.signed_in.account.id, net::clock::unix_now()) {
        Ok((links, change))
    } else {
        Err(problem(StatusCode::TOO_MANY_REQUESTS, "You asked other servers often just now. Try again in ten minutes."))
    }
}

fn refused(why: &str) -> Response {
    problem(StatusCode::UNPROCESSABLE_ENTITY, why)
}

fn wants(names: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, &format!("Send {names}."))
}

fn proof(change: &Change) -> Option<Proof> {
    let password = || change.text("password").map(|password| Proof::Password(Zeroizing::new(password)));
    change.text("grant").map(Proof::Grant).or_else(password)
}

fn server(change: &Change) -> Option<OldServer> {
    Some(OldServer { url: change.text("server")?, login: change.text("login")?, proof: proof(change)? })
}

/// `POST /api/links/discover {"address"}`
pub(crate) async fn discover(State(site): State<Shared>, request: Request) -> Response {
    let (links, change) = match asked_outside(&site, request).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let Some(address) = change.text("address").filter(|address| is_address(address)) else { return wants("address") };
    let Ok(_place) = site.link_places.acquire().await else { return crate::site::unavailable() };
    let all = links.discover(&address).await;
    let steps: Vec<Value> = all.steps.iter().map(|(at, what)| json!({"lookedAt": at, "found": what})).collect();
    let value = json!({
        "incoming": all.incoming.as_ref().map(found), "submission": all.submission.as_ref().map(found), "steps": steps,
    });
    answer(StatusCode::OK, &value)
}

fn is_address(text: &str) -> bool {
    text.len() <= 320
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'))
}

/// `POST /api/links/look {"server", "login", "password" or "grant"}`
pub(crate) async fn look(State(site): State<Shared>, request: Request) -> Response {
    let (links, change) = match asked_outside(&site, request).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let Some(server) = server(&change) else { return wants("server, login and password (or grant)") };
    let Ok(_place) = site.link_places.acquire().await else { return crate::site::unavailable() };
    match links.look(change.signed_in.account.id, &server).await {
        Ok(folders) => answer(StatusCode::OK, &json!({"folders": folders.iter().map(folder).collect::<Vec<Value>>()})),
        Err(why) => refused(&why),
    }
}

/// `GET /api/links`
pub(crate) async fn list(State(site): State<Shared>, request: Request) -> Response {
    let signed_in = match by_owner(&site, Asking::of(&request)).await {
        Ok(signed_in) => signed_in,
        Err(response) => return response,
    };
    let Some(links) = &site.links else { return problem(StatusCode::NOT_FOUND, "Old accounts are linked elsewhere here.") };
    match links.list(signed_in.account.id).await {
        Ok(list) => answer(StatusCode::OK, &json!({"links": list.iter().map(shown).collect::<Vec<Value>>()})),
        Err(_) => crate::site::unavailable(),
    }
}

/// `POST /api/links {"address", "server", "login", "password" or "grant", "submission"?, "folders", "collect"}`
pub(crate) async fn add(State(site): State<Shared>, request: Request) -> Response {
    let (links, change) = match asked_outside(&site, request).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let (Some(address), Some(server)) = (change.text("address").filter(|one| is_address(one)), server(&change)) else {
        return wants("address, server, login and password (or grant)");
    };
    let folders = change.value.get("folders").and_then(Value::as_array).into_iter().flatten();
    let wanted = NewLink {
        address: address.clone(),
        server,
        submission: change.text("submission").filter(|url| !url.is_empty()),
        folders: folders.filter_map(Value::as_str).map(str::to_owned).collect(),
        collect: change.value.get("collect").and_then(Value::as_bool).unwrap_or(false),
    };
    let sends = wanted.submission.is_some();
    let account = &change.signed_in.account;
    let Ok(_place) = site.link_places.acquire().await else { return crate::site::unavailable() };
    match links.add(account, wanted).await {
        Ok(link) => {
            if sends && let Err(error) = identity::link(&site.store, account.id, &address).await {
                tracing::warn!(?error, "an identity for an old address was not made");
            }
            answer(StatusCode::CREATED, &shown(&link))
        }
        Err(why) => refused(&why),
    }
}

/// `POST /api/links/stop {"id"}`
pub(crate) async fn stop(State(site): State<Shared>, request: Request) -> Response {
    act(&site, request, |_| LinkAct::Stop).await
}

/// `POST /api/links/resume {"id", "password" or "grant"?}`
pub(crate) async fn resume(State(site): State<Shared>, request: Request) -> Response {
    act(&site, request, |change| LinkAct::Resume(proof(change))).await
}

/// `POST /api/links/remove {"id"}`: with the identity that was made for it.
pub(crate) async fn remove(State(site): State<Shared>, request: Request) -> Response {
    act(&site, request, |_| LinkAct::Remove).await
}

async fn act(site: &Shared, request: Request, what: impl FnOnce(&Change) -> LinkAct) -> Response {
    let (links, change) = match asked(site, request).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let Some(id) = change.text("id") else { return wants("id") };
    let act = what(&change);
    let (removes, account) = (matches!(act, LinkAct::Remove), change.signed_in.account.id);
    match links.act(account, &id, act).await {
        Ok(Some(link)) => {
            if removes
                && !links.sends_as(account, &link.address)
                && let Err(error) = identity::unlink(&site.store, account, &link.address).await
            {
                tracing::warn!(?error, "the identity of an old address was not removed");
            }
            answer(StatusCode::OK, &shown(&link))
        }
        Ok(None) => problem(StatusCode::NOT_FOUND, "There is no such link."),
        Err(why) => refused(&why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_are_asked_only_so_often() {
        let looks = Looks::default();
        assert!((0..LOOKS_MAX).all(|_| looks.take(AccountId(1), 1_000)));
        assert!(!looks.take(AccountId(1), 1_000) && looks.take(AccountId(2), 1_000));
        assert!(looks.take(AccountId(1), 1_000 + LOOKS_SECS));
    }

    #[test]
    fn what_an_address_looks_like() {
        assert!(is_address("ann@old.example"));
        for other in ["ann", "@old.example", "ann@old", "a b@old.example", "ann@old.example\r\n"] {
            assert!(!is_address(other), "{other}");
        }
    }
}
