//! How TLS to each domain went (RFC 8460): counted by day and policy, told once a day to the domains that want to know.
//!
//! Invariant: at most [`ROWS_MAX`] rows; a report about failing TLS goes also where TLS fails (§3), and is sent once. A crash may lose
//! the last moments. Must not know: how a report is written (`trust::tls_report`).

use super::Outbound;
use super::policy::Guard;
use crate::context::unix_now;
use crate::facts::facts_of;
use crate::trust::counts::day_of;
use crate::trust::reports::{base64_lines, entry, packed};
use mta::queue::Outcome;
use mta::sts::{self, Mode};
use net::{Connection, TlsTrouble, Tlsa};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Acceptance, Spooled, Store, StoreError, TrustKind};
use trust::tls_report::{Failure, Policy, Report, Wanted, wanted};

/// Rows of all days together; what comes past that is not counted.
const ROWS_MAX: usize = 20_000;
/// How often it is looked whether a day is over.
const LOOK_EVERY: Duration = Duration::from_secs(900);
/// For handing in a report by HTTPS.
const POST_LIMIT: Duration = Duration::from_secs(60);
/// A domain whose DNS does not answer is asked for so many days.
const ASKED_DAYS: i64 = 2;
/// A report that could not be handed in is tried again for so long after its day (RFC 8460 §5.5).
const POSTED_DAYS: i64 = 1;
/// A policy that is none (RFC 8460 §4.3.2.2).
pub(super) const INVALID: &str = "sts-policy-invalid";
const VERSION: u8 = 1;

/// RFC 8460 §4.3.1's word for what broke a connection.
pub(super) fn result_of(error: &std::io::Error) -> &'static str {
    match TlsTrouble::of(error) {
        Some(TlsTrouble::Expired) => "certificate-expired",
        Some(TlsTrouble::OtherName) => "certificate-host-mismatch",
        Some(TlsTrouble::Untrusted) => "certificate-not-trusted",
        Some(TlsTrouble::Other) | None => "validation-failure",
    }
}

/// See the module. Keys are `DAY/DOMAIN/LIKENESS`.
#[derive(Default)]
pub(super) struct Sessions {
    rows: Mutex<BTreeMap<String, Policy>>,
    /// Reports (`DAY/DOMAIN`) handed in, and where, while somebody else did not take them. After a restart they may be handed in again.
    posted: Mutex<BTreeSet<(String, String)>>,
}

