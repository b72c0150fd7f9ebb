//! TLS reports (RFC 8460): how connections to a domain's servers were protected, as JSON both ways, and the record that asks for it.
//!
//! Invariant: what others wrote is read within bounds, and is text without controls. Must not know: where reports are sent, gzip.

use crate::limits::{TLS_FAILURES_MAX, TLS_POLICIES_MAX, TLS_REPORT_BYTES_MAX, TLS_TEXT_BYTES_MAX, TLS_URIS_MAX};
use message::date::{format_rfc_3339, parse_rfc_3339};
use serde_json::{Map, Value, json};

/// RFC 8460 §4.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// `organization-name`
    pub organization: String,
    /// `contact-info`
    pub contact: String,
    /// `report-id`
    pub id: String,
    /// `start-datetime`
    pub begin_secs: i64,
    /// `end-datetime`
    pub end_secs: i64,
    /// One or more.
    pub policies: Vec<Policy>,
}

/// How it went under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// `tlsa`, `sts` or `no-policy-found`.
    pub kind: String,
    /// The policy's own lines.
    pub lines: Vec<String>,
    /// Whose it is.
    pub domain: String,
    /// `mx-host`: patterns of an MTA-STS policy.
    pub mx: Vec<String>,
    /// Sessions that were as they should be.
    pub successful: u64,
    /// Sessions that were not.
    pub failed: u64,
    /// What went wrong, each kind once.
    pub failures: Vec<Failure>,
}

/// One kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// RFC 8460 §4.3: `starttls-not-supported`, `certificate-expired` ...
    pub result: String,
    /// `sending-mta-ip`
    pub sending_ip: String,
    /// `receiving-mx-hostname`
    pub receiving_host: String,
    /// `receiving-ip`
    pub receiving_ip: String,
    /// Sessions.
    pub count: u64,
    /// `failure-reason-code`: in words.
    pub reason: String,
}

impl Report {
    /// Sessions that were as they should be, and those that were not.
    pub fn totals(&self) -> (u64, u64) {
        let add = |(good, bad): (u64, u64), policy: &Policy| {
            (good.saturating_add(policy.successful), bad.saturating_add(policy.failed))
        };
        self.policies.iter().fold((0, 0), add)
    }

    /// As it is sent (before gzip).
    pub fn render(&self) -> String {
        json!({
            "organization-name": self.organization,
            "date-range": {
                "start-datetime": format_rfc_3339(self.begin_secs),
                "end-datetime": format_rfc_3339(self.end_secs),
            },
            "contact-info": self.contact,
            "report-id": self.id,
            "policies": self.policies.iter().map(Policy::render).collect::<Vec<Value>>(),
        })
        .to_string()
    }

    /// Of others. `None`: it is no report.
    pub fn parse(octets: &[u8]) -> Option<Report> {
        if octets.len() > TLS_REPORT_BYTES_MAX {
            return None;
        }
        let whole: Value = serde_json::from_slice(octets).ok()?;
        let range = whole.get("date-range")?;
        let time = |name: &str| Some(parse_rfc_3339(range.get(name)?.as_str()?.as_bytes())?.unix_secs());
        let policies = whole.get("policies")?.as_array()?;
        Some(Report {
            organization: text(&whole, "organization-name"),
            contact: text(&whole, "contact-info"),
            id: text(&whole, "report-id"),
            begin_secs: time("start-datetime")?,
            end_secs: time("end-datetime")?,
            policies: policies.iter().take(TLS_POLICIES_MAX).filter_map(Policy::read).collect(),
        })
    }
}

impl Policy {
    /// One session more; `failure` says what was wrong with it.
    pub fn count(&mut self, failure: Option<Failure>) {
        let Some(failure) = failure else {
            self.successful = self.successful.saturating_add(1);
            return;
        };
        self.failed = self.failed.saturating_add(1);
        let plain = Failure { count: 0, ..failure };
        let room = self.failures.len() < TLS_FAILURES_MAX;
        match self.failures.iter_mut().find(|known| Failure { count: 0, ..(**known).clone() } == plain) {
            Some(known) => known.count = known.count.saturating_add(1),
            None if room => self.failures.push(Failure { count: 1, ..plain }),
            None => {}
        }
    }

    /// As it stands in a report.
    pub fn render(&self) -> Value {
        let mut policy = json!({ "policy-type": self.kind, "policy-domain": self.domain });
        if let Some(policy) = policy.as_object_mut() {
            lines(policy, "policy-string", &self.lines);
            lines(policy, "mx-host", &self.mx);
        }
        let mut whole = json!({
            "policy": policy,
            "summary": {
                "total-successful-session-count": self.successful,
                "total-failure-session-count": self.failed,
            },
        });
        if let Some(whole) = whole.as_object_mut().filter(|_| !self.failures.is_empty()) {
            whole.insert("failure-details".to_owned(), self.failures.iter().map(Failure::render).collect());
        }
        whole
    }

