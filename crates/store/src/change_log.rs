//! The change log's rows: what one act did to the mailboxes and records of an account.
//!
//! Version 1 knew UIDs only; version 2 says besides which UIDs were new, which emails went, and what became of mailboxes and
//! records, so that readers who follow the whole account (JMAP) can be told. Invariant: decode(encode(x)) is x, and the older
//! form stays readable. Must not know: who follows.

use crate::engine::Key;
use crate::types::*;
use crate::value::{Reader, Writer, decoded, open_up_to};
use smol_str::SmolStr;

type Result<T> = std::result::Result<T, StoreError>;

const NEWEST: u8 = 2;

/// What one act did to one mailbox's messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LoggedChange {
    pub(crate) mailbox: u32,
    pub(crate) updated: Vec<Uid>,
    pub(crate) vanished: Vec<Uid>,
    /// Those of `updated` from here on are new; 0: none is.
    pub(crate) created_from: u32,
    /// The emails of `vanished`, in its order; empty in version 1.
    pub(crate) emails: Vec<EmailId>,
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LoggedAct {
    pub(crate) changes: Vec<LoggedChange>,
    pub(crate) mailboxes: Vec<(MailboxId, Touch)>,
    pub(crate) records: Vec<(u8, SmolStr, Touch)>,
    /// False in version 1: only `changes` is there, without `created_from` and `emails`.
    pub(crate) whole: bool,
}

/// More UIDs than one act can have touched: nonsense.
const UIDS_MAX: usize = 50_000_000;

/// Ascending UIDs as runs: (gap, length).
pub(crate) fn write_uids(out: &mut Writer, uids: &[Uid]) {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match runs.last_mut() {
            Some((first, length)) if first.saturating_add(*length) == uid.0 => *length += 1,
            _ => runs.push((uid.0, 1)),
        }
    }
    out.number(runs.len() as u64);
    let mut at = 0;
    for (first, length) in runs {
        out.number(u64::from(first.wrapping_sub(at))).number(u64::from(length));
        at = first.wrapping_add(length);
    }
}

pub(crate) fn read_uids(reader: &mut Reader<'_>) -> Option<Vec<Uid>> {
    let mut uids = Vec::new();
    let mut at = 0u32;
    for _ in 0..reader.count()? {
        let first = at.checked_add(reader.number32()?)?;
        let length = reader.number32()?;
        at = first.checked_add(length)?;
        if uids.len() + length as usize > UIDS_MAX {
            return None;
        }
        uids.extend((first..at).map(Uid));
    }
    Some(uids)
}

/// Each as its distance from the one before.
fn write_emails(out: &mut Writer, emails: &[EmailId]) {
    let mut before = 0u64;
    for email in emails {
        out.signed(email.0.wrapping_sub(before).cast_signed());
        before = email.0;
    }
}

fn read_emails(reader: &mut Reader<'_>, count: usize) -> Option<Vec<EmailId>> {
    let mut emails = Vec::new();
    let mut before = 0u64;
    for _ in 0..count {
        before = before.wrapping_add(reader.signed()?.cast_unsigned());
        emails.push(EmailId(before));
    }
    Some(emails)
}

fn touch_of(byte: u8) -> Option<Touch> {
    Some(match byte {
        0 => Touch::Created,
        1 => Touch::Updated,
        2 => Touch::Destroyed,
        _ => return None,
    })
}

pub(crate) fn encode_act(key: &Key, act: &LoggedAct) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(act.changes.len() as u64);
    for change in &act.changes {
        out.number(u64::from(change.mailbox));
        write_uids(&mut out, &change.updated);
        write_uids(&mut out, &change.vanished);
        if act.whole {
            out.number(u64::from(change.created_from));
            write_emails(&mut out, &change.emails);
        }
    }
    if !act.whole {
        return out.seal(key);
    }
    out.number(act.mailboxes.len() as u64);
    for (mailbox, touch) in &act.mailboxes {
        out.number(u64::from(mailbox.0)).u8(*touch as u8);
    }
    out.number(act.records.len() as u64);
    for (collection, id, touch) in &act.records {
        out.u8(*collection).text(id).u8(*touch as u8);
    }
    out.seal_as(key, NEWEST)
}

pub(crate) fn decode_act(key: &Key, stored: &[u8]) -> Result<LoggedAct> {
    let (version, reader) = open_up_to(key, stored, NEWEST)?;
    decoded(key, read_act(version >= NEWEST, reader))
}

fn read_act(whole: bool, mut reader: Reader<'_>) -> Option<LoggedAct> {
    let mut act = LoggedAct { whole, ..LoggedAct::default() };
    for _ in 0..reader.count()? {
        let mailbox = reader.number32()?;
        let (updated, vanished) = (read_uids(&mut reader)?, read_uids(&mut reader)?);
        let mut change = LoggedChange { mailbox, updated, vanished, ..LoggedChange::default() };
        if whole {
            change.created_from = reader.number32()?;
            change.emails = read_emails(&mut reader, change.vanished.len())?;
        }
        act.changes.push(change);
    }
    if whole {
        for _ in 0..reader.count()? {
            act.mailboxes.push((MailboxId(reader.number32()?), touch_of(reader.u8()?)?));
        }
        for _ in 0..reader.count()? {
            act.records.push((reader.u8()?, SmolStr::new(reader.text()?), touch_of(reader.u8()?)?));
        }
    }
    reader.end()?;
    Some(act)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn acts_both_ways_in_both_forms(
            uids in proptest::collection::btree_set(1u32..500, 0..60), first in any::<u64>(), created_from in any::<u32>(),
            id in "[a-z]{1,9}", whole in any::<bool>(),
        ) {
            let uids: Vec<Uid> = uids.into_iter().map(Uid).collect();
            let emails: Vec<EmailId> = uids.iter().map(|uid| EmailId(first.wrapping_mul(u64::from(uid.0)))).collect();
            let mut act = LoggedAct { whole, ..LoggedAct::default() };
            act.changes.push(LoggedChange { mailbox: 7, updated: uids.clone(), vanished: uids, ..LoggedChange::default() });
            if whole {
                act.changes[0].created_from = created_from;
                act.changes[0].emails = emails;
                act.mailboxes = vec![(MailboxId(1), Touch::Created), (MailboxId(900), Touch::Destroyed)];
                act.records = vec![(3, id.into(), Touch::Updated)];
            }
            let at = key::change(AccountId(3), first >> 1);
            prop_assert_eq!(decode_act(&at, &encode_act(&at, &act)).unwrap(), act);
        }

        #[test]
        fn no_content_makes_the_decoder_panic(content in proptest::collection::vec(any::<u8>(), 0..120), version in 1u8..4) {
            let at = key::change(AccountId(1), 5);
            let mut out = Writer::new();
            out.raw(&content);
            let _ = decode_act(&at, &out.seal_as(&at, version));
        }
    }

    #[test]
    fn a_row_of_the_first_form_is_read() {
        // As the first release wrote it: one mailbox, UIDs 3 to 5 changed, 9 gone.
        let at = key::change(AccountId(1), 5);
        let mut out = Writer::new();
        out.number(1).number(2).number(1).number(3).number(3).number(1).number(9).number(1);
        let act = decode_act(&at, &out.seal(&at)).unwrap();
        let change =
            LoggedChange { mailbox: 2, updated: vec![Uid(3), Uid(4), Uid(5)], vanished: vec![Uid(9)], ..LoggedChange::default() };
        assert_eq!(act, LoggedAct { changes: vec![change], ..LoggedAct::default() });
    }
}
