//! May this address send for that domain (RFC 7208)?
//!
//! Invariant: at most ten terms ask DNS and at most two answers are empty, across includes and redirects; a record is read whole
//! before it is believed. Must not know: what is done with the verdict.

pub mod macros;
pub mod record;

use crate::dns::{Dns, DnsError};
use crate::iprev::leads_to;
use crate::limits::{SPF_EXPLANATION_BYTES_MAX, SPF_LOOKUPS_MAX, SPF_MX_HOSTS_MAX, SPF_PTR_NAMES_MAX, SPF_VOID_LOOKUPS_MAX};
use macros::{MacroString, Values};
use record::{Cidr, Mechanism, Qualifier, Record};
use std::net::IpAddr;
use std::pin::Pin;

/// RFC 7208 §2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpfResult {
    /// No record, or nothing to check.
    None,
    /// The domain says nothing about this address.
    Neutral,
    /// It may.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// DNS did not answer.
    TempError,
    /// The record cannot be read, or asks for too much.
    PermError,
}

impl SpfResult {
    /// RFC 8601's word, which is RFC 7208's too.
    pub fn word(self) -> &'static str {
        match self {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::TempError => "temperror",
            SpfResult::PermError => "permerror",
        }
    }
}

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The peer.
    pub ip: IpAddr,
    /// MAIL FROM; empty is the null reverse-path, for which HELO stands in (§2.4).
    pub sender: &'a str,
    /// HELO or EHLO.
    pub helo: &'a str,
    /// Our name, for explanations.
    pub receiver: &'a str,
    /// Now.
    pub now_secs: i64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The result.
    pub result: SpfResult,
    /// Whose record was asked, lower-case.
    pub domain: String,
    /// The null reverse-path: HELO was checked.
    pub of_helo: bool,
    /// The domain's own words about a failure (§6.2): not ours, and to be shown as such.
    pub explanation: Option<String>,
    /// What went wrong, for an error.
    pub problem: Option<String>,
}

/// `check_host()` for MAIL FROM, or for HELO when that is null.
pub async fn check(dns: &dyn Dns, question: Question<'_>) -> Verdict {
    let of_helo = question.sender.is_empty();
    let (local, domain) = match question.sender.rsplit_once('@') {
        Some(("", domain)) => ("postmaster", domain),
        Some((local, domain)) => (local, domain),
        None => ("postmaster", if of_helo { question.helo } else { question.sender }),
    };
    let domain = ascii(domain);
    let mut check =
        Check { dns, question, local, sender_domain: domain.clone(), lookups: 0, voids: 0, problem: None, said: None };
    let result = check.host(domain.clone(), true).await;
    let explanation = if result == SpfResult::Fail { check.explanation().await } else { None };
    Verdict { result, domain, of_helo, explanation, problem: check.problem }
}

fn ascii(domain: &str) -> String {
    let domain = domain.trim_end_matches('.');
    message::domain::to_ascii(domain).unwrap_or_else(|| domain.to_ascii_lowercase())
}

/// §4.3: something that DNS can be asked about.
fn is_askable(domain: &str) -> bool {
    domain.len() <= 253 && domain.contains('.') && domain.split('.').all(|label| !label.is_empty() && label.len() <= 63)
}

struct Check<'a> {
    dns: &'a dyn Dns,
    question: Question<'a>,
    local: &'a str,
    sender_domain: String,
    lookups: usize,
    voids: usize,
    problem: Option<String>,
    /// Where the explanation of the failure is, and for which domain.
    said: Option<(MacroString, String)>,
}

/// Why evaluation ends early.
type Stop = SpfResult;