    /// One that was rendered, by us or by others.
    pub fn read(value: &Value) -> Option<Policy> {
        let (policy, summary) = (value.get("policy")?, value.get("summary")?);
        let failures = value.get("failure-details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Some(Policy {
            kind: text(policy, "policy-type"),
            lines: texts(policy, "policy-string"),
            domain: text(policy, "policy-domain"),
            mx: texts(policy, "mx-host"),
            successful: number(summary, "total-successful-session-count"),
            failed: number(summary, "total-failure-session-count"),
            failures: failures.iter().take(TLS_FAILURES_MAX).map(Failure::read).collect(),
        })
    }
}

impl Failure {
    fn render(&self) -> Value {
        let mut out = Map::new();
        for (name, value) in [
            ("result-type", &self.result),
            ("sending-mta-ip", &self.sending_ip),
            ("receiving-mx-hostname", &self.receiving_host),
            ("receiving-ip", &self.receiving_ip),
            ("failure-reason-code", &self.reason),
        ] {
            if !value.is_empty() {
                out.insert(name.to_owned(), value.as_str().into());
            }
        }
        out.insert("failed-session-count".to_owned(), self.count.into());
        Value::Object(out)
    }

    fn read(value: &Value) -> Failure {
        Failure {
            result: text(value, "result-type"),
            sending_ip: text(value, "sending-mta-ip"),
            receiving_host: text(value, "receiving-mx-hostname"),
            receiving_ip: text(value, "receiving-ip"),
            count: number(value, "failed-session-count"),
            reason: text(value, "failure-reason-code"),
        }
    }
}

fn lines(out: &mut Map<String, Value>, name: &str, lines: &[String]) {
    if !lines.is_empty() {
        out.insert(name.to_owned(), lines.into());
    }
}

