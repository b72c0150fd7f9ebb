#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::dns::tests::{Table, now};

fn asked(dns: &Table, ip: &str, sender: &str) -> Verdict {
    now(check(dns, Question { ip: ip.parse().unwrap(), sender, helo: "helo.example.net", receiver: "here.test", now_secs: 0 }))
}

fn result(dns: &Table, ip: &str, sender: &str) -> SpfResult {
    asked(dns, ip, sender).result
}

/// The zone of RFC 7208 appendix A.
fn example(record: &str) -> Table {
    Table::default()
        .txt("example.com", record)
        .ip("example.com", "192.0.2.10")
        .ip("example.com", "192.0.2.11")
        .mx("example.com", "mail-a.example.com")
        .mx("example.com", "mail-b.example.com")
        .ip("amy.example.com", "192.0.2.65")
        .ip("bob.example.com", "192.0.2.66")
        .ip("mail-a.example.com", "192.0.2.129")
        .ip("mail-b.example.com", "192.0.2.130")
        .mx("example.org", "mail-c.example.org")
        .ip("mail-c.example.org", "192.0.2.140")
        .ptr("192.0.2.10", "example.com")
        .ptr("192.0.2.11", "example.com")
        .ptr("192.0.2.65", "amy.example.com")
        .ptr("192.0.2.66", "bob.example.com")
        .ptr("192.0.2.129", "mail-a.example.com")
        .ptr("192.0.2.130", "mail-b.example.com")
        .ptr("192.0.2.140", "mail-c.example.org")
        .ptr("10.0.0.4", "bob.example.com")
}

/// RFC 7208 appendix A.1: each record with the addresses that pass, all others fail.
#[test]
fn the_simple_examples_of_the_rfc() {
    let all = ["192.0.2.10", "192.0.2.11", "192.0.2.65", "192.0.2.66", "192.0.2.129", "192.0.2.130", "192.0.2.140", "10.0.0.4"];
    let cases: &[(&str, &[&str])] = &[
        ("v=spf1 +all", &all),
        ("v=spf1 a -all", &["192.0.2.10", "192.0.2.11"]),
        ("v=spf1 a:example.org -all", &[]),
        ("v=spf1 mx -all", &["192.0.2.129", "192.0.2.130"]),
        ("v=spf1 mx:example.org -all", &["192.0.2.140"]),
        ("v=spf1 mx mx:example.org -all", &["192.0.2.129", "192.0.2.130", "192.0.2.140"]),
        ("v=spf1 mx/30 mx:example.org/30 -all", &["192.0.2.129", "192.0.2.130", "192.0.2.140"]),
        // The name of 10.0.0.4 does not lead back to it.
        ("v=spf1 ptr -all", &["192.0.2.10", "192.0.2.11", "192.0.2.65", "192.0.2.66", "192.0.2.129", "192.0.2.130"]),
        ("v=spf1 ip4:192.0.2.128/28 -all", &["192.0.2.129", "192.0.2.130", "192.0.2.140"]),
    ];
    for (record, passing) in cases {
        let dns = example(record);
        for ip in all {
            let want = if passing.contains(&ip) { SpfResult::Pass } else { SpfResult::Fail };
            assert_eq!(result(&dns, ip, "strong-bad@example.com"), want, "{record} {ip}");
        }
    }
}

/// RFC 7208 appendix A.2 and A.4: several domains, and one that asks a list of its own.
#[test]
fn the_other_examples_of_the_rfc() {
    let dns = Table::default()
        .txt("example.org", "v=spf1 include:example.com include:example.net -all")
        .txt("la.example.org", "v=spf1 redirect=example.org")
        .txt("example.com", "v=spf1 ip4:192.0.2.10 -all")
        .txt("example.net", "v=spf1 ip4:192.0.2.129 -all");
    for domain in ["x@example.org", "x@la.example.org"] {
        assert_eq!(result(&dns, "192.0.2.10", domain), SpfResult::Pass);
        assert_eq!(result(&dns, "192.0.2.129", domain), SpfResult::Pass);
        assert_eq!(result(&dns, "192.0.2.130", domain), SpfResult::Fail);
    }
    let dns = Table::default()
        .txt("example.com", "v=spf1 mx -exists:%{l}.%{d}.%{i}.spf.example.net ?exists:%{ir}.%{v}._spf.%{d2} -all")
        .mx("example.com", "mx.example.com")
        .ip("mx.example.com", "192.0.2.1")
        .ip("bad.example.com.192.0.2.9.spf.example.net", "127.0.0.2")
        .ip("8.2.0.192.in-addr._spf.example.com", "127.0.0.2");
    assert_eq!(result(&dns, "192.0.2.1", "bad@example.com"), SpfResult::Pass);
    assert_eq!(result(&dns, "192.0.2.9", "bad@example.com"), SpfResult::Fail);
    assert_eq!(result(&dns, "192.0.2.8", "good@example.com"), SpfResult::Neutral);
}

