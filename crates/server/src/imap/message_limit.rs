//! MESSAGELIMIT and SAVELIMIT (RFC 9738), only where they are configured: how many messages one command works on.
//!
//! The newest are done, from the highest UID down, and the tagged OK names the lowest UID that was; COPY and APPEND, which are all
//! or nothing, are refused. SAVELIMIT is of these two alone. SORT and THREAD have no limit. Invariant: every message that was
//! named is done or is below the UID that is told.

use super::failure::{Done, Outcome, Trouble, no};
use super::session::{Indexes, Session};
use std::num::NonZeroU32;
use store::Uid;
use wire::imap::Code;
use wire::imap::response::{Kind, Response, StatusText};
use wire::imap::search::SearchKey;

const CUT: &str = "Only the newest of these were done";

impl Session {
    fn messages_max(&self) -> Option<NonZeroU32> {
        self.context.imap.settings.messages_max
    }

    /// The newest of these rows, and what is to be told if they are not all.
    pub(super) fn newest_rows(&self, mut indexes: Indexes) -> Result<(Indexes, Option<Code>), Trouble> {
        let Some(max) = self.messages_max() else { return Ok((indexes, None)) };
        let named: usize = indexes.iter().map(ExactSizeIterator::len).sum();
        let Some(mut left) = named.checked_sub(max.get() as usize).filter(|left| *left > 0) else { return Ok((indexes, None)) };
        for range in &mut indexes {
            let cut = left.min(range.len());
            range.start += cut;
            left -= cut;
        }
        indexes.retain(|range| !range.is_empty());
        let lowest = indexes.first().and_then(|range| self.view().ok()?.rows().uid(range.start));
        // §3.1: from highest to lowest UID.
        let newest_first = indexes.into_iter().flatten().rev().map(|index| index..index + 1).collect();
        Ok((newest_first, Some(told(max, lowest))))
    }

    /// The same of UIDs, ascending.
    pub(super) fn newest_uids(&self, mut uids: Vec<Uid>) -> (Vec<Uid>, Option<Code>) {
        let code = cut(&mut uids, self.messages_max());
        (uids, code)
    }

    /// What a search found (ascending) among the newest of those it looks at. Numbers and UIDs that all of it depends on say which
    /// these are; no other key does (§3.1: messages searched, not matched).
    pub(super) fn newest_searched(&self, keys: &[SearchKey], found: &mut Vec<usize>) -> Result<Option<Code>, Trouble> {
        let Some(max) = self.messages_max() else { return Ok(None) };
        let looked_at = self.looked_at(keys)?;
        let Some(lowest) = looked_at.len().checked_sub(max.get() as usize).filter(|left| *left > 0) else { return Ok(None) };
        let lowest = looked_at.get(lowest).copied().unwrap_or_default();
        found.retain(|index| *index >= lowest);
        Ok(Some(told(max, self.view()?.rows().uid(lowest))))
    }

    fn looked_at(&self, keys: &[SearchKey]) -> Result<Vec<usize>, Trouble> {
        let view = self.view()?;
        let mut looked_at: Vec<usize> = (0..view.rows().len()).collect();
        for key in keys {
            let among = match key {
                SearchKey::Sequence(set) => self.resolve_loosely(set, false)?,
                SearchKey::Uid(set) => self.resolve_loosely(set, true)?,
                SearchKey::UidAfter(uid) => uid.checked_add(1).map(|first| view.uid_range(first, u32::MAX)).into_iter().collect(),
                SearchKey::UidBefore(uid) => vec![view.uid_range(1, uid.saturating_sub(1))],
                _ => continue,
            };
            let mut named = vec![false; view.rows().len()];
            among.into_iter().flatten().filter_map(|index| named.get_mut(index).map(|named| *named = true)).for_each(drop);
            looked_at.retain(|index| named.get(*index).is_some_and(|named| *named));
        }
        Ok(looked_at)
    }

    /// Refuses a FETCH of a window with more messages than one command may have.
    pub(super) fn within_messages_max(&self, messages: usize) -> Result<(), Trouble> {
        match self.messages_max() {
            Some(max) if messages > max.get() as usize => Err(too_many(max, None)),
            _ => Ok(()),
        }
    }

    /// What COPY and APPEND may have at once.
    fn saved_max(&self) -> Option<NonZeroU32> {
        let settings = &self.context.imap.settings;
        settings.saved_max.into_iter().chain(settings.messages_max).min()
    }

    /// Refuses a COPY of too many (ascending); the UID that is told is the lowest of those that would do.
    pub(super) fn may_save(&self, uids: &[Uid]) -> Result<(), Trouble> {
        let Some(max) = self.saved_max() else { return Ok(()) };
        match uids.len().checked_sub(max.get() as usize) {
            Some(left) if left > 0 => Err(too_many(max, uids.get(left).copied())),
            _ => Ok(()),
        }
    }

    /// Refuses an APPEND of too many.
    pub(super) fn may_save_more(&self, messages: usize) -> Result<(), Trouble> {
        match self.saved_max() {
            Some(max) if messages > max.get() as usize => Err(too_many(max, None)),
            _ => Ok(()),
        }
    }

    /// How a command that was cut ends: by its tagged OK, or before it where that says something else (§3.2).
    pub(super) fn ended(&mut self, outcome: Outcome, cut: Option<Code>) -> Outcome {
        match (outcome, cut) {
            (Ok(Done { code: None, .. }), cut @ Some(_)) => Ok(Done { code: cut, text: CUT }),
            (outcome, Some(code)) => {
                let status = StatusText { kind: Kind::No, code: Some(code), text: CUT.to_owned() };
                self.wire.untagged(&Response::Condition(status));
                outcome
            }
            (outcome, None) => outcome,
        }
    }
}

fn too_many(max: NonZeroU32, lowest: Option<Uid>) -> Trouble {
    no(told(max, lowest), "That is too many messages for one command")
}

fn told(max: NonZeroU32, lowest: Option<Uid>) -> Code {
    Code::MessageLimit { limit: max.get(), lowest_uid: lowest.map(|uid| uid.0) }
}

fn cut(uids: &mut Vec<Uid>, max: Option<NonZeroU32>) -> Option<Code> {
    let max = max?;
    let left = uids.len().checked_sub(max.get() as usize).filter(|left| *left > 0)?;
    uids.drain(..left);
    Some(told(max, uids.first().copied()))
}
