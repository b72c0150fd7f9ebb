//! The zone a domain wants: every record to publish, with the reason, and what DNS answers now.
//!
//! Pure but for [`compare`], which asks. Invariant: a record is `ok` only when what DNS has does the work of what is wanted; trouble
//! with DNS is `unknown`, never `missing`. Must not know: how keys are kept, terminals.

use crate::config::{Config, Service};
use net::{DnsError, Resolver};
use serde::{Deserialize, Serialize};
use server::trust::Ask;
use std::net::IpAddr;
use trust::spf::{self, SpfResult};

/// One record to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) value: String,
    /// For people.
    pub(crate) why: String,
    /// Without it mail does not work or is not believed.
    pub(crate) needed: bool,
    /// `ok`, `missing`, `differs`, `unknown` (DNS did not answer), `unasked`.
    pub(crate) state: String,
    /// What DNS has.
    pub(crate) found: Vec<String>,
}

/// A key's record.
pub(crate) struct KeyRecord {
    pub(crate) name: String,
    pub(crate) record: String,
    pub(crate) state: String,
}

fn wanted(name: impl Into<String>, kind: &str, value: impl Into<String>, why: impl Into<String>, needed: bool) -> Wanted {
    Wanted {
        name: name.into(),
        kind: kind.to_owned(),
        value: value.into(),
        why: why.into(),
        needed,
        state: "unasked".into(),
        found: Vec::new(),
    }
}

/// Everything, in the order to publish it.
pub(crate) fn records(config: &Config, domain: &str, keys: &[KeyRecord]) -> Vec<Wanted> {
    let host = &config.hostname;
    let mut all = vec![
        wanted(host.as_str(), "A", "the address of this machine", "where this machine is (AAAA as well, if it has one)", true),
        wanted(domain, "MX", format!("10 {host}."), "brings the domain's mail here", true),
        wanted(domain, "TXT", "v=spf1 mx -all", "SPF: only the mail exchangers send for the domain", true),
    ];
    for key in keys.iter().filter(|key| key.state != "old") {
        let why = match key.state.as_str() {
            "waiting" => "DKIM: the next key; publish it before it signs",
            "retiring" => "DKIM: the last key; leave it while its mail is on the way",
            _ => "DKIM: the key that signs",
        };
        all.push(wanted(key.name.as_str(), "TXT", key.record.as_str(), why, true));
    }
    let postmaster = format!("postmaster@{domain}");
    all.push(wanted(
        format!("_dmarc.{domain}"),
        "TXT",
        format!("v=DMARC1; p=quarantine; rua=mailto:{postmaster}"),
        "DMARC: what others do with mail that is not from here; p=reject once the reports are clean",
        true,
    ));
    all.push(wanted(
        format!("_smtp._tls.{domain}"),
        "TXT",
        format!("v=TLSRPTv1; rua=mailto:{postmaster}"),
        "TLSRPT: others tell when TLS to here fails",
        false,
    ));
    all.push(wanted(
        format!("_mta-sts.{domain}"),
        "TXT",
        "v=STSv1; id=1",
        format!("MTA-STS: needs https://mta-sts.{domain}/.well-known/mta-sts.txt as well; a new id when that changes"),
        false,
    ));
    let services = [
        (Service::Imaps, "_imaps", 993),
        (Service::Pop3s, "_pop3s", 995),
        (Service::Submissions, "_submissions", 465),
        (Service::Submission, "_submission", 587),
        (Service::Https, "_jmap", 443),
    ];
    for (service, label, port) in services {
        if config.listen.iter().any(|(listening, _)| *listening == service) {
            let why = format!("programs find {} by it", label.trim_start_matches('_'));
            all.push(wanted(format!("{label}._tcp.{domain}"), "SRV", format!("0 1 {port} {host}."), why, false));
        }
    }
    all.push(wanted(domain, "CAA", "0 issue \"letsencrypt.org\"", "only this authority makes certificates (name yours)", false));
    all
}