fn plain(text: &str) -> String {
    let mut end = text.len().min(TLS_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn text(of: &Value, name: &str) -> String {
    of.get(name).and_then(Value::as_str).map(plain).unwrap_or_default()
}

/// A list, or (as some write) one text alone.
fn texts(of: &Value, name: &str) -> Vec<String> {
    match of.get(name) {
        Some(Value::Array(list)) => list.iter().take(TLS_POLICIES_MAX).filter_map(Value::as_str).map(plain).collect(),
        Some(Value::String(one)) => vec![plain(one)],
        _ => Vec::new(),
    }
}

fn number(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// Where a domain wants its reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// By mail.
    Mail(String),
    /// By POST: host, and path.
    Https(String, String),
}

/// The record at `_smtp._tls.DOMAIN` (RFC 8460 §3); empty unless there is exactly one.
///
/// ```
/// use trust::tls_report::{Wanted, wanted};
/// let record = "v=TLSRPTv1; rua=mailto:tls@x.test,https://report.x.test/v1";
/// let found = wanted(&[record.to_owned()]);
/// assert_eq!(found, [Wanted::Mail("tls@x.test".into()), Wanted::Https("report.x.test".into(), "/v1".into())]);
/// ```
pub fn wanted(texts: &[String]) -> Vec<Wanted> {
    let is_record = |text: &&String| text.strip_prefix("v=TLSRPTv1").is_some_and(|rest| rest.trim_start().starts_with(';'));
    let mut records = texts.iter().filter(is_record);
    let (Some(record), None) = (records.next(), records.next()) else { return Vec::new() };
    let fields = record.split(';').skip(1).filter_map(|field| field.split_once('='));
    let Some((_, uris)) = fields.map(|(name, value)| (name.trim(), value.trim())).find(|(name, _)| *name == "rua") else {
        return Vec::new();
    };
    uris.split(',').map(str::trim).filter_map(uri).take(TLS_URIS_MAX).collect()
}

fn uri(text: &str) -> Option<Wanted> {
    let (scheme, rest) = text.split_once(':')?;
    if !rest.bytes().all(|octet| octet.is_ascii_graphic()) {
        return None;
    }
    if scheme.eq_ignore_ascii_case("mailto") {
        let address = rest.split('?').next().unwrap_or_default();
        // What is escaped is not worth the risk of a wrong reading.
        let good = address.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        return (good && !address.contains(['%', '<', '>', '"', '(', '!'])).then(|| Wanted::Mail(address.to_owned()));
    }
    if scheme.eq_ignore_ascii_case("https") {
        let rest = rest.strip_prefix("//")?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(at)?;
        let good = !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-".contains(&octet));
        let path = if path.is_empty() { "/" } else { path };
        return good.then(|| Wanted::Https(host.to_ascii_lowercase(), path.split('#').next().unwrap_or_default().to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// In the form of RFC 8460 §4.4; the names and numbers are ours.
    const EXAMPLE: &str = r#"{
      "organization-name": "Company-X",
      "date-range": { "start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z" },
      "contact-info": "sts-reporting@company-x.example",
      "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
      "policies": [{
        "policy": {
          "policy-type": "sts",
          "policy-string": ["version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"],
          "policy-domain": "company-y.example",
          "mx-host": "*.mail.company-y.example"
        },
        "summary": { "total-successful-session-count": 5326, "total-failure-session-count": 303 },
        "failure-details": [
          { "result-type": "certificate-expired", "sending-mta-ip": "2001:db8:abcd:0012::1",
            "receiving-mx-hostname": "mx1.mail.company-y.example", "failed-session-count": 100 },
          { "result-type": "validation-failure", "sending-mta-ip": "198.51.100.62", "receiving-ip": "203.0.113.58",
            "receiving-mx-hostname": "mx-backup.mail.company-y.example", "failed-session-count": 3,
            "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED", "additional-information": "https://x.example" }
        ]
      }]
    }"#;

    #[test]
    fn a_report_in_the_rfc_s_form_there_and_back() {
        let report = Report::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!((report.organization.as_str(), report.totals()), ("Company-X", (5_326, 303)));
        assert_eq!((report.begin_secs, report.end_secs), (1_459_468_800, 1_459_555_199));
        let policy = &report.policies[0];
        assert_eq!(
            (policy.kind.as_str(), policy.lines.len(), policy.mx.as_slice()),
            ("sts", 4, &["*.mail.company-y.example".to_owned()][..])
        );
        assert_eq!((policy.failures[0].count, policy.failures[1].receiving_ip.as_str()), (100, "203.0.113.58"));
        assert_eq!(Report::parse(report.render().as_bytes()), Some(report));
        let padded = |octets: usize| format!("{EXAMPLE}{}", " ".repeat(octets - EXAMPLE.len()));
        assert!(Report::parse(padded(TLS_REPORT_BYTES_MAX).as_bytes()).is_some());
        assert_eq!(Report::parse(padded(TLS_REPORT_BYTES_MAX + 1).as_bytes()), None);
        for bad in ["", "[]", "{}", "{\"date-range\":{},\"policies\":[]}"] {
            assert_eq!(Report::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn failures_that_are_alike_are_counted_together() {
        let mut policy = Policy { kind: "sts".into(), domain: "x.test".into(), ..Policy::default() };
        let failure =
            |host: &str| Failure { result: "certificate-expired".into(), receiving_host: host.into(), ..Failure::default() };
        policy.count(None);
        for host in ["a", "b", "a"] {
            policy.count(Some(failure(host)));
        }
        assert_eq!((policy.successful, policy.failed), (1, 3));
        assert_eq!(
            policy.failures.iter().map(|f| (f.receiving_host.as_str(), f.count)).collect::<Vec<_>>(),
            [("a", 2), ("b", 1)]
        );
        assert_eq!(Policy::read(&policy.render()), Some(policy));
    }

    #[test]
    fn who_wants_reports() {
        let of = |record: &str| wanted(&[record.to_owned()]);
        assert_eq!(of("v=TLSRPTv1;rua=mailto:a@x.test"), [Wanted::Mail("a@x.test".into())]);
        assert_eq!(of("v=TLSRPTv1; rua=https://X.test"), [Wanted::Https("x.test".into(), "/".into())]);
        for bad in [
            "v=TLSRPTv1",
            "v=TLSRPTv2; rua=mailto:a@x.test",
            "v=TLSRPTv1; rua=mailto:a",
            "v=TLSRPTv1; rua=mailto:a%0d@x.test",
            "v=TLSRPTv1; rua=https://a@b/",
            "v=TLSRPTv1; rua=http://x.test/",
            "v=TLSRPTv1; rua=https://x.test:99/",
            "v=TLSRPTv1; rua=https://x.test/a b",
        ] {
            assert_eq!(of(bad), [], "{bad}");
        }
        let one = "v=TLSRPTv1; rua=mailto:a@x.test".to_owned();
        assert_eq!(wanted(&["other".to_owned(), one.clone()]).len(), 1);
        assert_eq!(wanted(&[one.clone(), one]), []);
    }
}