#[test]
fn no_record_is_no_answer_and_trouble_is_temporary() {
    let dns = Table::default().txt("two.test", "v=spf1 -all").txt("two.test", "v=spf1 +all").txt("other.test", "v=spf2 -all");
    let dns = dns
        .broken("broken.test")
        .txt("inc.test", "v=spf1 include:broken.test -all")
        .txt("incn.test", "v=spf1 include:nowhere.test -all");
    let dns = dns
        .txt("syntax.test", "v=spf1 -all ip4:nonsense")
        .txt("red.test", "v=spf1 redirect=nowhere.test")
        .txt("plain.test", "v=spf1");
    assert_eq!(result(&dns, "192.0.2.1", "a@nowhere.test"), SpfResult::None);
    assert_eq!(result(&dns, "192.0.2.1", "a@other.test"), SpfResult::None);
    assert_eq!(result(&dns, "192.0.2.1", "a@localhost"), SpfResult::None);
    assert_eq!(result(&dns, "192.0.2.1", "a@[192.0.2.1]"), SpfResult::None);
    assert_eq!(result(&dns, "192.0.2.1", "a@two.test"), SpfResult::PermError);
    assert_eq!(result(&dns, "192.0.2.1", "a@broken.test"), SpfResult::TempError);
    assert_eq!(result(&dns, "192.0.2.1", "a@inc.test"), SpfResult::TempError);
    assert_eq!(result(&dns, "192.0.2.1", "a@incn.test"), SpfResult::PermError);
    assert_eq!(result(&dns, "192.0.2.1", "a@red.test"), SpfResult::PermError);
    assert_eq!(result(&dns, "192.0.2.1", "a@plain.test"), SpfResult::Neutral);
    let verdict = asked(&dns, "192.0.2.1", "a@syntax.test");
    assert_eq!(verdict.result, SpfResult::PermError);
    assert!(verdict.problem.unwrap().contains("ip4:nonsense"));
}

#[test]
fn ten_terms_may_ask_and_two_answers_may_be_empty() {
    let chain = |length: usize| {
        let mut dns = Table::default().txt(&format!("c{length}.test"), "v=spf1 +all");
        for n in 0..length {
            dns = dns.txt(&format!("c{n}.test"), &format!("v=spf1 include:c{}.test -all", n + 1));
        }
        dns
    };
    assert_eq!(result(&chain(10), "192.0.2.1", "a@c0.test"), SpfResult::Pass);
    assert_eq!(result(&chain(11), "192.0.2.1", "a@c0.test"), SpfResult::PermError);
    let looping = Table::default().txt("l.test", "v=spf1 redirect=l.test").txt("i.test", "v=spf1 include:i.test");
    assert_eq!(result(&looping, "192.0.2.1", "a@l.test"), SpfResult::PermError);
    assert_eq!(result(&looping, "192.0.2.1", "a@i.test"), SpfResult::PermError);
    let dns = Table::default()
        .txt("v2.test", "v=spf1 a:x.v2.test a:y.v2.test +all")
        .txt("v3.test", "v=spf1 a:x.v.test a:y.v.test a:z.v.test +all");
    assert_eq!(result(&dns, "192.0.2.1", "a@v2.test"), SpfResult::Pass);
    assert_eq!(result(&dns, "192.0.2.1", "a@v3.test"), SpfResult::PermError);
    let mut many = Table::default().txt("m.test", "v=spf1 mx -all").txt("n.test", "v=spf1 mx -all");
    for n in 0..11 {
        many = many.mx("m.test", &format!("h{n}.m.test"));
        if n < 10 {
            many = many.mx("n.test", &format!("h{n}.m.test"));
        }
    }
    assert_eq!(result(&many, "192.0.2.1", "a@m.test"), SpfResult::PermError);
    assert_eq!(result(&many, "192.0.2.1", "a@n.test"), SpfResult::Fail);
}

