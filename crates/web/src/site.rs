//! What is asked where: the paths, who may ask (Host, Origin, sign-in), and the answers that are the same everywhere.
//!
//! Invariant: a request under a name that is not ours, or with a cookie from a page that is not ours, reaches nothing.
//! Must not know: what methods do.

use crate::http::Asker;
use crate::jmap::sharing::Eyes;
use crate::limits::*;
use crate::push_service::Pushes;
use crate::second_factor::{self, SecondFactor};
use crate::sessions::{self, Sessions};
use crate::{
    Doorkeeper, Links, Offered, Plaintext, Refused, Sender, Settings, Wire, credentials, discovery, jmap, largest, links,
    outside, program, sign_in, wire,
};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{Account, Store, StoreError};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// What every handler is given.
pub(crate) struct Site {
    pub(crate) store: Store,
    pub(crate) doorkeeper: Arc<dyn Doorkeeper>,
    pub(crate) sender: Arc<dyn Sender>,
    pub(crate) outside: outside::Way,
    pub(crate) pushes: Pushes,
    pub(crate) hostname: String,
    pub(crate) domains: Vec<String>,
    pub(crate) offered: Vec<Offered>,
    pub(crate) profiles: discovery::Profiles,
    pub(crate) one_person: bool,
    pub(crate) message_bytes_max: u64,
    pub(crate) recipients_max: usize,
    pub(crate) plaintext: Plaintext,
    /// What is said of the way here to who came by TLS.
    strict_transport: Option<HeaderValue>,
    pub(crate) shutdown: watch::Receiver<bool>,
    pub(crate) sessions: Sessions,
    pub(crate) second_factor: SecondFactor,
    pub(crate) search: search::Searcher,
    pub(crate) wire: Arc<dyn Wire>,
    pub(crate) boxes: Arc<dyn crate::Boxes>,
    pub(crate) wishes: Option<Arc<mta::wishes::Shelf>>,
    pub(crate) links: Option<Arc<dyn Links>>,
    pub(crate) looks: links::Looks,
    pub(crate) link_places: Semaphore,
    pub(crate) jmap: jmap::Memory,
}

/// Where push services reach whoever runs this (RFC 8292 §2.1).
fn contact(hostname: &str, domains: &[String]) -> String {
    format!("mailto:postmaster@{}", domains.first().map_or(hostname, String::as_str))
}

/// A handler's view of the site.
pub(crate) type Shared = Arc<Site>;

/// Who signed in, and how.
#[derive(Clone)]
pub(crate) struct SignedIn {
    pub(crate) account: Arc<Account>,
    /// The session's name, when it was a cookie.
    pub(crate) session: Option<String>,
    pub(crate) peer: Option<IpAddr>,
    /// It was an app password: good for mail, not for what only its owner may change.
    pub(crate) by_program: bool,
    /// When that was looked at.
    at: Instant,
}

impl SignedIn {
    pub(crate) fn new(account: Arc<Account>, session: Option<String>, peer: Option<IpAddr>) -> SignedIn {
        SignedIn { account, session, peer, by_program: false, at: Instant::now() }
    }

    /// Said when all of a request has come, before anything is done: a body may take minutes, and the sign-in end meanwhile.
    ///
    /// # Errors
    /// 401
    pub(crate) async fn lasts(&self, site: &Site) -> Result<(), Response> {
        let lasts = self.at.elapsed() < SIGN_IN_TRUSTED || jmap::still_good(site, self).await;
        if lasts { Ok(()) } else { Err(unauthorized()) }
    }
}

impl Site {
    /// Accounts that are who signed in's own, that one first: the others where all are one person's.
    pub(crate) async fn own(&self, who: &Arc<Account>) -> Result<Vec<Arc<Account>>, StoreError> {
        let mut own = vec![Arc::clone(who)];
        if self.one_person {
            let all = self.store.account_list(None, ONE_PERSON_ACCOUNTS_MAX).await?;
            own.extend(all.into_iter().filter(|account| account.id != who.id && !account.suspended));
        }
        Ok(own)
    }

    /// The account of this id in JMAP, as who signed in sees it: his own, or one with something shared.
    pub(crate) async fn eyes_on(&self, who: &Arc<Account>, id: &str) -> Option<Eyes> {
        let own = self.own(who).await.ok()?;
        match own.iter().find(|account| jmap::account_id(account.id) == id) {
            Some(account) => Some(Eyes::own(account)),
            None => jmap::sharing::eyes_on(&self.store, who, id),
        }
    }

