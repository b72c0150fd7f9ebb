//! DANE, MTA-STS, and what the trace tells of an attempt: a whole server over loopback, with a name server that proves what
//! it is told to, and a policy host.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::Settings;
use crate::smtp::tests::{Office, Options, Talk, read_inbox, wait_for};
use mta::queue::Schedule;
use net::dns_server::{DnsServer, Zone};
use net::{Connection, ListenAddr, Listener, Resolver, TlsServer, Tlsa};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

struct There {
    office: Office,
    tls: Arc<TlsServer>,
    dir: tempfile::TempDir,
}

async fn there() -> There {
    let dir = tempfile::tempdir().unwrap();
    let names = ["mx.there.test".to_owned(), "mta-sts.there.test".to_owned()];
    let tls = Arc::new(TlsServer::self_signed(dir.path(), &names).unwrap());
    let options = Options { tls: Some(Arc::clone(&tls)), ..Options::new("mx.there.test", &["there.test"], &["carol"]) };
    There { office: Office::open(options).await, tls, dir }
}

impl There {
    fn zone(&self) -> Zone {
        let mut zone = Zone::new();
        zone.mx("there.test", 10, "mx.there.test").address("mx.there.test", [127, 0, 0, 1].into());
        zone
    }

    fn tlsa_name(&self) -> String {
        format!("_{}._tcp.mx.there.test", self.office.mx.port())
    }

    /// 3 0 1 of its certificate.
    fn own(&self) -> Tlsa {
        let data = data_encoding::HEXLOWER.decode(self.tls.fingerprint().as_bytes()).unwrap();
        Tlsa { usage: 3, selector: 0, matching: 1, data }
    }
}

fn wrong() -> Tlsa {
    Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7; 32] }
}

async fn settings(there: &There, zone: Zone) -> (DnsServer, Settings) {
    let dns = DnsServer::start("127.0.0.1:0".parse().unwrap(), zone).await.unwrap();
    let resolver = Resolver::with_servers(vec![dns.local()]).unwrap().trusting(vec![dns.local()]);
    let mut settings = Settings::new(resolver);
    settings.schedule = Schedule { retry_secs: vec![1], ..Schedule::default() };
    settings.port = there.office.mx.port();
    (dns, settings)
}