#[test]
fn the_null_sender_is_checked_by_helo() {
    let dns = Table::default().txt("helo.example.net", "v=spf1 ip4:192.0.2.1 -all");
    let verdict = asked(&dns, "192.0.2.1", "");
    assert_eq!((verdict.result, verdict.of_helo, verdict.domain.as_str()), (SpfResult::Pass, true, "helo.example.net"));
    assert_eq!(result(&dns, "192.0.2.2", ""), SpfResult::Fail);
}

#[test]
fn both_families_and_mapped_addresses() {
    let dns = Table::default()
        .txt("x.test", "v=spf1 a/24//64 ip6:2001:db8:1::/48 -all")
        .ip("x.test", "192.0.2.1")
        .ip("x.test", "2001:db8::1");
    for (ip, want) in [
        ("192.0.2.200", SpfResult::Pass),
        ("::ffff:192.0.2.200", SpfResult::Pass),
        ("192.0.3.1", SpfResult::Fail),
        ("2001:db8::ffff", SpfResult::Pass),
        ("2001:db8:0:1::1", SpfResult::Fail),
        ("2001:db8:1:9::1", SpfResult::Pass),
    ] {
        assert_eq!(result(&dns, ip, "a@x.test"), want, "{ip}");
    }
}

/// RFC 7208 §6.2: the words of the domain that failed, not of one it included.
#[test]
fn explanations() {
    let dns = Table::default()
        .txt("x.test", "v=spf1 include:inc.test redirect=y.test exp=never.test")
        .txt("inc.test", "v=spf1 -all exp=never.test")
        .txt("never.test", "not this one")
        .txt("y.test", "v=spf1 -all exp=exp.%{d}")
        .txt("exp.y.test", "See http://why.test/?s=%{S}&ip=%{c}")
        .txt("two.test", "v=spf1 -all exp=e2.test")
        .txt("e2.test", "a")
        .txt("e2.test", "b")
        .txt("bad.test", "v=spf1 -all exp=e3.test")
        .txt("e3.test", "%{nope}");
    assert_eq!(asked(&dns, "192.0.2.1", "a@x.test").explanation.unwrap(), "See http://why.test/?s=a%40x.test&ip=192.0.2.1");
    assert_eq!(asked(&dns, "192.0.2.1", "a@two.test").explanation, None);
    assert_eq!(asked(&dns, "192.0.2.1", "a@bad.test").explanation, None);
    assert_eq!(asked(&dns, "192.0.2.1", "a@bad.test").result, SpfResult::Fail);
}

#[test]
fn ptr_is_believed_only_when_it_leads_back() {
    let dns = Table::default().txt("x.test", "v=spf1 ptr:good.test exists:%{p}.list.test -all").ptr("192.0.2.1", "a.good.test");
    let dns =
        dns.ip("a.good.test", "192.0.2.1").ptr("192.0.2.2", "b.good.test").ip("b.good.test", "192.0.2.9").broken("192.0.2.3");
    assert_eq!(result(&dns, "192.0.2.1", "a@x.test"), SpfResult::Pass);
    assert_eq!(result(&dns, "192.0.2.2", "a@x.test"), SpfResult::Fail);
    assert_eq!(result(&dns, "192.0.2.3", "a@x.test"), SpfResult::Fail);
}

/// RFC 8616 §4: U-labels are asked for as A-labels; a local part beyond ASCII matches nowhere, in whatever clothes.
#[test]
fn addresses_beyond_ascii() {
    let record = "v=spf1 exists:%{l}.allow.test include:%{L}.friends.test a:%{s} ip4:192.0.2.1 -all";
    let dns = Table::default()
        .txt("xn--bcher-kva.test", record)
        .ip("gr\u{fc}\u{df}e.allow.test", "127.0.0.2")
        .ip("ann.allow.test", "127.0.0.2")
        .txt("gr%C3%BC%C3%9Fe.friends.test", "v=spf1 +all");
    for (ip, sender, want) in [
        ("192.0.2.1", "gr\u{fc}\u{df}e@b\u{fc}cher.test", SpfResult::Pass),
        ("192.0.2.2", "gr\u{fc}\u{df}e@b\u{fc}cher.test", SpfResult::Fail),
        ("192.0.2.2", "gr\u{fc}\u{df}e@xn--bcher-kva.test", SpfResult::Fail),
        ("192.0.2.2", "ann@B\u{dc}CHER.test", SpfResult::Pass),
    ] {
        let verdict = asked(&dns, ip, sender);
        assert_eq!((verdict.result, verdict.domain.as_str()), (want, "xn--bcher-kva.test"), "{sender} {ip}");
    }
}
