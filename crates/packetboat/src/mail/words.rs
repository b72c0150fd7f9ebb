//! Answers in words, made from the same JSON that `--json` prints.

use super::clock;
use super::text::{cell, clean, width};
use crate::cli::MailCommand;
use crate::commands::words::moved;
use crate::commands::{printable, say};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::IsTerminal;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn count(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Prints it; the exit code. Octets stay octets, but for a terminal, to which no message may give commands.
pub(super) fn tell(command: &MailCommand, value: &Value) -> u8 {
    match command {
        MailCommand::Read { raw: true, .. } if !std::io::stdout().is_terminal() => say(&raw_octets(value)),
        _ => say(printable(&of(command, value)).as_bytes()),
    }
}

/// Of `read --raw`: text, and in base64 what is none.
fn raw_octets(value: &Value) -> Vec<u8> {
    let octets = |one: &Value| {
        let exact = one.get("raw_base64").and_then(Value::as_str);
        let exact = exact.and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok());
        exact.unwrap_or_else(|| text(one, "raw").as_bytes().to_vec())
    };
    list(value, "messages").iter().flat_map(octets).collect()
}

/// What to print.
fn of(command: &MailCommand, value: &Value) -> String {
    match command {
        MailCommand::Add(_) => {
            let warned = |one: &Value| format!("but sending: {}\n", one.as_str().unwrap_or_default());
            let warnings: String = list(value, "warnings").iter().map(warned).collect();
            format!("{warnings}{}: added; `packetboat mail sync` brings its mail\n", text(&value["added"], "address"))
        }
        MailCommand::Identity(_) => {
            let line = |one: &Value| format!("{}  {}\n", text(one, "address"), text(one, "name"));
            list(value, "identities").iter().map(line).collect()
        }
        MailCommand::Accounts => list(value, "accounts").iter().map(account_line).collect(),
        MailCommand::Sync { watch: true, .. } | MailCommand::Web(_) => String::new(),
        MailCommand::Sync { .. } | MailCommand::Fetch => round(value),
        MailCommand::Folders { act: Some(_) } => match text(value, "would") {
            "" => format!("{}\n", text(value, "done")),
            would => format!("would {would}; give --yes to do it\n"),
        },
        MailCommand::Folders { act: None } => {
            let line =
                |one: &Value| format!("{:>7} {:>7}  {}\n", count(one, "messages"), count(one, "unread"), text(one, "name"));
            format!("   ALL  UNREAD  MAILBOX\n{}", list(value, "mailboxes").iter().map(line).collect::<String>())
        }
        MailCommand::Ls { .. } => {
            let messages = list(value, "messages");
            // A unique-id of POP3 is longer than a UID.
            let columns = messages.iter().map(|one| width(&id_of(one))).max().unwrap_or(0);
            messages.iter().map(|one| message_line(one, columns, "")).collect()
        }
        MailCommand::Search { .. } => {
            let line = |one: &Value| message_line(one, 0, &format!("{}  ", cell(text(one, "mailbox"), 14)));
            let more = if value.get("more") == Some(&Value::Bool(true)) { "there are more\n" } else { "" };
            list(value, "messages").iter().map(line).collect::<String>() + more
        }
        MailCommand::Read { .. } => list(value, "messages").iter().map(message_text).collect(),
        MailCommand::Attachments { .. } => {
            let line = |one: &Value| {
                format!("{:>10}  {}  {}\n", count(one, "size_bytes"), cell(text(one, "type"), 30), text(one, "name"))
            };
            let wrote = |one: &Value| format!("{}\n", text(one, "file"));
            let found: String = list(value, "attachments").iter().map(line).collect();
            found + &list(value, "extracted").iter().map(wrote).collect::<String>()
        }
        MailCommand::Import(_) | MailCommand::Export(_) => moved(value),
        MailCommand::Send(_) | MailCommand::Reply { .. } | MailCommand::Forward { .. } => sent(value),
        MailCommand::Outbox => list(value, "outbox").iter().map(outbox_line).collect(),
        MailCommand::Mark { .. } => format!("{} marked\n", count(value, "messages")),
        _ => format!("{} {}\n", count(value, "messages"), text(value, "done")),
    }
}

fn account_line(one: &Value) -> String {
    let server = ["imap", "pop3"].iter().map(|name| text(one, name)).find(|url| !url.is_empty()).unwrap_or_default();
    format!("{}  {server}  {}\n", text(one, "address"), text(one, "smtp"))
}

/// A round of sync, of one account or of several.
pub(super) fn round(value: &Value) -> String {
    if value.get("accounts").is_some() { each(value) } else { synced(value) }
}

