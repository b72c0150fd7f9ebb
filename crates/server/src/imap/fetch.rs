//! FETCH (RFC 9051 §6.4.5, RFC 7162 §3.1.4, RFC 3516): rows, facts and octets, written straight to the wire.
//!
//! Memory stays bounded however much is asked: facts come in chunks, bodies in pieces, and the connection is flushed
//! between them. Invariant: a message that cannot be read costs its own answer only; the others are sent, then NO.

mod octets;

pub(super) use octets::NamedOctets;

use super::failure::{Outcome, Trouble, done, no};
use super::flags::{begin_fetch, write_flags};
use super::limits;
use super::object_id;
use super::session::{Indexes, Session, merge};
use message::facts::Facts;
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use store::{AccountId, BodyId, EmailId, Flags, MessageRow, ModSeq, Rendered, RenderedPart, SavedDates, StoreError, Uid};
use wire::imap::Code;
use wire::imap::acl::Right;
use wire::imap::date::DateTime;
use wire::imap::downgrade;
use wire::imap::fetch::{Fetch, FetchItem, FetchWriter, ItemName, SectionText};

/// What a FETCH asks for, looked through once.
#[derive(Debug)]
struct Plan {
    items: Vec<FetchItem>,
    /// Some item needs what was computed at delivery.
    facts: bool,
    /// ENVELOPE, BODY or BODYSTRUCTURE, and beside them only what the row says.
    rendered: bool,
    /// Some item is answered with octets of the message.
    octets: bool,
    /// EMAILID or THREADID is among the items.
    ids: bool,
    /// Some item sets \Seen (BODY[] and its kin without PEEK).
    seen: bool,
    /// \Recent is shown.
    recent: bool,
    /// FLAGS is among the items.
    flags: bool,
    /// MODSEQ is among the items.
    mod_seq: bool,
    /// When the messages were saved, where SAVEDATE is among the items.
    saved: Option<SavedDates>,
}

impl Plan {
    fn new(fetch: Fetch, rev2: bool, uid_only: bool) -> Plan {
        let mut items = fetch.items;
        if fetch.uid && !uid_only && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        if fetch.changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        let octets = items.iter().any(is_octets);
        let facts = items.iter().any(needs_facts);
        let seen = items.iter().any(sets_seen);
        let ids = items.iter().any(|item| matches!(item, FetchItem::EmailId | FetchItem::ThreadId));
        let rendered = facts && !octets && !ids && !items.iter().any(|item| matches!(item, FetchItem::Preview { .. }));
        let flags = items.contains(&FetchItem::Flags);
        let mod_seq = items.contains(&FetchItem::ModSeq);
        Plan { items, facts, rendered, octets, ids, seen, recent: !rev2, flags, mod_seq, saved: None }
    }
}

fn rendered_part(item: &FetchItem) -> Option<RenderedPart> {
    match item {
        FetchItem::Envelope => Some(RenderedPart::Envelope),
        FetchItem::BodyStructure => Some(RenderedPart::BodyStructure),
        FetchItem::Body => Some(RenderedPart::Body),
        _ => None,
    }
}

fn is_octets(item: &FetchItem) -> bool {
    use FetchItem::{Binary, BinarySize, BodySection, Rfc822, Rfc822Header, Rfc822Text};
    matches!(item, BodySection { .. } | Binary { .. } | BinarySize { .. } | Rfc822 | Rfc822Header | Rfc822Text)
}

fn needs_facts(item: &FetchItem) -> bool {
    match item {
        FetchItem::BodySection { section, .. } if section.part.is_empty() => {
            matches!(section.text, Some(SectionText::Text | SectionText::Mime))
        }
        FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure => true,
        FetchItem::Preview { .. } | FetchItem::ThreadId => true,
        // The header says itself where it ends.
        FetchItem::Rfc822 | FetchItem::Rfc822Header => false,
        other => is_octets(other),
    }
}

