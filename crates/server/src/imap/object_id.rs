//! OBJECTID (RFC 8474): names of mailboxes, messages and conversations that outlive RENAME, COPY and MOVE; and what else a
//! search must ask the store before it begins (RFC 8514's SAVED... keys).
//!
//! The names themselves are made in [`store::object_id`], for JMAP too; here is what finds messages by them.
//! Must not know: the wire.

use super::failure::Trouble;
use super::session::{Indexes, Session, merge};
use smol_str::SmolStr;
use std::ops::Range;
pub(super) use store::object_id::{of_mailbox, of_thread, thread_root};
use store::{BodyId, MessageRow, Uid, UnixSecs};
use wire::imap::search::SearchKey;

/// EMAILID of a row.
pub(super) fn of_email(body: BodyId, row: &MessageRow) -> SmolStr {
    store::object_id::of_email(body, row.internal_date_secs)
}

const DAY_SECS: i64 = 86_400;

/// What an EMAILID, THREADID or SAVED... key names, found out before the search begins.
pub(super) type Named = Vec<(SearchKey, Indexes)>;

impl Session {
    /// The messages that the EMAILID, THREADID and SAVED... keys among these name.
    pub(super) async fn object_ids(&self, keys: &[SearchKey]) -> Result<Named, Trouble> {
        let mut asked = Vec::new();
        collect(keys, &mut asked);
        let mut named = Named::new();
        for key in asked {
            let indexes = match &key {
                SearchKey::EmailId(id) => self.with_email_id(id).await?,
                SearchKey::ThreadId(id) => self.with_thread_id(id).await?,
                SearchKey::SavedBefore(day) => self.saved_within(UnixSecs::MIN..day.unix_secs()).await?,
                SearchKey::SavedOn(day) => self.saved_within(day.unix_secs()..day.unix_secs() + DAY_SECS).await?,
                SearchKey::SavedSince(day) => self.saved_within(day.unix_secs()..UnixSecs::MAX).await?,
                _ => continue,
            };
            named.push((key, indexes));
        }
        Ok(named)
    }

    /// RFC 8514 §4.3: by when they came into this mailbox.
    async fn saved_within(&self, when: Range<UnixSecs>) -> Result<Indexes, Trouble> {
        let view = self.view()?;
        let dates = self.store().saved_dates(view.account, view.mailbox.id, Uid(1), Uid(u32::MAX)).await?;
        let saved = view.rows().iter().enumerate().filter(|(_, row)| when.contains(&dates.of(row)));
        Ok(merge(saved.map(|(index, _)| index)))
    }

    async fn with_email_id(&self, id: &str) -> Result<Indexes, Trouble> {
        let date = id.split_once('-').and_then(|(_, date)| u64::from_str_radix(date, 16).ok()).map(u64::cast_signed);
        self.where_body(|row| Some(row.internal_date_secs) == date, |body, row| of_email(body, row) == id).await
    }

    async fn with_thread_id(&self, id: &str) -> Result<Indexes, Trouble> {
        let all: Vec<usize> = (0..self.view()?.rows().len()).collect();
        let keys = self.seeker()?.keys(&all).await?;
        let root = id.strip_prefix('T').and_then(|hex| u64::from_str_radix(hex, 16).ok());
        if root.is_some_and(|root| of_thread(Some(root), BodyId(0)) == id) {
            let rows = self.view()?.rows();
            return Ok(merge(rows.iter().enumerate().filter(|(_, row)| keys.thread_root(row) == root).map(|(index, _)| index)));
        }
        self.where_body(|row| keys.thread_root(row).is_none(), |body, _| of_thread(None, body) == id).await
    }

    /// Among the rows that may be, those whose stored octets are the right ones.
    async fn where_body(
        &self,
        may: impl Fn(&MessageRow) -> bool,
        is: impl Fn(BodyId, &MessageRow) -> bool,
    ) -> Result<Indexes, Trouble> {
        let rows: Vec<(usize, MessageRow)> = self.view()?.rows().iter().enumerate().filter(|(_, row)| may(row)).collect();
        let emails: Vec<_> = rows.iter().map(|(_, row)| row.email).collect();
        let bodies = self.context.store.bodies(self.view_account()?, &emails).await?;
        let right = rows.iter().zip(bodies).filter(|((_, row), body)| body.is_some_and(|body| is(body, row)));
        Ok(merge(right.map(|((index, _), _)| *index)))
    }
}

fn collect(keys: &[SearchKey], asked: &mut Vec<SearchKey>) {
    for key in keys {
        match key {
            SearchKey::EmailId(_) | SearchKey::ThreadId(_) => asked.push(key.clone()),
            SearchKey::SavedBefore(_) | SearchKey::SavedOn(_) | SearchKey::SavedSince(_) => asked.push(key.clone()),
            SearchKey::Not(inner) | SearchKey::Fuzzy(inner) => collect(std::slice::from_ref(inner), asked),
            SearchKey::Or(one, other) => {
                collect(std::slice::from_ref(one), asked);
                collect(std::slice::from_ref(other), asked);
            }
            SearchKey::And(keys) => collect(keys, asked),
            _ => {}
        }
    }
}
