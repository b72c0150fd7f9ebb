//! DANE, MTA-STS, and what the trace tells of an attempt: a whole server over loopback, with a name server that proves what
//! it is told to, and a policy host.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::Settings;
use crate::smtp::tests::{Office, Options, Talk, read_inbox, wait_for};
use mta::queue::Schedule;
use net::dns_server::{DnsServer, Zone};
use net::{Connection, ListenAddr, Listener, Next, Resolver, TlsServer, Tlsa};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::KeptPolicy;
use wire::{Session, Step, Time};

struct There {
    office: Office,
    tls: Arc<TlsServer>,
    dir: tempfile::TempDir,
}

async fn there() -> There {
    let dir = tempfile::tempdir().unwrap();
    let names = ["mx.there.test".to_owned(), "mta-sts.there.test".to_owned(), "reports.there.test".to_owned()];
    let tls = Arc::new(TlsServer::self_signed(dir.path(), &names).unwrap());
    let options = Options::new("mx.there.test", &["there.test", "open.test", "also.test"], &["carol"]);
    let options = Options { tls: Some(Arc::clone(&tls)), ..options };
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

/// An office that sends so, with a message on its way from its Ann to Carol; and Ann's session.
async fn sent_to_carol(settings: &Settings) -> (Office, Talk) {
    let mut here = Office::open(Options::new("mx.here.test", &["here.test"], &["ann"])).await;
    here.send(settings.clone());
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    let text = "From: ann@here.test\r\nSubject: x\r\n\r\nHello.\r\n";
    let reply = talk.send("ann@here.test", &["carol@there.test"], text).await;
    assert!(reply.starts_with("250"), "{reply}");
    (here, talk)
}

/// Ann writes to Carol; whether it arrived, and what the trace tells.
async fn sent(there: &There, settings: Settings, arrives: bool) -> String {
    let (here, _talk) = sent_to_carol(&settings).await;
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
    let (here, mut talk) = sent_to_carol(&settings).await;
    let store = here.context.store.clone();
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
        kept = crate::trust::reports::kept(&there.office.context.store, None, |_, _, report| report).await.unwrap();
        if !kept.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let crate::trust::reports::Received::Tls(report) = &kept[0] else { panic!("{kept:?}") };
    let tlsa = report.policies.iter().find(|policy| policy.kind == "tlsa").expect("under DANE");
    assert_eq!((tlsa.domain.as_str(), tlsa.successful, tlsa.lines.len()), ("there.test", 0, 1));
    assert!(tlsa.failed > 0 && tlsa.failures[0].receiving_host == "mx.there.test", "{report:?}");
    assert_eq!(tlsa.failures[0].result, "validation-failure");
    here.close().await;
    there.office.close().await;
}

/// Until the trace of somebody's mail has this word.
async fn told(here: &Office, address: &str, word: &str) -> String {
    let mut trace = String::new();
    for _ in 0..500 {
        let found = mta::why::timeline(&here.context.store, address, None).await.unwrap();
        trace = found.iter().map(|(_, event)| format!("{}: {}\n", event.what, event.detail)).collect();
        if trace.contains(word) {
            return trace;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {word} in {trace}");
}

/// Two domains that nobody proves and one under DANE have the same host: a session that the first two may resume is not the third's.
#[tokio::test]
async fn a_resumed_session_is_no_way_around_dane() {
    let there = there().await;
    let mut zone = there.zone();
    zone.tlsa(&there.tlsa_name(), &wrong()).proven("there.test");
    zone.mx("open.test", 10, "mx.there.test").mx("also.test", 10, "mx.there.test");
    for domain in ["open.test", "also.test"] {
        there.office.account(&format!("carol@{domain}"), None).await;
    }
    let (_dns, settings) = settings(&there, zone).await;
    let mut here = Office::open(Options::new("mx.here.test", &["here.test"], &["ann"])).await;
    here.send(settings);
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    let text = "From: ann@here.test\r\nSubject: x\r\n\r\nHello.\r\n";
    for (to, word) in [("carol@open.test", "delivered: "), ("carol@also.test", " resumed, opportunistic\n")] {
        assert!(talk.send("ann@here.test", &[to], text).await.starts_with("250"));
        told(&here, to, word).await;
    }
    assert!(talk.send("ann@here.test", &["carol@there.test"], text).await.starts_with("250"));
    let trace = told(&here, "carol@there.test", "deferred: ").await;
    assert!(trace.contains("must be reached by TLS with a certificate that fits"), "{trace}");
    assert!(read_inbox(&there.office.context.store, "carol@there.test").await.is_empty());
    here.close().await;
    there.office.close().await;
}

/// One HTTP request, whole.
#[derive(Default)]
struct Request {
    octets: Vec<u8>,
    told: bool,
    answer: Vec<u8>,
}

impl Request {
    fn is_whole(&self) -> bool {
        let text = String::from_utf8_lossy(&self.octets);
        let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok()).unwrap();
        self.octets.len() >= head.len() + 4 + length
    }
}

impl Session for Request {
    type Event = ();
    fn receive(&mut self, bytes: &[u8]) {
        self.octets.extend_from_slice(bytes);
    }
    fn receive_end(&mut self) {}
    fn poll(&mut self, _now: Time) -> Step<()> {
        match (self.told, self.is_whole()) {
            (false, true) => {
                self.told = true;
                Step::Event(())
            }
            (true, _) => Step::Close,
            (false, false) => Step::Wait,
        }
    }
    fn transmit(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.answer);
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
    fn wants_input(&self) -> bool {
        !self.told
    }
    fn tls_started(&mut self) {}
}

/// Takes what is posted, with these answers in turn; what was asked.
async fn post_box(
    tls: &Arc<TlsServer>,
    answers: Vec<&'static str>,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let ListenAddr::Tcp(address) = listener.local() else { panic!("no TCP address") };
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let tls = Arc::clone(tls);
    tokio::spawn(async move {
        for answer in answers {
            let incoming = listener.accept().await.unwrap();
            let mut connection = Connection::server_tls(incoming, &tls, Duration::from_secs(10)).await.unwrap();
            let mut request = Request::default();
            while let Next::Event(()) = connection.next(&mut request).await {
                request.answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").into_bytes();
                sender.send(std::mem::take(&mut request.octets)).unwrap();
            }
        }
    });
    (address, receiver)
}

/// RFC 8460 §5.4: by POST over HTTPS whose certificate is verified; §5.5: what is not taken is tried again, what is taken is not.
#[tokio::test]
async fn a_report_about_tls_is_posted_until_it_is_taken() {
    let there = there().await;
    let (address, mut posted) = post_box(&there.tls, vec!["503 Not now", "201 Created"]).await;
    let mut zone = there.zone();
    zone.txt("_smtp._tls.there.test", "v=TLSRPTv1; rua=https://reports.there.test/v1/tls?x=y");
    zone.address("reports.there.test", [127, 0, 0, 1].into());
    let (_dns, mut settings) = settings(&there, zone).await;
    (settings.tls_reports, settings.sts_port) = (true, Some(address.port()));
    settings.extra_ca = Some(there.dir.path().join("self-signed.pem"));
    let inside = settings.clone();
    settings.tls_reports_reach = net::Reach::Loopback;
    let (here, _talk) = sent_to_carol(&settings).await;
    let store = here.context.store.clone();
    told(&here, "carol@there.test", "delivered: ").await;
    let outbound = super::Outbound::new(here.context.clone(), settings);
    outbound.sessions.load(&store).await.unwrap();
    let counted = async || store.trust_rows(store::TrustKind::TlsCount, "", None, 10).await.unwrap().len();
    // Whoever has the domain names any host: one of this house is not for him to name.
    let public_only = super::Outbound::new(here.context.clone(), inside);
    public_only.sessions.load(&store).await.unwrap();
    super::tls_reports::send_due(&public_only, crate::context::unix_now() + 86_400).await;
    assert!(posted.try_recv().is_err(), "to nobody within");
    for (taken, left) in [(false, 1), (true, 0)] {
        super::tls_reports::send_due(&outbound, crate::context::unix_now() + 86_400).await;
        let request = posted.recv().await.unwrap();
        let end = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&request[..end]);
        assert!(head.starts_with("POST /v1/tls?x=y HTTP/1.1\r\nHost: reports.there.test\r\n"), "{head}");
        assert!(head.contains("Content-Type: application/tlsrpt+gzip\r\n"), "{head}");
        let mut json = Vec::new();
        flate2::read::GzDecoder::new(&request[end..]).read_to_end(&mut json).unwrap();
        let report = trust::tls_report::Report::parse(&json).unwrap();
        assert_eq!((report.policies[0].domain.as_str(), report.totals()), ("there.test", (1, 0)), "{report:?}");
        assert_eq!(counted().await, left, "taken: {taken}");
    }
    super::tls_reports::send_due(&outbound, crate::context::unix_now() + 86_400).await;
    assert!(posted.try_recv().is_err(), "once it is taken it is not posted again");
    here.close().await;
    there.office.close().await;
}

/// Ann's server knows the policy with this MX since two days, under the id that DNS still has; the policy's host serves another, or
/// (`None`) is away.
async fn with_old_policy(known_mx: &str, served_mx: Option<&str>) -> (There, Office, DnsServer) {
    let there = there().await;
    let policy = |mx: &str| format!("version: STSv1\r\nmode: enforce\r\nmx: {mx}\r\nmax_age: 604800\r\n");
    let port = match served_mx {
        Some(mx) => policy_host(&there.tls, &policy(mx)).port(),
        None => 9,
    };
    let mut zone = there.zone();
    zone.txt("_mta-sts.there.test", "v=STSv1; id=1;").address("mta-sts.there.test", [127, 0, 0, 1].into());
    let (dns, mut settings) = settings(&there, zone).await;
    (settings.sts_port, settings.extra_ca) = (Some(port), Some(there.dir.path().join("self-signed.pem")));
    let mut here = Office::open(Options::new("mx.here.test", &["here.test"], &["ann"])).await;
    let since = crate::context::unix_now() - 2 * 86_400;
    let kept = KeptPolicy { id: "1".into(), fetched_secs: since, used_secs: since, text: policy(known_mx) };
    here.context.store.keep_policy("there.test", &kept).await.unwrap();
    here.send(settings);
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    let text = "From: ann@here.test\r\nSubject: x\r\n\r\nHello.\r\n";
    assert!(talk.send("ann@here.test", &["carol@there.test"], text).await.starts_with("250"));
    (there, here, dns)
}

#[tokio::test]
async fn a_policy_is_fetched_anew_each_day_though_its_id_stays() {
    let (there, here, _dns) = with_old_policy("*.other.test", Some("mx.there.test")).await;
    assert!(told(&here, "carol@there.test", "delivered: ").await.contains(", MTA-STS\n"));
    let kept = here.context.store.policy("there.test").await.unwrap().unwrap();
    let since = crate::context::unix_now() - 60;
    assert!(kept.id == "1" && kept.fetched_secs > since && kept.text.contains("mx: mx.there.test"), "{kept:?}");
    assert!(kept.used_secs > since, "{kept:?}");
    here.close().await;
    there.office.close().await;
}

#[tokio::test]
async fn a_policy_outlasts_its_host() {
    let (there, here, _dns) = with_old_policy("*.other.test", None).await;
    told(&here, "carol@there.test", "The MTA-STS policy of there.test does not name mx.there.test").await;
    assert!(read_inbox(&there.office.context.store, "carol@there.test").await.is_empty());
    here.close().await;
    there.office.close().await;
}

/// RFC 8461 §3.3, §10.2: what mail is still sent to does not wait for the next letter, and outlasts a host that is away.
#[tokio::test]
async fn a_kept_policy_is_fetched_anew_in_the_background_before_it_ends() {
    const DAY: i64 = 86_400;
    let there = there().await;
    let policy = |mx: &str| format!("version: STSv1\r\nmode: enforce\r\nmx: {mx}\r\nmax_age: 604800\r\n");
    let port = policy_host(&there.tls, &policy("new.there.test")).port();
    let mut zone = there.zone();
    zone.txt("_mta-sts.there.test", "v=STSv1; id=1;").address("mta-sts.there.test", [127, 0, 0, 1].into());
    let (_dns, mut settings) = settings(&there, zone).await;
    (settings.sts_port, settings.extra_ca) = (Some(port), Some(there.dir.path().join("self-signed.pem")));
    let here = Office::open(Options::new("mx.here.test", &["here.test"], &["ann"])).await;
    let store = here.context.store.clone();
    let row = async |domain: &str| store.policy(domain).await.unwrap();
    let now = crate::context::unix_now();
    let old = KeptPolicy { id: "1".into(), fetched_secs: now - 6 * DAY, used_secs: now - DAY, text: policy("old.there.test") };
    store.keep_policy("there.test", &old).await.unwrap();
    store.keep_policy("unused.there.test", &KeptPolicy { used_secs: now - 31 * DAY, ..old.clone() }).await.unwrap();
    store.keep_policy("over.there.test", &KeptPolicy { fetched_secs: now - 8 * DAY, ..old.clone() }).await.unwrap();
    let outbound = Arc::new(super::Outbound::new(here.context.clone(), settings.clone()));
    let mut failed = std::collections::HashMap::new();
    super::freshness::look(&outbound, &mut failed, now).await.unwrap();
    let fresh = row("there.test").await.unwrap();
    assert_eq!((fresh.fetched_secs, fresh.used_secs), (now, old.used_secs), "it was not used meanwhile");
    assert!(fresh.text.contains("mx: new.there.test"), "{fresh:?}");
    assert_eq!(row("unused.there.test").await.map(|kept| kept.fetched_secs), Some(old.fetched_secs), "left to end");
    assert_eq!(row("over.there.test").await, None);
    assert_eq!(super::freshness::look(&outbound, &mut failed, now + 1).await.unwrap(), now + 1 + 3_600, "nothing to do");
    // The host is away: what is kept stays until its time is over, and is asked for again and again.
    settings.sts_port = Some(9);
    let away = Arc::new(super::Outbound::new(here.context.clone(), settings));
    let again = super::freshness::look(&away, &mut failed, now + 2 * DAY).await.unwrap();
    assert!(again <= now + 2 * DAY + 3_600 && failed.contains_key("there.test"), "{again} {failed:?}");
    assert_eq!(row("there.test").await, Some(fresh));
    super::freshness::look(&away, &mut failed, now + 7 * DAY).await.unwrap();
    assert_eq!(row("there.test").await, None, "it ended");
    here.close().await;
    there.office.close().await;
}
