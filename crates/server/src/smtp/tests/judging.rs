//! A small Internet of our own: a name server with SPF, DKIM, DMARC and lists, strangers with true and forged mail, and what
//! becomes of it. One scenario a test; the strangers come from 127.0.0.1 and are judged because the policy says so.

use super::office::{Office, Options, Talk, read_inbox, read_mailbox, wait_for};
use crate::outbound;
use crate::trust::{Dmarc, Helo, Policy, Settings, TempErrors, keys, srs};
use net::Resolver;
use net::dns_server::{DnsServer, Zone};
use std::net::SocketAddr;
use store::Store;
use trust::dkim::key::KeyKind;
use trust::dkim::private::{SigningKey, generate};
use trust::dkim::sign::{Signer, sign};

const TEXT: &str = "From: Ann <ann@there.test>\r\nTo: bob@here.test\r\nSubject: hello\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@there.test>\r\n\r\nHow are you?\r\n";

fn signer(domain: &str) -> Signer {
    let key = SigningKey::from_pkcs8(KeyKind::Ed25519, &generate(KeyKind::Ed25519).unwrap()).unwrap();
    Signer { domain: domain.to_owned(), selector: "s".to_owned(), key }
}

fn signed(text: &str, by: &Signer) -> String {
    let (header, body) = text.split_at(message::header::header_end(text.as_bytes()));
    format!("{}{text}", sign(header.as_bytes(), body.as_bytes(), &[by], crate::context::unix_now()))
}

/// The world: there.test sends from 127.0.0.1 and has a key; forged.test and junked.test send from elsewhere.
fn world(there: &Signer) -> Zone {
    let mut zone = Zone::new();
    zone.txt("there.test", "v=spf1 ip4:127.0.0.1 -all").txt("_dmarc.there.test", "v=DMARC1; p=reject");
    zone.txt("s._domainkey.there.test", &there.key.record());
    zone.txt("forged.test", "v=spf1 ip4:192.0.2.1 -all exp=why.forged.test").txt("_dmarc.forged.test", "v=DMARC1; p=reject");
    zone.txt("why.forged.test", "%{c} is not ours");
    zone.txt("junked.test", "v=spf1 ip4:192.0.2.1 ~all").txt("_dmarc.junked.test", "v=DMARC1; p=quarantine");
    zone.txt("calm.test", "v=spf1 ip4:127.0.0.1 -all");
    zone.ptr([127, 0, 0, 1].into(), "mx.there.test").address("mx.there.test", [127, 0, 0, 1].into());
    zone
}

struct Scene {
    office: Office,
    dns: Resolver,
    _server: DnsServer,
}

async fn scene(zone: Zone, policy: Policy) -> Scene {
    let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), zone).await.unwrap();
    let dns = Resolver::with_servers(vec![server.local()]).unwrap();
    let mut options = Options::new("mx.here.test", &["here.test"], &["bob"]);
    let policy = Policy { loopback: true, ..policy };
    options.trust =
        Settings { resolver: Some(dns.clone()), policy, srs: Some(trust::srs::Srs::new(b"secret")), ..Settings::default() };
    Scene { office: Office::open(options).await, dns, _server: server }
}

impl Scene {
    async fn talk(&self) -> Talk {
        Talk::to(self.office.mx, "EHLO mx.there.test").await
    }
    async fn send(&self, from: &str, text: &str) -> String {
        self.talk().await.send(from, &["bob@here.test"], text).await
    }
    async fn inbox(&self) -> Vec<String> {
        read_inbox(&self.office.context.store, "bob@here.test").await
    }
}

