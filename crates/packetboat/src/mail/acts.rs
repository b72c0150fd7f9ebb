//! What works on the store alone, with or without a network: list, read, search, move, flag, delete, undo.
//!
//! Every change is a change of the store; the next sync carries it to the server. A number names a message of a mailbox by
//! its UID here; one that is only on the server by its UID there behind an `s`, and it is brought when it is needed.

use super::{Desk, done, remote, undo};
use crate::cli::{ChosenArgs, FolderCommand};
use crate::commands::mime::extract;
use crate::commands::printable;
use client::flags::keyword_of;
use client::outbox;
use client::sync::Left;
use message::part::PartKind;
use message::search::Needle;
use message::{Facts, Message, attachment, date, header, html, html_text};
use net::clock::unix_now;
use search::{Hit, Query, Searcher};
use serde_json::{Value, json};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use store::{AccountId, EmailId, FlagOp, Flags, Mailbox, MailboxId, MessageRow, QueueId, RecipientState, StoreError, Uid};

/// Hits told, at most.
const HITS_MAX: usize = 500;

fn told(error: StoreError) -> String {
    error.to_string()
}

/// Before the number of a message that is only on the server: its UID there.
const ON_SERVER: char = 's';

/// A message that somebody names.
enum Named {
    Here(Uid),
    OnServer(u32),
}

fn named(id: &str) -> Result<Named, String> {
    let wrong = || format!("{id} is no number of a message; `packetboat mail ls` shows them");
    let number = |text: &str| text.parse::<u32>().ok().filter(|uid| *uid > 0).ok_or_else(wrong);
    match id.strip_prefix(ON_SERVER) {
        Some(rest) => number(rest).map(Named::OnServer),
        None => number(id).map(|uid| Named::Here(Uid(uid))),
    }
}

/// The numbers there are of messages that are only there; `download` and `delete --remote` take them with and without the letter.
pub(super) fn remote_uids(ids: &[String]) -> Result<Vec<u32>, String> {
    let one = |id: &String| match named(id)? {
        Named::Here(Uid(uid)) | Named::OnServer(uid) => Ok(uid),
    };
    ids.iter().map(one).collect()
}

/// The UIDs here that are named, each of which must be there; what is only on the server is brought first.
pub(super) async fn uids(desk: &Desk, mailbox: &Mailbox, ids: &[String]) -> Result<Vec<Uid>, String> {
    let all = ids.iter().map(|id| named(id)).collect::<Result<Vec<Named>, String>>()?;
    let rows = desk.store.snapshot(desk.account, mailbox.id).await.map_err(told)?.rows;
    let missing = |one: &&Named| matches!(one, Named::Here(uid) if rows.index_of(*uid).is_none());
    if let Some(Named::Here(uid)) = all.iter().find(missing) {
        return Err(format!("{} has no message {}", mailbox.name, uid.0));
    }
    let mut found = Vec::with_capacity(ids.len());
    for one in all {
        found.push(match one {
            Named::Here(uid) => uid,
            Named::OnServer(uid) => remote::bring(desk, mailbox, uid).await?,
        });
    }
    Ok(found)
}

/// Mailboxes with their counts.
pub(super) async fn folders(desk: &Desk) -> Result<Value, String> {
    let mut list = Vec::new();
    for mailbox in desk.store.mailboxes(desk.account).await.map_err(told)?.iter() {
        let status = desk.store.status(desk.account, mailbox.id).await.map_err(told)?;
        list.push(json!({ "name": mailbox.name.as_str(), "messages": status.messages, "unread": status.unseen }));
    }
    Ok(json!({ "mailboxes": list }))
}

