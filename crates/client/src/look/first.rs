//! Look first, before anything is brought: which folders an old account has, how much lies in them, and the newest of each
//! by a few header fields.
//!
//! Invariant: mailboxes are only examined and no body is asked for, so nothing there is changed, not even `\Seen`.
//! Must not know: the store.

use crate::dial::Dialer;
use crate::flags::from_wire;
use crate::imap::{Fetched, Imap};
use crate::limits::{LOOK_FOLDERS_MAX, LOOK_MAX, TEXT_CHARS_MAX};
use crate::mailbox_name::{is_no_mailbox, special_use, to_local, use_word, usual_use};
use crate::place::{Place, Protocol};
use crate::pop::Pop;
use crate::trouble::Trouble;
use bytes::Bytes;
use message::header;
use std::collections::BTreeMap;
use store::Flags;
use wire::imap::command::Command;
use wire::imap::fetch::{Fetch, FetchItem, Section, SectionText};
use wire::imap::list::ListResponse;
use wire::imap::response::Response;
use wire::imap::sequence_set::{SeqNumber, SequenceSet};
use wire::pop3::client::Request;
use wire::sasl::Secret;

/// One of the newest, by its header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Newest {
    pub from: String,
    pub subject: String,
    pub date: String,
    pub unread: bool,
}

/// A folder that could be brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    /// Its name there: what [`crate::import::Options::only`] takes.
    pub name: String,
    /// What it would be called here.
    pub called: String,
    /// `sent`, `junk` ...
    pub special_use: Option<&'static str>,
    /// Messages in it.
    pub messages: u32,
    /// The newest first.
    pub newest: Vec<Newest>,
}

/// Looks; `newest`: how many of each folder are shown.
///
/// # Errors
/// No connection, not let in, or it took too long.
pub async fn look(
    dialer: &Dialer,
    place: &Place,
    (login, password): (&str, &Secret),
    newest: u32,
) -> Result<Vec<Folder>, Trouble> {
    let looking = async {
        match place.protocol {
            Protocol::Imap => by_imap(Imap::open(dialer, place, login, password).await?, newest).await,
            Protocol::Pop3 => by_pop(Pop::open(dialer, place, login, password).await?, newest).await,
            Protocol::Smtp => Err(Trouble::Here("mail comes by IMAP or POP3, not by SMTP".into())),
        }
    };
    tokio::time::timeout(LOOK_MAX, looking).await.unwrap_or_else(|_| Err(Trouble::Lost(format!("{place} takes too long"))))
}

async fn by_imap(mut imap: Imap, newest: u32) -> Result<Vec<Folder>, Trouble> {
    let (mut lines, prefix) = imap.mailboxes().await?;
    lines.retain(|line| !is_no_mailbox(line));
    lines.sort_by_key(|line| !line.name.as_str().eq_ignore_ascii_case("INBOX"));
    lines.truncate(LOOK_FOLDERS_MAX);
    let mut found = Vec::with_capacity(lines.len());
    for line in lines {
        found.push(folder(&mut imap, line, &prefix, newest).await?);
    }
    imap.logout().await;
    Ok(found)
}

async fn folder(imap: &mut Imap, line: ListResponse, prefix: &str, newest: u32) -> Result<Folder, Trouble> {
    let name = line.name.as_str().to_owned();
    let called = to_local(&name, line.delimiter, prefix);
    let special_use = special_use(&line.attributes).or_else(|| usual_use(&called)).map(use_word);
    // One that cannot be opened is shown as it is: empty.
    let messages = match imap.examine(&line.name).await {
        Ok(selected) => selected.exists.unwrap_or(0),
        Err(Trouble::Refused(_)) => 0,
        Err(error) => return Err(error),
    };
    let newest = if messages == 0 || newest == 0 { Vec::new() } else { last_of(imap, messages, newest).await? };
    Ok(Folder { name, called, special_use, messages, newest })
}

/// Numbers count here: the mailbox was opened just now, and nothing but what is shown depends on them.
async fn last_of(imap: &mut Imap, messages: u32, newest: u32) -> Result<Vec<Newest>, Trouble> {
    let first = messages.saturating_sub(newest.saturating_sub(1)).max(1);
    let set = SequenceSet::Ranges(vec![(SeqNumber::Number(first), SeqNumber::Number(messages))]);
    let fields = ["From", "Subject", "Date"].map(str::to_owned).to_vec();
    let section = Section { part: Vec::new(), text: Some(SectionText::HeaderFields(fields)) };
    let items = vec![FetchItem::Uid, FetchItem::Flags, FetchItem::BodySection { peek: true, section, partial: None }];
    let fetch = Fetch { uid: false, set, items, changed_since: None, vanished: false, partial: None };
    let mut found = BTreeMap::new();
    let told = |(response, octets): (Response, Vec<Option<Bytes>>)| {
        if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response {
            let fetched = Fetched::of(items, octets);
            if let Some(uid) = fetched.uid.filter(|_| found.len() < newest as usize) {
                let unread = from_wire(&fetched.flags.unwrap_or_default()).system & Flags::SEEN == 0;
                found.insert(uid, by_header(&fetched.header.unwrap_or_default(), unread));
            }
        }
    };
    imap.must("FETCH", &Command::Fetch(fetch), told).await?;
    Ok(found.into_values().rev().collect())
}

async fn by_pop(mut pop: Pop, newest: u32) -> Result<Vec<Folder>, Trouble> {
    let listed = pop.list().await?;
    let mut shown = Vec::new();
    for one in listed.iter().rev().take(newest as usize) {
        pop.request(Request::Top { message: one.number, lines: 0 });
        let (_, content) = pop.content().await?;
        shown.push(by_header(&content.unwrap_or_default(), false));
    }
    let messages = u32::try_from(listed.len()).unwrap_or(u32::MAX);
    pop.quit().await;
    Ok(vec![Folder { name: "INBOX".into(), called: "INBOX".into(), special_use: None, messages, newest: shown }])
}

fn by_header(head: &[u8], unread: bool) -> Newest {
    let text = |name: &str| {
        header::first(head, name).map(|field| field.text().chars().take(TEXT_CHARS_MAX).collect()).unwrap_or_default()
    };
    Newest { from: text("From"), subject: text("Subject"), date: text("Date"), unread }
}
