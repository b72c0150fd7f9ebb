//! A quarter of a megabyte of spite each: every entry point stays linear.
//!
//! The bound is loose, because tests run unoptimised beside others; anything quadratic takes far longer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use message::limits::{ADDRESSES_MAX, FIELD_BYTES_MAX, PARTS_MAX};
use message::search::{Needle, text_contains};
use message::{Facts, address_list, date, encoded_word, parameter};

const BYTES: usize = 256 * 1024;
const TIME_MAX: Duration = Duration::from_secs(20);

fn filled(start: &str, unit: &str) -> Vec<u8> {
    let mut out = start.as_bytes().to_vec();
    while out.len() < BYTES {
        out.extend_from_slice(unit.as_bytes());
    }
    out
}

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let nested: String = (0..200).map(|i| format!("Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n")).collect();
    vec![
        ("nested multiparts", filled("", "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n")),
        ("nested multiparts, own boundaries, then hyphens", filled(&nested, "--b\r\n")),
        ("nested multiparts, then each boundary", filled(&nested, "--b98\r\n\r\n--b97\r\n\r\n--b50\r\n\r\n")),
        ("nested messages", filled("", "Content-Type: message/rfc822\r\n\r\n")),
        ("many parts", filled("Content-Type: multipart/mixed; boundary=a\r\n\r\n", "--a\r\n\r\n")),
        (
            "long boundary lines",
            filled("Content-Type: multipart/mixed; boundary=a\r\n\r\n", &format!("--{}\r\n", "a".repeat(500))),
        ),
        ("parentheses", filled("From: ", "(")),
        ("parentheses in many fields", filled("", "To: ((((((((((((((((((((((((((((((((\r\n")),
        ("angles", filled("To: ", "<")),
        ("quotes", filled("To: ", "\",")),
        ("brackets", filled("To: ", "[a,")),
        ("groups", filled("To: ", "a:b;")),
        ("addresses", filled("To: ", "a@b,")),
        ("at signs", filled("To: ", "@ ")),
        ("words", filled("To: ", "a ")),
        ("opened words in an address", filled("To: ", "=?,")),
        ("opened words", filled("Subject: ", "=?")),
        ("opened q words", filled("Subject: ", "=?a?q?")),
        ("opened q words, unclosed", filled("Subject: ", "=?a?q?x ")),
        ("words of words", filled("Subject: ", "=?utf-8?q?=?= ")),
        ("2231 pieces", filled("Content-Type: text/plain", "; a*0=b")),
        ("2231 pieces in a disposition", filled("Content-Disposition: attachment", ";\r\n filename*1*=utf-8''%41")),
        ("parameters without value", filled("Content-Type: text/plain", "; a")),
        ("comments in parameters", filled("Content-Type: text/plain; a=b", " (")),
        ("folds", filled("Subject: a", "\r\n ")),
        ("fields", filled("", "a:b\n")),
        ("header lines that are none", filled("", "x\n")),
        ("languages", filled("Content-Language: a", ",a")),
        ("empty lines", filled("", "\r\n")),
        ("carriage returns", filled("A: ", "\r")),
        ("NUL", filled("Subject: ", "\0")),
        ("date", filled("Date: ", "1 ")),
        ("equals signs", filled("Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=")),
        ("padding", filled("Content-Transfer-Encoding: base64\r\n\r\n", "=A")),
    ]
}

#[test]
fn facts_and_search_are_linear() {
    let needle = Needle::new("not there");
    for (name, text) in messages() {
        let start = Instant::now();
        let facts = Facts::compute(&text);
        assert!(facts.parts.len() <= PARTS_MAX);
        let size = facts.envelope.len() + facts.body_structure.len() + facts.body.len();
        assert!(size <= 16 * BYTES, "{name}: facts of {size} bytes");
        assert_eq!(Facts::decode(&facts.encode()), Some(facts), "{name}");
        assert!(!text_contains(&text, &needle), "{name}");
        assert!(start.elapsed() < TIME_MAX, "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn every_entry_point_is_linear() {
    for (name, text) in messages() {
        let start = Instant::now();
        let value =
            text.split(|b| *b == b':').nth(1).map_or(&text[..], |_| &text[text.iter().position(|b| *b == b':').unwrap() + 1..]);
        assert!(address_list::parse(value).len() <= ADDRESSES_MAX + 1, "{name}");
        let _ = encoded_word::decode(value);
        let parameters = parameter::parse_parameters(value, 0);
        let _ = (parameters.decoded("a"), parameters.decoded("filename"));
        let _ = date::parse_rfc_5322(value);
        assert!(start.elapsed() < TIME_MAX, "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn a_field_is_looked_at_up_to_its_limit() {
    let at_limit = format!("Subject:{}\r\n\r\n", "x".repeat(FIELD_BYTES_MAX));
    let past = format!("Subject:{}\r\n\r\n", "x".repeat(FIELD_BYTES_MAX + 1));
    let shown = |text: &str| Facts::compute(text.as_bytes()).envelope;
    assert_eq!(shown(&at_limit), shown(&past));
    assert!(shown(&past).windows(9).any(|w| w == b"{262144}\r"));
}
