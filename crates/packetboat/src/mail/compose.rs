//! Writing: new messages, answers, forwards; into the outbox and (as a copy) into Sent, in one commit.

use super::identity::Identity;
use super::{Desk, acts, remote};
use crate::cli::SendArgs;
use crate::commands::mime::build::{attachment, mailbox};
use message::address::Address;
use message::build::{Attachment, Builder, Mailbox};
use message::{Facts, date, header};
use net::clock::unix_now;
use serde_json::{Value, json};
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use store::{
    Acceptance, Delivery, FlagOp, Flags, NewEmail, NewQueueEntry, QueueRecipient, RecipientState, SpecialUse, Spooled, Target,
};

/// Given up after this.
const EXPIRES_SECS: i64 = 5 * 86_400;

/// What an answer or a forward brings along.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    pub(super) subject: String,
    pub(super) to: Vec<String>,
    pub(super) cc: Vec<String>,
    in_reply_to: Option<String>,
    references: Vec<String>,
    pub(super) quoted: String,
    whole: Option<Vec<u8>>,
    pub(super) as_whom: Option<Identity>,
}

/// What a message is about: nothing, or another one, which is marked when this one is sent.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    pub(super) context: Context,
    mark: Option<(store::MailboxId, store::Uid, Flags)>,
}

impl About {
    /// Does another message go along?
    pub(super) fn has_whole(&self) -> bool {
        self.context.whole.is_some()
    }
}

fn text_of(arguments: &SendArgs, context: &Context) -> Result<String, String> {
    let read_stdin = || {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
        Ok(text)
    };
    match (&arguments.text, &arguments.text_file) {
        (Some(text), _) => Ok(text.clone()),
        (None, Some(file)) if file == Path::new("-") => read_stdin(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display())),
        (None, None) if !std::io::stdin().is_terminal() => read_stdin(),
        (None, None) => edited(&context.quoted),
    }
}

/// $VISUAL, $EDITOR (one that is empty is not set), else what this machine has.
fn editor() -> Result<String, String> {
    let set = |name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let usual = || ["editor", "vi", "nano"].into_iter().find(is_there).map(str::to_owned);
    set("VISUAL").or_else(|| set("EDITOR")).or_else(usual).ok_or_else(|| "no $EDITOR; give --text or --text-file".into())
}

/// What the user's editor leaves in a file.
pub(super) fn edited(begin: &str) -> Result<String, String> {
    let editor = editor()?;
    let mut chance = [0; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut chance).map_err(|_| "no random octets")?;
    let file = std::env::temp_dir().join(format!("packetboat-{}.txt", data_encoding::HEXLOWER.encode(&chance)));
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    std::io::Write::write_all(&mut options.open(&file).map_err(told)?, begin.as_bytes()).map_err(told)?;
    let status = std::process::Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&file).status();
    let text = std::fs::read_to_string(&file).map_err(told);
    let _ = std::fs::remove_file(&file);
    match status {
        Ok(status) if status.success() => text,
        Ok(status) => Err(format!("the editor ended with {status}; nothing is sent")),
        Err(error) => Err(format!("{editor}: {error}")),
    }
}

fn due(arguments: &SendArgs, now: i64) -> Result<i64, String> {
    let Some(at) = &arguments.at else { return Ok(now + i64::from(arguments.delay)) };
    let parsed = at.parse().ok().or_else(|| date::parse_rfc_3339(at.as_bytes()).map(|date| date.unix_secs()));
    parsed.ok_or_else(|| format!("{at:?} is no time"))
}

/// --from, else whom an answer's question was written to, else the account itself.
fn writer(desk: &Desk, arguments: &SendArgs, context: &Context) -> Result<Identity, String> {
    match (&arguments.from, &context.as_whom) {
        (None, Some(identity)) => Ok(identity.clone()),
        (from, _) => desk.profile.identity(from.as_deref()),
    }
}

fn own(identity: &Identity) -> Result<Mailbox, String> {
    let address = Address::parse(&identity.address).map_err(|_| format!("{} is no address", identity.address))?;
    Ok(Mailbox { name: identity.name.clone(), address })
}

/// Everything of a message but its Bcc.
struct Written {
    octets: Vec<u8>,
    with_bcc: Vec<u8>,
    eight_bit: bool,
    smtputf8: bool,
    recipients: Vec<String>,
    message_id: String,
}

