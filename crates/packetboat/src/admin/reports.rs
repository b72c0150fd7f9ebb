//! Reports that others sent about our domains' mail.

use super::{Admin, Answer, told};
use serde_json::{Value, json};
use server::trust::reports::{Received, kept};
use trust::aggregate::{Report, Row};
use trust::tls_report::{self, Policy};

impl Admin {
    pub(super) async fn reports_list(&self) -> Answer {
        let list = kept(&self.store, None, |id, came, report| head(id, came, &report)).await.map_err(|error| told(&error))?;
        Ok(json!({ "reports": list }))
    }

    pub(super) async fn reports_show(&self, id: &str) -> Answer {
        let one = kept(&self.store, Some(id), |id, came, report| {
            let mut value = head(id, came, &report);
            if let Some(object) = value.as_object_mut() {
                object.insert(
                    "rows".into(),
                    match &report {
                        Received::Dmarc(report) => report.rows.iter().map(row).collect(),
                        Received::Tls(report) => report.policies.iter().flat_map(policy_rows).collect(),
                    },
                );
            }
            value
        });
        match one.await.map_err(|error| told(&error))?.pop() {
            Some(value) => Ok(json!({ "report": value })),
            None => Err(format!("there is no report {id}")),
        }
    }
}

fn head(id: &str, came_secs: i64, report: &Received) -> Value {
    match report {
        Received::Dmarc(report) => dmarc_head(id, came_secs, report),
        Received::Tls(report) => tls_head(id, came_secs, report),
    }
}

fn tls_head(id: &str, came_secs: i64, report: &tls_report::Report) -> Value {
    let (good, failed) = report.totals();
    let words = |of: fn(&Policy) -> &str| {
        let mut words: Vec<&str> = report.policies.iter().map(of).collect();
        words.dedup();
        words.join(", ")
    };
    json!({
        "id": id,
        "kind": "tls",
        "came_secs": came_secs,
        "organization": report.organization,
        "email": report.contact,
        "domain": words(|policy| &policy.domain),
        "policy": words(|policy| &policy.kind),
        "begin_secs": report.begin_secs,
        "end_secs": report.end_secs,
        "sessions": good.saturating_add(failed),
        "failed": failed,
    })
}

/// One for the sessions that were good, one for each kind of failure.
fn policy_rows(policy: &Policy) -> Vec<Value> {
    let row = |result: &str, count: u64| json!({ "domain": policy.domain, "policy": policy.kind, "policy_lines": policy.lines, "result": result, "count": count });
    let mut rows = vec![row("successful", policy.successful)];
    for failure in &policy.failures {
        let mut row = row(&failure.result, failure.count);
        if let Some(object) = row.as_object_mut() {
            for (name, value) in [
                ("sending_ip", &failure.sending_ip),
                ("receiving_host", &failure.receiving_host),
                ("receiving_ip", &failure.receiving_ip),
                ("reason", &failure.reason),
            ] {
                object.insert(name.into(), value.as_str().into());
            }
        }
        rows.push(row);
    }
    rows
}

fn dmarc_head(id: &str, came_secs: i64, report: &Report) -> Value {
    let (messages, failed) = report.totals();
    json!({
        "id": id,
        "kind": "dmarc",
        "came_secs": came_secs,
        "organization": report.organization,
        "email": report.email,
        "domain": report.domain,
        "policy": report.policy,
        "begin_secs": report.begin_secs,
        "end_secs": report.end_secs,
        "messages": messages,
        "unconfirmed": failed,
    })
}

fn row(row: &Row) -> Value {
    let dkim: Vec<Value> = row.dkim.iter().map(|(d, s, r)| json!({ "domain": d, "selector": s, "result": r })).collect();
    json!({
        "source": row.source.map(|ip| ip.to_string()),
        "count": row.count,
        "disposition": row.disposition,
        "dkim_aligned": row.dkim_aligned,
        "spf_aligned": row.spf_aligned,
        "reason": row.reason,
        "header_from": row.header_from,
        "envelope_from": row.envelope_from,
        "dkim": dkim,
        "spf": row.spf.as_ref().map(|(domain, result)| json!({ "domain": domain, "result": result })),
    })
}
