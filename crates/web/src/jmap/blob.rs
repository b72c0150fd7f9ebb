//! Blobs (RFC 8620 §6): messages, their parts, and what was uploaded and waits for its use.
//!
//! Invariant: what is downloaded can run nothing in a browser; uploads are bounded in number, octets and time.
//! Must not know: what a blob is for.

mod download;

use super::Context;
use super::failure::MethodError;
use super::sharing::Eyes;
use super::view::EmailKey;
use crate::limits::*;
use crate::places::Places;
use crate::site::{self, Coming, Shared, Site, Visit, discard, problem, unavailable};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
pub(crate) use download::{download, held, percent};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use store::{AccountId, EmailId, Spooled, Store, StoreError};
use tokio::time::Instant;

/// Messages in messages in messages of which parts are blobs.
const PARSED_LEVELS_MAX: usize = 8;

/// What was uploaded.
#[derive(Default)]
pub(crate) struct Uploads {
    /// By whose account it is for, and who brought it.
    waiting: Mutex<HashMap<(AccountId, AccountId), Vec<Uploaded>>>,
    at_work: Places,
    /// Blobs at work that are read whole.
    wholes: Places,
}

struct Uploaded {
    id: String,
    octets: Spooled,
    at: Instant,
}

impl Uploads {
    fn get(&self, eyes: &Eyes, id: &str) -> Option<Spooled> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(&eyes.key())?.iter().find(|one| one.id == id).map(|one| one.octets.clone())
    }

    /// What nobody used in its time goes, whether or not more comes.
    async fn expire(&self) {
        loop {
            tokio::time::sleep(UPLOADED_SWEEP).await;
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.values_mut().for_each(|list| list.retain(|one| one.at.elapsed() < UPLOADED_MAX));
            waiting.retain(|_, list| !list.is_empty());
        }
    }

    /// The oldest give way when there are too many octets; false when it alone is too large.
    fn keep(&self, eyes: &Eyes, id: String, octets: Spooled) -> bool {
        if octets.len() > UPLOADED_BYTES_MAX {
            return false;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let list = waiting.entry(eyes.key()).or_default();
        list.retain(|one| one.id != id);
        list.push(Uploaded { id, octets, at: Instant::now() });
        while list.iter().map(|one| one.octets.len()).sum::<u64>() > UPLOADED_BYTES_MAX || list.len() > UPLOADS_MAX {
            list.remove(0);
        }
        true
    }

    /// Waits for a place among the blobs of an account that are held whole on their way out.
    async fn whole_place(&self, account: AccountId) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.wholes.of(account, WHOLE_BLOBS_MAX).acquire_owned().await.ok()
    }

    fn place(&self, account: AccountId) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.at_work.of(account, CONCURRENT_UPLOADS_MAX).try_acquire_owned().ok()
    }
}

/// Lets go of uploads in their time, until the server goes down.
pub(crate) async fn expire(site: Shared) {
    let mut shutdown = site.shutdown.clone();
    tokio::select! {
        () = site.jmap.uploads.expire() => {}
        _ = shutdown.wait_for(|down| *down) => {}
    }
}

/// A body into the store's spool; its hash names it.
async fn spooled(store: &Store, mut coming: Coming, max: u64) -> Result<(String, Spooled), Response> {
    let mut spool = store.spool();
    let mut hash = blake3::Hasher::new();
    while let Some(data) = coming.next().await.map_err(|_| site::late())? {
        if spool.len() + data.len() as u64 > max {
            coming.discard(DISCARDED_BYTES_MAX).await;
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "That is larger than maxSizeUpload."));
        }
        hash.update(&data);
        spool.write(&data).await.map_err(|_| unavailable())?;
    }
    let id = name_of(hash.finalize());
    spool.finish().await.map(|octets| (id, octets)).map_err(|_| unavailable())
}

