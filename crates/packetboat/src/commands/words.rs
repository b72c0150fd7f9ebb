//! Answers in words: tables and sentences for people, made from the same JSON that `--json` prints.

use crate::admin::views::{
    AccountView, AliasView, DefectView, FreezeView, IndexView, QueueView, SetAsideView, SuppressedView, UndoView,
};
use crate::cli::{AccountCommand, AppPasswordCommand, Command, SharedCommand};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Write as _;

/// 1 when something was refused, a defect was found, or one of several accounts was not moved.
pub(super) fn exit_code(value: &Value) -> u8 {
    let unsound = value.get("sound") == Some(&Value::Bool(false));
    let refused = value.get("refused").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let failed =
        value.get("accounts").and_then(Value::as_array).is_some_and(|list| list.iter().any(|a| a.get("error").is_some()));
    u8::from(unsound || refused || failed)
}

fn list<T: DeserializeOwned>(value: &Value, name: &str) -> Vec<T> {
    value.get(name).cloned().and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default()
}

/// What to print.
pub(super) fn of(command: &Command, value: &Value) -> String {
    if let Some(would) = value.get("would").and_then(Value::as_str) {
        return format!("would {would}\nNothing is changed. To do it, give --yes.\n");
    }
    match command {
        Command::Account(account) => account_words(account, value),
        Command::Alias(_) => alias_words(value),
        Command::Acl(_) => acl_words(value),
        Command::Shared(SharedCommand::List) => account_words(&AccountCommand::List, value),
        Command::Shared(SharedCommand::Add { .. }) => added_words(false, value),
        Command::Queue(_) => queue_words(value),
        Command::Undo(_) => undo_words(value),
        Command::Domain(_) => super::domain::words(value),
        Command::Reports(_) => reports_words(value),
        Command::Doctor(_) => super::doctor::words(value),
        Command::Freeze { .. } | Command::Thaw { .. } => frozen_words(value, true),
        Command::Suppress(_) => suppress_words(value),
        Command::Alarms => super::trace::alarm_words(value),
        Command::Trace { .. } => super::trace::words(value),
        Command::Unblock { .. } => unblock_words(value),
        Command::Check => check_words(value),
        Command::Index(_) => index_words(value),
        Command::Rebuild { .. } => rebuild_words(value),
        Command::Import(_) | Command::Export(_) => moved(value),
        Command::Try(_)
        | Command::Serve
        | Command::Config
        | Command::Mime(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Mail(_)
        | Command::Wire { .. } => String::new(),
    }
}

/// What an import or export did, by mailbox.
pub(crate) fn moved(value: &Value) -> String {
    let count = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut out = String::new();
    if let Some(accounts) = value.get("accounts").and_then(Value::as_array) {
        for account in accounts {
            let text = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default();
            let _ = match account.get("error").and_then(Value::as_str) {
                Some(error) => writeln!(out, "{} -> {}: {error}", text("from"), text("account")),
                None => {
                    let (new, known) = (count(account, "imported"), count(account, "known"));
                    writeln!(out, "{} -> {}: {new} new, {known} were here", text("from"), text("account"))
                }
            };
        }
        return out;
    }
    for (name, mailbox) in value.get("mailboxes").and_then(Value::as_object).into_iter().flatten() {
        let _ = match mailbox.as_u64() {
            Some(all) => writeln!(out, "{name}: {all} messages"),
            None => writeln!(out, "{name}: {} new, {} were here", count(mailbox, "imported"), count(mailbox, "known")),
        };
    }
    for bad in value.get("bad").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| bad.get(name).and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(out, "not taken: {}: {}", text("what"), text("why"));
    }
    let moved = count(value, "imported") + count(value, "exported");
    let _ = writeln!(out, "{moved} messages, {}; {} were there already", octets(count(value, "octets")), count(value, "known"));
    out
}

fn account_words(command: &AccountCommand, value: &Value) -> String {
    let address = value.get("address").and_then(Value::as_str).unwrap_or_default();
    match command {
        AccountCommand::Add { csv, .. } => added_words(csv.is_some(), value),
        AccountCommand::List => {
            let accounts: Vec<AccountView> = list(value, "accounts");
            let rows = accounts.iter().map(|account| {
                let state = if account.suspended { "suspended" } else { "" };
                vec![
                    account.address.clone(),
                    account.messages.to_string(),
                    octets(account.used_bytes),
                    quota(account.quota_bytes),
                    state.into(),
                ]
            });
            table(&["ADDRESS", "MESSAGES", "USED", "QUOTA", ""], rows) + &damage_words(value)
        }
        AccountCommand::Show { .. } => show_words(value),
        AccountCommand::Password { .. } => format!("{address}: new password; its sessions are ended\n"),
        AccountCommand::Suspend { .. } => format!("{address}: suspended; its sessions are ended, mail is still accepted\n"),
        AccountCommand::Resume { .. } => format!("{address}: may sign in again\n"),
        AccountCommand::AppPassword(command) => app_password_words(command, address, value),
        AccountCommand::Remove { .. } => format!("{address}: removed\n"),
    }
}