fn sets_seen(item: &FetchItem) -> bool {
    match item {
        FetchItem::BodySection { peek, .. } | FetchItem::Binary { peek, .. } => !peek,
        FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
        _ => false,
    }
}

/// One message on its way out.
struct Subject {
    /// Whose.
    account: AccountId,
    index: usize,
    row: MessageRow,
    facts: Option<Arc<Facts>>,
    /// For EMAILID and THREADID.
    body: Option<BodyId>,
    /// \Seen was set just now: FLAGS are told.
    newly_seen: bool,
}

/// Messages whose turn comes soon.
struct Ahead {
    chunk: Vec<usize>,
    rows: Vec<MessageRow>,
    rendered: Pin<Box<dyn Future<Output = Result<Rendered, StoreError>> + Send>>,
}

/// A message, and whose it is.
pub(in crate::imap) type Stored = (AccountId, EmailId);

impl Subject {
    fn email(&self) -> Stored {
        (self.account, self.row.email)
    }
}

impl Session {
    /// FETCH and UID FETCH.
    pub(crate) async fn fetch(&mut self, fetch: Fetch) -> Outcome {
        self.sync(fetch.uid).await?;
        if fetch.vanished && !self.qresync {
            return Err(Trouble::Bad("VANISHED needs ENABLE QRESYNC first"));
        }
        if fetch.changed_since.is_some() || fetch.items.contains(&FetchItem::ModSeq) {
            self.enable_condstore();
        }
        let mut indexes = self.resolve(&fetch.set, fetch.uid)?;
        if let Some(since) = fetch.changed_since {
            if fetch.vanished {
                self.tell_vanished_among(&fetch.set, ModSeq(since)).await?;
            }
            let rows = self.view()?.rows();
            let changed = |index: &usize| rows.get(*index).is_some_and(|row| row.mod_seq.0 > since);
            indexes = merge(indexes.into_iter().flatten().filter(changed));
        }
        if let Some(window) = fetch.partial {
            let all: Vec<usize> = indexes.into_iter().flatten().collect();
            indexes = merge(all.get(window.positions(all.len())).into_iter().flatten().copied());
            // RFC 9738 §3.1: who says how many says not too many.
            self.within_messages_max(indexes.iter().map(ExactSizeIterator::len).sum())?;
        }
        let (indexes, cut) = self.newest_rows(indexes)?;
        let outcome = self.fetch_indexes(fetch, indexes).await;
        self.ended(outcome, cut)
    }

    /// What a FETCH asks, of these rows.
    pub(crate) async fn fetch_indexes(&mut self, fetch: Fetch, indexes: Indexes) -> Outcome {
        let mut plan = Plan::new(fetch, self.rev2, self.uid_only);
        if plan.items.contains(&FetchItem::SaveDate) {
            plan.saved = Some(self.saved_dates(&indexes).await?);
        }
        if plan.rendered {
            return self.fetch_rendered(&plan, indexes).await;
        }
        if plan.facts || plan.octets || plan.ids {
            return self.fetch_messages(&plan, indexes).await;
        }
        for range in indexes {
            for start in range.clone().step_by(limits::FACTS_CHUNK) {
                self.write_rows(&plan, start..range.end.min(start + limits::FACTS_CHUNK));
                self.breathe().await?;
            }
        }
        done("Fetched")
    }

    /// When the messages at these indexes were saved.
    async fn saved_dates(&self, indexes: &Indexes) -> Result<SavedDates, Trouble> {
        let view = self.view()?;
        let first = indexes.iter().map(|range| range.start).min();
        let last = indexes.iter().filter_map(|range| range.end.checked_sub(1)).max();
        match (first.and_then(|at| view.rows().uid(at)), last.and_then(|at| view.rows().uid(at))) {
            (Some(first), Some(last)) => Ok(self.store().saved_dates(view.account, view.mailbox.id, first, last).await?),
            _ => Ok(SavedDates::default()),
        }
    }

