//! What needs the server: sync, fetch, look first, the outbox; and the loop that waits for news.

use super::{Desk, Profile, Profiles, Way, acts, data_dir};
use crate::cli::{BringArgs, ChosenArgs, MailArgs};
use crate::commands::moving;
use client::imap::Imap;
use client::import::{self, Options, Source};
use client::look::Who;
use client::maildrop::{self, Kept};
use client::outbox::{self, Submission};
use client::sync::{self, Mirror, Policy};
use client::{Progress, StoreDoor};
use net::clock::unix_now;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use store::{EmailId, Mailbox, Uid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Between two rounds of `sync --watch` without news.
const ROUND: Duration = Duration::from_secs(60);
/// For a server to begin to tell of news; the sync does not wait longer for it.
const LISTEN_MAX: Duration = Duration::from_secs(20);
/// After a round that failed, doubling up to [`BACK_OFF_MAX`].
const BACK_OFF: Duration = Duration::from_secs(5);
const BACK_OFF_MAX: Duration = Duration::from_secs(600);

/// Everything of the account once: outbox, then mail. `all`: what waits for its next try is tried now, for somebody asks.
pub(super) async fn sync(desk: &Desk, all: bool) -> Result<Value, String> {
    let sent = flush(desk, all).await?;
    let mut value = match (&desk.profile.imap, &desk.profile.pop3) {
        (Some(_), _) => sync_imap(desk).await?,
        (None, Some(_)) => fetch_pop(desk).await?,
        (None, None) => return Err(format!("{} has no IMAP or POP3 server", desk.profile.address)),
    };
    if let Some(fields) = value.as_object_mut() {
        fields.insert("outbox".into(), json!(sent));
    }
    if let Err(error) = desk.searcher.catch_up(desk.account).await {
        tracing::warn!(%error, "the search index; searches read what it has not");
    }
    Ok(value)
}

/// The account that is named, else all of them.
fn chosen(arguments: &MailArgs) -> Result<Vec<Profile>, String> {
    let profiles = Profiles::read(&data_dir(arguments.data.as_deref())?)?;
    // There is one, or it says how one begins.
    let one = profiles.find(arguments.account.as_deref())?;
    Ok(if arguments.account.is_some() { vec![one.clone()] } else { profiles.all().to_vec() })
}

/// All of these accounts; one that fails keeps no other from its turn. `listed`: as a list also where it is one alone.
async fn sync_each(arguments: &MailArgs, profiles: &[Profile], (all, listed): (bool, bool), way: &Way) -> Result<Value, String> {
    let dir = data_dir(arguments.data.as_deref())?;
    let (store, mut list) = (super::open_store(&dir).await?, Vec::new());
    for profile in profiles {
        let account = super::profile::account(&store, &profile.address).await?;
        list.push((profile, sync(&Desk::of((&dir, way), profile, &store, account), all).await));
    }
    store.close().await.map_err(|error| error.to_string())?;
    if let (false, [(_, outcome)]) = (listed, list.as_slice()) {
        return outcome.clone();
    }
    let told = |(profile, outcome): (&Profile, Result<Value, String>)| {
        let mut value = outcome.unwrap_or_else(|why| json!({ "error": why }));
        if let Some(fields) = value.as_object_mut() {
            fields.insert("account".into(), json!(profile.address));
        }
        value
    };
    Ok(json!({ "accounts": list.into_iter().map(told).collect::<Vec<Value>>() }))
}

/// Every account, or the one that is named.
pub(super) async fn sync_accounts(arguments: &MailArgs, listed: bool, way: &Way) -> Result<Value, String> {
    sync_each(arguments, &chosen(arguments)?, (true, listed), way).await
}

/// The same of those that are read by POP3.
pub(super) async fn fetch_accounts(arguments: &MailArgs, way: &Way) -> Result<Value, String> {
    let by_pop: Vec<Profile> = chosen(arguments)?.into_iter().filter(|profile| profile.imap.is_none()).collect();
    if by_pop.is_empty() {
        return Err("`fetch` is for accounts that are read by POP3; by IMAP `sync` makes both sides equal".into());
    }
    sync_each(arguments, &by_pop, (true, false), way).await
}

async fn sync_imap(desk: &Desk) -> Result<Value, String> {
    let (profile, dialer) = (&desk.profile, desk.dialer()?);
    let mirror = Mirror {
        store: &desk.store,
        account: desk.account,
        dialer: &dialer,
        place: &profile.place(profile.imap.as_deref(), "IMAP")?,
        login: &profile.login,
        password: &desk.secret().await?,
        policy: Policy { days: profile.days, octets: profile.max_size },
    };
    let report = sync::run(&mirror).await.map_err(|error| error.to_string())?;
    serde_json::to_value(report).map_err(|error| error.to_string())
}

async fn fetch_pop(desk: &Desk) -> Result<Value, String> {
    let (profile, dialer) = (&desk.profile, desk.dialer()?);
    let place = profile.place(profile.pop3.as_deref(), "POP3")?;
    let (login, password) = (profile.login.clone(), desk.secret().await?);
    let source = Source::Server { place: place.clone(), login: login.clone(), user: login, password };
    let mut door = StoreDoor { store: desk.store.clone(), account: desk.account, mutes: false };
    let options = Options { skip_bad: true, ..Options::default() };
    let report = import::run(&mut door, &dialer, &source, &options, &Progress::default()).await;
    let report = report.map_err(|error| error.to_string())?;
    let noted = maildrop::note(&desk.store, desk.account, &pop_prefix(desk)?, &report.there).await;
    noted.map_err(|error| error.to_string())?;
    let deleted = clean_maildrop(desk).await?;
    Ok(json!({ "downloaded": report.imported, "known": report.known, "bad": report.bad, "removed_there": deleted }))
}

/// Moving house, into this account.
pub(super) async fn bring_house(desk: &Desk, what: &BringArgs, json: bool) -> Result<Value, String> {
    let source = moving::source(what)?;
    let dialer = Profile { tls_ca: what.tls_ca.clone(), ..desk.profile.clone() }.dialer(&desk.way)?;
    let mut door = StoreDoor { store: desk.store.clone(), account: desk.account, mutes: false };
    let progress = std::sync::Arc::new(Progress::default());
    let (options, account) = (moving::options(what), desk.account);
    let report = moving::watched(&progress, json, import::run(&mut door, &dialer, &source, &options, &progress)).await?;
    if let Err(error) = desk.searcher.catch_up(account).await {
        tracing::warn!(%error, "the search index; searches read what it has not");
    }
    serde_json::to_value(report).map_err(|error| error.to_string())
}

/// In front of the unique-id in the marks of what was brought by POP3.
fn pop_prefix(desk: &Desk) -> Result<String, String> {
    let place = desk.profile.place(desk.profile.pop3.as_deref(), "POP3")?;
    Ok(place.import_prefix(&desk.profile.login))
}

/// Emails here of messages that lie in the maildrop, too, as it was looked at last.
pub(super) async fn in_maildrop(desk: &Desk) -> Result<HashSet<EmailId>, String> {
    let kept = maildrop::kept(&desk.store, desk.account, &pop_prefix(desk)?).await.map_err(|error| error.to_string())?;
    Ok(kept.into_values().filter(|kept| kept.is_there).filter_map(|kept| kept.email).collect())
}

/// Deletes on the server what is old enough, or is known to have been deleted here.
async fn clean_maildrop(desk: &Desk) -> Result<usize, String> {
    let (days, when_deleted) = (desk.profile.delete_after_days, desk.profile.delete_when_deleted);
    if days.is_none() && !when_deleted {
        return Ok(0);
    }
    let told = |error: store::StoreError| error.to_string();
    let kept = maildrop::kept(&desk.store, desk.account, &pop_prefix(desk)?).await.map_err(told)?;
    let here = maildrop::all_here(&desk.store, desk.account).await.map_err(told)?;
    let before = days.map(|days| unix_now() - i64::from(days) * 86_400);
    let goes = |kept: &Kept| match kept.email.map(|email| here.get(&email)) {
        Some(Some(here)) => before.is_some_and(|before| here.date_secs < before) || (when_deleted && here.is_trash),
        Some(None) => when_deleted,
        // It left INBOX before its id was noted: perhaps it was only filed.
        None => false,
    };
    let wanted: Vec<String> = kept.into_iter().filter(|(_, kept)| kept.is_there && goes(kept)).map(|(id, _)| id).collect();
    if wanted.is_empty() {
        return Ok(0);
    }
    with_who(desk, async |who| who.delete_pop(&wanted).await).await
}

/// Sends what is due.
pub(super) async fn flush(desk: &Desk, all: bool) -> Result<Vec<outbox::Sent>, String> {
    let Some(url) = desk.profile.smtp.as_deref() else { return Ok(Vec::new()) };
    let (dialer, password) = (desk.dialer()?, desk.secret().await?);
    let place = desk.profile.place(Some(url), "submission")?;
    let submission = Submission { dialer: &dialer, place: &place, login: &desk.profile.login, password: &password };
    outbox::flush(&desk.store, desk.account, &submission, all).await.map_err(|error| error.to_string())
}

async fn with_who<T>(desk: &Desk, work: impl AsyncFnOnce(Who<'_>) -> Result<T, client::Trouble>) -> Result<T, String> {
    let profile = &desk.profile;
    let (dialer, password) = (desk.dialer()?, desk.secret().await?);
    let url = profile.imap.as_deref().or(profile.pop3.as_deref());
    let place = profile.place(url, "IMAP or POP3")?;
    let (store, account) = (&desk.store, desk.account);
    let who = Who { dialer: &dialer, place: &place, login: &profile.login, password: &password, store, account };
    work(who).await.map_err(|error| error.to_string())
}

/// What lies there, and what is only here.
pub(super) async fn list(desk: &Desk, name: &str) -> Result<Value, String> {
    if desk.profile.imap.is_none() {
        let seen = with_who(desk, async |who| who.list_pop().await).await?;
        return Ok(json!({ "mailbox": "INBOX", "messages": seen }));
    }
    let mailbox = desk.mailbox(name).await?;
    let mut seen = with_who(desk, async |who| who.list_imap(&mailbox).await).await?;
    seen.extend(only_here(desk, &mailbox).await?);
    Ok(json!({ "mailbox": mailbox.name.as_str(), "messages": seen }))
}

async fn only_here(desk: &Desk, mailbox: &Mailbox) -> Result<Vec<client::look::Seen>, String> {
    let told = |error: store::StoreError| error.to_string();
    let pairs = sync::pairs_of(&desk.store, desk.account, mailbox.id).await.map_err(told)?;
    let paired: HashSet<Uid> = pairs.values().map(|pair| Uid(pair.local)).collect();
    let snapshot = desk.store.snapshot(desk.account, mailbox.id).await.map_err(told)?;
    let rows: Vec<_> = snapshot.rows.iter().filter(|row| !paired.contains(&row.uid)).collect();
    let emails: Vec<_> = rows.iter().map(|row| row.email).collect();
    let facts = desk.store.facts(desk.account, &emails).await.map_err(told)?;
    let one = |(row, facts): (store::MessageRow, Option<std::sync::Arc<message::Facts>>)| {
        let facts = facts.unwrap_or_default();
        client::look::Seen {
            id: String::new(),
            place: "here",
            from: facts.from.clone(),
            subject: facts.subject.clone(),
            date: message::date::format_rfc_3339(facts.date_secs.unwrap_or(row.internal_date_secs)),
            size_bytes: u64::from(row.size_bytes),
            unread: row.flags.system & store::Flags::SEEN == 0,
        }
    };
    Ok(rows.into_iter().zip(facts).map(one).collect())
}

/// Brings one message that is only there, unless that was done before; its UID here.
pub(super) async fn bring(desk: &Desk, mailbox: &Mailbox, remote: u32) -> Result<Uid, String> {
    let paired = async || {
        let pair = sync::pair_of(&desk.store, desk.account, mailbox.id, remote).await.map_err(|error| error.to_string())?;
        Ok::<Option<Uid>, String>(pair.map(|pair| Uid(pair.local)))
    };
    if let Some(uid) = paired().await? {
        return Ok(uid);
    }
    if desk.profile.imap.is_none() {
        return Err(format!("s{remote} is no number of a message; `packetboat mail ls` shows them"));
    }
    with_who(desk, async |who| who.download_imap(mailbox, &[remote]).await)
        .await
        .map_err(|why| format!("s{remote} is only on the server, and it could not be fetched: {why}"))?;
    paired().await?.ok_or_else(|| format!("{} has no message s{remote} on the server (any more)", mailbox.name))
}

/// Brings a choice.
pub(super) async fn download(desk: &Desk, which: &ChosenArgs) -> Result<Value, String> {
    if desk.profile.imap.is_none() {
        let count = with_who(desk, async |who| who.download_pop(&which.ids).await).await?;
        return Ok(super::done("downloaded", usize::try_from(count).unwrap_or(usize::MAX)));
    }
    let (mailbox, uids) = (desk.mailbox(&which.mailbox).await?, acts::remote_uids(&which.ids)?);
    let count = with_who(desk, async |who| who.download_imap(&mailbox, &uids).await).await?;
    let pairs = sync::pairs_of(&desk.store, desk.account, mailbox.id).await.map_err(|error| error.to_string())?;
    if let Some(missing) = uids.iter().find(|uid| !pairs.contains_key(uid)) {
        return Err(format!("{} has no message {missing} on the server (any more)", mailbox.name));
    }
    Ok(super::done("downloaded", count))
}

/// Deletes a choice there.
pub(super) async fn delete(desk: &Desk, which: &ChosenArgs) -> Result<Value, String> {
    let count = if desk.profile.imap.is_none() {
        with_who(desk, async |who| who.delete_pop(&which.ids).await).await?
    } else {
        let (mailbox, uids) = (desk.mailbox(&which.mailbox).await?, acts::remote_uids(&which.ids)?);
        with_who(desk, async |who| who.delete_imap(&mailbox, &uids).await).await?
    };
    if count == 0 {
        return Err("none of these is on the server (any more); `ls --remote` shows what is".into());
    }
    Ok(super::done("deleted on the server", count))
}

/// Rounds of sync, until it is interrupted; the store is free for other commands between them.
pub(super) async fn watch(arguments: &MailArgs, json: bool, way: &Way) -> Result<Value, String> {
    // One listener for the whole time: `ctrl_c()` hears only what comes while it waits, and takes the signal from
    // everybody else, so an interrupt in the middle of a round went nowhere. What a round had done when it is left stays done.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    tokio::select! {
        Err(why) = rounds(arguments, json, way) => Err(why),
        _ = interrupt.recv() => Ok(json!({ "watched": true })),
    }
}

/// Listen, sync, wait for news, and again.
async fn rounds(arguments: &MailArgs, json: bool, way: &Way) -> Result<Infallible, String> {
    let (mut back_off, mut out_of_reach) = (BACK_OFF, HashSet::new());
    loop {
        // Before the sync, so that what comes during it is told.
        let listening = listen_to_each(arguments, &out_of_reach, way).await?;
        let before = out_of_reach.clone();
        match round(arguments, &mut out_of_reach, way).await {
            Ok(value) => {
                back_off = BACK_OFF;
                let mut out = std::io::stdout();
                let text = if json { format!("{value}\n") } else { super::words::round(&value) };
                out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
                // Who is back was not listened to; no news for so long is looked into as well.
                if before.is_subset(&out_of_reach) {
                    let _ = tokio::time::timeout(ROUND, news_of_any(listening)).await;
                }
            }
            Err(why) => {
                eprintln!("packetboat: {why}; again in {} s", back_off.as_secs());
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF_MAX);
            }
        }
    }
}