/// Ann writes to Carol; whether it arrived, and what the trace tells.
async fn sent(there: &There, settings: Settings, arrives: bool) -> String {
    let mut here = Office::open(Options::new("mx.here.test", &["here.test"], &["ann"])).await;
    here.send(settings);
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    let reply = talk.send("ann@here.test", &["carol@there.test"], "From: ann@here.test\r\nSubject: x\r\n\r\nHello.\r\n").await;
    assert!(reply.starts_with("250"), "{reply}");
    let mut trace = String::new();
    for _ in 0..500 {
        let found = mta::why::timeline(&here.context.store, "carol@there.test", None).await.unwrap();
        trace = found.iter().map(|(_, event)| format!("{}: {}\n", event.what, event.detail)).collect();
        if trace.contains("delivered: ") || trace.contains("deferred: ") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if arrives {
        wait_for(&there.office.context.store, "carol@there.test", 1).await;
    } else {
        assert!(trace.contains("deferred: "), "{trace}");
        assert!(read_inbox(&there.office.context.store, "carol@there.test").await.is_empty());
    }
    here.close().await;
    trace
}

#[tokio::test]
async fn dane_takes_the_certificate_that_dnssec_vouches_for() {
    let there = there().await;
    let mut zone = there.zone();
    zone.tlsa(&there.tlsa_name(), &wrong()).tlsa(&there.tlsa_name(), &there.own()).proven("there.test");
    let (_dns, settings) = settings(&there, zone).await;
    let trace = sent(&there, settings, true).await;
    assert!(trace.contains("MX of there.test: 10 mx.there.test (proven by DNSSEC)"), "{trace}");
    assert!(trace.contains("TLSv1.3") && trace.contains(", DANE\n"), "{trace}");
    there.office.close().await;
}

#[tokio::test]
async fn dane_refuses_another_certificate_and_never_falls_back() {
    let there = there().await;
    let mut zone = there.zone();
    zone.tlsa(&there.tlsa_name(), &wrong()).proven("there.test");
    let (_dns, settings) = settings(&there, zone).await;
    let trace = sent(&there, settings, false).await;
    assert!(trace.contains("must be reached by TLS with a certificate that fits"), "{trace}");
    there.office.close().await;
}

#[tokio::test]
async fn records_that_nobody_proves_mean_nothing() {
    let there = there().await;
    let mut zone = there.zone();
    zone.tlsa(&there.tlsa_name(), &wrong());
    let (_dns, settings) = settings(&there, zone).await;
    let trace = sent(&there, settings, true).await;
    assert!(trace.contains(", opportunistic\n"), "{trace}");
    there.office.close().await;
}

#[tokio::test]
async fn records_without_use_still_demand_tls() {
    let there = there().await;
    let mut zone = there.zone();
    zone.tlsa(&there.tlsa_name(), &Tlsa { usage: 1, ..wrong() }).proven("there.test");
    let (_dns, settings) = settings(&there, zone).await;
    let trace = sent(&there, settings, true).await;
    assert!(trace.contains(", TLS required (TLSA records without use)\n"), "{trace}");
    there.office.close().await;
}

#[tokio::test]
async fn when_nobody_knows_whether_there_are_records_it_waits() {
    let there = there().await;
    let mut zone = there.zone();
    zone.servfail(&there.tlsa_name()).proven("there.test");
    let (_dns, settings) = settings(&there, zone).await;
    let trace = sent(&there, settings, false).await;
    assert!(trace.contains("Whether mx.there.test has TLSA records is not known"), "{trace}");
    there.office.close().await;
}

/// Serves this policy to everybody, as `mta-sts.there.test`.
fn policy_host(tls: &Arc<TlsServer>, policy: &str) -> SocketAddr {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let ListenAddr::Tcp(address) = listener.local() else { panic!("no TCP address") };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    let answer = format!("{head}Content-Length: {}\r\n\r\n{policy}", policy.len());
    let tls = Arc::clone(tls);
    tokio::spawn(async move {
        while let Ok(incoming) = listener.accept().await {
            if let Ok(connection) = Connection::server_tls(incoming, &tls, Duration::from_secs(10)).await {
                connection.say_and_close(answer.as_bytes()).await;
            }
        }
    });
    address
}

async fn with_policy(mode: &str, mx: &str, arrives: bool) -> String {
    let there = there().await;
    let policy = format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: 86400\r\n");
    let host = policy_host(&there.tls, &policy);
    let mut zone = there.zone();
    zone.txt("_mta-sts.there.test", "v=STSv1; id=20261128;").address("mta-sts.there.test", [127, 0, 0, 1].into());
    let (_dns, mut settings) = settings(&there, zone).await;
    settings.sts_port = Some(host.port());
    settings.extra_ca = Some(there.dir.path().join("self-signed.pem"));
    let trace = sent(&there, settings, arrives).await;
    there.office.close().await;
    trace
}

#[tokio::test]
async fn an_enforced_policy_names_the_host_and_its_certificate_is_verified() {
    let trace = with_policy("enforce", "mx.there.test", true).await;
    assert!(trace.contains("MTA-STS policy: Enforce, mx mx.there.test\n") && trace.contains(", MTA-STS\n"), "{trace}");
}

#[tokio::test]
async fn an_enforced_policy_that_does_not_name_the_host_keeps_the_mail_here() {
    let trace = with_policy("enforce", "*.other.test", false).await;
    assert!(trace.contains("The MTA-STS policy of there.test does not name mx.there.test"), "{trace}");
}

#[tokio::test]
async fn a_policy_on_trial_keeps_nothing_back() {
    let trace = with_policy("testing", "*.other.test", true).await;
    assert!(trace.contains("MTA-STS policy: Testing") && trace.contains(", opportunistic\n"), "{trace}");
}

/// A day of failing DANE and one session before it: told to the domain that asks, over the very server that fails; there it is read.
#[tokio::test]
async fn a_report_about_tls_goes_where_tls_fails() {
    let there = there().await;
    let mut zone = there.zone();
    zone.tlsa(&there.tlsa_name(), &wrong()).proven("there.test");
    zone.txt("_smtp._tls.there.test", "v=TLSRPTv1; rua=mailto:postmaster@there.test");
    let (_dns, mut settings) = settings(&there, zone).await;
    settings.tls_reports = true;
    let mut here = Office::open(Options::new("mx.here.test", &["here.test"], &["ann"])).await;
    here.send(settings.clone());
    let store = here.context.store.clone();
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    let text = "From: ann@here.test\r\nSubject: x\r\n\r\nHello.\r\n";
    assert!(talk.send("ann@here.test", &["carol@there.test"], text).await.starts_with("250"));
    for _ in 0..500 {
        if !store.trust_rows(store::TrustKind::TlsCount, "", None, 10).await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What its author lets go in the clear is not kept back by a policy.
    let lax = "From: ann@here.test\r\nTLS-Required: No\r\nSubject: lax\r\n\r\nHello.\r\n";
    assert!(talk.send("ann@here.test", &["carol@there.test"], lax).await.starts_with("250"));
    let carol = wait_for(&there.office.context.store, "carol@there.test", 1).await;
    assert!(carol[0].contains("Subject: lax"), "{}", carol[0]);
    let outbound = super::Outbound::new(here.context.clone(), settings);
    outbound.sessions.load(&store).await.unwrap();
    super::tls_reports::send_due(&outbound, crate::context::unix_now() + 86_400).await;
    let mail = wait_for(&there.office.context.store, "carol@there.test", 2).await;
    assert!(mail[1].contains("TLS-Report-Domain: there.test\r\n") && mail[1].contains("report-type=\"tlsrpt\""), "{}", mail[1]);
    let mut kept = Vec::new();
    for _ in 0..200 {
        kept = crate::trust::reports::kept(&there.office.context.store).await.unwrap();
        if !kept.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, _, crate::trust::reports::Received::Tls(report)) = &kept[0] else { panic!("{kept:?}") };
    let tlsa = report.policies.iter().find(|policy| policy.kind == "tlsa").expect("under DANE");
    assert_eq!((tlsa.domain.as_str(), tlsa.successful, tlsa.lines.len()), ("there.test", 0, 1));
    assert!(tlsa.failed > 0 && tlsa.failures[0].receiving_host == "mx.there.test", "{report:?}");
    assert_eq!(tlsa.failures[0].result, "validation-failure");
    here.close().await;
    there.office.close().await;
}