/// Makes, renames or removes a mailbox.
pub(super) async fn folder(desk: &Desk, act: &FolderCommand) -> Result<Value, String> {
    let (store, account, now) = (&desk.store, desk.account, unix_now());
    let done = match act {
        FolderCommand::Add { name } => {
            let made = store.mailbox_create(account, name, None, now).await.map_err(told)?;
            store.mailbox_subscribe(account, &made.name, true).await.map_err(told)?;
            format!("made {}", made.name)
        }
        FolderCommand::Rename { from, to } => {
            let mailbox = desk.mailbox(from).await?;
            store.mailbox_rename(account, &mailbox.name, to, now).await.map_err(told)?;
            format!("renamed {} to {to}", mailbox.name)
        }
        FolderCommand::Remove { name, yes } => {
            let mailbox = desk.mailbox(name).await?;
            let messages = store.status(account, mailbox.id).await.map_err(told)?.messages;
            if !yes {
                return Ok(json!({ "would": format!("remove {} with its {messages} messages", mailbox.name) }));
            }
            store.mailbox_delete(account, &mailbox.name, now).await.map_err(told)?;
            format!("removed {}", mailbox.name)
        }
    };
    Ok(json!({ "done": done }))
}

fn words(flags: &Flags) -> Vec<String> {
    let named = [
        (Flags::SEEN, "seen"),
        (Flags::ANSWERED, "answered"),
        (Flags::FLAGGED, "flagged"),
        (Flags::DELETED, "deleted"),
        (Flags::DRAFT, "draft"),
    ];
    let system = named.iter().filter(|(bit, _)| flags.system & bit != 0).map(|(_, word)| (*word).to_owned());
    system.chain(flags.keywords.iter().flat_map(|words| words.iter()).map(ToString::to_string)).collect()
}

fn row_told(mailbox: &str, row: &MessageRow, facts: Option<Arc<Facts>>, here: &str) -> Value {
    let facts = facts.unwrap_or_default();
    json!({
        "id": row.uid.0,
        "mailbox": mailbox,
        "place": here,
        "from": facts.from,
        "subject": facts.subject,
        "date": date::format_rfc_3339(facts.date_secs.unwrap_or(row.internal_date_secs)),
        "size_bytes": row.size_bytes,
        "flags": words(&row.flags),
        "attachments": facts.has_attachment,
    })
}

/// A message that is only there, by what was noted of it.
fn left_told(mailbox: &str, uid: u32, left: &Left) -> Value {
    json!({
        "id": format!("{ON_SERVER}{uid}"),
        "mailbox": mailbox,
        "place": "on server",
        "from": left.from,
        "subject": left.subject,
        "date": date::format_rfc_3339(left.date_secs),
        "size_bytes": left.size_bytes,
        "flags": words(&left.flags()),
        // Nobody looked.
        "attachments": null,
    })
}

/// Which messages here are on the server, too.
enum Both {
    /// By IMAP, as the last sync paired them: UIDs of the mailboxes asked about so far.
    Paired(BTreeMap<MailboxId, HashSet<u32>>),
    /// By POP3.
    InMaildrop(HashSet<EmailId>),
}

impl Both {
    async fn of(desk: &Desk) -> Result<Both, String> {
        if desk.profile.imap.is_none() && desk.profile.pop3.is_some() {
            return Ok(Both::InMaildrop(remote::in_maildrop(desk).await?));
        }
        Ok(Both::Paired(BTreeMap::new()))
    }

    async fn ask(&mut self, desk: &Desk, mailbox: MailboxId) -> Result<(), String> {
        let Both::Paired(known) = self else { return Ok(()) };
        if let Entry::Vacant(entry) = known.entry(mailbox) {
            let pairs = client::sync::pairs_of(&desk.store, desk.account, mailbox).await.map_err(told)?;
            entry.insert(pairs.values().map(|pair| pair.local).collect());
        }
        Ok(())
    }

    fn place(&self, mailbox: MailboxId, row: &MessageRow) -> &'static str {
        let is_there = match self {
            Both::Paired(known) => known.get(&mailbox).is_some_and(|paired| paired.contains(&row.uid.0)),
            Both::InMaildrop(emails) => emails.contains(&row.email),
        };
        if is_there { "both" } else { "here" }
    }
}