#[tokio::test]
async fn pass_is_written_on_top_and_into_the_trace() {
    let there = signer("there.test");
    let scene = scene(world(&there), Policy::default()).await;
    assert!(scene.send("ann@there.test", &signed(TEXT, &there)).await.starts_with("250"));
    let inbox = scene.inbox().await;
    let lines: Vec<&str> = inbox[0].lines().collect();
    assert_eq!(lines[0], "Return-Path: <ann@there.test>");
    assert_eq!(lines[1], "Authentication-Results: mx.here.test;");
    for part in [
        // The resolver itself knows the name of 127.0.0.1.
        "iprev=pass (localhost) policy.iprev=127.0.0.1",
        "spf=pass smtp.mailfrom=ann@there.test",
        "dkim=pass header.d=there.test header.s=s",
        "dmarc=pass (p=reject) header.from=there.test",
        "Received-SPF: pass\r\n\tclient-ip=127.0.0.1;",
    ] {
        assert!(inbox[0].contains(part), "{part}: {}", inbox[0]);
    }
    let trace = scene.office.context.store.trace_find("address", "ann@there.test", 100).await.unwrap();
    let judged = trace.iter().find(|event| event.what == "judged").expect("judged");
    assert!(judged.detail.contains("TXT there.test: \"v=spf1 ip4:127.0.0.1 -all\""), "{}", judged.detail);
    assert!(judged.detail.contains("_dmarc.there.test"), "{}", judged.detail);
    scene.office.close().await;
}

#[tokio::test]
async fn forged_mail_is_refused_and_mark_only_marks() {
    let there = signer("there.test");
    let forged = TEXT.replace("there.test", "forged.test");
    let scene_one = scene(world(&there), Policy::default()).await;
    let reply = scene_one.send("ann@forged.test", &forged).await;
    assert!(reply.starts_with("550 5.7.26"), "{reply}");
    // The envelope's own domain does not help when the author is another.
    let reply = scene_one.send("eve@calm.test", &forged).await;
    assert!(reply.starts_with("550 5.7.26"), "{reply}");
    // Nor does a second author whom everything speaks for.
    let two = TEXT.replace("From: Ann <ann@there.test>", "From: Ann <ann@there.test>, x@forged.test");
    assert!(scene_one.send("ann@there.test", &signed(&two, &there)).await.starts_with("550 5.7.26"));
    assert_eq!(scene_one.inbox().await.len(), 0);
    scene_one.office.close().await;
    let marking = scene(world(&there), Policy { dmarc: Dmarc::Mark, ..Policy::default() }).await;
    assert!(marking.send("ann@forged.test", &forged).await.starts_with("250"));
    assert!(marking.inbox().await[0].contains("dmarc=fail (p=reject) header.from=forged.test policy.dmarc=reject"));
    marking.office.close().await;
}

#[tokio::test]
async fn quarantine_goes_into_the_junk_mailbox() {
    let scene = scene(world(&signer("there.test")), Policy::default()).await;
    assert!(scene.send("ann@junked.test", &TEXT.replace("there.test", "junked.test")).await.starts_with("250"));
    assert_eq!(scene.inbox().await.len(), 0);
    assert_eq!(read_mailbox(&scene.office.context.store, "bob@here.test", "Junk").await.len(), 1);
    scene.office.close().await;
}

#[tokio::test]
async fn a_mangling_list_is_believed_only_with_a_trusted_seal() {
    let (there, list) = (signer("there.test"), signer("lists.test"));
    let mut zone = world(&there);
    zone.txt("lists.test", "v=spf1 ip4:127.0.0.1 -all").txt("s._domainkey.lists.test", &list.key.record());
    let mangled = signed(TEXT, &there).replace("How are you?", "How are you?\r\n-- \r\nThe list");
    let sealed = |results: &str| {
        let (header, body) = mangled.split_at(message::header::header_end(mangled.as_bytes()));
        let chain = trust::arc::Chain { result: trust::arc::ArcResult::None, reason: None, sealers: vec![], found: vec![] };
        let set =
            trust::arc::seal(header.as_bytes(), body.as_bytes(), &chain, results, &list, crate::context::unix_now()).unwrap();
        format!("{set}{mangled}")
    };
    let good = sealed("lists.test; dkim=pass header.d=there.test; dmarc=pass header.from=there.test");
    let scene_one = scene(zone.clone(), Policy::default()).await;
    assert!(scene_one.send("bounce@lists.test", &mangled).await.starts_with("550 5.7.26"));
    assert!(scene_one.send("bounce@lists.test", &good).await.starts_with("550 5.7.26"), "nobody trusts that list");
    scene_one.office.close().await;
    let trusting = scene(zone, Policy { trusted_sealers: vec!["lists.test".into()], ..Policy::default() }).await;
    assert!(trusting.send("bounce@lists.test", &good).await.starts_with("250"));
    assert!(trusting.inbox().await[0].contains("arc=pass (i=1 lists.test)"));
    let bad = sealed("lists.test; dmarc=fail header.from=there.test");
    assert!(trusting.send("bounce@lists.test", &bad).await.starts_with("550 5.7.26"), "the list itself saw a forgery");
    trusting.office.close().await;
}