impl Sessions {
    /// Reads what the store has.
    pub(super) async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let rows = store.trust_rows(TrustKind::TlsCount, "", None, ROWS_MAX).await?;
        let read = rows.into_iter().filter_map(|(name, octets)| {
            let value = serde_json::from_slice(octets.strip_prefix(&[VERSION])?).ok()?;
            Some((name, Policy::read(&value)?))
        });
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
        Ok(())
    }

    /// A connection was made (with TLS or, where that had broken first, why not), or was not, because of TLS or (`None`) of something else.
    pub(super) async fn went(
        &self,
        outbound: &Outbound,
        (domain, host, address): (&str, &str, SocketAddr),
        (guard, sts): (&Guard, Option<&sts::Policy>),
        went: Result<(&Connection, Option<&'static str>), Option<&'static str>>,
    ) {
        if !outbound.settings.tls_reports {
            return;
        }
        let policy = policy_of(domain, guard, sts);
        let (sending_ip, result, reason) = match went {
            Err(None) => return,
            Err(Some(result)) => (String::new(), Some(result), ""),
            Ok((connection, broke)) => {
                let sending_ip = connection.local().map(|local| local.ip().to_string()).unwrap_or_default();
                // Enforced policies were looked at in the handshake; one on trial is looked at now.
                let trial = sts.filter(|policy| policy.mode == Mode::Testing && matches!(guard, Guard::Opportunistic));
                let (result, reason) = match trial {
                    _ if !connection.is_tls() => (Some(broke.unwrap_or("starttls-not-supported")), ""),
                    Some(policy) if !policy.admits(host) => (Some("validation-failure"), "the policy does not name this host"),
                    Some(_) if !connection.is_verified() => (Some("validation-failure"), "the certificate is not verified"),
                    _ => (None, ""),
                };
                (sending_ip, result, reason)
            }
        };
        let failure = result.map(|result| Failure {
            result: result.to_owned(),
            sending_ip,
            receiving_host: host.to_owned(),
            receiving_ip: address.ip().to_string(),
            count: 0,
            reason: reason.to_owned(),
        });
        self.add(&outbound.context.store, policy, failure, unix_now()).await;
    }

    /// A host must not be connected to at all: DNSSEC does not answer, or the MTA-STS policy does not name it.
    pub(super) async fn no_way(
        &self,
        outbound: &Outbound,
        (domain, host): (&str, &str),
        secure: bool,
        sts: Option<&sts::Policy>,
        outcome: &Outcome,
    ) {
        if !outbound.settings.tls_reports {
            return;
        }
        let policy = match sts.filter(|_| !secure) {
            Some(_) => policy_of(domain, &Guard::Sts, sts),
            None => Policy { kind: "tlsa".to_owned(), domain: domain.to_owned(), ..Policy::default() },
        };
        let failure = Failure {
            result: if secure { "dnssec-invalid" } else { "validation-failure" }.to_owned(),
            receiving_host: host.to_owned(),
            reason: outcome.text.clone(),
            ..Failure::default()
        };
        self.add(&outbound.context.store, policy, Some(failure), unix_now()).await;
    }

    /// A domain says that it has an MTA-STS policy, and it cannot be had.
    pub(super) async fn no_policy(&self, outbound: &Outbound, domain: &str, why: &str) {
        if !outbound.settings.tls_reports {
            return;
        }
        let result = if why.starts_with(INVALID) { INVALID } else { "sts-policy-fetch-error" };
        let failure = Failure { result: result.to_owned(), reason: why.to_owned(), ..Failure::default() };
        let policy = Policy { kind: "sts".to_owned(), domain: domain.to_owned(), ..Policy::default() };
        self.add(&outbound.context.store, policy, Some(failure), unix_now()).await;
    }

    async fn add(&self, store: &Store, policy: Policy, failure: Option<Failure>, now_secs: i64) {
        let likeness = blake3::hash(policy.render().to_string().as_bytes());
        let domain = policy.domain.clone();
        let name = format!("{:08}/{domain}/{}", day_of(now_secs), likeness.to_hex().get(..16).unwrap_or_default());
        let octets = {
            let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            if rows.len() >= ROWS_MAX && !rows.contains_key(&name) {
                return;
            }
            let kept = rows.entry(name.clone()).or_insert(policy);
            kept.count(failure);
            [&[VERSION], kept.render().to_string().as_bytes()].concat()
        };
        if let Err(error) = store.trust_set(TrustKind::TlsCount, vec![(name, Some(octets))]).await {
            tracing::warn!(?error, "a session could not be counted for TLS reports");
        }
    }

    /// The days and domains that are over, with the names of their rows.
    fn over(&self, now_secs: i64) -> BTreeMap<(i64, String), (Vec<String>, Vec<Policy>)> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: BTreeMap<(i64, String), (Vec<String>, Vec<Policy>)> = BTreeMap::new();
        for (name, policy) in rows.iter() {
            let Some(Ok(day)) = name.split('/').next().map(str::parse::<i64>) else { continue };
            if day < day_of(now_secs) {
                let (names, policies) = found.entry((day, policy.domain.clone())).or_default();
                names.push(name.clone());
                policies.push(policy.clone());
            }
        }
        found
    }

    async fn forget(&self, store: &Store, names: &[String]) -> Result<(), StoreError> {
        store.trust_set(TrustKind::TlsCount, names.iter().map(|name| (name.clone(), None)).collect()).await?;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().for_each(|name| drop(rows.remove(name)));
        let reports: BTreeSet<&str> = names.iter().filter_map(|name| Some(name.rsplit_once('/')?.0)).collect();
        let mut posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        posted.retain(|(report, _)| !reports.contains(report.as_str()));
        Ok(())
    }
}

/// The policy a session was under, as a report shows it.
fn policy_of(domain: &str, guard: &Guard, sts: Option<&sts::Policy>) -> Policy {
    let records = |records: &[Tlsa]| records.iter().map(line).collect();
    let (kind, lines, mx) = match (guard, sts) {
        (Guard::Dane(_, tlsa) | Guard::Encrypted(tlsa), _) => ("tlsa", records(tlsa), Vec::new()),
        (Guard::Sts | Guard::Opportunistic, Some(policy)) if policy.mode != Mode::None => {
            ("sts", policy.render().lines().map(str::to_owned).collect(), policy.mx.clone())
        }
        _ => ("no-policy-found", Vec::new(), Vec::new()),
    };
    Policy { kind: kind.to_owned(), lines, domain: domain.to_owned(), mx, ..Policy::default() }
}

/// `3 1 1 1F850A33...` (RFC 6698 §2.2).
fn line(record: &Tlsa) -> String {
    let data = data_encoding::HEXUPPER.encode(&record.data);
    format!("{} {} {} {}", record.usage, record.selector, record.matching, data.get(..512).unwrap_or(&data))
}

/// Sends what is due, until the server drains.
pub(super) async fn run(outbound: Arc<Outbound>) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = outbound.context.draining() => return,
            _ = tick.tick() => send_due(&outbound, unix_now()).await,
        }
    }
}

/// Sends the reports of every day before that of `now_secs`.
pub(super) async fn send_due(outbound: &Outbound, now_secs: i64) {
    for ((day, domain), (names, policies)) in outbound.sessions.over(now_secs) {
        let answered = match outbound.settings.resolver.txt(&format!("_smtp._tls.{domain}")).await {
            Ok(texts) => Some(wanted(&texts)),
            Err(error) if error.is_temporary() => None,
            Err(_) => Some(Vec::new()),
        };
        let outcome = match answered {
            Some(to) => match send(outbound, (day, &domain), policies, &to, now_secs).await {
                Ok(false) if day_of(now_secs) - day <= POSTED_DAYS => Ok(()),
                Ok(_) => outbound.sessions.forget(&outbound.context.store, &names).await,
                Err(error) => Err(error),
            },
            None if day_of(now_secs) - day <= ASKED_DAYS => Ok(()),
            None => outbound.sessions.forget(&outbound.context.store, &names).await,
        };
        if let Err(error) = outcome {
            tracing::warn!(?error, domain, "a TLS report could not be sent");
        }
    }
}