impl Check<'_> {
    fn stop(&mut self, result: SpfResult, why: impl Into<String>) -> Stop {
        self.problem.get_or_insert(why.into());
        result
    }

    /// The recursion is boxed; its depth is bounded by the lookups.
    fn host(&mut self, domain: String, outermost: bool) -> Pin<Box<dyn Future<Output = SpfResult> + Send + '_>> {
        Box::pin(async move {
            match self.evaluate(&domain, outermost).await {
                Ok(result) | Err(result) => result,
            }
        })
    }

    async fn record(&mut self, domain: &str) -> Result<Option<Record>, Stop> {
        if !is_askable(domain) {
            return Ok(None);
        }
        let texts = match self.dns.txt(domain).await {
            Ok(texts) => texts,
            Err(DnsError::NotFound | DnsError::NoData) => return Ok(None),
            Err(error) => return Err(self.stop(SpfResult::TempError, format!("TXT of {domain}: {error}"))),
        };
        let mut found = texts.iter().filter(|text| record::is_record(text));
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(text), None) => Record::parse(text)
                .map(Some)
                .map_err(|term| self.stop(SpfResult::PermError, format!("the record of {domain} cannot be read: {term}"))),
            (Some(_), Some(_)) => Err(self.stop(SpfResult::PermError, format!("{domain} has more than one record"))),
        }
    }

    async fn evaluate(&mut self, domain: &str, outermost: bool) -> Result<SpfResult, Stop> {
        let Some(record) = self.record(domain).await? else { return Ok(SpfResult::None) };
        for (qualifier, mechanism) in &record.directives {
            if !self.matches(mechanism, domain).await? {
                continue;
            }
            let result = match qualifier {
                Qualifier::Pass => SpfResult::Pass,
                Qualifier::Fail => SpfResult::Fail,
                Qualifier::SoftFail => SpfResult::SoftFail,
                Qualifier::Neutral => SpfResult::Neutral,
            };
            if result == SpfResult::Fail && outermost {
                self.said = record.explanation.clone().map(|explanation| (explanation, domain.to_owned()));
            }
            return Ok(result);
        }
        let Some(redirect) = &record.redirect else { return Ok(SpfResult::Neutral) };
        self.count()?;
        let target = self.expand(redirect, domain).await;
        match self.host(target.clone(), outermost).await {
            SpfResult::None => Err(self.stop(SpfResult::PermError, format!("redirect to {target}, which has no record"))),
            other => Ok(other),
        }
    }

    /// A term that asks DNS (§4.6.4).
    fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > SPF_LOOKUPS_MAX {
            return Err(self.stop(SpfResult::PermError, format!("more than {SPF_LOOKUPS_MAX} terms ask DNS")));
        }
        Ok(())
    }

    /// Empty answers are counted, trouble ends the evaluation.
    fn answered<T>(&mut self, answer: Result<Vec<T>, DnsError>, what: &str) -> Result<Vec<T>, Stop> {
        match answer {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) | Err(DnsError::NotFound | DnsError::NoData) => {
                self.voids += 1;
                if self.voids > SPF_VOID_LOOKUPS_MAX {
                    return Err(self.stop(SpfResult::PermError, format!("more than {SPF_VOID_LOOKUPS_MAX} empty answers")));
                }
                Ok(Vec::new())
            }
            Err(error) => Err(self.stop(SpfResult::TempError, format!("{what}: {error}"))),
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        let ip = self.question.ip.to_canonical();
        // RFC 8616 §4: a local part beyond ASCII is no name in DNS, and never matches.
        if !self.local.is_ascii() && mechanism.target().is_some_and(MacroString::wants_local) {
            return Ok(false);
        }
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4(network, length) => Ok(covers(IpAddr::V4(*network), *length, ip)),
            Mechanism::Ip6(network, length) => Ok(covers(IpAddr::V6(*network), *length, ip)),
            Mechanism::Include(target) => {
                self.count()?;
                let target = self.expand(target, domain).await;
                match self.host(target.clone(), false).await {
                    SpfResult::Pass => Ok(true),
                    SpfResult::Fail | SpfResult::SoftFail | SpfResult::Neutral => Ok(false),
                    SpfResult::None => Err(self.stop(SpfResult::PermError, format!("include of {target}, which has no record"))),
                    error => Err(error),
                }
            }
            Mechanism::A(target, cidr) => {
                self.count()?;
                let target = self.target(target.as_ref(), domain).await;
                self.host_matches(&target, *cidr, true).await
            }
            Mechanism::Mx(target, cidr) => {
                self.count()?;
                let target = self.target(target.as_ref(), domain).await;
                self.mx_matches(&target, *cidr).await
            }
            Mechanism::Ptr(target) => {
                self.count()?;
                let target = self.target(target.as_ref(), domain).await;
                Ok(self.validated(&target).await.is_some_and(|name| is_under(&name, &target)))
            }
            Mechanism::Exists(target) => {
                self.count()?;
                let target = self.expand(target, domain).await;
                if !is_askable(&target) {
                    return Ok(false);
                }
                let answer = self.dns.ipv4(&target).await;
                Ok(!self.answered(answer, &format!("A of {target}"))?.is_empty())
            }
        }
    }

    async fn mx_matches(&mut self, target: &str, cidr: Cidr) -> Result<bool, Stop> {
        if !is_askable(target) {
            return Ok(false);
        }
        let answer = self.dns.mx(target).await;
        let hosts = self.answered(answer, &format!("MX of {target}"))?;
        if hosts.len() > SPF_MX_HOSTS_MAX {
            return Err(self.stop(SpfResult::PermError, format!("{target} has more than {SPF_MX_HOSTS_MAX} mail exchangers")));
        }
        for (_, host) in hosts {
            if self.host_matches(&host, cidr, false).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Is the peer one of this host's addresses? `counted`: an empty answer is one of those that are counted.
    async fn host_matches(&mut self, host: &str, cidr: Cidr, counted: bool) -> Result<bool, Stop> {
        if !is_askable(host) {
            return Ok(false);
        }
        let ip = self.question.ip.to_canonical();
        let (answer, length) = match ip {
            IpAddr::V4(_) => (self.dns.ipv4(host).await.map(|found| found.into_iter().map(IpAddr::V4).collect()), cidr.v4),
            IpAddr::V6(_) => (self.dns.ipv6(host).await.map(|found| found.into_iter().map(IpAddr::V6).collect()), cidr.v6),
        };
        let found: Vec<IpAddr> = match answer {
            Err(DnsError::NotFound | DnsError::NoData) if !counted => Vec::new(),
            other => self.answered(other, &format!("addresses of {host}"))?,
        };
        Ok(found.into_iter().any(|network| covers(network, length, ip)))
    }

    /// A name of the peer that leads back to it, the best for `domain` (§5.5). Trouble is no match.
    async fn validated(&mut self, domain: &str) -> Option<String> {
        let names = match self.dns.ptr(self.question.ip.to_canonical()).await {
            Ok(names) => names,
            Err(_) => return None,
        };
        let mut good: Vec<String> = Vec::new();
        for name in names.iter().take(SPF_PTR_NAMES_MAX) {
            if leads_to(self.dns, name, self.question.ip).await.unwrap_or(false) {
                good.push(name.to_ascii_lowercase());
            }
        }
        let exact = good.iter().position(|name| name.eq_ignore_ascii_case(domain));
        let under = good.iter().position(|name| is_under(name, domain));
        let at = exact.or(under).unwrap_or(0);
        (at < good.len()).then(|| good.swap_remove(at))
    }

    async fn target(&mut self, spec: Option<&MacroString>, domain: &str) -> String {
        match spec {
            Some(spec) => self.expand(spec, domain).await,
            None => domain.to_owned(),
        }
    }

    async fn expand(&mut self, spec: &MacroString, domain: &str) -> String {
        let validated = self.validated_if(spec, domain).await;
        spec.expand_domain(&self.values(domain, &validated))
    }

    async fn validated_if(&mut self, spec: &MacroString, domain: &str) -> String {
        let found = if spec.wants_validated() { self.validated(domain).await } else { None };
        found.unwrap_or_else(|| "unknown".to_owned())
    }

    fn values<'v>(&'v self, domain: &'v str, validated: &'v str) -> Values<'v> {
        Values {
            local: self.local,
            sender_domain: &self.sender_domain,
            domain,
            ip: self.question.ip,
            validated,
            helo: self.question.helo,
            receiver: self.question.receiver,
            now_secs: self.question.now_secs,
        }
    }

    /// §6.2: exactly one TXT record, ASCII, its macros expanded; whatever goes wrong means that there is none.
    async fn explanation(&mut self) -> Option<String> {
        let (spec, domain) = self.said.take()?;
        let name = self.expand(&spec, &domain).await;
        if !is_askable(&name) {
            return None;
        }
        let texts = self.dns.txt(&name).await.ok()?;
        let [text] = texts.as_slice() else { return None };
        let parsed = macros::parse(text, true)?;
        let validated = self.validated_if(&parsed, &domain).await;
        let words = parsed.expand(&self.values(&domain, &validated));
        let words: String = words.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(SPF_EXPLANATION_BYTES_MAX).collect();
        (!words.is_empty()).then_some(words)
    }
}

/// `name` is `domain` or below it.
pub fn is_under(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.to_ascii_lowercase(), domain.to_ascii_lowercase());
    name == domain || name.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

fn covers(network: IpAddr, length: u8, ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(u32::from(length))).unwrap_or(0);
            network.to_bits() & mask == ip.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(u32::from(length))).unwrap_or(0);
            network.to_bits() & mask == ip.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