/// The newest messages of a mailbox, those that are only on the server among them.
pub(super) async fn list(desk: &Desk, name: &str, limit: usize, unread: bool) -> Result<Value, String> {
    enum Listed<'a> {
        Row(MessageRow),
        Left(u32, &'a Left),
    }
    let mailbox = desk.mailbox(name).await?;
    let snapshot = desk.store.snapshot(desk.account, mailbox.id).await.map_err(told)?;
    let left = client::sync::left_of(&desk.store, desk.account, mailbox.id).await.map_err(told)?;
    let wanted = |flags: &Flags| !unread || flags.system & Flags::SEEN == 0;
    let rows = snapshot.rows.iter().filter(|row| wanted(&row.flags)).map(|row| (row.internal_date_secs, Listed::Row(row)));
    let there = left.iter().filter(|(_, left)| wanted(&left.flags()));
    let mut all: Vec<(i64, Listed<'_>)> =
        rows.chain(there.map(|(uid, left)| (left.date_secs, Listed::Left(*uid, left)))).collect();
    if !left.is_empty() {
        all.sort_by_key(|(date, _)| *date);
    }
    let shown = all.split_off(all.len().saturating_sub(limit));
    let row = |(_, one): &(i64, Listed<'_>)| if let Listed::Row(row) = one { Some(row.email) } else { None };
    let emails: Vec<_> = shown.iter().filter_map(row).collect();
    let mut facts = desk.store.facts(desk.account, &emails).await.map_err(told)?.into_iter();
    let mut both = Both::of(desk).await?;
    both.ask(desk, mailbox.id).await?;
    let list: Vec<Value> = shown
        .iter()
        .map(|(_, one)| match one {
            Listed::Row(row) => row_told(&mailbox.name, row, facts.next().flatten(), both.place(mailbox.id, row)),
            Listed::Left(uid, left) => left_told(&mailbox.name, *uid, left),
        })
        .collect();
    Ok(json!({ "mailbox": mailbox.name.as_str(), "messages": list }))
}

/// A message of a mailbox: its row and octets.
pub(super) async fn message(desk: &Desk, mailbox: &str, id: &str) -> Result<(store::MailboxId, MessageRow, Vec<u8>), String> {
    let mailbox = desk.mailbox(mailbox).await?;
    let uid = uids(desk, &mailbox, &[id.to_owned()]).await?;
    let snapshot = desk.store.snapshot(desk.account, mailbox.id).await.map_err(told)?;
    let found = uid.first().and_then(|uid| snapshot.rows.index_of(*uid)).and_then(|index| snapshot.rows.get(index));
    let row = found.ok_or_else(|| format!("{} has no message {id}", mailbox.name))?;
    let octets = desk.store.body(desk.account, row.email, 0, u64::from(row.size_bytes)).await.map_err(told)?;
    Ok((mailbox.id, row, octets.to_vec()))
}

/// How a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Html,
    Headers,
    Raw,
}

/// The text of a message for people: its plain text, else what its HTML says.
pub(super) fn text_of(message: &Message<'_>) -> String {
    let leaf = |sub: &str| {
        let is = |part: &&message::Part<'_>| {
            part.kind == PartKind::Leaf
                && part.is_text()
                && !part.is_attachment()
                && part.content_type.sub.eq_ignore_ascii_case(sub)
        };
        message.parts.iter().find(is).and_then(|part| part.text()).map(|text| text.into_owned())
    };
    leaf("plain").or_else(|| leaf("html").map(|html| html_text::text(&html))).unwrap_or_default()
}

fn html_of(message: &Message<'_>) -> Option<String> {
    let is = |part: &&message::Part<'_>| part.is_text() && part.content_type.sub.eq_ignore_ascii_case("html");
    let text = message.parts.iter().find(is).and_then(|part| part.text())?;
    Some(html::sanitise(&text, &html::Policy::default()).html)
}

