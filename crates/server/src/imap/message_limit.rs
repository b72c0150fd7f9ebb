//! MESSAGELIMIT and SAVELIMIT (RFC 9738), only where they are configured: how many messages one command works on.
//!
//! The newest are done and the tagged OK names the lowest UID that was; COPY and APPEND, which are all or nothing, are refused.
//! SORT and THREAD have no limit. Invariant: every message that was named is done or is below the UID that is told.

use super::failure::{Done, Outcome, Trouble, no};
use super::session::{Indexes, Session};
use std::num::NonZeroU32;
use store::Uid;
use wire::imap::Code;
use wire::imap::response::{Kind, Response, StatusText};

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
        Ok((indexes, Some(told(max, lowest))))
    }

    /// The same of UIDs, ascending.
    pub(super) fn newest_uids(&self, mut uids: Vec<Uid>) -> (Vec<Uid>, Option<Code>) {
        let code = cut(&mut uids, self.messages_max());
        (uids, code)
    }

    /// The same of what a search found, ascending.
    pub(super) fn newest_found(&self, found: &mut Vec<usize>) -> Result<Option<Code>, Trouble> {
        let Some(max) = self.messages_max() else { return Ok(None) };
        let Some(left) = found.len().checked_sub(max.get() as usize).filter(|left| *left > 0) else { return Ok(None) };
        found.drain(..left);
        let lowest = found.first().and_then(|index| self.view().ok()?.rows().uid(*index));
        Ok(Some(told(max, lowest)))
    }

    /// What `$` keeps of these, ascending.
    pub(super) fn newest_saved(&self, uids: &mut Vec<Uid>) -> Option<Code> {
        let settings = &self.context.imap.settings;
        cut(uids, settings.saved_max.or(settings.messages_max))
    }

    /// Refuses more messages than one command may have, where it does all or none.
    pub(super) fn within_limit(&self, messages: usize) -> Result<(), Trouble> {
        match self.messages_max() {
            Some(max) if messages > max.get() as usize => {
                Err(no(Code::MessageLimit { limit: max.get(), lowest_uid: None }, "That is too many messages for one command"))
            }
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

fn told(max: NonZeroU32, lowest: Option<Uid>) -> Code {
    Code::MessageLimit { limit: max.get(), lowest_uid: lowest.map(|uid| uid.0) }
}

fn cut(uids: &mut Vec<Uid>, max: Option<NonZeroU32>) -> Option<Code> {
    let max = max?;
    let left = uids.len().checked_sub(max.get() as usize).filter(|left| *left > 0)?;
    uids.drain(..left);
    Some(told(max, uids.first().copied()))
}
