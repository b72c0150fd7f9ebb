//! What of a message was rendered at delivery, for readers of many messages at once.
//!
//! Messages with neighbouring ids are remembered together, part by part: who reads a mailbox asks for one after the other.
//! Invariant: what is kept in memory was read under the same account; a message never changes, so none of it is ever stale.
//! Must not know: who reads, what is in it.

use crate::Store;
use crate::engine::{Found, Query};
use crate::limits::{RENDERED_BYTES_USUAL, RENDERED_OVERHEAD_BYTES, RENDERED_TOGETHER};
use crate::message::FACTS_PACKED;
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

/// One part of messages with neighbouring ids: of those that somebody asked for.
#[derive(Debug, Default)]
pub(crate) struct Leaf {
    /// By message, one bit each.
    there: u16,
    /// Where each ends in `octets`; those that are not there are empty.
    ends: [u32; RENDERED_TOGETHER],
    octets: Box<[u8]>,
}

impl Leaf {
    fn get(&self, slot: usize) -> Option<&[u8]> {
        if self.there >> slot & 1 == 0 {
            return None;
        }
        let start = if slot == 0 { 0 } else { *self.ends.get(slot - 1)? };
        self.octets.get(start as usize..*self.ends.get(slot)? as usize)
    }

    /// With what has come to be known besides.
    fn with(&self, more: &[Option<&[u8]>; RENDERED_TOGETHER]) -> Leaf {
        let piece = |slot: usize| self.get(slot).or(more.get(slot).copied().flatten());
        let length = (0..RENDERED_TOGETHER).filter_map(piece).map(<[u8]>::len).sum();
        let (mut octets, mut leaf) = (Vec::with_capacity(length), Leaf::default());
        for (slot, end) in leaf.ends.iter_mut().enumerate() {
            if let Some(piece) = piece(slot) {
                octets.extend_from_slice(piece);
                leaf.there |= 1 << slot;
            }
            *end = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        }
        leaf.octets = octets.into_boxed_slice();
        leaf
    }
}

/// Neighbours, and which of their parts are asked for and known.
#[derive(Debug)]
struct Group {
    number: u64,
    leaves: [Option<Arc<Leaf>>; 3],
}

/// Where a message is among its neighbours.
fn place_of(email: EmailId) -> (u64, usize) {
    (email.0 / RENDERED_TOGETHER as u64, (email.0 % RENDERED_TOGETHER as u64) as usize)
}

/// Parts of many messages, by their place among those asked for.
#[derive(Debug, Default)]
pub struct Rendered {
    groups: Vec<Group>,
    /// In which group, and where in it.
    places: Vec<(usize, usize)>,
    asked: [bool; 3],
}

impl Rendered {
    /// ENVELOPE, BODYSTRUCTURE and BODY, empty where not asked for; `None` when the message is gone and not remembered.
    pub fn get(&self, number: usize) -> Option<[&[u8]; 3]> {
        let (group, slot) = *self.places.get(number)?;
        let group = self.groups.get(group)?;
        let (mut pieces, mut part) = ([&[][..]; 3], 0);
        // A plain loop, which is cheaper where nothing is optimised.
        while part < pieces.len() {
            if self.asked[part] {
                pieces[part] = group.leaves[part].as_ref()?.get(slot)?;
            }
            part += 1;
        }
        Some(pieces)
    }
}

pub(crate) type RenderedCache = Cache<(AccountId, u64, Part), Arc<Leaf>, Octets>;

/// What a leaf costs.
#[derive(Clone)]
pub(crate) struct Octets;

impl Weighter<(AccountId, u64, Part), Arc<Leaf>> for Octets {
    fn weight(&self, _: &(AccountId, u64, Part), leaf: &Arc<Leaf>) -> u64 {
        (leaf.octets.len() + RENDERED_OVERHEAD_BYTES) as u64
    }
}

/// Holds so many octets at most.
pub(crate) fn cache(bytes: u64) -> RenderedCache {
    Cache::with_weighter(usual_count(bytes) / RENDERED_TOGETHER, bytes, Octets)
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

/// What was read of many messages, part by part, in one piece of memory.
#[derive(Default)]
struct Read {
    octets: Vec<u8>,
    /// By message; `None`: there is nothing.
    places: Vec<Option<[Range<usize>; 3]>>,
    room: Vec<u8>,
}

impl Read {
    fn piece(&self, number: usize, part: Part) -> Option<&[u8]> {
        self.octets.get(self.places.get(number)?.as_ref()?[part as usize].clone())
    }

    /// These parts of facts that lie there.
    fn take(&mut self, facts: [&[u8]; 3], parts: &[Part]) {
        self.places.push(Some(laid_down(&mut self.octets, facts, parts)));
    }

    /// These parts of a note, or of its front. False, and nothing taken: it is none, or of another version.
    fn take_note(&mut self, note: &[u8], parts: &[Part]) -> bool {
        let taken = pieces_of(note, parts, &mut self.room).map(|pieces| laid_down(&mut self.octets, pieces, parts));
        let is_taken = taken.is_some();
        self.places.extend(taken.map(Some));
        is_taken
    }
}

fn laid_down(octets: &mut Vec<u8>, pieces: [&[u8]; 3], parts: &[Part]) -> [Range<usize>; 3] {
    let mut places = [const { 0..0 }; 3];
    for part in parts {
        let start = octets.len();
        octets.extend_from_slice(pieces[*part as usize]);
        places[*part as usize] = start..octets.len();
    }
    places
}

/// Those parts of a note, or of its front, that are asked for; the others may be empty.
fn pieces_of<'a>(note: &'a [u8], parts: &[Part], room: &'a mut Vec<u8>) -> Option<[&'a [u8]; 3]> {
    let (version, content) = note.split_first()?;
    if *version == FACTS_VERSION {
        return pieces_at(content, &Facts::rendered(content)?);
    }
    let mut unpacker = Unpacker::new(content, room).filter(|_| *version == FACTS_VERSION | FACTS_PACKED)?;
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
    unpacker.up_to(end)?;
    pieces_at(unpacker.unpacked(), &places)
}