/// Shows messages.
pub(super) async fn read(desk: &Desk, which: &ChosenArgs, form: Form, peek: bool) -> Result<Value, String> {
    let mut list = Vec::new();
    for id in &which.ids {
        let (mailbox, row, octets) = message(desk, &which.mailbox, id).await?;
        let parsed = message::parse(&octets);
        let field = |name: &str| header::first(&octets, name).map(|field| field.text().into_owned());
        let mut value = json!({
            "id": row.uid.0,
            "from": field("From"),
            "to": field("To"),
            "cc": field("Cc"),
            "subject": field("Subject"),
            "date": field("Date"),
            "flags": words(&row.flags),
        });
        let (name, content) = match form {
            Form::Text => ("text", json!(printable(&text_of(&parsed)))),
            Form::Html => {
                let html =
                    html_of(&parsed).ok_or_else(|| format!("message {id} has no HTML; `read` without --html shows its text"))?;
                ("html", json!(html))
            }
            Form::Headers => {
                let head = octets.get(..header::header_end(&octets)).unwrap_or_default();
                ("headers", json!(String::from_utf8_lossy(head)))
            }
            Form::Raw => ("raw", json!(String::from_utf8_lossy(&octets))),
        };
        let names: Vec<Value> = attachments_told(&parsed);
        if let Some(fields) = value.as_object_mut() {
            fields.insert(name.into(), content);
            fields.insert("attachments".into(), names.into());
            if form == Form::Raw && std::str::from_utf8(&octets).is_err() {
                fields.insert("raw_base64".into(), data_encoding::BASE64.encode(&octets).into());
            }
        }
        if !peek && row.flags.system & Flags::SEEN == 0 {
            let seen = Flags { system: Flags::SEEN, keywords: None };
            desk.store.flags(desk.account, mailbox, &[row.uid], FlagOp::Add, &seen, None).await.map_err(told)?;
        }
        list.push(value);
    }
    Ok(json!({ "messages": list }))
}

fn attachments_told(parsed: &Message<'_>) -> Vec<Value> {
    let one = |file: attachment::Attachment| json!({ "name": file.name, "type": file.media_type, "size_bytes": file.size });
    attachment::list(parsed).into_iter().map(one).collect()
}

/// Lists attachments, or writes them.
pub(super) async fn attachments(desk: &Desk, which: &ChosenArgs, folder: Option<&Path>) -> Result<Value, String> {
    let (mut list, mut written) = (Vec::new(), Vec::new());
    for id in &which.ids {
        let (_, _, octets) = message(desk, &which.mailbox, id).await?;
        let parsed = message::parse(&octets);
        match folder {
            Some(folder) => written.extend(extract::all(&parsed, folder)?),
            None => list.extend(attachments_told(&parsed)),
        }
    }
    Ok(if folder.is_some() { json!({ "extracted": written }) } else { json!({ "attachments": list }) })
}

/// Messages that have each of these phrases somewhere where people look, the newest last; more than that there are?
pub(super) async fn find(searcher: &Searcher, account: AccountId, words: &[String]) -> Result<(Vec<Hit>, bool), String> {
    let query = Query::All(words.iter().map(|word| Query::anywhere(word)).collect());
    let mut found = searcher.account(account, query).await.map_err(told)?;
    let more = found.len() > HITS_MAX;
    found.sort_by_key(|hit| std::cmp::Reverse((hit.row.internal_date_secs, hit.row.uid.0)));
    found.truncate(HITS_MAX);
    found.reverse();
    Ok((found, more))
}

