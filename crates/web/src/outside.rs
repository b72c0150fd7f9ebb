//! What the program asks of hosts that a message names: its pictures (`GET /api/picture`), and to be left alone (RFC 8058,
//! `POST /api/unsubscribe`).
//!
//! Invariant: only addresses that we wrote into a message's safe form ourselves are fetched, only pictures come back, and a
//! list is left only when its owner says so. Must not know: sockets, names.

use crate::jmap::view::EmailKey;
use crate::limits::{OUTSIDE_AT_ONCE_MAX, OUTSIDE_OF_ONE_MAX, PICTURE_BYTES_MAX};
use crate::places::Places;
use crate::sign_in::{body, text};
use crate::site::{self, Shared, Visit, problem, unavailable};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use net::outside::{Asked, Outside, Post, Reach};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use std::collections::HashMap;
use store::AccountId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// What a list's answer may be long; nobody reads it.
const LEFT_BYTES_MAX: u64 = 64 * 1024;

/// The way out, and the key that our own addresses of pictures are signed with. It lives as long as the program runs.
pub(crate) struct Way {
    outside: Outside,
    key: [u8; 32],
    places: Semaphore,
    /// Of each account that asks for something now.
    of_accounts: Places,
}

impl Way {
    pub(crate) fn new(outside: Outside) -> Way {
        let mut key = [0; 32];
        // Without randomness there are no sessions either: nobody is here to ask.
        let _ = SystemRandom::new().fill(&mut key);
        Way { outside, key, places: Semaphore::new(OUTSIDE_AT_ONCE_MAX), of_accounts: Places::default() }
    }

    /// Waits for a place: among those of the account, then among all. `None`: there are none any more.
    async fn place(&self, account: AccountId) -> Option<(OwnedSemaphorePermit, SemaphorePermit<'_>)> {
        let of_account = self.of_accounts.of(account, OUTSIDE_OF_ONE_MAX);
        Some((of_account.acquire_owned().await.ok()?, self.places.acquire().await.ok()?))
    }

    fn signature(&self, account: AccountId, url: &str) -> blake3::Hash {
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        hash.update(&account.0.to_be_bytes()).update(url.as_bytes());
        hash.finalize()
    }

    /// Where this account's program finds a picture.
    pub(crate) fn address(&self, account: AccountId, url: &str) -> String {
        format!("/api/picture?u={}&s={}", BASE64URL_NOPAD.encode(url.as_bytes()), self.signature(account, url).to_hex())
    }

    /// What the address means, if it is one of ours.
    fn meant(&self, account: AccountId, query: &HashMap<String, String>) -> Option<String> {
        let url = String::from_utf8(BASE64URL_NOPAD.decode(query.get("u")?.as_bytes()).ok()?).ok()?;
        let said = blake3::Hash::from_hex(query.get("s")?).ok()?;
        // Hashes are compared in constant time.
        (said == self.signature(account, &url)).then_some(url)
    }
}

/// By its first octets: what a browser shows as a picture and nothing else.
fn picture_type(octets: &[u8]) -> Option<&'static str> {
    let within = |at: usize, what: &[u8]| octets.get(at..).is_some_and(|rest| rest.starts_with(what));
    Some(match () {
        () if within(0, b"\x89PNG\r\n\x1a\n") => "image/png",
        () if within(0, b"\xff\xd8\xff") => "image/jpeg",
        () if within(0, b"GIF87a") || within(0, b"GIF89a") => "image/gif",
        () if within(0, b"RIFF") && within(8, b"WEBP") => "image/webp",
        () if within(4, b"ftypavif") || within(4, b"ftypavis") => "image/avif",
        () => return None,
    })
}

/// `GET /api/picture?u=&s=`
pub(crate) async fn picture(
    State(site): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    Visit { signed_in, .. }: Visit,
) -> Response {
    let Some(url) = site.outside.meant(signed_in.account.id, &query) else {
        return problem(StatusCode::NOT_FOUND, "There is no such picture.");
    };
    let Some(_place) = site.outside.place(signed_in.account.id).await else { return unavailable() };
    let got = site.outside.outside.ask(&Asked { url: &url, post: None, bytes_max: PICTURE_BYTES_MAX }).await;
    let found = got.ok().filter(|got| got.status == 200).and_then(|got| Some((picture_type(&got.body)?, got.body)));
    let Some((kind, octets)) = found else { return problem(StatusCode::BAD_GATEWAY, "The picture cannot be had.") };
    let mut response = Response::new(Body::from(octets));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}

