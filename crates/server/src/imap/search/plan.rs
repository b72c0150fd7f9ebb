//! SEARCH keys as a query (RFC 9051 §6.4.4): numbers resolved against the view, dates and names put in the words of `search`.
//!
//! BODY and TEXT find the words of attachments, too (RFC 9051 §6.4.4: a server may match what the text of a body is to a person).
//! Must not know: how messages are tested or read; that is `search`'s.

use crate::imap::failure::Trouble;
use crate::imap::object_id::Named;
use crate::imap::session::Session;
use search::{Needle, Query};
use store::{Flags, UnixSecs};
use wire::imap::search::SearchKey;

impl Session {
    fn recent(&self) -> Result<Query, Trouble> {
        Ok(Query::Among(self.view()?.recent_ranges()))
    }

    /// All keys as one query.
    pub(super) fn plan(&self, keys: &[SearchKey], named: &Named, now_secs: UnixSecs) -> Result<Query, Trouble> {
        let queries = keys.iter().map(|key| self.plan_key(key, named, now_secs)).collect::<Result<Vec<_>, _>>()?;
        Ok(Query::All(queries))
    }

    fn plan_key(&self, key: &SearchKey, named: &Named, now: UnixSecs) -> Result<Query, Trouble> {
        use SearchKey as Key;
        Ok(match key {
            Key::All => Query::Always(true),
            Key::Answered => Query::Flag(Flags::ANSWERED),
            Key::Deleted => Query::Flag(Flags::DELETED),
            Key::Draft => Query::Flag(Flags::DRAFT),
            Key::Flagged => Query::Flag(Flags::FLAGGED),
            Key::Seen => Query::Flag(Flags::SEEN),
            Key::Unanswered => Query::Flag(Flags::ANSWERED).not(),
            Key::Undeleted => Query::Flag(Flags::DELETED).not(),
            Key::Undraft => Query::Flag(Flags::DRAFT).not(),
            Key::Unflagged => Query::Flag(Flags::FLAGGED).not(),
            Key::Unseen => Query::Flag(Flags::SEEN).not(),
            Key::Keyword(word) => Query::Keyword(word.clone()),
            Key::Unkeyword(word) => Query::Keyword(word.clone()).not(),
            Key::Recent => self.recent()?,
            Key::Old => self.recent()?.not(),
            Key::New => Query::All(vec![self.recent()?, Query::Flag(Flags::SEEN).not()]),
            Key::Bcc(text) => Query::header("Bcc", text),
            Key::Cc(text) => Query::header("Cc", text),
            Key::From(text) => Query::header("From", text),
            Key::Subject(text) => Query::header("Subject", text),
            Key::To(text) => Query::header("To", text),
            Key::Header(name, text) => Query::header(name, text),
            Key::Body(text) => Query::BodyOrAttachment(Needle::new(text)),
            Key::Text(text) => Query::TextOrAttachment(Needle::new(text)),
            Key::Larger(size) => Query::Larger(*size),
            Key::Smaller(size) => Query::Smaller(*size),
            Key::ModSeq(mod_seq) => Query::ModSeq(*mod_seq),
            Key::Not(inner) => self.plan_key(inner, named, now)?.not(),
            Key::Or(one, other) => Query::Any(vec![self.plan_key(one, named, now)?, self.plan_key(other, named, now)?]),
            Key::And(keys) => self.plan(keys, named, now)?,
            Key::Sequence(set) => Query::Among(self.resolve_loosely(set, false)?),
            Key::Uid(set) => Query::Among(self.resolve_loosely(set, true)?),
            Key::Older(secs) => Query::Arrived(UnixSecs::MIN..now.saturating_sub(i64::from(*secs)).saturating_add(1)),
            Key::Younger(secs) => Query::Arrived(now.saturating_sub(i64::from(*secs)).saturating_add(1)..UnixSecs::MAX),
            Key::Before(day) => Query::Arrived(UnixSecs::MIN..day.unix_secs()),
            Key::On(day) => Query::Arrived(day.unix_secs()..day.unix_secs() + DAY_SECS),
            Key::Since(day) => Query::Arrived(day.unix_secs()..UnixSecs::MAX),
            Key::SentBefore(day) => Query::Sent(i64::MIN..day.days()),
            Key::SentOn(day) => Query::Sent(day.days()..day.days() + 1),
            Key::SentSince(day) => Query::Sent(day.days()..i64::MAX),
            Key::UidAfter(uid) => {
                let view = self.view()?;
                let after = uid.checked_add(1).map(|first| view.uid_range(first, u32::MAX));
                Query::Among(after.into_iter().collect())
            }
            Key::UidBefore(uid) => Query::Among(vec![self.view()?.uid_range(1, uid.saturating_sub(1))]),
            Key::SaveDateSupported => Query::Always(true),
            Key::EmailId(_) | Key::ThreadId(_) | Key::SavedBefore(_) | Key::SavedOn(_) | Key::SavedSince(_) => {
                let found = named.iter().find(|(known, _)| known == key).map(|(_, indexes)| indexes.clone());
                Query::Among(found.unwrap_or_default())
            }
            Key::Fuzzy(inner) => self.plan_fuzzy(inner, named, now)?,
            // What is kept by a name stands in its place by now (`with_filters`).
            Key::Filter(_) => return Err(Trouble::Bad("unknown search key")),
        })
    }
}

