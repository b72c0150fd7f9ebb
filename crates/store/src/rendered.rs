//! What of a message was rendered at delivery, for readers of many messages at once.
//!
//! Invariant: what is kept in memory was read under the same account; a message never changes, so none of it is ever stale.
//! Must not know: who reads, what is in it.

use crate::Store;
use crate::engine::{Found, Query};
use crate::limits::{RENDERED_BYTES_USUAL, RENDERED_OVERHEAD_BYTES};
use crate::message::note_of;
use crate::store::{Inner, Result};
use crate::types::{AccountId, EmailId};
use message::facts::{FACTS_VERSION, Facts};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::ops::Range;
use std::sync::Arc;

/// As in [`Facts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Part {
    Envelope,
    BodyStructure,
    Body,
}

type Pieces = [Option<Arc<[u8]>>; 3];

/// Parts of many messages, by their place among those asked for.
#[derive(Debug, Default)]
pub struct Rendered {
    found: Vec<Option<Pieces>>,
}

impl Rendered {
    /// ENVELOPE, BODYSTRUCTURE and BODY, empty where not asked for; `None` when the message is gone and not remembered.
    pub fn get(&self, number: usize) -> Option<[&[u8]; 3]> {
        let pieces = self.found.get(number)?.as_ref()?;
        Some(pieces.each_ref().map(|piece| piece.as_deref().unwrap_or_default()))
    }
}

pub(crate) type RenderedCache = Cache<(AccountId, EmailId, Part), Arc<[u8]>, Octets>;

/// What a piece costs.
#[derive(Clone)]
pub(crate) struct Octets;

impl Weighter<(AccountId, EmailId, Part), Arc<[u8]>> for Octets {
    fn weight(&self, _: &(AccountId, EmailId, Part), piece: &Arc<[u8]>) -> u64 {
        (piece.len() + RENDERED_OVERHEAD_BYTES) as u64
    }
}

/// Holds so many octets at most.
pub(crate) fn cache(bytes: u64) -> RenderedCache {
    Cache::with_weighter(usual_count(bytes), bytes, Octets)
}

/// How many pieces lie in so many octets, about.
pub(crate) fn usual_count(bytes: u64) -> usize {
    usize::try_from(bytes / RENDERED_BYTES_USUAL).unwrap_or(usize::MAX)
}

/// The front of a note, with all that is rendered; nothing of one of another version.
fn rendered_front(note: &[u8]) -> usize {
    rendered_in(note).map_or(0, |[_, _, body]| 1 + body.end)
}

/// Where in a note, behind its version.
fn rendered_in(note: &[u8]) -> Option<[Range<usize>; 3]> {
    let (_, facts) = note.split_first().filter(|(version, _)| **version == FACTS_VERSION)?;
    Facts::rendered(facts)
}

/// One part of a note, or of its front.
fn part_of(note: &[u8], part: Part) -> Option<&[u8]> {
    let [envelope, body_structure, body] = rendered_in(note)?;
    let place = match part {
        Part::Envelope => envelope,
        Part::BodyStructure => body_structure,
        Part::Body => body,
    };
    note.get(1..)?.get(place)
}

impl Store {
    /// These parts of many emails; what is missing or older is made anew.
    pub async fn rendered(&self, account: AccountId, emails: &[EmailId], parts: &[Part]) -> Result<Rendered> {
        self.inner.rendered(account, emails, parts).await
    }
}

impl Inner {
    async fn rendered(&self, account: AccountId, emails: &[EmailId], parts: &[Part]) -> Result<Rendered> {
        let known = |email: &EmailId| {
            let mut pieces = Pieces::default();
            for part in parts {
                pieces[*part as usize] = Some(self.rendered.get(&(account, *email, *part))?);
            }
            Some(pieces)
        };
        let mut found: Vec<Option<Pieces>> = emails.iter().map(known).collect();
        let missing = found.iter().zip(emails).enumerate().filter(|(_, (known, _))| known.is_none());
        let (places, missing): (Vec<usize>, Vec<EmailId>) = missing.map(|(place, (_, email))| (place, *email)).unzip();
        if missing.is_empty() {
            return Ok(Rendered { found });
        }
        let records = self.email_records(account, &missing).await?;
        let ids = records.iter().flatten().map(|record| record.body).collect();
        let query = Query::NoteFronts { ids, wanted: rendered_front };
        let notes = self.engine.read(vec![query]).await?.into_iter().next().map(Found::packed).unwrap_or_default();
        let mut asked = 0..;
        for ((place, email), record) in places.into_iter().zip(missing).zip(records) {
            let Some(number) = record.and_then(|_| asked.next()) else { continue };
            let pieces = match notes.get(number).and_then(|note| self.remember(account, email, note, parts)) {
                Some(pieces) => Some(pieces),
                None => {
                    let facts = self.facts(account, &[email]).await?.into_iter().next().flatten();
                    facts.and_then(|facts| self.remember(account, email, &note_of(&facts), parts))
                }
            };
            if let Some(there) = found.get_mut(place) {
                *there = pieces;
            }
        }
        Ok(Rendered { found })
    }

    fn remember(&self, account: AccountId, email: EmailId, note: &[u8], parts: &[Part]) -> Option<Pieces> {
        let mut pieces = Pieces::default();
        for part in parts {
            let piece: Arc<[u8]> = part_of(note, *part)?.into();
            self.rendered.insert((account, email, *part), Arc::clone(&piece));
            pieces[*part as usize] = Some(piece);
        }
        Some(pieces)
    }
}
