//! Octets of BODY[...], BINARY[...] and RFC822 (RFC 9051 §6.4.5, RFC 3516): where they lie, and how they get out.
//!
//! Places come from the facts, nothing is parsed again. Invariant: exactly as many octets follow a literal's head as it
//! announced, or the session ends. Must not know: how answers are spelled.

use super::{Stored, Subject};
use crate::imap::failure::{Trouble, no};
use crate::imap::limits;
use crate::imap::session::Session;
use bytes::Bytes;
use message::facts::Facts;
use message::section::{self, SectionKind};
use message::transfer::{Decoder, TransferEncoding};
use std::ops::Range;
use store::{AccountId, MessageRow, StoreError};
use wire::imap::Code;
use wire::imap::fetch::{FetchItem, FetchWriter, ItemName, Partial, Section, SectionText};

/// A header is looked for in so many octets at first; few are longer.
const HEADER_BYTES: u64 = 8 * 1024;

/// Where the octets of an item are.
pub(super) enum Source {
    /// No such part.
    Nil,
    /// BINARY.SIZE's answer.
    Size(u64),
    /// A range of the stored octets, as they are.
    Stored(Range<u64>),
    /// Already here (picked header fields).
    Here(Vec<u8>),
    /// A range of the stored octets, decoded; of that this window.
    Decoded { stored: Range<u64>, encoding: TransferEncoding, window: Range<u64> },
}

impl Source {
    /// Writes the item's name and the literal's head; `None` when nothing is to follow.
    pub(super) fn start(self, writer: &mut FetchWriter<'_>, item: &FetchItem, name: &ItemName<'_>) -> Option<Source> {
        let len = match &self {
            Source::Nil => {
                match item {
                    FetchItem::BinarySize { part } => writer.binary_size(part, 0),
                    _ => writer.nil(name),
                }
                return None;
            }
            Source::Size(size) => {
                if let FetchItem::BinarySize { part } = item {
                    writer.binary_size(part, *size);
                }
                return None;
            }
            Source::Stored(range) => range.end - range.start,
            Source::Here(octets) => octets.len() as u64,
            Source::Decoded { window, .. } => window.end - window.start,
        };
        writer.literal(name, len, matches!(item, FetchItem::Binary { .. }));
        Some(self)
    }
}

/// What a section is: a range of the stored octets, or octets picked from them.
pub(in crate::imap) enum NamedOctets {
    Stored(Range<u64>),
    Here(Vec<u8>),
}

impl Session {
    /// The octets BODY[section]<partial> would be answered with; `None` without such a part.
    pub(in crate::imap) async fn octets_named(
        &self,
        (account, row): (AccountId, MessageRow),
        section: Section,
        partial: Option<Partial>,
    ) -> Result<Option<NamedOctets>, Trouble> {
        let facts = self.store().facts(account, &[row.email]).await?.into_iter().next().flatten();
        let Some(facts) = facts else { return Ok(None) };
        let whole = section.part.is_empty() && section.text.is_none();
        let size = u64::from(row.size_bytes);
        let subject = Subject { account, index: 0, row, facts: None, body: None, newly_seen: false };
        let source = match whole {
            true => Source::Stored(window(0..size, partial)),
            false => self.section(&facts, &subject, &section, partial).await?,
        };
        Ok(match source {
            Source::Stored(range) => Some(NamedOctets::Stored(range)),
            Source::Here(octets) => Some(NamedOctets::Here(octets)),
            Source::Nil | Source::Size(_) | Source::Decoded { .. } => None,
        })
    }

    /// The octets BINARY[part]<partial> would be answered with, and whether they were decoded; `None` where the encoding is not
    /// known. What is no part of its own comes as it is.
    pub(in crate::imap) async fn decoded_octets(
        &self,
        (account, row): (AccountId, MessageRow),
        facts: &Facts,
        section: &Section,
        partial: Option<Partial>,
    ) -> Result<Option<(Vec<u8>, bool)>, Trouble> {
        let size = u64::from(row.size_bytes);
        let subject = Subject { account, index: 0, row, facts: None, body: None, newly_seen: false };
        let source = match &section.text {
            Some(_) => self.section(facts, &subject, section, partial).await?,
            None if section.part.is_empty() => Source::Stored(window(0..size, partial)),
            None => match self.binary(facts, &subject, &section.part, partial).await {
                Err(Trouble::No(Some(Code::UnknownCte), _)) => return Ok(None),
                other => other?,
            },
        };
        Ok(match source {
            Source::Stored(range) => Some((self.read(subject.email(), range).await?, false)),
            Source::Here(octets) => Some((octets, false)),
            Source::Decoded { stored, encoding, window } => {
                let coded = self.read(subject.email(), stored).await?;
                let (mut decoder, mut decoded) = (Decoder::new(encoding), Vec::new());
                decoder.push(&coded, &mut decoded);
                decoder.finish(&mut decoded);
                decoded.truncate(usize::try_from(window.end).unwrap_or(usize::MAX));
                decoded.drain(..usize::try_from(window.start).unwrap_or(usize::MAX).min(decoded.len()));
                Some((decoded, true))
            }
            Source::Nil | Source::Size(_) => None,
        })
    }