fn from<T>(answer: Result<Vec<T>, DnsError>, show: impl Fn(T) -> String) -> Result<Vec<String>, DnsError> {
    match answer {
        Ok(found) => Ok(found.into_iter().map(show).collect()),
        Err(DnsError::NotFound | DnsError::NoData) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Asks DNS about each.
pub(crate) async fn compare(resolver: &Resolver, config: &Config, domain: &str, all: &mut [Wanted]) {
    let asked = all.iter().map(|record| one(resolver, config, domain, record));
    let answers = trust::dns::together(asked).await;
    for (record, (state, found)) in all.iter_mut().zip(answers) {
        record.state = state.to_owned();
        record.found = found;
    }
}

async fn one(resolver: &Resolver, config: &Config, domain: &str, record: &Wanted) -> (&'static str, Vec<String>) {
    let name = &record.name;
    let found = match record.kind.as_str() {
        "A" => from(resolver.addresses(name).await, |ip| ip.to_string()),
        "MX" => from(resolver.mx_records(name).await, |(preference, host)| format!("{preference} {host}.")),
        "SRV" => from(resolver.srv(name).await, |(priority, weight, port, host)| format!("{priority} {weight} {port} {host}.")),
        "TXT" => from(resolver.txt(name).await, |text| text),
        _ => return ("unasked", Vec::new()),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return ("unknown", vec![error.to_string()]),
    };
    let start = record.value.split([';', ' ']).next().unwrap_or_default();
    let found: Vec<String> = match record.kind.as_str() {
        "TXT" => found
            .into_iter()
            .filter(|text| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
            .collect(),
        _ => found,
    };
    if found.is_empty() {
        return ("missing", found);
    }
    let good = match record.kind.as_str() {
        "A" => true,
        "MX" => found.iter().any(|mx| mx.split(' ').nth(1).is_some_and(|host| same_host(host, &config.hostname))),
        "SRV" => found.contains(&record.value.to_ascii_lowercase()),
        _ if start == "v=spf1" => return (spf_state(resolver, config, domain).await, found),
        _ if start == "v=DKIM1" => found.iter().any(|text| public(text) == public(&record.value)),
        _ if start == "v=DMARC1" => found.len() == 1 && found.iter().all(|text| trust::dmarc::Record::parse(text).is_some()),
        _ => true,
    };
    (if good { "ok" } else { "differs" }, found)
}

fn same_host(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other)
}

/// The key in a key record.
fn public(text: &str) -> Option<String> {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    dense.split(';').find_map(|part| part.strip_prefix("p=").map(str::to_owned))
}

/// SPF is right when it lets this machine send, however it says so.
async fn spf_state(resolver: &Resolver, config: &Config, domain: &str) -> &'static str {
    let addresses: Vec<IpAddr> = match resolver.addresses(&config.hostname).await {
        Ok(addresses) => addresses,
        Err(error) if error.is_temporary() => return "unknown",
        Err(_) => return "differs",
    };
    let sender = format!("postmaster@{domain}");
    for ip in addresses {
        let question = spf::Question { ip, sender: &sender, helo: &config.hostname, receiver: &config.hostname, now_secs: 0 };
        match spf::check(&Ask(resolver), question).await.result {
            SpfResult::Pass => {}
            SpfResult::TempError => return "unknown",
            _ => return "differs",
        }
    }
    "ok"
}

/// A TXT value as zone files have it: in strings of at most 255 octets.
pub(crate) fn zone_line(record: &Wanted) -> String {
    let value = if record.kind == "TXT" {
        let strings: Vec<String> = record
            .value
            .as_bytes()
            .chunks(255)
            .map(|chunk| format!("\"{}\"", String::from_utf8_lossy(chunk).replace('\\', "\\\\").replace('"', "\\\"")))
            .collect();
        strings.join(" ")
    } else {
        record.value.clone()
    };
    format!("{}. {} {value}", record.name, record.kind)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use net::dns_server::{DnsServer, Zone};

    const RECORD: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn config(dir: &std::path::Path) -> Config {
        let text = format!(
            "hostname = \"mx.here.test\"\ndata_dir = \"{}\"\ndomains = [\"here.test\"]\n[listen]\nimaps = [\"127.0.0.1:0\"]\nsubmission = [\"127.0.0.1:0\"]\n[tls]\nself_signed = true\n",
            dir.display()
        );
        crate::config::parse(&text, dir).unwrap()
    }

    fn keys() -> Vec<KeyRecord> {
        let key = |selector: &str, state: &str| KeyRecord {
            name: format!("{selector}._domainkey.here.test"),
            record: RECORD.into(),
            state: state.into(),
        };
        vec![key("a", "signing"), key("b", "waiting"), key("c", "old")]
    }

    #[tokio::test]
    async fn each_record_beside_what_dns_answers() {
        let mut zone = Zone::new();
        zone.address("mx.here.test", [192, 0, 2, 1].into()).mx("here.test", 5, "MX.here.test").mx("here.test", 9, "backup.test");
        zone.txt("here.test", "unrelated").txt("here.test", "v=spf1 ip4:192.0.2.0/24 -all");
        zone.txt("a._domainkey.here.test", "v=DKIM1;k=ed25519;p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        zone.txt("b._domainkey.here.test", "v=DKIM1; p=AAAA").servfail("_dmarc.here.test");
        zone.srv("_imaps._tcp.here.test", 993, "mx.here.test").srv("_submission._tcp.here.test", 25, "mx.here.test");
        let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), zone).await.unwrap();
        let resolver = Resolver::with_servers(vec![server.local()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let mut all = records(&config, "here.test", &keys());
        compare(&resolver, &config, "here.test", &mut all).await;
        let states: Vec<String> = all.iter().map(|record| format!("{} {} {}", record.kind, record.name, record.state)).collect();
        assert_eq!(
            states,
            [
                "A mx.here.test ok",
                "MX here.test ok",
                "TXT here.test ok",
                "TXT a._domainkey.here.test ok",
                "TXT b._domainkey.here.test differs",
                "TXT _dmarc.here.test unknown",
                "TXT _smtp._tls.here.test missing",
                "TXT _mta-sts.here.test missing",
                "SRV _imaps._tcp.here.test ok",
                "SRV _submission._tcp.here.test differs",
                "CAA here.test unasked",
            ]
        );
        // The same through the doctor: what is needed and not right is bad, with the line to publish.
        let found = crate::doctor::names(&resolver, &config, "here.test", &keys()).await;
        let bad: Vec<&str> = found.iter().filter(|f| f.state == "bad").map(|f| f.fix.as_str()).collect();
        assert_eq!(bad, [format!("b._domainkey.here.test. TXT \"{RECORD}\"")]);
    }

    #[test]
    fn long_values_are_cut_into_strings() {
        let record = wanted("x.test", "TXT", "a".repeat(300), "", true);
        assert_eq!(zone_line(&record), format!("x.test. TXT \"{}\" \"{}\"", "a".repeat(255), "a".repeat(45)));
    }

    #[test]
    fn this_machine_is_looked_at_without_network() {
        let dir = tempfile::tempdir().unwrap();
        let found = crate::doctor::machine(&config(dir.path()));
        assert_eq!(found.iter().map(|f| f.about.as_str()).collect::<Vec<_>>(), ["clock", "disk", "sync", "certificate"]);
        assert!(found.iter().all(|f| f.state == "ok" || !f.fix.is_empty()));
    }
}