/// One sync; what it did. `out_of_reach`: the accounts of which nothing could be had.
async fn round(arguments: &MailArgs, out_of_reach: &mut HashSet<String>, way: &Way) -> Result<Value, String> {
    let profiles = chosen(arguments)?;
    out_of_reach.extend(profiles.iter().map(|profile| profile.address.clone()));
    let value = sync_each(arguments, &profiles, (false, false), way).await?;
    let why = |one: &Value| one.get("error").and_then(Value::as_str).map(str::to_owned);
    let of_each: Vec<Option<String>> = value.get("accounts").and_then(Value::as_array).into_iter().flatten().map(why).collect();
    for (at, profile) in profiles.iter().enumerate() {
        if of_each.get(at).is_none_or(Option::is_none) {
            out_of_reach.remove(&profile.address);
        }
    }
    // As long as one of them works, the others are told of and tried again with it.
    match of_each.first() {
        Some(Some(first)) if of_each.iter().all(Option::is_some) => Err(first.clone()),
        _ => Ok(value),
    }
}

/// The servers of these accounts on which news is told. Who was not let in is asked once a round, not once more to listen.
async fn listen_to_each(arguments: &MailArgs, out_of_reach: &HashSet<String>, way: &Way) -> Result<Vec<Imap>, String> {
    let dir = data_dir(arguments.data.as_deref())?;
    let mut asked = JoinSet::new();
    for profile in chosen(arguments)?.into_iter().filter(|profile| !out_of_reach.contains(&profile.address)) {
        let (way, dir) = (way.clone(), dir.clone());
        asked.spawn(async move { listen(&profile, &way, &dir).await });
    }
    Ok(asked.join_all().await.into_iter().flatten().collect())
}

/// Until one of these servers has news.
async fn news_of_any(listening: Vec<Imap>) {
    let mut waiting = JoinSet::new();
    for imap in listening {
        waiting.spawn(Imap::news_of(Some(imap), ROUND));
    }
    match waiting.join_next().await {
        Some(_) => {}
        None => std::future::pending().await,
    }
}

/// A connection on which this account's server tells of news from now on, if it does.
pub(super) async fn listen(profile: &Profile, way: &Way, dir: &Path) -> Option<Imap> {
    let place = profile.place(Some(profile.imap.as_deref()?), "IMAP").ok()?;
    let (dialer, password) = (profile.dialer(way).ok()?, profile.secret(way, dir).await.ok()?);
    let listening = async {
        let mut imap = Imap::open(&dialer, &place, &profile.login, &password).await?;
        imap.listen().await?;
        Ok(imap)
    };
    match tokio::time::timeout(LISTEN_MAX, listening).await {
        Ok(Ok(imap)) => Some(imap),
        Ok(Err(why)) => {
            let why: client::Trouble = why;
            tracing::debug!(%why, "no news by IDLE; by the clock then");
            None
        }
        Err(_) => None,
    }
}