/// `POST /jmap/upload/{accountId}/`
pub(crate) async fn upload(
    State(site): State<Shared>,
    Path(account): Path<String>,
    Visit { signed_in, request }: Visit,
) -> Response {
    let Some(eyes) = site.eyes_on(&signed_in.account, &account).await else {
        return discard(request, problem(StatusCode::NOT_FOUND, "There is no such account.")).await;
    };
    let Some(_place) = site.jmap.uploads.place(signed_in.account.id) else {
        return discard(request, super::refused("limit", "Too many uploads at once.", Some("maxConcurrentUpload"))).await;
    };
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.filter(|kind| is_media_type(kind)).unwrap_or("application/octet-stream").to_owned();
    let (blob, octets) = match spooled(&site.store, Coming::new(request), site.message_bytes_max).await {
        Ok(kept) => kept,
        Err(response) => return response,
    };
    if let Err(response) = signed_in.lasts(&site).await {
        return response;
    }
    let size = octets.len();
    if !site.jmap.uploads.keep(&eyes, blob.clone(), octets) {
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "That is too large.");
    }
    site::answer(StatusCode::CREATED, &json!({"accountId": account, "blobId": blob, "type": kind, "size": size}))
}

/// Letters that a media type with parameters may have, and nothing that ends a header field.
pub(super) fn is_media_type(kind: &str) -> bool {
    kind.contains('/') && kind.len() <= 200 && kind.bytes().all(|b| (b' '..0x7f).contains(&b))
}

/// Where a blob's octets lie.
enum Lies {
    Uploaded(Spooled),
    /// A message: all of its so many octets.
    Email(EmailId, u64),
    /// The part of this number in a message.
    Part(EmailId, usize),
    /// The part of this number in a blob that was read as a message.
    Inside(String, usize),
}

/// Where a blob lies that these eyes may see; `None`: there is none.
async fn lies(site: &Site, eyes: &Eyes, id: &str) -> Result<Option<Lies>, StoreError> {
    if let Some(uploaded) = site.jmap.uploads.get(eyes, id) {
        return Ok(Some(Lies::Uploaded(uploaded)));
    }
    if let Some((of, part)) = id.rsplit_once('_') {
        let part = part.parse::<usize>().ok().filter(|_| id.matches('_').count() <= PARSED_LEVELS_MAX);
        return Ok(part.map(|part| Lies::Inside(of.to_owned(), part)));
    }
    let (key, part) = match id.strip_prefix('P').and_then(|rest| rest.rsplit_once('-')) {
        Some((of, part)) => (EmailKey::of(&format!("M{of}")), part.parse::<usize>().ok()),
        None => (EmailKey::of(id), None),
    };
    let Some(key) = key else { return Ok(None) };
    let view = site.jmap.views.seen_by(&site.store, eyes).await?;
    let found = view.get(key).and_then(|entry| Some((entry.email()?, u64::from(entry.size_bytes))));
    Ok(found.and_then(|(email, size)| match part {
        _ if id.starts_with('M') => Some(Lies::Email(email, size)),
        part => part.map(|part| Lies::Part(email, part)),
    }))
}

/// The octets of a blob that these eyes may see; `None`: there is none.
pub(crate) async fn octets(site: &Site, eyes: &Eyes, id: &str) -> Result<Option<Bytes>, StoreError> {
    let (email, part) = match lies(site, eyes, id).await? {
        None => return Ok(None),
        Some(Lies::Uploaded(uploaded)) => return uploaded.bytes().await.map(Some),
        Some(Lies::Inside(of, part)) => {
            return match Box::pin(octets(site, eyes, &of)).await? {
                Some(whole) => content(whole, part).await,
                None => Ok(None),
            };
        }
        Some(Lies::Email(email, _)) => (email, None),
        Some(Lies::Part(email, part)) => (email, Some(part)),
    };
    let whole = match site.store.body(eyes.account, email, 0, u64::from(u32::MAX)).await {
        Err(StoreError::NotFound) => return Ok(None),
        other => other?,
    };
    match part {
        None => Ok(Some(whole)),
        Some(part) => content(whole, part).await,
    }
}