#[tokio::test]
async fn trouble_with_dns_is_never_a_refusal_for_good() {
    let there = signer("there.test");
    let mut zone = world(&there);
    zone.servfail("_dmarc.there.test");
    let scene_one = scene(zone.clone(), Policy::default()).await;
    assert!(scene_one.send("ann@there.test", TEXT).await.starts_with("250"));
    assert!(scene_one.inbox().await[0].contains("dmarc=temperror header.from=there.test"));
    scene_one.office.close().await;
    let deferring = scene(zone, Policy { temp_errors: TempErrors::Defer, ..Policy::default() }).await;
    let reply = deferring.send("ann@there.test", TEXT).await;
    assert!(reply.starts_with("451 4.7.24"), "{reply}");
    deferring.office.close().await;
    // The policy is known, but the key that might have spoken for the message is not.
    let mut zone = world(&there);
    zone.servfail("s._domainkey.there.test").txt("other.test", "v=spf1 -all");
    let keyless = scene(zone, Policy::default()).await;
    let reply = keyless.send("ann@other.test", &signed(TEXT, &there)).await;
    assert!(reply.starts_with("451 4.7.26"), "{reply}");
    keyless.office.close().await;
}

#[tokio::test]
async fn signatures_that_do_not_count_are_named() {
    let there = signer("there.test");
    let mut zone = world(&there);
    zone.txt("small._domainkey.there.test", "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL51HHGaDTFPCPmzHKmsPBKmPYnhUvNxVxwmjCNKMbZCtGYJGvcWpWvgVnpFVzrHXkWpMXGXbNcIUKwmFXZoFBECAwEAAQ==");
    let scene = scene(zone, Policy::default()).await;
    let good = signed(TEXT, &there);
    let small = good.replace("s=s;", "s=small;").replace("a=ed25519-sha256", "a=rsa-sha256");
    let expired = good.replace("; s=s; t=", "; s=s; x=1700000000; t=1600000000; n=");
    for (text, word) in [
        (&small, "dkim=policy reason=\"the key has only 512 bits\""),
        (&expired, "dkim=fail reason=\"the signature has expired\""),
        (&good.replace("s=s;", "s=none;"), "dkim=permerror reason=\"there is no key\""),
        (&good.replace("How", "Who"), "dkim=fail reason=\"the body was changed\""),
    ] {
        // SPF speaks for it, so it comes in.
        assert!(scene.send("ann@there.test", text).await.starts_with("250"));
        let last = scene.inbox().await.pop().unwrap();
        assert!(last.contains(word) && last.contains("dmarc=pass"), "{word}: {last}");
    }
    scene.office.close().await;
}

#[tokio::test]
async fn what_claims_to_be_our_verdict_goes() {
    let scene = scene(world(&signer("there.test")), Policy::default()).await;
    let text =
        format!("Authentication-Results: MX.here.test; dmarc=pass\r\nAuthentication-Results: mx.there.test; spf=pass\r\n{TEXT}");
    assert!(scene.send("ann@there.test", &text).await.starts_with("250"));
    let inbox = scene.inbox().await;
    assert_eq!(inbox[0].to_lowercase().matches("authentication-results: mx.here.test").count(), 1, "{}", inbox[0]);
    assert!(inbox[0].contains("Authentication-Results: mx.there.test; spf=pass"));
    scene.office.close().await;
}

