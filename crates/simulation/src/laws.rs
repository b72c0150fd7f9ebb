//! The reckoning: what was promised against what is there, once trouble is over and the queues are empty.
//!
//! Invariant: looks at stores and traces from outside; an excuse (a copy too many, a missing report) is only taken when
//! the log has its reason. Must not know: how servers work.

use crate::imap_client::{self, IVY, Look, MAILBOXES, Row};
use crate::ledger::{Ledger, Sent};
use crate::mail;
use crate::pop_client::PAT;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use store::{Flags, Store, TraceEvent};

/// Aliases of the servers, by what they finally lead to and through what.
const LEADS: &[(&str, &[&str])] = &[
    ("fwd@alpha.test", &["carol@beta.test"]),
    ("team@alpha.test", &["alice@alpha.test", "carol@beta.test", "yes@foreign.test"]),
    ("back@beta.test", &["bob@alpha.test"]),
];
/// An alias that leads in circles.
const CIRCLE: &[&str] = &["ping@alpha.test", "pong@beta.test"];

/// One message as it is kept.
struct Kept {
    octets: Vec<u8>,
    number: Option<u64>,
    failed: Vec<String>,
}

/// Everybody's mail, by address.
type Mail = BTreeMap<String, Vec<Kept>>;

fn kept(octets: Vec<u8>) -> Kept {
    let failed = mail::failed_in(&octets);
    let number = mail::number_in(&octets, mail::NUMBER);
    Kept { octets, number, failed }
}

/// Messages in the INBOX.
pub(crate) async fn inbox_count(store: &Store, address: &str) -> Option<u32> {
    let account = store.account(address).await.ok()??;
    let inbox = store.mailbox(account.id, "INBOX").await.ok()??;
    let snapshot = store.snapshot(account.id, inbox.id).await.ok()?;
    u32::try_from(snapshot.rows.len()).ok()
}

/// Reads all mailboxes of all accounts.
async fn read_all(world: &World) -> Result<(Mail, Look), store::StoreError> {
    let (mut all, mut own) = (Mail::new(), Look::new());
    for office in &world.offices {
        let Some(context) = office.context() else { continue };
        let store = &context.store;
        for defect in store.check().await? {
            world.log.violation(format!("{}: {defect:?}", office.plan.name));
        }
        for account in store.account_list(None, 100).await? {
            let mail = all.entry(account.address.to_string()).or_default();
            for mailbox in store.mailboxes(account.id).await?.iter() {
                let snapshot = store.snapshot(account.id, mailbox.id).await?;
                let works = MAILBOXES.iter().position(|name| account.address == IVY && *name == mailbox.name.as_str());
                for row in snapshot.rows.iter() {
                    let octets = store.body(account.id, row.email, 0, u64::from(row.size_bytes)).await?.to_vec();
                    match (works, mail::number_in(&octets, mail::OWN)) {
                        (Some(at), Some(number)) => {
                            own.insert((at, row.uid.0), Row { mailbox: at, own: number, flags: flag_names(&row.flags) });
                        }
                        _ => mail.push(kept(octets)),
                    }
                }
            }
        }
    }
    Ok((all, own))
}

/// As [`Row`] names them.
fn flag_names(flags: &Flags) -> Vec<String> {
    let system = [
        (Flags::SEEN, "Seen"),
        (Flags::ANSWERED, "Answered"),
        (Flags::FLAGGED, "Flagged"),
        (Flags::DELETED, "Deleted"),
        (Flags::DRAFT, "Draft"),
    ];
    let mut names: Vec<String> =
        system.iter().filter(|(bit, _)| flags.system & bit != 0).map(|(_, name)| (*name).to_owned()).collect();
    names.extend(flags.keywords.iter().flat_map(|keywords| keywords.iter()).map(|word| format!("Keyword({word:?})")));
    names.sort();
    names
}