/// How many octets a blob has, where that is known without reading it.
pub(super) async fn size(context: &Context<'_>, id: &str) -> Result<Option<u64>, StoreError> {
    Ok(match lies(context.site, &context.eyes, id).await? {
        Some(Lies::Uploaded(uploaded)) => Some(uploaded.len()),
        Some(Lies::Email(_, size)) => Some(size),
        Some(Lies::Part(..) | Lies::Inside(..)) | None => None,
    })
}

/// Is there such a blob?
pub(super) async fn is_there(context: &Context<'_>, id: &str) -> Result<bool, StoreError> {
    Ok(size(context, id).await?.is_some() || octets(context.site, &context.eyes, id).await?.is_some())
}

/// A part's content; `None`: there is no such part.
async fn content(whole: Bytes, part: usize) -> Result<Option<Bytes>, StoreError> {
    let content = move |whole: &Bytes| {
        let message = message::parse(whole);
        message.parts.get(part).map(|part| Bytes::from(part.content().into_owned()))
    };
    if whole.len() < 256 * 1024 {
        return Ok(content(&whole));
    }
    tokio::task::spawn_blocking(move || content(&whole)).await.map_err(|error| StoreError::Io(error.to_string()))
}

/// Keeps what a method made, as if it had been uploaded; `Err`: it is too large.
pub(super) fn put(context: &Context<'_>, octets: Vec<u8>) -> Result<String, ()> {
    let id = name_of(blake3::hash(&octets));
    let kept = Spooled::from_bytes(octets.into());
    let done = context.site.jmap.uploads.keep(&context.eyes, id.clone(), kept);
    if done { Ok(id) } else { Err(()) }
}

/// An upload is named by what it holds.
fn name_of(hash: blake3::Hash) -> String {
    format!("U{}", data_encoding::BASE32HEX_NOPAD.encode(hash.as_bytes()).to_ascii_lowercase())
}

/// The same for a method.
pub(crate) async fn blob(context: &Context<'_>, id: &str) -> Result<Option<Bytes>, MethodError> {
    Ok(octets(context.site, &context.eyes, id).await?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use store::Account;

    fn eyes() -> Eyes {
        let secrets = store::Secrets { argon2: String::new(), scram: None };
        let (address, app_passwords) = ("ann@here.test".into(), Vec::new());
        let who = Account {
            id: AccountId(1),
            address,
            secrets,
            suspended: false,
            quota_bytes: None,
            created_secs: 1,
            epoch: 1,
            app_passwords,
        };
        Eyes::own(&std::sync::Arc::new(who))
    }

    /// Of too many the oldest give way, and only those of the account that brings more.
    #[tokio::test]
    async fn so_many_uploads_wait_and_no_more() {
        let (uploads, ann) = (Uploads::default(), eyes());
        let bob = Eyes { account: AccountId(2), ..ann.clone() };
        let one = || Spooled::from_bytes(Bytes::from_static(b"x"));
        assert!(uploads.keep(&bob, "Ubob".into(), one()));
        for number in 0..=UPLOADS_MAX {
            assert!(uploads.keep(&ann, format!("U{number}"), one()));
        }
        assert!(uploads.get(&ann, "U0").is_none() && uploads.get(&ann, "U1").is_some());
        assert!(uploads.get(&ann, &format!("U{UPLOADS_MAX}")).is_some());
        assert!(uploads.get(&bob, "Ubob").is_some() && uploads.get(&ann, "Ubob").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_goes_in_its_time_though_none_comes_after_it() {
        let (uploads, eyes) = (Uploads::default(), eyes());
        assert!(uploads.keep(&eyes, "Uone".into(), Spooled::from_bytes(Bytes::from_static(b"x"))));
        let later = |time| tokio::time::timeout(time, uploads.expire());
        assert!(later(UPLOADED_MAX - UPLOADED_SWEEP).await.is_err());
        assert!(uploads.get(&eyes, "Uone").is_some());
        assert!(later(UPLOADED_SWEEP * 3).await.is_err());
        assert!(uploads.get(&eyes, "Uone").is_none() && uploads.waiting.lock().unwrap().is_empty());
    }
}