fn write(identity: &Identity, arguments: &SendArgs, context: &Context, now: i64) -> Result<Written, String> {
    let own = own(identity)?;
    let mut chance = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut chance).map_err(|_| "no random octets")?;
    let domain = message::domain::to_ascii(&own.address.domain).unwrap_or_else(|| "localhost".into());
    let message_id = format!("{}@{domain}", data_encoding::HEXLOWER.encode(&chance));
    let mut text = text_of(arguments, context)?;
    if let Some(signature) = &identity.signature {
        // RFC 3676 §4.3
        text = format!("{}\n\n-- \n{signature}\n", text.trim_end());
    }
    let read = |file: &std::path::PathBuf| std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()));
    let html = arguments.html.as_ref().map(read).transpose()?;
    let people = |given: &[String], more: &[String]| -> Result<Vec<Mailbox>, String> {
        given.iter().chain(more).map(|text| mailbox(text)).collect()
    };
    let (to, cc) = (people(&arguments.to, &context.to)?, people(&arguments.cc, &context.cc)?);
    let bcc = people(&arguments.bcc, &[])?;
    if to.is_empty() && cc.is_empty() && bcc.is_empty() {
        return Err("to whom? Give --to, --cc or --bcc".into());
    }
    let subject = arguments.subject.clone().unwrap_or_else(|| context.subject.clone());
    let build = |with_bcc: bool| -> Result<(Vec<u8>, message::build::Needs), String> {
        let mut builder =
            Builder::new(now, &message_id).boundary_seed(&message_id).from(own.clone()).subject(&subject).text(&text);
        builder = to.iter().cloned().fold(builder, Builder::to);
        builder = cc.iter().cloned().fold(builder, Builder::cc);
        if with_bcc {
            builder = bcc.iter().cloned().fold(builder, Builder::bcc);
        }
        if let Some(html) = &html {
            builder = builder.html(html);
        }
        builder = context.in_reply_to.iter().fold(builder, |builder, id| builder.in_reply_to(id));
        builder = context.references.iter().fold(builder, |builder, id| builder.references(id));
        if arguments.receipt {
            builder = builder.field("Disposition-Notification-To", &own.address.to_string());
        }
        for file in &arguments.attach {
            builder = builder.attach(attachment(&file.to_string_lossy())?);
        }
        if let Some(whole) = &context.whole {
            builder = builder.attach(Attachment::new("message/rfc822", whole.clone()).file_name("message.eml"));
        }
        let mut octets = Vec::new();
        let written = builder.write_to(&mut octets).map_err(|error| error.to_string())?;
        Ok((octets, written.needs))
    };
    let (octets, needs) = build(false)?;
    let with_bcc = if bcc.is_empty() { octets.clone() } else { build(true)?.0 };
    let mut recipients: Vec<String> = to.iter().chain(&cc).chain(&bcc).map(|one| one.address.to_string()).collect();
    let mut named = std::collections::HashSet::new();
    recipients.retain(|address| named.insert(address.to_lowercase()));
    let smtputf8 = needs.smtputf8 || recipients.iter().any(|address| !address.is_ascii());
    Ok(Written { octets, with_bcc, eight_bit: needs.eight_bit, smtputf8, recipients, message_id })
}

/// Into the outbox, and out if it may go now.
pub(super) async fn send(desk: &Desk, arguments: &SendArgs, context: Option<Context>) -> Result<Value, String> {
    let now = unix_now();
    let context = context.unwrap_or_default();
    let due_secs = due(arguments, now)?;
    let identity = writer(desk, arguments, &context)?;
    let written = write(&identity, arguments, &context, now)?;
    let notify = if arguments.notify {
        QueueRecipient::NOTIFY_SUCCESS | QueueRecipient::NOTIFY_FAILURE | QueueRecipient::NOTIFY_DELAY
    } else {
        0
    };
    let recipient = |address: &String| QueueRecipient {
        address: address.clone(),
        original: None,
        notify,
        state: RecipientState::Waiting,
        last_reply: String::new(),
        delay_told: false,
    };
    let entry = NewQueueEntry {
        destination: "submission".into(),
        reverse_path: identity.address.clone(),
        recipients: written.recipients.iter().map(recipient).collect(),
        account: Some(desk.account),
        due_secs,
        expires_secs: due_secs + EXPIRES_SECS,
        eight_bit: written.eight_bit,
        smtputf8: written.smtputf8,
        ret_headers: false,
        envelope_id: None,
        service: store::QueueService::default(),
    };
    let seen = Flags { system: Flags::SEEN, keywords: None };
    let same = written.octets == written.with_bcc;
    let copy =
        Delivery { account: desk.account, target: Target::Use(SpecialUse::Sent), flags: seen.clone(), internal_date_secs: now };
    let octets = bytes::Bytes::from(written.octets);
    let acceptance = Acceptance {
        facts: Arc::new(Facts::compute(&octets)),
        body: Spooled::from_bytes(octets),
        deliveries: if same && !desk.profile.provider_keeps_sent { vec![copy] } else { Vec::new() },
        queue: vec![entry],
        trace: Vec::new(),
        idempotency: None,
    };
    let accepted = desk.store.accept(acceptance).await.map_err(|error| error.to_string())?;
    let id = accepted.queued.first().map(|id| id.0).unwrap_or_default();
    if !same && !desk.profile.provider_keeps_sent {
        keep_with_bcc(desk, written.with_bcc, &seen, now).await?;
    }
    let mut value = json!({ "id": id, "message_id": written.message_id, "recipients": written.recipients, "sent": false });
    if desk.profile.smtp.is_none()
        && let Some(fields) = value.as_object_mut()
    {
        fields.insert("said".into(), json!([desk.profile.no_submission()]));
    } else if !arguments.offline && due_secs <= now {
        let told = remote::flush(desk, false).await?;
        if let (Some(fields), Some(own)) = (value.as_object_mut(), told.into_iter().find(|one| one.id == id)) {
            fields.insert("sent".into(), own.sent.into());
            fields.insert("refused".into(), own.refused.into());
            fields.insert("said".into(), own.said.into());
        }
    }
    Ok(value)
}