/// Mail to there goes over TLS to the right server, or not at all.
fn is_protected(address: &str) -> bool {
    address.ends_with("@delta.test") || address.ends_with("@sigma.test")
}

/// Nothing was given to who pretends to be a server that demands TLS, nor to anybody without TLS.
async fn impostors(world: &World) {
    for office in &world.impostors {
        let Some(context) = office.context() else { continue };
        for account in context.store.account_list(None, 100).await.unwrap_or_default() {
            if inbox_count(&context.store, &account.address).await != Some(0) {
                world.log.violation(format!("an impostor of {} has mail of {}", office.plan.name, account.address));
            }
        }
    }
    world.ledger(|ledger| {
        for (recipient, ..) in ledger.foreign.iter().filter(|(recipient, ..)| is_protected(recipient)) {
            world.log.violation(format!("mail for {recipient} went to the foreign server, without TLS"));
        }
    });
}

/// Checks every law.
pub(crate) async fn check(world: &World) {
    impostors(world).await;
    let (mut all, own) = match read_all(world).await {
        Ok(read) => read,
        Err(error) => return world.log.violation(format!("a store cannot be read: {error:?}")),
    };
    let protected: usize = all.iter().filter(|(address, _)| is_protected(address)).map(|(_, mail)| mail.len()).sum();
    world.count(|counts| counts.protected += protected as u64);
    let rows = imap_client::rows(&own);
    world.ledger(|ledger| {
        if !ledger.ivy.contains(&rows) {
            world.log.violation(format!("ivy, at the end: {}", imap_client::difference(&rows, &ledger.ivy)));
        }
        for (recipient, _, octets) in &ledger.foreign {
            all.entry(recipient.clone()).or_default().push(kept(octets.clone()));
        }
    });
    let numbers: Vec<u64> = world.ledger(|ledger| ledger.sent.keys().copied().collect());
    let told = told(world).await;
    for number in numbers {
        let traces = traces(world, number).await;
        world.ledger(|ledger| message(world, ledger, &all, number, &traces, &told));
    }
}

/// What all servers noted about a message.
async fn traces(world: &World, number: u64) -> Vec<TraceEvent> {
    let mut found = Vec::new();
    for office in &world.offices {
        let Some(context) = office.context() else { continue };
        found.extend(context.store.trace_find("message-id", &mail::message_id(number), 10_000).await.unwrap_or_default());
    }
    found
}

/// Reverse-paths whose reports could not be delivered: the end of a report is noted and nothing more.
async fn told(world: &World) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let senders: BTreeSet<String> = world.ledger(|ledger| ledger.sent.values().map(|sent| sent.reverse_path.clone()).collect());
    for office in &world.offices {
        let Some(context) = office.context() else { continue };
        for sender in &senders {
            let events = context.store.trace_find("address", sender, 10_000).await.unwrap_or_default();
            if events.iter().any(|event| event.what == "bounced" && !is_ours(event)) {
                found.insert(sender.clone());
            }
        }
    }
    found
}

/// About a message of the simulation, not about a report.
fn is_ours(event: &TraceEvent) -> bool {
    event.keys.iter().any(|(kind, value)| kind == "message-id" && value.starts_with("<sim"))
}

fn finals(recipient: &str) -> Vec<&str> {
    LEADS.iter().find(|(alias, _)| *alias == recipient).map_or_else(|| vec![recipient], |(_, to)| to.to_vec())
}

/// How many more copies of a message than promised its history explains.
fn excuses(world: &World, ledger: &Ledger, number: u64, sent: &Sent) -> u32 {
    let records = world.records.lock().unwrap_or_else(PoisonError::into_inner);
    let hidden = sent.promised.keys().any(|address| is_protected(address));
    let disturbed = records.iter().filter(|record| {
        let record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.disturbed.is_some() && (record.carried.contains(&number) || hidden && record.veiled)
    });
    let unheard = ledger.foreign_unheard.get(&number).copied().unwrap_or(0);
    let full = if world.was_full() { 1_000 } else { 0 };
    sent.unanswered + unheard + full + u32::try_from(disturbed.count()).unwrap_or(0)
}