#[tokio::test]
async fn lists_of_addresses_and_spf_at_rcpt() {
    let mut zone = world(&signer("there.test"));
    zone.address("1.0.0.127.bl.test", [127, 0, 0, 2].into());
    let listed = scene(zone.clone(), Policy { dnsbl: vec!["bl.test".into(), "gone.test".into()], ..Policy::default() }).await;
    let mut talk = listed.talk().await;
    assert!(talk.say("MAIL FROM:<ann@there.test>").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<nobody@here.test>").await.starts_with("550 5.1.1"));
    assert!(talk.say("RCPT TO:<bob@here.test>").await.starts_with("550 5.7.1"));
    assert!(talk.say("RCPT TO:<postmaster@here.test>").await.starts_with("250"), "the postmaster hears everybody");
    listed.office.close().await;
    zone.address("1.0.0.127.wl.test", [127, 0, 9, 3].into());
    let policy = Policy { dnsbl: vec!["bl.test".into()], dnswl: vec!["wl.test".into()], spf_refuse: true, ..Policy::default() };
    let welcome = scene(zone, policy).await;
    assert!(welcome.send("ann@there.test", TEXT).await.starts_with("250"));
    let mut talk = welcome.talk().await;
    assert!(talk.say("MAIL FROM:<ann@forged.test>").await.starts_with("250"));
    let reply = talk.say("RCPT TO:<bob@here.test>").await;
    assert!(reply.starts_with("550 5.7.23") && reply.contains("forged.test says: 127.0.0.1 is not ours"), "{reply}");
    welcome.office.close().await;
}

#[tokio::test]
async fn strangers_come_again() {
    let scene = scene(world(&signer("there.test")), Policy { greylist: true, ..Policy::default() }).await;
    let mut talk = scene.talk().await;
    assert!(talk.say("MAIL FROM:<ann@there.test>").await.starts_with("250"));
    let reply = talk.say("RCPT TO:<bob@here.test>").await;
    assert!(reply.starts_with("451 4.7.1"), "{reply}");
    let (context, ip) = (&scene.office.context, "127.0.0.1".parse().unwrap());
    let later = crate::context::unix_now() + 120;
    assert!(context.trust.greylist.admits(&context.store, ip, "ann@there.test", "bob@here.test", later).await);
    // Also after a restart.
    let fresh = crate::trust::greylist::Greylist::default();
    fresh.load(&context.store).await.unwrap();
    assert!(fresh.admits(&context.store, ip, "new@there.test", "bob@here.test", later).await);
    assert!(scene.send("ann@there.test", TEXT).await.starts_with("250"));
    scene.office.close().await;
}

/// Nobody on this machine is judged, delayed or refused unless the configuration says so.
#[tokio::test]
async fn loopback_is_left_alone() {
    let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), world(&signer("there.test"))).await.unwrap();
    let mut options = Options::new("mx.here.test", &["here.test"], &["bob"]);
    let policy = Policy { greylist: true, spf_refuse: true, dnsbl: vec!["bl.test".into()], ..Policy::default() };
    let resolver = Some(Resolver::with_servers(vec![server.local()]).unwrap());
    options.trust = Settings { resolver, policy, ..Settings::default() };
    let office = Office::open(options).await;
    let mut talk = Talk::to(office.mx, "EHLO x").await;
    assert!(talk.send("ann@forged.test", &["bob@here.test"], &TEXT.replace("there", "forged")).await.starts_with("250"));
    assert!(!read_inbox(&office.context.store, "bob@here.test").await[0].contains("Authentication-Results"));
    office.close().await;
}

async fn key(store: &Store, office: &Office, domain: &str) -> Vec<keys::KeyRow> {
    let now_secs = crate::context::unix_now();
    let made = keys::make(store, domain, now_secs, now_secs).await.unwrap();
    office.context.trust.keys.reload(store).await.unwrap();
    made
}