fn acl_words(value: &Value) -> String {
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(changed) = value.get("changed").and_then(Value::as_array) {
        return format!("{}: changed for {} in {} mailboxes\n", text(value, "address"), text(value, "identifier"), changed.len());
    }
    let mut rows = Vec::new();
    for mailbox in list::<Value>(value, "access") {
        for entry in list::<Value>(&mailbox, "entries") {
            rows.push(vec![text(&mailbox, "mailbox"), text(&entry, "identifier"), text(&entry, "rights")]);
        }
    }
    table(&["MAILBOX", "WHO", "RIGHTS"], rows.into_iter())
}

fn reports_words(value: &Value) -> String {
    let text = |of: &Value, name: &str| match of.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(true)) => "pass".into(),
        Some(Value::Bool(false)) => "fail".into(),
        _ => String::new(),
    };
    let columns = |of: &Value, names: &[&str]| names.iter().map(|name| text(of, name)).collect::<Vec<_>>();
    let until = |of: &Value| message::date::format_rfc_5322(of.get("end_secs").and_then(Value::as_i64).unwrap_or(0));
    if let Some(report) = value.get("report").filter(|report| text(report, "kind") == "tls") {
        let head = format!(
            "{} about TLS to {} ({}), until {}: {} sessions, {} failed\n",
            text(report, "organization"),
            text(report, "domain"),
            text(report, "policy"),
            until(report),
            text(report, "sessions"),
            text(report, "failed"),
        );
        let rows: Vec<Value> = list(report, "rows");
        let names = ["result", "count", "policy", "receiving_host", "receiving_ip", "sending_ip", "reason"];
        return head
            + &table(
                &["RESULT", "COUNT", "POLICY", "HOST", "ADDRESS", "FROM", "WHY"],
                rows.iter().map(|row| columns(row, &names)),
            );
    }
    if let Some(report) = value.get("report") {
        let head = format!(
            "{} about {} (p={}), until {}: {} messages, {} unconfirmed\n",
            text(report, "organization"),
            text(report, "domain"),
            text(report, "policy"),
            until(report),
            text(report, "messages"),
            text(report, "unconfirmed"),
        );
        let rows: Vec<Value> = list(report, "rows");
        let names = ["source", "count", "dkim_aligned", "spf_aligned", "disposition", "header_from", "envelope_from"];
        return head
            + &table(
                &["SOURCE", "COUNT", "DKIM", "SPF", "TREATED", "FROM", "ENVELOPE"],
                rows.iter().map(|row| columns(row, &names)),
            );
    }
    let reports: Vec<Value> = list(value, "reports");
    let rows = reports.iter().map(|report| {
        let counts = if text(report, "kind") == "tls" { ["sessions", "failed"] } else { ["messages", "unconfirmed"] };
        let mut row = columns(report, &["id", "kind", "organization", "domain"]);
        row.extend(columns(report, &counts));
        row.push(until(report));
        row
    });
    table(&["ID", "KIND", "BY", "ABOUT", "COUNTED", "WRONG", "UNTIL"], rows)
}

fn app_password_words(command: &AppPasswordCommand, address: &str, value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    match command {
        AppPasswordCommand::Add { .. } => {
            format!("{}\n\nThe password \"{}\" of {address}, shown this once.\n", text("password"), text("name"))
        }
        AppPasswordCommand::List { .. } => {
            let all: Vec<Value> = list(value, "app_passwords");
            let rows = all.iter().map(|password| {
                let name = password.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                vec![name, when(password.get("created_secs").and_then(Value::as_i64).unwrap_or_default())]
            });
            table(&["NAME", "MADE"], rows)
        }
        AppPasswordCommand::Remove { .. } => {
            format!("{address}: \"{}\" is taken away; its sessions are ended\n", text("name"))
        }
    }
}

fn unblock_words(value: &Value) -> String {
    match value.get("forgotten").and_then(Value::as_u64).unwrap_or_default() {
        0 => "nobody was waiting\n".to_owned(),
        count => format!("forgotten: {count} (login, network) pairs with failed sign-ins\n"),
    }
}

