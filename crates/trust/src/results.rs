//! What is written on top of a message about all this: Authentication-Results (RFC 8601), Received-SPF (RFC 7208 §9.1).
//!
//! Invariant: nothing a stranger wrote can end the field or add a result; a field that says it is ours and came from outside is
//! taken away (RFC 8601 §5).

use crate::arc::{ArcResult, Chain};
use crate::dkim::Outcome;
use crate::dmarc::{self, DmarcResult};
use crate::iprev::Iprev;
use crate::spf;
use message::header::{fields, header_end};
use std::net::IpAddr;

/// All that was found out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Found<'a> {
    /// The peer.
    pub peer: Option<IpAddr>,
    /// Reverse DNS.
    pub iprev: Option<&'a Iprev>,
    /// HELO.
    pub helo: &'a str,
    /// MAIL FROM.
    pub reverse_path: &'a str,
    /// SPF.
    pub spf: Option<&'a spf::Verdict>,
    /// DKIM.
    pub dkim: &'a [Outcome],
    /// DMARC.
    pub dmarc: Option<&'a dmarc::Verdict>,
    /// ARC.
    pub arc: Option<&'a Chain>,
}

/// The body of the field: `authserv-id; method=result ...`.
pub fn body(server: &str, found: &Found<'_>) -> String {
    let mut results = Vec::new();
    if let (Some(iprev), Some(peer)) = (found.iprev, found.peer) {
        let name = match iprev {
            Iprev::Pass(name) => format!(" ({})", comment(name)),
            _ => String::new(),
        };
        results.push(format!("iprev={}{name} policy.iprev={}", iprev.word(), value(&peer.to_canonical().to_string())));
    }
    if let Some(verdict) = found.spf {
        let what = if verdict.of_helo {
            format!("smtp.helo={}", value(&verdict.domain))
        } else {
            format!("smtp.mailfrom={}", address(found.reverse_path, &verdict.domain))
        };
        results.push(format!("spf={}{} {what}", verdict.result.word(), reason(verdict.problem.as_deref())));
    }
    for outcome in found.dkim {
        results.push(dkim(outcome));
    }
    if found.dkim.is_empty() && found.dmarc.is_some() {
        results.push("dkim=none".to_owned());
    }
    if let Some(verdict) = found.dmarc {
        let policy = verdict.published.as_ref().map(|(_, record)| format!(" (p={})", record.policy.word())).unwrap_or_default();
        let asked = if verdict.result == DmarcResult::Fail {
            format!(" policy.dmarc={}", verdict.disposition.word())
        } else {
            String::new()
        };
        let author = if verdict.author.is_empty() { String::new() } else { format!(" header.from={}", value(&verdict.author)) };
        results.push(format!("dmarc={}{policy}{author}{asked}", verdict.result.word()));
    }
    if let Some(chain) = found.arc
        && chain.result != ArcResult::None
    {
        let sealers = if chain.sealers.is_empty() {
            String::new()
        } else {
            format!(" (i={} {})", chain.sealers.len(), comment(&chain.sealers.join(" ")))
        };
        results.push(format!("arc={}{sealers}{}", chain.result.word(), reason(chain.reason.as_deref())));
    }
    if results.is_empty() {
        results.push("none".to_owned());
    }
    format!("{};\r\n\t{}", value(server), results.join(";\r\n\t"))
}

fn dkim(outcome: &Outcome) -> String {
    let mut text = format!("dkim={}", outcome.result.word());
    if outcome.testing {
        text.push_str(" (testing)");
    }
    text.push_str(&reason(outcome.reason.as_deref()));
    for (name, what) in [("d", outcome.domain.as_str()), ("s", &outcome.selector), ("b", &outcome.b_start)] {
        if !what.is_empty() {
            text.push_str(&format!(" header.{name}={}", value(what)));
        }
    }
    if let Some(algorithm) = outcome.algorithm {
        text.push_str(&format!(" header.a={}", algorithm.word()));
    }
    text
}

/// The whole field.
pub fn field(server: &str, found: &Found<'_>) -> String {
    format!("Authentication-Results: {}\r\n", body(server, found))
}

/// RFC 7208 §9.1.
pub fn received_spf(server: &str, found: &Found<'_>) -> String {
    let (Some(verdict), Some(peer)) = (found.spf, found.peer) else { return String::new() };
    let identity = if verdict.of_helo { "helo" } else { "mailfrom" };
    let problem = verdict.problem.as_deref().map(|why| format!(" ({})", comment(why))).unwrap_or_default();
    format!(
        "Received-SPF: {}{problem}\r\n\tclient-ip={}; identity={identity};\r\n\tenvelope-from={}; helo={};\r\n\treceiver={}\r\n",
        verdict.result.word(),
        value(&peer.to_canonical().to_string()),
        quoted(found.reverse_path),
        value(found.helo),
        value(server),
    )
}

/// `header` (perhaps with body behind it) without the Authentication-Results fields that claim to be ours. `None`: there is none.
pub fn without_forged(head: &[u8], server: &str) -> Option<Vec<u8>> {
    let header = head.get(..header_end(head)).unwrap_or(head);
    let claims = |field: &message::header::Field<'_>| {
        field.is("Authentication-Results")
            && message::authentication_results::parse(&field.value()).is_none_or(|read| read.server.eq_ignore_ascii_case(server))
    };
    let forged: Vec<(usize, usize)> = fields(header).filter(claims).map(|field| (field.start, field.end)).collect();
    if forged.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(head.len());
    let mut at = 0;
    for (start, end) in forged {
        out.extend_from_slice(head.get(at..start).unwrap_or_default());
        at = end;
    }
    out.extend_from_slice(head.get(at..).unwrap_or_default());
    Some(out)
}