/// `POST /api/unsubscribe {"emailId"}`: one click, when the message offers it.
pub(crate) async fn unsubscribe(State(site): State<Shared>, Visit { signed_in, request }: Visit) -> Response {
    let value = match body(request).await {
        Ok(value) => value,
        Err(response) => return response,
    };
    if let Err(response) = signed_in.lasts(&site).await {
        return response;
    }
    let gone = || problem(StatusCode::NOT_FOUND, "There is no such message.");
    let owner = signed_in.account.id;
    let Some(key) = text(&value, "emailId").and_then(|id| EmailKey::of(&id)) else { return gone() };
    let Ok(view) = site.jmap.views.of(&site.store, owner).await else { return unavailable() };
    let Some(email) = view.get(key).and_then(crate::jmap::view::Entry::email) else { return gone() };
    let Ok(octets) = site.store.body(owner, email, 0, u64::from(u32::MAX)).await else { return unavailable() };
    let fields = message::list_fields::of_header(&octets);
    // In a trial no host has a certificate.
    let is_safe = |url: &str| url.starts_with("https://") || site.outside.outside.reach() == Reach::Loopback;
    let url = fields.unsubscribe.iter().find(|url| url.starts_with("http") && is_safe(url)).filter(|_| fields.one_click);
    let Some(url) = url else { return problem(StatusCode::CONFLICT, "This message offers no such way out.") };
    let Some(_place) = site.outside.place(owner).await else { return unavailable() };
    let asked = Asked { url, post: Some(Post::form("List-Unsubscribe=One-Click")), bytes_max: LEFT_BYTES_MAX };
    match site.outside.outside.ask(&asked).await {
        Ok(got) if (200..400).contains(&got.status) => site::answer(StatusCode::OK, &json!({})),
        Ok(got) => problem(StatusCode::BAD_GATEWAY, &format!("The list's server answered {}.", got.status)),
        Err(_) => problem(StatusCode::BAD_GATEWAY, "The list's server does not answer."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn way() -> Way {
        let resolver = net::Resolver::with_servers(vec![([127, 0, 0, 1], 9).into()]).unwrap();
        let tls = net::TlsClient::verified(None).unwrap();
        Way::new(Outside::new(net::Network::System, resolver, tls, Reach::Public))
    }

    #[tokio::test(start_paused = true)]
    async fn one_account_does_not_take_the_places_of_others() {
        let way = way();
        let soon = async |account: u32| {
            let place = way.place(AccountId(account));
            tokio::time::timeout(std::time::Duration::from_secs(1), place).await.ok().flatten()
        };
        let mut taken = Vec::new();
        for _ in 0..OUTSIDE_OF_ONE_MAX {
            taken.push(soon(1).await.unwrap());
        }
        assert!(soon(1).await.is_none(), "it waits for its own");
        assert!(soon(2).await.is_some());
        taken.pop();
        assert!(soon(1).await.is_some());
        drop(taken);
        drop(way.place(AccountId(3)).await);
        assert!(way.of_accounts.accounts() <= 1, "who asks for nothing is not remembered");
    }

    #[test]
    fn secret_checks_of_a_picture_s_address() {
        let (way, url) = (way(), "https://shop.test/a.png");
        let said = crate::secret_checks::three(way.signature(AccountId(7), url).as_bytes());
        let query: HashMap<String, String> = [("u".to_owned(), BASE64URL_NOPAD.encode(url.as_bytes()))].into();
        let each = said.map(|said| {
            let mut query = query.clone();
            query.insert("s".into(), data_encoding::HEXLOWER.encode(&said));
            query
        });
        let which = [[0], [1], [2]];
        crate::secret_checks::count("the signature of a picture's address", &which, |at| {
            way.meant(AccountId(7), &each[usize::from(at[0])]).is_some()
        });
    }

    #[test]
    fn only_addresses_of_our_own_making_for_the_same_account_mean_anything() {
        let way = way();
        let address = way.address(AccountId(7), "https://shop.test/a.png?b=c&d");
        let query = |address: &str| -> HashMap<String, String> {
            let (_, query) = address.split_once('?').unwrap();
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
        };
        assert_eq!(way.meant(AccountId(7), &query(&address)).as_deref(), Some("https://shop.test/a.png?b=c&d"));
        assert_eq!(way.meant(AccountId(8), &query(&address)), None);
        let mut other = query(&address);
        other.insert("u".into(), BASE64URL_NOPAD.encode(b"https://evil.test/"));
        assert_eq!(way.meant(AccountId(7), &other), None);
        assert_eq!(way.meant(AccountId(7), &HashMap::new()), None);
    }

    #[test]
    fn only_pictures_are_pictures() {
        assert_eq!(picture_type(b"\x89PNG\r\n\x1a\nrest"), Some("image/png"));
        assert_eq!(picture_type(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        for other in [b"<svg onload=x>".as_slice(), b"<html>", b"", b"GIF", b"RIFF\0\0\0\0WAVE"] {
            assert_eq!(picture_type(other), None);
        }
    }
}
