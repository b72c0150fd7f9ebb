#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::key::KeyKind;
use super::private::{SigningKey, generate};
use super::sign::{Signer, sign};
use super::*;
use crate::dns::tests::{Table, now};
use std::sync::LazyLock;

/// One RSA key is enough for all tests: making one takes a while.
pub(crate) static RSA: LazyLock<Vec<u8>> = LazyLock::new(|| generate(KeyKind::Rsa).unwrap());

pub(crate) fn signer(kind: KeyKind, domain: &str, selector: &str) -> Signer {
    let octets = if kind == KeyKind::Rsa { RSA.clone() } else { generate(kind).unwrap() };
    Signer { domain: domain.to_owned(), selector: selector.to_owned(), key: SigningKey::from_pkcs8(kind, &octets).unwrap() }
}

pub(crate) fn published(dns: Table, signer: &Signer) -> Table {
    dns.txt(&format!("{}._domainkey.{}", signer.selector, signer.domain), &signer.key.record())
}

fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

fn words(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(|outcome| outcome.result.word()).collect()
}

/// RFC 8463 appendix A: one message, signed by both kinds of key.
fn rfc_8463() -> (Table, Vec<u8>) {
    let dns = Table::default()
        .txt("brisbane._domainkey.football.example.com", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
        .txt("test._domainkey.football.example.com", "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB");
    let message = crlf(
        "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
",
    );
    (dns, message)
}

#[test]
fn the_message_of_rfc_8463() {
    let (dns, message) = rfc_8463();
    let found = now(verify(&dns, &message, 1_600_000_000));
    assert_eq!(words(&found), ["pass", "pass"], "{found:?}");
    assert_eq!(found[0].algorithm, Some(Algorithm::Ed25519Sha256));
    let changed = String::from_utf8(message).unwrap().replace("dinner", "supper");
    assert_eq!(words(&now(verify(&dns, changed.as_bytes(), 1_600_000_000))), ["fail", "fail"]);
}

/// RFC 6376 appendices A.2 and C.
#[test]
fn the_message_of_rfc_6376() {
    let dns = Table::default().txt("brisbane._domainkey.example.com", "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB");
    let message = crlf(
        "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
      4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
",
    );
    let found = now(verify(&dns, &message, 1_600_000_000));
    assert_eq!(words(&found), ["pass"], "{found:?}");
    assert_eq!(found[0].identity.as_deref(), Some("joe@football.example.com"));
    // Simple means that blanks count.
    let changed = String::from_utf8(message).unwrap().replace("Is dinner", "Is  dinner");
    assert_eq!(words(&now(verify(&dns, changed.as_bytes(), 1_600_000_000))), ["fail"]);
}

const HEADER: &[u8] = b"From: Ann <ann@here.test>\r\nTo: bob@there.test\r\nSubject: one\r\n two\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nCc: a@b.test\r\nCc: c@d.test\r\nX-Other: not signed\r\n\r\n";

fn signed_by(signers: &[&Signer], body: &[u8]) -> Vec<u8> {
    [sign(HEADER, body, signers, 1_000).as_bytes(), HEADER, body].concat()
}

#[test]
fn what_we_sign_we_verify_with_both_kinds_of_key() {
    let (rsa, ed) = (signer(KeyKind::Rsa, "here.test", "r1"), signer(KeyKind::Ed25519, "here.test", "e1"));
    let dns = published(published(Table::default(), &rsa), &ed);
    let message = signed_by(&[&rsa, &ed], b"Hello\r\n\r\nthere \t you\r\n\r\n");
    assert_eq!(words(&now(verify(&dns, &message, 2_000))), ["pass", "pass"]);
    let text = String::from_utf8(message).unwrap();
    assert!(text.lines().all(|line| line.len() < 100), "{text}");
    // What others may do on the way does not hurt; what they may not is seen.
    for (from, to, want) in [
        ("X-Other: not signed", "X-Other: changed", "pass"),
        ("Subject: one\r\n two", "Subject:  one  two", "pass"),
        ("From: Ann", "Received: from x\r\nFrom: Ann", "pass"),
        ("there \t you", "there you", "pass"),
        ("there \t you", "thereyou", "fail"),
        ("Subject: one", "Subject: won", "fail"),
        ("From: Ann", "From: Eve <eve@evil.test>\r\nFrom: Ann", "fail"),
        ("From: Ann", "Subject: another\r\nFrom: Ann", "fail"),
        ("Cc: a@b.test\r\n", "", "fail"),
        ("\r\n\r\nHello", "\r\n\r\nHello!", "fail"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert_eq!(words(&now(verify(&dns, changed.as_bytes(), 2_000))), [want, want], "{from:?} -> {to:?}");
    }
}

#[test]
fn keys_and_signatures_that_do_not_count() {
    let ed = signer(KeyKind::Ed25519, "here.test", "e1");
    let message = String::from_utf8(signed_by(&[&ed], b"body\r\n")).unwrap();
    let asked = |dns: &Table, message: &str| {
        let found = now(verify(dns, message.as_bytes(), 2_000));
        (found[0].result, found[0].reason.clone().unwrap_or_default())
    };
    let with = |record: &str| Table::default().txt("e1._domainkey.here.test", record);
    let record = ed.key.record();
    assert_eq!(asked(&with(&record), &message).0, DkimResult::Pass);
    assert_eq!(asked(&Table::default(), &message), (DkimResult::PermError, "there is no key".to_owned()));
    assert_eq!(asked(&Table::default().broken("e1._domainkey.here.test"), &message).0, DkimResult::TempError);
    assert_eq!(asked(&with("v=DKIM1; k=ed25519; p="), &message), (DkimResult::PermError, "the key is revoked".to_owned()));
    assert_eq!(asked(&with("v=DKIM1; k=rsa; p=AAAA"), &message).0, DkimResult::PermError);
    assert_eq!(asked(&with(&signer(KeyKind::Ed25519, "x", "y").key.record()), &message).0, DkimResult::Fail);
    // A second record, the right one, is found as well.
    assert_eq!(asked(&with("v=DKIM1; k=ed25519; p=").txt("e1._domainkey.here.test", &record), &message).0, DkimResult::Pass);
    let dns = with(&record);
    for (from, to, want) in [
        ("v=1;", "v=2;", DkimResult::PermError),
        ("a=ed25519-sha256", "a=rsa-sha1", DkimResult::Policy),
        ("a=ed25519-sha256", "a=rsa-md5", DkimResult::PermError),
        ("t=1000;", "t=1000; x=1500;", DkimResult::Fail),
        ("t=1000;", "t=1000; x=900;", DkimResult::PermError),
        ("t=1000;", "t=10000000;", DkimResult::Neutral),
        ("h=From:From:", "h=", DkimResult::PermError),
        ("d=here.test;", "d=here.test; i=@elsewhere.test;", DkimResult::PermError),
        ("d=here.test;", "d=here.test; q=dns/other;", DkimResult::PermError),
        ("d=here.test;", "d=here..test;", DkimResult::PermError),
        ("d=here.test;", "d=here.test; d=here.test;", DkimResult::PermError),
    ] {
        let changed = message.replacen(from, to, 1);
        assert_ne!(changed, message);
        assert_eq!(asked(&dns, &changed).0, want, "{to}");
    }
}

/// RFC 8301 §3.2: a key of 512 bits was broken long ago. This one is a real one of that size.
#[test]
fn a_key_that_is_too_small() {
    let small = "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL51HHGaDTFPCPmzHKmsPBKmPYnhUvNxVxwmjCNKMbZCtGYJGvcWpWvgVnpFVzrHXkWpMXGXbNcIUKwmFXZoFBECAwEAAQ==";
    let dns = Table::default().txt("s._domainkey.here.test", small);
    let ed = signer(KeyKind::Ed25519, "here.test", "s");
    let message = String::from_utf8(signed_by(&[&ed], b"body\r\n")).unwrap().replace("a=ed25519-sha256", "a=rsa-sha256");
    let found = now(verify(&dns, message.as_bytes(), 2_000));
    assert_eq!((found[0].result, found[0].reason.as_deref()), (DkimResult::Policy, Some("the key has only 512 bits")));
}

#[test]
fn only_so_many_signatures_are_looked_at() {
    let ed = signer(KeyKind::Ed25519, "here.test", "e1");
    let dns = published(Table::default(), &ed);
    let signers: Vec<&Signer> = std::iter::repeat_n(&ed, 20).collect();
    let found = now(verify(&dns, &signed_by(&signers, b"body\r\n"), 2_000));
    assert_eq!(found.len(), DKIM_SIGNATURES_MAX);
    assert!(found.iter().all(|outcome| outcome.result == DkimResult::Pass));
}

/// A body that grew behind `l=` is shown, but does not count (RFC 6376 §8.2).
#[test]
fn a_body_that_is_signed_in_part() {
    let (dns, message) = rfc_8463();
    let text = String::from_utf8(message).unwrap();
    assert_eq!(
        words(&now(verify(&dns, text.replace("t=1528637909;", "t=1528637909; l=3;").as_bytes(), 1_600_000_000))),
        ["fail", "fail"]
    );
    let (hash, beyond) = canon::body_hash(canon::Canon::Relaxed, b"Hello\r\nspam\r\n", Some(7));
    assert_eq!((hash, beyond), (canon::body_hash(canon::Canon::Relaxed, b"Hello\r\n", None).0, 6));
}

/// RFC 8616 §5: `d=`, `s=` and `i=` may be written in letters; the key is at their A-labels.
#[test]
fn names_beyond_ascii() {
    let written = signer(KeyKind::Ed25519, "b\u{fc}cher.test", "schl\u{fc}ssel");
    let dns = Table::default().txt("xn--schlssel-95a._domainkey.xn--bcher-kva.test", &written.key.record());
    let header = crlf("From: x@b\u{fc}cher.test\nSubject: Gr\u{fc}\u{df}e\n\n");
    let signature = sign(&header, b"Hello.\r\n", &[&written], 0);
    let message = [signature.as_bytes(), &header, b"Hello.\r\n"].concat();
    let outcomes = now(verify(&dns, &message, 0));
    assert_eq!(words(&outcomes), ["pass"], "{outcomes:?}");
    assert_eq!(outcomes[0].domain, "xn--bcher-kva.test");
}