    /// The fast path: everything is in the rows; nothing is waited for.
    fn write_rows(&mut self, plan: &Plan, range: Range<usize>) {
        let Some(view) = self.view.as_ref() else { return };
        let rows = view.rows().range(range.clone());
        for (index, row) in range.zip(rows) {
            let recent = plan.recent && plan.flags && view.is_recent(row.uid);
            let mut writer = begin_fetch(self.wire.out_mut(), self.uid_only, index, row.uid);
            for item in &plan.items {
                write_row_item(&mut writer, plan, item, &row, recent);
            }
            writer.end();
        }
    }

    /// The other fast path: rows, and what was rendered at delivery, copied. What comes next is read meanwhile.
    async fn fetch_rendered(&mut self, plan: &Plan, indexes: Indexes) -> Outcome {
        let parts: Vec<RenderedPart> = plan.items.iter().filter_map(rendered_part).collect();
        let mut indexes: VecDeque<Range<usize>> = indexes.into();
        let (mut ahead, mut trouble) = (VecDeque::new(), None);
        loop {
            while ahead.len() < limits::RENDERED_AHEAD && !indexes.is_empty() {
                let chunk = next_chunk(&mut indexes, limits::RENDERED_CHUNK);
                let is_all = ahead.is_empty() && indexes.is_empty();
                ahead.push_back(self.begin_rendered(chunk, &parts, is_all)?);
            }
            let Some(Ahead { chunk, rows, rendered }) = ahead.pop_front() else { break };
            let all = match rendered.await {
                Ok(all) => all,
                // One of them is damaged: the others are served all the same.
                Err(StoreError::Damaged(_)) => {
                    if let Some(met) = self.fetch_chunk(plan, chunk).await? {
                        trouble.get_or_insert(met);
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for (number, (index, row)) in chunk.into_iter().zip(&rows).enumerate() {
                match all.get(number) {
                    Some(rendered) => self.write_rendered(plan, index, row, rendered)?,
                    None => drop(trouble.get_or_insert(no(Code::ExpungeIssued, "Some of the messages are gone"))),
                }
            }
            self.breathe().await?;
        }
        match trouble {
            Some(trouble) => Err(trouble),
            None => done("Fetched"),
        }
    }

    /// The rows at these indexes, and what is rendered of them: read at once, unless `waits` until it is asked for.
    fn begin_rendered(&self, chunk: Vec<usize>, parts: &[RenderedPart], waits: bool) -> Result<Ahead, Trouble> {
        let (account, store, parts) = (self.view_account()?, self.store(), parts.to_vec());
        let rows: Vec<MessageRow> = self.view()?.rows().at(&chunk).collect();
        let emails: Vec<EmailId> = rows.iter().map(|row| row.email).collect();
        let reading = async move { store.rendered(account, &emails, &parts).await };
        if waits {
            return Ok(Ahead { chunk, rows, rendered: Box::pin(reading) });
        }
        let begun = tokio::spawn(reading);
        let rendered = async move { begun.await.unwrap_or_else(|error| Err(StoreError::Io(error.to_string()))) };
        Ok(Ahead { chunk, rows, rendered: Box::pin(rendered) })
    }

    fn write_rendered(
        &mut self,
        plan: &Plan,
        index: usize,
        row: &MessageRow,
        [envelope, body_structure, body]: [&[u8]; 3],
    ) -> Result<(), Trouble> {
        let recent = plan.recent && plan.flags && self.view()?.is_recent(row.uid);
        let utf8 = self.wire.utf8();
        let mut writer = begin_fetch(self.wire.out_mut(), self.uid_only, index, row.uid);
        for item in &plan.items {
            match item {
                FetchItem::Envelope => write_rendering(&mut writer, Rendering::Envelope(envelope), utf8),
                FetchItem::Body => write_rendering(&mut writer, Rendering::Body(body), utf8),
                FetchItem::BodyStructure => write_rendering(&mut writer, Rendering::BodyStructure(body_structure), utf8),
                _ => write_row_item(&mut writer, plan, item, row, recent),
            }
        }
        writer.end();
        Ok(())
    }

    /// With facts or octets: in chunks.
    async fn fetch_messages(&mut self, plan: &Plan, indexes: Indexes) -> Outcome {
        let chunk_len = if plan.seen { limits::SEEN_CHUNK } else { limits::FACTS_CHUNK };
        let mut trouble = None;
        let mut indexes = indexes.into_iter().flatten();
        loop {
            let chunk: Vec<usize> = indexes.by_ref().take(chunk_len).collect();
            if chunk.is_empty() {
                break;
            }
            if let Some(met) = self.fetch_chunk(plan, chunk).await? {
                trouble.get_or_insert(met);
            }
        }
        match trouble {
            Some(trouble) => Err(trouble),
            None => done("Fetched"),
        }
    }

    /// One chunk; answers the first trouble a single message met.
    async fn fetch_chunk(&mut self, plan: &Plan, chunk: Vec<usize>) -> Result<Option<Trouble>, Trouble> {
        let (subjects, mut trouble) = self.subjects(plan, chunk).await?;
        for mut subject in subjects {
            if let Some(row) = self.view()?.rows().get(subject.index) {
                subject.row = row;
            }
            if (plan.facts && subject.facts.is_none()) || (plan.ids && subject.body.is_none()) {
                trouble.get_or_insert(no(Code::ExpungeIssued, "Some of the messages are gone"));
                continue;
            }
            let start = self.wire.out_len();
            let mut flushed = false;
            match self.write_message(plan, &subject, &mut flushed).await {
                Ok(()) => {}
                Err(Trouble::Over) => return Err(Trouble::Over),
                Err(_) if flushed => {
                    tracing::error!(uid = subject.row.uid.0, "a message could not be read to its end while it was sent");
                    self.wire.bye(Some(Code::Unavailable), "A message could not be read to its end");
                    return Err(Trouble::Over);
                }
                Err(met) => {
                    self.wire.out_mut().truncate(start);
                    trouble.get_or_insert(gone_or(met));
                }
            }
            self.breathe().await?;
        }
        Ok(trouble)
    }

    /// Facts and \Seen for one chunk, in one read and one commit.
    async fn subjects(&mut self, plan: &Plan, chunk: Vec<usize>) -> Result<(Vec<Subject>, Option<Trouble>), Trouble> {
        let (account, rows) = (self.view_account()?, self.view()?.rows());
        let subject = |index| Some(Subject { account, index, row: rows.get(index)?, facts: None, body: None, newly_seen: false });
        let mut subjects: Vec<Subject> = chunk.into_iter().filter_map(subject).collect();
        let mut trouble = None;
        if plan.facts {
            trouble = self.add_facts(&mut subjects).await?;
        }
        if plan.ids {
            let emails: Vec<EmailId> = subjects.iter().map(|subject| subject.row.email).collect();
            let bodies = self.store().bodies(self.view_account()?, &emails).await?;
            for (subject, body) in subjects.iter_mut().zip(bodies) {
                subject.body = body;
            }
        }
        if plan.seen && !self.view()?.read_only && self.view()?.rights.has(Right::Seen) {
            self.mark_seen(&mut subjects).await?;
        }
        Ok((subjects, trouble))
    }

    /// One read for all; where one of them is damaged, one by one, so that the others are served.
    async fn add_facts(&self, subjects: &mut [Subject]) -> Result<Option<Trouble>, Trouble> {
        let (account, store) = (self.view_account()?, self.store());
        let emails: Vec<EmailId> = subjects.iter().map(|subject| subject.row.email).collect();
        match store.facts(account, &emails).await {
            Ok(all) => {
                for (subject, facts) in subjects.iter_mut().zip(all) {
                    subject.facts = facts;
                }
                return Ok(None);
            }
            Err(StoreError::Damaged(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let mut trouble = None;
        for subject in subjects {
            match store.facts(account, &[subject.row.email]).await {
                Ok(one) => subject.facts = one.into_iter().next().flatten(),
                Err(error) => trouble = Some(Trouble::Store(error)),
            }
        }
        Ok(trouble)
    }

    /// Sets \Seen durably. Where that fails (a full disk) reading still goes on.
    async fn mark_seen(&mut self, subjects: &mut [Subject]) -> Result<(), Trouble> {
        let view = self.view()?;
        let account = view.account;
        let unseen = |subject: &&Subject| subject.row.flags.system & Flags::SEEN == 0 && !view.is_vanished(subject.row.uid);
        let uids: Vec<Uid> = subjects.iter().filter(unseen).map(|subject| subject.row.uid).collect();
        if uids.is_empty() {
            return Ok(());
        }
        let (place, own) = ((account, view.mailbox.id), view.own_seen);
        let changed = match Box::pin(self.see(place, own, &uids)).await {
            Ok(changed) => changed,
            Err(Trouble::Store(error)) => {
                super::failure::from_store(&error);
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let view = self.view_mut()?;
        view.note_own(&changed);
        for row in changed {
            if let Some(subject) = subjects.iter_mut().find(|subject| subject.row.uid == row.uid) {
                subject.newly_seen = true;
            }
        }
        Ok(())
    }

    /// One `* n FETCH (...)`, items in the order asked. `flushed` tells whether a part of it is already sent.
    async fn write_message(&mut self, plan: &Plan, subject: &Subject, flushed: &mut bool) -> Result<(), Trouble> {
        let recent = plan.recent && self.view()?.is_recent(subject.row.uid);
        let (mut begun, utf8) = (false, self.wire.utf8());
        for item in &plan.items {
            if is_octets(item) {
                let source = self.source(item, subject).await?;
                let uid_only = self.uid_only;
                let out = self.wire.out_mut();
                let mut writer = match begun {
                    true => FetchWriter::resume(out),
                    false => begin_fetch(out, uid_only, subject.index, subject.row.uid),
                };
                begun = true;
                let name = item_name(item);
                let Some(source) = source.start(&mut writer, item, &name) else { continue };
                self.pour(subject.email(), source, flushed).await?;
                continue;
            }
            let uid_only = self.uid_only;
            let out = self.wire.out_mut();
            let mut writer = match begun {
                true => FetchWriter::resume(out),
                false => begin_fetch(out, uid_only, subject.index, subject.row.uid),
            };
            begun = true;
            match (item, &subject.facts) {
                (FetchItem::Preview { .. }, Some(facts)) => writer.preview(Some(&facts.preview), utf8),
                (FetchItem::EmailId | FetchItem::ThreadId, facts) => {
                    write_object_id(&mut writer, item, subject, facts.as_deref())
                }
                (FetchItem::Envelope, Some(facts)) => write_rendering(&mut writer, Rendering::Envelope(&facts.envelope), utf8),
                (FetchItem::Body, Some(facts)) => write_rendering(&mut writer, Rendering::Body(&facts.body), utf8),
                (FetchItem::BodyStructure, Some(facts)) => {
                    write_rendering(&mut writer, Rendering::BodyStructure(&facts.body_structure), utf8);
                }
                _ => write_row_item(&mut writer, plan, item, &subject.row, recent),
            }
        }
        let mut writer = FetchWriter::resume(self.wire.out_mut());
        if subject.newly_seen && !plan.flags {
            write_flags(&mut writer, &subject.row, recent);
        }
        // RFC 7162 §3.2.4: whoever is told of changed flags is told their mod-sequence and UID.
        if subject.newly_seen && self.condstore {
            if !self.uid_only && !plan.items.contains(&FetchItem::Uid) {
                writer.uid(subject.row.uid.0);
            }
            if !plan.mod_seq {
                writer.mod_seq(subject.row.mod_seq.0);
            }
        }
        writer.end();
        Ok(())
    }
}

/// So many of them, from the front; fewer at the end.
fn next_chunk(indexes: &mut VecDeque<Range<usize>>, most: usize) -> Vec<usize> {
    let mut chunk = Vec::new();
    while let Some(range) = indexes.front_mut().filter(|_| chunk.len() < most) {
        let end = range.end.min(range.start + (most - chunk.len()));
        chunk.extend(range.start..end);
        range.start = end;
        if range.start >= range.end {
            indexes.pop_front();
        }
    }
    chunk
}

/// A message that is not there any more was expunged by somebody else (RFC 2180 §4.1).
fn gone_or(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Store(StoreError::NotFound) => no(Code::ExpungeIssued, "Some of the messages are gone"),
        other => other,
    }
}

/// As it is kept.
#[derive(Clone, Copy)]
enum Rendering<'a> {
    Envelope(&'a [u8]),
    Body(&'a [u8]),
    BodyStructure(&'a [u8]),
}

/// Copied, but for UTF-8 that the client did not say it takes (RFC 9755 §7).
fn write_rendering(writer: &mut FetchWriter<'_>, rendering: Rendering<'_>, utf8: bool) {
    let (name, kept) = match rendering {
        Rendering::Envelope(kept) => ("ENVELOPE", kept),
        Rendering::Body(kept) => ("BODY", kept),
        Rendering::BodyStructure(kept) => ("BODYSTRUCTURE", kept),
    };
    match rendering {
        _ if utf8 => writer.rendered(name, kept),
        Rendering::Envelope(_) => writer.rendered(name, &downgrade::envelope(kept)),
        _ => writer.rendered(name, &downgrade::body_structure(kept)),
    }
}

/// EMAILID or THREADID.
fn write_object_id(writer: &mut FetchWriter<'_>, item: &FetchItem, subject: &Subject, facts: Option<&Facts>) {
    let Some(body) = subject.body else { return };
    match (item, facts) {
        (FetchItem::ThreadId, Some(facts)) => {
            writer.thread_id(Some(&object_id::of_thread(object_id::thread_root(facts), body)));
        }
        _ => writer.email_id(&object_id::of_email(body, &subject.row)),
    }
}

/// An item the row itself answers, or what was read beside it for all.
fn write_row_item(writer: &mut FetchWriter<'_>, plan: &Plan, item: &FetchItem, row: &MessageRow, recent: bool) {
    match item {
        FetchItem::SaveDate => writer.save_date(plan.saved.as_ref().map(|saved| DateTime::utc(saved.of(row)))),
        FetchItem::Uid => writer.uid(row.uid.0),
        FetchItem::Flags => write_flags(writer, row, recent),
        FetchItem::InternalDate => writer.internal_date(DateTime::utc(row.internal_date_secs)),
        FetchItem::Rfc822Size => writer.rfc822_size(u64::from(row.size_bytes)),
        FetchItem::ModSeq => writer.mod_seq(row.mod_seq.0),
        _ => {}
    }
}

/// How the answer spells an item with octets.
fn item_name(item: &FetchItem) -> ItemName<'_> {
    match item {
        FetchItem::BodySection { section, partial, .. } => {
            ItemName::BodySection { section, origin: partial.map(|partial| partial.offset) }
        }
        FetchItem::Binary { part, partial, .. } => ItemName::Binary { part, origin: partial.map(|partial| partial.offset) },
        FetchItem::Rfc822Header => ItemName::Rfc822Header,
        FetchItem::Rfc822Text => ItemName::Rfc822Text,
        _ => ItemName::Rfc822,
    }
}