fn damage_words(value: &Value) -> String {
    let damaged: Vec<String> = list(value, "damaged");
    damaged.iter().map(|what| format!("cannot be read: {what} (see packetboat check)\n")).collect()
}

fn added_words(many: bool, value: &Value) -> String {
    let mut out = String::new();
    let added = value.get("added").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match added {
        [one] if !many => {
            let _ = writeln!(out, "{}: made", one.as_str().unwrap_or_default());
        }
        _ if many => {
            let _ = writeln!(out, "{} accounts made", added.len());
        }
        _ => {}
    }
    out + &refused_words(value, "address")
}

fn refused_words(value: &Value, key: &str) -> String {
    let refused = value.get("refused").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |row: &Value, name: &str| match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    refused.iter().fold(String::new(), |mut out, row| {
        let _ = writeln!(out, "{}: refused: {}", text(row, key), text(row, "why"));
        out
    })
}

fn show_words(value: &Value) -> String {
    let Some(account) = value.get("account").cloned().and_then(|account| serde_json::from_value::<AccountView>(account).ok())
    else {
        return String::new();
    };
    let mut out = format!(
        "{}{}\nmade {}, {} messages, {} of {}\n\n",
        account.address,
        if account.suspended { " (suspended)" } else { "" },
        when(account.created_secs),
        account.messages,
        octets(account.used_bytes),
        quota(account.quota_bytes),
    );
    let mailboxes: Vec<Value> = list(value, "mailboxes");
    let number = |row: &Value, name: &str| row.get(name).and_then(Value::as_u64).unwrap_or_default();
    let rows = mailboxes.iter().map(|row| {
        let name = row.get("name").and_then(Value::as_str).unwrap_or_default();
        vec![
            name.into(),
            number(row, "messages").to_string(),
            number(row, "unseen").to_string(),
            octets(number(row, "size_bytes")),
        ]
    });
    out.push_str(&table(&["MAILBOX", "MESSAGES", "UNSEEN", "SIZE"], rows));
    out
}

fn alias_words(value: &Value) -> String {
    if let Some(alias) = value.get("alias").cloned().and_then(|alias| serde_json::from_value::<AliasView>(alias).ok()) {
        return format!("{} -> {}\n", alias.address, alias.targets.join(", "));
    }
    if let Some(address) = value.get("address").and_then(Value::as_str) {
        return format!("{address}: removed\n");
    }
    let aliases: Vec<AliasView> = list(value, "aliases");
    table(&["ALIAS", "LEADS TO"], aliases.iter().map(|alias| vec![alias.address.clone(), alias.targets.join(", ")]))
}

fn queue_words(value: &Value) -> String {
    if let Some(entry) = value.get("entry").cloned().and_then(|entry| serde_json::from_value::<QueueView>(entry).ok()) {
        return entry_words(&entry);
    }
    if let Some(done) = value.get("done").and_then(Value::as_array) {
        return format!("{} done\n{}", done.len(), refused_words(value, "id"));
    }
    let entries: Vec<QueueView> = list(value, "entries");
    let aside: Vec<SetAsideView> = list(value, "set_aside");
    if entries.is_empty() && aside.is_empty() {
        return frozen_words(value, false) + "the queue is empty\n";
    }
    let rows = entries.iter().map(|entry| {
        // What was said about those who are through with it is `queue show`'s affair.
        let waiting = || entry.recipients.iter().filter(|recipient| recipient.state == "waiting");
        let to: Vec<&str> = waiting().map(|recipient| recipient.address.as_str()).collect();
        let next = if entry.held { "held".into() } else { when(entry.next_secs) };
        let reply = waiting().map(|recipient| recipient.last_reply.as_str()).find(|reply| !reply.is_empty()).unwrap_or_default();
        vec![entry.id.to_string(), format!("<{}>", entry.from), to.join(", "), entry.attempts.to_string(), next, reply.into()]
    });
    let mut out = table(&["ID", "FROM", "TO", "TRIED", "NEXT", "LAST REPLY"], rows);
    for row in aside {
        let _ = writeln!(out, "{}: set aside: {}", row.id, row.reason);
    }
    frozen_words(value, false) + &out
}

fn frozen_words(value: &Value, also_none: bool) -> String {
    let frozen: Vec<FreezeView> = list(value, "frozen");
    if frozen.is_empty() {
        return if also_none { "nothing is frozen\n".into() } else { String::new() };
    }
    table(&["FROZEN", "SINCE", "WHY"], frozen.iter().map(|row| vec![row.what.clone(), when(row.since_secs), row.why.clone()]))
}

