//! What of a message was rendered at delivery, for readers of many messages at once.
//!
//! Invariant: what is kept in memory was read under the same account; a message never changes, so none of it is ever stale.
//! Must not know: who reads, what is in it.

use crate::Store;
use crate::engine::{Found, Query};
use crate::limits::{RENDERED_BYTES_USUAL, RENDERED_OVERHEAD_BYTES};
use crate::message::{FACTS_PACKED, note_of};
use crate::packing::{NUMBER_BYTES_MAX, Unpacker};
use crate::store::{Inner, Result};
use crate::types::{AccountId, EmailId};
use crate::value::Reader;
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

/// What of a note is read: of one that is not packed the front, with all that is rendered; nothing of one of another version.
fn rendered_front(note: &[u8]) -> usize {
    match note.split_first() {
        Some((version, _)) if *version == FACTS_VERSION | FACTS_PACKED => note.len(),
        Some((&FACTS_VERSION, facts)) => Facts::rendered(facts).map_or(0, |[_, _, body]| 1 + body.end),
        _ => 0,
    }
}

/// These parts of a note, or of its front.
fn pieces_of(note: &[u8], parts: &[Part]) -> Option<Pieces> {
    let (version, content) = note.split_first()?;
    if *version == FACTS_VERSION {
        return pieces_at(content, &Facts::rendered(content)?, parts);
    }
    let mut unpacker = Unpacker::new(content).filter(|_| *version == FACTS_VERSION | FACTS_PACKED)?;
    // No more of it is unpacked than is asked for: the parts lie one behind the other, each behind its length.
    let count = parts.iter().map(|part| *part as usize + 1).max().unwrap_or(0);
    let (mut places, mut end) = ([const { 0..0 }; 3], 0usize);
    for place in places.iter_mut().take(count) {
        let seen = unpacker.up_to(end.saturating_add(NUMBER_BYTES_MAX))?;
        let mut reader = Reader::bare(seen.get(end..)?);
        let length = usize::try_from(reader.number()?).ok()?;
        let begin = seen.len() - reader.rest().len();
        end = begin.checked_add(length)?;
        *place = begin..end;
    }
    pieces_at(unpacker.up_to(end)?, &places, parts)
}

fn pieces_at(facts: &[u8], places: &[Range<usize>; 3], parts: &[Part]) -> Option<Pieces> {
    let mut pieces = Pieces::default();
    for part in parts {
        pieces[*part as usize] = Some(facts.get(places[*part as usize].clone())?.into());
    }
    Some(pieces)
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
        let pieces = pieces_of(note, parts)?;
        for part in parts {
            if let Some(piece) = &pieces[*part as usize] {
                self.rendered.insert((account, email, *part), Arc::clone(piece));
            }
        }
        Some(pieces)
    }
}