/// A value as RFC 2045 allows it bare, else between quotes.
fn value(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~/".contains(c);
    if !text.is_empty() && text.len() <= 255 && text.chars().all(bare) && !text.contains('/') {
        text.to_owned()
    } else {
        quoted(text)
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().filter(|c| !c.is_control()).take(320) {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// `local@domain` where that is harmless, else the domain alone.
fn address(whole: &str, domain: &str) -> String {
    match whole.rsplit_once('@') {
        Some((local, _)) if local.chars().all(|c| c.is_ascii_alphanumeric() || "-._+=".contains(c)) && local.len() <= 64 => {
            format!("{local}@{}", value(domain))
        }
        _ => value(domain),
    }
}

fn comment(text: &str) -> String {
    text.chars().filter(|c| (c.is_ascii_graphic() || *c == ' ') && !"()\\".contains(*c)).take(200).collect()
}

fn reason(why: Option<&str>) -> String {
    why.map(|why| format!(" reason={}", quoted(&why.chars().take(200).collect::<String>()))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::dkim::DkimResult;
    use crate::dkim::signature::Algorithm;
    use crate::spf::SpfResult;
    use message::authentication_results::parse;

    fn found() -> (spf::Verdict, Vec<Outcome>, dmarc::Verdict) {
        let spf = spf::Verdict {
            result: SpfResult::Fail,
            domain: "there.test".into(),
            of_helo: false,
            explanation: None,
            problem: None,
        };
        let dkim = Outcome {
            result: DkimResult::Fail,
            domain: "there.test".into(),
            selector: "s1".into(),
            identity: None,
            algorithm: Some(Algorithm::RsaSha256),
            b_start: "ab/cd+=".into(),
            reason: Some("the body was \"changed\"".into()),
            testing: false,
        };
        let dmarc = dmarc::Verdict {
            result: DmarcResult::Fail,
            author: "there.test".into(),
            disposition: dmarc::Policy::Reject,
            published: dmarc::Record::parse("v=DMARC1; p=reject").map(|record| ("there.test".to_owned(), record)),
            spf_aligned: false,
            dkim_aligned: false,
        };
        (spf, vec![dkim], dmarc)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (spf, dkim, dmarc) = found();
        let iprev = Iprev::Pass("mx.there.test".into());
        let found = Found {
            peer: Some([192, 0, 2, 1].into()),
            iprev: Some(&iprev),
            helo: "mx.there.test",
            reverse_path: "a+b@there.test",
            spf: Some(&spf),
            dkim: &dkim,
            dmarc: Some(&dmarc),
            arc: None,
        };
        let read = parse(body("mx.here.test", &found).as_bytes()).unwrap();
        assert_eq!(read.server, "mx.here.test");
        assert_eq!(
            read.results.iter().map(|r| format!("{}={}", r.method, r.result)).collect::<Vec<_>>(),
            ["iprev=pass", "spf=fail", "dkim=fail", "dmarc=fail"]
        );
        assert_eq!(read.result("spf").unwrap().property("smtp.mailfrom"), Some("a+b@there.test"));
        assert_eq!(read.result("dkim").unwrap().property("header.b"), Some("ab/cd+="));
        assert_eq!(read.result("dkim").unwrap().reason.as_deref(), Some("the body was \"changed\""));
        assert_eq!(read.result("dmarc").unwrap().property("policy.dmarc"), Some("reject"));
        assert!(field("mx.here.test", &found).lines().all(|line| line.len() < 200));
        assert!(
            received_spf("mx.here.test", &found).starts_with("Received-SPF: fail\r\n\tclient-ip=192.0.2.1; identity=mailfrom;")
        );
        assert_eq!(parse(body("x.test", &Found::default()).as_bytes()).unwrap().results, []);
    }

    #[test]
    fn strangers_words_cannot_add_a_result() {
        let (mut spf, mut dkim, mut dmarc) = found();
        let evil = "x.test; dmarc=pass (\r\nX-Injected: y\") \\";
        spf.domain = evil.into();
        spf.problem = Some(evil.into());
        dkim[0].domain = evil.into();
        dkim[0].reason = Some(evil.into());
        dmarc.author = evil.into();
        let found = Found {
            peer: Some([192, 0, 2, 1].into()),
            helo: evil,
            reverse_path: evil,
            spf: Some(&spf),
            dkim: &dkim,
            dmarc: Some(&dmarc),
            ..Found::default()
        };
        for text in [field("here.test", &found), received_spf("here.test", &found)] {
            assert_eq!(fields(text.as_bytes()).count(), 1, "{text}");
        }
        let read = parse(body("here.test", &found).as_bytes()).unwrap();
        assert_eq!(
            read.results.iter().map(|r| format!("{}={}", r.method, r.result)).collect::<Vec<_>>(),
            ["spf=fail", "dkim=fail", "dmarc=fail"]
        );
    }

    #[test]
    fn only_what_claims_to_be_ours_goes() {
        let head = b"A: 1\r\nAuthentication-Results: (x) MX.Here.test 1;\r\n dmarc=pass\r\nAuthentication-Results: other.test; spf=pass\r\nauthentication-results:\r\n mx.here.test; none\r\nB: 2\r\n\r\nAuthentication-Results: mx.here.test; body";
        assert_eq!(
            String::from_utf8(without_forged(head, "mx.here.test").unwrap()).unwrap(),
            "A: 1\r\nAuthentication-Results: other.test; spf=pass\r\nB: 2\r\n\r\nAuthentication-Results: mx.here.test; body"
        );
        assert_eq!(without_forged(b"A: 1\r\n\r\n", "x"), None);
    }
}