fn each(value: &Value) -> String {
    let one = |one: &Value| match text(one, "error") {
        "" => format!("{}: {}", text(one, "account"), synced(one)),
        why => format!("{}: not done: {why}\n", text(one, "account")),
    };
    list(value, "accounts").iter().map(one).collect()
}

fn synced(value: &Value) -> String {
    let parts = [
        ("downloaded", "new here"),
        ("uploaded", "new there"),
        ("flags_here", "flags here"),
        ("flags_there", "flags there"),
        ("removed_here", "removed here"),
        ("removed_there", "removed there"),
        ("mailboxes_here", "mailboxes renamed or removed here"),
        ("mailboxes_there", "mailboxes renamed or removed there"),
        ("left_there", "left on the server"),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(name, _)| count(value, name) > 0)
        .map(|(name, words)| format!("{} {words}", count(value, name)))
        .collect();
    // By POP3 only the new counts.
    let nothing = if value.get("known").is_some() { "nothing new" } else { "both sides are equal" };
    let mut out = if told.is_empty() { format!("{nothing}\n") } else { format!("{}\n", told.join(", ")) };
    for one in list(value, "outbox") {
        let said: Vec<&str> = list(one, "said").iter().filter_map(Value::as_str).collect();
        let _ = match one.get("sent") {
            Some(Value::Bool(true)) => writeln!(out, "sent: {}", said.join("; ")),
            _ if is_refused(one) => writeln!(out, "refused: {}", said.join("; ")),
            _ => writeln!(out, "not sent yet: {}", said.join("; ")),
        };
    }
    for trouble in list(value, "troubles").iter().filter_map(Value::as_str) {
        let _ = writeln!(out, "not done: {trouble}");
    }
    out
}

fn id_of(one: &Value) -> String {
    let id = one.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    clean(&id.unwrap_or_default())
}

/// `columns`: of the longest number. `mailbox`: what stands before the date, where messages of several mailboxes are listed.
fn message_line(one: &Value, columns: usize, mailbox: &str) -> String {
    let flags: Vec<&str> = list(one, "flags").iter().filter_map(Value::as_str).collect();
    let unread = one.get("unread") == Some(&Value::Bool(true)) || (one.get("flags").is_some() && !flags.contains(&"seen"));
    let flagged = if flags.contains(&"flagged") { '!' } else { ' ' };
    let (id, columns) = (id_of(one), columns.max(7));
    let mark = if unread { 'N' } else { ' ' };
    let (date, from, subject) =
        (cell(&clock::shown(text(one, "date")), 16), cell(text(one, "from"), 26), cell(text(one, "subject"), 60));
    format!("{id:>columns$} {mark}{flagged} {:9} {mailbox}{date}  {from}  {}\n", text(one, "place"), subject.trim_end())
}

fn message_text(one: &Value) -> String {
    for name in ["raw", "headers", "html"] {
        if let Some(content) = one.get(name).and_then(Value::as_str) {
            return content.to_owned();
        }
    }
    let mut out = String::new();
    for name in ["from", "to", "cc", "date", "subject"] {
        if let Some(content) = one.get(name).and_then(Value::as_str) {
            let _ = writeln!(out, "{}: {}", name, clean(content).trim_end());
        }
    }
    for file in list(one, "attachments") {
        let _ = writeln!(out, "attached: {} ({} octets)", text(file, "name"), count(file, "size_bytes"));
    }
    let _ = writeln!(out, "\n{}", text(one, "text").trim_end());
    out
}

pub(super) fn is_refused(value: &Value) -> bool {
    value.get("refused") == Some(&Value::Bool(true))
}

fn sent(value: &Value) -> String {
    let said: Vec<&str> = list(value, "said").iter().filter_map(Value::as_str).collect();
    if value.get("sent") == Some(&Value::Bool(true)) {
        return format!("sent: {}\n", said.join("; "));
    }
    if is_refused(value) {
        let id = count(value, "id");
        return format!(
            "refused: {}; it stays in the outbox as {id}, `packetboat mail undo {id}` puts it into Drafts\n",
            said.join("; ")
        );
    }
    let why = if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) };
    format!("in the outbox as {}{why}\n", count(value, "id"))
}

fn outbox_line(one: &Value) -> String {
    let mut out = String::new();
    for recipient in list(one, "recipients") {
        let state = match recipient.get("sent") {
            Some(Value::Bool(true)) => "sent",
            _ if is_refused(one) => "refused",
            _ => "waits",
        };
        let _ = writeln!(out, "{:>7} {state}  {}  {}", count(one, "id"), text(recipient, "address"), text(recipient, "said"));
    }
    out
}
