//! Reports that others sent about our domains' mail.

use super::{Admin, Answer, told};
use serde_json::{Value, json};
use server::trust::reports::kept;
use trust::aggregate::{Report, Row};

impl Admin {
    pub(super) async fn reports_list(&self) -> Answer {
        let all = kept(&self.store).await.map_err(|error| told(&error))?;
        let list: Vec<Value> = all.iter().map(|(id, came, report)| head(id, *came, report)).collect();
        Ok(json!({ "reports": list }))
    }

    pub(super) async fn reports_show(&self, id: &str) -> Answer {
        let all = kept(&self.store).await.map_err(|error| told(&error))?;
        let (id, came, report) =
            all.iter().find(|(known, _, _)| known == id).ok_or_else(|| format!("there is no report {id}"))?;
        let mut value = head(id, *came, report);
        if let Some(object) = value.as_object_mut() {
            object.insert("rows".into(), report.rows.iter().map(row).collect());
        }
        Ok(json!({ "report": value }))
    }
}

fn head(id: &str, came_secs: i64, report: &Report) -> Value {
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
