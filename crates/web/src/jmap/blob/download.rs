//! Blobs on their way to who asked (RFC 8620 §6.2): read in pieces as they are taken, so that a large one is never held whole.
//!
//! Invariant: what is downloaded can run nothing in a browser; how long it is is said first, so that one that breaks off is not
//! taken for all of it. Must not know: what a blob is for.

use super::{Lies, is_media_type, lies, octets};
use crate::jmap::push::Pieces;
use crate::jmap::sharing::Eyes;
use crate::limits::DOWNLOAD_PIECE_BYTES;
use crate::site::{Shared, Site, Visit, problem, unavailable};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use message::part::PartKind;
use message::transfer::{Decoder, TransferEncoding};
use std::collections::HashMap;
use std::ops::Range;
use store::{AccountId, EmailId, Spooled, Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Where octets are read from.
#[derive(Clone)]
enum Source {
    Uploaded(Spooled),
    Email(Store, AccountId, EmailId),
}

impl Source {
    async fn piece(&self, at: u64, len: u64) -> Result<Bytes, StoreError> {
        match self {
            Source::Uploaded(octets) => octets.piece(at, len).await,
            Source::Email(store, account, email) => store.body(*account, *email, at, len).await,
        }
    }
}

/// A stretch of octets, read and decoded piece by piece.
#[derive(Clone)]
struct Reading {
    source: Source,
    left: Range<u64>,
    /// `None`: it is over.
    decoder: Option<Decoder>,
}

impl Reading {
    fn new(source: Source, stretch: Range<u64>, encoding: TransferEncoding) -> Reading {
        Reading { source, left: stretch, decoder: Some(Decoder::new(encoding)) }
    }

    /// The next piece, never an empty one; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        while let Some(decoder) = &mut self.decoder {
            let len = self.left.end.saturating_sub(self.left.start).min(DOWNLOAD_PIECE_BYTES);
            let mut decoded = Vec::new();
            if len == 0 {
                decoder.finish(&mut decoded);
                self.decoder = None;
            } else {
                let piece = self.source.piece(self.left.start, len).await?;
                if piece.is_empty() {
                    return Err(StoreError::Damaged("a blob is shorter than it was said to be".into()));
                }
                self.left.start += piece.len() as u64;
                if matches!(decoder, Decoder::Identity) {
                    return Ok(Some(piece));
                }
                decoder.push(&piece, &mut decoded);
            }
            if !decoded.is_empty() {
                return Ok(Some(decoded.into()));
            }
        }
        Ok(None)
    }

    /// How many octets it gives: what is encoded is read once for that.
    async fn len(&self) -> Result<u64, StoreError> {
        if matches!(self.decoder, Some(Decoder::Identity)) {
            return Ok(self.left.end.saturating_sub(self.left.start));
        }
        let (mut counting, mut len) = (self.clone(), 0);
        while let Some(piece) = counting.next().await? {
            len += piece.len() as u64;
        }
        Ok(len)
    }

    /// As a body. One that cannot be read to its end breaks off, and is shorter than was said.
    fn into_body(mut self) -> Body {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                match self.next().await {
                    Ok(Some(piece)) => {
                        if sender.send(piece).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(error) => return tracing::error!(?error, "a download broke off"),
                }
            }
        });
        Body::new(Pieces(receiver))
    }
}

/// How the octets of a blob are read; `None`: there is no such blob, or it has to be read whole.
async fn reading(site: &Site, eyes: &Eyes, id: &str) -> Result<Option<Reading>, StoreError> {
    let of_email = |email| Source::Email(site.store.clone(), eyes.account, email);
    Ok(match lies(site, eyes, id).await? {
        None | Some(Lies::Inside(..)) => None,
        Some(Lies::Uploaded(octets)) => {
            let all = 0..octets.len();
            Some(Reading::new(Source::Uploaded(octets), all, TransferEncoding::Binary))
        }
        Some(Lies::Email(email, size)) => Some(Reading::new(of_email(email), 0..size, TransferEncoding::Binary)),
        Some(Lies::Part(email, number)) => {
            let facts = site.store.facts(eyes.account, &[email]).await?.into_iter().next().flatten();
            facts.and_then(|facts| facts.parts.get(number).copied()).map(|part| {
                // Only a leaf's is applied (RFC 2045 §6.4).
                let encoding = if part.kind == PartKind::Leaf { part.encoding } else { TransferEncoding::Binary };
                let Range { start, end } = part.body();
                Reading::new(of_email(email), start as u64..end as u64, encoding)
            })
        }
    })
}