/// The same in JSON, with what is only on the server and has the phrases in what was noted of it: sender and subject.
pub(super) async fn search(desk: &Desk, words: &[String]) -> Result<Value, String> {
    let (found, mut more) = find(&desk.searcher, desk.account, words).await?;
    let mailboxes = desk.store.mailboxes(desk.account).await.map_err(told)?;
    let emails: Vec<_> = found.iter().map(|hit| hit.row.email).collect();
    let facts = desk.store.facts(desk.account, &emails).await.map_err(told)?;
    let mut both = Both::of(desk).await?;
    for hit in &found {
        both.ask(desk, hit.mailbox).await?;
    }
    let name = |id| mailboxes.iter().find(|mailbox| mailbox.id == id).map(|mailbox| mailbox.name.to_string());
    let one = |(hit, facts): (&Hit, Option<Arc<Facts>>)| {
        let place = both.place(hit.mailbox, &hit.row);
        (hit.row.internal_date_secs, row_told(&name(hit.mailbox).unwrap_or_default(), &hit.row, facts, place))
    };
    let mut hits: Vec<(i64, Value)> = found.iter().zip(facts).map(one).collect();
    let needles: Vec<Needle> = words.iter().map(|word| Needle::new(word)).collect();
    for mailbox in mailboxes.iter() {
        let left = client::sync::left_of(&desk.store, desk.account, mailbox.id).await.map_err(told)?;
        let has = |left: &Left| needles.iter().all(|needle| needle.is_in(&left.from) || needle.is_in(&left.subject));
        let there = left.iter().filter(|(_, left)| has(left));
        hits.extend(there.map(|(uid, left)| (left.date_secs, left_told(&mailbox.name, *uid, left))));
    }
    hits.sort_by_key(|(date, _)| *date);
    more |= hits.len() > HITS_MAX;
    let messages: Vec<Value> = hits.split_off(hits.len().saturating_sub(HITS_MAX)).into_iter().map(|(_, hit)| hit).collect();
    Ok(json!({ "messages": messages, "more": more }))
}

/// The mailbox of this name, which is made if it is not there.
async fn mailbox_for(desk: &Desk, name: &str) -> Result<Mailbox, String> {
    match desk.found(name).await? {
        Some(found) => Ok(found),
        None => desk.store.mailbox_create(desk.account, name, None, unix_now()).await.map_err(told),
    }
}

/// Moves or copies; where they are now.
pub(super) async fn carry(
    desk: &Desk,
    from: MailboxId,
    uids: &[Uid],
    to: &str,
    moves: bool,
) -> Result<(MailboxId, Vec<Uid>), String> {
    let target = mailbox_for(desk, to).await?;
    let copied = if moves {
        desk.store.move_(desk.account, from, uids, target.id, unix_now()).await
    } else {
        desk.store.copy(desk.account, from, uids, target.id).await
    };
    Ok((target.id, copied.map_err(told)?.pairs.into_iter().map(|(_, uid)| uid).collect()))
}

/// Moves or copies; the other mailbox is made if it is not there.
pub(super) async fn transfer(desk: &Desk, which: &ChosenArgs, to: &str, moves: bool) -> Result<Value, String> {
    let from = desk.mailbox(&which.mailbox).await?;
    let (_, uids) = carry(desk, from.id, &uids(desk, &from, &which.ids).await?, to, moves).await?;
    Ok(done(if moves { "moved" } else { "copied" }, uids.len()))
}

/// Where messages are that were deleted.
#[derive(Debug)]
pub(super) enum Deleted {
    InTrash(MailboxId, Vec<Uid>),
    /// For good, but restorable here.
    Removed(Vec<EmailId>),
}

/// Into Trash; what is there already goes for good (and stays restorable here).
pub(super) async fn discard(desk: &Desk, from: MailboxId, uids: &[Uid]) -> Result<Deleted, String> {
    let there = desk.store.mailboxes(desk.account).await.map_err(told)?;
    let trash = there.iter().find(|mailbox| mailbox.special_use == Some(store::SpecialUse::Trash));
    if let Some(trash) = trash.filter(|trash| trash.id != from) {
        let moved = desk.store.move_(desk.account, from, uids, trash.id, unix_now()).await.map_err(told)?;
        return Ok(Deleted::InTrash(trash.id, moved.pairs.into_iter().map(|(_, uid)| uid).collect()));
    }
    let rows = desk.store.snapshot(desk.account, from).await.map_err(told)?.rows;
    let gone = desk.store.expunge(desk.account, from, uids, unix_now()).await.map_err(told)?;
    let email = |uid: &Uid| rows.index_of(*uid).and_then(|at| rows.get(at)).map(|row| row.email);
    Ok(Deleted::Removed(gone.iter().filter_map(email).collect()))
}