fn message(world: &World, ledger: &Ledger, all: &Mail, number: u64, traces: &[TraceEvent], told: &BTreeSet<String>) {
    let Some(sent) = ledger.sent.get(&number) else { return };
    let excuses = excuses(world, ledger, number, sent);
    let mut wanted: BTreeMap<&str, u32> = BTreeMap::new();
    for (recipient, times) in &sent.promised {
        for place in finals(recipient) {
            *wanted.entry(place).or_default() += times;
            let chain: Vec<&str> = if CIRCLE.contains(&place) { CIRCLE.to_vec() } else { vec![recipient, place] };
            let copies = copies(ledger, all, place, number);
            let bounced = bounced(all, sent, number, &chain);
            let noted = noted(traces, &chain);
            // A lie of DNS may have led it to the scripted server, which took it and is to answer for it.
            let misled = ledger
                .foreign
                .iter()
                .any(|(to, _, octets)| chain.contains(&to.as_str()) && mail::number_in(octets, mail::NUMBER) == Some(number));
            if copies == 0 && !bounced && !misled && !excused(sent, told, noted) {
                world.log.violation(format!("m{number} to {recipient}: 250, but neither in {place} nor in a bounce"));
            }
            // Two recipients that lead to one mailbox may fare differently.
            let alone = sent.promised.keys().filter(|other| finals(other).contains(&place)).count() == 1;
            if copies > 0 && bounced && alone && excuses == 0 {
                world.log.violation(format!("m{number}: delivered to {place} and bounced"));
            }
        }
    }
    for (place, times) in wanted {
        let copies = copies(ledger, all, place, number);
        if copies > times + excuses {
            world.log.violation(format!("m{number}: {copies} copies in {place}, promised {times}, excuses {excuses}"));
        }
    }
    for (address, mail) in all {
        for copy in mail.iter().filter(|copy| copy.number == Some(number) && copy.failed.is_empty() && !is_report(copy)) {
            if mail::content_of(&copy.octets) != mail::content_of(&sent.octets) {
                world.log.violation(format!("m{number}: damaged in {address}"));
            }
        }
    }
}

fn is_report(copy: &Kept) -> bool {
    copy.octets.windows(13).any(|window| window == b"Reporting-MTA")
}

fn copies(ledger: &Ledger, all: &Mail, place: &str, number: u64) -> u32 {
    let kept = all.get(place).into_iter().flatten();
    let here = kept.filter(|copy| copy.number == Some(number) && !is_report(copy)).count();
    let maildrop = &ledger.maildrop;
    let gone = |id: &String| maildrop.deleted.contains(id) || (maildrop.unsure.contains(id) && !maildrop.here.contains(id));
    let read = maildrop.seen.iter().filter(|(id, seen)| place == PAT && **seen == number && gone(id)).count();
    u32::try_from(here + read).unwrap_or(u32::MAX)
}

fn bounced(all: &Mail, sent: &Sent, number: u64, chain: &[&str]) -> bool {
    let reports = all.get(&sent.reverse_path).into_iter().flatten().filter(|copy| copy.number == Some(number));
    let mut failed = reports.flat_map(|copy| &copy.failed);
    failed.any(|address| chain.contains(&address.as_str()))
}

fn noted(traces: &[TraceEvent], chain: &[&str]) -> bool {
    traces.iter().any(|event| {
        event.what == "bounced" && event.keys.iter().any(|(kind, value)| kind == "address" && chain.contains(&value.as_str()))
    })
}

/// It was given up, and nobody is there to be told: no reverse-path, no wish, or its own report was given up too.
fn excused(sent: &Sent, told: &BTreeSet<String>, noted: bool) -> bool {
    noted && (sent.reverse_path.is_empty() || sent.never_notify || told.contains(&sent.reverse_path))
}
