//! QRESYNC (RFC 7162 §3.2): what a client that was away missed, in one answer.
//!
//! VANISHED (EARLIER) goes before the FETCHes. Invariant: a UID told as vanished is never one of the view; where the change
//! log no longer reaches back, every UID that is not there (and may have been) is told. Must not know: how the log is kept.

use super::failure::Trouble;
use super::flags::Told;
use super::limits;
use super::session::Session;
use store::{Changes, ModSeq, Rows, Uid};
use wire::imap::response::Response;
use wire::imap::select::QResync;
use wire::imap::{NumberSet, SequenceSet};

impl Session {
    /// SELECT (QRESYNC ...) of a mailbox whose UIDVALIDITY is the client's.
    pub(crate) async fn resynchronise(&mut self, known: &QResync, uid_next: u32) -> Result<(), Trouble> {
        let last = uid_next.saturating_sub(1);
        let wanted = match &known.known_uids {
            Some(set) => set.resolve(last),
            None => SequenceSet::range(1, u32::MAX).resolve(last),
        };
        let rows = self.view()?.rows().clone();
        let since = ModSeq(known.mod_seq);
        let matched = known.known_sequence_match.as_ref().map_or(0, |(numbers, uids)| last_match(&rows, numbers, uids));
        self.tell_vanished(&wanted, since, (uid_next, matched)).await?;
        for (index, row) in rows.iter().enumerate() {
            if row.mod_seq > since && wanted.contains(row.uid.0) {
                self.write_row(index, &row, Told { uid: true, flags: true, mod_seq: true });
                self.breathe().await?;
            }
        }
        Ok(())
    }

    /// UID FETCH set (CHANGEDSINCE n VANISHED): `*` reaches to the highest UID there ever was.
    pub(crate) async fn tell_vanished_among(&mut self, set: &SequenceSet, since: ModSeq) -> Result<(), Trouble> {
        if set.is_saved() {
            return Ok(());
        }
        let mailbox = self.view()?.mailbox.id;
        let uid_next = self.store().status(self.view_account()?, mailbox).await?.uid_next;
        self.tell_vanished(&set.resolve(uid_next.saturating_sub(1)), since, (uid_next, 0)).await
    }

    /// Of those wanted, what is gone since; up to `matched` the client knows (RFC 7162 §3.2.5.2).
    async fn tell_vanished(&mut self, wanted: &NumberSet, since: ModSeq, (uid_next, matched): (u32, u32)) -> Result<(), Trouble> {
        let (account, mailbox) = (self.view_account()?, self.view()?.mailbox.id);
        let changes = self.store().changes_since(account, mailbox, since).await?;
        let rows = self.view()?.rows().clone();
        let vanished = vanished(&changes, &rows, wanted, (uid_next, matched));
        for ranges in vanished.ranges().chunks(limits::VANISHED_RANGES) {
            let uids = NumberSet::from_sorted(ranges);
            self.wire.untagged(&Response::Vanished { earlier: true, uids });
            self.breathe().await?;
        }
        Ok(())
    }
}

fn vanished(changes: &Changes, rows: &Rows, wanted: &NumberSet, (uid_next, matched): (u32, u32)) -> NumberSet {
    if changes.complete {
        let gone = changes.vanished.iter().filter(|uid| (matched + 1..uid_next).contains(&uid.0) && wanted.contains(uid.0));
        return gone.filter(|uid| rows.index_of(**uid).is_none()).map(|uid| uid.0).collect();
    }
    // Everything between those that are there.
    let mut missing = Vec::new();
    let mut from = matched.saturating_add(1);
    let there = rows.iter().map(|row| row.uid.0).filter(|uid| *uid > matched);
    for uid in there.chain([uid_next]) {
        if from < uid {
            missing.push((from, uid.saturating_sub(1)));
        }
        from = uid.saturating_add(1);
    }
    wanted.intersect(&NumberSet::from_sorted(&missing))
}

/// RFC 7162 §3.2.5.2: the highest UID whose message number is still what the client knows: up to it nothing is gone.
fn last_match(rows: &Rows, numbers: &SequenceSet, uids: &SequenceSet) -> u32 {
    let (numbers, uids) = (numbers.resolve(0), uids.resolve(0));
    if numbers.count() != uids.count() {
        return 0;
    }
    let pairs = numbers.iter().zip(uids.iter()).take(limits::SEQUENCE_MATCHES_MAX);
    let still = |&(number, uid): &(u32, u32)| rows.index_of(Uid(uid)).is_some_and(|index| index + 1 == number as usize);
    pairs.filter(still).map(|(_, uid)| uid).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use store::{EmailId, Flags, MessageRow};

    fn rows(uids: &[u32]) -> Rows {
        let row = |uid: &u32| MessageRow {
            uid: Uid(*uid),
            email: EmailId(u64::from(*uid)),
            mod_seq: ModSeq(1),
            flags: Flags::default(),
            internal_date_secs: 0,
            size_bytes: 1,
        };
        Rows::of(&uids.iter().map(row).collect::<Vec<_>>())
    }

    #[test]
    fn a_log_that_was_cut_tells_all_that_is_not_there() {
        let all = SequenceSet::range(1, u32::MAX).resolve(0);
        let cut = Changes { complete: false, ..Changes::default() };
        let of = |wanted: &NumberSet, matched| vanished(&cut, &rows(&[2, 3, 7]), wanted, (10, matched)).ranges().to_vec();
        assert_eq!(of(&all, 0), [(1, 1), (4, 6), (8, 9)]);
        assert_eq!(of(&all, 3), [(4, 6), (8, 9)]);
        assert_eq!(of(&[1, 2, 5, 9, 10].into_iter().collect(), 0), [(1, 1), (5, 5), (9, 9)]);
        assert_eq!(vanished(&cut, &rows(&[]), &all, (1, 0)).ranges(), []);
        let whole = Changes { complete: true, vanished: vec![Uid(1), Uid(3), Uid(4), Uid(12)], ..Changes::default() };
        assert_eq!(vanished(&whole, &rows(&[2, 3, 7]), &all, (10, 0)).ranges(), [(1, 1), (4, 4)]);
        assert_eq!(vanished(&whole, &rows(&[2, 3, 7]), &all, (10, 3)).ranges(), [(4, 4)]);
    }

    #[test]
    fn message_numbers_that_still_fit_prove_that_nothing_below_is_gone() {
        let set = |numbers: &[u32]| numbers.iter().copied().collect::<NumberSet>().to_sequence_set();
        let rows = rows(&[1, 2, 5, 9]);
        assert_eq!(last_match(&rows, &set(&[1, 3, 4]), &set(&[1, 5, 8])), 5);
        assert_eq!(last_match(&rows, &set(&[1, 3]), &set(&[1])), 0);
        assert_eq!(last_match(&rows, &set(&[4]), &set(&[5])), 0);
    }
}