fn suppress_words(value: &Value) -> String {
    if let Some(address) = value.get("address").and_then(Value::as_str) {
        let on = value.get("suppressed") == Some(&Value::Bool(true));
        return format!("{address}: {}\n", if on { "mail to it is refused from now on" } else { "off the list" });
    }
    let rows: Vec<SuppressedView> = list(value, "suppressed");
    if rows.is_empty() {
        return "no address is on the list\n".into();
    }
    let rows = rows.iter().map(|row| {
        let state = if row.listed { "refused" } else { "counting" };
        vec![row.address.clone(), state.into(), row.bounces.to_string(), when(row.last_secs), row.why.clone()]
    });
    table(&["ADDRESS", "", "BOUNCES", "LAST", "WHY"], rows)
}

fn entry_words(entry: &QueueView) -> String {
    let mut out = format!(
        "queue entry {} for {}\nfrom <{}>, Message-ID {}, {}\naccepted {}, tried {} times, next {}, given up {}\n\n",
        entry.id,
        entry.destination,
        entry.from,
        entry.message_id.as_deref().unwrap_or("(none)"),
        octets(u64::from(entry.size_bytes)),
        when(entry.created_secs),
        entry.attempts,
        if entry.held { "not until released (held)".into() } else { when(entry.next_secs) },
        when(entry.expires_secs),
    );
    let rows = entry
        .recipients
        .iter()
        .map(|recipient| vec![recipient.address.clone(), recipient.state.clone(), recipient.last_reply.clone()]);
    out.push_str(&table(&["RECIPIENT", "STATE", "LAST REPLY"], rows));
    out
}

fn undo_words(value: &Value) -> String {
    if let Some(restored) = value.get("restored").and_then(Value::as_array) {
        return format!("{} messages brought back\n{}", restored.len(), refused_words(value, "id"));
    }
    let rows: Vec<UndoView> = list(value, "entries");
    if rows.is_empty() {
        return "nothing to bring back\n".into();
    }
    let rows = rows.iter().map(|row| {
        vec![
            row.email.to_string(),
            when(row.expunged_secs),
            row.mailbox.clone(),
            octets(u64::from(row.size_bytes)),
            row.from.clone(),
            row.subject.clone(),
        ]
    });
    table(&["ID", "EXPUNGED", "MAILBOX", "SIZE", "FROM", "SUBJECT"], rows)
}

fn index_words(value: &Value) -> String {
    let accounts: Vec<IndexView> = list(value, "accounts");
    let rows = accounts.iter().map(|account| {
        vec![account.address.clone(), account.messages.to_string(), account.behind.to_string(), octets(account.size_bytes)]
    });
    table(&["ADDRESS", "MESSAGES", "NOT YET", "SIZE"], rows)
}

fn check_words(value: &Value) -> String {
    let defects: Vec<DefectView> = list(value, "defects");
    if defects.is_empty() {
        return "the store is sound\n".into();
    }
    let mut out = String::new();
    for defect in &defects {
        let _ = writeln!(out, "{}: {}", defect.place, defect.what);
    }
    let _ = writeln!(out, "{} defects", defects.len());
    out
}

fn rebuild_words(value: &Value) -> String {
    let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
    let mut out = format!("the index is made anew: {} accounts, {} messages\n", number("accounts"), number("messages"));
    for defect in list::<DefectView>(value, "skipped") {
        let _ = writeln!(out, "skipped: {}: {}", defect.place, defect.what);
    }
    out
}

/// Octets, readable.
fn octets(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut whole = count;
    let mut unit = "B";
    let mut tenth = 0;
    for name in UNITS {
        if whole < 1000 {
            break;
        }
        tenth = whole % 1000 / 100;
        whole /= 1000;
        unit = name;
    }
    format!("{whole}.{tenth} {unit}")
}

fn quota(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unlimited".into(), octets)
}

/// `2026-11-23 00:26:45Z`.
pub(super) fn when(secs: i64) -> String {
    message::date::format_rfc_3339(secs).replacen('T', " ", 1)
}

/// Columns as wide as they need; control characters of foreign text made harmless.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let harmless = |text: String| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let rows: Vec<Vec<String>> = std::iter::once(head.iter().map(ToString::to_string).collect())
        .chain(rows.map(|row| row.into_iter().map(harmless).collect()))
        .collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(octets(999), "999 B");
        assert_eq!(octets(1_250), "1.2 kB");
        assert_eq!(octets(52_428_800), "52.4 MB");
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let shown = table(&["X"], std::iter::once(vec!["a\u{1b}[31mb".to_owned()]));
        assert_eq!(shown, "X\na [31mb\n");
    }
}