    pub(crate) fn new(settings: Settings) -> Site {
        Site {
            sessions: Sessions::default(),
            second_factor: SecondFactor::default(),
            search: settings.search,
            wire: settings.wire,
            boxes: settings.boxes,
            wishes: settings.wishes,
            links: settings.links,
            looks: links::Looks::default(),
            link_places: Semaphore::new(LINKS_AT_ONCE_MAX),
            jmap: jmap::Memory::default(),
            store: settings.store,
            doorkeeper: settings.doorkeeper,
            sender: settings.sender,
            outside: outside::Way::new(settings.outside),
            pushes: Pushes::new(settings.pushes, contact(&settings.hostname, &settings.domains)),
            hostname: settings.hostname,
            domains: settings.domains,
            offered: settings.offered,
            profiles: discovery::Profiles::default(),
            one_person: settings.one_person,
            message_bytes_max: settings.message_bytes_max,
            recipients_max: settings.recipients_max,
            plaintext: settings.plaintext,
            // Of this very name: what else there is under it is not ours to say.
            strict_transport: settings
                .strict_transport_secs
                .map(|secs| HeaderValue::try_from(format!("max-age={secs}")).unwrap_or(HeaderValue::from_static("max-age=0"))),
            shutdown: settings.shutdown,
        }
    }

    /// May a password or cookie travel on this connection?
    pub(crate) fn allows(&self, asker: &Asker) -> bool {
        asker.tls
            || match self.plaintext {
                Plaintext::Never => false,
                Plaintext::Loopback => asker.peer.is_loopback(),
                Plaintext::Always => true,
            }
    }

    /// Our own names, and addresses: a name of somebody else that leads here is a page of theirs asking in our visitor's
    /// browser (DNS rebinding).
    fn is_our_name(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => return rest.split_once(']').is_some_and(|(ip, _)| ip.parse::<IpAddr>().is_ok()),
            None => host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase(),
        };
        let under = |domain: &str| name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        name.parse::<IpAddr>().is_ok()
            || under("localhost")
            || under(&self.hostname.to_ascii_lowercase())
            || self.domains.iter().any(|domain| under(domain))
    }
}

/// All paths.
pub(crate) fn router(site: Shared) -> Router {
    Router::new()
        .route("/api/sign-in", post(sign_in::sign_in))
        .route("/api/sign-out", post(sign_in::sign_out))
        .route("/api/me", get(sign_in::me))
        .route("/api/sessions", get(sign_in::sessions))
        .route("/api/sessions/revoke", post(sign_in::revoke))
        .route("/api/password", post(credentials::password))
        .route("/api/app-passwords", get(credentials::app_passwords).post(credentials::add_app_password))
        .route("/api/app-passwords/revoke", post(credentials::revoke_app_password))
        .route("/api/totp", get(credentials::totp))
        .route("/api/totp/enrol", post(credentials::enrol))
        .route("/api/totp/confirm", post(credentials::confirm))
        .route("/api/totp/disable", post(credentials::disable))
        .route("/api/links", get(links::list).post(links::add))
        .route("/api/links/discover", post(links::discover))
        .route("/api/links/look", post(links::look))
        .route("/api/links/grants", post(links::grants::begin))
        .route("/api/links/grants/look", post(links::grants::look))
        .route("/api/links/stop", post(links::stop))
        .route("/api/links/resume", post(links::resume))
        .route("/api/links/remove", post(links::remove))
        .route("/api/wire", get(wire::stream))
        .route("/api/profile", post(discovery::profile_link))
        .route("/api/settings-for-programs", get(discovery::for_people))
        .route("/profile/{name}", get(discovery::profile))
        .route("/mail/config-v1.1.xml", get(discovery::mozilla))
        .route("/.well-known/autoconfig/mail/config-v1.1.xml", get(discovery::mozilla))
        .route("/autodiscover/autodiscover.xml", post(discovery::outlook))
        .route("/Autodiscover/Autodiscover.xml", post(discovery::outlook))
        .route("/.well-known/mta-sts.txt", get(discovery::mta_sts))
        .route("/.well-known/jmap", get(jmap::session))
        .route("/jmap/session", get(jmap::session))
        .route("/jmap/api", post(jmap::api))
        .route("/jmap/upload/{account}/", post(jmap::upload))
        .route("/jmap/download/{account}/{blob}/{name}", get(jmap::download))
        .route("/jmap/eventsource/", get(jmap::event_source))
        .route("/jmap/ws", any(jmap::web_socket))
        .route("/api/html/{account}/{email}", get(program::html))
        .route("/api/picture", get(outside::picture))
        .route("/api/largest", post(largest::largest))
        .route("/api/export/{account}/{mailbox}", get(crate::boxes::export))
        .route("/api/import/{account}/{mailbox}", post(crate::boxes::import))
        .route("/api/unsubscribe", post(outside::unsubscribe))
        .fallback(any(file))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), guard))
        .with_state(site)
}

