//! `packetboat domain ...`: keys by an act, the zone from the configuration, and what DNS says about it.

use super::Doer;
use crate::admin::Request;
use crate::cli::DomainCommand;
use crate::config::Config;
use crate::zone::{self, KeyRecord, Wanted};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(super) async fn run(config: &Config, command: &DomainCommand) -> Result<Value, String> {
    let request = match command {
        // Where there are no keys yet they are made: a zone without them would not be whole.
        DomainCommand::Add { name, .. } | DomainCommand::Records { name, .. } => Request::DomainAdd { domain: name.clone() },
        DomainCommand::Rotate { name, now, .. } => Request::DomainRotate { domain: name.clone(), at_once: *now },
    };
    let no_dns = match command {
        DomainCommand::Records { no_dns, .. } => *no_dns,
        DomainCommand::Add { .. } | DomainCommand::Rotate { .. } => true,
    };
    let mut doer = Doer::of(config).await?;
    let answer = doer.perform(request).await;
    doer.close().await?;
    let mut answer = answer?;
    let domain = text(&answer, "domain");
    let mut records = zone::records(config, &domain, &keys(&answer));
    if !no_dns {
        zone::compare(&resolver(config)?, config, &domain, &mut records).await;
    }
    if let Some(object) = answer.as_object_mut() {
        object.insert("records".into(), json!(records));
    }
    Ok(answer)
}

/// As the server asks.
pub(super) fn resolver(config: &Config) -> Result<net::Resolver, String> {
    let made = if config.dns_servers.is_empty() {
        net::Resolver::system()
    } else {
        net::Resolver::with_servers(config.dns_servers.clone())
    };
    made.map_err(|error| format!("DNS: {error}"))
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn keys(answer: &Value) -> Vec<KeyRecord> {
    let list = answer.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|key| KeyRecord { name: text(key, "name"), record: text(key, "record"), state: text(key, "state") }).collect()
}

/// For people: a zone file with what DNS says beside each line.
pub(super) fn words(value: &Value) -> String {
    let records: Vec<Wanted> =
        value.get("records").cloned().and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default();
    let mut out = String::new();
    for record in &records {
        let state = match record.state.as_str() {
            "ok" => "ok",
            "missing" if record.needed => "MISSING",
            "missing" => "missing (not needed)",
            "differs" => "DIFFERS",
            "unknown" => "DNS did not answer",
            _ => "",
        };
        let state = if state.is_empty() { String::new() } else { format!("{state}: ") };
        let _ = writeln!(out, "; {state}{}", record.why);
        if matches!(record.state.as_str(), "differs" | "unknown") {
            let _ = writeln!(out, ";   DNS has: {}", record.found.join(" | "));
        }
        let _ = writeln!(out, "{}", zone::zone_line(record));
    }
    out
}