/// `false`: somebody who wants it by HTTPS did not take it.
async fn send(
    outbound: &Outbound,
    (day, domain): (i64, &str),
    policies: Vec<Policy>,
    to: &[Wanted],
    now_secs: i64,
) -> Result<bool, StoreError> {
    let context = &outbound.context;
    let Some(own) = context.domains.first().filter(|_| !to.is_empty()) else { return Ok(true) };
    let report = Report {
        organization: own.clone(),
        contact: format!("postmaster@{own}"),
        id: format!("tls.{day}.{domain}@{}", context.hostname),
        begin_secs: day * 86_400,
        end_secs: (day + 1) * 86_400 - 1,
        policies,
    };
    let octets = packed(report.render().as_bytes()).map_err(|error| StoreError::Io(error.to_string()))?;
    let mut addresses = Vec::new();
    let mut all_taken = true;
    for wanted in to {
        match wanted {
            Wanted::Mail(address) => addresses.push(address.clone()),
            Wanted::Https(host, path) => all_taken &= hand_in(outbound, (day, domain), (host, path), &octets).await,
        }
    }
    if addresses.is_empty() {
        return Ok(all_taken);
    }
    let message = message(&report, (&context.hostname, own, domain), &addresses, (&octets, now_secs));
    let signature = context.trust.sign(&context.domains, message.as_bytes(), now_secs);
    let octets = bytes::Bytes::from(format!("{signature}{message}"));
    let facts = facts_of(octets.clone()).await?;
    let queue = addresses.iter().map(|to| entry(to, unix_now(), outbound.settings.schedule.lifetime_secs)).collect();
    let key = blake3::hash(format!("tls report {day} {domain}").as_bytes());
    let idempotency = key.as_bytes().first_chunk::<16>().copied();
    let body = Spooled::from_bytes(octets);
    context.store.accept(Acceptance { body, facts, deliveries: Vec::new(), queue, trace: Vec::new(), idempotency }).await?;
    tracing::info!(domain, day, "a TLS report is on its way");
    Ok(all_taken)
}

/// Posts it, once; `false`: it was not taken.
async fn hand_in(outbound: &Outbound, (day, domain): (i64, &str), (host, path): (&str, &str), octets: &[u8]) -> bool {
    let posted = || outbound.sessions.posted.lock().unwrap_or_else(PoisonError::into_inner);
    let name = (format!("{day:08}/{domain}"), format!("https://{host}{path}"));
    if posted().contains(&name) {
        return true;
    }
    match post(outbound, (host, path), octets).await {
        Ok(()) => posted().insert(name),
        Err(why) => {
            tracing::warn!(domain, host, why, "a TLS report could not be handed in");
            false
        }
    }
}

/// RFC 8460 §5.4.
async fn post(outbound: &Outbound, (host, path): (&str, &str), octets: &[u8]) -> Result<(), String> {
    let tls = outbound.verified.as_ref().ok_or("TLS is not available")?;
    let port = outbound.settings.sts_port.unwrap_or(443);
    let addresses = outbound.settings.resolver.addresses(host).await.map_err(|error| error.to_string())?;
    let ip = addresses
        .iter()
        .find(|ip| outbound.settings.tls_reports_reach.admits(**ip))
        .ok_or("it has no address that may be asked")?;
    let what = ("application/tlsrpt+gzip", octets, POST_LIMIT);
    let done = net::https::post(&outbound.settings.network, SocketAddr::new(*ip, port), (host, path), tls, what).await;
    done.map_err(|error| error.to_string())
}

/// RFC 8460 §5.3. It must arrive just when TLS does not work.
fn message(
    report: &Report,
    (hostname, own, domain): (&str, &str, &str),
    to: &[String],
    (packed, now_secs): (&[u8], i64),
) -> String {
    let name = format!("{hostname}!{domain}!{}!{}.json.gz", report.begin_secs, report.end_secs);
    let date = message::date::format_rfc_5322(now_secs);
    let (good, bad) = report.totals();
    format!(
        "From: <postmaster@{own}>\r\nTo: <{}>\r\nSubject: Report Domain: {domain} Submitter: {hostname} Report-ID: <{}>\r\nDate: {date}\r\nMessage-ID: <{}>\r\nTLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: {hostname}\r\nTLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=\"tlsrpt\"; boundary=\"report\"\r\n\r\n--report\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nTLS report about {domain} by {hostname}: {good} sessions as they should be, {bad} not.\r\n--report\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n{}\r\n--report--\r\n",
        to.join(">,\r\n <"),
        report.id,
        report.id,
        base64_lines(packed),
    )
}