/// What our people send is signed by both keys of their domain, and another server finds that they are ours.
#[tokio::test]
async fn what_is_submitted_is_signed_and_passes_elsewhere() {
    let mut sender = Office::open(Options::new("mx.here.test", &["here.test"], &["ann"])).await;
    let store = sender.context.store.clone();
    let made = key(&store, &sender, "here.test").await;
    let mut zone = Zone::new();
    zone.txt("_dmarc.here.test", "v=DMARC1; p=reject").mx("there.test", 10, "mx.there.test");
    for row in &made {
        zone.txt(&format!("{}._domainkey.here.test", row.selector), &row.signer().unwrap().key.record());
    }
    let receiver = receiving(zone, "mx.there.test", "there.test").await;
    sender.send(settings(&receiver.dns, "mx.there.test", receiver.office.mx));
    let mut talk = Talk::signed_in(sender.submission, "ann@here.test").await;
    let text = "From: ann@here.test\r\nTo: bob@there.test\r\nSubject: signed\r\n\r\nHello\r\n";
    assert!(talk.send("ann@here.test", &["bob@there.test"], text).await.starts_with("250"));
    let inbox = wait_for(&receiver.office.context.store, "bob@there.test", 1).await;
    assert_eq!(inbox[0].matches("dkim=pass").count(), 2, "{}", inbox[0]);
    assert!(
        inbox[0].contains("header.a=rsa-sha256")
            && inbox[0].contains("header.a=ed25519-sha256")
            && inbox[0].contains("dmarc=pass")
    );
    sender.close().await;
    receiver.office.close().await;
}

async fn receiving(zone: Zone, hostname: &'static str, domain: &'static str) -> Scene {
    let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), zone).await.unwrap();
    let dns = Resolver::with_servers(vec![server.local()]).unwrap();
    let mut options = Options::new(hostname, Box::leak(Box::new([domain])), &["bob"]);
    let policy = Policy { loopback: true, ..Policy::default() };
    options.trust = Settings { resolver: Some(dns.clone()), policy, ..Settings::default() };
    Scene { office: Office::open(options).await, dns, _server: server }
}

fn settings(dns: &Resolver, host: &str, address: SocketAddr) -> outbound::Settings {
    let mut settings = outbound::Settings::new(dns.clone());
    settings.routes.insert(host.to_owned(), address);
    settings
}

/// Forwarded with a reverse-path of ours, sealed; the bounce finds its way back, and nothing else does.
#[tokio::test]
async fn forwards_are_rewritten_and_bounces_come_back() {
    let there = signer("there.test");
    let mut zone = world(&there);
    zone.mx("far.test", 10, "mx.far.test").mx("there.test", 10, "mx.origin.test");
    let mut forwarder = scene(zone, Policy { arc_seal: true, ..Policy::default() }).await;
    forwarder.office.alias("fwd@here.test", &["bob@far.test"]).await;
    forwarder.office.alias("@here.test", &["bob@here.test"]).await;
    let store = forwarder.office.context.store.clone();
    key(&store, &forwarder.office, "here.test").await;
    let far = receiving(Zone::new(), "mx.far.test", "far.test").await;
    let origin = Office::open(Options::new("mx.origin.test", &["there.test"], &["ann"])).await;
    let mut settings = settings(&forwarder.dns, "mx.far.test", far.office.mx);
    settings.routes.insert("mx.origin.test".to_owned(), origin.mx);
    forwarder.office.send(settings);
    let mut talk = forwarder.talk().await;
    assert!(talk.send("ann@there.test", &["fwd@here.test"], &signed(TEXT, &there)).await.starts_with("250"));
    let inbox = wait_for(&far.office.context.store, "bob@far.test", 1).await;
    let path = inbox[0].lines().next().unwrap().strip_prefix("Return-Path: <").unwrap().trim_end_matches('>').to_owned();
    assert!(path.starts_with("SRS0=") && path.ends_with("=there.test=ann@here.test"), "{path}");
    assert!(inbox[0].contains("ARC-Seal: i=1") && inbox[0].contains("cv=none"));
    // A bounce to it goes to who sent it; it is not for anybody else to use.
    let report = "From: <mailer-daemon@far.test>\r\nTo: x@here.test\r\nSubject: failed\r\n\r\nno\r\n";
    assert!(talk.say("MAIL FROM:<eve@calm.test>").await.starts_with("250"));
    assert!(talk.say(&format!("RCPT TO:<{path}>")).await.starts_with("550 5.7.1"));
    assert!(talk.say("RSET").await.starts_with("250"));
    assert!(talk.send("", &[&path], report).await.starts_with("250"));
    let back = wait_for(&origin.context.store, "ann@there.test", 1).await;
    assert!(back[0].starts_with("Return-Path: <>") && back[0].contains("Subject: failed"), "{}", back[0]);
    assert!(talk.say("MAIL FROM:<>").await.starts_with("250"));
    let torn = path.replace("=ann@", "=eve@");
    assert!(talk.say(&format!("RCPT TO:<{torn}>")).await.starts_with("550 5.1.1"), "forged");
    // The catch-all takes the rest.
    assert!(talk.say("RCPT TO:<whoever+x@here.test>").await.starts_with("250"));
    forwarder.office.close().await;
    far.office.close().await;
    origin.close().await;
}

