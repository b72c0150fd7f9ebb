//! DMARC (RFC 9989): the author's domain, its policy found by walking up the tree, and whether SPF or DKIM speak for it.
//!
//! Invariant: at most eight questions a walk; trouble with DNS is `temperror`, never `fail`; without `p=` the policy is none.
//! Must not know: what the receiver does about it.

use crate::dns::{Dns, DnsError, together};
use crate::limits::{DMARC_AUTHORS_MAX, DMARC_URIS_MAX, DMARC_WALK_MAX};
use crate::tags::Tags;
use message::address_list::HeaderAddress;
use message::header::fields;

/// `p=`, `sp=`, `np=`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Nothing is asked for.
    None,
    /// Treat it with suspicion.
    Quarantine,
    /// Do not take it.
    Reject,
}

impl Policy {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Policy::None => "none",
            Policy::Quarantine => "quarantine",
            Policy::Reject => "reject",
        }
    }

    fn parse(word: &str) -> Option<Policy> {
        match word.to_ascii_lowercase().as_str() {
            "none" => Some(Policy::None),
            "quarantine" => Some(Policy::Quarantine),
            "reject" => Some(Policy::Reject),
            _ => None,
        }
    }

    /// `t=y`: one step milder (RFC 9989 §4.7).
    fn milder(self) -> Policy {
        if self == Policy::Reject { Policy::Quarantine } else { Policy::None }
    }
}

/// `psd=`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Psd {
    /// A public suffix: others live below it.
    Yes,
    /// The organizational domain.
    No,
    /// Nobody says.
    Unknown,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `p=`
    pub policy: Policy,
    /// `sp=`
    pub subdomains: Option<Policy>,
    /// `np=`
    pub nonexistent: Option<Policy>,
    /// `adkim=s`
    pub dkim_strict: bool,
    /// `aspf=s`
    pub spf_strict: bool,
    /// `psd=`
    pub psd: Psd,
    /// `t=y`
    pub testing: bool,
    /// `rua=`: the `mailto:` addresses, bounded.
    pub reports_to: Vec<String>,
}

impl Record {
    /// `None`: the text is no DMARC record.
    pub fn parse(text: &str) -> Option<Record> {
        let tags = Tags::parse(text)?;
        if tags.first() != Some(("v", "DMARC1")) {
            return None;
        }
        let policy = |name: &str| tags.get(name).and_then(Policy::parse);
        let is = |name: &str, value: &str| tags.get(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
        let psd = if is("psd", "y") {
            Psd::Yes
        } else if is("psd", "n") {
            Psd::No
        } else {
            Psd::Unknown
        };
        Some(Record {
            policy: policy("p").unwrap_or(Policy::None),
            subdomains: policy("sp"),
            nonexistent: policy("np"),
            dkim_strict: is("adkim", "s"),
            spf_strict: is("aspf", "s"),
            psd,
            testing: is("t", "y"),
            reports_to: uris(tags.get("rua").unwrap_or_default()),
        })
    }
}

/// `mailto:` addresses of a list; the size behind `!` means nothing any more (RFC 9990).
fn uris(list: &str) -> Vec<String> {
    let address = |uri: &str| -> Option<String> {
        let uri = uri.trim();
        let scheme = uri.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"))?;
        let rest = uri.get(scheme.len()..)?;
        let address = rest.split(['!', '?']).next()?;
        let good =
            address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && message::domain::is_domain(domain));
        good.then(|| address.to_owned())
    };
    list.split(',').filter_map(address).take(DMARC_URIS_MAX).collect()
}

/// What a walk found: each name that has a record, from the starting point up.
type Walk = Vec<(String, Record)>;

/// The names that are asked, in order (RFC 9989 §4.10): the domain, then with at most seven labels, one less each time.
fn names(domain: &str) -> Vec<String> {
    let labels: Vec<&str> = domain.split('.').collect();
    let mut names = vec![domain.to_owned()];
    let mut keep = (labels.len() - 1).min(DMARC_WALK_MAX - 1);
    while keep > 0 {
        names.push(labels.get(labels.len() - keep..).unwrap_or_default().join("."));
        keep -= 1;
    }
    names
}