/// The same in JSON.
pub(super) async fn delete(desk: &Desk, which: &ChosenArgs) -> Result<Value, String> {
    let from = desk.mailbox(&which.mailbox).await?;
    let deleted = discard(desk, from.id, &uids(desk, &from, &which.ids).await?).await?;
    undo::note(desk, from.id, &deleted).await?;
    let count = match deleted {
        Deleted::InTrash(_, uids) => uids.len(),
        Deleted::Removed(emails) => emails.len(),
    };
    Ok(done("deleted", count))
}

/// `+flagged`, `-seen`, `+work`.
pub(super) async fn flag(desk: &Desk, which: &ChosenArgs, changes: &[String]) -> Result<Value, String> {
    let mailbox = desk.mailbox(&which.mailbox).await?;
    let uids = uids(desk, &mailbox, &which.ids).await?;
    let mut count = 0;
    for change in changes {
        let op = match change.chars().next() {
            Some('-') => FlagOp::Remove,
            _ => FlagOp::Add,
        };
        let word = change.trim_start_matches(['+', '-']);
        let system = match word.to_ascii_lowercase().as_str() {
            "seen" | "read" => Flags::SEEN,
            "answered" => Flags::ANSWERED,
            "flagged" => Flags::FLAGGED,
            "deleted" => Flags::DELETED,
            "draft" => Flags::DRAFT,
            _ => 0,
        };
        let keyword = if system == 0 { Some(keyword_of(word).ok_or_else(|| format!("{word:?} is no keyword"))?) } else { None };
        let flags = client::flags::with_keywords(system, keyword);
        let changed = desk.store.flags(desk.account, mailbox.id, &uids, op, &flags, None).await.map_err(told)?;
        count = changed.rows.len();
    }
    Ok(done("flagged", count))
}

/// What waits to be sent, and why.
pub(super) async fn outbox(desk: &Desk) -> Result<Value, String> {
    let mut list = Vec::new();
    let no_server = if desk.profile.smtp.is_none() { desk.profile.no_submission() } else { String::new() };
    for entry in desk.store.queue_list(None, 1000).await.map_err(told)? {
        if entry.message.account != Some(desk.account) {
            continue;
        }
        let recipients: Vec<Value> = entry
            .message
            .recipients
            .iter()
            .map(|recipient| {
                let sent = recipient.state == RecipientState::Delivered;
                let said = if recipient.last_reply.is_empty() { &no_server } else { &recipient.last_reply };
                json!({ "address": recipient.address, "sent": sent, "said": said })
            })
            .collect();
        list.push(json!({
            "id": entry.id.0,
            "recipients": recipients,
            "attempts": entry.attempts,
            "refused": entry.held,
            "next_secs": entry.next_secs,
            "message_id": entry.message_id.as_deref(),
        }));
    }
    Ok(json!({ "outbox": list }))
}

/// Takes back from the outbox, or brings back what was removed last.
pub(super) async fn take_back(desk: &Desk, ids: &[u64]) -> Result<Value, String> {
    let mut count = 0;
    for id in ids {
        let back = outbox::take_back(&desk.store, desk.account, QueueId(*id)).await.map_err(|error| error.to_string())?;
        if !back {
            return Err(format!("{id} is not in the outbox (any more)"));
        }
        count += 1;
    }
    if !ids.is_empty() {
        return Ok(done("taken back", count));
    }
    Ok(done("brought back", undo::last(desk).await?))
}