/// The program's files, and 404 for the rest.
async fn file(State(site): State<Shared>, request: Request) -> Response {
    let announced = request.body().size_hint().lower();
    let too_large = || problem(StatusCode::PAYLOAD_TOO_LARGE, "That is too large.");
    // Who asks first need not send what is not wanted.
    if announced > DISCARDED_BYTES_MAX || announced > UNWANTED_BYTES_MAX && request.headers().contains_key(header::EXPECT) {
        return too_large();
    }
    let page = match program::opened(&request) {
        Some(opened) => program::page(&site, opened).await,
        None => None,
    };
    let answer = page.unwrap_or_else(|| program::file(request.method(), request.uri().path(), request.headers()));
    match read(request, UNWANTED_BYTES_MAX, DISCARDED_BYTES_MAX).await {
        Ok(_) => answer,
        Err(unread) => unread.answer(too_large()),
    }
}

/// Before and after everything.
async fn guard(State(site): State<Shared>, request: Request, next: Next) -> Response {
    // RFC 9112 §3.2: whose request it is is said once, and again only by the target.
    let Some(host) = host_of(&request) else {
        return discard(request, problem(StatusCode::BAD_REQUEST, "A request names one host.")).await;
    };
    // RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD respond with 501".
    if request
        .headers()
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        let mut response = problem(StatusCode::NOT_IMPLEMENTED, "No transfer coding but chunked is known here.");
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    let target = request.uri().authority().map_or(host, Authority::as_str);
    if !site.is_our_name(host) || !site.is_our_name(target) {
        return discard(request, problem(StatusCode::MISDIRECTED_REQUEST, "This server does not go by that name.")).await;
    }
    let strict = site.strict_transport.clone().filter(|_| is_to_be_strict(&request, target));
    // A page of ours asks for the password itself: the browser's own window would only hold the request up.
    let by_page = ["x-packetboat", "sec-fetch-site"].iter().any(|name| request.headers().contains_key(*name));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if by_page {
        headers.remove(header::WWW_AUTHENTICATE);
    }
    let mut set = |name: header::HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
    if let Some(strict) = strict {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, strict);
    }
    response
}

/// RFC 6797 §7.2: "An HSTS Host MUST NOT include the STS header field in HTTP responses conveyed over non-secure transport." What a
/// proxy in front says of its own TLS is its own. This machine's own name has all that runs here behind it.
fn is_to_be_strict(request: &Request, target: &str) -> bool {
    let name = target.rsplit_once(':').map_or(target, |(name, _)| name).trim_end_matches('.').to_ascii_lowercase();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    !is_local && request.extensions().get::<Asker>().is_some_and(|asker| asker.tls)
}

/// The host that a request names, as it is said; empty where nothing is said and nothing has to be. `None`: "A server MUST respond
/// with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header field and to any request message
/// that contains more than one Host header field line or a Host header field with an invalid field value."
fn host_of(request: &Request) -> Option<&str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok().filter(|host| host.is_empty() || is_host(host)),
        (None, _) if request.version() < Version::HTTP_11 => Some(""),
        _ => None,
    }
}

/// `Host = uri-host [ ":" port ]` (RFC 9110 §7.2)
fn is_host(host: &str) -> bool {
    let port = host.rsplit_once(':').map_or("", |(_, port)| if port.ends_with(']') { "" } else { port });
    host.parse::<Authority>().is_ok() && !host.contains('@') && port.bytes().all(|octet| octet.is_ascii_digit())
}

/// A body that is not wanted is read to its end first, within reason, so that the answer is not lost in a reset.
pub(crate) async fn discard(request: Request, answer: Response) -> Response {
    let expects = request.headers().contains_key(header::EXPECT);
    if !expects {
        let _ = read(request, 0, DISCARDED_BYTES_MAX).await;
    }
    answer
}

/// Why a body is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLarge,
    /// Too slow, or broken off.
    Late,
}

impl Unread {
    /// What to say; the caller knows how large is too large.
    pub(crate) fn answer(self, too_large: Response) -> Response {
        match self {
            Unread::TooLarge => too_large,
            Unread::Late => late(),
        }
    }
}