    /// Finds the octets of an item; decoded lengths are counted here, in a first pass.
    pub(super) async fn source(&self, item: &FetchItem, subject: &Subject) -> Result<Source, Trouble> {
        let size = u64::from(subject.row.size_bytes);
        let Some(facts) = subject.facts.as_deref() else {
            return match item {
                FetchItem::BodySection { section: Section { text: None, .. }, partial, .. } => {
                    Ok(Source::Stored(window(0..size, *partial)))
                }
                FetchItem::BodySection { section, partial, .. } => self.top_header(subject, Some(section), *partial).await,
                FetchItem::Rfc822Header => self.top_header(subject, None, None).await,
                _ => Ok(Source::Stored(0..size)),
            };
        };
        match item {
            FetchItem::BodySection { section, partial, .. } => self.section(facts, subject, section, *partial).await,
            FetchItem::Rfc822Header => Ok(place(facts, &[], SectionKind::Header, None)),
            FetchItem::Rfc822Text => Ok(place(facts, &[], SectionKind::Text, None)),
            FetchItem::Binary { part, partial, .. } => self.binary(facts, subject, part, *partial).await,
            FetchItem::BinarySize { part } => match self.binary(facts, subject, part, None).await? {
                Source::Stored(range) => Ok(Source::Size(range.end - range.start)),
                Source::Decoded { window, .. } => Ok(Source::Size(window.end - window.start)),
                other => Ok(other),
            },
            _ => Ok(Source::Stored(0..size)),
        }
    }

    /// The message's header, or of it what `section` picks, without its facts where it says itself where it ends: one read.
    async fn top_header(
        &self,
        subject: &Subject,
        section: Option<&Section>,
        partial: Option<Partial>,
    ) -> Result<Source, Trouble> {
        let size = u64::from(subject.row.size_bytes);
        let mut octets = match size {
            0 => Vec::new(),
            _ => self.read(subject.email(), 0..size.min(HEADER_BYTES)).await?,
        };
        let Some(end) = message::header::well_ended(&octets) else {
            let facts = self.store().facts(subject.account, &[subject.row.email]).await?.into_iter().next().flatten();
            let Some(facts) = facts else { return Ok(Source::Nil) };
            return match section {
                Some(section) => self.section(&facts, subject, section, partial).await,
                None => Ok(place(&facts, &[], SectionKind::Header, partial)),
            };
        };
        octets.truncate(end);
        Ok(Source::Here(within(
            match section.and_then(|section| section.text.as_ref()) {
                Some(SectionText::HeaderFields(names)) => message::header::header_fields(&octets, names, false),
                Some(SectionText::HeaderFieldsNot(names)) => message::header::header_fields(&octets, names, true),
                _ => octets,
            },
            partial,
        )))
    }

    async fn section(
        &self,
        facts: &Facts,
        subject: &Subject,
        section: &Section,
        partial: Option<Partial>,
    ) -> Result<Source, Trouble> {
        let (kind, fields) = match &section.text {
            None => (SectionKind::Whole, None),
            Some(SectionText::Header) => (SectionKind::Header, None),
            Some(SectionText::Text) => (SectionKind::Text, None),
            Some(SectionText::Mime) => (SectionKind::Mime, None),
            Some(SectionText::HeaderFields(names)) => (SectionKind::Header, Some((names, false))),
            Some(SectionText::HeaderFieldsNot(names)) => (SectionKind::Header, Some((names, true))),
        };
        let Some((names, not)) = fields else { return Ok(place(facts, &section.part, kind, partial)) };
        let Source::Stored(range) = place(facts, &section.part, kind, None) else { return Ok(Source::Nil) };
        let header = self.read(subject.email(), range).await?;
        Ok(Source::Here(within(message::header::header_fields(&header, names, not), partial)))
    }

    async fn binary(&self, facts: &Facts, subject: &Subject, part: &[u32], partial: Option<Partial>) -> Result<Source, Trouble> {
        let Some((range, encoding)) = section::binary(facts, part) else { return Ok(Source::Nil) };
        let stored = range.start as u64..range.end as u64;
        if encoding == TransferEncoding::Other {
            return Err(no(Code::UnknownCte, "The part has a transfer encoding that is not known"));
        }
        if encoding.is_identity() {
            return Ok(Source::Stored(window(stored, partial)));
        }
        let mut decoder = Decoder::new(encoding);
        let (mut at, mut decoded, mut len) = (stored.start, Vec::new(), 0);
        while at < stored.end {
            let piece = self.piece(subject.email(), at..stored.end).await?;
            at += piece.len() as u64;
            decoded.clear();
            decoder.push(&piece, &mut decoded);
            len += decoded.len() as u64;
        }
        decoded.clear();
        decoder.finish(&mut decoded);
        len += decoded.len() as u64;
        Ok(Source::Decoded { stored, encoding, window: window(0..len, partial) })
    }