fn pieces_at<'a>(facts: &'a [u8], places: &[Range<usize>; 3]) -> Option<[&'a [u8]; 3]> {
    let [envelope, body_structure, body] = places.each_ref().map(|place| facts.get(place.clone()));
    Some([envelope?, body_structure?, body?])
}

impl Store {
    /// These parts of many emails; what is missing or older is made anew.
    pub async fn rendered(&self, account: AccountId, emails: &[EmailId], parts: &[Part]) -> Result<Rendered> {
        self.inner.rendered(account, emails, parts).await
    }
}

impl Inner {
    async fn rendered(&self, account: AccountId, emails: &[EmailId], parts: &[Part]) -> Result<Rendered> {
        let mut found = self.remembered(account, emails, parts);
        let missing: Vec<usize> = (0..emails.len()).filter(|number| found.get(*number).is_none()).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let wanted: Vec<EmailId> = missing.iter().filter_map(|number| emails.get(*number).copied()).collect();
        let read = self.read_rendered(account, &wanted, parts).await?;
        // One group after the other: those of one stand together, but for who asks without order.
        let group_of = |number: usize| found.places.get(missing.get(number).copied()?).map(|(group, _)| *group);
        let mut made = Vec::new();
        let mut from = 0;
        while let Some(at) = group_of(from) {
            let to = (from..missing.len()).find(|number| group_of(*number) != Some(at)).unwrap_or(missing.len());
            made.push((at, from..to));
            from = to;
        }
        for (at, numbers) in made {
            let Some(group) = found.groups.get_mut(at) else { continue };
            for part in parts {
                let mut more = [None; RENDERED_TOGETHER];
                for number in numbers.clone() {
                    let slot = wanted.get(number).map(|email| place_of(*email).1);
                    if let Some(piece) = slot.and_then(|slot| more.get_mut(slot)) {
                        *piece = read.piece(number, *part);
                    }
                }
                let leaf = &mut group.leaves[*part as usize];
                let whole = Arc::new(leaf.as_deref().unwrap_or(&Leaf::default()).with(&more));
                if whole.there != 0 {
                    self.rendered.insert((account, group.number, *part), Arc::clone(&whole));
                }
                *leaf = Some(whole);
            }
        }
        Ok(found)
    }

    /// What is in memory of it.
    fn remembered(&self, account: AccountId, emails: &[EmailId], parts: &[Part]) -> Rendered {
        let mut found = Rendered::default();
        parts.iter().for_each(|part| found.asked[*part as usize] = true);
        found.places.reserve_exact(emails.len());
        for email in emails {
            let (number, slot) = place_of(*email);
            if found.groups.last().is_none_or(|group| group.number != number) {
                let mut leaves = [const { None }; 3];
                for part in parts {
                    leaves[*part as usize] = self.rendered.get(&(account, number, *part));
                }
                found.groups.push(Group { number, leaves });
            }
            found.places.push((found.groups.len() - 1, slot));
        }
        found
    }

    /// These parts of all of these emails, from their notes; what is missing or older is made anew.
    async fn read_rendered(&self, account: AccountId, emails: &[EmailId], parts: &[Part]) -> Result<Read> {
        let records = self.email_records(account, emails).await?;
        let ids = records.iter().flatten().map(|record| record.body).collect();
        let query = Query::NoteFronts { ids, wanted: rendered_front };
        let notes = self.engine.read(vec![query]).await?.into_iter().next().map(Found::packed).unwrap_or_default();
        let (mut read, mut asked) = (Read::default(), 0..);
        for (email, record) in emails.iter().zip(records) {
            let note = record.and_then(|_| asked.next()).and_then(|number| notes.get(number));
            if note.is_some_and(|note| read.take_note(note, parts)) {
                continue;
            }
            match record {
                None => read.places.push(None),
                Some(_) => match self.facts(account, &[*email]).await?.into_iter().next().flatten() {
                    Some(facts) => read.take([&facts.envelope, &facts.body_structure, &facts.body], parts),
                    None => read.places.push(None),
                },
            }
        }
        Ok(read)
    }
}