/// 408; the rest of the body is not waited for (RFC 9110 §15.5.9).
pub(crate) fn late() -> Response {
    let mut response = problem(StatusCode::REQUEST_TIMEOUT, "The request came too slowly, or broke off.");
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A body as it comes, within its time: a while, and a second more for every [`BODY_BYTES_PER_SEC_MIN`] octets.
pub(crate) struct Coming {
    body: Body,
    begun: Instant,
    patience: Duration,
    octets: u64,
}

impl Coming {
    pub(crate) fn new(request: Request) -> Coming {
        let patience = request.extensions().get::<Asker>().map(|asker| asker.patience);
        let patience = patience.unwrap_or(Duration::from_secs(BODY_SECS_MAX));
        Coming { body: request.into_body(), begun: Instant::now(), patience, octets: 0 }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Unread> {
        loop {
            let until = self.begun + self.patience + Duration::from_secs(self.octets / BODY_BYTES_PER_SEC_MIN);
            let frame = match tokio::time::timeout_at(until, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) | Err(_) => return Err(Unread::Late),
            };
            if let Ok(data) = frame.into_data() {
                self.octets += data.len() as u64;
                return Ok(Some(data));
            }
        }
    }

    /// So much of its time was ours.
    pub(crate) fn wait_longer(&mut self, more: Duration) {
        self.begun += more;
    }

    /// So much more of it is read at most, and kept nowhere: who is told no while he still sends might not hear it.
    pub(crate) async fn discard(mut self, more: u64) {
        let end = self.octets.saturating_add(more);
        while self.octets <= end && matches!(self.next().await, Ok(Some(_))) {}
    }
}

/// A body, at most `max` octets; of a longer one as many as `read_max` are still read.
///
/// # Errors
/// It is too large, or does not come.
pub(crate) async fn read(request: Request, max: u64, read_max: u64) -> Result<Bytes, Unread> {
    // What is announced as larger than is ever read needs no waiting for.
    if request.body().size_hint().lower() > max.max(read_max) {
        return Err(Unread::TooLarge);
    }
    let mut coming = Coming::new(request);
    let mut got = Vec::new();
    while let Some(data) = coming.next().await? {
        if coming.octets > max.max(read_max) {
            return Err(Unread::TooLarge);
        }
        if coming.octets <= max {
            got.extend_from_slice(&data);
        }
    }
    if coming.octets <= max { Ok(got.into()) } else { Err(Unread::TooLarge) }
}

/// `application/problem+json` (RFC 7807), in plain words.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({"type": "about:blank", "status": status.as_u16(), "detail": detail});
    ([(header::CONTENT_TYPE, "application/problem+json")], status, body).into_answer()
}

/// JSON as an answer.
pub(crate) fn answer(status: StatusCode, value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], status, value.clone()).into_answer()
}

trait IntoAnswer {
    fn into_answer(self) -> Response;
}