    /// Sends what [`Source::start`] announced. `flushed`: some of the answer is sent, there is no way back.
    pub(super) async fn pour(&mut self, email: Stored, source: Source, flushed: &mut bool) -> Result<(), Trouble> {
        match source {
            Source::Here(octets) => self.wire.out_mut().extend_from_slice(&octets),
            Source::Stored(range) => self.pour_stored(email, range, flushed).await?,
            Source::Decoded { stored, encoding, window } => {
                self.pour_decoded(email, stored, encoding, window, flushed).await?;
            }
            Source::Nil | Source::Size(_) => {}
        }
        Ok(())
    }

    async fn pour_stored(&mut self, email: Stored, range: Range<u64>, flushed: &mut bool) -> Result<(), Trouble> {
        let mut at = range.start;
        while at < range.end {
            let piece = self.piece(email, at..range.end).await?;
            at += piece.len() as u64;
            let out = self.wire.out_mut();
            if out.len() > limits::PENDING_BYTES_MAX / 8 && out.capacity() < limits::PENDING_BYTES_MAX {
                // Many come: room at once for all until they are flushed, growing bit by bit copies them again.
                out.reserve(limits::PENDING_BYTES_MAX + piece.len());
            }
            out.extend_from_slice(&piece);
            self.breathe_within(flushed).await?;
        }
        Ok(())
    }

    async fn pour_decoded(
        &mut self,
        email: Stored,
        stored: Range<u64>,
        encoding: TransferEncoding,
        window: Range<u64>,
        flushed: &mut bool,
    ) -> Result<(), Trouble> {
        let mut decoder = Decoder::new(encoding);
        let (mut at, mut done, mut decoded) = (stored.start, 0u64, Vec::new());
        while done < window.end {
            decoded.clear();
            if at < stored.end {
                let piece = self.piece(email, at..stored.end).await?;
                at += piece.len() as u64;
                decoder.push(&piece, &mut decoded);
            } else {
                decoder.finish(&mut decoded);
                if decoded.is_empty() {
                    return Err(shorter_than_promised());
                }
            }
            let here = done..done + decoded.len() as u64;
            let (from, to) = (window.start.clamp(here.start, here.end), window.end.clamp(here.start, here.end));
            let offset = |at: u64| usize::try_from(at - here.start).unwrap_or(usize::MAX);
            self.wire.out_mut().extend_from_slice(decoded.get(offset(from)..offset(to)).unwrap_or_default());
            done = here.end;
            self.breathe_within(flushed).await?;
        }
        Ok(())
    }

    async fn breathe_within(&mut self, flushed: &mut bool) -> Result<(), Trouble> {
        if self.wire.out_len() >= limits::PENDING_BYTES_MAX {
            *flushed = true;
        }
        self.breathe().await
    }

    /// One piece from the start of `range`; never empty.
    pub(in crate::imap) async fn piece(&self, email: Stored, range: Range<u64>) -> Result<Bytes, Trouble> {
        let len = (range.end - range.start).min(limits::PIECE_BYTES);
        let piece = self.store().body(email.0, email.1, range.start, len).await?;
        if piece.is_empty() { Err(shorter_than_promised()) } else { Ok(piece) }
    }

    async fn read(&self, email: Stored, range: Range<u64>) -> Result<Vec<u8>, Trouble> {
        let mut octets = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let piece = self.piece(email, at..range.end).await?;
            at += piece.len() as u64;
            octets.extend_from_slice(&piece);
        }
        Ok(octets)
    }
}

fn place(facts: &Facts, part: &[u32], kind: SectionKind, partial: Option<Partial>) -> Source {
    match section::range(facts, part, kind) {
        Some(range) => Source::Stored(window(range.start as u64..range.end as u64, partial)),
        None => Source::Nil,
    }
}

/// What a `<offset.length>` asks of octets that are here.
fn within(mut octets: Vec<u8>, partial: Option<Partial>) -> Vec<u8> {
    if partial.is_some() {
        let kept = window(0..octets.len() as u64, partial);
        octets.truncate(usize::try_from(kept.end).unwrap_or(usize::MAX));
        octets.drain(..usize::try_from(kept.start).unwrap_or(usize::MAX).min(octets.len()));
    }
    octets
}

/// The part of `range` a `<offset.length>` asks for; past the end it is empty (RFC 9051 §6.4.5).
fn window(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(partial) = partial else { return range };
    let start = range.start.saturating_add(partial.offset).min(range.end);
    start..start.saturating_add(partial.length).min(range.end)
}

fn shorter_than_promised() -> Trouble {
    Trouble::Store(StoreError::Damaged("a message is shorter than its row says".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_stay_inside() {
        let partial = |offset, length| Some(Partial { offset, length });
        assert_eq!(window(10..20, None), 10..20);
        assert_eq!(window(10..20, partial(0, 5)), 10..15);
        assert_eq!(window(10..20, partial(8, 5)), 18..20);
        assert_eq!(window(10..20, partial(50, 5)), 20..20);
        assert_eq!(window(10..20, partial(0, u64::MAX)), 10..20);
    }
}