/// A body of octets that are here already, and hold a place until they are out.
pub(crate) fn held(octets: Bytes, place: Option<OwnedSemaphorePermit>) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let (_place, mut left) = (place, octets);
        while !left.is_empty() {
            let len = left.len().min(usize::try_from(DOWNLOAD_PIECE_BYTES).unwrap_or(usize::MAX));
            if sender.send(left.split_to(len)).await.is_err() {
                return;
            }
        }
    });
    Body::new(Pieces(receiver))
}

/// The answer's body, and how long it is; `None`: there is no such blob.
async fn body(site: &Site, eyes: &Eyes, id: &str) -> Result<Option<(Body, u64)>, StoreError> {
    let found = match reading(site, eyes, id).await {
        Ok(Some(reading)) => reading.len().await.map(|len| Some((reading.into_body(), len))),
        // Also where the facts are damaged: the octets may be whole.
        Ok(None) | Err(StoreError::Damaged(_)) => {
            let place = site.jmap.uploads.whole_place(eyes.who.id).await;
            octets(site, eyes, id).await.map(|found| {
                found.map(|found| {
                    let len = found.len() as u64;
                    (held(found, place), len)
                })
            })
        }
        Err(error) => Err(error),
    };
    match found {
        Err(StoreError::NotFound) => Ok(None),
        other => other,
    }
}

/// `GET /jmap/download/{accountId}/{blobId}/{name}?type=`
pub(crate) async fn download(
    State(site): State<Shared>,
    Path((account, id, name)): Path<(String, String, String)>,
    Query(query): Query<HashMap<String, String>>,
    Visit { signed_in, .. }: Visit,
) -> Response {
    let missing = || problem(StatusCode::NOT_FOUND, "There is no such blob.");
    let Some(eyes) = site.eyes_on(&signed_in.account, &account).await else { return missing() };
    let (body, len) = match body(&site, &eyes, &id).await {
        Ok(Some(found)) => found,
        Ok(None) => return missing(),
        Err(_) => return unavailable(),
    };
    let kind = query.get("type").filter(|kind| is_media_type(kind) && !is_part_of_a_page(kind));
    let kind = kind.map_or("application/octet-stream", String::as_str);
    let mut response = body.into_response();
    protect(response.headers_mut(), kind, &name, len);
    response
}

/// A page takes these into itself, whatever stands beside them: a tag that somebody smuggled into ours would find its script here,
/// under our own origin.
fn is_part_of_a_page(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "text/css" || ["javascript", "ecmascript", "jscript", "livescript"].iter().any(|word| essence.contains(word))
}

fn protect(headers: &mut HeaderMap, kind: &str, name: &str, len: u64) {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{}", percent(name))) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    // A blob never changes; whatever it says it is, it runs nothing and asks for nothing.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
}

pub(crate) fn percent(name: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    name.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What an encoding gives is the same in pieces as whole, and no piece is larger than one that is read.
    #[tokio::test]
    async fn a_blob_is_read_in_pieces() {
        let octets: Vec<u8> = (0..3 * DOWNLOAD_PIECE_BYTES + 77).flat_map(|n| u8::try_from(n * 31 % 251)).collect();
        let texts = [
            (TransferEncoding::Binary, octets.clone()),
            (TransferEncoding::Base64, message::transfer::base64_encode(&octets)),
            (TransferEncoding::QuotedPrintable, message::transfer::quoted_printable_encode(&octets)),
        ];
        for (encoding, text) in texts {
            // The decoder is handed what stands between them alone.
            let (start, end) = (5, 5 + text.len() as u64);
            let all = [b"front".as_slice(), &text, b"behind"].concat();
            let whole = message::transfer::decode_cow(encoding, &text).into_owned();
            let mut reading = Reading::new(Source::Uploaded(Spooled::from_bytes(all.into())), start..end, encoding);
            assert_eq!(reading.len().await.unwrap(), whole.len() as u64, "{encoding:?}");
            let (mut got, mut pieces) = (Vec::new(), 0);
            while let Some(piece) = reading.next().await.unwrap() {
                assert!((1..=DOWNLOAD_PIECE_BYTES).contains(&(piece.len() as u64)), "{encoding:?}: {}", piece.len());
                got.extend_from_slice(&piece);
                pieces += 1;
            }
            assert!(got == whole && pieces > 3, "{encoding:?}: {pieces} pieces");
        }
    }

    /// Whoever is told a length knows when something is missing.
    #[tokio::test]
    async fn one_that_is_too_short_breaks_off() {
        let source = Source::Uploaded(Spooled::from_bytes(Bytes::from_static(b"abc")));
        let mut reading = Reading::new(source, 0..9, TransferEncoding::Binary);
        assert_eq!(reading.next().await.unwrap().unwrap(), "abc");
        assert!(reading.next().await.is_err());
    }
}
