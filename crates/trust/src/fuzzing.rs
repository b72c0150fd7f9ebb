//! The parsers of this crate as the fuzz targets see them: octets in, laws checked, nothing out.
#![allow(clippy::expect_used, clippy::panic)]

use crate::dkim::canon::{Canon, body_hash, field, without_b};
use crate::dkim::key::KeyRecord;
use crate::dkim::signature::{Algorithm, Signature};
use crate::dns::{Answer, Dns, DnsError};
use crate::{arc, dkim, dmarc, results, spf};
use message::header::fields;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Answers every TXT question with the octets at hand.
struct Echo(String);

fn ready<T: Send + 'static>(answer: Result<Vec<T>, DnsError>) -> Answer<'static, T> {
    Box::pin(std::future::ready(answer))
}

impl Dns for Echo {
    fn txt<'a>(&'a self, _: &'a str) -> Answer<'a, String> {
        ready(Ok(vec![self.0.clone()]))
    }
    fn ipv4<'a>(&'a self, name: &'a str) -> Answer<'a, Ipv4Addr> {
        ready(if name.len().is_multiple_of(2) { Ok(vec![Ipv4Addr::new(192, 0, 2, 1)]) } else { Err(DnsError::NotFound) })
    }
    fn ipv6<'a>(&'a self, _: &'a str) -> Answer<'a, Ipv6Addr> {
        ready(Err(DnsError::NoData))
    }
    fn mx<'a>(&'a self, name: &'a str) -> Answer<'a, (u16, String)> {
        ready(Ok(vec![(1, name.to_owned()), (2, "mx.test".to_owned())]))
    }
    fn ptr(&self, _: IpAddr) -> Answer<'_, String> {
        ready(Ok(vec!["mx.test".to_owned()]))
    }
}

fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// A record of SPF, read and followed; the same octets answer every question, so it may include itself.
pub fn spf_record(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets).into_owned();
    let _ = spf::record::Record::parse(&text);
    if let Some(read) = spf::macros::parse(&text, true) {
        let values = spf::macros::Values {
            local: "l",
            sender_domain: "x.test",
            domain: "x.test",
            ip: IpAddr::from([192, 0, 2, 1]),
            validated: "v.test",
            helo: "h.test",
            receiver: "r.test",
            now_secs: 1,
        };
        assert!(read.expand_domain(&values).len() <= 253 || !read.expand_domain(&values).contains('.'));
    }
    let question =
        spf::Question { ip: [192, 0, 2, 1].into(), sender: "l@x.test", helo: "h.test", receiver: "r.test", now_secs: 1 };
    let verdict = done(spf::check(&Echo(text), question));
    assert!(verdict.explanation.is_none_or(|words| !words.contains(['\r', '\n'])));
}

/// A key record, and a signature it is asked about.
pub fn dkim_key(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(key) = KeyRecord::parse(&text) {
        for algorithm in [Algorithm::RsaSha256, Algorithm::Ed25519Sha256] {
            assert!(key.verify(algorithm, b"data", &[0; 64]).is_err());
        }
    }
}

/// A signature field, its canonical forms, and a whole message that has it.
pub fn dkim_signature(octets: &[u8]) {
    for found in fields(octets).take(100) {
        let _ = Signature::parse(&found);
    }
    let taken = without_b(octets);
    assert_eq!(without_b(&taken), taken);
    for canon in [Canon::Simple, Canon::Relaxed] {
        let mut out = Vec::new();
        field(canon, octets, &mut out);
        assert!(out.ends_with(b"\r\n"));
        let mut again = Vec::new();
        field(canon, &out, &mut again);
        assert_eq!(again, out);
        assert_eq!(body_hash(canon, octets, Some(u64::MAX)).0, body_hash(canon, octets, None).0);
    }
    let found = done(dkim::verify(&Echo("v=DKIM1; p=AAAA".to_owned()), octets, 1));
    assert!(found.iter().all(|outcome| outcome.result != dkim::DkimResult::Pass));
}

/// A record of DMARC, found at every step of every walk.
pub fn dmarc_record(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets).into_owned();
    let read = dmarc::Record::parse(&text);
    let passed = [text.chars().take(60).collect::<String>(), "mail.x.test".to_owned()];
    let verdict = done(dmarc::evaluate(&Echo(text), "a.x.test", dmarc::Passed { spf: None, dkim: &passed }));
    assert_eq!(verdict.published.is_some(), read.is_some());
}

/// A message with an ARC chain.
pub fn arc_chain(octets: &[u8]) {
    let chain = done(arc::verify(&Echo("v=DKIM1; p=AAAA".to_owned()), octets, 1));
    assert_ne!(chain.result, arc::ArcResult::Pass);
}

/// Authentication-Results: what claims to be ours goes, and nothing is left that does.
pub fn forged_results(octets: &[u8]) {
    if let Some(left) = results::without_forged(octets, "mx.here.test") {
        assert!(left.len() < octets.len());
        assert_eq!(results::without_forged(&left, "mx.here.test"), None);
    }
    let _ = dmarc::authors(octets);
}

/// A TLS report and the record that asks for one: what is read is written so that it reads the same.
pub fn tls_report(octets: &[u8]) {
    if let Some(report) = crate::tls_report::Report::parse(octets) {
        let again = crate::tls_report::Report::parse(report.render().as_bytes()).expect("what we write we read");
        assert_eq!((again.policies, again.id), (report.policies, report.id));
    }
    for wanted in crate::tls_report::wanted(&[String::from_utf8_lossy(octets).into_owned()]) {
        let text = format!("{wanted:?}");
        assert!(!text.contains(char::is_control) && !text.contains("\\r") && !text.contains("\\n"), "{text}");
    }
}

/// An aggregate report: what is read is written so that it reads the same.
pub fn aggregate_report(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(report) = crate::aggregate::Report::parse(&text) {
        let again = crate::aggregate::Report::parse(&report.render()).expect("what we write we read");
        assert_eq!((again.rows.len(), again.totals()), (report.rows.len(), report.totals()));
    }
}

/// The local part of a recipient: only what was rewritten here leads back, and then to where it came from.
pub fn rewritten_address(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let srs = crate::srs::Srs::new(b"secret");
    const NOW: i64 = 1_795_000_000;
    if let Some(back) = srs.back(&text, NOW) {
        panic!("{text:?} leads to {back}");
    }
    let Some(rewritten) = srs.forward(&text, "here.test", NOW) else { return };
    let (local, _) = rewritten.rsplit_once('@').expect("an address");
    let back = srs.back(local, NOW).expect("the way back");
    if !crate::srs::is_rewritten(&text) {
        assert_eq!(back, text);
    }
}