/// A day is over: one report, to the address that wants it and not to the one that does not; and there it is found in the mail.
#[tokio::test]
async fn a_report_of_the_day_is_sent_and_read() {
    let mut zone = world(&signer("there.test"));
    zone.txt("_dmarc.asking.test", "v=DMARC1; p=reject; rua=mailto:postmaster@asking.test,mailto:x@victim.test");
    zone.txt("asking.test", "v=spf1 ip4:127.0.0.1 -all").mx("asking.test", 10, "mx.asking.test");
    let mut scene = scene(zone, Policy { reports: true, ..Policy::default() }).await;
    let context = scene.office.context.clone();
    let asking = Office::open(Options::new("mx.asking.test", &["asking.test"], &["ann"])).await;
    scene.office.send(settings(&scene.dns, "mx.asking.test", asking.mx));
    let text = TEXT.replace("there.test", "asking.test");
    assert!(scene.send("ann@asking.test", &text).await.starts_with("250"));
    assert!(scene.send("ann@asking.test", &text).await.starts_with("250"));
    assert!(scene.send("eve@calm.test", &text).await.starts_with("550"));
    let again = crate::trust::counts::Counts::default();
    again.load(&context.store).await.unwrap();
    let tomorrow = crate::context::unix_now() + 86_400;
    assert_eq!(again.over(tomorrow).values().map(Vec::len).sum::<usize>(), 2, "kept in the store");
    crate::trust::reports::send_due(&context, tomorrow).await;
    crate::trust::reports::send_due(&context, tomorrow).await;
    let mail = wait_for(&asking.context.store, "ann@asking.test", 1).await;
    assert!(mail[0].contains("To: <postmaster@asking.test>\r\n") && !mail[0].contains("victim"), "{}", mail[0]);
    let mut kept = Vec::new();
    for _ in 0..200 {
        kept = crate::trust::reports::kept(&asking.context.store, None, |_, _, report| report).await.unwrap();
        if !kept.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let crate::trust::reports::Received::Dmarc(report) = &kept[0] else { panic!("{kept:?}") };
    assert_eq!((report.domain.as_str(), report.organization.as_str(), report.totals()), ("asking.test", "here.test", (3, 1)));
    assert!(report.rows.iter().any(|row| row.disposition == "reject" && row.count == 1));
    scene.office.close().await;
    asking.close().await;
}

/// The secret is made once and kept.
#[tokio::test]
async fn the_secret_of_rewriting_stays() {
    let office = Office::open(Options::new("mx.here.test", &["here.test"], &[])).await;
    let store = &office.context.store;
    let (one, two) = (srs(store).await.unwrap(), srs(store).await.unwrap());
    let made = one.forward("a@b.test", "here.test", 0).unwrap();
    assert_eq!(two.back(made.rsplit_once('@').unwrap().0, 0).as_deref(), Some("a@b.test"));
    office.close().await;
}

/// What a stranger calls itself, how soon it speaks, how much it brings.
#[tokio::test]
async fn strangers_have_rules_that_the_configuration_sets() {
    let there = signer("there.test");
    let policy = Policy { helo: Helo::Strict, slow_answer_secs: 1, messages_per_hour: 6, ..Policy::default() };
    let scene = scene(world(&there), policy).await;
    for (name, answer) in [
        ("mx.here.test", "550 5.7.1 You are not mx.here.test"),
        ("laptop", "550 5.7.1 A full name is wanted"),
        ("[192.0.2.9]", "550 5.7.1 [192.0.2.9] is not your address"),
        ("gone.test", "550 5.7.1 There is no host gone.test"),
        ("[127.0.0.1]", "250"),
    ] {
        let mut talk = Talk::to(scene.office.mx, &format!("EHLO {name}")).await;
        assert!(talk.say("MAIL FROM:<ann@there.test>").await.starts_with("250"));
        let reply = talk.say("RCPT TO:<bob@here.test>").await;
        assert!(reply.starts_with(answer), "{name}: {reply}");
        assert!(talk.say("RCPT TO:<postmaster@here.test>").await.starts_with("250"));
    }
    let mut talk = scene.talk().await;
    assert!(talk.say("MAIL FROM:<ann@there.test>").await.starts_with("250"));
    let began = std::time::Instant::now();
    for number in 0..4 {
        assert!(talk.say(&format!("RCPT TO:<nobody{number}@here.test>")).await.starts_with("550 5.1.1"));
        assert_eq!(began.elapsed().as_millis() >= 1_000, number == 3, "{number}: {:?}", began.elapsed());
    }
    assert!(talk.say("RSET").await.starts_with("250"));
    assert!(talk.say("MAIL FROM:<ann@there.test>").await.starts_with("450 4.7.1 Too much mail"));
    scene.office.close().await;
}

#[tokio::test]
async fn strangers_wait_for_the_greeting_and_come_not_too_often() {
    let there = signer("there.test");
    let policy = Policy { greeting_delay_secs: 1, connections_per_minute: 2, ..Policy::default() };
    let scene = scene(world(&there), policy).await;
    let mut hasty = Talk::silent(scene.office.mx).await;
    hasty.write("EHLO mx.there.test\r\n").await;
    assert!(hasty.reply().await.starts_with("554 5.5.0 You spoke before"));
    let began = std::time::Instant::now();
    scene.talk().await;
    assert!(began.elapsed().as_millis() >= 1_000);
    let mut often = Talk::silent(scene.office.mx).await;
    let reply = often.reply().await;
    assert!(reply.starts_with("421 4.7.0 Too many connections"), "{reply}");
    scene.office.close().await;
}

/// A named proxy speaks for somebody, who is then judged; who is not named cannot.
#[tokio::test]
async fn xclient_is_for_named_proxies() {
    let there = signer("there.test");
    let mut options = Options::new("mx.here.test", &["here.test"], &["bob"]);
    let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), world(&there)).await.unwrap();
    let dns = Resolver::with_servers(vec![server.local()]).unwrap();
    options.trust = Settings { resolver: Some(dns), ..Settings::default() };
    options.xclient_from = vec!["127.0.0.1".parse().unwrap()];
    let office = Office::open(options).await;
    let mut talk = Talk::to(office.mx, "EHLO proxy.test").await;
    assert!(
        talk.send("ann@forged.test", &["bob@here.test"], &TEXT.replace("there", "forged")).await.starts_with("250"),
        "its own mail"
    );
    assert!(talk.say("XCLIENT ADDR=192.0.2.77 NAME=bad.test").await.starts_with("220"));
    assert!(talk.say("EHLO mx.forged.test").await.starts_with("250"));
    let reply = talk.send("ann@forged.test", &["bob@here.test"], &TEXT.replace("there", "forged")).await;
    assert!(reply.starts_with("550 5.7.26"), "{reply}");
    assert!(talk.say("XCLIENT ADDR=192.0.2.1").await.starts_with("220"));
    assert!(talk.say("EHLO mx.forged.test").await.starts_with("250"));
    assert!(talk.send("ann@forged.test", &["bob@here.test"], &TEXT.replace("there", "forged")).await.starts_with("250"));
    let inbox = read_inbox(&office.context.store, "bob@here.test").await;
    assert!(inbox[1].contains("Received: from mx.forged.test ([192.0.2.1])") && inbox[1].contains("spf=pass"), "{}", inbox[1]);
    office.close().await;
}