/// The record at one name; several are none.
async fn record_at(dns: &dyn Dns, name: &str) -> Result<Option<Record>, DnsError> {
    match dns.txt(&format!("_dmarc.{name}")).await {
        Ok(texts) => {
            let mut found = texts.iter().filter_map(|text| Record::parse(text));
            let first = found.next();
            Ok(if found.next().is_some() { None } else { first })
        }
        Err(DnsError::NotFound | DnsError::NoData) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn walk(dns: &dyn Dns, domain: &str) -> Result<Walk, DnsError> {
    let mut found = Walk::new();
    for name in names(domain) {
        if let Some(record) = record_at(dns, &name).await? {
            let last = record.psd != Psd::Unknown;
            found.push((name, record));
            if last {
                break;
            }
        }
    }
    Ok(found)
}

/// The organizational domain (RFC 9989 §4.10.2).
fn organizational(domain: &str, walk: &Walk) -> String {
    match walk.last() {
        None => domain.to_owned(),
        Some((name, record)) if record.psd == Psd::Yes && name != domain => {
            // One label below the public suffix.
            let below = domain.strip_suffix(name.as_str()).and_then(|rest| rest.strip_suffix('.')).unwrap_or_default();
            let label = below.rsplit('.').next().unwrap_or_default();
            format!("{label}.{name}")
        }
        Some((name, _)) => name.clone(),
    }
}

/// RFC 8601's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmarcResult {
    /// No policy.
    None,
    /// SPF or DKIM speak for the author.
    Pass,
    /// Neither does.
    Fail,
    /// DNS did not answer.
    TempError,
    /// There is no author, or more than one could be meant.
    PermError,
}

impl DmarcResult {
    /// RFC 8601's word.
    pub fn word(self) -> &'static str {
        match self {
            DmarcResult::None => "none",
            DmarcResult::Pass => "pass",
            DmarcResult::Fail => "fail",
            DmarcResult::TempError => "temperror",
            DmarcResult::PermError => "permerror",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The result.
    pub result: DmarcResult,
    /// The domain of From, lower-case.
    pub author: String,
    /// What the domain asks for, for this message; `None` unless it failed.
    pub disposition: Policy,
    /// Where the record is, and the record.
    pub published: Option<(String, Record)>,
    /// SPF passed for an aligned domain.
    pub spf_aligned: bool,
    /// A signature of an aligned domain passed.
    pub dkim_aligned: bool,
}

impl Verdict {
    fn of(result: DmarcResult, author: &str) -> Verdict {
        Verdict {
            result,
            author: author.to_owned(),
            disposition: Policy::None,
            published: None,
            spf_aligned: false,
            dkim_aligned: false,
        }
    }
}

/// The domains of From, each once, lower-case; several From fields count as one list. Bounded.
pub fn authors(header: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for field in fields(header).filter(|field| field.is("From")).take(DMARC_AUTHORS_MAX) {
        for address in field.addresses().iter().filter_map(HeaderAddress::address) {
            let Some((_, domain)) = address.rsplit_once('@') else { continue };
            let domain = message::domain::to_ascii(domain.trim_end_matches('.')).unwrap_or_default();
            if message::domain::is_domain(&domain) && !found.contains(&domain) && found.len() < DMARC_AUTHORS_MAX {
                found.push(domain);
            }
        }
    }
    found
}

/// Who passed: the domain SPF passed for, and the domains of the signatures that did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Passed<'a> {
    /// SPF's domain.
    pub spf: Option<&'a str>,
    /// `d=` of each signature.
    pub dkim: &'a [String],
}

/// For all authors together: the one that is worst off decides.
pub async fn check(dns: &dyn Dns, header: &[u8], passed: Passed<'_>) -> Verdict {
    let authors = authors(header);
    if authors.is_empty() {
        return Verdict::of(DmarcResult::PermError, "");
    }
    let verdicts = together(authors.iter().map(|author| evaluate(dns, author, passed))).await;
    let rank = |verdict: &Verdict| match verdict.result {
        DmarcResult::Fail => (4, verdict.disposition),
        DmarcResult::TempError => (3, Policy::None),
        DmarcResult::PermError => (2, Policy::None),
        DmarcResult::None => (1, Policy::None),
        DmarcResult::Pass => (0, Policy::None),
    };
    verdicts.into_iter().max_by_key(rank).unwrap_or_else(|| Verdict::of(DmarcResult::PermError, ""))
}

/// For one author.
pub async fn evaluate(dns: &dyn Dns, author: &str, passed: Passed<'_>) -> Verdict {
    match try_evaluate(dns, author, passed).await {
        Ok(verdict) => verdict,
        Err(_) => Verdict::of(DmarcResult::TempError, author),
    }
}

async fn try_evaluate(dns: &dyn Dns, author: &str, passed: Passed<'_>) -> Result<Verdict, DnsError> {
    let walked = walk(dns, author).await?;
    let organization = organizational(author, &walked);
    // The author's own record, else the organization's, else the public suffix's (RFC 9989 §4.10.1).
    let at = |name: &str| walked.iter().find(|(known, _)| known == name);
    let suffix = || walked.last().filter(|(_, record)| record.psd == Psd::Yes);
    let Some((place, record)) = at(author).or_else(|| at(&organization)).or_else(suffix).cloned() else {
        return Ok(Verdict::of(DmarcResult::None, author));
    };
    let mut verdict = Verdict { published: Some((place.clone(), record.clone())), ..Verdict::of(DmarcResult::Fail, author) };
    let aligned = |domain: String, strict: bool| {
        let organization = organization.clone();
        async move { is_aligned(dns, author, &organization, &domain, strict).await }
    };
    if let Some(spf) = passed.spf {
        verdict.spf_aligned = aligned(spf.to_ascii_lowercase(), record.spf_strict).await?;
    }
    for domain in passed.dkim {
        if !verdict.dkim_aligned {
            verdict.dkim_aligned = aligned(domain.to_ascii_lowercase(), record.dkim_strict).await?;
        }
    }
    if verdict.spf_aligned || verdict.dkim_aligned {
        verdict.result = DmarcResult::Pass;
        return Ok(verdict);
    }
    let asked = if place == author {
        record.policy
    } else if record.nonexistent.is_some() && !exists(dns, author).await? {
        record.nonexistent.unwrap_or(record.policy)
    } else {
        record.subdomains.unwrap_or(record.policy)
    };
    verdict.disposition = if record.testing { asked.milder() } else { asked };
    Ok(verdict)
}

async fn is_aligned(dns: &dyn Dns, author: &str, organization: &str, domain: &str, strict: bool) -> Result<bool, DnsError> {
    if domain == author {
        return Ok(true);
    }
    // Who is not below the author's organization cannot have the same one: no need to ask.
    if strict || !crate::spf::is_under(domain, organization) {
        return Ok(false);
    }
    let walked = walk(dns, domain).await?;
    Ok(organizational(domain, &walked) == organization)
}

/// RFC 9989 §3.2.9: neither addresses nor mail exchangers.
async fn exists(dns: &dyn Dns, domain: &str) -> Result<bool, DnsError> {
    let there = |error: DnsError| if error.is_temporary() { Err(error) } else { Ok(false) };
    Ok(dns.ipv4(domain).await.map(|found| !found.is_empty()).or_else(there)?
        || dns.ipv6(domain).await.map(|found| !found.is_empty()).or_else(there)?
        || dns.mx(domain).await.map(|found| !found.is_empty()).or_else(there)?)
}

/// May reports about `about` go to an address at `receiver`? Its own organization always; others say so in DNS (RFC 9990 §4).
pub async fn takes_reports(dns: &dyn Dns, about: &str, receiver: &str) -> Result<bool, DnsError> {
    let (own, other) = (walk(dns, about).await?, walk(dns, receiver).await?);
    if organizational(about, &own) == organizational(receiver, &other) {
        return Ok(true);
    }
    match dns.txt(&format!("{about}._report._dmarc.{receiver}")).await {
        Ok(texts) => Ok(texts.iter().any(|text| Record::parse(text).is_some())),
        Err(DnsError::NotFound | DnsError::NoData) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::dns::tests::{Table, now};

    fn asked(dns: &Table, author: &str, spf: Option<&str>, dkim: &[&str]) -> Verdict {
        let dkim: Vec<String> = dkim.iter().map(|domain| (*domain).to_owned()).collect();
        now(evaluate(dns, author, Passed { spf, dkim: &dkim }))
    }

    #[test]
    fn records() {
        let record = Record::parse("v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=r; t=y; psd=n; pct=50; rua=mailto:a@x.test!10m,https://y, mailto:b@z.test").unwrap();
        assert_eq!(
            (record.policy, record.subdomains, record.nonexistent),
            (Policy::Reject, Some(Policy::Quarantine), Some(Policy::None))
        );
        assert!(record.dkim_strict && !record.spf_strict && record.testing && record.psd == Psd::No);
        assert_eq!(record.reports_to, ["a@x.test", "b@z.test"]);
        // Without p, or with one nobody knows, the policy is none.
        assert_eq!(Record::parse("v=DMARC1").unwrap().policy, Policy::None);
        assert_eq!(Record::parse("v = DMARC1 ; p = whatever;").unwrap().policy, Policy::None);
        for no in ["v=DMARC2; p=reject", "p=reject; v=DMARC1", "v=dmarc1; p=none", "v=DMARC1; p=none; p=reject", "", "spf"] {
            assert_eq!(Record::parse(no), None, "{no}");
        }
    }

    /// RFC 9989 §4.10: the example with many labels.
    #[test]
    fn at_most_eight_questions() {
        assert_eq!(
            names("a.b.c.d.e.f.g.h.i.j.mail.example.com"),
            [
                "a.b.c.d.e.f.g.h.i.j.mail.example.com",
                "g.h.i.j.mail.example.com",
                "h.i.j.mail.example.com",
                "i.j.mail.example.com",
                "j.mail.example.com",
                "mail.example.com",
                "example.com",
                "com",
            ]
        );
        assert_eq!(names("mail.example.com"), ["mail.example.com", "example.com", "com"]);
        assert_eq!(names("com"), ["com"]);
    }

    /// RFC 7489 appendix B.1, as RFC 9989 appendix B keeps it: identifiers in and out of alignment.
    #[test]
    fn alignment() {
        let dns = Table::default()
            .txt("_dmarc.example.com", "v=DMARC1; p=reject")
            .txt("_dmarc.strict.test", "v=DMARC1; p=reject; adkim=s; aspf=s");
        for (author, spf, dkim, pass) in [
            ("example.com", Some("example.com"), None, true),
            ("example.com", Some("child.example.com"), None, true),
            ("child.example.com", Some("example.com"), None, true),
            ("example.com", Some("example.net"), None, false),
            ("example.com", None, Some("example.com"), true),
            ("child.example.com", None, Some("other.example.com"), true),
            ("example.com", None, Some("sample.net"), false),
            ("example.com", None, Some("notexample.com"), false),
            ("example.com", None, Some("com"), false),
            ("strict.test", Some("strict.test"), None, true),
            ("strict.test", Some("sub.strict.test"), None, false),
            ("strict.test", None, Some("sub.strict.test"), false),
        ] {
            let dkim: Vec<&str> = dkim.into_iter().collect();
            let verdict = asked(&dns, author, spf, &dkim);
            assert_eq!(verdict.result == DmarcResult::Pass, pass, "{author} {spf:?} {dkim:?}");
            assert_eq!(verdict.disposition, if pass { Policy::None } else { Policy::Reject });
        }
    }

    #[test]
    fn which_policy_applies() {
        let dns = Table::default()
            .txt("_dmarc.org.test", "v=DMARC1; p=reject; sp=quarantine; np=reject")
            .ip("there.org.test", "192.0.2.1")
            .txt("_dmarc.trying.test", "v=DMARC1; p=reject; t=y")
            .txt("_dmarc.two.test", "v=DMARC1; p=reject")
            .txt("_dmarc.two.test", "v=DMARC1; p=none")
            .broken("_dmarc.broken.test");
        let of = |author: &str| asked(&dns, author, Some("elsewhere.test"), &[]);
        assert_eq!(of("org.test").disposition, Policy::Reject);
        assert_eq!(of("there.org.test").disposition, Policy::Quarantine);
        assert_eq!(of("nowhere.org.test").disposition, Policy::Reject);
        assert_eq!(of("trying.test").disposition, Policy::Quarantine);
        assert_eq!(of("two.test").result, DmarcResult::None);
        assert_eq!(of("none.test").result, DmarcResult::None);
        assert_eq!(of("broken.test").result, DmarcResult::TempError);
    }

    /// RFC 9989 §4.10.2: public suffixes say so themselves.
    #[test]
    fn public_suffixes() {
        let dns = Table::default()
            .txt("_dmarc.bank.test", "v=DMARC1; p=reject; psd=y")
            .txt("_dmarc.one.bank.test", "v=DMARC1; p=none")
            .txt("_dmarc.unit.corp.test", "v=DMARC1; p=reject; psd=n")
            .txt("_dmarc.corp.test", "v=DMARC1; p=none");
        // Two banks below one suffix are not aligned with each other.
        assert_eq!(asked(&dns, "one.bank.test", Some("two.bank.test"), &[]).result, DmarcResult::Fail);
        assert_eq!(asked(&dns, "mail.one.bank.test", Some("one.bank.test"), &[]).result, DmarcResult::Pass);
        // The suffix's policy holds for a bank without a record of its own.
        let verdict = asked(&dns, "two.bank.test", None, &[]);
        assert_eq!((verdict.disposition, verdict.published.unwrap().0.as_str()), (Policy::Reject, "bank.test"));
        // psd=n cuts a part of the organization off.
        assert_eq!(asked(&dns, "unit.corp.test", Some("corp.test"), &[]).result, DmarcResult::Fail);
        assert_eq!(asked(&dns, "unit.corp.test", Some("x.unit.corp.test"), &[]).result, DmarcResult::Pass);
    }

    #[test]
    fn who_the_authors_are() {
        assert_eq!(authors(b"From: \"evil@bank.test\" <a@X.test>\r\n\r\n"), ["x.test"]);
        assert_eq!(authors(b"From: a@x.test, b@y.test\r\nFrom: c@z.test\r\n\r\n"), ["x.test", "y.test", "z.test"]);
        assert!(authors(b"Subject: x\r\n\r\n").is_empty());
        let dns = Table::default().txt("_dmarc.y.test", "v=DMARC1; p=reject");
        let dkim = ["x.test".to_owned()];
        let verdict = now(check(&dns, b"From: a@x.test, b@y.test\r\n\r\n", Passed { spf: None, dkim: &dkim }));
        assert_eq!((verdict.result, verdict.author.as_str()), (DmarcResult::Fail, "y.test"));
        assert_eq!(now(check(&dns, b"To: x\r\n\r\n", Passed::default())).result, DmarcResult::PermError);
    }

    #[test]
    fn who_takes_reports() {
        let dns = Table::default().txt("_dmarc.a.test", "v=DMARC1").txt("a.test._report._dmarc.taker.test", "v=DMARC1");
        assert_eq!(now(takes_reports(&dns, "a.test", "mail.a.test")), Ok(true));
        assert_eq!(now(takes_reports(&dns, "a.test", "taker.test")), Ok(true));
        assert_eq!(now(takes_reports(&dns, "a.test", "victim.test")), Ok(false));
    }

    /// RFC 8616 §6: the author's domain in letters is that of the record and the alignment in A-labels.
    #[test]
    fn an_author_beyond_ascii() {
        let dns = Table::default().txt("_dmarc.xn--bcher-kva.test", "v=DMARC1; p=reject; aspf=s");
        let of = |domain: &str| authors(format!("From: x@{domain}\r\n\r\n").as_bytes()).remove(0);
        let author = of("b\u{fc}cher.test");
        assert_eq!((of("B\u{dc}CHER.test"), author.as_str()), (author.clone(), "xn--bcher-kva.test"));
        assert_eq!(asked(&dns, &author, Some("xn--bcher-kva.test"), &[]).result, DmarcResult::Pass);
        assert_eq!(asked(&dns, &author, None, &["xn--bcher-kva.test"]).result, DmarcResult::Pass);
        assert_eq!(asked(&dns, &author, Some("bucher.test"), &["bucher.test"]).result, DmarcResult::Fail);
    }
}