/// The author's copy names those that the others do not see.
async fn keep_with_bcc(desk: &Desk, octets: Vec<u8>, flags: &Flags, now: i64) -> Result<(), String> {
    let told = |error: store::StoreError| error.to_string();
    let there = desk.store.mailboxes(desk.account).await.map_err(told)?;
    let sent = match there.iter().find(|mailbox| mailbox.special_use == Some(SpecialUse::Sent)) {
        Some(found) => found.clone(),
        None => desk.store.mailbox_create(desk.account, "Sent", Some(SpecialUse::Sent), now).await.map_err(told)?,
    };
    let octets = bytes::Bytes::from(octets);
    let facts = Arc::new(Facts::compute(&octets));
    let email = NewEmail { body: Spooled::from_bytes(octets), facts, flags: flags.clone(), internal_date_secs: now };
    desk.store.append(desk.account, sent.id, vec![email]).await.map(drop).map_err(told)
}

fn addresses(octets: &[u8], name: &str) -> Vec<String> {
    let field = header::first(octets, name);
    field.iter().flat_map(|field| field.addresses()).filter_map(|address| address.display()).collect()
}

fn prefixed(prefix: &str, subject: &str) -> String {
    if subject.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
        subject.to_owned()
    } else {
        format!("{prefix} {subject}")
    }
}

/// Sends what is about something, and marks that.
pub(super) async fn send_about(desk: &Desk, arguments: &SendArgs, about: About) -> Result<Value, String> {
    let value = send(desk, arguments, Some(about.context)).await?;
    if let Some((mailbox, uid, flags)) = &about.mark {
        mark(desk, *mailbox, *uid, flags).await?;
    }
    Ok(value)
}

/// An answer (RFC 5322 §3.6.4), which marks what it answers.
pub(super) async fn answer(desk: &Desk, (mailbox, id): (&str, &str), all: bool) -> Result<About, String> {
    let (folder, row, octets) = acts::message(desk, mailbox, id).await?;
    let facts = Facts::compute(&octets);
    let own = |text: &String| desk.profile.written_to(std::slice::from_ref(text)).is_some();
    let people = [addresses(&octets, "To"), addresses(&octets, "Cc")].concat();
    let as_whom = desk.profile.written_to(&people);
    let mut to = addresses(&octets, "Reply-To");
    if to.is_empty() {
        to = addresses(&octets, "From");
    }
    let mut cc = Vec::new();
    if all {
        cc = addresses(&octets, "To");
        cc.extend(addresses(&octets, "Cc"));
        cc.retain(|other| !own(other) && !to.contains(other));
    }
    let bare = |id: &str| id.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
    let own_id = facts.message_id.as_deref().map(bare);
    let old = header::first(&octets, "References").or_else(|| header::first(&octets, "In-Reply-To"));
    let old = old.map(|field| String::from_utf8_lossy(&field.value()).into_owned()).unwrap_or_default();
    let mut references: Vec<String> =
        old.split_whitespace().filter(|id| id.starts_with('<') && id.ends_with('>')).map(bare).collect();
    references.extend(own_id.clone());
    let text = acts::text_of(&message::parse(&octets));
    let quoted: String = text.lines().map(|line| format!("> {line}\n")).collect();
    let quoted = format!("{} wrote:\n{quoted}\n", facts.from);
    let context = Context {
        subject: prefixed("Re:", &facts.subject),
        to,
        cc,
        in_reply_to: own_id,
        references,
        quoted,
        whole: None,
        as_whom,
    };
    let flags = Flags { system: Flags::ANSWERED | Flags::SEEN, keywords: None };
    Ok(About { context, mark: Some((folder, row.uid, flags)) })
}

/// A message sent on, whole.
pub(super) async fn onward(desk: &Desk, (mailbox, id): (&str, &str)) -> Result<About, String> {
    let (folder, row, octets) = acts::message(desk, mailbox, id).await?;
    let facts = Facts::compute(&octets);
    let context = Context { subject: prefixed("Fwd:", &facts.subject), whole: Some(octets), ..Context::default() };
    Ok(About { context, mark: Some((folder, row.uid, client::flags::with_keywords(0, ["$Forwarded".into()]))) })
}

async fn mark(desk: &Desk, mailbox: store::MailboxId, uid: store::Uid, flags: &Flags) -> Result<(), String> {
    let changed = desk.store.flags(desk.account, mailbox, &[uid], FlagOp::Add, flags, None).await;
    changed.map(drop).map_err(|error| error.to_string())
}