impl IntoAnswer for ([(header::HeaderName, &'static str); 1], StatusCode, Value) {
    fn into_answer(self) -> Response {
        let (headers, status, value) = self;
        (status, headers, value.to_string()).into_response()
    }
}

/// A request without its body.
pub(crate) struct Asking {
    method: Method,
    headers: HeaderMap,
    pub(crate) asker: Option<Asker>,
}

impl Asking {
    pub(crate) fn of(request: &Request) -> Asking {
        let asker = request.extensions().get::<Asker>().cloned();
        Asking { method: request.method().clone(), headers: request.headers().clone(), asker }
    }

    /// Where whoever asks finds us: programs take no URL without a host.
    pub(crate) fn base_url(&self) -> String {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let https = self.asker.as_ref().is_some_and(|asker| asker.https);
        format!("{}://{}", if https { "https" } else { "http" }, text("host").unwrap_or_default())
    }
}

/// A request of somebody who signed in, as a handler is given it; of others the body is read and let go, and they are told no.
pub(crate) struct Visit {
    pub(crate) signed_in: SignedIn,
    pub(crate) request: Request,
}

impl FromRequest<Shared> for Visit {
    type Rejection = Response;

    async fn from_request(request: Request, site: &Shared) -> Result<Visit, Response> {
        match signed_in(site, Asking::of(&request)).await {
            Ok(signed_in) => Ok(Visit { signed_in, request }),
            Err(response) => Err(discard(request, response).await),
        }
    }
}

/// Who asks, by cookie or by Basic (RFC 7617).
///
/// # Errors
/// The answer that says no.
pub(crate) async fn signed_in(site: &Site, asking: Asking) -> Result<SignedIn, Response> {
    let Asking { method, headers, asker } = asking;
    let asker = asker.ok_or_else(unavailable)?;
    if !site.allows(&asker) {
        return Err(problem(StatusCode::FORBIDDEN, "Signing in needs TLS here: use https."));
    }
    let peer = asker.counted;
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        // A browser that was told a password in its own window sends it along by itself, for whatever page.
        if !is_from_no_other_page(&headers) || is_of_another_origin(&headers) {
            return Err(not_from_our_page());
        }
        return basic(site, authorization, peer).await;
    }
    let Some(cookie) = sessions::cookie_of(&headers, asker.https) else { return Err(unauthorized()) };
    if !is_from_our_page(&method, &headers) {
        return Err(not_from_our_page());
    }
    match site.sessions.find(&site.store, cookie, net::clock::unix_now()).await {
        Ok(Some((account, session))) => Ok(SignedIn::new(account, Some(session), peer)),
        Ok(None) => Err(unauthorized()),
        Err(_) => Err(unavailable()),
    }
}

async fn basic(site: &Site, authorization: &HeaderValue, peer: Option<IpAddr>) -> Result<SignedIn, Response> {
    let Some((login, password)) = said_in(authorization) else { return Err(unauthorized()) };
    match site.doorkeeper.password(&login, password.as_bytes(), peer).await {
        Ok(account) => {
            // Where a code is asked for, a program needs a password of its own: it cannot send one.
            let by_program = site.doorkeeper.is_app_password(&account, password.as_bytes());
            match second_factor::state(&site.store, account.id).await {
                Ok(Some(_)) if !by_program => {
                    Err(problem(StatusCode::FORBIDDEN, "This account asks for a code: make an app password for this program."))
                }
                Ok(_) => Ok(SignedIn { by_program, ..SignedIn::new(account, None, peer) }),
                Err(_) => Err(unavailable()),
            }
        }
        Err(refused) => Err(no(refused)),
    }
}

fn said_in(authorization: &HeaderValue) -> Option<(String, zeroize::Zeroizing<String>)> {
    let (scheme, rest) = authorization.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let octets = data_encoding::BASE64.decode(rest.trim().as_bytes()).ok()?;
    let text = zeroize::Zeroizing::new(String::from_utf8(octets).ok()?);
    let (login, password) = text.split_once(':')?;
    Some((login.to_owned(), zeroize::Zeroizing::new(password.to_owned())))
}

/// 401, or 429 with when to come back.
pub(crate) fn no(refused: Refused) -> Response {
    match refused {
        Refused::Credentials => unauthorized(),
        Refused::Suspended => problem(StatusCode::FORBIDDEN, "This account is suspended."),
        Refused::Later => {
            let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "Too many sign-ins wait. Try again later.");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
            response
        }
    }
}

/// 401. A browser's own password window is asked for only by who sends no page of ours.
pub(crate) fn unauthorized() -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "Sign in first.");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Packetboat\", charset=\"UTF-8\""));
    response
}

/// 503
pub(crate) fn unavailable() -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, "Something failed on our side. Try again later.")
}

/// 403
pub(crate) fn for_its_owner() -> Response {
    problem(StatusCode::FORBIDDEN, "An app password opens mail alone: for this sign in with the account's own password.")
}

/// 403
pub(crate) fn not_from_our_page() -> Response {
    problem(StatusCode::FORBIDDEN, "This request did not come from our own page.")
}

/// A page of ours, a bookmark, or a program; not a picture, a form or a frame on somebody's page.
fn is_from_no_other_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    site.is_none_or(|site| matches!(site, "same-origin" | "none"))
}

/// A page of another host says whose it is where it does not say how it stands to us: without TLS, and in older browsers. What is
/// no page of the Web, as an extension of a mail program, may say what it likes.
fn is_of_another_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text("origin") else { return false };
    match origin.split_once("://") {
        Some(("http" | "https", authority)) => !authority.eq_ignore_ascii_case(text("host").unwrap_or_default()),
        _ => origin == "null",
    }
}

/// A cookie comes along by itself, so what it signs must be shown to come from our own page: a header that no other page can
/// set, and an Origin that is ours.
pub(crate) fn is_from_our_page(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) {
        return is_from_no_other_page(headers);
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = text("x-packetboat") == Some("1");
    let host = text("host").unwrap_or_default();
    let origin = text("origin").and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    is_ours && origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

/// The Content-Type without its parameters, lower-case.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
