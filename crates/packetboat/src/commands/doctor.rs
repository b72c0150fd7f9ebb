//! `packetboat doctor [DOMAIN]`: gathers the findings; exit code 1 when one is bad.

use super::{Doer, domain};
use crate::admin::Request;
use crate::cli::DoctorArgs;
use crate::config::Config;
use crate::doctor::{self, Finding};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(super) async fn run(config: &Config, arguments: &DoctorArgs) -> Result<Value, String> {
    let domains = match &arguments.domain {
        Some(domain) => vec![domain.clone()],
        None => config.domains.clone(),
    };
    let mut found = doctor::machine(config);
    if !arguments.offline {
        let resolver = domain::resolver(config)?;
        found.push(doctor::way_out(&resolver, config, arguments.to.as_deref()).await);
        found.extend(doctor::addresses(&resolver, config).await);
        let mut doer = Doer::of(config).await?;
        let mut answers = Vec::new();
        for domain in &domains {
            answers.push(doer.perform(Request::DomainKeys { domain: domain.clone() }).await);
        }
        doer.close().await?;
        for (domain, answer) in domains.iter().zip(answers) {
            found.extend(doctor::names(&resolver, config, domain, &domain::keys(&answer?)).await);
        }
    }
    let sound = !found.iter().any(|finding| finding.state == "bad");
    Ok(json!({ "sound": sound, "findings": found.iter().map(Finding::json).collect::<Vec<_>>() }))
}

/// What is wrong comes last, where it is seen.
pub(super) fn words(value: &Value) -> String {
    let mut out = String::new();
    let list = value.get("findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for state in ["ok", "unknown", "warning", "bad"] {
        for finding in list.iter().filter(|finding| finding.get("state").and_then(Value::as_str) == Some(state)) {
            let text = |name: &str| {
                let text = finding.get(name).and_then(Value::as_str).unwrap_or_default();
                text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
            };
            let _ = writeln!(out, "{:<8} {}: {}", if state == "bad" { "BAD" } else { state }, text("about"), text("what"));
            if !text("fix").is_empty() {
                let _ = writeln!(out, "         -> {}", text("fix"));
            }
        }
    }
    out
}