impl Session {
    /// RFC 6203 §3: what has the text, or all its words in any order. For what is no text there is nothing approximate.
    fn plan_fuzzy(&self, key: &SearchKey, named: &Named, now: UnixSecs) -> Result<Query, Trouble> {
        let exact = self.plan_key(key, named, now)?;
        let query = match key {
            SearchKey::Not(inner) => return Ok(self.plan_fuzzy(inner, named, now)?.not()),
            SearchKey::And(keys) => {
                let all = keys.iter().map(|key| self.plan_fuzzy(key, named, now));
                return Ok(Query::All(all.collect::<Result<_, _>>()?));
            }
            SearchKey::Or(one, other) => {
                let both = [one, other].map(|key| self.plan_fuzzy(key, named, now));
                return Ok(Query::Any(both.into_iter().collect::<Result<_, _>>()?));
            }
            SearchKey::Bcc(text) => words(text, |word| Query::header("Bcc", word)),
            SearchKey::Cc(text) => words(text, |word| Query::header("Cc", word)),
            SearchKey::From(text) => words(text, |word| Query::header("From", word)),
            SearchKey::Subject(text) => words(text, |word| Query::header("Subject", word)),
            SearchKey::To(text) => words(text, |word| Query::header("To", word)),
            SearchKey::Header(name, text) => words(text, |word| Query::header(name, word)),
            SearchKey::Body(text) => words(text, |word| Query::BodyOrAttachment(Needle::new(word))),
            SearchKey::Text(text) => words(text, Query::anywhere),
            _ => return Ok(exact),
        };
        Ok(Query::Any(vec![exact, query]))
    }
}

/// Every word of the text; no message when it has none.
fn words(text: &str, test: impl Fn(&str) -> Query) -> Query {
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { Query::Always(false) } else { Query::All(words.into_iter().map(test).collect()) }
}

/// The key without FUZZY.
pub(super) fn to_the_letter(key: &SearchKey) -> SearchKey {
    match key {
        SearchKey::Fuzzy(inner) => to_the_letter(inner),
        SearchKey::Not(inner) => SearchKey::Not(Box::new(to_the_letter(inner))),
        SearchKey::Or(one, other) => SearchKey::Or(Box::new(to_the_letter(one)), Box::new(to_the_letter(other))),
        SearchKey::And(keys) => SearchKey::And(keys.iter().map(to_the_letter).collect()),
        other => other.clone(),
    }
}

const DAY_SECS: i64 = 86_400;
